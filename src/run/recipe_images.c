/* `images:` of a stream and what goes with it. */
#include "run/recipe.h"
#include <math.h>
#include <string.h>

static const int64_t NUMBER = INT64_C(1000000000000000000), BYTES = INT64_C(1) << 50;

typedef struct reading {
  weir__recipe        *recipe;
  weir__recipe_images *images;
  weir__image_raw     *raw;
  const weir__yaml    *dt, *rate;
} reading;

/* ---- files without a header ---- */

static weir_status read_height(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "height", 1, INT32_MAX, &((reading *)context)->raw->height);
}
static weir_status read_width(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "width", 1, INT32_MAX, &((reading *)context)->raw->width);
}
static weir_status read_offset(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "offset", 0, BYTES, &((reading *)context)->raw->offset);
}
static weir_status read_stride(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "stride", 1, BYTES, &((reading *)context)->raw->stride);
}
static weir_status read_frame(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "frame", 1, BYTES, &((reading *)context)->raw->frame);
}

static weir_status read_dtype(void *context, const weir__yaml *value) {
  static const char *const words[] = {"uint8", "uint16", "float32", NULL};
  static const weir_dtype  type[]  = {WEIR_U8, WEIR_U16, WEIR_F32};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "dtype", words, &word));
  ((reading *)context)->raw->dtype = type[word];
  return WEIR_OK;
}

static weir_status read_byte_order(void *context, const weir__yaml *value) {
  static const char *const words[] = {"little", "big", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "byte_order", words, &word));
  ((reading *)context)->raw->big_endian = word == 1;
  return WEIR_OK;
}

static weir_status read_bits(void *context, const weir__yaml *value) {
  static const char *const words[] = {"10", "12", "14", "16", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "bits", words, &word));
  ((reading *)context)->raw->bits = 10 + 2 * word;
  return WEIR_OK;
}

static weir_status check_raw(const weir__image_raw *raw, const weir__yaml *value) {
  int64_t row = raw->width * (int64_t)weir_dtype_size(raw->dtype), stride = raw->stride ? raw->stride : row;
  if (!raw->height || !raw->width || !raw->dtype)
    return WEIR__YAML_FAIL(value, "raw: %s is missing, expected height, width and dtype at least",
                           !raw->height  ? "height"
                           : !raw->width ? "width"
                                         : "dtype");
  if (stride < row)
    return WEIR__YAML_FAIL(weir__yaml_get(value, "stride"), "stride: a row has %lld bytes, expected at least so many",
                           (long long)row);
  if (raw->frame && (raw->frame - row) / stride < raw->height - 1)
    return WEIR__YAML_FAIL(weir__yaml_get(value, "frame"), "frame: less than the bytes of an image (%lld rows of %lld)",
                           (long long)raw->height, (long long)stride);
  if (raw->bits && raw->dtype != WEIR_U16)
    return WEIR__YAML_FAIL(weir__yaml_get(value, "bits"), "bits belongs to dtype: uint16");
  return WEIR_OK;
}

static weir_status read_raw(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"height", read_height},         {"width", read_width},   {"dtype", read_dtype},
                                        {"offset", read_offset},         {"stride", read_stride}, {"frame", read_frame},
                                        {"byte_order", read_byte_order}, {"bits", read_bits},     {0}};
  reading                    *r      = context;
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, sizeof *r->raw, &r->raw));
  WEIR_TRY(weir__yaml_read(value, "raw", keys, r));
  r->images->raw = r->raw;
  return check_raw(r->raw, value);
}

/* ---- which ones, and when ---- */

static weir_status read_paths(void *context, const weir__yaml *value) {
  reading                 *r = context;
  const weir__yaml *const *item;
  const char             **path;
  WEIR_TRY(weir__yaml_to_texts(&r->recipe->arena, value, "images", &item, &r->images->paths));
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)r->images->paths * sizeof *path, &path));
  for (int k = 0; k < r->images->paths; k++) path[k] = item[k]->text;
  r->images->path = path;
  return WEIR_OK;
}

static weir_status read_subset(void *context, const weir__yaml *value) {
  weir__recipe_text *subset = &((reading *)context)->images->subset;
  WEIR_TRY(weir__yaml_to_text(value, "subset", &subset->text));
  subset->place = value->place;
  return WEIR_OK;
}

static weir_status read_start(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "start", -NUMBER, NUMBER, &((reading *)context)->images->start);
}
static weir_status read_stop(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "stop", -NUMBER, NUMBER, &((reading *)context)->images->stop);
}
static weir_status read_step(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "step", 1, NUMBER, &((reading *)context)->images->step);
}

static weir_status read_dt(void *context, const weir__yaml *value) {
  reading *r = context;
  r->dt      = value;
  return weir__recipe_read_seconds(value, "dt", &r->images->dt);
}

static weir_status read_rate(void *context, const weir__yaml *value) {
  reading *r = context;
  double   rate;
  r->rate = value;
  WEIR_TRY(weir__yaml_to_real(value, "rate", &rate));
  if (!(rate > 0) || !isfinite(1 / rate))
    return WEIR__YAML_FAIL(value, "rate is %s, expected images per second, more than 0", value->text);
  r->images->dt = 1 / rate;
  return WEIR_OK;
}

/* ---- coordinates ---- */

static weir_status read_pixel(void *context, const weir__yaml *value) {
  double *pixel = &((reading *)context)->images->pixel;
  WEIR_TRY(weir__yaml_to_real(value, "pixel", pixel));
  if (*pixel > 0 && isfinite(*pixel)) return WEIR_OK;
  return WEIR__YAML_FAIL(value, "pixel is %s, expected the metres that one shows, more than 0", value->text);
}

static weir_status read_up(void *context, const weir__yaml *value) {
  return weir__yaml_to_bool(value, "up", &((reading *)context)->images->up);
}

static weir_status read_origin(void *context, const weir__yaml *value) {
  weir__recipe_images *images = ((reading *)context)->images;
  if (value->kind != WEIR__YAML_LIST || value->count != 2)
    return WEIR__YAML_FAIL(value, "origin: expected the pixel [y, x] where the coordinates are 0");
  for (int k = 0; k < 2; k++) WEIR_TRY(weir__yaml_to_real(value->item[k], "origin", &images->origin[k]));
  images->has_origin = true;
  return WEIR_OK;
}

static weir_status read_names(void *context, const weir__yaml *value) {
  reading                 *r = context;
  const weir__yaml *const *item;
  weir__recipe_text       *name;
  WEIR_TRY(weir__yaml_to_texts(&r->recipe->arena, value, "names", &item, &r->images->names));
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)r->images->names * sizeof *name, &name));
  for (int k = 0; k < r->images->names; k++) {
    WEIR_TRY(weir__recipe_check_name(item[k], "image"));
    for (int j = 0; j < k; j++)
      if (!strcmp(item[j]->text, item[k]->text))
        return WEIR__YAML_FAIL(item[k], "names: %s is given twice", item[k]->text);
    name[k] = weir__recipe_text_of(item[k]);
  }
  r->images->name = name;
  return WEIR_OK;
}

/* ---- what is of no use ---- */

static weir_status read_polygon(reading *r, const weir__yaml *value, weir__recipe_mask *mask) {
  if (value->kind != WEIR__YAML_LIST || value->count < 3)
    return WEIR__YAML_FAIL(value, "mask: expected a file, or polygons, each a list of at least three pixels [y, x]");
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)value->count * sizeof *mask->point, &mask->point));
  for (int k = 0; k < value->count; k++) {
    const weir__yaml *point = value->item[k];
    if (point->kind != WEIR__YAML_LIST || point->count != 2)
      return WEIR__YAML_FAIL(point, "mask: expected a pixel [y, x], one of a polygon's corners");
    for (int i = 0; i < 2; i++) WEIR_TRY(weir__yaml_to_real(point->item[i], "mask", &mask->point[k][i]));
  }
  mask->points = value->count;
  return WEIR_OK;
}

static weir_status read_mask(void *context, const weir__yaml *value) {
  reading           *r    = context;
  bool               list = value->kind == WEIR__YAML_LIST;
  weir__recipe_mask *mask;
  int                count = list ? value->count : 1;
  if (!count) return WEIR__YAML_FAIL(value, "mask: the list is empty, expected files or polygons");
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (size_t)count * sizeof *mask, &mask));
  for (int k = 0; k < count; k++) {
    const weir__yaml *item = list ? value->item[k] : value;
    mask[k]                = (weir__recipe_mask){.place = item->place};
    if (item->kind == WEIR__YAML_TEXT) WEIR_TRY(weir__yaml_to_text(item, "mask", &mask[k].file));
    else WEIR_TRY(read_polygon(r, item, &mask[k]));
  }
  r->images->mask  = mask;
  r->images->masks = count;
  return WEIR_OK;
}

/* ---- images that are still being written ---- */

static weir_status read_end(void *context, const weir__yaml *value) {
  weir__recipe_watch *watch = context;
  WEIR_TRY(weir__yaml_to_text(value, "end", &watch->end));
  if (*watch->end && !strchr(watch->end, '/')) return WEIR_OK;
  return WEIR__YAML_FAIL(value, "end: expected the name of a file in the folder of the images, or a pattern");
}
static weir_status read_timeout(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "timeout", &((weir__recipe_watch *)context)->timeout_s);
}
static weir_status read_count(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "count", 1, NUMBER, &((weir__recipe_watch *)context)->count);
}
static weir_status read_settle(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "settle", &((weir__recipe_watch *)context)->settle_s);
}
static weir_status read_gap(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "gap", &((weir__recipe_watch *)context)->gap_s);
}

static weir_status read_watch(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"end", read_end},       {"timeout", read_timeout}, {"count", read_count},
                                        {"settle", read_settle}, {"gap", read_gap},         {0}};
  reading                    *r      = context;
  weir__recipe_watch         *watch;
  bool                        on = true;
  if (value->kind == WEIR__YAML_TEXT) WEIR_TRY(weir__yaml_to_bool(value, "watch", &on));
  if (!on) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, sizeof *watch, &watch));
  *watch = (weir__recipe_watch){.settle_s = 1, .gap_s = 10, .place = value->place};
  if (value->kind != WEIR__YAML_TEXT) WEIR_TRY(weir__yaml_read(value, "watch", keys, watch));
  r->images->watch = watch;
  return WEIR_OK;
}

/* One folder can be watched. */
static weir_status check_watch(const weir__yaml *map, const weir__recipe_images *images) {
  const char *path = images->path[0], *slash = strrchr(path, '/'), *wild = strpbrk(path, "*?[");
  if (!images->watch) return WEIR_OK;
  if (images->paths == 1 && (!wild || !slash || wild > slash)) return WEIR_OK;
  return WEIR__YAML_FAIL(weir__yaml_get(map, "watch"),
                         "watch: expected images in one folder: its name, or a pattern of the names in it");
}

/* ---- all ---- */

static weir_status pass(void *context, const weir__yaml *value) {
  (void)context;
  (void)value;
  return WEIR_OK;
}

weir_status weir__recipe_read_images(weir__recipe *recipe, const weir__yaml *map, weir__recipe_stream *stream) {
  static const weir__yaml_key keys[] = {{"images", read_paths},
                                        {"subset", read_subset},
                                        {"start", read_start},
                                        {"stop", read_stop},
                                        {"step", read_step},
                                        {"dt", read_dt},
                                        {"rate", read_rate},
                                        {"raw", read_raw},
                                        {"names", read_names},
                                        {"pixel", read_pixel},
                                        {"up", read_up},
                                        {"origin", read_origin},
                                        {"mask", read_mask},
                                        {"watch", read_watch},
                                        {"chunks", pass},
                                        {"join", pass},
                                        {0}};
  reading                     r      = {.recipe = recipe};
  WEIR_TRY(weir__arena_alloc(&recipe->arena, sizeof *r.images, &r.images));
  r.images->start = r.images->stop = INT64_MIN;
  WEIR_TRY(weir__yaml_read(map, "stream", keys, &r));
  if (r.dt && r.rate) return WEIR__YAML_FAIL(r.rate, "dt and rate are both given, expected one of them");
  if (r.dt && !(r.images->dt > 0)) return WEIR__YAML_FAIL(r.dt, "dt is %s, expected more than 0", r.dt->text);
  if (r.images->start != INT64_MIN && r.images->stop != INT64_MIN && r.images->stop <= r.images->start)
    return WEIR__YAML_FAIL(weir__yaml_get(map, "stop"), "stop is not above start");
  WEIR_TRY(check_watch(map, r.images));
  if (r.images->watch && stream->is_joined)
    return WEIR__YAML_FAIL(weir__yaml_get(map, "watch"),
                           "watch belongs to the stream that steps come from, and this one is joined to it");
  stream->images = r.images;
  return WEIR_OK;
}
