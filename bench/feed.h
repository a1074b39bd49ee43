/* A simulation for benchmarks, in closed loop: processes that put their rows of one field into their channels, step
 * after step, and go on when the result of the step has come; and the worker's end of it.
 *
 * All processes share a board: a file mapped by each. */
#ifndef WEIR_BENCH_FEED_H
#define WEIR_BENCH_FEED_H
#include "comm/comm.h"
#include "exec/worker.h"
#include "harness.h"
#include <stdatomic.h>

enum { FEED_PROCESSES_MAX = 4, FEED_STEPS_MAX = 4096, FEED_WARM = 20 };

typedef struct feed_board {
  _Alignas(64) _Atomic uint32_t done; /* results so far in this round; processes of the simulation sleep on it */
  _Atomic uint32_t left;              /* processes that have ended this round */
  int64_t          end_ns[FEED_PROCESSES_MAX][FEED_STEPS_MAX]; /* just before weir_step_end */
  int64_t          start_ns[FEED_STEPS_MAX];                   /* the first task of the step runs */
  int64_t          result_ns[FEED_STEPS_MAX];
  double           result[FEED_STEPS_MAX];
} feed_board;

feed_board *feed_board_open(const char *folder); /* made by whoever comes first */
void        feed_board_clear(feed_board *board);

typedef struct feed {
  const char *folder, *stream;
  int         rank, size;    /* of this process of the simulation */
  int64_t     rows, columns; /* of the whole field "u", float64; rows divisible by size */
  int         steps;
  bool        in_pieces; /* every 10 rows are a piece of their own, which the worker takes as a chunk */
  int64_t     pause_ns;  /* between a result and the next step: the time of a solver, asleep */
} feed;
/* Run one stream to its end. Values of step s have the mean s + 1.5. */
void   feed_run(const feed *f, feed_board *board);
double feed_mean(int step);

/* The result of a step has come. */
void feed_result(feed_board *board, int step, double value);
/* ns from the end of the step on the last process to the result, of the steps after the warm-up. */
void feed_latencies(const feed_board *board, const feed *f, bench_samples *samples);

/* The engine's worker for such a stream: mean of u over chunks of 10 rows, results to the board. One worker alone also
 * stamps the first task of each step. */
void feed_worker(const feed *f, feed_board *board, weir__comm *comm, const weir__worker_options *options,
                 weir__worker_stats *stats);
#endif
