/* Analyses of a simulation of two processes by two workers, fed through channels in closed loop: the simulation waits
 * for the result of each step. Each analysis is written as in a recipe, and by hand.
 *
 *   B1  mean(u) of N chunks of 10 x 10 float64: what a step costs that has next to nothing to compute. Chunks are cut
 *       out of one array per process, or are put one by one ("-pieces")
 *   B2  mean(sin(sqrt(u + 1))) of large chunks: bandwidth
 *   B3  mean plus largest rate of change in time, from two steps and from five: windows, and their memory
 *   B4  sum(u + flip(u, y)): all data meet those of the other process. (weir has no flip; this one is an operator as
 *       users write them, bench/flip.c)
 *   B5  two principal components of all steps so far, updated with each
 *
 *   weir    the engine, its expressions compiled from text; workers without further threads
 *   limit   an MPI program by hand on the same channels, which sleeps on the same doorbell, with vectorised loops
 *   chain   B1: the same with the usual loop of one sum, which may not be vectorised
 *   awake   B1: as limit, but polling all the time
 *
 * Every result of every system is compared with the known one. Times: `latency` is from just before the last process
 * ends the step to the result; `with-put` from the first put on. Systems take turns within each round.
 *
 * Run as `mpirun -n 2 bench_insitu FOLDER [full] [B1 B2-64 ...]` (FOLDER empty); each process forks one of the
 * simulation before MPI starts. Memory is the resident set at the end of a run beyond what it was before: its own, and
 * the slots that are shared with the simulation (4 steps by default). The peers are in bench/dask_insitu.py,
 * deisa_insitu.py and ray_insitu.py. */
#include "by_hand.h"
#include "works.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 2, SYSTEMS_MAX = 4 };

/* ---- the cases ---- */

typedef struct example {
  const char         *group, *what;
  const feed_work    *work;
  const hand_program *by_hand[SYSTEMS_MAX - 1]; /* the first is the limit */
  int64_t             chunk_rows, columns;
  int                 chunks, steps, warm, rounds;
  bool                full, pieces;
  int                 pause_ns;
} example;

#define PAUSE 1000000
/* chunks of 10 x 10 */
/* clang-format off */
#define B1(n, in_full)                                                                                               \
  {"B1", #n "-chunks", &work_mean, {&hand_mean, &hand_mean_chain, &hand_mean_awake}, 10, 10, n, 120, 20, 10, in_full, \
   false, 0},                                                                                                        \
  {"B1", #n "-chunks-pieces", &work_mean, {&hand_mean, &hand_mean_chain}, 10, 10, n, 120, 20, 10, in_full, true, 0},  \
  {"B1", #n "-chunks-pause-1ms", &work_mean, {&hand_mean}, 10, 10, n, 60, 10, 10, in_full, false, PAUSE}
/* clang-format on */
/* chunks of 1 MiB, 80 MB, 128 MiB */
#define SMALL(name, n, work, hand, steps, rounds, in_full)                                                             \
  { name, #n "x1MiB", work, {hand}, 128, 1024, n, steps, 5, rounds, in_full, false, 0 }
#define MIDDLE(name, n, work, hand, steps, rounds, in_full)                                                            \
  { name, #n "x80MB", work, {hand}, 1000, 10000, n, steps, 5, rounds, in_full, false, 0 }
#define LARGE(name, n, work, hand, steps, rounds, in_full)                                                             \
  { name, #n "x128MiB", work, {hand}, 16384, 1024, n, steps, 5, rounds, in_full, false, 0 }

static const example examples[] = {
    B1(40, false),
    B1(160, false),
    B1(640, false),
    B1(1280, false),
    B1(2560, true),
    B1(5120, true),
    B1(10200, true),
    SMALL("B2", 64, &work_wave, &hand_wave, 25, 7, false),
    MIDDLE("B2", 4, &work_wave, &hand_wave, 11, 7, false),
    LARGE("B2", 4, &work_wave, &hand_wave, 11, 2, true),
    SMALL("B3-rate", 16, &work_rate, &hand_rate, 35, 2, false),
    SMALL("B3-rate", 64, &work_rate, &hand_rate, 25, 2, true),
    SMALL("B3-rate", 256, &work_rate, &hand_rate, 15, 2, true),
    SMALL("B3-five", 16, &work_derivative, &hand_derivative, 35, 2, false),
    SMALL("B3-five", 64, &work_derivative, &hand_derivative, 25, 2, true),
    SMALL("B3-five", 256, &work_derivative, &hand_derivative, 15, 2, true),
    {"B4-check", "8x8KiB", &work_flip_check, {NULL}, 8, 128, 8, 12, 5, 1, false, false, 0},
    SMALL("B4", 64, &work_flip, &hand_flip, 25, 2, true),
    MIDDLE("B4", 4, &work_flip, &hand_flip, 11, 2, false),
    SMALL("B5", 16, &work_pca, &hand_pca, 35, 2, false),
    SMALL("B5", 64, &work_pca, &hand_pca, 25, 2, true),
    SMALL("B5", 128, &work_pca, &hand_pca, 15, 2, true),
    LARGE("B5", 4, &work_pca, &hand_pca, 11, 1, true),
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

static int systems_of(const example *e) {
  int n = 1;
  while (n < SYSTEMS_MAX && e->by_hand[n - 1]) n++;
  return n;
}
static const char *system_name(const example *e, int s) { return s ? e->by_hand[s - 1]->name : "weir"; }
static double      bytes_of(const feed *f) { return (double)(f->rows * f->columns) * sizeof(double); }

typedef struct choice { /* what the command line asks for */
  const char *folder;
  bool        full;
  int         names;
  char      **name;
} choice;

static bool chosen(const choice *c, const example *e) {
  char name[96];
  if (e->full && !c->full) return false;
  snprintf(name, sizeof name, "%s-%s", e->group, e->what);
  for (int i = 0; i < c->names; i++)
    if (!strncmp(name, c->name[i], strlen(c->name[i]))) return true;
  return !c->names;
}

static feed feed_of(const choice *c, const example *e, int system, int round, int rank, char name[96]) {
  snprintf(name, 96, "%s_%s_%s_%d", e->group, e->what, system_name(e, system), round);
  for (char *at = name; (at = strchr(at, '-')) != NULL;) *at = '_'; /* a stream is called as a field could be */
  return (feed){.folder     = c->folder,
                .stream     = name,
                .rank       = rank,
                .size       = PROCESSES,
                .rows       = e->chunk_rows * e->chunks,
                .columns    = e->columns,
                .chunk_rows = e->chunk_rows,
                .steps      = e->steps,
                .warm       = e->warm,
                .in_pieces  = e->pieces,
                .pause_ns   = e->pause_ns,
                .work       = e->work};
}

/* ---- one round of one system ---- */

static void simulate(const choice *c, int rank) {
  feed_board *board = feed_board_open(c->folder);
  for (int i = 0; i < EXAMPLES; i++)
    for (int turn = 0; chosen(c, &examples[i]) && turn < examples[i].rounds * systems_of(&examples[i]); turn++) {
      char name[96];
      int  systems = systems_of(&examples[i]);
      feed f       = feed_of(c, &examples[i], turn % systems, turn / systems, rank, name);
      feed_run(&f, board);
      while (atomic_load(&board->left)) /* until the board is clear for the next round */
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

typedef struct measured {
  bench_samples latency, with_put;
  double        last; /* median of the last round's latencies */
  feed_cost     cost; /* of both workers, in the last round */
  bench_usage   simulation;
} measured;

/* Of all workers; the largest resident set is that of one. */
static void add_up(weir__comm *comm, feed_cost *cost) {
  int64_t sum[] = {(int64_t)(cost->usage.cpu_s * 1e9), cost->usage.moved_bytes, cost->memory.own, cost->memory.shared};
  bench_check(weir__comm_sum(comm, sum, sizeof sum / sizeof *sum), "sum");
  bench_check(weir__comm_max(comm, &cost->usage.peak_bytes, 1), "sum");
  *cost = (feed_cost){{(double)sum[0] * 1e-9, cost->usage.peak_bytes, sum[1]}, {sum[2], sum[3]}};
}

static void round_of(const example *e, const feed *f, feed_board *board, weir__comm *comm, int s, measured *m) {
  weir__worker_options options = {.threads = 0};
  int                  rank    = weir__comm_rank(comm);
  if (s == 0) feed_worker(f, board, comm, &options, &m->cost);
  else by_hand(f, board, rank, e->by_hand[s - 1], &m->cost);
  add_up(comm, &m->cost);
  if (rank == 0) {
    while (atomic_load(&board->left) < PROCESSES) nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    size_t before = m->latency.count;
    feed_latencies(board, f, &m->latency, &m->with_put);
    m->last       = bench_median_from(&m->latency, before);
    m->simulation = (bench_usage){0};
    for (int r = 0; r < PROCESSES; r++) bench_usage_add(&m->simulation, board->usage[r]);
    feed_board_clear(board);
  }
  bench_check(weir__comm_barrier(comm), "barrier");
}

/* ---- figures ---- */

/* `times`: the limit program's time, in rounds that followed each other, as the machine is faster now, slower then. */
static void print_targets(const example *e, const feed *f, double times, const measured *m) {
  char   what[160];
  double window = e->work == &work_rate ? 2 : e->work == &work_derivative ? 5 : 0;
  snprintf(what, sizeof what, "%s %s, times the limit program", e->group, e->what);
  if (e->work == &work_mean) bench_at_most(what, times, 2, "");
  else bench_note("%s: %.3g", what, times);
  snprintf(what, sizeof what, "%s %s, %% of the limit program's bandwidth", e->group, e->what);
  if (e->work == &work_wave) bench_at_least(what, 100 / times, 80, "%");
  snprintf(what, sizeof what, "%s %s, memory of the workers beyond the slots", e->group, e->what);
  if (window > 0) bench_at_most(what, (double)m[0].cost.memory.own / bytes_of(f), window + 1, "steps");
}

static void report(const example *e, const feed *f, measured *m, bench_samples *times) {
  char what[96], role[64];
  bool large = bytes_of(f) >= 1 << 24;
  snprintf(what, sizeof what, "%s-%s", e->group, e->what);
  for (int s = 0; s < systems_of(e); s++) {
    const char      *name   = system_name(e, s);
    const feed_cost *cost   = &m[s].cost;
    double           median = bench_summary(what, name, &m[s].latency, 1e-3, "us");
    bench_value(what, name, "with-put-median", 1e-3 * bench_quantile(&m[s].with_put, 0.5), "us");
    if (large) bench_value(what, name, "bandwidth", bytes_of(f) * 1e-3 / median, "GB/s");
    if (large) bench_value(what, name, "memory-own", (double)cost->memory.own / bytes_of(f), "steps");
    if (large) bench_value(what, name, "memory-slots", (double)cost->memory.shared / bytes_of(f), "steps");
    snprintf(role, sizeof role, "%s-workers", name);
    bench_usage_print(what, role, &cost->usage, f->steps);
    snprintf(role, sizeof role, "%s-simulation", name);
    bench_usage_print(what, role, &m[s].simulation, f->steps);
  }
  if (systems_of(e) > 1) print_targets(e, f, bench_quantile(times, 0.5), m);
}

static void measure(const choice *c, weir__comm *comm) {
  feed_board   *board          = feed_board_open(c->folder);
  measured      m[SYSTEMS_MAX] = {{.simulation = {0}}};
  int           rank           = weir__comm_rank(comm);
  bench_samples times          = {0};
  for (int i = 0; i < EXAMPLES; i++) {
    const example *e       = &examples[i];
    int            systems = systems_of(e);
    char           name[96];
    feed           f = {0};
    if (!chosen(c, e)) continue;
    for (int s = 0; s < systems; s++) {
      bench_reserve(&m[s].latency, (size_t)(e->steps * e->rounds));
      bench_reserve(&m[s].with_put, (size_t)(e->steps * e->rounds));
    }
    bench_reserve(&times, (size_t)e->rounds);
    for (int turn = 0; turn < e->rounds * systems; turn++) {
      f = feed_of(c, e, turn % systems, turn / systems, rank, name);
      round_of(e, &f, board, comm, turn % systems, &m[turn % systems]);
      if (!rank && turn % systems == 1) bench_add(&times, m[0].last / m[1].last);
    }
    if (!rank) report(e, &f, m, &times);
  }
  bench_clear(&times);
  for (int s = 0; s < SYSTEMS_MAX; s++) {
    bench_clear(&m[s].latency);
    bench_clear(&m[s].with_put);
  }
}

int main(int argc, char **argv) {
  const char *rank_text = getenv("OMPI_COMM_WORLD_RANK");
  weir__comm *comm;
  if (!rank_text) rank_text = getenv("PMI_RANK");
  if (argc < 2 || !rank_text) {
    fprintf(stderr, "use: mpirun -n 2 %s FOLDER [full] [B1 B2-64 ...]\n", argv[0]);
    return 2;
  }
  choice c    = {.folder = argv[1], .full = argc > 2 && !strcmp(argv[2], "full")};
  c.name      = argv + 2 + c.full;
  c.names     = argc - 2 - c.full;
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    simulate(&c, atoi(rank_text));
    _exit(0);
  }
  bench_check(weir__comm_world(&comm), "communicator");
  if (weir__comm_size(comm) != PROCESSES) bench_check(WEIR_FAIL(WEIR_ERR_ARGUMENT, "run it on 2 processes"), "insitu");
  if (!weir__comm_rank(comm)) bench_open("insitu");
  measure(&c, comm);
  weir__comm_destroy(&comm);
  return waitpid(child, NULL, 0) < 0;
}
