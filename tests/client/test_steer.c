/* What comes back to a simulation: parameters and fields for an exact step, and what is there when nothing comes. */
#include "channel/scene.h"

#include "channel/channel.h"
#include <math.h>
#include <pthread.h>
#include <weir/client.h>

enum { NY = 4, NX = 6, HALF = 3, STEPS = 60, LAG = 2, HOLE = 5 };

#define ERROR_HAS(stream, text)                                                                                        \
  do {                                                                                                                 \
    if (!strstr(weir_stream_error(stream), text)) fail_msg("'%s' is not in: %s", text, weir_stream_error(stream));     \
  } while (0)

/* ---- a worker that decides ---- */

typedef struct steerer {
  const scene          *s;
  weir__channel_late    late;
  int64_t               timeout_ns, until; /* leaves after so many steps; 0: stays */
  bool                  steering, silent;  /* silent: no field is ever written */
  weir__channel_trigger trigger;
  int                   failed; /* line */
  int64_t               read;
  pthread_t             thread;
} steerer;

#define STEER(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "steerer, line %d: %s: %s\n", __LINE__, #condition, weir_error_last());                          \
      w->failed = __LINE__;                                                                                            \
      goto out;                                                                                                        \
    }                                                                                                                  \
  } while (0)

static double wind_at(int64_t sequence) { return 1 + (double)(sequence % 7) / 4; }
static double nudge_at(int64_t sequence, int64_t j, int64_t i) { return (double)(sequence * 100 + j * 10 + i); }

static weir_status write_nudge(weir__channel *channel, uint64_t sequence) {
  const weir__channel_definitions *d = weir__channel_definitions_of(channel);
  for (int p = 0; p < d->feedback_pieces; p++) {
    const weir_region *region = &d->feedback_piece[p].region;
    double             x[NY * NX], *at = x;
    weir_view          view = weir__view_dense(x, &d->feedback[d->feedback_piece[p].field].type, region);
    for (int64_t j = 0; j < (region->rank ? region->count[0] : 1); j++)
      for (int64_t i = 0; i < (region->rank ? region->count[1] : 1); i++)
        *at++ =
            region->rank ? nudge_at((int64_t)sequence, region->start[0] + j, region->start[1] + i) : (double)sequence;
    view.missing = sequence % HOLE == 0;
    WEIR_TRY(weir__channel_feedback_write(channel, p, sequence, &view));
  }
  return WEIR_OK;
}

static weir_status decide(const steerer *w, weir__channel *channel, uint64_t sequence) {
  uint64_t             next   = sequence + LAG;
  weir__channel_change change = {sequence, next, WEIR__CHANGE_PARAMETER, 0, {wind_at((int64_t)next)}};
  WEIR_TRY(weir__channel_change_post(channel, &change));
  if (!w->silent) WEIR_TRY(write_nudge(channel, next));
  if (w->steering) weir__channel_horizon(channel, next + 1);
  return WEIR_OK;
}

static void *steer(void *argument) {
  steerer             *w       = argument;
  weir__doorbell      *bell    = NULL;
  weir__channel       *channel = NULL;
  weir__channel_record record;
  weir__channel_event  event;
  uint32_t             seen       = 0;
  weir__channel_demand demands[4] = {{0}};
  weir_status          status;
  STEER(!weir__doorbell_create(&bell) && !weir__doorbell_expect(bell, 0, 1));
  while ((status = weir__channel_attach(w->s->run, "sim", 0, &channel)) == WEIR_ERR_GONE) rest_ms(1);
  STEER(!status);
  const weir__channel_definitions *d = weir__channel_definitions_of(channel);
  STEER(d->parameters == 2 && !strcmp(d->parameter[0].name, "wind") && d->parameter[0].value == 1.25);
  STEER(d->parameter[0].least == 0 && d->parameter[0].most == 3 && d->parameter[1].most == INFINITY);
  STEER(d->feedbacks == 2 && !strcmp(d->feedback[0].name, "nudge") && d->feedback_pieces == 3);
  weir__channel_feedback feedback[2] = {{true, LAG, w->late, w->timeout_ns}, {true, LAG, w->late, w->timeout_ns}};
  weir__channel_terms    terms       = {
               .trigger = &w->trigger, .triggers = 1, .doorbell = bell, .steering = w->steering, .feedback = feedback};
  if (!w->trigger.period) w->trigger.period = 1;
  STEER(!weir__channel_demand_post(channel, demands, &terms));
  if (w->steering) weir__channel_horizon(channel, LAG);
  while ((status = weir__channel_map(channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 100000000);
  STEER(!status);
  while ((event = weir__channel_next(channel, &record)) == WEIR__CHANNEL_STEP || event == WEIR__CHANNEL_NOTHING) {
    if (event == WEIR__CHANNEL_NOTHING) {
      weir__doorbell_wait(bell, &seen, 100000000);
      continue;
    }
    STEER(!record.tombstone);
    STEER(!decide(w, channel, record.sequence));
    weir__channel_acknowledge(channel, record.sequence + 1);
    if (++w->read == w->until) break;
  }
out:
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  return NULL;
}

/* ---- the simulation ---- */

static const weir_field_options nudge = {
    .type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}}};
static const weir_field_options scalar = {.type = {.dtype = WEIR_F64}};

static weir_stream *open_stream(const char *run) {
  weir_stream *stream;
  assert_int_equal(weir_stream_open("sim", 0, 1, &(weir_stream_options){.run = run, .attach_timeout = 20}, &stream),
                   WEIR_OK);
  assert_int_equal(weir_parameter_define(stream, "wind", 1.25, 0, 3), WEIR_OK);
  assert_int_equal(weir_parameter_define(stream, "depth", 2, -INFINITY, INFINITY), WEIR_OK);
  assert_int_equal(weir_feedback_define(stream, "nudge", &nudge), WEIR_OK);
  assert_int_equal(weir_feedback_define(stream, "total", &scalar), WEIR_OK);
  assert_int_equal(weir_feedback_piece_define(stream, "nudge", (int64_t[]){0, 0}, (int64_t[]){NY, HALF}, NULL),
                   WEIR_OK);
  int piece;
  assert_int_equal(
      weir_feedback_piece_define(stream, "nudge", (int64_t[]){0, HALF}, (int64_t[]){NY, NX - HALF}, &piece), WEIR_OK);
  assert_int_equal(piece, 1);
  return stream;
}

static double parameter(weir_stream *stream, const char *name) {
  double value = NAN;
  assert_int_equal(weir_parameter_get(stream, name, &value), WEIR_OK);
  return value;
}

/* Both pieces into an array with a halo of one; the right one transposed, to be read with y running backwards. */
typedef struct arrays {
  double left[NY + 2][HALF + 2], right[NX - HALF][NY], total;
} arrays;

static weir_status get_all(weir_stream *stream, arrays *a) {
  weir_target left  = {&a->left[1][1], WEIR_F64, 2, {NY, HALF}, {HALF + 2, 1}, 0};
  weir_target right = {&a->right[0][NY - 1], WEIR_F64, 2, {NY, NX - HALF}, {-1, NY}, 0};
  weir_target total = {.data = &a->total, .dtype = WEIR_F64};
  weir_status first = weir_get_piece(stream, "nudge", 0, &left);
  assert_int_equal(weir_get_piece(stream, "nudge", 1, &right), first);
  assert_int_equal(weir_get(stream, "total", &total), first);
  return first;
}

static void check_arrays(const arrays *a, int64_t sequence) {
  for (int64_t j = 0; j < NY; j++)
    for (int64_t i = 0; i < NX; i++)
      assert_true((i < HALF ? a->left[j + 1][i + 1] : a->right[i - HALF][NY - 1 - j]) == nudge_at(sequence, j, i));
  for (int j = 0; j < NY + 2; j++) assert_true(a->left[j][0] == -7 && a->left[j][HALF + 1] == -7); /* the halo */
  assert_true(a->total == (double)sequence);
}

static arrays blank(void) {
  arrays  a;
  double *x = &a.left[0][0];
  for (size_t i = 0; i < sizeof a / sizeof *x; i++) x[i] = -7;
  return a;
}

static void check_blank(const arrays *a) {
  arrays is = blank();
  assert_memory_equal(a, &is, sizeof is);
}

static void everything_comes_for_its_step(void **state) {
  (void)state;
  scene   s = scene_open();
  steerer w = {.s = &s, .steering = true, .trigger = {.period = 3}};
  assert_int_equal(pthread_create(&w.thread, NULL, steer, &w), 0);
  weir_stream *stream = open_stream(s.run);
  assert_true(parameter(stream, "wind") == 1.25);
  int64_t sequence = 0;
  double  wind     = 1.25;
  for (int64_t step = 0; step < 3 * STEPS; step++) {
    arrays a = blank();
    assert_int_equal(weir_step_begin(stream, step, (double)step), WEIR_OK);
    weir_status status = get_all(stream, &a);
    bool        looked = step % 3 == 0;
    if (looked && sequence >= LAG) wind = wind_at(sequence);
    assert_true(parameter(stream, "wind") == wind && parameter(stream, "depth") == 2);
    if (looked && sequence >= LAG && sequence % HOLE) {
      assert_int_equal(status, WEIR_OK);
      check_arrays(&a, sequence);
    } else {
      assert_int_equal(status, WEIR_END);
      check_blank(&a);
    }
    assert_int_equal(weir_step_end(stream), WEIR_OK);
    assert_true(parameter(stream, "wind") == wind);
    sequence += looked;
  }
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  pthread_join(w.thread, NULL);
  assert_int_equal(w.failed, 0);
  assert_int_equal(w.read, STEPS);
  scene_close(&s, 0);
}

static void without_a_run_the_defined_values(void **state) {
  (void)state;
  unsetenv("WEIR_RUN");
  weir_stream *stream = open_stream(NULL);
  arrays       a      = blank();
  double       value  = 5;
  for (int64_t step = 0; step < 3; step++) {
    assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK);
    assert_int_equal(get_all(stream, &a), WEIR_END);
    assert_true(parameter(stream, "wind") == 1.25);
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
  check_blank(&a);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  assert_int_equal(weir_parameter_define(NULL, "wind", 1, 0, 3), WEIR_OK);
  assert_int_equal(weir_parameter_get(NULL, "wind", &value), WEIR_END);
  assert_true(value == 5);
  assert_int_equal(weir_feedback_define(NULL, "nudge", &nudge), WEIR_OK);
  assert_int_equal(weir_get(NULL, "nudge", NULL), WEIR_END);
}

/* The analysis ends: parameters stay as they were last. */
static void values_outlive_the_analysis(void **state) {
  (void)state;
  scene   s = scene_open();
  steerer w = {.s = &s, .steering = true, .until = 10};
  assert_int_equal(pthread_create(&w.thread, NULL, steer, &w), 0);
  weir_stream *stream = open_stream(s.run);
  double       wind   = 1.25;
  weir_status  status = WEIR_OK;
  int64_t      step   = 0;
  for (; !(status = weir_step_begin(stream, step, 0)); step++) {
    assert_true(step < 20);
    wind = parameter(stream, "wind");
    assert_true(step < LAG || wind == wind_at(step));
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
  assert_int_equal(status, WEIR_ERR_GONE);
  assert_true(step >= 10);
  for (int i = 0; i < 3; i++) {
    arrays a = blank();
    assert_int_equal(weir_step_begin(stream, ++step, 0), WEIR_OK);
    assert_int_equal(get_all(stream, &a), WEIR_END);
    check_blank(&a);
    assert_true(parameter(stream, "wind") == wind);
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  pthread_join(w.thread, NULL);
  assert_int_equal(w.failed, 0);
  scene_close(&s, 0);
}

/* A field that never comes: nothing to hold, zeros, or a time-out after which the step goes on. */
static void late_fields(void **state) {
  (void)state;
  static const weir_status expected[] = {WEIR_END, WEIR_OK, WEIR_ERR_TIMEOUT};
  for (int late = WEIR__LATE_HOLD; late <= WEIR__LATE_WAIT; late++) {
    scene   s = scene_open();
    steerer w = {.s = &s, .late = (weir__channel_late)late, .timeout_ns = 5000000, .silent = true};
    assert_int_equal(pthread_create(&w.thread, NULL, steer, &w), 0);
    weir_stream *stream = open_stream(s.run);
    for (int64_t step = 0; step < 6; step++) {
      arrays a = blank();
      assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK);
      assert_int_equal(get_all(stream, &a), step < LAG ? WEIR_END : expected[late]);
      if (step < LAG || late != WEIR__LATE_ZERO) check_blank(&a);
      else assert_true(a.left[1][1] == 0 && a.right[NX - HALF - 1][NY - 1] == 0 && a.total == 0 && a.left[0][0] == -7);
      if (step >= LAG && late == WEIR__LATE_WAIT) ERROR_HAS(stream, "has not come within 0.005 s");
      assert_int_equal(weir_step_end(stream), WEIR_OK); /* the step is not spoilt */
    }
    assert_int_equal(weir_stream_close(&stream), WEIR_OK);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.failed, 0);
    assert_int_equal(w.read, 6);
    scene_close(&s, 0);
  }
}

static void wrong_calls_are_told(void **state) {
  (void)state;
  scene   s = scene_open();
  steerer w = {.s = &s};
  assert_int_equal(pthread_create(&w.thread, NULL, steer, &w), 0);
  weir_stream       *stream = open_stream(s.run);
  double             x[NY * NX], value;
  weir_field_options fixed = nudge;
  weir_target        whole = {x, WEIR_F64, 2, {NY, NX}, {0}, 0}, half = {x, WEIR_F64, 2, {NY, HALF}, {0}, 0};
  fixed.is_static = true;
#define TOLD(call, status, text)                                                                                       \
  do {                                                                                                                 \
    assert_int_equal(call, status);                                                                                    \
    ERROR_HAS(stream, text);                                                                                           \
  } while (0)
  TOLD(weir_parameter_define(stream, "wind", 1, 0, 3), WEIR_ERR_STATE, "parameter 'wind' is defined already");
  TOLD(weir_parameter_define(stream, "w ind", 1, 0, 3), WEIR_ERR_ARGUMENT, "'w ind' is no name");
  TOLD(weir_parameter_define(stream, "a", 4, 0, 3), WEIR_ERR_ARGUMENT, "parameter 'a' is 4, expected");
  TOLD(weir_parameter_define(stream, "a", NAN, 0, 3), WEIR_ERR_ARGUMENT, "parameter 'a' is nan");
  TOLD(weir_parameter_define(stream, "a", 1, NAN, 3), WEIR_ERR_ARGUMENT, "parameter 'a' is 1, expected");
  TOLD(weir_parameter_get(stream, "winds", &value), WEIR_ERR_ARGUMENT, "no parameter 'winds'");
  TOLD(weir_parameter_get(stream, "wind", NULL), WEIR_ERR_ARGUMENT, "value is NULL");
  TOLD(weir_feedback_define(stream, "nudge", &nudge), WEIR_ERR_STATE, "defined already");
  TOLD(weir_feedback_define(stream, "fixed", &fixed), WEIR_ERR_ARGUMENT, "'fixed' is static");
  TOLD(weir_get_piece(stream, "nudge", 0, &half), WEIR_ERR_STATE, "outside a step");
  assert_int_equal(weir_step_begin(stream, 0, 0), WEIR_OK);
  TOLD(weir_parameter_define(stream, "a", 1, 0, 3), WEIR_ERR_STATE, "after the first step");
  TOLD(weir_get(stream, "nudge", &half), WEIR_ERR_STATE, "2 pieces here: weir_get_piece");
  TOLD(weir_get_piece(stream, "nudge", 2, &half), WEIR_ERR_ARGUMENT, "no piece 2");
  TOLD(weir_get_piece(stream, "nudge", 0, &whole), WEIR_ERR_ARGUMENT, "the array is [4, 6], but the piece is [4, 3]");
  TOLD(weir_get_piece(stream, "nudge", 0, NULL), WEIR_ERR_ARGUMENT, "the target is NULL");
  half.dtype = WEIR_F32;
  TOLD(weir_get_piece(stream, "nudge", 0, &half), WEIR_ERR_ARGUMENT, "float32");
  half.dtype = WEIR_F64;
  half.data  = NULL;
  TOLD(weir_get_piece(stream, "nudge", 0, &half), WEIR_ERR_ARGUMENT, "NULL");
  TOLD(weir_get(stream, "nudg", &half), WEIR_ERR_ARGUMENT, "no feedback field 'nudg'; did you mean 'nudge'?");
  assert_int_equal(weir_step_end(stream), WEIR_OK);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  pthread_join(w.thread, NULL);
  assert_int_equal(w.failed, 0);
  scene_close(&s, 0);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    weir_stream *stream = NULL;
    weir__alloc_fail_at(n);
    weir_status status = weir_stream_open("sim", 0, 1, NULL, &stream);
    if (!status) status = weir_parameter_define(stream, "wind", 1, 0, 3);
    if (!status) status = weir_feedback_define(stream, "nudge", &nudge);
    if (!status) status = weir_feedback_piece_define(stream, "nudge", (int64_t[]){0, 0}, (int64_t[]){NY, NX}, NULL);
    weir__alloc_fail_at(0);
    assert_true(status == WEIR_OK || status == WEIR_ERR_MEMORY);
    assert_int_equal(weir_stream_close(&stream), WEIR_OK);
    if (status) continue;
    assert_true(n > 6);
    break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_comes_for_its_step), cmocka_unit_test(without_a_run_the_defined_values),
      cmocka_unit_test(values_outlive_the_analysis),   cmocka_unit_test(late_fields),
      cmocka_unit_test(wrong_calls_are_told),          cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
