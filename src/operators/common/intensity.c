#include "operators/common/intensity.h"
#include "core/memory.h"
#include <math.h>

weir_status weir__intensity_infer(weir_infer *infer) {
  const weir_field_type *in = infer->in[0];
  infer->out[0]             = weir__result_type(in, in->dtype, in->units);
  infer->out[0].has_fill    = in->has_fill;
  infer->out[0].fill        = in->fill;
  return WEIR_OK;
}

static weir__kind kind_of(const weir_field_type *type) { return weir__kind_of(type->dtype, type->has_fill); }

weir_status weir__intensity_prepare(const void *params, const weir_field_type *const *in, weir__intensity value,
                                    void **context) {
  weir__kind kind  = kind_of(in[0]);
  int64_t    count = kind == WEIR__KIND_U8 ? UINT8_MAX + 1 : UINT16_MAX + 1;
  void      *table;
  if (kind > WEIR__KIND_U16) return WEIR_OK;
  WEIR_TRY(weir__alloc_array((size_t)count, weir__kind_size(kind), &table));
  weir_view view = {
      .data = table, .dtype = in[0]->dtype, .rank = 1, .count = {count}, .stride = {(int64_t)weir__kind_size(kind)}};
  for (int64_t i = 0; i < count; i++) {
    double x = value(params, (double)i);
    weir_view_store(&view, &i, 1, &x);
  }
  *context = table;
  return WEIR_OK;
}

void weir__intensity_release(void *context) { weir__free(context); }

size_t weir__intensity_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)(out->rank ? out->count[out->rank - 1] : 1) * 2 * sizeof(double);
}

weir_status weir__intensity_apply(const weir_apply *a, weir__intensity value) {
  const weir_view *in = &a->in[0], *out = &a->out[0];
  int64_t          index[WEIR_RANK_MAX] = {0}, n = weir_view_row(out);
  double          *y = a->scratch, *buffer = y + n;
  weir__kind       kind = kind_of(a->in_type[0]);
  if (!weir_view_size(out)) return WEIR_OK;
  do {
    if (kind <= WEIR__KIND_U16) {
      weir__pixels_load(in, index, n, kind, y, buffer);
      if (kind == WEIR__KIND_U8)
        for (int64_t i = 0; i < n; i++) ((uint8_t *)y)[i] = ((const uint8_t *)a->context)[((uint8_t *)y)[i]];
      else
        for (int64_t i = 0; i < n; i++) ((uint16_t *)y)[i] = ((const uint16_t *)a->context)[((uint16_t *)y)[i]];
      weir__pixels_store(out, index, n, kind, y, buffer);
    } else {
      const double *x = weir_view_load(in, index, n, buffer);
      for (int64_t i = 0; i < n; i++) y[i] = x[i] == x[i] ? value(a->params, x[i]) : (double)NAN;
      weir_view_store(out, index, n, y);
    }
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}
