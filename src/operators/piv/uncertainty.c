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
 * Here they are weighted by a triangle that ends after BLOCK pixels on each axis, which cannot be negative (Newey &
 * West 1987, doi 10.2307/1913610): it is the mean square of the sums of D over all blocks of BLOCK x BLOCK pixels.
 * - A displacement that is left between the images gives D_i a mean, which is no noise. For Gaussian particles it is
 * the same part of a_i b_j + a_j b_i everywhere (the slope of ln a is linear), and that part is taken off. Measured on
 * windows of 32 x 32, ratio of the mean to the true random error of the three-point fit: 0.79 .. 1.2 for noise of 3 ..
 * 10 % of the peak, loss of 0 .. 30 %, 0.02 .. 0.1 particles per pixel and diameters of 1.5 .. 6 pixels; 1.6 without
 * any noise or loss (0.005 for 0.003 pixels). */
#include "operators/piv/piv.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 6, ALIGNMENT = 64, SUMS = 4 };

/* Scratch of one window; all rows are `stride` floats apart. */
typedef struct work {
  int64_t rows, columns, stride;
  double  weights;        /* their sum */
  int     block;          /* BLOCK, less for windows that hold few of them */
  float  *a, *b, *weight; /* [rows][columns] */
  float  *term, *both;    /* a_i b_j -+ a_j b_i, weighted */
  float  *across;         /* [rows + 2 * block - 2]: `term`, summed over `block` columns */
  float  *sum[SUMS];      /* by column: added up along rows, so that loops have no order to keep */
  float  *along[2];       /* weights of rows and columns */
} work;

static size_t padded(size_t count) {
  return (count + ALIGNMENT / sizeof(float)) & ~(size_t)(ALIGNMENT / sizeof(float) - 1);
}

static int64_t stride_of(const weir__piv_grid *grid) { return (int64_t)padded((size_t)(grid->window[1] + 2 * BLOCK)); }

size_t weir__piv_uncertainty_scratch(const weir__piv_grid *grid, int64_t columns) {
  (void)columns; /* one window after the other: the width of the image makes no difference */
  size_t plane = (size_t)(stride_of(grid) * grid->window[0]);
  return ALIGNMENT + sizeof(float) * (6 * plane + (SUMS + 2 * BLOCK) * (size_t)stride_of(grid) +
                                      padded((size_t)grid->window[0]) + padded((size_t)grid->window[1]));
}

/* As correlate.c weights windows. */
static void make_weights(weir__piv_weighting weighting, int64_t n, float *weight) {
  for (int64_t i = 0; i < n; i++) {
    double z  = ((double)i - 0.5 * (double)(n - 1)) / ((double)n / 3);
    weight[i] = weighting == WEIR__PIV_GAUSSIAN ? (float)exp(-0.5 * z * z) : 1;
  }
}

static void work_begin(work *w, const weir__piv_grid *grid, weir__piv_weighting weighting, void *scratch) {
  float  *at    = (float *)(((uintptr_t)scratch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  float **of[6] = {&w->a, &w->b, &w->weight, &w->term, &w->both, &w->across};
  w->rows       = grid->window[0];
  w->columns    = grid->window[1];
  w->stride     = stride_of(grid);
  w->block      = BLOCK;
  while (w->block > 1 && (3 * w->block > w->rows || 3 * w->block > w->columns)) w->block--;
  for (int i = 0; i < 6; i++, at += w->stride * w->rows) *of[i] = at;
  at += 2 * BLOCK * w->stride; /* more of the last one */
  for (int i = 0; i < SUMS; i++, at += w->stride) w->sum[i] = at;
  w->along[0] = at;
  w->along[1] = at + padded((size_t)w->rows);
  make_weights(weighting, w->rows, w->along[0]);
  make_weights(weighting, w->columns, w->along[1]);
}

static void clear(work *w, int sum) { memset(w->sum[sum], 0, (size_t)w->stride * sizeof(float)); }

static double total(const work *w, int sum) {
  double t = 0;
  for (int64_t x = 0; x < w->stride; x++) t += (double)w->sum[sum][x];
  return t;
}

/* ---- one window ---- */

/* Weights of pixels; those that are masked have none. Returns whether more than half of them are left. */
static bool weigh(work *w, const uint8_t *mask, int64_t columns) {
  int64_t masked = 0;
  for (int64_t y = 0; y < w->rows; y++) {
    float         *to = w->weight + y * w->stride, row = w->along[0][y];
    const uint8_t *m = mask ? mask + y * columns : NULL;
    for (int64_t x = 0; x < w->columns; x++) to[x] = row * w->along[1][x];
    for (int64_t x = 0; m && x < w->columns; x++)
      if (m[x]) to[x] = 0, masked++;
  }
  clear(w, 0);
  for (int64_t y = 0; y < w->rows; y++) {
    const float *restrict weight = w->weight + y * w->stride;
    float *restrict sum          = w->sum[0];
    for (int64_t x = 0; x < w->columns; x++) sum[x] += weight[x];
  }
  w->weights = total(w, 0);
  return 2 * masked <= w->rows * w->columns;
}

/* An image's window less its weighted mean. */
static void centre(work *w, const float *pixel, int64_t columns, float *to) {
  clear(w, 0);
  for (int64_t y = 0; y < w->rows; y++) {
    const float *restrict from = pixel + y * columns, *restrict weight = w->weight + y * w->stride;
    float *restrict sum = w->sum[0];
    for (int64_t x = 0; x < w->columns; x++) sum[x] += weight[x] * from[x];
  }
  float mean = (float)(total(w, 0) / w->weights);
  for (int64_t y = 0; y < w->rows; y++) {
    const float *restrict from = pixel + y * columns;
    float *restrict out        = to + y * w->stride;
    for (int64_t x = 0; x < w->columns; x++) out[x] = from[x] - mean;
  }
}

/* Terms of a row; `next`: floats from a pixel to its neighbour. Sums: 0 of both, 1 of term, 2 of products at 0. */
static void add_terms(work *w, int64_t at, int64_t next, int64_t n) {
  const float *restrict a = w->a + at, *restrict b = w->b + at, *restrict weight = w->weight + at;
  float *restrict term = w->term + at, *restrict both = w->both + at;
  float *restrict sum0 = w->sum[0], *restrict sum1 = w->sum[1], *restrict sum2 = w->sum[2];
  for (int64_t x = 0; x < n; x++) {
    float p  = weight[x] * weight[x + next];
    float up = p * (a[x] * b[x + next]), down = p * (a[x + next] * b[x]);
    float here = p * (a[x] * b[x] + a[x + next] * b[x + next]);
    term[x]    = up - down;
    both[x]    = up + down;
    sum0[x] += up + down;
    sum1[x] += up - down;
    sum2[x] += here;
  }
}

/* Sums of `block` values that are `apart` floats from one to the next. `block` is a constant where it is called. */
static inline void add_up(const float *restrict from, int block, int64_t apart, int64_t n, float *restrict to) {
  for (int64_t x = 0; x < n; x++) {
    float sum = from[x];
    for (int k = 1; k < block; k++) sum += from[x + k * apart];
    to[x] = sum;
  }
}

static void sum_block(const float *from, int block, int64_t apart, int64_t n, float *to) {
  if (block == BLOCK) add_up(from, BLOCK, apart, n, to);
  else add_up(from, block, apart, n, to);
}

/* Mean square of the sums over blocks, of rows x columns terms less `part` of both: the triangle's sum of covariances.
 * Blocks reach beyond the terms on all sides, where there is nothing. */
static double variance(work *w, int64_t rows, int64_t columns, float part) {
  int64_t edge = w->block - 1, wide = columns + edge, stride = w->stride;
  size_t  empty = (size_t)(edge * stride) * sizeof(float);
  clear(w, 0), clear(w, 3);
  memset(w->across, 0, empty);
  memset(w->across + (edge + rows) * stride, 0, empty);
  for (int64_t y = 0; y < rows; y++) {
    const float *restrict term = w->term + y * stride, *restrict both = w->both + y * stride;
    float *restrict line = w->sum[3] + edge; /* both ends stay empty */
    for (int64_t x = 0; x < columns; x++) line[x] = term[x] - part * both[x];
    sum_block(w->sum[3], w->block, 1, wide, w->across + (edge + y) * stride);
  }
  for (int64_t y = 0; y < rows + edge; y++) {
    float *restrict down = w->sum[1], *restrict squares = w->sum[0];
    sum_block(w->across + y * stride, w->block, stride, wide, down);
    for (int64_t x = 0; x < wide; x++) squares[x] += down[x] * down[x];
  }
  return total(w, 0) / (w->block * w->block);
}

static float estimate(work *w, int axis) {
  int64_t rows = w->rows - !axis, columns = w->columns - axis;
  if (rows < 1 || columns < 1) return NAN;
  for (int i = 0; i < 3; i++) clear(w, i);
  for (int64_t y = 0; y < rows; y++) add_terms(w, y * w->stride, axis ? 1 : w->stride, columns);
  double both = total(w, 0), side = both / 2, middle = total(w, 2) / 2;
  if (!(side > 0 && middle > side)) return NAN; /* no peak */
  double s  = sqrt(variance(w, rows, columns, (float)(total(w, 1) / both)));
  double up = side + s / 2, down = side - s / 2;
  double fit = down > 0 ? 4 * log(middle) - 2 * log(up) - 2 * log(down) : 0;
  return fit > 0 ? (float)((log(up) - log(down)) / fit) : NAN;
}

void weir__piv_uncertainty(const weir__piv_grid *grid, weir__piv_weighting weighting, const weir__piv_strip *a,
                           const weir__piv_strip *b, const uint8_t *mask, int64_t row, int64_t rows, float *udy,
                           float *udx, void *scratch) {
  work w;
  bool seen = true;
  work_begin(&w, grid, weighting, scratch);
  if (!mask) seen = weigh(&w, NULL, 0);
  for (int64_t r = row; r < row + rows; r++)
    for (int64_t c = 0; c < grid->count[1]; c++, udy++, udx++) {
      int64_t y = grid->first[0] + r * grid->step[0], x = grid->first[1] + c * grid->step[1];
      if (mask) seen = weigh(&w, mask + (y - a->y0) * a->columns + x, a->columns);
      *udy = *udx = NAN;
      if (!seen) continue;
      centre(&w, a->pixel + (y - a->y0) * a->columns + x, a->columns, w.a);
      centre(&w, b->pixel + (y - b->y0) * b->columns + x, b->columns, w.b);
      *udy = estimate(&w, 0);
      *udx = estimate(&w, 1);
    }
}
