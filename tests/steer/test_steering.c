/* weir-test: ranks=1,2,3 timeout=120
 *
 * Proves that rules decide the same at the same steps for any chunks, threads, workers and steps in flight; that a
 * decision takes effect the declared number of steps later; that the log says it; and that a replayed log gives the
 * same values and the same log. */
#include "comm/comm.h"
#include "exec/worker.h"
#include "graph/builder.h"
#include "io/file.h"
#include "steer/steer.h"
#include "support/capture.h"
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

extern const weir_operator weir_operator_mean, weir_operator_max, weir_operator_lag;

enum { NX = 40, STEPS = 40, LAST = 29, DELAY = 3, LENGTH = 2 + 2 * 3 + 1, COLUMNS = LENGTH + 3 };

static weir__comm *world, *self;
static double      result[STEPS][COLUMNS]; /* decisions, wind, gain, top; as far as they ended here, else 0 */

static void check(weir_status status) {
  if (status < 0) fail_msg("%s", weir_error_last());
}

/* ---- the source: f is the number of the step, everywhere ---- */

static weir_status source_next(void *unused, int64_t ordinal, int64_t *step, double *time) {
  (void)unused;
  *step = ordinal;
  *time = 10 * (double)ordinal;
  return ordinal == STEPS ? WEIR_END : WEIR_OK;
}

static weir_status source_read(void *unused, int field, int64_t ordinal, const weir_view *out) {
  (void)unused, (void)field;
  for (int64_t i = 0; i < out->count[0]; i++) weir_view_store(out, &i, 1, &(double){(double)ordinal});
  return WEIR_OK;
}

static void keep(weir__graph *g, weir__edge edge, int at) {
  capture_add(g, edge, (weir__trigger){.period = 1},
              &(capture){&result[0][at], sizeof *result / sizeof **result, NULL});
}

/* ---- the rules ---- */

static const weir__steering_parameter parameters[] = {{"wind", 1, 0.1, 10, 0}, {"gain", 2, -50, 50, -1}};
static const weir__steering_action    set_both[]   = {{.kind = WEIR__STEER_SET, .target = 0, .value = "0.5 * wind"},
                                                      {.kind = WEIR__STEER_SET, .target = 1, .value = "7"}};
static const weir__steering_action    add_one[]    = {{.kind = WEIR__STEER_SET, .target = 0, .value = "wind + 1"}};
static const weir__steering_action    snapshot[]   = {{.kind = WEIR__STEER_ONCE, .target = 0}};
static const weir__steering_action    too_much[]   = {{.kind = WEIR__STEER_SET, .target = 1, .value = "100 * m"}};
static const weir__steering_action    fewer[]      = {{.kind = WEIR__STEER_SET, .target = 1, .value = "gain - 1"}};
static const weir__steering_action    often[]      = {
            {.kind = WEIR__STEER_EXTRACT, .target = 1, .every = {.period = 4, .phase = 0}}};
static const weir__steering_action end[]   = {{.kind = WEIR__STEER_PAUSE, .target = 1}, {.kind = WEIR__STEER_STOP}};
static const weir__steering_rule   rules[] = {
      {.when = "m > 4.5", .action = set_both, .actions = 2},
      {.when = "abs(m - 10) < 1.5 or abs(m - 20) < 1.5", .reset = "m > 14", .action = add_one, .actions = 1},
      {.when = "m > 12", .every = {.period = 5}, .action = snapshot, .actions = 1},
      {.when = "wind > 1", .action = too_much, .actions = 1},
      {.when = "lag(m, 2) > 20.5", .once = true, .action = fewer, .actions = 1},
      {.when = "abs(sin(m * pi / 2)) > 0.5", .hold_steps = 5, .action = often, .actions = 1},
      {.when = "m > 25", .action = end, .actions = 2}};
enum { RULES = sizeof rules / sizeof *rules };

static const char *const expected_log =
    "step=1 ordinal=1 effect=4 cause=rule:6 extract table=steps period=4 phase=0\n"
    "step=5 ordinal=5 effect=8 cause=rule:1 set wind=0.5 was=1\n"
    "step=5 ordinal=5 effect=8 cause=rule:1 set gain=7 was=2\n"
    "step=7 ordinal=7 effect=10 cause=rule:6 extract table=steps period=4 phase=0\n"
    "step=9 ordinal=9 effect=12 cause=rule:2 set wind=1.5 was=0.5\n"
    "step=12 ordinal=12 effect=15 cause=rule:4 refused gain=1200 least=-50 most=50\n"
    "step=13 ordinal=13 effect=16 cause=rule:6 extract table=steps period=4 phase=0\n"
    "step=15 ordinal=15 effect=18 cause=rule:3 output detail=once\n"
    "step=19 ordinal=19 effect=22 cause=rule:2 set wind=2.5 was=1.5\n"
    "step=19 ordinal=19 effect=22 cause=rule:6 extract table=steps period=4 phase=0\n"
    "step=23 ordinal=23 effect=26 cause=rule:5 set gain=6 was=7\n"
    "step=25 ordinal=25 effect=28 cause=rule:6 extract table=steps period=4 phase=0\n"
    "step=26 ordinal=26 effect=29 cause=rule:7 output table=stop\n"
    "step=26 ordinal=26 effect=29 cause=rule:7 stop\n";

/* Worked out by hand from the rules. The run is stopped at step 26, which takes effect DELAY steps later. */
static void expect(double out[STEPS][COLUMNS]) {
  memset(out, 0, STEPS * sizeof *out);
  for (int n = 0; n < LAST; n++) {
    double *d     = out[n];
    d[0]          = n < 5 ? 1 : n < 9 ? 0.5 : n < 19 ? 1.5 : 2.5;
    d[1]          = n < 5 ? 2 : n < 23 ? 7 : 6;
    d[2]          = n == 15;                    /* detail: period */
    d[5]          = n < 1 ? 2 : n < 26 ? 4 : 0; /* table: period */
    d[6]          = n < 1;                      /* its phase */
    d[8]          = n >= 26;                    /* stop */
    d[LENGTH]     = n < 8 ? 1 : n < 12 ? 0.5 : n < 22 ? 1.5 : 2.5;
    d[LENGTH + 1] = n < 8 ? 2 : n < 26 ? 7 : 6;
    d[LENGTH + 2] = n * d[LENGTH] + d[LENGTH + 1];
  }
}

/* ---- a run ---- */

static void build(weir__graph *g, int64_t chunk, const char *directory, const char *replay, weir__steering **steer) {
  static weir__steering_output outputs[2];
  weir__chunk_size             size = {"x", chunk};
  weir_field_type              type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = NX}}};
  weir__edge                   edge;
  int                          node;
  g->chunk_size = &size, g->chunk_sizes = 1;
  check(weir__graph_add_source(g, "f", 0, 0, &type, NULL, false, &node));
  check(weir__steering_create(g, parameters, 2, DELAY, steer));
  check(weir__graph_define(g, "m", "mean(f)", (weir__place){0}));
  check(weir__graph_define(g, "top", "max(wind * f + gain)", (weir__place){0}));
  outputs[0] = (weir__steering_output){.name = "detail", .declared = {.period = 3}};
  outputs[1] = (weir__steering_output){.name = "table", .declared = {.period = 2, .phase = 1}};
  check(weir__graph_trigger_steered(g, (weir__trigger){0}, &outputs[0].trigger));
  check(weir__graph_trigger_steered(g, outputs[1].declared, &outputs[1].trigger));
  check(weir__steering_rules(*steer, rules, RULES, outputs, 2, directory, replay));
  keep(g, (weir__edge){g->decisions.node, 0}, 0);
  check(weir__graph_expression(g, "wind", (weir__place){0}, &edge));
  keep(g, edge, LENGTH);
  check(weir__graph_expression(g, "gain", (weir__place){0}, &edge));
  keep(g, edge, LENGTH + 1);
  check(weir__graph_expression(g, "top", (weir__place){0}, &edge));
  keep(g, edge, LENGTH + 2);
  check(weir__graph_finish(g));
}

static void run(weir__comm *comm, int64_t chunk, int threads, int flight, const char *directory, const char *replay) {
  static const weir_operator *const table[] = {&weir_operator_mean, &weir_operator_max, &weir_operator_lag, NULL};
  weir__source                      source  = {.self = NULL, .next = source_next, .read = source_read};
  weir__worker_options              options = {.threads = threads, .steps_in_flight = flight};
  weir__graph                      *g       = NULL;
  weir__worker                     *worker  = NULL;
  weir__steering                   *steer   = NULL;
  weir__steering_summary            summary;
  memset(result, 0, sizeof result);
  check(weir__graph_create(table, &g));
  build(g, chunk, directory, replay, &steer);
  check(weir__worker_create(g, comm, &source, NULL, &options, &worker));
  check(weir__worker_run(worker));
  weir__worker_destroy(&worker);
  weir__steering_summary_get(steer, &summary);
  if (!weir__comm_rank(comm)) {
    assert_int_equal(summary.rules, 13);
    assert_int_equal(summary.people, 0);
    assert_int_equal(summary.refused, 1);
    assert_int_equal(summary.step, 12);
    assert_string_equal(summary.message, "rule 4 sets gain to 1200, expected -50 to 50; not applied");
  }
  weir__steering_destroy(&steer);
  weir__graph_destroy(&g);
}

static void compare(weir__comm *comm, const char *what) {
  double  expected[STEPS][COLUMNS];
  int64_t right[STEPS][COLUMNS];
  expect(expected);
  for (int n = 0; n < STEPS; n++)
    for (int c = 0; c < COLUMNS; c++) right[n][c] = !memcmp(&result[n][c], &expected[n][c], sizeof(double));
  check(weir__comm_max(comm, right[0], STEPS * COLUMNS)); /* each ends on one worker; zeros may be right everywhere */
  if (weir__comm_rank(comm)) return;
  for (int n = 0; n < STEPS; n++)
    for (int c = 0; c < COLUMNS; c++)
      if (!right[n][c]) fail_msg("%s: step %d, value %d: not %g", what, n, c, expected[n][c]);
}

static void compare_log(const char *directory, const char *what) {
  char   path[300], *bytes = NULL;
  size_t size;
  snprintf(path, sizeof path, "%s/" WEIR__STEER_LOG, directory);
  check(weir__file_read(AT_FDCWD, path, path, &bytes, &size));
  if (!bytes || strcmp(bytes, expected_log)) fail_msg("%s: the log is\n%s", what, bytes ? bytes : "not there");
  weir__free(bytes);
}

/* The same directory on all workers. */
static void make_directory(weir__comm *comm, char path[200]) {
  const char *tmp = getenv("TMPDIR");
  if (!weir__comm_rank(comm)) {
    snprintf(path, 200, "%s/steer-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
  }
  check(weir__comm_broadcast(comm, path, 200, 0));
}

static void same_decisions_everywhere(void **state) {
  static const int64_t cuts[]     = {NX, 7, 1};
  char                 first[200] = "", again[200] = "", what[100], log[300];
  (void)state;
  for (int i = 0; i < 9; i++) {
    int threads = i / 3, flight = 1 + i % 3;
    snprintf(what, sizeof what, "chunks of %d, %d threads, %d in flight", (int)cuts[i % 3], threads, flight);
    make_directory(world, first);
    make_directory(world, again);
    run(world, cuts[i % 3], threads, flight, first, NULL);
    compare(world, what);
    if (!weir__comm_rank(world)) compare_log(first, what);
    check(weir__comm_agree(world, WEIR_OK));
    snprintf(log, sizeof log, "%s/" WEIR__STEER_LOG, first);
    run(world, cuts[(i + 1) % 3], threads, flight, again, log);
    compare(world, "replayed");
    if (!weir__comm_rank(world)) compare_log(again, "replayed");
    check(weir__comm_agree(world, WEIR_OK));
    if (!weir__comm_rank(world)) check(weir__file_remove_tree(first));
    if (!weir__comm_rank(world)) check(weir__file_remove_tree(again));
  }
}

/* What rules look at does not make the stream publish steps that nobody else wants. */
static void rules_ask_for_no_steps(void **state) {
  static const weir_operator *const table[] = {&weir_operator_mean, &weir_operator_max, NULL};
  weir_field_type                   type    = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = NX}}};
  weir__steering_rule               rule    = {.when = "mean(wind * f) > 4.5", .action = add_one, .actions = 1};
  weir__graph                      *g       = NULL;
  weir__steering                   *steer;
  int                               node, ten;
  (void)state;
  check(weir__graph_create(table, &g));
  check(weir__graph_add_source(g, "f", 0, 0, &type, NULL, false, &node));
  check(weir__steering_create(g, parameters, 2, DELAY, &steer));
  check(weir__graph_trigger(g, (weir__trigger){.period = 10}, &ten));
  check(weir__graph_define(g, "m", "mean(f)", (weir__place){0}));
  check(weir__steering_rules(steer, &rule, 1, NULL, 0, NULL, NULL));
  check(weir__graph_finish(g));
  assert_int_equal(g->triggers, 1);
  assert_true(g->node[node].triggers == ~(uint64_t)0); /* in all that are published */
  assert_int_equal(g->node[g->decisions.node].history, DELAY);
  weir__steering_destroy(&steer);
  weir__graph_destroy(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_decisions_everywhere),
                                     cmocka_unit_test(rules_ask_for_no_steps)};
  if (weir__comm_world(&world) < 0 || weir__comm_self(&self) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&self);
  weir__comm_destroy(&world);
  return failed;
}
