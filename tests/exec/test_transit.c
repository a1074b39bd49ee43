/* weir-test: ranks=1,2,3,4 timeout=120
 *
 * Proves that outputs of different boxes and cadences get the bytes of a plain formula in exactly the steps they are
 * due, while each process copies in each step only the box around what is wanted then (the process itself counts its
 * bytes); that this is so with every number of workers that only forward, which compute nothing; and that the decisions
 * of each step are the same on every worker. The processes of the simulation are this program, started once more. */
#include "channel/scene.h"
#include "comm/comm.h"
#include "exec/state.h"
#include <spawn.h>
#include <weir/client.h>
#include <weir/sum.h>

enum { NY = 29, NX = 31, STEPS = 26, PROCESSES = 3, VALUES = 5, ROOM = NY * NX };
extern char **environ;

static double value(int field, int64_t step, int64_t y, int64_t x) {
  return (double)(field + 1) * (0.125 + (double)step) - (double)(y * 41) + 0.5 * (double)(x * x);
}

static weir_region box(int64_t y, int64_t ny, int64_t x, int64_t nx) {
  return (weir_region){.rank = 2, .start = {y, x}, .count = {ny, nx}};
}

/* ---- what is looked at: the outputs, and what each of them makes a process copy ---- */

enum { U, V, M, FIELDS }; /* M is static */
typedef enum made { PLAIN, SQUARE, LAG, TOTAL } made;

static const struct output {
  int         field;
  made        made;   /* of the field, before it is kept */
  int64_t     period; /* of steps in which it is kept */
  weir_region kept;   /* PLAIN: of the field; else of what is made */
  int64_t     copied; /* period of steps in which `box` must be copied */
  weir_region box;
} outputs[] = {
    {U, PLAIN, 2, {2, {5, 0}, {1, NX}}, 2, {2, {5, 0}, {1, NX}}},     /* a row, often */
    {U, PLAIN, 12, {2, {0, 0}, {NY, NX}}, 12, {2, {0, 0}, {NY, NX}}}, /* everything, rarely */
    {U, PLAIN, 3, {2, {0, 20}, {9, 11}}, 3, {2, {0, 20}, {9, 11}}},   /* a corner */
    {U, SQUARE, 4, {2, {20, 3}, {2, 2}}, 4, {2, {16, 0}, {8, 7}}},    /* the chunk it lies in */
    {V, LAG, 5, {2, {3, 9}, {1, 1}}, 1, {2, {0, 7}, {8, 7}}},         /* looked back at: in every step */
    {V, TOTAL, 6, {0}, 6, {2, {0, 0}, {NY, NX}}},                     /* a sum needs all */
    {M, PLAIN, 2, {2, {1, 1}, {3, 9}}, 0, {2, {1, 1}, {3, 9}}},       /* static: copied once */
    {M, PLAIN, 3, {2, {4, 8}, {3, 22}}, 0, {2, {4, 8}, {3, 22}}},
};
enum { OUTPUTS = sizeof outputs / sizeof *outputs, EVERY_V = 6 /* of the decisions, which use the total */ };

static int64_t expected_bytes(int field, const weir_region *piece, int64_t step) {
  weir_region hull = {.rank = -1};
  for (int i = 0; i < OUTPUTS; i++) {
    const struct output *o = &outputs[i];
    weir_region          part;
    if (o->field != field || (o->copied ? step % o->copied : step) || !weir__region_intersect(&o->box, piece, &part))
      continue;
    if (hull.rank < 0) hull = part;
    for (int a = 0; a < 2; a++) {
      int64_t end = hull.start[a] + hull.count[a], more = part.start[a] + part.count[a];
      if (part.start[a] < hull.start[a]) hull.start[a] = part.start[a];
      hull.count[a] = (more > end ? more : end) - hull.start[a];
    }
  }
  if (field == M) { /* both boxes as one, and of that what lies in the piece */
    weir_region both = box(1, 6, 1, 29);
    if (step || !weir__region_intersect(&both, piece, &hull)) return 0;
  }
  return hull.rank < 0 ? 0 : weir__region_size(&hull) * (int64_t)sizeof(double);
}

/* ---- the simulation ---- */

static const struct piece {
  int         process;
  weir_region region;
} pieces[] = {{0, {2, {0, 0}, {11, NX}}},
              {1, {2, {11, 0}, {9, 13}}},
              {1, {2, {11, 13}, {9, NX - 13}}},
              {2, {2, {20, 0}, {NY - 20, NX}}}};
enum { PIECES = sizeof pieces / sizeof *pieces };
static const char *const field_name[] = {"u", "v", "m"};

static weir_status put(weir_stream *s, int process, int field, int64_t step, int64_t *bytes) {
  int number = 0;
  for (int k = 0; k < PIECES; k++) {
    static double      a[ROOM];
    const weir_region *r  = &pieces[k].region;
    double            *to = a;
    if (pieces[k].process != process) continue;
    for (int64_t y = 0; y < r->count[0]; y++)
      for (int64_t x = 0; x < r->count[1]; x++) *to++ = value(field, step, r->start[0] + y, r->start[1] + x);
    weir_array array = {.data = a, .dtype = WEIR_F64, .rank = 2, .extent = {r->count[0], r->count[1]}};
    WEIR_TRY(weir_put_piece(s, field_name[field], number++, &array));
    *bytes += expected_bytes(field, r, step);
  }
  return WEIR_OK;
}

static int simulate(const char *run, int process) {
  weir_stream      *s;
  weir_stream_stats stats;
  int64_t           bytes = 0;
  CHILD_CHECK(
      !weir_stream_open("sim", process, PROCESSES, &(weir_stream_options){.run = run, .attach_timeout = 30}, &s));
  for (int f = 0; f < FIELDS; f++) {
    weir_field_options o = {
        .type      = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}},
        .is_static = f == M};
    CHILD_CHECK(!weir_field_define(s, field_name[f], &o));
    for (int k = 0; k < PIECES; k++)
      if (pieces[k].process == process)
        CHILD_CHECK(!weir_piece_define(s, field_name[f], pieces[k].region.start, pieces[k].region.count, NULL));
  }
  for (int64_t step = 0; step < STEPS; step++) {
    CHILD_CHECK(!weir_step_begin(s, step, 0.5 * (double)step));
    for (int f = 0; f < FIELDS; f++)
      if (f != M || !step) CHILD_CHECK(!put(s, process, f, step, &bytes));
    CHILD_CHECK(!weir_step_end(s));
    weir_stream_stats_get(s, &stats);
    if (stats.bytes != bytes)
      fprintf(stderr, "process %d, up to step %d: %d bytes copied, expected %d\n", process, (int)step, (int)stats.bytes,
              (int)bytes);
    CHILD_CHECK(stats.bytes == bytes);
  }
  CHILD_CHECK(!weir_stream_close(&s));
  return 0;
}

static pid_t start_process(const char *run, int process) {
  char        self[4096], number[12], folder[600];
  char *const argument[] = {self, folder, number, NULL};
  pid_t       pid;
  ssize_t     length = readlink("/proc/self/exe", self, sizeof self - 1);
  assert_true(length > 0);
  self[length] = 0;
  snprintf(number, sizeof number, "%d", process);
  snprintf(folder, sizeof folder, "%s", run);
  assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argument, environ), 0);
  return pid;
}

/* ---- operators ---- */

static double kept[OUTPUTS][STEPS][ROOM];
static int    calls[OUTPUTS][STEPS];

static weir_status scalar_infer(weir_infer *x) {
  x->out[0].rank = 0;
  return WEIR_OK;
}
static weir_status keep_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)out, (void)in, (void)input;
  *region = outputs[*(const int *)p].kept;
  return WEIR_OK;
}
static weir_status keep_apply(const weir_apply *a) {
  int     number               = *(const int *)a->params;
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&a->in[0]);
  double *to = kept[number][a->step], buffer[NX];
  calls[number][a->step]++;
  do {
    memcpy(to, weir_view_load(&a->in[0], index, row, buffer), (size_t)row * sizeof *to);
    to += row;
  } while (weir_view_next_row(&a->in[0], index));
  weir_view_store(&a->out[0], NULL, 1, &(double){1});
  return WEIR_OK;
}
static weir_status square_apply(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->in[0]);
  double  row[NX];
  do {
    const double *x = weir_view_load(&a->in[0], index, n, row);
    for (int64_t i = 0; i < n; i++) row[i] = x[i] * x[i];
    weir_view_store(&a->out[0], index, n, row);
  } while (weir_view_next_row(&a->in[0], index));
  return WEIR_OK;
}
static weir_status lag_infer(weir_infer *x) {
  x->lag[0] = 1;
  return WEIR_OK;
}
static size_t total_size(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in, (void)out;
  return sizeof(weir_sum);
}
static weir_status total_apply(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->in[0]);
  double  row[NX];
  do weir_sum_add(a->partial, weir_view_load(&a->in[0], index, n, row), n);
  while (weir_view_next_row(&a->in[0], index));
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
static weir_status decide_infer(weir_infer *x) {
  x->out[0] = (weir_field_type){.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "value", .size = VALUES}}};
  for (int a = 0; a < WEIR_RANK_MAX; a++) x->from_axis[0][a] = -1;
  return WEIR_OK;
}
static weir_status decide_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                               weir_region *region) {
  (void)p, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}
static weir_status decide_apply(const weir_apply *a) {
  double total = *weir_view_load(&a->in[0], NULL, 1, &(double){0}), *to = a->out[0].data;
  for (int i = 0; i < VALUES; i++) to[i] = i < VALUES - 1 ? total + i : 0; /* the last one would end the run */
  return WEIR_OK;
}

#define OP .api = WEIR_OPERATOR_API, .inputs = 1
static const weir_operator keep = {
    OP, .name = "keep", .params_size = sizeof(int), .infer = scalar_infer, .need = keep_need, .apply = keep_apply};
static const weir_operator square = {OP, .name = "square", .apply = square_apply};
static const weir_operator lag    = {OP, .name = "lag", .infer = lag_infer, .apply = square_apply};
static const weir_operator total  = {OP,
                                     .name         = "total",
                                     .infer        = scalar_infer,
                                     .partial_size = total_size,
                                     .apply        = total_apply,
                                     .combine      = total_combine,
                                     .finish       = total_finish};
static const weir_operator decide = {OP, .name = "decide", .infer = decide_infer, .need = decide_need,
                                     .apply = decide_apply};

/* ---- the graph ---- */

static int add(weir__graph *g, const weir_operator *op, const void *params, int input) {
  int node;
  assert_int_equal(
      weir__graph_add_operator(g, op, params, &(weir__edge){input, 0}, 1, NULL, (weir__place){0}, NULL, &node),
      WEIR_OK);
  return node;
}

static void want(weir__graph *g, int node, int64_t period) {
  int trigger;
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = period}, &trigger), WEIR_OK);
  weir__graph_want(g, node, trigger);
}

static weir__graph *build(const weir__intake *intake) {
  static const weir__chunk_size chunks[] = {{"y", 8}, {"x", 7}};
  const weir__intake_field     *field;
  weir__graph                  *g;
  int                           source[FIELDS];
  assert_int_equal(weir__intake_fields(intake, &field), FIELDS);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = chunks;
  g->chunk_sizes = 2;
  for (int f = 0; f < FIELDS; f++)
    assert_int_equal(
        weir__graph_add_source(g, field[f].name, 0, f, &field[f].type, NULL, field[f].is_static, &source[f]), WEIR_OK);
  for (int i = 0; i < OUTPUTS; i++) {
    const weir_operator *op[] = {NULL, &square, &lag, &total};
    int                  node = source[outputs[i].field];
    if (outputs[i].made != PLAIN) node = add(g, op[outputs[i].made], NULL, node);
    if (outputs[i].made == TOTAL) {
      static const int    nowhere[VALUES - 1] = {-1, -1, -1, -1}; /* parameters of the recipe alone */
      static const double before[VALUES - 1];
      g->decisions = (weir__decisions){.node       = add(g, &decide, NULL, node),
                                       .delay      = 1,
                                       .parameters = VALUES - 1,
                                       .parameter  = nowhere,
                                       .initial    = before};
      want(g, g->decisions.node, outputs[i].period);
    }
    want(g, add(g, &keep, &i, node), outputs[i].period);
  }
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

/* ---- a run ---- */

static weir__comm   *comm;
static weir__worker *worker;
static double        sums[STEPS];

static void plain_output(int number, int64_t step, double *to) {
  const struct output *o    = &outputs[number];
  int64_t              from = o->made == LAG ? step - 1 : o->field == M ? 0 : step;
  if (o->made == TOTAL) {
    *to = sums[step];
    return;
  }
  for (int64_t y = o->kept.start[0]; y < o->kept.start[0] + o->kept.count[0]; y++)
    for (int64_t x = o->kept.start[1]; x < o->kept.start[1] + o->kept.count[1]; x++, to++) {
      *to = value(o->field, from, y, x);
      if (o->made != PLAIN) *to *= *to;
    }
}

static void plain_sums(void) {
  for (int64_t step = 0; step < STEPS; step++) {
    weir_sum sum = {0};
    for (int64_t i = 0; i < NY * NX; i++) weir_sum_add(&sum, &(double){value(V, step, i / NX, i % NX)}, 1);
    sums[step] = weir_sum_value(&sum);
  }
}

/* After each step, with one in flight: what is decided so far is the same everywhere. */
static void look(void *self, const weir__progress *progress) {
  const double *vector = weir__worker_decisions(worker, progress->steps - 1);
  int          *heard  = self;
  int64_t       due    = progress->step / EVERY_V * EVERY_V; /* what was decided then holds until the next time */
  if (progress->step == due) assert_non_null(vector);
  for (int i = 0; vector && i < VALUES - 1; i++) assert_true(vector[i] == sums[due] + i);
  ++*heard;
}

static void check_outputs(int forwarders) {
  static double plain[ROOM];
  for (int n = 0; n < OUTPUTS; n++)
    for (int64_t step = 0; step < STEPS; step++) {
      bool    due  = step % outputs[n].period == 0 && (outputs[n].made != LAG || step);
      int64_t here = calls[n][step], wrong = 0;
      plain_output(n, step, plain);
      if (here) wrong = memcmp(plain, kept[n][step], (size_t)weir__region_size(&outputs[n].kept) * sizeof *plain) != 0;
      assert_int_equal(weir__comm_sum(comm, &here, 1), WEIR_OK);
      assert_int_equal(weir__comm_max(comm, &wrong, 1), WEIR_OK);
      if (here != due || wrong)
        fail_msg("%d forwarders: output %d at step %d: kept %d times, expected %d; values %s", forwarders, n, (int)step,
                 (int)here, due, wrong ? "differ" : "agree");
    }
}

static void assert_owns_nothing(const weir__plan *p) {
  for (int i = 0; i < p->tasks; i++)
    assert_true(p->task[i].kind == WEIR__TASK_PACK || p->task[i].kind == WEIR__TASK_DECIDE);
}

static void run(int forwarders, int threads) {
  scene                where = {0};
  pid_t                pid[PROCESSES];
  weir__intake        *intake;
  int                  heard   = 0;
  bool                 first   = weir__comm_rank(comm) == 0;
  weir__worker_options options = {
      .threads = threads, .steps_in_flight = 1, .forwarders = forwarders, .progress = look, .progress_self = &heard};
  memset(calls, 0, sizeof calls);
  if (first) where = scene_open();
  assert_int_equal(weir__comm_broadcast(comm, where.run, sizeof where.run, 0), WEIR_OK);
  for (int i = 0; first && i < PROCESSES; i++) pid[i] = start_process(where.run, i);
  if (weir__intake_open(comm, where.run, "sim", &(weir__intake_options){.seconds = 30}, &intake) < 0)
    fail_msg("%s", weir_error_last());
  weir__graph *g = build(intake);
  if (weir__worker_create(g, comm, NULL, intake, &options, &worker) < 0) fail_msg("%s", weir_error_last());
  if (weir__comm_rank(comm) < forwarders) assert_owns_nothing(worker->plan);
  if (weir__worker_run(worker) < 0) fail_msg("%s", weir_error_last());
  assert_int_equal(heard, STEPS);
  weir__worker_destroy(&worker);
  weir__intake_close(&intake);
  weir__graph_destroy(&g);
  for (int i = 0; first && i < PROCESSES; i++) assert_child_fine(pid[i]);
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
  if (first) scene_close(&where, 0);
  check_outputs(forwarders);
}

static void boxes_and_cadences(void **state) {
  (void)state;
  plain_sums();
  for (int forwarders = 0; forwarders < weir__comm_size(comm); forwarders++)
    for (int threads = 0; threads <= 2; threads += 2) run(forwarders, threads);
}

int main(int count, char **argument) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(boxes_and_cadences)};
  if (count == 3) return simulate(argument[1], (int)strtol(argument[2], NULL, 10));
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
