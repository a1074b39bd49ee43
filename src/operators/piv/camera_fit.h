/* A camera from points whose image and world positions are known: least squares of what is left in the image. */
#ifndef WEIR_OPERATORS_CAMERA_FIT_H
#define WEIR_OPERATORS_CAMERA_FIT_H
#include "operators/piv/camera.h"
#include <stddef.h>
#include <stdint.h>

typedef struct weir__camera_point {
  double image[2], world[3]; /* pixels x, y; metres X, Y, Z */
} weir__camera_point;

typedef struct weir__camera_fit {
  weir__camera_model model;
  int                order;  /* of polynomials: 1, 2, 3 */
  int                radial; /* of pinholes: how many of k1, k2 there are: 0, 1, 2 */
} weir__camera_fit;

/* How many different Z there are among the points: 1, 2, or 3 for more. */
int weir__camera_planes(const weir__camera_point *point, int64_t points);

/* A polynomial knows of Z what the points tell: nothing where all have the same, what is linear in Z where there are
 * two planes. WEIR_ERR_INPUT: the points do not determine the camera (message: why, what is needed). */
weir_status weir__camera_fit_points(const weir__camera_fit *fit, const weir__camera_point *point, int64_t points,
                                    weir__camera *camera);

/* What is left of a point, measured less fitted, pixels. */
static inline bool weir__camera_residual(const weir__camera *camera, const weir__camera_point *point, double off[2]) {
  double image[2];
  if (!weir__camera_project(camera, point->world, image, NULL)) return false;
  for (int i = 0; i < 2; i++) off[i] = point->image[i] - image[i];
  return true;
}
#endif
