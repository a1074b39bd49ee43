/* Levels of the pyramid: coefficients of B-splines, smaller images, and which pixels are of use. */
#include "field/field.h"
#include "operators/piv/flow.h"
#include "operators/piv/spline.h"
#include <math.h>
#include <string.h>

_Static_assert(WEIR__FLOW_EDGE == WEIR__SPLINE_BEFORE + WEIR__SPLINE_AFTER && WEIR__SPLINE_BEFORE == 1,
               "the edge of a plane is that of a spline");

size_t weir__flow_coefficients_scratch(int64_t columns) { return weir__spline_rows_scratch(columns); }

void weir__flow_coefficients(float *block, int64_t stride, int64_t rows, int64_t columns, void *scratch) {
  float *pixel = weir__flow_pixels(block, stride);
  weir__spline_columns(pixel, rows, columns, stride);
  weir__spline_rows((weir__spline_samples){pixel, stride}, pixel, rows, columns, stride, scratch);
  weir__spline_extend_rows(pixel, rows, columns, stride);
  weir__spline_extend_columns(pixel - 1, rows, columns + WEIR__FLOW_EDGE, stride);
}

/* ---- reducing ---- */

static const float burt[5] = {0.0625f, 0.25f, 0.375f, 0.25f, 0.0625f};

static int64_t within(int64_t i, int64_t n) { return i < 0 ? 0 : i >= n ? n - 1 : i; }

size_t weir__flow_reduce_scratch(int64_t columns) { return (size_t)(columns + 4) * sizeof(float); }

void weir__flow_reduce(const float *in, int64_t rows, int64_t columns, float *out, int64_t stride, void *scratch) {
  float *line = scratch, *middle = line + 2;
  for (int64_t y = 0; y < weir__flow_half(rows); y++, out += stride) {
    const float *row[5];
    for (int k = 0; k < 5; k++) row[k] = in + within(2 * y + k - 2, rows) * columns;
    for (int64_t x = 0; x < columns; x++)
      middle[x] = burt[0] * (row[0][x] + row[4][x]) + burt[1] * (row[1][x] + row[3][x]) + burt[2] * row[2][x];
    for (int k = 1; k <= 2; k++) middle[-k] = middle[0], middle[columns - 1 + k] = middle[columns - 1];
    for (int64_t x = 0; x < weir__flow_half(columns); x++) {
      const float *m = middle + 2 * x;
      out[x]         = burt[0] * (m[-2] + m[2]) + burt[1] * (m[-1] + m[1]) + burt[2] * m[0];
    }
  }
}

/* ---- operators ---- */

static int64_t row_floats(const weir_view *view) { return view->stride[0] / (int64_t)sizeof(float); }

static weir_status apply_coefficients(const weir_apply *a) {
  const weir_view *in     = &a->in[0];
  int64_t          stride = row_floats(&a->out[0]);
  float           *block = a->out[0].data, *pixel = weir__flow_pixels(block, stride);
  for (int64_t y = 0; y < in->count[0]; y++) weir__piv_load_row(in, y, 0, pixel + y * stride);
  weir__flow_coefficients(block, stride, in->count[0], in->count[1], a->scratch);
  return WEIR_OK;
}

static weir_status apply_reduce(const weir_apply *a) {
  const weir_view *in    = &a->in[0];
  size_t           line  = (weir__flow_reduce_scratch(in->count[1]) + 63) & ~(size_t)63;
  float           *image = (float *)(void *)((char *)a->scratch + line);
  for (int64_t y = 0; y < in->count[0]; y++) weir__piv_load_row(in, y, 0, image + y * in->count[1]);
  weir__flow_reduce(image, in->count[0], in->count[1], a->out[0].data, row_floats(&a->out[0]), a->scratch);
  return WEIR_OK;
}

static weir_status apply_valid(const weir_apply *a) {
  const weir_view *in  = &a->in[0];
  float           *out = a->out[0].data;
  for (int64_t y = 0; y < in->count[0]; y++, out += row_floats(&a->out[0])) {
    weir__piv_load_row(in, y, 1, out);
    for (int64_t x = 0; x < in->count[1]; x++) out[x] = out[x] == 0;
  }
  return WEIR_OK;
}

static weir_status infer_size(weir_infer *infer, int64_t rows, int64_t columns) {
  const weir_dimension *dim     = infer->in[0]->dim;
  const int64_t         size[2] = {rows, columns};
  infer->out[0]                 = (weir_field_type){.dtype = WEIR_F32, .rank = 2};
  for (int k = 0; k < 2; k++) infer->out[0].dim[k] = (weir_dimension){.name = dim[k].name, .size = size[k]};
  for (int k = 0; k < WEIR_RANK_MAX; k++) infer->from_axis[0][k] = -1;
  return WEIR_OK;
}

static weir_status infer_coefficients(weir_infer *infer) {
  const weir_dimension *dim = infer->in[0]->dim;
  return infer_size(infer, dim[0].size + WEIR__FLOW_EDGE, dim[1].size + WEIR__FLOW_EDGE);
}
static weir_status infer_reduce(weir_infer *infer) {
  const weir_dimension *dim = infer->in[0]->dim;
  return infer_size(infer, weir__flow_half(dim[0].size), weir__flow_half(dim[1].size));
}
static weir_status infer_valid(weir_infer *infer) {
  return infer_size(infer, infer->in[0]->dim[0].size, infer->in[0]->dim[1].size);
}

static size_t coefficients_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)out;
  return weir__flow_coefficients_scratch(in[0]->dim[1].size);
}

static size_t reduce_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)out;
  size_t line = (weir__flow_reduce_scratch(in[0]->dim[1].size) + 63) & ~(size_t)63;
  return line + (size_t)(in[0]->dim[0].size * in[0]->dim[1].size) * sizeof(float);
}

static const char *const image_name[] = {"image"}, *const mask_name[] = {"mask"};

const weir_operator weir__flow_operator_coefficients = {.api          = WEIR_OPERATOR_API,
                                                        .name         = "flow_coefficients",
                                                        .summary      = "an image as cubic B-splines",
                                                        .inputs       = 1,
                                                        .input_names  = image_name,
                                                        .params_size  = sizeof(weir__flow),
                                                        .work         = 10,
                                                        .infer        = infer_coefficients,
                                                        .need         = weir__need_whole,
                                                        .apply        = apply_coefficients,
                                                        .scratch_size = coefficients_scratch};

const weir_operator weir__flow_operator_reduce = {.api          = WEIR_OPERATOR_API,
                                                  .name         = "flow_reduce",
                                                  .summary      = "an image smoothed, of half the size",
                                                  .inputs       = 1,
                                                  .input_names  = image_name,
                                                  .params_size  = sizeof(weir__flow),
                                                  .work         = 20,
                                                  .infer        = infer_reduce,
                                                  .need         = weir__need_whole,
                                                  .apply        = apply_reduce,
                                                  .scratch_size = reduce_scratch};

const weir_operator weir__flow_operator_valid = {.api         = WEIR_OPERATOR_API,
                                                 .name        = "flow_valid",
                                                 .summary     = "1 where a mask is 0",
                                                 .inputs      = 1,
                                                 .input_names = mask_name,
                                                 .params_size = sizeof(weir__flow),
                                                 .work        = 2,
                                                 .infer       = infer_valid,
                                                 .need        = weir__need_whole,
                                                 .apply       = apply_valid};
