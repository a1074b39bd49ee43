#include "io/zarr_parts.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  LABEL_LEVELS      = 64,        /* the same of texts */
  COORDINATE_LEVELS = 512,       /* time levels per chunk of `time` and `step`: 4 KiB are rewritten per commit */
  CHUNK_ELEMENTS    = 1 << 18,   /* of a default chunk: 1 or 2 MiB, a good size for file systems and readers */
  CHUNK_BYTES_MAX   = 2147483631 /* what blosc can hold (2^31 - 1 - 16); kept for all codecs */
};

/* ---- life of a store ---- */

static void destroy_array(weir__zarr_array *array) {
  if (!array) return;
  if (array->directory >= 0) close(array->directory);
  if (array->has_mutex) weir__mutex_destroy(&array->mutex);
  weir__free(array->name);
  weir__free(array->attributes);
  weir__free(array->levels);
  weir__free(array);
}

void weir__zarr_destroy(weir__zarr **zarr) {
  weir__zarr *self = *zarr;
  if (!self) return;
  for (size_t i = 0; i < self->arrays; i++) destroy_array(self->array[i]);
  for (size_t i = 0; i < self->dimensions; i++) {
    weir__free(self->dimension[i].name);
    weir__free(self->dimension[i].original);
    weir__free(self->dimension[i].units);
    weir__free(self->dimension[i].values);
  }
  if (self->directory >= 0) close(self->directory);
  weir__free(self->dimension);
  weir__free(self->waiting);
  weir__free(self->gap);
  weir__text_clear(&self->list);
  weir__free(self->array);
  weir__free(self->path);
  weir__free(self->time_units);
  weir__free(self->calendar);
  weir__free(self->attributes);
  weir__mutex_destroy(&self->turn);
  weir__free(self);
  *zarr = NULL;
}

/* The level asked for, or the codec's usual one. */
static weir_status choose_level(const char *path, const weir__zarr_options *options, int *level) {
  static const struct {
    const char *name;
    int         usual, most;
  } codec[] = {{"none", 0, 0}, {"zlib", 6, 9}, {"zstd", 3, 22}, {"blosc", 5, 9}};
  if ((unsigned)options->codec >= sizeof codec / sizeof *codec)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: unknown compression %d", path, (int)options->codec);
  *level = options->level ? options->level : codec[options->codec].usual;
  if (*level < 0 || *level > codec[options->codec].most)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: compression level %d; 1 to %d are those of %s", path, *level,
                     codec[options->codec].most, codec[options->codec].name);
  return WEIR_OK;
}

static weir_status describe(const char *path, const weir__zarr_options *options, weir__zarr **zarr) {
  weir_status status = WEIR_OK;
  weir__text  text   = {0};
  weir__zarr *self;
  int         level = 0;
  WEIR_TRY(choose_level(path, options, &level));
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  weir__mutex_init(&self->turn);
  self->batched   = options->batched;
  self->directory = -1;
  self->codec     = options->codec;
  self->level     = level;
  self->durable   = options->durable;
  self->labels    = options->labels;
  WEIR_TRY_GOTO(out, weir__alloc_string(path, &self->path));
  WEIR_TRY_GOTO(out, weir__alloc_string(options->time_units, &self->time_units));
  WEIR_TRY_GOTO(out, weir__alloc_string(options->calendar, &self->calendar));
  weir__zarr_text_group(&text, options);
  WEIR_TRY_GOTO(out, weir__text_status(&text));
  WEIR_TRY_GOTO(out, weir__alloc_string(text.data, &self->attributes));
  *zarr = self;
  self  = NULL;
out:
  weir__text_clear(&text);
  if (self) weir__zarr_destroy(&self);
  return status;
}

static weir_status add_array(weir__zarr *zarr, const char *name, const weir_field_type *type, const int64_t *chunk,
                             int64_t time_chunk, weir__zarr_array **array);
static weir_status add_texts(weir__zarr *zarr, int label);

/* The arrays that every store has, and texts of time levels. */
static weir_status add_time(weir__zarr *zarr) {
  weir_attribute calendar[] = {{.name = "standard_name", .text = "time"}, {.name = "calendar", .text = zarr->calendar}};
  weir_attribute long_name[] = {{.name = "long_name", .text = "step number"}};
  WEIR_TRY(add_array(zarr, "time",
                     &(weir_field_type){.dtype           = WEIR_F64,
                                        .units           = zarr->time_units,
                                        .attributes      = calendar,
                                        .attribute_count = zarr->calendar ? 2 : 1},
                     NULL, COORDINATE_LEVELS, &zarr->time));
  WEIR_TRY(add_array(zarr, "step", &(weir_field_type){.dtype = WEIR_I64, .attributes = long_name, .attribute_count = 1},
                     NULL, COORDINATE_LEVELS, &zarr->step));
  for (int k = 0; k < zarr->labels.count; k++) WEIR_TRY(add_texts(zarr, k));
  return WEIR_OK;
}

static weir_status open_directory(weir__zarr *zarr) {
  zarr->directory = open(zarr->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (zarr->directory < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot open %s: %s", zarr->path, strerror(errno));
  return WEIR_OK;
}

/* Nothing in it, or only what a run left that died before it had anything. */
static bool directory_is_empty(const char *path) {
  DIR *directory = opendir(path);
  bool empty     = true;
  if (!directory) return false;
  for (struct dirent *entry = readdir(directory); entry && empty; entry = readdir(directory))
    empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, ".part-.zgroup");
  closedir(directory);
  return empty;
}

/* Leave at `path` either nothing, an empty directory, or (RESUME) the store to go on with. */
static weir_status make_way(const char *path, weir__zarr_mode mode) {
  if (access(path, F_OK) || directory_is_empty(path)) return WEIR_OK;
  if (mode == WEIR__ZARR_NEW) return WEIR_FAIL(WEIR_ERR_IO, "%s exists already", path);
  weir__text group = {0};
  weir__text_add(&group, "%s/.zgroup", path);
  weir_status status = weir__text_status(&group);
  if (status >= 0 && access(group.data, F_OK))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s exists and is no Zarr group: it is left as it is", path);
  weir__text_clear(&group);
  WEIR_TRY(status);
  return mode == WEIR__ZARR_REPLACE ? weir__file_remove_tree(path) : WEIR_OK;
}

weir_status weir__zarr_create(const char *path, const weir__zarr_options *options, weir__zarr_mode mode,
                              weir__zarr **zarr) {
  static const weir__zarr_options defaults = {0};
  static const char               group[]  = "{\n    \"zarr_format\": 2\n}\n";
  weir_status                     status   = WEIR_OK;
  weir__zarr                     *self     = NULL;
  if (!options) options = &defaults;
  WEIR_TRY(describe(path, options, &self));
  self->creator = true;
  WEIR_TRY_GOTO(out, make_way(path, mode));
  WEIR_TRY_GOTO(out, weir__file_make_directories(path, true));
  WEIR_TRY_GOTO(out, open_directory(self));
  if (mode == WEIR__ZARR_RESUME) WEIR_TRY_GOTO(out, weir__zarr_read_committed(self));
  WEIR_TRY_GOTO(out, weir__file_replace(self->directory, ".zgroup", path, group, sizeof group - 1, self->durable));
  self->stale = true;
  WEIR_TRY_GOTO(out, add_time(self));
  WEIR_TRY_GOTO(out, weir__zarr_publish(self));
  *zarr = self;
  self  = NULL;
out:
  weir__zarr_destroy(&self);
  return status;
}

weir_status weir__zarr_open(const char *path, const weir__zarr_options *options, weir__zarr **zarr) {
  static const weir__zarr_options defaults = {0};
  weir_status                     status   = WEIR_OK;
  weir__zarr                     *self     = NULL;
  WEIR_TRY(describe(path, options ? options : &defaults, &self));
  WEIR_TRY_GOTO(out, open_directory(self));
  WEIR_TRY_GOTO(out, weir__zarr_read_committed(self));
  WEIR_TRY_GOTO(out, add_time(self));
  *zarr = self;
  self  = NULL;
out:
  weir__zarr_destroy(&self);
  return status;
}

/* ---- arrays ---- */

void weir__zarr_default_chunk(const weir_field_type *type, int64_t chunk[WEIR_RANK_MAX]) {
  int64_t elements = 1;
  for (int a = 0; a < type->rank; a++) {
    chunk[a] = type->dim[a].size > 0 ? type->dim[a].size : 1;
    elements *= chunk[a];
  }
  while (elements > CHUNK_ELEMENTS) { /* halve the longest axis */
    int longest = 0;
    for (int a = 1; a < type->rank; a++)
      if (chunk[a] > chunk[longest]) longest = a;
    elements /= chunk[longest];
    chunk[longest] = (chunk[longest] + 1) / 2;
    elements *= chunk[longest];
  }
}

static weir_status set_shape(weir__zarr_array *array, const weir_field_type *type, const int64_t *chunk) {
  int64_t level  = (int64_t)weir_dtype_size(type->dtype) * (array->width ? array->width : 1);
  int64_t levels = array->time_chunk ? array->time_chunk : 1, all;
  weir__zarr_default_chunk(type, array->chunk);
  for (int a = 0; a < type->rank; a++) {
    if (chunk) array->chunk[a] = chunk[a];
    if (array->chunk[a] < 1)
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: a chunk of %lld elements along %s; at least 1 was expected", array->name,
                       (long long)array->chunk[a], type->dim[a].name);
    array->extent[a] = type->dim[a].size;
    array->chunks[a] = (array->extent[a] + array->chunk[a] - 1) / array->chunk[a];
    if (__builtin_mul_overflow(level, array->chunk[a], &level)) level = INT64_MAX;
  }
  if (__builtin_mul_overflow(level, levels, &all) || all > CHUNK_BYTES_MAX)
    return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%s: a chunk has more than 2 GiB: choose smaller ones", array->name);
  if (array->time_chunk > 1 && weir__zarr_chunks(array) != 1)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: only a field in one chunk can have several time levels in it",
                     array->name);
  array->level_nbytes = (size_t)level;
  array->chunk_nbytes = (size_t)all;
  return WEIR_OK;
}

/* Make (creator) or find the directory and write what describes the array. */
static weir_status place_array(weir__zarr_array *array) {
  weir__zarr *zarr   = array->zarr;
  weir__text  text   = {0};
  weir_status status = WEIR_OK;
  if (zarr->creator && mkdirat(zarr->directory, array->name, 0777) && errno != EEXIST)
    return WEIR_FAIL(WEIR_ERR_IO, "cannot make the directory %s/%s: %s", zarr->path, array->name, strerror(errno));
  array->directory = openat(zarr->directory, array->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (array->directory < 0)
    return WEIR_FAIL(WEIR_ERR_IO, "cannot open %s/%s: %s", zarr->path, array->name, strerror(errno));
  WEIR_TRY(weir__zarr_check_array(array));
  if (!zarr->creator) return WEIR_OK;
  weir__zarr_text_array(&text, array);
  WEIR_TRY_GOTO(out, weir__text_status(&text));
  WEIR_TRY_GOTO(out, weir__file_replace(array->directory, ".zattrs", array->name, array->attributes,
                                        strlen(array->attributes), zarr->durable));
  WEIR_TRY_GOTO(out,
                weir__file_replace(array->directory, ".zarray", array->name, text.data, text.length, zarr->durable));
out:
  weir__text_clear(&text);
  return status;
}

static weir_status check_name(const weir__zarr *zarr, const char *name) {
  if (!*name || *name == '.' || strchr(name, '/') || strchr(name, '"') || strchr(name, '\\') || strlen(name) > 200)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: `%s` cannot be the name of an array", zarr->path, name);
  for (size_t i = 0; i < zarr->arrays; i++)
    if (!strcmp(zarr->array[i]->name, name))
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: there is an array `%s` already (time, step and coordinates count too)",
                       zarr->path, name);
  return WEIR_OK;
}

static const char *store_dimension(const weir__zarr *zarr, const weir_dimension *dimension);

static weir_status make_array(weir__zarr *zarr, const char *name, const weir_field_type *type, const int64_t *chunk,
                              int64_t time_chunk, int width, weir__zarr_array **array) {
  weir_status       status = WEIR_OK;
  weir__text        text   = {0};
  weir__zarr_array *self;
  WEIR_TRY(check_name(zarr, name));
  WEIR_TRY(weir__grow(&zarr->array, zarr->arrays + 1, &zarr->array_capacity, sizeof *zarr->array));
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->zarr       = zarr;
  self->directory  = -1;
  self->loaded     = -1;
  self->dtype      = type->dtype;
  self->rank       = type->rank;
  self->time_chunk = time_chunk;
  self->has_fill   = type->has_fill;
  self->fill       = type->fill;
  self->width      = width;
  for (int a = 0; a < type->rank; a++) self->dimension[a] = store_dimension(zarr, &type->dim[a]);
  WEIR_TRY_GOTO(out, weir__alloc_string(name, &self->name));
  WEIR_TRY_GOTO(out, set_shape(self, type, chunk));
  weir__zarr_text_field(&text, self, type);
  WEIR_TRY_GOTO(out, weir__text_status(&text));
  WEIR_TRY_GOTO(out, weir__alloc_string(text.data, &self->attributes));
  if (time_chunk > 1) WEIR_TRY_GOTO(out, weir__alloc_zeroed(self->chunk_nbytes, 64, &self->levels));
  weir__mutex_init(&self->mutex);
  self->has_mutex = true;
  WEIR_TRY_GOTO(out, place_array(self));
  zarr->array[zarr->arrays++] = self;
  *array                      = self;
  self                        = NULL;
out:
  weir__text_clear(&text);
  destroy_array(self);
  return status;
}

static weir_status add_array(weir__zarr *zarr, const char *name, const weir_field_type *type, const int64_t *chunk,
                             int64_t time_chunk, weir__zarr_array **array) {
  return make_array(zarr, name, type, chunk, time_chunk, 0, array);
}

static weir_status add_texts(weir__zarr *zarr, int label) {
  weir_attribute    long_name = {.name = "long_name", .text = zarr->labels.long_name};
  weir_field_type   type      = {.dtype = WEIR_I32, .attributes = &long_name, .attribute_count = !!long_name.text};
  int               width     = zarr->labels.width > 0 ? zarr->labels.width : 1;
  weir__zarr_array *array;
  WEIR_TRY(make_array(zarr, zarr->labels.name[label], &type, NULL, LABEL_LEVELS, width, &array));
  array->label = label;
  return WEIR_OK;
}

/* ---- dimensions and their coordinates ---- */

static bool same_text(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

static bool same_dimension(const weir_dimension *a, const weir_dimension *b) {
  if (strcmp(a->name, b->name) || a->size != b->size || !same_text(a->units, b->units)) return false;
  if (a->spacing != b->spacing || (a->spacing != 0 && a->origin != b->origin)) return false;
  if (a->spacing != 0) return true;
  if (!a->values != !b->values) return false;
  return !a->values || !memcmp(a->values, b->values, (size_t)a->size * sizeof *a->values);
}

static const char *store_dimension(const weir__zarr *zarr, const weir_dimension *dimension) {
  for (size_t i = 0; i < zarr->dimensions; i++)
    if (same_dimension(&zarr->dimension[i].known, dimension)) return zarr->dimension[i].name;
  return dimension->name;
}

static weir_status write_coordinate(weir__zarr *zarr, const weir__zarr_dimension *d) {
  weir_field_type   type = {.dtype = WEIR_F64, .rank = 1, .dim = {d->known}, .units = d->units};
  weir_region       all  = {.rank = 1, .count = {d->known.size}};
  weir__zarr_array *array;
  double           *x;
  int64_t           chunk[1] = {d->known.size > 0 ? d->known.size : 1};
  WEIR_TRY(add_array(zarr, d->name, &type, chunk, 0, &array));
  if (!zarr->creator || !d->known.size) return WEIR_OK;
  WEIR_TRY(weir__alloc_array((size_t)d->known.size, sizeof *x, &x));
  for (int64_t i = 0; i < d->known.size; i++) x[i] = weir__coordinate(&d->known, (double)i);
  weir_view   view   = weir__view_dense(x, &type, &all);
  weir_status status = weir__zarr_write(array, 0, &view, NULL, NULL);
  weir__free(x);
  return status;
}

/* The name a new dimension gets in the store: its own, or with a number when that is taken by a different one. */
static weir_status new_name(const weir__zarr *zarr, const char *wanted, char **name) {
  weir__text  text   = {0};
  weir_status status = WEIR_OK;
  bool        taken  = true;
  for (int number = 1; taken; number++) {
    weir__text_clear(&text);
    weir__text_add(&text, number > 1 ? "%s_%d" : "%s", wanted, number);
    WEIR_TRY_GOTO(out, weir__text_status(&text));
    taken = !strcmp(text.data, "time");
    for (size_t i = 0; i < zarr->dimensions && !taken; i++) taken = !strcmp(zarr->dimension[i].name, text.data);
  }
  WEIR_TRY_GOTO(out, weir__alloc_string(text.data, name));
out:
  weir__text_clear(&text);
  return status;
}

static weir_status add_dimension(weir__zarr *zarr, const weir_dimension *dimension) {
  if (dimension->size < 0) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "dimension %s has a negative size", dimension->name);
  for (size_t i = 0; i < zarr->dimensions; i++)
    if (same_dimension(&zarr->dimension[i].known, dimension)) return WEIR_OK;
  WEIR_TRY(weir__grow(&zarr->dimension, zarr->dimensions + 1, &zarr->dimension_capacity, sizeof *zarr->dimension));
  weir__zarr_dimension *d = &zarr->dimension[zarr->dimensions];
  *d                      = (weir__zarr_dimension){.known = *dimension};
  WEIR_TRY(new_name(zarr, dimension->name, &d->name));
  zarr->dimensions++; /* from here on the store frees it */
  WEIR_TRY(weir__alloc_string(dimension->name, &d->original));
  WEIR_TRY(weir__alloc_string(dimension->units, &d->units));
  if (dimension->values && dimension->spacing == 0) {
    WEIR_TRY(weir__alloc_array((size_t)dimension->size, sizeof *d->values, &d->values));
    if (dimension->size) memcpy(d->values, dimension->values, (size_t)dimension->size * sizeof *d->values);
  }
  d->known.name   = d->original;
  d->known.units  = d->units;
  d->known.values = d->values;
  return d->known.spacing != 0 || d->values ? write_coordinate(zarr, d) : WEIR_OK;
}

enum { DIMENSION_NAME = 256 };

/* A field on faces or corners has coordinates of its own there, half a cell on: x_face beside x. */
static void at_faces(weir_field_type *type, char name[WEIR_RANK_MAX][DIMENSION_NAME]) {
  for (int a = 0; a < type->rank; a++) {
    weir_dimension *d     = &type->dim[a];
    double          shift = weir__location_shift(type->location, type->rank, a);
    if (shift == 0 || d->spacing == 0) continue;
    snprintf(name[a], DIMENSION_NAME, "%s_face", d->name);
    d->name = name[a];
    d->origin += shift * d->spacing;
  }
}

weir_status weir__zarr_add(weir__zarr *zarr, const char *name, const weir_field_type *given, const int64_t *chunk,
                           int64_t time_chunk, weir__zarr_array **array) {
  char             face_name[WEIR_RANK_MAX][DIMENSION_NAME];
  weir_field_type  placed = *given;
  weir_field_type *type   = &placed;
  if (time_chunk < 0 || !weir_dtype_size(type->dtype) || type->rank < 0 || type->rank > WEIR_RANK_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: not a field type, or a negative number of time levels per chunk", name);
  WEIR_TRY(check_name(zarr, name));
  at_faces(type, face_name);
  for (int a = 0; a < type->rank; a++) WEIR_TRY(add_dimension(zarr, &type->dim[a]));
  WEIR_TRY(add_array(zarr, name, type, chunk, time_chunk, array));
  return zarr->creator ? weir__zarr_publish(zarr) : WEIR_OK;
}

int64_t weir__zarr_chunks(const weir__zarr_array *array) {
  int64_t n = 1;
  for (int a = 0; a < array->rank; a++) n *= array->chunks[a];
  return n;
}

int64_t weir__zarr_committed(const weir__zarr *zarr) { return zarr->committed; }
