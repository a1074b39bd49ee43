/* adaptive_threshold: which pixels are brighter than those around them. */
#include "operators/common/smooth.h"

typedef struct adaptive {
  weir__smooth smooth;
  double       offset;
} adaptive;

static void finish(const void *params, const double *mean, const double *pixel, int64_t n, double *result) {
  double offset = ((const adaptive *)params)->offset;
  for (int64_t i = 0; i < n; i++) result[i] = pixel[i] > mean[i] - offset ? 1 : 0; /* false for NaN */
}

static weir_status infer(weir_infer *infer) {
  WEIR_TRY(weir__smooth_infer(infer, "adaptive_threshold"));
  infer->out[0].dtype = WEIR_U8;
  infer->out[0].units = "1";
  return WEIR_OK;
}

static weir_status apply(const weir_apply *a) { return weir__smooth_apply(a, finish); }

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {
          {"size", WEIR_PARAM_INT, offsetof(adaptive, smooth.size), .fallback = 15, .least = 1,
           .most = WEIR__SMOOTH_SIZE_MOST, .units = "pixels", .help = "length of the window along both axes, odd"},
          {"offset", WEIR_PARAM_REAL, offsetof(adaptive, offset),
           .help = "how far below the mean the threshold is, in units of the image"},
          {0},
};

const weir_operator weir_operator_adaptive_threshold = {
    .api     = WEIR_OPERATOR_API,
    .name    = "adaptive_threshold",
    .summary = "1 where a pixel is above the mean around it, else 0",
    .details = "1 where image > local_mean(image, size) - offset, and 0 elsewhere and where a pixel is missing; uint8. "
               "At the edges windows are cut off; missing pixels are left out of the means.",
    .inputs  = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(adaptive),
    .work        = 20,
    .infer       = infer,
    .apply       = apply,
    WEIR__SMOOTH_FUNCTIONS,
};
