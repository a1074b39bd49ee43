/* What a user sees of pca: parts of the basis and of the solution. All take the solution too, so that they are missing
 * in a step that is no sample. */
#include "operators/common/pca.h"
#include <math.h>
#include <string.h>

/* ---- parts of the basis: inputs are the basis and the solution ---- */

/* The piece of a slot as a result; an element without any valid value so far has none. */
static const double *shown(const weir__pca_rows *rows, const double *x) {
  for (int64_t i = 0; i < rows->n; i++) rows->y[i] = rows->count[i] > 0 ? x[i] : (double)NAN;
  return rows->y;
}

static weir_status components_infer(weir_infer *infer) {
  const weir__pca *p     = infer->params;
  infer->out[0].dtype    = p->dtype;
  infer->out[0].units    = "1";
  infer->out[0].dim[0]   = (weir_dimension){.name = WEIR__PCA_DIMENSION, .size = p->components};
  infer->from_axis[0][0] = -1;
  return WEIR_OK;
}

static weir_status components_apply(const weir_apply *a) {
  weir_view      shape = weir__pca_inner(&a->out[0]);
  weir__pca_rows rows;
  weir__pca_open(&rows, a->params, &shape, NULL, &a->in[0], a->scratch);
  while (weir__pca_next(&rows))
    for (int64_t j = 0; j < rows.components; j++) weir__pca_store(&rows, &a->out[0], j, shown(&rows, rows.u[j]));
  return WEIR_OK;
}

static weir_status mean_infer(weir_infer *infer) {
  const weir__pca *p   = infer->params;
  weir_field_type *out = &infer->out[0];
  out->dtype           = p->dtype;
  out->units           = p->units;
  out->rank--;
  memmove(&out->dim[0], &out->dim[1], (size_t)out->rank * sizeof out->dim[0]);
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[0][a] = a < out->rank ? a + 1 : -1;
  return WEIR_OK;
}

static weir_status mean_apply(const weir_apply *a) {
  weir__pca_rows rows;
  weir__pca_open(&rows, a->params, &a->out[0], NULL, &a->in[0], a->scratch);
  while (weir__pca_next(&rows)) weir_view_store(&a->out[0], rows.index, rows.n, shown(&rows, rows.mean));
  return WEIR_OK;
}

const weir_operator weir__pca_components = {.api          = WEIR_OPERATOR_API,
                                            .name         = "pca components",
                                            .inputs       = 2,
                                            .params_size  = sizeof(weir__pca),
                                            .infer        = components_infer,
                                            .apply        = components_apply,
                                            .scratch_size = weir__pca_scratch};

const weir_operator weir__pca_mean = {.api          = WEIR_OPERATOR_API,
                                      .name         = "pca mean",
                                      .inputs       = 2,
                                      .params_size  = sizeof(weir__pca),
                                      .infer        = mean_infer,
                                      .apply        = mean_apply,
                                      .scratch_size = weir__pca_scratch};

/* ---- numbers, one per component ---- */

static weir_status numbers_infer(weir_infer *infer, const char *units) {
  const weir__pca *p = infer->params;
  infer->out[0]      = weir__pca_vector(WEIR__PCA_DIMENSION, p->components, units);
  weir__pca_unsplit(infer);
  return WEIR_OK;
}

static weir_status variance_infer(weir_infer *infer) {
  return numbers_infer(infer, weir__units_times(infer, "1", ((const weir__pca *)infer->params)->units, 2));
}

static weir_status variance_apply(const weir_apply *a) {
  const weir__pca *p    = a->params;
  int64_t          zero = 0;
  weir_view_store(&a->out[0], &zero, p->components,
                  weir__pca_solution_at(weir__pca_numbers(&a->in[0]), p->components).variance);
  return WEIR_OK;
}

static weir_status coefficients_infer(weir_infer *infer) {
  return numbers_infer(infer, ((const weir__pca *)infer->params)->units);
}

static weir_status coefficients_apply(const weir_apply *a) {
  int64_t zero = 0;
  weir_view_store(&a->out[0], &zero, ((const weir__pca *)a->params)->components, weir__pca_numbers(&a->in[0]));
  return WEIR_OK;
}

/* Input: the solution. */
const weir_operator weir__pca_variance = {.api         = WEIR_OPERATOR_API,
                                          .name        = "pca variance",
                                          .inputs      = 1,
                                          .params_size = sizeof(weir__pca),
                                          .infer       = variance_infer,
                                          .need        = weir__need_whole,
                                          .apply       = variance_apply};

/* Inputs: dots, the solution. */
const weir_operator weir__pca_coefficients = {.api         = WEIR_OPERATOR_API,
                                              .name        = "pca coefficients",
                                              .inputs      = 2,
                                              .params_size = sizeof(weir__pca),
                                              .infer       = coefficients_infer,
                                              .need        = weir__need_whole,
                                              .apply       = coefficients_apply};
