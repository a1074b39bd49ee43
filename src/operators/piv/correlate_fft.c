/* Correlation by Fourier transforms, two at a time: both windows of a vector are the real and the imaginary part of one
 * complex transform, and the planes of two neighbouring vectors those of one inverse transform. That is one and a half
 * complex transforms per vector, where three real ones took almost three times as long (32 x 32).
 *
 * With Z the transform of f + i g, those of f and g are F(k) = (Z(k) + Z*(-k)) / 2 and G(k) = (Z(k) - Z*(-k)) / 2i, and
 *   F*(k) G(k) = ( 2 Im(Z(k) Z(-k)) - i (|Z(k)|^2 - |Z(-k)|^2) ) / 4.
 *
 * A window's transform is one along its lines and one down its columns. Windows below each other share lines, so those
 * are transformed once for all that they cross (at 50 % overlap little more than half of them). The mean need not be
 * taken away before, as it has a place of its own in the transform.
 *
 * Plans are made with FFTW_ESTIMATE: FFTW_MEASURE chooses by the clock, and with another plan the last bits differ. For
 * complex transforms of one window at a time little is lost (32 x 32: 1.25 us against 1.19; interleaved batches
 * took 1.2 to 1.7, split ones 4.6 to 9). Pairs are those of columns 0 and 1, 2 and 3 ... of the grid whatever rows are
 * asked for, and every line is a lane of one routine, so that rounding does not depend on how rows are shared out. */
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

/* Mean squares may be so many times the variance (means 20 times the contrast) before rounding could be felt. */
enum { LEAST_CONTRAST = 400 };
enum { BATCH = 8, SHARED_BYTES = 32 * 1024 }; /* lines transformed by one call; memory for those of a group */

/* Rows of the grid at a time: as many as fit, if they share lines at all. */
static int64_t group_of(const weir__piv_correlator *c) {
  const weir__piv_grid *grid = &c->settings.grid;
  int64_t               fit  = SHARED_BYTES / (8 * c->pitch) - grid->window[0];
  if (c->settings.padded || c->weight) return 0;
  return fit < grid->step[0] || grid->step[0] > grid->window[0] ? 1 : 1 + fit / grid->step[0];
}
/* That a group may have, in whole batches. */
static int64_t lines_of(const weir__piv_correlator *c, int64_t rows) {
  int64_t lines = (rows - 1) * c->settings.grid.step[0] + c->settings.grid.window[0];
  return rows ? (lines + BATCH - 1) / BATCH * BATCH : 0;
}

static bool make_plans(weir__piv_correlator *c) {
  int            ny = (int)c->size[0], nx = (int)c->size[1], apart = (int)c->pitch;
  int64_t        lines = lines_of(c, c->group);
  fftwf_complex *z     = fftwf_malloc((size_t)(ny * nx) * sizeof *z),
                *line  = fftwf_malloc((size_t)(lines * apart + 1) * sizeof *z);
  if (z && line) {
    c->forward = fftwf_plan_dft_2d(ny, nx, z, z, FFTW_FORWARD, FFTW_ESTIMATE);
    c->inverse = fftwf_plan_dft_2d(ny, nx, z, z, FFTW_BACKWARD, FFTW_ESTIMATE);
    if (c->group) {
      c->lines =
          fftwf_plan_many_dft(1, &nx, BATCH, line, NULL, 1, apart, line, NULL, 1, apart, FFTW_FORWARD, FFTW_ESTIMATE);
      c->columns = fftwf_plan_many_dft(1, &ny, nx, line, NULL, apart, 1, z, NULL, nx, 1, FFTW_FORWARD, FFTW_ESTIMATE);
    }
  }
  fftwf_free(z);
  fftwf_free(line);
  return c->forward && c->inverse && (!c->group || (c->lines && c->columns));
}

weir_status weir__piv_fft_create(weir__piv_correlator *c) {
  const weir__piv_settings *s = &c->settings;
  c->lanes                    = weir__piv_lanes_widest();
  for (int k = 0; k < 2; k++) c->size[k] = s->padded ? quick_size(s->grid.window[k] + s->search[k]) : s->grid.window[k];
  c->pitch = (c->size[1] + 3) / 4 * 4; /* lines begin where FFTW expects them to */
  c->group = group_of(c);
  weir__planner_lock();
  bool made = make_plans(c);
  weir__planner_unlock();
  if (!made)
    return WEIR_FAIL(WEIR_ERR_MEMORY, "no memory for a Fourier transform of %lld x %lld pixels", (long long)c->size[0],
                     (long long)c->size[1]);
  return WEIR_OK;
}

/* Where everything is in the scratch; returns its floats. */
typedef struct room {
  float          *z[2];      /* transforms */
  float          *shared[2]; /* transforms of a group's lines */
  weir__piv_line *line[2];   /* what they were */
  float          *row;       /* of both transforms */
  float          *plane;     /* two */
} room;

static int64_t lay_out(const weir__piv_correlator *c, float *scratch, room *r) {
  int64_t lines = lines_of(c, c->group), transform = weir__piv_round16(2 * c->size[0] * c->size[1]);
  int64_t shared = weir__piv_round16(2 * lines * c->pitch), about = weir__piv_round16(4 * lines), at = 0;
  for (int k = 0; k < 2; k++, at += transform) r->z[k] = scratch + at;
  for (int k = 0; k < 2; k++, at += shared) r->shared[k] = scratch + at;
  for (int k = 0; k < 2; k++, at += about) r->line[k] = (weir__piv_line *)(scratch + at);
  r->row   = scratch + at, at += 2 * weir__piv_round16(2 * c->size[1]);
  r->plane = scratch + at, at += 2 * weir__piv_plane_size(c);
  return at;
}
size_t weir__piv_fft_scratch(const weir__piv_correlator *c) {
  room  r;
  float none;
  return (size_t)lay_out(c, &none, &r) * sizeof none;
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

/* The lines of windows in one column of the grid, and their transforms. */
static void transform_lines(const weir__piv_correlator *c, const weir__piv_place *first, int64_t rows, float *to,
                            weir__piv_line *line) {
  int64_t lines = (rows - 1) * c->settings.grid.step[0] + c->size[0], whole = lines_of(c, rows), apart = 2 * c->pitch;
  c->lanes->crop(weir__piv_row(first->a, first->y, first->x), weir__piv_row(first->b, first->y, first->x),
                 first->a->columns, lines, c->size[1], c->pitch, to, line);
  memset(to + lines * apart, 0, (size_t)((whole - lines) * apart) * sizeof *to);
  for (int64_t k = 0; k < whole; k += BATCH) {
    fftwf_complex *z = (fftwf_complex *)(to + k * apart);
    fftwf_execute_dft(c->lines, z, z);
  }
}

/* Energies of a window from sums over its lines. False: the contrast is so small beside the mean that rounding could be
 * felt, or there is none. */
static bool add_lines(const weir__piv_correlator *c, const weir__piv_line *line, double energy[2]) {
  double f = 0, ff = 0, g = 0, gg = 0, n = (double)(c->size[0] * c->size[1]);
  for (int64_t y = 0; y < c->size[0]; y++) {
    f += (double)line[y].f, ff += (double)line[y].ff;
    g += (double)line[y].g, gg += (double)line[y].gg;
  }
  energy[0] = ff - f * f / n, energy[1] = gg - g * g / n;
  return energy[0] * LEAST_CONTRAST > ff && energy[1] * LEAST_CONTRAST > gg;
}

/* A window's transform. `below`: lines of its group above it. `scale`: 1 / sqrt(energy f * energy g). `any`: some of
 * its pixels are masked. */
static weir__piv_flag transform(const weir__piv_correlator *c, const weir__piv_place *p, const room *r, int k,
                                int64_t below, float *scale, bool *any) {
  fftwf_complex *z    = (fftwf_complex *)r->z[k];
  weir__piv_flag flag = weir__piv_masked(c, p, any);
  double         energy[2];
  if (!flag && c->group && !*any && add_lines(c, r->line[k] + below, energy)) {
    fftwf_execute_dft(c->columns, (fftwf_complex *)(r->shared[k] + 2 * below * c->pitch), z);
    *scale = (float)(1 / sqrt(energy[0] * energy[1]));
    return WEIR__PIV_VALID;
  }
  if (!flag) flag = fill_general(c, p, r->z[k], scale);
  if (!flag) fftwf_execute_dft(c->forward, z, z);
  if (flag) { /* what is no number must not reach the neighbour that shares the inverse transform */
    memset(z, 0, (size_t)(c->size[0] * c->size[1]) * sizeof *z);
    *scale = 0;
  }
  return flag;
}

/* ---- from transforms to that of the planes ---- */

/* Q takes the place of z[0]. `row`: room for a row of each. */
static void multiply(const weir__piv_correlator *c, float *const z[2], const float scale[2], float *row) {
  int64_t ny = c->size[0], nx = c->size[1], apart = weir__piv_round16(2 * nx);
  float   whole     = 0.25F / (float)(ny * nx); /* FFTW's inverse is not normalised */
  float   factor[2] = {scale[0] * whole, scale[1] * whole};
  for (int64_t ky = 0; 2 * ky <= ny; ky++) {
    int64_t      back  = ky ? ny - ky : 0;
    float       *to_up = z[0] + 2 * ky * nx, *to_down = z[0] + 2 * back * nx;
    const float *up[2]   = {to_up, z[1] + 2 * ky * nx};
    const float *down[2] = {to_down, z[1] + 2 * back * nx};
    if (back == ky) { /* a row that is its own counterpart: each value is written twice, and read after */
      memcpy(row, up[0], 2 * (size_t)nx * sizeof *row);
      memcpy(row + apart, up[1], 2 * (size_t)nx * sizeof *row);
      up[0] = down[0] = row;
      up[1] = down[1] = row + apart;
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

/* `rows` rows of two columns of the grid; `from`: the first windows of both. */
static void correlate_columns(const weir__piv_correlator *c, const couple *from, int64_t rows, const room *r,
                              const weir__piv_target *to, int64_t number) {
  const weir__piv_grid *grid = &c->settings.grid;
  if (c->group)
    for (int64_t k = 0; k < from->count; k++) transform_lines(c, &from->place[k], rows, r->shared[k], r->line[k]);
  for (int64_t j = 0; j < rows; j++, number += grid->count[1]) {
    couple two      = *from;
    float  scale[2] = {0, 0};
    for (int k = 0; k < two.count; k++) {
      two.place[k].y += j * grid->step[0];
      two.flag[k] = transform(c, &two.place[k], r, k, j * grid->step[0], &scale[k], &two.masked[k]);
    }
    if (two.count < 2) memset(r->z[1], 0, 2 * (size_t)(c->size[0] * c->size[1]) * sizeof(float));
    multiply(c, r->z, scale, r->row);
    fftwf_execute_dft(c->inverse, (fftwf_complex *)r->z[0], (fftwf_complex *)r->z[0]);
    read_planes(c, r->z[0], &two, r->plane, to, number);
  }
}

void weir__piv_fft_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                             const uint8_t *mask, int64_t row, int64_t rows, const weir__piv_target *to,
                             float *scratch) {
  const weir__piv_grid *grid  = &c->settings.grid;
  int64_t               group = c->group ? c->group : 1;
  room                  r;
  lay_out(c, scratch, &r);
  memset(r.plane, 0,
         2 * (size_t)weir__piv_plane_size(c) * sizeof *r.plane); /* what lies between rows is looked at, too */
  for (int64_t j = 0; j < rows; j += group)
    for (int64_t i = 0; i < grid->count[1]; i += 2) {
      int64_t y = grid->first[0] + (row + j) * grid->step[0], x = grid->first[1] + i * grid->step[1];
      couple  first = {.count = grid->count[1] - i < 2 ? 1 : 2,
                       .place = {{a, b, mask, y, x}, {a, b, mask, y, x + grid->step[1]}}};
      correlate_columns(c, &first, rows - j < group ? rows - j : group, &r, to, j * grid->count[1] + i);
    }
}
