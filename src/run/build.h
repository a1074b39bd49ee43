/* From a recipe and what is known of its stream to the graph. Every worker does this alike. */
#ifndef WEIR_RUN_BUILD_H
#define WEIR_RUN_BUILD_H
#include "run/operators.h"
#include "run/recipe.h"

/* Sources, parameters and fields; no outputs yet. `joined`: of each stream joined to the leading one. `operators` must
 * outlive the graph, and so must the recipe. WEIR_ERR_INPUT: the recipe and the streams do not fit. */
weir_status weir__recipe_graph(const weir__recipe *recipe, const weir__operator_set *operators,
                               const weir__recipe_schema *schema, const weir__recipe_schema *joined,
                               weir__graph **graph, weir__steering **steer);

/* `every` as a trigger. WEIR_ERR_INPUT: a time, and the stream has no units of time. */
weir_status weir__recipe_every(const weir__graph *graph, const weir__every *every, weir__trigger *trigger);
/* The trigger of an output. WEIR_ERR_INPUT: a time, and the stream has no units of time. */
weir_status weir__recipe_trigger(weir__graph *graph, const weir__recipe_output *output, int *trigger);

/* The field of the graph that output `out` writes as its i-th. */
weir_status weir__recipe_output_edge(weir__graph *graph, const weir__recipe_output *out, int i, weir__edge *edge);

/* Parameters that may change (recipe_steer.c); instead of constant ones. */
weir_status weir__recipe_steer_begin(const weir__recipe *recipe, const weir__recipe_schema *schema, weir__graph *graph,
                                     weir__steering **steer);
/* Rules, after the outputs were resolved: `trigger` is that of each output; and feedback. `steer` NULL: nothing is
 * steered. `directory` NULL: the graph is only looked at. */
weir_status weir__recipe_steer(const weir__recipe *recipe, const weir__recipe_schema *schema, weir__graph *graph,
                               weir__steering *steer, const int *trigger, const char *directory);

/* For weir check. */
void weir__recipe_steering_text(const weir__recipe *recipe, const weir__recipe_schema *schema, weir__text *text);
void weir__recipe_feedback_text(const weir__recipe *recipe, weir__text *text);

/* What can be known without any field: expressions can be read, and what they call exists. */
weir_status weir__recipe_syntax(const weir__recipe *recipe, const weir__operator_set *operators);

/* The stream has every field of `expects`, of the same type and shape. */
weir_status weir__recipe_expected_check(const weir__recipe *recipe, const weir__recipe_schema *seen);
#endif
