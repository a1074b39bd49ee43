/* What the files share that make up a worker process: see worker.c. */
#ifndef WEIR_RUN_PROCESS_H
#define WEIR_RUN_PROCESS_H
#include "channel/channel.h"
#include "exec/worker.h"
#include "run/directory.h"
#include "run/files.h"
#include "run/joined.h"
#include "run/live.h"
#include "run/outputs.h"
#include "run/worker.h"

struct weir__process {
  const char         *directory;
  bool                hosted; /* in a process of the simulation, */
  int                 rank;   /* which is this one */
  weir_status         last;   /* hosted: of the call before; its message is that of `status` */
  weir__arena         own;    /* hosted: the directory's name */
  const volatile int *stop;
  weir__comm         *comm;
  weir__recipe       *recipe;
  weir__run_settings  settings;
  weir__operator_set  operators;
  weir__files        *files;
  weir__source        source; /* of the files; the worker borrows it */
  weir__joined       *joined; /* files beside the leading stream */
  weir__joined_source joined_source;
  weir__intake       *intake;
  int64_t             processes; /* of the simulation */
  weir__arena         arena;     /* of the schema's list */
  weir__recipe_schema schema;
  weir__graph        *graph;
  weir__outputs      *outputs;
  weir__steering     *steering; /* NULL: nothing is steered */
  weir__worker       *worker;
  /* recovery */
  weir__comm          *life;    /* of one worker, from a checkpoint to its end */
  weir__worker_options options; /* of it */
  weir__resume         resume;  /* where it goes on */
  bool                 resumed; /* it does */
  bool                 again;   /* another one follows */
  weir__run_status     status;
  weir__live          *live;
  char                 stream[WEIR__CHANNEL_NAME_MAX + 1]; /* its name */
  int64_t              start_ns, status_ns;                /* clock */
  int64_t              file_time_ns;                       /* of run.json: files changed later are ours */
  bool                 finished; /* to the end of the streams, though something failed on the way */
};

/* Collective, once the recipe is read: meet the simulation, or open the files; `schema` says what there is.
 * WEIR_ERR_TIMEOUT: nobody came; WEIR_ERR_INPUT: it is not what the recipe expects. */
weir_status weir__process_open_streams(weir__process *process);
/* Processes of the job beyond the workers asked for are forwarders: the first ones. */
int weir__process_forwarders(const weir__process *process);
#endif
