/* threshold: what is dark becomes black, what is too bright is cut. */
#include "operators/common/intensity.h"
#include <math.h>

typedef struct threshold {
  double low, high;
} threshold;

static double value(const void *params, double x) {
  const threshold *p = params;
  return x < p->low ? 0 : x > p->high ? p->high : x;
}

static weir_status infer(weir_infer *infer) {
  const threshold *p = infer->params;
  if (!(p->low <= p->high))
    return WEIR_FAIL(WEIR_ERR_INPUT, "threshold: low is %g, expected at most high, which is %g", p->low, p->high);
  return weir__intensity_infer(infer);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"low", WEIR_PARAM_REAL, offsetof(threshold, low), .fallback = -INFINITY,
           .help = "values below become 0, in units of f"},
          {"high", WEIR_PARAM_REAL, offsetof(threshold, high), .fallback = INFINITY,
           .help = "values above become this, in units of f"},
          {0},
};

static weir_status prepare(const void *p, const weir_field_type *const *in, void **context) {
  return weir__intensity_prepare(p, in, value, context);
}

static weir_status apply(const weir_apply *a) { return weir__intensity_apply(a, value); }

const weir_operator weir_operator_threshold = {
    .api          = WEIR_OPERATOR_API,
    .name         = "threshold",
    .summary      = "values below a level set to zero, those above another cut",
    .details      = "0 where f < low, high where f > high, f elsewhere." WEIR__INTENSITY_DETAILS,
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(threshold),
    .work         = 3,
    .infer        = infer,
    .prepare      = prepare,
    .release      = weir__intensity_release,
    .apply        = apply,
    .scratch_size = weir__intensity_scratch,
};
