#include "graph/value.h"
#include <math.h>
#include <string.h>

void weir__values_clear(weir__values *values) {
  weir__free(values->value);
  weir__free(values->slot);
  *values = (weir__values){0};
}

/* ---- one of each ---- */

static uint64_t mix(uint64_t hash, uint64_t x) { return (hash ^ x) * 0x9e3779b97f4a7c15u ^ (hash >> 29); }

static uint64_t hash_of(const weir__value *v) {
  uint64_t bits, hash = mix(v->kind, v->op);
  memcpy(&bits, &v->number, sizeof bits);
  hash = mix(mix(mix(mix(hash, (uint64_t)v->a), (uint64_t)v->b), (uint64_t)v->c), (uint64_t)v->index);
  hash = mix(mix(mix(hash, bits), (uint64_t)v->edge.node), (uint64_t)v->edge.output);
  for (const char *c = v->name; c && *c; c++) hash = mix(hash, (unsigned char)*c);
  return hash ^ hash >> 32;
}

static bool same(const weir__value *v, const weir__value *w) {
  return v->kind == w->kind && v->op == w->op && v->a == w->a && v->b == w->b && v->c == w->c && v->index == w->index &&
         !memcmp(&v->number, &w->number, sizeof v->number) && v->edge.node == w->edge.node &&
         v->edge.output == w->edge.output && (v->name == w->name || (v->name && w->name && !strcmp(v->name, w->name)));
}

static weir_status rehash(weir__values *s) {
  size_t slots = s->slots ? 2 * s->slots : 64;
  int   *slot;
  WEIR_TRY(weir__alloc_array(slots, sizeof *slot, &slot));
  for (size_t i = 0; i < s->count; i++) {
    size_t at = hash_of(&s->value[i]) & (slots - 1);
    while (slot[at]) at = (at + 1) & (slots - 1);
    slot[at] = (int)i + 1;
  }
  weir__free(s->slot);
  s->slot  = slot;
  s->slots = slots;
  return WEIR_OK;
}

/* The value like `v` if there is one (-1: none), and the slot where it is or would be. */
static weir_status find(weir__values *s, const weir__value *v, int *found, size_t *slot) {
  if (2 * (s->count + 1) > s->slots) WEIR_TRY(rehash(s));
  size_t at = hash_of(v) & (s->slots - 1);
  while (s->slot[at] && !same(&s->value[s->slot[at] - 1], v)) at = (at + 1) & (s->slots - 1);
  *found = s->slot[at] - 1;
  *slot  = at;
  return WEIR_OK;
}

static weir_status add(weir__values *s, const weir__value *v, size_t slot, int *out) {
  WEIR_TRY(weir__grow(&s->value, s->count + 1, &s->capacity, sizeof *s->value));
  s->value[s->count] = *v;
  *out               = (int)s->count++;
  s->slot[slot]      = *out + 1;
  return WEIR_OK;
}

static weir_status intern(weir__values *s, const weir__value *v, int *out) {
  size_t slot;
  int    found;
  WEIR_TRY(find(s, v, &found, &slot));
  if (found < 0) return add(s, v, slot, out);
  *out = found;
  return WEIR_OK;
}

/* ---- leaves ---- */

weir_status weir__value_number(weir__values *values, double number, int *out) {
  return intern(values, &(weir__value){.kind = WEIR__VALUE_NUMBER, .number = number}, out);
}

weir_status weir__value_parameter(weir__values *values, int index, int *out) {
  weir__value v = {.kind = WEIR__VALUE_PARAMETER, .index = index, .units_kind = WEIR__UNITS_UNKNOWN};
  return intern(values, &v, out);
}

weir_status weir__value_clock(weir__values *values, weir__value_kind kind, int *out) {
  weir__value v = {.kind = kind, .units_kind = WEIR__UNITS_UNKNOWN};
  if (kind == WEIR__VALUE_STEP) v.units_kind = WEIR__UNITS_NUMBER;
  if (kind == WEIR__VALUE_DT && values->graph->time_units) { /* "seconds since 2000-01-01" are seconds */
    char *units;
    WEIR_TRY(weir__arena_alloc(&values->graph->arena, strlen(values->graph->time_units) + 1, &units));
    strcpy(units, values->graph->time_units);
    char *since = strstr(units, " since");
    if (since) *since = 0;
    v.units      = units;
    v.units_kind = WEIR__UNITS_KNOWN;
  }
  return intern(values, &v, out);
}

weir_status weir__value_coordinate(weir__values *values, const char *name, int *out) {
  return intern(values, &(weir__value){.kind = WEIR__VALUE_COORDINATE, .name = name, .units_kind = WEIR__UNITS_UNKNOWN},
                out);
}

weir_status weir__value_edge(weir__values *values, weir__edge edge, int *out) {
  weir__value      v = {.kind = WEIR__VALUE_FIELD, .edge = edge};
  weir_field_type *type; /* a copy: types move when the graph grows */
  size_t           slot;
  int              found;
  WEIR_TRY(find(values, &v, &found, &slot));
  if (found >= 0) {
    *out = found;
    return WEIR_OK;
  }
  WEIR_TRY(weir__arena_alloc(values->arena, sizeof *type, &type));
  *type        = *weir__edge_type(values->graph, edge);
  v.rank       = type->rank;
  v.units      = type->units;
  v.units_kind = type->units ? WEIR__UNITS_KNOWN : WEIR__UNITS_UNKNOWN;
  v.location   = type->rank ? type->location : WEIR_AT_UNKNOWN; /* a single number sits nowhere */
  v.wide       = weir_dtype_floating(type->dtype) == WEIR_F64;
  for (int a = 0; a < type->rank; a++) v.dim[a] = &type->dim[a];
  return add(values, &v, slot, out);
}

/* ---- operations ---- */

static weir_status operation(weir__values *values, const weir__spot *spot, weir__op op, const int *operand, int *out) {
  weir__value v = {.kind = WEIR__VALUE_OPERATION, .op = op};
  int         n = weir__op_operands(op), *to[3] = {&v.a, &v.b, &v.c}, found;
  double      x[3]     = {0};
  bool        constant = true;
  size_t      slot;
  for (int i = 0; i < n; i++) {
    const weir__value *o = &values->value[operand[i]];
    *to[i]               = operand[i];
    constant             = constant && o->kind == WEIR__VALUE_NUMBER;
    x[i]                 = o->number;
  }
  if (constant) return weir__value_number(values, weir__op_value(op, x[0], x[1], x[2]), out);
  WEIR_TRY(find(values, &v, &found, &slot));
  if (found >= 0) {
    *out = found;
    return WEIR_OK;
  }
  WEIR_TRY(weir__value_infer(values, spot, &v));
  return add(values, &v, slot, out);
}

/* x^n for a whole n by squaring and multiplying; its units follow from the products. */
static weir_status power(weir__values *values, const weir__spot *spot, int x, int n, int *out) {
  int        result = -1, square = x;
  weir__spot here = {spot->source, spot->whole, {spot->part[0], spot->part[0], NULL}};
  for (int m = n; m; m >>= 1) {
    if (m & 1 && result < 0) result = square;
    else if (m & 1) WEIR_TRY(operation(values, &here, WEIR__OP_MUL, (int[]){result, square}, &result));
    if (m > 1) WEIR_TRY(operation(values, &here, WEIR__OP_MUL, (int[]){square, square}, &square));
  }
  *out = result;
  return WEIR_OK;
}

weir_status weir__value_operation(weir__values *values, const weir__spot *spot, weir__op op, const int *operand,
                                  int *out) {
  enum { POWER_BY_PRODUCTS = 8 }; /* beyond it the C library's pow is more precise */
  int          one, x = operand[0];
  weir__value *e = &values->value[op == WEIR__OP_POW ? operand[1] : x];
  if (op != WEIR__OP_POW || e->kind != WEIR__VALUE_NUMBER) return operation(values, spot, op, operand, out);
  double n = e->number;
  if (n == 0.5) return operation(values, spot, WEIR__OP_SQRT, operand, out);
  if (n == 0 || n != floor(n) || fabs(n) > POWER_BY_PRODUCTS) return operation(values, spot, op, operand, out);
  WEIR_TRY(power(values, spot, x, (int)fabs(n), &x));
  if (n > 0) {
    *out = x;
    return WEIR_OK;
  }
  WEIR_TRY(weir__value_number(values, 1, &one));
  return operation(values, spot, WEIR__OP_DIV, (int[]){one, x}, out);
}

weir_status weir__value_units(weir__values *values, int value, const char *units, int *out) {
  weir__value v = values->value[value];
  v.kind        = WEIR__VALUE_UNITS;
  v.a           = value;
  v.b = v.c = v.index = 0;
  v.op                = WEIR__OP_NEG; /* unused, but part of the key */
  v.number            = 0;
  v.edge              = (weir__edge){0};
  v.units_kind        = WEIR__UNITS_KNOWN;
  WEIR_TRY(weir__arena_string(&values->graph->arena, units, &v.units));
  v.name = v.units; /* the key */
  return intern(values, &v, out);
}

/* ---- fields ---- */

weir_status weir__value_field(weir__values *values, int value, const weir__spot *spot, const char *name,
                              weir__edge *edge) {
  const weir__value  *v = &values->value[value];
  weir__kernel_params kernel;
  weir__edge          input[WEIR_INPUTS_MAX];
  int                 node;
  if (v->kind == WEIR__VALUE_FIELD && !name) {
    *edge = v->edge;
    return WEIR_OK;
  }
  WEIR_TRY(weir__value_compile(values, value, spot, &kernel, input));
  WEIR_TRY(weir__expression_locate(weir__graph_add_operator(values->graph, &weir__operator_arithmetic, &kernel, input,
                                                            kernel.inputs, name, values->place, NULL, &node),
                                   spot->source, spot->whole->at));
  *edge = (weir__edge){node, 0};
  return WEIR_OK;
}
