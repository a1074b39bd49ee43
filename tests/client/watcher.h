/* A worker in a thread: attaches to one process of a stream, asks for what the test says, and writes down every step.
 */
#ifndef WEIR_TESTS_WATCHER_H
#define WEIR_TESTS_WATCHER_H
#include "channel/scene.h"

#include "channel/channel.h"
#include "core/memory.h"
#include <pthread.h>
#include <stdatomic.h>

enum { SEEN_STEPS = 64, SEEN_PIECES = 8 };

typedef struct seen_step {
  weir__channel_record record;
  char                 why[256];
  weir_view            piece[SEEN_PIECES]; /* data: owned copies, or NULL */
} seen_step;

typedef struct watcher {
  const scene          *s;
  const char           *stream, *refusal; /* refusal not NULL: that is the answer */
  int                   rank, slots;
  weir__channel_trigger trigger[4];
  int                   triggers;
  weir__channel_want    want[SEEN_PIECES]; /* triggers 0: nothing, or, with `all`, the whole piece in every step */
  bool                  all;
  /* the way back: NULL: nothing comes; else it is called for each step that was read */
  weir_status (*decide)(weir__channel *channel, uint64_t sequence);
  weir__channel_feedback feedback[SEEN_PIECES]; /* of the terms; with `decide` steps wait for the horizon, at first: */
  uint64_t               horizon;
  weir__channel_policy   policy;
  _Atomic bool           hold; /* as long as it is set nothing is read */
  /* results */
  int                 failed; /* line of this file */
  int                 steps, pieces;
  seen_step           step[SEEN_STEPS];
  weir__channel_event end;
  char                message[512];
  weir__channel_stats stats;
  pthread_t           thread;
} watcher;

#define WATCH(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "watcher, line %d: %s: %s\n", __LINE__, #condition, weir_error_last());                          \
      w->failed = __LINE__;                                                                                            \
      goto out;                                                                                                        \
    }                                                                                                                  \
  } while (0)

static void note_step(watcher *w, weir__channel *channel, const weir__channel_record *record) {
  seen_step *step = &w->step[w->steps < SEEN_STEPS - 1 ? w->steps : SEEN_STEPS - 1];
  step->record    = *record;
  snprintf(step->why, sizeof step->why, "%s", record->why);
  for (int p = 0; p < w->pieces; p++) {
    weir_view *view = &step->piece[p];
    free(view->data);
    if (weir__channel_piece(channel, record->sequence, p, view)) w->failed = __LINE__;
    if (!view->data) continue;
    size_t bytes = (size_t)weir_view_size(view) * weir_dtype_size(view->dtype);
    void  *copy  = malloc(bytes + 1);
    memcpy(copy, view->data, bytes);
    view->data = copy;
  }
  w->steps++;
}

static void *watch(void *argument) {
  watcher             *w       = argument;
  weir__doorbell      *bell    = NULL;
  weir__channel       *channel = NULL;
  weir_status          status;
  uint32_t             seen = 0;
  weir__channel_record record;
  weir__channel_demand demand[SEEN_PIECES] = {{0}};
  WATCH(!weir__doorbell_create(&bell) && !weir__doorbell_expect(bell, 0, 1));
  for (int i = 0; (status = weir__channel_attach(w->s->run, w->stream, w->rank, &channel)) == WEIR_ERR_GONE && i < 4000;
       i++)
    rest_ms(2);
  WATCH(!status);
  if (w->refusal) {
    WATCH(!weir__channel_refuse(channel, w->refusal));
    goto out;
  }
  const weir__channel_definitions *d = weir__channel_definitions_of(channel);
  w->pieces                          = d->pieces;
  WATCH(d->pieces <= SEEN_PIECES);
  if (!w->triggers) w->trigger[w->triggers++].period = 1;
  for (int p = 0; p < d->pieces; p++) {
    if (w->all && !w->want[p].triggers) w->want[p] = (weir__channel_want){1, d->piece[p].region};
    if (w->want[p].triggers) demand[p] = (weir__channel_demand){1, &w->want[p]};
  }
  weir__channel_terms terms = {
      .slots = w->slots, .policy = w->policy, .trigger = w->trigger, .triggers = w->triggers, .doorbell = bell};
  terms.steering = w->decide != NULL;
  terms.feedback = w->feedback;
  WATCH(d->feedbacks <= SEEN_PIECES);
  WATCH(!weir__channel_demand_post(channel, demand, &terms));
  if (w->decide) weir__channel_horizon(channel, w->horizon);
  while ((status = weir__channel_map(channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 100000000);
  if (status == WEIR_ERR_GONE) {
    w->end = WEIR__CHANNEL_LOST;
    snprintf(w->message, sizeof w->message, "%s", weir__channel_message(channel));
    goto out;
  }
  WATCH(!status);
  while (atomic_load(&w->hold)) rest_ms(1);
  while ((w->end = weir__channel_next(channel, &record)) == WEIR__CHANNEL_STEP || w->end == WEIR__CHANNEL_NOTHING) {
    WATCH(!weir__channel_check(channel));
    if (w->end == WEIR__CHANNEL_NOTHING) {
      weir__doorbell_wait(bell, &seen, 1000000000);
      continue;
    }
    note_step(w, channel, &record);
    if (w->decide) WATCH(!w->decide(channel, record.sequence));
    weir__channel_acknowledge(channel, record.sequence + record.more + 1);
  }
  snprintf(w->message, sizeof w->message, "%s", weir__channel_message(channel));
  weir__channel_stats_get(channel, &w->stats);
out:
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  return NULL;
}

static inline void watcher_start(watcher *w, const scene *s, const char *stream) {
  w->s      = s;
  w->stream = stream;
  assert_int_equal(pthread_create(&w->thread, NULL, watch, w), 0);
}

static inline void watcher_join(watcher *w) {
  pthread_join(w->thread, NULL);
  assert_int_equal(w->failed, 0);
}

static inline void watcher_clear(watcher *w) {
  for (int i = 0; i < SEEN_STEPS; i++)
    for (int p = 0; p < SEEN_PIECES; p++) free(w->step[i].piece[p].data);
}
#endif
