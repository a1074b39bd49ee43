/* Subscriptions are sent to the owners once; then packets of one purpose and depth between two workers become one
 * message. Both ends sort the same packets the same way, so they agree on the layout without a word. */
#include "plan/compiler.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct subscription {
  int32_t     node, output;
  int64_t     chunk, lag;
  weir_region region;
} subscription;

static int compare_regions(const weir_region *a, const weir_region *b) {
  for (int i = 0; i < a->rank; i++) {
    if (a->start[i] != b->start[i]) return a->start[i] < b->start[i] ? -1 : 1;
    if (a->count[i] != b->count[i]) return a->count[i] < b->count[i] ? -1 : 1;
  }
  return 0;
}

#define ORDER(member)                                                                                                  \
  if (x->member != y->member) return x->member < y->member ? -1 : 1

static int same_message(const weir__packet *x, const weir__packet *y) {
  ORDER(peer);
  ORDER(depth);
  ORDER(purpose);
  ORDER(tree);
  return 0;
}

static int by_message(const void *a, const void *b) {
  const weir__packet *x = a, *y = b;
  int                 order = same_message(x, y);
  if (order) return order;
  if (x->rate != y->rate) return x->rate > y->rate ? -1 : 1;
  ORDER(node);
  ORDER(output);
  ORDER(chunk);
  ORDER(lag);
  return compare_regions(&x->region, &y->region);
}

static int by_peer(const void *a, const void *b) {
  const weir__packet *x = *(weir__packet *const *)a, *y = *(weir__packet *const *)b;
  return x->peer - y->peer;
}

/* ---- asking ---- */

static weir_status write_subscriptions(weir__compiler *c, weir__letter **letters, int *count) {
  weir__plan    *p = c->plan;
  weir__packet **asked;
  size_t         n = 0, most = 0;
  WEIR_TRY(weir__alloc_array((size_t)p->packets_in + 1, sizeof *asked, &asked));
  for (int i = 0; i < p->packets_in; i++)
    if (p->packet_in[i].purpose == WEIR__REGIONS || p->packet_in[i].purpose == WEIR__CLAIMED)
      asked[n++] = &p->packet_in[i];
  for (size_t i = 0; i < n; i++) most += asked[i]->peer == WEIR__ANYBODY ? 0 : 1;
  if (most < n) most += (size_t)p->size; /* one to everybody */
  if (n) qsort(asked, n, sizeof *asked, by_peer);
  weir_status status = weir__alloc_array(most + 1, sizeof **letters, letters);
  for (size_t i = 0, end; i < n && status >= 0; i = end) {
    for (end = i; end < n && asked[end]->peer == asked[i]->peer; end++) {}
    bool all = asked[i]->peer == WEIR__ANYBODY; /* any worker may claim a step, this one too */
    for (int peer = all ? 0 : asked[i]->peer; peer < (all ? p->size : asked[i]->peer + 1); peer++) {
      subscription *list;
      WEIR_TRY_GOTO(out, weir__alloc_array(end - i, sizeof *list, &list));
      (*letters)[(*count)++] = (weir__letter){peer, (end - i) * sizeof *list, list};
      for (size_t k = i; k < end; k++)
        list[k - i] =
            (subscription){asked[k]->node, asked[k]->output, asked[k]->chunk, asked[k]->lag, asked[k]->region};
    }
  }
out:
  weir__free(asked);
  return status;
}

static weir_status read_subscriptions(weir__compiler *c, const weir__letter *letters, int count) {
  weir__plan *p = c->plan;
  for (int i = 0; i < count; i++) {
    const subscription *s = letters[i].bytes;
    for (size_t k = 0; k < letters[i].size / sizeof *s; k++) {
      const weir__node *node = &p->graph->node[s[k].node];
      weir__emitter     from;
      int               ignored;
      weir__packet      packet = {.peer    = letters[i].peer,
                                  .depth   = weir__region_depth(node, s[k].lag),
                                  .purpose = c->where[s[k].node] == WEIR__CLAIMED_BY_STEP ? WEIR__CLAIMED : WEIR__REGIONS,
                                  .node    = s[k].node,
                                  .output = s[k].output,
                                  .chunk  = s[k].chunk,
                                  .lag    = s[k].lag,
                                  .region = s[k].region,
                                  .bytes  = weir__type_bytes(&node->type[s[k].output], &s[k].region),
                                  .task   = -1};
      if (s[k].chunk < c->first[s[k].node] || s[k].chunk >= c->end[s[k].node])
        return WEIR_FAIL(WEIR_ERR_INTERNAL, "worker %d asks worker %d for chunk %lld of %s, which is not its own",
                         letters[i].peer, p->rank, (long long)s[k].chunk, node->name);
      WEIR_TRY(weir__compiler_source(c, -1, s[k].node, s[k].output, s[k].chunk, s[k].lag, &s[k].region, &packet.cell,
                                     &from));
      packet.task = from.kind == WEIR__EMIT_TASK ? from.number : -1;
      WEIR_TRY(weir__compiler_new_packet(c, false, &packet, &ignored));
    }
  }
  return WEIR_OK;
}

/* What this worker passes down the trees of broadcasts. Packets that came in are passed on: `task` -2 - packet. */
static weir_status add_forwards(weir__compiler *c) {
  weir__plan *p = c->plan;
  for (int i = 0; i < p->graph->nodes; i++) {
    const weir__node *node = &p->graph->node[i];
    if (!c->broadcast[i] || p->wanted[i].rank < 0) continue;
    weir__broadcast_tree t     = weir__compiler_tree(c, i);
    weir_region          whole = weir__region_whole(&node->type[0]);
    for (int step = 1; t.place >= 0 && t.place + step < t.size && (!t.place || step < (t.place & -t.place)); step *= 2)
      for (int k = 0; k < node->outputs; k++) {
        int           ignored;
        weir__emitter from;
        weir__packet  packet = {.peer    = weir__tree_worker(&t, t.place + step),
                                .depth   = node->depth,
                                .purpose = WEIR__BROADCAST,
                                .tree    = weir__tree_name(&t),
                                .node    = i,
                                .output  = k,
                                .region  = whole,
                                .bytes   = weir__type_bytes(&node->type[k], &whole)};
        WEIR_TRY(weir__compiler_source(c, -1, i, k, 0, 0, &whole, &packet.cell, &from));
        packet.task = from.kind == WEIR__EMIT_TASK     ? from.number
                      : from.kind == WEIR__EMIT_PACKET ? -2 - from.number
                                                       : -1;
        WEIR_TRY(weir__compiler_new_packet(c, false, &packet, &ignored));
      }
  }
  return WEIR_OK;
}

/* ---- packing ---- */

/* Sorted packets -> messages. */
static weir_status make_messages(weir__plan *p, bool incoming, weir__packet *packet, int packets,
                                 weir__message **messages, int *count) {
  int tag[2] = {0, 0}; /* claimed ones are counted apart: their receiver does not know the sender's others */
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)packets * sizeof **messages, messages));
  for (int i = 0, end; i < packets; i = end) {
    for (end = i; end < packets && !same_message(&packet[i], &packet[end]); end++) {}
    if (i && packet[i].peer != packet[i - 1].peer) tag[0] = tag[1] = 0;
    weir__message *m       = &(*messages)[(*count)++];
    bool           claimed = packet[i].purpose == WEIR__CLAIMED;
    *m                     = (weir__message){.peer    = packet[i].peer,
                                             .tag     = tag[claimed]++,
                                             .claimed = claimed,
                                             .packet  = i,
                                             .packets = end - i,
                                             .ring    = claimed && !incoming ? p->claimed_flight : p->flight};
    m->head                = offsetof(weir__message_head, token) + (size_t)m->packets;
    m->bytes               = m->head;
    for (int k = i; k < end; k++) m->bytes = weir__packet_place(&packet[k], m->bytes) + packet[k].bytes;
    m->stride = (m->bytes + 63) & ~(size_t)63;
    if (m->bytes > INT32_MAX)
      return WEIR_FAIL(WEIR_ERR_OVERFLOW,
                       "a message of %zu bytes from worker %d to %d is too large; use more workers or smaller chunks",
                       m->bytes, p->rank, m->peer);
  }
  return WEIR_OK;
}

static weir_status place_incoming(weir__plan *p) {
  for (int m = 0; m < p->messages_in; m++) {
    size_t at = p->in[m].head;
    for (int k = 0; k < p->in[m].packets; k++) {
      weir__packet *packet = &p->packet_in[p->in[m].packet + k];
      weir__cell   *cell   = &p->cell[packet->cell];
      cell->message        = m;
      cell->offset         = weir__packet_place(packet, at);
      at                   = cell->offset + packet->bytes;
    }
  }
  return WEIR_OK;
}

typedef struct expected {
  int depth, message;
} expected;

static int by_depth(const void *a, const void *b) {
  const expected *x = a, *y = b;
  ORDER(depth);
  return x->message - y->message;
}

/* Messages are numbered by their senders; they come as the graph goes down. */
static weir_status order_arrivals(weir__plan *p) {
  expected *list;
  WEIR_TRY(weir__alloc_array((size_t)p->messages_in + 1, sizeof *list, &list));
  for (int m = 0; m < p->messages_in; m++) list[m] = (expected){p->packet_in[p->in[m].packet].depth, m};
  qsort(list, (size_t)p->messages_in, sizeof *list, by_depth);
  weir_status status = weir__arena_alloc(&p->arena, ((size_t)p->messages_in + 1) * sizeof *p->arrival, &p->arrival);
  for (int i = 0; status >= 0 && i < p->messages_in; i++) {
    p->arrival[i]                   = list[i].message;
    p->in[list[i].message].together = i && list[i].depth == list[i - 1].depth;
  }
  weir__free(list);
  return status;
}

/* Do the elements of a region follow each other in a dense box around it? From `*first` on. */
static bool follow_each_other(const weir_region *box, const weir_region *region, int64_t *first) {
  int64_t stride = 1;
  bool    cut    = false; /* an axis behind this one is not whole */
  *first         = 0;
  for (int a = region->rank - 1; a >= 0; a--) {
    if (cut && region->count[a] > 1) return false;
    cut |= region->count[a] < box->count[a];
    *first += (region->start[a] - box->start[a]) * stride;
    stride *= box->count[a];
  }
  return true;
}

static void find_plain(weir__plan *p, weir__packet *packet) {
  const weir__cell *cell  = &p->cell[packet->cell];
  int64_t           first = 0;
  packet->plain           = !cell->dtype || follow_each_other(&cell->region, &packet->region, &first);
  packet->offset          = cell->dtype ? (size_t)first * weir_dtype_size(cell->dtype) : 0;
}

static weir_status pack_tasks(weir__compiler *c, const int *renumbered) {
  weir__plan *p = c->plan;
  for (int m = 0; m < p->messages_out; m++) {
    int task;
    WEIR_TRY(weir__compiler_new_task(
        c, (weir__task){.kind = WEIR__TASK_PACK, .node = -1, .bit = -1, .partial = -1, .message = m}, &task));
    p->out[m].emitter     = task;
    p->task[task].claimed = p->out[m].claimed;
    for (int k = 0; k < p->out[m].packets; k++) {
      weir__packet *packet = &p->packet_out[p->out[m].packet + k];
      weir__emitter from   = {WEIR__EMIT_BEGIN, 0};
      find_plain(p, packet);
      if (packet->task >= 0) from = (weir__emitter){WEIR__EMIT_TASK, packet->task};
      else if (packet->task < -1) from = (weir__emitter){WEIR__EMIT_PACKET, renumbered[-2 - packet->task]};
      WEIR_TRY(weir__compiler_look_back(c, from, task, packet->lag));
    }
  }
  return WEIR_OK;
}

/* Sorting the incoming packets changes their numbers, which dependencies hold. `renumbered[old]` is the new one. */
static weir_status sort_incoming(weir__compiler *c, int *renumbered) {
  weir__plan *p = c->plan;
  int        *cells;
  WEIR_TRY(weir__alloc_array((size_t)p->cells + 1, sizeof *cells, &cells));
  for (int i = 0; i < p->packets_in; i++) cells[p->packet_in[i].cell] = i; /* a cell belongs to one packet */
  if (p->packets_in) qsort(p->packet_in, (size_t)p->packets_in, sizeof *p->packet_in, by_message);
  for (int i = 0; i < p->packets_in; i++) renumbered[cells[p->packet_in[i].cell]] = i;
  for (size_t d = 0; d < c->dependencies; d++)
    if (c->dependency[d].from.kind == WEIR__EMIT_PACKET)
      c->dependency[d].from.number = renumbered[c->dependency[d].from.number];
  weir__free(cells);
  return WEIR_OK;
}

static weir_status build(weir__compiler *c) {
  weir__plan *p = c->plan;
  int        *renumbered;
  WEIR_TRY(weir__alloc_array((size_t)p->packets_in + 1, sizeof *renumbered, &renumbered));
  weir_status status = sort_incoming(c, renumbered);
  if (status >= 0 && p->packets_out) qsort(p->packet_out, (size_t)p->packets_out, sizeof *p->packet_out, by_message);
  if (status >= 0) status = make_messages(p, true, p->packet_in, p->packets_in, &p->in, &p->messages_in);
  if (status >= 0) status = make_messages(p, false, p->packet_out, p->packets_out, &p->out, &p->messages_out);
  if (status >= 0) status = place_incoming(p);
  if (status >= 0) status = order_arrivals(p);
  if (status >= 0) status = pack_tasks(c, renumbered);
  weir__free(renumbered);
  return status;
}

weir_status weir__compile_messages(weir__compiler *c) {
  weir_status   status  = WEIR_OK;
  weir__letter *letters = NULL, *received = NULL;
  int           count = 0, received_count = 0;
  if (c->comm && c->plan->size > 1) {
    WEIR_TRY_GOTO(out, weir__compiler_agree(c, write_subscriptions(c, &letters, &count)));
    WEIR_TRY_GOTO(out, weir__comm_exchange(c->comm, letters, count, &received, &received_count));
    status = read_subscriptions(c, received, received_count);
  }
  if (status >= 0) status = add_forwards(c);
  if (status >= 0) status = build(c);
  WEIR_TRY_GOTO(out, weir__compiler_agree(c, status));
out:
  weir__comm_letters_free(&letters, count);
  weir__comm_letters_free(&received, received_count);
  return status;
}
