#include "run/figures.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a worker tells worker 0. */
typedef struct figures {
  weir__worker_stats stats;
  char               host[256];
  int64_t            restarts, memory_bytes;
  double             cpu_s;
} figures;

static figures own_figures(const weir__worker *worker, int64_t restarts) {
  figures       f = {.restarts = restarts};
  struct rusage used;
  weir__worker_stats_get(worker, &f.stats);
  if (gethostname(f.host, sizeof f.host - 1)) f.host[0] = 0;
  if (getrusage(RUSAGE_SELF, &used)) return f;
  f.memory_bytes = used.ru_maxrss * 1024; /* Linux counts in KiB: getrusage(2) */
  f.cpu_s        = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
            (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
  return f;
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static double larger_s(double seconds, int64_t ns) { return (double)ns * 1e-9 > seconds ? (double)ns * 1e-9 : seconds; }

static weir_status add(const figures *f, int rank, weir__report *r) {
  const weir__worker_stats *s    = &f->stats;
  weir__report_worker       line = {.rank          = rank,
                                    .host          = f->host,
                                    .restarts      = f->restarts,
                                    .steps         = s->steps,
                                    .claimed       = s->claimed,
                                    .tasks         = s->tasks,
                                    .messages      = s->messages,
                                    .message_bytes = s->message_bytes,
                                    .plan_bytes    = s->plan_bytes,
                                    .intake_bytes  = s->intake_bytes,
                                    .memory_bytes  = f->memory_bytes,
                                    .run_s         = (double)s->run_ns * 1e-9,
                                    .cpu_s         = f->cpu_s,
                                    .blocked_s     = (double)s->blocked_ns * 1e-9};
  r->tasks += s->tasks;
  r->messages += s->messages;
  r->message_bytes += s->message_bytes;
  r->plan_bytes += s->plan_bytes;
  r->intake_bytes += s->intake_bytes;
  r->blocked_s += line.blocked_s;
  r->steps         = larger(r->steps, s->steps);
  r->partial_steps = larger(r->partial_steps, s->dropped_steps);
  r->dropped_steps = larger(r->dropped_steps, s->dropped);
  r->spilled_steps = larger(r->spilled_steps, s->spilled);
  r->restarts      = larger(r->restarts, f->restarts);
  r->checkpoints   = larger(r->checkpoints, s->checkpoints);
  r->checkpoint_s  = larger_s(r->checkpoint_s, s->checkpoint_ns);
  r->checkpoint_bytes += s->checkpoint_bytes;
  if (*s->checkpoint_failure && !r->checkpoint_failure)
    WEIR_TRY(weir__arena_string(&r->arena, s->checkpoint_failure, &r->checkpoint_failure));
  r->compile_s        = larger_s(r->compile_s, s->compile_ns);
  r->wall_s           = larger_s(r->wall_s, s->run_ns);
  r->latency_median_s = larger_s(r->latency_median_s, s->latency_median_ns);
  r->latency_p99_s    = larger_s(r->latency_p99_s, s->latency_p99_ns);
  r->latency_max_s    = larger_s(r->latency_max_s, s->latency_max_ns);
  return weir__report_add_worker(r, &line);
}

static int by_peer(const void *a, const void *b) {
  const weir__letter *x = a, *y = b;
  return (x->peer > y->peer) - (x->peer < y->peer);
}

static weir_status add_all(const figures *own, weir__letter *letters, int count, weir__report *r) {
  if (count) qsort(letters, (size_t)count, sizeof *letters, by_peer);
  WEIR_TRY(add(own, 0, r));
  for (int i = 0; i < count; i++) {
    figures f;
    if (letters[i].size != sizeof f) return WEIR_FAIL(WEIR_ERR_INTERNAL, "worker %d: no figures", letters[i].peer);
    memcpy(&f, letters[i].bytes, sizeof f);
    WEIR_TRY(add(&f, letters[i].peer, r));
  }
  return WEIR_OK;
}

weir_status weir__run_figures(weir__comm *comm, const weir__worker *worker, const char *stream, int64_t processes,
                              int64_t restarts, weir__report *r) {
  figures       own  = own_figures(worker, restarts);
  int           rank = weir__comm_rank(comm), count = 0;
  weir__letter  letter  = {.peer = 0, .size = sizeof own, .bytes = &own};
  weir__letter *letters = NULL;
  WEIR_TRY(weir__comm_exchange(comm, &letter, rank > 0, &letters, &count));
  weir_status status = rank ? WEIR_OK : add_all(&own, letters, count, r);
  weir__comm_letters_free(&letters, count);
  if (status < 0 || rank) return status;
  r->blocked_s /= (double)processes;
  return weir__report_add_stream(r, &(weir__report_stream){.name             = stream,
                                                           .steps            = r->steps,
                                                           .dropped_steps    = r->dropped_steps,
                                                           .spilled_steps    = r->spilled_steps,
                                                           .blocked_s        = r->blocked_s,
                                                           .latency_median_s = r->latency_median_s,
                                                           .latency_p99_s    = r->latency_p99_s,
                                                           .latency_max_s    = r->latency_max_s});
}
