/* What a step asks of the system: allocations by the engine and by anybody in the process (malloc and its relatives are
 * replaced here by counting ones), messages, and changes of the graph, per step after a warm-up. Alone, or on several
 * processes: `mpirun -n 2 bench_steady` (then MPI's own allocations are counted apart). */
#include "comm/comm.h"
#include "exec/worker.h"
#include "harness.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator *const weir__operators_built_in[];
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

static _Atomic uint64_t mallocs;
static uint64_t         all_mallocs(void) { return atomic_load_explicit(&mallocs, memory_order_relaxed); }
static void             count(void) { atomic_fetch_add_explicit(&mallocs, 1, memory_order_relaxed); }

void *malloc(size_t n) {
  count();
  return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
  count();
  return __libc_calloc(n, size);
}
void *realloc(void *memory, size_t n) {
  count();
  return __libc_realloc(memory, n);
}
void *aligned_alloc(size_t alignment, size_t n) {
  count();
  return __libc_memalign(alignment, n);
}
int posix_memalign(void **memory, size_t alignment, size_t n) {
  count();
  *memory = __libc_memalign(alignment, n);
  return *memory ? 0 : ENOMEM;
}

enum { NY = 512, NX = 256, WARM = 50, STEPS = 550 };

typedef struct probe {
  const weir__graph *graph;
  uint64_t           engine, all, nodes, operations, before;
} probe;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  probe *p = self;
  if (ordinal == WARM) p->engine = weir__alloc_calls(), p->all = all_mallocs();
  if (ordinal == STEPS) p->engine = weir__alloc_calls() - p->engine, p->all = all_mallocs() - p->all;
  if (ordinal > WARM && (uint64_t)p->graph->nodes != p->nodes) p->operations++;
  p->nodes = (uint64_t)p->graph->nodes;
  *step    = ordinal;
  *time    = (double)ordinal;
  return ordinal == STEPS ? WEIR_END : WEIR_OK;
}
static weir_status read_ramp(void *self, int field, int64_t ordinal, const weir_view *out) {
  double *to = out->data;
  (void)self, (void)field;
  for (int64_t i = 0; i < weir_view_size(out); i++) to[i] = (double)((i + ordinal) & 7);
  return WEIR_OK;
}

static weir__graph *build(const weir__chunk_size *chunks) {
  static const char *const text[][2] = {{"ke", "0.5 * (u^2 + v^2)"},
                                        {"zeta", "ddx(v) - ddy(u)"},
                                        {"ke_mean", "mean(ke)"},
                                        {"anomaly", "ke - ke_mean"},
                                        {"change", "std(anomaly - lag(anomaly, 1))"},
                                        {"most", "max(abs(zeta))"}};
  weir_field_type type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}};
  weir__graph    *g;
  int             node, trigger;
  bench_check(weir__graph_create(weir__operators_built_in, &g), "graph");
  g->chunk_size  = chunks;
  g->chunk_sizes = 1;
  bench_check(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &node), "graph");
  bench_check(weir__graph_add_source(g, "v", 0, 1, &type, NULL, false, &node), "graph");
  bench_check(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), "graph");
  for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
    weir__edge edge;
    bench_check(weir__graph_define(g, text[i][0], text[i][1], (weir__place){0}), "graph");
    if (weir__graph_find(g, text[i][0], &edge)) weir__graph_want(g, edge.node, trigger);
  }
  bench_check(weir__graph_finish(g), "graph");
  return g;
}

static void most_none(const char *what, int64_t found, const char *system) {
  char text[96];
  snprintf(text, sizeof text, "%s, %s", system, what);
  bench_at_most(text, (double)found, 0, "in all steps");
}

int main(void) {
  weir__chunk_size     chunks  = {"y", 32};
  probe                p       = {0};
  weir__source         source  = {.self = &p, .next = next, .read = read_ramp};
  weir__worker_options options = {.threads = 1};
  weir__worker_stats   stats;
  weir__worker        *worker;
  weir__comm          *comm;
  bench_check(weir__comm_world(&comm), "communicator");
  weir__graph *graph = build(&chunks);
  char         system[32];
  p.graph = graph;
  bench_check(weir__worker_create(graph, comm, &source, NULL, &options, &worker), "worker");
  bench_check(weir__worker_run(worker), "run");
  weir__worker_stats_get(worker, &stats);
  int64_t sums[] = {(int64_t)p.engine, (int64_t)p.all,   stats.messages,       stats.plan_messages,
                    stats.tasks,       stats.plan_tasks, (int64_t)p.operations};
  bench_check(weir__comm_sum(comm, sums, sizeof sums / sizeof *sums), "sum");
  if (!weir__comm_rank(comm)) {
    double steps = STEPS - WARM;
    bench_open("steady");
    snprintf(system, sizeof system, "weir-%d-workers", weir__comm_size(comm));
    bench_value("step", system, "allocations-engine", (double)sums[0] / steps, "per step");
    bench_value("step", system, "allocations-process", (double)sums[1] / steps, "per step");
    bench_value("step", system, "messages", (double)sums[2] / STEPS, "per step");
    bench_value("step", system, "messages-planned", (double)sums[3], "per step");
    bench_value("step", system, "tasks", (double)sums[4] / STEPS, "per step");
    bench_value("step", system, "graph-operations", (double)sums[6] / steps, "per step");
    most_none("allocations by the engine", sums[0], system);
    if (weir__comm_size(comm) == 1) most_none("allocations by anybody", sums[1], system);
    most_none("messages beyond the plan", sums[2] - sums[3] * STEPS, system);
    most_none("graph operations", sums[6], system);
  }
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
  weir__comm_destroy(&comm);
  return 0;
}
