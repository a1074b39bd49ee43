/* weir-test: timeout=120
 *
 * Proves that pca gives what the eigenvalues of the whole scatter matrix give (found here by Jacobi's method on the
 * matrix of products of the samples): to 1e-8 for data of no higher rank than there are components, within the stated
 * bound for other data; that missing values, steps and elements are treated as documented; that exhausted rank brings
 * no directions of noise; types, units and messages. */
#include "support/replay.h"
#include "support/serial.h"
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

extern const weir_operator weir_operator_pca;

enum { COMPONENTS, VARIANCE, COEFFICIENTS, MEAN };
enum { NY = 7, NX = 9, N = NY * NX, STEPS = 40 };

static weir__comm *comm;

/* ---- the reference ---- */

/* Eigenvalues (largest first) and eigenvectors (rows of v) of a symmetric matrix: cyclic Jacobi (Golub & Van Loan 2013,
 * section 8.5). The matrix is destroyed. */
static void jacobi(int n, double *a, double *value, double *v) {
  for (int i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
  for (int sweep = 0; sweep < 60; sweep++)
    for (int p = 0; p < n; p++)
      for (int q = p + 1; q < n; q++) {
        double apq = a[p * n + q];
        if (fabs(apq) <= 1e-300) continue;
        double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
        double t     = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
        double c = 1 / sqrt(t * t + 1), s = t * c;
        for (int i = 0; i < n; i++) {
          double x = a[i * n + p], y = a[i * n + q];
          a[i * n + p] = c * x - s * y, a[i * n + q] = s * x + c * y;
        }
        for (int i = 0; i < n; i++) {
          double x = a[p * n + i], y = a[q * n + i];
          a[p * n + i] = c * x - s * y, a[q * n + i] = s * x + c * y;
          x = v[p * n + i], y = v[q * n + i];
          v[p * n + i] = c * x - s * y, v[q * n + i] = s * x + c * y;
        }
      }
  for (int i = 0; i < n; i++) value[i] = a[i * n + i];
  for (int i = 0; i < n; i++)
    for (int j = i + 1; j < n; j++) {
      if (value[j] <= value[i]) continue;
      double t = value[i];
      value[i] = value[j], value[j] = t;
      for (int m = 0; m < n; m++) t = v[i * n + m], v[i * n + m] = v[j * n + m], v[j * n + m] = t;
    }
}

typedef struct reference {
  int    samples, rank; /* rank: eigenvalues above 1e-20 of the largest */
  double value[64];     /* of the scatter matrix */
  double vector[64][N];
  double mean[N];
} reference;

/* Rows of `d` whose scatter matrix is d' d. */
static void decompose(reference *r, int rows, const double (*d)[N]) {
  static double gram[64 * 64], v[64 * 64];
  for (int s = 0; s < rows; s++)
    for (int t = 0; t < rows; t++) {
      long double sum = 0;
      for (int i = 0; i < N; i++) sum += (long double)d[s][i] * d[t][i];
      gram[s * rows + t] = (double)sum;
    }
  jacobi(rows, gram, r->value, v);
  for (r->rank = 0; r->rank < rows && r->value[r->rank] > 1e-20 * r->value[0];) r->rank++;
  for (int j = 0; j < r->rank; j++)
    for (int i = 0; i < N; i++) {
      double sum = 0;
      for (int s = 0; s < rows; s++) sum += v[j * rows + s] * d[s][i];
      r->vector[j][i] = sum / sqrt(r->value[j]);
    }
}

/* Complete data: distances from the mean of all. */
static void refer(reference *r, int samples, const double (*x)[N]) {
  static double d[64][N];
  r->samples = samples;
  for (int i = 0; i < N; i++) {
    long double sum = 0;
    for (int s = 0; s < samples; s++) sum += x[s][i];
    r->mean[i] = (double)(sum / samples);
    for (int s = 0; s < samples; s++) d[s][i] = (double)(x[s][i] - sum / samples);
  }
  decompose(r, samples, (const double(*)[N])d);
}

/* Data with gaps: each valid value's distance from the mean of the m valid ones before it, times sqrt(m / (m + 1)). */
static void refer_gaps(reference *r, int samples, const double (*x)[N]) {
  static double d[64][N];
  r->samples = samples;
  for (int i = 0; i < N; i++) {
    double sum = 0, m = 0;
    for (int s = 0; s < samples; s++) {
      d[s][i] = 0;
      if (!isfinite(x[s][i])) continue;
      if (m > 0) d[s][i] = sqrt(m / (m + 1)) * (x[s][i] - sum / m);
      sum += x[s][i], m += 1;
    }
    r->mean[i] = m > 0 ? sum / m : (double)NAN;
  }
  decompose(r, samples, (const double(*)[N])d);
}

/* ---- comparisons ---- */

static double dot(const double *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < N; i++) sum += isnan(a[i]) || isnan(b[i]) ? 0 : a[i] * b[i];
  return sum;
}

static void close_to(const char *what, int64_t step, int at, double got, double expected, double tolerance) {
  if (!(fabs(got - expected) <= tolerance))
    fail_msg("%s %d at step %d is %.17g, expected %.17g within %g", what, at, (int)step, got, expected, tolerance);
}

/* The part of a that lies outside the space of the first `rank` reference vectors: the sine of an angle. */
static double outside(const reference *r, int rank, const double *a) {
  double rest[N];
  for (int i = 0; i < N; i++) rest[i] = isnan(a[i]) ? 0 : a[i];
  for (int pass = 0; pass < 2; pass++)
    for (int j = 0; j < rank; j++) {
      double c = dot(rest, r->vector[j]);
      for (int i = 0; i < N; i++) rest[i] -= c * r->vector[j][i];
    }
  return sqrt(dot(rest, rest));
}

static void check_orthonormal(const double *u, int rank, int k, int64_t step) {
  for (int a = 0; a < k; a++)
    for (int b = 0; b <= a; b++)
      close_to("product of components", step, a * 100 + b, dot(u + a * N, u + b * N), a == b && a < rank, 1e-12);
}

/* All results of one step, for data of rank <= k. */
static void check_exact(const replayed *got, const reference *r, int64_t step, int k, const double *x) {
  const double *u = replayed_at(got, COMPONENTS, step), *variance = replayed_at(got, VARIANCE, step),
               *c = replayed_at(got, COEFFICIENTS, step), *mean = replayed_at(got, MEAN, step);
  double size = r->rank ? sqrt(r->value[0]) : 0;
  int    rank = r->rank < k ? r->rank : k;
  check_orthonormal(u, rank, k, step);
  for (int j = 0; j < k; j++) {
    double expected = j < rank ? r->value[j] / (r->samples - 1) : 0, product = 0;
    if (r->samples == 1) assert_true(isnan(variance[j]));
    else close_to("variance", step, j, variance[j], expected, 1e-8 * expected);
    if (j < rank && outside(r, rank, u + j * N) > 1e-8)
      fail_msg("component %d at step %d leaves the space by %g", j, (int)step, outside(r, rank, u + j * N));
    bool apart = j < rank && (j == 0 || r->value[j] < 0.9 * r->value[j - 1]) &&
                 (j + 1 >= rank || r->value[j + 1] < 0.9 * r->value[j]);
    if (apart) close_to("component against its reference", step, j, fabs(dot(u + j * N, r->vector[j])), 1, 1e-12);
    for (int i = 0; i < N; i++)
      if (isfinite(x[i])) product += (j < rank ? u[j * N + i] : 0) * (x[i] - r->mean[i]);
    close_to("coefficient", step, j, c[j], product, 1e-10 * size + 1e-12);
  }
  for (int i = 0; i < N; i++) {
    assert_int_equal(isnan(mean[i]), isnan(r->mean[i]));
    assert_int_equal(isnan(u[i]), isnan(r->mean[i]));
    if (!isnan(mean[i])) close_to("mean", step, i, mean[i], r->mean[i], 1e-14 * fabs(r->mean[i]) + 1e-14);
  }
}

/* ---- data ---- */

static double wave(int r, int i) { return sin(0.37 * (r + 1) * (i % NX) + 0.9 * r * (i / NX) + r); }
static double series(int r, int s) { return sin((0.7 + 0.31 * r) * s + 2 * r) + 0.2 * cos(0.11 * s * (r + 2)); }

static void low_rank(double (*x)[N], int steps, int rank, double offset, double decay) {
  for (int s = 0; s < steps; s++)
    for (int i = 0; i < N; i++) {
      x[s][i] = offset * (1 + 0.1 * cos(0.2 * i));
      for (int r = 0; r < rank; r++) x[s][i] += pow(decay, r) * series(r, s) * wave(r, i);
    }
}

static void run(const double (*x)[N], int steps, int k, uint64_t hidden, weir_dtype dtype, replayed *out) {
  static const weir__chunk_size chunks[] = {{"y", 3}, {"x", 4}};
  char                          params[TEST_PARAMS_SIZE];
  replay r = {.steps = steps, .values = x[0], .hidden = hidden, .op = &weir_operator_pca, .params = params};
  r.type   = test_type(dtype, 2, (int64_t[]){NY, NX}, 1);
  r.chunks = chunks, r.chunk_count = 2;
  test_params(&weir_operator_pca, params);
  test_set(&weir_operator_pca, params, "components", k);
  replay_run(comm, &r, out);
}

/* ---- tests ---- */

static void exact_up_to_the_rank(void **state) {
  static double    x[STEPS][N];
  static reference r;
  (void)state;
  low_rank(x, STEPS, 3, 2, 0.5);
  for (int k = 3; k <= 6; k += 3) {
    replayed got;
    run((const double(*)[N])x, STEPS, k, 0, WEIR_F64, &got);
    for (int s = 0; s < STEPS; s++) {
      refer(&r, s + 1, (const double(*)[N])x);
      for (r.rank = 0; r.rank < 3 && r.rank < s;) r.rank++; /* what the data are made of */
      check_exact(&got, &r, s, k, x[s]);
    }
    replayed_free(&got);
  }
}

/* A large mean: what is below its rounding must not become a component. */
static void no_noise_directions(void **state) {
  static double    x[STEPS][N];
  static reference r;
  replayed         got;
  (void)state;
  low_rank(x, STEPS, 2, 1e5, 0.5);
  run((const double(*)[N])x, STEPS, 5, 0, WEIR_F64, &got);
  refer(&r, STEPS, (const double(*)[N])x);
  for (int s = 2; s < STEPS; s++) {
    const double *variance = replayed_at(&got, VARIANCE, s), *u = replayed_at(&got, COMPONENTS, s);
    for (int j = 2; j < 5; j++) assert_true(variance[j] == 0);
    for (int i = 2 * N; i < 5 * N; i++) assert_true(u[i] == 0);
  }
  for (int j = 0; j < 2; j++)
    close_to("variance", STEPS - 1, j, replayed_at(&got, VARIANCE, STEPS - 1)[j], r.value[j] / (STEPS - 1),
             1e-8 * r.value[j]);
  replayed_free(&got);
  for (int s = 0; s < STEPS; s++) memcpy(x[s], x[0], sizeof x[0]); /* a field that never changes */
  run((const double(*)[N])x, STEPS, 2, 0, WEIR_F64, &got);
  assert_true(replayed_at(&got, VARIANCE, STEPS - 1)[0] == 0);
  assert_memory_equal(replayed_at(&got, MEAN, STEPS - 1), x[0], sizeof x[0]);
  replayed_free(&got);
}

/* Directions 1e10 times smaller than the largest still end orthogonal to it: the second pass of the projection. */
static void small_beside_large(void **state) {
  static double x[STEPS][N];
  replayed      got;
  (void)state;
  low_rank(x, STEPS, 3, 0, 1e-5);
  run((const double(*)[N])x, STEPS, 4, 0, WEIR_F64, &got);
  for (int s = 3; s < STEPS; s++) {
    const double *variance = replayed_at(&got, VARIANCE, s);
    assert_true(variance[2] > 1e-22 * variance[0] && variance[3] == 0);
    check_orthonormal(replayed_at(&got, COMPONENTS, s), 3, 4, s);
  }
  replayed_free(&got);
}

/* What is cut off at a step is a positive matrix, so by Weyl's inequality each kept eigenvalue is below the true one by
 * at most the sum of all that was cut off, which is the trace less what was kept. */
static void bounded_for_general_data(void **state) {
  static double    x[STEPS][N];
  static reference r;
  replayed         got;
  enum { K = 6 };
  (void)state;
  test_seed = 5;
  low_rank(x, STEPS, 12, 2, 0.6);
  for (int s = 0; s < STEPS; s++)
    for (int i = 0; i < N; i++) x[s][i] += 1e-3 * (test_uniform() - 0.5);
  run((const double(*)[N])x, STEPS, K, 0, WEIR_F64, &got);
  for (int s = 1; s < STEPS; s++) {
    const double *variance = replayed_at(&got, VARIANCE, s);
    double        left     = 0;
    refer(&r, s + 1, (const double(*)[N])x);
    for (int j = 0; j <= s; j++) left += r.value[j] / s;
    for (int j = 0; j < K; j++) left -= variance[j];
    for (int j = 0; j < K; j++) {
      double truth = j < r.rank ? r.value[j] / s : 0;
      if (variance[j] > truth * (1 + 1e-10) + 1e-12 || variance[j] < truth - left - 1e-10 * r.value[0])
        fail_msg("variance %d at step %d is %g, expected %g less at most %g", j, s, variance[j], truth, left);
    }
    if (variance[0] < 0.99 * r.value[0] / s) fail_msg("at step %d the first variance lost more than 1 %%", s);
    check_orthonormal(replayed_at(&got, COMPONENTS, s), s < K ? s : K, K, s);
  }
  replayed_free(&got);
}

static void missing_values(void **state) {
  enum { T = 12, K = 14 };
  static double    x[T][N];
  static reference r;
  replayed         got;
  (void)state;
  test_seed = 9;
  low_rank(x, T, 12, 3, 0.8);
  for (int s = 0; s < T; s++)
    for (int i = 0; i < N; i++) {
      if (test_uniform() < 0.2) x[s][i] = (double)NAN;
      if (i == 5 || (i == 20 && s < 6)) x[s][i] = (double)NAN; /* never valid; not from the beginning */
      if (i == 30 && s == 3) x[s][i] = (double)INFINITY;
    }
  run((const double(*)[N])x, T, K, 0, WEIR_F64, &got);
  for (int s = 1; s < T; s++) {
    const double *u = replayed_at(&got, COMPONENTS, s), *variance = replayed_at(&got, VARIANCE, s);
    refer_gaps(&r, s + 1, (const double(*)[N])x);
    check_exact(&got, &r, s, K, x[s]);
    for (int i = 0; i < N; i++) { /* each element's variance about the mean of its valid values is all explained */
      double direct = 0, explained = 0;
      for (int t = 0; t <= s; t++)
        if (isfinite(x[t][i])) direct += (x[t][i] - r.mean[i]) * (x[t][i] - r.mean[i]);
      if (isnan(r.mean[i])) continue;
      for (int j = 0; j < K; j++) explained += variance[j] * s * u[j * N + i] * u[j * N + i];
      close_to("sum of squares of element", s, i, explained, direct, 1e-10 * r.value[0]);
    }
  }
  replayed_free(&got);
}

/* Steps without the field, or without any valid value in it, are as if they were not there. */
static void missing_steps(void **state) {
  enum { T = 10, GAPS = 4, K = 3 };
  static const int at[GAPS] = {0, 4, 5, 11}, blank[2] = {1, 8};
  static double    x[T][N], with[T + GAPS + 2][N];
  replayed         plain, gaps;
  uint64_t         hidden = 0;
  (void)state;
  low_rank(x, T, 5, 1, 0.7);
  run((const double(*)[N])x, T, K, 0, WEIR_F64, &plain);
  for (int g = 0; g < GAPS; g++) hidden |= (uint64_t)1 << at[g];
  for (int i = 0; i < 2; i++)
    for (int e = 0; e < N; e++) with[blank[i]][e] = (double)NAN;
  for (int s = 0, from = 0; s < T + GAPS + 2; s++) {
    if (hidden >> s & 1 || s == blank[0] || s == blank[1]) continue;
    memcpy(with[s], x[from++], sizeof x[0]);
  }
  run((const double(*)[N])with, T + GAPS + 2, K, hidden, WEIR_F64, &gaps);
  for (int s = 0, from = 0; s < T + GAPS + 2; s++) {
    bool sample = !(hidden >> s & 1 || s == blank[0] || s == blank[1]);
    for (int result = 0; result < 4; result++) {
      if (gaps.calls[result][s] != sample) fail_msg("result %d at step %d", result, s);
      if (sample)
        assert_memory_equal(replayed_at(&gaps, result, s), replayed_at(&plain, result, from),
                            (size_t)gaps.size[result] * sizeof(double));
    }
    from += sample;
  }
  replayed_free(&plain);
  replayed_free(&gaps);
}

/* The sign does not flip from step to step: every component points along one of the step before. */
static void signs_stay(void **state) {
  static double x[STEPS][N];
  replayed      got;
  (void)state;
  low_rank(x, STEPS, 3, 0, 0.6);
  run((const double(*)[N])x, STEPS, 3, 0, WEIR_F64, &got);
  for (int s = 4; s < STEPS; s++) {
    const double *u = replayed_at(&got, COMPONENTS, s), *before = replayed_at(&got, COMPONENTS, s - 1);
    for (int j = 0; j < 3; j++) {
      double most = 0;
      for (int l = 0; l < 3; l++) {
        double c = dot(u + j * N, before + l * N);
        if (fabs(c) > fabs(most)) most = c;
      }
      if (most < 0.5) fail_msg("component %d at step %d has %g of one before", j, s, most);
    }
  }
  replayed_free(&got);
}

static void other_types(void **state) {
  static double x[STEPS][N], rounded[STEPS][N];
  replayed      got, wide;
  (void)state;
  low_rank(x, STEPS, 3, 2, 0.5);
  for (int s = 0; s < STEPS; s++)
    for (int i = 0; i < N; i++) rounded[s][i] = nearbyint(1000 * x[s][i]), x[s][i] = (double)(float)x[s][i];
  for (int short_integers = 0; short_integers < 2; short_integers++) {
    const double(*data)[N] = (const double(*)[N])(short_integers ? rounded : x);
    run(data, STEPS, 3, 0, short_integers ? WEIR_I16 : WEIR_F32, &got);
    run(data, STEPS, 3, 0, WEIR_F64, &wide);
    assert_int_equal(got.type[COMPONENTS].dtype, WEIR_F32);
    assert_int_equal(got.type[MEAN].dtype, WEIR_F32);
    assert_int_equal(got.type[VARIANCE].dtype, WEIR_F64);
    assert_int_equal(wide.type[COMPONENTS].dtype, WEIR_F64);
    for (int i = 0; i < 3 * N; i++)
      assert_true((float)replayed_at(&wide, COMPONENTS, STEPS - 1)[i] ==
                  (float)replayed_at(&got, COMPONENTS, STEPS - 1)[i]);
    assert_memory_equal(replayed_at(&wide, VARIANCE, STEPS - 1), replayed_at(&got, VARIANCE, STEPS - 1),
                        3 * sizeof(double));
    replayed_free(&got);
    replayed_free(&wide);
  }
}

/* One element: the variance of a series. */
static void of_a_number(void **state) {
  static double x[STEPS];
  double        mean = 0, square = 0;
  char          params[TEST_PARAMS_SIZE];
  replay        r = {.steps = STEPS, .values = x, .op = &weir_operator_pca, .params = params, .type.dtype = WEIR_F64};
  replayed      got;
  (void)state;
  test_params(&weir_operator_pca, params);
  test_set(&weir_operator_pca, params, "components", 1);
  for (int s = 0; s < STEPS; s++) x[s] = series(1, s), mean += x[s] / STEPS;
  for (int s = 0; s < STEPS; s++) square += (x[s] - mean) * (x[s] - mean);
  replay_run(comm, &r, &got);
  close_to("variance", STEPS - 1, 0, *replayed_at(&got, VARIANCE, STEPS - 1), square / (STEPS - 1), 1e-13);
  close_to("mean", STEPS - 1, 0, *replayed_at(&got, MEAN, STEPS - 1), mean, 1e-14);
  close_to("coefficient", STEPS - 1, 0, fabs(*replayed_at(&got, COEFFICIENTS, STEPS - 1)), fabs(x[STEPS - 1] - mean),
           1e-14);
  close_to("component", STEPS - 1, 0, fabs(*replayed_at(&got, COMPONENTS, STEPS - 1)), 1, 1e-15);
  replayed_free(&got);
}

static weir_status try_type(const weir_field_type *type, int k, weir__graph **g) {
  char params[TEST_PARAMS_SIZE];
  int  f, p;
  test_params(&weir_operator_pca, params);
  test_set(&weir_operator_pca, params, "components", k);
  assert_int_equal(weir__graph_create(NULL, g), WEIR_OK);
  assert_int_equal(weir__graph_add_source(*g, "f", 0, 0, type, NULL, false, &f), WEIR_OK);
  return weir__graph_add_operator(*g, &weir_operator_pca, params, &(weir__edge){f, 0}, 1, "p", (weir__place){0}, NULL,
                                  &p);
}

static void types_and_messages(void **state) {
  weir_field_type type = test_type(WEIR_F32, 2, (int64_t[]){NY, NX}, 1);
  weir__graph    *g;
  weir__edge      edge;
  (void)state;
  assert_int_equal(try_type(&type, 4, &g), WEIR_OK);
  assert_true(weir__graph_find(g, "p", &edge) && weir__graph_find(g, "p.components", &edge));
  const weir_field_type *got = weir__edge_type(g, edge);
  assert_int_equal(got->rank, 3);
  assert_string_equal(got->dim[0].name, "component");
  assert_int_equal(got->dim[0].size, 4);
  assert_string_equal(got->dim[2].name, "x");
  assert_true(got->dim[2].spacing == type.dim[1].spacing);
  assert_string_equal(got->units, "1");
  assert_true(weir__graph_find(g, "p.variance", &edge));
  assert_string_equal(weir__edge_type(g, edge)->units, "m2 s-2");
  assert_true(weir__graph_find(g, "p.mean", &edge));
  assert_string_equal(weir__edge_type(g, edge)->units, type.units);
  assert_int_equal(weir__edge_type(g, edge)->rank, 2);
  weir__graph_destroy(&g);

  type.dim[0].size = 3, type.dim[1].size = 1;
  assert_int_equal(try_type(&type, 4, &g), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "4 components of a field of 3 elements"));
  weir__graph_destroy(&g);
  type.dim[0].name = "component";
  assert_int_equal(try_type(&type, 2, &g), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "component"));
  weir__graph_destroy(&g);
  weir_field_type deep = {.dtype = WEIR_F64, .rank = 6};
  for (int a = 0; a < 6; a++)
    deep.dim[a] = (weir_dimension){.name = (const char *[]){"a", "b", "c", "d", "e", "f"}[a], .size = 2};
  assert_int_equal(try_type(&deep, 2, &g), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "6 dimensions"));
  weir__graph_destroy(&g);
}

/* As a recipe has it. */
static void in_expressions(void **state) {
  static const weir_operator *const known[] = {&weir_operator_pca, NULL};
  weir_field_type                   type    = test_type(WEIR_F32, 2, (int64_t[]){NY, NX}, 1);
  weir__place                       place   = {.file = "test", .line = 3};
  weir__graph                      *g;
  weir__edge                        first, edge;
  int                               f;
  (void)state;
  assert_int_equal(weir__graph_create(known, &g), WEIR_OK);
  assert_int_equal(weir__graph_add_source(g, "f", 0, 0, &type, NULL, false, &f), WEIR_OK);
  if (weir__graph_define(g, "p", "pca(f * 2, 4)", place) < 0) fail_msg("%s", weir_error_last());
  if (weir__graph_define(g, "v", "p.variance + 1", place) < 0) fail_msg("%s", weir_error_last());
  assert_true(weir__graph_find(g, "p", &first) && weir__graph_find(g, "p.components", &edge));
  assert_int_equal(first.node, edge.node);
  assert_string_equal(g->node[first.node].name, "p");
  assert_true(weir__graph_find(g, "v", &edge));
  assert_int_equal(weir__edge_type(g, edge)->dim[0].size, 4);
  assert_int_equal(weir__graph_define(g, "p", "f * 3", place), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "defined twice"));
  assert_int_equal(weir__graph_define(g, "q", "pca(f, 65)", place), WEIR_ERR_INPUT);
  assert_int_equal(weir__graph_define(g, "q", "pca(f)", place), WEIR_ERR_INPUT);
  weir__graph_destroy(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(exact_up_to_the_rank), cmocka_unit_test(no_noise_directions),
                                     cmocka_unit_test(small_beside_large),   cmocka_unit_test(bounded_for_general_data),
                                     cmocka_unit_test(missing_values),       cmocka_unit_test(missing_steps),
                                     cmocka_unit_test(signs_stay),           cmocka_unit_test(other_types),
                                     cmocka_unit_test(of_a_number),          cmocka_unit_test(types_and_messages),
                                     cmocka_unit_test(in_expressions)};
  if (weir__comm_self(&comm) < 0) return 1;
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  weir__comm_destroy(&comm);
  return failed;
}
