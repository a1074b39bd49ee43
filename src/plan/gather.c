/* From "this bit needs that region" to parts of cells, here or asked of their owners. */
#include "plan/compiler.h"
#include <string.h>

/* ---- packets this worker receives; each asked for once ---- */

static uint64_t mix(uint64_t hash, uint64_t value) { /* FNV-1a over words */
  return (hash ^ value) * 1099511628211u;
}

static uint64_t packet_hash(const weir__packet *p) {
  uint64_t h = mix(mix(mix(14695981039346656037u, (uint64_t)p->peer), (uint64_t)p->node * 8 + (uint64_t)p->output),
                   (uint64_t)p->chunk);
  h          = mix(mix(h, (uint64_t)p->lag), (uint64_t)p->purpose);
  for (int a = 0; a < p->region.rank; a++) h = mix(mix(h, (uint64_t)p->region.start[a]), (uint64_t)p->region.count[a]);
  return h ^ h >> 29;
}

static bool packet_same(const weir__packet *a, const weir__packet *b) {
  return a->peer == b->peer && a->purpose == b->purpose && a->node == b->node && a->output == b->output &&
         a->chunk == b->chunk && a->lag == b->lag && weir__region_equal(&a->region, &b->region);
}

static weir_status grow_index(weir__compiler *c) {
  size_t slots = c->packet_slots ? c->packet_slots * 2 : 64;
  int   *slot;
  WEIR_TRY(weir__alloc_array(slots, sizeof *slot, &slot));
  for (int i = 0; i < c->plan->packets_in; i++) {
    size_t at = packet_hash(&c->plan->packet_in[i]) & (slots - 1);
    while (slot[at]) at = (at + 1) & (slots - 1);
    slot[at] = i + 1;
  }
  weir__free(c->packet_slot);
  c->packet_slot  = slot;
  c->packet_slots = slots;
  return WEIR_OK;
}

/* Both ends know when it is wanted. */
static weir__packet with_triggers(const weir__plan *p, const weir__packet *packet) {
  weir__packet full = *packet;
  full.triggers     = weir__plan_triggers(p, packet->node, &packet->region);
  full.rate         = weir__plan_rate(p, full.triggers);
  return full;
}

weir_status weir__compiler_new_packet(weir__compiler *c, bool incoming, const weir__packet *packet, int *number) {
  weir__plan *p = c->plan;
  if (!incoming) {
    WEIR_TRY(weir__grow(&p->packet_out, (size_t)p->packets_out + 1, &p->packet_out_capacity, sizeof *packet));
    p->packet_out[p->packets_out] = with_triggers(p, packet);
    *number                       = p->packets_out++;
    return WEIR_OK;
  }
  if ((size_t)p->packets_in * 2 >= c->packet_slots) WEIR_TRY(grow_index(c));
  size_t at = packet_hash(packet) & (c->packet_slots - 1);
  for (; c->packet_slot[at]; at = (at + 1) & (c->packet_slots - 1))
    if (packet_same(&p->packet_in[c->packet_slot[at] - 1], packet)) {
      *number = c->packet_slot[at] - 1;
      return WEIR_OK;
    }
  WEIR_TRY(weir__grow(&p->packet_in, (size_t)p->packets_in + 1, &p->packet_in_capacity, sizeof *packet));
  weir__packet *new = &p->packet_in[p->packets_in];
  *new              = with_triggers(p, packet);
  new->cell         = weir__compiler_new_cell(c, (weir__cell){.bytes      = packet->bytes,
                                                              .ring       = p->flight,
                                                              .slot_piece = -1,
                                                              .message    = 0, /* the number comes with the messages */
                                                              .region     = packet->region});
  if (new->cell < 0) return WEIR_ERR_MEMORY;
  if (packet->purpose != WEIR__PARTIALS)
    p->cell[new->cell].dtype = p->graph->node[packet->node].type[packet->output].dtype;
  c->packet_slot[at] = p->packets_in + 1;
  *number            = p->packets_in++;
  return WEIR_OK;
}

weir_status weir__compiler_source(weir__compiler *c, int user, int node, int output, int64_t chunk, int64_t lag,
                                  const weir_region *region, int *cell, weir__emitter *from) {
  weir__plan       *p       = c->plan;
  const weir__node *n       = &p->graph->node[node];
  bool              claimed = user >= 0 && c->where[node] == WEIR__CLAIMED_BY_STEP && c->where[user] == WEIR__OWNED;
  if (!claimed && chunk >= c->first[node] && chunk < c->end[node]) {
    int64_t mine = chunk - c->first[node];
    *cell        = c->cell[node] + (int)mine * n->outputs + output;
    *from        = c->task_of[c->task_at[node] + mine];
    return WEIR_OK;
  }
  int number;
  if (c->broadcast_packet[node] >= 0 && !lag) {
    number = c->broadcast_packet[node] + output;
  } else {
    weir__packet wanted = {.peer    = claimed ? WEIR__ANYBODY : weir__owner(p, node, chunk),
                           .depth   = weir__region_depth(n, lag),
                           .purpose = claimed ? WEIR__CLAIMED : WEIR__REGIONS,
                           .node    = node,
                           .output  = output,
                           .chunk   = chunk,
                           .lag     = lag,
                           .region  = *region,
                           .bytes   = weir__type_bytes(&n->type[output], region)};
    WEIR_TRY(weir__compiler_new_packet(c, true, &wanted, &number));
  }
  *cell = p->packet_in[number].cell;
  *from = (weir__emitter){WEIR__EMIT_PACKET, number};
  return WEIR_OK;
}

/* ---- parts ---- */

typedef struct request {
  int           task;
  weir__edge    edge;
  int64_t       lag;
  weir__gather *gather;
} request;

/* Steps of the node's results that have a place at once. Of what is looked back at, the oldest is written over by the
 * newest of the steps in flight, once all have looked at it. */
int64_t weir__compiler_ring(const weir__plan *p, const weir__node *node) {
  if (node->is_static) return 1;
  return node->history ? node->history + (p->flight > 1 ? p->flight - 1 : 1) : p->flight;
}

/* A task waits for what an emitter completed `lag` steps ago. Steps of a task may overtake each other, so looking back
 * further than one step wants the looked-at task to keep their order. Who looks at the oldest step is waited for by the
 * one that writes over it, flight - 1 steps later. */
weir_status weir__compiler_look_back(weir__compiler *c, weir__emitter from, int task, int64_t lag) {
  const weir__plan   *p      = c->plan;
  const weir__emitter looker = {WEIR__EMIT_TASK, task};
  WEIR_TRY(weir__compiler_depend(c, from, task, lag > 0));
  if (!lag || from.kind != WEIR__EMIT_TASK) return WEIR_OK;
  if (lag > 1) WEIR_TRY(weir__compiler_depend(c, from, from.number, true));
  if (p->flight < 2 || lag < p->graph->node[p->task[from.number].node].history) return WEIR_OK;
  if (p->flight > 2) WEIR_TRY(weir__compiler_depend(c, looker, task, true));
  return weir__compiler_depend(c, looker, from.number, true);
}

static weir_status add_part(weir__compiler *c, const request *r, int64_t chunk, const weir_region *region,
                            const int64_t *shift) {
  weir__plan   *p    = c->plan;
  weir__part    part = {.lag = r->lag, .triggers = ~(uint64_t)0, .region = *region};
  weir__emitter from;
  WEIR_TRY(
      weir__compiler_source(c, c->current, r->edge.node, r->edge.output, chunk, r->lag, region, &part.cell, &from));
  bool remote = from.kind == WEIR__EMIT_PACKET;
  if (remote) part.lag = 0; /* the owner sends what was wanted of the earlier step */
  for (int a = 0; a < region->rank; a++) part.target[a] = region->start[a] + shift[a];
  bool later = !remote && r->lag > 0 && r->edge.node >= c->current && p->graph->node[r->edge.node].op;
  if (later) {
    WEIR_TRY(weir__grow(&c->later, c->laters + 1, &c->later_capacity, sizeof *c->later));
    c->later[c->laters++] = (weir__later){r->task, r->edge.node, chunk, r->lag};
  } else {
    WEIR_TRY(weir__compiler_look_back(c, from, r->task, remote ? 0 : r->lag));
  }
  WEIR_TRY(weir__compiler_new_part(c, part));
  r->gather->parts++;
  return WEIR_OK;
}

/* All chunks that a box inside the field touches; `shift` leads from its indices to those of the gathered region. */
static weir_status add_box(weir__compiler *c, const request *r, const weir_region *box, const int64_t *shift) {
  const weir__grid *grid = &c->plan->graph->node[r->edge.node].grid;
  int64_t           first[WEIR_RANK_MAX], last[WEIR_RANK_MAX], index[WEIR_RANK_MAX];
  weir__grid_touched(grid, box, first, last);
  memcpy(index, first, sizeof index);
  do {
    int64_t     chunk = weir__grid_ravel(grid, index);
    weir_region whole = weir__grid_region(grid, chunk), region;
    if (weir__region_intersect(&whole, box, &region)) WEIR_TRY(add_part(c, r, chunk, &region, shift));
  } while (weir__grid_next(grid, first, last, index));
  return WEIR_OK;
}

/* Cut a region that may reach over the ends of wrapped axes into boxes inside the field, axis by axis. */
static weir_status add_wrapped(weir__compiler *c, const request *r, const weir_field_type *type, unsigned wrap,
                               weir_region box, int axis, int64_t *shift) {
  if (axis == box.rank) return add_box(c, r, &box, shift);
  int64_t size = type->dim[axis].size, start = box.start[axis], end = start + box.count[axis];
  if (!(wrap >> axis & 1) || (start >= 0 && end <= size)) {
    shift[axis] = 0;
    return add_wrapped(c, r, type, wrap, box, axis + 1, shift);
  }
  for (int64_t at = start; at < end;) {
    int64_t inside  = ((at % size) + size) % size;
    int64_t count   = size - inside < end - at ? size - inside : end - at;
    box.start[axis] = inside;
    box.count[axis] = count;
    shift[axis]     = at - inside;
    WEIR_TRY(add_wrapped(c, r, type, wrap, box, axis + 1, shift));
    at += count;
  }
  return WEIR_OK;
}

bool weir__compiler_side_by_side(const weir__compiler *c, int node, int a, int b) {
  const weir__plan *p  = c->plan;
  const weir__cell *ca = &p->cell[a], *cb = &p->cell[b];
  if (a == b) return true;
  if (ca->slot_piece >= 0 || cb->slot_piece >= 0)
    return ca->slot_piece == cb->slot_piece && weir__region_equal(&ca->region, &cb->region);
  int outputs = p->graph->node[node].outputs, cells = (int)(c->end[node] - c->first[node]) * outputs;
  if (!c->sequence[node] || a < c->cell[node] || b < a || b >= c->cell[node] + cells) return false;
  for (int k = a; k <= b; k += outputs) /* what nobody looks at takes no place */
    if (p->cell[k].slot_piece >= 0 || !p->cell[k].bytes) return false;
  return true;
}

/* Is the gathered region seen as it lies, all parts of it? */
static bool lies_in_place(const weir__compiler *c, const request *r, const weir__gather *g, const weir_region *region) {
  const weir__part *part = &c->plan->part[g->first];
  for (int i = 0; i < g->parts; i++)
    if (memcmp(part[i].target, part[i].region.start, sizeof *part[i].target * (size_t)region->rank) ||
        (i && !weir__compiler_side_by_side(c, r->edge.node, part[i - 1].cell, part[i].cell)))
      return false;
  return g->parts > 1 || (g->parts == 1 && weir__region_equal(&part->region, region));
}

/* Are its cells in memory of the plan all as far apart as the first two? */
static bool evenly_apart(const weir__plan *p, const weir__gather *g) {
  const weir__part *part = &p->part[g->first];
  if (g->parts < 2 || p->cell[part->cell].slot_piece >= 0) return false;
  int apart = part[1].cell - part[0].cell;
  for (int i = 2; i < g->parts; i++)
    if (part[i].cell - part[i - 1].cell != apart) return false;
  return apart > 0 && apart <= WEIR_OUTPUTS_MAX;
}

/* A region assembled from parts is large enough to deserve memory of the plan, shared by threads, from this size on. */
enum { OWN_CELL = 1 << 18 };

weir_status weir__compiler_gather(weir__compiler *c, int task, weir__edge edge, int64_t lag, unsigned wrap,
                                  const weir_region *region, size_t *scratch) {
  weir__plan            *p                    = c->plan;
  const weir_field_type *type                 = &p->graph->node[edge.node].type[edge.output];
  weir__gather           g                    = {.first = p->parts, .cell = -1};
  request                r                    = {task, edge, lag, &g};
  int64_t                shift[WEIR_RANK_MAX] = {0};
  size_t                 bytes                = weir__type_bytes(type, region);
  WEIR_TRY(add_wrapped(c, &r, type, wrap, *region, 0, shift));
  const weir__part *one = &p->part[g.first];
  g.in_place            = lies_in_place(c, &r, &g, region);
  weir_region dense     = g.in_place ? p->cell[one->cell].region : *region;
  for (int a = 0; g.in_place && g.parts > 1 && p->cell[one->cell].slot_piece < 0 && a < type->rank; a++)
    dense.start[a] = 0, dense.count[a] = type->dim[a].size;
  WEIR_TRY(weir__compiler_form(c, type, &dense, &g.form));
  if (g.in_place) {
    const weir_region *held   = &p->cell[one->cell].region;
    const int64_t     *stride = p->form[g.form].stride;
    g.cell                    = one->cell;
    g.lag                     = one->lag;
    if (evenly_apart(p, &g)) g.apart = (uint8_t)(one[1].cell - one->cell);
    for (int a = 0; a < region->rank; a++) g.offset += (size_t)((region->start[a] - held->start[a]) * stride[a]);
  }
  if (!g.in_place && bytes >= OWN_CELL) {
    g.cell = weir__compiler_new_cell(
        c, (weir__cell){
               .bytes = bytes, .ring = 1, .slot_piece = -1, .message = -1, .region = *region, .dtype = type->dtype});
    if (g.cell < 0) return WEIR_ERR_MEMORY;
    /* one such memory: the steps must not overtake each other in it */
    WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, task}, task, true));
  } else if (!g.in_place) {
    g.offset = *scratch;
    *scratch += (bytes + 63) & ~(size_t)63;
  }
  return weir__compiler_new_gather(c, g, region);
}
