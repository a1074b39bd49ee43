/* Where everything lies in the data segment: a pure function of definitions, demands and terms, computed on both sides.
 */
#include "channel/segment.h"

enum {
  TOMBSTONES      = 256,    /* entries of the log beside those of steps with a place ... */
  DROPPED         = 4096,   /* ... and for steps that were dropped after they had been published */
  SPILLED_AT_MOST = 1 << 15 /* steps: bounds the log when steps are tiny */
};

/* Move `*offset` past `bytes` to the next cache line; false: too large. */
static bool advance(size_t *offset, size_t bytes) {
  size_t end;
  if (__builtin_add_overflow(*offset, bytes, &end) || end > SIZE_MAX / 2) return false;
  *offset = (end + WEIR__LINE - 1) & ~(size_t)(WEIR__LINE - 1);
  return true;
}

static bool region_bytes(const weir_region *region, weir_dtype dtype, size_t *bytes) {
  *bytes = weir_dtype_size(dtype);
  for (int a = 0; a < region->rank; a++)
    if (__builtin_mul_overflow(*bytes, (size_t)region->count[a], bytes)) return false;
  return true;
}

static bool place_piece(const weir__channel_definitions *definitions, const weir__channel_demand *demand, int p,
                        bool in_place, weir__layout_piece *piece) {
  const weir__channel_field *field = &definitions->field[definitions->piece[p].field];
  *piece        = (weir__layout_piece){.is_static = field->is_static, .wants = demand->wants, .want = demand->want};
  piece->wanted = demand->wants > 0;
  piece->region.rank = field->type.rank;
  for (int w = 0; w < demand->wants; w++) {
    piece->triggers |= demand->want[w].triggers;
    if (w) weir__hull_extend(&piece->region, &demand->want[w].region);
    else piece->region = demand->want[w].region;
  }
  piece->bytes = sizeof(void *);
  if (in_place && !piece->is_static) return true;
  return !piece->wanted || region_bytes(&piece->region, field->type.dtype, &piece->bytes);
}

/* Does what is wanted of piece p go on where that of the piece before ends, as slabs of an array do that were defined
 * one after another? */
static bool goes_on(const weir__channel_definitions *definitions, const weir__layout *self, int p) {
  if (!p || definitions->piece[p].field != definitions->piece[p - 1].field) return false;
  const weir__layout_piece *before = &self->piece[p - 1], *piece = &self->piece[p];
  return before->wanted && piece->wanted && !piece->is_static &&
         weir__region_follows(&before->region, &piece->region) == 0;
}

/* A field comes for the step after the one it was computed from by `lag`, and the process may still hold the one
 * before: lag + 2 buffers. */
static bool place_feedback(const weir__channel_definitions *definitions, const weir__channel_feedback *feedback, int p,
                           weir__layout_feedback *back, size_t *total) {
  const weir__channel_piece_of *piece = &definitions->feedback_piece[p];
  const weir_field_type        *type  = &definitions->feedback[piece->field].type;
  size_t                        all;
  *back = (weir__layout_feedback){.given = feedback[piece->field].given, .at = *total};
  if (!back->given) return true;
  back->depth  = (int)feedback[piece->field].lag + WEIR__FEEDBACK_BEYOND_LAG;
  back->stride = sizeof(weir__feedback_buffer);
  return region_bytes(&piece->region, type->dtype, &back->bytes) && advance(&back->stride, back->bytes) &&
         !__builtin_mul_overflow(back->stride, (size_t)back->depth, &all) && advance(total, all);
}

/* How many steps the spill file may hold. */
static int count_places(const weir__terms *terms, size_t place_bytes) {
  if (terms->policy != WEIR__POLICY_SPILL) return 0;
  uint64_t places = terms->spill_bytes / place_bytes;
  return places > SPILLED_AT_MOST ? SPILLED_AT_MOST : (int)places;
}

static bool place_all(const weir__channel_definitions *definitions, const weir__demands *demands,
                      const weir__terms *terms, weir__layout *self) {
  size_t all;
  self->total = sizeof(weir__data);
  bool fits   = advance(&self->total, 0) && advance(&self->slot_bytes, (size_t)self->pieces);
  for (int p = 0; p < self->pieces && fits; p++) {
    weir__layout_piece *piece = &self->piece[p];
    fits                      = place_piece(definitions, &demands->piece[p], p, terms->in_place, piece);
    if (!fits || !piece->wanted || piece->is_static) continue;
    if (!terms->in_place && goes_on(definitions, self, p)) /* nothing between: they are one box for who reads them */
      self->slot_bytes = self->piece[p - 1].at + self->piece[p - 1].bytes;
    piece->at = self->slot_bytes;
    fits      = advance(&self->slot_bytes, piece->bytes);
  }
  if (!fits) return false;
  self->place_bytes  = (self->slot_bytes + WEIR__PAGE - 1) & ~(size_t)(WEIR__PAGE - 1);
  self->spill_places = count_places(terms, self->place_bytes);
  bool alike         = terms->policy == WEIR__POLICY_DROP_NEWEST || terms->policy == WEIR__POLICY_DROP_OLDEST;
  self->log_entries  = (size_t)self->slots + (size_t)self->spill_places + TOMBSTONES +
                      (alike ? 2 * (size_t)self->slots : 0) + (terms->policy == WEIR__POLICY_DROP_OLDEST ? DROPPED : 0);
  self->log_at     = self->total;
  fits             = advance(&self->total, self->log_entries * sizeof(weir__entry));
  self->statics_at = self->total;
  for (int p = 0; p < self->pieces && fits; p++) {
    weir__layout_piece *piece = &self->piece[p];
    if (!piece->wanted || !piece->is_static) continue;
    piece->at = self->total;
    fits      = advance(&self->total, piece->bytes);
  }
  self->feedback_at = self->total;
  for (int p = 0; p < definitions->feedback_pieces && fits; p++)
    fits = place_feedback(definitions, demands->feedback, p, &self->feedback[p], &self->total);
  self->slots_at = self->total;
  return fits && !__builtin_mul_overflow((size_t)self->slots, self->slot_bytes, &all) && advance(&self->total, all);
}

weir_status weir__layout_create(const weir__channel_definitions *definitions, const weir__demands *demands,
                                const weir__terms *terms, weir__layout *layout) {
  weir_status  status = WEIR_OK;
  weir__layout self   = {.slots = terms->slots, .pieces = definitions->pieces};
  WEIR_TRY(weir__alloc_array((size_t)definitions->pieces, sizeof *self.piece, &self.piece));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)definitions->feedback_pieces, sizeof *self.feedback, &self.feedback));
  if (!place_all(definitions, demands, terms, &self)) {
    status = WEIR_FAIL(WEIR_ERR_OVERFLOW, "%d slots of the demanded pieces are more than memory can hold", self.slots);
    goto out;
  }
  *layout = self;
  self    = (weir__layout){0};
out:
  weir__layout_clear(&self);
  return status;
}

void weir__control_stats(const weir__control *control, weir__channel_stats *stats) {
  *stats = (weir__channel_stats){
      .published    = atomic_load_explicit(&control->steps, memory_order_relaxed),
      .acknowledged = atomic_load_explicit(&control->acknowledged, memory_order_relaxed),
      .dropped      = atomic_load_explicit(&control->dropped, memory_order_relaxed) +
                 atomic_load_explicit(&control->dropped_unread, memory_order_relaxed),
      .spilled    = atomic_load_explicit(&control->spilled, memory_order_relaxed),
      .bytes      = atomic_load_explicit(&control->bytes, memory_order_relaxed),
      .blocked_ns = atomic_load_explicit(&control->blocked_ns, memory_order_relaxed),
      .copying_ns = atomic_load_explicit(&control->copying_ns, memory_order_relaxed),
  };
}

void weir__layout_clear(weir__layout *layout) {
  weir__free(layout->piece);
  weir__free(layout->feedback);
  *layout = (weir__layout){0};
}
