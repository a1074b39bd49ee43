/* optical_flow: displacements between two images, by following windows. The work is that of the records in
 * operators/piv/flow_*.c, which this puts together. */
#include "operators/common/common.h"
#include "operators/piv/flow.h"

static weir_status settle(weir__flow *p, const weir_expand *x) {
  const weir_field_type *mask = x->inputs > 2 ? x->in[2] : NULL;
  WEIR_TRY(weir__piv_check_images("optical_flow", x->in[0], x->in[1], mask));
  p->type                 = x->in[0];
  p->has_mask             = mask;
  p->settings             = (weir__flow_settings){.window     = p->window,
                                                  .iterations = p->iterations,
                                                  .epsilon    = p->epsilon,
                                                  .eigenvalue = p->min_eigenvalue,
                                                  .normalise  = p->normalise};
  const int64_t window[2] = {p->window, p->window}, step[2] = {p->step, p->step};
  for (int k = 0; k < 2; k++) {
    p->size[0][k] = x->in[0]->dim[k].size;
    p->scale[k]   = weir__uniform_spacing(&x->in[0]->dim[k]) / (p->dt > 0 ? p->dt : 1);
  }
  WEIR_TRY(weir__piv_grid_make(p->size[0], window, step, &p->grid));
  /* a level smaller than the window would know no more of places than the one below */
  for (p->settings.levels = 1; p->settings.levels < p->levels; p->settings.levels++) {
    int64_t *finer = p->size[p->settings.levels - 1], *size = p->size[p->settings.levels];
    for (int k = 0; k < 2; k++) size[k] = weir__flow_half(finer[k]);
    if (size[0] < p->window || size[1] < p->window) break;
  }
  return WEIR_OK;
}

/* The levels of an image, or of a mask, as inputs for flow_track. */
static weir_status add_levels(weir_expand *x, weir__flow *p, int input, bool is_mask, int *planes) {
  int level = input;
  if (is_mask) WEIR_TRY(weir_expand_add(x, &weir__flow_operator_valid, p, &input, 1, &level));
  for (p->level = 0; p->level < p->settings.levels; p->level++) {
    if (p->level) WEIR_TRY(weir_expand_add(x, &weir__flow_operator_reduce, p, &level, 1, &level));
    planes[p->level] = level;
    if (!is_mask) WEIR_TRY(weir_expand_add(x, &weir__flow_operator_coefficients, p, &level, 1, &planes[p->level]));
  }
  return WEIR_OK;
}

static weir_status expand(weir_expand *x) {
  weir__flow p = *(const weir__flow *)x->params;
  int        planes[WEIR__FLOW_INPUTS], result;
  for (int k = 0; k < WEIR__FLOW_INPUTS; k++) planes[k] = -1;
  WEIR_TRY(settle(&p, x));
  for (int k = 0; k < 2; k++) WEIR_TRY(add_levels(x, &p, x->input[k], false, planes + k * WEIR__FLOW_LEVELS));
  if (p.has_mask) WEIR_TRY(add_levels(x, &p, x->input[2], true, planes + 2 * WEIR__FLOW_LEVELS));
  WEIR_TRY(weir_expand_add(x, &weir__flow_operator_track, &p, planes, WEIR__FLOW_INPUTS, &result));
  for (int k = 0; k < WEIR__FLOW_RESULTS; k++) WEIR_TRY(weir_expand_result(x, k, result, k));
  return WEIR_OK;
}

static const char *const input_names[]  = {"a", "b", "mask"};
static const char *const output_names[] = {"u", "v", "flag", "error", "eigenvalue"};
#define AT(member) offsetof(weir__flow, member)
static const weir_param params[] = {
    {"window", WEIR_PARAM_INT, AT(window), .fallback = 32, .least = 5, .most = 256, .units = "pixel",
     .help = "what is followed: squares of this size, on each level"},
    {"step", WEIR_PARAM_INT, AT(step), .fallback = 16, .least = 1, .most = 1024, .units = "pixel",
     .help = "from one point to the next"},
    {"levels", WEIR_PARAM_INT, AT(levels), .fallback = 4, .least = 1, .most = WEIR__FLOW_LEVELS,
     .help = "of the pyramid, each half as large; levels smaller than the window are left out"},
    {"iterations", WEIR_PARAM_INT, AT(iterations), .fallback = 50, .least = 1, .most = 1000,
     .help = "at most, per level"},
    {"epsilon", WEIR_PARAM_REAL, AT(epsilon), .fallback = 0.01, .least = 1e-6, .most = 1, .units = "pixel",
     .help = "a smaller step ends the iteration"},
    {"max_error", WEIR_PARAM_REAL, AT(max_error), .fallback = 1, .least = 0, .most = 1e3, .units = "pixel",
     .help = "rejected when there and back ends farther from the start; 0: the way back is not followed"},
    {"min_eigenvalue", WEIR_PARAM_REAL, AT(min_eigenvalue), .fallback = 0.001, .least = 0, .most = 1e3,
     .units = "pixel-2", .help = "rejected below: too little contrast along some direction"},
    {"max_length", WEIR_PARAM_REAL, AT(longest), .least = 0, .most = 1e6, .units = "pixel",
     .help = "rejected beyond; 0: no such test"},
    {"normalise", WEIR_PARAM_BOOL, AT(normalise), .fallback = 1,
     .help = "mean and standard deviation of b's window are made those of a's"},
    {"dt", WEIR_PARAM_REAL, AT(dt), .least = 0, .most = 1e12, .units = "s",
     .help = "time between the images: u and v become velocities; 0: displacements"},
    {0}};

const weir_operator weir_operator_optical_flow = {
    .api     = WEIR_OPERATOR_API,
    .name    = "optical_flow",
    .summary = "displacements from a to b by pyramidal Lucas-Kanade",
    .details =
        "A window around each point of a regular grid in a is followed into b: d grows by G^-1 sum g (a(x) - b(x + d)) "
        "with G = sum g g', g the gradient of a, from the coarsest level of a pyramid to the image itself (Bouguet, "
        "Pyramidal implementation of the Lucas Kanade feature tracker, Intel 2000), with cubic B-splines between "
        "pixels (Unser 1999, doi 10.1109/79.799930) and levels smoothed by (1, 4, 6, 4, 1)/16 (Burt & Adelson 1983, "
        "doi 10.1109/TCOM.1983.1095851). Results: u and v along x and y in the units of the images' coordinates, per "
        "second with dt, at the place in a; flag, why there is no vector, as in piv (0: there is; 1 went astray; 2 too "
        "little contrast; 3 more than half of the window is masked; 6 out of the image or longer than max_length; 9 "
        "there and back differ by more than max_error); error, the distance in pixels of there and back; eigenvalue, "
        "the smaller one of the mean of g g' over the variance of the window. What is rejected is missing. Pixels "
        "where mask is not 0 take no part. Number 0 of the vectors lies at the middle of the first window.",
    .inputs          = 2,
    .optional_inputs = 1,
    .input_names     = input_names,
    .outputs         = WEIR__FLOW_RESULTS,
    .output_names    = output_names,
    .params          = params,
    .params_size     = sizeof(weir__flow),
    .expand          = expand};
