/* What a recipe says about overload and failure: `policy:` and `restart:` of a simulation, `checkpoint:`, `recovery:`.
 */
#include "run/recipe.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
  RETRIES_DEFAULT = 3,
  RETRIES_MAX     = 1000,
  HEARTBEAT_LEAST = 2 /* seconds: a worker says once a second that it lives */
};
static const double BACKOFF_S = 1, HEARTBEAT_S = 30;

const char *const weir__recipe_when_full[] = {"block", "drop_newest", "drop_oldest", "spill", NULL};

/* ---- pieces ---- */

weir_status weir__recipe_read_size(const weir__yaml *value, const char *what, uint64_t *bytes) {
  static const struct {
    const char *name;
    double      bytes;
  } units[] = {{"", 1},
               {"B", 1},
               {"kB", 1e3},
               {"KB", 1e3},
               {"MB", 1e6},
               {"GB", 1e9},
               {"TB", 1e12},
               {"KiB", 1024},
               {"MiB", 1048576},
               {"GiB", 1073741824},
               {"TiB", 1099511627776.0}};
  char   number[64];
  double amount;
  size_t length = value->kind == WEIR__YAML_TEXT ? strspn(value->text, "0123456789.") : 0;
  if (length && length < sizeof number) {
    const char *unit = value->text + length + strspn(value->text + length, " ");
    memcpy(number, value->text, length);
    number[length] = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
      if (strcmp(unit, units[i].name) || !weir__text_to_double(number, &amount)) continue;
      amount *= units[i].bytes;
      if (!(amount >= 1) || amount > 0x1p62) break;
      *bytes = (uint64_t)amount;
      return WEIR_OK;
    }
  }
  return WEIR__YAML_FAIL(value, "%s: expected a size with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 20 GB%s%s%s",
                         what, value->kind == WEIR__YAML_TEXT ? ", got \"" : "",
                         value->kind == WEIR__YAML_TEXT ? value->text : "", value->kind == WEIR__YAML_TEXT ? "\"" : "");
}

/* Plain numbers are seconds. */
weir_status weir__recipe_read_seconds(const weir__yaml *value, const char *what, double *seconds) {
  if (value->kind == WEIR__YAML_TEXT && weir__text_to_double(value->text, seconds)) {
    if (*seconds > 0 && *seconds < 1e9) return WEIR_OK;
    return WEIR__YAML_FAIL(value, "%s is %s, expected a positive number of seconds", what, value->text);
  }
  return weir__recipe_read_duration(value, what, seconds);
}

/* An unquoted yes or no in one of YAML's spellings: 1 or 0; else -1. */
static int plain_bool(const weir__yaml *value) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};
  for (int i = 0; value->kind == WEIR__YAML_TEXT && !value->quoted && i < 6; i++)
    if (!strcmp(value->text, words[i])) return i % 2;
  return -1;
}

/* ---- policy: ---- */

static weir_status read_when_full(void *context, const weir__yaml *value) {
  static const char *const words[] = {"block", "drop_newest", "drop_oldest", "spill", "drop", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "when_full", words, &word));
  ((weir__recipe_stream *)context)->policy = word == 4 ? WEIR__POLICY_DROP_NEWEST : (weir__channel_policy)word;
  return WEIR_OK;
}

static weir_status read_timeout(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "timeout", &((weir__recipe_stream *)context)->timeout_s);
}

static weir_status read_fallback(void *context, const weir__yaml *value) {
  static const char *const words[] = {"stop", "drop", NULL}; /* in the order of weir__channel_fallback */
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "fallback", words, &word));
  ((weir__recipe_stream *)context)->fallback = (weir__channel_fallback)word;
  return WEIR_OK;
}

static weir_status read_slots(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "slots", 1, WEIR__CHANNEL_SLOTS_MAX, &n));
  ((weir__recipe_stream *)context)->slots = (int)n;
  return WEIR_OK;
}

static weir_status read_capacity(void *context, const weir__yaml *value) {
  return weir__recipe_read_size(value, "capacity", &((weir__recipe_stream *)context)->spill_bytes);
}

static weir_status read_directory(void *context, const weir__yaml *value) {
  weir__recipe_stream *stream = context;
  WEIR_TRY(weir__yaml_to_text(value, "directory", &stream->spill_directory));
  if (strlen(stream->spill_directory) <= WEIR__CHANNEL_PATH_MAX) return WEIR_OK;
  return WEIR__YAML_FAIL(value, "directory: longer than %d bytes", WEIR__CHANNEL_PATH_MAX);
}

weir_status weir__recipe_read_policy(weir__recipe_stream *stream, const weir__yaml *value) {
  static const weir__yaml_key keys[]  = {{"when_full", read_when_full},
                                         {"timeout", read_timeout},
                                         {"fallback", read_fallback},
                                         {"slots", read_slots},
                                         {"capacity", read_capacity},
                                         {"directory", read_directory},
                                         {0}};
  static const char *const    spill[] = {"capacity", "directory"};
  const weir__yaml           *odd;
  WEIR_TRY(weir__yaml_read(value, "policy", keys, stream));
  for (int i = 0; i < 2 && stream->policy != WEIR__POLICY_SPILL; i++)
    if ((odd = weir__yaml_get(value, spill[i])))
      return WEIR__YAML_FAIL(odd, "%s belongs to when_full: spill; this stream has %s", spill[i],
                             weir__recipe_when_full[stream->policy]);
  if (stream->policy == WEIR__POLICY_SPILL && !stream->spill_bytes)
    return WEIR__YAML_FAIL(value, "policy: spill needs a capacity for each process of the simulation, such as "
                                  "capacity: 20 GB");
  bool waits = stream->policy == WEIR__POLICY_BLOCK || stream->policy == WEIR__POLICY_SPILL;
  if (!waits && (odd = weir__yaml_get(value, "fallback")))
    return WEIR__YAML_FAIL(odd, "fallback belongs to block and spill; %s never waits",
                           weir__recipe_when_full[stream->policy]);
  return WEIR_OK;
}

weir_status weir__recipe_read_restart(weir__recipe_stream *stream, const weir__yaml *value) {
  int yes = plain_bool(value);
  if (!yes) return WEIR_OK;
  if (yes < 0) WEIR_TRY(weir__yaml_to_text(value, "restart", &stream->restart.text));
  stream->restarts      = true;
  stream->restart.place = weir__recipe_text_of(value).place;
  return WEIR_OK;
}

/* ---- checkpoint: ---- */

/* "100 steps" or a time. */
static weir_status read_interval(void *context, const weir__yaml *value) {
  weir__recipe *self = context;
  char          number[24];
  size_t        length   = value->kind == WEIR__YAML_TEXT ? strspn(value->text, "0123456789") : 0;
  self->checkpoint_place = value->place;
  if (length && length < sizeof number) {
    const char *unit = value->text + length + strspn(value->text + length, " ");
    memcpy(number, value->text, length);
    number[length] = 0;
    if (!strcmp(unit, "steps") || !strcmp(unit, "step")) {
      if (weir__text_to_int64(number, &self->checkpoint_steps) && self->checkpoint_steps > 0) return WEIR_OK;
      return WEIR__YAML_FAIL(value, "every is %s, expected at least 1 step", value->text);
    }
    if (*unit && weir__recipe_read_duration(value, "every", &self->checkpoint_s) >= 0) return WEIR_OK;
  } else if (value->kind == WEIR__YAML_TEXT && weir__recipe_read_duration(value, "every", &self->checkpoint_s) >= 0)
    return WEIR_OK;
  return WEIR__YAML_FAIL(value, "every: expected steps or a time, such as 100 steps or 10 s%s%s%s",
                         value->kind == WEIR__YAML_TEXT ? ", got \"" : "",
                         value->kind == WEIR__YAML_TEXT ? value->text : "", value->kind == WEIR__YAML_TEXT ? "\"" : "");
}

static weir_status read_durable(void *context, const weir__yaml *value) {
  static const char *const words[] = {"process", "node", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "durable", words, &word));
  ((weir__recipe *)context)->durable = word == 1;
  return WEIR_OK;
}

weir_status weir__recipe_read_checkpoint(weir__recipe *recipe, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"every", read_interval}, {"durable", read_durable}, {0}};
  if (value->kind != WEIR__YAML_TEXT) return weir__yaml_read(value, "checkpoint", keys, recipe);
  int yes = plain_bool(value);
  if (yes < 0)
    return WEIR__YAML_FAIL(value, "checkpoint: expected yes, no or a map such as {every: 10 s}, got \"%s\"",
                           value->text);
  recipe->no_checkpoint = !yes;
  return WEIR_OK;
}

/* ---- recovery: ---- */

static weir_status read_retries(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "retries", 0, RETRIES_MAX, &n));
  ((weir__recipe *)context)->retries = (int)n;
  return WEIR_OK;
}

static weir_status read_backoff(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "backoff", &((weir__recipe *)context)->backoff_s);
}

static weir_status read_heartbeat(void *context, const weir__yaml *value) {
  double *seconds = &((weir__recipe *)context)->heartbeat_s;
  if (!plain_bool(value)) {
    *seconds = 0;
    return WEIR_OK;
  }
  WEIR_TRY(weir__recipe_read_seconds(value, "heartbeat", seconds));
  if (*seconds >= HEARTBEAT_LEAST) return WEIR_OK;
  return WEIR__YAML_FAIL(value,
                         "heartbeat is %s, expected at least %d s (a worker says once a second that it lives), "
                         "or no",
                         value->text, HEARTBEAT_LEAST);
}

weir_status weir__recipe_read_recovery(weir__recipe *recipe, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {
      {"retries", read_retries}, {"backoff", read_backoff}, {"heartbeat", read_heartbeat}, {0}};
  return weir__yaml_read(value, "recovery", keys, recipe);
}

/* ---- the whole ---- */

void weir__recipe_recovery_defaults(weir__recipe *recipe) {
  recipe->retries     = RETRIES_DEFAULT;
  recipe->backoff_s   = BACKOFF_S;
  recipe->heartbeat_s = HEARTBEAT_S;
}

/* A step keeps its place until the checkpoint after it; the next checkpoint would never come if all places were taken
 * before. Spilled steps have places of their own. */
weir_status weir__recipe_recovery_check(const weir__recipe *recipe) {
  const weir__recipe_stream *s     = &recipe->stream;
  int                        slots = s->slots ? s->slots : WEIR__CHANNEL_SLOTS_DEFAULT;
  if (s->placement == WEIR__PLACEMENT_INLINE) return WEIR_OK; /* done with when they end: no step keeps a place */
  if (s->is_files || s->policy == WEIR__POLICY_SPILL || recipe->checkpoint_steps <= slots) return WEIR_OK;
  const weir__place *at = &recipe->checkpoint_place;
  if (recipe->checkpoint_steps > WEIR__CHANNEL_SLOTS_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s:%d:%d: a checkpoint every %" PRId64 " steps needs %" PRId64
                     " slots, more than the %d there can be; use when_full: spill or checkpoint more often",
                     recipe->file, at->line, at->column, recipe->checkpoint_steps, recipe->checkpoint_steps,
                     WEIR__CHANNEL_SLOTS_MAX);
  return WEIR_FAIL(WEIR_ERR_INPUT,
                   "%s:%d:%d: a checkpoint every %" PRId64 " steps needs %" PRId64
                   " slots; with %s there are %d (policy: {slots: %" PRId64 "}, or when_full: spill)",
                   recipe->file, at->line, at->column, recipe->checkpoint_steps, recipe->checkpoint_steps,
                   weir__recipe_when_full[s->policy], slots, recipe->checkpoint_steps);
}
