/* Weighted means of the pixels around each one, along columns and then along rows.
 *
 * mean = sum w v / sum w m, where v is the pixel and m is 1, and both are 0 where it is missing or outside the image.
 * Every sum is made in the order of the pixels, from its first on, so chunks do not show. */
#ifndef WEIR_OPERATORS_SMOOTH_H
#define WEIR_OPERATORS_SMOOTH_H
#include "operators/common/pixels.h"

enum { WEIR__SMOOTH_SIZE_MOST = 255, WEIR__SMOOTH_SIGMA_MOST = 50 };

/* The beginning of the parameters; `radius` is set by infer. */
typedef struct weir__smooth {
  int64_t size;   /* of a square with equal weights */
  double  sigma;  /* of a Gaussian, truncated at 4 sigma; 0: the square */
  int64_t radius; /* pixels */
} weir__smooth;

/* Results of a row from means and the pixels themselves (NaN: missing). */
typedef void (*weir__smooth_finish)(const void *params, const double *mean, const double *pixel, int64_t n,
                                    double *result);

weir_status weir__smooth_infer(weir_infer *infer, const char *operator_name);
weir_status weir__smooth_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                              weir_region *region);
weir_status weir__smooth_prepare(const void *params, const weir_field_type *const *in, void **context);
void        weir__smooth_release(void *context);
weir_status weir__smooth_apply(const weir_apply *a, weir__smooth_finish finish); /* NULL: the means */
size_t      weir__smooth_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

#define WEIR__SMOOTH_FUNCTIONS                                                                                         \
  .need = weir__smooth_need, .prepare = weir__smooth_prepare, .release = weir__smooth_release,                         \
  .scratch_size = weir__smooth_scratch
#define WEIR__SMOOTH_DETAILS                                                                                           \
  " At the edges of the image weights are cut off, and missing pixels are skipped; the rest is divided by the sum of " \
  "the weights left. A pixel without any is missing. The result is float32 for images of up to 16 bits and float32, "  \
  "else float64."
#endif
