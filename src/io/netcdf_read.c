#include "io/netcdf_parts.h"
#include <math.h>
#include <string.h>

static weir__mutex library_lock = WEIR__MUTEX_INIT; /* guards the NetCDF library, which has state of its own */

/* HDF5, where the NetCDF library is built with it, prints its errors, and that an attribute is not there is one. NetCDF
 * turns that off in the thread that uses it first, but HDF5 wants to be told in each. 0: H5E_DEFAULT. */
int H5Eset_auto2(int64_t stack, void *function, void *data) __attribute__((weak));

void weir__netcdf_lock(void) {
  weir__mutex_lock(&library_lock);
  if (H5Eset_auto2) (void)H5Eset_auto2(0, NULL, NULL);
}

void weir__netcdf_unlock(void) { weir__mutex_unlock(&library_lock); }

static weir_status fail(const char *path, const char *what, int error) {
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s%s%s", path, what, *what ? ": " : "", nc_strerror(error));
}

/* ---- files ---- */

static void close_file(weir__netcdf *reader) {
  if (reader->open_file >= 0) nc_close(reader->id);
  reader->open_file = -1;
}

/* Have file `index` open; only one is, so that thousands can be read. */
static weir_status use_file(weir__netcdf *reader, int index) {
  const char *path = reader->file[index].path;
  if (reader->open_file == index) return WEIR_OK;
  close_file(reader);
  WEIR_TRY(weir__netcdf_classic_check(path));
  int error = nc_open(path, NC_NOWRITE, &reader->id);
  if (error != NC_NOERR) return fail(path, "cannot be read as NetCDF", error);
  reader->open_file = index;
  return WEIR_OK;
}

/* ---- the record dimension ---- */

static weir_status find_record(weir__netcdf *reader, const char *wanted) {
  int         id = reader->id, count = 0, list[NC_MAX_DIMS], dimension;
  char        name[NC_MAX_NAME + 1];
  const char *path = reader->file[0].path;
  if (wanted) {
    if (nc_inq_dimid(id, wanted, &dimension) != NC_NOERR)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: no dimension `%s` to read steps along", path, wanted);
    return weir__arena_string(&reader->arena, wanted, &reader->record);
  }
  if (nc_inq_unlimdims(id, &count, list) != NC_NOERR || count > NC_MAX_DIMS) count = 0;
  if (count != 1 && nc_inq_dimid(id, "time", &dimension) == NC_NOERR)
    return weir__arena_string(&reader->arena, "time", &reader->record);
  if (!count || nc_inq_dimname(id, list[0], name) != NC_NOERR) return WEIR_OK;
  return weir__arena_string(&reader->arena, name, &reader->record);
}

/* Count the steps of the open file and read their times. */
static weir_status scan_steps(weir__netcdf *reader, weir__netcdf_file *file, size_t *capacity) {
  int    dimension, variable, rank = 0;
  size_t length = 1;
  file->first   = reader->steps;
  if (reader->record) {
    int error = nc_inq_dimid(reader->id, reader->record, &dimension);
    if (error == NC_NOERR) error = nc_inq_dimlen(reader->id, dimension, &length);
    if (error != NC_NOERR) return fail(file->path, reader->record, error);
  }
  file->steps = (int64_t)length;
  WEIR_TRY(weir__grow(&reader->time, (size_t)reader->steps + length, capacity, sizeof *reader->time));
  double *time = reader->time + reader->steps;
  for (size_t i = 0; i < length; i++) time[i] = (double)(reader->steps + (int64_t)i);
  reader->steps += (int64_t)length;
  if (!reader->record || nc_inq_varid(reader->id, reader->record, &variable) != NC_NOERR) return WEIR_OK;
  const char *units;
  nc_type     type;
  int         error = nc_inq_var(reader->id, variable, NULL, &type, &rank, NULL, NULL);
  if (error != NC_NOERR || rank != 1 || type == NC_CHAR || type > NC_UINT64 || !length) return WEIR_OK;
  error = nc_get_var_double(reader->id, variable, time);
  if (error != NC_NOERR) return fail(file->path, reader->record, error);
  WEIR_TRY(weir__netcdf_text(reader, reader->id, variable, "units", &units));
  if (reader->time_units && (!units || strcmp(units, reader->time_units)))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: times in `%s`, but in `%s` in %s", file->path, units ? units : "",
                     reader->time_units, reader->file[0].path);
  reader->time_units = units;
  return reader->calendar ? WEIR_OK : weir__netcdf_text(reader, reader->id, variable, "calendar", &reader->calendar);
}

/* ---- variables ---- */

/* Describe variable `variable` of the open file; `*use` false: no field (text, a coordinate, too many dimensions). */
static weir_status describe(weir__netcdf *reader, int variable, weir__netcdf_entry *entry, bool *use) {
  int     id = reader->id, rank, dimension[NC_MAX_VAR_DIMS];
  char    name[NC_MAX_NAME + 1];
  nc_type stored;
  *entry    = (weir__netcdf_entry){.record_axis = -1};
  *use      = false;
  int error = nc_inq_var(id, variable, name, &stored, &rank, dimension, NULL);
  if (error != NC_NOERR) return fail(reader->file[reader->open_file].path, "a variable", error);
  if (stored == NC_CHAR || stored == NC_STRING || stored > NC_UINT64) return WEIR_OK;
  weir_field_type *type = &entry->known.type;
  for (int a = 0; a < rank; a++) {
    char   axis[NC_MAX_NAME + 1];
    size_t length;
    error = nc_inq_dim(id, dimension[a], axis, &length);
    if (error != NC_NOERR) return fail(reader->file[reader->open_file].path, name, error);
    if (rank == 1 && !strcmp(axis, name)) return WEIR_OK; /* a coordinate */
    if (reader->record && entry->record_axis < 0 && !strcmp(axis, reader->record)) {
      entry->record_axis = a;
      continue;
    }
    if (type->rank == WEIR_RANK_MAX) return WEIR_OK;
    weir_dimension *d = &type->dim[type->rank++];
    WEIR_TRY(weir__arena_string(&reader->arena, axis, &d->name));
    d->size = (int64_t)length;
  }
  entry->known.is_static = reader->record && entry->record_axis < 0;
  weir__netcdf_decide(id, variable, stored, &entry->decoding, type);
  *use = true;
  return weir__arena_string(&reader->arena, name, &entry->known.name);
}

static weir_status list_variables(weir__netcdf *reader) {
  int count = 0;
  int error = nc_inq_nvars(reader->id, &count);
  if (error != NC_NOERR) return fail(reader->file[0].path, "", error);
  for (int v = 0; v < count; v++) {
    bool use;
    WEIR_TRY(weir__grow(&reader->entry, reader->entries + 1, &reader->entry_capacity, sizeof *reader->entry));
    weir__netcdf_entry *entry = &reader->entry[reader->entries];
    WEIR_TRY(describe(reader, v, entry, &use));
    if (!use) continue;
    weir_field_type *type = &entry->known.type;
    for (int a = 0; a < type->rank; a++) {
      weir_status status = weir__netcdf_coordinate(reader, reader->id, &type->dim[a]);
      if (status < 0) return weir__error_prefix(status, "%s", reader->file[0].path);
    }
    WEIR_TRY(weir__netcdf_attributes(reader, reader->id, v, type));
    reader->entries++;
  }
  if (!reader->entries)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s has no variable that could be a field", reader->file[0].path);
  return WEIR_OK;
}

/* A later file must have every field of the first, alike but for its own packing. */
static weir_status compare_variables(weir__netcdf *reader) {
  const char *path = reader->file[reader->open_file].path, *first = reader->file[0].path;
  for (size_t i = 0; i < reader->entries; i++) {
    const weir__netcdf_variable *a = &reader->entry[i].known;
    weir__netcdf_entry           other;
    int                          variable;
    bool                         use;
    char                         here[200], there[200];
    if (a->is_static) continue;
    if (nc_inq_varid(reader->id, a->name, &variable) != NC_NOERR)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s has no variable `%s`, as %s has", path, a->name, first);
    WEIR_TRY(describe(reader, variable, &other, &use));
    weir_shape x = weir__shape_of(&other.known.type), y = weir__shape_of(&a->type);
    bool       same = use && x.rank == y.rank && other.record_axis == reader->entry[i].record_axis;
    for (int d = 0; same && d < x.rank; d++)
      same = x.extent[d] == y.extent[d] && !strcmp(other.known.type.dim[d].name, a->type.dim[d].name);
    if (!same)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: `%s` has the shape %s, but %s in %s (or other dimensions)", path, a->name,
                       weir__shape_text(&x, here), weir__shape_text(&y, there), first);
    if (other.known.type.dtype != a->type.dtype)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: `%s` is %s, but %s in %s", path, a->name,
                       weir_dtype_name(other.known.type.dtype), weir_dtype_name(a->type.dtype), first);
  }
  return WEIR_OK;
}

/* ---- opening ---- */

static weir_status open_locked(weir__netcdf *reader, const char *const *paths, const char *record) {
  size_t capacity = 0;
  for (int f = 0; f < reader->files; f++) {
    weir__netcdf_file *file = &reader->file[f];
    WEIR_TRY(weir__arena_string(&reader->arena, paths[f], &file->path));
    WEIR_TRY(use_file(reader, f));
    if (f == 0) {
      WEIR_TRY(find_record(reader, record));
      WEIR_TRY(list_variables(reader));
    } else WEIR_TRY(compare_variables(reader));
    WEIR_TRY(scan_steps(reader, file, &capacity));
  }
  return WEIR_OK;
}

weir_status weir__netcdf_open(const char *const *paths, int count, const char *record, weir__netcdf **reader) {
  weir_status   status = WEIR_OK;
  weir__netcdf *self;
  if (count < 1) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "no NetCDF file was given");
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->open_file = -1;
  self->files     = count;
  WEIR_TRY_GOTO(out, weir__arena_alloc(&self->arena, (size_t)count * sizeof *self->file, &self->file));
  weir__netcdf_lock();
  status = open_locked(self, paths, record);
  weir__netcdf_unlock();
  if (status < 0) goto out;
  *reader = self;
  self    = NULL;
out:
  weir__netcdf_close(&self);
  return status;
}

void weir__netcdf_close(weir__netcdf **reader) {
  weir__netcdf *self = *reader;
  if (!self) return;
  weir__netcdf_lock();
  close_file(self);
  weir__netcdf_unlock();
  weir__free(self->entry);
  weir__free(self->time);
  weir__free(self->buffer);
  weir__arena_clear(&self->arena);
  weir__free(self);
  *reader = NULL;
}

/* ---- asking ---- */

int weir__netcdf_variables(const weir__netcdf *reader) { return (int)reader->entries; }

const weir__netcdf_variable *weir__netcdf_variable_at(const weir__netcdf *reader, int variable) {
  return &reader->entry[variable].known;
}

int weir__netcdf_find(const weir__netcdf *reader, const char *name) {
  for (size_t i = 0; i < reader->entries; i++)
    if (!strcmp(reader->entry[i].known.name, name)) return (int)i;
  return -1;
}

const char *weir__netcdf_record(const weir__netcdf *reader) { return reader->record; }
int64_t     weir__netcdf_steps(const weir__netcdf *reader) { return reader->steps; }
const char *weir__netcdf_time_units(const weir__netcdf *reader) { return reader->time_units; }
const char *weir__netcdf_calendar(const weir__netcdf *reader) { return reader->calendar; }

static weir_status check_step(const weir__netcdf *reader, int64_t index) {
  if (index >= 0 && index < reader->steps) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: step %lld of %lld", reader->file[0].path, (long long)index,
                   (long long)reader->steps);
}

weir_status weir__netcdf_step_info(const weir__netcdf *reader, int64_t index, int64_t *step, double *time) {
  WEIR_TRY(check_step(reader, index));
  *step = index;
  *time = reader->time[index];
  return WEIR_OK;
}

/* ---- reading ---- */

/* The file that holds a step: files without steps are passed over. */
static int file_of(const weir__netcdf *reader, int64_t step) {
  int low = 0, high = reader->files;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (reader->file[middle].first <= step) low = middle;
    else high = middle;
  }
  return low;
}

/* Copy the decoded numbers of a dense buffer into the view. */
static void store(const weir_view *out, const double *buffer) {
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(out);
  do {
    weir_view_store(out, index, row, buffer);
    buffer += row;
  } while (weir_view_next_row(out, index));
}

/* 64-bit integers do not pass through double. */
static void store_integers(const weir__netcdf_decoding *d, const weir_view *out, int64_t *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double value   = (double)x[i];
    bool   missing = value < d->least || value > d->most;
    for (int m = 0; m < d->missing_count; m++) missing |= value == d->missing[m];
    if (missing) x[i] = (int64_t)out->fill;
  }
  weir_view from   = {.data = x, .dtype = WEIR_I64, .rank = out->rank};
  int64_t   stride = (int64_t)sizeof *x;
  for (int a = out->rank - 1; a >= 0; a--) {
    from.count[a]  = out->count[a];
    from.stride[a] = stride;
    stride *= out->count[a];
  }
  weir__view_copy(out, &from);
}

static weir_status read_locked(weir__netcdf *reader, const weir__netcdf_entry *entry, int64_t step,
                               const weir_region *region, const weir_view *out) {
  const char           *name = entry->known.name;
  weir__netcdf_decoding d;
  weir_field_type       type = {0};
  size_t start[WEIR_RANK_MAX + 1], count[WEIR_RANK_MAX + 1], elements = (size_t)weir__region_size(region);
  int    file = entry->known.is_static ? 0 : file_of(reader, step), variable, axes = 0;
  WEIR_TRY(use_file(reader, file));
  const char *path  = reader->file[file].path;
  int         error = nc_inq_varid(reader->id, name, &variable);
  if (error != NC_NOERR) return fail(path, name, error);
  for (int a = 0; a <= region->rank; a++) {
    if (a == entry->record_axis) start[axes] = (size_t)(step - reader->file[file].first), count[axes++] = 1;
    if (a < region->rank) start[axes] = (size_t)region->start[a], count[axes++] = (size_t)region->count[a];
  }
  nc_type stored;
  error = nc_inq_vartype(reader->id, variable, &stored);
  if (error != NC_NOERR) return fail(path, name, error);
  weir__netcdf_decide(reader->id, variable, stored, &d, &type); /* packing may differ from file to file */
  WEIR_TRY(weir__grow(&reader->buffer, elements, &reader->buffer_capacity, sizeof *reader->buffer));
  if (stored == NC_INT64 && entry->known.type.dtype == WEIR_I64) {
    long long *x = (long long *)(void *)reader->buffer;
    error        = nc_get_vara_longlong(reader->id, variable, start, count, x);
    if (error != NC_NOERR) return fail(path, name, error);
    store_integers(&d, out, (int64_t *)(void *)reader->buffer, (int64_t)elements);
    return WEIR_OK;
  }
  error = nc_get_vara_double(reader->id, variable, start, count, reader->buffer);
  if (error != NC_NOERR) return fail(path, name, error);
  weir__netcdf_decode(&d, reader->buffer, (int64_t)elements);
  store(out, reader->buffer);
  return WEIR_OK;
}

weir_status weir__netcdf_read(weir__netcdf *reader, int variable, int64_t step, const weir_region *region,
                              const weir_view *out) {
  if (variable < 0 || variable >= (int)reader->entries)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: no variable number %d", reader->file[0].path, variable);
  if (!reader->entry[variable].known.is_static) WEIR_TRY(check_step(reader, step));
  const weir__netcdf_entry *entry = &reader->entry[variable];
  weir_region               whole = weir__region_whole(&entry->known.type);
  bool                      fits =
      weir__region_contains(&whole, region) && out->dtype == entry->known.type.dtype && out->rank == region->rank;
  for (int a = 0; fits && a < region->rank; a++) fits = out->count[a] == region->count[a] && region->count[a] >= 0;
  if (!fits) {
    char text[200];
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: `%s` cannot be read at %s into %s: outside it, or another type or shape",
                     reader->file[0].path, entry->known.name, weir__region_text(region, text),
                     weir_dtype_name(out->dtype));
  }
  if (!weir__region_size(region)) return WEIR_OK;
  weir__netcdf_lock();
  weir_status status = read_locked(reader, entry, step, region, out);
  weir__netcdf_unlock();
  return status;
}
