/* weir-test: timeout=60
 *
 * What people ask for, and what becomes of it when a worker dies: the deciding operator is called step by step, without
 * an engine. Proves that a request is taken once, answered and logged before it is felt; that after a restart rules
 * decide again without doubling the log, and what people decided comes back at its steps; that a snapshot is one
 * step long; and that lines which are no decisions are refused. */
#include "io/file.h"
#include "steer/parts.h"
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { DELAY = 2, LENGTH = 1 + 3 + 1 };

static const weir__steering_parameter parameters[] = {{"wind", 1, 0.5, 2, -1}};
static const weir__steering_action    add[]        = {{.kind = WEIR__STEER_SET, .target = 0, .value = "1.25"},
                                                      {.kind = WEIR__STEER_ONCE, .target = 0}};
static const weir__steering_rule      rules[]      = {{.when = "step == 60", .action = add, .actions = 2}};

/* One life of a worker. */
typedef struct life {
  weir__graph    *graph;
  weir__steering *steering;
  void           *state;
  double          vector[LENGTH];
} life;

static char directory[200];

static void check(weir_status status) {
  if (status < 0) fail_msg("%s", weir_error_last());
}

static void begin(life *l, const void *state, const char *replay) {
  static const weir_operator *const none[] = {NULL};
  static weir__steering_output      output[1];
  check(weir__graph_create(none, &l->graph));
  check(weir__steering_create(l->graph, parameters, 1, DELAY, &l->steering));
  output[0] = (weir__steering_output){.name = "detail", .declared = {.period = 50}};
  check(weir__graph_trigger_steered(l->graph, output[0].declared, &output[0].trigger));
  check(weir__steering_rules(l->steering, rules, 1, output, 1, directory, replay));
  l->state = calloc(1, weir__steering_state_size(l->steering));
  if (state) memcpy(l->state, state, weir__steering_state_size(l->steering));
}

static void end(life *l) {
  free(l->state);
  weir__steering_destroy(&l->steering);
  weir__graph_destroy(&l->graph);
}

/* Step number 10 * ordinal. */
static void step(life *l, int64_t ordinal) {
  const weir__node *node   = &l->graph->node[l->graph->decisions.node];
  double            values = 10 * (double)ordinal == 60;
  weir_region       one = {.rank = 1, .count = {1}}, all = {.rank = 1, .count = {LENGTH}};
  weir_view         in  = weir__view_dense(&values, node->in_type[0], &one);
  weir_view         out = weir__view_dense(l->vector, &node->type[0], &all);
  weir_apply        a   = {.params  = node->params,
                           .inputs  = 1,
                           .outputs = 1,
                           .in_type = node->in_type,
                           .in      = &in,
                           .out     = &out,
                           .state   = l->state,
                           .step    = 10 * ordinal,
                           .ordinal = ordinal,
                           .time    = (double)ordinal};
  check(node->op->apply(&a));
}

static char *content(const char *name) {
  static char text[4096];
  char        path[400], *bytes = NULL;
  size_t      size;
  snprintf(path, sizeof path, "%s/%s", directory, name);
  check(weir__file_read(AT_FDCWD, path, path, &bytes, &size));
  snprintf(text, sizeof text, "%s", bytes ? bytes : "(no file)");
  weir__free(bytes);
  return text;
}

static void write_file(const char *name, const char *text) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  check(weir__file_replace(AT_FDCWD, path, path, text, strlen(text), false));
}

static void ask(const char *id, const char *text) {
  char name[100];
  snprintf(name, sizeof name, "requests/%s.request", id);
  write_file(name, text);
  nanosleep(&(struct timespec){.tv_nsec = 60000000}, NULL); /* it looks every 50 ms */
}

static int setup(void **state) {
  const char *tmp = getenv("TMPDIR");
  (void)state;
  snprintf(directory, sizeof directory, "%s/steering-XXXXXX", tmp ? tmp : "/tmp");
  return mkdtemp(directory) ? 0 : 1;
}

static int teardown(void **state) {
  (void)state;
  return weir__file_remove_tree(directory) < 0;
}

static const char *const whole_log = "step=20 ordinal=2 effect=4 cause=person:a set wind=1.5 was=1\n"
                                     "step=60 ordinal=6 effect=8 cause=rule:1 set wind=1.25 was=1.5\n"
                                     "step=60 ordinal=6 effect=8 cause=rule:1 output detail=once\n"
                                     "step=80 ordinal=8 effect=10 cause=person:d set wind=0.75 was=1.25\n";

/* The whole story, with the state after step 4 kept; `vectors` of all steps. */
static void live(life *l, void **kept, double vectors[10][LENGTH]) {
  begin(l, NULL, NULL);
  for (int64_t n = 0; n < 10; n++) {
    if (n == 2) ask("a", "wind=1.5\n");
    if (n == 3) ask("b", "wind=3\n");
    if (n == 3) ask("c", "wind=0.7 gale=1\n");
    if (n == 8) ask("d", "wind=0.75\n");
    step(l, n);
    memcpy(vectors[n], l->vector, sizeof l->vector);
    if (n != 4) continue;
    *kept = malloc(weir__steering_state_size(l->steering));
    memcpy(*kept, l->state, weir__steering_state_size(l->steering));
  }
}

static void requests_are_answered(void **state) {
  life   l;
  double v[10][LENGTH];
  void  *kept = NULL;
  (void)state;
  live(&l, &kept, v);
  assert_string_equal(content("requests/a.answer"), "accepted step=20 effect=4\n");
  assert_string_equal(content("requests/b.answer"), "refused wind is 3, expected 0.5 to 2\n");
  assert_string_equal(content("requests/c.answer"), "refused this run has no parameter gale\n");
  assert_string_equal(content("requests/a.request"), "(no file)");
  assert_string_equal(content("requests/a.taken"), "(no file)");
  assert_string_equal(content(WEIR__STEER_LOG), whole_log);
  assert_string_equal(content(WEIR__STEER_PARAMETERS),
                      "step=80 ordinal=8 delay=2\nwind value=1.25 decided=0.75 least=0.5 most=2 of=recipe\n");
  for (int n = 0; n < 10; n++) {
    assert_true(v[n][0] == (n < 2 ? 1 : n < 6 ? 1.5 : n < 8 ? 1.25 : 0.75));
    assert_true(v[n][1] == (n == 6 ? 1 : 50)); /* the snapshot */
    assert_true(v[n][4] == 0);
  }
  free(kept);
  end(&l);
}

/* A worker that died after step 9 goes on from a checkpoint of step 4; or of none. */
static void restarts_decide_the_same(void **state) {
  life   l, again;
  double v[10][LENGTH];
  void  *kept = NULL;
  (void)state;
  live(&l, &kept, v);
  for (int from = 5; from >= 0; from -= 5) {
    begin(&again, from ? kept : NULL, NULL);
    for (int n = from; n < 10; n++) {
      step(&again, n);
      if (memcmp(again.vector, v[n], sizeof v[n])) fail_msg("from %d: other decisions at step %d", from, n);
      if (n == from) assert_null(strstr(content(WEIR__STEER_LOG), "rule")); /* they are decided again */
    }
    assert_string_equal(content(WEIR__STEER_LOG), whole_log);
    end(&again);
  }
  free(kept);
  end(&l);
}

/* It died after the log was written and before the answer was; and before anything was. */
static void requests_survive_a_death(void **state) {
  life l;
  (void)state;
  check(weir__file_make_directories(directory, true));
  write_file(WEIR__STEER_LOG, "step=10 ordinal=1 effect=3 cause=person:x set wind=2 was=1\nstep=10 ord");
  char path[300];
  snprintf(path, sizeof path, "%s/requests", directory);
  assert_false(mkdir(path, 0700));
  write_file("requests/x.taken", "wind=2\n");
  write_file("requests/y.taken", "wind=0.5\n");
  begin(&l, NULL, NULL);
  step(&l, 0);
  assert_true(l.vector[0] == 0.5);
  step(&l, 1);
  assert_true(l.vector[0] == 2);
  assert_string_equal(content("requests/x.answer"), "accepted step=10 effect=3\n");
  assert_string_equal(content("requests/y.answer"), "accepted step=0 effect=2\n");
  assert_string_equal(content(WEIR__STEER_LOG), "step=0 ordinal=0 effect=2 cause=person:y set wind=0.5 was=1\n"
                                                "step=10 ordinal=1 effect=3 cause=person:x set wind=2 was=1\n");
  end(&l);
}

static void replays_people_too(void **state) {
  life   l, again;
  double v[10][LENGTH];
  void  *kept = NULL;
  char   log[300];
  (void)state;
  live(&l, &kept, v);
  snprintf(log, sizeof log, "%s/earlier.log", directory);
  write_file("earlier.log", content(WEIR__STEER_LOG));
  write_file(WEIR__STEER_LOG, "");
  begin(&again, NULL, log);
  for (int n = 0; n < 10; n++) {
    step(&again, n);
    assert_memory_equal(again.vector, v[n], sizeof v[n]);
  }
  assert_string_equal(content(WEIR__STEER_LOG), whole_log);
  free(kept);
  end(&again);
  end(&l);
}

static void wrong_logs_are_refused(void **state) {
  static const struct {
    const char *line, *message;
  } wrong[] = {{"step=1 ordinal=1 effect=3 cause=rule:1 set gale=1 was=2\n", "this run has no parameter gale"},
               {"step=1 ordinal=1 effect=3 cause=rule:1 output table=once\n", "this run has no steered output table"},
               {"step=1 ordinal=1 effect=3 cause=rule:0 stop\n", "expected a decision, such as "},
               {"step=1 ordinal=1 effect=3 cause=rule:1 stop now\n", "expected a decision, such as "},
               {"step=1 ordinal=1 effect=3 cause=rule:1 set wind=1\n", "expected a decision, such as "},
               {"step=1 ordinal=1 effect=3 cause=rule:1 extract detail=steps period=0 phase=0\n",
                "expected a decision, such as "},
               {"step=x\n", "expected a decision, such as "},
               {"step=2 ordinal=2 effect=4 cause=rule:1 stop\nstep=1 ordinal=1 effect=3 cause=rule:1 stop\n",
                "the decision is of an earlier step than the one before"}};
  char log[300], expected[500];
  (void)state;
  snprintf(log, sizeof log, "%s/wrong.log", directory);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    static const weir_operator *const none[] = {NULL};
    weir__graph                      *g;
    weir__steering                   *s;
    weir__steering_output             output = {.name = "detail", .declared = {.period = 50}};
    write_file("wrong.log", wrong[i].line);
    check(weir__graph_create(none, &g));
    check(weir__steering_create(g, parameters, 1, DELAY, &s));
    check(weir__graph_trigger_steered(g, output.declared, &output.trigger));
    assert_int_equal(weir__steering_rules(s, rules, 1, &output, 1, directory, log), WEIR_ERR_INPUT);
    snprintf(expected, sizeof expected, "%s:%d: %s", log, i == 7 ? 2 : 1, wrong[i].message);
    if (strncmp(weir_error_last(), expected, strlen(expected)))
      fail_msg("\"%s\" instead of \"%s\"", weir_error_last(), expected);
    weir__steering_destroy(&s);
    weir__graph_destroy(&g);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(requests_are_answered, setup, teardown),
                                     cmocka_unit_test_setup_teardown(restarts_decide_the_same, setup, teardown),
                                     cmocka_unit_test_setup_teardown(requests_survive_a_death, setup, teardown),
                                     cmocka_unit_test_setup_teardown(replays_people_too, setup, teardown),
                                     cmocka_unit_test_setup_teardown(wrong_logs_are_refused, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
