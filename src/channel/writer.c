#include "channel/writer.h"
#include "channel/segment.h"
#include "core/clock.h"
#include "core/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t LOOK_NS = 100000000, GOODBYE_NS = 5000000000;

struct weir__writer {
  const weir__channel_definitions *definitions;
  char                            *run_dir; /* owned */
  char                             note[400];
  int                              control_fd, data_fd; /* -1: none */
  weir__control                   *control;
  weir__data                      *data; /* NULL before the demands are known */
  weir__door                      *door;
  weir__layout                     layout;
  uint8_t                         *static_present; /* owned; one per piece */
  uint64_t                         sequence;       /* of the step begun or, between steps, of the next */
  bool                             active, claimed;
  int64_t                          step, blocked_ns;
  double                           time, previous;
  uint64_t                         fired;
};

/* ---- publishing ---- */

/* Another process that calls itself the same rank of the same stream would take our place in the run directory. */
static weir_status check_alone(const weir__writer *self) {
  weir__note note;
  if (weir__note_read(self->run_dir, self->note, &note)) return WEIR_OK; /* none, or what we can only replace */
  if (!weir__process_alive(note.pid, note.start)) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_STATE, "stream '%s': rank %d is open already, in process %" PRId64,
                   self->definitions->stream, self->definitions->rank, note.pid);
}

static weir_status make_control(weir__writer *self, const weir__text *packed) {
  const weir__channel_definitions *d       = self->definitions;
  size_t                           demands = sizeof(weir__control);
  size_t                           blob    = demands + (size_t)d->pieces * sizeof(weir__channel_demand);
  char                             what[160];
  snprintf(what, sizeof what, "control segment of stream '%s', rank %d", d->stream, d->rank);
  WEIR_TRY(weir__shared_create(what, WEIR__CONTROL_MAGIC, sizeof(weir__control), blob + packed->length,
                               &self->control_fd, &self->control));
  weir__control *control     = self->control;
  control->pid               = getpid();
  control->start             = weir__process_start(control->pid);
  control->pieces            = d->pieces;
  control->triggers_max      = WEIR__CHANNEL_TRIGGERS_MAX;
  control->demands_at        = demands;
  control->definitions_at    = blob;
  control->definitions_bytes = packed->length;
  memcpy(weir__at(control, blob), packed->data, packed->length);
  return WEIR_OK;
}

weir_status weir__writer_create(const char *run_dir, const weir__channel_definitions *definitions,
                                weir__writer **writer) {
  weir_status   status = WEIR_OK;
  weir__text    packed = {0};
  weir__writer *self;
  char          host[256];

  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->definitions = definitions;
  self->control_fd = self->data_fd = -1;
  self->previous                   = NAN;
  weir__channel_host(host);
  snprintf(self->note, sizeof self->note, "%s.%s.%d", host, definitions->stream, definitions->rank);
  WEIR_TRY_GOTO(out, weir__alloc_string(run_dir, &self->run_dir));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)definitions->pieces, 1, &self->static_present));
  WEIR_TRY_GOTO(out, check_alone(self));
  WEIR_TRY_GOTO(out, weir__definitions_pack(definitions, &packed));
  WEIR_TRY_GOTO(out, make_control(self, &packed));
  weir__note note = {
      .pid = self->control->pid, .start = self->control->start, .fd = self->control_fd, .size = definitions->size};
  WEIR_TRY_GOTO(out, weir__note_write(run_dir, self->note, &note));
  *writer = self;
  self    = NULL;
out:
  weir__text_clear(&packed);
  if (self) weir__writer_destroy(&self, NULL);
  return status;
}

/* ---- demands ---- */

static weir_status await_answer(weir__writer *self, int64_t timeout_ns) {
  weir__control *control = self->control;
  int64_t        begin = weir__clock_ns(), left = timeout_ns;
  for (;;) {
    uint32_t answer = atomic_load_explicit(&control->answer, memory_order_acquire);
    switch (answer) {
    case WEIR__ANSWER_READY: return WEIR_OK;
    case WEIR__ANSWER_REFUSED:
      control->refusal[WEIR__MESSAGE_MAX - 1] = 0;
      return WEIR_FAIL(WEIR_ERR_INPUT, "the analysis was refused: %s", control->refusal);
    case WEIR__ANSWER_LEFT: return WEIR_FAIL(WEIR_ERR_GONE, "the worker has left before the first step");
    default: break;
    }
    if (left <= 0)
      return WEIR_FAIL(WEIR_ERR_TIMEOUT,
                       "stream '%s', rank %d: no worker came within %.3g s; going on without analysis",
                       self->definitions->stream, self->definitions->rank, (double)timeout_ns * 1e-9);
    weir__futex_wait(&control->answer, answer, left, true);
    left = timeout_ns - (weir__clock_ns() - begin);
  }
}

static weir_status make_data(weir__writer *self) {
  weir__control *control = self->control;
  char           what[160];
  if (control->triggers < 0 || control->triggers > WEIR__CHANNEL_TRIGGERS_MAX || control->door < 0 ||
      control->door >= WEIR__DOORBELL_STREAMS_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "the terms of the worker are damaged");
  WEIR_TRY(weir__door_open(control->worker_pid, control->door_fd, &self->door));
  WEIR_TRY(weir__layout_create(self->definitions, weir__at(control, sizeof *control), control->slots, &self->layout));
  snprintf(what, sizeof what, "data segment of stream '%s', rank %d", self->definitions->stream,
           self->definitions->rank);
  WEIR_TRY(
      weir__shared_create(what, WEIR__DATA_MAGIC, sizeof *self->data, self->layout.total, &self->data_fd, &self->data));
  self->data->slots      = (uint64_t)self->layout.slots;
  self->data->words_at   = self->layout.words_at;
  self->data->statics_at = self->layout.statics_at;
  self->data->slots_at   = self->layout.slots_at;
  self->data->slot_bytes = self->layout.slot_bytes;
  control->data_fd       = self->data_fd;
  atomic_store_explicit(&control->state, WEIR__STATE_MAPPED, memory_order_release);
  weir__door_ring(self->door);
  return WEIR_OK;
}

weir_status weir__writer_await(weir__writer *self, int64_t timeout_ns) {
  WEIR_TRY(await_answer(self, timeout_ns));
  return make_data(self);
}

/* ---- steps ---- */

weir_status weir__writer_begin(weir__writer *self, int64_t step, double time, bool *active) {
  const weir__control *control = self->control;
  /* only a hint here: what it orders is read by nobody */
  if (atomic_load_explicit(&control->answer, memory_order_relaxed) == WEIR__ANSWER_LEFT)
    return WEIR_FAIL(WEIR_ERR_GONE, "the worker (process %" PRId64 ") has left", control->worker_pid);
  self->fired = 0;
  for (int t = 0; t < control->triggers; t++)
    if (weir__channel_trigger_fires(&control->trigger[t], step, time, self->previous)) self->fired |= UINT64_C(1) << t;
  self->step     = step;
  self->time     = time;
  self->previous = time;
  self->claimed  = false;
  *active = self->active = self->fired != 0;
  return WEIR_OK;
}

const weir_region *weir__writer_wanted(const weir__writer *self, int piece) {
  const weir__layout_piece *p = &self->layout.piece[piece];
  if (!p->wanted) return NULL;
  if (!p->is_static && !(self->active && (p->triggers & self->fired))) return NULL;
  return &p->region;
}

static weir_status claim(weir__writer *self) {
  if (self->claimed) return WEIR_OK;
  WEIR_TRY(weir__ring_claim(self->control, self->data, &self->layout, self->sequence, &self->blocked_ns));
  weir__slot *slot = weir__ring_slot(self->data, &self->layout, self->sequence);
  memset(weir__slot_present(slot, &self->layout), 0, (size_t)self->layout.pieces);
  self->claimed = true;
  return WEIR_OK;
}

weir_status weir__writer_region(weir__writer *self, int piece, void **memory) {
  const weir__layout_piece *p = &self->layout.piece[piece];
  if (p->is_static) {
    *memory = weir__at(self->data, p->at);
    return WEIR_OK;
  }
  WEIR_TRY(claim(self));
  *memory = weir__at(weir__ring_slot(self->data, &self->layout, self->sequence), p->at);
  return WEIR_OK;
}

void weir__writer_present(weir__writer *self, int piece, int64_t copying_ns) {
  const weir__layout_piece *p       = &self->layout.piece[piece];
  weir__control            *control = self->control;
  if (p->is_static) self->static_present[piece] = 1;
  else weir__slot_present(weir__ring_slot(self->data, &self->layout, self->sequence), &self->layout)[piece] = 1;
  /* one writer: load and store suffice */
  uint64_t bytes   = atomic_load_explicit(&control->bytes, memory_order_relaxed);
  int64_t  copying = atomic_load_explicit(&control->copying_ns, memory_order_relaxed);
  atomic_store_explicit(&control->bytes, bytes + p->bytes, memory_order_relaxed);
  atomic_store_explicit(&control->copying_ns, copying + copying_ns, memory_order_relaxed);
}

/* The first wanted piece that has not been written; -1: none. */
static int find_missing(const weir__writer *self, const uint8_t *present) {
  for (int p = 0; p < self->layout.pieces; p++)
    if (weir__writer_wanted(self, p) && !(self->layout.piece[p].is_static ? self->static_present[p] : present[p]))
      return p;
  return -1;
}

weir_status weir__writer_end(weir__writer *self, const char *why) {
  if (!self->active) return WEIR_OK;
  WEIR_TRY(claim(self));
  weir__slot *slot    = weir__ring_slot(self->data, &self->layout, self->sequence);
  int         missing = find_missing(self, weir__slot_present(slot, &self->layout));
  slot->sequence      = self->sequence;
  slot->step          = self->step;
  slot->time          = self->time;
  slot->fired         = self->fired;
  slot->blocked_ns    = self->blocked_ns;
  slot->tombstone     = missing >= 0;
  slot->why[0]        = 0;
  if (missing >= 0) {
    const char *name = self->definitions->field[self->definitions->piece[missing].field].name;
    if (why) snprintf(slot->why, sizeof slot->why, "%s", why);
    else snprintf(slot->why, sizeof slot->why, "field '%.80s' was not put in step %" PRId64, name, self->step);
  }
  weir__ring_publish(self->control, self->data, &self->layout, self->sequence);
  weir__door_arrive(self->door, self->control->door, self->sequence);
  self->sequence++;
  self->active = false;
  if (missing < 0) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_STATE, "%s", slot->why);
}

void weir__writer_stats(const weir__writer *self, weir__channel_stats *stats) {
  const weir__control *control = self->control;
  *stats                       = (weir__channel_stats){
                            .published     = atomic_load_explicit(&control->published, memory_order_relaxed),
                            .released      = atomic_load_explicit(&control->released, memory_order_relaxed),
                            .bytes         = atomic_load_explicit(&control->bytes, memory_order_relaxed),
                            .blocked_ns    = atomic_load_explicit(&control->blocked_ns, memory_order_relaxed),
                            .copying_ns    = atomic_load_explicit(&control->copying_ns, memory_order_relaxed),
                            .segment_bytes = control->header.total_bytes + (self->data ? self->data->header.total_bytes : 0),
  };
}

/* ---- the end ---- */

/* A worker that has not opened the data segment yet could not find it once we are gone. */
static void await_mapping(weir__writer *self) {
  weir__control *control = self->control;
  int64_t        until   = weir__clock_ns() + GOODBYE_NS;
  if (!self->data || !self->sequence) return;
  while (!atomic_load_explicit(&control->mapped, memory_order_acquire) && weir__clock_ns() < until &&
         atomic_load_explicit(&control->answer, memory_order_acquire) == WEIR__ANSWER_READY &&
         weir__process_alive(control->worker_pid, control->worker_start))
    weir__futex_wait(&control->mapped, 0, LOOK_NS, true);
}

void weir__writer_destroy(weir__writer **writer, const char *lost) {
  weir__writer *self = *writer;
  if (!self) return;
  if (self->control) {
    if (lost) snprintf(self->control->message, sizeof self->control->message, "%s", lost);
    atomic_store_explicit(&self->control->state, lost ? WEIR__STATE_LOST : WEIR__STATE_CLOSED, memory_order_release);
    if (self->door) weir__door_ring(self->door);
    await_mapping(self);
    weir__note_remove(self->run_dir, self->note, getpid());
  }
  weir__door_close(&self->door);
  weir__shared_unmap(&self->data);
  weir__shared_unmap(&self->control);
  if (self->data_fd >= 0) close(self->data_fd);
  if (self->control_fd >= 0) close(self->control_fd);
  weir__layout_clear(&self->layout);
  weir__free(self->static_present);
  weir__free(self->run_dir);
  weir__free(self);
  *writer = NULL;
}
