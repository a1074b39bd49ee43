/* What the operators of bench_kernels compute, written by hand: plain loops over whole fields on one thread, and what
 * the memory gives. */
#ifndef WEIR_BENCH_KERNELS_PLAIN_H
#define WEIR_BENCH_KERNELS_PLAIN_H
#include <stdint.h>

typedef struct plain_fields {
  int64_t       side; /* fields are side x side; a multiple of 64 */
  const double *u, *v;
  double       *w; /* fields that are computed; single numbers are in w[0] */
} plain_fields;

/* Every body takes a plain_fields. */
typedef void plain_body(void *fields);

plain_body plain_copy, plain_triad, plain_read; /* memcpy; w = u + s v; a sum of u in lanes, which nothing holds up */

plain_body plain_add, plain_energy, plain_speed, plain_polynomial, plain_where, plain_ratio, plain_maximum, plain_exp;
plain_body plain_mean_energy, plain_mean_wave, plain_mean_of_some /* above 1.5 */;
plain_body plain_sum, plain_mean, plain_min, plain_max, plain_count, plain_var;
plain_body plain_mean_rows, plain_mean_columns; /* a value per row, per column */
plain_body plain_ddx, plain_ddy, plain_laplacian, plain_curl /* ddx(v) - ddy(u) */, plain_mid /* along x */;
plain_body plain_diff /* along y */, plain_coarsen /* by 2 */;
#endif
