/* Two small operators: a scalar out of the decisions of an earlier step, and scalars packed into one vector. */
#include "steer/parts.h"
#include <math.h>
#include <string.h>

/* ---- parameter ---- */

static weir_status infer_parameter(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64};
  return WEIR_OK;
}

static weir_status need_parameter(const void *params, const weir_field_type *const *in, int input,
                                  const weir_region *out, weir_region *region) {
  const weir__steering_scalar *p = params;
  (void)in, (void)input, (void)out;
  *region = (weir_region){.rank = 1, .start = {p->index}, .count = {1}};
  return WEIR_OK;
}

static weir_status apply_parameter(const weir_apply *a) {
  const weir__steering_scalar *p     = a->params;
  double                       value = p->value;
  if (a->in[0].data && !a->in[0].missing) memcpy(&value, a->in[0].data, sizeof value);
  memcpy(a->out[0].data, &value, sizeof value);
  return WEIR_OK;
}

static const char *const decisions_name[] = {"decisions"};

const weir_operator weir__operator_parameter = {.api             = WEIR_OPERATOR_API,
                                                .name            = "parameter",
                                                .summary         = "a parameter, from what was decided earlier",
                                                .optional_inputs = 1,
                                                .input_names     = decisions_name,
                                                .params_size     = sizeof(weir__steering_scalar),
                                                .accepts_missing = true,
                                                .infer           = infer_parameter,
                                                .need            = need_parameter,
                                                .apply           = apply_parameter};

/* ---- pack ---- */

static int64_t size_of(const weir_field_type *type) {
  weir_region whole = weir__region_whole(type);
  return weir__region_size(&whole);
}

static weir_status infer_pack(weir_infer *infer) {
  int64_t size = 0;
  for (int i = 0; i < infer->inputs; i++) size += size_of(infer->in[i]);
  infer->out[0]          = (weir_field_type){.dtype = WEIR_F64, .rank = 1};
  infer->out[0].dim[0]   = (weir_dimension){.name = "value", .size = size};
  infer->from_axis[0][0] = -1;
  return WEIR_OK;
}

/* What is missing is NaN. */
static weir_status apply_pack(const weir_apply *a) {
  double *to = a->out[0].data;
  for (int i = 0; i < a->inputs; i++) {
    const weir_view *in    = &a->in[i];
    int64_t          count = size_of(a->in_type[i]);
    bool             given = in->data && !in->missing;
    for (int64_t k = 0; k < count; k++) {
      int64_t at[WEIR_RANK_MAX] = {k};
      double  buffer;
      *to++ = given ? *weir_view_load(in, at, 1, &buffer) : (double)NAN;
    }
  }
  return WEIR_OK;
}

static const char *const names[WEIR_INPUTS_MAX] = {"f1", "f2",  "f3",  "f4",  "f5",  "f6",  "f7",  "f8",
                                                   "f9", "f10", "f11", "f12", "f13", "f14", "f15", "f16"};

const weir_operator weir__operator_pack = {.api             = WEIR_OPERATOR_API,
                                           .name            = "pack",
                                           .summary         = "numbers in one vector",
                                           .inputs          = 1,
                                           .optional_inputs = WEIR_INPUTS_MAX - 1,
                                           .input_names     = names,
                                           .accepts_missing = true,
                                           .infer           = infer_pack,
                                           .need            = weir__need_whole,
                                           .apply           = apply_pack};
