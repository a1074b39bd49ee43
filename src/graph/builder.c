/* Definitions and unnamed expressions. */
#include "graph/builder.h"
#include <string.h>

/* ---- trees ---- */

static weir_status build_operation(weir__builder *b, const weir__scope *scope, const weir__ast *ast, int *out) {
  weir__spot spot = {.source = scope->source, .whole = ast};
  int        operand[3];
  for (int i = 0; i < ast->children; i++) {
    spot.part[i] = ast->child[i];
    WEIR_TRY(weir__build(b, scope, ast->child[i], NULL, &operand[i]));
  }
  return weir__value_operation(&b->values, &spot, ast->op, operand, out);
}

weir_status weir__build(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const char *name, int *out) {
  char text[WEIR__QUOTE_MAX];
  switch (ast->kind) {
  case WEIR__AST_NUMBER: return weir__value_number(&b->values, ast->number, out);
  case WEIR__AST_NAME: return weir__build_name(b, scope, ast, out);
  case WEIR__AST_CALL: return weir__build_call(b, scope, ast, name, out);
  case WEIR__AST_OPERATION: return build_operation(b, scope, ast, out);
  case WEIR__AST_TEXT:
  case WEIR__AST_LIST: break;
  }
  return weir__expression_fail(scope->source, ast->at, "%s is a %s: expected a field or a number",
                               weir__expression_quote(scope->source, ast->at, ast->end, text),
                               ast->kind == WEIR__AST_TEXT ? "text" : "list");
}

static void builder_clear(weir__builder *b) {
  weir__values_clear(&b->values);
  weir__free(b->call);
  weir__arena_clear(&b->arena);
}

/* Turn a tree into a field: named `name`, or unnamed. The builder is emptied. */
static weir_status build_tree(weir__builder *b, const weir__script *source, const weir__ast *ast, weir__edge *edge) {
  weir_status       status;
  const weir__scope scope  = {.source = source};
  const weir__spot  spot   = {.source = source, .whole = ast};
  int               before = b->graph->nodes, value;
  weir__edge        found;
  b->values = (weir__values){.graph = b->graph, .place = source->place, .arena = &b->arena};
  WEIR_TRY_GOTO(end, weir__build(b, &scope, ast, b->defining, &value));
  const weir__value *v    = &b->values.value[value];
  bool               done = b->defining && v->kind == WEIR__VALUE_FIELD && v->edge.node >= before &&
              b->graph->node[v->edge.node].named; /* the call took the name */
  if (b->defining && ast->kind == WEIR__AST_NAME && v->kind == WEIR__VALUE_FIELD &&
      b->graph->node[v->edge.node].outputs > 1) { /* flag: flow.flag, of its own type and with what goes with it */
    *edge  = v->edge;
    status = weir__graph_alias(b->graph, b->defining, v->edge);
    goto end;
  }
  WEIR_TRY_GOTO(end, weir__value_field(&b->values, value, &spot, done ? NULL : b->defining, &found));
  *edge = found;
end:
  if (status < 0) b->graph->nodes = before;
  builder_clear(b);
  return status;
}

static weir_status check_name(const weir__graph *graph, const char *name, const weir__script *source) {
  weir__edge unused;
  if (!weir__expression_is_name(name))
    return weir__expression_fail(source, 0,
                                 "'%.60s' cannot be the name of a field: expected letters, digits and _, and none of "
                                 "and, or, not, pi, step, time, dt",
                                 name);
  if (weir__graph_find(graph, name, &unused))
    return weir__expression_fail(source, 0, "field '%.60s' is defined twice", name);
  for (int i = 0; i < graph->parameters; i++)
    if (!strcmp(graph->parameter[i].name, name))
      return weir__expression_fail(source, 0, "'%.60s' is the name of a parameter: expected another one", name);
  return WEIR_OK;
}

weir_status weir__graph_define(weir__graph *graph, const char *name, const char *text, weir__place place) {
  weir__builder    b      = {.graph = graph, .defining = name};
  weir__script     source = {.text = text, .place = place};
  const weir__ast *ast;
  weir__edge       unused;
  WEIR_TRY(check_name(graph, name, &source));
  weir_status status = weir__expression_parse(&b.arena, &source, &ast);
  if (status >= 0) return build_tree(&b, &source, ast, &unused);
  builder_clear(&b);
  return status;
}

static weir_status build_expression(weir__graph *graph, const char *text, weir__place place, bool decided,
                                    weir__edge *edge) {
  weir__builder    b      = {.graph = graph, .decided = decided};
  weir__script     source = {.text = text, .place = place};
  const weir__ast *ast;
  weir_status      status = weir__expression_parse(&b.arena, &source, &ast);
  if (status >= 0) return build_tree(&b, &source, ast, edge);
  builder_clear(&b);
  return status;
}

weir_status weir__graph_expression(weir__graph *graph, const char *text, weir__place place, weir__edge *edge) {
  return build_expression(graph, text, place, false, edge);
}

weir_status weir__graph_expression_decided(weir__graph *graph, const char *text, weir__place place, weir__edge *edge) {
  return build_expression(graph, text, place, true, edge);
}
