/* Pixels in the narrowest type that holds them: rows of images as uint8, uint16, float or double. */
#ifndef WEIR_OPERATORS_PIXELS_H
#define WEIR_OPERATORS_PIXELS_H
#include "operators/common/common.h"

/* Integers keep their type only where nothing can be missing; otherwise NaN has to have a place. */
typedef enum weir__kind { WEIR__KIND_U8, WEIR__KIND_U16, WEIR__KIND_F32, WEIR__KIND_F64 } weir__kind;

weir__kind weir__kind_of(weir_dtype dtype, bool has_fill);
size_t     weir__kind_size(weir__kind kind);

/* Read `n` neighbours from local index `index`; missing is NaN, and -0 is 0, so that equal values have equal bytes.
 * `buffer` has room for n doubles. True when a value is missing. */
bool weir__pixels_load(const weir_view *view, const int64_t *index, int64_t n, weir__kind kind, void *row,
                       double *buffer);
void weir__pixels_store(const weir_view *view, const int64_t *index, int64_t n, weir__kind kind, const void *row,
                        double *buffer);

/* The result is an image of the same type: pixels, fill value, units. */
weir_status weir__image_infer_same(weir_infer *infer, const char *operator_name);
/* The result is of a floating type. */
weir_status weir__image_infer_floating(weir_infer *infer, const char *operator_name);

/* A box of the result with `halo` more pixels on both sides of the last two axes. */
void weir__image_widen(const weir_region *out, int64_t halo, weir_region *region);

/* Step `index` through the planes of a view: all indices but those of the last two axes. False after the last. */
bool weir__image_next(const weir_view *view, int64_t *index);
#endif
