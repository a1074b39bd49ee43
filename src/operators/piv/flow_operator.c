/* flow_track: displacements of the points of a grid, there and back, in blocks of rows of them. */
#include "field/field.h"
#include "operators/piv/flow.h"
#include <math.h>

enum { U, V, FLAG, ERROR, EIGENVALUE };

static int64_t row_floats(const weir_view *view) { return view->stride[0] / (int64_t)sizeof(float); }

static void planes_of(const weir_apply *a, bool of_b, weir__flow_plane plane[WEIR__FLOW_LEVELS]) {
  const weir__flow *p = a->params;
  for (int k = 0; k < p->settings.levels; k++) {
    const weir_view *image = &a->in[(of_b ? WEIR__FLOW_LEVELS : 0) + k], *valid = &a->in[2 * WEIR__FLOW_LEVELS + k];
    plane[k] = (weir__flow_plane){.coefficient = image->data, .stride = row_floats(image)};
    if (p->has_mask) plane[k].valid = valid->data, plane[k].valid_stride = row_floats(valid);
    for (int d = 0; d < 2; d++) plane[k].size[d] = p->size[k][d];
  }
}

/* There and back; the distance to where it began, NaN where that is not looked at. */
static double track(const weir__flow *p, const weir__flow_plane *a, const weir__flow_plane *b, double y, double x,
                    weir__flow_vector *v, void *scratch) {
  weir__flow_vector back;
  weir__flow_track(&p->settings, a, b, y, x, v, scratch);
  if (v->flag) return NAN;
  if (p->longest > 0 && hypot(v->dy, v->dx) > p->longest) v->flag = WEIR__PIV_DISPLACEMENT;
  if (!(p->max_error > 0)) return NAN;
  weir__flow_track(&p->settings, b, a, y + v->dy, x + v->dx, &back, scratch);
  double error = back.flag ? NAN : hypot(v->dy + back.dy, v->dx + back.dx);
  if (!v->flag && !(error <= p->max_error)) v->flag = WEIR__PIV_BACK;
  return error;
}

/* The work of a window, then a row of each result. */
static size_t track_bytes(const weir__flow *p) { return (weir__flow_track_scratch(p->window) + 63) & ~(size_t)63; }

static weir_status apply(const weir_apply *a) {
  const weir__flow *p       = a->params;
  int64_t           columns = p->grid.count[1];
  double           *row     = (double *)(void *)((char *)a->scratch + track_bytes(p));
  weir__flow_plane  first[WEIR__FLOW_LEVELS], second[WEIR__FLOW_LEVELS];
  planes_of(a, false, first);
  planes_of(a, true, second);
  for (int64_t r = 0; r < a->out[0].count[0]; r++) {
    const int64_t index[2] = {r, 0};
    double        y        = weir__piv_centre(&p->grid, 0, a->out[0].start[0] + r);
    for (int64_t c = 0; c < columns; c++) {
      weir__flow_vector d;
      row[ERROR * columns + c]      = track(p, first, second, y, weir__piv_centre(&p->grid, 1, c), &d, a->scratch);
      row[U * columns + c]          = d.flag ? NAN : d.dx * p->scale[1];
      row[V * columns + c]          = d.flag ? NAN : d.dy * p->scale[0];
      row[FLAG * columns + c]       = d.flag;
      row[EIGENVALUE * columns + c] = d.eigenvalue;
    }
    for (int k = 0; k < WEIR__FLOW_RESULTS; k++) weir_view_store(&a->out[k], index, columns, row + k * columns);
  }
  return WEIR_OK;
}

static weir_status infer(weir_infer *infer) {
  static const weir_attribute meaning[] = {
      {.name = "flag_values", .text = "0, 1, 2, 3, 6, 9"},
      {.name = "flag_meanings", .text = "valid no_peak no_signal masked displacement_limits forward_backward"}};
  const weir__flow *p = infer->params;
  for (int k = 0; k < infer->outputs; k++) {
    weir_field_type *out = &infer->out[k];
    *out                 = (weir_field_type){.dtype = k == FLAG ? WEIR_I8 : WEIR_F32, .rank = 2};
    for (int d = 0; d < 2; d++) {
      out->dim[d]            = weir__piv_grid_dimension(&p->type->dim[d], &p->grid, d);
      infer->from_axis[k][d] = -1;
    }
    out->units = k == U       ? weir__piv_units(infer, &p->type->dim[1], p->dt > 0)
                 : k == V     ? weir__piv_units(infer, &p->type->dim[0], p->dt > 0)
                 : k == ERROR ? "pixel"
                 : k == FLAG  ? "1"
                              : "pixel-2";
    if (k != FLAG) continue;
    out->has_fill        = true; /* of a couple that has none */
    out->fill            = -1;
    out->attributes      = meaning;
    out->attribute_count = 2;
  }
  infer->block[0] = WEIR__FLOW_BLOCK_ROWS;
  return WEIR_OK;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__flow *p = params;
  (void)in, (void)out;
  return track_bytes(p) + (size_t)(WEIR__FLOW_RESULTS * p->grid.count[1]) * sizeof(double);
}

static const char *const input_names[]  = {"a0", "a1", "a2",     "a3",     "a4",     "b0",     "b1",    "b2",
                                           "b3", "b4", "valid0", "valid1", "valid2", "valid3", "valid4"};
static const char *const output_names[] = {"u", "v", "flag", "error", "eigenvalue"};

const weir_operator weir__flow_operator_track = {.api             = WEIR_OPERATOR_API,
                                                 .name            = "flow_track",
                                                 .summary         = "displacements of points, there and back",
                                                 .inputs          = 1,
                                                 .optional_inputs = WEIR__FLOW_INPUTS - 1,
                                                 .input_names     = input_names,
                                                 .outputs         = WEIR__FLOW_RESULTS,
                                                 .output_names    = output_names,
                                                 .params_size     = sizeof(weir__flow),
                                                 .work            = 50000,
                                                 .infer           = infer,
                                                 .need            = weir__need_whole,
                                                 .apply           = apply,
                                                 .scratch_size    = scratch_size};
