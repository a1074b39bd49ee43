#include "operators/common/equalize.h"
#include <math.h>
#include <string.h>

enum { LEVELS = 256 }; /* of uint8 */

weir_status weir__equalize_infer(weir_infer *infer, const char *operator_name, int64_t bins) {
  weir__equalize        *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  WEIR_TRY(weir__image_infer_same(infer, operator_name));
  for (int a = in->rank - 2; a < in->rank; a++) {
    if (in->dim[a].size < p->tiles)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: tiles is %lld, expected at most %lld, the size of dimension \"%s\"",
                       operator_name, (long long)p->tiles, (long long)in->dim[a].size, in->dim[a].name);
    infer->from_axis[0][a] = -1;
  }
  p->bins = in->dtype == WEIR_U8 ? LEVELS : bins;
  return WEIR_OK;
}

/* Between which tiles a row or column lies, and how much the second counts. */
typedef struct between {
  int64_t tile[2];
  double  weight;
} between;

/* Curves: bins + 1 values of the cumulative distribution C for each tile, from 0 to 1. */
typedef struct work {
  const weir_apply *a;
  int64_t           tiles, bins, rows, columns;
  bool              levels; /* bins are the values of uint8 */
  double            low, high;
  double           *curve, *blend, *buffer, *result;
  between          *column;
} work;

size_t weir__equalize_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__equalize *p       = params;
  size_t                columns = (size_t)out->count[out->rank - 1], tiles = (size_t)p->tiles;
  (void)in;
  return ((tiles * tiles + tiles) * (size_t)(p->bins + 1) + 2 * columns) * sizeof(double) + columns * sizeof(between);
}

static int64_t edge(int64_t n, int64_t tiles, int64_t k) { return k * n / tiles; }

static double centre(int64_t n, int64_t tiles, int64_t k) {
  return 0.5 * (double)(edge(n, tiles, k) + edge(n, tiles, k + 1) - 1);
}

static between place(int64_t n, int64_t tiles, int64_t at) {
  int64_t k = 0;
  double  x = (double)at;
  while (k < tiles && centre(n, tiles, k) <= x) k++;
  if (k == 0) return (between){{0, 0}, 0};
  if (k == tiles) return (between){{tiles - 1, tiles - 1}, 0};
  double from = centre(n, tiles, k - 1), to = centre(n, tiles, k);
  return (between){{k - 1, k}, (x - from) / (to - from)};
}

/* The range of the finite pixels of a plane. */
static void find_range(work *w, int64_t *index) {
  const weir_view *in = &w->a->in[0];
  w->low = INFINITY, w->high = -INFINITY;
  for (int64_t i = 0; i < w->rows; i++) {
    index[in->rank - 2] = i;
    const double *x     = weir_view_load(in, index, w->columns, w->buffer);
    for (int64_t j = 0; j < w->columns; j++) {
      if (!isfinite(x[j])) continue;
      w->low  = x[j] < w->low ? x[j] : w->low;
      w->high = x[j] > w->high ? x[j] : w->high;
    }
  }
  if (w->levels) w->low = 0, w->high = LEVELS - 1;
}

/* Where a pixel is among the edges of the bins: its bin, and how far within it. For a level the end of its bin. */
static int64_t locate(const work *w, double x, double *within) {
  double at = w->levels ? x + 1 : (x - w->low) / (w->high - w->low) * (double)w->bins;
  at        = at < 0 ? 0 : at > (double)w->bins ? (double)w->bins : at;
  int64_t k = (int64_t)at < w->bins ? (int64_t)at : w->bins - 1;
  *within   = at - (double)k;
  return k;
}

static void count(const work *w, int64_t *index) {
  const weir_view *in = &w->a->in[0];
  memset(w->curve, 0, (size_t)(w->tiles * w->tiles * (w->bins + 1)) * sizeof *w->curve);
  for (int64_t i = 0, ty = 0; i < w->rows; i++) {
    while (i >= edge(w->rows, w->tiles, ty + 1)) ty++;
    index[in->rank - 2] = i;
    const double *x     = weir_view_load(in, index, w->columns, w->buffer);
    for (int64_t tx = 0; tx < w->tiles; tx++) {
      double *curve = w->curve + (ty * w->tiles + tx) * (w->bins + 1) + 1;
      for (int64_t j = edge(w->columns, w->tiles, tx); j < edge(w->columns, w->tiles, tx + 1); j++) {
        double within;
        if (x[j] == x[j]) curve[w->levels ? (int64_t)x[j] : locate(w, x[j], &within)] += 1;
      }
    }
  }
}

/* Counts become a cumulative distribution; what bins hold beyond the limit is shared by all. A tile without any pixel
 * changes nothing. */
static void accumulate(const work *w, double clip, double *curve) {
  double total = 0, excess = 0, sum = 0;
  for (int64_t k = 1; k <= w->bins; k++) total += curve[k];
  double limit = clip * total > 1 ? clip * total : 1;
  for (int64_t k = 1; k <= w->bins; k++) {
    if (total == 0) curve[k] = 1;
    if (curve[k] <= limit || total == 0) continue;
    excess += curve[k] - limit;
    curve[k] = limit;
  }
  for (int64_t k = 1; k <= w->bins; k++) {
    sum += curve[k] + excess / (double)w->bins;
    curve[k] = sum;
  }
  for (int64_t k = 1; k <= w->bins; k++) curve[k] /= sum;
}

/* The curves of the tiles above and below a row, put together: one for each column of tiles. */
static void blend_rows(const work *w, between y) {
  int64_t       n = w->tiles * (w->bins + 1);
  const double *a = w->curve + y.tile[0] * n, *b = w->curve + y.tile[1] * n;
  for (int64_t k = 0; k < n; k++) w->blend[k] = a[k] + y.weight * (b[k] - a[k]);
}

static void map_row(const work *w, const double *x) {
  for (int64_t j = 0; j < w->columns; j++) {
    double  within, c[2];
    between b    = w->column[j];
    w->result[j] = x[j];
    if (!(x[j] == x[j]) || !(w->high > w->low)) continue;
    int64_t k = locate(w, x[j], &within);
    for (int s = 0; s < 2; s++) {
      const double *curve = w->blend + b.tile[s] * (w->bins + 1) + k;
      c[s]                = curve[0] + within * (curve[1] - curve[0]);
    }
    w->result[j] = w->low + (w->high - w->low) * (c[0] + b.weight * (c[1] - c[0]));
  }
}

weir_status weir__equalize_apply(const weir_apply *a) {
  const weir__equalize *p  = a->params;
  const weir_view      *in = &a->in[0], *out = &a->out[0];
  int64_t               index[WEIR_RANK_MAX] = {0}, y = out->rank - 2;
  work w = {.a = a, .tiles = p->tiles, .bins = p->bins, .rows = out->count[y], .columns = out->count[y + 1]};
  if (!weir_view_size(out)) return WEIR_OK;
  w.levels = a->in_type[0]->dtype == WEIR_U8;
  w.curve  = a->scratch;
  w.blend  = w.curve + w.tiles * w.tiles * (w.bins + 1);
  w.buffer = w.blend + w.tiles * (w.bins + 1);
  w.result = w.buffer + w.columns;
  w.column = (between *)(void *)(w.result + w.columns);
  for (int64_t j = 0; j < w.columns; j++) w.column[j] = place(w.columns, w.tiles, j);
  do {
    find_range(&w, index);
    if (w.high > w.low) count(&w, index);
    for (int64_t k = 0; w.high > w.low && k < w.tiles * w.tiles; k++)
      accumulate(&w, p->clip, w.curve + k * (w.bins + 1));
    for (int64_t i = 0; i < w.rows; i++) {
      index[y] = i;
      if (w.high > w.low && (w.tiles > 1 || i == 0)) blend_rows(&w, place(w.rows, w.tiles, i));
      map_row(&w, weir_view_load(in, index, w.columns, w.buffer));
      weir_view_store(out, index, w.columns, w.result);
    }
    index[y] = 0;
  } while (weir__image_next(out, index));
  return WEIR_OK;
}
