/* Steering as a part of the graph. */
#include "steer/parts.h"
#include <string.h>

int weir__steering_length(const weir__steering *s) { return s->parameters + 3 * s->outputs + 1; }

/* ---- parameters ---- */

static weir_status add_scalar(weir__graph *graph, double value, int index, weir__edge *edge) {
  weir__steering_scalar params = {value, index};
  weir__edge            none   = {.node = -1};
  int                   node;
  WEIR_TRY(weir__graph_add_operator(graph, &weir__operator_parameter, &params, &none, 1, NULL, (weir__place){0}, NULL,
                                    &node));
  graph->node[node].own_pace = true;
  *edge                      = (weir__edge){node, 0};
  return WEIR_OK;
}

static weir_status add_parameter(weir__graph *graph, const weir__steering_parameter *p, int index) {
  weir__edge steered, decided;
  WEIR_TRY(weir__graph_parameter(graph, p->name, p->value));
  WEIR_TRY(add_scalar(graph, p->value, index, &steered));
  WEIR_TRY(add_scalar(graph, p->value, index, &decided));
  graph->parameter[graph->parameters - 1].steered = steered;
  graph->parameter[graph->parameters - 1].decided = decided;
  return WEIR_OK;
}

weir_status weir__steering_create(weir__graph *graph, const weir__steering_parameter *parameter, int parameters,
                                  int64_t delay, weir__steering **steer) {
  weir__steering *self;
  weir_status     status = WEIR_OK;
  if (delay < 1 || delay > WEIR__STEER_DELAY_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "a delay of %lld steps, expected 1 to %d", (long long)delay,
                     WEIR__STEER_DELAY_MAX);
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->graph      = graph;
  self->delay      = delay;
  self->parameter  = parameter;
  self->parameters = parameters;
  for (int i = 0; status >= 0 && i < parameters; i++) status = add_parameter(graph, &parameter[i], i);
  if (status < 0) weir__steering_destroy(&self);
  else *steer = self;
  return status;
}

void weir__steering_destroy(weir__steering **steer) {
  weir__steering *self = *steer;
  if (!self) return;
  weir__free(self->given);
  weir__free(self->people);
  weir__free(self);
  *steer = NULL;
}

/* ---- rules ---- */

typedef struct scalars {
  weir__steering *steer;
  weir__edge     *edge;
  int             count;
} scalars;

static weir_status want(weir__graph *graph, int node, const weir__trigger *every) {
  int trigger;
  if (!every->period && !(every->interval > 0)) {
    weir__graph_want_published(graph, node);
    return WEIR_OK;
  }
  WEIR_TRY(weir__graph_trigger(graph, *every, &trigger));
  weir__graph_want(graph, node, trigger);
  return WEIR_OK;
}

/* An expression of a rule: its place in the packed vector. */
static weir_status add_expression(scalars *all, const weir__steering_rule *rule, const char *text, weir__place place,
                                  bool decided, int *slot) {
  weir__graph *graph = all->steer->graph;
  weir__edge   edge;
  if (decided) WEIR_TRY(weir__graph_expression_decided(graph, text, place, &edge));
  else WEIR_TRY(weir__graph_expression(graph, text, place, &edge));
  const weir_field_type *type = weir__edge_type(graph, edge);
  if (type->rank)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s:%d:%d: '%s' is a field with dimension %s: expected a single number, such as "
                     "its mean() or max()",
                     place.file ? place.file : "", place.line, place.column, text, type->dim[0].name);
  WEIR_TRY(want(graph, edge.node, &rule->every));
  *slot                   = all->count;
  all->edge[all->count++] = edge;
  return WEIR_OK;
}

static weir_status add_rule(scalars *all, const weir__steering_rule *rule, weir__rule_slots *slots) {
  weir__arena *arena = &all->steer->graph->arena;
  slots->reset       = -1;
  WEIR_TRY(weir__arena_alloc(arena, (size_t)rule->actions * sizeof *slots->value, &slots->value));
  WEIR_TRY(weir__arena_alloc(arena, (size_t)rule->actions * sizeof *slots->constant, &slots->constant));
  WEIR_TRY(add_expression(all, rule, rule->when, rule->when_place, false, &slots->when));
  if (rule->reset) WEIR_TRY(add_expression(all, rule, rule->reset, rule->reset_place, false, &slots->reset));
  for (int i = 0; i < rule->actions; i++) {
    const weir__steering_action *action = &rule->action[i];
    slots->value[i]                     = -1;
    if (action->kind != WEIR__STEER_SET || weir__text_to_double(action->value, &slots->constant[i])) continue;
    WEIR_TRY(add_expression(all, rule, action->value, action->place, true, &slots->value[i]));
  }
  return WEIR_OK;
}

static weir_status add_pack(weir__graph *graph, const weir__edge *edge, int count, int *node) {
  WEIR_TRY(
      weir__graph_add_operator(graph, &weir__operator_pack, NULL, edge, count, NULL, (weir__place){0}, NULL, node));
  graph->node[*node].own_pace = true;
  weir__graph_want_published(graph, *node);
  return WEIR_OK;
}

/* Sixteen by sixteen, in order, until one vector is left. */
static weir_status pack(weir__graph *graph, weir__edge *edge, int count, int *node) {
  do {
    int packs = 0;
    for (int i = 0; i < count; i += WEIR_INPUTS_MAX) {
      WEIR_TRY(add_pack(graph, edge + i, count - i < WEIR_INPUTS_MAX ? count - i : WEIR_INPUTS_MAX, node));
      edge[packs++] = (weir__edge){*node, 0};
    }
    count = packs;
  } while (count > 1);
  return WEIR_OK;
}

static weir_status describe(weir__steering *s, int node) {
  weir__graph *graph = s->graph;
  int         *parameter, *trigger;
  double      *initial;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)s->parameters * sizeof *parameter, &parameter));
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)s->parameters * sizeof *initial, &initial));
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)s->outputs * sizeof *trigger, &trigger));
  for (int i = 0; i < s->parameters; i++) parameter[i] = s->parameter[i].number;
  for (int i = 0; i < s->parameters; i++) initial[i] = s->parameter[i].value;
  for (int i = 0; i < s->outputs; i++) trigger[i] = s->output[i].trigger;
  graph->decisions = (weir__decisions){.node       = node,
                                       .delay      = s->delay,
                                       .parameters = s->parameters,
                                       .triggers   = s->outputs,
                                       .parameter  = parameter,
                                       .initial    = initial,
                                       .trigger    = trigger};
  return WEIR_OK;
}

static weir_status close_loops(weir__steering *s, int node) {
  weir__graph *graph = s->graph;
  for (int i = 0; i < s->parameters; i++)
    for (int k = 0; k < graph->parameters; k++) {
      const weir__parameter *p = &graph->parameter[k];
      if (strcmp(p->name, s->parameter[i].name)) continue;
      WEIR_TRY(weir__graph_close_loop(graph, p->steered.node, 0, (weir__edge){node, 0}, s->delay));
      WEIR_TRY(weir__graph_close_loop(graph, p->decided.node, 0, (weir__edge){node, 0}, 1));
    }
  return WEIR_OK;
}

weir_status weir__steering_rules(weir__steering *s, const weir__steering_rule *rule, int rules,
                                 const weir__steering_output *output, int outputs, const char *directory,
                                 const char *replay) {
  weir__graph          *graph  = s->graph;
  scalars               all    = {.steer = s};
  weir__steering_decide params = {s};
  weir__edge            values;
  size_t                most = 0;
  int                   node;
  s->rule = rule, s->rules = rules, s->output = output, s->outputs = outputs, s->directory = directory;
  for (int r = 0; r < rules; r++) most += 2 + (size_t)rule[r].actions;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)rules * sizeof *s->slots, &s->slots));
  WEIR_TRY(weir__arena_alloc(&graph->arena, most * sizeof *all.edge, &all.edge));
  for (int r = 0; r < rules; r++) WEIR_TRY(add_rule(&all, &rule[r], &s->slots[r]));
  if (all.count) WEIR_TRY(pack(graph, all.edge, all.count, &values.node));
  values.output = 0;
  WEIR_TRY(weir__graph_add_operator(graph, &weir__operator_decide, &params, &values, all.count > 0, NULL,
                                    (weir__place){0}, NULL, &node));
  graph->node[node].own_pace = true;
  weir__graph_want_published(graph, node);
  WEIR_TRY(close_loops(s, node));
  WEIR_TRY(describe(s, node));
  s->replays = replay != NULL;
  return replay ? weir__steering_log_replay(s, replay) : WEIR_OK;
}

/* ---- feedback ---- */

weir_status weir__steering_feedbacks(weir__graph *graph, const weir__steering_feedback *feedback, int count) {
  weir__feedback *list;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)count * sizeof *list, &list));
  for (int i = 0; i < count; i++) {
    const weir__steering_feedback *f = &feedback[i];
    list[i]           = (weir__feedback){.name = f->name, .place = f->place, .lag = f->lag, .timeout_s = f->timeout_s};
    list[i].when_late = f->when_late;
    WEIR_TRY(weir__graph_expression(graph, f->text, f->place, &list[i].edge));
    if (graph->node[list[i].edge.node].is_static)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: feedback %s: '%s' never changes, expected a field of each step",
                       f->place.file ? f->place.file : "", f->place.line, f->place.column, f->name, f->text);
    WEIR_TRY(want(graph, list[i].edge.node, &f->every));
  }
  graph->feedback  = list;
  graph->feedbacks = count;
  return WEIR_OK;
}
