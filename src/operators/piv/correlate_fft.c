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
#include "operators/piv/correlate_lanes.h"
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
  c->lanes                    = weir__piv_lanes_widest();
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
  int64_t        ny = c->size[0], nx = c->size[1];
  const float   *a = weir__piv_row(p->a, p->y, p->x), *b = weir__piv_row(p->b, p->y, p->x);
  float          level_f = row_mean(a + ny / 2 * p->a->columns, nx), level_g = row_mean(b + ny / 2 * p->b->columns, nx);
  double         n = (double)(ny * nx);
  weir__piv_sums s;
  c->lanes->crop(a, b, p->a->columns, c->size, level_f, level_g, z, &s);
  double f = s.ff - s.f * s.f / n, g = s.gg - s.g * s.g / n;
  if (!(f * WEIR__PIV_LEAST_SHARE > s.ff && g * WEIR__PIV_LEAST_SHARE > s.gg)) return fill_general(c, p, z, scale);
  *scale = (float)(1 / sqrt(f * g));
  return WEIR__PIV_VALID;
}

/* `any`: some of its pixels are masked. */
static weir__piv_flag fill(const weir__piv_correlator *c, const weir__piv_place *p, float *z, float *scale, bool *any) {
  weir__piv_flag flag = weir__piv_masked(c, p, any);
  if (!flag) {
    if (*any || c->weight || c->settings.padded) flag = fill_general(c, p, z, scale);
    else flag = fill_plain(c, p, z, scale);
  }
  if (flag) { /* what is no number must not reach the neighbour that shares the inverse transform */
    memset(z, 0, 2 * (size_t)(c->size[0] * c->size[1]) * sizeof *z);
    *scale = 0;
  }
  return flag;
}

/* ---- from transforms to that of the planes ---- */

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
    c->lanes->two_rows(nx, up, down, factor, to_up, to_down);
  }
  z[0][0] = z[0][1] = 0; /* the means */
}

/* ---- planes ---- */

/* Two windows, or the last one of a row. */
typedef struct couple {
  int64_t         count;
  weir__piv_place place[2];
  weir__piv_flag  flag[2];
  bool            masked[2]; /* some pixels are */
} couple;

/* `first`: number of the first of the two vectors. */
static void read_planes(const weir__piv_correlator *c, const float *q, const couple *two, float *plane,
                        const weir__piv_target *to, int64_t first) {
  int64_t size = weir__piv_plane_size(c);
  c->lanes->separate(c->size, c->settings.search, c->stride, q, plane, plane + size);
  for (int64_t k = 0; k < two->count; k++) {
    weir__piv_found found = {&two->place[k], two->flag[k], two->masked[k], plane + k * size};
    weir__piv_put(c, &found, to, first + k);
  }
}

void weir__piv_fft_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                             const uint8_t *mask, int64_t row, int64_t rows, const weir__piv_target *to,
                             float *scratch) {
  const weir__piv_grid *grid  = &c->settings.grid;
  float                *z[2]  = {scratch, scratch + transform_floats(c)};
  float                *room  = z[1] + transform_floats(c);
  float                *plane = room + 2 * weir__piv_round16(2 * c->size[1]);
  memset(plane, 0, 2 * (size_t)weir__piv_plane_size(c) * sizeof *plane); /* what lies between rows is looked at, too */
  for (int64_t j = row; j < row + rows; j++)
    for (int64_t i = 0; i < grid->count[1]; i += 2) {
      couple two      = {.count = grid->count[1] - i < 2 ? 1 : 2};
      float  scale[2] = {0, 0};
      if (two.count < 2) memset(z[1], 0, (size_t)transform_floats(c) * sizeof *scratch);
      for (int64_t k = 0; k < two.count; k++) {
        two.place[k] =
            (weir__piv_place){a, b, mask, grid->first[0] + j * grid->step[0], grid->first[1] + (i + k) * grid->step[1]};
        two.flag[k] = fill(c, &two.place[k], z[k], &scale[k], &two.masked[k]);
        if (!two.flag[k]) fftwf_execute_dft(c->forward, (fftwf_complex *)z[k], (fftwf_complex *)z[k]);
      }
      multiply(c, z, scale, room);
      fftwf_execute_dft(c->inverse, (fftwf_complex *)z[0], (fftwf_complex *)z[0]);
      read_planes(c, z[0], &two, plane, to, (j - row) * grid->count[1] + i);
    }
}
