/* The sums of pca over the whole field: reductions over the chunks of f, each beside its part of the basis. All sums
 * are independent of order, so the bits do not depend on chunks, threads and workers. */
#include "core/simd.h"
#include "operators/common/pca.h"
#include <weir/sum.h>

/* Each partial result is the sums by component, then `more` others. */
enum { PROJECT_SUMS = 2, RESIDUAL_SUMS = 1 };

static size_t sums_size(const void *params, int more) {
  return (size_t)(((const weir__pca *)params)->components + more) * sizeof(weir_sum);
}

static void combine_sums(void *into, const void *from, size_t bytes) {
  weir_sum       *to = into;
  const weir_sum *s  = from;
  for (size_t i = 0; i < bytes / sizeof *s; i++) weir_sum_combine(&to[i], &s[i]);
}

static void store(const weir_view *out, int64_t at, double value) { weir_view_store(out, &at, 1, &value); }

static void finish_sums(const weir_apply *a, int more) {
  const weir_sum *sum = a->partial;
  for (int64_t j = 0; j < ((const weir__pca *)a->params)->components + more; j++)
    store(&a->out[0], j, weir_sum_value(&sum[j]));
}

static weir_status infer_numbers(weir_infer *infer, int64_t more) {
  const weir__pca *p = infer->params;
  infer->out[0]      = weir__pca_vector("pca number", p->components + more, NULL);
  weir__pca_unsplit(infer);
  return WEIR_OK;
}

WEIR__WIDEST static void multiply(const double *restrict a, const double *restrict b, int64_t n, double *restrict to) {
  for (int64_t i = 0; i < n; i++) to[i] = a[i] * b[i];
}

/* Add the terms of u_j . y for each component j (those with weight 0 left out), then those of y . y to `square`
 * unless it is NULL. The terms are rounded products: what that loses is of the size of the rounding of y. */
static void add_products(const weir__pca_rows *rows, const double *weight, weir_sum *sum, weir_sum *square) {
  double *term = rows->buffer + 2 * WEIR__PCA_SEGMENT;
  for (int64_t j = 0; j < rows->components; j++) {
    if (weight && weight[j] == 0) continue;
    multiply(rows->u[j], rows->y, rows->n, term);
    weir_sum_add(&sum[j], term, rows->n);
  }
  if (!square) return;
  multiply(rows->y, rows->y, rows->n, term);
  weir_sum_add(square, term, rows->n);
}

/* ---- project: first pass of the projection of y on the basis, and the sizes of y and f ---- */

static weir_status project_infer(weir_infer *infer) { return infer_numbers(infer, WEIR__PCA_PROJECT_MORE); }

static size_t project_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)in, (void)out;
  return sums_size(params, PROJECT_SUMS);
}

static void project_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                            const void *from) {
  combine_sums(into, from, project_size(params, in, out));
}

static weir_status project_apply(const weir_apply *a) {
  const weir__pca *p   = a->params;
  weir_sum        *sum = a->partial;
  weir__pca_rows   rows;
  if (!a->in[0].data) return WEIR_OK;
  weir__pca_open(&rows, p, &a->in[0], &a->in[0], &a->in[1], a->scratch);
  while (weir__pca_next(&rows)) {
    weir_sum_add_square(&sum[p->components + WEIR__PCA_VALUES], rows.x, rows.n);
    if (!rows.basis) continue;
    weir__pca_anomaly(&rows, true);
    add_products(&rows, NULL, sum, &sum[p->components + WEIR__PCA_SQUARES]);
  }
  return WEIR_OK;
}

static weir_status project_finish(const weir_apply *a) {
  const weir_sum *sum = a->partial;
  int64_t         k   = ((const weir__pca *)a->params)->components;
  finish_sums(a, PROJECT_SUMS);
  store(&a->out[0], k + WEIR__PCA_VALID, (double)sum[k + WEIR__PCA_VALUES].count);
  return WEIR_OK;
}

const weir_operator weir__pca_project = {.api             = WEIR_OPERATOR_API,
                                         .name            = "pca project",
                                         .inputs          = 1,
                                         .optional_inputs = 1,
                                         .params_size     = sizeof(weir__pca),
                                         .work            = 50,
                                         .accepts_missing = true,
                                         .infer           = project_infer,
                                         .apply           = project_apply,
                                         .scratch_size    = weir__pca_scratch,
                                         .partial_size    = project_size,
                                         .combine         = project_combine,
                                         .finish          = project_finish};

/* ---- residual: second pass, on what the first has left, so that its norm is not a difference of large numbers ---- */

static weir_status residual_infer(weir_infer *infer) { return infer_numbers(infer, RESIDUAL_SUMS); }

static size_t residual_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)in, (void)out;
  return sums_size(params, RESIDUAL_SUMS);
}

static void residual_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                             const void *from) {
  combine_sums(into, from, residual_size(params, in, out));
}

static weir_status residual_apply(const weir_apply *a) {
  const weir__pca *p     = a->params;
  const double    *first = weir__pca_numbers(&a->in[1]);
  weir_sum        *sum   = a->partial;
  weir__pca_rows   rows;
  if (!a->in[0].data || !first || !a->in[2].data) return WEIR_OK;
  weir__pca_open(&rows, p, &a->in[0], &a->in[0], &a->in[2], a->scratch);
  while (weir__pca_next(&rows)) {
    weir__pca_anomaly(&rows, true);
    weir__pca_subtract(&rows, first);
    add_products(&rows, first, sum, &sum[p->components]); /* 0: not in use yet */
  }
  return WEIR_OK;
}

static weir_status residual_finish(const weir_apply *a) {
  finish_sums(a, RESIDUAL_SUMS);
  return WEIR_OK;
}

const weir_operator weir__pca_residual = {.api             = WEIR_OPERATOR_API,
                                          .name            = "pca residual",
                                          .inputs          = 2,
                                          .optional_inputs = 1,
                                          .params_size     = sizeof(weir__pca),
                                          .work            = 50,
                                          .accepts_missing = true,
                                          .infer           = residual_infer,
                                          .apply           = residual_apply,
                                          .scratch_size    = weir__pca_scratch,
                                          .partial_size    = residual_size,
                                          .combine         = residual_combine,
                                          .finish          = residual_finish};

/* ---- dots: the anomaly of this step from the mean after it, on the components after it ---- */

static weir_status dots_infer(weir_infer *infer) { return infer_numbers(infer, 0); }

static size_t dots_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)in, (void)out;
  return sums_size(params, 0);
}

static void dots_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                         const void *from) {
  combine_sums(into, from, dots_size(params, in, out));
}

static weir_status dots_apply(const weir_apply *a) {
  weir_sum      *sum = a->partial;
  weir__pca_rows rows;
  if (!a->in[0].data || !a->in[1].data) return WEIR_OK;
  weir__pca_open(&rows, a->params, &a->in[0], &a->in[0], &a->in[1], a->scratch);
  while (weir__pca_next(&rows)) {
    weir__pca_anomaly(&rows, false);
    add_products(&rows, NULL, sum, NULL);
  }
  return WEIR_OK;
}

static weir_status dots_finish(const weir_apply *a) {
  finish_sums(a, 0);
  return WEIR_OK;
}

const weir_operator weir__pca_dots = {.api             = WEIR_OPERATOR_API,
                                      .name            = "pca dots",
                                      .inputs          = 2,
                                      .params_size     = sizeof(weir__pca),
                                      .work            = 50,
                                      .accepts_missing = true,
                                      .infer           = dots_infer,
                                      .apply           = dots_apply,
                                      .scratch_size    = weir__pca_scratch,
                                      .partial_size    = dots_size,
                                      .combine         = dots_combine,
                                      .finish          = dots_finish};
