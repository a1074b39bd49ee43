/* Synthetic pairs: as many particles, as bright, as noisy and as far apart as was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "operators/piv/synthetic.h"

static const double pi = 3.14159265358979323846;

static weir__piv_scene plain(const weir__piv_motion *motion) {
  return (weir__piv_scene){.size         = {256, 320},
                           .density      = 0.05,
                           .diameter     = 2.5,
                           .peak         = 150,
                           .bits         = 8,
                           .seed         = 1,
                           .displacement = weir__piv_motion_at,
                           .parameters   = motion};
}

static double mean_of(const weir__piv_scene *s, const void *image, double *deviation) {
  int64_t n   = s->size[0] * s->size[1];
  double  sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = s->bits <= 8 ? ((const uint8_t *)image)[i] : ((const uint16_t *)image)[i];
    sum += v, squares += v * v;
  }
  if (deviation) *deviation = sqrt(squares / (double)n - sum * sum / (double)(n * n));
  return sum / (double)n;
}

static void make(const weir__piv_scene *s, void **a, void **b) {
  size_t bytes = (size_t)(s->size[0] * s->size[1]) * (s->bits <= 8 ? 1 : 2);
  *a = malloc(bytes), *b = malloc(bytes);
  assert_int_equal(weir__piv_synthesize(s, *a, *b), WEIR_OK);
}

/* A particle's light is peak * pi d^2 / 8, whatever its place; a Gaussian sheet has the mean of exp(-8 z^2) over
 * -1/2 .. 1/2 of it: sqrt(pi / 8) erf(sqrt(2)). */
static void test_light(void **unused) {
  (void)unused;
  for (int k = 0; k < 6; k++) {
    weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {2, -4}};
    weir__piv_scene  s      = plain(&motion);
    s.size[0] = s.size[1] = 512;
    s.bits = 16, s.peak = 2000, s.background = 100;
    s.density    = k & 1 ? 0.1 : 0.02;
    s.diameter   = k < 2 ? 1.5 : 3;
    s.sheet      = k > 3 ? WEIR__PIV_SHEET_GAUSSIAN : WEIR__PIV_SHEET_EVEN;
    double light = s.density * s.peak * pi * s.diameter * s.diameter / 8 * (k > 3 ? sqrt(pi / 8) * erf(sqrt(2)) : 1);
    void  *a, *b;
    make(&s, &a, &b);
    assert_true(fabs(mean_of(&s, a, NULL) - 100 - light) < 0.04 * light); /* the number of particles is one by chance */
    assert_true(fabs(mean_of(&s, b, NULL) - 100 - light) < 0.04 * light);
    free(a), free(b);
  }
}

static void test_noise(void **unused) {
  weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT};
  weir__piv_scene  s      = plain(&motion);
  void            *a, *b;
  double           deviation, product = 0;
  (void)unused;
  s.density = 0, s.background = 100, s.noise = 7;
  make(&s, &a, &b);
  double  mean = mean_of(&s, a, &deviation);
  int64_t n = s.size[0] * s.size[1], beyond = 0;
  assert_true(fabs(mean - 100) < 5 * 7 / sqrt((double)n));
  assert_true(fabs(deviation - sqrt(49 + 1 / 12.0)) < 0.1);
  for (int64_t i = 0; i < n; i++) {
    product += (((uint8_t *)a)[i] - mean) * (((uint8_t *)b)[i] - mean);
    beyond += abs(((uint8_t *)a)[i] - 100) > 14; /* from 14.5 on: 3.83 % of a Gaussian */
  }
  assert_true(fabs(product / (double)n) < 5 * 49 / sqrt((double)n)); /* other noise in b */
  assert_true(fabs((double)beyond / (double)n - 0.0383) < 0.004);
  free(a), free(b);
}

static void test_repeatable(void **unused) {
  weir__piv_motion motion = {.kind = WEIR__PIV_SHEAR, .gradient = 0.02, .centre = {128, 160}};
  weir__piv_scene  s      = plain(&motion);
  void            *a[4], *b[4];
  size_t           n   = (size_t)(s.size[0] * s.size[1]);
  uint64_t         sum = 14695981039346656037u;
  (void)unused;
  s.noise = 3, s.diameter_spread = 0.3, s.loss = 0.1, s.background = 12;
  make(&s, &a[0], &b[0]);
  make(&s, &a[1], &b[1]);
  s.pair = 1;
  make(&s, &a[2], &b[2]);
  s.pair = 0, s.seed = 2;
  make(&s, &a[3], &b[3]);
  assert_memory_equal(a[0], a[1], n);
  assert_memory_equal(b[0], b[1], n);
  for (int k = 2; k < 4; k++) assert_true(memcmp(a[0], a[k], n) && memcmp(b[0], b[k], n));
  assert_memory_not_equal(a[2], a[3], n);
  for (size_t i = 0; i < n; i++) sum = (sum ^ ((uint8_t *)a[0])[i]) * 1099511628211u; /* the same anywhere */
  assert_int_equal(sum, 0xac10bfefededa96fu);
  for (int k = 0; k < 4; k++) free(a[k]), free(b[k]);
}

/* Correlation at displacement 0 falls with the part of the particles that have no partner. */
static void test_loss(void **unused) {
  weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT};
  (void)unused;
  for (int k = 0; k <= 4; k++) {
    weir__piv_scene s = plain(&motion);
    void           *a, *b;
    double          da, db, product = 0;
    s.loss    = 0.25 * k;
    s.density = 0.02;
    make(&s, &a, &b);
    double ma = mean_of(&s, a, &da), mb = mean_of(&s, b, &db);
    for (int64_t i = 0; i < s.size[0] * s.size[1]; i++) product += (((uint8_t *)a)[i] - ma) * (((uint8_t *)b)[i] - mb);
    product /= da * db * (double)(s.size[0] * s.size[1]);
    assert_true(fabs(product - (1 - s.loss)) < 0.05);
    free(a), free(b);
  }
}

/* ---- places of single particles ---- */

enum { HALF = 8 };
static double at(const weir__piv_scene *s, const uint16_t *image, int64_t y, int64_t x) {
  return y < 0 || x < 0 || y >= s->size[0] || x >= s->size[1] ? 1e9 : image[y * s->size[1] + x];
}

/* Centroid of the particle whose brightest pixel is y, x; false when another one or the edge is near. */
static bool centroid(const weir__piv_scene *s, const uint16_t *image, int64_t y, int64_t x, double c[2]) {
  double sum = 0, here = at(s, image, y, x);
  c[0] = c[1] = 0;
  for (int64_t v = -HALF; v <= HALF; v++)
    for (int64_t u = -HALF; u <= HALF; u++) {
      double light = at(s, image, y + v, x + u);
      if (light > here || (light > 0 && (labs(v) == HALF || labs(u) == HALF || v * v + u * u > 49))) return false;
      sum += light, c[0] += light * (double)v, c[1] += light * (double)u;
    }
  c[0] = (double)y + c[0] / sum;
  c[1] = (double)x + c[1] / sum;
  return true;
}

static int check_places(const weir__piv_scene *s, const uint16_t *a, const uint16_t *b) {
  int found = 0;
  for (int64_t y = 0; y < s->size[0]; y++)
    for (int64_t x = 0; x < s->size[1]; x++) {
      double from[2], to[2], d[2], e[2], middle[2];
      if (at(s, a, y, x) < 20000 || !centroid(s, a, y, x, from)) continue;
      memcpy(middle, from, sizeof middle);
      for (int i = 0; i < 30; i++) { /* where the formula has its particle half way */
        s->displacement(s->parameters, middle[0], middle[1], d);
        middle[0] = from[0] + d[0] / 2, middle[1] = from[1] + d[1] / 2;
      }
      int64_t v = (int64_t)floor(from[0] + d[0] + 0.5), u = (int64_t)floor(from[1] + d[1] + 0.5), w = v, t = u;
      for (int64_t i = v - 1; i <= v + 1; i++)
        for (int64_t j = u - 1; j <= u + 1; j++)
          if (at(s, b, i, j) > at(s, b, w, t)) w = i, t = j;
      if (!centroid(s, b, w, t, to)) continue;
      s->displacement(s->parameters, (from[0] + to[0]) / 2, (from[1] + to[1]) / 2, e);
      if (fabs(to[0] - from[0] - e[0]) > 1e-3 || fabs(to[1] - from[1] - e[1]) > 1e-3)
        fail_msg("%s: particle at %g, %g moved by %g, %g, expected %g, %g",
                 weir__piv_motion_name(((const weir__piv_motion *)s->parameters)->kind), from[0], from[1],
                 to[0] - from[0], to[1] - from[1], e[0], e[1]);
      found++;
    }
  return found;
}

static void test_places(void **unused) {
  (void)unused;
  for (int k = 0; k < WEIR__PIV_MOTIONS; k++) {
    weir__piv_motion motion = {.kind       = (weir__piv_motion_kind)k,
                               .shift      = {1.3, -2.6},
                               .gradient   = 0.05,
                               .wavelength = 90,
                               .radius     = 40,
                               .centre     = {127.5, 159.5}};
    weir__piv_scene  s      = plain(&motion);
    void            *a, *b;
    s.bits = 16, s.peak = 60000, s.density = 0.0012, s.diameter = 3.5;
    make(&s, &a, &b);
    int found = check_places(&s, a, b);
    if (found < 20) fail_msg("only %d particles found", found);
    free(a), free(b);
  }
}

/* Particles come in and go out at all edges: it is nowhere darker there. */
static void test_edges(void **unused) {
  weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT, .shift = {30, -40}};
  weir__piv_scene  s      = plain(&motion);
  void            *plane[2];
  (void)unused;
  s.density = 0.5, s.peak = 20;
  make(&s, &plane[0], &plane[1]);
  for (int k = 0; k < 2; k++) {
    const uint8_t *image   = plane[k];
    double         edge[4] = {0}, light = 0.5 * 20 * pi * 2.5 * 2.5 / 8;
    int64_t        h = s.size[0], w = s.size[1];
    for (int64_t y = 0; y < h; y++)
      for (int64_t x = 0; x < 8; x++) {
        edge[0] += image[y * w + x] / (8.0 * (double)h);
        edge[1] += image[y * w + w - 8 + x] / (8.0 * (double)h);
      }
    for (int64_t y = 0; y < 8; y++)
      for (int64_t x = 0; x < w; x++) {
        edge[2] += image[y * w + x] / (8.0 * (double)w);
        edge[3] += image[(h - 8 + y) * w + x] / (8.0 * (double)w);
      }
    for (int e = 0; e < 4; e++) assert_true(fabs(edge[e] - light) < 0.12 * light);
  }
  free(plane[0]), free(plane[1]);
}

/* Formulas as derived from what they are for: curl and slopes. */
static void test_motions(void **unused) {
  double d[2], e[2];
  (void)unused;
  for (int k = 0; k < WEIR__PIV_MOTIONS; k++) {
    weir__piv_motion m = {.kind       = (weir__piv_motion_kind)k,
                          .shift      = {1, 2},
                          .gradient   = 0.1,
                          .wavelength = 50,
                          .radius     = 20,
                          .centre     = {10, 30}};
    assert_non_null(weir__piv_motion_name(m.kind));
    weir__piv_motion_at(&m, 10, 30, d);
    assert_true(fabs(d[0] - 1) < 1e-12 && fabs(d[1] - 2) < 1e-12); /* the shift alone in the middle */
    weir__piv_motion_at(&m, 10.001, 30, e);                        /* and the gradient there */
    double sign = k == WEIR__PIV_UNIFORM_SHIFT ? 0 : k == WEIR__PIV_SHEAR || k == WEIR__PIV_SINE ? 1 : -1;
    assert_true(fabs((e[1] - d[1]) / 0.001 - 0.1 * sign) < 1e-6);
    weir__piv_motion_at(&m, 10, 30.001, e);
    assert_true(fabs((e[0] - d[0]) / 0.001 - (sign < 0 ? 0.1 : 0)) < 1e-6);
  }
  weir__piv_motion far = {.kind = WEIR__PIV_VORTEX, .gradient = 0.1, .radius = 20};
  weir__piv_motion_at(&far, 0, 500, d); /* a point vortex: 0.1 * 20^2 / 500 */
  assert_true(fabs(d[0] - 0.08) < 1e-9 && fabs(d[1]) < 1e-12);
  assert_null(weir__piv_motion_name(WEIR__PIV_MOTIONS));
}

static void test_refused(void **unused) {
  weir__piv_motion motion = {.kind = WEIR__PIV_UNIFORM_SHIFT};
  uint8_t          a, b;
  (void)unused;
  for (int k = 0; k < 9; k++) {
    weir__piv_scene s = plain(&motion);
    if (k == 0) s.size[1] = 0;
    if (k == 1) s.density = -1;
    if (k == 2) s.density = NAN;
    if (k == 3) s.diameter = 0.1;
    if (k == 4) s.diameter = 100;
    if (k == 5) s.noise = INFINITY;
    if (k == 6) s.loss = 1.5;
    if (k == 7) s.bits = 17;
    if (k == 8) motion.shift[0] = 1e7;
    assert_int_equal(weir__piv_synthesize(&s, &a, &b), WEIR_ERR_ARGUMENT);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_light),      cmocka_unit_test(test_noise),
                                     cmocka_unit_test(test_repeatable), cmocka_unit_test(test_loss),
                                     cmocka_unit_test(test_places),     cmocka_unit_test(test_edges),
                                     cmocka_unit_test(test_motions),    cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
