/* What a recipe compiles to, shown without running it; and what can be said to be wrong before anything is started. */
#ifndef WEIR_RUN_CHECK_H
#define WEIR_RUN_CHECK_H
#include "core/text.h"
#include "graph/graph.h"
#include "run/recipe.h"

/* `weir check`: the compiled graph and its cost for `workers`, as text. Fields of a simulation are known from expects:
 * in the recipe or from schema.yaml in `directory`; when neither is there, the text says so. */
weir_status weir__check_text(const weir__recipe *recipe, const char *directory, int workers, weir__text *text);

/* The part of it on overload and recovery (check_overload.c). `step_bytes`: what all processes publish in a step, at
 * most; 0: unknown. */
void weir__check_overload(weir__text *text, const weir__recipe *recipe, double step_bytes);

/* The part of it on placements (check_placement.c), as `workers` of each would compute it. */
weir_status weir__check_placements(weir__text *text, const weir__recipe *recipe, const weir__graph *graph, int workers,
                                   double step_bytes);

/* Everything that can be known to be wrong before the first step: operators, expressions, outputs, files. Nothing is
 * written. */
weir_status weir__check_before_run(const weir__recipe *recipe);

/* Tell all processes that have published on this host, and have no living worker, that none will come any more. */
void weir__check_abandon_all(const char *directory, const char *message);
#endif
