/* The streams of a recipe that are joined to its leading one: files whose time levels are looked up at each step. */
#ifndef WEIR_RUN_JOINED_H
#define WEIR_RUN_JOINED_H
#include "exec/worker.h"
#include "run/recipe.h"

typedef struct weir__joined weir__joined;

/* Open the files of all joined streams. WEIR_ERR_INPUT: unreadable, fields that change and no join:, or times that do
 * not increase. The recipe must outlive it. */
weir_status weir__joined_open(const weir__recipe *recipe, weir__joined **joined);
void        weir__joined_close(weir__joined **joined);

/* Before the first step: convert the times of the levels to those of the leading stream.
 * WEIR_ERR_INPUT: they cannot be (the message names both). */
weir_status weir__joined_settle(weir__joined *joined, const weir__recipe_schema *leading);

/* What is in the files: an array of recipe->joins. NULL joined: NULL. */
const weir__recipe_schema *weir__joined_schemas(const weir__joined *joined);
int64_t                    weir__joined_levels(const weir__joined *joined, int number); /* of a stream's files */

weir__joined_source weir__joined_source_of(weir__joined *joined);

/* "joined by time, nearest within 3.0 h", or "static" */
const char *weir__join_text(const weir__join *join, char out[64]);
#endif
