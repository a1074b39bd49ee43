/* Values: what an expression computes, as a graph without repetition. The builder makes them from syntax trees; equal
 * ones are one, so that a common subexpression is computed once. Types are checked as values are made.
 * weir__value_field() turns a value into a field of the graph: all elementwise operations under it become one node. */
#ifndef WEIR_GRAPH_VALUE_H
#define WEIR_GRAPH_VALUE_H
#include "graph/expression.h"

typedef enum weir__value_kind {
  WEIR__VALUE_NUMBER,
  WEIR__VALUE_PARAMETER, /* `index` in the graph's table */
  WEIR__VALUE_STEP,
  WEIR__VALUE_TIME,
  WEIR__VALUE_DT,
  WEIR__VALUE_COORDINATE, /* of dimension `name`; which field's is known when the whole tree is */
  WEIR__VALUE_FIELD,      /* `edge` */
  WEIR__VALUE_OPERATION,  /* `op` on values a, b, c */
  WEIR__VALUE_UNITS       /* value a with other units */
} weir__value_kind;

/* How much is known of a value's units. A number fits any unit in sums and is dimensionless in products. */
typedef enum weir__units_kind { WEIR__UNITS_NUMBER, WEIR__UNITS_UNKNOWN, WEIR__UNITS_KNOWN } weir__units_kind;

typedef struct weir__value {
  weir__value_kind kind;
  weir__op         op;
  int              a, b, c;
  int              index;
  double           number;
  const char      *name;
  weir__edge       edge;
  /* inferred */
  int                   rank;
  const weir_dimension *dim[WEIR_RANK_MAX];
  weir__units_kind      units_kind;
  const char           *units; /* known ones */
  weir_location         location;
  bool                  wide; /* holds a field that needs float64 */
} weir__value;

typedef struct weir__values {
  weir__graph *graph;
  weir__place  place; /* of the definition, for its nodes */
  weir__arena *arena; /* ends before the graph; types and units that stay go to the graph's own */
  weir__value *value;
  int         *slot; /* hash table of 1 + index; 0: free */
  size_t       count, capacity, slots;
} weir__values;

void weir__values_clear(weir__values *values);

/* Where an operation stands and what its operands are called, for messages. */
typedef struct weir__spot {
  const weir__script *source;
  const weir__ast    *whole, *part[3];
} weir__spot;

weir_status weir__value_number(weir__values *values, double number, int *out);
weir_status weir__value_parameter(weir__values *values, int index, int *out);
/* STEP, TIME, DT. */
weir_status weir__value_clock(weir__values *values, weir__value_kind kind, int *out);
weir_status weir__value_coordinate(weir__values *values, const char *name, int *out);
weir_status weir__value_edge(weir__values *values, weir__edge edge, int *out);
/* An operation on `operand` (as many as it takes), folded when all are numbers. */
weir_status weir__value_operation(weir__values *values, const weir__spot *spot, weir__op op, const int *operand,
                                  int *out);
/* The value declared to be in `units`. */
weir_status weir__value_units(weir__values *values, int value, const char *units, int *out);

/* The value as a field: its own edge when it is one already and `name` is NULL, else a new arithmetic node. */
weir_status weir__value_field(weir__values *values, int value, const weir__spot *spot, const char *name,
                              weir__edge *edge);

/* ---- value_infer.c ---- */

/* Check and infer the type of an operation whose op, a, b, c are set. */
weir_status weir__value_infer(weir__values *values, const weir__spot *spot, weir__value *v);

/* ---- compile.c ---- */

/* The kernel of a value; its inputs go to `input`, the one of highest rank first. */
weir_status weir__value_compile(weir__values *values, int value, const weir__spot *spot, weir__kernel_params *kernel,
                                weir__edge *input);
#endif
