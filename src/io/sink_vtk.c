#include "io/sinks.h"

static const char *const field_names[WEIR_INPUTS_MAX] = {"f1", "f2",  "f3",  "f4",  "f5",  "f6",  "f7",  "f8",
                                                         "f9", "f10", "f11", "f12", "f13", "f14", "f15", "f16"};

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__sink_vtk_params *p = params;
  (void)in, (void)out;
  return p->vtk ? weir__vtk_scratch_size(p->vtk) : 0;
}

/* A step in which nothing has a value that could have none has no file. */
static weir_status write_file(const weir_apply *a) {
  const weir__sink_vtk_params *p       = a->params;
  bool                         any     = false;
  bool                         waiting = false;
  for (int i = 0; i < a->inputs; i++) {
    if (p->is_static >> i & 1u) continue;
    waiting = true;
    any |= a->in[i].data && !a->in[i].missing;
  }
  if (waiting && !any) return WEIR_END;
  WEIR_TRY(weir__vtk_write(p->vtk, a->step, a->time, a->in, a->scratch));
  weir__sink_result(a, (double)a->step);
  return WEIR_OK;
}

const weir_operator weir__sink_vtk = {.api             = WEIR_OPERATOR_API,
                                      .name            = "write_vtk",
                                      .summary         = "write fields to a VTK file",
                                      .inputs          = 1,
                                      .optional_inputs = WEIR_INPUTS_MAX - 1,
                                      .input_names     = field_names,
                                      .params_size     = sizeof(weir__sink_vtk_params),
                                      .accepts_missing = true,
                                      .infer           = weir__sink_infer,
                                      .need            = weir__need_whole,
                                      .scratch_size    = scratch_size,
                                      .apply           = write_file};

static weir_status commit(const weir_apply *a) {
  const weir__sink_vtk_params *p = a->params;
  if (!a->in[0].missing) WEIR_TRY(weir__vtk_commit(p->vtk, a->step, a->time));
  weir__sink_result(a, (double)a->step);
  return WEIR_OK;
}

const weir_operator weir__sink_vtk_commit = {.api             = WEIR_OPERATOR_API,
                                             .name            = "commit_vtk",
                                             .summary         = "name a VTK file in its collection",
                                             .inputs          = 1,
                                             .input_names     = field_names,
                                             .params_size     = sizeof(weir__sink_vtk_params),
                                             .in_order        = true,
                                             .accepts_missing = true,
                                             .infer           = weir__sink_infer,
                                             .need            = weir__need_whole,
                                             .apply           = commit};
