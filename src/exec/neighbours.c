/* The other workers of this node: their doorbells.
 *
 * Whoever has sent to one of them a message counts it there and rings. So a worker that gets all its messages from
 * neighbours knows without MPI whether any is on its way. To ask MPI costs more than to look at a word: where several
 * share a core it yields in each call that finds nothing, and half a microsecond is gone. */
#include "exec/state.h"
#include <unistd.h>

struct weir__neighbours {
  weir__doorbell  *made; /* of this worker, where it has no intake */
  weir__doorbell **bell; /* of the others */
  int             *rank; /* theirs, ascending */
  int              count;
  bool             anywhere; /* has any worker any? */
  bool             all;      /* messages come from these alone */
  uint32_t         heard;    /* messages from them that are received */
  unsigned         looks;    /* not made since the last one */
  uint32_t         called;   /* as often as it was seen, and for so many turns more a notice is looked for */
  int              attends;
};

weir__doorbell *weir__neighbours_bell(const weir__worker *w, int rank) {
  const struct weir__neighbours *n   = w->neighbours;
  int                            low = 0, high = n->count - 1;
  while (low < high) {
    int middle = (low + high) / 2;
    if (n->rank[middle] < rank) low = middle + 1;
    else high = middle;
  }
  return n->count && n->rank[low] == rank ? n->bell[low] : NULL;
}

/* Where others find this worker's; nowhere, if it cannot be made: then all do without. */
static void make_own(weir__worker *w, struct weir__neighbours *n, int64_t location[2]) {
  int fd = -1;
  if (!w->intake && weir__comm_node_size(w->comm) > 1 && weir__doorbell_create(&n->made) < 0) weir__error_clear();
  w->door = w->intake ? weir__intake_doorbell(w->intake) : n->made;
  if (w->door) weir__doorbell_location(w->door, &fd);
  location[0] = getpid();
  location[1] = fd;
}

static weir_status open_others(const weir__worker *w, struct weir__neighbours *n, const weir__comm_mate *mate) {
  int rank = weir__comm_rank(w->comm), mates = weir__comm_node_size(w->comm);
  WEIR_TRY(weir__alloc_array((size_t)mates, sizeof *n->bell, &n->bell));
  WEIR_TRY(weir__alloc_array((size_t)mates, sizeof *n->rank, &n->rank));
  for (int i = 0; i < mates; i++) {
    if (mate[i].rank == rank) continue;
    WEIR_TRY(weir__doorbell_open_peer(mate[i].word[0], (int)mate[i].word[1], &n->bell[n->count]));
    n->rank[n->count++] = (int)mate[i].rank;
  }
  return WEIR_OK;
}

/* Does every message for this worker come from one of them? */
static bool hears_all(const weir__worker *w) {
  if (w->claims) return false; /* these come from anybody */
  if (weir__relay_follows(w) && !weir__neighbours_bell(w, weir__relay_sponsor(w))) return false;
  for (int m = 0; m < w->plan->messages_in; m++)
    if (!weir__neighbours_bell(w, w->plan->in[m].peer)) return false;
  return true;
}

weir_status weir__neighbours_create(weir__worker *w) {
  struct weir__neighbours *n;
  weir__comm_mate         *mate = NULL;
  int64_t                  location[2];
  WEIR_TRY(weir__comm_agree(w->comm, weir__alloc_zeroed(sizeof *n, 0, &n)));
  w->neighbours = n;
  make_own(w, n, location);
  if (weir__comm_size(w->comm) == 1) return WEIR_OK;
  WEIR_TRY(weir__comm_mates(w->comm, location, &mate));
  /* before anybody sends: a worker that is made anew in its process begins where the one before it ended */
  if (w->door) n->heard = weir__doorbell_told(w->door, WEIR__NEWS_MESSAGE);
  int64_t say[2] = {w->door && open_others(w, n, mate) < 0, n->count};
  if (say[0]) weir__error_clear();
  weir__free(mate);
  WEIR_TRY(weir__comm_max(w->comm, say, 2));
  if (say[0]) n->count = 0; /* by all, or there would be messages that are not counted */
  n->anywhere = !say[0] && say[1];
  n->all      = n->count && hears_all(w);
  return WEIR_OK;
}

void weir__neighbours_destroy(weir__worker *w) {
  struct weir__neighbours *n = w->neighbours;
  if (!n) return;
  for (int i = 0; n->bell && i < weir__comm_node_size(w->comm); i++) weir__doorbell_destroy(&n->bell[i]);
  weir__doorbell_destroy(&n->made);
  weir__free(n->bell);
  weir__free(n->rank);
  weir__free(n);
  w->neighbours = NULL;
}

void weir__neighbours_tell(const weir__worker *w, int rank) {
  weir__doorbell *bell = weir__neighbours_bell(w, rank);
  if (bell) weir__doorbell_tell(bell, WEIR__NEWS_MESSAGE);
}

void weir__neighbours_heard(weir__worker *w) { w->neighbours->heard++; }

void weir__neighbours_ring(const weir__worker *w, int rank) {
  weir__doorbell *bell = weir__neighbours_bell(w, rank);
  if (bell) weir__doorbell_ring(bell);
}

void weir__neighbours_call(const weir__worker *w) {
  for (int i = 0; i < w->neighbours->count; i++) weir__doorbell_tell(w->neighbours->bell[i], WEIR__NEWS_NOTICE);
}

bool weir__neighbours_called(weir__worker *w) {
  enum { TURNS = 64 };
  struct weir__neighbours *n = w->neighbours;
  if (!w->door) return false;
  uint32_t now = weir__doorbell_told(w->door, WEIR__NEWS_NOTICE);
  if (now != n->called) n->called = now, n->attends = TURNS;
  if (!n->attends) return false;
  n->attends--;
  return true;
}

bool weir__neighbours_anywhere(const weir__worker *w) { return w->neighbours->anywhere; }

void weir__neighbours_listen(weir__worker *w) {
  enum { LOOKS = 32 }; /* about as long as a turn */
  const struct weir__neighbours *n = w->neighbours;
  for (int i = 0;
       n->all && i < LOOKS && weir__doorbell_told(w->door, WEIR__NEWS_MESSAGE) == n->heard && !weir__mailbox_filled(w);
       i++)
    continue;
}

/* A message may be counted before it is there, and there before it is counted; and MPI must be called now and then for
 * what it has still to send. */
bool weir__neighbours_silent(weir__worker *w) {
  enum { SKIPS = 32 };
  struct weir__neighbours *n = w->neighbours;
  if (!n->all || w->rests || weir__doorbell_told(w->door, WEIR__NEWS_MESSAGE) != n->heard || ++n->looks >= SKIPS) {
    n->looks = 0;
    return false;
  }
  return true;
}
