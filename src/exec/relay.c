/* Steps for workers that serve no process of the simulation: another worker tells them that a step has begun, or that
 * the streams have ended. So does worker 0 all others when steps come from a source in their time.
 *
 * Who tells whom is a tree over all workers, its root the first one that knows of steps by itself; its parent tells a
 * worker that does not, be it that the parent sees steps itself or was told. Fewer levels wait less, since messages are
 * looked for at intervals; fewer children cost less. */
#include "exec/state.h"

enum { ANNOUNCED = -1, END_SENT = -2 }; /* requests */
enum { CHILDREN = 16 };                 /* of a worker in the tree */

/* What a worker with processes tells one that serves none. */
typedef struct announcement {
  int64_t  step; /* the end: `end` set */
  double   time;
  uint64_t fired, more, about;
  int64_t  last, saved;
  int32_t  end, torn, marks; /* torn: a weir_gap */
} announcement;

struct weir__relay {
  int           sponsor;  /* >= 0: this worker does not know of steps by itself, and is told by that one */
  int          *follower; /* whom this worker tells */
  int           followers;
  announcement *sent; /* per step in flight, and one for the end */
  announcement  received;
  bool          waiting, have;
};

weir_status weir__relay_create(weir__worker *w) {
  weir_status         status = WEIR_OK;
  struct weir__relay *r;
  weir__letter       *letters = NULL;
  int                 count = 0, rank = weir__comm_rank(w->comm), size = weir__comm_size(w->comm);
  WEIR_TRY(weir__alloc_zeroed(sizeof *r, 0, &r));
  w->relay   = r;
  r->sponsor = -1;
  if ((!w->intake && !w->source->attach) || size == 1)
    return weir__alloc_array((size_t)w->plan->flight + 1, sizeof *r->sent, &r->sent);
  bool    idle  = w->intake ? weir__intake_channels(w->intake) == 0 : rank != 0;
  int64_t first = idle ? 0 : size - rank;
  WEIR_TRY(weir__comm_max(w->comm, &first, 1));
  int          root = size - (int)first, place = (rank - root + size) % size;
  weir__letter hello = {.peer = (root + (place - 1) / CHILDREN) % size};
  if (idle) r->sponsor = hello.peer;
  WEIR_TRY_GOTO(out, weir__comm_exchange(w->comm, &hello, idle, &letters, &count));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)count + 1, sizeof *r->follower, &r->follower));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)w->plan->flight + 1, sizeof *r->sent, &r->sent));
  for (int i = 0; i < count; i++) r->follower[r->followers++] = letters[i].peer;
out:
  weir__comm_letters_free(&letters, count);
  return status;
}

/* What the source says of a step, on the worker that it came to, and passed on. */
static uint64_t about(const weir__worker *w, int64_t ordinal) {
  if (w->intake) return 0;
  return weir__relay_follows(w) ? w->relay->received.about : w->source->about(w->source->self, ordinal);
}

weir_status weir__relay_announce(weir__worker *w, const weir__arrival *a, weir__step *s) {
  struct weir__relay *r = w->relay;
  if (!r->followers) return WEIR_OK;
  r->sent[s->slot] = (announcement){.step  = a->step,
                                    .time  = a->time,
                                    .fired = s->fired,
                                    .more  = a->more,
                                    .last  = a->last,
                                    .saved = a->saved,
                                    .torn  = (int32_t)a->torn,
                                    .marks = a->marks,
                                    .about = about(w, s->ordinal)};
  for (int i = 0; i < r->followers; i++) {
    weir__send send = {.slot  = weir__worker_request_out(w, s, w->plan->messages_out + i),
                       .bytes = &r->sent[s->slot],
                       .size  = sizeof *r->sent,
                       .peer  = r->follower[i]};
    WEIR_TRY(weir__worker_send(w, s, &send));
  }
  return WEIR_OK;
}

weir_status weir__relay_announce_end(weir__worker *w) {
  struct weir__relay *r = w->relay;
  if (r->sent[w->plan->flight].end) return WEIR_OK; /* before it was known that all are to halt later */
  r->sent[w->plan->flight].end = 1;
  for (int i = 0; i < r->followers; i++) {
    weir__send send = {
        .slot = END_SENT, .bytes = &r->sent[w->plan->flight], .size = sizeof *r->sent, .peer = r->follower[i]};
    WEIR_TRY(weir__worker_send(w, NULL, &send));
  }
  return WEIR_OK;
}

weir_status weir__relay_next(weir__worker *w, weir__arrival *arrival) {
  struct weir__relay *r = w->relay;
  if (r->have) {
    r->have = false;
    if (!w->intake && !r->received.end) w->source->heed(w->source->self, w->begun, r->received.about);
    *arrival = (weir__arrival){.step     = r->received.step,
                               .time     = r->received.time,
                               .fired    = r->received.fired,
                               .sequence = (uint64_t)w->begun,
                               .more     = r->received.more,
                               .last     = r->received.last,
                               .torn     = (weir_gap)r->received.torn,
                               .marks    = r->received.marks,
                               .saved    = r->received.saved,
                               .known    = true};
    return r->received.end ? WEIR_END : WEIR_OK;
  }
  if (!r->waiting) {
    WEIR_TRY(weir__request_receive(w->requests, &(weir__receive){.queue = w->plan->flight,
                                                                 .slot  = ANNOUNCED,
                                                                 .bytes = &r->received,
                                                                 .size  = sizeof r->received,
                                                                 .peer  = r->sponsor}));
    r->waiting = true;
  }
  return WEIR_ERR_TIMEOUT;
}

void weir__relay_completed(weir__worker *w, int request) {
  if (request != ANNOUNCED) return;
  weir__neighbours_heard(w);
  w->relay->waiting = false;
  w->relay->have    = true;
}

int  weir__relay_followers(const weir__worker *w) { return w->relay->followers; }
bool weir__relay_follows(const weir__worker *w) { return w->relay->sponsor >= 0; }
int  weir__relay_sponsor(const weir__worker *w) { return w->relay->sponsor; }

void weir__relay_destroy(weir__worker *w) {
  if (!w->relay) return;
  weir__free(w->relay->follower);
  weir__free(w->relay->sent);
  weir__free(w->relay);
  w->relay = NULL;
}
