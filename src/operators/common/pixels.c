#include "operators/common/pixels.h"
#include <math.h>
#include <string.h>

weir__kind weir__kind_of(weir_dtype dtype, bool has_fill) {
  switch (dtype) {
  case WEIR_U8: return has_fill ? WEIR__KIND_F32 : WEIR__KIND_U8;
  case WEIR_U16: return has_fill ? WEIR__KIND_F32 : WEIR__KIND_U16;
  case WEIR_I8:
  case WEIR_I16:
  case WEIR_F32: return WEIR__KIND_F32;
  default: return WEIR__KIND_F64;
  }
}

size_t weir__kind_size(weir__kind kind) {
  static const size_t size[] = {sizeof(uint8_t), sizeof(uint16_t), sizeof(float), sizeof(double)};
  return size[kind];
}

static bool same_type(weir__kind kind, const weir_view *view) {
  static const weir_dtype dtype[] = {WEIR_U8, WEIR_U16, WEIR_F32, WEIR_F64};
  return view->dtype == dtype[kind] && !view->has_fill;
}

static char *element(const weir_view *view, const int64_t *index) {
  char *p = view->data;
  for (int a = 0; a < view->rank; a++) p += index[a] * view->stride[a];
  return p;
}

static int64_t inner_stride(const weir_view *view) { return view->rank ? view->stride[view->rank - 1] : 0; }

bool weir__pixels_load(const weir_view *view, const int64_t *index, int64_t n, weir__kind kind, void *row,
                       double *buffer) {
  bool    missing = false;
  int64_t size    = (int64_t)weir__kind_size(kind);
  if (kind <= WEIR__KIND_U16) {
    const char *from = element(view, index);
    if (inner_stride(view) == size) memcpy(row, from, (size_t)(n * size));
    else
      for (int64_t i = 0; i < n; i++) memcpy((char *)row + i * size, from + i * inner_stride(view), (size_t)size);
    return false;
  }
  if (kind == WEIR__KIND_F32 && same_type(kind, view) && inner_stride(view) == size) {
    const float *x = (const float *)(const void *)element(view, index);
    float       *y = row;
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + 0.0f, missing |= x[i] != x[i];
    return missing;
  }
  const double *x = weir_view_load(view, index, n, buffer);
  if (kind == WEIR__KIND_F32) {
    float *y = row;
    for (int64_t i = 0; i < n; i++) y[i] = (float)x[i] + 0.0f, missing |= x[i] != x[i];
  } else {
    double *y = row;
    for (int64_t i = 0; i < n; i++) y[i] = x[i] + 0.0, missing |= x[i] != x[i];
  }
  return missing;
}

void weir__pixels_store(const weir_view *view, const int64_t *index, int64_t n, weir__kind kind, const void *row,
                        double *buffer) {
  int64_t size = (int64_t)weir__kind_size(kind);
  if (same_type(kind, view)) {
    char *to = element(view, index);
    if (inner_stride(view) == size) memcpy(to, row, (size_t)(n * size));
    else
      for (int64_t i = 0; i < n; i++) memcpy(to + i * inner_stride(view), (const char *)row + i * size, (size_t)size);
    return;
  }
  switch (kind) {
  case WEIR__KIND_U8:
    for (int64_t i = 0; i < n; i++) buffer[i] = ((const uint8_t *)row)[i];
    break;
  case WEIR__KIND_U16:
    for (int64_t i = 0; i < n; i++) buffer[i] = ((const uint16_t *)row)[i];
    break;
  case WEIR__KIND_F32:
    for (int64_t i = 0; i < n; i++) buffer[i] = (double)((const float *)row)[i];
    break;
  case WEIR__KIND_F64: break;
  }
  weir_view_store(view, index, n, kind == WEIR__KIND_F64 ? row : buffer);
}

static weir_status check_rank(const weir_infer *infer, const char *operator_name) {
  int rank = infer->in[0]->rank;
  if (rank >= 2) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: an image, a field of at least 2 dimensions, is expected, this one has %d",
                   operator_name, rank);
}

weir_status weir__image_infer_same(weir_infer *infer, const char *operator_name) {
  const weir_field_type *in = infer->in[0];
  WEIR_TRY(check_rank(infer, operator_name));
  infer->out[0]          = weir__result_type(in, in->dtype, in->units);
  infer->out[0].has_fill = in->has_fill;
  infer->out[0].fill     = in->fill;
  return WEIR_OK;
}

weir_status weir__image_infer_floating(weir_infer *infer, const char *operator_name) {
  const weir_field_type *in = infer->in[0];
  WEIR_TRY(check_rank(infer, operator_name));
  infer->out[0] = weir__result_type(in, weir_dtype_floating(in->dtype), in->units);
  return WEIR_OK;
}

void weir__image_widen(const weir_region *out, int64_t halo, weir_region *region) {
  *region = *out;
  for (int a = out->rank - 2; a < out->rank; a++) {
    region->start[a] -= halo;
    region->count[a] += 2 * halo;
  }
}

bool weir__image_next(const weir_view *view, int64_t *index) {
  for (int a = view->rank - 3; a >= 0; a--) {
    if (++index[a] < view->count[a]) return true;
    index[a] = 0;
  }
  return false;
}
