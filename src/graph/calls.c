/* Calls: elementwise functions, operators with their fields and parameters, and operators that are expressions
 * themselves. */
#include "core/text.h"
#include "graph/builder.h"
#include <stdio.h>
#include <string.h>

enum { EXPANSION_MAX = 16 }; /* operators that are expressions, inside each other */

static const char *quote(const weir__scope *scope, const weir__ast *ast, char out[WEIR__QUOTE_MAX]) {
  return weir__expression_quote(scope->source, ast->at, ast->end, out);
}

/* ---- elementwise functions ---- */

static weir_status check_function(const weir__scope *scope, const weir__ast *ast, int least, const char *form) {
  char text[WEIR__QUOTE_MAX];
  for (int i = 0; i < ast->children; i++)
    if (ast->name[i])
      return weir__expression_fail(scope->source, ast->child[i]->at, "%s has no parameter '%.60s': expected %s",
                                   ast->word, ast->name[i], form);
  if (ast->children == least) return WEIR_OK;
  return weir__expression_fail(scope->source, ast->at, "'%s' has %d argument%s: expected %s", quote(scope, ast, text),
                               ast->children, ast->children == 1 ? "" : "s", form);
}

static weir_status build_function(weir__builder *b, const weir__scope *scope, const weir__ast *ast, weir__op op,
                                  int *out) {
  static const char *const forms[] = {"", "%s(x)", "%s(a, b)", "%s(condition, a, b)"};
  char                     form[64];
  int                      n    = weir__op_operands(op), operand[3];
  weir__spot               spot = {.source = scope->source, .whole = ast};
  snprintf(form, sizeof form, n == 1 ? forms[1] : n == 2 ? forms[2] : forms[3], ast->word);
  WEIR_TRY(check_function(scope, ast, n, form));
  for (int i = 0; i < n; i++) {
    spot.part[i] = ast->child[i];
    WEIR_TRY(weir__build(b, scope, ast->child[i], NULL, &operand[i]));
  }
  return weir__value_operation(&b->values, &spot, op, operand, out);
}

static weir_status build_clip(weir__builder *b, const weir__scope *scope, const weir__ast *ast, int *out) {
  int operand[3], low;
  WEIR_TRY(check_function(scope, ast, 3, "clip(x, low, high)"));
  for (int i = 0; i < 3; i++) WEIR_TRY(weir__build(b, scope, ast->child[i], NULL, &operand[i]));
  weir__spot spot = {scope->source, ast, {ast->child[0], ast->child[1], NULL}};
  WEIR_TRY(weir__value_operation(&b->values, &spot, WEIR__OP_MAXIMUM, operand, &low));
  spot.part[1] = ast->child[2];
  return weir__value_operation(&b->values, &spot, WEIR__OP_MINIMUM, (int[]){low, operand[2]}, out);
}

static weir_status build_units(weir__builder *b, const weir__scope *scope, const weir__ast *ast, int *out) {
  int value;
  WEIR_TRY(check_function(scope, ast, 2, "units(x, \"m s-1\")"));
  if (ast->child[1]->kind != WEIR__AST_TEXT)
    return weir__expression_fail(scope->source, ast->child[1]->at, "units wants a quoted text: expected %s",
                                 "units(x, \"m s-1\")");
  WEIR_TRY(weir__build(b, scope, ast->child[0], NULL, &value));
  return weir__value_units(&b->values, value, ast->child[1]->word, out);
}

/* ---- sorting the arguments of an operator ---- */

enum { PARAMS_MAX = 32 };

typedef struct arguments {
  const weir_operator *op;
  int                  params; /* declared */
  const weir__ast     *field[WEIR_INPUTS_MAX], *param[PARAMS_MAX];
} arguments;

static int input_named(const weir_operator *op, const char *name) {
  for (int i = 0; op->input_names && i < op->inputs + op->optional_inputs; i++)
    if (!strcmp(op->input_names[i], name)) return i;
  return -1;
}

static int param_named(const weir_operator *op, const char *name) {
  for (int i = 0; op->params && op->params[i].name; i++)
    if (!strcmp(op->params[i].name, name)) return i;
  return -1;
}

/* "lag(f, steps)": what a call looks like. */
static const char *form_of(const weir_operator *op, char *out, size_t room) {
  size_t n = (size_t)snprintf(out, room, "%.40s(", op->name);
  for (int i = 0; i < op->inputs + op->optional_inputs && n < room; i++)
    n += (size_t)snprintf(out + n, room - n, "%s%.40s%s", i ? ", " : "", op->input_names ? op->input_names[i] : "field",
                          i < op->inputs ? "" : "=...");
  for (int i = 0; op->params && op->params[i].name && n < room; i++)
    n += (size_t)snprintf(out + n, room - n, "%s%.40s", i || op->inputs ? ", " : "", op->params[i].name);
  if (n < room) snprintf(out + n, room - n, ")");
  return out;
}

static weir_status unknown_argument(const weir__scope *scope, const weir__ast *ast, int i, const weir_operator *op) {
  const char *names[PARAMS_MAX + WEIR_INPUTS_MAX], *nearest;
  char        form[400], hint[80] = "";
  size_t      count = 0;
  for (int k = 0; op->params && op->params[k].name && k < PARAMS_MAX; k++) names[count++] = op->params[k].name;
  for (int k = 0; op->input_names && k < op->inputs + op->optional_inputs; k++) names[count++] = op->input_names[k];
  nearest = weir__text_nearest(ast->name[i], names, count);
  if (nearest) snprintf(hint, sizeof hint, "; did you mean '%.60s'?", nearest);
  return weir__expression_fail(scope->source, ast->child[i]->at, "%s has no parameter '%.60s'%s: expected %s", op->name,
                               ast->name[i], hint, form_of(op, form, sizeof form));
}

static weir_status sort_arguments(const weir__scope *scope, const weir__ast *ast, arguments *a) {
  const weir_operator *op = a->op;
  char                 form[400];
  while (op->params && op->params[a->params].name) a->params++;
  if (a->params > PARAMS_MAX || op->inputs + op->optional_inputs > WEIR_INPUTS_MAX)
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s declares more than %d parameters or %d inputs", op->name,
                     PARAMS_MAX, WEIR_INPUTS_MAX);
  for (int i = 0; i < ast->children; i++) {
    const char       *name  = ast->name[i];
    int               input = name ? input_named(op, name) : i < op->inputs ? i : -1;
    int               param = name ? param_named(op, name) : i - op->inputs;
    const weir__ast **to    = input >= 0 ? &a->field[input] : param >= 0 && param < a->params ? &a->param[param] : NULL;
    if (!to && name) return unknown_argument(scope, ast, i, op);
    if (!to)
      return weir__expression_fail(scope->source, ast->child[i]->at, "%s has too many arguments (%d): expected %s",
                                   op->name, ast->children, form_of(op, form, sizeof form));
    if (*to)
      return weir__expression_fail(scope->source, ast->child[i]->at, "argument '%.60s' of %s is given twice",
                                   name ? name : "", op->name);
    *to = ast->child[i];
  }
  for (int i = 0; i < op->inputs; i++)
    if (!a->field[i])
      return weir__expression_fail(scope->source, ast->at, "%s needs %d field%s: expected %s", op->name, op->inputs,
                                   op->inputs == 1 ? "" : "s", form_of(op, form, sizeof form));
  for (int i = 0; i < a->params; i++)
    if (!a->param[i] && op->params[i].required)
      return weir__expression_fail(scope->source, ast->at, "%s needs parameter '%s' (%s): expected %s", op->name,
                                   op->params[i].name, op->params[i].help ? op->params[i].help : "no default",
                                   form_of(op, form, sizeof form));
  return WEIR_OK;
}

/* ---- parameters ---- */

/* Where an argument that names a parameter of the operator being expanded really stands. */
static void resolve(const weir__scope **scope, const weir__ast **ast) {
  while (*ast && (*ast)->kind == WEIR__AST_NAME) {
    const weir__binding *bound = weir__scope_find(*scope, (*ast)->word);
    if (!bound || bound->value >= 0 || (!bound->ast && bound->is_number)) return;
    *ast   = bound->ast; /* NULL: not given, so here neither */
    *scope = bound->scope;
  }
}

static weir_status words_of(weir__builder *b, const weir__scope *scope, const weir__ast *ast, weir__argument *value) {
  char text[WEIR__QUOTE_MAX];
  int  count = ast->kind == WEIR__AST_LIST ? ast->children : 1;
  if (count > WEIR_RANK_MAX)
    return weir__expression_fail(scope->source, ast->at, "'%s' has %d items: expected at most %d",
                                 quote(scope, ast, text), count, WEIR_RANK_MAX);
  for (int i = 0; i < count; i++) {
    const weir__ast *word = ast->kind == WEIR__AST_LIST ? ast->child[i] : ast;
    if (word->kind != WEIR__AST_NAME && word->kind != WEIR__AST_TEXT)
      return weir__expression_fail(scope->source, word->at, "'%s' is no word or text", quote(scope, word, text));
    WEIR_TRY(weir__arena_string(&b->graph->arena, word->word, &value->word[i]));
  }
  value->words = count;
  return WEIR_OK;
}

/* A list of constants; anything else is left for others to complain about. */
static weir_status numbers_of(const weir__scope *scope, const weir__ast *ast, const weir_operator *op,
                              const weir_param *param, weir__argument *value) {
  char text[WEIR__QUOTE_MAX];
  if (ast->kind != WEIR__AST_LIST) return WEIR_OK;
  if (ast->children > WEIR_LIST_MAX)
    return weir__expression_fail(scope->source, ast->at, "'%s' has %d items: expected at most %d",
                                 quote(scope, ast, text), ast->children, WEIR_LIST_MAX);
  for (int i = 0; i < ast->children; i++)
    if (!weir__constant(scope, ast->child[i], &value->list[i]))
      return weir__expression_fail(scope->source, ast->child[i]->at, "parameter %s of %s: '%s' is no number",
                                   param->name, op->name, quote(scope, ast->child[i], text));
  value->numbers = ast->children;
  return WEIR_OK;
}

static weir_status set_param(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const arguments *a,
                             const weir_param *param, void *params) {
  weir__argument value   = {0};
  bool           numeric = param->kind == WEIR_PARAM_REAL || param->kind == WEIR_PARAM_INT;
  bool           listed  = param->kind == WEIR_PARAM_LIST;
  char           text[WEIR__QUOTE_MAX];
  bool           reduces = a->op->inputs == 1 && (!strcmp(a->op->name, "max") || !strcmp(a->op->name, "min"));
  resolve(&scope, &ast);
  if (!ast) return WEIR_OK;
  if (listed) WEIR_TRY(numbers_of(scope, ast, a->op, param, &value));
  value.is_number = (numeric || listed || param->kind == WEIR_PARAM_BOOL || ast->kind == WEIR__AST_NUMBER ||
                     ast->kind == WEIR__AST_OPERATION) &&
                    weir__constant(scope, ast, &value.number);
  bool wordy = ast->kind == WEIR__AST_NAME || ast->kind == WEIR__AST_TEXT || ast->kind == WEIR__AST_LIST;
  if (!value.is_number && (numeric || !wordy)) /* a word where a number belongs, or arithmetic on fields */
    return weir__expression_fail(scope->source, ast->at, "parameter %s of %s is '%s': expected a %s%s", param->name,
                                 a->op->name, quote(scope, ast, text), numeric ? "number" : "word",
                                 !reduces                ? ""
                                 : a->op->name[1] == 'a' ? " (maximum(a, b) compares fields)"
                                                         : " (minimum(a, b) compares fields)");
  if (!value.is_number && !value.numbers) WEIR_TRY(words_of(b, scope, ast, &value));
  if (reduces && wordy && ast->kind == WEIR__AST_NAME && param->kind == WEIR_PARAM_AXES) {
    weir__edge unused;
    if (weir__graph_find(b->graph, ast->word, &unused))
      return weir__expression_fail(
          scope->source, ast->at,
          "parameter %s of %s is the field '%s': expected a dimension name (%simum(a, b) compares "
          "fields)",
          param->name, a->op->name, ast->word, a->op->name);
  }
  return weir__expression_locate(weir__params_set(a->op, params, param, &value), scope->source, ast->at);
}

static bool same_params(const weir_operator *op, const char *p, const char *q) {
  for (const weir_param *d = op->params; d && d->name; d++) {
    const char *x = p + d->offset, *y = q + d->offset, *s, *t;
    switch (d->kind) {
    case WEIR_PARAM_REAL:
    case WEIR_PARAM_INT:
      if (memcmp(x, y, 8)) return false;
      break;
    case WEIR_PARAM_BOOL:
      if (*(const bool *)x != *(const bool *)y) return false;
      break;
    case WEIR_PARAM_CHOICE:
      if (memcmp(x, y, sizeof(int))) return false;
      break;
    case WEIR_PARAM_TEXT:
      memcpy(&s, x, sizeof s);
      memcpy(&t, y, sizeof t);
      if (s != t && (!s || !t || strcmp(s, t))) return false;
      break;
    case WEIR_PARAM_LIST: {
      weir_list v, w;
      memcpy(&v, x, sizeof v);
      memcpy(&w, y, sizeof w);
      if (v.count != w.count || memcmp(v.value, w.value, (size_t)v.count * sizeof *v.value)) return false;
      break;
    }
    case WEIR_PARAM_AXES: {
      weir_axes v, w;
      memcpy(&v, x, sizeof v);
      memcpy(&w, y, sizeof w);
      if (v.count != w.count) return false;
      for (int i = 0; i < v.count; i++)
        if (strcmp(v.name[i], w.name[i])) return false;
      break;
    }
    }
  }
  return true;
}

/* ---- operators ---- */

static weir_status check_field(const weir__scope *scope, const weir__ast *ast, const weir_operator *op, int input) {
  char text[WEIR__QUOTE_MAX];
  if (ast->kind != WEIR__AST_TEXT && ast->kind != WEIR__AST_LIST) return WEIR_OK;
  return weir__expression_fail(scope->source, ast->at, "input %s of %s is %s: expected a field",
                               op->input_names ? op->input_names[input] : "1", op->name, quote(scope, ast, text));
}

/* The same call made before in this definition; -1: none. */
static int find_call(const weir__builder *b, const weir__call *call) {
  for (size_t i = 0; i < b->calls; i++) {
    const weir__call *c = &b->call[i];
    if (c->op == call->op && c->inputs == call->inputs && same_params(c->op, c->params, call->params) &&
        !memcmp(c->input, call->input, sizeof c->input))
      return c->node;
  }
  return -1;
}

static weir_status make_inputs(weir__builder *b, const weir__scope *scope, const arguments *a, weir__call *call) {
  int value;
  for (int i = 0; i < WEIR_INPUTS_MAX; i++) call->input[i] = (weir__edge){.node = -1};
  for (int i = 0; i < a->op->inputs + a->op->optional_inputs; i++) {
    const weir__scope *from = scope;
    const weir__ast   *ast  = a->field[i];
    if (i >= a->op->inputs) resolve(&from, &ast); /* an optional input not given to the operator being expanded */
    if (!ast) continue;
    WEIR_TRY(check_field(from, ast, a->op, i));
    WEIR_TRY(weir__build(b, from, ast, NULL, &value));
    weir__spot spot = {.source = from->source, .whole = ast};
    WEIR_TRY(weir__value_field(&b->values, value, &spot, NULL, &call->input[i]));
    call->inputs = i + 1;
  }
  return WEIR_OK;
}

static weir_status build_operator(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const arguments *a,
                                  const char *name, int *out) {
  weir__call call = {.op = a->op};
  void      *params;
  if (a->op->outputs > 1 && !name)
    return weir__expression_fail(scope->source, ast->at,
                                 "%s has several results: expected a definition of its own, such as 'flow: %s(...)', "
                                 "whose results are then flow.%s ...",
                                 a->op->name, a->op->name, a->op->output_names ? a->op->output_names[0] : "result");
  WEIR_TRY(make_inputs(b, scope, a, &call));
  WEIR_TRY(weir__arena_alloc(&b->arena, a->op->params_size, &params));
  weir__params_default(a->op, params);
  for (int i = 0; i < a->params; i++)
    if (a->param[i]) WEIR_TRY(set_param(b, scope, a->param[i], a, &a->op->params[i], params));
  call.params = params;
  call.node   = name ? -1 : find_call(b, &call);
  if (call.node < 0) {
    WEIR_TRY(weir__grow(&b->call, b->calls + 1, &b->call_capacity, sizeof *b->call));
    WEIR_TRY(weir__expression_locate(weir__graph_add_operator(b->graph, a->op, params, call.input, call.inputs, name,
                                                              b->values.place, NULL, &call.node),
                                     scope->source, ast->at));
    b->call[b->calls++] = call;
  }
  return weir__value_edge(&b->values, (weir__edge){call.node, 0}, out);
}

/* ---- operators that are expressions ---- */

/* What the parameters and inputs are called inside the operator's expression. */
static weir_status bind(weir__builder *b, const weir__scope *scope, const arguments *a, weir__scope *inner) {
  const weir_operator *op     = a->op;
  int                  inputs = op->inputs + op->optional_inputs;
  WEIR_TRY(weir__arena_alloc(&b->arena, (size_t)(inputs + a->params) * sizeof *inner->binding, &inner->binding));
  for (int i = 0; i < inputs && op->input_names; i++) {
    weir__binding     *to   = &inner->binding[inner->bindings++];
    const weir__scope *from = scope;
    const weir__ast   *ast  = a->field[i];
    *to                     = (weir__binding){.name = op->input_names[i], .value = -1};
    if (i >= op->inputs) resolve(&from, &ast);
    if (!ast) continue;
    WEIR_TRY(check_field(from, ast, op, i));
    WEIR_TRY(weir__build(b, from, ast, NULL, &to->value));
  }
  for (int i = 0; i < a->params; i++) {
    weir__binding    *to = &inner->binding[inner->bindings++];
    const weir_param *p  = &op->params[i];
    *to = (weir__binding){.name = p->name, .value = -1, .ast = a->param[i], .scope = scope, .number = p->fallback};
    resolve(&to->scope, &to->ast);
    to->is_number = !to->ast && (p->kind == WEIR_PARAM_REAL || p->kind == WEIR_PARAM_INT || p->kind == WEIR_PARAM_BOOL);
  }
  return WEIR_OK;
}

/* Parameters are checked against their declaration as those of any operator; the struct itself is not used. */
static weir_status check_params(weir__builder *b, const weir__scope *scope, const arguments *a) {
  void *params;
  if (!a->op->params_size) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&b->arena, a->op->params_size, &params));
  for (int i = 0; i < a->params; i++)
    if (a->param[i]) WEIR_TRY(set_param(b, scope, a->param[i], a, &a->op->params[i], params));
  return WEIR_OK;
}

static weir_status expand(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const arguments *a,
                          const char *name, int *out) {
  weir__script    *source;
  const weir__ast *tree;
  weir__scope     *inner; /* in the arena: bindings made further in may refer to it */
  WEIR_TRY(weir__arena_alloc(&b->arena, sizeof *source, &source));
  WEIR_TRY(weir__arena_alloc(&b->arena, sizeof *inner, &inner));
  *source = (weir__script){.text = a->op->expression};
  *inner  = (weir__scope){.source = source, .depth = scope->depth + 1};
  if (inner->depth > EXPANSION_MAX)
    return weir__expression_fail(scope->source, ast->at, "operator %s is made of itself", a->op->name);
  WEIR_TRY(check_params(b, scope, a));
  WEIR_TRY(bind(b, scope, a, inner));
  weir_status status = weir__expression_parse(&b->arena, source, &tree);
  if (status >= 0) status = weir__build(b, inner, tree, name, out);
  if (status < 0 && status != WEIR_ERR_MEMORY) status = weir__error_prefix(status, "in operator %s", a->op->name);
  return weir__expression_locate(status, scope->source, ast->at);
}

weir_status weir__build_call(weir__builder *b, const weir__scope *scope, const weir__ast *ast, const char *name,
                             int *out) {
  char       hint[WEIR__QUOTE_MAX + 24];
  weir__edge unused;
  weir__op   op;
  arguments  a = {.op = weir__graph_operator(b->graph, ast->word)};
  if (weir__function_find(ast->word, &op)) return build_function(b, scope, ast, op, out);
  if (!strcmp(ast->word, "clip")) return build_clip(b, scope, ast, out);
  if (!strcmp(ast->word, "units")) return build_units(b, scope, ast, out);
  if (!a.op && weir__graph_find(b->graph, ast->word, &unused))
    return weir__expression_fail(scope->source, ast->at, "'%.60s' is a field: expected an operator before '('",
                                 ast->word);
  if (!a.op) {
    WEIR_TRY(weir__suggest(b, scope, ast->word, true, hint));
    return weir__expression_fail(scope->source, ast->at, "no operator or function is named '%.60s'%s", ast->word, hint);
  }
  WEIR_TRY(sort_arguments(scope, ast, &a));
  if (a.op->expression) return expand(b, scope, ast, &a, name, out);
  return build_operator(b, scope, ast, &a, name, out);
}
