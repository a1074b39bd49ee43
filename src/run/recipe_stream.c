/* `stream:` of a recipe, and schemas: what is known of a stream before it exists. */
#include "run/recipe.h"
#include <string.h>

static const double DEFAULT_TIMEOUT_S = 600; /* DECISIONS: block with a time-out */

const char *const weir__placements[] = {"node", "transit", "inline", NULL};

typedef struct reading {
  weir__recipe        *recipe;
  weir__recipe_stream *stream;
  bool                 simulation, files, images;
  const weir__yaml    *image_key; /* the first that only images have */
} reading;

/* ---- simulation ---- */

static weir_status read_policy(void *context, const weir__yaml *value) {
  return weir__recipe_read_policy(((reading *)context)->stream, value);
}

static weir_status read_restart(void *context, const weir__yaml *value) {
  return weir__recipe_read_restart(((reading *)context)->stream, value);
}

static weir_status read_attach(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "attach", &((reading *)context)->stream->attach_s);
}

static weir_status read_placement(void *context, const weir__yaml *value) {
  int word;
  WEIR_TRY(weir__yaml_to_choice(value, "placement", weir__placements, &word));
  ((reading *)context)->stream->placement = (weir__placement)word;
  return WEIR_OK;
}

static weir_status read_simulation(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"policy", read_policy},   {"attach", read_attach},
                                        {"restart", read_restart}, {"placement", read_placement},
                                        {"delay", NULL},           {0}};
  ((reading *)context)->simulation   = true;
  return weir__yaml_read(value, "simulation", keys, context);
}

/* ---- files ---- */

static weir_status read_files(void *context, const weir__yaml *value) {
  reading                 *r = context;
  const weir__yaml *const *item;
  weir__recipe_text       *file;
  r->files = r->stream->is_files = true;
  WEIR_TRY(weir__yaml_to_texts(&r->recipe->arena, value, "files", &item, &r->stream->files));
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)r->stream->files * sizeof *file, &file));
  for (int i = 0; i < r->stream->files; i++) file[i] = weir__recipe_text_of(item[i]);
  r->stream->file = file;
  return WEIR_OK;
}

static weir_status read_time(void *context, const weir__yaml *value) {
  return weir__yaml_to_text(value, "time", &((reading *)context)->stream->time);
}

/* ---- images: all keys at once, as they say one thing ---- */

static weir_status read_images(void *context, const weir__yaml *value) {
  (void)value;
  ((reading *)context)->images = ((reading *)context)->stream->is_files = true;
  return WEIR_OK;
}

static weir_status note_image_key(void *context, const weir__yaml *value) {
  if (!((reading *)context)->image_key) ((reading *)context)->image_key = value;
  return WEIR_OK;
}

/* ---- both ---- */

static weir_status read_chunks(void *context, const weir__yaml *value) {
  reading *r              = context;
  r->stream->as_published = value->kind == WEIR__YAML_TEXT && !strcmp(value->text, "as-published");
  if (r->stream->as_published) return WEIR_OK;
  return weir__recipe_read_chunks(&r->recipe->arena, value, &r->stream->chunk, &r->stream->chunks);
}

static weir_status read_holes(void *context, const weir__yaml *value) {
  static const char *const words[] = {"refuse", "fill", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "holes", words, &word));
  ((reading *)context)->stream->holes = word == 1;
  return WEIR_OK;
}

static weir_status read_expects(void *context, const weir__yaml *value) {
  reading *r             = context;
  r->stream->has_expects = true;
  if (value->kind == WEIR__YAML_TEXT && *value->text) {
    weir_status status = weir__recipe_schema_load(&r->recipe->arena, value->text, &r->stream->expects);
    return status < 0 ? weir__error_prefix(status, "%s:%d:%d: expects", value->place.file, value->place.line,
                                           value->place.column)
                      : status;
  }
  return weir__recipe_schema_read(&r->recipe->arena, value, &r->stream->expects);
}

static weir_status read_join(void *context, const weir__yaml *value) {
  return weir__recipe_read_join(((reading *)context)->stream, value);
}

static weir_status check_stream(const reading *r, const weir__yaml *value) {
  const weir__yaml *odd;
  int               given = r->simulation + r->files + r->images;
  if (given != 1)
    return WEIR__YAML_FAIL(value, "a stream has either simulation: or files: or images:, %s given",
                           given == 3   ? "all are"
                           : given == 2 ? "two are"
                                        : "none is");
  if (!r->images && r->image_key)
    return WEIR__YAML_FAIL(r->image_key, "subset, start, stop, step, dt, rate, raw, names, pixel, up, origin, mask and "
                                         "watch belong to a stream of images");
  const weir__yaml *simulation = weir__yaml_get(value, "simulation");
  if (r->stream->placement == WEIR__PLACEMENT_INLINE && (odd = weir__yaml_get(simulation, "policy")))
    return WEIR__YAML_FAIL(odd, "policy is for workers that are behind; with placement: inline every step is done when "
                                "it ends");
  if (r->simulation && (odd = weir__yaml_get(value, "time")))
    return WEIR__YAML_FAIL(odd, "time belongs to a stream of files; a simulation says its times itself");
  if (r->images && (odd = weir__yaml_get(value, "time")))
    return WEIR__YAML_FAIL(odd, "time belongs to a stream of files; the times of images follow from dt: or rate:");
  if (r->stream->is_files && (odd = weir__yaml_get(value, "expects")))
    return WEIR__YAML_FAIL(odd, "expects belongs to a simulation; files are looked into");
  if (r->stream->is_files && (odd = weir__yaml_get(value, "holes")))
    return WEIR__YAML_FAIL(odd, "holes belongs to a simulation; files have none");
  if (r->stream->is_files && r->stream->as_published)
    return WEIR__YAML_FAIL(weir__yaml_get(value, "chunks"),
                           "chunks: as-published belongs to a simulation, expected sizes by dimension");
  return WEIR_OK;
}

weir_status weir__recipe_read_stream(weir__recipe *recipe, const weir__yaml *value, weir__recipe_stream *stream) {
  static const weir__yaml_key keys[] = {{"simulation", read_simulation},
                                        {"files", read_files},
                                        {"time", read_time},
                                        {"chunks", read_chunks},
                                        {"holes", read_holes},
                                        {"expects", read_expects},
                                        {"join", read_join},
                                        {"members", NULL},
                                        {"placement", NULL},
                                        {"images", read_images},
                                        {"subset", note_image_key},
                                        {"start", note_image_key},
                                        {"stop", note_image_key},
                                        {"step", note_image_key},
                                        {"dt", note_image_key},
                                        {"rate", note_image_key},
                                        {"raw", note_image_key},
                                        {"names", note_image_key},
                                        {"pixel", note_image_key},
                                        {"up", note_image_key},
                                        {"origin", note_image_key},
                                        {"mask", note_image_key},
                                        {"watch", note_image_key},
                                        {"zarr", NULL},
                                        {0}};
  reading                     r      = {.recipe = recipe, .stream = stream};
  stream->place                      = value->place;
  stream->timeout_s = stream->attach_s = DEFAULT_TIMEOUT_S;
  WEIR_TRY(weir__yaml_read(value, "stream", keys, &r));
  WEIR_TRY(check_stream(&r, value));
  return r.images ? weir__recipe_read_images(recipe, value, stream) : WEIR_OK;
}
