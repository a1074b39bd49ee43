/* What goes back to the simulation: the regions of feedback fields that processes of this worker's node asked for, and
 * the decisions, which every worker hears of. */
#include "plan/compiler.h"
#include <string.h>

/* A task whose steps keep their order. */
static weir_status ordered_task(weir__compiler *c, weir__task_kind kind, int node, int *task) {
  weir__plan *p = c->plan;
  WEIR_TRY(weir__compiler_new_task(c, (weir__task){.kind = kind, .node = node, .bit = p->bits, .partial = -1}, task));
  return weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, *task}, *task, true);
}

static weir_status gather_alone(weir__compiler *c, int task, weir__edge edge, const weir_region *region, int number) {
  weir__plan *p       = c->plan;
  size_t      scratch = 0;
  weir__bit   bit     = {.chunk = number, .gather = p->gathers, .cell = -1, .triggers = ~(uint64_t)0};
  WEIR_TRY(weir__compiler_gather(c, task, edge, 0, 0, region, &scratch));
  if (scratch > p->scratch_bytes) p->scratch_bytes = scratch;
  p->task[task].bits = 1;
  return weir__compiler_new_bit(c, bit);
}

static weir_status check_feedback(const weir__graph *graph, const weir__local_feedback *local) {
  const weir__feedback *f = &graph->feedback[local->feedback];
  char                  text[2][200];
  if (!graph->node[f->edge.node].wanted || !graph->node[f->edge.node].triggers)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "feedback field %s is not computed in any step", f->name);
  weir_region whole = weir__region_whole(weir__edge_type(graph, f->edge));
  if (local->region.rank != whole.rank || !weir__region_contains(&whole, &local->region))
    return WEIR_FAIL(WEIR_ERR_INPUT, "feedback field %s: a process asks for %s, expected a region of %s", f->name,
                     weir__region_text(&local->region, text[0]), weir__region_text(&whole, text[1]));
  return WEIR_OK;
}

static weir_status check_decisions(const weir__graph *graph) {
  const weir__node *node = &graph->node[graph->decisions.node];
  if (!node->wanted || !node->triggers || weir__grid_count(&node->grid) != 1 || node->type[0].rank != 1 ||
      node->type[0].dtype != WEIR_F64)
    return WEIR_FAIL(WEIR_ERR_INTERNAL,
                     "decisions (%s) must be wanted, and one chunk of float64 along one axis; it is %s of rank %d in "
                     "%lld chunks",
                     node->name, weir_dtype_name(node->type[0].dtype), node->type[0].rank,
                     (long long)weir__grid_count(&node->grid));
  return WEIR_OK;
}

/* The decisions of a step are passed on after its fields, so that the horizon never passes a field on its way. */
static weir_status compile_decide(weir__compiler *c, int first_delivery, int last_delivery) {
  const weir__graph *graph = c->plan->graph;
  int                node  = graph->decisions.node, task;
  if (node < 0 && !graph->feedbacks) return WEIR_OK;
  WEIR_TRY(ordered_task(c, WEIR__TASK_DECIDE, node, &task));
  for (int t = first_delivery; t < last_delivery; t++)
    WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, t}, task, false));
  if (node < 0) return WEIR_OK;
  WEIR_TRY(check_decisions(graph));
  weir_region whole = weir__region_whole(&graph->node[node].type[0]);
  return gather_alone(c, task, (weir__edge){node, 0}, &whole, 0);
}

weir_status weir__compile_steering(weir__compiler *c, const weir__local_feedback *feedback, int count) {
  weir__plan *p     = c->plan;
  int         first = p->tasks, task;
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)count * sizeof *p->feedback, &p->feedback));
  if (count) memcpy(p->feedback, feedback, (size_t)count * sizeof *feedback);
  p->feedbacks = count;
  for (int i = 0; i < count; i++) {
    weir__edge edge = p->graph->feedback[feedback[i].feedback].edge;
    if (!weir__region_size(&feedback[i].region)) continue;
    WEIR_TRY(check_feedback(p->graph, &feedback[i]));
    WEIR_TRY(ordered_task(c, WEIR__TASK_DELIVER, edge.node, &task));
    WEIR_TRY(gather_alone(c, task, edge, &feedback[i].region, i));
  }
  return compile_decide(c, first, p->tasks);
}
