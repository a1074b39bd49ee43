/* Heights from fringes that were made for a surface that is known, and the unwrapping of phases alone. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "operators/common/unwrap.h"

extern const weir_operator weir_operator_fourier_profilometry;
#define OPERATOR (&weir_operator_fourier_profilometry)

enum { ROWS = 240, COLUMNS = 330, PIXELS = ROWS * COLUMNS, BORDER = 24, HEIGHT = 0, PHASE, MODULATION, RESULTS };
static const double pi = 3.14159265358979323846, distance = 1.2, separation = 0.3, pixel = 5e-4;

static _Alignas(16) char params[TEST_PARAMS_SIZE];

/* ---- unwrapping ---- */

static double wrapped(double x) { return x - 2 * pi * rint(x / (2 * pi)); }

static double normal(void) { return sqrt(-2 * log(1 - test_uniform())) * cos(2 * pi * test_uniform()); }

/* The largest difference to the truth, but for one multiple of 2 pi and where `weak`. */
static double unwrap_error(const double *truth, const uint8_t *weak, int64_t rows, int64_t columns) {
  int64_t n = rows * columns, first = 0;
  float  *phase   = malloc((size_t)n * sizeof *phase);
  void   *scratch = malloc(weir__unwrap_scratch(rows, columns));
  double  most    = 0;
  for (int64_t i = 0; i < n; i++) phase[i] = (float)wrapped(truth[i]);
  weir__unwrap(phase, weak, rows, columns, scratch);
  while (weak && weak[first]) first++;
  double turns = 2 * pi * rint((truth[first] - (double)phase[first]) / (2 * pi));
  for (int64_t i = 0; i < n; i++) {
    double e = fabs(truth[i] - turns - (double)phase[i]);
    assert_true(fabs(wrapped(truth[i] - (double)phase[i])) < 1e-3); /* congruent, whatever happens */
    if (!(weak && weak[i]) && e > most) most = e;
  }
  free(phase), free(scratch);
  return most;
}

static void test_unwrap(void **unused) {
  static double  truth[PIXELS];
  static uint8_t weak[PIXELS];
  (void)unused;
  test_seed = 3;
  for (int64_t i = 0; i < PIXELS; i++) {
    double y = (double)(i / COLUMNS), x = (double)(i % COLUMNS);
    truth[i] = 0.2 * x - 0.3 * y + 20 * exp(-((y - 100) * (y - 100) + (x - 200) * (x - 200)) / 3200) + 0.3 * normal();
  }
  assert_true(unwrap_error(truth, NULL, ROWS, COLUMNS) < 1e-3);
  for (int64_t i = 0; i < PIXELS; i++) { /* nothing but noise in a disc, and in a band that touches the border */
    double y = (double)(i / COLUMNS), x = (double)(i % COLUMNS);
    weak[i] = hypot(y - 60, x - 80) < 25 || (x > 150 && x < 180 && y < 180);
    if (weak[i]) truth[i] += 6 * normal();
  }
  assert_true(unwrap_error(truth, weak, ROWS, COLUMNS) < 1e-3);
  static const int64_t thin[][2] = {{1, 1}, {1, 50}, {50, 1}, {2, 2}, {3, 40}};
  for (size_t k = 0; k < sizeof thin / sizeof *thin; k++) {
    for (int64_t i = 0; i < thin[k][0] * thin[k][1]; i++) truth[i] = 1.1 * (double)(i / thin[k][1] + i % thin[k][1]);
    assert_true(unwrap_error(truth, NULL, thin[k][0], thin[k][1]) < 1e-3);
  }
}

/* ---- profilometry ---- */

typedef struct scene {
  double ky, kx; /* carrier, per pixel */
  double swing;  /* of the surface, m */
  double noise;  /* counts; the fringes swing by 70 */
  bool   dark;   /* a disc without fringes */
} scene;

static double surface(const scene *s, double y, double x) {
  return s->swing *
         (exp(-((y - 110) * (y - 110) + (x - 190) * (x - 190)) / 3000) + 0.3 * sin(2 * pi * (x + 0.7 * y) / 90));
}

static bool in_disc(double y, double x) { return hypot(y - 60, x - 80) < 20; }

static double period_of(const scene *s) { return pixel / hypot(s->ky, s->kx); }

/* Takeda & Mutoh 1983: a point at height h is seen where the reference has the fringes of a place that lies D h / (L -
 * h) away, against the separation. */
static double phase_of(const scene *s, double h) { return -2 * pi * separation / period_of(s) * h / (distance - h); }

static void draw(const scene *s, test_field *image, test_field *reference) {
  for (int64_t i = 0; i < PIXELS; i++) {
    double y = (double)(i / COLUMNS), x = (double)(i % COLUMNS), carrier = 2 * pi * (s->ky * y + s->kx * x) + 0.4;
    double light = 110 + 15 * sin(x / 70) + 10 * cos(y / 50), swing = s->dark && in_disc(y, x) ? 0 : 70;
    double bright = light + swing * cos(carrier + phase_of(s, surface(s, y, x))) + s->noise * normal();
    test_field_set(image, i, rint(bright));
    test_field_set(reference, i, rint(light + 70 * cos(carrier) + s->noise * normal()));
  }
}

static weir_field_type image_type(bool metres) {
  const int64_t   extent[2] = {ROWS, COLUMNS};
  weir_field_type type      = test_type(WEIR_F32, 2, extent, pixel);
  for (int k = 0; k < 2 && !metres; k++) type.dim[k].units = "pixel", type.dim[k].spacing = 1;
  return type;
}

static void usual(void) {
  test_params(OPERATOR, params);
  test_set(OPERATOR, params, "distance", distance);
  test_set(OPERATOR, params, "separation", separation);
}

static weir_status compute(const test_field *image, const test_field *reference, test_field *out) {
  const weir_field_type *type[2] = {&image->type, &reference->type};
  const test_field      *in[2]   = {image, reference};
  test_engine           *engine;
  weir_status            status = test_engine_open(OPERATOR, params, type, 2, 0, &engine);
  if (status < 0) return status;
  status = test_engine_step(engine, in, out);
  for (int k = 0; status < 0 && k < RESULTS; k++) test_field_free(&out[k]);
  test_engine_close(engine);
  return status;
}

static void clear(test_field *out) {
  for (int k = 0; k < RESULTS; k++) test_field_free(&out[k]);
}

typedef struct errors {
  double inner, all,
      phase; /* root mean square: height relative to the swing, away from the borders; all of it; radians */
} errors;

static errors errors_of(const scene *s, const test_field *out) {
  double  inner = 0, all = 0, phase = 0;
  int64_t inside = 0, n = 0;
  for (int64_t i = 0; i < PIXELS; i++) {
    int64_t y = i / COLUMNS, x = i % COLUMNS;
    double  h = surface(s, (double)y, (double)x), e = (test_field_get(&out[HEIGHT], i) - h) / s->swing;
    if (s->dark && hypot((double)y - 60, (double)x - 80) < 32) continue;
    all += e * e, n++;
    if (y < BORDER || x < BORDER || y >= ROWS - BORDER || x >= COLUMNS - BORDER) continue;
    double p = test_field_get(&out[PHASE], i) - phase_of(s, h);
    inner += e * e, phase += p * p, inside++;
  }
  return (errors){sqrt(inner / (double)inside), sqrt(all / (double)n), sqrt(phase / (double)inside)};
}

/* Vertical, oblique and horizontal fringes; a surface whose phase turns several times. */
static void test_heights(void **unused) {
  static const scene scenes[] = {{0, 1 / 8.3, 2e-3, 0, false},     {0, 1 / 8.3, 2e-3, 5, false},
                                 {0.05, 1 / 10.0, 5e-3, 3, false}, {-0.06, 0.07, 5e-3, 3, false},
                                 {1 / 9.1, 0, 5e-3, 3, false},     {0, 1 / 7.7, 12e-3, 3, false}};
  weir_field_type    type     = image_type(true);
  test_field         image, reference, out[RESULTS];
  (void)unused;
  test_seed = 11;
  test_field_create(&image, &type), test_field_create(&reference, &type);
  for (size_t k = 0; k < sizeof scenes / sizeof *scenes; k++) {
    const scene *s = &scenes[k];
    draw(s, &image, &reference);
    for (int given = 0; given < 2; given++) {
      usual();
      if (given) {
        test_set(OPERATOR, params, "period", period_of(s));
        test_set(OPERATOR, params, "wavelength", 1.1 / hypot(s->ky, s->kx));
      }
      assert_int_equal(compute(&image, &reference, out), WEIR_OK);
      errors e = errors_of(s, out);
      printf("carrier %.3f, %.3f, swing %g mm, noise %g: rms %.4f of it, %.4f with borders, %.4f rad\n", s->ky, s->kx,
             s->swing * 1e3, s->noise, e.inner, e.all, e.phase);
      assert_true(e.phase < (s->noise > 0 ? 0.02 : 0.01));
      assert_true(e.inner < (s->noise > 0 ? 0.03 : 0.005));
      assert_true(e.all < 0.05);
      clear(out);
    }
  }
  test_field_free(&image), test_field_free(&reference);
}

/* A disc without fringes is missing and harms nothing around; its phase is noise. */
static void test_missing(void **unused) {
  const scene     s    = {0, 1 / 8.0, 5e-3, 3, true};
  weir_field_type type = image_type(true);
  test_field      image, reference, out[RESULTS];
  (void)unused;
  test_seed = 5;
  test_field_create(&image, &type), test_field_create(&reference, &type);
  draw(&s, &image, &reference);
  test_field_set(&image, 200 * COLUMNS + 300, NAN);
  usual();
  test_set(OPERATOR, params, "min_modulation", 30);
  assert_int_equal(compute(&image, &reference, out), WEIR_OK);
  errors e = errors_of(&s, &out[0]); /* NaN if any of them were missing */
  assert_true(isnan(e.inner) == 1);
  double sum = 0;
  int    n   = 0;
  for (int64_t i = 0; i < PIXELS; i++) {
    double y = (double)(i / COLUMNS), x = (double)(i % COLUMNS), h = test_field_get(&out[HEIGHT], i);
    if (hypot(y - 60, x - 80) < 14) assert_true(isnan(h) && test_field_get(&out[MODULATION], i) < 30);
    bool near = hypot(y - 60, x - 80) < 32 || (hypot(y - 200, x - 300) < 8);
    if (near || y < BORDER || x < BORDER || y >= ROWS - BORDER || x >= COLUMNS - BORDER) continue;
    assert_true(fabs(test_field_get(&out[MODULATION], i) - 70) < 8);
    sum += pow((h - surface(&s, y, x)) / s.swing, 2), n++;
  }
  assert_true(isnan(test_field_get(&out[PHASE], 200 * COLUMNS + 300)));
  assert_true(sqrt(sum / n) < 0.01);
  clear(out);
  test_field_free(&image), test_field_free(&reference);
}

/* The whole surface lifted by so much that all of the phase turns more than once: only an anchor can tell. */
static void test_anchor(void **unused) {
  weir_field_type type = image_type(true);
  test_field      image, reference, out[RESULTS];
  const double    k = 1 / 8.0, far = 2 * pi * separation * k / pixel;
  (void)unused;
  test_seed = 9;
  test_field_create(&image, &type), test_field_create(&reference, &type);
  for (int64_t i = 0; i < PIXELS; i++) { /* a ramp from 0 at the left to 3.5 turns */
    double x = (double)(i % COLUMNS);
    test_field_set(&reference, i, 100 + 50 * cos(2 * pi * k * x));
    test_field_set(&image, i, 100 + 50 * cos(2 * pi * k * x - 7 * pi * x / (COLUMNS - 1)));
  }
  usual();
  weir_param const *anchor = OPERATOR->params;
  while (strcmp(anchor->name, "anchor")) anchor++;
  *(weir_list *)(void *)(params + anchor->offset) = (weir_list){2, {120, 12}};
  assert_int_equal(compute(&image, &reference, out), WEIR_OK);
  double middle   = test_field_get(&out[PHASE], 120 * COLUMNS + COLUMNS / 2),
         expected = -7 * pi * (COLUMNS / 2) / (COLUMNS - 1);
  assert_true(fabs(middle - expected) < 0.02);
  double height = test_field_get(&out[HEIGHT], 120 * COLUMNS + COLUMNS / 2);
  assert_true(fabs(height - distance * middle / (middle - far)) < 1e-5 && height > 0);
  clear(out);
  usual();
  assert_int_equal(compute(&image, &reference, out), WEIR_OK);
  double other = test_field_get(&out[PHASE], 120 * COLUMNS + COLUMNS / 2);
  assert_true(fabs(other - expected) > 6 && fabs(wrapped(other - expected)) < 0.02);
  clear(out);
  test_field_free(&image), test_field_free(&reference);
}

static void test_refused(void **unused) {
  const scene     s    = {0, 1 / 8.0, 5e-3, 0, false};
  weir_field_type type = image_type(true), pixels = image_type(false);
  test_field      image, reference, out[RESULTS], plain;
  (void)unused;
  test_field_create(&image, &type), test_field_create(&reference, &type), test_field_create(&plain, &type);
  draw(&s, &image, &reference);
  for (int64_t i = 0; i < PIXELS; i++) test_field_set(&plain, i, 100);
  usual();
  assert_int_equal(compute(&image, &plain, out), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "no fringes"));
  image.type = reference.type = pixels;
  assert_int_equal(compute(&image, &reference, out), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "period is missing"));
  test_field_free(&image), test_field_free(&reference), test_field_free(&plain);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_unwrap), cmocka_unit_test(test_heights),
                                     cmocka_unit_test(test_missing), cmocka_unit_test(test_anchor),
                                     cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
