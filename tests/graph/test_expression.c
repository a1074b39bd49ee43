/* The parser: what binds how tightly, and every error message to the letter. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "core/text.h"
#include "graph/expression.h"

static const char *sign_of(weir__op op) {
  switch (op) {
  case WEIR__OP_NEG: return "neg";
  case WEIR__OP_NOT: return "not";
  case WEIR__OP_ADD: return "+";
  case WEIR__OP_SUB: return "-";
  case WEIR__OP_MUL: return "*";
  case WEIR__OP_DIV: return "/";
  case WEIR__OP_POW: return "^";
  case WEIR__OP_LT: return "<";
  case WEIR__OP_LE: return "<=";
  case WEIR__OP_GT: return ">";
  case WEIR__OP_GE: return ">=";
  case WEIR__OP_EQ: return "==";
  case WEIR__OP_NE: return "!=";
  case WEIR__OP_AND: return "and";
  case WEIR__OP_OR: return "or";
  default: return "?";
  }
}

/* The tree with all its brackets. */
static void print(weir__text *text, const weir__ast *ast) {
  switch (ast->kind) {
  case WEIR__AST_NUMBER: weir__text_add(text, "%g", ast->number); return;
  case WEIR__AST_TEXT: weir__text_add(text, "\"%s\"", ast->word); return;
  case WEIR__AST_NAME: weir__text_add(text, "%s", ast->word); return;
  case WEIR__AST_LIST: weir__text_add(text, "[list"); break;
  case WEIR__AST_CALL: weir__text_add(text, "[%s", ast->word); break;
  case WEIR__AST_OPERATION: weir__text_add(text, "(%s", sign_of(ast->op)); break;
  }
  for (int i = 0; i < ast->children; i++) {
    weir__text_add(text, " ");
    if (ast->kind == WEIR__AST_CALL && ast->name[i]) weir__text_add(text, "%s=", ast->name[i]);
    print(text, ast->child[i]);
  }
  weir__text_add(text, ast->kind == WEIR__AST_OPERATION ? ")" : "]");
}

static void expect_tree(const char *expression, const char *tree) {
  weir__arena      arena  = {0};
  weir__script     source = {.text = expression};
  weir__text       text   = {0};
  const weir__ast *ast;
  if (weir__expression_parse(&arena, &source, &ast) < 0) fail_msg("%s: %s", expression, weir_error_last());
  print(&text, ast);
  assert_string_equal(text.data, tree);
  weir__text_clear(&text);
  weir__arena_clear(&arena);
}

static void expect_error_at(weir__place place, const char *expression, const char *message) {
  weir__arena      arena  = {0};
  weir__script     source = {.text = expression, .place = place};
  const weir__ast *ast    = NULL;
  assert_int_equal(weir__expression_parse(&arena, &source, &ast), WEIR_ERR_INPUT);
  assert_null(ast);
  assert_string_equal(weir_error_last(), message);
  weir__arena_clear(&arena);
}

static void expect_error(const char *expression, const char *message) {
  char whole[1024];
  snprintf(whole, sizeof whole, "gyre.yaml:7:%s", message);
  expect_error_at((weir__place){"gyre.yaml", 7, 11}, expression, whole);
}

static void test_leaves(void **state) {
  (void)state;
  expect_tree("1", "1");
  expect_tree(" 1.5e-3 ", "0.0015");
  expect_tree(".5", "0.5");
  expect_tree("2.", "2");
  expect_tree("1E+2", "100");
  expect_tree("zeta", "zeta");
  expect_tree("flow.u", "flow.u");
  expect_tree("_a1.b_2.c", "_a1.b_2.c");
  expect_tree("andy + nothing", "(+ andy nothing)");
  expect_tree("f(\"a b\", 'c\"d')", "[f \"a b\" \"c\"d\"]");
}

static void test_precedence(void **state) {
  (void)state;
  expect_tree("a + b * c", "(+ a (* b c))");
  expect_tree("a * b + c", "(+ (* a b) c)");
  expect_tree("a - b - c", "(- (- a b) c)");
  expect_tree("a / b / c", "(/ (/ a b) c)");
  expect_tree("a / b * c", "(* (/ a b) c)");
  expect_tree("-x^2", "(neg (^ x 2))");
  expect_tree("(-x)^2", "(^ (neg x) 2)");
  expect_tree("2^-1", "(^ 2 (neg 1))");
  expect_tree("2^-x^3", "(^ 2 (neg (^ x 3)))");
  expect_tree("2^3^2", "(^ 2 (^ 3 2))");
  expect_tree("2**3**2", "(^ 2 (^ 3 2))");
  expect_tree("a*b**c", "(* a (^ b c))");
  expect_tree("a^b*c", "(* (^ a b) c)");
  expect_tree("-a*b", "(* (neg a) b)");
  expect_tree("a*-b", "(* a (neg b))");
  expect_tree("a--b", "(- a (neg b))");
  expect_tree("+a", "a");
  expect_tree("- -a", "(neg (neg a))");
  expect_tree("a + 1 < b * 2", "(< (+ a 1) (* b 2))");
  expect_tree("a<=b", "(<= a b)");
  expect_tree("a>=b", "(>= a b)");
  expect_tree("a==b", "(== a b)");
  expect_tree("a!=b", "(!= a b)");
  expect_tree("not a < b", "(not (< a b))");
  expect_tree("not not a", "(not (not a))");
  expect_tree("a and b or c and d", "(or (and a b) (and c d))");
  expect_tree("a or b and c", "(or a (and b c))");
  expect_tree("not a and b", "(and (not a) b)");
  expect_tree("a < b and not c > d", "(and (< a b) (not (> c d)))");
  expect_tree("(a < b) == c", "(== (< a b) c)");
  expect_tree("-(a + b)", "(neg (+ a b))");
  expect_tree("a\n  + b", "(+ a b)");
}

static void test_calls(void **state) {
  (void)state;
  expect_tree("f()", "[f]");
  expect_tree("f(a, b + 1)", "[f a (+ b 1)]");
  expect_tree("lag(f, n=1)", "[lag f n=1]");
  expect_tree("s(ke, axes=[y, x])", "[s ke axes=[list y x]]");
  expect_tree("f(a, b=-2*pi, c=\"x\")", "[f a b=(* (neg 2) pi) c=\"x\"]");
  expect_tree("f(g(h(x)))^2", "(^ [f [g [h x]]] 2)");
  expect_tree("f(a == b)", "[f (== a b)]");
  expect_tree("f(a, [])", "[f a [list]]");
}

static void test_errors(void **state) {
  (void)state;
  expect_error("", "11: the expression is empty: expected a field, a number, an operator or '('");
  expect_error("  ", "13: the expression is empty: expected a field, a number, an operator or '('");
  expect_error("ddx(v) -", "19: the expression ends after 'ddx(v) -': expected a field, a number, an operator or '('");
  expect_error("ddx(v - )", "19: unexpected ')' after 'ddx(v -': expected a field, a number, an operator or '('");
  expect_error(")", "11: unexpected ')' at the start: expected a field, a number, an operator or '('");
  expect_error("(a + b", "17: the expression ends after '(a + b': expected an operation or ')'");
  expect_error("f(a b)", "15: unexpected 'b' after 'f(a': expected ',' or ')'");
  expect_error("[y, x", "16: the expression ends after '[y, x': expected ',' or ']'");
  expect_error("f(a, )", "16: unexpected ')' after 'f(a,': expected a field, a number, an operator or '('");
  expect_error("a b", "13: unexpected 'b' after 'a': expected an operation or the end");
  expect_error("a = 1", "13: unexpected '=' after 'a': expected an operation ('==' compares)");
  expect_error("a not b", "13: unexpected 'not' after 'a': expected an operation or the end");
  expect_error("1 + not b", "15: unexpected 'not' after '1 +': expected a value (put 'not ...' in parentheses)");
  expect_error("a < b < c", "17: comparisons do not chain: expected 'and', as in a < b and b < c");
  expect_error("f(n=1, a)", "18: 'a' comes after a named argument: expected name=value");
  expect_error("2x", "11: '2x' is no number (is a '*' missing?)");
  expect_error("1.2.3", "11: '1.2.3' is no number (is a '*' missing?)");
  expect_error("1e", "11: '1e' is no number (is a '*' missing?)");
  expect_error("a + 1e999", "15: the number '1e999' is out of range");
  expect_error("f(\"abc)", "13: the text \"abc) has no closing \"");
  expect_error("a & b", "13: '&' is not part of the expression language; write 'and'");
  expect_error("a % 2", "13: '%' is not part of the expression language; write mod(a, b)");
  expect_error("a $ 2", "13: '$' is not part of the expression language");
  expect_error("a + \xce\xb6", "15: the byte 0xce is not part of the expression language");
  expect_error("flow. + 1", "15: '.' is not part of the expression language");
}

static void test_places(void **state) {
  (void)state;
  expect_error_at((weir__place){"r.yaml", 3, 8}, "a +\n b c",
                  "r.yaml:4:4: unexpected 'c' after 'a +  b': expected an operation or the end");
  expect_error_at((weir__place){"r.yaml", 3, 0}, "a b",
                  "r.yaml:3: unexpected 'b' after 'a': expected an operation or the end");
  expect_error_at((weir__place){"r.yaml", 0, 0}, "a b",
                  "r.yaml: unexpected 'b' after 'a': expected an operation or the end");
  expect_error_at((weir__place){0}, "a b", "column 3: unexpected 'b' after 'a': expected an operation or the end");
  expect_error_at((weir__place){0}, "a +\nb c",
                  "line 2, column 3: unexpected 'c' after 'a + b': expected an operation or the end");
}

/* n copies of `piece` between two texts. */
static char *repeated(const char *before, const char *piece, int n, const char *after) {
  weir__text text = {0};
  weir__text_add(&text, "%s", before);
  for (int i = 0; i < n; i++) weir__text_add(&text, "%s", piece);
  weir__text_add(&text, "%s", after);
  return text.data;
}

static void expect_limit(char *expression, const char *end) {
  weir__arena      arena  = {0};
  weir__script     source = {.text = expression};
  const weir__ast *ast;
  weir_status      status = weir__expression_parse(&arena, &source, &ast);
  if (!end) {
    assert_int_equal(status, WEIR_OK);
  } else {
    assert_int_equal(status, WEIR_ERR_INPUT);
    if (!strstr(weir_error_last(), end)) fail_msg("%s", weir_error_last());
  }
  weir__arena_clear(&arena);
  weir__free(expression);
}

/* Depth is an error, never an overflow of the stack. */
static void test_limits(void **state) {
  (void)state;
  expect_limit(repeated("", "(", 60000, ""), "more than 100 levels inside each other");
  expect_limit(repeated("", "-", 60000, "1"), "more than 100 levels inside each other");
  expect_limit(repeated("", "not ", 16000, "1"), "more than 100 levels inside each other");
  expect_limit(repeated("", "2^", 30000, "1"), "more than 100 levels inside each other");
  expect_limit(repeated("", "f(", 30000, ""), "more than 100 levels inside each other");
  expect_limit(repeated("", "[", 60000, ""), "more than 100 levels inside each other");
  expect_limit(repeated("1", "+1", 30000, ""), "more than 1000 operations depend on each other");
  expect_limit(repeated("1", "+1", 40000, ""), "more than 65536 characters");
  expect_limit(repeated("1", "+1", 900, ""), NULL);
  expect_limit(repeated("f(1", ",1", 30000, ")"), NULL);
  expect_limit(repeated("", "1", 100, ""), "has more than 63 characters");
}

/* Long texts are shortened in the middle. */
static void test_quotes(void **state) {
  (void)state;
  char        *text   = repeated("begin", "abcdefghij", 10, "end");
  weir__script source = {.text = text};
  char         quote[WEIR__QUOTE_MAX];
  weir__expression_quote(&source, 0, (int)strlen(text), quote);
  assert_string_equal(quote, "beginabcdefghijabcdefghijabcde...defghijabcdefghijabcdefghijend");
  weir__free(text);
  source.text = "a\n\tb\x01";
  assert_string_equal(weir__expression_quote(&source, 0, 5, quote), "a  b?");
}

static void test_names(void **state) {
  (void)state;
  assert_true(weir__expression_is_name("zeta_2"));
  assert_false(weir__expression_is_name(""));
  assert_false(weir__expression_is_name("2a"));
  assert_false(weir__expression_is_name("a.b"));
  assert_false(weir__expression_is_name("a b"));
  assert_false(weir__expression_is_name("time"));
  assert_false(weir__expression_is_name("not"));
}

/* Every allocation may fail; nothing is lost and the message says so. */
static void test_memory(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    weir__arena      arena  = {0};
    weir__script     source = {.text = "f(a, [x, y], n=2*pi) + g(b)"};
    const weir__ast *ast;
    weir__alloc_fail_at(n);
    weir_status status = weir__expression_parse(&arena, &source, &ast);
    weir__alloc_fail_at(0);
    weir__arena_clear(&arena);
    if (status >= 0) break;
    assert_int_equal(status, WEIR_ERR_MEMORY);
    assert_true(n < 1000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_leaves), cmocka_unit_test(test_precedence), cmocka_unit_test(test_calls),
      cmocka_unit_test(test_errors), cmocka_unit_test(test_places),     cmocka_unit_test(test_limits),
      cmocka_unit_test(test_quotes), cmocka_unit_test(test_names),      cmocka_unit_test(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
