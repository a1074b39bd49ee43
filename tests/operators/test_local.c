/* Local operators against sums and sorted lists written out: types, chunks, sizes, edges, missing pixels. */
#include "support/sanitized.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_local_median, weir_operator_local_min, weir_operator_local_max,
    weir_operator_local_percentile, weir_operator_local_mean, weir_operator_gaussian, weir_operator_sharpen,
    weir_operator_adaptive_threshold;

static _Alignas(16) char params[TEST_PARAMS_SIZE];

static weir_field_type image_type(weir_dtype dtype, bool has_fill, int rank, const int64_t *extent) {
  weir_field_type type = test_type(dtype, rank, extent, 0);
  type.has_fill        = has_fill;
  type.fill            = has_fill ? 7 : 0;
  return type;
}

/* Few different values, so that many are equal, or many; signed where the type is. */
static void fill_image(test_field *f, double missing, double scale) {
  bool can_miss  = f->type.has_fill || f->type.dtype == WEIR_F32 || f->type.dtype == WEIR_F64;
  bool is_signed = f->type.dtype != WEIR_U8 && f->type.dtype != WEIR_U16;
  for (int64_t i = 0; i < test_field_size(&f->type); i++) {
    double x = floor(scale * test_uniform()) + 8;
    if (is_signed && test_random() & 1) x = -x;
    test_field_set(f, i, can_miss && test_uniform() < missing ? (double)NAN : x);
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The pixels around (y, x) of the plane at `base`, in order. */
static int64_t window(const test_field *f, int64_t base, int64_t y, int64_t x, int64_t r, double *sorted) {
  int64_t rows = f->type.dim[f->type.rank - 2].size, columns = f->type.dim[f->type.rank - 1].size, n = 0;
  for (int64_t i = y - r; i <= y + r; i++)
    for (int64_t j = x - r; j <= x + r; j++) {
      if (i < 0 || j < 0 || i >= rows || j >= columns) continue;
      double value = test_field_get(f, base + i * columns + j);
      if (!isnan(value)) sorted[n++] = value;
    }
  qsort(sorted, (size_t)n, sizeof *sorted, ascending);
  return n;
}

static void expect_percentile(const test_field *f, int64_t size, double percent, double *expected) {
  int64_t rows = f->type.dim[f->type.rank - 2].size, columns = f->type.dim[f->type.rank - 1].size;
  double *sorted = malloc((size_t)(size * size) * sizeof *sorted);
  for (int64_t i = 0; i < test_field_size(&f->type); i++) {
    int64_t n   = window(f, i / (rows * columns) * rows * columns, i / columns % rows, i % columns, size / 2, sorted);
    expected[i] = n ? sorted[(int64_t)((double)(n - 1) * percent / 100)] : (double)NAN;
  }
  free(sorted);
}

static void compare(const weir_operator *op, const char *saved, const test_field *f, const double *expected,
                    double tolerance) {
  static const int64_t piece[] = {0, 3, 11, 70};
  test_field           first   = {0};
  for (int p = 0; p < 4; p++) {
    test_field        out = {0};
    const test_field *in  = f;
    memcpy(params, saved, sizeof params);
    if (test_run(op, params, &in, 1, piece[p], &out) < 0) fail_msg("%s: %s", op->name, weir_error_last());
    test_close(op->name, &out, expected, tolerance, 0);
    if (p)
      assert_memory_equal(out.data, first.data, (size_t)test_field_size(&out.type) * weir_dtype_size(out.type.dtype));
    if (p) test_field_free(&out);
    else first = out;
  }
  test_field_free(&first);
}

static const struct {
  weir_dtype dtype;
  bool       has_fill;
  double     missing, scale;
} kinds[] = {{WEIR_U8, false, 0, 240},   {WEIR_U8, true, 0.1, 200},    {WEIR_U16, false, 0, 65000},
             {WEIR_U16, true, 0.6, 20},  {WEIR_F32, false, 0, 1e6},    {WEIR_F32, false, 0.3, 50},
             {WEIR_F64, false, 0, 1e12}, {WEIR_F64, true, 0.95, 4000}, {WEIR_I16, true, 0.2, 3000},
             {WEIR_I32, false, 0, 1e6}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void check_order(int kind, int rank, const int64_t *extent, int64_t size) {
  static const weir_operator *const op[] = {&weir_operator_local_min, &weir_operator_local_max,
                                            &weir_operator_local_median, &weir_operator_local_percentile};
  weir_field_type                   type = image_type(kinds[kind].dtype, kinds[kind].has_fill, rank, extent);
  int64_t                           n    = test_field_size(&type);
  double    *expected = calloc((size_t)n, sizeof *expected), other = floor(1000 * test_uniform()) / 10;
  double     percent[] = {0, 100, 50, other};
  test_field f;
  test_field_create(&f, &type);
  fill_image(&f, kinds[kind].missing, kinds[kind].scale);
  for (int k = 0; k < 4; k++) {
    char saved[TEST_PARAMS_SIZE] = {0};
    test_params(op[k], saved);
    test_set(op[k], saved, "size", (double)size);
    if (k == 3) test_set(op[k], saved, "percent", other);
    expect_percentile(&f, size, percent[k], expected);
    compare(op[k], saved, &f, expected, 0);
  }
  free(expected);
  test_field_free(&f);
}

static void test_order_statistics(void **state) {
  static const int64_t extent[][3] = {{1, 1, 1}, {1, 3, 90}, {2, 40, 1}, {1, 37, 71}, {3, 9, 20}};
  static const int64_t size[]      = {1, 3, 5, 7, 15}; /* the last only for some */
  (void)state;
  for (int kind = 0; kind < KINDS; kind++)
    for (int e = SANITIZED ? kind % 4 : 0; e < 5; e += SANITIZED ? 4 : 1)
      for (int s = 0; s < 5 - (kind + e) % 3; s++) check_order(kind, 3, extent[e], size[s]);
  for (int kind = 0; kind < KINDS; kind += 1 + 2 * SANITIZED)
    check_order(kind, 2, (int64_t[]){23, 31}, 41 + 2 * (kind % 3) * 50);
}

/* Wider than the tiles and stripes that histograms work on. */
static void test_large_images(void **state) {
  static const int64_t extent[] = {30, 530};
  (void)state;
  for (int kind = 0; kind < KINDS; kind += 2 + 2 * SANITIZED) check_order(kind, 2, extent, 9);
}

/* The mean around element i, with weights that are a product. */
static double weighted_mean(const test_field *f, int64_t i, int64_t r, double sigma) {
  int64_t     rows = f->type.dim[f->type.rank - 2].size, columns = f->type.dim[f->type.rank - 1].size;
  int64_t     base = i / (rows * columns) * rows * columns, y = i / columns % rows, x = i % columns;
  long double sum = 0, weights = 0;
  for (int64_t k = y - r < 0 ? 0 : y - r; k <= y + r && k < rows; k++)
    for (int64_t l = x - r < 0 ? 0 : x - r; l <= x + r && l < columns; l++) {
      double value = test_field_get(f, base + k * columns + l), d2 = (double)((k - y) * (k - y) + (l - x) * (l - x));
      double w = sigma > 0 ? exp(-d2 / (2 * sigma * sigma)) : 1;
      if (!isnan(value)) sum += (long double)(w * value), weights += w;
    }
  return weights > 0 ? (double)(sum / weights) : (double)NAN;
}

static void check_means(int kind, const int64_t *extent, int64_t size, double sigma) {
  weir_field_type type                    = image_type(kinds[kind].dtype, kinds[kind].has_fill, 3, extent);
  int64_t         n                       = test_field_size(&type);
  double         *expected                = calloc((size_t)n, sizeof *expected);
  double          tolerance               = weir_dtype_floating(type.dtype) == WEIR_F64 ? 1e-13 : 1e-6;
  char            saved[TEST_PARAMS_SIZE] = {0};
  test_field      f;
  test_field_create(&f, &type);
  fill_image(&f, kinds[kind].missing, kinds[kind].scale);
  for (int64_t i = 0; i < n; i++) expected[i] = weighted_mean(&f, i, size / 2, 0);
  test_params(&weir_operator_local_mean, saved);
  test_set(&weir_operator_local_mean, saved, "size", (double)size);
  compare(&weir_operator_local_mean, saved, &f, expected, tolerance);
  for (int64_t i = 0; i < n; i++) expected[i] = test_field_get(&f, i) > expected[i] - 2.25;
  test_params(&weir_operator_adaptive_threshold, saved);
  test_set(&weir_operator_adaptive_threshold, saved, "size", (double)size);
  test_set(&weir_operator_adaptive_threshold, saved, "offset", 2.25);
  if (kinds[kind].scale < 1e5) compare(&weir_operator_adaptive_threshold, saved, &f, expected, 0);
  for (int64_t i = 0; i < n; i++) expected[i] = weighted_mean(&f, i, (int64_t)(4 * sigma + 0.5), sigma);
  test_params(&weir_operator_gaussian, saved);
  test_set(&weir_operator_gaussian, saved, "sigma", sigma);
  compare(&weir_operator_gaussian, saved, &f, expected, tolerance);
  for (int64_t i = 0; i < n; i++) {
    double x    = test_field_get(&f, i);
    expected[i] = x + 0.7 * (x - expected[i]);
  }
  test_params(&weir_operator_sharpen, saved);
  test_set(&weir_operator_sharpen, saved, "radius", sigma);
  test_set(&weir_operator_sharpen, saved, "amount", 0.7);
  compare(&weir_operator_sharpen, saved, &f, expected, tolerance);
  free(expected);
  test_field_free(&f);
}

static void test_means(void **state) {
  static const int64_t extent[][3] = {{1, 1, 1}, {2, 3, 40}, {1, 33, 29}};
  (void)state;
  for (int kind = 0; kind < KINDS; kind++)
    for (int e = 0; e < 3; e++)
      check_means(kind, extent[e], 1 + 2 * ((kind + e) % 6), 0.3 + 0.45 * ((kind + 2 * e) % 5));
}

/* An infinity is a value like another, and so is the largest integer. */
static void test_infinities(void **state) {
  static const int64_t extent[]  = {3, 80};
  weir_field_type      type      = image_type(WEIR_F32, false, 2, extent);
  double              *expected  = calloc(240, sizeof *expected);
  const weir_operator *op[]      = {&weir_operator_local_min, &weir_operator_local_max, &weir_operator_local_median};
  static const double  percent[] = {0, 100, 50};
  test_field           f;
  (void)state;
  test_field_create(&f, &type);
  for (int i = 0; i < 240; i++)
    test_field_set(&f, i,
                   i % 80 < 20   ? (double)NAN
                   : i % 80 < 40 ? (double)INFINITY
                   : i % 80 < 60 ? -(double)INFINITY
                                 : i);
  for (int k = 0; k < 3; k++)
    for (int size = 3; size <= 7; size += 4) {
      char              saved[TEST_PARAMS_SIZE] = {0};
      test_field        out;
      const test_field *in = &f;
      test_params(op[k], saved);
      test_set(op[k], saved, "size", size);
      expect_percentile(&f, size, percent[k], expected);
      assert_int_equal(test_run(op[k], saved, &in, 1, 17, &out), WEIR_OK);
      for (int i = 0; i < 240; i++) {
        double x = test_field_get(&out, i);
        assert_true(x == expected[i] || (isnan(x) && isnan(expected[i])));
      }
      test_field_free(&out);
    }
  free(expected);
  test_field_free(&f);
}

static void refused(const weir_operator *op, const weir_field_type *type, double size, const char *text) {
  const weir_field_type *types = type;
  test_engine           *e;
  test_params(op, params);
  test_set(op, params, "size", size);
  assert_int_equal(test_engine_open(op, params, &types, 1, 0, &e), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), text));
}

static void test_refusals(void **state) {
  static const int64_t extent[] = {4, 5};
  weir_field_type      image = image_type(WEIR_U8, false, 2, extent), line = image_type(WEIR_U8, false, 1, extent);
  (void)state;
  refused(&weir_operator_local_median, &image, 4, "local_median: size is 4, expected an odd number");
  refused(&weir_operator_local_min, &line, 3, "local_min: an image, a field of at least 2 dimensions");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_order_statistics), cmocka_unit_test(test_large_images),
                                     cmocka_unit_test(test_infinities), cmocka_unit_test(test_means),
                                     cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
