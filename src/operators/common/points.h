/* Points in a two-dimensional field: between which elements a position lies. Shared by `sample` and `analysis`. */
#ifndef WEIR_OPERATORS_POINTS_H
#define WEIR_OPERATORS_POINTS_H
#include "operators/common/common.h"

/* The parameters of `sample`, and the beginning of those of `analysis`. */
typedef struct weir__points {
  weir_axes axes;     /* the dimensions of f along which y and x are */
  int       input[2]; /* axis a of f goes with y (0) or x (1); from infer on */
} weir__points;

#define WEIR__PARAM_POINTS_AXES                                                                                        \
  {                                                                                                                    \
    .name = "axes", .kind = WEIR_PARAM_AXES, .offset = offsetof(weir__points, axes),                                   \
    .help = "the dimensions of f that y and x are positions on; default: its first and its last"                       \
  }

#define WEIR__POINTS_DETAILS                                                                                           \
  " Positions are in the units of the coordinates of f, shifted by its location (a value on faces is half a cell "     \
  "away); uniform and listed coordinates are understood, and on a dimension without a coordinate a position is an "    \
  "index (0 is the first element). The field of positions has one dimension, and none of those of f. A dimension "     \
  "that is periodic, with a uniform coordinate or none, is taken around; otherwise the outermost elements are the "    \
  "end of the field. A position within 1e-9 of a cell of an element is at that element."

/* Check f and the positions and complete `points`; messages begin with `name`. */
weir_status weir__points_check(weir__points *points, const char *name, const weir_field_type *f,
                               const weir_field_type *y, const weir_field_type *x);

/* The two neighbours of a position on an axis, and their weights, of which the second may be 0 (then both are the same
 * element). On a periodic axis index[1] may be the size of the axis: element 0 again. */
typedef struct weir__bracket {
  int64_t index[2];
  double  weight[2];
} weir__bracket;
bool weir__bracket_find(const weir_field_type *f, int axis, double position, weir__bracket *bracket); /* false: none */

double weir__points_coordinate(const weir_field_type *f, int axis, int64_t index);
/* Length of a periodic axis in units of its coordinate; 0: positions are not taken around. */
double weir__points_period(const weir_dimension *dimension);

extern const weir_operator weir_operator_sample;
#endif
