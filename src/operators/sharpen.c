/* sharpen: unsharp masking, what a Gaussian takes away is added. */
#include "operators/common/smooth.h"

typedef struct sharpen {
  weir__smooth smooth;
  double       amount;
} sharpen;

static void finish(const void *params, const double *mean, const double *pixel, int64_t n, double *result) {
  double amount = ((const sharpen *)params)->amount;
  for (int64_t i = 0; i < n; i++) result[i] = pixel[i] + amount * (pixel[i] - mean[i]);
}

static weir_status infer(weir_infer *infer) { return weir__smooth_infer(infer, "sharpen"); }

static weir_status apply(const weir_apply *a) { return weir__smooth_apply(a, finish); }

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {
          {"radius", WEIR_PARAM_REAL, offsetof(sharpen, smooth.sigma), .fallback = 1, .least = 0.1,
           .most = WEIR__SMOOTH_SIGMA_MOST, .units = "pixels", .help = "standard deviation of the Gaussian"},
          {"amount", WEIR_PARAM_REAL, offsetof(sharpen, amount), .fallback = 1, .most = 1000,
           .help = "how many times the difference is added"},
          {0},
};

const weir_operator weir_operator_sharpen = {
    .api         = WEIR_OPERATOR_API,
    .name        = "sharpen",
    .summary     = "details of an image made stronger (unsharp mask)",
    .details     = "image + amount (image - gaussian(image, radius)), over the last two dimensions; not clipped to the "
                   "range of the image. A missing pixel stays missing. See gaussian." WEIR__SMOOTH_DETAILS,
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(sharpen),
    .work        = 40,
    .infer       = infer,
    .apply       = apply,
    WEIR__SMOOTH_FUNCTIONS,
};
