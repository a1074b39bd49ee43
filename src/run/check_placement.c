/* What each placement of the analysis would move and hold. */
#include "exec/worker.h"
#include "run/check.h"
#include <inttypes.h>
#include <string.h>

typedef struct costs {
  double copied; /* by the simulation, in a step */
  double sent;   /* in a step, by all */
  double slots;  /* of all its processes */
  double plan;   /* of the worker that needs most */
} costs;

static weir_status estimate(const weir__recipe *recipe, const weir__graph *graph, int workers, int forwarders,
                            costs *c) {
  weir__plan_summary s;
  int                size = workers + forwarders, tried = size <= 8 ? size : 8;
  for (int i = 0; i < tried; i++) {
    int rank = tried == size ? i : (int)((int64_t)i * (size - 1) / (tried - 1));
    WEIR_TRY(weir__plan_estimate(graph, rank, size, forwarders, recipe->steps_in_flight, &s));
    c->sent += (double)s.message_bytes * size / tried;
    if ((double)s.bytes > c->plan) c->plan = (double)s.bytes;
  }
  return WEIR_OK;
}

static void add_line(weir__text *text, bool chosen, const char *name, const costs *c, const char *note) {
  char copied[16], sent[16], slots[16], plan[16];
  weir__text_add(text, "  %c %-7s  copied %s, sent %s; slots %s, plan %s%s\n", chosen ? '*' : ' ', name,
                 weir__text_bytes(c->copied, copied), weir__text_bytes(c->sent, sent),
                 weir__text_bytes(c->slots, slots), weir__text_bytes(c->plan, plan), note);
}

weir_status weir__check_placements(weir__text *text, const weir__recipe *recipe, const weir__graph *graph, int workers,
                                   double step_bytes) {
  const weir__recipe_stream *s     = &recipe->stream;
  int                        slots = s->slots ? s->slots : WEIR__CHANNEL_SLOTS_DEFAULT;
  costs                      node = {.copied = step_bytes, .slots = step_bytes * slots}, transit = node, hosted = {0};
  if (s->is_files) return WEIR_OK;
  WEIR_TRY(estimate(recipe, graph, workers, 0, &node));
  WEIR_TRY(estimate(recipe, graph, workers, 1, &transit));
  transit.sent += step_bytes;
  hosted.sent = node.sent;
  hosted.plan = node.plan;
  weir__text_add(text, "placements, in a step in which everything is due, %d worker%s; plan: memory of each\n", workers,
                 workers == 1 ? "" : "s");
  add_line(text, s->placement == WEIR__PLACEMENT_NODE, "node", &node, "");
  add_line(text, s->placement == WEIR__PLACEMENT_TRANSIT, "transit", &transit, "; and one process to forward per node");
  add_line(text, s->placement == WEIR__PLACEMENT_INLINE, "inline", &hosted,
           " in as many\n             processes of the simulation, which waits for every step, and dies with the "
           "analysis");
  return weir__text_status(text);
}
