/* From a value to the kernel that computes it: which fields it reads, what is uniform, in which registers the rest
 * goes. */
#include "graph/value.h"
#include <string.h>

enum { UNIFORMS = 2 }; /* at most, that a value brings */

typedef struct compiler {
  weir__values        *values;
  const weir__spot    *spot;
  weir__kernel_params *kernel;
  weir__edge          *input;
  int                  root;
  bool                *reached;
  int                 *last_use; /* of each value: the value that needs it last */
  weir__operand       *place;    /* of each value */
  weir__uniform       *uniform;
  weir__instruction   *code;
  bool                *taken; /* registers */
  int                  last;  /* the value that the last instruction computes */
} compiler;

/* Declared units change nothing in the numbers. */
static int plain(const weir__values *s, int value) {
  while (s->value[value].kind == WEIR__VALUE_UNITS) value = s->value[value].a;
  return value;
}

/* The operands of a value that computes; their number. */
static int operands(const weir__values *s, int value, int out[3]) {
  const weir__value *v = &s->value[value];
  if (v->kind != WEIR__VALUE_OPERATION) return 0;
  int n = weir__op_operands(v->op), given[3] = {v->a, v->b, v->c};
  for (int i = 0; i < n; i++) out[i] = plain(s, given[i]);
  return n;
}

static weir_status reach(compiler *c) {
  size_t count = c->values->count;
  int    o[3];
  WEIR_TRY(weir__arena_alloc(c->values->arena, count * sizeof *c->reached, &c->reached));
  WEIR_TRY(weir__arena_alloc(c->values->arena, count * sizeof *c->last_use, &c->last_use));
  WEIR_TRY(weir__arena_alloc(c->values->arena, count * sizeof *c->place, &c->place));
  WEIR_TRY(weir__arena_alloc(c->values->arena, count * sizeof *c->taken, &c->taken));
  c->reached[c->root]  = true;
  c->last_use[c->root] = c->root + 1;
  for (int v = c->root; v >= 0; v--) { /* operands have smaller numbers */
    if (!c->reached[v]) continue;
    for (int i = operands(c->values, v, o) - 1; i >= 0; i--) {
      c->reached[o[i]] = true;
      if (c->last_use[o[i]] < v) c->last_use[o[i]] = v;
    }
  }
  return WEIR_OK;
}

/* ---- the type of the result ---- */

/* The dimensions called `name` of this set that no field of the expression has are looked for in the graph's other
 * fields. */
static weir_status foreign_axes(compiler *c, weir_field_type *type, const char *const *missing, int count) {
  const weir__graph     *g     = c->values->graph;
  const weir_field_type *found = NULL;
  for (int i = 0; i < g->nodes && !found; i++) {
    int have = 0;
    for (int k = 0; k < count; k++) have += weir__axis_find(&g->node[i].type[0], missing[k]) >= 0;
    if (have == count) found = &g->node[i].type[0];
  }
  if (!found)
    return weir__expression_fail(c->spot->source, c->spot->whole->at,
                                 "%s and %s are coordinates, but no field has both dimensions", missing[0], missing[1]);
  for (int a = 0; a < found->rank; a++) {
    for (int k = 0; k < count; k++) {
      if (strcmp(found->dim[a].name, missing[k])) continue;
      for (int i = 0; i < g->nodes; i++) {
        int other = weir__axis_find(&g->node[i].type[0], missing[k]);
        if (other >= 0 && g->node[i].type[0].dim[other].size != found->dim[a].size)
          return weir__expression_fail(
              c->spot->source, c->spot->whole->at,
              "dimension %s has different sizes in different fields: expected a field with that "
              "dimension in the expression",
              missing[k]);
      }
      if (type->rank == WEIR_RANK_MAX)
        return weir__expression_fail(c->spot->source, c->spot->whole->at,
                                     "the result would have more than %d dimensions", WEIR_RANK_MAX);
      type->dim[type->rank++] = found->dim[a];
    }
  }
  return WEIR_OK;
}

static weir_status result_type(compiler *c, int value) {
  const weir__value *v    = &c->values->value[value];
  weir_field_type   *type = &c->kernel->type;
  const char        *missing[WEIR_RANK_MAX + 1];
  int                count = 0;
  bool               field = false;
  *type                    = (weir_field_type){.rank = v->rank, .location = v->location, .units = v->units};
  if (v->units_kind != WEIR__UNITS_KNOWN) type->units = NULL;
  for (int a = 0; a < v->rank; a++) type->dim[a] = *v->dim[a];
  for (int i = 0; i <= c->root; i++) {
    const weir__value *w = &c->values->value[i];
    field                = field || (c->reached[i] && w->kind == WEIR__VALUE_FIELD);
    if (!c->reached[i] || w->kind != WEIR__VALUE_COORDINATE || weir__axis_find(type, w->name) >= 0) continue;
    if (count == WEIR_RANK_MAX)
      return weir__expression_fail(c->spot->source, c->spot->whole->at, "the result would have more than %d dimensions",
                                   WEIR_RANK_MAX);
    missing[count++] = w->name;
  }
  type->dtype = v->wide || !field ? WEIR_F64 : WEIR_F32;
  return count ? foreign_axes(c, type, missing, count) : WEIR_OK;
}

/* ---- inputs ---- */

static weir_status collect_inputs(compiler *c) {
  weir__kernel_params *k    = c->kernel;
  int                  best = 0;
  for (int v = 0; v <= c->root; v++) {
    if (!c->reached[v] || c->values->value[v].kind != WEIR__VALUE_FIELD) continue;
    if (k->inputs == WEIR_INPUTS_MAX)
      return weir__expression_fail(c->spot->source, c->spot->whole->at,
                                   "more than %d fields in one expression: give a part of it a name", WEIR_INPUTS_MAX);
    c->input[k->inputs] = c->values->value[v].edge;
    if (weir__edge_type(c->values->graph, c->input[k->inputs])->rank >
        weir__edge_type(c->values->graph, c->input[best])->rank)
      best = k->inputs;
    k->inputs++;
  }
  if (best) { /* the first input says how the result is split */
    weir__edge first = c->input[0];
    c->input[0]      = c->input[best];
    c->input[best]   = first;
  }
  for (int i = 0; i < k->inputs; i++)
    for (int r = 0; r < k->type.rank; r++)
      k->axis[i][r] = weir__axis_find(weir__edge_type(c->values->graph, c->input[i]), k->type.dim[r].name);
  return WEIR_OK;
}

static int input_of(const compiler *c, weir__edge edge) {
  int i = 0;
  while (c->input[i].node != edge.node || c->input[i].output != edge.output) i++;
  return i;
}

/* ---- code ---- */

/* The uniform value `v`, when it is one. */
static bool as_uniform(const compiler *c, int value, weir__uniform *u) {
  const weir__value *v    = &c->values->value[value];
  int                o[3] = {0};
  *u                      = (weir__uniform){.index = v->index, .number = v->number, .op = v->op};
  switch (v->kind) {
  case WEIR__VALUE_NUMBER: u->kind = WEIR__UNIFORM_NUMBER; return true;
  case WEIR__VALUE_PARAMETER: u->kind = WEIR__UNIFORM_PARAMETER; return true;
  case WEIR__VALUE_STEP: u->kind = WEIR__UNIFORM_STEP; return true;
  case WEIR__VALUE_TIME: u->kind = WEIR__UNIFORM_TIME; return true;
  case WEIR__VALUE_DT: u->kind = WEIR__UNIFORM_DT; return true;
  case WEIR__VALUE_FIELD:
    u->kind  = WEIR__UNIFORM_INPUT;
    u->index = input_of(c, v->edge);
    return v->rank == 0;
  case WEIR__VALUE_OPERATION:
    for (int i = operands(c->values, value, o) - 1; i >= 0; i--) {
      if (!c->place[o[i]].uniform) return false;
      o[i] = c->place[o[i]].index;
    }
    u->kind = WEIR__UNIFORM_OP;
    u->a    = o[0];
    u->b    = o[1];
    u->c    = o[2];
    return true;
  case WEIR__VALUE_COORDINATE:
  case WEIR__VALUE_UNITS: break;
  }
  return false;
}

/* What the last instruction has just computed for this operation alone is computed together with it: each is rounded as
 * before, but a block is written and read once less; and a root or a quotient is waited for while the polynomial of the
 * element before it is computed. */
static bool join(compiler *c, int value, const int o[3], weir__instruction *in) {
  static const struct {
    weir__op first, second, both;
    bool     either; /* of the second's operands may be the first's result */
  } pairs[] = {
      {WEIR__OP_MUL, WEIR__OP_ADD, WEIR__OP_MUL_ADD, true},    {WEIR__OP_MUL, WEIR__OP_SUB, WEIR__OP_MUL_SUB, false},
      {WEIR__OP_ADD, WEIR__OP_MUL, WEIR__OP_ADD_MUL, true},    {WEIR__OP_SUB, WEIR__OP_MUL, WEIR__OP_SUB_MUL, true},
      {WEIR__OP_ADD, WEIR__OP_DIV, WEIR__OP_ADD_DIV, false},   {WEIR__OP_SUB, WEIR__OP_DIV, WEIR__OP_SUB_DIV, false},
      {WEIR__OP_SQRT, WEIR__OP_EXP, WEIR__OP_EXP_SQRT, false}, {WEIR__OP_SQRT, WEIR__OP_SIN, WEIR__OP_SIN_SQRT, false},
      {WEIR__OP_SQRT, WEIR__OP_COS, WEIR__OP_COS_SQRT, false}, {WEIR__OP_DIV, WEIR__OP_EXP, WEIR__OP_EXP_DIV, false},
      {WEIR__OP_DIV, WEIR__OP_LOG, WEIR__OP_LOG_DIV, false},   {WEIR__OP_DIV, WEIR__OP_SIN, WEIR__OP_SIN_DIV, false},
      {WEIR__OP_DIV, WEIR__OP_COS, WEIR__OP_COS_DIV, false}};
  bool two = weir__op_operands(in->op) == 2;
  if (!c->kernel->instructions || (two && o[0] == o[1]) || c->last_use[c->last] != value) return false;
  const weir__instruction *last = &c->code[c->kernel->instructions - 1];
  for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
    if (last->op != pairs[k].first || in->op != pairs[k].second) continue;
    int which = o[0] == c->last ? 0 : pairs[k].either && o[1] == c->last ? 1 : -1;
    if (which < 0) return false;
    c->taken[last->to]  = false;
    weir__operand third = !two ? last->c : which ? in->a : in->b;
    *in = (weir__instruction){.op = pairs[k].both, .of = last->of, .a = last->a, .b = last->b, .c = third};
    c->kernel->instructions--;
    return true;
  }
  return false;
}

static weir__operand add_uniform(compiler *c, weir__uniform u) {
  c->uniform[c->kernel->uniforms] = u;
  return (weir__operand){.uniform = true, .index = c->kernel->uniforms++};
}

static weir__operand uniform_number(compiler *c, double number) {
  return add_uniform(c, (weir__uniform){.kind = WEIR__UNIFORM_NUMBER, .number = number});
}

static weir__operand negative_of(compiler *c, weir__operand of) {
  return add_uniform(c, (weir__uniform){.kind = WEIR__UNIFORM_OP, .op = WEIR__OP_NEG, .a = of.index});
}

/* A number that the last instruction has just multiplied by a uniform value, or added one to, or both, for this
 * operation of one number alone: that is done on the way. To multiply by -1 and to add -0 round nothing. */
static bool scale(compiler *c, int value, weir__instruction *in) {
  if (!c->kernel->instructions || c->last_use[c->last] != value) return false;
  const weir__instruction last = c->code[c->kernel->instructions - 1];
  if (last.of != WEIR__OF_A) return false;
  weir__operand a = last.a, b = last.b;
  bool          second = last.a.uniform; /* the number is the second operand */
  if (second) a = last.b, b = last.a;
  if (a.uniform || (last.op != WEIR__OP_NEG && !b.uniform)) return false;
  weir__kernel_of of = WEIR__OF_SCALED;
  switch (last.op) {
  case WEIR__OP_NEG: b = uniform_number(c, -1), in->c = uniform_number(c, -0.0); break;
  case WEIR__OP_MUL: in->c = uniform_number(c, -0.0); break;
  case WEIR__OP_ADD: of = WEIR__OF_SUM, in->c = b; break;
  case WEIR__OP_SUB:
    if (second) in->c = b, b = uniform_number(c, -1);
    else of = WEIR__OF_SUM, in->c = negative_of(c, b);
    break;
  case WEIR__OP_MUL_ADD:
  case WEIR__OP_MUL_SUB:
    if (!last.c.uniform) return false;
    in->c = last.op == WEIR__OP_MUL_ADD ? last.c : negative_of(c, last.c);
    break;
  default: return false;
  }
  c->taken[last.to] = false;
  in->of = of, in->a = a, in->b = b;
  c->kernel->instructions--;
  return true;
}

static void emit(compiler *c, int value) {
  weir__kernel_params *k     = c->kernel;
  const weir__value   *v     = &c->values->value[value];
  weir__instruction    in    = {.op = v->op};
  weir__operand       *to[3] = {&in.a, &in.b, &in.c};
  int                  o[3], n = operands(c->values, value, o);
  for (int i = 0; i < n; i++) {
    *to[i] = c->place[o[i]];
    if (!to[i]->uniform && c->last_use[o[i]] == value) c->taken[to[i]->index] = false; /* may be written over at once */
  }
  if (v->kind == WEIR__VALUE_FIELD) in.op = WEIR__OP_LOAD, in.index = input_of(c, v->edge);
  if (v->kind == WEIR__VALUE_COORDINATE) {
    in.op    = WEIR__OP_COORDINATE;
    in.index = weir__axis_find(&k->type, v->name);
  }
  if ((n == 1 || n == 2) && !join(c, value, o, &in) && n == 1) (void)scale(c, value, &in);
  c->last = value;
  while (c->taken[in.to]) in.to++;
  c->taken[in.to] = true;
  if (in.to >= k->registers) k->registers = in.to + 1;
  c->place[value]            = (weir__operand){.index = in.to};
  c->code[k->instructions++] = in;
}

/* Long operations ask the memory for what the loads before them will read next. False: there are none. */
static bool share_asking(const compiler *c) {
  bool any = false;
  for (int i = 0, load = 0; i < c->kernel->instructions; i++) {
    if (!weir__op_is_long(c->code[i].op) || c->code[i].a.uniform) continue;
    while (load < i && c->code[load].op != WEIR__OP_LOAD) load++;
    if (load == i) continue;
    c->code[i].asks     = 1 + c->code[load].index;
    c->code[load].asked = true;
    load++;
    any = true;
  }
  return any;
}

weir_status weir__value_compile(weir__values *values, int value, const weir__spot *spot, weir__kernel_params *kernel,
                                weir__edge *input) {
  weir__arena  *arena = &values->graph->arena;
  weir__uniform u;
  compiler      c = {.values = values, .spot = spot, .kernel = kernel, .input = input, .root = plain(values, value)};
  size_t        count = 0;
  *kernel             = (weir__kernel_params){.graph = values->graph};
  WEIR_TRY(reach(&c));
  WEIR_TRY(result_type(&c, value));
  WEIR_TRY(collect_inputs(&c));
  for (int v = 0; v <= c.root; v++) count += c.reached[v];
  WEIR_TRY(weir__arena_alloc(arena, UNIFORMS * count * sizeof *c.uniform, &c.uniform));
  WEIR_TRY(weir__arena_alloc(arena, count * sizeof *c.code, &c.code));
  for (int v = 0; v <= c.root; v++) {
    if (!c.reached[v]) continue;
    if (as_uniform(&c, v, &u)) {
      c.place[v]                    = (weir__operand){.uniform = true, .index = kernel->uniforms};
      c.uniform[kernel->uniforms++] = u;
    } else {
      emit(&c, v);
    }
  }
  kernel->block   = share_asking(&c) && kernel->registers <= WEIR__KERNEL_LONG_REGISTERS ? WEIR__KERNEL_LONG_BLOCK
                                                                                         : WEIR__KERNEL_BLOCK;
  kernel->uniform = c.uniform;
  kernel->code    = c.code;
  kernel->result  = c.place[c.root];
  return WEIR_OK;
}
