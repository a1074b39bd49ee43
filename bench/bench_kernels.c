/* What the operators reach through the engine on one thread and on two: expressions, reductions, neighbours, spectra,
 * images, series. Beside them, in the same rounds: memcpy, STREAM's triad and reading (what the memory gives), loops
 * written by hand (kernels_plain.c), bare FFTW; numpy_kernels.py computes the same with NumPy and numexpr.
 *
 * `speed` counts each input and each output once, for memcpy both the bytes read and those written. `rate` counts
 * elements of the input. Before it is timed, each result with a plain loop is compared with that loop's. What is held
 * against a target is the median of the rounds' ratios: the machine is faster now, slower then.
 *
 *   bench_kernels [full] [PATTERN]   full: more rounds; PATTERN: cases whose expression contains it (for a profiler) */
#include "comm/comm.h"
#include "core/threads.h"
#include "exec/worker.h"
#include "harness.h"
#include "kernels_plain.h"
#include <fftw3.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

extern const weir_operator *const weir__operators_built_in[];

enum { WARM = 4, STEPS = 5, LARGE = 2048, SMALL = 512, ROUNDS = 3, ROUNDS_TARGET = 7, ROUNDS_FULL = 9 };

/* ---- the cases ---- */

typedef enum shape { FIELD, SCALAR, OF_Y, OF_X, COARSE } shape; /* of the result */
typedef enum group { EXPRESSION, REDUCTION, STENCIL, SPECTRUM, OTHER } group;

typedef struct kernel {
  group       group;
  const char *expression;
  int         side;
  shape       shape;
  double      arrays; /* inputs and outputs, in whole fields; 0: a rate is told, not a speed */
  plain_body *plain;  /* NULL: none */
} kernel;

static plain_body fftw_rows, fftw_plane;

static const kernel kernels[] = {
    {EXPRESSION, "u + v", LARGE, FIELD, 3, plain_add},
    {EXPRESSION, "0.5 * (u^2 + v^2)", LARGE, FIELD, 3, plain_energy},
    {EXPRESSION, "sqrt(u^2 + v^2)", LARGE, FIELD, 3, plain_speed},
    {EXPRESSION, "((0.3 * u + 0.2) * u + 0.1) * u + 1", LARGE, FIELD, 2, plain_polynomial},
    {EXPRESSION, "where(u > v, u - v, v - u)", LARGE, FIELD, 3, plain_where},
    {EXPRESSION, "(u - v) / (u + v)", LARGE, FIELD, 3, plain_ratio},
    {EXPRESSION, "maximum(abs(u), abs(v))", LARGE, FIELD, 3, plain_maximum},
    {EXPRESSION, "exp(-u)", LARGE, FIELD, 2, plain_exp},
    {EXPRESSION, "mean(0.5 * (u^2 + v^2))", LARGE, SCALAR, 2, plain_mean_energy},
    {EXPRESSION, "mean(sin(sqrt(u + 1)))", LARGE, SCALAR, 1, plain_mean_wave},
    {EXPRESSION, "mean(where(u > 1.5, u, 0 / 0))", LARGE, SCALAR, 1, plain_mean_of_some},
    {REDUCTION, "sum(u)", LARGE, SCALAR, 1, plain_sum},
    {REDUCTION, "mean(u)", LARGE, SCALAR, 1, plain_mean},
    {REDUCTION, "min(u)", LARGE, SCALAR, 1, plain_min},
    {REDUCTION, "max(u)", LARGE, SCALAR, 1, plain_max},
    {REDUCTION, "count(u)", LARGE, SCALAR, 1, plain_count},
    {REDUCTION, "var(u)", LARGE, SCALAR, 1, plain_var},
    {REDUCTION, "std(u)", LARGE, SCALAR, 1, NULL},
    {REDUCTION, "mean(u, axes=x)", LARGE, OF_Y, 1, plain_mean_rows},
    {REDUCTION, "mean(u, axes=y)", LARGE, OF_X, 1, plain_mean_columns},
    {STENCIL, "ddx(u)", LARGE, FIELD, 2, plain_ddx},
    {STENCIL, "ddy(u)", LARGE, FIELD, 2, plain_ddy},
    {STENCIL, "laplacian(u)", LARGE, FIELD, 2, plain_laplacian},
    {STENCIL, "ddx(v) - ddy(u)", LARGE, FIELD, 3, plain_curl},
    {STENCIL, "mid(u, axis=x)", LARGE, FIELD, 2, plain_mid},
    {STENCIL, "diff(u, axis=y)", LARGE, FIELD, 2, plain_diff},
    {STENCIL, "coarsen(u, 2)", LARGE, COARSE, 1.25, plain_coarsen},
    {SPECTRUM, "power_spectrum(u, axes=x)", LARGE, SCALAR, 0, fftw_rows},
    {SPECTRUM, "power_spectrum(u)", LARGE, SCALAR, 0, fftw_plane},
    {OTHER, "mean(u, weights=v)", LARGE, SCALAR, 0, NULL},
    {OTHER, "histogram(u, 100, 1, 2)", LARGE, SCALAR, 0, NULL},
    {OTHER, "threshold(u, low=1.2, high=1.8)", LARGE, FIELD, 0, NULL},
    {OTHER, "rescale(u, low=1, high=2, to_high=255)", LARGE, FIELD, 0, NULL},
    {OTHER, "gamma(u, 0.5)", LARGE, FIELD, 0, NULL},
    {OTHER, "slice(u, y, from=1, to=-1)", LARGE, FIELD, 0, NULL},
    {OTHER, "gaussian(u, sigma=2)", LARGE, FIELD, 0, NULL},
    {OTHER, "sharpen(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "local_mean(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "local_min(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "local_max(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "local_median(u)", SMALL, FIELD, 0, NULL},
    {OTHER, "local_percentile(u, percent=90)", SMALL, FIELD, 0, NULL},
    {OTHER, "adaptive_threshold(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "equalize(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "clahe(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "lag(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "ddt(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "time_mean(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "time_var(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "time_rms(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "time_min(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "time_max(u)", LARGE, FIELD, 0, NULL},
    {OTHER, "running_mean(u, 3)", LARGE, FIELD, 0, NULL},
    {OTHER, "temporal_median(u, 3)", LARGE, FIELD, 0, NULL},
    {OTHER, "temporal_percentile(u, steps=3, percent=90)", LARGE, FIELD, 0, NULL},
    {OTHER, "temporal_min(u, 3)", LARGE, FIELD, 0, NULL},
    {OTHER, "temporal_max(u, 3)", LARGE, FIELD, 0, NULL},
    {OTHER, "pca(u, 4).variance", SMALL, SCALAR, 0, NULL},
    {OTHER, "optical_flow(u, v).u", SMALL, SCALAR, 0, NULL},
};
enum { KERNELS = sizeof kernels / sizeof *kernels };

/* What a plain loop must not be slower than times: one thread against one. */
static const struct {
  double      most;
  const char *what;
} limits[] = {[EXPRESSION] = {1.5, "fused expression: times a plain loop"},
              [REDUCTION]  = {1.2, "reduction: times reading its input"},
              [STENCIL]    = {1.3, "neighbours: times a plain loop"},
              [SPECTRUM]   = {1.2, "spectrum: times bare FFTW"},
              [OTHER]      = {0, ""}};

/* ---- fields; bare FFTW ---- */

static plain_fields  fields;
static double       *memory[3]; /* u, v, w */
static fftw_complex *transformed;
static fftw_plan     plan_rows, plan_plane;

static double value_at(int field, int64_t i) { return 1 + 1e-3 * (double)((i * 7 + 13 * field) % 997); }

static void fields_make(int side) {
  size_t size = (size_t)side * (size_t)side;
  for (int f = 0; f < 3; f++) {
    weir__free(memory[f]);
    bench_check(weir__alloc_array(size, sizeof *memory[f], &memory[f]), "fields");
    for (size_t i = 0; i < size; i++) memory[f][i] = value_at(f, (int64_t)i);
  }
  fields = (plain_fields){side, memory[0], memory[1], memory[2]};
}

static void plans_make(int side) {
  int n[]     = {side};
  transformed = fftw_malloc((size_t)side * (size_t)(side / 2 + 1) * sizeof *transformed);
  plan_rows   = fftw_plan_many_dft_r2c(1, n, side, memory[0], NULL, 1, side, transformed, NULL, 1, side / 2 + 1,
                                       FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
  plan_plane  = fftw_plan_dft_r2c_2d(side, side, memory[0], transformed, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
  if (!transformed || !plan_rows || !plan_plane) bench_check(WEIR_FAIL(WEIR_ERR_MEMORY, "no plan"), "FFTW");
}

static void plans_clear(void) {
  fftw_destroy_plan(plan_rows);
  fftw_destroy_plan(plan_plane);
  fftw_free(transformed);
}

static void fftw_rows(void *self) { (void)self, fftw_execute(plan_rows); }
static void fftw_plane(void *self) { (void)self, fftw_execute(plan_plane); }

/* ---- the engine ---- */

typedef struct feed {
  int64_t at[WARM + STEPS + 1]; /* when each step was asked for */
  int64_t steps;
  int64_t row; /* elements in a row of what a plain loop made */
} feed;

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  feed *f        = self;
  f->at[ordinal] = weir__clock_ns();
  *step          = ordinal;
  *time          = (double)ordinal;
  return ordinal == f->steps ? WEIR_END : WEIR_OK;
}

/* Fields 0 and 1 are u and v, 2 is what a plain loop made. Buffers of the engine keep what was written in the first
 * steps. */
static weir_status read_once(void *self, int field, int64_t ordinal, const weir_view *out) {
  if (ordinal >= WARM) return WEIR_OK;
  int64_t rows = out->rank > 1 ? out->count[0] : 1, count = out->rank ? out->count[out->rank - 1] : 1;
  int64_t y = out->rank > 1 ? out->start[0] : 0, x = out->rank ? out->start[out->rank - 1] : 0;
  int64_t row = field == 2 ? ((const feed *)self)->row : fields.side;
  for (int64_t r = 0; r < rows; r++)
    memcpy((double *)out->data + r * count, memory[field] + (y + r) * row + x, (size_t)count * sizeof(double));
  return WEIR_OK;
}

static weir_field_type type_of(shape s) {
  weir_dimension y = {.name = "y", .size = fields.side, .spacing = 1}, x = y;
  x.name = "x";
  if (s == COARSE) { /* whose coordinates are the means of two */
    y.size /= 2, x.size /= 2;
    y.spacing = x.spacing = 2;
    y.origin = x.origin = 0.5;
  }
  weir_field_type t = {.dtype = WEIR_F64, .rank = s == SCALAR ? 0 : s == OF_Y || s == OF_X ? 1 : 2, .dim = {y, x}};
  if (s == OF_X) t.dim[0] = x;
  return t;
}

/* Of an operator with several results one is taken, as in "pca(u, 4).variance": it is given a name first. */
static void graph_expression(weir__graph *g, const char *text, weir__edge *edge) {
  char        first[128], then[64];
  const char *dot = strstr(text, ").");
  if (dot) {
    snprintf(first, sizeof first, "%.*s", (int)(dot + 1 - text), text);
    snprintf(then, sizeof then, "made%s", dot + 1);
    bench_check(weir__graph_define(g, "made", first, (weir__place){0}), text);
  }
  bench_check(weir__graph_expression(g, dot ? then : text, (weir__place){0}, edge), text);
}

/* Runs `expression` over some steps. `sink`: an operator that gets its result, or NULL. */
static void run_engine(const char *expression, shape of_w, int threads, const weir_operator *sink, feed *f) {
  weir__source         source  = {.self = f, .next = next, .read = read_once};
  weir__worker_options options = {.threads = threads, .steps_in_flight = 1, .pin = true};
  weir_field_type      field = type_of(FIELD), made = type_of(of_w);
  weir__comm          *comm;
  weir__graph         *g;
  weir__worker        *worker;
  weir__edge           edge;
  int                  node, trigger;
  field.location = WEIR_AT_T;
  bench_check(weir__comm_self(&comm), "communicator");
  bench_check(weir__graph_create(weir__operators_built_in, &g), "graph");
  bench_check(weir__graph_add_source(g, "u", 0, 0, &field, NULL, false, &node), "graph");
  bench_check(weir__graph_add_source(g, "v", 0, 1, &field, NULL, false, &node), "graph");
  bench_check(weir__graph_add_source(g, "w", 0, 2, &made, NULL, false, &node), "graph");
  graph_expression(g, expression, &edge);
  bench_check(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), "graph");
  node = edge.node;
  if (sink)
    bench_check(weir__graph_add_operator(g, sink, NULL, &edge, 1, NULL, (weir__place){0}, NULL, &node), "graph");
  weir__graph_want(g, node, trigger);
  bench_check(weir__graph_finish(g), expression);
  bench_check(weir__worker_create(g, comm, &source, NULL, &options, &worker), "worker");
  bench_check(weir__worker_run(worker), expression);
  weir__worker_destroy(&worker);
  weir__graph_destroy(&g);
  weir__comm_destroy(&comm);
  bench_unpin();
}

static void time_engine(const kernel *k, int threads, bench_samples *ms) {
  feed f = {.steps = WARM + STEPS};
  run_engine(k->expression, SCALAR, threads, NULL, &f);
  for (int i = WARM; i < WARM + STEPS; i++) bench_add(ms, 1e-6 * (double)(f.at[i + 1] - f.at[i]));
}

/* ---- the same result ---- */

static double found; /* by `keep` */

static weir_status scalar_infer(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64};
  return WEIR_OK;
}
static weir_status keep_apply(const weir_apply *a) {
  found                     = *weir_view_load(&a->in[0], NULL, 1, &(double){0});
  *(double *)a->out[0].data = found;
  return WEIR_OK;
}
static const weir_operator keep = {.api      = WEIR_OPERATOR_API,
                                   .name     = "keep",
                                   .inputs   = 1,
                                   .in_order = true,
                                   .infer    = scalar_infer,
                                   .apply    = keep_apply};

/* Largest difference of the operator's result from what the plain loop left in w. */
static void compare(const kernel *k) {
  char text[256];
  feed f = {.steps = 1, .row = k->shape == COARSE ? fields.side / 2 : fields.side};
  if (k->group == SPECTRUM || !k->plain) return;
  k->plain(&fields);
  snprintf(text, sizeof text, k->shape == SCALAR ? "abs((%s) - w) / (1 + abs(w))" : "max(abs((%s) - w) / (1 + abs(w)))",
           k->expression);
  found = NAN;
  run_engine(text, k->shape, 0, &keep, &f);
  if (!(found <= 1e-12))
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "differs from the plain loop by %g", found), k->expression);
}

/* ---- measurements ---- */

static void time_plain(plain_body *body, bench_samples *ms) {
  body(&fields); /* caches and pages as after the first step */
  for (int i = 0; i < STEPS; i++) {
    int64_t begin = weir__clock_ns();
    body(&fields);
    bench_add(ms, 1e-6 * (double)(weir__clock_ns() - begin));
    bench_use(fields.w[0]);
  }
}

/* Time, and what it makes of the memory or the elements. */
static void tell(const char *what, const char *system, const kernel *k, bench_samples *ms) {
  double elements = (double)fields.side * (double)fields.side, median = bench_summary(what, system, ms, 1, "ms");
  if (k->arrays > 0) bench_value(what, system, "speed", 1e-6 * 8 * elements * k->arrays / median, "GB/s");
  else bench_value(what, system, "rate", 1e-3 * elements / median, "Melements/s");
}

enum { PLAIN, ONE, TWO, READ, SYSTEMS };

static void measure(const kernel *k, int rounds) {
  static const char *const name[SYSTEMS] = {"plain C, 1 thread", "weir, 1 thread", "weir, 2 threads", "read"};
  bench_samples            ms[SYSTEMS] = {{0}}, times = {0};
  bool                     target = k->group == REDUCTION || k->plain;
  int                      limit  = k->group == REDUCTION ? READ : PLAIN;
  char                     what[160];
  if (target && rounds < ROUNDS_TARGET) rounds = ROUNDS_TARGET;
  compare(k);
  for (int s = 0; s < SYSTEMS; s++) bench_reserve(&ms[s], (size_t)(rounds * STEPS));
  bench_reserve(&times, (size_t)rounds);
  for (int r = 0; r < rounds; r++) {
    size_t before = ms[ONE].count;
    if (k->plain) time_plain(k->plain, &ms[PLAIN]);
    time_engine(k, 0, &ms[ONE]);
    if (k->group == REDUCTION) time_plain(plain_read, &ms[READ]);
    time_engine(k, 1, &ms[TWO]);
    if (target) bench_add(&times, bench_median_from(&ms[ONE], before) / bench_median_from(&ms[limit], before));
  }
  for (int s = 0; s < SYSTEMS; s++)
    if (ms[s].count)
      tell(k->expression, s == PLAIN && k->group == SPECTRUM ? "FFTW alone, 1 thread" : name[s], k, &ms[s]);
  snprintf(what, sizeof what, "%s, %s", k->expression, limits[k->group].what);
  if (target) bench_at_most(what, bench_quantile(&times, 0.5), limits[k->group].most, "");
  for (int s = 0; s < SYSTEMS; s++) bench_clear(&ms[s]);
  bench_clear(&times);
}

static void measure_memory(int rounds) {
  static const struct {
    const char *name;
    plain_body *body;
    double      arrays;
  } memory_bodies[] = {{"memcpy", plain_copy, 2}, {"STREAM triad", plain_triad, 3}, {"read", plain_read, 1}};
  for (int i = 0; i < 3; i++) {
    kernel        k  = {.arrays = memory_bodies[i].arrays};
    bench_samples ms = {0};
    bench_reserve(&ms, (size_t)(rounds * STEPS));
    for (int r = 0; r < rounds; r++) time_plain(memory_bodies[i].body, &ms);
    tell(memory_bodies[i].name, "plain C, 1 thread", &k, &ms);
    bench_clear(&ms);
  }
}

/* Operators without a case, so that nobody believes that all were measured. */
static void tell_missing(void) {
  char text[1024] = "";
  for (const weir_operator *const *op = weir__operators_built_in; *op; op++) {
    bool   there = false;
    size_t used  = strlen(text);
    char   call[128];
    snprintf(call, sizeof call, "%s(", (*op)->name);
    for (int i = 0; i < KERNELS && !there; i++) there = strstr(kernels[i].expression, call) != NULL;
    if (!there) snprintf(text + used, sizeof text - used, " %s", (*op)->name);
  }
  bench_note("not measured here:%s", text);
}

int main(int argc, char **argv) {
  bool        full    = argc > 1 && !strcmp(argv[1], "full");
  const char *pattern = argc > 1 + full ? argv[1 + full] : NULL;
  int         rounds  = full ? ROUNDS_FULL : ROUNDS;
  bench_open("kernels");
  fields_make(LARGE);
  plans_make(LARGE);
  if (!pattern) measure_memory(rounds);
  for (int i = 0; i < KERNELS; i++) {
    if (pattern && !strstr(kernels[i].expression, pattern)) continue;
    if (kernels[i].side != fields.side) fields_make(kernels[i].side);
    measure(&kernels[i], kernels[i].group == OTHER ? rounds / 3 : rounds);
  }
  tell_missing();
  plans_clear();
  for (int f = 0; f < 3; f++) weir__free(memory[f]);
  return 0;
}
