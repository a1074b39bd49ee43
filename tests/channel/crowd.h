/* Several processes of one stream, forked or as threads, with one or two workers as threads that agree on each step as
 * those of a run do: for what the processes leave out when the workers are slower than they. */
#ifndef WEIR_TESTS_CROWD_H
#define WEIR_TESTS_CROWD_H
#include "channel/pair.h"
#include "channel/reader.h"

#include "core/clock.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

enum { CROWD_MAX = 4, CROWD_STEPS = 1 << 20 };

/* In memory that all of them share. */
typedef struct crowd_stage {
  _Atomic int64_t at[CROWD_MAX];                 /* steps that are done; INT64_MAX: it ends */
  _Atomic uint8_t taken[CROWD_MAX][CROWD_STEPS]; /* 1: left out; 2: there was a place */
  _Atomic bool    go, stop;
} crowd_stage;

typedef struct crowd {
  /* set by the caller */
  int                  processes, workers, slots;
  weir__channel_policy policy;
  bool                 alone;     /* every process decides for itself */
  bool                 threads;   /* instead of processes */
  int64_t              lead;      /* no process is more steps ahead of another; 0: any number */
  int64_t              step_ns;   /* of the simulation's own work ... */
  bool                 rests;     /* ... in which it leaves the core to others */
  int64_t              worker_ns; /* in which a worker takes a step */
  int64_t              steps;     /* of each process */
  int64_t              killed_at; /* process 1 is killed between the decision on this step and its publication */
  double               seconds;   /* after which they stop all the same */
  /* found out */
  int64_t         whole, partial, left_out; /* steps: of all processes, of some, of none */
  _Atomic int64_t wrong;                    /* values, order */
  int64_t         differ;                   /* steps that two processes did not treat alike */
  double          took;

  scene                s;
  crowd_stage         *stage;
  weir__channel       *channel[CROWD_MAX];
  weir__channel_record record[CROWD_MAX];
  bool                 read[CROWD_MAX];
  weir__doorbell      *bell[2];
  pthread_barrier_t    gathered, agreed;
  _Atomic int          ends, torns, takers;
  _Atomic uint64_t     more[2];
} crowd;

typedef struct crowd_member {
  crowd *c;
  int    rank;
} crowd_member;

/* ---- a process ---- */

static inline void crowd_busy(int64_t ns) {
  for (int64_t until = weir__clock_ns() + ns; ns && weir__clock_ns() < until;) {}
}

static inline weir_status crowd_put(crowd *c, weir__writer *writer, int rank, int64_t step) {
  bool      active;
  weir_view view;
  WEIR_TRY(weir__writer_begin(writer, step, 0.5 * (double)step, &active));
  for (int piece = 0; piece < PAIR_PIECES; piece++) {
    if (piece == PAIR_MASK && step) continue;
    WEIR_TRY(weir__writer_view(writer, piece, &view));
    if (piece == PAIR_U && rank == 1 && c->killed_at == step + 1 && !c->threads) raise(SIGKILL);
    if (view.data && piece == PAIR_U)
      for (int i = 0; i < PAIR_NY * PAIR_NX; i++) ((double *)view.data)[i] = pair_value(step, i);
    if (view.data && piece == PAIR_N) *(int32_t *)view.data = (int32_t)step;
    if (piece == PAIR_MASK) memset(view.data, 7, PAIR_NX);
    if (piece == PAIR_N) c->stage->taken[rank][step] = view.data ? 2 : 1;
    weir__writer_present(writer, piece, 0);
  }
  return weir__writer_end(writer, NULL);
}

static inline bool crowd_ahead(const crowd *c, int64_t step) {
  for (int p = 0; p < c->processes && c->lead; p++)
    if (atomic_load(&c->stage->at[p]) < step + 1 - c->lead) return true;
  return false;
}

static inline int crowd_live(crowd *c, int rank) {
  weir__channel_definitions definitions = pair_definitions;
  weir__writer             *writer      = NULL;
  weir_status               status      = WEIR_OK;
  definitions.rank                      = rank;
  definitions.size                      = c->processes;
  if (weir__writer_create(c->s.run, &definitions, &writer)) return 1;
  if (weir__writer_await(writer, 10000000000)) status = WEIR_ERR_TIMEOUT;
  while (!atomic_load(&c->stage->go)) rest_ms(1);
  int64_t until = weir__clock_ns() + (int64_t)(c->seconds * 1e9);
  for (int64_t step = 0; step < c->steps && !status && weir__clock_ns() < until; step++) {
    while (crowd_ahead(c, step) && !atomic_load(&c->stage->stop)) sched_yield();
    if (c->rests) nanosleep(&(struct timespec){.tv_nsec = c->step_ns}, NULL);
    else crowd_busy(c->step_ns);
    status = crowd_put(c, writer, rank, step);
    atomic_store(&c->stage->at[rank], step + 1);
  }
  atomic_store(&c->stage->at[rank], INT64_MAX);
  weir__writer_destroy(&writer, NULL);
  return status && status != WEIR_END && status != WEIR_ERR_GONE;
}

static inline int crowd_fork(const scene *s, const void *argument) {
  const crowd_member *m = argument;
  (void)s;
  return crowd_live(m->c, m->rank);
}

static inline void *crowd_thread(void *argument) {
  crowd_member *m = argument;
  return crowd_live(m->c, m->rank) ? argument : NULL;
}

/* ---- a worker ---- */

static inline int crowd_share(const crowd *c, int worker) { return c->processes * worker / c->workers; }

/* Wait until the channel has said what there is of step `next`; false: it has ended. */
static inline bool crowd_read(crowd *c, int worker, int p, uint64_t next, uint32_t *seen) {
  for (;;) {
    weir__channel_record *r = &c->record[p];
    if (c->read[p] && next - r->sequence <= r->more) return true;
    switch (weir__channel_next(c->channel[p], r)) {
    case WEIR__CHANNEL_STEP:
      c->read[p] = true;
      if (next - r->sequence > r->more) c->wrong++;
      break;
    case WEIR__CHANNEL_NOTHING:
      weir__doorbell_wait(c->bell[worker], seen, 2000000);
      if (!weir__channel_alive(c->channel[p])) return false;
      break;
    default: return false;
    }
  }
}

static inline void *crowd_work(void *argument) {
  crowd_member *m     = argument;
  crowd        *c     = m->c;
  int           first = crowd_share(c, m->rank), end = crowd_share(c, m->rank + 1);
  uint32_t      seen = 0;
  for (uint64_t next = 0;;) {
    uint64_t more  = UINT64_MAX;
    int      here  = 0;
    bool     ended = false;
    for (int p = first; p < end && !ended; p++) {
      ended = !crowd_read(c, m->rank, p, next, &seen);
      if (ended) break;
      uint64_t rest = c->record[p].more - (next - c->record[p].sequence);
      if (rest < more) more = rest;
      here += !c->record[p].tombstone;
    }
    c->more[m->rank] = more;
    c->takers += here;
    c->ends += ended;
    pthread_barrier_wait(&c->gathered);
    bool all_end = c->ends > 0;
    int  takers  = c->takers;
    for (int w = 0; w < c->workers; w++)
      if (c->more[w] < more) more = c->more[w];
    if (pthread_barrier_wait(&c->agreed) == PTHREAD_BARRIER_SERIAL_THREAD) {
      c->takers = 0;
      if (takers == c->processes) c->whole++;
      else if (takers) c->partial++;
      else c->left_out += (int64_t)more + 1;
    }
    pthread_barrier_wait(&c->gathered);
    if (all_end) break;
    if (takers == c->processes) {
      for (int p = first; p < end; p++) c->wrong += !pair_right(c->channel[p], &c->record[p]);
      nanosleep(&(struct timespec){.tv_nsec = c->worker_ns}, NULL);
    }
    next += more + 1;
    for (int p = first; p < end; p++) {
      weir__channel_done(c->channel[p], next - 1);
      weir__channel_acknowledge(c->channel[p], next);
    }
  }
  return NULL;
}

/* ---- all of it ---- */

static inline void crowd_attach(crowd *c) {
  for (int w = 0; w < c->workers; w++) {
    assert_int_equal(weir__doorbell_create(&c->bell[w]), WEIR_OK);
    assert_int_equal(weir__doorbell_expect(c->bell[w], 0, crowd_share(c, w + 1) - crowd_share(c, w)), WEIR_OK);
  }
  for (int p = 0; p < c->processes; p++)
    while (weir__channel_attach(c->s.run, "pair", p, &c->channel[p])) rest_ms(1);
  for (int p = 0, w = 0; p < c->processes; p++) {
    while (p >= crowd_share(c, w + 1)) w++;
    weir__channel_terms terms = pair_terms(c->bell[w]);
    terms.slots               = c->slots;
    terms.policy              = c->policy;
    if (!c->alone) terms.node = (weir__channel_node){0, c->processes, p};
    assert_int_equal(weir__channel_demand_post(c->channel[p], pair_demands, &terms), WEIR_OK);
  }
  for (int p = 0; p < c->processes; p++) {
    weir_status status;
    while ((status = weir__channel_map(c->channel[p])) == WEIR_END) rest_ms(1);
    assert_int_equal(status, WEIR_OK);
  }
}

static inline void crowd_compare(crowd *c) {
  for (int64_t step = 0; step < CROWD_STEPS; step++) {
    int said = 0;
    for (int p = 0; p < c->processes; p++) said |= c->stage->taken[p][step];
    c->differ += said == 3;
  }
}

static inline void crowd_run(crowd *c) {
  pthread_t    thread[CROWD_MAX], worker[2];
  pid_t        pid[CROWD_MAX];
  crowd_member member[CROWD_MAX], server[2];
  void        *failed;
  assert_true(c->steps <= CROWD_STEPS);
  c->s     = scene_open();
  c->stage = mmap(NULL, sizeof *c->stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(c->stage != MAP_FAILED);
  for (int p = 0; p < c->processes; p++) {
    member[p] = (crowd_member){c, p};
    if (c->threads) assert_int_equal(pthread_create(&thread[p], NULL, crowd_thread, &member[p]), 0);
    else pid[p] = scene_fork(crowd_fork, &c->s, &member[p]);
  }
  crowd_attach(c);
  assert_int_equal(pthread_barrier_init(&c->gathered, NULL, (unsigned)c->workers), 0);
  assert_int_equal(pthread_barrier_init(&c->agreed, NULL, (unsigned)c->workers), 0);
  double begin = now_s();
  atomic_store(&c->stage->go, true);
  for (int w = 0; w < c->workers; w++) {
    server[w] = (crowd_member){c, w};
    assert_int_equal(pthread_create(&worker[w], NULL, crowd_work, &server[w]), 0);
  }
  for (int w = 0; w < c->workers; w++) assert_int_equal(pthread_join(worker[w], NULL), 0);
  c->took = now_s() - begin;
  if (!c->killed_at) atomic_store(&c->stage->stop, true);
  for (int p = 0; p < c->processes; p++) {
    int status;
    if (c->threads) {
      assert_int_equal(pthread_join(thread[p], &failed), 0);
      assert_null(failed);
    } else {
      assert_int_equal(waitpid(pid[p], &status, 0), pid[p]);
      if (c->killed_at && p == 1) assert_true(WIFSIGNALED(status));
      else assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    }
  }
  crowd_compare(c);
  for (int p = 0; p < c->processes; p++) weir__channel_detach(&c->channel[p]);
  for (int w = 0; w < c->workers; w++) weir__doorbell_destroy(&c->bell[w]);
  pthread_barrier_destroy(&c->gathered);
  pthread_barrier_destroy(&c->agreed);
  munmap(c->stage, sizeof *c->stage);
  scene_close(&c->s, c->killed_at ? 1 : 0);
}
#endif
