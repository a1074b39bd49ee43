/* Exact sums of values, squares and weights: what mean, var and std are made of. */
#ifndef WEIR_OPERATORS_MOMENTS_H
#define WEIR_OPERATORS_MOMENTS_H
#include <stdbool.h>
#include <weir/sum.h>

/* A mean keeps the first sum, or with weights the first two; a variance keeps all. */
typedef struct weir__moments {
  weir_sum values, weights, squares;
} weir__moments;

size_t weir__moments_size_first(const void *params, bool weighted);
void   weir__moments_add_first(const void *params, void *into, const double *x, const double *w, int64_t n);
void   weir__moments_add_columns_first(const void *params, void *into, const double *x, int64_t pitch, int64_t rows,
                                       int64_t columns);
void   weir__moments_combine_first(const void *params, bool weighted, void *into, const void *from);
size_t weir__moments_size_second(const void *params, bool weighted);
void   weir__moments_add_second(const void *params, void *into, const double *x, const double *w, int64_t n);
void   weir__moments_add_columns_second(const void *params, void *into, const double *x, int64_t pitch, int64_t rows,
                                        int64_t columns);
void   weir__moments_combine_second(const void *params, bool weighted, void *into, const void *from);
double weir__moments_variance(bool weighted, const void *from);
#endif
