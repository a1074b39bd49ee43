/* Tables: a text file with one row per step, for scalars and small fields.
 *
 *   step,time (s),ke_mean (m2 s-2),spectrum[0.5] (m3 s-2),spectrum[1] (m3 s-2)
 *   0,0,0.125,3.5,1.25
 *
 * One column per element; of a field with dimensions the coordinates stand in brackets ("; " between several). Numbers
 * are the shortest text that reads back to the same double; a missing value is an empty cell. Names that need it are
 * quoted (RFC 4180). A table of a stream that may lose steps has a last column `missing`: why the row has no values. */
#ifndef WEIR_IO_CSV_H
#define WEIR_IO_CSV_H
#include "core/error.h"
#include <weir/types.h>

typedef struct weir__csv weir__csv;

enum { WEIR__CSV_COLUMNS_MAX = 16384 };
#define WEIR__CSV_MISSING "missing" /* name of that column */

/* {0} is complete. */
typedef struct weir__csv_options {
  const char    *time_units; /* NULL: none */
  const int64_t *keep_to; /* NULL: a new file replaces an old one. Otherwise go on with the file there is (if any): rows
                             of steps after `*keep_to`, and a row cut short by a crash, are removed */
  bool gaps;              /* there is a column `missing` */
} weir__csv_options;

/* Open a table for fields of these names and types.
 * WEIR_ERR_ARGUMENT: too many columns; WEIR_ERR_IO; WEIR_ERR_INPUT: the file to go on with has another header. */
weir_status weir__csv_open(const char *path, const char *const *names, const weir_field_type *const *types, int fields,
                           const weir__csv_options *options, weir__csv **csv);

/* Add the row of a step: one view per field, whole; `missing` (or no data): empty cells. `why`: the text of the column
 * `missing`, NULL where the step is there. One write to the file.  One call at a time. */
weir_status weir__csv_write(weir__csv *csv, int64_t step, double time, const weir_view *views, const char *why);

weir_status weir__csv_close(weir__csv **csv);
#endif
