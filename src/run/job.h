/* Jobs: programs that the supervisor starts, each in a process group of its own, and ends. */
#ifndef WEIR_RUN_JOB_H
#define WEIR_RUN_JOB_H
#include "core/memory.h"
#include <stdbool.h>
#include <sys/types.h>

typedef struct weir__job {
  pid_t pid; /* also its process group; 0: not started */
  bool  ended;
  int   status;   /* exit status, 128 + signal when a signal ended it; once it has ended */
  char  mark[64]; /* a variable in the environment of all its processes, wherever they go */
} weir__job;

/* Start a program (found on PATH); `environment` as for execve. Standard input is passed on unless it is a terminal,
 * which a job in the background could not read.
 * WEIR_ERR_INPUT: it cannot be executed. */
weir_status weir__job_start(char *const argv[], char *const environment[], weir__job *job);

/* Note which jobs have ended; never waits. True: any has since the last call. */
bool weir__jobs_reap(weir__job *const *jobs, int count);

/* Send a signal to a job's process group, if it lives. */
void weir__job_signal(const weir__job *job, int signal);

/* End a job and all that is left of it, at once: its process group, and the processes of this host that bear its mark.
 * No other job is touched. True: nothing of it is left. */
bool weir__job_kill(weir__job *job);

/* A process on this host that weir run started for this run directory and that lives; 0: none. */
pid_t weir__job_find(const char *run_directory);

/* Let processes whose parent ends become children of this one, so that weir__jobs_sweep can find them. */
void weir__jobs_adopt_orphans(void);
/* End all that is left of all jobs: asked first, killed after `seconds`. */
void weir__jobs_sweep(double seconds);
#endif
