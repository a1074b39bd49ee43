/* Deformation gives the same bits in whatever registers: the build's choice against one for any machine. */
#define WEIR__WIDE
#define weir__piv_deform                    narrow_deform
#define weir__piv_deform_need               narrow_deform_need
#define weir__piv_deform_mask               narrow_deform_mask
#define weir__piv_fill_masked               narrow_fill_masked
#define weir__piv_deform_scratch            narrow_deform_scratch
#define weir__piv_predict_scratch           narrow_predict_scratch
#define weir__piv_predict_centres           narrow_predict_centres
#define weir__spline_columns                narrow_spline_columns
#define weir__spline_rows                   narrow_spline_rows
#define weir__spline_rows_scratch           narrow_spline_rows_scratch
#define weir__spline_extend_columns         narrow_spline_extend_columns
#define weir__spline_extend_rows            narrow_spline_extend_rows
#define weir__spline_quintic_columns        narrow_spline_quintic_columns
#define weir__spline_quintic_rows           narrow_spline_quintic_rows
#define weir__spline_quintic_extend_columns narrow_spline_quintic_extend_columns
#define weir__spline_quintic_extend_rows    narrow_spline_quintic_extend_rows
#include "operators/piv/spline.c"
#include "operators/piv/deform.c"
#undef weir__piv_deform
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>

void weir__piv_deform(const weir__piv_strip *image, int64_t height, const weir__piv_predictor *predictor, double share,
                      int64_t y0, int64_t rows, float *out, void *scratch);

static uint32_t state = 1;
static float    chance(void) {
     state = state * 1664525u + 1013904223u;
     return (float)(state >> 8) / 16777216.0f;
}

static void test_same_bits(void **unused) {
  enum { H = 90, W = 203, NY = 10, NX = 24 };
  static float   image[H * W], wide[H * W], narrow[H * W], dy[NY * NX], dx[NY * NX];
  weir__piv_grid grid = {.count = {NY, NX}, .window = {16, 16}, .first = {1, 1}, .step = {8, 8}};
  (void)unused;
  for (int round = 0; round < 12; round++) { /* from pixels that stay side by side to each for itself */
    for (int i = 0; i < H * W; i++) image[i] = 255 * chance();
    for (int i = 0; i < NY * NX; i++) dy[i] = 2 * (float)round * (chance() - 0.5f), dx[i] = 4 * (float)round * chance();
    weir__piv_predictor p = {.grid = grid, .dy = dy, .dx = dx, .interpolation = (weir__piv_interpolation)(round % 2)};
    weir__piv_strip     strip   = {image, 0, H, W};
    void               *scratch = malloc(weir__piv_deform_scratch(&grid, H, H, W));
    weir__piv_deform(&strip, H, &p, -0.5, 0, H, wide, scratch);
    narrow_deform(&strip, H, &p, -0.5, 0, H, narrow, scratch);
    assert_memory_equal(wide, narrow, sizeof wide);
    free(scratch);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
