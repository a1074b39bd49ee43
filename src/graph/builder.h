/* From expressions to nodes of the graph: names, calls of operators and their parameters.
 *
 * Elementwise arithmetic between operator calls becomes one node ("arithmetic"), however many operations it holds;
 * equal calls in one definition become one node. A failing definition leaves the graph as it was. */
#ifndef WEIR_GRAPH_BUILDER_H
#define WEIR_GRAPH_BUILDER_H
#include "graph/value.h"

/* A field of a recipe: `name: text`. */
typedef struct weir__definition {
  const char *name, *text;
  weir__place place; /* of the text */
} weir__definition;

/* Define fields that may refer to each other in any order. WEIR_ERR_INPUT: one of them needs itself (the message names
 * the members of the cycle), two have one name, or an expression is wrong. */
weir_status weir__graph_define_all(weir__graph *graph, const weir__definition *definitions, size_t count);

/* ---- shared by builder.c, names.c and calls.c ---- */

/* What a name means inside the expression of an operator that is one: a value, or what stands where the parameter was
 * given. */
typedef struct weir__binding {
  const char               *name;
  int                       value; /* -1: none */
  const weir__ast          *ast;   /* NULL: not given */
  const struct weir__scope *scope; /* in which `ast` is to be read */
  bool                      is_number;
  double                    number; /* the fallback of a parameter that was not given */
} weir__binding;

typedef struct weir__scope {
  const weir__script *source;
  weir__binding      *binding;
  int                 bindings, depth;
} weir__scope;

/* A call made in this definition. */
typedef struct weir__call {
  const weir_operator *op;
  const void          *params;
  int                  inputs, node;
  weir__edge           input[WEIR_INPUTS_MAX];
} weir__call;

typedef struct weir__builder {
  weir__graph *graph;
  weir__arena  arena; /* trees and values of this definition */
  weir__values values;
  weir__call  *call;
  size_t       calls, call_capacity;
  const char  *defining; /* the field's name; NULL: none */
  bool         decided;  /* a steered parameter is what was decided of it, in effect or not */
} weir__builder;

/* The value of a tree. `name` is that of the field when the tree is all of its definition and a call. */
weir_status weir__build(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const char *name, int *out);
weir_status weir__build_name(weir__builder *b, const weir__scope *scope, const weir__ast *ast, int *out); /* names.c */
weir_status weir__build_call(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const char *name,
                             int *out); /* calls.c */
const weir__binding *weir__scope_find(const weir__scope *scope, const char *name);
/* The elementwise operation called `name`. */
bool weir__function_find(const char *name, weir__op *op);
/* "; did you mean 'zeta'?" or "": names of fields, parameters and clocks, or of operators and functions. */
weir_status weir__suggest(weir__builder *b, const weir__scope *scope, const char *name, bool callable,
                          char out[WEIR__QUOTE_MAX + 24]);
/* A number that does not depend on fields: 2 * pi. False: it does, or is no number. */
bool weir__constant(const weir__scope *scope, const weir__ast *ast, double *number);
#endif
