/* Windows followed by pyramidal Lucas-Kanade, against displacements that are true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "operators/piv/flow.h"
#include "operators/piv/synthetic.h"

enum { SIZE = 256, LEVELS = 4, WINDOW = 32 };

typedef struct pyramid {
  weir__flow_plane plane[LEVELS];
  float           *image, *memory[LEVELS];
} pyramid;

/* Pixels come from `bytes`; `valid`: a mask for the finest level, halved like the image. */
static pyramid build(const float *pixels, const float *valid) {
  pyramid p   = {.image = malloc(2 * sizeof(float) * SIZE * SIZE)};
  float  *use = p.image + SIZE * SIZE, *half = malloc(sizeof(float) * SIZE * SIZE), *kept[LEVELS];
  int64_t n = SIZE;
  memcpy(p.image, pixels, sizeof(float) * SIZE * SIZE);
  if (valid) memcpy(use, valid, sizeof(float) * SIZE * SIZE);
  for (int k = 0; k < LEVELS; k++, n = weir__flow_half(n)) {
    int64_t stride = n + WEIR__FLOW_EDGE;
    size_t  block = (size_t)(stride * stride), plane = (size_t)(n * n);
    void   *scratch = aligned_alloc(64, (weir__flow_coefficients_scratch(n) + 63) / 64 * 64);
    p.memory[k]     = calloc(block + plane, sizeof(float));
    kept[k]         = p.memory[k] + block;
    for (int64_t y = 0; y < n; y++)
      memcpy(weir__flow_pixels(p.memory[k], stride) + y * stride, p.image + y * n, (size_t)n * sizeof(float));
    weir__flow_coefficients(p.memory[k], stride, n, n, scratch);
    memcpy(kept[k], use, plane * sizeof(float));
    p.plane[k] = (weir__flow_plane){p.memory[k], valid ? kept[k] : NULL, {n, n}, stride, n};
    weir__flow_reduce(p.image, n, n, half, weir__flow_half(n), scratch);
    memcpy(p.image, half, sizeof(float) * (size_t)(weir__flow_half(n) * weir__flow_half(n)));
    weir__flow_reduce(use, n, n, half, weir__flow_half(n), scratch);
    memcpy(use, half, sizeof(float) * (size_t)(weir__flow_half(n) * weir__flow_half(n)));
    free(scratch);
  }
  free(half);
  return p;
}

static void drop(pyramid *p) {
  for (int k = 0; k < LEVELS; k++) free(p->memory[k]);
  free(p->image);
}

static weir__flow_settings usual(void) {
  return (weir__flow_settings){
      .window = WINDOW, .iterations = 50, .levels = LEVELS, .epsilon = 0.01, .eigenvalue = 0.001, .normalise = true};
}

static weir__flow_vector follow(const weir__flow_settings *s, const pyramid *a, const pyramid *b, double y, double x) {
  size_t            bytes   = weir__flow_track_scratch(s->window);
  void             *scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
  weir__flow_vector v;
  weir__flow_track(s, a->plane, b->plane, y, x, &v, scratch);
  free(scratch);
  return v;
}

static void particles(const weir__piv_motion *motion, double noise, float *a, float *b) {
  static uint8_t  pixels[2][SIZE * SIZE];
  weir__piv_scene scene = {.size         = {SIZE, SIZE},
                           .density      = 0.05,
                           .diameter     = 2.5,
                           .peak         = 200,
                           .noise        = noise,
                           .bits         = 8,
                           .seed         = 7,
                           .displacement = weir__piv_motion_at,
                           .parameters   = motion};
  assert_int_equal(weir__piv_synthesize(&scene, pixels[0], pixels[1]), WEIR_OK);
  for (int i = 0; i < SIZE * SIZE; i++) a[i] = pixels[0][i], b[i] = pixels[1][i];
}

/* What is at y, x in a: the motion is that of the place half way. */
static void truth(const weir__piv_motion *m, double y, double x, double d[2]) {
  d[0] = d[1] = 0;
  for (int k = 0; k < 50; k++) weir__piv_motion_at(m, y + 0.5 * d[0], x + 0.5 * d[1], d);
}

static float image[2][SIZE * SIZE];

/* Root mean square of the error at points `border` away from the edges; all must be found but `lost` of 1000. */
static double error_of(const weir__piv_motion *m, double noise, double border, int lost) {
  weir__flow_settings s   = usual();
  double              sum = 0, true_d[2];
  int                 n = 0, all = 0;
  particles(m, noise, image[0], image[1]);
  pyramid a = build(image[0], NULL), b = build(image[1], NULL);
  for (double y = border + 0.5; y < SIZE - border; y += 16)
    for (double x = border + 0.5; x < SIZE - border; x += 16, all++) {
      weir__flow_vector v = follow(&s, &a, &b, y, x);
      if (v.flag) continue;
      truth(m, y, x, true_d);
      double e = hypot(v.dy - true_d[0], v.dx - true_d[1]);
      sum += e * e, n++;
    }
  drop(&a), drop(&b);
  assert_true((all - n) * 1000 <= lost * all);
  return sqrt(sum / n);
}

static void test_uniform(void **unused) {
  static const double shift[][2] = {{0, 0}, {0.5, 0.25}, {0, 1.5}, {-2.3, 3.7}, {5.1, -5.9}, {0, 8}, {-7.6, -2.2}};
  (void)unused;
  for (size_t k = 0; k < sizeof shift / sizeof *shift; k++) {
    weir__piv_motion m     = {.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {shift[k][0], shift[k][1]}};
    double           clean = error_of(&m, 0, 24, 0), noisy = error_of(&m, 5, 24, 0);
    printf("shift %g, %g: rms %.4f px, with noise %.4f px\n", shift[k][0], shift[k][1], clean, noisy);
    assert_true(clean < 0.03);
    assert_true(noisy < 0.05);
  }
}

static void test_vortex(void **unused) {
  (void)unused;
  for (int k = 1; k <= 2; k++) {
    weir__piv_motion m = {.kind = WEIR__PIV_VORTEX, .gradient = 0.05 * k, .radius = 48, .centre = {127.5, 127.5}};
    double           e = error_of(&m, 0, 24, 0);
    printf("vortex of %g px/px: rms %.4f px\n", m.gradient, e);
    assert_true(e < 0.07 * k); /* the window sees a curved field: its mean */
  }
}

/* Another exposure must not matter, unless it is asked not to be looked at. */
static void test_brightness(void **unused) {
  weir__flow_settings s = usual();
  weir__piv_motion    m = {.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {1.3, -2.6}};
  (void)unused;
  particles(&m, 0, image[0], image[1]);
  pyramid a = build(image[0], NULL), b = build(image[1], NULL);
  for (int i = 0; i < SIZE * SIZE; i++) image[1][i] = 0.6f * image[1][i] + 30;
  pyramid           dim   = build(image[1], NULL);
  weir__flow_vector first = follow(&s, &a, &b, 100, 120), second = follow(&s, &a, &dim, 100, 120);
  assert_int_equal(second.flag, WEIR__PIV_VALID);
  assert_true(fabs(first.dy - second.dy) < 1e-3 && fabs(first.dx - second.dx) < 1e-3);
  s.normalise = false;
  first       = follow(&s, &a, &b, 100, 120);
  assert_true(hypot(first.dy - 1.3, first.dx + 2.6) < 0.05);
  second = follow(&s, &a, &dim, 100, 120);
  assert_true(hypot(first.dy - second.dy, first.dx - second.dx) > 1e-2);
  drop(&a), drop(&b), drop(&dim);
}

/* A plain image, stripes, a mask, and what leaves the image. */
static void test_flags(void **unused) {
  weir__flow_settings s = usual();
  weir__piv_motion    m = {.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {0, 6}};
  static float        plain[SIZE * SIZE], stripes[SIZE * SIZE], mask[SIZE * SIZE];
  (void)unused;
  particles(&m, 0, image[0], image[1]);
  for (int i = 0; i < SIZE * SIZE; i++) {
    plain[i]   = 40000;
    stripes[i] = (float)(100 + 50 * sin(0.3 * (i % SIZE)));
    mask[i]    = i % SIZE < 128;
  }
  pyramid a = build(image[0], NULL), b = build(image[1], NULL), p = build(plain, NULL), t = build(stripes, NULL);
  pyramid masked = build(image[0], mask);
  assert_int_equal(follow(&s, &p, &p, 128, 128).flag, WEIR__PIV_NO_SIGNAL);
  assert_int_equal(follow(&s, &t, &t, 128, 128).flag, WEIR__PIV_NO_SIGNAL);
  assert_true(follow(&s, &t, &t, 128, 128).eigenvalue < 1e-5);
  assert_int_equal(follow(&s, &masked, &b, 128, 160).flag, WEIR__PIV_MASKED);
  assert_true(isnan(follow(&s, &masked, &b, 128, 160).dx));
  weir__flow_vector v = follow(&s, &masked, &b, 128, 120);
  assert_int_equal(v.flag, WEIR__PIV_VALID);
  assert_true(hypot(v.dy, v.dx - 6) < 0.05);
  /* a window that reaches beyond the edge, then one whose particles have left the image */
  v = follow(&s, &a, &b, 128, SIZE - 17);
  assert_int_equal(v.flag, WEIR__PIV_VALID);
  assert_true(hypot(v.dy, v.dx - 6) < 0.05);
  m = (weir__piv_motion){.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {0, 20}};
  particles(&m, 0, image[0], image[1]);
  pyramid fast[2] = {build(image[0], NULL), build(image[1], NULL)};
  v               = follow(&s, &fast[0], &fast[1], 128, SIZE - 17); /* if it finds anything there, the way back tells */
  if (!v.flag) {
    weir__flow_vector back = follow(&s, &fast[1], &fast[0], 128 + v.dy, SIZE - 17 + v.dx);
    assert_true(back.flag || hypot(v.dy + back.dy, v.dx + back.dx) > 1);
  }
  drop(&a), drop(&b), drop(&p), drop(&t), drop(&masked), drop(&fast[0]), drop(&fast[1]);
}

/* The eigenvalue of Gaussian spots: mean g g' over variance of exp(-r^2 / 2 s^2) alone is 1 / 2 s^2. */
static void test_eigenvalue(void **unused) {
  weir__flow_settings s = {.window = 61, .iterations = 10, .levels = 1, .epsilon = 0.01};
  (void)unused;
  for (int i = 0; i < SIZE * SIZE; i++) {
    double y = i / SIZE - 128, x = i % SIZE - 128;
    image[0][i] = (float)(100 * exp(-(y * y + x * x) / (2 * 5 * 5)));
  }
  pyramid           a      = build(image[0], NULL);
  weir__flow_vector v      = follow(&s, &a, &a, 128, 128);
  double            pixels = 61 * 61, area = acos(-1) * 25, mean = 2 * area / pixels; /* of exp(-r^2 / 2 s^2) */
  double            expected = area / pixels / 50 / (area / pixels - mean * mean);
  assert_true(fabs(v.eigenvalue - expected) < 1e-3 * expected);
  assert_true(hypot(v.dy, v.dx) < 1e-5);
  drop(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_uniform), cmocka_unit_test(test_vortex),
                                     cmocka_unit_test(test_brightness), cmocka_unit_test(test_flags),
                                     cmocka_unit_test(test_eigenvalue)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
