#include "run/build.h"
#include "graph/builder.h"
#include "run/report.h"
#include <string.h>

/* ---- sources ---- */

/* A field of the recipe may have the name of one in a joined stream, which is then obs.u; the leading stream's are
 * known by their bare names. */
static weir_status check_names(const weir__recipe *recipe, const char *name) {
  for (int k = 0; k < recipe->fields; k++)
    if (!strcmp(recipe->field[k].name, name))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the stream has a field %s already; choose another name", recipe->file,
                       recipe->field[k].place.line, recipe->field[k].place.column, name);
  for (int k = 0; k < recipe->parameters; k++)
    if (!strcmp(recipe->parameter[k].name, name))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: parameter %s has the name of a field", recipe->file,
                       recipe->parameter[k].place.line, recipe->parameter[k].place.column, name);
  return WEIR_OK;
}

/* Number 0 leads. Names are ocean.u if the stream has a name. */
static weir_status add_sources(weir__graph *graph, const weir__recipe *recipe, const weir__recipe_stream *stream,
                               int number, const weir__recipe_schema *schema) {
  weir__text  name   = {0};
  weir_status status = WEIR_OK;
  for (int i = 0; status >= 0 && i < schema->fields; i++) {
    const weir__recipe_expected *f = &schema->field[i];
    int                          node;
    if (!number) status = check_names(recipe, f->name);
    bool              kept = stream->as_published || (stream->images && !graph->chunk_sizes);
    const weir__grid *grid = kept && f->type.rank && f->grid.edge[0] ? &f->grid : NULL;
    weir__text_clear(&name);
    weir__text_add(&name, "%s%s%s", stream->name ? stream->name : "", stream->name ? "." : "", f->name);
    if (status >= 0) status = weir__text_status(&name);
    if (status >= 0) status = weir__graph_add_source(graph, name.data, number, i, &f->type, grid, f->is_static, &node);
    if (status >= 0) graph->node[node].at_once = stream->images != NULL;
  }
  weir__text_clear(&name);
  return status;
}

/* Sizes for a dimension that no field has would do nothing. */
static weir_status check_chunks(const weir__recipe *recipe, const weir__recipe_stream *stream,
                                const weir__recipe_schema *schema) {
  for (int c = 0; c < stream->chunks; c++) {
    bool found = false;
    for (int i = 0; i < schema->fields; i++)
      found |= weir__axis_find(&schema->field[i].type, stream->chunk[c].dimension) >= 0;
    if (!found)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: chunks: no field of the stream has a dimension %s", recipe->file,
                       stream->place.line, stream->place.column, stream->chunk[c].dimension);
  }
  return WEIR_OK;
}

/* A joined stream without sizes of its own is cut like the leading one. */
static weir_status add_stream(weir__graph *graph, const weir__recipe *recipe, int number,
                              const weir__recipe_schema *schema) {
  const weir__recipe_stream *stream = number ? &recipe->joined[number - 1] : &recipe->stream;
  const weir__recipe_stream *sizes  = stream->chunks ? stream : &recipe->stream;
  graph->chunk_size                 = sizes->chunk;
  graph->chunk_sizes                = sizes->chunks;
  WEIR_TRY(check_chunks(recipe, stream, schema));
  return add_sources(graph, recipe, stream, number, schema);
}

/* ---- fields ---- */

static weir_status add_fields(weir__graph *graph, const weir__recipe *recipe) {
  weir__definition *definitions;
  WEIR_TRY(weir__alloc_array((size_t)recipe->fields, sizeof *definitions, &definitions));
  for (int i = 0; i < recipe->fields; i++)
    definitions[i] =
        (weir__definition){recipe->field[i].name, recipe->field[i].expression.text, recipe->field[i].expression.place};
  weir_status status = weir__graph_define_all(graph, definitions, (size_t)recipe->fields);
  weir__free(definitions);
  return status;
}

static weir_status fill_graph(weir__graph *graph, const weir__recipe *recipe, const weir__recipe_schema *schema,
                              const weir__recipe_schema *joined, weir__steering **steer) {
  WEIR_TRY(weir__arena_string(&graph->arena, schema->time_units, &graph->time_units));
  WEIR_TRY(add_stream(graph, recipe, 0, schema));
  for (int i = 0; i < recipe->joins; i++) WEIR_TRY(add_stream(graph, recipe, i + 1, &joined[i]));
  WEIR_TRY(weir__recipe_steer_begin(recipe, schema, graph, steer));
  return add_fields(graph, recipe);
}

weir_status weir__recipe_graph(const weir__recipe *recipe, const weir__operator_set *operators,
                               const weir__recipe_schema *schema, const weir__recipe_schema *joined,
                               weir__graph **graph, weir__steering **steer) {
  weir__graph    *self;
  weir__steering *steering = NULL;
  WEIR_TRY(weir__graph_create(operators->table, &self));
  weir_status status = fill_graph(self, recipe, schema, joined, &steering);
  if (status < 0) {
    weir__steering_destroy(&steering);
    weir__graph_destroy(&self);
    return status;
  }
  *graph = self;
  *steer = steering;
  return WEIR_OK;
}

/* ---- outputs ---- */

weir_status weir__recipe_every(const weir__graph *graph, const weir__every *every, weir__trigger *trigger) {
  weir__trigger t = {.period = every->steps};
  if (every->seconds > 0) {
    double unit = weir__time_unit(graph->time_units);
    if (unit <= 0)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: every: the stream's time has %s%s, so only steps can be counted",
                       every->place.file, every->place.line, every->place.column,
                       graph->time_units ? "the units " : "no units", graph->time_units ? graph->time_units : "");
    t.interval = every->seconds / unit;
  }
  *trigger = t;
  return WEIR_OK;
}

weir_status weir__recipe_trigger(weir__graph *graph, const weir__recipe_output *output, int *trigger) {
  const weir__every *every = &output->every;
  weir__trigger      t;
  weir_status        status;
  WEIR_TRY(weir__recipe_every(graph, every, &t));
  if (!t.period && !(t.interval > 0)) t.period = 1;
  if (output->inactive) t = (weir__trigger){0};
  if (output->inactive || output->steered) status = weir__graph_trigger_steered(graph, t, trigger);
  else status = weir__graph_trigger(graph, t, trigger);
  if (status < 0)
    return weir__error_prefix(status, "%s:%d:%d", output->place.file, output->place.line, output->place.column);
  return WEIR_OK;
}

weir_status weir__recipe_output_edge(weir__graph *graph, const weir__recipe_output *out, int i, weir__edge *edge) {
  return weir__graph_expression(graph, out->field[i].text, out->field[i].place, edge);
}

/* ---- without fields ---- */

typedef struct calls {
  const weir__operator_set *operators;
  weir__arena              *arena;
  const weir__script       *source;
} calls;

static weir_status no_such_call(const calls *c, const weir__ast *ast) {
  static const char *const more[] = {"clip", "units", "isnan"};
  const char             **names;
  size_t                   count = 0;
  WEIR_TRY(weir__arena_alloc(c->arena, ((size_t)c->operators->count + WEIR__OPS + 3) * sizeof *names, &names));
  for (int i = 0; i < c->operators->count; i++) names[count++] = c->operators->table[i]->name;
  for (int i = 0; i < WEIR__OPS; i++)
    if (*weir__op_name((weir__op)i)) names[count++] = weir__op_name((weir__op)i);
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) names[count++] = more[i];
  for (size_t i = 0; i < count; i++)
    if (!strcmp(names[i], ast->word)) return WEIR_OK;
  const char *near = weir__text_nearest(ast->word, names, count);
  return weir__expression_fail(c->source, ast->at, "no operator or function '%s'%s%s%s", ast->word,
                               near ? "; did you mean '" : "; weir ops lists them", near ? near : "", near ? "'?" : "");
}

static weir_status check_calls(const calls *c, const weir__ast *ast) {
  if (ast->kind == WEIR__AST_CALL) WEIR_TRY(no_such_call(c, ast));
  for (int i = 0; i < ast->children; i++) WEIR_TRY(check_calls(c, ast->child[i]));
  return WEIR_OK;
}

static weir_status check_expression(const weir__operator_set *operators, const weir__recipe_text *text) {
  weir__arena      arena  = {0};
  weir__script     source = {text->text, text->place};
  calls            c      = {operators, &arena, &source};
  const weir__ast *ast;
  weir_status      status = weir__expression_parse(&arena, &source, &ast);
  if (status >= 0) status = check_calls(&c, ast);
  weir__arena_clear(&arena);
  return status;
}

weir_status weir__recipe_syntax(const weir__recipe *recipe, const weir__operator_set *operators) {
  for (int i = 0; i < recipe->fields; i++) WEIR_TRY(check_expression(operators, &recipe->field[i].expression));
  for (int i = 0; i < recipe->outputs; i++)
    for (int k = 0; k < recipe->output[i].fields; k++)
      WEIR_TRY(check_expression(operators, &recipe->output[i].field[k]));
  for (int i = 0; i < recipe->rules; i++) {
    const weir__recipe_rule *rule = &recipe->rule[i];
    WEIR_TRY(check_expression(operators, &rule->when));
    if (rule->reset.text) WEIR_TRY(check_expression(operators, &rule->reset));
    for (size_t k = 0; k < rule->actions; k++)
      if (rule->action[k].value.text) WEIR_TRY(check_expression(operators, &rule->action[k].value));
  }
  for (int i = 0; i < recipe->feedbacks; i++) WEIR_TRY(check_expression(operators, &recipe->feedback[i].field));
  return WEIR_OK;
}

/* ---- expects ---- */

static weir_status check_field(const weir__recipe_expected *want, const weir__recipe_expected *have) {
  const weir__place *p = &want->place;
  if (have->type.dtype != want->type.dtype)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the stream's field %s is %s, expected %s", p->file, p->line, p->column,
                     want->name, weir_dtype_name(have->type.dtype), weir_dtype_name(want->type.dtype));
  bool same = have->type.rank == want->type.rank;
  for (int a = 0; same && a < want->type.rank; a++)
    same = have->type.dim[a].size == want->type.dim[a].size && !strcmp(have->type.dim[a].name, want->type.dim[a].name);
  if (same) return WEIR_OK;
  char       x[200], y[200];
  weir_shape h = weir__shape_of(&have->type), w = weir__shape_of(&want->type);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the stream's field %s has other dimensions (%s) than expected (%s)",
                   p->file, p->line, p->column, want->name, weir__shape_text(&h, x), weir__shape_text(&w, y));
}

weir_status weir__recipe_expected_check(const weir__recipe *recipe, const weir__recipe_schema *seen) {
  for (int i = 0; i < recipe->stream.expects.fields; i++) {
    const weir__recipe_expected *want = &recipe->stream.expects.field[i], *have = NULL;
    for (int k = 0; k < seen->fields; k++)
      if (!strcmp(seen->field[k].name, want->name)) have = &seen->field[k];
    if (!have)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the stream has no field %s, which is expected", want->place.file,
                       want->place.line, want->place.column, want->name);
    WEIR_TRY(check_field(want, have));
  }
  return WEIR_OK;
}
