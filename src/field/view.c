/* Views: loads that turn missing values into NaN, stores that turn NaN into missing values, strided copies. */
#include "field/field.h"
#include <math.h>
#include <string.h>

static char *element(const weir_view *view, const int64_t *index) {
  char *p = view->data;
  for (int a = 0; a < view->rank; a++) p += index[a] * view->stride[a];
  return p;
}

const double *weir_view_load(const weir_view *view, const int64_t *index, int64_t n, double *buffer) {
  const char *p      = element(view, index);
  int64_t     stride = view->rank ? view->stride[view->rank - 1] : 0;
  if (view->dtype == WEIR_F64 && !view->has_fill && (stride == (int64_t)sizeof(double) || n <= 1))
    return (const double *)(const void *)p;
  switch (view->dtype) {
#define WEIR_VIEW_LOAD(name, value, text, type)                                                                        \
  case name:                                                                                                           \
    if (stride == (int64_t)sizeof(type)) {                                                                             \
      const type *x = (const type *)(const void *)p;                                                                   \
      for (int64_t i = 0; i < n; i++) buffer[i] = (double)x[i];                                                        \
    } else {                                                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                                                \
        type x;                                                                                                        \
        memcpy(&x, p + i * stride, sizeof x);                                                                          \
        buffer[i] = (double)x;                                                                                         \
      }                                                                                                                \
    }                                                                                                                  \
    break;
    WEIR_DTYPE_LIST(WEIR_VIEW_LOAD)
#undef WEIR_VIEW_LOAD
  }
  if (view->has_fill) {
    double fill = view->dtype == WEIR_F32 ? (double)(float)view->fill : view->fill;
    for (int64_t i = 0; i < n; i++) buffer[i] = buffer[i] == fill ? NAN : buffer[i];
  }
  return buffer;
}

/* Range of each integer type as doubles that convert back without overflow (2^63 itself does not fit int64). */
static void integer_range(weir_dtype dtype, double *least, double *most) {
  switch (dtype) {
  case WEIR_I8: *least = INT8_MIN, *most = INT8_MAX; break;
  case WEIR_I16: *least = INT16_MIN, *most = INT16_MAX; break;
  case WEIR_I32: *least = INT32_MIN, *most = INT32_MAX; break;
  case WEIR_I64: *least = -0x1p63, *most = 0x1.fffffffffffffp62; break;
  case WEIR_U8: *least = 0, *most = UINT8_MAX; break;
  case WEIR_U16: *least = 0, *most = UINT16_MAX; break;
  default: *least = *most = 0; break;
  }
}

static double to_integer(double x, double least, double most, double missing) {
  if (isnan(x)) x = isnan(missing) ? 0 : missing;
  x = nearbyint(x);
  return x < least ? least : x > most ? most : x;
}

void weir_view_store(const weir_view *view, const int64_t *index, int64_t n, const double *values) {
  char   *p      = element(view, index);
  int64_t stride = view->rank ? view->stride[view->rank - 1] : 0;
  double  least, most, missing = view->has_fill ? view->fill : 0;
  bool    floating = weir_dtype_is_floating(view->dtype);
  if (floating && !view->has_fill) {
    if (view->dtype == WEIR_F64 && stride == (int64_t)sizeof(double)) {
      memmove(p, values, (size_t)n * sizeof(double));
    } else if (view->dtype == WEIR_F64) {
      for (int64_t i = 0; i < n; i++) memcpy(p + i * stride, &values[i], sizeof(double));
    } else if (stride == (int64_t)sizeof(float)) {
      float *y = (float *)(void *)p;
      for (int64_t i = 0; i < n; i++) y[i] = (float)values[i];
    } else {
      for (int64_t i = 0; i < n; i++) {
        float y = (float)values[i];
        memcpy(p + i * stride, &y, sizeof y);
      }
    }
    return;
  }
  integer_range(view->dtype, &least, &most);
  switch (view->dtype) {
#define WEIR_VIEW_STORE(name, value, text, type)                                                                       \
  case name:                                                                                                           \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      double x = floating ? (isnan(values[i]) ? missing : values[i]) : to_integer(values[i], least, most, missing);    \
      type   y = (type)x;                                                                                              \
      memcpy(p + i * stride, &y, sizeof y);                                                                            \
    }                                                                                                                  \
    break;
    WEIR_DTYPE_LIST(WEIR_VIEW_STORE)
#undef WEIR_VIEW_STORE
  }
}

bool weir_view_next_row(const weir_view *view, int64_t *index) {
  for (int a = view->rank - 2; a >= 0; a--) {
    if (++index[a] < view->count[a]) return true;
    index[a] = 0;
  }
  return false;
}

weir_view weir__view_dense(void *data, const weir_field_type *type, const weir_region *region) {
  weir_view v = {
      .data = data, .dtype = type->dtype, .rank = type->rank, .has_fill = type->has_fill, .fill = type->fill};
  int64_t stride = (int64_t)weir_dtype_size(type->dtype);
  for (int a = type->rank - 1; a >= 0; a--) {
    v.start[a]  = region->start[a];
    v.count[a]  = region->count[a];
    v.stride[a] = stride;
    stride *= region->count[a];
  }
  return v;
}

double *weir__view_direct(const weir_view *view, const int64_t *index) {
  if (view->dtype != WEIR_F64 || view->has_fill || view->rank < 1 ||
      view->stride[view->rank - 1] != (int64_t)sizeof(double))
    return NULL;
  return (double *)(void *)element(view, index);
}

weir_view weir__view_narrow(const weir_view *view, const weir_region *region) {
  weir_view v = *view;
  char     *p = view->data;
  for (int a = 0; a < view->rank; a++) {
    if (p) p += (region->start[a] - view->start[a]) * view->stride[a];
    v.start[a] = region->start[a];
    v.count[a] = region->count[a];
  }
  v.data = p;
  return v;
}

/* Rows of `count` elements of `size` bytes, as long as both sides are dense. */
static void copy_box(int rank, const int64_t *count, int64_t size, char *to, const int64_t *to_stride, const char *from,
                     const int64_t *from_stride) {
  int64_t run = size, index[WEIR_RANK_MAX] = {0};
  int     axis = rank - 1; /* axes after `axis` are one dense run in both */
  for (int a = 0; a < rank; a++)
    if (count[a] <= 0) return;
  while (axis >= 0 && to_stride[axis] == run && from_stride[axis] == run) run *= count[axis--];
  for (;;) {
    char       *t = to;
    const char *f = from;
    for (int a = 0; a <= axis; a++) t += index[a] * to_stride[a], f += index[a] * from_stride[a];
    memcpy(t, f, (size_t)run);
    int a = axis;
    for (; a >= 0; a--) {
      if (++index[a] < count[a]) break;
      index[a] = 0;
    }
    if (a < 0) return;
  }
}

void weir__view_copy(const weir_view *to, const weir_view *from) {
  copy_box(to->rank, to->count, (int64_t)weir_dtype_size(to->dtype), to->data, to->stride, from->data, from->stride);
}

void weir__copy_from_dense(const weir_view *to, const int64_t *target, const void *data, const weir_region *held,
                           const weir_region *part) {
  int64_t     size = (int64_t)weir_dtype_size(to->dtype), stride = size, from_stride[WEIR_RANK_MAX];
  const char *from = data;
  char       *into = to->data;
  for (int a = to->rank - 1; a >= 0; a--) {
    from_stride[a] = stride;
    from += (part->start[a] - held->start[a]) * stride;
    into += (target[a] - to->start[a]) * to->stride[a];
    stride *= held->count[a];
  }
  copy_box(to->rank, part->count, size, into, to->stride, from, from_stride);
}

void weir__view_fill_missing(const weir_view *view) {
  enum { RUN = 256 };
  double  missing[RUN];
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(view);
  for (int i = 0; i < RUN; i++) missing[i] = NAN;
  if (!weir_view_size(view)) return;
  do {
    int64_t at[WEIR_RANK_MAX];
    memcpy(at, index, sizeof at);
    for (int64_t i = 0; i < row; i += RUN) {
      if (view->rank) at[view->rank - 1] = i;
      weir_view_store(view, at, row - i < RUN ? row - i : RUN, missing);
    }
  } while (weir_view_next_row(view, index));
}
