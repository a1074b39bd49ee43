/* What all benchmarks share: the machine, samples and their quantiles, and one form of output.
 *
 * Output: lines `bench,case,system,metric,value,unit` on standard output, and lines beginning with `#` for people: the
 * machine, and each target beside what was measured. Every figure is taken after a warm-up, from repetitions. */
#ifndef WEIR_BENCH_HARNESS_H
#define WEIR_BENCH_HARNESS_H
#include "core/clock.h"
#include "core/memory.h"
#include <stdbool.h>

/* Say which benchmark this is and print the machine it runs on. */
void bench_open(const char *name);

/* ---- samples ---- */
typedef struct bench_samples {
  double *value;
  size_t  count, capacity;
} bench_samples;
void   bench_reserve(bench_samples *s, size_t capacity);  /* and start again from none */
void   bench_add(bench_samples *s, double value);         /* beyond the capacity: ignored */
double bench_quantile(bench_samples *s, double q);        /* nearest rank; sorts; NaN when empty */
double bench_median_from(bench_samples *s, size_t first); /* of those added since there were `first` */
void   bench_clear(bench_samples *s);

/* Let this thread run on all cores again, after a worker that was bound (threads inherit what their maker may use). */
void bench_unpin(void);

/* ---- output ---- */
void bench_value(const char *what, const char *system, const char *metric, double value, const char *unit);
/* Minimum, median, p90, p99 and maximum, each times `scale`. Returns the median. */
double bench_summary(const char *what, const char *system, bench_samples *s, double scale, const char *unit);
void   bench_note(const char *format, ...) WEIR_PRINTF(1, 2);
/* A figure beside its target, as lines `what,weir,figure,value` and `what,target,at_most|at_least,limit` that the
 * report makes its table of, and a comment whether it is met. `what` must tell a reader of that table enough. Figures
 * that are one for many cases are named "CASE, FIGURE": the report says them together. */
void bench_at_most(const char *what, double value, double most, const char *unit);
void bench_at_least(const char *what, double value, double least, const char *unit);

/* ---- time ---- */
double             bench_cpu_seconds(void); /* of this process, user and system */
double             bench_children_cpu_seconds(void);
static inline void bench_use(double value) { __asm__ volatile("" : : "g"(value) : "memory"); } /* keep the result */
/* Median over `repeats` (after one warm-up) of the nanoseconds that body(self) takes. */
double bench_time_ns(void (*body)(void *), void *self, int repeats);

/* ---- what a role takes: simulation, worker, scheduler ... ---- */
typedef struct bench_usage {
  double  cpu_s;
  int64_t peak_bytes;  /* largest resident set of one of its processes */
  int64_t moved_bytes; /* counted by whoever moves them; 0: not printed */
} bench_usage;
bench_usage bench_usage_self(void); /* so far */
/* Of children that were waited for. A child's resident set begins with that of who forked it. */
bench_usage bench_usage_children(void);
bench_usage bench_usage_since(bench_usage before, bench_usage now); /* the largest resident set remains that of now */
void        bench_usage_add(bench_usage *sum, bench_usage of);
/* CPU ms and MiB moved per step, and the peak in MiB. */
void bench_usage_print(const char *what, const char *role, const bench_usage *u, double steps);

/* ---- memory shared by the processes of a benchmark; a folder of its own ---- */
void       *bench_shared(size_t bytes); /* zeros, shared with children forked later */
const char *bench_folder(void);         /* made by mkdtemp, removed by bench_folder_remove */
void        bench_folder_remove(void);
/* Memory of so many bytes, zeros at first, shared by all processes that name this file: also with those of a
 * simulation, which are no children of who looks at it. */
void *bench_board(const char *path, size_t bytes);

/* End the program with the library's message when `status` is a failure. */
void bench_check(weir_status status, const char *what);
#endif
