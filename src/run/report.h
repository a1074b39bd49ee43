/* The report of a run: what it did and cost, as report.json and as the summary people see. */
#ifndef WEIR_RUN_REPORT_H
#define WEIR_RUN_REPORT_H
#include "core/text.h"
#include "run/recipe.h"

enum { WEIR__REPORT_OUTPUTS_MAX = 256 };

typedef struct weir__report_output {
  const char *kind; /* "zarr", "csv", "plot" */
  const char *path; /* a pattern for pictures */
  int64_t     files, bytes;
} weir__report_output;

typedef struct weir__report {
  weir__arena         arena; /* of its texts */
  const char         *run;
  bool                complete;
  bool                simulated; /* its stream was a simulation, not files */
  const char         *message;   /* why it is not; NULL */
  int64_t             steps, dropped_steps;
  int                 workers, threads; /* threads of each worker; -1: one per core */
  double              wall_s, compile_s, blocked_s;
  double              latency_median_s, latency_p99_s, latency_max_s;
  int64_t             tasks, messages, message_bytes, plan_bytes, intake_bytes;
  weir__report_output output[WEIR__REPORT_OUTPUTS_MAX];
  int                 outputs;
} weir__report;

/* Count files and bytes of the recipe's outputs that were changed since `since_ns` (file time of the run's start). */
weir_status weir__report_outputs(const weir__recipe *recipe, int64_t since_ns, weir__report *report);

weir_status weir__report_write(const char *directory, const weir__report *report);
weir_status weir__report_read(const char *directory, weir__report *report);
void        weir__report_clear(weir__report *report);

/* The summary; `full` adds what only engineers want. */
weir_status weir__report_text(const weir__report *report, bool full, weir__text *text);

/* Durations for people: "812 us", "1.5 s", "2.1 h". At most 24 bytes. */
const char *weir__duration_text(double seconds, char out[24]);
/* Seconds in one unit of time such as "s", "days", "hours since 2000-01-01"; 0: not understood. */
double weir__time_unit(const char *units);
/* A simulated time for people: "12.5 d", "3 h"; "12.5" without known units. */
const char *weir__time_text(double time, const char *units, char out[40]);
#endif
