/* Inner parts of `analysis` (operators/analysis.c).
 *
 *   f ---> sample ---> solve ---> weights ---> increment ---> result
 *   |                    ^                        ^
 *   |              observations, y, x          y, x (f by chunks)
 *   +---------------------------------------------+
 *
 * H takes a field to its values at the points (bilinear, as `sample` does), the covariance of background errors is
 * B = background_error^2 rho(distance / length) between elements. With R = observation_error^2 I and the ratio
 * r = observation_error / background_error,
 *   x_a = x_b + B H' (H B H' + R)^-1 (y - H x_b) = x_b + rho H' (H rho H' + r^2 I)^-1 (y - H x_b),
 * so that `solve` gives one weight per observation, and `increment` adds what those nearby mean for each element. */
#ifndef WEIR_OPERATORS_ANALYSIS_H
#define WEIR_OPERATORS_ANALYSIS_H
#include "operators/common/points.h"

enum { WEIR__ANALYSIS_MOST = 4096 }; /* observations: the matrix takes at most 64 MiB of each thread's scratch */

/* The parameters of all records; a user gives the first. */
typedef struct weir__analysis {
  weir__points           points; /* must be first */
  double                 length, background_error, observation_error;
  const weir_field_type *field; /* of f */
} weir__analysis;

/* Correlation at a distance of z times `length`: the compactly supported function of 5th order of Gaspari & Cohn 1999,
 * eq. 4.10, doi 10.1002/qj.49712555417; 1 at 0, 0 from 2 on. */
double weir__analysis_correlation(double z);

/* What an observation looks at: two neighbours on each axis, where they are and what they weigh. */
typedef struct weir__footprint {
  double at[2][2], weight[2][2];
} weir__footprint;
/* False when the point lies outside of the field. */
bool weir__footprint_find(const weir__analysis *p, double y, double x, weir__footprint *footprint);
/* H rho H' of two observations. */
double weir__footprint_correlation(const weir__analysis *p, const weir__footprint *a, const weir__footprint *b);
/* Distance on an axis, the shorter way around when it has a period (0: none). */
double weir__analysis_distance(double a, double b, double period);

extern const weir_operator weir__analysis_solve;     /* sampled, observations, y, x -> weights */
extern const weir_operator weir__analysis_increment; /* f, weights, y, x -> the analysis */
#endif
