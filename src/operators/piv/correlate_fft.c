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

static inline void interleave4(float *z, weir__float4 f, weir__float4 g) {
  weir__store4(z, __builtin_shuffle(f, g, (weir__int4){0, 4, 1, 5}));
  weir__store4(z + 4, __builtin_shuffle(f, g, (weir__int4){2, 6, 3, 7}));
}

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

/* All pixels with the same weight, none added. The mean need not be taken away before, as it has a place of its own
 * in the transform: a level near it is enough, that of the row in the middle. Where rounding could be felt, because
 * the contrast is small beside the distance from that level, the general way is taken. `scale`: 1 / sqrt(energy f *
 * energy g). */
static weir__piv_flag fill_plain(const weir__piv_correlator *c, const weir__piv_place *p, float *z, float *scale) {
  float       *to = z;
  int64_t      ny = c->size[0], nx = c->size[1], whole = nx / 8 * 8;
  float        level_f  = row_mean(weir__piv_row(p->a, p->y + ny / 2, p->x), nx);
  float        level_g  = row_mean(weir__piv_row(p->b, p->y + ny / 2, p->x), nx);
  weir__float4 sum_f[2] = {{0}}, sum_g[2] = {{0}}, square_f[2] = {{0}}, square_g[2] = {{0}};
  double       rest[4] = {0};
  for (int64_t y = 0; y < ny; y++) {
    const float *a = weir__piv_row(p->a, p->y + y, p->x), *b = weir__piv_row(p->b, p->y + y, p->x);
    for (int64_t x = 0; x < whole; x += 8, to += 16)
      for (int k = 0; k < 2; k++) { /* two at once: additions take their time */
        weir__float4 f = weir__load4(a + x + 4 * k) - level_f, g = weir__load4(b + x + 4 * k) - level_g;
        sum_f[k] += f, square_f[k] += f * f;
        sum_g[k] += g, square_g[k] += g * g;
        interleave4(to + 8 * k, f, g);
      }
    for (int64_t x = whole; x < nx; x++, to += 2) {
      float f = a[x] - level_f, g = b[x] - level_g;
      rest[0] += (double)f, rest[1] += (double)(f * f);
      rest[2] += (double)g, rest[3] += (double)(g * g);
      to[0] = f, to[1] = g;
    }
  }
  double n = (double)(ny * nx), sf = (double)weir__sum4(sum_f[0] + sum_f[1]) + rest[0],
         sg = (double)weir__sum4(sum_g[0] + sum_g[1]) + rest[2];
  double qf = (double)weir__sum4(square_f[0] + square_f[1]) + rest[1],
         qg = (double)weir__sum4(square_g[0] + square_g[1]) + rest[3];
  double f = qf - sf * sf / n, g = qg - sg * sg / n;
  if (!(f * WEIR__PIV_LEAST_SHARE > qf && g * WEIR__PIV_LEAST_SHARE > qg)) return fill_general(c, p, z, scale);
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

typedef struct both { /* 4 P(k) of one window, real and imaginary part */
  weir__float4 re, im;
} both;

/* up: Z(k) and the three that follow; down: those before Z(-k), Z(-k) last. */
static inline both product4(const float *up, const float *down, float scale) {
  const weir__int4 even = {0, 2, 4, 6}, odd = {1, 3, 5, 7}, even_back = {6, 4, 2, 0}, odd_back = {7, 5, 3, 1};
  weir__float4     u0 = weir__load4(up), u1 = weir__load4(up + 4), d0 = weir__load4(down), d1 = weir__load4(down + 4);
  weir__float4     r1 = __builtin_shuffle(u0, u1, even), i1 = __builtin_shuffle(u0, u1, odd);
  weir__float4     r2 = __builtin_shuffle(d0, d1, even_back), i2 = __builtin_shuffle(d0, d1, odd_back);
  both             p = {(r1 * i2 + i1 * r2) * (2 * scale), ((r2 * r2 + i2 * i2) - (r1 * r1 + i1 * i1)) * scale};
  return p;
}

static inline void product1(const float *up, const float *down, float scale, float p[2]) {
  p[0] = (up[0] * down[1] + up[1] * down[0]) * (2 * scale);
  p[1] = ((down[0] * down[0] + down[1] * down[1]) - (up[0] * up[0] + up[1] * up[1])) * scale;
}

/* Columns k and n - k of two rows: Q = P + i P' of both windows, with P(-k) = P*(k). */
static inline void one_column(const float *const up[2], const float *const down[2], const float scale[2], int64_t k,
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
static void two_rows(int64_t n, const float *const up[2], const float *const down[2], const float scale[2],
                     float *to_up, float *to_down) {
  int64_t k = 1;
  one_column(up, down, scale, 0, 0, to_up, to_down);
  for (; k + 4 <= n; k += 4) {
    int64_t      back = 2 * (n - k - 3);
    both         p    = product4(up[0] + 2 * k, down[0] + back, scale[0]);
    both         q    = product4(up[1] + 2 * k, down[1] + back, scale[1]);
    weir__float4 re = p.re + q.im, im = q.re - p.im;
    interleave4(to_up + 2 * k, p.re - q.im, p.im + q.re);
    weir__store4(to_down + back, __builtin_shuffle(re, im, (weir__int4){3, 7, 2, 6}));
    weir__store4(to_down + back + 4, __builtin_shuffle(re, im, (weir__int4){1, 5, 0, 4}));
  }
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

/* Real and imaginary parts, four at a time: up to three beyond n are read and written, too. */
static void separate4(int64_t n, const float *q, float *first, float *second) {
  for (int64_t i = 0; i < n; i += 4) {
    weir__float4 low = weir__load4(q + 2 * i), high = weir__load4(q + 2 * i + 4);
    weir__store4(first + i, __builtin_shuffle(low, high, (weir__int4){0, 2, 4, 6}));
    weir__store4(second + i, __builtin_shuffle(low, high, (weir__int4){1, 3, 5, 7}));
  }
}

/* Columns -search .. search of a row of the inverse transform, of both planes. From left to right and from row to row:
 * what is written beyond is overwritten. */
static void separate(int64_t n, int64_t search, const float *q, float *first, float *second) {
  separate4(search, q + 2 * (n - search), first, second);
  separate4(search + 1, q, first + search, second + search);
}

static void read_peaks(const weir__piv_correlator *c, const float *q, const weir__piv_flag flag[2], int64_t count,
                       float *plane, weir__piv_vector *vector) {
  int64_t search = c->settings.search[0], size = weir__piv_plane_size(c);
  for (int64_t i = 0; i <= 2 * search; i++) {
    int64_t y = i < search ? c->size[0] - search + i : i - search;
    separate(c->size[1], c->settings.search[1], q + 2 * y * c->size[1], plane + i * c->stride,
             plane + size + i * c->stride);
  }
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
