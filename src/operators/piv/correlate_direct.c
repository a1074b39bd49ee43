/* Direct correlation at few shifts, for images that have been moved onto each other: the zero-normalised coefficient of
 * the window in a and the one in b at that shift, whose pixels, mean and variance are taken where it lies; and of the
 * window in b and the one in a at the opposite shift. The mean of both stands in the plane: so it is symmetric where
 * the images are equal, and what a shifted window gains and loses at its edges does not move the peak (on synthetic
 * pairs without noise this makes the random error four times smaller).
 *
 * Windows overlap, and share the sums of the blocks they are made of: correlate_blocks.c. Windows with masked pixels,
 * with weights, or with little contrast for their distance from the level pixels are measured from there, are done one
 * by one. */
#include "operators/piv/correlate_blocks.h"
#include <math.h>

void weir__piv_direct_create(weir__piv_correlator *c) { weir__piv_blocks_create(c); }

static int64_t one_by_one_floats(const weir__piv_correlator *c) {
  const weir__piv_settings *s      = &c->settings;
  int64_t                   pixels = weir__piv_round16(s->grid.window[0] * (s->grid.window[1] + 3));
  int64_t                   around =
      weir__piv_round16((s->grid.window[0] + 2 * s->search[0]) * (s->grid.window[1] + 2 * s->search[1] + 3));
  return 2 * pixels + 2 * around + weir__piv_plane_size(c);
}

size_t weir__piv_direct_scratch(const weir__piv_correlator *c, int64_t columns) {
  weir__piv_blocks r;
  (void)columns; /* the grid tells more */
  return (size_t)(weir__piv_blocks_lay_out(c, NULL, &r) + one_by_one_floats(c)) * sizeof(float);
}

static const uint8_t *mask_row(const weir__piv_place *p, int64_t y) {
  return p->mask + (weir__piv_clamp(y, p->a->y0, p->a->y0 + p->a->rows - 1) - p->a->y0) * p->a->columns;
}

/* ---- windows one by one ---- */

/* Window of an image with `reach` around it, less the level; valid[]: weights, 0 for masked pixels. */
static void cut_out(const weir__piv_place *p, const weir__piv_strip *image, const int64_t n[2], const int64_t reach[2],
                    const float *weight, float level, float *to, float *valid) {
  int64_t width = n[1] + 2 * reach[1];
  for (int64_t y = -reach[0]; y < n[0] + reach[0]; y++, to += width, valid += width) {
    weir__piv_copy_row(image, p->y + y, p->x - reach[1], width, level, to);
    const uint8_t *m = p->mask ? mask_row(p, p->y + y) : NULL;
    for (int64_t x = 0; x < width; x++) {
      bool masked = m && m[weir__piv_clamp(p->x - reach[1] + x, 0, p->a->columns - 1)] == 1;
      valid[x]    = masked ? 0 : weight ? weight[y * n[1] + x] * weight[y * n[1] + x] : 1;
      if (masked) to[x] = 0;
    }
  }
}

/* Mean over what is valid, and the energy of what differs from it. */
static double mean_of(int64_t n, const float *x, const float *valid, double *energy) {
  double weights = 0, sum = 0, square = 0;
  for (int64_t i = 0; i < n; i++) weights += (double)valid[i], sum += (double)valid[i] * (double)x[i];
  double mean = sum / weights;
  for (int64_t i = 0; i < n; i++) {
    double d = (double)x[i] - mean;
    square += (double)valid[i] * d * d;
  }
  *energy = square;
  return mean;
}

enum { W, A, B, AA, BB, AB, SUMS };

/* Pearson's coefficient where both pixels are valid; float32 within a row, float64 from row to row. */
static float coefficient(const int64_t n[2], int64_t width, const float *a, const float *wa, const float *b,
                         const float *wb) {
  double sum[SUMS] = {0};
  for (int64_t y = 0; y < n[0]; y++, a += n[1], wa += n[1], b += width, wb += width) {
    weir__float4 s[SUMS] = {{0}};
    for (int64_t x = 0; x < n[1]; x += 4) {
      weir__float4 f = {0}, g = {0}, w = {0}, v = {0};
      size_t       bytes = (size_t)(n[1] - x < 4 ? n[1] - x : 4) * sizeof *a;
      if (bytes == sizeof f)
        f = weir__load4(a + x), g = weir__load4(b + x), w = weir__load4(wa + x), v = weir__load4(wb + x);
      else memcpy(&f, a + x, bytes), memcpy(&g, b + x, bytes), memcpy(&w, wa + x, bytes), memcpy(&v, wb + x, bytes);
      w *= v;
      v = w * f;
      s[W] += w, s[A] += v, s[AA] += v * f, s[AB] += v * g;
      v = w * g;
      s[B] += v, s[BB] += v * g;
    }
    for (int k = 0; k < SUMS; k++) sum[k] += (double)weir__sum4(s[k]);
  }
  double va = sum[AA] - sum[A] * sum[A] / sum[W], vb = sum[BB] - sum[B] * sum[B] / sum[W];
  double product = va * vb;
  return va > 1e-6 * sum[AA] && vb > 1e-6 * sum[BB] && product > 0
             ? (float)((sum[AB] - sum[A] * sum[B] / sum[W]) / sqrt(product))
             : 0;
}

/* Into a plane: the coefficients of the window in a and those in b; `back`: that is the second of both ways. */
static void put(const weir__piv_correlator *c, bool back, int64_t i, int64_t j, float value, float *plane) {
  if (!back) {
    plane[i * c->stride + j] = value;
    return;
  }
  float *at = &plane[(weir__piv_shifts(c, 0) - 1 - i) * c->stride + weir__piv_shifts(c, 1) - 1 - j];
  *at       = 0.5F * (*at + value);
}

/* One way. */
static weir__piv_flag one_plane(const weir__piv_correlator *c, const weir__piv_place *p, bool back, float *room,
                                float *plane) {
  const weir__piv_settings *s = &c->settings;
  const int64_t            *n = s->grid.window, none[2] = {0, 0};
  int64_t                   pixels = n[0] * n[1], width = n[1] + 2 * s->search[1];
  int64_t                   around = (n[0] + 2 * s->search[0]) * width;
  float                    *a = room, *wa = a + pixels, *b = wa + pixels, *wb = b + around;
  double                    energy[2], level[2];
  cut_out(p, p->b, n, none, c->weight, 0, b, wa);
  level[1] = mean_of(pixels, b, wa, &energy[1]);
  cut_out(p, p->a, n, none, c->weight, 0, a, wa);
  level[0] = mean_of(pixels, a, wa, &energy[0]);
  if (!weir__piv_has_signal(energy[0], (double)pixels, level[0]) ||
      !weir__piv_has_signal(energy[1], (double)pixels, level[1]))
    return WEIR__PIV_NO_SIGNAL;
  for (int64_t i = 0; i < pixels; i++) a[i] = wa[i] > 0 ? a[i] - (float)level[0] : 0;
  cut_out(p, p->b, n, s->search, NULL, (float)level[1], b, wb);
  for (int64_t i = 0; i < weir__piv_shifts(c, 0); i++)
    for (int64_t j = 0; j < weir__piv_shifts(c, 1); j++)
      put(c, back, i, j, coefficient(n, width, a, wa, b + i * width + j, wb + i * width + j), plane);
  return WEIR__PIV_VALID;
}

static weir__piv_place other_way(const weir__piv_place *p) {
  return (weir__piv_place){p->b, p->a, p->mask, p->y, p->x};
}

static weir__piv_flag one_window(const weir__piv_correlator *c, const weir__piv_place *p, float *room, float *plane) {
  weir__piv_place other = other_way(p);
  bool            any;
  weir__piv_flag  flag = weir__piv_masked(c, p, &any);
  if (!flag) flag = one_plane(c, p, false, room, plane);
  if (!flag) flag = one_plane(c, &other, true, room, plane);
  return flag;
}

/* ---- blocks ---- */

/* What pixels are measured from in a row of blocks: near the mean of a's row in its middle. */
static float level_of(const weir__piv_place *p, int64_t y) {
  const float   *row = weir__piv_row(p->a, y, 0);
  const uint8_t *m   = p->mask ? mask_row(p, y) : NULL;
  double         sum = 0, count = 0;
  for (int64_t x = 0; x < p->a->columns; x++) {
    if ((m && m[x] == 1) || !(fabsf(row[x]) < 1e15F)) continue;
    sum += (double)row[x], count += 1;
  }
  return count > 0 ? (float)(sum / count) : 0;
}

/* Whether a window's plane can be used: nothing masked within its reach, all values told. */
static bool is_good(const weir__piv_correlator *c, const weir__piv_place *p, const float *plane) {
  const weir__piv_settings *s = &c->settings;
  for (int64_t i = 0; i < weir__piv_shifts(c, 0); i++)
    for (int64_t j = 0; j < weir__piv_shifts(c, 1); j++)
      if (isnan(plane[i * c->stride + j])) return false;
  if (!p->mask) return true;
  int64_t from = weir__piv_clamp(p->x - s->search[1], 0, p->a->columns - 1);
  int64_t end  = weir__piv_clamp(p->x + s->grid.window[1] + s->search[1], 1, p->a->columns);
  for (int64_t y = -s->search[0]; y < s->grid.window[0] + s->search[0]; y++)
    if (memchr(mask_row(p, p->y + y) + from, 1, (size_t)(end - from))) return false;
  return true;
}

/* The rows of blocks that a row of windows needs and the ring does not have yet. Returns the first. */
static int64_t shared_row(const weir__piv_correlator *c, const weir__piv_place *p, int64_t row, int64_t *done,
                          const weir__piv_blocks *r, float *level) {
  const weir__piv_grid *g     = &c->settings.grid;
  int64_t               first = row * (g->step[0] / c->block[0]);
  if (*done < first) *done = first;
  for (; *done < first + r->ring; ++*done) {
    int64_t slot = *done % r->ring, y = g->first[0] + *done * c->block[0];
    level[slot] = level_of(p, y + c->block[0] / 2);
    weir__piv_blocks_row(c, p, y, level[slot], slot, r);
  }
  return first;
}

void weir__piv_direct_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                                const uint8_t *mask, int64_t row, int64_t rows, const weir__piv_target *to,
                                float *scratch) {
  const weir__piv_grid *g    = &c->settings.grid;
  int64_t               done = -1, first = 0;
  float                 level[WEIR__PIV_WINDOW_MOST / WEIR__PIV_SMALLEST_BLOCK]; /* of the rows in the ring */
  weir__piv_blocks      r;
  float                *room  = scratch + weir__piv_blocks_lay_out(c, scratch, &r);
  float                *plane = room + one_by_one_floats(c) - weir__piv_plane_size(c);
  memset(plane, 0, (size_t)weir__piv_plane_size(c) * sizeof *plane); /* what lies between rows is looked at, too */
  for (int64_t j = row; j < row + rows; j++) {
    weir__piv_place place = {a, b, mask, g->first[0] + j * g->step[0], 0};
    if (r.ring) first = shared_row(c, &place, j, &done, &r, level);
    for (int64_t i = 0; i < g->count[1]; i++) {
      place.x = g->first[1] + i * g->step[1];
      if (r.ring) weir__piv_blocks_plane(c, &r, first, level, i, plane);
      weir__piv_found found = {.place = &place, .plane = plane};
      if (!r.ring || !is_good(c, &place, plane)) found.flag = one_window(c, &place, room, plane);
      weir__piv_put(c, &found, to, (j - row) * g->count[1] + i);
    }
  }
}
