/* Pictures: colour maps, paths, series in bounded memory, and pixels of known places in a decoded PNG. */
#include "field/field.h"
#include "font_leaks.h"
#include "io/file.h"
#include "io/plot.h"
#include <cairo.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char folder[256];

static int make_folder(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-plot-XXXXXX", parent ? parent : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  cairo_debug_reset_static_data();
  return weir__file_remove_tree(folder) < 0 ? -1 : 0;
}

static const char *path_of(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

/* ---- colours ---- */

static double linear(double c) { return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4); }

/* sRGB to Oklab (Ottosson 2020): the other direction than the code under test. */
static void oklab(const double rgb[3], double lab[3]) {
  double r = linear(rgb[0]), g = linear(rgb[1]), b = linear(rgb[2]);
  double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  lab[0]   = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
  lab[1]   = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
  lab[2]   = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

static void colours_are_even(void **state) {
  double before[3], now[3], rgb[3], least = 1, most = 0;
  (void)state;
  for (int i = 0; i <= 100; i++) {
    weir__colour_sequential(i / 100.0, rgb);
    oklab(rgb, now);
    if (i) {
      double step = sqrt(pow(now[0] - before[0], 2) + pow(now[1] - before[1], 2) + pow(now[2] - before[2], 2));
      least       = fmin(least, step);
      most        = fmax(most, step);
      assert_true(now[0] > before[0]); /* lightness rises: readable in grey */
      assert_true(fabs(now[0] - before[0] - 0.0065) < 1e-3);
    }
    memcpy(before, now, sizeof before);
  }
  assert_true(most < 1.6 * least);
  for (int i = 0; i <= 50; i++) { /* both arms have the same lightness */
    double other[3];
    weir__colour_diverging(0.5 - i / 100.0, rgb);
    oklab(rgb, now);
    weir__colour_diverging(0.5 + i / 100.0, rgb);
    oklab(rgb, other);
    assert_true(fabs(now[0] - other[0]) < 2e-3);
    if (i > 5) assert_true(now[2] < 0 && other[1] > 0); /* blue, red */
  }
  weir__colour_sequential(NAN, rgb);
  assert_true(rgb[0] >= 0 && rgb[0] <= 1);
}

/* ---- pixels ---- */

static void pixel_at(cairo_surface_t *image, double x, double y, int rgb[3]) { /* points */
  const unsigned char *row = cairo_image_surface_get_data(image) + (int)(2 * y) * cairo_image_surface_get_stride(image);
  uint32_t             p;
  memcpy(&p, row + 4 * (int)(2 * x), sizeof p);
  for (int c = 0; c < 3; c++) rgb[c] = (int)(p >> (16 - 8 * c) & 255);
}

static void expect_colour(cairo_surface_t *image, double x, double y, const double wanted[3]) {
  int rgb[3];
  pixel_at(image, x, y, rgb);
  for (int c = 0; c < 3; c++)
    if (fabs(rgb[c] / 255.0 - wanted[c]) > 0.02)
      fail_msg("at (%g, %g): %d %d %d; %g %g %g was expected", x, y, rgb[0], rgb[1], rgb[2], 255 * wanted[0],
               255 * wanted[1], 255 * wanted[2]);
}

static cairo_surface_t *load(const char *name) {
  cairo_surface_t *image = cairo_image_surface_create_from_png(path_of(name));
  assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
  return image;
}

/* Four cells: 0 and 1 in the lower row, 2 and missing in the upper. The frame starts at (62, 28) and is 340 wide and
 * high. */
static void map_pixels(void **state) {
  weir_field_type type   = {.dtype = WEIR_F64,
                            .rank  = 3,
                            .dim   = {{.name = "y", .size = 2}, {.name = "one", .size = 1}, {.name = "x", .size = 2}}};
  double          data[] = {0, 1, 2, NAN}, wanted[3], grey[3] = {0.78, 0.78, 0.78}, white[3] = {1, 1, 1};
  weir_region     whole = weir__region_whole(&type);
  weir_view       view  = weir__view_dense(data, &type, &whole);
  (void)state;
  assert_int_equal(weir__plot_field(path_of("deep/folder/map.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
  cairo_surface_t *image = load("deep/folder/map.png");
  assert_int_equal(cairo_image_surface_get_width(image), 2 * (62 + 340 + 12 + 84));
  assert_int_equal(cairo_image_surface_get_height(image), 2 * (28 + 340 + 36));
  double low = 28 + 255, high = 28 + 85, left = 62 + 85, right = 62 + 255;
  for (int i = 0; i < 3; i++) {
    weir__colour_sequential(0.5 * i, wanted);
    expect_colour(image, i == 1 ? right : left, i == 2 ? high : low, wanted);
  }
  expect_colour(image, right, high, grey);
  expect_colour(image, 3, 3, white);
  cairo_surface_destroy(image);
  /* both signs: the diverging map, with a symmetric range; an axis that falls is turned over */
  data[0] = -1, data[3] = 0.5;
  type.dim[0].spacing = -1;
  assert_int_equal(weir__plot_field(path_of("map.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
  image = load("map.png");
  weir__colour_diverging(0.25, wanted);
  expect_colour(image, left, high, wanted);
  weir__colour_diverging(0.75, wanted);
  expect_colour(image, right, high, wanted);
  weir__colour_diverging(1, wanted);
  expect_colour(image, left, low, wanted);
  cairo_surface_destroy(image);
  /* coordinates that go up and down, or stand still: drawn by number */
  double same[]      = {3, 3};
  type.dim[2].values = same;
  assert_int_equal(weir__plot_field(path_of("map.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
  type.dim[2].values = NULL;
  /* a fixed range */
  weir__plot_options options = {.low = 0, .high = 0.5, .name = "u"};
  assert_int_equal(weir__plot_field(path_of("map.png"), &options, &type, &view, NULL, 1, NAN), WEIR_OK);
  image = load("map.png");
  weir__colour_sequential(0, wanted);
  expect_colour(image, left, high, wanted);
  weir__colour_sequential(1, wanted);
  expect_colour(image, left, low, wanted);
  cairo_surface_destroy(image);
}

/* The sum of the colours of the darkest pixel around a point. */
static int darkest(cairo_surface_t *image, double x, double y) {
  int least = 3 * 255, rgb[3];
  for (int k = 0; k < 9; k++) {
    pixel_at(image, x + 0.5 * (k % 3 - 1), y + 0.5 * (k / 3 - 1), rgb);
    least = rgb[0] + rgb[1] + rgb[2] < least ? rgb[0] + rgb[1] + rgb[2] : least;
  }
  return least;
}

/* One arrow in each of two cells side by side, of equal length, to the right and along y: across the middle of its cell
 * it is dark where it runs, and not where the other one would. Maps in pixels have their first row on top. */
static void arrows_over_a_map(void **state) {
  weir_field_type type   = {.dtype = WEIR_F64,
                            .rank  = 2,
                            .dim   = {{.name = "y", .size = 2, .spacing = 1, .units = "pixel"},
                                      {.name = "x", .size = 2, .spacing = 1, .units = "pixel"}}};
  double          data[] = {1, 1, 0, 0}, u[] = {2, 0, NAN, 0}, v[] = {0, 2, 0, 0}, wanted[3];
  weir_region     whole = weir__region_whole(&type);
  weir_view       view = weir__view_dense(data, &type, &whole), x = weir__view_dense(u, &type, &whole),
            y                = weir__view_dense(v, &type, &whole);
  weir__plot_vectors vectors = {&type, {&x, &y}};
  (void)state;
  assert_int_equal(weir__plot_field(path_of("arrows.png"), NULL, &type, &view, &vectors, 1, 2), WEIR_OK);
  cairo_surface_t *image = load("arrows.png");
  double           left = 62 + 85, right = 62 + 255, first = 28 + 85, second = 28 + 255;
  weir__colour_sequential(1, wanted);
  expect_colour(image, left - 60, first - 40, wanted); /* row 0 on top */
  weir__colour_sequential(0, wanted);
  expect_colour(image, right - 60, second, wanted);     /* no arrow: it is missing or 0 */
  assert_true(darkest(image, left + 40, first) < 350);  /* along x ... */
  assert_true(darkest(image, right, first + 40) < 350); /* ... and y */
  weir__colour_sequential(1, wanted);
  expect_colour(image, left, first + 40, wanted);
  expect_colour(image, right + 40, first, wanted);
  /* heads: beside the shaft's end at the far side only */
  int with = 0, without = 0;
  for (double away = 70; away < 84; away += 0.5) {
    with += darkest(image, left + 100 + away - 70, first + 1.6) < 350;
    without += darkest(image, left - 80 + away - 70, first + 1.6) < 350;
  }
  assert_true(with > without);
  cairo_surface_destroy(image);
}

/* A field with more cells than pixels is averaged, not sampled: a fine checkerboard is even. */
static void fine_field(void **state) {
  enum { N = 2000 };
  weir_field_type type = {.dtype = WEIR_U8, .rank = 2, .dim = {{.name = "y", .size = N}, {.name = "x", .size = N}}};
  uint8_t        *data;
  double          wanted[3];
  weir_region     whole = weir__region_whole(&type);
  (void)state;
  assert_int_equal(weir__alloc_zeroed(N * N, 0, &data), WEIR_OK);
  for (int i = 0; i < N * N; i++) data[i] = (uint8_t)(((i / N + i % N) & 1) * 200);
  weir_view view = weir__view_dense(data, &type, &whole);
  assert_int_equal(weir__plot_field(path_of("fine.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
  weir__free(data);
  cairo_surface_t *image = load("fine.png");
  weir__colour_sequential(0.5, wanted);
  for (int i = 1; i < 30; i++) {
    int rgb[3];
    pixel_at(image, 62 + 11.0 * i, 28 + 11.3 * i, rgb);
    double near = fabs(rgb[1] / 255.0 - wanted[1]);
    assert_true(near < 0.12); /* 3 x 3 cells: 4/9 or 5/9 of 200 */
  }
  cairo_surface_destroy(image);
}

static int ink(const char *name) { /* pixels that are strongly blue: the curve */
  cairo_surface_t *image = load(name);
  int              n     = 0;
  for (double y = 28; y < 258; y += 0.5)
    for (double x = 66; x < 406; x += 0.5) {
      int rgb[3];
      pixel_at(image, x, y, rgb);
      n += rgb[2] > rgb[0] + 80;
    }
  cairo_surface_destroy(image);
  return n;
}

static void lines(void **state) {
  weir_field_type type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "k", .size = 100, .origin = 0, .spacing = 1}}};
  double          data[100];
  weir_region     whole = weir__region_whole(&type);
  weir_view       view  = weir__view_dense(data, &type, &whole);
  (void)state;
  for (int i = 0; i < 100; i++) data[i] = pow(i, -2); /* k = 0 has no logarithm: left out */
  assert_int_equal(weir__plot_field(path_of("k.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
  /* on double logarithmic axes it is straight: through the middle of the frame */
  double           blue[3];
  cairo_surface_t *image = load("k.png");
  weir__colour_diverging(0.06, blue);
  expect_colour(image, 66 + 170, 28 + 115, blue);
  cairo_surface_destroy(image);
  int all = ink("k.png");
  assert_true(all > 500);
  for (int i = 0; i < 100; i++) data[i] = NAN; /* nothing to draw: still a picture */
  assert_int_equal(weir__plot_field(path_of("k.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
  assert_int_equal(ink("k.png"), 0);
  view.missing = true;
  assert_int_equal(weir__plot_field(path_of("k.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
}

static void refuses(void **state) {
  weir_field_type type    = {.dtype = WEIR_F64,
                             .rank  = 3,
                             .dim   = {{.name = "z", .size = 2}, {.name = "y", .size = 2}, {.name = "x", .size = 2}}};
  double          data[8] = {0};
  weir_region     whole   = weir__region_whole(&type);
  weir_view       view    = weir__view_dense(data, &type, &whole);
  char            out[32];
  (void)state;
  assert_int_equal(weir__plot_field(path_of("no.png"), NULL, &type, &view, NULL, 1, 2), WEIR_ERR_ARGUMENT);
  assert_non_null(strstr(weir_error_last(), "3 dimensions"));
  view.count[0] = 1;
  assert_int_equal(weir__plot_field("/proc/none/no.png", NULL, &type, &view, NULL, 1, 2), WEIR_ERR_IO);
  assert_int_equal(weir__plot_path("u_{step:06}.png", 42, out, sizeof out), WEIR_OK);
  assert_string_equal(out, "u_000042.png");
  assert_int_equal(weir__plot_path("{step}/{step:03}", -7, out, sizeof out), WEIR_OK);
  assert_string_equal(out, "-7/-07");
  assert_int_equal(weir__plot_path("plain", 1, out, sizeof out), WEIR_OK);
  assert_string_equal(out, "plain");
  const char *bad[] = {
      "{time}", "{step", "{step:6}", "{step:0x}", "}", "{step:06", "a_very_long_path_that_does_not_fit_at_all"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(weir__plot_path(bad[i], 1, out, sizeof out), WEIR_ERR_INPUT);
}

/* ---- series ---- */

static void series(void **state) {
  static weir__plot_history s; /* static: zeros, and too large for the stack of some systems */
  (void)state;
  for (int i = 0; i < 100000; i++) weir__plot_history_add(&s, i, i == 77777 ? 5 : i % 2 ? 1 : -1);
  assert_true(s.count > WEIR__PLOT_POINTS / 2 - 1 && s.count <= WEIR__PLOT_POINTS);
  int64_t values = (s.count - 1) * s.merged + s.filled;
  assert_int_equal(values, 100000);
  double most = 0;
  for (int64_t i = 0; i < s.count; i++) {
    assert_true(s.time[i] == (double)(i * s.merged));
    assert_true(s.least[i] == -1);
    most = fmax(most, s.most[i]);
  }
  assert_true(most == 5); /* a single peak is not lost */
  assert_int_equal(weir__plot_series(path_of("s.png"), NULL, "K", &s, 1, 2), WEIR_OK);
  assert_true(ink("s.png") > 5000);
}

/* The same values give the same bytes. */
static void repeats(void **state) {
  weir_field_type type   = {.dtype = WEIR_F32, .rank = 2, .dim = {{.name = "y", .size = 2}, {.name = "x", .size = 3}}};
  float           data[] = {1, 2, 3, 4, 5, 6};
  weir_region     whole  = weir__region_whole(&type);
  weir_view       view   = weir__view_dense(data, &type, &whole);
  char           *bytes[2];
  size_t          nbytes[2];
  (void)state;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(weir__plot_field(path_of("r.png"), NULL, &type, &view, NULL, 1, 2), WEIR_OK);
    assert_int_equal(weir__file_read(-100, path_of("r.png"), "r.png", &bytes[i], &nbytes[i]), WEIR_OK);
  }
  assert_int_equal(nbytes[0], nbytes[1]);
  assert_memory_equal(bytes[0], bytes[1], nbytes[0]);
  weir__free(bytes[0]);
  weir__free(bytes[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(colours_are_even),
                                     cmocka_unit_test(arrows_over_a_map),
                                     cmocka_unit_test(map_pixels),
                                     cmocka_unit_test(fine_field),
                                     cmocka_unit_test(lines),
                                     cmocka_unit_test(refuses),
                                     cmocka_unit_test(series),
                                     cmocka_unit_test(repeats)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
