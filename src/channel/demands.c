/* Terms and demands: checked, brought into their simplest form, and as bytes in the control segment.
 *
 * In a step the hull of the fired wants of a piece is copied. It is the hull, over the triggers t that fired, of H(t) =
 * the hull of all wants with bit t: so at most one want for each trigger says all, and the room for them is known
 * before there is a worker. */
#include "channel/segment.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const int64_t TIMEOUT_NS = 600000000000;

/* ---- terms ---- */

weir_status weir__terms_check(weir_status code, const weir__terms *t) {
  if (t->slots < 1 || t->slots > WEIR__CHANNEL_SLOTS_MAX)
    return WEIR_FAIL(code, "%d slots in a channel, expected 1 to %d", (int)t->slots, WEIR__CHANNEL_SLOTS_MAX);
  if (t->held < 1 || t->held > WEIR__CHANNEL_HELD_MAX)
    return WEIR_FAIL(code, "%d spilled steps are read at once, expected 1 to %d", (int)t->held, WEIR__CHANNEL_HELD_MAX);
  if (t->triggers < 0 || t->triggers > WEIR__CHANNEL_TRIGGERS_MAX)
    return WEIR_FAIL(code, "%d triggers, expected at most %d", (int)t->triggers, WEIR__CHANNEL_TRIGGERS_MAX);
  if (t->timeout_ns <= 0) return WEIR_FAIL(code, "a time-out of %" PRId64 " ns", t->timeout_ns);
  if (t->policy < WEIR__POLICY_BLOCK || t->policy > WEIR__POLICY_SPILL)
    return WEIR_FAIL(code, "policy %d is unknown", (int)t->policy);
  if (t->in_place && t->policy == WEIR__POLICY_SPILL) return WEIR_FAIL(code, "what is seen in place is not spilled");
  if (t->fallback < WEIR__FALLBACK_STOP || t->fallback > WEIR__FALLBACK_DROP)
    return WEIR_FAIL(code, "fallback %d is unknown", (int)t->fallback);
  if (!memchr(t->spill_directory, 0, sizeof t->spill_directory) ||
      (t->policy == WEIR__POLICY_SPILL && !t->spill_directory[0]))
    return WEIR_FAIL(code, "the policy spill needs a directory with a path of at most %d bytes",
                     WEIR__CHANNEL_PATH_MAX);
  return WEIR_OK;
}

weir_status weir__terms_make(const weir__channel_terms *given, weir__terms *terms) {
  bool   spills = given->policy == WEIR__POLICY_SPILL;
  size_t length = spills && given->spill_directory ? strlen(given->spill_directory) : 0;
  memset(terms, 0, sizeof *terms);
  terms->slots       = given->slots ? given->slots : WEIR__CHANNEL_SLOTS_DEFAULT;
  terms->held        = given->held ? given->held : WEIR__CHANNEL_HELD_DEFAULT;
  terms->timeout_ns  = given->timeout_ns ? given->timeout_ns : TIMEOUT_NS;
  terms->policy      = (int32_t)given->policy;
  terms->fallback    = (int32_t)given->fallback;
  terms->supervised  = given->supervised;
  terms->steering    = given->steering;
  terms->in_place    = given->in_place;
  terms->spill_bytes = spills ? given->spill_bytes : 0;
  terms->triggers    = given->triggers;
  if (length > WEIR__CHANNEL_PATH_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "the path of the spill directory '%.80s...' has %zu bytes, expected at most %d",
                     given->spill_directory, length, WEIR__CHANNEL_PATH_MAX);
  if (length) memcpy(terms->spill_directory, given->spill_directory, length);
  WEIR_TRY(weir__terms_check(WEIR_ERR_ARGUMENT, terms));
  for (int t = 0; t < given->triggers; t++) terms->trigger[t] = given->trigger[t];
  return WEIR_OK;
}

/* ---- wants ---- */

void weir__hull_extend(weir_region *hull, const weir_region *region) {
  for (int a = 0; a < hull->rank; a++) {
    int64_t end = hull->start[a] + hull->count[a], other = region->start[a] + region->count[a];
    if (region->start[a] < hull->start[a]) hull->start[a] = region->start[a];
    hull->count[a] = (other > end ? other : end) - hull->start[a];
  }
}

static bool is_empty(const weir_region *region) {
  for (int a = 0; a < region->rank; a++)
    if (region->count[a] <= 0) return true;
  return false;
}

static weir_status check_want(const weir__channel_definitions *definitions, int p, const weir__channel_want *want) {
  const weir__channel_piece_of *defined = &definitions->piece[p];
  const weir__channel_field    *field   = &definitions->field[defined->field];
  char                          wanted[200], is[200];
  if (want->region.rank != field->type.rank)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "demand on field '%s': rank %d, but the field has %d", field->name,
                     want->region.rank, field->type.rank);
  if (is_empty(&want->region) || weir__region_contains(&defined->region, &want->region)) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "demand on field '%s': region %s is not inside the piece %s", field->name,
                   weir__region_text(&want->region, wanted), weir__region_text(&defined->region, is));
}

/* Add "region, when trigger t fires", to a list in which regions differ. */
static void add_want(weir__channel_want *list, int *count, const weir_region *region, uint64_t triggers) {
  for (int i = 0; i < *count; i++)
    if (weir__region_equal(&list[i].region, region)) {
      list[i].triggers |= triggers;
      return;
    }
  list[*count] = (weir__channel_want){.triggers = triggers, .region = *region};
  (*count)++;
}

static int simplify_piece(const weir__channel_demand *demand, bool is_static,
                          weir__channel_want list[WEIR__CHANNEL_TRIGGERS_MAX]) {
  weir_region hull  = {0};
  uint64_t    all   = 0;
  int         count = 0;
  for (int t = 0; t < WEIR__CHANNEL_TRIGGERS_MAX; t++) {
    bool any = false;
    if (is_static && t) break; /* copied once: the hull of all */
    for (int w = 0; w < demand->wants; w++) {
      const weir__channel_want *want = &demand->want[w];
      all |= want->triggers;
      if (is_empty(&want->region) || !(is_static ? want->triggers : want->triggers >> t & 1)) continue;
      if (any) weir__hull_extend(&hull, &want->region);
      else hull = want->region;
      any = true;
    }
    if (any) add_want(list, &count, &hull, is_static ? all : UINT64_C(1) << t);
  }
  return count;
}

static weir_status check_feedback(const weir__channel_definitions *definitions, int f,
                                  const weir__channel_feedback *feedback) {
  if (!feedback->given) return WEIR_OK;
  if (feedback->lag < 1 || feedback->lag > WEIR__CHANNEL_LAG_MAX || feedback->when_late < WEIR__LATE_HOLD ||
      feedback->when_late > WEIR__LATE_WAIT || feedback->timeout_ns < 0)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "feedback field '%s': a lag of %" PRId64 " steps, expected 1 to %d",
                     definitions->feedback[f].name, feedback->lag, WEIR__CHANNEL_LAG_MAX);
  return WEIR_OK;
}

weir_status weir__demands_simplify(const weir__channel_definitions *definitions, const weir__channel_demand *demand,
                                   const weir__channel_feedback *feedback, weir__arena *arena, weir__demands *demands) {
  weir__channel_demand   *piece;
  weir__channel_feedback *back;
  WEIR_TRY(weir__arena_alloc(arena, (size_t)definitions->pieces * sizeof *piece, &piece));
  WEIR_TRY(weir__arena_alloc(arena, (size_t)definitions->feedbacks * sizeof *back, &back));
  for (int p = 0; p < definitions->pieces; p++) {
    weir__channel_want         list[WEIR__CHANNEL_TRIGGERS_MAX], *kept;
    const weir__channel_field *field = &definitions->field[definitions->piece[p].field];
    for (int w = 0; w < demand[p].wants; w++) WEIR_TRY(check_want(definitions, p, &demand[p].want[w]));
    int count = simplify_piece(&demand[p], field->is_static, list);
    WEIR_TRY(weir__arena_alloc(arena, (size_t)count * sizeof *kept, &kept));
    if (count) memcpy(kept, list, (size_t)count * sizeof *kept);
    piece[p] = (weir__channel_demand){.wants = count, .want = kept};
  }
  for (int f = 0; f < definitions->feedbacks && feedback; f++) {
    WEIR_TRY(check_feedback(definitions, f, &feedback[f]));
    if (feedback[f].given) back[f] = feedback[f];
  }
  *demands = (weir__demands){.piece = piece, .feedback = back};
  return WEIR_OK;
}

/* ---- as bytes ---- */

static void put_i64(weir__text *out, int64_t value) { weir__text_add_bytes(out, &value, sizeof value); }

weir_status weir__demands_room(const weir__channel_definitions *definitions, size_t *bytes) {
  size_t total = (size_t)definitions->feedbacks * 4 * sizeof(int64_t);
  for (int p = 0; p < definitions->pieces; p++) {
    const weir__channel_field *field = &definitions->field[definitions->piece[p].field];
    int wants = field->is_static || !field->type.rank ? 1 : WEIR__CHANNEL_TRIGGERS_MAX; /* a scalar has one region */
    if (__builtin_add_overflow(total, (1 + (size_t)wants * (1 + 2 * (size_t)field->type.rank)) * sizeof(int64_t),
                               &total))
      return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%d pieces are more than memory can hold", definitions->pieces);
  }
  *bytes = total;
  return WEIR_OK;
}

weir_status weir__demands_pack(const weir__channel_definitions *definitions, const weir__demands *demands,
                               weir__text *out) {
  for (int p = 0; p < definitions->pieces; p++) {
    put_i64(out, demands->piece[p].wants);
    for (int w = 0; w < demands->piece[p].wants; w++) {
      const weir__channel_want *want = &demands->piece[p].want[w];
      put_i64(out, (int64_t)want->triggers);
      for (int a = 0; a < want->region.rank; a++) {
        put_i64(out, want->region.start[a]);
        put_i64(out, want->region.count[a]);
      }
    }
  }
  for (int f = 0; f < definitions->feedbacks; f++) {
    put_i64(out, demands->feedback[f].given);
    put_i64(out, demands->feedback[f].lag);
    put_i64(out, (int64_t)demands->feedback[f].when_late);
    put_i64(out, demands->feedback[f].timeout_ns);
  }
  return weir__text_status(out);
}

typedef struct reader {
  const char *at, *end;
} reader;

static weir_status get_i64(reader *in, int64_t least, int64_t most, int64_t *value) {
  *value = 0;
  if ((size_t)(in->end - in->at) >= sizeof *value) {
    memcpy(value, in->at, sizeof *value);
    in->at += sizeof *value;
    if (*value >= least && *value <= most) return WEIR_OK;
  }
  return WEIR_FAIL(WEIR_ERR_INPUT, "the demands of the worker are damaged");
}

static weir_status get_want(reader *in, const weir_region *piece, weir__channel_want *want) {
  int64_t triggers = 0;
  WEIR_TRY(get_i64(in, INT64_MIN, INT64_MAX, &triggers));
  want->triggers    = (uint64_t)triggers;
  want->region.rank = piece->rank;
  for (int a = 0; a < piece->rank; a++) {
    int64_t end = piece->start[a] + piece->count[a], *start = &want->region.start[a];
    WEIR_TRY(get_i64(in, piece->start[a], end, start));
    WEIR_TRY(get_i64(in, 1, end - *start, &want->region.count[a]));
  }
  return WEIR_OK;
}

weir_status weir__demands_unpack(const weir__channel_definitions *definitions, const char *bytes, size_t length,
                                 weir__arena *arena, weir__demands *demands) {
  reader                  in = {.at = bytes, .end = bytes + length};
  weir__channel_demand   *piece;
  weir__channel_feedback *back;
  int64_t                 value = 0;
  WEIR_TRY(weir__arena_alloc(arena, (size_t)definitions->pieces * sizeof *piece, &piece));
  WEIR_TRY(weir__arena_alloc(arena, (size_t)definitions->feedbacks * sizeof *back, &back));
  for (int p = 0; p < definitions->pieces; p++) {
    weir__channel_want *want;
    WEIR_TRY(get_i64(&in, 0, WEIR__CHANNEL_TRIGGERS_MAX, &value));
    WEIR_TRY(weir__arena_alloc(arena, (size_t)value * sizeof *want, &want));
    piece[p] = (weir__channel_demand){.wants = (int)value, .want = want};
    for (int w = 0; w < piece[p].wants; w++) WEIR_TRY(get_want(&in, &definitions->piece[p].region, &want[w]));
  }
  for (int f = 0; f < definitions->feedbacks; f++) {
    WEIR_TRY(get_i64(&in, 0, 1, &value));
    back[f].given = value;
    WEIR_TRY(get_i64(&in, back[f].given, WEIR__CHANNEL_LAG_MAX, &back[f].lag));
    WEIR_TRY(get_i64(&in, WEIR__LATE_HOLD, WEIR__LATE_WAIT, &value));
    back[f].when_late = (weir__channel_late)value;
    WEIR_TRY(get_i64(&in, 0, INT64_MAX, &back[f].timeout_ns));
  }
  if (in.at != in.end)
    return WEIR_FAIL(WEIR_ERR_INPUT, "the demands of the worker are damaged: something follows them");
  *demands = (weir__demands){.piece = piece, .feedback = back};
  return WEIR_OK;
}
