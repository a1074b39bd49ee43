/* What `weir calibrate` does: a camera fitted to points, written as a calibration file (operators/piv/camera.h), and a
 * report of how well it fits. */
#ifndef WEIR_RUN_CALIBRATE_H
#define WEIR_RUN_CALIBRATE_H
#include "core/text.h"
#include "operators/piv/target.h"

typedef struct weir__calibration_points {
  weir__camera_point *point; /* weir__free */
  int64_t             count;
  size_t              capacity;
} weir__calibration_points;

/* Add the rows of a table: columns x, y, X, Y and Z (else `z`), named in the first line or in this order, separated by
 * commas, semicolons or blanks. WEIR_ERR_INPUT: what is wrong, and in which line. */
weir_status weir__calibration_read_table(const char *path, double z, weir__calibration_points *points);

/* Add the dots of a target in an image (its first page). */
weir_status weir__calibration_read_image(const char *path, const weir__target *target,
                                         weir__calibration_points *points);

/* Fit, write to the file `output`, and say what came out. `source` names the points in the file. */
weir_status weir__calibrate(const weir__camera_fit *fit, const weir__calibration_points *points, const char *source,
                            const char *output, weir__text *report);
#endif
