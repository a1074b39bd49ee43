/* Compiling one worker's share, node by node in the order of the graph. */
#include "plan/compiler.h"
#include <string.h>

/* ---- ownership ---- */

int64_t weir__owned_first(const weir__plan *plan, int64_t chunks, int rank) {
  int owner = rank - plan->forwarders, owners = plan->size - plan->forwarders;
  return owner <= 0 ? 0 : (int64_t)(((__int128)owner * chunks + owners - 1) / owners);
}

int weir__owner(const weir__plan *plan, int node, int64_t chunk) {
  int64_t chunks = weir__grid_count(&plan->graph->node[node].grid);
  if (chunks == 1) return plan->compiler->single[node];
  return plan->forwarders + (int)((__int128)chunk * (plan->size - plan->forwarders) / chunks);
}

/* One-chunk results: small ones stay where they are reduced (the first owner) or where their first input is; work on a
 * whole field that lies in many chunks is dealt out among the owners by node number. */
static int single_owner(const weir__compiler *c, int number) {
  const weir__node *node  = &c->plan->graph->node[number];
  int               first = c->plan->forwarders;
  if (!node->op || weir__node_reduces(node) || !node->inputs || node->input[0].node < 0) return first;
  for (int i = 0; i < node->inputs; i++)
    if (node->input[i].node >= 0 && weir__grid_count(&c->plan->graph->node[node->input[i].node].grid) > 1)
      return first + number % (c->plan->size - first);
  return c->single[node->input[0].node];
}

static int64_t static_first(const weir__compiler *c, int number, int rank) {
  int64_t chunks = weir__grid_count(&c->plan->graph->node[number].grid);
  if (chunks == 1) return rank > c->single[number]; /* ends with the one after it */
  return weir__owned_first(c->plan, chunks, rank);
}

void weir__compiler_share(const weir__compiler *c, int number, int source, int64_t *first, int64_t *end) {
  bool whole = c->where[number] == WEIR__OWNED && c->where[source] != WEIR__OWNED; /* here, or with the claimer */
  *first     = whole ? static_first(c, source, c->plan->rank) : c->first[source];
  *end       = whole ? static_first(c, source, c->plan->rank + 1) : c->end[source];
}

/* ---- claims ---- */

static bool follows_from_step(const weir__compiler *c, int number) {
  const weir__node *node = &c->plan->graph->node[number];
  if (c->plan->wanted[number].rank < 0 || node->is_static || node->history) return false;
  if (node->op && (node->op->state_size || node->op->in_order || node->always || node->one_owner)) return false;
  for (int k = 0; k < node->inputs; k++) {
    int from = node->input[k].node;
    if (from < 0) continue;
    if (node->lag[k] || from >= number) return false;
    if (c->where[from] == WEIR__OWNED && !c->plan->graph->node[from].is_static) return false;
  }
  return true;
}

/* Feedback and decisions belong to simulations, which no worker can claim a step of. */
static void find_claimed(weir__compiler *c) {
  weir__plan        *p     = c->plan;
  const weir__graph *graph = p->graph;
  if (!p->claimed_flight || graph->decisions.node >= 0) return;
  for (int i = 0; i < graph->nodes; i++) {
    if (!follows_from_step(c, i)) continue;
    c->where[i] = WEIR__CLAIMED_BY_STEP;
    p->claims   = true;
    for (int k = 0; k < graph->node[i].inputs; k++) {
      int from = graph->node[i].input[k].node;
      if (from >= 0 && graph->node[from].is_static) c->where[from] = WEIR__EVERYWHERE;
    }
  }
}

/* ---- growing lists ---- */

weir_status weir__compiler_new_box(weir__compiler *c, const weir_region *region, uint32_t *box) {
  weir__plan *p    = c->plan;
  size_t      rank = (size_t)region->rank;
  if (p->boxes > UINT32_MAX - WEIR__BOX_MAX) return WEIR_FAIL(WEIR_ERR_OVERFLOW, "a plan of too many regions");
  WEIR_TRY(weir__grow(&p->box, p->boxes + 2 * WEIR__BOX_MAX, &p->box_capacity, sizeof *p->box));
  *box = (uint32_t)p->boxes;
  memcpy(p->box + p->boxes, region->start, rank * sizeof *p->box);
  memcpy(p->box + p->boxes + rank, region->count, rank * sizeof *p->box);
  p->boxes += 2 * rank;
  return WEIR_OK;
}

weir_region weir__plan_region(const weir__plan *p, const weir__gather *g) {
  weir_region    region = {.rank = g->rank};
  const int64_t *box    = p->box + g->box;
  for (int a = 0; a < g->rank; a++) region.start[a] = box[a], region.count[a] = box[g->rank + a];
  return region;
}

int weir__compiler_new_cell(weir__compiler *c, weir__cell cell) {
  weir__plan *p = c->plan;
  if (weir__compiler_new_box(c, &cell.region, &cell.box) < 0) return -1;
  if (weir__grow(&p->cell, (size_t)p->cells + 1, &p->cell_capacity, sizeof *p->cell) < 0) return -1;
  p->cell[p->cells] = cell;
  return p->cells++;
}

weir_status weir__compiler_depend(weir__compiler *c, weir__emitter from, int task, bool next) {
  WEIR_TRY(weir__grow(&c->dependency, c->dependencies + 1, &c->dependency_capacity, sizeof *c->dependency));
  c->dependency[c->dependencies++] = (weir__dependency){from, task, next};
  return WEIR_OK;
}

weir_status weir__compiler_new_task(weir__compiler *c, weir__task task, int *number) {
  weir__plan *p = c->plan;
  WEIR_TRY(weir__grow(&p->task, (size_t)p->tasks + 1, &p->task_capacity, sizeof *p->task));
  p->task[p->tasks] = task;
  if (task.node >= 0) p->task[p->tasks].claimed = c->where[task.node] == WEIR__CLAIMED_BY_STEP;
  *number = p->tasks++;
  return WEIR_OK;
}

weir_status weir__compiler_new_bit(weir__compiler *c, weir__bit bit) {
  weir__plan *p = c->plan;
  WEIR_TRY(weir__grow(&p->bit, (size_t)p->bits + 1, &p->bit_capacity, sizeof bit));
  if (!bit.chunks) bit.chunks = 1;
  p->bit[p->bits++] = bit;
  return WEIR_OK;
}

weir_status weir__compiler_new_part(weir__compiler *c, weir__part part) {
  weir__plan *p = c->plan;
  WEIR_TRY(weir__grow(&p->part, (size_t)p->parts + 1, &p->part_capacity, sizeof part));
  p->part[p->parts++] = part;
  return WEIR_OK;
}

weir_status weir__compiler_new_gather(weir__compiler *c, weir__gather gather, const weir_region *region) {
  static const weir_region nothing = {0};
  weir__plan              *p       = c->plan;
  if (!region) region = &nothing;
  gather.rank = (uint8_t)region->rank;
  WEIR_TRY(weir__compiler_new_box(c, region, &gather.box));
  WEIR_TRY(weir__grow(&p->gather, (size_t)p->gathers + 1, &p->gather_capacity, sizeof gather));
  p->gather[p->gathers++] = gather;
  return WEIR_OK;
}

void weir__compiler_scratch(weir__compiler *c, const weir__node *node, const weir_region *out, size_t inputs) {
  if (node->op->scratch_size) inputs += node->op->scratch_size(node->params, node->in_type, out);
  if (inputs > c->plan->scratch_bytes) c->plan->scratch_bytes = inputs;
}

size_t weir__type_bytes(const weir_field_type *type, const weir_region *region) {
  return (size_t)weir__region_size(region) * weir_dtype_size(type->dtype);
}

/* Neighbouring chunks mostly have the same, so that a look at the last ones is enough. */
weir_status weir__compiler_form(weir__compiler *c, const weir_field_type *type, const weir_region *dense, int *form) {
  enum { LOOK = 16 };
  weir__plan *p = c->plan;
  weir_view   v = weir__view_dense(NULL, type, dense);
  memset(v.start, 0, sizeof v.start);
  memset(v.count, 0, sizeof v.count);
  for (int i = p->forms - 1; i >= 0 && i >= p->forms - LOOK; i--) {
    const weir_view *f    = &p->form[i];
    bool             same = f->dtype == v.dtype && f->rank == v.rank && f->has_fill == v.has_fill &&
                !memcmp(&f->fill, &v.fill, sizeof v.fill) && !memcmp(f->stride, v.stride, sizeof v.stride);
    if (!same) continue;
    *form = i;
    return WEIR_OK;
  }
  WEIR_TRY(weir__grow(&p->form, (size_t)p->forms + 1, &p->form_capacity, sizeof v));
  p->form[p->forms] = v;
  *form             = p->forms++;
  return WEIR_OK;
}

/* ---- cells of a node's own chunks ---- */

static weir_status own_cells(weir__compiler *c, int number) {
  weir__plan       *p    = c->plan;
  const weir__node *node = &p->graph->node[number];
  c->cell[number]        = p->cells;
  for (int64_t chunk = c->first[number]; chunk < c->end[number]; chunk++) {
    weir_region region = weir__grid_region(&node->grid, chunk);
    bool        needed = weir__plan_triggers(p, number, &region) != 0;
    for (int k = 0; k < node->outputs; k++) {
      bool       claimed = c->where[number] == WEIR__CLAIMED_BY_STEP;
      int64_t    ring    = claimed ? p->claimed_flight : weir__compiler_ring(p, node);
      weir__cell cell    = {.bytes      = needed ? weir__type_bytes(&node->type[k], &region) : 0,
                            .ring       = ring,
                            .slot_piece = -1,
                            .message    = -1,
                            .region     = region,
                            .dtype      = node->type[k].dtype,
                            .keep       = needed && (node->is_static || node->history > 0),
                            .claimed    = claimed};
      WEIR_TRY(weir__compiler_form(c, &node->type[k], &region, &cell.form));
      if (weir__compiler_new_cell(c, cell) < 0) return WEIR_ERR_MEMORY;
    }
  }
  return WEIR_OK;
}

static weir_status prepare_nodes(weir__compiler *c) {
  weir__plan        *p     = c->plan;
  const weir__graph *graph = p->graph;
  size_t             n     = (size_t)graph->nodes;
  int                total = 0;
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->where, &c->where));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->first, &c->first));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->end, &c->end));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->cell, &c->cell));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->sequence, &c->sequence));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->task_at, &c->task_at));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->single, &c->single));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->broadcast, &c->broadcast));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *c->broadcast_packet, &c->broadcast_packet));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *p->wanted, &p->wanted));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *p->wants, &p->wants));
  WEIR_TRY(weir__arena_alloc(&p->arena, n * sizeof *p->call, &p->call));
  for (int i = 0; i < graph->nodes; i++) c->single[i] = single_owner(c, i);
  WEIR_TRY(weir__compile_wanted(c));
  find_claimed(c);
  for (int i = 0; i < graph->nodes; i++) {
    int64_t chunks         = weir__grid_count(&graph->node[i].grid);
    c->broadcast_packet[i] = -1;
    c->sequence[i]         = weir__grid_is_sequence(&graph->node[i].grid);
    c->task_at[i]          = total;
    if (p->wanted[i].rank < 0) continue;
    c->first[i] = c->where[i] == WEIR__OWNED ? static_first(c, i, p->rank) : 0;
    c->end[i]   = c->where[i] == WEIR__OWNED ? static_first(c, i, p->rank + 1) : chunks;
    total += (int)(c->end[i] - c->first[i]);
    WEIR_TRY(own_cells(c, i));
  }
  return weir__arena_alloc(&p->arena, (size_t)total * sizeof *c->task_of, &c->task_of);
}

/* A one-chunk field used by the chunks of a field in many chunks is needed nearly everywhere: it goes down a tree, as
 * do decisions, which every worker hears. */
static void mark_broadcasts(weir__compiler *c) {
  const weir__graph *graph = c->plan->graph;
  if (graph->decisions.node >= 0 && c->plan->size > 1) c->broadcast[graph->decisions.node] = true;
  if (c->plan->size - c->plan->forwarders == 1) return;
  for (int i = 0; i < graph->nodes; i++) {
    const weir__node *node = &graph->node[i];
    if (c->plan->wanted[i].rank < 0) continue;
    for (int k = 0; k < node->inputs; k++) {
      int from = node->input[k].node;
      if (from < 0 || weir__grid_count(&graph->node[from].grid) > 1 || c->where[from] != WEIR__OWNED) continue;
      int64_t users = weir__node_reduces(node) ? weir__grid_count(&graph->node[node->input[0].node].grid)
                                               : weir__grid_count(&node->grid);
      if (users > 1) c->broadcast[from] = true;
    }
  }
}

static weir_status prepare_operators(weir__compiler *c) {
  for (int i = 0; i < c->plan->graph->nodes; i++) {
    const weir__node *node = &c->plan->graph->node[i];
    weir__node_call  *call = &c->plan->call[i];
    *call                  = (weir__node_call){.op           = node->op,
                                               .params       = node->params,
                                               .in_type      = node->in_type,
                                               .seen         = node->seen,
                                               .inputs       = node->inputs,
                                               .outputs      = node->outputs,
                                               .check_finite = node->check_finite};
    if (!node->op || !node->op->prepare || c->plan->wanted[i].rank < 0 || !c->comm) continue;
    WEIR_TRY(node->op->prepare(node->params, node->in_type, &call->context));
  }
  return WEIR_OK;
}

static weir_status compile_operators(weir__compiler *c, const weir__plan_options *o) {
  WEIR_TRY(weir__compile_broadcasts(c));
  for (int i = 0; i < c->plan->graph->nodes; i++) {
    const weir__node *node = &c->plan->graph->node[i];
    if (!node->op || c->plan->wanted[i].rank < 0) continue;
    c->current = i;
    WEIR_TRY(weir__node_reduces(node) ? weir__compile_reduction(c, i) : weir__compile_apply(c, i));
  }
  for (size_t i = 0; i < c->laters; i++) {
    const weir__later *later = &c->later[i];
    weir__emitter      from  = c->task_of[c->task_at[later->node] + later->chunk - c->first[later->node]];
    WEIR_TRY(weir__compiler_look_back(c, from, later->task, later->lag));
  }
  WEIR_TRY(weir__compile_steering(c, o->feedback, o->feedbacks));
  return prepare_operators(c);
}

weir_status weir__compiler_agree(weir__compiler *c, weir_status status) {
  return c->comm ? weir__comm_agree(c->comm, status) : status;
}

/* Local work and exchanges alternate; before each exchange all workers agree that the work before it went well, so that
 * nobody waits for one that failed. */
static weir_status compile(weir__compiler *c, const weir__plan_options *o) {
  WEIR_TRY(weir__compiler_agree(c, prepare_nodes(c)));
  mark_broadcasts(c);
  WEIR_TRY(weir__compile_sources(c, o->piece, o->pieces, o->holes));
  WEIR_TRY(weir__compiler_agree(c, compile_operators(c, o)));
  WEIR_TRY(weir__compile_messages(c));
  weir_status status = weir__compile_dependencies(c);
  if (status >= 0 && c->comm) status = weir__compile_memory(c);
  return weir__compiler_agree(c, status);
}

static weir_status create(const weir__graph *graph, weir__comm *comm, int rank, int size,
                          const weir__plan_options *options, weir__plan **plan) {
  weir_status    status = WEIR_OK;
  weir__plan    *p      = NULL;
  weir__compiler c      = {.comm = comm};
  if (options->forwarders < 0 || options->forwarders >= size)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%d of %d workers are to forward only; at least one must own the analysis",
                     options->forwarders, size);
  WEIR_TRY(weir__alloc_zeroed(sizeof *p, 0, &p));
  *p     = (weir__plan){.graph          = graph,
                        .rank           = rank,
                        .size           = size,
                        .flight         = options->flight,
                        .forwarders     = options->forwarders,
                        .claimed_flight = options->claimed_flight,
                        .compiler       = &c};
  c.plan = p;
  WEIR_TRY_GOTO(out, compile(&c, options));
  p->compiler = NULL;
  *plan       = p;
  p           = NULL;
out:
  weir__free(c.dependency);
  weir__free(c.packet_slot);
  weir__free(c.later);
  weir__plan_destroy(&p);
  return status;
}

weir_status weir__plan_create(const weir__graph *graph, weir__comm *comm, const weir__plan_options *options,
                              weir__plan **plan) {
  return create(graph, comm, weir__comm_rank(comm), weir__comm_size(comm), options, plan);
}

weir_status weir__plan_create_alone(const weir__graph *graph, int rank, int size, const weir__plan_options *options,
                                    weir__plan **plan) {
  return create(graph, NULL, rank, size, options, plan);
}

void weir__plan_destroy(weir__plan **plan) {
  weir__plan *p = *plan;
  if (!p) return;
  for (int i = 0; p->call && i < p->graph->nodes; i++)
    if (p->call[i].context && p->call[i].op->release) p->call[i].op->release(p->call[i].context);
  weir__free(p->form);
  weir__free(p->box);
  weir__free(p->cell);
  weir__free(p->part);
  weir__free(p->gather);
  weir__free(p->bit);
  weir__free(p->task);
  weir__free(p->join);
  weir__free(p->packet_in);
  weir__free(p->packet_out);
  weir__free(p->memory);
  weir__free(p->state);
  weir__free(p->tokens);
  weir__arena_clear(&p->arena);
  weir__free(p);
  *plan = NULL;
}
