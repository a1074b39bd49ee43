/* Writers as operators: the engine brings them whole chunks or fields, and calls them in the right order. Their
 * parameters are handles that the run module fills in; they have no names in expressions. */
#ifndef WEIR_IO_SINKS_H
#define WEIR_IO_SINKS_H
#include "graph/graph.h"
#include "io/csv.h"
#include "io/fluidimage.h"
#include "io/plot.h"
#include "io/vtk.h"
#include "io/zarr.h"
#include <weir/operator.h>

/* Write the chunks of a field at time index `index` of the call. A reduction: cut its input along the chunks of the
 * array (a box that cuts through a chunk is an error). Result: the number of chunks written, float64. A missing field
 * is left out. */
typedef struct weir__sink_zarr_params {
  weir__zarr_array *array;
} weir__sink_zarr_params;
extern const weir_operator weir__sink_zarr;

/* When the results of weir__sink_zarr for all arrays of a store are there (up to 16 inputs; further ones through
 * several nodes: chain them, the result counts as such an input): make the time level visible. In order. Result: the
 * number of the step, float64. */
typedef struct weir__sink_zarr_commit_params {
  weir__zarr *zarr;
} weir__sink_zarr_commit_params;
extern const weir_operator weir__sink_zarr_commit;

/* Add a row of a table: inputs are its fields in the order of weir__csv_open, whole. In order. Result: the number of
 * the step. */
typedef struct weir__sink_csv_params {
  weir__csv *csv;
} weir__sink_csv_params;
extern const weir_operator weir__sink_csv;

/* Draw a map or a line of a field, whole. Result: the number of the step. A missing field is not drawn. */
typedef struct weir__sink_plot_params {
  const char        *path; /* with {step} or {step:06} */
  weir__plot_options options;
} weir__sink_plot_params;
extern const weir_operator weir__sink_plot;

/* Draw a scalar over the steps seen so far. It keeps them as state, so it sees every step in which it is active, in
 * order; it draws in those in which `when` fires (all zeros: in each). Result: the number of the step. A missing value
 * is a gap. */
typedef struct weir__sink_plot_series_params {
  const char        *path;
  weir__plot_options options;
  weir__trigger      when;
} weir__sink_plot_series_params;
extern const weir_operator weir__sink_plot_series;

/* Write the fields of a step, whole, to a VTK file. Result: the number of the step; missing where no field that changes
 * has a value: then there is no file. The commit, on that result, in order: the collection has it. */
typedef struct weir__sink_vtk_params {
  weir__vtk *vtk;
  unsigned   is_static; /* bit i: input i has one value for the whole run */
} weir__sink_vtk_params;
extern const weir_operator weir__sink_vtk;
extern const weir_operator weir__sink_vtk_commit;

/* Write the vectors of a couple, in the order of weir__fluidimage_write, to a file. Result: the number of the step. A
 * couple without a result has no file. */
typedef struct weir__sink_fluidimage_params {
  const weir__fluidimage_terms *terms;
} weir__sink_fluidimage_params;
extern const weir_operator weir__sink_fluidimage;

/* ---- shared by the sinks (sinks.c) ---- */

/* One float64 number that depends on all of the input. */
weir_status weir__sink_infer(weir_infer *infer);
/* Why the source has nothing at this step, in a few words; NULL: it has. */
const char *weir__sink_gap(const weir_apply *a);
/* Give the result. */
void weir__sink_result(const weir_apply *a, double value);
#endif
