/* The same graphs as tasks of OpenMP with `depend`, made again in each replay as the model wants it. */
#include "task_graph.h"

static const bench_graph *graph;
static int                team;
static char               token[1 << 16];

static int open_graph(const bench_graph *g, int threads) {
  graph = g;
  team  = threads;
  return g->tasks > (int)sizeof token;
}

static int           replay(bench_replay *r) {
#pragma omp parallel num_threads(team)
#pragma omp          single
  for (int t = 0; t < graph->tasks; t++) {
             const int *pred = graph->pred + graph->first[t];
             int        n    = graph->first[t + 1] - graph->first[t];
             if (n == 0) {
#pragma omp task depend(out : token[t])
      bench_task_run(r, t);
    } else {
#pragma omp task depend(iterator(int i = 0 : n), in : token[pred[i]]) depend(out : token[t])
      bench_task_run(r, t);
    }
  }
  return 0;
}

static void close_graph(void) {}

const bench_peer bench_peer_openmp = {"openmp-tasks", open_graph, replay, close_graph};
