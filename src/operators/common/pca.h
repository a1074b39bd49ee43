/* Inner parts of `pca` (operators/pca.c): records, and a walk over a box of the field beside its part of the basis.
 *
 *   f ---> project ---> residual ---> solve ---> update ---> basis ---> components, mean, dots ---> coefficients
 *            ^             ^                       ^           |
 *            +-------------+-----------------------+--- of the step before
 *
 * Every worker holds the basis of its own chunks only: slot 0 the mean of each element, slot 1 how many valid values
 * it has had, then the components. What crosses workers are sums (project, residual, dots) and the small rotation that
 * `solve` finds (vectors of numbers in one chunk). */
#ifndef WEIR_OPERATORS_PCA_H
#define WEIR_OPERATORS_PCA_H
#include "operators/common/common.h"

enum { WEIR__PCA_MOST = 64, WEIR__PCA_SEGMENT = 256 };
enum { WEIR__PCA_MEAN, WEIR__PCA_COUNT, WEIR__PCA_BASIS }; /* slots of the basis field */
#define WEIR__PCA_DIMENSION "component"

/* The parameters of all records; a user gives the first, the others are what is known of f. */
typedef struct weir__pca {
  int64_t     components;
  weir_dtype  dtype;
  const char *units;
} weir__pca;

/* Where things are in the result of `project`: one number per component, then these. */
enum { WEIR__PCA_SQUARES, WEIR__PCA_VALUES, WEIR__PCA_VALID, WEIR__PCA_PROJECT_MORE };

/* Where things are in the result of `solve`; `rotation` is row-major: row l < k says how much of the old component l
 * goes into each new one, row k the same for the residual vector. */
typedef struct weir__pca_solution {
  const double *variance, *first, *second, *rotation; /* first, second: what to take from y in the two passes */
} weir__pca_solution;
int64_t            weir__pca_solution_size(int64_t components);
weir__pca_solution weir__pca_solution_at(const double *numbers, int64_t components);

/* A type with one dimension of `size` numbers. */
weir_field_type weir__pca_vector(const char *dimension, int64_t size, const char *units);
void            weir__pca_unsplit(weir_infer *infer); /* result 0 is one chunk */
/* The numbers of a one-dimensional float64 input; NULL when it is missing. */
const double *weir__pca_numbers(const weir_view *view);

/* ---- rows ---- */

/* A piece of a row: `n` neighbours with what is kept of them. Pieces are short enough to stay in cache together. */
typedef struct weir__pca_rows {
  const weir_view *shape, *f, *basis; /* f and basis: NULL when missing */
  int64_t          components, index[WEIR_RANK_MAX], row, at;
  double          *buffer; /* (components + 5) pieces */
  int64_t          n;
  double          *x, *y; /* values with NaN for what is not finite; room for weir__pca_anomaly */
  const double    *mean, *count, *u[WEIR__PCA_MOST];
} weir__pca_rows;

enum { WEIR__PCA_BUFFERS = 5 }; /* pieces besides one per component */
size_t weir__pca_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

/* `shape` is a view with the axes of the field; `f` and `basis` may be missing: then there are no values, and zeros. */
void weir__pca_open(weir__pca_rows *rows, const void *params, const weir_view *shape, const weir_view *f,
                    const weir_view *basis, void *scratch);
bool weir__pca_next(weir__pca_rows *rows); /* false after the last piece */

/* y = x - mean, zero where a value is missing or is the first of its element; `scaled`: times sqrt(m / (m + 1)), m
 * being the number of values in the mean, which makes the sum of y^2 over steps that of squares about the final mean
 * (Ross, Lim, Lin & Yang 2008, doi 10.1007/s11263-007-0075-7, for batches of one sample; Welford 1962). */
void weir__pca_anomaly(weir__pca_rows *rows, bool scaled);
/* sum += weight times component j, which is left out where that is 0. */
void weir__pca_add(const weir__pca_rows *rows, int64_t j, double weight, double *sum);
/* y -= sum of weight[j] times component j. */
void weir__pca_subtract(weir__pca_rows *rows, const double *weight);

/* Write a piece of the slot `slot` of a field [slots, axes of f]. */
void weir__pca_store(const weir__pca_rows *rows, const weir_view *out, int64_t slot, const double *values);
/* The view of such a field without its slots. */
weir_view weir__pca_inner(const weir_view *view);

/* ---- records ---- */

extern const weir_operator weir__pca_project, weir__pca_residual, weir__pca_dots; /* pca_sums.c */
extern const weir_operator weir__pca_solve;                                       /* pca_solve.c */
extern const weir_operator weir__pca_update;                                      /* pca_update.c */
extern const weir_operator weir__pca_components, weir__pca_mean, weir__pca_variance,
    weir__pca_coefficients; /* pca_results.c */
#endif
