#include "operators/common/smooth.h"
#include "core/memory.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 8 }; /* sums made at once */

weir_status weir__smooth_infer(weir_infer *infer, const char *operator_name) {
  weir__smooth *p = infer->params;
  if (p->sigma == 0 && p->size % 2 == 0)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: size is %lld, expected an odd number", operator_name, (long long)p->size);
  p->radius = p->sigma > 0 ? (int64_t)(4 * p->sigma + 0.5) : p->size / 2;
  return weir__image_infer_floating(infer, operator_name);
}

weir_status weir__smooth_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                              weir_region *region) {
  (void)in, (void)input;
  weir__image_widen(out, ((const weir__smooth *)params)->radius, region);
  return WEIR_OK;
}

weir_status weir__smooth_prepare(const void *params, const weir_field_type *const *in, void **context) {
  const weir__smooth *p = params;
  double             *weight;
  (void)in;
  WEIR_TRY(weir__alloc_array((size_t)(2 * p->radius + 1), sizeof *weight, &weight));
  for (int64_t k = -p->radius; k <= p->radius; k++) {
    double d              = (double)k / (p->sigma > 0 ? p->sigma : 1);
    weight[k + p->radius] = p->sigma > 0 ? exp(-0.5 * d * d) : 1;
  }
  *context = weight;
  return WEIR_OK;
}

void weir__smooth_release(void *context) { weir__free(context); }

/* Lines are as long as the chunk with `radius` more at both ends, zeros where the image does not reach. Rows of the
 * image are kept in a ring of 2 radius + 1 lines of values and as many of ones and zeros: row y in line
 * y mod (2 radius + 1). */
typedef struct work {
  const weir_apply *a;
  const double     *weight;
  int64_t           radius, taps, n, line;    /* n: columns of the result; line: n + 2 radius */
  int64_t           top, left, rows, columns; /* as in local.h */
  bool              missing;                  /* a pixel of this plane is */
  double            height;                   /* sum of the weights of the rows that `below` was made for */
  double           *value, *valid, *sum, *above, *below, *pixel, *result;
  const double    **row; /* taps */
} work;

static size_t work_numbers(int64_t radius, int64_t n) {
  size_t taps = (size_t)(2 * radius + 1), line = (size_t)(n + 2 * radius);
  return 2 * taps * line + line + 4 * (size_t)n + line; /* the last: room to load a row */
}

size_t weir__smooth_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__smooth *p = params;
  (void)in;
  return work_numbers(p->radius, out->count[out->rank - 1]) * sizeof(double) +
         (size_t)(2 * p->radius + 1) * sizeof(double *);
}

/* to[i] = sum over k of weight[k] * row[k][i], from the first on. */
static void weighted(const double *const *row, const double *weight, int64_t taps, int64_t n, double *restrict to) {
  int64_t i = 0;
  for (; i + BLOCK <= n; i += BLOCK) {
    double sum[BLOCK] = {0};
    for (int64_t k = 0; k < taps; k++) {
      const double *x = row[k] + i;
      for (int j = 0; j < BLOCK; j++) sum[j] += weight[k] * x[j];
    }
    memcpy(to + i, sum, sizeof sum);
  }
  for (; i < n; i++) {
    double sum = 0;
    for (int64_t k = 0; k < taps; k++) sum += weight[k] * row[k][i];
    to[i] = sum;
  }
}

/* Load row y of the plane into the ring. */
static void load(work *w, int64_t *index, int64_t y, double *buffer) {
  const weir_view *in    = &w->a->in[0];
  double          *value = w->value + y % w->taps * w->line + w->radius - w->left;
  double          *valid = w->valid + y % w->taps * w->line + w->radius - w->left;
  index[in->rank - 2]    = y;
  const double *x        = weir_view_load(in, index, w->columns, buffer);
  for (int64_t i = 0; i < w->columns; i++) {
    bool is_valid = x[i] == x[i];
    value[i]      = is_valid ? x[i] : 0;
    valid[i]      = is_valid ? 1 : 0;
    w->missing |= !is_valid;
  }
}

/* Sums along the lines given in w->sum. */
static void along(work *w, double *to) {
  for (int64_t k = 0; k < w->taps; k++) w->row[k] = w->sum + k;
  weighted(w->row, w->weight, w->taps, w->n, to);
}

/* Sum of weights of each result; where nothing is missing it is the same for all rows but those near the edges. */
static void weigh(work *w, int64_t first, int64_t count, const double *weight) {
  double height = 0;
  for (int64_t k = 0; k < count; k++) height += weight[k];
  if (!w->missing && height == w->height) return;
  if (w->missing) {
    for (int64_t k = 0; k < count; k++) w->row[k] = w->valid + (first + k) % w->taps * w->line;
    weighted(w->row, weight, count, w->line, w->sum);
  } else {
    memset(w->sum, 0, (size_t)w->line * sizeof *w->sum);
    for (int64_t i = 0; i < w->columns; i++) w->sum[i + w->radius - w->left] = height;
  }
  w->height = w->missing ? -1 : height;
  along(w, w->below);
}

/* Means of row i of the result, from the rows in the ring. */
static void one_row(work *w, int64_t i, weir__smooth_finish finish, int64_t *index) {
  int64_t       y = i + w->top, first = y - w->radius > 0 ? y - w->radius : 0;
  int64_t       end = y + w->radius + 1 < w->rows ? y + w->radius + 1 : w->rows, count = end - first;
  const double *weight = w->weight + first - (y - w->radius);
  weigh(w, first, count, weight);
  for (int64_t k = 0; k < count; k++) w->row[k] = w->value + (first + k) % w->taps * w->line;
  weighted(w->row, weight, count, w->line, w->sum);
  along(w, w->above);
  for (int64_t k = 0; k < w->n; k++) w->above[k] = w->below[k] > 0 ? w->above[k] / w->below[k] : (double)NAN;
  const double *value = w->value + y % w->taps * w->line + w->radius, *valid = w->valid + (value - w->value);
  for (int64_t k = 0; k < w->n; k++) w->pixel[k] = valid[k] > 0 ? value[k] : (double)NAN;
  if (finish) finish(w->a->params, w->above, w->pixel, w->n, w->result);
  index[w->a->out[0].rank - 2] = i;
  weir_view_store(&w->a->out[0], index, w->n, finish ? w->result : w->above);
}

static void open(work *w, const weir_apply *a) {
  const weir_view *in = &a->in[0], *out = &a->out[0];
  int              y = out->rank - 2, x = out->rank - 1;
  int64_t          radius = ((const weir__smooth *)a->params)->radius;
  *w                      = (work){.a       = a,
                                   .weight  = a->context,
                                   .radius  = radius,
                                   .taps    = 2 * radius + 1,
                                   .n       = out->count[x],
                                   .line    = out->count[x] + 2 * radius,
                                   .top     = out->start[y] - in->start[y],
                                   .left    = out->start[x] - in->start[x],
                                   .rows    = in->count[y],
                                   .columns = in->count[x],
                                   .value   = a->scratch};
  w->valid                = w->value + w->taps * w->line;
  w->sum                  = w->valid + w->taps * w->line;
  w->above                = w->sum + w->line;
  w->below                = w->above + w->n;
  w->pixel                = w->below + w->n;
  w->result               = w->pixel + w->n;
  w->row                  = (const double **)(void *)(w->result + w->n + w->line);
}

weir_status weir__smooth_apply(const weir_apply *a, weir__smooth_finish finish) {
  const weir_view *out                  = &a->out[0];
  int64_t          index[WEIR_RANK_MAX] = {0};
  work             w;
  if (!weir_view_size(out)) return WEIR_OK;
  open(&w, a);
  do {
    int64_t loaded = 0;
    w.missing = false, w.height = -1;
    memset(w.value, 0, (size_t)(2 * w.taps * w.line) * sizeof *w.value);
    for (int64_t i = 0; i < out->count[out->rank - 2]; i++) {
      int64_t end = i + w.top + w.radius + 1 < w.rows ? i + w.top + w.radius + 1 : w.rows;
      for (; loaded < end; loaded++) load(&w, index, loaded, w.result + w.n);
      one_row(&w, i, finish, index);
    }
    index[out->rank - 2] = 0;
  } while (weir__image_next(out, index));
  return WEIR_OK;
}
