/* The life of a worker's steps: begin when a step has come and an instance is free, count down as tasks and messages
 * complete, retire in order. One thread (the owner) talks to channels and MPI; in between it runs tasks like the
 * others. */
#include "core/clock.h"
#include "exec/state.h"
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { ANNOUNCED = -1, END_SENT = -2 };

/* What a worker with processes tells one that serves none. */
typedef struct announcement {
  int64_t  step; /* the end: `end` set */
  double   time;
  uint64_t fired;
  int64_t  end;
} announcement;

struct weir__relay {
  int           sponsor;  /* >= 0: this worker serves no process, and is told by that one */
  int          *follower; /* whom this worker tells */
  int           followers;
  announcement *sent; /* per step in flight, and one for the end */
  announcement  received;
  bool          waiting, have;
};

/* ---- messages ---- */

static int request_base(const weir__worker *w, int64_t ordinal) {
  return (int)(ordinal % w->plan->flight) * (w->plan->messages_in + w->plan->messages_out + w->relay->followers);
}

static int tag_of(const weir__worker *w, const weir__message *m, int64_t ordinal) {
  return w->plan->flight * (1 + m->tag) + (int)(ordinal % w->plan->flight);
}

static weir_status post_receives(weir__worker *w, const weir__step *s) {
  const weir__plan *p = w->plan;
  for (int m = 0; m < p->messages_in; m++) {
    char *buffer = p->in[m].buffer + (size_t)(s->ordinal % p->flight) * p->in[m].stride;
    WEIR_TRY(weir__request_receive(w->requests, request_base(w, s->ordinal) + m, buffer, p->in[m].bytes, p->in[m].peer,
                                   tag_of(w, &p->in[m], s->ordinal)));
  }
  return WEIR_OK;
}

static weir_status send_packed(weir__worker *w, bool *some) {
  const weir__plan *p    = w->plan;
  uint32_t          head = atomic_exchange(&w->outbox, 0);
  while (head) {
    uint32_t             entry = head - 1;
    int64_t              slot  = entry / (uint32_t)p->messages_out;
    const weir__message *m     = &p->out[entry % (uint32_t)p->messages_out];
    head                       = atomic_load_explicit(&w->outbox_next[entry], memory_order_relaxed);
    int64_t began              = weir__worker_watch(w);
    WEIR_TRY(weir__request_send(w->requests, request_base(w, slot) + p->messages_in + (int)(m - p->out),
                                m->buffer + (size_t)slot * m->stride, m->bytes, m->peer, tag_of(w, m, slot)));
    weir__worker_trace_message(w, WEIR__TRACE_SEND, (int)(m - p->out), weir__step_in_slot(w, slot), began);
    w->stats.messages++;
    w->stats.message_bytes += (int64_t)m->bytes;
    *some = true;
  }
  if (*some && w->intake) weir__intake_ring_peers(w->intake);
  return WEIR_OK;
}

static weir_status arrived(weir__worker *w, weir__step *s, int message) {
  const weir__message *m = &w->plan->in[message];
  weir__message_head   head;
  memcpy(&head, m->buffer + (size_t)(s->ordinal % w->plan->flight) * m->stride, sizeof head);
  if (head.step != s->step || head.ordinal != s->ordinal)
    return WEIR_FAIL(
        WEIR_ERR_COMM,
        "worker %d is at step %lld, but worker %d sent step %lld: the processes do not publish the same steps",
        w->plan->rank, (long long)s->step, m->peer, (long long)head.step);
  weir__worker_fire(w, s, m->emitter, w->options.threads);
  return WEIR_OK;
}

static void count_off(weir__step *s) { atomic_fetch_sub_explicit(&s->remaining, 1, memory_order_acq_rel); }

static weir_status receive_some(weir__worker *w, bool *some) {
  const weir__plan *p      = w->plan;
  int               stride = p->messages_in + p->messages_out + w->relay->followers, count;
  if (!w->requests) return WEIR_OK;
  WEIR_TRY(weir__requests_test(w->requests, w->done, w->done_capacity, &count));
  for (int i = 0; i < count; i++) {
    int done = w->done[i];
    *some    = true;
    if (done == ANNOUNCED) {
      w->relay->waiting = false;
      w->relay->have    = true;
      continue;
    }
    if (done == END_SENT) continue;
    weir__step *s = weir__step_in_slot(w, done / stride);
    if (!s) return WEIR_FAIL(WEIR_ERR_INTERNAL, "a message completed for a step that is not in flight");
    int64_t began = weir__worker_watch(w);
    if (done % stride < p->messages_in) {
      WEIR_TRY(arrived(w, s, done % stride));
      weir__worker_trace_message(w, WEIR__TRACE_RECEIVE, done % stride, s, began);
    }
    count_off(s);
  }
  if (count && w->intake) weir__intake_ring_peers(w->intake); /* a large message may wait for our answer to be seen */
  return WEIR_OK;
}

/* ---- steps announced to workers that serve no process ---- */

static weir_status relay_create(weir__worker *w) {
  weir_status         status = WEIR_OK;
  struct weir__relay *r;
  weir__letter       *letters = NULL;
  int                 count = 0, rank = weir__comm_rank(w->comm), size = weir__comm_size(w->comm);
  WEIR_TRY(weir__alloc_zeroed(sizeof *r, 0, &r));
  w->relay   = r;
  r->sponsor = -1;
  if (!w->intake || size == 1) return weir__alloc_array((size_t)w->plan->flight + 1, sizeof *r->sent, &r->sent);
  bool    idle  = weir__intake_channels(w->intake) == 0;
  int64_t first = idle ? 0 : size - rank;
  WEIR_TRY(weir__comm_max(w->comm, &first, 1));
  weir__letter hello = {.peer = size - (int)first};
  if (idle) r->sponsor = hello.peer;
  WEIR_TRY_GOTO(out, weir__comm_exchange(w->comm, &hello, idle, &letters, &count));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)count + 1, sizeof *r->follower, &r->follower));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)w->plan->flight + 1, sizeof *r->sent, &r->sent));
  for (int i = 0; i < count; i++) r->follower[r->followers++] = letters[i].peer;
out:
  weir__comm_letters_free(&letters, count);
  return status;
}

static weir_status announce(weir__worker *w, const weir__step *s) {
  struct weir__relay *r    = w->relay;
  int64_t             slot = s->ordinal % w->plan->flight;
  if (!r->followers) return WEIR_OK;
  r->sent[slot] = (announcement){s->step, s->time, s->fired, 0};
  for (int i = 0; i < r->followers; i++)
    WEIR_TRY(weir__request_send(w->requests,
                                request_base(w, s->ordinal) + w->plan->messages_in + w->plan->messages_out + i,
                                &r->sent[slot], sizeof *r->sent, r->follower[i], 0));
  weir__intake_ring_peers(w->intake);
  return WEIR_OK;
}

static weir_status announce_end(weir__worker *w) {
  struct weir__relay *r        = w->relay;
  r->sent[w->plan->flight].end = 1;
  for (int i = 0; i < r->followers; i++)
    WEIR_TRY(weir__request_send(w->requests, END_SENT, &r->sent[w->plan->flight], sizeof *r->sent, r->follower[i], 0));
  if (r->followers) weir__intake_ring_peers(w->intake);
  return WEIR_OK;
}

static weir_status announced(weir__worker *w, weir__arrival *arrival) {
  struct weir__relay *r = w->relay;
  if (r->have) {
    r->have  = false;
    *arrival = (weir__arrival){r->received.step, r->received.time, r->received.fired, (uint64_t)w->begun};
    return r->received.end ? WEIR_END : WEIR_OK;
  }
  if (!r->waiting) {
    WEIR_TRY(weir__request_receive(w->requests, ANNOUNCED, &r->received, sizeof r->received, r->sponsor, 0));
    r->waiting = true;
  }
  return WEIR_ERR_TIMEOUT;
}

/* ---- steps ---- */

static weir_status next_arrival(weir__worker *w, weir__arrival *arrival) {
  const weir__graph *graph = w->graph;
  if (w->relay->sponsor >= 0) return announced(w, arrival);
  if (w->intake) return weir__intake_next(w->intake, arrival);
  weir_status status = w->source->next(w->source->self, w->begun, &arrival->step, &arrival->time);
  if (status != WEIR_OK) return status;
  arrival->fired    = 0;
  arrival->sequence = (uint64_t)w->begun;
  for (int t = 0; t < graph->triggers; t++)
    if (weir__trigger_fires(&graph->trigger[t], arrival->step, arrival->time, w->last_time))
      arrival->fired |= (uint64_t)1 << t;
  return WEIR_OK;
}

static weir_status begin(weir__worker *w, const weir__arrival *arrival) {
  weir__step *s = weir__step_of(w, w->begun);
  s->ordinal    = w->begun;
  s->step       = arrival->step;
  s->time       = arrival->time;
  s->dt         = arrival->time - w->last_time; /* NaN at the first */
  s->fired      = arrival->fired;
  s->sequence   = arrival->sequence;
  s->arrived_ns = weir__clock_ns();
  w->last_time  = arrival->time;
  for (uint32_t r = 1; r < WEIR__TURNS; r++) s->turn[r] = (uint32_t)(s->ordinal % r);
  for (int i = 0; i < w->graph->nodes; i++) {
    const weir__node *node = &w->graph->node[i];
    s->index[i]            = w->active_count[i];
    w->active_count[i] += (node->triggers & s->fired) != 0 || node->triggers == ~(uint64_t)0;
  }
  if (w->plan->pieces) weir__intake_pieces_of(w->intake, s->sequence, s->piece);
  atomic_store_explicit(&s->remaining, w->plan->sinks + (uint32_t)w->relay->followers, memory_order_relaxed);
  w->begun++;
  if (w->requests) WEIR_TRY(post_receives(w, s));
  WEIR_TRY(announce(w, s));
  weir__worker_fire(w, s, w->plan->tasks,
                    w->options.threads); /* the emitter after the tasks: the beginning of a step */
  w->stats.tasks += w->plan->tasks;
  return WEIR_OK;
}

static weir_status begin_some(weir__worker *w, bool *some) {
  while (w->ended < 0 && w->begun - w->retired < w->plan->flight) {
    weir__arrival arrival;
    weir_status   status = next_arrival(w, &arrival);
    if (status == WEIR_ERR_TIMEOUT) return WEIR_OK;
    if (status < 0) return status;
    *some = true;
    if (status == WEIR_END) {
      w->ended = w->end = w->begun;
      WEIR_TRY(announce_end(w));
      return weir__agreement_start(w->ends, &w->end);
    }
    WEIR_TRY(begin(w, &arrival));
  }
  return WEIR_OK;
}

static void retire_some(weir__worker *w, bool *some) {
  while (w->retired < w->begun) {
    weir__step *s = weir__step_of(w, w->retired);
    if (atomic_load_explicit(&s->remaining, memory_order_acquire)) return;
    if (w->intake) weir__intake_release(w->intake, s->sequence);
    int64_t now                                  = weir__clock_ns();
    int64_t latency                              = now - s->arrived_ns;
    w->latency[w->latencies++ % WEIR__LATENCIES] = latency;
    w->retired++;
    *some          = true;
    w->stats.steps = w->retired;
    weir__worker_note_retired(w, s, now);
    if (!w->options.progress) continue;
    weir__progress progress = {w->retired, s->step, s->time, latency,
                               w->intake ? weir__intake_blocked_ns(w->intake) : 0};
    w->options.progress(w->options.progress_self, &progress);
  }
}

/* ---- sleeping ---- */

void weir__worker_wake(weir__worker *w) {
  if (!w->options.threads) return; /* the owner did it itself */
  if (w->intake) {
    weir__doorbell_ring(weir__intake_doorbell(w->intake));
    return;
  }
  atomic_fetch_add(&w->bell, 1);
  if (atomic_load(&w->asleep)) weir__futex_wake(&w->bell, 1, false);
}

static void sleep_until_rung(weir__worker *w, int64_t timeout, uint32_t *seen, uint32_t bell) {
  if (w->intake) {
    weir__doorbell_wait(weir__intake_doorbell(w->intake), seen, timeout);
    return;
  }
  atomic_store(&w->asleep, 1);
  if (atomic_load(&w->bell) == bell) weir__futex_wait(&w->bell, bell, timeout, false);
  atomic_store(&w->asleep, 0);
}

/* Messages have no sleeping wait: poll while one is due, at growing intervals. Neighbours on the node ring when they
 * sent. */
static void idle(weir__worker *w, int idle_rounds, uint32_t *seen, uint32_t bell) {
  enum { SPINS = 20, LONGEST_NS = 500000, BETWEEN_STEPS_NS = 200000000 };
  bool    polls   = (w->requests && weir__requests_pending(w->requests)) || w->end >= 0;
  int64_t timeout = polls ? (int64_t)10000 << (idle_rounds / SPINS < 8 ? idle_rounds / SPINS : 8) : BETWEEN_STEPS_NS;
  if (polls && timeout > LONGEST_NS) timeout = LONGEST_NS;
  if (polls && idle_rounds < SPINS) {
    sched_yield();
    return;
  }
  weir__worker_beat(w, true, &timeout);
  int64_t began = weir__worker_watch(w);
  sleep_until_rung(w, timeout, seen, bell);
  if (w->trace) weir__trace_add(w->trace, w->options.threads, WEIR__TRACE_WAIT, 0, began, weir__clock_ns(), 0);
}

weir_status weir__worker_run(weir__worker *w) {
  int64_t  started = weir__clock_ns();
  int      rounds  = 0;
  uint32_t seen    = 0;
  bool     agreed  = false;
  while (!agreed || w->retired < w->end) {
    bool     some = false;
    uint32_t bell = atomic_load(&w->bell);
    WEIR_TRY(begin_some(w, &some));
    WEIR_TRY(send_packed(w, &some));
    WEIR_TRY(receive_some(w, &some));
    if (weir__pool_help(w->pool)) some = true;
    retire_some(w, &some);
    if (w->ended >= 0 && !agreed) {
      const int64_t *end;
      WEIR_TRY(weir__agreement_test(w->ends, &agreed, &end));
      if (agreed) w->end = *end;
    }
    weir__worker_beat(w, false, NULL);
    if (some) rounds = 0;
    else if (!agreed || w->retired < w->end) idle(w, rounds++, &seen, bell);
  }
  w->stats.run_ns += weir__clock_ns() - started;
  WEIR_TRY(weir__comm_barrier(w->comm));
  if (atomic_load(&w->failures))
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "%s (%llu failures in all)", w->failure,
                     (unsigned long long)atomic_load(&w->failures));
  return WEIR_OK;
}

/* ---- life ---- */

static weir_status allocate_steps(weir__worker *w) {
  const weir__plan *p = w->plan;
  w->steps            = p->flight + 1;
  while (p->tasks >> w->task_bits) w->task_bits++;
  WEIR_TRY(weir__alloc_array((size_t)w->steps, sizeof *w->step, &w->step));
  for (int i = 0; i < w->steps; i++) {
    weir__step *s = &w->step[i];
    WEIR_TRY(weir__alloc_array((size_t)w->graph->nodes + 1, sizeof *s->index, &s->index));
    WEIR_TRY(weir__alloc_array((size_t)p->pieces + 1, sizeof *s->piece, &s->piece));
    WEIR_TRY(weir__alloc_zeroed(((size_t)p->tasks + 1) * sizeof *s->counter, 64, &s->counter));
    for (int t = 0; t < p->tasks; t++) atomic_init(&s->counter[t], p->degree[t]);
  }
  /* the first step has none before it: what would wait for that one does not */
  for (int e = 0; e < p->emitters; e++)
    for (uint32_t i = p->next.first[e]; i < p->next.first[e + 1]; i++)
      atomic_fetch_sub_explicit(&w->step[0].counter[p->next.target[i]], 1, memory_order_relaxed);
  return WEIR_OK;
}

static weir_status allocate_requests(weir__worker *w) {
  const weir__plan *p = w->plan;
  int all             = p->flight * (p->messages_in + p->messages_out + w->relay->followers) + w->relay->followers + 1;
  w->done_capacity    = all;
  WEIR_TRY(weir__alloc_array((size_t)all, sizeof *w->done, &w->done));
  WEIR_TRY(weir__alloc_array((size_t)(p->messages_out * p->flight) + 1, sizeof *w->outbox_next, &w->outbox_next));
  return p->size > 1 ? weir__requests_create(w->comm, all, &w->requests) : WEIR_OK;
}

static weir_status settle_options(weir__worker *w) {
  int node_rank, node_size;
  WEIR_TRY(weir__comm_node(w->comm, &node_rank, &node_size));
  if (w->options.threads < 0) {
    int share          = weir__cores() / node_size;
    w->options.threads = share > 1 ? share - 1 : 0;
  }
  w->first_core = w->options.pin ? node_rank * (w->options.threads + 1) : -1;
  return WEIR_OK;
}

static weir_status allocate(weir__worker *w) {
  size_t all = (size_t)w->options.threads + 1;
  WEIR_TRY(allocate_steps(w));
  WEIR_TRY(weir__steer_create(w));
  WEIR_TRY(allocate_requests(w));
  WEIR_TRY(weir__alloc_array((size_t)w->graph->nodes + 1, sizeof *w->active_count, &w->active_count));
  WEIR_TRY(weir__alloc_array(WEIR__LATENCIES, sizeof *w->latency, &w->latency));
  WEIR_TRY(weir__alloc_zeroed(all * sizeof *w->memory, 64, &w->memory));
  for (size_t i = 0; i < all; i++) WEIR_TRY(weir__alloc_zeroed(w->plan->scratch_bytes + 64, 64, &w->memory[i].scratch));
  return weir__pool_create(w->options.threads, (size_t)w->plan->tasks * (size_t)w->steps, w->first_core,
                           weir__worker_run_entry, w, &w->pool);
}

static void count_plan(weir__worker *w) {
  const weir__plan *p = w->plan;
  w->stats.plan_bytes =
      (int64_t)(p->memory_bytes + p->state_bytes + p->scratch_bytes * (size_t)(w->options.threads + 1));
  w->stats.plan_tasks    = p->tasks;
  w->stats.plan_messages = p->messages_out;
  for (int m = 0; m < p->messages_out; m++) w->stats.plan_message_bytes += (int64_t)p->out[m].bytes;
}

static weir_status compile(weir__worker *w) {
  weir__plan_options plan = {
      .flight = w->options.steps_in_flight, .forwarders = w->options.forwarders, .holes = w->options.holes};
  WEIR_TRY(settle_options(w));
  if (w->intake)
    WEIR_TRY(weir__comm_agree(w->comm, weir__intake_pieces(w->intake, w->graph, &plan.piece, &plan.pieces)));
  WEIR_TRY(weir__plan_create(w->graph, w->comm, &plan, &w->plan));
  WEIR_TRY(relay_create(w));
  WEIR_TRY(weir__agreement_create(w->comm, 1, &w->ends));
  WEIR_TRY(weir__comm_agree(w->comm, allocate(w)));
  WEIR_TRY(weir__trace_create(w->comm, w->options.threads, w->options.trace_events, &w->trace));
  count_plan(w);
  return w->intake ? weir__comm_agree(w->comm, weir__intake_demand(w->intake, w->plan, &w->options)) : WEIR_OK;
}

weir_status weir__worker_create(const weir__graph *graph, weir__comm *comm, const weir__source *source,
                                weir__intake *intake, const weir__worker_options *options, weir__worker **worker) {
  static const weir__worker_options defaults = {0};
  weir_status                       status   = WEIR_OK;
  weir__worker                     *w        = NULL;
  int64_t                           started  = weir__clock_ns();
  if (!source == !intake) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "a worker has either a source to read or an intake");
  for (int i = 0; i < graph->nodes; i++)
    if (!graph->node[i].op && graph->node[i].stream && (!options || !options->joined))
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field %s is of a joined stream, and none is given", graph->node[i].name);
  WEIR_TRY(weir__alloc_zeroed(sizeof *w, 64, &w));
  w->graph   = graph;
  w->comm    = comm;
  w->source  = source;
  w->intake  = intake;
  w->options = options ? *options : defaults;
  w->ended = w->end = -1;
  w->last_time      = NAN;
  if (w->options.steps_in_flight < 1) w->options.steps_in_flight = 2;
  weir__mutex_init(&w->failure_lock);
  WEIR_TRY_GOTO(out, compile(w));
  w->stats.compile_ns = weir__clock_ns() - started;
  *worker             = w;
  w                   = NULL;
out:
  weir__worker_destroy(&w);
  return status;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

void weir__worker_stats_get(const weir__worker *w, weir__worker_stats *stats) {
  *stats = w->stats;
  if (w->intake) {
    stats->blocked_ns    = weir__intake_blocked_ns(w->intake);
    stats->intake_bytes  = weir__intake_bytes(w->intake);
    stats->dropped_steps = weir__intake_dropped(w->intake);
  }
  int64_t sorted[WEIR__LATENCIES];
  int     n = w->latencies < WEIR__LATENCIES ? w->latencies : WEIR__LATENCIES;
  if (!n) return;
  memcpy(sorted, w->latency, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, by_value);
  stats->latency_median_ns = sorted[n / 2];
  stats->latency_p99_ns    = sorted[(int64_t)n * 99 / 100];
  stats->latency_max_ns    = sorted[n - 1];
}

void weir__worker_destroy(weir__worker **worker) {
  weir__worker *w = *worker;
  if (!w) return;
  weir__pool_destroy(&w->pool);
  weir__requests_destroy(&w->requests);
  for (int i = 0; w->step && i < w->steps; i++) {
    weir__free(w->step[i].index);
    weir__free((void *)w->step[i].piece);
    weir__free((void *)w->step[i].counter);
  }
  for (int i = 0; w->memory && i <= w->options.threads; i++) weir__free(w->memory[i].scratch);
  if (w->relay) {
    weir__free(w->relay->follower);
    weir__free(w->relay->sent);
    weir__free(w->relay);
  }
  weir__agreement_destroy(&w->ends);
  weir__steer_destroy(w);
  weir__trace_destroy(&w->trace);
  weir__plan_destroy(&w->plan);
  weir__mutex_destroy(&w->failure_lock);
  weir__free(w->step);
  weir__free(w->memory);
  weir__free(w->active_count);
  weir__free(w->latency);
  weir__free(w->done);
  weir__free((void *)w->outbox_next);
  weir__free(w);
  *worker = NULL;
}

weir_status weir__plan_estimate(const weir__graph *graph, int rank, int size, int forwarders,
                                weir__plan_summary *summary) {
  weir__plan *p = NULL;
  WEIR_TRY(weir__plan_create_alone(graph, rank, size, forwarders, &p));
  *summary = (weir__plan_summary){.tasks = p->tasks, .messages = p->messages_in};
  for (int i = 0; i < p->cells; i++)
    if (p->cell[i].message < 0 && p->cell[i].slot_piece < 0)
      summary->bytes += (int64_t)p->cell[i].bytes * p->cell[i].ring;
  for (int m = 0; m < p->messages_in; m++) summary->message_bytes += (int64_t)p->in[m].bytes;
  summary->bytes += summary->message_bytes * p->flight + (int64_t)p->state_bytes;
  weir__plan_destroy(&p);
  return WEIR_OK;
}
