/* A worker: one process that executes its share of a compiled graph, step after step, until its streams end.
 *
 *   weir__intake_open      (streams from a simulation) meet the processes on this node, read their definitions
 *   ... the caller builds the graph from them, the same on every worker ...
 *   weir__worker_create    compile this worker's plan, exchange subscriptions, allocate everything
 *   weir__worker_run       until the end of the stream
 *   weir__worker_destroy */
#ifndef WEIR_EXEC_WORKER_H
#define WEIR_EXEC_WORKER_H
#include "channel/channel.h"
#include "comm/comm.h"
#include "graph/graph.h"

/* ---- where steps come from ---- */

/* A source that workers read themselves: files, or a generator in a test. */
typedef struct weir__source {
  void *self;
  /* Number and time of the step after `ordinal` earlier ones; WEIR_END after the last. Every worker gets the same
   * answers. */
  weir_status (*next)(void *self, int64_t ordinal, int64_t *step, double *time);
  /* Read the box of `out` (dense, of the field's type). Thread-safe. */
  weir_status (*read)(void *self, int field, int64_t ordinal, const weir_view *out);
  /* A source whose steps come in their time (NULL: all of these are): `next` is asked on worker 0 alone, and may answer
   * WEIR_ERR_TIMEOUT, without a message: not yet; from any thread `wake` then says that it is worth asking again, until
   * it is NULL. */
  void (*attach)(void *self, void (*wake)(void *who), void *who);
  uint64_t (*about)(void *self, int64_t ordinal);            /* what worker 0 tells of a step that has come */
  void (*heed)(void *self, int64_t ordinal, uint64_t about); /* and what the others heed before they read */
} weir__source;

/* Streams joined to the one that steps come from: they have values at some of its steps. Streams are numbered as in the
 * graph, from 1. */
typedef struct weir__joined_source {
  void *self;
  /* Read the box of `out` for this step of the leading stream; WEIR_END: no value then. Thread-safe. Every worker gets
   * the same answers. */
  weir_status (*read)(void *self, int stream, int field, int64_t step, double time, const weir_view *out);
} weir__joined_source;

/* A stream published by a simulation, through the channels of its processes on this worker's node. */
typedef struct weir__intake weir__intake;
typedef struct weir__intake_field {
  const char     *name;
  weir_field_type type;
  bool            is_static;
} weir__intake_field;

typedef struct weir__intake_options {
  double seconds;    /* to wait */
  int    forwarders; /* > 0: only workers 0 .. forwarders - 1 meet processes; the first ones of each node */
  bool   hosted;     /* this worker is a part of the process `rank` of the simulation, and meets that one alone */
  int    rank;
} weir__intake_options;

/* Collective. Wait (at most `seconds`) until all processes of the stream have published their definitions, share them
 * out among the workers of each node, check that all define the same fields. WEIR_ERR_TIMEOUT: not all came;
 * WEIR_ERR_INPUT: definitions disagree (names field, processes, both values). */
weir_status weir__intake_open(weir__comm *comm, const char *run_directory, const char *stream,
                              const weir__intake_options *options, weir__intake **intake);
int         weir__intake_fields(const weir__intake *intake, const weir__intake_field **fields);
const char *weir__intake_time_units(const weir__intake *intake); /* NULL: unknown */
const char *weir__intake_calendar(const weir__intake *intake);
/* What the simulation lets be steered; belongs to the intake. */
struct weir__channel_parameter;
int weir__intake_parameters(const weir__intake *intake, const struct weir__channel_parameter **parameters);
/* Collective. The chunk grid made of the pieces themselves, into the arena. WEIR_ERR_INPUT: they form no rectilinear
 * grid. */
weir_status weir__intake_grid(weir__intake *intake, int field, weir__arena *arena, weir__grid *grid);
/* Tell the simulation that there will be no analysis and why; it goes on. */
void weir__intake_refuse(weir__intake *intake, const char *message);
/* Read again from the first step not acknowledged, for another worker of this process. */
void weir__intake_rewind(weir__intake *intake);
/* As if this worker had died: the channels stay as they are, for the one that replaces it. Close follows. */
void weir__intake_forget(weir__intake *intake);
/* The analysis is complete: processes that have more steps go on without, which is no failure. */
void weir__intake_complete(weir__intake *intake);
/* The simulation goes on without analysis. */
void weir__intake_close(weir__intake **intake);

/* ---- the worker ---- */

typedef struct weir__progress {
  int64_t steps;      /* retired so far */
  int64_t step;       /* number of the last one */
  double  time;       /* its time */
  int64_t latency_ns; /* from its arrival to its retirement */
  int64_t blocked_ns; /* the simulation's processes on this worker waited so long for free slots, summed, so far */
} weir__progress;

enum { WEIR__TRACE_EVENTS = 1 << 17 }; /* for trace_events: 4 MiB of memory for each thread */

enum { WEIR__STEPS_IN_FLIGHT = 2 };
typedef struct weir__worker_options {
  int  threads;                     /* -1: one per core of the process; 0: none, everything in one loop */
  int  steps_in_flight;             /* 0: WEIR__STEPS_IN_FLIGHT */
  bool claims;                      /* workers that read a source share its steps out, as each has time, and so many of
                                       steps_in_flight each; what depends on earlier steps is shared out by chunks */
  int                        slots; /* of each channel; 0: 4 */
  bool                       pin;   /* bind threads to cores */
  int64_t                    block_timeout_ns; /* how long the simulation waits for a free slot; 0: 600 s */
  bool                       holes;            /* places that no process publishes are filled with the missing value */
  int                        forwarders; /* workers 0 .. forwarders - 1 only hand on what their processes publish */
  const weir__joined_source *joined;     /* borrowed; NULL: the graph has one stream */
  /* checkpoints (exec/checkpoint.h) */
  const char *checkpoint_directory; /* NULL: none */
  uint64_t    identity;             /* of what must be the same in a run that goes on from one */
  int64_t     checkpoint_steps;     /* between two; 0: as many as take checkpoint_s */
  double      checkpoint_s;         /* 0: 10 */
  bool        durable;              /* flushed to the device */
  int64_t     end_at;               /* > 0: the streams end at this ordinal (weir__worker_again) */
  bool        agree_steps;          /* agree on every step before it begins: where steps are dropped */
  /* overload (channel/channel.h) */
  weir__channel_policy   policy;
  weir__channel_fallback fallback;
  uint64_t               spill_bytes;                           /* of each process of the simulation */
  const char            *spill_directory;                       /* NULL without spill */
  bool                   supervised;                            /* a worker that dies is replaced */
  void (*progress)(void *self, const weir__progress *progress); /* after each step, in the calling thread; NULL: none */
  void *progress_self;
  void (*beat)(void *self); /* about once a second, in the calling thread, also while no step comes; NULL: none */
  void *beat_self;
  void (*checkpoint)(void *self); /* every step so far is done, and a checkpoint will be written; owner; NULL: none */
  void   *checkpoint_self;
  int64_t trace_events; /* of each thread are kept, a power of two; 0: no trace */
} weir__worker_options;

typedef struct weir__worker_stats {
  int64_t claimed;              /* of the steps, where they are shared out: those this worker did */
  int64_t steps, dropped_steps; /* dropped: not published by all, or wrongly */
  int64_t dropped, spilled;     /* steps, by the stream's policy */
  int64_t checkpoints, checkpoint_bytes /* of the last one */, checkpoint_ns;
  char    checkpoint_failure[256];                       /* why there are no more; "" */
  int64_t tasks, messages, message_bytes;                /* executed and sent, in all steps */
  int64_t plan_bytes;                                    /* buffers of the plan */
  int64_t plan_tasks, plan_messages, plan_message_bytes; /* per step, as compiled */
  int64_t compile_ns, run_ns, blocked_ns;
  int64_t intake_bytes;                                      /* copied out of the simulation */
  int64_t wakes;                                             /* of threads that slept, by others of this worker */
  int64_t latency_median_ns, latency_p99_ns, latency_max_ns; /* of the last 4096 steps */
} weir__worker_stats;

typedef struct weir__worker weir__worker;
/* Collective. Exactly one of `source` and `intake` is given; both are borrowed. */
weir_status weir__worker_create(const weir__graph *graph, weir__comm *comm, const weir__source *source,
                                weir__intake *intake, const weir__worker_options *options, weir__worker **worker);
/* What the simulation begins with. */
typedef struct weir__beginning {
  bool    fresh;   /* no worker has served it yet */
  bool    steered; /* the recipe decides and computes for it */
  int64_t step;    /* its first one, published or not */
} weir__beginning;
/* Collective. What all processes of the intake say; `steered` is left as it is. */
weir_status weir__intake_begins(weir__intake *intake, weir__beginning *begins);

/* Collective. The newest checkpoint of all workers in options->checkpoint_directory; for a fresh simulation that is
 * steered, the newest from before its first step. WEIR_END: there is none, and all begins anew (files of an earlier
 * attempt are removed); WEIR_ERR_INPUT: there are only later ones. */
typedef struct weir__resume {
  int64_t         ordinal, step; /* of the first step to do; number of the last one done */
  double          time;
  const int64_t  *active; /* per node: in how many steps it was active; in `bytes` */
  int             nodes;
  char           *bytes; /* owned, until weir__checkpoint_forget: what this worker has to restore */
  weir__beginning begins;
} weir__resume;
weir_status weir__checkpoint_find(weir__comm *comm, const weir__worker_options *options, const weir__beginning *begins,
                                  weir__resume *at);
/* Not collective, without workers: after which step a simulation can go on together with the workers. False: none. */
bool weir__checkpoint_saved(const char *directory, int64_t *saved);
void weir__checkpoint_forget(weir__resume *at);
/* Collective. Go on from there; before the run. WEIR_ERR_INPUT: a damaged file, or of another graph. */
weir_status weir__worker_restore(weir__worker *worker, const weir__resume *at);
/* Collective: ends when the stream has ended on all workers and every step is retired. */
weir_status weir__worker_run(weir__worker *worker);
/* Collective, once the processes wait for the first decision: fields that had been computed for steps to come when the
 * checkpoint was made. weir__worker_run does it itself. */
weir_status weir__worker_give_back(weir__worker *worker);
/* A hosted worker, instead: its process calls these between its own steps, and weir__worker_run for the end. */
void weir__worker_enter(weir__worker *worker); /* before the first step is published */
/* Collective. Every step published here is done to its end. WEIR_END: the analysis has ended on all (weir__worker_run
 * follows). A failure here makes it fail everywhere, in this call or the next; then all agree on it, leave, and
 * destroy. */
weir_status weir__worker_advance(weir__worker *worker);
bool        weir__worker_left(const weir__worker *worker); /* it was another one that failed */
weir_status weir__worker_leave(weir__worker *worker);      /* collective, after a failure */
/* After a run: did it stop only to go back? Then a new worker, with these options, restored from the newest checkpoint,
 * does the steps since then once more. The same answer on all workers. */
bool weir__worker_again(const weir__worker *worker, int64_t *end_at, bool *agree_steps);
void weir__worker_stats_get(const weir__worker *worker, weir__worker_stats *stats);

/* How a worker is just now, for `beat`: copies of counters, nothing is sorted or summed up. */
typedef struct weir__worker_pulse {
  int64_t        steps, step; /* retired so far; number of the last one */
  double         time;        /* its time */
  int64_t        tasks, queued, blocked_ns, dropped_steps, dropped, spilled; /* queued: published, not yet begun */
  const char    *stream;                                                     /* "" for files */
  int64_t        checkpoints;
  int            threads;    /* the owner is one */
  int            processes;  /* of the simulation, served here */
  const int64_t *latency_ns; /* of the last steps: the newest is latency_ns[(seen - 1) % latencies], `seen` so far;
                                valid while the worker lives */
  int seen, latencies;
} weir__worker_pulse;
void weir__worker_pulse_get(const weir__worker *worker, weir__worker_pulse *pulse);

/* Collective, after the run: the trace as a file that viewers of Chrome's trace events open. Every worker leaves its
 * part in `directory` meanwhile. Nothing without `trace_events`. */
weir_status weir__worker_trace_write(const weir__worker *worker, const char *directory, const char *path);

/* Fields and outputs that failed on any worker, the first one first. On worker 0, after weir__worker_run. */
typedef struct weir__failure {
  const weir__node *node; /* the one that failed first */
  const char       *name; /* of the field; path of the output */
  int64_t           steps, first_step;
  const char       *message;
  const uint64_t   *ordinals; /* bit n: it failed at ordinal n; 64 in a word */
  size_t            words;
} weir__failure;
/* Steps that were not whole, from number `from` to `to`: on every worker that serves processes, as it saw them. The
 * list is bounded; `count` of its last entry then counts on. Belongs to the intake. */
typedef struct weir__lost {
  int64_t from, to, count;
  char    why[104];
} weir__lost;
int  weir__worker_lost(const weir__worker *worker, const weir__lost **list);
int  weir__worker_failures(const weir__worker *worker, const weir__failure **list);
void weir__worker_destroy(weir__worker **worker);

/* Share of a plan, for `weir check`: compiled as if there were `size` workers, without communication or buffers.
 * `flight`: steps in flight, 0: the default. */
typedef struct weir__plan_summary {
  int64_t tasks, bytes, messages, message_bytes; /* of one worker, per step */
} weir__plan_summary;
weir_status weir__plan_estimate(const weir__graph *graph, int rank, int size, int forwarders, int flight,
                                weir__plan_summary *summary);
#endif
