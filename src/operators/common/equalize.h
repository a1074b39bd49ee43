/* Histogram equalization, of the whole image or of tiles with what lies between them interpolated. */
#ifndef WEIR_OPERATORS_EQUALIZE_H
#define WEIR_OPERATORS_EQUALIZE_H
#include "operators/common/pixels.h"

enum { WEIR__EQUALIZE_TILES_MOST = 64 };

typedef struct weir__equalize {
  int64_t tiles; /* along both axes */
  double  clip;  /* part of the pixels of a tile that a bin holds at most; 1: all */
  int64_t bins;  /* set by infer */
} weir__equalize;

weir_status weir__equalize_infer(weir_infer *infer, const char *operator_name, int64_t bins);
weir_status weir__equalize_apply(const weir_apply *a);
size_t      weir__equalize_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

#define WEIR__EQUALIZE_DETAILS                                                                                         \
  " In uint8 images the bins are the 256 values and the result uses all of them; otherwise they divide the range of "  \
  "the image, which the result keeps, and C is linear within a bin. Each image (the last two dimensions) is taken as " \
  "a whole. The result has the type of the image. Missing pixels stay missing and are not counted."
#endif
