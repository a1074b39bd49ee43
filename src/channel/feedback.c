/* The way back: decisions and fields, each for the step with a given sequence number.
 *
 * Requirements
 *   - a process begins step Q only when all that is decided for it has been posted (the horizon is above Q), and then
 * all processes of a stream begin it with the same values;
 *   - a worker that takes over posts again what the dead one had posted, or half of it, and nothing happens twice;
 *   - either side may be killed between any two instructions, and neither ever waits for the other without an end;
 *   - order follows from the atomic accesses alone, without fences, as in the ring.
 *
 * Changes lie in a ring, the n-th at n modulo its size; it is written, then counted in `changes_posted`. Their numbers
 * follow each other, whatever the first one is; one that does not go on from the last was posted before. The process
 * applies those for steps up to its own in the order of their numbers, which need not be that of the steps, and gives
 * places back (`changes_taken`) once all before have been applied as well.
 *
 * Each feedback piece has lag + 2 buffers; the value for step Q belongs into number Q modulo that. While the process is
 * in step Q no value for a step above Q - 1 + lag exists, as it is computed from a step that has been published: so
 * values that come in time are never written over while they are of use. Late ones may be. Therefore each buffer has a
 * tag:
 *
 *     (Q + 1) * 8 + VALUE       the value for step Q         0: nothing yet
 *     (Q + 1) * 8 + NONE        there is none for step Q
 *     (Q + 1) * 8               being written by the worker
 *     ... + READING             being copied by the process
 *
 * The process adds READING by compare-and-swap before it looks at the elements; the worker swaps its own tag in only
 * where nobody reads, and otherwise takes the buffer with the oldest tag, as then for the value whose buffer that was.
 * A process that is killed while it reads leaves READING behind, and nobody who would miss that buffer.
 *
 * The process sleeps on `horizon_turn` (as on `turn`: see ring.c), for the horizon and for fields. */
#include "channel/reader.h"
#include "channel/writer.h"
#include "core/clock.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VALUE = 1, NONE = 2, READING = 4, TAG_SHIFT = 3, TRIES = 16, BEYOND_LAG = WEIR__FEEDBACK_BEYOND_LAG };
static const int64_t  LOOK_NS          = 100000000;
static const uint64_t SEQUENCE_AT_MOST = UINT64_MAX >> (TAG_SHIFT + 1);

static uint64_t tag_of(uint64_t sequence, unsigned state) { return (sequence + 1) << TAG_SHIFT | state; }
static uint64_t tag_order(uint64_t tag) { return tag >> TAG_SHIFT; } /* sequence + 1; 0: nothing yet */

static weir__feedback_buffer *buffer_at(const weir__data *data, const weir__layout_feedback *back, uint64_t number) {
  return weir__at(data, back->at + back->stride * (size_t)(number % (uint64_t)back->depth));
}

/* ---- changes: what both sides hold them to ---- */

static bool is_whole(double x) { return fabs(x) <= 0x1p53 && x == floor(x); }

static weir_status check_change(weir_status code, const weir__channel_definitions *d, const weir__terms *terms,
                                const weir__change *change) {
  const double *value = change->value;
  int           index = change->index;
  if (change->kind == WEIR__CHANGE_PARAMETER) {
    if (index < 0 || index >= d->parameters)
      return WEIR_FAIL(code, "a change of parameter %d of %d", index, d->parameters);
    const weir__channel_parameter *p = &d->parameter[index];
    if (isfinite(value[0]) && value[0] >= p->least && value[0] <= p->most) return WEIR_OK;
    return WEIR_FAIL(code, "parameter '%s' is to become %g, expected a number from %g to %g", p->name, value[0],
                     p->least, p->most);
  }
  if (change->kind != WEIR__CHANGE_TRIGGER)
    return WEIR_FAIL(code, "a change of kind %d, expected a parameter or a trigger", (int)change->kind);
  if (index < 0 || index >= terms->triggers)
    return WEIR_FAIL(code, "a change of trigger %d of %d", index, (int)terms->triggers);
  if (is_whole(value[0]) && value[0] >= 0 && is_whole(value[1]) && isfinite(value[2]) && value[2] >= 0) return WEIR_OK;
  return WEIR_FAIL(code, "trigger %d is to have the period %g, phase %g and interval %g", index, value[0], value[1],
                   value[2]);
}

/* ---- the worker's side ---- */

weir_status weir__channel_change_post(weir__channel *self, const weir__channel_change *change) {
  weir__control *control = self->control;
  weir__change   copy    = {
           .number = change->number, .sequence = change->sequence, .kind = (int32_t)change->kind, .index = change->index};
  memcpy(copy.value, change->value, sizeof copy.value);
  if (!self->posted) return WEIR_FAIL(WEIR_ERR_STATE, "changes are posted after the demands");
  uint64_t posted = atomic_load_explicit(&control->changes_posted, memory_order_relaxed);
  uint64_t taken  = atomic_load_explicit(&control->changes_taken, memory_order_acquire);
  uint64_t next   = posted ? control->change[(posted - 1) % WEIR__CHANGES_MAX].number + 1 : copy.number;
  if (copy.number < next) return WEIR_OK;
  if (copy.number > next)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "change %" PRIu64 " was posted where %" PRIu64 " comes next", copy.number,
                     next);
  if (copy.sequence > SEQUENCE_AT_MOST)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "a change for the step with sequence number %" PRIu64, copy.sequence);
  WEIR_TRY(check_change(WEIR_ERR_ARGUMENT, &self->definitions, &self->terms, &copy));
  if (taken > posted)
    return WEIR_FAIL(WEIR_ERR_INPUT, "stream '%s', rank %d: damaged: %" PRIu64 " changes taken of %" PRIu64,
                     self->definitions.stream, self->definitions.rank, taken, posted);
  if (posted - taken >= WEIR__CHANGES_MAX)
    return WEIR_FAIL(WEIR_ERR_OVERFLOW, "stream '%s', rank %d: %d decisions wait for the step that they are for",
                     self->definitions.stream, self->definitions.rank, WEIR__CHANGES_MAX);
  control->change[posted % WEIR__CHANGES_MAX] = copy;
  atomic_store_explicit(&control->changes_posted, posted + 1, memory_order_release);
  return WEIR_OK;
}

void weir__channel_horizon(weir__channel *self, uint64_t before) {
  weir__control *control = self->control;
  uint64_t       is      = atomic_load_explicit(&control->horizon, memory_order_relaxed);
  do
    if (is >= before) return;
  while (!atomic_compare_exchange_weak_explicit(&control->horizon, &is, before, memory_order_release,
                                                memory_order_relaxed));
  weir__turn_wake(&control->horizon_turn);
}

/* Where the value for this step goes: its own buffer; but where one was displaced, because its own was being read, the
 * one with the oldest tag, so that no newer value is ever lost. The buffer that has this very step comes first. */
static weir__feedback_buffer *choose_buffer(const weir__data *data, const weir__layout_feedback *back,
                                            uint64_t sequence, uint64_t *tag) {
  uint64_t               depth  = (uint64_t)back->depth;
  weir__feedback_buffer *oldest = buffer_at(data, back, sequence);
  *tag                          = atomic_load_explicit(&oldest->tag, memory_order_acquire);
  uint64_t order                = tag_order(*tag);
  if (!(*tag & READING) && (!order || (order - 1) % depth == sequence % depth)) return oldest;
  oldest = NULL;
  for (int b = 0; b < back->depth; b++) {
    weir__feedback_buffer *buffer = buffer_at(data, back, (uint64_t)b);
    uint64_t               is     = atomic_load_explicit(&buffer->tag, memory_order_acquire);
    bool                   same   = tag_order(is) == sequence + 1 && is & (VALUE | NONE);
    if (!same && (is & READING || (oldest && tag_order(is) >= tag_order(*tag)))) continue;
    oldest = buffer;
    *tag   = is;
    if (same) break;
  }
  return oldest;
}

/* Make a buffer ours for this step. NULL: it was written before, or nobody wants it any more. */
static weir__feedback_buffer *claim_buffer(const weir__data *data, const weir__layout_feedback *back,
                                           uint64_t sequence) {
  for (int i = 0; i < TRIES; i++) {
    uint64_t               tag;
    weir__feedback_buffer *buffer = choose_buffer(data, back, sequence, &tag);
    if (!buffer || tag_order(tag) > sequence + 1) return NULL;
    if (tag_order(tag) == sequence + 1 && tag & (VALUE | NONE)) return NULL;
    if (atomic_compare_exchange_strong_explicit(&buffer->tag, &tag, tag_of(sequence, 0), memory_order_acq_rel,
                                                memory_order_acquire))
      return buffer;
  }
  return NULL;
}

static weir_status check_view(const weir__channel *self, int piece, const weir_view *view) {
  const weir__channel_piece_of *of    = &self->definitions.feedback_piece[piece];
  const weir__channel_field    *field = &self->definitions.feedback[of->field];
  bool                          fits  = view->dtype == field->type.dtype && view->rank == of->region.rank;
  for (int a = 0; fits && a < view->rank; a++) fits = view->count[a] == of->region.count[a];
  if (fits && (view->data || !weir__region_size(&of->region))) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "feedback field '%s': what is written has not the type and shape of the piece",
                   field->name);
}

weir_status weir__channel_feedback_write(weir__channel *self, int piece, uint64_t sequence, const weir_view *view) {
  if (piece < 0 || piece >= self->definitions.feedback_pieces || sequence > SEQUENCE_AT_MOST)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "feedback piece %d of %d, sequence number %" PRIu64, piece,
                     self->definitions.feedback_pieces, sequence);
  if (self->ended) return WEIR_OK; /* the process is gone */
  if (!self->data) return WEIR_FAIL(WEIR_ERR_STATE, "feedback is written once the data segment is mapped");
  const weir__layout_feedback  *back  = &self->layout.feedback[piece];
  const weir__channel_piece_of *of    = &self->definitions.feedback_piece[piece];
  const weir__channel_field    *field = &self->definitions.feedback[of->field];
  if (!back->given) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "feedback field '%s' is not in the terms", field->name);
  if (!view->missing) WEIR_TRY(check_view(self, piece, view));
  weir__feedback_buffer *buffer = claim_buffer(self->data, back, sequence);
  if (!buffer) return WEIR_OK;
  if (!view->missing && back->bytes) {
    weir_view to = weir__view_dense(weir__at(buffer, sizeof *buffer), &field->type, &of->region);
    weir__view_copy(&to, view);
  }
  atomic_store_explicit(&buffer->tag, tag_of(sequence, view->missing ? NONE : VALUE), memory_order_release);
  /* with steering the horizon follows, which wakes: before, a process that waits for it would wake in vain */
  if (!self->terms.steering) weir__turn_wake(&self->control->horizon_turn);
  return WEIR_OK;
}

/* ---- the worker's side: what another simulation has to get again ---- */

/* What is kept of a piece: what it is, then, of each of the steps ahead, what there is (VALUE, NONE or 0) and room for
 * the elements. */
typedef struct kept_piece {
  char        field[WEIR__CHANNEL_NAME_MAX + 1];
  int64_t     ahead; /* steps */
  weir_region region;
} kept_piece;

static kept_piece describe_piece(const weir__channel *self, int piece) {
  const weir__channel_piece_of *of   = &self->definitions.feedback_piece[piece];
  kept_piece                    kept = {.ahead = self->layout.feedback[piece].depth - BEYOND_LAG, .region = of->region};
  snprintf(kept.field, sizeof kept.field, "%s", self->definitions.feedback[of->field].name);
  return kept;
}

static size_t kept_stride(const weir__layout_feedback *back) { /* numbers are aligned */
  return sizeof(uint64_t) + (back->bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t) * sizeof(uint64_t);
}

static size_t kept_bytes(const weir__layout_feedback *back) {
  return sizeof(kept_piece) + (size_t)(back->depth - BEYOND_LAG) * kept_stride(back);
}

static int kept_pieces(const weir__channel *self) {
  return self->layout.feedback ? self->definitions.feedback_pieces : 0;
}

size_t weir__channel_feedback_bytes(const weir__channel *self) {
  size_t bytes = 0;
  for (int k = 0; k < kept_pieces(self); k++)
    if (self->layout.feedback[k].given) bytes += kept_bytes(&self->layout.feedback[k]);
  return bytes;
}

void weir__channel_feedback_keep(const weir__channel *self, uint64_t sequence, char *bytes) {
  for (int k = 0; k < kept_pieces(self); k++) {
    const weir__layout_feedback *back = &self->layout.feedback[k];
    if (!back->given) continue;
    kept_piece kept = describe_piece(self, k);
    memcpy(bytes, &kept, sizeof kept);
    bytes += sizeof kept;
    for (int64_t ahead = 0; ahead < kept.ahead; ahead++) {
      uint64_t is = 0;
      for (int b = 0; self->data && b < back->depth && !is; b++) {
        weir__feedback_buffer *buffer = buffer_at(self->data, back, (uint64_t)b);
        uint64_t               tag    = atomic_load_explicit(&buffer->tag, memory_order_acquire);
        if (tag_order(tag) == sequence + (uint64_t)ahead + 1) is = tag & (VALUE | NONE);
        if (is == VALUE && back->bytes) memcpy(bytes + sizeof is, weir__at(buffer, sizeof *buffer), back->bytes);
      }
      memcpy(bytes, &is, sizeof is);
      bytes += kept_stride(back);
    }
  }
}

weir_status weir__channel_feedback_check(const weir__channel *self, const char *bytes) {
  for (int k = 0; k < kept_pieces(self); k++) {
    kept_piece kept, mine = describe_piece(self, k);
    if (!self->layout.feedback[k].given) continue;
    memcpy(&kept, bytes, sizeof kept);
    if (strncmp(kept.field, mine.field, sizeof kept.field) || kept.ahead != mine.ahead ||
        !weir__region_equal(&kept.region, &mine.region))
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "stream '%s', rank %d, feedback field '%s': what was kept for the steps to come is of other "
                       "pieces; the simulation must lie over its processes as before",
                       self->definitions.stream, self->definitions.rank, mine.field);
    bytes += kept_bytes(&self->layout.feedback[k]);
  }
  return WEIR_OK;
}

weir_status weir__channel_feedback_repeat(weir__channel *self, const char *bytes) {
  WEIR_TRY(weir__channel_feedback_check(self, bytes));
  for (int k = 0; k < kept_pieces(self); k++) {
    const weir__layout_feedback  *back = &self->layout.feedback[k];
    const weir__channel_piece_of *of   = &self->definitions.feedback_piece[k];
    if (!back->given) continue;
    bytes += sizeof(kept_piece);
    for (int ahead = 0; ahead < back->depth - BEYOND_LAG; ahead++) {
      uint64_t  is;
      weir_view view = weir__view_dense((char *)(uintptr_t)bytes + sizeof is,
                                        &self->definitions.feedback[of->field].type, &of->region);
      memcpy(&is, bytes, sizeof is);
      view.missing = is == NONE;
      if (is) WEIR_TRY(weir__channel_feedback_write(self, k, (uint64_t)ahead, &view));
      bytes += kept_stride(back);
    }
  }
  return WEIR_OK;
}

/* ---- the process's side: decisions ---- */

weir_status weir__back_create(weir__control *control, const weir__channel_definitions *definitions, weir__back *back) {
  weir_status status = WEIR_OK;
  weir__back  self   = {.control = control, .definitions = definitions};
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)definitions->parameters, sizeof *self.value, &self.value));
  WEIR_TRY_GOTO(out, weir__alloc_array(WEIR__CHANGES_MAX, sizeof *self.applied, &self.applied));
  for (int k = 0; k < definitions->parameters; k++) self.value[k] = definitions->parameter[k].value;
  *back = self;
  self  = (weir__back){0};
out:
  weir__back_clear(&self);
  return status;
}

void weir__back_clear(weir__back *back) {
  weir__free(back->value);
  weir__free(back->applied);
  *back = (weir__back){0};
}

static bool below_horizon(const weir__back *back, uint64_t sequence) {
  return atomic_load_explicit(&back->control->horizon, memory_order_acquire) > sequence;
}

/* Sleep until something was posted; how long at most is left of `timeout_ns` since `begin`. */
static void sleep_for_more(weir__back *back, uint32_t seen, int64_t begin, int64_t timeout_ns) {
  int64_t left = timeout_ns - (weir__clock_ns() - begin);
  weir__turn_sleep(&back->control->horizon_turn, seen, left < LOOK_NS ? (left > 0 ? left : 0) : LOOK_NS);
}

static weir_status await_horizon(weir__back *back, uint64_t sequence, bool *left_out, int64_t *blocked_ns) {
  const weir__terms *terms  = back->terms;
  weir_status        status = WEIR_OK;
  int64_t            begin  = weir__clock_ns();
  for (;;) {
    uint32_t seen = atomic_load_explicit(&back->control->horizon_turn, memory_order_acquire);
    if (below_horizon(back, sequence)) break;
    sleep_for_more(back, seen, begin, terms->timeout_ns);
    if (below_horizon(back, sequence)) break;
    status = weir__ring_look(back->ring);
    if (status) break;
    if (weir__clock_ns() - begin < terms->timeout_ns) continue;
    back->adrift = *left_out = terms->fallback == WEIR__FALLBACK_DROP;
    if (!back->adrift)
      status = WEIR_FAIL(WEIR_ERR_TIMEOUT, "waited %.3g s for the worker to decide about a step",
                         (double)terms->timeout_ns * 1e-9);
    break;
  }
  int64_t spent = weir__clock_ns() - begin;
  *blocked_ns += spent;
  weir__control_blocked(back->control, spent);
  return status;
}

static void apply_change(weir__back *back, const weir__change *change) {
  if (change->kind == WEIR__CHANGE_PARAMETER) {
    back->value[change->index] = change->value[0];
  } else {
    back->terms->trigger[change->index] = (weir__channel_trigger){
        .period = (int64_t)change->value[0], .phase = (int64_t)change->value[1], .interval = change->value[2]};
  }
}

static weir_status apply_changes(weir__back *back, uint64_t sequence) {
  weir__control *control = back->control;
  uint64_t       posted = atomic_load_explicit(&control->changes_posted, memory_order_acquire), taken = back->taken;
  if (posted - taken > WEIR__CHANGES_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "the decisions of the worker are damaged: %" PRIu64 " after %" PRIu64, posted,
                     taken);
  for (uint64_t n = taken; n < posted; n++) {
    uint8_t     *applied = &back->applied[n % WEIR__CHANGES_MAX];
    weir__change change  = control->change[n % WEIR__CHANGES_MAX];
    if (*applied || change.sequence > sequence) continue;
    if (!back->number_known) back->number = change.number - n;
    back->number_known = true;
    if (change.number != back->number + n)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "the decisions of the worker are damaged: number %" PRIu64 " instead of %" PRIu64, change.number,
                       back->number + n);
    WEIR_TRY(check_change(WEIR_ERR_INPUT, back->definitions, back->terms, &change));
    apply_change(back, &change);
    *applied = 1;
  }
  for (; back->taken < posted && back->applied[back->taken % WEIR__CHANGES_MAX]; back->taken++)
    back->applied[back->taken % WEIR__CHANGES_MAX] = 0;
  if (back->taken != taken) atomic_store_explicit(&control->changes_taken, back->taken, memory_order_release);
  return WEIR_OK;
}

weir_status weir__back_begin(weir__back *back, uint64_t sequence, bool *left_out, int64_t *blocked_ns) {
  weir_status status = WEIR_OK;
  if (back->terms->steering) {
    if (below_horizon(back, sequence)) {
      back->adrift = false;
    } else if (back->adrift) { /* one time-out is enough, until the worker is ahead again */
      *left_out = true;
      if (weir__clock_ns() - back->ring->looked_ns >= LOOK_NS) status = weir__ring_look(back->ring);
    } else {
      status = await_horizon(back, sequence, left_out, blocked_ns);
    }
  }
  return status ? status : apply_changes(back, sequence);
}

/* ---- the process's side: fields ---- */

/* The buffer with the newest that came for a step up to `sequence`, or only with what came for that very step. */
static weir__feedback_buffer *find_newest(const weir__data *data, const weir__layout_feedback *back, uint64_t sequence,
                                          bool exact, uint64_t *tag) {
  weir__feedback_buffer *newest = buffer_at(data, back, sequence);
  *tag                          = atomic_load_explicit(&newest->tag, memory_order_acquire);
  if (tag_order(*tag) == sequence + 1 && *tag & (VALUE | NONE)) return newest; /* as it should be */
  newest = NULL;
  for (int b = 0; b < back->depth; b++) {
    weir__feedback_buffer *buffer = buffer_at(data, back, (uint64_t)b);
    uint64_t               is     = atomic_load_explicit(&buffer->tag, memory_order_acquire);
    if (!(is & (VALUE | NONE)) || tag_order(is) > sequence + 1 || (exact && tag_order(is) <= sequence)) continue;
    if (newest && tag_order(is) <= tag_order(*tag)) continue;
    newest = buffer;
    *tag   = is;
  }
  return newest;
}

/* Copy what find_newest finds. WEIR_END: no value; `*found`: there is one, or it is known that there is none. */
static weir_status copy_newest(weir__back *back, int piece, uint64_t sequence, bool exact, const weir_view *to,
                               bool *found) {
  const weir__layout_feedback  *at = &back->layout->feedback[piece];
  const weir__channel_piece_of *of = &back->definitions->feedback_piece[piece];
  *found                           = false;
  for (int i = 0; i < TRIES; i++) {
    uint64_t               tag;
    weir__feedback_buffer *buffer = find_newest(back->data, at, sequence, exact, &tag);
    if (!buffer) return WEIR_END;
    *found = !(tag & VALUE);
    if (*found) return WEIR_END;
    if (!atomic_compare_exchange_strong_explicit(&buffer->tag, &tag, tag | READING, memory_order_acq_rel,
                                                 memory_order_acquire))
      continue; /* it is being written over at this moment */
    if (at->bytes) {
      const weir_field_type *type = &back->definitions->feedback[of->field].type;
      weir_view              from = weir__view_dense(weir__at(buffer, sizeof *buffer), type, &of->region);
      weir__view_copy(to, &from);
    }
    atomic_store_explicit(&buffer->tag, tag & ~(uint64_t)READING, memory_order_release);
    *found = true;
    return WEIR_OK;
  }
  return WEIR_END;
}

static void fill_zeros(const weir_view *to) {
  const double zeros[256]           = {0};
  int64_t      index[WEIR_RANK_MAX] = {0}, row = weir_view_row(to);
  if (!weir_view_size(to)) return;
  do {
    int64_t at[WEIR_RANK_MAX];
    memcpy(at, index, sizeof at);
    for (int64_t i = 0; i < row; i += 256) {
      if (to->rank) at[to->rank - 1] = i;
      weir_view_store(to, at, row - i < 256 ? row - i : 256, zeros);
    }
  } while (weir_view_next_row(to, index));
}

static weir_status await_field(weir__back *back, int piece, uint64_t sequence, const weir_view *to,
                               int64_t *blocked_ns) {
  int                           f       = back->definitions->feedback_piece[piece].field;
  const weir__channel_feedback *terms   = &back->feedback[f];
  int64_t                       timeout = terms->timeout_ns ? terms->timeout_ns : back->terms->timeout_ns;
  int64_t                       begin   = weir__clock_ns();
  weir_status                   status;
  for (;;) {
    bool     found;
    uint32_t seen    = atomic_load_explicit(&back->control->horizon_turn, memory_order_acquire);
    bool     decided = below_horizon(back, sequence);
    status           = copy_newest(back, piece, sequence, true, to, &found);
    if (found || decided) break;
    if (weir__clock_ns() - begin >= timeout) {
      status = WEIR_FAIL(WEIR_ERR_TIMEOUT, "feedback field '%s' has not come within %.3g s",
                         back->definitions->feedback[f].name, (double)timeout * 1e-9);
      break;
    }
    sleep_for_more(back, seen, begin, timeout);
    status = weir__ring_look(back->ring);
    if (status) break;
  }
  int64_t spent = weir__clock_ns() - begin;
  *blocked_ns += spent;
  weir__control_blocked(back->control, spent);
  return status;
}

weir_status weir__back_read(weir__back *back, int piece, uint64_t sequence, const weir_view *to, int64_t *blocked_ns) {
  const weir__channel_feedback *terms = &back->feedback[back->definitions->feedback_piece[piece].field];
  bool                          found;
  if (!back->layout->feedback[piece].given) return WEIR_END;
  bool decided = below_horizon(back, sequence); /* before the look at the buffers, which it promises something of */
  weir_status status = copy_newest(back, piece, sequence, true, to, &found);
  /* nothing can come for the first steps but what was computed for them before this simulation was started again */
  if (found || decided || sequence < (uint64_t)terms->lag) return status;
  switch (terms->when_late) {
  case WEIR__LATE_HOLD: return copy_newest(back, piece, sequence, false, to, &found);
  case WEIR__LATE_ZERO: fill_zeros(to); return WEIR_OK;
  default: return await_field(back, piece, sequence, to, blocked_ns);
  }
}
