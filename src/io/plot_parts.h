/* What the files plot*.c share: a figure in points (1/72 inch, two pixels each), axes with ticks, text. Only they
 * include cairo.h. */
#ifndef WEIR_IO_PLOT_PARTS_H
#define WEIR_IO_PLOT_PARTS_H
#include "core/text.h"
#include "field/field.h"
#include "io/file.h"
#include "io/plot.h"
#include <cairo.h>

enum { WEIR__PLOT_PIXELS = 2 /* per point */, WEIR__TICKS_MAX = 64 };

/* One axis or colour bar: values `low` to `high` from `from` to `to` points. */
typedef struct weir__axis {
  double low, high, from, to;
  bool   logarithmic;
  double unit;    /* ticks show value / unit / 10^exponent: 1000 for km in place of m; 0 means 1 */
  bool   degrees; /* ticks at parts of a circle */
  int    exponent;
  int    ticks;
  double tick[WEIR__TICKS_MAX];
  bool   major[WEIR__TICKS_MAX]; /* has a label */
  char   label[WEIR__TICKS_MAX][24];
} weir__axis;

double weir__axis_position(const weir__axis *axis, double value);
/* Take units that suit the range of the axis (m as km; s as min, h or d; degrees in parts of a circle); returns their
 * name. */
const char *weir__axis_units(weir__axis *axis, const char *units);
/* Choose ticks: about `wanted` nice ones, and their common power of ten. */
void weir__axis_ticks(weir__axis *axis, int wanted);
/* "k (10³ rad m⁻¹)": a name with units and the axis's power of ten. */
void weir__axis_title(const weir__axis *axis, const char *name, const char *units, char out[200]);
/* Units for people: "m s-1" and "m**2 s**-2" with raised digits, "degrees_east" as °E. */
void weir__units_pretty(const char *units, char out[100]);

typedef struct weir__figure {
  cairo_surface_t *surface;
  cairo_t         *cairo;
  double           width, height; /* points */
} weir__figure;
weir_status weir__figure_create(double width, double height, weir__figure *figure);
weir_status weir__figure_save(weir__figure *figure, const char *path); /* frees the figure, whatever happens */

typedef enum weir__anchor { WEIR__LEFT, WEIR__CENTRE, WEIR__RIGHT } weir__anchor;
double weir__text_width(weir__figure *figure, double size, bool bold, const char *text);
/* Text whose baseline starts, is centred or ends at (x, y); turned a quarter to the left when `upward`. */
void weir__text_draw(weir__figure *figure, double x, double y, double size, bool bold, weir__anchor anchor, bool upward,
                     const char *text);
/* Step and time above the frame, right, and the name left; `left` to `right` is the frame, `y` the baseline. */
void weir__title_draw(weir__figure *figure, const weir__plot_options *options, double left, double right, double y,
                      int64_t step, double time);
/* Ticks and labels below and left of a frame whose axes are given (y->from is the bottom), and titles. */
void   weir__axes_draw(weir__figure *figure, const weir__axis *x, const weir__axis *y, const char *x_title,
                       const char *y_title, bool grid);
double weir__axis_label_width(weir__figure *figure, const weir__axis *axis); /* widest label */

/* The values of a view as float64, row-major, missing ones NaN; freed by weir__free. */
weir_status weir__plot_values(const weir_view *view, double **values);
/* Coordinate of a local index along an axis of the view. */
double weir__plot_coordinate(const weir_field_type *type, const weir_view *view, int axis, double index);

weir_status weir__plot_map(const char *path, const weir__plot_options *options, const weir_field_type *type,
                           const weir_view *view, int y_axis, int x_axis, const weir__plot_vectors *vectors,
                           int64_t step, double time);
/* Arrows within the frame of two axes, and one to compare them with at the right end above, whose width is returned. */
weir_status weir__plot_arrows(weir__figure *figure, const weir__plot_vectors *vectors, const weir__axis *x,
                              const weir__axis *y, double baseline);
weir_status weir__plot_line(const char *path, const weir__plot_options *options, const weir_field_type *type,
                            const weir_view *view, int axis, int64_t step, double time);
#endif
