/* ddy: centred difference along y. */
#include "operators/common/stencil.h"

static weir_status infer(weir_infer *infer) {
  static const char *const names[] = {"y", "lat", "latitude", NULL};
  return weir__gradient_infer(infer, "ddy", names);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"axis", WEIR_PARAM_AXES, offsetof(weir__gradient, named),
           .help = "the dimension; default: the one named y, lat or latitude"},
          {"edge", WEIR_PARAM_CHOICE, offsetof(weir__gradient, edge), .choices = weir__edge_choices,
           .help = "what lies beyond the edge"},
          {"spacing", WEIR_PARAM_REAL, offsetof(weir__gradient, spacing),
           .help = "between neighbours, in units of the coordinate; default: from it"},
          {0},
};

const weir_operator weir_operator_ddy = {
    .api          = WEIR_OPERATOR_API,
    .name         = "ddy",
    .summary      = "derivative along y (centred difference)",
    .details      = "(f[i+1] - f[i-1]) / (2 h), second order; on a coordinate in degrees the result is per "
                    "degree." WEIR__EDGE_DETAILS,
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(weir__gradient),
    .work         = 3,
    .infer        = infer,
    .need         = weir__gradient_need,
    .apply        = weir__gradient_apply,
    .scratch_size = weir__gradient_scratch,
};
