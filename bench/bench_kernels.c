/* How close operators come to the memory's speed on a large field, through the engine, on one thread and on two:
 * a fused expression, sums, a mean, a derivative; beside plain C loops and memcpy. GB/s count each input and output
 * once, for memcpy both the bytes read and those written. */
#include "comm/comm.h"
#include "core/threads.h"
#include "exec/worker.h"
#include "harness.h"
#include <stdio.h>
#include <string.h>
#include <weir/sum.h>

extern const weir_operator *const weir__operators_built_in[];

enum { NY = 2048, NX = 2048, REPEATS = 25, WARM = 6 };
static const double MIB32 = (double)NY * NX * 8;

/* ---- plain C ---- */

static double *u, *v, *w;
static void    copy(void *self) { (void)self, memcpy(w, u, sizeof(double) * NY * NX); }
static void    energy(void *self) {
     (void)self;
     for (int64_t i = 0; i < NY * NX; i++) w[i] = 0.5 * (u[i] * u[i] + v[i] * v[i]);
}
static void plain_sum(void *self) { /* in one chain: what -ffp-contract=off and no fast-math leave */
  double sum = 0;
  (void)self;
  for (int64_t i = 0; i < NY * NX; i++) sum += u[i];
  bench_use(sum);
}
static void exact_sum(void *self) {
  weir_sum sum = {0};
  (void)self;
  for (int64_t y = 0; y < NY; y++) weir_sum_add(&sum, u + y * NX, NX);
  bench_use(weir_sum_value(&sum));
}
static void derivative(void *self) {
  (void)self;
  for (int64_t y = 0; y < NY; y++) {
    const double *x = u + y * NX;
    double       *d = w + y * NX;
    d[0]            = x[1] - x[0];
    for (int64_t i = 1; i < NX - 1; i++) d[i] = (x[i + 1] - x[i - 1]) * 0.5;
    d[NX - 1] = x[NX - 1] - x[NX - 2];
  }
}

static double plain(const char *what, const char *system, void (*body)(void *), double arrays) {
  double speed = MIB32 * arrays / bench_time_ns(body, NULL, REPEATS);
  bench_value(what, system, "speed", speed, "GB/s");
  return speed;
}

/* ---- the engine: a step's time without that of the same graph's sources alone is not needed, as they read nothing */

typedef struct clock_source {
  int64_t at[WARM + REPEATS + 1];
} clock_source;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  ((clock_source *)self)->at[ordinal] = weir__clock_ns();
  *step                               = ordinal;
  *time                               = (double)ordinal;
  return ordinal == WARM + REPEATS ? WEIR_END : WEIR_OK;
}
/* Buffers of the engine keep what was written in the first steps. */
static weir_status read_once(void *self, int field, int64_t ordinal, const weir_view *out) {
  (void)self;
  if (ordinal < WARM)
    for (int64_t i = 0; i < weir_view_size(out); i++)
      ((double *)out->data)[i] = 1 + 1e-3 * (double)((i * 7 + field) % 997);
  return WEIR_OK;
}

static double engine(const char *what, const char *expression, int threads, double arrays) {
  clock_source         clock;
  weir__source         source  = {.self = &clock, .next = next, .read = read_once};
  weir__worker_options options = {.threads = threads, .steps_in_flight = 1, .pin = true};
  weir_field_type      type    = {.dtype = WEIR_F64,
                                  .rank  = 2,
                                  .dim = {{.name = "y", .size = NY, .spacing = 1}, {.name = "x", .size = NX, .spacing = 1}}};
  weir__comm          *comm;
  weir__graph         *g;
  weir__worker        *worker;
  int                  node, trigger;
  weir__edge           edge;
  bench_samples        s = {0};
  char                 system[32];
  bench_check(weir__comm_self(&comm), "communicator");
  bench_check(weir__graph_create(weir__operators_built_in, &g), "graph");
  bench_check(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &node), "graph");
  bench_check(weir__graph_add_source(g, "v", 0, 1, &type, NULL, false, &node), "graph");
  bench_check(weir__graph_expression(g, expression, (weir__place){0}, &edge), expression);
  bench_check(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), "graph");
  weir__graph_want(g, edge.node, trigger);
  bench_check(weir__graph_finish(g), "graph");
  bench_check(weir__worker_create(g, comm, &source, NULL, &options, &worker), "worker");
  bench_check(weir__worker_run(worker), "run");
  bench_reserve(&s, REPEATS);
  for (int i = WARM; i < WARM + REPEATS; i++) bench_add(&s, (double)(clock.at[i + 1] - clock.at[i]));
  double speed = MIB32 * arrays / bench_quantile(&s, 0.5);
  snprintf(system, sizeof system, "weir-%d-threads", threads + 1);
  bench_value(what, system, "speed", speed, "GB/s");
  weir__worker_destroy(&worker);
  weir__graph_destroy(&g);
  weir__comm_destroy(&comm);
  bench_clear(&s);
  bench_unpin();
  return speed;
}

static void compare(const char *what, const char *expression, void (*body)(void *), double arrays) {
  char   text[96];
  double loop = plain(what, "plain-C-1-thread", body, arrays);
  double one = engine(what, expression, 0, arrays), two = engine(what, expression, 1, arrays);
  snprintf(text, sizeof text, "%s: 1 thread / plain C %.2f, 2 threads / 1 thread %.2f", what, one / loop, two / one);
  bench_note("%s", text);
}

int main(void) {
  bench_open("kernels");
  double **field[] = {&u, &v, &w};
  for (int f = 0; f < 3; f++) {
    bench_check(weir__alloc_array((size_t)NY * NX, sizeof **field[f], field[f]), "fields");
    for (int64_t i = 0; i < NY * NX; i++) (*field[f])[i] = 1 + 1e-3 * (double)((i * 7 + f) % 997);
  }
  plain("memcpy", "memcpy", copy, 2);
  compare("0.5*(u^2+v^2)", "0.5 * (u^2 + v^2)", energy, 3);
  plain("sum", "weir_sum-1-thread", exact_sum, 1);
  compare("sum", "sum(u)", plain_sum, 1);
  compare("mean", "mean(u)", plain_sum, 1);
  compare("ddx", "ddx(u)", derivative, 2);
  for (int f = 0; f < 3; f++) weir__free(*field[f]);
  return 0;
}
