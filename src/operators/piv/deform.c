/* Images moved by a displacement known roughly: both half way towards each other (Scarano & Riethmuller 2000,
 * doi 10.1007/s003480070007). A row of the result takes two steps: the displacement of its pixels, a spline through the
 * values of the grid, and the image there, a spline through its pixels. */
#include "operators/piv/piv.h"
#include "operators/piv/spline.h"
#include <math.h>
#include <string.h>

typedef float quad __attribute__((vector_size(16)));

enum { ALIGNMENT = 64, PAD = 16, CUT = 2 * WEIR__SPLINE_REACH + 4 }; /* PAD: floats before and behind a row's columns */

static size_t aligned(size_t nbytes) { return (nbytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static float *take(char **scratch, size_t count) {
  char *at = (char *)(((uintptr_t)*scratch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
  *scratch = at + aligned(count * sizeof(float));
  return (float *)(void *)at;
}

/* ---- the displacement at a pixel ---- */

/* Spline coefficients along y of the grid's rows top .. top + rows - 1, with those beyond the ends; and those along x
 * too for one line across all columns of the grid. */
typedef struct prediction {
  const weir__piv_grid *grid;
  int64_t               top, rows, stride; /* stride: floats from one grid row to the next */
  float                *block[2], *line[2];
} prediction;

static int64_t line_stride(const weir__piv_grid *grid) { return grid->count[1] + PAD; }

/* Grid rows that rows of pixels, span of them, are interpolated from. */
static int64_t grid_rows(const weir__piv_grid *grid, double span) {
  double most = span / (double)grid->step[0] + CUT;
  return most < (double)grid->count[0] ? (int64_t)most : grid->count[0];
}

static size_t prediction_bytes(const weir__piv_grid *grid, int64_t rows) {
  size_t line  = aligned((size_t)line_stride(grid) * sizeof(float));
  size_t block = aligned((size_t)(line_stride(grid) * (grid_rows(grid, (double)rows) + 3)) * sizeof(float));
  return 2 * (line + block);
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

/* For pixels of rows from .. to (also between pixels). */
static void prediction_begin(prediction *p, const weir__piv_predictor *predictor, double from, double to,
                             char **scratch) {
  const weir__piv_grid *grid = &predictor->grid;
  double                part;
  int64_t               top = place(grid, 0, from, &part) - WEIR__SPLINE_REACH;
  int64_t               end = place(grid, 0, to, &part) + 2 + WEIR__SPLINE_REACH;
  const float          *of[2];
  of[0] = predictor->dy, of[1] = predictor->dx;
  if (top < 0) top = 0;
  if (end > grid->count[0]) end = grid->count[0];
  *p = (prediction){.grid = grid, .top = top, .rows = end - top, .stride = line_stride(grid)};
  for (int c = 0; c < 2; c++) {
    p->block[c] = take(scratch, (size_t)(p->stride * (p->rows + 3))) + p->stride;
    p->line[c]  = take(scratch, (size_t)p->stride) + WEIR__SPLINE_BEFORE;
    for (int64_t y = 0; y < p->rows; y++)
      memcpy(p->block[c] + y * p->stride, of[c] + (top + y) * grid->count[1], (size_t)grid->count[1] * sizeof(float));
    weir__spline_columns(p->block[c], p->rows, grid->count[1], p->stride);
    weir__spline_extend_columns(p->block[c], p->rows, grid->count[1], p->stride);
  }
}

/* The coefficients along x at a height y. */
static void prediction_line(const prediction *p, double y) {
  double  part;
  int64_t row = place(p->grid, 0, y, &part) - p->top, columns = p->grid->count[1], stride = p->stride;
  float   w[4];
  weir__spline_weights((float)part, w);
  for (int c = 0; c < 2; c++) {
    const float *restrict from = p->block[c] + (row - 1) * stride;
    float *restrict to         = p->line[c];
    for (int64_t x = 0; x < columns; x++)
      to[x] = (w[0] * from[x] + w[1] * from[x + stride]) + (w[2] * from[x + 2 * stride] + w[3] * from[x + 3 * stride]);
    weir__spline_rows(to, 1, columns, columns);
    weir__spline_extend_rows(to, 1, columns, columns);
  }
}

/* What a pixel's displacement is made of between two centres: a cubic of the part of the step. */
static void cubic(const float *c, float k[4]) {
  k[0] = (c[-1] + 4 * c[0] + c[1]) / 6;
  k[1] = (c[1] - c[-1]) / 2;
  k[2] = (c[-1] - 2 * c[0] + c[1]) / 2;
  k[3] = (c[2] - c[-1] + 3 * (c[0] - c[1])) / 6;
}

/* Pixels from .. to - 1, between the centres number `cell` and the next. */
static void fill_cell(const prediction *p, int64_t cell, int64_t from, int64_t to, float *restrict dy,
                      float *restrict dx) {
  float  a[4], b[4], step = 1 / (float)p->grid->step[1];
  double centre = weir__piv_centre(p->grid, 1, cell);
  float  before = (float)((double)from - centre) * step;
  cubic(p->line[0] + cell, a);
  cubic(p->line[1] + cell, b);
  int n = (int)(to - from);
  dy += from, dx += from;
  for (int i = 0; i < n; i++) {
    float t = before + (float)i * step;
    dy[i]   = ((a[3] * t + a[2]) * t + a[1]) * t + a[0];
    dx[i]   = ((b[3] * t + b[2]) * t + b[1]) * t + b[0];
  }
}

static void prediction_row(const prediction *p, double y, int64_t columns, float *dy, float *dx) {
  const weir__piv_grid *grid = p->grid;
  int64_t               last = grid->count[1] - 1, x = 0;
  float                 k[2][2][4];
  prediction_line(p, y);
  for (int c = 0; c < 2; c++) {
    cubic(p->line[c], k[c][0]);
    cubic(p->line[c] + last, k[c][1]);
  }
  for (; x < columns && (double)x < weir__piv_centre(grid, 1, 0); x++) dy[x] = k[0][0][0], dx[x] = k[1][0][0];
  for (int64_t cell = 0; cell < last; cell++) {
    int64_t end = (int64_t)ceil(weir__piv_centre(grid, 1, cell + 1));
    if (end > columns) end = columns;
    if (end > x) fill_cell(p, cell, x, end, dy, dx);
    x = end > x ? end : x;
  }
  for (; x < columns; x++) dy[x] = k[0][1][0], dx[x] = k[1][1][0];
}

size_t weir__piv_predict_scratch(const weir__piv_grid *grid) { return prediction_bytes(grid, 1) + ALIGNMENT; }

void weir__piv_predict(const weir__piv_predictor *predictor, int64_t y, int64_t columns, float *dy, float *dx,
                       void *scratch) {
  prediction p;
  char      *free = scratch;
  prediction_begin(&p, predictor, (double)y, (double)y, &free);
  prediction_row(&p, (double)y, columns, dy, dx);
}

void weir__piv_predict_centres(const weir__piv_predictor *predictor, const weir__piv_grid *to, int64_t row, float *dy,
                               float *dx, void *scratch) {
  prediction p;
  char      *free = scratch;
  double     y    = weir__piv_centre(to, 0, row), part;
  prediction_begin(&p, predictor, y, y, &free);
  prediction_line(&p, y);
  for (int64_t i = 0; i < to->count[1]; i++) {
    float   k[4], l[4];
    int64_t cell = place(p.grid, 1, weir__piv_centre(to, 1, i), &part);
    float   t    = (float)part;
    cubic(p.line[0] + cell, k);
    cubic(p.line[1] + cell, l);
    dy[i] = ((k[3] * t + k[2]) * t + k[1]) * t + k[0];
    dx[i] = ((l[3] * t + l[2]) * t + l[1]) * t + l[0];
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
  double  reach = ceil(0.5 * bound(&predictor->grid, predictor->dy)) + 2 + WEIR__SPLINE_REACH;
  int64_t r     = reach < (double)height ? (int64_t)reach : height;
  int64_t first = *y0 > r ? *y0 - r : 0, end = *y0 + *rows + r;
  if (end > height) end = height;
  *y0   = first;
  *rows = end - first;
}

/* ---- the image there ---- */

typedef struct coefficients {
  float  *at; /* of the strip's first pixel */
  int64_t stride, y0, rows, columns;
} coefficients;

/* Rows of all sizes of images that are powers of 2 would share few cache lines: an odd number of lines between. */
static int64_t coefficient_stride(int64_t columns) {
  int64_t lines = (columns + PAD + 15) / 16;
  return (lines | 1) * 16;
}

static void coefficients_make(coefficients *c, const weir__piv_strip *image, char **scratch) {
  int64_t stride = coefficient_stride(image->columns);
  float  *memory = take(scratch, (size_t)(stride * (image->rows + 3)));
  *c             = (coefficients){memory + stride + PAD / 2, stride, image->y0, image->rows, image->columns};
  for (int64_t y = 0; y < image->rows; y++)
    memcpy(c->at + y * stride, image->pixel + y * image->columns, (size_t)image->columns * sizeof(float));
  weir__spline_rows(c->at, image->rows, image->columns, stride);
  weir__spline_extend_rows(c->at, image->rows, image->columns, stride);
  float  *first = c->at - WEIR__SPLINE_BEFORE;
  int64_t wide  = image->columns + WEIR__SPLINE_BEFORE + WEIR__SPLINE_AFTER;
  weir__spline_columns(first, image->rows, wide, stride);
  weir__spline_extend_columns(first, image->rows, wide, stride);
}

#define FAR 1e9f /* pixels: beyond any image, and an int32 still */

/* Displacements to whole pixels and parts of one. Whole and part are told apart before the pixel's own index is added,
 * which would cost digits. */
static void split(const float *restrict d, float share, int64_t n, int32_t *restrict whole, float *restrict part) {
  for (int64_t x = 0; x < n; x++) {
    float s   = share * d[x];
    s         = s > FAR ? FAR : s < -FAR ? -FAR : s;
    int32_t w = (int32_t)s;
    w -= (float)w > s;
    whole[x] = w;
    part[x]  = s - (float)w;
  }
}

/* What lies beyond the edge comes to it. */
static inline int64_t hold(int64_t at, int64_t last, float *part) {
  if (at < 0) *part = 0;
  if (at >= last) *part = 0;
  return at < 0 ? 0 : at > last ? last : at;
}

static inline quad load(const float *from) {
  quad q;
  memcpy(&q, from, sizeof q);
  return q;
}

/* Weights as four cubics of t at once. */
static inline quad weights(float t) {
  const quad k0 = {1.0f / 6, 4.0f / 6, 1.0f / 6, 0}, k1 = {-0.5f, 0, 0.5f, 0}, k2 = {0.5f, -1, 0.5f, 0},
             k3 = {-1.0f / 6, 0.5f, -0.5f, 1.0f / 6};
  return ((k3 * t + k2) * t + k1) * t + k0;
}

static void evaluate_row(const coefficients *c, int64_t y, int64_t height, const int32_t *wy, const float *ty,
                         const int32_t *wx, const float *tx, float *restrict out) {
  int64_t last_y = c->y0 + c->rows - 1, last_x = c->columns - 1, stride = c->stride;
  if (last_y > height - 1) last_y = height - 1;
  last_y -= c->y0;
  y -= c->y0;
  for (int64_t x = 0; x < c->columns; x++) {
    float        v = ty[x], u = tx[x];
    int64_t      i = hold(y + wy[x], last_y, &v), j = hold(x + wx[x], last_x, &u);
    const float *at = c->at + (i - 1) * stride + j - 1;
    quad         a = weights(v), b = weights(u);
    quad         s =
        (load(at) * a[0] + load(at + stride) * a[1]) + (load(at + 2 * stride) * a[2] + load(at + 3 * stride) * a[3]);
    s *= b;
    out[x] = (s[0] + s[2]) + (s[1] + s[3]);
  }
}

size_t weir__piv_deform_scratch(const weir__piv_grid *grid, int64_t strip_rows, int64_t rows, int64_t columns) {
  size_t image = aligned((size_t)(coefficient_stride(columns) * (strip_rows + 3)) * sizeof(float));
  return ALIGNMENT + image + prediction_bytes(grid, rows) + 6 * aligned((size_t)columns * sizeof(float));
}

void weir__piv_deform(const weir__piv_strip *image, int64_t height, const weir__piv_predictor *predictor, double share,
                      int64_t y0, int64_t rows, float *out, void *scratch) {
  prediction   p;
  coefficients c;
  char        *free    = scratch;
  size_t       columns = (size_t)image->columns;
  coefficients_make(&c, image, &free);
  prediction_begin(&p, predictor, (double)y0, (double)(y0 + rows - 1), &free);
  float *dy = take(&free, columns), *dx = take(&free, columns), *ty = take(&free, columns), *tx = take(&free, columns);
  int32_t *wy = (int32_t *)(void *)take(&free, columns), *wx = (int32_t *)(void *)take(&free, columns);
  for (int64_t y = y0; y < y0 + rows; y++) {
    prediction_row(&p, (double)y, image->columns, dy, dx);
    split(dy, (float)share, image->columns, wy, ty);
    split(dx, (float)share, image->columns, wx, tx);
    evaluate_row(&c, y, height, wy, ty, wx, tx, out + (y - y0) * image->columns);
  }
}
