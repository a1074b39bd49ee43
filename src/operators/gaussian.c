/* gaussian: an image smoothed with a Gaussian. */
#include "operators/common/smooth.h"

static weir_status infer(weir_infer *infer) { return weir__smooth_infer(infer, "gaussian"); }

static weir_status apply(const weir_apply *a) { return weir__smooth_apply(a, NULL); }

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {
          {"sigma", WEIR_PARAM_REAL, offsetof(weir__smooth, sigma), .fallback = 1, .least = 0.1,
           .most = WEIR__SMOOTH_SIGMA_MOST, .units = "pixels", .help = "standard deviation of the Gaussian"},
          {0},
};

const weir_operator weir_operator_gaussian = {
    .api     = WEIR_OPERATOR_API,
    .name    = "gaussian",
    .summary = "image smoothed with a Gaussian",
    .details = "Mean of the pixels around each one with weights exp(-(dx^2 + dy^2) / (2 sigma^2)), over the last two "
               "dimensions, for "
               "dx and dy up to 4 sigma (rounded to whole pixels)." WEIR__SMOOTH_DETAILS,
    .inputs  = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__smooth),
    .work        = 40,
    .infer       = infer,
    .apply       = apply,
    WEIR__SMOOTH_FUNCTIONS,
};
