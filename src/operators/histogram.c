/* histogram: how many values fall into each of `bins` intervals of equal width. */
#include "operators/common/reduce.h"
#include <math.h>

typedef struct histogram {
  weir__reduce reduce;
  int64_t      bins;
  double       from, to;
} histogram;

static size_t size(const void *params, bool weighted) {
  const histogram *p = params;
  (void)weighted;
  return (size_t)p->bins * sizeof(int64_t);
}

static void add(const void *params, void *into, const double *x, const double *w, int64_t n) {
  const histogram *p     = params;
  int64_t         *count = into;
  double           width = p->to - p->from, bins = (double)p->bins;
  (void)w;
  for (int64_t i = 0; i < n; i++) {
    if (!(x[i] >= p->from && x[i] <= p->to)) continue;
    int64_t bin = (int64_t)((x[i] - p->from) / width * bins);
    count[bin < p->bins ? bin : p->bins - 1]++;
  }
}

static void combine(const void *params, bool weighted, void *into, const void *from) {
  const histogram *p     = params;
  int64_t         *to    = into;
  const int64_t   *count = from;
  (void)weighted;
  for (int64_t i = 0; i < p->bins; i++) to[i] += count[i];
}

static void value(const void *params, bool weighted, const void *from, double *result) {
  const histogram *p     = params;
  const int64_t   *count = from;
  (void)weighted;
  for (int64_t i = 0; i < p->bins; i++) result[i] = (double)count[i];
}

static const weir__accumulator kind = {size, add, combine, value, NULL};

static weir_status infer(weir_infer *infer) {
  histogram       *p   = infer->params;
  weir_field_type *out = &infer->out[0];
  if (!(p->to > p->from) || !isfinite(p->to - p->from))
    return WEIR_FAIL(WEIR_ERR_INPUT, "histogram: from (%g) must be less than to (%g), both finite", p->from, p->to);
  WEIR_TRY(weir__reduce_infer(infer, &kind, "1"));
  if (out->rank == WEIR_RANK_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "histogram: a result of %d dimensions is too many, at most %d", out->rank + 1,
                     WEIR_RANK_MAX);
  if (weir__axis_find(out, "bin") >= 0)
    return WEIR_FAIL(WEIR_ERR_INPUT, "histogram: the field has a dimension \"bin\" already, name it in `axes`");
  double width   = (p->to - p->from) / (double)p->bins;
  p->reduce.bins = p->bins;
  out->dtype     = WEIR_I64;
  /* A location refers to the last two axes, and the bins are one of them now. */
  WEIR_TRY(weir__fold_location(infer, out, 0));
  out->dim[out->rank] = (weir_dimension){
      .name = "bin", .size = p->bins, .units = infer->in[0]->units, .origin = p->from + width / 2, .spacing = width};
  infer->from_axis[0][out->rank++] = -1;
  return WEIR_OK;
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"bins", WEIR_PARAM_INT, offsetof(histogram, bins), .required = true, .least = 1, .most = 1 << 24,
           .help = "number of intervals"},
          {"from", WEIR_PARAM_REAL, offsetof(histogram, from), .required = true,
           .help = "lower end of the first interval, in units of f"},
          {"to", WEIR_PARAM_REAL, offsetof(histogram, to), .required = true,
           .help = "upper end of the last interval, in units of f"},
          WEIR__PARAM_REDUCE_AXES,
          {0},
};

const weir_operator weir_operator_histogram = {
    .api     = WEIR_OPERATOR_API,
    .name    = "histogram",
    .summary = "counts of values in intervals of equal width",
    .details =
        "The result has the dimension bin (centres of the intervals as coordinate) after the dimensions of f that are "
        "not reduced; counts are int64. An interval holds its lower end; the last one holds both ends. Values outside "
        "[from, to] and missing values are not counted. The same for any chunks, threads and workers.",
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(histogram),
    .work        = 4,
    .infer       = infer,
    WEIR__REDUCE_FUNCTIONS,
};
