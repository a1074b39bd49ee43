#include "support/capture.h"
#include "field/field.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <weir/operator.h>

#include <cmocka.h>

static weir_status infer_nothing(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64};
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[0][a] = -1;
  return WEIR_OK;
}

static weir_status need_all(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                            weir_region *region) {
  (void)params, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}

static weir_status take(const weir_apply *a) {
  const capture *p                    = a->params;
  double        *to                   = p->values + a->ordinal * p->size;
  int64_t        index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->in[0]);
  if (p->calls) p->calls[a->ordinal]++;
  do {
    const double *x = weir_view_load(&a->in[0], index, n, to);
    if (x != to) memcpy(to, x, (size_t)n * sizeof *to);
    to += n;
  } while (weir_view_next_row(&a->in[0], index));
  weir_view_store(&a->out[0], NULL, 1, &(double){1});
  return WEIR_OK;
}

static const weir_operator sink = {.api         = WEIR_OPERATOR_API,
                                   .name        = "capture",
                                   .inputs      = 1,
                                   .params_size = sizeof(capture),
                                   .infer       = infer_nothing,
                                   .need        = need_all,
                                   .apply       = take};

int capture_add(weir__graph *graph, weir__edge edge, weir__trigger when, const capture *to) {
  int node, trigger;
  if (weir__graph_add_operator(graph, &sink, to, &edge, 1, NULL, (weir__place){0}, NULL, &node) < 0 ||
      weir__graph_trigger(graph, when, &trigger) < 0)
    fail_msg("%s", weir_error_last());
  weir__graph_want(graph, node, trigger);
  return trigger;
}

void capture_named(weir__graph *graph, const char *name, const capture *to) {
  weir__edge edge;
  assert_true(weir__graph_find(graph, name, &edge));
  capture_add(graph, edge, (weir__trigger){.period = 1}, to);
}
