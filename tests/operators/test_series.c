/* Operators that remember: running_mean, time_mean, time_var; and the text of ddt. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_running_mean, weir_operator_time_mean, weir_operator_time_var,
    weir_operator_ddt;

static _Alignas(16) char params[TEST_PARAMS_SIZE];
enum { STEPS = 23 };

/* Mean and variance of element i over steps first..last, two passes. */
static void moments(const test_field *f, int first, int last, int64_t i, double *mean, double *variance) {
  long double sum = 0, squares = 0, count = 0;
  for (int t = first; t <= last; t++)
    if (!isnan(test_field_get(&f[t], i))) sum += test_field_get(&f[t], i), count++;
  for (int t = first; t <= last; t++)
    if (!isnan(test_field_get(&f[t], i))) squares += powl(test_field_get(&f[t], i) - sum / count, 2);
  *mean     = (double)(sum / count);
  *variance = (double)(squares / count);
}

/* window 0: all steps so far. */
static void check(const weir_operator *op, int rank, weir_dtype dtype, int window, bool partial) {
  static const int64_t   extent[] = {3, 2, 5, 4};
  weir_field_type        type     = test_type(dtype, rank, extent, 1);
  const weir_field_type *types    = &type;
  test_field             f[STEPS], out;
  test_engine           *e;
  int64_t                n        = test_field_size(&type);
  double                *expected = calloc((size_t)n, sizeof *expected);
  type.has_fill &= dtype != WEIR_U16; /* integers with and without missing values */
  for (int t = 0; t < STEPS; t++) {
    test_field_create(&f[t], &type);
    test_field_random(&f[t], t < 5 ? 0.8 : 0.1);
    if (dtype == WEIR_F64) /* a large mean must cost nothing */
      for (int64_t i = 0; i < n; i++) test_field_set(&f[t], i, 100 + test_field_get(&f[t], i));
  }
  for (int64_t piece = 0; piece < 4; piece++) {
    test_params(op, params);
    if (window) test_set(op, params, "steps", window), test_set(op, params, "partial", partial);
    if (test_engine_open(op, params, &types, 1, piece, &e) < 0) fail_msg("%s", weir_error_last());
    for (int t = 0; t < STEPS; t++) {
      const test_field *in    = &f[t];
      int               first = window && t >= window ? t - window + 1 : 0;
      for (int64_t i = 0; i < n; i++) {
        double mean, variance;
        moments(f, first, t, i, &mean, &variance);
        expected[i] = op == &weir_operator_time_var ? variance : mean;
      }
      bool full = !window || partial || t + 1 >= window;
      assert_int_equal(test_engine_step(e, &in, &out), full ? WEIR_OK : WEIR_END);
      assert_int_equal(out.type.dtype, weir_dtype_floating(dtype));
      if (full)
        test_close(op->name, &out, expected, out.type.dtype == WEIR_F64 ? 1e-13 : 1e-7,
                   op == &weir_operator_time_var ? 1 : 0);
      test_field_free(&out);
    }
    test_engine_close(e);
  }
  for (int t = 0; t < STEPS; t++) test_field_free(&f[t]);
  free(expected);
}

static void test_means(void **state) {
  static const weir_dtype dtype[] = {WEIR_F64, WEIR_F32, WEIR_I16, WEIR_U16};
  (void)state;
  for (int rank = 0; rank <= 4; rank++)
    for (int d = 0; d < 4; d++) {
      check(&weir_operator_time_mean, rank, dtype[d], 0, false);
      check(&weir_operator_time_var, rank, dtype[d], 0, false);
      for (int window = 1; window <= 30; window += window < 4 ? 1 : 9)
        check(&weir_operator_running_mean, rank, dtype[d], window, (window + rank) & 1);
    }
}

static void test_infinity_leaves_the_window(void **state) {
  int64_t                one   = 1;
  weir_field_type        type  = test_type(WEIR_F64, 1, &one, 1);
  const weir_field_type *types = &type;
  test_field             f, out;
  const test_field      *in = &f;
  test_engine           *e;
  (void)state;
  test_field_create(&f, &type);
  test_params(&weir_operator_running_mean, params);
  test_set(&weir_operator_running_mean, params, "steps", 4);
  assert_int_equal(test_engine_open(&weir_operator_running_mean, params, &types, 1, 0, &e), WEIR_OK);
  for (int t = 0; t < 20; t++) {
    test_field_set(&f, 0, t == 6 ? INFINITY : 1);
    assert_int_equal(test_engine_step(e, &in, &out), t < 3 ? WEIR_END : WEIR_OK);
    double y = test_field_get(&out, 0);
    assert_true(t < 3 || (t >= 6 && t <= 9 ? y == INFINITY : y == 1));
    test_field_free(&out);
  }
  test_engine_close(e);
  test_field_free(&f);
}

static void test_units(void **state) {
  weir_field_type        type  = test_type(WEIR_F64, 0, NULL, 1);
  const weir_field_type *types = &type;
  test_engine           *e;
  (void)state;
  assert_int_equal(test_engine_open(&weir_operator_time_var, params, &types, 1, 0, &e), WEIR_OK);
  assert_string_equal(test_engine_infer(e)->out[0].units, "m2 s-2");
  test_engine_close(e);
  assert_string_equal(weir_operator_ddt.expression, "(f - lag(f, 1)) / dt");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_means), cmocka_unit_test(test_infinity_leaves_the_window),
                                     cmocka_unit_test(test_units)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
