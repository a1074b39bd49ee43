/* Tokens of the expression language, places and quotes for messages. */
#include "core/text.h"
#include "graph/expression.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- messages ---- */

/* "gyre.yaml:12:9", or "column 9" (of "line 2, column 9") of a text that is from no file. */
static void place_text(const weir__script *source, int at, char out[512]) {
  int line = source->place.line, column = source->place.column + at;
  int lines = 0;
  for (int i = 0; i < at; i++)
    if (source->text[i] == '\n') {
      lines++;
      column = at - i;
    }
  if (source->place.file && source->place.line > 0 && source->place.column > 0)
    snprintf(out, 512, "%.400s:%d:%d", source->place.file, line + lines, column);
  else if (source->place.file && source->place.line > 0)
    snprintf(out, 512, "%.400s:%d", source->place.file, line + lines);
  else if (source->place.file) snprintf(out, 512, "%.400s", source->place.file);
  else if (lines) snprintf(out, 512, "line %d, column %d", lines + 1, column);
  else snprintf(out, 512, "column %d", at + 1);
}

weir_status weir__expression_fail(const weir__script *source, int at, const char *format, ...) {
  char    place[512], text[1024];
  va_list arguments;
  place_text(source, at, place);
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", place, text);
}

weir_status weir__expression_locate(weir_status status, const weir__script *source, int at) {
  char place[512];
  if (status >= 0) return status;
  place_text(source, at, place);
  return weir__error_prefix(status, "%s", place);
}

const char *weir__expression_quote(const weir__script *source, int at, int end, char out[WEIR__QUOTE_MAX]) {
  enum { HALF = (WEIR__QUOTE_MAX - 4) / 2 };
  int  n         = 0;
  bool long_text = end - at > 2 * HALF;
  for (int i = at; i < end; i++) {
    if (long_text && i == at + HALF) {
      memcpy(out + n, "...", 3);
      n += 3;
      i = end - HALF;
    }
    char c   = source->text[i];
    out[n++] = c >= ' ' && c <= '~' ? c : c == '\n' || c == '\t' || c == '\r' ? ' ' : '?';
  }
  out[n] = 0;
  return out;
}

/* ---- characters; never the locale's ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool weir__expression_is_name(const char *name) {
  static const char *const reserved[] = {"and", "or", "not", "pi", "step", "time", "dt"};
  if (!is_letter(*name)) return false;
  for (const char *c = name; *c; c++)
    if (!is_letter(*c) && !is_digit(*c)) return false;
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (!strcmp(name, reserved[i])) return false;
  return true;
}

/* ---- tokens ---- */

static weir_status number_token(const weir__script *source, weir__token *token) {
  const char *text = source->text;
  char        quote[WEIR__QUOTE_MAX], digits[WEIR__QUOTE_MAX];
  int         i = token->at;
  while (is_digit(text[i])) i++;
  if (text[i] == '.') i++;
  while (is_digit(text[i])) i++;
  if (text[i] == 'e' || text[i] == 'E') {
    int e = i + 1;
    if (text[e] == '+' || text[e] == '-') e++;
    if (is_digit(text[e])) {
      while (is_digit(text[e])) e++;
      i = e;
    }
  }
  bool legal = !is_letter(text[i]) && text[i] != '.';
  while (is_letter(text[i]) || is_digit(text[i]) || text[i] == '.') i++; /* quote the whole word */
  token->end = i;
  weir__expression_quote(source, token->at, i, quote);
  if (!legal) return weir__expression_fail(source, token->at, "'%s' is no number (is a '*' missing?)", quote);
  if (i - token->at >= (int)sizeof digits)
    return weir__expression_fail(source, token->at, "the number '%s' has more than %d characters", quote,
                                 (int)sizeof digits - 1);
  memcpy(digits, text + token->at, (size_t)(i - token->at));
  digits[i - token->at] = 0;
  if (!weir__text_to_double(digits, &token->number) || !isfinite(token->number))
    return weir__expression_fail(source, token->at, "the number '%s' is out of range", quote);
  token->kind = WEIR__TOKEN_NUMBER;
  return WEIR_OK;
}

static weir_status text_token(const weir__script *source, weir__token *token) {
  const char *open  = source->text + token->at;
  const char *close = strchr(open + 1, *open);
  char        quote[WEIR__QUOTE_MAX];
  if (!close)
    return weir__expression_fail(source, token->at, "the text %s has no closing %c",
                                 weir__expression_quote(source, token->at, (int)strlen(source->text), quote), *open);
  token->kind = WEIR__TOKEN_TEXT;
  token->end  = (int)(close + 1 - source->text);
  return WEIR_OK;
}

static void name_token(const weir__script *source, weir__token *token) {
  static const struct {
    const char *word;
    weir__op    op;
  } words[]        = {{"and", WEIR__OP_AND}, {"or", WEIR__OP_OR}, {"not", WEIR__OP_NOT}};
  const char *text = source->text;
  int         i    = token->at;
  while (is_letter(text[i]) || is_digit(text[i]) || (text[i] == '.' && is_letter(text[i + 1]))) i++;
  token->kind = WEIR__TOKEN_NAME;
  token->end  = i;
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if ((size_t)(i - token->at) == strlen(words[k].word) &&
        !strncmp(text + token->at, words[k].word, (size_t)(i - token->at))) {
      token->kind = WEIR__TOKEN_SIGN;
      token->op   = words[k].op;
    }
}

static weir_status sign_token(const weir__script *source, weir__token *token) {
  static const struct {
    const char      *sign; /* longer ones first */
    weir__token_kind kind;
    weir__op         op;
  } signs[]        = {{"**", WEIR__TOKEN_SIGN, WEIR__OP_POW},
                      {"<=", WEIR__TOKEN_SIGN, WEIR__OP_LE},
                      {">=", WEIR__TOKEN_SIGN, WEIR__OP_GE},
                      {"==", WEIR__TOKEN_SIGN, WEIR__OP_EQ},
                      {"!=", WEIR__TOKEN_SIGN, WEIR__OP_NE},
                      {"<", WEIR__TOKEN_SIGN, WEIR__OP_LT},
                      {">", WEIR__TOKEN_SIGN, WEIR__OP_GT},
                      {"+", WEIR__TOKEN_SIGN, WEIR__OP_ADD},
                      {"-", WEIR__TOKEN_SIGN, WEIR__OP_SUB},
                      {"*", WEIR__TOKEN_SIGN, WEIR__OP_MUL},
                      {"/", WEIR__TOKEN_SIGN, WEIR__OP_DIV},
                      {"^", WEIR__TOKEN_SIGN, WEIR__OP_POW},
                      {"(", WEIR__TOKEN_OPEN, 0},
                      {")", WEIR__TOKEN_CLOSE, 0},
                      {"[", WEIR__TOKEN_OPEN_LIST, 0},
                      {"]", WEIR__TOKEN_CLOSE_LIST, 0},
                      {",", WEIR__TOKEN_COMMA, 0},
                      {"=", WEIR__TOKEN_ASSIGN, 0}};
  const char *text = source->text + token->at;
  char        quote[WEIR__QUOTE_MAX];
  for (size_t k = 0; k < sizeof signs / sizeof *signs; k++) {
    size_t length = strlen(signs[k].sign);
    if (strncmp(text, signs[k].sign, length)) continue;
    token->kind = signs[k].kind;
    token->op   = signs[k].op;
    token->end  = token->at + (int)length;
    return WEIR_OK;
  }
  unsigned char c = (unsigned char)*text;
  if (c < ' ' || c > '~')
    return weir__expression_fail(source, token->at, "the byte 0x%02x is not part of the expression language", c);
  return weir__expression_fail(source, token->at, "'%s' is not part of the expression language%s",
                               weir__expression_quote(source, token->at, token->at + 1, quote),
                               c == '&'   ? "; write 'and'"
                               : c == '|' ? "; write 'or'"
                               : c == '!' ? "; write 'not'"
                               : c == '%' ? "; write mod(a, b)"
                                          : "");
}

weir_status weir__expression_token(const weir__script *source, int at, weir__token *token) {
  while (is_space(source->text[at])) at++;
  char c = source->text[at];
  *token = (weir__token){.kind = WEIR__TOKEN_END, .at = at, .end = at};
  if (!c) return WEIR_OK;
  if (is_digit(c) || (c == '.' && is_digit(source->text[at + 1]))) return number_token(source, token);
  if (c == '"' || c == '\'') return text_token(source, token);
  if (!is_letter(c)) return sign_token(source, token);
  name_token(source, token);
  return WEIR_OK;
}
