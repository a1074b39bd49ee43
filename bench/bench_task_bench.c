/* Task Bench (Slaughter et al., SC20, doi 10.1109/SC41405.2020.00066): its patterns of dependencies and its kernels
 * (task_graph.h) in the engine and in other runtimes. Every task of every system leaves a stamp of 16 bytes, reads
 * those of its predecessors and checks them; a wrong one ends the program.
 *
 *   cost   what an empty task takes, all patterns on 64 points x 100 rows, 1 and 2 threads; systems in turn
 *   METG   METG(50 %) with compute_bound tasks on 2 threads: of the stencil for all systems, sweeps in turn; of every
 *          pattern for the engine. `full`: for all systems, and of the stencil with every kernel
 *
 * The engine compiles a graph once and replays it as a step, one at a time; oneTBB's flow graph is built once, too;
 * OpenMP's and StarPU's tasks are made again in each replay. Dask has its own program (dask_task_bench.py), processes
 * another (bench_task_bench_mpi.c).
 *
 *   bench_task_bench [full]
 *   bench_task_bench check      small graphs: all patterns, kernels and systems, and that wrong graphs are found out
 *   bench_task_bench engine [PATTERN [COLUMNS ROWS]]      the engine's cost alone, for a profiler */
#include "engine.h"
#include "metg.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 64, ROWS = 100, SWEEPS = 5 /* of the stencil; of other patterns 3 */, ROUNDS = 2048, SYSTEMS_MAX = 8 };

/* ---- systems ---- */

/* One to be measured: the engine where there is no peer. */
typedef struct system {
  const char       *name;
  const bench_peer *peer;
  bool              copies;
} system_of;

static int all_systems(system_of list[SYSTEMS_MAX]) {
  int n     = 0;
  list[n++] = (system_of){"weir", NULL, false};
  list[n++] = (system_of){"weir-copied", NULL, true};
  for (const bench_peer *const *peer = bench_peers; *peer; peer++) list[n++] = (system_of){(*peer)->name, *peer, false};
  return n;
}

static void must_be_right(const bench_replay *replay, const char *system) {
  int right = replay->stamp ? bench_stamps_right(replay) : replay->graph->tasks;
  if (replay->wrong || right != replay->graph->tasks)
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "%s, %s: %lld wrong inputs, %d of %d tasks right", replay->graph->name,
                          bench_kernel_name((int)replay->work.kernel), (long long)replay->wrong, right,
                          replay->graph->tasks),
                system);
}

/* At most `replays` replays, after warming up; fewer when they take longer than `seconds`. The peer is open. */
static void replay_peer(const bench_peer *peer, bench_replay *replay, int warm, int replays, double seconds,
                        bench_samples *samples) {
  int64_t until = weir__clock_ns() + (int64_t)(1e9 * seconds);
  bench_reserve(samples, (size_t)replays);
  for (int i = 0; i < warm + replays; i++) {
    int64_t begin = weir__clock_ns();
    if (i > warm + 2 && begin > until) break;
    replay->number++;
    if (peer->replay(replay)) bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "it failed"), peer->name);
    if (i >= warm) bench_add(samples, (double)(weir__clock_ns() - begin));
  }
}

static void replay_system(const system_of *s, bench_replay *replay, int threads, int warm, int replays,
                          bench_samples *samples) {
  bench_engine engine = {.threads = threads - 1, .copies = s->copies, .stamps = true};
  if (s->peer) replay_peer(s->peer, replay, warm, replays, 0.2, samples);
  else bench_engine_replay(&engine, replay, warm, replays, samples);
}

static bench_stamp *stamps_of(const bench_graph *graph) {
  bench_stamp *stamp;
  bench_check(weir__alloc_array((size_t)graph->tasks, sizeof *stamp, &stamp), "stamps");
  return stamp;
}

static void make_graph(bench_graph *graph, bench_pattern pattern, int columns, int rows) {
  *graph = (bench_graph){.pattern = pattern, .columns = columns, .rows = rows};
  if (bench_graph_create(graph)) bench_check(WEIR_FAIL(WEIR_ERR_MEMORY, "no memory"), bench_pattern_name((int)pattern));
}

/* ---- cost of an empty task ---- */

static void cost_of(const system_of *s, const bench_graph *graph, int threads) {
  char          name[64];
  bench_replay  replay  = {.graph = graph, .stamp = s->peer ? stamps_of(graph) : NULL};
  bench_samples samples = {0};
  if (s->peer && s->peer->open(graph, threads)) bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "cannot begin"), s->name);
  replay_system(s, &replay, threads, 5, 100, &samples);
  if (s->peer) s->peer->close();
  must_be_right(&replay, s->name);
  snprintf(name, sizeof name, s->peer == &bench_plain_loop ? "%s" : "%s-%d-threads", s->name, threads);
  bench_value(graph->name, name, "min", 1e-3 / graph->tasks * bench_quantile(&samples, 0), "us/task");
  bench_value(graph->name, name, "median", 1e-3 / graph->tasks * bench_quantile(&samples, 0.5), "us/task");
  bench_value(graph->name, name, "p90", 1e-3 / graph->tasks * bench_quantile(&samples, 0.9), "us/task");
  bench_clear(&samples);
  weir__free(replay.stamp);
}

static void costs(const system_of *list, int systems) {
  static const system_of plain = {"plain-loop", &bench_plain_loop, false};
  for (int p = 0; p < BENCH_PATTERNS; p++) {
    bench_graph graph;
    make_graph(&graph, (bench_pattern)p, COLUMNS, ROWS);
    cost_of(&plain, &graph, 1);
    for (int threads = 1; threads <= 2; threads++)
      for (int i = 0; i < systems; i++) cost_of(&list[i], &graph, threads);
    bench_graph_clear(&graph);
  }
}

/* ---- METG ---- */

typedef struct sweep {
  const system_of *system;
  bench_replay     replay;
  bench_samples    samples;
} sweep;

static double wall_ns(void *self, int64_t rounds, int replays) {
  sweep *s              = self;
  s->replay.work.rounds = rounds;
  replay_system(s->system, &s->replay, 2, replays > 5 ? 10 : 2, replays, &s->samples);
  must_be_right(&s->replay, s->system->name);
  return bench_quantile(&s->samples, 0.5);
}

static double peak_ns(void *self, int64_t rounds) {
  sweep *s              = self;
  s->replay.work.rounds = rounds;
  return bench_kernels_ns(&s->replay, 2);
}

/* One sweep; NaN when it gave nothing. */
static void sweep_once(const system_of *system, const bench_graph *graph, bench_kernel kernel, bench_samples *found) {
  sweep      s = {.system = system,
                  .replay = {.graph = graph, .work.kernel = kernel, .stamp = system->peer ? stamps_of(graph) : NULL}};
  bench_metg m = {
      .tasks = graph->tasks, .cores = 2, .rounds = ROUNDS, .wall_ns = wall_ns, .peak_ns = peak_ns, .self = &s};
  if (system->peer && system->peer->open(graph, 2))
    bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "cannot begin"), system->name);
  double value = bench_metg_find(&m);
  if (system->peer) system->peer->close();
  if (value >= 0) bench_add(found, value);
  bench_clear(&s.samples);
  weir__free(s.replay.stamp);
}

static void metg_of(const system_of *list, int systems, const bench_graph *graph, bench_kernel kernel) {
  bench_samples found[SYSTEMS_MAX] = {0};
  char          what[64];
  int           sweeps = graph->pattern == BENCH_STENCIL_1D ? SWEEPS : 3;
  for (int i = 0; i < systems; i++) bench_reserve(&found[i], SWEEPS);
  for (int k = 0; k < sweeps; k++)
    for (int i = 0; i < systems; i++) sweep_once(&list[i], graph, kernel, &found[i]);
  if (kernel == BENCH_COMPUTE) snprintf(what, sizeof what, "%s", graph->name);
  else snprintf(what, sizeof what, "%s-%s", graph->name, bench_kernel_name((int)kernel));
  for (int i = 0; i < systems; i++) {
    double median = bench_quantile(&found[i], 0.5);
    bench_value(what, list[i].name, "METG(50%)", median, "us");
    bench_value(what, list[i].name, "METG(50%)-min", bench_quantile(&found[i], 0), "us");
    bench_value(what, list[i].name, "METG(50%)-max", bench_quantile(&found[i], 1), "us");
    if (graph->pattern == BENCH_STENCIL_1D && kernel == BENCH_COMPUTE && !i)
      bench_at_most("METG(50 %) of the stencil on 2 threads", median, 0.5, "us");
    bench_clear(&found[i]);
  }
}

static void metgs(const system_of *list, int systems, bool full) {
  for (int p = 0; p < BENCH_PATTERNS; p++) {
    bench_graph graph;
    make_graph(&graph, (bench_pattern)p, COLUMNS, ROWS);
    metg_of(list, full || p == BENCH_STENCIL_1D ? systems : 1, &graph, BENCH_COMPUTE);
    for (int kernel = BENCH_MEMORY; kernel < BENCH_KERNELS && full && p == BENCH_STENCIL_1D; kernel++)
      metg_of(list, systems, &graph, (bench_kernel)kernel);
    bench_graph_clear(&graph);
  }
}

/* ---- check ---- */

static void check_system(const system_of *s, const bench_graph *graph, int threads) {
  bench_replay  replay  = {.graph = graph, .stamp = stamps_of(graph)};
  bench_samples samples = {0};
  if (s->peer && s->peer->open(graph, threads)) bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "cannot begin"), s->name);
  for (int kernel = 0; kernel < BENCH_KERNELS; kernel++) {
    replay.work = (bench_work){.kernel = (bench_kernel)kernel, .rounds = 3};
    memset(replay.stamp, 0xff, (size_t)graph->tasks * sizeof *replay.stamp);
    replay_system(s, &replay, threads, 1, 4, &samples);
    must_be_right(&replay, s->name);
  }
  if (s->peer) s->peer->close();
  bench_clear(&samples);
  weir__free(replay.stamp);
}

/* The checks themselves: tasks run backwards, and a graph without the dependencies that are expected, must be seen. */
static void check_wrong(const bench_graph *graph) {
  bench_graph   other;
  bench_samples samples = {0};
  bench_replay  replay  = {.graph = graph, .number = 1, .stamp = stamps_of(graph)};
  for (int t = graph->tasks; t-- > 0;) bench_task_run(&replay, t);
  if (!replay.wrong == (graph->most > 0))
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "%lld inputs are wrong in reverse", (long long)replay.wrong), graph->name);
  make_graph(&other, BENCH_NO_COMM, graph->columns, graph->rows);
  bench_engine engine = {.stamps = true, .graph = &other};
  replay.wrong        = 0;
  if (graph->tasks == other.tasks) bench_engine_replay(&engine, &replay, 0, 1, &samples);
  if (graph->tasks == other.tasks && !replay.wrong == (graph->most > 1))
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "another graph goes unnoticed"), graph->name);
  bench_graph_clear(&other);
  bench_clear(&samples);
  weir__free(replay.stamp);
}

static void check(const system_of *list, int systems) {
  static const int columns[] = {16, 13}; /* and a prime number of rows: out of step with all periods */
  for (int p = 0; p <= BENCH_REDUCE; p++)
    for (int c = 0; c < 2; c++) {
      bench_graph graph;
      make_graph(&graph, (bench_pattern)p, columns[c], 23);
      check_wrong(&graph);
      for (int i = 0; i < systems; i++) check_system(&list[i], &graph, 1 + c);
      bench_graph_clear(&graph);
    }
  bench_note("all patterns and kernels are right in %d systems", systems);
}

static void costs_of_engine(const system_of *engine, const char *pattern, int columns, int rows) {
  for (int p = 0; p <= BENCH_REDUCE; p++) {
    bench_graph graph;
    if (pattern && strcmp(pattern, bench_pattern_name(p))) continue;
    make_graph(&graph, (bench_pattern)p, columns, rows);
    for (int threads = 1; threads <= 2; threads++) cost_of(engine, &graph, threads);
    bench_graph_clear(&graph);
  }
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  system_of   list[SYSTEMS_MAX];
  int         systems = all_systems(list);
  bench_open("task_bench");
  bench_peers_missing();
  if (!strcmp(what, "check")) {
    check(list, systems);
  } else if (!strcmp(what, "engine")) {
    costs_of_engine(&list[0], argc > 2 ? argv[2] : NULL, argc > 4 ? atoi(argv[3]) : COLUMNS,
                    argc > 4 ? atoi(argv[4]) : ROWS);
  } else {
    costs(list, systems);
    metgs(list, systems, !strcmp(what, "full"));
  }
  return 0;
}
