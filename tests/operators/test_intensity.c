/* Intensities: functions of a value, and histograms, against their formulas. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const weir_operator weir_operator_threshold, weir_operator_rescale, weir_operator_gamma, weir_operator_equalize,
    weir_operator_clahe;

static _Alignas(16) char params[TEST_PARAMS_SIZE];
static const int64_t    extent[]   = {2, 19, 33};
static const weir_dtype dtype[]    = {WEIR_U8, WEIR_U8, WEIR_U16, WEIR_F32, WEIR_F64, WEIR_I16};
static const bool       has_fill[] = {false, true, false, false, true, true};
enum { KINDS = 6, ROWS = 19, COLUMNS = 33, SIZE = 2 * ROWS * COLUMNS };

static void make_image(int kind, test_field *f) {
  weir_field_type type     = test_type(dtype[kind], 3, extent, 0);
  bool            can_miss = has_fill[kind] || dtype[kind] == WEIR_F32;
  type.has_fill            = has_fill[kind];
  type.fill                = has_fill[kind] ? 251 : 0; /* no result is it */
  test_field_create(f, &type);
  for (int64_t i = 0; i < SIZE; i++)
    test_field_set(f, i, can_miss && test_uniform() < 0.1 ? (double)NAN : floor(201 * test_uniform()));
}

/* A value as the type of the field holds it. */
static double held(const test_field *f, double x) {
  double most  = f->type.dtype == WEIR_U8    ? 255
                 : f->type.dtype == WEIR_U16 ? 65535
                                             : 32767,
         least = most == 32767 ? -32768 : 0;
  if (f->type.dtype == WEIR_F32 || f->type.dtype == WEIR_F64 || isnan(x)) return x;
  x = nearbyint(x);
  return x < least ? least : x > most ? most : x;
}

static void compare(const weir_operator *op, const char *saved, const test_field *f, const double *expected,
                    double tolerance) {
  for (int64_t piece = 0; piece < 8; piece += 3) {
    test_field        out;
    const test_field *in = f;
    memcpy(params, saved, sizeof params);
    if (test_run(op, params, &in, 1, piece, &out) < 0) fail_msg("%s: %s", op->name, weir_error_last());
    assert_int_equal(out.type.dtype, f->type.dtype);
    test_close(op->name, &out, expected, tolerance, 0);
    test_field_free(&out);
  }
}

static void test_functions(void **state) {
  double expected[SIZE];
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    char       saved[TEST_PARAMS_SIZE] = {0};
    test_field f;
    make_image(kind, &f);
    test_params(&weir_operator_threshold, saved);
    test_set(&weir_operator_threshold, saved, "low", 50);
    test_set(&weir_operator_threshold, saved, "high", 150);
    for (int i = 0; i < SIZE; i++) {
      double x    = test_field_get(&f, i);
      expected[i] = x < 50 ? 0 : x > 150 ? 150 : x;
    }
    compare(&weir_operator_threshold, saved, &f, expected, 0);
    for (int soft = 0; soft < 2; soft++) {
      test_params(&weir_operator_rescale, saved);
      test_set(&weir_operator_rescale, saved, "low", 20);
      test_set(&weir_operator_rescale, saved, "high", 120);
      test_set(&weir_operator_rescale, saved, "to_low", 30);
      test_set(&weir_operator_rescale, saved, "to_high", kind == 1 || kind >= 4 ? 240 : 300);
      test_set(&weir_operator_rescale, saved, "tanh", soft);
      for (int i = 0; i < SIZE; i++) {
        double x = test_field_get(&f, i), t = (x - 20) / 100;
        t           = soft ? 1 / (1 + exp(4 - 8 * t)) : t < 0 ? 0 : t > 1 ? 1 : t;
        expected[i] = held(&f, 30 + (kind == 1 || kind >= 4 ? 210 : 270) * t);
      }
      compare(&weir_operator_rescale, saved, &f, expected, 1e-6);
    }
    test_params(&weir_operator_gamma, saved);
    test_set(&weir_operator_gamma, saved, "gamma", 1.5);
    for (int i = 0; i < SIZE; i++) {
      double white = dtype[kind] == WEIR_U8 ? 255 : dtype[kind] == WEIR_U16 ? 65535 : 1, x = test_field_get(&f, i);
      expected[i] = held(&f, white * sqrt(x / white) * (x / white));
    }
    compare(&weir_operator_gamma, saved, &f, expected, 1e-6);
    test_field_free(&f);
  }
}

/* The part of the pixels of a plane with values up to x; in other types than uint8 the least value does not count. */
static void test_equalize(void **state) {
  double expected[SIZE];
  (void)state;
  for (int kind = 0; kind < KINDS; kind++) {
    char       saved[TEST_PARAMS_SIZE] = {0};
    test_field f;
    bool       levels = dtype[kind] == WEIR_U8;
    if (kind == 1) continue; /* results may be the fill value */
    make_image(kind, &f);
    for (int i = 0; i < SIZE; i++) {
      double x = test_field_get(&f, i), below = 0, total = 0, low = INFINITY, high = -INFINITY;
      for (int j = i / (SIZE / 2) * (SIZE / 2), k = 0; k < SIZE / 2; j++, k++) {
        double other = test_field_get(&f, j);
        if (isnan(other)) continue;
        low = fmin(low, other), high = fmax(high, other);
        total++;
        below += levels ? other <= x : other < x;
      }
      if (levels) low = 0, high = 255;
      if (!levels && x == high) below = total; /* its bin is the last, and it is at the end of it */
      expected[i] = isnan(x) ? x : low + (high - low) * below / total;
      if (levels || dtype[kind] == WEIR_I16 || dtype[kind] == WEIR_U16) expected[i] = held(&f, expected[i]);
    }
    test_params(&weir_operator_equalize, saved);
    /* A value lies anywhere in its bin of 1/65536 of the range, and so among the pixels that are equal to it. */
    compare(&weir_operator_equalize, saved, &f, expected, levels ? 0 : 0.02);
    test_field_free(&f);
  }
}

/* clahe with one tile and no limit is equalize; with tiles, each centre has the curve of its own tile. */
static void test_clahe(void **state) {
  test_field        f, out[2];
  const test_field *in                      = &f;
  char              saved[TEST_PARAMS_SIZE] = {0};
  (void)state;
  make_image(0, &f);
  test_params(&weir_operator_clahe, saved);
  test_set(&weir_operator_clahe, saved, "tiles", 1);
  test_set(&weir_operator_clahe, saved, "clip", 1);
  test_params(&weir_operator_equalize, params);
  assert_int_equal(test_run(&weir_operator_equalize, params, &in, 1, 0, &out[0]), WEIR_OK);
  assert_int_equal(test_run(&weir_operator_clahe, saved, &in, 1, 4, &out[1]), WEIR_OK);
  assert_memory_equal(out[0].data, out[1].data, SIZE);
  test_field_free(&out[0]);
  test_field_free(&out[1]);
  for (double clip = 0.02; clip < 2; clip += 0.98) {
    test_set(&weir_operator_clahe, saved, "tiles", 3);
    test_set(&weir_operator_clahe, saved, "clip", clip);
    assert_int_equal(test_run(&weir_operator_clahe, saved, &in, 1, 4, &out[0]), WEIR_OK);
    /* The middle column of tiles is 11 .. 21, its centre 16; the first row of tiles 0 .. 5 ends at its centre, 2.5. */
    double total = 6 * 11, limit = fmax(clip * total, 1), excess = 0, below = 0, count[256] = {0};
    for (int y = 0; y < 6; y++)
      for (int x = 11; x < 22; x++) count[(int)test_field_get(&f, y * COLUMNS + x)]++;
    for (int k = 0; k < 256; k++) excess += fmax(count[k] - limit, 0);
    int v = (int)test_field_get(&f, 16);
    for (int k = 0; k <= v; k++) below += fmin(count[k], limit) + excess / 256;
    assert_int_equal((int)test_field_get(&out[0], 16), (int)nearbyint(255 * below / total));
    test_field_free(&out[0]);
  }
  test_field_free(&f);
}

static void refused(const weir_operator *op, const char *name, double value, const char *text) {
  weir_field_type        type  = test_type(WEIR_U8, 2, extent + 1, 0);
  const weir_field_type *types = &type;
  test_engine           *e;
  test_params(op, params);
  test_set(op, params, name, value);
  assert_int_equal(test_engine_open(op, params, &types, 1, 0, &e), WEIR_ERR_INPUT);
  if (!strstr(weir_error_last(), text)) fail_msg("%s", weir_error_last());
}

static void test_refusals(void **state) {
  (void)state;
  refused(&weir_operator_threshold, "low", NAN, "threshold: low is nan, expected at most high");
  refused(&weir_operator_rescale, "to_high", 3, "rescale: low (0) must be less than high (0)");
  refused(&weir_operator_gamma, "gamma", 0, "gamma: gamma is 0, expected a number above 0");
  refused(&weir_operator_clahe, "tiles", 20, "clahe: tiles is 20, expected at most 19, the size of dimension \"y\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_functions), cmocka_unit_test(test_equalize),
                                     cmocka_unit_test(test_clahe), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
