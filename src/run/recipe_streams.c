/* `streams:` of a recipe: one leads, files may be joined to it. */
#include "run/recipe.h"
#include <math.h>
#include <string.h>

/* ---- join: ---- */

static weir_status read_how(weir__join *join, const weir__yaml *value, const char *by) {
  static const char *const words[] = {"exact", "nearest", "last", NULL}; /* in the order of weir__join_how */
  int                      word;
  if (join->how) return WEIR__YAML_FAIL(value, "join: step and time are both given, expected one of them");
  WEIR_TRY(weir__yaml_to_choice(value, by, words, &word));
  join->how     = (weir__join_how)(WEIR__JOIN_EXACT + word);
  join->by_step = !strcmp(by, "step");
  return WEIR_OK;
}

static weir_status read_step(void *context, const weir__yaml *value) { return read_how(context, value, "step"); }
static weir_status read_time(void *context, const weir__yaml *value) { return read_how(context, value, "time"); }

/* A plain number may be steps; which it is follows from the other key. */
static weir_status read_tolerance(void *context, const weir__yaml *value) {
  weir__join *join = context;
  if (value->kind == WEIR__YAML_TEXT && weir__text_to_double(value->text, &join->tolerance)) {
    if (join->tolerance >= 0 && isfinite(join->tolerance)) return WEIR_OK;
    return WEIR__YAML_FAIL(value, "tolerance is %s, expected 0 or more", value->text);
  }
  join->has_unit = true;
  return weir__recipe_read_duration(value, "tolerance", &join->tolerance);
}

weir_status weir__recipe_read_join(weir__recipe_stream *stream, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"step", read_step}, {"time", read_time}, {"tolerance", read_tolerance}, {0}};
  weir__join                 *join   = &stream->join;
  *join                              = (weir__join){.tolerance = -1, .place = value->place};
  WEIR_TRY(weir__yaml_read(value, "join", keys, join));
  if (!join->how)
    return WEIR__YAML_FAIL(value, "join: expected step: or time: with exact, nearest or last, such as {time: nearest}");
  if (join->by_step && join->tolerance >= 0 && (join->has_unit || join->tolerance != floor(join->tolerance)))
    return WEIR__YAML_FAIL(weir__yaml_get(value, "tolerance"),
                           "tolerance: expected a whole number of steps, as the stream is joined by step");
  return WEIR_OK;
}

/* ---- streams: ---- */

/* The simulation leads, or else the first stream. */
static weir_status find_leading(const weir__yaml *value, int *leading) {
  int found = -1;
  for (int i = 0; i < value->count; i++) {
    if (!weir__yaml_get(value->item[i], "simulation")) continue;
    if (found >= 0)
      return WEIR__YAML_FAIL(value->key[i], "streams: %s and %s are both simulations, expected at most one",
                             value->key[found]->text, value->key[i]->text);
    found = i;
  }
  *leading = found < 0 ? 0 : found;
  return WEIR_OK;
}

weir_status weir__recipe_read_streams(weir__recipe *self, const weir__yaml *value) {
  int leading = 0;
  if (value->kind != WEIR__YAML_MAP || !value->count)
    return WEIR__YAML_FAIL(value, "streams: expected streams by name, such as {ocean: {simulation: {}}}");
  for (int i = 0; i < value->count; i++) WEIR_TRY(weir__recipe_check_name(value->key[i], "stream"));
  WEIR_TRY(find_leading(value, &leading));
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)value->count * sizeof *self->joined, &self->joined));
  for (int i = 0; i < value->count; i++) {
    weir__recipe_stream *stream = i == leading ? &self->stream : &self->joined[self->joins++];
    stream->name                = value->key[i]->text;
    stream->is_joined           = i != leading;
    WEIR_TRY(weir__recipe_read_stream(self, value->item[i], stream));
  }
  return WEIR_OK;
}
