#include "channel/writer.h"
#include "channel/segment.h"
#include "core/clock.h"
#include "core/text.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t  LOOK_NS = 100000000, GOODBYE_NS = 5000000000;
static const uint32_t REST_MAX = 65535; /* steps without an alert */

struct weir__writer {
  const weir__channel_definitions *definitions;
  char                            *run_dir; /* owned */
  char                             note[400];
  int                              control_fd, data_fd; /* -1: none */
  weir__control                   *control;
  weir__data                      *data; /* NULL before the demands are known */
  size_t                           control_bytes;
  weir__door                      *door;  /* NULL: that worker is dead */
  uint32_t                         epoch; /* of the worker whose door it is */
  int                              stream_door;
  bool                             alerted;       /* the worker was woken when this step began ... */
  uint32_t                         rest, resting; /* ... which is left out for so long after it was in vain; still */
  weir__arena                      arena;         /* demands */
  weir__terms                      terms;
  weir__layout                     layout;
  weir__ring                       ring;
  weir__spill                      spill;
  weir__back                       back;
  uint8_t                         *static_present, *present; /* owned; one per piece */
  weir_region                     *now;                      /* owned; per piece, what this step wants of it ... */
  uint64_t                        *now_fired;                /* owned; ... when these triggers have fired */
  uint64_t                         sequence;                 /* of the step begun or, between steps, of the next */
  bool                             active, claimed, left_out;
  int                              place;  /* of the step, once claimed */
  void                            *memory; /* there; NULL: the step is left out */
  int64_t                          step, blocked_ns;
  int64_t                          saved; /* still to be told; WEIR__CHANNEL_UNSAVED: nothing */
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
  const weir__channel_definitions *d = self->definitions;
  size_t                           room, blob, demands = sizeof(weir__control);
  char                             what[160];
  snprintf(what, sizeof what, "control segment of stream '%s', rank %d", d->stream, d->rank);
  WEIR_TRY(weir__demands_room(d, &room));
  if (__builtin_add_overflow(demands, room, &blob) ||
      __builtin_add_overflow(blob, packed->length, &self->control_bytes))
    return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%s: %d pieces are more than memory can hold", what, d->pieces);
  WEIR_TRY(weir__shared_create(what, WEIR__CONTROL_MAGIC, sizeof(weir__control), self->control_bytes, &self->control_fd,
                               &self->control));
  weir__control *control     = self->control;
  control->pid               = getpid();
  control->start             = weir__process_start(control->pid);
  control->pieces            = d->pieces;
  control->triggers_max      = WEIR__CHANNEL_TRIGGERS_MAX;
  control->demands_at        = demands;
  control->demands_room      = room;
  control->definitions_at    = blob;
  control->definitions_bytes = packed->length;
  control->data_fd = control->spill_fd = -1;
  atomic_store_explicit(&control->saved, WEIR__CHANNEL_UNSAVED, memory_order_relaxed);
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
  self->control_fd = self->data_fd = self->spill.fd = -1;
  self->previous                                    = NAN;
  self->saved                                       = WEIR__CHANNEL_UNSAVED;
  weir__channel_host(host);
  snprintf(self->note, sizeof self->note, "%s.%s.%d", host, definitions->stream, definitions->rank);
  WEIR_TRY_GOTO(out, weir__alloc_string(run_dir, &self->run_dir));
  size_t pieces = (size_t)definitions->pieces + 1; /* a process may put nothing, and only be steered */
  WEIR_TRY_GOTO(out, weir__alloc_array(pieces, 1, &self->static_present));
  WEIR_TRY_GOTO(out, weir__alloc_array(pieces, 1, &self->present));
  WEIR_TRY_GOTO(out, weir__alloc_array(pieces, sizeof *self->now, &self->now));
  WEIR_TRY_GOTO(out, weir__alloc_array(pieces, sizeof *self->now_fired, &self->now_fired));
  WEIR_TRY_GOTO(out, check_alone(self));
  WEIR_TRY_GOTO(out, weir__definitions_pack(definitions, &packed));
  WEIR_TRY_GOTO(out, make_control(self, &packed));
  WEIR_TRY_GOTO(out, weir__back_create(self->control, definitions, &self->back));
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
    switch (weir__answer_state(answer)) {
    case WEIR__ANSWER_READY: return WEIR_OK;
    case WEIR__ANSWER_REFUSED:
    case WEIR__ANSWER_ABANDONED:
      return WEIR_FAIL(WEIR_ERR_INPUT, "the analysis was refused: %.*s", WEIR__MESSAGE_MAX - 1, control->refusal);
    case WEIR__ANSWER_ENDED: return WEIR_END;
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

/* Go by the ledger that the worker names, if steps may have to be left out. One that cannot be opened is as none. */
static void open_ledger(weir__writer *self) {
  weir__control     *control   = self->control;
  weir__ledger_view *view      = &self->ring.ledger;
  int32_t            policy    = self->terms.policy;
  int64_t            pid       = atomic_load_explicit(&control->ledger_pid, memory_order_relaxed);
  int                fd        = atomic_load_explicit(&control->ledger_fd, memory_order_relaxed);
  int                processes = atomic_load_explicit(&control->ledger_processes, memory_order_relaxed);
  weir__ledger_close(view);
  if (policy != WEIR__POLICY_DROP_NEWEST && policy != WEIR__POLICY_DROP_OLDEST) return;
  if (pid <= 0 || fd < 0 || processes < 2 || processes > WEIR__CHANNEL_NODE_MAX) return;
  *view = (weir__ledger_view){
      .slots = self->terms.slots, .processes = processes, .oldest = policy == WEIR__POLICY_DROP_OLDEST};
  (void)!weir__ledger_open(view, pid, fd);
}

/* Open the door of the worker that answered last. One that has died since has none: then the next one is waited for. */
static weir_status open_door(weir__writer *self) {
  weir__control *control = self->control;
  uint32_t       answer  = atomic_load_explicit(&control->answer, memory_order_acquire);
  int64_t        pid     = weir__holder_pid(atomic_load_explicit(&control->holder, memory_order_acquire));
  int            fd      = atomic_load_explicit(&control->door_fd, memory_order_relaxed);
  self->epoch            = weir__answer_epoch(answer);
  self->stream_door      = atomic_load_explicit(&control->door, memory_order_relaxed);
  weir__door_close(&self->door);
  if (weir__answer_state(answer) != WEIR__ANSWER_READY) return WEIR_OK;
  open_ledger(self);
  if (self->stream_door < 0 || self->stream_door >= WEIR__DOORBELL_STREAMS_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "the terms of the worker are damaged");
  weir_status status = weir__door_open(pid, fd, &self->door);
  if (!status || !self->terms.supervised) return status;
  return weir__holder_alive(atomic_load_explicit(&control->holder, memory_order_acquire)) ? status : WEIR_OK;
}

static weir_status read_demands(weir__writer *self) {
  const weir__control *control = self->control;
  uint64_t             bytes   = control->demands_bytes;
  weir__demands        demands;
  char                *copy;
  self->terms = control->terms;
  WEIR_TRY(weir__terms_check(WEIR_ERR_INPUT, &self->terms));
  if (bytes > self->control_bytes - sizeof *control) return WEIR_FAIL(WEIR_ERR_INPUT, "the demands are damaged");
  WEIR_TRY(weir__arena_alloc(&self->arena, bytes, &copy));
  if (bytes) memcpy(copy, weir__at(control, sizeof *control), bytes);
  WEIR_TRY(weir__demands_unpack(self->definitions, copy, bytes, &self->arena, &demands));
  self->back.feedback = demands.feedback;
  return weir__layout_create(self->definitions, &demands, &self->terms, &self->layout);
}

static weir_status make_data(weir__writer *self) {
  weir__control      *control = self->control;
  const weir__layout *layout  = &self->layout;
  char                what[160];
  WEIR_TRY(read_demands(self));
  snprintf(what, sizeof what, "data segment of stream '%s', rank %d", self->definitions->stream,
           self->definitions->rank);
  if (layout->spill_places) WEIR_TRY(weir__spill_open(self->terms.spill_directory, layout, &self->spill));
  WEIR_TRY(weir__shared_create(what, WEIR__DATA_MAGIC, sizeof *self->data, layout->total, &self->data_fd, &self->data));
  WEIR_TRY(weir__ring_create(control, self->data, layout, &self->terms, &self->spill, &self->ring));
  WEIR_TRY(open_door(self));
  self->back.data          = self->data;
  self->back.layout        = layout;
  self->back.terms         = &self->terms;
  self->back.ring          = &self->ring;
  self->data->slots        = (uint64_t)layout->slots;
  self->data->spill_places = (uint64_t)layout->spill_places;
  self->data->log_entries  = layout->log_entries;
  self->data->log_at       = layout->log_at;
  self->data->statics_at   = layout->statics_at;
  self->data->feedback_at  = layout->feedback_at;
  self->data->slots_at     = layout->slots_at;
  self->data->slot_bytes   = layout->slot_bytes;
  control->data_fd         = self->data_fd;
  control->spill_fd        = self->spill.fd;
  atomic_store_explicit(&control->state, WEIR__STATE_MAPPED, memory_order_release);
  if (self->door) weir__door_ring(self->door);
  return WEIR_OK;
}

weir_status weir__writer_await(weir__writer *self, int64_t timeout_ns) {
  weir_status status = await_answer(self, timeout_ns);
  return status ? status : make_data(self);
}

/* ---- steps ---- */

static uint64_t fired(const weir__writer *self, int64_t step, double time) {
  uint64_t mask = 0;
  for (int t = 0; t < self->terms.triggers; t++)
    if (weir__channel_trigger_fires(&self->terms.trigger[t], step, time, self->previous)) mask |= UINT64_C(1) << t;
  return mask;
}

/* Wake the worker while the fields are put. One that sleeps again before the step is there must be woken twice, which
 * the simulation pays for: where putting takes too long for it, that is tried again after 1, 3, 7 ... steps only. */
static void alert(weir__writer *self) {
  self->alerted = false;
  if (self->resting) self->resting--;
  else if (self->door) self->alerted = weir__door_alert(self->door, self->stream_door);
}

static void arrive(weir__writer *self) {
  bool woken = weir__door_arrive(self->door, self->stream_door, self->sequence);
  if (!self->alerted) return;
  self->rest    = !woken ? self->rest / 2 : self->rest < REST_MAX ? 2 * self->rest + 1 : REST_MAX;
  self->resting = woken ? self->rest : 0;
}

weir_status weir__writer_begin(weir__writer *self, int64_t step, double time, bool *active) {
  /* only a hint here: what it orders is read by nobody */
  uint32_t answer = atomic_load_explicit(&self->control->answer, memory_order_relaxed);
  if (weir__answer_state(answer) != WEIR__ANSWER_READY) return weir__ring_look(&self->ring);
  self->blocked_ns = 0;
  self->left_out   = false;
  self->fired      = fired(self, step, time);
  if (self->fired && weir__back_engaged(&self->back)) {
    weir_status status = weir__back_begin(&self->back, self->sequence, &self->left_out, &self->blocked_ns);
    if (status) return status;
    self->fired = fired(self, step, time); /* triggers may have changed, for this step as well */
  }
  self->step     = step;
  self->time     = time;
  self->previous = time;
  *active = self->active = self->fired != 0;
  if (!self->active) return WEIR_OK;
  self->claimed = false;
  memset(self->present, 0, (size_t)self->layout.pieces);
  alert(self);
  return WEIR_OK;
}

/* The hull of the regions whose triggers have fired. */
static const weir_region *hull_now(weir__writer *self, const weir__layout_piece *p, int piece) {
  weir_region *hull = &self->now[piece];
  bool         any  = false;
  if (self->now_fired[piece] == self->fired) return hull;
  for (int w = 0; w < p->wants; w++) {
    if (!(p->want[w].triggers & self->fired)) continue;
    if (any) weir__hull_extend(hull, &p->want[w].region);
    else *hull = p->want[w].region;
    any = true;
  }
  self->now_fired[piece] = self->fired;
  return hull;
}

const weir_region *weir__writer_wanted(weir__writer *self, int piece) {
  const weir__layout_piece *p = &self->layout.piece[piece];
  if (!p->wanted) return NULL;
  if (p->is_static) return &p->region;
  if (!(self->active && (p->triggers & self->fired))) return NULL;
  return p->wants == 1 ? &p->region : hull_now(self, p, piece);
}

/* Memory to spill from, at the first step that is. Without it spilling has ended. */
static bool stage(weir__writer *self) {
  if (self->spill.staging) return true;
  if (!weir__alloc_zeroed(self->layout.slot_bytes, WEIR__LINE, &self->spill.staging)) return true;
  snprintf(self->spill.message, sizeof self->spill.message, "no memory to spill from");
  return false;
}

static weir_status claim(weir__writer *self) {
  int64_t blocked_ns = 0;
  if (self->claimed) return WEIR_OK;
  self->place = WEIR__PLACE_NONE;
  if (!self->left_out) {
    do {
      weir_status status = weir__ring_claim(&self->ring, self->sequence, &self->place, &blocked_ns);
      self->blocked_ns += blocked_ns;
      if (status) return status;
    } while (self->place >= self->layout.slots && !stage(self));
  }
  self->memory  = self->place == WEIR__PLACE_NONE    ? NULL
                  : self->place < self->layout.slots ? weir__slot_at(self->data, &self->layout, self->place)
                                                     : self->spill.staging;
  self->claimed = true;
  return WEIR_OK;
}

weir_status weir__writer_view(weir__writer *self, int piece, weir_view *view) {
  const weir__layout_piece *p      = &self->layout.piece[piece];
  const weir_field_type    *type   = &self->definitions->field[self->definitions->piece[piece].field].type;
  const weir_region        *wanted = weir__writer_wanted(self, piece);
  void                     *memory = self->data;
  if (!p->is_static) {
    weir_status status = claim(self);
    if (status) return status;
    memory = self->memory;
  }
  *view = weir__view_dense(memory ? weir__at(memory, p->at) : NULL, type, &p->region);
  if (memory && wanted && wanted != &p->region) *view = weir__view_narrow(view, wanted);
  return WEIR_OK;
}

bool weir__writer_in_place(const weir__writer *self) { return self->terms.in_place; }

weir_status weir__writer_refer(weir__writer *self, int piece, const void *data) {
  weir_status status = claim(self);
  if (status) return status;
  if (self->memory) memcpy(weir__at(self->memory, self->layout.piece[piece].at), &data, sizeof data);
  self->present[piece] = 1;
  return WEIR_OK;
}

/* One writer: load and store suffice. */
static void add_copying(weir__control *control, size_t bytes, int64_t ns) {
  uint64_t copied  = atomic_load_explicit(&control->bytes, memory_order_relaxed);
  int64_t  copying = atomic_load_explicit(&control->copying_ns, memory_order_relaxed);
  atomic_store_explicit(&control->bytes, copied + bytes, memory_order_relaxed);
  atomic_store_explicit(&control->copying_ns, copying + ns, memory_order_relaxed);
}

void weir__writer_present(weir__writer *self, int piece, int64_t copying_ns) {
  const weir__layout_piece *p                                  = &self->layout.piece[piece];
  weir__control            *control                            = self->control;
  (p->is_static ? self->static_present : self->present)[piece] = 1;
  if (!p->is_static && !self->memory) return;
  const weir_region *wanted = weir__writer_wanted(self, piece);
  size_t             size = weir_dtype_size(self->definitions->field[self->definitions->piece[piece].field].type.dtype);
  bool               whole = wanted == &p->region || !wanted;
  add_copying(control, whole ? p->bytes : (size_t)weir__region_size(wanted) * size, copying_ns);
}

/* The first wanted piece that has not been written; -1: none. */
static int find_missing(weir__writer *self) {
  for (int p = 0; p < self->layout.pieces; p++)
    if (weir__writer_wanted(self, p) && !(self->layout.piece[p].is_static ? self->static_present : self->present)[p])
      return p;
  return -1;
}

/* Make a tombstone of the step. */
static void bury(weir__entry *entry, uint32_t flags, const char *why) {
  entry->flags = WEIR__ENTRY_TOMBSTONE | flags;
  entry->place = WEIR__PLACE_NONE;
  snprintf(entry->why, sizeof entry->why, "%s", why);
}

static void count_one(_Atomic uint64_t *figure) {
  atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* What was put of a step lies in its place: announce what it is. */
static weir_status seal_step(weir__writer *self, weir__entry *entry, const char *why) {
  int missing = find_missing(self);
  if (missing >= 0) {
    char        text[WEIR__WHY_MAX];
    const char *name = self->definitions->field[self->definitions->piece[missing].field].name;
    snprintf(text, sizeof text, "field '%.80s' was not put in step %" PRId64, name, self->step);
    bury(entry, 0, why ? why : text);
    return WEIR_FAIL(WEIR_ERR_STATE, "%s", why ? why : text);
  }
  weir_status status = claim(self);
  if (status) return status;
  entry->place      = self->place;
  entry->blocked_ns = self->blocked_ns;
  if (self->place == WEIR__PLACE_NONE) {
    bury(entry, WEIR__ENTRY_LEFT_OUT, "no room: dropped");
    count_one(&self->control->dropped);
  } else if (self->place < self->layout.slots) {
    if (self->ring.ledger.ledger) entry->flags |= WEIR__ENTRY_ALIKE;
    memcpy(self->memory, self->present, (size_t)self->layout.pieces);
  } else {
    int64_t begin = weir__clock_ns();
    status        = weir__spill_write(&self->spill, &self->layout, self->place, self->present);
    add_copying(self->control, 0, weir__clock_ns() - begin);
    if (status) bury(entry, 0, weir_error_last());
    else count_one(&self->control->spilled);
    return status;
  }
  return WEIR_OK;
}

weir_status weir__writer_end(weir__writer *self, const char *why) {
  if (!self->active) return WEIR_OK;
  weir__entry entry  = {.sequence   = self->sequence,
                        .step       = self->step,
                        .time       = self->time,
                        .fired      = self->fired,
                        .blocked_ns = self->blocked_ns,
                        .place      = WEIR__PLACE_NONE,
                        .saved      = self->saved < self->step ? self->saved : WEIR__CHANNEL_UNSAVED};
  weir_status status = seal_step(self, &entry, why);
  if (status && !(entry.flags & WEIR__ENTRY_TOMBSTONE)) return status; /* no analysis any more */
  weir__ring_publish(&self->ring, &entry);
  if (self->saved < self->step) self->saved = WEIR__CHANNEL_UNSAVED;
  uint32_t answer = atomic_load_explicit(&self->control->answer, memory_order_seq_cst);
  if (weir__answer_epoch(answer) != self->epoch && weir__answer_state(answer) == WEIR__ANSWER_READY && open_door(self))
    weir__door_close(&self->door); /* what that worker says is damaged: it finds its steps without being rung */
  if (self->door) arrive(self);
  self->sequence++;
  self->active = false;
  return status;
}

void weir__writer_saved(weir__writer *self, int64_t step) {
  self->saved = step;
  atomic_store_explicit(&self->control->saved, step, memory_order_release);
}

/* ---- the way back ---- */

double weir__writer_parameter(const weir__writer *self, int index) { return self->back.value[index]; }

weir_status weir__writer_feedback(weir__writer *self, int piece, const weir_view *to) {
  return self->active ? weir__back_read(&self->back, piece, self->sequence, to, &self->blocked_ns) : WEIR_END;
}

void weir__writer_stats(const weir__writer *self, weir__channel_stats *stats) {
  weir__control_stats(self->control, stats);
  stats->segment_bytes = self->control_bytes + (self->data ? self->layout.total : 0);
}

/* ---- the end ---- */

/* A worker that has not opened the data segment yet could not find it once we are gone. */
static void await_mapping(weir__writer *self) {
  weir__control *control = self->control;
  int64_t        until   = weir__clock_ns() + GOODBYE_NS;
  if (!self->data || !self->sequence) return;
  for (;;) {
    uint32_t mapped = atomic_load_explicit(&control->mapped, memory_order_acquire);
    uint32_t answer = atomic_load_explicit(&control->answer, memory_order_acquire);
    uint64_t holder = atomic_load_explicit(&control->holder, memory_order_relaxed);
    if (mapped == weir__answer_epoch(answer) || weir__answer_state(answer) != WEIR__ANSWER_READY ||
        weir__clock_ns() >= until || !weir__holder_alive(holder))
      return;
    weir__futex_wait(&control->mapped, mapped, LOOK_NS, true);
  }
}

/* The workers, or those that replace them, need the channel until the analysis is complete: that all steps are
 * acknowledged is not enough, as one that dies before the outputs are closed leaves the rest to the next one. */
static void await_complete(weir__writer *self) {
  weir__control *control = self->control;
  int64_t        until   = weir__clock_ns() + self->terms.timeout_ns;
  for (;;) {
    uint32_t seen = atomic_load_explicit(&control->turn, memory_order_acquire);
    int64_t  left = until - weir__clock_ns();
    if (left <= 0 || weir__ring_look(&self->ring)) return;
    weir__turn_sleep(&control->turn, seen, left < LOOK_NS ? left : LOOK_NS);
  }
}

void weir__writer_destroy(weir__writer **writer, const char *lost) {
  weir__writer *self = *writer;
  if (!self) return;
  if (self->control) {
    if (lost) snprintf(self->control->message, sizeof self->control->message, "%s", lost);
    atomic_store_explicit(&self->control->state, lost ? WEIR__STATE_LOST : WEIR__STATE_CLOSED, memory_order_release);
    if (self->door) weir__door_ring(self->door);
    if (self->data && self->terms.supervised && !lost) await_complete(self);
    else await_mapping(self);
    weir__note_remove(self->run_dir, self->note, getpid());
  }
  weir__door_close(&self->door);
  weir__shared_unmap(&self->data, self->layout.total);
  weir__shared_unmap(&self->control, self->control_bytes);
  weir__spill_close(&self->spill);
  weir__ring_clear(&self->ring);
  weir__back_clear(&self->back);
  if (self->data_fd >= 0) close(self->data_fd);
  if (self->control_fd >= 0) close(self->control_fd);
  weir__layout_clear(&self->layout);
  weir__arena_clear(&self->arena);
  weir__free(self->static_present);
  weir__free(self->present);
  weir__free(self->now);
  weir__free(self->now_fired);
  weir__free(self->run_dir);
  weir__free(self);
  *writer = NULL;
}
