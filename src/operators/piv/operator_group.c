/* piv_group: the images of several steps, in the last of them, as one field [couple, y, x]. Passes after the first move
 * each of them by what all have shown, so that they must be at hand together; the state holds them until then. */
#include "operators/piv/operators.h"
#include <string.h>

enum { HEADER = 64 };
typedef struct header {
  int64_t present; /* steps of this group that had a value */
} header;

static size_t image_bytes(const weir_view *out) {
  return (size_t)(out->count[1] * out->count[2]) * weir_dtype_size(out->dtype);
}

/* From a view of two dimensions to dense memory. A step without a value has no contrast, and is masked as a whole. */
static void load(const weir_view *in, bool hides, size_t bytes, char *to) {
  size_t size = weir_dtype_size(in->dtype);
  if (in->missing) memset(to, hides ? 1 : 0, bytes);
  else
    for (int64_t y = 0; y < in->count[0]; y++) {
      const char *row = (const char *)in->data + y * in->stride[0];
      if (in->stride[1] == (int64_t)size)
        memcpy(to, row, (size_t)in->count[1] * size), to += in->count[1] * (int64_t)size;
      else
        for (int64_t x = 0; x < in->count[1]; x++, to += size) memcpy(to, row + x * in->stride[1], size);
    }
}

static void store(const weir_view *out, int64_t couple, const char *from) {
  size_t size = weir_dtype_size(out->dtype);
  for (int64_t y = 0; y < out->count[1]; y++) {
    char *row = (char *)out->data + couple * out->stride[0] + y * out->stride[1];
    for (int64_t x = 0; x < out->count[2]; x++, from += size) memcpy(row + x * out->stride[2], from, size);
  }
}

static weir_status apply(const weir_apply *a) {
  const weir__piv *p     = a->params;
  const weir_view *out   = &a->out[0];
  header          *h     = a->state;
  size_t           bytes = image_bytes(out);
  char            *image = (char *)a->state + HEADER;
  int64_t          at    = a->index % p->ensemble;
  if (!at) h->present = 0;
  h->present += !a->in[0].missing;
  load(&a->in[0], p->hides, bytes, image + (size_t)at * bytes);
  if (at < p->ensemble - 1 || !h->present) return WEIR_END;
  for (int64_t k = 0; k < p->ensemble; k++) store(out, k, image + (size_t)k * bytes);
  return WEIR_OK;
}

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__piv *p = params;
  return HEADER + (size_t)(p->ensemble * out->count[1] * out->count[2]) * weir_dtype_size(in[0]->dtype);
}

static weir_status infer(weir_infer *infer) {
  const weir__piv       *p   = infer->params;
  const weir_field_type *in  = infer->in[0];
  weir_field_type        out = *in;
  out.rank                   = 3;
  out.dim[0]                 = (weir_dimension){.name = "couple", .size = p->ensemble};
  infer->from_axis[0][0]     = -1;
  for (int k = 0; k < 2; k++) out.dim[k + 1] = in->dim[k], infer->from_axis[0][k + 1] = k;
  infer->out[0] = out;
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  (void)params, (void)in, (void)input;
  *region = (weir_region){.rank = 2, .start = {out->start[1], out->start[2]}, .count = {out->count[1], out->count[2]}};
  return WEIR_OK;
}

static const char *const input_names[] = {"f"};

const weir_operator weir__piv_operator_group = {.api             = WEIR_OPERATOR_API,
                                                .name            = "piv_group",
                                                .summary         = "images of several steps as one field",
                                                .inputs          = 1,
                                                .input_names     = input_names,
                                                .params_size     = sizeof(weir__piv),
                                                .in_order        = true,
                                                .accepts_missing = true,
                                                .infer           = infer,
                                                .need            = need,
                                                .apply           = apply,
                                                .state_size      = state_size};
