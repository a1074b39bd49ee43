/* What several operators share: types of results, units, coordinates. */
#ifndef WEIR_OPERATORS_COMMON_H
#define WEIR_OPERATORS_COMMON_H
#include "field/field.h"
#include <weir/operator.h>

/* The type of a computed result: like `in` but floating-point, NaN for missing, without the attributes of the input
 * (they describe other values) and with the units given (NULL: unknown). */
weir_field_type weir__result_type(const weir_field_type *in, weir_dtype dtype, const char *units);

/* Units of a product: `a` times `b` to the power `power`, as UDUNITS text ("m s-1", "m" and -1 give "s-1"). NULL when
 * either is unknown or memory ran out. What is more than a list of names with
 * exponents ("days since ...") cannot be said: NULL. */
const char *weir__units_times(const weir_infer *infer, const char *a, const char *b, int power);

/* The one axis that a parameter names. */
weir_status weir__axis_one(const weir_axes *axes, const weir_field_type *type, const char *operator_name, int *axis);

/* Memory for n numbers that lives as long as the graph, for listed coordinates; NULL when memory ran out. */
double *weir__infer_numbers(const weir_infer *infer, int64_t n);

/* The dimension of every `step`-th index from `start` on, `count` of them, each at the middle of `width` neighbours
 * (fewer at the end of `in`). `shift` in cells is added (0.5 for a field on faces). */
weir_status weir__dimension_sampled(const weir_infer *infer, const weir_dimension *in, int64_t start, int64_t step,
                                    int64_t count, int64_t width, double shift, weir_dimension *out);

/* Write the location of a field into its coordinates and forget it: for results whose axes no longer have the meaning
 * or spacing that a location refers to. Axes in `done` (a bit mask) are left alone. */
weir_status weir__fold_location(const weir_infer *infer, weir_field_type *type, unsigned done);

/* The spacing of a dimension whose coordinate is uniform (a listed one to 1e-6 of it); 1 without a coordinate, 0 when
 * uneven. */
double weir__uniform_spacing(const weir_dimension *dimension);
#endif
