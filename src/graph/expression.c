/* The parser: precedence climbing over tokens. Its recursion is bounded by the nesting it allows. */
#include "graph/expression.h"
#include <string.h>

typedef struct parser {
  weir__arena        *arena;
  const weir__script *source;
  weir__token         token; /* the one to be taken next */
  int                 end;   /* of the one taken last */
  int                 nesting;
} parser;

/* How tightly an operation binds its operands; what stands between COMPARISON and SUM does not chain. */
enum { BIND_OR = 1, BIND_AND, BIND_NOT, BIND_COMPARISON, BIND_SUM, BIND_PRODUCT, BIND_SIGN, BIND_POWER };

static int binding(weir__op op) {
  switch (op) {
  case WEIR__OP_OR: return BIND_OR;
  case WEIR__OP_AND: return BIND_AND;
  case WEIR__OP_LT:
  case WEIR__OP_LE:
  case WEIR__OP_GT:
  case WEIR__OP_GE:
  case WEIR__OP_EQ:
  case WEIR__OP_NE: return BIND_COMPARISON;
  case WEIR__OP_ADD:
  case WEIR__OP_SUB: return BIND_SUM;
  case WEIR__OP_MUL:
  case WEIR__OP_DIV: return BIND_PRODUCT;
  case WEIR__OP_POW: return BIND_POWER;
  default: return 0; /* `not` stands between no operands */
  }
}

static weir_status parse(parser *p, int least, weir__ast **out);

static weir_status advance(parser *p) {
  p->end = p->token.end;
  return weir__expression_token(p->source, p->token.end, &p->token);
}

/* "unexpected ')' after 'ddx(v) -': expected ..." */
static weir_status unexpected(const parser *p, const char *expected) {
  char what[WEIR__QUOTE_MAX], before[WEIR__QUOTE_MAX];
  int  start = 0;
  while (start < p->end && strchr(" \t\r\n", p->source->text[start])) start++;
  weir__expression_quote(p->source, start, p->end, before);
  weir__expression_quote(p->source, p->token.at, p->token.end, what);
  if (p->token.kind == WEIR__TOKEN_END && !p->end)
    return weir__expression_fail(p->source, p->token.at, "the expression is empty: expected %s", expected);
  if (p->token.kind == WEIR__TOKEN_END)
    return weir__expression_fail(p->source, p->token.at, "the expression ends after '%s': expected %s", before,
                                 expected);
  if (!p->end)
    return weir__expression_fail(p->source, p->token.at, "unexpected '%s' at the start: expected %s", what, expected);
  return weir__expression_fail(p->source, p->token.at, "unexpected '%s' after '%s': expected %s", what, before,
                               expected);
}

static weir_status new_node(parser *p, weir__ast_kind kind, int at, weir__ast **out) {
  weir__ast *node;
  WEIR_TRY(weir__arena_alloc(p->arena, sizeof *node, &node));
  *node = (weir__ast){.kind = kind, .at = at, .end = p->end, .sign = at, .height = 1};
  *out  = node;
  return WEIR_OK;
}

static weir_status copy_word(parser *p, int at, int end, const char **out) {
  char *word;
  WEIR_TRY(weir__arena_alloc(p->arena, (size_t)(end - at) + 1, &word));
  memcpy(word, p->source->text + at, (size_t)(end - at));
  *out = word;
  return WEIR_OK;
}

/* Give `node` its children and their height. */
static weir_status adopt(parser *p, weir__ast *node, int count, weir__ast *const *child) {
  const weir__ast **list;
  WEIR_TRY(weir__arena_alloc(p->arena, (size_t)count * sizeof *list, &list));
  for (int i = 0; i < count; i++) {
    list[i] = child[i];
    if (child[i]->height >= node->height) node->height = child[i]->height + 1;
  }
  if (node->height > WEIR__EXPRESSION_HEIGHT_MAX)
    return weir__expression_fail(p->source, node->sign,
                                 "more than %d operations depend on each other: give a part of the expression a name",
                                 WEIR__EXPRESSION_HEIGHT_MAX);
  node->children = count;
  node->child    = list;
  return WEIR_OK;
}

static weir_status operation(parser *p, const weir__token *sign, weir__op op, weir__ast *a, weir__ast *b,
                             weir__ast **out) {
  weir__ast *node, *operands[2] = {a, b};
  int        at = b && a->at < sign->at ? a->at : sign->at;
  WEIR_TRY(new_node(p, WEIR__AST_OPERATION, at, &node));
  node->sign = sign->at;
  node->op   = op;
  WEIR_TRY(adopt(p, node, b ? 2 : 1, operands));
  *out = node;
  return WEIR_OK;
}

/* ---- lists and arguments ---- */

typedef struct items {
  weir__ast  **child;
  const char **name;
  size_t       count, child_capacity, name_capacity;
} items;

static weir_status add_item(parser *p, items *list, bool named_allowed) {
  weir__token before = p->token;
  int         end    = p->end;
  const char *name   = NULL;
  if (named_allowed && p->token.kind == WEIR__TOKEN_NAME) {
    weir__token word = p->token;
    WEIR_TRY(advance(p));
    if (p->token.kind == WEIR__TOKEN_ASSIGN) {
      WEIR_TRY(copy_word(p, word.at, word.end, &name));
      WEIR_TRY(advance(p));
    } else {
      p->token = before;
      p->end   = end;
    }
  }
  weir__ast *value;
  WEIR_TRY(parse(p, BIND_OR, &value));
  if (!name && list->count && list->name[list->count - 1]) {
    char quote[WEIR__QUOTE_MAX];
    return weir__expression_fail(p->source, value->at, "'%s' comes after a named argument: expected name=value",
                                 weir__expression_quote(p->source, value->at, value->end, quote));
  }
  WEIR_TRY(weir__grow(&list->child, list->count + 1, &list->child_capacity, sizeof *list->child));
  WEIR_TRY(weir__grow(&list->name, list->count + 1, &list->name_capacity, sizeof *list->name));
  list->child[list->count]  = value;
  list->name[list->count++] = name;
  return WEIR_OK;
}

/* Items up to `close`, which is taken too. */
static weir_status parse_items(parser *p, weir__token_kind close, bool named_allowed, items *list) {
  const char *expected = close == WEIR__TOKEN_CLOSE ? "',' or ')'" : "',' or ']'";
  if (p->token.kind == close) return advance(p);
  for (;;) {
    WEIR_TRY(add_item(p, list, named_allowed));
    if (p->token.kind == close) return advance(p);
    if (p->token.kind != WEIR__TOKEN_COMMA) return unexpected(p, expected);
    WEIR_TRY(advance(p));
  }
}

/* A call of `word` or, without one, a list; the opening sign is next. */
static weir_status parse_group(parser *p, const weir__token *word, weir__ast **out) {
  weir_status status = WEIR_OK;
  items       list   = {0};
  weir__ast  *node;
  int         at = word ? word->at : p->token.at;
  WEIR_TRY(advance(p));
  WEIR_TRY_GOTO(end, parse_items(p, word ? WEIR__TOKEN_CLOSE : WEIR__TOKEN_CLOSE_LIST, word != NULL, &list));
  WEIR_TRY_GOTO(end, new_node(p, word ? WEIR__AST_CALL : WEIR__AST_LIST, at, &node));
  WEIR_TRY_GOTO(end, adopt(p, node, (int)list.count, list.child));
  if (word) {
    const char **names;
    WEIR_TRY_GOTO(end, copy_word(p, word->at, word->end, &node->word));
    WEIR_TRY_GOTO(end, weir__arena_alloc(p->arena, list.count * sizeof *names, &names));
    if (list.count) memcpy(names, list.name, list.count * sizeof *names);
    node->name = names;
  }
  *out = node;
end:
  weir__free(list.child);
  weir__free(list.name);
  return status;
}

/* ---- values ---- */

static weir_status parse_parentheses(parser *p, weir__ast **out) {
  weir__ast *inner;
  int        at = p->token.at;
  WEIR_TRY(advance(p));
  WEIR_TRY(parse(p, BIND_OR, &inner));
  if (p->token.kind != WEIR__TOKEN_CLOSE) return unexpected(p, "an operation or ')'");
  WEIR_TRY(advance(p));
  inner->at  = at; /* quotes show the parentheses too */
  inner->end = p->end;
  *out       = inner;
  return WEIR_OK;
}

static weir_status parse_primary(parser *p, weir__ast **out) {
  weir__token token = p->token;
  switch (token.kind) {
  case WEIR__TOKEN_NUMBER:
    WEIR_TRY(advance(p));
    WEIR_TRY(new_node(p, WEIR__AST_NUMBER, token.at, out));
    (*out)->number = token.number;
    return WEIR_OK;
  case WEIR__TOKEN_TEXT:
    WEIR_TRY(advance(p));
    WEIR_TRY(new_node(p, WEIR__AST_TEXT, token.at, out));
    return copy_word(p, token.at + 1, token.end - 1, &(*out)->word);
  case WEIR__TOKEN_NAME:
    WEIR_TRY(advance(p));
    if (p->token.kind == WEIR__TOKEN_OPEN) return parse_group(p, &token, out);
    WEIR_TRY(new_node(p, WEIR__AST_NAME, token.at, out));
    return copy_word(p, token.at, token.end, &(*out)->word);
  case WEIR__TOKEN_OPEN_LIST: return parse_group(p, NULL, out);
  case WEIR__TOKEN_OPEN: return parse_parentheses(p, out);
  default: return unexpected(p, "a field, a number, an operator or '('");
  }
}

/* A value with its signs: -x, not x, x. */
static weir_status parse_prefix(parser *p, int least, weir__ast **out) {
  weir__token token = p->token;
  weir__ast  *operand;
  bool        sign = token.kind == WEIR__TOKEN_SIGN && (token.op == WEIR__OP_SUB || token.op == WEIR__OP_ADD);
  bool        no   = token.kind == WEIR__TOKEN_SIGN && token.op == WEIR__OP_NOT;
  if (no && least > BIND_NOT) return unexpected(p, "a value (put 'not ...' in parentheses)");
  if (!sign && !no) return parse_primary(p, out);
  WEIR_TRY(advance(p));
  WEIR_TRY(parse(p, no ? BIND_NOT : BIND_SIGN, &operand));
  if (token.op == WEIR__OP_ADD) {
    *out = operand;
    return WEIR_OK;
  }
  return operation(p, &token, no ? WEIR__OP_NOT : WEIR__OP_NEG, operand, NULL, out);
}

/* Everything that binds at least as tightly as `least`. */
static weir_status parse_bound(parser *p, int least, weir__ast **out) {
  weir__ast *left, *right;
  WEIR_TRY(parse_prefix(p, least, &left));
  bool compared = false;
  while (p->token.kind == WEIR__TOKEN_SIGN) {
    weir__token sign  = p->token;
    int         bound = binding(sign.op);
    if (!bound) return unexpected(p, "an operation or the end");
    if (bound < least) break;
    if (bound == BIND_COMPARISON && compared)
      return weir__expression_fail(p->source, sign.at,
                                   "comparisons do not chain: expected 'and', as in a < b and b < c");
    WEIR_TRY(advance(p));
    /* the right side of a power takes signs and further powers: 2^-1, 2^3^2 = 2^(3^2) */
    WEIR_TRY(parse(p, bound == BIND_POWER ? BIND_SIGN : bound + 1, &right));
    WEIR_TRY(operation(p, &sign, sign.op, left, right, &left));
    compared = bound == BIND_COMPARISON;
  }
  *out = left;
  return WEIR_OK;
}

static weir_status parse(parser *p, int least, weir__ast **out) {
  if (p->nesting == WEIR__EXPRESSION_NESTING_MAX)
    return weir__expression_fail(p->source, p->token.at, "more than %d levels inside each other",
                                 WEIR__EXPRESSION_NESTING_MAX);
  p->nesting++;
  weir_status status = parse_bound(p, least, out);
  p->nesting--;
  return status;
}

weir_status weir__expression_parse(weir__arena *arena, const weir__script *source, const weir__ast **ast) {
  parser     p = {.arena = arena, .source = source};
  weir__ast *root;
  if (strnlen(source->text, WEIR__EXPRESSION_LENGTH_MAX + 1) > WEIR__EXPRESSION_LENGTH_MAX)
    return weir__expression_fail(source, 0, "the expression has more than %d characters", WEIR__EXPRESSION_LENGTH_MAX);
  WEIR_TRY(weir__expression_token(source, 0, &p.token));
  WEIR_TRY(parse(&p, BIND_OR, &root));
  if (p.token.kind == WEIR__TOKEN_ASSIGN) return unexpected(&p, "an operation ('==' compares)");
  if (p.token.kind != WEIR__TOKEN_END) return unexpected(&p, "an operation or the end");
  *ast = root;
  return WEIR_OK;
}
