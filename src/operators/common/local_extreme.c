/* The smallest or largest pixel of windows of w pixels: along rows, then along columns. Extremes of 2, 4, 8 ... pixels
 * are made of two of half the length, and that of w of two which overlap: log2(w) + 1 comparisons for many pixels at
 * once. (Twice as few are enough one pixel after the other, van Herk 1992, doi 10.1016/0167-8655(92)90069-C, but
 * then each waits for the one before.) */
#include "operators/common/local.h"
#include <math.h>
#include <string.h>

enum { STRIP = 256 }; /* columns taken together on the way down: rows of a strip stay in the cache */

/* Scratch: rows of extremes for the chunk with `radius` more above and below, two lines with that much at both ends.
 * Where pixels are missing it is used again, with bytes: which are valid, and the same rows and lines. */
static int64_t padded(int64_t n) { return (n + 63) / 64 * 64; }

static size_t table_bytes(size_t size, int64_t rows, int64_t columns, int64_t radius) {
  return (size_t)(padded((rows + 2 * radius) * columns) + 2 * padded(columns + 2 * radius)) * size;
}

size_t weir__local_extreme_memory(weir__kind kind, int64_t rows, int64_t columns, int64_t radius) {
  size_t values = table_bytes(weir__kind_size(kind), rows, columns, radius);
  size_t bytes  = table_bytes(1, rows, columns, radius) + (size_t)padded((rows + 2 * radius) * (columns + 2 * radius));
  return values > bytes ? values : bytes;
}

/* For each type and direction: PICK(a, b) is the one that wins, LAST one that always loses. The result is where
 * `extreme_...` leaves it: the first rows of `memory`. */
#define EXTREME(NAME, TYPE, PICK)                                                                                      \
  static void NAME##_pair(TYPE *restrict to, const TYPE *restrict a, const TYPE *restrict b, int64_t n) {              \
    for (int64_t i = 0; i < n; i++) to[i] = PICK(a[i], b[i]);                                                          \
  }                                                                                                                    \
  static void NAME##_into(TYPE *restrict a, const TYPE *restrict b, int64_t n) {                                       \
    for (int64_t i = 0; i < n; i++) a[i] = PICK(a[i], b[i]);                                                           \
  }                                                                                                                    \
  /* `line` holds n + w - 1 values; n results. */                                                                      \
  static void NAME##_along(TYPE *line, TYPE *other, int64_t n, int64_t w, TYPE *to) {                                  \
    int64_t p = 1;                                                                                                     \
    for (; 2 * p <= w; p *= 2) {                                                                                       \
      NAME##_pair(other, line, line + p, n + w - 2 * p);                                                               \
      TYPE *t = line;                                                                                                  \
      line = other, other = t;                                                                                         \
    }                                                                                                                  \
    NAME##_pair(to, line, line + w - p, n);                                                                            \
  }                                                                                                                    \
  static void NAME##_down(TYPE *row, int64_t rows, int64_t columns, int64_t w) {                                       \
    for (int64_t x = 0; x < columns; x += STRIP) {                                                                     \
      int64_t n = columns - x < STRIP ? columns - x : STRIP, p = 1;                                                    \
      for (; 2 * p <= w; p *= 2)                                                                                       \
        for (int64_t i = 0; i < rows + w - 2 * p; i++)                                                                 \
          NAME##_into(row + i * columns + x, row + (i + p) * columns + x, n);                                          \
      if (w > p)                                                                                                       \
        for (int64_t i = 0; i < rows; i++) NAME##_into(row + i * columns + x, row + (i + w - p) * columns + x, n);     \
    }                                                                                                                  \
  }                                                                                                                    \
  static TYPE *NAME(const weir__plane *g, const TYPE *pixel, void *memory, TYPE last) {                                \
    int64_t r = g->radius, n = g->out_columns, rows = g->out_rows + 2 * r;                                             \
    TYPE   *table = memory, *line = table + padded(rows * n), *other = line + padded(n + 2 * r);                       \
    for (int64_t i = 0; i < rows; i++) {                                                                               \
      int64_t y = i + g->top - r, skip = r > g->left ? r - g->left : 0, from = g->left + skip - r;                     \
      int64_t some = g->columns - from < n + 2 * r - skip ? g->columns - from : n + 2 * r - skip;                      \
      TYPE   *to   = table + i * n;                                                                                    \
      if (y < 0 || y >= g->rows) {                                                                                     \
        for (int64_t k = 0; k < n; k++) to[k] = last;                                                                  \
        continue;                                                                                                      \
      }                                                                                                                \
      for (int64_t k = 0; k < n + 2 * r; k++) line[k] = last;                                                          \
      memcpy(line + skip, pixel + y * g->columns + from, (size_t)some * sizeof(TYPE));                                 \
      for (int64_t k = skip; k < skip + some; k++) line[k] = line[k] == line[k] ? line[k] : last;                      \
      NAME##_along(line, other, n, 2 * r + 1, to);                                                                     \
    }                                                                                                                  \
    NAME##_down(table, g->out_rows, n, 2 * r + 1);                                                                     \
    return table;                                                                                                      \
  }
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))
#define LARGER(a, b)  ((a) > (b) ? (a) : (b))
EXTREME(min_u8, uint8_t, SMALLER)
EXTREME(max_u8, uint8_t, LARGER)
EXTREME(min_u16, uint16_t, SMALLER)
EXTREME(max_u16, uint16_t, LARGER)
EXTREME(min_f32, float, SMALLER)
EXTREME(max_f32, float, LARGER)
EXTREME(min_f64, double, SMALLER)
EXTREME(max_f64, double, LARGER)

/* An infinity may be a pixel or stand for none: windows without any valid pixel become NaN. The largest of 1 for valid
 * and 0 for missing pixels says which they are. */
static void remove_empty(const weir__plane *g) {
  int64_t        n    = g->rows * g->columns;
  uint8_t       *mask = (uint8_t *)g->memory;
  const uint8_t *any;
  if (g->kind == WEIR__KIND_F32) {
    const float *x = g->pixel;
    for (int64_t i = 0; i < n; i++) mask[i] = x[i] == x[i];
  } else {
    const double *x = g->pixel;
    for (int64_t i = 0; i < n; i++) mask[i] = x[i] == x[i];
  }
  any = max_u8(g, mask, g->memory + padded(n), 0);
  for (int64_t i = 0; i < g->out_rows * g->out_columns; i++) {
    if (any[i]) continue;
    if (g->kind == WEIR__KIND_F32) ((float *)g->result)[i] = NAN;
    else ((double *)g->result)[i] = NAN;
  }
}

void weir__local_extreme(const weir__plane *g) {
  bool        low   = g->percent == 0;
  size_t      count = (size_t)(g->out_rows * g->out_columns);
  const void *table = NULL;
  switch (g->kind) {
  case WEIR__KIND_U8:
    table = low ? min_u8(g, g->pixel, g->memory, UINT8_MAX) : max_u8(g, g->pixel, g->memory, 0);
    break;
  case WEIR__KIND_U16:
    table = low ? min_u16(g, g->pixel, g->memory, UINT16_MAX) : max_u16(g, g->pixel, g->memory, 0);
    break;
  case WEIR__KIND_F32:
    table = low ? min_f32(g, g->pixel, g->memory, (float)INFINITY) : max_f32(g, g->pixel, g->memory, -(float)INFINITY);
    break;
  case WEIR__KIND_F64:
    table =
        low ? min_f64(g, g->pixel, g->memory, (double)INFINITY) : max_f64(g, g->pixel, g->memory, -(double)INFINITY);
    break;
  }
  memcpy(g->result, table, count * weir__kind_size(g->kind));
  if (g->missing) remove_empty(g);
}
