/* From a recipe and what is known of its stream to the graph. Every worker does this alike. */
#ifndef WEIR_RUN_BUILD_H
#define WEIR_RUN_BUILD_H
#include "run/operators.h"
#include "run/recipe.h"

/* Sources, parameters and fields; no outputs yet. `joined`: of each stream joined to the leading one. `operators` must
 * outlive the graph, and so must the recipe. WEIR_ERR_INPUT: the recipe and the streams do not fit. */
weir_status weir__recipe_graph(const weir__recipe *recipe, const weir__operator_set *operators,
                               const weir__recipe_schema *schema, const weir__recipe_schema *joined,
                               weir__graph **graph);

/* The trigger of an output. WEIR_ERR_INPUT: a time, and the stream has no units of time. */
weir_status weir__recipe_trigger(weir__graph *graph, const weir__every *every, int *trigger);

/* The field of the graph that output `out` writes as its i-th. */
weir_status weir__recipe_output_edge(weir__graph *graph, const weir__recipe_output *out, int i, weir__edge *edge);

/* What can be known without any field: expressions can be read, and what they call exists. */
weir_status weir__recipe_syntax(const weir__recipe *recipe, const weir__operator_set *operators);

/* The stream has every field of `expects`, of the same type and shape. */
weir_status weir__recipe_expected_check(const weir__recipe *recipe, const weir__recipe_schema *seen);
#endif
