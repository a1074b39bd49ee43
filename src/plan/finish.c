/* Dependencies into compressed lists, and memory for everything, once. */
#include "plan/compiler.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct arc {
  uint32_t from, to;
} arc;

static int by_arc(const void *a, const void *b) {
  const arc *x = a, *y = b;
  return x->from != y->from ? (x->from < y->from ? -1 : 1) : x->to < y->to ? -1 : x->to > y->to;
}

/* Where in its field a task works, from 0 to 1. */
static double position(const weir__plan *p, uint32_t task) {
  const weir__task *t = &p->task[task];
  if (t->node < 0 || t->bits < 1) return 0;
  const weir__node *node  = &p->graph->node[t->node];
  bool              of_in = t->kind == WEIR__TASK_REDUCE;
  const weir__grid *grid  = of_in ? &p->graph->node[node->input[0].node].grid : &node->grid;
  return (double)p->bit[t->bit].chunk / (double)weir__grid_count(grid);
}

/* A task that becomes ready with others, and what says which of them is run first. */
typedef struct turn {
  int      hops; /* to a message */
  double   position;
  uint32_t task;
} turn;

static int by_turn(const void *a, const void *b) {
  const turn *x = a, *y = b;
  if (x->hops != y->hops) return x->hops < y->hops ? -1 : 1;
  if (x->position != y->position) return x->position < y->position ? -1 : 1;
  return x->task < y->task ? -1 : x->task > y->task;
}

/* How many tasks it is at least from each to a message for another worker. Tasks are numbered as the graph goes down,
 * but for a few. */
static weir_status count_hops(const weir__plan *p, int **out) {
  enum { FAR = 1 << 30 };
  int *hops;
  WEIR_TRY(weir__alloc_array((size_t)p->tasks + 1, sizeof *hops, &hops));
  for (int t = p->tasks - 1; t >= 0; t--) {
    hops[t] = p->task[t].kind == WEIR__TASK_PACK ? 0 : FAR;
    for (uint32_t i = p->now.first[t]; i < p->now.first[t + 1]; i++) {
      int to = (int)p->now.target[i];
      if (to > t && hops[to] < FAR && hops[to] + 1 < hops[t]) hops[t] = hops[to] + 1;
    }
  }
  *out = hops;
  return WEIR_OK;
}

/* Of tasks that become ready together the one nearest to a message is run first, for which another worker waits: after
 * a task that is the first in its list, which is kept, else the last, as the last one pushed is taken first. What a
 * step begins with goes through the fields side by side, from their beginning, not one after the other: what is made of
 * several finds them in the cache. */
static weir_status order_targets(const weir__plan *p, weir__edge_list *now) {
  weir_status status = WEIR_OK;
  turn       *list   = NULL;
  int        *hops   = NULL;
  size_t      most   = 0;
  for (int e = 0; e < p->emitters; e++) {
    size_t count = now->first[e + 1] - now->first[e];
    most         = count > most ? count : most;
  }
  WEIR_TRY_GOTO(out, count_hops(p, &hops));
  WEIR_TRY_GOTO(out, weir__alloc_array(most + 1, sizeof *list, &list));
  for (int e = p->messages_out ? 0 : p->tasks; e < p->emitters;
       e++) { /* without messages only a beginning is ordered */
    uint32_t first = now->first[e], count = now->first[e + 1] - first;
    if (count < 2) continue;
    for (uint32_t i = 0; i < count; i++) {
      uint32_t task = now->target[first + i];
      list[i]       = (turn){hops[task], e == p->tasks ? position(p, task) : 0, task};
    }
    qsort(list, count, sizeof *list, by_turn);
    for (uint32_t i = 0; i < count; i++) now->target[first + i] = list[e < p->tasks ? i : count - 1 - i].task;
  }
out:
  weir__free(hops);
  weir__free(list);
  return status;
}

static int message_of(const weir__plan *p, int packet) {
  int low = 0, high = p->messages_in - 1;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (p->in[middle].packet <= packet) low = middle;
    else high = middle - 1;
  }
  return low;
}

static weir_status make_list(weir__plan *p, arc *arcs, size_t count, weir__edge_list *list) {
  size_t kept = 0;
  qsort(arcs, count, sizeof *arcs, by_arc);
  for (size_t i = 0; i < count; i++)
    if (!i || by_arc(&arcs[i], &arcs[i - 1])) arcs[kept++] = arcs[i];
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)(p->emitters + 1) * sizeof *list->first, &list->first));
  WEIR_TRY(weir__arena_alloc(&p->arena, kept * sizeof *list->target, &list->target));
  for (size_t i = 0; i < kept; i++) {
    list->first[arcs[i].from + 1]++;
    list->target[i] = arcs[i].to;
    p->degree[arcs[i].to]++;
  }
  for (int e = 0; e < p->emitters; e++) list->first[e + 1] += list->first[e];
  return WEIR_OK;
}

weir_status weir__compile_dependencies(weir__compiler *c) {
  weir__plan *p      = c->plan;
  weir_status status = WEIR_OK;
  arc        *now = NULL, *next = NULL;
  size_t      count[2] = {0, 0};
  bool       *started  = NULL;
  uint32_t    begin    = (uint32_t)p->tasks;
  p->emitters          = p->tasks + 1 + p->messages_in;
  for (int m = 0; m < p->messages_in; m++) p->in[m].emitter = p->tasks + 1 + m;
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)p->tasks * sizeof *p->degree, &p->degree));
  WEIR_TRY_GOTO(out, weir__alloc_array(c->dependencies + (size_t)p->tasks + 1, sizeof *now, &now));
  WEIR_TRY_GOTO(out, weir__alloc_array(c->dependencies + 1, sizeof *next, &next));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)p->tasks + 1, sizeof *started, &started));
  for (size_t i = 0; i < c->dependencies; i++) {
    const weir__dependency *d    = &c->dependency[i];
    uint32_t                from = d->from.kind == WEIR__EMIT_TASK    ? (uint32_t)d->from.number
                                   : d->from.kind == WEIR__EMIT_BEGIN ? begin
                                                                      : (uint32_t)p->in[message_of(p, d->from.number)].emitter;
    if (d->next && d->from.kind == WEIR__EMIT_BEGIN) continue; /* a step begins after the one before */
    if (d->next) next[count[1]++] = (arc){from, (uint32_t)d->task};
    else now[count[0]++] = (arc){from, (uint32_t)d->task}, started[d->task] = true;
  }
  for (int t = 0; t < p->tasks; t++) /* what waits for nothing in this step waits for its beginning */
    if (!started[t]) now[count[0]++] = (arc){begin, (uint32_t)t};
  WEIR_TRY_GOTO(out, make_list(p, now, count[0], &p->now));
  WEIR_TRY_GOTO(out, order_targets(p, &p->now));
  WEIR_TRY_GOTO(out, make_list(p, next, count[1], &p->next));
  for (int t = 0; t < p->tasks; t++) p->claimed_tasks += p->task[t].claimed;
  for (int t = 0; t < p->tasks; t++) p->sinks += p->now.first[t + 1] == p->now.first[t];
  p->sinks += (uint32_t)(p->messages_in + p->messages_out);
out:
  weir__free(now);
  weir__free(next);
  weir__free(started);
  return status;
}

static size_t align(size_t n) { return (n + 63) & ~(size_t)63; }

/* Own chunks of one result, one after the other in each step's memory. */
static void place_sequence(const weir__compiler *c, int node, int output, size_t *memory) {
  weir__plan *p       = c->plan;
  int         outputs = p->graph->node[node].outputs, cells = (int)(c->end[node] - c->first[node]) * outputs;
  weir__cell *cell  = &p->cell[c->cell[node] + output];
  size_t      bytes = 0;
  int64_t     ring  = 0;
  for (int i = 0; i < cells; i += outputs) {
    if (cell[i].slot_piece >= 0) continue;
    cell[i].offset = *memory + bytes;
    bytes += cell[i].bytes;
    ring = cell[i].ring;
  }
  for (int i = 0; i < cells; i += outputs) cell[i].stride = align(bytes ? bytes : 1);
  *memory += align(bytes ? bytes : 1) * (size_t)ring;
}

static void count_memory(const weir__compiler *c, size_t *memory, size_t *tokens) {
  weir__plan *p = c->plan;
  for (int n = 0; n < p->graph->nodes; n++)
    for (int k = 0; c->sequence[n] && c->end[n] > c->first[n] && k < p->graph->node[n].outputs; k++)
      place_sequence(c, n, k, memory);
  for (int i = 0; i < p->cells; i++) {
    weir__cell *cell = &p->cell[i];
    if (cell->slot_piece >= 0 || cell->message >= 0) continue;
    *tokens += (size_t)cell->ring;
    if (cell->stride) continue;
    cell->stride = align(cell->bytes ? cell->bytes : 1);
    cell->offset = *memory;
    *memory += cell->stride * (size_t)cell->ring;
  }
  for (int m = 0; m < p->messages_in + p->messages_out; m++) {
    const weir__message *message = m < p->messages_in ? &p->in[m] : &p->out[m - p->messages_in];
    *memory += message->stride * (size_t)message->ring;
  }
}

weir_status weir__compile_memory(weir__compiler *c) {
  weir__plan *p      = c->plan;
  size_t      memory = 0, tokens = 0, token = 0, at;
  count_memory(c, &memory, &tokens);
  p->memory_bytes = memory;
  WEIR_TRY(weir__alloc_zeroed(memory, 64, &p->memory));
  WEIR_TRY(weir__alloc_zeroed(p->state_bytes, 64, &p->state));
  WEIR_TRY(weir__alloc_zeroed(tokens + 1, 64, &p->tokens));
  at = memory;
  for (int m = 0; m < p->messages_in + p->messages_out; m++) {
    weir__message *message = m < p->messages_in ? &p->in[m] : &p->out[m - p->messages_in];
    at -= message->stride * (size_t)message->ring;
    message->buffer = p->memory + at;
  }
  for (int i = 0; i < p->cells; i++) {
    weir__cell *cell = &p->cell[i];
    if (cell->slot_piece >= 0) continue; /* set step by step */
    if (cell->message >= 0) {
      const weir__message *m = &p->in[cell->message];
      cell->base             = m->buffer + cell->offset;
      cell->stride = cell->token_stride = m->stride;
      cell->token                       = (uint8_t *)m->buffer + offsetof(weir__message_head, token);
      continue;
    }
    cell->base         = p->memory + cell->offset;
    cell->token        = (uint8_t *)p->tokens + token;
    cell->token_stride = 1;
    token += (size_t)cell->ring;
  }
  for (int m = 0; m < p->messages_in; m++) /* tokens of a message lie side by side after its head */
    for (int k = 0; k < p->in[m].packets; k++) p->cell[p->packet_in[p->in[m].packet + k].cell].token += k;
  return WEIR_OK;
}
