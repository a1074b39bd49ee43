/* Fields of sources: read by their owners (of files, and of what is joined to a simulation), or assembled by their
 * owners from the pieces that processes put into channels. Who holds a piece tells the owners of the chunks it touches;
 * nobody keeps a table of pieces. */
#include "plan/compiler.h"
#include <stdlib.h>
#include <string.h>

/* A static field has its value from the first step on: what looks at it in the second must not overtake that. */
static weir_status keep_order_of_static(weir__compiler *c, int node, int task) {
  if (!c->plan->graph->node[node].is_static) return WEIR_OK;
  return weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_TASK, task}, task, true);
}

/* ---- files ---- */

static weir_status read_tasks(weir__compiler *c, int number) {
  weir__plan       *p    = c->plan;
  const weir__node *node = &p->graph->node[number];
  int               task = -1;
  for (int64_t chunk = c->first[number]; chunk < c->end[number]; chunk++) {
    weir_region region   = weir__grid_region(&node->grid, chunk);
    int64_t     mine     = chunk - c->first[number];
    uint64_t    triggers = weir__plan_triggers(p, number, &region);
    if (!triggers) continue;
    weir__bit bit = {.chunk = chunk, .gather = -1, .cell = c->cell[number] + (int)mine, .triggers = triggers};
    if (task < 0 || !node->at_once) {
      WEIR_TRY(weir__compiler_new_task(
          c, (weir__task){.kind = WEIR__TASK_READ, .node = number, .bit = p->bits, .partial = -1}, &task));
      WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_BEGIN, 0}, task, false));
      WEIR_TRY(keep_order_of_static(c, number, task));
    }
    WEIR_TRY(weir__compiler_new_bit(c, bit));
    p->task[task].bits++;
    c->task_of[c->task_at[number] + mine] = (weir__emitter){WEIR__EMIT_TASK, task};
  }
  return WEIR_OK;
}

/* ---- pieces: telling owners ---- */

/* Where part of a chunk comes from: a piece on this worker, or a packet. */
typedef struct fragment {
  int           node;
  int64_t       chunk;
  weir_region   region;
  int           cell;
  weir__emitter from;
} fragment;

typedef struct announcement {
  int32_t     node;
  int32_t     pad;
  int64_t     chunk;
  weir_region region;
} announcement;

typedef struct mail {
  weir__compiler *c;
  fragment       *fragment;
  size_t          fragments, fragment_capacity;
  struct outgoing {
    int          peer;
    announcement a;
    int          cell;
  } * outgoing;
  size_t count, capacity;
} mail;

static weir_status add_fragment(mail *m, fragment f) {
  WEIR_TRY(weir__grow(&m->fragment, m->fragments + 1, &m->fragment_capacity, sizeof f));
  m->fragment[m->fragments++] = f;
  return WEIR_OK;
}

static weir_status share_piece(mail *m, int piece) {
  weir__compiler          *c      = m->c;
  weir__plan              *p      = c->plan;
  const weir__local_piece *local  = &p->piece[piece];
  const weir__node        *node   = &p->graph->node[local->node];
  const weir_region       *wanted = local->in_place ? &local->region : &local->memory;
  int64_t                  first[WEIR_RANK_MAX], last[WEIR_RANK_MAX], index[WEIR_RANK_MAX];
  if (weir__region_size(wanted) == 0) return WEIR_OK;
  int cell = weir__compiler_new_cell(
      c, (weir__cell){
             .ring = 1, .slot_piece = piece, .message = -1, .region = local->memory, .dtype = node->type[0].dtype});
  if (cell < 0) return WEIR_ERR_MEMORY;
  weir__grid_touched(&node->grid, wanted, first, last);
  memcpy(index, first, sizeof index);
  do {
    int64_t      chunk = weir__grid_ravel(&node->grid, index);
    int          owner = weir__owner(p, local->node, chunk);
    weir_region  whole = weir__grid_region(&node->grid, chunk);
    announcement a     = {.node = local->node, .chunk = chunk};
    weir__region_intersect(&whole, wanted, &a.region);
    if (!weir__plan_triggers(p, local->node, &a.region)) continue; /* it lies between what is wanted */
    if (owner == p->rank) {
      WEIR_TRY(add_fragment(m, (fragment){a.node, chunk, a.region, cell, {WEIR__EMIT_BEGIN, 0}}));
    } else {
      WEIR_TRY(weir__grow(&m->outgoing, m->count + 1, &m->capacity, sizeof *m->outgoing));
      m->outgoing[m->count++] = (struct outgoing){owner, a, cell};
    }
  } while (weir__grid_next(&node->grid, first, last, index));
  return WEIR_OK;
}

static int by_peer(const void *a, const void *b) {
  const struct outgoing *x = a, *y = b;
  return x->peer - y->peer;
}

static weir__packet piece_packet(const weir__compiler *c, int peer, const announcement *a) {
  return (weir__packet){.peer    = peer,
                        .purpose = WEIR__PIECES,
                        .node    = a->node,
                        .chunk   = a->chunk,
                        .region  = a->region,
                        .bytes   = weir__type_bytes(&c->plan->graph->node[a->node].type[0], &a->region),
                        .task    = -1};
}

/* Letters to the owners, one per owner; and the packets that will go there in every step. */
static weir_status write_letters(mail *m, weir__letter **letters, int *count) {
  if (m->count) qsort(m->outgoing, m->count, sizeof *m->outgoing, by_peer);
  WEIR_TRY(weir__alloc_array(m->count + 1, sizeof **letters, letters));
  for (size_t i = 0, end; i < m->count; i = end) {
    for (end = i; end < m->count && m->outgoing[end].peer == m->outgoing[i].peer; end++) {}
    weir__letter *letter = &(*letters)[*count];
    announcement *list;
    WEIR_TRY(weir__alloc_array(end - i, sizeof *list, &list));
    *letter = (weir__letter){m->outgoing[i].peer, (end - i) * sizeof *list, list};
    ++*count;
    for (size_t k = i; k < end; k++) {
      int          ignored;
      weir__packet packet = piece_packet(m->c, m->outgoing[k].peer, &m->outgoing[k].a);
      packet.cell         = m->outgoing[k].cell;
      list[k - i]         = m->outgoing[k].a;
      WEIR_TRY(weir__compiler_new_packet(m->c, false, &packet, &ignored));
    }
  }
  return WEIR_OK;
}

static weir_status read_letters(mail *m, const weir__letter *letters, int count) {
  for (int i = 0; i < count; i++) {
    const announcement *a = letters[i].bytes;
    for (size_t k = 0; k < letters[i].size / sizeof *a; k++) {
      int          number;
      weir__packet packet = piece_packet(m->c, letters[i].peer, &a[k]);
      WEIR_TRY(weir__compiler_new_packet(m->c, true, &packet, &number));
      WEIR_TRY(add_fragment(
          m, (fragment){
                 a[k].node, a[k].chunk, a[k].region, m->c->plan->packet_in[number].cell, {WEIR__EMIT_PACKET, number}}));
    }
  }
  return WEIR_OK;
}

/* ---- pieces: assembling chunks ---- */

static int by_chunk(const void *a, const void *b) {
  const fragment *x = a, *y = b;
  if (x->node != y->node) return x->node - y->node;
  return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static weir_status check_overlap(const weir__node *node, const fragment *f, size_t count) {
  char text[200];
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < i; k++) {
      weir_region both;
      if (weir__region_intersect(&f[i].region, &f[k].region, &both))
        return WEIR_FAIL(WEIR_ERR_INPUT,
                         "field %s: elements %s are published by two processes; pieces must not overlap", node->name,
                         weir__region_text(&both, text));
    }
  return WEIR_OK;
}

/* Is all of `needed` published? */
static weir_status check_cover(const weir__node *node, const weir_region *needed, const fragment *f, size_t count,
                               bool may_have_holes, bool *holes) {
  int64_t covered = 0;
  char    text[200];
  for (size_t i = 0; i < count; i++) {
    weir_region both;
    if (weir__region_intersect(&f[i].region, needed, &both)) covered += weir__region_size(&both);
  }
  if (covered == weir__region_size(needed)) return WEIR_OK;
  *holes = true;
  if (!may_have_holes)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "field %s: %lld of the %lld elements in %s are published by no process (if that is meant, say "
                     "`holes: fill` in the stream)",
                     node->name, (long long)(weir__region_size(needed) - covered), (long long)weir__region_size(needed),
                     weir__region_text(needed, text));
  return WEIR_OK;
}

static weir_status assemble(weir__compiler *c, int number, int64_t chunk, bool holes, const fragment *f, size_t count) {
  weir__plan       *p     = c->plan;
  const weir__node *node  = &p->graph->node[number];
  int64_t           mine  = chunk - c->first[number];
  int               cell  = c->cell[number] + (int)mine, task;
  weir_region       whole = weir__grid_region(&node->grid, chunk);
  if (count == 1 && p->cell[f->cell].slot_piece >= 0 && node->history == 0 && weir__region_equal(&f->region, &whole)) {
    /* the chunk lies in one piece: it is seen in the slot, as part of the piece, and not copied */
    p->cell[cell]                         = p->cell[f->cell];
    c->task_of[c->task_at[number] + mine] = (weir__emitter){WEIR__EMIT_BEGIN, 0};
    return WEIR_OK;
  }
  WEIR_TRY(weir__compiler_new_task(
      c, (weir__task){.kind = WEIR__TASK_ASSEMBLE, .node = number, .bit = p->bits, .bits = 1, .partial = -1}, &task));
  weir__gather g   = {.first = p->parts, .parts = (int)count, .cell = -1, .holes = holes};
  weir__bit    bit = {
         .chunk = chunk, .gather = p->gathers, .cell = cell, .triggers = weir__plan_triggers(p, number, &whole)};
  for (size_t i = 0; i < count; i++) {
    weir__part part = {
        .cell = f[i].cell, .triggers = weir__plan_triggers(p, number, &f[i].region), .region = f[i].region};
    memcpy(part.target, f[i].region.start, sizeof part.target);
    WEIR_TRY(weir__compiler_new_part(c, part));
    WEIR_TRY(weir__compiler_depend(c, f[i].from, task, false));
  }
  WEIR_TRY(weir__compiler_new_gather(c, g, &whole));
  WEIR_TRY(weir__compiler_new_bit(c, bit));
  if (!count) WEIR_TRY(weir__compiler_depend(c, (weir__emitter){WEIR__EMIT_BEGIN, 0}, task, false));
  WEIR_TRY(keep_order_of_static(c, number, task));
  c->task_of[c->task_at[number] + mine] = (weir__emitter){WEIR__EMIT_TASK, task};
  return WEIR_OK;
}

static weir_status check_chunk(const weir__plan *p, int number, const weir__wants *needed, const fragment *f,
                               size_t count, bool may_have_holes, bool *holes) {
  const weir__node *node = &p->graph->node[number];
  *holes                 = false;
  WEIR_TRY(check_overlap(node, f, count));
  for (int n = 0; n < needed->count; n++)
    WEIR_TRY(check_cover(node, &needed->want[n].region, f, count, may_have_holes, holes));
  return WEIR_OK;
}

static weir_status assemble_all(mail *m, bool may_have_holes) {
  weir__compiler    *c     = m->c;
  const weir__graph *graph = c->plan->graph;
  size_t             at    = 0;
  if (m->fragments) qsort(m->fragment, m->fragments, sizeof *m->fragment, by_chunk);
  for (int i = 0; i < graph->nodes; i++) {
    if (graph->node[i].op || graph->node[i].stream || c->plan->wanted[i].rank < 0) continue;
    for (int64_t chunk = c->first[i]; chunk < c->end[i]; chunk++) {
      weir_region whole = weir__grid_region(&graph->node[i].grid, chunk);
      weir__wants needed;
      size_t      end = at;
      while (end < m->fragments && m->fragment[end].node == i && m->fragment[end].chunk == chunk) end++;
      weir__plan_wants(c->plan, i, &whole, &needed);
      if (needed.count) {
        bool holes;
        WEIR_TRY(check_chunk(c->plan, i, &needed, m->fragment + at, end - at, may_have_holes, &holes));
        WEIR_TRY(assemble(c, i, chunk, holes, m->fragment + at, end - at));
      }
      at = end;
    }
  }
  return WEIR_OK;
}

static weir_status keep_pieces(weir__compiler *c, const weir__local_piece *pieces, int count) {
  weir__plan *p = c->plan;
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)count * sizeof *p->piece, &p->piece));
  p->pieces = count;
  for (int i = 0; i < count; i++) {
    weir__wants wants;
    p->piece[i] = pieces[i];
    weir__plan_wants(p, pieces[i].node, &pieces[i].region, &wants);
    if (!weir__wants_hull(&wants, &p->piece[i].region))
      memset(p->piece[i].region.count, 0, sizeof p->piece[i].region.count),
          p->piece[i].region.rank = pieces[i].region.rank ? pieces[i].region.rank : 1;
    p->piece[i].memory = pieces[i].in_place ? pieces[i].region : p->piece[i].region;
  }
  return WEIR_OK;
}

/* Pieces that lie in the slots one after another, as their process defined them, and come in the same steps, are one:
 * many small ones cost what one does. */
static void join_pieces(weir__plan *p) {
  weir__local_piece *head = NULL;
  for (int i = 0; i < p->pieces; i++) {
    weir__local_piece *piece = &p->piece[i], *before = piece - 1;
    const weir__node  *node  = &p->graph->node[piece->node];
    size_t             bytes = weir__type_bytes(&node->type[0], &piece->memory);
    if (head && before->node == piece->node && before->channel == piece->channel && before->piece + 1 == piece->piece &&
        !piece->in_place && !node->is_static && weir__region_size(&before->region) &&
        weir__region_size(&piece->region) && weir__region_follows(&before->region, &piece->region) == 0 &&
        weir__plan_triggers(p, before->node, &before->region) == weir__plan_triggers(p, piece->node, &piece->region)) {
      head->together++;
      head->bytes += bytes;
      head->memory.count[0] += piece->memory.count[0];
      continue;
    }
    head           = piece;
    head->together = 1;
    head->bytes    = bytes;
  }
}

weir_status weir__compile_sources(weir__compiler *c, const weir__local_piece *pieces, int piece_count, bool holes) {
  const weir__graph *graph   = c->plan->graph;
  weir_status        status  = WEIR_OK;
  mail               m       = {.c = c};
  weir__letter      *letters = NULL, *received = NULL;
  int                count = 0, received_count = 0;
  for (int i = 0; i < graph->nodes && status >= 0; i++)
    if (!graph->node[i].op && (!pieces || graph->node[i].stream) && c->plan->wanted[i].rank >= 0)
      status = read_tasks(c, i);
  if (!pieces) return weir__compiler_agree(c, status);
  if (status >= 0) status = keep_pieces(c, pieces, piece_count);
  if (status >= 0) join_pieces(c->plan);
  for (int i = 0; i < piece_count && status >= 0; i++)
    if (c->plan->piece[i].together) status = share_piece(&m, i);
  if (status >= 0) status = write_letters(&m, &letters, &count);
  WEIR_TRY_GOTO(out, weir__compiler_agree(c, status));
  status = weir__comm_exchange(c->comm, letters, count, &received, &received_count);
  if (status >= 0) status = read_letters(&m, received, received_count);
  if (status >= 0) status = assemble_all(&m, holes);
  WEIR_TRY_GOTO(out, weir__compiler_agree(c, status));
out:
  weir__comm_letters_free(&letters, count);
  weir__comm_letters_free(&received, received_count);
  weir__free(m.fragment);
  weir__free(m.outgoing);
  return status;
}

/* ---- one-chunk fields that every worker needs ---- */

weir__broadcast_tree weir__compiler_tree(const weir__compiler *c, int node) {
  const weir__plan    *p     = c->plan;
  int                  first = node == p->graph->decisions.node ? 0 : p->forwarders;
  weir__broadcast_tree t     = {.first = first, .size = p->size - first, .root = c->single[node], .place = -1};
  if (p->rank >= first) t.place = (p->rank - t.root + t.size) % t.size;
  return t;
}

weir_status weir__compile_broadcasts(weir__compiler *c) {
  weir__plan *p = c->plan;
  for (int i = 0; i < p->graph->nodes; i++) {
    const weir__node *node = &p->graph->node[i];
    if (!c->broadcast[i] || p->wanted[i].rank < 0) continue;
    weir__broadcast_tree t     = weir__compiler_tree(c, i);
    weir_region          whole = weir__region_whole(&node->type[0]);
    if (t.place <= 0) continue;
    for (int k = 0; k < node->outputs; k++) {
      int          number;
      weir__packet packet = {.peer    = weir__tree_worker(&t, t.place & (t.place - 1)),
                             .depth   = node->depth,
                             .purpose = WEIR__BROADCAST,
                             .tree    = weir__tree_name(&t),
                             .node    = i,
                             .output  = k,
                             .region  = whole,
                             .bytes   = weir__type_bytes(&node->type[k], &whole),
                             .task    = -1};
      WEIR_TRY(weir__compiler_new_packet(c, true, &packet, &number));
      if (!k) c->broadcast_packet[i] = number;
    }
  }
  return WEIR_OK;
}
