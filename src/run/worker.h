/* `weir worker RUNDIR`: one worker of a run, from joining the others to the report. */
#ifndef WEIR_RUN_WORKER_H
#define WEIR_RUN_WORKER_H
#include "channel/engine.h"
#include "core/error.h"
#include <stdbool.h>

/* Collective over the processes of the worker job. On failure, the message is in the status file too, and `*speaks` is
 * set in the one process whose message people should see. `*stop` set to non-zero ends a stream of files early (one
 * worker only). */
weir_status weir__run_worker(const char *directory, const volatile int *stop, bool *speaks);

/* The same in processes of the simulation, each a worker: collective over them, as channel/engine.h has it
 * (run/inline.c).
 * `*entered` is set even on failure, unless memory is short; then only leave follows. */
typedef struct weir__process weir__process;
weir_status weir__run_enter(const weir__engine_terms *terms, const char *wrong, weir__process **entered);
weir_status weir__run_go_on(weir__process *process, const char *wrong);
weir_status weir__run_advance(weir__process *process);
weir_status weir__run_leave(weir__process **entered);

/* 0; 2 when the input was at fault; 1 otherwise. */
int weir__exit_status(weir_status status);
#endif
