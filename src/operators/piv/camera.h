/* Where a camera sees what: image positions x, y in pixels (x to the right, y downwards, the centre of the first pixel
 * is 0, 0) of world positions X, Y, Z in metres.
 *
 * polynomial: with s = (X - centre) / scale, a polynomial of up to third order in X and Y and second in Z per image
 *             coordinate (Soloff, Adrian & Liu 1997, doi 10.1088/0957-0233/8/12/008).
 * pinhole:    x = K d(R X + t): K is upper triangular, R a rotation, d the radial distortion of what is at distance r
 *             from the axis by 1 + k1 r^2 + k2 r^4 (Brown 1971). */
#ifndef WEIR_OPERATORS_CAMERA_H
#define WEIR_OPERATORS_CAMERA_H
#include "core/error.h"
#include <stdbool.h>

typedef enum weir__camera_model { WEIR__CAMERA_POLYNOMIAL, WEIR__CAMERA_PINHOLE } weir__camera_model;

enum { WEIR__CAMERA_TERMS = 19 }; /* 1 X Y X2 XY Y2 X3 X2Y XY2 Y3, then those with Z */

typedef struct weir__camera {
  weir__camera_model model;
  bool               deep;              /* knows what Z does */
  double             least[3], most[3]; /* X, Y, Z of the points it was fitted to; NaN: unknown */
  /* polynomial */
  double centre[3], scale[3];
  double coefficient[2][WEIR__CAMERA_TERMS]; /* of x, of y */
  /* pinhole */
  double k[5];    /* fx, skew, cx, fy, cy: K = [fx skew cx; 0 fy cy; 0 0 1] */
  double r[3][3]; /* rows */
  double t[3], radial[2];
} weir__camera;

/* The powers of X, Y, Z in term n, and its name in files: "X2Y", "1". */
const int  *weir__camera_powers(int term);
const char *weir__camera_term(int term);

/* Image position of a world position; `jacobian` (may be NULL): d(x, y) / d(X, Y, Z). False: behind a pinhole, or where
 * its distortion turns back. */
bool weir__camera_project(const weir__camera *camera, const double world[3], double image[2], double jacobian[2][3]);

/* World position in the plane Z = world[2] (which stays) of an image position, by Newton's method; `start`: a position
 * near it, NULL: the middle of the points. False: there is none. */
bool weir__camera_unproject(const weir__camera *camera, const double image[2], const double *start, double world[3]);

/* Read a calibration file. WEIR_ERR_INPUT: it cannot be read, or what is wrong in it and where. */
weir_status weir__camera_load(const char *path, weir__camera *camera);

/* A 3 x 4 matrix taken apart into K, R and t: x ~ P (X, 1). False: it is none of a camera. */
bool weir__camera_decompose(const double matrix[3][4], weir__camera *camera);
#endif
