/* Where everything lies in the data segment: a pure function of definitions, demands and slots, computed on both sides.
 */
#include "channel/segment.h"

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

static weir_status place_piece(const weir__channel_definitions *definitions, const weir__channel_demand *demand, int p,
                               weir__layout_piece *piece) {
  const weir__channel_piece_of *defined = &definitions->piece[p];
  const weir__channel_field    *field   = &definitions->field[defined->field];
  char                          wanted[200], is[200];

  *piece = (weir__layout_piece){.is_static = field->is_static, .region = demand->region, .triggers = demand->triggers};
  if (demand->region.rank != field->type.rank)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "demand on field '%s': rank %d, but the field has %d", field->name,
                     demand->region.rank, field->type.rank);
  for (int a = 0; a < demand->region.rank; a++)
    if (demand->region.count[a] <= 0) return WEIR_OK;
  if (!demand->triggers) return WEIR_OK;
  if (!weir__region_contains(&defined->region, &demand->region))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "demand on field '%s': region %s is not inside the piece %s", field->name,
                     weir__region_text(&demand->region, wanted), weir__region_text(&defined->region, is));
  if (!region_bytes(&demand->region, field->type.dtype, &piece->bytes))
    return WEIR_FAIL(WEIR_ERR_OVERFLOW, "demand on field '%s': region %s is too large", field->name,
                     weir__region_text(&demand->region, wanted));
  piece->wanted = true;
  return WEIR_OK;
}

weir_status weir__layout_create(const weir__channel_definitions *definitions, const weir__channel_demand *demand,
                                int slots, weir__layout *layout) {
  weir_status  status = WEIR_OK;
  weir__layout self   = {.slots = slots, .pieces = definitions->pieces};
  size_t       all;
  bool         fits = true;

  if (slots < 1 || slots > WEIR__CHANNEL_SLOTS_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%d slots in a channel, expected 1 to %d", slots, WEIR__CHANNEL_SLOTS_MAX);
  WEIR_TRY(weir__alloc_array((size_t)definitions->pieces, sizeof *self.piece, &self.piece));
  for (int p = 0; p < definitions->pieces; p++)
    WEIR_TRY_GOTO(out, place_piece(definitions, &demand[p], p, &self.piece[p]));

  self.slot_bytes = 0;
  fits            = fits && advance(&self.slot_bytes, sizeof(weir__slot));
  self.present_at = self.slot_bytes;
  fits            = fits && advance(&self.slot_bytes, (size_t)self.pieces);
  self.words_at = self.total = (sizeof(weir__data) + WEIR__LINE - 1) & ~(size_t)(WEIR__LINE - 1);
  fits                       = fits && advance(&self.total, (size_t)slots * sizeof(weir__slot_word));
  self.statics_at            = self.total;
  for (int p = 0; p < self.pieces && fits; p++) {
    weir__layout_piece *piece = &self.piece[p];
    if (!piece->wanted) continue;
    size_t *end = piece->is_static ? &self.total : &self.slot_bytes;
    piece->at   = *end;
    fits        = advance(end, piece->bytes);
  }
  self.slots_at = self.total;
  if (!fits || __builtin_mul_overflow((size_t)slots, self.slot_bytes, &all) || !advance(&self.total, all)) {
    status = WEIR_FAIL(WEIR_ERR_OVERFLOW, "%d slots of the demanded pieces are more than memory can hold", slots);
    goto out;
  }
  *layout    = self;
  self.piece = NULL;
out:
  weir__free(self.piece);
  return status;
}

void weir__layout_clear(weir__layout *layout) {
  weir__free(layout->piece);
  *layout = (weir__layout){0};
}
