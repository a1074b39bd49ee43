#include "io/csv.h"
#include "field/field.h"
#include "io/file.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct weir__csv {
  char      *path;
  int        fd;
  int        fields;
  off_t      end;      /* of the whole rows, when the last one is torn */
  bool       torn;     /* a row was cut short and could not be taken back yet */
  bool       gaps;     /* there is a column for why a step is missing */
  int64_t   *elements; /* of each field */
  weir__text row;      /* reused: no allocation once it has grown */
};

/* ---- the header ---- */

static void add_cell(weir__text *text, const char *cell) {
  weir__text_add(text, ",");
  if (!strpbrk(cell, ",\"\r\n")) {
    weir__text_add(text, "%s", cell);
    return;
  }
  weir__text_add(text, "\"");
  for (; *cell; cell++) weir__text_add(text, *cell == '"' ? "\"\"" : "%c", *cell);
  weir__text_add(text, "\"");
}

static void add_units(weir__text *cell, const char *units) {
  if (units && *units && strcmp(units, "1")) weir__text_add(cell, " (%s)", units);
}

static void add_field(weir__text *header, const char *name, const weir_field_type *type) {
  int64_t     index[WEIR_RANK_MAX] = {0};
  weir_region whole                = weir__region_whole(type);
  int64_t     elements             = weir__region_size(&whole);
  char        number[32];
  for (int64_t i = 0; i < elements; i++) {
    weir__text cell = {0};
    weir__text_add(&cell, "%s", name);
    for (int a = 0; a < type->rank; a++) {
      double shift = type->dim[a].spacing != 0 ? weir__location_shift(type->location, type->rank, a) : 0;
      double x     = weir__coordinate(&type->dim[a], (double)index[a] + shift);
      weir__text_add(&cell, "%s%s%s", a ? "; " : "[", weir__number_text(x, number), a == type->rank - 1 ? "]" : "");
    }
    add_units(&cell, type->units);
    if (cell.failed) header->failed = true;
    else add_cell(header, cell.data);
    weir__text_clear(&cell);
    for (int a = type->rank - 1; a >= 0 && ++index[a] == type->dim[a].size; a--) index[a] = 0;
  }
}

static weir_status make_header(weir__csv *csv, const char *const *names, const weir_field_type *const *types,
                               const char *time_units, weir__text *header) {
  weir__text time    = {0};
  int64_t    columns = csv->gaps ? 3 : 2;
  for (int f = 0; f < csv->fields; f++) {
    weir_region whole = weir__region_whole(types[f]);
    csv->elements[f]  = weir__region_size(&whole);
    columns += csv->elements[f] < WEIR__CSV_COLUMNS_MAX ? csv->elements[f] : WEIR__CSV_COLUMNS_MAX;
    if (columns > WEIR__CSV_COLUMNS_MAX)
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: `%s` has %lld elements, a table at most %d columns: write it to Zarr",
                       csv->path, names[f], (long long)csv->elements[f], WEIR__CSV_COLUMNS_MAX);
  }
  weir__text_add(header, "step");
  weir__text_add(&time, "time");
  add_units(&time, time_units);
  if (time.failed) header->failed = true;
  else add_cell(header, time.data);
  weir__text_clear(&time);
  for (int f = 0; f < csv->fields; f++) add_field(header, names[f], types[f]);
  if (csv->gaps) add_cell(header, WEIR__CSV_MISSING);
  weir__text_add(header, "\n");
  return weir__text_status(header);
}

/* ---- going on with a file ---- */

/* Where the rows to keep end: all up to the first of a later step, or the first that is not whole. */
static size_t kept_length(const char *bytes, size_t nbytes, size_t header, int64_t keep_to) {
  size_t length = header;
  while (length < nbytes) {
    const char *end = memchr(bytes + length, '\n', nbytes - length);
    char       *after;
    if (!end) break;
    errno          = 0;
    long long step = strtoll(bytes + length, &after, 10);
    if (after == bytes + length || *after != ',' || errno || step > keep_to) break;
    length = (size_t)(end - bytes) + 1;
  }
  return length;
}

/* Cut an existing file back; `*length` is 0 when there is nothing to keep and a header must be written. */
static weir_status cut_back(weir__csv *csv, const weir__text *header, int64_t keep_to, size_t *length) {
  char  *bytes;
  size_t nbytes;
  *length = 0;
  WEIR_TRY(weir__file_read(AT_FDCWD, csv->path, csv->path, &bytes, &nbytes));
  size_t      shared = nbytes < header->length ? nbytes : header->length;
  weir_status status = WEIR_OK;
  if (shared && memcmp(bytes, header->data, shared))
    status = WEIR_FAIL(WEIR_ERR_INPUT,
                       "%s: the table to go on with has other columns; write to another path or remove it", csv->path);
  else if (nbytes >= header->length) *length = kept_length(bytes, nbytes, header->length, keep_to);
  weir__free(bytes);
  WEIR_TRY(status);
  if (ftruncate(csv->fd, (off_t)*length))
    return WEIR_FAIL(WEIR_ERR_IO, "cannot cut back %s: %s", csv->path, strerror(errno));
  return WEIR_OK;
}

/* ---- rows ---- */

/* Take back a row that was cut short. Nothing is written before that has succeeded. */
static weir_status mend(weir__csv *csv) {
  if (!csv->torn) return WEIR_OK;
  if (ftruncate(csv->fd, csv->end)) return WEIR_FAIL(WEIR_ERR_IO, "cannot cut back %s: %s", csv->path, strerror(errno));
  csv->torn = false;
  return WEIR_OK;
}

/* Usually one write. A row that was cut short (disk full) is taken back, now or before the next one. */
static weir_status append(weir__csv *csv, const weir__text *text) {
  size_t      done = 0;
  struct stat file;
  WEIR_TRY(mend(csv));
  if (fstat(csv->fd, &file)) return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", csv->path, strerror(errno));
  if (!file.st_nlink) return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: the file was removed", csv->path);
  csv->end = file.st_size;
  while (done < text->length) {
    ssize_t n = write(csv->fd, text->data + done, text->length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    done += (size_t)n;
  }
  if (done == text->length) return WEIR_OK;
  int why   = errno;
  csv->torn = done > 0;
  if (mend(csv) < 0) (void)0; /* before the next row */
  return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", csv->path, strerror(why));
}

weir_status weir__csv_open(const char *path, const char *const *names, const weir_field_type *const *types, int fields,
                           const weir__csv_options *options, weir__csv **csv) {
  static const weir__csv_options defaults = {0};
  weir_status                    status   = WEIR_OK;
  weir__text                     header   = {0};
  weir__csv                     *self;
  size_t                         kept = 0;
  if (!options) options = &defaults;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->fd     = -1;
  self->fields = fields;
  self->gaps   = options->gaps;
  WEIR_TRY_GOTO(out, weir__alloc_string(path, &self->path));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)fields, sizeof *self->elements, &self->elements));
  WEIR_TRY_GOTO(out, make_header(self, names, types, options->time_units, &header));
  WEIR_TRY_GOTO(out, weir__file_make_directories(path, false));
  self->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (options->keep_to ? 0 : O_TRUNC), 0666);
  if (self->fd < 0) {
    status = WEIR_FAIL(WEIR_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    goto out;
  }
  if (options->keep_to) WEIR_TRY_GOTO(out, cut_back(self, &header, *options->keep_to, &kept));
  if (!kept) WEIR_TRY_GOTO(out, append(self, &header));
  *csv = self;
  self = NULL;
out:
  weir__text_clear(&header);
  if (self) (void)weir__csv_close(&self);
  return status;
}

static void add_values(weir__text *row, const weir_view *view, int64_t elements) {
  enum { RUN = 256 };
  double  buffer[RUN];
  int64_t index[WEIR_RANK_MAX] = {0}, width = weir_view_row(view);
  char    number[32];
  if (view->missing || !view->data) {
    for (int64_t i = 0; i < elements; i++) weir__text_add(row, ",");
    return;
  }
  if (!elements) return;
  do {
    int64_t at[WEIR_RANK_MAX];
    memcpy(at, index, sizeof at);
    for (int64_t i = 0; i < width; i += RUN) {
      int64_t n = width - i < RUN ? width - i : RUN;
      if (view->rank) at[view->rank - 1] = i;
      const double *x = weir_view_load(view, at, n, buffer);
      for (int64_t k = 0; k < n; k++) weir__text_add(row, ",%s", isnan(x[k]) ? "" : weir__number_text(x[k], number));
    }
  } while (weir_view_next_row(view, index));
}

weir_status weir__csv_write(weir__csv *csv, int64_t step, double time, const weir_view *views, const char *why) {
  char number[32];
  csv->row.length = 0;
  csv->row.failed = false;
  weir__text_add(&csv->row, "%lld,%s", (long long)step, isnan(time) ? "" : weir__number_text(time, number));
  for (int f = 0; f < csv->fields; f++) {
    if (views[f].data && !views[f].missing && weir_view_size(&views[f]) != csv->elements[f])
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: column group %d has %lld elements; %lld were expected", csv->path, f + 1,
                       (long long)weir_view_size(&views[f]), (long long)csv->elements[f]);
    add_values(&csv->row, &views[f], csv->elements[f]);
  }
  if (csv->gaps) add_cell(&csv->row, why ? why : "");
  weir__text_add(&csv->row, "\n");
  WEIR_TRY(weir__text_status(&csv->row));
  return append(csv, &csv->row);
}

weir_status weir__csv_close(weir__csv **csv) {
  weir__csv  *self   = *csv;
  weir_status status = WEIR_OK;
  if (!self) return WEIR_OK;
  if (self->fd >= 0 && close(self->fd))
    status = WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", self->path, strerror(errno));
  weir__text_clear(&self->row);
  weir__free(self->elements);
  weir__free(self->path);
  weir__free(self);
  *csv = NULL;
  return status;
}
