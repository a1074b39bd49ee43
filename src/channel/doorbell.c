/* The doorbell: one per worker. Its processes count their arrivals at each step, and the last one rings; the worker
 * sleeps on the bell.
 *
 * The bell is one word: bit 0 says that somebody sleeps, the rest counts rings. Ringing is one compare-and-swap that
 * counts and takes the bit away; whoever took it wakes the sleepers. Sleeping sets the bit by compare-and-swap, which
 * fails if the bell has rung since. So no ring is lost, and a ring costs a system call only if someone sleeps. */
#include "channel/segment.h"
#include "core/clock.h"
#include "core/threads.h"
#include <limits.h>
#include <sched.h>
#include <unistd.h>

enum {
  ASLEEP   = 1,
  RING     = 2,
  ARRIVALS = 1024, /* steps counted apart: more than there are slots, so that counters rarely overlap */
};
_Static_assert(ARRIVALS > WEIR__CHANNEL_SLOTS_MAX + 1, "a counter must be at rest before its next step");
static const int64_t POLL_NS = 50000; /* after the last event; then the core belongs to the simulation */

struct weir__door {
  weir__shared_header header;
  _Alignas(WEIR__LINE) _Atomic uint32_t bell; /* futex */
  _Atomic int32_t  core;                      /* on which the sleeper went to sleep; -1: unknown */
  _Atomic uint32_t told[WEIR__NEWS];          /* what other workers say is on its way */
  struct {
    _Alignas(WEIR__LINE) _Atomic uint32_t expected;
    _Atomic uint32_t every; /* 1: the counters say nothing, since a channel was taken over: each arrival rings */
    /* of step s: arrived[s % ARRIVALS], which every process raises once in each round of ARRIVALS steps; never set back
     */
    _Atomic uint64_t arrived[ARRIVALS];
  } stream[WEIR__DOORBELL_STREAMS_MAX];
};

struct weir__doorbell {
  weir__door     *door;
  _Atomic int64_t last_event_ns;
  int             fd; /* -1: a peer's */
};

/* ---- as the processes see it ---- */

weir_status weir__door_open(int64_t pid, int fd, weir__door **door) {
  size_t bytes;
  WEIR_TRY(weir__shared_open("doorbell of the worker", pid, fd, WEIR__DOOR_MAGIC, sizeof **door, door, &bytes));
  if (bytes == sizeof **door) return WEIR_OK;
  weir__shared_unmap(door, bytes);
  return WEIR_FAIL(WEIR_ERR_INPUT, "doorbell of the worker: it has %zu bytes, expected %zu", bytes, sizeof **door);
}

void weir__door_close(weir__door **door) { weir__shared_unmap(door, sizeof **door); }

bool weir__door_ring(weir__door *door) {
  uint32_t seen = atomic_load_explicit(&door->bell, memory_order_relaxed), next;
  do next = (seen + RING) & ~(uint32_t)ASLEEP; /* release: what was published before is seen by whoever sees the ring */
  while (!atomic_compare_exchange_weak_explicit(&door->bell, &seen, next, memory_order_acq_rel, memory_order_relaxed));
  if (!(seen & ASLEEP)) return false;
  weir__futex_wake(&door->bell, INT_MAX, true);
  return true;
}

bool weir__door_alert(weir__door *door, int stream) {
  uint32_t seen = atomic_load_explicit(&door->bell, memory_order_acquire);
  if (!(seen & ASLEEP)) return false;
  /* the first of several to begin knows nothing of when the last one will arrive */
  if (atomic_load_explicit(&door->stream[stream].expected, memory_order_relaxed) != 1) return false;
  /* on our core it could not wake while we go on, but only take turns with us */
  if (atomic_load_explicit(&door->core, memory_order_relaxed) == sched_getcpu()) return false;
  return weir__door_ring(door);
}

bool weir__door_arrive(weir__door *door, int stream, uint64_t sequence) {
  uint64_t expected = atomic_load_explicit(&door->stream[stream].expected, memory_order_relaxed);
  /* acquire-release: the last to arrive has seen, and by ringing passes on, what all others published */
  uint64_t arrived =
      atomic_fetch_add_explicit(&door->stream[stream].arrived[sequence % ARRIVALS], 1, memory_order_acq_rel) + 1;
  /* A process may be rounds ahead of another (it leaves out steps that the other one publishes); then counts are above
   * those of this round, and whoever sees that rings: the last one at a step always does. */
  bool ahead = arrived > expected * (sequence / ARRIVALS + 1);
  if (expected <= 1 || arrived % expected == 0 || ahead ||
      atomic_load_explicit(&door->stream[stream].every, memory_order_relaxed))
    return weir__door_ring(door);
  return false;
}

/* ---- as the worker sees it ---- */

weir_status weir__doorbell_create(weir__doorbell **doorbell) {
  weir_status     status = WEIR_OK;
  weir__doorbell *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, WEIR__LINE, &self));
  self->fd = -1;
  WEIR_TRY_GOTO(out, weir__shared_create("doorbell of the worker", WEIR__DOOR_MAGIC, sizeof *self->door,
                                         sizeof *self->door, &self->fd, &self->door));
  *doorbell = self;
  self      = NULL;
out:
  weir__doorbell_destroy(&self);
  return status;
}

weir_status weir__doorbell_open_peer(int64_t pid, int fd, weir__doorbell **doorbell) {
  weir_status     status = WEIR_OK;
  weir__doorbell *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, WEIR__LINE, &self));
  self->fd = -1;
  WEIR_TRY_GOTO(out, weir__door_open(pid, fd, &self->door));
  *doorbell = self;
  self      = NULL;
out:
  weir__doorbell_destroy(&self);
  return status;
}

static weir_status check_door(int door) {
  if (door >= 0 && door < WEIR__DOORBELL_STREAMS_MAX) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream %d of a worker, expected 0 to %d", door, WEIR__DOORBELL_STREAMS_MAX - 1);
}

weir_status weir__doorbell_expect(weir__doorbell *doorbell, int door, int processes) {
  WEIR_TRY(check_door(door));
  if (processes < 0) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%d processes are expected at the doorbell", processes);
  atomic_store_explicit(&doorbell->door->stream[door].expected, (uint32_t)processes, memory_order_relaxed);
  return WEIR_OK;
}

int weir__doorbell_arrived(const weir__doorbell *doorbell, int door, uint64_t sequence) {
  if (check_door(door)) return 0;
  int64_t expected = atomic_load_explicit(&doorbell->door->stream[door].expected, memory_order_relaxed);
  int64_t arrived =
      (int64_t)atomic_load_explicit(&doorbell->door->stream[door].arrived[sequence % ARRIVALS], memory_order_acquire) -
      expected * (int64_t)(sequence / ARRIVALS);
  return arrived < 0 ? 0 : arrived > expected ? (int)expected : (int)arrived;
}

void weir__doorbell_every(weir__doorbell *doorbell, int door) {
  atomic_store_explicit(&doorbell->door->stream[door].every, 1, memory_order_relaxed);
}

void weir__doorbell_ring(weir__doorbell *doorbell) { weir__door_ring(doorbell->door); }

void weir__doorbell_rouse(weir__doorbell *doorbell) {
  if (atomic_load(&doorbell->door->bell) & ASLEEP) weir__door_ring(doorbell->door);
}

void weir__doorbell_tell(weir__doorbell *peer, weir__news news) {
  atomic_fetch_add_explicit(&peer->door->told[news], 1, memory_order_release);
  weir__door_ring(peer->door);
}

uint32_t weir__doorbell_told(const weir__doorbell *doorbell, weir__news news) {
  return atomic_load_explicit(&doorbell->door->told[news], memory_order_acquire);
}

void weir__doorbell_location(const weir__doorbell *doorbell, int *fd) { *fd = doorbell->fd; }

static bool has_rung(weir__doorbell *doorbell, uint32_t *seen) {
  uint32_t now = atomic_load_explicit(&doorbell->door->bell, memory_order_acquire) & ~(uint32_t)ASLEEP;
  if (now == *seen) return false;
  *seen = now;
  atomic_store_explicit(&doorbell->last_event_ns, weir__clock_ns(), memory_order_relaxed);
  return true;
}

/* There is something to look at besides the bell. */
static bool is_there(weir__doorbell *doorbell, bool (*look)(void *self), void *self) {
  if (!look || !look(self)) return false;
  atomic_store_explicit(&doorbell->last_event_ns, weir__clock_ns(), memory_order_relaxed);
  return true;
}

bool weir__doorbell_wait(weir__doorbell *doorbell, uint32_t *seen, int64_t timeout_ns) {
  return weir__doorbell_wait_or(doorbell, seen, timeout_ns, NULL, NULL);
}

bool weir__doorbell_wait_or(weir__doorbell *doorbell, uint32_t *seen, int64_t timeout_ns, bool (*look)(void *self),
                            void *self) {
  if (has_rung(doorbell, seen) || is_there(doorbell, look, self)) return true;
  if (!timeout_ns) return false;
  int64_t begin = weir__clock_ns(), now = begin;
  int64_t poll_until = atomic_load_explicit(&doorbell->last_event_ns, memory_order_relaxed) + POLL_NS;
  while (now < poll_until && (timeout_ns < 0 || now - begin < timeout_ns)) {
    for (int i = 0; i < 32; i++) weir__pause();
    if (has_rung(doorbell, seen) || is_there(doorbell, look, self)) return true;
    sched_yield(); /* whom we wait for may have been woken on this core */
    now = weir__clock_ns();
  }
  for (;;) {
    int64_t  left     = timeout_ns < 0 ? -1 : timeout_ns - (now - begin);
    uint32_t expected = *seen;
    if (timeout_ns >= 0 && left <= 0) return false;
    atomic_store_explicit(&doorbell->door->core, sched_getcpu(), memory_order_relaxed);
    /* another thread may have set the bit already; anything else means that the bell has rung */
    if (!atomic_compare_exchange_strong(&doorbell->door->bell, &expected, *seen | ASLEEP) &&
        expected != (*seen | ASLEEP))
      return has_rung(doorbell, seen);
    if (is_there(doorbell, look, self)) return true; /* at worst somebody wakes nobody */
    weir__futex_wait(&doorbell->door->bell, *seen | ASLEEP, left, true);
    if (has_rung(doorbell, seen)) return true;
    now = weir__clock_ns();
  }
}

void weir__doorbell_destroy(weir__doorbell **doorbell) {
  weir__doorbell *self = *doorbell;
  if (!self) return;
  weir__door_close(&self->door);
  if (self->fd >= 0) close(self->fd);
  weir__free(self);
  *doorbell = NULL;
}
