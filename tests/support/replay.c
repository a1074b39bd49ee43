#include "support/capture.h"
#include "support/replay.h"
#include "exec/worker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the source ---- */

static weir_status source_next(void *self, int64_t ordinal, int64_t *step, double *time) {
  const replay *r = self;
  if (ordinal == r->steps) return WEIR_END;
  *step = ordinal;
  *time = (double)ordinal;
  return WEIR_OK;
}

static weir_status source_read(void *self, int field, int64_t ordinal, const weir_view *out) {
  const replay *r                    = self;
  weir_region   whole                = weir__region_whole(&r->type);
  const double *values               = r->values + ordinal * weir__region_size(&whole);
  int64_t       index[WEIR_RANK_MAX] = {0};
  (void)field;
  do {
    int64_t at = 0;
    for (int a = 0; a < out->rank; a++)
      at = at * r->type.dim[a].size + out->start[a] + (a < out->rank - 1 ? index[a] : 0);
    weir_view_store(out, index, weir_view_row(out), values + at);
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}

/* ---- gate: the field, but missing in some steps ---- */

typedef struct gate_params {
  uint64_t hidden;
} gate_params;

static weir_status gate_apply(const weir_apply *a) {
  if (a->ordinal < 64 && ((const gate_params *)a->params)->hidden >> a->ordinal & 1) return WEIR_END;
  weir__view_copy(&a->out[0], &a->in[0]);
  return WEIR_OK;
}

static const weir_operator gate = {
    .api = WEIR_OPERATOR_API, .name = "gate", .inputs = 1, .params_size = sizeof(gate_params), .apply = gate_apply};

/* ---- a run ---- */

static void check(weir_status status) {
  if (status < 0) fail_msg("%s", weir_error_last());
}

static int add(weir__graph *g, const weir_operator *op, const void *params, weir__edge in, const char *name) {
  int node = 0;
  check(weir__graph_add_operator(g, op, params, &in, 1, name, (weir__place){0}, NULL, &node));
  return node;
}

static void keep(weir__graph *g, const replay *r, int result, replayed *out) {
  weir__edge edge;
  char       name[80] = "result";
  if (r->op->output_names) snprintf(name, sizeof name, "result.%s", r->op->output_names[result]);
  assert_true(weir__graph_find(g, name, &edge));
  out->type[result]   = *weir__edge_type(g, edge);
  weir_region whole   = weir__region_whole(&out->type[result]);
  out->size[result]   = weir__region_size(&whole);
  out->values[result] = calloc((size_t)(r->steps * out->size[result]), sizeof(double));
  out->calls[result]  = calloc((size_t)r->steps, sizeof(int));
  capture to          = {out->values[result], out->size[result], out->calls[result]};
  capture_add(g, edge, (weir__trigger){.period = 1}, &to);
}

void replay_run(weir__comm *comm, const replay *r, replayed *out) {
  union {
    const replay *given;
    void         *self;
  } self                       = {.given = r};
  weir__source         source  = {.self = self.self, .next = source_next, .read = source_read};
  gate_params          gate_in = {r->hidden};
  weir__worker_options options = {.threads = r->threads, .steps_in_flight = r->flight};
  weir__graph         *g       = NULL;
  weir__worker        *w       = NULL;
  int                  f       = 0;
  *out                         = (replayed){.results = r->op->outputs ? r->op->outputs : 1};
  check(weir__graph_create(NULL, &g));
  g->chunk_size  = r->chunks;
  g->chunk_sizes = r->chunk_count;
  check(weir__graph_add_source(g, "f", 0, 0, &r->type, NULL, false, &f));
  add(g, r->op, r->params, (weir__edge){add(g, &gate, &gate_in, (weir__edge){f, 0}, NULL), 0}, "result");
  for (int k = 0; k < out->results; k++) keep(g, r, k, out);
  check(weir__graph_finish(g));
  check(weir__worker_create(g, comm, &source, NULL, &options, &w));
  check(weir__worker_run(w));
  weir__worker_destroy(&w);
  for (int k = 0; k < out->results; k++)
    out->type[k] = (weir_field_type){.dtype = out->type[k].dtype, .rank = out->type[k].rank};
  weir__graph_destroy(&g);
}

void replayed_free(replayed *out) {
  for (int k = 0; k < out->results; k++) {
    free(out->values[k]);
    free(out->calls[k]);
  }
  *out = (replayed){0};
}

const double *replayed_at(const replayed *r, int result, int64_t step) {
  if (r->calls[result][step] != 1)
    fail_msg("result %d came %d times at step %d", result, r->calls[result][step], (int)step);
  return r->values[result] + step * r->size[result];
}
