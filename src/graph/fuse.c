/* What need not be stored. Who looks at lag(u, k) is given what is kept of u anyway; a reduction looks through it only
 * beside its first field, whose chunks of this step it follows.
 *
 * Arithmetic that only a reduction looks at, or a few if it is cheap, is computed where it is reduced, tile by tile in
 * the cache: mean(sin(sqrt(x + 1))) reads x once and writes nothing. A reduction may be fed in any grouping (see
 * operator.h), so its result is the same to the bit; values are rounded to the type they would have been stored in. */
#include "graph/kernel.h"
#include <string.h>

enum { TILE = 8192 }; /* elements: 64 KiB of doubles stay in the second-level cache, next to their inputs */

typedef struct fused {
  const weir_operator *op; /* the reduction */
  const void          *params;
  const weir_field_type
      *in_type[WEIR_INPUTS_MAX]; /* as the reduction sees them: the arithmetic's result, then its own others */
  const weir__kernel_params *kernel;
  int                        place[WEIR_INPUTS_MAX]; /* input i of the kernel is input place[i] of the fused operator */
  int                        others;                 /* inputs 1, 2 ... of the reduction come after the kernel's */
} fused;

static size_t partial_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const fused *f = params;
  (void)in;
  return f->op->partial_size(f->params, f->in_type, out);
}

static void begin(const void *params, const weir_field_type *const *in, const weir_region *out, void *partial) {
  const fused *f = params;
  (void)in;
  if (f->op->begin) f->op->begin(f->params, f->in_type, out, partial);
}

static void combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                    const void *from) {
  const fused *f = params;
  (void)in;
  f->op->combine(f->params, f->in_type, out, into, from);
}

static size_t align(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const fused *f = params;
  (void)in;
  return TILE * sizeof(double) + align(weir__kernel_scratch(f->kernel)) +
         (f->op->scratch_size ? f->op->scratch_size(f->params, f->in_type, out) : 0);
}

static weir_apply inner(const weir_apply *a, const fused *f) {
  weir_apply b = *a;
  b.params     = f->params;
  b.inputs     = 1 + f->others;
  b.in_type    = f->in_type;
  b.scratch    = (char *)a->scratch + TILE * sizeof(double) + align(weir__kernel_scratch(f->kernel));
  return b;
}

static weir_status finish(const weir_apply *a) {
  const fused *f = a->params;
  weir_view    in[WEIR_INPUTS_MAX];
  weir_apply   b = inner(a, f);
  memset(in, 0, sizeof in);
  b.in = in;
  return f->op->finish(&b);
}

/* What one tile is worth: computed, rounded, reduced. */
static weir_status reduce_tile(const weir_apply *a, const fused *f, const weir_view *inputs, const weir_region *tile) {
  weir_view       in[WEIR_INPUTS_MAX];
  weir_apply      b    = inner(a, f);
  double         *data = a->scratch;
  weir_field_type type = *f->in_type[0];
  weir__kernel_eval(f->kernel, a, inputs, *tile, data, (char *)a->scratch + TILE * sizeof(double));
  if (type.dtype == WEIR_F32)
    for (int64_t i = 0, n = weir__region_size(tile); i < n; i++) data[i] = (float)data[i];
  type.dtype    = WEIR_F64;
  type.has_fill = false;
  in[0]         = weir__view_dense(data, &type, tile);
  for (int i = 0; i < f->others; i++) {
    in[1 + i] = a->in[f->kernel->inputs + i];
    if (!in[1 + i].data) continue;
    weir_region box = weir__region_by_name(f->in_type[0], tile, f->in_type[1 + i]);
    in[1 + i]       = weir__view_narrow(&in[1 + i], &box);
  }
  b.in = in;
  return f->op->apply(&b);
}

/* Tiles are runs of the last axis, or rows of it together; leading axes one index at a time. */
static weir_status apply(const weir_apply *a) {
  const fused     *f     = a->params;
  const weir_view *whole = &a->in[0];
  weir_view        inputs[WEIR_INPUTS_MAX];
  weir_region      tile = {.rank = whole->rank};
  int              rank = whole->rank, last = rank - 1;
  for (int i = 0; i < f->kernel->inputs; i++) inputs[i] = a->in[f->place[i]];
  int64_t row = rank ? whole->count[last] : 1, run = row < TILE ? row : TILE,
          rows = rank > 1 && run == row ? TILE / row : 1;
  int64_t step[WEIR_RANK_MAX], at[WEIR_RANK_MAX] = {0};
  for (int d = 0; d < rank; d++) step[d] = d == last ? run : d == last - 1 ? rows : 1;
  for (;;) {
    for (int d = 0; d < rank; d++) {
      int64_t left  = whole->count[d] - at[d];
      tile.start[d] = whole->start[d] + at[d];
      tile.count[d] = step[d] < left ? step[d] : left;
    }
    WEIR_TRY(reduce_tile(a, f, inputs, &tile));
    int d = last;
    for (; d >= 0; d--) {
      at[d] += step[d];
      if (at[d] < whole->count[d]) break;
      at[d] = 0;
    }
    if (d < 0) return WEIR_OK;
  }
}

static const weir_operator fused_reduction = {.api          = WEIR_OPERATOR_API,
                                              .name         = "fused reduction",
                                              .summary      = "a reduction of arithmetic that is not stored",
                                              .inputs       = 1,
                                              .params_size  = sizeof(fused),
                                              .apply        = apply,
                                              .scratch_size = scratch_size,
                                              .partial_size = partial_size,
                                              .begin        = begin,
                                              .combine      = combine,
                                              .finish       = finish};

/* ---- the rewriting ---- */

static bool may_be_fed(const weir__node *r) {
  return weir__node_reduces(r) && !r->op->accepts_missing && !r->op->in_order && !r->op->prepare && !r->lag[0];
}

/* Computing a field again costs less than storing it and reading it back, for so few operations and users. */
static bool is_cheap(const weir__kernel_params *kernel, int users) {
  enum { USERS = 3, INSTRUCTIONS = 8 };
  for (int i = 0; i < kernel->instructions; i++) {
    weir__op op = kernel->code[i].op;
    if ((op >= WEIR__OP_EXP && op <= WEIR__OP_TANH) || op == WEIR__OP_POW ||
        (op >= WEIR__OP_ATAN2 && op <= WEIR__OP_MOD))
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
  const weir__node *a    = &graph->node[r->input[0].node];
  int               lead = leading_input(graph, a), n = 0;
  weir__node        was = *r;
  fused            *f;
  if (lead < 0) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&graph->arena, sizeof *f, &f));
  *f = (fused){.op = r->op, .params = r->params, .kernel = a->params, .others = r->inputs - 1};
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
  r->inputs = n;
  r->op     = &fused_reduction;
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
    if (may_fuse(graph, &graph->node[i])) WEIR_TRY(fuse(graph, &graph->node[i]));
  return WEIR_OK;
}
