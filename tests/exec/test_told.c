/* weir-test: ranks=1,3,20 timeout=120
 *
 * Proves that when steps of a source come to worker 0 alone, all others hear of each of them, in order, with what
 * worker 0 says about it, and of the end, before they read: told by worker 0 where these are few, handed on by others
 * where they are many; and that nobody tells more than 16. */
#include "comm/comm.h"
#include "exec/state.h"
#include "support/capture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { STEPS = 30, ROWS = 40 };

typedef struct told {
  int      rank;
  int64_t  heeded;       /* steps so far */
  uint64_t about[STEPS]; /* as heard */
} told;

static uint64_t about_of(int64_t ordinal) { return 1000 + 7 * (uint64_t)ordinal; }

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  assert_int_equal(((const told *)self)->rank, 0);
  if (ordinal == STEPS) return WEIR_END;
  *step = 3 * ordinal;
  *time = 0.25 * (double)ordinal;
  return WEIR_OK;
}
static void     attach(void *self, void (*wake)(void *who), void *who) { (void)self, (void)wake, (void)who; }
static uint64_t about(void *self, int64_t ordinal) {
  assert_int_equal(((const told *)self)->rank, 0);
  return about_of(ordinal);
}
static void heed(void *self, int64_t ordinal, uint64_t said) {
  told *t = self;
  assert_int_equal(ordinal, t->heeded);
  t->about[t->heeded++] = said;
}
static weir_status read_rows(void *self, int field, int64_t ordinal, const weir_view *out) {
  const told *t  = self;
  double     *to = out->data;
  (void)field;
  if (t->rank) assert_true(ordinal < t->heeded && t->about[ordinal] == about_of(ordinal));
  for (int64_t y = 0; y < out->count[0]; y++) to[y] = (double)(ordinal * ROWS + out->start[0] + y);
  return WEIR_OK;
}

static void every_step_is_told(void **state) {
  (void)state;
  weir__comm      *comm;
  weir__graph     *g;
  weir__worker    *w;
  weir__chunk_size cut  = {"y", 1};
  weir_field_type  type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "y", .size = ROWS}}};
  told             t    = {0};
  weir__source  source  = {.self = &t, .next = next, .read = read_rows, .attach = attach, .about = about, .heed = heed};
  static double values[STEPS][ROWS];
  static int    calls[STEPS];
  int           u;
  assert_int_equal(weir__comm_world(&comm), WEIR_OK);
  t.rank = weir__comm_rank(comm);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = &cut;
  g->chunk_sizes = 1;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), WEIR_OK);
  capture_add(g, (weir__edge){u, 0}, (weir__trigger){.period = 3}, &(capture){values[0], ROWS, calls});
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  g->chunk_sizes = 0;
  if (weir__worker_create(g, comm, &source, NULL, &(weir__worker_options){0}, &w) < 0)
    fail_msg("%s", weir_error_last());
  assert_true(weir__relay_followers(w) <= 16);
  assert_int_equal(weir__relay_follows(w), t.rank > 0);
  if (weir__worker_run(w) < 0) fail_msg("%s", weir_error_last());
  if (t.rank) assert_int_equal(t.heeded, STEPS);
  int64_t seen[STEPS];
  for (int s = 0; s < STEPS; s++) {
    seen[s] = calls[s];
    for (int y = 0; y < ROWS && calls[s]; y++) assert_true(values[s][y] == (double)(s * ROWS + y));
  }
  assert_int_equal(weir__comm_sum(comm, seen, STEPS), WEIR_OK);
  for (int s = 0; s < STEPS; s++) assert_int_equal(seen[s], 1);
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
  weir__comm_destroy(&comm);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_step_is_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
