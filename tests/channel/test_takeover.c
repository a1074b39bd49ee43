/* Workers that are killed, and others that go on: nothing is lost, nothing comes in another order.
 * weir-test: timeout=60 */
#include "channel/pair.h"

#include "core/clock.h"
#include <pthread.h>
#include <sys/mman.h>

enum { STEPS = 5000, KILLS = 60 };

/* What the workers tell each other and the test, in memory that outlives them. */
typedef struct board {
  _Atomic uint64_t    acknowledging, acknowledged; /* before and after the call */
  _Atomic uint32_t    delivered[STEPS];            /* times */
  _Atomic uint32_t    dropped[STEPS];
  _Atomic int         workers, lost_rings;
  int                 seed;
  weir__channel_terms terms;
} board;

static board *board_make(const weir__channel_terms *terms) {
  board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(b != MAP_FAILED);
  b->terms            = *terms;
  b->terms.supervised = true;
  b->terms.trigger    = &pair_always;
  b->terms.triggers   = 1;
  return b;
}

static void linger(uint32_t *seed, uint32_t one_in, uint32_t most_us) {
  *seed = *seed * 1664525 + 1013904223; /* Numerical Recipes' generator: any sequence will do */
  if ((*seed >> 8) % one_in == 0)
    nanosleep(&(struct timespec){.tv_nsec = 1000 * (long)((*seed >> 10) % most_us)}, NULL);
}

/* ---- roles ---- */

static int simulate(const scene *s, const void *argument) {
  const board  *b = argument;
  weir__writer *writer;
  uint32_t      seed = 3;
  (void)b;
  CHILD_CHECK(!weir__writer_create(s->run, &pair_definitions, &writer));
  CHILD_CHECK(!weir__writer_await(writer, 20000000000));
  for (int64_t i = 0; i < STEPS; i++) {
    CHILD_CHECK(!pair_put(writer, i));
    linger(&seed, 4, 300);
  }
  weir__writer_destroy(&writer, NULL);
  return 0;
}

static int become_worker(const scene *s, const weir__channel_terms *like, pair *p) {
  weir__channel_terms terms = *like;
  weir_status         status;
  uint32_t            seen = 0;
  *p                       = (pair){0};
  CHILD_CHECK(!weir__doorbell_create(&p->bell) && !weir__doorbell_expect(p->bell, 0, 1));
  for (int i = 0; (status = weir__channel_attach(s->run, "pair", 0, &p->channel)) == WEIR_ERR_GONE && i < 500; i++)
    rest_ms(2);
  CHILD_CHECK(!status);
  terms.doorbell = p->bell;
  CHILD_CHECK(!weir__channel_demand_post(p->channel, pair_demands, &terms));
  while ((status = weir__channel_map(p->channel)) == WEIR_END) weir__doorbell_wait(p->bell, &seen, 100000000);
  CHILD_CHECK(!status);
  return 0;
}

static void acknowledge(board *b, weir__channel *channel, uint64_t before) {
  atomic_store(&b->acknowledging, before);
  weir__channel_acknowledge(channel, before);
  atomic_store(&b->acknowledged, before);
}

static int analyse(const scene *s, const void *argument) {
  board               *b = (board *)(uintptr_t)argument;
  pair                 p;
  weir__channel_record record;
  weir__channel_event  event;
  uint32_t             seen = 0, seed = (uint32_t)b->seed;
  uint64_t             low = atomic_load(&b->acknowledged), high = atomic_load(&b->acknowledging);
  int                  first_worker = !atomic_fetch_add(&b->workers, 1);
  if (become_worker(s, &b->terms, &p)) { /* the one before may have acknowledged the last step, and the process ended */
    weir__channel_detach(&p.channel);
    weir__doorbell_destroy(&p.bell);
    return high < STEPS;
  }
  CHILD_CHECK(first_worker || weir__channel_taken_over(p.channel) || !low);
  uint64_t next = weir__channel_first(p.channel);
  CHILD_CHECK(next >= low && next <= high); /* what was acknowledged is not read again, and nothing else is left out */
  while ((event = weir__channel_next(p.channel, &record)) != WEIR__CHANNEL_END) {
    CHILD_CHECK(event != WEIR__CHANNEL_LOST);
    if (event == WEIR__CHANNEL_NOTHING) {
      acknowledge(b, p.channel, next); /* what is kept back may fill all slots */
      bool rung = weir__doorbell_wait(p.bell, &seen, 2000000000);
      event     = weir__channel_next(p.channel, &record);
      if (!rung && event == WEIR__CHANNEL_STEP) atomic_fetch_add(&b->lost_rings, 1);
      if (event != WEIR__CHANNEL_STEP) continue;
    }
    CHILD_CHECK(record.sequence == next && record.sequence + record.more < STEPS);
    CHILD_CHECK(pair_right(p.channel, &record));
    if (next % 16 == 0) CHILD_CHECK(!weir__channel_check(p.channel));
    for (; next <= record.sequence + record.more; next++)
      atomic_fetch_add(record.tombstone ? &b->dropped[next] : &b->delivered[next], 1);
    linger(&seed, record.tombstone ? 40 : 4, 400);
    weir__channel_done(p.channel, record.sequence);
    linger(&seed, record.tombstone ? 40 : 4, 400);
    if ((seed >> 9) % 3 == 0) acknowledge(b, p.channel, next);
  }
  acknowledge(b, p.channel, next);
  weir__channel_detach(&p.channel);
  weir__doorbell_destroy(&p.bell);
  return 0;
}

/* Workers die at random moments, until one reaches the end. Returns the number of deaths. */
static int kill_workers(const scene *s, board *b) {
  uint32_t seed = 77;
  for (int killed = 0;; killed++) {
    int status;
    b->seed      = killed + 1;
    pid_t worker = scene_fork(analyse, s, b);
    if (killed < KILLS) {
      seed = seed * 1664525 + 1013904223;
      nanosleep(&(struct timespec){.tv_nsec = 1000000 + (seed >> 8) % 14000000}, NULL);
      kill(worker, SIGKILL);
    }
    assert_int_equal(waitpid(worker, &status, 0), worker);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("worker %d: status %#x", killed, (unsigned)status);
    return killed;
  }
}

static void kill_under(const char *what, const scene *s, const weir__channel_terms *terms, bool drops) {
  board *b          = board_make(terms);
  pid_t  simulation = scene_fork(simulate, s, b);
  int    killed     = kill_workers(s, b);
  assert_child_fine(simulation); /* it has waited for the last acknowledgement */
  int again = 0, dropped = 0;
  for (int i = 0; i < STEPS; i++) {
    if (!b->delivered[i] && !b->dropped[i]) fail_msg("%s: step %d never came", what, i);
    again += b->delivered[i] > 1;
    dropped += b->dropped[i] > 0;
    /* a step that was read is read again, and not dropped */
    if (b->delivered[i] && b->dropped[i]) fail_msg("%s: step %d came, and then was dropped", what, i);
  }
  printf("%s: %d workers killed; of %d steps %d were read again, %d dropped\n", what, killed, STEPS, again, dropped);
  assert_true(killed > 10 && (drops || (again > 0 && !dropped)));
  assert_int_equal(b->lost_rings, 0);
  munmap(b, sizeof *b);
}

static void killed_workers_are_replaced(void **state) {
  (void)state;
  scene               s     = scene_open();
  weir__channel_terms block = {.slots = 3};
  kill_under("block", &s, &block, false);
  weir__channel_terms spill = {
      .slots = 2, .policy = WEIR__POLICY_SPILL, .spill_bytes = 50 * WEIR__PAGE, .held = 2, .spill_directory = s.run};
  kill_under("spill", &s, &spill, false);
  weir__channel_terms oldest = {.slots = 4, .policy = WEIR__POLICY_DROP_OLDEST};
  kill_under("drop oldest", &s, &oldest, true);
  weir__channel_entry *list;
  int                  count; /* looking removes notes that were half written */
  assert_int_equal(weir__channel_list(s.run, "pair", NULL, &list, &count), WEIR_OK);
  assert_int_equal(count, 0);
  scene_close(&s, 0);
}

/* ---- rules ---- */

static int post_and_hang(const scene *s, const void *argument) {
  pair p;
  if (become_worker(s, argument, &p)) return 1;
  for (;;) pause();
}

static void kill_child(pid_t pid) {
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static weir__channel_terms supervised(void) {
  return (weir__channel_terms){
      .slots = 2, .timeout_ns = 10000000000, .supervised = true, .trigger = &pair_always, .triggers = 1};
}

static void the_next_worker_wants_the_same(void **state) {
  (void)state;
  scene               s     = scene_open();
  weir__channel_terms terms = supervised();
  weir__writer       *writer;
  pair                p = {0};
  assert_int_equal(weir__writer_create(s.run, &pair_definitions, &writer), WEIR_OK);
  pid_t first = scene_fork(post_and_hang, &s, &terms);
  assert_int_equal(weir__writer_await(writer, 5000000000), WEIR_OK);
  assert_int_equal(weir__channel_attach(s.run, "pair", 0, &p.channel), WEIR_OK);
  assert_int_equal(weir__doorbell_create(&p.bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(p.bell, 0, 1), WEIR_OK);
  terms.doorbell = p.bell;
  assert_int_equal(weir__channel_demand_post(p.channel, pair_demands, &terms), WEIR_ERR_STATE);
  assert_non_null(strstr(weir_error_last(), "has answered already"));
  assert_int_equal(weir__channel_refuse(p.channel, "no"), WEIR_ERR_STATE);
  weir__channel_abandon(p.channel, "no"); /* nothing happens: there is a worker */
  assert_int_equal(pair_put(writer, 0), WEIR_OK);
  kill_child(first);
  assert_int_equal(pair_put(writer, 1), WEIR_OK);

  weir__channel_demand less[] = {pair_demands[0], {0}, pair_demands[2]};
  assert_int_equal(weir__channel_demand_post(p.channel, less, &terms), WEIR_ERR_STATE);
  assert_non_null(strstr(weir_error_last(), "the worker before this one wanted something else"));
  terms.slots = 3;
  assert_int_equal(weir__channel_demand_post(p.channel, pair_demands, &terms), WEIR_ERR_STATE);
  terms.slots = 2;
  /* the same in other words */
  weir__channel_want   parts[]   = {{1, {2, {3, 0}, {3, PAIR_NX}}}, {1, {2, {0, 0}, {3, PAIR_NX}}}};
  weir__channel_demand as_good[] = {{2, parts}, pair_demands[1], pair_demands[2]};
  assert_int_equal(weir__channel_demand_post(p.channel, as_good, &terms), WEIR_OK);
  assert_true(weir__channel_taken_over(p.channel));
  assert_int_equal(weir__channel_map(p.channel), WEIR_OK);
  assert_int_equal(weir__channel_first(p.channel), 0);
  pair_take(p.channel, 0);
  pair_take(p.channel, 1);
  weir__channel_acknowledge(p.channel, 1);
  uint32_t seen = 0;
  weir__doorbell_wait(p.bell, &seen, 0);
  assert_int_equal(pair_put(writer, 2), WEIR_OK);
  assert_true(weir__doorbell_wait(p.bell, &seen, 0)); /* the new door rings */
  pair_take(p.channel, 2);
  weir__channel_acknowledge(p.channel, 3);
  p.writer = writer;
  pair_close(&p);
  scene_close(&s, 0);
}

typedef struct later {
  weir__writer *writer;
  int64_t       from, end;
  weir_status   status;
  double        took;
  bool          closes;
  char          message[200];
} later;

static void *put_later(void *argument) {
  later *l     = argument;
  double begin = now_s();
  for (int64_t i = l->from; i < l->end && !l->status; i++) l->status = pair_put(l->writer, i);
  if (l->status) snprintf(l->message, sizeof l->message, "%s", weir_error_last());
  if (l->closes) weir__writer_destroy(&l->writer, NULL);
  l->took = now_s() - begin;
  return NULL;
}

static void a_simulation_waits_for_the_next_worker(void **state) {
  (void)state;
  scene               s     = scene_open();
  weir__channel_terms terms = supervised();
  later               l     = {.from = 0, .end = 6, .closes = true};
  pair                p;
  pthread_t           thread;
  assert_int_equal(weir__writer_create(s.run, &pair_definitions, &l.writer), WEIR_OK);
  pid_t first = scene_fork(post_and_hang, &s, &terms);
  assert_int_equal(weir__writer_await(l.writer, 5000000000), WEIR_OK);
  kill_child(first);
  assert_int_equal(pthread_create(&thread, NULL, put_later, &l), 0);
  rest_ms(400);
  assert_int_equal(become_worker(&s, &terms, &p), 0);
  weir__channel_stats stats;
  weir__channel_stats_get(p.channel, &stats);
  assert_true(stats.published == 2 && !stats.acknowledged);
  for (uint64_t i = 0; i < 6; i++) {
    weir__channel_record record;
    uint32_t             seen = 0;
    while (weir__channel_next(p.channel, &record) == WEIR__CHANNEL_NOTHING)
      assert_true(weir__doorbell_wait(p.bell, &seen, 5000000000));
    assert_true(record.sequence == i && pair_right(p.channel, &record));
    if (i == 5) rest_ms(300);
    weir__channel_acknowledge(p.channel, i + 1);
  }
  rest_ms(300); /* the process does not end before this worker has closed its outputs and leaves */
  weir__channel_complete(p.channel);
  weir__channel_detach(&p.channel);
  pthread_join(thread, NULL);
  assert_int_equal(l.status, WEIR_OK);
  assert_true(l.took > 0.9 && l.took < 8);
  p.writer = NULL;
  pair_close(&p);
  scene_close(&s, 0);
}

static void abandoned_channels_end(void **state) {
  (void)state;
  scene               s     = scene_open();
  weir__channel_terms terms = supervised();
  later               l     = {.from = 0, .end = 6};
  weir__channel      *supervisor;
  pthread_t           thread;
  assert_int_equal(weir__writer_create(s.run, &pair_definitions, &l.writer), WEIR_OK);
  pid_t first = scene_fork(post_and_hang, &s, &terms);
  assert_int_equal(weir__writer_await(l.writer, 5000000000), WEIR_OK);
  assert_int_equal(weir__channel_attach(s.run, "pair", 0, &supervisor), WEIR_OK);
  assert_int_equal(pthread_create(&thread, NULL, put_later, &l), 0);
  rest_ms(100);
  weir__channel_abandon(supervisor, "too early"); /* it lives */
  kill_child(first);
  rest_ms(100);
  weir__channel_abandon(supervisor, "the workers died 4 times");
  pthread_join(thread, NULL);
  assert_int_equal(l.status, WEIR_ERR_GONE);
  assert_non_null(strstr(l.message, "the workers died 4 times"));
  assert_true(l.took < 5);
  weir__channel_detach(&supervisor);
  weir__writer_destroy(&l.writer, "given up");
  /* before any worker came */
  weir__writer *writer;
  assert_int_equal(weir__writer_create(s.run, &pair_definitions, &writer), WEIR_OK);
  assert_int_equal(weir__channel_attach(s.run, "pair", 0, &supervisor), WEIR_OK);
  weir__channel_abandon(supervisor, "no workers could be started");
  assert_int_equal(weir__writer_await(writer, 5000000000), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "no workers could be started"));
  weir__channel_detach(&supervisor);
  weir__writer_destroy(&writer, NULL);
  scene_close(&s, 0);
}

/* A worker that is stopped lives: the time-out rules, and the end of the stream waits no longer either. */
static void a_stopped_worker_is_waited_for_up_to_the_timeout(void **state) {
  (void)state;
  scene               s     = scene_open();
  weir__channel_terms terms = supervised();
  weir__writer       *writer;
  terms.timeout_ns = 300000000;
  terms.fallback   = WEIR__FALLBACK_DROP;
  assert_int_equal(weir__writer_create(s.run, &pair_definitions, &writer), WEIR_OK);
  pid_t first = scene_fork(post_and_hang, &s, &terms);
  assert_int_equal(weir__writer_await(writer, 5000000000), WEIR_OK);
  kill(first, SIGSTOP);
  double begin = now_s();
  for (int i = 0; i < 5; i++) assert_int_equal(pair_put(writer, i), WEIR_OK);
  assert_true(now_s() - begin > 0.29 && now_s() - begin < 3);
  begin = now_s();
  weir__writer_destroy(&writer, NULL);
  assert_true(now_s() - begin > 0.29 && now_s() - begin < 3);
  kill_child(first);
  scene_close(&s, 0);
}

/* A worker that died before the process saw its answer, and one that died before it could answer. */
static void workers_may_die_before_the_first_step(void **state) {
  (void)state;
  scene               s     = scene_open();
  weir__channel_terms terms = supervised();
  weir__writer       *writer;
  pair                p = {0};
  assert_int_equal(weir__writer_create(s.run, &pair_definitions, &writer), WEIR_OK);
  pid_t first = scene_fork(post_and_hang, &s, &terms);
  rest_ms(200);
  kill_child(first);
  assert_int_equal(weir__writer_await(writer, 5000000000), WEIR_OK); /* that answer holds for the next one */
  assert_int_equal(pair_put(writer, 0), WEIR_OK);
  assert_int_equal(become_worker(&s, &terms, &p), 0);
  pair_take(p.channel, 0);
  weir__channel_acknowledge(p.channel, 1);
  p.writer = writer;
  pair_close(&p);
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(killed_workers_are_replaced),
      cmocka_unit_test(the_next_worker_wants_the_same),
      cmocka_unit_test(a_simulation_waits_for_the_next_worker),
      cmocka_unit_test(abandoned_channels_end),
      cmocka_unit_test(a_stopped_worker_is_waited_for_up_to_the_timeout),
      cmocka_unit_test(workers_may_die_before_the_first_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
