/* What a careful programmer would write for the stream of feed.h without weir's engine: two MPI processes on the same
 * channels, which sleep on the same doorbell, and compute the same number of each step with loops in C. */
#ifndef WEIR_BENCH_BY_HAND_H
#define WEIR_BENCH_BY_HAND_H
#include "feed.h"

enum { HAND_PAST_MAX = 4 };

/* What such a program sees of one step. */
typedef struct hand {
  const feed   *feed;
  int           rank, step;
  int64_t       count;                   /* elements of its process */
  const double *past[HAND_PAST_MAX + 1]; /* so many steps ago, 0: now, in the simulation's memory; NULL: not yet */
  int64_t       sent;                    /* bytes, counted by the program */
  void         *self;                    /* its own memory */
} hand;

typedef struct hand_program {
  const char *name;
  bool        awake;      /* polls its channel all the time, instead of sleeping */
  int         past;       /* earlier steps that it needs: they stay in their slots */
  void (*begin)(hand *h); /* both NULL: it has no memory of its own */
  void (*end)(hand *h);
  double (*step)(hand *h); /* collective; the result counts on rank 0 */
} hand_program;

/* The mean, with partial sums side by side, as compilers vectorise; with one sum; and polling. */
extern const hand_program hand_mean, hand_mean_chain, hand_mean_awake;
extern const hand_program hand_wave;       /* the mean of sin(sqrt(u + 1)) */
extern const hand_program hand_rate;       /* mean plus largest (u - u one step ago) / dt, dt = 1 */
extern const hand_program hand_derivative; /* the same of the derivative in time from five steps */
extern const hand_program hand_flip;       /* the sum of u + (u with its rows turned over) */
extern const hand_program hand_pca;        /* two principal components: sum of the variances plus the largest */

void by_hand(const feed *f, feed_board *board, int rank, const hand_program *program, feed_cost *cost);
#endif
