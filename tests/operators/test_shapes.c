/* coarsen, slice and lag against plain indexing. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_coarsen, weir_operator_slice, weir_operator_lag;

static _Alignas(16) char params[TEST_PARAMS_SIZE];

static void unravel(const weir_field_type *type, int64_t i, int64_t *index) {
  for (int a = type->rank - 1; a >= 0; a--) index[a] = i % type->dim[a].size, i /= type->dim[a].size;
}

static int64_t ravel(const weir_field_type *type, const int64_t *index) {
  int64_t i = 0;
  for (int a = 0; a < type->rank; a++) i = i * type->dim[a].size + index[a];
  return i;
}

static weir_field_type random_type(int rank) {
  static const weir_dtype dtype[] = {WEIR_F64, WEIR_F32, WEIR_I16, WEIR_U8};
  int64_t                 extent[WEIR_RANK_MAX];
  for (int a = 0; a < rank; a++) extent[a] = 1 + (int64_t)(test_random() % 9);
  weir_field_type type = test_type(dtype[test_random() % 4], rank, extent, 2);
  if (type.dtype == WEIR_U8) type.fill = 255;
  return type;
}

static void check_coarsen(int rank, unsigned mask, int64_t factor) {
  weir_field_type   type = random_type(rank);
  test_field        f, out;
  const test_field *in = &f;
  const char       *name[WEIR_RANK_MAX];
  int               names = 0;
  test_field_create(&f, &type);
  test_field_random(&f, 0.3);
  for (int a = 0; a < rank; a++)
    if (mask >> a & 1) name[names++] = type.dim[a].name;
  for (int64_t piece = 0; piece < 4; piece++) {
    test_params(&weir_operator_coarsen, params);
    test_set(&weir_operator_coarsen, params, "factor", (double)factor);
    test_set_axes(&weir_operator_coarsen, params, "axes", names, name);
    if (test_run(&weir_operator_coarsen, params, &in, 1, piece, &out) < 0) fail_msg("%s", weir_error_last());
    int64_t n   = test_field_size(&out.type);
    double *sum = calloc((size_t)n, sizeof *sum), *count = calloc((size_t)n, sizeof *count);
    for (int64_t i = 0; i < test_field_size(&type); i++) {
      int64_t index[WEIR_RANK_MAX];
      double  x = test_field_get(&f, i);
      unravel(&type, i, index);
      for (int a = 0; a < rank; a++)
        if (mask >> a & 1 || !mask) index[a] /= factor;
      if (isnan(x)) continue;
      sum[ravel(&out.type, index)] += x;
      count[ravel(&out.type, index)]++;
    }
    for (int64_t i = 0; i < n; i++) sum[i] /= count[i]; /* 0/0: missing */
    assert_int_equal(out.type.dtype, weir_dtype_floating(type.dtype));
    test_close("coarsen", &out, sum, out.type.dtype == WEIR_F64 ? 1e-14 : 1e-7, 0);
    free(sum);
    free(count);
    test_field_free(&out);
  }
  test_field_free(&f);
}

static void test_coarsen(void **state) {
  (void)state;
  for (int rank = 0; rank <= 4; rank++)
    for (unsigned mask = 0; mask < 1u << rank; mask++)
      for (int64_t factor = 1; factor <= 4; factor++) check_coarsen(rank, mask, factor);
}

static const weir_field_type *inferred(test_engine **e, const weir_operator *op, const weir_field_type *type) {
  if (test_engine_open(op, params, &type, 1, 0, e) < 0) fail_msg("%s", weir_error_last());
  return &test_engine_infer(*e)->out[0];
}

static void test_coordinates(void **state) {
  static const int64_t extent[] = {6, 7};
  static const double  listed[] = {0, 1, 3, 6, 10, 15, 21};
  weir_field_type      type     = test_type(WEIR_F64, 2, extent, 2);
  test_engine         *e;
  (void)state;
  type.location = WEIR_AT_U;
  test_params(&weir_operator_coarsen, params);
  test_set(&weir_operator_coarsen, params, "factor", 3);
  const weir_field_type *out = inferred(&e, &weir_operator_coarsen, &type);
  assert_int_equal(out->location, WEIR_AT_UNKNOWN);
  assert_true(out->dim[0].spacing == 6 && out->dim[0].origin == 12); /* y: mean of 10 12 14 */
  assert_true(out->dim[1].spacing == 0 &&
              out->dim[1].size == 3); /* x is on faces: 11 13 15, ...; the last block is one */
  assert_true(out->dim[1].values[0] == 13 && out->dim[1].values[1] == 19 && out->dim[1].values[2] == 23);
  test_engine_close(e);
  type.location       = WEIR_AT_T;
  type.dim[1].spacing = 0, type.dim[1].values = listed;
  out = inferred(&e, &weir_operator_coarsen, &type);
  assert_int_equal(out->location, WEIR_AT_T);
  assert_true(out->dim[1].values[0] == 4. / 3 && out->dim[1].values[1] == 31. / 3 && out->dim[1].values[2] == 21);
  test_engine_close(e);
  test_params(&weir_operator_slice, params);
  test_set_axes(&weir_operator_slice, params, "axis", 1, (const char *[]){"x"});
  test_set(&weir_operator_slice, params, "from", 1);
  test_set(&weir_operator_slice, params, "step", 2);
  out = inferred(&e, &weir_operator_slice, &type);
  assert_true(out->dim[1].size == 3 && out->dim[1].values[0] == 1 && out->dim[1].values[2] == 15);
  test_engine_close(e);
  type.location = WEIR_AT_V;
  test_params(&weir_operator_slice, params);
  test_set_axes(&weir_operator_slice, params, "axis", 1, (const char *[]){"x"});
  test_set(&weir_operator_slice, params, "at", -1);
  out = inferred(&e, &weir_operator_slice, &type);
  assert_true(out->rank == 1 && out->location == WEIR_AT_UNKNOWN && out->dim[0].origin == 11); /* y + 1/2 */
  assert_int_equal(test_engine_infer(e)->from_axis[0][0], 0);
  test_engine_close(e);
}

static void check_slice(const weir_field_type *type, int axis, int64_t from, int64_t to, int64_t step, bool drop) {
  const weir_operator *op = &weir_operator_slice;
  test_field           f, out;
  const test_field    *in   = &f;
  int64_t              size = type->dim[axis].size;
  test_field_create(&f, type);
  test_field_random(&f, 0.2);
  for (int64_t piece = 0; piece < 4; piece++) {
    test_params(op, params);
    test_set_axes(op, params, "axis", 1, &type->dim[axis].name);
    if (drop) {
      test_set(op, params, "at", (double)(piece & 1 ? from : from - size)); /* from the end: the same */
    } else {
      test_set(op, params, "from", (double)(piece & 1 ? from : from - size));
      if (to < size || piece & 1) test_set(op, params, "to", (double)to);
      test_set(op, params, "step", (double)step);
    }
    if (test_run(op, params, &in, 1, piece, &out) < 0) fail_msg("%s", weir_error_last());
    assert_int_equal(out.type.rank, type->rank - drop);
    assert_int_equal(out.type.dtype, type->dtype);
    int64_t n = test_field_size(&out.type), visited = 0;
    for (int64_t i = 0; i < test_field_size(type); i++) {
      int64_t index[WEIR_RANK_MAX], place;
      unravel(type, i, index);
      place = index[axis] - from;
      if (place < 0 || index[axis] >= to || place % step) continue;
      index[axis] = place / step;
      for (int a = axis; drop && a < type->rank - 1; a++) index[a] = index[a + 1];
      size_t width = weir_dtype_size(type->dtype);
      assert_memory_equal((char *)out.data + (size_t)ravel(&out.type, index) * width,
                          (char *)f.data + (size_t)i * width, width);
      visited++;
    }
    assert_int_equal(visited, n);
    test_field_free(&out);
  }
  test_field_free(&f);
}

static void test_slice(void **state) {
  (void)state;
  for (int trial = 0; trial < 200; trial++) {
    int             rank = 1 + trial % 4, axis = (int)(test_random() % (uint64_t)rank);
    weir_field_type type = random_type(rank);
    int64_t         n = type.dim[axis].size, from = (int64_t)(test_random() % (uint64_t)n);
    int64_t         to = from + 1 + (int64_t)(test_random() % (uint64_t)(n - from));
    if (trial & 1) check_slice(&type, axis, from, from + 1, 1, true);
    else check_slice(&type, axis, from, to, 1 + (int64_t)(test_random() % 4), false);
  }
}

static void test_slice_errors(void **state) {
  static const struct {
    double      from, to, at;
    const char *text;
  } cases[]                     = {{5, NAN, NAN, "no range"},     {3, 2, NAN, "no range"},  {-6, NAN, NAN, "no range"},
                                   {NAN, 6, NAN, "no range"},     {NAN, NAN, 5, "outside"}, {NAN, NAN, -6, "outside"},
                                   {1, NAN, 2, "takes one index"}};
  int64_t                extent = 5;
  weir_field_type        type   = test_type(WEIR_F64, 1, &extent, 1);
  const weir_field_type *types  = &type;
  test_engine           *e;
  (void)state;
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    test_params(&weir_operator_slice, params);
    test_set_axes(&weir_operator_slice, params, "axis", 1, (const char *[]){"x"});
    if (!isnan(cases[c].from)) test_set(&weir_operator_slice, params, "from", cases[c].from);
    if (!isnan(cases[c].to)) test_set(&weir_operator_slice, params, "to", cases[c].to);
    if (!isnan(cases[c].at)) test_set(&weir_operator_slice, params, "at", cases[c].at);
    assert_int_equal(test_engine_open(&weir_operator_slice, params, &types, 1, 0, &e), WEIR_ERR_INPUT);
    assert_non_null(strstr(weir_error_last(), cases[c].text));
  }
}

static void test_lag(void **state) {
  weir_field_type   type = random_type(3);
  test_field        f, out;
  const test_field *in = &f;
  test_engine      *e;
  (void)state;
  test_params(&weir_operator_lag, params);
  test_set(&weir_operator_lag, params, "steps", 3);
  inferred(&e, &weir_operator_lag, &type);
  assert_int_equal(test_engine_infer(e)->lag[0], 3);
  test_engine_close(e);
  test_field_create(&f, &type);
  test_field_random(&f, 0.1);
  assert_int_equal(test_run(&weir_operator_lag, params, &in, 1, 2, &out), WEIR_OK);
  assert_memory_equal(out.data, f.data, (size_t)test_field_size(&type) * weir_dtype_size(type.dtype));
  test_field_free(&out);
  test_field_free(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_coarsen),      cmocka_unit_test(test_coordinates), cmocka_unit_test(test_slice),
      cmocka_unit_test(test_slice_errors), cmocka_unit_test(test_lag),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
