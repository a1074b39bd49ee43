/* decide: the one node that takes decisions, in step order. */
#include "core/clock.h"
#include "steer/parts.h"
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct moment {
  weir__steering      *steer;
  weir__steering_state state;
  const weir_apply    *a;
  const double        *value;          /* packed; NULL: there are no rules */
  bool                 changed, asked; /* asked: by a person, who looks at what has become of it */
} moment;

static const int64_t SHOW_NS = 50000000; /* a file is not rewritten more often for rules that change much */

void weir__steering_note(weir__steering *s, const char *format, ...) {
  va_list arguments;
  if (*s->message) return;
  s->message_step = s->step;
  va_start(arguments, format);
  vsnprintf(s->message, sizeof s->message, format, arguments);
  va_end(arguments);
}

/* ---- taking a decision ---- */

static weir__decision now(const moment *m, weir__decision d) {
  d.step    = m->a->step;
  d.ordinal = m->a->ordinal;
  d.effect  = m->a->ordinal + m->steer->delay;
  if (d.kind == WEIR__STEER_SET) d.was = m->state.decided[d.target];
  return d;
}

/* Logged first. A rule's decision is taken even when the log cannot be written: it would be taken again. */
static void take(moment *m, const weir__decision *d, bool given) {
  if (weir__steering_log_add(m->steer, d, 1, given) < 0) weir__steering_note(m->steer, "%s", weir_error_last());
  weir__steering_take(m->steer, &m->state, d);
  m->changed = true;
}

static void note_refusal(weir__steering *s, const weir__decision *d) {
  const weir__steering_parameter *p = &s->parameter[d->target];
  weir__steering_note(s, "rule %d sets %s to %g, expected %g to %g; not applied", d->rule, p->name, d->value, p->least,
                      p->most);
}

static void take_given(moment *m) {
  weir__steering *s = m->steer;
  while (s->next < s->givens && s->given[s->next].step <= m->a->step) {
    weir__decision d = s->given[s->next++];
    if (d.step < m->a->step) {
      weir__steering_note(s, "a decision of step %" PRId64 " was not taken: there was no such step", d.step);
      continue;
    }
    weir__decision as = now(m, d);
    if (as.kind == WEIR__STEER_REFUSED) note_refusal(s, &as);
    take(m, &as, true);
  }
}

/* ---- people ---- */

static bool answered_before(moment *m, const char *id) {
  const weir__steering *s = m->steer;
  for (size_t i = 0; i < s->peoples; i++)
    if (!strcmp(s->people[i].id, id)) {
      weir__requests_answer(m->steer, id, "accepted step=%" PRId64 " effect=%" PRId64, s->people[i].step,
                            s->people[i].effect);
      return true;
    }
  return false;
}

static void take_request(moment *m, const weir__request *request) {
  weir__decision list[WEIR__REQUEST_VALUES_MAX];
  int            count;
  if (answered_before(m, request->id)) return;
  if (weir__requests_parse(m->steer, request, list, &count) < 0) {
    weir__requests_answer(m->steer, request->id, "refused %s", weir_error_last());
    return;
  }
  for (int i = 0; i < count; i++) list[i] = now(m, list[i]);
  if (weir__steering_log_add(m->steer, list, count, false) < 0) {
    weir__requests_answer(m->steer, request->id, "failed %s", weir_error_last());
    return;
  }
  for (int i = 0; i < count; i++) weir__steering_take(m->steer, &m->state, &list[i]);
  m->changed = m->asked = true;
  weir__requests_answer(m->steer, request->id, "accepted step=%" PRId64 " effect=%" PRId64, m->a->step,
                        m->a->ordinal + m->steer->delay);
}

/* ---- rules ---- */

static void act(moment *m, int rule, int i) {
  weir__steering              *s      = m->steer;
  const weir__steering_action *action = &s->rule[rule].action[i];
  const weir__rule_slots      *slots  = &s->slots[rule];
  weir__decision               d      = {.rule = rule + 1, .kind = action->kind, .target = action->target};
  if (d.kind == WEIR__STEER_SET) {
    d.value = slots->value[i] >= 0 ? m->value[slots->value[i]] : slots->constant[i];
    if (!weir__steering_legal(&s->parameter[d.target], d.value)) d.kind = WEIR__STEER_REFUSED;
  }
  d.every = action->every;
  d       = now(m, d);
  if (d.kind == WEIR__STEER_REFUSED) note_refusal(s, &d);
  take(m, &d, false);
}

static void evaluate(moment *m, double previous) {
  weir__steering *s = m->steer;
  for (int r = 0; r < s->rules; r++)
    if (weir__rule_fires(s, &m->state, r, m->value, m->a->step, m->a->time, previous))
      for (int i = 0; i < s->rule[r].actions; i++) act(m, r, i);
}

/* ---- a step ---- */

static void begin(moment *m) {
  weir__steering       *s    = m->steer;
  weir__steering_state *v    = &m->state;
  int64_t               last = v->head->started ? v->head->step : INT64_MIN;
  if (!s->opened && s->directory && weir__steering_log_open(s, last) < 0)
    weir__steering_note(s, "%s", weir_error_last());
  if (!s->opened && s->directory && !s->replays && weir__requests_open(s) < 0)
    weir__steering_note(s, "%s", weir_error_last());
  m->changed = !s->opened;
  s->opened  = true;
  if (!v->head->started) {
    for (int i = 0; i < s->parameters; i++) v->decided[i] = s->parameter[i].value;
    for (int i = 0; i < s->outputs; i++) v->trigger[i] = s->graph->trigger[s->output[i].trigger];
  }
  for (int i = 0; i < s->outputs; i++) {
    if (!v->snapshot[i]) continue;
    v->trigger[i]  = v->before[i];
    v->snapshot[i] = 0;
  }
}

static void end(moment *m) {
  const weir__steering *s       = m->steer;
  weir__steering_state *v       = &m->state;
  int64_t               ordinal = m->a->ordinal;
  double               *out     = m->a->out[0].data;
  v->head->started              = 1;
  v->head->step                 = m->a->step;
  v->head->ordinal              = ordinal;
  v->head->time                 = m->a->time;
  for (int i = 0; i < s->parameters; i++) { /* before its oldest row is written over */
    double before = ordinal ? weir__steering_effective(s, v, i, ordinal - 1) : s->parameter[i].value;
    m->changed |= weir__steering_effective(s, v, i, ordinal) != before;
  }
  for (int i = 0; i < s->parameters; i++)
    v->ring[ordinal % (s->delay + 1) * s->parameters + i] = *out++ = v->decided[i];
  for (int i = 0; i < s->outputs; i++) {
    *out++ = (double)v->trigger[i].period;
    *out++ = (double)v->trigger[i].phase;
    *out++ = v->trigger[i].interval;
  }
  *out = (double)v->head->stopped;
}

/* What changed shortly after the last time is shown with a later step. */
static void show(moment *m) {
  weir__steering *s = m->steer;
  s->stale |= m->changed;
  if (!s->stale || !s->directory) return;
  int64_t clock = weir__clock_ns();
  if (!m->asked && s->shown_ns && clock - s->shown_ns < SHOW_NS) return;
  if (weir__steering_shown_write(s, &m->state, m->a->ordinal) < 0) weir__steering_note(s, "%s", weir_error_last());
  s->stale    = false;
  s->shown_ns = clock;
}

static weir_status decide(const weir_apply *a) {
  weir__steering *s = ((const weir__steering_decide *)a->params)->steer;
  moment          m = {.steer = s, .state = weir__steering_state_of(s, a->state), .a = a};
  weir__request   request;
  double          previous = m.state.head->started ? m.state.head->time : (double)NAN;
  if (a->inputs) m.value = a->in[0].data;
  s->step = a->step;
  begin(&m);
  take_given(&m);
  if (!m.state.head->stopped && !s->replays) {
    while (s->directory && weir__requests_next(s, &request)) take_request(&m, &request);
    if (m.value) evaluate(&m, previous);
  }
  end(&m);
  show(&m);
  s->summary =
      (weir__steering_summary){m.state.head->by_rules, m.state.head->by_people, m.state.head->refused, 0, NULL};
  return WEIR_OK;
}

void weir__steering_summary_get(const weir__steering *s, weir__steering_summary *summary) {
  *summary         = s->summary;
  summary->step    = s->message_step;
  summary->message = *s->message ? s->message : NULL;
}

/* ---- the operator ---- */

static weir_status infer(weir_infer *infer) {
  const weir__steering_decide *p = infer->params;
  infer->out[0]                  = (weir_field_type){.dtype = WEIR_F64, .rank = 1};
  infer->out[0].dim[0]           = (weir_dimension){.name = "decision", .size = weir__steering_length(p->steer)};
  infer->from_axis[0][0]         = -1;
  return WEIR_OK;
}

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)in, (void)out;
  return weir__steering_state_size(((const weir__steering_decide *)params)->steer);
}

static const char *const input_names[] = {"values"};

const weir_operator weir__operator_decide = {.api             = WEIR_OPERATOR_API,
                                             .name            = "decide",
                                             .summary         = "rules and people's requests",
                                             .optional_inputs = 1,
                                             .input_names     = input_names,
                                             .params_size     = sizeof(weir__steering_decide),
                                             .in_order        = true,
                                             .accepts_missing = true,
                                             .infer           = infer,
                                             .need            = weir__need_whole,
                                             .state_size      = state_size,
                                             .apply           = decide};
