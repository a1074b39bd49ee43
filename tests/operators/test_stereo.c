/* Cameras, fits and the operators physical, dewarp and stereo against formulas: mappings and their derivatives, there
 * and back; parameters found again from exact points; exact displacements give exact motions. */
#include "support/serial.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "operators/piv/camera_fit.h"
#include "operators/piv/stereo.h"

extern const weir_operator weir_operator_physical, weir_operator_dewarp, weir_operator_stereo;

static _Alignas(16) char params[TEST_PARAMS_SIZE];
static const double degree = 0.017453292519943295;
enum { ROWS = 41, COLUMNS = 51, PATH = 4096 };

/* Looks at the origin from half a metre, `angle` degrees to the side. */
static weir__camera make_camera(double angle, double k1, double k2) {
  double       c = cos(angle * degree), s = sin(angle * degree);
  weir__camera camera = {.model  = WEIR__CAMERA_PINHOLE,
                         .deep   = true,
                         .k      = {2400, 0, 639.5, 2410, 511.5},
                         .r      = {{c, 0, -s}, {0, -1, 0}, {-s, 0, -c}},
                         .t      = {0, 0, 0.5},
                         .radial = {k1, k2},
                         .least  = {-0.06, -0.05, -2e-3},
                         .most   = {0.06, 0.05, 2e-3}};
  return camera;
}

static double between(double least, double most) { return least + (most - least) * test_uniform(); }

static void random_place(double at[3]) {
  at[0] = between(-0.06, 0.06), at[1] = between(-0.05, 0.05), at[2] = between(-2e-3, 2e-3);
}

/* Points of a target of 11 x 9 dots at some Z. */
static int64_t make_points(const weir__camera *camera, int planes, weir__camera_point *point) {
  int64_t n = 0;
  for (int z = 0; z < planes; z++)
    for (int y = -4; y <= 4; y++)
      for (int x = -5; x <= 5; x++, n++) {
        double world[3] = {0.012 * x, 0.012 * y, planes > 1 ? 4e-3 * z / (planes - 1) - 2e-3 : 0};
        memcpy(point[n].world, world, sizeof world);
        assert_true(weir__camera_project(camera, world, point[n].image, NULL));
      }
  return n;
}

static weir__camera fitted(const weir__camera *camera, weir__camera_fit fit, int planes) {
  static weir__camera_point point[400];
  weir__camera              c;
  int64_t                   n = make_points(camera, planes, point);
  if (weir__camera_fit_points(&fit, point, n, &c) < 0) fail_msg("%s", weir_error_last());
  return c;
}

/* ---- mappings ---- */

/* Derivatives against differences; unproject takes back what project gave. */
static void check_mapping(const weir__camera *c) {
  for (int n = 0; n < 200; n++) {
    double at[3], image[2], j[2][3], back[3];
    random_place(at);
    assert_true(weir__camera_project(c, at, image, j));
    for (int a = 0; a < 3; a++) {
      double side[2][2], h = 1e-6;
      for (int e = 0; e < 2; e++) {
        double moved[3] = {at[0], at[1], at[2]};
        moved[a] += e ? h : -h;
        assert_true(weir__camera_project(c, moved, side[e], NULL));
      }
      for (int i = 0; i < 2; i++) assert_true(fabs((side[1][i] - side[0][i]) / (2 * h) - j[i][a]) < 1e-2);
    }
    back[2] = at[2];
    assert_true(weir__camera_unproject(c, image, NULL, back));
    for (int a = 0; a < 3; a++) assert_true(fabs(back[a] - at[a]) < 1e-14);
  }
}

static void test_mappings(void **state) {
  weir__camera c[] = {make_camera(0, 0, 0), make_camera(35, 0.2, -0.9), make_camera(-30, -0.3, 0)};
  (void)state;
  for (int k = 0; k < 3; k++) {
    weir__camera p = fitted(&c[k], (weir__camera_fit){WEIR__CAMERA_POLYNOMIAL, 3, 0}, 3);
    check_mapping(&c[k]);
    check_mapping(&p);
  }
}

static void test_not_seen(void **state) {
  weir__camera c = make_camera(0, -8, 0); /* turns back at r = 0.204 */
  double       image[2], world[3] = {0, 0, 0};
  (void)state;
  assert_false(weir__camera_project(&c, (double[3]){0, 0, 0.6}, image, NULL)); /* behind */
  assert_false(weir__camera_project(&c, (double[3]){0.11, 0, 0}, image, NULL));
  assert_true(weir__camera_project(&c, (double[3]){0.1, 0, 0}, image, NULL));
  assert_false(weir__camera_unproject(&c, (double[2]){639.5 + 2400 * 0.3, 511.5}, NULL, world));
}

/* ---- fits ---- */

static void test_fit_pinhole(void **state) {
  (void)state;
  for (int planes = 2; planes <= 3; planes++)
    for (int radial = 0; radial <= 2; radial++) {
      weir__camera c = make_camera(30, radial > 0 ? 0.25 : 0, radial > 1 ? -1.5 : 0), f;
      f              = fitted(&c, (weir__camera_fit){WEIR__CAMERA_PINHOLE, 3, radial}, planes);
      for (int i = 0; i < 5; i++) assert_true(fabs(f.k[i] - c.k[i]) < 1e-6);
      for (int i = 0; i < 3; i++) {
        assert_true(fabs(f.t[i] - c.t[i]) < 1e-9);
        for (int j = 0; j < 3; j++) assert_true(fabs(f.r[i][j] - c.r[i][j]) < 1e-9);
      }
      for (int i = 0; i < 2; i++) assert_true(fabs(f.radial[i] - c.radial[i]) < 1e-5);
    }
}

/* A polynomial is found again from its own values, whatever its order and the planes. */
static void test_fit_polynomial(void **state) {
  weir__camera from = make_camera(30, 0.25, 0);
  (void)state;
  for (int planes = 1; planes <= 3; planes++)
    for (int order = 1; order <= 3; order++) {
      weir__camera_fit fit = {WEIR__CAMERA_POLYNOMIAL, order, 0};
      weir__camera     c   = fitted(&from, fit, planes), f;
      f                    = fitted(&c, fit, planes);
      assert_int_equal(f.deep, planes > 1);
      for (int i = 0; i < 2; i++)
        for (int n = 0; n < WEIR__CAMERA_TERMS; n++) {
          assert_true(fabs(f.coefficient[i][n] - c.coefficient[i][n]) < 1e-9);
          const int *p = weir__camera_powers(n);
          if (p[0] + p[1] + p[2] > order || p[2] >= planes) assert_true(c.coefficient[i][n] == 0);
        }
    }
}

static void expect_refusal(const char *part, weir__camera_fit fit, const weir__camera_point *point, int64_t n) {
  weir__camera c;
  assert_int_equal(weir__camera_fit_points(&fit, point, n, &c), WEIR_ERR_INPUT);
  if (!strstr(weir_error_last(), part)) fail_msg("expected '%s': %s", part, weir_error_last());
}

static void test_degenerate(void **state) {
  static weir__camera_point point[400];
  weir__camera              c          = make_camera(20, 0, 0);
  const weir__camera_fit    polynomial = {WEIR__CAMERA_POLYNOMIAL, 3, 0}, pinhole = {WEIR__CAMERA_PINHOLE, 3, 2};
  int64_t                   n = make_points(&c, 1, point);
  (void)state;
  expect_refusal("lie in one plane", pinhole, point, n);
  expect_refusal("at least 10 for a polynomial", polynomial, point, 9);
  expect_refusal("determine 4 of the 10 terms", polynomial, point, 11);               /* one row */
  expect_refusal("of the 10 terms", polynomial, point, 33);                           /* three rows */
  for (int64_t i = 0; i < n; i++) point[i].world[2] = point[i].world[0] * 0.3 + 0.01; /* inclined */
  expect_refusal("lie in one plane", pinhole, point, n);
  n = make_points(&c, 3, point);
  expect_refusal("5 points, expected at least 6", pinhole, point, 5);
  point[7].image[0] = NAN;
  expect_refusal("point 8 is not finite", pinhole, point, n);
  n = make_points(&c, 3, point);
  for (int64_t i = 0; i < n; i++) point[i].world[2] *= -1;
  expect_refusal("left-handed", pinhole, point, n);
  for (int64_t i = 0; i < n; i++) point[i] = point[i % 5 * 60];
  expect_refusal("do not determine a pinhole", pinhole, point, n);
}

/* ---- three components ---- */

static void test_exact_motion(void **state) {
  (void)state;
  for (int kind = 0; kind < 2; kind++) {
    weir__camera pin[2] = {make_camera(-35, 0.2, -1), make_camera(35, -0.2, 0.5)}, c[2];
    for (int k = 0; k < 2; k++)
      c[k] = kind ? fitted(&pin[k], (weir__camera_fit){WEIR__CAMERA_POLYNOMIAL, 3, 0}, 3) : pin[k];
    const weir__camera *camera[2] = {&c[0], &c[1]};
    double              wrong = 0, left = 0;
    for (int n = 0; n < 1000; n++) {
      double at[3], move[3], d[2][2], found[3], residual;
      random_place(at);
      for (int a = 0; a < 3; a++) move[a] = between(-1e-3, 1e-3);
      for (int k = 0; k < 2; k++) {
        double end[2][2];
        for (int e = 0; e < 2; e++) {
          double h = e ? 0.5 : -0.5, there[3] = {at[0] + h * move[0], at[1] + h * move[1], at[2] + h * move[2]};
          assert_true(weir__camera_project(&c[k], there, end[e], NULL));
        }
        for (int i = 0; i < 2; i++) d[k][i] = end[1][i] - end[0][i];
      }
      assert_true(weir__stereo_solve(camera, at, (const double(*)[2])d, found, &residual));
      for (int a = 0; a < 3; a++) wrong = fmax(wrong, fabs(found[a] - move[a]));
      left = fmax(left, residual);
    }
    assert_true(wrong < 1e-15); /* m; a pixel is 2e-4 */
    assert_true(left < 1e-11);
  }
}

/* Error propagation of two cameras at +-a: noise of a component, seen from far away, is that of a pixel over sqrt(2)
 * cos a for u, over sqrt(2) for v, over sqrt(2) sin a for w (Prasad 2000); of the residual as much as of a pixel. */
static void test_noise(void **state) {
  const double        angle = 35, sigma = 0.1, at[3] = {0, 0, 0};
  weir__camera        c[2]      = {make_camera(-angle, 0, 0), make_camera(angle, 0, 0)};
  const weir__camera *camera[2] = {&c[0], &c[1]};
  double              square[4] = {0};
  enum { TRIES = 20000 };
  (void)state;
  for (int n = 0; n < TRIES; n++) {
    double d[2][2], move[3], residual;
    for (int k = 0; k < 2; k++)
      for (int i = 0; i < 2; i++)
        d[k][i] = sigma * sqrt(-2 * log(1 - test_uniform())) * cos(360 * degree * test_uniform());
    assert_true(weir__stereo_solve(camera, at, (const double(*)[2])d, move, &residual));
    for (int a = 0; a < 3; a++) square[a] += move[a] * move[a] / TRIES;
    square[3] += residual * residual / TRIES;
  }
  double pixel = 0.5 / 2405, expected[4] = {1 / cos(angle * degree), 1, 1 / sin(angle * degree)};
  for (int a = 0; a < 3; a++) assert_true(fabs(sqrt(square[a]) / (sigma * pixel * expected[a] / sqrt(2)) - 1) < 0.03);
  assert_true(fabs(sqrt(square[3]) / sigma - 1) < 0.03);
}

static void test_condition(void **state) {
  const double at[3] = {0, 0, 0};
  (void)state;
  for (double angle = 0; angle < 46; angle += 15) {
    weir__camera        c[2]      = {make_camera(-angle, 0, 0), make_camera(angle, 0, 0)};
    const weir__camera *camera[2] = {&c[0], &c[1]};
    double              got = weir__stereo_condition(camera, at), s = sin(angle * degree);
    assert_true(fabs(got - s) < 0.01); /* singular values sin a (Z), cos a (X), 1 (Y), times sqrt 2 */
  }
}

/* ---- the operators ---- */

/* Into a file of its own, which the test removes. */
static const char *write_camera(const weir__camera *c, char path[PATH]) {
  const char *folder = getenv("TMPDIR");
  (void)snprintf(path, PATH, "%s/camera_XXXXXX", folder ? folder : "/tmp");
  int   file = mkstemp(path);
  FILE *f    = file >= 0 ? fdopen(file, "w") : NULL;
  assert_non_null(f);
  (void)fprintf(f, "model: pinhole\nK: [[%.17g, %.17g, %.17g], [0, %.17g, %.17g], [0, 0, 1]]\nR:\n", c->k[0], c->k[1],
                c->k[2], c->k[3], c->k[4]);
  for (int i = 0; i < 3; i++) (void)fprintf(f, "  - [%.17g, %.17g, %.17g]\n", c->r[i][0], c->r[i][1], c->r[i][2]);
  (void)fprintf(f, "t: [%.17g, %.17g, %.17g]\nradial: [%.17g, %.17g]\n", c->t[0], c->t[1], c->t[2], c->radial[0],
                c->radial[1]);
  (void)fclose(f);
  return path;
}

static void set_text(const weir_operator *op, const char *name, const char *text) {
  const weir_param *p = op->params;
  while (p->name && strcmp(p->name, name)) p++;
  assert_non_null(p->name);
  memcpy(params + p->offset, &text, sizeof text);
}

static weir_field_type vectors_type(void) {
  int64_t         extent[2] = {ROWS, COLUMNS};
  weir_field_type t         = test_type(WEIR_F64, 2, extent, 1);
  t.units                   = "pixel";
  for (int a = 0; a < 2; a++) {
    t.dim[a].units   = "pixel";
    t.dim[a].origin  = a ? 20 : 12;
    t.dim[a].spacing = 24;
  }
  return t;
}

static void motion(const double at[3], double move[3]) {
  move[0] = 3e-4 - 0.01 * at[1], move[1] = 0.008 * at[0] + 0.05 * at[0] * at[1], move[2] = 2e-4 - 0.004 * at[0];
}

/* What piv would measure at an image position: the displacement of what is there in the middle between the images. */
static void displacement(const weir__camera *c, const double image[2], double d[2], bool flat) {
  double at[3] = {0, 0, 0}, move[3], end[2][2];
  assert_true(weir__camera_unproject(c, image, NULL, at));
  motion(at, move);
  if (flat) move[2] = 0;
  for (int e = 0; e < 2; e++) {
    double h = e ? 0.5 : -0.5, there[3] = {at[0] + h * move[0], at[1] + h * move[1], h * move[2]};
    assert_true(weir__camera_project(c, there, end[e], NULL));
  }
  for (int i = 0; i < 2; i++) d[i] = end[1][i] - end[0][i];
}

static void make_vectors(const weir__camera *c, test_field f[2], bool flat) {
  weir_field_type type = vectors_type();
  for (int k = 0; k < 2; k++) test_field_create(&f[k], &type);
  for (int64_t i = 0; i < ROWS * COLUMNS; i++) {
    double image[2] = {20 + 24.0 * (double)(i % COLUMNS), 12 + 24.0 * (double)(i / COLUMNS)}, d[2];
    displacement(c, image, d, flat);
    for (int k = 0; k < 2; k++) test_field_set(&f[k], i, d[k]);
  }
}

/* Only interpolation between vectors is left as an error: of fourth order in their distance. */
static int64_t check_result(const test_field *out, int components, double dt, bool flat, double tolerance) {
  const weir_field_type *t     = &out[0].type;
  int64_t                valid = 0;
  for (int64_t i = 0; i < test_field_size(t); i++) {
    double at[3] = {t->dim[1].origin + t->dim[1].spacing * (double)(i % t->dim[1].size),
                    t->dim[0].origin + t->dim[0].spacing * (double)(i / t->dim[1].size), 0},
           move[3];
    motion(at, move);
    if (flat) move[2] = 0;
    if (isnan(test_field_get(&out[0], i))) continue;
    valid++;
    for (int k = 0; k < components; k++)
      if (!(fabs(test_field_get(&out[k], i) * dt - move[k]) < tolerance))
        fail_msg("component %d at %g %g: %.9g, expected %.9g", k, at[0], at[1], test_field_get(&out[k], i) * dt,
                 move[k]);
  }
  return valid;
}

static void test_physical(void **state) {
  char                 path[PATH];
  weir__camera         c = make_camera(25, 0.2, 0);
  test_field           f[2], out[2];
  const weir_operator *op = &weir_operator_physical;
  (void)state;
  make_vectors(&c, f, true);
  const weir_field_type *types[2] = {&f[0].type, &f[1].type};
  test_engine           *e;
  test_params(op, params);
  set_text(op, "calibration", write_camera(&c, path));
  test_set(op, params, "dt", 2e-3);
  if (test_engine_open(op, params, types, 2, 0, &e) < 0) fail_msg("%s", weir_error_last());
  const test_field *both[2] = {&f[0], &f[1]};
  if (test_engine_step(e, (const test_field *const *)both, out) < 0) fail_msg("%s", weir_error_last());
  assert_string_equal(out[0].type.units, "m s-1");
  assert_string_equal(out[0].type.dim[0].units, "m");
  double spacing = out[0].type.dim[0].spacing; /* 24 pixels of 2.08e-4 m, stretched by 1 / sqrt cos 25: two digits */
  assert_true(fabs(spacing - 24 * 0.5 / 2405 / sqrt(cos(25 * degree))) < 2e-4);
  assert_true(fabs(spacing * 1e4 - round(spacing * 1e4)) < 1e-9);
  int64_t valid = check_result(out, 2, 2e-3, true, 2e-9), all = test_field_size(&out[0].type);
  assert_true(valid > all * 4 / 5);
  test_engine_close(e);
  for (int k = 0; k < 2; k++) test_field_free(&out[k]), test_field_free(&f[k]);
  (void)unlink(path);
}

/* With some vectors missing: those near them are linear between neighbours, or missing, and none else changes. */
static void test_stereo_operator(void **state) {
  char                 path[2][PATH];
  weir__camera         c[2] = {make_camera(-35, 0.2, -1), make_camera(35, -0.1, 0.5)};
  test_field           f[4], out[4];
  const weir_operator *op = &weir_operator_stereo;
  (void)state;
  for (int hole = 0; hole < 2; hole++) {
    for (int k = 0; k < 2; k++) make_vectors(&c[k], &f[2 * k], false);
    if (hole) test_field_set(&f[1], 20 * COLUMNS + 25, NAN);
    const weir_field_type *types[4] = {&f[0].type, &f[1].type, &f[2].type, &f[3].type};
    const test_field      *in[4]    = {&f[0], &f[1], &f[2], &f[3]};
    test_engine           *e;
    test_params(op, params);
    set_text(op, "left", write_camera(&c[0], path[0]));
    set_text(op, "right", write_camera(&c[1], path[1]));
    test_set(op, params, "spacing", 0.003);
    if (test_engine_open(op, params, types, 4, 0, &e) < 0) fail_msg("%s", weir_error_last());
    if (test_engine_step(e, in, out) < 0) fail_msg("%s", weir_error_last());
    assert_string_equal(out[2].type.units, "m");
    assert_string_equal(out[3].type.units, "pixel");
    static int64_t whole;
    int64_t        valid = check_result(out, 3, 1, false, hole ? 2e-6 : 1e-8);
    if (!hole) whole = valid;
    assert_true(valid > 900);
    assert_true(!hole || (valid < whole && valid >= whole - 25));
    for (int64_t i = 0; !hole && i < test_field_size(&out[3].type); i++)
      assert_true(!(test_field_get(&out[3], i) > 1e-4));
    test_engine_close(e);
    for (int k = 0; k < 4; k++) test_field_free(&out[k]), test_field_free(&f[k]);
    for (int k = 0; k < 2; k++) (void)unlink(path[k]);
  }
}

static double scene(double x, double y) { return 100 + 40 * sin(x / 7) * cos(y / 9) + 0.05 * x - 0.02 * y; }

/* A smooth image, also a float one with a missing pixel. */
static void test_dewarp(void **state) {
  enum { H = 150, L = 190 };
  char                 path[PATH];
  weir__camera         c         = make_camera(25, 0.3, 0);
  int64_t              extent[2] = {H, L};
  const weir_operator *op        = &weir_operator_dewarp;
  (void)state;
  c.k[0] = c.k[3] = 400, c.k[2] = L / 2, c.k[4] = H / 2;
  for (int odd = 0; odd < 2; odd++) {
    weir_field_type        type  = test_type(WEIR_F32, 2, extent, 1);
    const weir_field_type *types = &type;
    test_field             f, out;
    const test_field      *in = &f;
    test_engine           *e;
    type.dim[0].units = type.dim[1].units = "pixel";
    type.units                            = "";
    for (int a = 0; a < 2; a++) type.dim[a].origin = 0, type.dim[a].spacing = 1;
    test_field_create(&f, &type);
    for (int64_t i = 0; i < H * L; i++) test_field_set(&f, i, scene((double)(i % L), (double)(i / L)));
    if (odd) test_field_set(&f, 75 * L + 90, NAN);
    test_params(op, params);
    set_text(op, "calibration", write_camera(&c, path));
    if (test_engine_open(op, params, &types, 1, 0, &e) < 0) fail_msg("%s", weir_error_last());
    if (test_engine_step(e, &in, &out) < 0) fail_msg("%s", weir_error_last());
    int64_t seen = 0, missing = 0;
    for (int64_t i = 0; i < test_field_size(&out.type); i++) {
      const weir_dimension *d     = out.type.dim;
      double                at[3] = {d[1].origin + d[1].spacing * (double)(i % d[1].size),
                                     d[0].origin + d[0].spacing * (double)(i / d[1].size), 0};
      double                image[2], got = test_field_get(&out, i);
      assert_true(weir__camera_project(&c, at, image, NULL));
      bool inside = image[0] >= 0 && image[0] <= L - 1 && image[1] >= 0 && image[1] <= H - 1;
      bool edge =
          image[0] < 8 || image[0] > L - 9 || image[1] < 8 || image[1] > H - 9; /* where the spline is natural */
      double away = hypot(image[0] - 90, image[1] - 75);
      if (!inside) assert_true(isnan(got));
      else if (odd && away < 0.4) assert_true(isnan(got)), missing++;
      else if (!(odd && away < 14)) assert_true(fabs(got - scene(image[0], image[1])) < (edge ? 0.3 : 2e-3)), seen++;
    }
    assert_true(seen > H * L / 2);
    assert_true(missing == 0 || odd);
    test_engine_close(e);
    test_field_free(&out), test_field_free(&f);
    (void)unlink(path);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mappings),        cmocka_unit_test(test_not_seen),   cmocka_unit_test(test_fit_pinhole),
      cmocka_unit_test(test_fit_polynomial),  cmocka_unit_test(test_degenerate), cmocka_unit_test(test_exact_motion),
      cmocka_unit_test(test_noise),           cmocka_unit_test(test_condition),  cmocka_unit_test(test_physical),
      cmocka_unit_test(test_stereo_operator), cmocka_unit_test(test_dewarp)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
