/* Fields that were written for steps to come reach another simulation that begins with the first of these; and none is
 * lost where a buffer is being read. */
#include "channel/ends.h"

enum { DEEP = 4, FROM = 9 };

static weir_status write_scalar(weir__channel *channel, uint64_t sequence) {
  float     x    = (float)field_value(sequence, 3);
  weir_view view = weir__view_dense(&x, &feedbacks[SCALAR].type, &feedback_pieces[SCALAR].region);
  return weir__channel_feedback_write(channel, SCALAR, sequence, &view);
}

static weir_status read_scalar(weir__writer *writer, float *x) {
  weir_view view = weir__view_dense(x, &feedbacks[SCALAR].type, &feedback_pieces[SCALAR].region);
  return weir__writer_feedback(writer, SCALAR, &view);
}

/* The buffer in which the value for a step is; it is being read from now on, and for ever. */
static void keep_reading(weir__channel *channel, uint64_t sequence) {
  enum { READING = 4, TAG_SHIFT = 3 };
  const weir__layout_feedback *back  = &channel->layout.feedback[NUDGE];
  int                          found = 0;
  for (int b = 0; b < back->depth; b++) {
    weir__feedback_buffer *buffer = weir__at(channel->data, back->at + back->stride * (size_t)b);
    if (atomic_load(&buffer->tag) >> TAG_SHIFT != sequence + 1) continue;
    atomic_fetch_or(&buffer->tag, READING);
    found++;
  }
  assert_int_equal(found, 1);
}

static void depth_of(terms_of *t, weir__channel_late late) {
  set_terms(t, late, false);
  t->feedback[NUDGE].lag = DEEP;
}

/* Up to step FROM, with fields for the DEEP steps after it: a value, none, nothing (it does not come), a value. */
static void live_until_then(ends *e, bool displaced) {
  for (uint64_t q = 0; q < FROM; q++) {
    uint64_t next = q + DEEP;
    begin(e, (int64_t)q, true);
    finish(e, q, (int64_t)q);
    if (displaced && next == FROM + 3) keep_reading(e->p.channel, next - DEEP - WEIR__FEEDBACK_BEYOND_LAG);
    if (next != FROM + 2) assert_int_equal(write_field(e->p.channel, next, next == FROM + 1), WEIR_OK);
    assert_int_equal(write_scalar(e->p.channel, q + 1), WEIR_OK);
  }
  if (displaced) keep_reading(e->p.channel, FROM);
}

static char *keep(const ends *e, size_t *size) {
  *size       = weir__channel_feedback_bytes(e->p.channel);
  char *bytes = malloc(*size);
  assert_true(*size >= DEEP * (sizeof(uint64_t) + N * sizeof(double)) + sizeof(uint64_t) + sizeof(float));
  memset(bytes, 0x55, *size);
  weir__channel_feedback_keep(e->p.channel, FROM, bytes);
  return bytes;
}

static void fields_come_again(void **state) {
  (void)state;
  for (int displaced = 0; displaced < 2; displaced++) {
    scene    s = scene_open();
    ends     e;
    terms_of t;
    float    scalar;
    size_t   size;
    depth_of(&t, WEIR__LATE_HOLD);
    open_ends(&e, &s, &t);
    live_until_then(&e, displaced);
    char *bytes = keep(&e, &size);
    pair_close(&e.p);
    open_ends(&e, &s, &t); /* it begins with step FROM, which has sequence number 0 there */
    assert_int_equal(weir__channel_feedback_bytes(e.p.channel), size);
    assert_int_equal(weir__channel_feedback_repeat(e.p.channel, bytes), WEIR_OK);
    assert_int_equal(weir__channel_feedback_repeat(e.p.channel, bytes), WEIR_OK); /* by a worker that replaces it */
    for (uint64_t q = 0; q < DEEP + 2; q++) {
      begin(&e, FROM + (int64_t)q, true);
      if (q == 0 || q == 3) assert_true(field_is(e.p.writer, FROM + q));
      else if (q < DEEP) expect_field(&e, WEIR_END);
      else assert_true(field_is(e.p.writer, q == 5 ? FROM + 5 : FROM + 3)); /* the last one is held */
      assert_int_equal(read_scalar(e.p.writer, &scalar), WEIR_OK);
      assert_true(scalar == (float)field_value(FROM, 3));
      finish(&e, q, FROM + (int64_t)q);
      if (q != 4) continue;
      double    x[N];
      weir_view view = weir__view_dense(x, &feedbacks[NUDGE].type, &feedback_pieces[NUDGE].region);
      for (int i = 0; i < N; i++) x[i] = field_value(FROM + 5, i);
      assert_int_equal(weir__channel_feedback_write(e.p.channel, NUDGE, 5, &view), WEIR_OK);
    }
    free(bytes);
    pair_close(&e.p);
    scene_close(&s, 0);
  }
}

/* Nothing is waited for that cannot come. */
static void nothing_else_is_waited_for(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  size_t   size;
  depth_of(&t, WEIR__LATE_WAIT);
  open_ends(&e, &s, &t);
  live_until_then(&e, false);
  char *bytes = keep(&e, &size);
  pair_close(&e.p);
  open_ends(&e, &s, &t);
  assert_int_equal(weir__channel_feedback_repeat(e.p.channel, bytes), WEIR_OK);
  double from = now_s();
  for (uint64_t q = 0; q < DEEP; q++) {
    begin(&e, (int64_t)q, true);
    if (q == 0 || q == 3) assert_true(field_is(e.p.writer, FROM + q));
    else expect_field(&e, WEIR_END);
    finish(&e, q, (int64_t)q);
  }
  assert_true(now_s() - from < 5);
  free(bytes);
  pair_close(&e.p);
  scene_close(&s, 0);
}

static void other_bytes_are_refused(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  depth_of(&t, WEIR__LATE_HOLD);
  open_ends(&e, &s, &t);
  size_t size  = weir__channel_feedback_bytes(e.p.channel);
  char  *bytes = malloc(size);
  memset(bytes, 0x55, size);
  assert_int_equal(weir__channel_feedback_repeat(e.p.channel, bytes), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "feedback field 'nudge'"));
  weir__channel_feedback_keep(e.p.channel, 0, bytes);
  assert_int_equal(weir__channel_feedback_check(e.p.channel, bytes), WEIR_OK);
  weir_region *region = (weir_region *)(uintptr_t)&e.p.channel->definitions.feedback_piece[NUDGE].region;
  region->start[0]++; /* as many elements, but others */
  assert_int_equal(weir__channel_feedback_check(e.p.channel, bytes), WEIR_ERR_INPUT);
  assert_int_equal(weir__channel_feedback_repeat(e.p.channel, bytes), WEIR_ERR_INPUT);
  region->start[0]--;
  begin(&e, 0, true);
  expect_field(&e, WEIR_END);
  free(bytes);
  pair_close(&e.p);
  scene_close(&s, 0);
}

/* A buffer stays in the hands of a reader: values go elsewhere, and each finds its step. */
static void displaced_values_stay(void **state) {
  (void)state;
  for (uint64_t held = LAG; held < LAG + 4; held++) {
    scene    s = scene_open();
    ends     e;
    terms_of t;
    set_terms(&t, WEIR__LATE_HOLD, false);
    open_ends(&e, &s, &t);
    for (uint64_t q = 0; q < 40; q++) {
      begin(&e, (int64_t)q, true);
      if (q < LAG) expect_field(&e, WEIR_END);
      else if (!field_is(e.p.writer, q)) fail_msg("%d is held: not the value of step %d", (int)held, (int)q);
      finish(&e, q, (int64_t)q);
      assert_int_equal(write_field(e.p.channel, q + LAG, false), WEIR_OK);
      if (q == held) keep_reading(e.p.channel, held);
    }
    pair_close(&e.p);
    scene_close(&s, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(fields_come_again), cmocka_unit_test(nothing_else_is_waited_for),
                                     cmocka_unit_test(other_bytes_are_refused),
                                     cmocka_unit_test(displaced_values_stay)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
