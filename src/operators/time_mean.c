/* time_mean: the mean over all steps so far. */
#include "operators/common/series.h"
#include <math.h>

/* The counts of all elements stand before their means, so that a loop over neighbours takes several at once. */
static void row(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  double *restrict count = (double *)a->state + first;
  double *restrict mean  = count + weir_view_size(&a->out[0]);
  for (int64_t i = 0; i < n; i++) {
    bool   valid = x[i] == x[i];
    double c = count[i] + (valid ? 1.0 : 0.0), more = (x[i] - mean[i]) / c;
    count[i] = c;
    mean[i] += valid ? more : 0.0;
    y[i] = c > 0 ? mean[i] : (double)NAN;
  }
}

/* Integers are never missing: one count, then their sums, which are exact as long as they are below 2^53. */
static void row_of_integers(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  const double *count  = a->state;
  double *restrict sum = (double *)a->state + 1 + first;
  for (int64_t i = 0; i < n; i++) sum[i] += x[i];
  for (int64_t i = 0; i < n && !a->unseen; i++) y[i] = sum[i] / *count;
}

static weir_status apply(const weir_apply *a) {
  bool integers = !weir_dtype_may_miss(a->in_type[0]->dtype, a->in_type[0]->has_fill);
  if (integers) *(double *)a->state += 1;
  return weir__series_apply(a, integers ? row_of_integers : row);
}

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  size_t n = (size_t)weir__region_size(out);
  (void)params;
  return (!weir_dtype_may_miss(in[0]->dtype, in[0]->has_fill) ? n + 1 : 2 * n) * sizeof(double);
}

static weir_status infer(weir_infer *infer) { return weir__series_infer(infer, 1); }

static const char *const input_names[] = {"f"};

const weir_operator weir_operator_time_mean = {
    .api     = WEIR_OPERATOR_API,
    .name    = "time_mean",
    .summary = "mean over all steps so far",
    .details =
        "Mean of f over all steps up to this one, element by element; missing values are skipped, an element without "
        "any valid value so far is missing. Updated as in Welford 1962, doi 10.1080/00401706.1962.10490022; integers "
        "are "
        "summed up.",
    .inputs       = 1,
    .input_names  = input_names,
    .work         = 6,
    .infer        = infer,
    .apply        = apply,
    .state_size   = state_size,
    .scratch_size = weir__series_scratch,
};
