/* The library's own flags: -O3, -ffp-contract=off, no fast-math. Loops that the compiler may not reorder for that
 * reason are written with lanes where the point is what memory gives. */
#include "kernels_plain.h"
#include "core/simd.h"
#include "vector_sin.h"
#include <stdbool.h>
#include <string.h>

#define RESTRICTED(f)                                                                                                  \
  const plain_fields *f_   = (f);                                                                                      \
  const double *restrict u = f_->u;                                                                                    \
  const double *restrict v = f_->v;                                                                                    \
  double *restrict w       = f_->w;                                                                                    \
  const int64_t side = f_->side, size = side * side;                                                                   \
  (void)u, (void)v, (void)w, (void)size

/* ---- memory ---- */

void plain_copy(void *fields) {
  RESTRICTED(fields);
  memcpy(w, u, (size_t)size * sizeof *w);
}

void plain_triad(void *fields) { /* McCalpin's STREAM, https://www.cs.virginia.edu/stream/ */
  RESTRICTED(fields);
  for (int64_t i = 0; i < size; i++) w[i] = u[i] + 3.0 * v[i];
}

enum { LANES = 8, CHAINS = 4 };
typedef double lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

/* The size is a multiple of LANES * CHAINS. */
WEIR__INLINE double sum_in_lanes(const double *x, int64_t size) {
  lanes  s[CHAINS] = {{0}};
  double sum       = 0;
  for (int64_t i = 0; i < size; i += LANES * CHAINS)
    for (int k = 0; k < CHAINS; k++) s[k] += *(const lanes *)(x + i + k * LANES);
  for (int k = 0; k < CHAINS * LANES; k++) sum += s[k / LANES][k % LANES];
  return sum;
}

WEIR__WIDE void plain_read(void *fields) {
  RESTRICTED(fields);
  w[0] = sum_in_lanes(u, size);
}

/* ---- expressions ---- */

#define POINTWISE(name, value)                                                                                         \
  void name(void *fields) {                                                                                            \
    RESTRICTED(fields);                                                                                                \
    for (int64_t i = 0; i < size; i++) w[i] = value;                                                                   \
  }
POINTWISE(plain_add, u[i] + v[i])
POINTWISE(plain_energy, 0.5 * (u[i] * u[i] + v[i] * v[i]))
POINTWISE(plain_speed, sqrt(u[i] * u[i] + v[i] * v[i]))
POINTWISE(plain_polynomial, ((0.3 * u[i] + 0.2) * u[i] + 0.1) * u[i] + 1)
POINTWISE(plain_where, u[i] > v[i] ? u[i] - v[i] : v[i] - u[i])
POINTWISE(plain_ratio, (u[i] - v[i]) / (u[i] + v[i]))
POINTWISE(plain_maximum, fabs(u[i]) > fabs(v[i]) ? fabs(u[i]) : fabs(v[i]))
POINTWISE(plain_exp, exp(-u[i]))

/* ---- reductions: in lanes, as fast as may be ---- */

WEIR__WIDE void plain_mean_energy(void *fields) {
  RESTRICTED(fields);
  lanes  s[CHAINS] = {{0}};
  double sum       = 0;
  for (int64_t i = 0; i < size; i += LANES * CHAINS)
    for (int k = 0; k < CHAINS; k++) {
      lanes x = *(const lanes *)(u + i + k * LANES), y = *(const lanes *)(v + i + k * LANES);
      s[k] += 0.5 * (x * x + y * y);
    }
  for (int k = 0; k < CHAINS * LANES; k++) sum += s[k / LANES][k % LANES];
  w[0] = sum / (double)size;
}

WEIR__WIDEST void plain_mean_wave(void *fields) {
  RESTRICTED(fields);
  double s[CHAINS * LANES] = {0}, sum = 0;
  for (int64_t i = 0; i < size; i += LANES * CHAINS)
    for (int k = 0; k < LANES * CHAINS; k++) s[k] += sin(sqrt(u[i + k] + 1));
  for (int k = 0; k < CHAINS * LANES; k++) sum += s[k];
  w[0] = sum / (double)size;
}

WEIR__WIDEST void plain_mean_of_some(void *fields) {
  RESTRICTED(fields);
  double s[LANES] = {0}, n[LANES] = {0}, sum = 0, count = 0;
  for (int64_t i = 0; i < size; i += LANES)
    for (int k = 0; k < LANES; k++) {
      bool some = u[i + k] > 1.5;
      s[k] += some ? u[i + k] : 0;
      n[k] += some;
    }
  for (int k = 0; k < LANES; k++) sum += s[k], count += n[k];
  w[0] = sum / count;
}

WEIR__WIDE void plain_sum(void *fields) {
  RESTRICTED(fields);
  w[0] = sum_in_lanes(u, size);
}

WEIR__WIDE void plain_count(void *fields) {
  RESTRICTED(fields);
  int64_t valid[LANES * CHAINS] = {0}, count = 0;
  for (int64_t i = 0; i < size; i += LANES * CHAINS)
    for (int k = 0; k < LANES * CHAINS; k++) valid[k] += u[i + k] == u[i + k];
  for (int k = 0; k < LANES * CHAINS; k++) count += valid[k];
  w[0] = (double)count;
}

WEIR__WIDE void plain_mean(void *fields) {
  RESTRICTED(fields);
  w[0] = sum_in_lanes(u, size) / (double)size;
}

#define EXTREME(name, sign)                                                                                            \
  WEIR__WIDE void name(void *fields) {                                                                                 \
    RESTRICTED(fields);                                                                                                \
    double m[LANES * CHAINS];                                                                                          \
    memcpy(m, u, sizeof m);                                                                                            \
    for (int64_t i = 0; i < size; i += LANES * CHAINS)                                                                 \
      for (int k = 0; k < LANES * CHAINS; k++) m[k] = u[i + k] sign m[k] ? u[i + k] : m[k];                            \
    for (int k = 1; k < LANES * CHAINS; k++) m[0] = m[k] sign m[0] ? m[k] : m[0];                                      \
    w[0] = m[0];                                                                                                       \
  }
EXTREME(plain_min, <)
EXTREME(plain_max, >)

/* Deviations from the first value: one pass is exact enough for values that are near each other. */
WEIR__WIDE void plain_var(void *fields) {
  RESTRICTED(fields);
  lanes        s[CHAINS] = {{0}}, q[CHAINS] = {{0}};
  double       sum = 0, squares = 0;
  const double first = u[0];
  for (int64_t i = 0; i < size; i += LANES * CHAINS)
    for (int k = 0; k < CHAINS; k++) {
      lanes x = *(const lanes *)(u + i + k * LANES) - first;
      s[k] += x;
      q[k] += x * x;
    }
  for (int k = 0; k < CHAINS * LANES; k++) {
    sum += s[k / LANES][k % LANES];
    squares += q[k / LANES][k % LANES];
  }
  sum /= (double)size;
  w[0] = squares / (double)size - sum * sum;
}

WEIR__WIDE void plain_mean_rows(void *fields) { /* over x: a value per row */
  RESTRICTED(fields);
  for (int64_t y = 0; y < side; y++) w[y] = sum_in_lanes(u + y * side, side) / (double)side;
}

void plain_mean_columns(void *fields) { /* over y: a value per column */
  RESTRICTED(fields);
  memset(w, 0, (size_t)side * sizeof *w);
  for (int64_t y = 0; y < side; y++)
    for (int64_t x = 0; x < side; x++) w[x] += u[y * side + x];
  for (int64_t x = 0; x < side; x++) w[x] /= (double)side;
}

/* ---- neighbours; spacing 1, one-sided at the edges as the operators ---- */

static void ddx_row(const double *restrict x, double *restrict d, int64_t n) {
  d[0] = (-3 * x[0] + 4 * x[1] - x[2]) * 0.5;
  for (int64_t i = 1; i < n - 1; i++) d[i] = (x[i + 1] - x[i - 1]) * 0.5;
  d[n - 1] = (3 * x[n - 1] - 4 * x[n - 2] + x[n - 3]) * 0.5;
}

void plain_ddx(void *fields) {
  RESTRICTED(fields);
  for (int64_t y = 0; y < side; y++) ddx_row(u + y * side, w + y * side, side);
}

void plain_ddy(void *fields) {
  RESTRICTED(fields);
  const int64_t last = (side - 1) * side;
  for (int64_t x = 0; x < side; x++) {
    w[x]        = (-3 * u[x] + 4 * u[x + side] - u[x + 2 * side]) * 0.5;
    w[last + x] = (3 * u[last + x] - 4 * u[last + x - side] + u[last + x - 2 * side]) * 0.5;
  }
  for (int64_t i = side; i < last; i++) w[i] = (u[i + side] - u[i - side]) * 0.5;
}

/* Second difference of the neighbours `by` elements apart, at place i of n. */
static inline double second(const double *x, int64_t i, int64_t n, int64_t by) {
  if (i == 0) return 2 * x[0] - 5 * x[by] + 4 * x[2 * by] - x[3 * by];
  if (i == n - 1) return 2 * x[0] - 5 * x[-by] + 4 * x[-2 * by] - x[-3 * by];
  return x[by] - 2 * x[0] + x[-by];
}

void plain_laplacian(void *fields) {
  RESTRICTED(fields);
  for (int64_t y = 0; y < side; y++) {
    const double *restrict row = u + y * side;
    double *restrict to        = w + y * side;
    for (int64_t x = 0; x < side; x += y == 0 || y == side - 1 ? 1 : side - 1)
      to[x] = second(row + x, x, side, 1) + second(row + x, y, side, side);
    if (y == 0 || y == side - 1) continue;
    for (int64_t x = 1; x < side - 1; x++)
      to[x] = (row[x + 1] - 2 * row[x] + row[x - 1]) + (row[x + side] - 2 * row[x] + row[x - side]);
  }
}

/* First difference, by 2. */
static inline double first(const double *x, int64_t i, int64_t n, int64_t by) {
  if (i == 0) return -3 * x[0] + 4 * x[by] - x[2 * by];
  if (i == n - 1) return 3 * x[0] - 4 * x[-by] + x[-2 * by];
  return x[by] - x[-by];
}

void plain_curl(void *fields) { /* ddx(v) - ddy(u) */
  RESTRICTED(fields);
  for (int64_t y = 0; y < side; y++) {
    const double *restrict p = v + y * side;
    const double *restrict q = u + y * side;
    double *restrict to      = w + y * side;
    bool edge                = y == 0 || y == side - 1;
    for (int64_t x = 0; x < side; x += edge ? 1 : side - 1)
      to[x] = first(p + x, x, side, 1) * 0.5 - first(q + x, y, side, side) * 0.5;
    for (int64_t x = 1; x < side - 1 && !edge; x++)
      to[x] = (p[x + 1] - p[x - 1]) * 0.5 - (q[x + side] - q[x - side]) * 0.5;
  }
}

void plain_mid(void *fields) { /* the last of a row has no neighbour: missing */
  RESTRICTED(fields);
  for (int64_t y = 0; y < side; y++) {
    const double *restrict p = u + y * side;
    double *restrict to      = w + y * side;
    for (int64_t x = 0; x < side - 1; x++) to[x] = 0.5 * p[x] + 0.5 * p[x + 1];
    to[side - 1] = NAN;
  }
}

void plain_diff(void *fields) {
  RESTRICTED(fields);
  for (int64_t i = 0; i < size - side; i++) w[i] = u[i + side] - u[i];
  for (int64_t i = size - side; i < size; i++) w[i] = NAN;
}

void plain_coarsen(void *fields) { /* by 2 */
  RESTRICTED(fields);
  for (int64_t y = 0; y < side / 2; y++) {
    const double *restrict p = u + 2 * y * side, *restrict q = p + side;
    for (int64_t x = 0; x < side / 2; x++)
      w[y * (side / 2) + x] = ((p[2 * x] + p[2 * x + 1]) + (q[2 * x] + q[2 * x + 1])) * 0.25;
  }
}
