/* time_rms: the root mean square over all steps so far. */
#include "operators/common/series.h"
#include <math.h>

typedef struct element {
  double count, squares; /* squares: their mean */
} element;

static void row(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  element *e = (element *)a->state + first;
  for (int64_t i = 0; i < n; i++) {
    if (x[i] == x[i]) {
      e[i].count += 1;
      e[i].squares += (x[i] * x[i] - e[i].squares) / e[i].count;
    }
    y[i] = e[i].count > 0 ? sqrt(e[i].squares) : (double)NAN;
  }
}

static weir_status apply(const weir_apply *a) { return weir__series_apply(a, row); }

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)weir__region_size(out) * sizeof(element);
}

static weir_status infer(weir_infer *infer) { return weir__series_infer(infer, 1); }

static const char *const input_names[] = {"f"};

const weir_operator weir_operator_time_rms = {
    .api     = WEIR_OPERATOR_API,
    .name    = "time_rms",
    .summary = "root mean square over all steps so far",
    .details = "Square root of the mean of f^2 over all steps up to this one, element by element; missing values are "
               "skipped, an element without any valid value so far is missing. The mean is not taken away: "
               "sqrt(time_var(f)) is the root mean square of the fluctuations.",
    .inputs  = 1,
    .input_names  = input_names,
    .work         = 8,
    .infer        = infer,
    .apply        = apply,
    .state_size   = state_size,
    .scratch_size = weir__series_scratch,
};
