#include "flip.h"
#include <stddef.h>

typedef struct flip {
  weir_axes axis;
  unsigned  mask;
} flip;

static weir_status infer(weir_infer *infer) {
  flip *p = infer->params;
  return weir_axes_resolve(&p->axis, infer->in[0], &p->mask);
}

/* The mirror image of a box. */
static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  const flip *p = params;
  *region       = *out;
  for (int a = 0; a < out->rank; a++)
    if (p->mask >> a & 1) region->start[a] = in[input]->dim[a].size - out->start[a] - out->count[a];
  return WEIR_OK;
}

enum { RUN = 512 };

/* `n` elements of a row from `to` on, taken from the end when the last axis is turned over. */
static void copy_run(const weir_apply *a, bool turned, int64_t *from, int64_t *to, int64_t at, int64_t n) {
  int           last = a->out[0].rank - 1;
  double        buffer[RUN], back[RUN];
  const double *x;
  from[last] = turned ? a->out[0].count[last] - at - n : at;
  to[last]   = at;
  x          = weir_view_load(&a->in[0], from, n, buffer);
  for (int64_t i = 0; turned && i < n; i++) back[i] = x[n - 1 - i];
  weir_view_store(&a->out[0], to, n, turned ? back : x);
}

static weir_status apply(const weir_apply *a) {
  const flip      *p                 = a->params;
  const weir_view *out               = &a->out[0];
  int64_t          to[WEIR_RANK_MAX] = {0}, from[WEIR_RANK_MAX] = {0}, row = weir_view_row(out);
  int              last = out->rank - 1;
  do {
    for (int d = 0; d < last; d++) from[d] = p->mask >> d & 1 ? out->count[d] - 1 - to[d] : to[d];
    for (int64_t at = 0; at < row; at += RUN)
      copy_run(a, p->mask >> last & 1, from, to, at, row - at < RUN ? row - at : RUN);
    to[last] = 0;
  } while (weir_view_next_row(out, to));
  return WEIR_OK;
}

static const char *const f_name[] = {"f"};
static const weir_param  params[] = {
     {"axis", WEIR_PARAM_AXES, offsetof(flip, axis), .required = true, .help = "dimensions that are turned over"}, {0}};

const weir_operator flip_operator = {.api         = WEIR_OPERATOR_API,
                                     .name        = "flip",
                                     .summary     = "a field turned over",
                                     .inputs      = 1,
                                     .input_names = f_name,
                                     .params      = params,
                                     .params_size = sizeof(flip),
                                     .infer       = infer,
                                     .need        = need,
                                     .apply       = apply};
