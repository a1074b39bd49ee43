/* The worker's end of a channel: attaching, answering, leaving. */
#include "channel/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The definitions are copied before they are read, as are the numbers that say where they are: the process cannot
 * change them under our hands. */
static weir_status read_definitions(weir__channel *self, const char *what) {
  const weir__control *control = self->control;
  int32_t              pieces  = control->pieces;
  uint64_t             total = self->control_bytes, head = sizeof *control, room = control->demands_room, at, bytes;
  size_t               expected;
  char                *copy;
  at    = control->definitions_at;
  bytes = control->definitions_bytes;
  if (control->demands_at != head || room > total - head || at != head + room || bytes != total - at)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: damaged header", what);
  WEIR_TRY(weir__arena_alloc(&self->arena, WEIR__MESSAGE_MAX, &self->message));
  WEIR_TRY(weir__arena_alloc(&self->arena, bytes, &copy));
  if (bytes) memcpy(copy, weir__at(control, at), bytes);
  weir_status status = weir__definitions_unpack(copy, bytes, &self->arena, &self->definitions);
  if (status) return weir__error_prefix(status, "%s", what);
  WEIR_TRY(weir__demands_room(&self->definitions, &expected));
  if (self->definitions.pieces != pieces || expected != room)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: damaged header", what);
  self->demands_room = room;
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
  if (!weir__process_alive(note.pid, note.start)) {
    weir__note_remove(run_dir, name, note.pid);
    return WEIR_FAIL(WEIR_ERR_GONE, "%s: process %" PRId64 " has ended", what, note.pid);
  }
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->pid      = note.pid;
  self->start    = note.start;
  self->spill_fd = -1;
  WEIR_TRY_GOTO(out, weir__shared_open(what, note.pid, note.fd, WEIR__CONTROL_MAGIC, sizeof *self->control,
                                       &self->control, &self->control_bytes));
  int64_t pid = self->control->pid;
  if (pid != note.pid || self->control->start != note.start) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: the control segment belongs to process %" PRId64 ", expected %" PRId64,
                       what, pid, note.pid);
    goto out;
  }
  WEIR_TRY_GOTO(out, read_definitions(self, what));
  WEIR_TRY_GOTO(out, weir__arena_string(&self->arena, run_dir, &self->run_dir));
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

/* Become the one who answers, unless a living worker has. `*before` is who it was (0: nobody), `*answer` what it said.
 */
static weir_status take(weir__channel *self, uint64_t *before, uint32_t *answer) {
  weir__control *control = self->control;
  int64_t        pid     = getpid();
  uint64_t       me      = weir__holder_word(pid, weir__process_start(pid));
  if (atomic_load_explicit(&control->state, memory_order_acquire) == WEIR__STATE_LOST)
    return WEIR_FAIL(WEIR_ERR_GONE, "stream '%s', rank %d: the process gave up: %s", self->definitions.stream,
                     self->definitions.rank, weir__channel_message(self));
  *before = atomic_load_explicit(&control->holder, memory_order_acquire);
  do
    if (weir__holder_alive(*before))
      return WEIR_FAIL(WEIR_ERR_STATE,
                       "stream '%s', rank %d: another worker (process %" PRId64 ") has answered already",
                       self->definitions.stream, self->definitions.rank, weir__holder_pid(*before));
  while (!atomic_compare_exchange_strong_explicit(&control->holder, before, me, memory_order_acq_rel,
                                                  memory_order_acquire));
  *answer = atomic_load_explicit(&control->answer, memory_order_acquire);
  if (weir__answer_state(*answer) == WEIR__ANSWER_NONE || weir__answer_state(*answer) == WEIR__ANSWER_READY)
    return WEIR_OK;
  atomic_store_explicit(&control->holder, *before, memory_order_release);
  return WEIR_FAIL(WEIR_ERR_STATE, "stream '%s', rank %d: a worker has left it or refused already",
                   self->definitions.stream, self->definitions.rank);
}

static void say(weir__control *control, uint32_t answer) {
  /* sequentially consistent: see weir__ring_publish */
  atomic_store_explicit(&control->answer, answer, memory_order_seq_cst);
  weir__futex_wake(&control->answer, INT_MAX, true);
  weir__futex_wake(&control->mapped, INT_MAX, true);
  weir__turn_wake(&control->turn);
  weir__turn_wake(&control->horizon_turn);
}

/* The first worker writes what it wants; one that takes over must want the same. */
static weir_status write_demands(weir__channel *self, uint32_t answer, const weir__text *packed) {
  weir__control *control = self->control;
  void          *at      = weir__at(control, sizeof *control);
  if (weir__answer_state(answer) == WEIR__ANSWER_READY) {
    if (control->demands_bytes == packed->length && !memcmp(&control->terms, &self->terms, sizeof self->terms) &&
        (!packed->length || !memcmp(at, packed->data, packed->length)))
      return WEIR_OK;
    return WEIR_FAIL(WEIR_ERR_STATE, "stream '%s', rank %d: the worker before this one wanted something else",
                     self->definitions.stream, self->definitions.rank);
  }
  if (packed->length > self->demands_room)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "demands of %zu bytes, but room for %" PRIu64, packed->length,
                     self->demands_room);
  if (packed->length) memcpy(at, packed->data, packed->length);
  control->demands_bytes = packed->length;
  control->terms         = self->terms;
  return WEIR_OK;
}

/* Find the ledger of the node, in the control segment of the first process there. */
static weir_status open_ledger(weir__channel *self, const weir__channel_terms *terms, weir__note *note) {
  char                      host[256], name[400];
  const weir__channel_node *node = &terms->node;
  *note                          = (weir__note){.fd = -1};
  bool drops = terms->policy == WEIR__POLICY_DROP_NEWEST || terms->policy == WEIR__POLICY_DROP_OLDEST;
  if (!drops || node->processes < 2 || node->processes > WEIR__CHANNEL_NODE_MAX) return WEIR_OK;
  weir__ledger_close(&self->ledger);
  self->ledger = (weir__ledger_view){
      .slots = self->terms.slots, .processes = node->processes, .oldest = terms->policy == WEIR__POLICY_DROP_OLDEST};
  self->ledger_process = node->process;
  weir__channel_host(host);
  snprintf(name, sizeof name, "%s.%s.%d", host, self->definitions.stream, node->first_rank);
  WEIR_TRY(weir__note_read(self->run_dir, name, note));
  return weir__ledger_open(&self->ledger, note->pid, note->fd);
}

static weir_status post(weir__channel *self, const weir__text *packed, const weir__channel_terms *terms) {
  weir__control *control = self->control;
  uint64_t       before;
  uint32_t       answer;
  int            door_fd;
  weir__note     note;
  WEIR_TRY(open_ledger(self, terms, &note));
  WEIR_TRY(take(self, &before, &answer));
  weir_status status = write_demands(self, answer, packed);
  if (status) {
    atomic_store_explicit(&control->holder, before, memory_order_release);
    return status;
  }
  self->taken_over = weir__answer_state(answer) == WEIR__ANSWER_READY;
  self->posted     = true;
  self->epoch      = weir__answer_epoch(answer) + 1;
  if (self->taken_over) weir__doorbell_every(terms->doorbell, terms->door);
  weir__doorbell_location(terms->doorbell, &door_fd);
  atomic_store_explicit(&control->door_fd, door_fd, memory_order_relaxed);
  atomic_store_explicit(&control->door, terms->door, memory_order_relaxed);
  atomic_store_explicit(&control->ledger_pid, note.pid, memory_order_relaxed);
  atomic_store_explicit(&control->ledger_fd, note.fd, memory_order_relaxed);
  atomic_store_explicit(&control->ledger_processes, self->ledger.processes, memory_order_relaxed);
  say(control, weir__answer_word(self->epoch, WEIR__ANSWER_READY));
  return WEIR_OK;
}

weir_status weir__channel_demand_post(weir__channel *self, const weir__channel_demand *demand,
                                      const weir__channel_terms *terms) {
  weir_status   status = WEIR_OK;
  weir__text    packed = {0};
  weir__layout  layout = {0};
  weir__demands demands;

  if (!terms->doorbell || terms->door < 0 || terms->door >= WEIR__DOORBELL_STREAMS_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "demands need a doorbell and a stream number from 0 to %d",
                     WEIR__DOORBELL_STREAMS_MAX - 1);
  if (terms->node.process < 0 || (terms->node.process && terms->node.process >= terms->node.processes))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "process %d of %d of the node", terms->node.process, terms->node.processes);
  if (self->posted) return WEIR_FAIL(WEIR_ERR_STATE, "demands are posted once");
  WEIR_TRY(weir__terms_make(terms, &self->terms));
  WEIR_TRY(weir__demands_simplify(&self->definitions, demand, terms->feedback, &self->arena, &demands));
  WEIR_TRY_GOTO(out, weir__demands_pack(&self->definitions, &demands, &packed));
  WEIR_TRY_GOTO(out, weir__layout_create(&self->definitions, &demands, &self->terms, &layout));
  WEIR_TRY_GOTO(out, post(self, &packed, terms));
  self->layout = layout;
  layout       = (weir__layout){0};
out:
  weir__layout_clear(&layout);
  weir__text_clear(&packed);
  return status;
}

bool weir__channel_fresh(const weir__channel *channel) {
  const weir__control *control = channel->control;
  uint32_t             state   = weir__answer_state(atomic_load_explicit(&control->answer, memory_order_acquire));
  return state == WEIR__ANSWER_NONE ||
         (control->terms.steering && !atomic_load_explicit(&control->horizon, memory_order_relaxed));
}

int64_t weir__channel_saved(const weir__channel *channel) {
  return atomic_load_explicit(&channel->control->saved, memory_order_acquire);
}

bool weir__channel_taken_over(const weir__channel *channel) { return channel->taken_over; }

weir_status weir__channel_refuse(weir__channel *self, const char *message) {
  uint64_t before;
  uint32_t answer;
  WEIR_TRY(take(self, &before, &answer));
  snprintf(self->control->refusal, sizeof self->control->refusal, "%s", message);
  say(self->control, weir__answer_word(weir__answer_epoch(answer), WEIR__ANSWER_REFUSED));
  return WEIR_OK;
}

void weir__channel_abandon(weir__channel *self, const char *message) {
  uint64_t before;
  uint32_t answer;
  if (take(self, &before, &answer)) return;
  snprintf(self->control->refusal, sizeof self->control->refusal, "%s", message);
  say(self->control, weir__answer_word(weir__answer_epoch(answer), WEIR__ANSWER_ABANDONED));
}

/* ---- mapping ---- */

static weir_status map_data(weir__channel *self, const char *what) {
  const weir__layout *layout = &self->layout;
  size_t              bytes;
  WEIR_TRY(weir__shared_open(what, self->pid, self->control->data_fd, WEIR__DATA_MAGIC, sizeof *self->data, &self->data,
                             &bytes));
  const weir__data *data = self->data;
  if (bytes == layout->total && data->slots == (uint64_t)layout->slots &&
      data->spill_places == (uint64_t)layout->spill_places && data->log_entries == layout->log_entries &&
      data->log_at == layout->log_at && data->statics_at == layout->statics_at &&
      data->feedback_at == layout->feedback_at && data->slots_at == layout->slots_at &&
      data->slot_bytes == layout->slot_bytes)
    return WEIR_OK;
  weir__shared_unmap(&self->data, bytes);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the process has laid out the data segment otherwise than this worker", what);
}

/* Opened at once: it must outlive the process. */
static weir_status open_spill(weir__channel *self) {
  char path[64];
  if (!self->layout.spill_places || self->spill_fd >= 0) return WEIR_OK;
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%d", self->pid, (int)self->control->spill_fd);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "spill file of process %" PRId64 ": %s", self->pid, strerror(errno));
  self->spill_fd = fd; /* closed when the channel is */
  struct stat status;
  if (fstat(fd, &status) || !S_ISREG(status.st_mode))
    return WEIR_FAIL(WEIR_ERR_INPUT, "spill file of process %" PRId64 ": it is no file", self->pid);
  return WEIR_OK;
}

weir_status weir__channel_map(weir__channel *self) {
  char what[200];
  if (self->data || self->ended) return WEIR_OK;
  if (!self->posted) return WEIR_FAIL(WEIR_ERR_STATE, "a channel is mapped after its demands are posted");
  snprintf(what, sizeof what, "data segment of stream '%s', rank %d", self->definitions.stream, self->definitions.rank);
  uint32_t state = atomic_load_explicit(&self->control->state, memory_order_acquire);
  bool     steps = atomic_load_explicit(&self->control->published, memory_order_acquire);
  if (state == WEIR__STATE_LOST && !steps)
    return WEIR_FAIL(WEIR_ERR_GONE, "%s: the process gave up: %s", what, weir__channel_message(self));
  if (state == WEIR__STATE_OPEN) {
    if (weir__channel_alive(self)) return WEIR_END;
    return WEIR_FAIL(WEIR_ERR_GONE, "%s: process %" PRId64 " has ended", what, self->pid);
  }
  if (state == WEIR__STATE_CLOSED && !steps) { /* closed without a step */
    self->ended = true;
    return WEIR_OK;
  }
  weir_status status = map_data(self, what);
  if (!status) status = open_spill(self);
  if (!status) status = weir__reader_start(self);
  if (status) {
    weir__shared_unmap(&self->data, self->layout.total);
    return status;
  }
  atomic_store_explicit(&self->control->mapped, self->epoch, memory_order_release);
  weir__futex_wake(&self->control->mapped, INT_MAX, true);
  return WEIR_OK;
}

bool weir__channel_alive(const weir__channel *channel) { return weir__process_alive(channel->pid, channel->start); }

const char *weir__channel_message(const weir__channel *channel) {
  const weir__control *control = channel->control;
  if (!channel->message) return "";
  if (channel->broken) return channel->message;
  if (atomic_load_explicit(&control->state, memory_order_acquire) != WEIR__STATE_LOST) return "";
  memcpy(channel->message, control->message, WEIR__MESSAGE_MAX);
  channel->message[WEIR__MESSAGE_MAX - 1] = 0;
  return channel->message;
}

void weir__channel_stats_get(const weir__channel *channel, weir__channel_stats *stats) {
  weir__control_stats(channel->control, stats);
  stats->segment_bytes = channel->control_bytes + (channel->data ? channel->layout.total : 0);
}

void weir__channel_complete(weir__channel *channel) { channel->complete = true; }

void weir__channel_detach(weir__channel **channel) {
  weir__channel *self = *channel;
  if (!self) return;
  enum weir__answer last = self->complete ? WEIR__ANSWER_ENDED : WEIR__ANSWER_LEFT;
  if (self->posted) say(self->control, weir__answer_word(self->epoch, last));
  weir__reader_clear(self);
  weir__ledger_close(&self->ledger);
  weir__shared_unmap(&self->data, self->layout.total);
  weir__shared_unmap(&self->control, self->control_bytes);
  if (self->spill_fd >= 0) close(self->spill_fd);
  weir__layout_clear(&self->layout);
  weir__arena_clear(&self->arena);
  weir__free(self);
  *channel = NULL;
}

void weir__channel_forget(weir__channel **channel) {
  if (*channel) (*channel)->posted = false;
  weir__channel_detach(channel);
}
