/* Sorting networks: the same comparisons whatever the values, so many rows of numbers are sorted at once.
 *
 *   lanes: v[0] = 7 1 4 ...     after: v[0] = 2 1 3 ...   the smallest of each column
 *          v[1] = 2 9 3 ...            v[1] = 5 6 4 ...
 *          v[2] = 5 6 8 ...            v[2] = 7 9 8 ...
 *
 * Source: merge exchange, Knuth, The Art of Computer Programming 3, algorithm 5.2.2M (Batcher 1968,
 * doi 10.1145/1468075.1468121). */
#ifndef WEIR_OPERATORS_NETWORK_H
#define WEIR_OPERATORS_NETWORK_H
#include "operators/common/pixels.h"

enum { WEIR__LANE_BYTES = 64 }; /* of a row of lanes, in each kind */
static inline int64_t weir__lanes(weir__kind kind) { return WEIR__LANE_BYTES / (int64_t)weir__kind_size(kind); }

typedef struct weir__comparator {
  uint16_t low, high;           /* rows: the smaller value goes to `low` */
  bool     keep_low, keep_high; /* otherwise nobody looks at it again */
} weir__comparator;

typedef struct weir__network {
  int64_t          values, count;
  weir__comparator comparator[];
} weir__network;

/* A network for `values` rows (at most 65535). After it, row `rank` is right; -1: all are, in ascending order. */
weir_status weir__network_create(int64_t values, int64_t rank, weir__network **network);

/* Sort `values` rows of WEIR__LANE_BYTES each; no NaN among them. */
void weir__network_run(const weir__network *network, weir__kind kind, void *lanes);

/* The place of a percentile among n ascending values (n at least 1): the largest whole number up to (n - 1) percent /
 * 100, which is numpy's method "lower". */
static inline int64_t weir__percentile_rank(int64_t n, double percent) {
  return (int64_t)((double)(n - 1) * percent / 100);
}
#endif
