/* What need not be stored. Who looks at lag(u, k) is given what is kept of u anyway; a reduction looks through it only
 * beside its first field, whose chunks of this step it follows.
 *
 * What only one expression looks at, of an operator that says of itself that it may be computed tile by tile, is
 * computed there: ddx(v) - ddy(u) reads u and v and writes the vorticity.
 *
 * Arithmetic that only a reduction looks at, or a few if it is cheap, is computed where it is reduced, tile by tile in
 * the cache: mean(sin(sqrt(x + 1))) reads x once and writes nothing. A reduction may be fed in any grouping (see
 * operator.h), so its result is the same to the bit; values are rounded to the type they would have been stored in. */
#include "graph/fused.h"
#include <string.h>

/* ---- neighbours ---- */

static int users_of(const weir__graph *graph, int node) {
  int users = 0;
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].inputs; k++) users += graph->node[i].input[k].node == node;
  return users;
}

/* Does it follow from its inputs' regions alone, as who says `in_tiles` promises? */
static bool is_plain(const weir_operator *op) {
  return op->need && op->outputs <= 1 && !op->partial_size && !op->state_size && !op->prepare && !op->in_order &&
         !op->accepts_missing;
}

/* May input k of the arithmetic be made where it is looked at? */
static bool may_be_made(const weir__graph *graph, const weir__node *a, int k) {
  const weir__kernel_params *kernel = a->params;
  const weir__node          *s      = a->input[k].node < 0 ? NULL : &graph->node[a->input[k].node];
  if (!s || !s->op || !s->op->in_tiles || !is_plain(s->op) || a->lag[k] || s->inputs != 1 || s->input[0].node < 0 ||
      s->lag[0])
    return false;
  if (s->wanted || s->check_finite || s->is_static != a->is_static || s->own_pace != a->own_pace ||
      s->on_failure != a->on_failure)
    return false;
  if (s->type[0].rank != kernel->type.rank) return false;
  for (int r = 0; r < kernel->type.rank; r++)
    if (kernel->axis[k][r] != r) return false;
  return users_of(graph, a->input[k].node) == 1;
}

static weir_status feed(weir__graph *graph, weir__node *a) {
  bool       made[WEIR_INPUTS_MAX], any = false;
  weir__fed *f;
  for (int i = 0; i < a->inputs; i++) any |= made[i] = may_be_made(graph, a, i);
  if (!any) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&graph->arena, sizeof *f, &f));
  *f = (weir__fed){.kernel = a->params};
  for (int i = 0; i < a->inputs; i++) {
    if (!made[i]) continue;
    weir__node *s = &graph->node[a->input[i].node];
    f->feed[i]    = (weir__feed){s->op, s->params, s->in_type[0], &s->type[0], s->wrap[0]};
    s->inner      = true;
    a->input[i]   = s->input[0];
    a->in_type[i] = s->in_type[0];
    a->wrap[i]    = s->wrap[0];
  }
  a->op     = &weir__operator_fed_arithmetic;
  a->params = f;
  return WEIR_OK;
}

/* ---- reductions ---- */

static bool may_be_fed(const weir__node *r) {
  return weir__node_reduces(r) && !r->op->accepts_missing && !r->op->in_order && !r->op->prepare && !r->lag[0];
}

/* Computing a field again costs less than storing it and reading it back, for so few operations and users. */
static bool is_cheap(const weir__kernel_params *kernel, int users) {
  enum { USERS = 3, INSTRUCTIONS = 8 };
  for (int i = 0; i < kernel->instructions; i++) {
    weir__op op = kernel->code[i].op;
    if (weir__op_is_long(op) || op == WEIR__OP_POW || (op >= WEIR__OP_ATAN2 && op <= WEIR__OP_MOD) ||
        (op >= WEIR__OP_EXP_DIV && op <= WEIR__OP_COS_DIV))
      return false;
  }
  return users <= USERS && kernel->instructions <= INSTRUCTIONS;
}

/* Is the node looked at by reductions alone, as their first field; by one, or is it cheap? */
static bool is_for_reductions(const weir__graph *graph, int node) {
  int users = 0;
  for (int i = 0; i < graph->nodes; i++)
    for (int k = 0; k < graph->node[i].inputs; k++) {
      if (graph->node[i].input[k].node != node) continue;
      if (k || !may_be_fed(&graph->node[i])) return false;
      users++;
    }
  return users == 1 || is_cheap(graph->node[node].params, users);
}

static bool may_fuse(const weir__graph *graph, const weir__node *r) {
  if (!may_be_fed(r) || r->input[0].node < 0) return false;
  const weir__node *a = &graph->node[r->input[0].node];
  return a->op == &weir__operator_arithmetic && !a->wanted && !a->check_finite &&
         a->inputs + r->inputs - 1 <= WEIR_INPUTS_MAX && is_for_reductions(graph, r->input[0].node);
}

/* The input of the arithmetic that is of this step, has all its dimensions and is cut as it is: -1 when there is none.
 */
static int leading_input(const weir__graph *graph, const weir__node *a) {
  for (int i = 0; i < a->inputs; i++) {
    const weir_field_type *type = a->in_type[i];
    if (!a->lag[i] && type->rank == a->type[0].rank && weir__grid_equal(&graph->node[a->input[i].node].grid, &a->grid))
      return i;
  }
  return -1;
}

static weir_status fuse(weir__graph *graph, weir__node *r) {
  weir__node  *a    = &graph->node[r->input[0].node];
  int          lead = leading_input(graph, a), n = 0;
  weir__node   was = *r;
  weir__fused *f;
  if (lead < 0) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&graph->arena, sizeof *f, &f));
  *f = (weir__fused){.op = r->op, .params = r->params, .kernel = a->params, .others = r->inputs - 1};
  memcpy(f->in_type, r->in_type, sizeof f->in_type);
  for (int i = 0; i < a->inputs; i++) f->place[i] = i == lead ? 0 : i < lead ? i + 1 : i;
  for (int i = 0; i < a->inputs; i++) {
    r->input[f->place[i]]   = a->input[i];
    r->in_type[f->place[i]] = a->in_type[i];
    r->lag[f->place[i]]     = a->lag[i];
  }
  for (n = a->inputs; n < a->inputs + was.inputs - 1; n++) {
    r->input[n]   = was.input[n - a->inputs + 1];
    r->in_type[n] = was.in_type[n - a->inputs + 1];
    r->lag[n]     = was.lag[n - a->inputs + 1];
  }
  a->inner  = true;
  r->inputs = n;
  r->op     = &weir__operator_fused_reduction;
  r->params = f;
  return WEIR_OK;
}

/* What gives its input unchanged, of some steps ago, is passed over. */
static void look_through(const weir__graph *graph, weir__node *user, int input) {
  for (;;) {
    int from = user->input[input].node;
    if (from < 0) return;
    const weir__node *same = &graph->node[from];
    if (!same->op || !same->op->identity || same->check_finite || same->own_pace != user->own_pace ||
        same->input[0].node < 0)
      return;
    user->lag[input] += same->lag[0];
    user->input[input] = same->input[0];
  }
}

weir_status weir__graph_fuse(weir__graph *graph) {
  for (int i = 0; i < graph->nodes; i++)
    for (int k = weir__node_reduces(&graph->node[i]); k < graph->node[i].inputs; k++)
      look_through(graph, &graph->node[i], k);
  for (int i = 0; i < graph->nodes; i++)
    if (graph->node[i].op == &weir__operator_arithmetic) WEIR_TRY(feed(graph, &graph->node[i]));
  for (int i = 0; i < graph->nodes; i++)
    if (may_fuse(graph, &graph->node[i])) WEIR_TRY(fuse(graph, &graph->node[i]));
  return WEIR_OK;
}
