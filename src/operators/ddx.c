/* ddx: centred difference along x. */
#include "operators/common/stencil.h"

static weir_status infer(weir_infer *infer) {
  static const char *const names[] = {"x", "lon", "longitude", NULL};
  return weir__gradient_infer(infer, "ddx", names);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {WEIR__GRADIENT_PARAMS("x, lon or longitude")};

const weir_operator weir_operator_ddx = {
    .api         = WEIR_OPERATOR_API,
    .name        = "ddx",
    .summary     = "derivative along x (centred difference)",
    .details     = WEIR__GRADIENT_DETAILS,
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__gradient),
    .work        = 3,
    .in_tiles    = true,
    .infer       = infer,
    WEIR__GRADIENT_FUNCTIONS,
};
