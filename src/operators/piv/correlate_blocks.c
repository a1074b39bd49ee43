/* Windows overlap, so their sums are put together from those of blocks, which are gcd(window, step) pixels along each
 * axis. For each row of blocks: the sums over the blocks at all shifts, then those of all windows in that row of
 * blocks. A ring holds as many such rows as a window has. What is computed for a row of blocks depends on that row
 * only, hence not on how rows of windows are shared out.
 *
 * Both ways at shift d take, over the pixels x of a window, b(x + d), b(x + d)^2 and a(x) b(x + d); a(x - d),
 * a(x - d)^2 and a(x - d) b(x): six tables, laid out as planes are, so that what is done with them is done along
 * lanes. The products of both ways are the same, over windows moved by d; the rows they have in common are summed
 * once. Sums at neighbouring dx come out of a register whose lanes are columns, without sums across lanes.
 *
 * Sums are those of what pixels differ from a level near the row's mean, so that float32 is enough; the rows of a
 * window are put on one level in float64. */
#include "operators/piv/correlate_blocks.h"
#include "core/simd.h"
#include <math.h>

enum { TABLE_B, TABLE_BB, TABLE_AB, TABLE_A, TABLE_AA, TABLE_BA, TABLES };

static int64_t common_divisor(int64_t a, int64_t b) { return b ? common_divisor(b, a % b) : a; }

void weir__piv_blocks_create(weir__piv_correlator *c) {
  const weir__piv_grid *g      = &c->settings.grid;
  bool                  shared = !c->weight;
  for (int k = 0; k < 2; k++) {
    c->block[k] = common_divisor(g->window[k], g->step[k]);
    if (c->block[k] < WEIR__PIV_SMALLEST_BLOCK || g->step[k] > g->window[k]) shared = false;
  }
  if (!shared) c->block[0] = c->block[1] = 0;
}

int64_t weir__piv_blocks_lay_out(const weir__piv_correlator *c, float *scratch, weir__piv_blocks *r) {
  const weir__piv_settings *s = &c->settings;
  const weir__piv_grid     *g = &s->grid;
  memset(r, 0, sizeof *r);
  if (!c->block[0]) return 0;
  r->ring   = g->window[0] / c->block[0];
  r->blocks = (g->count[1] - 1) * (g->step[1] / c->block[1]) + g->window[1] / c->block[1];
  r->pad    = weir__piv_round16(2 * s->search[1] + 16);
  r->width  = weir__piv_round16(r->blocks * c->block[1] + 2 * r->pad);
  r->lanes  = weir__piv_plane_size(c);
  if (r->width % 256 == 0) r->width += 16; /* or the rows of a column share few places of the cache */
  int64_t padded     = (c->block[0] + 2 * s->search[0]) * r->width;
  int64_t sizes[]    = {padded,
                        padded,
                        2 * weir__piv_shifts(c, 0) * r->width,
                        2 * weir__piv_shifts(c, 1) * r->width,
                        r->blocks * TABLES * r->lanes,
                        r->ring * g->count[1] * TABLES * r->lanes,
                        4 * r->lanes};
  float **rooms_of[] = {&r->a, &r->b, &r->column, &r->product, &r->block, &r->sums, &r->value};
  int64_t at         = 0;
  for (int k = 0; k < 7; at += sizes[k++]) *rooms_of[k] = scratch ? scratch + at : NULL;
  return at;
}

WEIR__WIDE static void lower(const float *restrict x, int64_t n, float level, float *restrict to) {
  for (int64_t i = 0; i < n; i++) to[i] = x[i] - level;
}

void weir__piv_copy_row(const weir__piv_strip *image, int64_t y, int64_t x, int64_t width, float level, float *to) {
  const float *row =
      image->pixel + (weir__piv_clamp(y, image->y0, image->y0 + image->rows - 1) - image->y0) * image->columns;
  int64_t from = weir__piv_clamp(-x, 0, width), end = weir__piv_clamp(image->columns - x, from, width);
  for (int64_t i = 0; i < from; i++) to[i] = row[0] - level;
  if (end > from) lower(row + x + from, end - from, level, to + from);
  for (int64_t i = end; i < width; i++) to[i] = row[image->columns - 1] - level;
}

/* ---- sums of pixels and of squares ---- */

WEIR__INLINE void add_rows(const float *x, int64_t width, int64_t from, int64_t end, weir__float8 *sum,
                           weir__float8 *square) {
  for (int64_t y = from; y < end; y++) {
    weir__float8 v = weir__load8(x + y * width);
    *sum += v, *square += v * v;
  }
}

/* Over the `rows` rows from each of the first `lags` on, column by column. Rows that all have in common are summed
 * once. sum[lags][width], then square[lags][width]. */
WEIR__WIDE static void sum_columns(const float *x, int64_t width, int64_t rows, int64_t lags, float *sum) {
  int64_t from = lags - 1 < rows ? lags - 1 : rows;
  for (int64_t i = 0; i < width; i += 8, x += 8, sum += 8) {
    weir__float8 s = {0}, q = {0};
    add_rows(x, width, from, rows, &s, &q);
    for (int64_t k = 0; k < lags; k++) {
      weir__float8 t = s, u = q;
      add_rows(x, width, k, from, &t, &u);
      add_rows(x, width, k > rows ? k : rows, k + rows, &t, &u);
      weir__store8(sum + k * width, t);
      weir__store8(sum + (lags + k) * width, u);
    }
  }
}

/* Sums of n neighbours from x, x + 1 .. x + 7 on. */
WEIR__INLINE weir__float8 sliding(const float *x, int64_t n) {
  weir__float8 even = {0}, odd = {0};
  for (int64_t i = 0; i + 2 <= n; i += 2) even += weir__load8(x + i), odd += weir__load8(x + i + 1);
  if (n & 1) even += weir__load8(x + n - 1);
  return even + odd;
}

/* Over blocks of n columns: for shifts -search .. search into `lags` lanes, or back: from search to -search. Lanes
 * beyond those get sums, too. Blocks' tables are `stride` apart. */
WEIR__WIDE static void sum_blocks(const float *column, int64_t n, int64_t blocks, int64_t search, bool back, float *to,
                                  int64_t stride) {
  for (int64_t k = 0; k < blocks; k++, column += n, to += stride)
    for (int64_t i = 0; i <= 2 * search; i += 8) {
      if (!back) weir__store8(to + i, sliding(column + i - search, n));
      else {
        weir__float8 v = sliding(column + search - i - 7, n);
        weir__store8(to + i, __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0));
      }
    }
}

/* ---- products ---- */

/* Rows of a, counted from the block's first, that are summed: what both ways have in common, and either alone. */
typedef struct spans {
  int64_t from[3], end[3];
} spans;

static spans spans_of(int64_t n, int64_t dy) {
  spans   s   = {{0, 0, -dy}, {0, n, n - dy}};
  int64_t low = dy > 0 ? 0 : -dy, high = dy > 0 ? n - dy : n;
  if (low >= high) return s;
  s.from[0] = low, s.end[0] = high;
  if (dy > 0) s.from[1] = high, s.end[2] = low;
  else s.end[1] = low, s.from[2] = high;
  return s;
}

WEIR__INLINE void add_products(const float *a, const float *b, int64_t width, int64_t from, int64_t end, int shifts,
                               weir__float8 *sum) {
  a += from * width, b += from * width;
  for (int64_t y = from; y < end; y++, a += width, b += width) {
    weir__float8 f = weir__load8(a);
    for (int d = 0; d < shifts; d++) sum[d] += f * weir__load8(b + d);
  }
}

/* Sums over columns, eight at a time, of a(y, x) b(y, x + d) for `shifts` (a constant) values of d: to[shift][width]
 * those of one way, then those of the other `other` after. */
WEIR__INLINE void strips(const float *a, const float *b, int64_t width, int64_t columns, const spans *s, int shifts,
                         float *to, int64_t other) {
  for (int64_t x = 0; x < columns; x += 8, a += 8, b += 8, to += 8) {
    weir__float8 sum[8], one[8];
    for (int d = 0; d < shifts; d++) sum[d] = (weir__float8){0};
    add_products(a, b, width, s->from[0], s->end[0], shifts, sum);
    for (int d = 0; d < shifts; d++) one[d] = sum[d];
    add_products(a, b, width, s->from[1], s->end[1], shifts, one);
    for (int d = 0; d < shifts; d++) weir__store8(to + d * width, one[d]);
    add_products(a, b, width, s->from[2], s->end[2], shifts, sum);
    for (int d = 0; d < shifts; d++) weir__store8(to + other + d * width, sum[d]);
  }
}

/* As many shifts at once as there are registers for. */
WEIR__WIDE static void sum_products(const float *a, const float *b, int64_t width, int64_t columns, const spans *s,
                                    int64_t shifts, float *to) {
  int64_t other = shifts * width;
  for (; shifts >= 8; shifts -= 5, to += 5 * width, b += 5) strips(a, b, width, columns, s, 5, to, other);
  switch (shifts) {
  case 7: strips(a, b, width, columns, s, 7, to, other); break;
  case 6: strips(a, b, width, columns, s, 6, to, other); break;
  case 5: strips(a, b, width, columns, s, 5, to, other); break;
  case 4: strips(a, b, width, columns, s, 4, to, other); break;
  default: strips(a, b, width, columns, s, 3, to, other);
  }
}

/* The sum of n values, in four parts. */
WEIR__INLINE weir__float4 quarters(const float *x, int64_t n, const weir__bits8 *rest) {
  weir__float8 v = {0};
  int64_t      i = 0;
  for (; i + 8 <= n; i += 8) v += weir__load8(x + i);
  if (i < n) v += (weir__float8)((weir__bits8)weir__load8(x + i) & *rest);
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
}

/* Over blocks of n columns, which begin `begin` columns earlier from one shift to the next. */
WEIR__WIDE static void join_products(const float *column, int64_t width, int64_t n, int64_t blocks, int64_t shifts,
                                     int64_t begin, float *to, int64_t stride) {
  weir__bits8 rest;
  for (int i = 0; i < 8; i++) rest[i] = i < n % 8 ? -1 : 0;
  for (int64_t k = 0; k < blocks; k++, column += n, to += stride)
    for (int64_t d = 0; d < shifts; d += 4) {
      weir__float4 q[4];
      for (int i = 0; i < 4; i++) {
        int64_t e = d + i < shifts ? d + i : shifts - 1;
        q[i]      = quarters(column + e * (width - begin), n, &rest);
      }
      weir__float4 low =
          __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5) + __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
      weir__float4 high =
          __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5) + __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
      weir__store4(to + d,
                   __builtin_shufflevector(low, high, 0, 1, 4, 5) + __builtin_shufflevector(low, high, 2, 3, 6, 7));
    }
}

/* ---- a row of blocks ---- */

/* The four tables without products. */
static void sum_images(const weir__piv_correlator *c, const weir__piv_blocks *r) {
  int64_t search = c->settings.search[1], lags = weir__piv_shifts(c, 0), stride = TABLES * r->lanes;
  for (int back = 0; back < 2; back++) {
    sum_columns(back ? r->a : r->b, r->width, c->block[0], lags, r->column);
    for (int64_t i = 0; i < lags; i++)
      for (int square = 0; square < 2; square++) {
        const float *column = r->column + (square * lags + (back ? lags - 1 - i : i)) * r->width + r->pad;
        float       *to     = r->block + ((back ? TABLE_A : TABLE_B) + square) * r->lanes + i * c->stride;
        sum_blocks(column, c->block[1], r->blocks, search, back, to, stride);
      }
  }
}

static void multiply_images(const weir__piv_correlator *c, const weir__piv_blocks *r) {
  const int64_t *search = c->settings.search, *n = c->block;
  int64_t        stride = TABLES * r->lanes, lags = weir__piv_shifts(c, 1), around = (search[1] + 7) / 8 * 8;
  int64_t        columns = r->blocks * n[1] + 2 * around;
  for (int64_t dy = -search[0]; dy <= search[0]; dy++) {
    spans        s   = spans_of(n[0], dy);
    int64_t      at  = (dy + search[0]) * c->stride;
    const float *a   = r->a + search[0] * r->width + r->pad - around;
    const float *b   = r->b + (search[0] + dy) * r->width + r->pad - around - search[1];
    const float *one = r->product + around, *other = one + lags * r->width + search[1];
    sum_products(a, b, r->width, columns, &s, lags, r->product);
    join_products(one, r->width, n[1], r->blocks, lags, 0, r->block + TABLE_AB * r->lanes + at, stride);
    join_products(other, r->width, n[1], r->blocks, lags, 1, r->block + TABLE_BA * r->lanes + at, stride);
  }
}

/* From sums over the blocks to those over windows, which begin `step` blocks apart and have `count`. */
WEIR__WIDE static void gather(const float *block, int64_t floats, int64_t step, int64_t count, int64_t windows,
                              float *restrict sum) {
  for (int64_t i = 0; i < windows; i++, sum += floats, block += step * floats) {
    memcpy(sum, block, (size_t)floats * sizeof *sum);
    for (int64_t k = 1; k < count; k++)
      for (int64_t l = 0; l < floats; l++) sum[l] += block[k * floats + l];
  }
}

static float *ring_row(const weir__piv_correlator *c, const weir__piv_blocks *r, int64_t slot) {
  return r->sums + slot * c->settings.grid.count[1] * TABLES * r->lanes;
}

void weir__piv_blocks_row(const weir__piv_correlator *c, const weir__piv_place *p, int64_t y, float level, int64_t slot,
                          const weir__piv_blocks *r) {
  const weir__piv_grid *g      = &c->settings.grid;
  const int64_t        *search = c->settings.search, *n = c->block;
  for (int64_t i = 0; i < n[0] + 2 * search[0]; i++) {
    weir__piv_copy_row(p->a, y + i - search[0], g->first[1] - r->pad, r->width, level, r->a + i * r->width);
    weir__piv_copy_row(p->b, y + i - search[0], g->first[1] - r->pad, r->width, level, r->b + i * r->width);
  }
  sum_images(c, r);
  multiply_images(c, r);
  gather(r->block, TABLES * r->lanes, g->step[1] / n[1], g->window[1] / n[1], g->count[1], ring_row(c, r, slot));
}

/* ---- planes ---- */

typedef double  double4 __attribute__((vector_size(32)));
typedef int64_t bits4 __attribute__((vector_size(32)));

WEIR__INLINE double4 widen(const float *x) { return __builtin_convertvector(weir__load4(x), double4); }

/* One way: of the window in a, all of whose sums are `fixed` (sum, sum of squares), and those in b. */
typedef struct way {
  const float *sum[WEIR__PIV_WINDOW_MOST / WEIR__PIV_SMALLEST_BLOCK];   /* of each row in the ring: b, b^2, a b */
  double       fixed[WEIR__PIV_WINDOW_MOST / WEIR__PIV_SMALLEST_BLOCK]; /* sums of a in each row */
  double       all, variance;                                           /* of a in all of them */
} way;

/* Numerators and variances at `lanes` shifts; NaN for variances that rounding could be felt in. Pixels of row k are
 * up[k] more above the common level than they say. */
WEIR__WIDE static void put_together(const way *w, int64_t ring, const double *up, double pixels, int64_t stride,
                                    int64_t lanes, float *numerator, float *variance) {
  const double  scale = 1 / sqrt(w->variance), share = 1 / (pixels * (double)ring);
  const double4 nothing = {NAN, NAN, NAN, NAN};
  for (int64_t l = 0; l < lanes; l += 4) {
    double4 b = {0}, bb = {0}, ab = {0};
    for (int64_t k = 0; k < ring; k++) {
      const float *sum = w->sum[k] + l;
      double4      v = widen(sum), shifted = v + pixels * up[k];
      b += shifted;
      bb += widen(sum + stride) + up[k] * (v + shifted);
      ab += widen(sum + 2 * stride) + up[k] * (w->fixed[k] + shifted);
    }
    double4 v    = bb - b * b * share;
    bits4   good = (v * (double)WEIR__PIV_LEAST_SHARE > bb) & (v < 1e30) & (v > 1e-30);
    v            = (double4)((good & (bits4)v) | (~good & (bits4)nothing));
    weir__store4(numerator + l, __builtin_convertvector((ab - w->all * b * share) * scale, weir__float4));
    weir__store4(variance + l, __builtin_convertvector(v, weir__float4));
  }
}

/* The mean of both ways. */
WEIR__WIDE static void coefficients(int64_t lanes, const float *restrict value, int64_t stride, float *restrict plane) {
  for (int64_t l = 0; l < lanes; l++) {
    float one   = value[l] / sqrtf(value[stride + l]);
    float other = value[2 * stride + l] / sqrtf(value[3 * stride + l]);
    plane[l]    = 0.5F * (one + other);
  }
}

void weir__piv_blocks_plane(const weir__piv_correlator *c, const weir__piv_blocks *r, int64_t first, const float *level,
                            int64_t i, float *plane) {
  double pixels = (double)(c->block[0] * c->settings.grid.window[1]),
         up[WEIR__PIV_WINDOW_MOST / WEIR__PIV_SMALLEST_BLOCK];
  int64_t middle = c->settings.search[0] * c->stride + c->settings.search[1];
  int64_t lanes  = weir__piv_shifts(c, 0) * c->stride;
  for (int back = 0; back < 2; back++) {
    way    w;
    double all = 0, square = 0;
    for (int64_t k = 0; k < r->ring; k++) {
      int64_t      slot  = (first + k) % r->ring;
      const float *sums  = ring_row(c, r, slot) + i * TABLES * r->lanes;
      const float *fixed = sums + (back ? TABLE_B : TABLE_A) * r->lanes + middle;
      up[k]              = (double)level[slot] - (double)level[first % r->ring];
      w.sum[k]           = sums + (back ? TABLE_A : TABLE_B) * r->lanes;
      w.fixed[k]         = (double)*fixed;
      all += w.fixed[k] + pixels * up[k];
      square += (double)fixed[r->lanes] + up[k] * (2 * w.fixed[k] + pixels * up[k]);
    }
    w.all      = all;
    w.variance = square - all * all / (pixels * (double)r->ring);
    bool good  = w.variance * WEIR__PIV_LEAST_SHARE > square && w.variance < 1e30 && w.variance > 1e-30;
    if (!good) w.variance = (double)NAN;
    put_together(&w, r->ring, up, pixels, r->lanes, lanes, r->value + 2 * back * r->lanes,
                 r->value + (2 * back + 1) * r->lanes);
  }
  coefficients(lanes, r->value, r->lanes, plane);
}
