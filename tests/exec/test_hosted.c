/* weir-test: ranks=1,2,3 timeout=60
 *
 * Proves of a worker inside a process of the simulation: it looks at what was put where it lies (an address is handed
 * over, nothing is copied) and has done with it when advance returns; a step that one process could not publish is
 * missing on all; and when one cannot go on all leave in the same step, with its message, and MPI still works. */
#include "channel/scene.h"
#include "channel/writer.h"
#include "comm/comm.h"
#include "exec/state.h"
#include <weir/sum.h>

/* A row is more than what neighbours put into each other's memory: it goes by MPI. */
enum { NY = 24, NX = 300, STEPS = 8, TORN = 3, BROKEN = 5 };

static weir__comm *comm;
static double      seen[STEPS][NY * NX]; /* by this worker; 0 elsewhere */
static int         calls[STEPS];

static weir_status keep_infer(weir_infer *x) {
  x->out[0] = *x->in[0];
  return WEIR_OK;
}

static double value(int64_t step, int64_t y, int64_t x) { return (double)(1 + step * 10000 + y * NX + x); }

/* One output element for each input element: what was seen goes to its place. */
static weir_status keep_apply(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&a->in[0]);
  double  buffer[NX];
  calls[a->step]++;
  do {
    const double *from = weir_view_load(&a->in[0], index, row, buffer);
    weir_view_store(&a->out[0], index, row, from);
    int64_t y = a->in[0].start[0] + index[0], x = a->in[0].start[1] + index[1];
    memcpy(&seen[a->step][y * NX + x], from, (size_t)row * sizeof *from);
  } while (weir_view_next_row(&a->in[0], index));
  return WEIR_OK;
}

static const weir_operator keeper = {
    .api = WEIR_OPERATOR_API, .name = "keep", .inputs = 1, .infer = keep_infer, .apply = keep_apply};

/* One process with its worker: rows of u in equal shares, which are not the chunks. */
typedef struct hosted {
  char                      run[512];
  int64_t                   first, end;
  weir__channel_field       field;
  weir__channel_piece_of    piece;
  weir__channel_definitions definitions;
  weir__writer             *writer;
  weir__intake             *intake;
  weir__graph              *graph;
  weir__worker             *worker;
  weir__comm               *own;
  double                    u[NY * NX];
} hosted;

static void build(hosted *h) {
  static const weir__chunk_size chunks[] = {{"y", 5}, {"x", 150}};
  const weir__intake_field     *field;
  int                           trigger, source, sink;
  assert_int_equal(weir__intake_fields(h->intake, &field), 1);
  assert_int_equal(weir__graph_create(NULL, &h->graph), WEIR_OK);
  h->graph->chunk_size  = chunks;
  h->graph->chunk_sizes = 2;
  assert_int_equal(weir__graph_trigger(h->graph, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  assert_int_equal(weir__graph_add_source(h->graph, "u", 0, 0, &field->type, NULL, false, &source), WEIR_OK);
  assert_int_equal(weir__graph_add_operator(h->graph, &keeper, NULL, &(weir__edge){source, 0}, 1, NULL,
                                            (weir__place){0}, NULL, &sink),
                   WEIR_OK);
  weir__graph_want(h->graph, sink, trigger);
  assert_int_equal(weir__graph_finish(h->graph), WEIR_OK);
}

static void enter(hosted *h, const char *run) {
  int rank = weir__comm_rank(comm), size = weir__comm_size(comm);
  memset(seen, 0, sizeof seen);
  memset(calls, 0, sizeof calls);
  snprintf(h->run, sizeof h->run, "%s", run);
  h->first = NY * rank / size;
  h->end   = NY * (rank + 1) / size;
  h->field = (weir__channel_field){
      .name = "u",
      .type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}}};
  h->piece = (weir__channel_piece_of){.region = {.rank = 2, .start = {h->first, 0}, .count = {h->end - h->first, NX}}};
  h->definitions = (weir__channel_definitions){
      .stream = "sim", .rank = rank, .size = size, .fields = 1, .field = &h->field, .pieces = 1, .piece = &h->piece};
  weir__intake_options options = {.hosted = true, .rank = rank};
  assert_int_equal(weir__comm_duplicate(comm, &h->own), WEIR_OK);
  assert_int_equal(weir__writer_create(h->run, &h->definitions, &h->writer), WEIR_OK);
  if (weir__intake_open(h->own, h->run, "sim", &options, &h->intake) < 0) fail_msg("%s", weir_error_last());
  build(h);
  weir__worker_options settings = {.agree_steps = true};
  if (weir__worker_create(h->graph, h->own, NULL, h->intake, &settings, &h->worker) < 0)
    fail_msg("%s", weir_error_last());
  weir__worker_enter(h->worker);
  assert_int_equal(weir__writer_await(h->writer, 1000000000), WEIR_OK);
  assert_true(weir__writer_in_place(h->writer));
}

static void leave(hosted *h) {
  weir__worker_destroy(&h->worker);
  weir__intake_close(&h->intake);
  weir__graph_destroy(&h->graph);
  weir__comm_destroy(&h->own);
}

static weir_status step(hosted *h, int64_t number) {
  bool active;
  for (int64_t y = h->first, at = 0; y < h->end; y++)
    for (int64_t x = 0; x < NX; x++) h->u[at++] = value(number, y, x);
  assert_int_equal(weir__writer_begin(h->writer, number, (double)number, &active), WEIR_OK);
  assert_true(active);
  bool misses = number == TORN && weir__comm_rank(comm) == weir__comm_size(comm) - 1;
  if (!misses) assert_int_equal(weir__writer_refer(h->writer, 0, h->u), WEIR_OK);
  assert_int_equal(weir__writer_end(h->writer, NULL), misses ? WEIR_ERR_STATE : WEIR_OK);
  weir_status status = weir__worker_advance(h->worker);
  memset(h->u, 0xff, sizeof h->u); /* nobody looks at it any more */
  return status;
}

/* Every element was seen by one worker, in every step before `steps` but the torn one. */
static void check(int64_t steps) {
  int64_t total[STEPS * NY * NX];
  for (int i = 0; i < STEPS * NY * NX; i++) total[i] = (int64_t)seen[i / (NY * NX)][i % (NY * NX)];
  assert_int_equal(weir__comm_sum(comm, total, STEPS * NY * NX), WEIR_OK);
  for (int64_t s = 0; s < steps; s++)
    for (int64_t y = 0; y < NY; y++)
      for (int64_t x = 0; x < NX; x++)
        assert_int_equal(total[(s * NY + y) * NX + x], s == TORN ? 0 : (int64_t)value(s, y, x));
}

static void shared_folder(char run[512]) {
  if (weir__comm_rank(comm) == 0) {
    scene s = scene_open();
    snprintf(run, 512, "%s", s.run);
  }
  assert_int_equal(weir__comm_broadcast(comm, run, 512, 0), WEIR_OK);
}

static void remove_folder(const char *run) {
  char command[600];
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
  snprintf(command, sizeof command, "rm -rf '%s'", run);
  if (weir__comm_rank(comm) == 0) assert_int_equal(system(command), 0);
}

static void all_is_seen_in_place(void **state) {
  (void)state;
  static hosted      h;
  char               run[512];
  weir__worker_stats stats;
  shared_folder(run);
  enter(&h, run);
  for (int64_t s = 0; s < STEPS; s++)
    if (step(&h, s) != WEIR_OK) fail_msg("step %d: %s", (int)s, weir_error_last());
  weir__worker_stats_get(h.worker, &stats);
  assert_int_equal(stats.steps, STEPS);
  assert_int_equal(stats.dropped_steps, 1);
  assert_int_equal(stats.intake_bytes, 0);
  weir__writer_destroy(&h.writer, NULL);
  if (weir__worker_run(h.worker) < 0) fail_msg("%s", weir_error_last());
  leave(&h);
  check(STEPS);
  remove_folder(run);
}

/* The last process cannot send: its failure is that of all, and nobody waits for it for ever. */
static void all_leave_together(void **state) {
  (void)state;
  static hosted h;
  char          run[512];
  bool          breaks = weir__comm_rank(comm) == weir__comm_size(comm) - 1;
  weir_status   status = WEIR_OK;
  if (weir__comm_size(comm) == 1) skip();
  shared_folder(run);
  enter(&h, run);
  assert_true(!breaks || h.worker->plan->messages_out > 0);
  for (int64_t s = 0; s < STEPS && status >= 0; s++) {
    if (breaks && s == BROKEN) h.worker->plan->out[0].peer = 999;
    status = step(&h, s);
    status = weir__comm_agree(comm, status < 0 && !weir__worker_left(h.worker) ? status : WEIR_OK);
    assert_int_equal(status, s == BROKEN ? WEIR_ERR_COMM : WEIR_OK);
  }
  assert_non_null(strstr(weir_error_last(), "MPI"));
  assert_int_equal(weir__worker_leave(h.worker), WEIR_OK);
  weir__writer_destroy(&h.writer, "the analysis failed");
  leave(&h);
  check(BROKEN);
  remove_folder(run);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_is_seen_in_place), cmocka_unit_test(all_leave_together)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
