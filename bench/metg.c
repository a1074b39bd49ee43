#include "metg.h"
#include "core/threads.h"
#include <sched.h>

enum { PEAKS = 3 /* before, and after */, CORES_MAX = 64, SAMPLE_ROUNDS = 1 << 19, MOST_ROUNDS = 1 << 15 };

typedef struct share {
  const bench_replay *replay;
  int                 first, step, end, core;
  int                *waiting; /* for all to have begun */
  int64_t             ns;
} share;

static void run_share(void *self) {
  share *s = self;
  weir__thread_pin(s->core);
  __atomic_sub_fetch(s->waiting, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(s->waiting, __ATOMIC_ACQUIRE) > 0) sched_yield();
  int64_t begin = weir__clock_ns();
  for (int t = s->first; t < s->end; t += s->step) bench_task_work(s->replay, t);
  s->ns = weir__clock_ns() - begin;
}

/* Tasks are dealt out in turn; of many, those at the beginning stand for all. */
double bench_kernels_ns(const bench_replay *replay, int threads) {
  weir__thread thread[CORES_MAX];
  share        part[CORES_MAX];
  int64_t      longest = 0, rounds = replay->work.rounds > 1 ? replay->work.rounds : 1;
  int          tasks = replay->graph->tasks, some = (int)(SAMPLE_ROUNDS / rounds), waiting = threads;
  if (some < 16 * threads) some = 16 * threads;
  if (some > tasks) some = tasks;
  for (int i = 0; i < threads; i++) {
    part[i] = (share){replay, i, threads, some, weir__core(i), &waiting, 0};
    bench_check(weir__thread_start(&thread[i], run_share, &part[i]), "thread");
  }
  for (int i = 0; i < threads; i++) {
    weir__thread_join(&thread[i]);
    if (part[i].ns > longest) longest = part[i].ns;
  }
  return (double)longest * tasks / some;
}

static void peaks(const bench_metg *m, int64_t rounds, bench_samples *samples) {
  for (int i = 0; i < PEAKS; i++) bench_add(samples, m->peak_ns(m->self, rounds));
}

typedef struct point {
  double granularity_us, efficiency;
} point;

static point measure(const bench_metg *m, int64_t rounds) {
  bench_samples peak = {0};
  bench_reserve(&peak, 2 * PEAKS);
  peaks(m, rounds, &peak);
  double wall = m->wall_ns(m->self, rounds, rounds > 256 ? 5 : 20);
  peaks(m, rounds, &peak);
  point p = {1e-3 * wall * m->cores / m->tasks, bench_quantile(&peak, 0.5) / wall};
  bench_clear(&peak);
  return p;
}

double bench_metg_find(const bench_metg *m) {
  int64_t rounds = m->rounds;
  point   before = measure(m, rounds), p;
  while (before.efficiency < 0.75 && rounds < MOST_ROUNDS) before = measure(m, rounds *= 4);
  if (before.efficiency < 0.5) return -1;
  for (; rounds > 1; before = p) {
    p = measure(m, rounds /= 2);
    if (p.efficiency < 0.5)
      return p.granularity_us +
             (before.granularity_us - p.granularity_us) * (0.5 - p.efficiency) / (before.efficiency - p.efficiency);
  }
  return before.granularity_us;
}
