/* Values where none were measured, and values on another grid.
 *
 * Filling goes from what is known inwards, in rounds: vectors with three known neighbours of eight or more first, with
 * fewer only where there are no such. All of a round see what was known before it. In the first rounds a value is that
 * of a plane through the known ones of the 5 x 5 around, which continues gradients into small holes and beyond borders
 * by not more than the known values differ; deeper in, it is the mean of the known neighbours, so that nothing grows. A
 * few sweeps of averaging then let values from the two sides of a hole meet. */
#include "operators/piv/piv.h"
#include <math.h>
#include <string.h>

enum { PLANES = 3, SWEEPS = 8, ENOUGH = 3, REACH = 2 };
enum { BLOCKED, UNKNOWN, WAITING, KNOWN, FILLED }; /* WAITING: unknown, and in the list */

typedef struct filling {
  int64_t   ny, nx;
  float    *value;
  uint8_t  *state;
  uint32_t *list, *all; /* at the border of what is known; all that were filled, in order */
  float    *next;       /* values of a round */
  int64_t   waiting, filled;
} filling;

typedef struct range {
  int64_t y0, y1, x0, x1; /* ends included */
} range;

static range around(const filling *f, int64_t i, int64_t reach) {
  int64_t y = i / f->nx, x = i % f->nx;
  return (range){y < reach ? 0 : y - reach, y + reach < f->ny ? y + reach : f->ny - 1, x < reach ? 0 : x - reach,
                 x + reach < f->nx ? x + reach : f->nx - 1};
}

/* Neighbours of eight that are known, and their mean. */
static int known_near(const filling *f, int64_t i, float *mean) {
  range  r   = around(f, i, 1);
  int    n   = 0;
  double sum = 0;
  for (int64_t y = r.y0; y <= r.y1; y++)
    for (int64_t x = r.x0; x <= r.x1; x++) {
      int64_t k = y * f->nx + x;
      if (f->state[k] < KNOWN) continue;
      sum += f->value[k];
      n++;
    }
  *mean = (float)(sum / (n ? n : 1));
  return n;
}

static void wait_around(filling *f, int64_t i) {
  range r = around(f, i, 1);
  for (int64_t y = r.y0; y <= r.y1; y++)
    for (int64_t x = r.x0; x <= r.x1; x++) {
      int64_t k = y * f->nx + x;
      if (f->state[k] != UNKNOWN) continue;
      f->state[k]           = WAITING;
      f->list[f->waiting++] = (uint32_t)k;
    }
}

/* Sums for a plane: weighted by 1 / distance^2, offsets from vector i. */
typedef struct moments {
  int    n;
  double w, y, x, yy, yx, xx, u, uy, ux, low, high;
} moments;

static moments moments_around(const filling *f, int64_t i) {
  moments m = {.low = INFINITY, .high = -INFINITY};
  range   r = around(f, i, REACH);
  for (int64_t j = r.y0; j <= r.y1; j++)
    for (int64_t k = r.x0; k <= r.x1; k++) {
      if (f->state[j * f->nx + k] < KNOWN) continue;
      double u = f->value[j * f->nx + k], y = (double)(j - i / f->nx), x = (double)(k - i % f->nx);
      double w = 1 / (y * y + x * x);
      m.n++;
      m.w += w, m.y += w * y, m.x += w * x, m.yy += w * y * y, m.yx += w * y * x, m.xx += w * x * x;
      m.u += w * u, m.uy += w * u * y, m.ux += w * u * x;
      m.low = u < m.low ? u : m.low, m.high = u > m.high ? u : m.high;
    }
  return m;
}

/* At offset 0 of the plane. Where the known ones lie on a line there is no gradient across it. */
static float from_plane(const filling *f, int64_t i) {
  static const double flat = 1e-9;
  moments             m    = moments_around(f, i);
  double              y = m.y / m.w, x = m.x / m.w, u = m.u / m.w, gy = 0, gx = 0;
  double              yy = m.yy / m.w - y * y, yx = m.yx / m.w - y * x, xx = m.xx / m.w - x * x;
  double              uy = m.uy / m.w - u * y, ux = m.ux / m.w - u * x, det = yy * xx - yx * yx;
  if (det > flat) gy = (uy * xx - ux * yx) / det, gx = (ux * yy - uy * yx) / det;
  else if (yy + xx > flat) gy = uy / (yy + xx), gx = ux / (yy + xx);
  double value = u - gy * y - gx * x, margin = m.high - m.low;
  value = value < m.low - margin ? m.low - margin : value > m.high + margin ? m.high + margin : value;
  return (float)value;
}

/* One round: those in the list with enough known neighbours, or all of it where none has. */
static void fill_round(filling *f, bool plane) {
  float   mean;
  bool    enough = false;
  int64_t n = f->waiting, filled = f->filled;
  for (int64_t i = 0; i < n && !enough; i++) enough = known_near(f, f->list[i], &mean) >= ENOUGH;
  f->waiting = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t k = f->list[i];
    if (enough && known_near(f, k, &mean) < ENOUGH) f->list[f->waiting++] = k;
    else {
      if (!enough) known_near(f, k, &mean);
      f->next[f->filled]  = plane ? from_plane(f, k) : mean;
      f->all[f->filled++] = k;
    }
  }
  for (int64_t i = filled; i < f->filled; i++) {
    f->value[f->all[i]] = f->next[i];
    f->state[f->all[i]] = FILLED;
  }
  for (int64_t i = filled; i < f->filled; i++) wait_around(f, f->all[i]);
}

/* Those that were filled and have all four direct neighbours: their mean. */
static void sweep(filling *f) {
  for (int64_t i = 0; i < f->filled; i++) {
    int64_t k = f->all[i], y = k / f->nx, x = k % f->nx;
    float  *v  = f->value + k;
    f->next[i] = *v;
    if (y == 0 || y + 1 == f->ny || x == 0 || x + 1 == f->nx) continue;
    const uint8_t *s = f->state + k;
    if (s[-f->nx] < KNOWN || s[-1] < KNOWN || s[1] < KNOWN || s[f->nx] < KNOWN) continue;
    f->next[i] = 0.25f * (v[-f->nx] + v[-1] + v[1] + v[f->nx]);
  }
  for (int64_t i = 0; i < f->filled; i++) f->value[f->all[i]] = f->next[i];
}

/* Vectors that masked ones cut off from all that is known: the mean of what is. Nothing known: 0, no displacement. */
static void fill_cut_off(filling *f) {
  double sum = 0, n = 0;
  for (int64_t i = 0; i < f->ny * f->nx; i++)
    if (f->state[i] == KNOWN) sum += f->value[i], n++;
  for (int64_t i = 0; i < f->ny * f->nx; i++)
    if (f->state[i] == UNKNOWN) f->value[i] = (float)(n > 0 ? sum / n : 0);
}

void weir__piv_fill(const weir__piv_grid *grid, float *values, const int8_t *flag, bool all, void *scratch) {
  int64_t n = grid->count[0] * grid->count[1], unknown = 0, known = 0;
  filling f = {.ny = grid->count[0], .nx = grid->count[1], .value = values, .list = scratch};
  f.all     = f.list + n;
  f.next    = (float *)(f.all + n);
  f.state   = (uint8_t *)(f.next + n);
  for (int64_t i = 0; i < n; i++) {
    bool masked = !all && flag && flag[i] == WEIR__PIV_MASKED;
    f.state[i]  = masked ? BLOCKED : isfinite(values[i]) ? KNOWN : UNKNOWN;
    unknown += f.state[i] == UNKNOWN;
    known += f.state[i] == KNOWN;
  }
  if (!unknown) return;
  for (int64_t i = 0; i < n && known; i++) {
    float mean;
    if (f.state[i] != UNKNOWN || !known_near(&f, i, &mean)) continue;
    f.state[i]          = WAITING;
    f.list[f.waiting++] = (uint32_t)i;
  }
  for (int round = 0; f.waiting; round++) fill_round(&f, round < PLANES);
  for (int i = 0; i < SWEEPS; i++) sweep(&f);
  if (f.filled < unknown) fill_cut_off(&f);
}
