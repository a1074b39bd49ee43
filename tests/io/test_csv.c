/* Tables: text of numbers, headers, missing values, cutting back, rows cut short. */
#include "core/memory.h"
#include "io/csv.h"
#include "io/file.h"
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256], path[300];

static int make_folder(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-csv-XXXXXX", parent ? parent : "/tmp");
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/tables/t.csv", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  return weir__file_remove_tree(folder) < 0 ? -1 : 0;
}

static void expect_text(const char *wanted) {
  char  *bytes;
  size_t nbytes;
  assert_int_equal(weir__file_read(AT_FDCWD, path, path, &bytes, &nbytes), WEIR_OK);
  assert_non_null(bytes);
  assert_string_equal(bytes, wanted);
  weir__free(bytes);
}

static void shortest_numbers(void **state) {
  char     text[32];
  uint64_t x = 88172645463325252u; /* xorshift64, G. Marsaglia 2003 */
  (void)state;
  assert_string_equal(weir__number_text(0.1, text), "0.1");
  assert_string_equal(weir__number_text(86400, text), "86400");
  assert_string_equal(weir__number_text(1.0 / 3, text), "0.3333333333333333");
  assert_string_equal(weir__number_text(0.1 + 0.2, text), "0.30000000000000004");
  assert_string_equal(weir__number_text(-(double)NAN, text), "nan");
  for (int i = 0; i < 20000; i++) {
    double value;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    memcpy(&value, &x, sizeof value);
    if (!isfinite(value)) continue;
    assert_true(strtod(weir__number_text(value, text), NULL) == value);
  }
}

static const weir_field_type scalar   = {.dtype = WEIR_F64, .units = "m2 s-2"};
static const weir_field_type spectrum = {
    .dtype = WEIR_F32, .rank = 1, .dim = {{.name = "k", .size = 3, .origin = 0.5, .spacing = 0.25}}, .units = "1"};
static const weir_field_type counts = {.dtype    = WEIR_I32,
                                       .rank     = 2,
                                       .dim      = {{.name = "a", .size = 2}, {.name = "b", .size = 2}},
                                       .has_fill = true,
                                       .fill     = -1};

static weir_status open_table(const int64_t *keep, weir__csv **csv) {
  const char            *names[] = {"ke", "an \"odd\", name", "n"};
  const weir_field_type *types[] = {&scalar, &spectrum, &counts};
  return weir__csv_open(path, names, types, 3, &(weir__csv_options){.time_units = "s", .keep_to = keep}, csv);
}

#define HEADER                                                                                                         \
  "step,time (s),ke (m2 s-2),\"an \"\"odd\"\", name[0.5]\",\"an \"\"odd\"\", name[0.75]\","                            \
  "\"an \"\"odd\"\", name[1]\",n[0; 0],n[0; 1],n[1; 0],n[1; 1]\n"

static weir_status add_row(weir__csv *csv, int64_t step) {
  double    ke  = 0.1 * (double)step;
  float     s[] = {1, NAN, 2.5f};
  int32_t   n[] = {1, 99, -1, 99, 3, 99, 4, 99}; /* every other: a stride */
  weir_view v[] = {
      {.data = &ke, .dtype = WEIR_F64, .missing = step == 20},
      {.data = s, .dtype = WEIR_F32, .rank = 1, .count = {3}, .stride = {4}},
      {.data = n, .dtype = WEIR_I32, .rank = 2, .count = {2, 2}, .stride = {16, 8}, .has_fill = true, .fill = -1}};
  return weir__csv_write(csv, step, 2.0 * (double)step, v, NULL);
}

static void rows(void **state) {
  weir__csv *csv = NULL;
  (void)state;
  assert_int_equal(open_table(NULL, &csv), WEIR_OK);
  for (int64_t step = 10; step <= 30; step += 10) assert_int_equal(add_row(csv, step), WEIR_OK);
  expect_text(HEADER "10,20,1,1,,2.5,1,,3,4\n20,40,,1,,2.5,1,,3,4\n30,60,3,1,,2.5,1,,3,4\n"); /* before it is closed */
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
}

static void goes_on(void **state) {
  weir__csv    *csv  = NULL;
  const int64_t keep = 20, none = -1, all = 99;
  (void)state;
  assert_int_equal(open_table(&keep, &csv), WEIR_OK);
  assert_int_equal(add_row(csv, 40), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text(HEADER "10,20,1,1,,2.5,1,,3,4\n20,40,,1,,2.5,1,,3,4\n40,80,4,1,,2.5,1,,3,4\n");
  assert_int_equal(truncate(path, (off_t)strlen(HEADER "10,20,1,1,,2.5,1,,3,4\n20,40,")), 0); /* died in a row */
  assert_int_equal(open_table(&all, &csv), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text(HEADER "10,20,1,1,,2.5,1,,3,4\n");
  assert_int_equal(truncate(path, 7), 0); /* died in the header */
  assert_int_equal(open_table(&all, &csv), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text(HEADER);
  assert_int_equal(unlink(path), 0); /* nothing there */
  assert_int_equal(open_table(&none, &csv), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text(HEADER);
}

static void refuses(void **state) {
  weir__csv             *csv   = NULL;
  const int64_t          keep  = 0;
  weir__csv_options      going = {.time_units = "s", .keep_to = &keep}, fresh = {.time_units = "s"};
  const char            *names[] = {"other"};
  const weir_field_type *types[] = {&scalar};
  const weir_field_type  large   = {
         .dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = 500}, {.name = "x", .size = 500}}};
  (void)state;
  assert_int_equal(weir__csv_open(path, names, types, 1, &going, &csv), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "other columns"));
  types[0] = &large;
  assert_int_equal(weir__csv_open(path, names, types, 1, &fresh, &csv), WEIR_ERR_ARGUMENT);
  assert_non_null(strstr(weir_error_last(), "250000 elements"));
  assert_int_equal(weir__csv_open(folder, names, types, 0, &fresh, &csv), WEIR_ERR_IO);
  assert_null(csv);
}

/* A table of a stream that may lose steps says why a row is empty. */
static void reasons(void **state) {
  const char            *names[] = {"ke"};
  const weir_field_type *types[] = {&scalar};
  const int64_t          keep    = 2;
  double                 value   = 0.5;
  weir_view              view = {.data = &value, .dtype = WEIR_F64}, none = {.dtype = WEIR_F64, .missing = true};
  weir__csv_options      options = {.time_units = "s", .gaps = true};
  weir__csv             *csv     = NULL;
  (void)state;
  assert_int_equal(weir__csv_open(path, names, types, 1, &options, &csv), WEIR_OK);
  assert_int_equal(weir__csv_write(csv, 1, 1, &view, NULL), WEIR_OK);
  assert_int_equal(weir__csv_write(csv, 2, 2, &none, "no room, 8 steps up to 9"), WEIR_OK);
  assert_int_equal(weir__csv_write(csv, 10, 10, &none, "not published by all"), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text("step,time (s),ke (m2 s-2),missing\n1,1,0.5,\n2,2,,\"no room, 8 steps up to 9\"\n"
              "10,10,,not published by all\n");
  options.keep_to = &keep;
  assert_int_equal(weir__csv_open(path, names, types, 1, &options, &csv), WEIR_OK);
  assert_int_equal(weir__csv_write(csv, 10, 10, &view, NULL), WEIR_OK);
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text("step,time (s),ke (m2 s-2),missing\n1,1,0.5,\n2,2,,\"no room, 8 steps up to 9\"\n10,10,0.5,\n");
  options.gaps = false;
  assert_int_equal(weir__csv_open(path, names, types, 1, &options, &csv), WEIR_ERR_INPUT);
}

/* The disk is full in the middle of a row (here: a limit on the size of files): half rows do not stay. */
static void disk_full(void **state) {
  weir__csv    *csv = NULL;
  struct rlimit before, limit;
  (void)state;
  assert_int_equal(open_table(NULL, &csv), WEIR_OK);
  assert_int_equal(add_row(csv, 1), WEIR_OK);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  limit          = before;
  limit.rlim_cur = strlen(HEADER) + 30;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  weir_status status = add_row(csv, 2);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, WEIR_ERR_IO);
  expect_text(HEADER "1,2,0.1,1,,2.5,1,,3,4\n");
  assert_int_equal(add_row(csv, 2), WEIR_OK); /* there is room again */
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
  expect_text(HEADER "1,2,0.1,1,,2.5,1,,3,4\n2,4,0.2,1,,2.5,1,,3,4\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(shortest_numbers), cmocka_unit_test(rows),
                                     cmocka_unit_test(goes_on),          cmocka_unit_test(reasons),
                                     cmocka_unit_test(refuses),          cmocka_unit_test(disk_full)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
