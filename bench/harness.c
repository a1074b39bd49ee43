#include "harness.h"
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *bench_name = "?";
static char        folder[256];
static cpu_set_t   cores; /* that the program may use */

/* ---- the machine ---- */

static void cpu_model(char *out, size_t size) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  char  line[512];
  snprintf(out, size, "unknown CPU");
  while (file && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) || !colon) continue;
    snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    break;
  }
  if (file) fclose(file);
}

void bench_open(const char *name) {
  char           model[256];
  struct utsname system;
  double         load[3] = {0};
  bench_name             = name;
  sched_getaffinity(0, sizeof cores, &cores);
  cpu_model(model, sizeof model);
  uname(&system);
  if (getloadavg(load, 3) < 1) load[0] = NAN;
  printf("# %s: %s, %ld cores, %s %s, gcc-compatible %s, load %.2f at the start\n", name, model,
         sysconf(_SC_NPROCESSORS_ONLN), system.sysname, system.release, __VERSION__, load[0]);
  fflush(stdout);
}

void bench_unpin(void) { sched_setaffinity(0, sizeof cores, &cores); }

/* ---- samples ---- */

void bench_reserve(bench_samples *s, size_t capacity) {
  if (s->capacity < capacity) {
    weir__free(s->value);
    bench_check(weir__alloc_array(capacity, sizeof *s->value, &s->value), "samples");
    s->capacity = capacity;
  }
  s->count = 0;
}

void bench_add(bench_samples *s, double value) {
  if (s->count < s->capacity) s->value[s->count++] = value;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_quantile(bench_samples *s, double q) {
  if (!s->count) return NAN;
  qsort(s->value, s->count, sizeof *s->value, by_value);
  size_t at = (size_t)(q * (double)(s->count - 1) + 0.5);
  return s->value[at];
}

double bench_median_from(bench_samples *s, size_t first) {
  return bench_quantile(&(bench_samples){.value = s->value + first, .count = s->count - first}, 0.5);
}

void bench_clear(bench_samples *s) {
  weir__free(s->value);
  *s = (bench_samples){0};
}

/* ---- output ---- */

/* A field of CSV: in quotes where it has a comma. No name here has quotes. */
static void print_field(const char *text) { printf(strchr(text, ',') ? "\"%s\"," : "%s,", text); }

void bench_value(const char *what, const char *system, const char *metric, double value, const char *unit) {
  print_field(bench_name);
  print_field(what);
  print_field(system);
  print_field(metric);
  printf("%.6g,%s\n", value, unit);
  fflush(stdout);
}

double bench_summary(const char *what, const char *system, bench_samples *s, double scale, const char *unit) {
  bench_value(what, system, "min", scale * bench_quantile(s, 0), unit);
  bench_value(what, system, "median", scale * bench_quantile(s, 0.5), unit);
  bench_value(what, system, "p90", scale * bench_quantile(s, 0.9), unit);
  bench_value(what, system, "p99", scale * bench_quantile(s, 0.99), unit);
  bench_value(what, system, "max", scale * bench_quantile(s, 1), unit);
  return scale * bench_quantile(s, 0.5);
}

void bench_note(const char *format, ...) {
  va_list list;
  va_start(list, format);
  printf("# %s: ", bench_name);
  vprintf(format, list);
  putchar('\n');
  va_end(list);
  fflush(stdout);
}

static void target(const char *what, double value, const char *metric, double limit, const char *unit, bool met) {
  bench_value(what, "weir", "figure", value, unit);
  bench_value(what, "target", metric, limit, unit);
  bench_note("%s: %.4g %s, target %s %.4g: %s", what, value, unit, metric, limit, met ? "met" : "MISSED");
}

void bench_at_most(const char *what, double value, double most, const char *unit) {
  target(what, value, "at_most", most, unit, value <= most);
}

void bench_at_least(const char *what, double value, double least, const char *unit) {
  target(what, value, "at_least", least, unit, value >= least);
}

/* ---- time ---- */

static double cpu_seconds(int who) {
  struct rusage u;
  getrusage(who, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}
/* Of getrusage(2), whose largest resident set is in KiB. */
static bench_usage usage(int who) {
  struct rusage u;
  getrusage(who, &u);
  return (bench_usage){.cpu_s = cpu_seconds(who), .peak_bytes = (int64_t)u.ru_maxrss * 1024};
}
bench_usage bench_usage_self(void) { return usage(RUSAGE_SELF); }
bench_usage bench_usage_children(void) { return usage(RUSAGE_CHILDREN); }

bench_usage bench_usage_since(bench_usage before, bench_usage now) {
  now.cpu_s -= before.cpu_s;
  now.moved_bytes -= before.moved_bytes;
  return now;
}

void bench_usage_add(bench_usage *sum, bench_usage of) {
  sum->cpu_s += of.cpu_s;
  sum->moved_bytes += of.moved_bytes;
  if (of.peak_bytes > sum->peak_bytes) sum->peak_bytes = of.peak_bytes;
}

void bench_usage_print(const char *what, const char *role, const bench_usage *u, double steps) {
  bench_value(what, role, "cpu", 1e3 * u->cpu_s / steps, "ms/step");
  bench_value(what, role, "peak_memory", (double)u->peak_bytes / (1 << 20), "MiB");
  if (u->moved_bytes > 0) bench_value(what, role, "moved", (double)u->moved_bytes / (1 << 20) / steps, "MiB/step");
}

double bench_cpu_seconds(void) { return cpu_seconds(RUSAGE_SELF); }
double bench_children_cpu_seconds(void) { return cpu_seconds(RUSAGE_CHILDREN); }

double bench_time_ns(void (*body)(void *), void *self, int repeats) {
  bench_samples s = {0};
  bench_reserve(&s, (size_t)repeats);
  body(self);
  for (int i = 0; i < repeats; i++) {
    int64_t begin = weir__clock_ns();
    body(self);
    bench_add(&s, (double)(weir__clock_ns() - begin));
  }
  double median = bench_quantile(&s, 0.5);
  bench_clear(&s);
  return median;
}

/* ---- shared memory, folder ---- */

void *bench_shared(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) bench_check(WEIR_FAIL(WEIR_ERR_MEMORY, "no %zu bytes of shared memory", bytes), "mmap");
  return memory;
}

void *bench_board(const char *path, size_t bytes) {
  int   fd     = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void *memory = MAP_FAILED;
  if (fd >= 0 && !ftruncate(fd, (off_t)bytes)) memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) bench_check(WEIR_FAIL(WEIR_ERR_IO, "cannot make %s", path), "board");
  close(fd);
  return memory;
}

const char *bench_folder(void) {
  const char *parent = getenv("TMPDIR");
  if (folder[0]) return folder;
  snprintf(folder, sizeof folder, "%s/weir-bench-XXXXXX", parent ? parent : "/tmp");
  if (!mkdtemp(folder)) bench_check(WEIR_FAIL(WEIR_ERR_IO, "cannot make the folder %s", folder), "mkdtemp");
  return folder;
}

static int remove_one(const char *path, const struct stat *s, int flag, struct FTW *ftw) {
  (void)s, (void)flag, (void)ftw;
  return remove(path);
}

void bench_folder_remove(void) {
  if (folder[0]) nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
  folder[0] = 0;
}

void bench_check(weir_status status, const char *what) {
  if (status >= 0) return;
  fprintf(stderr, "bench %s: %s: %s\n", bench_name, what, weir_error_last());
  exit(1);
}
