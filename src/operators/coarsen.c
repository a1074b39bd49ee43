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

/* Add the values of blocks of `width` neighbours to sums, and, where some may be missing, count the others. */
WEIR__INLINE void add_blocks(bool counts, const double *x, int64_t blocks, int64_t width, double *restrict sum,
                             double *restrict count) {
  for (int64_t b = 0; b < blocks; b++) {
    double s = sum[b], c = counts ? count[b] : 0;
    for (int64_t k = 0; k < width; k++) {
      double v = x[b * width + k];
      if (counts) c += v == v ? 1 : 0;
      s += !counts || v == v ? v : 0;
    }
    sum[b] = s;
    if (counts) count[b] = c;
  }
}

/* Add n values, `width` neighbours to each sum, fewer to the last. The usual widths are vectorised. */
WEIR__WIDEST static void add(bool counts, const double *x, int64_t n, int64_t width, double *sum, double *count) {
  int64_t blocks = n / width, done = blocks * width;
  switch (width * 2 + counts) {
  case 2: add_blocks(false, x, blocks, 1, sum, count); break;
  case 3: add_blocks(true, x, blocks, 1, sum, count); break;
  case 4: add_blocks(false, x, blocks, 2, sum, count); break;
  case 5: add_blocks(true, x, blocks, 2, sum, count); break;
  case 8: add_blocks(false, x, blocks, 4, sum, count); break;
  case 9: add_blocks(true, x, blocks, 4, sum, count); break;
  default: add_blocks(counts, x, blocks, width, sum, count);
  }
  if (done < n) add_blocks(counts, x + done, 1, n - done, sum + blocks, count + blocks);
}

/* One row of the result: all rows of the input whose blocks it is made of; returns how many these are. */
static int64_t one_row(const weir_apply *a, const int64_t *index, bool counts, double *sum, double *count,
                       double *buffer) {
  const coarsen   *p    = a->params;
  const weir_view *in   = &a->in[0];
  int              last = in->rank - 1;
  int64_t          first[WEIR_RANK_MAX], end[WEIR_RANK_MAX], at[WEIR_RANK_MAX], rows = 0, n = weir_view_row(in);
  memset(sum, 0, (size_t)(count - sum) * (counts ? 2 : 1) * sizeof *sum);
  for (int k = 0; k <= last; k++) {
    int64_t width = p->mask >> k & 1 ? p->factor : 1;
    first[k] = at[k] = k == last ? 0 : index[k] * width;
    end[k]           = first[k] + width < in->count[k] ? first[k] + width : in->count[k];
  }
  for (bool more = true; more; rows++) {
    add(counts, weir_view_load(in, at, n, buffer), n, last >= 0 && p->mask >> last & 1 ? p->factor : 1, sum, count);
    more = false;
    for (int k = last - 1; k >= 0 && !more; k--) {
      if (++at[k] < end[k]) more = true;
      else at[k] = first[k];
    }
  }
  return rows;
}

/* The sums divided by how many values are in them; false when one is NaN, as it is where a value is missing. */
WEIR__WIDEST static bool divide_whole(const double *sum, int64_t n, double values, double *mean) {
  int64_t missing = 0;
  int     exponent;
  bool    exact = frexp(values, &exponent) == 0.5; /* a power of two has an inverse */
  for (int64_t i = 0; i < n; i++) missing += sum[i] != sum[i];
  if (exact)
    for (int64_t i = 0; i < n; i++) mean[i] = sum[i] * (1 / values);
  else
    for (int64_t i = 0; i < n; i++) mean[i] = sum[i] / values;
  return !missing;
}

static weir_status apply(const weir_apply *a) {
  const coarsen   *p   = a->params;
  const weir_view *out = &a->out[0], *in = &a->in[0];
  int64_t          index[WEIR_RANK_MAX] = {0}, n = weir_view_row(out), row = weir_view_row(in);
  int64_t          width = in->rank && p->mask >> (in->rank - 1) & 1 ? p->factor : 1, whole = row / width;
  double          *sum = a->scratch, *count = sum + n, *buffer = count + n;
  if (!weir_view_size(out)) return WEIR_OK;
  do {
    double *direct = weir__view_direct(out, index), *y = direct ? direct : sum;
    int64_t rows = one_row(a, index, false, sum, count, buffer);
    bool    full = divide_whole(sum, whole, (double)(width * rows), y);
    if (full && whole < n) full = divide_whole(sum + whole, 1, (double)((row - whole * width) * rows), y + whole);
    if (!full) {
      one_row(a, index, true, sum, count, buffer);
      for (int64_t i = 0; i < n; i++) y[i] = count[i] > 0 ? sum[i] / count[i] : (double)NAN;
    }
    if (!direct) weir_view_store(out, index, n, y);
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
