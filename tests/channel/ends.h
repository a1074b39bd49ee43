/* A channel with a way back, both ends in one process: parameters, two fields for given steps, and two triggers. */
#ifndef WEIR_TESTS_ENDS_H
#define WEIR_TESTS_ENDS_H
#include "channel/pair.h"

#include "channel/reader.h"
#include <math.h>

enum { NY = 3, NX = 5, N = NY * NX, LAG = 2, WIND = 0, GAIN, NUDGE = 0, SCALAR, PIECES, OFTEN = 0, NEVER };

static const weir__channel_parameter parameters[] = {{"wind", 1, 0, 1e9}, {"gain", -2.5, -10, 10}};
static const weir__channel_field     feedbacks[]  = {
         {.name = "nudge",
          .type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}}},
         {.name = "scalar", .type = {.dtype = WEIR_F32}}};
static const weir__channel_piece_of feedback_pieces[] = {{0, {2, {0, 0}, {NY, NX}}}, {1, {0, {0}, {0}}}};
static const weir__channel_trigger  triggers[]        = {{.period = 1}, {0}};

static inline weir__channel_definitions definitions(void) {
  weir__channel_definitions d = pair_definitions;
  d.parameters                = 2;
  d.parameter                 = parameters;
  d.feedbacks = d.feedback_pieces = PIECES;
  d.feedback                      = feedbacks;
  d.feedback_piece                = feedback_pieces;
  return d;
}

typedef struct terms_of {
  weir__channel_feedback feedback[PIECES];
  weir__channel_terms    terms;
} terms_of;

static inline void set_terms(terms_of *t, weir__channel_late late, bool steering) {
  *t = (terms_of){.feedback = {{true, LAG, late, 0}, {true, 1, late, 0}},
                  .terms    = {.slots = 3, .trigger = triggers, .triggers = 2, .steering = steering}};
}

/* ---- both ends, call by call ---- */

typedef struct ends {
  weir__channel_definitions d;
  pair                      p;
} ends;

static inline void attach(ends *e, const scene *s, const terms_of *t) {
  weir__channel_terms terms = t->terms;
  assert_int_equal(weir__doorbell_create(&e->p.bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(e->p.bell, 0, 1), WEIR_OK);
  assert_int_equal(weir__channel_attach(s->run, "pair", 0, &e->p.channel), WEIR_OK);
  terms.feedback = t->feedback;
  terms.doorbell = e->p.bell;
  assert_int_equal(weir__channel_demand_post(e->p.channel, pair_demands, &terms), WEIR_OK);
}

static inline void open_ends(ends *e, const scene *s, const terms_of *t) {
  *e = (ends){.d = definitions()};
  assert_int_equal(weir__writer_create(s->run, &e->d, &e->p.writer), WEIR_OK);
  attach(e, s, t);
  assert_int_equal(weir__writer_await(e->p.writer, 1000000000), WEIR_OK);
  assert_int_equal(weir__channel_map(e->p.channel), WEIR_OK);
}

/* The worker dies, and another one comes. */
static inline void replace_worker(ends *e, const scene *s, const terms_of *t) {
  ((weir__channel *)e->p.channel)->control->holder = 0; /* as seen from another process: this one lives */
  weir__channel_forget(&e->p.channel);
  weir__doorbell_destroy(&e->p.bell);
  attach(e, s, t);
  assert_int_equal(weir__channel_map(e->p.channel), WEIR_OK);
  assert_true(weir__channel_taken_over(e->p.channel));
}

static inline weir__channel_change parameter_change(uint64_t number, uint64_t sequence, int index, double value) {
  return (weir__channel_change){number, sequence, WEIR__CHANGE_PARAMETER, index, {value}};
}

static inline void post(ends *e, weir__channel_change change) {
  assert_int_equal(weir__channel_change_post(e->p.channel, &change), WEIR_OK);
}

static inline void refused(ends *e, weir__channel_change change, weir_status expected) {
  assert_int_equal(weir__channel_change_post(e->p.channel, &change), expected);
}

static inline double field_value(uint64_t sequence, int i) { return (double)sequence * 100 + i; }

static inline weir_status write_field(weir__channel *channel, uint64_t sequence, bool missing) {
  double    x[2 * N]; /* every other element: any strides */
  weir_view view = {.data    = x,
                    .dtype   = WEIR_F64,
                    .rank    = 2,
                    .count   = {NY, NX},
                    .stride  = {2 * NX * sizeof(double), 2 * sizeof(double)},
                    .missing = missing};
  for (int i = 0; i < 2 * N; i++) x[i] = i % 2 ? NAN : field_value(sequence, i / 2);
  if (missing) view.data = NULL;
  return weir__channel_feedback_write(channel, NUDGE, sequence, &view);
}

static inline weir_status read_field(weir__writer *writer, double x[N]) {
  weir_view view = weir__view_dense(x, &feedbacks[0].type, &feedback_pieces[0].region);
  return weir__writer_feedback(writer, NUDGE, &view);
}

/* WEIR_OK, and all elements are those of that step. */
static inline bool field_is(weir__writer *writer, uint64_t sequence) {
  double x[N];
  if (read_field(writer, x)) return false;
  for (int i = 0; i < N; i++)
    if (x[i] != field_value(sequence, i)) return false;
  return true;
}

static inline void expect_field(ends *e, weir_status expected) {
  double x[N] = {7};
  assert_int_equal(read_field(e->p.writer, x), expected);
  assert_true(x[0] == 7); /* untouched */
}

static inline void begin(ends *e, int64_t step, bool active) {
  bool is;
  assert_int_equal(weir__writer_begin(e->p.writer, step, 0.5 * (double)step, &is), WEIR_OK);
  assert_int_equal(is, active);
}

/* The rest of a step, and the worker takes it. */
static inline void finish(ends *e, uint64_t sequence, int64_t step) {
  weir_view view;
  for (int piece = 0; piece < PAIR_PIECES; piece++) {
    if (piece == PAIR_MASK && sequence) continue;
    if (!weir__writer_wanted(e->p.writer, piece)) continue;
    assert_int_equal(weir__writer_view(e->p.writer, piece, &view), WEIR_OK);
    weir__writer_present(e->p.writer, piece, 0);
  }
  assert_int_equal(weir__writer_end(e->p.writer, NULL), WEIR_OK);
  weir__channel_record record;
  assert_int_equal(weir__channel_next(e->p.channel, &record), WEIR__CHANNEL_STEP);
  assert_true(record.sequence == sequence && record.step == step);
  weir__channel_acknowledge(e->p.channel, sequence + 1);
}
#endif
