/* Arrows over a map: few enough to be told apart, the longest about as long as they are apart. */
#include "io/plot_parts.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double APART = 11; /* points from arrow to arrow, at least */

typedef struct arrows {
  const double *u, *v; /* [rows][columns] */
  int64_t       rows, columns, stride_y, stride_x;
  double        longest; /* a length that few are beyond */
} arrows;

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The length that 5 % are beyond: a few wild ones must not make all others points. */
static weir_status find_longest(arrows *a) {
  int64_t n = a->rows * a->columns, finite = 0;
  double *length;
  WEIR_TRY(weir__alloc_array((size_t)n, sizeof *length, &length));
  for (int64_t i = 0; i < n; i++) {
    double l = hypot(a->u[i], a->v[i]);
    if (isfinite(l)) length[finite++] = l;
  }
  qsort(length, (size_t)finite, sizeof *length, ascending);
  a->longest = finite ? length[finite - 1 - finite / 20] : 0;
  weir__free(length);
  return WEIR_OK;
}

static const double KEY = 60; /* the arrow to compare with is at most so long */

/* 1, 2 or 5 times a power of ten, not above x. */
static double round_down(double x) {
  double power = pow(10, floor(log10(x))), digit = x / power;
  return (digit >= 5 ? 5 : digit >= 2 ? 2 : 1) * power;
}

static void draw_arrow(cairo_t *cairo, double x, double y, double dx, double dy) {
  double length = hypot(dx, dy), head = fmin(4, 0.4 * length), turn = atan2(dy, dx);
  if (length < 0.3) return;
  cairo_move_to(cairo, x, y);
  cairo_line_to(cairo, x + dx, y + dy);
  for (int side = -1; side <= 1; side += 2) {
    cairo_move_to(cairo, x + dx, y + dy);
    cairo_line_to(cairo, x + dx - head * cos(turn + side * 0.45), y + dy - head * sin(turn + side * 0.45));
  }
}

static void stroke_twice(cairo_t *cairo) { /* dark on light: seen on any colour */
  cairo_set_source_rgba(cairo, 1, 1, 1, 0.75);
  cairo_set_line_width(cairo, 1.6);
  cairo_stroke_preserve(cairo);
  cairo_set_source_rgb(cairo, 0.08, 0.08, 0.08);
  cairo_set_line_width(cairo, 0.7);
  cairo_stroke(cairo);
}

static void draw_key(weir__figure *figure, const char *units, const weir__axis *x, double scale, double longest,
                     double baseline) {
  char   text[160], pretty[100];
  double value = round_down(fmin(longest, KEY / scale)), length = value * scale;
  weir__units_pretty(units ? units : "", pretty);
  snprintf(text, sizeof text, "%g%s%s", value, *pretty ? " " : "", pretty);
  weir__text_draw(figure, x->to, baseline, 8, false, WEIR__RIGHT, false, text);
  double end = x->to - weir__text_width(figure, 8, false, text) - 5;
  draw_arrow(figure->cairo, end - length, baseline - 2.8, length, 0);
  stroke_twice(figure->cairo);
}

static weir_status draw_all(weir__figure *figure, const weir__plot_vectors *vectors, arrows *a, const weir__axis *x,
                            const weir__axis *y, double baseline) {
  const weir_field_type *type  = vectors->type;
  const weir_view       *view  = vectors->along[0];
  cairo_t               *cairo = figure->cairo;
  double                 right = x->to > x->from ? 1 : -1, along_y = y->to > y->from ? 1 : -1;
  double cell_x = fabs(x->to - x->from) / (double)a->columns, cell_y = fabs(y->to - y->from) / (double)a->rows;
  a->stride_x = (int64_t)fmax(1, ceil(APART / cell_x));
  a->stride_y = (int64_t)fmax(1, ceil(APART / cell_y));
  WEIR_TRY(find_longest(a));
  if (!(a->longest > 0)) return WEIR_OK;
  double scale = 1.25 * fmin((double)a->stride_x * cell_x, (double)a->stride_y * cell_y) / a->longest;
  cairo_save(cairo);
  cairo_rectangle(cairo, fmin(x->from, x->to), fmin(y->from, y->to), fabs(x->to - x->from), fabs(y->to - y->from));
  cairo_clip(cairo);
  for (int64_t j = a->stride_y / 2; j < a->rows; j += a->stride_y)
    for (int64_t i = a->stride_x / 2; i < a->columns; i += a->stride_x) {
      double u = a->u[j * a->columns + i], v = a->v[j * a->columns + i];
      if (!isfinite(u) || !isfinite(v)) continue;
      double px = weir__axis_position(x, weir__plot_coordinate(type, view, 1, (double)i));
      double py = weir__axis_position(y, weir__plot_coordinate(type, view, 0, (double)j));
      double dx = right * u * scale, dy = along_y * v * scale;
      draw_arrow(cairo, px - 0.5 * dx, py - 0.5 * dy, dx, dy);
    }
  stroke_twice(cairo);
  cairo_restore(cairo);
  draw_key(figure, type->units, x, scale, a->longest, baseline);
  return WEIR_OK;
}

weir_status weir__plot_arrows(weir__figure *figure, const weir__plot_vectors *vectors, const weir__axis *x,
                              const weir__axis *y, double baseline) {
  weir_status status = WEIR_OK;
  double     *u = NULL, *v = NULL;
  WEIR_TRY_GOTO(out, weir__plot_values(vectors->along[0], &u));
  WEIR_TRY_GOTO(out, weir__plot_values(vectors->along[1], &v));
  arrows a = {.u = u, .v = v, .rows = vectors->along[0]->count[0], .columns = vectors->along[0]->count[1]};
  WEIR_TRY_GOTO(out, draw_all(figure, vectors, &a, x, y, baseline));
out:
  weir__free(u);
  weir__free(v);
  return status;
}
