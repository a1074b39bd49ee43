/* Building and finishing the graph. */
#include "core/text.h"
#include "graph/graph.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

weir_status weir__graph_create(const weir_operator *const *operators, weir__graph **graph) {
  weir__graph *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->operators      = operators;
  self->decisions.node = -1;
  *graph               = self;
  return WEIR_OK;
}

void weir__graph_destroy(weir__graph **graph) {
  weir__graph *self = *graph;
  if (!self) return;
  weir__free(self->node);
  weir__free(self->parameter);
  weir__free(self->alias);
  weir__free(self->call);
  weir__arena_clear(&self->arena);
  weir__free(self);
  *graph = NULL;
}

const char *weir_infer_string(const weir_infer *infer, const char *text) {
  const char  *copy;
  weir__graph *graph = infer->engine;
  return weir__arena_string(&graph->arena, text, &copy) < 0 ? NULL : copy;
}

/* ---- types ---- */

static weir_status check_type(const char *name, const weir_field_type *type) {
  if (type->rank < 0 || type->rank > WEIR_RANK_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "field %s: rank %d, expected 0 to %d", name, type->rank, WEIR_RANK_MAX);
  if (!weir_dtype_size(type->dtype))
    return WEIR_FAIL(WEIR_ERR_INPUT, "field %s: unknown type %d", name, (int)type->dtype);
  for (int a = 0; a < type->rank; a++) {
    if (!type->dim[a].name || !*type->dim[a].name)
      return WEIR_FAIL(WEIR_ERR_INPUT, "field %s: dimension %d has no name", name, a);
    if (type->dim[a].size < 1)
      return WEIR_FAIL(WEIR_ERR_INPUT, "field %s: dimension %s has size %lld, expected at least 1", name,
                       type->dim[a].name, (long long)type->dim[a].size);
    for (int b = 0; b < a; b++)
      if (!strcmp(type->dim[a].name, type->dim[b].name))
        return WEIR_FAIL(WEIR_ERR_INPUT, "field %s: two dimensions are named %s", name, type->dim[a].name);
  }
  return WEIR_OK;
}

/* ---- looking up ---- */

const weir_operator *weir__graph_operator(const weir__graph *graph, const char *name) {
  for (const weir_operator *const *op = graph->operators; op && *op; op++)
    if (!strcmp((*op)->name, name)) return *op;
  return NULL;
}

bool weir__graph_find(const weir__graph *graph, const char *name, weir__edge *edge) {
  for (int i = 0; i < graph->aliases; i++)
    if (!strcmp(graph->alias[i].name, name)) {
      *edge = graph->alias[i].edge;
      return true;
    }
  for (int i = 0; i < graph->nodes; i++) {
    const weir__node *node = &graph->node[i];
    if (!node->named) continue;
    size_t length = strlen(node->name);
    if (strncmp(name, node->name, length)) continue;
    if (!name[length]) {
      *edge = (weir__edge){i, 0};
      return true;
    }
    if (name[length] != '.' || !node->op || !node->op->output_names) continue;
    for (int k = 0; k < node->outputs; k++)
      if (!strcmp(name + length + 1, node->op->output_names[k])) {
        *edge = (weir__edge){i, k};
        return true;
      }
  }
  return false;
}

weir_status weir__graph_names(weir__graph *graph, const char *const **names, size_t *count) {
  const char **list;
  size_t       n = 0;
  WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)(graph->nodes + graph->parameters + graph->aliases) * sizeof *list,
                             &list));
  for (int i = 0; i < graph->nodes; i++)
    if (graph->node[i].named) list[n++] = graph->node[i].name;
  for (int i = 0; i < graph->aliases; i++) list[n++] = graph->alias[i].name;
  for (int i = 0; i < graph->parameters; i++) list[n++] = graph->parameter[i].name;
  *names = list;
  *count = n;
  return WEIR_OK;
}

weir_status weir__graph_parameter(weir__graph *graph, const char *name, double value) {
  weir__edge unused;
  for (int i = 0; i < graph->parameters; i++)
    if (!strcmp(graph->parameter[i].name, name)) return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s is given twice", name);
  if (weir__graph_find(graph, name, &unused))
    return WEIR_FAIL(WEIR_ERR_INPUT, "parameter %s has the name of a field", name);
  WEIR_TRY(weir__grow(&graph->parameter, (size_t)graph->parameters + 1, &graph->parameter_capacity,
                      sizeof(weir__parameter)));
  weir__parameter *p = &graph->parameter[graph->parameters];
  *p                 = (weir__parameter){.steered = {.node = -1}, .decided = {.node = -1}};
  WEIR_TRY(weir__arena_string(&graph->arena, name, &p->name));
  p->value = value;
  graph->parameters++;
  return WEIR_OK;
}

/* ---- grids ---- */

static weir_status source_grid(weir__graph *graph, const weir_field_type *type, weir__grid *grid) {
  weir_shape shape = weir__shape_of(type);
  WEIR_TRY(weir__grid_default(&graph->arena, &shape, grid));
  for (int a = 0; a < type->rank; a++)
    for (int i = 0; i < graph->chunk_sizes; i++)
      if (!strcmp(graph->chunk_size[i].dimension, type->dim[a].name))
        WEIR_TRY(weir__grid_cut_size(&graph->arena, type->dim[a].size, graph->chunk_size[i].size, &grid->chunks[a],
                                     &grid->edge[a]));
  return WEIR_OK;
}

static weir_status copy_grid(weir__graph *graph, const weir__grid *from, weir__grid *grid) {
  *grid = *from;
  for (int a = 0; a < from->rank; a++) {
    int64_t *edge;
    WEIR_TRY(weir__arena_alloc(&graph->arena, (size_t)(from->chunks[a] + 1) * sizeof *edge, &edge));
    memcpy(edge, from->edge[a], (size_t)(from->chunks[a] + 1) * sizeof *edge);
    grid->edge[a] = edge;
  }
  return WEIR_OK;
}

/* A result is split like the axes it comes from: same cuts where the extents agree, as many pieces where they do not.
 */
static weir_status derived_grid(weir__graph *graph, const weir__node *node, const weir_infer *infer, weir__grid *grid) {
  const weir_field_type *type = &infer->out[0];
  weir__grid             g    = {.rank = type->rank};
  for (int k = 0; k < type->rank; k++) {
    int               a    = infer->from_axis[0][k];
    const weir__grid *from = node->inputs && node->input[0].node >= 0 ? &graph->node[node->input[0].node].grid : NULL;
    if (a < 0 && infer->block[k] > 0) {
      WEIR_TRY(weir__grid_cut_size(&graph->arena, type->dim[k].size, infer->block[k], &g.chunks[k], &g.edge[k]));
    } else if (!from || a < 0) {
      WEIR_TRY(weir__grid_cut_pieces(&graph->arena, type->dim[k].size, 1, &g.chunks[k], &g.edge[k]));
    } else if (from->edge[a][from->chunks[a]] == type->dim[k].size) {
      g.chunks[k] = from->chunks[a];
      g.edge[k]   = from->edge[a];
    } else {
      WEIR_TRY(weir__grid_cut_pieces(&graph->arena, type->dim[k].size, from->chunks[a], &g.chunks[k], &g.edge[k]));
    }
  }
  *grid = g;
  return WEIR_OK;
}

/* ---- adding nodes ---- */

static weir_status new_node(weir__graph *graph, const char *name, bool named, weir__node **node) {
  weir__edge unused;
  if (named && weir__graph_find(graph, name, &unused))
    return WEIR_FAIL(WEIR_ERR_INPUT, "field %s is defined twice", name);
  WEIR_TRY(weir__grow(&graph->node, (size_t)graph->nodes + 1, &graph->node_capacity, sizeof(weir__node)));
  weir__node *n = &graph->node[graph->nodes];
  *n            = (weir__node){.named = named};
  WEIR_TRY(weir__arena_string(&graph->arena, name, &n->name));
  *node = n;
  return WEIR_OK;
}

/* Types move with the node array when it grows: whoever keeps a pointer gets a copy of its own. */
static weir_status stable_type(weir__graph *graph, weir__edge edge, const weir_field_type **out) {
  weir_field_type *copy;
  WEIR_TRY(weir__arena_alloc(&graph->arena, sizeof *copy, &copy));
  *copy = graph->node[edge.node].type[edge.output];
  *out  = copy;
  return WEIR_OK;
}

weir_status weir__graph_add_source(weir__graph *graph, const char *name, int stream, int field,
                                   const weir_field_type *type, const weir__grid *grid, bool is_static, int *node) {
  weir__node *n;
  WEIR_TRY(check_type(name, type));
  WEIR_TRY(new_node(graph, name, true, &n));
  n->outputs   = 1;
  n->type[0]   = *type;
  n->stream    = stream;
  n->field     = field;
  n->is_static = is_static;
  WEIR_TRY(weir__type_copy(&graph->arena, &n->type[0]));
  WEIR_TRY(grid ? copy_grid(graph, grid, &n->grid) : source_grid(graph, &n->type[0], &n->grid));
  for (int a = 0; a < WEIR_RANK_MAX; a++) n->from_axis[a] = a;
  *node = graph->nodes++;
  return WEIR_OK;
}

static weir_status run_infer(weir__graph *graph, weir__node *n, weir_infer *infer) {
  *infer = (weir_infer){.params  = n->params,
                        .inputs  = n->inputs,
                        .in      = n->in_type,
                        .outputs = n->op->outputs ? n->op->outputs : 1,
                        .engine  = graph};
  for (int k = 0; k < infer->outputs; k++) {
    if (n->inputs && n->in_type[0]) infer->out[k] = *n->in_type[0];
    else infer->out[k].dtype = WEIR_F64;
    for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[k][a] = a;
  }
  return n->op->infer ? n->op->infer(infer) : WEIR_OK;
}

static weir_status check_results(weir__graph *graph, const weir__node *n, const weir_infer *infer) {
  for (int k = 0; k < infer->outputs; k++) {
    WEIR_TRY(check_type(n->name, &infer->out[k]));
    if (infer->out[k].rank != infer->out[0].rank)
      return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s gives results of different shapes", n->op->name);
  }
  for (int a = 0; a < infer->out[0].rank; a++) {
    int from = infer->from_axis[0][a];
    if (from >= 0 && (!n->inputs || !n->in_type[0] || from >= n->in_type[0]->rank))
      return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s: axis %d of the result comes from axis %d, which is none",
                       n->op->name, a, from);
    if (infer->block[a] < 0 || (infer->block[a] && (from >= 0 || n->op->partial_size)))
      return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s: axis %s cannot be cut into blocks of %lld", n->op->name,
                       infer->out[0].dim[a].name, (long long)infer->block[a]);
    if (n->op->partial_size && from >= 0 && infer->out[0].dim[a].size != n->in_type[0]->dim[from].size)
      return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s: a reduction must keep the extent of axis %s", n->op->name,
                       infer->out[0].dim[a].name);
  }
  (void)graph;
  return WEIR_OK;
}

static weir_status check_inputs(const weir__graph *graph, const weir_operator *op, const weir__edge *input,
                                int inputs) {
  int most = op->inputs + op->optional_inputs;
  if (inputs < op->inputs || inputs > most || inputs > WEIR_INPUTS_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "operator %s takes %d field%s, %d given", op->name, op->inputs,
                     op->inputs == 1 ? "" : "s", inputs);
  for (int i = 0; i < inputs; i++) {
    if (input[i].node < 0 && i >= op->inputs) continue;
    if (input[i].node < 0 || input[i].node >= graph->nodes || input[i].output < 0 ||
        input[i].output >= graph->node[input[i].node].outputs)
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "operator %s: input %d is no field of the graph", op->name, i);
  }
  return WEIR_OK;
}

/* ---- operators made of operators ---- */

static int        handle_of(weir__edge edge) { return edge.node < 0 ? -1 : weir_expand_output(edge.node, edge.output); }
static weir__edge edge_of(int handle) {
  return handle < 0 ? (weir__edge){-1, 0} : (weir__edge){handle % WEIR_EXPAND_HANDLES, handle / WEIR_EXPAND_HANDLES};
}

typedef struct expansion {
  weir__graph *graph;
  weir__place  place;
  weir__edge   result[WEIR_OUTPUTS_MAX];
  int          results;
} expansion;

weir_status weir_expand_add(weir_expand *expand, const weir_operator *op, const void *params, const int *inputs,
                            int count, int *handle) {
  expansion *e = expand->engine;
  weir__edge edge[WEIR_INPUTS_MAX];
  if (count > WEIR_INPUTS_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "operator %s: %d inputs are too many", op->name, count);
  for (int i = 0; i < count; i++) edge[i] = edge_of(inputs[i]);
  return weir__graph_add_operator(e->graph, op, params, edge, count, NULL, e->place, NULL, handle);
}

weir_status weir__graph_close_loop(weir__graph *graph, int at, int input, weir__edge from, int64_t lag) {
  weir__node *node = &graph->node[at];
  if (input < node->op->inputs || input >= node->inputs || node->input[input].node >= 0 || lag < 1 ||
      !node->op->accepts_missing)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "operator %s: input %d cannot close a loop", node->op->name, input);
  node->input[input] = from;
  node->lag[input]   = lag;
  return stable_type(graph, node->input[input], &node->in_type[input]);
}

weir_status weir_expand_loop(weir_expand *expand, int handle, int input, int from, int64_t lag) {
  expansion *e = expand->engine;
  return weir__graph_close_loop(e->graph, handle, input, edge_of(from), lag);
}

weir_status weir_expand_result(weir_expand *expand, int result, int handle, int output) {
  expansion *e = expand->engine;
  if (result != e->results || result >= WEIR_OUTPUTS_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "result %d is given out of order", result);
  e->result[e->results++] = (weir__edge){handle, output};
  return WEIR_OK;
}

static weir_status add_alias(weir__graph *graph, const char *name, const char *part, weir__edge edge) {
  weir__text text = {0};
  weir__text_add(&text, part ? "%s.%s" : "%s", name, part);
  weir_status status = weir__text_status(&text);
  if (status >= 0)
    status = weir__grow(&graph->alias, (size_t)graph->aliases + 1, &graph->alias_capacity, sizeof(weir__alias));
  if (status >= 0) status = weir__arena_string(&graph->arena, text.data, &graph->alias[graph->aliases].name);
  if (status >= 0) graph->alias[graph->aliases++].edge = edge;
  weir__text_clear(&text);
  return status;
}

weir_status weir__graph_alias(weir__graph *graph, const char *name, weir__edge edge) {
  return add_alias(graph, name, NULL, edge);
}

/* The node that gives the first result takes the name, as that of a plain operator does, if it is new and free. */
static weir_status name_first_result(weir__graph *graph, const char *name, weir__edge edge, int before) {
  weir__node *node = &graph->node[edge.node];
  if (edge.node < before || edge.output || node->named) return add_alias(graph, name, NULL, edge);
  WEIR_TRY(weir__arena_string(&graph->arena, name, &node->name));
  node->named = true;
  return WEIR_OK;
}

/* Outputs say how their fields came about. */
static weir_status note_call(weir__graph *graph, const weir_operator *op, const char *name, const void *params,
                             int first) {
  weir__graph_call *call;
  if (!op->params || graph->expanding) return WEIR_OK;
  WEIR_TRY(weir__grow(&graph->call, (size_t)graph->calls + 1, &graph->call_capacity, sizeof *graph->call));
  call  = &graph->call[graph->calls];
  *call = (weir__graph_call){.op = op, .params = params, .first = first, .end = graph->nodes};
  WEIR_TRY(weir__arena_string(&graph->arena, name, &call->name));
  graph->calls++;
  return WEIR_OK;
}

static weir_status run_expand(weir__graph *graph, const weir_operator *op, weir_expand *x) {
  bool inside        = graph->expanding;
  graph->expanding   = true;
  weir_status status = op->expand(x);
  graph->expanding   = inside;
  return status;
}

static weir_status expand_operator(weir__graph *graph, const weir_operator *op, const void *params,
                                   const weir__edge *input, int inputs, const char *name, weir__place place,
                                   int *node) {
  expansion              e = {.graph = graph, .place = place};
  const weir_field_type *in[WEIR_INPUTS_MAX];
  weir_expand            x = {.inputs = inputs, .in = in, .engine = &e};
  weir__edge             unused;
  int                    before = graph->nodes;
  if (name && weir__graph_find(graph, name, &unused))
    return WEIR_FAIL(WEIR_ERR_INPUT, "field %s is defined twice", name);
  for (int i = 0; i < inputs; i++) {
    in[i]      = NULL;
    x.input[i] = handle_of(input[i]);
    if (input[i].node >= 0) WEIR_TRY(stable_type(graph, input[i], &in[i]));
  }
  if (op->params_size) {
    WEIR_TRY(weir__arena_alloc(&graph->arena, op->params_size, &x.params));
    memcpy(x.params, params, op->params_size);
  }
  WEIR_TRY(run_expand(graph, op, &x));
  if (e.results != (op->outputs ? op->outputs : 1))
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s gives %d results, expected %d", op->name, e.results, op->outputs);
  if (name) WEIR_TRY(name_first_result(graph, name, e.result[0], before));
  for (int k = 0; name && op->output_names && k < e.results; k++)
    WEIR_TRY(add_alias(graph, name, op->output_names[k], e.result[k]));
  *node = e.result[0].node;
  return note_call(graph, op, name, x.params, before);
}

weir_status weir__graph_add_operator(weir__graph *graph, const weir_operator *op, const void *params,
                                     const weir__edge *input, int inputs, const char *name, weir__place place,
                                     const weir__grid *grid, int *node) {
  weir__node *n;
  weir_infer  infer;
  WEIR_TRY(check_inputs(graph, op, input, inputs));
  if (op->expand) return expand_operator(graph, op, params, input, inputs, name, place, node);
  WEIR_TRY(new_node(graph, name ? name : op->name, name != NULL, &n));
  n->op      = op;
  n->place   = place;
  n->inputs  = inputs;
  n->always  = op->state_size || op->in_order;
  n->outputs = op->outputs ? op->outputs : 1;
  if (n->outputs > WEIR_OUTPUTS_MAX)
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s gives %d results, at most %d", op->name, n->outputs,
                     WEIR_OUTPUTS_MAX);
  for (int i = 0; i < inputs; i++) {
    n->input[i] = input[i];
    if (input[i].node >= 0) WEIR_TRY(stable_type(graph, input[i], &n->in_type[i]));
  }
  if (op->params_size) {
    WEIR_TRY(weir__arena_alloc(&graph->arena, op->params_size, &n->params));
    memcpy(n->params, params, op->params_size);
  }
  WEIR_TRY(run_infer(graph, n, &infer));
  WEIR_TRY(check_results(graph, n, &infer));
  memcpy(n->type, infer.out, sizeof n->type);
  memcpy(n->lag, infer.lag, sizeof n->lag);
  memcpy(n->wrap, infer.wrap, sizeof n->wrap);
  memcpy(n->from_axis, infer.from_axis[0], sizeof n->from_axis);
  WEIR_TRY(grid ? copy_grid(graph, grid, &n->grid) : derived_grid(graph, n, &infer, &n->grid));
  *node = graph->nodes++;
  return note_call(graph, op, name, n->params, *node);
}

/* ---- finishing ---- */

bool weir__trigger_fires(const weir__trigger *trigger, int64_t step, double time, double previous) {
  if (trigger->period > 0) return (step - trigger->phase) % trigger->period == 0;
  if (trigger->interval <= 0) return false;
  /* 1e-9 of an interval: a time that should be a multiple but was summed from small steps still counts */
  double now = floor(time / trigger->interval + 1e-9);
  return !(previous == previous) || now > floor(previous / trigger->interval + 1e-9);
}

static weir_status add_trigger(weir__graph *graph, weir__trigger trigger, int *number) {
  if (graph->triggers == WEIR__TRIGGERS_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "more than %d different intervals of outputs", WEIR__TRIGGERS_MAX);
  graph->trigger[graph->triggers] = trigger;
  *number                         = graph->triggers++;
  return WEIR_OK;
}

weir_status weir__graph_trigger(weir__graph *graph, weir__trigger trigger, int *number) {
  for (int t = 0; t < graph->triggers; t++) {
    weir__trigger *have = &graph->trigger[t];
    if (graph->steered_triggers >> t & 1) continue;
    if (have->period == trigger.period && have->phase == trigger.phase && have->interval == trigger.interval) {
      *number = t;
      return WEIR_OK;
    }
  }
  return add_trigger(graph, trigger, number);
}

weir_status weir__graph_trigger_steered(weir__graph *graph, weir__trigger trigger, int *number) {
  WEIR_TRY(add_trigger(graph, trigger, number));
  graph->steered_triggers |= (uint64_t)1 << *number;
  return WEIR_OK;
}

void weir__graph_want(weir__graph *graph, int node, int trigger) {
  graph->node[node].triggers |= (uint64_t)1 << trigger;
  graph->node[node].seen |= (uint64_t)1 << trigger;
  graph->node[node].wanted = true;
}

void weir__graph_want_published(weir__graph *graph, int node) {
  graph->node[node].triggers = graph->node[node].seen = ~(uint64_t)0;
  graph->node[node].wanted                            = true;
}

bool weir__node_reduces(const weir__node *node) { return node->op && node->op->partial_size; }

/* What keeps state, or is looked back at, must see every step, and so must all it is made of: then the simulation has
 * to publish them all (`every`). */
static bool spread(weir__graph *graph, int i, bool *every) {
  weir__node *node = &graph->node[i];
  if (!node->triggers) return false;
  bool changed = false;
  for (int k = 0; k < node->inputs; k++) {
    if (node->input[k].node < 0) continue;
    weir__node *from = &graph->node[node->input[k].node];
    bool        each = (node->always && node->op->state_size) || node->lag[k] > 0; /* looks at every step */
    bool        all  = each || (from->always && from->op && from->op->state_size);
    uint64_t    seen = from->seen | (each || node->own_pace ? ~(uint64_t)0 : node->triggers), wanted = from->triggers;
    if (!node->own_pace) wanted |= all ? ~(uint64_t)0 : node->triggers;
    else if (node->lag[k]) wanted = ~(uint64_t)0;
    *every |= all && !node->own_pace;
    int64_t kept = from->history > node->lag[k] ? from->history : node->lag[k];
    changed |= wanted != from->triggers || seen != from->seen || kept != from->history;
    from->triggers = wanted;
    from->seen     = seen;
    from->history  = kept;
  }
  return changed;
}

weir_status weir__graph_finish(weir__graph *graph) {
  bool every = false;
  int  one;
  WEIR_TRY(weir__graph_fuse(graph));
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = graph->nodes - 1; i >= 0; i--) {
      weir__node *node = &graph->node[i];
      if (node->triggers && node->op && node->op->state_size && node->triggers != ~(uint64_t)0) {
        node->triggers = ~(uint64_t)0;
        changed        = true;
      }
      if (node->triggers && node->op && node->op->state_size) every |= !node->own_pace;
      changed |= spread(graph, i, &every);
    }
  }
  if (every) WEIR_TRY(weir__graph_trigger(graph, (weir__trigger){.period = 1}, &one));
  for (int i = 0; i < graph->nodes; i++) {
    weir__node *node = &graph->node[i];
    if (node->is_static && node->triggers) node->triggers = ~(uint64_t)0; /* read once, in whatever step comes first */
  }
  for (int i = 0; i < graph->nodes; i++) {
    weir__node *node = &graph->node[i];
    for (int k = 0; k < node->inputs; k++) {
      int from = node->input[k].node;
      if (from >= 0 && from < i && graph->node[from].depth + 1 > node->depth) node->depth = graph->node[from].depth + 1;
    }
  }
  return WEIR_OK;
}

weir_status weir__operator_need(const weir_operator *op, const void *params, const weir_field_type *const *in,
                                int input, unsigned wrap, const weir_field_type *type, const weir_region *out,
                                weir_region *region) {
  const weir_field_type *of = in[input];
  weir_region            r;
  if (op->need) WEIR_TRY(op->need(params, in, input, out, &r));
  else r = weir__region_by_name(type, out, of);
  if (r.rank != of->rank)
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s asks for a region of rank %d of input %d, which has rank %d",
                     op->name, r.rank, input, of->rank);
  for (int a = 0; a < r.rank; a++) {
    if (wrap >> a & 1) continue;
    int64_t end = r.start[a] + r.count[a];
    if (r.start[a] < 0) r.start[a] = 0;
    if (end > of->dim[a].size) end = of->dim[a].size;
    r.count[a] = end - r.start[a];
    if (r.count[a] < 1)
      return WEIR_FAIL(WEIR_ERR_OPERATOR, "operator %s asks for nothing of input %d on axis %s", op->name, input,
                       of->dim[a].name);
  }
  *region = r;
  return WEIR_OK;
}

weir_status weir__node_need(const weir__node *node, int input, const weir_region *out, weir_region *region) {
  return weir__operator_need(node->op, node->params, node->in_type, input, node->wrap[input], &node->type[0], out,
                             region);
}
