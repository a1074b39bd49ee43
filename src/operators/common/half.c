/* What mid and diff share: two neighbours, and a result half a cell away on the C grid. */
#include "operators/common/stencil.h"

const char *const weir__half_choices[] = {"missing", "noslip", "freeslip", "zero", NULL};

/* Where a value lands when it is moved by half a cell along x or y. */
static weir_location moved(weir_location from, bool x) {
  switch (from) {
  case WEIR_AT_T: return x ? WEIR_AT_U : WEIR_AT_V;
  case WEIR_AT_U: return x ? WEIR_AT_T : WEIR_AT_F;
  case WEIR_AT_V: return x ? WEIR_AT_F : WEIR_AT_T;
  case WEIR_AT_F: return x ? WEIR_AT_V : WEIR_AT_U;
  default: return WEIR_AT_UNKNOWN;
  }
}

weir_status weir__half_infer(weir_infer *infer, const char *operator_name, int derivative) {
  weir__half            *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  int                    axis;
  WEIR_TRY(weir__axis_one(&p->named, in, operator_name, &axis));
  if (in->location == WEIR_AT_UNKNOWN)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: where the field sits on the grid is not known; give it a `location` (t, u, v or f)",
                     operator_name);
  if (axis < in->rank - 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: dimension \"%s\" is none of the last two, which the location refers to",
                     operator_name, in->dim[axis].name);
  bool on_face = weir__location_shift(in->location, in->rank, axis) != 0;
  p->stencil   = (weir__stencil){.axis       = axis,
                                 .derivative = derivative,
                                 .half       = on_face ? -1 : 1,
                                 .edge       = (weir__edge_rule)(WEIR__EDGE_MISSING + p->edge)};
  WEIR_TRY(weir__stencil_set(&p->stencil, infer, operator_name, p->spacing));
  const char *units      = derivative ? weir__units_times(infer, in->units, in->dim[axis].units, -1) : in->units;
  infer->out[0]          = weir__result_type(in, weir_dtype_floating(in->dtype), units);
  infer->out[0].location = moved(in->location, axis == in->rank - 1);
  return WEIR_OK;
}

weir_status weir__half_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                            weir_region *region) {
  const weir__half *p = params;
  (void)input;
  *region = *out;
  weir__stencil_need(&p->stencil, in[0], region);
  return WEIR_OK;
}

weir_status weir__half_apply(const weir_apply *a) {
  const weir__half *p = a->params;
  return weir__stencil_apply(a, &p->stencil, 1);
}

size_t weir__half_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return weir__stencil_scratch(out);
}
