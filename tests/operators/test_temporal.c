/* Order statistics over the last steps, and extremes and root mean squares over all, against sorted lists. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_temporal_median, weir_operator_temporal_min, weir_operator_temporal_max,
    weir_operator_temporal_percentile, weir_operator_time_min, weir_operator_time_max, weir_operator_time_rms;

static _Alignas(16) char params[TEST_PARAMS_SIZE];
enum { STEPS = 13, ALL = 0 };

typedef struct example {
  const weir_operator *op;
  double               percent; /* -1: root mean square */
  int                  window;  /* ALL: all steps so far */
  bool                 partial;
} example;

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double expect(const test_field *f, int t, int64_t i, const example *x) {
  double  sorted[STEPS], squares = 0;
  int64_t n = 0;
  for (int k = x->window && t >= x->window ? t - x->window + 1 : 0; k <= t; k++) {
    double value = test_field_get(&f[k], i);
    if (isnan(value)) continue;
    squares += value * value;
    sorted[n++] = value;
  }
  qsort(sorted, (size_t)n, sizeof *sorted, ascending);
  if (!n) return NAN;
  return x->percent < 0 ? sqrt(squares / (double)n) : sorted[(int64_t)((double)(n - 1) * x->percent / 100)];
}

static void check(const example *x, const test_field *f) {
  const weir_field_type *types    = &f[0].type;
  int64_t                n        = test_field_size(types);
  double                *expected = calloc((size_t)n + 1, sizeof *expected);
  for (int64_t piece = 0; piece < 70; piece += piece < 2 ? 1 : 40) {
    test_engine *e;
    test_params(x->op, params);
    if (x->window) test_set(x->op, params, "steps", x->window), test_set(x->op, params, "partial", x->partial);
    if (x->op == &weir_operator_temporal_percentile) test_set(x->op, params, "percent", x->percent);
    if (test_engine_open(x->op, params, &types, 1, piece, &e) < 0) fail_msg("%s", weir_error_last());
    for (int t = 0; t < STEPS; t++) {
      const test_field *in   = &f[t];
      bool              full = !x->window || x->partial || t + 1 >= x->window;
      test_field        out;
      assert_int_equal(test_engine_step(e, &in, &out), full ? WEIR_OK : WEIR_END);
      for (int64_t i = 0; i < n; i++) expected[i] = expect(f, t, i, x);
      bool same = x->percent >= 0;
      assert_int_equal(out.type.dtype, same ? types->dtype : weir_dtype_floating(types->dtype));
      if (full) test_close(x->op->name, &out, expected, same ? 0 : out.type.dtype == WEIR_F64 ? 1e-13 : 1e-6, 0);
      test_field_free(&out);
    }
    test_engine_close(e);
  }
  free(expected);
}

static void check_series(weir_dtype dtype, bool has_fill, int rank, const int64_t *extent) {
  weir_field_type type     = test_type(dtype, rank, extent, 0);
  bool            can_miss = has_fill || dtype == WEIR_F32 || dtype == WEIR_F64;
  test_field      f[STEPS];
  type.has_fill = has_fill;
  type.fill     = has_fill ? 200 : 0;
  for (int t = 0; t < STEPS; t++) {
    test_field_create(&f[t], &type);
    for (int64_t i = 0; i < test_field_size(&type); i++)
      test_field_set(&f[t], i,
                     can_miss && test_uniform() < (t < 4 ? 0.6 : 0.2) ? (double)NAN : floor(199 * test_uniform()));
  }
  for (int window = 1; window <= 20; window += window < 6 ? 1 : 7) {
    bool partial = window & 1;
    check(&(example){&weir_operator_temporal_median, 50, window, partial}, f);
    check(&(example){&weir_operator_temporal_min, 0, window, !partial}, f);
    check(&(example){&weir_operator_temporal_max, 100, window, partial}, f);
    check(&(example){&weir_operator_temporal_percentile, floor(100 * test_uniform()), window, !partial}, f);
  }
  check(&(example){&weir_operator_time_min, 0, ALL, true}, f);
  check(&(example){&weir_operator_time_max, 100, ALL, true}, f);
  check(&(example){&weir_operator_time_rms, -1, ALL, true}, f);
  for (int t = 0; t < STEPS; t++) test_field_free(&f[t]);
}

static void test_series(void **state) {
  static const int64_t extent[] = {3, 67};
  (void)state;
  check_series(WEIR_U8, false, 2, extent);
  check_series(WEIR_U8, true, 2, extent);
  check_series(WEIR_U16, false, 2, extent);
  check_series(WEIR_F32, false, 2, extent);
  check_series(WEIR_F64, true, 1, extent);
  check_series(WEIR_I32, false, 0, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_series)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
