/* The ring of a channel: steps from one process to one worker, each in a slot of shared memory.
 *
 * Requirements
 *   - the writer copies a step once, into its place; the reader computes from that place; neither makes a system call
 * per step unless the other one sleeps;
 *   - slots may be given back in any order (several steps are analysed at once);
 *   - either side may be killed between any two instructions: the other one never hangs and never reads half a step;
 *   - the order on every weakly ordered machine follows from acquire and release alone; there are no fences (thread
 * sanitizers do not understand them).
 *
 *      sequence     0    1    2    3    4    5            slots = 4: sequence s is in slot s % 4
 *      word        full free full full  -    -            released = 1   (a count: 1 came back before 0)
 *                                       ^ published = 4   next for the writer: s = 4, slot 0, which is full: it waits
 *
 * Phases of a slot, and who may touch it
 *   FREE     the writer fills header, presence and pieces; nobody looks.
 *            Publish: word = FULL, then published = s + 1 (release). What was written is visible to whoever loads
 * `published` (acquire) and finds it above s. FULL     the worker reads, from any thread; nobody writes. Release: word
 * exchanged to FREE (acquire-release: the worker's reads are over before the writer, which loads the word with acquire,
 * writes again). AWAITED  as FULL, but the writer sleeps on the word: it turned FULL into AWAITED by compare-and-swap,
 * so the exchange of the release sees either FULL (and the swap fails: the slot is free already) or AWAITED (and wakes
 * it). No wake-up can fall between looking and sleeping, because the kernel compares the word again. A writer that
 * gives up leaves AWAITED behind: the release then wakes nobody, which is harmless.
 *
 * The writer sleeps at most LOOK_NS at a time, and then looks whether the worker lives. */
#include "channel/segment.h"
#include "core/clock.h"
#include <limits.h>
#include <inttypes.h>

static const int64_t LOOK_NS = 100000000; /* a dead worker is noticed this late, at most */

/* One turn of waiting for a slot: true when it is free now. */
static bool await_slot(_Atomic uint32_t *word, int64_t timeout_ns) {
  uint32_t seen = atomic_load_explicit(word, memory_order_acquire);
  if (seen == WEIR__SLOT_FREE) return true;
  if (seen == WEIR__SLOT_FULL && !atomic_compare_exchange_strong_explicit(word, &seen, WEIR__SLOT_AWAITED,
                                                                          memory_order_acquire, memory_order_acquire))
    return true; /* only the worker changes a full slot, and only to free */
  weir__futex_wait(word, WEIR__SLOT_AWAITED, timeout_ns, true);
  return atomic_load_explicit(word, memory_order_acquire) == WEIR__SLOT_FREE;
}

weir_status weir__ring_claim(weir__control *control, weir__data *data, const weir__layout *layout, uint64_t sequence,
                             int64_t *blocked_ns) {
  _Atomic uint32_t *word = &weir__ring_word(data, layout, sequence)->word;
  *blocked_ns            = 0;
  if (atomic_load_explicit(word, memory_order_acquire) == WEIR__SLOT_FREE) return WEIR_OK;

  weir_status status = WEIR_OK;
  int64_t     begin = weir__clock_ns(), now = begin;
  for (;;) {
    int64_t left = control->timeout_ns - (now - begin);
    if (await_slot(word, left < LOOK_NS ? (left > 0 ? left : 0) : LOOK_NS)) break;
    now = weir__clock_ns();
    if (atomic_load_explicit(&control->answer, memory_order_acquire) == WEIR__ANSWER_LEFT) {
      status = WEIR_FAIL(WEIR_ERR_GONE, "the worker (process %" PRId64 ") has left", control->worker_pid);
      break;
    }
    if (!weir__process_alive(control->worker_pid, control->worker_start)) {
      status = WEIR_FAIL(WEIR_ERR_GONE, "the worker (process %" PRId64 ") has died", control->worker_pid);
      break;
    }
    if (now - begin >= control->timeout_ns) {
      status = WEIR_FAIL(WEIR_ERR_TIMEOUT, "waited %.3g s for the worker to take one of %d steps",
                         (double)control->timeout_ns * 1e-9, layout->slots);
      break;
    }
  }
  *blocked_ns = weir__clock_ns() - begin;
  /* one writer, so a plain sum; atomic because the worker reads it at any time */
  int64_t total = atomic_load_explicit(&control->blocked_ns, memory_order_relaxed);
  atomic_store_explicit(&control->blocked_ns, total + *blocked_ns, memory_order_relaxed);
  return status;
}

void weir__ring_publish(weir__control *control, weir__data *data, const weir__layout *layout, uint64_t sequence) {
  atomic_store_explicit(&weir__ring_word(data, layout, sequence)->word, WEIR__SLOT_FULL, memory_order_release);
  atomic_store_explicit(&control->published, sequence + 1, memory_order_release);
}

bool weir__ring_published(const weir__control *control, uint64_t sequence) {
  return atomic_load_explicit(&control->published, memory_order_acquire) > sequence;
}

bool weir__ring_release(weir__control *control, weir__data *data, const weir__layout *layout, uint64_t sequence) {
  weir__slot_word  *slot = weir__ring_word(data, layout, sequence);
  const weir__slot *held = weir__ring_slot(data, layout, sequence);
  if (!weir__ring_published(control, sequence) ||
      atomic_load_explicit(&slot->word, memory_order_acquire) == WEIR__SLOT_FREE || held->sequence != sequence)
    return false;
  /* counted first, so that `released` never lags behind the words (see the check) */
  atomic_fetch_add_explicit(&control->released, 1, memory_order_relaxed);
  if (atomic_exchange_explicit(&slot->word, WEIR__SLOT_FREE, memory_order_acq_rel) == WEIR__SLOT_AWAITED)
    weir__futex_wake(&slot->word, INT_MAX, true);
  return true;
}

/* True at any time in the worker's thread, whatever the writer is doing, as long as no other thread releases. */
weir_status weir__ring_check(const weir__control *control, const weir__data *data, const weir__layout *layout) {
  uint64_t slots = (uint64_t)layout->slots, full = 0;
  uint64_t released = atomic_load_explicit(&control->released, memory_order_acquire);
  uint64_t before   = atomic_load_explicit(&control->published, memory_order_acquire);
  if (data->slots != slots || data->slot_bytes != layout->slot_bytes || data->slots_at != layout->slots_at ||
      data->header.total_bytes != layout->total)
    return WEIR_FAIL(WEIR_ERR_INTERNAL,
                     "ring: the geometry changed: %" PRIu64 " slots of %" PRIu64 " bytes, expected %" PRIu64 " of %zu",
                     data->slots, data->slot_bytes, slots, layout->slot_bytes);
  if (released > before || before - released > slots)
    return WEIR_FAIL(WEIR_ERR_INTERNAL,
                     "ring: %" PRIu64 " steps released of %" PRIu64 " published, with %" PRIu64 " slots", released,
                     before, slots);
  for (uint64_t s = 0; s < slots; s++) {
    uint32_t word = atomic_load_explicit(&weir__ring_word(data, layout, s)->word, memory_order_acquire);
    if (word > WEIR__SLOT_AWAITED)
      return WEIR_FAIL(WEIR_ERR_INTERNAL, "ring: the word of slot %" PRIu64 " is %u", s, (unsigned)word);
    full += word != WEIR__SLOT_FREE;
  }
  uint64_t after = atomic_load_explicit(&control->published, memory_order_acquire);
  /* a word is FULL just before it is counted in `published`, and the writer may publish while we count */
  if (full < before - released || full > after + 1 - released)
    return WEIR_FAIL(WEIR_ERR_INTERNAL,
                     "ring: %" PRIu64 " full slots, but %" PRIu64 " to %" PRIu64 " steps are not released", full,
                     before - released, after - released);
  /* slots of steps surely published and not free still hold them */
  for (uint64_t s = before > slots ? before - slots : 0; s < before; s++) {
    if (atomic_load_explicit(&weir__ring_word(data, layout, s)->word, memory_order_acquire) == WEIR__SLOT_FREE)
      continue;
    if (!weir__ring_published(control, s + slots) && weir__ring_slot(data, layout, s)->sequence % slots != s % slots)
      return WEIR_FAIL(WEIR_ERR_INTERNAL, "ring: the slot of step %" PRIu64 " holds step %" PRIu64, s,
                       weir__ring_slot(data, layout, s)->sequence);
  }
  return WEIR_OK;
}
