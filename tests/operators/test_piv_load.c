/* Pixels of any type as float32; bins of 2 x 2; and where the windows of a binned first pass lie and how far they see.
 */
#include "operators/piv/operators.h"
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

static weir_view view_of(weir_dtype dtype, int64_t rows, int64_t columns, void *data) {
  int64_t   size = (int64_t)weir_dtype_size(dtype);
  weir_view v = {.data = data, .dtype = dtype, .rank = 2, .count = {rows, columns}, .stride = {columns * size, size}};
  return v;
}

static void test_rows(void **state) {
  enum { N = 301 }; /* more than one of the pieces in which numbers are taken */
  static uint8_t  bytes[3 * N];
  static uint16_t words[3 * N];
  static double   numbers[3 * N];
  float           out[N];
  (void)state;
  for (int i = 0; i < 3 * N; i++) bytes[i] = (uint8_t)(7 * i), words[i] = (uint16_t)(331 * i), numbers[i] = i / 8.0;
  numbers[N + 5] = NAN, numbers[N + 300] = INFINITY;
  weir_view b = view_of(WEIR_U8, 3, N, bytes), w = view_of(WEIR_U16, 3, N, words), d = view_of(WEIR_F64, 3, N, numbers);
  weir__piv_load_row(&b, 2, 0, out);
  for (int x = 0; x < N; x++) assert_true(out[x] == bytes[2 * N + x]);
  weir__piv_load_row(&w, 1, 0, out);
  for (int x = 0; x < N; x++) assert_true(out[x] == words[N + x]);
  weir__piv_load_row(&d, 1, -1, out);
  for (int x = 0; x < N; x++) assert_true(out[x] == (x == 5 || x == 300 ? -1 : (float)numbers[N + x]));
  b.has_fill = true, b.fill = bytes[3]; /* a value that stands for none */
  weir__piv_load_row(&b, 0, -1, out);
  for (int x = 0; x < N; x++) assert_true(out[x] == (bytes[x] == bytes[3] ? -1 : bytes[x]));
  b.has_fill  = false;
  b.stride[1] = 3; /* every third pixel */
  b.count[1]  = N / 3;
  weir__piv_load_row(&b, 1, 0, out);
  for (int x = 0; x < N / 3; x++) assert_true(out[x] == bytes[N + 3 * x]);
}

static void test_bins(void **state) {
  enum { H = 9, W = 24 };
  static uint8_t bytes[H * W];
  float          out[W], pair[2 * W];
  (void)state;
  for (int i = 0; i < H * W; i++) bytes[i] = (uint8_t)(i * i + 5 * i);
  weir_view v = view_of(WEIR_U8, H, W, bytes);
  for (int64_t fy = 0; fy < 2; fy++)
    for (int64_t fx = 0; fx < 2; fx++)
      for (int64_t y = 0; y < (H - fy) / 2; y++) {
        weir__piv_load_binned(&v, (int64_t[2]){fy, fx}, y, 0, out, pair);
        for (int64_t x = 0; x < (W - fx) / 2; x++) {
          int sum = 0;
          for (int k = 0; k < 4; k++) sum += bytes[(fy + 2 * y + k / 2) * W + fx + 2 * x + k % 2];
          assert_true(out[x] == (float)sum);
        }
      }
}

/* Noise that b has in common with a in one window alone, moved by (4, -6): that window has all of it only where it
 * lies. */
static void one_window(int64_t height, int64_t width, const int64_t window[2], int64_t j, int64_t i, bool binning) {
  const int64_t     dy = 4, dx = -6;
  int64_t           extent[2] = {height, width};
  weir_field_type   type      = test_type(WEIR_U8, 2, extent, 1);
  weir__piv         p         = {.passes = 2, .image = {height, width}, .type = &type, .binning = binning};
  test_engine      *e;
  test_field        image[2], out;
  const test_field *in[2]         = {&image[0], &image[1]};
  type.has_fill                   = false;
  const weir_field_type *types[2] = {&type, &type};
  weir__piv_settings    *s        = &p.settings[0];
  *s = (weir__piv_settings){.method = WEIR__PIV_FFT, .search = {window[0] / 4, window[1] / 4}, .peaks = 1};
  assert_int_equal(weir__piv_grid_make(p.image, window, (int64_t[2]){window[0] / 2, window[1] / 2}, &s->grid), WEIR_OK);
  p.settings[1]    = *s;
  int64_t first[2] = {s->grid.first[0] + j * s->grid.step[0], s->grid.first[1] + i * s->grid.step[1]};
  for (int k = 0; k < 2; k++) {
    test_field_create(&image[k], &type);
    for (int64_t n = 0; n < height * width; n++) test_field_set(&image[k], n, floor(256 * test_uniform()));
  }
  for (int64_t y = 0; y < window[0]; y++)
    for (int64_t x = 0; x < window[1]; x++) { /* around the edge, as FFT sees it */
      int64_t to[2] = {(y + dy + window[0]) % window[0], (x + dx + window[1]) % window[1]};
      test_field_set(&image[1], (first[0] + to[0]) * width + first[1] + to[1],
                     test_field_get(&image[0], (first[0] + y) * width + first[1] + x));
    }
  for (int64_t piece = 0; piece < 3; piece++) {
    assert_int_equal(test_engine_open(&weir__piv_operator_pass, &p, types, 2, piece, &e), WEIR_OK);
    assert_int_equal(test_engine_step(e, in, &out), WEIR_OK);
    int64_t vectors = s->grid.count[0] * s->grid.count[1];
    for (int64_t n = 0; n < vectors; n++) {
      double value = test_field_get(&out, WEIR__PIV_VALUE * vectors + n);
      if (n != j * s->grid.count[1] + i) {
        assert_false(value > 0.9);
        continue;
      }
      assert_true(value > 0.99999);
      assert_true(fabs(test_field_get(&out, WEIR__PIV_DY * vectors + n) - (double)dy) < 0.02);
      assert_true(fabs(test_field_get(&out, WEIR__PIV_DX * vectors + n) - (double)dx) < 0.02);
    }
    test_field_free(&out);
    test_engine_close(e);
  }
  for (int k = 0; k < 2; k++) test_field_free(&image[k]);
}

static void test_windows_of_bins(void **state) {
  static const int64_t size[][2] = {
      {200, 232}, {201, 233}, {202, 235}, {203, 234}}; /* window 0 at 4, 4; 4, 4; 5, 5 ... */
  static const int64_t window[][2] = {{64, 64}, {48, 64}, {64, 32}, {66, 62}};
  (void)state;
  for (int k = 0; k < 4; k++)
    for (int w = 0; w < 4; w++)
      for (int b = 0; b < 2; b++) one_window(size[k][0], size[k][1], window[w], w & 1, 2 + (k & 1), b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_bins),
                                     cmocka_unit_test(test_windows_of_bins)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
