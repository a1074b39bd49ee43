/* Reading NetCDF files (classic, 64-bit, CDF-5, NetCDF-4) as a stream of steps: the record dimension is cut off the
 * variables, and several files follow one another along it. CF packing and missing values are undone. */
#ifndef WEIR_IO_NETCDF_READ_H
#define WEIR_IO_NETCDF_READ_H
#include "core/error.h"
#include <weir/types.h>

typedef struct weir__netcdf weir__netcdf;

/* A variable, as a field. Its type:
 *  - packed numbers (scale_factor, add_offset): the floating-point type of those attributes (CF 1.8, section 8.1),
 * float64 when the packed integers have 32 bits or more; missing values are NaN;
 *  - floating point: the same type; missing values are NaN;
 *  - integers: the same type (uint32 as int64, uint64 as float64; attribute `_Unsigned` is followed); missing values
 * are the fill. Missing is what equals _FillValue or an element of missing_value, what is outside valid_min, valid_max
 * or valid_range, and in floating-point variables without _FillValue the library's own filling for values never
 * written. A NaN fill value of an integer variable stands for nothing and is ignored. */
typedef struct weir__netcdf_variable {
  const char     *name;
  bool            is_static; /* has no record dimension: the same at every step (read from the first file) */
  weir_field_type type;      /* without the record dimension; strings belong to the reader */
} weir__netcdf_variable;

/* Open files in this order. `record`: name of the dimension that is cut into steps; NULL: the unlimited dimension (the
 * one named "time" if there are several), else "time"; when the files have none of these, every file is one step.
 * WEIR_ERR_INPUT: a file is missing, cut short, no NetCDF, or has other variables or shapes than the first (the message
 * names it). */
weir_status weir__netcdf_open(const char *const *paths, int count, const char *record, weir__netcdf **reader);
void        weir__netcdf_close(weir__netcdf **reader);

int                          weir__netcdf_variables(const weir__netcdf *reader);
const weir__netcdf_variable *weir__netcdf_variable_at(const weir__netcdf *reader, int variable);
int                          weir__netcdf_find(const weir__netcdf *reader, const char *name); /* -1: none */

/* Steps are numbered from 0 through all files. Their time is the value of the variable named as the record dimension,
 * as it stands in the file (units and calendar: below); the number of the step when there is none. */
const char *weir__netcdf_record(const weir__netcdf *reader); /* the dimension cut into steps; NULL: none */
int64_t     weir__netcdf_steps(const weir__netcdf *reader);
weir_status weir__netcdf_step_info(const weir__netcdf *reader, int64_t index, int64_t *step, double *time);
const char *weir__netcdf_time_units(const weir__netcdf *reader); /* "days since 1989-01-01"; NULL: unknown */
const char *weir__netcdf_calendar(const weir__netcdf *reader);   /* NULL: not given */

/* Read a region of a variable at a step into `out`, a view of the variable's type with the counts of the region.
 * Thread-safe (one thread at a time: the NetCDF library is not). */
weir_status weir__netcdf_read(weir__netcdf *reader, int variable, int64_t step, const weir_region *region,
                              const weir_view *out);

/* ---- netcdf_classic.c ---- */

/* The NetCDF library reads zeros behind the end of a classic file that was cut short. This compares the size of the
 * file with what its header promises; files of other kinds pass.
 * WEIR_ERR_INPUT: cut short, damaged, or cannot be read. */
weir_status weir__netcdf_classic_check(const char *path);
#endif
