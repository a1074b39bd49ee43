/* Figures, text, ticks. */
#include "io/plot_parts.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double INK = 0.13; /* grey of text and frames */

/* ---- figures ---- */

weir_status weir__figure_create(double width, double height, weir__figure *figure) {
  weir__figure f = {.width = width, .height = height};
  f.surface      = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(width * WEIR__PLOT_PIXELS),
                                              (int)ceil(height * WEIR__PLOT_PIXELS));
  f.cairo        = cairo_create(f.surface);
  if (cairo_status(f.cairo) != CAIRO_STATUS_SUCCESS) {
    cairo_status_t why = cairo_status(f.cairo);
    cairo_destroy(f.cairo);
    cairo_surface_destroy(f.surface);
    return WEIR_FAIL(WEIR_ERR_MEMORY, "a picture of %.0f x %.0f points: %s", width, height,
                     cairo_status_to_string(why));
  }
  cairo_scale(f.cairo, WEIR__PLOT_PIXELS, WEIR__PLOT_PIXELS);
  cairo_set_source_rgb(f.cairo, 1, 1, 1);
  cairo_paint(f.cairo);
  *figure = f;
  return WEIR_OK;
}

static cairo_status_t collect(void *closure, const unsigned char *bytes, unsigned length) {
  weir__text *png = closure;
  weir__text_add_bytes(png, bytes, length);
  return png->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

weir_status weir__figure_save(weir__figure *figure, const char *path) {
  weir__text     png    = {0};
  weir_status    status = WEIR_OK;
  cairo_status_t why    = cairo_status(figure->cairo);
  if (why == CAIRO_STATUS_SUCCESS) why = cairo_surface_write_to_png_stream(figure->surface, collect, &png);
  cairo_destroy(figure->cairo);
  cairo_surface_destroy(figure->surface);
  if (why != CAIRO_STATUS_SUCCESS)
    status = WEIR_FAIL(WEIR_ERR_IO, "cannot draw %s: %s", path, cairo_status_to_string(why));
  if (status >= 0) status = weir__file_make_directories(path, false);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, path, path, png.data, png.length, false);
  weir__text_clear(&png);
  return status;
}

/* ---- text ---- */

static void set_font(weir__figure *figure, double size, bool bold) {
  cairo_select_font_face(figure->cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                         bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(figure->cairo, size);
}

double weir__text_width(weir__figure *figure, double size, bool bold, const char *text) {
  cairo_text_extents_t extents;
  set_font(figure, size, bold);
  cairo_text_extents(figure->cairo, text, &extents);
  return extents.x_advance;
}

void weir__text_draw(weir__figure *figure, double x, double y, double size, bool bold, weir__anchor anchor, bool upward,
                     const char *text) {
  double width = weir__text_width(figure, size, bold, text);
  cairo_save(figure->cairo);
  cairo_translate(figure->cairo, x, y);
  if (upward) cairo_rotate(figure->cairo, -1.57079632679489661923);
  cairo_set_source_rgb(figure->cairo, INK, INK, INK);
  cairo_move_to(figure->cairo, anchor == WEIR__LEFT ? 0 : anchor == WEIR__CENTRE ? -width / 2 : -width, 0);
  cairo_show_text(figure->cairo, text);
  cairo_restore(figure->cairo);
}

/* Raised text of a whole number. */
static void add_raised(char *out, size_t size, const char *digits) {
  static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  for (; *digits; digits++) {
    const char *piece = *digits == '-' ? "⁻" : *digits >= '0' && *digits <= '9' ? raised[*digits - '0'] : "";
    if (strlen(out) + strlen(piece) + 1 < size) strcat(out, piece);
  }
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

void weir__units_pretty(const char *units, char out[100]) {
  static const char *const known[][2] = {{"degrees_east", "°E"}, {"degrees_north", "°N"}, {"degree_east", "°E"},
                                         {"degree_north", "°N"}, {"degC", "°C"},          {"celsius", "°C"},
                                         {"degrees", "°"},       {"degree", "°"},         {"1", ""}};
  out[0]                              = 0;
  if (!units) return;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(units, known[i][0])) {
      strcpy(out, known[i][1]);
      return;
    }
  char before = 0;
  for (const char *c = units; *c && strlen(out) < 90; before = *c++) {
    const char *number = c;
    if (before && is_letter(before)) {
      if (*number == '^') number++;
      else if (!strncmp(number, "**", 2)) number += 2;
      if (is_digit(*number) || (*number == '-' && is_digit(number[1]))) {
        char   digits[12];
        size_t n = 0;
        do digits[n++] = *number++;
        while (is_digit(*number) && n < sizeof digits - 1);
        digits[n] = 0;
        add_raised(out, 100, digits);
        c = number - 1;
        continue;
      }
    }
    strncat(out, c, 1);
  }
}

/* A number of seconds in the unit that people would use. */
static void pretty_time(double time, const char *units, char out[120]) {
  char number[32], unit[100];
  weir__units_pretty(units, unit);
  snprintf(number, sizeof number, "%.10g", time);
  int n = snprintf(out, 120, "time %s%s%s", number, *unit ? " " : "", unit);
  if (!units || (strcmp(units, "s") && strcmp(units, "seconds")) || n >= 100) return;
  double size = fabs(time);
  if (size >= 86400) snprintf(out + n, 120 - (size_t)n, " (%.1f d)", time / 86400);
  else if (size >= 3600) snprintf(out + n, 120 - (size_t)n, " (%.1f h)", time / 3600);
  else if (size >= 60) snprintf(out + n, 120 - (size_t)n, " (%.1f min)", time / 60);
}

void weir__title_draw(weir__figure *figure, const weir__plot_options *options, double left, double right, double y,
                      int64_t step, double time) {
  char        when[160], clock[120] = "";
  const char *name = options->name ? options->name : "";
  double      size = 11, small = 8.5;
  if (isfinite(time)) pretty_time(time, options->time_units, clock);
  snprintf(when, sizeof when, "step %lld%s%s", (long long)step, *clock ? "   " : "", clock);
  double room   = right - left,
         wanted = weir__text_width(figure, size, true, name) + weir__text_width(figure, small, false, when) + 12;
  if (wanted > room) {
    size *= room / wanted;
    small *= room / wanted;
  }
  weir__text_draw(figure, left, y, size, true, WEIR__LEFT, false, name);
  weir__text_draw(figure, right, y, small, false, WEIR__RIGHT, false, when);
}

/* ---- ticks ---- */

double weir__axis_position(const weir__axis *axis, double value) {
  double t = axis->logarithmic ? (log10(value) - log10(axis->low)) / (log10(axis->high) - log10(axis->low))
                               : (value - axis->low) / (axis->high - axis->low);
  return axis->from + t * (axis->to - axis->from);
}

static void add_tick(weir__axis *axis, double value, bool major, const char *label) {
  if (axis->ticks == WEIR__TICKS_MAX) return;
  axis->tick[axis->ticks]  = value;
  axis->major[axis->ticks] = major;
  snprintf(axis->label[axis->ticks++], sizeof axis->label[0], "%s", label);
}

static void logarithmic_ticks(weir__axis *axis, int wanted) {
  int  first = (int)floor(log10(axis->low) + 1e-9), last = (int)ceil(log10(axis->high) - 1e-9), stride = 1;
  bool few = log10(axis->high / axis->low) < 1.5; /* then 2 and 5 have labels too */
  while ((last - first) / stride > wanted) stride++;
  for (int e = first; e <= last; e++)
    for (int m = 1; m <= 9; m++) {
      double value     = m * pow(10, e);
      char   label[24] = "", exponent[12];
      bool   major     = m == 1 ? e % stride == 0 : few && (m == 2 || m == 5);
      if (value < axis->low * (1 - 1e-9) || value > axis->high * (1 + 1e-9) || (stride > 1 && m > 1)) continue;
      if (major && m > 1) snprintf(label, sizeof label, "%d·", m);
      snprintf(exponent, sizeof exponent, "%d", e);
      if (major) {
        strcat(label, "10");
        add_raised(label, sizeof label, exponent);
      }
      add_tick(axis, value, major, label);
    }
}

/* A minus sign, not a hyphen. */
static void format_tick(double value, int decimals, char out[24]) {
  char text[20];
  snprintf(text, sizeof text, "%.*f", decimals, fabs(value));
  bool zero = strspn(text, "0.") == strlen(text);
  snprintf(out, 24, "%s%s", value < 0 && !zero ? "−" : "", text);
}

const char *weir__axis_units(weir__axis *axis, const char *units) {
  double largest = fmax(fabs(axis->low), fabs(axis->high));
  if (!units || axis->logarithmic) return units;
  axis->degrees = !strncmp(units, "degree", 6);
  if (!strcmp(units, "m") && largest >= 1e4) return axis->unit = 1e3, "km";
  if (strcmp(units, "s") && strcmp(units, "seconds")) return units;
  if (largest > 3 * 86400.0) return axis->unit = 86400, "d";
  if (largest > 3 * 3600.0) return axis->unit = 3600, "h";
  if (largest > 10 * 60.0) return axis->unit = 60, "min";
  return units;
}

/* The nice number at or above `rough`. */
static double nice_spacing(double rough, bool degrees) {
  static const double circle[] = {10, 15, 30, 45, 60, 90};
  for (size_t i = 0; degrees && rough > 5 && i < sizeof circle / sizeof *circle; i++)
    if (rough <= circle[i] * 1.0001) return circle[i];
  double decade = pow(10, floor(log10(rough))), part = rough / decade;
  return decade * (part <= 1.0001 ? 1 : part <= 2.0001 ? 2 : part <= 5.0001 ? 5 : 10);
}

void weir__axis_ticks(weir__axis *axis, int wanted) {
  axis->ticks    = 0;
  axis->exponent = 0;
  if (!(axis->unit > 0)) axis->unit = 1;
  if (axis->logarithmic) {
    logarithmic_ticks(axis, wanted);
    return;
  }
  double least = fmin(axis->low, axis->high) / axis->unit, most = fmax(axis->low, axis->high) / axis->unit;
  double spacing = nice_spacing((most - least) / wanted, axis->degrees), largest = fmax(fabs(least), fabs(most));
  int    power = (int)floor(log10(largest) + 1e-9);
  if (power >= 5 || power <= -3) axis->exponent = power >= 0 ? power / 3 * 3 : -((-power + 2) / 3 * 3);
  double ten      = pow(10, axis->exponent);
  int    decimals = (int)ceil(-log10(spacing / ten) - 1e-9);
  if (decimals < 0) decimals = 0;
  if (decimals > 9) decimals = 9;
  for (double i = ceil(least / spacing - 1e-6); i * spacing <= most + 1e-6 * spacing && axis->ticks < WEIR__TICKS_MAX;
       i++) {
    char label[24];
    format_tick(i * spacing / ten, decimals, label);
    add_tick(axis, i * spacing * axis->unit, true, label);
  }
}

void weir__axis_title(const weir__axis *axis, const char *name, const char *units, char out[200]) {
  char pretty[100], power[40] = "", exponent[12];
  weir__units_pretty(units, pretty);
  if (axis->exponent) {
    strcpy(power, "10");
    snprintf(exponent, sizeof exponent, "%d", axis->exponent);
    add_raised(power, sizeof power, exponent);
  }
  if (*power && *pretty) snprintf(out, 200, "%s (%s %s)", name, power, pretty);
  else if (*power || *pretty) snprintf(out, 200, "%s (%s%s)", name, power, pretty);
  else snprintf(out, 200, "%s", name);
}

double weir__axis_label_width(weir__figure *figure, const weir__axis *axis) {
  double widest = 0;
  for (int i = 0; i < axis->ticks; i++)
    if (axis->major[i]) widest = fmax(widest, weir__text_width(figure, 8, false, axis->label[i]));
  return widest;
}

/* ---- axes ---- */

static void stroke(cairo_t *cairo, double x0, double y0, double x1, double y1, double width, double grey) {
  cairo_set_line_width(cairo, width);
  cairo_set_source_rgb(cairo, grey, grey, grey);
  cairo_move_to(cairo, x0, y0);
  cairo_line_to(cairo, x1, y1);
  cairo_stroke(cairo);
}

/* Positions of thin lines fall on whole pixels. */
static double crisp(double position) { return (floor(position * WEIR__PLOT_PIXELS) + 0.5) / WEIR__PLOT_PIXELS; }

void weir__axes_draw(weir__figure *figure, const weir__axis *x, const weir__axis *y, const char *x_title,
                     const char *y_title, bool grid) {
  cairo_t *cairo = figure->cairo;
  double   left = fmin(x->from, x->to), right = fmax(x->from, x->to), bottom = fmax(y->from, y->to),
         top = fmin(y->from, y->to);
  for (int i = 0; i < x->ticks; i++) {
    double at = crisp(weir__axis_position(x, x->tick[i]));
    if (grid && x->major[i] && at > left + 1 && at < right - 1) stroke(cairo, at, bottom, at, top, 0.5, 0.9);
    stroke(cairo, at, bottom, at, bottom + (x->major[i] ? 3.5 : 2), 0.5, INK);
    weir__text_draw(figure, at, bottom + 13, 8, false, WEIR__CENTRE, false, x->label[i]);
  }
  for (int i = 0; i < y->ticks; i++) {
    double at = crisp(weir__axis_position(y, y->tick[i]));
    if (grid && y->major[i] && at > top + 1 && at < bottom - 1) stroke(cairo, left, at, right, at, 0.5, 0.9);
    stroke(cairo, left - (y->major[i] ? 3.5 : 2), at, left, at, 0.5, INK);
    weir__text_draw(figure, left - 5.5, at + 2.9, 8, false, WEIR__RIGHT, false, y->label[i]);
  }
  cairo_set_line_width(cairo, 0.5);
  cairo_set_source_rgb(cairo, INK, INK, INK);
  cairo_rectangle(cairo, crisp(left), crisp(top), crisp(right) - crisp(left), crisp(bottom) - crisp(top));
  cairo_stroke(cairo);
  weir__text_draw(figure, 0.5 * (left + right), bottom + 27, 9, false, WEIR__CENTRE, false, x_title);
  weir__text_draw(figure, left - 5.5 - weir__axis_label_width(figure, y) - 7, 0.5 * (top + bottom), 9, false,
                  WEIR__CENTRE, true, y_title);
}
