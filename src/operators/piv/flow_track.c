/* Following one window through the levels. See flow.h for the method. */
#include "core/simd.h"
#include "operators/piv/flow.h"
#include <math.h>
#include <string.h>

enum { LANES = 8 };

/* ---- a window of a plane ---- */

/* Where the window lies in a plane: its first pixel is `whole` + `part`; rows and columns from .. end - 1 of it are
 * within. */
typedef struct place {
  int64_t whole[2], from[2], end[2];
  double  part[2];
} place;

static place place_at(const weir__flow_plane *plane, int64_t window, double y, double x) {
  const double centre[2] = {y, x};
  place        p;
  for (int k = 0; k < 2; k++) {
    double first = centre[k] - 0.5 * (double)(window - 1), most = (double)plane->size[k];
    if (!(first > -2 * (double)window && first < most + (double)window)) first = most + 1; /* all beyond */
    double  low = floor(first);
    int64_t end = plane->size[k] - (int64_t)low - (first > low ? 1 : 0);
    p.whole[k]  = (int64_t)low;
    p.part[k]   = first - low;
    p.from[k]   = low < 0 ? -(int64_t)low : 0;
    p.end[k]    = end > window ? window : end;
    if (p.from[k] > window) p.from[k] = window;
    if (p.end[k] < p.from[k]) p.end[k] = p.from[k];
  }
  return p;
}

static place common(const place *a, const place *b) {
  place p = *b;
  for (int k = 0; k < 2; k++) {
    if (a->from[k] > p.from[k]) p.from[k] = a->from[k];
    if (a->end[k] < p.end[k]) p.end[k] = a->end[k];
    if (p.end[k] < p.from[k]) p.end[k] = p.from[k];
  }
  return p;
}

static bool same(const place *a, const place *b) {
  return !memcmp(a->from, b->from, sizeof a->from) && !memcmp(a->end, b->end, sizeof a->end);
}

static int64_t area(const place *p) { return (p->end[0] - p->from[0]) * (p->end[1] - p->from[1]); }

/* Weights of the four coefficients around, and their derivatives. */
static void cubic(double t, float value[4], float slope[4]) {
  double u = 1 - t;
  value[0] = (float)(u * u * u / 6), value[3] = (float)(t * t * t / 6);
  value[1] = (float)((4 - 6 * t * t + 3 * t * t * t) / 6), value[2] = (float)((4 - 6 * u * u + 3 * u * u * u) / 6);
  slope[0] = (float)(-0.5 * u * u), slope[3] = (float)(0.5 * t * t);
  slope[1] = (float)(0.5 * t * (3 * t - 4)), slope[2] = (float)(-0.5 * u * (3 * u - 4));
}

WEIR__INLINE void blend_rows(const float *row, int64_t stride, const float w[4], int64_t n, float *restrict out) {
  const float *r1 = row + stride, *r2 = r1 + stride, *r3 = r2 + stride;
  for (int64_t x = 0; x < n; x++) out[x] = (w[0] * row[x] + w[1] * r1[x]) + (w[2] * r2[x] + w[3] * r3[x]);
}

WEIR__INLINE void blend_columns(const float *line, const float w[4], int64_t n, float *restrict out) {
  for (int64_t x = 0; x < n; x++)
    out[x] = (w[0] * line[x] + w[1] * line[x + 1]) + (w[2] * line[x + 2] + w[3] * line[x + 3]);
}

/* What a window looks like, in rows of `stride`; what is beyond the plane is left alone. gy, gx may be NULL. */
WEIR__WIDE static void sample(const weir__flow_plane *plane, const place *p, int64_t stride, float *line, float *value,
                              float *gy, float *gx) {
  float   wy[4], sy[4], wx[4], sx[4];
  int64_t across = plane->stride, n = p->end[1] - p->from[1];
  cubic(p->part[0], wy, sy);
  cubic(p->part[1], wx, sx);
  for (int64_t y = p->from[0]; y < p->end[0]; y++) {
    const float *row = plane->coefficient + (p->whole[0] + y) * across + p->whole[1] + p->from[1];
    int64_t      at  = y * stride + p->from[1];
    blend_rows(row, across, wy, n + 3, line);
    blend_columns(line, wx, n, value + at);
    if (!gx) continue;
    blend_columns(line, sx, n, gx + at);
    blend_rows(row, across, sy, n + 3, line);
    blend_columns(line, wx, n, gy + at);
  }
}

/* ---- sums over a window ---- */

typedef struct windows {
  int64_t rows, stride;  /* of all arrays; columns beyond the window are 0 */
  float  *a, *gy, *gx;   /* the window of a, less its mean, and its gradient */
  float  *use;           /* weight of each pixel */
  float  *w, *wgy, *wgx; /* weights, and with them the gradient, where both windows are within */
  float  *b, *line;
} windows;

static windows lay_out(int64_t window, char *base, size_t *bytes) {
  windows w    = {.rows = window, .stride = (window + LANES - 1) / LANES * LANES};
  size_t  used = 0, plane = (size_t)(w.rows * w.stride) * sizeof(float);
  float **all[] = {&w.a, &w.gy, &w.gx, &w.use, &w.w, &w.wgy, &w.wgx, &w.b};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) *all[k] = weir__piv_take(base, &used, plane);
  w.line = weir__piv_take(base, &used, (size_t)(w.stride + 4) * sizeof(float));
  if (bytes) *bytes = used;
  return w;
}

size_t weir__flow_track_scratch(int64_t window) {
  size_t bytes;
  lay_out(window, NULL, &bytes);
  return bytes;
}

/* Lanes first, in the order that is written: the same bits on any machine. */
#define TOTAL(v)                                                                                                       \
  (((double)(v)[0] + (double)(v)[1]) + ((double)(v)[2] + (double)(v)[3]) + ((double)(v)[4] + (double)(v)[5]) +         \
   ((double)(v)[6] + (double)(v)[7]))

/* Of a and its gradient, weighted. */
typedef struct sums {
  double w, x, y, xx, xy, yy, a, aa, ax, ay;
} sums;

WEIR__WIDE static void sum_template(const windows *win, sums *out) {
  weir__float8 w = {0}, x = {0}, y = {0}, xx = {0}, xy = {0}, yy = {0}, a = {0}, aa = {0}, ax = {0}, ay = {0};
  for (int64_t i = 0; i < win->rows * win->stride; i += LANES) {
    weir__float8 weight = weir__load8(win->w + i), value = weir__load8(win->a + i), wx = weir__load8(win->wgx + i);
    weir__float8 wy = weir__load8(win->wgy + i), gx = weir__load8(win->gx + i), gy = weir__load8(win->gy + i);
    w += weight, x += wx, y += wy;
    xx += wx * gx, xy += wx * gy, yy += wy * gy;
    a += weight * value, aa += weight * value * value;
    ax += wx * value, ay += wy * value;
  }
  *out =
      (sums){TOTAL(w), TOTAL(x), TOTAL(y), TOTAL(xx), TOTAL(xy), TOTAL(yy), TOTAL(a), TOTAL(aa), TOTAL(ax), TOTAL(ay)};
}

typedef struct sums_b {
  double b, bb, bx, by;
} sums_b;

/* `mean` is taken from b first: that of a, so that little of it is left. */
WEIR__WIDE static void sum_moved(const windows *win, float mean, sums_b *out) {
  weir__float8 b = {0}, bb = {0}, bx = {0}, by = {0};
  for (int64_t i = 0; i < win->rows * win->stride; i += LANES) {
    weir__float8 weight = weir__load8(win->w + i), value = weir__load8(win->b + i) - mean;
    b += weight * value, bb += weight * value * value;
    bx += weir__load8(win->wgx + i) * value, by += weir__load8(win->wgy + i) * value;
  }
  *out = (sums_b){TOTAL(b), TOTAL(bb), TOTAL(bx), TOTAL(by)};
}

/* ---- a level ---- */

typedef struct level {
  const weir__flow_settings *s;
  const weir__flow_plane    *a, *b;
  windows                    win;
  place                      at, both; /* the window in a; where weights are not 0 */
  double                     y, x, mean;
  sums                       sums;
} level;

static void find_use(level *l) {
  const weir__flow_plane *a = l->a;
  for (int64_t r = l->at.from[0]; r < l->at.end[0]; r++)
    for (int64_t c = l->at.from[1]; c < l->at.end[1]; c++) {
      float *use = l->win.use + r * l->win.stride + c;
      *use       = 1;
      if (!a->valid) continue;
      int64_t y = l->at.whole[0] + r + (l->at.part[0] >= 0.5), x = l->at.whole[1] + c + (l->at.part[1] >= 0.5);
      *use = a->valid[y * a->valid_stride + x];
    }
}

/* The window of a, less its mean, with its gradient. */
static void load_template(level *l) {
  windows *w     = &l->win;
  size_t   plane = (size_t)(w->rows * w->stride) * sizeof(float);
  double   sum = 0, weights = 0;
  memset(w->a, 0, plane), memset(w->gy, 0, plane), memset(w->gx, 0, plane), memset(w->use, 0, plane);
  memset(w->b, 0, plane);
  l->at = place_at(l->a, w->rows, l->y, l->x);
  sample(l->a, &l->at, w->stride, w->line, w->a, w->gy, w->gx);
  find_use(l);
  for (int64_t i = 0; i < w->rows * w->stride; i++) sum += (double)(w->use[i] * w->a[i]), weights += (double)w->use[i];
  l->mean = weights > 0 ? sum / weights : 0;
  for (int64_t r = l->at.from[0]; r < l->at.end[0]; r++)
    for (int64_t c = l->at.from[1]; c < l->at.end[1]; c++) w->a[r * w->stride + c] -= (float)l->mean;
}

/* Weights are 0 but where the place is within, too. */
static void weigh(level *l, const place *both) {
  windows *w     = &l->win;
  size_t   plane = (size_t)(w->rows * w->stride) * sizeof(float);
  memset(w->w, 0, plane), memset(w->wgy, 0, plane), memset(w->wgx, 0, plane);
  for (int64_t r = both->from[0]; r < both->end[0]; r++)
    for (int64_t i = r * w->stride + both->from[1]; i < r * w->stride + both->end[1]; i++) {
      w->w[i]   = w->use[i];
      w->wgy[i] = w->use[i] * w->gy[i];
      w->wgx[i] = w->use[i] * w->gx[i];
    }
  l->both = *both;
  sum_template(w, &l->sums);
}

/* G: with brightness made equal, the mean of the gradient tells nothing. */
static void matrix(const level *l, double *xx, double *xy, double *yy) {
  const sums *t = &l->sums;
  double      n = l->s->normalise ? 1 / t->w : 0;
  *xx = t->xx - t->x * t->x * n, *xy = t->xy - t->x * t->y * n, *yy = t->yy - t->y * t->y * n;
}

static double variance(double squares, double sum, double weights) {
  double v = squares / weights - sum / weights * (sum / weights);
  return v > 0 ? v : 0;
}

/* The smaller eigenvalue of the mean g g', in units of the variance. */
static double eigenvalue(const level *l) {
  double xx, xy, yy, v = variance(l->sums.aa, l->sums.a, l->sums.w);
  if (!(v > 1e-10 * l->mean * l->mean)) return 0; /* nothing but what rounding leaves of a constant */
  matrix(l, &xx, &xy, &yy);
  double smaller = 0.5 * (xx + yy - hypot(xx - yy, 2 * xy));
  return smaller > 0 ? smaller / (l->sums.w * v) : 0;
}

/* One step of the iteration; false: there is none. */
static bool step(level *l, double dy, double dx, double *sy, double *sx) {
  place  b = place_at(l->b, l->win.rows, l->y + dy, l->x + dx), both = common(&l->at, &b);
  sums_b m;
  if (2 * area(&both) < area(&l->at)) return false;
  if (!same(&both, &l->both)) weigh(l, &both);
  sample(l->b, &both, l->win.stride, l->win.line, l->win.b, NULL, NULL);
  sum_moved(&l->win, (float)l->mean, &m);
  const sums *t    = &l->sums;
  double      gain = 1, offset = 0, xx, xy, yy;
  if (!(t->w > 0)) return false;
  if (l->s->normalise) {
    double va = variance(t->aa, t->a, t->w), vb = variance(m.bb, m.b, t->w);
    if (!(vb > 0)) return false;
    gain   = sqrt(va / vb);
    offset = (t->a - gain * m.b) / t->w;
  }
  double ex = t->ax - offset * t->x - gain * m.bx, ey = t->ay - offset * t->y - gain * m.by;
  matrix(l, &xx, &xy, &yy);
  double determinant = xx * yy - xy * xy;
  if (!(determinant > 0)) return false;
  *sx = (yy * ex - xy * ey) / determinant;
  *sy = (xx * ey - xy * ex) / determinant;
  return isfinite(*sx) && isfinite(*sy);
}

/* From d on; false: it went astray, and d is as before. */
static bool iterate(level *l, double d[2]) {
  double at[2] = {d[0], d[1]}, s[2] = {0, 0}, far = 0.5 * (double)l->s->window;
  for (int64_t k = 0; k < l->s->iterations; k++) {
    if (!step(l, at[0], at[1], &s[0], &s[1])) return false;
    at[0] += s[0], at[1] += s[1];
    if (!(hypot(at[0] - d[0], at[1] - d[1]) <= far)) return false;
    if (hypot(s[0], s[1]) < l->s->epsilon) break;
  }
  d[0] = at[0], d[1] = at[1];
  return true;
}

void weir__flow_track(const weir__flow_settings *settings, const weir__flow_plane *a, const weir__flow_plane *b,
                      double y, double x, weir__flow_vector *vector, void *scratch) {
  double d[2] = {0, 0}, all = (double)(settings->window * settings->window);
  level  l = {.s = settings, .win = lay_out(settings->window, scratch, NULL)};
  *vector  = (weir__flow_vector){.dy = NAN, .dx = NAN, .eigenvalue = NAN, .flag = WEIR__PIV_MASKED};
  for (int k = settings->levels - 1; k >= 0; k--) {
    l.a = a + k, l.b = b + k;
    l.y = ldexp(y, -k), l.x = ldexp(x, -k);
    d[0] *= 2, d[1] *= 2;
    load_template(&l);
    weigh(&l, &l.at);
    bool   enough  = 2 * l.sums.w >= (k ? 0.25 * all : all); /* coarse windows reach beyond the image */
    double smaller = enough ? eigenvalue(&l) : NAN;
    bool   found   = enough && smaller > 0 && smaller >= settings->eigenvalue && iterate(&l, d);
    if (k || !enough) continue;
    vector->eigenvalue = smaller;
    place  moved       = place_at(l.b, settings->window, l.y + d[0], l.x + d[1]);
    double left        = (double)area(&moved);
    if (!(smaller > 0 && smaller >= settings->eigenvalue)) vector->flag = WEIR__PIV_NO_SIGNAL;
    else if (2 * left < all) vector->flag = WEIR__PIV_DISPLACEMENT;
    else if (!found) vector->flag = WEIR__PIV_NO_PEAK;
    else *vector = (weir__flow_vector){d[0], d[1], smaller, WEIR__PIV_VALID};
  }
}
