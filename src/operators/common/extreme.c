#include "operators/common/extreme.h"
#include <math.h>

size_t weir__extreme_size(const void *params, bool weighted) {
  (void)params, (void)weighted;
  return sizeof(weir__extreme);
}

void weir__extreme_add(weir__extreme *e, const double *x, int64_t n, double sign) {
  enum { LANES = 8 };
  double  best[LANES];
  int64_t valid = 0, i = 0;
  for (int k = 0; k < LANES; k++) best[k] = e->count ? e->value : (double)-INFINITY;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) best[k] = sign * x[i + k] > best[k] ? sign * x[i + k] : best[k]; /* false for NaN */
  for (; i < n; i++) best[0] = sign * x[i] > best[0] ? sign * x[i] : best[0];
  for (i = 0; i < n; i++) valid += x[i] == x[i];
  for (int k = 1; k < LANES; k++) best[0] = best[k] > best[0] ? best[k] : best[0];
  e->value = best[0];
  e->count += valid;
}

void weir__extreme_combine(const void *params, bool weighted, void *into, const void *from) {
  const weir__extreme *f = from;
  weir__extreme       *e = into;
  (void)params, (void)weighted;
  if (f->count && (!e->count || f->value > e->value)) e->value = f->value;
  e->count += f->count;
}

double weir__extreme_value(const weir__extreme *e, double sign) {
  return e->count ? sign * e->value + 0.0 : NAN; /* -0 becomes +0: which zero came first must not show */
}
