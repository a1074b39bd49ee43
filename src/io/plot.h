/* Pictures as they would stand in a paper: maps of 2-D fields, lines of 1-D fields, series of scalars. PNG, drawn by
 * cairo. */
#ifndef WEIR_IO_PLOT_H
#define WEIR_IO_PLOT_H
#include "core/error.h"
#include <weir/types.h>

typedef enum weir__plot_colours {
  WEIR__PLOT_COLOURS_AUTO = 0, /* diverging when both signs occur (the smaller side above 1 % of the larger) and the
                                  range is automatic or symmetric; else sequential */
  WEIR__PLOT_COLOURS_SEQUENTIAL,
  WEIR__PLOT_COLOURS_DIVERGING
} weir__plot_colours;

typedef enum weir__plot_scale { WEIR__PLOT_SCALE_AUTO = 0, WEIR__PLOT_LINEAR, WEIR__PLOT_LOGARITHMIC } weir__plot_scale;

/* {0} is complete. Nothing is kept. */
typedef struct weir__plot_options {
  const char        *name;       /* of the field: in the title; NULL: "" */
  const char        *time_units; /* NULL: none */
  weir__plot_colours colours;
  double             low, high; /* range of the values; both 0: that of the data */
  double             clip;      /* automatic range: leave out this fraction of the values at each end (0 to 0.49) */
  bool               smooth;    /* interpolate between the values of a small field; otherwise each is a rectangle */
  weir__plot_scale scale; /* of a line plot; auto: double logarithmic over a dimension named k (spectra), else linear */
} weir__plot_options;

/* Arrows over a map: components along its axes, on a grid of their own (or that of the map). {0}: none. */
typedef struct weir__plot_vectors {
  const weir_field_type *type;     /* of both */
  const weir_view       *along[2]; /* x, y */
} weir__plot_vectors;

/* Draw a field to a PNG file (temporary name, rename): a map of a 2-D field, a line of a 1-D one; axes of one element
 * do not count. The view is the whole field, or a part of it. Missing values are grey in maps and gaps in lines. The
 * vertical axis of a map points up; of one in pixels it points down, as people look at images. `vectors` may be NULL.
 * WEIR_ERR_ARGUMENT: more than two dimensions, or none; WEIR_ERR_IO. */
weir_status weir__plot_field(const char *path, const weir__plot_options *options, const weir_field_type *type,
                             const weir_view *view, const weir__plot_vectors *vectors, int64_t step, double time);

/* Can a field of this type be drawn? Its dimensions longer than 1; a scalar (0) is drawn as a series. */
int weir__plot_dimensions(const weir_field_type *type);

/* A scalar over time in bounded memory: plain bytes, all zeros is empty. When full, neighbours are merged into their
 * range. */
enum { WEIR__PLOT_POINTS = 2048 };
typedef struct weir__plot_history {
  int64_t count;  /* points in use */
  int64_t merged; /* values per point: a power of two; 0 means 1 */
  int64_t filled; /* values in the last point */
  double  time[WEIR__PLOT_POINTS], least[WEIR__PLOT_POINTS], most[WEIR__PLOT_POINTS];
} weir__plot_history;
void        weir__plot_history_add(weir__plot_history *series, double time, double value);
weir_status weir__plot_series(const char *path, const weir__plot_options *options, const char *units,
                              const weir__plot_history *series, int64_t step, double time);

/* The path of a picture from a pattern: {step} or {step:06} (at least six digits) is replaced by the step.
 * WEIR_ERR_INPUT: other braces, or too long. */
weir_status weir__plot_path(const char *pattern, int64_t step, char *out, size_t size);

/* ---- colormap.c ---- */

/* Colour at `t` in [0, 1] (cut off outside) as red, green, blue in [0, 1]. */
void weir__colour_sequential(double t, double rgb[3]);
void weir__colour_diverging(double t, double rgb[3]);
#endif
