/* count: how many values are not missing. */
#include "core/simd.h"
#include "operators/common/reduce.h"

static size_t size(const void *params, bool weighted) {
  (void)params, (void)weighted;
  return sizeof(int64_t);
}

WEIR__WIDEST static int64_t valid(const double *x, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += x[i] == x[i];
  return count;
}

static void add(const void *params, void *into, const double *x, const double *w, int64_t n) {
  (void)params, (void)w;
  *(int64_t *)into += valid(x, n);
}

static void combine(const void *params, bool weighted, void *into, const void *from) {
  (void)params, (void)weighted;
  *(int64_t *)into += *(const int64_t *)from;
}

static void value(const void *params, bool weighted, const void *from, double *result) {
  (void)params, (void)weighted;
  *result = (double)*(const int64_t *)from;
}

static const weir__accumulator kind = {size, add, combine, value, NULL};

static weir_status infer(weir_infer *infer) { return weir__reduce_infer(infer, &kind, "1"); }

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {WEIR__PARAM_REDUCE_AXES, {0}};

const weir_operator weir_operator_count = {
    .api     = WEIR_OPERATOR_API,
    .name    = "count",
    .summary = "number of valid values over all or the named dimensions",
    .details = "How many values of f are neither NaN nor the field's fill value, as float64; 0 when there is none. The "
               "same for any chunks, threads and workers.",
    .inputs  = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__reduce),
    .infer       = infer,
    WEIR__REDUCE_FUNCTIONS,
};
