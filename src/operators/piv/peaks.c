/* The peaks of a correlation plane, and where they are to a fraction of a pixel. */
#include "operators/piv/correlate_parts.h"
#include <math.h>

/* Local maxima above zero, in descending order; among equals the first in the order of memory. */
typedef struct peak {
  float   value;
  int64_t y, x;
} peak;

/* Against those before in the order of memory a peak must be higher, so that a plateau has one. */
static inline bool is_local_maximum(const float *at, int64_t stride) {
  float        v  = *at;
  const float *up = at - stride, *down = at + stride;
  return v > up[-1] && v > up[0] && v > up[1] && v > at[-1] && v >= at[1] && v >= down[-1] && v >= down[0] &&
         v >= down[1];
}

static bool is_before(const peak *p, const peak *q) {
  if (p->value != q->value) return p->value > q->value;
  return p->y != q->y ? p->y < q->y : p->x < q->x;
}

static void insert(peak *best, int wanted, peak found) {
  int k = wanted;
  for (; k > 0 && is_before(&found, &best[k - 1]); k--)
    if (k < wanted) best[k] = best[k - 1];
  if (k < wanted) best[k] = found;
}

static inline float larger(float a, float b) { return a > b ? a : b; }

/* Of the n >= 1 values from x on. */
static float row_maximum(const float *x, int64_t n) {
  float most = x[0];
  if (n < 4) {
    for (int64_t i = 1; i < n; i++) most = larger(most, x[i]);
    return most;
  }
  weir__float4 m = weir__load4(x + n - 4);
  for (int64_t i = 0; i + 4 < n; i += 4) {
    weir__float4 v  = weir__load4(x + i);
    weir__int4   is = v > m;
    m               = (weir__float4)((is & (weir__int4)v) | (~is & (weir__int4)m));
  }
  return larger(larger(m[0], m[1]), larger(m[2], m[3]));
}

static inline bool any4(weir__int4 x) {
  int64_t any[2];
  memcpy(any, &x, sizeof any);
  return any[0] | any[1];
}

/* Only rows whose maximum is above the lowest peak found so far can hold a higher one. Beginning with the highest, one
 * gets by with few rows. */
static void find(const weir__piv_correlator *c, const float *plane, int wanted, peak *best) {
  int64_t height = 2 * c->settings.search[0] + 1, width = 2 * c->settings.search[1] + 1;
  float   most[WEIR__PIV_WINDOW_MOST];
  for (int k = 0; k < wanted; k++) best[k] = (peak){0, INT64_MAX, INT64_MAX};
  for (int64_t y = 1; y < height - 1; y++) most[y] = row_maximum(plane + y * c->stride + 1, width - 2);
  for (;;) {
    int64_t y       = 1;
    float   highest = row_maximum(most + 1, height - 2);
    while (y < height - 2 && most[y] < highest) y++;
    float limit = best[wanted - 1].value;
    if (!(highest > 0 && highest >= limit)) return;
    most[y]          = 0;
    const float *row = plane + y * c->stride;
    for (int64_t x = 1; x < width - 1; x += 4) {
      const float *at = row + x;
      weir__float4 v  = weir__load4(at);
      weir__int4   is = (v >= limit) & (v > weir__load4(at - 1)) & (v >= weir__load4(at + 1)) &
                      (v > weir__load4(at - c->stride)) & (v >= weir__load4(at + c->stride));
      if (!any4(is)) continue;
      for (int64_t i = 0; i < 4 && x + i < width - 1; i++)
        if (at[i] > 0 && is_local_maximum(at + i, c->stride)) insert(best, wanted, (peak){at[i], y, x + i});
    }
  }
}

/* ---- sub-pixel position; v[1][1] is the peak ---- */

/* Through three points: a Gaussian where all are positive, else a parabola. */
static double three_points(double before, double at, double after) {
  if (before > 0 && at > 0 && after > 0) before = log(before), at = log(at), after = log(after);
  double curvature = 2 * at - before - after;
  if (!(curvature > 0)) return 0;
  double offset = 0.5 * (after - before) / curvature;
  return offset < -1 ? -1 : offset > 1 ? 1 : offset;
}

static void gauss3(double v[3][3], double offset[2]) {
  offset[0] = three_points(v[0][1], v[1][1], v[2][1]);
  offset[1] = three_points(v[1][0], v[1][1], v[1][2]);
}

static void centroid(double v[3][3], double offset[2]) {
  double sum = 0, y = 0, x = 0;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      double w = v[i][j] > 0 ? v[i][j] : 0;
      sum += w, y += w * (i - 1), x += w * (j - 1);
    }
  offset[0] = y / sum;
  offset[1] = x / sum;
}

enum { TERMS = 6 }; /* of log v = p0 + p1 y + p2 x + p3 y^2 + p4 x^2 + p5 x y */

/* Cholesky's factors in place, then the solution in r; false: not positive definite. */
static bool solve(double m[TERMS][TERMS], double r[TERMS]) {
  for (int i = 0; i < TERMS; i++) {
    for (int j = 0; j <= i; j++) {
      double sum = m[i][j];
      for (int k = 0; k < j; k++) sum -= m[i][k] * m[j][k];
      if (i != j) m[i][j] = sum / m[j][j];
      else if (sum > 1e-9 * m[i][i]) m[i][i] = sqrt(sum);
      else return false;
    }
    for (int k = 0; k < i; k++) r[i] -= m[i][k] * r[k];
    r[i] /= m[i][i];
  }
  for (int i = TERMS - 1; i >= 0; i--) {
    for (int k = i + 1; k < TERMS; k++) r[i] -= m[k][i] * r[k];
    r[i] /= m[i][i];
  }
  return true;
}

/* A Gaussian with any axes, by least squares of the logarithms. Errors of the values are of one size, those of their
 * logarithms go as 1 / v: hence the weights v^2. */
static bool gauss2d(double v[3][3], double offset[2]) {
  double m[TERMS][TERMS] = {{0}}, r[TERMS] = {0};
  for (int i = 0; i < 9; i++) {
    double y = i / 3 - 1, x = i % 3 - 1, value = v[i / 3][i % 3] / v[1][1];
    if (!(value > 0)) continue;
    double term[TERMS] = {1, y, x, y * y, x * x, x * y}, weight = value * value, l = log(value);
    for (int j = 0; j < TERMS; j++) {
      for (int k = 0; k <= j; k++) m[j][k] += weight * term[j] * term[k];
      r[j] += weight * term[j] * l;
    }
  }
  if (!solve(m, r)) return false;
  double determinant = 4 * r[3] * r[4] - r[5] * r[5];
  if (!(r[3] < 0 && determinant > 0)) return false; /* no maximum */
  offset[0] = (r[5] * r[2] - 2 * r[4] * r[1]) / determinant;
  offset[1] = (r[5] * r[1] - 2 * r[3] * r[2]) / determinant;
  return fabs(offset[0]) <= 1 && fabs(offset[1]) <= 1;
}

static void fit(const weir__piv_correlator *c, const float *plane, const peak *p, double offset[2]) {
  double v[3][3];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++)
      v[i][j] = (double)plane[(p->y + i - 1) * c->stride + p->x + j - 1] * (double)c->unbias[0][p->y + i - 1] *
                (double)c->unbias[1][p->x + j - 1];
  if (c->settings.subpixel == WEIR__PIV_CENTROID) centroid(v, offset);
  else if (c->settings.subpixel != WEIR__PIV_GAUSS2D || !gauss2d(v, offset)) gauss3(v, offset);
}

void weir__piv_peaks(const weir__piv_correlator *c, const float *plane, weir__piv_vector *vector) {
  const weir__piv_settings *s = &c->settings;
  peak                      best[WEIR__PIV_PEAKS];
  int                       wanted = s->peaks < 2 ? 2 : s->peaks;
  find(c, plane, wanted, best);
  weir__piv_no_vector(vector, WEIR__PIV_NO_PEAK);
  if (!(best[0].value > 0)) return;
  for (int k = 0; k < s->peaks && best[k].value > 0; k++) {
    double offset[2];
    fit(c, plane, &best[k], offset);
    vector->dy[k]    = (float)((double)(best[k].y - s->search[0]) + offset[0]);
    vector->dx[k]    = (float)((double)(best[k].x - s->search[1]) + offset[1]);
    vector->value[k] = best[k].value < 1 ? best[k].value : 1; /* rounding may lead beyond */
  }
  vector->ratio = best[1].value > 0 ? best[0].value / best[1].value : INFINITY;
  vector->flag  = WEIR__PIV_VALID;
}
