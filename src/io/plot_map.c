/* A 2-D field as colours over its coordinates. */
#include "io/plot_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MISSING_GREY = 0.78;

typedef struct range {
  double low, high;
  bool   diverging, below, above; /* values outside at that end */
} range;

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Least and most of the finite values, without a fraction `clip` of them at each end. */
static weir_status find_extremes(const double *values, int64_t n, double clip, double *least, double *most) {
  double *sorted;
  int64_t finite = 0;
  *least = INFINITY, *most = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    if (!isfinite(values[i])) continue;
    finite++;
    *least = fmin(*least, values[i]);
    *most  = fmax(*most, values[i]);
  }
  if (!(clip > 0) || finite < 3) return WEIR_OK;
  WEIR_TRY(weir__alloc_array((size_t)finite, sizeof *sorted, &sorted));
  for (int64_t i = 0, k = 0; i < n; i++)
    if (isfinite(values[i])) sorted[k++] = values[i];
  qsort(sorted, (size_t)finite, sizeof *sorted, ascending);
  int64_t cut = (int64_t)(fmin(clip, 0.49) * (double)finite);
  *least      = sorted[cut];
  *most       = sorted[finite - 1 - cut];
  weir__free(sorted);
  return WEIR_OK;
}

static weir_status choose_range(const weir__plot_options *options, const double *values, int64_t n, range *r) {
  double least, most, all_least, all_most;
  bool   fixed = options->low != 0 || options->high != 0;
  WEIR_TRY(find_extremes(values, n, options->clip, &least, &most));
  WEIR_TRY(find_extremes(values, n, 0, &all_least, &all_most));
  if (fixed) least = options->low, most = options->high;
  if (!(least <= most)) least = 0, most = 1; /* nothing to show */
  bool both = least < 0 && most > 0 && fmin(-least, most) > 0.01 * fmax(-least, most);
  if (fixed) both = least == -most;
  r->diverging =
      options->colours == WEIR__PLOT_COLOURS_DIVERGING || (options->colours == WEIR__PLOT_COLOURS_AUTO && both);
  if (r->diverging && !fixed) {
    most  = fmax(fabs(least), fabs(most));
    least = -most;
  }
  if (least == most) {
    double half = least != 0 ? 0.05 * fabs(least) : 0.5;
    least -= half;
    most += half;
  }
  *r =
      (range){.low = least, .high = most, .diverging = r->diverging, .below = all_least<least, .above = all_most> most};
  return WEIR_OK;
}

static uint32_t pixel(double value, const range *r, const uint32_t *table) {
  if (isnan(value)) {
    uint32_t grey = (uint32_t)lround(MISSING_GREY * 255);
    return grey << 16 | grey << 8 | grey;
  }
  double t = (value - r->low) / (r->high - r->low);
  return table[t > 0 ? (t < 1 ? (int)(t * 256) : 255) : 0];
}

static void make_table(const range *r, uint32_t table[256]) {
  for (int i = 0; i < 256; i++) {
    double rgb[3];
    if (r->diverging) weir__colour_diverging(i / 255.0, rgb);
    else weir__colour_sequential(i / 255.0, rgb);
    table[i] =
        (uint32_t)lround(rgb[0] * 255) << 16 | (uint32_t)lround(rgb[1] * 255) << 8 | (uint32_t)lround(rgb[2] * 255);
  }
}

/* ---- from coordinates to cells ---- */

/* An axis of the map: cell i reaches from edge[i] to edge[i + 1] in coordinates, which run upward after `flip`. */
typedef struct cells {
  int64_t count;
  bool    down;          /* drawn with the smallest coordinate on top */
  bool    flip, indexed; /* indexed: the coordinates go up and down, so cells are drawn by number */
  double *edge;          /* ascending; in drawing order */
} cells;

static weir_status find_cells(const weir_field_type *type, const weir_view *view, int axis, cells *c) {
  int64_t n = view->count[axis];
  double *edge;
  WEIR_TRY(weir__alloc_array((size_t)n + 1, sizeof *edge, &edge));
  c->count     = n;
  c->edge      = edge;
  double first = weir__plot_coordinate(type, view, axis, 0);
  double last  = weir__plot_coordinate(type, view, axis, (double)(n - 1));
  c->flip      = last < first;
  for (int64_t i = 0; i < n; i++) edge[i] = weir__plot_coordinate(type, view, axis, (double)(c->flip ? n - 1 - i : i));
  double before = n > 1 ? edge[0] - 0.5 * (edge[1] - edge[0]) : edge[0] - 0.5;
  double after  = n > 1 ? edge[n - 1] + 0.5 * (edge[n - 1] - edge[n - 2]) : edge[0] + 0.5;
  for (int64_t i = n - 1; i > 0; i--) edge[i] = 0.5 * (edge[i - 1] + edge[i]);
  edge[0] = before;
  edge[n] = after;
  for (int64_t i = 0; i < n; i++)
    if (!(edge[i] < edge[i + 1]) || !isfinite(edge[i + 1] - edge[i])) c->indexed = true;
  if (!c->indexed) return WEIR_OK;
  c->flip = false;
  for (int64_t i = 0; i <= n; i++) edge[i] = (double)(view->start[axis] + i) - 0.5;
  return WEIR_OK;
}

/* For each of `pixels` between the ends: the position of its middle in cells (cell i is [i, i + 1)), and of its
 * borders. */
static weir_status locate(const cells *c, int pixels, double **position) {
  double *p;
  double  low = c->edge[0], high = c->edge[c->count];
  int64_t cell = 0;
  WEIR_TRY(weir__alloc_array((size_t)(2 * pixels + 1), sizeof *p, &p));
  for (int i = 0; i <= 2 * pixels; i++) { /* even: borders, odd: middles */
    double x = low + (high - low) * i / (2.0 * pixels);
    while (cell < c->count - 1 && x >= c->edge[cell + 1]) cell++;
    double width = c->edge[cell + 1] - c->edge[cell];
    p[i]         = (double)cell + (width > 0 ? fmin(fmax((x - c->edge[cell]) / width, 0), 1) : 0);
  }
  *position = p;
  return WEIR_OK;
}

typedef struct raster {
  const double *values;
  int64_t       x_stride, y_stride; /* elements */
  cells         x, y;
  bool          smooth;
} raster;

static double at(const raster *r, int64_t j, int64_t i) {
  j = j < 0 ? 0 : j > r->y.count - 1 ? r->y.count - 1 : j;
  i = i < 0 ? 0 : i > r->x.count - 1 ? r->x.count - 1 : i;
  return r
      ->values[(r->y.flip ? r->y.count - 1 - j : j) * r->y_stride + (r->x.flip ? r->x.count - 1 - i : i) * r->x_stride];
}

/* The value shown by a pixel: the mean of the cells whose middles are in it; when there is none, the cell it is in, or
 * (smooth) between the four nearest middles. */
static double sample(const raster *r, const double *y, const double *x) {
  int64_t j0 = (int64_t)ceil(y[0] - 0.5), j1 = (int64_t)ceil(y[2] - 0.5);
  int64_t i0 = (int64_t)ceil(x[0] - 0.5), i1 = (int64_t)ceil(x[2] - 0.5);
  double  sum = 0;
  int64_t n   = 0;
  if (r->smooth && j1 - j0 <= 1 && i1 - i0 <= 1) {
    double  v = y[1] - 0.5, u = x[1] - 0.5, b = v - floor(v), a = u - floor(u);
    int64_t j = (int64_t)floor(v), i = (int64_t)floor(u);
    double  near = at(r, (int64_t)y[1], (int64_t)x[1]), weights = 0;
    for (int corner = 0; corner < 4; corner++) { /* missing neighbours have no weight */
      double value  = at(r, j + corner / 2, i + corner % 2);
      double weight = isnan(value) ? 0 : (corner / 2 ? b : 1 - b) * (corner % 2 ? a : 1 - a);
      if (weight > 0) sum += weight * value;
      weights += weight;
    }
    return isnan(near) || weights <= 0 ? near : sum / weights;
  }
  if (j1 - j0 <= 1) j0 = (int64_t)y[1], j1 = j0 + 1;
  if (i1 - i0 <= 1) i0 = (int64_t)x[1], i1 = i0 + 1;
  for (int64_t j = j0; j < j1; j++)
    for (int64_t i = i0; i < i1; i++) {
      double value = at(r, j, i);
      if (isnan(value)) continue;
      sum += value;
      n++;
    }
  return n ? sum / (double)n : (double)NAN;
}

static weir_status draw_raster(weir__figure *figure, const raster *r, const range *values, double left, double top,
                               double width, double height) {
  weir_status      status = WEIR_OK;
  double          *x = NULL, *y = NULL;
  uint32_t         table[256];
  int              columns = (int)lround(width * WEIR__PLOT_PIXELS), rows = (int)lround(height * WEIR__PLOT_PIXELS);
  cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, columns, rows);
  unsigned char   *data  = cairo_image_surface_get_data(image);
  int              pitch = cairo_image_surface_get_stride(image);
  if (!data) {
    status = WEIR_FAIL(WEIR_ERR_MEMORY, "a picture of %d x %d pixels", columns, rows);
    goto out;
  }
  WEIR_TRY_GOTO(out, locate(&r->x, columns, &x));
  WEIR_TRY_GOTO(out, locate(&r->y, rows, &y));
  make_table(values, table);
  for (int j = 0; j < rows; j++) {
    int       to   = r->y.down ? j : rows - 1 - j;
    uint32_t *line = (uint32_t *)(void *)(data + (size_t)to * (size_t)pitch);
    for (int i = 0; i < columns; i++) line[i] = pixel(sample(r, &y[2 * j], &x[2 * i]), values, table);
  }
  cairo_surface_mark_dirty(image);
  cairo_save(figure->cairo);
  cairo_scale(figure->cairo, 1.0 / WEIR__PLOT_PIXELS, 1.0 / WEIR__PLOT_PIXELS);
  cairo_set_source_surface(figure->cairo, image, round(left * WEIR__PLOT_PIXELS), round(top * WEIR__PLOT_PIXELS));
  cairo_paint(figure->cairo);
  cairo_restore(figure->cairo);
out:
  weir__free(x);
  weir__free(y);
  cairo_surface_destroy(image);
  return status;
}

/* ---- the colour bar ---- */

static void set_colour(cairo_t *cairo, uint32_t colour) {
  cairo_set_source_rgb(cairo, (colour >> 16 & 255) / 255.0, (colour >> 8 & 255) / 255.0, (colour & 255) / 255.0);
}

static void draw_bar(weir__figure *figure, const range *r, const weir__axis *axis, double left, const char *title) {
  enum { WIDTH = 11, TIP = 9 };
  cairo_t *cairo = figure->cairo;
  uint32_t table[256];
  double   bottom = axis->from, top = axis->to, right = left + WIDTH, piece = (bottom - top) / 256;
  make_table(r, table);
  cairo_set_antialias(cairo, CAIRO_ANTIALIAS_NONE);
  for (int i = 0; i < 256; i++) {
    set_colour(cairo, table[i]);
    cairo_rectangle(cairo, left, bottom - (i + 1) * piece, WIDTH, piece + 0.5 / WEIR__PLOT_PIXELS);
    cairo_fill(cairo);
  }
  cairo_set_antialias(cairo, CAIRO_ANTIALIAS_DEFAULT);
  double low_tip = bottom + (r->below ? TIP : 0), high_tip = top - (r->above ? TIP : 0), middle = left + 0.5 * WIDTH;
  for (int end = 0; end < 2; end++) { /* a tip: values lie outside the range at this end */
    if (end ? !r->above : !r->below) continue;
    set_colour(cairo, table[end ? 255 : 0]);
    cairo_move_to(cairo, left, end ? top : bottom);
    cairo_line_to(cairo, right, end ? top : bottom);
    cairo_line_to(cairo, middle, end ? high_tip : low_tip);
    cairo_close_path(cairo);
    cairo_fill(cairo);
  }
  cairo_set_source_rgb(cairo, 0.13, 0.13, 0.13);
  cairo_set_line_width(cairo, 0.5);
  cairo_move_to(cairo, left, bottom);
  cairo_line_to(cairo, left, top);
  cairo_line_to(cairo, middle, high_tip);
  if (!r->above) cairo_line_to(cairo, left, top);
  cairo_line_to(cairo, right, top);
  cairo_line_to(cairo, right, bottom);
  if (r->below) cairo_line_to(cairo, middle, low_tip);
  cairo_close_path(cairo);
  cairo_stroke(cairo);
  for (int i = 0; i < axis->ticks; i++) {
    double y = weir__axis_position(axis, axis->tick[i]);
    cairo_move_to(cairo, right, y);
    cairo_line_to(cairo, right + 3, y);
    cairo_stroke(cairo);
    weir__text_draw(figure, right + 5, y + 2.9, 8, false, WEIR__LEFT, false, axis->label[i]);
  }
  weir__text_draw(figure, right + 5 + weir__axis_label_width(figure, axis) + 12, 0.5 * (top + bottom), 9, false,
                  WEIR__CENTRE, true, title);
}

/* ---- the map ---- */

static bool same_scale(const weir_dimension *y, const weir_dimension *x) {
  bool y_given = y->spacing != 0 || y->values, x_given = x->spacing != 0 || x->values;
  if (!y_given && !x_given) return true;
  if (!y->units || !x->units) return y_given && x_given && !y->units && !x->units;
  if (!strcmp(y->units, x->units)) return true;
  return !strncmp(y->units, "degree", 6) && !strncmp(x->units, "degree", 6);
}

/* Size of the frame in points. */
static void frame_size(double ratio, bool keep, double *width, double *height) {
  double longest = 400, shortest = 110;
  if (!keep) ratio = 0.72;
  *width  = ratio < 0.85 ? longest : 340 / fmax(ratio, 1);
  *height = *width * ratio;
  if (*width < shortest) *width = shortest;
  if (*height < shortest * 0.6) *height = shortest * 0.6;
}

weir_status weir__plot_map(const char *path, const weir__plot_options *options, const weir_field_type *type,
                           const weir_view *view, int y_axis, int x_axis, const weir__plot_vectors *vectors,
                           int64_t step, double time) {
  weir_status  status = WEIR_OK;
  double      *values = NULL, width, height;
  raster       r      = {.smooth = options->smooth, .x_stride = 1, .y_stride = 1};
  range        shown  = {0};
  weir__figure figure = {0};
  char         x_title[200], y_title[200], bar_title[200];
  for (int a = x_axis + 1; a < view->rank; a++) r.x_stride *= view->count[a];
  for (int a = y_axis + 1; a < view->rank; a++) r.y_stride *= view->count[a];
  WEIR_TRY(weir__plot_values(view, &values));
  r.values = values;
  WEIR_TRY_GOTO(out, choose_range(options, values, weir_view_size(view), &shown));
  WEIR_TRY_GOTO(out, find_cells(type, view, x_axis, &r.x));
  WEIR_TRY_GOTO(out, find_cells(type, view, y_axis, &r.y));
  const weir_dimension *dx = &type->dim[x_axis], *dy = &type->dim[y_axis];
  weir__axis            x = {.low = r.x.edge[0], .high = r.x.edge[r.x.count]},
             y            = {.low = r.y.edge[0], .high = r.y.edge[r.y.count]};
  weir__axis bar          = {.low = shown.low, .high = shown.high};
  bool       keep         = same_scale(dy, dx) && !r.x.indexed && !r.y.indexed;
  frame_size((y.high - y.low) / (x.high - x.low), keep, &width, &height);
  double left = 62, top = 28, bottom_room = 36, bar_room = 84;
  r.y.down = dy->units && !strncmp(dy->units, "pixel", 5);
  x.from = left, x.to = left + width, y.from = top + height, y.to = top;
  double tip = 10;
  bar.from = y.from - (shown.below ? tip : 0), bar.to = y.to + (shown.above ? tip : 0);
  if (r.y.down) y.from = top, y.to = top + height;
  const char *x_units = r.x.indexed ? NULL : weir__axis_units(&x, dx->units),
             *y_units = r.y.indexed ? NULL : weir__axis_units(&y, dy->units);
  if (keep && x.unit != y.unit) x.unit = y.unit = 0, x_units = dx->units, y_units = dy->units;
  weir__axis_ticks(&x, width > 250 ? 8 : 4);
  weir__axis_ticks(&y, height > 180 ? 6 : 3);
  weir__axis_ticks(&bar, height > 180 ? 7 : 3);
  weir__axis_title(&x, dx->name, x_units, x_title);
  weir__axis_title(&y, dy->name, y_units, y_title);
  weir__axis_title(&bar, options->name ? options->name : "", type->units, bar_title);
  WEIR_TRY_GOTO(out, weir__figure_create(left + width + 12 + bar_room, top + height + bottom_room, &figure));
  status = draw_raster(&figure, &r, &shown, left, top, width, height);
  if (status >= 0 && vectors && vectors->type) status = weir__plot_arrows(&figure, vectors, &x, &y, top + height + 30);
  weir__axes_draw(&figure, &x, &y, x_title, y_title, false);
  draw_bar(&figure, &shown, &bar, left + width + 12, bar_title);
  weir__title_draw(&figure, options, left, left + width, top - 8, step, time);
  weir_status saved = weir__figure_save(&figure, path);
  if (status >= 0) status = saved;
out:
  weir__free(r.x.edge);
  weir__free(r.y.edge);
  weir__free(values);
  return status;
}
