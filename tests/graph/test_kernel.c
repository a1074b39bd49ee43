/* The kernel against a naive evaluator: random trees, shapes, types, strides and cuts into chunks; equal to the bit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/text.h"
#include "graph/builder.h"

/* ---- random numbers (splitmix64: Steele, Lea, Flood 2014) ---- */

static uint64_t seed;
static uint64_t next(void) {
  uint64_t z = (seed += 0x9e3779b97f4a7c15u);
  z          = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z          = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}
static int    pick(int n) { return (int)(next() % (uint64_t)n); }
static double uniform(void) { return (double)(next() >> 11) * 0x1p-53; }

/* ---- fields in memory ---- */

enum { FIELDS = 6, SOURCES_MAX = FIELDS };

typedef struct memory {
  weir_field_type type;
  weir_view       view; /* all of the field, strided */
  char           *bytes;
} memory;

static memory        source[SOURCES_MAX];
static weir__graph  *graph;
static double        y_values[64];
static const int64_t STEP = 7;
static const double  TIME = 3.5, DT = 0.25, WIND = 1.5;

/* A view of all of a field with gaps between elements and rows, sometimes with the axes in another order in memory. */
static void place_in_memory(memory *m, bool gaps) {
  int64_t     stride = (int64_t)weir_dtype_size(m->type.dtype), size = stride;
  weir_region whole = weir__region_whole(&m->type);
  m->view           = weir__view_dense(NULL, &m->type, &whole);
  bool turned       = gaps && pick(3) == 0;
  for (int i = m->type.rank - 1; i >= 0; i--) {
    int a = turned ? m->type.rank - 1 - i : i;
    if (gaps && pick(2)) stride += size * pick(4);
    m->view.stride[a] = stride;
    stride *= m->view.count[a];
  }
  assert_int_equal(weir__alloc_zeroed((size_t)stride + 64, 64, &m->bytes), WEIR_OK);
  m->view.data = m->bytes + (gaps ? size * pick(3) : 0);
}

static char *element(const weir_view *v, const int64_t *index) {
  char *p = v->data;
  for (int a = 0; a < v->rank; a++) p += (index[a] - v->start[a]) * v->stride[a];
  return p;
}

/* One element, read without the library. */
static double read_element(const weir_view *v, const int64_t *index) {
  const char *p = element(v, index);
  double      x = 0;
  switch (v->dtype) {
#define READ(name, value, text, type)                                                                                  \
  case name: {                                                                                                         \
    type t;                                                                                                            \
    memcpy(&t, p, sizeof t);                                                                                           \
    x = (double)t;                                                                                                     \
  } break;
    WEIR_DTYPE_LIST(READ)
#undef READ
  }
  return v->has_fill && x == v->fill ? NAN : x;
}

static void write_element(const weir_view *v, const int64_t *index, double x) {
  char *p = element(v, index);
  switch (v->dtype) {
#define WRITE(name, value, text, type)                                                                                 \
  case name: {                                                                                                         \
    type t = (type)x;                                                                                                  \
    memcpy(p, &t, sizeof t);                                                                                           \
  } break;
    WEIR_DTYPE_LIST(WRITE)
#undef WRITE
  }
}

static bool next_index(const weir_view *v, int64_t *index) {
  for (int a = v->rank - 1; a >= 0; a--) {
    if (++index[a] < v->start[a] + v->count[a]) return true;
    index[a] = v->start[a];
  }
  return false;
}

static void fill_field(memory *m) {
  int64_t index[WEIR_RANK_MAX] = {0};
  bool    floating             = m->type.dtype == WEIR_F32 || m->type.dtype == WEIR_F64;
  bool    positive             = m->type.dtype == WEIR_U8 || m->type.dtype == WEIR_U16;
  do {
    double x = 6 * uniform() - 3;
    if (pick(20) == 0) x = floating ? (double[]){NAN, 0, INFINITY, -0.0}[pick(4)] : m->type.fill;
    if (!floating && x != m->type.fill) x = positive ? floor(3 + x) : floor(x * 10);
    write_element(&m->view, index, x);
  } while (next_index(&m->view, index));
}

static void make_sources(void) {
  static const char *const names[]  = {"a", "b", "c", "d", "e", "s"};
  static const int         axes[]   = {7, 7, 6, 4, 2, 0}; /* bits: x = 1... of z, y, x = 4, 2, 1 */
  static const weir_dtype  dtypes[] = {WEIR_F64, WEIR_F32, WEIR_I16, WEIR_U8, WEIR_I32, WEIR_F64, WEIR_F64};
  bool                     large    = pick(4) == 0;
  int64_t                  size[3]  = {1 + pick(3), 1 + pick(large ? 30 : 6), 1 + pick(large ? 700 : 20)};
  const weir_dimension     dim[3]   = {{.name = "z", .size = size[0]},
                                       {.name = "y", .size = size[1], .values = y_values},
                                       {.name = "x", .size = size[2], .origin = -2, .spacing = 0.125}};
  int                      node;
  for (int i = 0; i < 64; i++) y_values[i] = i * i * 0.25;
  for (int i = 0; i < FIELDS; i++) {
    memory *m     = &source[i];
    int     which = i == 1 && pick(2) ? 3 : axes[i]; /* b: sometimes y, x alone */
    *m            = (memory){.type = {.dtype = dtypes[pick(7)]}};
    for (int a = 0; a < 3; a++)
      if (which >> (2 - a) & 1) m->type.dim[m->type.rank++] = dim[a];
    m->type.has_fill = pick(2);
    m->type.fill     = m->type.dtype == WEIR_U8 ? 255 : -9;
    place_in_memory(m, pick(2));
    m->view.has_fill = m->type.has_fill;
    m->view.fill     = m->type.fill;
    fill_field(m);
    assert_int_equal(weir__graph_add_source(graph, names[i], 0, i, &m->type, NULL, false, &node), WEIR_OK);
    assert_int_equal(node, i);
  }
}

/* ---- random trees and their naive values ---- */

typedef struct tree {
  int          kind; /* index in the switch of evaluate() */
  double       number;
  int          field, power;
  struct tree *a, *b, *c;
} tree;

enum { NUMBER, FIELD, CLOCK, COORDINATE, UNARY, BINARY, POWER, WHERE, CLIP };

static tree *grow(weir__arena *arena, int depth) {
  tree *t;
  assert_int_equal(weir__arena_alloc(arena, sizeof *t, &t), WEIR_OK);
  int leaf = pick(10);
  if (depth == 0 || pick(8) == 0) {
    t->kind   = leaf < 6 ? FIELD : leaf < 8 ? NUMBER : leaf < 9 ? CLOCK : COORDINATE;
    t->field  = t->kind == FIELD ? pick(FIELDS) : t->kind == CLOCK ? pick(5) : pick(2);
    t->number = floor(uniform() * 64) / 8;
    return t;
  }
  int kind = pick(20);
  t->kind  = kind < 5 ? UNARY : kind < 15 ? BINARY : kind < 17 ? POWER : kind < 19 ? WHERE : CLIP;
  t->field = pick(t->kind == UNARY ? 22 : 19);
  t->power = pick(9);
  t->a     = grow(arena, depth - 1);
  if (t->kind == BINARY || t->kind >= WHERE) t->b = pick(6) ? grow(arena, depth - 1) : t->a;
  if (t->kind >= WHERE) t->c = grow(arena, depth - 1);
  return t;
}

static const char *const clocks[] = {"step", "time", "dt", "wind", "pi"}, *const coordinates[] = {"x", "y"},
                         *const unary[]  = {"-",    "not ",  "abs",  "sqrt",  "exp",  "log",    "log10", "log2",
                                            "sin",  "cos",   "tan",  "asin",  "acos", "atan",   "sinh",  "cosh",
                                            "tanh", "floor", "ceil", "round", "sign", "missing"},
                         *const binary[] = {"+",     "-",   "*",       "/",       "<",  "<=", ">",
                                            ">=",    "==",  "!=",      "and",     "or", "**", "atan2",
                                            "hypot", "mod", "maximum", "minimum", "*"},
                         *const powers[] = {"2", "3", "4", "8", "-1", "-2", "0.5", "9", "0"};

static void print(weir__text *text, const tree *t) {
  switch (t->kind) {
  case NUMBER: weir__text_add(text, "%.17g", t->number); return;
  case FIELD: weir__text_add(text, "%c", "abcdes"[t->field]); return;
  case CLOCK: weir__text_add(text, "%s", clocks[t->field]); return;
  case COORDINATE: weir__text_add(text, "%s", coordinates[t->field]); return;
  case UNARY: weir__text_add(text, "(%s(", unary[t->field]); break;
  case BINARY: weir__text_add(text, t->field >= 13 && t->field < 18 ? "%s(" : "((", binary[t->field]); break;
  case POWER: weir__text_add(text, "(("); break;
  case WHERE: weir__text_add(text, "where("); break;
  case CLIP: weir__text_add(text, "clip("); break;
  }
  print(text, t->a);
  if (t->kind == BINARY) {
    if (t->field >= 13 && t->field < 18) weir__text_add(text, ", ");
    else weir__text_add(text, ") %s (", binary[t->field]);
    print(text, t->b);
  }
  if (t->kind >= WHERE) {
    weir__text_add(text, ", ");
    print(text, t->b);
    weir__text_add(text, ", ");
    print(text, t->c);
  }
  bool call = t->kind >= WHERE || (t->kind == BINARY && t->field >= 13 && t->field < 18);
  if (t->kind == POWER) weir__text_add(text, ")^%s)", powers[t->power]);
  else weir__text_add(text, call ? ")" : "))");
}

static bool truth(double x) { return x != 0 && !isnan(x); }

/* In the order of the numbers that trees have for them. */
static const struct {
  weir__op op;
  double (*of)(double);
} functions[] = {{WEIR__OP_EXP, exp},   {WEIR__OP_LOG, log},   {WEIR__OP_LOG10, log10}, {WEIR__OP_LOG2, log2},
                 {WEIR__OP_SIN, sin},   {WEIR__OP_COS, cos},   {WEIR__OP_TAN, tan},     {WEIR__OP_ASIN, asin},
                 {WEIR__OP_ACOS, acos}, {WEIR__OP_ATAN, atan}, {WEIR__OP_SINH, sinh},   {WEIR__OP_COSH, cosh},
                 {WEIR__OP_TANH, tanh}};

static double evaluate_unary(int which, double x) {
  switch (which) {
  case 0: return -x;
  case 1: return !truth(x);
  case 2: return fabs(x);
  case 3: return sqrt(x);
  case 4:
  case 5:
  case 6:
  case 7:
  case 8:
  case 9:
  case 10:
  case 11:
  case 12:
  case 13:
  case 14:
  case 15:
  case 16:
    return weir__op_value(functions[which - 4].op, x, 0, 0); /* to some units in the last place: test_functions */
  case 17: return floor(x);
  case 18: return ceil(x);
  case 19: return rint(x);
  case 20: return isnan(x) ? NAN : x > 0 ? 1.0 : x < 0 ? -1.0 : x;
  default: return isnan(x);
  }
}

static double maximum(double x, double y) { return isnan(x) || isnan(y) ? NAN : x > y ? x : y; }
static double minimum(double x, double y) { return isnan(x) || isnan(y) ? NAN : x < y ? x : y; }

static double evaluate_binary(int which, double x, double y) {
  double r;
  switch (which) {
  case 0: return x + y;
  case 1: return x - y;
  case 2: return x * y;
  case 3: return x / y;
  case 4: return x < y;
  case 5: return x <= y;
  case 6: return x > y;
  case 7: return x >= y;
  case 8: return x == y;
  case 9: return x != y;
  case 10: return truth(x) && truth(y);
  case 11: return truth(x) || truth(y);
  case 12: return isnan(x) || isnan(y) ? NAN : pow(x, y);
  case 13: return atan2(x, y);
  case 14: return isnan(x) || isnan(y) ? NAN : hypot(x, y);
  case 15: r = fmod(x, y); return r != 0 && (r < 0) != (y < 0) ? r + y : r;
  case 16: return maximum(x, y);
  case 17: return minimum(x, y);
  default: return x * y;
  }
}

static double evaluate_power(int which, double x) {
  double s = x * x;
  switch (which) {
  case 0: return s;
  case 1: return x * s;
  case 2: return s * s;
  case 3: return (s * s) * (s * s);
  case 4: return 1 / x;
  case 5: return 1 / s;
  case 6: return sqrt(x);
  case 7: return isnan(x) ? NAN : pow(x, 9);
  default: return isnan(x) ? NAN : 1;
  }
}

/* The value at a global index of a result of type `type`. */
static double evaluate(const tree *t, const weir_field_type *type, const int64_t *index) {
  int64_t at[WEIR_RANK_MAX];
  switch (t->kind) {
  case NUMBER: return t->number;
  case FIELD: {
    const memory *m = &source[t->field];
    for (int a = 0; a < m->type.rank; a++) at[a] = index[weir__axis_find(type, m->type.dim[a].name)];
    return read_element(&m->view, at);
  }
  case CLOCK: return (double[]){(double)STEP, TIME, DT, WIND, acos(-1)}[t->field];
  case COORDINATE: {
    int64_t i = index[weir__axis_find(type, coordinates[t->field])];
    return t->field ? y_values[i] : -2 + (double)i * 0.125;
  }
  case UNARY: return evaluate_unary(t->field, evaluate(t->a, type, index));
  case BINARY: return evaluate_binary(t->field, evaluate(t->a, type, index), evaluate(t->b, type, index));
  case POWER: return evaluate_power(t->power, evaluate(t->a, type, index));
  case WHERE: {
    double x = evaluate(t->a, type, index);
    return isnan(x) ? NAN : evaluate(x != 0 ? t->b : t->c, type, index);
  }
  default: {
    double x = maximum(evaluate(t->a, type, index), evaluate(t->b, type, index));
    return minimum(x, evaluate(t->c, type, index));
  }
  }
}

/* ---- running the node ---- */

static weir_view input_view(const weir__node *node, int i, const weir_region *box) {
  weir_region region;
  assert_int_equal(weir__node_need(node, i, box, &region), WEIR_OK);
  return weir__view_narrow(&source[node->input[i].node].view, &region);
}

static void apply_box(const weir__node *node, const weir_region *box, const weir_view *out, double *dense) {
  weir_view in[WEIR_INPUTS_MAX], to = out ? weir__view_narrow(out, box) : (weir_view){0};
  void     *scratch;
  for (int i = 0; i < node->inputs; i++) in[i] = input_view(node, i, box);
  size_t size = node->op->scratch_size(node->params, node->in_type, box);
  assert_int_equal(weir__alloc_zeroed(size, 64, &scratch), WEIR_OK);
  memset(scratch, 0xff, size); /* undefined to the operator: NaN */
  weir_apply a = {.params  = node->params,
                  .inputs  = node->inputs,
                  .outputs = 1,
                  .in_type = node->in_type,
                  .in      = in,
                  .out     = &to,
                  .scratch = scratch,
                  .step    = STEP,
                  .time    = TIME,
                  .dt      = DT};
  if (dense) weir__kernel_eval(node->params, &a, in, *box, dense, scratch);
  else assert_int_equal(node->op->apply(&a), WEIR_OK);
  weir__free(scratch);
}

/* Cut a box at random and compute the pieces. */
static void apply_pieces(const weir__node *node, weir_region box, const weir_view *out) {
  for (int a = 0; a < box.rank; a++) {
    if (box.count[a] < 2 || pick(3)) continue;
    weir_region second = box;
    int64_t     cut    = 1 + pick((int)box.count[a] - 1);
    box.count[a]       = cut;
    second.start[a] += cut;
    second.count[a] -= cut;
    apply_pieces(node, second, out);
  }
  apply_box(node, &box, out, NULL);
}

static void expect_same(const char *text, double got, double expected) {
  if (isnan(got) ? !isnan(expected) : memcmp(&got, &expected, sizeof got) != 0)
    fail_msg("%s: got %.17g, expected %.17g", text, got, expected);
}

static void check_node(const weir__node *node, const tree *t, const char *text) {
  memory      m                    = {.type = node->type[0]};
  weir_region whole                = weir__region_whole(&m.type);
  int64_t     index[WEIR_RANK_MAX] = {0}, n = 0;
  double     *dense;
  assert_int_equal(weir__alloc_array((size_t)weir__region_size(&whole), sizeof *dense, &dense), WEIR_OK);
  place_in_memory(&m, pick(2));
  apply_pieces(node, whole, &m.view);
  apply_box(node, &whole, NULL, dense);
  do {
    double expected = evaluate(t, &m.type, index);
    double x        = expected;
    expect_same(text, dense[n++], expected);
    if (m.type.dtype == WEIR_F32) x = (double)(float)x;
    expect_same(text, read_element(&m.view, index), x);
  } while (next_index(&m.view, index));
  weir__free(dense);
  weir__free(m.bytes);
}

static void one_world(int trees, int *checked) {
  weir__arena arena = {0};
  assert_int_equal(weir__graph_create(NULL, &graph), WEIR_OK);
  make_sources();
  assert_int_equal(weir__graph_parameter(graph, "wind", WIND), WEIR_OK);
  for (int i = 0; i < trees; i++) {
    weir__text  text = {0};
    weir__edge  edge;
    char        name[16];
    const tree *t = grow(&arena, 1 + pick(5));
    print(&text, t);
    snprintf(name, sizeof name, "r%d", i);
    weir_status status = weir__graph_define(graph, name, text.data, (weir__place){0});
    if (status < 0) { /* fields of y alone and of z alone may be met in an order that does not go together */
      if (!strstr(weir_error_last(), "different orders") && !strstr(weir_error_last(), "levels inside"))
        fail_msg("%s: %s", text.data, weir_error_last());
    } else {
      assert_true(weir__graph_find(graph, name, &edge));
      check_node(&graph->node[edge.node], t, text.data);
      ++*checked;
    }
    weir__text_clear(&text);
  }
  for (int i = 0; i < FIELDS; i++) weir__free(source[i].bytes);
  weir__graph_destroy(&graph);
  weir__arena_clear(&arena);
}

static void test_random(void **state) {
  (void)state;
  int checked = 0;
  for (int i = 0; i < 60; i++) {
    seed = 1000 + (uint64_t)i;
    one_world(25, &checked);
  }
  assert_true(checked > 1200);
}

/* Parameters are read at every call: a change is seen by the next. */
static void test_parameter(void **state) {
  (void)state;
  weir__edge      edge;
  double          value;
  weir_region     scalar = {0};
  weir_field_type type   = {.dtype = WEIR_F64};
  assert_int_equal(weir__graph_create(NULL, &graph), WEIR_OK);
  assert_int_equal(weir__graph_parameter(graph, "wind", 2), WEIR_OK);
  assert_int_equal(weir__graph_expression(graph, "10 * wind + step", (weir__place){0}, &edge), WEIR_OK);
  for (int i = 0; i < 20; i++) { /* the table moves when it grows */
    char name[16];
    snprintf(name, sizeof name, "p%d", i);
    assert_int_equal(weir__graph_parameter(graph, name, i), WEIR_OK);
  }
  weir_view out = weir__view_dense(&value, &type, &scalar);
  apply_box(&graph->node[edge.node], &scalar, &out, NULL);
  assert_true(value == 27);
  graph->parameter[0].value = 3;
  apply_box(&graph->node[edge.node], &scalar, &out, NULL);
  assert_true(value == 37);
  assert_int_equal(graph->node[edge.node].inputs, 0);
  weir__graph_destroy(&graph);
}

/* A coordinate is that of the points where the fields are. */
static void test_coordinates(void **state) {
  (void)state;
  static const struct {
    weir_location location;
    double        x, y;
  } at[] = {{WEIR_AT_UNKNOWN, 0, 0}, {WEIR_AT_T, 0, 0}, {WEIR_AT_U, .5, 0}, {WEIR_AT_V, 0, .5}, {WEIR_AT_F, .5, .5}};
  weir_field_type type = {
      .dtype = WEIR_F64,
      .rank  = 2,
      .dim   = {{.name = "y", .size = 3, .origin = 100, .spacing = 10}, {.name = "x", .size = 4, .spacing = 2}}};
  double zeros[12] = {0}, out[12];
  for (int k = 0; k < 5; k++) {
    weir__edge edge;
    int        node;
    type.location = at[k].location;
    assert_int_equal(weir__graph_create(NULL, &graph), WEIR_OK);
    assert_int_equal(weir__graph_add_source(graph, "u", 0, 0, &type, NULL, false, &node), WEIR_OK);
    assert_int_equal(weir__graph_expression(graph, "u + 1000 * x + y", (weir__place){0}, &edge), WEIR_OK);
    weir_region whole = weir__region_whole(&type);
    weir_view   view  = weir__view_dense(out, &type, &whole);
    source[0].view    = weir__view_dense(zeros, &type, &whole);
    apply_box(&graph->node[edge.node], &whole, &view, NULL);
    for (int i = 0; i < 12; i++) assert_true(out[i] == 1000 * 2 * (i % 4 + at[k].x) + 100 + 10 * (i / 4 + at[k].y));
    weir__graph_destroy(&graph);
  }
}

/* Functions of roots, of quotients and of numbers that are multiplied by others and added to them, which are computed
 * together with these and in longer blocks, and while memory is asked for what comes after. */
static void test_long(void **state) {
  enum { SIZE = 5000, FUNCTIONS = 4, INNERS = 15, TOGETHER = 9 };
  static const weir__op    function[FUNCTIONS] = {WEIR__OP_EXP, WEIR__OP_LOG, WEIR__OP_SIN, WEIR__OP_COS};
  static const char *const inner[INNERS] = {"sqrt(u)", "sqrt(2*u + 1)", "u + 1",       "1 - u",    "u - 3", "2 * u",
                                            "-u",      "u * 2 + 1",     "3 * u - 0.5", "-(u + 1)", "u / v", "u / 3",
                                            "3 / u",   "sqrt(u)*2",     "u * v + 1"};
  static double            u[2][SIZE], out[SIZE];
  const weir_field_type    type  = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "i", .size = SIZE}}};
  const weir_region        whole = weir__region_whole(&type);
  const weir_view          view  = weir__view_dense(out, &type, &whole);
  (void)state;
  seed = 5;
  for (int i = 0; i < 2 * SIZE; i++) u[i / SIZE][i % SIZE] = pick(50) ? 40 * uniform() : NAN;
  for (int k = 0; k < FUNCTIONS * INNERS * 2; k++) {
    weir__op    op = function[k / 2 / INNERS];
    int         in = k / 2 % INNERS, node;
    weir__edge  edge;
    char        text[80];
    const char *rest = k % 2 ? " + 1" : ""; /* the result goes to a register, or to the field */
    snprintf(text, sizeof text, "%s(%s)%s", weir__op_name(op), inner[in], rest);
    assert_int_equal(weir__graph_create(NULL, &graph), WEIR_OK);
    for (int f = 0; f < 2; f++) {
      assert_int_equal(weir__graph_add_source(graph, f ? "v" : "u", 0, f, &type, NULL, false, &node), WEIR_OK);
      source[f].view = weir__view_dense(u[f], &type, &whole);
    }
    assert_int_equal(weir__graph_expression(graph, text, (weir__place){0}, &edge), WEIR_OK);
    const weir__node          *of     = &graph->node[edge.node];
    const weir__kernel_params *kernel = of->params;
    if (in < TOGETHER) assert_int_equal(kernel->block, WEIR__KERNEL_LONG_BLOCK);
    bool rooted = in < 2 && op == WEIR__OP_LOG; /* that takes its root apart */
    if (in < TOGETHER) assert_int_equal(kernel->instructions, 2 + rooted + k % 2);
    apply_pieces(of, whole, &view);
    for (int i = 0; i < SIZE; i++) {
      double x = u[0][i], y = u[1][i];
      double a[INNERS] = {sqrt(x),     sqrt(2 * x + 1), x + 1, 1 - x, x - 3, 2 * x,       -x,       x * 2 + 1,
                          3 * x - 0.5, -(x + 1),        x / y, x / 3, 3 / x, sqrt(x) * 2, x * y + 1};
      expect_same(text, out[i], weir__op_value(op, a[in], 0, 0) + k % 2);
    }
    weir__graph_destroy(&graph);
  }
}

/* Functions against the C library's: special values as these, others to 4 units in the last place. */
static void test_functions(void **state) {
  static const double special[] = {0.0, -0.0, 1, -1, NAN, INFINITY, -INFINITY, 1e300, -1e300, 5e-324, 2.5, 1e-200};
  (void)state;
  for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
    double most = 0;
    for (int i = 0; i < 40000; i++) {
      double x = i < 12 ? special[i] : i % 3 ? 20 * uniform() - 10 : i % 2 ? uniform() : exp(80 * uniform() - 40);
      double expected = functions[f].of(x), got = weir__op_value(functions[f].op, x, 0, 0);
      if (isnan(expected) || isinf(expected)) {
        if (isnan(expected) ? !isnan(got) : got != expected) fail_msg("function %zu of %.17g: %.17g", f, x, got);
        continue;
      }
      double unit  = nextafter(fabs(expected), INFINITY) - fabs(expected);
      double apart = fabs(got - expected) / unit;
      if (!(apart <= 4)) fail_msg("function %zu of %.17g: got %.17g, expected %.17g", f, x, got, expected);
      if (apart > most) most = apart;
    }
    print_message("%s: at most %.0f units in the last place\n", weir__op_name(functions[f].op), most);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_parameter),
                                     cmocka_unit_test(test_coordinates), cmocka_unit_test(test_long),
                                     cmocka_unit_test(test_functions)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
