/* What a name in an expression means. In this order: an argument of the operator being expanded, pi, step, time, dt, a
 * field, a field of the leading stream without the stream's name, a parameter, the coordinate of a dimension, a field
 * of a joined stream without the stream's name. */
#include "core/text.h"
#include "graph/builder.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

const weir__binding *weir__scope_find(const weir__scope *scope, const char *name) {
  for (int i = 0; i < scope->bindings; i++)
    if (!strcmp(scope->binding[i].name, name)) return &scope->binding[i];
  return NULL;
}

bool weir__function_find(const char *name, weir__op *op) {
  if (!strcmp(name, "isnan")) name = "missing";
  for (int i = 0; *name && i < WEIR__OPS; i++)
    if (!strcmp(weir__op_name(i), name)) {
      *op = i;
      return true;
    }
  return false;
}

weir_status weir__suggest(weir__builder *b, const weir__scope *scope, const char *name, bool callable,
                          char out[WEIR__QUOTE_MAX + 24]) {
  static const char *const words[] = {"pi", "step", "time", "dt"}, *const functions[] = {"clip", "units", "isnan"};
  const weir__graph *g = b->graph;
  const char        *nearest;
  const char       **names;
  size_t             count = 0, operators = 0;
  while (g->operators && g->operators[operators]) operators++;
  size_t most = operators + WEIR__OPS + 8 + 2 * (size_t)g->nodes + (size_t)g->parameters + (size_t)scope->bindings;
  WEIR_TRY(weir__arena_alloc(&b->arena, most * sizeof *names, &names));
  for (size_t i = 0; callable && i < operators; i++) names[count++] = g->operators[i]->name;
  for (int i = 0; callable && i < WEIR__OPS; i++)
    if (*weir__op_name(i)) names[count++] = weir__op_name(i);
  for (size_t i = 0; callable && i < 3; i++) names[count++] = functions[i];
  for (int i = 0; !callable && i < scope->bindings; i++) names[count++] = scope->binding[i].name;
  for (int i = 0; !callable && i < g->nodes; i++)
    if (g->node[i].named) {
      const char *dot = g->node[i].op ? NULL : strchr(g->node[i].name, '.');
      if (dot && !strchr(name, '.')) names[count++] = dot + 1; /* without the name of its stream, as in the question */
      names[count++] = g->node[i].name;
    }
  for (int i = 0; !callable && i < g->parameters; i++) names[count++] = g->parameter[i].name;
  for (size_t i = 0; !callable && i < 4; i++) names[count++] = words[i];
  nearest = weir__text_nearest(name, names, count);
  *out    = 0;
  if (nearest) snprintf(out, WEIR__QUOTE_MAX + 24, "; did you mean '%.60s'?", nearest);
  return WEIR_OK;
}

bool weir__constant(const weir__scope *scope, const weir__ast *ast, double *number) {
  double   x[3] = {0};
  weir__op op   = ast->op;
  if (ast->kind == WEIR__AST_NUMBER) {
    *number = ast->number;
    return true;
  }
  if (ast->kind == WEIR__AST_NAME) {
    const weir__binding *bound = weir__scope_find(scope, ast->word);
    if (bound && bound->ast && bound->value < 0) return weir__constant(bound->scope, bound->ast, number);
    *number = bound ? bound->number : PI;
    return bound ? bound->value < 0 && bound->is_number : !strcmp(ast->word, "pi");
  }
  if (ast->kind != WEIR__AST_OPERATION && ast->kind != WEIR__AST_CALL) return false;
  if (ast->kind == WEIR__AST_CALL && !weir__function_find(ast->word, &op)) return false;
  if (ast->children != weir__op_operands(op)) return false;
  for (int i = 0; i < ast->children; i++)
    if ((ast->kind == WEIR__AST_CALL && ast->name[i]) || !weir__constant(scope, ast->child[i], &x[i])) return false;
  *number = weir__op_value(op, x[0], x[1], x[2]);
  return true;
}

/* ---- fields ---- */

/* A field of a source by the part of its name after the stream's: `u` for ocean.u. How many there are, and whether the
 * leading stream has one. */
static int find_unqualified(const weir__graph *graph, const char *name, weir__edge *edge, const char *found[2],
                            bool *leading) {
  size_t length = strlen(name);
  int    count  = 0;
  *leading      = false;
  for (int i = 0; i < graph->nodes; i++) {
    const weir__node *node = &graph->node[i];
    if (!node->named || node->op) continue;
    size_t whole = strlen(node->name);
    if (whole <= length + 1 || node->name[whole - length - 1] != '.' || strcmp(node->name + whole - length, name))
      continue;
    *edge = (weir__edge){i, 0};
    if (count < 2) found[count] = node->name;
    *leading |= !node->stream;
    count++;
  }
  return count;
}

static bool is_dimension(const weir__graph *graph, const char *name) {
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].outputs; k++)
      if (weir__axis_find(&graph->node[i].type[k], name) >= 0) return true;
  return false;
}

/* "flow.u, flow.v" */
static void list_results(const weir__node *node, char *out, size_t room) {
  size_t n = 0;
  *out     = 0;
  for (int k = 0; k < node->outputs && n < room; k++)
    n += (size_t)snprintf(out + n, room - n, "%s%.40s.%.40s", k ? ", " : "", node->name, node->op->output_names[k]);
}

static weir_status field(weir__builder *b, const weir__scope *scope, const weir__ast *ast, weir__edge edge, int *out) {
  const weir__node *node = &b->graph->node[edge.node];
  char              results[400];
  if (node->outputs > 1 && node->op && node->op->output_names && !strcmp(node->name, ast->word)) {
    list_results(node, results, sizeof results);
    return weir__expression_fail(scope->source, ast->at, "'%s' has several results: expected one of %s", ast->word,
                                 results);
  }
  return weir__value_edge(&b->values, edge, out);
}

/* A field of the stream called `name`; NULL: there is no such stream. */
static const char *field_of_stream(const weir__graph *graph, const char *name) {
  size_t length = strlen(name);
  for (int i = 0; i < graph->nodes; i++)
    if (graph->node[i].named && !graph->node[i].op && !strncmp(graph->node[i].name, name, length) &&
        graph->node[i].name[length] == '.')
      return graph->node[i].name;
  return NULL;
}

/* A result that an operator has not, a field that needs itself, a stream, an operator without arguments, a misspelt
 * name. */
static weir_status unknown_name(weir__builder *b, const weir__scope *scope, const weir__ast *ast) {
  char        hint[WEIR__QUOTE_MAX + 24], results[400], head[WEIR__QUOTE_MAX];
  weir__edge  edge;
  const char *dot = strchr(ast->word, '.');
  weir__op    op;
  size_t      length = dot ? (size_t)(dot - ast->word) : strlen(ast->word);
  if (b->defining && strlen(b->defining) == length && !strncmp(b->defining, ast->word, length))
    return weir__expression_fail(scope->source, ast->at, "field '%.60s' needs itself", b->defining);
  if (dot && length < sizeof head) {
    snprintf(head, sizeof head, "%.*s", (int)length, ast->word);
    if (weir__graph_find(b->graph, head, &edge) && b->graph->node[edge.node].outputs > 1) {
      list_results(&b->graph->node[edge.node], results, sizeof results);
      return weir__expression_fail(scope->source, ast->at, "'%s' has no result '%.60s': expected one of %s", head,
                                   dot + 1, results);
    }
  }
  if (weir__graph_operator(b->graph, ast->word) || weir__function_find(ast->word, &op))
    return weir__expression_fail(scope->source, ast->at, "'%s' is an operator: expected its arguments, as in %s(...)",
                                 ast->word, ast->word);
  const char *inside = field_of_stream(b->graph, ast->word);
  if (inside)
    return weir__expression_fail(scope->source, ast->at,
                                 "'%s' is a stream: expected one of its fields, such as '%.60s'", ast->word, inside);
  WEIR_TRY(weir__suggest(b, scope, ast->word, false, hint));
  return weir__expression_fail(scope->source, ast->at, "no field or parameter is named '%.60s'%s", ast->word, hint);
}

static weir_status bound_name(weir__builder *b, const weir__scope *scope, const weir__ast *ast,
                              const weir__binding *bound, int *out) {
  if (bound->value >= 0) {
    *out = bound->value;
    return WEIR_OK;
  }
  if (bound->ast) return weir__build(b, bound->scope, bound->ast, NULL, out);
  if (bound->is_number) return weir__value_number(&b->values, bound->number, out);
  return weir__expression_fail(scope->source, ast->at, "'%s' was not given: expected a value", ast->word);
}

/* A steered parameter is a field; another one is in the kernels. */
static weir_status parameter(weir__builder *b, int i, int *out) {
  const weir__parameter *p    = &b->graph->parameter[i];
  weir__edge             edge = b->decided ? p->decided : p->steered;
  return edge.node >= 0 ? weir__value_edge(&b->values, edge, out) : weir__value_parameter(&b->values, i, out);
}

weir_status weir__build_name(weir__builder *b, const weir__scope *scope, const weir__ast *ast, int *out) {
  const weir__binding *bound = weir__scope_find(scope, ast->word);
  const char          *found[2];
  weir__edge           edge;
  if (bound) return bound_name(b, scope, ast, bound, out);
  if (!strcmp(ast->word, "pi")) return weir__value_number(&b->values, PI, out);
  if (!strcmp(ast->word, "step")) return weir__value_clock(&b->values, WEIR__VALUE_STEP, out);
  if (!strcmp(ast->word, "time")) return weir__value_clock(&b->values, WEIR__VALUE_TIME, out);
  if (!strcmp(ast->word, "dt")) return weir__value_clock(&b->values, WEIR__VALUE_DT, out);
  if (weir__graph_find(b->graph, ast->word, &edge)) return field(b, scope, ast, edge, out);
  bool leading;
  int  count = find_unqualified(b->graph, ast->word, &edge, found, &leading);
  if (!leading) {
    for (int i = 0; i < b->graph->parameters; i++)
      if (!strcmp(b->graph->parameter[i].name, ast->word)) return parameter(b, i, out);
    if (is_dimension(b->graph, ast->word)) return weir__value_coordinate(&b->values, ast->word, out);
  }
  if (count == 1) return weir__value_edge(&b->values, edge, out);
  if (count > 1)
    return weir__expression_fail(scope->source, ast->at, "'%s' is in several streams: expected '%.60s' or '%.60s'",
                                 ast->word, found[0], found[1]);
  return unknown_name(b, scope, ast);
}
