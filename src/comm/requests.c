/* Requests: sends and receives of steps, started and looked at.
 *
 * Started ones are in the order in which they were started, which should be that in which they are expected. A step may
 * wait for a thousand messages, and MPI looks at each request that it is asked about: so a test asks about the oldest,
 * about the youngest (a send is mostly over at once), and about some of the others in turn. */
#include "comm/comm_parts.h"

#ifdef WEIR_HAVE_MPI

enum { TESTED = 16 };

struct weir__requests {
  weir__comm  *comm;
  int          capacity, pending, length;
  int          first, end; /* requests [first, end) are started, or over: MPI_REQUEST_NULL */
  int          turn;       /* of those in between, the next to be asked about */
  MPI_Request *request;
  int         *slot;  /* of request[i] */
  MPI_Request *asked; /* those that a test asks about */
  int         *place; /* of asked[i] in `request` */
  int         *index; /* out array of MPI_Testsome */
};

weir_status weir__requests_create(weir__comm *comm, int count, weir__requests **requests) {
  weir_status     status = WEIR_OK;
  weir__requests *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->comm     = comm;
  self->capacity = count;
  self->length   = 2 * count + 1;
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)self->length, sizeof *self->request, &self->request));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)self->length, sizeof *self->slot, &self->slot));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)count + 1, sizeof *self->asked, &self->asked));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)count + 1, sizeof *self->place, &self->place));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)count + 1, sizeof *self->index, &self->index));
  *requests = self;
  self      = NULL;
out:
  weir__requests_destroy(&self);
  return status;
}

void weir__requests_destroy(weir__requests **requests) {
  weir__requests *self = *requests;
  if (!self) return;
  for (int i = self->first; i < self->end; i++) {
    if (self->request[i] == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&self->request[i]);
    MPI_Request_free(&self->request[i]);
  }
  weir__free(self->request);
  weir__free(self->slot);
  weir__free(self->asked);
  weir__free(self->place);
  weir__free(self->index);
  weir__free(self);
  *requests = NULL;
}

static void close_gaps(weir__requests *r) {
  int kept = 0;
  for (int i = r->first; i < r->end; i++) {
    if (r->request[i] == MPI_REQUEST_NULL) continue;
    r->request[kept] = r->request[i];
    r->slot[kept++]  = r->slot[i];
  }
  r->first = 0;
  r->end   = kept;
}

/* Room for one more. */
static weir_status make_room(weir__requests *r) {
  if (r->pending == r->capacity) return WEIR_FAIL(WEIR_ERR_INTERNAL, "more than %d requests in flight", r->capacity);
  if (r->end == r->length) close_gaps(r);
  return WEIR_OK;
}

static weir_status started(weir__requests *r, int slot) {
  r->slot[r->end++] = slot;
  r->pending++;
  return WEIR_OK;
}

weir_status weir__request_send(weir__requests *r, int slot, const void *bytes, size_t size, int peer, int tag) {
  WEIR_TRY(make_room(r));
  MPI_TRY(MPI_Isend(bytes, (int)size, MPI_BYTE, peer, TAG_STEP + tag, r->comm->handle, &r->request[r->end]));
  return started(r, slot);
}

weir_status weir__request_send_matched(weir__requests *r, int slot, const void *bytes, size_t size, int peer, int tag) {
  WEIR_TRY(make_room(r));
  MPI_TRY(MPI_Issend(bytes, (int)size, MPI_BYTE, peer, TAG_STEP + tag, r->comm->handle, &r->request[r->end]));
  return started(r, slot);
}

weir_status weir__request_receive(weir__requests *r, int slot, void *bytes, size_t size, int peer, int tag) {
  WEIR_TRY(make_room(r));
  if (peer == WEIR__ANYBODY) peer = MPI_ANY_SOURCE;
  MPI_TRY(MPI_Irecv(bytes, (int)size, MPI_BYTE, peer, TAG_STEP + tag, r->comm->handle, &r->request[r->end]));
  return started(r, slot);
}

/* Those of [from, end) that are not over are to be asked about. */
static void take_window(weir__requests *r, int *n, int from, int end) {
  for (int i = from; i < end; i++) {
    if (r->request[i] == MPI_REQUEST_NULL) continue;
    r->place[*n]     = i;
    r->asked[(*n)++] = r->request[i];
  }
}

/* One question for all: when nothing has completed MPI looks at its transports, and may yield, in each. `done` must
 * hold all that may complete at once. */
weir_status weir__requests_test(weir__requests *r, bool all, int *done, int most, int *count) {
  int n = 0, completed = 0;
  *count = 0;
  if (!r->pending) return WEIR_OK;
  if (all || r->end - r->first <= 3 * TESTED) {
    take_window(r, &n, r->first, r->end);
  } else {
    int from = r->first + TESTED, end = r->end - TESTED;
    if (r->turn < from || r->turn >= end) r->turn = from;
    int next = r->turn + TESTED < end ? r->turn + TESTED : end;
    take_window(r, &n, r->first, from);
    take_window(r, &n, r->turn, next);
    take_window(r, &n, end, r->end);
    r->turn = next;
  }
  if (n > most) n = most;
  MPI_TRY(MPI_Testsome(n, r->asked, &completed, r->index, MPI_STATUSES_IGNORE));
  for (int i = 0; completed != MPI_UNDEFINED && i < completed; i++) {
    int at           = r->place[r->index[i]];
    r->request[at]   = MPI_REQUEST_NULL;
    done[(*count)++] = r->slot[at];
  }
  r->pending -= *count;
  while (r->first < r->end && r->request[r->first] == MPI_REQUEST_NULL) r->first++;
  while (r->first < r->end && r->request[r->end - 1] == MPI_REQUEST_NULL) r->end--;
  if (*count && r->end - r->first > 2 * r->pending + 4 * TESTED) close_gaps(r);
  return WEIR_OK;
}

int weir__requests_pending(const weir__requests *requests) { return requests->pending; }

#else /* one process only */

weir_status weir__requests_create(weir__comm *comm, int count, weir__requests **requests) {
  (void)comm, (void)count;
  *requests = NULL;
  return WEIR_OK;
}
void        weir__requests_destroy(weir__requests **requests) { *requests = NULL; }
weir_status weir__request_send(weir__requests *requests, int slot, const void *bytes, size_t size, int peer, int tag) {
  (void)requests, (void)slot, (void)bytes, (void)size, (void)peer, (void)tag;
  return weir__comm_alone();
}
weir_status weir__request_send_matched(weir__requests *requests, int slot, const void *bytes, size_t size, int peer,
                                       int tag) {
  (void)requests, (void)slot, (void)bytes, (void)size, (void)peer, (void)tag;
  return weir__comm_alone();
}
weir_status weir__request_receive(weir__requests *requests, int slot, void *bytes, size_t size, int peer, int tag) {
  (void)requests, (void)slot, (void)bytes, (void)size, (void)peer, (void)tag;
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
