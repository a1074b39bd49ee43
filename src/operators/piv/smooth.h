/* Thin-plate splines on a sub-domain: shared by smooth.c and smooth_matrix.c. */
#ifndef WEIR_OPERATORS_PIV_SMOOTH_H
#define WEIR_OPERATORS_PIV_SMOOTH_H
#include "core/error.h"
#include <stdint.h>

/* The spline f through n values d that minimises curvature + rho * misfit is
 *   f(x) = sum_j w_j K(x - x_j) + a plane,   K(r) = r^2 ln r,   (K + rho I) w + P a = d,   P' w = 0
 * (Duchon 1976; Wahba 1990), so that f(x_i) = d_i - rho w_i, and w = W d with W of no more than the places: this. It is
 * symmetric, positive semi-definite, and zero for planes.
 *   `count` vectors along y and x, `step` pixels apart; matrix: [n][n]; scratch: [2 n^2 + 4 n] numbers. */
weir_status weir__piv_spline_matrix(const int64_t count[2], const int64_t step[2], double rho, double *matrix,
                                    double *scratch);

/* Values at the places `absent` (k of them, ascending) of d such that they have no weight, w = 0 there: those of the
 * spline through the others, which then are smoothed as if these were not. (W_aa d_a = -W_ap d_p.) `d` has two
 * components, `stride` numbers from one place to the next; zeros at the absent on entry. scratch: [k^2 + 2 k]. */
void weir__piv_spline_without(const double *matrix, int64_t n, const int32_t *absent, int64_t k, double *d,
                              int64_t stride, double *scratch);
#endif
