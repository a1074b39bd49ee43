/* Types of elementwise results: dimensions, units, location on a C grid, precision. */
#include "field/units.h"
#include "graph/value.h"
#include <math.h>
#include <string.h>

static const char *quote(const weir__spot *spot, int part, char out[WEIR__QUOTE_MAX]) {
  const weir__ast *ast = spot->part[part] ? spot->part[part] : spot->whole;
  return weir__expression_quote(spot->source, ast->at, ast->end, out);
}

static int place_of(const weir__spot *spot) { return spot->whole->sign; }

/* ---- dimensions ---- */

static int axis_of(const weir__value *v, const char *name) {
  for (int a = 0; a < v->rank; a++)
    if (!strcmp(v->dim[a]->name, name)) return a;
  return -1;
}

static weir_status append(const weir__spot *spot, weir__value *v, const weir_dimension *dim) {
  if (v->rank == WEIR_RANK_MAX)
    return weir__expression_fail(spot->source, place_of(spot), "the result would have more than %d dimensions",
                                 WEIR_RANK_MAX);
  v->dim[v->rank++] = dim;
  return WEIR_OK;
}

static weir_status check_size(const weir__spot *spot, int part, const weir_dimension *a, const weir_dimension *b) {
  char left[WEIR__QUOTE_MAX], right[WEIR__QUOTE_MAX];
  if (a->size == b->size) return WEIR_OK;
  return weir__expression_fail(
      spot->source, place_of(spot), "dimension %s has %lld elements in '%s' but %lld in '%s': expected the same",
      a->name, (long long)a->size, quote(spot, part - 1, left), (long long)b->size, quote(spot, part, right));
}

/* The union of the dimensions of `v` (so far) and `w`, in an order that both agree with. */
static weir_status merge(const weir__spot *spot, int part, weir__value *v, const weir__value *w) {
  char        left[WEIR__QUOTE_MAX], right[WEIR__QUOTE_MAX];
  weir__value u    = {0};
  int         next = 0; /* first axis of v that is not in u yet */
  for (int b = 0; b < w->rank; b++) {
    int common = -1;
    for (int k = b; k < w->rank && common < 0; k++) common = axis_of(v, w->dim[k]->name);
    bool here = axis_of(v, w->dim[b]->name) >= 0;
    if (common >= 0 && common < next)
      return weir__expression_fail(spot->source, place_of(spot),
                                   "the dimensions of '%s' and '%s' are in different orders (%s): expected the same",
                                   quote(spot, part - 1, left), quote(spot, part, right), w->dim[b]->name);
    int end = common >= 0 ? common : v->rank;
    while (next < end) WEIR_TRY(append(spot, &u, v->dim[next++]));
    if (here) WEIR_TRY(check_size(spot, part, v->dim[next++], w->dim[b]));
    WEIR_TRY(append(spot, &u, w->dim[b]));
  }
  while (next < v->rank) WEIR_TRY(append(spot, &u, v->dim[next++]));
  v->rank = u.rank;
  memcpy(v->dim, u.dim, sizeof v->dim);
  return WEIR_OK;
}

static weir_status merge_location(const weir__spot *spot, int part, weir__value *v, const weir__value *w) {
  char left[WEIR__QUOTE_MAX], right[WEIR__QUOTE_MAX];
  if (!w->location) return WEIR_OK;
  if (v->location && v->location != w->location)
    return weir__expression_fail(
        spot->source, place_of(spot),
        "'%s' is at %s points but '%s' at %s points of the C grid: expected one place (operator mid moves a field)",
        quote(spot, part - 1, left), weir_location_name(v->location), quote(spot, part, right),
        weir_location_name(w->location));
  v->location = w->location;
  return WEIR_OK;
}

/* ---- units ---- */

typedef enum units_rule {
  RULE_KEEP,    /* of the first operand */
  RULE_EQUAL,   /* all operands alike; the result too */
  RULE_COMPARE, /* all operands alike; the result is 0 or 1 */
  RULE_ANGLE,   /* all operands alike; the result is an angle */
  RULE_LOGIC,   /* any; the result is 0, 1 or -1 */
  RULE_MUL,
  RULE_DIV,
  RULE_SQRT,
  RULE_POW,
  RULE_PLAIN,   /* dimensionless */
  RULE_TRIG,    /* dimensionless or an angle */
  RULE_INVERSE, /* dimensionless; the result is an angle */
  RULE_WHERE    /* the second and third alike */
} units_rule;

static units_rule rule_of(weir__op op) {
  switch (op) {
  case WEIR__OP_NEG:
  case WEIR__OP_ABS:
  case WEIR__OP_FLOOR:
  case WEIR__OP_CEIL:
  case WEIR__OP_ROUND: return RULE_KEEP;
  case WEIR__OP_EXP:
  case WEIR__OP_LOG:
  case WEIR__OP_LOG10:
  case WEIR__OP_LOG2:
  case WEIR__OP_SINH:
  case WEIR__OP_COSH:
  case WEIR__OP_TANH: return RULE_PLAIN;
  case WEIR__OP_SIN:
  case WEIR__OP_COS:
  case WEIR__OP_TAN: return RULE_TRIG;
  case WEIR__OP_ASIN:
  case WEIR__OP_ACOS:
  case WEIR__OP_ATAN: return RULE_INVERSE;
  case WEIR__OP_ADD:
  case WEIR__OP_SUB:
  case WEIR__OP_HYPOT:
  case WEIR__OP_MOD:
  case WEIR__OP_MAXIMUM:
  case WEIR__OP_MINIMUM: return RULE_EQUAL;
  case WEIR__OP_LT:
  case WEIR__OP_LE:
  case WEIR__OP_GT:
  case WEIR__OP_GE:
  case WEIR__OP_EQ:
  case WEIR__OP_NE: return RULE_COMPARE;
  case WEIR__OP_ATAN2: return RULE_ANGLE;
  case WEIR__OP_MUL: return RULE_MUL;
  case WEIR__OP_DIV: return RULE_DIV;
  case WEIR__OP_SQRT: return RULE_SQRT;
  case WEIR__OP_POW: return RULE_POW;
  case WEIR__OP_WHERE: return RULE_WHERE;
  default: return RULE_LOGIC; /* not, and, or, missing, sign */
  }
}

static void known(weir__value *v, const char *units) {
  v->units_kind = units ? WEIR__UNITS_KNOWN : WEIR__UNITS_UNKNOWN;
  v->units      = units;
}

/* Operands p and q must not be in different units; the result is in the one that is known best. */
static weir_status equal_units(const weir__spot *spot, int p, const weir__value *a, int q, const weir__value *b,
                               weir__value *v) {
  char left[WEIR__QUOTE_MAX], right[WEIR__QUOTE_MAX];
  if (a->units_kind == WEIR__UNITS_KNOWN && b->units_kind == WEIR__UNITS_KNOWN &&
      !weir__units_equal(a->units, b->units))
    return weir__expression_fail(spot->source, place_of(spot),
                                 "'%s' is in \"%s\" but '%s' in \"%s\": expected the same units", quote(spot, p, left),
                                 a->units, quote(spot, q, right), b->units);
  const weir__value *best = a->units_kind >= b->units_kind ? a : b;
  v->units_kind           = best->units_kind;
  v->units                = best->units;
  return WEIR_OK;
}

static weir_status plain_units(const weir__spot *spot, int part, const weir__value *a, bool angle) {
  char text[WEIR__QUOTE_MAX];
  if (a->units_kind != WEIR__UNITS_KNOWN || weir__units_dimensionless(a->units) ||
      (angle && weir__units_angle(a->units)))
    return WEIR_OK;
  return weir__expression_fail(spot->source, spot->part[part] ? spot->part[part]->at : place_of(spot),
                               "'%s' is in \"%s\": expected a number without units%s (divide by units(1, \"%s\"))",
                               quote(spot, part, text), a->units, angle ? " or an angle" : "", a->units);
}

static weir_status product_units(weir__values *s, const weir__value *a, const weir__value *b, int sign,
                                 weir__value *v) {
  const char *units;
  v->units_kind = WEIR__UNITS_UNKNOWN;
  if (a->units_kind == WEIR__UNITS_UNKNOWN || b->units_kind == WEIR__UNITS_UNKNOWN) return WEIR_OK;
  if (a->units_kind == WEIR__UNITS_NUMBER && b->units_kind == WEIR__UNITS_NUMBER) {
    v->units_kind = WEIR__UNITS_NUMBER;
    return WEIR_OK;
  }
  if (b->units_kind == WEIR__UNITS_NUMBER) {
    known(v, a->units);
    return WEIR_OK;
  }
  if (a->units_kind == WEIR__UNITS_NUMBER && sign > 0) {
    known(v, b->units);
    return WEIR_OK;
  }
  WEIR_TRY(weir__units_combine(&s->graph->arena, a->units_kind == WEIR__UNITS_NUMBER ? "1" : a->units, 1, b->units,
                               sign, &units));
  known(v, units);
  return WEIR_OK;
}

static weir_status power_units(weir__values *s, const weir__spot *spot, const weir__value *a, const weir__value *b,
                               weir__value *v) {
  const char *units = NULL;
  WEIR_TRY(plain_units(spot, 1, b, false));
  v->units_kind = a->units_kind;
  if (a->units_kind != WEIR__UNITS_KNOWN) return WEIR_OK;
  if (weir__units_dimensionless(a->units)) units = a->units;
  else if (b->kind == WEIR__VALUE_NUMBER && b->number == floor(b->number) && fabs(b->number) < 100)
    WEIR_TRY(weir__units_combine(&s->graph->arena, a->units, (int)b->number, NULL, 0, &units));
  known(v, units);
  return WEIR_OK;
}

static weir_status infer_units(weir__values *s, const weir__spot *spot, const weir__value *const o[3], weir__value *v) {
  const char *units;
  v->units_kind = WEIR__UNITS_NUMBER;
  switch (rule_of(v->op)) {
  case RULE_KEEP:
    v->units_kind = o[0]->units_kind;
    v->units      = o[0]->units;
    return WEIR_OK;
  case RULE_EQUAL: return equal_units(spot, 0, o[0], 1, o[1], v);
  case RULE_WHERE: return equal_units(spot, 1, o[1], 2, o[2], v);
  case RULE_COMPARE:
  case RULE_ANGLE:
    WEIR_TRY(equal_units(spot, 0, o[0], 1, o[1], v));
    known(v, rule_of(v->op) == RULE_ANGLE ? "radian" : "1");
    return WEIR_OK;
  case RULE_LOGIC: known(v, "1"); return WEIR_OK;
  case RULE_MUL: return product_units(s, o[0], o[1], 1, v);
  case RULE_DIV: return product_units(s, o[0], o[1], -1, v);
  case RULE_POW: return power_units(s, spot, o[0], o[1], v);
  case RULE_SQRT:
    v->units_kind = o[0]->units_kind;
    if (o[0]->units_kind != WEIR__UNITS_KNOWN) return WEIR_OK;
    WEIR_TRY(weir__units_root(&s->graph->arena, o[0]->units, &units));
    known(v, units);
    return WEIR_OK;
  case RULE_PLAIN: return plain_units(spot, 0, o[0], false);
  case RULE_TRIG: return plain_units(spot, 0, o[0], true);
  case RULE_INVERSE: known(v, "radian"); return plain_units(spot, 0, o[0], false);
  }
  return WEIR_OK;
}

weir_status weir__value_infer(weir__values *values, const weir__spot *spot, weir__value *v) {
  int                n    = weir__op_operands(v->op);
  const weir__value *o[3] = {&values->value[v->a], &values->value[v->b], &values->value[v->c]};
  v->rank                 = o[0]->rank;
  v->location             = o[0]->location;
  v->wide                 = o[0]->wide;
  memcpy(v->dim, o[0]->dim, sizeof v->dim);
  for (int i = 1; i < n; i++) {
    WEIR_TRY(merge(spot, i, v, o[i]));
    WEIR_TRY(merge_location(spot, i, v, o[i]));
    v->wide = v->wide || o[i]->wide;
  }
  return infer_units(values, spot, o, v);
}
