/* `on_failure:` and `check_finite:` of a recipe, and what they mean for the nodes of its graph. */
#include "run/recipe.h"
#include <string.h>

const char *const weir__recipe_policies[] = {"skip", "disable", "stop", NULL};

/* ---- reading ---- */

static weir_status read_policy(const weir__yaml *value, const char *what, weir__on_failure *policy) {
  int word;
  WEIR_TRY(weir__yaml_to_choice(value, what, weir__recipe_policies, &word));
  *policy = (weir__on_failure)word;
  return WEIR_OK;
}

weir_status weir__recipe_read_on_failure(weir__recipe *recipe, const weir__yaml *value) {
  weir__recipe_policy *policy;
  if (value->kind != WEIR__YAML_MAP) return read_policy(value, "on_failure", &recipe->on_failure);
  WEIR_TRY(weir__arena_alloc(&recipe->arena, (size_t)value->count * sizeof *policy, &policy));
  recipe->policy = policy;
  for (int i = 0; i < value->count; i++) {
    weir__recipe_policy new = {weir__recipe_text_of(value->key[i]), WEIR__ON_FAILURE_SKIP};
    WEIR_TRY(read_policy(value->item[i], value->key[i]->text, &new.policy));
    if (!strcmp(new.name.text, "default")) recipe->on_failure = new.policy;
    else policy[recipe->policies++] = new;
  }
  return WEIR_OK;
}

weir_status weir__recipe_read_check_finite(weir__recipe *recipe, const weir__yaml *value) {
  const weir__yaml *const *item;
  weir__recipe_text       *field;
  int                      count;
  static const char *const words[] = {"yes", "no", "true", "false"};
  for (size_t i = 0; value->kind == WEIR__YAML_TEXT && i < sizeof words / sizeof *words; i++)
    if (!strcmp(value->text, words[i])) return weir__yaml_to_bool(value, "check_finite", &recipe->check_all_finite);
  WEIR_TRY(weir__yaml_to_texts(&recipe->arena, value, "check_finite", &item, &count));
  WEIR_TRY(weir__arena_alloc(&recipe->arena, (size_t)count * sizeof *field, &field));
  for (int i = 0; i < count; i++) field[i] = weir__recipe_text_of(item[i]);
  recipe->check_finite  = field;
  recipe->check_finites = count;
  return WEIR_OK;
}

/* ---- names ---- */

/* The output that a key means: its path as it stands in the recipe, with or without {name} replaced. */
static const weir__recipe_output *output_named(const weir__recipe *recipe, const char *key) {
  for (int i = 0; i < recipe->outputs; i++) {
    const weir__recipe_output *out  = &recipe->output[i];
    const char                *path = out->path.text, *c = key;
    while (*c && *path) {
      size_t length = out->kind == WEIR__OUTPUT_PLOT && !strncmp(c, "{name}", 6) ? strlen(out->name[0]) : 0;
      if (length && !strncmp(path, out->name[0], length)) c += 6, path += length;
      else if (*c == *path) c++, path++;
      else break;
    }
    if (!*c && !*path) return out;
  }
  return NULL;
}

static weir_status unknown(const weir__recipe *recipe, weir__graph *graph, const char *what,
                           const weir__recipe_text *name, bool outputs) {
  const char *const *fields;
  const char       **names;
  size_t             count;
  WEIR_TRY(weir__graph_names(graph, &fields, &count));
  WEIR_TRY(weir__arena_alloc(&graph->arena, (count + (size_t)recipe->outputs) * sizeof *names, &names));
  for (size_t i = 0; i < count; i++) names[i] = fields[i];
  for (int i = 0; outputs && i < recipe->outputs; i++) names[count++] = recipe->output[i].path.text;
  const char *near = weir__text_nearest(name->text, names, count);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: %s: no field%s %s%s%s%s", name->place.file, name->place.line,
                   name->place.column, what, outputs ? " or output" : "", name->text, near ? ", did you mean " : "",
                   near ? near : "", near ? "?" : "");
}

weir_status weir__recipe_failures_check(const weir__recipe *recipe, weir__graph *graph) {
  weir__edge edge;
  for (int i = 0; i < recipe->policies; i++) {
    const weir__recipe_text *name = &recipe->policy[i].name;
    if (!weir__graph_find(graph, name->text, &edge) && !output_named(recipe, name->text))
      return unknown(recipe, graph, "on_failure", name, true);
  }
  for (int i = 0; i < recipe->check_finites; i++) {
    const weir__recipe_text *name = &recipe->check_finite[i];
    if (!weir__graph_find(graph, name->text, &edge)) return unknown(recipe, graph, "check_finite", name, false);
    const weir__node *node = &graph->node[edge.node];
    if (!node->op)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "%s:%d:%d: check_finite: %s is a field of the stream, expected one that the recipe computes, "
                       "such as max(%s)",
                       name->place.file, name->place.line, name->place.column, name->text, name->text);
    weir_dtype dtype = node->type[edge.output].dtype;
    if (!weir_dtype_is_floating(dtype))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: check_finite: %s is %s, which is always finite", name->place.file,
                       name->place.line, name->place.column, name->text, weir_dtype_name(dtype));
  }
  return WEIR_OK;
}

/* ---- the graph ---- */

/* A node and the unnamed ones it is made of, as far as they belong to nobody yet. Inputs come before their node, and an
 * input that closes a loop does not lead out of the unnamed ones, so the depth is that of the expression. */
static void own(weir__graph *graph, int number, const char *owner, weir__on_failure policy) {
  weir__node *node = &graph->node[number];
  node->owner      = owner;
  node->on_failure = policy;
  for (int i = 0; i < node->inputs; i++) {
    const weir__node *from = node->input[i].node < 0 ? NULL : &graph->node[node->input[i].node];
    if (from && from->op && !from->named && !from->owner) own(graph, node->input[i].node, owner, policy);
  }
}

static weir__on_failure policy_of(const weir__recipe *recipe, const char *field, const weir__recipe_output *output,
                                  weir__on_failure otherwise) {
  for (int i = 0; i < recipe->policies; i++) {
    const char *name = recipe->policy[i].name.text;
    if (field ? !strcmp(name, field) : output_named(recipe, name) == output) return recipe->policy[i].policy;
  }
  return otherwise;
}

/* A result of an operator with several belongs to the operator's field: "p" of "p.values". */
static weir_status own_aliases(const weir__recipe *recipe, weir__graph *graph) {
  for (int i = 0; i < graph->aliases; i++) {
    const char *dot = strrchr(graph->alias[i].name, '.');
    char       *name;
    int         number = graph->alias[i].edge.node;
    if (graph->node[number].named || graph->node[number].owner) continue;
    size_t length = dot ? (size_t)(dot - graph->alias[i].name) : strlen(graph->alias[i].name);
    WEIR_TRY(weir__arena_alloc(&graph->arena, length + 1, &name));
    memcpy(name, graph->alias[i].name, length);
    own(graph, number, name, policy_of(recipe, name, NULL, recipe->on_failure));
  }
  return WEIR_OK;
}

static void check_node(weir__graph *graph, int number) {
  weir__node *node = &graph->node[number];
  for (int k = 0; k < node->outputs; k++) node->check_finite |= node->op && weir_dtype_is_floating(node->type[k].dtype);
}

weir_status weir__recipe_failures_fields(const weir__recipe *recipe, weir__graph *graph) {
  for (int i = 0; i < graph->nodes; i++) {
    weir__node *node = &graph->node[i];
    node->on_failure = node->owner ? node->on_failure : recipe->on_failure;
    if (!node->named) continue;
    own(graph, i, node->name, policy_of(recipe, node->name, NULL, recipe->on_failure));
    if (recipe->check_all_finite) check_node(graph, i);
  }
  WEIR_TRY(own_aliases(recipe, graph));
  for (int i = 0; i < graph->aliases && recipe->check_all_finite; i++) check_node(graph, graph->alias[i].edge.node);
  for (int i = 0; i < recipe->check_finites; i++) {
    weir__edge edge;
    if (weir__graph_find(graph, recipe->check_finite[i].text, &edge)) check_node(graph, edge.node);
  }
  return WEIR_OK;
}

void weir__recipe_failures_expression(const weir__recipe *recipe, const weir__recipe_output *output, int i,
                                      weir__graph *graph, int node) {
  if (graph->node[node].op && !graph->node[node].owner)
    own(graph, node, output->field[i].text, policy_of(recipe, NULL, output, recipe->on_failure));
}

void weir__recipe_failures_output(const weir__recipe *recipe, const weir__recipe_output *output, weir__graph *graph,
                                  int first) {
  weir__on_failure policy = policy_of(recipe, NULL, output, recipe->on_failure);
  for (int i = first; i < graph->nodes; i++) {
    graph->node[i].owner      = output->path.text;
    graph->node[i].writes     = true;
    graph->node[i].on_failure = policy;
  }
}
