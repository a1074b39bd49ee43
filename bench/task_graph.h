/* Parameterised graphs of tasks and what their tasks do, in a form that every runtime can be driven from: those of Task
 * Bench (Slaughter et al., SC20, doi 10.1109/SC41405.2020.00066), and a tree of reductions.
 *
 * A graph has `rows` rows of at most `columns` points; a task is a point in a row, and depends only on tasks of the row
 * before. Which ones is a function of (row, point), the same in every `sets`-th row (its dependence sets). With W
 * columns, s the set of the row, and all that is outside of the row before left out:
 *
 *   trivial          none
 *   no_comm          i
 *   stencil_1d       i - 1, i, i + 1
 *   stencil_1d_periodic   the same, around the ends
 *   dom              i - 1, i: a sweep; rows grow by a point at their end, and lose their first ones in the end
 *   tree             i / 2; rows double up to W
 *   fft              i - 2^s, i, i + 2^s; as many sets as W has binary digits less one
 *   all_to_all       all
 *   nearest          the `radix` nearest: i - radix / 2 .. i + (radix - 1) / 2
 *   spread           i, and (i + k W / radix + s) mod W for k = 1 .. radix - 1; `period` sets
 *   random_nearest   i, and of the other `radix` nearest each with probability `fraction`; `period` sets
 *   reduce           2 i, 2 i + 1; rows halve down to one point
 *
 * Every task that is checked leaves a stamp, (row counted over all replays, point), and looks at the stamp that each
 * predecessor must have left in the same replay. */
#ifndef WEIR_BENCH_TASK_GRAPH_H
#define WEIR_BENCH_TASK_GRAPH_H
#include <stdbool.h>
#include <stdint.h>

typedef enum bench_pattern {
  BENCH_TRIVIAL,
  BENCH_NO_COMM,
  BENCH_STENCIL_1D,
  BENCH_STENCIL_1D_PERIODIC,
  BENCH_DOM,
  BENCH_TREE,
  BENCH_FFT,
  BENCH_ALL_TO_ALL,
  BENCH_NEAREST,
  BENCH_SPREAD,
  BENCH_RANDOM_NEAREST,
  BENCH_PATTERNS, /* those of Task Bench end here */
  BENCH_REDUCE = BENCH_PATTERNS
} bench_pattern;

typedef struct bench_graph {
  /* given */
  bench_pattern pattern;
  int           columns, rows; /* of `reduce`: rows follows from columns */
  int           radix, period; /* 0: 5, 3 */
  double        fraction;      /* 0: 0.25 */
  /* made by bench_graph_create */
  const char *name;
  int         tasks;  /* numbered row by row */
  int        *row;    /* first task of each row, and the end of the last */
  int        *offset; /* first point of each row */
  int        *row_of; /* of each task */
  int        *first;  /* predecessors of task t, ascending: pred[first[t]] .. pred[first[t + 1]] */
  int        *pred;
  int         most; /* predecessors of a task */
} bench_graph;

const char *bench_pattern_name(int pattern);
/* The set of points that (row, point) depends on, ascending, into `list` (room for `columns`); returns their number. */
int  bench_predecessors(const bench_graph *graph, int row, int point, int *list);
int  bench_graph_create(bench_graph *graph); /* from what is given; 0, or 1 without memory */
void bench_graph_clear(bench_graph *graph);

static inline int bench_width(const bench_graph *g, int row) { return g->row[row + 1] - g->row[row]; }

/* ---- what tasks do ---- */

typedef enum bench_kernel {
  BENCH_EMPTY,
  BENCH_COMPUTE, /* a round: multiply and add on each of 64 doubles */
  BENCH_MEMORY,  /* a round: 1 KiB read, the next one of a working set that is always the same (16 MiB for all threads,
                    from a place that follows from row and point) */
  BENCH_IMBALANCE, /* compute, with rounds times 1 + (u - 0.5) `imbalance`, u from 0 to 1 following from row and point
                    */
  BENCH_KERNELS
} bench_kernel;

typedef struct bench_work {
  bench_kernel kernel;
  int64_t      rounds;
  double       imbalance; /* 0: 1 */
} bench_work;

const char *bench_kernel_name(int kernel);
double      bench_kernel_run(const bench_work *work, int row, int point);

typedef struct bench_stamp {
  int64_t row, point;
} bench_stamp;

/* One execution after another of a graph, by threads of one process. */
typedef struct bench_replay {
  const bench_graph *graph;
  bench_work         work;
  int64_t            number; /* of this replay */
  double             wakes;  /* the engine's, of the last replays: threads woken in each */
  bench_stamp       *stamp;  /* per task; NULL: nothing is left and nothing looked at */
  int64_t            wrong;  /* stamps found wrong so far */
} bench_replay;

/* All of a task: stamps of its predecessors, work, its own stamp. */
void bench_task_run(bench_replay *replay, int task);
/* Its parts, for a runtime that keeps stamps itself and counts replays itself. A wrong one is counted; any thread. */
void        bench_stamp_check(bench_replay *replay, int64_t number, int pred, const bench_stamp *stamp);
void        bench_stamp_missing(bench_replay *replay);
void        bench_task_work(const bench_replay *replay, int task);
bench_stamp bench_stamp_of(const bench_graph *graph, int64_t number, int task);
/* How many tasks of the last replay left the right stamp. */
int bench_stamps_right(const bench_replay *replay);

/* ---- runtimes ---- */

/* open: prepare for `threads` threads in all; replay: run every task once (bench_task_run); both return 0. */
typedef struct bench_peer {
  const char *name;
  int (*open)(const bench_graph *graph, int threads);
  int (*replay)(bench_replay *replay);
  void (*close)(void);
} bench_peer;
extern const bench_peer        bench_peer_openmp, bench_peer_tbb, bench_peer_starpu;
extern const bench_peer        bench_plain_loop;          /* one thread */
extern const bench_peer *const bench_peers[];             /* the others, those that are installed; ended by NULL */
void                           bench_peers_missing(void); /* say of the rest how to get them */
#endif
