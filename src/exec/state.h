/* What the files of this module share: a worker and its steps in flight. */
#ifndef WEIR_EXEC_STATE_H
#define WEIR_EXEC_STATE_H
#include "channel/channel.h"
#include "exec/failure.h"
#include "exec/pool.h"
#include "exec/trace.h"
#include "exec/worker.h"
#include "plan/plan.h"

enum { WEIR__TURNS = 16, WEIR__LATENCIES = 4096 };

/* One step in flight. There is one more of these than steps in flight, because a step that completes counts down tasks
 * of the next one, which may not have begun. */
typedef struct weir__step {
  int64_t      ordinal; /* steps published before */
  int64_t      step;
  double       time, dt;
  uint64_t     fired;             /* triggers */
  uint32_t     turn[WEIR__TURNS]; /* ordinal % r: where this step stands in a ring of r, without a division per task */
  uint32_t     slot;              /* ordinal % flight: which of the messages in flight are its */
  bool         mine;              /* claimed by this worker; or nothing is claimed */
  size_t       claimed_turn;      /* then: where it stands among the claimed ones in flight */
  int64_t      arrived_ns;
  uint64_t     sequence, more; /* in the channels; it stands for `more` further ones that are lost */
  weir_gap     torn;           /* why it is to be discarded everywhere */
  int64_t      last;           /* then: number of the last one it stands for */
  int64_t     *index;          /* per node: how often active before this step */
  const void **piece;          /* per local piece: its data in the slot; NULL: not there */
  _Atomic uint32_t *counter;   /* per task: what it still waits for */
  _Atomic uint32_t  remaining; /* sinks and messages; 0: may retire */
} weir__step;

/* Scratch and views of one thread. */
typedef struct weir__thread_memory {
  char     *scratch;
  weir_view in[WEIR_INPUTS_MAX];
  weir_view out[WEIR_OUTPUTS_MAX];
} weir__thread_memory;

typedef struct weir__claims weir__claims;

/* A step as it comes from the simulation, or from a source. */
typedef struct weir__arrival {
  int64_t  step;
  double   time;
  uint64_t fired, sequence;
  uint64_t more;  /* lost: it stands for so many further ones */
  int64_t  last;  /* then: number of the last of them */
  weir_gap torn;  /* not all processes published it: to be discarded everywhere, and why */
  bool     marks; /* the simulation saved its state after step `saved`, before this one */
  int64_t  saved;
  bool     known; /* number and time are */
} weir__arrival;

struct weir__worker {
  const weir__graph   *graph;
  weir__comm          *comm;
  const weir__source  *source;
  weir__intake        *intake;
  weir__worker_options options;
  weir__plan          *plan;
  weir__pool          *pool;
  weir__requests      *requests;
  weir__step          *step;      /* flight + 1 */
  int                  steps;     /* flight + 1 */
  weir__step         **in_slot;   /* flight: the step in flight whose messages use it; NULL: none */
  int message_bits;               /* a request is a slot and, in its low bits, a message: incoming ones, outgoing ones,
                                     announcements */
  int                  task_bits; /* an entry of the pool is a step's place in `step` and, in its low bits, a task */
  uint64_t            *triggers;  /* of each node: nodes are far apart, and each step asks for these of all */
  int64_t             *active_count; /* per node: steps it was active in */
  weir__thread_memory *memory;       /* per thread and owner */
  _Atomic uint32_t    *outbox_next;  /* stack of packed messages: their requests + 1 */
  size_t              *outbox_bytes; /* of an entry */
  _Atomic uint32_t     outbox;
  uint32_t            *kept; /* messages that have to wait for room in a mailbox: their requests */
  int                  keeps;
  _Atomic uint32_t     bell; /* eventcount of the owner when there is no `door` */
  _Atomic uint32_t     asleep;
  int64_t              begun, retired;   /* ordinals */
  weir__claims        *claims;           /* NULL: every worker does its part of every step */
  int64_t              claim;            /* ordinal of the step claimed next; before `begun`: none yet */
  int64_t              claimed, settled; /* steps this worker has claimed and begun; and of these retired */
  int64_t              ended;            /* ordinal at which no further step began here; -1: not yet */
  int64_t              ended_ns;         /* clock; 0: all others know of it, too */
  int64_t              limit;            /* no step from this ordinal on begins; -1: none */
  int64_t              halt;             /* nor from this one on: a failure stops the run; -1: none */
  bool                 halted;           /* `halt` is agreed on: it comes after all that were begun */
  int64_t              end;              /* agreed by all; valid when `agreed` */
  bool                 agreed;           /* on the end */
  bool                 torn, ahead;      /* a step was not whole; some worker has begun steps after the end */
  weir__agreement     *ends, *wholes;    /* on the end; on each step (exec/steps.c) */
  weir__arrival        asked;            /* the step being agreed on */
  bool                 answered;         /* agreed on; its announcement is waited for */
  weir__arrival        held;             /* a step that waits for a checkpoint ... */
  bool                 holds;            /* ... where there is one */
  bool                 marks;            /* a step that was lost whole had a mark: `saved` */
  int64_t              saved;            /* of that mark; or what was agreed on at the end: see weir__keeper_last */
  int64_t              first_step;       /* number of the one with ordinal 0; INT64_MIN: it has not begun */
  int64_t              whole_rounds;     /* of `wholes` */
  int64_t              end_rounds;       /* of `ends` */
  struct weir__keeper *keeper;           /* of checkpoints; NULL: none are made */
  bool                 left;             /* hosted: another one could not go on, and all leave together */
  bool                 acknowledges;     /* steps when they retire, though there is a keeper: it could not go on */
  uint64_t             retired_sequence; /* of the channels: after the last step retired */
  int64_t              last_step;        /* number of the step begun last; INT64_MIN: none */
  double               last_time;
  struct weir__relay  *relay;
  struct weir__neighbours *neighbours;
  struct weir__mailbox    *mailbox; /* NULL: every message goes by MPI */
  weir__doorbell          *door;    /* the intake's, or of the neighbours; NULL: nobody rings */
  struct weir__steer      *steer;
  int                     *done; /* of weir__requests_test */
  int                      done_capacity;
  int                      first_core; /* -1: not bound */
  int64_t                 *latency;
  int                      latencies;
  weir__worker_stats       stats;
  weir__trace             *trace;        /* NULL: none */
  int64_t                  beat_ns;      /* clock when the next beat is due */
  int64_t                  retired_step; /* number and time of the last one retired */
  double                   retired_time;
  unsigned                 turns;   /* of the owner's loop */
  unsigned                 deaf;    /* those since it looked for notices */
  int64_t                  idle_ns; /* when it last had something to do */
  int                      rests;   /* since then */
  weir__failures           failures;
};

static inline weir__step *weir__step_of(weir__worker *w, int64_t ordinal) { return &w->step[ordinal % w->steps]; }

bool weir__worker_run_entry(void *worker, int thread, uint32_t entry); /* exec/task.c */
void weir__worker_fire(weir__worker *w, weir__step *s, int emitter,
                       int thread);      /* count down what waits for an emitter */
void weir__worker_wake(weir__worker *w); /* wake the owner; any thread */
void weir__worker_arm(weir__worker *w);  /* set all counters for the step that begins next, with none before it */
/* Is that the last one? Where there is one thread without an atomic exchange, which waits for all that was stored
 * before. */
static inline bool weir__worker_last(const weir__worker *w, _Atomic uint32_t *counter) {
  if (w->options.threads) return atomic_fetch_sub_explicit(counter, 1, memory_order_acq_rel) == 1;
  uint32_t left = atomic_load_explicit(counter, memory_order_relaxed) - 1;
  atomic_store_explicit(counter, left, memory_order_relaxed);
  return left == 0;
}
/* The first request of a step, and that of an outgoing message. */
static inline int weir__worker_request(const weir__worker *w, const weir__step *s) {
  return (int)(s->slot << w->message_bits);
}
static inline int weir__worker_request_out(const weir__worker *w, const weir__step *s, int message) {
  return weir__worker_request(w, s) + w->plan->messages_in + message;
}
int weir__worker_tag(const weir__worker *w, const weir__message *m, const weir__step *s);
/* A message has come for a step that has begun. */
weir_status weir__worker_arrived(weir__worker *w, weir__step *s, int message);
/* Start a send, and tell the receiver where it is a neighbour. The step (NULL: none waits for it) has one thing less to
 * wait for when it is over, which it may be at once. */
weir_status         weir__worker_send(weir__worker *w, weir__step *s, const weir__send *send);
static inline char *weir__worker_outgoing(const weir__step *s, const weir__message *m) { /* its memory in this step */
  return m->buffer + (m->claimed ? s->claimed_turn : s->slot) * m->stride;
}
static inline char *weir__worker_incoming(const weir__step *s, const weir__message *m) {
  return m->buffer + s->slot * m->stride;
}

/* ---- steps.c ---- */
weir_status weir__steps_create(weir__worker *w); /* collective */
weir_status weir__steps_begin(weir__worker *w, bool *some);
void        weir__steps_retire(weir__worker *w, bool *some);
weir_status weir__steps_end(weir__worker *w, bool *some);
weir_status weir__steps_leave(weir__worker *w); /* collective: no round is left open */
bool        weir__steps_again(const weir__worker *w);
void        weir__worker_limit(weir__worker *w, int64_t ordinal); /* no step from this ordinal on begins here */
void        weir__worker_halt(weir__worker *w, int64_t ordinal); /* nor from this one on, unless others have begun it */

/* ---- claims.c: which worker does a step ---- */
weir_status weir__claims_create(weir__worker *w); /* collective */
void        weir__claims_destroy(weir__worker *w);
weir_status weir__claims_begin(weir__worker *w); /* before the first step of the run: `begun` is known */
/* Is it known who does the step that begins next? Asks when this worker may claim another one. */
weir_status weir__claims_next(weir__worker *w, bool *known);
weir_status weir__claims_work(weir__worker *w, bool *some); /* the way of questions and answers */
int         weir__claims_window(const weir__worker *w);     /* steps whose messages must have tags of their own */
bool        weir__claims_polls(const weir__worker *w);      /* something may come that nobody rings for */

/* ---- neighbours.c: the other workers of this node ---- */
weir_status weir__neighbours_create(weir__worker *w); /* collective: the plan, claims and the relay are there */
void        weir__neighbours_destroy(weir__worker *w);
/* Of a process that is none they do nothing. */
void            weir__neighbours_tell(const weir__worker *w, int rank); /* a message has been sent to it */
void            weir__neighbours_ring(const weir__worker *w, int rank); /* something else is to be seen */
void            weir__neighbours_call(const weir__worker *w);           /* all: a notice has been sent */
bool            weir__neighbours_called(weir__worker *w);               /* a notice may be there in this turn */
void            weir__neighbours_listen(weir__worker *w); /* for a moment, or until one has sent a message */
void            weir__neighbours_heard(weir__worker *w);  /* a message has been received */
bool            weir__neighbours_silent(weir__worker *w); /* it is not worth asking MPI for messages in this turn */
bool            weir__neighbours_anywhere(const weir__worker *w);       /* the same everywhere: some worker has any */
weir__doorbell *weir__neighbours_bell(const weir__worker *w, int rank); /* NULL: it is none */

/* ---- mailbox.c: small messages from neighbours ---- */
weir_status weir__mailbox_create(weir__worker *w); /* collective: the neighbours are there */
void        weir__mailbox_destroy(weir__worker *w);
bool        weir__mailbox_brings(const weir__worker *w, int message); /* does the incoming message come this way? */
bool        weir__mailbox_takes(const weir__worker *w, int message);  /* and the outgoing one? */
/* False: there is no room in the receiver's, who will ring. */
bool        weir__mailbox_put(weir__worker *w, int message, const void *bytes, size_t size);
void        weir__mailbox_ring(weir__worker *w); /* to those who sleep, and have got messages since the last time */
weir_status weir__mailbox_empty(weir__worker *w, bool *some);    /* messages have arrived */
weir_status weir__mailbox_begin(weir__worker *w, weir__step *s); /* with what came before it */
bool        weir__mailbox_filled(void *worker);                  /* is there any that can be received now? */
bool        weir__mailbox_due(const weir__worker *w);            /* do steps wait for anything? */

/* ---- relay.c: steps for workers that serve no process ---- */
weir_status weir__relay_create(weir__worker *w); /* collective */
void        weir__relay_destroy(weir__worker *w);
int         weir__relay_followers(const weir__worker *w); /* workers that this one tells */
bool        weir__relay_follows(const weir__worker *w);   /* this one is told */
int         weir__relay_sponsor(const weir__worker *w);   /* by whom; -1: nobody */
weir_status weir__relay_announce(weir__worker *w, const weir__arrival *arrival, weir__step *s);
weir_status weir__relay_announce_end(weir__worker *w);
weir_status weir__relay_next(weir__worker *w, weir__arrival *arrival);
void        weir__relay_completed(weir__worker *w, int request);

/* ---- notices: what one worker tells all others out of order ---- */
void weir__worker_heed(weir__worker *w, const weir__notice *notice);

/* ---- sight.c: what others see of a worker ---- */
void weir__worker_trace_message(weir__worker *w, weir__trace_kind kind, int message, const weir__step *s,
                                int64_t began);
void weir__worker_note_retired(weir__worker *w, const weir__step *s, int64_t now);
/* A sign of life, about once a second: looks at the clock when there is nothing to do, and in one turn of 16. A
 * `*timeout` is cut short where the next beat is due earlier. */
void weir__worker_beat(weir__worker *w, bool idle, int64_t *timeout);
/* When something that is traced begins; 0 without a trace. */
static inline int64_t weir__worker_watch(const weir__worker *w) { return w->trace ? weir__clock_ns() : 0; }

/* ---- steer.c: what goes back to the simulation ---- */
/* In the order of steps, on every worker, after all deliveries of the step; any thread. NULL: nothing was decided. */
void weir__worker_decided(weir__worker *w, weir__step *s, const double *vector, int count);
/* `piece` is a number in plan->feedback; each in the order of steps; any thread. */
void weir__worker_deliver(weir__worker *w, weir__step *s, int piece, const weir_view *view);
/* What was decided in a step that is in flight or was the last one; -1: what held before. */
const double *weir__worker_decisions(const weir__worker *w, int64_t ordinal);

/* ---- intake, as the worker uses it ---- */
weir_status weir__intake_pieces(weir__intake *intake, const weir__graph *graph, const weir__local_piece **pieces,
                                int *count);
weir_status weir__intake_demand(weir__intake *intake, const weir__plan *plan, const weir__worker_options *options);
/* A step from all processes of this worker, whole or torn: WEIR_OK; nothing yet: WEIR_ERR_TIMEOUT without a message;
 * WEIR_END: the streams have ended here. */
weir_status weir__intake_next(weir__intake *intake, weir__arrival *arrival);
/* What was agreed on with others about the step that came last: whether it is torn, and stands for `more` further. */
void weir__intake_settle(weir__intake *intake, const weir__arrival *arrival);
bool weir__intake_lost(const weir__intake *intake); /* it ended because a process died, or gave up */
void weir__intake_pieces_of(weir__intake *intake, const weir__plan *plan, const weir__arrival *arrival,
                            const void **data);
void weir__intake_done(weir__intake *intake, uint64_t sequence);      /* its data are not looked at any more */
void weir__intake_acknowledge(weir__intake *intake, uint64_t before); /* all steps before: their places are free */
/* Steps up to number `step` are in a checkpoint: they are passed over, and nothing is decided for so many steps after
 * each of them. Before the first step. */
void weir__intake_skip(weir__intake *intake, int64_t step, int64_t ahead);
/* What a checkpoint keeps of steps that were lost; NULL: nothing. */
size_t      weir__intake_lost_bytes(const weir__intake *intake);
void        weir__intake_lost_save(const weir__intake *intake, char *bytes);
weir_status weir__intake_lost_load(weir__intake *intake, const char *bytes, size_t size);
/* The simulation went on from a later state than this worker: so many steps were not seen. */
void weir__intake_gap(weir__intake *intake, int64_t from, int64_t to, int64_t count);
/* The newest state that all processes here have saved, when every step they published was read; INT64_MAX: there are no
 * processes; INT64_MIN: none. */
int64_t weir__intake_saved(const weir__intake *intake);
/* What a checkpoint keeps of fields on their way back, for the steps from `sequence` on; NULL: nothing. Loaded for a
 * simulation that was started again, and given to it: WEIR_ERR_TIMEOUT, without a message, while it cannot take them.
 */
size_t      weir__intake_back_bytes(const weir__intake *intake);
void        weir__intake_back_save(const weir__intake *intake, uint64_t sequence, char *bytes);
weir_status weir__intake_back_load(weir__intake *intake, const char *bytes, size_t size);
weir_status weir__intake_back_give(weir__intake *intake);
/* What goes back: the regions that the processes here ask for; terms of the graph's feedback and decisions are posted
 * with the demands. WEIR_ERR_INPUT: a process asks for a field of other type or shape than the recipe computes. */
weir_status weir__intake_feedbacks(weir__intake *intake, const weir__graph *graph, const weir__local_feedback **list,
                                   int *count);
weir_status weir__intake_feedback(weir__intake *intake, const weir__local_feedback *local, uint64_t sequence,
                                  const weir_view *view);
weir_status weir__intake_change(weir__intake *intake, const weir__channel_change *change);
void        weir__intake_horizon(weir__intake *intake, uint64_t before);
int         weir__intake_slots(const weir__intake *intake);  /* of each channel; 0: this worker has none */
bool        weir__intake_hosted(const weir__intake *intake); /* in the simulation's process */
weir__doorbell *weir__intake_doorbell(weir__intake *intake);
const char     *weir__intake_stream(const weir__intake *intake);
int64_t         weir__intake_queued(const weir__intake *intake);   /* steps published and not read */
int             weir__intake_channels(const weir__intake *intake); /* 0: steps are announced by another worker */
int64_t         weir__intake_blocked_ns(const weir__intake *intake);
int64_t         weir__intake_bytes(const weir__intake *intake); /* copied out of the simulation so far */
void            weir__intake_counts(const weir__intake *intake, weir__worker_stats *stats);
#endif
