/* B1: the global mean of N chunks of 10 x 10 float64 per step, fed through channels by a simulation of two processes,
 * reduced by two workers; closed loop: the simulation waits for the result of each step. Time: from just before the
 * last process ends the step to the result.
 *
 *   weir    the engine: mean(u) over chunks of 10 rows, which are pieces of the simulation taken as they are
 *           ("-pieces": many puts), or are cut out of one piece per process
 *   limit   a hand-written MPI program of two processes on the same channels, which sleeps on the same doorbell: one
 *           loop over the data and one MPI_Reduce
 *   awake   the same program, polling its channel all the time
 *
 * Run as `mpirun -n 2 bench_mean FOLDER` (FOLDER empty); each process forks one of the simulation before MPI starts. */
#include "channel/channel.h"
#include "feed.h"
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 2, STEPS = 420, ROUNDS = 3, COLUMNS = 10 };
static const int   chunks[]  = {40, 160, 640, 1280};
static const int   pauses[]  = {0, 1000000}; /* ns */
static const char *systems[] = {"weir", "limit", "awake"};
enum { CASES = 4, PAUSES = 2, SYSTEMS = 3, FORMS = 2 };

static feed feed_of(const char *folder, int c, int form, int p, int s, int round, int rank, char name[64]) {
  snprintf(name, 64, "mean_%d_%d_%d_%s_%d", chunks[c], form, p, systems[s], round);
  return (feed){.folder    = folder,
                .stream    = name,
                .rank      = rank,
                .size      = PROCESSES,
                .rows      = 10 * (int64_t)chunks[c],
                .columns   = COLUMNS,
                .steps     = STEPS,
                .in_pieces = form,
                .pause_ns  = pauses[p]};
}

/* ---- the program by hand ---- */

static void attach(const feed *f, int rank, weir__channel **channel) {
  weir_status status;
  while ((status = weir__channel_attach(f->folder, f->stream, rank, channel)) == WEIR_ERR_GONE)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  bench_check(status, "attach");
}

static void by_hand(const feed *f, feed_board *board, int rank, bool awake) {
  weir__doorbell       *bell;
  weir__channel        *channel;
  weir__channel_record  record;
  weir__channel_event   event;
  weir__channel_trigger trigger = {.period = 1};
  weir_status           status;
  uint32_t              seen = 0;
  bench_check(weir__doorbell_create(f->folder, 100 + rank, &bell), "doorbell");
  bench_check(weir__doorbell_expect(bell, 0, 1), "doorbell");
  attach(f, rank, &channel);
  const weir__channel_definitions *d     = weir__channel_definitions_of(channel);
  weir__channel_terms              terms = {.trigger = &trigger, .triggers = 1, .doorbell = bell};
  weir__channel_demand            *demand;
  weir__channel_want              *want;
  int                              pieces = d->pieces;
  bench_check(weir__alloc_array((size_t)pieces, sizeof *demand, &demand), "demand");
  bench_check(weir__alloc_array((size_t)pieces, sizeof *want, &want), "demand");
  for (int p = 0; p < pieces; p++) {
    want[p]   = (weir__channel_want){1, d->piece[p].region};
    demand[p] = (weir__channel_demand){1, &want[p]};
  }
  bench_check(weir__channel_demand_post(channel, demand, &terms), "demand");
  weir__free(want);
  weir__free(demand);
  while ((status = weir__channel_map(channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 1000000);
  bench_check(status, "map");
  while ((event = weir__channel_next(channel, &record)) == WEIR__CHANNEL_STEP || event == WEIR__CHANNEL_NOTHING) {
    double sum = 0, total = 0;
    if (event == WEIR__CHANNEL_NOTHING) {
      if (!awake) weir__doorbell_wait(bell, &seen, 100000000);
      continue;
    }
    for (int p = 0; p < pieces; p++) {
      weir_view view;
      bench_check(weir__channel_piece(channel, record.sequence, p, &view), "piece");
      const double *u = view.data;
      int64_t       n = weir_view_size(&view);
      for (int64_t i = 0; i < n; i++) sum += u[i];
    }
    MPI_Reduce(&sum, &total, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) feed_result(board, (int)record.step, total / (double)(f->rows * f->columns));
    weir__channel_acknowledge(channel, record.sequence + 1);
  }
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
}

/* ---- roles ---- */

/* All rounds in their order, the same for all processes. False after the last. */
typedef struct place {
  int c, form, p, round, s;
} place;
static bool next_place(place *at) {
  if (++at->s < SYSTEMS) return true;
  at->s = 0;
  if (++at->round < ROUNDS) return true;
  at->round = 0;
  if (++at->p < PAUSES) return true;
  at->p = 0;
  if (++at->form < FORMS) return true;
  at->form = 0;
  return ++at->c < CASES;
}

static void simulate(const char *folder, int rank) {
  feed_board *board = feed_board_open(folder);
  place       at    = {0};
  do {
    char name[64];
    feed f = feed_of(folder, at.c, at.form, at.p, at.s, at.round, rank, name);
    feed_run(&f, board);
    while (atomic_load(&board->left)) /* until the board is clear for the next round */
      nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
  } while (next_place(&at));
}

static void round_of(const feed *f, feed_board *board, weir__comm *comm, int s, bench_samples *samples) {
  weir__worker_options options = {.threads = 0};
  int                  rank    = weir__comm_rank(comm);
  if (s == 0) feed_worker(f, board, comm, &options, NULL);
  else by_hand(f, board, rank, s == 2);
  if (rank) return;
  while (atomic_load(&board->left) < PROCESSES) nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
  feed_latencies(board, f, samples);
  feed_board_clear(board);
}

static void report(const place *at, bench_samples samples[SYSTEMS]) {
  double median[SYSTEMS];
  char   what[64], ratio[100];
  snprintf(what, sizeof what, "%d-chunks%s%s", chunks[at->c], at->form ? "-pieces" : "", at->p ? "-pause-1ms" : "");
  for (int s = 0; s < SYSTEMS; s++) median[s] = bench_summary(what, systems[s], &samples[s], 1e-3, "us");
  snprintf(ratio, sizeof ratio, "%s, times the limit program", what);
  bench_at_most(ratio, median[0] / median[1], 3, "");
}

static void measure(const char *folder, weir__comm *comm) {
  feed_board   *board            = feed_board_open(folder);
  bench_samples samples[SYSTEMS] = {{0}};
  place         at               = {0};
  do {
    char name[64];
    feed f = feed_of(folder, at.c, at.form, at.p, at.s, at.round, weir__comm_rank(comm), name);
    if (at.round == 0) bench_reserve(&samples[at.s], STEPS * ROUNDS);
    round_of(&f, board, comm, at.s, &samples[at.s]);
    bench_check(weir__comm_barrier(comm), "barrier");
    if (!weir__comm_rank(comm) && at.round == ROUNDS - 1 && at.s == SYSTEMS - 1) report(&at, samples);
  } while (next_place(&at));
  for (int s = 0; s < SYSTEMS; s++) bench_clear(&samples[s]);
}

int main(int argc, char **argv) {
  const char *rank_text = getenv("OMPI_COMM_WORLD_RANK");
  weir__comm *comm;
  if (!rank_text) rank_text = getenv("PMI_RANK");
  if (argc != 2 || !rank_text) {
    fprintf(stderr, "use: mpirun -n 2 %s FOLDER\n", argv[0]);
    return 2;
  }
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    simulate(argv[1], atoi(rank_text));
    _exit(0);
  }
  bench_check(weir__comm_world(&comm), "communicator");
  if (weir__comm_size(comm) != PROCESSES) bench_check(WEIR_FAIL(WEIR_ERR_ARGUMENT, "run it on 2 processes"), "mean");
  if (!weir__comm_rank(comm)) bench_open("mean");
  measure(argv[1], comm);
  weir__comm_destroy(&comm);
  return waitpid(child, NULL, 0) < 0;
}
