/* Workers that are four times slower than the simulation, under each policy: what the simulation feels of it, what
 * becomes of its steps, and the memory that this takes, beside what the recipe declares.
 *
 * `weir run` is started as people do; this program is the simulation too: two processes in step with each other, which
 * compute for about 1 ms in each step and sleep for 4 ms, as if they had more cores. The analysis sleeps as well
 * (tests/faults/operators.c): so what the simulation feels is its own waiting and copying, on a busy machine too. Cases
 * take turns within each round; ratios to the simulation alone are medians of those within a round.
 *
 *   bench_overload WEIR OPERATORS.so
 *   bench_overload simulate BOARD POINTS SWEEPS STEPS     what `weir run` starts */
#include "exec/worker.h"
#include "harness.h"
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weir/client.h>

enum { ROUNDS = 3, PROCESSES = 2, STEPS = 80, SLOTS = 4, POINTS = 768, SLOWER = 4, SPILL_MB = 240 };
static const int64_t WORK_NS = 1000000, SLEEP_NS = 4000000; /* of a step */
typedef enum policy { ALONE, BLOCK, DROP_NEWEST, DROP_OLDEST, SPILL, CASES } policy;
static const char *const names[CASES] = {"alone", "block", "drop_newest", "drop_oldest", "spill"};

typedef struct board {
  pthread_barrier_t barrier;
  double            seconds[PROCESSES], blocked_s[PROCESSES];
  int64_t           memory[PROCESSES]; /* bytes, at most */
} board;

/* ---- the simulation ---- */

static void sweep(double *u, int64_t n) {
  for (int64_t i = 1; i < n - 1; i++) u[i] += 0.25 * (u[i - 1] - 2 * u[i] + u[i + 1]);
}

static weir_stream *describe(int rank, int64_t points) {
  weir_stream       *stream;
  int64_t            rows    = points / PROCESSES;
  weir_field_options options = {
      .type  = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = points}, {.name = "x", .size = points}}},
      .start = (int64_t[]){rank * rows, 0},
      .count = (int64_t[]){rows, points}};
  bench_check(weir_stream_open("overload", rank, PROCESSES, NULL, &stream), "open");
  bench_check(weir_field_define(stream, "u", &options), "define");
  return stream;
}

/* Of the steps alone: the analysis is there when they begin. */
static void simulate(board *b, int rank, int64_t points, int sweeps, int steps) {
  int64_t           rows = points / PROCESSES, began = 0;
  weir_stream      *stream = describe(rank, points);
  weir_array        array  = {.dtype = WEIR_F64, .rank = 2, .extent = {rows, points}};
  weir_stream_stats stats;
  struct rusage     used;
  double           *u;
  bench_check(weir__alloc_array((size_t)(rows * points), sizeof *u, &u), "simulation");
  for (int64_t i = 0; i < rows * points; i++) u[i] = (double)(i % 7);
  array.data = u;
  for (int n = 0; n < steps; n++) {
    for (int i = 0; i < sweeps; i++) sweep(u, rows * points);
    nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
    pthread_barrier_wait(&b->barrier);
    bench_check(weir_step_begin(stream, n, n), "step");
    bench_check(weir_put(stream, "u", &array), "put");
    bench_check(weir_step_end(stream), "step");
    if (!n) began = weir__clock_ns();
  }
  b->seconds[rank] = (double)(weir__clock_ns() - began) * 1e-9;
  weir_stream_stats_get(stream, &stats);
  getrusage(RUSAGE_SELF, &used);
  b->blocked_s[rank] = (double)stats.blocked_ns * 1e-9;
  b->memory[rank]    = (int64_t)used.ru_maxrss * 1024; /* Linux counts in KiB: getrusage(2) */
  if (*weir_stream_error(stream)) bench_check(WEIR_FAIL(WEIR_ERR_GONE, "%s", weir_stream_error(stream)), "stream");
  bench_check(weir_stream_close(&stream), "close");
  weir__free(u);
}

static int simulation(const char *path, int64_t points, int sweeps, int steps) {
  board                *b      = bench_board(path, sizeof(board));
  int                   failed = 0, result;
  pid_t                 child[PROCESSES];
  pthread_barrierattr_t shared;
  pthread_barrierattr_init(&shared);
  pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&b->barrier, &shared, PROCESSES);
  for (int r = 0; r < PROCESSES; r++) {
    child[r] = fork();
    if (child[r]) continue;
    simulate(b, r, points, sweeps, steps);
    exit(0);
  }
  for (int r = 0; r < PROCESSES; r++) {
    waitpid(child[r], &result, 0);
    failed |= result != 0;
  }
  return failed;
}

/* ---- runs ---- */

typedef struct bench {
  const char *folder, *weir, *operators;
  char        self[PATH_MAX];
  int         sweeps;
  double      slow_ms; /* the analysis of a step */
} bench;

typedef struct outcome {
  double  seconds, blocked_s; /* of the process that took longest; each process */
  int     analysed, lost, spilled;
  int64_t process, worker, plan; /* bytes */
} outcome;

/* A number of report.json; those of the run stand before those of its parts. */
static double number_in(const char *text, const char *key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\": ", key);
  const char *at = strstr(text, quoted);
  if (!at) bench_check(WEIR_FAIL(WEIR_ERR_INPUT, "report.json has no %s", key), "report");
  return at ? atof(at + strlen(quoted)) : 0;
}

static void read_report(const bench *k, outcome *o) {
  char  path[PATH_MAX], text[1 << 16];
  FILE *file;
  snprintf(path, sizeof path, "%s/overload.run/report.json", k->folder);
  file        = fopen(path, "r");
  size_t have = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file) fclose(file);
  text[have] = 0;
  o->lost    = (int)(number_in(text, "dropped_steps") + number_in(text, "partial_steps"));
  o->spilled = (int)number_in(text, "spilled_steps");
  o->plan    = (int64_t)number_in(text, "plan_bytes");
  o->worker  = (int64_t)number_in(text, "memory_bytes");
}

/* Rows (step, time, value) with a value. */
static int count_analysed(const bench *k) {
  char  path[PATH_MAX], line[256];
  int   rows = -1; /* the first line is a heading */
  FILE *file;
  snprintf(path, sizeof path, "%s/level.csv", k->folder);
  file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    const char *time = strchr(line, ','), *value = time ? strchr(time + 1, ',') : NULL;
    rows += value && value[1] != ',' && value[1] != '\n'; /* behind it may stand why there is none */
  }
  if (file) fclose(file);
  return rows;
}

static void write_recipe(const bench *k, policy p, double ms) {
  char  path[PATH_MAX];
  FILE *file;
  snprintf(path, sizeof path, "%s/%s.yaml", k->folder, names[p]);
  file = fopen(path, "w");
  if (!file) bench_check(WEIR_FAIL(WEIR_ERR_IO, "cannot write %s", path), "recipe");
  char room[64] = "";
  if (p == SPILL) snprintf(room, sizeof room, ", capacity: %d MB", SPILL_MB);
  fprintf(file,
          "run: overload\noperators: [%s]\n"
          "stream:\n  simulation: {policy: {when_full: %s, slots: %d%s}}\n  chunks: {y: %d, x: %d}\n"
          "fields:\n  late: slow(u, %g)\noutputs:\n  - csv: {path: level.csv, fields: [mean(late)]}\n",
          k->operators, names[p], SLOTS, room, POINTS, POINTS, ms);
  fclose(file);
}

static outcome run_once(const bench *k, policy p, int points, double ms, int steps) {
  char    command[4 * PATH_MAX], path[PATH_MAX], first[3 * PATH_MAX] = "";
  outcome o = {0};
  snprintf(path, sizeof path, "%s/board", k->folder);
  unlink(path);
  board *b = bench_board(path, sizeof(board));
  if (p != ALONE) {
    write_recipe(k, p, ms);
    snprintf(first, sizeof first, "'%s' run %s.yaml --threads 0 --", k->weir, names[p]);
  }
  snprintf(command, sizeof command,
           "cd '%s' && %s '%s' simulate '%s' %d %d %d >out.txt 2>&1 || { cat out.txt >&2; false; }", k->folder, first,
           k->self, path, points, k->sweeps, steps);
  if (system(command)) bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "failed: %s", command), names[p]);
  for (int r = 0; r < PROCESSES; r++) {
    if (b->seconds[r] > o.seconds) o.seconds = b->seconds[r];
    if (b->memory[r] > o.process) o.process = b->memory[r];
    o.blocked_s += b->blocked_s[r] / PROCESSES;
  }
  munmap(b, sizeof *b);
  if (p == ALONE) return o;
  read_report(k, &o);
  o.analysed = count_analysed(k);
  if (o.analysed + o.lost != steps)
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "%d steps were analysed and %d lost, of %d", o.analysed, o.lost, steps),
                names[p]);
  return o;
}

/* ---- what is told ---- */

static double mib(int64_t bytes) { return (double)bytes / 1048576; }

static void tell(policy p, bench_samples *slowdown, bench_samples *blocked, const outcome *o, const outcome *alone,
                 const outcome *idle) {
  int64_t step = (int64_t)POINTS * POINTS * (int64_t)sizeof(double), slots = SLOTS * step;
  int64_t more       = p == SPILL ? step : 0; /* in the processes; and what workers read back */
  int64_t of_worker  = slots + o->plan + more * (WEIR__STEPS_IN_FLIGHT + 1);
  int64_t of_process = (slots + more) / PROCESSES;
  double  times = bench_quantile(slowdown, 0.5), waited = bench_quantile(blocked, 0.5);
  double  process = mib(o->process - alone->process), worker = mib(o->worker - idle->worker);
  bench_value("4x-slower", names[p], "slowdown", times, "");
  bench_value("4x-slower", names[p], "blocked", waited, "s");
  bench_value("4x-slower", names[p], "analysed", o->analysed, "steps");
  bench_value("4x-slower", names[p], "lost", o->lost, "steps");
  bench_value("4x-slower", names[p], "spilled", o->spilled, "steps");
  bench_value("4x-slower", names[p], "memory-worker", worker, "MiB");
  bench_value("4x-slower", names[p], "memory-worker-declared", mib(of_worker), "MiB");
  bench_value("4x-slower", names[p], "memory-process", process, "MiB");
  bench_value("4x-slower", names[p], "memory-process-declared", mib(of_process), "MiB");
  bench_note("%-11s %.2f times alone, waited %.2f s; of %d steps %d analysed, %d lost, %d through the disk", names[p],
             times, waited, STEPS, o->analysed, o->lost, o->spilled);
  bench_note("  %-11s a worker takes %.1f MiB more than an idle one, declared %.1f (slots, plan, steps read back); a "
             "process %.1f MiB more than alone, declared %.1f (its slots, a step to spill)",
             "", worker, mib(of_worker), process, mib(of_process));
}

static void calibrate(bench *k, double *step_ms) {
  int64_t n = (int64_t)POINTS * POINTS / PROCESSES;
  double *u;
  bench_check(weir__alloc_array((size_t)n, sizeof *u, &u), "calibrate");
  sweep(u, n);
  int64_t began = weir__clock_ns();
  for (int i = 0; i < 10; i++) sweep(u, n);
  int64_t took = (weir__clock_ns() - began) / 10;
  bench_use(u[1]);
  weir__free(u);
  k->sweeps = took > 0 && took < WORK_NS ? (int)(WORK_NS / took) : 1;
  *step_ms  = HUGE_VAL;
  for (int i = 0; i < ROUNDS; i++) { /* the first is slow */
    double ms = run_once(k, ALONE, POINTS, 0, STEPS).seconds * 1e3 / (STEPS - 1);
    if (ms < *step_ms) *step_ms = ms;
  }
  k->slow_ms = SLOWER * *step_ms;
}

int main(int argc, char **argv) {
  if (argc == 6 && !strcmp(argv[1], "simulate"))
    return simulation(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
  if (argc != 3) {
    fprintf(stderr, "use: bench_overload WEIR OPERATORS.so\n");
    return 2;
  }
  bench         k               = {.folder = bench_folder(), .weir = argv[1], .operators = argv[2]};
  bench_samples slowdown[CASES] = {0}, blocked[CASES] = {0};
  outcome       o[CASES];
  double        step_ms;
  bench_open("overload");
  if (readlink("/proc/self/exe", k.self, sizeof k.self - 1) < 0) snprintf(k.self, sizeof k.self, "%s", argv[0]);
  calibrate(&k, &step_ms);
  bench_value("4x-slower", "alone", "step", step_ms, "ms");
  outcome idle = run_once(&k, BLOCK, 16, 0, STEPS);
  for (int c = 0; c < CASES; c++) {
    bench_reserve(&slowdown[c], ROUNDS);
    bench_reserve(&blocked[c], ROUNDS);
  }
  for (int round = 0; round < ROUNDS; round++)
    for (int c = 0; c < CASES; c++) {
      o[c] = run_once(&k, (policy)c, POINTS, k.slow_ms, STEPS);
      bench_add(&slowdown[c], o[c].seconds / o[ALONE].seconds);
      bench_add(&blocked[c], o[c].blocked_s);
    }
  bench_note("declared: %d slots of %.2f MiB, plan %.2f MiB, spill of at most %d steps for each process", SLOTS,
             mib((int64_t)POINTS * POINTS * 8), mib(o[BLOCK].plan),
             (int)(SPILL_MB * 1e6 / (POINTS * POINTS / PROCESSES * 8)));
  for (int c = BLOCK; c < CASES; c++) tell((policy)c, &slowdown[c], &blocked[c], &o[c], &o[ALONE], &idle);
  for (int c = 0; c < CASES; c++) {
    bench_clear(&slowdown[c]);
    bench_clear(&blocked[c]);
  }
  bench_folder_remove();
  return 0;
}
