/* dewarp: an image as it would look straight from the front, on a regular grid in metres. */
#include "operators/common/common.h"
#include "operators/piv/spline.h"
#include "operators/piv/world.h"
#include <math.h>
#include <string.h>

enum { BLOCK_ROWS = 64, NEAR = 4 /* rows and columns from one place looked at by `need` to the next */ };

typedef struct dewarp {
  const char         *calibration;
  weir__world         world;
  const weir__camera *camera;
} dewarp;

static weir_status infer(weir_infer *infer) {
  dewarp                *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  weir__world_view       view;
  WEIR_TRY(weir__world_check_field("dewarp", in));
  WEIR_TRY(weir__world_camera(infer, "dewarp", p->calibration, &p->camera));
  view = (weir__world_view){p->camera, in};
  WEIR_TRY(weir__world_settle("dewarp", &p->world, &view, 1));
  weir__world_result(infer, &p->world, 0, WEIR_F32, in->units);
  infer->block[0] = BLOCK_ROWS;
  return WEIR_OK;
}

/* ---- which pixels a block is made of ---- */

static bool find(const dewarp *p, const weir_field_type *in, int64_t row, int64_t column, double index[2]) {
  double at[3], image[2];
  weir__world_at(&p->world, row, column, at);
  if (!weir__camera_project(p->camera, at, image, NULL)) return false;
  weir__world_index(in, image, index);
  return true;
}

static void cover(const dewarp *p, const weir_field_type *in, int64_t row, int64_t column, double least[2],
                  double most[2]) {
  double index[2];
  if (!find(p, in, row, column, index)) return;
  for (int a = 0; a < 2; a++) least[a] = fmin(least[a], index[a]), most[a] = fmax(most[a], index[a]);
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  const dewarp *p        = params;
  const double  more     = WEIR__SPLINE_REACH + 2 + NEAR;
  double        least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
  int64_t       rows = out->count[0], columns = out->count[1];
  (void)input;
  for (int64_t r = 0; r < rows + NEAR - 1; r += NEAR)
    for (int64_t c = 0; c < columns + NEAR - 1; c += NEAR)
      cover(p, in[0], out->start[0] + (r < rows ? r : rows - 1), out->start[1] + (c < columns ? c : columns - 1), least,
            most);
  *region = (weir_region){.rank = 2};
  for (int a = 0; a < 2; a++) {
    int64_t size = in[0]->dim[a].size;
    double  low = fmax(floor(least[a] - more), 0), high = fmin(ceil(most[a] + more), (double)(size - 1));
    bool    any      = low <= high; /* else one element, of which nothing is taken */
    region->start[a] = any ? (int64_t)low : 0;
    region->count[a] = any ? (int64_t)high - region->start[a] + 1 : 1;
  }
  return WEIR_OK;
}

/* ---- the pixels as a spline ---- */

typedef struct block {
  float         *at; /* coefficient of the first pixel of the region; there are more before and behind */
  int64_t        rows, columns, stride;
  unsigned char *missing; /* per pixel; NULL: none is */
  void          *rest;
  size_t         bytes;
} block;

static block lay_out(const weir_field_type *in, int64_t rows, int64_t columns, char *base) {
  enum { MORE = WEIR__SPLINE_BEFORE + WEIR__SPLINE_AFTER };
  block  b     = {.rows = rows, .columns = columns, .stride = columns + MORE};
  size_t plane = (size_t)((rows + MORE) * b.stride) * sizeof(float), used = (plane + 63) & ~(size_t)63;
  b.at = base ? (float *)(void *)base + WEIR__SPLINE_BEFORE * b.stride + WEIR__SPLINE_BEFORE : NULL;
  if (weir_dtype_may_miss(in->dtype, in->has_fill)) {
    b.missing = base ? (unsigned char *)base + used : NULL;
    used += ((size_t)(rows * columns) + 63) & ~(size_t)63;
  }
  b.rest  = base ? base + used : NULL;
  b.bytes = used + weir__spline_rows_scratch(columns > 256 ? columns : 256);
  return b;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  weir_region region;
  if (need(params, in, 0, out, &region) < 0) return 0;
  return lay_out(in[0], region.count[0], region.count[1], NULL).bytes;
}

/* A missing pixel counts as 0 for those around it. */
static void load(const weir_view *in, const block *b) {
  double *buffer = b->rest;
  for (int64_t y = 0; y < b->rows; y++)
    for (int64_t x = 0; x < b->columns; x += 256) {
      int64_t        index[2] = {y, x}, n = b->columns - x < 256 ? b->columns - x : 256;
      const double  *value   = weir_view_load(in, index, n, buffer);
      float         *to      = b->at + y * b->stride + x;
      unsigned char *missing = b->missing ? b->missing + y * b->columns + x : NULL;
      for (int64_t i = 0; i < n; i++) {
        bool finite = isfinite(value[i]);
        to[i]       = finite ? (float)value[i] : 0;
        if (missing) missing[i] = !finite;
      }
    }
}

/* Weights of the cubic B-spline's four coefficients around a place `t` of the way from the second to the third. */
static void weigh(float t, float w[4]) {
  float s = 1 - t, t2 = t * t, s2 = s * s;
  w[0] = s2 * s / 6;
  w[1] = 2.0F / 3 - t2 * (2 - t) / 2;
  w[2] = 2.0F / 3 - s2 * (2 - s) / 2;
  w[3] = t2 * t / 6;
}

/* The spline at an index relative to the block; NaN where the nearest pixel is missing. */
static float value_at(const block *b, const double index[2]) {
  int64_t base[2], size[2] = {b->rows, b->columns};
  float   w[2][4], sum     = 0;
  for (int a = 0; a < 2; a++) {
    base[a] = (int64_t)floor(index[a]);
    if (base[a] > size[a] - 2 && size[a] > 1) base[a] = size[a] - 2;
    if (base[a] < 0) base[a] = 0;
    weigh((float)(index[a] - (double)base[a]), w[a]);
  }
  if (b->missing && b->missing[llround(index[0]) * b->columns + llround(index[1])]) return NAN;
  const float *c = b->at + (base[0] - 1) * b->stride + base[1] - 1;
  for (int i = 0; i < 4; i++, c += b->stride)
    sum += w[0][i] * ((w[1][0] * c[0] + w[1][1] * c[1]) + (w[1][2] * c[2] + w[1][3] * c[3]));
  return sum;
}

/* ---- the operator ---- */

static bool bring_inside(double *index, int64_t size) {
  const double tiny = 1e-6; /* pixels: rounding of a place on the edge */
  if (!(*index >= -tiny && *index <= (double)(size - 1) + tiny)) return false;
  *index = fmin(fmax(*index, 0), (double)(size - 1));
  return true;
}

static weir_status apply(const weir_apply *a) {
  const dewarp          *p  = a->params;
  const weir_field_type *it = a->in_type[0];
  const weir_view       *in = &a->in[0], *out = &a->out[0];
  block                  b = lay_out(it, in->count[0], in->count[1], a->scratch);
  load(in, &b);
  weir__spline_columns(b.at, b.rows, b.columns, b.stride);
  weir__spline_rows((weir__spline_samples){b.at, b.stride}, b.at, b.rows, b.columns, b.stride, b.rest);
  weir__spline_extend_rows(b.at, b.rows, b.columns, b.stride);
  weir__spline_extend_columns(b.at - WEIR__SPLINE_BEFORE, b.rows, b.stride, b.stride);
  for (int64_t r = 0; r < out->count[0]; r++) {
    float *to = (float *)(void *)((char *)out->data + r * out->stride[0]);
    for (int64_t c = 0; c < out->count[1]; c++) {
      double index[2];
      float  value = NAN;
      if (find(p, it, out->start[0] + r, out->start[1] + c, index) && bring_inside(&index[0], it->dim[0].size) &&
          bring_inside(&index[1], it->dim[1].size)) {
        for (int k = 0; k < 2; k++) index[k] -= (double)in->start[k];
        value = value_at(&b, index);
      }
      memcpy((char *)to + c * out->stride[1], &value, sizeof value);
    }
  }
  return WEIR_OK;
}

static const char *const input_names[] = {"image"};
static const weir_param  params[] = {{"calibration", WEIR_PARAM_TEXT, offsetof(dewarp, calibration), .required = true,
                                      .help = "file that weir calibrate wrote, from the working directory"},
                                     WEIR__PARAMS_WORLD(dewarp),
                                     {0}};

const weir_operator weir_operator_dewarp = {
    .api     = WEIR_OPERATOR_API,
    .name    = "dewarp",
    .summary = "an image on a regular grid in m, by a camera's calibration",
    .details =
        "The image (or any field [y, x] on pixel positions, such as the correlation of vectors) at the places where "
        "the "
        "camera sees the points of a regular grid in the plane Z = z, x and y in m, the lowest y first, by cubic "
        "B-splines (Unser 1999, doi 10.1109/79.799930). piv of two such images gives vectors in m (with dt m s-1). "
        "Missing outside of the image, which counts as 0 in piv: mask=image != image leaves it out. A missing pixel is "
        "missing in the result, too, and counts as 0 for those around it.",
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(dewarp),
    .work         = 60,
    .infer        = infer,
    .need         = need,
    .apply        = apply,
    .scratch_size = scratch_size,
};
