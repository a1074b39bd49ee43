/* The ledger: which steps have a place, alike in all processes of a stream on a node.
 *
 * Processes that leave out steps for want of room (policies DROP_NEWEST and DROP_OLDEST) must leave out the same ones:
 * a step that one of them lacks is worth nothing to the analysis. They never talk to each other, so the first process
 * that comes to a step decides it here, for all of them.
 *
 * Requirements
 *   - nobody waits for anybody: a process may be thousands of steps ahead of another, or be killed between any two
 *     instructions;
 *   - a step that was granted has a place in the ring of every process, free by the time it gets there;
 *   - a step is never dropped in one channel and read in another;
 *   - whatever stands here, the worst that happens is that steps are left out.
 *
 *     decided        steps below 8 are decided; the last of them, 7, has place 1
 *     place          step 6, read | step 7, queued, 2 processes have come to it | step 3, read
 *     acknowledged   4 | 3 | 4          per process: all steps below are, and their places are free
 *
 * A place here is the same place in the ring of every process. It can be given away once the step that has it is
 * acknowledged in all channels of the node, which the workers write here after they have released it there. When the
 * oldest are to be dropped: also as long as no worker has begun to read that step, once all processes have come to all
 * that is queued. (Else a process far ahead would drop steps as soon as the last of the others came to them, or before;
 * none would be whole for long enough to be read.) A process whose log is all but full does not count as having come:
 * the step that replaces one needs an entry there, too, and that of the dropped one is free only when acknowledged.
 * So the places say all that is to be known of a step that was decided: it was left out or dropped if it has none.
 *
 * How a step is decided
 *   1. whoever comes first writes the step into a place by compare-and-swap, as PROPOSED, or finds no place;
 *   2. it swaps `decided` to this step and that place (or none), which only one process can: this is the decision;
 *   3. before it acts on it, and before it swaps `decided` any further, every process makes the proposal of that place
 *      QUEUED. A proposal that was not chosen is void, and its place free.
 * A process killed after 1 leaves a proposal that others take up or pass over; killed after 2, the others do 3.
 *
 * A worker that begins to read a step swaps QUEUED to READ, from where nobody takes the place.
 *
 * It lies in the control segment of the first process of the stream on the node, so that it outlives the workers: those
 * that take over find it as they find the channels. */
#include "channel/segment.h"
#include <stdatomic.h>

enum { PROPOSED, QUEUED, READ };
enum { STATE_BITS = 2, TAKERS_BITS = 11, PLACE_BITS = 10 };
enum { TRIES = 64 /* at a step; each fails only because another process has got further */ };
_Static_assert(WEIR__CHANNEL_SLOTS_MAX < 1 << PLACE_BITS, "a place or none must fit into its bits");
_Static_assert(WEIR__CHANNEL_NODE_MAX < 1 << TAKERS_BITS, "all processes must fit into their bits");

/* ---- words: a sequence number + 1 (0: none), and below it what is said of that step ---- */

static uint64_t decided_word(uint64_t sequence, int place) {
  return (sequence + 1) << PLACE_BITS | (uint64_t)(place == WEIR__PLACE_NONE ? 0 : place + 1);
}
static uint64_t decided_count(uint64_t word) { return word >> PLACE_BITS; }
static int      decided_place(uint64_t word) {
       int place = (int)(word & ((1u << PLACE_BITS) - 1));
       return place ? place - 1 : WEIR__PLACE_NONE;
}

static uint64_t place_word(uint64_t sequence, unsigned state) {
  return (sequence + 1) << (TAKERS_BITS + STATE_BITS) | state;
}
static uint64_t place_count(uint64_t word) { return word >> (TAKERS_BITS + STATE_BITS); }
static unsigned place_state(uint64_t word) { return (unsigned)word & ((1u << STATE_BITS) - 1); }
static int      place_takers(uint64_t word) { return (int)(word >> STATE_BITS & ((1u << TAKERS_BITS) - 1)); }
static uint64_t one_taker_more(uint64_t word) {
  return place_takers(word) < WEIR__CHANNEL_NODE_MAX ? word + (1u << STATE_BITS) : word;
}
static uint64_t now_read(uint64_t word) { return word - QUEUED + READ; }

static uint64_t load(_Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_seq_cst); }
static bool     swap(_Atomic uint64_t *word, uint64_t *from, uint64_t to) {
      return atomic_compare_exchange_strong_explicit(word, from, to, memory_order_seq_cst, memory_order_seq_cst);
}

/* ---- finding it ---- */

weir_status weir__ledger_open(weir__ledger_view *view, int64_t pid, int fd) {
  weir_status status = weir__shared_open("ledger of the node", pid, fd, WEIR__CONTROL_MAGIC, sizeof *view->control,
                                         &view->control, &view->control_bytes);
  if (!status) view->ledger = &view->control->ledger;
  return status;
}

void weir__ledger_close(weir__ledger_view *view) {
  weir__shared_unmap(&view->control, view->control_bytes);
  view->ledger = NULL;
}

/* ---- steps that have a place ---- */

static bool has(uint64_t word, uint64_t sequence) {
  return place_count(word) == sequence + 1 && (place_state(word) == QUEUED || place_state(word) == READ);
}

/* The place of a step that was decided; WEIR__PLACE_NONE: it was left out, or dropped since. */
static int find(const weir__ledger_view *view, uint64_t sequence) {
  for (int i = 0; i < view->slots; i++)
    if (has(load(&view->ledger->place[i]), sequence)) return i;
  return WEIR__PLACE_NONE;
}

/* What `word` decides holds from now on. The place, unless the step was dropped already. */
static int confirm(const weir__ledger_view *view, uint64_t word) {
  int place = decided_place(word);
  if (!decided_count(word) || place == WEIR__PLACE_NONE || place >= view->slots) return WEIR__PLACE_NONE;
  uint64_t sequence = decided_count(word) - 1, proposed = place_word(sequence, PROPOSED);
  swap(&view->ledger->place[place], &proposed, place_word(sequence, QUEUED));
  return has(load(&view->ledger->place[place]), sequence) ? place : WEIR__PLACE_NONE;
}

/* Change what is said of a queued step; false: it has that place no more. It changes as often as there are processes,
 * and once more. */
static bool amend(const weir__ledger_view *view, int place, uint64_t sequence, uint64_t (*change)(uint64_t)) {
  _Atomic uint64_t *at   = &view->ledger->place[place];
  uint64_t          word = load(at);
  for (int i = 0; i <= view->processes + 1 && has(word, sequence) && place_state(word) == QUEUED; i++)
    if (swap(at, &word, change(word))) return true;
  return has(word, sequence);
}

/* ---- deciding ---- */

/* Below it all steps are acknowledged everywhere. */
static uint64_t find_settled(const weir__ledger_view *view) {
  uint64_t least = UINT64_MAX;
  for (int p = 0; p < view->processes; p++) {
    uint64_t to = load(&view->ledger->acknowledged[p]);
    if (to < least) least = to;
  }
  return least;
}

/* The best place for a step, and what stands there: one that is proposed for it, or a free one, or that of the oldest
 * step if that may be dropped. `decided`: so many steps are. */
static int choose(const weir__ledger_view *view, uint64_t sequence, uint64_t decided, uint64_t *was) {
  int      best   = WEIR__PLACE_NONE;
  uint64_t oldest = UINT64_MAX;
  bool     drops  = view->oldest;
  for (int i = 0; i < view->slots; i++) {
    uint64_t word  = load(&view->ledger->place[i]);
    uint64_t count = place_count(word);
    unsigned state = place_state(word);
    if (word == place_word(sequence, PROPOSED)) {
      *was = word;
      return i;
    }
    if (count <= (state == PROPOSED ? decided : view->settled)) count = 0; /* void, or acknowledged: free */
    else if (state == QUEUED) drops &= place_takers(word) >= view->processes;
    if (count && state != QUEUED) continue;
    if (count >= oldest) continue;
    oldest = count;
    best   = i;
    *was   = word;
  }
  if (best != WEIR__PLACE_NONE && oldest && !drops) best = WEIR__PLACE_NONE;
  return best;
}

/* Propose a place; WEIR__PLACE_NONE: there is none, or (`*again`) another process was faster. */
static int propose(weir__ledger_view *view, uint64_t sequence, uint64_t decided, bool *again) {
  uint64_t word  = 0;
  int      place = choose(view, sequence, decided, &word);
  *again         = false;
  if (place == WEIR__PLACE_NONE || (view->oldest && word)) { /* there may be a free one meanwhile */
    uint64_t before = view->settled, settled = find_settled(view);
    if (settled > before) view->settled = settled;
    if (settled > before) place = choose(view, sequence, decided, &word);
  }
  if (place == WEIR__PLACE_NONE || word == place_word(sequence, PROPOSED)) return place;
  if (swap(&view->ledger->place[place], &word, place_word(sequence, PROPOSED))) return place;
  *again = true;
  return WEIR__PLACE_NONE;
}

int weir__ledger_take(weir__ledger_view *view, uint64_t sequence, bool room) {
  weir__ledger *ledger   = view->ledger;
  int           proposed = WEIR__PLACE_NONE, place = WEIR__PLACE_NONE;
  for (int i = 0; i < TRIES; i++) {
    uint64_t word  = load(&ledger->decided);
    uint64_t count = decided_count(word);
    bool     again = false;
    place          = confirm(view, word);
    if (count > sequence) {
      if (count > sequence + 1) place = find(view, sequence);
      break;
    }
    place = room ? propose(view, sequence, count, &again) : WEIR__PLACE_NONE;
    if (place != WEIR__PLACE_NONE) proposed = place;
    if (!again) swap(&ledger->decided, &word, decided_word(sequence, place));
    place = WEIR__PLACE_NONE;
  }
  if (proposed != WEIR__PLACE_NONE && proposed != place) { /* void, unless it was chosen */
    uint64_t word = place_word(sequence, PROPOSED);
    swap(&ledger->place[proposed], &word, 0);
  }
  if (place == WEIR__PLACE_NONE || !view->oldest || !room) return place;
  return amend(view, place, sequence, one_taker_more) ? place : WEIR__PLACE_NONE;
}

/* ---- by the workers ---- */

bool weir__ledger_read(const weir__ledger_view *view, uint64_t sequence) {
  int place = find(view, sequence);
  return place != WEIR__PLACE_NONE && amend(view, place, sequence, now_read);
}

void weir__ledger_acknowledge(const weir__ledger_view *view, int process, uint64_t before) {
  if (process < view->processes)
    atomic_store_explicit(&view->ledger->acknowledged[process], before, memory_order_seq_cst);
}
