/* Outputs: from the recipe's list to sinks in the graph, and the stores and tables behind them. */
#ifndef WEIR_RUN_OUTPUTS_H
#define WEIR_RUN_OUTPUTS_H
#include "exec/worker.h"
#include "run/build.h"
#include "run/files.h"

typedef struct weir__outputs weir__outputs;

/* How the stores and tables behind the sinks come to be. */
typedef enum weir__outputs_mode {
  WEIR__OUTPUTS_NONE,   /* not at all: the graph is only looked at */
  WEIR__OUTPUTS_CREATE, /* this worker makes them (worker 0) */
  WEIR__OUTPUTS_RESUME, /* it goes on with those there are, cut back to a checkpoint */
  WEIR__OUTPUTS_OPEN    /* they were made by worker 0 */
} weir__outputs_mode;

/* Resolve the fields and triggers of all outputs and check that each can be written where the recipe wants it. Nothing
 * is written. `graph` may get unnamed nodes. */
weir_status weir__outputs_resolve(const weir__recipe *recipe, weir__graph *graph, weir__outputs **outputs);
/* Make or open what is behind the sinks and add them to the graph; then the graph is ready for weir__graph_finish.
 * `files`: of the leading stream, NULL: a simulation's; must outlive the outputs. */
weir_status weir__outputs_add(weir__outputs *outputs, const weir__recipe_schema *schema, const weir__files *files,
                              weir__outputs_mode mode, const weir__resume *resume /* of RESUME */);
/* Numbers of the triggers of all outputs; belong to the graph. After resolving. */
weir_status weir__outputs_triggers(weir__outputs *outputs, const int **trigger);
/* Before a checkpoint: what outputs hold back because it is not urgent is written. */
void weir__outputs_flush(weir__outputs *outputs);
/* There are no more steps, on any worker: files that are made of all of them. By worker 0, when every worker has come
 * to its end and flushed. All are tried; the first failure is returned. */
weir_status weir__outputs_convert(weir__outputs *outputs);
/* Close what is written while steps come, and flush the rest; the first failure is returned. NULL is fine. */
weir_status weir__outputs_settle(weir__outputs *outputs);
/* Settle and free; the first failure is returned. NULL is fine. */
weir_status weir__outputs_close(weir__outputs **outputs);
/* After a complete run: remove what it would have needed to be gone on with. */
void weir__outputs_clear(const weir__recipe *recipe);
#endif
