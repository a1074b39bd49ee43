/* weir-test: timeout=120
 *
 * Proves what happens between the processes of a simulation (forked, with the real client) and a worker: pieces that do
 * not match the chunks arrive as whole fields; slabs that a process defined one after another, and comes with in the
 * same steps, are one piece, whatever part of them is wanted; overlaps, holes and disagreements give one message that
 * names field and place, and the simulation goes on; a step that one process could not publish is missing and counted;
 * after a process was killed the worker ends with the steps that all had published; and no more leaves the simulation
 * than the graph looks at, in the steps in which it does. */
#include "channel/scene.h"
#include "comm/comm.h"
#include "exec/state.h"
#include <math.h>
#include <weir/client.h>

enum { NY = 17, NX = 13, STEPS = 9, PIECES = 4, KEPT = 4 };

static double value(int64_t step, int64_t y, int64_t x) { return (double)(step * 1000 + y * 50 + x); }

/* ---- the simulation ---- */

typedef struct process {
  int         rank, size;
  int         pieces;
  int64_t     start[PIECES][2], count[PIECES][2];
  bool        more;      /* also w (float32), m (static) and g (scalar) */
  int64_t     ny;        /* 0: NY */
  weir_dtype  dtype;     /* 0: float64 */
  const char *units;     /* NULL: "m" */
  int64_t     skip;      /* does not put u in this step; -1: always does */
  int64_t     dies;      /* in this step; -1: lives */
  const char *refused;   /* part of the message it must hear; NULL: it is analysed */
  int64_t     published; /* -1: do not look */
} process;

static weir_status put_pieces(weir_stream *s, const process *p, const char *name, int64_t step) {
  for (int k = 0; k < p->pieces; k++) {
    static double a[NY * NX];
    static float  b[NY * NX];
    int64_t       n = 0;
    for (int64_t y = 0; y < p->count[k][0]; y++)
      for (int64_t x = 0; x < p->count[k][1]; x++, n++)
        b[n] = (float)(a[n] = value(step, p->start[k][0] + y, p->start[k][1] + x));
    weir_array array = {.data = a, .dtype = WEIR_F64, .rank = 2, .extent = {p->count[k][0], p->count[k][1]}};
    if (*name == 'w' || p->dtype == WEIR_F32) array.data = b, array.dtype = WEIR_F32;
    WEIR_TRY(weir_put_piece(s, name, k, &array));
  }
  return WEIR_OK;
}

static weir_status define(weir_stream *s, const process *p, const char *name, weir_dtype dtype, bool is_static) {
  weir_field_options o = {.type      = {.dtype = dtype,
                                        .rank  = 2,
                                        .units = p->units ? p->units : "m",
                                        .dim   = {{.name = "y", .size = p->ny ? p->ny : NY}, {.name = "x", .size = NX}}},
                          .is_static = is_static};
  WEIR_TRY(weir_field_define(s, name, &o));
  for (int k = 0; k < p->pieces; k++) WEIR_TRY(weir_piece_define(s, name, p->start[k], p->count[k], NULL));
  return WEIR_OK;
}

static int simulate(const scene *where, const void *argument) {
  const process    *p = argument;
  weir_stream      *s;
  weir_stream_stats stats;
  bool              heard = false; /* nothing else: that the others ended before is no failure */
  CHILD_CHECK(
      !weir_stream_open("sim", p->rank, p->size, &(weir_stream_options){.run = where->run, .attach_timeout = 20}, &s));
  CHILD_CHECK(!define(s, p, "u", p->dtype ? p->dtype : WEIR_F64, false));
  if (p->more) {
    weir_field_options scalar = {.type = {.dtype = WEIR_F64}};
    CHILD_CHECK(!define(s, p, "w", WEIR_F32, false) && !define(s, p, "m", WEIR_F64, true));
    CHILD_CHECK(!weir_field_define(s, "g", &scalar));
  }
  for (int64_t step = 0; step < STEPS; step++) {
    weir_status status = weir_step_begin(s, step, 0.5 * (double)step);
    if (status && p->refused && !heard) {
      heard = true;
      if (!strstr(weir_stream_error(s), p->refused)) fprintf(stderr, "heard: %s\n", weir_stream_error(s));
      CHILD_CHECK(strstr(weir_stream_error(s), p->refused));
    } else CHILD_CHECK(!status);
    if (step == p->dies) raise(SIGKILL);
    if (step != p->skip) CHILD_CHECK(!put_pieces(s, p, "u", step));
    if (p->more) {
      double g = (double)step;
      CHILD_CHECK(!put_pieces(s, p, "w", step) && (step || !put_pieces(s, p, "m", 7)));
      if (!p->rank) CHILD_CHECK(!weir_put(s, "g", &(weir_array){.data = &g, .dtype = WEIR_F64}));
    }
    status = weir_step_end(s);
    CHILD_CHECK(!status || step == p->skip);
  }
  weir_stream_stats_get(s, &stats);
  CHILD_CHECK(p->published < 0 || stats.published == p->published);
  CHILD_CHECK(heard == (p->refused != NULL));
  CHILD_CHECK(!weir_stream_close(&s));
  return 0;
}

static const process plain = {.size = 1, .pieces = 1, .count = {{NY, NX}}, .skip = -1, .dies = -1, .published = -1};

/* Process `rank` of `size` with one band of rows. */
static process band(int rank, int size) {
  process p     = plain;
  p.rank        = rank;
  p.size        = size;
  p.start[0][0] = NY * rank / size;
  p.count[0][0] = NY * (rank + 1) / size - p.start[0][0];
  return p;
}

/* ---- the worker ---- */

typedef struct kept {
  weir_region box; /* of which field */
  double      data[STEPS][NY * NX];
  int         calls[STEPS];
} kept;
static kept keep[KEPT];

static weir_status keep_infer(weir_infer *x) {
  x->out[0].rank = 0;
  return WEIR_OK;
}

static weir_status keep_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)out, (void)in, (void)input;
  *region = keep[*(const int *)p].box;
  return WEIR_OK;
}

static weir_status keep_apply(const weir_apply *a) {
  kept   *k                    = &keep[*(const int *)a->params];
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&a->in[0]);
  double *to = k->data[a->step], buffer[NX];
  k->calls[a->step]++;
  do {
    memcpy(to, weir_view_load(&a->in[0], index, row, buffer), (size_t)row * sizeof *to);
    to += row;
  } while (weir_view_next_row(&a->in[0], index));
  weir_view_store(&a->out[0], NULL, 1, &(double){1});
  return WEIR_OK;
}

static const weir_operator keeper = {.api         = WEIR_OPERATOR_API,
                                     .name        = "keep",
                                     .inputs      = 1,
                                     .params_size = sizeof(int),
                                     .infer       = keep_infer,
                                     .need        = keep_need,
                                     .apply       = keep_apply};

/* A run of a simulation of `size` processes and a worker that keeps `box` (rank 0: everything) of all fields. */
typedef struct setup {
  process              process[4];
  int                  processes;
  weir_region          box;
  int64_t              period;
  weir__worker_options options;
  weir__worker_stats   stats;
  int                  together[2 * PIECES]; /* of the worker's first pieces */
  weir_status          status;               /* of the first that failed */
  char                 message[1024];
} setup;

static weir__graph *build(const setup *s, const weir__intake *intake) {
  static const weir__chunk_size chunks[] = {{"y", 5}, {"x", 4}};
  const weir__intake_field     *field;
  weir__graph                  *g;
  int                           trigger, count = weir__intake_fields(intake, &field);
  assert_true(count <= KEPT);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = chunks;
  g->chunk_sizes = 2;
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = s->period ? s->period : 1}, &trigger), WEIR_OK);
  for (int i = 0; i < count; i++) {
    int source, sink;
    assert_int_equal(weir__graph_add_source(g, field[i].name, 0, i, &field[i].type, NULL, field[i].is_static, &source),
                     WEIR_OK);
    keep[i].box = s->box.rank ? s->box : weir__region_whole(&field[i].type);
    assert_int_equal(
        weir__graph_add_operator(g, &keeper, &i, &(weir__edge){source, 0}, 1, NULL, (weir__place){0}, NULL, &sink),
        WEIR_OK);
    weir__graph_want(g, sink, trigger);
  }
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

static void failed(setup *s, weir_status status) {
  s->status = status;
  snprintf(s->message, sizeof s->message, "%s", weir_error_last());
}

static void work(setup *s, const scene *where, weir__comm *comm) {
  weir__intake *intake = NULL;
  weir__worker *worker = NULL;
  weir_status   status = weir__intake_open(comm, where->run, "sim", &(weir__intake_options){.seconds = 20}, &intake);
  if (status < 0) {
    failed(s, status);
    return;
  }
  weir__graph *g = build(s, intake);
  status         = weir__worker_create(g, comm, NULL, intake, &s->options, &worker);
  if (status < 0) {
    failed(s, status);
    weir__intake_refuse(intake, s->message);
  } else {
    for (int i = 0; i < worker->plan->pieces && i < 2 * PIECES; i++) s->together[i] = worker->plan->piece[i].together;
    status = weir__worker_run(worker);
    if (status < 0) failed(s, status);
    weir__worker_stats_get(worker, &s->stats);
  }
  weir__worker_destroy(&worker);
  weir__intake_close(&intake);
  weir__graph_destroy(&g);
}

static void run(setup *s) {
  scene       where = scene_open();
  pid_t       pid[4];
  weir__comm *comm;
  int         killed = 0;
  memset(keep, 0, sizeof keep);
  assert_int_equal(weir__comm_self(&comm), WEIR_OK);
  for (int i = 0; i < s->processes; i++) pid[i] = scene_fork(simulate, &where, &s->process[i]);
  work(s, &where, comm);
  weir__comm_destroy(&comm);
  for (int i = 0; i < s->processes; i++) {
    if (s->process[i].dies < 0) {
      assert_child_fine(pid[i]);
      continue;
    }
    int status;
    assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
    assert_true(WIFSIGNALED(status));
    killed++;
  }
  scene_close(&where, killed);
}

/* All of field `number` is there in `step`; `hole`: rows from there on are missing values. */
static void check_step(int number, int64_t step, int64_t of_step, int64_t hole) {
  const kept *k = &keep[number];
  assert_int_equal(k->calls[step], 1);
  for (int64_t i = 0, n = weir__region_size(&k->box); i < n; i++) {
    int64_t y = k->box.start[0] + i / k->box.count[1], x = k->box.start[1] + i % k->box.count[1];
    double  want = y < hole ? value(of_step, y, x) : NAN;
    if (k->data[step][i] != want && !(isnan(want) && isnan(k->data[step][i])))
      fail_msg("field %d, step %d, y %d, x %d: %g, expected %g", number, (int)step, (int)y, (int)x, k->data[step][i],
               want);
  }
}

/* ---- cases ---- */

static void pieces_of_any_shape(void **state) {
  (void)state;
  for (int threads = 0; threads <= 2; threads += 2) {
    setup s      = {.processes = 3, .options = {.threads = threads, .steps_in_flight = 3, .slots = 2 + threads}};
    s.process[0] = (process){.pieces = 2, .start = {{0, 0}, {0, 3}}, .count = {{6, 3}, {6, 10}}};
    s.process[1] = (process){.pieces = 1, .start = {{6, 0}}, .count = {{4, 13}}};
    s.process[2] = (process){
        .pieces = 4, .start = {{10, 0}, {12, 0}, {3, 3}, {12, 9}}, .count = {{2, 13}, {5, 9}, {0, 5}, {5, 4}}};
    for (int i = 0; i < 3; i++) {
      s.process[i].rank = i, s.process[i].size = 3, s.process[i].more = true;
      s.process[i].skip = s.process[i].dies = -1, s.process[i].published = STEPS;
    }
    run(&s);
    if (s.status < 0) fail_msg("%s", s.message);
    assert_int_equal(s.stats.steps, STEPS);
    assert_int_equal(s.stats.dropped_steps, 0);
    assert_int_equal(s.stats.intake_bytes, NY * NX * (STEPS * (8 + 4) + 8) + STEPS * 8);
    for (int64_t step = 0; step < STEPS; step++) {
      check_step(0, step, step, NY);
      check_step(1, step, step, NY);
      check_step(2, step, 7, NY); /* static */
      assert_true(keep[3].calls[step] == 1 && keep[3].data[step][0] == (double)step);
    }
  }
}

/* Process 0 has rows 0 to 8 in four slabs, process 1 the rest: two slabs side by side, which do not follow each other,
 * and two that do. */
static void slabs_one_after_another(void **state) {
  (void)state;
  for (int part = 0; part < 2; part++) {
    setup s      = {.processes = 2, .options = {.threads = 2 * part, .steps_in_flight = 2}, .period = 1 + 2 * part};
    s.process[0] = (process){
        .pieces = 4, .start = {{0, 0}, {1, 0}, {4, 0}, {5, 0}}, .count = {{1, 13}, {3, 13}, {1, 13}, {4, 13}}};
    s.process[1] = (process){
        .pieces = 4, .start = {{9, 0}, {9, 6}, {12, 0}, {14, 0}}, .count = {{3, 6}, {3, 7}, {2, 13}, {3, 13}}};
    for (int i = 0; i < 2; i++) {
      s.process[i].rank = i, s.process[i].size = 2, s.process[i].more = !part;
      s.process[i].skip = s.process[i].dies = s.process[i].published = -1;
    }
    if (part) s.box = (weir_region){2, {2, 3}, {14, 5}};
    run(&s);
    if (s.status < 0) fail_msg("%s", s.message);
    assert_int_equal(s.stats.steps, part ? 3 : STEPS);
    for (int64_t step = 0; step < STEPS; step += s.period)
      for (int k = 0; k < (part ? 1 : 3); k++) check_step(k, step, k == 2 ? 7 : step, NY);
    if (!part) { /* u, then w; the static m is not joined */
      assert_memory_equal(s.together, ((int[]){4, 0, 0, 0, 4, 0, 0, 0}), sizeof s.together);
    } else { /* nothing of the first is wanted */
      assert_memory_equal(s.together, ((int[]){1, 3, 0, 0, 1, 1, 2, 0}), sizeof s.together);
    }
  }
}

static void overlaps(void **state) {
  (void)state;
  setup s      = {.processes = 2};
  s.process[0] = band(0, 2);
  s.process[1] = band(1, 2);
  s.process[1].start[0][0]--;
  s.process[1].count[0][0]++;
  s.process[0].refused = s.process[1].refused = "field u: elements [7:8, 0:4] are published by two processes";
  run(&s);
  assert_int_equal(s.status, WEIR_ERR_INPUT);
  assert_non_null(strstr(s.message, s.process[0].refused));
}

static void holes(void **state) {
  (void)state;
  setup s           = {.processes = 2};
  s.process[0]      = band(0, 3);
  s.process[1]      = band(1, 3);
  s.process[0].size = s.process[1].size = 2;
  s.process[0].refused = s.process[1].refused = "field u: 16 of the 20 elements in [10:15, 0:4] are published by no";
  run(&s);
  assert_int_equal(s.status, WEIR_ERR_INPUT);
  assert_non_null(strstr(s.message, s.process[0].refused));
  s.status             = WEIR_OK;
  s.options.holes      = true;
  s.process[0].refused = s.process[1].refused = NULL;
  run(&s);
  assert_int_equal(s.status, WEIR_OK);
  for (int64_t step = 0; step < STEPS; step++) check_step(0, step, step, NY * 2 / 3);
}

static void disagreements(void **state) {
  (void)state;
  static const char *const says[] = {
      "process 0 defines u float64 [17, 13] (y, x) in m, process 1 defines u float64 [18",
      "process 1 defines u float32", "process 1 defines u float64 [17, 13] (y, x) in km",
      "process 0 defines 4 fields, process 1 defines 1"};
  for (int i = 0; i < 4; i++) {
    setup s      = {.processes = 2};
    s.process[0] = band(0, 2);
    s.process[1] = band(1, 2);
    if (i == 0) s.process[1].ny = 18;
    if (i == 1) s.process[1].dtype = WEIR_F32;
    if (i == 2) s.process[1].units = "km";
    if (i == 3) s.process[0].more = true;
    s.process[0].refused = s.process[1].refused = says[i];
    run(&s);
    assert_int_equal(s.status, WEIR_ERR_INPUT);
    if (!strstr(s.message, says[i])) fail_msg("'%s' is not in: %s", says[i], s.message);
  }
}

static void a_step_not_published_by_all(void **state) {
  (void)state;
  setup s           = {.processes = 2};
  s.process[0]      = band(0, 2);
  s.process[1]      = band(1, 2);
  s.process[1].skip = 3;
  run(&s);
  if (s.status < 0) fail_msg("%s", s.message);
  assert_int_equal(s.stats.steps, STEPS);
  assert_int_equal(s.stats.dropped_steps, 1);
  for (int64_t step = 0; step < STEPS; step++)
    if (step == 3) assert_int_equal(keep[0].calls[step], 0);
    else check_step(0, step, step, NY);
}

static void a_process_that_is_killed(void **state) {
  (void)state;
  setup s           = {.processes = 2, .options = {.threads = 1, .slots = 3}};
  s.process[0]      = band(0, 2);
  s.process[1]      = band(1, 2);
  s.process[1].dies = 5;
  run(&s);
  assert_int_equal(s.status, WEIR_OK);
  assert_int_equal(s.stats.steps, 5);
  for (int64_t step = 0; step < STEPS; step++)
    if (step >= 5) assert_int_equal(keep[0].calls[step], 0);
    else check_step(0, step, step, NY);
}

static void only_what_is_looked_at(void **state) {
  (void)state;
  setup s = {.processes = 2, .box = {2, {2, 3}, {9, 5}}, .period = 3};
  for (int i = 0; i < 2; i++) {
    s.process[i]           = band(i, 2);
    s.process[i].published = 3;
  }
  run(&s);
  if (s.status < 0) fail_msg("%s", s.message);
  assert_int_equal(s.stats.steps, 3);
  assert_int_equal(s.stats.intake_bytes, 3 * 9 * 5 * 8);
  for (int64_t step = 0; step < STEPS; step++)
    if (step % 3) assert_int_equal(keep[0].calls[step], 0);
    else check_step(0, step, step, NY);
}

/* Processes that hold nothing of what is wanted have steps without bytes. */
static void a_process_without_any(void **state) {
  (void)state;
  setup s      = {.processes = 3};
  s.process[0] = band(0, 2);
  s.process[1] = band(1, 2);
  s.process[2] = plain;
  for (int i = 0; i < 3; i++) s.process[i].size = 3;
  s.process[2].rank   = 2;
  s.process[2].pieces = 0;
  run(&s);
  if (s.status < 0) fail_msg("%s", s.message);
  assert_int_equal(s.stats.steps, STEPS);
  for (int64_t step = 0; step < STEPS; step++) check_step(0, step, step, NY);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_of_any_shape),
                                     cmocka_unit_test(slabs_one_after_another),
                                     cmocka_unit_test(overlaps),
                                     cmocka_unit_test(holes),
                                     cmocka_unit_test(disagreements),
                                     cmocka_unit_test(a_step_not_published_by_all),
                                     cmocka_unit_test(a_process_that_is_killed),
                                     cmocka_unit_test(only_what_is_looked_at),
                                     cmocka_unit_test(a_process_without_any)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
