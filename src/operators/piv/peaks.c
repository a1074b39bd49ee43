/* The peaks of a correlation plane, and where they are to a fraction of a pixel. */
#include "core/simd.h"
#include "operators/piv/correlate_parts.h"
#include <math.h>

/* Local maxima above zero, in descending order; among equals the first in the order of memory. */
typedef struct peak {
  float   value;
  int64_t y, x;
} peak;

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
WEIR__INLINE float row_maximum(const float *x, int64_t n) {
  if (n < 8) {
    float most = x[0];
    for (int64_t i = 1; i < n; i++) most = larger(most, x[i]);
    return most;
  }
  weir__float8 m = weir__load8(x + n - 8);
  for (int64_t i = 0; i + 8 < n; i += 8) {
    weir__float8 v  = weir__load8(x + i);
    weir__bits8  is = v > m;
    m               = (weir__float8)((is & (weir__bits8)v) | (~is & (weir__bits8)m));
  }
  float l = larger(larger(m[0], m[4]), larger(m[1], m[5])), r = larger(larger(m[2], m[6]), larger(m[3], m[7]));
  return larger(l, r);
}

/* Row by row into most[], but of the first and the last. Returns the row of the highest. */
WEIR__WIDE static int64_t row_maxima(const float *plane, int64_t stride, int64_t height, int64_t width, float *most) {
  int64_t highest = 1;
  for (int64_t y = 1; y < height - 1; y++) {
    most[y] = row_maximum(plane + y * stride + 1, width - 2);
    if (most[y] > most[highest]) highest = y;
  }
  return highest;
}

/* Against those before in the order of memory a peak must be higher, so that a plateau has one. Looks at the values
 * from row + x on, eight by eight, up to `end`, for peaks of at least `limit`. Returns where eight are that hold some,
 * and which in *found (bits), or `end` or beyond. */
WEIR__WIDE static int64_t next_peaks(const float *row, int64_t stride, int64_t x, int64_t end, float limit,
                                     unsigned *found) {
  static const weir__bits8 bit = {1, 2, 4, 8, 16, 32, 64, 128};
  for (; x < end; x += 8) {
    const float *at = row + x, *up = at - stride, *down = at + stride;
    weir__float8 v  = weir__load8(at);
    weir__bits8  is = (v >= limit) & (v > 0) & (v > weir__load8(at - 1)) & (v >= weir__load8(at + 1)) &
                     (v > weir__load8(up - 1)) & (v > weir__load8(up)) & (v > weir__load8(up + 1)) &
                     (v >= weir__load8(down - 1)) & (v >= weir__load8(down)) & (v >= weir__load8(down + 1)) & bit;
    uint64_t any[4];
    memcpy(any, &is, sizeof any);
    any[0] |= any[1] | any[2] | any[3];
    *found = (unsigned)(any[0] | any[0] >> 32) & (end - x < 8 ? (1U << (end - x)) - 1 : 0xff);
    if (*found) break;
  }
  return x;
}

static void find_in_row(const weir__piv_correlator *c, const float *plane, int64_t y, int wanted, peak *best) {
  int64_t      end = 2 * c->settings.search[1];
  const float *row = plane + y * c->stride;
  for (int64_t x = 1;; x += 8) {
    unsigned found = 0;
    x              = next_peaks(row, c->stride, x, end, best[wanted - 1].value, &found);
    if (x >= end) return;
    for (; found; found &= found - 1) {
      int64_t i = x + __builtin_ctz(found);
      insert(best, wanted, (peak){row[i], y, i});
    }
  }
}

/* Only rows whose maximum is not below the lowest peak found so far can hold a higher one. Beginning with the highest,
 * one gets by with few rows. */
static void find(const weir__piv_correlator *c, const float *plane, int wanted, peak *best) {
  int64_t height = 2 * c->settings.search[0] + 1, width = 2 * c->settings.search[1] + 1;
  float   most[WEIR__PIV_WINDOW_MOST];
  for (int k = 0; k < wanted; k++) best[k] = (peak){0, INT64_MAX, INT64_MAX};
  most[1]         = 0; /* there is that row: one searches at least one pixel far */
  int64_t highest = row_maxima(plane, c->stride, height, width, most);
  if (!(most[highest] > 0)) return;
  find_in_row(c, plane, highest, wanted, best);
  for (int64_t y = 1; y < height - 1; y++)
    if (y != highest && most[y] > 0 && most[y] >= best[wanted - 1].value) find_in_row(c, plane, y, wanted, best);
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

/* What is left at a shift of the overlap that the pixels of a window which are not masked have with themselves; weights
 * are those of the window. */
static double overlap(const weir__piv_correlator *c, const weir__piv_place *p, int64_t dy, int64_t dx) {
  const int64_t *n    = c->settings.grid.window;
  int64_t        left = dx < 0 ? -dx : 0, end = dx > 0 ? n[1] - dx : n[1];
  double         sum = 0;
  for (int64_t y = dy < 0 ? -dy : 0; y < n[0] && y + dy < n[0]; y++) {
    const uint8_t *m = p->mask + (p->y + y - p->a->y0) * p->a->columns + p->x, *o = m + dy * p->a->columns + dx;
    const float   *w = c->weight ? c->weight + y * n[1] : NULL, *v = w ? w + dy * n[1] + dx : NULL;
    for (int64_t x = left; x < end; x++)
      if (m[x] != 1 && o[x] != 1) sum += w ? (double)w[x] * (double)v[x] : 1;
  }
  return sum;
}

static double factor_of(const weir__piv_correlator *c, const weir__piv_place *masked, double whole, int64_t y,
                        int64_t x) {
  if (!masked) return (double)c->unbias[0][y] * (double)c->unbias[1][x];
  double left = overlap(c, masked, y - c->settings.search[0], x - c->settings.search[1]);
  return left > 0.05 * whole ? whole / left : 20; /* of almost nothing, one had better not make much */
}

static void fit(const weir__piv_correlator *c, const float *plane, const weir__piv_place *masked, const peak *p,
                double offset[2]) {
  double v[3][3], whole = masked ? overlap(c, masked, 0, 0) : 1;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      int64_t y = p->y + i - 1, x = p->x + j - 1;
      v[i][j] = (double)plane[y * c->stride + x] * factor_of(c, masked, whole, y, x);
    }
  if (c->settings.subpixel == WEIR__PIV_CENTROID) centroid(v, offset);
  else if (c->settings.subpixel != WEIR__PIV_GAUSS2D || !gauss2d(v, offset)) gauss3(v, offset);
}

void weir__piv_peaks(const weir__piv_correlator *c, const float *plane, const weir__piv_place *masked,
                     weir__piv_vector *vector) {
  const weir__piv_settings *s = &c->settings;
  peak                      best[WEIR__PIV_PEAKS];
  int                       wanted = s->peaks < 2 ? 2 : s->peaks;
  find(c, plane, wanted, best);
  weir__piv_no_vector(vector, WEIR__PIV_NO_PEAK);
  if (!(best[0].value > 0)) return;
  for (int k = 0; k < s->peaks && best[k].value > 0; k++) {
    double offset[2];
    fit(c, plane, masked, &best[k], offset);
    vector->dy[k]    = (float)((double)(best[k].y - s->search[0]) + offset[0]);
    vector->dx[k]    = (float)((double)(best[k].x - s->search[1]) + offset[1]);
    vector->value[k] = best[k].value < 1 ? best[k].value : 1; /* rounding may lead beyond */
  }
  vector->ratio = best[1].value > 0 ? best[0].value / best[1].value : INFINITY;
  vector->flag  = WEIR__PIV_VALID;
}
