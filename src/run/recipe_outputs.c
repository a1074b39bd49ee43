/* `outputs:` of a recipe. */
#include "run/recipe.h"
#include <ctype.h>
#include <string.h>

const char *const weir__recipe_output_kinds[] = {"zarr", "csv", "plot", "vtk", "fluidimage", "netcdf"};
const char *const weir__recipe_codecs[]       = {"blosc", "zstd", "zlib", "none", NULL};
const char *const weir__recipe_colormaps[]    = {"auto", "sequential", "diverging", NULL};
const char *const weir__recipe_scales[]       = {"auto", "linear", "logarithmic", NULL};

enum { LEVEL_MAX = 22, ZLIB_LEVEL_MAX = 9 };

typedef struct reading {
  weir__recipe            *recipe;
  weir__recipe_output     *out;
  const weir__yaml        *shown[3]; /* plot: field, and the components of vectors */
  const weir__yaml        *vectors;  /* vtk */
  const weir__yaml *const *field;    /* of `fields` */
  int                      fields;
} reading;

/* ---- names of fields in an output ---- */

/* A name is itself; an expression becomes one that is fit for a folder or a column: "mean(ke)" is mean_ke. */
static weir_status name_field(weir__arena *arena, const char *text, const char **name) {
  size_t length = strlen(text), n = 0;
  char  *out;
  WEIR_TRY(weir__arena_alloc(arena, length + 2, &out));
  for (size_t i = 0; i < length; i++) {
    bool plain = isalnum((unsigned char)text[i]) || text[i] == '.' || text[i] == '_';
    if (plain) out[n++] = text[i];
    else if (n && out[n - 1] != '_') out[n++] = '_';
  }
  while (n > 1 && out[n - 1] == '_') n--;
  out[n] = 0;
  *name  = n && strcmp(out, "_") ? out : "value";
  return WEIR_OK;
}

static weir_status keep_fields(reading *r, const weir__yaml *const *item, int count) {
  weir__recipe_text *field;
  const char       **name;
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)count * sizeof *field, &field));
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)count * sizeof *name, &name));
  for (int i = 0; i < count; i++) {
    field[i] = weir__recipe_text_of(item[i]);
    WEIR_TRY(name_field(&r->recipe->arena, item[i]->text, &name[i]));
    for (int k = 0; k < i && r->out->kind != WEIR__OUTPUT_PLOT; k++)
      if (!strcmp(name[i], name[k])) return WEIR__YAML_FAIL(item[i], "%s is given twice in this output", name[i]);
  }
  r->out->field  = field;
  r->out->name   = name;
  r->out->fields = count;
  return WEIR_OK;
}

/* ---- keys ---- */

static weir_status read_path(void *context, const weir__yaml *value) {
  const char *text;
  WEIR_TRY(weir__yaml_to_text(value, "path", &text));
  ((reading *)context)->out->path = weir__recipe_text_of(value);
  return WEIR_OK;
}

static weir_status read_fields(void *context, const weir__yaml *value) {
  reading                 *r = context;
  const weir__yaml *const *item;
  int                      count;
  WEIR_TRY(weir__yaml_to_texts(&r->recipe->arena, value, "fields", &item, &count));
  r->field  = item;
  r->fields = count;
  return keep_fields(r, item, count);
}

static weir_status read_field(void *context, const weir__yaml *value) {
  const char *text;
  WEIR_TRY(weir__yaml_to_text(value, "field", &text));
  ((reading *)context)->shown[0] = value;
  return WEIR_OK;
}

static weir_status read_vectors(void *context, const weir__yaml *value) {
  reading    *r = context;
  const char *text;
  if (value->kind != WEIR__YAML_LIST || value->count != 2)
    return WEIR__YAML_FAIL(value, "vectors: expected two fields, [along x, along y]");
  for (int i = 0; i < 2; i++) {
    WEIR_TRY(weir__yaml_to_text(value->item[i], "vectors", &text));
    r->shown[1 + i] = value->item[i];
  }
  return WEIR_OK;
}

weir_status weir__recipe_read_every(const weir__yaml *value, weir__every *every) {
  int64_t steps;
  every->place = value->place;
  if (value->kind == WEIR__YAML_TEXT && weir__text_to_int64(value->text, &steps)) {
    if (steps < 1) return WEIR__YAML_FAIL(value, "every is %s, expected at least 1 step", value->text);
    every->steps = steps;
    every->text  = value->text;
    return WEIR_OK;
  }
  WEIR_TRY(weir__recipe_read_duration(value, "every", &every->seconds));
  every->text = value->text;
  return WEIR_OK;
}

static weir_status read_every(void *context, const weir__yaml *value) {
  return weir__recipe_read_every(value, &((reading *)context)->out->every);
}

static weir_status read_name(void *context, const weir__yaml *value) {
  weir__recipe_output *out = ((reading *)context)->out;
  const char          *text;
  WEIR_TRY(weir__yaml_to_text(value, "name", &text));
  if (!weir__recipe_is_name(text))
    return WEIR__YAML_FAIL(value, "name \"%s\": expected letters, digits and _, no digit first", text);
  out->called = weir__recipe_text_of(value);
  return WEIR_OK;
}

static weir_status read_active(void *context, const weir__yaml *value) {
  bool active;
  WEIR_TRY(weir__yaml_to_bool(value, "active", &active));
  ((reading *)context)->out->inactive = !active;
  return WEIR_OK;
}

static weir_status read_codec(void *context, const weir__yaml *value) {
  int word;
  WEIR_TRY(weir__yaml_to_choice(value, "codec", weir__recipe_codecs, &word));
  ((reading *)context)->out->codec = weir__recipe_codecs[word];
  return WEIR_OK;
}

static weir_status read_level(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "level", 1, LEVEL_MAX, &n));
  ((reading *)context)->out->level = (int)n;
  return WEIR_OK;
}

static weir_status read_zlib_codec(void *context, const weir__yaml *value) {
  static const char *const codecs[] = {"zlib", "none", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "codec", codecs, &word));
  ((reading *)context)->out->codec = codecs[word];
  return WEIR_OK;
}

static weir_status read_zlib_level(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "level", 1, ZLIB_LEVEL_MAX, &n));
  ((reading *)context)->out->level = (int)n;
  return WEIR_OK;
}

static weir_status read_chunks(void *context, const weir__yaml *value) {
  reading *r = context;
  return weir__recipe_read_chunks(&r->recipe->arena, value, &r->out->chunk, &r->out->chunks);
}

static weir_status read_time_chunk(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "time_chunk", 1, 1 << 20, &((reading *)context)->out->time_chunk);
}

static weir_status read_range(void *context, const weir__yaml *value) {
  weir__recipe_output *out = ((reading *)context)->out;
  if (value->kind != WEIR__YAML_LIST || value->count != 2)
    return WEIR__YAML_FAIL(value, "range: expected [lowest, highest]");
  for (int i = 0; i < 2; i++) WEIR_TRY(weir__yaml_to_real(value->item[i], "range", &out->range[i]));
  if (!(out->range[0] < out->range[1]))
    return WEIR__YAML_FAIL(value, "range: %s is not below %s", value->item[0]->text, value->item[1]->text);
  out->has_range = true;
  return WEIR_OK;
}

static weir_status read_colormap(void *context, const weir__yaml *value) {
  return weir__yaml_to_choice(value, "colormap", weir__recipe_colormaps, &((reading *)context)->out->colormap);
}

static weir_status read_scale(void *context, const weir__yaml *value) {
  return weir__yaml_to_choice(value, "scale", weir__recipe_scales, &((reading *)context)->out->scale);
}

static weir_status read_clip(void *context, const weir__yaml *value) {
  double *clip = &((reading *)context)->out->clip;
  WEIR_TRY(weir__yaml_to_real(value, "clip", clip));
  if (*clip < 0 || *clip > 0.49) return WEIR__YAML_FAIL(value, "clip is %s, expected 0 to 0.49", value->text);
  return WEIR_OK;
}

static weir_status read_smooth(void *context, const weir__yaml *value) {
  return weir__yaml_to_bool(value, "smooth", &((reading *)context)->out->smooth);
}

/* ---- one output ---- */

static weir_status read_zarr(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"path", read_path},
                                        {"fields", read_fields},
                                        {"every", read_every},
                                        {"name", read_name},
                                        {"active", read_active},
                                        {"codec", read_codec},
                                        {"level", read_level},
                                        {"chunks", read_chunks},
                                        {"time_chunk", read_time_chunk},
                                        {"shards", NULL},
                                        {0}};
  ((reading *)context)->out->kind    = WEIR__OUTPUT_ZARR;
  return weir__yaml_read(value, "zarr", keys, context);
}

static weir_status read_netcdf(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"path", read_path},
                                        {"fields", read_fields},
                                        {"every", read_every},
                                        {"name", read_name},
                                        {"active", read_active},
                                        {"codec", read_zlib_codec},
                                        {"level", read_zlib_level},
                                        {"chunks", read_chunks},
                                        {"time_chunk", read_time_chunk},
                                        {0}};
  ((reading *)context)->out->kind    = WEIR__OUTPUT_NETCDF;
  return weir__yaml_read(value, "netcdf", keys, context);
}

static weir_status read_csv(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"path", read_path}, {"fields", read_fields}, {"every", read_every},
                                        {"name", read_name}, {"active", read_active}, {0}};
  ((reading *)context)->out->kind    = WEIR__OUTPUT_CSV;
  return weir__yaml_read(value, "csv", keys, context);
}

static weir_status read_plot(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"path", read_path},   {"field", read_field},       {"vectors", read_vectors},
                                        {"every", read_every}, {"name", read_name},         {"active", read_active},
                                        {"range", read_range}, {"colormap", read_colormap}, {"scale", read_scale},
                                        {"clip", read_clip},   {"smooth", read_smooth},     {0}};
  reading                    *r      = context;
  r->out->kind                       = WEIR__OUTPUT_PLOT;
  WEIR_TRY(weir__yaml_read(value, "plot", keys, context));
  return r->shown[0] ? keep_fields(r, r->shown, r->shown[1] ? 3 : 1) : WEIR_OK;
}

static weir_status read_vtk_codec(void *context, const weir__yaml *value) {
  static const char *const words[] = {"zlib", "none", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "codec", words, &word));
  ((reading *)context)->out->codec = words[word];
  return WEIR_OK;
}

static weir_status read_vtk_level(void *context, const weir__yaml *value) {
  int64_t n;
  WEIR_TRY(weir__yaml_to_int(value, "level", 1, ZLIB_LEVEL_MAX, &n));
  ((reading *)context)->out->level = (int)n;
  return WEIR_OK;
}

static weir_status read_named_vectors(void *context, const weir__yaml *value) {
  if (value->kind != WEIR__YAML_MAP || !value->count)
    return WEIR__YAML_FAIL(value, "vectors: expected names and their components, such as {velocity: [u, v]}");
  ((reading *)context)->vectors = value;
  return WEIR_OK;
}

/* A field that is in the list already is not taken twice. */
static weir_status component_number(const weir__yaml *value, const weir__yaml **item, int *count, int *number) {
  const char *text;
  WEIR_TRY(weir__yaml_to_text(value, "vectors", &text));
  for (*number = 0; *number < *count; ++*number)
    if (!strcmp(item[*number]->text, text)) return WEIR_OK;
  item[(*count)++] = value;
  return WEIR_OK;
}

static weir_status keep_vectors(reading *r) {
  const weir__yaml    *map = r->vectors;
  const weir__yaml   **item;
  weir__recipe_output *out   = r->out;
  int                  count = 0;
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)(r->fields + 3 * map->count) * sizeof *item, &item));
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)map->count * sizeof *out->vector, &out->vector));
  for (int i = 0; i < r->fields; i++) item[count++] = r->field[i];
  for (int i = 0; i < map->count; i++) {
    const weir__yaml *list   = map->item[i];
    weir__vtk_vector *vector = &out->vector[i];
    if (!weir__recipe_is_name(map->key[i]->text))
      return WEIR__YAML_FAIL(map->key[i], "vectors: \"%s\": expected letters, digits and _, no digit first",
                             map->key[i]->text);
    if (list->kind != WEIR__YAML_LIST || list->count < 2 || list->count > 3)
      return WEIR__YAML_FAIL(list, "%s: expected two or three fields, [along x, along y]", map->key[i]->text);
    *vector = (weir__vtk_vector){.name = map->key[i]->text, .components = list->count};
    for (int k = 0; k < list->count; k++)
      WEIR_TRY(component_number(list->item[k], item, &count, &vector->component[k]));
  }
  out->vectors = map->count;
  WEIR_TRY(keep_fields(r, item, count));
  for (int i = 0; i < out->vectors; i++)
    for (int k = 0; k < out->shown; k++)
      if (!strcmp(out->vector[i].name, out->name[k]))
        return WEIR__YAML_FAIL(map->key[i], "%s is given twice in this output", out->name[k]);
  return WEIR_OK;
}

static weir_status read_vtk(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {
      {"path", read_path},       {"fields", read_fields},   {"vectors", read_named_vectors},
      {"every", read_every},     {"name", read_name},       {"active", read_active},
      {"codec", read_vtk_codec}, {"level", read_vtk_level}, {0}};
  reading    *r = context;
  const char *ending;
  r->out->kind = WEIR__OUTPUT_VTK;
  WEIR_TRY(weir__yaml_read(value, "vtk", keys, context));
  r->out->shown = r->fields;
  if (r->vectors) WEIR_TRY(keep_vectors(r));
  if (r->out->fields > WEIR_INPUTS_MAX || r->out->vectors > WEIR_INPUTS_MAX)
    return WEIR__YAML_FAIL(value, "vtk: at most %d fields and as many vectors, %d and %d given; write several outputs",
                           WEIR_INPUTS_MAX, r->out->fields, r->out->vectors);
  if (r->out->level && (!r->out->codec || strcmp(r->out->codec, "zlib")))
    return WEIR__YAML_FAIL(weir__yaml_get(value, "level"), "level has a meaning with codec: zlib only");
  if (!r->out->path.text) return WEIR_OK; /* which is said for any output */
  ending = strrchr(r->out->path.text, '.');
  if (!ending || strcmp(ending, ".pvd") || ending == r->out->path.text || ending[-1] == '/')
    return WEIR__YAML_FAIL(weir__yaml_get(value, "path"), "path: %s: expected a name that ends in .pvd",
                           r->out->path.text);
  return WEIR_OK;
}

static weir_status read_flow(void *context, const weir__yaml *value) {
  const char *text;
  WEIR_TRY(weir__yaml_to_text(value, "flow", &text));
  if (!weir__recipe_is_name(text))
    return WEIR__YAML_FAIL(value, "flow: \"%s\": expected the name of a field that is piv(...)", text);
  ((reading *)context)->out->flow = weir__recipe_text_of(value);
  return WEIR_OK;
}

static weir_status read_fluidimage(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[]    = {{"path", read_path}, {"flow", read_flow},     {"every", read_every},
                                           {"name", read_name}, {"active", read_active}, {0}};
  static const char *const    results[] = {"u", "v", "correlation", "flag", "replaced"};
  reading                    *r         = context;
  weir__recipe_text          *field;
  const char                **name;
  r->out->kind = WEIR__OUTPUT_FLUIDIMAGE;
  WEIR_TRY(weir__yaml_read(value, "fluidimage", keys, context));
  if (!r->out->flow.text) return WEIR__YAML_FAIL(value, "fluidimage: flow is missing");
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, sizeof results / sizeof *results * sizeof *field, &field));
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, sizeof results / sizeof *results * sizeof *name, &name));
  for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
    weir__text text = {0};
    weir__text_add(&text, "%s.%s", r->out->flow.text, results[i]);
    weir_status status = weir__text_status(&text);
    if (status >= 0) status = weir__arena_string(&r->recipe->arena, text.data, &field[i].text);
    weir__text_clear(&text);
    WEIR_TRY(status);
    field[i].place = r->out->flow.place;
    name[i]        = field[i].text;
  }
  r->out->field  = field;
  r->out->name   = name;
  r->out->fields = sizeof results / sizeof *results;
  return WEIR_OK;
}

/* {step}, {step:06} and {name}: nothing else in braces, and something that tells the pictures apart. {name} is
 * replaced here. */
static weir_status read_pattern(weir__recipe *recipe, const weir__yaml *value, weir__recipe_output *out) {
  bool       distinct = false;
  weir__text text     = {0};
  for (const char *c = out->path.text; *c; c++) {
    size_t      length = *c == '{' ? strcspn(c, "}") : 0;
    const char *in     = c + 1;
    size_t      digits = length && !strncmp(in, "step:", 5) ? strspn(in + 5, "0123456789") : 0;
    bool        name   = length && !strncmp(in, "name}", 5);
    bool        step   = length && (!strncmp(in, "step}", 5) || (digits && digits < 3 && in[5 + digits] == '}'));
    if (*c == '}' || (length && (!c[length] || !(name || step)))) {
      weir__text_clear(&text);
      return WEIR__YAML_FAIL(value, "path: expected {step}, {step:06} or {name} in braces");
    }
    distinct |= step;
    if (name) weir__text_add(&text, "%s", out->name[0]);
    else weir__text_add_bytes(&text, c, length + 1);
    c += length;
  }
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = weir__arena_string(&recipe->arena, text.data, &out->path.text);
  weir__text_clear(&text);
  WEIR_TRY(status);
  if (!distinct) return WEIR__YAML_FAIL(value, "path: every picture would have this name; put {step:06} into it");
  return WEIR_OK;
}

static weir_status check_output(weir__recipe *recipe, const weir__yaml *map, weir__recipe_output *out) {
  const weir__yaml *inner = map->item[0];
  if (!out->fields)
    return WEIR__YAML_FAIL(map->key[0], "%s: %s is missing", map->key[0]->text,
                           out->kind == WEIR__OUTPUT_PLOT ? "field" : "fields");
  if (!out->path.text) return WEIR__YAML_FAIL(map->key[0], "%s: path is missing", map->key[0]->text);
  if (out->kind == WEIR__OUTPUT_PLOT) return read_pattern(recipe, weir__yaml_get(inner, "path"), out);
  if (out->codec && !strcmp(out->codec, "none") && out->level)
    return WEIR__YAML_FAIL(weir__yaml_get(inner, "level"), "level has no meaning with codec: none");
  return WEIR_OK;
}

static weir_status read_output(weir__recipe *recipe, const weir__yaml *map, weir__recipe_output *out) {
  static const weir__yaml_key keys[] = {{"zarr", read_zarr},
                                        {"csv", read_csv},
                                        {"plot", read_plot},
                                        {"vtk", read_vtk},
                                        {"fluidimage", read_fluidimage},
                                        {"netcdf", read_netcdf},
                                        {"live", NULL},
                                        {0}};
  reading                     r      = {.recipe = recipe, .out = out};
  if (map->kind != WEIR__YAML_MAP)
    return WEIR__YAML_FAIL(map, "expected an output: - zarr:, - netcdf:, - csv:, - plot:, - vtk: or - fluidimage:");
  out->place = map->place;
  WEIR_TRY(weir__yaml_read(map, "an output", keys, &r));
  if (map->count != 1) return WEIR__YAML_FAIL(map, "an output has one kind, %d keys given", map->count);
  return check_output(recipe, map, out);
}

weir_status weir__recipe_read_outputs(weir__recipe *recipe, const weir__yaml *value) {
  if (value->kind != WEIR__YAML_LIST) return WEIR__YAML_FAIL(value, "outputs: expected a list, such as - csv: {...}");
  WEIR_TRY(weir__arena_alloc(&recipe->arena, (size_t)value->count * sizeof *recipe->output, &recipe->output));
  for (int i = 0; i < value->count; i++) {
    WEIR_TRY(read_output(recipe, value->item[i], &recipe->output[i]));
    for (int k = 0; k < i; k++)
      if (!strcmp(recipe->output[i].path.text, recipe->output[k].path.text))
        return WEIR__YAML_FAIL(value->item[i], "path: %s is written by another output (line %d) already",
                               recipe->output[i].path.text, recipe->output[k].place.line);
  }
  recipe->outputs = value->count;
  return WEIR_OK;
}
