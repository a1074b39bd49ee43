/* Operators that fuse.c puts in the place of several: inputs are computed tile by tile, in the cache, and never stored.
 * Everything they point to is in the graph's arena. */
#ifndef WEIR_GRAPH_FUSED_H
#define WEIR_GRAPH_FUSED_H
#include "graph/kernel.h"

/* An input of arithmetic that is made where it is needed, from one field. */
typedef struct weir__feed {
  const weir_operator   *op; /* NULL: the input is a field as it is */
  const void            *params;
  const weir_field_type *in_type, *type; /* of the field, and of what is made of it */
  unsigned               wrap;
} weir__feed;

/* Arithmetic with such inputs: input i of the operator is input i of the kernel, or what that is made of. */
typedef struct weir__fed {
  const weir__kernel_params *kernel;
  weir__feed                 feed[WEIR_INPUTS_MAX];
} weir__fed;
extern const weir_operator weir__operator_fed_arithmetic; /* `params` is a weir__fed */

/* A reduction of arithmetic. */
typedef struct weir__fused {
  const weir_operator *op; /* the reduction */
  const void          *params;
  const weir_field_type
      *in_type[WEIR_INPUTS_MAX]; /* as the reduction sees them: the arithmetic's result, then its own others */
  const weir__kernel_params *kernel;
  int                        place[WEIR_INPUTS_MAX]; /* input i of the kernel is input place[i] of the operator */
  int                        others;                 /* inputs 1, 2 ... of the reduction come after the kernel's */
} weir__fused;
extern const weir_operator weir__operator_fused_reduction; /* `params` is a weir__fused */
#endif
