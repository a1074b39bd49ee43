/* The same graphs as tasks of OpenMP with `depend`, made again in each replay as the model wants it. */
#include "dag.h"

static const bench_dag *graph;
static int              team;
static char             token[1 << 16];

static int open_graph(const bench_dag *dag, int threads) {
  graph = dag;
  team  = threads;
  return dag->tasks > (int)sizeof token;
}

static int           replay(int64_t work) {
#pragma omp parallel num_threads(team)
#pragma omp          single
  for (int t = 0; t < graph->tasks; t++) {
             const int *pred = graph->pred + graph->first[t];
             int        n    = graph->first[t + 1] - graph->first[t];
             if (n == 0) {
#pragma omp task depend(out : token[t])
      (void)*(volatile double[]){bench_kernel(work)};
    } else {
#pragma omp task depend(iterator(int i = 0 : n), in : token[pred[i]]) depend(out : token[t])
      (void)*(volatile double[]){bench_kernel(work)};
    }
  }
  return 0;
}

static void close_graph(void) {}

const bench_peer bench_peer_openmp = {"openmp-tasks", open_graph, replay, close_graph};
