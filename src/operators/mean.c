/* mean: sum of values divided by their number, or of values times weights divided by the sum of weights. */
#include "operators/common/reduce.h"
#include "operators/common/moments.h"

static void value(const void *params, bool weighted, const void *from, double *result) {
  const weir__moments *m = from;
  (void)params;
  *result = weighted ? weir_sum_ratio(&m->values, &m->weights) : weir_sum_mean(&m->values);
}

static const weir__accumulator kind = {weir__moments_size_first, weir__moments_add_first, weir__moments_combine_first,
                                       value, weir__moments_add_columns_first};

static weir_status infer(weir_infer *infer) { return weir__reduce_infer(infer, &kind, infer->in[0]->units); }

static const char *const input_names[] = {"f", "weights"};
static const weir_param  params[]      = {WEIR__PARAM_REDUCE_AXES, {0}};

const weir_operator weir_operator_mean = {
    .api     = WEIR_OPERATOR_API,
    .name    = "mean",
    .summary = "mean over all or the named dimensions",
    .details = "Sum of f divided by the number of values, or with weights (which have the dimensions of f or some of "
               "them, such as the area of cells): sum of weights*f over the sum of the weights where f is valid; NaN "
               "where that is 0." WEIR__REDUCE_DETAILS,
    .inputs  = 1,
    .optional_inputs = 1,
    .input_names     = input_names,
    .params          = params,
    .params_size     = sizeof(weir__reduce),
    .work            = 2,
    .infer           = infer,
    WEIR__REDUCE_FUNCTIONS,
};
