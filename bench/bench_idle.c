/* What waiting costs: CPU time of a worker whose simulation publishes a step every 200 ms, and how long it takes from
 * the end of a step (after 1, 5 and 20 ms of idleness) to the first task, against a futex between two processes that
 * have slept as long; all in turn. `futex`: they do nothing else. `by-hand`: as simulation and worker, the one makes a
 * field and copies it to memory of both, then wakes the other, which sums it up: the target compares with this, whose
 * caches are as full of the field. Processes are bound to cores: waking one on the core of the other is a
 * switch, waking one on a core that sleeps takes three to ten times as long, and left alone the system does now this,
 * now that. */
#include "channel/channel.h"
#include "core/futex.h"
#include "core/threads.h"
#include "feed.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOW_STEPS = 30, STEPS = 50, PINGS = 40, CASES = 3, ROUNDS = 9, ROWS = 640, COLUMNS = 64 };
static const int idle_ms[CASES] = {1, 5, 20};

static feed feed_of(const char *folder, int idle, int threads, char name[64]) {
  snprintf(name, 64, "idle_%d_%d", idle, threads);
  return (feed){.folder    = folder,
                .stream    = name,
                .size      = 1,
                .rows      = ROWS,
                .columns   = COLUMNS,
                .steps     = idle >= 200 ? SLOW_STEPS : STEPS,
                .pause_ns  = (int64_t)idle * 1000000,
                .uncounted = true};
}

/* Where the worker is, or who waits for the futex. The other process is on the first core. */
typedef enum place { ANYWHERE = -1, ON_THE_SAME, ON_ITS_OWN } place;

static int core[2]; /* before anything is bound: -1, or the same, where there is no other */

static void go_to(int which) {
  if (which >= 0) weir__thread_pin(core[which]);
}

/* ---- a futex ---- */

typedef struct ping {
  _Atomic uint32_t bell;
  int64_t          sent[PINGS];
  double           field[WEIR__CHANNEL_SLOTS_DEFAULT][ROWS * COLUMNS];
} ping;

/* `f`: NULL, or the field that is handed over. */
static void send_pings(ping *p, const feed *f, int idle) {
  static double u[ROWS * COLUMNS], row[2 * COLUMNS];
  for (int i = 0; i < PINGS; i++) {
    nanosleep(&(struct timespec){.tv_nsec = (long)idle * 1000000}, NULL);
    if (f) {
      feed_fill(f, u, row, i);
      memcpy(p->field[i % WEIR__CHANNEL_SLOTS_DEFAULT], u, sizeof u);
    }
    p->sent[i] = weir__clock_ns();
    atomic_fetch_add(&p->bell, 1);
    weir__futex_wake(&p->bell, 1, true);
  }
}

static double mean_of(const double *u) {
  double sum[8] = {0};
  for (int i = 0; i < ROWS * COLUMNS; i += 8)
    for (int k = 0; k < 8; k++) sum[k] += u[i + k];
  for (int k = 1; k < 8; k++) sum[0] += sum[k];
  return sum[0] / (ROWS * COLUMNS);
}

static void add_pings(int idle, const feed *f, place waiter, bench_samples *samples) {
  static ping *p;
  if (!p) p = bench_shared(sizeof *p);
  memset(p, 0, sizeof *p);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    go_to(0);
    send_pings(p, f, idle);
    _exit(0);
  }
  go_to(waiter);
  for (uint32_t seen = 0; seen < PINGS;) {
    uint32_t now = atomic_load(&p->bell);
    if (now == seen) {
      weir__futex_wait(&p->bell, now, -1, true);
      continue;
    }
    int64_t at = weir__clock_ns();
    if (now == seen + 1) bench_add(samples, (double)(at - p->sent[seen]));
    double mean = f ? mean_of(p->field[seen % WEIR__CHANNEL_SLOTS_DEFAULT]) : 0;
    if (f && now == seen + 1 && mean != seen + 1.5)
      bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "%g instead of %g", mean, seen + 1.5), "mean by hand");
    seen = now;
  }
  waitpid(child, NULL, 0);
}

/* ---- the worker ---- */

static void run_one(const feed *f, feed_board *board, weir__comm *comm, int threads, place worker, double *share) {
  weir__worker_options options = {.threads = threads};
  fflush(stdout);
  feed_board_clear(board);
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (worker != ANYWHERE) go_to(0);
    feed_run(f, board);
    _exit(0);
  }
  go_to(worker);
  double  cpu   = bench_cpu_seconds();
  int64_t begin = weir__clock_ns();
  feed_worker(f, board, comm, &options, NULL);
  *share = (bench_cpu_seconds() - cpu) / (1e-9 * (double)(weir__clock_ns() - begin));
  waitpid(child, NULL, 0);
}

static void wake(const char *folder, feed_board *board, weir__comm *comm, int idle, place at) {
  bench_samples futex = {0}, by_hand = {0}, ours = {0}, shares = {0}, times = {0};
  char          name[64], what[96];
  double        share;
  feed          f = feed_of(folder, idle, 0, name);
  bench_reserve(&futex, ROUNDS * PINGS);
  bench_reserve(&by_hand, ROUNDS * PINGS);
  bench_reserve(&ours, ROUNDS * STEPS);
  bench_reserve(&shares, ROUNDS);
  bench_reserve(&times, ROUNDS);
  for (int k = 0; k < ROUNDS; k++) {
    size_t pings = by_hand.count, steps = ours.count;
    add_pings(idle, NULL, at, &futex);
    add_pings(idle, &f, at, &by_hand);
    run_one(&f, board, comm, 0, at, &share);
    bench_add(&shares, 100 * share);
    for (int i = FEED_WARM; i < f.steps; i++) bench_add(&ours, (double)(board->start_ns[i] - board->end_ns[0][i]));
    bench_add(&times, bench_median_from(&ours, steps) / bench_median_from(&by_hand, pings));
  }
  snprintf(what, sizeof what, "idle-%d-ms%s", idle, at == ON_ITS_OWN ? "" : "-one-core");
  bench_summary(what, "futex", &futex, 1e-3, "us");
  bench_summary(what, "by-hand", &by_hand, 1e-3, "us");
  bench_summary(what, "weir-first-task", &ours, 1e-3, "us");
  bench_value(what, "weir-first-task", "cpu", bench_quantile(&shares, 0.5), "% of a core");
  snprintf(what, sizeof what, "idle for %d ms, first task%s times a futex by hand", idle,
           at == ON_ITS_OWN ? "" : " on the simulation's core");
  bench_at_most(what, bench_quantile(&times, 0.5), 1.3, "");
  bench_clear(&futex);
  bench_clear(&by_hand);
  bench_clear(&ours);
  bench_clear(&shares);
  bench_clear(&times);
}

int main(void) {
  const char *folder = bench_folder();
  feed_board *board  = feed_board_open(folder);
  weir__comm *comm;
  for (int i = 0; i < 2; i++) core[i] = weir__core(i);
  bench_open("idle");
  bench_check(weir__comm_self(&comm), "communicator");
  for (int threads = 0; threads <= 1; threads++) {
    char   name[64], what[64];
    double share;
    feed   f = feed_of(folder, 200, threads, name);
    run_one(&f, board, comm, threads, ANYWHERE, &share);
    bench_value("step-each-200-ms", threads ? "weir-2-threads" : "weir-1-threads", "cpu", 100 * share, "% of a core");
    snprintf(what, sizeof what, "CPU of a waiting worker, %d thread%s", threads + 1, threads ? "s" : "");
    bench_at_most(what, 100 * share, 1, "% of a core");
  }
  if (core[0] == core[1]) bench_note("a core for the worker alone: left out, there is one core only");
  for (int i = 0; i < CASES; i++) {
    if (core[0] != core[1]) wake(folder, board, comm, idle_ms[i], ON_ITS_OWN);
    wake(folder, board, comm, idle_ms[i], ON_THE_SAME);
  }
  weir__comm_destroy(&comm);
  bench_folder_remove();
  return 0;
}
