/* Tasks of plain operators: one bit per chunk, small chunks together. */
#include "plan/compiler.h"
#include <string.h>

/* The inputs of one chunk: a gather each, an empty one for those not given. */
static weir_status add_inputs(weir__compiler *c, int number, int task, const weir_region *out) {
  const weir__node *node    = &c->plan->graph->node[number];
  size_t            scratch = 0;
  for (int i = 0; i < node->inputs; i++) {
    weir_region need;
    if (node->input[i].node < 0) {
      WEIR_TRY(weir__compiler_new_gather(c, (weir__gather){.cell = -1}, NULL));
      continue;
    }
    WEIR_TRY(weir__node_need(node, i, out, &need));
    WEIR_TRY(weir__compiler_gather(c, task, node->input[i], node->lag[i], node->wrap[i], &need, &scratch));
  }
  weir__compiler_scratch(c, node, out, scratch);
  return WEIR_OK;
}

static double elements(const weir__plan *p, const weir__gather *g) {
  weir_region region = weir__plan_region(p, g);
  return g->parts ? (double)weir__region_size(&region) : 0;
}

weir_status weir__compile_apply(weir__compiler *c, int number) {
  weir__plan       *p    = c->plan;
  const weir__node *node = &p->graph->node[number];
  int               task = -1;
  double            cost = node->op->work > 0 ? node->op->work : 1;
  double            held = 0; /* elements in the task so far */
  for (int64_t chunk = c->first[number]; chunk < c->end[number]; chunk++) {
    weir_region region   = weir__grid_region(&node->grid, chunk);
    int64_t     mine     = chunk - c->first[number];
    uint64_t    triggers = weir__plan_triggers(p, number, &region);
    if (!triggers) continue; /* nobody looks at this chunk */
    if (task < 0 || held * cost >= WEIR__TASK_ELEMENTS) {
      WEIR_TRY(weir__compiler_new_task(
          c, (weir__task){.kind = WEIR__TASK_APPLY, .node = number, .bit = p->bits, .partial = -1}, &task));
      held = 0;
      if (node->op->state_size || node->op->in_order)
        WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, task}, task, true));
    }
    weir__bit bit = {.chunk    = chunk,
                     .gather   = p->gathers,
                     .cell     = c->cell[number] + (int)mine * node->outputs,
                     .state    = p->state_bytes,
                     .triggers = triggers};
    if (node->op->state_size)
      p->state_bytes += (node->op->state_size(node->params, node->in_type, &region) + 63) & ~(size_t)63;
    WEIR_TRY(add_inputs(c, number, task, &region));
    WEIR_TRY(weir__compiler_new_bit(c, bit));
    p->task[task].bits++;
    c->task_of[c->task_at[number] + mine] = (weir__emitter){WEIR__EMIT_TASK, task};
    held += (double)weir__region_size(&region);
    for (int i = 0; i < node->inputs; i++) held += elements(p, &p->gather[bit.gather + i]);
  }
  return WEIR_OK;
}
