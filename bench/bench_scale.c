/* How the engine scales: the same worker code, compiled against SimGrid's MPI (SMPI), on simulated clusters of 64 to
 * 16 384 processes; and, built with the real MPI, on as many processes as mpirun starts here, as a check of the former.
 *
 * Weak scaling: each process owns 2 chunks of 16 x 8 float64 of one field and, step after step, does one of
 *
 *   mean   mean(u), B1: partial sums up the tree of workers
 *   halo   laplacian(u): edges from the neighbours, nothing gathered
 *   lag    mean((u - lag(u, 1)) / dt): two earlier values, then the tree
 *
 * All results are checked, each run, against what is known beforehand; and a program written by hand does the same on
 * the same machine. Steps are published to all processes at fixed times; what is measured is the time from there until
 * process 0 has the result (mean, lag), or the last process has its own (halo).
 *
 * Per process (median, p99 and most): messages and bytes sent in a step, tasks, microseconds to make the graph and
 * compile the share, KiB that the engine holds afterwards ("memory") and held meanwhile ("memory-most").
 *
 * The engine has no global state but the count of allocations and the last error's text, which are those of all
 * processes there: a failure's message may be another one's.
 *
 * What the simulation covers: numbers and sizes of messages, who waits for whom (the critical path, deadlocks), the
 * engine's polling with its sleeps, and, on this machine's own clock, the time each process takes to compile its share,
 * and its memory. What it does not: computation takes no time; there are no threads, no wake-ups (a sleep lasts as
 * long as asked for, a step that is published wakes at once), no contention between the processes of a node, no cost of
 * a message in the processor; so nothing on METG. Workers read a source: channels are shared memory of a node.
 *
 * Run as `bench/run scale`, which simulates 64 and 1024 processes; with `full` also 4096 and 16 384. */
#include "harness.h"
#include "scale/case.h"
#include "scale/simulated.h"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char *const names[SCALE_KINDS] = {"mean", "halo", "lag"};
static const char *const systems[]          = {"weir", "mpi"};
enum { FIGURES = sizeof(scale_figures) / sizeof(double) };

/* ---- values ---- */

double scale_value(const scale_case *c, int64_t step, int64_t y, int64_t x) {
  double pattern = (y + x) % 2 ? 0.25 : -0.25, n = (double)(step + 1);
  switch (c->kind) {
  case SCALE_HALO: return n * (double)(y * y + 2 * x * x);
  case SCALE_LAG: return n * n + pattern;
  default: return n + 0.5 + pattern;
  }
}

double scale_expected(const scale_case *c, int64_t step) {
  switch (c->kind) {
  case SCALE_HALO: return 6 * (double)(step + 1);
  case SCALE_LAG: return (2 * (double)step + 1) / 0.5;
  default: return (double)step + 1.5;
  }
}

/* All values are whole numbers of quarters: exact in any order. */
void scale_result(scale_case *c, int64_t step, double value) {
  c->results++;
  if (value != scale_expected(c, step)) c->wrong++;
}

void scale_result_at(scale_case *c, int64_t step, int64_t y, int64_t x, double value) {
  int64_t rows = (int64_t)CHUNK_ROWS * c->down, columns = (int64_t)CHUNK_COLUMNS * CHUNKS * c->across;
  if (y > 0 && x > 0 && y < rows - 1 && x < columns - 1) scale_result(c, step, value); /* else: as the edge rule says */
}

/* How many of them there must be: on process 0, or on this one. */
static int64_t results_wanted(const scale_case *c) {
  int64_t rows = CHUNK_ROWS, columns = CHUNK_COLUMNS * CHUNKS, py = c->rank / c->across, px = c->rank % c->across;
  if (c->kind != SCALE_HALO) return c->rank ? 0 : c->steps - (c->kind == SCALE_LAG);
  rows -= (py == 0) + (py == c->down - 1);
  columns -= (px == 0) + (px == c->across - 1);
  return c->steps * rows * columns;
}

/* ---- the processes ---- */

static void arrange(scale_case *c) {
  c->down = 1;
  for (int n = 1; n * n <= c->size; n++)
    if (c->size % n == 0) c->down = n;
  c->across = c->size / c->down;
}

static void check_results(const scale_case *c, const char *system) {
  int64_t bad = c->wrong + llabs(c->results - results_wanted(c)), all;
  MPI_Allreduce(&bad, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  if (!all) return;
  if (!c->rank)
    fprintf(stderr, "bench scale: %s-%d: %s: %lld results are wrong or missing\n", names[c->kind], c->size, system,
            (long long)all);
  exit(1);
}

static void report_spread(const char *what, const char *system, const char *metric, bench_samples *s,
                          const char *unit) {
  char name[64];
  snprintf(name, sizeof name, "%s-median", metric);
  bench_value(what, system, name, bench_quantile(s, 0.5), unit);
  snprintf(name, sizeof name, "%s-p99", metric);
  bench_value(what, system, name, bench_quantile(s, 0.99), unit);
  snprintf(name, sizeof name, "%s-max", metric);
  bench_value(what, system, name, bench_quantile(s, 1), unit);
}

/* Latencies of the steps after the warm-up, or with no times of publication the time per step. Returns the median. */
static double report_time(const scale_case *c, const char *what, const char *system, double run_ns) {
  bench_samples s = {0};
  int64_t      *all;
  double        median;
  if (!c->period_ns) {
    if (!c->rank) bench_value(what, system, "step-time", 1e-3 * run_ns / c->steps, "us");
    return 1e-3 * run_ns / c->steps;
  }
  bench_check(weir__alloc_array((size_t)c->steps, sizeof *all, &all), "latencies");
  if (c->kind == SCALE_HALO) MPI_Reduce(c->result_ns, all, c->steps, MPI_INT64_T, MPI_MAX, 0, MPI_COMM_WORLD);
  else memcpy(all, c->result_ns, (size_t)c->steps * sizeof *all);
  bench_reserve(&s, (size_t)c->steps);
  for (int n = WARM; n < c->steps; n++) bench_add(&s, 1e-3 * (double)all[n]);
  median = bench_quantile(&s, 0.5);
  if (!c->rank) report_spread(what, system, "latency", &s, "us");
  bench_clear(&s);
  weir__free(all);
  return median;
}

static void report_figures(const scale_case *c, const char *what, const char *system, const scale_figures *mine) {
  static const struct {
    const char *metric, *unit;
  } shown[FIGURES]     = {{"compile", "us"},        {"memory", "KiB"},      {"memory-most", "KiB"},
                          {"messages", "per-step"}, {"message-bytes", "B"}, {"tasks", "per-step"}};
  double       *all    = NULL;
  bench_samples sample = {0};
  if (!c->rank) bench_check(weir__alloc_array((size_t)c->size, sizeof *mine, &all), "figures");
  MPI_Gather(mine, FIGURES, MPI_DOUBLE, all, FIGURES, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  for (int k = 0; all && k < FIGURES; k++) {
    bench_reserve(&sample, (size_t)c->size);
    for (int i = 0; i < c->size; i++) bench_add(&sample, all[(size_t)i * FIGURES + (size_t)k]);
    if (shown[k].metric && bench_quantile(&sample, 1) > 0)
      report_spread(what, system, shown[k].metric, &sample, shown[k].unit);
  }
  bench_clear(&sample);
  weir__free(all);
}

static double measure(scale_case c, weir__comm *comm, int system) {
  scale_figures figures = {0};
  char          what[64];
  snprintf(what, sizeof what, "%s-%d", names[c.kind], c.size);
  bench_check(weir__alloc_array((size_t)c.steps, sizeof *c.result_ns, &c.result_ns), "steps");
  if (system == 0) scale_by_engine(&c, comm, &figures);
  else scale_by_hand(&c, &figures);
  check_results(&c, systems[system]);
  double time = report_time(&c, what, systems[system], figures.run_ns);
  report_figures(&c, what, systems[system], &figures);
  weir__free(c.result_ns);
  return time;
}

static void report_memory(const scale_case *c) {
  struct rusage use;
  char          what[64];
  getrusage(RUSAGE_SELF, &use);
  snprintf(what, sizeof what, "%s-%d", names[c->kind], c->size);
#ifdef BENCH_SIMULATED
  bench_value(what, "weir", "resident-per-process", (double)use.ru_maxrss / c->size, "KiB"); /* with SimGrid's own */
#else
  bench_value(what, "weir", "resident", (double)use.ru_maxrss, "KiB");
#endif
}

int main(int argc, char **argv) {
  scale_case  c    = {.kind = SCALE_KINDS};
  weir__comm *comm = NULL;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &c.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &c.size);
  for (int k = 0; k < SCALE_KINDS && argc == 4; k++)
    if (!strcmp(argv[1], names[k])) c.kind = (scale_kind)k;
  c.steps     = argc == 4 ? atoi(argv[2]) : 0;
  c.period_ns = argc == 4 ? 1000 * (int64_t)atoi(argv[3]) : -1;
  if (c.kind == SCALE_KINDS || c.steps <= WARM || c.period_ns < 0) {
    if (!c.rank) fprintf(stderr, "use: %s mean|halo|lag STEPS MICROSECONDS-BETWEEN-STEPS (0: none)\n", argv[0]);
    MPI_Finalize();
    return 2;
  }
  scale_open(c.size);
  arrange(&c);
  bench_check(weir__comm_world(&comm), "communicator");
  if (!c.rank) bench_open("scale");
  double weir = measure(c, comm, 0), hand = measure(c, comm, 1);
  if (!c.rank) {
    report_memory(&c);
    bench_note("%s-%d: %.4g us by weir, %.4g us by a program written by hand: %.3g times", names[c.kind], c.size, weir,
               hand, weir / hand);
  }
  scale_close();
  weir__comm_destroy(&comm);
  MPI_Finalize();
  return 0;
}
