/* diff: difference of two neighbours by their distance, half a cell away on the C grid. */
#include "operators/common/stencil.h"

static weir_status infer(weir_infer *infer) { return weir__half_infer(infer, "diff", 1); }

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"axis", WEIR_PARAM_AXES, offsetof(weir__half, named), .required = true,
           .help = "the dimension, one of the last two"},
          {"edge", WEIR_PARAM_CHOICE, offsetof(weir__half, edge), .choices = weir__half_choices,
           .help = "the value beyond the edge"},
          {"spacing", WEIR_PARAM_REAL, offsetof(weir__half, spacing),
           .help = "between neighbours, in units of the coordinate; default: from it"},
          {0},
};

const weir_operator weir_operator_diff = {
    .api     = WEIR_OPERATOR_API,
    .name    = "diff",
    .summary = "difference of two neighbours by their distance, half a cell away on the C grid",
    .details = "(f[i+1] - f[i]) / h from a centre to the face i+1/2, (f[i] - f[i-1]) / h from a face to the centre, "
               "such as the vorticity at corners: diff(v, x) - diff(u, y). The location of the result moves from t to "
               "u, v to f and back along x (the last dimension), from t to v, u to f and back along y. Beyond the edge "
               "of a dimension that is not periodic, the value is missing (default), the negative of the value inside "
               "(noslip), the same as the value inside (freeslip), or 0 (zero: the normal flow through a wall).",
    .inputs  = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(weir__half),
    .work         = 3,
    .in_tiles     = true,
    .infer        = infer,
    .need         = weir__half_need,
    .apply        = weir__half_apply,
    .scratch_size = weir__half_scratch,
};
