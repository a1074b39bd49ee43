/* weir-test: timeout=60
 * Live records (written, read, damaged, of a restarted worker, read while they are written) and what weir top draws. */
#include "core/clock.h"
#include "run/top.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[256];

static const char *path(const char *name) {
  static char text[512];
  snprintf(text, sizeof text, "%s/%s", folder, name);
  return text;
}

static int setup(void **state) {
  const char *tmp = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-live-XXXXXX", tmp ? tmp : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  return weir__live_remove(folder) < 0 || rmdir(folder);
}

/* ---- records ---- */

static int64_t latency[8] = {5000, 1000, 4000, 2000, 3000, 9000, 7000, 8000};

static weir__worker_pulse pulse_at(int64_t steps) {
  return (weir__worker_pulse){.steps      = steps,
                              .step       = 10 * steps,
                              .time       = 0.5 * (double)steps,
                              .tasks      = 100 * steps,
                              .queued     = 3,
                              .blocked_ns = 20000000 * steps,
                              .dropped    = 4,
                              .spilled    = 7,
                              .stream     = "ocean",
                              .threads    = 2,
                              .processes  = 2,
                              .latency_ns = latency,
                              .seen       = 5,
                              .latencies  = 8};
}

static void round_trip(void **state) {
  weir__live        *live = NULL;
  weir__live_record  r;
  struct stat        s;
  weir__worker_pulse pulse = pulse_at(10);
  (void)state;
  assert_int_equal(weir__live_read(folder, 3, &r), WEIR_END);
  assert_int_equal(weir__live_open(folder, 3, 0, &live), WEIR_OK);
  assert_int_equal(weir__live_read(folder, 3, &r), WEIR_OK);
  assert_int_equal(r.phase, WEIR__PHASE_WAITING);
  assert_int_equal(r.beat, 1);
  assert_int_equal(stat(path("live"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0700);
  assert_int_equal(stat(path("live/worker.3"), &s), 0);
  assert_int_equal(s.st_mode & 0777, 0600);

  int64_t began = weir__clock_ns();
  weir__live_phase(live, WEIR__PHASE_RUNNING);
  weir__live_beat(live, &pulse);
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  pulse                = pulse_at(20);
  uint64_t allocations = weir__alloc_calls();
  weir__live_beat(live, &pulse);
  assert_int_equal(weir__alloc_calls(), allocations);
  double most = 1e9 / 100e6, least = 1e9 / (double)(weir__clock_ns() - began); /* beats per second, at most and least */
  assert_int_equal(weir__live_read(folder, 3, &r), WEIR_OK);
  assert_int_equal(r.pid, getpid());
  assert_int_equal(r.rank, 3);
  assert_int_equal(r.phase, WEIR__PHASE_RUNNING);
  assert_int_equal(r.beat, 4);
  assert_int_equal(r.tasks, 2000);
  assert_true(r.tasks_per_s <= 1000 * most && r.tasks_per_s >= 1000 * least);
  assert_true(r.memory_bytes > 100000);
  assert_int_equal(r.streams, 1);
  assert_string_equal(r.stream[0].name, "ocean");
  assert_int_equal(r.stream[0].step, 200);
  assert_true(r.stream[0].steps_per_s <= 10 * most && r.stream[0].steps_per_s >= 10 * least);
  /* 10 steps x 20 ms over two processes */
  assert_true(r.stream[0].blocked_share <= 0.1 * most && r.stream[0].blocked_share >= 0.1 * least);
  assert_float_equal(r.stream[0].latency_median_s, 3000e-9, 1e-12);
  assert_float_equal(r.stream[0].latency_p99_s, 5000e-9, 1e-12);
  assert_int_equal(r.stream[0].queued, 3);
  assert_int_equal(r.stream[0].spilled, 7);
  weir__live_close(&live);

  assert_int_equal(weir__live_open(folder, 3, 7, &live), WEIR_OK); /* it died, here is another one */
  assert_int_equal(weir__live_restarts(live), 7);                  /* others died before they left a record */
  assert_int_equal(weir__live_read(folder, 3, &r), WEIR_OK);
  assert_int_equal(r.restarts, 7);
  weir__live_close(&live);
}

static int64_t beats(void) {
  weir__live_record r;
  assert_int_equal(weir__live_read(folder, 3, &r), WEIR_OK);
  return r.beat;
}

/* A thread beats for one that is busy, and not for one that hangs. */
static void beats_for_a_busy_thread(void **state) {
  weir__live     *live = NULL;
  volatile double x    = 0;
  (void)state;
  assert_int_equal(weir__live_open(folder, 3, 0, &live), WEIR_OK);
  assert_int_equal(weir__live_vouch(live), WEIR_OK);
  assert_int_equal(weir__live_vouch(live), WEIR_OK); /* does so already */
  int64_t began = beats(), until = weir__clock_ns() + INT64_C(2500000000);
  while (weir__clock_ns() < until) x = x + 1;
  assert_in_range(beats() - began, 2, 4);
  nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
  for (int i = 0; i < 5; i++) nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* waits, and looks */
  began = beats();
  /* one beat for what it did before, and one if it was looked at on its way to sleep; four or five if it hung for ever
   */
  nanosleep(&(struct timespec){.tv_sec = 4, .tv_nsec = 500000000}, NULL);
  assert_in_range(beats() - began, 0, 2);
  weir__live_phase(live, WEIR__PHASE_RUNNING);
  began = beats();
  until = weir__clock_ns() + INT64_C(1500000000);
  while (weir__clock_ns() < until) x = x + 1; /* from here on it does so itself */
  assert_int_equal(beats(), began);
  assert_int_equal(weir__live_vouch(live), WEIR_OK);
  weir__live_close(&live);
}

static void damaged(void **state) {
  weir__live       *live = NULL;
  weir__live_record r;
  (void)state;
  assert_int_equal(weir__live_open(folder, 5, 0, &live), WEIR_OK);
  weir__live_close(&live);
  int file = open(path("live/worker.5"), O_RDWR);
  assert_true(file >= 0);
  assert_int_equal(pwrite(file, "x", 1, 100), 1);
  assert_int_equal(weir__live_read(folder, 5, &r), WEIR_ERR_INPUT);
  assert_int_equal(ftruncate(file, 10), 0);
  assert_int_equal(weir__live_read(folder, 5, &r), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "live/worker.5: damaged"));
  close(file);
  assert_int_equal(weir__live_open(folder, 5, 0, &live), WEIR_OK); /* is written anew */
  assert_int_equal(weir__live_read(folder, 5, &r), WEIR_OK);
  assert_int_equal(r.restarts, 0);
  weir__live_close(&live);
}

/* One process writes without a pause, this one reads: every record is whole and beats never go back. */
static void while_written(void **state) {
  weir__live_record r;
  int64_t           last = 0, different = 0;
  (void)state;
  pid_t child = fork();
  if (!child) {
    weir__live *live = NULL;
    if (weir__live_open(folder, 6, 0, &live) < 0) _exit(1);
    for (int64_t i = 0;; i++) {
      weir__worker_pulse pulse = pulse_at(i);
      weir__live_beat(live, &pulse);
    }
  }
  int64_t until = weir__clock_ns() + 500000000;
  while (weir__clock_ns() < until) {
    weir_status status = weir__live_read(folder, 6, &r);
    if (status == WEIR_END || (status == WEIR_ERR_INPUT && !last)) continue; /* not begun yet */
    assert_int_equal(status, WEIR_OK);
    assert_true(r.beat >= last);
    assert_int_equal(r.tasks, 100 * r.steps);
    different += r.beat > last;
    last = r.beat;
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_true(different > 3);
}

/* ---- drawing ---- */

static weir__live_record worker_record(int rank) {
  weir__live_record r = {.pid          = 100 + rank,
                         .rank         = rank,
                         .phase        = WEIR__PHASE_RUNNING,
                         .host         = "node17.cluster.example",
                         .beat         = 9,
                         .beat_ns      = INT64_C(1000000000) * (1000 - rank),
                         .tasks_per_s  = 123456,
                         .load         = 0.5,
                         .threads      = 4,
                         .memory_bytes = 300 << 20,
                         .checkpoints  = 2,
                         .restarts     = rank,
                         .streams      = 1};
  r.stream[0]         = (weir__live_stream){.name             = "ocean",
                                            .steps_per_s      = 12.34,
                                            .latency_median_s = 0.0021,
                                            .latency_p99_s    = 0.5,
                                            .blocked_share    = 0.25 * rank,
                                            .processes        = 2,
                                            .queued           = 1,
                                            .dropped          = 1,
                                            .incomplete       = 2,
                                            .spilled          = 5};
  return r;
}

static weir__top make_top(weir__live_record *workers, int count) {
  weir__top top = {
      .run = "gyre", .elapsed_s = 75, .now_ns = INT64_C(1000500000000), .worker = workers, .workers = count};
  top.status =
      (weir__run_status){.phase = WEIR__PHASE_RUNNING, .steps = 12, .step = 120, .time = 36, .time_units = "hours"};
  return top;
}

static void drawn(void **state) {
  weir__live_record workers[3]   = {worker_record(0), worker_record(1), {0}};
  char              parameters[] = "wind 0.4\nlevel\t3", decisions[] = "120 set wind 0.4 \033[31m caf\303\251";
  weir__top         top  = make_top(workers, 3);
  weir__text        text = {0};
  (void)state;
  top.parameters = parameters;
  top.decisions  = decisions;
  assert_int_equal(weir__top_text(&top, 80, 0, false, &text), WEIR_OK);
  assert_string_equal(text.data, "gyre   running   75.0 s   step 120   time 36.0 h\n"
                                 "2 checkpoints made\n"
                                 "\n"
                                 "stream    steps/s   median     99 % blocked queue spill drop\n"
                                 "ocean        12.3   2.1 ms 500.0 ms  12.5 %     1     5    3\n"
                                 "\n"
                                 "parameters\n"
                                 "wind 0.4\n"
                                 "level 3\n"
                                 "\n"
                                 "decisions\n"
                                 "120 set wind 0.4 ?[31m caf\303\251\n"
                                 "\n"
                                 "worker host        tasks/s     memory   load restart    beat\n"
                                 "0      node17.clu    123 k  300.0 MiB   50 %       0   0.5 s\n"
                                 "1      node17.clu    123 k  300.0 MiB   50 %       1   1.5 s\n"
                                 "2      not started\n");
  weir__text_clear(&text);
}

/* Lines never leave the window, rows are kept, and what is late is said and red. */
static void narrow(void **state) {
  enum { WORKERS = 50, ROWS = 12 };
  weir__live_record workers[WORKERS];
  weir__text        text  = {0};
  int               lines = 0;
  (void)state;
  for (int i = 0; i < WORKERS; i++) {
    workers[i]         = worker_record(i % 2);
    workers[i].beat_ns = 0;
  }
  weir__top top = make_top(workers, WORKERS);
  memset(top.run, 'r', sizeof top.run - 1);
  assert_int_equal(weir__top_text(&top, 60, ROWS, false, &text), WEIR_OK);
  for (char *line = text.data; *line; line += strcspn(line, "\n") + 1, lines++)
    assert_in_range(strcspn(line, "\n"), 0, 60);
  assert_int_equal(lines, ROWS);
  assert_non_null(strstr(text.data, "no worker has given a sign of life for 16.7 min\n"));
  assert_non_null(strstr(text.data, "and 47 more workers\n"));
  weir__text_clear(&text);
  assert_int_equal(weir__top_text(&top, 200, ROWS, true, &text), WEIR_OK);
  assert_non_null(strstr(text.data, "\033[31m0      node17.clu"));
  weir__text_clear(&text);
}

/* ---- from a directory ---- */

static void put(const char *name, const char *text) {
  FILE *file = fopen(path(name), "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void from_a_directory(void **state) {
  static const char recipe[] =
      "run: gyre\nstream: {simulation: {}}\nfields: {m: mean(u)}\noutputs:\n- csv: {path: m.csv, "
      "fields: [m]}\n";
  weir__run_directory directory;
  weir__run_settings  settings = {.recipe = path("made.yaml"), .workers = 2, .threads = -2, .trace = ""};
  weir__top           top;
  weir__live         *live = NULL;
  weir__text          text = {0};
  char                run[600], made[600];
  (void)state;
  assert_int_equal(weir__top_read(path("none"), &top), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "no run lives or lived in this directory"));
  put("made.yaml", recipe);
  snprintf(made, sizeof made, "%s", path("made.yaml"));
  snprintf(run, sizeof run, "%s", path("gyre.run"));
  settings.recipe = made;
  assert_int_equal(weir__run_directory_make(run, &settings, &directory), WEIR_OK);
  assert_int_equal(weir__top_read(run, &top), WEIR_OK);
  assert_true(top.ended && !top.reported);
  weir__top_clear(&top);

  assert_int_equal(weir__live_open(run, 1, 0, &live), WEIR_OK);
  put("gyre.run/decisions.log", "1\n2\n3\n4\n5\n6\n7\n");
  assert_int_equal(weir__top_read(run, &top), WEIR_OK);
  assert_false(top.ended);
  assert_int_equal(top.workers, 2);
  assert_int_equal(top.worker[0].pid, 0);
  assert_int_equal(top.worker[1].pid, getpid());
  assert_string_equal(top.decisions, "3\n4\n5\n6\n7");
  assert_null(top.parameters);
  weir__top_clear(&top);
  weir__live_close(&live);

  weir__report report = {.run = "gyre", .complete = true, .steps = 7};
  assert_int_equal(weir__report_write(run, &report), WEIR_OK);
  weir__run_directory_leave(&directory, true);
  assert_int_not_equal(access(path("gyre.run/live"), F_OK), 0);
  assert_int_equal(weir__top_read(run, &top), WEIR_OK);
  assert_true(top.ended && top.reported);
  assert_int_equal(weir__top_text(&top, 80, 0, false, &text), WEIR_OK);
  assert_non_null(strstr(text.data, "gyre has ended: complete\ngyre: 7 steps in"));
  weir__text_clear(&text);
  weir__top_clear(&top);
  static const char *const left[] = {"gyre.run/decisions.log", "gyre.run/report.json", "gyre.run/recipe.yaml",
                                     "gyre.run/run.json", "made.yaml"};
  for (size_t i = 0; i < sizeof left / sizeof *left; i++) assert_int_equal(unlink(path(left[i])), 0);
  assert_int_equal(rmdir(run), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip),      cmocka_unit_test(beats_for_a_busy_thread),
                                     cmocka_unit_test(damaged),         cmocka_unit_test(while_written),
                                     cmocka_unit_test(drawn),           cmocka_unit_test(narrow),
                                     cmocka_unit_test(from_a_directory)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
