/* Regular grids in the world that cameras look at: what the operators physical, dewarp and stereo share. Rows of the
 * grid are lines of equal Y, the lowest first. */
#ifndef WEIR_OPERATORS_WORLD_H
#define WEIR_OPERATORS_WORLD_H
#include "operators/piv/camera.h"
#include <weir/operator.h>

typedef struct weir__world {
  /* as given */
  double    z, spacing; /* m; spacing 0: as fine as what is seen */
  weir_list x_limits, y_limits;
  /* settled */
  double  origin[2], step; /* y, x of element 0, 0 */
  int64_t size[2];
} weir__world;

#define WEIR__PARAMS_WORLD(type)                                                                                       \
  {"z", WEIR_PARAM_REAL, offsetof(type, world.z), .units = "m", .help = "the plane Z = z that is looked at"},          \
      {"spacing",                                                                                                      \
       WEIR_PARAM_REAL,                                                                                                \
       offsetof(type, world.spacing),                                                                                  \
       .least = 0,                                                                                                     \
       .most  = 1e6,                                                                                                   \
       .units = "m",                                                                                                   \
       .help  = "of the grid; 0: about that of the input, in two digits"},                                              \
      {"x_limits", WEIR_PARAM_LIST, offsetof(type, world.x_limits), .units = "m",                                      \
       .help = "first and last X of the grid; default: what is seen"},                                                 \
  {                                                                                                                    \
    "y_limits", WEIR_PARAM_LIST, offsetof(type, world.y_limits),                                                       \
        .units = "m", .help = "first and last Y of the grid; default: what is seen"                                    \
  }

/* A field [y, x] in pixels, and who sees it. */
typedef struct weir__world_view {
  const weir__camera    *camera;
  const weir_field_type *field;
} weir__world_view;

/* A calibration file, read into memory that lives as long as the graph. */
weir_status weir__world_camera(const weir_infer *infer, const char *operator_name, const char *path,
                               const weir__camera **camera);
/* Is the field one of [y, x] with coordinates in pixels, rows counted downwards? */
weir_status weir__world_check_field(const char *operator_name, const weir_field_type *field);
/* Are these displacements in pixels? */
weir_status weir__world_check_displacement(const char *operator_name, const weir_field_type *field);
/* Settle the grid: what all views see. */
weir_status weir__world_settle(const char *operator_name, weir__world *world, const weir__world_view *view, int views);
/* Result `output` of an operator on that grid. */
void weir__world_result(weir_infer *infer, const weir__world *world, int output, weir_dtype dtype, const char *units);

void weir__world_at(const weir__world *world, int64_t row, int64_t column, double at[3]);
/* Index of an image position (x, y) in a field: row, column. */
void weir__world_index(const weir_field_type *field, const double image[2], double index[2]);
/* Values of several fields of one type at an image position, by cubic Lagrange interpolation (linear where one of the
 * 16 is missing). False: outside, or one of those that count is missing. */
bool weir__world_sample(const weir_field_type *field, const weir_view *const *view, int views, const double image[2],
                        double *out);
#endif
