/* Which worker does a step, where workers share steps out: each asks for the next one as it has time, so that a slow
 * worker, or a slow step, holds up nobody. Worker 0 counts; a question is one message there and one back, and is asked
 * while the steps claimed before are computed. All workers begin all steps in their order: those claimed by others are
 * empty, but for what this worker owns.
 *
 * A message of a claimed step is taken from whoever sends it, so its tag must tell it from those of all other steps
 * that may be on their way. Sends are matched (complete only when the receive was there), so a step retires at its
 * claimer only when each receiver has begun it: between the step that a receiver begins next and the newest claim lie
 * no more steps than are claimed and not retired, which are at most `flight`. Twice as many tags are enough. */
#include "exec/state.h"

enum { QUESTION, ASK, ANSWER, REPLY /* and one for each worker */ };

struct weir__claims {
  weir__comm     *comm;
  weir__requests *requests;
  int            *done;
  int64_t         next;           /* of worker 0: what nobody has claimed */
  int64_t         asker, rank;    /* of worker 0: who asks; this one */
  int64_t         answer, *reply; /* of worker 0: to each */
  bool            asked, begun;
};

int weir__claims_window(const weir__worker *w) { return 2 * w->plan->flight; }

static weir_status listen(weir__claims *c) {
  return weir__request_receive(
      c->requests,
      &(weir__receive){
          .slot = QUESTION, .bytes = &c->asker, .size = sizeof c->asker, .peer = WEIR__ANYBODY, .tag = QUESTION});
}

weir_status weir__claims_create(weir__worker *w) {
  enum { TAG_MOST = 1 << 27 };
  weir__claims *c;
  weir_status   status = WEIR_OK;
  if (!w->plan->claims) return WEIR_OK; /* the same on all */
  for (int m = 0; m < w->plan->messages_in && status >= 0; m++)
    if ((int64_t)(w->plan->in[m].tag + 1) * 2 * weir__claims_window(w) > TAG_MOST)
      status = WEIR_FAIL(WEIR_ERR_OVERFLOW, "too many messages (%d) for %d workers that share steps out",
                         w->plan->messages_in, w->plan->size);
  if (status >= 0) status = weir__alloc_zeroed(sizeof *c, 0, &c);
  WEIR_TRY(weir__comm_agree(w->comm, status));
  w->claims = c;
  w->claim  = -1;
  c->rank   = weir__comm_rank(w->comm);
  WEIR_TRY(weir__comm_duplicate(w->comm, &c->comm));
  int size = weir__comm_size(w->comm), most = REPLY + size + 1;
  status = weir__alloc_array((size_t)most, sizeof *c->done, &c->done);
  if (status >= 0) status = weir__alloc_array((size_t)size, sizeof *c->reply, &c->reply);
  if (status >= 0) status = weir__requests_create(c->comm, 2, 1, most, &c->requests);
  return weir__comm_agree(w->comm, status);
}

void weir__claims_destroy(weir__worker *w) {
  weir__claims *c = w->claims;
  if (!c) return;
  weir__requests_destroy(&c->requests);
  if (c->comm) weir__comm_destroy(&c->comm);
  weir__free(c->done);
  weir__free(c->reply);
  weir__free(c);
  w->claims = NULL;
}

weir_status weir__claims_begin(weir__worker *w) {
  weir__claims *c = w->claims;
  if (!c) return WEIR_OK;
  c->next  = w->begun;
  c->begun = true;
  return c->rank ? WEIR_OK : listen(c);
}

static weir_status ask(weir__worker *w, weir__claims *c) {
  if (!c->rank) {
    w->claim = c->next++;
    return WEIR_OK;
  }
  c->asked = true;
  WEIR_TRY(weir__request_receive(
      c->requests,
      &(weir__receive){.queue = 1, .slot = ANSWER, .bytes = &c->answer, .size = sizeof c->answer, .tag = ANSWER}));
  return weir__request_send(
      c->requests, &(weir__send){.slot = ASK, .bytes = &c->rank, .size = sizeof c->rank, .tag = QUESTION}, NULL);
}

weir_status weir__claims_next(weir__worker *w, bool *known) {
  weir__claims *c = w->claims;
  *known          = true;
  if (!c) return WEIR_OK;
  if (w->claim < w->begun && !c->asked && w->claimed - w->settled < w->plan->claimed_flight) WEIR_TRY(ask(w, c));
  *known = w->claim >= w->begun;
  return WEIR_OK;
}

weir_status weir__claims_work(weir__worker *w, bool *some) {
  weir__claims *c = w->claims;
  int           count;
  if (!c || !c->begun) return WEIR_OK;
  WEIR_TRY(weir__requests_test(c->requests, true, c->done, REPLY + w->plan->size + 1, &count));
  for (int i = 0; i < count; i++) {
    if (c->done[i] == QUESTION) {
      int asker        = (int)c->asker;
      c->reply[asker]  = c->next++;
      weir__send reply = {
          .slot = REPLY + asker, .bytes = &c->reply[asker], .size = sizeof *c->reply, .peer = asker, .tag = ANSWER};
      WEIR_TRY(weir__request_send(c->requests, &reply, NULL));
      WEIR_TRY(listen(c));
    } else if (c->done[i] == ANSWER) {
      w->claim = c->answer;
      c->asked = false;
    }
    *some = true;
  }
  return WEIR_OK;
}

bool weir__claims_polls(const weir__worker *w) { return w->claims && (!w->claims->rank || w->claims->asked); }
