/* The matrix of a thin-plate spline, and splines that lack some of its vectors. Factors are computed here rather than
 * by LAPACK, whose bits may depend on the BLAS below it and its threads. */
#include "operators/piv/smooth.h"
#include <math.h>
#include <string.h>

enum { LANES = 8 };

/* In lanes: in one order, and fit for vector instructions. */
static double dot(const double *x, const double *y, int64_t n) {
  double  lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += x[i + k] * y[i + k];
  for (; i < n; i++) sum += x[i] * y[i];
  for (int k = 0; k < LANES; k++) sum += lane[k];
  return sum;
}

/* L of L L' in place, the lower half of a[n][n]. A direction that is zero but for rounding gets a row and a column of
 * zeros; gives how many those are. */
static int64_t cholesky(double *a, int64_t n) {
  static const double rounding = 1e-12;
  int64_t             lost     = 0;
  for (int64_t i = 0; i < n; i++) {
    double *row = a + i * n;
    for (int64_t j = 0; j < i; j++) {
      double pivot = a[j * n + j];
      row[j]       = pivot > 0 ? (row[j] - dot(row, a + j * n, j)) / pivot : 0;
    }
    double rest = row[i] - dot(row, row, i);
    if (rest > rounding * row[i]) row[i] = sqrt(rest);
    else {
      memset(row, 0, (size_t)(i + 1) * sizeof *row);
      lost++;
    }
  }
  return lost;
}

/* ---- the matrix ---- */

static double kernel(double y, double x) {
  double square = y * y + x * x;
  return square > 0 ? 0.5 * square * log(square) : 0;
}

/* K + rho I. It has no more than count[0] x count[1] different numbers. */
static void fill_kernel(const int64_t count[2], const int64_t step[2], double rho, double *a, double *table) {
  int64_t n = count[0] * count[1];
  for (int64_t y = 0; y < count[0]; y++)
    for (int64_t x = 0; x < count[1]; x++)
      table[y * count[1] + x] = kernel((double)(y * step[0]), (double)(x * step[1]));
  for (int64_t i = 0; i < n; i++) {
    for (int64_t j = 0; j < n; j++) {
      int64_t y = i / count[1] - j / count[1], x = i % count[1] - j % count[1];
      a[i * n + j] = table[(y < 0 ? -y : y) * count[1] + (x < 0 ? -x : x)];
    }
    a[i * n + i] += rho;
  }
}

/* Reflect a from the left and the right by I - 2 v v'; v has length 1. */
static void reflect_both(double *a, const double *v, int64_t n, double *av) {
  for (int64_t i = 0; i < n; i++) av[i] = dot(a + i * n, v, n);
  double vav = dot(v, av, n);
  for (int64_t i = 0; i < n; i++) av[i] -= vav * v[i];
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) a[i * n + j] -= 2 * (v[i] * av[j] + av[i] * v[j]);
}

/* Householder vectors, one after the other in `v`, whose reflections turn planes into their first coordinates; their
 * number: as many as there are directions on the grid, and one. */
static int64_t plane_reflections(const int64_t count[2], double *v) {
  int64_t n = count[0] * count[1], m = 0;
  for (int k = 0; k < 3; k++) { /* 1, y, x */
    if (k > 0 && count[k - 1] == 1) continue;
    double *p = v + m * n, size = 0;
    for (int64_t i = 0; i < n; i++) {
      int64_t at = k == 1 ? i / count[1] : i % count[1];
      p[i]       = k == 0 ? 1 : (double)at - 0.5 * (double)(count[k - 1] - 1);
    }
    for (int64_t r = 0; r < m; r++) {
      double along = 2 * dot(v + r * n, p, n);
      for (int64_t i = 0; i < n; i++) p[i] -= along * v[r * n + i];
    }
    for (int64_t i = 0; i < m; i++) p[i] = 0;
    p[m] += copysign(sqrt(dot(p, p, n)), p[m]);
    size = sqrt(dot(p, p, n));
    for (int64_t i = 0; i < n; i++) p[i] /= size;
    m++;
  }
  return m;
}

/* inverse[n][n] of L L' by the columns of L's inverse, which are the rows of `columns`[n][n]. */
static void invert(const double *l, int64_t n, double *columns, double *inverse, int64_t stride) {
  for (int64_t i = 0; i < n; i++) {
    double *x = columns + i * n;
    x[i]      = 1 / l[i * n + i];
    for (int64_t k = i + 1; k < n; k++) x[k] = -dot(l + k * n + i, x + i, k - i) / l[k * n + k];
  }
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j <= i; j++) {
      double value            = dot(columns + i * n + i, columns + j * n + i, n - i);
      inverse[i * stride + j] = inverse[j * stride + i] = value;
    }
}

/* With Q from the reflections, whose first m columns span the planes and the others, Q2, what no plane has:
 * W = Q2 (Q2' (K + rho I) Q2)^-1 Q2'. */
weir_status weir__piv_spline_matrix(const int64_t count[2], const int64_t step[2], double rho, double *matrix,
                                    double *scratch) {
  int64_t n = count[0] * count[1];
  double *l = scratch, *columns = l + n * n, *v = columns + n * n, *av = v + 3 * n;
  fill_kernel(count, step, rho, matrix, columns);
  int64_t m = plane_reflections(count, v), rest = n - m;
  for (int64_t r = 0; r < m; r++) reflect_both(matrix, v + r * n, n, av);
  for (int64_t i = 0; i < rest; i++) memcpy(l + i * rest, matrix + (i + m) * n + m, (size_t)rest * sizeof *l);
  if (cholesky(l, rest))
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "thin-plate spline of %lld vectors: its matrix is singular", (long long)n);
  memset(matrix, 0, (size_t)(n * n) * sizeof *matrix);
  invert(l, rest, columns, matrix + m * n + m, n);
  for (int64_t r = m; r-- > 0;) reflect_both(matrix, v + r * n, n, av);
  return WEIR_OK;
}

/* ---- without some ---- */

/* L L' x = x; what L has lost stays zero. */
static void solve(const double *l, int64_t n, double *x) {
  for (int64_t i = 0; i < n; i++) x[i] = l[i * n + i] > 0 ? (x[i] - dot(l + i * n, x, i)) / l[i * n + i] : 0;
  for (int64_t i = n; i-- > 0;) {
    x[i] = l[i * n + i] > 0 ? x[i] / l[i * n + i] : 0;
    for (int64_t j = 0; j < i; j++) x[j] -= l[i * n + j] * x[i];
  }
}

void weir__piv_spline_without(const double *matrix, int64_t n, const int32_t *absent, int64_t k, double *d,
                              int64_t stride, double *scratch) {
  double *l = scratch, *y = l + k * k, *x = y + k;
  for (int64_t i = 0; i < k; i++) {
    const double *row  = matrix + absent[i] * n;
    double        sum0 = 0, sum1 = 0;
    for (int64_t j = 0; j <= i; j++) l[i * k + j] = row[absent[j]];
    for (int64_t j = 0; j < n; j++) {
      sum0 -= row[j] * d[j * stride];
      sum1 -= row[j] * d[j * stride + 1];
    }
    y[i] = sum0, x[i] = sum1;
  }
  cholesky(l, k);
  solve(l, k, y);
  solve(l, k, x);
  for (int64_t i = 0; i < k; i++) d[absent[i] * stride] = y[i], d[absent[i] * stride + 1] = x[i];
}
