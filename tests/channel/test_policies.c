/* What happens when there is no room: every policy step by step, and all of them with both ends at random speeds.
 * weir-test: timeout=60 */
#include "channel/pair.h"

#include "core/clock.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

static weir__channel_stats stats_of(const pair *p) {
  weir__channel_stats writer, worker;
  weir__writer_stats(p->writer, &writer);
  weir__channel_stats_get(p->channel, &worker);
  assert_memory_equal(&writer, &worker, sizeof writer);
  return worker;
}

static void tombstone(weir__channel *channel, uint64_t sequence) {
  weir__channel_record record = pair_take(channel, sequence);
  assert_true(record.tombstone && record.dropped && !record.more);
  assert_string_equal(record.why, "no room: dropped");
}

static void step(weir__channel *channel, uint64_t sequence) {
  weir__channel_record record = pair_take(channel, sequence);
  assert_true(!record.tombstone && record.step == (int64_t)sequence);
}

static void blocking_falls_back_to_dropping(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 2, .timeout_ns = 60000000, .fallback = WEIR__FALLBACK_DROP});
  for (int i = 0; i < 2; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK);
  double begin = now_s();
  assert_int_equal(pair_put(p.writer, 2), WEIR_OK); /* waits, then is dropped */
  assert_true(now_s() - begin >= 0.06);
  begin = now_s();
  assert_int_equal(pair_put(p.writer, 3), WEIR_OK); /* does not wait any more */
  assert_true(now_s() - begin < 0.05);
  step(p.channel, 0);
  weir__channel_acknowledge(p.channel, 1);
  assert_int_equal(pair_put(p.writer, 4), WEIR_OK);
  begin = now_s();
  assert_int_equal(pair_put(p.writer, 5), WEIR_OK); /* there was a slot: it waits again */
  assert_true(now_s() - begin >= 0.06);
  step(p.channel, 1);
  tombstone(p.channel, 2);
  tombstone(p.channel, 3);
  step(p.channel, 4);
  tombstone(p.channel, 5);
  pair_nothing(p.channel);
  weir__channel_stats stats = stats_of(&p);
  assert_true(stats.published == 6 && stats.dropped == 3 && stats.acknowledged == 1);
  assert_true(stats.blocked_ns >= 120000000);
  pair_close(&p);
  scene_close(&s, 0);
}

static void blocking_falls_back_to_stopping(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 1, .timeout_ns = 50000000});
  assert_int_equal(pair_put(p.writer, 0), WEIR_OK);
  assert_int_equal(pair_put(p.writer, 1), WEIR_ERR_TIMEOUT);
  assert_non_null(strstr(weir_error_last(), "waited 0.05 s"));
  weir__writer_destroy(&p.writer, weir_error_last());
  weir__channel_record record;
  step(p.channel, 0);
  assert_int_equal(weir__channel_next(p.channel, &record), WEIR__CHANNEL_LOST);
  pair_close(&p);
  scene_close(&s, 0);
}

static void newest_are_left_out(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 3, .policy = WEIR__POLICY_DROP_NEWEST});
  for (int i = 0; i < 5; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK); /* 3, 4 */
  for (uint64_t i = 0; i < 3; i++) step(p.channel, i);
  weir__channel_acknowledge(p.channel, 3);
  for (int i = 5; i < 10; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK);
  for (uint64_t i = 3; i < 5; i++) tombstone(p.channel, i);
  for (uint64_t i = 5; i < 8; i++) step(p.channel, i);
  for (uint64_t i = 8; i < 10; i++) tombstone(p.channel, i);
  assert_int_equal(stats_of(&p).dropped, 4);
  assert_int_equal(stats_of(&p).bytes, PAIR_NX + 6 * (PAIR_NX * PAIR_NY * 8 + 4)); /* what is left out is not copied */
  pair_close(&p);
  scene_close(&s, 0);
}

static void oldest_unread_are_dropped(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 3, .policy = WEIR__POLICY_DROP_OLDEST});
  for (int i = 0; i < 10; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK);
  for (uint64_t i = 0; i < 7; i++) tombstone(p.channel, i);
  step(p.channel, 7);
  for (int i = 10; i < 13; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK); /* instead of 8, 9, 10 */
  for (uint64_t i = 8; i < 11; i++) tombstone(p.channel, i);
  step(p.channel, 11);
  step(p.channel, 12);
  assert_int_equal(pair_put(p.writer, 13), WEIR_OK); /* all are being read: this one is left out */
  tombstone(p.channel, 13);
  weir__channel_acknowledge(p.channel, 8);
  assert_int_equal(pair_put(p.writer, 14), WEIR_OK);
  step(p.channel, 14);
  assert_int_equal(stats_of(&p).dropped, 11);
  pair_close(&p);
  scene_close(&s, 0);
}

/* ---- the spill file ---- */

static void steps_are_spilled(void **state) {
  (void)state;
  scene               s = scene_open();
  pair                p;
  weir__channel_terms terms = {.slots           = 2,
                               .held            = 2,
                               .timeout_ns      = 30000000,
                               .policy          = WEIR__POLICY_SPILL,
                               .fallback        = WEIR__FALLBACK_DROP,
                               .spill_bytes     = 3 * WEIR__PAGE + 100,
                               .spill_directory = s.run};
  pair_open(&p, &s, &terms);
  assert_int_equal(count_entries(s.run), 1);                                    /* the notes; the file has no name */
  for (int i = 0; i < 6; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK); /* 2, 3, 4 spilled, 5 dropped */
  assert_true(stats_of(&p).spilled == 3 && stats_of(&p).dropped == 1);
  step(p.channel, 0);
  step(p.channel, 1);
  weir__channel_record record = pair_take(p.channel, 2);
  assert_true(record.spilled && !record.tombstone);
  assert_true(pair_take(p.channel, 3).spilled);
  pair_nothing(p.channel); /* two are held */
  weir__channel_acknowledge(p.channel, 2);
  for (int i = 6; i < 8; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK); /* slots, before 4 was read */
  assert_true(pair_right(p.channel, &record));
  weir__channel_done(p.channel, 2);
  weir_view view;
  assert_int_equal(weir__channel_piece(p.channel, 2, PAIR_U, &view), WEIR_ERR_ARGUMENT);
  assert_true(pair_take(p.channel, 4).spilled);
  tombstone(p.channel, 5);
  assert_false(pair_take(p.channel, 6).spilled);
  step(p.channel, 7);
  weir__channel_acknowledge(p.channel, 4); /* the first two places of the file are free again */
  for (int i = 8; i < 10; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK);
  weir__channel_done(p.channel, 4);
  for (uint64_t i = 8; i < 10; i++) assert_true(pair_take(p.channel, i).spilled);
  assert_true(stats_of(&p).spilled == 5 && stats_of(&p).dropped == 1);
  weir__channel_acknowledge(p.channel, 10);
  assert_int_equal(weir__channel_check(p.channel), WEIR_OK);
  pair_close(&p);
  scene_close(&s, 0);
}

/* The disk takes one step and no more: that is being full, not an error. */
static int spill_to_a_full_disk(const scene *s, const void *argument) {
  const char          *directory = argument;
  pair                 p         = {0};
  struct rlimit        limit     = {WEIR__PAGE + 10, WEIR__PAGE + 10};
  weir__channel_terms  terms     = pair_terms(NULL);
  weir__channel_record record;
  CHILD_CHECK(!weir__doorbell_create(&p.bell) && !weir__doorbell_expect(p.bell, 0, 1));
  CHILD_CHECK(!weir__writer_create(s->run, &pair_definitions, &p.writer));
  CHILD_CHECK(!weir__channel_attach(s->run, "pair", 0, &p.channel));
  terms.doorbell        = p.bell;
  terms.policy          = WEIR__POLICY_SPILL;
  terms.fallback        = WEIR__FALLBACK_DROP;
  terms.timeout_ns      = 20000000;
  terms.spill_bytes     = 100 * WEIR__PAGE;
  terms.spill_directory = directory ? directory : s->run;
  CHILD_CHECK(!weir__channel_demand_post(p.channel, pair_demands, &terms));
  CHILD_CHECK(!weir__writer_await(p.writer, 1000000000) && !weir__channel_map(p.channel));
  if (!directory) CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
  for (int i = 0; i < 5; i++) CHILD_CHECK(!pair_put(p.writer, i));
  for (uint64_t i = 0; i < 5; i++) {
    CHILD_CHECK(weir__channel_next(p.channel, &record) == WEIR__CHANNEL_STEP && record.sequence == i);
    CHILD_CHECK(record.spilled == (i == 2) && record.dropped == (i > 2) && pair_right(p.channel, &record));
  }
  weir__channel_acknowledge(p.channel, 5);
  for (int i = 5; i < 8; i++) CHILD_CHECK(!pair_put(p.writer, i));
  for (uint64_t i = 5; i < 8; i++) {
    CHILD_CHECK(weir__channel_next(p.channel, &record) == WEIR__CHANNEL_STEP && record.sequence == i);
    CHILD_CHECK(record.spilled == (i == 7) && !record.dropped && pair_right(p.channel, &record));
  }
  pair_close(&p);
  return 0;
}

/* The same on a file system of one page, where this user may make one. */
static int spill_to_a_tiny_disk(const scene *s, const void *argument) {
  char directory[600];
  (void)argument;
  snprintf(directory, sizeof directory, "%s/disk", s->run);
  CHILD_CHECK(!mkdir(directory, 0700));
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
      mount("tmpfs", directory, "tmpfs", 0, "size=4096"))
    return 77;
  return spill_to_a_full_disk(s, directory);
}

static void a_full_disk_is_no_error(void **state) {
  (void)state;
  scene s = scene_open();
  int   status;
  assert_child_fine(scene_fork(spill_to_a_full_disk, &s, NULL));
  pid_t pid = scene_fork(spill_to_a_tiny_disk, &s, NULL);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) printf("no file system of one page could be mounted\n");
  else assert_int_equal(WEXITSTATUS(status), 0);
  scene_close(&s, 0);
}

/* A disk that fails costs the step that was being written; from then on nothing is spilled. */
static void a_failing_disk_costs_one_step(void **state) {
  (void)state;
  scene               s = scene_open();
  pair                p;
  weir__channel_terms terms = {.slots           = 1,
                               .timeout_ns      = 20000000,
                               .policy          = WEIR__POLICY_SPILL,
                               .fallback        = WEIR__FALLBACK_DROP,
                               .spill_bytes     = 100 * WEIR__PAGE,
                               .spill_directory = s.run};
  pair_open(&p, &s, &terms);
  for (int i = 0; i < 2; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK);
  /* the descriptor of the spill file: the only one that is open for a deleted file in the run directory */
  int spill = -1;
  for (int fd = 3; fd < 200; fd++) {
    char path[64], is[600];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, is, sizeof is - 1);
    if (length <= 0) continue;
    is[length] = 0;
    if (!strncmp(is, s.run, strlen(s.run)) && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR) spill = fd;
  }
  assert_true(spill >= 0);
  int saved = dup(spill), full = open("/dev/null", O_RDONLY);
  assert_int_equal(posix_fallocate(saved, WEIR__PAGE, WEIR__PAGE), 0);
  dup2(full, spill); /* writes to it fail from now on */
  assert_int_equal(pair_put(p.writer, 2), WEIR_OK);
  assert_int_equal(stats_of(&p).dropped, 1); /* space could not even be reserved */
  dup2(saved, spill);
  step(p.channel, 0);
  weir__channel_record record = pair_take(p.channel, 1);
  assert_true(record.spilled);
  tombstone(p.channel, 2);
  weir__channel_acknowledge(p.channel, 2);
  for (int i = 3; i < 5; i++) assert_int_equal(pair_put(p.writer, i), WEIR_OK); /* slot; spilling has ended: dropped */
  step(p.channel, 3);
  tombstone(p.channel, 4);
  close(full);
  close(saved);
  pair_close(&p);

  pair_open(&p, &s, &terms);
  assert_int_equal(pair_put(p.writer, 0), WEIR_OK);
  assert_int_equal(pair_put(p.writer, 1), WEIR_OK);
  step(p.channel, 0);
  assert_true(pair_take(p.channel, 1).spilled);
  weir__channel_acknowledge(p.channel, 2);
  assert_int_equal(pair_put(p.writer, 2), WEIR_OK); /* the slot; the place in the file is reserved and free */
  full  = open("/dev/null", O_RDONLY);
  saved = dup(spill);
  dup2(full, spill);
  assert_int_equal(pair_put(p.writer, 3), WEIR_ERR_IO);
  assert_non_null(strstr(weir_error_last(), "writing to the spill file: "));
  step(p.channel, 2);
  record = pair_take(p.channel, 3);
  assert_true(record.tombstone && !record.dropped && strstr(record.why, "nothing is spilled any more"));
  dup2(saved, spill);
  assert_int_equal(pair_put(p.writer, 4), WEIR_OK);
  tombstone(p.channel, 4);
  close(full);
  close(saved);
  pair_close(&p);
  scene_close(&s, 0);
}

/* ---- the log ---- */

/* Far more tombstones than the log has entries: they become few, and none is forgotten, also not those that come after
 * the last one was read. */
static void tombstones_need_no_room(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 2, .policy = WEIR__POLICY_DROP_NEWEST});
  int64_t              number = 0;
  uint64_t             next   = 0;
  weir__channel_record record;
  for (; number < 1000; number++) assert_int_equal(pair_put(p.writer, number), WEIR_OK);
  step(p.channel, next++);
  step(p.channel, next++);
  for (; next < 1000; next = record.sequence + record.more + 1) {
    record = pair_take(p.channel, next);
    assert_true(record.tombstone && record.dropped && record.step == (int64_t)next);
    assert_int_equal(record.last_step, next + record.more);
  }
  assert_true(record.more > 500);
  pair_nothing(p.channel);
  for (; number < 1010; number++) assert_int_equal(pair_put(p.writer, number), WEIR_OK); /* the last one grows */
  record = pair_take(p.channel, 1000);
  assert_true(record.tombstone && record.more == 9 && record.last_step == 1009);
  assert_int_equal(pair_put(p.writer, number++), WEIR_OK);
  record = pair_take(p.channel, 1010);
  assert_true(record.tombstone && !record.more && record.step == 1010 && record.last_step == 1010);
  weir__channel_acknowledge(p.channel, 1005); /* in the middle of what the last entry stands for */
  for (; number < 1013; number++) assert_int_equal(pair_put(p.writer, number), WEIR_OK);
  step(p.channel, 1011);
  step(p.channel, 1012);
  weir__channel_rewind(p.channel);
  record = pair_take(p.channel, 1005);
  assert_true(record.tombstone && record.more == 5 && record.last_step == 1010);
  step(p.channel, 1011);
  step(p.channel, 1012);
  weir__channel_acknowledge(p.channel, 1013);
  assert_int_equal(weir__channel_check(p.channel), WEIR_OK);
  assert_int_equal(stats_of(&p).dropped, 1009);
  assert_int_equal(stats_of(&p).published, 1013);
  pair_close(&p);
  scene_close(&s, 0);
}

/* Steps in which something was not put take no slot and never wait. */
static void incomplete_steps_take_no_slot(void **state) {
  (void)state;
  scene s = scene_open();
  pair  p;
  bool  active;
  pair_open(&p, &s, &(weir__channel_terms){.slots = 1, .timeout_ns = 50000000});
  assert_int_equal(pair_put(p.writer, 0), WEIR_OK);
  for (int i = 1; i < 400; i++) {
    assert_int_equal(weir__writer_begin(p.writer, i, i, &active), WEIR_OK);
    assert_int_equal(weir__writer_end(p.writer, NULL), WEIR_ERR_STATE);
  }
  step(p.channel, 0);
  weir__channel_record record = pair_take(p.channel, 1);
  assert_true(record.tombstone && !record.dropped && !record.more);
  assert_string_equal(record.why, "field 'u' was not put in step 1");
  pair_close(&p);
  scene_close(&s, 0);
}

/* Several wants of one piece: what is copied is the hull of those that fired, and it lies in the hull of all. */
static void hulls_of_wants_are_copied(void **state) {
  (void)state;
  scene                 s = scene_open();
  pair                  p;
  weir__channel_trigger triggers[] = {{.period = 2}, {.period = 3}, {.period = 6, .phase = 1}};
  weir__channel_want    wants[]    = {
            {1, {2, {1, 2}, {2, 3}}}, {2, {2, {2, 4}, {3, 2}}}, {2, {2, {2, 7}, {1, 1}}}, {4, {2, {0, 0}, {0, 4}}}};
  weir__channel_demand demands[] = {{4, wants}, {0}, {0}};
  bool                 active;
  weir_view            view;
  pair_begin(&p, &s);
  weir__channel_terms terms = {.trigger = triggers, .triggers = 3, .doorbell = p.bell};
  assert_int_equal(weir__channel_demand_post(p.channel, demands, &terms), WEIR_OK);
  assert_int_equal(weir__writer_await(p.writer, 1000000000), WEIR_OK);
  assert_int_equal(weir__channel_map(p.channel), WEIR_OK);
  static const weir_region two = {2, {1, 2}, {2, 3}}, three = {2, {2, 4}, {3, 4}}, six = {2, {1, 2}, {4, 6}};
  uint64_t                 sequence = 0;
  for (int i = 1; i < 13; i++) {
    const weir_region *expected = i % 6 == 0 ? &six : i % 3 == 0 ? &three : i % 2 == 0 ? &two : NULL;
    assert_int_equal(weir__writer_begin(p.writer, i, i, &active), WEIR_OK);
    assert_int_equal(active, expected || i % 6 == 1);
    const weir_region *wanted = weir__writer_wanted(p.writer, PAIR_U);
    assert_int_equal(wanted != NULL, expected != NULL);
    assert_null(weir__writer_wanted(p.writer, PAIR_N));
    if (wanted) {
      assert_true(weir__region_equal(wanted, expected));
      assert_int_equal(weir__writer_view(p.writer, PAIR_U, &view), WEIR_OK);
      for (int64_t y = 0; y < wanted->count[0]; y++)
        for (int64_t x = 0; x < wanted->count[1]; x++)
          *(double *)((char *)view.data + y * view.stride[0] + x * view.stride[1]) =
              (double)(i * 100 + (wanted->start[0] + y) * 10 + wanted->start[1] + x);
      weir__writer_present(p.writer, PAIR_U, 0);
    }
    assert_int_equal(weir__writer_end(p.writer, NULL), WEIR_OK);
    if (!active) continue;
    weir__channel_record record;
    assert_int_equal(weir__channel_next(p.channel, &record), WEIR__CHANNEL_STEP);
    assert_int_equal(weir__channel_piece(p.channel, sequence++, PAIR_U, &view), WEIR_OK);
    assert_int_equal(view.missing, !expected);
    assert_true(view.start[0] == 1 && view.start[1] == 2 && view.count[0] == 4 && view.count[1] == 6);
    if (expected) {
      weir_view part = weir__view_narrow(&view, expected);
      for (int64_t y = 0; y < part.count[0]; y++)
        for (int64_t x = 0; x < part.count[1]; x++)
          assert_true(*(double *)((char *)part.data + y * part.stride[0] + x * part.stride[1]) ==
                      (double)(i * 100 + (part.start[0] + y) * 10 + part.start[1] + x));
    }
    weir__channel_acknowledge(p.channel, sequence);
  }
  assert_int_equal(stats_of(&p).bytes, 8 * (4 * 6 + 2 * 12 + 2 * 24));
  pair_close(&p);
  scene_close(&s, 0);
}

/* ---- both at random speeds ---- */

enum { RANDOM_STEPS = 3000 };

typedef struct feeder {
  weir__writer *writer;
  weir_status   status;
} feeder;

static void linger(uint32_t *seed, uint32_t one_in) {
  *seed = *seed * 1664525 + 1013904223; /* Numerical Recipes' generator: any sequence will do */
  if ((*seed >> 8) % one_in == 0) nanosleep(&(struct timespec){.tv_nsec = (*seed >> 12) % 200000}, NULL);
}

static void *feed(void *argument) {
  feeder  *f    = argument;
  uint32_t seed = 5;
  for (int64_t i = 0; i < RANDOM_STEPS && !f->status; i++) {
    f->status = pair_put(f->writer, i);
    linger(&seed, 1);
  }
  weir__writer_destroy(&f->writer, NULL);
  return NULL;
}

/* Every step comes once, in order, whole or as a tombstone, and the figures agree with what came. */
static void run_at_random(const scene *s, weir__channel_policy policy) {
  pair                p;
  weir__channel_terms terms = {
      .slots = 3, .held = 2, .policy = policy, .spill_bytes = 20 * WEIR__PAGE, .spill_directory = s->run};
  pair_open(&p, s, &terms);
  feeder    f = {.writer = p.writer};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, feed, &f), 0);
  uint64_t next = 0, dropped = 0, spilled = 0, acknowledged = 0;
  uint32_t seen = 0, seed = 1;
  for (;;) {
    weir__channel_record record;
    weir__channel_event  event = weir__channel_next(p.channel, &record);
    if (event == WEIR__CHANNEL_END) break;
    assert_int_not_equal(event, WEIR__CHANNEL_LOST);
    assert_int_equal(weir__channel_check(p.channel), WEIR_OK);
    if (event == WEIR__CHANNEL_NOTHING) {
      weir__doorbell_wait(p.bell, &seen, 1000000);
    } else {
      assert_int_equal(record.sequence, next);
      assert_true(pair_right(p.channel, &record));
      assert_int_equal(record.last_step, (int64_t)(next + record.more));
      next += record.more + 1;
      dropped += record.tombstone ? record.more + 1 : 0;
      spilled += record.spilled;
      weir__channel_done(p.channel, record.sequence);
      linger(&seed, 3);
    }
    if (event == WEIR__CHANNEL_NOTHING || next > acknowledged + 2) {
      weir__channel_acknowledge(p.channel, acknowledged = next);
    }
  }
  pthread_join(thread, NULL);
  assert_int_equal(f.status, WEIR_OK);
  assert_int_equal(next, RANDOM_STEPS);
  weir__channel_stats stats;
  weir__channel_stats_get(p.channel, &stats);
  assert_true(stats.published == RANDOM_STEPS && stats.dropped == dropped && stats.spilled == spilled);
  if (policy == WEIR__POLICY_BLOCK || policy == WEIR__POLICY_SPILL) assert_int_equal(dropped, 0);
  else assert_true(dropped > 0 && dropped < RANDOM_STEPS);
  assert_int_equal(spilled > 0, policy == WEIR__POLICY_SPILL);
  printf("policy %d: %d dropped, %d spilled of %d\n", (int)policy, (int)dropped, (int)spilled, RANDOM_STEPS);
  p.writer = NULL;
  pair_close(&p);
}

static void all_policies_at_random(void **state) {
  (void)state;
  scene s = scene_open();
  for (int policy = WEIR__POLICY_BLOCK; policy <= WEIR__POLICY_SPILL; policy++)
    run_at_random(&s, (weir__channel_policy)policy);
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocking_falls_back_to_dropping),
      cmocka_unit_test(blocking_falls_back_to_stopping),
      cmocka_unit_test(newest_are_left_out),
      cmocka_unit_test(oldest_unread_are_dropped),
      cmocka_unit_test(steps_are_spilled),
      cmocka_unit_test(a_full_disk_is_no_error),
      cmocka_unit_test(a_failing_disk_costs_one_step),
      cmocka_unit_test(tombstones_need_no_room),
      cmocka_unit_test(incomplete_steps_take_no_slot),
      cmocka_unit_test(hulls_of_wants_are_copied),
      cmocka_unit_test(all_policies_at_random),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
