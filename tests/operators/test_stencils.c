/* Stencils against formulas written out, on chunks smaller than their halo, uneven, periodic and not. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_ddx, weir_operator_ddy, weir_operator_laplacian, weir_operator_mid,
    weir_operator_diff;

static _Alignas(16) char params[TEST_PARAMS_SIZE];
enum { PERIODIC = 1, WALL, ONESIDED };    /* as in the parameter edge of ddx */
enum { MISSING, NOSLIP, FREESLIP, ZERO }; /* of mid and diff */

/* Element i + d along an axis; `outside` says by how much it lies beyond the edge. */
static double neighbour(const test_field *f, int64_t i, int axis, int64_t d, int rule) {
  int64_t stride = 1, n = f->type.dim[axis].size;
  for (int a = f->type.rank - 1; a > axis; a--) stride *= f->type.dim[a].size;
  int64_t at = i / stride % n, to = at + d;
  if (rule == PERIODIC) to = ((to % n) + n) % n;
  if (rule == WALL) to = to < 0 ? 0 : to >= n ? n - 1 : to;
  return test_field_get(f, i + (to - at) * stride);
}

static int64_t place(const test_field *f, int64_t i, int axis) {
  int64_t stride = 1;
  for (int a = f->type.rank - 1; a > axis; a--) stride *= f->type.dim[a].size;
  return i / stride % f->type.dim[axis].size;
}

static double first_derivative(const test_field *f, int64_t i, int axis, int rule) {
  double  h  = f->type.dim[axis].spacing ? f->type.dim[axis].spacing : 1;
  int64_t at = place(f, i, axis), n = f->type.dim[axis].size;
#define F(d) neighbour(f, i, axis, d, rule)
  if (rule == ONESIDED && at == 0) return (-3 * F(0) + 4 * F(1) - F(2)) / (2 * h);
  if (rule == ONESIDED && at == n - 1) return (3 * F(0) - 4 * F(-1) + F(-2)) / (2 * h);
  return (F(1) - F(-1)) / (2 * h);
}

static double second_derivative(const test_field *f, int64_t i, int axis, int rule) {
  double  h  = f->type.dim[axis].spacing ? f->type.dim[axis].spacing : 1;
  int64_t at = place(f, i, axis), n = f->type.dim[axis].size;
  if (rule == ONESIDED && at == 0) return (2 * F(0) - 5 * F(1) + 4 * F(2) - F(3)) / (h * h);
  if (rule == ONESIDED && at == n - 1) return (2 * F(0) - 5 * F(-1) + 4 * F(-2) - F(-3)) / (h * h);
  return (F(1) - 2 * F(0) + F(-1)) / (h * h);
#undef F
}

static double half_step(const test_field *f, int64_t i, int axis, bool up, bool difference, bool periodic, int edge) {
  double  h  = f->type.dim[axis].spacing ? f->type.dim[axis].spacing : 1, low, high;
  int64_t at = place(f, i, axis), n = f->type.dim[axis].size, l = up ? 0 : -1;
  bool    below = !periodic && at + l < 0, above = !periodic && at + l + 1 >= n;
  double  ghost = edge == NOSLIP ? -1 : edge == FREESLIP ? 1 : 0;
  if ((below || above) && edge == MISSING) return NAN;
  low  = below ? 0 : neighbour(f, i, axis, l, periodic ? PERIODIC : 0);
  high = above ? 0 : neighbour(f, i, axis, l + 1, periodic ? PERIODIC : 0);
  if (below) low = ghost * high;
  if (above) high = ghost * low;
  return difference ? (high - low) / h : (low + high) / 2;
}

static weir_field_type random_type(int rank, bool periodic) {
  static const weir_dtype dtype[] = {WEIR_F64, WEIR_F32, WEIR_I16, WEIR_I32};
  int64_t                 extent[WEIR_RANK_MAX];
  for (int a = 0; a < rank; a++) extent[a] = 4 + (int64_t)(test_random() % 7);
  weir_field_type type = test_type(dtype[test_random() % 4], rank, extent, test_random() & 1 ? 0.25 : -3);
  for (int a = 0; a < rank; a++) type.dim[a].periodic = periodic;
  return type;
}

/* Run on several chunk grids and compare with `expected`; all grids give the same bytes. */
static void run_and_compare(const weir_operator *op, const char *saved, const test_field *f, const double *expected,
                            double least) {
  static const int64_t piece[] = {0, 1, 2, 5};
  test_field           first   = {0};
  for (int p = 0; p < 4; p++) {
    test_field        out = {0};
    const test_field *in  = f;
    memcpy(params, saved, sizeof params);
    if (test_run(op, params, &in, 1, piece[p], &out) < 0) fail_msg("%s: %s", op->name, weir_error_last());
    size_t bytes = (size_t)test_field_size(&out.type) * weir_dtype_size(out.type.dtype);
    assert_int_equal(out.type.dtype, weir_dtype_floating(f->type.dtype));
    test_close(op->name, &out, expected, out.type.dtype == WEIR_F64 ? 1e-13 : 1e-7, least);
    if (p) assert_memory_equal(out.data, first.data, bytes);
    if (p) test_field_free(&out);
    else first = out;
  }
  test_field_free(&first);
}

static void check_gradient(int k, int rank, bool periodic, int edge) {
  static const weir_operator *const op[] = {&weir_operator_ddx, &weir_operator_ddy, &weir_operator_laplacian,
                                            &weir_operator_ddx};
  static const char                *w[]  = {"w"};
  weir_field_type                   type = random_type(rank, periodic);
  char                              saved[TEST_PARAMS_SIZE] = {0};
  test_field                        f;
  int                               rule = edge ? edge : periodic ? PERIODIC : ONESIDED;
  test_field_create(&f, &type);
  test_field_random(&f, 0.05);
  int64_t n        = test_field_size(&type);
  double *expected = calloc((size_t)n, sizeof *expected);
  test_params(op[k], saved);
  test_set(op[k], saved, "edge", edge);
  if (k == 3) test_set_axes(op[k], saved, "axis", 1, w);
  for (int64_t i = 0; i < n; i++) {
    int axis    = k == 0 ? rank - 1 : k == 1 ? rank - 2 : 0;
    expected[i] = k == 2 ? second_derivative(&f, i, rank - 1, rule) + second_derivative(&f, i, rank - 2, rule)
                         : first_derivative(&f, i, axis, rule);
  }
  run_and_compare(op[k], saved, &f, expected, 0);
  free(expected);
  test_field_free(&f);
}

static void test_gradients(void **state) {
  (void)state;
  for (int rank = 1; rank <= 4; rank++)
    for (int k = 0; k < 4; k++) {
      if ((k == 1 || k == 2) && rank < 2) continue;
      if (k == 3 && rank < 4) continue; /* needs the dimension w */
      for (int edge = 0; edge < 4; edge++) check_gradient(k, rank, true, edge), check_gradient(k, rank, false, edge);
    }
}

static void test_half_steps(void **state) {
  static const weir_operator *const op[]        = {&weir_operator_mid, &weir_operator_diff};
  static const weir_location        after[2][5] = {{0, WEIR_AT_U, WEIR_AT_T, WEIR_AT_F, WEIR_AT_V},
                                                   {0, WEIR_AT_V, WEIR_AT_F, WEIR_AT_T, WEIR_AT_U}};
  (void)state;
  for (int trial = 0; trial < 2 * 2 * 4 * 4 * 2; trial++) {
    int             k = trial & 1, along_y = trial >> 1 & 1, edge = trial >> 2 & 3, location = 1 + (trial >> 4 & 3);
    bool            periodic = trial >> 6 & 1;
    int             rank = 2 + trial % 3, axis = rank - 1 - along_y;
    weir_field_type type                    = random_type(rank, periodic);
    char            saved[TEST_PARAMS_SIZE] = {0};
    test_field      f;
    type.location = (weir_location)location;
    test_field_create(&f, &type);
    test_field_random(&f, 0.05);
    int64_t n        = test_field_size(&type);
    double *expected = calloc((size_t)n, sizeof *expected);
    test_params(op[k], saved);
    test_set_axes(op[k], saved, "axis", 1, (const char *[]){along_y ? "y" : "x"});
    test_set(op[k], saved, "edge", edge);
    bool on_face = location == WEIR_AT_F || location == (along_y ? WEIR_AT_V : WEIR_AT_U);
    for (int64_t i = 0; i < n; i++) expected[i] = half_step(&f, i, axis, !on_face, k == 1, periodic, edge);
    run_and_compare(op[k], saved, &f, expected, 0);
    const weir_field_type *types = &type;
    test_engine           *e;
    assert_int_equal(test_engine_open(op[k], saved, &types, 1, 0, &e), WEIR_OK);
    assert_int_equal(test_engine_infer(e)->out[0].location, after[along_y][location]);
    if (k) assert_string_equal(test_engine_infer(e)->out[0].units, "s-1");
    test_engine_close(e);
    free(expected);
    test_field_free(&f);
  }
}

/* On uneven coordinates second-order formulas are exact for parabolas (a second derivative: for parabolas inside). */
static void test_uneven(void **state) {
  static const double  x[]      = {0, 1, 1.5, 3, 7, 8, 8.25, 10};
  static const int64_t extent[] = {8, 8};
  (void)state;
  for (int edge = ONESIDED; edge >= WALL; edge--) {
    weir_field_type type                    = test_type(WEIR_F64, 2, extent, 0);
    char            saved[TEST_PARAMS_SIZE] = {0};
    test_field      f;
    double          expected[3][64];
    for (int a = 0; a < 2; a++) type.dim[a].values = x;
    test_field_create(&f, &type);
    for (int i = 0; i < 64; i++) {
      double u = x[i % 8], v = x[i / 8];
      test_field_set(&f, i, 2 + u * u - 3 * u * v + 0.5 * v * v - u);
      expected[0][i] = 2 * u - 3 * v - 1, expected[1][i] = -3 * u + v, expected[2][i] = 3;
    }
    static const weir_operator *const op[] = {&weir_operator_ddx, &weir_operator_ddy, &weir_operator_laplacian};
    if (edge == WALL) { /* mirrored: the difference over three half cells of the edge */
      for (int i = 0; i < 8; i++) {
        double f0 = test_field_get(&f, 8 * i), f1 = test_field_get(&f, 8 * i + 1); /* even there: 1 and 1 */
        expected[0][8 * i] = (f1 - f0) / 2;
        f0 = test_field_get(&f, 8 * i + 7), f1 = test_field_get(&f, 8 * i + 6);
        expected[0][8 * i + 7] = (f0 - f1) / (2 * 1.75);
      }
    }
    for (int k = 0; k < (edge == WALL ? 1 : 3); k++) {
      test_params(op[k], saved);
      test_set(op[k], saved, "edge", edge);
      run_and_compare(op[k], saved, &f, expected[k], k == 2 ? 4000 : 0); /* a value by the least spacing squared */
    }
    if (edge == ONESIDED) { /* an explicit spacing wins */
      test_params(op[0], saved);
      test_set(op[0], saved, "spacing", 2);
      test_set(op[0], saved, "edge", WALL);
      for (int i = 0; i < 64; i++) {
        int l = i % 8 ? i - 1 : i, r = i % 8 < 7 ? i + 1 : i;
        expected[0][i] = (test_field_get(&f, r) - test_field_get(&f, l)) / 4;
      }
      run_and_compare(op[0], saved, &f, expected[0], 0);
      type.location = f.type.location = WEIR_AT_T; /* half differences: u^2 -> u[i] + u[i+1], exactly */
      test_params(&weir_operator_diff, saved);
      test_set_axes(&weir_operator_diff, saved, "axis", 1, (const char *[]){"x"});
      for (int i = 0; i < 64; i++)
        expected[0][i] = i % 8 == 7 ? (double)NAN : x[i % 8] + x[i % 8 + 1] - 3 * x[i / 8] - 1;
      run_and_compare(&weir_operator_diff, saved, &f, expected[0], 0);
    }
    test_field_free(&f);
  }
}

static void expect_error(const weir_operator *op, const char *saved, const weir_field_type *type, const char *text) {
  test_engine *e;
  memcpy(params, saved, sizeof params);
  assert_int_equal(test_engine_open(op, params, &type, 1, 0, &e), WEIR_ERR_INPUT);
  if (!strstr(weir_error_last(), text)) fail_msg("\"%s\" does not say \"%s\"", weir_error_last(), text);
}

static void test_small_extents_and_errors(void **state) {
  char saved[TEST_PARAMS_SIZE] = {0};
  (void)state;
  for (int64_t n = 1; n <= 3; n++)
    for (int edge = PERIODIC; edge <= ONESIDED; edge++) {
      weir_field_type type = test_type(WEIR_F64, 1, &n, 0.5);
      test_params(&weir_operator_ddx, saved);
      test_set(&weir_operator_ddx, saved, "edge", edge);
      if (edge == ONESIDED && n < 3) {
        expect_error(&weir_operator_ddx, saved, &type, "one-sided edges need at least 3");
        continue;
      }
      test_field f;
      double     expected[3];
      test_field_create(&f, &type);
      test_field_random(&f, 0);
      for (int64_t i = 0; i < n; i++) expected[i] = first_derivative(&f, i, 0, edge);
      run_and_compare(&weir_operator_ddx, saved, &f, expected, 0);
      test_field_free(&f);
    }
  int64_t         extent[] = {4, 4};
  double          uneven[] = {0, 1, 3, 4}, repeated[] = {0, 1, 1, 4};
  weir_field_type type = test_type(WEIR_F64, 2, extent, 1);
  type.dim[1].name     = "i";
  test_params(&weir_operator_ddx, saved);
  expect_error(&weir_operator_ddx, saved, &type, "no dimension named x, lon or longitude");
  type.dim[1].name    = "Lon";
  type.dim[1].spacing = 0, type.dim[1].values = repeated;
  expect_error(&weir_operator_ddx, saved, &type, "has 1 twice");
  type.dim[1].values = uneven, type.dim[1].periodic = true;
  expect_error(&weir_operator_ddx, saved, &type, "give `spacing`");
  test_set(&weir_operator_ddx, saved, "spacing", -1);
  expect_error(&weir_operator_ddx, saved, &type, "spacing is -1");
  test_params(&weir_operator_mid, saved);
  expect_error(&weir_operator_mid, saved, &type, "one axis is expected");
  test_set_axes(&weir_operator_mid, saved, "axis", 1, (const char *[]){"y"});
  expect_error(&weir_operator_mid, saved, &type, "where the field sits on the grid is not known");
  weir_field_type three = random_type(3, false);
  three.location        = WEIR_AT_T;
  test_set_axes(&weir_operator_mid, saved, "axis", 1, (const char *[]){"z"});
  expect_error(&weir_operator_mid, saved, &three, "none of the last two");
  weir_field_type one = random_type(1, false);
  test_params(&weir_operator_laplacian, saved);
  expect_error(&weir_operator_laplacian, saved, &one, "at least 2 dimensions");
}

/* Units of results. */
static void test_units(void **state) {
  static const struct {
    const char *field, *coordinate, *ddx, *laplacian;
  } cases[]                    = {{"m s-1", "m", "s-1", "m-1 s-1"},
                                  {"kg.m^-3", "m", "kg m-4", "kg m-5"},
                                  {"1", "m", "m-1", "m-2"},
                                  {"m", "m", "1", "m-1"},
                                  {"K", NULL, NULL, NULL},
                                  {NULL, "m", NULL, NULL},
                                  {"m2/s2", "m", "m s-2", "s-2"}};
  char saved[TEST_PARAMS_SIZE] = {0};
  (void)state;
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
    for (int k = 0; k < 2; k++) {
      const weir_operator   *op       = k ? &weir_operator_laplacian : &weir_operator_ddx;
      const char            *expected = k ? cases[c].laplacian : cases[c].ddx;
      weir_field_type        type     = random_type(2, true);
      const weir_field_type *types    = &type;
      test_engine           *e;
      type.units = cases[c].field, type.dim[0].units = type.dim[1].units = cases[c].coordinate;
      test_params(op, saved);
      assert_int_equal(test_engine_open(op, saved, &types, 1, 0, &e), WEIR_OK);
      const char *units = test_engine_infer(e)->out[0].units;
      if (!expected) assert_null(units);
      else assert_string_equal(units, expected);
      test_engine_close(e);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients), cmocka_unit_test(test_half_steps),
      cmocka_unit_test(test_uneven),    cmocka_unit_test(test_small_extents_and_errors),
      cmocka_unit_test(test_units),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
