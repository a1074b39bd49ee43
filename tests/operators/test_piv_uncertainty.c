/* Uncertainties against the errors that are really made, and against the covariances summed as they are defined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "operators/piv/piv.h"
#include "operators/piv/synthetic.h"

enum { SIZE = 512, WINDOW = 32, ACROSS = 15, COUNT = ACROSS * ACROSS };

typedef struct images {
  float *a, *b; /* [SIZE][SIZE] */
} images;

static images make(const weir__piv_scene *scene) {
  size_t   n = (size_t)SIZE * SIZE;
  images   i = {malloc(n * sizeof(float)), malloc(n * sizeof(float))};
  uint8_t *a = malloc(n), *b = malloc(n);
  assert_int_equal(weir__piv_synthesize(scene, a, b), WEIR_OK);
  for (size_t k = 0; k < n; k++) i.a[k] = a[k], i.b[k] = b[k];
  free(a), free(b);
  return i;
}

/* Both images moved onto each other by the displacement that is true. */
static void deform(images *i, float dy, float dx) {
  weir__piv_predictor p       = {.grid = {.count = {1, 1}, .window = {8, 8}, .step = {4, 4}}, .dy = &dy, .dx = &dx};
  float              *out     = malloc((size_t)SIZE * SIZE * sizeof *out);
  void               *scratch = malloc(weir__piv_deform_scratch(&p.grid, SIZE, SIZE, SIZE));
  for (int k = 0; k < 2; k++) {
    float          *image = k ? i->b : i->a;
    weir__piv_strip strip = {image, 0, SIZE, SIZE};
    weir__piv_deform(&strip, SIZE, &p, k ? 0.5 : -0.5, 0, SIZE, out, scratch);
    memcpy(image, out, (size_t)SIZE * SIZE * sizeof *out);
  }
  free(out), free(scratch);
}

static void uncertainty(const weir__piv_grid *grid, weir__piv_weighting weighting, const weir__piv_strip *a,
                        const weir__piv_strip *b, const uint8_t *mask, float *udy, float *udx) {
  void *scratch =
      malloc(weir__piv_uncertainty_scratch(grid, a->columns)); /* exactly: a sanitizer sees what is beyond */
  weir__piv_uncertainty(grid, weighting, a, b, mask, 0, grid->count[0], udy, udx, scratch);
  free(scratch);
}

static double weight_at(int i, bool gaussian) {
  double z = (i - 0.5 * (WINDOW - 1)) / (WINDOW / 3.0);
  return gaussian ? exp(-0.5 * z * z) : 1;
}

/* ---- the displacement that is left, by three points of the correlation ---- */

static double correlation(const float *a, const float *b, int sy, int sx, bool gaussian) {
  double ma = 0, mb = 0, weights = 0, sum = 0;
  for (int y = 0; y < WINDOW; y++)
    for (int x = 0; x < WINDOW; x++) {
      double w = weight_at(y, gaussian) * weight_at(x, gaussian);
      ma += w * (double)a[y * SIZE + x], mb += w * (double)b[y * SIZE + x], weights += w;
    }
  ma /= weights, mb /= weights;
  for (int y = 0; y < WINDOW; y++)
    for (int x = 0; x < WINDOW; x++) {
      int    v = (y + sy + WINDOW) % WINDOW, u = (x + sx + WINDOW) % WINDOW;
      double w = weight_at(y, gaussian) * weight_at(x, gaussian) * weight_at(v, gaussian) * weight_at(u, gaussian);
      sum += w * ((double)a[y * SIZE + x] - ma) * ((double)b[v * SIZE + u] - mb);
    }
  return sum;
}

static double left(const float *a, const float *b, int axis, bool gaussian) {
  double before = log(correlation(a, b, axis ? 0 : -1, axis ? -1 : 0, gaussian));
  double here = log(correlation(a, b, 0, 0, gaussian)), after = log(correlation(a, b, !axis, axis, gaussian));
  return 0.5 * (before - after) / (before - 2 * here + after);
}

static const struct {
  double density, diameter, noise, loss, dy, dx;
  bool   gaussian;
} scenes[] = {
    {0.05, 2.5, 5, 0, 0.3, 0.5, false},   {0.05, 2.5, 15, 0, 0, 0, false},        {0.05, 2.5, 0, 0.1, 0.3, 0.5, false},
    {0.05, 2.5, 0, 0.3, 0.3, 0.5, false}, {0.05, 2.5, 5, 0.1, 1.75, 3.25, false}, {0.02, 2.5, 5, 0.1, 0.3, 0.5, false},
    {0.1, 2.5, 5, 0.1, 0.3, 0.5, false},  {0.05, 1.5, 5, 0.05, 0.3, 0.5, false},  {0.05, 4, 5, 0.1, 0.3, 0.5, false},
    {0.03, 6, 5, 0.1, 0.3, 0.5, false},   {0.05, 2.5, 5, 0.1, 1.75, 3.25, true},  {0.05, 2.5, 15, 0, 0, 0, true},
    {0.05, 2.5, 0, 0, 0.3, 0.5, false},   {0.05, 4, 0, 0, 0.3, 0.5, false}};

static void test_ratio(void **unused) {
  static float         u[2][COUNT];
  const weir__piv_grid grid = {
      .count = {ACROSS, ACROSS}, .window = {WINDOW, WINDOW}, .first = {16, 16}, .step = {32, 32}};
  (void)unused;
  for (size_t k = 0; k < sizeof scenes / sizeof *scenes; k++) {
    bool             gaussian = scenes[k].gaussian;
    weir__piv_motion motion   = {.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {scenes[k].dy, scenes[k].dx}};
    weir__piv_scene  s        = {.size         = {SIZE, SIZE},
                                 .density      = scenes[k].density,
                                 .diameter     = scenes[k].diameter,
                                 .peak         = 150,
                                 .background   = 20,
                                 .noise        = scenes[k].noise,
                                 .loss         = scenes[k].loss,
                                 .bits         = 8,
                                 .seed         = k + 1,
                                 .sheet        = WEIR__PIV_SHEET_GAUSSIAN,
                                 .displacement = weir__piv_motion_at,
                                 .parameters   = &motion};
    images           i        = make(&s);
    deform(&i, (float)scenes[k].dy, (float)scenes[k].dx);
    weir__piv_strip a = {i.a, 0, SIZE, SIZE}, b = {i.b, 0, SIZE, SIZE};
    uncertainty(&grid, gaussian ? WEIR__PIV_GAUSSIAN : WEIR__PIV_UNIFORM, &a, &b, NULL, u[0], u[1]);
    for (int axis = 0; axis < 2; axis++) {
      double sum = 0, squares = 0, estimated = 0;
      for (int v = 0; v < COUNT; v++) {
        int64_t at = (16 + 32 * (v / ACROSS)) * SIZE + 16 + 32 * (v % ACROSS);
        double  e  = left(i.a + at, i.b + at, axis, gaussian);
        assert_true(isfinite(e) && u[axis][v] > 0);
        sum += e, squares += e * e, estimated += (double)u[axis][v] / COUNT;
      }
      double error = sqrt(squares / COUNT - sum * sum / COUNT / COUNT);
      print_message("%g particles of %g pixels, noise %g, loss %g, %s: error %.4f, uncertainty %.4f, ratio %.2f\n",
                    scenes[k].density, scenes[k].diameter, scenes[k].noise, scenes[k].loss, axis ? "x" : "y", error,
                    estimated, estimated / error);
      assert_true(estimated / error > 0.7 && estimated / error < 1.4);
    }
    free(i.a), free(i.b);
  }
}

/* ---- the formula, term by term ---- */

static double triangle(int lag, int width) { return lag < width ? 1 - (double)lag / width : 0; }

static double by_definition(const float *a, const float *b, const uint8_t *mask, int64_t columns, int ny, int nx,
                            int axis) {
  static double d[64 * 64], q[64 * 64];
  double        ma = 0, mb = 0, n = 0, sum = 0, both = 0, middle = 0, s2 = 0, least = 0;
  int           rows = ny - !axis, wide = nx - axis, half = 3;
  int64_t       next = axis ? 1 : columns;
  while (half > 1 && (6 * half > ny || 6 * half > nx)) half--;
  for (int y = 0; y < ny; y++)
    for (int x = 0; x < nx; x++)
      if (!mask || !mask[y * columns + x]) ma += (double)a[y * columns + x], mb += (double)b[y * columns + x], n++;
  ma /= n, mb /= n;
  for (int y = 0; y < rows; y++)
    for (int x = 0; x < wide; x++) {
      int64_t i = y * columns + x, j = i + next;
      double  seen = !mask || (!mask[i] && !mask[j]);
      double  ai = (double)a[i] - ma, aj = (double)a[j] - ma, bi = (double)b[i] - mb, bj = (double)b[j] - mb;
      d[y * wide + x] = seen * (ai * bj - aj * bi);
      q[y * wide + x] = seen * (ai * bj + aj * bi);
      sum += d[y * wide + x], both += q[y * wide + x], middle += seen * (ai * bi + aj * bj);
    }
  for (int i = 0; i < rows * wide; i++) d[i] -= sum / both * q[i];
  for (int i = 0; i < rows * wide; i++)
    for (int j = 0; j < rows * wide; j++) {
      int    dy = abs(i / wide - j / wide), dx = abs(i % wide - j % wide);
      double weight = 2 * triangle(dy, 2 * half) * triangle(dx, 2 * half) - triangle(dy, half) * triangle(dx, half);
      s2 += weight * d[i] * d[j];
      least += 0.1 * triangle(dy, 2 * half) * triangle(dx, 2 * half) * d[i] * d[j];
    }
  if (s2 < least) s2 = least;
  double c = both / 2, s = sqrt(s2);
  return (log(c + s / 2) - log(c - s / 2)) / (4 * log(middle / 2) - 2 * log(c + s / 2) - 2 * log(c - s / 2));
}

static void test_definition(void **unused) {
  static const int64_t window[][2] = {{32, 32}, {16, 24}, {9, 31}, {24, 5}};
  weir__piv_motion     motion      = {.kind = WEIR__PIV_UNIFORM_SHIFT};
  weir__piv_scene      s           = {.size         = {SIZE, SIZE},
                                      .density      = 0.08,
                                      .diameter     = 2.5,
                                      .peak         = 150,
                                      .background   = 20,
                                      .noise        = 6,
                                      .loss         = 0.05,
                                      .bits         = 8,
                                      .seed         = 5,
                                      .displacement = weir__piv_motion_at,
                                      .parameters   = &motion};
  images               i           = make(&s);
  uint8_t             *mask        = calloc(SIZE, SIZE);
  (void)unused;
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++) mask[y * SIZE + x] = (x + y) % 97 < 9;
  for (size_t k = 0; k < 8; k++) {
    weir__piv_grid grid = {.count = {5, 6}, .first = {40, 3}, .step = {17, 40}};
    float          udy[30], udx[30];
    uint8_t       *use = k & 1 ? mask : NULL;
    memcpy(grid.window, window[k / 2], sizeof grid.window);
    int64_t rows = 4 * 17 + grid.window[0]; /* strips from different rows on, no longer than the windows */
    float  *pa = malloc((size_t)(rows * SIZE) * sizeof *pa), *pb = malloc((size_t)((rows + 3) * SIZE) * sizeof *pb);
    memcpy(pa, i.a + 40 * SIZE, (size_t)(rows * SIZE) * sizeof *pa);
    memcpy(pb, i.b + 37 * SIZE, (size_t)((rows + 3) * SIZE) * sizeof *pb);
    weir__piv_strip a = {pa, 40, rows, SIZE}, b = {pb, 37, rows + 3, SIZE};
    uncertainty(&grid, WEIR__PIV_UNIFORM, &a, &b, use ? use + 40 * SIZE : NULL, udy, udx);
    for (int v = 0; v < 30; v++) {
      int64_t at = (40 + 17 * (v / 6)) * SIZE + 3 + 40 * (v % 6);
      int     ny = (int)grid.window[0], nx = (int)grid.window[1];
      double  y = by_definition(i.a + at, i.b + at, use ? use + at : NULL, SIZE, ny, nx, 0);
      double  x = by_definition(i.a + at, i.b + at, use ? use + at : NULL, SIZE, ny, nx, 1);
      if (isfinite(y)) assert_true(fabs((double)udy[v] - y) < 1e-4 * y);
      else assert_true(isnan(udy[v]));
      if (isfinite(x)) assert_true(fabs((double)udx[v] - x) < 1e-4 * x);
      else assert_true(isnan(udx[v]));
    }
    free(pa), free(pb);
  }
  free(i.a), free(i.b), free(mask);
}

/* ---- how it is computed makes no difference ---- */

static void test_row_ranges(void **unused) {
  static const struct {
    int64_t             window[2], step[2];
    weir__piv_weighting weighting;
    bool                masked;
  } cases[] = {{{32, 32}, {16, 16}, WEIR__PIV_UNIFORM, false}, {{16, 16}, {8, 8}, WEIR__PIV_GAUSSIAN, false},
               {{17, 25}, {5, 9}, WEIR__PIV_UNIFORM, true},    {{32, 24}, {32, 40}, WEIR__PIV_GAUSSIAN, true},
               {{7, 40}, {9, 3}, WEIR__PIV_UNIFORM, false},    {{64, 64}, {32, 32}, WEIR__PIV_UNIFORM, true}};
  weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT};
  weir__piv_scene  s      = {.size         = {SIZE, SIZE},
                             .density      = 0.06,
                             .diameter     = 2.5,
                             .peak         = 150,
                             .noise        = 6,
                             .loss         = 0.05,
                             .bits         = 8,
                             .seed         = 9,
                             .displacement = weir__piv_motion_at,
                             .parameters   = &motion};
  images           i      = make(&s);
  uint8_t         *mask   = calloc(SIZE, SIZE);
  (void)unused;
  for (int y = 0; y < SIZE; y++)
    for (int x = 0; x < SIZE; x++) mask[y * SIZE + x] = (3 * x + y) % 211 < 20;
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    enum { ROWS = 9, COLUMNS = 11, ALL = ROWS * COLUMNS };
    weir__piv_grid  grid = {.count  = {ROWS, COLUMNS},
                            .window = {cases[k].window[0], cases[k].window[1]},
                            .first  = {3, 5},
                            .step   = {cases[k].step[0], cases[k].step[1]}};
    weir__piv_strip a = {i.a, 0, SIZE, SIZE}, b = {i.b, 0, SIZE, SIZE};
    uint8_t        *m       = cases[k].masked ? mask : NULL;
    void           *scratch = malloc(weir__piv_uncertainty_scratch(&grid, SIZE));
    float           whole[2][ALL], part[2][ALL];
    int             known = 0;
    uncertainty(&grid, cases[k].weighting, &a, &b, m, whole[0], whole[1]);
    for (int64_t row = 0, rows = 1; row < ROWS; row += rows, rows = rows % 3 + 1) {
      int64_t left_over = ROWS - row, n = rows < left_over ? rows : left_over, skip = row * COLUMNS;
      int64_t y0 = grid.first[0] + row * grid.step[0]; /* nothing above is looked at */
      memset(scratch, 0xA5, weir__piv_uncertainty_scratch(&grid, SIZE));
      weir__piv_strip pa = {i.a + y0 * SIZE, y0, SIZE - y0, SIZE}, pb = {i.b + y0 * SIZE, y0, SIZE - y0, SIZE};
      weir__piv_uncertainty(&grid, cases[k].weighting, &pa, &pb, m ? m + y0 * SIZE : NULL, row, n, part[0] + skip,
                            part[1] + skip, scratch);
    }
    assert_memory_equal(whole, part, sizeof whole);
    for (int v = 0; v < ALL; v++) known += isfinite(whole[0][v]) && isfinite(whole[1][v]);
    assert_true(known > ALL / 2);
    free(scratch);
  }
  free(i.a), free(i.b), free(mask);
}

/* ---- what cannot be told ---- */

static void test_limits(void **unused) {
  weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT};
  weir__piv_scene  s      = {.size         = {SIZE, SIZE},
                             .density      = 0.08,
                             .diameter     = 2.5,
                             .peak         = 150,
                             .bits         = 8,
                             .seed         = 5,
                             .displacement = weir__piv_motion_at,
                             .parameters   = &motion};
  weir__piv_grid   grid   = {.count = {1, 4}, .window = {32, 32}, .first = {10, 10}, .step = {1, 40}};
  images           i      = make(&s);
  weir__piv_strip  a      = {i.a, 0, SIZE, SIZE};
  uint8_t         *mask   = calloc(SIZE, SIZE);
  float            udy[4], udx[4], *flat = calloc(SIZE, SIZE * sizeof *flat);
  weir__piv_strip  none = {flat, 0, SIZE, SIZE};
  (void)unused;
  for (int y = 0; y < SIZE; y++) { /* masks of the whole of window 1, of three quarters of 2, of one column more of 3 */
    memset(mask + y * SIZE + 50, 1, 32);
    memset(mask + y * SIZE + 90, 1, 24);
    memset(mask + y * SIZE + 130, 1, 25);
  }
  uncertainty(&grid, WEIR__PIV_UNIFORM, &a, &a, mask, udy, udx);
  assert_true(udy[0] == 0 && udx[0] == 0); /* the images are the same */
  assert_true(isnan(udy[1]) && isnan(udx[1]));
  assert_true(udy[2] == 0 && udx[2] == 0);
  assert_true(isnan(udy[3]) && isnan(udx[3]));
  uncertainty(&grid, WEIR__PIV_GAUSSIAN, &none, &none, NULL, udy, udx);
  for (int k = 0; k < 4; k++) assert_true(isnan(udy[k]) && isnan(udx[k])); /* without contrast */
  for (int64_t k = 0; k < SIZE * SIZE; k++) flat[k] = -i.a[k];
  uncertainty(&grid, WEIR__PIV_UNIFORM, &a, &none, NULL, udy, udx);
  for (int k = 0; k < 4; k++) assert_true(isnan(udy[k]) && isnan(udx[k])); /* no peak */
  free(i.a), free(i.b), free(mask), free(flat);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_ratio), cmocka_unit_test(test_definition),
                                     cmocka_unit_test(test_row_ranges), cmocka_unit_test(test_limits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
