/* pca solve: from the projections to the rotation that makes the new components of the old ones and the residual.
 *
 * With U the components, s their singular values, p = U' y and r = y - U p with norm rho,
 *   [U diag(s), y] = [U, r/rho] K,   K = [diag(s) p; 0 rho],
 * so the left singular vectors of the small matrix K rotate [U, r/rho] into the new components, and its singular values
 * are theirs: Brand 2006, doi 10.1016/j.laa.2005.07.021; with the update of the mean Ross et al. 2008. */
#include "operators/common/pca.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* LAPACK, in Fortran: lengths of the character arguments come last. */
extern void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda,
                    double *s, double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
                    int *info, size_t jobu_length, size_t jobvt_length);

enum { SIDE = WEIR__PCA_MOST + 1, WORK = 64 * SIDE };

/* Directions below this part of the largest are rounding, not data. */
static const double smallest = 1e-12;

typedef struct state {
  double  n; /* samples so far */
  int64_t rank;
  double  singular[WEIR__PCA_MOST];
} state;

typedef struct small { /* matrices column by column */
  double k[SIDE * SIDE], u[SIDE * SIDE], s[SIDE], work[WORK];
} small;

int64_t weir__pca_solution_size(int64_t k) { return 3 * k + (k + 1) * k; }

weir__pca_solution weir__pca_solution_at(const double *numbers, int64_t k) {
  return (weir__pca_solution){numbers, numbers + k, numbers + 2 * k, numbers + 3 * k};
}

static weir_status infer(weir_infer *infer) {
  const weir__pca *p = infer->params;
  infer->out[0]      = weir__pca_vector("pca number", weir__pca_solution_size(p->components), NULL);
  weir__pca_unsplit(infer);
  return WEIR_OK;
}

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in, (void)out;
  return sizeof(state);
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__pca *p = params;
  (void)in, (void)out;
  return sizeof(small) + (size_t)weir__pca_solution_size(p->components) * sizeof(double);
}

/* Norm of what is left of y after both passes; 0 when it is rounding: of the projections, or of y itself, which is a
 * difference from the mean of values as large as those of f. */
static double residual_norm(const state *s, int64_t k, const double *project, const double *residual) {
  double square = residual[k], largest = s->singular[0] * s->singular[0] + project[k + WEIR__PCA_SQUARES];
  for (int64_t j = 0; j < k; j++) square -= residual[j] * residual[j];
  double rho = square > 0 ? sqrt(square) : 0;
  return rho > smallest * sqrt(largest) && rho > 4 * DBL_EPSILON * sqrt(project[k + WEIR__PCA_VALUES]) ? rho : 0;
}

static weir_status decompose(small *m, int rows, int columns) {
  int info, work = WORK, one = 1;
  dgesvd_("S", "N", &rows, &columns, m->k, &rows, m->s, m->u, &rows, m->work, &one, m->work, &work, &info, 1, 1);
  if (info) return WEIR_FAIL(WEIR_ERR_OPERATOR, "pca: the singular value decomposition failed (dgesvd: %d)", info);
  return WEIR_OK;
}

/* Which way a component points is free: so that it does not turn round from step to step, the old direction (or the
 * residual) that it is most made of counts positive. */
static double sign_of(const double *u, int rows) {
  int most = 0;
  for (int l = 1; l < rows; l++)
    if (fabs(u[l]) > fabs(u[most])) most = l;
  return u[most] < 0 ? -1 : 1;
}

static weir_status rotate(state *s, small *m, int64_t k, const double *along, double rho, double *rotation) {
  int old = (int)s->rank, rows = old + (rho > 0), columns = old + 1, rank = 0;
  if (!rows) return WEIR_OK;
  memset(m->k, 0, sizeof m->k);
  for (int l = 0; l < old; l++) {
    m->k[l + l * rows]   = s->singular[l];
    m->k[l + old * rows] = along[l];
  }
  if (rho > 0) m->k[old + old * rows] = rho;
  WEIR_TRY(decompose(m, rows, columns));
  while (rank < rows && rank < k && m->s[rank] > smallest * m->s[0]) rank++;
  memset(s->singular, 0, sizeof s->singular);
  for (int j = 0; j < rank; j++) {
    const double *u    = m->u + j * rows;
    double        sign = sign_of(u, rows);
    s->singular[j]     = m->s[j];
    for (int l = 0; l < old; l++) rotation[l * k + j] = sign * u[l];
    if (rho > 0) rotation[k * k + j] = sign * u[old] / rho;
  }
  s->rank = rank;
  return WEIR_OK;
}

static weir_status apply(const weir_apply *a) {
  const weir__pca *p = a->params;
  int64_t          k = p->components, zero = 0;
  state           *s       = a->state;
  small           *m       = a->scratch;
  double          *numbers = (double *)(m + 1), along[WEIR__PCA_MOST];
  const double    *project = weir__pca_numbers(&a->in[0]), *residual = weir__pca_numbers(&a->in[1]);
  if (project[k + WEIR__PCA_VALID] == 0) return WEIR_END; /* no value anywhere: not a sample */
  for (int64_t j = 0; j < k; j++) along[j] = project[j] + residual[j];
  if (!isfinite(project[k + WEIR__PCA_VALUES]) || !isfinite(project[k + WEIR__PCA_SQUARES]))
    return WEIR_FAIL(WEIR_ERR_OPERATOR, "pca: the values are too large: the sum of their squares is %g",
                     project[k + WEIR__PCA_VALUES]);
  memset(numbers, 0, (size_t)weir__pca_solution_size(k) * sizeof *numbers);
  memcpy(numbers + k, project, (size_t)k * sizeof *numbers);
  memcpy(numbers + 2 * k, residual, (size_t)k * sizeof *numbers);
  WEIR_TRY(rotate(s, m, k, along, residual_norm(s, k, project, residual), numbers + 3 * k));
  s->n += 1;
  for (int64_t j = 0; j < k; j++) numbers[j] = s->n > 1 ? s->singular[j] * s->singular[j] / (s->n - 1) : (double)NAN;
  weir_view_store(&a->out[0], &zero, weir__pca_solution_size(k), numbers);
  return WEIR_OK;
}

const weir_operator weir__pca_solve = {.api          = WEIR_OPERATOR_API,
                                       .name         = "pca solve",
                                       .inputs       = 2,
                                       .params_size  = sizeof(weir__pca),
                                       .infer        = infer,
                                       .need         = weir__need_whole,
                                       .apply        = apply,
                                       .state_size   = state_size,
                                       .scratch_size = scratch_size};
