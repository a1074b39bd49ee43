/* analysis increment: adds to a chunk of the background what the observations nearby mean for it. Each element gets its
 * terms in the order of the observations, whatever the chunk. */
#include "operators/common/analysis.h"
#include <math.h>

enum { SEGMENT = 256 };

typedef struct box { /* a chunk: coordinates and, for one source, squared distances on both axes */
  const weir__analysis *p;
  int64_t               count[2];
  double                period[2], low[2], high[2];
  double               *coordinate[2], *square[2], *sum;
} box;

static weir_status infer(weir_infer *infer) {
  const weir_field_type *f = infer->in[0];
  infer->out[0]            = weir__result_type(f, weir_dtype_floating(f->dtype), f->units);
  return WEIR_OK;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)(out->count[0] * out->count[1] + 2 * (out->count[0] + out->count[1])) * sizeof(double);
}

static void open_box(box *b, const weir_apply *a) {
  double *at = a->scratch;
  b->p       = a->params;
  b->sum     = at;
  at += weir_view_size(&a->out[0]);
  for (int64_t i = 0; i < weir_view_size(&a->out[0]); i++) b->sum[i] = 0;
  for (int k = 0; k < 2; k++) {
    int64_t n        = a->out[0].count[k];
    b->count[k]      = n;
    b->period[k]     = weir__points_period(&b->p->field->dim[k]);
    b->coordinate[k] = at;
    b->square[k]     = at + n;
    at += 2 * n;
    for (int64_t i = 0; i < n; i++)
      b->coordinate[k][i] = weir__points_coordinate(b->p->field, k, a->out[0].start[k] + i);
    b->low[k]  = fmin(b->coordinate[k][0], b->coordinate[k][n - 1]);
    b->high[k] = fmax(b->coordinate[k][0], b->coordinate[k][n - 1]);
  }
}

/* Squares of the distances on axis k; false when none is below `reach`. `first` and `last` hold those that are. */
static bool measure(const box *b, int k, double from, double reach, int64_t *first, int64_t *last) {
  if (b->period[k] <= 0 && (from <= b->low[k] - reach || from >= b->high[k] + reach)) return false;
  *first = b->count[k];
  *last  = -1;
  for (int64_t i = 0; i < b->count[k]; i++) {
    double d        = weir__analysis_distance(b->coordinate[k][i], from, b->period[k]);
    b->square[k][i] = d * d;
    if (d >= reach) continue;
    if (*first > i) *first = i;
    *last = i;
  }
  return *last >= 0;
}

/* What a weight at the element at `from` means for the chunk. */
static void spread(const box *b, const double from[2], double weight) {
  double  length = b->p->length, reach = 2 * length;
  int64_t first[2], last[2];
  for (int k = 0; k < 2; k++)
    if (!measure(b, k, from[k], reach, &first[k], &last[k])) return;
  for (int64_t i = first[0]; i <= last[0]; i++)
    for (int64_t j = first[1]; j <= last[1]; j++) {
      double square = b->square[0][i] + b->square[1][j];
      if (square < reach * reach)
        b->sum[i * b->count[1] + j] += weight * weir__analysis_correlation(sqrt(square) / length);
    }
}

static void add_observation(const box *b, double y, double x, double weight) {
  weir__footprint f;
  if (weight == 0 || !weir__footprint_find(b->p, y, x, &f)) return;
  for (int k = 0; k < 4; k++) {
    int    s = k >> 1, t = k & 1;
    double part = f.weight[0][s] * f.weight[1][t];
    if (part != 0) spread(b, (double[2]){f.at[0][s], f.at[1][t]}, weight * part);
  }
}

static weir_status apply(const weir_apply *a) {
  box     b;
  int64_t n = a->in[1].count[0], index[2] = {0};
  double  buffer[3][SEGMENT];
  open_box(&b, a);
  for (int64_t i = 0; i < n; i += SEGMENT) {
    int64_t       m = n - i < SEGMENT ? n - i : SEGMENT;
    const double *w = weir_view_load(&a->in[1], &i, m, buffer[0]), *y = weir_view_load(&a->in[2], &i, m, buffer[1]),
                 *x = weir_view_load(&a->in[3], &i, m, buffer[2]);
    for (int64_t j = 0; j < m; j++) add_observation(&b, y[j], x[j], w[j]);
  }
  for (int64_t i = 0; i < b.count[0]; i++) {
    double *sum = b.sum + i * b.count[1];
    index[0]    = i;
    for (index[1] = 0; index[1] < b.count[1]; index[1] += SEGMENT) {
      int64_t       m = b.count[1] - index[1] < SEGMENT ? b.count[1] - index[1] : SEGMENT;
      const double *f = weir_view_load(&a->in[0], index, m, buffer[0]);
      for (int64_t j = 0; j < m; j++) sum[index[1] + j] += f[j];
    }
    index[1] = 0;
    weir_view_store(&a->out[0], index, b.count[1], sum);
  }
  return WEIR_OK;
}

const weir_operator weir__analysis_increment = {.api          = WEIR_OPERATOR_API,
                                                .name         = "analysis increment",
                                                .inputs       = 4,
                                                .params_size  = sizeof(weir__analysis),
                                                .work         = 50,
                                                .infer        = infer,
                                                .apply        = apply,
                                                .scratch_size = scratch_size};
