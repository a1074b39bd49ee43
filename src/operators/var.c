/* var: variance, from exact sums, so that a large mean takes nothing from it. */
#include "operators/common/moments.h"
#include "operators/common/reduce.h"

static void value(const void *params, bool weighted, const void *from, double *result) {
  (void)params;
  *result = weir__moments_variance(weighted, from);
}

static const weir__accumulator kind = {weir__moments_size_second, weir__moments_add_second,
                                       weir__moments_combine_second, value, weir__moments_add_columns_second};

static weir_status infer(weir_infer *infer) {
  return weir__reduce_infer(infer, &kind, weir__units_times(infer, "1", infer->in[0]->units, 2));
}

static const char *const input_names[] = {"f", "weights"};
static const weir_param  params[]      = {WEIR__PARAM_REDUCE_AXES, {0}};

const weir_operator weir_operator_var = {
    .api     = WEIR_OPERATOR_API,
    .name    = "var",
    .summary = "variance over all or the named dimensions",
    .details = "Mean of the squared distance from the mean, divided by the number of values n (not n - 1), or with "
               "weights by their sum." WEIR__REDUCE_DETAILS,
    .inputs  = 1,
    .optional_inputs = 1,
    .input_names     = input_names,
    .params          = params,
    .params_size     = sizeof(weir__reduce),
    .work            = 8,
    .infer           = infer,
    WEIR__REDUCE_FUNCTIONS,
};
