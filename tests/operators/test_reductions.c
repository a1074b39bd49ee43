/* Reductions against plain loops, and their promise: the same bytes on any chunks. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_sum, weir_operator_mean, weir_operator_min, weir_operator_max,
    weir_operator_var, weir_operator_std, weir_operator_count, weir_operator_histogram;
static const weir_operator *const all[] = {&weir_operator_sum,  &weir_operator_mean, &weir_operator_var,
                                           &weir_operator_std,  &weir_operator_min,  &weir_operator_max,
                                           &weir_operator_count};
enum { OPERATORS = 7, WEIGHTED = 4 }; /* the first four take weights */

static _Alignas(16) char params[TEST_PARAMS_SIZE];

/* The element of a field without some axes that an element of the whole field belongs to. */
static int64_t project(const weir_field_type *type, unsigned dropped, int64_t i) {
  int64_t index[WEIR_RANK_MAX] = {0}, to = 0;
  for (int a = type->rank - 1; a >= 0; a--) index[a] = i % type->dim[a].size, i /= type->dim[a].size;
  for (int a = 0; a < type->rank; a++)
    if (!(dropped >> a & 1)) to = to * type->dim[a].size + index[a];
  return to;
}

static double reference(int op, const test_field *f, const test_field *w, unsigned weight_axes, unsigned mask,
                        int64_t element) {
  long double sum = 0, weights = 0, mean, squares = 0;
  double      least = INFINITY, most = -INFINITY;
  int64_t     n = test_field_size(&f->type), count = 0;
  for (int pass = 0; pass < 2; pass++) {
    mean = sum / weights;
    for (int64_t i = 0; i < n; i++) {
      double x = test_field_get(f, i), weight = w ? test_field_get(w, project(&f->type, ~weight_axes, i)) : 1;
      if (project(&f->type, mask, i) != element || isnan(x) || isnan(weight)) continue;
      if (pass) {
        squares += weight * (x - mean) * (x - mean);
        continue;
      }
      count++, sum += (long double)weight * x, weights += weight;
      least = x < least ? x : least, most = x > most ? x : most;
    }
  }
  if (op == 6) return (double)count;
  if (!count) return NAN;
  switch (op) {
  case 0: return (double)sum;
  case 1: return (double)mean;
  case 2: return (double)(squares / weights);
  case 3: return (double)sqrtl(squares / weights);
  case 4: return least;
  default: return most;
  }
}

static void name_axes(const weir_operator *op, const weir_field_type *type, unsigned mask) {
  const char *name[WEIR_RANK_MAX];
  int         n = 0;
  for (int a = type->rank - 1; a >= 0; a--)
    if (mask >> a & 1) name[n++] = type->dim[a].name;
  if (mask != (1u << type->rank) - 1 || test_random() & 1) test_set_axes(op, params, "axes", n, name);
}

static void check(int k, const test_field *f, const test_field *w, unsigned weight_axes, unsigned mask) {
  static const int64_t piece[] = {0, 1, 2, 3, 7, 1000};
  const weir_operator *op      = all[k];
  const test_field    *in[2]   = {f, w};
  test_field           first   = {0};
  for (size_t p = 0; p < sizeof piece / sizeof *piece; p++) {
    test_field out = {0};
    test_params(op, params);
    name_axes(op, &f->type, mask);
    if (test_run(op, params, in, w ? 2 : 1, piece[p], &out) < 0) fail_msg("%s: %s", op->name, weir_error_last());
    assert_int_equal(out.type.dtype, WEIR_F64);
    int64_t n = test_field_size(&out.type);
    if (p) {
      assert_memory_equal(out.data, first.data, (size_t)n * sizeof(double));
      test_field_free(&out);
      continue;
    }
    double *expected = calloc((size_t)n, sizeof *expected);
    for (int64_t i = 0; i < n; i++) expected[i] = reference(k, f, w, weight_axes, mask, i);
    test_close(op->name, &out, expected, 1e-13, f->type.has_fill ? 1 : 1e-3); /* a variance of one value: rounding */
    free(expected);
    first = out;
  }
  test_field_free(&first);
}

static void check_extents(weir_dtype dtype, int rank, const int64_t *extent, double missing) {
  weir_field_type type = test_type(dtype, rank, extent, 1);
  test_field      f;
  test_field_create(&f, &type);
  test_field_random(&f, missing);
  for (unsigned mask = rank ? 1 : 0; mask < 1u << rank; mask++)
    for (int k = 0; k < OPERATORS; k++) {
      check(k, &f, NULL, 0, mask);
      if (k >= WEIGHTED) continue;
      unsigned        some = (unsigned)test_random() & ((1u << rank) - 1);
      weir_field_type wt   = {.dtype = test_random() & 1 ? WEIR_F64 : WEIR_F32};
      for (int a = 0; a < rank; a++)
        if (some >> a & 1) wt.dim[wt.rank++] = type.dim[a];
      test_field w;
      test_field_create(&w, &wt);
      for (int64_t i = 0; i < test_field_size(&wt); i++) test_field_set(&w, i, 0.5 + test_uniform());
      if (test_field_size(&wt) > 3) test_field_set(&w, 2, NAN);
      check(k, &f, &w, some, mask);
      test_field_free(&w);
    }
  test_field_free(&f);
}

static void test_ranks_and_types(void **state) {
  static const int64_t    extent[][4] = {{0}, {11}, {5, 9}, {3, 4, 5}, {2, 3, 2, 5}};
  static const weir_dtype dtype[]     = {WEIR_F64, WEIR_F32, WEIR_I16};
  (void)state;
  for (int rank = 0; rank <= 4; rank++)
    for (int d = 0; d < 3; d++)
      for (int m = 0; m < 2; m++) check_extents(dtype[d], rank, extent[rank], m ? 0.3 : 0);
}

static void test_tiles(void **state) { /* beyond one tile and one segment */
  static const int64_t tall[] = {150, 70}, row[] = {9001}, deep[] = {3, 70, 35};
  (void)state;
  for (int k = 0; k < OPERATORS; k++) {
    const int64_t *extent[] = {row, tall, deep};
    for (int rank = 1; rank <= 3; rank++) {
      weir_field_type type = test_type(WEIR_F64, rank, extent[rank - 1], 1);
      test_field      f;
      double          expected[210];
      int64_t         n = test_field_size(&type), results = rank == 1 ? 1 : rank == 2 ? 70 : 105;
      test_field_create(&f, &type);
      test_field_random(&f, 0.01);
      /* the reference above is quadratic: here one pass */
      unsigned    mask     = rank == 3 ? 2 : 1;
      long double sum[210] = {0}, squares[210] = {0};
      double      least[210], most[210], count[210] = {0};
      for (int i = 0; i < 210; i++) least[i] = INFINITY, most[i] = -INFINITY;
      for (int64_t i = 0; i < n; i++) {
        double  x = test_field_get(&f, i);
        int64_t r = project(&type, mask, i);
        if (isnan(x)) continue;
        count[r]++, sum[r] += x, squares[r] += (long double)x * x;
        least[r] = x < least[r] ? x : least[r], most[r] = x > most[r] ? x : most[r];
      }
      for (int64_t r = 0; r < results; r++) {
        long double mean = sum[r] / count[r], var = squares[r] / count[r] - mean * mean;
        double value[] = {(double)sum[r], (double)mean, (double)var, (double)sqrtl(var), least[r], most[r], count[r]};
        expected[r]    = value[k];
      }
      for (int64_t piece = 0; piece <= 100; piece += 50) {
        test_field        out;
        const test_field *in = &f;
        test_params(all[k], params);
        name_axes(all[k], &type, mask);
        assert_int_equal(test_run(all[k], params, &in, 1, piece, &out), WEIR_OK);
        test_close(all[k]->name, &out, expected, 1e-13, 0);
        test_field_free(&out);
      }
      test_field_free(&f);
    }
  }
}

static void test_zeros_and_infinities(void **state) {
  int64_t           n    = 4;
  weir_field_type   type = test_type(WEIR_F64, 1, &n, 1);
  test_field        f, out;
  const test_field *in = &f;
  (void)state;
  test_field_create(&f, &type);
  for (int order = 0; order < 8; order++) { /* which zero comes first must not show */
    for (int i = 0; i < 4; i++) test_field_set(&f, i, i == order % 4 ? -0.0 : 0.0);
    for (int k = 4; k < 6; k++) {
      test_params(all[k], params);
      assert_int_equal(test_run(all[k], params, &in, 1, order > 3 ? 1 : 0, &out), WEIR_OK);
      assert_false(signbit(test_field_get(&out, 0)));
      test_field_free(&out);
    }
  }
  for (int i = 0; i < 4; i++) test_field_set(&f, i, INFINITY);
  test_params(&weir_operator_min, params);
  assert_int_equal(test_run(&weir_operator_min, params, &in, 1, 1, &out), WEIR_OK);
  assert_true(test_field_get(&out, 0) == INFINITY);
  test_field_free(&out);
  test_field_free(&f);
}

static void test_histogram(void **state) {
  static const int64_t   extent[] = {3, 40};
  static const char     *x[]      = {"x"};
  const weir_operator   *op       = &weir_operator_histogram;
  weir_field_type        type     = test_type(WEIR_F64, 2, extent, 1);
  const weir_field_type *types    = &type;
  test_field             f, out;
  const test_field      *in = &f;
  test_engine           *engine;
  (void)state;
  test_field_create(&f, &type);
  test_field_random(&f, 0.1);
  double special[] = {-0.2, 0.6, 0, 0.6000001, -0.2000001, INFINITY};
  for (int i = 0; i < 6; i++) test_field_set(&f, i, special[i]);
  for (int64_t piece = 0; piece < 9; piece += 4) {
    double expected[24] = {0};
    test_params(op, params);
    test_set(op, params, "bins", 8), test_set(op, params, "from", -0.2), test_set(op, params, "to", 0.6);
    test_set_axes(op, params, "axes", 1, x);
    assert_int_equal(test_engine_open(op, params, &types, 1, piece, &engine), WEIR_OK);
    const weir_infer *infer = test_engine_infer(engine);
    assert_int_equal(infer->out[0].rank, 2);
    assert_int_equal(infer->out[0].dtype, WEIR_I64);
    assert_string_equal(infer->out[0].dim[1].name, "bin");
    assert_string_equal(infer->out[0].dim[1].units, "m s-1");
    assert_true(fabs(weir__coordinate(&infer->out[0].dim[1], 0) + 0.15) < 1e-15);
    assert_int_equal(test_engine_step(engine, &in, &out), WEIR_OK);
    for (int64_t i = 0; i < 120; i++) {
      double v = test_field_get(&f, i), lower = -0.2;
      if (!(v >= -0.2 && v <= 0.6)) continue;
      int bin = 0;
      while (bin < 7 && v >= lower + 0.1 * (bin + 1) - 1e-15) bin++;
      expected[i / 40 * 8 + bin]++;
    }
    test_close("histogram", &out, expected, 0, 0);
    test_field_free(&out);
    test_engine_close(engine);
  }
  test_set(op, params, "to", -0.2);
  assert_int_equal(test_engine_open(op, params, &types, 1, 0, &engine), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "must be less than"));
  test_field_free(&f);
}

static void test_inference(void **state) {
  static const int64_t   extent[] = {2, 3, 4};
  static const char     *z[] = {"z"}, *x[] = {"x"}, *bad[] = {"q"}, *twice[] = {"x", "x"};
  weir_field_type        type = test_type(WEIR_F32, 3, extent, 2), weights = test_type(WEIR_F64, 1, extent, 1);
  const weir_field_type *in[] = {&type, &weights};
  test_engine           *e;
  (void)state;
  type.location = WEIR_AT_U;
  test_params(&weir_operator_var, params);
  test_set_axes(&weir_operator_var, params, "axes", 1, z);
  assert_int_equal(test_engine_open(&weir_operator_var, params, in, 1, 0, &e), WEIR_OK);
  const weir_field_type *out = &test_engine_infer(e)->out[0];
  assert_string_equal(out->units, "m2 s-2");
  assert_int_equal(out->rank, 2);
  assert_int_equal(out->location, WEIR_AT_U); /* x and y are still there */
  assert_int_equal(test_engine_infer(e)->from_axis[0][0], 1);
  test_engine_close(e);
  test_params(&weir_operator_mean, params);
  test_set_axes(&weir_operator_mean, params, "axes", 1, (const char *[]){"y"});
  assert_int_equal(test_engine_open(&weir_operator_mean, params, in, 1, 0, &e), WEIR_OK);
  out = &test_engine_infer(e)->out[0];
  assert_int_equal(out->location, WEIR_AT_UNKNOWN);
  assert_true(weir__coordinate(&out->dim[1], 0) == 11); /* 10 + half a cell of 2 */
  test_engine_close(e);
  test_set_axes(&weir_operator_mean, params, "axes", 1, bad);
  assert_int_equal(test_engine_open(&weir_operator_mean, params, in, 1, 0, &e), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "\"q\" is no dimension of the field, which has [z, y, x]");
  test_set_axes(&weir_operator_mean, params, "axes", 2, twice);
  assert_int_equal(test_engine_open(&weir_operator_mean, params, in, 1, 0, &e), WEIR_ERR_INPUT);
  test_set_axes(&weir_operator_mean, params, "axes", 1, x);
  assert_int_equal(test_engine_open(&weir_operator_mean, params, in, 2, 0, &e), WEIR_ERR_INPUT); /* x of 2 against 4 */
  weights.dim[0].name = "q";
  assert_int_equal(test_engine_open(&weir_operator_mean, params, in, 2, 0, &e), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "weights have a dimension \"q\""));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ranks_and_types),
      cmocka_unit_test(test_tiles),
      cmocka_unit_test(test_zeros_and_infinities),
      cmocka_unit_test(test_histogram),
      cmocka_unit_test(test_inference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
