/* The worker's end, shared by worker.c (attaching, answering) and reader.c (steps). */
#ifndef WEIR_CHANNEL_READER_H
#define WEIR_CHANNEL_READER_H
#include "channel/segment.h"

/* What the worker keeps of an entry it has passed, until that is acknowledged. */
typedef struct weir__held {
  uint64_t sequence;
  bool     readable; /* a step that was read and is not done */
  int      buffer;   /* of a spilled step; -1: none */
  void    *memory;   /* where the step lies */
} weir__held;

struct weir__channel {
  const char               *run_dir;    /* in the arena */
  int64_t                   pid, start; /* of the process */
  weir__control            *control;
  size_t                    control_bytes;
  weir__data               *data;     /* NULL before it is mapped */
  int                       spill_fd; /* -1: none */
  weir__arena               arena;
  weir__channel_definitions definitions;
  uint64_t                  demands_room;
  weir__terms               terms;
  weir__layout              layout; /* empty before the demands are posted */
  weir__ledger_view         ledger;
  int                       ledger_process; /* which of its processes this one is */
  uint32_t                  epoch;
  bool                      posted, taken_over, complete, ended, broken;
  char                     *message; /* WEIR__MESSAGE_MAX bytes in the arena */

  /* reading: entries of the log below `cursor` have been passed; that at `cursor` is a tombstone of which `seen` steps
   * were told, or not read yet (`seen` 0) */
  uint64_t    first, next; /* sequence numbers: when attached, and not told yet */
  uint64_t    cursor, seen;
  uint64_t    released, acknowledged;   /* own copies of what this worker alone stores */
  uint64_t    begins;                   /* sequence number with which the entry at `cursor` begins ... */
  bool        located;                  /* ... which is known */
  bool        any;                      /* a step was read */
  weir__held *held;                     /* owned; per entry of the log */
  char (*why)[WEIR__WHY_MAX];           /* owned; per entry, of tombstones: as it was told first */
  void *buffer[WEIR__CHANNEL_HELD_MAX]; /* owned; of spilled steps, once there is one */
  bool  in_use[WEIR__CHANNEL_HELD_MAX];
};

/* Where to begin: after the data segment was mapped. */
weir_status weir__reader_start(weir__channel *channel);
void        weir__reader_clear(weir__channel *channel);
#endif
