/* Rules and the state they work on. Pure: the same values give the same decisions, everywhere and again. */
#include "steer/parts.h"
#include <math.h>
#include <string.h>

/* ---- the state ---- */

size_t weir__steering_state_size(const weir__steering *s) {
  size_t p = (size_t)s->parameters, o = (size_t)s->outputs;
  return sizeof(weir__steering_head) + ((size_t)s->delay + 2) * p * sizeof(double) +
         o * (2 * sizeof(weir__trigger) + sizeof(int64_t)) + (size_t)s->rules * sizeof(weir__rule_state);
}

weir__steering_state weir__steering_state_of(const weir__steering *s, void *memory) {
  weir__steering_state v;
  v.head     = memory; /* all members of all parts are 8 bytes wide */
  v.ring     = (double *)(v.head + 1);
  v.decided  = v.ring + (s->delay + 1) * s->parameters;
  v.trigger  = (weir__trigger *)(v.decided + s->parameters);
  v.before   = v.trigger + s->outputs;
  v.snapshot = (int64_t *)(v.before + s->outputs);
  v.rule     = (weir__rule_state *)(v.snapshot + s->outputs);
  return v;
}

double weir__steering_effective(const weir__steering *s, const weir__steering_state *state, int parameter,
                                int64_t ordinal) {
  if (ordinal < s->delay) return s->parameter[parameter].value;
  return state->ring[(ordinal - s->delay) % (s->delay + 1) * s->parameters + parameter];
}

/* ---- decisions ---- */

bool weir__steering_legal(const weir__steering_parameter *parameter, double value) {
  return isfinite(value) && value >= parameter->least && value <= parameter->most;
}

/* An output under a snapshot changes what it goes back to. */
static void set_trigger(weir__steering_state *state, int output, weir__trigger trigger) {
  if (state->snapshot[output]) state->before[output] = trigger;
  else state->trigger[output] = trigger;
}

void weir__steering_take(const weir__steering *s, weir__steering_state *state, const weir__decision *d) {
  if (d->kind == WEIR__STEER_REFUSED) state->head->refused++;
  else if (d->rule) state->head->by_rules++;
  else state->head->by_people++;
  switch (d->kind) {
  case WEIR__STEER_SET: state->decided[d->target] = d->value; break;
  case WEIR__STEER_START: set_trigger(state, d->target, s->output[d->target].declared); break;
  case WEIR__STEER_PAUSE: set_trigger(state, d->target, (weir__trigger){0}); break;
  case WEIR__STEER_EXTRACT: set_trigger(state, d->target, d->every); break;
  case WEIR__STEER_ONCE: /* every step, until the decisions of the next one take effect */
    if (!state->snapshot[d->target]) state->before[d->target] = state->trigger[d->target];
    state->snapshot[d->target] = 1;
    state->trigger[d->target]  = (weir__trigger){.period = 1};
    break;
  case WEIR__STEER_STOP: state->head->stopped = 1; break;
  case WEIR__STEER_REFUSED: break;
  }
}

/* ---- rules ---- */

static bool holds(double value) { return value == value && value != 0; }

static bool looked_at(const weir__trigger *every, int64_t step, double time, double previous) {
  if (!every->period && !(every->interval > 0)) return true;
  return weir__trigger_fires(every, step, time, previous);
}

static bool held_off(const weir__steering_rule *rule, const weir__rule_state *state, int64_t step, double time) {
  if (!state->fired) return false;
  if (rule->hold_steps && step - state->step < rule->hold_steps) return true;
  /* as in weir__trigger_fires: times are sums of small steps */
  return rule->hold_time > 0 && time - state->time < rule->hold_time * (1 - 1e-9);
}

bool weir__rule_fires(const weir__steering *s, weir__steering_state *all, int number, const double *value, int64_t step,
                      double time, double previous) {
  const weir__steering_rule *rule  = &s->rule[number];
  const weir__rule_slots    *slots = &s->slots[number];
  weir__rule_state          *state = &all->rule[number];
  if (!looked_at(&rule->every, step, time, previous)) return false;
  double when = value[slots->when];
  if (state->disarmed && when == 0 && (slots->reset < 0 || holds(value[slots->reset]))) state->disarmed = 0;
  if (!holds(when) || state->disarmed || (rule->once && state->fired) || held_off(rule, state, step, time))
    return false;
  *state = (weir__rule_state){.disarmed = 1, .fired = 1, .step = step, .time = time};
  return true;
}
