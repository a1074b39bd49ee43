/* Small messages between workers of one node, through memory that they share.
 *
 * A worker's mailbox has a box for each neighbour that sends it such messages: a ring of places, filled by that
 * neighbour alone and emptied by this worker alone. The stamp of a place is the number of the message in it, so a
 * message of few values is one line of a cache that goes from core to core, and neither side calls MPI.
 *
 * A message may come before its step has begun here. It stays in its box only if its memory is still in use, by a step
 * so much earlier that all messages of that one have come before it: a sender has as many steps in flight as this
 * worker. So what stays holds nothing up that is waited for. */
#include "channel/shared.h"
#include "exec/state.h"
#include <string.h>
#include <unistd.h>

#define MAILBOX_MAGIC UINT64_C(0x314c49414d524957)                       /* "WIRMAIL1" */
enum { LINE = 64, RING_BYTES = 16384, PLACES_MIN = 8, PLACES_MAX = 64 }; /* powers of two */
#define FIRST (UINT32_MAX - 2 * PLACES_MAX) /* numbers of messages soon wrap, in every run: it is seen to work */

typedef struct place {
  _Atomic uint32_t stamp; /* number of the message + 1; else it is not there yet */
  uint32_t         tag, size, unused;
  char             bytes[];
} place;

typedef struct box {
  _Alignas(LINE) _Atomic uint32_t taken; /* number of the one that the receiver takes next */
  _Alignas(LINE) _Atomic uint32_t full;  /* set by the sender, which waits to be rung */
  uint32_t places, place_bytes;
} box;

/* Shared: a list of the boxes, and behind it these, each with its places. */
typedef struct segment {
  weir__shared_header header;
  int64_t             boxes;
  struct {
    int64_t rank, offset; /* of the sender; in the segment */
  } entry[];
} segment;

typedef struct inbox {
  box            *shared;
  weir__doorbell *bell; /* of the sender */
  uint32_t        taken;
  int             first, messages; /* in plan->in: all of this sender */
  size_t          most;            /* bytes of the largest that comes this way */
} inbox;

typedef struct outbox {
  segment        *segment; /* of the receiver */
  size_t          bytes;
  box            *shared;
  int             peer;
  weir__doorbell *bell;
  uint32_t        sent, taken; /* as far as is known */
  bool            fresh;       /* something has been sent that the receiver may sleep over */
} outbox;

struct weir__mailbox {
  segment *segment;
  size_t   bytes;
  int      fd;
  inbox   *in;
  outbox  *out;
  int      ins, outs;
  bool    *mailed; /* per incoming message: it comes this way */
  int      mails;  /* so many of a step do */
  int     *to;     /* per outgoing message: its place in `out`; -1: it goes by MPI */
  int     *early;  /* per slot: incoming messages that came before their step began */
  int     *earlies;
  int64_t  due; /* in the steps that have begun */
  bool     fresh;
};

static bool goes(const weir__worker *w, const weir__message *m) {
  return !m->claimed && m->bytes <= WEIR__SMALL_MESSAGE && weir__neighbours_bell(w, m->peer);
}

static place *place_of(box *b, uint32_t number) {
  return (place *)(void *)((char *)(b + 1) + (size_t)(number & (b->places - 1)) * b->place_bytes);
}

/* ---- life ---- */

/* Messages of one sender follow each other in the plan, by tag. */
static weir_status find_boxes(const weir__worker *w, struct weir__mailbox *m) {
  const weir__plan *p = w->plan;
  for (int i = 0, first = 0; i < p->messages_in; i++) {
    if (p->in[i].peer != p->in[first].peer) first = i;
    if (!goes(w, &p->in[i])) continue;
    if (p->in[i].tag != i - first) return WEIR_FAIL(WEIR_ERR_INTERNAL, "messages of a worker do not follow each other");
    if (!m->ins || m->in[m->ins - 1].first != first)
      m->in[m->ins++] = (inbox){.first = first, .bell = weir__neighbours_bell(w, p->in[i].peer), .taken = FIRST};
    inbox *b    = &m->in[m->ins - 1];
    b->messages = i - first + 1;
    if (p->in[i].bytes > b->most) b->most = p->in[i].bytes;
    m->mailed[i] = true;
    m->mails++;
  }
  for (int i = 0; i < p->messages_out; i++) {
    m->to[i] = -1;
    if (!goes(w, &p->out[i])) continue;
    int peer = p->out[i].peer;
    if (!m->outs || m->out[m->outs - 1].peer != peer)
      m->out[m->outs++] = (outbox){.peer = peer, .bell = weir__neighbours_bell(w, peer), .sent = FIRST, .taken = FIRST};
    m->to[i] = m->outs - 1;
  }
  return WEIR_OK;
}

static weir_status allocate(weir__worker *w) {
  const weir__plan     *p  = w->plan;
  size_t                in = (size_t)p->messages_in, out = (size_t)p->messages_out, flight = (size_t)p->flight;
  struct weir__mailbox *m;
  WEIR_TRY(weir__alloc_zeroed(sizeof *m, 0, &m));
  w->mailbox = m;
  m->fd      = -1;
  WEIR_TRY(weir__alloc_array(in + 1, sizeof *m->in, &m->in));
  WEIR_TRY(weir__alloc_array(out + 1, sizeof *m->out, &m->out));
  WEIR_TRY(weir__alloc_array(in + 1, sizeof *m->mailed, &m->mailed));
  WEIR_TRY(weir__alloc_array(out + 1, sizeof *m->to, &m->to));
  WEIR_TRY(weir__alloc_array(flight * in + 1, sizeof *m->early, &m->early));
  WEIR_TRY(weir__alloc_array(flight, sizeof *m->earlies, &m->earlies));
  return find_boxes(w, m);
}

static void lay_out(const inbox *b, box *shared) {
  shared->place_bytes = (uint32_t)((sizeof(place) + b->most + LINE - 1) / LINE * LINE);
  shared->places      = PLACES_MAX;
  while (shared->places > PLACES_MIN && shared->places * shared->place_bytes > RING_BYTES) shared->places /= 2;
}

static size_t box_bytes(const box *b) { return sizeof *b + (size_t)b->places * b->place_bytes; }

/* The boxes of this worker. */
static weir_status make_segment(const weir__worker *w, struct weir__mailbox *m) {
  size_t head = (sizeof *m->segment + (size_t)m->ins * sizeof *m->segment->entry + LINE - 1) / LINE * LINE;
  m->bytes    = head;
  for (int i = 0; i < m->ins; i++) {
    box shape = {0};
    lay_out(&m->in[i], &shape);
    m->bytes += box_bytes(&shape);
  }
  WEIR_TRY(
      weir__shared_create("mailbox of the worker", MAILBOX_MAGIC, sizeof *m->segment, m->bytes, &m->fd, &m->segment));
  m->segment->boxes = m->ins;
  for (int i = 0; i < m->ins; i++) {
    m->segment->entry[i].rank   = w->plan->in[m->in[i].first].peer;
    m->segment->entry[i].offset = (int64_t)head;
    m->in[i].shared             = (box *)(void *)((char *)m->segment + head);
    lay_out(&m->in[i], m->in[i].shared);
    atomic_store_explicit(&m->in[i].shared->taken, FIRST, memory_order_relaxed);
    head += box_bytes(m->in[i].shared);
  }
  return WEIR_OK;
}

/* The box for this worker in the mailbox of another one. */
static weir_status open_box(const weir__worker *w, const weir__comm_mate *mate, outbox *o) {
  WEIR_TRY(weir__shared_open("mailbox of a worker", mate->word[0], (int)mate->word[1], MAILBOX_MAGIC,
                             sizeof *o->segment, &o->segment, &o->bytes));
  for (int64_t i = 0; i < o->segment->boxes; i++)
    if (o->segment->entry[i].rank == w->plan->rank)
      o->shared = (box *)(void *)((char *)o->segment + o->segment->entry[i].offset);
  return o->shared ? WEIR_OK
                   : WEIR_FAIL(WEIR_ERR_INTERNAL, "worker %lld has no box for worker %d", (long long)mate->rank,
                               w->plan->rank);
}

static weir_status open_boxes(const weir__worker *w, struct weir__mailbox *m, const weir__comm_mate *mate) {
  for (int i = 0; i < weir__comm_node_size(w->comm); i++)
    for (int k = 0; k < m->outs; k++)
      if (m->out[k].peer == mate[i].rank) WEIR_TRY(open_box(w, &mate[i], &m->out[k]));
  return WEIR_OK;
}

weir_status weir__mailbox_create(weir__worker *w) {
  weir__comm_mate *mate = NULL;
  if (!weir__neighbours_anywhere(w)) return WEIR_OK;
  WEIR_TRY(weir__comm_agree(w->comm, allocate(w)));
  struct weir__mailbox *m = w->mailbox;
  if (m->ins && make_segment(w, m) < 0) weir__error_clear();
  WEIR_TRY(weir__comm_mates(w->comm, (int64_t[]){getpid(), m->fd}, &mate));
  int64_t without = (m->ins && !m->segment) || open_boxes(w, m, mate) < 0;
  if (without) weir__error_clear();
  weir__free(mate);
  WEIR_TRY(weir__comm_max(w->comm, &without, 1));
  if (m->fd >= 0) close(m->fd);
  m->fd = -1;
  if (without) weir__mailbox_destroy(w); /* all of them, or some would wait for what comes another way */
  return WEIR_OK;
}

void weir__mailbox_destroy(weir__worker *w) {
  struct weir__mailbox *m = w->mailbox;
  if (!m) return;
  for (int i = 0; m->out && i < m->outs; i++) weir__shared_unmap(&m->out[i].segment, m->out[i].bytes);
  weir__shared_unmap(&m->segment, m->bytes);
  if (m->fd >= 0) close(m->fd);
  weir__free(m->in);
  weir__free(m->out);
  weir__free(m->mailed);
  weir__free(m->to);
  weir__free(m->early);
  weir__free(m->earlies);
  weir__free(m);
  w->mailbox = NULL;
}

/* ---- messages ---- */

bool weir__mailbox_brings(const weir__worker *w, int message) { return w->mailbox && w->mailbox->mailed[message]; }

bool weir__mailbox_takes(const weir__worker *w, int message) { return w->mailbox && w->mailbox->to[message] >= 0; }

bool weir__mailbox_put(weir__worker *w, int message, const void *bytes, size_t size) {
  struct weir__mailbox *m = w->mailbox;
  outbox               *o = &m->out[m->to[message]];
  if (o->sent - o->taken >= o->shared->places) {
    o->taken = atomic_load_explicit(&o->shared->taken, memory_order_acquire);
    if (o->sent - o->taken >= o->shared->places) {
      atomic_store_explicit(&o->shared->full, 1, memory_order_relaxed);
      return false;
    }
  }
  place *p = place_of(o->shared, o->sent++);
  p->tag   = (uint32_t)w->plan->out[message].tag;
  p->size  = (uint32_t)size;
  memcpy(p->bytes, bytes, size);
  atomic_store_explicit(&p->stamp, o->sent, memory_order_release);
  o->fresh = m->fresh = true;
  return true;
}

void weir__mailbox_ring(weir__worker *w) {
  struct weir__mailbox *m = w->mailbox;
  if (!m || !m->fresh) return;
  m->fresh = false;
  atomic_thread_fence(memory_order_seq_cst); /* it is there, or the receiver has not yet looked before it sleeps */
  for (outbox *o = m->out; o < m->out + m->outs; o++) {
    if (o->fresh) weir__doorbell_rouse(o->bell);
    o->fresh = false;
  }
}

static const weir__message_head *head_of(const place *p) { return (const weir__message_head *)(const void *)p->bytes; }

/* So many steps after the one that retires next. */
static uint32_t ahead(const weir__worker *w, const place *p) { return head_of(p)->ordinal - (uint32_t)w->retired; }

/* Is there a message whose memory is free? */
static bool filled(const weir__worker *w, const inbox *b) {
  const place *p = place_of(b->shared, b->taken);
  return atomic_load(&p->stamp) == b->taken + 1 && ahead(w, p) < (uint32_t)w->plan->flight;
}

bool weir__mailbox_filled(void *worker) {
  const weir__worker *w = worker;
  for (int i = 0; w->mailbox && i < w->mailbox->ins; i++)
    if (filled(w, &w->mailbox->in[i])) return true;
  return false;
}

static weir_status take(weir__worker *w, inbox *b) {
  const weir__plan    *p       = w->plan;
  const place         *from    = place_of(b->shared, b->taken);
  int                  message = b->first + (int)from->tag;
  const weir__message *to      = &p->in[message];
  if (from->tag >= (uint32_t)b->messages || from->size > to->bytes)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "worker %d got a message that is not expected", p->rank);
  int64_t ordinal = w->retired + ahead(w, from), slot = ordinal % p->flight;
  memcpy(to->buffer + (size_t)slot * to->stride, from->bytes, from->size);
  atomic_store_explicit(&b->shared->taken, ++b->taken, memory_order_release);
  if (atomic_load_explicit(&b->shared->full, memory_order_relaxed)) {
    atomic_store_explicit(&b->shared->full, 0, memory_order_relaxed);
    weir__doorbell_ring(b->bell);
  }
  if (ordinal < w->begun) {
    w->mailbox->due--;
    return weir__worker_arrived(w, weir__step_of(w, ordinal), message);
  }
  w->mailbox->early[slot * p->messages_in + w->mailbox->earlies[slot]++] = message;
  return WEIR_OK;
}

weir_status weir__mailbox_empty(weir__worker *w, bool *some) {
  for (inbox *b = w->mailbox->in; b < w->mailbox->in + w->mailbox->ins; b++)
    for (; filled(w, b); *some = true) WEIR_TRY(take(w, b));
  return WEIR_OK;
}

weir_status weir__mailbox_begin(weir__worker *w, weir__step *s) {
  struct weir__mailbox *m = w->mailbox;
  m->due += m->mails - m->earlies[s->slot];
  while (m->earlies[s->slot])
    WEIR_TRY(weir__worker_arrived(
        w, s, m->early[s->slot * (uint32_t)w->plan->messages_in + (uint32_t)--m->earlies[s->slot]]));
  return WEIR_OK;
}

bool weir__mailbox_due(const weir__worker *w) { return w->mailbox && w->mailbox->due > 0; }
