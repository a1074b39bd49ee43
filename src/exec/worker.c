/* The life of a worker's steps: begin when a step has come and an instance is free, count down as tasks and messages
 * complete, retire in order. One thread (the owner) talks to channels and MPI; in between it runs tasks like the
 * others. */
#include "core/clock.h"
#include "exec/checkpoint.h"
#include "exec/steer.h"
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- messages ---- */

/* From a worker that is known, messages of one tag come in the order of steps. Those of claimed steps come from
 * anybody: two that may be on their way at a time must differ, see weir__claims_window. */
int weir__worker_tag(const weir__worker *w, const weir__message *m, const weir__step *s) {
  int tag = w->plan->flight * (1 + m->tag) + (int)s->slot;
  if (!w->claims) return tag;
  int window = weir__claims_window(w);
  return m->claimed ? 2 * (window * m->tag + (int)(s->ordinal % window)) + 1 : 2 * tag;
}

/* All that tasks have packed so far: the request + 1 of the last one; 0: nothing. */
static uint32_t empty_outbox(weir__worker *w) {
  uint32_t head = atomic_load_explicit(&w->outbox, memory_order_relaxed);
  if (!head) return 0;
  if (w->options.threads) return atomic_exchange(&w->outbox, 0);
  atomic_store_explicit(&w->outbox, 0, memory_order_relaxed);
  return head;
}

weir_status weir__worker_send(weir__worker *w, weir__step *s, const weir__send *send) {
  bool over;
  WEIR_TRY(weir__request_send(w->requests, send, &over));
  weir__neighbours_tell(w, send->peer);
  if (over && s) (void)weir__worker_last(w, &s->remaining);
  return WEIR_OK;
}

static weir_status send_message(weir__worker *w, uint32_t request, bool *some) {
  int                  message = (int)(request & ((UINT32_C(1) << w->message_bits) - 1)) - w->plan->messages_in;
  const weir__message *m       = &w->plan->out[message];
  weir__step          *s       = w->in_slot[request >> w->message_bits];
  int64_t              began   = weir__worker_watch(w);
  const void          *bytes   = weir__worker_outgoing(s, m);
  size_t               size    = w->outbox_bytes[request];
  if (weir__mailbox_takes(w, message)) {
    if (!weir__mailbox_put(w, message, bytes, size)) {
      w->kept[w->keeps++] = request;
      return WEIR_OK;
    }
    (void)weir__worker_last(w, &s->remaining);
  } else {
    weir__send send = {.slot    = (int)request,
                       .bytes   = bytes,
                       .size    = size,
                       .peer    = m->peer,
                       .tag     = weir__worker_tag(w, m, s),
                       .matched = m->claimed};
    WEIR_TRY(weir__worker_send(w, s, &send));
  }
  weir__worker_trace_message(w, WEIR__TRACE_SEND, message, s, began);
  w->stats.messages++;
  w->stats.message_bytes += (int64_t)size;
  *some = true;
  return WEIR_OK;
}

static weir_status send_packed(weir__worker *w, bool *some) {
  int kept = w->keeps;
  w->keeps = 0;
  for (int i = 0; i < kept; i++) WEIR_TRY(send_message(w, w->kept[i], some)); /* at most as many are kept again */
  for (uint32_t head = empty_outbox(w); head;) {
    uint32_t request = head - 1;
    head             = atomic_load_explicit(&w->outbox_next[request], memory_order_relaxed);
    WEIR_TRY(send_message(w, request, some));
  }
  return WEIR_OK;
}

weir_status weir__worker_arrived(weir__worker *w, weir__step *s, int message) {
  const weir__message      *m     = &w->plan->in[message];
  const weir__message_head *head  = (const weir__message_head *)weir__worker_incoming(s, m);
  int64_t                   began = weir__worker_watch(w);
  if (head->step != s->step || head->ordinal != (uint32_t)s->ordinal)
    return WEIR_FAIL(
        WEIR_ERR_COMM,
        "worker %d is at step %lld, but worker %d sent step %lld: the processes do not publish the same steps",
        w->plan->rank, (long long)s->step, m->peer, (long long)head->step);
  if (m->bytes > WEIR__SMALL_MESSAGE) weir__neighbours_ring(w, m->peer); /* it may wait for our answer to be seen */
  weir__worker_fire(w, s, m->emitter, w->options.threads);
  weir__worker_trace_message(w, WEIR__TRACE_RECEIVE, message, s, began);
  (void)weir__worker_last(w, &s->remaining);
  return WEIR_OK;
}

static weir_status receive_some(weir__worker *w, bool *some) {
  int count;
  if (w->mailbox) WEIR_TRY(weir__mailbox_empty(w, some));
  if (!w->requests || weir__neighbours_silent(w)) return WEIR_OK;
  WEIR_TRY(weir__requests_test(w->requests, w->rests > 0, w->done, w->done_capacity, &count));
  for (int i = 0; i < count; i++) {
    int done = w->done[i];
    *some    = true;
    if (done < 0) {
      weir__relay_completed(w, done);
      continue;
    }
    weir__step *s       = w->in_slot[done >> w->message_bits];
    int         message = done & ((1 << w->message_bits) - 1);
    if (!s) return WEIR_FAIL(WEIR_ERR_INTERNAL, "a message completed for a step that is not in flight");
    if (message < w->plan->messages_in) {
      weir__neighbours_heard(w);
      WEIR_TRY(weir__worker_arrived(w, s, message));
    } else (void)weir__worker_last(w, &s->remaining);
  }
  return WEIR_OK;
}

void weir__worker_heed(weir__worker *w, const weir__notice *notice) {
  switch (notice->kind) {
  case WEIR__NOTICE_END: weir__worker_limit(w, notice->a); break;
  case WEIR__NOTICE_DISABLE: weir__failure_disable(w, (int)notice->a, notice->b); break;
  case WEIR__NOTICE_STOP: weir__worker_halt(w, notice->b); break;
  case WEIR__NOTICE_LEAVE: w->left = true; break;
  }
}

/* What workers say out of order: this one to the others at once, and they to it: a look costs as much as a few tasks,
 * and is made now and then, more often when there is nothing else to do. */
static weir_status pass_notices(weir__worker *w, bool *some) {
  enum { TURNS = 64, IDLE_TURNS = 16 };
  int64_t      words[WEIR__NOTICE_WORDS] = {0};
  weir__notice notice;
  bool         called = weir__neighbours_called(w);
  bool         heard = ++w->deaf >= (*some ? TURNS : w->rests ? 1 : IDLE_TURNS) || called, any = false;
  while (weir__failure_next_notice(w, &notice)) {
    memcpy(words, (int64_t[]){notice.kind, notice.a, notice.b}, 3 * sizeof *words);
    WEIR_TRY(weir__comm_notice_send(w->comm, words));
    weir__worker_heed(w, &notice);
    any = true;
  }
  if (heard) w->deaf = 0;
  while (heard) {
    WEIR_TRY(weir__comm_notice_receive(w->comm, words, &heard));
    if (!heard) break;
    notice = (weir__notice){(int)words[0], words[1], words[2]};
    weir__worker_heed(w, &notice);
    any = true;
  }
  if (any) weir__neighbours_call(w); /* it may have been passed on to one that sleeps */
  *some |= any;
  return WEIR_OK;
}

/* ---- sleeping ---- */

static void wake_owner(void *worker) {
  weir__worker *w = worker;
  if (w->door) {
    weir__doorbell_ring(w->door);
    return;
  }
  atomic_fetch_add(&w->bell, 1);
  if (atomic_load(&w->asleep)) weir__futex_wake(&w->bell, 1, false);
}

void weir__worker_wake(weir__worker *w) {
  if (w->options.threads) wake_owner(w); /* else the owner did it itself */
}

static void sleep_until_rung(weir__worker *w, int64_t timeout, uint32_t *seen, uint32_t bell) {
  if (w->door) {
    weir__doorbell_wait_or(w->door, seen, timeout, weir__mailbox_filled, w);
    return;
  }
  atomic_store(&w->asleep, 1);
  if (atomic_load(&w->bell) == bell) weir__futex_wait(&w->bell, bell, timeout, false);
  atomic_store(&w->asleep, 0);
}

/* Waits for messages are short ones: a worker that comes back late from one makes its partners wait in turn. */
enum { SLACK_NS = 1000 };

/* Messages of MPI have no sleeping wait: poll while one is due, at growing intervals. Neighbours on the node ring when
 * they sent. */
static void idle(weir__worker *w, int idle_rounds, uint32_t *seen, uint32_t bell) {
  enum {
    POLLS_NS         = 50000,
    LONGEST_NS       = 500000,
    RESTS_NS         = 4000000,
    BETWEEN_STEPS_NS = 200000000,
    MANY             = 400,
    SOON_NS          = 2000, /* what is on its way from another core is there by then */
    YIELDS           = 4
  };
  int64_t now   = weir__clock_ns();
  bool    polls = (w->requests && weir__requests_pending(w->requests)) || w->ended >= 0 || weir__keeper_busy(w) ||
               weir__agreement_running(w->wholes) || weir__claims_polls(w);
  if (!idle_rounds) w->idle_ns = now, w->rests = 0;
  int64_t timeout = polls ? (int64_t)10000 << (w->rests / 20 < 8 ? w->rests / 20 : 8) : BETWEEN_STEPS_NS;
  /* who makes room in a mailbox rings, unless the two looked at the same moment */
  if (!polls && w->keeps) timeout = RESTS_NS;
  /* steps from a source may be far apart, and nobody rings when worker 0 tells of one, or is asked for one */
  bool rests = polls && !w->intake && w->retired == w->begun && w->ended < 0 && !weir__keeper_busy(w);
  if (rests && w->rests > MANY) timeout = RESTS_NS;
  else if (polls && timeout > LONGEST_NS) timeout = LONGEST_NS;
  if ((polls || w->keeps || weir__mailbox_due(w)) && now - w->idle_ns < POLLS_NS) {
    weir__neighbours_listen(w);
    /* MPI may yield by itself in each look, and then twice */
    if (idle_rounds % YIELDS == YIELDS - 1 && now - w->idle_ns > SOON_NS) sched_yield();
    return;
  }
  w->rests++;
  weir__worker_beat(w, true, &timeout);
  int64_t began = weir__worker_watch(w);
  sleep_until_rung(w, timeout, seen, bell);
  if (w->trace) weir__trace_add(w->trace, w->options.threads, WEIR__TRACE_WAIT, 0, began, weir__clock_ns(), 0);
}

/* One turn of the owner. What tasks have packed goes out before anything else is looked at. */
static weir_status turn(weir__worker *w, bool *some) {
  WEIR_TRY(weir__steps_begin(w, some));
  WEIR_TRY(receive_some(w, some));
  WEIR_TRY(weir__claims_work(w, some));
  if (weir__pool_help(w->pool)) *some = true;
  WEIR_TRY(send_packed(w, some));
  weir__steps_retire(w, some);
  weir__mailbox_ring(w);
  WEIR_TRY(pass_notices(w, some)); /* a step that retires makes room for another, unless something in it ends the run */
  WEIR_TRY(weir__keeper_work(w, some));
  WEIR_TRY(weir__worker_steer_settle(w));
  return weir__steps_end(w, some);
}

/* A host must not hang because another one's analysis has failed: all hear of it, and leave together. */
static weir_status hosted_turn(weir__worker *w, bool *some) {
  weir_status status = turn(w, some);
  if (status < 0) {
    int64_t words[WEIR__NOTICE_WORDS] = {WEIR__NOTICE_LEAVE};
    char    message[1024];
    snprintf(message, sizeof message, "%s", weir_error_last());
    if (weir__comm_notice_send(w->comm, words) < 0) (void)0; /* the first failure stands */
    return WEIR_FAIL(status, "%s", message);
  }
  return w->left ? WEIR_FAIL(WEIR_ERR_GONE, "the analysis failed in another process") : WEIR_OK;
}

weir_status weir__worker_give_back(weir__worker *w) {
  enum { LOOK_NS = 10000000 };
  uint32_t seen = 0;
  if (!w->intake) return WEIR_OK;
  for (;;) {
    weir_status status  = weir__intake_back_give(w->intake);
    int64_t     timeout = LOOK_NS;
    if (status != WEIR_ERR_TIMEOUT) return status;
    weir__worker_beat(w, true, &timeout);
    weir__doorbell_wait(weir__intake_doorbell(w->intake), &seen, timeout);
  }
}

void weir__worker_enter(weir__worker *w) { weir__worker_steer_begin(w); }

bool weir__worker_left(const weir__worker *w) { return w->left; }

weir_status weir__worker_advance(weir__worker *w) {
  int64_t  started = weir__clock_ns();
  int      rounds  = 0;
  uint32_t seen    = 0;
  do {
    bool     some = false;
    uint32_t bell = atomic_load(&w->bell);
    WEIR_TRY(hosted_turn(w, &some));
    weir__worker_beat(w, false, NULL);
    if (some) rounds = 0;
    else idle(w, rounds++, &seen, bell);
    if (w->ended >= 0 || w->halted) return WEIR_END; /* they may see the one or the other; all begin the same steps */
  } while (w->retired < w->begun || w->holds || weir__intake_queued(w->intake));
  w->stats.run_ns += weir__clock_ns() - started;
  return WEIR_OK;
}

weir_status weir__worker_leave(weir__worker *w) { return weir__steps_leave(w); }

static weir_status run_to_end(weir__worker *w) {
  bool     hosted  = w->intake && weir__intake_hosted(w->intake);
  int64_t  started = weir__clock_ns();
  int      rounds  = 0;
  uint32_t seen    = 0;
  bool     last    = false;
  if (!hosted) WEIR_TRY(weir__worker_give_back(w));
  WEIR_TRY(weir__claims_begin(w));
  weir__worker_steer_begin(w);
  for (;;) {
    bool     some = false;
    uint32_t bell = atomic_load(&w->bell);
    WEIR_TRY(hosted ? hosted_turn(w, &some) : turn(w, &some));
    if (w->agreed && weir__steps_again(w)) break;
    if (w->agreed && w->retired >= w->end && !last) {
      last = true;
      if (w->retired == w->begun) WEIR_TRY(weir__keeper_last(w, w->saved));
    }
    if (last && !weir__keeper_busy(w)) break;
    weir__worker_beat(w, false, NULL);
    if (some) rounds = 0;
    else idle(w, rounds++, &seen, bell);
  }
  w->stats.run_ns += weir__clock_ns() - started;
  return weir__comm_notices_end(w->comm);
}

weir_status weir__worker_run(weir__worker *w) {
  bool        hosted = w->intake && weir__intake_hosted(w->intake); /* then the thread is the simulation's */
  int64_t     slack  = hosted ? 0 : weir__thread_slack(SLACK_NS);
  weir_status status = run_to_end(w);
  if (!hosted) weir__thread_slack(slack);
  /* other threads may still be at the end of a task, or run those of steps that are given up; and the caller closes
   * what they write to */
  w->stats.wakes = (int64_t)weir__pool_wakes(w->pool);
  weir__pool_destroy(&w->pool);
  if (status < 0 || weir__steps_again(w)) return status;
  if (w->intake) weir__intake_complete(w->intake);
  return weir__failures_gather(w);
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
  }
  return WEIR_OK;
}

void weir__worker_arm(weir__worker *w) {
  const weir__plan *p     = w->plan;
  weir__step       *first = weir__step_of(w, w->begun);
  for (int i = 0; i < w->steps; i++)
    for (int t = 0; t < p->tasks; t++)
      atomic_store_explicit(&w->step[i].counter[t], p->degree[t], memory_order_relaxed);
  /* the first step has none before it: what would wait for that one does not */
  for (int e = 0; e < p->emitters; e++)
    for (uint32_t i = p->next.first[e]; i < p->next.first[e + 1]; i++)
      atomic_fetch_sub_explicit(&first->counter[p->next.target[i]], 1, memory_order_relaxed);
}

static weir_status allocate_requests(weir__worker *w) {
  const weir__plan *p         = w->plan;
  int               followers = weir__relay_followers(w);
  int               sends     = p->flight * p->messages_out + (p->flight + 1) * followers;
  w->done_capacity            = p->flight * p->messages_in + sends + 1;
  while ((p->messages_in + p->messages_out + followers) >> w->message_bits) w->message_bits++;
  size_t numbers = (size_t)p->flight << w->message_bits;
  WEIR_TRY(weir__alloc_array((size_t)p->flight, sizeof *w->in_slot, &w->in_slot));
  WEIR_TRY(weir__alloc_array((size_t)w->done_capacity, sizeof *w->done, &w->done));
  WEIR_TRY(weir__alloc_array(numbers, sizeof *w->outbox_next, &w->outbox_next));
  WEIR_TRY(weir__alloc_array(numbers, sizeof *w->outbox_bytes, &w->outbox_bytes));
  WEIR_TRY(weir__alloc_array((size_t)p->flight * (size_t)p->messages_out + 1, sizeof *w->kept, &w->kept));
  /* of each step in flight those it waits for, and one more for announcements */
  return p->size > 1 ? weir__requests_create(w->comm, p->flight + 1, p->messages_in + 1, sends, &w->requests) : WEIR_OK;
}

static void settle_options(weir__worker *w) {
  if (w->options.threads < 0) {
    int share          = weir__cores() / weir__comm_node_size(w->comm);
    w->options.threads = share > 1 ? share - 1 : 0;
  }
  w->first_core = w->options.pin ? weir__comm_node_rank(w->comm) * (w->options.threads + 1) : -1;
}

static weir_status allocate(weir__worker *w) {
  size_t all = (size_t)w->options.threads + 1;
  WEIR_TRY(weir__failures_create(w->graph, &w->failures));
  WEIR_TRY(allocate_steps(w));
  WEIR_TRY(weir__worker_steer_create(w));
  WEIR_TRY(allocate_requests(w));
  WEIR_TRY(weir__alloc_array((size_t)w->graph->nodes + 1, sizeof *w->active_count, &w->active_count));
  WEIR_TRY(weir__alloc_array((size_t)w->graph->nodes + 1, sizeof *w->triggers, &w->triggers));
  for (int i = 0; i < w->graph->nodes; i++) w->triggers[i] = w->graph->node[i].triggers;
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
  settle_options(w);
  if (w->options.claims && w->source && !plan.forwarders && weir__comm_size(w->comm) > 1) {
    plan.claimed_flight = plan.flight;
    plan.flight         = weir__comm_size(w->comm) * (plan.flight + 1); /* all that others may have claimed, and own */
  }
  if (w->intake)
    WEIR_TRY(weir__comm_agree(w->comm, weir__intake_pieces(w->intake, w->graph, &plan.piece, &plan.pieces)));
  if (w->intake)
    WEIR_TRY(weir__comm_agree(w->comm, weir__intake_feedbacks(w->intake, w->graph, &plan.feedback, &plan.feedbacks)));
  WEIR_TRY(weir__plan_create(w->graph, w->comm, &plan, &w->plan));
  WEIR_TRY(weir__relay_create(w));
  WEIR_TRY(weir__steps_create(w));
  WEIR_TRY(weir__claims_create(w));
  WEIR_TRY(weir__neighbours_create(w));
  WEIR_TRY(weir__mailbox_create(w));
  WEIR_TRY(weir__comm_agree(w->comm, allocate(w)));
  weir__worker_arm(w);
  WEIR_TRY(weir__trace_create(w->comm, w->options.threads, w->options.trace_events, &w->trace));
  count_plan(w);
  if (w->intake) WEIR_TRY(weir__comm_agree(w->comm, weir__intake_demand(w->intake, w->plan, &w->options)));
  return weir__keeper_create(w); /* it depends on the slots */
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
  w->ended = w->end = w->limit = w->halt = -1;
  if (w->options.end_at > 0) w->limit = w->options.end_at;
  w->last_time = NAN;
  w->last_step = w->first_step = INT64_MIN;
  if (w->options.steps_in_flight < 1) w->options.steps_in_flight = WEIR__STEPS_IN_FLIGHT;
  w->acknowledges = intake && weir__intake_hosted(intake); /* nothing of a step is left when its process dies */
  WEIR_TRY_GOTO(out, compile(w));
  if (source && source->attach) source->attach(source->self, wake_owner, w);
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
  *stats         = w->stats;
  stats->claimed = w->claimed;
  if (w->pool) stats->wakes = (int64_t)weir__pool_wakes(w->pool);
  if (w->intake) {
    stats->blocked_ns   = weir__intake_blocked_ns(w->intake);
    stats->intake_bytes = weir__intake_bytes(w->intake);
    weir__intake_counts(w->intake, stats);
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
  if (w->source && w->source->attach) w->source->attach(w->source->self, NULL, NULL);
  weir__pool_destroy(&w->pool);
  weir__requests_destroy(&w->requests);
  for (int i = 0; w->step && i < w->steps; i++) {
    weir__free(w->step[i].index);
    weir__free((void *)w->step[i].piece);
    weir__free((void *)w->step[i].counter);
  }
  for (int i = 0; w->memory && i <= w->options.threads; i++) weir__free(w->memory[i].scratch);
  weir__mailbox_destroy(w);
  weir__neighbours_destroy(w);
  weir__relay_destroy(w);
  weir__claims_destroy(w);
  weir__keeper_destroy(w);
  weir__trace_destroy(&w->trace);
  weir__agreement_destroy(&w->ends);
  weir__worker_steer_destroy(w);
  weir__agreement_destroy(&w->wholes);
  weir__plan_destroy(&w->plan);
  weir__failures_clear(w->graph, &w->failures);
  weir__free(w->step);
  weir__free(w->memory);
  weir__free(w->triggers);
  weir__free(w->active_count);
  weir__free(w->latency);
  weir__free(w->done);
  weir__free(w->in_slot);
  weir__free((void *)w->outbox_next);
  weir__free(w->outbox_bytes);
  weir__free(w->kept);
  weir__free(w);
  *worker = NULL;
}

weir_status weir__plan_estimate(const weir__graph *graph, int rank, int size, int forwarders, int flight,
                                weir__plan_summary *summary) {
  weir__plan_options options = {.flight = flight > 0 ? flight : WEIR__STEPS_IN_FLIGHT, .forwarders = forwarders};
  weir__plan        *p       = NULL;
  WEIR_TRY(weir__plan_create_alone(graph, rank, size, &options, &p));
  *summary = (weir__plan_summary){.tasks = p->tasks, .messages = p->messages_in};
  for (int i = 0; i < p->cells; i++)
    if (p->cell[i].message < 0 && p->cell[i].slot_piece < 0)
      summary->bytes += (int64_t)p->cell[i].bytes * p->cell[i].ring;
  for (int m = 0; m < p->messages_in; m++) summary->message_bytes += (int64_t)p->in[m].bytes;
  summary->bytes += summary->message_bytes * p->flight + (int64_t)p->state_bytes;
  weir__plan_destroy(&p);
  return WEIR_OK;
}
