/* weir-test: ranks=1,2,4 timeout=120
 *
 * Proves of small messages between workers of one node: they come through shared memory, and large ones do not; results
 * are right however far one worker is ahead of another, which is no further than there are places for its messages; a
 * worker that sleeps is woken when one comes, and sleeps while those that come are for later steps; and where one of
 * them cannot make its mailbox, or open that of another, MPI has them all, with the same results. */
#include "comm/comm.h"
#include "core/clock.h"
#include "exec/state.h"
#include "support/capture.h"
#include "support/files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

extern const weir_operator *const weir__operators_built_in[];
enum { LATE = 3, STEPS = 400, ROWS = 16, WIDE = 300, PLACES_MAX = 64 };

static weir__comm *comm;
static int         steps;
static int64_t     rest_ns[STEPS]; /* of this process before it reads the step */
static int64_t     began_ns[STEPS];
static double      means[STEPS], slopes[STEPS], deviations[STEPS]; /* where they are captured */
static bool        waits[STEPS];                                   /* the rows of this process have been waited for */
static int64_t     comes_ns; /* step LATE does not come to this process before it; 0: as the others */

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  *step = ordinal;
  *time = (double)ordinal;
  if (ordinal == steps) return WEIR_END;
  if (ordinal == LATE && weir__clock_ns() < comes_ns) return WEIR_ERR_TIMEOUT;
  began_ns[ordinal] = weir__clock_ns();
  return WEIR_OK;
}

static double value_at(int64_t step, int64_t row) { return (double)((7 * row + step) % 13); }

static weir_status read_field(void *self, int field, int64_t ordinal, const weir_view *out) {
  double *to = out->data;
  (void)self;
  if (field) {
    for (int64_t i = 0; i < out->count[0]; i++)
      for (int64_t k = 0; k < WIDE; k++) *to++ = (double)(k * (out->start[0] + i) * (ordinal + 1));
    return WEIR_OK;
  }
  if (rest_ns[ordinal] && !waits[ordinal]) {
    waits[ordinal] = true;
    nanosleep(&(struct timespec){rest_ns[ordinal] / 1000000000, rest_ns[ordinal] % 1000000000}, NULL);
  }
  for (int64_t i = 0; i < out->count[0]; i++) to[i] = value_at(ordinal, out->start[0] + i);
  return WEIR_OK;
}

static void define(weir__graph *g, const char *name, const char *expression, double *to) {
  if (weir__graph_define(g, name, expression, (weir__place){0}) < 0) fail_msg("%s", weir_error_last());
  capture_named(g, name, &(capture){to, 1, NULL});
}

/* A mean, which goes to one worker; with BACK one that comes back to all, with ROWS_TOO rows of `v` that others need.
 */
enum { BACK = 1, ROWS_TOO = 2 };
static weir__graph *build(int what) {
  static weir__chunk_size cut  = {"y", 1};
  weir_field_type         type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "y", .size = ROWS}}};
  weir_field_type         both = {
              .dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = ROWS}, {.name = "x", .size = WIDE}}};
  weir__graph *g;
  int          u;
  assert_int_equal(weir__graph_create(weir__operators_built_in, &g), WEIR_OK);
  g->chunk_size  = &cut;
  g->chunk_sizes = 1;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), WEIR_OK);
  assert_int_equal(weir__graph_add_source(g, "v", 0, 1, &both, NULL, false, &u), WEIR_OK);
  define(g, "m", "mean(u)", means);
  if (what & ROWS_TOO) define(g, "slope", "mean(laplacian(v))", slopes);
  if (what & BACK) define(g, "deviation", "max(u - mean(u))", deviations);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  return g;
}

static void check_ways(const weir__worker *w, bool mailboxes) {
  assert_int_equal(w->mailbox != NULL, mailboxes);
  for (int i = 0; i < w->plan->messages_in; i++)
    assert_int_equal(weir__mailbox_brings(w, i), mailboxes && w->plan->in[i].bytes <= WEIR__SMALL_MESSAGE);
  for (int i = 0; i < w->plan->messages_out; i++)
    assert_int_equal(weir__mailbox_takes(w, i), mailboxes && w->plan->out[i].bytes <= WEIR__SMALL_MESSAGE);
}

static int64_t bits_of(double x) {
  int64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* What came of a step; 0 where it was not captured. On all processes. */
static int64_t result(const double *values, int s) {
  int64_t bits = bits_of(values[s]);
  assert_int_equal(weir__comm_sum(comm, &bits, 1), WEIR_OK);
  return bits;
}

static void check(int count, int what) {
  static int64_t slope[STEPS]; /* of the first run */
  for (int s = 0; s < count; s++) {
    double sum = 0, most = 0, mean, deviation;
    for (int64_t y = 0; y < ROWS; y++) sum += value_at(s, y), most = fmax(most, value_at(s, y));
    mean = sum / ROWS, deviation = most - mean;
    assert_int_equal(result(means, s), bits_of(mean));
    if (what & BACK) assert_int_equal(result(deviations, s), bits_of(deviation));
    if (!(what & ROWS_TOO)) continue;
    if (!slope[s]) slope[s] = result(slopes, s);
    assert_int_equal(result(slopes, s), slope[s]);
  }
}

/* `files`: of the last process, while its worker is made; -1: as many as it likes. How long it took. */
static int64_t run(int count, int what, int files) {
  weir__source         source  = {.next = next, .read = read_field};
  weir__worker_options options = {.threads = 0};
  weir__worker        *w;
  bool                 last   = weir__comm_rank(comm) == weir__comm_size(comm) - 1;
  int64_t              before = 0;
  steps                       = count;
  memset(waits, 0, sizeof waits);
  memset(means, 0, sizeof means);
  memset(slopes, 0, sizeof slopes);
  memset(deviations, 0, sizeof deviations);
  weir__graph *g = build(what);
  if (files >= 0 && last) before = files_leave(files);
  if (weir__worker_create(g, comm, &source, NULL, &options, &w)) fail_msg("%s", weir_error_last());
  if (files >= 0 && last) files_limit(before);
  check_ways(w, weir__comm_size(comm) > 1 && files < 0);
  int64_t began = weir__clock_ns();
  if (weir__worker_run(w)) fail_msg("%s", weir_error_last());
  int64_t took = weir__clock_ns() - began;
  check(count, what);
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
  return took;
}

static void rest(int from, int every, int64_t ns, bool here) {
  for (int s = 0; s < STEPS; s++) rest_ns[s] = here && s >= from && (s - from) % every == 0 ? ns : 0;
}

static void both_ways_are_right(void **state) {
  (void)state;
  rest(0, 1, 0, false);
  for (int again = 0; again < 3; again++) run(STEPS, BACK | ROWS_TOO, -1);
}

/* Where the mean of the last run came out; every other process sent towards it. */
static int root(void) {
  int64_t rank = bits_of(means[0]) ? weir__comm_rank(comm) : -1;
  assert_int_equal(weir__comm_max(comm, &rank, 1), WEIR_OK);
  return (int)rank;
}

/* Each process in turn stops for a while: whoever sends to it goes on until its places are full, and no further. */
static void nobody_runs_away(void **state) {
  (void)state;
  enum { STOP = 100, STOP_NS = 30000000 };
  for (int who = 0; who < weir__comm_size(comm); who++) {
    rest(STOP, STEPS, STOP_NS, weir__comm_rank(comm) == who);
    run(STEPS, 0, -1);
    int64_t until = weir__comm_rank(comm) == who ? began_ns[STOP] + STOP_NS : 0;
    assert_int_equal(weir__comm_max(comm, &until, 1), WEIR_OK);
    int64_t flight = WEIR__STEPS_IN_FLIGHT, furthest = STOP + weir__comm_size(comm) * (PLACES_MAX + 2 * flight);
    if (who == root()) assert_true(began_ns[furthest] >= until);
  }
}

/* Who waits for the slow one would look again after 200 ms without being woken. */
static void sleepers_are_woken(void **state) {
  (void)state;
  enum { FEW = 30, REST_NS = 4000000 };
  for (int who = 0; who < weir__comm_size(comm); who++) {
    rest(0, 1, REST_NS, weir__comm_rank(comm) == who);
    assert_true(run(FEW, BACK, -1) < (int64_t)FEW * 50000000);
  }
}

/* Messages for later steps keep nobody awake who waits for a step. */
static void who_waits_sleeps(void **state) {
  (void)state;
  enum { WAIT_NS = 400000000 };
  struct timespec before, after;
  rest(0, 1, 0, false);
  for (int who = 0; who < weir__comm_size(comm); who++) {
    comes_ns = weir__comm_rank(comm) == who ? weir__clock_ns() + WAIT_NS : 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    run(STEPS, 0, -1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    int64_t busy_ns = (int64_t)(after.tv_sec - before.tv_sec) * 1000000000 + (after.tv_nsec - before.tv_nsec);
    if (weir__comm_rank(comm) == who) assert_true(busy_ns < WAIT_NS / 2);
  }
  comes_ns = 0;
}

static void mpi_has_them_all(void **state) {
  (void)state;
  rest(0, 1, 0, false);
  if (weir__comm_size(comm) == 1) skip();
  run(STEPS, BACK | ROWS_TOO, 2); /* its doorbell, and its mailbox: it cannot open that of another */
  run(STEPS, BACK | ROWS_TOO, 1); /* the doorbell alone */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways_are_right), cmocka_unit_test(nobody_runs_away),
                                     cmocka_unit_test(sleepers_are_woken), cmocka_unit_test(who_waits_sleeps),
                                     cmocka_unit_test(mpi_has_them_all)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
