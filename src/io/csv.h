/* Tables: a text file with one row per step, for scalars and small fields.
 *
 *   step,time (s),ke_mean (m2 s-2),spectrum[0.5] (m3 s-2),spectrum[1] (m3 s-2)
 *   0,0,0.125,3.5,1.25
 *
 * One column per element; of a field with dimensions the coordinates stand in brackets ("; " between several). Numbers
 * are the shortest text that reads back to the same double; a missing value is an empty cell. Names that need it are
 * quoted (RFC 4180). */
#ifndef WEIR_IO_CSV_H
#define WEIR_IO_CSV_H
#include "core/error.h"
#include <weir/types.h>

typedef struct weir__csv weir__csv;

enum { WEIR__CSV_COLUMNS_MAX = 16384 };

/* Open a table for fields of these names and types. `keep_to` NULL: a new file replaces an old one. Otherwise go on
 * with the file there is (if any): rows of steps after `*keep_to`, and a row cut short by a crash, are removed.
 * WEIR_ERR_ARGUMENT: too many columns; WEIR_ERR_IO; WEIR_ERR_INPUT: the file to go on with has another header. */
weir_status weir__csv_open(const char *path, const char *const *names, const weir_field_type *const *types, int fields,
                           const char *time_units, const int64_t *keep_to, weir__csv **csv);

/* Add the row of a step: one view per field, whole; `missing` (or no data): empty cells. One write to the file.  One
 * call at a time. */
weir_status weir__csv_write(weir__csv *csv, int64_t step, double time, const weir_view *views);

weir_status weir__csv_close(weir__csv **csv);
#endif
