/* Direct correlation at few shifts, for images that have been moved onto each other: the zero-normalised coefficient of
 * the window in a and the one in b at that shift, whose pixels, mean and variance are taken where it lies; and of the
 * window in b and the one in a at the opposite shift. The mean of both stands in the plane: so it is symmetric where
 * the images are equal, and what a shifted window gains and loses at its edges does not move the peak (on synthetic
 * pairs without noise this makes the random error four times smaller).
 *
 * Windows overlap, so their sums are put together from those of blocks, which are gcd(window, step) pixels along each
 * axis. For each row of blocks: the sums of a, a^2 over the blocks, and for each shift those of b, b^2 and a b; then
 * those of all windows in that row of blocks. A ring holds as many such rows as a window has. What is computed for a
 * row of blocks depends on that row only, hence not on how rows of windows are shared out.
 *
 * Sums are those of what pixels differ from a level near the row's mean, so that float32 is enough; the rows of a
 * window are put on one level in float64. Windows with masked pixels, with weights, or with little contrast for their
 * distance from that level are done one by one. */
#include "operators/piv/correlate_parts.h"
#include <math.h>

enum { SMALLEST_BLOCK = 4 };

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }
static int64_t shifts_of(const weir__piv_correlator *c, int axis) { return 2 * c->settings.search[axis] + 1; }

void weir__piv_direct_create(weir__piv_correlator *c) {
  const weir__piv_grid *g      = &c->settings.grid;
  bool                  shared = !c->weight;
  for (int k = 0; k < 2; k++) {
    c->block[k] = common_divisor(g->window[k], g->step[k]);
    if (c->block[k] < SMALLEST_BLOCK || g->step[k] > g->window[k]) shared = false;
  }
  if (!shared) c->block[0] = c->block[1] = 0;
}

/* Where things lie in the scratch memory. */
typedef struct rooms {
  int64_t width;   /* of a padded row: the blocks' pixels and the search to both sides */
  int64_t blocks;  /* in a row */
  int64_t columns; /* windows in a row, padded */
  int64_t kinds;   /* of sums: a, a^2, and b, b^2, a b for each shift */
  int64_t ring;    /* rows of blocks in a window */
  float  *a, *b;   /* padded rows of a row of blocks */
  float  *column;  /* sums of b, b^2 over a column of a block */
  float  *block;   /* sums over the blocks */
  float  *product; /* sums of a b over the blocks, for all dx */
  float  *sums;    /* [2][ring][kinds][columns] of windows in a row of blocks; shifted are those in b, those in a */
  float  *planes;  /* [columns] */
  double *total;   /* [5][columns]: a, a^2, b, b^2, a b */
  float  *window;  /* for windows done one by one */
} rooms;

static int64_t one_by_one_floats(const weir__piv_correlator *c) {
  const weir__piv_settings *s      = &c->settings;
  int64_t                   pixels = weir__piv_round16(s->grid.window[0] * (s->grid.window[1] + 3));
  int64_t                   around =
      weir__piv_round16((s->grid.window[0] + 2 * s->search[0]) * (s->grid.window[1] + 2 * s->search[1] + 3));
  return 2 * pixels + 2 * around + weir__piv_plane_size(c);
}

/* Returns the floats that are needed. */
static int64_t lay_out(const weir__piv_correlator *c, float *scratch, rooms *r) {
  const weir__piv_settings *s  = &c->settings;
  const weir__piv_grid     *g  = &s->grid;
  int64_t                   at = 0;
  memset(r, 0, sizeof *r);
  if (c->block[0]) {
    r->ring            = g->window[0] / c->block[0];
    r->blocks          = (g->count[1] - 1) * (g->step[1] / c->block[1]) + g->window[1] / c->block[1];
    r->width           = weir__piv_round16(r->blocks * c->block[1] + 2 * s->search[1]);
    r->columns         = weir__piv_round16(g->count[1]);
    r->kinds           = 2 + 3 * shifts_of(c, 0) * shifts_of(c, 1);
    int64_t sizes[]    = {c->block[0] * r->width,
                          (c->block[0] + 2 * s->search[0]) * r->width,
                          2 * r->width,
                          weir__piv_round16(r->blocks),
                          weir__piv_round16(r->blocks * shifts_of(c, 1)),
                          2 * r->ring * r->kinds * r->columns,
                          r->columns * weir__piv_plane_size(c),
                          2 * 5 * r->columns};
    float **rooms_of[] = {&r->a, &r->b, &r->column, &r->block, &r->product, &r->sums, &r->planes};
    for (int k = 0; k < 8; at += sizes[k++])
      if (k < 7) *rooms_of[k] = scratch ? scratch + at : NULL;
      else r->total = scratch ? (double *)(scratch + at) : NULL;
  }
  r->window = scratch ? scratch + at : NULL;
  return at + one_by_one_floats(c);
}

size_t weir__piv_direct_scratch(const weir__piv_correlator *c, int64_t columns) {
  rooms r;
  (void)columns; /* the grid tells more */
  return (size_t)lay_out(c, NULL, &r) * sizeof(float);
}

static int64_t clamp(int64_t i, int64_t least, int64_t most) { return i < least ? least : i > most ? most : i; }

/* `width` pixels from column x on less `level`; beyond the edges the outermost. */
static void copy_row(const weir__piv_strip *image, int64_t y, int64_t x, int64_t width, float level, float *to) {
  const float *row  = image->pixel + (clamp(y, image->y0, image->y0 + image->rows - 1) - image->y0) * image->columns;
  int64_t      from = clamp(-x, 0, width), end = clamp(image->columns - x, from, width);
  for (int64_t i = 0; i < from; i++) to[i] = row[0] - level;
  for (int64_t i = from; i < end; i++) to[i] = row[x + i] - level;
  for (int64_t i = end; i < width; i++) to[i] = row[image->columns - 1] - level;
}

static const uint8_t *mask_row(const weir__piv_place *p, int64_t y) {
  return p->mask + (clamp(y, p->a->y0, p->a->y0 + p->a->rows - 1) - p->a->y0) * p->a->columns;
}

/* ---- windows one by one ---- */

/* Window of an image with `reach` around it, less the level; valid[]: weights, 0 for masked pixels. */
static void cut_out(const weir__piv_place *p, const weir__piv_strip *image, const int64_t n[2], const int64_t reach[2],
                    const float *weight, float level, float *to, float *valid) {
  int64_t width = n[1] + 2 * reach[1];
  for (int64_t y = -reach[0]; y < n[0] + reach[0]; y++, to += width, valid += width) {
    copy_row(image, p->y + y, p->x - reach[1], width, level, to);
    const uint8_t *m = p->mask ? mask_row(p, p->y + y) : NULL;
    for (int64_t x = 0; x < width; x++) {
      bool masked = m && m[clamp(p->x - reach[1] + x, 0, p->a->columns - 1)] == 1;
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
  float *at = &plane[(shifts_of(c, 0) - 1 - i) * c->stride + shifts_of(c, 1) - 1 - j];
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
  for (int64_t i = 0; i < shifts_of(c, 0); i++)
    for (int64_t j = 0; j < shifts_of(c, 1); j++)
      put(c, back, i, j, coefficient(n, width, a, wa, b + i * width + j, wb + i * width + j), plane);
  return WEIR__PIV_VALID;
}

static weir__piv_place other_way(const weir__piv_place *p) {
  return (weir__piv_place){p->b, p->a, p->mask, p->y, p->x};
}

static void one_window(const weir__piv_correlator *c, const weir__piv_place *p, float *room, weir__piv_vector *vector) {
  float          *plane = room + one_by_one_floats(c) - weir__piv_plane_size(c);
  weir__piv_place other = other_way(p);
  bool            any;
  weir__piv_flag  flag = weir__piv_masked(c, p, &any);
  memset(plane, 0, (size_t)weir__piv_plane_size(c) * sizeof *plane);
  if (!flag) flag = one_plane(c, p, false, room, plane);
  if (!flag) flag = one_plane(c, &other, true, room, plane);
  if (flag) weir__piv_no_vector(vector, flag);
  else weir__piv_peaks(c, plane, vector);
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

/* From sums over the blocks of a row to those over windows, which begin `step` blocks apart and have `count`. */
static void gather(const float *block, int64_t step, int64_t count, int64_t windows, float *sum) {
  for (int64_t i = 0; i < windows; i++) sum[i] = block[i * step];
  for (int64_t k = 1; k < count; k++)
    for (int64_t i = 0; i < windows; i++) sum[i] += block[i * step + k];
}

/* Sums of n neighbours, block after block. */
static void sum_blocks(const float *x, int64_t n, int64_t blocks, float *sum) {
  for (int64_t k = 0; k < blocks; k++, x += n) {
    weir__float4 lanes = {0};
    int64_t      i     = 0;
    for (; i + 4 <= n; i += 4) lanes += weir__load4(x + i);
    float rest = 0;
    for (; i < n; i++) rest += x[i];
    sum[k] = weir__sum4(lanes) + rest;
  }
}

/* Sums of rows and of their squares, column by column. */
static void sum_columns(const float *x, int64_t rows, int64_t width, int64_t columns, float *restrict sum,
                        float *restrict square) {
  memset(sum, 0, (size_t)columns * sizeof *sum);
  memset(square, 0, (size_t)columns * sizeof *square);
  for (int64_t y = 0; y < rows; y++, x += width)
    for (int64_t i = 0; i < columns; i++) sum[i] += x[i], square[i] += x[i] * x[i];
}

/* Sums over one block of a(y, x) b(y, x + d) for `shifts` (a constant where this is inlined) values of d. */
static inline __attribute__((always_inline)) void products(const float *a, const float *b, int64_t width,
                                                           const int64_t n[2], int shifts, float *sum) {
  weir__float4 lanes[8];
  float        rest[8];
  int64_t      whole = n[1] / 4 * 4;
  for (int d = 0; d < shifts; d++) lanes[d] = (weir__float4){0}, rest[d] = 0;
  for (int64_t y = 0; y < n[0]; y++, a += width, b += width) {
    for (int64_t x = 0; x < whole; x += 4) {
      weir__float4 f = weir__load4(a + x);
      for (int d = 0; d < shifts; d++) lanes[d] += f * weir__load4(b + x + d);
    }
    for (int64_t x = whole; x < n[1]; x++)
      for (int d = 0; d < shifts; d++) rest[d] += a[x] * b[x + d];
  }
  for (int d = 0; d < shifts; d++) sum[d] = weir__sum4(lanes[d]) + rest[d];
}

/* As many at once as there are registers for. */
static void products_of(const float *a, const float *b, int64_t width, const int64_t n[2], int64_t shifts, float *sum) {
  for (; shifts >= 8; shifts -= 5, sum += 5, b += 5) products(a, b, width, n, 5, sum);
  switch (shifts) {
  case 7: products(a, b, width, n, 7, sum); break;
  case 6: products(a, b, width, n, 6, sum); break;
  case 5: products(a, b, width, n, 5, sum); break;
  case 4: products(a, b, width, n, 4, sum); break;
  default: products(a, b, width, n, 3, sum);
  }
}

/* The sums of one row of blocks, from pixel row y on. */
static void block_row(const weir__piv_correlator *c, const weir__piv_place *p, int64_t y, float level, const rooms *r,
                      float *sums) {
  const weir__piv_settings *s = &c->settings;
  const weir__piv_grid     *g = &s->grid;
  const int64_t            *n = c->block, *search = s->search;
  int64_t x = g->first[1], step = g->step[1] / n[1], count = g->window[1] / n[1], lags = shifts_of(c, 1);
  int64_t pixels = r->blocks * n[1];
  for (int64_t i = 0; i < n[0]; i++) copy_row(p->a, y + i, x, pixels, level, r->a + i * r->width);
  for (int64_t i = -search[0]; i < n[0] + search[0]; i++)
    copy_row(p->b, y + i, x - search[1], pixels + 2 * search[1], level, r->b + (i + search[0]) * r->width);
  float *square = r->column + r->width;
  sum_columns(r->a, n[0], r->width, pixels, r->column, square);
  for (int k = 0; k < 2; k++, sums += r->columns) {
    sum_blocks(k ? square : r->column, n[1], r->blocks, r->block);
    gather(r->block, step, count, g->count[1], sums);
  }
  for (int64_t dy = 0; dy < shifts_of(c, 0); dy++) {
    const float *b = r->b + dy * r->width;
    sum_columns(b, n[0], r->width, pixels + 2 * search[1], r->column, square);
    for (int64_t k = 0; k < r->blocks; k++)
      products_of(r->a + k * n[1], b + k * n[1], r->width, n, lags, r->product + k * lags);
    for (int64_t dx = 0; dx < lags; dx++)
      for (int k = 0; k < 3; k++, sums += r->columns) {
        if (k < 2) sum_blocks((k ? square : r->column) + dx, n[1], r->blocks, r->block);
        else
          for (int64_t i = 0; i < r->blocks; i++) r->block[i] = r->product[i * lags + dx];
        gather(r->block, step, count, g->count[1], sums);
      }
  }
}

/* Add one row of blocks to the windows' totals, put on another level: pixels are `shift` more above that. */
static void add_row(int64_t windows, double pixels, double shift, const float *restrict x, const float *restrict square,
                    double *restrict total, double *restrict total_square) {
  for (int64_t i = 0; i < windows; i++) {
    double v = (double)x[i];
    total[i] += v + pixels * shift;
    total_square[i] += (double)square[i] + shift * (2 * v + pixels * shift);
  }
}
static void add_products(int64_t windows, double pixels, double shift, const float *restrict a, const float *restrict b,
                         const float *restrict ab, double *restrict total) {
  for (int64_t i = 0; i < windows; i++)
    total[i] += (double)ab[i] + shift * ((double)a[i] + (double)b[i] + pixels * shift);
}

/* Pearson's coefficients of all windows at one shift; NaN where rounding could be felt. */
static void coefficients(int64_t windows, double pixels, const double *restrict total, int64_t columns,
                         double *restrict value) {
  const double *a = total, *aa = a + columns, *b = aa + columns, *bb = b + columns;
  for (int64_t i = 0; i < windows; i++) {
    double va = aa[i] - a[i] * a[i] / pixels, vb = bb[i] - b[i] * b[i] / pixels;
    bool   good = va * WEIR__PIV_LEAST_SHARE > aa[i] && vb * WEIR__PIV_LEAST_SHARE > bb[i] && va < 1e30 && vb < 1e30;
    double v    = (value[i] - a[i] * b[i] / pixels) / sqrt(va * vb);
    value[i]    = good ? v : (double)NAN;
  }
}

static float *ring_row(const rooms *r, bool back, int64_t slot) {
  return r->sums + ((back ? r->ring : 0) + slot) * r->kinds * r->columns;
}

/* The planes of one row of windows from the sums in the ring. */
static void planes_of(const weir__piv_correlator *c, const rooms *r, bool back, int64_t first, const float *level) {
  int64_t windows = c->settings.grid.count[1], columns = r->columns, lags = shifts_of(c, 0) * shifts_of(c, 1);
  int64_t size   = weir__piv_plane_size(c);
  double  pixels = (double)(c->block[0] * c->settings.grid.window[1]), all = pixels * (double)r->ring;
  double *total = r->total, *ab = total + 4 * columns;
  memset(total, 0, 2 * (size_t)columns * sizeof *total);
  for (int64_t k = 0; k < r->ring; k++) {
    int64_t      slot = (first + k) % r->ring;
    const float *sums = ring_row(r, back, slot);
    double       up   = (double)level[slot] - (double)level[first % r->ring];
    add_row(windows, pixels, up, sums, sums + columns, total, total + columns);
  }
  for (int64_t l = 0; l < lags; l++) {
    memset(total + 2 * columns, 0, 3 * (size_t)columns * sizeof *total);
    for (int64_t k = 0; k < r->ring; k++) {
      int64_t      slot = (first + k) % r->ring;
      const float *a = ring_row(r, back, slot), *b = a + (2 + 3 * l) * columns;
      double       up = (double)level[slot] - (double)level[first % r->ring];
      add_row(windows, pixels, up, b, b + columns, total + 2 * columns, total + 3 * columns);
      add_products(windows, pixels, up, a, b, b + 2 * columns, ab);
    }
    coefficients(windows, all, total, columns, ab);
    for (int64_t i = 0; i < windows; i++)
      put(c, back, l / shifts_of(c, 1), l % shifts_of(c, 1), (float)ab[i], r->planes + i * size);
  }
}

/* Whether a window's plane can be used: nothing masked within its reach, all values told. */
static bool is_good(const weir__piv_correlator *c, const weir__piv_place *p, const float *plane) {
  const weir__piv_settings *s = &c->settings;
  for (int64_t i = 0; i < shifts_of(c, 0); i++)
    for (int64_t j = 0; j < shifts_of(c, 1); j++)
      if (isnan(plane[i * c->stride + j])) return false;
  if (!p->mask) return true;
  int64_t from = clamp(p->x - s->search[1], 0, p->a->columns - 1);
  int64_t end  = clamp(p->x + s->grid.window[1] + s->search[1], 1, p->a->columns);
  for (int64_t y = -s->search[0]; y < s->grid.window[0] + s->search[0]; y++)
    if (memchr(mask_row(p, p->y + y) + from, 1, (size_t)(end - from))) return false;
  return true;
}

static void shared_row(const weir__piv_correlator *c, const weir__piv_place *p, int64_t row, int64_t *done,
                       const rooms *r, float *level) {
  const weir__piv_grid *g     = &c->settings.grid;
  int64_t               first = row * (g->step[0] / c->block[0]);
  weir__piv_place       other = other_way(p);
  if (*done < first) *done = first;
  for (; *done < first + r->ring; ++*done) {
    int64_t slot = *done % r->ring, y = g->first[0] + *done * c->block[0];
    level[slot] = level_of(p, y + c->block[0] / 2);
    block_row(c, p, y, level[slot], r, ring_row(r, false, slot));
    block_row(c, &other, y, level[slot], r, ring_row(r, true, slot));
  }
  planes_of(c, r, false, first, level);
  planes_of(c, r, true, first, level);
}

void weir__piv_direct_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                                const uint8_t *mask, int64_t row, int64_t rows, weir__piv_vector *vector,
                                float *scratch) {
  const weir__piv_grid *g    = &c->settings.grid;
  int64_t               size = weir__piv_plane_size(c), done = -1;
  float                 level[WEIR__PIV_WINDOW_MOST / SMALLEST_BLOCK]; /* of the rows in the ring */
  rooms                 r;
  lay_out(c, scratch, &r);
  if (r.ring) memset(r.planes, 0, (size_t)(r.columns * size) * sizeof *scratch);
  for (int64_t j = row; j < row + rows; j++, vector += g->count[1]) {
    weir__piv_place place = {a, b, mask, g->first[0] + j * g->step[0], 0};
    if (r.ring) shared_row(c, &place, j, &done, &r, level);
    for (int64_t i = 0; i < g->count[1]; i++) {
      place.x            = g->first[1] + i * g->step[1];
      const float *plane = r.ring ? r.planes + i * size : NULL;
      if (r.ring && is_good(c, &place, plane)) weir__piv_peaks(c, plane, &vector[i]);
      else one_window(c, &place, r.window, &vector[i]);
    }
  }
}
