/* What the plan decided and computed for the simulation, handed over step by step: weir__worker_deliver for each region
 * of a feedback field, then weir__worker_decided. Both keep the order of steps; any thread. */
#include "exec/state.h"
#include <string.h>

struct weir__steer {
  int               count;     /* decisions of a step; 0: nothing is steered */
  double           *value;     /* a row for each step in `step` of the worker */
  bool             *known;     /* per row */
  _Atomic uint64_t *delivered; /* per piece of feedback: how often it had a value so far */
};

weir_status weir__steer_create(weir__worker *w) {
  const weir__graph  *graph = w->graph;
  struct weir__steer *steer;
  WEIR_TRY(weir__alloc_zeroed(sizeof *steer, 0, &steer));
  w->steer = steer;
  if (graph->decisions.node >= 0) steer->count = (int)graph->node[graph->decisions.node].type[0].dim[0].size;
  WEIR_TRY(weir__alloc_array((size_t)steer->count * (size_t)w->steps + 1, sizeof *steer->value, &steer->value));
  WEIR_TRY(weir__alloc_array((size_t)w->steps, sizeof *steer->known, &steer->known));
  return weir__alloc_array((size_t)w->plan->feedbacks + 1, sizeof *steer->delivered, &steer->delivered);
}

void weir__steer_destroy(weir__worker *w) {
  if (!w->steer) return;
  weir__free(w->steer->value);
  weir__free(w->steer->known);
  weir__free((void *)w->steer->delivered);
  weir__free(w->steer);
  w->steer = NULL;
}

void weir__worker_decided(weir__worker *w, weir__step *s, const double *vector, int count) {
  struct weir__steer *steer = w->steer;
  size_t              row   = (size_t)(s - w->step);
  steer->known[row]         = vector != NULL;
  if (vector) memcpy(steer->value + row * (size_t)steer->count, vector, (size_t)count * sizeof *vector);
}

void weir__worker_deliver(weir__worker *w, weir__step *s, int piece, const weir_view *view) {
  (void)s;
  if (!view->missing) atomic_fetch_add_explicit(&w->steer->delivered[piece], 1, memory_order_relaxed);
}

const double *weir__worker_decisions(const weir__worker *w, int64_t ordinal) {
  size_t row = (size_t)(ordinal % w->steps);
  return w->steer->known[row] ? w->steer->value + row * (size_t)w->steer->count : NULL;
}
