/* The supervisor of a run: starts the workers and the simulation as separate jobs, watches both, starts again what
 * dies, and leaves nothing behind. */
#ifndef WEIR_CLI_SUPERVISE_H
#define WEIR_CLI_SUPERVISE_H
#include "run/directory.h"
#include "run/job.h"
#include "run/retries.h"
#include "run/watch.h"

typedef struct supervision {
  /* given */
  const weir__recipe        *recipe;
  const weir__run_directory *directory;
  char                     **command; /* of the simulation; NULL: none */
  int                        workers, ranks;
  weir__arena               *arena;
  /* the jobs */
  weir__job     worker_job, simulation_job;
  weir__retries worker_retries, simulation_retries;
  weir__watch  *watch;
  const char   *engine;         /* placement inline: the library; NULL: unknown */
  int           interrupts;     /* SIGINT, SIGTERM, SIGHUP so far */
  int64_t       simulation_end; /* clock; 0: it lives or there is none */
  int64_t       steps_ns;       /* clock: when the progress was looked at */
  int           gone;           /* number of a worker whose process went before its job ended; -1 */
  bool          silent;         /* one was killed for its silence: `gone` */
  double        silent_s;       /* so long */
  bool          again;          /* the simulation died and is started again, with the workers */
  bool          workers_over;   /* no further job of them is started, */
  bool          workers_lost;   /* though the run was not done: why was said already */
  bool          unattended;     /* the simulation ended and no worker had seen it */
  char          self[4096];     /* path of this program; "" before the start */
  char          story[1200];    /* how the workers died, to be told with where they went on; "": nothing to tell */
  int64_t       story_step;     /* the number of the last step known to be done then; -1: none */
} supervision;

/* Returns when both jobs have ended for good. < 0: a job could not be started. */
weir_status supervise(supervision *s);
#endif
