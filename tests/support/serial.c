#include "support/serial.h"
#include "graph/graph.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTIALS = 3, RUBBISH = 0xa5, EDGES_MAX = 4096 };

/* ---- randomness ---- */

uint64_t test_seed = 1;

uint64_t test_random(void) { /* splitmix64: Steele, Lea & Flood 2014, doi 10.1145/2714064.2660195 */
  uint64_t z = test_seed += 0x9e3779b97f4a7c15;
  z          = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z          = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

double test_uniform(void) { return (double)(test_random() >> 11) * 0x1p-53; }

int64_t test_cut(int64_t extent, int64_t most, int64_t *edge) {
  int64_t n = 0;
  edge[0]   = 0;
  while (edge[n] < extent) {
    int64_t piece = most && n + 2 < EDGES_MAX ? 1 + (int64_t)(test_random() % (uint64_t)most) : extent;
    edge[n + 1]   = edge[n] + piece < extent ? edge[n] + piece : extent;
    n++;
  }
  return n;
}

static void *allocate(size_t size) {
  void *memory = NULL;
  if (size && posix_memalign(&memory, 64, size)) abort();
  if (memory) memset(memory, RUBBISH, size);
  return memory;
}

static void shuffle(int64_t *list, int64_t n) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)(test_random() % (uint64_t)(i + 1)), t = list[i];
    list[i] = list[j], list[j] = t;
  }
}

/* ---- fields ---- */

int64_t test_field_size(const weir_field_type *type) {
  weir_region whole = weir__region_whole(type);
  return weir__region_size(&whole);
}

void test_field_create(test_field *field, const weir_field_type *type) {
  field->type = *type;
  field->data = allocate((size_t)test_field_size(type) * weir_dtype_size(type->dtype));
}

void test_field_free(test_field *field) {
  free(field->data);
  field->data = NULL;
}

static weir_view whole_view(const test_field *field) {
  weir_region whole = weir__region_whole(&field->type);
  return weir__view_dense(field->data, &field->type, &whole);
}

/* As a row of elements. */
static weir_view flat_view(const test_field *field) {
  weir_view v = whole_view(field);
  v.rank      = 1;
  v.start[0]  = 0;
  v.count[0]  = test_field_size(&field->type);
  v.stride[0] = (int64_t)weir_dtype_size(v.dtype);
  return v;
}

double test_field_get(const test_field *field, int64_t i) {
  weir_view v = flat_view(field);
  double    buffer;
  return *weir_view_load(&v, &i, 1, &buffer);
}

void test_field_set(test_field *field, int64_t i, double value) {
  weir_view v = flat_view(field);
  weir_view_store(&v, &i, 1, &value);
}

/* ---- views with gaps ---- */

static weir_view new_view(const weir_field_type *type, const weir_region *region, bool gaps) {
  weir_view v      = weir__view_dense(NULL, type, region);
  int64_t   stride = (int64_t)weir_dtype_size(type->dtype), bytes = stride;
  for (int a = type->rank - 1; a >= 0; a--) {
    v.stride[a] = stride;
    bytes += (v.count[a] - 1) * stride;
    stride *= v.count[a] + (gaps && v.count[a] > 1 ? (int64_t)(test_random() % 3) : 0);
  }
  if (weir_view_size(&v) > 0) v.data = allocate((size_t)bytes);
  return v;
}

/* Fill a view with the field's values; indices outside wrap around. */
static void fill_view(const weir_view *v, const test_field *field) {
  weir_view whole                = whole_view(field);
  int64_t   index[WEIR_RANK_MAX] = {0}, size = (int64_t)weir_dtype_size(v->dtype), n = weir_view_size(v);
  for (int64_t k = 0; k < n; k++) {
    char       *to   = v->data;
    const char *from = whole.data;
    for (int a = 0; a < v->rank; a++) {
      int64_t extent = field->type.dim[a].size, at = (v->start[a] + index[a]) % extent;
      to += index[a] * v->stride[a];
      from += (at < 0 ? at + extent : at) * whole.stride[a];
    }
    memcpy(to, from, (size_t)size);
    for (int a = v->rank - 1; a >= 0; a--) {
      if (++index[a] < v->count[a]) break;
      index[a] = 0;
    }
  }
}

/* ---- the engine ---- */

struct test_engine {
  const weir_operator   *op;
  void                  *params;
  int                    inputs, outputs;
  const weir_field_type *in_type[WEIR_INPUTS_MAX];
  weir_field_type        kept_type[WEIR_INPUTS_MAX];
  weir_infer             infer;
  weir__graph           *graph; /* keeps the texts of infer */
  void                  *context;
  int64_t                edge[WEIR_RANK_MAX][EDGES_MAX], in_edge[WEIR_RANK_MAX][EDGES_MAX];
  weir__grid             grid, in_grid; /* of the results and of input 0 */
  void                 **state;
  int64_t                steps;
};

static int64_t *cut_axis(weir__grid *grid, int a, int64_t extent, int64_t piece, int64_t *edge) {
  grid->chunks[a] = test_cut(extent, piece, edge);
  grid->edge[a]   = edge;
  return edge;
}

static void cut_grids(test_engine *e, int64_t piece) {
  const weir_field_type *in = e->in_type[0], *out = &e->infer.out[0];
  e->in_grid.rank = in->rank;
  e->grid.rank    = out->rank;
  for (int a = 0; a < in->rank; a++) cut_axis(&e->in_grid, a, in->dim[a].size, piece, e->in_edge[a]);
  for (int a = 0; a < out->rank; a++) {
    int from = e->infer.from_axis[0][a];
    if (from < 0) cut_axis(&e->grid, a, out->dim[a].size, 0, e->edge[a]);
    else if (!e->op->partial_size) cut_axis(&e->grid, a, out->dim[a].size, piece, e->edge[a]);
    else e->grid.chunks[a] = e->in_grid.chunks[from], e->grid.edge[a] = e->in_grid.edge[from];
  }
}

weir_status test_engine_open(const weir_operator *op, void *params, const weir_field_type *const *in, int inputs,
                             int64_t piece, test_engine **engine) {
  test_engine *e      = calloc(1, sizeof *e);
  weir_status  status = WEIR_OK;
  e->op = op, e->params = params, e->inputs = inputs, e->outputs = op->outputs ? op->outputs : 1;
  for (int i = 0; i < inputs; i++)
    if (in[i]) e->kept_type[i] = *in[i], e->in_type[i] = &e->kept_type[i];
  WEIR_TRY_GOTO(out, weir__graph_create(NULL, &e->graph));
  e->infer =
      (weir_infer){.params = params, .inputs = inputs, .in = e->in_type, .outputs = e->outputs, .engine = e->graph};
  for (int k = 0; k < e->outputs; k++) {
    e->infer.out[k] = *in[0];
    for (int a = 0; a < WEIR_RANK_MAX; a++) e->infer.from_axis[k][a] = a;
  }
  if (op->infer) WEIR_TRY_GOTO(out, op->infer(&e->infer));
  cut_grids(e, piece);
  e->state = calloc((size_t)weir__grid_count(&e->grid), sizeof *e->state);
  if (op->prepare) WEIR_TRY_GOTO(out, op->prepare(params, e->in_type, &e->context));
  *engine = e;
  return WEIR_OK;
out:
  test_engine_close(e);
  return status;
}

const weir_infer *test_engine_infer(const test_engine *engine) { return &engine->infer; }

void test_engine_close(test_engine *e) {
  if (!e) return;
  if (e->op->release) e->op->release(e->context);
  for (int64_t c = 0; e->state && c < weir__grid_count(&e->grid); c++) free(e->state[c]);
  free(e->state);
  weir__graph_destroy(&e->graph);
  free(e);
}

static void *scratch_for(const test_engine *e, const weir_region *out) {
  return allocate(e->op->scratch_size ? e->op->scratch_size(e->params, e->in_type, out) : 0);
}

static weir_apply new_apply(const test_engine *e, const weir_view *in, const weir_view *out) {
  return (weir_apply){.params  = e->params,
                      .context = e->context,
                      .inputs  = e->inputs,
                      .outputs = e->outputs,
                      .in_type = e->in_type,
                      .in      = in,
                      .out     = out,
                      .step    = 10 * e->steps,
                      .ordinal = e->steps,
                      .index   = e->steps,
                      .time    = (double)e->steps,
                      .dt      = e->steps ? 1 : NAN};
}

/* Cut a wanted region to the field on the axes that do not wrap. */
static void cut_to_field(const weir_field_type *type, unsigned wrap, weir_region *r) {
  for (int a = 0; a < type->rank; a++) {
    int64_t end = r->start[a] + r->count[a];
    if (wrap >> a & 1) continue;
    if (r->start[a] < 0) r->start[a] = 0;
    if (end > type->dim[a].size) end = type->dim[a].size;
    r->count[a] = end - r->start[a];
  }
}

static weir_status apply_chunk(test_engine *e, int64_t chunk, const test_field *const *in, const weir_view *whole) {
  weir_region region                = weir__grid_region(&e->grid, chunk);
  weir_view   view[WEIR_INPUTS_MAX] = {{0}}, out[WEIR_OUTPUTS_MAX];
  weir_status status                = WEIR_OK;
  for (int i = 0; i < e->inputs; i++) {
    if (!in[i]) continue;
    weir_region need = weir__region_by_name(&e->infer.out[0], &region, e->in_type[i]);
    if (e->op->need) status = e->op->need(e->params, e->in_type, i, &region, &need);
    if (status < 0) goto out;
    cut_to_field(e->in_type[i], e->infer.wrap[i], &need);
    view[i] = new_view(e->in_type[i], &need, true);
    fill_view(&view[i], in[i]);
  }
  for (int k = 0; k < e->outputs; k++) out[k] = weir__view_narrow(&whole[k], &region);
  if (e->op->state_size && !e->state[chunk]) {
    size_t size     = e->op->state_size(e->params, e->in_type, &region);
    e->state[chunk] = allocate(size);
    memset(e->state[chunk], 0, size);
  }
  weir_apply a = new_apply(e, view, out);
  a.state      = e->state[chunk];
  a.scratch    = scratch_for(e, &region);
  status       = e->op->apply(&a);
  free(a.scratch);
out:
  for (int i = 0; i < e->inputs; i++) free(view[i].data);
  return status;
}

/* ---- reductions ---- */

static weir_status reduce_box(test_engine *e, const weir_region *box, const weir_region *result,
                              const test_field *const *in, void *partial) {
  weir_view view[WEIR_INPUTS_MAX] = {{0}}, out = weir__view_dense(NULL, &e->infer.out[0], result);
  for (int i = 0; i < e->inputs; i++) {
    if (!in[i]) continue;
    weir_region need = i ? weir__region_by_name(e->in_type[0], box, e->in_type[i]) : *box;
    view[i]          = new_view(e->in_type[i], &need, test_random() & 1);
    fill_view(&view[i], in[i]);
  }
  weir_apply a       = new_apply(e, view, &out);
  a.partial          = partial;
  a.scratch          = scratch_for(e, result);
  weir_status status = e->op->apply(&a);
  free(a.scratch);
  for (int i = 0; i < e->inputs; i++) free(view[i].data);
  return status;
}

static bool projects(const test_engine *e, int64_t in_chunk, int64_t chunk) {
  int64_t from[WEIR_RANK_MAX], to[WEIR_RANK_MAX];
  weir__grid_unravel(&e->in_grid, in_chunk, from);
  weir__grid_unravel(&e->grid, chunk, to);
  for (int a = 0; a < e->grid.rank; a++)
    if (e->infer.from_axis[0][a] >= 0 && from[e->infer.from_axis[0][a]] != to[a]) return false;
  return true;
}

static weir_status reduce_chunk(test_engine *e, int64_t chunk, const test_field *const *in, const weir_view *whole) {
  weir_region result = weir__grid_region(&e->grid, chunk);
  size_t      size   = e->op->partial_size(e->params, e->in_type, &result);
  int64_t     boxes = weir__grid_count(&e->in_grid), *order = malloc((size_t)boxes * sizeof *order);
  void       *partial[PARTIALS];
  weir_status status = WEIR_OK;
  for (int i = 0; i < PARTIALS; i++) {
    partial[i] = allocate(size);
    if (size) memset(partial[i], 0, size);
    if (e->op->begin) e->op->begin(e->params, e->in_type, &result, partial[i]);
  }
  for (int64_t i = 0; i < boxes; i++) order[i] = i;
  shuffle(order, boxes);
  for (int64_t i = 0; i < boxes; i++) {
    if (!projects(e, order[i], chunk)) continue;
    weir_region box = weir__grid_region(&e->in_grid, order[i]);
    WEIR_TRY_GOTO(out, reduce_box(e, &box, &result, in, partial[test_random() % PARTIALS]));
  }
  int root = (int)(test_random() % PARTIALS);
  for (int i = 1; i < PARTIALS; i++)
    e->op->combine(e->params, e->in_type, &result, partial[root], partial[(root + i) % PARTIALS]);
  weir_view  out = weir__view_narrow(&whole[0], &result), none[WEIR_INPUTS_MAX] = {{0}};
  weir_apply a = new_apply(e, none, &out);
  a.partial    = partial[root];
  a.scratch    = scratch_for(e, &result);
  status       = e->op->finish(&a);
  free(a.scratch);
out:
  for (int i = 0; i < PARTIALS; i++) free(partial[i]);
  free(order);
  return status;
}

weir_status test_engine_step(test_engine *e, const test_field *const *in, test_field *out) {
  weir_view   whole[WEIR_OUTPUTS_MAX];
  weir_status status = WEIR_OK;
  int64_t     chunks = weir__grid_count(&e->grid), *order = malloc((size_t)chunks * sizeof *order);
  for (int k = 0; k < e->outputs; k++) {
    test_field_create(&out[k], &e->infer.out[k]);
    whole[k] = whole_view(&out[k]);
  }
  for (int64_t i = 0; i < chunks; i++) order[i] = i;
  shuffle(order, chunks);
  for (int64_t i = 0; i < chunks && status >= 0; i++)
    status = e->op->partial_size ? reduce_chunk(e, order[i], in, whole) : apply_chunk(e, order[i], in, whole);
  free(order);
  e->steps++;
  return status;
}

/* ---- parameters ---- */

void test_params(const weir_operator *op, void *params) {
  memset(params, 0, op->params_size);
  for (const weir_param *p = op->params; p && p->name; p++) {
    void *at = (char *)params + p->offset;
    if (p->kind == WEIR_PARAM_REAL) *(double *)at = p->fallback;
    if (p->kind == WEIR_PARAM_INT) *(int64_t *)at = (int64_t)p->fallback;
    if (p->kind == WEIR_PARAM_BOOL) *(bool *)at = p->fallback != 0;
    if (p->kind == WEIR_PARAM_CHOICE) *(int *)at = (int)p->fallback;
  }
}

static void *find_param(const weir_operator *op, void *params, const char *name, weir_param_kind *kind) {
  for (const weir_param *p = op->params; p && p->name; p++)
    if (!strcmp(p->name, name)) {
      *kind = p->kind;
      return (char *)params + p->offset;
    }
  fail_msg("operator %s has no parameter %s", op->name, name);
  return NULL;
}

void test_set(const weir_operator *op, void *params, const char *name, double value) {
  weir_param_kind kind = WEIR_PARAM_REAL;
  void           *at   = find_param(op, params, name, &kind);
  if (kind == WEIR_PARAM_REAL) *(double *)at = value;
  if (kind == WEIR_PARAM_INT) *(int64_t *)at = (int64_t)value;
  if (kind == WEIR_PARAM_BOOL) *(bool *)at = value != 0;
  if (kind == WEIR_PARAM_CHOICE) *(int *)at = (int)value;
}

void test_set_axes(const weir_operator *op, void *params, const char *name, int count, const char *const *axes) {
  weir_param_kind kind = WEIR_PARAM_AXES;
  weir_axes      *a    = find_param(op, params, name, &kind);
  assert_int_equal(kind, WEIR_PARAM_AXES);
  a->count = count;
  for (int i = 0; i < count; i++) a->name[i] = axes[i];
}

weir_field_type test_type(weir_dtype dtype, int rank, const int64_t *extent, double spacing) {
  static const char *const names[] = {"w", "z", "y", "x"};
  weir_field_type          type    = {.dtype = dtype, .rank = rank, .units = "m s-1"};
  for (int a = 0; a < rank; a++)
    type.dim[a] = (weir_dimension){
        .name = names[4 - rank + a], .size = extent[a], .units = "m", .origin = 10, .spacing = spacing};
  if (!weir_dtype_is_floating(dtype)) type.has_fill = true, type.fill = -999;
  return type;
}

void test_field_random(test_field *field, double missing) {
  bool   floating = weir_dtype_is_floating(field->type.dtype);
  double scale    = floating ? 1 : 1000;
  for (int64_t i = 0; i < test_field_size(&field->type); i++)
    test_field_set(field, i, test_uniform() < missing ? (double)NAN : scale * (test_uniform() - 0.25));
}

void test_close(const char *what, const test_field *field, const double *expected, double tolerance, double least) {
  int64_t n       = test_field_size(&field->type);
  double  largest = least;
  for (int64_t i = 0; i < n; i++) largest = fabs(expected[i]) > largest ? fabs(expected[i]) : largest;
  for (int64_t i = 0; i < n; i++) {
    double x = test_field_get(field, i);
    if (isnan(x) != isnan(expected[i]) || fabs(x - expected[i]) > tolerance * largest)
      fail_msg("%s: element %lld of %lld is %.17g, expected %.17g (largest %g)", what, (long long)i, (long long)n, x,
               expected[i], largest);
  }
}

weir_status test_run(const weir_operator *op, void *params, const test_field *const *in, int inputs, int64_t piece,
                     test_field *out) {
  const weir_field_type *type[WEIR_INPUTS_MAX] = {0};
  test_engine           *e;
  for (int i = 0; i < inputs; i++)
    if (in[i]) type[i] = &in[i]->type;
  WEIR_TRY(test_engine_open(op, params, type, inputs, piece, &e));
  weir_status status = test_engine_step(e, in, out);
  test_engine_close(e);
  return status;
}
