/* The top level of a recipe; its streams and outputs are read in recipe_stream.c and recipe_outputs.c. */
#include "run/recipe.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

enum { THREADS_MAX = 1024, WORKERS_MAX = 1 << 20, IN_FLIGHT_MAX = 64, NAME_MAX_BYTES = 63 };

/* ---- small pieces ---- */

weir__recipe_text weir__recipe_text_of(const weir__yaml *value) {
  weir__recipe_text text = {value->text, value->place};
  if (value->quoted) text.place.column++;
  return text;
}

bool weir__recipe_is_name(const char *text) {
  if (!isalpha((unsigned char)*text) && *text != '_') return false;
  for (; *text; text++)
    if (!isalnum((unsigned char)*text) && *text != '_') return false;
  return true;
}

weir_status weir__recipe_read_duration(const weir__yaml *value, const char *what, double *seconds) {
  static const struct {
    const char *name;
    double      seconds;
  } units[] = {{"us", 1e-6},    {"ms", 1e-3},   {"s", 1},        {"second", 1},  {"seconds", 1},
               {"min", 60},     {"minute", 60}, {"minutes", 60}, {"h", 3600},    {"hour", 3600},
               {"hours", 3600}, {"d", 86400},   {"day", 86400},  {"days", 86400}};
  char   number[64];
  size_t length = value->kind == WEIR__YAML_TEXT ? strcspn(value->text, " abcdfghijklmnopqrstuvwxyz") : 0;
  if (length && length < sizeof number) {
    const char *unit = value->text + length + strspn(value->text + length, " ");
    memcpy(number, value->text, length);
    number[length] = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
      if (!strcmp(unit, units[i].name) && weir__text_to_double(number, seconds) && isfinite(*seconds) && *seconds > 0) {
        *seconds *= units[i].seconds;
        return WEIR_OK;
      }
  }
  return WEIR__YAML_FAIL(value, "%s: expected a positive number with us, ms, s, min, h or d, such as 6 h%s%s%s", what,
                         value->kind == WEIR__YAML_TEXT ? ", got \"" : "",
                         value->kind == WEIR__YAML_TEXT ? value->text : "", value->kind == WEIR__YAML_TEXT ? "\"" : "");
}

weir_status weir__recipe_read_chunks(weir__arena *arena, const weir__yaml *value, const weir__chunk_size **chunk,
                                     int *chunks) {
  weir__chunk_size *sizes;
  if (value->kind != WEIR__YAML_MAP || !value->count)
    return WEIR__YAML_FAIL(value, "chunks: expected sizes by dimension, such as {y: 32, x: 32}");
  WEIR_TRY(weir__arena_alloc(arena, (size_t)value->count * sizeof *sizes, &sizes));
  for (int i = 0; i < value->count; i++) {
    sizes[i].dimension = value->key[i]->text;
    WEIR_TRY(weir__yaml_to_int(value->item[i], "chunks", 1, INT64_MAX / 2, &sizes[i].size));
  }
  *chunk  = sizes;
  *chunks = value->count;
  return WEIR_OK;
}

weir_status weir__recipe_check_name(const weir__yaml *key, const char *what) {
  if (weir__recipe_is_name(key->text)) return WEIR_OK;
  return WEIR__YAML_FAIL(key, "%s \"%s\": expected a name of letters, digits and _ that does not start with a digit",
                         what, key->text);
}

/* ---- keys of the top level ---- */

static weir_status read_run(void *context, const weir__yaml *value) {
  weir__recipe *self = context;
  WEIR_TRY(weir__yaml_to_text(value, "run", &self->run));
  for (const char *c = self->run; *c; c++)
    if ((!isalnum((unsigned char)*c) && !strchr("-_.", *c)) || self->run[0] == '.' || self->run[0] == '-' ||
        c - self->run >= NAME_MAX_BYTES)
      return WEIR__YAML_FAIL(value, "run: expected a name of letters, digits, - _ and ., got \"%s\"", self->run);
  return WEIR_OK;
}

static weir_status read_stream(void *context, const weir__yaml *value) {
  weir__recipe *self = context;
  return weir__recipe_read_stream(self, value, &self->stream);
}

static weir_status read_streams(void *context, const weir__yaml *value) {
  return weir__recipe_read_streams(context, value);
}

static weir_status read_parameters(void *context, const weir__yaml *value) {
  weir__recipe *self = context;
  return weir__recipe_read_parameters(&self->arena, value, &self->parameter, &self->parameters);
}

static weir_status read_rules(void *context, const weir__yaml *value) {
  return weir__recipe_read_rules(context, value);
}

static weir_status read_feedback(void *context, const weir__yaml *value) {
  return weir__recipe_read_feedback(context, value);
}

static weir_status read_steering(void *context, const weir__yaml *value) {
  return weir__recipe_read_steering(context, value);
}

static weir_status read_reproducible(void *context, const weir__yaml *value) {
  bool yes;
  (void)context;
  WEIR_TRY(weir__yaml_to_bool(value, "reproducible", &yes));
  return yes ? WEIR_OK : WEIR__YAML_FAIL(value, "reproducible: no is not available in this version");
}

static weir_status read_fields(void *context, const weir__yaml *value) {
  weir__recipe       *self = context;
  weir__recipe_field *field;
  if (value->kind != WEIR__YAML_MAP) return WEIR__YAML_FAIL(value, "fields: expected names with expressions");
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)value->count * sizeof *field, &field));
  for (int i = 0; i < value->count; i++) {
    WEIR_TRY(weir__recipe_check_name(value->key[i], "field"));
    if (value->item[i]->kind != WEIR__YAML_TEXT || !*value->item[i]->text)
      return WEIR__YAML_FAIL(value->item[i], "%s: expected an expression, such as 0.5 * (u^2 + v^2)",
                             value->key[i]->text);
    field[i] = (weir__recipe_field){value->key[i]->text, value->key[i]->place, weir__recipe_text_of(value->item[i])};
  }
  self->field  = field;
  self->fields = value->count;
  return WEIR_OK;
}

static weir_status read_outputs(void *context, const weir__yaml *value) {
  return weir__recipe_read_outputs(context, value);
}

static weir_status read_operators(void *context, const weir__yaml *value) {
  weir__recipe            *self = context;
  const weir__yaml *const *item;
  weir__recipe_text       *file;
  WEIR_TRY(weir__yaml_to_texts(&self->arena, value, "operators", &item, &self->operator_files));
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)self->operator_files * sizeof *file, &file));
  for (int i = 0; i < self->operator_files; i++) file[i] = weir__recipe_text_of(item[i]);
  self->operator_file = file;
  return WEIR_OK;
}

static weir_status read_on_failure(void *context, const weir__yaml *value) {
  return weir__recipe_read_on_failure(context, value);
}

static weir_status read_check_finite(void *context, const weir__yaml *value) {
  return weir__recipe_read_check_finite(context, value);
}

/* ---- execution and launch ---- */

static weir_status read_workers(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "workers", 1, WORKERS_MAX, &n));
  ((weir__recipe *)context)->workers = (int)n;
  return WEIR_OK;
}

static weir_status read_threads(void *context, const weir__yaml *value) {
  int64_t n = -1;
  if (value->kind != WEIR__YAML_TEXT || strcmp(value->text, "auto"))
    WEIR_TRY(weir__yaml_to_int(value, "threads", 0, THREADS_MAX, &n));
  ((weir__recipe *)context)->threads = (int)n;
  return WEIR_OK;
}

static weir_status read_in_flight(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "steps_in_flight", 1, IN_FLIGHT_MAX, &n));
  ((weir__recipe *)context)->steps_in_flight = (int)n;
  return WEIR_OK;
}

static weir_status read_share(void *context, const weir__yaml *value) {
  static const char *const words[] = {"steps", "chunks", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "share", words, &word));
  ((weir__recipe *)context)->share = word ? WEIR__SHARE_CHUNKS : WEIR__SHARE_STEPS;
  return WEIR_OK;
}

static weir_status read_pin(void *context, const weir__yaml *value) {
  return weir__yaml_to_bool(value, "pin", &((weir__recipe *)context)->pin);
}

static weir_status read_trace(void *context, const weir__yaml *value) {
  return weir__yaml_to_text(value, "trace", &((weir__recipe *)context)->trace);
}

static weir_status read_execution(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"workers", read_workers},
                                        {"threads", read_threads},
                                        {"steps_in_flight", read_in_flight},
                                        {"share", read_share},
                                        {"pin", read_pin},
                                        {"trace", read_trace},
                                        {"placement", NULL},
                                        {0}};
  return weir__yaml_read(value, "execution", keys, context);
}

static weir_status read_launch_line(const weir__yaml *value, const char *what, weir__recipe_text *line) {
  const char *text;
  WEIR_TRY(weir__yaml_to_text(value, what, &text));
  if (!strstr(text, "{command}"))
    return WEIR__YAML_FAIL(value, "%s: expected {command} in the line, such as mpirun -n {n} {command}", what);
  *line = weir__recipe_text_of(value);
  return WEIR_OK;
}

static weir_status read_launch_workers(void *context, const weir__yaml *value) {
  return read_launch_line(value, "workers", &((weir__recipe *)context)->launch_workers);
}

static weir_status read_launch_simulation(void *context, const weir__yaml *value) {
  return read_launch_line(value, "simulation", &((weir__recipe *)context)->launch_simulation);
}

static weir_status read_launch(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"workers", read_launch_workers}, {"simulation", read_launch_simulation}, {0}};
  return weir__yaml_read(value, "launch", keys, context);
}

/* ---- recovery ---- */

static weir_status read_checkpoint(void *context, const weir__yaml *value) {
  return weir__recipe_read_checkpoint(context, value);
}

static weir_status read_recovery(void *context, const weir__yaml *value) {
  return weir__recipe_read_recovery(context, value);
}

/* ---- the whole ---- */

static const weir__yaml_key top_keys[] = {{"run", read_run},
                                          {"stream", read_stream},
                                          {"streams", read_streams},
                                          {"parameters", read_parameters},
                                          {"fields", read_fields},
                                          {"outputs", read_outputs},
                                          {"execution", read_execution},
                                          {"operators", read_operators},
                                          {"launch", read_launch},
                                          {"on_failure", read_on_failure},
                                          {"check_finite", read_check_finite},
                                          {"rules", read_rules},
                                          {"feedback", read_feedback},
                                          {"steering", read_steering},
                                          {"members", NULL},
                                          {"placement", NULL},
                                          {"replay", NULL},
                                          {"checkpoint", read_checkpoint},
                                          {"recovery", read_recovery},
                                          {"reproducible", read_reproducible},
                                          {"models", NULL},
                                          {"live", NULL},
                                          {0}};

/* The file's name without folders and ending, with what a run's name cannot hold replaced. */
static weir_status default_run(weir__recipe *self) {
  const char *slash = strrchr(self->file, '/');
  char       *name;
  WEIR_TRY(weir__arena_alloc(&self->arena, NAME_MAX_BYTES + 1, &name));
  strncpy(name, slash ? slash + 1 : self->file, NAME_MAX_BYTES);
  char *dot = strrchr(name, '.');
  if (dot && dot > name) *dot = 0;
  for (char *c = name; *c; c++)
    if (!isalnum((unsigned char)*c) && !strchr("-_.", *c)) *c = '_';
  if (name[0] == '.' || name[0] == '-') name[0] = '_';
  self->run = *name ? name : "run";
  return WEIR_OK;
}

/* obs.eta is a field of the stream obs, so nothing else is called obs. */
static weir_status check_stream_name(const weir__recipe *self, const weir__recipe_stream *stream) {
  for (int i = 0; stream->name && i < self->fields; i++)
    if (!strcmp(self->field[i].name, stream->name))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the field %s has the name of a stream", self->file,
                       self->field[i].place.line, self->field[i].place.column, stream->name);
  for (int i = 0; stream->name && i < self->parameters; i++)
    if (!strcmp(self->parameter[i].name, stream->name))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the parameter %s has the name of a stream", self->file,
                       self->parameter[i].place.line, self->parameter[i].place.column, stream->name);
  return WEIR_OK;
}

static weir_status check_share(const weir__recipe *self, const weir__yaml *root) {
  const weir__yaml *execution = weir__yaml_get(root, "execution");
  const weir__yaml *share     = execution ? weir__yaml_get(execution, "share") : NULL;
  if (!share || self->stream.is_files) return WEIR_OK;
  return WEIR__YAML_FAIL(share,
                         "share belongs to a stream of files or images; the steps of a simulation are shared out "
                         "by chunks");
}

static weir_status check_whole(weir__recipe *self, const weir__yaml *root) {
  const weir__yaml *both = weir__yaml_get(root, "streams");
  if (both && weir__yaml_get(root, "stream"))
    return WEIR__YAML_FAIL(both, "stream and streams are both given, expected one of them");
  if (!both && !weir__yaml_get(root, "stream"))
    return WEIR__YAML_FAIL(root, "stream is missing, expected one with simulation:, files: or images:");
  bool asks = self->outputs > 0; /* for steps of the simulation */
  for (int i = 0; i < self->rules; i++) asks |= self->rule[i].every.text != NULL;
  for (int i = 0; i < self->feedbacks; i++) asks |= self->feedback[i].every.text != NULL;
  if (!asks)
    return WEIR__YAML_FAIL(root, "outputs is missing: nothing would be kept, and no feedback and no rule says every:");
  for (int i = 0; i < self->fields; i++)
    for (int k = 0; k < self->parameters; k++)
      if (!strcmp(self->field[i].name, self->parameter[k].name))
        return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the field %s has the name of a parameter", self->file,
                         self->field[i].place.line, self->field[i].place.column, self->field[i].name);
  if (self->stream.join.how)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: join belongs to files beside the leading stream; this one leads",
                     self->file, self->stream.join.place.line, self->stream.join.place.column);
  WEIR_TRY(check_share(self, root));
  WEIR_TRY(check_stream_name(self, &self->stream));
  for (int i = 0; i < self->joins; i++) WEIR_TRY(check_stream_name(self, &self->joined[i]));
  WEIR_TRY(weir__recipe_recovery_check(self));
  WEIR_TRY(weir__recipe_check_steering(self));
  return self->run ? WEIR_OK : default_run(self);
}

weir_status weir__recipe_parse(const char *file, const char *bytes, size_t size, weir__recipe **recipe) {
  weir__recipe     *self;
  const weir__yaml *root;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->threads = -1;
  weir__recipe_recovery_defaults(self);
  weir_status status = weir__arena_string(&self->arena, file, &self->file);
  if (status >= 0) status = weir__yaml_parse(&self->arena, self->file, bytes, size, &root);
  if (status >= 0 && root->kind != WEIR__YAML_MAP)
    status = WEIR__YAML_FAIL(root, "a recipe holds keys with values, such as run: NAME");
  if (status >= 0) status = weir__yaml_read(root, "the recipe", top_keys, self);
  if (status >= 0) status = check_whole(self, root);
  if (status < 0) {
    weir__recipe_destroy(&self);
    return status;
  }
  *recipe = self;
  return WEIR_OK;
}

weir_status weir__recipe_load(const char *path, const char *shown, weir__recipe **recipe) {
  weir__arena arena  = {0};
  const char *bytes  = NULL;
  size_t      size   = 0;
  weir_status status = weir__yaml_load(&arena, path, &bytes, &size);
  if (status >= 0) status = weir__recipe_parse(shown ? shown : path, bytes, size, recipe);
  weir__arena_clear(&arena);
  return status;
}

void weir__recipe_destroy(weir__recipe **recipe) {
  weir__recipe *self = *recipe;
  if (!self) return;
  weir__arena arena = self->arena;
  weir__free(self);
  weir__arena_clear(&arena);
  *recipe = NULL;
}

weir_status weir__recipe_set(weir__recipe *recipe, const char *assignment) {
  const char *equals = strchr(assignment, '=');
  double      value;
  if (!equals || equals == assignment || !weir__text_to_double(equals + 1, &value) || !isfinite(value))
    return WEIR_FAIL(WEIR_ERR_INPUT, "--set %s: expected name=number", assignment);
  size_t       length = (size_t)(equals - assignment);
  const char **names;
  for (int i = 0; i < recipe->parameters; i++) {
    weir__recipe_parameter *p = &recipe->parameter[i];
    if (strlen(p->name) != length || strncmp(p->name, assignment, length)) continue;
    if (value < p->least || value > p->most)
      return WEIR_FAIL(WEIR_ERR_INPUT, "--set %s: expected %g to %g", assignment, p->least, p->most);
    p->value = value;
    return WEIR_OK;
  }
  WEIR_TRY(weir__arena_alloc(&recipe->arena, ((size_t)recipe->parameters + 1) * sizeof *names, &names));
  for (int i = 0; i < recipe->parameters; i++) names[i] = recipe->parameter[i].name;
  char wanted[64] = "";
  strncpy(wanted, assignment, length < sizeof wanted - 1 ? length : sizeof wanted - 1);
  const char *near = weir__text_nearest(wanted, names, (size_t)recipe->parameters);
  return WEIR_FAIL(WEIR_ERR_INPUT, "--set %s: %s has no parameter %s%s%s%s", assignment, recipe->file, wanted,
                   near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}
