/* Checkpoints: what a worker's operators remember between two steps, in a file, so that another job of workers goes on
 * from there and computes the same bytes.
 *
 *   RUN/checkpoint/<ordinal>.<worker>    header | counts per node | kept cells and their tokens | state | check sum
 *
 * At an agreed ordinal every worker lets its steps in flight retire, writes its file under a temporary name, renames
 * it, and joins an agreement. When that is reached, everybody's file is there: all steps before it are acknowledged in
 * the channels, and the files of the checkpoint before are removed. So there is always one complete checkpoint, and
 * never more than two. Outputs are not in it: they are cut back to the checkpoint's step when it is restored.
 *
 * Process death needs no fsync (the page cache survives); `durable` asks for it. A checkpoint that cannot be written
 * (no room) ends checkpointing with one message: steps are then acknowledged when they retire. */
#ifndef WEIR_EXEC_CHECKPOINT_H
#define WEIR_EXEC_CHECKPOINT_H
#include "exec/state.h"

weir_status weir__keeper_create(weir__worker *w); /* collective */
void        weir__keeper_destroy(weir__worker *w);
/* The steps below this ordinal may begin now. */
int64_t weir__keeper_gate(const weir__worker *w);
/* A step without data has begun: it holds no place, so it does not count. */
void weir__keeper_pass(weir__worker *w);
/* Write, agree, acknowledge, as far as it is time for it. */
weir_status weir__keeper_work(weir__worker *w, bool *some);
/* Every step is retired and no further one comes: write the last one. Then call `work` until `busy` is false. */
weir_status weir__keeper_last(weir__worker *w);
bool        weir__keeper_busy(const weir__worker *w);
/* Rounds of agreement this worker has started, and starting those that others have. */
int64_t     weir__keeper_rounds(const weir__worker *w);
weir_status weir__keeper_settle(weir__worker *w, int64_t rounds);
#endif
