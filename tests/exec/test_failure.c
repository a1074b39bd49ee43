/* weir-test: ranks=1,2,3 timeout=60
 *
 * Proves what a failing operator does under each policy, with one worker and with several: the field and what depends
 * on it are missing at that step (skip), from the steps after it on and on all workers (disable), or the run ends early
 * everywhere (stop); a field that does not depend on it keeps its bytes; one message says what failed, where,
 * and how often; a result that is not finite, and a source that cannot be read, are such failures. */
#include "comm/comm.h"
#include "exec/state.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <weir/sum.h>

enum { NY = 12, NX = 5, STEPS = 60, FLIGHT = 2, KEEPS = 2 };

static weir__comm *comm;

/* ---- a source ---- */

static int64_t unreadable = -1; /* ordinal at which it cannot be read */

static weir_status source_next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  if (ordinal == STEPS) return WEIR_END;
  *step = ordinal * 10;
  *time = 0.5 * (double)ordinal;
  return WEIR_OK;
}

static weir_status source_read(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self, (void)field;
  if (ordinal == unreadable) return WEIR_FAIL(WEIR_ERR_IO, "no such tape");
  for (int64_t y = 0; y < out->count[0]; y++)
    for (int64_t x = 0; x < out->count[1]; x++) {
      double v = sin((double)(ordinal + 3 * (out->start[0] + y)) + 0.1 * (double)(out->start[1] + x));
      weir_view_store(out, (int64_t[]){y, x}, 1, &v);
    }
  return WEIR_OK;
}

/* ---- operators ---- */

typedef enum fault { NONE, ERROR, NOT_A_NUMBER, INFINITE } fault;
typedef struct faulty_params {
  fault   fault;
  int64_t first, last; /* ordinals */
  bool    everywhere;  /* in all chunks, not only that of row 7 */
} faulty_params;

static _Atomic int64_t last_call; /* the last ordinal in which the faulty operator was called here */

static weir_status faulty_apply(const weir_apply *a) {
  const faulty_params *p   = a->params;
  const weir_view     *to  = &a->out[0];
  int64_t              was = atomic_load(&last_call);
  while (was < a->ordinal && !atomic_compare_exchange_weak(&last_call, &was, a->ordinal)) {}
  bool hit = p->fault && a->ordinal >= p->first && a->ordinal <= p->last &&
             (p->everywhere || (to->start[0] <= 7 && 7 < to->start[0] + to->count[0]));
  if (hit && p->fault == ERROR) return WEIR_FAIL(WEIR_ERR_OPERATOR, "the pump is broken");
  for (int64_t y = 0; y < to->count[0]; y++)
    for (int64_t x = 0; x < to->count[1]; x++) {
      double v = *weir_view_load(&a->in[0], (int64_t[]){y, x}, 1, &(double){0});
      if (hit && to->start[0] + y == 7 && to->start[1] + x == 3) v = p->fault == INFINITE ? -INFINITY : (double)NAN;
      weir_view_store(to, (int64_t[]){y, x}, 1, &v);
    }
  return WEIR_OK;
}
static const weir_operator faulty = {.api         = WEIR_OPERATOR_API,
                                     .name        = "faulty",
                                     .inputs      = 1,
                                     .params_size = sizeof(faulty_params),
                                     .apply       = faulty_apply};

static weir_status scalar_infer(weir_infer *infer) {
  infer->out[0].rank     = 0;
  infer->out[0].dtype    = WEIR_F64;
  infer->out[0].has_fill = false;
  return WEIR_OK;
}
static size_t total_size(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in, (void)out;
  return sizeof(weir_sum);
}
static weir_status total_apply(const weir_apply *a) {
  double row[NX];
  for (int64_t y = 0; y < a->in[0].count[0]; y++)
    weir_sum_add(a->partial, weir_view_load(&a->in[0], (int64_t[]){y, 0}, a->in[0].count[1], row), a->in[0].count[1]);
  return WEIR_OK;
}
static void total_combine(const void *p, const weir_field_type *const *in, const weir_region *out, void *into,
                          const void *from) {
  (void)p, (void)in, (void)out;
  weir_sum_combine(into, from);
}
static weir_status total_finish(const weir_apply *a) {
  weir_view_store(&a->out[0], NULL, 1, &(double){weir_sum_value(a->partial)});
  return WEIR_OK;
}
static const weir_operator total = {.api          = WEIR_OPERATOR_API,
                                    .name         = "total",
                                    .inputs       = 1,
                                    .infer        = scalar_infer,
                                    .partial_size = total_size,
                                    .apply        = total_apply,
                                    .combine      = total_combine,
                                    .finish       = total_finish};

/* f + s: a scalar that every chunk needs, so that no worker is more than the steps in flight ahead of another */
static weir_status plus_apply(const weir_apply *a) {
  double s = *weir_view_load(&a->in[1], NULL, 1, &(double){0});
  for (int64_t y = 0; y < a->out[0].count[0]; y++)
    for (int64_t x = 0; x < a->out[0].count[1]; x++) {
      double v = *weir_view_load(&a->in[0], (int64_t[]){y, x}, 1, &(double){0}) + s;
      weir_view_store(&a->out[0], (int64_t[]){y, x}, 1, &v);
    }
  return WEIR_OK;
}
static const weir_operator plus = {.api = WEIR_OPERATOR_API, .name = "plus", .inputs = 2, .apply = plus_apply};

/* ---- what arrived ---- */

typedef struct kept {
  double value[STEPS];
  int    here[STEPS]; /* 1: with a value, 2: missing; 0: not called on this worker */
} kept;
static kept keeps[KEEPS];

typedef struct keep_params {
  int number;
} keep_params;

static weir_status keep_apply(const weir_apply *a) {
  kept *k              = &keeps[((const keep_params *)a->params)->number];
  k->here[a->ordinal]  = a->in[0].missing ? 2 : 1;
  k->value[a->ordinal] = a->in[0].missing ? 0 : *weir_view_load(&a->in[0], NULL, 1, &(double){0});
  weir_view_store(&a->out[0], NULL, 1, &(double){1});
  return WEIR_OK;
}
static const weir_operator keep = {.api             = WEIR_OPERATOR_API,
                                   .name            = "keep",
                                   .inputs          = 1,
                                   .accepts_missing = true,
                                   .in_order        = true,
                                   .params_size     = sizeof(keep_params),
                                   .apply           = keep_apply};

/* What the one worker that has it saw at a step: 1, 2, or 0 when nobody did. */
static int seen(int number, int64_t ordinal, double *value) {
  kept   *k    = &keeps[number];
  int64_t here = k->here[ordinal], bits = 0;
  if (here) memcpy(&bits, &k->value[ordinal], sizeof bits);
  assert_int_equal(weir__comm_sum(comm, &here, 1), WEIR_OK);
  assert_int_equal(weir__comm_sum(comm, &bits, 1), WEIR_OK);
  memcpy(value, &bits, sizeof bits);
  return (int)here;
}

/* ---- a run ---- */

typedef struct setup {
  faulty_params    faulty;
  weir__on_failure policy;
  bool             check_finite, fill;
  weir_dtype       dtype;
  int              threads;
} setup;

static weir__text
            known; /* failures that a worker has given after its run; the next one takes them when `keeps_known` */
static bool keeps_known;

typedef struct outcome {
  weir_status status;
  char        message[400];
  int64_t     steps;
  int         failures; /* on worker 0 */
  char        name[40];
  int64_t     failed_steps, first_step;
} outcome;

static int add(weir__graph *g, const weir_operator *op, const void *params, int first, int second, const char *name) {
  int        node;
  weir__edge in[2] = {{first, 0}, {second, 0}};
  assert_int_equal(weir__graph_add_operator(g, op, params, in, second < 0 ? 1 : 2, name, (weir__place){0}, NULL, &node),
                   WEIR_OK);
  return node;
}

static weir__graph *make_graph(const setup *s) {
  static const weir__chunk_size chunks[] = {{"y", 2}, {"x", NX}};
  weir_field_type               type     = {.dtype    = s->dtype ? s->dtype : WEIR_F64,
                                            .rank     = 2,
                                            .dim      = {{.name = "y", .size = NY}, {.name = "x", .size = NX}},
                                            .has_fill = s->fill,
                                            .fill     = (double)NAN};
  weir__graph                  *g;
  int                           u, trigger;
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = chunks;
  g->chunk_sizes = 2;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), WEIR_OK);
  int zeta = add(g, &faulty, &s->faulty, u, -1, "zeta"), sum = add(g, &total, NULL, u, -1, NULL);
  int spread                 = add(g, &total, NULL, add(g, &plus, NULL, u, sum, NULL), -1, NULL);
  g->node[zeta].on_failure   = s->policy;
  g->node[zeta].check_finite = s->check_finite;
  int ends[]                 = {add(g, &keep, &(keep_params){0}, add(g, &total, NULL, zeta, -1, NULL), -1, NULL),
                                add(g, &keep, &(keep_params){1}, spread, -1, NULL)};
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  for (int i = 0; i < 2; i++) weir__graph_want(g, ends[i], trigger);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

static outcome run(const setup *s) {
  outcome              out     = {0};
  weir__source         source  = {.self = NULL, .next = source_next, .read = source_read};
  weir__worker_options options = {.threads = s->threads, .steps_in_flight = FLIGHT};
  weir__graph         *g       = make_graph(s);
  weir__comm          *life; /* its own: a stopped worker may leave messages behind */
  weir__worker        *w;
  weir__worker_stats   stats;
  const weir__failure *list;
  memset(keeps, 0, sizeof keeps);
  atomic_store(&last_call, -1);
  assert_int_equal(weir__comm_duplicate(comm, &life), WEIR_OK);
  if (weir__worker_create(g, life, &source, NULL, &options, &w) < 0) fail_msg("%s", weir_error_last());
  if (keeps_known && known.length) assert_int_equal(weir__failures_take(w, known.data, known.length), WEIR_OK);
  out.status = weir__worker_run(w);
  if (out.status < 0) snprintf(out.message, sizeof out.message, "%s", weir_error_last());
  weir__worker_stats_get(w, &stats);
  out.steps    = stats.steps;
  out.failures = weir__worker_failures(w, &list);
  if (out.failures) {
    snprintf(out.name, sizeof out.name, "%s", list[0].name);
    out.failed_steps = list[0].steps;
    out.first_step   = list[0].first_step;
  }
  weir__text_clear(&known);
  assert_int_equal(weir__failures_pack(w, &known), WEIR_OK);
  weir__worker_destroy(&w);
  weir__comm_destroy(&life);
  weir__graph_destroy(&g);
  return out;
}

/* ---- checks ---- */

static double clean[KEEPS][STEPS];

static void run_clean(void) {
  outcome out = run(&(setup){.check_finite = true});
  assert_int_equal(out.status, WEIR_OK);
  assert_int_equal(out.failures, 0);
  for (int k = 0; k < KEEPS; k++)
    for (int64_t n = 0; n < STEPS; n++) assert_int_equal(seen(k, n, &clean[k][n]), 1);
}

/* Keep `number` has the clean bytes at `ordinal`, or is missing. */
static void expect(int number, int64_t ordinal, bool present) {
  double value;
  int    how = seen(number, ordinal, &value);
  if (how != (present ? 1 : 2))
    fail_msg("keep %d at ordinal %d: %s", number, (int)ordinal, how == 1 ? "has a value" : how ? "missing" : "nothing");
  if (present) assert_memory_equal(&value, &clean[number][ordinal], sizeof value);
}

static void report(const outcome *out, const char *message, int64_t steps, int64_t first_step) {
  assert_int_equal(out->status, WEIR_ERR_OPERATOR);
  assert_string_equal(out->message, message);
  if (weir__comm_rank(comm)) return;
  assert_int_equal(out->failures, 1);
  assert_string_equal(out->name, "zeta");
  assert_int_equal(out->failed_steps, steps);
  assert_int_equal(out->first_step, first_step);
}

static const int threads[] = {0, 1, 3};

static void skips(void **state) {
  (void)state;
  run_clean();
  for (size_t t = 0; t < 3; t++)
    for (int everywhere = 0; everywhere < 2; everywhere++) {
      outcome out = run(&(setup){.faulty = {ERROR, 3, 5, everywhere}, .threads = threads[t]});
      report(&out, "field zeta at step 30: the pump is broken; skipped at 3 steps", 3, 30);
      assert_int_equal(out.steps, STEPS);
      for (int64_t n = 0; n < STEPS; n++) {
        expect(0, n, n < 3 || n > 5);
        expect(1, n, true);
      }
    }
}

static void disables_everywhere(void **state) {
  (void)state;
  run_clean();
  for (size_t t = 0; t < 3; t++) {
    setup   s   = {.faulty = {ERROR, 3, 3, false}, .policy = WEIR__ON_FAILURE_DISABLE, .threads = threads[t]};
    outcome out = run(&s);
    report(&out, "field zeta at step 30: the pump is broken; disabled after it", 1, 30);
    assert_int_equal(out.steps, STEPS);
    int64_t last = atomic_load(&last_call);
    assert_int_equal(weir__comm_max(comm, &last, 1), WEIR_OK);
    if (weir__comm_size(comm) == 1) assert_int_equal(last, 3 + FLIGHT - 1); /* what had begun */
    else assert_in_range(last, 3, STEPS - 2);
    for (int64_t n = 0; n < STEPS; n++) {
      expect(0, n, n < 3 || n == 4);
      expect(1, n, true);
    }
  }
}

static void stops(void **state) {
  (void)state;
  run_clean();
  for (size_t t = 0; t < 3; t++) {
    setup   s   = {.faulty = {ERROR, 3, STEPS, false}, .policy = WEIR__ON_FAILURE_STOP, .threads = threads[t]};
    outcome out = run(&s);
    assert_string_equal(out.message, "field zeta at step 30: the pump is broken; the run was stopped");
    int64_t range[2] = {out.steps, -out.steps};
    assert_int_equal(weir__comm_max(comm, range, 2), WEIR_OK);
    int64_t most = weir__comm_size(comm) == 1 ? 3 + FLIGHT : STEPS - 1;
    assert_in_range(out.steps, 4, most);
    assert_int_equal(range[0], -range[1]); /* the same steps on all, whatever each had begun when it heard of it */
    for (int64_t n = 0; n < out.steps; n++) {
      expect(0, n, n < 3);
      expect(1, n, true);
    }
    double value;
    for (int k = 0; k < KEEPS; k++)
      for (int64_t n = out.steps; n < STEPS; n++) assert_int_equal(seen(k, n, &value), 0);
  }
}

static void finds_what_is_not_finite(void **state) {
  static const weir_dtype dtypes[] = {WEIR_F64, WEIR_F32};
  (void)state;
  for (size_t d = 0; d < 2; d++) {
    setup   s   = {.faulty = {NOT_A_NUMBER, 4, 4, false}, .check_finite = true, .dtype = dtypes[d]};
    outcome out = run(&s);
    report(&out, "field zeta at step 40: the value at y 7, x 3 is nan, expected finite numbers; skipped at 1 step", 1,
           40);
    s.faulty.fault = INFINITE;
    s.fill         = true;
    out            = run(&s);
    report(&out, "field zeta at step 40: the value at y 7, x 3 is -inf, expected finite numbers; skipped at 1 step", 1,
           40);
    s.faulty.fault = NOT_A_NUMBER; /* the missing value */
    out            = run(&s);
    assert_int_equal(out.status, WEIR_OK);
    s.fill         = false;
    s.check_finite = false; /* nobody looks */
    out            = run(&s);
    assert_int_equal(out.status, WEIR_OK);
  }
}

static void skips_what_cannot_be_read(void **state) {
  (void)state;
  run_clean();
  unreadable  = 6;
  outcome out = run(&(setup){0});
  unreadable  = -1;
  assert_int_equal(out.status, WEIR_ERR_OPERATOR);
  assert_string_equal(out.message, "field u at step 60: no such tape; skipped at 1 step");
  for (int64_t n = 0; n < STEPS; n++)
    for (int k = 0; k < KEEPS; k++) expect(k, n, n != 6);
}

/* A worker that goes on from a checkpoint knows what failed before it. */
static void are_known_after_a_restart(void **state) {
  (void)state;
  run_clean();
  setup   s   = {.faulty = {ERROR, 3, 3, false}, .policy = WEIR__ON_FAILURE_DISABLE};
  outcome out = run(&s);
  assert_int_equal(out.status, WEIR_ERR_OPERATOR);
  s.faulty.fault = NONE;
  keeps_known    = true;
  out            = run(&s);
  keeps_known    = false;
  report(&out, "field zeta at step 30: the pump is broken; disabled after it", 1, 30);
  for (int64_t n = 0; n < STEPS; n++) {
    expect(0, n, n < 3 + FLIGHT);
    expect(1, n, true);
  }
  weir__text_clear(&known);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(skips),
                                     cmocka_unit_test(disables_everywhere),
                                     cmocka_unit_test(stops),
                                     cmocka_unit_test(finds_what_is_not_finite),
                                     cmocka_unit_test(skips_what_cannot_be_read),
                                     cmocka_unit_test(are_known_after_a_restart)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
