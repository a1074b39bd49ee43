/* The report of a run: what it did and cost, as report.json and as the summary people see.
 *
 * Worker 0 fills it at the end. Its lists are added to with weir__report_add_...; whoever makes checkpoints, drops
 * steps or keeps going after a failure adds a line, and file and summary show it. */
#ifndef WEIR_RUN_REPORT_H
#define WEIR_RUN_REPORT_H
#include "core/text.h"
#include "run/recipe.h"

/* The lists that a bad run could make endless hold so many items; how many more there were is counted. */
enum { WEIR__REPORT_LIST_MAX = 1000 };

typedef struct weir__report_output {
  const char *kind; /* "zarr", "csv", "plot", ... */
  const char *path; /* a pattern for pictures */
  int64_t     files, bytes;
} weir__report_output;

typedef struct weir__report_stream {
  const char *name;
  int64_t     steps, dropped_steps, spilled_steps;
  double      blocked_s; /* of each process of the simulation, on average */
  double      latency_median_s, latency_p99_s, latency_max_s;
} weir__report_stream;

typedef struct weir__report_worker {
  int64_t     rank;
  const char *host;
  int64_t     restarts, steps, claimed, tasks, messages, message_bytes, plan_bytes, intake_bytes;
  int64_t     memory_bytes; /* largest resident set */
  double      run_s, cpu_s, blocked_s;
} weir__report_worker;

/* Steps that were published and are not in the outputs, or not whole. */
typedef struct weir__report_missing {
  const char *stream;
  int64_t     from, to; /* numbers of the first and last step */
  int64_t     count;    /* missing steps from `from` to `to` */
  const char *why;
} weir__report_missing;

/* A field that failed, and what depends on it. */
typedef struct weir__report_failure {
  const char *field;
  const char *policy;     /* "skip", "disable", "stop" */
  int64_t     steps;      /* in which it failed */
  int64_t     first_step; /* number of the first of them */
  const char *message;    /* then */
} weir__report_failure;

typedef struct weir__report {
  weir__arena           arena; /* of its texts and lists */
  const char           *run;
  bool                  complete;
  bool                  simulated;                           /* its stream was a simulation, not files */
  const char           *message;                             /* why it is not complete; NULL */
  const char           *trace;                               /* file with the trace; NULL: none was asked for */
  int64_t               steps, dropped_steps, spilled_steps; /* by the policy of the stream */
  int64_t               partial_steps;                       /* left out because not all processes published them */
  int64_t               threads;                             /* of each worker; -1: one per core */
  int64_t               restarts, checkpoints, decisions;
  int64_t               checkpoint_bytes;   /* of the last one, of all workers */
  const char           *checkpoint_failure; /* why none were made any more; NULL */
  double                wall_s, compile_s, blocked_s, checkpoint_s;
  double                latency_median_s, latency_p99_s, latency_max_s;
  int64_t               tasks, messages, message_bytes, plan_bytes, intake_bytes;
  weir__report_output  *output;
  weir__report_stream  *stream;
  weir__report_worker  *worker;
  weir__report_missing *missing;
  weir__report_failure *failure;
  int                   outputs, streams, workers, missings, failures;
  int64_t               missing_more, failure_more; /* that did not fit the lists */
} weir__report;

/* Add a line to a list; texts are copied, NULL stands for "". */
weir_status weir__report_add_output(weir__report *report, const weir__report_output *output);
weir_status weir__report_add_stream(weir__report *report, const weir__report_stream *stream);
weir_status weir__report_add_worker(weir__report *report, const weir__report_worker *worker);
weir_status weir__report_add_missing(weir__report *report, const weir__report_missing *missing);
weir_status weir__report_add_failure(weir__report *report, const weir__report_failure *failure);

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
