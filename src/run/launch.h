/* Command lines: how the workers and the simulation of a run are started here. docs/run-directory.md, "launching". */
#ifndef WEIR_RUN_LAUNCH_H
#define WEIR_RUN_LAUNCH_H
#include "core/memory.h"
#include <stdbool.h>

typedef enum weir__launcher {
  WEIR__LAUNCH_DIRECT, /* one process: no launcher */
  WEIR__LAUNCH_OPENMPI,
  WEIR__LAUNCH_MPICH,
  WEIR__LAUNCH_SLURM
} weir__launcher;

/* What starts MPI programs here: srun inside a Slurm allocation, else the mpirun on PATH.
 * WEIR_ERR_UNAVAILABLE: there is none, or it is unknown. */
weir_status weir__launcher_find(weir__launcher *launcher);

/* The full command line for `n` processes of `command` (ended by NULL), in the arena. `line` (NULL: none) is a line
 * given in full, in which {n} and {command} are replaced; quotes group words. */
weir_status weir__launch_line(weir__arena *arena, weir__launcher launcher, const char *line, int n,
                              char *const command[], char ***argv);

/* What the processes of a job find in their environment. */
typedef struct weir__launch_run {
  const char    *directory; /* WEIR_RUN */
  int            restart;   /* WEIR_RESTART: how often the job was started before */
  const int64_t *saved; /* WEIR_RESTART_STEP: after which step the simulation shall go on; NULL: empty, as it likes */
  const char    *placement; /* WEIR_PLACEMENT; NULL: node */
  const char    *engine;    /* WEIR_ENGINE: the library with the engine; NULL: found by the loader */
} weir__launch_run;

/* The environment for a job, in the arena: ours without what an MPI launcher put there for another job, or a supervisor
 * for another run; with `run` (NULL: none) what that says, and WEIR_SUPERVISED=1. */
weir_status weir__launch_environment(weir__arena *arena, const weir__launch_run *run, char ***environment);

/* The library with the engine, for placement inline: WEIR_ENGINE of our own environment, or the one that was built or
 * installed with `program`; NULL: none is seen, and the loader may know better. In the arena. */
weir_status weir__launch_engine(weir__arena *arena, const char *program, const char **path);

/* Can this program be executed? WEIR_ERR_INPUT: no such file, or not on PATH. */
weir_status weir__launch_executable(const char *program);

/* Was this process started by an MPI launcher? Then it must not start another. */
bool weir__launch_nested(void);
#endif
