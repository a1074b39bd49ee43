/* What `weir check` says of a run whose workers are behind or dead: what is held, what is lost. */
#include "exec/worker.h"
#include "run/check.h"
#include "run/report.h"
#include <inttypes.h>
#include <stdio.h>

static const double CHECKPOINT_S = 10; /* of the engine (exec/checkpoint.c) */

static void add_waiting(weir__text *text, const weir__recipe_stream *s) {
  char time[24];
  weir__text_add(text, "at most %s, then %s\n", weir__duration_text(s->timeout_s, time),
                 s->fallback == WEIR__FALLBACK_STOP ? "goes on without analysis"
                                                    : "leaves steps out until there is room again");
}

/* `held`: spilled steps that workers read back at a time. */
static void add_policy(weir__text *text, const weir__recipe_stream *s, int held, double step_bytes) {
  char size[16];
  switch (s->policy) {
  case WEIR__POLICY_BLOCK:
    weir__text_add(text, "  block: without room for a step, a process of the simulation waits ");
    add_waiting(text, s);
    break;
  case WEIR__POLICY_DROP_NEWEST:
    weir__text_add(text, "  drop_newest: a step for which there is no room is left out; the simulation never waits\n");
    break;
  case WEIR__POLICY_DROP_OLDEST:
    weir__text_add(text,
                   "  drop_oldest: without room, the oldest step that no worker has begun to read is left out; the "
                   "simulation never waits\n");
    break;
  case WEIR__POLICY_SPILL:
    weir__text_add(text, "  spill: without room, a step is written to a file in %s, of at most %s for each process",
                   s->spill_directory ? s->spill_directory : "the run directory",
                   weir__text_bytes((double)s->spill_bytes, size));
    if (step_bytes > 0)
      weir__text_add(text, ": at least %" PRId64 " steps", (int64_t)((double)s->spill_bytes / step_bytes));
    weir__text_add(text, "\n  when that is full, the process waits ");
    add_waiting(text, s);
    weir__text_add(text,
                   "  while steps are spilled, processes hold one more each, and workers up to %d that they read back",
                   held);
    if (step_bytes > 0)
      weir__text_add(text, ": %s of memory of their own", weir__text_bytes(step_bytes * (held + 1), size));
    weir__text_add(text, "\n");
    break;
  }
}

static void add_room(weir__text *text, int slots, double step_bytes) {
  char one[16], all[16];
  weir__text_add(text, "  room: %d step%s for each process", slots, slots == 1 ? "" : "s");
  if (step_bytes > 0)
    weir__text_add(text, ", of at most %s for all processes together: %s of shared memory",
                   weir__text_bytes(step_bytes, one), weir__text_bytes(step_bytes * slots, all));
  weir__text_add(text, "\n");
}

/* `most`: as far apart as the room lets them be; 0: no bound. */
static void add_checkpoints(weir__text *text, const weir__recipe *r, int64_t most) {
  char time[24];
  weir__text_add(text, "  checkpoints: every ");
  if (r->checkpoint_steps && (!most || r->checkpoint_steps <= most))
    weir__text_add(text, "%" PRId64 " step%s", r->checkpoint_steps, r->checkpoint_steps == 1 ? "" : "s");
  else if (r->checkpoint_steps)
    weir__text_add(text, "%" PRId64 " step%s, half of the room", most, most == 1 ? "" : "s");
  else {
    weir__text_add(text, "%s", weir__duration_text(r->checkpoint_s > 0 ? r->checkpoint_s : CHECKPOINT_S, time));
    if (most) weir__text_add(text, ", and at least every %" PRId64 " step%s", most, most == 1 ? "" : "s");
  }
  weir__text_add(text, "; they outlive %s\n", r->durable ? "the node" : "processes, not the node (durable: node)");
}

static void add_recovery(weir__text *text, const weir__recipe *r) {
  char time[24];
  if (r->no_checkpoint && !r->stream.is_files) {
    weir__text_add(text, "  no checkpoints: a worker that dies after the first step is not replaced\n");
    return;
  }
  if (!r->retries) weir__text_add(text, "  workers that die are not started again; weir run --resume goes on\n");
  else {
    weir__text_add(text, "  workers that die%s", r->heartbeat_s > 0 ? ", or are silent for " : "");
    if (r->heartbeat_s > 0) weir__text_add(text, "%s,", weir__duration_text(r->heartbeat_s, time));
    weir__text_add(text, " are started again, at most %d time%s in a row\n", r->retries, r->retries == 1 ? "" : "s");
  }
  if (r->stream.restarts)
    weir__text_add(text, "  a simulation that dies is started again, at most 3 times in a row: %s\n",
                   r->stream.restart.text ? r->stream.restart.text : "with the same command");
}

void weir__check_overload(weir__text *text, const weir__recipe *recipe, double step_bytes) {
  const weir__recipe_stream *s     = &recipe->stream;
  int                        slots = s->slots ? s->slots : WEIR__CHANNEL_SLOTS_DEFAULT;
  int64_t                    most  = s->is_files || s->policy == WEIR__POLICY_SPILL ? 0 : slots > 1 ? slots / 2 : 1;
  if (s->placement == WEIR__PLACEMENT_INLINE) { /* no worker is behind, or dies alone */
    weir__text_add(text, "when the simulation dies\n");
    if (!recipe->no_checkpoint) add_checkpoints(text, recipe, 0);
    return;
  }
  weir__text_add(text, s->is_files ? "when workers die\n" : "when workers are behind, or die\n");
  if (!s->is_files) {
    add_policy(text, s, (recipe->steps_in_flight ? recipe->steps_in_flight : WEIR__STEPS_IN_FLIGHT) + 1, step_bytes);
    add_room(text, slots, step_bytes);
  }
  if (!recipe->no_checkpoint) add_checkpoints(text, recipe, most);
  add_recovery(text, recipe);
}
