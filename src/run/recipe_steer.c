/* `parameters:`, `steering:`, `rules:` and `feedback:` of a recipe. */
#include "run/build.h"
#include <math.h>
#include <string.h>

static const double DEFAULT_FEEDBACK_TIMEOUT_S = 10;

typedef struct reading {
  weir__recipe           *recipe;
  weir__recipe_parameter *parameter;
  weir__recipe_rule      *rule;
  weir__recipe_feedback  *feedback;
  weir__recipe_action     action; /* of `extract`: for the output being read */
} reading;

/* ---- parameters ---- */

static weir_status read_value(void *context, const weir__yaml *value) {
  return weir__yaml_to_real(value, "value", &((reading *)context)->parameter->value);
}

static weir_status read_least(void *context, const weir__yaml *value) {
  return weir__yaml_to_real(value, "least", &((reading *)context)->parameter->least);
}

static weir_status read_most(void *context, const weir__yaml *value) {
  return weir__yaml_to_real(value, "most", &((reading *)context)->parameter->most);
}

static weir_status read_parameter(const weir__yaml *value, weir__recipe_parameter *p) {
  static const weir__yaml_key keys[] = {{"value", read_value}, {"least", read_least}, {"most", read_most}, {0}};
  reading                     r      = {.parameter = p};
  if (value->kind != WEIR__YAML_MAP) return weir__yaml_to_real(value, p->name, &p->value);
  WEIR_TRY(weir__yaml_read(value, p->name, keys, &r));
  if (!weir__yaml_get(value, "value")) return WEIR__YAML_FAIL(value, "%s: value is missing", p->name);
  if (!(p->least <= p->value && p->value <= p->most))
    return WEIR__YAML_FAIL(value, "%s is %g, expected %g to %g", p->name, p->value, p->least, p->most);
  return WEIR_OK;
}

weir_status weir__recipe_read_parameters(weir__arena *arena, const weir__yaml *value,
                                         weir__recipe_parameter **parameter, int *parameters) {
  weir__recipe_parameter *list;
  if (value->kind != WEIR__YAML_MAP) return WEIR__YAML_FAIL(value, "parameters: expected names with numbers");
  WEIR_TRY(weir__arena_alloc(arena, (size_t)value->count * sizeof *list, &list));
  for (int i = 0; i < value->count; i++) {
    WEIR_TRY(weir__recipe_check_name(value->key[i], "parameter"));
    list[i] = (weir__recipe_parameter){
        .name = value->key[i]->text, .place = value->key[i]->place, .least = -INFINITY, .most = INFINITY};
    WEIR_TRY(read_parameter(value->item[i], &list[i]));
  }
  *parameter  = list;
  *parameters = value->count;
  return WEIR_OK;
}

/* ---- rules ---- */

static weir_status read_expression(const weir__yaml *value, const char *what, weir__recipe_text *out) {
  const char *text;
  WEIR_TRY(weir__yaml_to_text(value, what, &text));
  *out = weir__recipe_text_of(value);
  return WEIR_OK;
}

static weir_status read_when(void *context, const weir__yaml *value) {
  return read_expression(value, "when", &((reading *)context)->rule->when);
}

static weir_status read_reset(void *context, const weir__yaml *value) {
  return read_expression(value, "reset", &((reading *)context)->rule->reset);
}

/* "20 steps", "6 h". */
static weir_status read_hold(void *context, const weir__yaml *value) {
  weir__every *hold = &((reading *)context)->rule->hold;
  char         number[32];
  size_t       length = value->kind == WEIR__YAML_TEXT ? strspn(value->text, "0123456789") : 0;
  const char  *unit   = length ? value->text + length + strspn(value->text + length, " ") : "";
  hold->place         = value->place;
  hold->text          = value->text;
  if (length && length < sizeof number && (!*unit || !strcmp(unit, "steps") || !strcmp(unit, "step"))) {
    memcpy(number, value->text, length);
    number[length] = 0;
    if (weir__text_to_int64(number, &hold->steps) && hold->steps > 0) return WEIR_OK;
  }
  if (weir__recipe_read_duration(value, "hold", &hold->seconds) >= 0) return WEIR_OK;
  return WEIR__YAML_FAIL(value, "hold: expected a number of steps or a time, such as 20 steps or 6 h");
}

static weir_status read_once(void *context, const weir__yaml *value) {
  return weir__yaml_to_bool(value, "once", &((reading *)context)->rule->once);
}

static weir_status read_rule_every(void *context, const weir__yaml *value) {
  return weir__recipe_read_every(value, &((reading *)context)->rule->every);
}

static weir_status add_action(reading *r, const weir__recipe_action *action) {
  weir__recipe_rule   *rule = r->rule;
  weir__recipe_action *list;
  WEIR_TRY(weir__arena_alloc(&r->recipe->arena, (rule->actions + 1) * sizeof *list, &list));
  if (rule->actions) memcpy(list, rule->action, rule->actions * sizeof *list);
  list[rule->actions++] = *action;
  rule->action          = list;
  return WEIR_OK;
}

static weir_status check_map(const weir__yaml *value, const char *what, const char *such_as) {
  if (value->kind == WEIR__YAML_MAP && value->count) return WEIR_OK;
  return WEIR__YAML_FAIL(value, "%s: expected %s", what, such_as);
}

static weir_status read_set(void *context, const weir__yaml *value) {
  WEIR_TRY(check_map(value, "set", "values by parameter, such as {wind: \"0.9 * wind\"}"));
  for (int i = 0; i < value->count; i++) {
    weir__recipe_action action = {.kind = WEIR__STEER_SET, .name = weir__recipe_text_of(value->key[i])};
    WEIR_TRY(read_expression(value->item[i], action.name.text, &action.value));
    WEIR_TRY(add_action(context, &action));
  }
  return WEIR_OK;
}

static weir_status read_output(void *context, const weir__yaml *value) {
  static const char *const words[] = {"start", "stop", "once", NULL}; /* START, PAUSE, ONCE */
  int                      word;
  WEIR_TRY(check_map(value, "output", "outputs by name with start, stop or once, such as {detail: start}"));
  for (int i = 0; i < value->count; i++) {
    weir__recipe_action action = {.name = weir__recipe_text_of(value->key[i])};
    WEIR_TRY(weir__yaml_to_choice(value->item[i], action.name.text, words, &word));
    action.kind = (weir__steering_kind)(WEIR__STEER_START + word);
    WEIR_TRY(add_action(context, &action));
  }
  return WEIR_OK;
}

static weir_status read_extract_every(void *context, const weir__yaml *value) {
  return weir__recipe_read_every(value, &((reading *)context)->action.every);
}

static weir_status read_extract(void *context, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"every", read_extract_every}, {0}};
  reading                    *r      = context;
  WEIR_TRY(check_map(value, "extract", "outputs by name with every, such as {detail: {every: 1}}"));
  for (int i = 0; i < value->count; i++) {
    r->action = (weir__recipe_action){.kind = WEIR__STEER_EXTRACT, .name = weir__recipe_text_of(value->key[i])};
    WEIR_TRY(weir__yaml_read(value->item[i], r->action.name.text, keys, r));
    if (!r->action.every.text) return WEIR__YAML_FAIL(value->item[i], "%s: every is missing", r->action.name.text);
    WEIR_TRY(add_action(r, &r->action));
  }
  return WEIR_OK;
}

static weir_status read_stop(void *context, const weir__yaml *value) {
  bool                yes;
  weir__recipe_action action = {.kind = WEIR__STEER_STOP};
  WEIR_TRY(weir__yaml_to_bool(value, "stop", &yes));
  return yes ? add_action(context, &action) : WEIR_OK;
}

static weir_status read_rule(reading *r, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"when", read_when},        {"reset", read_reset},
                                        {"hold", read_hold},        {"once", read_once},
                                        {"every", read_rule_every}, {"set", read_set},
                                        {"output", read_output},    {"extract", read_extract},
                                        {"stop", read_stop},        {0}};
  r->rule->place                     = value->place;
  WEIR_TRY(weir__yaml_read(value, "a rule", keys, r));
  if (!r->rule->when.text) return WEIR__YAML_FAIL(value, "a rule: when is missing");
  if (!r->rule->actions) return WEIR__YAML_FAIL(value, "a rule: expected set, output, extract or stop beside when");
  return WEIR_OK;
}

weir_status weir__recipe_read_rules(weir__recipe *recipe, const weir__yaml *value) {
  reading r = {.recipe = recipe};
  if (value->kind != WEIR__YAML_LIST)
    return WEIR__YAML_FAIL(value, "rules: expected a list, such as - when: \"ke_mean > 0.05\"");
  WEIR_TRY(weir__arena_alloc(&recipe->arena, (size_t)value->count * sizeof *recipe->rule, &recipe->rule));
  for (int i = 0; i < value->count; i++) {
    r.rule = &recipe->rule[i];
    WEIR_TRY(read_rule(&r, value->item[i]));
  }
  recipe->rules = value->count;
  return WEIR_OK;
}

/* ---- steering ---- */

static weir_status read_delay(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "delay", 1, WEIR__STEER_DELAY_MAX, &((weir__recipe *)context)->delay);
}

weir_status weir__recipe_read_steering(weir__recipe *recipe, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"delay", read_delay}, {0}};
  recipe->has_steering               = true;
  recipe->steering_place             = value->place;
  if (value->kind == WEIR__YAML_TEXT && !*value->text) return WEIR_OK;
  return weir__yaml_read(value, "steering", keys, recipe);
}

/* ---- feedback ---- */

static weir_status read_feedback_field(void *context, const weir__yaml *value) {
  return read_expression(value, "field", &((reading *)context)->feedback->field);
}

static weir_status read_lag(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "lag", 1, WEIR__STEER_DELAY_MAX, &((reading *)context)->feedback->lag);
}

static const char *const late_words[] = {"hold", "zero", "wait", NULL}; /* in the order of weir__feedback */

static weir_status read_when_late(void *context, const weir__yaml *value) {
  return weir__yaml_to_choice(value, "when_late", late_words, &((reading *)context)->feedback->when_late);
}

static weir_status read_timeout(void *context, const weir__yaml *value) {
  return weir__recipe_read_seconds(value, "timeout", &((reading *)context)->feedback->timeout_s);
}

static weir_status read_feedback_every(void *context, const weir__yaml *value) {
  return weir__recipe_read_every(value, &((reading *)context)->feedback->every);
}

weir_status weir__recipe_read_feedback(weir__recipe *recipe, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"field", read_feedback_field}, {"lag", read_lag},
                                        {"when_late", read_when_late},  {"timeout", read_timeout},
                                        {"every", read_feedback_every}, {0}};
  reading                     r      = {.recipe = recipe};
  if (value->kind != WEIR__YAML_MAP)
    return WEIR__YAML_FAIL(value, "feedback: expected fields by name, such as {nudge: {lag: 1}}");
  WEIR_TRY(weir__arena_alloc(&recipe->arena, (size_t)value->count * sizeof *recipe->feedback, &recipe->feedback));
  for (int i = 0; i < value->count; i++) {
    const weir__yaml      *item = value->item[i], *timeout;
    weir__recipe_feedback *f = r.feedback = &recipe->feedback[i];
    WEIR_TRY(weir__recipe_check_name(value->key[i], "feedback"));
    *f = (weir__recipe_feedback){.name      = value->key[i]->text,
                                 .field     = weir__recipe_text_of(value->key[i]),
                                 .lag       = 1,
                                 .when_late = WEIR__WHEN_LATE_WAIT,
                                 .timeout_s = DEFAULT_FEEDBACK_TIMEOUT_S};
    if (item->kind != WEIR__YAML_TEXT || *item->text) WEIR_TRY(weir__yaml_read(item, f->name, keys, &r));
    if (item->kind == WEIR__YAML_MAP && (timeout = weir__yaml_get(item, "timeout")) &&
        f->when_late != WEIR__WHEN_LATE_WAIT)
      return WEIR__YAML_FAIL(timeout, "timeout belongs to when_late: wait");
  }
  recipe->feedbacks = value->count;
  return WEIR_OK;
}

/* ---- what fits together ---- */

#define PLACE_FAIL(place, format, ...)                                                                                 \
  WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: " format, (place).file, (place).line, (place).column, ##__VA_ARGS__)

static weir_status find_output(const weir__recipe *recipe, const weir__recipe_text *name, int *number) {
  const char **names;
  size_t       count = 0;
  weir__arena  arena = {0};
  for (int i = 0; i < recipe->outputs; i++)
    if (recipe->output[i].called.text && !strcmp(recipe->output[i].called.text, name->text)) {
      *number = i;
      return WEIR_OK;
    }
  WEIR_TRY(weir__arena_alloc(&arena, ((size_t)recipe->outputs + 1) * sizeof *names, &names));
  for (int i = 0; i < recipe->outputs; i++)
    if (recipe->output[i].called.text) names[count++] = recipe->output[i].called.text;
  const char *near   = weir__text_nearest(name->text, names, count);
  weir_status status = PLACE_FAIL(name->place, "no output has name: %s%s%s%s", name->text,
                                  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  weir__arena_clear(&arena);
  return status;
}

static weir_status check_output_names(const weir__recipe *recipe) {
  for (int i = 0; i < recipe->outputs; i++) {
    const weir__recipe_output *o = &recipe->output[i];
    for (int k = 0; k < i && o->called.text; k++)
      if (recipe->output[k].called.text && !strcmp(recipe->output[k].called.text, o->called.text))
        return PLACE_FAIL(o->called.place, "name: %s is that of another output (line %d)", o->called.text,
                          recipe->output[k].place.line);
    if (o->inactive && !o->steered)
      return PLACE_FAIL(o->place, "active: no, and no rule starts this output, so it would never be written");
  }
  return WEIR_OK;
}

weir_status weir__recipe_check_steering(weir__recipe *recipe) {
  int                        output;
  const weir__recipe_stream *stream = &recipe->stream;
  for (int i = 0; i < recipe->rules; i++)
    for (size_t k = 0; k < recipe->rule[i].actions; k++) {
      const weir__recipe_action *action = &recipe->rule[i].action[k];
      if (action->kind < WEIR__STEER_START || action->kind > WEIR__STEER_EXTRACT) continue;
      WEIR_TRY(find_output(recipe, &action->name, &output));
      recipe->output[output].steered = true;
    }
  WEIR_TRY(check_output_names(recipe));
  if (recipe->feedbacks && stream->is_files)
    return PLACE_FAIL(recipe->feedback[0].field.place, "feedback goes to a simulation; files take none");
  if (stream->is_files || stream->policy == WEIR__POLICY_BLOCK) return WEIR_OK;
  if (recipe->rules || recipe->feedbacks || recipe->has_steering)
    return PLACE_FAIL(recipe->rules       ? recipe->rule[0].place
                      : recipe->feedbacks ? recipe->feedback[0].field.place
                                          : recipe->steering_place,
                      "%s cannot be reproduced with when_full: %s, expected when_full: block (reproducible: no is "
                      "not available in this version)",
                      recipe->rules || recipe->has_steering ? "steering" : "feedback",
                      weir__recipe_when_full[stream->policy]);
  return WEIR_OK;
}

/* ---- in the graph ---- */

bool weir__recipe_steered(const weir__recipe *recipe, const weir__recipe_schema *schema) {
  if (recipe->rules || recipe->has_steering) return true;
  return schema->parameters && !recipe->stream.is_files && recipe->stream.policy == WEIR__POLICY_BLOCK;
}

int64_t weir__recipe_delay(const weir__recipe *recipe) {
  if (recipe->delay) return recipe->delay;
  return recipe->stream.slots ? recipe->stream.slots : WEIR__CHANNEL_SLOTS_DEFAULT;
}

weir_status weir__recipe_steer_begin(const weir__recipe *recipe, const weir__recipe_schema *schema, weir__graph *graph,
                                     weir__steering **steer) {
  weir__steering_parameter *list;
  int                       count = schema->parameters + recipe->parameters;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)count * sizeof *list, &list));
  for (int i = 0; i < count; i++) {
    int                           mine = i - schema->parameters;
    const weir__recipe_parameter *p    = mine < 0 ? &schema->parameter[i] : &recipe->parameter[mine];
    weir__edge                    unused;
    for (int k = 0; k < schema->parameters && mine >= 0; k++)
      if (!strcmp(p->name, schema->parameter[k].name))
        return PLACE_FAIL(p->place, "the simulation has a parameter %s already; choose another name", p->name);
    if (mine < 0 && weir__graph_find(graph, p->name, &unused))
      return WEIR_FAIL(WEIR_ERR_INPUT, "the simulation has a field and a parameter %s", p->name);
    list[i] = (weir__steering_parameter){p->name, p->value, p->least, p->most, mine < 0 ? i : -1};
    if (weir__recipe_steered(recipe, schema)) continue;
    weir_status status = weir__graph_parameter(graph, p->name, p->value);
    if (status < 0 && mine >= 0)
      status = weir__error_prefix(status, "%s:%d:%d", p->place.file, p->place.line, p->place.column);
    WEIR_TRY(status);
  }
  if (!weir__recipe_steered(recipe, schema)) return WEIR_OK;
  weir_status status = weir__steering_create(graph, list, count, weir__recipe_delay(recipe), steer);
  return status == WEIR_ERR_INPUT ? weir__error_prefix(status, "%s", recipe->file) : status;
}

static weir_status find_parameter(const weir__recipe *recipe, const weir__recipe_schema *schema,
                                  const weir__recipe_text *name, weir__arena *arena, int *number) {
  const char **names;
  int          count = schema->parameters + recipe->parameters;
  WEIR_TRY(weir__arena_alloc(arena, ((size_t)count + 1) * sizeof *names, &names));
  for (int i = 0; i < count; i++) {
    names[i] = i < schema->parameters ? schema->parameter[i].name : recipe->parameter[i - schema->parameters].name;
    *number  = i;
    if (!strcmp(names[i], name->text)) return WEIR_OK;
  }
  const char *near = weir__text_nearest(name->text, names, (size_t)count);
  return PLACE_FAIL(name->place, "neither the recipe nor the simulation has a parameter %s%s%s%s", name->text,
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* What one rule of the recipe is for the graph. */
typedef struct making {
  const weir__recipe        *recipe;
  const weir__recipe_schema *schema;
  weir__graph               *graph;
  const int                 *steered; /* of each output: its number among those that are steered */
} making;

static weir_status make_action(const making *m, const weir__recipe_action *from, weir__steering_action *to) {
  int target = 0;
  *to        = (weir__steering_action){.kind = from->kind, .value = from->value.text, .place = from->value.place};
  if (from->kind == WEIR__STEER_SET)
    WEIR_TRY(find_parameter(m->recipe, m->schema, &from->name, &m->graph->arena, &target));
  else if (from->kind != WEIR__STEER_STOP) {
    WEIR_TRY(find_output(m->recipe, &from->name, &target));
    target = m->steered[target];
  }
  to->target = target;
  return weir__recipe_every(m->graph, &from->every, &to->every);
}

static weir_status make_rule(const making *m, const weir__recipe_rule *from, weir__steering_rule *to) {
  weir__steering_action *action;
  weir__trigger          hold;
  *to = (weir__steering_rule){.place       = from->place,
                              .when        = from->when.text,
                              .when_place  = from->when.place,
                              .reset       = from->reset.text,
                              .reset_place = from->reset.place,
                              .once        = from->once,
                              .actions     = (int)from->actions};
  WEIR_TRY(weir__recipe_every(m->graph, &from->hold, &hold));
  to->hold_steps = hold.period;
  to->hold_time  = hold.interval;
  WEIR_TRY(weir__recipe_every(m->graph, &from->every, &to->every));
  WEIR_TRY(weir__arena_alloc(&m->graph->arena, from->actions * sizeof *action, &action));
  for (size_t i = 0; i < from->actions; i++) WEIR_TRY(make_action(m, &from->action[i], &action[i]));
  to->action = action;
  return WEIR_OK;
}

static weir_status make_outputs(const making *m, const int *trigger, int *steered, weir__steering_output *list,
                                int *count) {
  for (int i = 0; i < m->recipe->outputs; i++) {
    const weir__recipe_output *o = &m->recipe->output[i];
    if (!o->steered) continue;
    steered[i]                = *count;
    weir__steering_output *to = &list[(*count)++];
    *to                       = (weir__steering_output){.name = o->called.text, .trigger = trigger[i]};
    WEIR_TRY(weir__recipe_every(m->graph, &o->every, &to->declared));
    if (!to->declared.period && !(to->declared.interval > 0)) to->declared.period = 1;
  }
  return WEIR_OK;
}

static weir_status make_feedback(const weir__recipe *recipe, weir__graph *graph) {
  weir__steering_feedback *list;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)recipe->feedbacks * sizeof *list, &list));
  for (int i = 0; i < recipe->feedbacks; i++) {
    const weir__recipe_feedback *f = &recipe->feedback[i];
    list[i] = (weir__steering_feedback){.name = f->name, .text = f->field.text, .place = f->field.place, .lag = f->lag};
    list[i].when_late = f->when_late;
    list[i].timeout_s = f->timeout_s;
    WEIR_TRY(weir__recipe_every(graph, &f->every, &list[i].every));
  }
  return weir__steering_feedbacks(graph, list, recipe->feedbacks);
}

weir_status weir__recipe_steer(const weir__recipe *recipe, const weir__recipe_schema *schema, weir__graph *graph,
                               weir__steering *steer, const int *trigger, const char *directory) {
  making                 m = {recipe, schema, graph, NULL};
  weir__steering_rule   *rule;
  weir__steering_output *output;
  int                   *steered, outputs = 0;
  if (recipe->feedbacks) WEIR_TRY(make_feedback(recipe, graph));
  if (!steer && recipe->replay)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: there are no decisions to replay: this run has no rules, no steering: and no "
                     "parameters of the simulation",
                     recipe->file);
  if (!steer) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)recipe->rules * sizeof *rule, &rule));
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)recipe->outputs * sizeof *output, &output));
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)recipe->outputs * sizeof *steered, &steered));
  WEIR_TRY(make_outputs(&m, trigger, steered, output, &outputs));
  m.steered = steered;
  for (int i = 0; i < recipe->rules; i++) WEIR_TRY(make_rule(&m, &recipe->rule[i], &rule[i]));
  return weir__steering_rules(steer, rule, recipe->rules, output, outputs, directory, recipe->replay);
}

/* ---- for people ---- */

static void add_action_text(const weir__recipe_action *a, weir__text *text) {
  static const char *const words[] = {"", "start", "stop", "write once"};
  switch (a->kind) {
  case WEIR__STEER_SET: weir__text_add(text, "%s = %s", a->name.text, a->value.text); break;
  case WEIR__STEER_START:
  case WEIR__STEER_PAUSE:
  case WEIR__STEER_ONCE: weir__text_add(text, "%s output %s", words[a->kind], a->name.text); break;
  case WEIR__STEER_EXTRACT:
    weir__text_add(text, "write output %s every %s%s", a->name.text, a->every.text,
                   a->every.seconds > 0  ? ""
                   : a->every.steps == 1 ? " step"
                                         : " steps");
    break;
  case WEIR__STEER_STOP: weir__text_add(text, "end the run"); break;
  case WEIR__STEER_REFUSED: break;
  }
}

static void add_rule_text(const weir__recipe_rule *r, int number, weir__text *text) {
  weir__text_add(text, "  rule %d: when %s", number, r->when.text);
  if (r->reset.text) weir__text_add(text, ", again after %s", r->reset.text);
  if (r->hold.text)
    weir__text_add(text, ", not within %s%s", r->hold.text,
                   strspn(r->hold.text, "0123456789") == strlen(r->hold.text) ? " steps" : "");
  if (r->once) weir__text_add(text, ", once");
  if (r->every.text)
    weir__text_add(text, ", looked at every %s%s", r->every.text, r->every.seconds > 0 ? "" : " steps");
  for (size_t i = 0; i < r->actions; i++) {
    weir__text_add(text, "%s", i ? ", " : ": ");
    add_action_text(&r->action[i], text);
  }
  weir__text_add(text, "\n");
}

static void add_parameter_text(const weir__recipe_parameter *p, const char *whose, weir__text *text) {
  weir__text_add(text, "  parameter %s = %g, of the %s", p->name, p->value, whose);
  if (p->least > -INFINITY || p->most < INFINITY) weir__text_add(text, ", %g to %g", p->least, p->most);
  weir__text_add(text, "\n");
}

void weir__recipe_steering_text(const weir__recipe *recipe, const weir__recipe_schema *schema, weir__text *text) {
  long long delay = (long long)weir__recipe_delay(recipe);
  weir__text_add(text,
                 "steering: a decision takes effect %lld published step%s later, in the simulation and in the "
                 "analysis alike;\n  the simulation leads its analysis by at most so many\n",
                 delay, delay == 1 ? "" : "s");
  for (int i = 0; i < schema->parameters; i++) add_parameter_text(&schema->parameter[i], "simulation", text);
  for (int i = 0; i < recipe->parameters; i++) add_parameter_text(&recipe->parameter[i], "recipe", text);
  for (int i = 0; i < recipe->rules; i++) add_rule_text(&recipe->rule[i], i + 1, text);
}

void weir__recipe_feedback_text(const weir__recipe *recipe, weir__text *text) {
  static const char *const late[] = {"the last value is kept", "it is 0", "the simulation waits"};
  if (recipe->feedbacks) weir__text_add(text, "feedback\n");
  for (int i = 0; i < recipe->feedbacks; i++) {
    const weir__recipe_feedback *f = &recipe->feedback[i];
    weir__text_add(text, "  %s = %s, for the published step %lld later; when it is late %s", f->name, f->field.text,
                   (long long)f->lag, late[f->when_late]);
    if (f->when_late == WEIR__WHEN_LATE_WAIT) weir__text_add(text, ", at most %g s", f->timeout_s);
    weir__text_add(text, "\n");
  }
}
