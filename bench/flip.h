/* flip(f, axis): a field turned over along one dimension, as an operator of a user's own, for weir has none. */
#ifndef WEIR_BENCH_FLIP_H
#define WEIR_BENCH_FLIP_H
#include <weir/operator.h>
extern const weir_operator flip_operator;
#endif
