/* Series of images: names, folders, subsets, gaps; what is wrong is said. Files are empty but where pages count. */
#include "core/clock.h"
#include "core/memory.h"
#include "io/series.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[200];

static void touch(const char *format, ...) WEIR_PRINTF(1, 2);
static void touch(const char *format, ...) {
  char    path[512];
  va_list arguments;
  int     n = snprintf(path, sizeof path, "%s/", folder);
  va_start(arguments, format);
  vsnprintf(path + n, sizeof path - (size_t)n, format, arguments);
  va_end(arguments);
  int file = open(path, O_CREAT | O_WRONLY, 0600);
  assert_true(file >= 0);
  close(file);
}

static int begin(void **state) {
  (void)state;
  const char *parent = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/weir_series_XXXXXX", parent ? parent : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static weir_status open_terms(weir__series_terms terms, const char *pattern, weir__series **series) {
  char        path[512];
  const char *one = path;
  snprintf(path, sizeof path, "%s%s%s", folder, *pattern ? "/" : "", pattern);
  if (!terms.paths) terms.path = &one, terms.paths = 1;
  return weir__series_open(&terms, series);
}

#define LIMITED(FROM, TO, ...) ((weir__series_terms){.start = FROM, .stop = TO, __VA_ARGS__})
#define TERMS(...)             LIMITED(INT64_MIN, INT64_MIN, __VA_ARGS__)

static weir__series *opened(const char *subset) {
  weir__series *series = NULL;
  weir_status   status = open_terms(TERMS(.subset = subset), "", &series);
  if (status < 0) fail_msg("%s: %s", subset, weir_error_last());
  return series;
}

/* Every step as "i: name name; ..."; names that are not there in brackets. */
static void expect_steps(const weir__series *series, const char *expected) {
  static char        text[4096];
  weir__series_image image;
  int                n = 0;
  for (int64_t s = 0; s < weir__series_steps(series); s++) {
    n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld:", s ? "; " : "",
                  (long long)weir__series_number(series, s));
    for (int k = 0; k < weir__series_images(series); k++) {
      weir__series_image_get(series, s, k, &image);
      const char *name = strrchr(image.path, '/') + 1;
      assert_int_equal(image.found, image.id >= 0);
      n += snprintf(text + n, sizeof text - (size_t)n, image.found ? " %s" : " (%s)", name);
      if (image.page) n += snprintf(text + n, sizeof text - (size_t)n, "[%lld]", (long long)image.page);
      if (image.found) {
        weir__series_image same;
        weir__series_image_of(series, image.id, &same);
        assert_string_equal(same.path, image.path);
        assert_int_equal(same.page, image.page);
      }
    }
  }
  assert_string_equal(text, expected);
}

static void expect(const char *subset, const char *expected) {
  weir__series *series = opened(subset);
  expect_steps(series, expected);
  weir__series_close(&series);
}

static void expect_failure(weir__series_terms terms, const char *pattern, const char *part) {
  weir__series *series = NULL;
  assert_int_equal(open_terms(terms, pattern, &series), WEIR_ERR_INPUT);
  if (!strstr(weir_error_last(), part)) fail_msg("'%s' is not in '%s'", part, weir_error_last());
  assert_null(series);
}

/* ---- */

static void test_one_index(void **state) {
  (void)state;
  for (int k = 0; k < 6; k++) touch("im%d.tif", k);
  touch("notes.txt");
  touch("im_mean.tif");
  expect(NULL, "0: im0.tif; 1: im1.tif; 2: im2.tif; 3: im3.tif; 4: im4.tif; 5: im5.tif");
  expect("pairs", "0: im0.tif im1.tif; 1: im1.tif im2.tif; 2: im2.tif im3.tif; 3: im3.tif im4.tif; "
                  "4: im4.tif im5.tif");
  expect("i:i+2", "0: im0.tif im1.tif; 1: im1.tif im2.tif; 2: im2.tif im3.tif; 3: im3.tif im4.tif; "
                  "4: im4.tif im5.tif");
  expect("i:i+4:2", "0: im0.tif im2.tif; 1: im1.tif im3.tif; 2: im2.tif im4.tif; 3: im3.tif im5.tif");
  expect("i+1:i+3", "-1: im0.tif im1.tif; 0: im1.tif im2.tif; 1: im2.tif im3.tif; 2: im3.tif im4.tif; "
                    "3: im4.tif im5.tif");
  expect(" i - 2 : i+3", "2: im0.tif im1.tif im2.tif im3.tif im4.tif; 3: im1.tif im2.tif im3.tif im4.tif im5.tif");
  expect("2*i:2*i+2", "0: im0.tif im1.tif; 1: im2.tif im3.tif; 2: im4.tif im5.tif");
  expect("i+1:i-1:-1", "0: im1.tif im0.tif; 1: im2.tif im1.tif; 2: im3.tif im2.tif; 3: im4.tif im3.tif; "
                       "4: im5.tif im4.tif");
  expect("-(i)*-1//1", "0: im0.tif; 1: im1.tif; 2: im2.tif; 3: im3.tif; 4: im4.tif; 5: im5.tif");
  expect("i//2", "0: im0.tif; 1: im0.tif; 2: im1.tif; 3: im1.tif; 4: im2.tif; 5: im2.tif; 6: im3.tif; 7: im3.tif; "
                 "8: im4.tif; 9: im4.tif; 10: im5.tif; 11: im5.tif");
  expect("5-i", "0: im5.tif; 1: im4.tif; 2: im3.tif; 3: im2.tif; 4: im1.tif; 5: im0.tif");
  expect(":3", "0: im0.tif im1.tif im2.tif");
  expect("::3", "0: im0.tif im3.tif");
  weir__series *series = opened("pairs");
  assert_int_equal(weir__series_files(series), 6);
  assert_int_equal(weir__series_others(series), 2);
  assert_int_equal(weir__series_gaps(series), 0);
  assert_int_equal(weir__series_ids(series), 6);
  assert_string_equal(weir__series_subset(series), "i:i+2");
  assert_string_equal(weir__series_pattern(series) + strlen(folder), "/im{0..5}.tif");
  weir__series_close(&series);
}

static void test_letters(void **state) {
  (void)state;
  for (int k = 1; k < 4; k++)
    for (int c = 'a'; c < 'c'; c++) touch("im%d%c.tif", k, c);
  expect("pairs", "1: im1a.tif im1b.tif; 2: im2a.tif im2b.tif; 3: im3a.tif im3b.tif");
  expect("i, 0:2", "1: im1a.tif im1b.tif; 2: im2a.tif im2b.tif; 3: im3a.tif im3b.tif");
  expect("i:i+2, 0", "1: im1a.tif im2a.tif; 2: im2a.tif im3a.tif");
  expect("i:i+2,:", "1: im1a.tif im1b.tif im2a.tif im2b.tif; 2: im2a.tif im2b.tif im3a.tif im3b.tif");
  expect("all1by1", "2: im1a.tif; 3: im1b.tif; 4: im2a.tif; 5: im2b.tif; 6: im3a.tif; 7: im3b.tif");
}

static void test_capitals_and_words(void **state) {
  (void)state;
  for (int k = 1; k < 3; k++) {
    touch("cam2_B%05d_left.png", k);
    touch("cam2_B%05d_right.png", k);
  }
  weir__series *series = opened("pairs");
  expect_steps(series, "1: cam2_B00001_left.png cam2_B00001_right.png; 2: cam2_B00002_left.png cam2_B00002_right.png");
  weir__series_close(&series);
}

static void test_two_by_two(void **state) {
  (void)state;
  touch("c060a.png"), touch("c060b.png"), touch("c061a.png"), touch("c061b.png");
  expect("pairs", "60: c060a.png c060b.png; 61: c061a.png c061b.png");
  expect("i:i+2, 0", "60: c060a.png c061a.png");
}

static void test_two_numbers(void **state) {
  (void)state;
  for (int k = 0; k < 3; k++)
    for (int c = 1; c < 3; c++) touch("run1_%d-%02d.BMP", c, k);
  touch("run1_1.log");
  expect("pairs", "0: run1_1-00.BMP run1_2-00.BMP; 1: run1_1-01.BMP run1_2-01.BMP; 2: run1_1-02.BMP run1_2-02.BMP");
  expect("2, i:i+2", "0: run1_2-00.BMP run1_2-01.BMP; 1: run1_2-01.BMP run1_2-02.BMP");
  expect("1, 2, i:i+2", "0: run1_2-00.BMP run1_2-01.BMP; 1: run1_2-01.BMP run1_2-02.BMP");
  expect_failure(TERMS(.subset = "i:i+2"), "", "1 slice, expected 2");
}

static void test_without_digits(void **state) {
  (void)state;
  touch("flow_a.tif"), touch("flow_b.tif"), touch("flow_c.tif");
  expect("pairs", "0: flow_a.tif flow_b.tif; 1: flow_b.tif flow_c.tif");
}

static void test_letters_beyond_z(void **state) {
  (void)state;
  touch("t1y.pgm"), touch("t1z.pgm"), touch("t1ba.pgm"), touch("t1bb.pgm");
  expect("i", "24: t1y.pgm; 25: t1z.pgm; 26: t1ba.pgm; 27: t1bb.pgm");
}

static void test_padding(void **state) {
  (void)state;
  for (int k = 8; k < 13; k++)
    if (k != 11) touch("im%d.tif", k);
  expect(NULL, "8: im8.tif; 9: im9.tif; 10: im10.tif; 11: (im11.tif); 12: im12.tif");
  touch("im09.tif");
  expect_failure(TERMS(.step = 0), "", "have the same numbers");
}

static void test_gaps(void **state) {
  (void)state;
  for (int k = 0; k < 12; k++)
    if (k != 3 && k != 7) touch("im_%04d.tif", k);
  weir__series *series = opened("i:i+2");
  assert_int_equal(weir__series_steps(series), 11);
  assert_int_equal(weir__series_gaps(series), 4);
  weir__series_close(&series);
  expect("2*i:2*i+2", "0: im_0000.tif im_0001.tif; 1: im_0002.tif (im_0003.tif); 2: im_0004.tif im_0005.tif; "
                      "3: im_0006.tif (im_0007.tif); 4: im_0008.tif im_0009.tif; 5: im_0010.tif im_0011.tif");
  /* Missing at the ends, the series is shorter. */
  series = NULL;
  assert_int_equal(open_terms(LIMITED(1, 4, .subset = "2*i:2*i+2"), "", &series), WEIR_OK);
  expect_steps(series, "2: im_0004.tif im_0005.tif");
  weir__series_close(&series);
}

static void test_limits(void **state) {
  (void)state;
  weir__series *series = NULL;
  for (int k = 0; k < 10; k++) touch("im_%d.tif", k);
  assert_int_equal(open_terms(LIMITED(1, 8, .subset = "pairs", .step = 3), "", &series), WEIR_OK);
  expect_steps(series, "1: im_1.tif im_2.tif; 4: im_4.tif im_5.tif; 7: im_7.tif im_8.tif");
  weir__series_close(&series);
  assert_int_equal(open_terms(LIMITED(-7, 1000, .step = 4), "", &series), WEIR_OK);
  expect_steps(series, "1: im_1.tif; 5: im_5.tif; 9: im_9.tif");
  weir__series_close(&series);
  assert_int_equal(open_terms(TERMS(.subset = "i:i+2", .step = 5), "", &series), WEIR_OK);
  expect_steps(series, "0: im_0.tif im_1.tif; 5: im_5.tif im_6.tif");
  weir__series_close(&series);
  expect_failure(LIMITED(5, 5, .step = 0), "", "stop is not above start");
  expect_failure(LIMITED(10, INT64_MIN, .step = 0), "", "between start and stop");
  expect_failure(TERMS(.step = -1), "", "expected 1 or more");
}

static void test_distance(void **state) {
  (void)state;
  for (int k = 100; k < 150; k += 10)
    if (k != 120) touch("out%06d.raw", k);
  expect(NULL, "100: out000100.raw; 110: out000110.raw; 120: (out000120.raw); 130: out000130.raw; 140: out000140.raw");
  expect("pairs", "100: out000100.raw out000110.raw; 110: out000110.raw (out000120.raw); "
                  "120: (out000120.raw) out000130.raw; 130: out000130.raw out000140.raw");
}

static void test_patterns_and_lists(void **state) {
  (void)state;
  weir__series *series = NULL;
  char          a[256], b[256], odd[256];
  for (int k = 0; k < 3; k++) touch("x%d.tif", k), touch("y%d.tif", k);
  expect_failure(TERMS(.step = 0), "", "holds several series");
  assert_int_equal(open_terms(TERMS(.step = 0), "y*.tif", &series), WEIR_OK);
  expect_steps(series, "0: y0.tif; 1: y1.tif; 2: y2.tif");
  weir__series_close(&series);
  expect_failure(TERMS(.step = 0), "*.tif", "do not belong to one series");
  expect_failure(TERMS(.step = 0), "*.png", "nothing matches");
  expect_failure(TERMS(.step = 0), "z0.tif", "No such file");
  snprintf(a, sizeof a, "%s/x2.tif", folder);
  snprintf(b, sizeof b, "%s/x0.tif", folder);
  snprintf(odd, sizeof odd, "elsewhere/x1.tif");
  const char *two[] = {a, b}, *same[] = {a, a}, *apart[] = {a, odd};
  assert_int_equal(open_terms(TERMS(.path = two, .paths = 2), "", &series), WEIR_OK);
  expect_steps(series, "0: x0.tif; 2: x2.tif");
  weir__series_close(&series);
  expect_failure(TERMS(.path = same, .paths = 2), "", "x2.tif is given twice");
  expect_failure(TERMS(.path = apart, .paths = 2), "", "not in the same folder");
  assert_int_equal(open_terms(TERMS(.step = 0), "x1.tif", &series), WEIR_OK);
  expect_steps(series, "0: x1.tif");
  weir__series_close(&series);
}

/* A raw file of `pages` images of 2 x 3 bytes. */
static void write_pages(const char *name, int pages) {
  char path[512], bytes[6] = {0};
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  for (int k = 0; k < pages; k++) assert_int_equal(fwrite(bytes, 1, 6, file), 6);
  assert_int_equal(fclose(file), 0);
}

static void expect_raw(const char *pattern, const char *subset, const char *expected) {
  static const weir__image_raw raw    = {.height = 2, .width = 3, .dtype = WEIR_U8};
  weir__series                *series = NULL;
  if (open_terms(TERMS(.subset = subset, .raw = &raw), pattern, &series) < 0) fail_msg("%s", weir_error_last());
  expect_steps(series, expected);
  weir__series_close(&series);
}

static void test_pages(void **state) {
  (void)state;
  write_pages("movie.raw", 4);
  expect_raw("movie.raw", "pairs",
             "0: movie.raw movie.raw[1]; 1: movie.raw[1] movie.raw[2]; 2: movie.raw[2] movie.raw[3]");
  expect_raw("movie.raw", NULL, "0: movie.raw; 1: movie.raw[1]; 2: movie.raw[2]; 3: movie.raw[3]");
  write_pages("take_1.raw", 2), write_pages("take_2.raw", 2), write_pages("take_4.raw", 2);
  expect_raw("take_*.raw", "pairs",
             "1: take_1.raw take_1.raw[1]; 2: take_2.raw take_2.raw[1]; 3: (take_3.raw) (take_3.raw)[1]; "
             "4: take_4.raw take_4.raw[1]");
  expect_raw("take_*.raw", "i, 1", "1: take_1.raw[1]; 2: take_2.raw[1]; 3: (take_3.raw)[1]; 4: take_4.raw[1]");
  write_pages("take_2.raw", 0); /* damaged: what it should hold is missed when it is read */
  write_pages("take_3.raw", 3); /* one page more than the others have */
  expect_raw("take_*.raw", "i, 1", "1: take_1.raw[1]; 2: take_2.raw[1]; 3: take_3.raw[1]; 4: take_4.raw[1]");
  expect_raw("take_*.raw", "3, i", "0: take_3.raw; 1: take_3.raw[1]; 2: take_3.raw[2]");
}

static void test_empty(void **state) {
  (void)state;
  expect_failure(TERMS(.step = 0), "", "no files in");
  touch("notes.txt");
  touch("table.csv");
  expect_failure(TERMS(.step = 0), "", "no images in");
}

static void test_messages(void **state) {
  (void)state;
  static const struct {
    const char *subset, *part;
  } wrong[] = {{"i:", "as many in each"},
               {"i:j+2", "'j' at character 3, expected a number, i, a sign or ("},
               {"i:i+", "ends too early, expected a number, i, a sign or ("},
               {"i;i+2", "';' at character 2, expected +, -, *, //, : or ,"},
               {"(i:i+2", "':' at character 3, expected +, -, *, // or )"},
               {"i:i+2)", "')' at character 6"},
               {"i/2", "'/' at character 2, expected //"},
               {"i**2", "'*' at character 3"},
               {"i//0", "divides by 0"},
               {"i//(1-1)", "no step has all of its images"},
               {"i:i+4:0", "the step of a slice cannot be 0"},
               {"i:i+4:i", "the step of a slice must be a number"},
               {"i:i+2,0", "has 2 slices, expected 1: one for each index of"},
               {"i,", "ends too early, expected a slice or a number for each index"},
               {"99999999999999999999", "expected a smaller number"},
               {"i:i", "no step has all of its images"},
               {"i:i+20", "no step has all of its images"},
               {"0:i", "as many in each"},
               {"i-i", "give a larger step, or start and stop"},
               {"", "ends too early"}};
  for (int k = 0; k < 5; k++) touch("im%d.tif", k);
  for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++)
    expect_failure(TERMS(.subset = wrong[k].subset), "", wrong[k].part);
  char deep[301];
  memset(deep, '(', 300), deep[300] = 0;
  expect_failure(TERMS(.subset = deep), "", "longer than 250 characters");
  deep[200] = 0;
  expect_failure(TERMS(.subset = deep), "", "within each other");
  for (int k = 0; k < 100; k += 5) memcpy(deep + k, "1+1*(", 6);
  expect_failure(TERMS(.subset = deep), "", "too much within parentheses");
}

static void test_sparse(void **state) {
  (void)state;
  for (int k = 0; k < 20; k++) touch("t%018lld.tif", 100000000000000000 + (long long)k * k * k * 1234567890123);
  expect_failure(TERMS(.subset = "i"), "", "give a larger step");
  expect_failure(TERMS(.subset = "i:i+2"), "", "give a larger step");
}

/* Half of the letters in each subset are noise: nothing crashes, and what is accepted has whole ends. */
static void test_fuzz(void **state) {
  (void)state;
  static const char letters[] = "iiii0123::,+-*//() \t\"x";
  uint64_t          seed      = 1;
  for (int k = 0; k < 9; k++) touch("im%d%c.tif", k / 2, "ab"[k % 2]);
  for (int n = 0; n < 20000; n++) {
    char          subset[24];
    weir__series *series = NULL;
    int           length = 1 + n % 20;
    for (int k = 0; k < length; k++) {
      seed      = seed * 6364136223846793005u + 1442695040888963407u;
      subset[k] = letters[(seed >> 33) % (sizeof letters - 1)];
    }
    subset[length] = 0;
    if (n % 50 && !strchr(subset, ',')) continue; /* the other ones cost a listing each */
    if (open_terms(LIMITED(-50, 50, .subset = subset), "", &series) < 0) continue;
    weir__series_image image;
    for (int k = 0; k < weir__series_images(series); k++) {
      weir__series_image_get(series, 0, k, &image);
      assert_true(image.found);
      weir__series_image_get(series, weir__series_steps(series) - 1, k, &image);
      assert_true(image.found);
    }
    weir__series_close(&series);
  }
}

static void test_memory(void **state) {
  (void)state;
  weir__series *series = NULL;
  for (int k = 0; k < 4; k++) touch("im%da.tif", k), touch("im%db.tif", k);
  for (uint64_t n = 1;; n++) {
    weir__alloc_fail_at(n);
    weir_status status = open_terms(TERMS(.subset = "pairs"), "", &series);
    weir__alloc_fail_at(0);
    if (status >= 0) break;
    assert_int_equal(status, WEIR_ERR_MEMORY);
    assert_null(series);
  }
  weir__series_close(&series);
}

static double seconds_for(int files, bool backwards) {
  char **path = calloc((size_t)files, sizeof *path);
  assert_non_null(path);
  for (int k = 0; k < files; k++) {
    int number = backwards ? files - 1 - k : k;
    path[k]    = malloc(40);
    snprintf(path[k], 40, "nowhere/image_%07d%c.tif", number / 2, "ab"[number % 2]);
  }
  weir__series *series = NULL;
  int64_t       from   = weir__clock_ns();
  weir_status   status =
      open_terms(TERMS(.path = (const char *const *)path, .paths = files, .subset = "pairs"), "", &series);
  if (status < 0) fail_msg("%s", weir_error_last());
  weir__series_image image;
  int64_t            sum = 0;
  for (int64_t s = 0; s < weir__series_steps(series); s++)
    for (int k = 0; k < 2; k++) {
      weir__series_image_get(series, s, k, &image);
      sum += image.id;
    }
  double took = (double)(weir__clock_ns() - from) * 1e-9;
  assert_int_equal(weir__series_steps(series), files / 2);
  assert_int_equal(sum, (int64_t)files * (files - 1) / 2);
  weir__series_close(&series);
  for (int k = 0; k < files; k++) free(path[k]);
  free(path);
  return took;
}

/* Ten times as many files take about ten times as long; quadratic would be a hundred. */
static void test_speed(void **state) {
  (void)state;
  double few = seconds_for(20000, true), many = seconds_for(200000, true);
  print_message("20000 names: %.3f s, 200000 names: %.3f s\n", few, many);
  assert_true(many < 40 * few + 0.2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {TEST(test_one_index),
                                     TEST(test_letters),
                                     TEST(test_capitals_and_words),
                                     TEST(test_two_by_two),
                                     TEST(test_two_numbers),
                                     TEST(test_without_digits),
                                     TEST(test_letters_beyond_z),
                                     TEST(test_padding),
                                     TEST(test_gaps),
                                     TEST(test_limits),
                                     TEST(test_distance),
                                     TEST(test_patterns_and_lists),
                                     TEST(test_pages),
                                     TEST(test_empty),
                                     TEST(test_messages),
                                     TEST(test_sparse),
                                     TEST(test_fuzz),
                                     TEST(test_memory),
                                     TEST(test_speed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
