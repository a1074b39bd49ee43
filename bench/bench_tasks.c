/* What a task costs in the engine: graphs of empty tasks, compiled once and replayed (a stencil of 64 x 100, a binary
 * tree of 1024 leaves, 6400 independent tasks), against a plain loop over the same tasks and against other runtimes.
 * (bench_task_bench has more patterns, tasks that check each other, and METG.)
 *
 * The engine's tasks are whole ones: views of three inputs are made, an operator is called, its chunk is marked as
 * computed, counters of successors go down. A replay is a step: its time runs from the begin of one step to that of the
 * next, with one step in flight.
 *
 * Systems take turns, in several rounds: the host of a virtual machine moves its cores, and two threads that tell each
 * other of every task take twice as long when their cores do not share a cache, or are one. So each round has the round
 * trip of a cache line, and targets are held against the median of rounds. `bench_tasks engine` leaves the other
 * runtimes out, for a profiler. */
#include "cores.h"
#include "engine.h"
#include <stdio.h>
#include <string.h>

enum { WIDTH = 64, ROWS = 100, LEAVES = 1024, WARM = 20, REPLAYS = 60, ROUNDS = 9, SYSTEMS_MAX = 64 };

/* What differs from the plain engine. */
typedef enum variant { PLAIN, COPIED /* halos */, TRACED } variant;

/* One system on one graph, and what was found in all rounds. */
typedef struct measured {
  const bench_graph *graph;
  char               what[64], system[64];
  const bench_peer  *peer; /* NULL: the engine */
  variant            kind;
  int                threads; /* all of them */
  bench_samples      samples, medians, wakes;
} measured;

static void measure_engine(measured *m, bench_samples *s) {
  bench_engine engine = {.threads = m->threads - 1, .copies = m->kind == COPIED, .traced = m->kind == TRACED};
  bench_replay replay = {.graph = m->graph};
  bench_engine_replay(&engine, &replay, WARM, REPLAYS, s);
  bench_add(&m->wakes, replay.wakes);
}

static void measure_peer(const measured *m, bench_samples *s) {
  bench_replay replay = {.graph = m->graph};
  if (m->peer->open(m->graph, m->threads)) return;
  bench_reserve(s, REPLAYS / 5);
  for (int i = 0; i < WARM + REPLAYS / 5; i++) {
    int64_t begin = weir__clock_ns();
    if (m->peer->replay(&replay)) bench_check(WEIR_FAIL(WEIR_ERR_OPERATOR, "it failed"), m->peer->name);
    if (i >= WARM) bench_add(s, (double)(weir__clock_ns() - begin));
  }
  m->peer->close();
}

static void measure(measured *m) {
  bench_samples s = {0};
  if (m->peer) measure_peer(m, &s);
  else measure_engine(m, &s);
  for (size_t i = 0; i < s.count; i++) bench_add(&m->samples, s.value[i]);
  if (s.count) bench_add(&m->medians, bench_quantile(&s, 0.5));
  bench_clear(&s);
}

static void tell(measured *m) {
  double scale = 1e-3 / m->graph->tasks;
  char   what[128];
  if (!m->samples.count) return; /* a peer that cannot do it */
  bench_summary(m->what, m->system, &m->samples, scale, "us/task");
  bench_value(m->what, m->system, "best-round", scale * bench_quantile(&m->medians, 0), "us/task");
  if (m->peer || m->kind != PLAIN || m->threads != 2) return;
  double wakes = bench_quantile(&m->wakes, 0.5);
  bench_value(m->what, m->system, "wakes", wakes, "per replay");
  snprintf(what, sizeof what, "%s, wake-ups of the other thread in a replay", m->what);
  bench_at_most(what, wakes, 1, "");
  snprintf(what, sizeof what, "%s, an empty task on 2 threads", m->what);
  bench_at_most(what, scale * bench_quantile(&m->medians, 0.5), m->graph->rows > 1 ? 0.05 : 0.1, "us");
}

/* ---- which systems ---- */

static measured list[SYSTEMS_MAX];
static int      listed;

static void add(measured m, const char *graph, const char *suffix, const char *system) {
  if (listed == SYSTEMS_MAX) bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "too many systems"), system);
  snprintf(m.what, sizeof m.what, "%s%s", graph, suffix);
  if (m.peer == &bench_plain_loop) snprintf(m.system, sizeof m.system, "%s", system);
  else snprintf(m.system, sizeof m.system, "%s-%d-threads", system, m.threads);
  bench_reserve(&m.samples, ROUNDS * REPLAYS);
  bench_reserve(&m.medians, ROUNDS);
  bench_reserve(&m.wakes, ROUNDS);
  list[listed++] = m;
}

static void add_engine(const bench_graph *graph, const char *name, const char *suffix, variant kind) {
  for (int threads = 1; threads <= 3; threads++)
    add((measured){.graph = graph, .kind = kind, .threads = threads}, name, suffix, "weir");
}

static void add_peers(const bench_graph *graph, const char *name) {
  add((measured){.graph = graph, .peer = &bench_plain_loop, .threads = 1}, name, "", bench_plain_loop.name);
  for (const bench_peer *const *peer = bench_peers; *peer; peer++)
    for (int threads = 1; threads <= 2; threads++)
      add((measured){.graph = graph, .peer = *peer, .threads = threads}, name, "", (*peer)->name);
}

int main(int argc, char **argv) {
  bool          engine_only = argc > 1 && !strcmp(argv[1], "engine");
  bench_graph   graphs[]    = {{.pattern = BENCH_STENCIL_1D, .columns = WIDTH, .rows = ROWS},
                               {.pattern = BENCH_REDUCE, .columns = LEAVES},
                               {.pattern = BENCH_TRIVIAL, .columns = WIDTH * ROWS, .rows = 1}};
  const char   *names[]     = {"stencil", "tree", "independent"};
  bench_samples trips       = {0};
  bench_open("tasks");
  if (!engine_only) bench_peers_missing();
  for (int i = 0; i < 3; i++) {
    bench_graph *g = &graphs[i];
    if (bench_graph_create(g)) bench_check(WEIR_FAIL(WEIR_ERR_MEMORY, "no memory"), "graph");
    add_engine(g, names[i], "", PLAIN);
    if (!engine_only && !i) add_engine(g, names[i], "-copied-halo", COPIED);
    if (!engine_only && !i) add_engine(g, names[i], "-traced", TRACED);
    if (!engine_only) add_peers(g, names[i]);
  }
  bench_reserve(&trips, ROUNDS);
  for (int k = 0; k < ROUNDS; k++) {
    bench_add(&trips, bench_round_trip_ns());
    for (int i = 0; i < listed; i++) measure(&list[i]);
  }
  bench_summary("cores", "round-trip", &trips, 1, "ns");
  for (int i = 0; i < listed; i++) tell(&list[i]);
  for (int i = 0; i < listed; i++)
    bench_clear(&list[i].samples), bench_clear(&list[i].medians), bench_clear(&list[i].wakes);
  for (int i = 0; i < 3; i++) bench_graph_clear(&graphs[i]);
  bench_clear(&trips);
  return 0;
}
