/* weir-test: timeout=60
 * The run directory of a run that goes on, and the workers as the supervisor sees them. */
#include "channel/channel.h"
#include "run/directory.h"
#include "run/live.h"
#include "run/watch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[256];

static const char *path(const char *name) {
  static char text[8][512];
  static int  next;
  char       *out = text[next++ % 8];
  snprintf(out, sizeof *text, "%s/%s", folder, name);
  return out;
}

static void write_text(const char *name, const char *text) {
  FILE *file = fopen(path(name), "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static bool there(const char *name) { return !access(path(name), F_OK); }

static const char recipe[] = "stream: {simulation: {}}\n"
                             "parameters: {a: 1}\n"
                             "outputs:\n"
                             "  - csv: {path: a.csv, fields: [u]}\n";

static int setup(void **state) {
  const char *base = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-supervision-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(folder)) return -1;
  write_text("a.yaml", recipe);
  return 0;
}

static int teardown(void **state) {
  char command[300];
  (void)state;
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  return system(command);
}

/* ---- going on ---- */

static weir__run_directory made(void) {
  const char *const   set[]     = {"a=2"};
  weir__run_settings  settings  = {path("a.yaml"), 2, 1, set, 1, "", ""};
  weir__run_directory directory = {.lock = -1};
  if (weir__run_directory_make(path("a.run"), &settings, &directory) < 0) fail_msg("%s", weir_error_last());
  return directory;
}

static weir_status resume(int workers, int sets, const char *const *set, weir__run_settings *settings,
                          weir__run_directory *directory) {
  static weir__arena arena;
  weir__arena_clear(&arena);
  *directory         = (weir__run_directory){.lock = -1};
  *settings          = (weir__run_settings){path("a.yaml"), workers, -2, set, sets, "", ""};
  weir_status status = weir__run_directory_resume(path("a.run"), &arena, settings, directory);
  if (status >= 0 && settings->sets) assert_string_equal(settings->set[0], "a=2");
  weir__arena_clear(&arena);
  return status;
}

static void refused(int workers, int sets, const char *const *set, const char *message) {
  weir__run_directory directory;
  weir__run_settings  settings;
  assert_int_equal(resume(workers, sets, set, &settings, &directory), WEIR_ERR_INPUT);
  const char *said = strstr(weir_error_last(), "a.run: "); /* without the folder */
  assert_non_null(said);
  if (strncmp(said, message, strlen(message))) fail_msg("%s\nexpected %s", said, message);
  assert_null(directory.path);
}

static mode_t mode_of(const char *name) {
  struct stat s;
  return stat(path(name), &s) ? 0 : s.st_mode & 0777;
}

static void keeps_what_a_resumed_run_needs(void **state) {
  weir__run_settings settings;
  struct stat        before, after;
  (void)state;
  weir__run_directory directory = made();
  assert_int_equal(mode_of("a.run/checkpoint"), 0700);
  assert_int_equal(mode_of("a.run/live"), 0700);
  assert_int_equal(mode_of("a.run/requests"), 0700);
  assert_true(there("a.run/supervisor"));
  write_text("a.run/checkpoint/8.0", "x");
  assert_int_equal(stat(path("a.run/run.json"), &before), 0);
  refused(0, 0, NULL, "a.run: another run lives in this run directory (process ");
  weir__run_directory_leave(&directory, false);
  assert_true(there("a.run/checkpoint/8.0") && there("a.run/recipe.yaml"));
  assert_false(there("a.run/live") || there("a.run/requests") || there("a.run/supervisor") || there("a.run/channel"));
  if (resume(0, 0, NULL, &settings, &directory) < 0) fail_msg("%s", weir_error_last());
  assert_true(settings.workers == 2 && settings.threads == 1 && settings.sets == 1); /* as they were */
  assert_int_equal(stat(path("a.run/run.json"), &after), 0);
  assert_true(before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  assert_true(there("a.run/checkpoint/8.0") && there("a.run/live"));
  write_text("a.run/report.json", "{\"complete\": true}");
  weir__run_directory_leave(&directory, false); /* the simulation failed: not complete, whatever the workers say */
  assert_int_equal(resume(0, 0, NULL, &settings, &directory), WEIR_OK);
  weir__run_directory_leave(&directory, true);
  assert_false(there("a.run/checkpoint"));
  assert_int_equal(resume(0, 0, NULL, &settings, &directory), WEIR_END);
  directory = made(); /* a new run clears all */
  assert_false(there("a.run/report.json"));
  weir__run_directory_leave(&directory, true);
}

static void refuses_another_run(void **state) {
  const char *const other[] = {"a=3"}, *const same[] = {"a=2"};
  (void)state;
  refused(0, 0, NULL, "a.run: there is no run to resume");
  weir__run_directory directory = made();
  weir__run_directory_leave(&directory, false);
  refused(3, 0, NULL, "a.run: cannot be resumed with --workers 3: that run had 2");
  refused(2, 1, other, "a.run: cannot be resumed with other parameters: that run had --set a=2");
  write_text("a.yaml", "stream: {simulation: {}}\n"
                       "parameters: {a: 7}\n");
  weir__run_settings settings;
  assert_int_equal(resume(2, 1, same, &settings, &directory), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "a.yaml differs from the recipe of that run, "));
  assert_non_null(strstr(weir_error_last(), "a.run/recipe.yaml, from line 2 on"));
  write_text("a.yaml", recipe);
  assert_int_equal(resume(2, 1, same, &settings, &directory), WEIR_OK);
  weir__run_directory_leave(&directory, false);
}

/* A supervisor that was killed leaves its jobs; nobody else starts beside them. */
static void waits_for_left_over_processes(void **state) {
  char               run[512];
  weir__run_settings settings;
  (void)state;
  weir__run_directory directory = made();
  snprintf(run, sizeof run, "%s", directory.path);
  weir__run_directory_leave(&directory, false);
  pid_t child = fork();
  if (!child) {
    setenv("WEIR_RUN", run, 1);
    setenv("WEIR_JOB", "1.2", 1);
    execlp("sleep", "sleep", "100", (char *)NULL);
    _exit(127);
  }
  for (int i = 0; i < 500; i++) { /* until it has become the program */
    if (resume(0, 0, NULL, &settings, &directory) < 0) break;
    weir__run_directory_leave(&directory, false);
    usleep(10000);
  }
  refused(0, 0, NULL, "a.run: process ");
  assert_non_null(strstr(weir_error_last(), " of an earlier run still lives; wait for it, or end it first"));
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  assert_int_equal(resume(0, 0, NULL, &settings, &directory), WEIR_OK);
  weir__run_directory_leave(&directory, false);
}

static void status_says_where_it_went_on(void **state) {
  weir__run_directory directory = made();
  weir__run_status status = {.phase = WEIR__PHASE_RUNNING, .steps = 7, .step = 70, .restored = true, .from = 50}, got;
  (void)state;
  assert_int_equal(weir__run_status_write(directory.path, &status), WEIR_OK);
  weir__run_status_read(directory.path, &got);
  assert_true(got.phase == WEIR__PHASE_RUNNING && got.step == 70 && got.restored && got.from == 50);
  memset(status.message, 1, sizeof status.message - 1); /* what takes most room as JSON */
  assert_int_equal(weir__run_status_write(directory.path, &status), WEIR_OK);
  weir__run_status_read(directory.path, &got);
  assert_string_equal(got.message, status.message);
  write_text("a.run/channel", "");
  assert_int_equal(weir__run_directory_again(&directory), WEIR_OK);
  weir__run_status_read(directory.path, &got);
  assert_int_equal(got.phase, WEIR__PHASE_NONE);
  assert_false(there("a.run/channel"));
  weir__run_directory_leave(&directory, true);
}

/* ---- the heartbeat ---- */

enum { S = 1000000000 };

/* Records of two workers of which one stops beating; time is made up. */
static void silence_is_noticed(void **state) {
  weir__run_directory directory = made();
  weir__live         *live[2]   = {NULL, NULL};
  weir__watch        *watch     = NULL;
  int64_t             now       = 1000 * (int64_t)S;
  double              seconds   = 0;
  (void)state;
  assert_int_equal(weir__watch_create(directory.path, 2, 5, &watch), WEIR_OK);
  weir__watch_begin(watch);
  assert_int_equal(weir__watch_silent(watch, now, &seconds), -1); /* no record yet */
  for (int i = 0; i < 2; i++) {
    pid_t child = fork(); /* records of processes with numbers of their own */
    if (!child) _exit(0);
    waitpid(child, NULL, 0);
    assert_int_equal(weir__live_open(directory.path, i, 0, &live[i]), WEIR_OK);
  }
  for (int i = 0; i < 20; i++) { /* they wait, and say so: it may take long */
    for (int k = 0; k < 2; k++) weir__live_phase(live[k], WEIR__PHASE_WAITING);
    assert_int_equal(weir__watch_silent(watch, now += S, &seconds), -1);
  }
  for (int i = 0; i < 5; i++) {
    weir__live_phase(live[1], WEIR__PHASE_WAITING);
    assert_int_equal(weir__watch_silent(watch, now += S, &seconds), i < 4 ? -1 : 0); /* hangs before the first step */
  }
  for (int i = 0; i < 2; i++) weir__live_phase(live[i], WEIR__PHASE_RUNNING);
  for (int i = 0; i < 20; i++) {
    weir__live_phase(live[0], WEIR__PHASE_RUNNING); /* beats */
    weir__live_phase(live[1], WEIR__PHASE_RUNNING);
    assert_int_equal(weir__watch_silent(watch, now += S, &seconds), -1);
  }
  for (int i = 0; i < 4; i++) {
    weir__live_phase(live[0], WEIR__PHASE_RUNNING);
    assert_int_equal(weir__watch_silent(watch, now += S, &seconds), -1);
  }
  assert_int_equal(weir__watch_silent(watch, now += 3600 * (int64_t)S, &seconds),
                   -1); /* the machine slept: no silence */
  weir__live_phase(live[0], WEIR__PHASE_RUNNING);
  assert_int_equal(weir__watch_silent(watch, now += S, &seconds), 1);
  assert_true(seconds == 5);
  weir__watch_begin(watch); /* another job: the old records say nothing, and MPI may take its time */
  for (int i = 0; i < 25; i++) assert_int_equal(weir__watch_silent(watch, now += S, &seconds), -1);
  assert_int_equal(weir__watch_silent(watch, now += S, &seconds), 0);
  assert_true(seconds == 25);
  weir__watch_destroy(&watch);
  assert_int_equal(weir__watch_create(directory.path, 2, 5, &watch), WEIR_OK);
  for (int i = 0; i < 2; i++) weir__live_phase(live[i], WEIR__PHASE_DONE);
  assert_int_equal(weir__watch_silent(watch, now += S, &seconds), -1);
  for (int i = 0; i < 24; i++) assert_int_equal(weir__watch_silent(watch, now += S, &seconds), -1);
  assert_int_equal(weir__watch_silent(watch, now += S, &seconds), 0); /* ended, but its process does not go */
  for (int i = 0; i < 2; i++) weir__live_close(&live[i]);
  weir__watch_destroy(&watch);
  weir__run_directory_leave(&directory, true);
}

/* Three workers as processes, of which one goes while the others run. */
static void who_is_gone(void **state) {
  enum { WORKERS = 3 };
  weir__run_directory directory = made();
  weir__watch        *watch     = NULL;
  pid_t               child[WORKERS];
  int                 ready[2];
  char                byte;
  double              seconds;
  (void)state;
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(weir__watch_create(directory.path, WORKERS, 0, &watch), WEIR_OK);
  weir__watch_begin(watch);
  for (int i = 0; i < WORKERS; i++) {
    child[i] = fork();
    if (child[i]) continue;
    weir__live *live;
    if (weir__live_open(directory.path, i, 0, &live) < 0) _exit(1);
    weir__live_phase(live, WEIR__PHASE_RUNNING);
    if (write(ready[1], "", 1) == 1) pause();
    _exit(1);
  }
  for (int i = 0; i < WORKERS; i++) assert_int_equal(read(ready[0], &byte, 1), 1);
  assert_int_equal(weir__watch_gone(watch), -1);
  kill(child[1], SIGKILL);
  waitpid(child[1], NULL, 0);
  assert_int_equal(weir__watch_gone(watch), 1);
  assert_int_equal(weir__watch_silent(watch, S, &seconds), -1); /* was not asked for */
  for (int i = 0; i < WORKERS; i += 2) {
    kill(child[i], SIGKILL);
    waitpid(child[i], NULL, 0);
  }
  assert_int_equal(weir__watch_gone(watch), -1); /* who was first cannot be told */
  close(ready[0]);
  close(ready[1]);
  weir__watch_destroy(&watch);
  weir__run_directory_leave(&directory, true);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {IN_FOLDER(keeps_what_a_resumed_run_needs),
                                     IN_FOLDER(refuses_another_run),
                                     IN_FOLDER(waits_for_left_over_processes),
                                     IN_FOLDER(status_says_where_it_went_on),
                                     IN_FOLDER(silence_is_noticed),
                                     IN_FOLDER(who_is_gone)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
