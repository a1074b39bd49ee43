/* lag: the field some published steps ago. The engine keeps the past; this only asks for it. */
#include "field/field.h"
#include <weir/operator.h>

typedef struct lag {
  int64_t steps;
} lag;

static weir_status infer(weir_infer *infer) {
  infer->lag[0] = ((const lag *)infer->params)->steps;
  return WEIR_OK;
}

static weir_status apply(const weir_apply *a) {
  weir__view_copy(&a->out[0], &a->in[0]);
  return WEIR_OK;
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"steps", WEIR_PARAM_INT, offsetof(lag, steps), .fallback = 1, .least = 1, .most = 1 << 20,
           .help = "published steps back"},
          {0},
};

const weir_operator weir_operator_lag = {
    .api         = WEIR_OPERATOR_API,
    .name        = "lag",
    .summary     = "the field some steps ago",
    .details     = "The value of f as many published steps ago as `steps` says; missing before there were so many, and "
                   "after a gap.",
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(lag),
    .identity    = true,
    .infer       = infer,
    .apply       = apply,
};
