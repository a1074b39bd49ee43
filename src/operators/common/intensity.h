/* Pixels replaced by a function of their value: a table where there are few values, in the type of the image. */
#ifndef WEIR_OPERATORS_INTENSITY_H
#define WEIR_OPERATORS_INTENSITY_H
#include "operators/common/pixels.h"

typedef double (*weir__intensity)(const void *params, double x);

weir_status weir__intensity_infer(weir_infer *infer);
/* `*context` is the table, or NULL where none is made. */
weir_status weir__intensity_prepare(const void *params, const weir_field_type *const *in, weir__intensity value,
                                    void **context);
void        weir__intensity_release(void *context);
weir_status weir__intensity_apply(const weir_apply *a, weir__intensity value);
size_t      weir__intensity_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

#define WEIR__INTENSITY_DETAILS                                                                                        \
  " The result has the type of f: in an integer field values are rounded and clipped to the range of the type (one "   \
  "that comes out as the fill value is missing). Missing values stay missing."
#endif
