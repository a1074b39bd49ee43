/* Processes of a node leave out the same steps: step by step, and at full speed with workers that are slower; when one
 * is killed, when workers are replaced, and when there is no ledger.
 * weir-test: timeout=120 */
#include "channel/crowd.h"

/* ---- two processes, step by step ---- */

typedef struct duo {
  scene                     s;
  weir__channel_definitions definitions[2];
  weir__doorbell           *bell;
  weir__channel            *channel[2];
  weir__writer             *writer[2];
  weir__channel_terms       terms;
} duo;

static void duo_post(duo *d) {
  for (int p = 0; p < 2; p++) {
    d->terms.node.process = d->terms.node.processes ? p : 0;
    assert_int_equal(weir__channel_demand_post(d->channel[p], pair_demands, &d->terms), WEIR_OK);
  }
}

static void duo_open(duo *d, weir__channel_policy policy, int slots, bool alone) {
  *d = (duo){.s = scene_open(), .definitions = {pair_definitions, pair_definitions}};
  assert_int_equal(weir__doorbell_create(&d->bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(d->bell, 0, 2), WEIR_OK);
  d->terms        = pair_terms(d->bell);
  d->terms.slots  = slots;
  d->terms.policy = policy;
  if (!alone) d->terms.node = (weir__channel_node){.first_rank = 0, .processes = 2};
  d->terms.supervised = true;
  for (int p = 0; p < 2; p++) {
    d->definitions[p].rank = p;
    d->definitions[p].size = 2;
    assert_int_equal(weir__writer_create(d->s.run, &d->definitions[p], &d->writer[p]), WEIR_OK);
    assert_int_equal(weir__channel_attach(d->s.run, "pair", p, &d->channel[p]), WEIR_OK);
  }
  duo_post(d);
  for (int p = 0; p < 2; p++) assert_int_equal(weir__writer_await(d->writer[p], 1000000000), WEIR_OK);
  for (int p = 0; p < 2; p++) assert_int_equal(weir__channel_map(d->channel[p]), WEIR_OK);
}

static void duo_close(duo *d) {
  for (int p = 0; p < 2; p++) weir__channel_detach(&d->channel[p]);
  for (int p = 0; p < 2; p++) weir__writer_destroy(&d->writer[p], NULL);
  weir__doorbell_destroy(&d->bell);
  scene_close(&d->s, 0);
}

static void put(duo *d, int p, int64_t from, int64_t to) {
  for (int64_t step = from; step <= to; step++) assert_int_equal(pair_put(d->writer[p], step), WEIR_OK);
}

/* The next steps of a channel, in a word: a step, or one that was left out or dropped. */
static void expect(duo *d, int p, int64_t from, const char *what) {
  for (int64_t step = from; *what; step++, what++) {
    weir__channel_record record = pair_take(d->channel[p], (uint64_t)step);
    assert_true(!record.more && record.step == step);
    if (record.dropped == (*what == 's')) fail_msg("process %d, step %d: %c expected", p, (int)step, *what);
  }
}

static void the_first_decides(void **state) {
  (void)state;
  duo d;
  duo_open(&d, WEIR__POLICY_DROP_NEWEST, 2, false);
  put(&d, 0, 0, 5);
  expect(&d, 0, 0, "ss----");
  weir__channel_acknowledge(d.channel[0], 1); /* one place is free here, but not in the other process */
  put(&d, 1, 0, 2);
  put(&d, 0, 6, 6);
  put(&d, 1, 3, 6);
  expect(&d, 0, 6, "-");
  expect(&d, 1, 0, "ss-----");
  weir__channel_acknowledge(d.channel[1], 1);
  put(&d, 1, 7, 8); /* now this one is the first */
  put(&d, 0, 7, 8);
  for (int p = 0; p < 2; p++) expect(&d, p, 7, "s-");
  for (int p = 0; p < 2; p++) weir__channel_acknowledge(d.channel[p], 9);
  put(&d, 0, 9, 12);
  put(&d, 1, 9, 12);
  for (int p = 0; p < 2; p++) expect(&d, p, 9, "ss--");
  duo_close(&d);
}

static void without_a_ledger_each_decides(void **state) {
  (void)state;
  duo d;
  duo_open(&d, WEIR__POLICY_DROP_NEWEST, 2, true);
  put(&d, 0, 0, 2);
  expect(&d, 0, 0, "ss-");
  weir__channel_acknowledge(d.channel[0], 1);
  put(&d, 0, 3, 3);
  put(&d, 1, 0, 3);
  expect(&d, 0, 3, "s");
  expect(&d, 1, 0, "ss--");
  duo_close(&d);
}

static void the_oldest_are_dropped_everywhere(void **state) {
  (void)state;
  duo                  d;
  weir__channel_stats  stats;
  weir__channel_record record;
  duo_open(&d, WEIR__POLICY_DROP_OLDEST, 2, false);
  put(&d, 0, 0, 2); /* what the other one has not come to is not dropped: 2 is left out */
  put(&d, 1, 0, 2);
  put(&d, 0, 3, 3);                                                                /* instead of 0 */
  assert_int_equal(weir__channel_next(d.channel[1], &record), WEIR__CHANNEL_STEP); /* where it is not dropped yet */
  assert_true(record.dropped && record.step == 0);
  weir__writer_stats(d.writer[1], &stats);
  assert_int_equal(stats.dropped, 2);
  expect(&d, 0, 0, "-s"); /* 1 is being read */
  put(&d, 1, 3, 4);       /* 4 instead of 3 */
  put(&d, 0, 4, 4);
  expect(&d, 0, 2, "--s");
  expect(&d, 1, 1, "s--s");
  put(&d, 0, 5, 5); /* all are being read */
  put(&d, 1, 5, 5);
  for (int p = 0; p < 2; p++) expect(&d, p, 5, "-");
  for (int p = 0; p < 2; p++) weir__channel_acknowledge(d.channel[p], 2);
  put(&d, 1, 6, 6);
  put(&d, 0, 6, 6);
  for (int p = 0; p < 2; p++) {
    expect(&d, p, 6, "s");
    weir__writer_stats(d.writer[p], &stats);
    assert_int_equal(stats.dropped, 4);
    assert_int_equal(weir__channel_check(d.channel[p]), WEIR_OK);
  }
  duo_close(&d);
}

/* Read all there is; what there is of the steps after `from`, in a word. */
static void read_all(duo *d, int p, int64_t from, char word[10]) {
  weir__channel_record record;
  memset(word, 0, 10);
  while (weir__channel_next(d->channel[p], &record) == WEIR__CHANNEL_STEP)
    for (uint64_t q = record.sequence; q <= record.sequence + record.more; q++)
      if ((int64_t)q > from) word[(int64_t)q - from - 1] = record.tombstone ? '-' : 's';
}

/* A process whose log is full of tombstones, which the worker has passed in the channel of the other one: nothing is
 * dropped for the sake of steps that it has no entries for. */
static void a_log_all_but_full_drops_nothing(void **state) {
  (void)state;
  duo  d;
  char word[2][10];
  duo_open(&d, WEIR__POLICY_DROP_OLDEST, 2, false);
  int64_t far = 2 * (int64_t)d.channel[0]->layout.log_entries;
  for (int p = 0; p < 2; p++) put(&d, p, 0, 1);
  for (int p = 0; p < 2; p++) expect(&d, p, 0, "ss");
  put(&d, 0, 2, far);
  read_all(&d, 0, far, word[0]);
  weir__channel_acknowledge(d.channel[0], (uint64_t)far);
  put(&d, 1, 2, far);
  weir__channel_acknowledge(d.channel[1], 2);
  for (int64_t step = far + 1; step <= far + 9; step++)
    for (int p = 0; p < 2; p++) put(&d, p, step, step);
  for (int p = 0; p < 2; p++) read_all(&d, p, far, word[p]);
  assert_string_equal(word[0], "ss-------");
  assert_string_equal(word[1], "ss-------");
  duo_close(&d);
}

/* The next worker finds the ledger as the dead one left it. */
static void a_ledger_outlives_workers(void **state) {
  (void)state;
  duo d;
  for (int policy = WEIR__POLICY_DROP_NEWEST; policy <= WEIR__POLICY_DROP_OLDEST; policy++) {
    duo_open(&d, (weir__channel_policy)policy, 2, false);
    put(&d, 0, 0, 1);
    put(&d, 1, 0, 1);
    for (int p = 0; p < 2; p++) {
      expect(&d, p, 0, "ss");
      d.channel[p]->control->holder = 0;
      weir__channel_forget(&d.channel[p]);
    }
    put(&d, 0, 2, 2);
    for (int p = 0; p < 2; p++) assert_int_equal(weir__channel_attach(d.s.run, "pair", p, &d.channel[p]), WEIR_OK);
    duo_post(&d);
    put(&d, 0, 3, 3);
    put(&d, 1, 2, 3);
    for (int p = 0; p < 2; p++) {
      assert_int_equal(weir__channel_map(d.channel[p]), WEIR_OK);
      expect(&d, p, 0, "ss--");
    }
    weir__channel_acknowledge(d.channel[1], 4);
    put(&d, 1, 4, 4);
    weir__channel_acknowledge(d.channel[0], 4);
    put(&d, 1, 5, 5);
    put(&d, 0, 4, 5);
    for (int p = 0; p < 2; p++) expect(&d, p, 4, "-s");
    duo_close(&d);
  }
}

/* ---- many, at full speed ---- */

static void tell(const crowd *c, const char *what) {
  printf("policy %d, %d processes, %d workers, %-20s: %d whole (%.0f/s), %d torn, %d left out by all\n", (int)c->policy,
         c->processes, c->workers, what, (int)c->whole, (double)c->whole / c->took, (int)c->partial, (int)c->left_out);
}

/* At the end some processes have taken a step that others do not come to any more. */
static void expect_alike(const crowd *c) {
  assert_int_equal(c->wrong, 0);
  assert_int_equal(c->differ, 0);
  assert_true(c->partial <= c->slots);
}

/* Whole steps per second against those of one process, which has nobody to agree with: in turns, as the machine is
 * shared with other tests, and again where it was slower for one of them than for the other. */
static void expect_as_fast(const crowd *one, const crowd *several) {
  enum { ROUNDS = 5 };
  double share = 0;
  for (int k = 0; k < ROUNDS && !(share > 0.7); k++) {
    crowd single = *one, many = *several;
    crowd_run(&single);
    tell(&single, "");
    crowd_run(&many);
    tell(&many, "by the ledger");
    expect_alike(&many);
    share = (double)many.whole / many.took / ((double)single.whole / single.took);
  }
  assert_true(share > 0.7);
}

static void all_leave_out_the_same(void **state) {
  (void)state;
  for (int policy = WEIR__POLICY_DROP_NEWEST; policy <= WEIR__POLICY_DROP_OLDEST; policy++) {
    crowd one     = {.processes = 1, .workers = 1, .slots = 4, .policy = (weir__channel_policy)policy, .lead = 1};
    one.rests     = true;
    one.step_ns   = 400000;
    one.worker_ns = 3000000;
    one.steps     = CROWD_STEPS;
    one.seconds   = 1.0;
    for (int workers = 1; workers <= 2; workers++) {
      crowd many     = one;
      many.processes = 4;
      many.workers   = workers;
      crowd apart    = many;
      apart.alone    = true;
      crowd_run(&apart);
      tell(&apart, "each for itself");
      assert_int_equal(apart.wrong, 0);
      expect_as_fast(&one, &many);
    }
  }
}

/* They never wait for each other, and drift apart by far more steps than there are places. */
static void far_apart(void **state) {
  (void)state;
  for (int policy = WEIR__POLICY_DROP_NEWEST; policy <= WEIR__POLICY_DROP_OLDEST; policy++)
    for (int workers = 1; workers <= 2; workers++) {
      crowd c     = {.processes = 4, .workers = workers, .slots = 4, .policy = (weir__channel_policy)policy};
      c.worker_ns = 1000000;
      c.step_ns   = 5000;
      c.steps     = CROWD_STEPS;
      c.seconds   = 0.8;
      crowd_run(&c);
      tell(&c, "far apart");
      expect_alike(&c);
      assert_true(c.whole > 0);
    }
}

/* Writers and workers as threads of one process, without a pause: for the thread sanitizer. */
static void as_threads(void **state) {
  (void)state;
  for (int policy = WEIR__POLICY_DROP_NEWEST; policy <= WEIR__POLICY_DROP_OLDEST; policy++)
    for (int lead = 0; lead <= 2; lead++) {
      crowd c     = {.processes = 4, .workers = 2, .slots = 3, .policy = (weir__channel_policy)policy, .lead = lead};
      c.threads   = true;
      c.worker_ns = 200000;
      c.steps     = 20000;
      c.seconds   = 0.7;
      crowd_run(&c);
      tell(&c, "threads");
      expect_alike(&c);
    }
}

/* One is killed between the decision on a step and its publication: the others go on, and leave out the same steps. */
static void one_is_killed(void **state) {
  (void)state;
  for (int policy = WEIR__POLICY_DROP_NEWEST; policy <= WEIR__POLICY_DROP_OLDEST; policy++)
    for (int64_t at = 1; at <= 101; at += 50) {
      crowd c     = {.processes = 4, .workers = 1, .slots = 4, .policy = (weir__channel_policy)policy};
      c.worker_ns = 500000;
      c.step_ns   = 20000;
      c.steps     = 3000;
      c.seconds   = 20;
      c.killed_at = at;
      crowd_run(&c);
      assert_int_equal(c.wrong, 0);
      assert_int_equal(c.differ, 0);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_decides),
      cmocka_unit_test(without_a_ledger_each_decides),
      cmocka_unit_test(the_oldest_are_dropped_everywhere),
      cmocka_unit_test(a_log_all_but_full_drops_nothing),
      cmocka_unit_test(a_ledger_outlives_workers),
      cmocka_unit_test(all_leave_out_the_same),
      cmocka_unit_test(far_apart),
      cmocka_unit_test(as_threads),
      cmocka_unit_test(one_is_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
