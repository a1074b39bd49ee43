#include "engine.h"
#include "exec/worker.h"

enum { IN_PLACE = 8 }; /* so many inputs at most are seen one by one */

/* Parameters of a row's operator. */
typedef struct row {
  bench_replay      *replay;
  const bench_graph *graph;
  int                number;
  bool               runs; /* an input is a run of points, not a point */
  bool               stamps;
  int64_t            last; /* replay, which notes its stamps; earlier ones may end after it */
} row;

/* ---- a point's inputs ---- */

/* Predecessors first .. end - 1 (places in graph->pred) are input `input` of a task; the last input stands for those
 * that it does not have. */
static void input_of(const row *p, int task, int input, int *first, int *end) {
  const bench_graph *g    = p->graph;
  int                last = g->first[task + 1];
  *first                  = g->first[task];
  for (int k = 0;; k++) {
    *end = *first + 1;
    while (p->runs && *end < last && g->pred[*end] == g->pred[*end - 1] + 1) (*end)++;
    if (k == input || *end == last) return;
    *first = *end;
  }
}

/* How many inputs a row's operator needs; 0: it has no predecessors. */
static int inputs_of(const row *p) {
  const bench_graph *g    = p->graph;
  int                most = 0;
  for (int t = g->row[p->number]; t < g->row[p->number + 1]; t++) {
    int n = 0, first = 0, end = g->first[t];
    for (; end < g->first[t + 1]; n++) input_of(p, t, n, &first, &end);
    if (n > most) most = n;
  }
  return most;
}

/* ---- the operator ---- */

static weir_status row_infer(weir_infer *infer) {
  const row *p           = infer->params;
  infer->out[0].dtype    = WEIR_I64;
  infer->out[0].rank     = 1;
  infer->out[0].dim[0]   = (weir_dimension){.name = "x", .size = 2 * bench_width(p->graph, p->number)};
  infer->from_axis[0][0] = -1;
  return WEIR_OK;
}

/* The box around what all points of `out` need. */
static weir_status row_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                            weir_region *region) {
  const row         *p = params;
  const bench_graph *g = p->graph;
  if (!in[input]->rank) {
    *region = weir__region_whole(in[input]);
    return WEIR_OK;
  }
  int64_t low = INT64_MAX, high = 0;
  for (int64_t x = out->start[0] / 2; x < (out->start[0] + out->count[0]) / 2; x++) {
    int first, end;
    input_of(p, g->row[p->number] + (int)x, input, &first, &end);
    if (g->pred[first] < low) low = g->pred[first];
    if (g->pred[end - 1] >= high) high = g->pred[end - 1] + 1;
  }
  *region          = *out;
  region->start[0] = 2 * (low - g->row[p->number - 1]);
  region->count[0] = 2 * (high - low);
  return WEIR_OK;
}

/* All predecessors of a task are there, and each is of this replay. An input may hold more, for other points. */
static void check_inputs(const weir_apply *a, const row *p, int task) {
  const bench_graph *g  = p->replay->graph;
  int                at = g->first[task], end = g->first[task + 1];
  for (int i = 0; at < end && i < a->inputs; i++) {
    const bench_stamp *stamp = a->in[i].data;
    int64_t            first = g->row[p->number - 1] + a->in[i].start[0] / 2, points = a->in[i].count[0] / 2;
    do {
      int64_t k = g->pred[at] - first;
      if (k < 0 || k >= points) break;
      bench_stamp_check(p->replay, a->ordinal, g->pred[at], &stamp[k]);
      at++;
    } while (p->runs && at < end && g->pred[at] == g->pred[at - 1] + 1);
  }
  if (at != end) bench_stamp_missing(p->replay);
}

/* One point, or some beside each other. */
static weir_status row_apply(const weir_apply *a) {
  const row   *p     = a->params;
  bench_stamp *stamp = a->out[0].data;
  int          first = p->graph->row[p->number] + (int)(a->out[0].start[0] / 2), points = (int)a->out[0].count[0] / 2;
  for (int i = 0; i < points; i++) {
    int task = first + i;
    if (p->stamps) check_inputs(a, p, task);
    bench_task_work(p->replay, task);
    if (!p->stamps) continue;
    stamp[i] = bench_stamp_of(p->replay->graph, a->ordinal, task);
    if (p->replay->stamp && a->ordinal == p->last) p->replay->stamp[task] = stamp[i];
  }
  return WEIR_OK;
}

/* ---- the graph ---- */

/* Of an element of a point's stamp and of those it depends on, relative to an addition. A round of the kernel takes as
 * long as 16 additions of arrays in memory. */
static double cost_of(const bench_engine *engine, const row *p, int inputs) {
  enum { ROUND = 16, STAMP = 2, A_TASK_EACH = 1000000 };
  if (!engine->declared) return A_TASK_EACH;
  return 1 + (double)(ROUND * p->replay->work.rounds) / (STAMP * (1 + inputs));
}

static void add_row(weir__graph *graph, const bench_engine *engine, const row *p, int source, int before, int *node) {
  static weir_operator op[WEIR_INPUTS_MAX + 1]; /* by their number of inputs */
  int                  preds = inputs_of(p), inputs = preds ? preds : 1;
  weir__arena          arena = {0};
  weir__grid           grid  = {.rank = 1};
  weir__edge           in[WEIR_INPUTS_MAX];
  if (inputs > WEIR_INPUTS_MAX)
    bench_check(WEIR_FAIL(WEIR_ERR_ARGUMENT, "a task has %d inputs, at most %d are possible", inputs, WEIR_INPUTS_MAX),
                bench_pattern_name((int)p->graph->pattern));
  for (int i = 0; i < inputs; i++) in[i] = (weir__edge){preds ? before : source, 0};
  op[inputs] = (weir_operator){.api         = WEIR_OPERATOR_API,
                               .name        = "row",
                               .inputs      = inputs,
                               .params_size = sizeof(row),
                               .work        = cost_of(engine, p, inputs),
                               .in_boxes    = true,
                               .infer       = row_infer,
                               .need        = row_need,
                               .apply       = row_apply};
  bench_check(weir__grid_cut_size(&arena, 2 * bench_width(p->graph, p->number), 2, &grid.chunks[0], &grid.edge[0]),
              "grid");
  bench_check(weir__graph_add_operator(graph, &op[inputs], p, in, inputs, NULL, (weir__place){0}, &grid, node),
              "graph");
  weir__arena_clear(&arena);
}

static weir__graph *build(const bench_engine *engine, bench_replay *replay, int64_t last) {
  weir_field_type scalar = {.dtype = WEIR_F64};
  weir__graph    *graph;
  int             source, trigger, node = 0;
  row             p = {.replay = replay, .last = last, .graph = engine->graph ? engine->graph : replay->graph};
  p.runs            = engine->copies || p.graph->most > IN_PLACE;
  p.stamps          = engine->stamps;
  bench_check(weir__graph_create(NULL, &graph), "graph");
  bench_check(weir__graph_add_source(graph, "u", 0, 0, &scalar, NULL, false, &source), "graph");
  bench_check(weir__graph_trigger(graph, (weir__trigger){.period = 1}, &trigger), "graph");
  for (; p.number < p.graph->rows; p.number++) {
    add_row(graph, engine, &p, source, node, &node);
    weir__graph_want(graph, node, trigger);
  }
  bench_check(weir__graph_finish(graph), "graph");
  return graph;
}

/* ---- replays ---- */

typedef struct clock_source {
  int64_t  steps;
  int64_t *at; /* when each step was asked for */
} clock_source;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  clock_source *s = self;
  s->at[ordinal]  = weir__clock_ns();
  *step           = ordinal;
  *time           = (double)ordinal;
  return ordinal == s->steps ? WEIR_END : WEIR_OK;
}
static weir_status read_nothing(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self, (void)field, (void)ordinal;
  *(double *)out->data = 1;
  return WEIR_OK;
}

/* Tasks are what they are meant to be: each point one, and the source's. */
static void check_plan(const bench_engine *engine, const weir__worker *worker, const bench_replay *replay) {
  weir__worker_stats stats;
  weir__worker_stats_get(worker, &stats);
  if (!engine->comm && !engine->declared && stats.plan_tasks != replay->graph->tasks + 1)
    bench_check(
        WEIR_FAIL(WEIR_ERR_INTERNAL, "%lld tasks instead of %d", (long long)stats.plan_tasks, replay->graph->tasks + 1),
        "plan");
}

void bench_engine_replay(const bench_engine *engine, bench_replay *replay, int warm, int replays,
                         bench_samples *samples) {
  weir__comm          *comm;
  weir__worker        *worker;
  clock_source         clock   = {.steps = warm + replays};
  weir__source         source  = {.self = &clock, .next = next, .read = read_nothing};
  weir__worker_options options = {.threads         = engine->threads,
                                  .steps_in_flight = engine->flight ? engine->flight : 1,
                                  .pin             = true,
                                  .trace_events    = engine->traced ? WEIR__TRACE_EVENTS : 0};
  bench_check(weir__alloc_array((size_t)clock.steps + 1, sizeof *clock.at, &clock.at), "clock");
  /* a worker's last words to the others may come when they have ended: not to the next ones */
  bench_check(engine->comm ? weir__comm_duplicate(engine->comm, &comm) : weir__comm_self(&comm), "communicator");
  weir__graph *graph = build(engine, replay, warm + replays - 1);
  bench_check(weir__worker_create(graph, comm, &source, NULL, &options, &worker), "worker");
  check_plan(engine, worker, replay);
  bench_check(weir__worker_run(worker), "run");
  bench_reserve(samples, (size_t)replays);
  for (int i = warm, n = options.steps_in_flight; i + n <= warm + replays; i++)
    bench_add(samples, (double)(clock.at[i + n] - clock.at[i]) / n);
  replay->number = warm + replays - 1;
  weir__worker_stats stats;
  weir__worker_stats_get(worker, &stats);
  replay->wakes = (double)stats.wakes / (warm + replays);
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
  weir__comm_destroy(&comm);
  weir__free(clock.at);
  bench_unpin();
}
