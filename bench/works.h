/* What bench_insitu has computed, with values whose results are known: each step's row 0 is a table, the other rows are
 * the same turned, so that one row tells what comes out of all. bench/insitu.py makes the same values. */
#ifndef WEIR_BENCH_WORKS_H
#define WEIR_BENCH_WORKS_H
#include "feed.h"
extern const feed_work work_mean;       /* B1: mean(u) */
extern const feed_work work_wave;       /* B2: mean(sin(sqrt(u + 1))) */
extern const feed_work work_rate;       /* B3: (u - lag(u, 1)) / dt, its mean plus its largest value */
extern const feed_work work_derivative; /* B3: the same of the derivative in time from five steps */
extern const feed_work work_flip;       /* B4: sum(u + flip(u, y)) */
extern const feed_work work_flip_check; /* sum(u * flip(u, y)), which tells whether the right rows meet */
extern const feed_work work_pca;        /* B5: sum plus largest of the variances of two principal components */
#endif
