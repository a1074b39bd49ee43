#include "operators/common/common.h"
#include "field/units.h"
#include <math.h>
#include <string.h>

weir_field_type weir__result_type(const weir_field_type *in, weir_dtype dtype, const char *units) {
  weir_field_type type = *in;
  type.dtype           = dtype;
  type.units           = units;
  type.has_fill        = false;
  type.fill            = 0;
  type.attributes      = NULL;
  type.attribute_count = 0;
  return type;
}

weir_status weir__axis_one(const weir_axes *axes, const weir_field_type *type, const char *operator_name, int *axis) {
  unsigned mask;
  if (axes->count != 1)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: one axis is expected, %d are given", operator_name, axes->count);
  WEIR_TRY(weir_axes_resolve(axes, type, &mask));
  *axis = __builtin_ctz(mask);
  return WEIR_OK;
}

double *weir__infer_numbers(const weir_infer *infer, int64_t n) {
  /* The graph keeps texts; one of the right length has the right length of life. */
  size_t      bytes = ((size_t)n + 1) * sizeof(double);
  char       *text;
  const char *kept = NULL;
  if (n < 0 || weir__alloc_zeroed(bytes + 1, 0, &text) < 0) return NULL;
  memset(text, '0', bytes);
  kept = weir_infer_string(infer, text);
  weir__free(text);
  if (!kept) return NULL;
  uintptr_t at = ((uintptr_t)kept + sizeof(double) - 1) & ~(uintptr_t)(sizeof(double) - 1);
  return (double *)at;
}

/* Mean coordinate of `width` indices from `first` on. */
static double middle(const weir_dimension *in, int64_t first, int64_t width, double shift) {
  double sum = 0;
  if (in->spacing != 0) return weir__coordinate(in, (double)first + (double)(width - 1) / 2 + shift);
  for (int64_t i = first; i < first + width; i++) sum += weir__coordinate(in, (double)i + shift);
  return sum / (double)width;
}

weir_status weir__dimension_sampled(const weir_infer *infer, const weir_dimension *in, int64_t start, int64_t step,
                                    int64_t count, int64_t width, double shift, weir_dimension *out) {
  weir_dimension d    = *in;
  int64_t        last = start + (count - 1) * step;
  bool           even = last + width <= in->size;
  d.size              = count;
  d.values            = NULL;
  if (in->spacing != 0 && even) {
    d.origin  = middle(in, start, width, shift);
    d.spacing = in->spacing * (double)step;
  } else if (in->spacing != 0 || in->values) {
    double *values = weir__infer_numbers(infer, count);
    if (!values) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory: a coordinate of %lld numbers", (long long)count);
    for (int64_t i = 0; i < count; i++) {
      int64_t first = start + i * step, most = in->size - first;
      values[i] = middle(in, first, width < most ? width : most, shift);
    }
    d.values  = values;
    d.spacing = 0;
  }
  *out = d;
  return WEIR_OK;
}

weir_status weir__fold_location(const weir_infer *infer, weir_field_type *type, unsigned done) {
  for (int a = 0; a < type->rank; a++) {
    double shift = weir__location_shift(type->location, type->rank, a);
    if (shift == 0 || done >> a & 1) continue;
    WEIR_TRY(weir__dimension_sampled(infer, &type->dim[a], 0, 1, type->dim[a].size, 1, shift, &type->dim[a]));
  }
  type->location = WEIR_AT_UNKNOWN;
  return WEIR_OK;
}

double weir__uniform_spacing(const weir_dimension *d) {
  if (d->spacing != 0) return d->spacing;
  if (!d->values || d->size < 2) return 1;
  double mean = (d->values[d->size - 1] - d->values[0]) / (double)(d->size - 1);
  for (int64_t i = 1; i < d->size; i++)
    if (!(fabs(d->values[i] - d->values[i - 1] - mean) <= 1e-6 * fabs(mean))) return 0;
  return mean;
}

const char *weir__units_times(const weir_infer *infer, const char *a, const char *b, int power) {
  weir__arena arena = {0};
  const char *product, *kept = NULL;
  if (a && b && weir__units_combine(&arena, a, 1, b, power, &product) >= 0 && product)
    kept = weir_infer_string(infer, product);
  weir__arena_clear(&arena);
  return kept;
}
