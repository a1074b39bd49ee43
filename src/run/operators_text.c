/* The documentation of operators, made from their records and from nothing else. */
#include "run/operators.h"
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 88 };

static int by_name(const void *a, const void *b) {
  const weir_operator *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

void weir__operator_list(const weir__operator_set *set, weir__text *text) {
  int                   width = 0;
  const weir_operator **sorted;
  if (weir__alloc_array((size_t)set->count, sizeof *sorted, &sorted) < 0) {
    text->failed = true;
    return;
  }
  for (int i = 0; i < set->count; i++) {
    sorted[i] = set->table[i];
    if ((int)strlen(sorted[i]->name) > width) width = (int)strlen(sorted[i]->name);
  }
  if (set->count) qsort(sorted, (size_t)set->count, sizeof *sorted, by_name);
  for (int i = 0; i < set->count; i++) weir__text_add(text, "%-*s  %s\n", width, sorted[i]->name, sorted[i]->summary);
  weir__free(sorted);
}

/* Words of `paragraph` in lines of WIDTH, each after `indent` blanks. */
static void add_wrapped(weir__text *text, int indent, const char *paragraph) {
  int column = 0;
  for (const char *word = paragraph; *word;) {
    size_t length = strcspn(word, " \n");
    if (length) {
      if (column && column + 1 + (int)length > WIDTH) {
        weir__text_add(text, "\n");
        column = 0;
      }
      weir__text_add(text, "%*s%.*s", column ? 1 : indent, column ? " " : "", (int)length, word);
      column += (column ? 1 : indent) + (int)length;
    }
    word += length;
    word += strspn(word, " \n");
  }
  if (column) weir__text_add(text, "\n");
}

static void add_value(weir__text *text, const weir_param *p, double value) {
  if (p->kind == WEIR_PARAM_CHOICE) weir__text_add(text, "%s", p->choices[(int)value]);
  else if (p->kind == WEIR_PARAM_BOOL) weir__text_add(text, "%s", value != 0 ? "yes" : "no");
  else weir__text_add(text, "%g", value);
}

/* NAME(a, b, mask=..., size=3): how it is called in a recipe. */
static void add_call(weir__text *text, const weir_operator *op) {
  bool first = true;
  weir__text_add(text, "%s(", op->name);
  for (int i = 0; i < op->inputs; i++, first = false)
    weir__text_add(text, "%s%s", first ? "" : ", ", op->input_names[i]);
  for (const weir_param *p = op->params; p && p->name; p++, first = false)
    if (p->required) weir__text_add(text, "%s%s", first ? "" : ", ", p->name);
  for (int i = op->inputs; i < op->inputs + op->optional_inputs; i++, first = false)
    weir__text_add(text, "%s%s=FIELD", first ? "" : ", ", op->input_names[i]);
  for (const weir_param *p = op->params; p && p->name; p++) {
    if (p->required) continue;
    weir__text_add(text, "%s%s=", first ? "" : ", ", p->name);
    if (p->kind == WEIR_PARAM_AXES || p->kind == WEIR_PARAM_LIST) weir__text_add(text, "[...]");
    else if (p->kind == WEIR_PARAM_TEXT) weir__text_add(text, "\"...\"");
    else add_value(text, p, p->fallback);
    first = false;
  }
  weir__text_add(text, ")");
}

static void add_kind(weir__text *text, const weir_param *p) {
  switch (p->kind) {
  case WEIR_PARAM_REAL: weir__text_add(text, "number"); break;
  case WEIR_PARAM_INT: weir__text_add(text, "whole number"); break;
  case WEIR_PARAM_BOOL: weir__text_add(text, "yes or no"); break;
  case WEIR_PARAM_CHOICE:
    weir__text_add(text, "one of ");
    for (int i = 0; p->choices[i]; i++) weir__text_add(text, "%s%s", i ? ", " : "", p->choices[i]);
    break;
  case WEIR_PARAM_AXES: weir__text_add(text, "dimension or list of dimensions"); break;
  case WEIR_PARAM_TEXT: weir__text_add(text, "text in quotes"); break;
  case WEIR_PARAM_LIST: weir__text_add(text, "number or list of numbers"); break;
  }
  if (p->units) weir__text_add(text, " in %s", p->units);
  bool numeric = p->kind == WEIR_PARAM_REAL || p->kind == WEIR_PARAM_INT || p->kind == WEIR_PARAM_LIST;
  if (numeric && (p->least != 0 || p->most != 0)) weir__text_add(text, ", %g to %g", p->least, p->most);
}

static void add_param(weir__text *text, const weir_param *p) {
  weir__text_add(text, "  %s: ", p->name);
  add_kind(text, p);
  if (p->required) weir__text_add(text, "; must be given");
  else if (p->kind != WEIR_PARAM_TEXT && p->kind != WEIR_PARAM_AXES && p->kind != WEIR_PARAM_LIST) {
    weir__text_add(text, "; default ");
    add_value(text, p, p->fallback);
  }
  weir__text_add(text, "\n");
  if (p->help) add_wrapped(text, 6, p->help);
}

static void add_names(weir__text *text, const char *title, const char *const *names, int from, int to) {
  if (from == to) return;
  weir__text_add(text, "%s:", title);
  for (int i = from; i < to; i++) weir__text_add(text, "%s %s", i > from ? "," : "", names[i]);
  weir__text_add(text, "\n");
}

static weir_status no_such(const weir__operator_set *set, const char *name) {
  const char **names;
  WEIR_TRY(weir__alloc_array((size_t)set->count, sizeof *names, &names));
  for (int i = 0; i < set->count; i++) names[i] = set->table[i]->name;
  const char *near = weir__text_nearest(name, names, (size_t)set->count);
  weir__free(names);
  return WEIR_FAIL(WEIR_ERR_INPUT, "no operator %s%s%s%s", name, near ? ", did you mean " : "; weir ops lists them all",
                   near ? near : "", near ? "?" : "");
}

weir_status weir__operator_describe(const weir__operator_set *set, const char *name, weir__text *text) {
  const weir_operator *op = NULL;
  for (int i = 0; i < set->count; i++)
    if (!strcmp(set->table[i]->name, name)) op = set->table[i];
  if (!op) return no_such(set, name);
  weir__text_add(text, "%s: %s\n\n  ", op->name, op->summary);
  add_call(text, op);
  weir__text_add(text, "\n\n");
  add_names(text, "inputs", op->input_names, 0, op->inputs);
  add_names(text, "optional inputs, by name", op->input_names, op->inputs, op->inputs + op->optional_inputs);
  if (op->outputs > 1) add_names(text, "results", op->output_names, 0, op->outputs);
  if (op->params && op->params->name) weir__text_add(text, "parameters:\n");
  for (const weir_param *p = op->params; p && p->name; p++) add_param(text, p);
  if (op->expression) weir__text_add(text, "the same as: %s\n", op->expression);
  if (op->partial_size)
    weir__text_add(text, "a reduction: the result has the same bits however the work is shared out\n");
  if (op->state_size) weir__text_add(text, "keeps state: it sees every step\n");
  if (op->details) {
    weir__text_add(text, "\n");
    add_wrapped(text, 0, op->details);
  }
  return weir__text_status(text);
}
