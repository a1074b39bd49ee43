/* A case as a graph, executed by a worker that reads a source: no channel, which is memory shared with a simulation on
 * the same node. Everything else is what users run, with `threads` 0. */
#include "exec/worker.h"
#include "harness.h"
#include "scale/case.h"
#include "scale/simulated.h"

extern const weir_operator        weir_operator_mean, weir_operator_lag, weir_operator_laplacian;
static const weir_operator *const operators[]  = {&weir_operator_mean, &weir_operator_lag, &weir_operator_laplacian,
                                                  NULL};
static const char *const          expression[] = {"mean(u)", "laplacian(u, spacing=1)", "mean((u - lag(u, 1)) / dt)"};

/* ---- the source ---- */

static weir_status next_step(void *self, int64_t ordinal, int64_t *step, double *time) {
  const scale_case *c = self;
  if (ordinal == c->steps) return WEIR_END;
  if (c->period_ns && weir__clock_ns() < scale_published_ns(c, ordinal)) return WEIR_ERR_TIMEOUT;
  *step = ordinal;
  *time = 0.5 * (double)ordinal;
  return WEIR_OK;
}

static weir_status read_box(void *self, int field, int64_t ordinal, const weir_view *out) {
  const scale_case *c  = self;
  double           *to = out->data;
  (void)field;
  for (int64_t y = 0; y < out->count[0]; y++)
    for (int64_t x = 0; x < out->count[1]; x++) *to++ = scale_value(c, ordinal, out->start[0] + y, out->start[1] + x);
  return WEIR_OK;
}

/* ---- where results end up ---- */

typedef struct to_case {
  scale_case *c;
} to_case;

static weir_status scalar_infer(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64};
  return WEIR_OK;
}

static weir_status take_scalar(const weir_apply *a) {
  const to_case *p = a->params;
  double         value;
  value                     = *weir_view_load(&a->in[0], NULL, 1, &value);
  *(double *)a->out[0].data = value;
  scale_result(p->c, a->step, value);
  return WEIR_OK;
}

static weir_status take_chunk(const weir_apply *a) {
  const to_case   *p  = a->params;
  const weir_view *in = &a->in[0];
  for (int64_t y = 0; y < in->count[0]; y++)
    for (int64_t x = 0; x < in->count[1]; x++) {
      double value;
      value = *weir_view_load(in, (int64_t[]){y, x}, 1, &value);
      scale_result_at(p->c, a->step, in->start[0] + y, in->start[1] + x, value);
      weir_view_store(&a->out[0], (int64_t[]){y, x}, 1, &value);
    }
  return WEIR_OK;
}

static const weir_operator scalar_sink = {.api         = WEIR_OPERATOR_API,
                                          .name        = "result",
                                          .inputs      = 1,
                                          .params_size = sizeof(to_case),
                                          .in_order    = true,
                                          .infer       = scalar_infer,
                                          .apply       = take_scalar};
static const weir_operator chunk_sink  = {
     .api = WEIR_OPERATOR_API, .name = "results", .inputs = 1, .params_size = sizeof(to_case), .apply = take_chunk};

static void retired(void *self, const weir__progress *progress) {
  scale_case *c                = self;
  c->result_ns[progress->step] = weir__clock_ns() - scale_published_ns(c, progress->step);
}

/* ---- graph and run ---- */

static void build(scale_case *c, weir__graph **graph) {
  weir__chunk_size chunk[] = {{"y", CHUNK_ROWS}, {"x", CHUNK_COLUMNS}};
  weir_field_type  type    = {.dtype = WEIR_F64,
                              .rank  = 2,
                              .dim   = {{.name = "y", .size = (int64_t)CHUNK_ROWS * c->down},
                                        {.name = "x", .size = (int64_t)CHUNK_COLUMNS * CHUNKS * c->across}}};
  to_case          p       = {c};
  weir__graph     *g;
  weir__edge       edge;
  int              u, sink, trigger;
  bench_check(weir__graph_create(operators, &g), "graph");
  g->chunk_size  = chunk;
  g->chunk_sizes = 2;
  bench_check(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), "graph");
  bench_check(weir__graph_expression(g, expression[c->kind], (weir__place){0}, &edge), "expression");
  bench_check(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), "graph");
  bench_check(weir__graph_add_operator(g, c->kind == SCALE_HALO ? &chunk_sink : &scalar_sink, &p, &edge, 1, NULL,
                                       (weir__place){0}, NULL, &sink),
              "graph");
  weir__graph_want(g, sink, trigger);
  bench_check(weir__graph_finish(g), "graph");
  g->chunk_sizes = 0; /* they were ours */
  *graph         = g;
}

/* All processes see the same beginning, some time from now. */
static void agree_start(scale_case *c, weir__comm *comm) {
  c->start_ns = weir__clock_ns() + 2 * c->period_ns;
  bench_check(weir__comm_max(comm, &c->start_ns, 1), "start");
  scale_rings(c->start_ns, c->period_ns, c->steps);
}

void scale_by_engine(scale_case *c, weir__comm *comm, scale_figures *f) {
  weir__source         source  = {.self = c, .next = next_step, .read = read_box};
  weir__worker_options options = {.threads = 0, .progress = retired, .progress_self = c};
  weir__worker_stats   stats;
  weir__graph         *graph;
  weir__worker        *worker;
  int64_t              before = scale_bytes();
  scale_bytes_restart();
  int64_t began = scale_cpu_start();
  build(c, &graph);
  bench_check(weir__worker_create(graph, comm, &source, NULL, &options, &worker), "worker");
  f->compile_us = 1e-3 * (double)(scale_cpu_stop(began));
  f->kept_kib   = (double)(scale_bytes() - before) / 1024;
  f->most_kib   = (double)(scale_bytes_most() - before) / 1024;
  agree_start(c, comm);
  bench_check(weir__worker_run(worker), "run");
  weir__worker_stats_get(worker, &stats);
  f->messages      = (double)stats.messages / c->steps;
  f->message_bytes = (double)stats.message_bytes / c->steps;
  f->tasks         = (double)stats.plan_tasks;
  f->run_ns        = (double)stats.run_ns;
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
}
