#include "operators/piv/stereo.h"
#include <math.h>

/* ---- three unknowns ---- */

/* Solve a x = b by Cholesky's method; the lower half of `a` is used. */
static bool solve(double a[3][3], const double b[3], double x[3]) {
  double l[3][3] = {{0}}, y[3];
  for (int i = 0; i < 3; i++)
    for (int k = 0; k <= i; k++) {
      double s = a[i][k];
      for (int m = 0; m < k; m++) s -= l[i][m] * l[k][m];
      if (i == k && !(s > 1e-14 * a[i][i])) return false;
      l[i][k] = i == k ? sqrt(s) : s / l[k][k];
    }
  for (int i = 0; i < 3; i++) {
    y[i] = b[i];
    for (int m = 0; m < i; m++) y[i] -= l[i][m] * y[m];
    y[i] /= l[i][i];
  }
  for (int i = 2; i >= 0; i--) {
    x[i] = y[i];
    for (int m = i + 1; m < 3; m++) x[i] -= l[m][i] * x[m];
    x[i] /= l[i][i];
  }
  return true;
}

/* What is left of the four equations, and how they change with the displacement. */
static bool look(const weir__camera *const camera[2], const double at[3], const double displacement[2][2],
                 const double move[3], double left[4], double j[4][3]) {
  for (int c = 0; c < 2; c++) {
    double seen[2][2], slope[2][2][3];
    for (int e = 0; e < 2; e++) {
      double half = e ? 0.5 : -0.5, end[3];
      for (int a = 0; a < 3; a++) end[a] = at[a] + half * move[a];
      if (!weir__camera_project(camera[c], end, seen[e], slope[e])) return false;
    }
    for (int i = 0; i < 2; i++) {
      left[2 * c + i] = displacement[c][i] - (seen[1][i] - seen[0][i]);
      for (int a = 0; a < 3; a++) j[2 * c + i][a] = (slope[0][i][a] + slope[1][i][a]) / 2;
    }
  }
  return true;
}

static double norm(const double left[4]) {
  return sqrt(left[0] * left[0] + left[1] * left[1] + left[2] * left[2] + left[3] * left[3]);
}

static void make_normal(double j[4][3], const double left[4], double a[3][3], double b[3]) {
  for (int i = 0; i < 3; i++) {
    b[i] = 0;
    for (int e = 0; e < 4; e++) b[i] += j[e][i] * left[e];
    for (int k = 0; k < 3; k++) {
      a[i][k] = 0;
      for (int e = 0; e < 4; e++) a[i][k] += j[e][i] * j[e][k];
    }
  }
}

bool weir__stereo_solve(const weir__camera *const camera[2], const double at[3], const double displacement[2][2],
                        double move[3], double *residual) {
  enum { ROUNDS = 8 };
  double x[3] = {0, 0, 0}, left[4], j[4][3], a[3][3], b[3], step[3];
  if (!look(camera, at, displacement, x, left, j)) return false;
  for (int n = 0; n < ROUNDS; n++) {
    double before = sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]), size;
    make_normal(j, left, a, b);
    if (!solve(a, b, step)) return false;
    for (int i = 0; i < 3; i++) x[i] += step[i];
    if (!look(camera, at, displacement, x, left, j)) return false;
    size = sqrt(step[0] * step[0] + step[1] * step[1] + step[2] * step[2]);
    if (!(size > 1e-14 * before)) break;
  }
  for (int i = 0; i < 3; i++) move[i] = x[i];
  *residual = norm(left);
  return isfinite(*residual);
}

/* ---- how well ---- */

/* Smallest and largest eigenvalue of a symmetric matrix by the formula of its characteristic polynomial. */
static void extremes(double a[3][3], double *least, double *most) {
  double mean = (a[0][0] + a[1][1] + a[2][2]) / 3, p2 = 0, b[3][3];
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 3; k++) {
      b[i][k] = a[i][k] - (i == k ? mean : 0);
      p2 += b[i][k] * b[i][k] / 6;
    }
  double p = sqrt(p2), det = b[0][0] * (b[1][1] * b[2][2] - b[1][2] * b[2][1]) -
                             b[0][1] * (b[1][0] * b[2][2] - b[1][2] * b[2][0]) +
                             b[0][2] * (b[1][0] * b[2][1] - b[1][1] * b[2][0]);
  const double third = 2.0943951023931954923;
  double       r = p > 0 ? det / (2 * p * p * p) : 0, angle = acos(fmax(-1, fmin(1, r))) / 3;
  *most  = mean + 2 * p * cos(angle);
  *least = mean + 2 * p * cos(angle + third);
}

double weir__stereo_condition(const weir__camera *const camera[2], const double at[3]) {
  const double still[3] = {0}, nothing[2][2] = {{0}};
  double       left[4], j[4][3], a[3][3], b[3], least, most;
  if (!look(camera, at, nothing, still, left, j)) return 0;
  make_normal(j, left, a, b);
  extremes(a, &least, &most);
  return least > 0 && most > 0 ? sqrt(least / most) : 0;
}
