#include "operators/common/series.h"

weir_status weir__series_infer(weir_infer *infer, int power) {
  const weir_field_type *in    = infer->in[0];
  const char            *units = power == 1 ? in->units : weir__units_times(infer, "1", in->units, power);
  infer->out[0]                = weir__result_type(in, weir_dtype_floating(in->dtype), units);
  return WEIR_OK;
}

weir_status weir__series_apply(const weir_apply *a, weir__series_row row) {
  const weir_view *out                  = &a->out[0];
  int64_t          index[WEIR_RANK_MAX] = {0}, n = weir_view_row(out), first = 0;
  double          *y = a->scratch, *buffer = y + n;
  if (!weir_view_size(out)) return WEIR_OK;
  do {
    row(a, weir_view_load(&a->in[0], index, n, buffer), y, first, n);
    if (!a->unseen) weir_view_store(out, index, n, y);
    first += n;
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}

size_t weir__series_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in;
  return (size_t)(out->rank ? out->count[out->rank - 1] : 1) * 2 * sizeof(double);
}
