/* What the plan decided and computed for the simulation, handed over step by step: weir__worker_deliver for each region
 * of a feedback field, then weir__worker_decided. Both keep the order of steps; any thread.
 *
 * The decisions of a step are absolute: every parameter's value, every steered trigger's settings. What differs from
 * the step before is a change; it is numbered, so that a channel ignores those it had from a worker that died. A
 * decision of step n takes effect at step n + delay; so after step n all is decided up to there, and that is the
 * horizon up to which processes may go. */
#include "exec/steer.h"
#include <stdio.h>
#include <string.h>

/* Below it there is room for the numbers of changes that are repeated. */
static const uint64_t FIRST_NUMBER = UINT64_C(1) << 32;

typedef struct weir__steer {
  int             count;   /* decisions of a step; 0: nothing is steered */
  int64_t         delay;   /* from a step to the first one that is not open any more: of decisions and of fields */
  int64_t         rows;    /* of `row`: steps in flight, and those whose decisions have not taken effect */
  double         *row;     /* the decisions of step n in row n % rows */
  double         *start;   /* before any decision */
  uint64_t        number;  /* of the next change */
  _Atomic int64_t decided; /* ordinal: all steps before are */
  _Atomic int64_t stop_at; /* ordinal; -1: none */
  _Atomic int     failing; /* somebody writes the message */
  _Atomic int     status;  /* of the first failure to post */
  char            message[256];
} weir__steer;

/* The first failure is told by the owner; any thread. */
static void keep_failure(weir__steer *self, weir_status status) {
  if (status >= 0 || atomic_exchange(&self->failing, 1)) return;
  snprintf(self->message, sizeof self->message, "%s", weir_error_last());
  atomic_store(&self->status, status);
}

static const weir__decisions *decisions(const weir__worker *w) { return &w->graph->decisions; }

static bool steered(const weir__worker *w) { return decisions(w)->node >= 0 || w->graph->feedbacks; }

/* ---- life ---- */

/* What holds before the first decision has taken effect. */
static void fill_start(const weir__worker *w, double *start) {
  const weir__decisions *d = decisions(w);
  for (int i = 0; i < d->parameters; i++) start[i] = d->initial[i];
  for (int i = 0; i < d->triggers; i++) {
    const weir__trigger *t           = &w->graph->trigger[d->trigger[i]];
    start[d->parameters + 3 * i]     = (double)t->period;
    start[d->parameters + 3 * i + 1] = (double)t->phase;
    start[d->parameters + 3 * i + 2] = t->interval;
  }
}

weir_status weir__worker_steer_create(weir__worker *w) {
  const weir__decisions *d = decisions(w);
  weir__steer           *self;
  if (!steered(w)) return WEIR_OK;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  w->steer     = self;
  self->delay  = INT64_MAX;
  self->number = FIRST_NUMBER;
  atomic_init(&self->stop_at, -1);
  if (d->node >= 0) {
    self->count = (int)w->graph->node[d->node].type[0].dim[0].size;
    self->delay = d->delay;
  }
  for (int i = 0; i < w->graph->feedbacks; i++)
    if (w->graph->feedback[i].lag < self->delay) self->delay = w->graph->feedback[i].lag;
  self->rows = w->steps + (d->node >= 0 ? d->delay : 0);
  WEIR_TRY(weir__alloc_array((size_t)(self->count * self->rows) + 1, sizeof *self->row, &self->row));
  WEIR_TRY(weir__alloc_array((size_t)self->count + 1, sizeof *self->start, &self->start));
  fill_start(w, self->start);
  return WEIR_OK;
}

void weir__worker_steer_destroy(weir__worker *w) {
  if (!w->steer) return;
  weir__free(w->steer->row);
  weir__free(w->steer->start);
  weir__free(w->steer);
  w->steer = NULL;
}

/* How long after the step that decided it the run ends: as soon as no worker can be further. */
static int64_t stop_notice(const weir__worker *w) {
  return decisions(w)->delay > w->plan->flight ? decisions(w)->delay : w->plan->flight;
}

void weir__worker_steer_begin(weir__worker *w) {
  weir__steer *self = w->steer;
  if (!self) return;
  atomic_store(&self->decided, w->begun);
  /* decided before the checkpoint: the rows go further back than the notice is long */
  int64_t first = w->begun > self->rows ? w->begun - self->rows : 0;
  for (int64_t n = first; self->count && n < w->begun && atomic_load(&self->stop_at) < 0; n++)
    if (self->row[(n % self->rows) * self->count + self->count - 1] != 0)
      atomic_store(&self->stop_at, n + stop_notice(w));
  if (w->intake) weir__intake_horizon(w->intake, w->retired_sequence + (uint64_t)self->delay);
}

uint64_t weir__worker_steer_changes(const weir__worker *w) { return w->steer ? w->steer->number - FIRST_NUMBER : 0; }

int64_t weir__worker_steer_ahead(const weir__worker *w) { return w->steer ? w->steer->delay : 0; }

/* ---- checkpoints ---- */

size_t weir__worker_steer_bytes(const weir__worker *w) {
  return w->steer ? sizeof w->steer->number + (size_t)(w->steer->count * w->steer->rows) * sizeof(double) : 0;
}

void weir__worker_steer_save(const weir__worker *w, char *bytes) {
  if (!w->steer) return;
  memcpy(bytes, &w->steer->number, sizeof w->steer->number);
  memcpy(bytes + sizeof w->steer->number, w->steer->row, weir__worker_steer_bytes(w) - sizeof w->steer->number);
}

void weir__worker_steer_load(weir__worker *w, const char *bytes) {
  if (!w->steer) return;
  memcpy(&w->steer->number, bytes, sizeof w->steer->number);
  memcpy(w->steer->row, bytes + sizeof w->steer->number, weir__worker_steer_bytes(w) - sizeof w->steer->number);
}

/* ---- steps ---- */

static double *row_of(const weir__steer *self, int64_t ordinal) {
  return self->row + (ordinal % self->rows) * self->count;
}

const double *weir__worker_decisions(const weir__worker *w, int64_t ordinal) {
  return ordinal < 0 ? w->steer->start : row_of(w->steer, ordinal);
}

/* For the step of this sequence number. */
static void post(weir__worker *w, uint64_t sequence, weir__channel_change_kind kind, int index, const double *value,
                 int values) {
  weir__steer         *self   = w->steer;
  weir__channel_change change = {.number = self->number++, .sequence = sequence, .kind = kind, .index = index};
  memcpy(change.value, value, (size_t)values * sizeof *value);
  if (w->intake) keep_failure(self, weir__intake_change(w->intake, &change));
}

/* Bytes, not values: NaN must not differ from itself. */
static bool same(const double *a, const double *b, int n) { return !memcmp(a, b, (size_t)n * sizeof *a); }

static bool parameter_changes(const weir__decisions *d, int i, const double *now, const double *before) {
  return d->parameter[i] >= 0 && !same(now + i, before + i, 1);
}

static bool trigger_changes(const weir__decisions *d, int i, const double *now, const double *before) {
  int at = d->parameters + 3 * i;
  return !same(now + at, before + at, 3);
}

static void post_changes(weir__worker *w, uint64_t sequence, const double *now, const double *before) {
  const weir__decisions *d = decisions(w);
  for (int i = 0; i < d->parameters; i++)
    if (parameter_changes(d, i, now, before)) post(w, sequence, WEIR__CHANGE_PARAMETER, d->parameter[i], now + i, 1);
  for (int i = 0; i < d->triggers; i++)
    if (trigger_changes(d, i, now, before))
      post(w, sequence, WEIR__CHANGE_TRIGGER, d->trigger[i], now + d->parameters + 3 * i, 3);
}

static uint64_t count_changes(const weir__worker *w, const double *now, const double *before) {
  const weir__decisions *d     = decisions(w);
  uint64_t               count = 0;
  for (int i = 0; i < d->parameters; i++) count += parameter_changes(d, i, now, before);
  for (int i = 0; i < d->triggers; i++) count += trigger_changes(d, i, now, before);
  return count;
}

/* It begins as a first one does: with the values it declares. What differs from them has numbers below that of the next
 * change: the workers after this one count on from there as well, whether they repeat this or not. */
weir_status weir__worker_steer_repeat(weir__worker *w) {
  weir__steer *self = w->steer;
  if (!self || !self->count) return WEIR_OK;
  int64_t       delay = decisions(w)->delay, first = w->begun - delay;
  const double *before = self->start;
  uint64_t      count  = 0;
  for (int64_t n = 0; n < delay; before = weir__worker_decisions(w, first + n++))
    count += count_changes(w, weir__worker_decisions(w, first + n), before);
  self->number -= count;
  before = self->start;
  for (int64_t n = 0; n < delay; before = weir__worker_decisions(w, first + n++))
    post_changes(w, (uint64_t)n, weir__worker_decisions(w, first + n), before);
  weir_status status = (weir_status)atomic_load(&self->status);
  return status < 0 ? WEIR_FAIL(status, "%s", self->message) : WEIR_OK;
}

void weir__worker_decided(weir__worker *w, weir__step *s, const double *vector, int count) {
  weir__steer *self = w->steer;
  if (self->count) {
    const double *before = weir__worker_decisions(w, s->ordinal - 1);
    double       *now    = row_of(self, s->ordinal);
    memcpy(now, vector ? vector : before, (size_t)self->count * sizeof *now); /* missing: nothing was decided */
    post_changes(w, s->sequence + (uint64_t)decisions(w)->delay, now, before);
    if (count && now[count - 1] != 0 && atomic_load(&self->stop_at) < 0)
      atomic_store(&self->stop_at, s->ordinal + stop_notice(w));
  }
  atomic_store(&self->decided, s->ordinal + 1);
  if (w->intake) weir__intake_horizon(w->intake, s->sequence + s->more + 1 + (uint64_t)self->delay);
  if (!w->intake) weir__worker_wake(w);
}

void weir__worker_deliver(weir__worker *w, weir__step *s, int piece, const weir_view *view) {
  const weir__local_feedback *local = &w->plan->feedback[piece];
  uint64_t                    when  = s->sequence + (uint64_t)w->graph->feedback[local->feedback].lag;
  keep_failure(w->steer, weir__intake_feedback(w->intake, local, when, view));
}

weir_status weir__worker_steer_settle(weir__worker *w) {
  int64_t stop_at;
  if (!w->steer) return WEIR_OK;
  stop_at = atomic_load_explicit(&w->steer->stop_at, memory_order_relaxed);
  if (stop_at >= 0) weir__worker_limit(w, stop_at);
  weir_status status = (weir_status)atomic_load(&w->steer->status);
  return status < 0 ? WEIR_FAIL(status, "%s", w->steer->message) : WEIR_OK;
}

/* ---- a source without a simulation ---- */

bool weir__worker_steer_open(const weir__worker *w) {
  return !w->steer || w->intake || !w->steer->count || w->begun < atomic_load(&w->steer->decided) + decisions(w)->delay;
}

weir__trigger weir__worker_steer_trigger(const weir__worker *w, int t) {
  const weir__decisions *d = decisions(w);
  if (w->steer && w->steer->count)
    for (int i = 0; i < d->triggers; i++) {
      if (d->trigger[i] != t) continue;
      const double *value = weir__worker_decisions(w, w->begun - d->delay) + d->parameters + 3 * i;
      return (weir__trigger){.period = (int64_t)value[0], .phase = (int64_t)value[1], .interval = value[2]};
    }
  return w->graph->trigger[t];
}
