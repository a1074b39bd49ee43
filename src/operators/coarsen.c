/* coarsen: means over blocks of `factor` neighbours along the named axes. */
#include "core/simd.h"
#include "operators/common/common.h"
#include <math.h>
#include <string.h>

typedef struct coarsen {
  int64_t   factor;
  weir_axes axes;
  unsigned  mask;
} coarsen;

static weir_status infer(weir_infer *infer) {
  coarsen               *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  weir_field_type        out;
  WEIR_TRY(weir_axes_resolve(&p->axes, in, &p->mask));
  out = weir__result_type(in, weir_dtype_floating(in->dtype), in->units);
  if (p->factor > 1) {
    for (int a = 0; a < in->rank; a++) {
      if (!(p->mask >> a & 1)) continue;
      int64_t blocks = (in->dim[a].size + p->factor - 1) / p->factor;
      double  shift  = weir__location_shift(in->location, in->rank, a);
      WEIR_TRY(weir__dimension_sampled(infer, &in->dim[a], 0, p->factor, blocks, p->factor, shift, &out.dim[a]));
      out.dim[a].periodic = in->dim[a].periodic && in->dim[a].size % p->factor == 0;
    }
    if (in->location != WEIR_AT_T) WEIR_TRY(weir__fold_location(infer, &out, p->mask));
  }
  infer->out[0] = out;
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  const coarsen *p = params;
  (void)input;
  *region = *out;
  for (int a = 0; a < out->rank; a++) {
    if (!(p->mask >> a & 1)) continue;
    int64_t end      = (out->start[a] + out->count[a]) * p->factor;
    region->start[a] = out->start[a] * p->factor;
    region->count[a] = (end < in[0]->dim[a].size ? end : in[0]->dim[a].size) - region->start[a];
  }
  return WEIR_OK;
}

/* Add the values of blocks of `width` neighbours to sums and counts. */
WEIR__INLINE void add_blocks(const double *x, int64_t blocks, int64_t width, double *restrict sum,
                             double *restrict count) {
  for (int64_t b = 0; b < blocks; b++) {
    double s = sum[b], c = count[b];
    for (int64_t k = 0; k < width; k++) {
      double v = x[b * width + k];
      s += v == v ? v : 0;
      c += v == v ? 1 : 0;
    }
    sum[b]   = s;
    count[b] = c;
  }
}

/* Add n values, `width` neighbours to each sum, fewer to the last. The usual widths are vectorised. */
WEIR__WIDE static void add(const double *x, int64_t n, int64_t width, double *sum, double *count) {
  int64_t blocks = n / width, done = blocks * width;
  switch (width) {
  case 1: add_blocks(x, blocks, 1, sum, count); break;
  case 2: add_blocks(x, blocks, 2, sum, count); break;
  case 4: add_blocks(x, blocks, 4, sum, count); break;
  default: add_blocks(x, blocks, width, sum, count);
  }
  if (done < n) add_blocks(x + done, 1, n - done, sum + blocks, count + blocks);
}

/* One row of the result: all rows of the input whose blocks it is made of. */
static void one_row(const weir_apply *a, const int64_t *index, double *sum, double *count, double *buffer) {
  const coarsen   *p    = a->params;
  const weir_view *in   = &a->in[0];
  int              last = in->rank - 1;
  int64_t          first[WEIR_RANK_MAX], end[WEIR_RANK_MAX], at[WEIR_RANK_MAX];
  for (int k = 0; k <= last; k++) {
    int64_t width = p->mask >> k & 1 ? p->factor : 1;
    first[k] = at[k] = k == last ? 0 : index[k] * width;
    end[k]           = first[k] + width < in->count[k] ? first[k] + width : in->count[k];
  }
  for (bool more = true; more;) {
    int64_t n = weir_view_row(in);
    add(weir_view_load(in, at, n, buffer), n, last >= 0 && p->mask >> last & 1 ? p->factor : 1, sum, count);
    more = false;
    for (int k = last - 1; k >= 0 && !more; k--) {
      if (++at[k] < end[k]) more = true;
      else at[k] = first[k];
    }
  }
}

static weir_status apply(const weir_apply *a) {
  const weir_view *out                  = &a->out[0];
  int64_t          index[WEIR_RANK_MAX] = {0}, n = weir_view_row(out);
  double          *sum = a->scratch, *count = sum + n, *buffer = count + n;
  if (!weir_view_size(out)) return WEIR_OK;
  do {
    memset(sum, 0, 2 * (size_t)n * sizeof *sum);
    one_row(a, index, sum, count, buffer);
    for (int64_t i = 0; i < n; i++) sum[i] = count[i] > 0 ? sum[i] / count[i] : (double)NAN;
    weir_view_store(out, index, n, sum);
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  weir_region region;
  int         last = out->rank - 1;
  need(params, in, 0, out, &region);
  return last < 0 ? 3 * sizeof(double) : (size_t)(2 * out->count[last] + region.count[last]) * sizeof(double);
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"factor", WEIR_PARAM_INT, offsetof(coarsen, factor), .required = true, .least = 1, .most = 1 << 30,
           .help = "neighbours in a block"},
          {"axes", WEIR_PARAM_AXES, offsetof(coarsen, axes), .help = "dimensions, as x or [y, x]; default: all"},
          {0},
};

const weir_operator weir_operator_coarsen = {
    .api          = WEIR_OPERATOR_API,
    .name         = "coarsen",
    .summary      = "means over blocks of neighbours",
    .details      = "Mean over blocks of `factor` neighbours along each named dimension. Missing values are skipped; a "
                    "block without any valid value is missing. Where the extent is no multiple of the factor, the last "
                    "block is smaller. The coordinate is the mean of those in the block.",
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(coarsen),
    .work         = 4,
    .infer        = infer,
    .need         = need,
    .apply        = apply,
    .scratch_size = scratch_size,
};
