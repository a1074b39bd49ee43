#include "run/outputs.h"
#include "io/file.h"
#include "io/netcdf_write.h"
#include "io/sinks.h"
#include "operators/piv/operators.h"
#include "run/images.h"
#include "run/provenance.h"
#include "run/version.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SCALAR_TIME_CHUNK = 256, EXTENTS = WEIR_RANK_MAX, SINK_PLOT_MAX = 3, LABEL_NAME = 24 };
enum { NETCDF_LEVEL = 1 /* of zlib: behind a shuffle higher ones gain little and take long */ };

/* A field of an output, resolved. */
typedef struct item {
  weir__edge edge;
  int64_t    chunk[EXTENTS]; /* zarr: extents in the store */
  weir__grid grid;           /* zarr: the same as a grid */
  int64_t    time_chunk;     /* zarr */
} item;                      /* what is said of zarr holds for netcdf, whose steps are kept in a store */

typedef struct output {
  const weir__recipe_output *recipe;
  int                        trigger;
  item                      *item;
  weir__zarr                *zarr;
  const char                *store; /* its path */
  weir__csv                 *csv;
  weir__vtk                 *vtk;
  weir__fluidimage_terms     fluidimage;
  weir__series              *series; /* fluidimage: the images that files are named after */
} output;

struct weir__outputs {
  const weir__recipe *recipe;
  weir__graph        *graph;
  weir__arena         arena;
  output             *output;
  int                 outputs;
};

/* ---- two operators without names in expressions ---- */

static const char *const one_name[]             = {"field"};
static const char *const names[WEIR_INPUTS_MAX] = {"f1", "f2",  "f3",  "f4",  "f5",  "f6",  "f7",  "f8",
                                                   "f9", "f10", "f11", "f12", "f13", "f14", "f15", "f16"};

static weir_status copy_field(const weir_apply *a) {
  weir__view_copy(&a->out[0], &a->in[0]);
  return WEIR_OK;
}

/* The same field cut into other chunks: what a store with chunks of its own needs. */
static const weir_operator rechunk = {.api         = WEIR_OPERATOR_API,
                                      .name        = "rechunk",
                                      .summary     = "the same field in other chunks",
                                      .inputs      = 1,
                                      .input_names = one_name,
                                      .apply       = copy_field};

static weir_status gather_result(const weir_apply *a) {
  for (int i = 0; i < a->inputs; i++)
    if (a->in[i].missing) return WEIR_END;
  weir__sink_result(a, 0);
  return WEIR_OK;
}

/* Depends on all its inputs: joins more sinks than one node has inputs. */
static const weir_operator gather = {.api             = WEIR_OPERATOR_API,
                                     .name            = "gather",
                                     .summary         = "wait for several results",
                                     .inputs          = 1,
                                     .optional_inputs = WEIR_INPUTS_MAX - 1,
                                     .input_names     = names,
                                     .accepts_missing = true,
                                     .infer           = weir__sink_infer,
                                     .need            = weir__need_whole,
                                     .apply           = gather_result};

/* ---- resolving ---- */

#define PLACE_FAIL(place, format, ...)                                                                                 \
  WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: " format, (place).file, (place).line, (place).column, ##__VA_ARGS__)

static const weir_field_type *item_type(const weir__outputs *self, const item *it) {
  return weir__edge_type(self->graph, it->edge);
}

static weir_status resolve_chunk(weir__outputs *self, output *out, int i) {
  item                  *it   = &out->item[i];
  const weir_field_type *type = item_type(self, it);
  it->grid.rank               = type->rank;
  weir__zarr_default_chunk(type, it->chunk);
  for (int a = 0; a < type->rank; a++) {
    for (int c = 0; c < out->recipe->chunks; c++)
      if (!strcmp(out->recipe->chunk[c].dimension, type->dim[a].name)) it->chunk[a] = out->recipe->chunk[c].size;
    if (it->chunk[a] > type->dim[a].size) it->chunk[a] = type->dim[a].size;
    WEIR_TRY(
        weir__grid_cut_size(&self->arena, type->dim[a].size, it->chunk[a], &it->grid.chunks[a], &it->grid.edge[a]));
  }
  bool one       = weir__grid_count(&it->grid) == 1;
  it->time_chunk = 1;
  if (self->graph->node[it->edge.node].is_static) it->time_chunk = 0;
  else if (one && out->recipe->time_chunk) it->time_chunk = out->recipe->time_chunk;
  else if (!type->rank) it->time_chunk = SCALAR_TIME_CHUNK;
  return WEIR_OK;
}

static weir_status check_chunk_names(const weir__outputs *self, const output *out) {
  for (int c = 0; c < out->recipe->chunks; c++) {
    bool found = false;
    for (int i = 0; i < out->recipe->fields; i++)
      found |= weir__axis_find(item_type(self, &out->item[i]), out->recipe->chunk[c].dimension) >= 0;
    if (!found)
      return PLACE_FAIL(out->recipe->place, "chunks: no field of this output has a dimension %s",
                        out->recipe->chunk[c].dimension);
  }
  bool used = !out->recipe->time_chunk;
  for (int i = 0; i < out->recipe->fields; i++) used |= out->item[i].time_chunk == out->recipe->time_chunk;
  if (!used)
    return PLACE_FAIL(out->recipe->place,
                      "time_chunk: no field of this output fits one chunk, which several time levels "
                      "in a chunk need");
  return WEIR_OK;
}

/* Arrays that every store has, and names of images. */
static bool is_taken(const weir__recipe *recipe, const char *name) {
  static const char image[] = "image_";
  size_t            stem    = sizeof image - 1;
  if (!strcmp(name, "time") || !strcmp(name, "step") || name[0] == '.') return true;
  return recipe->stream.images && !strncmp(name, image, stem) && name[stem] &&
         !name[stem + strspn(name + stem, "0123456789")];
}

static weir_status resolve_zarr(weir__outputs *self, output *out) {
  for (int i = 0; i < out->recipe->fields; i++) {
    const char            *name = out->recipe->name[i];
    const weir_field_type *type = item_type(self, &out->item[i]);
    WEIR_TRY(resolve_chunk(self, out, i));
    if (is_taken(self->recipe, name))
      return PLACE_FAIL(out->recipe->field[i].place, "%s cannot be the name of an array in a %s", name,
                        out->recipe->kind == WEIR__OUTPUT_ZARR ? "Zarr store" : "NetCDF file");
    for (int a = 0; a < type->rank && out->recipe->kind == WEIR__OUTPUT_NETCDF; a++)
      if (!type->dim[a].size)
        return PLACE_FAIL(out->recipe->field[i].place, "%s has no elements along %s, and cannot be in a NetCDF file",
                          name, type->dim[a].name);
  }
  return check_chunk_names(self, out);
}

/* May steps of the run be left out because of what the recipe says? */
static bool may_lose_steps(const weir__recipe_stream *s) {
  if (s->is_files || s->placement == WEIR__PLACEMENT_INLINE) return false;
  return s->policy == WEIR__POLICY_DROP_NEWEST || s->policy == WEIR__POLICY_DROP_OLDEST ||
         s->fallback == WEIR__FALLBACK_DROP;
}

static weir_status resolve_csv(const weir__outputs *self, const output *out) {
  bool    gaps    = may_lose_steps(&self->recipe->stream);
  int64_t columns = gaps;
  if (out->recipe->fields > WEIR_INPUTS_MAX)
    return PLACE_FAIL(out->recipe->place, "a table has at most %d fields, %d given; write several tables",
                      WEIR_INPUTS_MAX, out->recipe->fields);
  for (int i = 0; i < out->recipe->fields; i++) {
    weir_region whole = weir__region_whole(item_type(self, &out->item[i]));
    if (gaps && !item_type(self, &out->item[i])->rank && !strcmp(out->recipe->name[i], WEIR__CSV_MISSING))
      return PLACE_FAIL(out->recipe->field[i].place,
                        "a table of a stream that may lose steps has a column " WEIR__CSV_MISSING
                        ", which says why; a field of it cannot have that name");
    columns += weir__region_size(&whole);
    if (columns > WEIR__CSV_COLUMNS_MAX)
      return PLACE_FAIL(out->recipe->field[i].place, "a table has at most %d columns, and %s makes it %lld",
                        WEIR__CSV_COLUMNS_MAX, out->recipe->field[i].text, (long long)columns);
  }
  return WEIR_OK;
}

static weir_status resolve_plot(const weir__outputs *self, const output *out) {
  int dimensions = weir__plot_dimensions(item_type(self, &out->item[0]));
  if (!dimensions && (out->recipe->steered || out->recipe->inactive))
    return PLACE_FAIL(out->recipe->place, "the picture of a series cannot be steered; write its numbers to a table");
  if (dimensions != 2 && out->recipe->fields > 1)
    return PLACE_FAIL(out->recipe->place, "vectors are drawn over a map, and %s has %d dimensions",
                      out->recipe->field[0].text, dimensions);
  if (dimensions <= 2) return WEIR_OK;
  return PLACE_FAIL(out->recipe->field[0].place, "%s has %d dimensions and cannot be drawn; reduce it to 2, 1 or none",
                    out->recipe->field[0].text, dimensions);
}

/* What goes into a VTK file; lives as long as the outputs. Types are copied: nodes of the graph move as it grows. */
static weir_status vtk_content(weir__outputs *self, const output *out, weir__vtk_content *content) {
  const weir__recipe_output *r     = out->recipe;
  size_t                     count = (size_t)r->fields;
  const weir_field_type    **type;
  weir_field_type           *copy;
  WEIR_TRY(weir__arena_alloc(&self->arena, count * sizeof *type, &type));
  WEIR_TRY(weir__arena_alloc(&self->arena, count * sizeof *copy, &copy));
  for (int i = 0; i < r->fields; i++) {
    copy[i] = *item_type(self, &out->item[i]);
    type[i] = &copy[i];
  }
  *content = (weir__vtk_content){r->name, type, r->fields, r->shown, r->vector, r->vectors};
  return WEIR_OK;
}

static weir_status resolve_vtk(weir__outputs *self, const output *out) {
  weir__vtk_content content;
  int               field = 0;
  WEIR_TRY(vtk_content(self, out, &content));
  weir_status status = weir__vtk_check(&content, &field);
  if (status >= 0) return WEIR_OK;
  weir__place place = out->recipe->field[field].place;
  return weir__error_prefix(status, "%s:%d:%d", place.file, place.line, place.column);
}

static weir_status resolve_fluidimage(const weir__outputs *self, output *out) {
  const weir__recipe_images *images = self->recipe->stream.images;
  const weir__place          place  = out->recipe->flow.place;
  const weir__node          *node   = &self->graph->node[out->item[0].edge.node];
  WEIR_TRY(weir__fluidimage_available());
  if (node->op != &weir__piv_operator_result)
    return PLACE_FAIL(place, "flow: %s is no result of piv", out->recipe->flow.text);
  if (!images) return PLACE_FAIL(place, "fluidimage: files are named after images, and the stream is none of images");
  if (images->watch)
    return PLACE_FAIL(place, "fluidimage: the names of images that are watched for are not known when the run begins");
  const weir__piv      *p    = node->params;
  const weir__piv_grid *grid = &p->settings[p->passes - 1].grid;
  WEIR_TRY(weir__images_series(images, &out->series));
  if (weir__series_images(out->series) < 2)
    return PLACE_FAIL(place, "fluidimage: files are named after couples, and a step of the stream has one image");
  out->fluidimage = (weir__fluidimage_terms){.folder          = out->recipe->path.text,
                                             .series          = out->series,
                                             .passes          = p->passes,
                                             .dt              = p->dt,
                                             .min_correlation = p->correlation,
                                             .max_length      = p->longest,
                                             .neighbours      = p->neighbours};
  for (int k = 0; k < 2; k++) {
    out->fluidimage.image[k]  = p->image[k];
    out->fluidimage.count[k]  = grid->count[k];
    out->fluidimage.first[k]  = weir__piv_centre(grid, k, 0);
    out->fluidimage.step[k]   = (double)grid->step[k];
    out->fluidimage.unit[k]   = p->scale[k];
    out->fluidimage.window[k] = grid->window[k];
  }
  out->fluidimage.overlap = 1 - (double)grid->step[1] / (double)grid->window[1];
  return WEIR_OK;
}

static weir_status resolve(weir__outputs *self, output *out) {
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)out->recipe->fields * sizeof *out->item, &out->item));
  WEIR_TRY(weir__recipe_trigger(self->graph, out->recipe, &out->trigger));
  for (int i = 0; i < out->recipe->fields; i++)
    WEIR_TRY(weir__recipe_output_edge(self->graph, out->recipe, i, &out->item[i].edge));
  switch (out->recipe->kind) {
  case WEIR__OUTPUT_ZARR:
  case WEIR__OUTPUT_NETCDF: return resolve_zarr(self, out);
  case WEIR__OUTPUT_CSV: return resolve_csv(self, out);
  case WEIR__OUTPUT_PLOT: return resolve_plot(self, out);
  case WEIR__OUTPUT_VTK: return resolve_vtk(self, out);
  case WEIR__OUTPUT_FLUIDIMAGE: return resolve_fluidimage(self, out);
  }
  return WEIR_FAIL(WEIR_ERR_INTERNAL, "an output of unknown kind");
}

weir_status weir__outputs_resolve(const weir__recipe *recipe, weir__graph *graph, weir__outputs **outputs) {
  weir__outputs *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->recipe       = recipe;
  self->graph        = graph;
  self->outputs      = recipe->outputs;
  weir_status status = weir__arena_alloc(&self->arena, (size_t)recipe->outputs * sizeof *self->output, &self->output);
  if (status < 0) self->outputs = 0;
  for (int i = 0; status >= 0 && i < recipe->outputs; i++) {
    self->output[i].recipe = &recipe->output[i];
    status                 = resolve(self, &self->output[i]);
  }
  if (status >= 0) status = weir__recipe_failures_check(recipe, graph);
  if (status >= 0) status = weir__recipe_failures_fields(recipe, graph);
  if (status >= 0) *outputs = self;
  else if (weir__outputs_close(&self) < 0) (void)0; /* nothing is open yet */
  return status;
}

weir_status weir__outputs_triggers(weir__outputs *self, const int **trigger) {
  int *list;
  WEIR_TRY(weir__arena_alloc(&self->graph->arena, (size_t)self->outputs * sizeof *list, &list));
  for (int i = 0; i < self->outputs; i++) list[i] = self->output[i].trigger;
  *trigger = list;
  return WEIR_OK;
}

/* ---- opening ---- */

/* The names of the images of each step. */
static weir_status find_labels(weir__outputs *self, const weir__files *files, weir__zarr_labels *labels) {
  const char **name;
  char         text[LABEL_NAME];
  *labels = (weir__zarr_labels){.long_name = "name of an image", .self = files, .text = weir__files_label};
  if (!files) return WEIR_OK;
  labels->count = weir__files_labels(files, &labels->width);
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)labels->count * sizeof *name, &name));
  for (int k = 0; k < labels->count; k++) {
    snprintf(text, sizeof text, "image_%d", k);
    WEIR_TRY(weir__arena_string(&self->arena, text, &name[k]));
  }
  labels->name = name;
  return WEIR_OK;
}

static weir_status add_provenance(const weir__outputs *self, const output *out, const weir__files *files,
                                  weir__text *json) {
  weir__edge *edge;
  WEIR_TRY(weir__alloc_array((size_t)out->recipe->fields, sizeof *edge, &edge));
  for (int i = 0; i < out->recipe->fields; i++) edge[i] = out->item[i].edge;
  weir_status status = weir__provenance_text(self->recipe, self->graph, files, edge, out->recipe->fields, json);
  weir__free(edge);
  return status;
}

/* Where the steps are kept until there are no more: beside the file, for which the disk has to have room anyway. */
static void store_path(const weir__recipe_output *out, weir__text *path) {
  weir__text_add(path, out->kind == WEIR__OUTPUT_NETCDF ? "%s.part" : "%s", out->path.text);
}

static weir_status settle_path(weir__outputs *self, output *out, weir__outputs_mode mode) {
  weir__text path = {0};
  store_path(out->recipe, &path);
  weir_status status = weir__text_status(&path);
  if (status >= 0) status = weir__arena_string(&self->arena, path.data, &out->store);
  weir__text_clear(&path);
  if (out->recipe->kind != WEIR__OUTPUT_NETCDF || mode == WEIR__OUTPUTS_OPEN) return status;
  if (status >= 0) status = weir__netcdf_replaceable(out->recipe->path.text);
  if (status >= 0 && mode == WEIR__OUTPUTS_CREATE && unlink(out->recipe->path.text) && errno != ENOENT)
    status = WEIR_FAIL(WEIR_ERR_IO, "cannot remove %s: %s", out->recipe->path.text, strerror(errno));
  return status;
}

static weir_status open_store(const output *out, const weir__zarr_options *options, weir__outputs_mode mode,
                              weir__zarr **zarr) {
  if (mode == WEIR__OUTPUTS_OPEN) return weir__zarr_open(out->store, options, zarr);
  return weir__zarr_create(out->store, options, mode == WEIR__OUTPUTS_RESUME ? WEIR__ZARR_RESUME : WEIR__ZARR_REPLACE,
                           zarr);
}

static weir_status open_zarr(weir__outputs *self, output *out, const weir__recipe_schema *schema,
                             const weir__files *files, weir__outputs_mode mode) {
  weir__text         json      = {0};
  weir_attribute     written[] = {{.name = "weir_version", .text = weir__version}, {.name = "weir_provenance"}};
  weir__zarr_options options   = {.codec           = WEIR__ZARR_BLOSC,
                                  .batched         = true,
                                  .level           = out->recipe->level,
                                  .time_units      = schema->time_units,
                                  .calendar        = schema->calendar,
                                  .attributes      = written,
                                  .attribute_count = 2};
  if (out->recipe->kind == WEIR__OUTPUT_NETCDF) options.level = 1; /* what it holds is compressed anew */
  else if (out->recipe->codec && !weir__zarr_codec_parse(out->recipe->codec, &options.codec))
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "no codec %s", out->recipe->codec);
  WEIR_TRY(settle_path(self, out, mode));
  WEIR_TRY(find_labels(self, files, &options.labels));
  weir_status status = add_provenance(self, out, files, &json);
  written[1].text    = json.data;
  if (status >= 0) status = open_store(out, &options, mode, &out->zarr);
  weir__text_clear(&json);
  return status;
}

/* Whoever comes to own the table's sink must have it open; the others keep what worker 0 made. */
static weir_status open_csv(const weir__outputs *self, output *out, const weir__recipe_schema *schema,
                            weir__outputs_mode mode, const weir__resume *resume) {
  static const int64_t   all = INT64_MAX;
  const weir_field_type *types[WEIR_INPUTS_MAX];
  weir__csv_options      options = {.time_units = schema->time_units, .gaps = may_lose_steps(&self->recipe->stream)};
  if (mode == WEIR__OUTPUTS_OPEN) options.keep_to = &all;
  if (mode == WEIR__OUTPUTS_RESUME) options.keep_to = &resume->step;
  for (int i = 0; i < out->recipe->fields; i++) types[i] = item_type(self, &out->item[i]);
  return weir__csv_open(out->recipe->path.text, out->recipe->name, types, out->recipe->fields, &options, &out->csv);
}

static weir_status open_vtk(weir__outputs *self, output *out, weir__outputs_mode mode, const weir__resume *resume) {
  static const int64_t all = INT64_MAX;
  weir__vtk_content    content;
  weir__vtk_options    options = {.level = out->recipe->level, .opened = mode == WEIR__OUTPUTS_OPEN};
  options.zlib                 = out->recipe->codec && !strcmp(out->recipe->codec, "zlib");
  if (mode == WEIR__OUTPUTS_OPEN) options.keep_to = &all;
  if (mode == WEIR__OUTPUTS_RESUME) options.keep_to = &resume->step;
  WEIR_TRY(vtk_content(self, out, &content));
  return weir__vtk_open(out->recipe->path.text, &content, &options, &out->vtk);
}

/* ---- sinks ---- */

static weir_status add_node(weir__outputs *self, const weir_operator *op, const void *params, const weir__edge *input,
                            int inputs, const output *out, int *node) {
  return weir__graph_add_operator(self->graph, op, params, input, inputs, NULL, out->recipe->place, NULL, node);
}

/* Join edges sixteen by sixteen until at most that many are left. */
static weir_status join(weir__outputs *self, const output *out, weir__edge *edge, int *count) {
  while (*count > WEIR_INPUTS_MAX) {
    int node;
    WEIR_TRY(add_node(self, &gather, NULL, edge + *count - WEIR_INPUTS_MAX, WEIR_INPUTS_MAX, out, &node));
    *count -= WEIR_INPUTS_MAX - 1;
    edge[*count - 1] = (weir__edge){node, 0};
  }
  return WEIR_OK;
}

static weir_status add_array(weir__outputs *self, output *out, int i, weir__edge *done) {
  item                  *it     = &out->item[i];
  weir__sink_zarr_params params = {0};
  weir__edge             edge   = it->edge;
  int                    node;
  if (out->zarr)
    WEIR_TRY(
        weir__zarr_add(out->zarr, out->recipe->name[i], item_type(self, it), it->chunk, it->time_chunk, &params.array));
  if (!weir__grid_equal(&self->graph->node[edge.node].grid, &it->grid)) {
    WEIR_TRY(
        weir__graph_add_operator(self->graph, &rechunk, NULL, &edge, 1, NULL, out->recipe->place, &it->grid, &node));
    edge = (weir__edge){node, 0};
  }
  WEIR_TRY(add_node(self, &weir__sink_zarr, &params, &edge, 1, out, &node));
  self->graph->node[node].one_owner = it->time_chunk != 1; /* a chunk of several levels is kept and rewritten */
  *done                             = (weir__edge){node, 0};
  return WEIR_OK;
}

static weir_status add_zarr(weir__outputs *self, output *out, int *node) {
  weir__sink_zarr_commit_params params = {.zarr = out->zarr};
  weir__edge                   *edge;
  int                           count = out->recipe->fields;
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)count * sizeof *edge, &edge));
  for (int i = 0; i < count; i++) WEIR_TRY(add_array(self, out, i, &edge[i]));
  WEIR_TRY(join(self, out, edge, &count));
  return add_node(self, &weir__sink_zarr_commit, &params, edge, count, out, node);
}

static weir_status add_csv(weir__outputs *self, output *out, int *node) {
  weir__sink_csv_params params = {.csv = out->csv};
  weir__edge            edge[WEIR_INPUTS_MAX];
  for (int i = 0; i < out->recipe->fields; i++) edge[i] = out->item[i].edge;
  return add_node(self, &weir__sink_csv, &params, edge, out->recipe->fields, out, node);
}

static weir_status add_vtk(weir__outputs *self, output *out, int *node) {
  weir__sink_vtk_params params = {.vtk = out->vtk};
  weir__edge            edge[WEIR_INPUTS_MAX], done = {0};
  for (int i = 0; i < out->recipe->fields; i++) {
    edge[i] = out->item[i].edge;
    params.is_static |= (unsigned)self->graph->node[edge[i].node].is_static << i;
  }
  WEIR_TRY(add_node(self, &weir__sink_vtk, &params, edge, out->recipe->fields, out, &done.node));
  return add_node(self, &weir__sink_vtk_commit, &params, &done, 1, out, node);
}

static weir_status add_fluidimage(weir__outputs *self, output *out, int *node) {
  weir__sink_fluidimage_params params = {&out->fluidimage};
  weir__edge                   edge[WEIR__FLUIDIMAGE_INPUTS];
  for (int i = 0; i < WEIR__FLUIDIMAGE_INPUTS; i++) edge[i] = out->item[i].edge;
  return add_node(self, &weir__sink_fluidimage, &params, edge, WEIR__FLUIDIMAGE_INPUTS, out, node);
}

static weir_status add_plot(weir__outputs *self, output *out, int *node) {
  const weir__recipe_output *r       = out->recipe;
  weir__plot_options         options = {.name       = r->name[0],
                                        .time_units = self->graph->time_units,
                                        .colours    = (weir__plot_colours)r->colormap,
                                        .low        = r->range[0],
                                        .high       = r->range[1],
                                        .clip       = r->clip,
                                        .smooth     = r->smooth,
                                        .scale      = (weir__plot_scale)r->scale};
  if (weir__plot_dimensions(item_type(self, &out->item[0]))) {
    weir__sink_plot_params params              = {.path = r->path.text, .options = options};
    weir__edge             edge[SINK_PLOT_MAX] = {{0}};
    for (int i = 0; i < r->fields; i++) edge[i] = out->item[i].edge;
    return add_node(self, &weir__sink_plot, &params, edge, r->fields, out, node);
  }
  weir__sink_plot_series_params params = {r->path.text, options, self->graph->trigger[out->trigger]};
  return add_node(self, &weir__sink_plot_series, &params, &out->item[0].edge, 1, out, node);
}

static weir_status add_output(weir__outputs *self, output *out, const weir__recipe_schema *schema,
                              const weir__files *files, weir__outputs_mode mode, const weir__resume *resume) {
  int node = 0, first = self->graph->nodes;
  for (int i = 0; i < out->recipe->fields; i++)
    weir__recipe_failures_expression(self->recipe, out->recipe, i, self->graph, out->item[i].edge.node);
  switch (out->recipe->kind) {
  case WEIR__OUTPUT_ZARR:
  case WEIR__OUTPUT_NETCDF:
    if (mode != WEIR__OUTPUTS_NONE) WEIR_TRY(open_zarr(self, out, schema, files, mode));
    WEIR_TRY(add_zarr(self, out, &node));
    if (mode == WEIR__OUTPUTS_RESUME) {
      if (node >= resume->nodes) return WEIR_FAIL(WEIR_ERR_INPUT, "the checkpoint belongs to another graph");
      WEIR_TRY(weir__zarr_cut(out->zarr, resume->active[node]));
    }
    break;
  case WEIR__OUTPUT_CSV:
    if (mode != WEIR__OUTPUTS_NONE) WEIR_TRY(open_csv(self, out, schema, mode, resume));
    WEIR_TRY(add_csv(self, out, &node));
    break;
  case WEIR__OUTPUT_PLOT: WEIR_TRY(add_plot(self, out, &node)); break;
  case WEIR__OUTPUT_VTK:
    if (mode != WEIR__OUTPUTS_NONE) WEIR_TRY(open_vtk(self, out, mode, resume));
    WEIR_TRY(add_vtk(self, out, &node));
    break;
  case WEIR__OUTPUT_FLUIDIMAGE:
    if (mode != WEIR__OUTPUTS_NONE) WEIR_TRY(weir__file_make_directories(out->recipe->path.text, true));
    WEIR_TRY(add_fluidimage(self, out, &node));
    break;
  }
  weir__recipe_failures_output(self->recipe, out->recipe, self->graph, first);
  weir__graph_want(self->graph, node, out->trigger);
  return WEIR_OK;
}

weir_status weir__outputs_add(weir__outputs *outputs, const weir__recipe_schema *schema, const weir__files *files,
                              weir__outputs_mode mode, const weir__resume *resume) {
  for (int i = 0; i < outputs->outputs; i++) {
    output     *out    = &outputs->output[i];
    weir_status status = add_output(outputs, out, schema, files, mode, resume);
    if (status == WEIR_ERR_INPUT || status == WEIR_ERR_ARGUMENT)
      return weir__error_prefix(status, "%s:%d:%d", out->recipe->place.file, out->recipe->place.line,
                                out->recipe->place.column);
    WEIR_TRY(status);
  }
  return WEIR_OK;
}

void weir__outputs_flush(weir__outputs *outputs) {
  for (int i = 0; outputs && i < outputs->outputs; i++) {
    if (outputs->output[i].zarr && weir__zarr_flush(outputs->output[i].zarr) < 0)
      (void)0; /* it waits on, and fails again with the next level */
    if (outputs->output[i].vtk && weir__vtk_flush(outputs->output[i].vtk) < 0) (void)0; /* again with the next beat */
  }
}

weir_status weir__outputs_settle(weir__outputs *self) {
  weir_status status = WEIR_OK;
  for (int i = 0; self && i < self->outputs; i++) {
    weir_status of_store = self->output[i].zarr ? weir__zarr_finish(self->output[i].zarr) : WEIR_OK;
    weir_status of_table = self->output[i].csv ? weir__csv_close(&self->output[i].csv) : WEIR_OK;
    weir_status of_vtk   = weir__vtk_close(&self->output[i].vtk);
    if (status >= 0) status = of_store < 0 ? of_store : of_table < 0 ? of_table : of_vtk;
  }
  return status;
}

weir_status weir__outputs_convert(weir__outputs *self) {
  weir_status status = WEIR_OK;
  for (int i = 0; self && i < self->outputs; i++) {
    const output              *out     = &self->output[i];
    bool                       plain   = out->recipe->codec && !strcmp(out->recipe->codec, "none");
    weir__netcdf_write_options options = {.level = plain ? 0 : out->recipe->level ? out->recipe->level : NETCDF_LEVEL};
    if (out->recipe->kind != WEIR__OUTPUT_NETCDF || !out->zarr) continue;
    weir_status one = weir__netcdf_write(out->zarr, out->recipe->path.text, &options);
    if (status >= 0) status = one;
  }
  return status;
}

void weir__outputs_clear(const weir__recipe *recipe) {
  for (int i = 0; i < recipe->outputs; i++) {
    weir__text path = {0};
    if (recipe->output[i].kind != WEIR__OUTPUT_NETCDF) continue;
    store_path(&recipe->output[i], &path);
    if (!weir__text_status(&path) && weir__file_remove_tree(path.data) < 0)
      (void)0; /* the file is there; what is left is replaced by the next run */
    weir__text_clear(&path);
  }
}

weir_status weir__outputs_close(weir__outputs **outputs) {
  weir__outputs *self = *outputs;
  if (!self) return WEIR_OK;
  weir_status status = weir__outputs_settle(self);
  for (int i = 0; i < self->outputs; i++) {
    weir__zarr_destroy(&self->output[i].zarr);
    weir__series_close(&self->output[i].series);
  }
  weir__arena_clear(&self->arena);
  weir__free(self);
  *outputs = NULL;
  return status;
}
