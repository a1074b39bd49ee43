/* What `weir top` shows: a run as it is just now, read from its run directory, and drawn into a text. */
#ifndef WEIR_RUN_TOP_H
#define WEIR_RUN_TOP_H
#include "run/live.h"
#include "run/report.h"

enum { WEIR__TOP_DECISIONS = 5, WEIR__TOP_PARAMETERS = 10 }; /* lines shown */

typedef struct weir__top {
  char               run[128]; /* its name */
  weir__run_status   status;
  double             elapsed_s;
  int64_t            now_ns; /* date, as beat_ns of a record */
  weir__live_record *worker; /* by rank; those that have not begun yet have pid 0 */
  int                workers;
  char              *parameters, *decisions; /* owned: the lines to show; NULL: none */
  bool               ended;
  bool               reported; /* `report` is there; of a run that has ended */
  weir__report       report;
} weir__top;

/* Read a run directory; ended by weir__top_clear. WEIR_ERR_INPUT: it is none, or cannot be read. */
weir_status weir__top_read(const char *directory, weir__top *top);
void        weir__top_clear(weir__top *top);

/* Draw it, no line wider than `columns` (at least 60). `rows`: at most so many lines, 0: all; workers that do not fit
 * are counted. `colour`: with escape sequences. */
weir_status weir__top_text(const weir__top *top, int columns, int rows, bool colour, weir__text *text);
#endif
