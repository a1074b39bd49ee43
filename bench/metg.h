/* METG(50 %): the smallest granularity (wall time x cores / tasks) at which half of what the cores can compute is
 * computed (Slaughter et al., Task Bench, SC20, doi 10.1109/SC41405.2020.00066). Cores and number of tasks are fixed;
 * the work of a task is halved from where nearly all time is spent in kernels, and the granularity is interpolated to
 * an efficiency of one half. Efficiency is against the same kernels without tasks on the same cores, measured before
 * and after each point: the machine's speed moves. */
#ifndef WEIR_BENCH_METG_H
#define WEIR_BENCH_METG_H
#include "harness.h"
#include "task_graph.h"

typedef struct bench_metg {
  int     tasks, cores;
  int64_t rounds;                                             /* to begin with */
  double (*wall_ns)(void *self, int64_t rounds, int replays); /* of a replay, median */
  double (*peak_ns)(void *self, int64_t rounds);              /* of the same kernels without tasks */
  void *self;
} bench_metg;

/* us. Where even tasks of a single round are efficient enough: their granularity. Negative: no point was efficient
 * enough. */
double bench_metg_find(const bench_metg *m);

/* Kernels of a graph's tasks without tasks on so many bound threads, dealt out evenly; ns. */
double bench_kernels_ns(const bench_replay *replay, int threads);
#endif
