/* Uncertainties are the same bytes whether the machine's registers hold four floats or more: the file once more,
 * without the versions for wider ones, beside that of the library, which takes the widest there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#define WEIR__WIDE                    /* in one version: see core/simd.h */
#define weir__piv_uncertainty         narrow_uncertainty
#define weir__piv_uncertainty_scratch narrow_uncertainty_scratch
#include "operators/piv/uncertainty.c"
#undef weir__piv_uncertainty
#undef weir__piv_uncertainty_scratch

size_t weir__piv_uncertainty_scratch(const weir__piv_grid *grid, int64_t columns);
void   weir__piv_uncertainty(const weir__piv_grid *grid, weir__piv_weighting weighting, const weir__piv_strip *a,
                             const weir__piv_strip *b, const uint8_t *mask, int64_t row, int64_t rows, float *udy,
                             float *udx, void *scratch);

enum { SIDE = 160, MOST = 40 * 40 };

static float random_to(float most) {
  static uint32_t seed = 1;
  seed                 = seed * 1664525u + 1013904223u;
  return most * (float)(seed >> 8) / (1 << 24);
}

/* The same soft texture in both, and some noise of each one's own. */
static void make_images(float *a, float *b, uint8_t *mask) {
  float *raw = malloc(sizeof *raw * SIDE * SIDE);
  for (int k = 0; k < SIDE * SIDE; k++) {
    raw[k] = random_to(100);
    int  y = k / SIDE, x = k % SIDE;
    bool inside = y && x;
    a[k]        = inside ? raw[k] + raw[k - 1] + raw[k - SIDE] + raw[k - SIDE - 1] : raw[k];
    b[k]        = a[k] + random_to(10);
    mask[k]     = (y * 5 + x) % 97 < 6;
  }
  free(raw);
}

static void test_widths(void **unused) {
  static float   a[SIDE * SIDE], b[SIDE * SIDE], u[2][2][MOST];
  static uint8_t mask[SIDE * SIDE];
  (void)unused;
  make_images(a, b, mask);
  for (int64_t window = 4; window < 70; window += window < 18 ? 1 : 7)
    for (int k = 0; k < 4; k++) { /* with and without weights and masked pixels */
      int64_t             step = window / 2, n = (SIDE - window) / step + 1;
      weir__piv_weighting weighting = k & 1 ? WEIR__PIV_GAUSSIAN : WEIR__PIV_UNIFORM;
      weir__piv_grid      grid      = {.count = {n < 40 ? n : 40, n < 40 ? n : 40}, .window = {window, window + 1}};
      weir__piv_strip     of[2]     = {{a, 0, SIDE, SIDE}, {b, 0, SIDE, SIDE}};
      grid.step[0]                  = step;
      grid.step[1]                  = step - 1;
      size_t   all = (size_t)(grid.count[0] * grid.count[1]), known = 0;
      void    *scratch = malloc(weir__piv_uncertainty_scratch(&grid, SIDE));
      uint8_t *m       = k & 2 ? mask : NULL;
      assert_int_equal(weir__piv_uncertainty_scratch(&grid, SIDE), narrow_uncertainty_scratch(&grid, SIDE));
      weir__piv_uncertainty(&grid, weighting, &of[0], &of[1], m, 0, grid.count[0], u[0][0], u[0][1], scratch);
      narrow_uncertainty(&grid, weighting, &of[0], &of[1], m, 0, grid.count[0], u[1][0], u[1][1], scratch);
      for (int axis = 0; axis < 2; axis++) assert_memory_equal(u[0][axis], u[1][axis], all * sizeof(float));
      for (size_t v = 0; v < all; v++) known += isfinite(u[0][0][v]) != 0;
      assert_true(2 * known > all);
      free(scratch);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_widths)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
