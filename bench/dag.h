/* Task graphs of empty tasks for bench_tasks, in a form that every runtime can be built from. */
#ifndef WEIR_BENCH_DAG_H
#define WEIR_BENCH_DAG_H
#include <stdint.h>

/* Rows of tasks; a task depends on tasks of the row before: predecessors of t are pred[first[t]] .. pred[first[t+1]].
 */
typedef struct bench_dag {
  const char *name;
  int         tasks;
  int        *first, *pred;
  int         rows;
  int        *width; /* of each row; tasks are numbered row by row */
} bench_dag;

void bench_dag_stencil(bench_dag *dag, int width, int rows); /* 3 dependencies, edges cut */
void bench_dag_tree(bench_dag *dag, int leaves);             /* binary: 2 leaves - 1 tasks */
void bench_dag_independent(bench_dag *dag, int tasks);
void bench_dag_clear(bench_dag *dag);

/* What every task runs: `work` rounds of dependent multiply-adds (0: nothing). */
double bench_kernel(int64_t work);

/* Another runtime. open: prepare for `threads` threads in all; replay: run every task once; both return 0. */
typedef struct bench_peer {
  const char *name;
  int (*open)(const bench_dag *dag, int threads);
  int (*replay)(int64_t work);
  void (*close)(void);
} bench_peer;
extern const bench_peer bench_peer_openmp, bench_peer_tbb, bench_peer_starpu;
#endif
