/* The ring between a writer and a reader, as two threads on one memory (for the thread sanitizer) and as two processes.
 * weir-test: timeout=60 */
#include "channel/scene.h"

#include "channel/channel.h"
#include "channel/writer.h"
#include "core/clock.h"
#include <pthread.h>

enum { NY = 6, NX = 10, STEPS = 20000, SLOTS = 3 };

/* What writer and reader agree on in one test. */
typedef struct job {
  int     steps, slots, read_at_most; /* read_at_most: then the reader leaves (or dies); 0: all */
  int     rank, size, rest_reader_ms, late_ms;
  int64_t timeout_ns;
  bool    out_of_order, complete; /* complete: the reader that leaves needs no more */
} job;

static const weir__channel_field    fields[] = {{.name = "u",
                                                 .type = {.dtype = WEIR_F64,
                                                          .rank  = 2,
                                                          .units = "m s-1",
                                                          .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}}},
                                                {.name = "n", .type = {.dtype = WEIR_I32}}};
static const weir__channel_piece_of pieces[] = {{0, {2, {0, 0}, {NY, NX}}}, {1, {0, {0}, {0}}}};

static weir__channel_definitions define(const job *j) {
  return (weir__channel_definitions){.stream     = "ocean",
                                     .rank       = j->rank,
                                     .size       = j->size,
                                     .time_units = "s",
                                     .fields     = 2,
                                     .pieces     = 2,
                                     .field      = fields,
                                     .piece      = pieces};
}

static double value(int64_t step, int rank, int i) { return (double)(step * 1000 + rank * 100 + i); }

static int write_steps(const scene *s, const void *argument) {
  const job                *j           = argument;
  weir__channel_definitions definitions = define(j);
  weir__writer             *writer;
  CHILD_CHECK(!weir__writer_create(s->run, &definitions, &writer));
  CHILD_CHECK(!weir__writer_await(writer, 20000000000));
  weir_status status = WEIR_OK;
  for (int64_t step = 1; step <= j->steps && !status; step++) {
    bool      active;
    weir_view to;
    status = weir__writer_begin(writer, step, 0.5 * (double)step, &active);
    if (status) break;
    CHILD_CHECK(active);
    const weir_region *wanted = weir__writer_wanted(writer, 0);
    CHILD_CHECK(wanted && wanted->count[0] == NY - 2);
    status = weir__writer_view(writer, 0, &to);
    if (status) break;
    double *u = to.data;
    for (int i = 0; i < (NY - 2) * (NX - 3); i++) u[i] = value(step, j->rank, i);
    weir__writer_present(writer, 0, 0);
    CHILD_CHECK(!weir__writer_view(writer, 1, &to));
    *(int32_t *)to.data = (int32_t)step;
    weir__writer_present(writer, 1, 0);
    status = weir__writer_end(writer, NULL);
  }
  if (status) {
    weir__writer_destroy(&writer, weir_error_last());
    return status == WEIR_END ? 13 : status == WEIR_ERR_GONE ? 10 : status == WEIR_ERR_TIMEOUT ? 11 : 12;
  }
  weir__writer_destroy(&writer, NULL);
  return 0;
}

static int check_step(weir__channel *channel, const job *j, int64_t expected, const weir__channel_record *record) {
  weir_view u, n;
  CHILD_CHECK(record->step == expected && record->sequence == (uint64_t)expected - 1);
  CHILD_CHECK(record->time == 0.5 * (double)expected && !record->tombstone && record->fired == 1);
  CHILD_CHECK(!weir__channel_piece(channel, record->sequence, 0, &u) && u.data && u.count[1] == NX - 3 &&
              u.start[0] == 1);
  for (int i = 0; i < (NY - 2) * (NX - 3); i++) CHILD_CHECK(((double *)u.data)[i] == value(expected, j->rank, i));
  CHILD_CHECK(!weir__channel_piece(channel, record->sequence, 1, &n) && *(int32_t *)n.data == expected);
  return 0;
}

static int attach(const scene *s, const job *j, weir__doorbell *bell, weir__channel **channel) {
  weir_status status;
  for (int i = 0; (status = weir__channel_attach(s->run, "ocean", j->rank, channel)) == WEIR_ERR_GONE && i < 2000; i++)
    rest_ms(5);
  CHILD_CHECK(!status);
  const weir__channel_definitions *d = weir__channel_definitions_of(*channel);
  CHILD_CHECK(d->fields == 2 && d->pieces == 2 && !strcmp(d->field[0].type.units, "m s-1") &&
              !strcmp(d->time_units, "s"));
  weir__channel_trigger always    = {.period = 1};
  weir__channel_want    wants[]   = {{1, {2, {1, 3}, {NY - 2, NX - 3}}}, {.triggers = 1}};
  weir__channel_demand  demands[] = {{1, &wants[0]}, {1, &wants[1]}};
  weir__channel_terms   terms     = {
            .slots = j->slots, .timeout_ns = j->timeout_ns, .trigger = &always, .triggers = 1, .doorbell = bell, .door = 0};
  CHILD_CHECK(!weir__channel_demand_post(*channel, demands, &terms));
  uint32_t seen = 0;
  while ((status = weir__channel_map(*channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 1000000000);
  CHILD_CHECK(!status);
  return 0;
}

/* Read, check and acknowledge all steps (or some), sometimes two at a time and in reverse order. */
static int read_steps(const scene *s, const void *argument) {
  const job      *j = argument;
  weir__doorbell *bell;
  weir__channel  *channel;
  uint32_t        seen = 0;
  uint64_t        held[2];
  int             holding = 0;
  rest_ms(j->late_ms);
  CHILD_CHECK(!weir__doorbell_create(&bell));
  CHILD_CHECK(!weir__doorbell_expect(bell, 0, 1));
  CHILD_CHECK(!attach(s, j, bell, &channel));
  for (int64_t step = 1;;) {
    weir__channel_record record;
    weir__channel_event  event = weir__channel_next(channel, &record);
    if (event == WEIR__CHANNEL_END || event == WEIR__CHANNEL_LOST) {
      CHILD_CHECK(step == j->steps + 1 || event == WEIR__CHANNEL_LOST);
      break;
    }
    if (event == WEIR__CHANNEL_NOTHING) {
      CHILD_CHECK(weir__doorbell_wait(bell, &seen, 10000000000) || weir__channel_alive(channel));
      continue;
    }
    CHILD_CHECK(!check_step(channel, j, step++, &record));
    CHILD_CHECK(weir__doorbell_arrived(bell, 0, record.sequence) <= 1);
    if (j->rest_reader_ms) rest_ms(j->rest_reader_ms);
    held[holding++] = record.sequence;
    if (holding == 2 || !j->out_of_order || step > j->steps) {
      while (holding) weir__channel_done(channel, held[--holding]);
      weir__channel_acknowledge(channel, record.sequence + 1);
    }
    CHILD_CHECK(!weir__channel_check(channel));
    if (j->read_at_most && step > j->read_at_most) break;
  }
  if (j->complete) weir__channel_complete(channel);
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  return 0;
}

typedef struct thread_job {
  const scene *s;
  const job   *j;
  int (*body)(const scene *, const void *);
  int result;
} thread_job;

static void *run_thread(void *argument) {
  thread_job *t = argument;
  t->result     = t->body(t->s, t->j);
  return NULL;
}

static void run_as_threads(const job *j) {
  scene      s      = scene_open();
  thread_job both[] = {{&s, j, write_steps, -1}, {&s, j, read_steps, -1}};
  pthread_t  thread[2];
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&thread[i], NULL, run_thread, &both[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < 2; i++) assert_int_equal(both[i].result, 0);
  scene_close(&s, 0);
}

static void threads_agree(void **state) {
  (void)state;
  run_as_threads(&(job){.steps = STEPS, .slots = SLOTS, .size = 1});
}
static void threads_agree_out_of_order(void **state) {
  (void)state;
  run_as_threads(&(job){.steps = STEPS / 2, .slots = SLOTS, .size = 1, .out_of_order = true});
}
static void one_slot_suffices(void **state) {
  (void)state;
  run_as_threads(&(job){.steps = 500, .slots = 1, .size = 1});
}

static void processes_agree(void **state) {
  (void)state;
  scene s = scene_open();
  job   j = {.steps = STEPS, .slots = SLOTS, .size = 1, .out_of_order = true};
  for (int late = 0; late < 2; late++) { /* either may be first */
    j.late_ms    = late ? 100 : 0;
    pid_t writer = scene_fork(write_steps, &s, &j);
    pid_t reader = scene_fork(read_steps, &s, &j);
    assert_child_fine(writer);
    assert_child_fine(reader);
  }
  scene_close(&s, 0);
}

static void slow_reader_blocks_the_writer(void **state) {
  (void)state;
  scene  s      = scene_open();
  job    j      = {.steps = 12, .slots = 2, .size = 1, .rest_reader_ms = 10};
  pid_t  reader = scene_fork(read_steps, &s, &j);
  double begin  = now_s();
  assert_int_equal(write_steps(&s, &j), 0);
  assert_true(now_s() - begin > 0.08); /* 12 steps of 10 ms, but for those that fit in the ring */
  assert_child_fine(reader);
  scene_close(&s, 0);
}

static void writer_gives_up_after_its_timeout(void **state) {
  (void)state;
  scene  s      = scene_open();
  job    j      = {.steps = 10, .slots = 2, .size = 1, .rest_reader_ms = 1500, .timeout_ns = 300000000};
  pid_t  reader = scene_fork(read_steps, &s, &j);
  double begin  = now_s();
  assert_int_equal(write_steps(&s, &j), 11);
  assert_true(now_s() - begin > 0.3 && now_s() - begin < 5);
  assert_non_null(strstr(weir_error_last(), "waited 0.3 s"));
  assert_child_fine(reader);
  scene_close(&s, 0);
}

static void writer_goes_on_when_the_reader_is_killed(void **state) {
  (void)state;
  scene s      = scene_open();
  job   j      = {.steps = 1000, .slots = 2, .size = 1, .rest_reader_ms = 100};
  pid_t reader = scene_fork(read_steps, &s, &j);
  /* a killer: the reader dies while the writer waits for it */
  pid_t killer = fork();
  if (!killer) {
    rest_ms(350);
    kill(reader, SIGKILL);
    _exit(0);
  }
  double begin = now_s();
  assert_int_equal(write_steps(&s, &j), 10);
  assert_true(now_s() - begin < 5);
  assert_non_null(strstr(weir_error_last(), "has died"));
  assert_int_equal(waitpid(reader, NULL, 0), reader);
  assert_int_equal(waitpid(killer, NULL, 0), killer);
  scene_close(&s, 0);
}

static void writer_goes_on_when_the_reader_leaves(void **state) {
  (void)state;
  scene s      = scene_open();
  job   j      = {.steps = 100000000, .slots = 2, .size = 1, .read_at_most = 5};
  pid_t reader = scene_fork(read_steps, &s, &j);
  assert_int_equal(write_steps(&s, &j), 10);
  assert_non_null(strstr(weir_error_last(), "has left"));
  assert_child_fine(reader);
  scene_close(&s, 0);
}

/* One that has all it needs is no failure: the writer hears of an end. */
static void writer_goes_on_when_the_reader_is_complete(void **state) {
  (void)state;
  scene s      = scene_open();
  job   j      = {.steps = 100000000, .slots = 2, .size = 1, .read_at_most = 5, .complete = true};
  pid_t reader = scene_fork(read_steps, &s, &j);
  assert_int_equal(write_steps(&s, &j), 13);
  assert_child_fine(reader);
  scene_close(&s, 0);
}

static int publish_and_hang(const scene *s, const void *argument) {
  const job                *j           = argument;
  weir__channel_definitions definitions = define(j);
  weir__writer             *writer;
  bool                      active;
  weir_view                 to;
  CHILD_CHECK(!weir__writer_create(s->run, &definitions, &writer) && !weir__writer_await(writer, 20000000000));
  CHILD_CHECK(!weir__writer_begin(writer, 1, 0.5, &active) && !weir__writer_view(writer, 0, &to));
  for (int i = 0; i < (NY - 2) * (NX - 3); i++) ((double *)to.data)[i] = value(1, 0, i);
  weir__writer_present(writer, 0, 0);
  CHILD_CHECK(!weir__writer_view(writer, 1, &to));
  *(int32_t *)to.data = 1;
  weir__writer_present(writer, 1, 0);
  CHILD_CHECK(!weir__writer_end(writer, NULL));
  CHILD_CHECK(!weir__writer_begin(writer, 2, 1.0, &active) && !weir__writer_view(writer, 0, &to));
  *(double *)to.data = -1; /* half a step */
  for (;;) pause();
}

static void steps_of_a_killed_writer_stay_readable(void **state) {
  (void)state;
  scene                s      = scene_open();
  job                  j      = {.steps = 2, .slots = 2, .size = 1};
  pid_t                writer = scene_fork(publish_and_hang, &s, &j);
  weir__doorbell      *bell;
  weir__channel       *channel;
  weir__channel_record record;
  uint32_t             seen = 0;
  assert_int_equal(weir__doorbell_create(&bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(bell, 0, 1), WEIR_OK);
  assert_int_equal(attach(&s, &j, bell, &channel), 0);
  while (weir__doorbell_arrived(bell, 0, 0) < 1) weir__doorbell_wait(bell, &seen, 100000000);
  assert_true(weir__channel_alive(channel));
  kill(writer, SIGKILL);
  rest_ms(50); /* dead, but not waited for: a zombie is dead */
  assert_false(weir__channel_alive(channel));
  assert_int_equal(waitpid(writer, NULL, 0), writer);
  assert_int_equal(weir__channel_next(channel, &record), WEIR__CHANNEL_STEP);
  assert_int_equal(check_step(channel, &j, 1, &record), 0);
  assert_int_equal(weir__channel_next(channel, &record), WEIR__CHANNEL_NOTHING); /* never half a step */
  weir__channel_acknowledge(channel, 1);
  weir__channel_acknowledge(channel, 1); /* twice: ignored */
  weir__channel_acknowledge(channel, 7); /* what was not read is not acknowledged */
  assert_int_equal(weir__channel_check(channel), WEIR_OK);
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  scene_close(&s, 1); /* the note of the killed process */
}

/* Only the last of several processes rings. */
static void the_last_process_rings(void **state) {
  (void)state;
  enum { PROCESSES = 4 };
  scene           s = scene_open();
  job             j[PROCESSES];
  pid_t           writer[PROCESSES];
  weir__doorbell *bell;
  weir__channel  *channel[PROCESSES];
  uint32_t        seen = 0;
  assert_int_equal(weir__doorbell_create(&bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(bell, 0, PROCESSES), WEIR_OK);
  for (int r = 0; r < PROCESSES; r++) {
    j[r]      = (job){.steps = 3000, .slots = 4, .rank = r, .size = PROCESSES};
    writer[r] = scene_fork(write_steps, &s, &j[r]);
  }
  for (int r = 0; r < PROCESSES; r++) assert_int_equal(attach(&s, &j[r], bell, &channel[r]), 0);
  int rings = 0;
  for (uint64_t step = 0; step < 3000; step++) {
    while (weir__doorbell_arrived(bell, 0, step) < PROCESSES) {
      bool rung = weir__doorbell_wait(bell, &seen, 5000000000);
      rings += rung;
      assert_true(rung); /* a lost wake-up would let this time out */
    }
    for (int r = 0; r < PROCESSES; r++) {
      weir__channel_record record;
      assert_int_equal(weir__channel_next(channel[r], &record), WEIR__CHANNEL_STEP);
      assert_int_equal(check_step(channel[r], &j[r], (int64_t)step + 1, &record), 0);
    }
    for (int r = 0; r < PROCESSES; r++) weir__channel_acknowledge(channel[r], step + 1);
  }
  assert_true(rings <= 3000 + 4 * PROCESSES);
  for (int r = 0; r < PROCESSES; r++) {
    weir__channel_record record;
    assert_child_fine(writer[r]);
    assert_int_equal(weir__channel_next(channel[r], &record), WEIR__CHANNEL_END);
    weir__channel_detach(&channel[r]);
  }
  weir__doorbell_destroy(&bell);
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(threads_agree),
                                     cmocka_unit_test(threads_agree_out_of_order),
                                     cmocka_unit_test(one_slot_suffices),
                                     cmocka_unit_test(processes_agree),
                                     cmocka_unit_test(slow_reader_blocks_the_writer),
                                     cmocka_unit_test(writer_gives_up_after_its_timeout),
                                     cmocka_unit_test(writer_goes_on_when_the_reader_is_killed),
                                     cmocka_unit_test(writer_goes_on_when_the_reader_leaves),
                                     cmocka_unit_test(writer_goes_on_when_the_reader_is_complete),
                                     cmocka_unit_test(steps_of_a_killed_writer_stay_readable),
                                     cmocka_unit_test(the_last_process_rings)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
