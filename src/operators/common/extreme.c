#include "operators/common/extreme.h"
#include "core/simd.h"
#include <math.h>
#include <string.h>

size_t weir__extreme_size(const void *params, bool weighted) {
  (void)params, (void)weighted;
  return sizeof(weir__extreme);
}

enum { LANES = 4, CHAINS = 4 };
typedef double  lanes __attribute__((vector_size(LANES * 8)));
typedef int64_t words __attribute__((vector_size(LANES * 8)));

/* One pass; comparisons with NaN are false. The largest value is the same in any order. */
WEIR__WIDE void weir__extreme_add(weir__extreme *e, const double *x, int64_t n, double sign) {
  double  top   = e->count ? e->value : (double)-INFINITY;
  lanes   start = {top, top, top, top}, best[CHAINS] = {start, start, start, start};
  words   invalid[CHAINS] = {{0}}; /* a comparison that is true is -1 */
  int64_t i = 0, valid = 0;
  for (; i + LANES * CHAINS <= n; i += LANES * CHAINS)
    for (int k = 0; k < CHAINS; k++) {
      lanes v;
      memcpy(&v, x + i + k * LANES, sizeof v);
      v *= sign;
      words greater = v > best[k];
      best[k]       = (lanes)(((words)v & greater) | ((words)best[k] & ~greater));
      invalid[k] += v != v;
    }
  valid = i;
  for (int k = 0; k < CHAINS * LANES; k++) {
    double value = best[k / LANES][k % LANES];
    top          = value > top ? value : top;
    valid += invalid[k / LANES][k % LANES];
  }
  for (; i < n; i++) {
    double value = sign * x[i];
    top          = value > top ? value : top;
    valid += value == value;
  }
  e->value = top;
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
