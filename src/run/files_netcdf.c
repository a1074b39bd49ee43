/* Arrays in netCDF files as a stream. */
#include "run/files.h"
#include "io/netcdf_read.h"
#include <glob.h>
#include <string.h>

typedef struct arrays {
  weir__arena         arena;
  weir__netcdf       *reader;
  weir__recipe_schema schema;
} arrays;

/* ---- names ---- */

typedef struct names {
  glob_t found;
  bool   any;
} names;

static weir_status expand(const weir__recipe_text *file, names *n) {
  bool pattern = strpbrk(file->text, "*?[") != NULL;
  int  rc      = glob(file->text, (n->any ? GLOB_APPEND : 0) | (pattern ? 0 : GLOB_NOCHECK), NULL, &n->found);
  n->any       = true;
  if (rc == GLOB_NOMATCH)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: files: nothing matches %s", file->place.file, file->place.line,
                     file->place.column, file->text);
  if (rc == GLOB_NOSPACE) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  if (rc)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: files: %s cannot be read", file->place.file, file->place.line,
                     file->place.column, file->text);
  return WEIR_OK;
}

static weir_status open_reader(const weir__recipe_stream *stream, weir__netcdf **reader, int *count) {
  names       n      = {0};
  weir_status status = WEIR_OK;
  for (int i = 0; status >= 0 && i < stream->files; i++) status = expand(&stream->file[i], &n);
  if (status >= 0 && n.found.gl_pathc > INT32_MAX) status = WEIR_FAIL(WEIR_ERR_INPUT, "files: too many");
  if (status >= 0) {
    status = weir__netcdf_open((const char *const *)n.found.gl_pathv, (int)n.found.gl_pathc, stream->time, reader);
    if (status < 0)
      status = weir__error_prefix(status, "%s:%d:%d", stream->file[0].place.file, stream->file[0].place.line,
                                  stream->file[0].place.column);
  }
  *count = status >= 0 ? (int)n.found.gl_pathc : 0;
  if (n.any) globfree(&n.found);
  return status;
}

/* ---- the stream ---- */

/* A file without a time dimension is one step; joined to another stream, its fields are static. */
static weir_status describe(arrays *self, const weir__recipe_stream *stream, bool one_file) {
  weir__recipe_expected *field;
  int                    count    = weir__netcdf_variables(self->reader);
  bool                   timeless = stream->is_joined && one_file && !weir__netcdf_record(self->reader);
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)count * sizeof *field, &field));
  for (int i = 0; i < count; i++) {
    const weir__netcdf_variable *v = weir__netcdf_variable_at(self->reader, i);
    field[i]                       = (weir__recipe_expected){.name = v->name, .place = stream->place, .type = v->type};
    field[i].is_static             = v->is_static || timeless;
  }
  self->schema = (weir__recipe_schema){.time_units = weir__netcdf_time_units(self->reader),
                                       .calendar   = weir__netcdf_calendar(self->reader),
                                       .field      = field,
                                       .fields     = count};
  return WEIR_OK;
}

static void close_arrays(void *arrays_) {
  arrays *self = arrays_;
  weir__netcdf_close(&self->reader);
  weir__arena_clear(&self->arena);
  weir__free(self);
}

static weir_status open_arrays(const weir__recipe_stream *stream, const weir__files_terms *terms, void **out) {
  (void)terms; /* they are there */
  arrays *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  int         count;
  weir_status status = open_reader(stream, &self->reader, &count);
  if (status >= 0) status = describe(self, stream, count == 1);
  if (status >= 0) *out = self;
  else close_arrays(self);
  return status;
}

static const weir__recipe_schema *schema(const void *self) { return &((const arrays *)self)->schema; }
static int64_t                    steps(const void *self) { return weir__netcdf_steps(((const arrays *)self)->reader); }

static weir_status level_info(const void *self, int64_t level, int64_t *step, double *time) {
  return weir__netcdf_step_info(((const arrays *)self)->reader, level, step, time);
}

static weir_status read_box(void *self, int field, int64_t level, const weir_view *out) {
  weir_region region = {.rank = out->rank};
  memcpy(region.start, out->start, sizeof region.start);
  memcpy(region.count, out->count, sizeof region.count);
  return weir__netcdf_read(((arrays *)self)->reader, field, level, &region, out);
}

const weir__files_kind weir__netcdf_kind = {.open   = open_arrays,
                                            .close  = close_arrays,
                                            .schema = schema,
                                            .steps  = steps,
                                            .level  = level_info,
                                            .read   = read_box};
