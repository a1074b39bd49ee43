#include "run/provenance.h"
#include "io/file.h"
#include <string.h>

typedef struct writing {
  const weir__recipe *recipe;
  const weir__graph  *graph;
  bool               *needed; /* of each node: the output depends on it */
  weir__text         *json;
  bool                begun; /* a member was written */
} writing;

static void begin_member(writing *w, const char *name) {
  weir__text_add(w->json, "%s\"%s\": ", w->begun ? ", " : "", name);
  w->begun = true;
}

/* Inputs come before their node; a loop is closed by one that comes later, so it is looked at again. */
static void find_needed(writing *w) {
  for (bool more = true; more;) {
    more = false;
    for (int n = w->graph->nodes - 1; n >= 0; n--) {
      const weir__node *node = &w->graph->node[n];
      for (int i = 0; i < node->inputs && w->needed[n]; i++) {
        int from = node->input[i].node;
        if (from < 0 || w->needed[from]) continue;
        w->needed[from] = true;
        more |= from > n;
      }
    }
  }
}

/* ---- streams ---- */

/* As they are named in the recipe. */
static void add_files(writing *w, const weir__recipe_stream *stream) {
  const weir__recipe_images *images = stream->images;
  weir__text_add(w->json, images ? "\"images\": [" : "\"files\": [");
  for (int i = 0; i < (images ? images->paths : stream->files); i++) {
    if (i) weir__text_add(w->json, ", ");
    weir__json_string(w->json, images ? images->path[i] : stream->file[i].text);
  }
  weir__text_add(w->json, "]");
}

static void add_streams(writing *w, const weir__files *files) {
  const weir__recipe_stream *stream = &w->recipe->stream;
  begin_member(w, "stream");
  weir__text_add(w->json, "{");
  if (stream->images && files) weir__files_origin(files, w->json);
  else if (stream->is_files) add_files(w, stream);
  else if (stream->name) weir__text_add(w->json, "\"name\": \"%s\"", stream->name);
  weir__text_add(w->json, "}");
  if (!w->recipe->joins) return;
  begin_member(w, "joined");
  for (int i = 0; i < w->recipe->joins; i++) {
    weir__text_add(w->json, i ? ", " : "{");
    weir__json_string(w->json, w->recipe->joined[i].name);
    weir__text_add(w->json, ": {");
    add_files(w, &w->recipe->joined[i]);
    weir__text_add(w->json, "}");
  }
  weir__text_add(w->json, "}");
}

/* ---- fields ---- */

static bool is_needed(const writing *w, const char *field) {
  for (int n = 0; n < w->graph->nodes; n++) {
    const weir__node *node = &w->graph->node[n];
    if (!w->needed[n] || !node->op) continue;
    if ((node->named && !strcmp(node->name, field)) || (node->owner && !node->writes && !strcmp(node->owner, field)))
      return true;
  }
  for (int i = 0; i < w->graph->aliases; i++)
    if (w->needed[w->graph->alias[i].edge.node] && !strcmp(w->graph->alias[i].name, field)) return true;
  return false;
}

static void add_fields(writing *w) {
  int count = 0;
  for (int i = 0; i < w->recipe->fields; i++) {
    const weir__recipe_field *field = &w->recipe->field[i];
    if (!is_needed(w, field->name)) continue;
    if (!count) begin_member(w, "fields");
    weir__text_add(w->json, count++ ? ", " : "{");
    weir__json_string(w->json, field->name);
    weir__text_add(w->json, ": ");
    weir__json_string(w->json, field->expression.text);
  }
  if (count) weir__text_add(w->json, "}");
}

/* ---- operators ---- */

static void add_number(weir__text *json, double x) {
  char number[32];
  if (x - x != 0) weir__text_add(json, "\"%s\"", weir__number_text(x, number)); /* JSON knows finite ones alone */
  else weir__text_add(json, "%s", weir__number_text(x, number));
}

static void add_list(weir__text *json, const weir_list *list) {
  for (int i = 0; i < list->count; i++) {
    weir__text_add(json, i ? ", " : "[");
    add_number(json, list->value[i]);
  }
  weir__text_add(json, "]");
}

static void add_axes(weir__text *json, const weir_axes *axes) {
  for (int i = 0; i < axes->count; i++) {
    weir__text_add(json, i ? ", " : "[");
    weir__json_string(json, axes->name[i]);
  }
  weir__text_add(json, "]");
}

/* Is there a value? A list, axes or a text may have been left out. */
static bool is_given(const weir_param *p, const void *at) {
  const char *text;
  switch (p->kind) {
  case WEIR_PARAM_LIST: return ((const weir_list *)at)->count > 0;
  case WEIR_PARAM_AXES: return ((const weir_axes *)at)->count > 0;
  case WEIR_PARAM_TEXT: memcpy(&text, at, sizeof text); return text != NULL;
  default: return true;
  }
}

static void add_value(weir__text *json, const weir_param *p, const void *at) {
  const char *text;
  switch (p->kind) {
  case WEIR_PARAM_REAL: add_number(json, *(const double *)at); break;
  case WEIR_PARAM_INT: weir__text_add(json, "%lld", (long long)*(const int64_t *)at); break;
  case WEIR_PARAM_BOOL: weir__text_add(json, *(const bool *)at ? "true" : "false"); break;
  case WEIR_PARAM_CHOICE: weir__json_string(json, p->choices[*(const int *)at]); break;
  case WEIR_PARAM_AXES: add_axes(json, at); break;
  case WEIR_PARAM_LIST: add_list(json, at); break;
  case WEIR_PARAM_TEXT:
    memcpy(&text, at, sizeof text);
    weir__json_string(json, text);
    break;
  }
}

static void add_call(writing *w, const weir__graph_call *call) {
  const weir__node *last  = &w->graph->node[call->end - 1];
  const char       *field = call->name ? call->name : last->owner;
  bool              begun = false;
  weir__text_add(w->json, "{");
  if (field) {
    weir__text_add(w->json, "\"field\": ");
    weir__json_string(w->json, field);
    weir__text_add(w->json, ", ");
  }
  weir__text_add(w->json, "\"operator\": \"%s\", \"parameters\": {", call->op->name);
  for (const weir_param *p = call->op->params; p->name; p++) {
    const void *at = (const char *)call->params + p->offset;
    if (!is_given(p, at)) continue;
    weir__text_add(w->json, "%s\"%s\": ", begun ? ", " : "", p->name);
    add_value(w->json, p, at);
    begun = true;
  }
  weir__text_add(w->json, "}}");
}

static void add_operators(writing *w) {
  int count = 0;
  for (int i = 0; i < w->graph->calls; i++) {
    const weir__graph_call *call   = &w->graph->call[i];
    bool                    needed = false;
    for (int n = call->first; n < call->end; n++) needed |= w->needed[n];
    if (!needed) continue;
    if (!count) begin_member(w, "operators");
    weir__text_add(w->json, count++ ? ", " : "[");
    add_call(w, call);
  }
  if (count) weir__text_add(w->json, "]");
}

static void add_parameters(writing *w) {
  if (!w->recipe->parameters) return;
  begin_member(w, "parameters");
  for (int i = 0; i < w->recipe->parameters; i++) {
    weir__text_add(w->json, i ? ", " : "{");
    weir__json_string(w->json, w->recipe->parameter[i].name);
    weir__text_add(w->json, ": ");
    add_number(w->json, w->recipe->parameter[i].value);
  }
  weir__text_add(w->json, "}");
}

weir_status weir__provenance_text(const weir__recipe *recipe, const weir__graph *graph, const weir__files *files,
                                  const weir__edge *edge, int count, weir__text *json) {
  writing w = {.recipe = recipe, .graph = graph, .json = json};
  WEIR_TRY(weir__alloc_array((size_t)graph->nodes + 1, sizeof *w.needed, &w.needed));
  for (int i = 0; i < count; i++) w.needed[edge[i].node] = true;
  find_needed(&w);
  weir__text_add(json, "{");
  add_streams(&w, files);
  add_fields(&w);
  add_operators(&w);
  add_parameters(&w);
  weir__text_add(json, "}");
  weir__free(w.needed);
  return weir__text_status(json);
}
