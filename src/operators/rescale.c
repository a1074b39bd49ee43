/* rescale: a range of values brought to another. */
#include "operators/common/intensity.h"
#include <math.h>

typedef struct rescale {
  double low, high, to_low, to_high;
  bool   tanh;
} rescale;

static double value(const void *params, double x) {
  const rescale *p = params;
  double         t = (x - p->low) / (p->high - p->low);
  if (p->tanh) t = (1 + tanh(4 * t - 2)) / 2;
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  return p->to_low + (p->to_high - p->to_low) * t;
}

static weir_status infer(weir_infer *infer) {
  const rescale *p = infer->params;
  if (!(p->low < p->high) || !isfinite(p->high - p->low))
    return WEIR_FAIL(WEIR_ERR_INPUT, "rescale: low (%g) must be less than high (%g), both finite", p->low, p->high);
  if (!isfinite(p->to_high - p->to_low))
    return WEIR_FAIL(WEIR_ERR_INPUT, "rescale: to_low is %g and to_high %g, expected finite numbers", p->to_low,
                     p->to_high);
  return weir__intensity_infer(infer);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"low", WEIR_PARAM_REAL, offsetof(rescale, low), .required = true, .help = "lower end of the range of f"},
          {"high", WEIR_PARAM_REAL, offsetof(rescale, high), .required = true, .help = "upper end of the range of f"},
          {"to_high", WEIR_PARAM_REAL, offsetof(rescale, to_high), .required = true, .help = "what high becomes"},
          {"to_low", WEIR_PARAM_REAL, offsetof(rescale, to_low), .help = "what low becomes"},
          {"tanh", WEIR_PARAM_BOOL, offsetof(rescale, tanh), .help = "saturate smoothly"},
          {0},
};

static weir_status prepare(const void *p, const weir_field_type *const *in, void **context) {
  return weir__intensity_prepare(p, in, value, context);
}

static weir_status apply(const weir_apply *a) { return weir__intensity_apply(a, value); }

const weir_operator weir_operator_rescale = {
    .api     = WEIR_OPERATOR_API,
    .name    = "rescale",
    .summary = "a range of values brought to another",
    .details =
        "to_low + (to_high - to_low) t, where t = (f - low) / (high - low) is cut to 0..1, or, with tanh, t = (1 + "
        "tanh(4 (f - low) / (high - low) - 2)) / 2: steepest in the middle, with no sharp end." WEIR__INTENSITY_DETAILS,
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(rescale),
    .work         = 6,
    .infer        = infer,
    .prepare      = prepare,
    .release      = weir__intensity_release,
    .apply        = apply,
    .scratch_size = weir__intensity_scratch,
};
