/* Reductions over named axes: an operator gives its accumulator, this does the rest. */
#ifndef WEIR_OPERATORS_REDUCE_H
#define WEIR_OPERATORS_REDUCE_H
#include "operators/common/common.h"

/* One accumulator per element of the result; all zero bytes are the empty one. `params` is the operator's own struct.
 * Values come as doubles with NaN for missing; `w` is NULL without weights, and `weighted` says whether the field
 * `weights` was given. */
typedef struct weir__accumulator {
  size_t (*size)(const void *params, bool weighted);
  void (*add)(const void *params, void *into, const double *x, const double *w, int64_t n);
  void (*combine)(const void *params, bool weighted, void *into, const void *from);
  void (*value)(const void *params, bool weighted, const void *from, double *result); /* one number, or one per bin */
  /* Each column of rows that are `pitch` apart into an accumulator of its own, which are neighbours, without weights;
   * NULL: they are added one by one. */
  void (*add_columns)(const void *params, void *into, const double *x, int64_t pitch, int64_t rows, int64_t columns);
} weir__accumulator;

/* The beginning of every reduction's parameters. */
typedef struct weir__reduce {
  weir_axes                axes;
  unsigned                 mask; /* axes reduced; from infer on, as what follows */
  bool                     weighted;
  int64_t                  bins; /* extent of an axis appended to the result; 0: none */
  const weir__accumulator *kind;
} weir__reduce;

#define WEIR__PARAM_REDUCE_AXES                                                                                        \
  {                                                                                                                    \
    .name = "axes", .kind = WEIR_PARAM_AXES, .offset = offsetof(weir__reduce, axes),                                   \
    .help = "dimensions to reduce, as x or [y, x]; default: all"                                                       \
  }

/* Fill the result's type: float64, in units `units`, without the reduced axes. */
weir_status weir__reduce_infer(weir_infer *infer, const weir__accumulator *kind, const char *units);

/* The functions of the record. */
weir_status weir__reduce_apply(const weir_apply *a);
weir_status weir__reduce_finish(const weir_apply *a);
void   weir__reduce_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                            const void *from);
void   weir__reduce_add_values(const void *params, void *partial, const double *values, int64_t n);
size_t weir__reduce_partial_size(const void *params, const weir_field_type *const *in, const weir_region *out);
size_t weir__reduce_scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out);
#define WEIR__REDUCE_FUNCTIONS                                                                                         \
  .apply = weir__reduce_apply, .finish = weir__reduce_finish, .combine = weir__reduce_combine,                         \
  .add_values = weir__reduce_add_values, .partial_size = weir__reduce_partial_size,                                    \
  .scratch_size = weir__reduce_scratch_size

#define WEIR__REDUCE_DETAILS                                                                                           \
  " Missing values (NaN, or the field's fill value) are skipped; a result without any valid value is NaN. The result " \
  "is float64 "                                                                                                        \
  "and the same to the bit for any chunks, threads and workers."
#endif
