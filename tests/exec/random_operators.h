/* The fields and operators of random graphs, and the formulas of their values, which know nothing of chunks. Included
 * by one test. */
#ifndef WEIR_TESTS_RANDOM_OPERATORS_H
#define WEIR_TESTS_RANDOM_OPERATORS_H
#include "field/field.h"
#include "support/serial.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <weir/operator.h>

enum { MODULUS = 1009, AXES = 3, NODES = 20, INPUTS = 3, STEPS_MAX = 14 };

typedef enum kind { SOURCE, POINT, HALO, MIRROR, PICK, REDUCE, STATE, TWO, ACCEPT, ORDERED, LOOP, KINDS } kind;

/* What an operator is told, and the interpreter as well. Axes are z, y, x; a field has those in its mask. */
typedef struct spec {
  kind     kind;
  unsigned in_mask[INPUTS], mask; /* axes of inputs and result */
  int      inputs;
  int64_t  lag[INPUTS];
  int64_t  halo[AXES];
  unsigned wrap, mirror;         /* axes */
  bool     most;                 /* REDUCE: the largest, else the sum */
  int64_t  first[AXES], n[AXES]; /* PICK: the box */
  int64_t  weight[INPUTS], offset;
  int64_t  fail_every, fail_phase;
  bool     fail_hard; /* WEIR_ERR_OPERATOR instead of WEIR_END */
  bool     fail_late; /* REDUCE: in `finish` */
  int64_t  loop_lag;
  bool     loop_copy;
  struct order {
    _Atomic int64_t *last; /* ORDERED: per first element of a chunk */
  } order;
} spec;

typedef struct node {
  spec    spec;
  int     input[INPUTS], output[INPUTS]; /* nodes; -1: not given */
  int     number;                        /* in the graph */
  bool    is_static;
  int64_t read_fails; /* SOURCE: at this ordinal; -1: never */
  double *value[2];   /* [output][ordinal * size + element], from the interpreter */
  bool    present[STEPS_MAX];
  int64_t size;
  bool    captured[2];
  double *capture[2];
  int     calls[2][STEPS_MAX], trigger[2];
} node;

static const char *const axis_name[AXES] = {"z", "y", "x"};
static int64_t           extent[AXES];
static int64_t           steps, number_of[STEPS_MAX];
static double            time_of[STEPS_MAX];
static node              nodes[NODES];
static int               count, sources;
static _Atomic int       complaints;

static int64_t below(int64_t n) { return (int64_t)(test_random() % (uint64_t)n); }
static bool    chance(int percent) { return below(100) < percent; }
static int64_t modulo(int64_t x, int64_t n) { return (x % n + n) % n; }

static void complain(const char *what) {
  if (!atomic_fetch_add(&complaints, 1)) fprintf(stderr, "operator: %s\n", what);
}

/* ---- the formulas, of a reader that gives input `i` at global place c ---- */

typedef struct reader {
  bool (*read)(const struct reader *r, int i, const int64_t c[AXES], int64_t *value); /* false: missing */
  bool (*given)(const struct reader *r, int i);
  const void *self;
} reader;

static void mirrored(const spec *s, const int64_t c[AXES], int64_t out[AXES]) {
  for (int k = 0; k < AXES; k++) out[k] = s->mirror >> k & 1 ? extent[k] - 1 - c[k] : c[k];
}

static int64_t neighbours(const spec *s, const reader *r, const int64_t c[AXES]) {
  int64_t sum = 0, d[AXES], v;
  for (d[0] = -s->halo[0]; d[0] <= s->halo[0]; d[0]++)
    for (d[1] = -s->halo[1]; d[1] <= s->halo[1]; d[1]++)
      for (d[2] = -s->halo[2]; d[2] <= s->halo[2]; d[2]++) {
        int64_t at[AXES];
        bool    inside = true;
        for (int k = 0; k < AXES; k++) {
          at[k] = c[k] + d[k];
          if (!(s->wrap >> k & 1) && (at[k] < 0 || at[k] >= extent[k]) && (s->in_mask[0] >> k & 1)) inside = false;
        }
        if (inside && r->read(r, 0, at, &v)) sum += v * (1 + modulo(7 * d[0] + 3 * d[1] + d[2], 5));
      }
  return sum;
}

static int64_t formula(const spec *s, const reader *r, int output, const int64_t c[AXES]) {
  int64_t sum = s->offset + output * 13, v = 0, at[AXES];
  for (int i = 0; i < s->inputs; i++) {
    if (!r->given(r, i)) continue;
    if (i == 0 && s->kind == HALO) {
      sum += neighbours(s, r, c);
      continue;
    }
    if (i == 0 && s->kind == PICK) {
      for (at[0] = s->first[0]; at[0] < s->first[0] + s->n[0]; at[0]++)
        for (at[1] = s->first[1]; at[1] < s->first[1] + s->n[1]; at[1]++)
          for (at[2] = s->first[2]; at[2] < s->first[2] + s->n[2]; at[2]++)
            if (r->read(r, 0, at, &v)) sum += v * (1 + modulo(at[0] + at[1] + at[2], 3));
      continue;
    }
    memcpy(at, c, sizeof at);
    if ((i == 0 && s->kind == MIRROR) || (i == 1 && s->kind == LOOP)) mirrored(s, c, at);
    sum += r->read(r, i, at, &v) ? v * (s->weight[i] + output) : 7 * (i + 1);
  }
  return modulo(sum, MODULUS);
}

/* ---- the same as operators ---- */

/* Global place of the first element and extents of a view whose field has the axes of `mask`. */
static void box_of(const weir_view *view, unsigned mask, int64_t first[AXES], int64_t n[AXES]) {
  for (int k = 0, a = 0; k < AXES; k++) {
    bool has = mask >> k & 1;
    first[k] = has ? view->start[a] : 0;
    n[k]     = has ? view->count[a] : 1;
    a += has;
  }
}

static bool read_view(const reader *r, int i, const int64_t c[AXES], int64_t *value) {
  const weir_apply *a                    = r->self;
  const spec       *s                    = a->params;
  const weir_view  *view                 = &a->in[i];
  int64_t           index[WEIR_RANK_MAX] = {0};
  double            x;
  if (!view->data) return false;
  for (int k = 0, d = 0; k < AXES; k++) {
    if (!(s->in_mask[i] >> k & 1)) continue;
    index[d] = c[k] - view->start[d];
    if (index[d] < 0 || index[d] >= view->count[d]) {
      complain("a place it asked for is not in its view");
      return false;
    }
    d++;
  }
  *value = (int64_t)*weir_view_load(view, index, 1, &x);
  return true;
}

static bool view_given(const reader *r, int i) {
  const weir_apply *a = r->self;
  return a->in[i].data || a->in[i].missing;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return 8 + (size_t)weir__region_size(out);
}

/* What every call may rely on; WEIR_END or a failure where the spec says so. */
static weir_status checked(const weir_apply *a, const weir_region *out, bool late) {
  const spec *s = a->params;
  if (a->ordinal < 0 || a->ordinal >= steps || a->step != number_of[a->ordinal] || a->time != time_of[a->ordinal])
    complain("wrong step or time");
  else if (a->ordinal ? a->dt != time_of[a->ordinal] - time_of[a->ordinal - 1] : !isnan(a->dt)) complain("wrong dt");
  if (a->index > a->ordinal) complain("active more often than there were steps");
  if (!a->context) complain("not prepared");
  if ((uintptr_t)a->scratch % 64) complain("scratch is not aligned");
  memset(a->scratch, 0xee, scratch_size(s, NULL, out));
  if (s->fail_late != late || !s->fail_every || (a->ordinal + s->fail_phase) % s->fail_every) return WEIR_OK;
  return s->fail_hard ? WEIR_FAIL(WEIR_ERR_OPERATOR, "refused on purpose") : WEIR_END;
}

static void check_order(const weir_apply *a, const int64_t first[AXES]) {
  const spec      *s    = a->params;
  _Atomic int64_t *last = &s->order.last[(first[0] * extent[1] + first[1]) * extent[2] + first[2]];
  if (atomic_exchange(last, a->ordinal) >= a->ordinal) complain("steps out of order");
}

static weir_status apply(const weir_apply *a) {
  const spec *s   = a->params;
  reader      r   = {read_view, view_given, a};
  weir_region out = {.rank = a->out[0].rank};
  int64_t     first[AXES], n[AXES], c[AXES], *state = a->state;
  memcpy(out.count, a->out[0].count, sizeof out.count);
  weir_status status = checked(a, &out, false);
  if (status != WEIR_OK) return status;
  box_of(&a->out[0], s->mask, first, n);
  if (s->kind == ORDERED) check_order(a, first);
  for (int k = 0; k < a->outputs; k++) {
    int64_t at = 0;
    for (c[0] = first[0]; c[0] < first[0] + n[0]; c[0]++)
      for (c[1] = first[1]; c[1] < first[1] + n[1]; c[1]++)
        for (c[2] = first[2]; c[2] < first[2] + n[2]; c[2]++, at++) {
          int64_t v = formula(s, &r, k, c), index[WEIR_RANK_MAX] = {0};
          if (s->kind == STATE) v = state[at] = modulo(state[at] + v, MODULUS);
          for (int d = 0, b = 0; d < AXES; d++)
            if (s->mask >> d & 1) index[b++] = c[d] - first[d];
          weir_view_store(&a->out[k], index, 1, &(double){(double)v});
        }
  }
  return WEIR_OK;
}

static weir_status infer(weir_infer *x) {
  const spec *s = x->params;
  for (int i = 0; i < x->inputs; i++) x->lag[i] = s->lag[i];
  if (s->kind == HALO)
    for (int k = 0, a = 0; k < AXES; k++) {
      if (!(s->mask >> k & 1)) continue;
      if (s->wrap >> k & 1) x->wrap[0] |= 1u << a;
      a++;
    }
  if (s->mask == s->in_mask[0]) return WEIR_OK;
  weir_field_type type = *x->in[0];
  x->out[0].rank       = 0;
  for (int k = 0, a = 0; k < AXES; k++) { /* the axes that stay */
    if (!(s->in_mask[0] >> k & 1)) continue;
    if (s->mask >> k & 1) {
      x->out[0].dim[x->out[0].rank]   = type.dim[a];
      x->from_axis[0][x->out[0].rank] = a;
      x->out[0].rank++;
    }
    a++;
  }
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  const spec *s = params;
  weir_region r = s->kind == PICK ? weir__region_whole(in[input]) : weir__region_by_name(in[0], out, in[input]);
  for (int k = 0, a = 0; k < AXES; k++) {
    if (!(s->in_mask[input] >> k & 1)) continue;
    if (s->kind == HALO && !input) r.start[a] -= s->halo[k], r.count[a] += 2 * s->halo[k];
    if (s->kind == PICK && !input) r.start[a] = s->first[k], r.count[a] = s->n[k];
    bool turned = (s->kind == MIRROR && !input) || (s->kind == LOOP && input == 1);
    if (turned && (s->mirror >> k & 1)) r.start[a] = extent[k] - r.start[a] - r.count[a];
    a++;
  }
  *region = r;
  return WEIR_OK;
}

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)weir__region_size(out) * sizeof(int64_t);
}

static _Atomic int prepared;

static weir_status prepare(const void *params, const weir_field_type *const *in, void **context) {
  (void)params, (void)in;
  atomic_fetch_add(&prepared, 1);
  return weir__alloc_zeroed(8, 0, context);
}

static void release(void *context) {
  atomic_fetch_sub(&prepared, 1);
  weir__free(context);
}

static void reduce_begin(const void *params, const weir_field_type *const *in, const weir_region *out, void *partial) {
  const spec *s = params;
  (void)in;
  for (int64_t i = 0; i < weir__region_size(out); i++) ((int64_t *)partial)[i] = s->most ? -1 : 0;
}

static void reduce_one(const spec *s, int64_t *into, int64_t v) {
  if (!s->most) *into = modulo(*into + v, MODULUS);
  else if (v > *into) *into = v;
}

static weir_status reduce_apply(const weir_apply *a) {
  const spec *s   = a->params;
  reader      r   = {read_view, view_given, a};
  weir_region out = {.rank = a->out[0].rank};
  int64_t     first[AXES], n[AXES], to[AXES], m[AXES], c[AXES];
  memcpy(out.count, a->out[0].count, sizeof out.count);
  weir_status status = checked(a, &out, false);
  if (status != WEIR_OK) return status;
  box_of(&a->in[0], s->in_mask[0], first, n);
  box_of(&a->out[0], s->mask, to, m);
  for (c[0] = first[0]; c[0] < first[0] + n[0]; c[0]++)
    for (c[1] = first[1]; c[1] < first[1] + n[1]; c[1]++)
      for (c[2] = first[2]; c[2] < first[2] + n[2]; c[2]++) {
        int64_t at = 0;
        for (int k = 0; k < AXES; k++) at = at * m[k] + (s->mask >> k & 1 ? c[k] - to[k] : 0);
        reduce_one(s, (int64_t *)a->partial + at, formula(s, &r, 0, c));
      }
  return WEIR_OK;
}

static void reduce_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                           const void *from) {
  (void)in;
  for (int64_t i = 0; i < weir__region_size(out); i++)
    reduce_one(params, (int64_t *)into + i, ((const int64_t *)from)[i]);
}

static weir_status reduce_finish(const weir_apply *a) {
  const int64_t *partial              = a->partial;
  int64_t        index[WEIR_RANK_MAX] = {0};
  weir_region    out                  = {.rank = a->out[0].rank};
  memcpy(out.count, a->out[0].count, sizeof out.count);
  weir_status status = checked(a, &out, true);
  if (status != WEIR_OK) return status;
  do {
    int64_t row = weir_view_row(&a->out[0]);
    for (int64_t i = 0; i < row; i++) {
      if (a->out[0].rank) index[a->out[0].rank - 1] = i;
      weir_view_store(&a->out[0], index, 1, &(double){(double)*partial++});
    }
    if (a->out[0].rank) index[a->out[0].rank - 1] = 0;
  } while (weir_view_next_row(&a->out[0], index));
  return WEIR_OK;
}

#define COMMON                                                                                                         \
  .api = WEIR_OPERATOR_API, .params_size = sizeof(spec), .infer = infer, .prepare = prepare, .release = release,       \
  .scratch_size = scratch_size
static const weir_operator loop_step = {.name            = "loop_step",
                                        .inputs          = 1,
                                        .optional_inputs = 1,
                                        .accepts_missing = true,
                                        .need            = need,
                                        .apply           = apply,
                                        COMMON};

static const weir_operator operators[KINDS];

/* x(n) = f(x(n - lag)), directly or through a copy. */
static weir_status loop_expand(weir_expand *x) {
  spec s = *(const spec *)x->params, same = s;
  int  handle, from;
  s.inputs = 2;
  WEIR_TRY(weir_expand_add(x, &loop_step, &s, (int[]){x->input[0], -1}, 2, &handle));
  from           = handle;
  same.kind      = POINT;
  same.inputs    = 1;
  same.offset    = 0;
  same.weight[0] = 1;
  same.lag[0]    = 0;
  if (s.loop_copy) WEIR_TRY(weir_expand_add(x, &operators[POINT], &same, &handle, 1, &from));
  WEIR_TRY(weir_expand_loop(x, handle, 1, from, s.loop_lag));
  return weir_expand_result(x, 0, handle, 0);
}

static const weir_operator operators[KINDS] = {
    [POINT] =
        {.name = "point", .inputs = 1, .optional_inputs = 2, .apply = apply, .work = 500, .in_boxes = true, COMMON},
    [HALO] = {.name            = "halo",
              .inputs          = 1,
              .optional_inputs = 2,
              .need            = need,
              .apply           = apply,
              .work            = 2000,
              .in_boxes        = true,
              COMMON},
    [MIRROR] =
        {.name = "mirror", .inputs = 1, .optional_inputs = 2, .need = need, .apply = apply, .in_boxes = true, COMMON},
    [PICK] =
        {.name = "pick", .inputs = 1, .optional_inputs = 2, .need = need, .apply = apply, .in_boxes = true, COMMON},
    [REDUCE]  = {.name            = "reduce",
                 .inputs          = 1,
                 .optional_inputs = 2,
                 .work            = 300,
                 .partial_size    = state_size,
                 .begin           = reduce_begin,
                 .apply           = reduce_apply,
                 .combine         = reduce_combine,
                 .finish          = reduce_finish,
                 COMMON},
    [STATE]   = {.name = "state", .inputs = 1, .optional_inputs = 2, .state_size = state_size, .apply = apply, COMMON},
    [TWO]     = {.name = "two", .inputs = 1, .optional_inputs = 2, .outputs = 2, .apply = apply, COMMON},
    [ACCEPT]  = {.name = "accept", .inputs = 1, .optional_inputs = 2, .accepts_missing = true, .apply = apply, COMMON},
    [ORDERED] = {.name = "ordered", .inputs = 1, .optional_inputs = 2, .in_order = true, .apply = apply, COMMON},
    [LOOP] =
        {.api = WEIR_OPERATOR_API, .name = "loop", .inputs = 1, .params_size = sizeof(spec), .expand = loop_expand},
};
#endif
