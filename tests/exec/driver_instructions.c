/* driver_instructions GRAPH STEPS: runs a graph of small chunks so many steps on one thread, so that what the engine
 * does for a step can be counted as instructions. GRAPH: halo (neighbours exchange edges), tree (a mean over many
 * chunks) or series (windows, earlier steps, outputs in some steps). */
#include "comm/comm.h"
#include "exec/worker.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern const weir_operator *const weir__operators_built_in[];
enum { DEFINITIONS = 4, TICK_NS = 100 };

/* In the place of the C library's. How often a worker looks around while it has work depends on how long a task takes,
 * and so on the machine: here all take as long. */
int clock_gettime(clockid_t clock, struct timespec *now) {
  static _Atomic int64_t looks;
  int64_t                ns = TICK_NS * atomic_fetch_add(&looks, 1);
  (void)clock;
  *now = (struct timespec){1000000000 + ns / 1000000000, ns % 1000000000};
  return 0;
}

typedef struct sample {
  const char *name;
  int64_t     ny, nx, chunk;
  const char *definition[DEFINITIONS][2]; /* the last one is wanted */
  int         period;                     /* of steps in which it is */
} sample;

static const sample samples[] = {
    {"halo", 256, 16, 4, {{"a", "ddx(u) - ddy(u)"}, {"b", "laplacian(a)"}}, 1},
    {"tree", 4096, 4, 4, {{"m", "mean(u)"}}, 1},
    {"series",
     128,
     16,
     4,
     {{"smooth", "running_mean(u, 4)"}, {"change", "smooth - lag(u, 2)"}, {"most", "max(abs(change)) + std(u)"}},
     8},
};

static int64_t steps;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  *step = ordinal;
  *time = (double)ordinal;
  return ordinal == steps ? WEIR_END : WEIR_OK;
}

static weir_status read_some(void *self, int field, int64_t ordinal, const weir_view *out) {
  double *x = out->data;
  (void)self, (void)field;
  for (int64_t i = 0; i < weir_view_size(out); i++) x[i] = 1.5 + (double)(ordinal & 1);
  return WEIR_OK;
}

static weir_status build(const sample *s, const weir__chunk_size *chunks, weir__graph **graph) {
  weir_field_type type = {
      .dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = s->ny}, {.name = "x", .size = s->nx}}};
  weir__edge   edge;
  weir__graph *g;
  int          node, trigger;
  WEIR_TRY(weir__graph_create(weir__operators_built_in, &g));
  *graph         = g;
  g->chunk_size  = chunks;
  g->chunk_sizes = 1;
  WEIR_TRY(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &node));
  WEIR_TRY(weir__graph_trigger(g, (weir__trigger){.period = s->period}, &trigger));
  for (int i = 0; i < DEFINITIONS && s->definition[i][0]; i++) {
    WEIR_TRY(weir__graph_define(g, s->definition[i][0], s->definition[i][1], (weir__place){0}));
    if (!weir__graph_find(g, s->definition[i][0], &edge)) return WEIR_ERR_INTERNAL;
  }
  weir__graph_want(g, edge.node, trigger);
  return weir__graph_finish(g);
}

static weir_status run(const sample *s) {
  weir__chunk_size     chunks  = {"y", s->chunk};
  weir__source         source  = {.next = next, .read = read_some};
  weir__worker_options options = {.threads = 0};
  weir__worker_stats   stats;
  weir__worker        *worker = NULL;
  weir__graph         *graph  = NULL;
  weir__comm          *comm   = NULL;
  weir_status          status = WEIR_OK;
  WEIR_TRY(weir__comm_self(&comm));
  WEIR_TRY_GOTO(out, build(s, &chunks, &graph));
  WEIR_TRY_GOTO(out, weir__worker_create(graph, comm, &source, NULL, &options, &worker));
  WEIR_TRY_GOTO(out, weir__worker_run(worker));
  weir__worker_stats_get(worker, &stats);
  printf("%s: %lld steps of %lld tasks\n", s->name, (long long)stats.steps, (long long)stats.plan_tasks);
out:
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
  weir__comm_destroy(&comm);
  return status;
}

int main(int argc, char **argv) {
  steps = argc > 2 ? strtoll(argv[2], NULL, 10) : 0;
  for (size_t k = 0; argc > 2 && k < sizeof samples / sizeof *samples; k++) {
    if (strcmp(samples[k].name, argv[1])) continue;
    if (run(&samples[k]) >= 0) return 0;
    fprintf(stderr, "driver_instructions: %s\n", weir_error_last());
    return 1;
  }
  fprintf(stderr, "driver_instructions: expected halo, tree or series, and a number of steps\n");
  return 2;
}
