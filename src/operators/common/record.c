#include "operators/common/record.h"
#include <math.h>

/* State is zeros before the first step: so what is kept is marked as there. */
typedef struct element {
  double value, there;
} element;

static void row(element *e, const double *x, double *y, double sign, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double value = sign * x[i] + 0.0; /* -0 becomes +0: which zero came first must not show */
    bool   wins  = value == value && (e[i].there == 0 || value > e[i].value);
    e[i].value   = wins ? value : e[i].value;
    e[i].there   = wins ? 1 : e[i].there;
    y[i]         = e[i].there != 0 ? sign * e[i].value + 0.0 : (double)NAN;
  }
}

static void largest(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  row((element *)a->state + first, x, y, 1, n);
}

static void smallest(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  row((element *)a->state + first, x, y, -1, n);
}

weir_status weir__record_apply(const weir_apply *a, double sign) {
  return weir__series_apply(a, sign > 0 ? largest : smallest);
}

size_t weir__record_state(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)weir__region_size(out) * sizeof(element);
}

weir_status weir__record_infer(weir_infer *infer) {
  const weir_field_type *in = infer->in[0];
  infer->out[0]             = weir__result_type(in, in->dtype, in->units);
  infer->out[0].has_fill    = in->has_fill;
  infer->out[0].fill        = in->fill;
  return WEIR_OK;
}
