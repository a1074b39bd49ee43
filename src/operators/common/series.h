/* Operators that keep numbers per element from step to step: rows of a chunk with the rows of their state. */
#ifndef WEIR_OPERATORS_SERIES_H
#define WEIR_OPERATORS_SERIES_H
#include "operators/common/common.h"

/* Called for n neighbours: values x (NaN: missing), results y, and the number `first` of the first element in the
 * chunk. */
typedef void (*weir__series_row)(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n);

weir_status weir__series_infer(weir_infer *infer, int power); /* units of the input to a power */
weir_status weir__series_apply(const weir_apply *a, weir__series_row row);
size_t      weir__series_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);
#endif
