/* sum: the sum of values, or of values times weights, in exact arithmetic. */
#include "operators/common/reduce.h"
#include <math.h>
#include <weir/sum.h>

static size_t size(const void *params, bool weighted) {
  (void)params, (void)weighted;
  return sizeof(weir_sum);
}

static void add(const void *params, void *into, const double *x, const double *w, int64_t n) {
  (void)params;
  if (w) weir_sum_add_product(into, w, x, n);
  else weir_sum_add(into, x, n);
}

static void combine(const void *params, bool weighted, void *into, const void *from) {
  (void)params, (void)weighted;
  weir_sum_combine(into, from);
}

static void value(const void *params, bool weighted, const void *from, double *result) {
  const weir_sum *s = from;
  (void)params, (void)weighted;
  *result = s->count ? weir_sum_value(s) : NAN;
}

static void add_columns(const void *params, void *into, const double *x, int64_t pitch, int64_t rows, int64_t columns) {
  (void)params;
  weir__sum_add_columns(into, sizeof(weir_sum), x, pitch, rows, columns, false);
}

static const weir__accumulator kind = {size, add, combine, value, add_columns};

static weir_status infer(weir_infer *infer) {
  const char *units = infer->in[0]->units;
  if (infer->inputs > 1 && infer->in[1]) units = weir__units_times(infer, units, infer->in[1]->units, 1);
  return weir__reduce_infer(infer, &kind, units);
}

static const char *const input_names[] = {"f", "weights"};
static const weir_param  params[]      = {WEIR__PARAM_REDUCE_AXES, {0}};

const weir_operator weir_operator_sum = {
    .api     = WEIR_OPERATOR_API,
    .name    = "sum",
    .summary = "sum over all or the named dimensions",
    .details = "Sum of f, or of f times weights (which have the dimensions of f or some of them)." WEIR__REDUCE_DETAILS,
    .inputs  = 1,
    .optional_inputs = 1,
    .input_names     = input_names,
    .params          = params,
    .params_size     = sizeof(weir__reduce),
    .work            = 2,
    .infer           = infer,
    WEIR__REDUCE_FUNCTIONS,
};
