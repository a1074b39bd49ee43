/* What a displacement is worth, from how the two images differ once they lie on each other (correlation statistics,
 * Wieneke 2015, doi 10.1088/0957-0233/26/7/074002).
 *
 * With a and b less their means, neighbours i and j = i + 1 along an axis and sums over a window, the correlation at
 * +1 is the sum of a_i b_j and at -1 the sum of a_j b_i. Were the images the same, the terms D_i = a_i b_j - a_j b_i
 * were all 0; noise and particles without a partner make their sum a number by chance. Its standard deviation s makes
 * the peak lean, so that three points of a Gaussian, C - s/2, C0, C + s/2 (C: mean of those at +1 and -1), have their
 * top at the uncertainty, (ln(C + s/2) - ln(C - s/2)) / (4 ln C0 - 2 ln(C + s/2) - 2 ln(C - s/2)).
 *
 * s^2 is the sum of the covariances of D_i and D_k over all pairs of near pixels: neighbours are not independent, as
 * particles and the deforming spline are wider than a pixel. Two things differ from the paper.
 * - It adds covariances outwards until they fall below 5 %. With noise of pixels those of direct neighbours are
 * negative, and sums that are cut off there can be negative, too: without noise or loss, 27 % of windows had no result.
 * The mean square of the sums of D over all blocks of B x B pixels weights them by a triangle that ends after B pixels
 * on each axis (Newey & West 1987, doi 10.2307/1913610). It cannot be negative, but counts the edges of blocks, across
 * which much cancels where images differ by how they were interpolated: an excess that goes as 1 / B. Twice that of
 * B = 2 HALF less that of B = HALF is without it (the flat-topped weights of Politis & Romano 1995,
 * doi 10.1111/j.1467-9892.1995.tb00223.x); it is kept above a part of the former.
 * - A displacement that is left between the images gives D_i a mean, which is no noise. For Gaussian particles it is
 * the same part of a_i b_j + a_j b_i everywhere (the slope of ln a is linear), and that part is taken off.
 * Measured on deformed windows of 32 x 32, ratio to the random error of uniform shifts: 0.78 .. 1.07 for diameters
 * of 1.5 .. 4 pixels, noise of 0 .. 6 % of the range, and 10 % of particles lost; with the triangle alone 0.74 .. 1.6.
 *
 * All of it is done with weights in the pixels: those of a pair are the product of its pixels', so a_i b_j of weighted
 * images is weighted, and pairs with a masked pixel vanish, as do those that reach beyond the window. */
#include "core/simd.h"
#include "operators/piv/piv.h"
#include <math.h>
#include <string.h>

enum { HALF = 3, LANES = 8, ALIGNMENT = 64 };
#define LEAST_PART 0.1
enum { UP_Y, UP_X, DOWN_Y, DOWN_X, HERE_Y, HERE_X, SUMS }; /* of a_i b_j, a_j b_i, a_i b_i + a_j b_j along an axis */

/* Sums of floats that become long are float64, four lanes: with more of them GCC 12 goes through memory. */
typedef double double4 __attribute__((vector_size(32)));
#define LOW(v)  __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3), double4)
#define HIGH(v) __builtin_convertvector(__builtin_shufflevector(v, v, 4, 5, 6, 7), double4)

/* Planes have rows of `stride` floats: the window's and at least LANES zeros, which are also those before the next row;
 * LANES zeros come before the first row, and a row of zeros after the last. */
typedef struct work {
  int64_t rows, columns, stride;
  int64_t extent;    /* pixels from the first window to the last in a row of them */
  int     half;      /* HALF, less for windows that hold few of such blocks */
  bool    weighted;  /* not all weights are 1 */
  float  *a, *b;     /* planes: less their means, weighted */
  float  *term[2];   /* planes: D, less what a displacement makes of it */
  float  *weight;    /* plane, of windows with masked pixels */
  float  *pairs[2];  /* planes of such: weights of both neighbours along an axis over the pixel's own */
  float  *along[2];  /* weights of rows and columns, where nothing is masked; zeros follow */
  float  *beside[2]; /* of those: as pairs */
  float  *column[2]; /* [extent]: sums of a and b over columns of a row of windows */
  float  *hidden;    /* [extent]: masked pixels there */
} work;

static int64_t round_up(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* Returns the floats that are needed. */
static int64_t lay_out(const weir__piv_grid *grid, float *scratch, work *w) {
  memset(w, 0, sizeof *w);
  w->rows       = grid->window[0];
  w->columns    = grid->window[1];
  w->stride     = round_up(w->columns) + LANES;
  w->extent     = (grid->count[1] - 1) * grid->step[1] + w->columns;
  int64_t plane = (w->rows + 1) * w->stride, row = round_up(w->extent), at = 0;
  float **of[] = {&w->a,        &w->b,        &w->term[0],   &w->term[1],   &w->weight,    &w->pairs[0],  &w->pairs[1],
                  &w->along[0], &w->along[1], &w->beside[0], &w->beside[1], &w->column[0], &w->column[1], &w->hidden};
  int64_t size[] = {
      plane,     plane, plane, plane, plane, plane, plane, round_up(w->rows), w->stride, round_up(w->rows),
      w->stride, row,   row,   row};
  for (int k = 0; k < 14; at += size[k++] + LANES)
    if (scratch) *of[k] = scratch + at + LANES;
  return at;
}

size_t weir__piv_uncertainty_scratch(const weir__piv_grid *grid, int64_t columns) {
  work w;
  (void)columns; /* the grid tells more */
  return ALIGNMENT + sizeof(float) * (size_t)lay_out(grid, NULL, &w);
}

/* As correlate.c weights windows. */
static void make_weights(weir__piv_weighting weighting, int64_t n, float *weight, float *beside) {
  for (int64_t i = 0; i < n; i++) {
    double z  = ((double)i - 0.5 * (double)(n - 1)) / ((double)n / 3);
    weight[i] = weighting == WEIR__PIV_GAUSSIAN ? (float)exp(-0.5 * z * z) : 1;
  }
  for (int64_t i = 0; i < n; i++)
    beside[i] = ((i > 0 ? weight[i - 1] : 0) + (i + 1 < n ? weight[i + 1] : 0)) / weight[i];
}

static void work_begin(work *w, const weir__piv_grid *grid, weir__piv_weighting weighting, void *scratch) {
  float *at = (float *)(((uintptr_t)scratch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  memset(at, 0, sizeof *at * (size_t)lay_out(grid, at, w));
  w->weighted = weighting != WEIR__PIV_UNIFORM;
  w->half     = HALF;
  while (w->half > 1 && (6 * w->half > w->rows || 6 * w->half > w->columns)) w->half--;
  make_weights(weighting, w->rows, w->along[0], w->beside[0]);
  make_weights(weighting, w->columns, w->along[1], w->beside[1]);
}

static double total_of(const double4 *v) { return ((*v)[0] + (*v)[2]) + ((*v)[1] + (*v)[3]); }

/* ---- a row of windows ---- */

/* Sums over columns, weighted by rows; four rows at once, as it is memory that takes the time. */
WEIR__WIDE static void sum_columns(const float *pixel, int64_t apart, int64_t rows, int64_t n,
                                   const float *restrict weight, float *restrict sum) {
  memset(sum, 0, (size_t)n * sizeof *sum);
  int64_t y = 0;
  for (; y + 4 <= rows; y += 4, pixel += 4 * apart) {
    const float *p0 = pixel, *p1 = p0 + apart, *p2 = p1 + apart, *p3 = p2 + apart;
    float        w0 = weight[y], w1 = weight[y + 1], w2 = weight[y + 2], w3 = weight[y + 3];
    for (int64_t x = 0; x < n; x++) sum[x] += (w0 * p0[x] + w1 * p1[x]) + (w2 * p2[x] + w3 * p3[x]);
  }
  for (; y < rows; y++, pixel += apart)
    for (int64_t x = 0; x < n; x++) sum[x] += weight[y] * pixel[x];
}

WEIR__WIDE static void count_masked(const uint8_t *mask, int64_t apart, int64_t rows, int64_t n, float *restrict sum) {
  memset(sum, 0, (size_t)n * sizeof *sum);
  for (int64_t y = 0; y < rows; y++, mask += apart)
    for (int64_t x = 0; x < n; x++) sum[x] += mask[x] != 0;
}

/* ---- one window ---- */

/* In float64, lane by lane. */
WEIR__WIDE static double dot(const float *x, const float *y, int64_t n) {
  double4 lanes = {0};
  double  rest  = 0;
  int64_t i     = 0;
  for (; i + LANES <= n; i += LANES) {
    weir__float8 f = weir__load8(x + i), g = weir__load8(y + i);
    lanes += LOW(f) * LOW(g) + HIGH(f) * HIGH(g);
  }
  for (; i < n; i++) rest += (double)x[i] * (double)y[i];
  return total_of(&lanes) + rest;
}

static double sum_of(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)x[i];
  return sum;
}

/* Weights of a window with masked pixels, which have none. */
static void weigh(work *w, const uint8_t *mask, int64_t apart) {
  for (int64_t y = 0; y < w->rows; y++)
    for (int64_t x = 0; x < w->columns; x++)
      w->weight[y * w->stride + x] = mask[y * apart + x] ? 0 : w->along[0][y] * w->along[1][x];
  for (int64_t y = 0; y < w->rows; y++)
    for (int64_t x = 0; x < w->columns; x++) {
      int64_t      at   = y * w->stride + x;
      const float *here = w->weight + at;
      float        own  = *here > 0 ? 1 / *here : 0; /* a row of zeros comes after the last */
      w->pairs[0][at]   = own * ((y > 0 ? here[-w->stride] : 0) + here[w->stride]);
      w->pairs[1][at]   = own * (here[-1] + here[1]);
    }
}

static double masked_mean(const work *w, const float *pixel, int64_t apart) {
  double sum = 0, weights = 0;
  for (int64_t y = 0; y < w->rows; y++) {
    sum += dot(w->weight + y * w->stride, pixel + y * apart, w->columns);
    weights += sum_of(w->weight + y * w->stride, w->columns);
  }
  return sum / weights;
}

/* An image's window less its weighted mean; what is beyond its columns stays 0. */
WEIR__WIDE static void centre(const work *w, const float *restrict pixel, int64_t apart, float mean,
                              float *restrict to) {
  int64_t n = w->columns, whole = n / LANES * LANES;
  for (int64_t y = 0; y < w->rows; y++, pixel += apart, to += w->stride) {
    for (int64_t x = 0; x < whole; x += LANES) weir__store8(to + x, weir__load8(pixel + x) - mean);
    for (int64_t x = whole; x < n; x++) to[x] = pixel[x] - mean;
  }
}

WEIR__WIDE static void apply_weights(const work *w, bool masked, float *restrict plane) {
  for (int64_t y = 0; y < w->rows; y++, plane += w->stride)
    for (int64_t x = 0; x < w->stride - LANES; x += LANES) {
      weir__float8 weight = weir__load8(w->along[1] + x) * w->along[0][y];
      if (masked) weight = weir__load8(w->weight + y * w->stride + x);
      weir__store8(plane + x, weir__load8(plane + x) * weight);
    }
}

/* The sums of products, down one strip of columns after the other. */
WEIR__INLINE void add_products(const work *w, bool masked, double4 *sum) {
  for (int64_t x = 0; x < w->columns; x += LANES) {
    const float *a = w->a + x, *b = w->b + x, *py = w->pairs[0] + x, *px = w->pairs[1] + x;
    weir__float8 s[SUMS] = {{0}}, f = weir__load8(a), g = weir__load8(b);
    for (int64_t y = 0; y < w->rows; y++) {
      weir__float8 here = f * g;
      s[UP_X] += f * weir__load8(b + 1);
      s[DOWN_X] += g * weir__load8(a + 1);
      a += w->stride, b += w->stride;
      weir__float8 f1 = weir__load8(a), g1 = weir__load8(b);
      s[UP_Y] += f * g1;
      s[DOWN_Y] += g * f1;
      f = f1, g = g1;
      if (masked) {
        s[HERE_Y] += here * weir__load8(py), py += w->stride;
        s[HERE_X] += here * weir__load8(px), px += w->stride;
      } else {
        s[HERE_Y] += here * w->beside[0][y];
        s[HERE_X] += here;
      }
    }
    if (!masked) s[HERE_X] *= weir__load8(w->beside[1] + x);
    for (int k = 0; k < SUMS; k++) sum[k] += LOW(s[k]) + HIGH(s[k]);
  }
}

WEIR__WIDE static void sum_products(const work *w, bool masked, double *sum) {
  double4 lanes[SUMS] = {{0}};
  if (masked) add_products(w, true, lanes);
  else add_products(w, false, lanes);
  for (int k = 0; k < SUMS; k++) sum[k] = total_of(&lanes[k]);
}

/* a_i b_j - a_j b_i less `part` of a_i b_j + a_j b_i, along both axes. */
WEIR__WIDE static void put_terms(const work *w, const float part[2]) {
  float up_y = 1 - part[0], down_y = 1 + part[0], up_x = 1 - part[1], down_x = 1 + part[1];
  for (int64_t x = 0; x < w->columns; x += LANES) {
    const float *a = w->a + x, *b = w->b + x;
    float       *ty = w->term[0] + x, *tx = w->term[1] + x;
    weir__float8 f = weir__load8(a), g = weir__load8(b);
    for (int64_t y = 0; y < w->rows; y++, ty += w->stride, tx += w->stride) {
      weir__store8(tx, up_x * (f * weir__load8(b + 1)) - down_x * (g * weir__load8(a + 1)));
      a += w->stride, b += w->stride;
      weir__float8 f1 = weir__load8(a), g1 = weir__load8(b);
      weir__store8(ty, up_y * (f * g1) - down_y * (g * f1));
      f = f1, g = g1;
    }
  }
}

/* Squares of the sums over all blocks of half x half pixels into sum[0], and of twice that into sum[1], that have their
 * left column in a strip from `term` on; `half` is a constant where this is inlined. Blocks reach beyond the terms on
 * all sides, where there is nothing. What is taken from row to row: lines of both widths, and their sums over `half`
 * rows. */
WEIR__INLINE void add_squares(const float *term, int64_t rows, int64_t stride, int half, double4 sum[2]) {
  weir__float8 thin1 = {0}, thin2 = {0}, wide1 = {0}, wide2 = {0};
  weir__float8 tall1 = {0}, tall2 = {0}, tall3 = {0}, small = {0}, large = {0};
#pragma GCC unroll 3
  for (int64_t y = 0; y < rows + 2 * half - 1; y++, term += stride) {
    weir__float8 thin = {0}, wide = {0};
    if (y < rows) {
      weir__float8 other = weir__load8(term + half);
      thin               = weir__load8(term);
      for (int k = 1; k < half; k++) thin += weir__load8(term + k), other += weir__load8(term + half + k);
      wide = thin + other;
    }
    weir__float8 low = thin, tall = wide, before = half == 3 ? tall3 : half == 2 ? tall2 : tall1;
    if (half > 1) low += thin1, tall += wide1;
    if (half > 2) low += thin2, tall += wide2;
    weir__float8 all = tall + before;
    small += low * low;
    large += all * all;
    thin2 = thin1, thin1 = thin, wide2 = wide1, wide1 = wide;
    tall3 = tall2, tall2 = tall1, tall1 = tall;
  }
  sum[0] += LOW(small) + HIGH(small);
  sum[1] += LOW(large) + HIGH(large);
}

/* Of the sum of all terms: mean squares over blocks of both sizes, extrapolated. */
WEIR__WIDE static double variance(const work *w, int axis) {
  double4 sum[2] = {{0}, {0}};
  for (int64_t x = -LANES; x < w->columns; x += LANES) {
    const float *term = w->term[axis] + x;
    switch (w->half) {
    case 3: add_squares(term, w->rows, w->stride, 3, sum); break;
    case 2: add_squares(term, w->rows, w->stride, 2, sum); break;
    default: add_squares(term, w->rows, w->stride, 1, sum);
    }
  }
  double pixels = w->half * w->half, small = total_of(&sum[0]) / pixels, large = total_of(&sum[1]) / (4 * pixels);
  double whole = 2 * large - small;
  return whole > LEAST_PART * large ? whole : LEAST_PART * large;
}

/* From a window's images in w->a, w->b. */
static void estimate(const work *w, bool masked, float *u[2]) {
  double sum[SUMS];
  float  part[2];
  sum_products(w, masked, sum);
  for (int axis = 0; axis < 2; axis++) {
    double up = sum[UP_Y + axis], down = sum[DOWN_Y + axis];
    part[axis] = (float)((up - down) / (up + down));
  }
  put_terms(w, part);
  for (int axis = 0; axis < 2; axis++) {
    double side = (sum[UP_Y + axis] + sum[DOWN_Y + axis]) / 2, middle = sum[HERE_Y + axis] / 2;
    if (!(side > 0 && middle > side)) continue; /* no peak */
    double s  = sqrt(variance(w, axis));
    double up = side + s / 2, down = side - s / 2;
    double fit = down > 0 ? 4 * log(middle) - 2 * log(up) - 2 * log(down) : 0;
    if (fit > 0) *u[axis] = (float)((log(up) - log(down)) / fit);
  }
}

/* The windows of one grid row, whose first pixels these are. */
static void estimate_row(const weir__piv_grid *grid, work *w, const float *a, const float *b, const uint8_t *mask,
                         int64_t apart, float *udy, float *udx) {
  double all = sum_of(w->along[0], w->rows) * sum_of(w->along[1], w->columns);
  sum_columns(a, apart, w->rows, w->extent, w->along[0], w->column[0]);
  sum_columns(b, apart, w->rows, w->extent, w->along[0], w->column[1]);
  if (mask) count_masked(mask, apart, w->rows, w->extent, w->hidden);
  for (int64_t c = 0, x = 0; c < grid->count[1]; c++, x += grid->step[1]) {
    double masked = mask ? sum_of(w->hidden + x, w->columns) : 0, mean[2];
    udy[c] = udx[c] = NAN;
    if (4 * masked > 3 * (double)(w->rows * w->columns)) continue;
    if (masked > 0) weigh(w, mask + x, apart);
    for (int k = 0; k < 2; k++)
      mean[k] =
          masked > 0 ? masked_mean(w, (k ? b : a) + x, apart) : dot(w->along[1], w->column[k] + x, w->columns) / all;
    centre(w, a + x, apart, (float)mean[0], w->a);
    centre(w, b + x, apart, (float)mean[1], w->b);
    if (masked > 0 || w->weighted) apply_weights(w, masked > 0, w->a), apply_weights(w, masked > 0, w->b);
    estimate(w, masked > 0, (float *[2]){udy + c, udx + c});
  }
}

void weir__piv_uncertainty(const weir__piv_grid *grid, weir__piv_weighting weighting, const weir__piv_strip *a,
                           const weir__piv_strip *b, const uint8_t *mask, int64_t row, int64_t rows, float *udy,
                           float *udx, void *scratch) {
  work w;
  work_begin(&w, grid, weighting, scratch);
  for (int64_t r = row; r < row + rows; r++, udy += grid->count[1], udx += grid->count[1]) {
    int64_t y = grid->first[0] + r * grid->step[0], x = grid->first[1];
    estimate_row(grid, &w, a->pixel + (y - a->y0) * a->columns + x, b->pixel + (y - b->y0) * b->columns + x,
                 mask ? mask + (y - a->y0) * a->columns + x : NULL, a->columns, udy, udx);
  }
}
