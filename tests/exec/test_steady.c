/* weir-test: ranks=1,2 timeout=120
 *
 * Proves that a step costs nothing but its tasks and messages: after a warm-up the engine allocates nothing, the graph
 * is as it was (to the byte), and exactly the planned tasks are run and messages sent. */
#include "comm/comm.h"
#include "exec/worker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

extern const weir_operator *const weir__operators_built_in[];
enum { NY = 64, NX = 48, WARM = 10, STEPS = 60, RING = 256 };

static weir__comm *comm;

/* ---- a source that looks at the engine as each step is asked for ---- */

typedef struct probe {
  const weir__graph *graph;
  uint64_t           allocations[STEPS + 1];
  uint64_t           graph_hash[STEPS + 1];
} probe;

static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) { /* FNV-1a */
  for (size_t i = 0; i < n; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
  return h;
}

static uint64_t hash_of(const weir__graph *graph) {
  uint64_t h = hash_bytes(14695981039346656037u, graph, sizeof *graph);
  return hash_bytes(h, graph->node, (size_t)graph->nodes * sizeof *graph->node);
}

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  probe *p                = self;
  p->allocations[ordinal] = weir__alloc_calls();
  p->graph_hash[ordinal]  = hash_of(p->graph);
  *step                   = ordinal;
  *time                   = (double)ordinal;
  return ordinal == STEPS ? WEIR_END : WEIR_OK;
}

static weir_status read_some(void *self, int field, int64_t ordinal, const weir_view *out) {
  double *to = out->data;
  (void)self, (void)field;
  for (int64_t i = 0; i < weir_view_size(out); i++) to[i] = (double)((i * 7 + ordinal) % 13);
  return WEIR_OK;
}

/* ---- a graph with every kind of task ---- */

static weir__graph *build(const weir__chunk_size *chunks) {
  static const char *const expressions[][2] = {
      {"ke", "0.5 * (u^2 + v^2)"},       {"zeta", "ddx(v) - ddy(u)"},
      {"ke_mean", "mean(ke)"},           {"anomaly", "ke - ke_mean"},
      {"rows", "mean(anomaly, axes=x)"}, {"change", "ke - lag(ke, 2)"},
      {"smooth", "running_mean(ke, 3)"}, {"most", "max(abs(zeta)) + std(change)"}};
  enum { EXPRESSIONS = sizeof expressions / sizeof *expressions };
  weir__graph    *g;
  int             node, trigger[2];
  weir__edge      edge;
  weir_field_type type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}};
  assert_int_equal(weir__graph_create(weir__operators_built_in, &g), WEIR_OK);
  g->chunk_size  = chunks;
  g->chunk_sizes = 1;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &node), WEIR_OK);
  assert_int_equal(weir__graph_add_source(g, "v", 0, 1, &type, NULL, false, &node), WEIR_OK);
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger[0]), WEIR_OK);
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 5}, &trigger[1]), WEIR_OK);
  for (int i = 0; i < EXPRESSIONS; i++) {
    if (weir__graph_define(g, expressions[i][0], expressions[i][1], (weir__place){0}))
      fail_msg("%s", weir_error_last());
    assert_true(weir__graph_find(g, expressions[i][0], &edge));
    weir__graph_want(g, edge.node, trigger[i % 2]);
  }
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

/* Rings that were too small hold the newest events, and the file says how many it does not have: together all tasks. */
static void check_trace(const weir__worker *worker, int64_t tasks, int threads) {
  char        folder[256] = "", path[300], *line = NULL;
  const char *tmp    = getenv("TMPDIR");
  size_t      size   = 0;
  int64_t     events = 0, newest = -1, lost = -1, begun = 0;
  snprintf(folder, sizeof folder, "%s/weir-steady-XXXXXX", tmp ? tmp : "/tmp");
  if (weir__comm_rank(comm) == 0) assert_non_null(mkdtemp(folder));
  assert_int_equal(weir__comm_broadcast(comm, folder, sizeof folder, 0), WEIR_OK);
  snprintf(path, sizeof path, "%s/trace.json", folder);
  if (weir__worker_trace_write(worker, folder, path)) fail_msg("%s", weir_error_last());
  assert_int_equal(weir__comm_sum(comm, &tasks, 1), WEIR_OK);
  if (weir__comm_rank(comm)) return;
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  while (getline(&line, &size, file) > 0) {
    const char *step = strstr(line, "\"cat\":\"task\",\"args\":{\"step\":"), *other = strstr(line, "\"lost_events\":");
    if (strstr(line, "\"ph\":\"X\"") || strstr(line, "\"ph\":\"b\"")) events++;
    if (strstr(line, "\"ph\":\"M\"") && strstr(line, "thread_name")) begun++;
    if (step) newest = strtoll(step + strlen("\"cat\":\"task\",\"args\":{\"step\":"), NULL, 10);
    if (other) lost = strtoll(other + strlen("\"lost_events\":"), NULL, 10);
  }
  free(line); /* getline's */
  fclose(file);
  assert_int_equal(begun, weir__comm_size(comm) * (threads + 1));
  assert_true(newest >= 0);
  assert_true(lost > 0 || tasks < RING);
  assert_true(events <= begun * RING);
  assert_true(events + lost >= tasks + STEPS * weir__comm_size(comm)); /* and sends, receives, waits */
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(folder), 0); /* the parts are gone */
}

static void steady_with(int threads, int flight) {
  weir__chunk_size     chunks = {"y", 8};
  static probe         p;
  weir__source         source  = {.self = &p, .next = next, .read = read_some};
  weir__worker_options options = {
      .threads = threads, .steps_in_flight = flight, .trace_events = RING}; /* a full ring costs nothing either */
  weir__worker_stats stats;
  weir__worker      *worker;
  weir__graph       *graph = build(&chunks);
  p.graph                  = graph;
  if (weir__worker_create(graph, comm, &source, NULL, &options, &worker)) fail_msg("%s", weir_error_last());
  if (weir__worker_run(worker)) fail_msg("%s", weir_error_last());
  weir__worker_stats_get(worker, &stats);
  assert_int_equal(stats.steps, STEPS);
  assert_true(stats.plan_tasks > 20);
  assert_int_equal(stats.tasks, stats.plan_tasks * STEPS);
  assert_int_equal(stats.messages, stats.plan_messages * STEPS);
  int64_t bytes[2] = {stats.message_bytes, stats.plan_message_bytes * STEPS};
  assert_int_equal(weir__comm_sum(comm, bytes, 2), WEIR_OK);
  if (weir__comm_size(comm) > 1) assert_true(bytes[0] >= bytes[1] / 5 && bytes[0] < bytes[1]); /* rare ones rarely */
  if (weir__comm_size(comm) > 1) assert_true(stats.plan_messages > 0);
  for (int s = WARM; s <= STEPS; s++) {
    if (p.allocations[s] != p.allocations[WARM])
      fail_msg("%llu allocations by step %d", (unsigned long long)(p.allocations[s] - p.allocations[WARM]), s);
    if (p.graph_hash[s] != p.graph_hash[WARM]) fail_msg("the graph changed by step %d", s);
  }
  check_trace(worker, stats.tasks, threads);
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
}

static void a_step_allocates_nothing(void **state) {
  (void)state;
  for (int threads = 0; threads <= 2; threads++)
    for (int flight = 1; flight <= 3; flight++) steady_with(threads, flight);
}

/* That the counter counts: or the test above could not fail. */
static void the_counter_counts(void **state) {
  uint64_t before = weir__alloc_calls();
  void    *memory;
  (void)state;
  assert_int_equal(weir__alloc_zeroed(10, 0, &memory), WEIR_OK);
  assert_true(weir__alloc_calls() > before);
  weir__free(memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_counter_counts), cmocka_unit_test(a_step_allocates_nothing)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
