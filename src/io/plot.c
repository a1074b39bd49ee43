/* Which picture a field gets; lines and series. */
#include "io/plot_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- values and coordinates ---- */

weir_status weir__plot_values(const weir_view *view, double **values) {
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(view), n = weir_view_size(view);
  double *all;
  WEIR_TRY(weir__alloc_array((size_t)n, sizeof *all, &all));
  *values = all;
  if (view->missing || !view->data) {
    for (int64_t i = 0; i < n; i++) all[i] = NAN;
    return WEIR_OK;
  }
  if (n <= 0) return WEIR_OK;
  do {
    const double *x = weir_view_load(view, index, row, all);
    if (x != all) memcpy(all, x, (size_t)row * sizeof *all);
    all += row;
  } while (weir_view_next_row(view, index));
  return WEIR_OK;
}

double weir__plot_coordinate(const weir_field_type *type, const weir_view *view, int axis, double index) {
  double shift = type->dim[axis].spacing != 0 ? weir__location_shift(type->location, type->rank, axis) : 0;
  return weir__coordinate(&type->dim[axis], (double)view->start[axis] + index + shift);
}

int weir__plot_dimensions(const weir_field_type *type) {
  int n = 0;
  for (int a = 0; a < type->rank; a++) n += type->dim[a].size > 1;
  return n;
}

weir_status weir__plot_path(const char *pattern, int64_t step, char *out, size_t size) {
  size_t length = 0;
  for (const char *c = pattern; *c && length < size;) {
    int digits = 0, end = 0;
    if (*c != '{' && *c != '}') {
      out[length++] = *c++;
      continue;
    }
    if (!strncmp(c, "{step}", 6)) end = 6;
    else if (sscanf(c, "{step:0%2d}%n", &digits, &end) != 1 || digits < 0) end = 0;
    if (!end)
      return WEIR_FAIL(WEIR_ERR_INPUT, "picture path \"%s\": only {step} or {step:06} is known in braces", pattern);
    length += (size_t)snprintf(out + length, size - length, "%0*lld", digits, (long long)step);
    c += end;
  }
  if (length >= size) return WEIR_FAIL(WEIR_ERR_INPUT, "picture path \"%s\" is too long", pattern);
  out[length] = 0;
  return WEIR_OK;
}

/* ---- curves ---- */

/* Points of a curve and the range of values at each (equal for a plain line). */
typedef struct curve {
  int64_t       count;
  const double *x, *least, *most;
  const char   *x_name, *x_units, *units;
  bool          logarithmic;
} curve;

static bool shows(const curve *c, int64_t i) {
  bool finite = isfinite(c->x[i]) && isfinite(c->least[i]) && isfinite(c->most[i]);
  return finite && (!c->logarithmic || (c->x[i] > 0 && c->least[i] > 0));
}

/* The range of an axis: the data, and a little room; whole decades below when logarithmic. */
static void set_range(weir__axis *axis, double least, double most, double room) {
  if (!(least <= most)) least = axis->logarithmic ? 0.1 : 0, most = 1;
  if (axis->logarithmic) {
    double margin = pow(most / least, room);
    axis->low     = least / margin;
    axis->high    = most * margin;
    if (axis->high / axis->low < 1.2) axis->low /= 1.5, axis->high *= 1.5;
    return;
  }
  double margin = room * (most - least);
  if (most == least) margin = least != 0 ? 0.05 * fabs(least) : 0.5;
  axis->low  = least - margin;
  axis->high = most + margin;
}

static void find_ranges(const weir__plot_options *options, const curve *c, weir__axis *x, weir__axis *y) {
  double x_least = INFINITY, x_most = -INFINITY, y_least = INFINITY, y_most = -INFINITY;
  for (int64_t i = 0; i < c->count; i++) {
    if (!shows(c, i)) continue;
    x_least = fmin(x_least, c->x[i]);
    x_most  = fmax(x_most, c->x[i]);
    y_least = fmin(y_least, c->least[i]);
    y_most  = fmax(y_most, c->most[i]);
  }
  x->logarithmic = y->logarithmic = c->logarithmic;
  set_range(x, x_least, x_most, c->logarithmic ? 0.02 : 0);
  set_range(y, y_least, y_most, 0.05);
  if (options->low == 0 && options->high == 0) return;
  if (c->logarithmic && !(options->low > 0)) return;
  y->low  = options->low;
  y->high = options->high;
}

static void draw_curve(weir__figure *figure, const curve *c, const weir__axis *x, const weir__axis *y) {
  cairo_t *cairo = figure->cairo;
  double   rgb[3];
  bool     pen = false;
  weir__colour_diverging(0.06, rgb); /* a strong blue */
  cairo_save(cairo);
  cairo_rectangle(cairo, x->from, y->to, x->to - x->from, y->from - y->to);
  cairo_clip(cairo);
  cairo_set_source_rgb(cairo, rgb[0], rgb[1], rgb[2]);
  cairo_set_line_width(cairo, 1.3);
  cairo_set_line_join(cairo, CAIRO_LINE_JOIN_ROUND);
  cairo_set_line_cap(cairo, CAIRO_LINE_CAP_ROUND);
  for (int64_t i = 0; i < c->count; i++) {
    bool   now = shows(c, i);
    double px = now ? weir__axis_position(x, c->x[i]) : 0, low = now ? weir__axis_position(y, c->least[i]) : 0;
    double high = now && c->most[i] != c->least[i] ? weir__axis_position(y, c->most[i]) : low;
    if (now && pen) cairo_line_to(cairo, px, low);
    else if (now) cairo_move_to(cairo, px, low);
    if (now && high != low) cairo_line_to(cairo, px, high);
    bool alone = now && !pen && (i + 1 == c->count || !shows(c, i + 1));
    if (alone) cairo_line_to(cairo, px, low); /* round caps make it a point */
    pen = now;
  }
  cairo_stroke(cairo);
  if (c->count <= 48) /* few enough to show each */
    for (int64_t i = 0; i < c->count; i++) {
      if (!shows(c, i) || c->least[i] != c->most[i]) continue;
      cairo_arc(cairo, weir__axis_position(x, c->x[i]), weir__axis_position(y, c->least[i]), 2, 0,
                6.28318530717958647692);
      cairo_fill(cairo);
    }
  cairo_restore(cairo);
}

static weir_status draw_figure(const char *path, const weir__plot_options *options, const curve *c, int64_t step,
                               double time) {
  weir__figure figure;
  weir__axis   x = {.from = 66, .to = 66 + 340}, y = {.from = 28 + 230, .to = 28};
  char         x_title[200], y_title[200];
  find_ranges(options, c, &x, &y);
  const char *x_units = weir__axis_units(&x, c->x_units);
  weir__axis_ticks(&x, 7);
  weir__axis_ticks(&y, 6);
  weir__axis_title(&x, c->x_name, x_units, x_title);
  weir__axis_title(&y, options->name ? options->name : "", c->units, y_title);
  WEIR_TRY(weir__figure_create(x.to + 22, y.from + 38, &figure));
  weir__axes_draw(&figure, &x, &y, x_title, y_title, true);
  draw_curve(&figure, c, &x, &y);
  weir__title_draw(&figure, options, x.from, x.to, y.to - 8, step, time);
  return weir__figure_save(&figure, path);
}

weir_status weir__plot_line(const char *path, const weir__plot_options *options, const weir_field_type *type,
                            const weir_view *view, int axis, int64_t step, double time) {
  weir_status           status = WEIR_OK;
  const weir_dimension *d      = &type->dim[axis];
  double               *values = NULL, *x = NULL;
  WEIR_TRY_GOTO(out, weir__plot_values(view, &values));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)view->count[axis], sizeof *x, &x));
  for (int64_t i = 0; i < view->count[axis]; i++) x[i] = weir__plot_coordinate(type, view, axis, (double)i);
  bool spectrum = options->scale == WEIR__PLOT_SCALE_AUTO && !strcmp(d->name, "k");
  WEIR_TRY_GOTO(out, draw_figure(path, options,
                                 &(curve){.count       = view->count[axis],
                                          .x           = x,
                                          .least       = values,
                                          .most        = values,
                                          .x_name      = d->name,
                                          .x_units     = d->units,
                                          .units       = type->units,
                                          .logarithmic = spectrum || options->scale == WEIR__PLOT_LOGARITHMIC},
                                 step, time));
out:
  weir__free(values);
  weir__free(x);
  return status;
}

weir_status weir__plot_field(const char *path, const weir__plot_options *options, const weir_field_type *type,
                             const weir_view *view, const weir__plot_vectors *vectors, int64_t step, double time) {
  static const weir__plot_options defaults = {0};
  int                             axis[2] = {0, 0}, found = 0;
  if (!options) options = &defaults;
  for (int a = 0; a < type->rank; a++) {
    if (view->count[a] < 1)
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: `%s` is empty along %s", path, options->name ? options->name : "",
                       type->dim[a].name);
    if (view->count[a] == 1) continue;
    if (found < 2) axis[found] = a;
    found++;
  }
  if (found == 2) return weir__plot_map(path, options, type, view, axis[0], axis[1], vectors, step, time);
  if (found == 1) return weir__plot_line(path, options, type, view, axis[0], step, time);
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: `%s` has %d dimensions; 1 or 2 can be drawn", path,
                   options->name ? options->name : "", found);
}

/* ---- series ---- */

/* Halve the number of points: each pair becomes the range of both. */
static void merge_pairs(weir__plot_history *s) {
  for (int64_t i = 0; i < s->count / 2; i++) {
    s->time[i]  = s->time[2 * i];
    s->least[i] = fmin(s->least[2 * i], s->least[2 * i + 1]); /* fmin and fmax leave NaN out */
    s->most[i]  = fmax(s->most[2 * i], s->most[2 * i + 1]);
  }
  s->count /= 2;
  s->merged *= 2;
  s->filled = s->merged;
}

void weir__plot_history_add(weir__plot_history *series, double time, double value) {
  if (!series->merged) series->merged = 1;
  if (series->count && series->filled < series->merged) {
    int64_t last        = series->count - 1;
    series->least[last] = fmin(series->least[last], value);
    series->most[last]  = fmax(series->most[last], value);
    series->filled++;
    return;
  }
  if (series->count == WEIR__PLOT_POINTS) merge_pairs(series);
  series->time[series->count]  = time;
  series->least[series->count] = value;
  series->most[series->count]  = value;
  series->count++;
  series->filled = 1;
}

weir_status weir__plot_series(const char *path, const weir__plot_options *options, const char *units,
                              const weir__plot_history *series, int64_t step, double time) {
  static const weir__plot_options defaults = {0};
  if (!options) options = &defaults;
  return draw_figure(path, options,
                     &(curve){.count       = series->count,
                              .x           = series->time,
                              .least       = series->least,
                              .most        = series->most,
                              .x_name      = "time",
                              .x_units     = options->time_units,
                              .units       = units,
                              .logarithmic = options->scale == WEIR__PLOT_LOGARITHMIC},
                     step, time);
}
