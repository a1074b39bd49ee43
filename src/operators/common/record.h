/* The smallest or the largest value of each element over all steps so far. */
#ifndef WEIR_OPERATORS_RECORD_H
#define WEIR_OPERATORS_RECORD_H
#include "operators/common/series.h"

weir_status weir__record_infer(weir_infer *infer);
weir_status weir__record_apply(const weir_apply *a, double sign); /* keeps the largest of sign * x */
size_t      weir__record_state(const void *params, const weir_field_type *const *in, const weir_region *out);
#endif
