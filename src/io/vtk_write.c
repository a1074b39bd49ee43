/* One VTK file: the text, then the arrays behind it, as their sizes come out; the text tells where they are, so it is
 * written last, over room of the same length. */
#include "field/field.h"
#include "io/file.h"
#include "io/vtk_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 1 << 18, ARRAYS_MAX = 64, DEFAULT_LEVEL = 6, HEADS = 3 /* numbers before the sizes of blocks */ };

typedef struct stream {
  const weir__vtk_writer *writer;
  const char             *path;
  int                     fd;
  off_t                   at;
  char                   *block; /* BLOCK bytes; what is to be written next */
  size_t                  used;
  unsigned char          *packed; /* zlib: a block when compressed */
  uint64_t               *head;   /* zlib: of the array, to be written when all blocks are */
  size_t                  blocks;
  char                   *row; /* of three components */
} stream;

/* ---- bytes ---- */

static weir_status put_at(const stream *s, const void *bytes, size_t nbytes, off_t at) {
  const char *from = bytes;
  while (nbytes) {
    ssize_t n = pwrite(s->fd, from, nbytes, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", s->path, strerror(errno));
    from += n, at += n, nbytes -= (size_t)n;
  }
  return WEIR_OK;
}

static weir_status put_block(stream *s) {
  const void *bytes  = s->block;
  uLongf      nbytes = s->used;
  if (!s->used) return WEIR_OK;
  if (s->writer->zlib) {
    nbytes = compressBound(BLOCK);
    if (compress2(s->packed, &nbytes, (const unsigned char *)s->block, s->used, s->writer->level) != Z_OK)
      return WEIR_FAIL(WEIR_ERR_MEMORY, "cannot write %s: zlib has no memory", s->path);
    bytes                        = s->packed;
    s->head[HEADS + s->blocks++] = nbytes;
  }
  WEIR_TRY(put_at(s, bytes, nbytes, s->at));
  s->at += (off_t)nbytes;
  s->used = 0;
  return WEIR_OK;
}

static weir_status put(stream *s, const char *bytes, size_t nbytes) {
  while (nbytes) {
    size_t part = nbytes < BLOCK - s->used ? nbytes : BLOCK - s->used;
    memcpy(s->block + s->used, bytes, part);
    bytes += part, nbytes -= part;
    s->used += part;
    if (s->used == BLOCK) WEIR_TRY(put_block(s));
  }
  return WEIR_OK;
}

/* An array of so many bytes begins, with `*head` bytes of numbers. */
static weir_status begin_array(stream *s, uint64_t nbytes, size_t *head) {
  uint64_t blocks = (nbytes + BLOCK - 1) / BLOCK;
  *head           = sizeof nbytes * (s->writer->zlib ? HEADS + blocks : 1);
  s->blocks       = 0;
  s->used         = 0;
  if (s->writer->zlib) s->head[0] = blocks, s->head[1] = BLOCK, s->head[2] = nbytes % BLOCK;
  else WEIR_TRY(put_at(s, &nbytes, sizeof nbytes, s->at));
  s->at += (off_t)*head;
  return WEIR_OK;
}

static weir_status end_array(stream *s, off_t begun, size_t head) {
  WEIR_TRY(put_block(s));
  return s->writer->zlib ? put_at(s, s->head, head, begun) : WEIR_OK;
}

/* ---- values ---- */

/* A row of the field on its last axis, in its own type; fill values of real numbers become NaN. `to` has every
 * `apart`-th of its elements. */
static void load_row(const weir_view *view, const int64_t *index, const weir__vtk_axis *x, char *to, int64_t apart) {
  size_t      size = weir_dtype_size(view->dtype);
  const char *from = view->data;
  for (int a = 0; a + 1 < view->rank; a++) from += index[a] * view->stride[a];
  int64_t stride = view->rank ? view->stride[view->rank - 1] : 0;
  if (x->turned) from += (x->points - 1) * stride, stride = -stride;
  for (int64_t i = 0; i < x->points; i++, from += stride) {
    char *at = to + (size_t)(i * apart) * size;
    switch (size) {
    case 1: *at = *from; break;
    case 2: memcpy(at, from, 2); break;
    case 4: memcpy(at, from, 4); break;
    default: memcpy(at, from, 8);
    }
    if (!view->has_fill) continue;
    if (view->dtype == WEIR_F32) {
      float value;
      memcpy(&value, at, sizeof value);
      if (value == (float)view->fill) memcpy(at, &(float){NAN}, sizeof value);
    } else if (view->dtype == WEIR_F64) {
      double value;
      memcpy(&value, at, sizeof value);
      if (value == view->fill) memcpy(at, &(double){NAN}, sizeof value);
    }
  }
}

/* A field that has no value at this step: NaN, its fill value, or 0 in one of integers without. */
static void missing_row(const weir_field_type *type, int64_t points, char *to, int64_t apart) {
  double    value = NAN;
  weir_view one   = {.dtype = type->dtype, .has_fill = type->has_fill, .fill = type->fill};
  size_t    size  = weir_dtype_size(type->dtype);
  if (weir_dtype_is_floating(type->dtype)) one.has_fill = false;
  for (int64_t i = 0; i < points; i++) {
    one.data = to + (size_t)(i * apart) * size;
    weir_view_store(&one, NULL, 1, &value);
  }
}

/* `count` fields (or -1: zeros) side by side. */
static weir_status put_values(stream *s, const weir_view *views, const int *field, int count) {
  const weir__vtk_writer *w    = s->writer;
  const weir_field_type  *type = w->content.type[field[0]];
  size_t                  size = weir_dtype_size(type->dtype);
  const weir__vtk_axis   *axis = w->grid.axis, one = {.from = -1, .points = 1}, *x = type->rank ? &axis[0] : &one;
  int64_t                 rows[] = {type->rank > 1 ? axis[1].points : 1, type->rank > 2 ? axis[2].points : 1};
  for (int64_t k = 0; k < rows[1]; k++)
    for (int64_t j = 0; j < rows[0]; j++) {
      int64_t index[WEIR_RANK_MAX] = {0};
      if (type->rank > 1) index[axis[1].from] = axis[1].turned ? rows[0] - 1 - j : j;
      if (type->rank > 2) index[axis[2].from] = axis[2].turned ? rows[1] - 1 - k : k;
      for (int c = 0; c < count; c++) {
        char            *to   = s->row + (size_t)c * size;
        const weir_view *view = field[c] < 0 ? NULL : &views[field[c]];
        if (!view) {
          for (int64_t i = 0; i < x->points; i++) memset(to + (size_t)(i * count) * size, 0, size);
        } else if (view->missing || !view->data) missing_row(w->content.type[field[c]], x->points, to, count);
        else load_row(view, index, x, to, count);
      }
      WEIR_TRY(put(s, s->row, (size_t)(x->points * count) * size));
    }
  return WEIR_OK;
}

static int64_t points_of(const weir__vtk_grid *grid) {
  return grid->axis[0].points * grid->axis[1].points * grid->axis[2].points;
}

static weir_status put_array(stream *s, const weir_view *views, const int *field, int count) {
  const weir_field_type *type   = s->writer->content.type[field[0]];
  off_t                  begun  = s->at;
  uint64_t               nbytes = (uint64_t)(type->rank ? points_of(&s->writer->grid) : 1) * (uint64_t)count;
  size_t                 head;
  WEIR_TRY(begin_array(s, nbytes * weir_dtype_size(type->dtype), &head));
  WEIR_TRY(put_values(s, views, field, count));
  return end_array(s, begun, head);
}

static weir_status put_coordinate(stream *s, const weir__vtk_axis *axis) {
  off_t  begun = s->at;
  size_t head;
  WEIR_TRY(begin_array(s, (uint64_t)axis->points * sizeof(double), &head));
  for (int64_t i = 0; i < axis->points; i++) {
    double x = weir__vtk_point(axis, i);
    WEIR_TRY(put(s, (const char *)&x, sizeof x));
  }
  return end_array(s, begun, head);
}

/* ---- the text ---- */

static const char *vtk_type(weir_dtype dtype) {
  switch (dtype) {
  case WEIR_F32: return "Float32";
  case WEIR_F64: return "Float64";
  case WEIR_I8: return "Int8";
  case WEIR_I16: return "Int16";
  case WEIR_I32: return "Int32";
  case WEIR_I64: return "Int64";
  case WEIR_U8: return "UInt8";
  case WEIR_U16: return "UInt16";
  }
  return "?";
}

static void add_escaped(weir__text *text, const char *from) {
  for (; *from; from++) {
    if (*from == '&') weir__text_add(text, "&amp;");
    else if (*from == '<') weir__text_add(text, "&lt;");
    else if (*from == '>') weir__text_add(text, "&gt;");
    else if (*from == '"') weir__text_add(text, "&quot;");
    else weir__text_add_bytes(text, from, 1);
  }
}

/* An array at an offset, in room for any. */
static void add_array(weir__text *text, const weir_field_type *type, const char *name, int components,
                      uint64_t offset) {
  char number[32];
  int  digits = snprintf(number, sizeof number, "\"%llu\"", (unsigned long long)offset);
  weir__text_add(text, "<DataArray type=\"%s\" Name=\"%s\" %s=\"%d\" format=\"appended\" offset=%s%*s",
                 vtk_type(type->dtype), name, type->rank ? "NumberOfComponents" : "NumberOfTuples", components, number,
                 22 - digits, "");
  if (!type->units || !*type->units || !strcmp(type->units, "1")) {
    weir__text_add(text, "/>\n");
    return;
  }
  weir__text_add(text, "><InformationKey name=\"UNITS_LABEL\" location=\"vtkDataArray\">");
  add_escaped(text, type->units);
  weir__text_add(text, "</InformationKey></DataArray>\n");
}

static const char *first_of_rank(const weir__vtk_content *c) {
  for (int i = 0; i < c->shown; i++)
    if (c->type[i]->rank) return c->name[i];
  return NULL;
}

/* Arrays in the order in which they are written: numbers, coordinates, fields, vectors. */
static weir_status make_text(const weir__vtk_writer *w, int64_t step, double time, const uint64_t *offset,
                             weir__text *text) {
  const weir__vtk_content *c    = &w->content;
  const weir__vtk_axis    *axis = w->grid.axis;
  const char              *kind = w->grid.rectilinear ? "RectilinearGrid" : "ImageData", *scalars = first_of_rank(c);
  static const weir_field_type coordinate = {.dtype = WEIR_F64, .rank = 1};
  static const char *const     xyz[]      = {"x", "y", "z"};
  char                         extent[100], number[3][32];
  uint16_t                     order = 1;
  snprintf(extent, sizeof extent, "0 %lld 0 %lld 0 %lld", (long long)axis[0].points - 1, (long long)axis[1].points - 1,
           (long long)axis[2].points - 1);
  weir__text_add(text,
                 "<?xml version=\"1.0\"?>\n<VTKFile type=\"%s\" version=\"1.0\" byte_order=\"%s\" "
                 "header_type=\"UInt64\"%s>\n<%s WholeExtent=\"%s\"",
                 kind, *(const char *)&order ? "LittleEndian" : "BigEndian",
                 w->zlib ? " compressor=\"vtkZLibDataCompressor\"" : "", kind, extent);
  if (!w->grid.rectilinear) {
    weir__text_add(text, " Origin=\"%s %s %s\"", weir__number_text(axis[0].origin, number[0]),
                   weir__number_text(axis[1].origin, number[1]), weir__number_text(axis[2].origin, number[2]));
    weir__text_add(text, " Spacing=\"%s %s %s\"", weir__number_text(axis[0].spacing, number[0]),
                   weir__number_text(axis[1].spacing, number[1]), weir__number_text(axis[2].spacing, number[2]));
  }
  weir__text_add(text, ">\n<FieldData>\n<DataArray type=\"Float64\" " WEIR__VTK_TIME "%s</DataArray>\n",
                 weir__number_text(isfinite(time) ? time : (double)step, number[0]));
  weir__text_add(text,
                 "<DataArray type=\"Int64\" Name=\"step\" NumberOfTuples=\"1\" format=\"ascii\">%lld</DataArray>\n",
                 (long long)step);
  for (int i = 0; i < c->shown; i++)
    if (!c->type[i]->rank) add_array(text, c->type[i], c->name[i], 1, *offset++);
  weir__text_add(text, "</FieldData>\n<Piece Extent=\"%s\">\n", extent);
  if (w->grid.rectilinear) {
    weir__text_add(text, "<Coordinates>\n");
    for (int k = 0; k < 3; k++) add_array(text, &coordinate, xyz[k], 1, *offset++);
    weir__text_add(text, "</Coordinates>\n");
  }
  weir__text_add(text, "<PointData");
  if (scalars) weir__text_add(text, " Scalars=\"%s\"", scalars);
  if (c->vectors) weir__text_add(text, " Vectors=\"%s\"", c->vector[0].name);
  weir__text_add(text, ">\n");
  for (int i = 0; i < c->shown; i++)
    if (c->type[i]->rank) add_array(text, c->type[i], c->name[i], 1, *offset++);
  for (int k = 0; k < c->vectors; k++)
    add_array(text, c->type[c->vector[k].component[0]], c->vector[k].name, 3, *offset++);
  weir__text_add(text, "</PointData>\n</Piece>\n</%s>\n<AppendedData encoding=\"raw\">\n_", kind);
  return weir__text_status(text);
}

/* ---- the file ---- */

static const weir__vtk_writer *lay_out(const weir__vtk_writer *w, stream *s, char *memory, size_t *bytes) {
  size_t blocks = ((size_t)points_of(&w->grid) * 3 * sizeof(double)) / BLOCK + 1;
  size_t packed = w->zlib ? (compressBound(BLOCK) + 63) & ~(size_t)63 : 0;
  size_t head   = w->zlib ? ((HEADS + blocks) * sizeof *s->head + 63) & ~(size_t)63 : 0;
  s->block      = memory;
  s->packed     = (unsigned char *)(memory ? memory + BLOCK : NULL);
  s->head       = memory ? (uint64_t *)(void *)(memory + BLOCK + packed) : NULL;
  s->row        = memory ? memory + BLOCK + packed + head : NULL;
  *bytes        = BLOCK + packed + head + (size_t)w->grid.axis[0].points * 3 * sizeof(double);
  return w;
}

size_t weir__vtk_writer_scratch(const weir__vtk_writer *writer) {
  stream s = {0};
  size_t bytes;
  (void)lay_out(writer, &s, NULL, &bytes);
  return bytes;
}

static weir_status put_arrays(stream *s, const weir_view *views, off_t base, uint64_t *offset) {
  const weir__vtk_content *c = &s->writer->content;
  for (int i = 0; i < c->shown; i++) {
    if (c->type[i]->rank) continue;
    *offset++ = (uint64_t)(s->at - base);
    WEIR_TRY(put_array(s, views, &i, 1));
  }
  for (int k = 0; k < 3 && s->writer->grid.rectilinear; k++) {
    *offset++ = (uint64_t)(s->at - base);
    WEIR_TRY(put_coordinate(s, &s->writer->grid.axis[k]));
  }
  for (int i = 0; i < c->shown; i++) {
    if (!c->type[i]->rank) continue;
    *offset++ = (uint64_t)(s->at - base);
    WEIR_TRY(put_array(s, views, &i, 1));
  }
  for (int k = 0; k < c->vectors; k++) {
    const weir__vtk_vector *v    = &c->vector[k];
    int                     of[] = {v->component[0], v->component[1], v->components > 2 ? v->component[2] : -1};
    *offset++                    = (uint64_t)(s->at - base);
    WEIR_TRY(put_array(s, views, of, 3));
  }
  return WEIR_OK;
}

static weir_status put_file(stream *s, int64_t step, double time, const weir_view *views) {
  static const char end[]              = "\n</AppendedData>\n</VTKFile>\n";
  uint64_t          offset[ARRAYS_MAX] = {0};
  weir__text        text               = {0};
  weir_status       status             = WEIR_OK;
  WEIR_TRY_GOTO(out, make_text(s->writer, step, time, offset, &text));
  s->at = (off_t)text.length;
  WEIR_TRY_GOTO(out, put_arrays(s, views, (off_t)text.length, offset));
  WEIR_TRY_GOTO(out, put_at(s, end, sizeof end - 1, s->at));
  text.length = 0;
  WEIR_TRY_GOTO(out, make_text(s->writer, step, time, offset, &text));
  WEIR_TRY_GOTO(out, put_at(s, text.data, text.length, 0));
out:
  weir__text_clear(&text);
  return status;
}

weir_status weir__vtk_writer_write(const weir__vtk_writer *writer, const char *path, int64_t step, double time,
                                   const weir_view *views, void *scratch) {
  char   part[PATH_MAX];
  size_t bytes;
  stream s = {.path = path};
  WEIR_TRY(weir__file_part(path, part, sizeof part));
  s.writer = lay_out(writer, &s, scratch, &bytes);
  s.fd     = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (s.fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot create %s: %s", path, strerror(errno));
  weir_status status = put_file(&s, step, time, views);
  if (close(s.fd) && status >= 0) status = WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  return weir__file_part_done(path, part, status);
}
