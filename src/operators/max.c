/* max: the largest value. */
#include "operators/common/extreme.h"

static void add(const void *params, void *into, const double *x, const double *w, int64_t n) {
  (void)params, (void)w;
  weir__extreme_add(into, x, n, 1);
}

static void value(const void *params, bool weighted, const void *from, double *result) {
  (void)params, (void)weighted;
  *result = weir__extreme_value(from, 1);
}

static const weir__accumulator kind = {weir__extreme_size, add, weir__extreme_combine, value, NULL};

static weir_status infer(weir_infer *infer) { return weir__reduce_infer(infer, &kind, infer->in[0]->units); }

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {WEIR__PARAM_REDUCE_AXES, {0}};

const weir_operator weir_operator_max = {
    .api         = WEIR_OPERATOR_API,
    .name        = "max",
    .summary     = "largest value over all or the named dimensions",
    .details     = "The largest value of f." WEIR__REDUCE_DETAILS,
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__reduce),
    .work        = 3,
    .infer       = infer,
    WEIR__REDUCE_FUNCTIONS,
};
