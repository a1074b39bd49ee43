/* Vectors of particle image velocimetry on one thread: everything from two images to displacements, for both methods
 * and several windows at 50 % overlap, beside FFTW alone: the three real transforms that a correlation by the book
 * takes, and the one and a half complex ones that are used here. Best of repetitions, microseconds per vector.
 * Then an image moved by what such vectors say, strip by strip as passes do it: nanoseconds per pixel. */
#include "harness.h"
#include "operators/piv/piv.h"
#include <fftw3.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 1024, REPEATS = 9 };
static float *image[2];

/* Random spots, the second image moved by (1.3, 2.6) / 4. */
static void make_images(void) {
  uint32_t seed = 1;
  for (int k = 0; k < 2; k++) bench_check(weir__alloc_array((size_t)SIDE * SIDE, sizeof(float), &image[k]), "image");
  for (int p = 0; p < SIDE * SIDE / 20; p++) {
    double at[2];
    for (int k = 0; k < 2; k++) {
      seed  = seed * 1664525u + 1013904223u;
      at[k] = (double)(seed >> 8) / (1 << 24) * (SIDE - 8) + 4;
    }
    for (int k = 0; k < 2; k++) {
      double y = at[0] + 0.325 * k, x = at[1] + 0.65 * k;
      for (int j = (int)y - 2; j <= (int)y + 3; j++)
        for (int i = (int)x - 2; i <= (int)x + 3; i++)
          if (j >= 0 && j < SIDE && i >= 0 && i < SIDE)
            image[k][j * SIDE + i] += (float)(200 * exp(-((j - y) * (j - y) + (i - x) * (i - x)) / 0.78));
    }
  }
}

typedef struct job {
  weir__piv_correlator *correlator;
  weir__piv_settings    settings;
  weir__piv_vector     *vector;
  void                 *scratch;
  fftwf_plan            plan[2];
} job;

static void correlate(void *self) {
  job            *j = self;
  weir__piv_strip a = {image[0], 0, SIDE, SIDE}, b = {image[1], 0, SIDE, SIDE};
  weir__piv_correlate(j->correlator, &a, &b, NULL, 0, j->settings.grid.count[0], j->vector, j->scratch);
}

static void bare(void *self) {
  job *j = self;
  for (int64_t k = 0; k < j->settings.grid.count[0] * j->settings.grid.count[1]; k += 2) {
    for (int i = 0; i < (j->plan[1] ? 4 : 3); i++) fftwf_execute(j->plan[0]);
    if (j->plan[1])
      for (int i = 0; i < 2; i++) fftwf_execute(j->plan[1]);
  }
}

static double best_us(void (*body)(void *), job *j) {
  double best = INFINITY;
  for (int k = 0; k < REPEATS; k++) {
    double ns = bench_time_ns(body, j, 1);
    if (ns < best) best = ns;
  }
  return best / 1e3 / (double)(j->settings.grid.count[0] * j->settings.grid.count[1]);
}

static void measure(const char *system, const char *what, weir__piv_settings settings) {
  job j = {.settings = settings};
  bench_check(weir__piv_correlator_create(&settings, &j.correlator), what);
  bench_check(weir__alloc_array((size_t)(settings.grid.count[0] * settings.grid.count[1]), sizeof *j.vector, &j.vector),
              what);
  bench_check(weir__alloc_zeroed(weir__piv_correlator_scratch(j.correlator, SIDE), 64, &j.scratch), what);
  double us = best_us(correlate, &j);
  bench_value(what, system, "time", us, "us/vector");
  if (settings.grid.window[0] == 32 && settings.method == WEIR__PIV_FFT && !settings.padded && !settings.weighting &&
      settings.subpixel == WEIR__PIV_GAUSS3) {
    char text[96];
    snprintf(text, sizeof text, "correlation of a vector in windows of 32 x 32: %s", system);
    bench_at_most(text, us, 2.5, "us");
  }
  weir__free(j.scratch);
  weir__free(j.vector);
  weir__piv_correlator_destroy(&j.correlator);
}

static void measure_bare(const char *what, const weir__piv_settings *settings) {
  int            n = (int)settings->grid.window[0];
  fftwf_complex *z = fftwf_malloc((size_t)n * (size_t)(n + 2) * sizeof *z);
  float         *x = fftwf_malloc((size_t)n * (size_t)n * sizeof *x);
  job            j = {.settings = *settings};
  for (int i = 0; i < n * (n + 2); i++) z[i][0] = z[i][1] = 0;
  for (int i = 0; i < n * n; i++) x[i] = 0;
  j.plan[0] = fftwf_plan_dft_2d(n, n, z, z, FFTW_FORWARD, FFTW_ESTIMATE);
  bench_value(what, "fftw: 1.5 complex", "time", best_us(bare, &j), "us/vector");
  fftwf_destroy_plan(j.plan[0]);
  j.plan[0] = fftwf_plan_dft_r2c_2d(n, n, x, z, FFTW_ESTIMATE);
  j.plan[1] = fftwf_plan_dft_c2r_2d(n, n, z, x, FFTW_ESTIMATE);
  bench_value(what, "fftw: 3 real", "time", best_us(bare, &j), "us/vector");
  fftwf_destroy_plan(j.plan[0]);
  fftwf_destroy_plan(j.plan[1]);
  fftwf_free(x);
  fftwf_free(z);
}

/* ---- images moved ---- */

typedef struct move {
  weir__piv_predictor predictor;
  float              *out;
  void               *scratch;
} move;

enum { STRIP = 128 + 32 + 6 }; /* rows of pixels that a block of vectors looks at */

static void deform(void *self) {
  move *m = self;
  for (int64_t y = 0; y < SIDE; y += STRIP) {
    int64_t rows = y + STRIP < SIDE ? STRIP : SIDE - y, first = y, count = rows;
    weir__piv_deform_need(&m->predictor, SIDE, &first, &count);
    weir__piv_strip strip = {image[0] + first * SIDE, first, count, SIDE};
    weir__piv_deform(&strip, SIDE, &m->predictor, -0.5, y, rows, m->out, m->scratch);
  }
}

static void measure_deform(const char *system, const weir__piv_grid *grid, weir__piv_interpolation interpolation) {
  int64_t count  = grid->count[0] * grid->count[1];
  move    m      = {.predictor = {.grid = *grid, .interpolation = interpolation}};
  double  best   = INFINITY;
  float  *vector = NULL;
  bench_check(weir__alloc_array((size_t)(2 * count), sizeof *vector, &vector), system);
  for (int64_t i = 0; i < count; i++) { /* a shear and waves, as flows are */
    double y = (double)(i / grid->count[1]), x = (double)(i % grid->count[1]);
    vector[i]         = (float)(1.3 + sin(0.3 * x + 0.1 * y));
    vector[count + i] = (float)(3.1 + 0.1 * y + cos(0.2 * x));
  }
  m.predictor.dy = vector;
  m.predictor.dx = vector + count;
  bench_check(weir__alloc_array((size_t)STRIP * SIDE, sizeof *m.out, &m.out), system);
  bench_check(weir__alloc_zeroed(weir__piv_deform_scratch(grid, SIDE, STRIP, SIDE), 64, &m.scratch), system);
  for (int k = 0; k < REPEATS; k++) best = fmin(best, bench_time_ns(deform, &m, 1));
  bench_value("deform", system, "time", best / ((double)SIDE * SIDE), "ns/pixel");
  weir__free(m.scratch);
  weir__free(m.out);
  weir__free(vector);
}

int main(void) {
  static const int64_t sizes[] = {16, 32, 64}, side[2] = {SIDE, SIDE};
  static const char   *names[] = {"16x16", "32x32", "64x64"};
  bench_open("piv_correlate");
  make_images();
  for (int k = 0; k < 3; k++) {
    int64_t            window[2] = {sizes[k], sizes[k]}, step[2] = {sizes[k] / 2, sizes[k] / 2};
    weir__piv_settings s = {.method = WEIR__PIV_FFT, .search = {sizes[k] / 2 - 1, sizes[k] / 2 - 1}, .peaks = 1};
    bench_check(weir__piv_grid_make(side, window, step, &s.grid), names[k]);
    measure_bare(names[k], &s);
    measure("fft", names[k], s);
    s.search[0] = s.search[1] = sizes[k] / 4;
    measure("fft, search 1/4", names[k], s);
    s.subpixel = WEIR__PIV_GAUSS2D;
    measure("fft, search 1/4, gauss2d", names[k], s);
    s.subpixel  = WEIR__PIV_GAUSS3;
    s.weighting = WEIR__PIV_GAUSSIAN;
    measure("fft, search 1/4, weighted", names[k], s);
    s.weighting = WEIR__PIV_UNIFORM;
    s.padded    = true;
    measure("fft, search 1/4, padded", names[k], s);
    s.method = WEIR__PIV_DIRECT;
    s.padded = false;
    for (int search = 1; search <= 3; search++) {
      static const char *systems[] = {"direct, 9 shifts", "direct, 25 shifts", "direct, 49 shifts"};
      s.search[0] = s.search[1] = search;
      measure(systems[search - 1], names[k], s);
    }
    s.search[0] = s.search[1] = 2;
    s.weighting               = WEIR__PIV_GAUSSIAN;
    measure("direct, 25 shifts, weighted", names[k], s);
    if (sizes[k] != 32) continue;
    measure_deform("cubic", &s.grid, WEIR__PIV_CUBIC);
    measure_deform("quintic", &s.grid, WEIR__PIV_QUINTIC);
  }
  for (int k = 0; k < 2; k++) weir__free(image[k]);
  return 0;
}
