/* The engine as a runtime of task graphs: every row is a node, every point a chunk of it (its stamp: 16 bytes),
 * compiled once and replayed. A replay is a step. */
#ifndef WEIR_BENCH_ENGINE_H
#define WEIR_BENCH_ENGINE_H
#include "comm/comm.h"
#include "harness.h"
#include "task_graph.h"

typedef struct bench_engine {
  weir__comm *comm;    /* NULL: this process alone */
  int         threads; /* besides the calling one */
  int         flight;  /* replays at a time; 0: 1 */
  bool        copies; /* neighbours are copied together: an input for each run of points. Else, where they are few, each
                         predecessor is an input of its own, seen in place */
  bool declared; /* operators say what their kernel costs, and the plan puts small points of a row into one task, as it
                    does for everybody; else each point is a task */
  bool traced;
  bool
      stamps; /* tasks leave stamps and look at them; those of this process, where replay->stamp is given, also there */
  const bench_graph *graph; /* to execute another one than the replay expects (it must be found out); NULL: that one */
} bench_engine;

/* `replays` replays after `warm` ones; ns of each, from begin to begin of as many as are in flight, into `samples`.
 * replay->number is that of the last one. Collective with a communicator. */
void bench_engine_replay(const bench_engine *engine, bench_replay *replay, int warm, int replays,
                         bench_samples *samples);
#endif
