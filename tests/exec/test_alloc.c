/* weir-test: timeout=120
 *
 * Proves that every allocation of building a graph, compiling a plan and creating a worker may fail: the n-th one does,
 * for n = 1, 2, 3 ... until all succeed. Each time the status is WEIR_ERR_MEMORY with a message and (with the address
 * sanitizer) nothing is leaked; what then succeeds also runs. */
#include "comm/comm.h"
#include "exec/worker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { N = 24, STEPS = 3 };

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  *step = ordinal;
  *time = (double)ordinal;
  return ordinal < STEPS ? WEIR_OK : WEIR_END;
}

static weir_status read_ones(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self, (void)field, (void)ordinal;
  for (int64_t i = 0; i < weir_view_size(out); i++) ((double *)out->data)[i] = 1;
  return WEIR_OK;
}

/* ---- operators of all kinds ---- */

typedef struct params {
  double factor;
} params;

static weir_status copy(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->out[0]);
  double  row[N], out[N];
  do {
    for (int k = 0; k < a->outputs; k++) {
      const double *x = weir_view_load(&a->in[0], index, n, row);
      for (int64_t i = 0; i < n; i++) out[i] = x[i] * ((const params *)a->params)->factor;
      weir_view_store(&a->out[k], index, n, out);
    }
  } while (weir_view_next_row(&a->out[0], index));
  return WEIR_OK;
}

static weir_status whole(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                         weir_region *region) {
  (void)p, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}

static weir_status whole_infer(weir_infer *x) {
  x->wrap[0] = 3;
  for (int a = 0; a < 2; a++) x->from_axis[0][a] = -1;
  x->out[0].units = weir_infer_string(x, "one");
  return x->out[0].units ? WEIR_OK : WEIR_ERR_MEMORY;
}

static size_t state_size(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in;
  return (size_t)weir__region_size(out) * 8;
}

static weir_status prepare(const void *p, const weir_field_type *const *in, void **context) {
  (void)p, (void)in;
  return weir__alloc_zeroed(100, 0, context);
}

static weir_status scalar(weir_infer *x) {
  x->out[0].rank = 0;
  return WEIR_OK;
}

static weir_status add_all(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->in[0]);
  double  row[N];
  do {
    const double *x = weir_view_load(&a->in[0], index, n, row);
    for (int64_t i = 0; i < n; i++) *(double *)a->partial += x[i];
  } while (weir_view_next_row(&a->in[0], index));
  return WEIR_OK;
}

static void combine(const void *p, const weir_field_type *const *in, const weir_region *out, void *into,
                    const void *from) {
  (void)p, (void)in, (void)out;
  *(double *)into += *(const double *)from;
}

static double result[STEPS];

static weir_status finish(const weir_apply *a) {
  result[a->ordinal] = *(double *)a->partial;
  weir_view_store(&a->out[0], NULL, 1, a->partial);
  return WEIR_OK;
}

#define RECORD .api = WEIR_OPERATOR_API, .inputs = 1, .params_size = sizeof(params)
static const weir_operator plain  = {RECORD, .name = "plain", .apply = copy, .outputs = 2};
static const weir_operator gather = {RECORD,        .name = "gather",   .infer = whole_infer, .need = whole,
                                     .apply = copy, .prepare = prepare, .release = weir__free};
static const weir_operator state  = {RECORD,        .name = "state",      .state_size = state_size,
                                     .apply = copy, .optional_inputs = 1, .accepts_missing = true};
static const weir_operator total  = {
     RECORD,           .name = "total",    .infer = scalar, .partial_size = state_size, .scratch_size = state_size,
     .apply = add_all, .combine = combine, .finish = finish};

static weir_status loop_expand(weir_expand *x) {
  int handle;
  WEIR_TRY(weir_expand_add(x, &state, x->params, (int[]){x->input[0], -1}, 2, &handle));
  WEIR_TRY(weir_expand_loop(x, handle, 1, handle, 1));
  return weir_expand_result(x, 0, handle, 0);
}
static const weir_operator loop = {RECORD, .name = "loop", .expand = loop_expand};

/* ---- the run ---- */

static weir_status build(weir__graph *g) {
  static const weir_operator *const ops[]  = {&plain, &gather, &state, &loop, &total};
  static const weir__chunk_size     size[] = {{"y", 5}, {"x", 7}};
  weir_attribute                    about  = {.name = "long_name", .text = "a field"};
  double                            y[N]   = {0};
  weir_field_type                   type   = {.dtype           = WEIR_F64,
                                              .rank            = 2,
                                              .units           = "m",
                                              .attributes      = &about,
                                              .attribute_count = 1,
                                              .dim = {{.name = "y", .size = N, .units = "m", .values = y}, {.name = "x", .size = N}}};
  int                               node, trigger;
  params                            p = {2};
  g->chunk_size                       = size;
  g->chunk_sizes                      = 2;
  WEIR_TRY(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &node));
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    char name[2] = {(char)('a' + i), 0};
    WEIR_TRY(weir__graph_add_operator(g, ops[i], &p, &(weir__edge){node, 0}, 1, name, (weir__place){"file", 1, 1}, NULL,
                                      &node));
  }
  WEIR_TRY(weir__graph_parameter(g, "speed", 3));
  const char *const *names;
  size_t             count;
  WEIR_TRY(weir__graph_names(g, &names, &count));
  WEIR_TRY(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger));
  weir__graph_want(g, node, trigger);
  return weir__graph_finish(g);
}

static weir_status run(int threads) {
  weir__source         source  = {.self = NULL, .next = next, .read = read_ones};
  weir__worker_options options = {.threads = threads};
  weir__comm          *comm    = NULL;
  weir__graph         *g       = NULL;
  weir__worker        *w       = NULL;
  weir_status          status  = WEIR_OK;
  weir__plan_summary   summary;
  WEIR_TRY(weir__comm_self(&comm));
  WEIR_TRY_GOTO(out, weir__graph_create(NULL, &g));
  WEIR_TRY_GOTO(out, build(g));
  WEIR_TRY_GOTO(out, weir__plan_estimate(g, 0, 3, 0, 0, &summary));
  WEIR_TRY_GOTO(out, weir__worker_create(g, comm, &source, NULL, &options, &w));
  uint64_t before = weir__alloc_calls();
  status          = weir__worker_run(w);
  if (weir__alloc_calls() != before) fail_msg("%d allocations in steps", (int)(weir__alloc_calls() - before));
out:
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
  weir__comm_destroy(&comm);
  assert_null(w);
  return status;
}

static void every_allocation_may_fail(void **unused) {
  (void)unused;
  for (int threads = 0; threads < 3; threads++) {
    weir_status status = WEIR_ERR_MEMORY;
    uint64_t    n      = 0;
    while (status != WEIR_OK) {
      weir__alloc_fail_at(++n);
      status = run(threads);
      weir__alloc_fail_at(0);
      if (status != WEIR_OK && status != WEIR_ERR_MEMORY)
        fail_msg("allocation %d: status %d: %s", (int)n, status, weir_error_last());
      if (status != WEIR_OK && !strstr(weir_error_last(), "memory")) fail_msg("message: %s", weir_error_last());
      assert_true(n < 10000);
    }
    assert_true(n > 50);
    for (int i = 0; i < STEPS; i++) assert_true(result[i] == 16. * N * N);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
