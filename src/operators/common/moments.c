#include "core/simd.h"
#include "operators/common/moments.h"
#include "field/field.h"
#include <math.h>
#include <stddef.h>

size_t weir__moments_size_first(const void *params, bool weighted) {
  (void)params;
  return weighted ? offsetof(weir__moments, squares) : offsetof(weir__moments, weights);
}

/* The weights of valid values only. */
WEIR__WIDEST static void choose(const double *restrict x, const double *restrict w, int64_t n, double *restrict used) {
  for (int64_t i = 0; i < n; i++) used[i] = x[i] == x[i] ? w[i] : (double)NAN;
}

static void add_weights(weir_sum *sum, const double *x, const double *w, int64_t n) {
  enum { RUN = 1024 };
  double used[RUN];
  for (int64_t i = 0; i < n; i += RUN) {
    int64_t m = n - i < RUN ? n - i : RUN;
    choose(x + i, w + i, m, used);
    weir_sum_add(sum, used, m);
  }
}

void weir__moments_add_first(const void *params, void *into, const double *x, const double *w, int64_t n) {
  weir__moments *m = into;
  (void)params;
  if (!w) {
    weir_sum_add(&m->values, x, n);
    return;
  }
  weir_sum_add_product(&m->values, w, x, n);
  add_weights(&m->weights, x, w, n);
}

void weir__moments_add_columns_first(const void *params, void *into, const double *x, int64_t pitch, int64_t rows,
                                     int64_t columns) {
  weir__moments *m = into;
  weir__sum_add_columns(&m->values, weir__moments_size_first(params, false), x, pitch, rows, columns, false);
}

void weir__moments_combine_first(const void *params, bool weighted, void *into, const void *from) {
  weir__moments       *m = into;
  const weir__moments *f = from;
  (void)params;
  weir_sum_combine(&m->values, &f->values);
  if (weighted) weir_sum_combine(&m->weights, &f->weights);
}

size_t weir__moments_size_second(const void *params, bool weighted) {
  (void)params, (void)weighted;
  return sizeof(weir__moments);
}

void weir__moments_add_second(const void *params, void *into, const double *x, const double *w, int64_t n) {
  weir__moments *m = into;
  if (!w) {
    weir__sum_add_moments(&m->values, &m->squares, x, n);
    return;
  }
  weir__moments_add_first(params, into, x, w, n);
  weir_sum_add_weighted_square(&m->squares, w, x, n);
}

void weir__moments_add_columns_second(const void *params, void *into, const double *x, int64_t pitch, int64_t rows,
                                      int64_t columns) {
  weir__moments *m = into;
  (void)params;
  weir__sum_add_columns(&m->values, sizeof *m, x, pitch, rows, columns, false);
  weir__sum_add_columns(&m->squares, sizeof *m, x, pitch, rows, columns, true);
}

void weir__moments_combine_second(const void *params, bool weighted, void *into, const void *from) {
  weir__moments       *m = into;
  const weir__moments *f = from;
  weir__moments_combine_first(params, weighted, into, from);
  weir_sum_combine(&m->squares, &f->squares);
}

double weir__moments_variance(bool weighted, const void *from) {
  const weir__moments *m = from;
  return weighted ? weir_sum_weighted_variance(&m->values, &m->squares, &m->weights)
                  : weir_sum_variance(&m->values, &m->squares);
}
