/* The expression language: text to syntax tree. It knows nothing of fields and operators; graph/builder.h gives names a
 * meaning.
 *
 *   or-expression:  and-expression { "or" and-expression }
 *   and-expression: not-expression { "and" not-expression }
 *   not-expression: "not" not-expression | sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
 *   sum:            product { ("+" | "-") product }
 *   product:        signed { ("*" | "/") signed }
 *   signed:         ("-" | "+") signed | primary [ ("^" | "**") signed ]      so -x^2 is -(x^2) and 2^-1 is legal
 *   primary:        number | "text" | 'text' | name | name "(" arguments ")" | "[" items "]" | "(" or-expression ")"
 *   arguments:      values, then name=value pairs
 *   name:           letters, digits and _, in parts joined by dots: zeta, flow.u, ocean.u */
#ifndef WEIR_GRAPH_EXPRESSION_H
#define WEIR_GRAPH_EXPRESSION_H
#include "graph/graph.h"
#include "graph/kernel.h" /* weir__op: what a sign stands for */

enum {
  WEIR__EXPRESSION_LENGTH_MAX  = 1 << 16, /* bytes */
  WEIR__EXPRESSION_NESTING_MAX = 100,     /* parentheses, lists, calls, signs and powers inside each other */
  WEIR__EXPRESSION_HEIGHT_MAX  = 1000,    /* of the tree: a sum of as many terms; bounds every recursion over it */
};

/* A text and where its first character stands. */
typedef struct weir__script {
  const char *text;
  weir__place place;
} weir__script;

typedef enum weir__ast_kind {
  WEIR__AST_NUMBER,
  WEIR__AST_TEXT,     /* quoted */
  WEIR__AST_NAME,     /* zeta, flow.u */
  WEIR__AST_LIST,     /* [y, x] */
  WEIR__AST_CALL,     /* word(children), the last ones with names */
  WEIR__AST_OPERATION /* a sign or word with one or two operands */
} weir__ast_kind;

typedef struct weir__ast weir__ast;
struct weir__ast {
  weir__ast_kind          kind;
  int                     at, end;  /* the node's own text: bytes at ... end-1 of the source */
  int                     sign;     /* operations: where the sign stands */
  int                     height;   /* 1 for a leaf */
  double                  number;   /* numbers */
  const char             *word;     /* texts (without quotes), names, calls (what is called) */
  weir__op                op;       /* operations */
  int                     children; /* list items, arguments, operands */
  const weir__ast *const *child;
  const char *const      *name; /* calls: name[i] of child i, NULL for a positional one */
};

/* Parse all of `text`; the tree and its strings are put into the arena, `text` itself must stay. */
weir_status weir__expression_parse(weir__arena *arena, const weir__script *source, const weir__ast **ast);

/* Fail with WEIR_ERR_INPUT: the place of byte `at` of the source, then the message. */
weir_status weir__expression_fail(const weir__script *source, int at, const char *format, ...) WEIR_PRINTF(3, 4);
/* Put that place before the message of a failure in flight. */
weir_status weir__expression_locate(weir_status status, const weir__script *source, int at);

/* Bytes at ... end-1 as a quote for messages: on one line, shortened in the middle, unprintable bytes as '?'. */
enum { WEIR__QUOTE_MAX = 64 };
const char *weir__expression_quote(const weir__script *source, int at, int end, char out[WEIR__QUOTE_MAX]);

/* Is `name` a legal single name (no dots) that means nothing else in an expression? */
bool weir__expression_is_name(const char *name);

/* ---- tokens (lexer.c), used by the parser ---- */

typedef enum weir__token_kind {
  WEIR__TOKEN_END,
  WEIR__TOKEN_NUMBER,
  WEIR__TOKEN_TEXT,
  WEIR__TOKEN_NAME,
  WEIR__TOKEN_SIGN, /* an operation, also the words and, or, not */
  WEIR__TOKEN_OPEN,
  WEIR__TOKEN_CLOSE,
  WEIR__TOKEN_OPEN_LIST,
  WEIR__TOKEN_CLOSE_LIST,
  WEIR__TOKEN_COMMA,
  WEIR__TOKEN_ASSIGN,
} weir__token_kind;

typedef struct weir__token {
  weir__token_kind kind;
  int              at, end;
  weir__op         op; /* signs; "-" is WEIR__OP_SUB, "+" WEIR__OP_ADD */
  double           number;
} weir__token;

/* The token that starts at or after byte `at`. */
weir_status weir__expression_token(const weir__script *source, int at, weir__token *token);
#endif
