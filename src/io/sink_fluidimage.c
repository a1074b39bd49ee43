#include "io/sinks.h"

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__sink_fluidimage_params *p = params;
  (void)in, (void)out;
  return weir__fluidimage_scratch_size(p->terms);
}

/* A couple that has no result has no file. */
static weir_status write_file(const weir_apply *a) {
  const weir__sink_fluidimage_params *p = a->params;
  weir__sink_result(a, (double)a->step);
  if (a->in[0].missing || !a->in[0].data) return WEIR_OK;
  return weir__fluidimage_write(p->terms, a->step, a->in, a->scratch);
}

static const char *const field_names[] = {"u", "v", "correlation", "flag", "replaced"};

const weir_operator weir__sink_fluidimage = {.api             = WEIR_OPERATOR_API,
                                             .name            = "write_fluidimage",
                                             .summary         = "write vectors to a file of Fluidimage's layout",
                                             .inputs          = WEIR__FLUIDIMAGE_INPUTS,
                                             .input_names     = field_names,
                                             .params_size     = sizeof(weir__sink_fluidimage_params),
                                             .accepts_missing = true,
                                             .infer           = weir__sink_infer,
                                             .need            = weir__need_whole,
                                             .scratch_size    = scratch_size,
                                             .apply           = write_file};
