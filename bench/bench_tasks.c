/* What a task costs in the engine: graphs of empty tasks, compiled once and replayed (a stencil of 64 x 100, a binary
 * tree of 1024 leaves, 6400 independent tasks), against a plain loop over the same tasks and against other runtimes.
 * And METG(50 %) of the stencil, the smallest granularity at which half of the machine computes (Slaughter et al.,
 * Task Bench, SC20, doi 10.1109/SC41405.2020.00066).
 *
 * The engine's tasks are whole ones: views of three inputs are made, an operator is called, its chunk is marked as
 * computed, counters of successors go down. A replay is a step: its time runs from the begin of one step to that of the
 * next, with one step in flight. */
#include "comm/comm.h"
#include "core/threads.h"
#include "dag.h"
#include "exec/worker.h"
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 64, ROWS = 100, LEAVES = 1024, WARM = 20, REPLAYS = 300, SWEEPS = 5 };

/* ---- the engine ---- */

typedef struct row {
  int64_t work, width;
} row;

static weir_status row_infer(weir_infer *infer) {
  const row *p           = infer->params;
  infer->out[0].rank     = 1;
  infer->out[0].dim[0]   = (weir_dimension){.name = "x", .size = p->width};
  infer->from_axis[0][0] = -1;
  return WEIR_OK;
}
static weir_status run_kernel(const weir_apply *a) {
  const row *p = a->params;
  if (p->work) bench_use(bench_kernel(p->work));
  return WEIR_OK;
}
static weir_status root_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)p, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}
/* the neighbour input - 1 places away, or the last one there is: each seen in place */
static weir_status stencil_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                                weir_region *region) {
  int64_t size = in[input]->dim[0].size, at = out->start[0] + input - 1;
  (void)p;
  *region          = *out;
  region->start[0] = at < 0 ? 0 : at >= size ? size - 1 : at;
  return WEIR_OK;
}
/* both neighbours and itself as one region, copied together */
static weir_status halo_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)p, (void)in, (void)input;
  *region = *out;
  region->start[0] -= 1;
  region->count[0] += 2;
  return WEIR_OK;
}
static weir_status pair_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)p, (void)in;
  *region          = *out;
  region->start[0] = 2 * out->start[0] + input;
  region->count[0] = 2 * out->count[0] - 1;
  return WEIR_OK;
}
#define ROW(n, need_of)                                                                                                \
  {                                                                                                                    \
    .api = WEIR_OPERATOR_API, .name = "row", .inputs = n, .params_size = sizeof(row), .work = 1e6, .infer = row_infer, \
    .need = need_of, .apply = run_kernel                                                                               \
  }
static const weir_operator root = ROW(1, root_need), stencil = ROW(3, stencil_need), halo = ROW(1, halo_need),
                           pair = ROW(2, pair_need);

typedef struct clock_source {
  int64_t  steps;
  int64_t *at; /* when each step was asked for */
} clock_source;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  clock_source *s = self;
  s->at[ordinal]  = weir__clock_ns();
  *step           = ordinal;
  *time           = (double)ordinal;
  return ordinal == s->steps ? WEIR_END : WEIR_OK;
}
static weir_status read_nothing(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self, (void)field, (void)ordinal;
  *(double *)out->data = 1;
  return WEIR_OK;
}

static void build(weir__graph **graph, const bench_dag *dag, bool copies, int64_t work) {
  weir__arena     arena  = {0};
  weir_field_type scalar = {.dtype = WEIR_F64};
  int             node, trigger;
  bench_check(weir__graph_create(NULL, graph), "graph");
  bench_check(weir__graph_add_source(*graph, "u", 0, 0, &scalar, NULL, false, &node), "graph");
  for (int r = 0; r < dag->rows; r++) {
    const weir_operator *op   = !r ? &root : dag->width[r] < dag->width[r - 1] ? &pair : copies ? &halo : &stencil;
    row                  p    = {work, dag->width[r]};
    weir__edge           in[] = {{node, 0}, {node, 0}, {node, 0}};
    weir__grid           grid = {.rank = 1};
    bench_check(weir__grid_cut_size(&arena, dag->width[r], 1, &grid.chunks[0], &grid.edge[0]), "grid");
    bench_check(weir__graph_add_operator(*graph, op, &p, in, op->inputs, NULL, (weir__place){0}, &grid, &node),
                "graph");
  }
  weir__arena_clear(&arena);
  bench_check(weir__graph_trigger(*graph, (weir__trigger){.period = 1}, &trigger), "graph");
  weir__graph_want(*graph, node, trigger);
  bench_check(weir__graph_finish(*graph), "graph");
}

/* What differs from the plain engine. */
typedef enum variant { PLAIN, COPIED /* halos */, TRACED } variant;

/* ns per replay into `samples`. */
static void replay_engine(const bench_dag *dag, variant kind, int64_t work, int threads, int replays,
                          bench_samples *samples) {
  weir__comm          *comm;
  weir__graph         *graph;
  weir__worker        *worker;
  int                  warm    = replays > WARM ? WARM : 3;
  clock_source         clock   = {.steps = warm + replays};
  weir__source         source  = {.self = &clock, .next = next, .read = read_nothing};
  weir__worker_options options = {
      .threads = threads, .steps_in_flight = 1, .pin = true, .trace_events = kind == TRACED ? WEIR__TRACE_EVENTS : 0};
  weir__worker_stats stats;
  bench_check(weir__alloc_array((size_t)clock.steps + 1, sizeof *clock.at, &clock.at), "clock");
  bench_check(weir__comm_self(&comm), "communicator");
  build(&graph, dag, kind == COPIED, work);
  bench_check(weir__worker_create(graph, comm, &source, NULL, &options, &worker), "worker");
  weir__worker_stats_get(worker, &stats);
  if (stats.plan_tasks != dag->tasks + 1) /* and the source's */
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "%lld tasks instead of %d", (long long)stats.plan_tasks, dag->tasks + 1),
                "plan");
  bench_check(weir__worker_run(worker), "run");
  bench_reserve(samples, (size_t)replays);
  for (int i = warm; i < warm + replays; i++) bench_add(samples, (double)(clock.at[i + 1] - clock.at[i]));
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
  weir__comm_destroy(&comm);
  weir__free(clock.at);
  bench_unpin();
}

/* ---- a loop, and the peers ---- */

typedef struct loop {
  const bench_dag *dag;
  int64_t          work;
  double           value[WIDTH * ROWS];
} loop;

static void plain_loop(void *self) {
  loop            *l = self;
  const bench_dag *g = l->dag;
  for (int t = 0; t < g->tasks; t++) {
    double sum = bench_kernel(l->work);
    for (int i = g->first[t]; i < g->first[t + 1]; i++) sum += l->value[g->pred[i]];
    l->value[t] = 0.3 * sum;
  }
  bench_use(l->value[g->tasks - 1]);
}

static const bench_peer *const peers[] = {
#ifdef BENCH_OPENMP
    &bench_peer_openmp,
#endif
#ifdef BENCH_TBB
    &bench_peer_tbb,
#endif
#ifdef BENCH_STARPU
    &bench_peer_starpu, /* last: its threads burn */
#endif
    NULL};

static void replay_peer(const bench_peer *peer, int64_t work, int replays, bench_samples *samples) {
  int warm = replays > WARM ? WARM : 3;
  bench_reserve(samples, (size_t)replays);
  for (int i = 0; i < warm + replays; i++) {
    int64_t begin = weir__clock_ns();
    if (peer->replay(work)) bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "it failed"), peer->name);
    if (i >= warm) bench_add(samples, (double)(weir__clock_ns() - begin));
  }
}

/* ---- cost of a task ---- */

static void cost_of_engine(const bench_dag *dag, const char *suffix, variant kind) {
  char          what[64], system[32];
  bench_samples s = {0};
  for (int threads = 0; threads <= 2; threads++) {
    snprintf(what, sizeof what, "%s%s", dag->name, suffix);
    snprintf(system, sizeof system, "weir-%d-threads", threads + 1);
    replay_engine(dag, kind, 0, threads, REPLAYS, &s);
    double median = bench_summary(what, system, &s, 1e-3 / dag->tasks, "us/task");
    if (threads == 1 && kind == PLAIN) {
      snprintf(what, sizeof what, "%s, an empty task on 2 threads", dag->name);
      bench_at_most(what, median, 0.1, "us");
    }
  }
  bench_clear(&s);
}

static void cost(const bench_dag *dag) {
  static loop   l;
  bench_samples s = {0};
  l.dag           = dag;
  bench_value(dag->name, "plain-loop", "median", 1e-3 * bench_time_ns(plain_loop, &l, REPLAYS) / dag->tasks, "us/task");
  cost_of_engine(dag, "", PLAIN);
  if (dag->rows == ROWS) cost_of_engine(dag, "-copied-halo", COPIED);
  if (dag->rows == ROWS) cost_of_engine(dag, "-traced", TRACED);
  for (const bench_peer *const *peer = peers; *peer; peer++)
    for (int threads = 1; threads <= 2; threads++) {
      char system[64];
      if ((*peer)->open(dag, threads)) continue;
      snprintf(system, sizeof system, "%s-%d-threads", (*peer)->name, threads);
      replay_peer(*peer, 0, REPLAYS / 5, &s);
      bench_summary(dag->name, system, &s, 1e-3 / dag->tasks, "us/task");
      (*peer)->close();
    }
  bench_clear(&s);
}

/* ---- METG ---- */

typedef struct half {
  int64_t tasks, work, begin, end;
  int     core;
} half;

static void run_half(void *self) {
  half *h = self;
  weir__thread_pin(h->core);
  h->begin = weir__clock_ns();
  for (int64_t t = 0; t < h->tasks; t++) bench_use(bench_kernel(h->work));
  h->end = weir__clock_ns();
}

/* The same kernels without tasks on two bound threads: what the machine gives at the moment. */
static double peak_ns(const bench_dag *dag, int64_t work) {
  weir__thread thread[2];
  half         h[2];
  for (int i = 0; i < 2; i++) {
    h[i] = (half){.tasks = dag->tasks / 2, .work = work, .core = weir__core(i)};
    bench_check(weir__thread_start(&thread[i], run_half, &h[i]), "thread");
  }
  for (int i = 0; i < 2; i++) weir__thread_join(&thread[i]);
  int64_t first = h[0].end - h[0].begin, second = h[1].end - h[1].begin;
  return (double)(first > second ? first : second);
}

/* Smallest granularity (wall time x 2 / tasks) with an efficiency of 50 %, interpolated. Work is halved from where
 * nearly all time is spent in kernels; efficiency is against the kernels without tasks, measured before and after.
 * Returns us; negative: never reached. */
static double metg(const bench_dag *dag, const bench_peer *peer, bench_samples *s) {
  double        before_g = 0, before_e = 0;
  bench_samples peak = {0};
  for (int64_t work = 8192; work >= 1; work /= 2) {
    int replays = work > 500 ? 5 : 20;
    bench_reserve(&peak, 10);
    for (int i = 0; i < 5; i++) bench_add(&peak, peak_ns(dag, work));
    if (peer) replay_peer(peer, work, replays, s);
    else replay_engine(dag, PLAIN, work, 1, replays, s);
    for (int i = 0; i < 5; i++) bench_add(&peak, peak_ns(dag, work));
    double wall = bench_quantile(s, 0.5), e = bench_quantile(&peak, 0.5) / wall, g = 1e-3 * wall * 2 / dag->tasks;
    if (e < 0.5) {
      bench_clear(&peak);
      return before_e <= 0 ? -1 : g + (before_g - g) * (0.5 - e) / (before_e - e);
    }
    before_g = g;
    before_e = e;
  }
  bench_clear(&peak);
  return before_g; /* even single rounds are efficient enough */
}

static void metg_of(const bench_dag *dag, const bench_peer *peer) {
  bench_samples s = {0}, found = {0};
  const char   *system = peer ? peer->name : "weir";
  bench_reserve(&found, SWEEPS);
  if (peer && peer->open(dag, 2)) return;
  for (int i = 0; i < SWEEPS; i++) {
    double value = metg(dag, peer, &s);
    if (value >= 0) bench_add(&found, value);
  }
  if (peer) peer->close();
  double median = bench_quantile(&found, 0.5);
  bench_value("stencil", system, "METG(50%)", median, "us");
  if (!peer) bench_at_most("METG(50 %) of the stencil on 2 threads", median, 0.5, "us");
  bench_clear(&s);
  bench_clear(&found);
}

int main(int argc, char **argv) {
  bench_dag dags[3];
  bool      engine_only = argc > 1 && !strcmp(argv[1], "engine"); /* for a profiler */
  bench_open("tasks");
  bench_dag_stencil(&dags[0], WIDTH, ROWS);
  bench_dag_tree(&dags[1], LEAVES);
  bench_dag_independent(&dags[2], WIDTH * ROWS);
  for (int i = 0; i < 3; i++) {
    if (engine_only) cost_of_engine(&dags[i], "", PLAIN);
    else cost(&dags[i]);
  }
  metg_of(&dags[0], NULL);
  for (const bench_peer *const *peer = peers; *peer && !engine_only; peer++) metg_of(&dags[0], *peer);
  for (int i = 0; i < 3; i++) bench_dag_clear(&dags[i]);
  return 0;
}
