#include "io/netcdf_write.h"
#include "io/netcdf_parts.h"
#include "io/zarr_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 1 << 20, ROOM_PER_CHUNK = 256, ROOM_MOST = 48 << 20, CHARACTER = 4 /* bytes of UTF-8 at most */ };

typedef struct writing {
  weir__zarr    *zarr;
  const char    *path;
  char          *part; /* owned; the temporary name */
  int            level;
  int            id;   /* -1: not open */
  int            room; /* -1: given back */
  int            time, *dimension, *variable;
  int64_t        levels;
  unsigned char *chunk, *dense; /* as it stands in the store; the part of it that is in the field */
} writing;

/* HDF5 says no more than that it failed; the system's word stands in errno. */
static weir_status fail(const writing *w, int error) {
  const char *why = error > 0 ? strerror(error) : error == NC_EHDFERR && errno ? strerror(errno) : nc_strerror(error);
  return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s; its steps are kept in %s", w->path, why, w->zarr->path);
}

#define NC_TRY(w, call)                                                                                                \
  do {                                                                                                                 \
    errno      = 0;                                                                                                    \
    int error_ = (call);                                                                                               \
    if (error_ != NC_NOERR) return fail(w, error_);                                                                    \
  } while (0)

/* ---- room ---- */

static int64_t chunks_of(const writing *w) {
  int64_t n = 0;
  for (size_t i = 0; i < w->zarr->arrays; i++) {
    const weir__zarr_array *array = w->zarr->array[i];
    int64_t                 times = array->time_chunk ? (w->levels + array->time_chunk - 1) / array->time_chunk : 1;
    n += times * weir__zarr_chunks(array);
  }
  return n;
}

/* HDF5 cannot close a file that it cannot complete, and then the process ends badly. So some of the disk is held for
 * what completes it, by a file without a name, which is given back when a write has failed. */
static weir_status hold_room(writing *w, size_t chunk) {
  weir__text name   = {0};
  int64_t    chunks = chunks_of(w), bytes = ROOM_MOST;
  int        error = 0;
  if (chunks < ROOM_MOST / ROOM_PER_CHUNK) bytes = chunks * ROOM_PER_CHUNK;
  weir__text_add(&name, "%s-room", w->part);
  weir_status status = weir__text_status(&name);
  if (status >= 0) {
    w->room = open(name.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->room < 0 && errno == EEXIST && !unlink(name.data)) /* of a run that was killed */
      w->room = open(name.data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->room < 0 || unlink(name.data)) error = errno;
    if (!error) error = posix_fallocate(w->room, 0, (off_t)(ROOM + bytes + (int64_t)chunk));
    if (error) status = fail(w, error);
  }
  weir__text_clear(&name);
  return status;
}

static void give_room_back(writing *w) {
  if (w->room >= 0) close(w->room);
  w->room = -1;
}

/* ---- attributes ---- */

/* CF 1.8, appendix A and section 3.5: these have the type of their variable. */
static bool is_typed(const char *name) {
  static const char *const typed[] = {"flag_values", "flag_masks", "valid_min", "valid_max", "valid_range"};
  for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
    if (!strcmp(name, typed[i])) return true;
  return false;
}

static weir_status put_attribute(const writing *w, int variable, nc_type type, const char *name, json_t *value) {
  enum { MOST = 64 };
  double number[MOST];
  size_t count = json_is_array(value) ? json_array_size(value) : 1;
  if (!strcmp(name, "_ARRAY_DIMENSIONS") || count > MOST) return WEIR_OK;
  if (json_is_string(value)) {
    NC_TRY(w, nc_put_att_text(w->id, variable, name, json_string_length(value), json_string_value(value)));
    return WEIR_OK;
  }
  for (size_t i = 0; i < count; i++)
    number[i] = json_number_value(json_is_array(value) ? json_array_get(value, i) : value);
  NC_TRY(w, nc_put_att_double(w->id, variable, name, is_typed(name) ? type : NC_DOUBLE, count, number));
  return WEIR_OK;
}

/* The attributes of the store or an array, as they stand there. */
static weir_status put_attributes(const writing *w, int variable, nc_type type, const char *text) {
  weir_status status = WEIR_OK;
  json_t     *json   = json_loads(text, 0, NULL), *value;
  const char *name;
  if (!json) return WEIR_FAIL(WEIR_ERR_INTERNAL, "%s: attributes that are no JSON", w->zarr->path);
  json_object_foreach(json, name, value) {
    status = put_attribute(w, variable, type, name, value);
    if (status < 0) break;
  }
  json_decref(json);
  return status;
}

static weir_status put_group(const writing *w) {
  weir__text text = {0};
  weir__zarr_text_group_now(&text, w->zarr);
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = put_attributes(w, NC_GLOBAL, NC_DOUBLE, text.data);
  weir__text_clear(&text);
  return status;
}

/* ---- definitions ---- */

static nc_type type_of(const weir__zarr_array *array) {
  if (array->width) return NC_STRING;
  switch (array->dtype) {
  case WEIR_F32: return NC_FLOAT;
  case WEIR_F64: return NC_DOUBLE;
  case WEIR_I8: return NC_BYTE;
  case WEIR_I16: return NC_SHORT;
  case WEIR_I32: return NC_INT;
  case WEIR_I64: return NC_INT64;
  case WEIR_U8: return NC_UBYTE;
  case WEIR_U16: return NC_USHORT;
  }
  return NC_NAT;
}

/* Coordinates have no missing values (CF 1.8, section 2.5.1). */
static bool is_coordinate(const writing *w, const weir__zarr_array *array) {
  if (array == w->zarr->time) return true;
  return !array->time_chunk && array->rank == 1 && !strcmp(array->name, array->dimension[0]);
}

static bool may_miss(const writing *w, const weir__zarr_array *array) {
  return weir_dtype_may_miss(array->dtype, array->has_fill) && !is_coordinate(w, array);
}

static weir_status define_fill(const writing *w, int variable, const weir__zarr_array *array) {
  double    bytes = 0, missing = NAN;
  weir_view one = {.data = &bytes, .dtype = array->dtype, .has_fill = array->has_fill, .fill = array->fill};
  if (array->width) return WEIR_OK;
  weir_view_store(&one, NULL, 1, &missing);
  bool fills = may_miss(w, array);
  NC_TRY(w, nc_def_var_fill(w->id, variable, fills ? NC_FILL : NC_NOFILL, fills ? &bytes : NULL));
  return WEIR_OK;
}

static int find_dimension(const writing *w, const char *name) {
  for (size_t i = 0; i < w->zarr->dimensions; i++)
    if (!strcmp(w->zarr->dimension[i].name, name)) return w->dimension[i];
  return -1;
}

static weir_status define_variable(const writing *w, const weir__zarr_array *array, int *variable) {
  int     dims[WEIR_RANK_MAX + 1], rank = 0;
  size_t  chunk[WEIR_RANK_MAX + 1];
  nc_type type = type_of(array);
  if (array->time_chunk) {
    chunk[rank]  = (size_t)array->time_chunk;
    dims[rank++] = w->time;
  }
  for (int a = 0; a < array->rank; a++) {
    chunk[rank]  = (size_t)(array->chunk[a] < array->extent[a] ? array->chunk[a] : array->extent[a]);
    dims[rank++] = find_dimension(w, array->dimension[a]);
  }
  NC_TRY(w, nc_def_var(w->id, array->name, type, rank, dims, variable));
  if (rank && !(is_coordinate(w, array) && !array->time_chunk)) {
    NC_TRY(w, nc_def_var_chunking(w->id, *variable, NC_CHUNKED, chunk));
    if (w->level && !array->width)
      NC_TRY(w, nc_def_var_deflate(w->id, *variable, weir_dtype_size(array->dtype) > 1, 1, w->level));
  }
  WEIR_TRY(define_fill(w, *variable, array));
  return put_attributes(w, *variable, type, array->attributes);
}

/* Chunks are written once and whole: a cache would only hold them, and what it holds when the disk is full cannot be
 * given up. */
static weir_status without_caches(const writing *w) {
  for (size_t i = 0; i < w->zarr->arrays; i++)
    if (w->zarr->array[i]->time_chunk || (w->zarr->array[i]->rank && !is_coordinate(w, w->zarr->array[i])))
      NC_TRY(w, nc_set_var_chunk_cache(w->id, w->variable[i], 0, 0, 0));
  return WEIR_OK;
}

static weir_status define(writing *w) {
  int old;
  NC_TRY(w, nc_create(w->part, NC_NETCDF4 | NC_CLOBBER, &w->id));
  NC_TRY(w, nc_set_fill(w->id, NC_FILL, &old));
  WEIR_TRY(put_group(w));
  NC_TRY(w, nc_def_dim(w->id, "time", NC_UNLIMITED, &w->time));
  for (size_t i = 0; i < w->zarr->dimensions; i++) {
    const weir__zarr_dimension *d = &w->zarr->dimension[i];
    NC_TRY(w, nc_def_dim(w->id, d->name, (size_t)d->known.size, &w->dimension[i]));
  }
  for (size_t i = 0; i < w->zarr->arrays; i++) WEIR_TRY(define_variable(w, w->zarr->array[i], &w->variable[i]));
  NC_TRY(w, nc_enddef(w->id));
  return without_caches(w);
}

/* ---- chunks ---- */

static char *put_character(char *out, uint32_t code) {
  static const unsigned mark[] = {0, 0xc0, 0xe0, 0xf0};
  int                   more   = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  *out++                       = (char)(mark[more] | code >> 6 * more);
  while (more--) *out++ = (char)(0x80 | (code >> 6 * more & 0x3f));
  return out;
}

/* The numbers of characters, behind the pointers to the strings, as UTF-8. */
static weir_status put_strings(const writing *w, const weir__zarr_array *array, int variable, size_t first,
                               size_t count) {
  const char **text = (const char **)w->dense;
  char        *out  = (char *)(text + array->time_chunk);
  for (size_t i = 0; i < count; i++) {
    uint32_t code[1];
    text[i] = out;
    for (int k = 0; k < array->width; k++) {
      memcpy(code, w->chunk + i * array->level_nbytes + (size_t)k * CHARACTER, sizeof code);
      if (!*code) break;
      out = put_character(out, *code);
    }
    *out++ = 0;
  }
  NC_TRY(w, nc_put_vara_string(w->id, variable, &first, &count, text));
  return WEIR_OK;
}

/* Levels `first` to `first + count` of one chunk. */
static weir_status put_box(const writing *w, const weir__zarr_array *array, int variable, const int64_t *index,
                           int64_t first, int64_t count) {
  size_t         start[WEIR_RANK_MAX + 1], size[WEIR_RANK_MAX + 1];
  int            rank   = 0;
  unsigned char *to     = w->dense;
  weir_view      level  = weir__zarr_level_view(array, index, w->chunk, 0);
  weir_region    box    = {.rank = array->rank};
  int64_t        stride = (int64_t)weir_dtype_size(array->dtype);
  if (array->time_chunk) {
    start[rank]  = (size_t)first;
    size[rank++] = (size_t)count;
  }
  for (int a = 0; a < array->rank; a++) {
    int64_t rest = array->extent[a] - level.start[a];
    box.start[a] = level.start[a];
    box.count[a] = rest < level.count[a] ? rest : level.count[a];
    start[rank]  = (size_t)box.start[a];
    size[rank++] = (size_t)box.count[a];
  }
  for (int64_t i = 0; i < count; i++) {
    weir_view from = weir__zarr_level_view(array, index, w->chunk, i), part = weir__view_narrow(&from, &box),
              dense = part;
    dense.data      = to;
    int64_t n       = stride;
    for (int a = array->rank - 1; a >= 0; a--) {
      dense.stride[a] = n;
      n *= box.count[a];
    }
    weir__view_copy(&dense, &part);
    to += n;
  }
  NC_TRY(w, rank ? nc_put_vara(w->id, variable, start, size, w->dense) : nc_put_var(w->id, variable, w->dense));
  return WEIR_OK;
}

/* A chunk that is not there has no values. The library makes up for it, but must hear of the last level. */
static weir_status put_chunk(const writing *w, const weir__zarr_array *array, int variable, const int64_t *index,
                             int64_t time) {
  int64_t levels = array->time_chunk ? array->time_chunk : 1, first = time * levels, count = levels;
  bool    found;
  if (array->time_chunk && first + count > w->levels) count = w->levels - first;
  WEIR_TRY(weir__zarr_read_chunk(array, time, index, w->chunk, &found));
  if (!found) {
    if (may_miss(w, array) && first + count < w->levels) return WEIR_OK;
    memset(w->chunk, 0, array->chunk_nbytes);
    for (int64_t i = 0; !array->width && i < count; i++) {
      weir_view level = weir__zarr_level_view(array, index, w->chunk, i);
      weir__view_fill_missing(&level);
    }
  }
  if (array->width) return put_strings(w, array, variable, (size_t)first, (size_t)count);
  return put_box(w, array, variable, index, first, count);
}

static weir_status put_chunks(const writing *w, size_t i, int64_t time) {
  const weir__zarr_array *array             = w->zarr->array[i];
  int64_t                 at[WEIR_RANK_MAX] = {0}, chunks = weir__zarr_chunks(array);
  for (int64_t c = 0; c < chunks; c++) {
    int64_t rest = c;
    for (int a = array->rank - 1; a >= 0; a--) {
      at[a] = rest % array->chunks[a];
      rest /= array->chunks[a];
    }
    WEIR_TRY(put_chunk(w, array, w->variable[i], at, time));
  }
  return WEIR_OK;
}

static weir_status put_all(const writing *w) {
  for (size_t i = 0; i < w->zarr->arrays; i++)
    if (!w->zarr->array[i]->time_chunk) WEIR_TRY(put_chunks(w, i, 0));
  for (int64_t t = 0; t < w->levels; t++)
    for (size_t i = 0; i < w->zarr->arrays; i++) {
      int64_t time_chunk = w->zarr->array[i]->time_chunk;
      if (time_chunk && t % time_chunk == 0) WEIR_TRY(put_chunks(w, i, t / time_chunk));
    }
  return WEIR_OK;
}

/* ---- the whole ---- */

/* The temporary name: ".part-" before that of the file. */
static weir_status name_part(writing *w) {
  const char *slash = strrchr(w->path, '/');
  int         stem  = slash ? (int)(slash + 1 - w->path) : 0;
  weir__text  text  = {0};
  weir__text_add(&text, "%.*s.part-%s", stem, w->path, w->path + stem);
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = weir__alloc_string(text.data, &w->part);
  weir__text_clear(&text);
  return status;
}

static weir_status prepare(writing *w) {
  size_t chunk = 64, dense = 64;
  for (size_t i = 0; i < w->zarr->arrays; i++) {
    const weir__zarr_array *array = w->zarr->array[i];
    size_t                  texts = array->width ? (size_t)array->time_chunk * (sizeof(char *) + 1) : 0;
    if (array->chunk_nbytes > chunk) chunk = array->chunk_nbytes;
    if (array->chunk_nbytes + texts > dense) dense = array->chunk_nbytes + texts;
  }
  WEIR_TRY(weir__alloc_array(w->zarr->dimensions + 1, sizeof *w->dimension, &w->dimension));
  WEIR_TRY(weir__alloc_array(w->zarr->arrays + 1, sizeof *w->variable, &w->variable));
  WEIR_TRY(weir__alloc_zeroed(chunk, 64, &w->chunk));
  WEIR_TRY(weir__alloc_zeroed(dense, 64, &w->dense));
  WEIR_TRY(name_part(w));
  return hold_room(w, chunk);
}

static weir_status close_file(writing *w, weir_status status) {
  int id = w->id;
  give_room_back(w); /* closing may need it */
  if (id < 0) return status;
  w->id = -1;
  if (status < 0) {
    (void)nc_close(id);
    return status;
  }
  NC_TRY(w, nc_close(id));
  return status;
}

static weir_status settle(const writing *w, bool durable) {
  int  file  = durable ? open(w->part, O_RDONLY | O_CLOEXEC) : -1;
  bool wrong = durable && (file < 0 || fsync(file));
  int  error = errno;
  if (file >= 0) close(file);
  if (wrong) return fail(w, error);
  return rename(w->part, w->path) ? fail(w, errno) : WEIR_OK;
}

weir_status weir__netcdf_write(weir__zarr *zarr, const char *path, const weir__netcdf_write_options *options) {
  writing w = {.zarr = zarr, .path = path, .level = options->level, .id = -1, .room = -1};
  WEIR_TRY(weir__zarr_read_committed(zarr));
  w.levels           = zarr->committed;
  weir_status status = prepare(&w);
  weir__netcdf_lock();
  if (status >= 0) status = define(&w);
  if (status >= 0) status = put_all(&w);
  status = close_file(&w, status);
  weir__netcdf_unlock();
  if (status >= 0) status = settle(&w, options->durable);
  if (status < 0 && w.part) (void)unlink(w.part);
  weir__free(w.part);
  weir__free(w.dimension);
  weir__free(w.variable);
  weir__free(w.chunk);
  weir__free(w.dense);
  return status;
}

/* The first bytes of classic files (any version) and of HDF5. */
weir_status weir__netcdf_replaceable(const char *path) {
  static const char hdf[]                = "\211HDF\r\n\032\n";
  char              head[sizeof hdf - 1] = "";
  struct stat       s;
  if (stat(path, &s)) {
    if (errno == ENOENT) return WEIR_OK;
    return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  }
  int     file = S_ISREG(s.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  ssize_t n    = file < 0 ? 0 : read(file, head, sizeof head);
  if (file >= 0) close(file);
  if (n >= 3 && (!memcmp(head, "CDF", 3) || (n == sizeof head && !memcmp(head, hdf, sizeof head)))) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s exists and is no NetCDF file: it is left as it is", path);
}
