/* temporal_max: largest value of the last `steps` steps. */
#include "operators/common/temporal.h"

static weir_status infer(weir_infer *infer) {
  ((weir__temporal *)infer->params)->percent = 100;
  return weir__temporal_infer(infer);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {WEIR__TEMPORAL_PARAMS, {0}};

const weir_operator weir_operator_temporal_max = {
    .api         = WEIR_OPERATOR_API,
    .name        = "temporal_max",
    .summary     = "largest value over the last steps",
    .details     = "Largest value of f" WEIR__TEMPORAL_DETAILS,
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__temporal),
    .work        = 20,
    .infer       = infer,
    WEIR__TEMPORAL_FUNCTIONS,
};
