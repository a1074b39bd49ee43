/* slice: part of a field along one axis, or one index of it. */
#include "operators/common/common.h"

#define NOT_GIVEN (-0x1p62)

typedef struct slice {
  weir_axes axis;
  int64_t   from, to, step, at;
  int       along;
  bool      drop;
  int64_t   first, count;
} slice;

/* `value` counted from the end when it is negative. */
static int64_t from_end(int64_t value, int64_t size) { return value < 0 ? value + size : value; }

static weir_status find_range(slice *p, const weir_dimension *d) {
  int64_t unset = (int64_t)NOT_GIVEN, n = d->size;
  p->drop = p->at != unset;
  if (p->drop) {
    if (p->from != unset || p->to != unset || p->step != 1)
      return WEIR_FAIL(WEIR_ERR_INPUT, "slice: `at` takes one index; from, to and step have no meaning beside it");
    p->first = from_end(p->at, n);
    p->count = 1;
    if (p->first < 0 || p->first >= n)
      return WEIR_FAIL(WEIR_ERR_INPUT, "slice: at = %lld is outside of dimension \"%s\" with %lld elements",
                       (long long)p->at, d->name, (long long)n);
    return WEIR_OK;
  }
  int64_t from = p->from == unset ? 0 : from_end(p->from, n), to = p->to == unset ? n : from_end(p->to, n);
  if (from < 0 || to > n || from >= to)
    return WEIR_FAIL(WEIR_ERR_INPUT, "slice: from %lld to %lld is no range of dimension \"%s\" with %lld elements",
                     (long long)from, (long long)to, d->name, (long long)n);
  p->first = from;
  p->count = (to - from + p->step - 1) / p->step;
  return WEIR_OK;
}

static weir_status infer(weir_infer *infer) {
  slice                 *p   = infer->params;
  const weir_field_type *in  = infer->in[0];
  weir_field_type       *out = &infer->out[0];
  WEIR_TRY(weir__axis_one(&p->axis, in, "slice", &p->along));
  WEIR_TRY(find_range(p, &in->dim[p->along]));
  bool           horizontal = p->along >= in->rank - 2;
  weir_dimension d          = in->dim[p->along];
  double         shift      = weir__location_shift(in->location, in->rank, p->along);
  if (!p->drop && p->step == 1) shift = 0; /* the location stays */
  WEIR_TRY(weir__dimension_sampled(infer, &d, p->first, p->step, p->count, 1, shift, &d));
  d.periodic = d.periodic && p->count == in->dim[p->along].size;
  if (horizontal && (p->drop || p->step != 1)) WEIR_TRY(weir__fold_location(infer, out, 1u << p->along));
  out->dim[p->along] = d;
  if (!p->drop) return WEIR_OK;
  out->rank--;
  for (int a = p->along; a < out->rank; a++) {
    out->dim[a]            = out->dim[a + 1];
    infer->from_axis[0][a] = a + 1;
  }
  infer->from_axis[0][out->rank] = -1;
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  const slice *p = params;
  weir_region  r = {.rank = in[0]->rank};
  (void)input;
  for (int a = 0, b = 0; a < r.rank; a++) {
    if (a == p->along) {
      int64_t start = p->drop ? 0 : out->start[a], count = p->drop ? 1 : out->count[a];
      r.start[a] = p->first + start * p->step;
      r.count[a] = (count - 1) * p->step + 1;
      b += !p->drop;
      continue;
    }
    r.start[a] = out->start[b];
    r.count[a] = out->count[b];
    b++;
  }
  *region = r;
  return WEIR_OK;
}

static weir_status apply(const weir_apply *a) {
  const slice *p    = a->params;
  weir_view    from = a->in[0];
  if (!p->drop) {
    from.stride[p->along] *= p->step;
    from.count[p->along] = a->out[0].count[p->along];
  } else {
    from.rank--;
    for (int k = p->along; k < from.rank; k++) {
      from.start[k]  = from.start[k + 1];
      from.count[k]  = from.count[k + 1];
      from.stride[k] = from.stride[k + 1];
    }
  }
  weir__view_copy(&a->out[0], &from);
  return WEIR_OK;
}

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"axis", WEIR_PARAM_AXES, offsetof(slice, axis), .required = true, .help = "the dimension"},
          {"from", WEIR_PARAM_INT, offsetof(slice, from), .fallback = NOT_GIVEN,
           .help = "first index; negative: from the end; default: 0"},
          {"to", WEIR_PARAM_INT, offsetof(slice, to), .fallback = NOT_GIVEN,
           .help = "index after the last; negative: from the end; default: all"},
          {"step", WEIR_PARAM_INT, offsetof(slice, step), .fallback = 1, .least = 1, .most = 0x1p52,
           .help = "from one index to the next"},
          {"at", WEIR_PARAM_INT, offsetof(slice, at), .fallback = NOT_GIVEN,
           .help = "one index; the result does not have the dimension"},
          {0},
};

const weir_operator weir_operator_slice = {
    .api         = WEIR_OPERATOR_API,
    .name        = "slice",
    .summary     = "part of a field along one dimension, or one index of it",
    .details     = "Indices from, from + step, ... below to, as in Python; or, with at, the field at one index without "
                   "that dimension. Values, type and units stay as they are.",
    .inputs      = 1,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(slice),
    .infer       = infer,
    .need        = need,
    .apply       = apply,
};
