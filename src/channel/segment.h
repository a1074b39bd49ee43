/* What lies in the shared memory of a channel. Private to src/channel; both ends include it.
 *
 *   control segment (made by the process before its first step)      data segment (made by the process after the
 * demands)
 *   +--------------------------------------------+                   +--------------------------------------------+
 *   | header, who the process is                 |                   | header, geometry                           |
 *   | answer of the worker: terms, triggers      |                   | words:   one cache line per slot           |
 *   | state of the process, message              |                   | statics: demanded regions, written once    |
 *   | ring control: published, released, figures |                   | slot 0:  slot header, present[], regions   |
 *   | demands: one per piece                     |                   | slot 1:  ...                               |
 *   | definitions, packed                        |                   | ...                                        |
 *   +--------------------------------------------+                   +--------------------------------------------+
 *
 * Everything that is not _Atomic has one writer, and is written before the atomic that announces it (`answer`, `state`,
 * `published`, a slot's word) is stored with release and read after that atomic was loaded with acquire. */
#ifndef WEIR_CHANNEL_SEGMENT_H
#define WEIR_CHANNEL_SEGMENT_H
#include "channel/channel.h"
#include "channel/shared.h"
#include "core/text.h"

#define WEIR__CONTROL_MAGIC UINT64_C(0x314c525443524957) /* "WIRCTRL1" */
#define WEIR__DATA_MAGIC    UINT64_C(0x3141544144524957) /* "WIRDATA1" */
#define WEIR__DOOR_MAGIC    UINT64_C(0x31524f4f44524957) /* "WIRDOOR1" */

enum { WEIR__LINE = 64, WEIR__MESSAGE_MAX = 512, WEIR__WHY_MAX = 192 };

enum weir__answer { /* of the worker: NONE -> CLAIMED -> READY -> LEFT, or CLAIMED -> REFUSED */
                    WEIR__ANSWER_NONE,
                    WEIR__ANSWER_CLAIMED,
                    WEIR__ANSWER_READY,
                    WEIR__ANSWER_REFUSED,
                    WEIR__ANSWER_LEFT
};

enum weir__state { /* of the process: OPEN -> MAPPED -> CLOSED, or to LOST from OPEN or MAPPED */
                   WEIR__STATE_OPEN,
                   WEIR__STATE_MAPPED,
                   WEIR__STATE_CLOSED,
                   WEIR__STATE_LOST
};

typedef struct weir__control {
  weir__shared_header header;
  /* by the process, constant once published */
  int64_t  pid, start;
  int32_t  pieces, triggers_max;
  uint64_t demands_at, definitions_at, definitions_bytes;

  /* by the worker, constant once `answer` is READY or REFUSED */
  _Alignas(WEIR__LINE) _Atomic uint32_t answer; /* futex: the process waits on it */
  int32_t               slots, triggers, door_fd, door;
  int64_t               worker_pid, worker_start, timeout_ns;
  weir__channel_trigger trigger[WEIR__CHANNEL_TRIGGERS_MAX];
  char                  refusal[WEIR__MESSAGE_MAX];

  /* by the process; data_* constant once MAPPED, message once LOST */
  _Alignas(WEIR__LINE) _Atomic uint32_t state;
  int32_t data_fd;
  char    message[WEIR__MESSAGE_MAX];

  /* ring control, by the process ... */
  _Alignas(WEIR__LINE) _Atomic uint64_t published; /* steps; sequence numbers below it exist */
  _Atomic uint64_t bytes;
  _Atomic int64_t  blocked_ns, copying_ns;
  /* ... and by the worker */
  _Alignas(WEIR__LINE) _Atomic uint64_t released; /* steps, in any order */
  _Atomic uint32_t mapped;                        /* futex: 1 once the worker has mapped the data segment */
} weir__control;

/* Of the word of a slot. */
enum { WEIR__SLOT_FREE, WEIR__SLOT_FULL, WEIR__SLOT_AWAITED /* full, and the writer sleeps until it is free */ };

typedef struct weir__slot_word {
  _Alignas(WEIR__LINE) _Atomic uint32_t word; /* futex */
} weir__slot_word;

typedef struct weir__data {
  weir__shared_header header;
  uint64_t            slots, words_at, statics_at, slots_at, slot_bytes;
} weir__data;

typedef struct weir__slot {
  uint64_t sequence;
  int64_t  step;
  double   time;
  uint64_t fired;
  int64_t  blocked_ns;
  uint32_t tombstone, unused;
  char     why[WEIR__WHY_MAX];
} weir__slot;

/* ---- layout of the data segment: the same function on both sides (layout.c) ---- */

typedef struct weir__layout_piece {
  bool        wanted, is_static;
  weir_region region; /* demanded */
  uint64_t    triggers;
  size_t      at, bytes; /* from the start of the slot, or of the segment when static */
} weir__layout_piece;

typedef struct weir__layout {
  int                 slots, pieces;
  size_t              words_at, statics_at, slots_at, present_at, slot_bytes, total;
  weir__layout_piece *piece; /* owned */
} weir__layout;

/* WEIR_ERR_ARGUMENT: a demand outside its piece, bad number of slots; WEIR_ERR_OVERFLOW: more than memory can hold. */
weir_status weir__layout_create(const weir__channel_definitions *definitions, const weir__channel_demand *demand,
                                int slots, weir__layout *layout);
void        weir__layout_clear(weir__layout *layout);

static inline void *weir__at(const void *segment, size_t offset) { return (char *)(uintptr_t)segment + offset; }
static inline weir__slot_word *weir__ring_word(const weir__data *data, const weir__layout *layout, uint64_t sequence) {
  return (weir__slot_word *)weir__at(data, layout->words_at) + sequence % (uint64_t)layout->slots;
}
static inline weir__slot *weir__ring_slot(const weir__data *data, const weir__layout *layout, uint64_t sequence) {
  return weir__at(data, layout->slots_at + layout->slot_bytes * (sequence % (uint64_t)layout->slots));
}
static inline uint8_t *weir__slot_present(const weir__slot *slot, const weir__layout *layout) {
  return weir__at(slot, layout->present_at);
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
void                      weir__door_ring(weir__door *door);
void weir__door_arrive(weir__door *door, int stream, uint64_t sequence); /* and ring, if it is the last one */
void weir__doorbell_location(const weir__doorbell *doorbell, int *fd);

/* ---- the ring (ring.c) ---- */

/* The writer's side: wait until the slot of `sequence` is free. WEIR_ERR_TIMEOUT, WEIR_ERR_GONE (the worker died or
 * left). */
weir_status weir__ring_claim(weir__control *control, weir__data *data, const weir__layout *layout, uint64_t sequence,
                             int64_t *blocked_ns);
/* Make the filled slot of `sequence`, the next one, visible. */
void weir__ring_publish(weir__control *control, weir__data *data, const weir__layout *layout, uint64_t sequence);
/* The reader's side: is `sequence` there? */
bool        weir__ring_published(const weir__control *control, uint64_t sequence);
bool        weir__ring_release(weir__control *control, weir__data *data, const weir__layout *layout, uint64_t sequence);
weir_status weir__ring_check(const weir__control *control, const weir__data *data, const weir__layout *layout);
#endif
