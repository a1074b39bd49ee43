/* The dots of a regular target in an image, as points of a calibration. */
#ifndef WEIR_OPERATORS_TARGET_H
#define WEIR_OPERATORS_TARGET_H
#include "operators/piv/camera_fit.h"

typedef struct weir__target {
  double spacing;  /* m, from dot to dot */
  double z;        /* m, of all dots */
  double start[2]; /* x, y in pixels: the dot nearest to it is X = Y = 0; NaN: the middle of the image */
} weir__target;

/* Dots are darker or brighter than what is around them, whichever takes less of the image (Otsu's threshold); their
 * places are the centroids of what they differ by. From the first dot on the neighbours are looked for where the grid
 * goes on, so that the spacing may change across the image. X goes to the right, Y up. Dots cut by the edge, and spots
 * of other sizes, are left out. `*point` (weir__free): the dots found, `*count` of them. WEIR_ERR_INPUT: no grid. */
weir_status weir__target_find(const weir__target *target, const float *image, int64_t height, int64_t width,
                              weir__camera_point **point, int64_t *count);
#endif
