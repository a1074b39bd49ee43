/* What ddx and ddy share: only the names of their dimension differ. */
#include "operators/common/stencil.h"
#include <string.h>
#include <strings.h>

const char *const weir__edge_choices[] = {"auto", "periodic", "wall", "onesided", NULL};

static weir_status find_axis(const weir__gradient *p, const weir_field_type *in, const char *operator_name,
                             const char *const *names, int *axis) {
  if (p->named.count) return weir__axis_one(&p->named, in, operator_name, axis);
  for (int k = 0; names[k]; k++)
    for (int a = 0; a < in->rank; a++)
      if (!strcasecmp(in->dim[a].name, names[k])) {
        *axis = a;
        return WEIR_OK;
      }
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the field has no dimension named %s, %s or %s; name one with `axis`",
                   operator_name, names[0], names[1], names[2]);
}

weir_status weir__gradient_infer(weir_infer *infer, const char *operator_name, const char *const *names) {
  weir__gradient        *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  int                    axis;
  WEIR_TRY(find_axis(p, in, operator_name, names, &axis));
  p->stencil = (weir__stencil){.axis = axis, .derivative = 1, .edge = (weir__edge_rule)p->edge};
  WEIR_TRY(weir__stencil_set(&p->stencil, infer, operator_name, p->spacing));
  infer->out[0] = weir__result_type(in, weir_dtype_floating(in->dtype),
                                    weir__units_times(infer, in->units, in->dim[axis].units, -1));
  return WEIR_OK;
}

weir_status weir__gradient_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                                weir_region *region) {
  const weir__gradient *p = params;
  (void)input;
  *region = *out;
  weir__stencil_need(&p->stencil, in[0], region);
  return WEIR_OK;
}

weir_status weir__gradient_apply(const weir_apply *a) {
  const weir__gradient *p = a->params;
  return weir__stencil_apply(a, &p->stencil, 1);
}

size_t weir__gradient_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return weir__stencil_scratch(out);
}
