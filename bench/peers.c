#include "harness.h"
#include "task_graph.h"

static int open_nothing(const bench_graph *graph, int threads) {
  (void)graph;
  return threads != 1;
}
static int loop(bench_replay *replay) {
  for (int t = 0; t < replay->graph->tasks; t++) bench_task_run(replay, t);
  return 0;
}
static void      close_nothing(void) {}
const bench_peer bench_plain_loop = {"plain-loop", open_nothing, loop, close_nothing};

const bench_peer *const bench_peers[] = {
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

void bench_peers_missing(void) {
#ifndef BENCH_OPENMP
  bench_note("OpenMP tasks are left out: the compiler has no OpenMP (libgomp comes with gcc)");
#endif
#ifndef BENCH_TBB
  bench_note("oneTBB is left out: apt-get install libtbb-dev g++");
#endif
#ifndef BENCH_STARPU
  bench_note("StarPU is left out: apt-get install libstarpu-dev");
#endif
}
