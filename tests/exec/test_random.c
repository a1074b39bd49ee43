/* weir-test: ranks=1,2,3 timeout=120
 *
 * Proves that the engine moves the right values: random graphs (elementwise, halo, mirrored, whole-field, reductions,
 * broadcasts, earlier steps, state, two results, recurrences, results nobody has at some steps, operators that want to
 * know of that, failing operators, static and failing sources) on random shapes, uneven chunks, triggers, threads and
 * steps in flight give what a serial interpreter gives that knows no chunk, thread or process. Values are integers
 * below MODULUS, so all arithmetic is exact. The seed of a failing graph is printed: WEIR_TEST_SEED=N runs it alone. */
#include "comm/comm.h"
#include "core/clock.h"
#include "exec/worker.h"
#include "support/serial.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MODULUS = 1009, AXES = 3, NODES = 20, SOURCES = 3, INPUTS = 3, STEPS_MAX = 14, SECONDS = 8 };

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
static weir_status checked(const weir_apply *a, const weir_region *out) {
  const spec *s = a->params;
  if (a->ordinal < 0 || a->ordinal >= steps || a->step != number_of[a->ordinal] || a->time != time_of[a->ordinal])
    complain("wrong step or time");
  else if (a->ordinal ? a->dt != time_of[a->ordinal] - time_of[a->ordinal - 1] : !isnan(a->dt)) complain("wrong dt");
  if (a->index > a->ordinal) complain("active more often than there were steps");
  if (!a->context) complain("not prepared");
  if ((uintptr_t)a->scratch % 64) complain("scratch is not aligned");
  memset(a->scratch, 0xee, scratch_size(s, NULL, out));
  if (!s->fail_every || (a->ordinal + s->fail_phase) % s->fail_every) return WEIR_OK;
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
  weir_status status = checked(a, &out);
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
  weir_status status = checked(a, &out);
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
    [POINT]   = {.name = "point", .inputs = 1, .optional_inputs = 2, .apply = apply, .work = 500, COMMON},
    [HALO]    = {.name = "halo", .inputs = 1, .optional_inputs = 2, .need = need, .apply = apply, .work = 2000, COMMON},
    [MIRROR]  = {.name = "mirror", .inputs = 1, .optional_inputs = 2, .need = need, .apply = apply, COMMON},
    [PICK]    = {.name = "pick", .inputs = 1, .optional_inputs = 2, .need = need, .apply = apply, COMMON},
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

/* ---- where fields end up ---- */

typedef struct capture_params {
  int node, output;
} capture_params;

static weir_status capture_infer(weir_infer *x) {
  x->out[0].rank = 0;
  return WEIR_OK;
}

static weir_status capture_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                                weir_region *region) {
  (void)p, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}

static weir_status capture_apply(const weir_apply *a) {
  const capture_params *p                    = a->params;
  node                 *n                    = &nodes[p->node];
  int64_t               index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&a->in[0]);
  double               *to = n->capture[p->output] + a->ordinal * n->size, buffer[64];
  n->calls[p->output][a->ordinal]++;
  do {
    memcpy(to, weir_view_load(&a->in[0], index, row, buffer), (size_t)row * sizeof *to);
    to += row;
  } while (weir_view_next_row(&a->in[0], index));
  weir_view_store(&a->out[0], NULL, 1, &(double){1});
  return WEIR_OK;
}

static const weir_operator capture_operator = {.api         = WEIR_OPERATOR_API,
                                               .name        = "capture",
                                               .inputs      = 1,
                                               .params_size = sizeof(capture_params),
                                               .infer       = capture_infer,
                                               .need        = capture_need,
                                               .apply       = capture_apply};

/* ---- sources ---- */

static int64_t source_value(int field, int64_t ordinal, const int64_t c[AXES]) {
  uint64_t h = (uint64_t)(field + 1) * 0x9e3779b97f4a7c15u + (uint64_t)(nodes[field].is_static ? 0 : ordinal + 1);
  for (int k = 0; k < AXES; k++) h = (h ^ (uint64_t)c[k] ^ h >> 29) * 0xbf58476d1ce4e5b9u;
  return (int64_t)(h >> 20) % MODULUS;
}

static weir_status source_next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  if (ordinal >= steps) return WEIR_END;
  *step = number_of[ordinal];
  *time = time_of[ordinal];
  return WEIR_OK;
}

static weir_status source_read(void *self, int field, int64_t ordinal, const weir_view *out) {
  int64_t first[AXES], n[AXES], c[AXES], index[WEIR_RANK_MAX] = {0};
  (void)self;
  if (ordinal == nodes[field].read_fails) return WEIR_FAIL(WEIR_ERR_IO, "refused on purpose");
  box_of(out, nodes[field].spec.mask, first, n);
  if (nodes[field].is_static) /* long enough for the next step to begin meanwhile */
    for (int64_t until = weir__clock_ns() + 20000; weir__clock_ns() < until;) {}
  for (c[0] = first[0]; c[0] < first[0] + n[0]; c[0]++)
    for (c[1] = first[1]; c[1] < first[1] + n[1]; c[1]++)
      for (c[2] = first[2]; c[2] < first[2] + n[2]; c[2]++) {
        for (int k = 0, a = 0; k < AXES; k++)
          if (nodes[field].spec.mask >> k & 1) index[a++] = c[k] - first[k];
        weir_view_store(out, index, 1, &(double){(double)source_value(field, ordinal, c)});
      }
  return WEIR_OK;
}

/* ---- making a graph ---- */

static void make_source(int i) {
  static const weir_dtype dtypes[] = {WEIR_F64, WEIR_F64, WEIR_F32, WEIR_I16, WEIR_I32, WEIR_I64, WEIR_U16};
  nodes[i].spec.mask               = i ? (unsigned)below(8) : 7u - (chance(40) ? 1u << below(3) : 0);
  nodes[i].spec.offset             = dtypes[below(7)]; /* its type */
  nodes[i].is_static               = i > 0 && chance(40);
  nodes[i].read_fails              = chance(10) && !nodes[i].is_static ? below(steps) : -1;
}

static void choose_input(int i, int k, unsigned within) {
  spec *s            = &nodes[i].spec;
  nodes[i].input[k]  = -1;
  nodes[i].output[k] = 0;
  if (k && chance(k == 1 ? 40 : 70)) return;
  for (int tries = 0; tries < 20; tries++) {
    int from = (int)below(i);
    if (k && (nodes[from].spec.mask & ~within)) continue;
    if (!k && !nodes[from].spec.mask && chance(80)) continue; /* scalars lead to nothing but scalars */
    nodes[i].input[k]  = from;
    nodes[i].output[k] = nodes[from].spec.kind == TWO ? (int)below(2) : 0;
    s->in_mask[k]      = nodes[from].spec.mask;
    if (chance(15) && s->kind != LOOP) s->lag[k] = 1 + below(3);
    return;
  }
  if (!k) nodes[i].input[0] = 0, s->in_mask[0] = nodes[0].spec.mask;
}

static void make_operator(int i) {
  spec *s = &nodes[i].spec;
  s->kind = (kind)(1 + below(KINDS - 1));
  choose_input(i, 0, 7);
  if (s->kind == LOOP && nodes[i].output[0]) s->kind = POINT; /* made of operators: takes first results only */
  s->inputs = s->kind == LOOP ? 1 : INPUTS;
  for (int k = 1; k < INPUTS; k++)
    if (s->kind == LOOP) nodes[i].input[k] = -1;
    else choose_input(i, k, s->kind == PICK ? 0 : s->in_mask[0]);
  s->mask = s->in_mask[0];
  if (s->kind == REDUCE) s->mask &= chance(40) ? 0 : (unsigned)below(8);
  if (s->kind == PICK) s->mask = 0;
  s->most   = chance(50);
  s->wrap   = (unsigned)below(8);
  s->mirror = (unsigned)below(8);
  for (int k = 0; k < INPUTS; k++) s->weight[k] = 1 + below(5);
  for (int k = 0; k < AXES; k++) {
    bool has    = s->in_mask[0] >> k & 1;
    s->halo[k]  = has ? below(3) : 0;
    s->first[k] = has ? below(extent[k]) : 0;
    s->n[k]     = has ? 1 + below(extent[k] - s->first[k]) : 1;
  }
  s->offset    = below(MODULUS);
  s->loop_lag  = 1 + below(2);
  s->loop_copy = chance(50);
  if (s->kind == LOOP) s->in_mask[1] = s->mask;
  if (chance(12) && s->kind != LOOP && s->kind != REDUCE) {
    s->fail_every = 2 + below(5);
    s->fail_phase = below(s->fail_every);
    s->fail_hard  = chance(50);
  } else if (chance(12) && s->kind == REDUCE) {
    s->fail_every = 2 + below(5);
    s->fail_hard  = true;
  }
}

static void make_all(void) {
  steps = 4 + below(STEPS_MAX - 3);
  for (int k = 0; k < AXES; k++) extent[k] = 1 + below(k == 0 ? 5 : 14);
  for (int64_t n = 0; n < steps; n++) {
    number_of[n] = (n ? number_of[n - 1] + 1 : below(4)) + (chance(30) ? below(4) : 0);
    time_of[n]   = (n ? time_of[n - 1] : 0) + 0.25 * (double)(1 + below(6));
  }
  sources = 1 + (int)below(SOURCES);
  count   = sources + 2 + (int)below(NODES - SOURCES - 2);
  for (int i = 0; i < count; i++) {
    nodes[i] = (node){.read_fails = -1};
    if (i < sources) make_source(i);
    else make_operator(i);
    nodes[i].size = 1;
    for (int k = 0; k < AXES; k++)
      if (nodes[i].spec.mask >> k & 1) nodes[i].size *= extent[k];
    for (int k = 0; k < 2; k++) {
      bool exists          = k == 0 || nodes[i].spec.kind == TWO;
      nodes[i].value[k]    = calloc((size_t)(steps * nodes[i].size), sizeof(double));
      nodes[i].capture[k]  = calloc((size_t)(steps * nodes[i].size), sizeof(double));
      nodes[i].captured[k] = exists && (chance(35) || (i == count - 1 && !k));
    }
    nodes[i].spec.order.last = calloc((size_t)(extent[0] * extent[1] * extent[2]), sizeof(_Atomic int64_t));
    for (int64_t e = 0; e < extent[0] * extent[1] * extent[2]; e++) atomic_init(&nodes[i].spec.order.last[e], -1);
  }
}

static void free_all(void) {
  for (int i = 0; i < count; i++) {
    for (int k = 0; k < 2; k++) free(nodes[i].value[k]), free(nodes[i].capture[k]);
    free((void *)nodes[i].spec.order.last);
  }
}

/* ---- the interpreter ---- */

typedef struct moment {
  const node *n;
  int64_t     ordinal;
} moment;

static const double *input_at(const moment *m, int i) { /* NULL: missing */
  const spec *s  = &m->n->spec;
  int64_t     at = m->ordinal - s->lag[i];
  const node *from;
  if (s->kind == LOOP && i == 1) {
    at = m->ordinal - s->loop_lag;
    return at < 0 ? NULL : m->n->value[0] + at * m->n->size;
  }
  from = &nodes[m->n->input[i]];
  return at < 0 || !from->present[at] ? NULL : from->value[m->n->output[i]] + at * from->size;
}

static bool read_whole(const reader *r, int i, const int64_t c[AXES], int64_t *value) {
  const moment *m = r->self;
  const double *x = input_at(m, i);
  int64_t       e = 0;
  for (int k = 0; k < AXES; k++)
    if (m->n->spec.in_mask[i] >> k & 1) e = e * extent[k] + modulo(c[k], extent[k]);
  if (x) *value = (int64_t)x[e];
  return x != NULL;
}

static bool whole_given(const reader *r, int i) {
  const moment *m = r->self;
  return (m->n->spec.kind == LOOP && i == 1) || m->n->input[i] >= 0;
}

static bool fails(const spec *s, int64_t ordinal) {
  return s->fail_every && (ordinal + s->fail_phase) % s->fail_every == 0;
}

/* Would `apply` be called in a step in which everything is active? */
static bool callable(const node *n, int64_t ordinal) {
  moment m = {n, ordinal};
  if (n->spec.kind == ACCEPT || n->spec.kind == LOOP) return true;
  for (int i = 0; i < INPUTS; i++)
    if (n->input[i] >= 0 && !input_at(&m, i)) return false;
  return true;
}

static void interpret(node *n, int64_t t) {
  moment  m = {n, t};
  reader  r = {read_whole, whole_given, &m};
  spec    s = n->spec;
  int64_t c[AXES], size[AXES];
  if (s.kind == SOURCE) n->present[t] = n->is_static || t != n->read_fails;
  else n->present[t] = callable(n, t) && !fails(&s, t);
  if (!n->present[t]) return;
  if (s.kind == LOOP) s.inputs = 2;
  unsigned mask = s.kind == REDUCE ? s.in_mask[0] : s.mask;
  for (int k = 0; k < AXES; k++) size[k] = mask >> k & 1 ? extent[k] : 1;
  for (int o = 0; o < (s.kind == TWO ? 2 : 1); o++) {
    double *out = n->value[o] + t * n->size;
    if (s.kind == REDUCE)
      for (int64_t e = 0; e < n->size; e++) out[e] = s.most ? -1 : 0;
    if (s.kind == STATE)
      for (int64_t e = 0, b = t - 1; e < n->size; e++) { /* from the last step it was called in */
        for (b = t - 1; b >= 0 && !n->present[b];) b--;
        out[e] = b < 0 ? 0 : n->value[0][b * n->size + e];
      }
    for (c[0] = 0; c[0] < size[0]; c[0]++)
      for (c[1] = 0; c[1] < size[1]; c[1]++)
        for (c[2] = 0; c[2] < size[2]; c[2]++) {
          int64_t e = 0, into, v = s.kind == SOURCE ? source_value((int)(n - nodes), t, c) : formula(&s, &r, o, c);
          for (int k = 0; k < AXES; k++)
            if (s.mask >> k & 1) e = e * extent[k] + c[k];
          into = (int64_t)out[e];
          if (s.kind == REDUCE) reduce_one(&s, &into, v), v = into;
          out[e] = (double)(s.kind == STATE ? modulo(into + v, MODULUS) : v);
        }
  }
}

/* ---- the graph ---- */

static void fail_here(uint64_t seed, const char *what) {
  for (int i = 0; i < count; i++) {
    const spec *s = &nodes[i].spec;
    fprintf(stderr, "%2d %-8s axes %x%s", i, i < sources ? "source" : operators[s->kind].name, s->mask,
            nodes[i].is_static ? " static" : "");
    for (int k = 0; k < INPUTS && i >= sources; k++)
      if (nodes[i].input[k] >= 0) fprintf(stderr, "  %d.%d", nodes[i].input[k], nodes[i].output[k]);
    for (int k = 0; k < INPUTS; k++)
      if (s->lag[k]) fprintf(stderr, "  lag[%d] %d", k, (int)s->lag[k]);
    if (s->fail_every) fprintf(stderr, "  fails %d/%d", (int)s->fail_phase, (int)s->fail_every);
    if (nodes[i].read_fails >= 0) fprintf(stderr, "  read fails at %d", (int)nodes[i].read_fails);
    fprintf(stderr, "%s\n", nodes[i].captured[0] || nodes[i].captured[1] ? "  captured" : "");
  }
  fail_msg("%s; WEIR_TEST_SEED=%llu runs this graph alone", what, (unsigned long long)seed);
}

static int add_source(weir__graph *g, int i) {
  char            name[24];
  weir_field_type type = {.dtype = (weir_dtype)nodes[i].spec.offset};
  weir__grid      grid = {0};
  int64_t         edge[AXES][20];
  int             number;
  for (int k = 0; k < AXES; k++) {
    if (!(nodes[i].spec.mask >> k & 1)) continue;
    type.dim[type.rank]    = (weir_dimension){.name = axis_name[k], .size = extent[k]};
    grid.chunks[type.rank] = test_cut(extent[k], chance(25) ? 0 : 1 + below(6), edge[type.rank]);
    grid.edge[type.rank]   = edge[type.rank];
    grid.rank              = ++type.rank;
  }
  snprintf(name, sizeof name, "source%d", i);
  assert_int_equal(weir__graph_add_source(g, name, 0, i, &type, chance(80) ? &grid : NULL, nodes[i].is_static, &number),
                   WEIR_OK);
  return number;
}

static int add_operator(weir__graph *g, int i, uint64_t seed) {
  weir__edge in[INPUTS];
  int        number;
  for (int k = 0; k < INPUTS; k++)
    in[k] = (weir__edge){nodes[i].input[k] < 0 ? -1 : nodes[nodes[i].input[k]].number, nodes[i].output[k]};
  if (weir__graph_add_operator(g, &operators[nodes[i].spec.kind], &nodes[i].spec, in, nodes[i].spec.inputs, NULL,
                               (weir__place){0}, NULL, &number) < 0)
    fail_here(seed, weir_error_last());
  return number;
}

static void add_captures(weir__graph *g) {
  for (int i = 0; i < count; i++)
    for (int k = 0; k < 2; k++) {
      capture_params p = {i, k};
      weir__trigger  t = {.period = 1 + below(4)};
      int            sink;
      if (!nodes[i].captured[k]) continue;
      t.phase = below(t.period);
      if (chance(20)) t = (weir__trigger){.interval = 0.5 * (double)(1 + below(6))};
      assert_int_equal(weir__graph_add_operator(g, &capture_operator, &p, &(weir__edge){nodes[i].number, k}, 1, NULL,
                                                (weir__place){0}, NULL, &sink),
                       WEIR_OK);
      assert_int_equal(weir__graph_trigger(g, t, &nodes[i].trigger[k]), WEIR_OK);
      weir__graph_want(g, sink, nodes[i].trigger[k]);
    }
}

static bool fires(const weir__graph *g, int trigger, int64_t t) {
  return weir__trigger_fires(&g->trigger[trigger], number_of[t], time_of[t], t ? time_of[t - 1] : NAN);
}

/* Is an operator or a source expected to fail in a step in which it is computed? */
static bool expect_failure(const weir__graph *g) {
  for (int i = 0; i < count; i++)
    for (int64_t t = 0; t < steps; t++) {
      const weir__node *n      = &g->node[nodes[i].number];
      bool              active = n->triggers == ~(uint64_t)0;
      for (int k = 0; k < g->triggers; k++) active |= (n->triggers >> k & 1) && fires(g, k, t);
      if (!active) continue;
      if (i < sources ? nodes[i].read_fails == t
                      : nodes[i].spec.fail_hard && fails(&nodes[i].spec, t) && callable(&nodes[i], t))
        return true;
    }
  return false;
}

static void check(weir__comm *comm, const weir__graph *g, uint64_t seed) {
  for (int i = 0; i < count; i++)
    for (int k = 0; k < 2; k++)
      for (int64_t t = 0; nodes[i].captured[k] && t < steps; t++) {
        const node *n     = &nodes[i];
        int64_t     calls = n->calls[k][t], wrong = 0, at = t * n->size;
        if (calls) wrong = memcmp(n->capture[k] + at, n->value[k] + at, (size_t)n->size * sizeof(double)) != 0;
        assert_int_equal(weir__comm_sum(comm, &calls, 1), WEIR_OK);
        assert_int_equal(weir__comm_max(comm, &wrong, 1), WEIR_OK);
        char what[200];
        snprintf(what, sizeof what, "node %d (%s), result %d, ordinal %d of %d: %d calls, expected %d; values %s", i,
                 i < sources ? "source" : operators[n->spec.kind].name, k, (int)t, (int)steps, (int)calls,
                 n->present[t] && fires(g, n->trigger[k], t), wrong ? "differ" : "agree");
        if (wrong || calls != (n->present[t] && fires(g, n->trigger[k], t))) fail_here(seed, what);
      }
}

static void one_graph(weir__comm *comm, uint64_t seed) {
  weir__graph         *g;
  weir__worker        *w;
  weir__source         source = {NULL, source_next, source_read};
  weir__worker_options options;
  weir__worker_stats   stats;
  test_seed = seed;
  make_all();
  for (int64_t t = 0; t < steps; t++)
    for (int i = 0; i < count; i++) interpret(&nodes[i], t);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  for (int i = 0; i < count; i++) nodes[i].number = i < sources ? add_source(g, i) : add_operator(g, i, seed);
  add_captures(g);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  options = (weir__worker_options){.threads = (int)below(4), .steps_in_flight = 1 + (int)below(3)};
  if (weir__worker_create(g, comm, &source, NULL, &options, &w) < 0) fail_here(seed, weir_error_last());
  weir_status status = weir__comm_agree(comm, weir__worker_run(w));
  if (atomic_load(&complaints)) fail_here(seed, "an operator complained");
  check(comm, g, seed);
  if (status != (expect_failure(g) ? WEIR_ERR_OPERATOR : WEIR_OK)) fail_here(seed, weir_error_last());
  if (status < 0 && !strstr(weir_error_last(), "refused on purpose")) fail_here(seed, weir_error_last());
  weir__worker_stats_get(w, &stats);
  assert_int_equal(stats.steps, steps);
  assert_int_equal(stats.messages, stats.plan_messages * steps);
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
  assert_int_equal(atomic_load(&prepared), 0);
  free_all();
}

static weir__comm *comm;

static void random_graphs(void **state) {
  const char *only    = getenv("WEIR_TEST_SEED");
  int64_t     started = weir__clock_ns(), late = 0;
  uint64_t    seed;
  (void)state;
  if (only) {
    one_graph(comm, strtoull(only, NULL, 10));
    return;
  }
  for (seed = 1; !late; seed++) {
    one_graph(comm, seed);
    late = weir__clock_ns() - started > SECONDS * (int64_t)1000000000;
    assert_int_equal(weir__comm_max(comm, &late, 1), WEIR_OK);
  }
  if (!weir__comm_rank(comm)) print_message("%d graphs\n", (int)seed - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
