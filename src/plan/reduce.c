/* Reductions: own chunks into partial results, these into one, and partial results of workers down a binomial tree.
 * Operators promise that the order of combining does not change a bit, so the tree may follow the workers. */
#include "plan/compiler.h"
#include <stdlib.h>
#include <string.h>

/* A partial result's chunk r and the input chunk c that goes into it. */
typedef struct pair {
  int64_t r, c;
} pair;

static int by_result(const void *a, const void *b) {
  const pair *x = a, *y = b;
  return x->r != y->r ? (x->r < y->r ? -1 : 1) : x->c < y->c ? -1 : x->c > y->c;
}

static const weir__grid *input_grid(const weir__compiler *c, const weir__node *node) {
  return &c->plan->graph->node[node->input[0].node].grid;
}

/* The chunk of the result that an input chunk goes into. */
static int64_t project(const weir__compiler *c, const weir__node *node, int64_t chunk) {
  int64_t from[WEIR_RANK_MAX], to[WEIR_RANK_MAX] = {0};
  weir__grid_unravel(input_grid(c, node), chunk, from);
  for (int k = 0; k < node->grid.rank; k++)
    if (node->from_axis[k] >= 0) to[k] = from[node->from_axis[k]];
  return weir__grid_ravel(&node->grid, to);
}

/* ---- who contributes to a chunk of the result ----
 *
 * Contributions are numbered so that their workers never go down: for a result of one chunk they are the workers that
 * own any of the input, else the chunks of the input that go into the result. The tree is over places: those of the
 * contributions, beginning with the root's and going round; the root's own when it contributes nothing. A worker has
 * several places, side by side. It stands for them at the one with most zero bits at its end, and its parent is the
 * worker at that place without its lowest bit; so there are as many levels as bits, each worker sends once, and finds
 * its partners by bisection: nothing here is a list of workers or of chunks. */

typedef struct tree {
  int     root, source; /* worker; node of the input */
  bool    by_worker;    /* contributions are workers; else the chunks of a box: */
  int64_t first[WEIR_RANK_MAX], last[WEIR_RANK_MAX];
  int64_t contributions, shift; /* the root's first one; -1: it has none */
  int64_t places, from, end;    /* of this worker */
  int64_t name;                 /* equal for trees of the same shape */
} tree;

static int contributor(const weir__compiler *c, const tree *t, int64_t k) {
  const weir__plan *p    = c->plan;
  const weir__grid *grid = &p->graph->node[t->source].grid;
  int64_t           size = p->size - p->forwarders, index[WEIR_RANK_MAX];
  if (t->by_worker && t->contributions > 1)
    return p->forwarders + (int)(t->contributions < size ? (__int128)k * size / t->contributions : k);
  for (int a = grid->rank - 1; a >= 0; a--) {
    int64_t n = t->last[a] - t->first[a] + 1;
    index[a]  = t->first[a] + k % n;
    k /= n;
  }
  return weir__owner(p, t->source, weir__grid_ravel(grid, index));
}

/* How many contributions are those of workers before this one. */
static int64_t contributions_before(const weir__compiler *c, const tree *t, int worker) {
  int64_t low = 0, high = t->contributions;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (contributor(c, t, middle) < worker) low = middle + 1;
    else high = middle;
  }
  return low;
}

static int worker_at(const weir__compiler *c, const tree *t, int64_t place) {
  if (t->shift < 0) return place ? contributor(c, t, place - 1) : t->root;
  return contributor(c, t, (t->shift + place) % t->contributions);
}

/* The places of a worker; false: it has none. */
static bool places_of(const weir__compiler *c, const tree *t, int worker, int64_t *from, int64_t *end) {
  int64_t first = contributions_before(c, t, worker), count = contributions_before(c, t, worker + 1) - first;
  if (t->shift < 0) *from = worker == t->root ? 0 : first + 1;
  else *from = first < t->shift ? first - t->shift + t->contributions : first - t->shift;
  if (t->shift < 0 && worker == t->root) count = 1;
  *end = *from + count;
  return count > 0;
}

/* Of the places [from, end), the one with most zero bits at its end. */
static int64_t highest(int64_t from, int64_t end) {
  int64_t place = end - 1;
  while (place && (place & (place - 1)) >= from) place &= place - 1;
  return place;
}

/* False: this worker has no part in it. */
static bool tree_of(const weir__compiler *c, int number, int64_t r, tree *t) {
  const weir__plan *p      = c->plan;
  const weir__node *node   = &p->graph->node[number];
  const weir__grid *grid   = input_grid(c, node);
  int64_t           chunks = weir__grid_count(grid), size = p->size - p->forwarders, to[WEIR_RANK_MAX], end;
  *t = (tree){.root = c->plan->rank, .source = node->input[0].node, .shift = -1, .places = 1, .end = 1};
  if (c->where[number] != WEIR__OWNED) return true; /* all of it here */
  t->root          = weir__owner(p, number, r);
  t->by_worker     = weir__grid_count(&node->grid) == 1;
  t->contributions = 1;
  weir__grid_unravel(&node->grid, r, to);
  for (int a = 0; a < grid->rank; a++) t->last[a] = grid->chunks[a] - 1;
  for (int k = 0; k < node->grid.rank; k++)
    if (node->from_axis[k] >= 0) t->first[node->from_axis[k]] = t->last[node->from_axis[k]] = to[k];
  for (int a = 0; a < grid->rank; a++) t->contributions *= t->last[a] - t->first[a] + 1;
  if (t->by_worker) t->contributions = chunks < size ? chunks : size;
  t->name = (int64_t)number << 32 | r;
  if (t->by_worker) t->name = -1 - t->contributions - (chunks == 1 ? size * (1 + contributor(c, t, 0)) : 0);
  int64_t own = contributions_before(c, t, t->root);
  if (own < t->contributions && contributor(c, t, own) == t->root) t->shift = own;
  t->places = t->contributions + (t->shift < 0);
  bool has  = places_of(c, t, p->rank, &t->from, &end);
  t->end    = end;
  return has;
}

/* The workers that send their partial results to this one: those whose place is one of its own and one lower bit. Only
 * places from which that leads out of its own are looked at. */
enum { CHILDREN_MOST = 64 };
static int children_of(const weir__compiler *c, const tree *t, int child[CHILDREN_MOST]) {
  int     children = 0;
  int64_t place    = t->end - 1, from, end;
  for (;;) {
    for (int64_t step = 1; place + step < t->places && (!place || step < (place & -place)); step *= 2) {
      if (place + step < t->end) continue;
      int worker = worker_at(c, t, place + step);
      if (places_of(c, t, worker, &from, &end) && highest(from, end) == place + step) child[children++] = worker;
    }
    if (!place || (place & (place - 1)) < t->from) return children;
    place &= place - 1;
  }
}

/* ---- tasks ---- */

static weir_status partial_cell(weir__compiler *c, const weir__node *node, const weir_region *out, int *cell) {
  size_t bytes   = node->op->partial_size(node->params, node->in_type, out);
  bool   claimed = c->where[node - c->plan->graph->node] == WEIR__CLAIMED_BY_STEP;
  *cell          = weir__compiler_new_cell(c, (weir__cell){.bytes      = bytes,
                                                           .ring       = claimed ? c->plan->claimed_flight : c->plan->flight,
                                                           .slot_piece = -1,
                                                           .message    = -1,
                                                           .claimed    = claimed,
                                                           .region     = *out});
  return *cell < 0 ? WEIR_ERR_MEMORY : WEIR_OK;
}

static weir_status add_join(weir__compiler *c, int cell) {
  weir__plan *p = c->plan;
  WEIR_TRY(weir__grow(&p->join, (size_t)p->joins + 1, &p->join_capacity, sizeof cell));
  p->join[p->joins++] = cell;
  return WEIR_OK;
}

static weir_status add_bit(weir__compiler *c, int number, int task, int64_t chunk, uint64_t triggers, size_t *scratch) {
  weir__plan       *p      = c->plan;
  const weir__node *node   = &p->graph->node[number];
  weir_region       region = weir__grid_region(input_grid(c, node), chunk);
  weir__bit         bit    = {.chunk = chunk, .gather = p->gathers, .cell = -1, .triggers = triggers};
  *scratch                 = 0;
  for (int i = 0; i < node->inputs; i++) {
    if (node->input[i].node < 0) {
      WEIR_TRY(weir__compiler_new_gather(c, (weir__gather){.cell = -1}, NULL));
      continue;
    }
    weir_region need = i ? weir__region_by_name(node->in_type[0], &region, node->in_type[i]) : region;
    WEIR_TRY(weir__compiler_gather(c, task, node->input[i], node->lag[i], 0, &need, scratch));
  }
  WEIR_TRY(weir__compiler_new_bit(c, bit));
  p->task[task].bits++;
  return WEIR_OK;
}

typedef enum meeting { APART, SAME_CELL, NEXT_CELL } meeting;

/* Does what b sees, one part, lie in memory where one view of both would have it? */
static meeting meets(const weir__compiler *c, int source, const weir__gather *a, const weir__gather *b, int axis) {
  const weir__plan *p  = c->plan;
  const weir__part *pa = &p->part[a->first + a->parts - 1], *pb = &p->part[b->first];
  const weir__cell *ca = &p->cell[pa->cell], *cb = &p->cell[pb->cell];
  if (!a->in_place || !b->in_place || b->parts != 1 || a->form != b->form) return APART;
  if (pa->lag != pb->lag || pa->triggers != pb->triggers || !weir__compiler_side_by_side(c, source, pa->cell, pb->cell))
    return APART;
  if (pa->cell == pb->cell || ca->slot_piece >= 0) {
    size_t beyond = axis < 0 ? 0 : (size_t)(p->box[a->box + a->rank + (uint32_t)axis] * p->form[a->form].stride[axis]);
    return a->parts == 1 && b->offset == a->offset + beyond ? SAME_CELL : APART;
  }
  bool next  = pb->cell == pa->cell + p->graph->node[source].outputs;
  bool whole = weir__region_equal(&pa->region, &ca->region) && weir__region_equal(&pb->region, &cb->region);
  return axis >= 0 && next && whole ? NEXT_CELL : APART;
}

/* Chunks that follow each other in memory, as those that are cut from a piece in its slot, are one box for a reduction:
 * the last bit is put to the one before it. */
static void merge_bits(weir__compiler *c, const weir__node *node, weir__task *task) {
  weir__plan      *p = c->plan;
  const weir__bit *b = &p->bit[p->bits - 1], *a = b - 1;
  int              axis[WEIR_INPUTS_MAX];
  meeting          met = APART;
  if (task->bits < 2 || a->triggers != b->triggers) return;
  for (int i = 0; i < node->inputs; i++) {
    const weir__gather *ga = &p->gather[a->gather + i], *gb = &p->gather[b->gather + i];
    if (node->input[i].node < 0) continue;
    weir_region ra = weir__plan_region(p, ga), rb = weir__plan_region(p, gb);
    axis[i] = weir__region_follows(&ra, &rb);
    if (axis[i] < 0 && (!i || !weir__region_equal(&ra, &rb))) return;
    if (i && axis[i] >= 0 && weir__axis_find(node->in_type[0], node->in_type[i]->dim[axis[i]].name) != axis[0]) return;
    met = meets(c, node->input[i].node, ga, gb, axis[i]);
    if (met == APART || (met == NEXT_CELL && node->inputs > 1)) return;
  }
  for (int i = 0; i < node->inputs; i++) {
    weir__gather *g = &p->gather[a->gather + i];
    if (node->input[i].node < 0 || axis[i] < 0) continue;
    const weir__gather *of_b  = &p->gather[b->gather + i];
    uint32_t            count = g->rank + (uint32_t)axis[i]; /* its place in a box */
    int64_t             more  = p->box[of_b->box + count];
    p->box[g->box + count] += more;
    if (met == NEXT_CELL) { /* that of b follows those of a */
      g->parts++;
      g->apart = (uint8_t)p->graph->node[node->input[i].node].outputs;
    } else p->part[g->first].region.count[axis[i]] += more;
  }
  for (int i = node->inputs - 1; i >= 0 && met == SAME_CELL; i--)
    if (node->input[i].node >= 0) p->parts = p->gather[b->gather + i].first;
  for (const weir__gather *g = &p->gather[p->gathers - 1]; g >= &p->gather[b->gather]; g--)
    if (p->boxes == g->box + 2u * g->rank) p->boxes = g->box; /* no cell came in between */
  p->gathers = b->gather;
  p->bits--;
  task->bits--;
}

/* Own chunks of one result chunk -> partial cells with their tasks, appended to plan->join and `task`. Partial results
 * are cleared, filled and joined again: a task takes in some times as much as it makes. */
enum { PARTIAL_SHARE = 32 };
static weir_status local_partials(weir__compiler *c, int number, const weir_region *out, const pair *pairs,
                                  size_t count, int *tasks) {
  weir__plan       *p        = c->plan;
  const weir__node *node     = &p->graph->node[number];
  uint64_t          triggers = weir__plan_triggers(p, number, out);
  int               task     = -1;
  double            cost     = node->op->work > 0 ? node->op->work : 1;
  size_t            bytes    = node->op->partial_size(node->params, node->in_type, out);
  double            least    = (double)bytes * (PARTIAL_SHARE / (double)sizeof(double));
  double            held     = 0;
  *tasks                     = 0;
  for (size_t i = 0; i < count; i++) {
    size_t scratch;
    if (task < 0 || (held >= least && held * cost >= WEIR__TASK_ELEMENTS)) {
      weir__task new = {.kind = WEIR__TASK_REDUCE, .node = number, .bit = p->bits};
      WEIR_TRY(partial_cell(c, node, out, &new.partial));
      WEIR_TRY(weir__compiler_new_task(c, new, &task));
      if (node->op->in_order) WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, task}, task, true));
      WEIR_TRY(add_join(c, new.partial));
      ++*tasks;
      held = 0;
    }
    WEIR_TRY(add_bit(c, number, task, pairs[i].c, triggers, &scratch));
    merge_bits(c, node, &p->task[task]);
    weir__compiler_scratch(c, node, out, scratch);
    weir_region region = weir__grid_region(input_grid(c, node), pairs[i].c);
    held += (double)weir__region_size(&region);
  }
  return WEIR_OK;
}

static weir__packet partial_packet(const weir__compiler *c, int number, int64_t r, const tree *t, int peer,
                                   const weir_region *out) {
  const weir__node *node = &c->plan->graph->node[number];
  return (weir__packet){.peer    = peer,
                        .depth   = node->depth,
                        .purpose = WEIR__PARTIALS,
                        .tree    = t->name,
                        .node    = number,
                        .chunk   = r,
                        .region  = *out,
                        .bytes   = node->op->partial_size(node->params, node->in_type, out),
                        .task    = -1};
}

static weir_status one_result(weir__compiler *c, int number, int64_t r, const pair *pairs, size_t count) {
  weir__plan       *p          = c->plan;
  const weir__node *node       = &p->graph->node[number];
  weir_region       out        = weir__grid_region(&node->grid, r);
  int               first_task = p->tasks, tasks, ignored;
  weir__task        join = {.kind = WEIR__TASK_JOIN, .node = number, .join = p->joins, .bit = p->bits, .message = -1};
  tree              t;
  int               child[CHILDREN_MOST], packets[CHILDREN_MOST];
  if (!tree_of(c, number, r, &t)) return WEIR_OK;
  WEIR_TRY(local_partials(c, number, &out, pairs, count, &tasks));
  int     children = children_of(c, &t, child);
  int64_t place    = highest(t.from, t.end);
  bool    root     = place == 0;
  int     source = tasks ? p->join[join.join] : -1, maker = first_task; /* all of it, when nothing is to be joined */
  for (int i = 0; i < children; i++) {
    weir__packet packet = partial_packet(c, number, r, &t, child[i], &out);
    WEIR_TRY(weir__compiler_new_packet(c, true, &packet, &packets[i]));
    WEIR_TRY(add_join(c, p->packet_in[packets[i]].cell));
  }
  if (root || tasks != 1 || children) {
    join.joins = p->joins - join.join;
    join.root  = root;
    join.bit   = p->bits;
    WEIR_TRY(partial_cell(c, node, &out, &join.partial));
    weir__bit bit = {.chunk    = r,
                     .gather   = -1,
                     .cell     = root ? c->cell[number] + (int)(r - c->first[number]) * node->outputs : -1,
                     .triggers = weir__plan_triggers(p, number, &out)};
    WEIR_TRY(weir__compiler_new_bit(c, bit));
    join.bits = 1;
    WEIR_TRY(weir__compiler_new_task(c, join, &maker));
    for (int i = 0; i < tasks; i++)
      WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, first_task + i}, maker, false));
    for (int i = 0; i < children; i++)
      WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_PACKET, packets[i]}, maker, false));
    if (node->op->in_order) WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, maker}, maker, true));
    source = join.partial;
    weir__compiler_scratch(c, node, &out, 0);
  }
  if (root) {
    c->task_of[c->task_at[number] + (r - c->first[number])] = (weir__emitter){WEIR__EMIT_TASK, maker};
    return WEIR_OK;
  }
  weir__packet up = partial_packet(c, number, r, &t, worker_at(c, &t, place & (place - 1)), &out);
  up.cell         = source;
  up.task         = maker;
  return weir__compiler_new_packet(c, false, &up, &ignored);
}

weir_status weir__compile_reduction(weir__compiler *c, int number) {
  weir__plan       *p      = c->plan;
  const weir__node *node   = &p->graph->node[number];
  int               source = node->input[0].node;
  weir_status       status = WEIR_OK;
  pair             *pairs  = NULL;
  int64_t           first, end_of_share;
  weir__compiler_share(c, number, source, &first, &end_of_share);
  size_t count = 0, contributions = (size_t)(end_of_share - first), own = (size_t)(c->end[number] - c->first[number]);
  WEIR_TRY(weir__alloc_array(contributions + own + 1, sizeof *pairs, &pairs));
  for (int64_t chunk = first; chunk < end_of_share; chunk++) pairs[count++] = (pair){project(c, node, chunk), chunk};
  /* results this worker must finish even if none of its chunks goes into them */
  for (int64_t r = c->first[number]; r < c->end[number]; r++) pairs[count++] = (pair){r, INT64_MAX};
  qsort(pairs, count, sizeof *pairs, by_result);
  for (size_t i = 0, end; i < count; i = end) {
    for (end = i; end < count && pairs[end].r == pairs[i].r; end++) {}
    size_t      mine = end - i;
    weir_region out  = weir__grid_region(&node->grid, pairs[i].r);
    if (!weir__plan_triggers(p, number, &out)) continue; /* nobody looks at this result */
    if (pairs[end - 1].c == INT64_MAX) mine--;
    WEIR_TRY_GOTO(out, one_result(c, number, pairs[i].r, pairs + i, mine));
  }
out:
  weir__free(pairs);
  return status;
}
