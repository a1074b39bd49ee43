/* piv_predictor and piv_result: all vectors of a pass, validated, filled and smoothed. */
#include "operators/common/common.h"
#include "operators/piv/operators.h"
#include <math.h>
#include <string.h>

typedef struct memory {
  weir__piv_vector *vector;
  float            *before[2]; /* dy, dx */
  weir__piv_field   field;
  char             *rest;
  size_t            bytes;
} memory;

static memory lay_out(const weir__piv *p, const weir__piv_smoother *smoother, char *base) {
  const weir__piv_grid *grid = &p->settings[p->pass].grid;
  size_t                n = (size_t)(grid->count[0] * grid->count[1]), used = 0, rest;
  memory                m = {.field.grid = *grid};
  m.vector                = weir__piv_take(base, &used, n * sizeof *m.vector);
  m.before[0]             = weir__piv_take(base, &used, n * sizeof(float));
  m.before[1]             = weir__piv_take(base, &used, n * sizeof(float));
  m.field.dy              = weir__piv_take(base, &used, n * sizeof(float));
  m.field.dx              = weir__piv_take(base, &used, n * sizeof(float));
  m.field.correlation     = weir__piv_take(base, &used, n * sizeof(float));
  m.field.ratio           = weir__piv_take(base, &used, n * sizeof(float));
  m.field.flag            = weir__piv_take(base, &used, n);
  m.field.replaced        = weir__piv_take(base, &used, n);
  rest                    = weir__piv_validate_scratch(grid);
  if (smoother && weir__piv_smoother_scratch(smoother) > rest) rest = weir__piv_smoother_scratch(smoother);
  m.rest  = weir__piv_take(base, &used, rest);
  m.bytes = used;
  return m;
}

static float get(const weir_view *planes, int plane, int64_t row, int64_t column) {
  float value;
  memcpy(&value,
         (const char *)planes->data + plane * planes->stride[0] + row * planes->stride[1] + column * planes->stride[2],
         sizeof value);
  return value;
}

static void load(const weir_view *planes, const weir__piv_grid *grid, memory *m) {
  for (int64_t r = 0, i = 0; r < grid->count[0]; r++)
    for (int64_t c = 0; c < grid->count[1]; c++, i++) {
      weir__piv_vector *v = &m->vector[i];
      for (int k = 0; k < WEIR__PIV_PEAKS; k++) {
        v->dy[k]    = get(planes, WEIR__PIV_DY + k, r, c);
        v->dx[k]    = get(planes, WEIR__PIV_DX + k, r, c);
        v->value[k] = get(planes, WEIR__PIV_VALUE + k, r, c);
      }
      v->ratio        = get(planes, WEIR__PIV_RATIO_PLANE, r, c);
      v->flag         = (int8_t)get(planes, WEIR__PIV_FLAG_PLANE, r, c);
      m->before[0][i] = get(planes, WEIR__PIV_BEFORE_DY, r, c);
      m->before[1][i] = get(planes, WEIR__PIV_BEFORE_DX, r, c);
    }
}

static weir__piv_rules rules_of(const weir__piv *p) {
  weir__piv_rules rules = {.correlation = p->correlation,
                           .ratio       = p->ratio,
                           .longest     = p->longest > 0 ? p->longest : INFINITY,
                           .median      = p->median,
                           .noise       = p->noise,
                           .neighbours  = p->neighbours,
                           .second      = p->second,
                           .fill        = p->fill};
  /* what noise gives a plane falls as the planes that are averaged grow in number */
  if (p->ensemble > 1 && p->correlation > 0) rules.correlation /= sqrt((double)p->ensemble);
  const weir_list *limit[2] = {&p->v_limits, &p->u_limits};
  for (int k = 0; k < 2; k++) {
    rules.least[k] = limit[k]->count ? limit[k]->value[0] : -INFINITY;
    rules.most[k]  = limit[k]->count ? limit[k]->value[1] : INFINITY;
  }
  return rules;
}

static bool smooths(const weir__piv *p) {
  return p->smooth == WEIR__PIV_SMOOTH_ALL || (p->smooth == WEIR__PIV_SMOOTH_LAST && p->pass == p->passes - 1);
}

static weir_status find_field(const weir_apply *a, const weir__piv_rules *rules, memory *m) {
  const weir__piv          *p        = a->params;
  const weir__piv_smoother *smoother = a->context;
  *m                                 = lay_out(p, smoother, a->scratch);
  load(&a->in[0], &m->field.grid, m);
  weir__piv_validate(rules, m->vector, m->before[0], m->before[1], &m->field, m->rest);
  return smoother ? weir__piv_smooth(smoother, p->outlier, m->field.dy, m->field.dx, NULL, m->rest) : WEIR_OK;
}

/* ---- between passes ---- */

/* (-1, 4, 10, 4, -1) / 16 along one axis, of values `reach` apart: a wave of two of them is gone, one of four keeps
 * 3/4, cubics are unchanged. Beyond the ends the line goes on. */
static void filter_line(float *value, int64_t count, int64_t stride, int64_t reach, float *line) {
  float *x = line + 2 * reach, *end = x + count - 1;
  for (int64_t i = 0; i < count; i++) x[i] = value[i * stride];
  float before = (x[0] - x[reach]) / (float)reach, behind = (end[0] - end[-reach]) / (float)reach;
  for (int64_t k = 1; k <= 2 * reach; k++) {
    x[-k]  = x[0] + (float)k * before;
    end[k] = end[0] + (float)k * behind;
  }
  for (int64_t i = 0; i < count; i++)
    value[i * stride] =
        (10 * x[i] + 4 * (x[i - reach] + x[i + reach]) - (x[i - 2 * reach] + x[i + 2 * reach])) * 0.0625f;
}

/* A wave as short as the window or shorter gives no correction in the next pass, or one of the wrong sign: noise of
 * such lengths would stay or grow from pass to pass, so the predictor must have none (Schrijer & Scarano 2008, doi
 * 10.1007/s00348-008-0511-7). Where vectors are dense, with larger reaches too. */
static void filter(const weir__piv *p, float *value, float *line) {
  const weir__piv_grid *grid = &p->settings[p->pass].grid, *next = &p->settings[p->pass + 1].grid;
  for (int axis = 0; axis < 2; axis++) {
    int64_t lines = grid->count[!axis], count = grid->count[axis];
    int64_t window = grid->window[axis] > next->window[axis] ? grid->window[axis] : next->window[axis];
    for (int64_t reach = 1; 2 * reach * grid->step[axis] <= window && 2 * reach < count; reach *= 2)
      for (int64_t i = 0; i < lines; i++)
        filter_line(value + (axis ? i * grid->count[1] : i), count, axis ? 1 : grid->count[1], reach, line);
  }
}

static weir_status apply_predictor(const weir_apply *a) {
  const weir__piv *p     = a->params;
  weir__piv_rules  rules = rules_of(p);
  memory           m;
  rules.fill = true;
  WEIR_TRY(find_field(a, &rules, &m));
  float         *component[2] = {m.field.dy, m.field.dx};
  const int64_t *count        = m.field.grid.count;
  for (int k = 0; k < 2; k++) {
    weir__piv_fill(&m.field.grid, component[k], m.field.flag, true, m.rest);
    float *out = a->out[k].data;
    filter(p, component[k], (float *)(void *)m.rest);
    for (int64_t i = 0; i < count[0] * count[1]; i++) {
      float d = isfinite(component[k][i]) ? component[k][i] : 0; /* no vector at all in this pass */
      out[i]  = d > (float)p->reach ? (float)p->reach : d < -(float)p->reach ? -(float)p->reach : d;
    }
  }
  return WEIR_OK;
}

static weir_status infer_predictor(weir_infer *infer) {
  for (int k = 0; k < infer->outputs; k++) {
    weir_field_type out = *infer->in[0];
    out.rank            = 2;
    for (int a = 0; a < 2; a++) out.dim[a] = infer->in[0]->dim[a + 1];
    infer->out[k] = out;
    for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[k][a] = -1;
  }
  return WEIR_OK;
}

static weir_status make_smoother(const weir__piv *p, weir__piv_smoother **smoother) {
  *smoother = NULL;
  if (!smooths(p)) return WEIR_OK;
  return weir__piv_smoother_create(&p->settings[p->pass].grid, p->smoothing, p->domain, smoother);
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  weir__piv_smoother *smoother;
  (void)in, (void)out;
  if (make_smoother(params, &smoother)) return 0;
  size_t bytes = lay_out(params, smoother, NULL).bytes;
  weir__piv_smoother_destroy(&smoother);
  return bytes;
}

static weir_status prepare(const void *params, const weir_field_type *const *in, void **context) {
  weir__piv_smoother *smoother;
  (void)in;
  WEIR_TRY(make_smoother(params, &smoother));
  *context = smoother;
  return WEIR_OK;
}

static void release(void *context) {
  weir__piv_smoother *smoother = context;
  weir__piv_smoother_destroy(&smoother);
}

static const char *const planes_name[]     = {"planes"};
static const char *const predictor_names[] = {"dy", "dx"};

const weir_operator weir__piv_operator_predictor = {.api          = WEIR_OPERATOR_API,
                                                    .name         = "piv_predictor",
                                                    .summary      = "displacements for the next pass",
                                                    .inputs       = 1,
                                                    .input_names  = planes_name,
                                                    .outputs      = 2,
                                                    .output_names = predictor_names,
                                                    .params_size  = sizeof(weir__piv),
                                                    .work         = 100,
                                                    .infer        = infer_predictor,
                                                    .need         = weir__need_whole,
                                                    .apply        = apply_predictor,
                                                    .scratch_size = scratch_size,
                                                    .prepare      = prepare,
                                                    .release      = release};

/* ---- after the last ---- */

enum { U, V, CORRELATION, PEAK_RATIO, UNCERTAINTY_U, UNCERTAINTY_V, FLAG, REPLACED };

static weir_status apply_result(const weir_apply *a) {
  const weir__piv *p     = a->params;
  weir__piv_rules  rules = rules_of(p);
  const weir_view *in    = &a->in[0];
  float           *out[UNCERTAINTY_V + 1];
  int8_t          *flag = a->out[FLAG].data, *replaced = a->out[REPLACED].data;
  memory           m;
  WEIR_TRY(find_field(a, &rules, &m));
  for (int k = 0; k <= UNCERTAINTY_V; k++) out[k] = a->out[k].data;
  const weir__piv_field *f  = &m.field;
  float                  sx = (float)p->scale[1], sy = (float)p->scale[0];
  for (int64_t r = 0, i = 0; r < f->grid.count[0]; r++)
    for (int64_t c = 0; c < f->grid.count[1]; c++, i++) {
      out[U][i]             = f->dx[i] * sx;
      out[V][i]             = f->dy[i] * sy;
      out[CORRELATION][i]   = f->correlation[i];
      out[PEAK_RATIO][i]    = f->ratio[i];
      out[UNCERTAINTY_U][i] = get(in, WEIR__PIV_UNCERTAINTY_DX, r, c) * fabsf(sx);
      out[UNCERTAINTY_V][i] = get(in, WEIR__PIV_UNCERTAINTY_DY, r, c) * fabsf(sy);
      flag[i]               = f->flag[i];
      replaced[i]           = f->replaced[i];
    }
  return WEIR_OK;
}

static weir_status infer_result(weir_infer *infer) {
  static const weir_attribute flag_meaning[]     = {{.name = "flag_values", .text = "0, 1, 2, 3, 4, 5, 6, 7, 8"},
                                                    {.name = "flag_meanings",
                                                     .text =
                                                         "valid no_peak no_signal masked low_correlation low_peak_ratio "
                                                             "displacement_limits median_test neighbour_difference"}};
  static const weir_attribute replaced_meaning[] = {
      {.name = "flag_values", .text = "0, 1, 2, 3"},
      {.name = "flag_meanings", .text = "measured lower_peak interpolated none"}};
  const weir__piv *p = infer->params;
  WEIR_TRY(infer_predictor(infer));
  const weir_field_type *image = p->type;
  for (int k = 0; k < infer->outputs; k++) {
    weir_field_type *out = &infer->out[k];
    for (int a = 0; a < 2; a++) out->dim[a] = weir__piv_grid_dimension(&image->dim[a], &p->settings[p->pass].grid, a);
    out->units = k == U || k == UNCERTAINTY_U   ? weir__piv_units(infer, &image->dim[1], p->dt > 0)
                 : k == V || k == UNCERTAINTY_V ? weir__piv_units(infer, &image->dim[0], p->dt > 0)
                                                : "1";
    out->dtype = k < FLAG ? WEIR_F32 : WEIR_I8;
    if (k < FLAG) continue;
    out->has_fill        = true; /* of a couple that has none */
    out->fill            = -1;
    out->attributes      = k == FLAG ? flag_meaning : replaced_meaning;
    out->attribute_count = 2;
  }
  return WEIR_OK;
}

static const char *const result_names[] = {
    "u", "v", "correlation", "peak_ratio", "uncertainty_u", "uncertainty_v", "flag", "replaced"};

const weir_operator weir__piv_operator_result = {.api          = WEIR_OPERATOR_API,
                                                 .name         = "piv_result",
                                                 .summary      = "vectors of the last pass",
                                                 .inputs       = 1,
                                                 .input_names  = planes_name,
                                                 .outputs      = WEIR__PIV_RESULTS,
                                                 .output_names = result_names,
                                                 .params_size  = sizeof(weir__piv),
                                                 .work         = 100,
                                                 .infer        = infer_result,
                                                 .need         = weir__need_whole,
                                                 .apply        = apply_result,
                                                 .scratch_size = scratch_size,
                                                 .prepare      = prepare,
                                                 .release      = release};
