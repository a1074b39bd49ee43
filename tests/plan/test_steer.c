/* weir-test: ranks=1,2,3,4
 *
 * Proves, for every number of workers that only forward, who owns what: nothing below it, every chunk exactly once
 * above it. And how the plan sends back: each region that a process asked for is put together from all chunks it
 * touches, wherever these are, by a task that keeps the order of steps; the decisions reach every worker, after the
 * regions of their step; a region outside its field is refused, and so are decisions that are no short vector. */
#include "comm/comm.h"
#include "plan/plan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { NY = 24, NX = 18, VALUES = 7 };

static weir__comm *comm;

/* ---- operators that are never run ---- */

static weir_status nothing(const weir_apply *a) {
  (void)a;
  return WEIR_OK;
}
static weir_status vector_infer(weir_infer *x) {
  x->out[0]          = (weir_field_type){.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "value", .size = VALUES}}};
  x->from_axis[0][0] = -1;
  return WEIR_OK;
}
static weir_status vector_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                               weir_region *region) {
  (void)p, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}
static const weir_operator same   = {.api = WEIR_OPERATOR_API, .name = "same", .inputs = 1, .apply = nothing};
static const weir_operator decide = {.api    = WEIR_OPERATOR_API,
                                     .name   = "decide",
                                     .inputs = 1,
                                     .infer  = vector_infer,
                                     .need   = vector_need,
                                     .apply  = nothing};

/* u -> same -> decide; the second is a feedback field. */
typedef struct setting {
  weir__graph   *graph;
  weir__feedback feedback;
  int            source, field, decisions;
} setting;

static void begin(setting *s, bool decides) {
  static const weir__chunk_size chunks[] = {{"y", 5}, {"x", 4}};
  weir_field_type type = {.dtype = WEIR_F32, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}};
  int             trigger;
  assert_int_equal(weir__graph_create(NULL, &s->graph), WEIR_OK);
  s->graph->chunk_size  = chunks;
  s->graph->chunk_sizes = 2;
  assert_int_equal(weir__graph_add_source(s->graph, "u", 0, 0, &type, NULL, false, &s->source), WEIR_OK);
  assert_int_equal(weir__graph_add_operator(s->graph, &same, NULL, &(weir__edge){s->source, 0}, 1, "f",
                                            (weir__place){0}, NULL, &s->field),
                   WEIR_OK);
  assert_int_equal(weir__graph_add_operator(s->graph, &decide, NULL, &(weir__edge){s->field, 0}, 1, NULL,
                                            (weir__place){0}, NULL, &s->decisions),
                   WEIR_OK);
  assert_int_equal(weir__graph_trigger(s->graph, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  weir__graph_want(s->graph, s->field, trigger);
  weir__graph_want(s->graph, s->decisions, trigger);
  s->feedback         = (weir__feedback){.name = "forcing", .edge = {s->field, 0}, .lag = 1};
  s->graph->feedback  = &s->feedback;
  s->graph->feedbacks = 1;
  if (decides) s->graph->decisions.node = s->decisions;
  assert_int_equal(weir__graph_finish(s->graph), WEIR_OK);
}

static weir_region box(int64_t y, int64_t ny, int64_t x, int64_t nx) {
  return (weir_region){.rank = 2, .start = {y, x}, .count = {ny, nx}};
}

/* ---- looking at a plan ---- */

static bool leads(const weir__edge_list *list, int emitter, int task) {
  for (uint32_t i = list->first[emitter]; i < list->first[emitter + 1]; i++)
    if (list->target[i] == (uint32_t)task) return true;
  return false;
}

static int count_tasks(const weir__plan *p, weir__task_kind kind, int *last) {
  int count = 0;
  for (int i = 0; i < p->tasks; i++)
    if (p->task[i].kind == kind) count++, *last = i;
  return count;
}

/* The parts of a gather tile its region. */
static void assert_whole(const weir__plan *p, const weir__gather *g) {
  bool        seen[NY * NX] = {false};
  int         covered       = 0;
  weir_region whole         = weir__plan_region(p, g);
  for (int i = 0; i < g->parts; i++) {
    const weir__part *part = &p->part[g->first + i];
    assert_true(weir__region_contains(&whole, &part->region));
    assert_true(weir__region_contains(&p->cell[part->cell].region, &part->region));
    for (int64_t y = part->region.start[0]; y < part->region.start[0] + part->region.count[0]; y++)
      for (int64_t x = part->region.start[1]; x < part->region.start[1] + part->region.count[1]; x++) {
        assert_false(seen[y * NX + x]);
        seen[y * NX + x] = true;
        covered++;
      }
  }
  assert_int_equal(covered, weir__region_size(&whole));
}

static void assert_steering(const weir__plan *p, const weir__local_feedback *asked, int regions, bool decides) {
  int decided = -1, delivered = 0, last;
  assert_int_equal(count_tasks(p, WEIR__TASK_DECIDE, &decided), 1);
  assert_int_equal(count_tasks(p, WEIR__TASK_DELIVER, &last), regions);
  assert_true(leads(&p->next, decided, decided));
  for (int i = 0; i < p->tasks; i++) {
    if (p->task[i].kind != WEIR__TASK_DELIVER) continue;
    const weir__bit    *bit = &p->bit[p->task[i].bit];
    const weir__gather *g   = &p->gather[bit->gather];
    assert_int_equal(p->task[i].bits, 1);
    weir_region region = weir__plan_region(p, g);
    assert_true(weir__region_equal(&region, &asked[bit->chunk].region));
    assert_whole(p, g);
    assert_true(leads(&p->next, i, i) && leads(&p->now, i, decided));
    delivered |= 1 << bit->chunk;
  }
  assert_int_equal(delivered, regions == 2 ? 5 : 0); /* the first and the last; the one between is empty */
  assert_int_equal(p->task[decided].bits, decides);
  if (!decides) return;
  const weir__gather *g = &p->gather[p->bit[p->task[decided].bit].gather];
  assert_true(g->in_place && g->parts == 1);
  weir_region region = weir__plan_region(p, g);
  assert_int_equal(weir__region_size(&region), VALUES);
}

/* ---- cases ---- */

static void owners(void **state) {
  (void)state;
  setting s;
  begin(&s, true);
  for (int size = 1; size <= 7; size++)
    for (int forwarders = 0; forwarders < size; forwarders++) {
      int64_t next = 0, chunks = weir__grid_count(&s.graph->node[s.source].grid);
      for (int rank = 0; rank < size; rank++) {
        weir__plan_options options = {.flight = 2, .forwarders = forwarders};
        weir__plan        *p;
        int                unused;
        if (weir__plan_create_alone(s.graph, rank, size, &options, &p) < 0) fail_msg("%s", weir_error_last());
        assert_int_equal(weir__owned_first(p, chunks, rank), next);
        next = weir__owned_first(p, chunks, rank + 1);
        for (int64_t c = weir__owned_first(p, chunks, rank); c < next; c++)
          assert_int_equal(weir__owner(p, s.source, c), rank);
        assert_int_equal(count_tasks(p, WEIR__TASK_READ, &unused), next - weir__owned_first(p, chunks, rank));
        if (rank < forwarders) {
          assert_int_equal(next, 0);
          assert_int_equal(count_tasks(p, WEIR__TASK_APPLY, &unused), 0);
        }
        weir__plan_destroy(&p);
      }
      assert_int_equal(next, chunks);
    }
  weir__plan        *p;
  weir__plan_options options = {.flight = 2, .forwarders = 3};
  assert_int_equal(weir__plan_create_alone(s.graph, 0, 3, &options, &p), WEIR_ERR_ARGUMENT);
  weir__graph_destroy(&s.graph);
}

static void way_back(void **state) {
  (void)state;
  int rank = weir__comm_rank(comm), size = weir__comm_size(comm);
  for (int forwarders = 0; forwarders < size; forwarders++)
    for (int decides = 0; decides < 2; decides++)
      for (int asks = 0; asks < 2; asks++) {
        setting              s;
        weir__plan          *p;
        weir__local_feedback asked[3] = {{.region = box(rank, 17, 2, 9)},
                                         {.region = box(3, 0, 2, 9)},
                                         {.region = box(0, NY, 0, NX), .channel = 1, .piece = 4}};
        weir__plan_options   o        = {
                     .flight = 2, .forwarders = forwarders, .feedback = asked, .feedbacks = asks && rank != 1 ? 3 : 0};
        begin(&s, decides);
        if (weir__plan_create(s.graph, comm, &o, &p) < 0) fail_msg("%s", weir_error_last());
        assert_steering(p, asked, o.feedbacks ? 2 : 0, decides);
        weir__plan_destroy(&p);
        weir__graph_destroy(&s.graph);
      }
}

static void nothing_goes_back(void **state) {
  (void)state;
  setting            s;
  weir__plan        *p;
  weir__plan_options o = {.flight = 1};
  int                unused;
  begin(&s, false);
  s.graph->feedbacks = 0;
  assert_int_equal(weir__plan_create(s.graph, comm, &o, &p), WEIR_OK);
  assert_int_equal(count_tasks(p, WEIR__TASK_DECIDE, &unused), 0);
  weir__plan_destroy(&p);
  weir__graph_destroy(&s.graph);
}

static void refused(void **state) {
  (void)state;
  setting              s;
  weir__plan          *p;
  weir__local_feedback asked = {.region = box(10, NY - 9, 0, NX)};
  weir__plan_options   o     = {.flight = 1, .feedback = &asked, .feedbacks = weir__comm_rank(comm) == 0};
  begin(&s, false);
  assert_int_equal(weir__plan_create(s.graph, comm, &o, &p), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "feedback field forcing: a process asks for [10:25, 0:18], expected a "
                                            "region of [0:24, 0:18]"));
  s.graph->feedbacks = o.feedbacks = 0;
  s.graph->decisions.node          = s.field;
  assert_int_equal(weir__plan_create(s.graph, comm, &o, &p), WEIR_ERR_INTERNAL);
  assert_non_null(strstr(weir_error_last(), "must be wanted, and one chunk of float64 along one axis"));
  weir__graph_destroy(&s.graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(owners), cmocka_unit_test(way_back),
                                     cmocka_unit_test(nothing_goes_back), cmocka_unit_test(refused)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
