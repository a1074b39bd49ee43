/* What anybody uses of each node, and when: from the outputs to the sources. The same on every worker. */
#include "plan/compiler.h"
#include <math.h>

/* ---- one node's list of wants ---- */

static void include(weir_region *box, const weir_region *more) {
  for (int a = 0; a < more->rank; a++) {
    int64_t end = box->start[a] + box->count[a], more_end = more->start[a] + more->count[a];
    if (more->start[a] < box->start[a]) box->start[a] = more->start[a];
    box->count[a] = (more_end > end ? more_end : end) - box->start[a];
  }
}

static weir__want join(const weir__want *a, const weir__want *b) {
  weir__want both = {a->triggers | b->triggers, a->region};
  include(&both.region, &b->region);
  return both;
}

static bool covers(const weir__want *a, const weir__want *b) {
  return !(b->triggers & ~a->triggers) && weir__region_contains(&a->region, &b->region);
}

/* Elements in all steps, if every trigger fired equally often and no two together. */
static double volume(const weir__want *w) {
  return (double)weir__region_size(&w->region) * __builtin_popcountll(w->triggers);
}

static weir__want take(weir__wants *w, int i) {
  weir__want taken = w->want[i];
  w->want[i]       = w->want[--w->count];
  return taken;
}

/* Take the two whose union costs least more than they do. */
static weir__want take_cheapest_pair(weir__wants *w) {
  int    first = 0, second = 1;
  double least = INFINITY;
  for (int i = 0; i < w->count; i++)
    for (int k = i + 1; k < w->count; k++) {
      weir__want both = join(&w->want[i], &w->want[k]);
      double     more = volume(&both) - volume(&w->want[i]) - volume(&w->want[k]);
      if (more < least) least = more, first = i, second = k;
    }
  weir__want b = take(w, second), a = take(w, first); /* the later one first: it does not move the other */
  return join(&a, &b);
}

/* A want that one of the list covers is dropped, and those that it covers are; equal triggers become one box. What was
 * covered once stays covered, which is why repeating this comes to an end. */
static bool add(weir__wants *w, weir__want more) {
  for (int i = 0; i < w->count; i++)
    if (covers(&w->want[i], &more)) return false;
  for (;;) {
    for (int i = 0; i < w->count;) {
      bool equal = w->want[i].triggers == more.triggers;
      if (!equal && !covers(&more, &w->want[i])) {
        i++;
        continue;
      }
      weir__want taken = take(w, i);
      more             = join(&more, &taken);
      i                = 0; /* it has grown */
    }
    w->want[w->count++] = more;
    if (w->count <= WEIR__WANTS_MAX) return true;
    more = take_cheapest_pair(w);
  }
}

/* ---- spreading ---- */

/* A wrapped region may lie on both ends of an axis: then all of the axis is wanted. */
static void unwrap(weir_region *box, const weir_field_type *type) {
  for (int a = 0; a < box->rank; a++)
    if (box->start[a] < 0 || box->start[a] + box->count[a] > type->dim[a].size)
      box->start[a] = 0, box->count[a] = type->dim[a].size;
}

/* Chunks of operators are computed whole, so all that a touched chunk is made of is wanted, too. */
static void round_to_chunks(weir_region *box, const weir__grid *grid) {
  int64_t first[WEIR_RANK_MAX], last[WEIR_RANK_MAX];
  weir__grid_touched(grid, box, first, last);
  for (int a = 0; a < box->rank; a++) {
    box->start[a] = grid->edge[a][first[a]];
    box->count[a] = grid->edge[a][last[a] + 1] - box->start[a];
  }
}

static bool add_to_node(weir__plan *p, int number, uint64_t triggers, weir_region region) {
  const weir__node *node = &p->graph->node[number];
  if (node->op) round_to_chunks(&region, &node->grid);
  if (node->is_static || (node->op && node->op->state_size)) triggers = ~(uint64_t)0; /* read once; sees every step */
  return add(&p->wants[number], (weir__want){triggers, region});
}

/* What input k of a node must have for one of the node's wants. */
static weir_status add_need(weir__plan *p, int number, const weir__want *want, int k, bool *grown) {
  const weir__node *node = &p->graph->node[number];
  weir_region       need;
  if (weir__node_reduces(node)) need = weir__region_whole(node->in_type[k]);
  else WEIR_TRY(weir__node_need(node, k, &want->region, &need));
  unwrap(&need, node->in_type[k]);
  /* what is looked back at is needed in every step */
  *grown = add_to_node(p, node->input[k].node, node->lag[k] ? ~(uint64_t)0 : want->triggers, need);
  return WEIR_OK;
}

weir_status weir__compile_wanted(weir__compiler *c) {
  weir__plan        *p     = c->plan;
  const weir__graph *graph = p->graph;
  for (int i = 0; i < graph->nodes; i++)
    if (graph->node[i].triggers && graph->node[i].wanted)
      add_to_node(p, i, graph->node[i].triggers, weir__region_whole(&graph->node[i].type[0]));
  for (bool again = true; again;) { /* once is enough without recurrences */
    again = false;
    for (int i = graph->nodes - 1; i >= 0; i--) {
      weir__wants wants = p->wants[i];
      for (int k = 0; k < graph->node[i].inputs; k++)
        for (int n = 0; n < wants.count && graph->node[i].input[k].node >= 0; n++) {
          bool grown;
          WEIR_TRY(add_need(p, i, &wants.want[n], k, &grown));
          again |= grown && graph->node[i].input[k].node >= i;
        }
    }
  }
  for (int i = 0; i < graph->nodes; i++) {
    p->wanted[i].rank = -1;
    if (p->wants[i].count) p->wanted[i] = p->wants[i].want[0].region;
    for (int n = 1; n < p->wants[i].count; n++) include(&p->wanted[i], &p->wants[i].want[n].region);
  }
  return WEIR_OK;
}

/* ---- asking ---- */

uint64_t weir__plan_triggers(const weir__plan *plan, int node, const weir_region *region) {
  const weir__wants *w        = &plan->wants[node];
  uint64_t           triggers = 0;
  for (int n = 0; n < w->count; n++) {
    weir_region both;
    if (weir__region_intersect(&w->want[n].region, region, &both)) triggers |= w->want[n].triggers;
  }
  return triggers;
}

double weir__plan_rate(const weir__plan *plan, uint64_t triggers) {
  double rate = 0;
  if (triggers == ~(uint64_t)0) return 1;
  for (int t = 0; t < plan->graph->triggers; t++)
    if (triggers >> t & 1 && plan->graph->trigger[t].period > 0) rate += 1 / (double)plan->graph->trigger[t].period;
  return rate;
}

void weir__plan_wants(const weir__plan *plan, int node, const weir_region *region, weir__wants *wants) {
  wants->count = 0;
  for (int n = 0; n < plan->wants[node].count; n++) {
    weir__want want = plan->wants[node].want[n];
    if (weir__region_intersect(&plan->wants[node].want[n].region, region, &want.region)) add(wants, want);
  }
}

bool weir__wants_hull(const weir__wants *wants, weir_region *hull) {
  for (int n = 0; n < wants->count; n++) {
    if (!n) *hull = wants->want[0].region;
    else include(hull, &wants->want[n].region);
  }
  return wants->count > 0;
}
