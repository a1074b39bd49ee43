/* Proves that what a source must deliver is what its consumers look at, when they look: boxes of equal triggers are
 * put together, a box inside another that is wanted at least as often vanishes, chunks of operators need all they are
 * made of, what keeps state or is looked back at needs it in every step, static fields are wanted once; that a piece is
 * asked for its part of that and no more; and, over random consumers, that no want is ever lost when there are too many
 * of them to be kept apart. */
#include "comm/comm.h"
#include "plan/plan.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static int64_t below(int64_t n) { return (int64_t)(test_random() % (uint64_t)n); }

enum { NY = 40, NX = 30, CHUNK = 10, BOXES = 64 };
static const uint64_t every = ~(uint64_t)0;

/* ---- consumers ---- */

static weir_region wanted_box[BOXES]; /* of the sink with that number */

static weir_status sink_infer(weir_infer *x) {
  x->out[0].rank = 0;
  return WEIR_OK;
}
static weir_status sink_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)in, (void)input, (void)out;
  *region = wanted_box[*(const int *)p];
  return WEIR_OK;
}
static weir_status nothing(const weir_apply *a) {
  (void)a;
  return WEIR_OK;
}
static weir_status lag_infer(weir_infer *x) {
  x->lag[0] = 1;
  return WEIR_OK;
}
static size_t state_size(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in, (void)out;
  return 8;
}
static const weir_operator sink = {.api         = WEIR_OPERATOR_API,
                                   .name        = "sink",
                                   .inputs      = 1,
                                   .params_size = sizeof(int),
                                   .infer       = sink_infer,
                                   .need        = sink_need,
                                   .apply       = nothing};
static const weir_operator same = {.api = WEIR_OPERATOR_API, .name = "same", .inputs = 1, .apply = nothing};
static const weir_operator lag  = {
     .api = WEIR_OPERATOR_API, .name = "lag", .inputs = 1, .infer = lag_infer, .apply = nothing};
static const weir_operator since = {
    .api = WEIR_OPERATOR_API, .name = "since", .inputs = 1, .state_size = state_size, .apply = nothing};

/* ---- a graph of one source ---- */

typedef struct setting {
  weir__graph *graph;
  weir__plan  *plan;
  weir__comm  *comm;
  int          source, sinks;
} setting;

static weir_region box(int64_t y, int64_t ny, int64_t x, int64_t nx) {
  return (weir_region){.rank = 2, .start = {y, x}, .count = {ny, nx}};
}

static setting begin(bool is_static) {
  static const weir__chunk_size chunks[] = {{"y", CHUNK}, {"x", CHUNK}};
  weir_field_type type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}};
  setting         s    = {0};
  assert_int_equal(weir__graph_create(NULL, &s.graph), WEIR_OK);
  s.graph->chunk_size  = chunks;
  s.graph->chunk_sizes = 2;
  assert_int_equal(weir__graph_add_source(s.graph, "u", 0, 0, &type, NULL, is_static, &s.source), WEIR_OK);
  return s;
}

static int add(setting *s, const weir_operator *op, const void *params, int input) {
  int node;
  assert_int_equal(
      weir__graph_add_operator(s->graph, op, params, &(weir__edge){input, 0}, 1, NULL, (weir__place){0}, NULL, &node),
      WEIR_OK);
  return node;
}

static uint64_t look(setting *s, int node, weir_region region, int64_t period) {
  int trigger, number = s->sinks++;
  wanted_box[number] = region;
  assert_int_equal(weir__graph_trigger(s->graph, (weir__trigger){.period = period}, &trigger), WEIR_OK);
  weir__graph_want(s->graph, add(s, &sink, &number, node), trigger);
  return (uint64_t)1 << trigger;
}

static void compile(setting *s, const weir__local_piece *pieces, int count) {
  weir__plan_options o = {.flight = 2, .piece = pieces, .pieces = count};
  assert_int_equal(weir__graph_finish(s->graph), WEIR_OK);
  assert_int_equal(weir__comm_self(&s->comm), WEIR_OK);
  if (weir__plan_create(s->graph, s->comm, &o, &s->plan) < 0) fail_msg("%s", weir_error_last());
}

static void end(setting *s) {
  weir__plan_destroy(&s->plan);
  weir__comm_destroy(&s->comm);
  weir__graph_destroy(&s->graph);
}

static void assert_wants(const weir__wants *wants, const weir__want *expected, int count) {
  char text[200];
  for (int i = 0; i < wants->count; i++) {
    bool found = false;
    for (int k = 0; k < count; k++)
      found |= wants->want[i].triggers == expected[k].triggers &&
               weir__region_equal(&wants->want[i].region, &expected[k].region);
    if (!found)
      fail_msg("unexpected: %s for triggers %#llx", weir__region_text(&wants->want[i].region, text),
               (unsigned long long)wants->want[i].triggers);
  }
  assert_int_equal(wants->count, count); /* they are all different */
}
#define ASSERT_WANTS(wants, ...)                                                                                       \
  assert_wants(wants, (const weir__want[]){__VA_ARGS__}, sizeof((const weir__want[]){__VA_ARGS__}) / sizeof(weir__want))

static void assert_source(setting *s, const weir__want *expected, int count) {
  assert_wants(&s->plan->wants[s->source], expected, count);
}
#define ASSERT_SOURCE(s, ...)                                                                                          \
  assert_source(s, (const weir__want[]){__VA_ARGS__}, sizeof((const weir__want[]){__VA_ARGS__}) / sizeof(weir__want))

/* ---- cases ---- */

static void apart_and_together(void **state) {
  (void)state;
  setting  s    = begin(false);
  uint64_t rare = look(&s, s.source, box(0, NY, 0, NX), 1000), often = look(&s, s.source, box(7, 1, 0, NX), 10);
  look(&s, s.source, box(9, 2, 4, 4), 10);   /* the same steps: one box with the row */
  look(&s, s.source, box(3, 2, 4, 4), 1000); /* inside what is wanted then anyway */
  compile(&s, NULL, 0);
  ASSERT_SOURCE(&s, {rare, box(0, NY, 0, NX)}, {often, box(7, 4, 0, NX)});
  assert_int_equal(weir__plan_triggers(s.plan, s.source, &(weir_region){.rank = 2, .start = {8, 0}, .count = {1, 1}}),
                   rare | often);
  assert_int_equal(weir__plan_triggers(s.plan, s.source, &(weir_region){.rank = 2, .start = {11, 0}, .count = {9, 1}}),
                   rare);
  end(&s);
}

static void chunks_need_what_they_are_made_of(void **state) {
  (void)state;
  setting  s      = begin(false);
  int      copied = add(&s, &same, NULL, s.source);
  uint64_t a = look(&s, copied, box(12, 1, 3, 1), 2), b = look(&s, copied, box(12, 1, 8, 4), 3);
  compile(&s, NULL, 0);
  ASSERT_SOURCE(&s, {a, box(10, 10, 0, 10)}, {b, box(10, 10, 0, 20)});
  int active = 0;
  for (int i = 0; i < s.plan->tasks; i++) {
    const weir__task *t = &s.plan->task[i];
    for (int k = t->bit; t->node == copied && k < t->bit + t->bits; k++, active++)
      assert_int_equal(s.plan->bit[k].triggers, s.plan->bit[k].chunk == 3 ? (a | b) : b);
  }
  assert_int_equal(active, 2); /* chunks 3 and 4 of 12 */
  end(&s);
}

static void every_step(void **state) {
  (void)state;
  setting  s = begin(false);
  uint64_t a = look(&s, s.source, box(30, 5, 0, 30), 7);
  look(&s, add(&s, &lag, NULL, s.source), box(1, 1, 1, 1), 5);
  look(&s, add(&s, &since, NULL, s.source), box(1, 1, 11, 1), 5);
  compile(&s, NULL, 0);
  ASSERT_SOURCE(&s, {a, box(30, 5, 0, 30)}, {every, box(0, 10, 0, 20)});
  int kept = 0;
  for (int i = 0; i < s.plan->cells; i++) kept += s.plan->cell[i].keep;
  assert_int_equal(kept,
                   2 + 3); /* the two chunks looked back at or beside; those of row 30, whose history is kept, too */
  end(&s);
}

static void static_fields(void **state) {
  (void)state;
  setting s = begin(true);
  look(&s, s.source, box(0, 3, 0, 3), 2);
  look(&s, s.source, box(5, 3, 5, 3), 3);
  compile(&s, NULL, 0);
  ASSERT_SOURCE(&s, {every, box(0, 8, 0, 8)});
  end(&s);
}

/* The box of each piece is that around its own wants, though those of the field reach further. */
static void pieces(void **state) {
  (void)state;
  setting           s    = begin(false);
  weir__local_piece p[3] = {{.node = s.source, .piece = 0, .region = box(0, 25, 0, NX)},
                            {.node = s.source, .piece = 1, .region = box(25, 5, 0, NX)},
                            {.node = s.source, .piece = 2, .region = box(30, 10, 0, NX)}};
  uint64_t          a = look(&s, s.source, box(2, 3, 1, 4), 2), b = look(&s, s.source, box(20, 6, 6, 4), 3),
           c = look(&s, s.source, box(38, 1, 28, 1), 2);
  weir__wants wants;
  assert_int_equal(a, c);
  compile(&s, p, 3);
  /* the same steps: a box from one corner to the other, which contains b in space but not in time */
  ASSERT_SOURCE(&s, {a, box(2, 37, 1, 28)}, {b, box(20, 6, 6, 4)});
  weir__plan_wants(s.plan, s.source, &s.plan->piece[1].region, &wants);
  ASSERT_WANTS(&wants, {a, box(25, 5, 1, 28)}, {b, box(25, 1, 6, 4)});
  weir__plan_wants(s.plan, s.source, &s.plan->piece[2].region, &wants);
  ASSERT_WANTS(&wants, {a, box(30, 9, 1, 28)});
  end(&s);

  s = begin(false);
  b = look(&s, s.source, box(1, 2, 1, 4), 3);
  c = look(&s, s.source, box(36, 2, 20, 4), 5);
  compile(&s, p, 3);
  assert_true(
      weir__region_equal(&s.plan->piece[0].region, &(weir_region){.rank = 2, .start = {1, 1}, .count = {2, 4}}));
  assert_int_equal(weir__region_size(&s.plan->piece[1].region), 0); /* nothing, though it lies between the two */
  assert_true(
      weir__region_equal(&s.plan->piece[2].region, &(weir_region){.rank = 2, .start = {36, 20}, .count = {2, 4}}));
  end(&s);
}

static void random_consumers(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 300; seed++) {
    test_seed  = seed;
    setting  s = begin(false);
    int      n = 1 + (int)below(40), through = add(&s, &same, NULL, s.source);
    uint64_t triggers[BOXES];
    bool     chunked[BOXES];
    for (int i = 0; i < n; i++) {
      weir_region r = {.rank = 2, .start = {below(NY), below(NX)}};
      r.count[0]    = 1 + below(NY - r.start[0]);
      r.count[1]    = 1 + below(NX - r.start[1]);
      chunked[i]    = below(10) < 3;
      triggers[i]   = look(&s, chunked[i] ? through : s.source, r, 1 + below(20));
    }
    compile(&s, NULL, 0);
    const weir__wants *w = &s.plan->wants[s.source];
    assert_true(w->count >= 1 && w->count <= WEIR__WANTS_MAX);
    for (int i = 0; i < n; i++) { /* nothing is lost */
      bool        covered = false;
      weir_region r       = wanted_box[i];
      for (int a = 0; a < 2 && chunked[i]; a++) {
        int64_t last = (r.start[a] + r.count[a] - 1) / CHUNK;
        r.start[a]   = r.start[a] / CHUNK * CHUNK;
        r.count[a]   = (last + 1) * CHUNK - r.start[a];
      }
      for (int k = 0; k < w->count; k++)
        covered |= (w->want[k].triggers & triggers[i]) && weir__region_contains(&w->want[k].region, &r);
      if (!covered) fail_msg("seed %llu: consumer %d gets less than it wants", (unsigned long long)seed, i);
    }
    for (int i = 0; i < w->count; i++) /* nothing is there twice */
      for (int k = 0; k < w->count; k++)
        if (i != k && !(w->want[k].triggers & ~w->want[i].triggers))
          assert_false(weir__region_contains(&w->want[i].region, &w->want[k].region));
    end(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(apart_and_together),
                                     cmocka_unit_test(chunks_need_what_they_are_made_of),
                                     cmocka_unit_test(every_step),
                                     cmocka_unit_test(static_fields),
                                     cmocka_unit_test(pieces),
                                     cmocka_unit_test(random_consumers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
