/* What lies in the shared memory of a channel. Private to src/channel; both ends include it.
 *
 *   control segment (made by the process before its first step)      data segment (made by the process after the
 * demands)
 *   +--------------------------------------------+                   +--------------------------------------------+
 *   | header, who the process is                 |                   | header, geometry                           |
 *   | answer of the worker: terms, triggers      |                   | log:      one entry per step or tombstone  |
 *   | state of the process, message              |                   | statics:  demanded regions, written once   |
 *   | ring control: published, released, figures |                   | feedback: buffers for fields coming back   |
 *   | changes and horizon of steering            |                   | slot 0:   present[], regions               |
 *   | demands, packed                            |                   | slot 1:   ...                              |
 *   | definitions, packed                        |                   | ...                                        |
 *   +--------------------------------------------+                   +--------------------------------------------+
 *
 * Everything that is not _Atomic has one writer, and is written before the atomic that announces it (`answer`, `state`,
 * `published`, `released`) is stored with release and read after that atomic was loaded with acquire.
 *
 * Neither end trusts the other: what it takes from here is copied once and checked before it is used. */
#ifndef WEIR_CHANNEL_SEGMENT_H
#define WEIR_CHANNEL_SEGMENT_H
#include "channel/channel.h"
#include "channel/shared.h"
#include "core/text.h"

#define WEIR__CONTROL_MAGIC UINT64_C(0x314c525443524957) /* "WIRCTRL1" */
#define WEIR__DATA_MAGIC    UINT64_C(0x3141544144524957) /* "WIRDATA1" */
#define WEIR__DOOR_MAGIC    UINT64_C(0x31524f4f44524957) /* "WIRDOOR1" */

enum { WEIR__LINE = 64, WEIR__PAGE = 4096, WEIR__MESSAGE_MAX = 512, WEIR__WHY_MAX = 160, WEIR__CHANGES_MAX = 1024 };

/* ---- the answer of a worker ---- */

/* NONE -> READY -> (READY of the next worker ...) -> LEFT or ENDED; or to REFUSED or ABANDONED from NONE, and from a
 * READY whose worker has died. */
enum weir__answer {
  WEIR__ANSWER_NONE,
  WEIR__ANSWER_READY,
  WEIR__ANSWER_REFUSED,
  WEIR__ANSWER_LEFT,  /* the analysis broke off */
  WEIR__ANSWER_ENDED, /* the analysis is complete: other processes have closed their stream, or a rule ended the run */
  WEIR__ANSWER_ABANDONED
};
/* The word in the segment: which worker it is, counted from 1, and what it says. */
static inline uint32_t weir__answer_word(uint32_t epoch, enum weir__answer state) { return epoch << 8 | state; }
static inline uint32_t weir__answer_epoch(uint32_t word) { return word >> 8; }
static inline uint32_t weir__answer_state(uint32_t word) { return word & 255; }

/* A process in one word, pid and time of its start: whoever swaps himself in for 0, or for a process that is dead, has
 * the channel. (Linux: pids are below 2^22; 42 bits of clock ticks are 1400 years.) */
static inline uint64_t weir__holder_word(int64_t pid, int64_t start) { return (uint64_t)start << 22 | (uint64_t)pid; }
static inline int64_t  weir__holder_pid(uint64_t word) { return (int64_t)(word & ((1u << 22) - 1)); }
static inline bool     weir__holder_alive(uint64_t word) {
      return word && weir__process_alive(weir__holder_pid(word), (int64_t)(word >> 22));
}

/* Compared as bytes by a worker that takes over: no holes, and zeros where nothing is said. */
typedef struct weir__terms {
  int64_t               timeout_ns;
  uint64_t              spill_bytes;
  int32_t               slots, held, policy, fallback, supervised, triggers, steering, in_place;
  weir__channel_trigger trigger[WEIR__CHANNEL_TRIGGERS_MAX];
  char                  spill_directory[WEIR__CHANNEL_PATH_MAX + 1];
} weir__terms;

/* ---- the ledger of a node (ledger.c) ---- */

typedef struct weir__ledger {
  _Alignas(WEIR__LINE) _Atomic uint64_t decided;
  _Alignas(WEIR__LINE) _Atomic uint64_t place[WEIR__CHANNEL_SLOTS_MAX];
  _Alignas(WEIR__LINE) _Atomic uint64_t acknowledged[WEIR__CHANNEL_NODE_MAX]; /* by the workers; per process */
} weir__ledger;

/* ---- the control segment ---- */

enum weir__state { /* of the process: OPEN -> MAPPED -> CLOSED, or to LOST from OPEN or MAPPED */
                   WEIR__STATE_OPEN,
                   WEIR__STATE_MAPPED,
                   WEIR__STATE_CLOSED,
                   WEIR__STATE_LOST
};

typedef struct weir__change {
  uint64_t number, sequence;
  int32_t  kind, index;
  double   value[3];
} weir__change;

typedef struct weir__control {
  weir__shared_header header;
  /* by the process, constant once published */
  int64_t  pid, start;
  int32_t  pieces, triggers_max;
  uint64_t demands_at, demands_room, definitions_at, definitions_bytes;

  /* by the worker that holds the channel: the terms constant once `answer` was READY, the door for one epoch, the
   * refusal once REFUSED or ABANDONED */
  _Alignas(WEIR__LINE) _Atomic uint32_t answer; /* futex: the process waits on it */
  _Atomic uint64_t holder;
  _Atomic int32_t  door_fd, door;
  _Atomic int64_t  ledger_pid; /* whose control segment holds the ledger to go by; 0: none */
  _Atomic int32_t  ledger_fd, ledger_processes;
  uint64_t         demands_bytes;
  weir__terms      terms;
  char             refusal[WEIR__MESSAGE_MAX];

  /* by the process; descriptors constant once MAPPED, message once LOST */
  _Alignas(WEIR__LINE) _Atomic uint32_t state;
  int32_t data_fd, spill_fd; /* -1: no spill file */
  char    message[WEIR__MESSAGE_MAX];

  /* ring control, by the process ... */
  _Alignas(WEIR__LINE) _Atomic uint64_t published; /* entries of the log */
  _Atomic uint64_t steps;                          /* sequence numbers given so far */
  _Atomic uint64_t dropped, spilled, bytes;
  _Atomic int64_t  blocked_ns, copying_ns;
  _Atomic int64_t  saved; /* the newest step from after which the simulation can go on; WEIR__CHANNEL_UNSAVED: none */
  /* ... and by the worker */
  _Alignas(WEIR__LINE) _Atomic uint64_t released; /* entries of the log that the process may use again */
  _Atomic uint64_t acknowledged;                  /* sequence numbers below it are */
  _Atomic uint32_t turn;                          /* futex: bit 0: the process sleeps; the rest counts */
  _Atomic uint32_t mapped;                        /* futex: the epoch of the worker that has mapped the data segment */
  _Atomic uint64_t dropped_unread;                /* of `dropped`, those that the worker found in the ledger */

  /* the way back, by the worker; a change is constant from when it is counted until `changes_taken` has passed it */
  _Alignas(WEIR__LINE) _Atomic uint64_t changes_posted;
  _Atomic uint64_t horizon;      /* what is decided for steps below it has been posted */
  _Atomic uint32_t horizon_turn; /* futex, as `turn` */
  weir__change     change[WEIR__CHANGES_MAX];
  _Alignas(WEIR__LINE) _Atomic uint64_t changes_taken; /* by the process */

  weir__ledger ledger; /* by all processes of the node and their workers, if this is the first process there */
} weir__control;

/* All but the size of the segments. */
void weir__control_stats(const weir__control *control, weir__channel_stats *stats);

/* One writer, so a plain sum; atomic because the worker reads it at any time. */
static inline void weir__control_blocked(weir__control *control, int64_t blocked_ns) {
  int64_t total = atomic_load_explicit(&control->blocked_ns, memory_order_relaxed);
  atomic_store_explicit(&control->blocked_ns, total + blocked_ns, memory_order_relaxed);
}

/* ---- the data segment ---- */

typedef struct weir__data {
  weir__shared_header header;
  uint64_t            slots, spill_places, log_entries, log_at, statics_at, feedback_at, slots_at, slot_bytes;
} weir__data;

enum weir__entry_state { /* of a step: READY -> TAKEN by the reader, or READY -> DROPPED by the writer */
                         WEIR__ENTRY_READY,
                         WEIR__ENTRY_TAKEN,
                         WEIR__ENTRY_DROPPED
};
enum {
  WEIR__ENTRY_TOMBSTONE = 1,
  WEIR__ENTRY_LEFT_OUT  = 2, /* a tombstone for want of room */
  WEIR__ENTRY_ALIKE     = 4  /* a step that has its place by the ledger */
};
enum { WEIR__PLACE_NONE = -1 }; /* places are counted through: the slots first, then those of the spill file */

typedef struct weir__entry {
  /* what there is of a step: one line that goes from one core to the other */
  _Alignas(WEIR__LINE) uint64_t sequence;
  int64_t          step;
  double           time;
  uint64_t         fired;
  int64_t          blocked_ns;
  _Atomic int64_t  saved; /* see weir__channel_record */
  int32_t          place;
  uint32_t         flags;
  _Atomic uint32_t state;
  /* Of a tombstone, which may grow as long as it is the last entry: so many further steps; and the number of the last
   * of them in element more % 2, so that a reader sees both as they belong together, or that they changed. */
  _Alignas(WEIR__LINE) _Atomic uint64_t more;
  _Atomic int64_t last_step[2];
  char            why[WEIR__WHY_MAX];
} weir__entry;

typedef struct weir__feedback_buffer {       /* its elements follow */
  _Alignas(WEIR__LINE) _Atomic uint64_t tag; /* see feedback.c */
} weir__feedback_buffer;

/* ---- demands in their simplest form, and as bytes (demands.c) ---- */

typedef struct weir__demands {
  const weir__channel_demand   *piece;    /* one per piece: at most one want for each trigger */
  const weir__channel_feedback *feedback; /* one per feedback field */
} weir__demands;

/* Make `hull` contain the region as well; neither is empty. */
void weir__hull_extend(weir_region *hull, const weir_region *region);
/* Bytes that the demands on these pieces may need. */
weir_status weir__demands_room(const weir__channel_definitions *definitions, size_t *bytes);
/* Check and simplify. Into the arena. WEIR_ERR_ARGUMENT: a demand outside its piece. */
weir_status weir__demands_simplify(const weir__channel_definitions *definitions, const weir__channel_demand *demand,
                                   const weir__channel_feedback *feedback, weir__arena *arena, weir__demands *demands);
weir_status weir__demands_pack(const weir__channel_definitions *definitions, const weir__demands *demands,
                               weir__text *bytes);
/* WEIR_ERR_INPUT: damaged. */
weir_status weir__demands_unpack(const weir__channel_definitions *definitions, const char *bytes, size_t length,
                                 weir__arena *arena, weir__demands *demands);
/* As the worker gives them, with the defaults filled in. WEIR_ERR_ARGUMENT. */
weir_status weir__terms_make(const weir__channel_terms *given, weir__terms *terms);
/* Is everything in its limits? `code` otherwise. */
weir_status weir__terms_check(weir_status code, const weir__terms *terms);

/* ---- layout of the data segment: the same function on both sides (layout.c) ---- */

typedef struct weir__layout_piece {
  bool                      wanted, is_static;
  int                       wants;
  const weir__channel_want *want;   /* belongs to the demands */
  weir_region               region; /* hull of the wants */
  uint64_t                  triggers;
  size_t                    at, bytes; /* from the start of the slot, or of the segment when static */
} weir__layout_piece;

enum { WEIR__FEEDBACK_BEYOND_LAG = 2 }; /* buffers of a piece, above its lag */
typedef struct weir__layout_feedback {
  bool   given;
  int    depth;             /* buffers */
  size_t at, stride, bytes; /* of buffer 0; from one to the next; of the elements behind the head of each */
} weir__layout_feedback;

typedef struct weir__layout {
  int                    slots, spill_places, pieces;
  size_t                 log_entries, log_at, statics_at, feedback_at, slots_at, slot_bytes, place_bytes, total;
  weir__layout_piece    *piece;    /* owned */
  weir__layout_feedback *feedback; /* owned; one per feedback piece */
} weir__layout;

/* The demands must outlive the layout. WEIR_ERR_OVERFLOW: more than memory can hold. */
weir_status weir__layout_create(const weir__channel_definitions *definitions, const weir__demands *demands,
                                const weir__terms *terms, weir__layout *layout);
void        weir__layout_clear(weir__layout *layout);

static inline void        *weir__at(const void *segment, size_t offset) { return (char *)(uintptr_t)segment + offset; }
static inline weir__entry *weir__log_entry(const weir__data *data, const weir__layout *layout, uint64_t number) {
  return (weir__entry *)weir__at(data, layout->log_at) + number % layout->log_entries;
}
static inline void *weir__slot_at(const weir__data *data, const weir__layout *layout, int slot) {
  return weir__at(data, layout->slots_at + layout->slot_bytes * (size_t)slot);
}

/* ---- definitions as bytes (definitions.c) ---- */

weir_status weir__definitions_pack(const weir__channel_definitions *definitions, weir__text *bytes);
/* Everything in `definitions` lives in the arena. WEIR_ERR_INPUT: damaged. */
weir_status weir__definitions_unpack(const char *bytes, size_t length, weir__arena *arena,
                                     weir__channel_definitions *definitions);

/* ---- the bell as the processes see it (doorbell.c) ---- */

typedef struct weir__door weir__door;
weir_status               weir__door_open(int64_t pid, int fd, weir__door **door);
void                      weir__door_close(weir__door **door);
bool                      weir__door_ring(weir__door *door); /* true: the worker slept, and is woken */
/* A step begins: wake a worker that sleeps on another core while this one puts its fields, so that it is awake when
 * they are there. True: it is woken. */
bool weir__door_alert(weir__door *door, int stream);
/* The step is there; ring, if this may be the last process. True: the worker slept, and is woken. */
bool weir__door_arrive(weir__door *door, int stream, uint64_t sequence);
void weir__doorbell_every(weir__doorbell *doorbell, int door); /* from now on every arrival rings */

/* ---- the ledger as processes and workers see it (ledger.c) ---- */

typedef struct weir__ledger_view {
  weir__control *control; /* that holds it; mapped */
  size_t         control_bytes;
  weir__ledger  *ledger; /* there; NULL: none, a process decides alone */
  int            slots, processes;
  bool           oldest;  /* the oldest are dropped */
  uint64_t       settled; /* steps below were acknowledged everywhere when last looked */
} weir__ledger_view;

/* Open the one in that control segment; the other members are the caller's. */
weir_status weir__ledger_open(weir__ledger_view *view, int64_t pid, int fd);
void        weir__ledger_close(weir__ledger_view *view);
/* The place of a step, alike in all processes; WEIR__PLACE_NONE: it is left out. Whoever comes first decides; without
 * `room` of his own: against it, and a step that another has decided is not dropped later. Never waits. */
int weir__ledger_take(weir__ledger_view *view, uint64_t sequence, bool room);
/* By the worker, before it reads the step in any channel: it is not dropped any more; false: it was. */
bool weir__ledger_read(const weir__ledger_view *view, uint64_t sequence);
/* By the worker: the places of all steps below are free in the channel of that process. */
void weir__ledger_acknowledge(const weir__ledger_view *view, int process, uint64_t before);

/* ---- the spill file of a process (spill.c) ---- */

typedef struct weir__spill {
  int    fd;                         /* -1: none */
  int    places, reserved;           /* the bound; those with space on the disk */
  size_t place_bytes;                /* whole pages */
  void  *staging;                    /* owned; a slot in private memory, while a step is written */
  char   message[WEIR__MESSAGE_MAX]; /* why nothing is spilled any more; "" */
} weir__spill;

weir_status weir__spill_open(const char *directory, const weir__layout *layout, weir__spill *spill);
/* Space for one more place; false: the bound is reached, or the disk is full, or spilling has ended. */
bool weir__spill_reserve(weir__spill *spill);
/* Write what is present of the staged step. A failure ends spilling. */
weir_status weir__spill_write(weir__spill *spill, const weir__layout *layout, int place, const uint8_t *present);
/* The worker's end: read it into `memory` of one slot. */
weir_status weir__spill_read(int fd, const weir__layout *layout, int place, void *memory);
void        weir__spill_close(weir__spill *spill);

/* ---- the writer's side of the ring (ring.c) ---- */

typedef struct weir__ring {
  weir__control      *control;
  weir__data         *data;
  const weir__layout *layout;
  const weir__terms  *terms; /* private copy */
  weir__spill        *spill;
  weir__ledger_view   ledger;
  uint64_t            published, released; /* entries; `released` as last seen */
  uint64_t            undroppable;         /* no entry below can be dropped */
  uint64_t           *last;                /* owned; per place, the entry that held it last, + 1; 0: none */
  int                 next_slot, next_spill;
  bool                buried;   /* the last entry is a tombstone */
  bool                dropping; /* after a time-out, until there is a slot again */
  bool                pressed;  /* there was no free slot when one was last looked for */
  int64_t             looked_ns;
} weir__ring;

weir_status weir__ring_create(weir__control *control, weir__data *data, const weir__layout *layout,
                              const weir__terms *terms, weir__spill *spill, weir__ring *ring);
void        weir__ring_clear(weir__ring *ring);
/* Where the step of `sequence` goes; waits as the policy says. WEIR__PLACE_NONE: it is left out. WEIR_ERR_TIMEOUT,
 * WEIR_ERR_GONE: no analysis any more. */
weir_status weir__ring_claim(weir__ring *ring, uint64_t sequence, int *place, int64_t *blocked_ns);
/* Make a step visible (its place filled), or a tombstone (without a place). */
void weir__ring_publish(weir__ring *ring, const weir__entry *entry);
/* Does a worker serve this channel? WEIR_END: it has ended in order; WEIR_ERR_GONE: it has left, or died and will not
 * be replaced. */
weir_status weir__ring_look(weir__ring *ring);
/* Sleep until the worker has added to the word, or `timeout_ns` have passed; `seen` was loaded from it before whatever
 * the caller waits for was looked at. */
void weir__turn_sleep(_Atomic uint32_t *turn, uint32_t seen, int64_t timeout_ns);
/* By the worker: wake the process if it sleeps. */
void weir__turn_wake(_Atomic uint32_t *turn);

/* ---- the process's side of the way back (feedback.c) ---- */

typedef struct weir__back {
  weir__control                   *control;
  weir__data                      *data;
  const weir__layout              *layout;
  const weir__channel_definitions *definitions;
  const weir__channel_feedback    *feedback; /* one per feedback field */
  weir__terms                     *terms;    /* private copy, whose triggers change */
  weir__ring                      *ring;     /* to look whether the worker lives */
  double                          *value;    /* owned; of the parameters, now */
  uint64_t                         taken;    /* all changes below have been applied ... */
  uint8_t                         *applied;  /* owned; ... and of those from there on some */
  uint64_t                         number;   /* of the first change, once there was one */
  bool                             number_known;
  bool                             adrift; /* after a time-out, until the horizon is ahead again */
} weir__back;

/* The parameters have the values of the definitions from here on. */
weir_status weir__back_create(weir__control *control, const weir__channel_definitions *definitions, weir__back *back);
void        weir__back_clear(weir__back *back);
/* Wait until the step of `sequence` is below the horizon, then apply the changes up to it. `*left_out`: it is to be
 * left out, as there was no decision in time. WEIR_ERR_TIMEOUT, WEIR_ERR_GONE, WEIR_ERR_INPUT: no analysis any more. */
weir_status weir__back_begin(weir__back *back, uint64_t sequence, bool *left_out, int64_t *blocked_ns);
/* As weir__writer_feedback, in the step of `sequence`. */
weir_status weir__back_read(weir__back *back, int piece, uint64_t sequence, const weir_view *to, int64_t *blocked_ns);
/* Is there anything to be done before a step of this number is published? */
static inline bool weir__back_engaged(const weir__back *back) {
  return back->terms->steering ||
         atomic_load_explicit(&back->control->changes_posted, memory_order_relaxed) != back->taken;
}
#endif
