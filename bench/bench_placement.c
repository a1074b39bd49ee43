/* What an analysis costs the gyre in each placement: the time of its steps without analysis, and with it inside, on its
 * node, and on its node behind a process that forwards. `weir run` is started as people do. The time of a step is what
 * a long run takes more than a short one, so that starting and ending are not in it; waiting for an analysis that is
 * behind is.
 *
 * Cases take turns within each of 11 rounds, so that a machine that slows down slows all; the ratio to the run alone is
 * the median of those within a round.
 *
 *   bench_placement WEIR GYRE [processes] */
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 11, CASES = 4, SHORT = 50, LONG = 450, CELLS = 192 };
static const char *const cases[CASES] = {"alone", "inline", "node", "transit"};

static void write_text(const char *folder, const char *name, const char *text) {
  char  path[512];
  FILE *f;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  f = fopen(path, "w");
  if (!f || fputs(text, f) < 0 || fclose(f)) {
    fprintf(stderr, "bench_placement: cannot write %s\n", path);
    exit(1);
  }
}

static void write_inputs(const char *folder) {
  static const int steps[] = {SHORT, LONG};
  char             text[1500], name[40];
  for (int i = 0; i < 2; i++) {
    snprintf(name, sizeof name, "gyre%d.nml", steps[i]);
    snprintf(text, sizeof text,
             "&gyre\n  nx = %d, ny = %d\n  ndays = 0, nsteps = %d\n  output_every = 2\n  diagnostics_every = %d\n/\n",
             CELLS, CELLS, steps[i], steps[i]);
    write_text(folder, name, text);
  }
  for (int c = 1; c < CASES; c++) {
    snprintf(text, sizeof text,
             "run: gyre\nstream:\n  simulation: {placement: %s}\nexecution: {threads: 0}\nfields:\n"
             "  zeta: diff(v, x, edge=noslip) - diff(u, y, edge=noslip)\n"
             "  ke: 0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2)\n"
             "  ke_mean: mean(ke)\n  enstrophy: mean(zeta^2)\n  avg: time_mean(ke)\n"
             "outputs:\n  - csv: {path: %s.csv, fields: [ke_mean, enstrophy]}\n"
             "  - zarr: {path: %s.zarr, fields: [zeta, avg], every: 100}\n",
             cases[c], cases[c], cases[c]);
    snprintf(name, sizeof name, "%s.yaml", cases[c]);
    write_text(folder, name, text);
  }
}

/* Seconds that a whole run of so many steps takes, with all that is started for it. */
static double run_once(const char *folder, const char *weir, const char *gyre, int processes, int c, int steps) {
  char command[2048];
  if (c)
    snprintf(command, sizeof command, "cd '%s' && '%s' run %s.yaml --ranks %d -- '%s' gyre%d.nml >out.txt 2>&1", folder,
             weir, cases[c], processes, gyre, steps);
  else
    snprintf(command, sizeof command, "cd '%s' && sh '%s' %d '%s' gyre%d.nml >out.txt 2>&1", folder, BENCH_MPIRUN,
             processes, gyre, steps);
  int64_t began = weir__clock_ns();
  if (system(command)) {
    fprintf(stderr, "bench_placement: failed: %s\n", command);
    exit(1);
  }
  return (double)(weir__clock_ns() - began) * 1e-9;
}

/* Of one step: what a long run takes more than a short one. */
static double step_seconds(const char *folder, const char *weir, const char *gyre, int processes, int c) {
  double brief = run_once(folder, weir, gyre, processes, c, SHORT);
  return (run_once(folder, weir, gyre, processes, c, LONG) - brief) / (LONG - SHORT);
}

int main(int argc, char **argv) {
  int           processes   = argc > 3 ? atoi(argv[3]) : 2;
  bench_samples time[CASES] = {0}, ratio[CASES] = {0};
  char          what[64];
  if (argc < 3 || argc > 4 || processes < 1) {
    fprintf(stderr, "use: bench_placement WEIR GYRE [processes]\n");
    return 2;
  }
  bench_open("placement");
  setvbuf(stdout, NULL, _IOLBF, 0);
  const char *folder = bench_folder();
  write_inputs(folder);
  for (int c = 0; c < CASES; c++) {
    bench_reserve(&time[c], ROUNDS);
    bench_reserve(&ratio[c], ROUNDS);
    step_seconds(folder, argv[1], argv[2], processes, c); /* warm */
  }
  for (int round = 0; round < ROUNDS; round++) {
    double one[CASES];
    for (int c = 0; c < CASES; c++) one[c] = step_seconds(folder, argv[1], argv[2], processes, c);
    for (int c = 0; c < CASES; c++) {
      bench_add(&time[c], one[c]);
      bench_add(&ratio[c], one[c] / one[0]);
    }
  }
  snprintf(what, sizeof what, "gyre-%dx%d-%dp", CELLS, CELLS, processes);
  for (int c = 0; c < CASES; c++) {
    double median = bench_summary(what, cases[c], &time[c], 1e6, "us/step");
    double more   = bench_quantile(&ratio[c], 0.5);
    bench_value(what, cases[c], "ratio_to_alone", more, "");
    bench_note("%-8s %8.1f us per step, %.3f times alone", cases[c], median, more);
    bench_clear(&time[c]);
    bench_clear(&ratio[c]);
  }
  bench_folder_remove();
  return 0;
}
