/* weir-test: timeout=120
 *
 * Proves the thread pool: random graphs of tasks run many times, each task once and after all it depends on; no wake-up
 * is ever lost, with delays anywhere, nor work while the owner only looks on; queues hold what they are made for; and
 * threads with nothing to do cost no processor time. To be run with the thread sanitizer as well. */
#include "core/clock.h"
#include "exec/pool.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

enum { TASKS = 400, EDGES = 4 * TASKS, PATIENCE_S = 20 };

/* Tasks are numbered in an order of execution. */
typedef struct dag {
  weir__pool      *pool;
  int              tasks, threads;
  int              first[TASKS + 1], target[EDGES];
  int              degree[TASKS];
  _Atomic int      waits[TASKS], runs[TASKS];
  _Atomic int64_t  stamp[TASKS]; /* when it ended, in tasks */
  _Atomic int64_t  clock;
  _Atomic int      done, wrong;
  _Atomic uint64_t noise;
  int              delay; /* 0: none; else up to so many turns of nothing */
  _Atomic uint32_t bell;  /* wakes the owner */
} dag;

static void waste(dag *d) {
  uint64_t x = atomic_fetch_add_explicit(&d->noise, 0x9e3779b97f4a7c15u, memory_order_relaxed);
  x          = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  if (!d->delay || x >> 8 & 1) return;
  for (uint64_t turns = (x >> 20) % (uint64_t)d->delay; turns--;) weir__pause();
}

static void wake_owner(dag *d) {
  atomic_fetch_add(&d->bell, 1);
  weir__futex_wake(&d->bell, 1, false);
}

static void give(dag *d, int thread, int task) {
  if (weir__pool_push(d->pool, thread, (uint32_t)task)) wake_owner(d);
}

static bool run_task(void *self, int thread, uint32_t entry) {
  dag *d    = self;
  int  task = (int)entry, all = d->tasks; /* once all are done, the next graph is made */
  if (thread < 0 || thread > d->threads || task >= all || atomic_load(&d->waits[task])) atomic_fetch_add(&d->wrong, 1);
  waste(d);
  atomic_fetch_add(&d->runs[task], 1);
  atomic_store(&d->stamp[task], atomic_fetch_add(&d->clock, 1));
  for (int i = d->first[task]; i < d->first[task + 1]; i++)
    if (atomic_fetch_sub(&d->waits[d->target[i]], 1) == 1) {
      waste(d);
      give(d, thread, d->target[i]);
    }
  if (atomic_fetch_add(&d->done, 1) + 1 == all) wake_owner(d);
  return task % 8 == 0; /* the owner may be called away after any */
}

static void random_dag(dag *d, int tasks, int most) {
  int edges = 0;
  memset(d->degree, 0, sizeof d->degree);
  d->tasks = tasks;
  for (int t = 0; t < tasks; t++) {
    d->first[t] = edges;
    int n       = t + 1 < tasks ? (int)(test_random() % (uint64_t)(most + 1)) : 0;
    for (int i = 0; i < n && edges < EDGES; i++) {
      int to = t + 1 + (int)(test_random() % (uint64_t)(tasks - t - 1));
      d->degree[to]++;
      d->target[edges++] = to;
    }
  }
  d->first[tasks] = edges;
}

/* `helps`: the owner works as well; otherwise it only pushes and sleeps. */
static void run_dag(dag *d, bool helps) {
  for (int t = 0; t < d->tasks; t++) {
    atomic_store(&d->waits[t], d->degree[t]);
    atomic_store(&d->runs[t], 0);
  }
  atomic_store(&d->done, 0);
  atomic_store(&d->clock, 0);
  for (int t = 0; t < d->tasks; t++)
    if (!d->degree[t]) give(d, d->threads, t);
  for (int64_t until = weir__clock_ns() + PATIENCE_S * (int64_t)1000000000; atomic_load(&d->done) < d->tasks;) {
    uint32_t bell = atomic_load(&d->bell);
    if (helps && weir__pool_help(d->pool)) continue;
    if (atomic_load(&d->done) < d->tasks) weir__futex_wait(&d->bell, bell, PATIENCE_S * (int64_t)1000000000, false);
    if (weir__clock_ns() > until)
      fail_msg("%d of %d tasks after %d s: a wake-up was lost", atomic_load(&d->done), d->tasks, PATIENCE_S);
  }
  assert_int_equal(atomic_load(&d->wrong), 0);
  for (int t = 0; t < d->tasks; t++) {
    assert_int_equal(atomic_load(&d->runs[t]), 1);
    for (int i = d->first[t]; i < d->first[t + 1]; i++)
      assert_true(atomic_load(&d->stamp[t]) < atomic_load(&d->stamp[d->target[i]]));
  }
}

static void open_pool(dag *d, int threads) {
  memset((void *)d, 0, sizeof *d);
  d->threads = threads;
  assert_int_equal(weir__pool_create(threads, TASKS, -1, run_task, d, &d->pool), WEIR_OK);
}

static dag the_dag;

static void random_graphs(void **state) {
  (void)state;
  for (int threads = 0; threads <= 4; threads++) {
    open_pool(&the_dag, threads);
    for (int round = 0; round < 200; round++) {
      the_dag.delay = round % 4 ? 0 : 2000;
      random_dag(&the_dag, 1 + (int)(test_random() % TASKS), 1 + round % 5);
      run_dag(&the_dag, threads == 0 || round % 3);
    }
    assert_int_equal(weir__pool_check(the_dag.pool), WEIR_OK);
    weir__pool_destroy(&the_dag.pool);
    assert_null(the_dag.pool);
  }
}

/* A few tasks, then a pause of about the length of a search: sleepers, searchers and pushes meet in every way. */
static void no_lost_wake_up(void **state) {
  (void)state;
  for (int threads = 1; threads <= 4; threads++) {
    int64_t until = weir__clock_ns() + 700000000;
    open_pool(&the_dag, threads);
    while (weir__clock_ns() < until) {
      int pauses    = (int)(test_random() % 4000);
      the_dag.delay = 1 + (int)(test_random() % 3000);
      random_dag(&the_dag, 1 + (int)(test_random() % 6), 2);
      run_dag(&the_dag, test_random() % 2);
      while (pauses--) weir__pause();
    }
    assert_int_equal(weir__pool_check(the_dag.pool), WEIR_OK);
    weir__pool_destroy(&the_dag.pool);
  }
}

/* Everything at once: as many entries as the queues are made for. */
static void full_queues(void **state) {
  (void)state;
  for (int threads = 0; threads <= 3; threads++) {
    open_pool(&the_dag, threads);
    random_dag(&the_dag, TASKS, 0);
    for (int round = 0; round < 50; round++) run_dag(&the_dag, true);
    weir__pool_destroy(&the_dag.pool);
  }
}

static int64_t processor_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void idle_threads_sleep(void **state) {
  (void)state;
  open_pool(&the_dag, 4);
  random_dag(&the_dag, TASKS, 2);
  run_dag(&the_dag, true);
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* the last ones lie down */
  uint64_t wakes  = weir__pool_wakes(the_dag.pool);
  int64_t  before = processor_ns();
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
  int64_t used = processor_ns() - before;
  if (used > 3000000) fail_msg("idle threads used %d us in 300 ms", (int)(used / 1000));
  assert_int_equal(weir__pool_wakes(the_dag.pool), wakes);
  run_dag(&the_dag, false); /* and get up again */
  weir__pool_destroy(&the_dag.pool);
}

/* A pool may end at once, also while its threads are still starting or full of work nobody waits for. */
static void ending_early(void **state) {
  (void)state;
  for (int round = 0; round < 200; round++) {
    open_pool(&the_dag, round % 5);
    random_dag(&the_dag, 1 + round % 50, 0);
    if (round % 2)
      for (int t = 0; t < the_dag.tasks; t++) give(&the_dag, the_dag.threads, t);
    weir__pool_destroy(&the_dag.pool);
    assert_int_equal(atomic_load(&the_dag.wrong), 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs), cmocka_unit_test(no_lost_wake_up),
                                     cmocka_unit_test(full_queues), cmocka_unit_test(idle_threads_sleep),
                                     cmocka_unit_test(ending_early)};
  test_seed                       = 11;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
