/* Parameters of operators: from what stood in a recipe to the operator's struct. */
#include "core/error.h"
#include "graph/graph.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void weir__params_default(const weir_operator *op, void *params) {
  for (const weir_param *p = op->params; p && p->name; p++) {
    char *at = (char *)params + p->offset;
    switch (p->kind) {
    case WEIR_PARAM_REAL: memcpy(at, &p->fallback, sizeof(double)); break;
    case WEIR_PARAM_INT: memcpy(at, &(int64_t){(int64_t)p->fallback}, sizeof(int64_t)); break;
    case WEIR_PARAM_BOOL: memcpy(at, &(bool){p->fallback != 0}, sizeof(bool)); break;
    case WEIR_PARAM_CHOICE: memcpy(at, &(int){(int)p->fallback}, sizeof(int)); break;
    case WEIR_PARAM_AXES: memset(at, 0, sizeof(weir_axes)); break;
    case WEIR_PARAM_TEXT: memset(at, 0, sizeof(const char *)); break;
    case WEIR_PARAM_LIST: memset(at, 0, sizeof(weir_list)); break;
    }
  }
}

static weir_status check_range(const weir_operator *op, const weir_param *p, double x) {
  if ((p->least == 0 && p->most == 0) || (x >= p->least && x <= p->most)) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s is %g, expected %g to %g%s%s", p->name, op->name, x, p->least,
                   p->most, p->units ? " " : "", p->units ? p->units : "");
}

static weir_status set_list(const weir_operator *op, char *at, const weir_param *p, const weir__argument *value) {
  weir_list list = {.count = value->is_number ? 1 : value->numbers};
  memcpy(list.value, value->is_number ? &value->number : value->list, (size_t)list.count * sizeof *list.value);
  if (!list.count)
    return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s: expected a number or a list of numbers, such as [64, 32]",
                     p->name, op->name);
  for (int i = 0; i < list.count; i++) WEIR_TRY(check_range(op, p, list.value[i]));
  memcpy(at, &list, sizeof list);
  return WEIR_OK;
}

static weir_status set_number(const weir_operator *op, char *at, const weir_param *p, const weir__argument *value) {
  if (!value->is_number)
    return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s: expected a number%s%s, got \"%s\"", p->name, op->name,
                     p->units ? " in " : "", p->units ? p->units : "", value->words ? value->word[0] : "");
  double x = value->number;
  WEIR_TRY(check_range(op, p, x));
  if (p->kind == WEIR_PARAM_REAL) {
    memcpy(at, &x, sizeof x);
    return WEIR_OK;
  }
  if (x != floor(x) || fabs(x) > 0x1p53)
    return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s is %g, expected a whole number", p->name, op->name, x);
  memcpy(at, &(int64_t){(int64_t)x}, sizeof(int64_t));
  return WEIR_OK;
}

static weir_status set_word(const weir_operator *op, char *at, const weir_param *p, const weir__argument *value) {
  static const char *const truths[] = {"no", "yes", "false", "true", "off", "on", NULL};
  const char *const       *words    = p->kind == WEIR_PARAM_BOOL ? truths : p->choices;
  const char              *word     = value->words == 1 ? value->word[0] : NULL;
  if (p->kind == WEIR_PARAM_BOOL && value->is_number && (value->number == 0 || value->number == 1))
    word = truths[(int)value->number];
  for (int i = 0; word && words[i]; i++)
    if (!strcmp(word, words[i])) {
      if (p->kind == WEIR_PARAM_BOOL) memcpy(at, &(bool){i % 2 == 1}, sizeof(bool));
      else memcpy(at, &i, sizeof i);
      return WEIR_OK;
    }
  char   list[256];
  size_t length = 0;
  for (int i = 0; words[i] && length < sizeof list; i++)
    length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i ? ", " : "", words[i]);
  return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s: expected one of %s%s%s%s", p->name, op->name, list,
                   word ? ", got \"" : "", word ? word : "", word ? "\"" : "");
}

weir_status weir__params_set(const weir_operator *op, void *params, const weir_param *p, const weir__argument *value) {
  char *at = (char *)params + p->offset;
  switch (p->kind) {
  case WEIR_PARAM_REAL:
  case WEIR_PARAM_INT: return set_number(op, at, p, value);
  case WEIR_PARAM_LIST: return set_list(op, at, p, value);
  case WEIR_PARAM_BOOL:
  case WEIR_PARAM_CHOICE: return set_word(op, at, p, value);
  case WEIR_PARAM_TEXT:
    if (value->words != 1) return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s: expected a text", p->name, op->name);
    memcpy(at, &value->word[0], sizeof value->word[0]);
    return WEIR_OK;
  case WEIR_PARAM_AXES: {
    if (value->is_number || !value->words)
      return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s of %s: expected a dimension name or a list such as [y, x]",
                       p->name, op->name);
    weir_axes axes = {.count = value->words};
    memcpy(axes.name, value->word, sizeof axes.name);
    memcpy(at, &axes, sizeof axes);
    return WEIR_OK;
  }
  }
  return WEIR_FAIL(WEIR_ERR_INTERNAL, "parameter %s of %s has an unknown kind", p->name, op->name);
}
