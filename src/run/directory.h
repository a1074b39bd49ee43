/* The run directory: where the supervisor (`weir run`), the workers and the simulation of one run meet. Its files are
 * described in docs/run-directory.md. */
#ifndef WEIR_RUN_DIRECTORY_H
#define WEIR_RUN_DIRECTORY_H
#include "core/text.h"
#include "run/recipe.h"

/* What the command line adds to the recipe; kept as run.json. */
typedef struct weir__run_settings {
  const char        *recipe;  /* its path as the user typed it, for messages */
  int                workers; /* at least 1 */
  int                threads; /* -1: one per core; -2: as the recipe says */
  const char *const *set;     /* name=value */
  int                sets;
  const char        *trace;  /* file for the trace; "": none, or as the recipe says */
  const char        *replay; /* log whose decisions are taken; "": none */
} weir__run_settings;

typedef struct weir__run_directory {
  char *path; /* absolute */
  int   lock; /* open while the run lives; -1: not locked */
} weir__run_directory;

/* Make the directory (or clear that of an earlier run), lock it, put a copy of the recipe and the settings into it.
 * WEIR_ERR_INPUT: another run lives in it, or processes of one do, or it holds something else. */
weir_status weir__run_directory_make(const char *path, const weir__run_settings *settings,
                                     weir__run_directory *directory);
/* Lock the directory of a run that ended early, to go on with it: nothing of value is cleared. `settings` says what
 * this run is to be; workers 0, threads -2 and no sets stand for those of the run, and are filled in (in `arena`).
 * WEIR_END: that run was complete; WEIR_ERR_INPUT: there is no run, it lives, or recipe or settings differ (the message
 * says in what). */
weir_status weir__run_directory_resume(const char *path, weir__arena *arena, weir__run_settings *settings,
                                       weir__run_directory *directory);
/* After which step can a simulation go on together with the workers of this run? False: none is known. */
bool weir__run_directory_saved(const char *path, int64_t *saved);
/* The simulation and the workers are to be started once more: remove what the former ones left of their meeting. */
weir_status weir__run_directory_again(const weir__run_directory *directory);
/* Remove what only a living run needs (channels, status ...), unlock. What is worth keeping stays; the checkpoints do
 * unless the run is `complete`. */
void weir__run_directory_leave(weir__run_directory *directory, bool complete);

/* Does somebody hold the lock? */
bool weir__run_directory_lives(const char *path);

/* The recipe of a run with its settings applied. `settings` (may be NULL) lives in the recipe's arena. */
weir_status weir__run_directory_recipe(const char *path, weir__recipe **recipe, weir__run_settings *settings);

/* What must be the same in a run that goes on from a checkpoint: the recipe and the settings, but for threads. */
weir_status weir__run_directory_identity(const char *path, uint64_t *identity);

/* The path of a file in the run directory. */
weir_status weir__run_path(weir__text *text, const char *directory, const char *name);

/* When a file of this name is there, images that are watched for end with those that have come. */
#define WEIR__RUN_FINISH "finish"

/* Replace a file of the run directory in one moment. */
weir_status weir__run_write(const char *directory, const char *name, const char *bytes, size_t size);

/* ---- status: how far the run is, written by worker 0 and read by the supervisor ---- */

typedef enum weir__run_phase {
  WEIR__PHASE_NONE,    /* no status yet */
  WEIR__PHASE_WAITING, /* for the simulation's definitions */
  WEIR__PHASE_RUNNING,
  WEIR__PHASE_DONE,
  WEIR__PHASE_FAILED /* `exit` and `message` say how */
} weir__run_phase;

typedef struct weir__run_status {
  weir__run_phase phase;
  int64_t         steps, step;
  double          time, elapsed_s, blocked_s;
  char            time_units[64];
  int             exit;
  char            message[1024];
  bool            restored;  /* this job of workers went on from a checkpoint, */
  int64_t         from;      /* whose last step had this number */
  bool            watching;  /* images that still come, of which */
  int64_t         waiting;   /* so many steps are whole and not done; */
  double          latency_s; /* and from then to its results the last one took so long */
} weir__run_status;

/* Before another job of workers is started, which says anew how far it is. */
void weir__run_status_remove(const char *directory);

weir_status weir__run_status_write(const char *directory, const weir__run_status *status);
/* A status that cannot be read is WEIR__PHASE_NONE. */
void weir__run_status_read(const char *directory, weir__run_status *status);
#endif
