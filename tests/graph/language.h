/* A small world for tests of the language: operators and a graph with fields. Included by one file of a program each.
 */
#ifndef WEIR_TESTS_GRAPH_LANGUAGE_H
#define WEIR_TESTS_GRAPH_LANGUAGE_H
#include "graph/builder.h"
#include <string.h>

typedef struct language_params {
  double      real;
  int64_t     whole;
  bool        flag;
  int         choice;
  weir_axes   axes;
  const char *text;
  weir_list   list;
} language_params;

static weir_status language_apply(const weir_apply *a) {
  (void)a;
  return WEIR_OK;
}

static weir_status language_mean_infer(weir_infer *i) {
  const language_params *p = i->params;
  unsigned               mask;
  WEIR_TRY(weir_axes_resolve(&p->axes, i->in[0], &mask));
  i->out[0].rank = 0;
  for (int a = 0; a < i->in[0]->rank; a++) {
    if (mask >> a & 1) continue;
    i->from_axis[0][i->out[0].rank] = a;
    i->out[0].dim[i->out[0].rank++] = i->in[0]->dim[a];
  }
  return WEIR_OK;
}

static weir_status language_lag_infer(weir_infer *i) {
  i->lag[0] = ((const language_params *)i->params)->whole;
  return WEIR_OK;
}

static const char *const language_one[] = {"f", NULL}, *const language_weighted[] = {"f", "weights", NULL},
                         *const language_two[] = {"first", "second", NULL}, *const language_uv[] = {"u", "v", NULL},
                         *const language_modes[]       = {"same", "valid", NULL};
static const weir_param         language_lag_params[]  = {{.name     = "n",
                                                           .kind     = WEIR_PARAM_INT,
                                                           .offset   = offsetof(language_params, whole),
                                                           .fallback = 1,
                                                           .least    = 1,
                                                           .most     = 9},
                                                          {0}};
static const weir_param         language_mean_params[] = {
            {.name = "axes", .kind = WEIR_PARAM_AXES, .offset = offsetof(language_params, axes)}, {0}};
static const weir_param language_smooth_params[] = {
    {.name     = "width",
     .kind     = WEIR_PARAM_REAL,
     .offset   = offsetof(language_params, real),
     .required = true,
     .help     = "in cells"},
    {.name = "mode", .kind = WEIR_PARAM_CHOICE, .offset = offsetof(language_params, choice), .choices = language_modes},
    {.name = "twice", .kind = WEIR_PARAM_BOOL, .offset = offsetof(language_params, flag)},
    {.name = "label", .kind = WEIR_PARAM_TEXT, .offset = offsetof(language_params, text)},
    {.name = "sizes", .kind = WEIR_PARAM_LIST, .offset = offsetof(language_params, list), .least = 1, .most = 99},
    {0}};
static const weir_param language_scaled_params[] = {
    {.name = "factor", .kind = WEIR_PARAM_REAL, .offset = offsetof(language_params, real), .fallback = 3},
    {.name = "axes", .kind = WEIR_PARAM_AXES, .offset = offsetof(language_params, axes)},
    {0}};

#define LANGUAGE_OPERATOR(id, names, ...)                                                                              \
  static const weir_operator language_##id = {.api         = WEIR_OPERATOR_API,                                        \
                                              .name        = #id,                                                      \
                                              .inputs      = 1,                                                        \
                                              .input_names = names,                                                    \
                                              .apply       = language_apply,                                           \
                                              .params_size = sizeof(language_params),                                  \
                                              .params      = __VA_ARGS__}
LANGUAGE_OPERATOR(ddx, language_one, NULL);
LANGUAGE_OPERATOR(lag, language_one, language_lag_params, .infer = language_lag_infer);
LANGUAGE_OPERATOR(mean, language_weighted, language_mean_params, .infer = language_mean_infer, .optional_inputs = 1);
LANGUAGE_OPERATOR(max, language_one, language_mean_params, .infer = language_mean_infer);
LANGUAGE_OPERATOR(smooth, language_one, language_smooth_params);
#undef LANGUAGE_OPERATOR
static const weir_operator language_piv            = {.api          = WEIR_OPERATOR_API,
                                                      .name         = "piv",
                                                      .inputs       = 2,
                                                      .input_names  = language_two,
                                                      .outputs      = 2,
                                                      .output_names = language_uv,
                                                      .apply        = language_apply};
static const char          language_anomaly_text[] = "factor * (f - mean(f, weights=weights, axes=axes))";
static const weir_operator language_tendency       = {.api         = WEIR_OPERATOR_API,
                                                      .name        = "tendency",
                                                      .inputs      = 1,
                                                      .input_names = language_one,
                                                      .expression  = "(f - lag(f, 1)) / dt"};
static const weir_operator language_anomaly        = {.api             = WEIR_OPERATOR_API,
                                                      .name            = "anomaly",
                                                      .inputs          = 1,
                                                      .optional_inputs = 1,
                                                      .input_names     = language_weighted,
                                                      .params          = language_scaled_params,
                                                      .params_size     = sizeof(language_params),
                                                      .expression      = language_anomaly_text};
static const weir_operator language_loop           = {
              .api         = WEIR_OPERATOR_API,
              .name        = "loop",
              .inputs      = 1,
              .input_names = language_one,
              .expression  = "1 + loop(f)",
};
static const weir_operator language_wrong = {
    .api = WEIR_OPERATOR_API, .name = "wrong", .inputs = 1, .input_names = language_one, .expression = "f + g"};
static const weir_operator *const language_operators[] = {
    &language_ddx, &language_lag,      &language_mean,    &language_max,  &language_smooth,
    &language_piv, &language_tendency, &language_anomaly, &language_loop, &language_wrong,
    NULL};

static weir_status language_source(weir__graph *graph, const char *name, weir_dtype dtype, const char *dims,
                                   const char *units, weir_location location) {
  static const char *const names[] = {"z", "y", "x"};
  static const int64_t     sizes[] = {3, 16, 20};
  weir_field_type          type    = {.dtype = dtype, .units = units, .location = location};
  int                      node;
  for (const char *c = dims; *c; c++) {
    int which           = *c == 'z' ? 0 : *c == 'y' ? 1 : 2;
    type.dim[type.rank] = (weir_dimension){.name = names[which], .size = sizes[which], .spacing = 1};
    type.dim[type.rank].size += *c == 'X'; /* one x too many */
    type.rank++;
  }
  return weir__graph_add_source(graph, name, 0, 0, &type, NULL, false, &node);
}

/* Fields of several types, sizes, units and places; sources 0 ... 15; parameters wind and zwind. */
static weir_status language_graph(weir__graph **graph) {
  static const struct {
    const char   *name;
    weir_dtype    dtype;
    const char   *dims, *units;
    weir_location location;
  } fields[] = {{"u", WEIR_F64, "yx", "m s-1", WEIR_AT_U},
                {"v", WEIR_F64, "yx", "m s-1", WEIR_AT_V},
                {"a", WEIR_F64, "yx", NULL, 0},
                {"b", WEIR_F32, "yx", NULL, 0},
                {"image", WEIR_U8, "yx", NULL, 0},
                {"count", WEIR_I32, "yx", NULL, 0},
                {"depth", WEIR_F32, "z", "m", 0},
                {"t", WEIR_F32, "zyx", "K", WEIR_AT_T},
                {"turned", WEIR_F64, "xy", NULL, 0},
                {"wide", WEIR_F64, "yX", NULL, 0},
                {"ocean.salt", WEIR_F64, "yx", "1e-3", 0},
                {"ocean.eta", WEIR_F64, "yx", "m", 0},
                {"obs.eta", WEIR_F64, "yx", "m", 0},
                {"row", WEIR_F64, "y", NULL, 0},
                {"lat", WEIR_F64, "y", "degrees_north", 0},
                {"speed", WEIR_F64, "yx", "m/s", 0}};
  WEIR_TRY(weir__graph_create(language_operators, graph));
  (*graph)->time_units = "s";
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    WEIR_TRY(
        language_source(*graph, fields[i].name, fields[i].dtype, fields[i].dims, fields[i].units, fields[i].location));
  WEIR_TRY(weir__graph_parameter(*graph, "wind", 1.5));
  return weir__graph_parameter(*graph, "zwind", 2);
}
#endif
