/* weir-test: ranks=1,2,3 timeout=120
 *
 * Files that a steered simulation writes of its own, and the workers' checkpoints that belong to them: made by all
 * workers, also one that serves no process, exactly where the simulation says; the last two stay; a simulation that
 * goes on from one of them gets the decisions and fields that it would have got; one that goes on from elsewhere is
 * refused, or what nobody saw is known. The processes of the simulation are this program, started once more. */
#include "channel/scene.h"
#include "comm/comm.h"
#include "exec/checkpoint.h"
#include <inttypes.h>
#include <spawn.h>
#include <sys/stat.h>
#include <weir/client.h>

enum { ROWS = 6, COLUMNS = 5, PROCESSES = 2, MINE = ROWS / PROCESSES, STEPS = 20, DELAY = 2, LAG = 3 };
extern char **environ;

/* ---- the simulation ---- */

static double value(int64_t step, int64_t y, int64_t x) { return (double)(step * 1000 + y * 10 + x); }
static double wind_of(int64_t step) { return 0.5 + (double)step; }

/* A life of a process: steps first to last. The workers' checkpoint ended before step `from`. */
typedef struct life {
  int64_t first, last, from;
  int64_t mark[3]; /* it writes a file after these steps; -1: none */
  bool    lost;    /* it hears that there is no analysis any more */
} life;

/* The published step that something comes from, which comes to this one so many steps later; -1: none. */
static int64_t source_of(const life *l, int64_t step, int64_t later) {
  return step - l->first >= later ? step - later : l->from - later + (step - l->first);
}

static int check_back(weir_stream *s, const life *l, int process, int64_t step) {
  double      wind, back[MINE * COLUMNS];
  int64_t     decided = source_of(l, step, DELAY), computed = source_of(l, step, LAG);
  weir_target target = {.data = back, .dtype = WEIR_F64, .rank = 2, .extent = {MINE, COLUMNS}};
  CHILD_CHECK(!weir_parameter_get(s, "wind", &wind));
  if (wind != (decided < 0 ? 0 : wind_of(decided)))
    fprintf(stderr, "step %d: wind is %g, decided in %d\n", (int)step, wind, (int)decided);
  CHILD_CHECK(wind == (decided < 0 ? 0 : wind_of(decided)));
  CHILD_CHECK(weir_get(s, "back", &target) == (computed < 0 ? WEIR_END : WEIR_OK));
  for (int i = 0; computed >= 0 && i < MINE * COLUMNS; i++)
    CHILD_CHECK(back[i] == value(computed, process * MINE + i / COLUMNS, i % COLUMNS));
  return 0;
}

static int define(weir_stream *s, int process) {
  weir_field_options o = {
      .type  = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = ROWS}, {.name = "x", .size = COLUMNS}}},
      .start = (int64_t[]){process * MINE, 0},
      .count = (int64_t[]){MINE, COLUMNS}};
  CHILD_CHECK(!weir_field_define(s, "u", &o) && !weir_feedback_define(s, "back", &o));
  CHILD_CHECK(!weir_parameter_define(s, "wind", 0, 0, 1000));
  return 0;
}

static int simulate(const char *run, int process, const life *l) {
  weir_stream *s;
  int          heard = 0;
  CHILD_CHECK(
      !weir_stream_open("sim", process, PROCESSES, &(weir_stream_options){.run = run, .attach_timeout = 30}, &s));
  if (define(s, process)) return 1;
  for (int64_t step = l->first; step <= l->last; step++) {
    double     u[MINE * COLUMNS];
    weir_array array = {.data = u, .dtype = WEIR_F64, .rank = 2, .extent = {MINE, COLUMNS}};
    for (int i = 0; i < MINE * COLUMNS; i++) u[i] = value(step, process * MINE + i / COLUMNS, i % COLUMNS);
    weir_status status = weir_step_begin(s, step, 0.5 * (double)step);
    heard += status < 0;
    if (!heard && check_back(s, l, process, step)) return 1;
    if (!status) status = weir_put(s, "u", &array);
    if (!status) status = weir_step_end(s);
    heard += status < 0;
    CHILD_CHECK(!status || l->lost);
    for (int m = 0; m < 3; m++)
      if (l->mark[m] == step) CHILD_CHECK(!weir_stream_checkpoint(s, step));
  }
  CHILD_CHECK(l->lost == (heard > 0));
  CHILD_CHECK(!weir_stream_close(&s));
  return 0;
}

static pid_t start_process(const char *run, int process, const life *l) {
  char        self[4096], folder[600], number[12], text[200];
  char *const argument[] = {self, folder, number, text, NULL};
  pid_t       pid;
  ssize_t     length = readlink("/proc/self/exe", self, sizeof self - 1);
  assert_true(length > 0);
  self[length] = 0;
  snprintf(folder, sizeof folder, "%s", run);
  snprintf(number, sizeof number, "%d", process);
  snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d", l->first,
           l->last, l->from, l->mark[0], l->mark[1], l->mark[2], l->lost);
  assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argument, environ), 0);
  return pid;
}

static int simulate_as(char **argument) {
  life l;
  int  lost;
  CHILD_CHECK(sscanf(argument[3], "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %d",
                     &l.first, &l.last, &l.from, &l.mark[0], &l.mark[1], &l.mark[2], &lost) == 7);
  l.lost = lost;
  return simulate(argument[1], (int)strtol(argument[2], NULL, 10), &l);
}

/* ---- the graph: u, the wind that follows from all of it, and u as what comes back ---- */

static weir_status copy_apply(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->in[0]);
  double  row[COLUMNS];
  do weir_view_store(&a->out[0], index, n, weir_view_load(&a->in[0], index, n, row));
  while (weir_view_next_row(&a->in[0], index));
  return WEIR_OK;
}
static weir_status decide_infer(weir_infer *x) {
  x->out[0] = (weir_field_type){.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "value", .size = 2}}};
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
  double  row[COLUMNS], *to = a->out[0].data;
  int64_t last[WEIR_RANK_MAX] = {ROWS - 1};
  double  step                = (weir_view_load(&a->in[0], last, COLUMNS, row)[0] - value(0, ROWS - 1, 0)) / 1000;
  to[0]                       = wind_of((int64_t)step);
  to[1]                       = 0; /* it does not end the run */
  return WEIR_OK;
}

#define OP .api = WEIR_OPERATOR_API, .inputs = 1
static const weir_operator copy   = {OP, .name = "copy", .apply = copy_apply};
static const weir_operator decide = {OP, .name = "decide", .infer = decide_infer, .need = decide_need,
                                     .apply = decide_apply};

static weir__graph *build(const weir__intake *intake, weir__feedback *feedback) {
  static const int          wind[]    = {0};
  static const double       initial[] = {0};
  const weir__intake_field *field;
  weir__graph              *g;
  int                       u, back, vector, trigger;
  assert_int_equal(weir__intake_fields(intake, &field), 1);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &field->type, NULL, false, &u), WEIR_OK);
  assert_int_equal(
      weir__graph_add_operator(g, &copy, NULL, &(weir__edge){u, 0}, 1, "back", (weir__place){0}, NULL, &back), WEIR_OK);
  assert_int_equal(
      weir__graph_add_operator(g, &decide, NULL, &(weir__edge){back, 0}, 1, NULL, (weir__place){0}, NULL, &vector),
      WEIR_OK);
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  weir__graph_want(g, back, trigger);
  weir__graph_want(g, vector, trigger);
  *feedback    = (weir__feedback){.name = "back", .edge = {back, 0}, .lag = LAG};
  g->feedback  = feedback;
  g->feedbacks = 1;
  g->decisions =
      (weir__decisions){.node = vector, .delay = DELAY, .parameters = 1, .parameter = wind, .initial = initial};
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

/* ---- a run ---- */

static weir__comm *comm;
/* Of lives that failed: messages that nobody received may come to a communicator that takes the place of theirs. */
static weir__comm *failed[8];
static int         failures;

typedef struct run {
  scene                where; /* the same on all */
  char                 directory[600];
  weir__worker_options options;
  /* results of one attempt */
  weir_status        status;
  char               message[1024];
  weir__worker_stats stats;
  bool               restored, seen[STEPS + 20]; /* seen: this worker's checkpoints, by ordinal */
  int64_t            ordinal;                    /* that it went on from */
  int                losts;                      /* on this worker ... */
  weir__lost         lost;                       /* ... the first one */
  int                processes;                  /* served here */
} run;

static void look(void *self, const weir__progress *progress) {
  run *r = self;
  char path[PATH_MAX];
  (void)progress;
  for (int n = 0; n < STEPS + 20; n++) {
    weir__checkpoint_path(r->directory, weir__comm_rank(comm), n, "", path);
    r->seen[n] |= !access(path, F_OK);
  }
}

static bool exists(const run *r, int rank, int64_t ordinal) {
  char path[PATH_MAX];
  weir__checkpoint_path(r->directory, rank, ordinal, "", path);
  return !access(path, F_OK);
}

static void begin(run *r) {
  *r = (run){0};
  if (!weir__comm_rank(comm)) r->where = scene_open();
  assert_int_equal(weir__comm_broadcast(comm, &r->where.run, sizeof r->where.run, 0), WEIR_OK);
  snprintf(r->directory, sizeof r->directory, "%s/checkpoint", r->where.run);
  if (!weir__comm_rank(comm)) assert_int_equal(mkdir(r->directory, 0700), 0);
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
  r->options = (weir__worker_options){.checkpoint_directory = r->directory,
                                      .identity             = 7,
                                      .checkpoint_steps     = 1000,
                                      .progress             = look,
                                      .progress_self        = r};
}

static void end(run *r) {
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
  if (!weir__comm_rank(comm)) scene_close(&r->where, 0);
}

static weir_status work(run *r, weir__intake *intake, weir__comm *own) {
  weir__feedback  feedback;
  weir__graph    *g      = build(intake, &feedback);
  weir__worker   *worker = NULL;
  weir__resume    at     = {0};
  weir__beginning begins = {.steered = true};
  weir_status     status = weir__intake_begins(intake, &begins);
  if (status >= 0) status = weir__checkpoint_find(own, &r->options, &begins, &at);
  r->restored = status == WEIR_OK;
  r->ordinal  = at.ordinal;
  if (status >= 0) status = weir__worker_create(g, own, NULL, intake, &r->options, &worker);
  if (status >= 0 && r->restored) status = weir__worker_restore(worker, &at);
  weir__checkpoint_forget(&at);
  if (status < 0) {
    snprintf(r->message, sizeof r->message, "%s", weir_error_last());
    weir__intake_refuse(intake, r->message);
  } else {
    const weir__lost *list;
    r->processes = worker->plan->pieces;
    status       = weir__worker_run(worker);
    if (status < 0) snprintf(r->message, sizeof r->message, "%s", weir_error_last());
    r->losts = weir__worker_lost(worker, &list);
    if (r->losts) r->lost = list[0];
    weir__worker_stats_get(worker, &r->stats);
  }
  weir__worker_destroy(&worker);
  weir__graph_destroy(&g);
  return status;
}

/* One life of the simulation, whose processes write different files at most, and of the workers with it. */
static void live(run *r, const life of[PROCESSES]) {
  pid_t         pid[PROCESSES];
  bool          first = !weir__comm_rank(comm);
  weir__intake *intake;
  weir__comm   *own;
  memset(r->seen, 0, sizeof r->seen);
  for (int i = 0; first && i < PROCESSES; i++) pid[i] = start_process(r->where.run, i, &of[i]);
  assert_int_equal(weir__comm_duplicate(comm, &own), WEIR_OK);
  if (weir__intake_open(own, r->where.run, "sim", &(weir__intake_options){.seconds = 30}, &intake) < 0)
    fail_msg("%s", weir_error_last());
  r->status = work(r, intake, own);
  weir__intake_close(&intake);
  if (r->status >= 0) weir__comm_destroy(&own);
  else failed[failures++] = own;
  for (int i = 0; first && i < PROCESSES; i++) assert_child_fine(pid[i]);
  assert_int_equal(weir__comm_barrier(comm), WEIR_OK);
}

static void live_alike(run *r, life l) {
  life all[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) all[i] = l;
  live(r, all);
}

static weir__checkpoint_header header(const run *r, int rank, int64_t ordinal) {
  weir__checkpoint_header h = {0};
  char                    path[PATH_MAX];
  weir__checkpoint_path(r->directory, rank, ordinal, "", path);
  FILE *file = fopen(path, "rb");
  if (!file) fail_msg("there is no %s", path);
  assert_int_equal(fread(&h, sizeof h, 1, file), 1);
  fclose(file);
  return h;
}

/* Which checkpoint would a simulation that is started again and begins with this step go on from? -1: none. */
static weir_status find(const run *r, int64_t step, int64_t *ordinal) {
  weir__resume    at;
  weir__beginning begins = {.fresh = true, .steered = true, .step = step};
  weir_status     status = weir__checkpoint_find(comm, &r->options, &begins, &at);
  *ordinal               = status == WEIR_OK ? at.ordinal : -1;
  if (status == WEIR_OK) weir__checkpoint_forget(&at);
  return status;
}

static const life whole = {.last = STEPS - 1, .mark = {3, 7, 12}};

/* ---- cases ---- */

static void checkpoints_are_where_the_simulation_says(void **state) {
  (void)state;
  run     r;
  int     rank = weir__comm_rank(comm);
  int64_t saved;
  begin(&r);
  live_alike(&r, whole);
  if (r.status < 0) fail_msg("%s", r.message);
  assert_false(r.restored);
  for (int n = 0; n < STEPS; n++)
    if (r.seen[n] != (n == 4 || n == 8 || n == 13)) fail_msg("%d: a checkpoint at %d: %d", rank, n, r.seen[n]);
  for (int n = 0; n < STEPS + 20; n++) /* the last two, and that of the end */
    if (exists(&r, rank, n) != (n == 8 || n == 13 || n == STEPS)) fail_msg("%d: left at %d", rank, n);
  assert_int_equal(r.stats.checkpoints, 4);
  weir__checkpoint_header h = header(&r, rank, 13);
  assert_true(h.ordinal == 13 && h.step == 12 && h.first_step == 0);
  assert_true(h.mark[0].ordinal == 8 && h.mark[0].saved == 7 && h.mark[1].ordinal == 13 && h.mark[1].saved == 12);
  assert_true(weir__checkpoint_saved(r.directory, &saved) && saved == 12);
  end(&r);
}

/* A simulation that goes on from its file gets what it would have got. */
static void what_was_decided_comes_again(void **state) {
  (void)state;
  static const int64_t first[] = {8, 17}, mark[] = {16, STEPS - 1}; /* the last one is after the last step */
  run                  r;
  int                  rank = weir__comm_rank(comm);
  int64_t              saved;
  begin(&r);
  live_alike(&r, whole);
  if (r.status < 0) fail_msg("%s", r.message);
  for (int i = 0; i < 2; i++) {
    live_alike(&r, (life){.first = first[i], .last = STEPS - 1, .from = first[i], .mark = {-1, -1, mark[i]}});
    if (r.status < 0) fail_msg("%s", r.message);
    assert_true(r.restored && r.ordinal == first[i] && !r.losts);
    assert_int_equal(r.stats.steps, STEPS);
    assert_true(weir__checkpoint_saved(r.directory, &saved));
    assert_int_equal(saved, mark[i]);
    assert_true(exists(&r, rank, first[i]) && exists(&r, rank, mark[i] + 1));
    assert_false(exists(&r, rank, 13)); /* of a past that was done again */
  }
  end(&r);
}

/* Without a checkpoint from before its first step a simulation that was steered cannot go on. */
static void going_on_from_elsewhere(void **state) {
  (void)state;
  run     r;
  int64_t ordinal;
  begin(&r);
  assert_int_equal(find(&r, 5, &ordinal), WEIR_END); /* nobody knows of any step */
  live_alike(&r, whole);
  assert_int_equal(find(&r, STEPS, &ordinal), WEIR_OK);
  assert_int_equal(ordinal, STEPS);
  assert_int_equal(find(&r, STEPS - 1, &ordinal), WEIR_OK);
  assert_int_equal(ordinal, 13);
  assert_int_equal(find(&r, 13, &ordinal), WEIR_OK);
  assert_int_equal(ordinal, 13);
  assert_int_equal(find(&r, 12, &ordinal), WEIR_OK);
  assert_int_equal(ordinal, 8);
  assert_int_equal(find(&r, 7, &ordinal), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "the simulation goes on with step 7, and the workers know nothing of before"
                                            ": a simulation that is steered must call weir_stream_checkpoint"));
  assert_true(exists(&r, weir__comm_rank(comm), 13)); /* nothing is thrown away for it */
  live_alike(&r, (life){.first = 5, .last = 9, .mark = {-1, -1, -1}, .lost = true});
  assert_int_equal(r.status, WEIR_ERR_INPUT);
  assert_non_null(strstr(r.message, "the simulation goes on with step 5"));
  live_alike(&r, whole); /* from the beginning: all begins anew */
  if (r.status < 0) fail_msg("%s", r.message);
  assert_false(r.restored);
  assert_true(r.seen[4] && r.stats.steps == STEPS);
  end(&r);
}

static void what_nobody_saw_is_known(void **state) {
  (void)state;
  run r;
  begin(&r);
  live_alike(&r, whole);
  live_alike(&r, (life){.first = STEPS + 5, .last = STEPS + 9, .from = STEPS, .mark = {-1, -1, -1}});
  if (r.status < 0) fail_msg("%s", r.message);
  assert_true(r.restored && r.ordinal == STEPS && r.stats.steps == STEPS + 5);
  assert_int_equal(r.losts, 1);
  assert_true(r.lost.from == STEPS && r.lost.to == STEPS + 4 && r.lost.count == 5);
  assert_non_null(strstr(r.lost.why, "from a later state"));
  end(&r);
}

/* Whichever worker serves them. */
static void all_processes_must_mark_alike(void **state) {
  (void)state;
  static const int64_t     marks[][PROCESSES] = {{3, 5}, {5, 3}, {3, -1}};
  static const char *const says[]             = {"(before step 4: process 0 for step 3, process 1 not)",
                                                 "(before step 4: process 0 not, process 1 for step 3)",
                                                 "(before step 4: process 0 for step 3, process 1 not)"};
  bool                     alone              = weir__comm_size(comm) == 1;
  for (int i = 0; i < 3; i++) {
    run  r;
    life of[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) of[p] = (life){.last = STEPS - 1, .mark = {marks[i][p], -1, -1}, .lost = true};
    begin(&r);
    r.options.checkpoint_steps = 10; /* so that it comes out where one process has none */
    live(&r, of);
    assert_int_equal(r.status, WEIR_ERR_INPUT);
    if (!strstr(r.message, "stream sim: its processes called weir_stream_checkpoint between different steps") ||
        !strstr(r.message, alone    ? says[i]
                           : i == 2 ? "the steps number 4 and 10"
                                    : "the steps number 4 and 6"))
      fail_msg("%s", r.message);
    end(&r);
  }
}

/* ---- files alone ---- */

static void write_file(const run *r, int rank, int size, int64_t ordinal, weir__mark before, weir__mark newest) {
  weir__checkpoint_header h = {
      .magic = WEIR__CHECKPOINT_MAGIC, .rank = rank, .size = size, .ordinal = ordinal, .mark = {before, newest}};
  char path[PATH_MAX];
  weir__checkpoint_path(r->directory, rank, ordinal, "", path);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(&h, sizeof h, 1, file), 1);
  fclose(file);
}

static void remove_file(const run *r, int rank, int64_t ordinal) {
  char path[PATH_MAX];
  weir__checkpoint_path(r->directory, rank, ordinal, "", path);
  assert_int_equal(unlink(path), 0);
}

/* Of marks whose files are all there, the newest. */
static void only_whole_sets_of_files_count(void **state) {
  (void)state;
  static const weir__mark none = {-1, -1}, early = {4, 30}, middle = {8, 70}, late = {13, 120};
  enum { SIZE = 3 };
  run     r;
  int64_t saved = 5;
  begin(&r);
  if (weir__comm_rank(comm)) goto out;
  assert_false(weir__checkpoint_saved(r.where.run, &saved)); /* files there, but none of these */
  char path[700];
  snprintf(path, sizeof path, "%s/nowhere", r.directory);
  assert_false(weir__checkpoint_saved(path, &saved));
  for (int rank = 0; rank < SIZE; rank++) write_file(&r, rank, SIZE, 2, none, none);
  assert_false(weir__checkpoint_saved(r.directory, &saved));
  assert_int_equal(saved, 5);
  for (int rank = 0; rank < SIZE; rank++) write_file(&r, rank, SIZE, 4, none, early);
  for (int rank = 0; rank < SIZE; rank++) write_file(&r, rank, SIZE, 8, early, middle);
  assert_true(weir__checkpoint_saved(r.directory, &saved) && saved == 70);
  for (int rank = 0; rank < SIZE - 1; rank++) write_file(&r, rank, SIZE, 13, middle, late);
  assert_true(weir__checkpoint_saved(r.directory, &saved) && saved == 70); /* the last one is not there yet */
  write_file(&r, SIZE - 1, SIZE, 13, middle, late);
  assert_true(weir__checkpoint_saved(r.directory, &saved) && saved == 120);
  for (int rank = 0; rank < SIZE; rank++) write_file(&r, rank, SIZE, 20, middle, late);
  remove_file(&r, SIZE - 1, 13); /* a later checkpoint knows of it, but its file is gone */
  assert_true(weir__checkpoint_saved(r.directory, &saved) && saved == 70);
  remove_file(&r, 1, 8);
  assert_true(weir__checkpoint_saved(r.directory, &saved) && saved == 30);
  snprintf(path, sizeof path, "%s/4.0", r.directory);
  assert_int_equal(truncate(path, sizeof(weir__checkpoint_header) - 1), 0);
  assert_false(weir__checkpoint_saved(r.directory, &saved));
out:
  end(&r);
}

int main(int count, char **argument) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checkpoints_are_where_the_simulation_says),
      cmocka_unit_test(what_was_decided_comes_again),
      cmocka_unit_test(going_on_from_elsewhere),
      cmocka_unit_test(what_nobody_saw_is_known),
      cmocka_unit_test(all_processes_must_mark_alike),
      cmocka_unit_test(only_whole_sets_of_files_count),
  };
  if (count == 4) return simulate_as(argument);
  if (weir__comm_world(&comm) < 0) return 1;
  int wrong = cmocka_run_group_tests(tests, NULL, NULL);
  while (failures) weir__comm_destroy(&failed[--failures]);
  weir__comm_destroy(&comm);
  return wrong;
}
