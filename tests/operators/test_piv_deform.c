/* Splines and the deformation of images: against samples, formulas, and strips against the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "operators/piv/piv.h"
#include "operators/piv/spline.h"

static uint64_t state = 1;
static double   chance(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

static float *random_image(int64_t height, int64_t width) {
  float *image = malloc((size_t)(height * width) * sizeof *image);
  for (int64_t i = 0; i < height * width; i++) image[i] = (float)floor(256 * chance());
  return image;
}

/* Deform a whole image; scratch and result of exactly the size asked for. */
static float *deform(const float *image, int64_t height, int64_t width, const weir__piv_predictor *p, double share) {
  weir__piv_strip strip   = {image, 0, height, width};
  float          *out     = malloc((size_t)(height * width) * sizeof *out);
  void           *scratch = malloc(weir__piv_deform_scratch(&p->grid, height, height, width));
  weir__piv_deform(&strip, height, p, share, 0, height, out, scratch);
  free(scratch);
  return out;
}

static weir__piv_predictor uniform(const float *dy, const float *dx) {
  return (weir__piv_predictor){.grid = {.count = {1, 1}, .window = {8, 8}, .step = {4, 4}}, .dy = dy, .dx = dx};
}

static weir__piv_predictor quintic(weir__piv_predictor p) {
  p.interpolation = WEIR__PIV_QUINTIC;
  return p;
}

static int64_t held(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

static void whole_pixels(weir__piv_interpolation interpolation, float most) {
  static const int64_t size[][2]  = {{40, 37}, {1, 20}, {20, 1}, {2, 2}, {3, 50}, {1, 1}};
  static const int     shift[][2] = {{0, 0}, {1, -2}, {-3, 5}, {60, 0}, {0, -60}, {1000000, 1000000}};
  for (size_t s = 0; s < 6; s++)
    for (size_t k = 0; k < 6; k++) {
      int64_t             h = size[s][0], w = size[s][1];
      float               dy = 2 * (float)shift[k][0], dx = 2 * (float)shift[k][1];
      weir__piv_predictor p = uniform(&dy, &dx);
      p.interpolation       = interpolation;
      float *image = random_image(h, w), *plus = deform(image, h, w, &p, 0.5), *minus = deform(image, h, w, &p, -0.5);
      for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++) {
          float there = image[held(y + shift[k][0], h) * w + held(x + shift[k][1], w)];
          float back  = image[held(y - shift[k][0], h) * w + held(x - shift[k][1], w)];
          assert_true(fabsf(plus[y * w + x] - there) < most);
          assert_true(fabsf(minus[y * w + x] - back) < most);
        }
      free(image), free(plus), free(minus);
    }
}

static void test_whole_pixels(void **unused) {
  (void)unused;
  whole_pixels(WEIR__PIV_CUBIC, 2.5e-4f);
  whole_pixels(WEIR__PIV_QUINTIC, 1e-3f); /* its coefficients are up to 7.5^2 times as large as the samples */
}

/* What is linear stays exact up to the edge; waves as well as a cubic spline can: the error falls with the fourth power
 * of the step, (pi^4 / 45)(step / wavelength)^4 and a little more (Unser 1999). */
static void test_between_pixels(void **unused) {
  enum { H = 64, W = 80 };
  static float image[H * W];
  (void)unused;
  for (int wavelength = 0; wavelength <= 32; wavelength = wavelength ? 2 * wavelength : 8) {
    float               dy = 0.74f, dx = -1.38f;
    weir__piv_predictor p = uniform(&dy, &dx);
    double              k = wavelength ? 6.283185307179586 / wavelength : 0, worst = 0;
    for (int y = 0; y < H; y++)
      for (int x = 0; x < W; x++) image[y * W + x] = (float)(k > 0 ? sin(k * x) * cos(k * y) : 1 + 0.25 * x - 0.5 * y);
    float *out = deform(image, H, W, &p, 0.5);
    for (int y = 0; y < H; y++)
      for (int x = 0; x < W; x++) {
        double u = x + 0.5 * (double)dx, v = y + 0.5 * (double)dy;
        if (k > 0 && (y < 14 || x < 14 || y > H - 15 || x > W - 15)) continue;
        if (u < 0 || v > H - 1) continue;
        worst = fmax(worst, fabs((double)out[y * W + x] - (k > 0 ? sin(k * u) * cos(k * v) : 1 + 0.25 * u - 0.5 * v)));
      }
    double limit = k > 0 ? 2 * 2.2 * pow(1.0 / wavelength, 4) * 2 + 1e-6 : 2e-5;
    if (worst > limit) fail_msg("wavelength %d: error %g, expected at most %g", wavelength, worst, limit);
    free(out);
  }
}

/* What a cardinal spline of degree n makes of exp(i w x): its spectrum at w + 2 pi k is that of the B-spline there,
 * ((w + 2 pi k) / 2)^-(n+1) but for a common factor, and at the samples all of it is 1 (Unser 1999). */
static void wave(int degree, double w, double x, double *cosine, double *sine) {
  enum { ALIASES = 100 };
  double sum = 0;
  *cosine = *sine = 0;
  for (int k = -ALIASES; k <= ALIASES; k++) {
    double at = w + 6.283185307179586 * k, weight = pow(at / w, -(degree + 1));
    sum += weight;
    *cosine += weight * cos(at * x);
    *sine += weight * sin(at * x);
  }
  *cosine /= sum;
  *sine /= sum;
}

/* Down to waves of 2.5 pixels both are those splines, away from the edges; `worst`: from the wave itself. */
static void waves(weir__piv_interpolation interpolation, double wavelength, double *worst) {
  enum { H = 64, W = 72, INSIDE = 24 };
  static float        image[H * W];
  float               dy = 1.1f, dx = -1.38f;
  weir__piv_predictor p      = uniform(&dy, &dx);
  double              k      = 6.283185307179586 / wavelength, spline[2], other;
  int                 degree = interpolation == WEIR__PIV_QUINTIC ? 5 : 3;
  p.interpolation            = interpolation;
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) image[y * W + x] = (float)(sin(k * x) * cos(k * y));
  float *out = deform(image, H, W, &p, 0.5);
  *worst     = 0;
  for (int y = INSIDE; y < H - INSIDE; y++)
    for (int x = INSIDE; x < W - INSIDE; x++) {
      double u = x + 0.5 * (double)dx, v = y + 0.5 * (double)dy, got = (double)out[y * W + x];
      wave(degree, k, u, &other, &spline[1]);
      wave(degree, k, v, &spline[0], &other);
      if (fabs(got - spline[0] * spline[1]) > 4e-6)
        fail_msg("degree %d, wavelength %g: %g at (%d, %d), expected %g", degree, wavelength, got, y, x,
                 spline[0] * spline[1]);
      *worst = fmax(*worst, fabs(got - sin(k * u) * cos(k * v)));
    }
  free(out);
}

/* Twice as many pixels to a wave: 2^4 times the accuracy with cubic splines, 2^6 times with quintic ones. */
static void test_waves(void **unused) {
  static const double wavelength[] = {2.5, 3, 4, 5, 8, 10, 16};
  double              cubic[7], fifth[7];
  (void)unused;
  for (int i = 0; i < 7; i++) {
    waves(WEIR__PIV_CUBIC, wavelength[i], &cubic[i]);
    waves(WEIR__PIV_QUINTIC, wavelength[i], &fifth[i]);
    print_message("wavelength %g: error %.2g cubic, %.2g quintic\n", wavelength[i], cubic[i], fifth[i]);
  }
  assert_true(cubic[2] / cubic[4] > 13 && cubic[2] / cubic[4] < 24);
  assert_true(fifth[2] / fifth[4] > 45 && fifth[2] / fifth[4] < 120);
  for (int i = 1; i < 5; i++) assert_true(fifth[i] < cubic[i]);
  assert_true(fifth[4] < 0.05 * cubic[4]);
}

/* Products of powers up to the degree stay exact in the interior (the natural ends reach 0.43 to the power of their
 * distance), to rounding: what the samples nearby are, 2^5 and more, times 2^-24. Cubic splines cannot keep the others.
 */
static void test_polynomials(void **unused) {
  enum { SIDE = 97, MIDDLE = 48, INSIDE = 4 };
  static float image[SIDE * SIDE];
  float        dy = 0.9f, dx = -1.1f;
  (void)unused;
  for (int degree = 3; degree <= 5; degree += 2)
    for (int n = 0; n <= 5; n++)
      for (int m = 0; m <= 5; m++) {
        weir__piv_predictor p     = uniform(&dy, &dx);
        double              worst = 0;
        if (degree == 5) p = quintic(p);
        for (int y = 0; y < SIDE; y++)
          for (int x = 0; x < SIDE; x++)
            image[y * SIDE + x] = (float)(pow((y - MIDDLE) / 4.0, n) * pow((x - MIDDLE) / 4.0, m));
        float *out = deform(image, SIDE, SIDE, &p, 0.5);
        for (int y = MIDDLE - INSIDE; y <= MIDDLE + INSIDE; y++)
          for (int x = MIDDLE - INSIDE; x <= MIDDLE + INSIDE; x++) {
            double v = (y + 0.5 * (double)dy - MIDDLE) / 4, u = (x + 0.5 * (double)dx - MIDDLE) / 4;
            worst = fmax(worst, fabs((double)out[y * SIDE + x] - pow(v, n) * pow(u, m)));
          }
        bool kept = n <= degree && m <= degree;
        if (kept ? worst > 4e-5 : worst < 1.5e-4) fail_msg("degree %d, y^%d x^%d: error %g", degree, n, m, worst);
        free(out);
      }
}

/* Linear up to the edge, and in images of any size. */
static void test_quintic_edges(void **unused) {
  static const int64_t size[][2] = {{30, 41}, {1, 20}, {20, 1}, {2, 2}, {2, 3}, {3, 2}, {3, 50}, {1, 1}, {4, 5}};
  (void)unused;
  for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
    int64_t             h = size[s][0], w = size[s][1];
    float               dy = 0.74f, dx = -1.38f, *image = malloc((size_t)(h * w) * sizeof *image);
    weir__piv_predictor p = quintic(uniform(&dy, &dx));
    for (int64_t i = 0; i < h * w; i++) image[i] = (float)(1 + 0.25 * (double)(i % w) - 0.5 * (double)(i / w));
    float *out = deform(image, h, w, &p, 0.5);
    for (int64_t i = 0; i < h * w; i++) {
      double u = fmax((double)(i % w) + 0.5 * (double)dx, 0);
      double v = fmin((double)(i / w) + 0.5 * (double)dy, (double)(h - 1));
      assert_true(fabs((double)out[i] - (1 + 0.25 * u - 0.5 * v)) < 4e-5);
    }
    free(image), free(out);
  }
}

static float *wavy(const weir__piv_grid *grid, double size, double phase) {
  float *v = malloc((size_t)(grid->count[0] * grid->count[1]) * sizeof *v);
  for (int64_t y = 0; y < grid->count[0]; y++)
    for (int64_t x = 0; x < grid->count[1]; x++)
      v[y * grid->count[1] + x] =
          (float)(size * sin(0.7 * (double)y + phase) * cos(0.5 * (double)x - phase) + 0.1 * chance());
  return v;
}

/* Strips hold nothing but the rows they need, so that a sanitizer sees what reaches further. */
static void strips(weir__piv_interpolation interpolation) {
  enum { H = 300, W = 211 };
  static const int64_t height[] = {1, 7, 32, 150};
  for (int size = 0; size <= 40; size += 8) {
    weir__piv_grid      grid  = {.count = {17, 12}, .window = {32, 32}, .first = {6, 3}, .step = {16, 16}};
    float              *image = random_image(H, W), *dy = wavy(&grid, size, 0.3), *dx = wavy(&grid, size, 1.1);
    weir__piv_predictor p     = {.grid = grid, .dy = dy, .dx = dx, .interpolation = interpolation};
    float              *whole = deform(image, H, W, &p, 0.5);
    for (int k = 0; k < 4; k++)
      for (int64_t y = 0; y < H; y += height[k]) {
        int64_t n = y + height[k] < H ? height[k] : H - y, y0 = y, rows = n;
        weir__piv_deform_need(&p, H, &y0, &rows);
        assert_true(y0 >= 0 && y0 <= y && y0 + rows >= y + n && y0 + rows <= H);
        float *part = malloc((size_t)(rows * W) * sizeof *part), *out = malloc((size_t)(n * W) * sizeof *out);
        memcpy(part, image + y0 * W, (size_t)(rows * W) * sizeof *part);
        void           *scratch = malloc(weir__piv_deform_scratch(&grid, rows, n, W));
        weir__piv_strip strip   = {part, y0, rows, W};
        weir__piv_deform(&strip, H, &p, 0.5, y, n, out, scratch);
        for (int64_t i = 0; i < n * W; i++)
          if (fabsf(out[i] - whole[y * W + i]) > 1e-5f * 255)
            fail_msg("size %d, rows %lld from %lld: %g for %g", size, (long long)n, (long long)y, (double)out[i],
                     (double)whole[y * W + i]);
        free(part), free(out), free(scratch);
      }
    free(image), free(dy), free(dx), free(whole);
  }
}

static void test_strips(void **unused) {
  (void)unused;
  strips(WEIR__PIV_CUBIC);
  strips(WEIR__PIV_QUINTIC);
}

/* No more than half of the displacement and the filter reach, and never beyond the image. */
static void test_need(void **unused) {
  float               dy = 7, dx = 90;
  weir__piv_predictor p  = uniform(&dy, &dx);
  int64_t             y0 = 100, rows = 10;
  (void)unused;
  weir__piv_deform_need(&p, 1000, &y0, &rows);
  assert_int_equal(y0, 100 - 4 - 2 - WEIR__SPLINE_REACH);
  assert_int_equal(y0 + rows, 110 + 4 + 2 + WEIR__SPLINE_REACH);
  p  = quintic(p);
  y0 = 100, rows = 10;
  weir__piv_deform_need(&p, 1000, &y0, &rows);
  assert_int_equal(y0, 100 - 4 - 3 - WEIR__SPLINE_QUINTIC_REACH);
  assert_int_equal(y0 + rows, 110 + 4 + 3 + WEIR__SPLINE_QUINTIC_REACH);
  y0 = 3, rows = 10;
  weir__piv_deform_need(&p, 20, &y0, &rows);
  assert_int_equal(y0, 0);
  assert_int_equal(rows, 20);
}

/* At the pixels of a row: windows of one pixel. */
static void row_of(const weir__piv_predictor *p, int64_t y, int64_t columns, float *dy, float *dx) {
  weir__piv_grid pixels  = {.count = {1, columns}, .window = {1, 1}, .first = {y, 0}, .step = {1, 1}};
  void          *scratch = malloc(weir__piv_predict_scratch(&p->grid, 1));
  weir__piv_predict_centres(p, &pixels, 0, 1, dy, dx, scratch);
  free(scratch);
}

static void test_predictor(void **unused) {
  enum { W = 200 };
  weir__piv_grid      grid = {.count = {60, 12}, .window = {15, 31}, .first = {4, 2}, .step = {7, 13}};
  float              *dy = wavy(&grid, 5, 0.3), *dx = wavy(&grid, 3, 1), v[W], u[W], at[12], across[12];
  weir__piv_predictor p       = {.grid = grid, .dy = dy, .dx = dx};
  void               *scratch = malloc(weir__piv_predict_scratch(&grid, 1));
  (void)unused;
  for (int64_t r = 0; r < 60; r++) { /* its values at its centres, which are whole pixels */
    row_of(&p, 4 + 7 * r + 7, W, v, u);
    weir__piv_predict_centres(&p, &grid, r, 1, at, across, scratch);
    for (int64_t c = 0; c < 12; c++) {
      assert_true(fabsf(v[2 + 13 * c + 15] - dy[12 * r + c]) < 1e-5f);
      assert_true(fabsf(u[2 + 13 * c + 15] - dx[12 * r + c]) < 1e-5f);
      assert_true(fabsf(at[c] - dy[12 * r + c]) < 1e-5f);
      assert_true(fabsf(across[c] - dx[12 * r + c]) < 1e-5f);
    }
    for (int x = 0; x < 17; x++) assert_true(fabsf(v[x] - v[17]) < 1e-6f);
    for (int x = 160; x < W; x++) assert_true(fabsf(v[x] - v[160]) < 1e-6f);
  }
  for (int64_t r = 0; r < 60; r++) /* linear everywhere inside */
    for (int64_t c = 0; c < 12; c++) {
      dy[12 * r + c] = (float)(0.03 * (double)(7 * r) - 0.05 * (double)(13 * c));
      dx[12 * r + c] = 1;
    }
  for (int64_t y = -3; y < 500; y++) {
    double from = fmin(fmax((double)y - 11, 0), 7 * 59);
    row_of(&p, y, W, v, u);
    for (int x = 0; x < W; x++) {
      double expected = 0.03 * from - 0.05 * fmin(fmax(x - 17, 0), 13 * 11);
      assert_true(fabs((double)v[x] - expected) < 1e-5);
      assert_true(fabsf(u[x] - 1) < 1e-6f);
    }
  }
  weir__piv_grid finer = {.count = {80, 30}, .window = {8, 8}, .first = {0, 0}, .step = {5, 6}};
  float          fine[30], fine_across[30];
  for (int64_t r = 0; r < 80; r++) { /* centres between pixels */
    weir__piv_predict_centres(&p, &finer, r, 1, fine, fine_across, scratch);
    for (int64_t c = 0; c < 30; c++) {
      double y = fmin(fmax((double)(5 * r) + 3.5 - 11, 0), 7 * 59),
             x = fmin(fmax((double)(6 * c) + 3.5 - 17, 0), 13 * 11);
      assert_true(fabs((double)fine[c] - (0.03 * y - 0.05 * x)) < 1e-5);
    }
  }
  free(scratch), free(dy), free(dx);
}

/* A shear of the image undoes a shear: out(y, x) = image(y, x + share * g * y). */
static void test_varying(void **unused) {
  enum { H = 96, W = 120 };
  weir__piv_grid grid = {.count = {11, 14}, .window = {16, 16}, .first = {0, 0}, .step = {8, 8}};
  static float   dy[11 * 14], dx[11 * 14], image[H * W];
  (void)unused;
  for (int r = 0; r < 11; r++)
    for (int c = 0; c < 14; c++) dx[14 * r + c] = 0.06f * (8 * (float)r + 7.5f) - 3, dy[14 * r + c] = 0.5f;
  for (int y = 0; y < H; y++)
    for (int x = 0; x < W; x++) image[y * W + x] = (float)(100 * sin(0.3 * x + 0.2 * y));
  weir__piv_predictor p   = {.grid = grid, .dy = dy, .dx = dx};
  float              *out = deform(image, H, W, &p, -0.5);
  for (int y = 16; y < 80; y++)
    for (int x = 16; x < 104; x++) {
      double u = x - 0.5 * (0.06 * y - 3), v = y - 0.25;
      assert_true(fabs((double)out[y * W + x] - 100 * sin(0.3 * u + 0.2 * v)) < 100 * 2e-4);
    }
  free(out);
}

/* Rows are filtered together, some of them twice at the end, and as columns are. */
static void test_directions(void **unused) {
  enum { N = 19 };
  float a[N][N], b[N][N];
  (void)unused;
  for (int y = 0; y < N; y++)
    for (int x = 0; x < N; x++) b[x][y] = a[y][x] = (float)chance();
  void *scratch = malloc(weir__spline_rows_scratch(N));
  for (int degree = 3; degree <= 5; degree += 2) {
    weir__spline_samples samples = {&a[0][0], N};
    (degree == 3 ? weir__spline_rows : weir__spline_quintic_rows)(samples, &a[0][0], N, N, N, scratch);
    (degree == 3 ? weir__spline_columns : weir__spline_quintic_columns)(&b[0][0], N, N, N);
    for (int y = 0; y < N; y++)
      for (int x = 0; x < N; x++) assert_true(a[y][x] == b[x][y]);
  }
  free(scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_pixels), cmocka_unit_test(test_between_pixels),
                                     cmocka_unit_test(test_strips),       cmocka_unit_test(test_need),
                                     cmocka_unit_test(test_predictor),    cmocka_unit_test(test_varying),
                                     cmocka_unit_test(test_directions),   cmocka_unit_test(test_waves),
                                     cmocka_unit_test(test_polynomials),  cmocka_unit_test(test_quintic_edges)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
