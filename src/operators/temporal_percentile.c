/* temporal_percentile: a percentile of the last `steps` steps. */
#include "operators/common/temporal.h"

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"steps", WEIR_PARAM_INT, offsetof(weir__temporal, steps), .required = true, .least = 1, .most = 1024,
           .units = "steps", .help = "length of the window"},
          {"percent", WEIR_PARAM_REAL, offsetof(weir__temporal, percent), .required = true, .least = 0, .most = 100,
           .units = "percent", .help = "how many of the values are below; 0: the smallest, 100: the largest"},
          {"partial", WEIR_PARAM_BOOL, offsetof(weir__temporal, partial),
           .help = "give the value of what there is before the window is full"},
          {0},
};

const weir_operator weir_operator_temporal_percentile = {
    .api     = WEIR_OPERATOR_API,
    .name    = "temporal_percentile",
    .summary = "percentile over the last steps",
    .details = "Of n values in ascending order the one at the place (n - 1) percent / 100, rounded down, counted from "
               "0" WEIR__TEMPORAL_DETAILS,
    .inputs  = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__temporal),
    .work        = 20,
    .infer       = weir__temporal_infer,
    WEIR__TEMPORAL_FUNCTIONS,
};
