/* sample: a field at points between its elements. */
#include "operators/common/points.h"
#include <math.h>
#include <string.h>

enum { SEGMENT = 256, CORNERS = 4 };

/* Of each point: what its four neighbours contribute. Each of them lies in one box alone, so partial results are put
 * together by copying, and the sum is taken once, in one order. */
typedef struct held {
  double   term[CORNERS];
  uint64_t seen; /* bit k: term k is known; those with weight 0 never are, and count 0 */
} held;

static weir_status infer(weir_infer *infer) {
  const weir_field_type *f = infer->in[0], *y = infer->in[1];
  WEIR_TRY(weir__points_check(infer->params, "sample", f, y, infer->in[2]));
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64, .rank = 1, .units = f->units, .dim = {y->dim[0]}};
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[0][a] = -1;
  return WEIR_OK;
}

static size_t partial_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)out->count[0] * sizeof(held);
}

static void combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                    const void *from) {
  held       *to = into;
  const held *h  = from;
  (void)params, (void)in;
  for (int64_t i = 0; i < out->count[0]; i++) {
    for (int k = 0; k < CORNERS; k++)
      if (h[i].seen >> k & 1) to[i].term[k] = h[i].term[k];
    to[i].seen |= h[i].seen;
  }
}

/* Which sides of the bracket have a weight and an index inside the box on this axis (bit 0, bit 1); `local` is where.
 */
static unsigned inside(const weir__bracket *b, const weir_view *box, int axis, int64_t size, int64_t local[2]) {
  unsigned sides = 0;
  for (int s = 0; s < 2; s++) {
    local[s] = b->index[s] % size - box->start[axis];
    if (b->weight[s] != 0 && local[s] >= 0 && local[s] < box->count[axis]) sides |= 1u << s;
  }
  return sides;
}

static void add_point(const weir_field_type *f, const weir_view *box, const double position[2], held *h) {
  weir__bracket b[2];
  int64_t       local[2][2];
  unsigned      sides[2];
  for (int a = 0; a < 2; a++) {
    if (!weir__bracket_find(f, a, position[a], &b[a])) return;
    sides[a] = inside(&b[a], box, a, f->dim[a].size, local[a]);
    if (!sides[a]) return;
  }
  for (int k = 0; k < CORNERS; k++) {
    int s = k >> 1, t = k & 1;
    if (!(sides[0] >> s & 1) || !(sides[1] >> t & 1)) continue;
    int64_t index[2] = {local[0][s], local[1][t]};
    double  value;
    h->term[k] = b[0].weight[s] * b[1].weight[t] * *weir_view_load(box, index, 1, &value);
    h->seen |= UINT64_C(1) << k;
  }
}

static weir_status apply(const weir_apply *a) {
  const weir__points *p    = a->params;
  held               *into = a->partial;
  int64_t             n    = a->in[1].count[0];
  double              buffer[2][SEGMENT];
  for (int64_t i = 0; i < n; i += SEGMENT) {
    int64_t       m     = n - i < SEGMENT ? n - i : SEGMENT;
    const double *at[2] = {weir_view_load(&a->in[1], &i, m, buffer[0]), weir_view_load(&a->in[2], &i, m, buffer[1])};
    for (int64_t j = 0; j < m; j++)
      add_point(a->in_type[0], &a->in[0], (double[2]){at[p->input[0]][j], at[p->input[1]][j]}, &into[i + j]);
  }
  return WEIR_OK;
}

static weir_status finish(const weir_apply *a) {
  const held *h = a->partial;
  for (int64_t i = 0; i < a->out[0].count[0]; i++) {
    const double *t     = h[i].term;
    double        value = h[i].seen ? (t[0] + t[1]) + (t[2] + t[3]) : (double)NAN;
    weir_view_store(&a->out[0], &i, 1, &value);
  }
  return WEIR_OK;
}

static const char *const input_names[] = {"f", "y", "x"};
static const weir_param  params[]      = {WEIR__PARAM_POINTS_AXES, {0}};

const weir_operator weir_operator_sample = {
    .api     = WEIR_OPERATOR_API,
    .name    = "sample",
    .summary = "values of a two-dimensional field at points",
    .details =
        "Bilinear interpolation of f at the points whose positions are the fields y (on the first dimension of f) and "
        "x (on the last), in one value each; both may change from step to step. The result is float64, on the "
        "dimension of y and x, and the same to the bit for any chunks, threads and workers. It is missing at a point "
        "that lies outside of the field, whose position is missing, or of whose neighbours (those with a weight) one "
        "is missing." WEIR__POINTS_DETAILS,
    .inputs       = 3,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(weir__points),
    .infer        = infer,
    .apply        = apply,
    .partial_size = partial_size,
    .combine      = combine,
    .finish       = finish,
};
