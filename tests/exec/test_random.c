/* weir-test: ranks=1,2,3 timeout=120
 *
 * Proves that the engine moves the right values: random graphs (elementwise, halo, mirrored, whole-field, reductions,
 * broadcasts, earlier steps, state, two results, recurrences, results nobody has at some steps, operators that want to
 * know of that, failing operators, static and failing sources) on random shapes, uneven chunks, triggers, threads,
 * steps in flight, and steps shared out among workers or not, give what a serial interpreter gives that knows no chunk,
 * thread or process. Values are integers below MODULUS, so all arithmetic is exact. The seed of a failing graph is
 * printed: WEIR_TEST_SEED=N runs it alone. */
#include "comm/comm.h"
#include "core/clock.h"
#include "exec/worker.h"
#include "random_operators.h"
#include "support/capture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SOURCES = 3, SECONDS = 8 };

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
  if (!chance(12) || s->kind == LOOP) return;
  s->fail_every = 2 + below(5);
  s->fail_phase = below(s->fail_every);
  s->fail_hard  = chance(50);
  s->fail_late  = s->kind == REDUCE && chance(50);
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
      weir__trigger t = {.period = 1 + below(4)};
      if (!nodes[i].captured[k]) continue;
      t.phase = below(t.period);
      if (chance(20)) t = (weir__trigger){.interval = 0.5 * (double)(1 + below(6))};
      nodes[i].trigger[k] = capture_add(g, (weir__edge){nodes[i].number, k}, t,
                                        &(capture){nodes[i].capture[k], nodes[i].size, nodes[i].calls[k]});
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

static int64_t shared; /* steps that were claimed by others than worker 0 */

static void one_graph(weir__comm *comm, uint64_t seed) {
  weir__graph         *g;
  weir__worker        *w;
  weir__source         source = {.self = NULL, .next = source_next, .read = source_read};
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
  options =
      (weir__worker_options){.threads = (int)below(4), .steps_in_flight = 1 + (int)below(3), .claims = chance(60)};
  if (!options.claims) options.forwarders = (int)below(weir__comm_size(comm)); /* they own nothing */
  if (weir__worker_create(g, comm, &source, NULL, &options, &w) < 0) fail_here(seed, weir_error_last());
  weir_status status = weir__comm_agree(comm, weir__worker_run(w));
  if (atomic_load(&complaints)) fail_here(seed, "an operator complained");
  check(comm, g, seed);
  if (status != (expect_failure(g) ? WEIR_ERR_OPERATOR : WEIR_OK)) fail_here(seed, weir_error_last());
  if (status < 0 && !strstr(weir_error_last(), "refused on purpose")) fail_here(seed, weir_error_last());
  weir__worker_stats_get(w, &stats);
  int64_t others = weir__comm_rank(comm) ? stats.claimed : 0;
  assert_int_equal(weir__comm_sum(comm, &stats.claimed, 1), WEIR_OK);
  assert_int_equal(weir__comm_sum(comm, &others, 1), WEIR_OK);
  assert_true(!stats.claimed || stats.claimed == steps);
  shared += others;
  assert_int_equal(stats.steps, steps);
  if (!options.claims) assert_int_equal(stats.messages, stats.plan_messages * steps);
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
  if (weir__comm_size(comm) > 1) assert_true(shared > 0);
  if (!weir__comm_rank(comm)) print_message("%d graphs, %d steps shared out\n", (int)seed - 1, (int)shared);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
