/* The builder: what nodes an expression becomes, their types, and every error message to the letter. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include "graph/language.h"
#include "field/units.h"

static weir__graph      *graph;
static const weir__place place = {"gyre.yaml", 7, 11};

static int setup(void **state) {
  (void)state;
  return language_graph(&graph) < 0;
}
static int teardown(void **state) {
  (void)state;
  weir__graph_destroy(&graph);
  return 0;
}

static const weir__node *define(const char *name, const char *text) {
  weir__edge edge;
  if (weir__graph_define(graph, name, text, place) < 0) fail_msg("%s: %s", text, weir_error_last());
  assert_true(weir__graph_find(graph, name, &edge));
  return &graph->node[edge.node];
}

static const weir__node *unnamed(const char *text) {
  weir__edge edge;
  if (weir__graph_expression(graph, text, place, &edge) < 0) fail_msg("%s: %s", text, weir_error_last());
  return &graph->node[edge.node];
}

static void expect_error(const char *text, const char *message) {
  char whole[1024];
  int  nodes = graph->nodes;
  snprintf(whole, sizeof whole, "gyre.yaml:7:%s", message);
  assert_int_equal(weir__graph_define(graph, "result", text, place), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), whole);
  assert_int_equal(graph->nodes, nodes); /* nothing half-built */
}

static const weir__kernel_params *kernel(const weir__node *node) {
  assert_ptr_equal(node->op, &weir__operator_arithmetic);
  return node->params;
}

/* ---- nodes ---- */

static void test_fusion(void **state) {
  (void)state;
  int               before = graph->nodes;
  const weir__node *node   = define("ke", "0.5 * (u^2 + speed^2)");
  assert_int_equal(graph->nodes, before + 1);
  assert_string_equal(node->name, "ke");
  assert_true(node->named);
  assert_int_equal(node->inputs, 2);
  assert_int_equal(kernel(node)->instructions, 5); /* two loads, a square, a square and the sum, a product */
  node = define("zeta", "ddx(u) - ddx(speed) + 2 * sqrt(a)");
  assert_int_equal(graph->nodes, before + 4);
  assert_string_equal(graph->node[node->input[0].node].name, "ddx");
  assert_false(graph->node[node->input[0].node].named);
  node = define("s", "ddx(u * a)"); /* arithmetic inside a call is a node of its own; the call takes the name */
  assert_int_equal(graph->nodes, before + 6);
  assert_string_equal(graph->node[node->input[0].node].name, "arithmetic");
  assert_ptr_equal(node->op, &language_ddx);
  assert_int_equal(node->place.line, 7);
}

static void test_common_subexpressions(void **state) {
  (void)state;
  int               before = graph->nodes;
  const weir__node *node   = define("r", "(a + b) * (a + b) + exp(a + b)");
  assert_int_equal(kernel(node)->instructions, 6); /* a, b, a + b, its square, exp, sum */
  assert_int_equal(kernel(node)->registers, 2);
  node = define("q", "ddx(a) * ddx(a) + lag(a, 1) + lag(a, n=1) + lag(a)");
  assert_int_equal(graph->nodes, before + 4); /* r, ddx, lag, q */
  node = define("p", "lag(a, 1) - lag(a, 2) - mean(a, axes=x) + mean(a, axes=[y, x])");
  assert_int_equal(node->inputs, 4);
}

static void test_constants(void **state) {
  (void)state;
  const weir__node *node = define("r", "(2 * 3 + -1) * a + sqrt(16) * 0");
  assert_int_equal(kernel(node)->uniforms, 2); /* 5 and 0 */
  node = define("number", "2 ^ 3");
  assert_int_equal(node->inputs, 0);
  assert_int_equal(node->type[0].rank, 0);
  assert_int_equal(node->type[0].dtype, WEIR_F64);
  node = define("l", "lag(a, 2 * 3 - 4)");
  assert_int_equal(((const language_params *)node->params)->whole, 2);
  node = define("w", "smooth(a, width=2*pi)");
  assert_true(((const language_params *)node->params)->real == 2 * 3.14159265358979323846);
}

static void test_names(void **state) {
  (void)state;
  weir__edge edge;
  assert_int_equal(weir__graph_expression(graph, " u ", place, &edge), WEIR_OK);
  assert_int_equal(edge.node, 0); /* a bare name is that field */
  assert_ptr_equal(unnamed("ocean.salt"), &graph->node[10]);
  assert_ptr_equal(unnamed("salt"), &graph->node[10]); /* of one stream only */
  const weir__node *node = define("copy", "u");
  assert_int_equal(kernel(node)->instructions, 1);
  assert_string_equal(node->type[0].units, "m s-1");
  node = define("flow", "piv(u, v)");
  assert_int_equal(node->outputs, 2);
  node = define("r", "flow.v - a");
  assert_int_equal(node->input[0].output, 1);
  node = unnamed("a + wind + step + time + dt + x");
  assert_int_equal(kernel(node)->uniforms, 4);
  node = define("weights", "cos(y * pi / 180)"); /* a coordinate alone: the dimension of the other fields */
  assert_int_equal(node->type[0].rank, 1);
  assert_int_equal(node->type[0].dim[0].size, 16);
  node = unnamed("row");
  assert_string_equal(node->name, "row");
}

static void test_parameters(void **state) {
  (void)state;
  const language_params *p = define("s1", "smooth(a, 2, mode=valid, twice=yes, label=\"a b\")")->params;
  assert_true(p->real == 2 && p->choice == 1 && p->flag);
  assert_string_equal(p->text, "a b");
  p = define("s3", "smooth(a, 1, sizes=[2 * 8, 8, 99])")->params;
  assert_int_equal(p->list.count, 3);
  assert_true(p->list.value[0] == 16 && p->list.value[1] == 8 && p->list.value[2] == 99);
  p = define("s4", "smooth(a, 1, sizes=7)")->params;
  assert_true(p->list.count == 1 && p->list.value[0] == 7);
  p = define("s2", "smooth(a, 0.5, \"same\", 1)")->params;
  assert_true(p->real == 0.5 && p->choice == 0 && p->flag);
  const weir__node *node = define("m", "mean(a, weights=2*row, axes=[y, \"x\"])");
  assert_int_equal(node->inputs, 2);
  assert_int_equal(node->type[0].rank, 0);
  p = node->params;
  assert_int_equal(p->axes.count, 2);
  assert_string_equal(p->axes.name[1], "x");
  assert_int_equal(define("n", "mean(f=a, axes=y)")->type[0].rank, 1);
  assert_int_equal(define("o", "mean(a)")->inputs, 1);
}

static void test_expansion(void **state) {
  (void)state;
  int               before = graph->nodes;
  const weir__node *node   = define("trend", "2 * tendency(a * b) + 1");
  assert_int_equal(graph->nodes, before + 3); /* a * b for lag, lag, and one arithmetic node for all the rest */
  assert_int_equal(node->inputs, 3);          /* a, b, lag: a * b is computed here too */
  node = define("r1", "tendency(u)");
  assert_string_equal(node->type[0].units, "m s-2");
  node = define("r2", "anomaly(a, 2 * 4, axes=x)");
  assert_int_equal(graph->node[node->input[1].node].type[0].rank, 1);
  assert_true(kernel(node)->uniform[0].number == 8);
  node = define("r3", "anomaly(a, weights=row)");
  assert_true(kernel(node)->uniform[0].number == 3); /* the fallback */
  assert_int_equal(graph->node[node->input[1].node].inputs, 2);
  assert_int_equal(graph->node[node->input[1].node].type[0].rank, 0);
  expect_error(
      "1 + loop(a)",
      "15: in operator loop: column 5: in operator loop: column 5: in operator loop: "
      "column 5: in operator loop: column 5: in operator loop: column 5: in operator loop: column 5: in operator "
      "loop: column 5: in operator loop: column 5: in operator loop: column 5: in operator loop: column 5: in "
      "operator loop: column 5: in operator loop: column 5: in operator loop: column 5: in operator loop: column "
      "5: in operator loop: column 5: in operator loop: column 5: operator loop is made of itself");
  expect_error("wrong(a)", "11: in operator wrong: column 5: no field or parameter is named 'g'; did you mean 'f'?");
  expect_error("tendency(nope)", "20: no field or parameter is named 'nope'");
  expect_error("anomaly(a, \"x\")", "22: parameter factor of anomaly is '\"x\"': expected a number");
}

/* ---- types ---- */

static void test_dtypes(void **state) {
  (void)state;
  assert_int_equal(define("r1", "b + image * depth")->type[0].dtype, WEIR_F32);
  assert_int_equal(define("r2", "2 * b > time")->type[0].dtype, WEIR_F32);
  assert_int_equal(define("r3", "a + b")->type[0].dtype, WEIR_F64);
  assert_int_equal(define("r4", "b + count")->type[0].dtype, WEIR_F64);
  assert_int_equal(define("r5", "image")->type[0].dtype, WEIR_F32);
}

static void expect_dims(const char *text, const char *dims) {
  const weir__node *node    = unnamed(text);
  char              got[64] = "";
  for (int a = 0; a < node->type[0].rank; a++) strcat(got, node->type[0].dim[a].name);
  assert_string_equal(got, dims);
}

static void test_dimensions(void **state) {
  (void)state;
  expect_dims("a + row", "yx");
  expect_dims("row + a", "yx");
  expect_dims("depth * row", "zy");
  expect_dims("units(t, \"m\") + depth", "zyx");
  expect_dims("units(depth, \"K\") + t + row", "zyx");
  expect_dims("depth * a", "zyx");
  expect_dims("a * mean(a)", "yx");
  expect_dims("row + z", "yz");
  expect_dims("y * z", "zy");
  const weir__node *node = unnamed("row + a"); /* split like the field of the highest rank */
  assert_int_equal(node->input[0].node, 2);
  assert_int_equal(node->from_axis[0], 0);
  assert_int_equal(node->from_axis[1], 1);
  assert_true(weir__grid_equal(&node->grid, &graph->node[2].grid));
  expect_error("a + turned", "13: the dimensions of 'a' and 'turned' are in different orders (y): expected the same");
  expect_error("2 * a + wide", "17: dimension x has 20 elements in '2 * a' but 21 in 'wide': expected the same");
  expect_error("2 * x",
               "11: dimension x has different sizes in different fields: expected a field with that dimension in "
               "the expression");
}

static const char *units_of(const char *text) {
  const char *units = unnamed(text)->type[0].units;
  return units ? units : "unknown";
}

static void test_units(void **state) {
  (void)state;
  assert_string_equal(units_of("u + speed"), "m s-1");
  assert_string_equal(units_of("u * speed"), "m2 s-2");
  assert_string_equal(units_of("u^2"), "m2 s-2");
  assert_string_equal(units_of("0.5 * (u^2 + speed^2)"), "m2 s-2");
  assert_string_equal(units_of("sqrt(u^2 + speed^2)"), "m s-1");
  assert_string_equal(units_of("hypot(u, speed)"), "m s-1");
  assert_string_equal(units_of("u / dt"), "m s-2");
  assert_string_equal(units_of("1 / u"), "m-1 s");
  assert_string_equal(units_of("u / speed"), "1");
  assert_string_equal(units_of("u^3 / u^3"), "1");
  assert_string_equal(units_of("u^-2"), "m-2 s2");
  assert_string_equal(units_of("u^12"), "m12 s-12");
  assert_string_equal(units_of("sqrt(u)"), "unknown");
  assert_string_equal(units_of("u * a"), "unknown");
  assert_string_equal(units_of("u + a"), "m s-1");
  assert_string_equal(units_of("u + 1"), "m s-1");
  assert_string_equal(units_of("u > 2"), "1");
  assert_string_equal(units_of("(u > 2) * u"), "m s-1");
  assert_string_equal(units_of("where(a > 0, u, 0)"), "m s-1");
  assert_string_equal(units_of("clip(u, -1, 1)"), "m s-1");
  assert_string_equal(units_of("atan2(u, speed)"), "radian");
  assert_string_equal(units_of("units(u / 1e-2, \"cm s-1\")"), "cm s-1");
  assert_string_equal(units_of("2 * ocean.salt"), "1e-3");
  assert_string_equal(units_of("ocean.salt * u"), "unknown");
  assert_string_equal(units_of("exp(u / speed)"), "unknown");
  assert_string_equal(units_of("sin(lat)"), "unknown");
  expect_error("u + ocean.eta", "13: 'u' is in \"m s-1\" but 'ocean.eta' in \"m\": expected the same units");
  expect_error("2 * (u^2 - speed)", "20: 'u^2' is in \"m2 s-2\" but 'speed' in \"m/s\": expected the same units");
  expect_error("u < u * u", "13: 'u' is in \"m s-1\" but 'u * u' in \"m2 s-2\": expected the same units");
  expect_error("where(a, u, depth)", "11: 'u' is in \"m s-1\" but 'depth' in \"m\": expected the same units");
  expect_error("clip(u, 0, depth)", "11: 'u' is in \"m s-1\" but 'depth' in \"m\": expected the same units");
  expect_error("1 + exp(u * 2)",
               "19: 'u * 2' is in \"m s-1\": expected a number without units (divide by units(1, \"m s-1\"))");
  expect_error("sin(u)", "15: 'u' is in \"m s-1\": expected a number without units or an angle (divide by units(1, \"m "
                         "s-1\"))");
  expect_error("2^u", "13: 'u' is in \"m s-1\": expected a number without units (divide by units(1, \"m s-1\"))");
  assert_string_equal(units_of("log(u / units(1, \"m s-1\"))"), "unknown");
}

static void test_unit_texts(void **state) {
  (void)state;
  assert_true(weir__units_equal(" m s-1", "m s-1 "));
  assert_true(weir__units_equal("m/s", "s-1 m"));
  assert_true(weir__units_equal("m^2", "m m"));
  assert_true(weir__units_equal("m**2", "m2"));
  assert_true(weir__units_equal("kg.m-3", "kg m-3"));
  assert_true(weir__units_equal("radian s-1", "s-1"));
  assert_false(weir__units_equal("m", "km"));
  assert_false(weir__units_equal("m", "1"));
  assert_true(weir__units_equal("days since 2000-01-01", "days since 2000-01-01"));
  assert_false(weir__units_equal("days since 2000-01-01", "days since 2000-01-02"));
  assert_true(weir__units_dimensionless("1"));
  assert_true(weir__units_dimensionless("m/m"));
  assert_false(weir__units_dimensionless("1e-3"));
  assert_false(weir__units_dimensionless("%"));
  assert_true(weir__units_angle("degrees_north"));
  assert_false(weir__units_angle("m"));
}

static void test_locations(void **state) {
  (void)state;
  assert_int_equal(unnamed("u * a")->type[0].location, WEIR_AT_U);
  assert_int_equal(unnamed("u - mean(v)")->type[0].location, WEIR_AT_U); /* a single number sits nowhere */
  expect_error("0.5 * (u^2 + v^2)",
               "22: 'u^2' is at u points but 'v^2' at v points of the C grid: expected one place (operator mid moves a "
               "field)");
  expect_error("maximum(u, a * v)",
               "11: 'u' is at u points but 'a * v' at v points of the C grid: expected one place (operator mid moves a "
               "field)");
}

/* ---- messages ---- */

static void test_unknown(void **state) {
  (void)state;
  expect_error("1 + zetta", "15: no field or parameter is named 'zetta'");
  expect_error("1 + imgae", "15: no field or parameter is named 'imgae'");
  expect_error("1 + imag", "15: no field or parameter is named 'imag'; did you mean 'image'?");
  expect_error("windd * 2", "11: no field or parameter is named 'windd'; did you mean 'wind'?");
  expect_error("ocean.sald", "11: no field or parameter is named 'ocean.sald'; did you mean 'ocean.salt'?");
  expect_error("2 + eta", "15: 'eta' is in several streams: expected 'ocean.eta' or 'obs.eta'");
  expect_error("ddxx(u)", "11: no operator or function is named 'ddxx'; did you mean 'ddx'?");
  expect_error("sqr(u)", "11: no operator or function is named 'sqr'; did you mean 'sqrt'?");
  expect_error("u(1)", "11: 'u' is a field: expected an operator before '('");
  expect_error("2 * mean", "15: 'mean' is an operator: expected its arguments, as in mean(...)");
  expect_error("1 + result", "15: field 'result' needs itself");
  define("flow", "piv(u, v)");
  expect_error("flow + 1", "11: 'flow' has several results: expected one of flow.u, flow.v");
  expect_error("flow.w + 1", "11: 'flow' has no result 'w': expected one of flow.u, flow.v");
  expect_error("1 + piv(u, v)",
               "15: piv has several results: expected a definition of its own, such as 'flow: piv(...)', "
               "whose results are then flow.u ...");
}

static void test_arguments(void **state) {
  (void)state;
  expect_error("ddx()", "11: ddx needs 1 field: expected ddx(f)");
  expect_error("piv(u)", "11: piv needs 2 fields: expected piv(first, second)");
  expect_error("ddx(u, v)", "18: ddx has too many arguments (2): expected ddx(f)");
  expect_error("lag(u, 1, 2)", "21: lag has too many arguments (3): expected lag(f, n)");
  expect_error("lag(u, m=1)", "20: lag has no parameter 'm'; did you mean 'n'?: expected lag(f, n)");
  expect_error("lag(u, 1, n=1)", "23: argument 'n' of lag is given twice");
  expect_error("lag(u, f=v)", "20: argument 'f' of lag is given twice");
  expect_error("lag(u, v)", "18: parameter n of lag is 'v': expected a number");
  expect_error("lag(u, \"1\")", "18: parameter n of lag is '\"1\"': expected a number");
  expect_error("lag(u, n=2*v)", "20: parameter n of lag is '2*v': expected a number");
  expect_error("lag(u, 1.5)", "18: parameter n of lag is 1.5, expected a whole number");
  expect_error("lag(u, 10)", "18: parameter n of lag is 10, expected 1 to 9");
  expect_error("lag(\"u\", 1)", "15: input f of lag is \"u\": expected a field");
  expect_error("ddx([u, v])", "15: input f of ddx is [u, v]: expected a field");
  expect_error("smooth(u)",
               "11: smooth needs parameter 'width' (in cells): expected smooth(f, width, mode, twice, label, sizes)");
  expect_error("smooth(u, 1, mode=vaild)", "29: parameter mode of smooth: expected one of same, valid, got \"vaild\"");
  expect_error("smooth(u, 1, twice=2)", "30: parameter twice of smooth: expected one of no, yes, false, true, off, on");
  expect_error("smooth(u, 1, sizes=[8, 0])", "30: parameter sizes of smooth is 0, expected 1 to 99");
  expect_error("smooth(u, 1, sizes=[8, x])", "34: parameter sizes of smooth: 'x' is no number");
  expect_error("smooth(u, 1, sizes=wide)",
               "30: parameter sizes of smooth: expected a number or a list of numbers, such as [64, 32]");
  expect_error("smooth(u, 1, sizes=[1, 1, 1, 1, 1, 1, 1, 1, 1])",
               "30: '[1, 1, 1, 1, 1, 1, 1, 1, 1]' has 9 items: expected at most 8");
  expect_error("smooth(u, 1, label=3)", "30: parameter label of smooth: expected a text");
  expect_error("smooth(u, 1, mode=u + v)", "29: parameter mode of smooth is 'u + v': expected a word");
  expect_error("mean(u, axes=1)", "24: parameter axes of mean: expected a dimension name or a list such as [y, x]");
  expect_error("mean(u, axes=[y, 1 + x])", "28: '1 + x' is no word or text");
  expect_error("mean(u, axes=[a, b, c, d, e, f, g])", "24: '[a, b, c, d, e, f, g]' has 7 items: expected at most 6");
  expect_error("max(u, v)",
               "18: parameter axes of max is the field 'v': expected a dimension name (maximum(a, b) compares "
               "fields)");
  expect_error("max(u, 2 * v)",
               "18: parameter axes of max is '2 * v': expected a word (maximum(a, b) compares fields)");
  expect_error("abs(u, v)", "11: 'abs(u, v)' has 2 arguments: expected abs(x)");
  expect_error("atan2(u)", "11: 'atan2(u)' has 1 argument: expected atan2(a, b)");
  expect_error("where(u)", "11: 'where(u)' has 1 argument: expected where(condition, a, b)");
  expect_error("clip(u, low=1)", "23: clip has no parameter 'low': expected clip(x, low, high)");
  expect_error("units(u, 1)", "20: units wants a quoted text: expected units(x, \"m s-1\")");
  expect_error("\"abc\"", "11: \"abc\" is a text: expected a field or a number");
  expect_error("1 + [x, y]", "15: [x, y] is a list: expected a field or a number");
}

static void test_definition_names(void **state) {
  (void)state;
  static const char *const wrong[][2] = {
      {"a b",
       "gyre.yaml:7:11: 'a b' cannot be the name of a field: expected letters, digits and _, and none of and, or, "
       "not, pi, step, time, dt"},
      {"time", "gyre.yaml:7:11: 'time' cannot be the name of a field: expected letters, digits and _, and none of and, "
               "or, not, pi, step, time, dt"},
      {"u", "gyre.yaml:7:11: field 'u' is defined twice"},
      {"wind", "gyre.yaml:7:11: 'wind' is the name of a parameter: expected another one"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(weir__graph_define(graph, wrong[i][0], "1", place), WEIR_ERR_INPUT);
    assert_string_equal(weir_error_last(), wrong[i][1]);
  }
}

static void test_too_many_fields(void **state) {
  (void)state;
  char text[512] = "a";
  for (int i = 1; i <= 16; i++) snprintf(text + strlen(text), sizeof text - strlen(text), " + smooth(a, %d)", i);
  expect_error(text, "11: more than 16 fields in one expression: give a part of it a name");
  *strrchr(text, '+') = 0;
  assert_int_equal(define("r", text)->inputs, 16);
}

/* ---- definitions in any order ---- */

static weir__definition at_line(const char *name, const char *text, int line) {
  return (weir__definition){name, text, {"gyre.yaml", line, 9}};
}

static void test_any_order(void **state) {
  (void)state;
  const weir__definition all[] = {at_line("c3", "c2 + flow.u", 1), at_line("c2", "mean(c1, axes=y) + 1", 2),
                                  at_line("flow", "piv(c1, a)", 3), at_line("c1", "2 * a", 4),
                                  at_line("y", "lag(c3, 2) + a", 5)};
  weir__edge             edge;
  assert_int_equal(weir__graph_define_all(graph, all, 5), WEIR_OK);
  for (int i = 0; i < 5; i++) {
    assert_true(weir__graph_find(graph, all[i].name, &edge));
    assert_int_equal(graph->node[edge.node].place.line, i + 1);
  }
}

static void expect_all_error(const weir__definition *all, size_t count, const char *message) {
  int nodes = graph->nodes;
  assert_int_equal(weir__graph_define_all(graph, all, count), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), message);
  assert_int_equal(graph->nodes, nodes);
}

static void test_cycles(void **state) {
  (void)state;
  const weir__definition self[]  = {at_line("c1", "1 + c1", 1)};
  const weir__definition three[] = {at_line("c0", "c1 + a", 1), at_line("c1", "2 * c2", 2), at_line("c2", "ddx(c3)", 3),
                                    at_line("c3", "c1.u - 1", 4)};
  const weir__definition twice[] = {at_line("c1", "a", 1), at_line("c2", "a", 2), at_line("c1", "b", 3)};
  const weir__definition wrong[] = {at_line("c1", "a", 1), at_line("c2", "c1 + nope", 2)};
  const weir__definition parse[] = {at_line("c1", "a", 1), at_line("c2", "c1 +", 2)};
  expect_all_error(self, 1, "gyre.yaml:1:13: field 'c1' needs itself");
  expect_all_error(
      three, 4,
      "gyre.yaml:4:9: field 'c1' needs itself: c1 -> c2 -> c3 -> c1 (lag() of an earlier step does not break "
      "a cycle)");
  expect_all_error(twice, 3, "gyre.yaml:3:9: field 'c1' is defined twice (first in line 1)");
  expect_all_error(wrong, 2, "gyre.yaml:2:14: no field or parameter is named 'nope'");
  expect_all_error(parse, 2,
                   "gyre.yaml:2:13: the expression ends after 'c1 +': expected a field, a number, an operator or "
                   "'('");
}

/* A chain in the worst order does not recurse. */
static void test_long_chain(void **state) {
  (void)state;
  enum { LINKS = 3000 };
  static char             text[LINKS][2][16];
  static weir__definition all[LINKS];
  for (int i = 0; i < LINKS; i++) {
    snprintf(text[i][0], 16, "k%d", i);
    snprintf(text[i][1], 16, i + 1 < LINKS ? "k%d + 1" : "a", i + 1);
    all[i] = at_line(text[i][0], text[i][1], i + 1);
  }
  assert_int_equal(weir__graph_define_all(graph, all, LINKS), WEIR_OK);
}

/* Every allocation may fail; the graph is as before. */
static void test_memory(void **state) {
  (void)state;
  const weir__definition all[] = {at_line("c2", "anomaly(c1, axes=x) + 2*pi*lag(c1, 1)", 1),
                                  at_line("c1", "u * speed + sqrt(a)", 2)};
  for (uint64_t n = 1;; n++) {
    int nodes = graph->nodes;
    weir__alloc_fail_at(n);
    weir_status status = weir__graph_define_all(graph, all, 2);
    weir__alloc_fail_at(0);
    if (status >= 0) break;
    assert_int_equal(status, WEIR_ERR_MEMORY);
    assert_int_equal(graph->nodes, nodes);
    assert_true(n < 10000);
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {TEST(test_fusion),          TEST(test_common_subexpressions),
                                     TEST(test_constants),       TEST(test_names),
                                     TEST(test_parameters),      TEST(test_expansion),
                                     TEST(test_dtypes),          TEST(test_dimensions),
                                     TEST(test_units),           TEST(test_unit_texts),
                                     TEST(test_locations),       TEST(test_unknown),
                                     TEST(test_arguments),       TEST(test_definition_names),
                                     TEST(test_too_many_fields), TEST(test_any_order),
                                     TEST(test_cycles),          TEST(test_long_chain),
                                     TEST(test_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
