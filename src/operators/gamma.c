/* gamma: intensities raised to a power. */
#include "operators/common/intensity.h"
#include <math.h>

typedef struct gamma_power {
  double gamma, white;
} gamma_power;

static double value(const void *params, double x) {
  const gamma_power *p = params;
  return x > 0 ? p->white * pow(x / p->white, p->gamma) : 0;
}

static weir_status infer(weir_infer *infer) {
  gamma_power *p     = infer->params;
  weir_dtype   dtype = infer->in[0]->dtype;
  if (!(p->gamma > 0) || !isfinite(p->gamma))
    return WEIR_FAIL(WEIR_ERR_INPUT, "gamma: gamma is %g, expected a number above 0", p->gamma);
  if (!(p->white >= 0) || !isfinite(p->white))
    return WEIR_FAIL(WEIR_ERR_INPUT, "gamma: white is %g, expected a number above 0", p->white);
  if (p->white == 0) p->white = dtype == WEIR_U8 ? UINT8_MAX : dtype == WEIR_U16 ? UINT16_MAX : 1;
  return weir__intensity_infer(infer);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"gamma", WEIR_PARAM_REAL, offsetof(gamma_power, gamma), .required = true, .help = "the power, above 0"},
          {"white", WEIR_PARAM_REAL, offsetof(gamma_power, white),
           .help = "the value that stays; default: 255 for uint8, 65535 for uint16, else 1"},
          {0},
};

static weir_status prepare(const void *p, const weir_field_type *const *in, void **context) {
  return weir__intensity_prepare(p, in, value, context);
}

static weir_status apply(const weir_apply *a) { return weir__intensity_apply(a, value); }

const weir_operator weir_operator_gamma = {
    .api     = WEIR_OPERATOR_API,
    .name    = "gamma",
    .summary = "intensities raised to a power",
    .details = "white (f / white)^gamma: below 1 dark values become brighter, above 1 darker. Negative values become "
               "0." WEIR__INTENSITY_DETAILS,
    .inputs  = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(gamma_power),
    .work         = 20,
    .infer        = infer,
    .prepare      = prepare,
    .release      = weir__intensity_release,
    .apply        = apply,
    .scratch_size = weir__intensity_scratch,
};
