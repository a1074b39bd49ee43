/* Dimension names, as a user wrote them, against the dimensions of a field. */
#include "core/text.h"
#include "field/field.h"
#include <string.h>
#include <weir/operator.h>

static weir_status fail_unknown(const char *name, const weir_field_type *type) {
  weir__text  list   = {0};
  weir_status status = WEIR_OK;
  for (int a = 0; a < type->rank; a++) weir__text_add(&list, "%s%s", a ? ", " : "", type->dim[a].name);
  WEIR_TRY_GOTO(out, weir__text_status(&list));
  status = type->rank
               ? WEIR_FAIL(WEIR_ERR_INPUT, "\"%s\" is no dimension of the field, which has [%s]", name, list.data)
               : WEIR_FAIL(WEIR_ERR_INPUT, "\"%s\" is no dimension of the field, which is a scalar", name);
out:
  weir__text_clear(&list);
  return status;
}

weir_status weir_axes_resolve(const weir_axes *axes, const weir_field_type *type, unsigned *mask) {
  unsigned found = axes->count ? 0 : (1u << type->rank) - 1;
  for (int i = 0; i < axes->count; i++) {
    int a = weir__axis_find(type, axes->name[i]);
    if (a < 0) return fail_unknown(axes->name[i], type);
    if (found >> a & 1) return WEIR_FAIL(WEIR_ERR_INPUT, "dimension \"%s\" is given twice", axes->name[i]);
    found |= 1u << a;
  }
  *mask = found;
  return WEIR_OK;
}
