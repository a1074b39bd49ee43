/* Proves that partial results find their way: whatever the number of workers, forwarders and chunks, and whichever axes
 * are reduced, each worker that owns any of the input of a result sends one partial, to a worker that expects it, the
 * way leads to the owner of the result in no more hops than the contributions' number has bits, and nobody receives
 * more than that. Each worker's share is compiled alone, so this is also what they agree on without a word. */
#include "comm/comm.h"
#include "plan/plan.h"
#include "support/idle.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { WORKERS_MAX = 130, RESULTS_MAX = 64 };

/* ---- reductions: over everything, y, or x ---- */

typedef struct over {
  int kept; /* axis; -1: none */
} over;

static weir_status infer(weir_infer *x) {
  const over *o = x->params;
  x->out[0]     = (weir_field_type){.dtype = WEIR_F64, .rank = o->kept >= 0};
  if (o->kept < 0) return WEIR_OK;
  x->out[0].dim[0]   = x->in[0]->dim[o->kept];
  x->from_axis[0][0] = o->kept;
  return WEIR_OK;
}
static const weir_operator reduction = {.api          = WEIR_OPERATOR_API,
                                        .name         = "reduction",
                                        .inputs       = 1,
                                        .params_size  = sizeof(over),
                                        .partial_size = idle_partial_size,
                                        .infer        = infer,
                                        .apply        = idle_apply,
                                        .combine      = idle_combine,
                                        .finish       = idle_apply};

typedef struct setting {
  int64_t chunks[2];
  int     kept, workers, forwarders;
} setting;

static weir__graph *graph_of(const setting *s, int *node) {
  weir__chunk_size cut[] = {{"y", 1}, {"x", 1}};
  weir_field_type  type  = {
        .dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = s->chunks[0]}, {.name = "x", .size = s->chunks[1]}}};
  weir__edge   edge = {0, 0};
  weir__graph *g;
  int          trigger;
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = cut;
  g->chunk_sizes = 2;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &edge.node), WEIR_OK);
  assert_int_equal(
      weir__graph_add_operator(g, &reduction, &(over){s->kept}, &edge, 1, NULL, (weir__place){0}, NULL, node), WEIR_OK);
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  weir__graph_want(g, *node, trigger);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  g->chunk_sizes = 0;
  return g;
}

/* ---- what all workers have compiled ---- */

static int  parent[RESULTS_MAX][WORKERS_MAX];   /* whom it sends its partial to; -1: nobody */
static int  expected[RESULTS_MAX][WORKERS_MAX]; /* who expects it; -1: nobody */
static bool owns[RESULTS_MAX][WORKERS_MAX];     /* some of the input */
static int  root[RESULTS_MAX], results, contributions[RESULTS_MAX];

static int bits(int n) {
  int count = 0;
  while (n >> count) count++;
  return count;
}

static void collect(const setting *s) {
  int          node;
  weir__graph *g      = graph_of(s, &node);
  int64_t      chunks = s->chunks[0] * s->chunks[1];
  memset(parent, -1, sizeof parent);
  memset(expected, -1, sizeof expected);
  memset(owns, 0, sizeof owns);
  memset(contributions, 0, sizeof contributions);
  results = (int)weir__grid_count(&g->node[node].grid);
  for (int rank = 0; rank < s->workers; rank++) {
    weir__plan *p;
    int         received[RESULTS_MAX] = {0};
    assert_int_equal(weir__plan_create_alone(g, rank, s->workers,
                                             &(weir__plan_options){.flight = 1, .forwarders = s->forwarders}, &p),
                     WEIR_OK);
    for (int i = 0; i < p->packets_out; i++) {
      assert_int_equal(parent[p->packet_out[i].chunk][rank], -1);
      parent[p->packet_out[i].chunk][rank] = p->packet_out[i].peer;
    }
    for (int i = 0; i < p->packets_in; i++) {
      const weir__packet *in = &p->packet_in[i];
      assert_int_equal(in->purpose, WEIR__PARTIALS);
      assert_int_equal(expected[in->chunk][in->peer], -1);
      expected[in->chunk][in->peer] = rank;
      received[in->chunk]++;
    }
    for (int64_t c = weir__owned_first(p, chunks, rank); chunks > 1 && c < weir__owned_first(p, chunks, rank + 1);
         c++) {
      int64_t r     = s->kept < 0 ? 0 : s->kept == 0 ? c / s->chunks[1] : c % s->chunks[1];
      owns[r][rank] = true;
      contributions[r]++;
    }
    for (int t = 0; t < p->tasks; t++)
      if (p->task[t].kind == WEIR__TASK_JOIN && p->task[t].root) root[p->bit[p->task[t].bit].chunk] = rank;
    for (int r = 0; r < results; r++) assert_true(received[r] <= bits((int)chunks));
    weir__plan_destroy(&p);
  }
  weir__graph_destroy(&g);
}

static void check(const setting *s) {
  collect(s);
  for (int r = 0; r < results; r++)
    for (int w = 0; w < s->workers; w++) {
      int hops = 0, at = w;
      assert_int_equal(parent[r][w], expected[r][w]);
      assert_int_equal(parent[r][w] >= 0, owns[r][w] && w != root[r]);
      if (!owns[r][w]) continue;
      while (at != root[r] && hops <= WORKERS_MAX) at = parent[r][at], hops++;
      assert_true(hops <= bits(contributions[r]));
    }
}

static void trees(void **state) {
  (void)state;
  static const int64_t grids[][2] = {{1, 2},  {1, 7},  {2, 2},   {5, 3},  {4, 8},
                                     {13, 1}, {7, 11}, {16, 16}, {3, 64}, {19, 21}};
  static const int     workers[]  = {1, 2, 3, 4, 5, 7, 8, 16, 23, 64, 100, 129};
  for (size_t g = 0; g < sizeof grids / sizeof *grids; g++)
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++)
      for (int kept = -1; kept < 2; kept++)
        for (int forwarders = 0; forwarders < 4 && forwarders < workers[w]; forwarders += 3)
          check(&(setting){
              .chunks = {grids[g][0], grids[g][1]}, .kept = kept, .workers = workers[w], .forwarders = forwarders});
}

static void random_trees(void **state) {
  (void)state;
  for (int i = 0; i < 60; i++) {
    setting s    = {.chunks  = {1 + (int64_t)(test_random() % 20), 2 + (int64_t)(test_random() % 19)},
                    .kept    = (int)(test_random() % 3) - 1,
                    .workers = 1 + (int)(test_random() % (WORKERS_MAX - 1))};
    s.forwarders = (int)(test_random() % (uint64_t)s.workers) / 4;
    check(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(trees), cmocka_unit_test(random_trees)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
