/* Of a vector and its neighbours: shared by validate.c and validate_near.c. */
#ifndef WEIR_OPERATORS_PIV_VALIDATE_H
#define WEIR_OPERATORS_PIV_VALIDATE_H
#include "operators/piv/piv.h"

/* Vectors and which of them count as neighbours; values of the others are not read. */
typedef struct weir__piv_plane {
  int64_t        count[2];
  const float   *dy, *dx;
  const uint8_t *ok;
} weir__piv_plane;

/* How far a vector is from its neighbours. Squares, for both components together; -1: too few neighbours to tell. */
typedef struct weir__piv_distance {
  /* of (dy, dx), if it stood at (y, x); a number that is not above `enough` is not made smaller at some cost */
  float (*one)(const weir__piv_plane *plane, int64_t y, int64_t x, float dy, float dx, float noise, float enough);
  /* of LANES vectors from (y, x) on, all of whose eight neighbours count: the same numbers, quicker */
  void (*block)(const weir__piv_plane *plane, int64_t y, int64_t x, float noise, float *distance);
} weir__piv_distance;

enum { WEIR__PIV_LANES = 16 };
extern const weir__piv_distance weir__piv_to_median, weir__piv_to_mean;
#endif
