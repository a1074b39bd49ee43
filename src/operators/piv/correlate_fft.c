/* Correlation by Fourier transforms, two at a time: both windows of a vector are the real and the imaginary part of one
 * complex transform, and the planes of two neighbouring vectors those of one inverse transform. That is one and a half
 * complex transforms per vector, where three real ones took almost three times as long (32 x 32).
 *
 * With Z the transform of f + i g, those of f and g are F(k) = (Z(k) + Z*(-k)) / 2 and G(k) = (Z(k) - Z*(-k)) / 2i, and
 *   F*(k) G(k) = ( 2 Im(Z(k) Z(-k)) - i (|Z(k)|^2 - |Z(-k)|^2) ) / 4.
 *
 * Plans are made with FFTW_ESTIMATE: FFTW_MEASURE chooses by the clock, and with another plan the last bits differ. For
 * complex transforms of one window at a time, in place, little is lost (32 x 32: 1.25 us against 1.19; interleaved
 * batches took 1.2 to 1.7, split ones 4.6 to 9). Pairs are those of columns 0 and 1, 2 and 3 ... of the grid
 * whatever rows are asked for, so that rounding does not depend on how rows are shared out. */
#include "core/simd.h"
#include "operators/common/planner.h"
#include "operators/piv/correlate_parts.h"
#include <math.h>

/* The next size >= n for which FFTW has the whole transform as one routine, or is made of such: measured with
 * FFTW_ESTIMATE, 64 x 64 takes 5 us, 40 x 40 11 and 48 x 48 9. */
static int64_t quick_size(int64_t n) {
  static const int64_t routine[] = {4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 20, 25, 32};
  for (size_t k = 0; k < sizeof routine / sizeof *routine; k++)
    if (n <= routine[k]) return routine[k];
  int64_t size = 64;
  while (size < n) size *= 2;
  return size;
}

weir_status weir__piv_fft_create(weir__piv_correlator *c) {
  const weir__piv_settings *s = &c->settings;
  for (int k = 0; k < 2; k++) c->size[k] = s->padded ? quick_size(s->grid.window[k] + s->search[k]) : s->grid.window[k];
  weir__planner_lock();
  fftwf_complex *z = fftwf_malloc((size_t)(c->size[0] * c->size[1]) * sizeof *z);
  if (z) {
    c->forward = fftwf_plan_dft_2d((int)c->size[0], (int)c->size[1], z, z, FFTW_FORWARD, FFTW_ESTIMATE);
    c->inverse = fftwf_plan_dft_2d((int)c->size[0], (int)c->size[1], z, z, FFTW_BACKWARD, FFTW_ESTIMATE);
  }
  fftwf_free(z);
  weir__planner_unlock();
  if (!z || !c->forward || !c->inverse)
    return WEIR_FAIL(WEIR_ERR_MEMORY, "no memory for a Fourier transform of %lld x %lld pixels", (long long)c->size[0],
                     (long long)c->size[1]);
  return WEIR_OK;
}

/* Floats of a transform, of which there are two; then a row of each; then two planes. */
static int64_t transform_floats(const weir__piv_correlator *c) {
  return weir__piv_round16(2 * c->size[0] * c->size[1]);
}
size_t weir__piv_fft_scratch(const weir__piv_correlator *c) {
  int64_t floats = 2 * transform_floats(c) + 2 * weir__piv_round16(2 * c->size[1]) + 2 * weir__piv_plane_size(c);
  return (size_t)floats * sizeof(float);
}

/* ---- windows into the transform: f + i g ---- */

/* Registers are shuffled within their halves where that will do: f and g are at 0 .. 3, 8 .. 11 and 4 .. 7, 12 .. 15.
 */
#define interleave8(z, f, g)                                                                                           \
  do {                                                                                                                 \
    weir__float8 low_  = __builtin_shufflevector(f, g, 0, 8, 1, 9, 4, 12, 5, 13);                                      \
    weir__float8 high_ = __builtin_shufflevector(f, g, 2, 10, 3, 11, 6, 14, 7, 15);                                    \
    weir__store8(z, __builtin_shufflevector(low_, high_, 0, 1, 2, 3, 8, 9, 10, 11));                                   \
    weir__store8((z) + 8, __builtin_shufflevector(low_, high_, 4, 5, 6, 7, 12, 13, 14, 15));                           \
  } while (0)

/* Weighted mean of the pixels that are not masked. */
static double mean_of(const weir__piv_correlator *c, const weir__piv_place *p, const weir__piv_strip *image) {
  const int64_t *n   = c->settings.grid.window;
  double         sum = 0, weights = 0;
  for (int64_t y = 0; y < n[0]; y++) {
    const float   *row = weir__piv_row(image, p->y + y, p->x), *w = c->weight ? c->weight + y * n[1] : NULL;
    const uint8_t *m = p->mask ? p->mask + (p->y + y - p->a->y0) * p->a->columns + p->x : NULL;
    for (int64_t x = 0; x < n[1]; x++) {
      if (m && m[x] == 1) continue;
      double weight = w ? (double)w[x] : 1;
      sum += weight * (double)row[x], weights += weight;
    }
  }
  return sum / weights;
}

/* With weights, masked pixels or room around. Masked pixels stand at the mean of the others, in both windows. */
static weir__piv_flag fill_general(const weir__piv_correlator *c, const weir__piv_place *p, float *z, float *scale) {
  const int64_t *n      = c->settings.grid.window;
  double         mean_f = mean_of(c, p, p->a), mean_g = mean_of(c, p, p->b), square_f = 0, square_g = 0;
  memset(z, 0, 2 * (size_t)(c->size[0] * c->size[1]) * sizeof *z);
  for (int64_t y = 0; y < n[0]; y++) {
    const float   *a = weir__piv_row(p->a, p->y + y, p->x), *b = weir__piv_row(p->b, p->y + y, p->x);
    const float   *w  = c->weight ? c->weight + y * n[1] : NULL;
    const uint8_t *m  = p->mask ? p->mask + (p->y + y - p->a->y0) * p->a->columns + p->x : NULL;
    float         *to = z + 2 * y * c->size[1];
    for (int64_t x = 0; x < n[1]; x++) {
      if (m && m[x] == 1) continue;
      double weight = w ? (double)w[x] : 1, f = ((double)a[x] - mean_f) * weight, g = ((double)b[x] - mean_g) * weight;
      square_f += f * f, square_g += g * g;
      to[2 * x] = (float)f, to[2 * x + 1] = (float)g;
    }
  }
  double count = (double)(n[0] * n[1]);
  if (!weir__piv_has_signal(square_f, count, mean_f) || !weir__piv_has_signal(square_g, count, mean_g))
    return WEIR__PIV_NO_SIGNAL;
  *scale = (float)(1 / sqrt(square_f * square_g));
  return WEIR__PIV_VALID;
}

static float row_mean(const float *x, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  return sum / (float)n;
}

typedef struct sums { /* of what f and g differ from their levels, and of its squares */
  double f, ff, g, gg;
} sums;

#define SUM8(v) (double)(((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])))

/* A window from rows `columns` apart, less the levels, into the transform. */
WEIR__WIDE static void crop(const float *a, const float *b, int64_t columns, const int64_t n[2], float level_f,
                            float level_g, float *to, sums *total) {
  weir__float8 sum_f = {0}, sum_g = {0}, square_f = {0}, square_g = {0};
  double       rest[4] = {0};
  int64_t      whole   = n[1] / 8 * 8;
  for (int64_t y = 0; y < n[0]; y++, a += columns, b += columns) {
    for (int64_t x = 0; x < whole; x += 8, to += 16) {
      weir__float8 f = weir__load8(a + x) - level_f, g = weir__load8(b + x) - level_g;
      sum_f += f, square_f += f * f;
      sum_g += g, square_g += g * g;
      interleave8(to, f, g);
    }
    for (int64_t x = whole; x < n[1]; x++, to += 2) {
      float f = a[x] - level_f, g = b[x] - level_g;
      rest[0] += (double)f, rest[1] += (double)(f * f);
      rest[2] += (double)g, rest[3] += (double)(g * g);
      to[0] = f, to[1] = g;
    }
  }
  *total = (sums){SUM8(sum_f) + rest[0], SUM8(square_f) + rest[1], SUM8(sum_g) + rest[2], SUM8(square_g) + rest[3]};
}

/* All pixels with the same weight, none added. The mean need not be taken away before, as it has a place of its own
 * in the transform: a level near it is enough, that of the row in the middle. Where rounding could be felt, because
 * the contrast is small beside the distance from that level, the general way is taken. `scale`: 1 / sqrt(energy f *
 * energy g). */
static weir__piv_flag fill_plain(const weir__piv_correlator *c, const weir__piv_place *p, float *z, float *scale) {
  int64_t      ny = c->size[0], nx = c->size[1];
  const float *a = weir__piv_row(p->a, p->y, p->x), *b = weir__piv_row(p->b, p->y, p->x);
  float        level_f = row_mean(a + ny / 2 * p->a->columns, nx), level_g = row_mean(b + ny / 2 * p->b->columns, nx);
  double       n = (double)(ny * nx);
  sums         s;
  crop(a, b, p->a->columns, c->size, level_f, level_g, z, &s);
  double f = s.ff - s.f * s.f / n, g = s.gg - s.g * s.g / n;
  if (!(f * WEIR__PIV_LEAST_SHARE > s.ff && g * WEIR__PIV_LEAST_SHARE > s.gg)) return fill_general(c, p, z, scale);
  *scale = (float)(1 / sqrt(f * g));
  return WEIR__PIV_VALID;
}

static weir__piv_flag fill(const weir__piv_correlator *c, const weir__piv_place *p, float *z, float *scale) {
  bool           any;
  weir__piv_flag flag = weir__piv_masked(c, p, &any);
  if (!flag) {
    if (any || c->weight || c->settings.padded) flag = fill_general(c, p, z, scale);
    else flag = fill_plain(c, p, z, scale);
  }
  if (flag) { /* what is no number must not reach the neighbour that shares the inverse transform */
    memset(z, 0, 2 * (size_t)(c->size[0] * c->size[1]) * sizeof *z);
    *scale = 0;
  }
  return flag;
}

/* ---- from transforms to that of the planes ---- */

/* Real and imaginary parts of eight values as they stand in two registers, in the order 0 1 4 5 2 3 6 7, from which
 * UNPACK_LOW and _HIGH make the first and the last four. */
#define EVEN(u, v)          __builtin_shufflevector(u, v, 0, 2, 8, 10, 4, 6, 12, 14)
#define ODD(u, v)           __builtin_shufflevector(u, v, 1, 3, 9, 11, 5, 7, 13, 15)
#define UNPACK_LOW(re, im)  __builtin_shufflevector(re, im, 0, 8, 1, 9, 4, 12, 5, 13)
#define UNPACK_HIGH(re, im) __builtin_shufflevector(re, im, 2, 10, 3, 11, 6, 14, 7, 15)
/* Four complex values from the last to the first. */
#define BACKWARDS(u) __builtin_shufflevector(u, u, 6, 7, 4, 5, 2, 3, 0, 1)

typedef struct both { /* 4 P(k) of one window, real and imaginary part */
  weir__float8 re, im;
} both;

/* u: Z(k) and the seven that follow; down: those before Z(-k), Z(-k) last. */
WEIR__INLINE void product8(const weir__float8 u[2], const float *down, float scale, both *p) {
  weir__float8 d0 = weir__load8(down), d1 = weir__load8(down + 8);
  d0 = BACKWARDS(d0), d1 = BACKWARDS(d1);
  weir__float8 r1 = EVEN(u[0], u[1]), i1 = ODD(u[0], u[1]), r2 = EVEN(d1, d0), i2 = ODD(d1, d0);
  p->re = (r1 * i2 + i1 * r2) * (2 * scale);
  p->im = ((r2 * r2 + i2 * i2) - (r1 * r1 + i1 * i1)) * scale;
}

/* Q(k) = P + i P' of both windows for eight k into to_up[], and with P(-k) = P*(k) Q(-k) to where the first is. */
WEIR__INLINE void eight_columns(const weir__float8 u[2][2], const float *const down[2], int64_t back,
                                const float scale[2], weir__float8 up[2], float *to_down) {
  both p, q;
  product8(u[0], down[0] + back, scale[0], &p);
  product8(u[1], down[1] + back, scale[1], &q);
  weir__float8 re = p.re - q.im, im = p.im + q.re;
  up[0] = UNPACK_LOW(re, im), up[1] = UNPACK_HIGH(re, im);
  re = p.re + q.im, im = q.re - p.im;
  weir__float8 first = UNPACK_LOW(re, im), last = UNPACK_HIGH(re, im);
  weir__store8(to_down + back, BACKWARDS(last));
  weir__store8(to_down + back + 8, BACKWARDS(first));
}

/* The last seven columns and the first, which is the one after the last. */
WEIR__INLINE void round_the_end(int64_t n, const float *const up[2], const float *const down[2], const float scale[2],
                                float *to_up, float *to_down) {
  weir__float8 u[2][2], v[2];
  for (int i = 0; i < 2; i++) {
    weir__float8 end = weir__load8(up[i] + 2 * n - 8), begin = weir__load8(up[i]);
    u[i][0] = weir__load8(up[i] + 2 * n - 14);
    u[i][1] = __builtin_shufflevector(end, begin, 2, 3, 4, 5, 6, 7, 8, 9);
  }
  eight_columns(u, down, 0, scale, v, to_down);
  weir__store8(to_up + 2 * n - 14, v[0]);
  memcpy(to_up + 2 * n - 6, &v[1], 6 * sizeof *to_up);
  to_up[0] = v[1][6], to_up[1] = v[1][7];
}

WEIR__INLINE void product1(const float *up, const float *down, float scale, float p[2]) {
  p[0] = (up[0] * down[1] + up[1] * down[0]) * (2 * scale);
  p[1] = ((down[0] * down[0] + down[1] * down[1]) - (up[0] * up[0] + up[1] * up[1])) * scale;
}

/* Columns k and n - k of two rows: Q = P + i P' of both windows, with P(-k) = P*(k). */
WEIR__INLINE void one_column(const float *const up[2], const float *const down[2], const float scale[2], int64_t k,
                             int64_t back, float *to_up, float *to_down) {
  float p[2], q[2];
  product1(up[0] + 2 * k, down[0] + 2 * back, scale[0], p);
  product1(up[1] + 2 * k, down[1] + 2 * back, scale[1], q);
  to_up[2 * k]          = p[0] - q[1];
  to_up[2 * k + 1]      = p[1] + q[0];
  to_down[2 * back]     = p[0] + q[1];
  to_down[2 * back + 1] = q[0] - p[1];
}

/* Rows ky and -ky, into the place of the first window's; to_up and to_down do not overlap what is read later. */
WEIR__WIDE static void two_rows(int64_t n, const float *const up[2], const float *const down[2], const float scale[2],
                                float *to_up, float *to_down) {
  int64_t k = 1;
  for (; k + 8 <= n; k += 8) {
    weir__float8 u[2][2], v[2];
    for (int i = 0; i < 2; i++) u[i][0] = weir__load8(up[i] + 2 * k), u[i][1] = weir__load8(up[i] + 2 * k + 8);
    eight_columns(u, down, 2 * (n - k - 7), scale, v, to_down);
    weir__store8(to_up + 2 * k, v[0]);
    weir__store8(to_up + 2 * k + 8, v[1]);
  }
  if (n - k == 7) {
    round_the_end(n, up, down, scale, to_up, to_down);
    return;
  }
  one_column(up, down, scale, 0, 0, to_up, to_down);
  for (; k < n; k++) one_column(up, down, scale, k, n - k, to_up, to_down);
}

/* Q takes the place of z[0]. `row`: room for a row of each. */
static void multiply(const weir__piv_correlator *c, float *const z[2], const float scale[2], float *row) {
  int64_t ny = c->size[0], nx = c->size[1], room = weir__piv_round16(2 * nx);
  float   whole     = 0.25F / (float)(ny * nx); /* FFTW's inverse is not normalised */
  float   factor[2] = {scale[0] * whole, scale[1] * whole};
  for (int64_t ky = 0; 2 * ky <= ny; ky++) {
    int64_t      back  = ky ? ny - ky : 0;
    float       *to_up = z[0] + 2 * ky * nx, *to_down = z[0] + 2 * back * nx;
    const float *up[2]   = {to_up, z[1] + 2 * ky * nx};
    const float *down[2] = {to_down, z[1] + 2 * back * nx};
    if (back == ky) { /* a row that is its own counterpart: each value is written twice, and read after */
      memcpy(row, up[0], 2 * (size_t)nx * sizeof *row);
      memcpy(row + room, up[1], 2 * (size_t)nx * sizeof *row);
      up[0] = down[0] = row;
      up[1] = down[1] = row + room;
    }
    two_rows(nx, up, down, factor, to_up, to_down);
  }
  z[0][0] = z[0][1] = 0; /* the means */
}

/* ---- planes ---- */

/* Real and imaginary parts, eight at a time: up to seven beyond n are read and written, too. */
WEIR__INLINE void separate8(int64_t n, const float *q, float *first, float *second) {
  for (int64_t i = 0; i < n; i += 8) {
    weir__float8 u = weir__load8(q + 2 * i), v = weir__load8(q + 2 * i + 8);
    weir__float8 low  = __builtin_shufflevector(u, v, 0, 1, 2, 3, 8, 9, 10, 11);
    weir__float8 high = __builtin_shufflevector(u, v, 4, 5, 6, 7, 12, 13, 14, 15);
    weir__store8(first + i, EVEN(low, high));
    weir__store8(second + i, ODD(low, high));
  }
}

/* Columns -search .. search of rows -search .. search of the inverse transform q, of both planes. From left to right
 * and from row to row: what is written beyond is overwritten. */
WEIR__WIDE static void separate(const int64_t size[2], const int64_t search[2], int64_t stride, const float *q,
                                float *first, float *second) {
  for (int64_t i = 0; i <= 2 * search[0]; i++, first += stride, second += stride) {
    int64_t      y   = i < search[0] ? size[0] - search[0] + i : i - search[0];
    const float *row = q + 2 * y * size[1];
    separate8(search[1], row + 2 * (size[1] - search[1]), first, second);
    separate8(search[1] + 1, row, first + search[1], second + search[1]);
  }
}

static void read_peaks(const weir__piv_correlator *c, const float *q, const weir__piv_flag flag[2], int64_t count,
                       float *plane, weir__piv_vector *vector) {
  int64_t size = weir__piv_plane_size(c);
  separate(c->size, c->settings.search, c->stride, q, plane, plane + size);
  for (int64_t k = 0; k < count; k++) {
    if (flag[k]) weir__piv_no_vector(&vector[k], flag[k]);
    else weir__piv_peaks(c, plane + k * size, &vector[k]);
  }
}

void weir__piv_fft_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                             const uint8_t *mask, int64_t row, int64_t rows, weir__piv_vector *vector, float *scratch) {
  const weir__piv_grid *grid  = &c->settings.grid;
  float                *z[2]  = {scratch, scratch + transform_floats(c)};
  float                *room  = z[1] + transform_floats(c);
  float                *plane = room + 2 * weir__piv_round16(2 * c->size[1]);
  memset(plane, 0, 2 * (size_t)weir__piv_plane_size(c) * sizeof *plane); /* what lies between rows is looked at, too */
  for (int64_t j = row; j < row + rows; j++, vector += grid->count[1])
    for (int64_t i = 0; i < grid->count[1]; i += 2) {
      int64_t        count    = grid->count[1] - i < 2 ? 1 : 2;
      float          scale[2] = {0, 0};
      weir__piv_flag flag[2]  = {WEIR__PIV_VALID, WEIR__PIV_VALID};
      if (count < 2) memset(z[1], 0, (size_t)transform_floats(c) * sizeof *scratch);
      for (int64_t k = 0; k < count; k++) {
        weir__piv_place place = {a, b, mask, grid->first[0] + j * grid->step[0],
                                 grid->first[1] + (i + k) * grid->step[1]};
        flag[k]               = fill(c, &place, z[k], &scale[k]);
        if (!flag[k]) fftwf_execute_dft(c->forward, (fftwf_complex *)z[k], (fftwf_complex *)z[k]);
      }
      multiply(c, z, scale, room);
      fftwf_execute_dft(c->inverse, (fftwf_complex *)z[0], (fftwf_complex *)z[0]);
      read_peaks(c, z[0], flag, count, plane, vector + i);
    }
}
