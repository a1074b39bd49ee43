/* local_min: the smallest value of the pixels around each one. */
#include "operators/common/local.h"

static weir_status infer(weir_infer *infer) {
  ((weir__local *)infer->params)->percent = 0;
  return weir__local_infer(infer, "local_min");
}

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {WEIR__PARAM_LOCAL_SIZE, {0}};

const weir_operator weir_operator_local_min = {
    .api     = WEIR_OPERATOR_API,
    .name    = "local_min",
    .summary = "smallest value of the pixels around each one",
    .details = "Smallest value" WEIR__LOCAL_DETAILS
               " A background that varies slowly is taken away with image - local_min(image, 15).",
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__local),
    .work        = 10,
    .infer       = infer,
    WEIR__LOCAL_FUNCTIONS,
};
