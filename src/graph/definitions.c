/* Definitions in any order: sorted so that what a field needs is defined before it. */
#include "graph/builder.h"
#include "core/text.h"
#include <stdlib.h>
#include <string.h>

typedef enum colour { WHITE, GREY, BLACK } colour; /* not seen, being followed, done */

/* One definition, read. */
typedef struct entry {
  const weir__definition *definition;
  weir__script            source;
  size_t                  number; /* in the order given */
  struct entry          **need;   /* owned: definitions that its names refer to, each as often as it is named */
  int                    *at;     /* owned: where */
  size_t                  needs, need_capacity, at_capacity, next;
  colour                  colour;
} entry;

typedef struct sorter {
  weir__graph *graph;
  weir__arena  arena;
  entry       *entry;   /* as given */
  entry      **by_name; /* sorted */
  entry      **path;    /* being followed */
  size_t       count, length;
} sorter;

static int compare(const void *a, const void *b) {
  const entry *const *x = a, *const *y = b;
  int                 order = strcmp((*x)->definition->name, (*y)->definition->name);
  return order ? order : (*x)->number < (*y)->number ? -1 : 1;
}

/* The definition that `name` refers to: itself, or flow of flow.u. */
static entry *find(const sorter *s, const char *name) {
  const char *dot    = strchr(name, '.');
  size_t      length = dot ? (size_t)(dot - name) : strlen(name), low = 0, high = s->count;
  while (low < high) {
    size_t      middle = low + (high - low) / 2;
    const char *other  = s->by_name[middle]->definition->name;
    int         order  = strncmp(name, other, length);
    if (!order && other[length]) order = -1;
    if (!order) return s->by_name[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return NULL;
}

static weir_status check_twice(const sorter *s) {
  for (size_t i = 1; i < s->count; i++) {
    const entry *first = s->by_name[i - 1], *second = s->by_name[i];
    if (strcmp(first->definition->name, second->definition->name)) continue;
    if (first->definition->place.line > 0)
      return weir__expression_fail(&second->source, 0, "field '%.60s' is defined twice (first in line %d)",
                                   second->definition->name, first->definition->place.line);
    return weir__expression_fail(&second->source, 0, "field '%.60s' is defined twice", second->definition->name);
  }
  return WEIR_OK;
}

static weir_status note(sorter *s, entry *e, const weir__ast *name) {
  entry     *needed = find(s, name->word);
  weir__edge unused;
  if (!needed || weir__graph_find(s->graph, name->word, &unused))
    return WEIR_OK; /* ocean.u, with a field called ocean */
  WEIR_TRY(weir__grow(&e->need, e->needs + 1, &e->need_capacity, sizeof *e->need));
  WEIR_TRY(weir__grow(&e->at, e->needs + 1, &e->at_capacity, sizeof *e->at));
  e->at[e->needs]     = name->at;
  e->need[e->needs++] = needed;
  return WEIR_OK;
}

/* Is argument i of a call a parameter, whose words are no fields? */
static bool is_parameter(const sorter *s, const weir__ast *call, int i) {
  const weir_operator *op = weir__graph_operator(s->graph, call->word);
  weir__op             function;
  if (!op || weir__function_find(call->word, &function)) return false;
  if (!call->name[i]) return i >= op->inputs;
  for (int k = 0; op->input_names && k < op->inputs + op->optional_inputs; k++)
    if (!strcmp(op->input_names[k], call->name[i])) return false;
  return true;
}

static weir_status note_names(sorter *s, entry *e, const weir__ast *ast) {
  if (ast->kind == WEIR__AST_NAME) return note(s, e, ast);
  for (int i = 0; i < ast->children; i++)
    if (ast->kind != WEIR__AST_CALL || !is_parameter(s, ast, i)) WEIR_TRY(note_names(s, e, ast->child[i]));
  return WEIR_OK;
}

/* ---- following needs ---- */

/* `again` is needed by the last of the path, and is on it. */
static weir_status fail_cycle(const sorter *s, const entry *last, const entry *again) {
  weir__text text  = {0};
  size_t     first = 0;
  while (s->path[first] != again) first++;
  for (size_t i = first; i < s->length; i++) weir__text_add(&text, "%.60s -> ", s->path[i]->definition->name);
  weir__text_add(&text, "%.60s", again->definition->name);
  weir_status status = weir__text_status(&text);
  if (status >= 0)
    status = weir__expression_fail(&last->source, last->at[last->next - 1], "field '%.60s' needs itself%s%s%s",
                                   again->definition->name, s->length - first > 1 ? ": " : "",
                                   s->length - first > 1 ? text.data : "",
                                   s->length - first > 1 ? " (lag() of an earlier step does not break a cycle)" : "");
  weir__text_clear(&text);
  return status;
}

/* Define an entry after all it needs. */
static weir_status define(sorter *s, entry *root) {
  if (root->colour == BLACK) return WEIR_OK;
  s->path[0]   = root;
  s->length    = 1;
  root->colour = GREY;
  while (s->length) {
    entry *e = s->path[s->length - 1];
    if (e->next < e->needs) {
      entry *needed = e->need[e->next++];
      if (needed->colour == GREY) return fail_cycle(s, e, needed);
      if (needed->colour == BLACK) continue;
      needed->colour       = GREY;
      s->path[s->length++] = needed;
    } else {
      WEIR_TRY(weir__graph_define(s->graph, e->definition->name, e->definition->text, e->definition->place));
      e->colour = BLACK;
      s->length--;
    }
  }
  return WEIR_OK;
}

static weir_status read_all(sorter *s, const weir__definition *definitions) {
  const weir__ast *ast;
  WEIR_TRY(weir__arena_alloc(&s->arena, s->count * sizeof *s->entry, &s->entry));
  WEIR_TRY(weir__arena_alloc(&s->arena, s->count * sizeof *s->by_name, &s->by_name));
  WEIR_TRY(weir__arena_alloc(&s->arena, s->count * sizeof *s->path, &s->path));
  for (size_t i = 0; i < s->count; i++) {
    s->entry[i]        = (entry){.definition = &definitions[i], .number = i};
    s->entry[i].source = (weir__script){.text = definitions[i].text, .place = definitions[i].place};
    s->by_name[i]      = &s->entry[i];
  }
  qsort(s->by_name, s->count, sizeof *s->by_name, compare);
  WEIR_TRY(check_twice(s));
  for (size_t i = 0; i < s->count; i++) {
    WEIR_TRY(weir__expression_parse(&s->arena, &s->entry[i].source, &ast));
    WEIR_TRY(note_names(s, &s->entry[i], ast));
  }
  return WEIR_OK;
}

weir_status weir__graph_define_all(weir__graph *graph, const weir__definition *definitions, size_t count) {
  sorter s      = {.graph = graph, .count = count};
  int    before = graph->nodes;
  if (!count) return WEIR_OK;
  weir_status status = read_all(&s, definitions);
  for (size_t i = 0; status >= 0 && i < count; i++) status = define(&s, &s.entry[i]);
  if (status < 0) graph->nodes = before;
  for (size_t i = 0; s.entry && i < count; i++) {
    weir__free(s.entry[i].need);
    weir__free(s.entry[i].at);
  }
  weir__arena_clear(&s.arena);
  return status;
}
