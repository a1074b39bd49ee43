/* ddy: centred difference along y. */
#include "operators/common/stencil.h"

static weir_status infer(weir_infer *infer) {
  static const char *const names[] = {"y", "lat", "latitude", NULL};
  return weir__gradient_infer(infer, "ddy", names);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {WEIR__GRADIENT_PARAMS("y, lat or latitude")};

const weir_operator weir_operator_ddy = {
    .api         = WEIR_OPERATOR_API,
    .name        = "ddy",
    .summary     = "derivative along y (centred difference)",
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
