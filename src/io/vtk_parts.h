/* What the files behind vtk.h share. */
#ifndef WEIR_IO_VTK_PARTS_H
#define WEIR_IO_VTK_PARTS_H
#include "core/text.h"
#include "io/vtk.h"
#include <limits.h>

/* Where the points are. Axes of VTK: 0 is x. */
typedef struct weir__vtk_axis {
  int                   from; /* axis of the fields; -1: none, one point */
  int64_t               points;
  bool                  turned; /* the coordinate falls: from the end to the beginning */
  double                origin, spacing;
  double                shift;  /* in cells, of a C grid */
  const weir_dimension *listed; /* unevenly spaced: its values; NULL: not */
} weir__vtk_axis;

typedef struct weir__vtk_grid {
  weir__vtk_axis axis[3];
  bool           rectilinear; /* an axis is unevenly spaced */
} weir__vtk_grid;

/* Of the first field with dimensions. WEIR_ERR_INPUT: more than three of them, or a coordinate that turns back. */
weir_status weir__vtk_grid_make(const weir_field_type *type, weir__vtk_grid *grid);
double      weir__vtk_point(const weir__vtk_axis *axis, int64_t i);

/* What weir__vtk_write needs to know. */
typedef struct weir__vtk_writer {
  weir__vtk_content content;
  weir__vtk_grid    grid;
  bool              zlib;
  int               level;
} weir__vtk_writer;

size_t      weir__vtk_writer_scratch(const weir__vtk_writer *writer);
weir_status weir__vtk_writer_write(const weir__vtk_writer *writer, const char *path, int64_t step, double time,
                                   const weir_view *views, void *scratch);
#define WEIR__VTK_TIME "Name=\"TimeValue\" NumberOfTuples=\"1\" format=\"ascii\">" /* behind it the time stands */
#endif
