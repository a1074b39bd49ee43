/* weir-test: ranks=1,2,4 timeout=120
 *
 * Proves that workers of one node count each other's messages: after a run each has received as many as it was told of,
 * so that it need not ask MPI; that workers that are made again in the same processes go on counting; and that where
 * one of them cannot make its doorbell, or open that of another, all do without and results are the same. */
#include "comm/comm.h"
#include "exec/state.h"
#include "support/capture.h"
#include "support/files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

extern const weir_operator *const weir__operators_built_in[];
enum { STEPS = 40, CHUNK = 160, ROWS = 24 * CHUNK }; /* a chunk is more than goes into a mailbox: MPI has it */

static weir__comm *comm;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  *step = ordinal;
  *time = (double)ordinal;
  return ordinal == STEPS ? WEIR_END : WEIR_OK;
}

static double value_at(int64_t step, int64_t row) { return (double)((7 * row + step) % 13); }

static weir_status read_rows(void *self, int field, int64_t ordinal, const weir_view *out) {
  double *to = out->data;
  (void)self, (void)field;
  for (int64_t i = 0; i < out->count[0]; i++) to[i] = value_at(ordinal, out->start[0] + i);
  return WEIR_OK;
}

static weir__graph *build(double *values, int *calls) {
  static weir__chunk_size cut  = {"y", CHUNK};
  weir_field_type         type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "y", .size = ROWS}}};
  weir__graph            *g;
  int                     u;
  assert_int_equal(weir__graph_create(weir__operators_built_in, &g), WEIR_OK);
  g->chunk_size  = &cut;
  g->chunk_sizes = 1;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), WEIR_OK);
  assert_int_equal(weir__graph_define(g, "anomaly", "u - mean(u)", (weir__place){0}), WEIR_OK);
  capture_named(g, "anomaly", &(capture){values, ROWS, calls});
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

/* `files`: of the last process, while its worker is made; -1: as many as it likes. */
static void run(int files, bool counts) {
  static double        values[STEPS][ROWS];
  static int           calls[STEPS];
  weir__source         source  = {.next = next, .read = read_rows};
  weir__worker_options options = {.threads = 0};
  weir__worker        *w;
  bool                 last   = weir__comm_rank(comm) == weir__comm_size(comm) - 1;
  int64_t              before = 0;
  memset(calls, 0, sizeof calls);
  weir__graph *g = build(values[0], calls);
  if (files >= 0 && last) before = files_leave(files);
  if (weir__worker_create(g, comm, &source, NULL, &options, &w)) fail_msg("%s", weir_error_last());
  if (files >= 0 && last) files_limit(before);
  if (weir__worker_run(w)) fail_msg("%s", weir_error_last());
  w->rests = 0;
  assert_int_equal(weir__neighbours_silent(w), counts);
  for (int s = 0; s < STEPS; s++) {
    double sum = 0;
    for (int64_t y = 0; y < ROWS; y++) sum += value_at(s, y);
    for (int64_t y = 0; y < ROWS && calls[s]; y++) assert_true(values[s][y] == value_at(s, y) - sum / ROWS);
  }
  int64_t seen = 0;
  for (int s = 0; s < STEPS; s++) seen += calls[s];
  assert_int_equal(weir__comm_sum(comm, &seen, 1), WEIR_OK);
  assert_int_equal(seen, STEPS);
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
}

static void every_message_counts(void **state) {
  (void)state;
  for (int again = 0; again < 3; again++) run(-1, weir__comm_size(comm) > 1);
}

static void all_do_without(void **state) {
  (void)state;
  if (weir__comm_size(comm) == 1) skip();
  run(1, false); /* its own doorbell */
  run(0, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_message_counts), cmocka_unit_test(all_do_without)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
