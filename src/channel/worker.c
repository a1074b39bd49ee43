/* The worker's end of a channel. */
#include "channel/segment.h"
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t TIMEOUT_NS = 600000000000;

struct weir__channel {
  int64_t                   pid, start; /* of the process */
  weir__control            *control;
  weir__data               *data; /* NULL before it is mapped */
  weir__arena               arena;
  weir__channel_definitions definitions;
  weir__layout              layout; /* empty before the demands are posted */
  uint64_t                  next;   /* sequence number not read yet */
  bool                      posted, refused, ended;
  char                      message[WEIR__MESSAGE_MAX];
};

/* ---- triggers ---- */

bool weir__channel_trigger_fires(const weir__channel_trigger *trigger, int64_t step, double time, double previous) {
  if (trigger->period > 0) {
    if (trigger->period == 1) return true;
    int64_t rest = step % trigger->period, phase = trigger->phase % trigger->period;
    if (rest < 0) rest += trigger->period;
    if (phase < 0) phase += trigger->period;
    if (rest == phase) return true;
  }
  if (!(trigger->interval > 0)) return false;
  return isnan(previous) || floor(time / trigger->interval) > floor(previous / trigger->interval);
}

/* ---- attaching ---- */

/* The definitions are copied before they are read: the process cannot change them under our hands. */
static weir_status read_definitions(weir__channel *self, const char *what) {
  const weir__control *control = self->control;
  uint64_t             total   = control->header.total_bytes, room;
  char                *copy;
  if (control->pieces < 0 || __builtin_mul_overflow((uint64_t)control->pieces, sizeof(weir__channel_demand), &room) ||
      control->demands_at != sizeof *control || room > total - sizeof *control ||
      control->definitions_at != control->demands_at + room ||
      control->definitions_bytes != total - control->definitions_at)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: damaged header", what);
  WEIR_TRY(weir__arena_alloc(&self->arena, control->definitions_bytes, &copy));
  memcpy(copy, weir__at(control, control->definitions_at), control->definitions_bytes);
  weir_status status = weir__definitions_unpack(copy, control->definitions_bytes, &self->arena, &self->definitions);
  if (status) return weir__error_prefix(status, "%s", what);
  if (self->definitions.pieces != control->pieces) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: damaged header", what);
  return WEIR_OK;
}

weir_status weir__channel_attach(const char *run_dir, const char *stream, int rank, weir__channel **channel) {
  weir_status    status = WEIR_OK;
  char           host[256], name[400], what[200];
  weir__note     note;
  weir__channel *self;

  weir__channel_host(host);
  snprintf(what, sizeof what, "stream '%.63s', rank %d", stream, rank);
  snprintf(name, sizeof name, "%s.%.*s.%d", host, WEIR__CHANNEL_NAME_MAX, stream, rank);
  WEIR_TRY(weir__note_read(run_dir, name, &note));
  if (!weir__process_alive(note.pid, note.start))
    return WEIR_FAIL(WEIR_ERR_GONE, "%s: process %" PRId64 " has ended", what, note.pid);
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->pid   = note.pid;
  self->start = note.start;
  WEIR_TRY_GOTO(out,
                weir__shared_open(what, note.pid, note.fd, WEIR__CONTROL_MAGIC, sizeof *self->control, &self->control));
  if (self->control->pid != note.pid || self->control->start != note.start) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: the control segment belongs to process %" PRId64 ", expected %" PRId64,
                       what, self->control->pid, note.pid);
    goto out;
  }
  WEIR_TRY_GOTO(out, read_definitions(self, what));
  if (strcmp(self->definitions.stream, stream) || self->definitions.rank != rank) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: the definitions are those of stream '%s', rank %d", what,
                       self->definitions.stream, self->definitions.rank);
    goto out;
  }
  *channel = self;
  self     = NULL;
out:
  weir__channel_detach(&self);
  return status;
}

const weir__channel_definitions *weir__channel_definitions_of(const weir__channel *channel) {
  return &channel->definitions;
}

/* ---- answering ---- */

static weir_status take(weir__channel *self) {
  uint32_t none = WEIR__ANSWER_NONE;
  if (atomic_load_explicit(&self->control->state, memory_order_acquire) == WEIR__STATE_LOST)
    return WEIR_FAIL(WEIR_ERR_GONE, "stream '%s', rank %d: the process gave up: %s", self->definitions.stream,
                     self->definitions.rank, weir__channel_message(self));
  if (atomic_compare_exchange_strong_explicit(&self->control->answer, &none, WEIR__ANSWER_CLAIMED, memory_order_acq_rel,
                                              memory_order_acquire))
    return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_STATE, "stream '%s', rank %d: another worker has answered already",
                   self->definitions.stream, self->definitions.rank);
}

static void answer(weir__control *control, uint32_t value) {
  atomic_store_explicit(&control->answer, value, memory_order_release);
  weir__futex_wake(&control->answer, INT_MAX, true);
}

weir_status weir__channel_demand_post(weir__channel *self, const weir__channel_demand *demand,
                                      const weir__channel_terms *terms) {
  weir__layout   layout;
  weir__control *control = self->control;
  int            slots   = terms->slots ? terms->slots : WEIR__CHANNEL_SLOTS_DEFAULT;

  if (terms->triggers < 0 || terms->triggers > WEIR__CHANNEL_TRIGGERS_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%d triggers, expected at most %d", terms->triggers,
                     WEIR__CHANNEL_TRIGGERS_MAX);
  if (!terms->doorbell || terms->door < 0 || terms->door >= WEIR__DOORBELL_STREAMS_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "demands need a doorbell and a stream number from 0 to %d",
                     WEIR__DOORBELL_STREAMS_MAX - 1);
  if (terms->timeout_ns < 0) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "a time-out of %" PRId64 " ns", terms->timeout_ns);
  WEIR_TRY(weir__layout_create(&self->definitions, demand, slots, &layout));
  weir_status status = take(self);
  if (status) {
    weir__layout_clear(&layout);
    return status;
  }
  self->layout = layout;
  self->posted = true;
  memcpy(weir__at(control, control->demands_at), demand, (size_t)self->definitions.pieces * sizeof *demand);
  for (int t = 0; t < terms->triggers; t++) control->trigger[t] = terms->trigger[t];
  control->slots        = slots;
  control->triggers     = terms->triggers;
  control->timeout_ns   = terms->timeout_ns ? terms->timeout_ns : TIMEOUT_NS;
  control->door         = terms->door;
  control->worker_pid   = getpid();
  control->worker_start = weir__process_start(control->worker_pid);
  weir__doorbell_location(terms->doorbell, &control->door_fd);
  answer(control, WEIR__ANSWER_READY);
  return WEIR_OK;
}

weir_status weir__channel_refuse(weir__channel *self, const char *message) {
  WEIR_TRY(take(self));
  self->refused = true;
  snprintf(self->control->refusal, sizeof self->control->refusal, "%s", message);
  answer(self->control, WEIR__ANSWER_REFUSED);
  return WEIR_OK;
}

static weir_status map_data(weir__channel *self, const char *what) {
  WEIR_TRY(
      weir__shared_open(what, self->pid, self->control->data_fd, WEIR__DATA_MAGIC, sizeof *self->data, &self->data));
  if (self->data->header.total_bytes == self->layout.total && self->data->slots == (uint64_t)self->layout.slots &&
      self->data->slots_at == self->layout.slots_at && self->data->slot_bytes == self->layout.slot_bytes &&
      self->data->words_at == self->layout.words_at && self->data->statics_at == self->layout.statics_at)
    return WEIR_OK;
  weir__shared_unmap(&self->data);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the process has laid out the data segment otherwise than this worker", what);
}

weir_status weir__channel_map(weir__channel *self) {
  char what[200];
  if (self->data || self->ended) return WEIR_OK;
  if (!self->posted) return WEIR_FAIL(WEIR_ERR_STATE, "a channel is mapped after its demands are posted");
  snprintf(what, sizeof what, "data segment of stream '%s', rank %d", self->definitions.stream, self->definitions.rank);
  uint32_t state = atomic_load_explicit(&self->control->state, memory_order_acquire);
  if (state == WEIR__STATE_LOST && !weir__ring_published(self->control, 0))
    return WEIR_FAIL(WEIR_ERR_GONE, "%s: the process gave up: %s", what, weir__channel_message(self));
  if (state == WEIR__STATE_OPEN) {
    if (weir__channel_alive(self)) return WEIR_END;
    return WEIR_FAIL(WEIR_ERR_GONE, "%s: process %" PRId64 " has ended", what, self->pid);
  }
  if (state == WEIR__STATE_CLOSED && !weir__ring_published(self->control, 0)) { /* closed without a step */
    self->ended = true;
    return WEIR_OK;
  }
  WEIR_TRY(map_data(self, what));
  atomic_store_explicit(&self->control->mapped, 1, memory_order_release);
  weir__futex_wake(&self->control->mapped, INT_MAX, true);
  return WEIR_OK;
}

/* ---- steps ---- */

weir__channel_event weir__channel_next(weir__channel *self, weir__channel_record *record) {
  if (self->ended) return WEIR__CHANNEL_END;
  if (!self->data) return WEIR__CHANNEL_NOTHING;
  /* the state first: a step published before the stream was closed must not be overlooked */
  uint32_t state = atomic_load_explicit(&self->control->state, memory_order_acquire);
  if (!weir__ring_published(self->control, self->next)) {
    if (state == WEIR__STATE_CLOSED) return WEIR__CHANNEL_END;
    return state == WEIR__STATE_LOST ? WEIR__CHANNEL_LOST : WEIR__CHANNEL_NOTHING;
  }
  const weir__slot *slot = weir__ring_slot(self->data, &self->layout, self->next++);
  *record                = (weir__channel_record){.sequence   = slot->sequence,
                                                  .step       = slot->step,
                                                  .time       = slot->time,
                                                  .fired      = slot->fired,
                                                  .tombstone  = slot->tombstone,
                                                  .why        = slot->why,
                                                  .blocked_ns = slot->blocked_ns};
  return WEIR__CHANNEL_STEP;
}

weir_status weir__channel_piece(const weir__channel *self, uint64_t sequence, int piece, weir_view *view) {
  if (!self->data || piece < 0 || piece >= self->layout.pieces)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "piece %d of a channel with %d", piece, self->data ? self->layout.pieces : 0);
  const weir__layout_piece *p    = &self->layout.piece[piece];
  const weir_field_type    *type = &self->definitions.field[self->definitions.piece[piece].field].type;
  void                     *memory;
  bool                      present;
  if (p->is_static) {
    if (!self->next) return WEIR_FAIL(WEIR_ERR_STATE, "static pieces can be read once a step was read");
    memory  = weir__at(self->data, p->at);
    present = p->wanted;
  } else {
    const weir__slot *slot = weir__ring_slot(self->data, &self->layout, sequence);
    if (sequence >= self->next ||
        atomic_load_explicit(&weir__ring_word(self->data, &self->layout, sequence)->word, memory_order_acquire) ==
            WEIR__SLOT_FREE ||
        slot->sequence != sequence)
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "step with sequence number %" PRIu64 " is not held", sequence);
    memory  = weir__at(slot, p->at);
    present = p->wanted && weir__slot_present(slot, &self->layout)[piece];
  }
  *view         = weir__view_dense(present ? memory : NULL, type, &p->region);
  view->missing = !present;
  return WEIR_OK;
}

void weir__channel_release(weir__channel *self, uint64_t sequence) {
  if (self->data && sequence < self->next) weir__ring_release(self->control, self->data, &self->layout, sequence);
}

bool weir__channel_alive(const weir__channel *channel) { return weir__process_alive(channel->pid, channel->start); }

const char *weir__channel_message(const weir__channel *channel) {
  weir__control *control = channel->control;
  if (atomic_load_explicit(&control->state, memory_order_acquire) != WEIR__STATE_LOST) return "";
  control->message[WEIR__MESSAGE_MAX - 1] = 0;
  return control->message;
}

void weir__channel_stats_get(const weir__channel *channel, weir__channel_stats *stats) {
  const weir__control *control = channel->control;
  *stats                       = (weir__channel_stats){
                            .published     = atomic_load_explicit(&control->published, memory_order_relaxed),
                            .released      = atomic_load_explicit(&control->released, memory_order_relaxed),
                            .bytes         = atomic_load_explicit(&control->bytes, memory_order_relaxed),
                            .blocked_ns    = atomic_load_explicit(&control->blocked_ns, memory_order_relaxed),
                            .copying_ns    = atomic_load_explicit(&control->copying_ns, memory_order_relaxed),
                            .segment_bytes = control->header.total_bytes + (channel->data ? channel->data->header.total_bytes : 0),
  };
}

weir_status weir__channel_check(const weir__channel *channel) {
  if (!channel->data) return WEIR_OK;
  return weir__ring_check(channel->control, channel->data, &channel->layout);
}

void weir__channel_detach(weir__channel **channel) {
  weir__channel *self = *channel;
  if (!self) return;
  if (self->posted) {
    answer(self->control, WEIR__ANSWER_LEFT);
    weir__futex_wake(&self->control->mapped, INT_MAX, true);
    for (int s = 0; self->data && s < self->layout.slots; s++)
      weir__futex_wake(&weir__ring_word(self->data, &self->layout, (uint64_t)s)->word, INT_MAX, true);
  }
  weir__shared_unmap(&self->data);
  weir__shared_unmap(&self->control);
  weir__layout_clear(&self->layout);
  weir__arena_clear(&self->arena);
  weir__free(self);
  *channel = NULL;
}
