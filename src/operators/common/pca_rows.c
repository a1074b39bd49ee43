#include "core/simd.h"
#include "operators/common/pca.h"
#include <math.h>
#include <string.h>

weir_field_type weir__pca_vector(const char *dimension, int64_t size, const char *units) {
  return (weir_field_type){.dtype = WEIR_F64, .rank = 1, .units = units, .dim = {{.name = dimension, .size = size}}};
}

void weir__pca_unsplit(weir_infer *infer) {
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[0][a] = -1;
}

const double *weir__pca_numbers(const weir_view *view) { return view->data; } /* float64 in one chunk: in one piece */

size_t weir__pca_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__pca *p = params;
  (void)in, (void)out;
  return (size_t)(p->components + WEIR__PCA_BUFFERS) * WEIR__PCA_SEGMENT * sizeof(double);
}

void weir__pca_open(weir__pca_rows *rows, const void *params, const weir_view *shape, const weir_view *f,
                    const weir_view *basis, void *scratch) {
  *rows   = (weir__pca_rows){.shape      = shape,
                             .f          = f && f->data ? f : NULL,
                             .basis      = basis && basis->data ? basis : NULL,
                             .components = ((const weir__pca *)params)->components,
                             .row        = weir_view_row(shape),
                             .at         = -1,
                             .buffer     = scratch};
  rows->x = rows->buffer;
  rows->y = rows->buffer + WEIR__PCA_SEGMENT;
}

/* The piece of a field, and meanwhile the next one is asked of its memory: another piece of each slot is read, and
 * machines foresee longer runs only. */
static const double *load(const weir_view *view, const int64_t *index, int64_t n, double *buffer) {
  const double *x = weir_view_load(view, index, n, buffer);
  if (x != buffer) weir__ask_for(x, n, n);
  return x;
}

static const double *load_slot(const weir__pca_rows *rows, int64_t slot) {
  static const double zeros[WEIR__PCA_SEGMENT];
  if (!rows->basis) return zeros;
  int64_t index[WEIR_RANK_MAX] = {slot};
  for (int a = 0; a < rows->shape->rank; a++) index[a + 1] = rows->index[a];
  return load(rows->basis, index, rows->n, rows->buffer + (3 + slot) * WEIR__PCA_SEGMENT);
}

WEIR__WIDEST static void finite_or_missing(const double *restrict from, int64_t n, double *restrict x) {
  for (int64_t i = 0; i < n; i++) x[i] = isfinite(from[i]) ? from[i] : (double)NAN;
}

static void load_values(weir__pca_rows *rows) {
  double *x = rows->x;
  if (!rows->f) {
    for (int64_t i = 0; i < rows->n; i++) x[i] = (double)NAN;
    return;
  }
  finite_or_missing(load(rows->f, rows->index, rows->n, rows->buffer + 2 * WEIR__PCA_SEGMENT), rows->n, x);
}

bool weir__pca_next(weir__pca_rows *rows) {
  if (rows->at < 0) {
    rows->at = 0;
  } else {
    rows->at += rows->n;
    if (rows->at == rows->row) {
      if (!weir_view_next_row(rows->shape, rows->index)) return false;
      rows->at = 0;
    }
  }
  rows->n = rows->row - rows->at < WEIR__PCA_SEGMENT ? rows->row - rows->at : WEIR__PCA_SEGMENT;
  if (rows->shape->rank) rows->index[rows->shape->rank - 1] = rows->at;
  load_values(rows);
  rows->mean  = load_slot(rows, WEIR__PCA_MEAN);
  rows->count = load_slot(rows, WEIR__PCA_COUNT);
  for (int64_t j = 0; j < rows->components; j++) rows->u[j] = load_slot(rows, WEIR__PCA_BASIS + j);
  return true;
}

static inline double scale_of(double count, bool scaled) { return scaled ? sqrt(count / (count + 1)) : 1; }

/* Where nothing is missing all counts are alike, and there is one root for all. */
WEIR__WIDEST static void anomaly(const double *restrict x, const double *restrict mean, const double *restrict count,
                                 bool scaled, int64_t n, double *restrict y) {
  const double first = count[0], scale = first > 0 ? scale_of(first, scaled) : (double)NAN;
  int          differ = 0;
  for (int64_t i = 0; i < n; i++) differ |= count[i] != first;
  for (int64_t i = 0; i < n && !differ; i++) {
    double d = (x[i] - mean[i]) * scale;
    y[i]     = d == d ? d : 0;
  }
  for (int64_t i = 0; i < n && differ; i++) {
    double d = (x[i] - mean[i]) * scale_of(count[i], scaled);
    y[i]     = (count[i] > 0) & (d == d) ? d : 0;
  }
}

void weir__pca_anomaly(weir__pca_rows *rows, bool scaled) {
  anomaly(rows->x, rows->mean, rows->count, scaled, rows->n, rows->y);
}

WEIR__WIDEST static void add(double w, const double *restrict u, int64_t n, double *restrict sum) {
  for (int64_t i = 0; i < n; i++) sum[i] += w * u[i];
}

void weir__pca_add(const weir__pca_rows *rows, int64_t j, double weight, double *sum) {
  if (weight != 0) add(weight, rows->u[j], rows->n, sum);
}

void weir__pca_subtract(weir__pca_rows *rows, const double *weight) {
  for (int64_t j = 0; j < rows->components; j++) weir__pca_add(rows, j, -weight[j], rows->y);
}

void weir__pca_store(const weir__pca_rows *rows, const weir_view *out, int64_t slot, const double *values) {
  int64_t index[WEIR_RANK_MAX] = {slot};
  for (int a = 0; a < rows->shape->rank; a++) index[a + 1] = rows->index[a];
  weir_view_store(out, index, rows->n, values);
}

weir_view weir__pca_inner(const weir_view *view) {
  weir_view v = *view;
  v.rank--;
  memmove(v.start, view->start + 1, (size_t)v.rank * sizeof *v.start);
  memmove(v.count, view->count + 1, (size_t)v.rank * sizeof *v.count);
  memmove(v.stride, view->stride + 1, (size_t)v.rank * sizeof *v.stride);
  return v;
}
