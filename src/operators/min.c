/* min: the smallest value. */
#include "operators/common/reduce.h"
#include <math.h>

typedef struct extreme {
  int64_t count; /* valid values; 0: `value` means nothing yet */
  double  value;
} extreme;

static size_t size(const void *params, bool weighted) {
  (void)params, (void)weighted;
  return sizeof(extreme);
}

static void add(const void *params, void *into, const double *x, const double *w, int64_t n) {
  enum { LANES = 8 };
  extreme *e = into;
  double   best[LANES];
  int64_t  valid = 0, i = 0;
  (void)params, (void)w;
  for (int k = 0; k < LANES; k++) best[k] = e->count ? e->value : (double)INFINITY;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) best[k] = x[i + k] < best[k] ? x[i + k] : best[k]; /* false for NaN */
  for (; i < n; i++) best[0] = x[i] < best[0] ? x[i] : best[0];
  for (i = 0; i < n; i++) valid += x[i] == x[i];
  for (int k = 1; k < LANES; k++) best[0] = best[k] < best[0] ? best[k] : best[0];
  e->value = best[0];
  e->count += valid;
}

static void combine(const void *params, bool weighted, void *into, const void *from) {
  const extreme *f = from;
  if (f->count) add(params, into, &f->value, NULL, 1), ((extreme *)into)->count += f->count - 1;
  (void)weighted;
}

static void value(const void *params, bool weighted, const void *from, double *result) {
  const extreme *e = from;
  (void)params, (void)weighted;
  *result = e->count ? e->value + 0.0 : NAN; /* -0 becomes +0: which zero came first must not show */
}

static const weir__accumulator kind = {size, add, combine, value};

static weir_status infer(weir_infer *infer) { return weir__reduce_infer(infer, &kind, infer->in[0]->units); }

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {WEIR__PARAM_REDUCE_AXES, {0}};

const weir_operator weir_operator_min = {
    .api         = WEIR_OPERATOR_API,
    .name        = "min",
    .summary     = "smallest value over all or the named dimensions",
    .details     = "The smallest value of f." WEIR__REDUCE_DETAILS,
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__reduce),
    .work        = 3,
    .infer       = infer,
    WEIR__REDUCE_FUNCTIONS,
};
