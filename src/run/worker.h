/* `weir worker RUNDIR`: one worker of a run, from joining the others to the report. */
#ifndef WEIR_RUN_WORKER_H
#define WEIR_RUN_WORKER_H
#include "core/error.h"
#include <stdbool.h>

/* Collective over the processes of the worker job. On failure, the message is in the status file too, and `*speaks` is
 * set in the one process whose message people should see. `*stop` set to non-zero ends a stream of files early (one
 * worker only). */
weir_status weir__run_worker(const char *directory, const volatile int *stop, bool *speaks);

/* 0; 2 when the input was at fault; 1 otherwise. */
int weir__exit_status(weir_status status);
#endif
