/* Tasks of plain operators: small chunks together, and, where the operator allows it, several in one call. */
#include "plan/compiler.h"
#include <string.h>

/* Chunks that one call computes. */
typedef struct run {
  int64_t     first, count;
  weir_region region;
  weir_region need[WEIR_INPUTS_MAX]; /* of the inputs that are given */
  uint64_t    triggers;
  double      elements; /* of the result and the inputs */
} run;

/* What a call on r->region looks at. */
static weir_status find_needs(const weir__node *node, run *r) {
  r->elements = (double)weir__region_size(&r->region);
  for (int i = 0; i < node->inputs; i++) {
    if (node->input[i].node < 0) continue;
    WEIR_TRY(weir__node_need(node, i, &r->region, &r->need[i]));
    r->elements += (double)weir__region_size(&r->need[i]);
  }
  return WEIR_OK;
}

/* A gather for each input, an empty one for those not given. */
static weir_status add_inputs(weir__compiler *c, int number, int task, const run *r) {
  const weir__node *node    = &c->plan->graph->node[number];
  size_t            scratch = 0;
  for (int i = 0; i < node->inputs; i++) {
    if (node->input[i].node < 0) {
      WEIR_TRY(weir__compiler_new_gather(c, (weir__gather){.cell = -1}, NULL));
      continue;
    }
    WEIR_TRY(weir__compiler_gather(c, task, node->input[i], node->lag[i], node->wrap[i], &r->need[i], &scratch));
  }
  weir__compiler_scratch(c, node, &r->region, scratch);
  return WEIR_OK;
}

/* Has a task of so many elements enough to do? */
static bool is_full(const weir__node *node, double held) {
  double cost = node->op->work > 0 ? node->op->work : 1;
  return held * cost >= WEIR__TASK_ELEMENTS;
}

/* Is a region of an input that this worker computes seen as it lies, cut into chunks or not? */
static bool lies_here(const weir__compiler *c, int user, weir__edge from, const weir_region *region) {
  const weir__plan *p    = c->plan;
  const weir__node *node = &p->graph->node[from.node];
  int64_t           first[WEIR_RANK_MAX], last[WEIR_RANK_MAX];
  weir_region       whole = weir__region_whole(&node->type[from.output]);
  if (c->where[from.node] != c->where[user] || !c->sequence[from.node] || !weir__region_contains(&whole, region))
    return false;
  weir__grid_touched(&node->grid, region, first, last);
  int64_t a = weir__grid_ravel(&node->grid, first), b = weir__grid_ravel(&node->grid, last);
  if (a < c->first[from.node] || b >= c->end[from.node]) return false;
  int cell = c->cell[from.node] + from.output, outputs = node->outputs;
  return weir__compiler_side_by_side(c, from.node, cell + (int)(a - c->first[from.node]) * outputs,
                                     cell + (int)(b - c->first[from.node]) * outputs);
}

/* May one call compute the chunks of `r` and the next one, `next`: those of `longer`? What it sees of an input must lie
 * as one then, if not all chunks see the same. */
static bool goes_on(const weir__compiler *c, int number, const run *r, const run *next, const run *longer) {
  const weir__node *node = &c->plan->graph->node[number];
  int               cell = c->cell[number] + (int)(r->first - c->first[number]);
  if (!weir__compiler_side_by_side(c, number, cell, cell + (int)r->count)) return false;
  for (int i = 0; i < node->inputs; i++) {
    const weir_region *all = &longer->need[i];
    if (node->input[i].node < 0) continue;
    bool same = weir__region_equal(&r->need[i], all) && weir__region_equal(&next->need[i], all);
    if (!same && !lies_here(c, number, node->input[i], all)) return false;
  }
  return true;
}

static bool may_share(const weir__node *node) {
  const weir_operator *op = node->op;
  return (op->in_boxes || op->in_tiles) && op->outputs <= 1 && !op->state_size && !op->in_order &&
         !op->accepts_missing && !node->check_finite;
}

/* As many chunks as one call may compute, and a task that holds so much has room for. */
static weir_status find_run(const weir__compiler *c, int number, double held, run *r) {
  const weir__plan *p    = c->plan;
  const weir__node *node = &p->graph->node[number];
  WEIR_TRY(find_needs(node, r));
  while (may_share(node) && r->first + r->count < c->end[number]) {
    run next = {.region = weir__grid_region(&node->grid, r->first + r->count)}, longer = *r;
    int axis = weir__region_follows(&r->region, &next.region);
    if (axis < 0 || weir__plan_triggers(p, number, &next.region) != r->triggers) break;
    longer.count++;
    longer.region.count[axis] += next.region.count[axis];
    WEIR_TRY(find_needs(node, &longer));
    if (is_full(node, held + longer.elements)) break;
    WEIR_TRY(find_needs(node, &next));
    if (!goes_on(c, number, r, &next, &longer)) break;
    *r = longer;
  }
  return WEIR_OK;
}

weir_status weir__compile_apply(weir__compiler *c, int number) {
  weir__plan       *p    = c->plan;
  const weir__node *node = &p->graph->node[number];
  int               task = -1;
  double            held = 0; /* elements in the task so far */
  for (int64_t chunk = c->first[number]; chunk < c->end[number];) {
    run r      = {.first = chunk, .count = 1, .region = weir__grid_region(&node->grid, chunk)};
    r.triggers = weir__plan_triggers(p, number, &r.region);
    if (!r.triggers) { /* nobody looks at this chunk */
      chunk++;
      continue;
    }
    if (task < 0 || is_full(node, held)) {
      WEIR_TRY(weir__compiler_new_task(
          c, (weir__task){.kind = WEIR__TASK_APPLY, .node = number, .bit = p->bits, .partial = -1}, &task));
      held = 0;
      if (node->op->state_size || node->op->in_order)
        WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, task}, task, true));
    }
    WEIR_TRY(find_run(c, number, held, &r));
    int64_t   mine = chunk - c->first[number];
    weir__bit bit  = {.chunk    = chunk,
                      .chunks   = (int)r.count,
                      .gather   = p->gathers,
                      .cell     = c->cell[number] + (int)mine * node->outputs,
                      .state    = p->state_bytes,
                      .triggers = r.triggers};
    if (r.count > 1) WEIR_TRY(weir__compiler_new_box(c, &r.region, &bit.box));
    if (node->op->state_size)
      p->state_bytes += (node->op->state_size(node->params, node->in_type, &r.region) + 63) & ~(size_t)63;
    WEIR_TRY(add_inputs(c, number, task, &r));
    WEIR_TRY(weir__compiler_new_bit(c, bit));
    p->task[task].bits++;
    for (int64_t i = 0; i < r.count; i++)
      c->task_of[c->task_at[number] + mine + i] = (weir__emitter){WEIR__EMIT_TASK, task};
    held += r.elements;
    chunk += r.count;
  }
  return WEIR_OK;
}
