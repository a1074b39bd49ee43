/* What a process says of its own files comes with the step it publishes next, whatever becomes of that step. */
#include "channel/pair.h"

#include "channel/reader.h"

/* The next step, or what stands for it, has this number and brings this mark. */
static weir__channel_record expect(pair *p, int64_t step, int64_t saved) {
  weir__channel_record record;
  assert_int_equal(weir__channel_next(p->channel, &record), WEIR__CHANNEL_STEP);
  if (record.step != step || record.saved != saved)
    fail_msg("step %lld with %lld, expected %lld with %lld", (long long)record.step, (long long)record.saved,
             (long long)step, (long long)saved);
  assert_true(pair_right(p->channel, &record));
  return record;
}

/* A step of which nothing was put. */
static void put_nothing(pair *p, int64_t step) {
  bool active;
  assert_int_equal(weir__writer_begin(p->writer, step, 0.5 * (double)step, &active), WEIR_OK);
  assert_true(active);
  assert_int_equal(weir__writer_end(p->writer, NULL), WEIR_ERR_STATE);
}

static void put(pair *p, int64_t from, int64_t to) {
  for (int64_t step = from; step <= to; step++) assert_int_equal(pair_put(p->writer, step), WEIR_OK);
}

static void the_next_step_has_it(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 16});
  assert_true(weir__channel_saved(p.channel) == WEIR__CHANNEL_UNSAVED);
  put(&p, 0, 0);
  weir__writer_saved(p.writer, 0);
  assert_int_equal(weir__channel_saved(p.channel), 0);
  put(&p, 1, 2);
  weir__writer_saved(p.writer, 2);
  weir__writer_saved(p.writer, 3); /* the newest; step 3 itself is not what comes after it */
  put(&p, 3, 5);
  assert_int_equal(weir__channel_saved(p.channel), 3);
  expect(&p, 0, WEIR__CHANNEL_UNSAVED);
  expect(&p, 1, 0);
  expect(&p, 2, WEIR__CHANNEL_UNSAVED);
  expect(&p, 3, WEIR__CHANNEL_UNSAVED);
  expect(&p, 4, 3);
  expect(&p, 5, WEIR__CHANNEL_UNSAVED);
  weir__writer_saved(p.writer, 5); /* and the process ends */
  weir__channel_acknowledge(p.channel, 6);
  weir__writer_destroy(&p.writer, NULL);
  assert_int_equal(weir__channel_saved(p.channel), 5);
  pair_close(&p);
  scene_close(&s, 0);
}

static void steps_that_nobody_wants_pass_it_on(void **state) {
  (void)state;
  static const weir__channel_trigger third = {.period = 3};
  scene                              s     = scene_open();
  pair                               p;
  pair_begin(&p, &s);
  weir__channel_terms terms = {.slots = 4, .trigger = &third, .triggers = 1, .doorbell = p.bell};
  assert_int_equal(weir__channel_demand_post(p.channel, pair_demands, &terms), WEIR_OK);
  assert_int_equal(weir__writer_await(p.writer, 1000000000), WEIR_OK);
  assert_int_equal(weir__channel_map(p.channel), WEIR_OK);
  put(&p, 0, 1);
  weir__writer_saved(p.writer, 1);
  put(&p, 2, 6);
  expect(&p, 0, WEIR__CHANNEL_UNSAVED);
  expect(&p, 3, 1);
  expect(&p, 6, WEIR__CHANNEL_UNSAVED);
  pair_close(&p);
  scene_close(&s, 0);
}

static void tombstones_have_it(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 2, .policy = WEIR__POLICY_DROP_NEWEST});
  put(&p, 0, 0);
  weir__writer_saved(p.writer, 0);
  put_nothing(&p, 1);
  put(&p, 2, 2);
  weir__writer_saved(p.writer, 2);
  put(&p, 3, 3); /* no room */
  expect(&p, 0, WEIR__CHANNEL_UNSAVED);
  weir__channel_record record = expect(&p, 1, 0);
  assert_true(record.tombstone && !record.dropped);
  expect(&p, 2, WEIR__CHANNEL_UNSAVED);
  record = expect(&p, 3, 2);
  assert_true(record.tombstone && record.dropped);
  pair_close(&p);
  scene_close(&s, 0);
}

static void dropped_steps_have_it(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 2, .policy = WEIR__POLICY_DROP_OLDEST});
  put(&p, 0, 0);
  weir__writer_saved(p.writer, 0);
  put(&p, 1, 3); /* instead of 0 and 1 */
  expect(&p, 0, WEIR__CHANNEL_UNSAVED);
  assert_true(expect(&p, 1, 0).dropped);
  expect(&p, 2, WEIR__CHANNEL_UNSAVED);
  assert_false(expect(&p, 3, WEIR__CHANNEL_UNSAVED).dropped);
  pair_close(&p);
  scene_close(&s, 0);
}

/* A log that is full ends with a tombstone, which grows. */
static void it_comes_with_what_a_tombstone_grows_by(void **state) {
  (void)state;
  scene                s = scene_open();
  pair                 p;
  weir__channel_record record;
  int64_t              step = 0;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 1, .policy = WEIR__POLICY_DROP_NEWEST});
  for (; step < 1000; step++) put(&p, step, step);
  for (int64_t next = 0; next < step; next = (int64_t)record.sequence + (int64_t)record.more + 1)
    record = expect(&p, next, WEIR__CHANNEL_UNSAVED);
  assert_true(record.more > 500); /* it is full */
  weir__writer_saved(p.writer, 999);
  pair_nothing(p.channel); /* not with what had come before */
  put(&p, 1000, 1000);
  expect(&p, 1000, 999);
  put(&p, 1001, 1002);
  weir__writer_saved(p.writer, 1002);
  put(&p, 1003, 1005);
  record = expect(&p, 1005, 1002); /* one record, in the midst of which it was */
  assert_true(record.sequence == 1001 && record.more == 4);
  pair_close(&p);
  scene_close(&s, 0);
}

/* The process has grown the tombstone halfway when it is read: the mark is of what it grows by, and comes with that. */
static void half_grown_tombstones_do_not_have_it(void **state) {
  (void)state;
  scene                s = scene_open();
  pair                 p;
  weir__channel_record record;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 1, .policy = WEIR__POLICY_DROP_NEWEST});
  put(&p, 0, 999);
  weir__channel *channel = p.channel;
  weir__entry   *last    = weir__log_entry(channel->data, &channel->layout, channel->layout.log_entries - 1);
  atomic_store(&last->saved, 999);
  for (int64_t next = 0; next < 1000; next = (int64_t)record.sequence + (int64_t)record.more + 1)
    record = expect(&p, next, WEIR__CHANNEL_UNSAVED);
  put(&p, 1000, 1000);
  expect(&p, 1000, 999);
  pair_close(&p);
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_next_step_has_it),
                                     cmocka_unit_test(steps_that_nobody_wants_pass_it_on),
                                     cmocka_unit_test(tombstones_have_it),
                                     cmocka_unit_test(dropped_steps_have_it),
                                     cmocka_unit_test(it_comes_with_what_a_tombstone_grows_by),
                                     cmocka_unit_test(half_grown_tombstones_do_not_have_it)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
