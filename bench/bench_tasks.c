/* What a task costs in the engine: graphs of empty tasks, compiled once and replayed (a stencil of 64 x 100, a binary
 * tree of 1024 leaves, 6400 independent tasks), against a plain loop over the same tasks and against other runtimes.
 * (bench_task_bench has more patterns, tasks that check each other, and METG.)
 *
 * The engine's tasks are whole ones: views of three inputs are made, an operator is called, its chunk is marked as
 * computed, counters of successors go down. A replay is a step: its time runs from the begin of one step to that of the
 * next, with one step in flight. `bench_tasks engine` leaves the others out, for a profiler. */
#include "engine.h"
#include <stdio.h>
#include <string.h>

enum { WIDTH = 64, ROWS = 100, LEAVES = 1024, WARM = 20, REPLAYS = 300 };

/* What differs from the plain engine. */
typedef enum variant { PLAIN, COPIED /* halos */, TRACED } variant;

static void cost_of_engine(const bench_graph *graph, const char *name, const char *suffix, variant kind) {
  char          what[64], system[32];
  bench_replay  replay = {.graph = graph};
  bench_samples s      = {0};
  for (int threads = 0; threads <= 2; threads++) {
    bench_engine engine = {.threads = threads, .copies = kind == COPIED, .traced = kind == TRACED};
    snprintf(what, sizeof what, "%s%s", name, suffix);
    snprintf(system, sizeof system, "weir-%d-threads", threads + 1);
    bench_engine_replay(&engine, &replay, WARM, REPLAYS, &s);
    double median = bench_summary(what, system, &s, 1e-3 / graph->tasks, "us/task");
    if (threads != 1 || kind != PLAIN) continue;
    bench_value(what, system, "wakes", replay.wakes, "per replay");
    snprintf(what, sizeof what, "%s, wake-ups of the other thread in a replay", name);
    bench_at_most(what, replay.wakes, 1, "");
    snprintf(what, sizeof what, "%s, an empty task on 2 threads", name);
    bench_at_most(what, median, graph->rows > 1 ? 0.05 : 0.1, "us");
  }
  bench_clear(&s);
}

static void cost_of_peer(const bench_peer *peer, const bench_graph *graph, const char *name, int threads) {
  char          system[64];
  bench_replay  replay = {.graph = graph};
  bench_samples s      = {0};
  if (peer->open(graph, threads)) return;
  bench_reserve(&s, REPLAYS / 5);
  for (int i = 0; i < WARM + REPLAYS / 5; i++) {
    int64_t begin = weir__clock_ns();
    if (peer->replay(&replay)) bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "it failed"), peer->name);
    if (i >= WARM) bench_add(&s, (double)(weir__clock_ns() - begin));
  }
  peer->close();
  snprintf(system, sizeof system, peer == &bench_plain_loop ? "%s" : "%s-%d-threads", peer->name, threads);
  bench_summary(name, system, &s, 1e-3 / graph->tasks, "us/task");
  bench_clear(&s);
}

int main(int argc, char **argv) {
  bool        engine_only = argc > 1 && !strcmp(argv[1], "engine");
  bench_graph graphs[]    = {{.pattern = BENCH_STENCIL_1D, .columns = WIDTH, .rows = ROWS},
                             {.pattern = BENCH_REDUCE, .columns = LEAVES},
                             {.pattern = BENCH_TRIVIAL, .columns = WIDTH * ROWS, .rows = 1}};
  const char *names[]     = {"stencil", "tree", "independent"};
  bench_open("tasks");
  if (!engine_only) bench_peers_missing();
  for (int i = 0; i < 3; i++) {
    bench_graph *g = &graphs[i];
    if (bench_graph_create(g)) bench_check(WEIR_FAIL(WEIR_ERR_MEMORY, "no memory"), "graph");
    if (!engine_only) cost_of_peer(&bench_plain_loop, g, names[i], 1);
    cost_of_engine(g, names[i], "", PLAIN);
    if (!engine_only && !i) cost_of_engine(g, names[i], "-copied-halo", COPIED);
    if (!engine_only && !i) cost_of_engine(g, names[i], "-traced", TRACED);
    for (const bench_peer *const *peer = bench_peers; *peer && !engine_only; peer++)
      for (int threads = 1; threads <= 2; threads++) cost_of_peer(*peer, g, names[i], threads);
    bench_graph_clear(g);
  }
  return 0;
}
