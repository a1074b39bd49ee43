/* The largest or the smallest value: one accumulator, which keeps the largest of sign * x. */
#ifndef WEIR_OPERATORS_EXTREME_H
#define WEIR_OPERATORS_EXTREME_H
#include "operators/common/reduce.h"

typedef struct weir__extreme {
  int64_t count; /* valid values; 0: `value` means nothing yet */
  double  value; /* sign * the extreme */
} weir__extreme;

size_t weir__extreme_size(const void *params, bool weighted);
void   weir__extreme_add(weir__extreme *e, const double *x, int64_t n, double sign);
void   weir__extreme_combine(const void *params, bool weighted, void *into, const void *from);
double weir__extreme_value(const weir__extreme *e, double sign); /* NaN when no value was valid */
#endif
