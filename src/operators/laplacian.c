/* laplacian: sum of the second derivatives along the last two axes. */
#include "operators/common/stencil.h"
#include <string.h>

typedef struct laplacian {
  int           edge;
  double        spacing;
  weir__stencil stencil[2];
} laplacian;

static weir_status infer(weir_infer *infer) {
  laplacian             *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  if (in->rank < 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "laplacian: a field of at least 2 dimensions is expected, this one has %d",
                     in->rank);
  const weir_dimension *y = &in->dim[in->rank - 2], *x = &in->dim[in->rank - 1];
  for (int k = 0; k < 2; k++) {
    p->stencil[k] = (weir__stencil){.axis = in->rank - 2 + k, .derivative = 2, .edge = (weir__edge_rule)p->edge};
    WEIR_TRY(weir__stencil_set(&p->stencil[k], infer, "laplacian", p->spacing));
  }
  bool same     = x->units && y->units && !strcmp(x->units, y->units);
  infer->out[0] = weir__result_type(in, weir_dtype_floating(in->dtype),
                                    same ? weir__units_times(infer, in->units, x->units, -2) : NULL);
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  const laplacian *p = params;
  (void)input;
  *region = *out;
  for (int k = 0; k < 2; k++) weir__stencil_need(&p->stencil[k], in[0], region);
  return WEIR_OK;
}

static weir_status apply(const weir_apply *a) {
  const laplacian *p = a->params;
  return weir__stencil_apply(a, p->stencil, 2);
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return weir__stencil_scratch(out);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"edge", WEIR_PARAM_CHOICE, offsetof(laplacian, edge), .choices = weir__edge_choices,
           .help = "what lies beyond the edge"},
          {"spacing", WEIR_PARAM_REAL, offsetof(laplacian, spacing),
           .help = "between neighbours on both axes; default: from the coordinates"},
          {0},
};

const weir_operator weir_operator_laplacian = {
    .api     = WEIR_OPERATOR_API,
    .name    = "laplacian",
    .summary = "sum of the second derivatives along the last two dimensions",
    .details = "(f[i+1] - 2 f[i] + f[i-1]) / h^2 on each of the last two dimensions, second order." WEIR__EDGE_DETAILS,
    .inputs  = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(laplacian),
    .work         = 5,
    .in_tiles     = true,
    .infer        = infer,
    .need         = need,
    .apply        = apply,
    .scratch_size = scratch_size,
};
