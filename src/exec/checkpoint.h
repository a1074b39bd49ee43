/* Checkpoints: what a worker's operators remember between two steps, in a file, so that another job of workers goes on
 * from there and computes the same bytes.
 *
 *   RUN/checkpoint/<ordinal>.<worker>    header | counts per node | kept cells and their tokens | state | check sum
 *
 * At an agreed ordinal every worker lets its steps in flight retire, writes its file under a temporary name, renames
 * it, and joins an agreement. When that is reached, everybody's file is there: all steps before it are acknowledged in
 * the channels, and the files of the checkpoint before are removed. So there is always one complete checkpoint, and
 * never more than two; and besides, those of the last two *marks*. Outputs are not in it: they are cut back to the
 * checkpoint's step when it is restored.
 *
 * A mark: the simulation says with a step that it wrote a file of its own after an earlier one
 * (weir_stream_checkpoint). Before that step begins all workers write a checkpoint, out of turn. A simulation that goes
 * on from its file publishes that step again, and finds the workers as they were then: with the decisions that had not
 * taken effect yet, and the fields that had been computed for steps to come.
 *
 * Process death needs no fsync (the page cache survives); `durable` asks for it. A checkpoint that cannot be written
 * (no room) ends checkpointing with one message: steps are then acknowledged when they retire. */
#ifndef WEIR_EXEC_CHECKPOINT_H
#define WEIR_EXEC_CHECKPOINT_H
#include "exec/state.h"
#include <limits.h>

#define WEIR__CHECKPOINT_MAGIC UINT64_C(0x32504b4352494557) /* "WEIRCKP2" */

enum { WEIR__MARKS = 2 };
typedef struct weir__mark {
  int64_t ordinal,
      saved; /* of the first step after it; number of the step whose state the simulation saved. -1: none */
} weir__mark;

/* The beginning of the file; the lengths of what follows, in this order, then a check sum. */
typedef struct weir__checkpoint_header {
  uint64_t   magic, identity; /* of the recipe and what was settled with it */
  int32_t    rank, size;
  int64_t    ordinal, step, interval;
  int64_t    first_step; /* number of the step with ordinal 0; INT64_MIN: it is still to come, and `step` too */
  uint64_t   decided;    /* changes that were posted so far */
  double     time;
  weir__mark mark[WEIR__MARKS]; /* the newest last */
  uint64_t   nodes, cell_bytes, state_bytes, steer_bytes, back_bytes, lost_bytes, failure_bytes;
} weir__checkpoint_header;
weir__checkpoint_header weir__checkpoint_describe(const weir__worker *w);
uint64_t                weir__checkpoint_bytes(const weir__checkpoint_header *header); /* of the whole file */
void weir__checkpoint_path(const char *directory, int rank, int64_t ordinal, const char *before, char path[PATH_MAX]);
#define WEIR__CHECKPOINT_PART ".part-" /* begins the name of a file that is not whole yet */
/* Is this cell in the file? */
static inline bool weir__checkpoint_keeps(const weir__cell *cell) {
  return cell->keep && cell->base && cell->message < 0 && cell->slot_piece < 0;
}

weir_status weir__keeper_create(weir__worker *w); /* collective */
void        weir__keeper_destroy(weir__worker *w);
/* The steps below this ordinal may begin now. */
int64_t weir__keeper_gate(const weir__worker *w);
/* A step without data has begun: it holds no place, so it does not count. */
void weir__keeper_pass(weir__worker *w);
/* The simulation saved its state after that step: is a checkpoint to be written before the step that comes next? */
bool weir__keeper_mark(weir__worker *w, int64_t saved);
/* After the restoration of this one: what follows from it. */
void weir__keeper_restore(weir__worker *w, const weir__checkpoint_header *header);
/* Write, agree, acknowledge, as far as it is time for it. */
weir_status weir__keeper_work(weir__worker *w, bool *some);
/* Every step is retired and no further one comes: write the last one. `saved`: the simulation's last state, all its
 * processes say; INT64_MIN: none. Then call `work` until `busy` is false. */
weir_status weir__keeper_last(weir__worker *w, int64_t saved);
bool        weir__keeper_busy(const weir__worker *w);
/* Rounds of agreement this worker has started, and starting those that others have. */
int64_t     weir__keeper_rounds(const weir__worker *w);
weir_status weir__keeper_settle(weir__worker *w, int64_t rounds);
#endif
