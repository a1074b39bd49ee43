/* pca update: the part of the mean and the components that lies in one chunk, one step on. */
#include "core/simd.h"
#include "operators/common/pca.h"
#include <string.h>

/* Result: [slots, dimensions of f], split like f. */
static weir_status infer(weir_infer *infer) {
  const weir__pca *p   = infer->params;
  weir_field_type *out = &infer->out[0];
  *out                 = weir__result_type(infer->in[0], WEIR_F64, NULL);
  memmove(&out->dim[1], &out->dim[0], (size_t)out->rank * sizeof out->dim[0]);
  out->dim[0] = (weir_dimension){.name = "pca slot", .size = WEIR__PCA_BASIS + p->components};
  out->rank++;
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[0][a] = a < out->rank ? a - 1 : -1;
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  (void)params;
  if (input == 1) *region = weir__region_whole(in[1]);
  if (input == 2) *region = *out;
  if (input) return WEIR_OK;
  *region = weir__region_whole(in[0]);
  for (int a = 0; a < region->rank; a++) {
    region->start[a] = out->start[a + 1];
    region->count[a] = out->count[a + 1];
  }
  return WEIR_OK;
}

/* The mean of `count` values, and how many they are, with x, where it has a value. */
WEIR__WIDEST static void move_mean(const double *restrict x, const double *restrict from,
                                   const double *restrict counted, int64_t n, double *restrict mean,
                                   double *restrict count) {
  for (int64_t i = 0; i < n; i++) {
    double more = x[i] == x[i] ? 1 : 0, by = (x[i] - from[i]) / (counted[i] + 1);
    count[i] = counted[i] + more;
    mean[i]  = from[i] + (x[i] == x[i] ? by : 0);
  }
}

static void update_mean(weir__pca_rows *rows, const weir_view *out, double *mean, double *count) {
  move_mean(rows->x, rows->mean, rows->count, rows->n, mean, count);
  weir__pca_store(rows, out, WEIR__PCA_MEAN, mean);
  weir__pca_store(rows, out, WEIR__PCA_COUNT, count);
}

WEIR__WIDEST static void multiply(double w, const double *restrict x, int64_t n, double *restrict sum) {
  for (int64_t i = 0; i < n; i++) sum[i] = w * x[i];
}

static void update_components(weir__pca_rows *rows, const weir_view *out, const weir__pca_solution *s, double *sum) {
  int64_t k = rows->components;
  weir__pca_anomaly(rows, true);
  weir__pca_subtract(rows, s->first);
  weir__pca_subtract(rows, s->second);
  for (int64_t j = 0; j < k; j++) {
    multiply(s->rotation[k * k + j], rows->y, rows->n, sum);
    for (int64_t l = 0; l < k; l++) weir__pca_add(rows, l, s->rotation[l * k + j], sum);
    weir__pca_store(rows, out, WEIR__PCA_BASIS + j, sum);
  }
}

static weir_status apply(const weir_apply *a) {
  const weir__pca *p       = a->params;
  const double    *numbers = weir__pca_numbers(&a->in[1]);
  weir_view        shape   = weir__pca_inner(&a->out[0]);
  double          *own     = (double *)a->scratch + (p->components + WEIR__PCA_BUFFERS) * WEIR__PCA_SEGMENT;
  weir__pca_rows   rows;
  if (!numbers) { /* this step is no sample: all stays as it was */
    if (!a->in[2].data) return WEIR_END;
    weir__view_copy(&a->out[0], &a->in[2]);
    return WEIR_OK;
  }
  weir__pca_solution s = weir__pca_solution_at(numbers, p->components);
  weir__pca_open(&rows, p, &shape, &a->in[0], &a->in[2], a->scratch);
  while (weir__pca_next(&rows)) {
    update_components(&rows, &a->out[0], &s, own);
    update_mean(&rows, &a->out[0], own, own + WEIR__PCA_SEGMENT);
  }
  return WEIR_OK;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  return weir__pca_scratch(params, in, out) + (size_t)2 * WEIR__PCA_SEGMENT * sizeof(double);
}

const weir_operator weir__pca_update = {.api             = WEIR_OPERATOR_API,
                                        .name            = "pca update",
                                        .inputs          = 2,
                                        .optional_inputs = 1,
                                        .params_size     = sizeof(weir__pca),
                                        .work            = 100,
                                        .accepts_missing = true,
                                        .infer           = infer,
                                        .need            = need,
                                        .apply           = apply,
                                        .scratch_size    = scratch_size};
