/* Steps begin when they have come and an instance is free, retire in order, and end everywhere at the same one.
 *
 * Usually a worker begins a step as soon as its own processes have published it, without asking the others: they will
 * publish it too. When that turns out wrong (a process died, or could not publish a step that others did), the workers
 * that know say so in a notice, all stop, and agree on the last step that is whole everywhere. Whoever has begun later
 * ones goes back to the last checkpoint, in the same process, and does the steps up to that one again: `again`. After a
 * step that was not whole (a tombstone), and always where steps are dropped by policy, workers agree on every step
 * before they begin it.
 *
 * A failure that is to stop the run makes a halt instead: what any worker has begun by then is whole, outputs may have
 * come to it, and so all finish it. They agree twice: on the newest step begun, and, once all have begun it, on the
 * end. */
#include "core/clock.h"
#include "exec/checkpoint.h"
#include "exec/steer.h"
#include <sched.h>
#include <string.h>

/* Values of the agreement on ends: the ordinal at which this worker stopped; the others are the largest, negated. */
enum { END_AT, END_BEGUN, END_AGAIN, END_KEPT, END_WHOLES, END_SAVED, END_HALTS, END_VALUES };
/* And on whole steps. */
enum { WHOLE_WHOLE, WHOLE_MORE, WHOLE_LAST, WHOLE_STEP, WHOLE_TIME, WHOLE_FIRED, WHOLE_SAVED, WHOLE_VALUES };
/* Of WHOLE_WHOLE: these, and why a step is torn. The least one is that of the step. */
enum { ENDED = -1, WHOLE = WEIR_GAP_NOT_PUBLISHED + 1 };
/* What agrees to anything. */
#define WHATEVER                                                                                                       \
  { WHOLE, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX }

weir_status weir__steps_create(weir__worker *w) {
  WEIR_TRY(weir__agreement_create(w->comm, END_VALUES, &w->ends));
  return weir__agreement_create(w->comm, WHOLE_VALUES, &w->wholes);
}

static bool recovers(const weir__worker *w) { return w->keeper && w->intake && !w->acknowledges; }

/* ---- arrival ---- */

static weir_status next_arrival(weir__worker *w, weir__arrival *arrival) {
  const weir__graph *graph = w->graph;
  if (weir__relay_follows(w)) return weir__relay_next(w, arrival);
  weir_status status;
  if (w->intake) {
    status = weir__intake_next(w->intake, arrival);
    if (status == WEIR_OK) weir__intake_settle(w->intake, arrival);
    return status;
  }
  status = w->source->next(w->source->self, w->begun, &arrival->step, &arrival->time);
  if (status != WEIR_OK) return status;
  *arrival =
      (weir__arrival){.step = arrival->step, .time = arrival->time, .sequence = (uint64_t)w->begun, .known = true};
  for (int t = 0; t < graph->triggers; t++) {
    weir__trigger trigger = weir__worker_steer_trigger(w, t);
    if (weir__trigger_fires(&trigger, arrival->step, arrival->time, w->last_time)) arrival->fired |= (uint64_t)1 << t;
  }
  return WEIR_OK;
}

/* Doubles as integers in the same order. */
static int64_t ordered(double x) {
  int64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits < 0 ? bits ^ INT64_MAX : bits;
}

static double unordered(int64_t bits) {
  double x;
  if (bits < 0) bits ^= INT64_MAX;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Whatever comes next does not begin here. */
static bool at_end(const weir__worker *w) {
  return (w->limit >= 0 && w->begun >= w->limit) || (w->halt >= 0 && w->begun >= w->halt);
}

/* Say what this worker knows of the next step. */
static weir_status ask_all(weir__worker *w) {
  int64_t     say[WHOLE_VALUES] = WHATEVER;
  weir_status status            = WEIR_OK;
  if (!weir__relay_follows(w)) { /* what does not see the simulation agrees to anything */
    status = at_end(w) ? WEIR_END : weir__intake_next(w->intake, &w->asked);
    if (status == WEIR_ERR_TIMEOUT || status < 0) return status;
    say[WHOLE_WHOLE] = status == WEIR_END ? ENDED : w->asked.torn ? (int64_t)w->asked.torn : WHOLE;
    say[WHOLE_MORE]  = (int64_t)w->asked.more;
    say[WHOLE_LAST]  = w->asked.last; /* numbers grow: the last of the fewest */
    say[WHOLE_SAVED] = w->asked.marks ? -w->asked.saved : INT64_MAX;
    if (w->asked.known) {
      say[WHOLE_STEP]  = w->asked.step;
      say[WHOLE_TIME]  = ordered(w->asked.time);
      say[WHOLE_FIRED] = (int64_t)w->asked.fired; /* all who know the step say the same */
    }
  }
  w->whole_rounds++;
  return weir__agreement_start(w->wholes, say);
}

/* The next step all agree on: whole, or torn and to be discarded everywhere. */
static weir_status agreed_arrival(weir__worker *w, weir__arrival *arrival) {
  const int64_t *say;
  bool           done;
  if (w->answered) { /* agreed on, and now the sponsor's announcement is waited for */
    WEIR_TRY(weir__relay_next(w, arrival));
    w->answered = false;
    return WEIR_OK;
  }
  if (!weir__agreement_running(w->wholes)) WEIR_TRY(ask_all(w));
  if (!weir__agreement_running(w->wholes)) return WEIR_ERR_TIMEOUT;
  WEIR_TRY(weir__agreement_test(w->wholes, &done, &say));
  if (!done) return WEIR_ERR_TIMEOUT;
  if (say[WHOLE_WHOLE] == ENDED) return WEIR_END;
  bool known = say[WHOLE_STEP] != INT64_MAX;
  if (weir__relay_follows(w)) {
    w->answered = known;
    return WEIR_ERR_TIMEOUT;
  }
  w->asked.torn  = say[WHOLE_WHOLE] == WHOLE ? WEIR_GAP_NONE : (weir_gap)say[WHOLE_WHOLE];
  w->asked.more  = (uint64_t)say[WHOLE_MORE];
  w->asked.last  = say[WHOLE_LAST];
  w->asked.known = known;
  if (known) {
    w->asked.step  = say[WHOLE_STEP];
    w->asked.time  = unordered(say[WHOLE_TIME]);
    w->asked.fired = (uint64_t)say[WHOLE_FIRED];
  }
  weir__intake_settle(w->intake, &w->asked);
  if (say[WHOLE_SAVED] != INT64_MAX) w->marks = true, w->saved = -say[WHOLE_SAVED];
  if (!known) return WEIR_ERR_TIMEOUT; /* in the middle of a long time for which nobody kept the steps apart */
  *arrival       = w->asked;
  arrival->marks = w->marks;
  arrival->saved = w->saved;
  w->marks       = false;
  return WEIR_OK;
}

/* ---- beginning ---- */

static weir_status post_receives(weir__worker *w, const weir__step *s) {
  const weir__plan *p    = w->plan;
  int               base = weir__worker_request(w, s);
  for (int i = 0; i < p->messages_in; i++) {
    if (weir__mailbox_brings(w, p->arrival[i])) continue;
    const weir__message *m       = &p->in[p->arrival[i]];
    weir__receive        receive = {.queue    = (int)s->slot,
                                    .slot     = base + p->arrival[i],
                                    .bytes    = weir__worker_incoming(s, m),
                                    .size     = m->bytes,
                                    .peer     = m->peer,
                                    .tag      = weir__worker_tag(w, m, s),
                                    .together = m->together};
    WEIR_TRY(weir__request_receive(w->requests, &receive));
  }
  return WEIR_OK;
}

/* What fired in a step that stands for several: outputs that are due in any of them are to learn that it is missing.
 * Of the later ones only the numbers are known; a trigger that follows decisions is taken as it was at the first. */
static uint64_t fired_of(const weir__worker *w, const weir__arrival *arrival) {
  const weir__graph *graph = w->graph;
  uint64_t           fired = arrival->fired;
  for (int t = 0; arrival->more && t < graph->triggers; t++) {
    const weir__trigger *trigger = &graph->trigger[t];
    uint64_t             bit     = (uint64_t)1 << t;
    if (graph->steered_triggers & bit) continue;
    if (trigger->interval > 0) fired |= bit;
    if (trigger->period <= 0) continue;
    int64_t after = (arrival->last - trigger->phase) % trigger->period; /* since the last time it fired */
    if (after < 0) after += trigger->period;
    if (arrival->last - after >= arrival->step) fired |= bit;
  }
  return fired;
}

static weir_status begin(weir__worker *w, const weir__arrival *arrival) {
  weir__step *s = weir__step_of(w, w->begun);
  s->ordinal    = w->begun;
  s->step       = arrival->step;
  s->time       = arrival->time;
  s->dt         = arrival->time - w->last_time; /* NaN at the first */
  s->fired      = fired_of(w, arrival);
  s->sequence   = arrival->sequence;
  s->more       = arrival->more;
  s->torn       = arrival->torn;
  s->last       = arrival->last;
  s->slot       = (uint32_t)(s->ordinal % w->plan->flight);
  s->mine       = !w->claims || w->claim == w->begun;
  if (w->claims && s->mine) s->claimed_turn = (size_t)(w->claimed++ % w->plan->claimed_flight);
  s->arrived_ns = weir__clock_ns();
  w->last_time  = arrival->time;
  w->last_step  = arrival->more ? arrival->last : arrival->step;
  if (!w->begun) w->first_step = arrival->step;
  for (uint32_t r = 1; r < WEIR__TURNS; r++) s->turn[r] = (uint32_t)(s->ordinal % r);
  for (int i = 0; i < w->graph->nodes; i++) {
    s->index[i] = w->active_count[i];
    w->active_count[i] += (w->triggers[i] & s->fired) != 0 || w->triggers[i] == ~(uint64_t)0;
  }
  if (w->plan->pieces) weir__intake_pieces_of(w->intake, w->plan, arrival, s->piece);
  atomic_store_explicit(&s->remaining, w->plan->sinks + (uint32_t)weir__relay_followers(w), memory_order_relaxed);
  w->in_slot[s->slot] = s;
  w->begun++;
  if (arrival->torn) weir__keeper_pass(w);
  if (w->requests) WEIR_TRY(post_receives(w, s));
  WEIR_TRY(weir__relay_announce(w, arrival, s));
  weir__worker_fire(w, s, w->plan->tasks,
                    w->options.threads); /* the emitter after the tasks: the beginning of a step */
  if (w->mailbox) WEIR_TRY(weir__mailbox_begin(w, s));
  w->stats.tasks += w->plan->tasks - (s->mine ? 0 : w->plan->claimed_tasks);
  return WEIR_OK;
}

/* A failure is to stop the run, and what all have to finish first is not agreed on yet. */
static bool halts(const weir__worker *w) { return w->halt >= 0 && !w->halted; }

/* No further step begins here. */
static weir_status stop(weir__worker *w) {
  int64_t say[END_VALUES];
  w->ended        = w->begun;
  w->ended_ns     = weir__clock_ns();
  say[END_AT]     = w->limit >= 0 && w->limit < w->begun ? w->limit : w->begun;
  say[END_BEGUN]  = -w->begun;
  say[END_AGAIN]  = -(int64_t)w->torn;
  say[END_KEPT]   = -weir__keeper_rounds(w);
  say[END_WHOLES] = -w->whole_rounds;
  say[END_SAVED]  = w->intake ? weir__intake_saved(w->intake) : INT64_MIN;
  say[END_HALTS]  = -(int64_t)halts(w);
  w->end_rounds++;
  if (!halts(w)) WEIR_TRY(weir__relay_announce_end(w));
  return weir__agreement_start(w->ends, say);
}

static weir_status tell_end(weir__worker *w, int64_t ordinal) {
  int64_t words[WEIR__NOTICE_WORDS] = {WEIR__NOTICE_END, ordinal};
  weir__worker_limit(w, ordinal);
  if (w->comm && weir__comm_size(w->comm) == 1) return WEIR_OK;
  WEIR_TRY(weir__comm_notice_send(w->comm, words));
  weir__neighbours_call(w);
  return WEIR_OK;
}

void weir__worker_limit(weir__worker *w, int64_t ordinal) {
  if (w->limit < 0 || ordinal < w->limit) w->limit = ordinal;
}

void weir__worker_halt(weir__worker *w, int64_t ordinal) {
  if (!w->halted && (w->halt < 0 || ordinal < w->halt)) w->halt = ordinal;
}

weir_status weir__steps_begin(weir__worker *w, bool *some) {
  bool agrees = w->options.agree_steps && w->intake && weir__comm_size(w->comm) > 1;
  /* whatever else has to be waited for: steps begun here after those of the others never retire, and open no gate */
  if (w->ended < 0 && at_end(w) && !agrees) return stop(w);
  while (w->ended < 0 && w->begun - w->retired < w->plan->flight && w->begun < weir__keeper_gate(w) &&
         weir__worker_steer_open(w)) {
    weir__arrival arrival = {0};
    weir_status   status;
    bool          known;
    if (at_end(w) && !agrees) return stop(w);
    WEIR_TRY(weir__claims_next(w, &known));
    if (!known) return WEIR_OK;
    if (w->holds) {
      arrival = w->held;
      status  = WEIR_OK;
    } else status = agrees ? agreed_arrival(w, &arrival) : next_arrival(w, &arrival);
    if (status == WEIR_ERR_TIMEOUT) return WEIR_OK;
    if (status < 0) return status;
    *some = true;
    if (status == WEIR_END) {
      if (w->intake && weir__intake_lost(w->intake)) WEIR_TRY(tell_end(w, w->begun));
      return stop(w);
    }
    if (arrival.torn && !agrees && recovers(w) && weir__comm_size(w->comm) > 1) {
      w->torn = true; /* others may have begun it */
      WEIR_TRY(tell_end(w, w->begun));
      return stop(w);
    }
    w->holds = arrival.marks && weir__keeper_mark(w, arrival.saved);
    if (w->holds) w->held = arrival;
    else WEIR_TRY(begin(w, &arrival));
  }
  return WEIR_OK;
}

/* ---- retiring ---- */

void weir__steps_retire(weir__worker *w, bool *some) {
  while (w->retired < w->begun) {
    weir__step *s = weir__step_of(w, w->retired);
    if (atomic_load_explicit(&s->remaining, memory_order_acquire)) return;
    w->retired_sequence = s->sequence + s->more + 1;
    if (w->intake) {
      weir__intake_done(w->intake, s->sequence);
      if (!w->keeper || w->acknowledges) weir__intake_acknowledge(w->intake, w->retired_sequence);
    }
    int64_t now                                  = weir__clock_ns();
    int64_t latency                              = now - s->arrived_ns;
    w->latency[w->latencies++ % WEIR__LATENCIES] = latency;
    w->in_slot[s->slot]                          = NULL;
    w->retired++;
    w->settled += w->claims && s->mine;
    *some          = true;
    w->stats.steps = w->retired;
    weir__worker_note_retired(w, s, now);
    if (!w->options.progress) continue;
    weir__progress progress = {w->retired, s->step, s->time, latency,
                               w->intake ? weir__intake_blocked_ns(w->intake) : 0};
    w->options.progress(w->options.progress_self, &progress);
  }
}

/* ---- the end ---- */

/* All rounds that anybody started are finished by all: then an agreement can be given back. */
static weir_status finish(weir__agreement *agreement, int64_t *rounds, int64_t most, const int64_t *nothing) {
  const int64_t *result;
  for (bool done; weir__agreement_running(agreement) || *rounds < most;) {
    if (!weir__agreement_running(agreement)) {
      ++*rounds;
      WEIR_TRY(weir__agreement_start(agreement, nothing));
    }
    WEIR_TRY(weir__agreement_test(agreement, &done, &result));
    if (!done) sched_yield();
  }
  return WEIR_OK;
}

static weir_status finish_rounds(weir__worker *w, int64_t wholes, int64_t kept) {
  static const int64_t nothing[WHOLE_VALUES] = WHATEVER;
  WEIR_TRY(finish(w->wholes, &w->whole_rounds, wholes, nothing));
  return weir__keeper_settle(w, kept);
}

/* All see the end at about the same time, unless a process of the simulation left before the others: then these may
 * be waiting for it, and it for the workers to have done with its steps. */
static weir_status tell_late(weir__worker *w) {
  enum { LATE_NS = 50000000 };
  if (!w->ended_ns || weir__clock_ns() - w->ended_ns < LATE_NS) return WEIR_OK;
  if (halts(w)) return WEIR_OK; /* they may be behind; they were told */
  w->ended_ns = 0;
  return tell_end(w, w->ended);
}

weir_status weir__steps_end(weir__worker *w, bool *some) {
  const int64_t *said;
  bool           done;
  if (w->ended < 0 || w->agreed) return WEIR_OK;
  WEIR_TRY(weir__agreement_test(w->ends, &done, &said));
  if (!done) return tell_late(w);
  *some = true;
  if (said[END_HALTS] < 0) {
    w->halted = true;
    w->halt   = -said[END_BEGUN];
    w->ended  = -1;
    return WEIR_OK;
  }
  w->agreed = true;
  w->end    = said[END_AT];
  w->torn   = said[END_AGAIN] < 0;
  w->ahead  = -said[END_BEGUN] > w->end;
  w->saved  = said[END_SAVED] == INT64_MAX ? INT64_MIN : said[END_SAVED];
  return finish_rounds(w, -said[END_WHOLES], -said[END_KEPT]);
}

weir_status weir__steps_leave(weir__worker *w) {
  static const int64_t nothing[END_VALUES] = {0};
  int64_t              most[]              = {w->whole_rounds, weir__keeper_rounds(w), w->end_rounds};
  WEIR_TRY(weir__comm_max(w->comm, most, 3));
  WEIR_TRY(finish_rounds(w, most[0], most[1]));
  return finish(w->ends, &w->end_rounds, most[2], nothing);
}

bool weir__steps_again(const weir__worker *w) { return recovers(w) && (w->ahead || w->torn); }

bool weir__worker_again(const weir__worker *w, int64_t *end_at, bool *agree_steps) {
  if (!w->agreed || !weir__steps_again(w)) return false;
  *end_at      = w->torn ? 0 : w->end;
  *agree_steps = w->options.agree_steps || w->torn;
  return true;
}
