/* The ring of a channel: steps from one process to one worker. This file is the writer's side, reader.c the other.
 *
 * Requirements
 *   - the writer copies a step once, into its place; the reader computes from that place; neither makes a system call
 *     per step unless the other one sleeps;
 *   - a step stays readable until it is acknowledged: a worker that takes over reads it again;
 *   - either side may be killed between any two instructions: the other one never hangs and never reads half a step;
 *   - processes that leave out steps leave out the same ones: a *ledger* decides (ledger.c), where there is one;
 *   - the order on every weakly ordered machine follows from the atomic accesses alone; there are no fences (thread
 *     sanitizers do not understand them).
 *
 *     places   slot 0 | slot 1 | slot 2 | spill 0 | spill 1 ...       where the numbers of a step lie
 *     log      entry 5: step, slot 0 | 6: step, slot 2 | 7: tombstone, + 3 more | 8: step, slot 1 | (9)
 *                    ^ released = 5                                                               ^ published = 9
 *
 * The log is a ring of entries, one per step or tombstone, in the order of their sequence numbers. Entry n is at n
 * modulo its size. Entries below `released` and their places are the writer's; it knows privately which entry held each
 * place last, so a place is free when that entry is below `released`. Tombstones have no place.
 *
 * Who may touch what
 *   writer   fills a free place and entry `published`, then stores `published` + 1 (release). From then on it only
 *            - lets the last entry grow if that is a tombstone (`more`), when the log is all but full (with a ledger:
 *              when it is left with what the steps in all places and tombstones behind them need): so tombstones
 *              never wait. A step is published only while an entry is left over for a tombstone behind it;
 *            - takes back the place of a step nobody has begun to read (policy DROP_OLDEST): it swaps its state from
 *              READY to DROPPED. By the ledger, such a step is dropped in all channels: the reader asks there, too,
 *              and swaps the state of one that it comes to before the writer does.
 *   reader   reads entries below `published` (acquire); swaps the state of a step from READY to TAKEN before it looks
 *            at its place. It moves past a tombstone only when another entry follows it (then it has its last size),
 *            and `released` never beyond where it has moved.
 *            Acknowledges: stores `acknowledged`, a sequence number, then `released` (release), then adds to `turn`.
 *            A worker that died between the two leaves `released` too small, which the next one mends.
 *
 * `turn` is the futex on which the writer sleeps: it sets bit 0 by compare-and-swap, which fails if the reader has
 * added to the word since the writer loaded it, before looking at `released`. So no wake-up is lost. The reader takes
 * the bit away as it adds, and only then makes the system call. The writer sleeps at most LOOK_NS at a time, and then
 * looks whether the worker lives. */
#include "channel/segment.h"
#include "core/clock.h"
#include <limits.h>
#include <inttypes.h>
#include <string.h>

static const int64_t LOOK_NS = 100000000; /* a dead worker is noticed this late, at most */

weir_status weir__ring_create(weir__control *control, weir__data *data, const weir__layout *layout,
                              const weir__terms *terms, weir__spill *spill, weir__ring *ring) {
  weir__ring self = {.control = control, .data = data, .layout = layout, .terms = terms, .spill = spill};
  WEIR_TRY(weir__alloc_array((size_t)(layout->slots + layout->spill_places), sizeof *self.last, &self.last));
  *ring = self;
  return WEIR_OK;
}

void weir__ring_clear(weir__ring *ring) {
  weir__ledger_close(&ring->ledger);
  weir__free(ring->last);
  ring->last = NULL;
}

/* ---- sleeping and waking ---- */

void weir__turn_sleep(_Atomic uint32_t *turn, uint32_t seen, int64_t timeout_ns) {
  if (!(seen & 1)) {
    if (!atomic_compare_exchange_strong_explicit(turn, &seen, seen | 1, memory_order_acq_rel, memory_order_acquire))
      return;
    seen |= 1;
  }
  weir__futex_wait(turn, seen, timeout_ns, true);
}

void weir__turn_wake(_Atomic uint32_t *turn) {
  uint32_t seen = atomic_load_explicit(turn, memory_order_relaxed), next;
  do next = (seen + 2) & ~1u;
  while (!atomic_compare_exchange_weak_explicit(turn, &seen, next, memory_order_acq_rel, memory_order_relaxed));
  if (seen & 1) weir__futex_wake(turn, INT_MAX, true);
}

weir_status weir__ring_look(weir__ring *ring) {
  weir__control *control = ring->control;
  uint32_t       state   = weir__answer_state(atomic_load_explicit(&control->answer, memory_order_acquire));
  uint64_t       holder  = atomic_load_explicit(&control->holder, memory_order_relaxed);
  ring->looked_ns        = weir__clock_ns();
  switch (state) {
  case WEIR__ANSWER_READY:
    if (ring->terms->supervised || weir__holder_alive(holder)) return WEIR_OK;
    return WEIR_FAIL(WEIR_ERR_GONE, "the worker (process %" PRId64 ") has died", weir__holder_pid(holder));
  case WEIR__ANSWER_ENDED: return WEIR_END;
  case WEIR__ANSWER_LEFT:
    return WEIR_FAIL(WEIR_ERR_GONE, "the worker (process %" PRId64 ") has left", weir__holder_pid(holder));
  default: return WEIR_FAIL(WEIR_ERR_GONE, "the analysis was given up: %.*s", WEIR__MESSAGE_MAX - 1, control->refusal);
  }
}

/* ---- places ---- */

static uint64_t refresh(weir__ring *ring) {
  uint64_t released = atomic_load_explicit(&ring->control->released, memory_order_acquire);
  /* it only grows, and not beyond what was published: anything else is damage, and changes nothing */
  if (released > ring->released && released <= ring->published) ring->released = released;
  return ring->released;
}

static uint64_t free_entries(const weir__ring *ring) {
  return ring->layout->log_entries - (ring->published - ring->released);
}

/* A free place of `count` from `first` on, the one after `*next` most likely; or none. */
static int find_free(const weir__ring *ring, int first, int count, int *next) {
  for (int i = 0; i < count; i++) {
    int k = *next + i < count ? *next + i : *next + i - count;
    if (ring->last[first + k] > ring->released) continue;
    *next = k + 1 < count ? k + 1 : 0;
    return first + k;
  }
  return WEIR__PLACE_NONE;
}

static int find_spill(weir__ring *ring) {
  int place = find_free(ring, ring->layout->slots, ring->spill->reserved, &ring->next_spill);
  if (place != WEIR__PLACE_NONE) return ring->spill->message[0] ? WEIR__PLACE_NONE : place;
  return weir__spill_reserve(ring->spill) ? ring->layout->slots + ring->spill->reserved - 1 : WEIR__PLACE_NONE;
}

/* Take back the place of the step in that entry, unless somebody has begun to read it. */
static bool drop(weir__ring *ring, uint64_t number, int place) {
  weir__control *control = ring->control;
  uint32_t       state   = WEIR__ENTRY_READY;
  if (atomic_compare_exchange_strong_explicit(&weir__log_entry(ring->data, ring->layout, number)->state, &state,
                                              WEIR__ENTRY_DROPPED, memory_order_acq_rel, memory_order_acquire)) {
    uint64_t dropped = atomic_load_explicit(&control->dropped, memory_order_relaxed);
    atomic_store_explicit(&control->dropped, dropped + 1, memory_order_relaxed);
  } else if (state != WEIR__ENTRY_DROPPED) { /* by the worker, which has counted it */
    return false;
  }
  ring->last[place] = 0;
  return true;
}

/* Take the place of the oldest step that nobody has begun to read. */
static int drop_oldest(weir__ring *ring) {
  if (ring->undroppable < ring->released) ring->undroppable = ring->released;
  for (; ring->undroppable < ring->published; ring->undroppable++) {
    weir__entry *entry = weir__log_entry(ring->data, ring->layout, ring->undroppable);
    int          place = entry->place; /* our own words, but they lie where others could write */
    if (place < 0 || place >= ring->layout->slots || ring->last[place] != ring->undroppable + 1) continue;
    if (!drop(ring, ring->undroppable, place)) continue;
    ring->undroppable++;
    return place;
  }
  return WEIR__PLACE_NONE;
}

/* The log must take every step that can be given a place, and a tombstone behind each: in time tombstones become one.
 */
static uint64_t reserve(const weir__ring *ring) { return 2 * (uint64_t)ring->layout->slots + 2; }

/* May this process decide for a step, and that one be dropped later for another? Then what is reserved must be left. */
static bool has_room(const weir__ring *ring) {
  return free_entries(ring) >= (ring->ledger.oldest ? reserve(ring) + 1 : 2);
}

/* The place that all processes of the node give the step. It is free here, too: in all channels its last step was
 * acknowledged before it was given away, or is dropped. Otherwise that step began before there was this ledger. */
static int try_alike(weir__ring *ring, uint64_t sequence) {
  refresh(ring);
  int place     = weir__ledger_take(&ring->ledger, sequence, has_room(ring));
  ring->pressed = place == WEIR__PLACE_NONE;
  if (place == WEIR__PLACE_NONE) return WEIR__PLACE_NONE;
  refresh(ring);
  if (free_entries(ring) < 2) return WEIR__PLACE_NONE;
  if (ring->last[place] <= ring->released || drop(ring, ring->last[place] - 1, place)) return place;
  return find_free(ring, 0, ring->layout->slots, &ring->next_slot);
}

static int try_place(weir__ring *ring) {
  const weir__terms *terms = ring->terms;
  refresh(ring);
  ring->pressed = true;
  if (free_entries(ring) < 2) return WEIR__PLACE_NONE;
  int place     = find_free(ring, 0, ring->layout->slots, &ring->next_slot);
  ring->pressed = place == WEIR__PLACE_NONE;
  if (place == WEIR__PLACE_NONE && terms->policy == WEIR__POLICY_DROP_OLDEST) place = drop_oldest(ring);
  if (place == WEIR__PLACE_NONE && terms->policy == WEIR__POLICY_SPILL) place = find_spill(ring);
  return place;
}

/* ---- claiming ---- */

static weir_status wait_for_place(weir__ring *ring, int *place, int64_t *blocked_ns) {
  weir__control *control = ring->control;
  weir_status    status  = WEIR_OK;
  int64_t        begin = weir__clock_ns(), now = begin, timeout_ns = ring->terms->timeout_ns;
  for (;;) {
    uint32_t seen = atomic_load_explicit(&control->turn, memory_order_acquire);
    *place        = try_place(ring);
    if (*place != WEIR__PLACE_NONE) break;
    int64_t left = timeout_ns - (now - begin);
    weir__turn_sleep(&control->turn, seen, left < LOOK_NS ? (left > 0 ? left : 0) : LOOK_NS);
    now    = weir__clock_ns();
    *place = try_place(ring);
    if (*place != WEIR__PLACE_NONE) break;
    status = weir__ring_look(ring);
    if (status) break;
    if (now - begin < timeout_ns) continue;
    if (ring->terms->fallback == WEIR__FALLBACK_DROP) ring->dropping = true;
    else
      status = WEIR_FAIL(WEIR_ERR_TIMEOUT, "waited %.3g s for the worker to take one of %d steps",
                         (double)timeout_ns * 1e-9, ring->layout->slots + ring->layout->spill_places);
    break;
  }
  *blocked_ns = weir__clock_ns() - begin;
  weir__control_blocked(control, *blocked_ns);
  return status;
}

weir_status weir__ring_claim(weir__ring *ring, uint64_t sequence, int *place, int64_t *blocked_ns) {
  bool waits  = ring->terms->policy == WEIR__POLICY_BLOCK || ring->terms->policy == WEIR__POLICY_SPILL;
  *blocked_ns = 0;
  *place      = ring->ledger.ledger ? try_alike(ring, sequence) : try_place(ring);
  if (*place != WEIR__PLACE_NONE) ring->dropping = false;
  else if (waits && !ring->dropping) return wait_for_place(ring, place, blocked_ns);
  /* a process that never waits must find out, too, when there is nobody to do it for */
  if (!ring->pressed || weir__clock_ns() - ring->looked_ns < LOOK_NS) return WEIR_OK;
  return weir__ring_look(ring);
}

/* ---- publishing ---- */

/* The log ends with a tombstone: it becomes larger by one. A log that is full always does. */
static void grow_last(weir__ring *ring, const weir__entry *entry) {
  weir__entry *last  = weir__log_entry(ring->data, ring->layout, ring->published - 1);
  uint64_t     more  = atomic_load_explicit(&last->more, memory_order_relaxed) + 1;
  int64_t      saved = atomic_load_explicit(&entry->saved, memory_order_relaxed);
  if (saved != WEIR__CHANNEL_UNSAVED) atomic_store_explicit(&last->saved, saved, memory_order_relaxed);
  atomic_store_explicit(&last->last_step[more & 1], entry->step, memory_order_release);
  atomic_store_explicit(&last->more, more, memory_order_seq_cst); /* as `published` below */
}

void weir__ring_publish(weir__ring *ring, const weir__entry *entry) {
  weir__control *control   = ring->control;
  bool           tombstone = entry->flags & WEIR__ENTRY_TOMBSTONE;
  refresh(ring);
  bool few = ring->ledger.ledger && ring->buried && free_entries(ring) < reserve(ring);
  if (tombstone && (few || !free_entries(ring))) {
    grow_last(ring, entry);
  } else {
    weir__entry *to = weir__log_entry(ring->data, ring->layout, ring->published);
    to->sequence    = entry->sequence;
    to->step        = entry->step;
    to->time        = entry->time;
    to->fired       = entry->fired;
    to->blocked_ns  = entry->blocked_ns;
    to->place       = entry->place;
    to->flags       = entry->flags;
    atomic_store_explicit(&to->state, WEIR__ENTRY_READY, memory_order_relaxed);
    if (tombstone) {
      memcpy(to->why, entry->why, sizeof to->why);
      atomic_store_explicit(&to->more, 0, memory_order_relaxed);
      atomic_store_explicit(&to->last_step[0], entry->step, memory_order_relaxed);
    }
    atomic_store_explicit(&to->saved, atomic_load_explicit(&entry->saved, memory_order_relaxed), memory_order_relaxed);
    ring->published++;
    ring->buried = tombstone;
    if (!tombstone) ring->last[entry->place] = ring->published;
    /* sequentially consistent, as the load of `answer` that follows: either this process sees the worker that takes
     * over and rings its bell, or that worker, which stores its answer before it looks here, sees this step */
    atomic_store_explicit(&control->published, ring->published, memory_order_seq_cst);
  }
  atomic_store_explicit(&control->steps, entry->sequence + 1, memory_order_release);
}
