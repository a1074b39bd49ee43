/* Requests: sends and receives of steps, started and looked at.
 *
 * A step may wait for a thousand messages, and MPI looks at each request that it is asked about, and goes through those
 * that wait for a message until it finds the one that a message is for. So receives stand in queues, one for each step
 * in flight, in the order in which they are expected: MPI is given the next ones alone, and a look asks about the first
 * of a queue, and if that is not there in every other look about some of the others: MPI looks for messages of all
 * whatever it is asked about, and where there is none it may yield. For sends nobody waits. */
#include "comm/comm_parts.h"

#ifdef WEIR_HAVE_MPI

enum {
  GIVEN  = 32, /* receives of a queue that MPI has at a time */
  FIRST  = 4,  /* of those, asked about in each look */
  OTHERS = 4,  /* and in turn; or one in SHARE */
  SHARE  = 16,
  SENDS  = 32, /* the first of them, asked about at a time */
  OFTEN  = 2,  /* looks, in one of which it asks about others where the first is not there */
  MORE   = 8   /* and about these and sends in any case */
};

typedef struct entry {
  MPI_Request   request; /* MPI_REQUEST_NULL: it is over */
  int           slot;
  weir__receive receive; /* where it is one */
} entry;

/* In the order in which they were asked for. */
typedef struct queue {
  int    capacity, length;   /* requests, and places for them */
  int    pending, given;     /* requests that are not over; those of them that MPI has */
  int    first, begins, end; /* MPI has [first, begins), but for those that are over, and not [begins, end) */
  int    turn;               /* of the others, the next to be asked about */
  entry *entry;
} queue;

typedef struct place {
  queue *queue;
  int    at;
} place;

struct weir__requests {
  weir__comm  *comm;
  int          queues, pending; /* the last queue is that of sends */
  unsigned     looks;
  queue       *queue;
  MPI_Request *asked; /* those that a test asks about */
  place       *place; /* of asked[i] */
  int         *index; /* out array of MPI_Testsome */
};

weir_status weir__requests_create(weir__comm *comm, int queues, int receives, int sends, weir__requests **requests) {
  weir_status     status = WEIR_OK;
  weir__requests *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->comm = comm;
  size_t all = (size_t)queues * (size_t)receives + (size_t)sends + 1;
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)queues + 1, sizeof *self->queue, &self->queue));
  self->queues = queues + 1;
  for (queue *q = self->queue; q < self->queue + self->queues; q++) {
    q->capacity = q < self->queue + queues ? receives : sends;
    q->length   = 2 * q->capacity + 1;
    WEIR_TRY_GOTO(out, weir__alloc_array((size_t)q->length, sizeof *q->entry, &q->entry));
  }
  WEIR_TRY_GOTO(out, weir__alloc_array(all, sizeof *self->asked, &self->asked));
  WEIR_TRY_GOTO(out, weir__alloc_array(all, sizeof *self->place, &self->place));
  WEIR_TRY_GOTO(out, weir__alloc_array(all, sizeof *self->index, &self->index));
  *requests = self;
  self      = NULL;
out:
  weir__requests_destroy(&self);
  return status;
}

void weir__requests_destroy(weir__requests **requests) {
  weir__requests *self = *requests;
  if (!self) return;
  for (queue *q = self->queue; q < self->queue + self->queues; q++) {
    for (int i = q->first; i < q->begins; i++) {
      if (q->entry[i].request == MPI_REQUEST_NULL) continue;
      MPI_Cancel(&q->entry[i].request);
      MPI_Request_free(&q->entry[i].request);
    }
    weir__free(q->entry);
  }
  weir__free(self->queue);
  weir__free(self->asked);
  weir__free(self->place);
  weir__free(self->index);
  weir__free(self);
  *requests = NULL;
}

static void close_gaps(queue *q) {
  int kept = 0, given = 0;
  for (int i = q->first; i < q->end; i++) {
    if (i < q->begins && q->entry[i].request == MPI_REQUEST_NULL) continue;
    given += i < q->begins;
    q->entry[kept++] = q->entry[i];
  }
  q->first  = 0;
  q->begins = given;
  q->end    = kept;
}

/* Room for one more. */
static weir_status make_room(queue *q) {
  if (q->pending == q->capacity) return WEIR_FAIL(WEIR_ERR_INTERNAL, "more than %d requests in flight", q->capacity);
  if (q->end == q->length) close_gaps(q);
  return WEIR_OK;
}

static weir_status add(weir__requests *r, queue *q) {
  q->end++;
  q->pending++;
  r->pending++;
  return WEIR_OK;
}

/* Sends are given to MPI at once. */
static weir_status sent(weir__requests *r, queue *q, int slot) {
  q->entry[q->end].slot = slot;
  q->begins++;
  q->given++;
  return add(r, q);
}

weir_status weir__request_send(weir__requests *r, const weir__send *send, bool *over) {
  queue *q    = &r->queue[r->queues - 1];
  int    done = 0;
  WEIR_TRY(make_room(q));
  entry      *e     = &q->entry[q->end];
  const void *bytes = send->bytes;
  int         size = (int)send->size, peer = send->peer, tag = TAG_STEP + send->tag;
  if (send->matched) MPI_TRY(MPI_Issend(bytes, size, MPI_BYTE, peer, tag, r->comm->handle, &e->request));
  else MPI_TRY(MPI_Isend(bytes, size, MPI_BYTE, peer, tag, r->comm->handle, &e->request));
  if (!send->matched && send->size <= WEIR__SMALL_MESSAGE) MPI_TRY(MPI_Test(&e->request, &done, MPI_STATUS_IGNORE));
  if (over) *over = done != 0;
  return done ? WEIR_OK : sent(r, q, send->slot);
}

/* MPI gets the next receives. */
static weir_status give(const weir__requests *r, queue *q) {
  for (; q->begins < q->end; q->begins++, q->given++) {
    entry               *e = &q->entry[q->begins];
    const weir__receive *w = &e->receive;
    if (q->given >= GIVEN && !w->together) break;
    MPI_TRY(MPI_Irecv(w->bytes, (int)w->size, MPI_BYTE, w->peer == WEIR__ANYBODY ? MPI_ANY_SOURCE : w->peer,
                      TAG_STEP + w->tag, r->comm->handle, &e->request));
  }
  return WEIR_OK;
}

weir_status weir__request_receive(weir__requests *r, const weir__receive *receive) {
  queue *q = &r->queue[receive->queue];
  WEIR_TRY(make_room(q));
  q->entry[q->end] = (entry){.slot = receive->slot, .receive = *receive};
  WEIR_TRY(add(r, q));
  return give(r, q);
}

/* Those of [from, end) that are not over are to be asked about. */
static void take_some(weir__requests *r, queue *q, int from, int end, int *n) {
  for (int i = from; i < end; i++) {
    if (q->entry[i].request == MPI_REQUEST_NULL) continue;
    r->place[*n]     = (place){q, i};
    r->asked[(*n)++] = q->entry[i].request;
  }
}

static void take_queue(weir__requests *r, queue *q, int first, int *n) {
  int from = q->first + first, others = OTHERS + (q->begins - q->first) / SHARE;
  if (q->begins <= from + others) {
    take_some(r, q, q->first, q->begins, n);
    return;
  }
  take_some(r, q, q->first, from, n);
  if (q->turn < from || q->turn >= q->begins) q->turn = from;
  int next = q->turn + others < q->begins ? q->turn + others : q->begins;
  take_some(r, q, q->turn, next, n);
  q->turn = next;
}

static void trim(queue *q) {
  while (q->first < q->begins && q->entry[q->first].request == MPI_REQUEST_NULL) q->first++;
  if (q->end - q->first > 2 * q->pending + SENDS) close_gaps(q);
}

/* A request is over. */
static int finish(weir__requests *r, queue *q, entry *e) {
  e->request = MPI_REQUEST_NULL;
  q->pending--;
  q->given--;
  r->pending--;
  return e->slot;
}

/* The first of the queues, which have turns: MPI moves messages, and tells of this one in the same call. */
static weir_status test_first(weir__requests *r, bool *asked, int *done, int *count) {
  unsigned receives = (unsigned)r->queues - 1;
  for (unsigned i = 0; i < receives; i++) {
    queue *q    = &r->queue[(r->looks + i) % receives];
    int    over = 0;
    if (q->first == q->begins) continue;
    MPI_TRY(MPI_Test(&q->entry[q->first].request, &over, MPI_STATUS_IGNORE));
    if (over) done[(*count)++] = finish(r, q, &q->entry[q->first]);
    *asked = true;
    break;
  }
  return WEIR_OK;
}

static weir_status test_some(weir__requests *r, int n, int *done, int *count) {
  int completed = 0;
  MPI_TRY(MPI_Testsome(n, r->asked, &completed, r->index, MPI_STATUSES_IGNORE));
  for (int i = 0; completed != MPI_UNDEFINED && i < completed; i++) {
    place at         = r->place[r->index[i]];
    done[(*count)++] = finish(r, at.queue, &at.queue->entry[at.at]);
  }
  return WEIR_OK;
}

weir_status weir__requests_test(weir__requests *r, bool all, int *done, int most, int *count) {
  queue *sends = &r->queue[r->queues - 1];
  bool   asked = false;
  int    n     = 0;
  *count       = 0;
  if (!r->pending || !most) return WEIR_OK;
  r->looks++;
  for (queue *q = r->queue; q < sends; q++) WEIR_TRY(give(r, q));
  if (!all && r->looks % MORE) WEIR_TRY(test_first(r, &asked, done, count));
  if (!asked || (!*count && r->looks % OFTEN == 0)) {
    for (queue *q = r->queue; q < sends; q++) take_queue(r, q, all ? q->length : FIRST, &n);
    if (all || !n || r->looks % MORE == 0) take_queue(r, sends, all ? sends->length : SENDS, &n);
    WEIR_TRY(test_some(r, n < most ? n : most, done, count));
  }
  for (queue *q = r->queue; *count && q <= sends; q++) trim(q);
  return WEIR_OK; /* the next receives are given in the next call, when what has come was looked at */
}

int weir__requests_pending(const weir__requests *requests) { return requests->pending; }

#else /* one process only */

weir_status weir__requests_create(weir__comm *comm, int queues, int receives, int sends, weir__requests **requests) {
  (void)comm, (void)queues, (void)receives, (void)sends;
  *requests = NULL;
  return WEIR_OK;
}
void        weir__requests_destroy(weir__requests **requests) { *requests = NULL; }
weir_status weir__request_send(weir__requests *requests, const weir__send *send, bool *over) {
  (void)requests, (void)send, (void)over;
  return weir__comm_alone();
}
weir_status weir__request_receive(weir__requests *requests, const weir__receive *receive) {
  (void)requests, (void)receive;
  return weir__comm_alone();
}
weir_status weir__requests_test(weir__requests *requests, bool all, int *done, int most, int *count) {
  (void)requests, (void)all, (void)done, (void)most;
  *count = 0;
  return WEIR_OK;
}
int weir__requests_pending(const weir__requests *requests) {
  (void)requests;
  return 0;
}
#endif
