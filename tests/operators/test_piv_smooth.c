/* Thin-plate splines against the whole system solved by Gaussian elimination; noise, gaps, outliers, sub-domains. */
#include "operators/piv/piv.h"
#include "core/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *room(size_t bytes) {
  void *p = NULL;
  assert_int_equal(weir__alloc_zeroed(bytes, 0, &p), WEIR_OK);
  return p;
}

static uint32_t seed;
static double   uniform(void) { /* -0.5 .. 0.5 */
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) / 16777216.0 - 0.5;
}

static weir__piv_grid grid_of(int64_t ny, int64_t nx) { return (weir__piv_grid){{ny, nx}, {32, 32}, {0, 0}, {16, 12}}; }

static void smooth(const weir__piv_grid *grid, double smoothing, int64_t vectors, double threshold, float *dy,
                   float *dx, uint8_t *outlier) {
  weir__piv_smoother *s = NULL;
  assert_int_equal(weir__piv_smoother_create(grid, smoothing, vectors, &s), WEIR_OK);
  void *scratch = room(weir__piv_smoother_scratch(s));
  assert_int_equal(weir__piv_smooth(s, threshold, dy, dx, outlier, scratch), WEIR_OK);
  weir__free(scratch);
  weir__piv_smoother_destroy(&s);
  assert_null(s);
}

/* ---- the whole system, independently ---- */

static void eliminate(double *a, double *b, int64_t n) { /* partial pivoting */
  for (int64_t c = 0; c < n; c++) {
    int64_t p = c;
    for (int64_t r = c + 1; r < n; r++)
      if (fabs(a[r * n + c]) > fabs(a[p * n + c])) p = r;
    for (int64_t k = 0; k < n; k++) {
      double t     = a[c * n + k];
      a[c * n + k] = a[p * n + k], a[p * n + k] = t;
    }
    double t = b[c];
    b[c] = b[p], b[p] = t;
    for (int64_t r = c + 1; r < n; r++) {
      double m = a[r * n + c] / a[c * n + c];
      for (int64_t k = c; k < n; k++) a[r * n + k] -= m * a[c * n + k];
      b[r] -= m * b[c];
    }
  }
  for (int64_t c = n; c-- > 0;) {
    for (int64_t k = c + 1; k < n; k++) b[c] -= a[c * n + k] * b[k];
    b[c] /= a[c * n + c];
  }
}

/* Values of the spline through the finite of `value`, everywhere. */
static void reference(const weir__piv_grid *g, double smoothing, const float *value, double *out) {
  int64_t n = g->count[0] * g->count[1], m = 0;
  double *y = room((size_t)n * 8), *x = room((size_t)n * 8), *a = room((size_t)((n + 3) * (n + 3)) * 8),
         *b = room((size_t)(n + 3) * 8), rho = smoothing * sqrt((double)(g->step[0] * g->step[1]));
  for (int64_t i = 0; i < n; i++)
    if (isfinite(value[i])) {
      y[m] = weir__piv_centre(g, 0, i / g->count[1]), x[m] = weir__piv_centre(g, 1, i % g->count[1]);
      b[m++] = value[i];
    }
  int64_t k = m + 3;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < m; j++) {
      double r     = hypot(y[i] - y[j], x[i] - x[j]);
      a[i * k + j] = r > 0 ? r * r * log(r) : rho;
    }
    a[i * k + m] = a[m * k + i] = 1;
    a[i * k + m + 1] = a[(m + 1) * k + i] = y[i];
    a[i * k + m + 2] = a[(m + 2) * k + i] = x[i];
  }
  eliminate(a, b, k);
  for (int64_t i = 0; i < n; i++) {
    double py = weir__piv_centre(g, 0, i / g->count[1]), px = weir__piv_centre(g, 1, i % g->count[1]);
    out[i] = b[m] + b[m + 1] * py + b[m + 2] * px;
    for (int64_t j = 0; j < m; j++) {
      double r = hypot(py - y[j], px - x[j]);
      out[i] += r > 0 ? b[j] * r * r * log(r) : 0;
    }
  }
  weir__free(y), weir__free(x), weir__free(a), weir__free(b);
}

/* One sub-domain: from few missing to nearly all. */
static void equals_the_whole_system(void **state) {
  (void)state;
  static const double lost[] = {0, 0.02, 0.3, 0.9}, smoothing[] = {0.05, 5, 100};
  weir__piv_grid      g = grid_of(11, 14);
  enum { N = 11 * 14 };
  for (size_t l = 0; l < sizeof lost / sizeof *lost; l++)
    for (size_t s = 0; s < sizeof smoothing / sizeof *smoothing; s++) {
      float  dy[N], dx[N];
      double ry[N], rx[N];
      seed = 99;
      for (int64_t i = 0; i < N; i++) {
        bool missing = uniform() + 0.5 < lost[l];
        dy[i]        = missing ? NAN : (float)(3 * sin((double)(i % 14) / 3) + uniform());
        dx[i]        = missing ? NAN : (float)((double)(i / 14) * 0.3 + uniform());
      }
      reference(&g, smoothing[s], dy, ry);
      reference(&g, smoothing[s], dx, rx);
      bool gap[N];
      for (int i = 0; i < N; i++) gap[i] = isnan(dy[i]);
      smooth(&g, smoothing[s], 500, 0, dy, dx, NULL);
      for (int i = 0; i < N; i++) {
        assert_int_equal(isnan(dy[i]), gap[i]);
        if (gap[i]) continue;
        assert_true(fabs(dy[i] - ry[i]) < 2e-6 && fabs(dx[i] - rx[i]) < 2e-6);
      }
    }
}

/* Planes are as they were, whatever is missing and however the grid is divided; tiny and thin grids, too. */
static void planes_stay(void **state) {
  (void)state;
  static const int64_t sizes[][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 60}, {60, 1}, {2, 50}, {3, 3}, {30, 41}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (int gaps = 0; gaps < 3; gaps++) {
      weir__piv_grid g  = grid_of(sizes[k][0], sizes[k][1]);
      int64_t        n  = g.count[0] * g.count[1];
      float         *dy = room((size_t)n * 4), *dx = room((size_t)n * 4), *was = room((size_t)n * 4);
      seed = 5;
      for (int64_t i = 0; i < n; i++) {
        double y = (double)(i / g.count[1]), x = (double)(i % g.count[1]);
        dy[i] = (float)(4 - 0.2 * y + 0.3 * x);
        dx[i] = (float)(1 + 0.5 * y);
        if (gaps == 1 && uniform() < -0.2) dy[i] = NAN;
        if (gaps == 2 && y + x > 2 && !(y > 20 && x > 20)) dx[i] = NAN; /* some sub-domains without any, or on a line */
        was[i] = dx[i];
      }
      smooth(&g, 5, 64, 1.5, dy, dx, NULL);
      for (int64_t i = 0; i < n; i++) {
        double y = (double)(i / g.count[1]), x = (double)(i % g.count[1]);
        assert_true(isnan(dy[i]) || fabs(dy[i] - (4 - 0.2 * y + 0.3 * x)) < 5e-6);
        assert_true(isnan(was[i]) ? isnan(dx[i]) : fabs(dx[i] - (1 + 0.5 * y)) < 5e-6);
      }
      weir__free(dy), weir__free(dx), weir__free(was);
    }
}

static double vortex(double y, double x) { return 3 * sin(y / 150) * cos(x / 180); }

/* Noise falls to a third; nothing shows where sub-domains meet: the result is that of one domain, nearly. */
static void less_noise_and_no_seams(void **state) {
  (void)state;
  weir__piv_grid g = grid_of(24, 30);
  enum { N = 24 * 30 };
  float  many[2][N], one[2][N];
  double before = 0, after = 0, apart = 0;
  seed = 31;
  for (int c = 0; c < 2; c++)
    for (int64_t i = 0; i < N; i++) {
      many[c][i] = (float)(vortex((double)(i / 30 * 16 + c * 99), (double)(i % 30 * 12)) + 0.3 * uniform());
      one[c][i]  = many[c][i];
      before += pow(many[c][i] - vortex((double)(i / 30 * 16 + c * 99), (double)(i % 30 * 12)), 2);
    }
  smooth(&g, 200, 60, 0, many[0], many[1], NULL);
  smooth(&g, 200, 1000, 0, one[0], one[1], NULL);
  for (int c = 0; c < 2; c++)
    for (int64_t i = 0; i < N; i++) {
      after += pow(many[c][i] - vortex((double)(i / 30 * 16 + c * 99), (double)(i % 30 * 12)), 2);
      apart = fmax(apart, fabs(many[c][i] - one[c][i]));
    }
  assert_true(after < 0.15 * before);
  assert_true(apart < 0.08 && apart > 0);
}

/* On a grid with steps h a wave keeps 1 / (1 + rho h^2 k^4 / 8 pi) of its amplitude: the transform of r^2 ln r is
 * 8 pi / k^4. Half of it at the wavelength that the documentation gives. */
static void waves_keep_what_theory_says(void **state) {
  (void)state;
  weir__piv_grid g = {{28, 28}, {32, 32}, {0, 0}, {16, 16}};
  enum { N = 28 * 28 };
  const double pi = 3.14159265358979323846, smoothing = 300, h = 16;
  for (int c = 0; c < 3; c++) {
    double length = 2 * pi * pow(smoothing * h * h * h / (8 * pi), 0.25) * (c == 0 ? 0.8 : c == 1 ? 1 : 1.5);
    double k = 2 * pi / length, kept = 1 / (1 + smoothing * h * h * h * pow(k, 4) / (8 * pi)), up = 0, down = 0;
    float  dy[N], dx[N] = {0};
    for (int64_t i = 0; i < N; i++) dy[i] = (float)sin(k * h * (double)(i % 28));
    smooth(&g, smoothing, 900, 0, dy, dx, NULL);
    for (int64_t i = 0; i < N; i++) {
      int64_t y = i / 28, x = i % 28;
      if (y < 8 || y >= 20 || x < 6 || x >= 22) continue; /* borders are smoothed less */
      up += dy[i] * sin(k * h * (double)x);
      down += pow(sin(k * h * (double)x), 2);
      assert_true(dx[i] == 0);
    }
    assert_true(fabs(up / down - kept) < 0.05);
  }
}

/* Outliers are named, replaced, and no good vector with them; the field is that without them. */
static void outliers(void **state) {
  (void)state;
  weir__piv_grid g = grid_of(24, 30);
  enum { N = 24 * 30 };
  float   v[2][N], without[2][N];
  uint8_t bad[N], found[N];
  int     number = 0;
  seed           = 77;
  for (int64_t i = 0; i < N; i++) {
    bad[i] = uniform() < -0.46;
    number += bad[i];
    for (int c = 0; c < 2; c++) {
      double u      = vortex((double)(i / 30 * 16 + c * 99), (double)(i % 30 * 12)) + 0.2 * uniform();
      v[c][i]       = (float)(u + (bad[i] ? 5 : 0));
      without[c][i] = bad[i] ? NAN : (float)u;
    }
  }
  assert_true(number > 15);
  smooth(&g, 200, 60, 1.5, v[0], v[1], found);
  smooth(&g, 200, 60, 0, without[0], without[1], NULL);
  assert_memory_equal(found, bad, N);
  for (int64_t i = 0; i < N; i++) {
    double truth = vortex((double)(i / 30 * 16), (double)(i % 30 * 12));
    assert_true(fabs(v[0][i] - truth) < 0.3);
    if (!bad[i]) assert_true(v[0][i] == without[0][i] && v[1][i] == without[1][i]);
  }
}

/* The same bytes again, from the same smoother and dirty scratch; and nothing is allocated. */
static void again_the_same(void **state) {
  (void)state;
  weir__piv_grid g = grid_of(40, 33);
  enum { N = 40 * 33 };
  static float        first[2][N], second[2][N];
  weir__piv_smoother *s = NULL;
  assert_int_equal(weir__piv_smoother_create(&g, 2, 100, &s), WEIR_OK);
  size_t bytes   = weir__piv_smoother_scratch(s);
  char  *scratch = room(bytes);
  for (int64_t i = 0; i < 2 * N; i++) (&first[0][0])[i] = (&second[0][0])[i] = i % 17 == 0 ? NAN : (float)uniform();
  uint64_t calls = weir__alloc_calls();
  assert_int_equal(weir__piv_smooth(s, 0.8, first[0], first[1], NULL, scratch), WEIR_OK);
  memset(scratch, 0xff, bytes);
  assert_int_equal(weir__piv_smooth(s, 0.8, second[0], second[1], NULL, scratch), WEIR_OK);
  assert_true(weir__alloc_calls() == calls);
  assert_memory_equal(first, second, sizeof first);
  weir__free(scratch);
  weir__piv_smoother_destroy(&s);
}

static void refusals(void **state) {
  (void)state;
  weir__piv_grid      g = grid_of(10, 10);
  weir__piv_smoother *s = NULL;
  assert_int_equal(weir__piv_smoother_create(&g, -1, 200, &s), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__piv_smoother_create(&g, NAN, 200, &s), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__piv_smoother_create(&g, 5, 3, &s), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__piv_smoother_create(&g, 5, 100000, &s), WEIR_ERR_ARGUMENT);
  for (uint64_t n = 1;; n++) {
    weir__alloc_fail_at(n);
    weir_status status = weir__piv_smoother_create(&g, 5, 200, &s);
    weir__alloc_fail_at(0);
    if (status == WEIR_OK) break;
    assert_int_equal(status, WEIR_ERR_MEMORY);
    assert_null(s);
    assert_true(n < 100);
  }
  weir__piv_smoother_destroy(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(equals_the_whole_system),
                                     cmocka_unit_test(planes_stay),
                                     cmocka_unit_test(less_noise_and_no_seams),
                                     cmocka_unit_test(waves_keep_what_theory_says),
                                     cmocka_unit_test(outliers),
                                     cmocka_unit_test(again_the_same),
                                     cmocka_unit_test(refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
