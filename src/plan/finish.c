/* Dependencies into compressed lists, and memory for everything, once. */
#include "plan/compiler.h"
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

typedef struct start {
  double   position;
  uint32_t task;
} start;

static int by_position(const void *a, const void *b) {
  const start *x = a, *y = b;
  if (x->position != y->position) return x->position < y->position ? -1 : 1;
  return x->task < y->task ? -1 : x->task > y->task;
}

/* What a step begins with goes through the fields side by side, not one after the other: what is made of several finds
 * them in the cache. */
static weir_status order_beginning(const weir__plan *p, weir__edge_list *now) {
  uint32_t first = now->first[p->tasks], count = now->first[p->tasks + 1] - first;
  start   *list;
  WEIR_TRY(weir__alloc_array((size_t)count + 1, sizeof *list, &list));
  for (uint32_t i = 0; i < count; i++) {
    uint32_t task = now->target[first + i];
    list[i]       = (start){position(p, task), task};
  }
  qsort(list, count, sizeof *list, by_position);
  for (uint32_t i = 0; i < count; i++) now->target[first + i] = list[i].task;
  weir__free(list);
  return WEIR_OK;
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
  WEIR_TRY_GOTO(out, order_beginning(p, &p->now));
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
      cell->token                       = (uint8_t *)m->buffer + sizeof(weir__message_head);
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
