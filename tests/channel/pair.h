/* Both ends of a channel in one process: u [6, 10] in float64, a scalar n, and a static mask, with values that follow
 * from the step; every call is made when the test says so, or in two threads. */
#ifndef WEIR_TESTS_PAIR_H
#define WEIR_TESTS_PAIR_H
#include "channel/scene.h"

#include "channel/channel.h"
#include "channel/segment.h"
#include "channel/writer.h"

enum { PAIR_NY = 6, PAIR_NX = 10, PAIR_U = 0, PAIR_N, PAIR_MASK, PAIR_PIECES };

static const weir__channel_field pair_fields[] = {
    {.name = "u",
     .type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = PAIR_NY}, {.name = "x", .size = PAIR_NX}}}},
    {.name = "n", .type = {.dtype = WEIR_I32}},
    {.name      = "mask",
     .is_static = true,
     .type      = {.dtype = WEIR_U8, .rank = 1, .dim = {{.name = "x", .size = PAIR_NX}}}}};
static const weir__channel_piece_of pair_pieces[] = {
    {0, {2, {0, 0}, {PAIR_NY, PAIR_NX}}}, {1, {0, {0}, {0}}}, {2, {1, {0}, {PAIR_NX}}}};
static const weir__channel_definitions pair_definitions = {
    .stream = "pair", .rank = 0, .size = 1, .fields = 3, .pieces = 3, .field = pair_fields, .piece = pair_pieces};
static const weir__channel_trigger pair_always  = {.period = 1};
static const weir__channel_want    pair_wants[] = {
       {1, {2, {0, 0}, {PAIR_NY, PAIR_NX}}}, {1, {.rank = 0}}, {1, {1, {0}, {PAIR_NX}}}};
static const weir__channel_demand pair_demands[] = {{1, &pair_wants[0]}, {1, &pair_wants[1]}, {1, &pair_wants[2]}};

typedef struct pair {
  weir__doorbell *bell;
  weir__channel  *channel;
  weir__writer   *writer;
} pair;

static inline double pair_value(int64_t step, int i) { return (double)(step * 1000 + i); }

/* Terms that want everything in every step. */
static inline weir__channel_terms pair_terms(weir__doorbell *bell) {
  return (weir__channel_terms){.slots = 2, .trigger = &pair_always, .triggers = 1, .doorbell = bell};
}

static inline void pair_begin(pair *p, const scene *s) {
  *p = (pair){0};
  assert_int_equal(weir__doorbell_create(&p->bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(p->bell, 0, 1), WEIR_OK);
  assert_int_equal(weir__writer_create(s->run, &pair_definitions, &p->writer), WEIR_OK);
  assert_int_equal(weir__channel_attach(s->run, "pair", 0, &p->channel), WEIR_OK);
}

static inline void pair_open(pair *p, const scene *s, const weir__channel_terms *like) {
  weir__channel_terms terms = *like;
  pair_begin(p, s);
  terms.trigger  = &pair_always;
  terms.triggers = 1;
  terms.doorbell = p->bell;
  assert_int_equal(weir__channel_demand_post(p->channel, pair_demands, &terms), WEIR_OK);
  assert_int_equal(weir__writer_await(p->writer, 1000000000), WEIR_OK);
  assert_int_equal(weir__channel_map(p->channel), WEIR_OK);
}

static inline void pair_close(pair *p) {
  weir__channel_detach(&p->channel);
  weir__writer_destroy(&p->writer, NULL);
  weir__doorbell_destroy(&p->bell);
}

/* One step of the simulation, as the client does it. */
static inline weir_status pair_put(weir__writer *writer, int64_t step) {
  bool      active;
  weir_view view;
  WEIR_TRY(weir__writer_begin(writer, step, 0.5 * (double)step, &active));
  for (int piece = 0; piece < PAIR_PIECES; piece++) {
    if (piece == PAIR_MASK && step) continue;
    if (!weir__writer_wanted(writer, piece)) continue;
    WEIR_TRY(weir__writer_view(writer, piece, &view));
    if (view.data && piece == PAIR_U)
      for (int i = 0; i < PAIR_NY * PAIR_NX; i++) ((double *)view.data)[i] = pair_value(step, i);
    if (view.data && piece == PAIR_N) *(int32_t *)view.data = (int32_t)step;
    if (piece == PAIR_MASK) memset(view.data, 7, PAIR_NX);
    weir__writer_present(writer, piece, 0);
  }
  return weir__writer_end(writer, NULL);
}

/* Is the step that was read what was written? */
static inline bool pair_right(const weir__channel *channel, const weir__channel_record *record) {
  weir_view u, n, mask;
  if (weir__channel_piece(channel, record->sequence, PAIR_U, &u) ||
      weir__channel_piece(channel, record->sequence, PAIR_N, &n) ||
      weir__channel_piece(channel, record->sequence, PAIR_MASK, &mask))
    return false;
  if (!mask.data || ((uint8_t *)mask.data)[PAIR_NX - 1] != 7) return false;
  if (record->tombstone) return !u.data && !n.data;
  if (!u.data || !n.data || *(int32_t *)n.data != record->step || record->time != 0.5 * (double)record->step)
    return false;
  for (int i = 0; i < PAIR_NY * PAIR_NX; i++)
    if (((double *)u.data)[i] != pair_value(record->step, i)) return false;
  return true;
}

/* The next step is this one, and as it should be. */
static inline weir__channel_record pair_take(weir__channel *channel, uint64_t sequence) {
  weir__channel_record record;
  assert_int_equal(weir__channel_next(channel, &record), WEIR__CHANNEL_STEP);
  assert_int_equal(record.sequence, sequence);
  assert_int_equal(weir__channel_check(channel), WEIR_OK);
  assert_true(pair_right(channel, &record));
  return record;
}

static inline void pair_nothing(weir__channel *channel) {
  weir__channel_record record;
  assert_int_equal(weir__channel_next(channel, &record), WEIR__CHANNEL_NOTHING);
}
#endif
