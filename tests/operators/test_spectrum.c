/* power_spectrum against a Fourier sum written out, and Parseval's theorem. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator        weir_operator_power_spectrum;
static const weir_operator *const op = &weir_operator_power_spectrum;

static _Alignas(16) char params[TEST_PARAMS_SIZE];
static const double pi = 3.14159265358979323846;

/* One plane of n0 x n1 values (n0 = 1: a row) with spacings h0, h1: |coefficients|^2 into bins; gives the mean square.
 */
static double naive(const double *plane, int n0, int n1, double h0, double h1, bool detrend, bool hann, double *e) {
  double mean = 0, square = 0, windows = 0, *x = calloc((size_t)(n0 * n1), sizeof *x);
  double dk = 1 / (n1 * h1);
  if (n0 > 1 && 1 / (n0 * h0) > dk) dk = 1 / (n0 * h0);
  for (int i = 0; i < n0 * n1; i++) mean += plane[i] / (n0 * n1);
  for (int i = 0; i < n0; i++)
    for (int j = 0; j < n1; j++) {
      double w      = hann ? (n0 > 1 ? pow(sin(pi * i / n0), 2) : 1) * pow(sin(pi * j / n1), 2) : 1;
      x[i * n1 + j] = (plane[i * n1 + j] - (detrend ? mean : 0)) * w;
      windows += w * w / (n0 * n1);
      square += x[i * n1 + j] * x[i * n1 + j] / (n0 * n1);
    }
  for (int p = 0; p < n0; p++)
    for (int q = 0; q < n1; q++) {
      double complex z = 0;
      for (int i = 0; i < n0; i++)
        for (int j = 0; j < n1; j++)
          z += x[i * n1 + j] * cexp(-2 * pi * I * ((double)(p * i % n0) / n0 + (double)(q * j % n1) / n1));
      double kp = (p <= n0 / 2 ? p : p - n0) / (n0 * h0), kq = (q <= n1 / 2 ? q : q - n1) / (n1 * h1);
      double k = n0 > 1 ? hypot(kp, kq) : fabs(kq);
      e[(int64_t)floor(k / dk + 0.5)] += pow(cabs(z) / (n0 * n1), 2) / windows / dk;
    }
  free(x);
  return square / windows;
}

enum { BINS_MAX = 200 };

/* Transform `count` axes a0 < a1 of a field; others are averaged. */
static void check(weir_dtype dtype, int rank, const int64_t *extent, int a0, int a1, bool detrend, bool hann,
                  double missing) {
  weir_field_type type = test_type(dtype, rank, extent, 0.5);
  test_field      f, out;
  double          e[BINS_MAX] = {0}, square = 0, planes = 0;
  int64_t         n0 = a0 < 0 ? 1 : extent[a0], n1 = extent[a1];
  double          h0 = 1;
  if (a0 >= 0) type.dim[a0].spacing = h0 = -0.3; /* descending, and not the same as along a1 */
  test_field_create(&f, &type);
  test_field_random(&f, missing);
  int64_t size = test_field_size(&type), others = size / (n0 * n1);
  double *plane = calloc((size_t)(n0 * n1), sizeof *plane);
  for (int64_t o = 0; o < others; o++) {
    bool valid = true;
    for (int64_t i = 0; i < size; i++) {
      int64_t rest = i, index[WEIR_RANK_MAX] = {0}, other = 0;
      for (int a = rank - 1; a >= 0; a--) index[a] = rest % extent[a], rest /= extent[a];
      for (int a = 0; a < rank; a++)
        if (a != a0 && a != a1) other = other * extent[a] + index[a];
      if (other != o) continue;
      double x = test_field_get(&f, i);
      valid &= !isnan(x);
      plane[(a0 < 0 ? 0 : index[a0]) * n1 + index[a1]] = x;
    }
    if (!valid) continue;
    square += naive(plane, (int)n0, (int)n1, fabs(h0), 0.5, detrend, hann, e);
    planes++;
  }
  for (int k = 0; k < BINS_MAX; k++) e[k] /= planes; /* 0/0: missing */
  const weir_field_type *types = &type;
  const test_field      *in    = &f;
  test_engine           *engine;
  const char            *names[2] = {type.dim[a1].name, a0 < 0 ? NULL : type.dim[a0].name};
  test_params(op, params);
  test_set(op, params, "detrend", detrend);
  test_set(op, params, "window", hann);
  test_set_axes(op, params, "axes", a0 < 0 ? 1 : 2, names);
  if (test_engine_open(op, params, &types, 1, 3, &engine) < 0) fail_msg("%s", weir_error_last());
  assert_int_equal(test_engine_step(engine, &in, &out), WEIR_OK);
  assert_int_equal(out.type.rank, 1);
  assert_string_equal(out.type.dim[0].name, "k");
  assert_string_equal(out.type.dim[0].units, "m-1");
  assert_string_equal(out.type.units, "m3 s-2");
  test_close("power_spectrum", &out, e, 1e-12, 0);
  double total = 0;
  for (int64_t k = 0; k < test_field_size(&out.type); k++) total += test_field_get(&out, k) * out.type.dim[0].spacing;
  for (int64_t k = test_field_size(&out.type); k < BINS_MAX; k++) assert_true(planes == 0 || e[k] == 0);
  if (planes > 0) assert_true(fabs(total - square / planes) < 1e-12 * square / planes);
  else assert_true(isnan(total));
  test_field second; /* the same bytes again, from a new plan */
  test_engine_close(engine);
  test_set(op, params, "window", hann);
  assert_int_equal(test_run(op, params, &in, 1, 0, &second), WEIR_OK);
  assert_memory_equal(out.data, second.data, (size_t)test_field_size(&out.type) * sizeof(double));
  test_field_free(&second);
  test_field_free(&out);
  test_field_free(&f);
  free(plane);
}

static void test_one_axis(void **state) {
  (void)state;
  for (int64_t n = 2; n < 18; n++)
    for (int c = 0; c < 4; c++) {
      int64_t extent[] = {3, n};
      check(c & 1 ? WEIR_F32 : WEIR_F64, 1, extent + 1, -1, 0, c & 1, c & 2, 0);
      check(WEIR_F64, 2, extent, -1, 1, c & 1, c & 2, 0.05);
      check(WEIR_I16, 2, (int64_t[]){n, 3}, -1, 0, c & 1, c & 2, 0.05);
    }
  check(WEIR_F64, 2, (int64_t[]){2, 64}, -1, 1, true, false, 0.9); /* nothing left */
}

static void test_two_axes(void **state) {
  static const int64_t square[] = {8, 8}, oblong[] = {5, 12}, odd[] = {9, 7}, deep[] = {3, 6, 5}, four[] = {2, 4, 3, 6};
  (void)state;
  for (int c = 0; c < 4; c++) {
    check(WEIR_F64, 2, square, 0, 1, c & 1, c & 2, 0);
    check(WEIR_F32, 2, oblong, 0, 1, c & 1, c & 2, 0);
    check(WEIR_F64, 2, odd, 0, 1, c & 1, c & 2, 0);
    check(WEIR_F64, 3, deep, 1, 2, c & 1, c & 2, 0.01);
    check(WEIR_F64, 3, deep, 0, 2, c & 1, c & 2, 0);
    check(WEIR_I16, 4, four, 0, 1, c & 1, c & 2, 0.01);
  }
}

/* A single wave lands in its own bin with its own variance. */
static void test_wave(void **state) {
  static const int64_t extent[] = {32, 32};
  weir_field_type      type     = test_type(WEIR_F64, 2, extent, 0.5);
  test_field           f, out;
  const test_field    *in = &f;
  (void)state;
  test_field_create(&f, &type);
  for (int i = 0; i < 1024; i++) test_field_set(&f, i, 5 + 3 * cos(2 * pi * (3 * (i % 32) + 4 * (i / 32)) / 32.));
  test_params(op, params);
  assert_int_equal(test_run(op, params, &in, 1, 0, &out), WEIR_OK);
  for (int64_t k = 0; k < test_field_size(&out.type); k++) {
    double variance = test_field_get(&out, k) / 16; /* dk = 1/16 m */
    assert_true(fabs(variance - (k == 5 ? 4.5 : 0)) < 1e-13);
  }
  assert_true(weir__coordinate(&out.type.dim[0], 5) == 5. / 16);
  test_field_free(&out);
  test_field_free(&f);
}

static void test_errors(void **state) {
  static const double    uneven[] = {0, 1, 3, 4};
  static const int64_t   extent[] = {4, 1, 4};
  static const char     *axes[]   = {"x", "y", "z"};
  weir_field_type        type     = test_type(WEIR_F64, 3, extent, 1);
  const weir_field_type *types    = &type;
  test_engine           *e;
  (void)state;
  test_params(op, params);
  assert_int_equal(test_engine_open(op, params, &types, 1, 0, &e), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "\"y\" has 1 elements"));
  type.dim[1].size = 4;
  test_set_axes(op, params, "axes", 3, axes);
  assert_int_equal(test_engine_open(op, params, &types, 1, 0, &e), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "one or two axes"));
  type.dim[2].spacing = 0, type.dim[2].values = uneven;
  test_set_axes(op, params, "axes", 1, axes);
  assert_int_equal(test_engine_open(op, params, &types, 1, 0, &e), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "is uneven"));
}

/* Every allocation of `prepare` may fail without harm. */
static void test_out_of_memory(void **state) {
  static const int64_t   extent[] = {4, 6};
  weir_field_type        type     = test_type(WEIR_F64, 2, extent, 1);
  const weir_field_type *types    = &type;
  test_engine           *e;
  int                    failures = 0;
  (void)state;
  for (uint64_t n = 1;; n++) {
    test_params(op, params);
    test_set(op, params, "window", 1);
    weir__alloc_fail_at(n);
    weir_status status = test_engine_open(op, params, &types, 1, 0, &e);
    weir__alloc_fail_at(0);
    if (status == WEIR_OK) break;
    assert_int_equal(status, WEIR_ERR_MEMORY);
    failures++;
  }
  assert_true(failures > 3);
  test_engine_close(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_axis), cmocka_unit_test(test_two_axes),      cmocka_unit_test(test_wave),
      cmocka_unit_test(test_errors),   cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
