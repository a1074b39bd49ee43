/* The channel: node-local shared memory between one simulation process and one worker, as the worker sees it.
 *
 * Life of a channel, the worker's calls in brackets: the simulation process publishes its definitions [list, attach,
 * definitions]; the worker answers with what it wants of each piece [demand] or that it cannot [refuse]; the process
 * makes the data segment [map, when it returns WEIR_OK]; steps arrive [next, piece, done, acknowledge] until the end
 * [next says END], a disabled writer [next says LOST] or a dead one [alive]; [detach]. None of these calls ever waits.
 *
 * A step lies in its place until it is *acknowledged*: until its results are durable, or its effect is in a checkpoint.
 * A worker that dies leaves the channel as it is; another one attaches, posts the same demands, and reads on from the
 * first step that was not acknowledged. Meanwhile the process goes on as far as there is room.
 *
 * The other way go decisions (values of parameters, what is extracted) and fields, each for a given step. [change,
 * horizon, feedback]
 *
 * A worker sleeps on its doorbell, which all its processes and the other workers of the node may ring. */
#ifndef WEIR_CHANNEL_CHANNEL_H
#define WEIR_CHANNEL_CHANNEL_H
#include "field/field.h"
#include <weir/types.h>

typedef struct weir__channel  weir__channel;  /* the worker's end; ended by weir__channel_detach */
typedef struct weir__doorbell weir__doorbell; /* ended by weir__doorbell_destroy */

enum {
  WEIR__CHANNEL_SLOTS_MAX     = 512, /* steps in the ring */
  WEIR__CHANNEL_TRIGGERS_MAX  = 64,  /* a uint64_t holds one bit for each */
  WEIR__CHANNEL_NAME_MAX      = 63,  /* bytes of a stream's name */
  WEIR__DOORBELL_STREAMS_MAX  = 16,  /* streams of one worker */
  WEIR__CHANNEL_SLOTS_DEFAULT = 4,
  WEIR__CHANNEL_HELD_DEFAULT  = 4,
  WEIR__CHANNEL_HELD_MAX      = 64,
  WEIR__CHANNEL_LAG_MAX       = 1024, /* of a feedback field */
  WEIR__CHANNEL_PATH_MAX      = 255,  /* bytes of the spill directory */
  WEIR__CHANNEL_NODE_MAX      = 1024  /* processes of a stream on a node that leave out the same steps */
};

/* ---- definitions: what a process said before its first step ---- */

typedef struct weir__channel_field {
  const char     *name;
  weir_field_type type; /* its strings belong to the channel */
  bool            is_static;
} weir__channel_field;

typedef struct weir__channel_piece_of {
  int         field;  /* index in `field` */
  weir_region region; /* in global indices; may be empty */
} weir__channel_piece_of;

/* A parameter of the simulation, which decisions may change between its limits. */
typedef struct weir__channel_parameter {
  const char *name;
  double      value; /* at the start */
  double      least, most;
} weir__channel_parameter;

typedef struct weir__channel_definitions {
  const char                   *stream;
  int                           rank, size; /* of the process in the stream */
  const char                   *time_units; /* NULL: unknown */
  const char                   *calendar;   /* NULL: unknown */
  int64_t                       first_step; /* number of the first step begun, published or not */
  int                           fields, pieces;
  const weir__channel_field    *field;
  const weir__channel_piece_of *piece;
  /* what comes back */
  int                            parameters, feedbacks, feedback_pieces;
  const weir__channel_parameter *parameter;
  const weir__channel_field     *feedback;       /* fields that the process will get (never static) */
  const weir__channel_piece_of  *feedback_piece; /* the regions of them it wants; `field` is an index in `feedback` */
} weir__channel_definitions;

/* ---- finding and attaching ---- */

typedef struct weir__channel_entry {
  int     rank, size;
  int64_t pid;
  bool    alive; /* false: a file left behind by a process that was killed */
} weir__channel_entry;

/* The name of this host as it stands in the run directory. */
void weir__channel_host(char out[256]);

/* The processes of `stream` that have published on `host` (NULL: this one), in order of rank; `*list` (to be freed with
 * weir__free) is NULL when there are none. A directory that does not exist yet is an empty one. */
weir_status weir__channel_list(const char *run_dir, const char *stream, const char *host, weir__channel_entry **list,
                               int *count);
/* The names of all streams published on `host`, each once, sorted; free with weir__free (one block). */
weir_status weir__channel_streams(const char *run_dir, const char *host, char ***names, int *count);

/* Open the channel of one process of this host and read its definitions. Several workers may attach and read; only one
 * may post demands.
 * WEIR_ERR_GONE: the process has ended; WEIR_ERR_INPUT: another version of weir, or damaged; WEIR_ERR_IO: no access. */
weir_status weir__channel_attach(const char *run_dir, const char *stream, int rank, weir__channel **channel);

/* Belongs to the channel, valid until detach. */
const weir__channel_definitions *weir__channel_definitions_of(const weir__channel *channel);

/* ---- demands ---- */

/* A condition on (step, time); the same on both sides. Same meaning as weir__trigger of the graph. */
typedef struct weir__channel_trigger {
  int64_t period, phase; /* fires when step mod period == phase (mod is never negative); 0: not by step */
  double  interval;      /* > 0: fires at the first step and at each that reaches another multiple of it */
} weir__channel_trigger;

/* `previous`: physical time of the simulation's step before this one, published or not; NaN: none. */
bool weir__channel_trigger_fires(const weir__channel_trigger *trigger, int64_t step, double time, double previous);

/* What is wanted of a piece: in a step, the hull of the regions whose triggers fire. */
typedef struct weir__channel_want {
  uint64_t    triggers; /* bit t: in steps in which trigger t fires. Static fields: any bit; copied once */
  weir_region region;   /* inside the piece, not empty */
} weir__channel_want;

typedef struct weir__channel_demand {
  int                       wants; /* 0: nothing of this piece */
  const weir__channel_want *want;
} weir__channel_demand;

/* What a writer does when there is no free slot for a step. */
typedef enum weir__channel_policy {
  WEIR__POLICY_BLOCK,       /* wait; after the time-out, the fallback */
  WEIR__POLICY_DROP_NEWEST, /* leave this step out. The processes of a node leave out the same steps (`node` of the
                               terms), those of other nodes others: workers discard a step that not all published */
  WEIR__POLICY_DROP_OLDEST, /* take the place of the oldest step that no worker has begun to read; alike, too */
  WEIR__POLICY_SPILL        /* write the step to the spill file; when that is full: wait, then the fallback */
} weir__channel_policy;

typedef enum weir__channel_fallback {
  WEIR__FALLBACK_STOP, /* go on without analysis */
  WEIR__FALLBACK_DROP  /* as DROP_NEWEST, until there is a slot again */
} weir__channel_fallback;

/* What a process finds when it asks for a field that has not come yet. */
typedef enum weir__channel_late { WEIR__LATE_HOLD, WEIR__LATE_ZERO, WEIR__LATE_WAIT } weir__channel_late;

typedef struct weir__channel_feedback {
  bool               given; /* false: this run has no such field; the process gets nothing */
  int64_t            lag;   /* computed from the published step so many before; at least 1 */
  weir__channel_late when_late;
  int64_t            timeout_ns; /* of WAIT; 0: that of the terms */
} weir__channel_feedback;

/* Where a process stands among those of its stream on this node, so that under DROP_NEWEST and DROP_OLDEST all of them
 * leave out the same steps; more than WEIR__CHANNEL_NODE_MAX do not. The same for all workers of the node but
 * `process`.
 */
typedef struct weir__channel_node {
  int first_rank; /* of the process in whose memory they meet */
  int processes;  /* 0, 1: it decides alone */
  int process;    /* of them, from 0 */
} weir__channel_node;

typedef struct weir__channel_terms {
  int                    slots;      /* steps in shared memory; 0: WEIR__CHANNEL_SLOTS_DEFAULT */
  int                    held;       /* spilled steps that the worker reads at once; 0: 4 */
  int64_t                timeout_ns; /* how long a writer waits for a slot before it gives up; 0: 600 s */
  weir__channel_policy   policy;
  weir__channel_fallback fallback;
  uint64_t               spill_bytes;     /* bound of the spill file of this process */
  const char            *spill_directory; /* for SPILL: exists; at most 255 bytes */
  bool                   supervised;      /* a worker that dies is replaced: a process waits for the new one, up
                                             to the time-out or until the channel is abandoned, and does not end
                                             before all its steps are acknowledged */
  const weir__channel_trigger *trigger;   /* a step is published when any of them fires, and only then. The same list
                                             for all processes of a stream: their sequence numbers must agree */
  int  triggers;
  bool in_place; /* the worker is a part of the process: instead of the elements of a piece that is not static, a step
                    holds the address of the whole piece, which stays as it is until the step is acknowledged. Without
                    spill */
  bool                          steering; /* a process begins step `sequence` only below the horizon */
  const weir__channel_feedback *feedback; /* one per feedback field of the definitions */
  weir__channel_node            node;
  weir__doorbell               *doorbell; /* of this worker */
  int                           door;     /* number of this stream at the doorbell, as in weir__doorbell_expect */
} weir__channel_terms;

/* Post what is wanted, one demand per piece in the order of the definitions, and say ready. Once per channel; after
 * the death of a worker that had posted them, once more by another, which must want the same on the same terms (only
 * the doorbell differs): it goes on with the first step not acknowledged.
 * WEIR_ERR_STATE: demands were posted already by a worker that lives (a mistake in who serves whom), or other ones. */
weir_status weir__channel_demand_post(weir__channel *channel, const weir__channel_demand *demand,
                                      const weir__channel_terms *terms);
/* Has no worker let the process begin its first step yet? None has posted demands; or one died before it moved the
 * horizon of a process that is steered. */
bool weir__channel_fresh(const weir__channel *channel);
/* Was the channel taken over from a worker that died? Then the doorbell rings at every arrival. */
bool weir__channel_taken_over(const weir__channel *channel);
/* Instead of demands: the process goes on without analysis, and weir_stream_error() there gives `message`. */
weir_status weir__channel_refuse(weir__channel *channel, const char *message);
/* By the supervisor: no worker will come (any more). The process goes on without analysis; `message` says why. Does
 * nothing to a channel with a living worker. */
void weir__channel_abandon(weir__channel *channel, const char *message);

/* Map the data segment. WEIR_END: the process has not made it yet (it rings the doorbell when it has); WEIR_OK: mapped
 * (also when it was already); WEIR_ERR_GONE: the process could not make it, or has ended: the message says why. */
weir_status weir__channel_map(weir__channel *channel);

/* ---- steps ---- */

#define WEIR__CHANNEL_UNSAVED INT64_MIN

typedef enum weir__channel_event {
  WEIR__CHANNEL_NOTHING, /* no unread step now; or only a spilled one, while as many as may be held are not done */
  WEIR__CHANNEL_STEP,    /* a step was read */
  WEIR__CHANNEL_END,     /* the stream was closed and all steps were read */
  WEIR__CHANNEL_LOST     /* the writer gave up (time-out, no memory) and all steps were read, or the log is damaged:
                            weir__channel_message */
} weir__channel_event;

typedef struct weir__channel_record {
  uint64_t    sequence; /* 0, 1, 2 ...: the same step in all channels of a stream */
  int64_t     step;     /* the simulation's number */
  double      time;
  uint64_t    fired;     /* bit t: trigger t fired */
  bool        tombstone; /* a wanted piece was not put, or wrongly, or the step was dropped: discard it everywhere */
  bool        dropped;   /* for want of room */
  bool        spilled;   /* it comes from the spill file */
  const char *why;       /* of a tombstone; valid until it is acknowledged */
  uint64_t    more;      /* of a tombstone: it stands for so many further steps, up to number `last_step` and sequence
                            number sequence + more (a long time without a worker). One that was read may grow as long
                            as it is the last; then comes another record, with the number of its last step */
  int64_t last_step;
  int64_t saved;      /* the simulation wrote a file between the step before and this one, from which it can go on after
                         this step number; WEIR__CHANNEL_UNSAVED: it did not */
  int64_t blocked_ns; /* how long the process waited for this slot */
} weir__channel_record;

/* The next step not read yet. Never waits (but for the disk, when it was spilled). The step stays where it is until
 * it is acknowledged. */
weir__channel_event weir__channel_next(weir__channel *channel, weir__channel_record *record);

/* A piece in a step that was read and is not done: a dense view of the hull of all its wants, in which the hull of
 * those whose triggers fired was written. Static fields: valid once any step was read, until detach; `sequence` is
 * ignored. `view->data` is NULL (and `missing` set) when the piece is not in that step: not wanted then, or a
 * tombstone. In place: of the whole piece. */
weir_status weir__channel_piece(const weir__channel *channel, uint64_t sequence, int piece, weir_view *view);

/* Where the data of such a piece are, or of `count` that were defined one after another, are not static, and whose
 * hulls follow each other along the first axis, as one box: NULL when any is not in the step, or they do not lie in
 * `bytes`, or in place. */
const void *weir__channel_pieces(const weir__channel *channel, uint64_t sequence, int piece, int count, size_t bytes);

/* This worker has read enough of the step; its place stays as it is until it is acknowledged. In any order. */
void weir__channel_done(weir__channel *channel, uint64_t sequence);
/* All steps with sequence numbers below `before` are acknowledged: their places are free; wakes a writer that waits for
 * one. Call it only for steps that have arrived from all processes (or one of them is lost). Never goes back. */
void weir__channel_acknowledge(weir__channel *channel, uint64_t before);
/* The first sequence number not acknowledged when this worker attached; what `next` gives first. */
uint64_t weir__channel_first(const weir__channel *channel);
/* Read again from the first step that is not acknowledged. */
void weir__channel_rewind(weir__channel *channel);

/* ---- the way back ---- */

typedef enum weir__channel_change_kind {
  WEIR__CHANGE_PARAMETER, /* value[0] for parameter `index` of the definitions */
  WEIR__CHANGE_TRIGGER    /* period, phase, interval for trigger `index` of the terms (all 0: it never fires) */
} weir__channel_change_kind;

typedef struct weir__channel_change {
  uint64_t number;                    /* counts all changes of a run, whichever is the first in this channel; one posted
                                         before is ignored (a replay) */
  uint64_t                  sequence; /* takes effect when the step of this sequence number begins */
  weir__channel_change_kind kind;
  int32_t                   index;
  double                    value[3];
} weir__channel_change;

/* WEIR_ERR_OVERFLOW: more changes than a process can remember between two of its steps (1024). */
weir_status weir__channel_change_post(weir__channel *channel, const weir__channel_change *change);
/* All changes for steps below `before` have been posted, and all fields for them written. Any thread. */
void weir__channel_horizon(weir__channel *channel, uint64_t before);
/* A feedback piece for the step of `sequence`: a view of its region (any strides); `missing`: no value for that step.
 * Any thread, one call at a time for one piece. Before the horizon passes `sequence`. */
weir_status weir__channel_feedback_write(weir__channel *channel, int feedback_piece, uint64_t sequence,
                                         const weir_view *view);

/* Fields that were written for the steps from `sequence` on, for another simulation that begins with that one: so many
 * bytes, filled while nobody writes; and written again, for the steps from sequence number 0 on, once it is mapped.
 * WEIR_ERR_INPUT: `bytes` are of other pieces, which `check` tells as soon as the demands are posted. */
size_t      weir__channel_feedback_bytes(const weir__channel *channel);
void        weir__channel_feedback_keep(const weir__channel *channel, uint64_t sequence, char *bytes);
weir_status weir__channel_feedback_check(const weir__channel *channel, const char *bytes);
weir_status weir__channel_feedback_repeat(weir__channel *channel, const char *bytes);

/* The newest step from after which the process said that the simulation can go on; WEIR__CHANNEL_UNSAVED: none. */
int64_t weir__channel_saved(const weir__channel *channel);

/* Is the process still there? Reads /proc (about 10 us): for now and then, not for every step. A process that has
 * closed the stream may live or not. */
bool weir__channel_alive(const weir__channel *channel);
/* Why the writer gave up; "" when it did not. Valid until detach. */
const char *weir__channel_message(const weir__channel *channel);

typedef struct weir__channel_stats {
  uint64_t published;    /* steps */
  uint64_t acknowledged; /* steps */
  uint64_t dropped, spilled;
  uint64_t bytes;         /* copied into slots */
  int64_t  blocked_ns;    /* waited for slots */
  int64_t  copying_ns;    /* in copies, and writing to the spill file */
  size_t   segment_bytes; /* of shared memory */
} weir__channel_stats;
void weir__channel_stats_get(const weir__channel *channel, weir__channel_stats *stats);

/* The analysis is complete: when the worker leaves, a process that has more steps hears of an end, not of a failure. */
void weir__channel_complete(weir__channel *channel);
/* Leave for good: a writer that waits, or comes to wait, goes on without analysis. Sets `*channel` to NULL; NULL is
 * fine. (A worker that dies does not come here.) */
void weir__channel_detach(weir__channel **channel);

/* As if this worker had died: the channel is left as it is, for another one. Sets `*channel` to NULL. */
void weir__channel_forget(weir__channel **channel);

/* Execute the invariants of the ring (for tests and debug builds): WEIR_ERR_INTERNAL and what is wrong. */
weir_status weir__channel_check(const weir__channel *channel);

/* ---- doorbell ---- */

/* The doorbell of this worker. */
weir_status weir__doorbell_create(weir__doorbell **doorbell);
/* Its descriptor in this process, by which others of this host open it. */
void weir__doorbell_location(const weir__doorbell *doorbell, int *fd);
/* Open that of another worker of this host, to ring it. WEIR_ERR_GONE: there is no such process. */
weir_status weir__doorbell_open_peer(int64_t pid, int fd, weir__doorbell **doorbell);
/* Say how many processes of stream number `door` (from 0) this worker serves, before any demand is posted for it. */
weir_status weir__doorbell_expect(weir__doorbell *doorbell, int door, int processes);

/* How many processes of the stream have published `sequence` so far, for a sequence not yet acknowledged. When it
 * reaches the number expected, the last of them has rung. It counts too many when a process is 1024 steps ahead of
 * another (tombstones), and too few once a channel was taken over: what `next` says counts. */
int weir__doorbell_arrived(const weir__doorbell *doorbell, int door, uint64_t sequence);

/* Wake whoever waits; costs a system call only if someone does. Any thread, any process. */
void weir__doorbell_ring(weir__doorbell *doorbell);
/* The same, only if someone sleeps: for what is looked at besides the bell (weir__doorbell_wait_or). Between having put
 * it there and this call stands a fence. */
void weir__doorbell_rouse(weir__doorbell *doorbell);
/* Ring another worker's, to which a message has been sent, or a notice to all; and how many of these it has been told
 * of so far, modulo 2^32. */
typedef enum weir__news { WEIR__NEWS_MESSAGE, WEIR__NEWS_NOTICE, WEIR__NEWS } weir__news;
void     weir__doorbell_tell(weir__doorbell *peer, weir__news news);
uint32_t weir__doorbell_told(const weir__doorbell *doorbell, weir__news news);

/* Wait until the bell has rung since `*seen` (0 at first) was set by the last call, or `timeout_ns` have passed
 * (negative: for ever; 0: only look). True: it has rung. Look at everything after a ring: one ring may stand for many.
 * Polls until 50 us after the last event, then sleeps. Several threads may wait, each with its own `seen`. */
bool weir__doorbell_wait(weir__doorbell *doorbell, uint32_t *seen, int64_t timeout_ns);
/* Wait no longer than until `look(self)` is true, which is asked again once this is known to sleep. */
bool weir__doorbell_wait_or(weir__doorbell *doorbell, uint32_t *seen, int64_t timeout_ns, bool (*look)(void *self),
                            void *self);

void weir__doorbell_destroy(weir__doorbell **doorbell);
#endif
