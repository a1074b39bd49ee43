#include "run/check.h"
#include "channel/channel.h"
#include "exec/worker.h"
#include "run/directory.h"
#include "run/files.h"
#include "run/joined.h"
#include "run/online.h"
#include "run/outputs.h"
#include "run/report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is known of the stream, and from where. */
typedef struct looked {
  weir__operator_set  operators;
  weir__files        *files;
  weir__joined       *joined;
  weir__arena         arena;
  weir__recipe_schema schema;
  const char         *from; /* NULL: nothing is known */
  weir__graph        *graph;
  weir__outputs      *outputs;
  weir__steering     *steer; /* NULL: nothing is steered */
} looked;

/* ---- looking ---- */

static weir_status find_schema(const weir__recipe *recipe, const char *directory, looked *l) {
  const weir__recipe_images *images = recipe->stream.images;
  if (images && images->watch) {
    WEIR_TRY(weir__online_check(images));
    if (weir__files_open(&recipe->stream, NULL, &l->files) < 0) { /* so far */
      weir__error_clear();
      return WEIR_OK;
    }
  }
  if (recipe->stream.is_files) {
    if (!l->files) WEIR_TRY(weir__files_open(&recipe->stream, NULL, &l->files));
    l->schema = *weir__files_schema(l->files);
    l->from   = "the files";
    return WEIR_OK;
  }
  if (recipe->stream.has_expects) {
    l->schema = recipe->stream.expects;
    l->from   = "expects:";
    return WEIR_OK;
  }
  weir__text  path   = {0};
  weir_status status = directory ? weir__run_path(&path, directory, "schema.yaml") : WEIR_OK;
  if (status >= 0 && path.data && !access(path.data, R_OK)) {
    status = weir__recipe_schema_load(&l->arena, path.data, &l->schema);
    if (status >= 0) status = weir__arena_string(&l->arena, path.data, &l->from);
  }
  weir__text_clear(&path);
  return status;
}

static weir_status look(const weir__recipe *recipe, const char *directory, looked *l) {
  WEIR_TRY(weir__operator_set_load(recipe->operator_file, recipe->operator_files, &l->operators));
  WEIR_TRY(weir__recipe_syntax(recipe, &l->operators));
  if (recipe->replay && access(recipe->replay, R_OK))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", recipe->replay, strerror(errno));
  WEIR_TRY(weir__joined_open(recipe, &l->joined));
  WEIR_TRY(find_schema(recipe, directory, l));
  if (!l->from) return WEIR_OK;
  if (l->files || l->schema.time_units) WEIR_TRY(weir__joined_settle(l->joined, &l->schema)); /* else unknown yet */
  WEIR_TRY(
      weir__recipe_graph(recipe, &l->operators, &l->schema, weir__joined_schemas(l->joined), &l->graph, &l->steer));
  WEIR_TRY(weir__outputs_resolve(recipe, l->graph, &l->outputs));
  const int *trigger;
  WEIR_TRY(weir__outputs_triggers(l->outputs, &trigger));
  WEIR_TRY(weir__recipe_steer(recipe, &l->schema, l->graph, l->steer, trigger, NULL));
  WEIR_TRY(weir__outputs_add(l->outputs, &l->schema, l->files, WEIR__OUTPUTS_NONE, NULL));
  return weir__graph_finish(l->graph);
}

static void end_look(looked *l) {
  if (weir__outputs_close(&l->outputs) < 0) (void)0; /* nothing was opened */
  weir__steering_destroy(&l->steer);
  weir__graph_destroy(&l->graph);
  weir__files_close(&l->files);
  weir__joined_close(&l->joined);
  weir__operator_set_clear(&l->operators);
  weir__arena_clear(&l->arena);
}

weir_status weir__check_before_run(const weir__recipe *recipe) {
  looked      l      = {0};
  weir_status status = look(recipe, NULL, &l);
  end_look(&l);
  return status;
}

/* ---- the table of fields ---- */

enum { COLUMNS = 6 };

/* Cells of rows that are aligned when all are known. */
typedef struct table {
  char (*cell)[COLUMNS][160];
  size_t rows, capacity;
} table;

static char (*new_row(table *t))[160] {
  if (weir__grow(&t->cell, t->rows + 1, &t->capacity, sizeof *t->cell) < 0) return NULL;
  return t->cell[t->rows++];
}

static void add_table(weir__text *text, const table *t) {
  size_t width[COLUMNS] = {0};
  for (size_t r = 0; r < t->rows; r++)
    for (int c = 0; c < COLUMNS; c++)
      if (strlen(t->cell[r][c]) > width[c]) width[c] = strlen(t->cell[r][c]);
  for (size_t r = 0; r < t->rows; r++) {
    int last = COLUMNS - 1;
    while (last > 0 && !t->cell[r][last][0]) last--;
    weir__text_add(text, "  ");
    for (int c = 0; c < last; c++) weir__text_add(text, "%-*s  ", (int)width[c], t->cell[r][c]);
    weir__text_add(text, "%s\n", t->cell[r][last]);
  }
}

static void shape_text(const weir_field_type *type, char *out, size_t size) {
  size_t n = 0;
  snprintf(out, size, "scalar");
  for (int a = 0; a < type->rank && n < size; a++)
    n += (size_t)snprintf(out + n, size - n, "%s%s %lld", a ? ", " : "", type->dim[a].name,
                          (long long)type->dim[a].size);
}

/* "4 x 1 of 24 x 96": the number of chunks and the size of the first, by axis. */
static void chunks_text(const weir__grid *grid, char *out, size_t size) {
  size_t n = 0;
  snprintf(out, size, "1");
  if (weir__grid_count(grid) == 1) return;
  for (int a = 0; a < grid->rank && n < size; a++)
    n += (size_t)snprintf(out + n, size - n, "%s%lld", a ? " x " : "", (long long)grid->chunks[a]);
  for (int a = 0; a < grid->rank && n < size; a++)
    n += (size_t)snprintf(out + n, size - n, "%s%lld", a ? " x " : " of ", (long long)grid->edge[a][1]);
}

static void add_note(char note[160], const char *text, const char *more) {
  size_t n = strlen(note);
  if (text) snprintf(note + n, 160 - n, "%s%s%s", n ? ", " : "", text, more);
}

static void add_field(table *t, const weir__node *node, int k) {
  char(*cell)[160]            = new_row(t);
  const weir_field_type *type = &node->type[k];
  if (!cell) return;
  if (node->outputs > 1) snprintf(cell[0], 160, "%.70s.%.70s", node->name, node->op->output_names[k]);
  else snprintf(cell[0], 160, "%.150s", node->name);
  shape_text(type, cell[1], 160);
  chunks_text(&node->grid, cell[2], 160);
  snprintf(cell[3], 160, "%s", weir_dtype_name(type->dtype));
  snprintf(cell[4], 160, "%.150s", type->units ? (*type->units ? type->units : "1") : "?");
  add_note(cell[5], type->location ? "on points " : NULL, weir_location_name(type->location));
  add_note(cell[5], node->is_static ? "static" : NULL, "");
  add_note(cell[5], node->triggers ? NULL : node->inner ? "computed where it is used" : "not used", "");
  add_note(cell[5], node->history ? "earlier steps are kept" : NULL, "");
}

/* `stream` -1: those of the recipe. */
static weir_status add_fields(weir__text *text, const weir__graph *graph, int stream) {
  static const char *const heads[COLUMNS] = {"name", "shape", "chunks", "type", "units", "notes"};
  table                    t              = {0};
  char(*head)[160]                        = new_row(&t);
  for (int c = 0; head && c < COLUMNS; c++) snprintf(head[c], 160, "%s", heads[c]);
  size_t before = t.rows;
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].outputs && graph->node[i].named; k++)
      if ((graph->node[i].op ? -1 : graph->node[i].stream) == stream) add_field(&t, &graph->node[i], k);
  if (t.rows > before) add_table(text, &t);
  weir__free(t.cell);
  return head ? weir__text_status(text) : WEIR_ERR_MEMORY;
}

/* ---- outputs and the plan ---- */

static void add_outputs(weir__text *text, const weir__recipe *recipe) {
  weir__text_add(text, "outputs\n");
  for (int i = 0; i < recipe->outputs; i++) {
    const weir__recipe_output *o     = &recipe->output[i];
    const char                *every = o->every.seconds > 0 || o->every.steps > 1 ? o->every.text : "";
    const char                *unit  = o->every.seconds > 0 ? "" : o->every.steps > 1 ? " steps" : "step";
    weir__text_add(text, "  %-4s  %s  every %s%s:", weir__recipe_output_kinds[o->kind], o->path.text, every, unit);
    for (int k = 0; k < o->fields; k++) weir__text_add(text, "%s %s", k ? "," : "", o->field[k].text);
    weir__text_add(text, "\n");
  }
}

enum { WORKERS_SHOWN = 8 };

static weir_status add_plan(weir__text *text, const weir__graph *graph, int workers, int flight) {
  static const char *const heads[COLUMNS] = {"worker", "tasks", "messages", "sent", "memory", ""};
  table                    t              = {0};
  char(*head)[160]                        = new_row(&t);
  weir_status status                      = head ? WEIR_OK : WEIR_ERR_MEMORY;
  for (int c = 0; head && c < COLUMNS; c++) snprintf(head[c], 160, "%s", heads[c]);
  int shown = workers <= WORKERS_SHOWN ? workers : WORKERS_SHOWN;
  for (int i = 0; status >= 0 && i < shown; i++) {
    weir__plan_summary s;
    char               a[16], b[16];
    int                rank = shown == workers ? i : (int)((int64_t)i * (workers - 1) / (shown - 1));
    char(*cell)[160]        = new_row(&t);
    status                  = cell ? weir__plan_estimate(graph, rank, workers, 0, flight, &s) : WEIR_ERR_MEMORY;
    if (status < 0) break;
    snprintf(cell[0], 160, "%d", rank);
    snprintf(cell[1], 160, "%lld", (long long)s.tasks);
    snprintf(cell[2], 160, "%lld", (long long)s.messages);
    snprintf(cell[3], 160, "%s", weir__text_bytes((double)s.message_bytes, a));
    snprintf(cell[4], 160, "%s", weir__text_bytes((double)s.bytes, b));
  }
  weir__text_add(text, "plan of each step, %d worker%s%s\n", workers, workers == 1 ? "" : "s",
                 shown < workers ? " (some are shown)" : "");
  if (status >= 0) add_table(text, &t);
  weir__free(t.cell);
  return status;
}

/* What the simulation publishes in a step in which everything is due: all of the fields that are used. */
static double step_bytes(const weir__graph *graph) {
  double bytes = 0;
  for (int i = 0; i < graph->nodes; i++) {
    const weir__node *node = &graph->node[i];
    if (node->op || node->stream || node->is_static || !node->triggers) continue;
    double field = (double)weir_dtype_size(node->type[0].dtype);
    for (int a = 0; a < node->type[0].rank; a++) field *= (double)node->type[0].dim[a].size;
    bytes += field;
  }
  return bytes;
}

/* ---- the whole ---- */

static void add_watched(weir__text *text, const weir__recipe_images *images) {
  weir__text_add(text, "images\n  watched for in %s\n", images->path[0]);
  weir__online_ends(images->watch, text);
  weir__text_add(text,
                 "fields\n  The expressions can be read and their operators exist. Shapes, units, cost and memory\n"
                 "  are unknown until the first images have come.\n");
}

static void add_unknown(weir__text *text, const weir__recipe *recipe) {
  if (recipe->stream.images) add_watched(text, recipe->stream.images);
  else
    weir__text_add(
        text,
        "fields\n  The expressions can be read and their operators exist. Shapes, units, cost and memory are\n"
        "  unknown until the simulation has defined its fields: give expects: in the recipe, or run it once,\n"
        "  which writes schema.yaml into the run directory %s.run.\n",
        recipe->run);
  for (int i = 0; i < recipe->fields; i++)
    weir__text_add(text, "  %s = %s\n", recipe->field[i].name, recipe->field[i].expression.text);
}

static weir_status add_joined(weir__text *text, const weir__recipe *recipe, const looked *l, int number) {
  char                       how[64];
  const weir__recipe_schema *schema = &weir__joined_schemas(l->joined)[number];
  const weir__recipe_stream *stream = &recipe->joined[number];
  weir__text_add(text, "fields of %s, from its files; %s", stream->name, weir__join_text(&stream->join, how));
  if (schema->time_units) weir__text_add(text, "; time in %s", schema->time_units);
  if (stream->join.how) weir__text_add(text, "; %lld time levels", (long long)weir__joined_levels(l->joined, number));
  weir__text_add(text, "\n");
  return add_fields(text, l->graph, number + 1);
}

static weir_status add_known(weir__text *text, const weir__recipe *recipe, const looked *l, int workers) {
  weir__text_add(text, "fields of the stream, from %s", l->from);
  if (l->schema.time_units) weir__text_add(text, "; time in %s", l->schema.time_units);
  if (l->files)
    weir__text_add(text, "; %lld steps%s", (long long)weir__files_steps(l->files),
                   recipe->stream.images && recipe->stream.images->watch ? " so far" : "");
  if (recipe->stream.as_published)
    weir__text_add(text, "; chunks are the pieces of the simulation, unknown until it runs: shown by the shape alone");
  weir__text_add(text, "\n");
  WEIR_TRY(add_fields(text, l->graph, 0));
  if (l->files) weir__files_describe(l->files, text);
  for (int i = 0; i < recipe->joins; i++) WEIR_TRY(add_joined(text, recipe, l, i));
  if (recipe->fields) {
    weir__text_add(text, "fields of the recipe\n");
    WEIR_TRY(add_fields(text, l->graph, -1));
  }
  add_outputs(text, recipe);
  weir__check_overload(text, recipe, step_bytes(l->graph));
  if (l->steer) weir__recipe_steering_text(recipe, &l->schema, text);
  weir__recipe_feedback_text(recipe, text);
  WEIR_TRY(weir__check_placements(text, recipe, l->graph, workers, step_bytes(l->graph)));
  return add_plan(text, l->graph, workers, weir__files_in_flight(l->files, recipe->steps_in_flight));
}

weir_status weir__check_text(const weir__recipe *recipe, const char *directory, int workers, weir__text *text) {
  looked      l      = {0};
  weir_status status = look(recipe, directory, &l);
  if (status >= 0) {
    weir__text_add(text, "%s: run %s\n", recipe->file, recipe->run);
    if (l.from) status = add_known(text, recipe, &l, workers);
    else {
      add_unknown(text, recipe);
      add_outputs(text, recipe);
      weir__check_overload(text, recipe, 0);
      if (weir__recipe_steered(recipe, &l.schema)) weir__recipe_steering_text(recipe, &l.schema, text);
      weir__recipe_feedback_text(recipe, text);
    }
  }
  end_look(&l);
  return status < 0 ? status : weir__text_status(text);
}

/* ---- abandoning ---- */

static void abandon_stream(const char *directory, const char *stream, const char *message) {
  weir__channel_entry *list  = NULL;
  int                  count = 0;
  if (weir__channel_list(directory, stream, NULL, &list, &count) < 0) return;
  for (int i = 0; i < count; i++) {
    weir__channel *channel;
    if (!list[i].alive || weir__channel_attach(directory, stream, list[i].rank, &channel) < 0) continue;
    weir__channel_abandon(channel, message);
    weir__channel_detach(&channel);
  }
  weir__free(list);
}

void weir__check_abandon_all(const char *directory, const char *message) {
  char **streams = NULL;
  int    count   = 0;
  if (weir__channel_streams(directory, NULL, &streams, &count) < 0) return;
  for (int i = 0; i < count; i++) abandon_stream(directory, streams[i], message);
  weir__free(streams);
}
