/* Thin-plate splines in overlapping sub-domains, as UVmat and Fluidimage have them, but with the sub-domains all of one
 * shape, each vector a whole number of steps from the first: then one matrix serves all of them and all fields. A block
 * of sub-domains is smoothed by one product of matrices, d - rho (W d).
 *
 *   sub-domains: about count / `vectors`, as square as they come, each reaching 20 % of its share further on either
 *     side where there is another;
 *   rho = smoothing * sqrt(area of the sub-domain / vectors in it) = smoothing * sqrt(step y * step x), pixels;
 *   where sub-domains overlap, the mean of their values, weighted by (1 - xi^2) (1 - eta^2) + 0.001 with xi, eta from
 *     -1 to 1 across each.
 *
 * What is missing, or found to be an outlier, gets the value that the spline through the others has there (it then has
 * no weight: smooth.h). Outliers are found for the field as a whole, so that sub-domains agree about them, and looked
 * for again among all vectors in each round: what only stood beside one is taken back. Only sub-domains in which that
 * changed something are smoothed again. */
#include "operators/piv/smooth.h"
#include "core/memory.h"
#include "operators/piv/piv.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 8, COLUMNS = 2 * BLOCK, ROUNDS = 10, FEWEST = 16, MOST = 1000, ALIGNMENT = 64 };
static const double buffer = 0.2, least_weight = 0.001; /* parts of a sub-domain; of the middle's weight */

typedef double pair __attribute__((vector_size(16), may_alias)); /* one register, everywhere */

typedef struct span {
  int32_t first, last;
} span;

struct weir__piv_smoother {
  weir__piv_grid grid;
  int64_t        domains[2]; /* along each axis */
  int64_t        size[2];    /* vectors of a sub-domain along each axis */
  int64_t        n;          /* in all */
  double         rho;
  double        *matrix;    /* [n][n] */
  double        *weight[2]; /* [size]: 1 - xi^2 */
  int64_t       *start[2];  /* [domains]: first vector */
  span          *covers[2]; /* [count]: the sub-domains that a vector is in */
};

/* ---- how the grid is divided ---- */

static int64_t clipped(double value, int64_t most) {
  return value < 1 ? 1 : value > (double)most ? most : (int64_t)value;
}

/* Fluidimage: nb = N / vectors, nx = floor(sqrt(nb / aspect)), ny = ceil(sqrt(nb * aspect)). A side that is too short
 * to be divided leaves all to the other. */
static void divide(weir__piv_smoother *s, int64_t vectors) {
  const weir__piv_grid *g      = &s->grid;
  double                number = (double)g->count[0] * (double)g->count[1] / (double)vectors;
  double                aspect = (double)(g->count[0] * g->step[0]) / (double)(g->count[1] * g->step[1]);
  double                x = floor(sqrt(number / aspect)), y = ceil(sqrt(number * aspect));
  if (number / aspect < 1) y = ceil(number);
  if (number * aspect < 1) x = floor(number);
  s->domains[0] = clipped(y, g->count[0]);
  s->domains[1] = clipped(x, g->count[1]);
  for (int axis = 0; axis < 2; axis++) {
    double parts = (double)s->domains[axis], share = (double)g->count[axis] / parts;
    s->size[axis] = clipped(ceil(share * (1 + 2 * buffer * (parts - 1) / parts)), g->count[axis]);
  }
  s->n = s->size[0] * s->size[1];
}

static void place(weir__piv_smoother *s, int axis) {
  int64_t size = s->size[axis], room = s->grid.count[axis] - size, parts = s->domains[axis];
  for (int64_t i = 0; i < s->grid.count[axis]; i++) s->covers[axis][i] = (span){INT32_MAX, -1};
  for (int64_t d = 0; d < parts; d++) {
    int64_t first     = parts > 1 ? (2 * d * room + parts - 1) / (2 * (parts - 1)) : 0;
    s->start[axis][d] = first;
    for (int64_t i = first; i < first + size; i++) {
      span *c = &s->covers[axis][i];
      if (d < c->first) c->first = (int32_t)d;
      c->last = (int32_t)d;
    }
  }
  for (int64_t i = 0; i < size; i++) {
    double xi          = size > 1 ? (double)(2 * i - (size - 1)) / (double)(size - 1) : 0;
    s->weight[axis][i] = 1 - xi * xi;
  }
}

void weir__piv_smoother_destroy(weir__piv_smoother **smoother) {
  weir__piv_smoother *s = *smoother;
  if (!s) return;
  weir__free(s->matrix);
  for (int axis = 0; axis < 2; axis++) {
    weir__free(s->weight[axis]);
    weir__free(s->start[axis]);
    weir__free(s->covers[axis]);
  }
  weir__free(s);
  *smoother = NULL;
}

weir_status weir__piv_smoother_create(const weir__piv_grid *grid, double smoothing, int64_t vectors,
                                      weir__piv_smoother **smoother) {
  weir_status         status  = WEIR_OK;
  weir__piv_smoother *self    = NULL;
  double             *scratch = NULL;
  if (!(smoothing >= 0) || isinf(smoothing))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "smoothing is %g, but must be at least 0", smoothing);
  if (vectors < FEWEST || vectors > MOST)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%lld vectors to a sub-domain of the smoothing: %d to %d are possible",
                     (long long)vectors, FEWEST, MOST);
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->grid = *grid;
  self->rho  = smoothing * sqrt((double)grid->step[0] * (double)grid->step[1]);
  divide(self, vectors);
  size_t n = (size_t)self->n;
  for (int axis = 0; axis < 2; axis++) {
    WEIR_TRY_GOTO(out, weir__alloc_array((size_t)self->size[axis], sizeof(double), &self->weight[axis]));
    WEIR_TRY_GOTO(out, weir__alloc_array((size_t)self->domains[axis], sizeof(int64_t), &self->start[axis]));
    WEIR_TRY_GOTO(out, weir__alloc_array((size_t)grid->count[axis], sizeof(span), &self->covers[axis]));
    place(self, axis);
  }
  WEIR_TRY_GOTO(out, weir__alloc_zeroed(n * n * sizeof(double), ALIGNMENT, &self->matrix));
  WEIR_TRY_GOTO(out, weir__alloc_zeroed((2 * n * n + 4 * n) * sizeof(double), ALIGNMENT, &scratch));
  WEIR_TRY_GOTO(out, weir__piv_spline_matrix(self->size, self->grid.step, self->rho, self->matrix, scratch));
  *smoother = self;
  self      = NULL;
out:
  weir__free(scratch);
  weir__piv_smoother_destroy(&self);
  return status;
}

/* ---- scratch ---- */

typedef struct smoothing {
  const weir__piv_smoother *s;
  float                    *dy, *dx;
  double                   *values;  /* [domain][n][2]: what each sub-domain makes of its vectors */
  double                   *columns; /* [n][COLUMNS]: what is smoothed */
  double                   *product; /* [n][COLUMNS] */
  double                   *solve;   /* [n^2 + 2 n] */
  double                   *row;     /* [3][count 1]: weighted sums, weights */
  int32_t                  *absent;  /* [n] */
  uint8_t                  *state;   /* [vectors] */
  uint8_t                  *dirty;   /* [domains] */
} smoothing;
enum { MISSING = 1, OUTLIER = 2 }; /* of state; 0: it counts */

static size_t rounded(size_t bytes) { return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

static void *take(size_t *at, char *base, size_t bytes) {
  void *here = base ? base + *at : NULL;
  *at += rounded(bytes);
  return here;
}

/* The size; laid out if there is a base. */
static size_t lay_out(const weir__piv_smoother *s, char *base, smoothing *w) {
  size_t n = (size_t)s->n, domains = (size_t)(s->domains[0] * s->domains[1]), at = 0;
  size_t number = sizeof(double), columns = (size_t)s->grid.count[1];
  w->s       = s;
  w->values  = take(&at, base, domains * n * 2 * number);
  w->columns = take(&at, base, n * COLUMNS * number);
  w->product = take(&at, base, n * COLUMNS * number);
  w->solve   = take(&at, base, (n * n + 2 * n) * number);
  w->row     = take(&at, base, 3 * columns * number);
  w->absent  = take(&at, base, n * sizeof *w->absent);
  w->state   = take(&at, base, (size_t)s->grid.count[0] * columns);
  w->dirty   = take(&at, base, domains);
  return at;
}

size_t weir__piv_smoother_scratch(const weir__piv_smoother *smoother) {
  smoothing w;
  return lay_out(smoother, NULL, &w) + ALIGNMENT;
}

/* ---- sub-domains ---- */

/* product = matrix * columns, each number in one order whatever else is in the block. Two rows of the matrix and eight
 * columns at once, whose sums stay in registers: written as vectors, since compilers choose the loop over j. */
static void multiply(const double *matrix, const double *columns, int64_t n, double *product) {
  enum { PART = 8, PAIRS = PART / 2 };
  for (int64_t i = 0; i < n; i += 2)
    for (int c = 0; c < COLUMNS; c += PART) {
      const double *a = matrix + i * n, *b = i + 1 < n ? a + n : a;
      const pair   *d        = (const pair *)(columns + c);
      pair          p[PAIRS] = {{0}}, q[PAIRS] = {{0}};
      for (int64_t j = 0; j < n; j++, d += COLUMNS / 2)
        for (int k = 0; k < PAIRS; k++) {
          p[k] += a[j] * d[k];
          q[k] += b[j] * d[k];
        }
      memcpy(product + i * COLUMNS + c, p, sizeof p);
      if (i + 1 < n) memcpy(product + (i + 1) * COLUMNS + c, q, sizeof q);
    }
}

/* Values of a sub-domain into two columns; with what stands for those that are absent. */
static void load(smoothing *w, int64_t domain, double *column) {
  const weir__piv_smoother *s  = w->s;
  int64_t                   y0 = s->start[0][domain / s->domains[1]], x0 = s->start[1][domain % s->domains[1]];
  int64_t                   k = 0;
  for (int64_t i = 0; i < s->n; i++) {
    int64_t at     = (y0 + i / s->size[1]) * s->grid.count[1] + x0 + i % s->size[1];
    bool    absent = w->state[at] != 0;
    if (absent) w->absent[k++] = (int32_t)i;
    column[i * COLUMNS]     = absent ? 0 : (double)w->dy[at];
    column[i * COLUMNS + 1] = absent ? 0 : (double)w->dx[at];
  }
  if (k && k < s->n) weir__piv_spline_without(s->matrix, s->n, w->absent, k, column, COLUMNS, w->solve);
}

static void smooth_block(smoothing *w, const int64_t *domain, int number) {
  const weir__piv_smoother *s = w->s;
  memset(w->columns, 0, (size_t)s->n * COLUMNS * sizeof(double));
  for (int b = 0; b < number; b++) load(w, domain[b], w->columns + 2 * b);
  multiply(s->matrix, w->columns, s->n, w->product);
  for (int b = 0; b < number; b++) {
    double       *out = w->values + domain[b] * s->n * 2;
    const double *d = w->columns + 2 * b, *wd = w->product + 2 * b;
    for (int64_t i = 0; i < s->n; i++, d += COLUMNS, wd += COLUMNS) {
      out[2 * i]     = d[0] - s->rho * wd[0];
      out[2 * i + 1] = d[1] - s->rho * wd[1];
    }
  }
}

static void smooth_dirty(smoothing *w) {
  int64_t domain[BLOCK];
  int     number = 0;
  for (int64_t d = 0; d < w->s->domains[0] * w->s->domains[1]; d++) {
    if (!w->dirty[d]) continue;
    w->dirty[d]      = 0;
    domain[number++] = d;
    if (number < BLOCK) continue;
    smooth_block(w, domain, number);
    number = 0;
  }
  if (number) smooth_block(w, domain, number);
}

/* One row of the field from all sub-domains: values at row[0], row[1]. */
static void blend(const smoothing *w, int64_t y) {
  const weir__piv_smoother *s       = w->s;
  int64_t                   columns = s->grid.count[1];
  double                   *dy = w->row, *dx = dy + columns, *sum = dx + columns;
  memset(w->row, 0, 3 * (size_t)columns * sizeof *w->row);
  for (int64_t j = s->covers[0][y].first; j <= s->covers[0][y].last; j++) {
    int64_t at = y - s->start[0][j];
    for (int64_t k = 0; k < s->domains[1]; k++) {
      const double *value = w->values + ((j * s->domains[1] + k) * s->n + at * s->size[1]) * 2;
      int64_t       x0    = s->start[1][k];
      for (int64_t x = 0; x < s->size[1]; x++) {
        double weight = s->weight[0][at] * s->weight[1][x] + least_weight;
        dy[x0 + x] += weight * value[2 * x];
        dx[x0 + x] += weight * value[2 * x + 1];
        sum[x0 + x] += weight;
      }
    }
  }
  for (int64_t x = 0; x < columns; x++) dy[x] /= sum[x], dx[x] /= sum[x];
}

/* ---- the field ---- */

static void soil(smoothing *w, int64_t y, int64_t x) {
  const weir__piv_smoother *s = w->s;
  for (int64_t j = s->covers[0][y].first; j <= s->covers[0][y].last; j++)
    for (int64_t k = s->covers[1][x].first; k <= s->covers[1][x].last; k++) w->dirty[j * s->domains[1] + k] = 1;
}

/* Which vectors are outliers of the smooth field; did that change? */
static bool judge(smoothing *w, double threshold) {
  int64_t columns = w->s->grid.count[1];
  bool    changed = false;
  for (int64_t y = 0; y < w->s->grid.count[0]; y++) {
    blend(w, y);
    for (int64_t x = 0; x < columns; x++) {
      int64_t i = y * columns + x;
      if (w->state[i] & MISSING) continue;
      double  by = w->row[x] - (double)w->dy[i], bx = w->row[columns + x] - (double)w->dx[i];
      uint8_t now = by * by + bx * bx > threshold * threshold ? OUTLIER : 0;
      if (now == w->state[i]) continue;
      w->state[i] = now;
      soil(w, y, x);
      changed = true;
    }
  }
  return changed;
}

static void write_back(smoothing *w, uint8_t *outlier) {
  int64_t columns = w->s->grid.count[1];
  for (int64_t y = 0; y < w->s->grid.count[0]; y++) {
    blend(w, y);
    for (int64_t x = 0; x < columns; x++) {
      int64_t i = y * columns + x;
      if (outlier) outlier[i] = w->state[i] == OUTLIER;
      if (w->state[i] & MISSING) continue;
      w->dy[i] = (float)w->row[x];
      w->dx[i] = (float)w->row[columns + x];
    }
  }
}

weir_status weir__piv_smooth(const weir__piv_smoother *smoother, double threshold, float *dy, float *dx,
                             uint8_t *outlier, void *scratch) {
  smoothing w;
  char     *base = (char *)rounded((size_t)scratch);
  lay_out(smoother, base, &w);
  w.dy = dy, w.dx = dx;
  int64_t n = smoother->grid.count[0] * smoother->grid.count[1];
  for (int64_t i = 0; i < n; i++) w.state[i] = isfinite(dy[i]) && isfinite(dx[i]) ? 0 : MISSING;
  memset(w.dirty, 1, (size_t)(smoother->domains[0] * smoother->domains[1]));
  smooth_dirty(&w);
  for (int round = 1; threshold > 0 && round < ROUNDS && judge(&w, threshold); round++) smooth_dirty(&w);
  write_back(&w, outlier);
  return WEIR_OK;
}
