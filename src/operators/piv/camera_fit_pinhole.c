/* A pinhole: first the matrix by the direct linear transform (Hartley & Zisserman 2004, ch. 7), then all parameters by
 * Levenberg and Marquardt's method on what is left in the image. */
#include "core/memory.h"
#include "operators/piv/camera_fit_parts.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* LAPACK, in Fortran: lengths of the character arguments come last. */
extern void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda,
                    double *s, double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
                    int *info, size_t jobu_length, size_t jobvt_length);
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
                   const int *lwork, int *info, size_t jobz_length, size_t uplo_length);
extern void dposv_(const char *uplo, const int *n, const int *nrhs, double *a, const int *lda, double *b,
                   const int *ldb, int *info, size_t uplo_length);

static const double flat = 1e-4, undetermined = 1e-11;

/* ---- do the points span space? ---- */

static weir_status check_depth(const weir__camera_point *point, int64_t points) {
  double mean[3] = {0}, c[9] = {0}, w[3], work[32];
  int    three = 3, length = 32, info;
  for (int64_t i = 0; i < points; i++)
    for (int a = 0; a < 3; a++) mean[a] += point[i].world[a] / (double)points;
  for (int64_t i = 0; i < points; i++)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++) c[3 * a + b] += (point[i].world[a] - mean[a]) * (point[i].world[b] - mean[b]);
  dsyev_("N", "U", &three, c, &three, w, work, &length, &info, 1, 1);
  if (!info && w[0] > flat * flat * w[2]) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "calibration: all points lie in one plane, which does not determine a pinhole: "
                                   "expected the target at two or more Z (or --model polynomial)");
}

/* ---- the matrix ---- */

typedef struct frame {       /* as numbers around 0 of size 1 */
  double image[3], world[4]; /* mean, then scale */
} frame;

static frame normalise(const weir__camera_point *point, int64_t points) {
  frame  f = {{0}, {0}};
  double n = (double)points, image = 0, world = 0;
  for (int64_t i = 0; i < points; i++) {
    for (int a = 0; a < 2; a++) f.image[a] += point[i].image[a] / n;
    for (int a = 0; a < 3; a++) f.world[a] += point[i].world[a] / n;
  }
  for (int64_t i = 0; i < points; i++) {
    for (int a = 0; a < 2; a++) image += (point[i].image[a] - f.image[a]) * (point[i].image[a] - f.image[a]);
    for (int a = 0; a < 3; a++) world += (point[i].world[a] - f.world[a]) * (point[i].world[a] - f.world[a]);
  }
  f.image[2] = image > 0 ? sqrt(image / n) : 1;
  f.world[3] = world > 0 ? sqrt(world / n) : 1;
  return f;
}

/* Two equations per point, column by column. */
static void set_equations(const weir__camera_point *point, int64_t points, const frame *f, double *a) {
  size_t m = 2 * (size_t)points;
  for (size_t i = 0; i < (size_t)points; i++) {
    double w[4] = {0, 0, 0, 1};
    for (int k = 0; k < 3; k++) w[k] = (point[i].world[k] - f->world[k]) / f->world[3];
    for (size_t e = 0; e < 2; e++) {
      double x = (point[i].image[e] - f->image[e]) / f->image[2];
      for (size_t k = 0; k < 4; k++) {
        a[(4 * e + k) * m + 2 * i + e] = w[k];
        a[(8 + k) * m + 2 * i + e]     = -x * w[k];
      }
    }
  }
}

/* The matrix of the points as they were. */
static void denormalise(const double p[12], const frame *f, double matrix[3][4]) {
  double rows[3][4];
  for (int k = 0; k < 4; k++) {
    rows[2][k] = p[8 + k];
    for (int e = 0; e < 2; e++) rows[e][k] = f->image[2] * p[4 * e + k] + f->image[e] * p[8 + k];
  }
  for (int i = 0; i < 3; i++) {
    matrix[i][3] = rows[i][3];
    for (int k = 0; k < 3; k++) {
      matrix[i][k] = rows[i][k] / f->world[3];
      matrix[i][3] -= matrix[i][k] * f->world[k];
    }
  }
}

static weir_status transform(const weir__camera_point *point, int64_t points, double matrix[3][4]) {
  enum { WORK = 4096 };
  frame       f = normalise(point, points);
  int         m = 2 * (int)points, n = 12, one = 1, info, length = WORK + 3 * m;
  double      s[12], vt[144], *a = NULL, *work = NULL;
  weir_status status = WEIR_OK;
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)m * 12, sizeof *a, &a));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)length, sizeof *work, &work));
  set_equations(point, points, &f, a);
  dgesvd_("N", "A", &m, &n, a, &m, s, NULL, &one, vt, &n, work, &length, &info, 1, 1);
  if (info || !(s[10] > undetermined * s[0])) {
    status =
        WEIR_FAIL(WEIR_ERR_INPUT, "calibration: the points do not determine a pinhole (repeated points, or too few "
                                  "that differ)");
    goto out;
  }
  double p[12];
  for (int k = 0; k < 12; k++) p[k] = vt[k * 12 + 11]; /* the last right singular vector */
  denormalise(p, &f, matrix);
out:
  weir__free(a);
  weir__free(work);
  return status;
}

/* ---- refinement ---- */

enum { MOST = 12 }; /* fx, fy, cx, cy; rotation; t; k1, k2 */

typedef struct normal { /* J' J, J' e and e' e */
  double a[MOST][MOST], b[MOST], cost;
  int    n;
} normal;

static void derive(const weir__camera *c, const double world[3], double j[2][3], double d[2][MOST]) {
  double rx[3], q[3], by_q[2][3];
  for (int i = 0; i < 3; i++) {
    rx[i] = c->r[i][0] * world[0] + c->r[i][1] * world[1] + c->r[i][2] * world[2];
    q[i]  = rx[i] + c->t[i];
    for (int e = 0; e < 2; e++) by_q[e][i] = j[e][0] * c->r[i][0] + j[e][1] * c->r[i][1] + j[e][2] * c->r[i][2];
  }
  double x[2] = {q[0] / q[2], q[1] / q[2]}, r2 = x[0] * x[0] + x[1] * x[1];
  double far = 1 + r2 * (c->radial[0] + r2 * c->radial[1]), f[2] = {c->k[0], c->k[3]};
  memset(d, 0, 2 * sizeof *d);
  for (int e = 0; e < 2; e++) {
    d[e][e] = x[e] * far, d[e][2 + e] = 1;
    for (int i = 0; i < 3; i++) { /* of R turned by a small w: w x RX */
      int k = (i + 1) % 3, l = (i + 2) % 3;
      d[e][4 + i] = by_q[e][l] * rx[k] - by_q[e][k] * rx[l];
      d[e][7 + i] = by_q[e][i];
    }
    d[e][10] = f[e] * x[e] * r2, d[e][11] = f[e] * x[e] * r2 * r2;
  }
}

static bool accumulate(const weir__camera *c, const weir__camera_point *point, int64_t points, int n, bool all,
                       normal *out) {
  memset(out, 0, sizeof *out);
  out->n = n;
  for (int64_t i = 0; i < points; i++) {
    double seen[2], j[2][3], d[2][MOST];
    if (!weir__camera_project(c, point[i].world, seen, j)) return false;
    if (all) derive(c, point[i].world, j, d);
    for (int e = 0; e < 2; e++) {
      double off = point[i].image[e] - seen[e];
      out->cost += off * off;
      for (int k = 0; all && k < n; k++) {
        out->b[k] += d[e][k] * off;
        for (int l = 0; l <= k; l++) out->a[k][l] += d[e][k] * d[e][l];
      }
    }
  }
  return isfinite(out->cost);
}

/* R turned by the rotation vector w (Rodrigues). */
static void turn(double r[3][3], const double w[3]) {
  double angle = sqrt(w[0] * w[0] + w[1] * w[1] + w[2] * w[2]), s = angle > 0 ? sin(angle) / angle : 1;
  double v = angle > 0 ? (1 - cos(angle)) / (angle * angle) : 0.5, out[3][3];
  for (int col = 0; col < 3; col++) {
    double x[3] = {r[0][col], r[1][col], r[2][col]}, along = w[0] * x[0] + w[1] * x[1] + w[2] * x[2];
    for (int i = 0; i < 3; i++)
      out[i][col] = cos(angle) * x[i] + s * (w[(i + 1) % 3] * x[(i + 2) % 3] - w[(i + 2) % 3] * x[(i + 1) % 3]) +
                    v * along * w[i];
  }
  memcpy(r, out, sizeof out);
}

static weir__camera moved(const weir__camera *c, const double step[MOST], int n) {
  weir__camera next = *c;
  next.k[0] += step[0], next.k[3] += step[1], next.k[2] += step[2], next.k[4] += step[3];
  turn(next.r, step + 4);
  for (int i = 0; i < 3; i++) next.t[i] += step[7 + i];
  for (int i = 10; i < n; i++) next.radial[i - 10] += step[i];
  return next;
}

/* The damped step; false: the equations have no solution. Scaled by their diagonal, as units differ. */
static bool find_step(const normal *e, double damping, double step[MOST]) {
  double a[MOST * MOST], scale[MOST];
  int    n = e->n, one = 1, info;
  for (int k = 0; k < n; k++) scale[k] = e->a[k][k] > 0 ? sqrt(e->a[k][k]) : 1;
  for (int k = 0; k < n; k++) {
    step[k] = e->b[k] / scale[k];
    for (int l = 0; l <= k; l++)
      a[l * n + k] = e->a[k][l] / scale[k] / scale[l] + (k == l ? damping : 0); /* the lower half, by columns */
  }
  dposv_("L", &n, &one, a, &n, step, &n, &info, 1);
  for (int k = 0; k < n; k++) step[k] /= scale[k];
  return !info;
}

static bool refine(const weir__camera_point *point, int64_t points, int n, weir__camera *c) {
  enum { ROUNDS = 500 };
  normal at, next;
  double damping = 1e-3;
  int    idle    = 0; /* steps in a row that changed nothing to speak of */
  if (!accumulate(c, point, points, n, true, &at)) return false;
  for (int round = 0; round < ROUNDS && idle < 4 && at.cost > 0 && damping < 1e12; round++) {
    double       step[MOST];
    weir__camera tried;
    if (find_step(&at, damping, step) && (tried = moved(c, step, n), tried.k[0] > 0 && tried.k[3] > 0) &&
        accumulate(&tried, point, points, n, true, &next) && next.cost < at.cost) {
      idle    = next.cost > (1 - 1e-10) * at.cost ? idle + 1 : 0;
      *c      = tried;
      at      = next;
      damping = damping > 1e-15 ? damping / 10 : damping;
    } else damping *= 10;
  }
  return true;
}

/* ---- all ---- */

static bool all_seen(const weir__camera *c, const weir__camera_point *point, int64_t points) {
  double image[2];
  for (int64_t i = 0; i < points; i++)
    if (!weir__camera_project(c, point[i].world, image, NULL)) return false;
  return true;
}

weir_status weir__camera_fit_pinhole(const weir__camera_fit *fit, const weir__camera_point *point, int64_t points,
                                     weir__camera *c) {
  double matrix[3][4];
  WEIR_TRY(check_depth(point, points));
  WEIR_TRY(transform(point, points, matrix));
  if (!weir__camera_decompose((const double(*)[4])matrix, c))
    return WEIR_FAIL(WEIR_ERR_INPUT, "calibration: the points do not determine a pinhole");
  c->k[1] = 0; /* pixels are no parallelograms */
  c->deep = true;
  if (!all_seen(c, point, points))
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "calibration: the axes X, Y, Z are left-handed as the image shows them (with X to the "
                     "right and Y up, Z points to the camera): change the sign of Z");
  if (!refine(point, points, 10 + fit->radial, c))
    return WEIR_FAIL(WEIR_ERR_INPUT, "calibration: no pinhole fits the points");
  return WEIR_OK;
}
