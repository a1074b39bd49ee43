/* weir-test: timeout=30
 * The report: what is written is read back, lists are bounded, the summary says what happened. */
#include "run/report.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[256];

static int setup(void **state) {
  const char *tmp = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-report-XXXXXX", tmp ? tmp : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  char path[300];
  (void)state;
  snprintf(path, sizeof path, "%s/report.json", folder);
  unlink(path);
  return rmdir(folder);
}

static void fill(weir__report *r) {
  *r = (weir__report){.run              = "gyre",
                      .simulated        = true,
                      .message          = "field a at step 3: \"no\"",
                      .steps            = 100,
                      .dropped_steps    = 2,
                      .spilled_steps    = 9,
                      .partial_steps    = 1,
                      .threads          = -1,
                      .restarts         = 1,
                      .checkpoints      = 4,
                      .checkpoint_bytes = 1 << 20,
                      .decisions        = 6,
                      .wall_s           = 2.5,
                      .checkpoint_s     = 0.25,
                      .tasks            = 12345678901,
                      .trace            = "t.json"};
  assert_int_equal(weir__report_add_output(r, &(weir__report_output){"zarr", "o.zarr", 3, 4096}), WEIR_OK);
  assert_int_equal(weir__report_add_stream(r, &(weir__report_stream){.name = "ocean", .steps = 100, .blocked_s = 0.5}),
                   WEIR_OK);
  for (int i = 0; i < 5; i++)
    assert_int_equal(weir__report_add_worker(
                         r, &(weir__report_worker){.rank = i, .host = i ? "node" : NULL, .tasks = 10 * i, .cpu_s = i}),
                     WEIR_OK);
  assert_int_equal(weir__report_add_missing(r, &(weir__report_missing){"ocean", 5, 5, 1, "process 2 died"}), WEIR_OK);
  assert_int_equal(weir__report_add_missing(r, &(weir__report_missing){"ocean", 7, 11, 2, "dropped"}), WEIR_OK);
  assert_int_equal(weir__report_add_failure(r, &(weir__report_failure){"a", "skip", 3, 17, "not finite"}), WEIR_OK);
}

static void round_trip(void **state) {
  weir__report a, b;
  weir__text   x = {0}, y = {0};
  (void)state;
  fill(&a);
  assert_int_equal(weir__report_write(folder, &a), WEIR_OK);
  assert_int_equal(weir__report_read(folder, &b), WEIR_OK);
  assert_int_equal(b.workers, 5);
  assert_string_equal(b.worker[0].host, "");
  assert_int_equal(b.worker[4].tasks, 40);
  assert_int_equal(b.missing[1].to, 11);
  assert_string_equal(b.failure[0].message, "not finite");
  assert_string_equal(b.stream[0].name, "ocean");
  assert_true(b.tasks == 12345678901);
  assert_int_equal(weir__report_text(&a, true, &x), WEIR_OK);
  assert_int_equal(weir__report_text(&b, true, &y), WEIR_OK);
  assert_string_equal(x.data, y.data);
  weir__text_clear(&x);
  weir__text_clear(&y);
  weir__report_clear(&a);
  weir__report_clear(&b);
}

static void summary(void **state) {
  static const char *const expected[] = {"gyre: 100 steps in 2.5 s, 40 steps/s, 5 workers\n",
                                         "  checkpoint 4 made in 250.0 ms, the last of 1.0 MiB\n",
                                         "  restarts   workers were restarted 1 time\n",
                                         "  decisions  6, in decisions.log of the run directory\n",
                                         "  spilled    9 steps went over the disk, in order\n",
                                         "  trace      t.json\n",
                                         "  warning    1 step did not arrive from all processes and was left out\n",
                                         "  warning    2 steps were dropped because the analysis was too slow\n",
                                         "  missing    step 5: process 2 died\n",
                                         "  missing    2 steps from 7 to 11: dropped\n",
                                         "  failed     a (skip) in 3 steps, first at step 17: not finite\n",
                                         "  incomplete field a at step 3: \"no\"\n"};
  weir__report             r;
  weir__text               text = {0};
  (void)state;
  fill(&r);
  assert_int_equal(weir__report_text(&r, false, &text), WEIR_OK);
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
    if (!strstr(text.data, expected[i])) fail_msg("not in the summary: %s--- but\n%s", expected[i], text.data);
  weir__text_clear(&text);
  weir__report_clear(&r);
}

/* A list that a bad run makes long is cut, counted, and not shown whole. */
static void long_lists(void **state) {
  weir__report r    = {.run = "x"};
  weir__text   text = {0};
  (void)state;
  for (int i = 0; i < WEIR__REPORT_LIST_MAX + 7; i++)
    assert_int_equal(weir__report_add_missing(&r, &(weir__report_missing){"s", i, i, 1, "torn"}), WEIR_OK);
  assert_int_equal(r.missings, WEIR__REPORT_LIST_MAX);
  assert_int_equal(r.missing_more, 7);
  for (int i = 0; i < r.missings; i++) assert_int_equal(r.missing[i].from, i);
  assert_int_equal(weir__report_text(&r, false, &text), WEIR_OK);
  assert_non_null(strstr(text.data, "  missing    step 99: torn\n  missing    and 907 more\n")); /* of files */
  weir__text_clear(&text);
  r.simulated = true;
  assert_int_equal(weir__report_text(&r, false, &text), WEIR_OK);
  assert_non_null(strstr(text.data, "  missing    step 4: torn\n  missing    and 1002 more\n"));
  weir__text_clear(&text);
  assert_int_equal(weir__report_write(folder, &r), WEIR_OK);
  weir__report_clear(&r);
  assert_int_equal(weir__report_read(folder, &r), WEIR_OK);
  assert_int_equal(r.missing_more, 7);
  weir__report_clear(&r);
}

static void refused(void **state) {
  char         path[300];
  weir__report r;
  (void)state;
  snprintf(path, sizeof path, "%s/report.json", folder);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("{\"run\": 3}", file);
  fclose(file);
  assert_int_equal(weir__report_read(folder, &r), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "report.json: the run: 'run' is missing or of another kind"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(summary),
                                     cmocka_unit_test(long_lists), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
