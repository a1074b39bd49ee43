/* The graph: fields and operators, a pure description. No process, thread or file in it.
 *
 * Nodes are numbered in the order they are added, and an operator's inputs exist before it, so the order of numbers is
 * an order of computation (a declared recurrence through an earlier step is the one exception, see
 * weir__graph_close_loop). Every worker builds the same graph from the same recipe and definitions. All memory is in
 * the graph's arena. */
#ifndef WEIR_GRAPH_GRAPH_H
#define WEIR_GRAPH_GRAPH_H
#include "core/place.h"
#include "field/field.h"
#include <weir/operator.h>

typedef struct weir__edge {
  int node;   /* -1: an optional input not given */
  int output; /* which result of the node */
} weir__edge;

/* What follows when a node cannot be computed or written at a step: it has no value then; nor at any later step; or the
 * run ends. */
typedef enum weir__on_failure {
  WEIR__ON_FAILURE_SKIP,
  WEIR__ON_FAILURE_DISABLE,
  WEIR__ON_FAILURE_STOP
} weir__on_failure;

typedef struct weir__node {
  const char            *name;  /* of the field in the recipe or stream; for unnamed inner nodes the operator's name */
  bool                   named; /* the name was given by the user */
  weir__place            place;
  const weir_operator   *op; /* NULL: a field of a source */
  void                  *params;
  int                    inputs;
  weir__edge             input[WEIR_INPUTS_MAX];
  const weir_field_type *in_type[WEIR_INPUTS_MAX]; /* NULL where not given */
  int64_t                lag[WEIR_INPUTS_MAX];
  unsigned               wrap[WEIR_INPUTS_MAX];
  int                    outputs;
  weir_field_type        type[WEIR_OUTPUTS_MAX];
  int                    from_axis[WEIR_RANK_MAX]; /* of result 0: the axis of input 0 that it is split like; -1 */
  weir__grid             grid;                     /* the chunks of every result */
  int                    stream, field;            /* of a source: which stream, which of its fields */
  bool                   at_once;   /* of a source: who reads a part has read all, so one task reads all its chunks */
  bool                   is_static; /* has one value for the whole run, valid from the first step on */
  int                    depth;     /* longest path from a source; same depth: independent of each other */
  bool                   inner;     /* computed where it is looked at, never stored (graph/fuse.c) */
  bool                   wanted;    /* asked for itself, whole; else only what its consumers need is computed */
  uint64_t               triggers;  /* bit t: computed in steps in which trigger t fires; 0: nobody wants it */
  uint64_t               seen;      /* those of them in which somebody looks at the results; the rest are for state */
  bool                   always;    /* keeps state: computed in every step */
  bool                   own_pace;  /* takes what there is: does not ask its inputs for more than others want of them,
                                       nor the simulation for steps (that is what rules are decided with) */
  bool             one_owner;       /* what it writes in one step, it writes again in others: no two workers may */
  int64_t          history;         /* how many earlier steps of its results are kept for consumers */
  weir__on_failure on_failure;
  bool             check_finite; /* a result that is Inf or NaN is a failure */
  const char      *owner;        /* the field it is a part of, or the path of the output; NULL: none but itself */
  bool             writes;       /* `owner` is an output */
} weir__node;

/* A condition on (step, time) that every worker and the simulation can evaluate alike. */
typedef struct weir__trigger {
  int64_t period, phase; /* fires when step % period == phase; 0: not by step */
  double  interval;      /* > 0: fires at the first step whose time reaches another multiple of it; units of time */
} weir__trigger;         /* all 0: never fires */

typedef struct weir__parameter {
  const char *name;
  double      value;
  weir__edge  steered; /* the scalar that has its value at each step; node -1: `value` holds for the whole run */
  weir__edge  decided; /* the same with all that was decided before the step, in effect or not yet */
} weir__parameter;

/* A result of an operator that was expanded into others: "p.values". */
typedef struct weir__alias {
  const char *name;
  weir__edge  edge;
} weir__alias;

/* An operator with parameters as the recipe calls it, whatever it was expanded into. */
typedef struct weir__graph_call {
  const weir_operator *op;
  const char          *name;       /* of the field that it is; NULL: inside an expression */
  const void          *params;     /* complete */
  int                  first, end; /* the nodes that it is made of */
} weir__graph_call;

enum { WEIR__TRIGGERS_MAX = 64 };

/* What is decided at each step, for the simulation and for the workers: one node's result, a single chunk of float64
 * along one axis, that every worker receives. Its elements in order:
 *
 *   parameters   the value of each, decided so far, whether it has taken effect or not
 *   triggers     period, phase and interval of each steered trigger (all 0: it never fires)
 *   stop         not 0: the run ends with this step
 *
 * A decision of step n takes effect at the n + `delay`-th published step, everywhere. */
typedef struct weir__decisions {
  int           node;  /* -1: nothing is steered */
  int64_t       delay; /* at least 1 */
  int           parameters, triggers;
  const int    *parameter; /* number in the definitions of the stream; -1: a parameter of the recipe alone */
  const int    *trigger;   /* numbers of the graph's triggers */
  const double *initial;   /* of the parameters, before any decision */
} weir__decisions;

/* A result that the simulation gets back. */
typedef struct weir__feedback {
  const char *name; /* as the simulation asks for it */
  weir__place place;
  weir__edge  edge;
  int64_t     lag; /* at least 1: from this published step to the one it is for */
  enum { WEIR__WHEN_LATE_HOLD, WEIR__WHEN_LATE_ZERO, WEIR__WHEN_LATE_WAIT } when_late;
  double timeout_s; /* of WAIT */
} weir__feedback;

/* Pieces wanted on a named dimension, from `chunks:` in the recipe. */
typedef struct weir__chunk_size {
  const char *dimension;
  int64_t     size;
} weir__chunk_size;

typedef struct weir__graph {
  weir__arena                 arena;
  const weir_operator *const *operators; /* all that are known, ended by NULL; borrowed */
  weir__node                 *node;
  int                         nodes;
  size_t                      node_capacity;
  weir__parameter            *parameter;
  int                         parameters;
  size_t                      parameter_capacity;
  weir__alias                *alias;
  int                         aliases;
  size_t                      alias_capacity;
  weir__graph_call           *call;
  int                         calls;
  size_t                      call_capacity;
  bool                        expanding; /* what is added is part of a call */
  weir__trigger               trigger[WEIR__TRIGGERS_MAX];
  int                         triggers;
  uint64_t                    steered_triggers; /* bit t: trigger t may change, so nothing else shares it */
  const weir__chunk_size     *chunk_size;       /* borrowed */
  int                         chunk_sizes;
  const char                 *time_units; /* for the units of dt; NULL: unknown */
  weir__decisions             decisions;
  weir__feedback             *feedback; /* in the arena */
  int                         feedbacks;
} weir__graph;

weir_status weir__graph_create(const weir_operator *const *operators, weir__graph **graph);
void        weir__graph_destroy(weir__graph **graph);

/* ---- building ---- */

/* A field of a source. `grid` NULL: cut by the recipe's chunk sizes, else the default grid. Everything is copied into
 * the graph. WEIR_ERR_INPUT: the name exists. */
weir_status weir__graph_add_source(weir__graph *graph, const char *name, int stream, int field,
                                   const weir_field_type *type, const weir__grid *grid, bool is_static, int *node);

/* An operator on existing fields: checks the inputs' number, runs `infer`, cuts the result. `params` (params_size
 * bytes, copied) must be filled with fallbacks already: weir__params_default. `name` NULL: unnamed. `grid` NULL: as
 * derived. */
weir_status weir__graph_add_operator(weir__graph *graph, const weir_operator *op, const void *params,
                                     const weir__edge *input, int inputs, const char *name, weir__place place,
                                     const weir__grid *grid, int *node);

/* Define the field `name` as the expression `text`, which stands at `place` (graph/builder.c). Errors point into the
 * text. */
weir_status weir__graph_define(weir__graph *graph, const char *name, const char *text, weir__place place);

/* An unnamed expression (a rule's condition, an output's field): gives its edge. A bare name gives that field. */
weir_status weir__graph_expression(weir__graph *graph, const char *text, weir__place place, weir__edge *edge);
/* The same, but a steered parameter stands for what was decided of it so far (the value that a rule sets). */
weir_status weir__graph_expression_decided(weir__graph *graph, const char *text, weir__place place, weir__edge *edge);

/* Optional input `input` of `node`, not given so far, is `from` of `lag` published steps earlier (at least 1); `from`
 * may come later in the graph. It is missing in the first steps, so the operator must accept that. */
weir_status weir__graph_close_loop(weir__graph *graph, int node, int input, weir__edge from, int64_t lag);

/* Another name for a result. */
weir_status weir__graph_alias(weir__graph *graph, const char *name, weir__edge edge);
weir_status weir__graph_parameter(weir__graph *graph, const char *name, double value);

/* ---- looking up ---- */

const weir_operator *weir__graph_operator(const weir__graph *graph, const char *name); /* NULL: none */
/* "zeta", or "flow.u" for a result of an operator with several. False: no such field. */
bool weir__graph_find(const weir__graph *graph, const char *name, weir__edge *edge);
/* All names an expression may use (fields, parameters), for suggestions: array in the arena. */
weir_status                          weir__graph_names(weir__graph *graph, const char *const **names, size_t *count);
static inline const weir_field_type *weir__edge_type(const weir__graph *graph, weir__edge edge) {
  return edge.node < 0 ? NULL : &graph->node[edge.node].type[edge.output];
}

/* ---- parameters of operators ---- */

/* Fill `params` (zeros before) with the fallbacks of `op`. */
void weir__params_default(const weir_operator *op, void *params);
/* Set one parameter from what stood in the recipe: a number, a word (choice, bool, axis name, text), or a list of
 * words. Checks kind, range and choices. Strings are kept by reference (they live in the arena). */
typedef struct weir__argument {
  bool        is_number;
  double      number;
  int         numbers; /* of a list [64, 32]; 0: none */
  double      list[WEIR_LIST_MAX];
  int         words; /* 1 for a word or quoted text; more for a list [y, x]; 0 for a number */
  const char *word[WEIR_RANK_MAX];
} weir__argument;
weir_status weir__params_set(const weir_operator *op, void *params, const weir_param *param,
                             const weir__argument *value);

/* ---- finishing ---- */

/* Trigger number for a condition (equal ones are shared). */
weir_status weir__graph_trigger(weir__graph *graph, weir__trigger trigger, int *number);
/* A trigger that decisions may change. All 0: it does not fire until one does. */
weir_status weir__graph_trigger_steered(weir__graph *graph, weir__trigger trigger, int *number);
/* Ask for a node in the steps of a trigger. */
void weir__graph_want(weir__graph *graph, int node, int trigger);
/* Spread wants to inputs, find depths and histories. After it the graph does not change. */
weir_status weir__graph_finish(weir__graph *graph);
/* Let reductions compute the arithmetic that only they look at (graph/fuse.c); part of finishing. */
weir_status weir__graph_fuse(weir__graph *graph);
/* Ask for a node in every step that is published for whatever reason. */
void weir__graph_want_published(weir__graph *graph, int node);
/* Does trigger fire at this step? `previous` is the time of the step before (NaN: none). */
bool weir__trigger_fires(const weir__trigger *trigger, int64_t step, double time, double previous);

/* The region of an input needed for the box `out` of a result of type `type`: `need` of the operator or the same box by
 * name, then cut to the field (or left to be wrapped on the axes in `wrap`). */
weir_status weir__operator_need(const weir_operator *op, const void *params, const weir_field_type *const *in,
                                int input, unsigned wrap, const weir_field_type *type, const weir_region *out,
                                weir_region *region);
/* The same for input i of a node. */
weir_status weir__node_need(const weir__node *node, int input, const weir_region *out, weir_region *region);
bool        weir__node_reduces(const weir__node *node);

/* ---- elementwise arithmetic (graph/kernel.c) ---- */

/* The operator behind arithmetic on fields: `params` is a weir__kernel_params; made by the builder. */
extern const weir_operator weir__operator_arithmetic;
#endif
