/* local_mean: the mean of the pixels around each one. */
#include "operators/common/smooth.h"

static weir_status infer(weir_infer *infer) { return weir__smooth_infer(infer, "local_mean"); }

static weir_status apply(const weir_apply *a) { return weir__smooth_apply(a, NULL); }

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {
          {"size", WEIR_PARAM_INT, offsetof(weir__smooth, size), .fallback = 5, .least = 1, .most = WEIR__SMOOTH_SIZE_MOST,
           .units = "pixels", .help = "length of the window along both axes, odd"},
          {0},
};

const weir_operator weir_operator_local_mean = {
    .api     = WEIR_OPERATOR_API,
    .name    = "local_mean",
    .summary = "mean of the pixels around each one",
    .details =
        "Mean of the square of size by size pixels around each one, over the last two dimensions." WEIR__SMOOTH_DETAILS,
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__smooth),
    .work        = 20,
    .infer       = infer,
    .apply       = apply,
    WEIR__SMOOTH_FUNCTIONS,
};
