/* A simulation for benchmarks, in closed loop: processes that put their rows of one field into their channels, step
 * after step, and go on when the result of the step has come; and the worker's end of it.
 *
 * All processes share a board: a file mapped by each. */
#ifndef WEIR_BENCH_FEED_H
#define WEIR_BENCH_FEED_H
#include "comm/comm.h"
#include "exec/worker.h"
#include "harness.h"
#include "resident.h"
#include <stdatomic.h>

enum { FEED_PROCESSES_MAX = 4, FEED_STEPS_MAX = 4096, FEED_WARM = 20, FEED_FIELDS_MAX = 4 };

typedef struct feed_board {
  _Alignas(64) _Atomic uint32_t done; /* results so far in this round; processes of the simulation sleep on it */
  _Atomic uint32_t left;              /* processes that have ended this round */
  int64_t          put_ns[FEED_PROCESSES_MAX][FEED_STEPS_MAX]; /* just before the field is put */
  int64_t          end_ns[FEED_PROCESSES_MAX][FEED_STEPS_MAX]; /* just before weir_step_end */
  int64_t          start_ns[FEED_STEPS_MAX];                   /* the first task of the step runs */
  int64_t          result_ns[FEED_STEPS_MAX];
  double           result[FEED_STEPS_MAX];
  bench_usage      usage[FEED_PROCESSES_MAX]; /* of this round, without making the field */
} feed_board;

feed_board *feed_board_open(const char *folder); /* made by whoever comes first */
void        feed_board_clear(feed_board *board);

struct feed;
/* What is computed of each step, and of which values. */
typedef struct feed_work {
  const char *define[FEED_FIELDS_MAX][2]; /* fields as in a recipe: name, expression */
  const char *result;                     /* an expression of them and of `u` that gives one number in every step */
  void (*row)(double *u, int64_t columns, int step);  /* the values of row 0 */
  int64_t turn;                                       /* row y is row 0 turned by turn * y columns */
  double (*expected)(const struct feed *f, int step); /* NaN: no value at that step */
  double tolerance;                                   /* relative */
} feed_work;

typedef struct feed {
  const char *folder, *stream;
  int         rank, size;    /* of this process of the simulation */
  int64_t     rows, columns; /* of the whole field "u", float64; rows divisible by size */
  int64_t     chunk_rows;    /* the rows of a chunk; 0: 10 */
  int         steps, warm;   /* all; how many of them come before the measured ones (0: FEED_WARM) */
  bool        in_pieces;     /* every chunk is a piece of its own, which the worker takes as it is */
  int64_t     pause_ns;      /* between a result and the next step: the time of a solver, asleep */
  bool        uncounted; /* CPU of the simulation: to ask for it after a step delays a worker that waits for its core */
  const feed_work *work; /* NULL: the mean */
} feed;
int feed_warm(const feed *f);
/* What this process has of step `step`: rows / size * columns values; `row` has room for 2 * columns. */
void feed_fill(const feed *f, double *u, double *row, int step);
/* Run one stream to its end. */
void feed_run(const feed *f, feed_board *board);

/* The result of a step has come. */
void feed_result(feed_board *board, int step, double value);
/* ns to the result from the end of the step on the last process, and from the first put on any; of the steps after the
 * warm-up. Ends the program when a result is wrong. NULL: not wanted. */
void feed_latencies(const feed_board *board, const feed *f, bench_samples *from_end, bench_samples *from_put);

/* What a round took of a worker. */
typedef struct feed_cost {
  bench_usage usage; /* the peak is what is resident at the end of the run: nothing is given back before; what is moved
                        is what is sent to other workers */
  resident memory;   /* the same, beyond what it was before the run */
} feed_cost;

/* The engine's worker for such a stream, results to the board. One worker alone also stamps the first task of each
 * step. `cost`: NULL, or what it took. */
void feed_worker(const feed *f, feed_board *board, weir__comm *comm, const weir__worker_options *options,
                 feed_cost *cost);
#endif
