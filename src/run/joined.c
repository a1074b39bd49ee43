#include "run/joined.h"
#include "run/calendar.h"
#include "run/files.h"
#include "run/report.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One stream. The levels' times (or numbers) stand in `at`, in the unit of the leading stream once settled. */
typedef struct level_table {
  weir__files      *files;
  const weir__join *join;
  double           *at; /* owned; increasing */
  int64_t           levels;
  double            tolerance; /* in the unit of `at`; infinite: none */
  double            size; /* of the numbers that conversion went through, in that unit: what rounding scales with */
} level_table;

struct weir__joined {
  const weir__recipe  *recipe;
  level_table         *table;  /* of each joined stream */
  weir__recipe_schema *schema; /* of each joined stream */
};

#define JOIN_FAIL(stream, format, ...)                                                                                 \
  WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: " format, place_of(stream)->file, place_of(stream)->line,                       \
            place_of(stream)->column, ##__VA_ARGS__)

static const weir__place *place_of(const weir__recipe_stream *stream) {
  return stream->join.how ? &stream->join.place : &stream->place;
}

/* ---- opening ---- */

static weir_status read_levels(const weir__recipe_stream *stream, level_table *t) {
  t->levels = weir__files_steps(t->files);
  WEIR_TRY(weir__alloc_array((size_t)t->levels + 1, sizeof *t->at, &t->at));
  for (int64_t i = 0; i < t->levels; i++) {
    int64_t step;
    double  time;
    WEIR_TRY(weir__files_level(t->files, i, &step, &time));
    t->at[i] = stream->join.by_step ? (double)step : time;
    if (!isfinite(t->at[i])) return JOIN_FAIL(stream, "%s: time level %lld has no time", stream->name, (long long)i);
    if (i && !(t->at[i] > t->at[i - 1]))
      return JOIN_FAIL(stream, "%s: the times do not increase (level %lld is at %.10g, level %lld at %.10g)",
                       stream->name, (long long)i - 1, t->at[i - 1], (long long)i, t->at[i]);
  }
  return WEIR_OK;
}

static weir_status open_stream(const weir__recipe *recipe, const weir__recipe_stream *stream, level_table *t,
                               weir__recipe_schema *schema) {
  t->join = &stream->join;
  WEIR_TRY(weir__files_open(stream, NULL, &t->files));
  *schema = *weir__files_schema(t->files);
  if (t->join->how) return read_levels(stream, t);
  for (int i = 0; i < schema->fields; i++)
    if (!schema->field[i].is_static)
      return JOIN_FAIL(stream,
                       "%s: join is missing: %s changes in time; say which level belongs to a step of %s, such as "
                       "join: {time: nearest, tolerance: 3 h}",
                       stream->name, schema->field[i].name, recipe->stream.name);
  return WEIR_OK;
}

weir_status weir__joined_open(const weir__recipe *recipe, weir__joined **joined) {
  weir_status   status = WEIR_OK;
  weir__joined *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->recipe = recipe;
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)recipe->joins + 1, sizeof *self->table, &self->table));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)recipe->joins + 1, sizeof *self->schema, &self->schema));
  for (int i = 0; i < recipe->joins; i++)
    WEIR_TRY_GOTO(out, open_stream(recipe, &recipe->joined[i], &self->table[i], &self->schema[i]));
  *joined = self;
  self    = NULL;
out:
  weir__joined_close(&self);
  return status;
}

void weir__joined_close(weir__joined **joined) {
  weir__joined *self = *joined;
  if (!self) return;
  for (int i = 0; self->table && i < self->recipe->joins; i++) {
    weir__files_close(&self->table[i].files);
    weir__free(self->table[i].at);
  }
  weir__free(self->table);
  weir__free(self->schema);
  weir__free(self);
  *joined = NULL;
}

const weir__recipe_schema *weir__joined_schemas(const weir__joined *joined) { return joined ? joined->schema : NULL; }
int64_t                    weir__joined_levels(const weir__joined *joined, int number) {
                     return weir__files_steps(joined->table[number].files);
}

/* ---- settling ---- */

/* Seconds, or numbers as they are where times have no unit. */
static weir_status settle_tolerance(const weir__recipe_stream *stream, const char *leading, const char *units,
                                    level_table *t) {
  const weir__join *join = &stream->join;
  t->tolerance           = join->how == WEIR__JOIN_EXACT ? 0 : INFINITY;
  if (join->tolerance < 0) return WEIR_OK;
  t->tolerance = join->tolerance;
  if (join->by_step || (!units && !join->has_unit)) return WEIR_OK;
  double unit = weir__time_unit(units);
  if (unit <= 0)
    return JOIN_FAIL(stream, "tolerance: the times of %s have %s%s, expected a known unit of time", leading,
                     units ? "the units " : "no units", units ? units : "");
  t->tolerance /= unit;
  return WEIR_OK;
}

static weir_status settle(const weir__recipe *recipe, const weir__recipe_stream *stream,
                          const weir__recipe_schema *schema, const weir__recipe_schema *leading, level_table *t) {
  weir__time_map map  = {1, 1, 0};
  const char    *name = recipe->stream.name;
  if (!stream->join.how) return WEIR_OK;
  if (!stream->join.by_step &&
      !weir__time_map_make(schema->time_units, schema->calendar, leading->time_units, leading->calendar, &map))
    return JOIN_FAIL(
        stream, "the times of %s (%s, calendar %s) cannot be converted to those of %s (%s, calendar %s)", stream->name,
        schema->time_units ? schema->time_units : "no units", schema->calendar ? schema->calendar : "standard", name,
        leading->time_units ? leading->time_units : "no units", leading->calendar ? leading->calendar : "standard");
  for (int64_t i = 0; i < t->levels; i++) {
    double before = fabs(t->at[i] * map.unit / map.other_unit);
    t->at[i]      = weir__time_map_apply(&map, t->at[i]);
    if (before > t->size) t->size = before;
    if (fabs(t->at[i]) > t->size) t->size = fabs(t->at[i]);
  }
  t->size += fabs(map.shift / map.other_unit);
  return settle_tolerance(stream, name, leading->time_units, t);
}

weir_status weir__joined_settle(weir__joined *self, const weir__recipe_schema *leading) {
  for (int i = 0; i < self->recipe->joins; i++)
    WEIR_TRY(settle(self->recipe, &self->recipe->joined[i], &self->schema[i], leading, &self->table[i]));
  return WEIR_OK;
}

/* ---- looking up ---- */

/* The level that belongs to a step; -1: none does. What lies nearer than rounding counts as equal. */
static int64_t find_level(const level_table *t, double at) {
  double  rounding = 8 * DBL_EPSILON * (t->size + fabs(at));
  int64_t low = 0, high = t->levels; /* levels before `low` are not after `at`, those from `high` on are */
  if (!isfinite(at)) return -1;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (t->at[middle] <= at + rounding) low = middle + 1;
    else high = middle;
  }
  int64_t found = low - 1;
  if (t->join->how != WEIR__JOIN_LAST && low < t->levels &&
      (found < 0 || t->at[low] - at < at - t->at[found] - rounding))
    found = low; /* of two as near as each other, the earlier */
  return found >= 0 && fabs(at - t->at[found]) <= t->tolerance + rounding ? found : -1;
}

static weir_status read_joined(void *joined, int stream, int field, int64_t step, double time, const weir_view *out) {
  const weir__joined *self  = joined;
  const level_table  *t     = &self->table[stream - 1];
  int64_t             level = 0;
  if (!self->schema[stream - 1].field[field].is_static) level = find_level(t, t->join->by_step ? (double)step : time);
  return level < 0 ? WEIR_END : weir__files_read(t->files, field, level, out);
}

weir__joined_source weir__joined_source_of(weir__joined *joined) {
  return (weir__joined_source){.self = joined, .read = read_joined};
}

const char *weir__join_text(const weir__join *join, char out[64]) {
  static const char *const how[] = {"", "exact", "nearest", "last"};
  char                     within[40];
  const char              *what = join->by_step ? "step" : "time";
  int n = join->how ? snprintf(out, 64, "joined by %s, %s", what, how[join->how]) : snprintf(out, 64, "static");
  if (!join->how || join->tolerance < 0) return out;
  if (join->by_step) snprintf(out + n, 64 - (size_t)n, " within %g steps", join->tolerance);
  else snprintf(out + n, 64 - (size_t)n, " within %s", weir__time_text(join->tolerance, "s", within));
  return out;
}
