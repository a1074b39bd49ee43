#include "operators/piv/camera_fit.h"
#include "core/memory.h"
#include "operators/piv/camera_fit_parts.h"
#include <math.h>
#include <string.h>

/* LAPACK, in Fortran. */
extern void dgelss_(const int *m, const int *n, const int *nrhs, double *a, const int *lda, double *b, const int *ldb,
                    double *s, const double *rcond, int *rank, double *work, const int *lwork, int *info);

static const double smallest = 1e-9; /* singular values below this part of the largest are none */

/* ---- what the points cover ---- */

static void find_range(const weir__camera_point *point, int64_t points, weir__camera *c) {
  for (int a = 0; a < 3; a++) {
    c->least[a] = INFINITY, c->most[a] = -INFINITY;
    for (int64_t i = 0; i < points; i++) {
      c->least[a] = fmin(c->least[a], point[i].world[a]);
      c->most[a]  = fmax(c->most[a], point[i].world[a]);
    }
  }
}

int weir__camera_planes(const weir__camera_point *point, int64_t points) {
  double z[2] = {0}, span = 0;
  int    planes = 0;
  for (int64_t i = 0; i < points; i++)
    for (int a = 0; a < 3; a++) span = fmax(span, fabs(point[i].world[a] - point[0].world[a]));
  for (int64_t i = 0; i < points && planes < 3; i++) {
    bool known = false;
    for (int k = 0; k < planes && k < 2; k++) known = known || fabs(point[i].world[2] - z[k]) <= 1e-6 * span;
    if (known) continue;
    if (planes < 2) z[planes] = point[i].world[2];
    planes++;
  }
  return planes;
}

static weir_status check(const weir__camera_fit *fit, const weir__camera_point *point, int64_t points, int64_t least) {
  if (points < least)
    return WEIR_FAIL(WEIR_ERR_INPUT, "calibration: %lld points, expected at least %lld for a %s%s", (long long)points,
                     (long long)least, fit->model == WEIR__CAMERA_PINHOLE ? "pinhole" : "polynomial",
                     fit->model != WEIR__CAMERA_PINHOLE && fit->order > 1 ? " of this order (--order lowers it)" : "");
  if (points > INT32_MAX / 64)
    return WEIR_FAIL(WEIR_ERR_INPUT, "calibration: %lld points are too many", (long long)points);
  for (int64_t i = 0; i < points; i++) {
    const weir__camera_point *p = &point[i];
    if (!isfinite(p->image[0] + p->image[1] + p->world[0] + p->world[1] + p->world[2]))
      return WEIR_FAIL(WEIR_ERR_INPUT, "calibration: point %lld is not finite", (long long)i + 1);
  }
  return WEIR_OK;
}

/* ---- polynomials ---- */

/* The terms that the order and the planes leave. */
static int choose_terms(int order, int planes, int chosen[WEIR__CAMERA_TERMS]) {
  int count = 0;
  for (int n = 0; n < WEIR__CAMERA_TERMS; n++) {
    const int *p = weir__camera_powers(n);
    if (p[0] + p[1] + p[2] <= order && p[2] < planes) chosen[count++] = n;
  }
  return count;
}

static double power(double x, int n) {
  double p = 1;
  while (n-- > 0) p *= x;
  return p;
}

static weir_status solve(int m, int n, double *a, double *b, int *rank) {
  double s[WEIR__CAMERA_TERMS], best, *work;
  int    info, two = 2, length = -1;
  dgelss_(&m, &n, &two, a, &m, b, &m, s, &smallest, rank, &best, &length, &info);
  length = (int)best;
  WEIR_TRY(weir__alloc_array((size_t)length, sizeof *work, &work));
  dgelss_(&m, &n, &two, a, &m, b, &m, s, &smallest, rank, work, &length, &info);
  weir__free(work);
  return info ? WEIR_FAIL(WEIR_ERR_INPUT, "calibration: least squares failed (dgelss: %d)", info) : WEIR_OK;
}

static weir_status fit_polynomial(const weir__camera_fit *fit, const weir__camera_point *point, int64_t points,
                                  weir__camera *c) {
  int         chosen[WEIR__CAMERA_TERMS], planes = weir__camera_planes(point, points), rank = 0;
  int         n = choose_terms(fit->order, planes, chosen), m = (int)points;
  double     *a = NULL, *b = NULL;
  weir_status status = WEIR_OK;
  WEIR_TRY(check(fit, point, points, n));
  for (int k = 0; k < 3; k++) {
    double half  = (c->most[k] - c->least[k]) / 2;
    c->centre[k] = (c->most[k] + c->least[k]) / 2;
    c->scale[k]  = half > 0 && (k < 2 || planes > 1) ? half : 1;
  }
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)m * (size_t)n, sizeof *a, &a));
  WEIR_TRY_GOTO(out, weir__alloc_array(2 * (size_t)m, sizeof *b, &b));
  for (int i = 0; i < m; i++) {
    for (int k = 0; k < 2; k++) b[(size_t)k * (size_t)m + (size_t)i] = point[i].image[k];
    for (int j = 0; j < n; j++) {
      double product = 1;
      for (int k = 0; k < 3; k++)
        product *= power((point[i].world[k] - c->centre[k]) / c->scale[k], weir__camera_powers(chosen[j])[k]);
      a[(size_t)j * (size_t)m + (size_t)i] = product;
    }
  }
  WEIR_TRY_GOTO(out, solve(m, n, a, b, &rank));
  if (rank < n) {
    status = WEIR_FAIL(WEIR_ERR_INPUT,
                       "calibration: the points determine %d of the %d terms of a polynomial of order %d: expected "
                       "points spread over X and Y, more than %d different ones along each (--order lowers it)",
                       rank, n, fit->order, fit->order);
    goto out;
  }
  for (int k = 0; k < 2; k++)
    for (int j = 0; j < n; j++) c->coefficient[k][chosen[j]] = b[(size_t)k * (size_t)m + (size_t)j];
  c->deep = planes > 1;
out:
  weir__free(a);
  weir__free(b);
  return status;
}

/* ---- all ---- */

weir_status weir__camera_fit_points(const weir__camera_fit *fit, const weir__camera_point *point, int64_t points,
                                    weir__camera *camera) {
  weir__camera c = {.model = fit->model};
  WEIR_TRY(check(fit, point, points, fit->model == WEIR__CAMERA_PINHOLE ? 6 : 1));
  find_range(point, points, &c);
  WEIR_TRY(fit->model == WEIR__CAMERA_PINHOLE ? weir__camera_fit_pinhole(fit, point, points, &c)
                                              : fit_polynomial(fit, point, points, &c));
  *camera = c;
  return WEIR_OK;
}
