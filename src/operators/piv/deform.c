/* Images moved by a displacement known roughly: both half way towards each other (Scarano & Riethmuller 2000,
 * doi 10.1007/s003480070007). A row of the result takes two steps: the displacement of its pixels, a spline through the
 * values of the grid, and the image there, a spline through its pixels. */
#include "core/simd.h"
#include "operators/piv/piv.h"
#include "operators/piv/spline.h"
#include <math.h>
#include <string.h>

/* PAD: floats before and behind a row's columns, zeros where no coefficients. RUN pixels at a time are loaded and
 * stored past the end of what belongs together; what comes of that is overwritten by what follows. */
enum { ALIGNMENT = 64, RUN = 8, PAD = 24, BEFORE = 8, CUT = 2 * WEIR__SPLINE_REACH + 4 };
enum { ABOVE = WEIR__SPLINE_QUINTIC_BEFORE, BELOW = WEIR__SPLINE_QUINTIC_AFTER }; /* rows of coefficients, at most */

static size_t aligned(size_t nbytes) { return (nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static float *take(char **scratch, size_t count) {
  char *at = (char *)(((uintptr_t)*scratch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  *scratch = at + aligned(count * sizeof(float));
  return (float *)(void *)at;
}

/* ---- coefficients of a block of rows, with those beyond its ends ---- */

typedef struct block {
  float  *at; /* of its first sample */
  int64_t rows, columns, stride;
} block;

/* Rows of images whose sizes are powers of 2 would share few cache lines: an odd number of lines between. */
static int64_t block_stride(int64_t columns) {
  int64_t lines = (columns + PAD + 15) / 16;
  return (lines | 1) * 16;
}

static size_t block_floats(int64_t rows, int64_t columns) {
  return (size_t)(block_stride(columns) * (ABOVE + rows + BELOW) + PAD);
}

static size_t block_bytes(int64_t rows, int64_t columns) {
  return aligned(block_floats(rows, columns) * sizeof(float));
}

static block take_block(int64_t rows, int64_t columns, char **scratch) {
  int64_t stride = block_stride(columns);
  float  *memory = take(scratch, block_floats(rows, columns));
  return (block){memory + ABOVE * stride + BEFORE, rows, columns, stride};
}

static void fill_block(const block *b, weir__spline_samples samples, void *scratch) {
  int64_t behind = b->columns + WEIR__SPLINE_AFTER;
  weir__spline_rows(samples, b->at, b->rows, b->columns, b->stride, scratch);
  weir__spline_extend_rows(b->at, b->rows, b->columns, b->stride);
  for (int64_t y = -1; y < b->rows + 2; y++)
    memset(b->at + y * b->stride + behind, 0, (size_t)(b->stride - behind - WEIR__SPLINE_BEFORE) * sizeof(float));
  weir__spline_columns(b->at - WEIR__SPLINE_BEFORE, b->rows, behind + WEIR__SPLINE_BEFORE, b->stride);
  weir__spline_extend_columns(b->at - WEIR__SPLINE_BEFORE, b->rows, behind + WEIR__SPLINE_BEFORE, b->stride);
}

static void fill_block_quintic(const block *b, weir__spline_samples samples, void *scratch) {
  enum { LEFT = WEIR__SPLINE_QUINTIC_BEFORE };
  int64_t behind = b->columns + WEIR__SPLINE_QUINTIC_AFTER;
  weir__spline_quintic_rows(samples, b->at, b->rows, b->columns, b->stride, scratch);
  weir__spline_quintic_extend_rows(b->at, b->rows, b->columns, b->stride);
  for (int64_t y = -ABOVE; y < b->rows + BELOW; y++)
    memset(b->at + y * b->stride + behind, 0, (size_t)(b->stride - behind - LEFT) * sizeof(float));
  weir__spline_quintic_columns(b->at - LEFT, b->rows, behind + LEFT, b->stride);
  weir__spline_quintic_extend_columns(b->at - LEFT, b->rows, behind + LEFT, b->stride);
}

/* ---- the displacement at a pixel ---- */

enum { COMPONENTS = 2, TERMS = 4 /* of a cubic */ };

/* Of some rows of the grid; and for one line across all its columns the cubics between its centres. */
typedef struct prediction {
  const weir__piv_grid *grid;
  int64_t               top; /* the blocks' first row */
  block                 of[COMPONENTS];
  float                *line, *cubic[COMPONENTS][TERMS];
} prediction;

/* Grid rows that rows of pixels, span of them, are interpolated from. */
static int64_t grid_rows(const weir__piv_grid *grid, double span) {
  double most = span / (double)grid->step[0] + CUT;
  return most < (double)grid->count[0] ? (int64_t)most : grid->count[0];
}

static size_t line_floats(const weir__piv_grid *grid) { return (size_t)(grid->count[1] + PAD); }

static size_t prediction_bytes(const weir__piv_grid *grid, int64_t rows) {
  size_t lines = (1 + COMPONENTS * TERMS) * aligned(line_floats(grid) * sizeof(float));
  return COMPONENTS * block_bytes(grid_rows(grid, (double)rows), grid->count[1]) + lines;
}

/* Where a coordinate lies among centres: the index before it and the part of a step behind that one, held between the
 * outermost centres. */
static int64_t place(const weir__piv_grid *grid, int axis, double at, double *part) {
  double most = (double)(grid->count[axis] - 1);
  double g    = (at - weir__piv_centre(grid, axis, 0)) / (double)grid->step[axis];
  g           = g < 0 ? 0 : g > most ? most : g;
  *part       = g - floor(g);
  return (int64_t)floor(g);
}

/* For pixels of rows from .. to (also between pixels). `filter`: scratch of the splines' rows. */
static void prediction_begin(prediction *p, const weir__piv_predictor *predictor, double from, double to,
                             char **scratch, void *filter) {
  const weir__piv_grid *grid = &predictor->grid;
  double                part;
  int64_t               top = place(grid, 0, from, &part) - WEIR__SPLINE_REACH, columns = grid->count[1];
  int64_t               end = place(grid, 0, to, &part) + 2 + WEIR__SPLINE_REACH;
  if (top < 0) top = 0;
  if (end > grid->count[0]) end = grid->count[0];
  *p = (prediction){.grid = grid, .top = top};
  for (int c = 0; c < COMPONENTS; c++) {
    const float *values = (c ? predictor->dx : predictor->dy) + top * columns;
    p->of[c]            = take_block(end - top, columns, scratch);
    fill_block(&p->of[c], (weir__spline_samples){values, columns}, filter);
    for (int k = 0; k < TERMS; k++) p->cubic[c][k] = take(scratch, line_floats(grid));
  }
  p->line = take(scratch, line_floats(grid));
}

/* What c_(i-1) .. c_(i+2) weigh at i + t. */
static void weights(float t, float weight[4]) {
  float r   = 1 - t;
  weight[0] = r * r * r / 6;
  weight[1] = (4 + t * t * (3 * t - 6)) / 6;
  weight[2] = (4 + r * r * (3 * r - 6)) / 6;
  weight[3] = t * t * t / 6;
}

/* What displacements are made of between two centres, at the height between rows that `w` stands for: cubics of the
 * part of the step. */
WEIR__WIDE static void make_cubics(const block *b, int64_t row, const float w[4], float *restrict line,
                                   float *const cubic[TERMS]) {
  const float *restrict from = b->at + (row - 1) * b->stride - WEIR__SPLINE_BEFORE;
  float *restrict k0 = cubic[0], *restrict k1 = cubic[1], *restrict k2 = cubic[2], *restrict k3 = cubic[3];
  int64_t stride = b->stride, columns = b->columns;
  for (int64_t x = 0; x < columns + WEIR__SPLINE_BEFORE + WEIR__SPLINE_AFTER; x++)
    line[x] = (w[0] * from[x] + w[1] * from[x + stride]) + (w[2] * from[x + 2 * stride] + w[3] * from[x + 3 * stride]);
  for (int64_t x = 0; x < columns; x++) {
    const float *c = line + x + WEIR__SPLINE_BEFORE;
    k0[x]          = (c[-1] + 4 * c[0] + c[1]) * (1.0f / 6);
    k1[x]          = (c[1] - c[-1]) * 0.5f;
    k2[x]          = (c[-1] - 2 * c[0] + c[1]) * 0.5f;
    k3[x]          = (c[2] - c[-1] + 3 * (c[0] - c[1])) * (1.0f / 6);
  }
}

static void prediction_line(const prediction *p, double y) {
  double  part;
  int64_t row = place(p->grid, 0, y, &part) - p->top;
  float   w[4];
  weights((float)part, w);
  for (int c = 0; c < COMPONENTS; c++) make_cubics(&p->of[c], row, w, p->line, p->cubic[c]);
}

/* The first pixel at or behind a centre. */
WEIR__INLINE int64_t first_pixel(const weir__piv_grid *grid, int64_t cell) {
  return grid->first[1] + cell * grid->step[1] + grid->window[1] / 2;
}

WEIR__INLINE void expand_some(const float k[TERMS], float before, float step, float *restrict d) {
  for (int i = 0; i < RUN; i++) {
    float t = ((float)i + before) * step;
    d[i]    = ((k[3] * t + k[2]) * t + k[1]) * t + k[0];
  }
}

/* One component at a row's pixels; up to RUN - 1 elements behind the row are overwritten. */
WEIR__WIDE static void expand(const weir__piv_grid *grid, float *const cubic[TERMS], int64_t columns, float *d) {
  int64_t last = grid->count[1] - 1, x = 0, inside = first_pixel(grid, 0);
  float   step = 1 / (float)grid->step[1];
  for (; x < columns && x < inside; x++) d[x] = cubic[0][0];
  for (int64_t cell = 0; cell < last && x < columns; cell++) {
    int64_t     end = first_pixel(grid, cell + 1), behind = 2 * x + 1 - 2 * grid->first[1] - 2 * cell * grid->step[1];
    const float k[TERMS] = {cubic[0][cell], cubic[1][cell], cubic[2][cell], cubic[3][cell]};
    float       before   = (float)(behind - grid->window[1]) * 0.5f; /* pixels from the centre to x */
    if (end > columns) end = columns;
    for (int i = 0; x + i < end; i += RUN) expand_some(k, before + (float)i, step, d + x + i);
    x = end > x ? end : x;
  }
  for (; x < columns; x++) d[x] = cubic[0][last];
}

size_t weir__piv_predict_scratch(const weir__piv_grid *grid, int64_t rows) {
  return ALIGNMENT + aligned(weir__spline_rows_scratch(grid->count[1])) + prediction_bytes(grid, rows);
}

void weir__piv_predict_centres(const weir__piv_predictor *predictor, const weir__piv_grid *to, int64_t row,
                               int64_t rows, float *dy, float *dx, void *scratch) {
  prediction p;
  char      *free   = scratch;
  float     *filter = take(&free, weir__spline_rows_scratch(predictor->grid.count[1]) / sizeof *filter);
  double     part;
  prediction_begin(&p, predictor, weir__piv_centre(to, 0, row), weir__piv_centre(to, 0, row + rows - 1), &free, filter);
  for (int64_t r = 0; r < rows; r++, dy += to->count[1], dx += to->count[1]) {
    prediction_line(&p, weir__piv_centre(to, 0, row + r));
    for (int64_t i = 0; i < to->count[1]; i++) {
      int64_t             cell = place(p.grid, 1, weir__piv_centre(to, 1, i), &part);
      float               t    = (float)part;
      float *const *const k = p.cubic[0], *const *const l = p.cubic[1];
      dy[i] = ((k[3][cell] * t + k[2][cell]) * t + k[1][cell]) * t + k[0][cell];
      dx[i] = ((l[3][cell] * t + l[2][cell]) * t + l[1][cell]) * t + l[0][cell];
    }
  }
}

/* ---- how far it reaches ---- */

/* Second difference of three values, or 0 at an end. */
static float bend(const float *v, int64_t i, int64_t n, int64_t stride) {
  return i > 0 && i < n - 1 ? fabsf(v[stride] - 2 * v[0] + v[-stride]) : 0;
}

/* A spline leaves the range of its samples. Between two of them it differs from the straight line by at most 1/8 of its
 * second derivative, which is at most 3 times the largest second difference of the samples (the filter that makes
 * coefficients of samples amplifies at most 3 times); on two axes, one after the other, the second sees differences of
 * splines, at most 1.55 times those of samples: 3 / 8 * 1.55 < 0.6. */
static double bound(const weir__piv_grid *grid, const float *v) {
  float   most = 0, along[2];
  int64_t ny = grid->count[0], nx = grid->count[1];
  along[0] = along[1] = 0;
  for (int64_t y = 0; y < ny; y++)
    for (int64_t x = 0; x < nx; x++, v++) {
      float size = fabsf(*v), by = bend(v, y, ny, nx), bx = bend(v, x, nx, 1);
      most     = size > most ? size : most;
      along[0] = by > along[0] ? by : along[0];
      along[1] = bx > along[1] ? bx : along[1];
    }
  return most + 0.6 * ((double)along[0] + along[1]);
}

void weir__piv_deform_need(const weir__piv_predictor *predictor, int64_t height, int64_t *y0, int64_t *rows) {
  bool    quintic = predictor->interpolation == WEIR__PIV_QUINTIC;
  int     filter  = quintic ? 3 + WEIR__SPLINE_QUINTIC_REACH : 2 + WEIR__SPLINE_REACH;
  double  reach   = ceil(0.5 * bound(&predictor->grid, predictor->dy)) + filter;
  int64_t r       = reach < (double)height ? (int64_t)reach : height;
  int64_t first = *y0 > r ? *y0 - r : 0, end = *y0 + *rows + r;
  if (end > height) end = height;
  *y0   = first;
  *rows = end - first;
}

/* ---- the image there ---- */

/* Where the pixels of a row come from: `at` + `part`. What lies beyond the edge comes to it. Whole and part are told
 * apart before the pixel's own index is added, which would cost digits. `step`: 1 along the row, 0 across. */
WEIR__WIDE static void split(const float *restrict d, float share, int32_t first, int32_t step, int32_t last, int n,
                             int32_t *restrict at, float *restrict part) {
  for (int x = 0; x < n; x++) {
    int32_t own = first + step * x;
    float   low = (float)-own, high = (float)(last - own), s = share * d[x];
    s             = s > low ? s : low;
    s             = s < high ? s : high;
    int32_t whole = (int32_t)s;
    whole -= (float)whole > s ? 1 : 0;
    part[x] = s - (float)whole;
    at[x]   = own + whole;
  }
}

/* Whether the pixel after x comes from elsewhere than beside where x comes from. */
WEIR__WIDE static void find_breaks(const int32_t *restrict iy, const int32_t *restrict ix, int n,
                                   uint8_t *restrict breaks) {
  for (int x = 0; x < n - 1; x++) breaks[x] = (uint8_t)((iy[x + 1] != iy[x]) | (ix[x + 1] != ix[x] + 1));
}

/* Pixels of the next RUN that lie side by side in the image. */
WEIR__INLINE int run_length(const uint8_t *breaks) {
  uint64_t all;
  int      n = 1;
  memcpy(&all, breaks, sizeof all);
  if (!all) return RUN;
  while (n < RUN && !breaks[n - 1]) n++;
  return n;
}

/* What c_(i-1) .. c_(i+2) weigh at i + t, times their values. */
WEIR__INLINE float weigh(float t, float c0, float c1, float c2, float c3) {
  float r = 1 - t, t2 = t * t, r2 = r * r;
  return (r2 * (r * (1.0f / 6)) * c0 + (t2 * (t * 0.5f - 1) + 2.0f / 3) * c1) +
         ((r2 * (r * 0.5f - 1) + 2.0f / 3) * c2 + t2 * (t * (1.0f / 6)) * c3);
}

typedef struct sources {
  int32_t *iy, *ix;
  float   *ty, *tx;
  uint8_t *breaks;
} sources;

/* RUN pixels as if they all lay side by side where the first comes from: those of the next run are made again. */
WEIR__INLINE void evaluate_run(const float *restrict c0, int64_t stride, const float *restrict tx,
                               const float *restrict ty, float *restrict out) {
  const float *c1 = c0 + stride, *c2 = c1 + stride, *c3 = c2 + stride;
  for (int i = 0; i < RUN; i++)
    out[i] = weigh(ty[i], weigh(tx[i], c0[i], c0[i + 1], c0[i + 2], c0[i + 3]),
                   weigh(tx[i], c1[i], c1[i + 1], c1[i + 2], c1[i + 3]),
                   weigh(tx[i], c2[i], c2[i + 1], c2[i + 2], c2[i + 3]),
                   weigh(tx[i], c3[i], c3[i + 1], c3[i + 2], c3[i + 3]));
}

WEIR__WIDE static void evaluate_row(const block *c, const sources *s, int64_t columns, float *out) {
  int64_t x = 0;
  while (x < columns) {
    evaluate_run(c->at + (s->iy[x] - 1) * c->stride + s->ix[x] - 1, c->stride, s->tx + x, s->ty + x, out + x);
    x += run_length(s->breaks + x);
  }
}

/* ---- the same with a quintic spline ---- */

enum { TAPS = 6 };

/* What c_(i-2) .. c_(i+3) weigh at i + t, for RUN values of t. */
WEIR__INLINE void weigh_quintic(const float *t, weir__float8 weight[TAPS]) {
  const weir__float8 a = weir__load8(t), b = 1 - a, a2 = a * a, b2 = b * b;
  const float        part = 1.0f / 120;
  weight[0]               = b2 * b2 * b * part;
  weight[1]               = (1 + b * (5 + b * (10 + b * (10 + b * (5 - 5 * b))))) * part;
  weight[2]               = (66 + a2 * (a2 * (30 - 10 * a) - 60)) * part;
  weight[3]               = (66 + b2 * (b2 * (30 - 10 * b) - 60)) * part;
  weight[4]               = (1 + a * (5 + a * (10 + a * (10 + a * (5 - 5 * a))))) * part;
  weight[5]               = a2 * a2 * a * part;
}

WEIR__INLINE void evaluate_run_quintic(const float *c, int64_t stride, const float *tx, const float *ty, float *out) {
  weir__float8 x[TAPS], y[TAPS], sum = {0};
  weigh_quintic(tx, x);
  weigh_quintic(ty, y);
  for (int k = 0; k < TAPS; k++, c += stride) {
    weir__float8 line = (x[0] * weir__load8(c) + x[1] * weir__load8(c + 1)) +
                        (x[2] * weir__load8(c + 2) + x[3] * weir__load8(c + 3)) +
                        (x[4] * weir__load8(c + 4) + x[5] * weir__load8(c + 5));
    sum += y[k] * line;
  }
  weir__store8(out, sum);
}

WEIR__WIDE static void evaluate_row_quintic(const block *c, const sources *s, int64_t columns, float *out) {
  enum { BACK = WEIR__SPLINE_QUINTIC_BEFORE };
  for (int64_t x = 0; x < columns; x += run_length(s->breaks + x))
    evaluate_run_quintic(c->at + (s->iy[x] - BACK) * c->stride + s->ix[x] - BACK, c->stride, s->tx + x, s->ty + x,
                         out + x);
}

static size_t filter_bytes(const weir__piv_grid *grid, int64_t columns) {
  return aligned(weir__spline_rows_scratch(columns > grid->count[1] ? columns : grid->count[1]));
}

size_t weir__piv_deform_scratch(const weir__piv_grid *grid, int64_t strip_rows, int64_t rows, int64_t columns) {
  return ALIGNMENT + filter_bytes(grid, columns) + block_bytes(strip_rows, columns) + prediction_bytes(grid, rows) +
         8 * aligned((size_t)(columns + RUN) * sizeof(float));
}

static sources take_sources(size_t count, char **scratch) {
  sources s = {.iy     = (int32_t *)(void *)take(scratch, count),
               .ix     = (int32_t *)(void *)take(scratch, count),
               .ty     = take(scratch, count),
               .tx     = take(scratch, count),
               .breaks = (uint8_t *)(void *)take(scratch, count)};
  memset(s.breaks, 1, count);
  return s;
}

void weir__piv_deform(const weir__piv_strip *image, int64_t height, const weir__piv_predictor *predictor, double share,
                      int64_t y0, int64_t rows, float *out, void *scratch) {
  prediction p;
  char      *free    = scratch;
  int64_t    columns = image->columns, last = image->y0 + image->rows < height ? image->y0 + image->rows : height;
  float     *filter = take(&free, filter_bytes(&predictor->grid, columns) / sizeof *filter);
  size_t     count  = (size_t)(columns + RUN);
  block      c      = take_block(image->rows, columns, &free);
  sources    s      = take_sources(count, &free);
  float     *dy = take(&free, count), *dx = take(&free, count), *line = take(&free, count);
  memset(dy, 0, count * sizeof *dy);
  memset(dx, 0, count * sizeof *dx);
  weir__spline_samples samples = {image->pixel, columns};
  bool                 quintic = predictor->interpolation == WEIR__PIV_QUINTIC;
  if (quintic) fill_block_quintic(&c, samples, filter);
  else fill_block(&c, samples, filter);
  prediction_begin(&p, predictor, (double)y0, (double)(y0 + rows - 1), &free, filter);
  for (int64_t y = y0; y < y0 + rows; y++) {
    int n = (int)columns;
    prediction_line(&p, (double)y);
    expand(p.grid, p.cubic[0], columns, dy);
    expand(p.grid, p.cubic[1], columns, dx);
    split(dy, (float)share, (int32_t)(y - image->y0), 0, (int32_t)(last - 1 - image->y0), n, s.iy, s.ty);
    split(dx, (float)share, 0, 1, n - 1, n, s.ix, s.tx);
    find_breaks(s.iy, s.ix, n, s.breaks);
    if (quintic) evaluate_row_quintic(&c, &s, columns, line);
    else evaluate_row(&c, &s, columns, line);
    memcpy(out + (y - y0) * columns, line, (size_t)columns * sizeof *line);
  }
}

/* ---- masks ---- */

static void move_mask_row(const weir__piv_mask *mask, const sources *s, int64_t last, uint8_t *out) {
  for (int64_t x = 0; x < mask->columns; x++) {
    const uint8_t *m    = mask->pixel + s->iy[x] * mask->columns + s->ix[x];
    int64_t        down = s->ty[x] > 0 && s->iy[x] < last ? mask->columns : 0;
    int            side = s->tx[x] > 0 && s->ix[x] < mask->columns - 1;
    out[x] |= (m[0] | m[side] | m[down] | m[down + side]) == 1;
  }
}

void weir__piv_deform_mask(const weir__piv_mask *mask, int64_t height, const weir__piv_predictor *predictor,
                           double share, int64_t y0, int64_t rows, uint8_t *out, void *scratch) {
  prediction p;
  char      *free    = scratch;
  int64_t    columns = mask->columns, end = mask->y0 + mask->rows < height ? mask->y0 + mask->rows : height;
  float     *filter = take(&free, filter_bytes(&predictor->grid, columns) / sizeof *filter);
  size_t     count  = (size_t)(columns + RUN);
  sources    s      = take_sources(count, &free);
  float     *dy = take(&free, count), *dx = take(&free, count);
  prediction_begin(&p, predictor, (double)y0, (double)(y0 + rows - 1), &free, filter);
  for (int64_t y = y0; y < y0 + rows; y++, out += columns) {
    int64_t last = end - 1 - mask->y0;
    prediction_line(&p, (double)y);
    expand(p.grid, p.cubic[0], columns, dy);
    expand(p.grid, p.cubic[1], columns, dx);
    split(dy, (float)share, (int32_t)(y - mask->y0), 0, (int32_t)last, (int)columns, s.iy, s.ty);
    split(dx, (float)share, 0, 1, (int32_t)columns - 1, (int)columns, s.ix, s.tx);
    move_mask_row(mask, &s, last, out);
  }
}

/* The mean of up to EDGE pixels that count, from x on towards `step`; false: there is none. */
static bool edge_mean(const uint8_t *mask, const float *row, int64_t columns, int64_t x, int64_t step, double *mean) {
  enum { EDGE = 8 };
  int    n   = 0;
  double sum = 0;
  for (; x >= 0 && x < columns && !mask[x] && n < EDGE; x += step) sum += (double)row[x], n++;
  *mean = n ? sum / n : 0;
  return n > 0;
}

static void fill_row(const uint8_t *mask, int64_t columns, double otherwise, float *row) {
  for (int64_t x = 0; x < columns;) {
    int64_t first = x, end;
    double  before, behind;
    if (!mask[x++]) continue;
    while (x < columns && mask[x]) x++;
    end        = x;
    bool left  = edge_mean(mask, row, columns, first - 1, -1, &before);
    bool right = edge_mean(mask, row, columns, end, 1, &behind);
    if (!left) before = right ? behind : otherwise;
    if (!right) behind = before;
    for (int64_t i = first; i < end; i++)
      row[i] = (float)(before + (behind - before) * (double)(i - first + 1) / (double)(end - first + 1));
  }
}

void weir__piv_fill_masked(const weir__piv_mask *mask, float *pixel) {
  int64_t n   = mask->rows * mask->columns;
  double  sum = 0, count = 0;
  for (int64_t i = 0; i < n; i++)
    if (!mask->pixel[i]) sum += (double)pixel[i], count++;
  for (int64_t y = 0; y < mask->rows; y++)
    fill_row(mask->pixel + y * mask->columns, mask->columns, count > 0 ? sum / count : 0, pixel + y * mask->columns);
}
