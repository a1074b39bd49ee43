/* What a run did and cost, gathered from all workers for the report. */
#ifndef WEIR_RUN_FIGURES_H
#define WEIR_RUN_FIGURES_H
#include "exec/worker.h"
#include "run/report.h"

/* Collective, after the run; the report is filled on worker 0. `stream`: the leading stream's name, for its line;
 * `processes`: of the simulation, 1 for files; `restarts`: of this worker. */
weir_status weir__run_figures(weir__comm *comm, const weir__worker *worker, const char *stream, int64_t processes,
                              int64_t restarts, weir__report *report);
#endif
