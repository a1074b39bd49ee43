/* local_percentile: a percentile of the pixels around each one. */
#include "operators/common/local.h"

static weir_status infer(weir_infer *infer) { return weir__local_infer(infer, "local_percentile"); }

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {
          WEIR__PARAM_LOCAL_SIZE,
          {"percent", WEIR_PARAM_REAL, offsetof(weir__local, percent), .required = true, .least = 0, .most = 100,
           .units = "percent", .help = "how many of the pixels are below; 0: the smallest, 100: the largest"},
          {0},
};

const weir_operator weir_operator_local_percentile = {
    .api     = WEIR_OPERATOR_API,
    .name    = "local_percentile",
    .summary = "percentile of the pixels around each one",
    .details = "Of n values in ascending order the one at the place (n - 1) percent / 100, rounded down, counted from "
               "0," WEIR__LOCAL_DETAILS,
    .inputs  = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__local),
    .work        = 60,
    .infer       = infer,
    WEIR__LOCAL_FUNCTIONS,
};
