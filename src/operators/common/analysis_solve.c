/* analysis solve: the weights of the observations, in one chunk.
 *
 * The correlation ends at twice the length, so the matrix of observations sorted along an axis is zero far from its
 * diagonal. Cholesky's factorization by rows keeps the zeros before the first number of each row (the envelope: George
 * & Liu 1981, "Computer Solution of Large Sparse Positive Definite Systems", chapter 4), and is computed here rather
 * than by LAPACK, whose bits may depend on how many threads its BLAS takes. It is done anew in each step: which
 * observations there are, and where, may change. */
#include "operators/common/analysis.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { LANES = 8, ARRAYS = 4 };

typedef struct observation {
  weir__footprint footprint;
  double          weight; /* at first the innovation: the value less that of the background */
  int64_t         number;
} observation;

typedef struct row { /* of the factor: from the first number that is not zero to the diagonal */
  int64_t first;
  double *value;
} row;

static size_t rounded(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static void *take(char **at, size_t bytes) {
  char *here = *at;
  *at += rounded(bytes);
  return here;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  size_t n = (size_t)out->count[0];
  (void)params, (void)in;
  return ARRAYS * rounded(n * sizeof(double)) + 2 * rounded(n * sizeof(observation)) + rounded(n * sizeof(row)) +
         rounded(n * (n + 1) / 2 * sizeof(double));
}

static weir_status infer(weir_infer *infer) {
  infer->out[0] =
      (weir_field_type){.dtype = WEIR_F64, .rank = 1, .units = infer->in[0]->units, .dim = {infer->in[0]->dim[0]}};
  infer->from_axis[0][0] = -1;
  return WEIR_OK;
}

/* ---- which observations there are ---- */

/* Into `list`; their number. */
static int64_t collect(const weir_apply *a, char **scratch, observation *list) {
  int64_t       n = a->out[0].count[0], zero = 0, m = 0;
  const double *value[ARRAYS];
  for (int k = 0; k < ARRAYS; k++)
    value[k] = weir_view_load(&a->in[k], &zero, n, take(scratch, (size_t)n * sizeof(double)));
  for (int64_t i = 0; i < n; i++) {
    double innovation = value[1][i] - value[0][i];
    if (!isfinite(innovation)) continue;
    if (!weir__footprint_find(a->params, value[2][i], value[3][i], &list[m].footprint)) continue;
    list[m].weight = innovation;
    list[m].number = i;
    m++;
  }
  return m;
}

static bool before(const observation *a, const observation *b) {
  for (int k = 0; k < 2; k++)
    if (a->footprint.at[k][0] != b->footprint.at[k][0]) return a->footprint.at[k][0] < b->footprint.at[k][0];
  return a->number < b->number;
}

/* Merge sort from the bottom up; `other` is room for as many. Gives the one of the two that holds the result. */
static observation *sort(observation *list, observation *other, int64_t n) {
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t start = 0; start < n; start += 2 * run) {
      int64_t middle = start + run < n ? start + run : n, end = start + 2 * run < n ? start + 2 * run : n;
      for (int64_t i = start, j = middle, k = start; k < end; k++)
        other[k] = i < middle && (j == end || !before(&list[j], &list[i])) ? list[i++] : list[j++];
    }
    observation *t = list;
    list = other, other = t;
  }
  return list;
}

/* ---- the system ---- */

/* In lanes: in one order, and fit for vector instructions. */
static double dot(const double *x, const double *y, int64_t n) {
  double  lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += x[i + k] * y[i + k];
  for (; i < n; i++) sum += x[i] * y[i];
  for (int k = 0; k < LANES; k++) sum += lane[k];
  return sum;
}

/* Row i of the matrix, from its first number that is not zero on. */
static void fill_row(const weir__analysis *p, const observation *list, int64_t i, row *r) {
  double ratio = p->observation_error / p->background_error;
  r->first     = 0;
  for (int64_t j = 0; j <= i; j++) {
    double c = weir__footprint_correlation(p, &list[i].footprint, &list[j].footprint);
    if (c == 0 && j == r->first && j < i) r->first++;
    else r->value[j - r->first] = c;
  }
  r->value[i - r->first] += ratio * ratio;
}

static weir_status factorize(const weir__analysis *p, const observation *list, int64_t n, row *rows, double *matrix) {
  for (int64_t i = 0; i < n; i++) {
    row *r   = &rows[i];
    r->value = matrix;
    fill_row(p, list, i, r);
    for (int64_t j = r->first; j < i; j++) {
      const row *s    = &rows[j];
      int64_t    from = r->first > s->first ? r->first : s->first;
      double rest = r->value[j - r->first] - dot(r->value + (from - r->first), s->value + (from - s->first), j - from);
      r->value[j - r->first] = rest / s->value[j - s->first];
    }
    double *diagonal = &r->value[i - r->first], rest = *diagonal - dot(r->value, r->value, i - r->first);
    if (!(rest > 16 * DBL_EPSILON * *diagonal))
      return WEIR_FAIL(WEIR_ERR_OPERATOR,
                       "analysis: the observations' covariance matrix is singular to rounding at observation %lld, "
                       "which is too near to others: expected a larger observation_error than %g",
                       (long long)list[i].number, p->observation_error);
    *diagonal = sqrt(rest);
    matrix    = diagonal + 1;
  }
  return WEIR_OK;
}

/* Innovations become weights: forward with the factor, back with its transpose. */
static void substitute(observation *list, int64_t n, const row *rows, double *v) {
  for (int64_t i = 0; i < n; i++) {
    const row *r = &rows[i];
    v[i]         = (list[i].weight - dot(r->value, v + r->first, i - r->first)) / r->value[i - r->first];
  }
  for (int64_t i = n - 1; i >= 0; i--) {
    const row *r = &rows[i];
    v[i] /= r->value[i - r->first];
    for (int64_t j = r->first; j < i; j++) v[j] -= v[i] * r->value[j - r->first];
    list[i].weight = v[i];
  }
}

static weir_status apply(const weir_apply *a) {
  size_t       n    = (size_t)a->out[0].count[0];
  char        *at   = a->scratch;
  int64_t      zero = 0;
  observation *list = take(&at, n * sizeof *list), *other = take(&at, n * sizeof *other);
  row         *rows   = take(&at, n * sizeof *rows);
  double      *result = (double *)(void *)at; /* over what `collect` loads, which has been read by then */
  int64_t      m      = collect(a, &at, list);
  list                = sort(list, other, m);
  WEIR_TRY(factorize(a->params, list, m, rows, (double *)(void *)at));
  substitute(list, m, rows, result);
  memset(result, 0, n * sizeof *result);
  for (int64_t i = 0; i < m; i++) result[list[i].number] = list[i].weight;
  weir_view_store(&a->out[0], &zero, (int64_t)n, result);
  return WEIR_OK;
}

const weir_operator weir__analysis_solve = {.api          = WEIR_OPERATOR_API,
                                            .name         = "analysis solve",
                                            .inputs       = 4,
                                            .params_size  = sizeof(weir__analysis),
                                            .infer        = infer,
                                            .apply        = apply,
                                            .scratch_size = scratch_size};
