#include "io/sinks.h"
#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- maps and lines ---- */

/* Components of vectors lie on one grid in two dimensions. */
static weir_status check_vectors(const weir_infer *infer) {
  if (infer->inputs < 3) return WEIR_OK;
  const weir_field_type *u = infer->in[1], *v = infer->in[2];
  bool                   alike = u->rank == 2 && v->rank == 2;
  for (int a = 0; a < 2 && alike; a++)
    alike = u->dim[a].size == v->dim[a].size && !strcmp(u->dim[a].name, v->dim[a].name);
  if (alike) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "vectors: expected two fields [y, x] of one shape");
}

static weir_status infer_field(weir_infer *infer) {
  int dimensions = weir__plot_dimensions(infer->in[0]);
  if (dimensions < 1 || dimensions > 2)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "a field with %d dimensions cannot be drawn: 0 (a series), 1 (a line) or 2 (a map) were expected",
                     dimensions);
  WEIR_TRY(check_vectors(infer));
  return weir__sink_infer(infer);
}

static weir_status draw_field(const weir_apply *a) {
  const weir__sink_plot_params *p = a->params;
  char                          path[PATH_MAX];
  weir__sink_result(a, (double)a->step);
  if (a->in[0].missing || !a->in[0].data) return WEIR_OK;
  weir__plot_vectors vectors = {0};
  if (a->inputs == 3 && a->in[1].data && a->in[2].data && !a->in[1].missing && !a->in[2].missing)
    vectors = (weir__plot_vectors){a->in_type[1], {&a->in[1], &a->in[2]}};
  WEIR_TRY(weir__plot_path(p->path, a->step, path, sizeof path));
  return weir__plot_field(path, &p->options, a->in_type[0], &a->in[0], &vectors, a->step, a->time);
}

static const char *const field_names[] = {"field", "along_x", "along_y"};

const weir_operator weir__sink_plot = {.api             = WEIR_OPERATOR_API,
                                       .name            = "write_plot",
                                       .summary         = "draw a field",
                                       .inputs          = 1,
                                       .optional_inputs = 2,
                                       .input_names     = field_names,
                                       .params_size     = sizeof(weir__sink_plot_params),
                                       .accepts_missing = true,
                                       .infer           = infer_field,
                                       .need            = weir__need_whole,
                                       .apply           = draw_field};

/* ---- series ---- */

static weir_status infer_series(weir_infer *infer) {
  weir_region whole = weir__region_whole(infer->in[0]);
  if (weir__region_size(&whole) != 1) return WEIR_FAIL(WEIR_ERR_INPUT, "only a scalar can be drawn as a series");
  return weir__sink_infer(infer);
}

static size_t series_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in, (void)out;
  return sizeof(weir__plot_history);
}

static bool draws_now(const weir__trigger *when, const weir_apply *a) {
  if (!when->period && !(when->interval > 0)) return true;
  return weir__trigger_fires(when, a->step, a->time, a->time - a->dt);
}

static weir_status draw_series(const weir_apply *a) {
  const weir__sink_plot_series_params *p                    = a->params;
  static const int64_t                 first[WEIR_RANK_MAX] = {0};
  double                               value                = NAN, buffer;
  char                                 path[PATH_MAX];
  if (!a->in[0].missing && a->in[0].data) value = *weir_view_load(&a->in[0], first, 1, &buffer);
  weir__plot_history_add(a->state, a->time, value);
  weir__sink_result(a, (double)a->step);
  if (!draws_now(&p->when, a)) return WEIR_OK;
  WEIR_TRY(weir__plot_path(p->path, a->step, path, sizeof path));
  return weir__plot_series(path, &p->options, a->in_type[0]->units, a->state, a->step, a->time);
}

const weir_operator weir__sink_plot_series = {.api             = WEIR_OPERATOR_API,
                                              .name            = "write_series",
                                              .summary         = "draw a scalar over the steps so far",
                                              .inputs          = 1,
                                              .input_names     = field_names,
                                              .params_size     = sizeof(weir__sink_plot_series_params),
                                              .in_order        = true,
                                              .accepts_missing = true,
                                              .infer           = infer_series,
                                              .need            = weir__need_whole,
                                              .state_size      = series_size,
                                              .apply           = draw_series};
