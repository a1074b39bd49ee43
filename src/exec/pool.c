#include "exec/pool.h"
#include "core/clock.h"
#include <string.h>

typedef struct deque {
  _Alignas(64) _Atomic int64_t top;    /* next to steal */
  _Alignas(64) _Atomic int64_t bottom; /* next free */
  _Atomic uint32_t *entry;
} deque;

struct weir__pool {
  int             threads; /* besides the owner */
  int64_t         mask;    /* capacity - 1 */
  weir__pool_run *run;
  void           *self;
  deque          *deques; /* threads + 1 */
  weir__thread   *thread;
  int             started;
  struct seat    *seat;
  _Alignas(64) _Atomic uint32_t epoch;
  _Atomic int32_t  sleepers, searching;
  _Atomic int32_t  called; /* of `searching`: sleepers that have been woken, and have not said so yet */
  _Atomic bool     stop;
  _Atomic bool     owner_away; /* it found nothing in weir__pool_help and may sleep now */
  _Atomic uint64_t wakes;
};

typedef struct seat {
  weir__pool *pool;
  int         number;
  int         core; /* -1: anywhere */
} seat;

/* ---- deque ----
 *
 * Why the owner may take entry b without a race once it has stored bottom = b and then read top <= b - REACH. A thief
 * that claims from t on takes at most REACH. If t is what the owner read, it ends before b. If it is more, the thief
 * read top after the owner did, hence bottom after the owner stored it (all four are sequentially consistent), and
 * takes nothing at or above it that the owner has not pushed since. If it is less, its exchange came before and the
 * owner has seen the result, or fails. */
enum { REACH = 16 }; /* entries a thief takes at most */

static void push(weir__pool *pool, deque *d, uint32_t entry) {
  int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
  atomic_store_explicit(&d->entry[bottom & pool->mask], entry, memory_order_relaxed);
  if (!pool->threads) { /* no thieves */
    atomic_store_explicit(&d->bottom, bottom + 1, memory_order_relaxed);
    return;
  }
  atomic_store(&d->bottom, bottom + 1); /* publishes the entry, and is ordered before the look at `sleepers` */
}

/* Take the oldest entries, half of what there is and at most `most`. */
static int claim(weir__pool *pool, deque *d, int64_t most, uint32_t *entry) {
  int64_t top = atomic_load(&d->top);
  for (;;) {
    int64_t count = (atomic_load(&d->bottom) - top + 1) / 2;
    if (count <= 0) return 0;
    if (count > most) count = most;
    for (int64_t i = 0; i < count; i++)
      entry[i] = atomic_load_explicit(&d->entry[(top + i) & pool->mask], memory_order_relaxed);
    if (atomic_compare_exchange_strong(&d->top, &top, top + count)) return (int)count;
  }
}

/* The owner's next entry: the newest, without a race where thieves cannot reach it; else the oldest, as thieves do. */
static bool take(weir__pool *pool, deque *d, uint32_t *entry) {
  int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;
  int64_t top    = atomic_load_explicit(&d->top, memory_order_relaxed);
  if (bottom < top) return false; /* empty, and only thieves can change top */
  if (!pool->threads) {
    atomic_store_explicit(&d->bottom, bottom, memory_order_relaxed);
    *entry = atomic_load_explicit(&d->entry[bottom & pool->mask], memory_order_relaxed);
    return true;
  }
  if (bottom - top >= REACH) {
    atomic_store(&d->bottom, bottom);
    if (bottom - atomic_load(&d->top) >= REACH) {
      *entry = atomic_load_explicit(&d->entry[bottom & pool->mask], memory_order_relaxed);
      return true;
    }
    atomic_store(&d->bottom, bottom + 1);
  }
  return claim(pool, d, 1, entry) == 1;
}

/* Steal some entries; the first is to be run, the others go to the thief's own deque. */
static bool steal(weir__pool *pool, deque *from, deque *to, uint32_t *entry) {
  uint32_t stolen[REACH];
  int      count = claim(pool, from, REACH, stolen);
  for (int i = 1; i < count; i++) push(pool, to, stolen[i]);
  if (count) *entry = stolen[0];
  return count > 0;
}

static bool find(weir__pool *pool, int thread, uint32_t *entry) {
  deque *own = &pool->deques[thread];
  if (take(pool, own, entry)) return true;
  for (int i = 1; i <= pool->threads; i++)
    if (steal(pool, &pool->deques[(thread + i) % (pool->threads + 1)], own, entry)) return true;
  return false;
}

static bool anything(weir__pool *pool) {
  for (int i = 0; i <= pool->threads; i++)
    if (atomic_load(&pool->deques[i].top) < atomic_load(&pool->deques[i].bottom)) return true;
  return false;
}

/* ---- sleeping and waking ---- */

/* True: everyone else is at work, but the owner is away. A sleeper that is woken counts as one who searches from now
 * on: until it runs, which takes long, much may be pushed, and wakes nobody else. */
static bool wake_one(weir__pool *pool) {
  int32_t none = 0;
  if (atomic_load(&pool->searching) > 0) return false;
  if (atomic_load(&pool->sleepers) == 0) return atomic_load(&pool->owner_away);
  if (!atomic_compare_exchange_strong(&pool->searching, &none, 1)) return false;
  atomic_fetch_add(&pool->called, 1);
  atomic_fetch_add(&pool->epoch, 1);
  atomic_fetch_add_explicit(&pool->wakes, 1, memory_order_relaxed);
  weir__futex_wake(&pool->epoch, 1, false);
  return false;
}

/* Is this the sleeper that was woken? One that had just left by itself leaves that to the next: who is about to sleep
 * looks, so that nobody sleeps while one is counted who does not search. */
static bool answer_call(weir__pool *pool) {
  int32_t called = atomic_load(&pool->called);
  while (called > 0)
    if (atomic_compare_exchange_weak(&pool->called, &called, called - 1)) return true;
  return false;
}

bool weir__pool_push(weir__pool *pool, int thread, uint32_t entry) {
  push(pool, &pool->deques[thread], entry);
  if (!pool->threads || !wake_one(pool) || thread == pool->threads) return false;
  return atomic_exchange(&pool->owner_away, false); /* one of the callers wakes it */
}

bool weir__pool_busy(const weir__pool *pool) {
  return atomic_load_explicit(&pool->sleepers, memory_order_relaxed) == 0 &&
         atomic_load_explicit(&pool->searching, memory_order_relaxed) == 0;
}

enum { LOOKS = 32, MORE_LOOKS = 1024 }; /* about a microsecond, and thirty: what it takes to be woken */

/* Somebody is at work, so that there may soon be more to do. */
static bool at_work(const weir__pool *pool) {
  int idle = atomic_load_explicit(&pool->sleepers, memory_order_relaxed) +
             atomic_load_explicit(&pool->searching, memory_order_relaxed) +
             atomic_load_explicit(&pool->owner_away, memory_order_relaxed) -
             atomic_load_explicit(&pool->called, memory_order_relaxed); /* counted twice */
  return idle <= pool->threads;
}

/* Search for a moment, then sleep until something is pushed. False: the pool stops. */
static bool search(weir__pool *pool, int thread, uint32_t *entry) {
  bool counted = false;
  while (!atomic_load_explicit(&pool->stop, memory_order_relaxed)) {
    if (!counted) atomic_fetch_add(&pool->searching, 1);
    for (int i = 0; i < LOOKS || (i < MORE_LOOKS && at_work(pool)); i++) {
      if (find(pool, thread, entry)) {
        /* the last searcher to find work looks for a successor, if there is more to do */
        if (atomic_fetch_sub(&pool->searching, 1) == 1 && anything(pool)) (void)wake_one(pool);
        return true;
      }
      weir__pause();
    }
    uint32_t epoch = atomic_load(&pool->epoch);
    atomic_fetch_add(&pool->sleepers, 1);
    atomic_fetch_sub(&pool->searching, 1);
    counted = answer_call(pool);
    if (!counted && !anything(pool) && !atomic_load(&pool->stop)) {
      weir__futex_wait(&pool->epoch, epoch, -1, false);
      counted = answer_call(pool);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
  }
  if (counted) atomic_fetch_sub(&pool->searching, 1);
  return false;
}

static void body(void *argument) {
  seat       *s    = argument;
  weir__pool *pool = s->pool;
  uint32_t    entry;
  weir__thread_pin(s->core);
  while (search(pool, s->number, &entry)) {
    do (void)pool->run(pool->self, s->number, entry);
    while (take(pool, &pool->deques[s->number], &entry));
  }
}

/* The owner searches like the others. What is pushed after it has said that it is away, or was missed by the last look,
 * wakes it. */
static bool find_as_owner(weir__pool *pool, uint32_t *entry) {
  if (find(pool, pool->threads, entry)) return true;
  if (!pool->threads || atomic_load_explicit(&pool->owner_away, memory_order_relaxed)) return false;
  atomic_fetch_add(&pool->searching, 1);
  bool found = false;
  for (int i = 0; i < LOOKS && !found; i++) {
    weir__pause();
    found = find(pool, pool->threads, entry);
  }
  if (!found) atomic_store(&pool->owner_away, true);
  if (atomic_fetch_sub(&pool->searching, 1) == 1 && found && anything(pool)) (void)wake_one(pool);
  return found || find(pool, pool->threads, entry);
}

/* How many further entries take about as long as the owner may stay away, if they are like the one that took so long.
 */
static int more_entries(int64_t took) {
  enum { AWAY_NS = 10000, MOST = 32 };
  int64_t more = AWAY_NS / (took > 0 ? took : 1) - 1;
  return more < 0 ? 0 : more < MOST ? (int)more : MOST;
}

bool weir__pool_help(weir__pool *pool) {
  uint32_t entry;
  if (!find_as_owner(pool, &entry)) return false;
  if (atomic_load_explicit(&pool->owner_away, memory_order_relaxed)) atomic_store(&pool->owner_away, false);
  deque *own  = &pool->deques[pool->threads];
  bool   away = pool->run(pool->self, pool->threads, entry);
  if (away || !take(pool, own, &entry)) return true; /* a task alone costs no look at the clock */
  int64_t began = weir__clock_ns();
  away          = pool->run(pool->self, pool->threads, entry);
  if (away ||
      atomic_load_explicit(&own->bottom, memory_order_relaxed) <= atomic_load_explicit(&own->top, memory_order_relaxed))
    return true;
  for (int more = more_entries(weir__clock_ns() - began); more > 0 && !away && take(pool, own, &entry); more--)
    away = pool->run(pool->self, pool->threads, entry);
  return true;
}

uint64_t weir__pool_wakes(const weir__pool *pool) { return atomic_load_explicit(&pool->wakes, memory_order_relaxed); }

/* ---- life ---- */

weir_status weir__pool_create(int threads, size_t capacity, int first_core, weir__pool_run *run, void *self,
                              weir__pool **out) {
  weir_status status = WEIR_OK;
  weir__pool *pool   = NULL;
  size_t      size   = 16;
  while (size < capacity + 1) size *= 2;
  WEIR_TRY(weir__alloc_zeroed(sizeof *pool, 64, &pool));
  *pool      = (weir__pool){.threads = threads, .mask = (int64_t)size - 1, .run = run, .self = self};
  size_t all = (size_t)threads + 1;
  WEIR_TRY_GOTO(out, weir__alloc_zeroed(all * sizeof(deque), 64, &pool->deques));
  WEIR_TRY_GOTO(out, weir__alloc_array(all, sizeof *pool->thread, &pool->thread));
  WEIR_TRY_GOTO(out, weir__alloc_array(all, sizeof *pool->seat, &pool->seat));
  for (size_t i = 0; i < all; i++)
    WEIR_TRY_GOTO(out, weir__alloc_zeroed(size * sizeof(uint32_t), 64, &pool->deques[i].entry));
  for (int i = 0; i <= threads; i++) /* before the owner is bound: threads inherit what it may use */
    pool->seat[i] = (seat){pool, i, first_core < 0 ? -1 : weir__core(first_core + (i + 1) % (threads + 1))};
  for (int i = 0; i < threads; i++) {
    WEIR_TRY_GOTO(out, weir__thread_start(&pool->thread[i], body, &pool->seat[i]));
    pool->started++;
  }
  weir__thread_pin(pool->seat[threads].core);
  *out = pool;
  pool = NULL;
out:
  weir__pool_destroy(&pool);
  return status;
}

void weir__pool_destroy(weir__pool **out) {
  weir__pool *pool = *out;
  if (!pool) return;
  atomic_store(&pool->stop, true);
  atomic_fetch_add(&pool->epoch, 1);
  weir__futex_wake(&pool->epoch, pool->started, false);
  for (int i = 0; i < pool->started; i++) weir__thread_join(&pool->thread[i]);
  for (int i = 0; pool->deques && i <= pool->threads; i++) weir__free((void *)pool->deques[i].entry);
  weir__free(pool->deques);
  weir__free(pool->thread);
  weir__free(pool->seat);
  weir__free(pool);
  *out = NULL;
}

weir_status weir__pool_check(const weir__pool *pool) {
  for (int i = 0; i <= pool->threads; i++) {
    int64_t top = atomic_load(&pool->deques[i].top), bottom = atomic_load(&pool->deques[i].bottom);
    if (bottom < top || bottom - top > pool->mask)
      return WEIR_FAIL(WEIR_ERR_INTERNAL, "deque %d: top %lld, bottom %lld, capacity %lld", i, (long long)top,
                       (long long)bottom, (long long)pool->mask + 1);
  }
  if (atomic_load(&pool->searching) < 0 || atomic_load(&pool->sleepers) < 0)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "pool: %d searching, %d asleep", atomic_load(&pool->searching),
                     atomic_load(&pool->sleepers));
  return WEIR_OK;
}
