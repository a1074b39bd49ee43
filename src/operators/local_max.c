/* local_max: the largest value of the pixels around each one. */
#include "operators/common/local.h"

static weir_status infer(weir_infer *infer) {
  ((weir__local *)infer->params)->percent = 100;
  return weir__local_infer(infer, "local_max");
}

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {WEIR__PARAM_LOCAL_SIZE, {0}};

const weir_operator weir_operator_local_max = {
    .api         = WEIR_OPERATOR_API,
    .name        = "local_max",
    .summary     = "largest value of the pixels around each one",
    .details     = "Largest value" WEIR__LOCAL_DETAILS "",
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__local),
    .work        = 10,
    .infer       = infer,
    WEIR__LOCAL_FUNCTIONS,
};
