/* time_var: the variance over all steps so far. */
#include "operators/common/series.h"
#include <math.h>

typedef struct element {
  double count, mean, squares; /* squares: sum of squared distances from the mean */
} element;

static void row(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  element *e = (element *)a->state + first;
  for (int64_t i = 0; i < n; i++) {
    if (x[i] == x[i]) {
      double d = x[i] - e[i].mean;
      e[i].count += 1;
      e[i].mean += d / e[i].count;
      e[i].squares += d * (x[i] - e[i].mean);
    }
    y[i] = e[i].count > 0 ? e[i].squares / e[i].count : (double)NAN;
  }
}

static weir_status apply(const weir_apply *a) { return weir__series_apply(a, row); }

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)weir__region_size(out) * sizeof(element);
}

static weir_status infer(weir_infer *infer) { return weir__series_infer(infer, 2); }

static const char *const input_names[] = {"f"};

const weir_operator weir_operator_time_var = {
    .api     = WEIR_OPERATOR_API,
    .name    = "time_var",
    .summary = "variance over all steps so far",
    .details = "Mean squared distance of f from its mean over all steps up to this one (divided by their number n, not "
               "n - 1), element by element; missing values are skipped, an element without any valid value so far is "
               "missing. Updated as in Welford 1962, doi 10.1080/00401706.1962.10490022.",
    .inputs  = 1,
    .input_names  = input_names,
    .work         = 8,
    .infer        = infer,
    .apply        = apply,
    .state_size   = state_size,
    .scratch_size = weir__series_scratch,
};
