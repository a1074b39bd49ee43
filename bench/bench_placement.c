/* What an analysis costs a simulation in each placement: the time of its steps without analysis, and with it inside, on
 * its node, and on its node behind a process that forwards. `weir run` is started as people do. The time of a step is
 * what a long run takes more than a short one, so that starting and ending are not in it; waiting for an analysis that
 * is behind is. CPU is that of simulation and workers together, likewise; blocked is how long a process waited for
 * them.
 *
 *   gyre    two processes, which with the workers want more than two cores; and one, so that the worker finds a core
 *           free. Vorticity, energy, their means and a running mean of every second step, to a table and a store
 *   heat2d  one process; the mean, and the mean and largest rate of change, of every tenth step, to a table
 *
 * Cases take turns within each round, so that a machine that slows down slows all; the ratio to the run alone is the
 * median of those within a round.
 *
 *   bench_placement WEIR GYRE HEAT2D [full] */
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 11, CASES = 4, ALONE = 0, NODE = 2 };
static const char *const cases[CASES] = {"alone", "inline", "node", "transit"};

typedef struct subject {
  bool is_gyre, full, all; /* all: placements; else `alone` and `node` */
  int  cells, processes, brief, longer /* steps */, rounds;
} subject;
static const subject subjects[] = {
    {.is_gyre = true, .all = true, .cells = 192, .processes = 2, .brief = 50, .longer = 300, .rounds = 11},
    {.is_gyre = true, .cells = 192, .processes = 1, .brief = 50, .longer = 250, .rounds = 11},
    {.cells = 256, .processes = 1, .brief = 500, .longer = 5500, .rounds = 5},
    {.cells = 1024, .processes = 1, .brief = 100, .longer = 700, .rounds = 5},
    {.full = true, .cells = 4096, .processes = 1, .brief = 20, .longer = 120, .rounds = 5},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

typedef struct place {
  const char *folder, *weir, *gyre, *heat2d;
} place;

/* ---- inputs ---- */

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

static void write_recipe(const char *folder, const subject *s, int c) {
  static const char *const gyre = "  zeta: diff(v, x, edge=noslip) - diff(u, y, edge=noslip)\n"
                                  "  ke: 0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2)\n"
                                  "  ke_mean: mean(ke)\n  enstrophy: mean(zeta^2)\n  avg: time_mean(ke)\n"
                                  "outputs:\n  - csv: {path: table.csv, fields: [ke_mean, enstrophy]}\n"
                                  "  - zarr: {path: store.zarr, fields: [zeta, avg], every: 100}\n";
  static const char *const heat = "  rate: (temperature - lag(temperature, 1)) / dt\n"
                                  "  t_mean: mean(temperature)\n  r_mean: mean(rate)\n  r_max: max(rate)\n"
                                  "outputs:\n  - csv: {path: table.csv, fields: [t_mean, r_mean, r_max]}\n";
  char                     text[1500], name[40];
  snprintf(text, sizeof text,
           "run: measured\nstream:\n  simulation: {placement: %s}\nexecution: {threads: 0}\nfields:\n%s", cases[c],
           s->is_gyre ? gyre : heat);
  snprintf(name, sizeof name, "%s.yaml", cases[c]);
  write_text(folder, name, text);
}

static void write_inputs(const char *folder, const subject *s) {
  const int steps[] = {s->brief, s->longer};
  char      text[400], name[40];
  for (int i = 0; s->is_gyre && i < 2; i++) {
    snprintf(name, sizeof name, "gyre%d.nml", steps[i]);
    snprintf(text, sizeof text,
             "&gyre\n  nx = %d, ny = %d\n  ndays = 0, nsteps = %d\n  output_every = 2\n  diagnostics_every = %d\n/\n",
             s->cells, s->cells, steps[i], steps[i]);
    write_text(folder, name, text);
  }
  for (int c = 1; c < CASES; c++) write_recipe(folder, s, c);
}

/* ---- runs ---- */

typedef struct taken {
  double seconds, cpu_s, blocked_s;
} taken;

/* What the report of the run says that a process waited. */
static double blocked_seconds(const char *folder) {
  char   path[512], text[4096];
  FILE  *f;
  double value;
  snprintf(path, sizeof path, "%s/measured.run/report.json", folder);
  f           = fopen(path, "r");
  size_t size = f ? fread(text, 1, sizeof text - 1, f) : 0;
  text[size]  = 0;
  if (f) fclose(f);
  const char *at = strstr(text, "\"blocked_s\":");
  if (!at || sscanf(at, "\"blocked_s\": %lf", &value) != 1) {
    fprintf(stderr, "bench_placement: no blocked_s in %s\n", path);
    exit(1);
  }
  return value;
}

/* A whole run of so many steps, with all that is started for it. */
static taken run_once(const place *p, const subject *s, int c, int steps) {
  char program[1024], command[2300];
  if (s->is_gyre) snprintf(program, sizeof program, "'%s' gyre%d.nml", p->gyre, steps);
  else snprintf(program, sizeof program, "'%s' %d %d %d 10", p->heat2d, s->cells, s->cells, steps);
  if (c)
    snprintf(command, sizeof command, "cd '%s' && '%s' run %s.yaml --ranks %d -- %s >out.txt 2>&1", p->folder, p->weir,
             cases[c], s->processes, program);
  else
    snprintf(command, sizeof command, "cd '%s' && sh '%s' %d %s >out.txt 2>&1", p->folder, BENCH_MPIRUN, s->processes,
             program);
  double  cpu   = bench_children_cpu_seconds();
  int64_t began = weir__clock_ns();
  if (system(command)) {
    fprintf(stderr, "bench_placement: failed: %s\n", command);
    exit(1);
  }
  return (taken){(double)(weir__clock_ns() - began) * 1e-9, bench_children_cpu_seconds() - cpu,
                 c ? blocked_seconds(p->folder) : 0};
}

/* Of one step: what a long run takes more than a short one. */
static taken step_of(const place *p, const subject *s, int c) {
  taken  a = run_once(p, s, c, s->brief), b = run_once(p, s, c, s->longer);
  double n = s->longer - s->brief;
  return (taken){(b.seconds - a.seconds) / n, (b.cpu_s - a.cpu_s) / n, (b.blocked_s - a.blocked_s) / n};
}

/* ---- figures ---- */

typedef struct measured {
  bench_samples time, cpu, blocked, ratio;
} measured;

static bool has(const subject *s, int c) { return s->all || c == ALONE || c == NODE; }

static void report(const subject *s, measured m[CASES]) {
  char what[64], text[128];
  snprintf(what, sizeof what, "%s-%dx%d-%dp", s->is_gyre ? "gyre" : "heat2d", s->cells, s->cells, s->processes);
  for (int c = 0; c < CASES; c++) {
    if (!has(s, c)) continue;
    double median = bench_summary(what, cases[c], &m[c].time, 1e6, "us/step");
    double more   = bench_quantile(&m[c].ratio, 0.5);
    bench_value(what, cases[c], "ratio_to_alone", more, "");
    bench_value(what, cases[c], "cpu", 1e6 * bench_quantile(&m[c].cpu, 0.5), "us/step");
    if (c) bench_value(what, cases[c], "blocked", 1e6 * bench_quantile(&m[c].blocked, 0.5), "us/step");
    bench_note("%s %-8s %8.1f us per step, %.3f times alone", what, cases[c], median, more);
    snprintf(text, sizeof text, "%s, times alone with a core free for the worker", what);
    if (c == NODE && s->is_gyre && s->processes == 1) bench_at_most(text, more, 1.02, "");
  }
}

static void measure(const place *p, const subject *s) {
  measured m[CASES] = {{.time = {0}}};
  taken    one[CASES];
  write_inputs(p->folder, s);
  for (int c = 0; c < CASES; c++) {
    bench_reserve(&m[c].time, ROUNDS_MAX);
    bench_reserve(&m[c].cpu, ROUNDS_MAX);
    bench_reserve(&m[c].blocked, ROUNDS_MAX);
    bench_reserve(&m[c].ratio, ROUNDS_MAX);
  }
  for (int round = -1; round < s->rounds; round++) /* the first to warm up */
    for (int c = 0; c < CASES; c++) {
      if (!has(s, c)) continue;
      one[c] = step_of(p, s, c);
      if (round < 0) continue;
      bench_add(&m[c].time, one[c].seconds);
      bench_add(&m[c].cpu, one[c].cpu_s);
      bench_add(&m[c].blocked, one[c].blocked_s);
      bench_add(&m[c].ratio, one[c].seconds / one[ALONE].seconds);
    }
  report(s, m);
  for (int c = 0; c < CASES; c++) {
    bench_clear(&m[c].time);
    bench_clear(&m[c].cpu);
    bench_clear(&m[c].blocked);
    bench_clear(&m[c].ratio);
  }
}

int main(int argc, char **argv) {
  bool full = argc == 5 && !strcmp(argv[4], "full");
  if (argc != 4 + full) {
    fprintf(stderr, "use: bench_placement WEIR GYRE HEAT2D [full]\n");
    return 2;
  }
  place p = {bench_folder(), argv[1], argv[2], argv[3]};
  bench_open("placement");
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 0; i < SUBJECTS; i++)
    if (full || !subjects[i].full) measure(&p, &subjects[i]);
  bench_folder_remove();
  return 0;
}
