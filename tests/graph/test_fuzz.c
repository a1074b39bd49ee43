/* Mutated expressions through parser, builder and kernel: any text is a graph or one message, never a crash. The same
 * inputs every time: the generator is seeded. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "graph/language.h"

static uint64_t state_of_random = 20240229;
static uint64_t next(void) { /* splitmix64: Steele, Lea, Flood 2014 */
  uint64_t z = (state_of_random += 0x9e3779b97f4a7c15u);
  z          = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z          = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
static size_t pick(size_t n) { return (size_t)(next() % n); }

static const char *const corpus[] = {"ddx(v) - ddx(a)",
                                     "0.5 * (u^2 + speed^2)",
                                     "mean(a, weights=row, axes=[y, x])",
                                     "(mean(a) - lag(mean(a), 1)) / dt",
                                     "where(a > 0 and not missing(b), sqrt(a), -b) ** 2",
                                     "anomaly(a, 2*pi, axes=x) + tendency(b)",
                                     "smooth(a, 3, mode=valid, twice=yes, label=\"text\")",
                                     "clip(count, -1e-3, +1E4) != atan2(a, b) or 1 <= 2",
                                     "units(log10(a / units(1, \"m2 s-2\")), \"kg m-3\") * ocean.salt",
                                     "maximum(hypot(a, b), mod(x, 0.25)) * step - time * wind",
                                     "piv(image, image)",
                                     "max(abs(ocean.eta)) > 1e-4",
                                     "((((a))))^-2^-x",
                                     "exp(-(x^2 + y^2) / (2 * zwind^2))"};
static const char *const pieces[] = {
    "(",   ")",  "[",     "]",    ",",     "=",        "==",    "!=",     "<",      "+",    "-",
    "*",   "**", "^",     "/",    "and ",  "or ",      "not ",  "a",      "u",      "x",    "0",
    "1e9", ".5", "1e999", "\"",   "'",     ".",        "\n",    "mean",   "lag(a)", "n=1",  "axes=",
    "pi",  "dt", "$",     "\xff", "loop(", "wrong(a)", "flow.", "units(", "-----",  "2^2^", "tendency("};
enum { ROOM = 4096 };

static void insert(char *text, size_t at, const char *piece, size_t length) {
  size_t whole = strlen(text);
  if (whole + length >= ROOM) return;
  memmove(text + at + length, text + at, whole - at + 1);
  memcpy(text + at, piece, length);
}

static void mutate(char *text) {
  size_t      length = strlen(text), at = pick(length + 1), n;
  const char *other;
  char        copy[ROOM];
  switch (pick(7)) {
  case 0: /* take some away */
    n = pick(8) + 1;
    if (at + n <= length) memmove(text + at, text + at + n, length - at - n + 1);
    break;
  case 1: /* any byte */
    if (at < length) text[at] = (char)(1 + pick(255));
    break;
  case 2: /* a piece of another */
    other = corpus[pick(sizeof corpus / sizeof *corpus)];
    n     = pick(strlen(other)) + 1;
    insert(text, at, other + pick(strlen(other) - n + 1), n);
    break;
  case 3: /* a piece of its own, again and again */
    n = pick(length - at + 1);
    if (n > 40) n = 40;
    memcpy(copy, text + at, n);
    for (size_t i = pick(12); n && i; i--) insert(text, at, copy, n);
    break;
  default: other = pieces[pick(sizeof pieces / sizeof *pieces)]; insert(text, at, other, strlen(other));
  }
}

static void expect_message(weir_status status, const char *text) {
  if (status >= 0) return;
  if (status != WEIR_ERR_INPUT) fail_msg("status %d for %s: %s", (int)status, text, weir_error_last());
  if (strncmp(weir_error_last(), "r.yaml:", 7)) fail_msg("no place for %s: %s", text, weir_error_last());
}

/* Compute a few elements of an arithmetic result whose inputs all hold ones. */
static void evaluate(const weir__graph *graph, weir__edge edge) {
  const weir__node *node  = &graph->node[edge.node];
  weir_region       whole = weir__region_whole(&node->type[0]);
  weir_view         in[WEIR_INPUTS_MAX];
  double            one[1] = {1}, *out;
  char             *scratch;
  weir_apply        a = {.step = 1, .time = 2, .dt = 3};
  if (node->op != &weir__operator_arithmetic) return;
  for (int i = 0; i < node->inputs; i++) {
    weir_region region;
    assert_int_equal(weir__node_need(node, i, &whole, &region), WEIR_OK);
    weir_field_type type = *node->in_type[i];
    type.dtype           = WEIR_F64;
    type.has_fill        = false;
    in[i]                = weir__view_dense(one, &type, &region);
    memset(in[i].stride, 0, sizeof in[i].stride);
  }
  assert_int_equal(weir__alloc_array((size_t)weir__region_size(&whole), sizeof *out, &out), WEIR_OK);
  assert_int_equal(weir__alloc_zeroed(weir__kernel_scratch(node->params), 64, &scratch), WEIR_OK);
  weir__kernel_eval(node->params, &a, in, whole, out, scratch);
  weir__free(scratch);
  weir__free(out);
}

static void test_mutations(void **state) {
  (void)state;
  enum { INPUTS = 20000, PER_GRAPH = 200 };
  weir__graph *graph = NULL;
  int          good  = 0;
  for (int i = 0; i < INPUTS; i++) {
    char       text[ROOM];
    weir__edge edge;
    if (i % PER_GRAPH == 0) {
      weir__graph_destroy(&graph);
      assert_int_equal(language_graph(&graph), WEIR_OK);
      assert_int_equal(weir__graph_define(graph, "flow", "piv(u, v)", (weir__place){0}), WEIR_OK);
    }
    strcpy(text, corpus[pick(sizeof corpus / sizeof *corpus)]);
    for (size_t n = pick(6); n; n--) mutate(text);
    int                    nodes  = graph->nodes;
    const weir__place      place  = {"r.yaml", 1, 1};
    const weir__definition all[2] = {{"w1", text, place}, {"w2", "w1 + 1", place}};
    weir_status            status = weir__graph_expression(graph, text, place, &edge);
    expect_message(status, text);
    if (status >= 0) {
      good++;
      evaluate(graph, edge);
    } else {
      assert_int_equal(graph->nodes, nodes);
    }
    if (i % 4) continue;
    nodes = graph->nodes;
    expect_message(weir__graph_define_all(graph, all, 2), text);
    graph->nodes = nodes; /* so that w1 can be defined again */
  }
  weir__graph_destroy(&graph);
  assert_true(good > INPUTS / 20 && good < INPUTS * 9 / 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
