/* Correlation against sums written out in float64, peaks against Gaussians known exactly, displacements of synthetic
 * particles; masks, flat and odd windows, and the same bytes however rows are shared out.
 * weir-test: timeout=60 */
#include "support/sanitized.h"
#include "operators/piv/correlate_lanes.h"
#include "core/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <math.h>

enum { H = 200, W = 240 };
static float pixels[2][H * W];

static uint32_t seed = 7;
static double   uniform(void) { return (double)((seed = seed * 1664525u + 1013904223u) >> 8) / (1 << 24); }

/* Particles whose light is integrated over each pixel, diameter d (4 sigma), 0.05 per pixel, moved by (dy, dx). */
static void particles(double d, double dy, double dx) {
  double s = d / 4 * sqrt(2);
  memset(pixels, 0, sizeof pixels);
  for (int p = 0; p < H * W / 20; p++) {
    double at[2] = {uniform() * H, uniform() * W}, light = 60 + 140 * uniform();
    for (int k = 0; k < 2; k++) {
      double y = at[0] + (k - 0.5) * dy, x = at[1] + (k - 0.5) * dx;
      for (int j = (int)floor(y) - 4; j <= (int)y + 5; j++)
        for (int i = (int)floor(x) - 4; i <= (int)x + 5; i++)
          if (j >= 0 && j < H && i >= 0 && i < W)
            pixels[k][j * W + i] += (float)(light * (erf((j + 0.5 - y) / s) - erf((j - 0.5 - y) / s)) *
                                            (erf((i + 0.5 - x) / s) - erf((i - 0.5 - x) / s)));
    }
  }
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < H * W; i++) pixels[k][i] = floorf(pixels[k][i]) + 20;
}

static weir__piv_settings settings_of(weir__piv_method method, int64_t wy, int64_t wx, int64_t sy, int64_t sx,
                                      int64_t search) {
  weir__piv_settings s = {.method = method, .search = {search, search}, .peaks = 3, .mask_limit = 0.5};
  assert_int_equal(weir__piv_grid_make((int64_t[2]){H, W}, (int64_t[2]){wy, wx}, (int64_t[2]){sy, sx}, &s.grid),
                   WEIR_OK);
  return s;
}

/* All vectors; rows are asked for `portion` at a time, from strips that hold no more than they must. */
static weir__piv_vector *vectors(const weir__piv_settings *s, const uint8_t *mask, int64_t portion) {
  weir__piv_correlator *c = NULL;
  const weir__piv_grid *g = &s->grid;
  assert_int_equal(weir__piv_correlator_create(s, &c), WEIR_OK);
  weir__piv_vector *v = calloc((size_t)(g->count[0] * g->count[1]), sizeof *v);
  for (int64_t j = 0; j < g->count[0]; j += portion) {
    int64_t rows  = portion < g->count[0] - j ? portion : g->count[0] - j;
    int64_t reach = s->method == WEIR__PIV_DIRECT ? s->search[0] : 0, from = g->first[0] + j * g->step[0] - reach;
    int64_t end = g->first[0] + (j + rows - 1) * g->step[0] + g->window[0] + reach;
    from        = from < 0 ? 0 : from;
    end         = end > H ? H : end;
    void           *room[3], *scratch = NULL;
    size_t          bytes = weir__piv_correlator_scratch(c, W);
    weir__piv_strip part[2];
    assert_int_equal(bytes % 64, 0);
    assert_int_equal(posix_memalign(&scratch, 64, bytes), 0); /* of that size to the byte, for the sanitizer */
    memset(scratch, 0xff, bytes);
    for (int k = 0; k < 2; k++) {
      room[k] = malloc((size_t)((end - from) * W) * sizeof(float));
      memcpy(room[k], pixels[k] + from * W, (size_t)((end - from) * W) * sizeof(float));
      part[k] = (weir__piv_strip){room[k], from, end - from, W};
    }
    room[2] = malloc((size_t)((end - from) * W));
    if (mask) memcpy(room[2], mask + from * W, (size_t)((end - from) * W));
    weir__piv_correlate(c, &part[0], &part[1], mask ? room[2] : NULL, j, rows, v + j * g->count[1], scratch);
    for (int k = 0; k < 3; k++) free(room[k]);
    free(scratch);
  }
  weir__piv_correlator_destroy(&c);
  assert_null(c);
  return v;
}

/* ---- the reference: sums as they are defined ---- */

static double weight(const weir__piv_settings *s, int64_t y, int64_t x) {
  if (s->weighting == WEIR__PIV_UNIFORM) return 1;
  const int64_t *n = s->grid.window;
  double         v = ((double)y - 0.5 * (double)(n[0] - 1)) * 3 / (double)n[0],
         u         = ((double)x - 0.5 * (double)(n[1] - 1)) * 3 / (double)n[1];
  return exp(-0.5 * (v * v + u * u));
}
static bool    is_masked(const uint8_t *mask, int64_t y, int64_t x) { return mask && mask[y * W + x] == 1; }
static int64_t within(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

/* Pixel of a window less the weighted mean, times the weight; 0 where masked. */
static void window_of(const weir__piv_settings *s, int k, const uint8_t *mask, int64_t y0, int64_t x0, double *out) {
  const int64_t *n   = s->grid.window;
  double         sum = 0, weights = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t y = 0; y < n[0]; y++)
      for (int64_t x = 0; x < n[1]; x++) {
        bool not = is_masked(mask, y0 + y, x0 + x);
        double w = not ? 0 : weight(s, y, x), v = not ? 0 : (double)pixels[k][(y0 + y) * W + x0 + x];
        if (!pass) sum += w * v, weights += w;
        else out[y * n[1] + x] = w * (v - sum / weights);
      }
}

static double by_definition_fft(const weir__piv_settings *s, const uint8_t *mask, int64_t y0, int64_t x0, int64_t dy,
                                int64_t dx) {
  static double  f[64 * 64], g[64 * 64];
  const int64_t *n  = s->grid.window;
  double         ff = 0, gg = 0, fg = 0;
  window_of(s, 0, mask, y0, x0, f);
  window_of(s, 1, mask, y0, x0, g);
  for (int64_t y = 0; y < n[0]; y++)
    for (int64_t x = 0; x < n[1]; x++) {
      int64_t j = y + dy, i = x + dx;
      ff += f[y * n[1] + x] * f[y * n[1] + x], gg += g[y * n[1] + x] * g[y * n[1] + x];
      if (s->padded && (j < 0 || j >= n[0] || i < 0 || i >= n[1])) continue;
      fg += f[y * n[1] + x] * g[(j + n[0]) % n[0] * n[1] + (i + n[1]) % n[1]];
    }
  return fg / sqrt(ff * gg);
}

/* The window in image k and the one in the other that is shifted. */
static double one_way(const weir__piv_settings *s, int k, const uint8_t *mask, int64_t y0, int64_t x0, int64_t dy,
                      int64_t dx) {
  const int64_t *n   = s->grid.window;
  double         sum = 0, m[2] = {0}, aa = 0, bb = 0, ab = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t y = 0; y < n[0]; y++)
      for (int64_t x = 0; x < n[1]; x++) {
        int64_t j = within(y0 + y + dy, H), i = within(x0 + x + dx, W);
        if (is_masked(mask, y0 + y, x0 + x) || is_masked(mask, j, i)) continue;
        double w = weight(s, y, x) * weight(s, y, x), a = (double)pixels[k][(y0 + y) * W + x0 + x],
               b = (double)pixels[1 - k][j * W + i];
        if (!pass) sum += w, m[0] += w * a, m[1] += w * b;
        else {
          a -= m[0] / sum, b -= m[1] / sum;
          aa += w * a * a, bb += w * b * b, ab += w * a * b;
        }
      }
  return ab / sqrt(aa * bb);
}

static double by_definition_direct(const weir__piv_settings *s, const uint8_t *mask, int64_t y0, int64_t x0, int64_t dy,
                                   int64_t dx) {
  return 0.5 * (one_way(s, 0, mask, y0, x0, dy, dx) + one_way(s, 1, mask, y0, x0, -dy, -dx));
}

static double by_definition(const weir__piv_settings *s, const uint8_t *mask, int64_t y0, int64_t x0, int64_t dy,
                            int64_t dx) {
  return (s->method == WEIR__PIV_FFT ? by_definition_fft : by_definition_direct)(s, mask, y0, x0, dy, dx);
}

/* Values of the peaks, and that they are the highest local maxima there are. */
static void compare(const weir__piv_settings *s, const uint8_t *mask) {
  const weir__piv_grid *g  = &s->grid;
  weir__piv_vector     *v  = vectors(s, mask, g->count[0]);
  int64_t               sy = s->search[0], sx = s->search[1], checked = 0;
  static double         plane[64][64];
  for (int64_t k = 0; k < g->count[0] * g->count[1]; k += g->count[0] * g->count[1] / 7 + 1) {
    int64_t y0 = g->first[0] + k / g->count[1] * g->step[0], x0 = g->first[1] + k % g->count[1] * g->step[1];
    double  best[3] = {0}, by = 0, bx = 0;
    if (v[k].flag == WEIR__PIV_MASKED) continue;
    for (int64_t y = 0; y <= 2 * sy; y++)
      for (int64_t x = 0; x <= 2 * sx; x++) plane[y][x] = by_definition(s, mask, y0, x0, y - sy, x - sx);
    for (int64_t y = 1; y < 2 * sy; y++)
      for (int64_t x = 1; x < 2 * sx; x++) {
        double p  = plane[y][x];
        bool   is = p > 0;
        for (int i = 0; i < 9; i++) is = is && p >= plane[y + i / 3 - 1][x + i % 3 - 1];
        if (!is) continue;
        if (p > best[0])
          best[2] = best[1], best[1] = best[0], best[0] = p, by = (double)(y - sy), bx = (double)(x - sx);
        else if (p > best[1]) best[2] = best[1], best[1] = p;
        else if (p > best[2]) best[2] = p;
      }
    assert_int_equal(v[k].flag, best[0] > 0 ? WEIR__PIV_VALID : WEIR__PIV_NO_PEAK);
    for (int i = 0; i < 3; i++) {
      if (best[i] > 0) assert_true(fabs((double)v[k].value[i] - best[i]) < 1e-5);
      else assert_true(isnan(v[k].value[i]));
    }
    if (best[0] > 0) {
      assert_true(fabs((double)v[k].dy[0] - by) <= 1 && fabs((double)v[k].dx[0] - bx) <= 1);
      if (best[1] > 0) assert_true(fabs((double)v[k].ratio - best[0] / best[1]) < 1e-3 * best[0] / best[1]);
      else assert_true(isinf(v[k].ratio));
    }
    checked++;
  }
  assert_true(checked > 3);
  free(v);
}

static const int64_t shapes[][4] = {{32, 32, 16, 16}, {16, 48, 8, 12}, {33, 17, 11, 9},
                                    {24, 20, 6, 15},  {13, 31, 7, 31}, {32, 32, 40, 32}};

static void same(const weir__piv_settings *s, const uint8_t *mask) {
  size_t            n   = (size_t)(s->grid.count[0] * s->grid.count[1]) * sizeof(weir__piv_vector);
  weir__piv_vector *all = vectors(s, mask, s->grid.count[0]);
  for (int64_t portion = 1; portion <= 3; portion++) {
    weir__piv_vector *v = vectors(s, mask, portion);
    for (size_t k = 0; k < n / sizeof *v; k++) {
      assert_memory_equal(v[k].dy, all[k].dy, sizeof v->dy);
      assert_memory_equal(v[k].dx, all[k].dx, sizeof v->dx);
      assert_memory_equal(v[k].value, all[k].value, sizeof v->value);
      assert_memory_equal(&v[k].ratio, &all[k].ratio, sizeof v->ratio);
      assert_int_equal(v[k].flag, all[k].flag);
    }
    free(v);
  }
  free(all);
}

static void correlation(void **state) {
  static uint8_t mask[H * W];
  (void)state;
  particles(2.5, 1.3, -2.2);
  for (int y = 60; y < 90; y++) memset(mask + y * W + 50, 1, 100);
  for (int k = 0; k < 6; k++)
    for (int what = 0; what < 8; what++) {
      if (SANITIZED && (k + what) % 6) continue;
      const int64_t     *n = shapes[k], least = n[0] < n[1] ? n[0] : n[1];
      bool               fft = !(what & 4);
      weir__piv_settings s   = settings_of(fft ? WEIR__PIV_FFT : WEIR__PIV_DIRECT, n[0], n[1], n[2], n[3],
                                         fft ? least / 2 - 1 : 1 + k % 4 + (k == 0) * 2);
      s.padded               = fft && what & 1;
      s.weighting            = what & 2 ? WEIR__PIV_GAUSSIAN : WEIR__PIV_UNIFORM;
      s.subpixel             = (weir__piv_subpixel)(k % 3);
      compare(&s, what & 1 ? mask : NULL);
      same(&s, what & 1 ? mask : NULL);
    }
}

/* Eight lanes and four give the same bits. */
static void lanes(void **state) {
  static const int64_t sizes[] = {8, 16, 20, 31, 32, 33};
  (void)state;
  if (!weir__piv_lanes_8()) {
    print_message("no registers of eight lanes\n");
    skip();
  }
  particles(2.5, 1.3, -2.2);
  for (int k = 0; k < 6; k++)
    for (int padded = 0; padded < 2; padded++) {
      weir__piv_settings s = settings_of(WEIR__PIV_FFT, 16, sizes[k], 16, 16, sizes[k] == 8 ? 3 : 7);
      weir__piv_strip    a = {pixels[0], 0, H, W}, b = {pixels[1], 0, H, W};
      size_t             count = (size_t)(s.grid.count[0] * s.grid.count[1]);
      weir__piv_vector  *v[2];
      s.padded = padded;
      for (int wide = 0; wide < 2; wide++) {
        weir__piv_correlator *c       = NULL;
        void                 *scratch = NULL;
        assert_int_equal(weir__piv_correlator_create(&s, &c), WEIR_OK);
        c->lanes = wide ? weir__piv_lanes_8() : &weir__piv_lanes_4;
        assert_int_equal(posix_memalign(&scratch, 64, weir__piv_correlator_scratch(c, W)), 0);
        v[wide] = calloc(count, sizeof **v);
        weir__piv_correlate(c, &a, &b, NULL, 0, s.grid.count[0], v[wide], scratch);
        weir__piv_correlator_destroy(&c);
        free(scratch);
      }
      assert_int_equal(v[0][count / 2].flag, WEIR__PIV_VALID);
      assert_memory_equal(v[0], v[1], count * sizeof **v);
      free(v[0]), free(v[1]);
    }
}

/* What is masked may be anything, and windows that see nothing of it do not notice. */
static void masks(void **state) {
  static uint8_t mask[H * W];
  (void)state;
  particles(2.5, 1, 1);
  for (int y = 60; y < 100; y++)
    for (int x = 60; x < 120; x++) mask[y * W + x] = 1;
  for (int method = 0; method < 2; method++) {
    weir__piv_settings s       = settings_of((weir__piv_method)method, 32, 32, 16, 16, 4);
    weir__piv_vector  *without = vectors(&s, NULL, 100), *before = vectors(&s, mask, 100);
    float              keep[2] = {pixels[0][70 * W + 70], pixels[1][80 * W + 80]};
    pixels[0][70 * W + 70] = NAN, pixels[1][80 * W + 80] = INFINITY;
    weir__piv_vector *v    = vectors(&s, mask, 100);
    pixels[0][70 * W + 70] = keep[0], pixels[1][80 * W + 80] = keep[1];
    int masked = 0;
    for (int64_t k = 0; k < s.grid.count[0] * s.grid.count[1]; k++) {
      int64_t y = s.grid.first[0] + k / s.grid.count[1] * 16, x = s.grid.first[1] + k % s.grid.count[1] * 16, in = 0,
              near = 0;
      for (int i = 0; i < 32 * 32; i++) in += mask[(y + i / 32) * W + x + i % 32];
      for (int i = 0; i < 40 * 40; i++) near += mask[within(y - 4 + i / 40, H) * W + within(x - 4 + i % 40, W)];
      assert_int_equal(v[k].flag, 2 * in > 32 * 32 ? WEIR__PIV_MASKED : WEIR__PIV_VALID);
      masked += v[k].flag == WEIR__PIV_MASKED;
      if (v[k].flag) assert_true(isnan(v[k].dy[0]) && isnan(v[k].value[0]) && isnan(v[k].ratio));
      else assert_true(v[k].dx[0] == before[k].dx[0] && fabs((double)v[k].dx[0] - 1) < 0.3);
      if (method == WEIR__PIV_FFT ? !in : !near)
        assert_true(fabs((double)v[k].dy[0] - (double)without[k].dy[0]) < 1e-4);
    }
    assert_true(masked > 3);
    free(v), free(before), free(without);
  }
}

static void no_signal(void **state) {
  (void)state;
  particles(2.5, 1, 1);
  for (int k = 0; k < 2; k++)
    for (int y = 64; y < 128; y++)
      for (int x = 64; x < 128; x++) pixels[k][y * W + x] = 1000.1F;
  pixels[0][190 * W + 200] = NAN;
  for (int method = 0; method < 4; method++) {
    weir__piv_settings s = settings_of((weir__piv_method)(method & 1), 32, 32, 16, 16, 3);
    if (method & 2) s.weighting = WEIR__PIV_GAUSSIAN;
    weir__piv_vector *v    = vectors(&s, NULL, 3);
    int               flat = 0, valid = 0;
    for (int64_t k = 0; k < s.grid.count[0] * s.grid.count[1]; k++) {
      int64_t y = s.grid.first[0] + k / s.grid.count[1] * 16, x = s.grid.first[1] + k % s.grid.count[1] * 16;
      bool    inside = y >= 64 && y + 32 <= 128 && x >= 64 && x + 32 <= 128,
           nan       = y + 32 > 190 && x <= 200 && x + 32 > 200;
      if (inside || nan) assert_int_equal(v[k].flag, WEIR__PIV_NO_SIGNAL);
      flat += v[k].flag == WEIR__PIV_NO_SIGNAL, valid += v[k].flag == WEIR__PIV_VALID;
    }
    assert_true(flat >= 4 && valid > 50);
    free(v);
  }
}

/* ---- peaks of planes that are known ---- */

static weir__piv_correlator *plane_reader(weir__piv_subpixel subpixel, weir__piv_settings *s) {
  weir__piv_correlator *c = NULL;
  *s                      = settings_of(WEIR__PIV_DIRECT, 32, 32, 16, 16, 6);
  s->subpixel             = subpixel;
  assert_int_equal(weir__piv_correlator_create(s, &c), WEIR_OK);
  return c;
}

static void subpixel(void **state) {
  (void)state;
  for (int method = 0; method < 2; method++)
    for (int k = 0; k <= 5; k++)
      for (int l = 0; l <= 5; l++) {
        weir__piv_settings    s;
        weir__piv_vector      v;
        weir__piv_correlator *c          = plane_reader((weir__piv_subpixel)method, &s);
        float                 plane[600] = {0};
        double oy = 2 + 0.0998 * k, ox = -1 - 0.0998 * l, cross = method ? 0.1 : 0; /* a tilted one, too */
        for (int y = -6; y <= 6; y++)
          for (int x = -6; x <= 6; x++)
            plane[(y + 6) * c->stride + x + 6] =
                (float)(0.9 *
                        exp(-((y - oy) * (y - oy) / 2.9 + (x - ox) * (x - ox) / 4 + cross * (y - oy) * (x - ox))));
        weir__piv_peaks(c, plane, NULL, &v);
        assert_int_equal(v.flag, WEIR__PIV_VALID);
        assert_true(fabs((double)v.dy[0] - oy) < 1e-3 && fabs((double)v.dx[0] - ox) < 1e-3);
        assert_true(isinf(v.ratio) && isnan(v.dy[1]));
        weir__piv_correlator_destroy(&c);
      }
}

static void edges(void **state) {
  weir__piv_settings    s;
  weir__piv_vector      v;
  weir__piv_correlator *c          = plane_reader(WEIR__PIV_GAUSS3, &s);
  float                 plane[600] = {0};
  (void)state;
  for (int y = 0; y <= 12; y++)
    for (int x = 0; x <= 12; x++) plane[y * c->stride + x] = (float)exp(-(y * y + (x - 5.0) * (x - 5.0)) / 9);
  weir__piv_peaks(c, plane, NULL, &v);
  assert_int_equal(v.flag, WEIR__PIV_NO_PEAK);
  assert_true(isnan(v.dy[0]) && isnan(v.ratio));
  plane[8 * c->stride + 7]  = 0.5F; /* lower than that on the edge, but a peak; neighbours below zero: a parabola */
  plane[8 * c->stride + 8]  = -0.1F;
  plane[3 * c->stride + 11] = plane[4 * c->stride + 11] = 0.25F; /* a plateau is one peak */
  weir__piv_peaks(c, plane, NULL, &v);
  assert_int_equal(v.flag, WEIR__PIV_VALID);
  assert_true(v.value[0] == 0.5F && v.value[1] == 0.25F && isnan(v.value[2]) && fabsf(v.ratio - 2) < 1e-6F);
  assert_true(fabs((double)v.dy[0] - 2) < 0.3 && fabs((double)v.dx[0] - 1) < 0.3);
  weir__piv_correlator_destroy(&c);
}

/* ---- accuracy ---- */

static void accuracy(void **state) {
  static const char *names[] = {"fft", "fft padded", "fft weighted", "fft gauss2d", "direct"};
  (void)state;
  for (int what = 0; what < 5; what++) {
    double bias2 = 0, random2 = 0, worst = 0;
    if (SANITIZED && what % 2) continue;
    for (int k = 0; k <= 10; k++) {
      double             shift = 3 + 0.1 * k, sum = 0, square = 0, n = 0;
      weir__piv_settings s =
          settings_of(what == 4 ? WEIR__PIV_DIRECT : WEIR__PIV_FFT, 32, 32, 16, 16, what == 4 ? 6 : 8);
      s.padded    = what == 1;
      s.weighting = what == 2 ? WEIR__PIV_GAUSSIAN : WEIR__PIV_UNIFORM;
      s.subpixel  = what == 3 ? WEIR__PIV_GAUSS2D : WEIR__PIV_GAUSS3;
      seed        = 11;
      particles(2.5, 0, shift);
      weir__piv_vector *v = vectors(&s, NULL, 100);
      for (int64_t y = 1; y < s.grid.count[0] - 1; y++)
        for (int64_t x = 1; x < s.grid.count[1] - 1; x++) {
          const weir__piv_vector *p = &v[y * s.grid.count[1] + x];
          assert_int_equal(p->flag, WEIR__PIV_VALID);
          double e = (double)p->dx[0] - shift;
          sum += e, square += e * e, n++;
        }
      sum /= n, square = square / n - sum * sum;
      bias2 += sum * sum / 11, random2 += square / 11, worst = fabs(sum) > worst ? fabs(sum) : worst;
      free(v);
    }
    print_message("%-13s 3.0 .. 4.0 pixels: bias %.4f (at most %.4f), random %.4f\n", names[what], sqrt(bias2), worst,
                  sqrt(random2));
    assert_true(worst <= 0.01 && sqrt(random2) < 0.1);
  }
}

static void arguments(void **state) {
  weir__piv_grid        g;
  weir__piv_correlator *c = NULL;
  weir__piv_settings    s = settings_of(WEIR__PIV_FFT, 32, 32, 16, 16, 8);
  (void)state;
  assert_int_equal(s.grid.count[0], 11), assert_int_equal(s.grid.first[0], 4), assert_int_equal(s.grid.first[1], 0);
  assert_int_equal(weir__piv_grid_make((int64_t[2]){20, 40}, (int64_t[2]){32, 32}, (int64_t[2]){16, 16}, &g),
                   WEIR_ERR_INPUT);
  assert_int_equal(weir__piv_grid_make((int64_t[2]){40, 40}, (int64_t[2]){32, 32}, (int64_t[2]){16, 0}, &g),
                   WEIR_ERR_INPUT);
  s.search[1] = 16;
  assert_int_equal(weir__piv_correlator_create(&s, &c), WEIR_ERR_INPUT);
  s.search[1] = 15, s.peaks = 4;
  assert_int_equal(weir__piv_correlator_create(&s, &c), WEIR_ERR_INPUT);
  s.peaks = 1, s.weighting = WEIR__PIV_GAUSSIAN;
  for (uint64_t n = 1;; n++) { /* every allocation fails once */
    weir__alloc_fail_at(n);
    weir_status status = weir__piv_correlator_create(&s, &c);
    weir__alloc_fail_at(0);
    if (status == WEIR_OK) break;
    assert_int_equal(status, WEIR_ERR_MEMORY);
    assert_null(c);
  }
  weir__piv_correlator_destroy(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arguments), cmocka_unit_test(subpixel),    cmocka_unit_test(edges), cmocka_unit_test(masks),
      cmocka_unit_test(no_signal), cmocka_unit_test(correlation), cmocka_unit_test(lanes), cmocka_unit_test(accuracy)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
