/* weir-test: ranks=1,2,3 timeout=120
 *
 * Proves that arithmetic of neighbours, which is computed tile by tile and whose parts are not stored, gives the bytes
 * that it gives when its parts are stored because somebody looks at them: on fields of one to three dimensions, of some
 * types and with missing values, periodic and not, smaller and larger than a tile, in uneven chunks, of this step and
 * earlier ones; that parts that two expressions look at, or an output, are stored; and that nothing else is. The same
 * of reductions of arithmetic, which are given what is computed in runs or tiles. The seed of a failing trial is
 * printed: WEIR_TEST_SEED=N runs it alone. */
#include "comm/comm.h"
#include "core/clock.h"
#include "exec/worker.h"
#include "graph/fused.h"
#include "support/capture.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const weir_operator *const weir__operators_built_in[];

enum { STEPS = 4, SECONDS = 3, PARTS = 3, FIELDS = 3 };

/* ---- what is computed ---- */

/* The expression, and the same of named parts. */
typedef struct example {
  int         least_rank, made; /* parts that are made where they are looked at */
  bool        reduced;          /* the whole is a reduction, its part arithmetic */
  const char *whole, *part[PARTS], *of_parts;
} example;

static const example examples[] = {
    {2, 2, false, "ddx(v) - ddy(u)", {"ddx(v)", "ddy(u)"}, "a - b"},
    {1, 1, false, "2 * ddx(u) + 1", {"ddx(u)"}, "2 * a + 1"},
    {2, 2, false, "u * ddx(u) + v * ddy(u)", {"ddx(u)", "ddy(u)"}, "u * a + v * b"},
    {1, 1, false, "lag(v) + dt * ddx(u, edge=wall)", {"ddx(u, edge=wall)"}, "lag(v) + dt * a"},
    {2,
     3,
     false,
     "where(u > 0, laplacian(v), ddx(u)) * ddy(v)",
     {"laplacian(v)", "ddx(u)", "ddy(v)"},
     "where(u > 0, a, b) * c"},
    {2, 1, false, "s * laplacian(u) - u", {"laplacian(u)"}, "s * a - u"},
    {1, 1, false, "abs(ddx(u)) + x", {"ddx(u)"}, "abs(a) + x"},
    {2, 0, false, "ddx(mean(u, axes=y)) * v", {"ddx(mean(u, axes=y))"}, "a * v"}, /* it has not all dimensions */
    {1, 0, true, "mean(0.5 * (u^2 + v^2))", {"0.5 * (u^2 + v^2)"}, "mean(a)"},
    {1, 0, true, "max(sin(sqrt(abs(u) + 1)))", {"sin(sqrt(abs(u) + 1))"}, "max(a)"},
    {1, 0, true, "var(s * u - v)", {"s * u - v"}, "var(a)"},
    {1, 0, true, "count(u + lag(v))", {"u + lag(v)"}, "count(a)"},
    {1, 0, true, "sum(exp(-u / 1000) * x, axes=x)", {"exp(-u / 1000) * x"}, "sum(a, axes=x)"},
    {1, 0, true, "sum(2 * s + 1)", {"2 * s + 1"}, "sum(a)"},
    {1, 0, true, "mean(u * v, weights=abs(u))", {"u * v"}, "mean(a, weights=abs(u))"},
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

/* ---- fields ---- */

static weir_field_type type_of[FIELDS]; /* u, v; s has no dimensions */
static double          missing_share;

static double value_of(int field, int64_t ordinal, int64_t place) {
  uint64_t h = (uint64_t)place * 0x9e3779b97f4a7c15u ^ (uint64_t)(ordinal * 31 + field + 1) * 0xbf58476d1ce4e5b9u;
  h ^= h >> 31, h *= 0x94d049bb133111ebu, h ^= h >> 29;
  if ((double)(h & 1023) < 1024 * missing_share) return NAN;
  return (double)((int64_t)(h >> 20) % 2001 - 1000) / (type_of[field].dtype == WEIR_I16 ? 1 : 7);
}

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  *step = ordinal;
  *time = 0.5 * (double)(ordinal * ordinal);
  return ordinal == STEPS ? WEIR_END : WEIR_OK;
}

static weir_status read_values(void *self, int field, int64_t ordinal, const weir_view *out) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(out);
  double *row;
  (void)self;
  WEIR_TRY(weir__alloc_array((size_t)n, sizeof *row, &row));
  do {
    int64_t place = 0;
    for (int a = 0; a < out->rank; a++) place = place * type_of[field].dim[a].size + out->start[a] + index[a];
    for (int64_t i = 0; i < n; i++) row[i] = value_of(field, ordinal, place + i);
    weir_view_store(out, index, n, row);
  } while (weir_view_next_row(out, index));
  weir__free(row);
  return WEIR_OK;
}

/* ---- one trial ---- */

static int64_t below(int64_t n) { return (int64_t)(test_random() % (uint64_t)n); }

static void choose_types(int rank) {
  static const weir_dtype  dtype[] = {WEIR_F64, WEIR_F64, WEIR_F32, WEIR_I16};
  static const char *const name[]  = {"z", "y", "x"};
  weir_field_type          type    = {.rank = rank};
  bool                     wide    = below(3) == 0; /* more than a tile, or a few of them */
  for (int a = 0; a < rank; a++) {
    int64_t size = 4 + below(a == rank - 1 ? 40 : 12);
    if (wide && a == rank - 1) size = rank == 1 || below(2) ? 8000 + below(12000) : 700 + below(3000);
    type.dim[a] = (weir_dimension){
        .name = name[3 - rank + a], .size = size, .spacing = below(2) ? 0.25 : 3, .periodic = below(2) == 0};
  }
  for (int f = 0; f < 2; f++) {
    type_of[f]       = type;
    type_of[f].dtype = dtype[below(4)];
    if (below(3) == 0) type_of[f].has_fill = true, type_of[f].fill = -999;
  }
  type_of[2]    = (weir_field_type){.dtype = WEIR_F64};
  missing_share = type_of[0].has_fill && type_of[1].has_fill ? 0.05 : 0;
}

static void add_field(weir__graph *g, int f, const char *name, int64_t most) {
  weir__grid grid = {.rank = type_of[f].rank};
  int64_t   *edge[WEIR_RANK_MAX];
  int        node;
  for (int a = 0; a < grid.rank; a++) {
    int64_t size = type_of[f].dim[a].size, piece = most && size > 100 ? size / (1 + below(3)) : most;
    assert_non_null(edge[a] = malloc((size_t)(size + 1) * sizeof *edge[a]));
    grid.chunks[a] = test_cut(size, piece, edge[a]);
    grid.edge[a]   = edge[a];
  }
  assert_int_equal(weir__graph_add_source(g, name, 0, f, &type_of[f], below(4) ? &grid : NULL, false, &node), WEIR_OK);
  for (int a = 0; a < grid.rank; a++) free(edge[a]);
}

static weir__edge expression(weir__graph *g, const char *text) {
  weir__edge edge;
  if (weir__graph_expression(g, text, (weir__place){0}, &edge) < 0) fail_msg("%s: %s", text, weir_error_last());
  return edge;
}

/* Operators whose results are not stored. */
static int unused(const weir__graph *g, int first, int end) {
  int count = 0;
  for (int i = first; i < end; i++) count += g->node[i].op && g->node[i].op->in_tiles && !g->node[i].triggers;
  return count;
}

static int fused_reductions(const weir__graph *g, int first, int end) {
  int count = 0;
  for (int i = first; i < end; i++) count += g->node[i].op == &weir__operator_fused_reduction;
  return count;
}

static void trial(weir__comm *comm, uint64_t seed) {
  static const char *const name[] = {"a", "b", "c"};
  weir__source             source = {.next = next, .read = read_values};
  weir__graph             *g;
  weir__worker            *w;
  capture                  one = {0}, two = {0}, part[PARTS] = {{0}};
  int                      calls[2][STEPS] = {{0}};
  test_seed                                = seed;
  const example *e                         = &examples[below(EXAMPLES)];
  choose_types(e->least_rank + (int)below(4 - e->least_rank));
  one.size = two.size = test_field_size(&type_of[0]);
  one.calls = calls[0], two.calls = calls[1];
  assert_non_null(one.values = calloc((size_t)one.size * STEPS, sizeof(double)));
  assert_non_null(two.values = calloc((size_t)two.size * STEPS, sizeof(double)));
  assert_int_equal(weir__graph_create(weir__operators_built_in, &g), WEIR_OK);
  int64_t most = below(3) ? 1 + below(9) : 0;
  add_field(g, 0, "u", most);
  add_field(g, 1, "v", most);
  add_field(g, 2, "s", 0);
  int first = g->nodes;
  capture_add(g, expression(g, e->whole), (weir__trigger){.period = 1}, &one);
  int end = g->nodes;
  for (int p = 0; p < PARTS && e->part[p]; p++) { /* somebody else looks at each */
    assert_int_equal(weir__graph_define(g, name[p], e->part[p], (weir__place){0}), WEIR_OK);
    part[p].size = one.size;
    assert_non_null(part[p].values = calloc((size_t)one.size * STEPS, sizeof(double)));
    capture_add(g, expression(g, name[p]), (weir__trigger){.period = 1 + below(2)}, &part[p]);
  }
  capture_add(g, expression(g, e->of_parts), (weir__trigger){.period = 1}, &two);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  if (unused(g, first, end) != e->made || unused(g, end, g->nodes))
    fail_msg("seed %llu: %s: %d parts are not stored, and %d of those that are looked at", (unsigned long long)seed,
             e->whole, unused(g, first, end), unused(g, end, g->nodes));
  assert_int_equal(fused_reductions(g, first, end), e->reduced);
  assert_int_equal(fused_reductions(g, end, g->nodes), 0);
  weir__worker_options options = {.threads = (int)below(3), .steps_in_flight = 1 + (int)below(3)};
  assert_int_equal(weir__worker_create(g, comm, &source, NULL, &options, &w), WEIR_OK);
  if (weir__comm_agree(comm, weir__worker_run(w)) < 0)
    fail_msg("seed %llu: %s: %s", (unsigned long long)seed, e->whole, weir_error_last());
  for (int t = 0; t < STEPS; t++) {
    int64_t there[2] = {calls[0][t], calls[1][t]};
    bool    here     = calls[0][t] && calls[1][t];
    assert_int_equal(weir__comm_sum(comm, there, 2), WEIR_OK);
    assert_int_equal(there[0], there[1]);
    assert_int_equal(there[0], strstr(e->whole, "lag") || strstr(e->whole, "dt") ? t > 0 : 1);
    if (here && memcmp(one.values + t * one.size, two.values + t * two.size, (size_t)one.size * sizeof(double)))
      fail_msg("seed %llu: %s differs at step %d", (unsigned long long)seed, e->whole, t);
  }
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
  free(one.values), free(two.values);
  for (int p = 0; p < PARTS; p++) free(part[p].values);
}

/* What two reductions look at is computed twice if that is cheap, and else stored. */
static void cheap_or_stored(void **state) {
  static const struct {
    const char *part;
    int         fused;
  } of_two[] = {{"2 * u + 1", 2},  {"sqrt(u)", 2}, {"sin(u)", 0},    {"sin(sqrt(u))", 0},
                {"exp(u / v)", 0}, {"u ** v", 0},  {"exp(2 * u)", 0}};
  (void)state;
  test_seed = 1;
  choose_types(2);
  for (size_t k = 0; k < sizeof of_two / sizeof *of_two; k++) {
    weir__graph *g;
    capture      to[2];
    assert_int_equal(weir__graph_create(weir__operators_built_in, &g), WEIR_OK);
    add_field(g, 0, "u", 0);
    add_field(g, 1, "v", 0);
    assert_int_equal(weir__graph_define(g, "a", of_two[k].part, (weir__place){0}), WEIR_OK);
    capture_add(g, expression(g, "mean(a)"), (weir__trigger){.period = 1}, &to[0]);
    capture_add(g, expression(g, "max(a)"), (weir__trigger){.period = 1}, &to[1]);
    assert_int_equal(weir__graph_finish(g), WEIR_OK);
    if (fused_reductions(g, 0, g->nodes) != of_two[k].fused) fail_msg("%s: not %d", of_two[k].part, of_two[k].fused);
    weir__graph_destroy(&g);
  }
}

static weir__comm *comm;

static void random_fields(void **state) {
  const char *only    = getenv("WEIR_TEST_SEED");
  int64_t     started = weir__clock_ns(), late = 0;
  uint64_t    seed;
  (void)state;
  if (only) {
    trial(comm, strtoull(only, NULL, 10));
    return;
  }
  for (seed = 1; !late; seed++) {
    trial(comm, seed);
    late = weir__clock_ns() - started > SECONDS * (int64_t)1000000000;
    assert_int_equal(weir__comm_max(comm, &late, 1), WEIR_OK);
  }
  if (!weir__comm_rank(comm)) print_message("%d trials\n", (int)seed - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(cheap_or_stored), cmocka_unit_test(random_fields)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
