/* weir-test: ranks=1,2,3 timeout=120
 *
 * Proves that sample is bilinear interpolation (against one written here on coordinates), and that analysis is optimal
 * interpolation: against the formula with all matrices in full, solved by Gauss's elimination; against the analytic
 * result for one observation; passing through observations without error; with masks, missing observations and steps,
 * periodic axes; and both with the same bytes for any chunks, threads and workers. */
#include "exec/worker.h"
#include "support/capture.h"
#include "support/serial.h"
#include "graph/graph.h"
#include "operators/common/analysis.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const weir_operator weir_operator_analysis;

enum { NY = 13, NX = 17, N = NY * NX, POINTS = 24, STEPS = 5 };

static weir__comm *world, *self;

/* ---- references ---- */

/* Coordinate of an element; `index` may be one past the end of a periodic axis. */
static double place(const weir_field_type *f, int axis, int64_t index) {
  const weir_dimension *d     = &f->dim[axis];
  bool                  faces = (axis == 1 && f->location == WEIR_AT_U) || (axis == 0 && f->location == WEIR_AT_V);
  if (d->values) return d->values[index];
  return d->spacing != 0 ? d->origin + ((double)index + 0.5 * faces) * d->spacing : (double)index;
}

/* Which two neighbours, by looking at all pairs. */
static bool cell_of(const weir_field_type *f, int axis, double at, int64_t pair[2], double *part) {
  int64_t size = f->dim[axis].size, cells = f->dim[axis].periodic ? size : size - 1;
  double  period = (double)size * f->dim[axis].spacing;
  for (int turn = f->dim[axis].periodic ? -2 : 0; turn <= (f->dim[axis].periodic ? 2 : 0); turn++)
    for (int64_t i = 0; i < cells; i++) {
      double a = place(f, axis, i), b = place(f, axis, i + 1), x = at + (turn ? turn * period : 0);
      if (!((x - a) * (x - b) <= 0)) continue;
      pair[0] = i;
      pair[1] = (i + 1) % size;
      *part   = (x - a) / (b - a);
      return true;
    }
  return false;
}

/* Row of H: weights of all elements. False: outside. */
static bool weights_of(const weir_field_type *f, double y, double x, double *h) {
  int64_t i[2], j[2], nx = f->dim[1].size;
  double  s, t;
  memset(h, 0, (size_t)test_field_size(f) * sizeof *h);
  if (!cell_of(f, 0, y, i, &s) || !cell_of(f, 1, x, j, &t)) return false;
  h[i[0] * nx + j[0]] += (1 - s) * (1 - t);
  h[i[0] * nx + j[1]] += (1 - s) * t;
  h[i[1] * nx + j[0]] += s * (1 - t);
  h[i[1] * nx + j[1]] += s * t;
  return true;
}

static double interpolated(const weir_field_type *f, const double *value, double y, double x) {
  double h[N], sum = 0;
  if (!weights_of(f, y, x, h)) return (double)NAN;
  for (int64_t i = 0; i < test_field_size(f); i++)
    if (fabs(h[i]) > 1e-8) sum += h[i] * value[i];
  return sum;
}

/* Gaspari & Cohn 1999, eq. 4.10, term by term. */
static double gaspari_cohn(double r) {
  if (r <= 1) return -pow(r, 5) / 4 + pow(r, 4) / 2 + 5 * pow(r, 3) / 8 - 5 * pow(r, 2) / 3 + 1;
  if (r <= 2) return pow(r, 5) / 12 - pow(r, 4) / 2 + 5 * pow(r, 3) / 8 + 5 * pow(r, 2) / 3 - 5 * r + 4 - 2 / (3 * r);
  return 0;
}

static double apart(const weir_field_type *f, int axis, int64_t a, int64_t b) {
  double d = fabs(place(f, axis, a) - place(f, axis, b)), period = (double)f->dim[axis].size * f->dim[axis].spacing;
  return f->dim[axis].periodic ? fmin(d, period - d) : d;
}

/* Solve a x = b in place: Gauss's elimination with row exchanges. */
static void eliminate(int n, double (*a)[POINTS], double *b) {
  for (int k = 0; k < n; k++) {
    int best = k;
    for (int i = k + 1; i < n; i++)
      if (fabs(a[i][k]) > fabs(a[best][k])) best = i;
    for (int j = 0; j < n; j++) {
      double t   = a[k][j];
      a[k][j]    = a[best][j];
      a[best][j] = t;
    }
    double t = b[k];
    b[k]     = b[best];
    b[best]  = t;
    for (int i = k + 1; i < n; i++) {
      double m = a[i][k] / a[k][k];
      for (int j = k; j < n; j++) a[i][j] -= m * a[k][j];
      b[i] -= m * b[k];
    }
  }
  for (int k = n - 1; k >= 0; k--) {
    for (int j = k + 1; j < n; j++) b[k] -= a[k][j] * b[j];
    b[k] /= a[k][k];
  }
}

typedef struct errors {
  double length, background, observation;
} errors;

/* x + B H' (H B H' + R)^-1 (y - H x), every matrix in full. */
static void dense(const weir_field_type *f, const double *x, const double *observed, const double *y, const double *at,
                  errors e, double *result) {
  static double b[N][N], h[POINTS][N], bh[N][POINTS], s[POINTS][POINTS], d[POINTS];
  int64_t       n = test_field_size(f), nx = f->dim[1].size;
  int           m = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      b[i][j] = e.background * e.background *
                gaspari_cohn(hypot(apart(f, 0, i / nx, j / nx), apart(f, 1, i % nx, j % nx)) / e.length);
  for (int k = 0; k < POINTS; k++) {
    d[m] = observed[k] - interpolated(f, x, y[k], at[k]);
    if (isnan(d[m])) continue;
    weights_of(f, y[k], at[k], h[m++]);
  }
  for (int64_t i = 0; i < n; i++)
    for (int k = 0; k < m; k++) {
      bh[i][k] = 0;
      for (int64_t j = 0; j < n; j++) bh[i][k] += b[i][j] * h[k][j];
    }
  for (int k = 0; k < m; k++)
    for (int l = 0; l < m; l++) {
      s[k][l] = k == l ? e.observation * e.observation : 0;
      for (int64_t i = 0; i < n; i++) s[k][l] += h[k][i] * bh[i][l];
    }
  eliminate(m, s, d);
  for (int64_t i = 0; i < n; i++) {
    result[i] = x[i];
    for (int k = 0; k < m; k++) result[i] += bh[i][k] * d[k];
  }
}

/* ---- a run of the engine: the fields f, obs, y, x ---- */

typedef struct experiment {
  weir_field_type type[4];
  double          value[4][STEPS][N];
  int             steps;
  unsigned        hidden; /* bit s: no observations in step s */
  errors          e;
  const char     *more; /* parameters as in a recipe */
} experiment;

typedef struct outcome {
  weir_dtype dtype;
  double     value[STEPS][N], sampled[STEPS][POINTS];
  int        calls[2][STEPS];
} outcome;

static weir_status next(void *own, int64_t ordinal, int64_t *step, double *time) {
  const experiment *x = own;
  *step               = ordinal;
  *time               = (double)ordinal;
  return ordinal == x->steps ? WEIR_END : WEIR_OK;
}

static weir_status read_field(void *own, int field, int64_t ordinal, const weir_view *out) {
  const experiment *x        = own;
  int64_t           index[2] = {0}, nx = x->type[field].dim[1].size;
  do {
    int64_t at = field ? out->start[0] : (out->start[0] + index[0]) * nx + out->start[1];
    weir_view_store(out, index, weir_view_row(out), &x->value[field][ordinal][at]);
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}

typedef struct gate_params {
  int64_t hidden;
} gate_params;

static weir_status gate_apply(const weir_apply *a) {
  if (((const gate_params *)a->params)->hidden >> a->ordinal & 1) return WEIR_END;
  weir__view_copy(&a->out[0], &a->in[0]);
  return WEIR_OK;
}

static const char *const gate_inputs[] = {"f"};
static const weir_param  gate_list[]   = {
       {.name = "hidden", .kind = WEIR_PARAM_INT, .offset = offsetof(gate_params, hidden), .help = "steps"}, {0}};
static const weir_operator gate = {.api         = WEIR_OPERATOR_API,
                                   .name        = "gate",
                                   .inputs      = 1,
                                   .input_names = gate_inputs,
                                   .params      = gate_list,
                                   .params_size = sizeof(gate_params),
                                   .apply       = gate_apply};

static void check(weir_status status) {
  if (status < 0) fail_msg("%s", weir_error_last());
}

static weir_status define(weir__graph *g, const experiment *x, bool with_sample) {
  static const char *const name[] = {"f", "obs", "y", "x"};
  char                     text[400];
  int                      node;
  for (int i = 0; i < 4; i++) WEIR_TRY(weir__graph_add_source(g, name[i], 0, i, &x->type[i], NULL, false, &node));
  snprintf(text, sizeof text,
           "analysis(f, gate(obs, %u), y, x, length=%.17g, background_error=%.17g, observation_error=%.17g%s)",
           x->hidden, x->e.length, x->e.background, x->e.observation, x->more ? x->more : "");
  WEIR_TRY(weir__graph_define(g, "a", text, (weir__place){0}) < 0 ? WEIR_ERR_INPUT : WEIR_OK);
  if (!with_sample) return WEIR_OK;
  snprintf(text, sizeof text, "sample(a + 0, y, x%s)", x->more ? x->more : "");
  return weir__graph_define(g, "s", text, (weir__place){0}) < 0 ? WEIR_ERR_INPUT : WEIR_OK;
}

static const weir_operator *const known[] = {&weir_operator_sample, &weir_operator_analysis, &gate, NULL};

static void run(weir__comm *comm, experiment *x, int64_t cy, int64_t cx, int threads, int flight, outcome *out) {
  weir__chunk_size     chunks[] = {{"y", cy}, {"x", cx}};
  weir__source         source   = {.self = x, .next = next, .read = read_field};
  weir__worker_options options  = {.threads = threads, .steps_in_flight = flight};
  weir__graph         *g        = NULL;
  weir__worker        *w        = NULL;
  weir__edge           edge;
  memset(out, 0, sizeof *out);
  check(weir__graph_create(known, &g));
  g->chunk_size = chunks, g->chunk_sizes = 2;
  check(define(g, x, true));
  assert_true(weir__graph_find(g, "a", &edge));
  out->dtype = weir__edge_type(g, edge)->dtype;
  assert_string_equal(weir__edge_type(g, edge)->units, x->type[0].units);
  capture_named(g, "a", &(capture){out->value[0], N, out->calls[0]});
  capture_named(g, "s", &(capture){out->sampled[0], POINTS, out->calls[1]});
  check(weir__graph_finish(g));
  check(weir__worker_create(g, comm, &source, NULL, &options, &w));
  check(weir__worker_run(w));
  weir__worker_destroy(&w);
  weir__graph_destroy(&g);
}

/* Positions inside and around the field, values near those of the field. */
static void fill(experiment *x, uint64_t seed, weir_dtype dtype) {
  memset(x, 0, sizeof *x);
  test_seed  = seed;
  x->steps   = STEPS;
  x->e       = (errors){25, 1.5, 0.3};
  x->type[0] = test_type(dtype, 2, (int64_t[]){NY, NX}, 10);
  for (int i = 1; i < 4; i++)
    x->type[i] = (weir_field_type){
        .dtype = WEIR_F64, .rank = 1, .units = i == 1 ? "m/s" : "m", .dim = {{.name = "point", .size = POINTS}}};
  for (int s = 0; s < STEPS; s++)
    for (int k = 0; k < POINTS; k++) {
      x->value[1][s][k] = 3 + 2 * test_uniform();
      x->value[2][s][k] = 5 + test_uniform() * 10 * (NY + 0.5);
      x->value[3][s][k] = 5 + test_uniform() * 10 * (NX + 0.5);
    }
  for (int s = 0; s < STEPS; s++)
    for (int i = 0; i < N; i++) {
      double v          = 3 + test_uniform();
      x->value[0][s][i] = dtype == WEIR_F32 ? (float)v : v;
    }
}

static void against_dense(const experiment *x, const outcome *got, double tolerance) {
  double expected[N];
  for (int s = 0; s < x->steps; s++) {
    if (x->hidden >> s & 1) {
      assert_int_equal(got->calls[0][s] + got->calls[1][s], 0);
      continue;
    }
    assert_int_equal(got->calls[0][s], 1);
    dense(&x->type[0], x->value[0][s], x->value[1][s], x->value[2][s], x->value[3][s], x->e, expected);
    for (int i = 0; i < N; i++)
      if (isnan(got->value[s][i]) != isnan(expected[i]) || fabs(got->value[s][i] - expected[i]) > tolerance)
        fail_msg("step %d element %d is %.17g, expected %.17g", s, i, got->value[s][i], expected[i]);
    for (int k = 0; k < POINTS; k++) {
      double v = interpolated(&x->type[0], got->value[s], x->value[2][s][k], x->value[3][s][k]);
      if (isnan(v) != isnan(got->sampled[s][k]) || fabs(v - got->sampled[s][k]) > 1e-12)
        fail_msg("step %d point %d is %.17g, expected %.17g", s, k, got->sampled[s][k], v);
    }
  }
}

static experiment x;
static outcome    got, other;

/* ---- tests of sample ---- */

static void check_sample(const weir_field_type *type, const char *const *axes, double missing) {
  static const int64_t piece[] = {0, 1, 2, 3, 7};
  weir_field_type      at      = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "point", .size = 301}}};
  test_field           f, y, p, first = {0};
  double               value[N], expected[301];
  char                 params[TEST_PARAMS_SIZE];
  int64_t              inside = 0;
  test_field_create(&f, type);
  test_field_random(&f, missing);
  test_field_create(&y, &at);
  test_field_create(&p, &at);
  for (int64_t i = 0; i < test_field_size(type); i++) value[i] = test_field_get(&f, i);
  for (int64_t k = 0; k < 301; k++) {
    double where[2];
    for (int a = 0; a < 2; a++) {
      int64_t last = type->dim[a].size - 1, i = (int64_t)(test_random() % (uint64_t)type->dim[a].size);
      double  low = place(type, a, 0), high = place(type, a, last);
      where[a] = k % 3 ? low + (1.2 * test_uniform() - 0.1) * (high - low) : place(type, a, i); /* on elements too */
    }
    if (k == 17) where[0] = (double)NAN;
    expected[k] = interpolated(type, value, where[0], where[1]);
    inside += !isnan(expected[k]);
    test_field_set(axes ? &p : &y, k, where[0]);
    test_field_set(axes ? &y : &p, k, where[1]);
  }
  assert_in_range(inside, 60, missing > 0 ? 250 : 300);
  for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
    test_field out = {0};
    test_params(&weir_operator_sample, params);
    if (axes) test_set_axes(&weir_operator_sample, params, "axes", 2, axes);
    check(test_run(&weir_operator_sample, params, (const test_field *[]){&f, &y, &p}, 3, piece[i], &out));
    assert_int_equal(out.type.dtype, WEIR_F64);
    assert_string_equal(out.type.dim[0].name, "point");
    assert_string_equal(out.type.units, type->units);
    test_close("sample", &out, expected, 1e-12, 1);
    if (i) assert_memory_equal(out.data, first.data, 301 * sizeof(double));
    if (i) test_field_free(&out);
    else first = out;
  }
  test_field_free(&first);
  test_field_free(&p);
  test_field_free(&y);
  test_field_free(&f);
}

static void sample_is_bilinear(void **state) {
  static const weir_dtype  dtype[]  = {WEIR_F64, WEIR_F32, WEIR_I16};
  static const char *const turned[] = {"x", "y"};
  static double            listed[NX], falling[NY];
  (void)state;
  test_seed = 5;
  for (int i = 0; i < NX; i++) listed[i] = i * i + 3 * i;
  for (int i = 0; i < NY; i++) falling[i] = 100 - 0.1 * i * i * i - i;
  for (int d = 0; d < 3; d++)
    for (int m = 0; m < 2; m++) {
      weir_field_type type = test_type(dtype[d], 2, (int64_t[]){NY, NX}, 0.1);
      check_sample(&type, NULL, m * 0.2);
      check_sample(&type, turned, m * 0.2);
      type.dim[0].spacing = -3;
      type.location       = d ? WEIR_AT_U : WEIR_AT_V;
      check_sample(&type, NULL, m * 0.2);
      type.location        = WEIR_AT_T;
      type.dim[1].periodic = true;
      check_sample(&type, NULL, m * 0.2);
      type.dim[1].periodic = false;
      type.dim[0].spacing = type.dim[1].spacing = 0;
      check_sample(&type, NULL, m * 0.2);
      type.dim[0].values = falling, type.dim[1].values = listed;
      check_sample(&type, NULL, m * 0.2);
    }
}

/* ---- tests of analysis ---- */

static void equals_the_full_matrices(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed < 4; seed++) {
    fill(&x, seed, WEIR_F64);
    x.e.length      = seed == 1 ? 25 : seed == 2 ? 60 : 4;
    x.e.observation = seed == 2 ? 1e-3 : 0.3;
    run(self, &x, 4, 5, 0, 2, &got);
    against_dense(&x, &got, 1e-9);
    assert_int_equal(got.dtype, WEIR_F64);
  }
  fill(&x, 9, WEIR_F32);
  run(self, &x, 4, 5, 0, 2, &got);
  assert_int_equal(got.dtype, WEIR_F32);
  against_dense(&x, &got, 1e-6);
}

static void on_other_coordinates(void **state) {
  static double listed[NX];
  (void)state;
  fill(&x, 21, WEIR_F64);
  x.type[0].location = WEIR_AT_U;
  run(self, &x, 4, 5, 0, 2, &got);
  against_dense(&x, &got, 1e-9);
  fill(&x, 22, WEIR_F64);
  for (int i = 0; i < NX; i++) listed[i] = 190 - 10 * i - 3 * sin(i);
  x.type[0].dim[1].spacing = 0;
  x.type[0].dim[1].values  = listed;
  run(self, &x, 4, 5, 0, 2, &got);
  against_dense(&x, &got, 1e-9);
  fill(&x, 23, WEIR_F64);
  x.type[0].dim[0].periodic = x.type[0].dim[1].periodic = true;
  run(self, &x, 4, 5, 0, 2, &got);
  against_dense(&x, &got, 1e-9);
}

static void axes_by_name(void **state) {
  (void)state;
  fill(&x, 24, WEIR_F64);
  run(self, &x, 4, 5, 0, 2, &got);
  static double t[STEPS][N];
  memcpy(t, x.value[2], sizeof t); /* y and x change places */
  memcpy(x.value[2], x.value[3], sizeof t);
  memcpy(x.value[3], t, sizeof t);
  x.more = ", axes=[x, y]";
  run(self, &x, 4, 5, 0, 2, &other);
  assert_memory_equal(other.value, got.value, sizeof got.value);
  assert_memory_equal(other.sampled, got.sampled, sizeof got.sampled);
}

static void
with_gaps(void) { /* a mask, missing values and positions, a step without observations, one without values */
  for (int s = 0; s < STEPS; s++) {
    for (int i = 0; i < N; i++)
      if ((i / NX > 8 && i % NX < 6) || i % 41 == 3) x.value[0][s][i] = (double)NAN;
    for (int k = 0; k < POINTS; k++) {
      if ((k + s) % 5 == 0 || s == 3) x.value[1][s][k] = (double)NAN;
      if (k == 7) x.value[2][s][k] = (double)NAN;
      if (k == 8) x.value[3][s][k] = 15, x.value[2][s][k] = 25; /* between two elements of a column */
      if (k == 9) x.value[3][s][k] = 20, x.value[2][s][k] = 120;
    }
  }
  x.hidden = 1 << 2;
}

static void missing_values(void **state) {
  (void)state;
  fill(&x, 31, WEIR_F64);
  with_gaps();
  run(self, &x, 3, 6, 0, 2, &got);
  against_dense(&x, &got, 1e-9);
  assert_true(isnan(got.value[0][10 * NX + 1]));
  for (int i = 0; i < N; i++) /* all observations missing: nothing is corrected */
    if (!isnan(x.value[0][3][i])) assert_true(got.value[3][i] == x.value[0][3][i]);
}

static void same_bytes_everywhere(void **state) {
  static const int64_t cuts[][2] = {{NY, NX}, {1, NX}, {NY, 2}, {4, 3}, {1, 1}};
  (void)state;
  fill(&x, 41, WEIR_F64);
  x.e.length = 40;
  with_gaps();
  run(self, &x, NY, NX, 0, 1, &got);
  against_dense(&x, &got, 1e-9);
  for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
    for (int threads = 0; threads <= 2; threads += 2) {
      run(world, &x, cuts[c][0], cuts[c][1], threads, 1 + (int)c % 3, &other);
      for (int s = 0; s < STEPS; s++) {
        if (other.calls[0][s]) assert_memory_equal(other.value[s], got.value[s], sizeof got.value[s]);
        if (other.calls[1][s]) assert_memory_equal(other.sampled[s], got.sampled[s], sizeof got.sampled[s]);
        int64_t came[2] = {other.calls[0][s], other.calls[1][s]};
        check(weir__comm_sum(world, came, 2));
        assert_int_equal(came[0], s != 2);
        assert_int_equal(came[1], s != 2);
      }
    }
}

static void one_observation(void **state) {
  (void)state;
  fill(&x, 51, WEIR_F64);
  x.steps = 1;
  for (int k = 0; k < POINTS; k++) x.value[1][0][k] = (double)NAN;
  x.value[2][0][4] = 10 + 10 * 6, x.value[3][0][4] = 10 + 10 * 8;
  x.value[1][0][4] = 7;
  run(self, &x, 4, 5, 0, 1, &got);
  double gain = 1.5 * 1.5 / (1.5 * 1.5 + 0.3 * 0.3), innovation = 7 - x.value[0][0][6 * NX + 8];
  for (int i = 0; i < N; i++) {
    double z = 10 * hypot(i / NX - 6, i % NX - 8) / x.e.length;
    assert_true(fabs(got.value[0][i] - x.value[0][0][i] - gain * innovation * gaspari_cohn(z)) < 1e-13);
    if (z >= 2) assert_true(got.value[0][i] == x.value[0][0][i]);
  }
}

static void exact_observations(void **state) {
  int inside = 0;
  (void)state;
  fill(&x, 61, WEIR_F64);
  x.e.observation = 1e-6;
  run(self, &x, 4, 5, 0, 1, &got);
  for (int s = 0; s < STEPS; s++)
    for (int k = 0; k < POINTS; k++) {
      if (isnan(got.sampled[s][k])) continue;
      assert_true(fabs(got.sampled[s][k] - x.value[1][s][k]) < 1e-8);
      inside++;
    }
  assert_true(inside > STEPS * POINTS / 2);
}

/* The weights of many observations, far more than fit the dense reference: they solve the normal equations, checked by
 * what they imply: the analysis at the observations differs from them by r^2 times the weight, and the sum of squares
 * with exact data falls. Here: observations of a smooth field that the background misses entirely. */
static void many_observations(void **state) {
  enum { M = 1500, SIDE = 60 };
  static double f[SIDE * SIDE], o[M], y[M], p[M];
  (void)state;
  test_seed            = 71;
  weir_field_type type = test_type(WEIR_F64, 2, (int64_t[]){SIDE, SIDE}, 1);
  weir_field_type at   = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "point", .size = M}}};
  test_field      field, in[3], sampled, weights, result;
  test_field_create(&field, &type);
  for (int k = 0; k < 3; k++) test_field_create(&in[k], &at);
  for (int i = 0; i < SIDE * SIDE; i++) test_field_set(&field, i, f[i] = 0);
  for (int k = 0; k < M; k++) {
    y[k] = 10 + test_uniform() * (SIDE - 1), p[k] = 10 + test_uniform() * (SIDE - 1);
    o[k] = sin(0.2 * y[k]) * cos(0.15 * p[k]);
    test_field_set(&in[0], k, o[k]);
    test_field_set(&in[1], k, y[k]);
    test_field_set(&in[2], k, p[k]);
  }
  weir__analysis q = {.length = 4, .background_error = 1, .observation_error = 0.05, .field = &type};
  check(test_run(&weir_operator_sample, &q.points, (const test_field *[]){&field, &in[1], &in[2]}, 3, 9, &sampled));
  q.points.input[0] = 0, q.points.input[1] = 1;
  check(test_run(&weir__analysis_solve, &q, (const test_field *[]){&sampled, &in[0], &in[1], &in[2]}, 4, 0, &weights));
  check(
      test_run(&weir__analysis_increment, &q, (const test_field *[]){&field, &weights, &in[1], &in[2]}, 4, 9, &result));
  test_field_free(&sampled);
  check(test_run(&weir_operator_sample, &q.points, (const test_field *[]){&result, &in[1], &in[2]}, 3, 9, &sampled));
  double worst = 0, square = 0;
  for (int k = 0; k < M; k++)
    worst = fmax(worst, fabs(o[k] - test_field_get(&sampled, k) - 0.05 * 0.05 * test_field_get(&weights, k)));
  for (int i = 0; i < SIDE * SIDE; i++)
    square += pow(test_field_get(&result, i) - sin(0.2 * (10 + i / SIDE)) * cos(0.15 * (10 + i % SIDE)), 2);
  if (!(worst < 1e-11)) fail_msg("the equations hold to %g only", worst);
  if (!(sqrt(square / (SIDE * SIDE)) < 0.02)) fail_msg("the field is missed by %g", sqrt(square / (SIDE * SIDE)));
  for (int k = 0; k < 3; k++) test_field_free(&in[k]);
  test_field_free(&field), test_field_free(&sampled), test_field_free(&weights), test_field_free(&result);
}

/* ---- messages ---- */

static void refused(const char *part) {
  weir__graph *g;
  check(weir__graph_create(known, &g));
  assert_int_equal(define(g, &x, false), WEIR_ERR_INPUT);
  if (!strstr(weir_error_last(), part)) fail_msg("\"%s\" does not say \"%s\"", weir_error_last(), part);
  weir__graph_destroy(&g);
  fill(&x, 81, WEIR_F64);
}

static void messages(void **state) {
  static double uneven[NX];
  (void)state;
  fill(&x, 81, WEIR_F64);
  x.e.length = 0;
  refused("length is 0");
  x.e.observation = 0;
  refused("observation_error is 0");
  x.e.background = -1;
  refused("background_error is -1");
  x.type[1].units = "kg";
  refused("in \"kg\"");
  x.type[2].units = "km";
  refused("y is in \"km\", expected \"m\"");
  x.type[0].dim[0].units = "degrees_north";
  x.type[2].units        = NULL;
  refused("distances in the plane");
  x.type[0].dim[0].spacing = 0;
  refused("no coordinate");
  x.type[0].dim[0].spacing = 0;
  x.type[2].units          = NULL;
  refused("both or neither");
  x.type[3].dim[0].size = POINTS - 1;
  refused("expected the same");
  x.type[1].dim[0].name = "other";
  refused("observations have not");
  for (int i = 1; i < 4; i++) x.type[i].dim[0].name = "x";
  refused("one of their own");
  for (int i = 1; i < 4; i++) x.type[i].dim[0].size = 5000;
  refused("at most 4096");
  x.type[0].rank = 1;
  refused("expected 2");
  x.type[2] = test_type(WEIR_F64, 2, (int64_t[]){4, 4}, 1);
  refused("y has 2 dimensions");
  x.type[0].dim[1].values = uneven, x.type[0].dim[1].spacing = 0;
  refused("only grows");
  x.type[0].dim[1].periodic = true, x.e.length = 43;
  refused("a quarter");
  x.more = ", axes=x";
  refused("axes names 1 dimension");
  x.more = ", axes=[x, z]";
  refused("\"z\"");
}

/* Two observations at one place, without error: no answer in this step, and a message. */
static void singular(void **state) {
  weir_field_type type = test_type(WEIR_F64, 2, (int64_t[]){5, 5}, 1);
  weir_field_type at   = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "point", .size = 2}}};
  test_field      in[4], out = {0};
  weir__analysis  q = {.length = 4, .background_error = 1, .observation_error = 1e-9, .field = &type};
  (void)state;
  q.points.input[1] = 1;
  for (int k = 0; k < 4; k++) {
    test_field_create(&in[k], &at);
    for (int i = 0; i < 2; i++) test_field_set(&in[k], i, 12.5);
  }
  assert_int_equal(
      test_run(&weir__analysis_solve, &q, (const test_field *[]){&in[0], &in[1], &in[2], &in[3]}, 4, 0, &out),
      WEIR_ERR_OPERATOR);
  assert_non_null(strstr(weir_error_last(), "a larger observation_error"));
  test_field_free(&out);
  for (int k = 0; k < 4; k++) test_field_free(&in[k]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(sample_is_bilinear),
                                     cmocka_unit_test(equals_the_full_matrices),
                                     cmocka_unit_test(on_other_coordinates),
                                     cmocka_unit_test(axes_by_name),
                                     cmocka_unit_test(missing_values),
                                     cmocka_unit_test(same_bytes_everywhere),
                                     cmocka_unit_test(one_observation),
                                     cmocka_unit_test(exact_observations),
                                     cmocka_unit_test(many_observations),
                                     cmocka_unit_test(messages),
                                     cmocka_unit_test(singular)};
  if (weir__comm_world(&world) < 0 || weir__comm_self(&self) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&self);
  weir__comm_destroy(&world);
  return failed;
}
