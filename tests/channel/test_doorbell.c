/* Doorbells: rung by peers and by what is looked at besides, and as a step begins: which workers are woken early, and
 * that one that sleeps again meanwhile is seldom woken so. */
#include "channel/pair.h"

#include "core/threads.h"
#include <pthread.h>
#include <sched.h>

static void *ring_later(void *bell) {
  rest_ms(50);
  weir__doorbell_ring(bell);
  return NULL;
}

/* Something besides the bell that is put down later; who has put it rouses who sleeps over it. */
typedef struct laid {
  _Atomic int     there;
  weir__doorbell *bell;
} laid;

static bool is_laid(void *of) { return atomic_load(&((laid *)of)->there); }

static void *lay_later(void *of) {
  laid *l = of;
  rest_ms(50);
  atomic_store(&l->there, 1);
  weir__doorbell_rouse(l->bell);
  return NULL;
}

static void doorbells_ring(void **state) {
  (void)state;
  scene           s = scene_open();
  weir__doorbell *bell, *peer;
  uint32_t        seen = 0;
  pthread_t       thread;
  int             fd;
  assert_int_equal(weir__doorbell_create(&bell), WEIR_OK);
  weir__doorbell_location(bell, &fd);
  assert_int_equal(weir__doorbell_open_peer(INT32_MAX, fd, &peer), WEIR_ERR_GONE); /* no such process */
  assert_int_equal(weir__doorbell_open_peer(getpid(), fd, &peer), WEIR_OK);
  double begin = now_s();
  assert_false(weir__doorbell_wait(bell, &seen, 0));
  assert_false(weir__doorbell_wait(bell, &seen, 20000000));
  assert_true(now_s() - begin >= 0.02);
  weir__doorbell_ring(peer);
  weir__doorbell_ring(peer);
  assert_true(weir__doorbell_wait(bell, &seen, 0)); /* one look for many rings */
  assert_false(weir__doorbell_wait(bell, &seen, 0));
  assert_int_equal(weir__doorbell_told(bell, WEIR__NEWS_MESSAGE), 0);
  weir__doorbell_tell(peer, WEIR__NEWS_MESSAGE);
  weir__doorbell_tell(peer, WEIR__NEWS_MESSAGE);
  assert_int_equal(weir__doorbell_told(bell, WEIR__NEWS_MESSAGE), 2); /* but each message counts */
  assert_true(weir__doorbell_wait(bell, &seen, 0));
  assert_false(weir__doorbell_wait(bell, &seen, 0));
  weir__doorbell_tell(peer, WEIR__NEWS_NOTICE);
  assert_int_equal(weir__doorbell_told(bell, WEIR__NEWS_NOTICE), 1);
  assert_int_equal(weir__doorbell_told(bell, WEIR__NEWS_MESSAGE), 2);
  assert_true(weir__doorbell_wait(bell, &seen, 0));
  assert_int_equal(pthread_create(&thread, NULL, ring_later, peer), 0);
  begin = now_s();
  assert_true(weir__doorbell_wait(bell, &seen, -1));
  assert_true(now_s() - begin < 5);
  pthread_join(thread, NULL);
  laid l = {.bell = peer};
  assert_false(weir__doorbell_wait_or(bell, &seen, 1000000, is_laid, &l));
  assert_int_equal(pthread_create(&thread, NULL, lay_later, &l), 0);
  assert_true(weir__doorbell_wait_or(bell, &seen, 5000000000, is_laid, &l));
  assert_true(is_laid(&l) && now_s() - begin < 5);
  pthread_join(thread, NULL);
  assert_true(weir__doorbell_wait_or(bell, &seen, -1, is_laid, &l)); /* it need not ring */
  assert_int_equal(weir__doorbell_expect(bell, WEIR__DOORBELL_STREAMS_MAX, 1), WEIR_ERR_ARGUMENT);
  weir__doorbell_destroy(&peer);
  weir__doorbell_destroy(&bell);
  scene_close(&s, 0);
}

/* ---- a step begins ---- */

/* A channel whose worker only sleeps, on this core or another: a sleep that has timed out is as one that goes on. We
 * are the worker, and then again the simulation, on the first core. */
typedef struct night {
  scene     s;
  pair      p;
  cpu_set_t cores;
  int       here, elsewhere;
  uint32_t  seen;
  int64_t   step;
} night;

static void fall(night *n, int processes) {
  *n = (night){.s = scene_open()};
  assert_false(sched_getaffinity(0, sizeof n->cores, &n->cores));
  n->here      = weir__core(0);
  n->elsewhere = weir__core(1);
  pair_open(&n->p, &n->s, &(weir__channel_terms){.slots = 2});
  assert_int_equal(weir__doorbell_expect(n->p.bell, 0, processes), WEIR_OK);
  weir__doorbell_wait(n->p.bell, &n->seen, 0);
}

static void rise(night *n) {
  assert_false(sched_setaffinity(0, sizeof n->cores, &n->cores));
  pair_close(&n->p);
  scene_close(&n->s, 0);
}

static void sleep_on(night *n, int core) {
  assert_true(weir__thread_pin(core));
  assert_false(weir__doorbell_wait(n->p.bell, &n->seen, 200000)); /* until it would poll no more ... */
  assert_false(weir__doorbell_wait(n->p.bell, &n->seen, 1));      /* ... but sleep at once */
  assert_true(weir__thread_pin(n->here));
}

/* One step, which finds the worker asleep on that core at its begin and, when it is long, at its end; was it woken at
 * the begin? */
static bool step_alerts(night *n, int core, bool is_long) {
  bool                 active;
  weir__channel_record record;
  sleep_on(n, core);
  assert_int_equal(weir__writer_begin(n->p.writer, n->step, 0, &active), WEIR_OK);
  bool alerts = weir__doorbell_wait(n->p.bell, &n->seen, 0);
  if (is_long) sleep_on(n, core);
  assert_int_equal(weir__writer_end(n->p.writer, "nothing is put"), WEIR_ERR_STATE);
  weir__doorbell_wait(n->p.bell, &n->seen, 0);
  assert_int_equal(weir__channel_next(n->p.channel, &record), WEIR__CHANNEL_STEP);
  weir__channel_acknowledge(n->p.channel, record.sequence + 1);
  n->step++;
  return alerts;
}

static void check_short_steps(int processes, bool elsewhere, bool alerts) {
  night n;
  fall(&n, processes);
  while (n.step < 20) assert_int_equal(step_alerts(&n, elsewhere ? n.elsewhere : n.here, false), alerts);
  rise(&n);
}

static void who_sleeps_elsewhere_is_woken_early(void **state) {
  (void)state;
  if (weir__core(0) == weir__core(1)) skip();
  check_short_steps(1, true, true);
}

static void who_sleeps_here_is_not(void **state) {
  (void)state;
  check_short_steps(1, false, false);
}

static void nor_by_one_of_several(void **state) {
  (void)state;
  check_short_steps(2, true, false);
}

/* It sleeps again before the step is there: left out for 1, 3, 7 ... steps, and less once it has helped. */
static void in_vain_seldom(void **state) {
  (void)state;
  static const char expected[] = "*.*...*.......*...............*"; /* long steps */
  night             n;
  if (weir__core(0) == weir__core(1)) skip();
  fall(&n, 1);
  while (n.step < (int)sizeof expected - 1) {
    bool alerts = expected[n.step] == '*';
    assert_int_equal(step_alerts(&n, n.elsewhere, true), alerts);
  }
  for (int rest = 31; rest > 0; rest--) assert_false(step_alerts(&n, n.elsewhere, false));
  for (int helped = 0; helped < 3; helped++) assert_true(step_alerts(&n, n.elsewhere, false));
  assert_true(step_alerts(&n, n.elsewhere, true)); /* 31 -> 15 -> 7 -> 3, and now 7 */
  for (int rest = 7; rest > 0; rest--) assert_false(step_alerts(&n, n.elsewhere, false));
  assert_true(step_alerts(&n, n.elsewhere, false));
  rise(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(doorbells_ring),         cmocka_unit_test(who_sleeps_elsewhere_is_woken_early),
      cmocka_unit_test(who_sleeps_here_is_not), cmocka_unit_test(nor_by_one_of_several),
      cmocka_unit_test(in_vain_seldom),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
