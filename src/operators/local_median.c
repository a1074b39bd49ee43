/* local_median: the median of the pixels around each one. */
#include "operators/common/local.h"

static weir_status infer(weir_infer *infer) {
  ((weir__local *)infer->params)->percent = 50;
  return weir__local_infer(infer, "local_median");
}

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {WEIR__PARAM_LOCAL_SIZE, {0}};

const weir_operator weir_operator_local_median = {
    .api     = WEIR_OPERATOR_API,
    .name    = "local_median",
    .summary = "median of the pixels around each one",
    .details = "Median (of an even number of values the lower of the two in the middle)" WEIR__LOCAL_DETAILS
               " Sorting networks up to size 5 (Batcher 1968), histograms of columns above (Perreault & Hebert 2007, "
               "doi 10.1109/TIP.2007.902329).",
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__local),
    .work        = 60,
    .infer       = infer,
    WEIR__LOCAL_FUNCTIONS,
};
