/* A store as one NetCDF-4 file. Steps are written where many workers can, in a Zarr store (zarr.h); when there are no
 * more of them, one worker makes the file from it: variables of shape (time, y, x) with the chunks, attributes and
 * missing values of the arrays, compressed by zlib; texts of time levels as strings. Chunk after chunk: no field is in
 * memory whole. The same store gives the same bytes. */
#ifndef WEIR_IO_NETCDF_WRITE_H
#define WEIR_IO_NETCDF_WRITE_H
#include "io/zarr.h"

typedef struct weir__netcdf_write_options {
  int  level;   /* of zlib, 1 to 9, behind a shuffle of bytes; 0: not compressed */
  bool durable; /* flush the file to the device */
} weir__netcdf_write_options;

/* Write the time levels that readers of the store see to `path`: under a temporary name beside it, then renamed. What
 * others committed is seen as well.
 * WEIR_ERR_IO: it cannot be written, or the disk is full: what was at `path` is as it was. */
weir_status weir__netcdf_write(weir__zarr *zarr, const char *path, const weir__netcdf_write_options *options);

/* May a file be put there? Nothing is there, or a NetCDF file. WEIR_ERR_INPUT: something else, which is left alone. */
weir_status weir__netcdf_replaceable(const char *path);
#endif
