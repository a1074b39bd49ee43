/* Steps as the worker reads them; ring.c says how the two sides play together.
 *
 * Nothing in shared memory is believed: an entry is copied and checked, and a log that cannot be right ends the channel
 * as if the writer had given up. */
#include "channel/reader.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const uint64_t MORE_MOST = UINT64_C(1) << 48;

/* An entry as it was at one moment. */
typedef struct entry_copy {
  uint64_t sequence, fired, more;
  int64_t  step, last_step, saved, blocked_ns;
  double   time;
  int32_t  place;
  uint32_t flags;
} entry_copy;

weir_status weir__reader_start(weir__channel *self) {
  weir__control *control   = self->control;
  uint64_t       published = atomic_load_explicit(&control->published, memory_order_acquire);
  self->acknowledged       = atomic_load_explicit(&control->acknowledged, memory_order_acquire);
  self->released           = atomic_load_explicit(&control->released, memory_order_acquire);
  if (self->released > published || published - self->released > self->layout.log_entries)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "stream '%s', rank %d: damaged: %" PRIu64 " entries released of %" PRIu64 " published",
                     self->definitions.stream, self->definitions.rank, self->released, published);
  self->first = self->next = self->acknowledged;
  self->cursor             = self->released;
  WEIR_TRY(weir__alloc_array(self->layout.log_entries, sizeof *self->why, &self->why));
  return weir__alloc_array(self->layout.log_entries, sizeof *self->held, &self->held);
}

void weir__reader_clear(weir__channel *self) {
  for (int b = 0; b < WEIR__CHANNEL_HELD_MAX; b++) weir__free(self->buffer[b]);
  weir__free(self->held);
  weir__free(self->why);
}

/* ---- entries ---- */

static weir__channel_event broken(weir__channel *self, const char *what) {
  self->broken = true;
  snprintf(self->message, WEIR__MESSAGE_MAX, "stream '%.63s', rank %d: the log of the channel is damaged: %s",
           self->definitions.stream, self->definitions.rank, what);
  return WEIR__CHANNEL_LOST;
}

/* The size of a tombstone now; false: it is growing at this moment (and the bell will ring). */
static bool read_size(weir__entry *entry, entry_copy *copy) {
  for (int i = 0; i < 4; i++) {
    uint64_t more   = atomic_load_explicit(&entry->more, memory_order_seq_cst);
    copy->more      = more;
    copy->last_step = atomic_load_explicit(&entry->last_step[more & 1], memory_order_acquire);
    if (atomic_load_explicit(&entry->more, memory_order_acquire) == more) return true;
  }
  return false;
}

/* Copy what is constant in an entry; what is wrong with it, or NULL. */
static const char *copy_entry(const weir__channel *self, const weir__entry *entry, entry_copy *copy) {
  uint64_t known   = self->terms.triggers < 64 ? (UINT64_C(1) << self->terms.triggers) - 1 : ~UINT64_C(0);
  copy->sequence   = entry->sequence;
  copy->step       = entry->step;
  copy->time       = entry->time;
  copy->fired      = entry->fired;
  copy->blocked_ns = entry->blocked_ns;
  copy->place      = entry->place;
  copy->flags      = entry->flags;
  if (self->located ? copy->sequence != self->begins : copy->sequence > self->next)
    return "a sequence number is out of order";
  if (copy->sequence > UINT64_MAX / 2) return "a sequence number is out of range";
  bool step = copy->flags == 0 || copy->flags == WEIR__ENTRY_ALIKE;
  if (!step && (copy->flags & ~(uint32_t)WEIR__ENTRY_LEFT_OUT) != WEIR__ENTRY_TOMBSTONE)
    return "an entry of no known kind";
  if (!isfinite(copy->time) || copy->blocked_ns < 0) return "a time is out of range";
  if (!copy->fired || copy->fired & ~known) return "a trigger that nobody asked for";
  if (!step) return NULL;
  int places = self->layout.slots + (self->spill_fd >= 0 ? self->layout.spill_places : 0);
  return copy->place < 0 || copy->place >= places ? "a place is out of range" : NULL;
}

static int free_buffer(const weir__channel *self) {
  for (int b = 0; b < self->terms.held; b++)
    if (!self->in_use[b]) return b;
  return -1;
}

/* Why there is no step at the cursor, in our own memory. */
static char *why_of(const weir__channel *self) { return self->why[self->cursor % self->layout.log_entries]; }

/* A spilled step into memory; what cannot be read becomes a tombstone. */
static void read_spilled(weir__channel *self, int buffer, entry_copy *copy, weir__held *held) {
  weir_status status = WEIR_OK;
  if (!self->buffer[buffer]) status = weir__alloc_zeroed(self->layout.slot_bytes, WEIR__LINE, &self->buffer[buffer]);
  if (!status) status = weir__spill_read(self->spill_fd, &self->layout, copy->place, self->buffer[buffer]);
  if (status) {
    copy->flags |= WEIR__ENTRY_TOMBSTONE;
    snprintf(why_of(self), WEIR__WHY_MAX, "%s", weir_error_last());
    return;
  }
  self->in_use[buffer] = true;
  held->buffer         = buffer;
  held->memory         = self->buffer[buffer];
}

/* Has the step been dropped from the ledger, but its process has not come to do it here? Then this worker does. */
static void drop_as_others(weir__channel *self, weir__entry *entry, const entry_copy *copy) {
  uint32_t ready = WEIR__ENTRY_READY;
  if (!self->ledger.ledger || !self->ledger.oldest || !(copy->flags & WEIR__ENTRY_ALIKE)) return;
  if (weir__ledger_read(&self->ledger, copy->sequence)) return;
  if (!atomic_compare_exchange_strong_explicit(&entry->state, &ready, WEIR__ENTRY_DROPPED, memory_order_acq_rel,
                                               memory_order_acquire))
    return;
  uint64_t dropped = atomic_load_explicit(&self->control->dropped_unread, memory_order_relaxed);
  atomic_store_explicit(&self->control->dropped_unread, dropped + 1, memory_order_relaxed);
}

/* Begin to read a step: from now on the writer does not touch its place. */
static weir__channel_event take(weir__channel *self, weir__entry *entry, entry_copy *copy, weir__held *held) {
  bool     spilled = copy->place >= self->layout.slots;
  int      buffer  = spilled ? free_buffer(self) : -1;
  uint32_t state   = WEIR__ENTRY_READY;
  if (spilled && buffer < 0) return WEIR__CHANNEL_NOTHING; /* until a step is done */
  drop_as_others(self, entry, copy);
  if (!atomic_compare_exchange_strong_explicit(&entry->state, &state, WEIR__ENTRY_TAKEN, memory_order_acq_rel,
                                               memory_order_acquire)) {
    if (state > WEIR__ENTRY_DROPPED) return broken(self, "an entry of no known state");
    if (state == WEIR__ENTRY_DROPPED) {
      copy->flags = WEIR__ENTRY_TOMBSTONE | WEIR__ENTRY_LEFT_OUT;
      snprintf(why_of(self), WEIR__WHY_MAX, "no room: dropped");
      return WEIR__CHANNEL_STEP;
    }
  }
  if (spilled) read_spilled(self, buffer, copy, held);
  else held->memory = weir__slot_at(self->data, &self->layout, copy->place);
  held->readable = held->memory != NULL;
  return WEIR__CHANNEL_STEP;
}

static void fill_record(const weir__channel *self, const entry_copy *copy, const weir__held *held,
                        weir__channel_record *record) {
  bool tombstone = copy->flags & WEIR__ENTRY_TOMBSTONE;
  *record        = (weir__channel_record){.sequence   = self->next,
                                          .step       = copy->sequence == self->next ? copy->step : copy->last_step,
                                          .time       = copy->time,
                                          .fired      = copy->fired,
                                          .tombstone  = tombstone,
                                          .dropped    = copy->flags & WEIR__ENTRY_LEFT_OUT,
                                          .spilled    = held->buffer >= 0,
                                          .why        = why_of(self),
                                          .more       = copy->sequence + copy->more - self->next,
                                          .last_step  = copy->last_step,
                                          .saved      = copy->saved,
                                          .blocked_ns = copy->blocked_ns};
}

/* The entry at the cursor. STEP: `record` is filled; END: there was nothing new in it, and the cursor has moved on;
 * NOTHING, LOST. `last`: no other entry follows yet. */
static weir__channel_event read_entry(weir__channel *self, bool last, weir__channel_record *record) {
  weir__entry        *entry = weir__log_entry(self->data, &self->layout, self->cursor);
  weir__held         *held  = &self->held[self->cursor % self->layout.log_entries];
  entry_copy          copy  = {0};
  weir__channel_event event = WEIR__CHANNEL_STEP;
  weir__held          fresh = {.buffer = -1};
  const char         *wrong = copy_entry(self, entry, &copy);
  if (wrong) return broken(self, wrong);
  fresh.sequence = copy.sequence;
  bool step      = !(copy.flags & WEIR__ENTRY_TOMBSTONE);
  copy.last_step = copy.step;
  if (step && copy.sequence >= self->next) event = take(self, entry, &copy, &fresh);
  if (!step && !read_size(entry, &copy)) return WEIR__CHANNEL_NOTHING;
  if (!step && !self->seen) { /* otherwise it has been told */
    memcpy(why_of(self), entry->why, WEIR__WHY_MAX);
    why_of(self)[WEIR__WHY_MAX - 1] = 0;
  }
  if (event != WEIR__CHANNEL_STEP) return event;
  copy.saved = atomic_load_explicit(&entry->saved, memory_order_relaxed);
  if (copy.saved >= copy.last_step) {
    if (step) return broken(self, "a saved step is out of range");
    copy.saved = WEIR__CHANNEL_UNSAVED; /* it belongs to what the tombstone grows by next */
  }
  if (copy.more > MORE_MOST || copy.last_step < copy.step) return broken(self, "a tombstone is out of range");
  if (copy.more + 1 < self->seen) return broken(self, "a tombstone has shrunk");
  *held         = fresh;
  self->located = true;
  self->begins  = copy.sequence;
  uint64_t end  = copy.sequence + copy.more + 1;
  bool     news = end > self->next;
  if (news) fill_record(self, &copy, held, record);
  if (news) self->next = end;
  if (step || (!last && !news)) {
    self->cursor++;
    self->seen   = 0;
    self->begins = end;
  } else {
    self->seen = copy.more + 1;
  }
  if (news) return WEIR__CHANNEL_STEP;
  return step || !last ? WEIR__CHANNEL_END : WEIR__CHANNEL_NOTHING;
}

weir__channel_event weir__channel_next(weir__channel *self, weir__channel_record *record) {
  if (self->broken) return WEIR__CHANNEL_LOST;
  if (self->ended) return WEIR__CHANNEL_END;
  if (!self->data) return WEIR__CHANNEL_NOTHING;
  /* the state first: a step published before the stream was closed must not be overlooked */
  uint32_t            state     = atomic_load_explicit(&self->control->state, memory_order_acquire);
  uint64_t            published = atomic_load_explicit(&self->control->published, memory_order_seq_cst);
  weir__channel_event event     = WEIR__CHANNEL_END;
  if (published < self->cursor + (self->seen != 0) || published - self->released > self->layout.log_entries)
    return broken(self, "the number of entries is out of range");
  while (event == WEIR__CHANNEL_END && self->cursor < published)
    event = read_entry(self, self->cursor + 1 == published, record);
  if (event == WEIR__CHANNEL_STEP) self->any = true;
  if (event == WEIR__CHANNEL_STEP || event == WEIR__CHANNEL_LOST) return event;
  bool all = self->cursor + (self->seen != 0) == published; /* not so while a spilled step waits for a buffer */
  if (!all || state == WEIR__STATE_MAPPED || state == WEIR__STATE_OPEN) return WEIR__CHANNEL_NOTHING;
  return state == WEIR__STATE_CLOSED ? WEIR__CHANNEL_END : WEIR__CHANNEL_LOST;
}

/* ---- steps that were read ---- */

/* What is held of the step with that sequence number; NULL: it was not read, or is acknowledged. */
static weir__held *find(const weir__channel *self, uint64_t sequence) {
  uint64_t low = self->released, high = self->cursor + (self->seen != 0), entries = self->layout.log_entries;
  if (sequence >= self->next || sequence < self->acknowledged || low >= high) return NULL;
  while (high - low > 1) { /* the last entry that begins at or before it */
    uint64_t middle = low + (high - low) / 2;
    if (self->held[middle % entries].sequence <= sequence) low = middle;
    else high = middle;
  }
  return self->held[low % entries].sequence <= sequence ? &self->held[low % entries] : NULL;
}

/* Where the data of `count` pieces are that lie one after another; NULL when any is not there. `held`: of the step. */
static void *data_of(const weir__channel *self, const weir__held *held, int piece, int count) {
  const weir__layout_piece *p = &self->layout.piece[piece];
  if (!p->wanted) return NULL;
  if (p->is_static) return weir__at(self->data, p->at);
  if (!held->memory || memchr((const uint8_t *)held->memory + piece, 0, (size_t)count)) return NULL;
  void *memory = weir__at(held->memory, p->at);
  if (self->terms.in_place) memcpy(&memory, memory, sizeof memory);
  return memory;
}

/* Of a step that can be looked at; NULL: it cannot. */
static const weir__held *find_readable(const weir__channel *self, uint64_t sequence) {
  const weir__held *held = find(self, sequence);
  return held && (!held->memory || held->readable) ? held : NULL;
}

weir_status weir__channel_piece(const weir__channel *self, uint64_t sequence, int piece, weir_view *view) {
  if (!self->data || piece < 0 || piece >= self->layout.pieces)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "piece %d of a channel with %d", piece, self->data ? self->layout.pieces : 0);
  const weir__layout_piece     *p    = &self->layout.piece[piece];
  const weir__channel_piece_of *of   = &self->definitions.piece[piece];
  const weir__held             *held = p->is_static ? NULL : find_readable(self, sequence);
  if (p->is_static && !self->any) return WEIR_FAIL(WEIR_ERR_STATE, "static pieces can be read once a step was read");
  if (!p->is_static && !held)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "step with sequence number %" PRIu64 " is not held", sequence);
  bool whole    = self->terms.in_place && !p->is_static;
  *view         = weir__view_dense(data_of(self, held, piece, 1), &self->definitions.field[of->field].type,
                           whole ? &of->region : &p->region);
  view->missing = !view->data;
  return WEIR_OK;
}

const void *weir__channel_pieces(const weir__channel *self, uint64_t sequence, int piece, int count, size_t bytes) {
  if (!self->data || piece < 0 || count < 1 || count > self->layout.pieces - piece) return NULL;
  const weir__layout_piece *first = &self->layout.piece[piece], *last = first + count - 1;
  const weir__held         *held = first->is_static ? NULL : find_readable(self, sequence);
  if (first->is_static ? !self->any : !held) return NULL;
  if (count > 1 && (first->is_static || self->terms.in_place || last->at + last->bytes - first->at != bytes))
    return NULL;
  return data_of(self, held, piece, count);
}

static void let_go(weir__channel *self, weir__held *held) {
  held->readable = false;
  if (held->buffer >= 0) self->in_use[held->buffer] = false;
  held->buffer = -1;
}

void weir__channel_done(weir__channel *self, uint64_t sequence) {
  weir__held *held = self->data ? find(self, sequence) : NULL;
  if (held) let_go(self, held);
}

void weir__channel_acknowledge(weir__channel *self, uint64_t before) {
  uint64_t entries = self->layout.log_entries;
  if (!self->data || self->broken) return;
  if (before > self->next) before = self->next;
  if (before <= self->acknowledged) return;
  self->acknowledged = before;
  while (self->released < self->cursor) { /* an entry ends where the next one begins */
    bool     next = self->released + 1 < self->cursor + (self->seen != 0);
    uint64_t end  = next ? self->held[(self->released + 1) % entries].sequence : self->begins;
    if (end > before) break;
    let_go(self, &self->held[self->released++ % entries]);
  }
  /* in this order: entries that are released must be acknowledged */
  atomic_store_explicit(&self->control->acknowledged, before, memory_order_release);
  atomic_store_explicit(&self->control->released, self->released, memory_order_release);
  if (self->ledger.ledger) weir__ledger_acknowledge(&self->ledger, self->ledger_process, before);
  weir__turn_wake(&self->control->turn);
}

uint64_t weir__channel_first(const weir__channel *channel) { return channel->first; }

/* ---- invariants ---- */

static weir_status check_entry(const weir__channel *self, uint64_t number, uint8_t *used) {
  const weir__entry *entry = weir__log_entry(self->data, &self->layout, number);
  uint32_t           state = atomic_load_explicit(&entry->state, memory_order_acquire);
  if (state > WEIR__ENTRY_DROPPED)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "ring: the state of entry %" PRIu64 " is %u", number, (unsigned)state);
  if (number < self->cursor && entry->sequence != self->held[number % self->layout.log_entries].sequence)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "ring: entry %" PRIu64 " holds step %" PRIu64 ", not %" PRIu64, number,
                     entry->sequence, self->held[number % self->layout.log_entries].sequence);
  if (entry->flags & WEIR__ENTRY_TOMBSTONE || state == WEIR__ENTRY_DROPPED) return WEIR_OK;
  if (entry->place < 0 || entry->place >= self->layout.slots + self->layout.spill_places || used[entry->place]++)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "ring: the place %d of entry %" PRIu64 " is wrong or used twice",
                     (int)entry->place, number);
  return WEIR_OK;
}

/* True at any time in the worker's thread, whatever the writer is doing. */
weir_status weir__channel_check(const weir__channel *self) {
  uint8_t    *used;
  weir_status status = WEIR_OK;
  if (!self->data || self->broken) return WEIR_OK;
  uint64_t published = atomic_load_explicit(&self->control->published, memory_order_acquire);
  if (self->released > self->cursor || self->cursor > published ||
      published - self->released > self->layout.log_entries || self->acknowledged > self->next ||
      atomic_load_explicit(&self->control->released, memory_order_relaxed) != self->released ||
      atomic_load_explicit(&self->control->acknowledged, memory_order_relaxed) != self->acknowledged)
    return WEIR_FAIL(WEIR_ERR_INTERNAL,
                     "ring: %" PRIu64 " entries released and %" PRIu64 " read of %" PRIu64 " published, step %" PRIu64
                     " acknowledged and %" PRIu64 " read",
                     self->released, self->cursor, published, self->acknowledged, self->next);
  WEIR_TRY(weir__alloc_array((size_t)(self->layout.slots + self->layout.spill_places), 1, &used));
  for (uint64_t n = self->released; n < published && !status; n++) status = check_entry(self, n, used);
  weir__free(used);
  return status;
}

void weir__channel_rewind(weir__channel *self) {
  self->ended = false;
  if (!self->data) return;
  for (uint64_t e = 0; e < self->layout.log_entries; e++) self->held[e] = (weir__held){.buffer = -1};
  memset(self->in_use, 0, sizeof self->in_use);
  self->next    = self->acknowledged;
  self->cursor  = self->released;
  self->seen    = 0;
  self->located = false;
}
