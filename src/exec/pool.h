/* Ready tasks and the threads that run them.
 *
 * Requirements: no lock and no allocation while running; idle threads sleep; few wake-ups (a wake costs its sender 10
 * us and more).
 *
 *   deque    one per thread, after Chase & Lev 2005 (doi 10.1145/1073970.1073974), with sequentially consistent
 * accesses in place of the fences of Le et al. 2013 (doi 10.1145/2442516.2442524), which costs the same on x86 and lets
 * the race detector follow. Its owner pushes and takes at the bottom; others steal at the top, half of what there is
 * and up to 16 entries at once (pool.c says why that is safe). Near the top the owner takes from there, too. Fixed
 * capacity: at most every task of every step in flight is ready at once. sleep    a thread that finds nothing counts
 * itself as a sleeper, looks once more at all deques, and waits on `epoch`. Who pushes looks at `sleepers` after the
 * push: with all four accesses sequentially consistent one of the two sees the other. wake     only if nobody is
 * searching already; a searcher that finds work wakes the next one (a chain, not a herd).
 *
 * The thread that owns the pool (number `threads`) takes part when it calls weir__pool_help. */
#ifndef WEIR_EXEC_POOL_H
#define WEIR_EXEC_POOL_H
#include "core/threads.h"

typedef struct weir__pool weir__pool;
/* Run one entry; further entries that become ready are pushed with weir__pool_push by the same thread. True: the owner
 * is to look after something else before it runs another. */
typedef bool weir__pool_run(void *self, int thread, uint32_t entry);

weir_status weir__pool_create(int threads, size_t capacity, int first_core /* -1: not pinned */, weir__pool_run *run,
                              void *self, weir__pool **pool);
void        weir__pool_destroy(weir__pool **pool); /* waits for the entries being run */
/* True: there is more to do than threads awake, and the owner found nothing when it last looked: the caller wakes it.
 */
bool weir__pool_push(weir__pool *pool, int thread, uint32_t entry);
bool weir__pool_busy(const weir__pool *pool); /* no thread sleeps or searches just now */
/* The owner runs an entry of its own, or a stolen one, and if that was short and nothing else is to be looked
 * after a few more of its own. False: nothing was ready. */
bool        weir__pool_help(weir__pool *pool);
uint64_t    weir__pool_wakes(const weir__pool *pool); /* so far */
weir_status weir__pool_check(const weir__pool *pool); /* invariants, while nothing runs */
#endif
