/* weir-test: ranks=1,2,3 timeout=60
 *
 * Proves that chunks of an operator that may be asked for any box are computed in one call where what they need lies as
 * one, with the values that they have one by one; and that a chunk without a value, be it that the operator has none,
 * that it fails, or that something it needs is missing, takes no other chunk of the call with it. */
#include "comm/comm.h"
#include "exec/state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <cmocka.h>

enum { CHUNK = 4, CHUNKS = 12, N = CHUNK * CHUNKS, STEPS = 48, THREADS = 2 };

static weir__comm *comm;

/* ---- steps ---- */

/* The chunk that has no value: in every fourth step none has. */
static int64_t bad_chunk(int64_t ordinal) { return ordinal % 4 ? ordinal % CHUNKS : -1; }
static bool    fails_then(int64_t ordinal) { return ordinal % 3 == 0; } /* it has an error, not just no value */

static weir_status source_next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  if (ordinal == STEPS) return WEIR_END;
  *step = ordinal;
  *time = (double)ordinal;
  return WEIR_OK;
}

static double value_of(int64_t ordinal, int64_t x) { return (double)(1000 * ordinal + x * x); }

static weir_status source_read(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self, (void)field;
  for (int64_t x = 0; x < out->count[0]; x++)
    weir_view_store(out, &x, 1, &(double){value_of(ordinal, out->start[0] + x)});
  return WEIR_OK;
}

static double at(const weir_view *view, int64_t x) {
  return *weir_view_load(view, &(int64_t){x - view->start[0]}, 1, &(double){0});
}

/* ---- operators ---- */

static _Atomic int64_t calls[2][STEPS]; /* of the two below, on this worker */

/* Twice its input; no value for the chunk that has none. */
static weir_status twice(const weir_apply *a) {
  const weir_view *out = &a->out[0];
  int64_t          bad = bad_chunk(a->ordinal), first = out->start[0], end = first + out->count[0];
  atomic_fetch_add(&calls[0][a->ordinal], 1);
  for (int64_t x = first; x < end; x++) {
    if (bad >= 0 && x / CHUNK == bad)
      return fails_then(a->ordinal) ? WEIR_FAIL(WEIR_ERR_OPERATOR, "no value at %d", (int)x) : WEIR_END;
    weir_view_store(out, &(int64_t){x - first}, 1, &(double){2 * at(&a->in[0], x)});
  }
  return WEIR_OK;
}

static weir_status near_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  int64_t size = in[0]->dim[0].size, end = out->start[0] + out->count[0] + 1;
  (void)params, (void)input;
  *region          = *out;
  region->start[0] = out->start[0] ? out->start[0] - 1 : 0;
  region->count[0] = (end < size ? end : size) - region->start[0];
  return WEIR_OK;
}

/* The sum of an element and its neighbours. */
static weir_status near(const weir_apply *a) {
  atomic_fetch_add(&calls[1][a->ordinal], 1);
  for (int64_t i = 0; i < a->out[0].count[0]; i++) {
    int64_t x   = a->out[0].start[0] + i;
    double  sum = at(&a->in[0], x);
    if (x) sum += at(&a->in[0], x - 1);
    if (x + 1 < N) sum += at(&a->in[0], x + 1);
    weir_view_store(&a->out[0], &i, 1, &sum);
  }
  return WEIR_OK;
}

typedef struct note {
  int number;
} note;
static struct {
  bool   called, missing;
  double value[CHUNK];
} noted[2][STEPS][CHUNKS];

static weir_status take_note(const weir_apply *a) {
  const weir_view *in    = &a->in[0];
  int              chunk = (int)(a->out[0].start[0] / CHUNK), k = ((const note *)a->params)->number;
  assert_int_equal(a->out[0].count[0], CHUNK); /* an operator that does not ask for boxes sees single chunks */
  noted[k][a->ordinal][chunk].called  = true;
  noted[k][a->ordinal][chunk].missing = in->missing;
  for (int64_t i = 0; !in->missing && i < CHUNK; i++)
    noted[k][a->ordinal][chunk].value[i] = at(in, a->out[0].start[0] + i);
  for (int64_t i = 0; i < CHUNK; i++) weir_view_store(&a->out[0], &i, 1, &(double){0});
  return WEIR_OK;
}

static const weir_operator op_twice = {
    .api = WEIR_OPERATOR_API, .name = "twice", .inputs = 1, .in_boxes = true, .apply = twice};
static const weir_operator op_near = {
    .api = WEIR_OPERATOR_API, .name = "near", .inputs = 1, .in_boxes = true, .need = near_need, .apply = near};
static const weir_operator op_note = {.api             = WEIR_OPERATOR_API,
                                      .name            = "note",
                                      .inputs          = 1,
                                      .accepts_missing = true,
                                      .params_size     = sizeof(note),
                                      .apply           = take_note};

/* ---- a run ---- */

static int add(weir__graph *g, const weir_operator *op, const void *params, int input) {
  weir__edge edge = {input, 0};
  int        node;
  assert_int_equal(weir__graph_add_operator(g, op, params, &edge, 1, NULL, (weir__place){0}, NULL, &node), WEIR_OK);
  return node;
}

static void run(int threads) {
  static const weir__chunk_size chunks[] = {{"x", CHUNK}};
  weir_field_type               type     = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = N}}};
  weir__source                  source   = {.self = NULL, .next = source_next, .read = source_read};
  weir__worker_options          options  = {.threads = threads, .steps_in_flight = 2};
  weir__graph                  *g;
  weir__worker                 *w;
  int                           u, trigger;
  memset(noted, 0, sizeof noted);
  memset((void *)calls, 0, sizeof calls);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = chunks;
  g->chunk_sizes = 1;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), WEIR_OK);
  int doubled = add(g, &op_twice, NULL, u), summed = add(g, &op_near, NULL, doubled);
  int ends[]                  = {add(g, &op_note, &(note){0}, doubled), add(g, &op_note, &(note){1}, summed)};
  g->node[doubled].on_failure = WEIR__ON_FAILURE_SKIP;
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  for (int i = 0; i < 2; i++) weir__graph_want(g, ends[i], trigger);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  if (weir__worker_create(g, comm, &source, NULL, &options, &w) < 0) fail_msg("%s", weir_error_last());
  assert_int_equal(weir__worker_run(w), WEIR_ERR_OPERATOR); /* to the end, which tells of failures */
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
}

/* ---- checks ---- */

static double expected(int k, int64_t t, int64_t x) {
  double sum = 2 * value_of(t, x);
  if (k && x) sum += 2 * value_of(t, x - 1);
  if (k && x + 1 < N) sum += 2 * value_of(t, x + 1);
  return sum;
}

/* What this worker was given of the chunks that it owns, which are all owned by somebody. */
static void check_notes(void) {
  for (int64_t t = 0; t < STEPS; t++)
    for (int k = 0; k < 2; k++)
      for (int c = 0; c < CHUNKS; c++) {
        int64_t called = noted[k][t][c].called, bad = bad_chunk(t);
        bool    missing = bad >= 0 && c >= bad - k && c <= bad + k;
        if (called) assert_int_equal(noted[k][t][c].missing, missing);
        for (int i = 0; called && !missing && i < CHUNK; i++)
          assert_true(noted[k][t][c].value[i] == expected(k, t, c * CHUNK + i));
        assert_int_equal(weir__comm_sum(comm, &called, 1), WEIR_OK);
        assert_int_equal(called, 1);
      }
}

/* In steps in which nothing is missing: those chunks that need something of another worker are called for apart. */
static void check_calls(void) {
  int rank = weir__comm_rank(comm), size = weir__comm_size(comm);
  for (int64_t t = 0; t < STEPS; t += 4) {
    assert_int_equal(calls[0][t], 1);
    assert_int_equal(calls[1][t], 1 + (rank > 0) + (rank < size - 1));
  }
}

static void boxes(void **state) {
  (void)state;
  for (int threads = 0; threads <= THREADS; threads++) {
    run(threads);
    check_notes();
    check_calls();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(boxes)};
  assert_int_equal(weir__comm_world(&comm), WEIR_OK);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
