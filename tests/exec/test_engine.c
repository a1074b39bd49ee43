/* weir-test: ranks=1,2,3,4 timeout=120
 *
 * Proves that the engine computes what a plain loop over the whole field computes, and the same bytes on any number of
 * threads and workers: elementwise chunks, halos over chunk and process boundaries (wrapped and cut), reductions to a
 * scalar and along an axis, a reduced field used again by every chunk (broadcast), earlier steps, state, and a whole
 * field gathered for one call; on even and uneven chunks, chunks of one row, and steps in which an output is not
 * wanted. */
#include "comm/comm.h"
#include "exec/worker.h"
#include "support/capture.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <weir/sum.h>

enum { NY = 23, NX = 17, STEPS = 9, CAPTURES = 8 };

static double value(int64_t step, int64_t y, int64_t x) {
  return sin(0.3 * (double)step + 0.1 * (double)(y * y) + 0.7 * (double)x) * exp(0.01 * (double)(y - x));
}

/* ---- a source ---- */

static weir_status source_next(void *self, int64_t ordinal, int64_t *step, double *time) {
  (void)self;
  if (ordinal == STEPS) return WEIR_END;
  *step = ordinal * 10;
  *time = 0.5 * (double)ordinal;
  return WEIR_OK;
}

static weir_status source_read(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self, (void)field;
  double *to = out->data;
  for (int64_t y = 0; y < out->count[0]; y++)
    for (int64_t x = 0; x < out->count[1]; x++) *to++ = value(ordinal, out->start[0] + y, out->start[1] + x);
  return WEIR_OK;
}

/* ---- operators written here, each the simplest of its kind ---- */

static weir_status square_apply(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->in[0]);
  double  row[64];
  do {
    const double *x = weir_view_load(&a->in[0], index, n, row);
    double        y[64];
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * x[i];
    weir_view_store(&a->out[0], index, n, y);
  } while (weir_view_next_row(&a->in[0], index));
  return WEIR_OK;
}
static const weir_operator square = {.api = WEIR_OPERATOR_API, .name = "square", .inputs = 1, .apply = square_apply};

/* sum of the 5 x 5 neighbourhood; axis 1 wraps, axis 0 is cut */
static weir_status blur_infer(weir_infer *infer) {
  infer->wrap[0] = 2;
  return WEIR_OK;
}
static weir_status blur_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)p, (void)in, (void)input;
  *region = *out;
  for (int a = 0; a < 2; a++) region->start[a] -= 2, region->count[a] += 4;
  return WEIR_OK;
}
static weir_status blur_apply(const weir_apply *a) {
  const weir_view *in = &a->in[0], *out = &a->out[0];
  for (int64_t y = 0; y < out->count[0]; y++)
    for (int64_t x = 0; x < out->count[1]; x++) {
      double sum = 0;
      for (int64_t dy = -2; dy <= 2; dy++)
        for (int64_t dx = -2; dx <= 2; dx++) {
          int64_t at[2] = {out->start[0] + y + dy - in->start[0], out->start[1] + x + dx - in->start[1]};
          if (at[0] < 0 || at[0] >= in->count[0]) continue;
          sum += *weir_view_load(in, at, 1, &(double){0});
        }
      weir_view_store(out, (int64_t[]){y, x}, 1, &sum);
    }
  return WEIR_OK;
}
static const weir_operator blur = {
    .api = WEIR_OPERATOR_API, .name = "blur", .inputs = 1, .infer = blur_infer, .need = blur_need, .apply = blur_apply};

/* sums over everything, or (rows) over x */
static weir_status total_infer(weir_infer *infer) {
  infer->out[0].rank = 0;
  return WEIR_OK;
}
static weir_status rows_infer(weir_infer *infer) {
  infer->out[0].rank = 1;
  return WEIR_OK;
}
static size_t total_size(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in;
  return sizeof(weir_sum) * (size_t)(out->rank ? out->count[0] : 1);
}
static weir_status total_apply(const weir_apply *a) {
  weir_sum *sum = a->partial;
  for (int64_t y = 0; y < a->in[0].count[0]; y++) {
    double        row[64];
    const double *x = weir_view_load(&a->in[0], (int64_t[]){y, 0}, a->in[0].count[1], row);
    weir_sum_add(a->out[0].rank ? &sum[a->in[0].start[0] + y - a->out[0].start[0]] : sum, x, a->in[0].count[1]);
  }
  return WEIR_OK;
}
static void total_combine(const void *p, const weir_field_type *const *in, const weir_region *out, void *into,
                          const void *from) {
  for (size_t i = 0; i < total_size(p, in, out) / sizeof(weir_sum); i++)
    weir_sum_combine((weir_sum *)into + i, (const weir_sum *)from + i);
}
static weir_status total_finish(const weir_apply *a) {
  const weir_sum *sum = a->partial;
  for (int64_t i = 0; i < weir_view_size(&a->out[0]); i++)
    weir_view_store(&a->out[0], &i, 1, &(double){weir_sum_value(&sum[i])});
  return WEIR_OK;
}
#define REDUCTION .partial_size = total_size, .apply = total_apply, .combine = total_combine, .finish = total_finish
static const weir_operator total = {
    .api = WEIR_OPERATOR_API, .name = "total", .inputs = 1, .infer = total_infer, REDUCTION};
static const weir_operator rows = {
    .api = WEIR_OPERATOR_API, .name = "rows", .inputs = 1, .infer = rows_infer, REDUCTION};

/* f - s, with s a scalar that every chunk needs */
static weir_status minus_apply(const weir_apply *a) {
  double s;
  s = *weir_view_load(&a->in[1], NULL, 1, &s);
  for (int64_t y = 0; y < a->out[0].count[0]; y++)
    for (int64_t x = 0; x < a->out[0].count[1]; x++) {
      double v = *weir_view_load(&a->in[0], (int64_t[]){y, x}, 1, &(double){0}) - s;
      weir_view_store(&a->out[0], (int64_t[]){y, x}, 1, &v);
    }
  return WEIR_OK;
}
static const weir_operator minus = {.api = WEIR_OPERATOR_API, .name = "minus", .inputs = 2, .apply = minus_apply};

static weir_status lag_infer(weir_infer *infer) {
  infer->lag[0] = 3;
  return WEIR_OK;
}
static const weir_operator lag3 = {
    .api = WEIR_OPERATOR_API, .name = "lag3", .inputs = 1, .infer = lag_infer, .apply = square_apply};

/* running total over steps, in the chunk's state */
static size_t since_state(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in;
  return (size_t)(out->count[0] * out->count[1]) * sizeof(double);
}
static weir_status since_apply(const weir_apply *a) {
  double *state = a->state;
  for (int64_t y = 0; y < a->out[0].count[0]; y++)
    for (int64_t x = 0; x < a->out[0].count[1]; x++, state++) {
      *state += *weir_view_load(&a->in[0], (int64_t[]){y, x}, 1, &(double){0});
      weir_view_store(&a->out[0], (int64_t[]){y, x}, 1, state);
    }
  return WEIR_OK;
}
static const weir_operator since = {
    .api = WEIR_OPERATOR_API, .name = "since", .inputs = 1, .state_size = since_state, .apply = since_apply};

/* ---- capturing whole fields where they end up ---- */

static struct {
  double data[STEPS][NY * NX];
  int    calls[STEPS];
} captured[CAPTURES];

/* ---- the graph ---- */

static int add(weir__graph *g, const weir_operator *op, int first, int second) {
  int        node;
  weir__edge in[2] = {{first, 0}, {second, 0}};
  assert_int_equal(weir__graph_add_operator(g, op, NULL, in, second < 0 ? 1 : 2, NULL, (weir__place){0}, NULL, &node),
                   WEIR_OK);
  return node;
}

static void keep(weir__graph *g, int node, int number, int64_t period) {
  capture_add(g, (weir__edge){node, 0}, (weir__trigger){.period = period},
              &(capture){captured[number].data[0], NY * NX, captured[number].calls});
}

static void run(weir__comm *comm, int64_t cy, int64_t cx, int threads, int flight) {
  weir__graph     *g;
  weir__worker    *w;
  int              u;
  weir__source     source    = {.self = NULL, .next = source_next, .read = source_read};
  weir__chunk_size chunks[2] = {{"y", cy}, {"x", cx}};
  weir_field_type  type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}};
  memset(captured, 0, sizeof captured);
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = chunks;
  g->chunk_sizes = 2;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &u), WEIR_OK);
  int squared = add(g, &square, u, -1), sum = add(g, &total, squared, -1);
  keep(g, squared, 0, 10);
  keep(g, add(g, &blur, u, -1), 1, 10);
  keep(g, sum, 2, 20); /* every other step */
  keep(g, add(g, &rows, add(g, &minus, squared, sum), -1), 3, 10);
  keep(g, add(g, &lag3, add(g, &blur, squared, -1), -1), 4, 10);
  keep(g, add(g, &since, add(g, &blur, u, -1), -1), 5, 30); /* state sees every step, the output every third */
  keep(g, add(g, &blur, add(g, &lag3, u, -1), -1), 6, 10);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  weir__worker_options options = {.threads = threads, .steps_in_flight = flight};
  if (weir__worker_create(g, comm, &source, NULL, &options, &w) < 0) fail_msg("%s", weir_error_last());
  if (weir__worker_run(w) < 0) fail_msg("%s", weir_error_last());
  weir__worker_stats stats;
  weir__worker_stats_get(w, &stats);
  assert_int_equal(stats.steps, STEPS);
  assert_int_equal(stats.messages, stats.plan_messages * STEPS); /* the planned number, no other */
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
}

/* ---- the reference: plain loops over whole fields ---- */

static double reference[CAPTURES][STEPS][NY * NX];

static void plain_blur(const double *in, double *out) {
  for (int y = 0; y < NY; y++)
    for (int x = 0; x < NX; x++) {
      double sum = 0;
      for (int dy = -2; dy <= 2; dy++)
        for (int dx = -2; dx <= 2; dx++)
          if (y + dy >= 0 && y + dy < NY) sum += in[(y + dy) * NX + (x + dx + NX) % NX];
      out[y * NX + x] = sum;
    }
}

static void plain(void) {
  static double u[STEPS][NY * NX], squared[STEPS][NY * NX], squared_blur[STEPS][NY * NX], all[NY * NX], lagged[NY * NX];
  for (int s = 0; s < STEPS; s++) {
    weir_sum sum = {0};
    for (int i = 0; i < NY * NX; i++) u[s][i] = value(s, i / NX, i % NX), squared[s][i] = u[s][i] * u[s][i];
    memcpy(reference[0][s], squared[s], sizeof squared[s]);
    plain_blur(u[s], reference[1][s]);
    weir_sum_add(&sum, squared[s], NY * NX);
    reference[2][s][0] = weir_sum_value(&sum);
    for (int y = 0; y < NY; y++) {
      weir_sum row = {0};
      for (int x = 0; x < NX; x++) weir_sum_add(&row, &(double){squared[s][y * NX + x] - reference[2][s][0]}, 1);
      reference[3][s][y] = weir_sum_value(&row);
    }
    plain_blur(squared[s], squared_blur[s]);
    for (int i = 0; i < NY * NX; i++) all[i] += reference[1][s][i];
    memcpy(reference[5][s], all, sizeof all);
    if (s < 3) continue;
    for (int i = 0; i < NY * NX; i++)
      reference[4][s][i] = squared_blur[s - 3][i] * squared_blur[s - 3][i], lagged[i] = squared[s - 3][i];
    plain_blur(lagged, reference[6][s]);
  }
}

/* Each capture ran on one worker, in the steps it was due, and holds the reference's bytes. */
static void check(weir__comm *comm, const char *what) {
  static const int size[] = {NY * NX, NY * NX, 1, NY, NY * NX, NY * NX, NY * NX};
  for (int n = 0; n < 7; n++)
    for (int s = 0; s < STEPS; s++) {
      bool    due   = n == 2 ? s % 2 == 0 : n == 5 ? s % 3 == 0 : (n != 4 && n != 6) || s >= 3;
      int64_t calls = captured[n].calls[s], wrong = 0;
      if (calls) wrong = memcmp(captured[n].data[s], reference[n][s], (size_t)size[n] * sizeof(double)) != 0;
      assert_int_equal(weir__comm_sum(comm, &calls, 1), WEIR_OK);
      assert_int_equal(weir__comm_max(comm, &wrong, 1), WEIR_OK);
      if (calls != due) fail_msg("%s: capture %d was computed %d times at step %d", what, n, (int)calls, s);
      if (wrong) fail_msg("%s: capture %d differs at step %d", what, n, s);
    }
}

static weir__comm *comm;

static void same_bytes_everywhere(void **state) {
  (void)state;
  static const int64_t cuts[][2] = {{NY, NX}, {5, 4}, {1, NX}, {8, 8}, {1, 1}};
  static const int     threads[] = {0, 1, 2, 4}, flights[] = {1, 2, 3};
  plain();
  for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
      char what[100];
      int  flight = flights[(c + t) % 3];
      snprintf(what, sizeof what, "chunks %d x %d, %d threads, %d in flight", (int)cuts[c][0], (int)cuts[c][1],
               threads[t], flight);
      run(comm, cuts[c][0], cuts[c][1], threads[t], flight);
      check(comm, what);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_bytes_everywhere)};
  if (weir__comm_world(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
