/* weir-test: ranks=1,2,3 timeout=120
 *
 * Proves that pca, a recurrence of reductions and chunks, gives the same bytes for any chunks, threads, workers and
 * steps in flight, with missing values and steps, and that each result ends on one worker. */
#include "support/replay.h"
#include "support/serial.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

extern const weir_operator weir_operator_pca;

enum { NY = 6, NX = 530, STEPS = 9, COMPONENTS = 4, HIDDEN = 1 << 3 };

static weir__comm *world, *self;
static double      values[STEPS][NY * NX];

static void fill(void) {
  test_seed = 3;
  for (int s = 0; s < STEPS; s++)
    for (int i = 0; i < NY * NX; i++) {
      double x = i % NX, y = i / NX;
      values[s][i] = 280 + sin(0.02 * x + 0.8 * s) + 0.5 * cos(0.05 * x - 0.4 * y) * s + 0.2 * test_uniform();
      if (test_uniform() < 0.02 || i == 77) values[s][i] = (double)NAN;
    }
}

static void run(weir__comm *comm, int64_t cy, int64_t cx, int threads, int flight, replayed *out) {
  weir__chunk_size chunks[] = {{"y", cy}, {"x", cx}};
  char             params[TEST_PARAMS_SIZE];
  replay r = {.steps = STEPS, .values = values[0], .hidden = HIDDEN, .op = &weir_operator_pca, .params = params};
  r.type   = test_type(WEIR_F64, 2, (int64_t[]){NY, NX}, 1);
  r.chunks = chunks, r.chunk_count = 2, r.threads = threads, r.flight = flight;
  test_params(&weir_operator_pca, params);
  test_set(&weir_operator_pca, params, "components", COMPONENTS);
  replay_run(comm, &r, out);
}

static void compare(const replayed *got, const replayed *expected, const char *what) {
  for (int k = 0; k < got->results; k++)
    for (int s = 0; s < STEPS; s++) {
      int64_t calls = got->calls[k][s], wrong = 0, at = s * got->size[k];
      assert_int_equal(expected->calls[k][s], !(HIDDEN >> s & 1));
      if (calls) wrong = memcmp(got->values[k] + at, expected->values[k] + at, (size_t)got->size[k] * 8) != 0;
      assert_int_equal(weir__comm_sum(world, &calls, 1), WEIR_OK);
      assert_int_equal(weir__comm_max(world, &wrong, 1), WEIR_OK);
      if (calls != expected->calls[k][s]) fail_msg("%s: result %d came %d times at step %d", what, k, (int)calls, s);
      if (wrong) fail_msg("%s: result %d differs at step %d", what, k, s);
    }
}

static void same_bytes_everywhere(void **state) {
  static const int64_t cuts[][2] = {{NY, NX}, {2, 250}, {1, NX}, {NY, 7}, {5, 300}};
  replayed             expected, got;
  (void)state;
  fill();
  run(self, NY, NX, 0, 1, &expected);
  assert_true(expected.values[1][(STEPS - 1) * COMPONENTS + COMPONENTS - 1] > 0); /* all components are in use */
  for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
    for (int threads = 0; threads <= 2; threads += 2) {
      char what[100];
      int  flight = 1 + (int)(c + (size_t)threads / 2) % 3;
      snprintf(what, sizeof what, "chunks %d x %d, %d threads, %d in flight", (int)cuts[c][0], (int)cuts[c][1], threads,
               flight);
      run(world, cuts[c][0], cuts[c][1], threads, flight, &got);
      compare(&got, &expected, what);
      replayed_free(&got);
    }
  replayed_free(&expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bytes_everywhere)};
  if (weir__comm_world(&world) < 0 || weir__comm_self(&self) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&self);
  weir__comm_destroy(&world);
  return failed;
}
