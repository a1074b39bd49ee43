/* piv: displacements between two images, in several passes. The work is that of the records in operators/piv/, which
 * this puts together. */
#include "operators/piv/operators.h"
#include "operators/common/common.h"
#include <math.h>
#include <string.h>

/* ---- from what was given to the settings of each pass ---- */

static double nth(const weir_list *list, int n, double fallback) {
  if (!list->count) return fallback;
  return list->value[n < list->count ? n : list->count - 1];
}

static weir_status whole(const char *name, double x, int64_t *out) {
  if (x != floor(x)) return WEIR_FAIL(WEIR_ERR_INPUT, "piv: %s is %g, expected a whole number of pixels", name, x);
  *out = (int64_t)x;
  return WEIR_OK;
}

static int64_t most_search(const weir__piv_settings *s, int axis) { return s->grid.window[axis] / 2 - 1; }

/* How far peaks are looked for: in the first pass up to 3/8 of the window, as what has left the window correlates no
 * more; then what the pass before may have missed, as far as a small window allows. */
static double default_search(const weir__piv *p, int pass, const weir__piv_settings *s, int axis) {
  double window = (double)s->grid.window[axis];
  if (pass && p->refine == WEIR__PIV_DIRECT) return fmin(2, (double)most_search(s, axis));
  return floor(window * (pass ? 0.25 : 0.375));
}

static weir_status settle_pass(weir__piv *p, int pass) {
  weir__piv_settings *s = &p->settings[pass];
  int64_t             window[2], step[2];
  *s           = (weir__piv_settings){.method    = pass ? (weir__piv_method)p->refine : WEIR__PIV_FFT,
                                      .weighting = (weir__piv_weighting)p->weighting,
                                      .subpixel  = (weir__piv_subpixel)p->subpixel,
                                      .padded    = p->padded,
                                      .peaks     = p->second ? WEIR__PIV_PEAKS : 1,
                                      /* that of what is masked where the window lies is piv_pass's business then */
                                      .mask_limit = pass ? 0.5 * (1 + p->mask_limit) : p->mask_limit};
  double width = nth(&p->window, pass, 32), overlap = nth(&p->overlap, pass, 0.5);
  WEIR_TRY(whole("window", nth(&p->window_y, pass, width), &window[0]));
  WEIR_TRY(whole("window", width, &window[1]));
  for (int k = 0; k < 2; k++) step[k] = weir__piv_grid_step(window[k], overlap);
  WEIR_TRY(weir__piv_grid_make(p->image, window, step, &s->grid));
  for (int k = 0; k < 2; k++) {
    int64_t most = most_search(s, k);
    WEIR_TRY(whole("search", nth(&p->search, pass, default_search(p, pass, s, k)), &s->search[k]));
    if (s->search[k] < 1 || s->search[k] > most)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "piv: pass %d searches up to %lld pixels, expected 1 to %lld in a window of %lld", pass + 1,
                       (long long)s->search[k], (long long)most, (long long)s->grid.window[k]);
  }
  return WEIR_OK;
}

static weir_status check_limits(const char *name, const weir_list *limits) {
  if (!limits->count || (limits->count == 2 && limits->value[0] <= limits->value[1])) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "piv: %s: expected two numbers in increasing order, such as [-5, 5]", name);
}

static int passes_of(const weir__piv *p) {
  const weir_list *lists[] = {&p->window, &p->window_y, &p->overlap, &p->search};
  int              passes  = 1;
  for (int i = 0; i < 4; i++)
    if (lists[i]->count > passes) passes = lists[i]->count;
  return passes;
}

static weir_status settle(weir__piv *p, const weir_expand *x) {
  WEIR_TRY(weir__piv_check_images("piv", x->in[0], x->in[1], x->inputs > 2 ? x->in[2] : NULL));
  WEIR_TRY(check_limits("u_limits", &p->u_limits));
  WEIR_TRY(check_limits("v_limits", &p->v_limits));
  if (!p->window.count) p->window = (weir_list){3, {64, 32, 32}};
  for (int i = 0; i < p->overlap.count; i++)
    if (p->overlap.value[i] >= 1)
      return WEIR_FAIL(WEIR_ERR_INPUT, "piv: overlap is %g, expected less than 1", p->overlap.value[i]);
  if (p->ensemble > 1) p->uncertainty = false; /* of single couples */
  p->type     = x->in[0];
  p->has_mask = x->inputs > 2 && x->in[2];
  p->passes   = passes_of(p);
  for (int k = 0; k < 2; k++) {
    double spacing = weir__uniform_spacing(&x->in[0]->dim[k]);
    p->image[k]    = x->in[0]->dim[k].size;
    p->scale[k]    = spacing / (p->dt > 0 ? p->dt : 1);
  }
  for (int pass = 0; pass < p->passes; pass++) WEIR_TRY(settle_pass(p, pass));
  return WEIR_OK;
}

static double farther(const int64_t search[2]) { return (double)(search[0] > search[1] ? search[0] : search[1]); }

/* What was left open, as it was settled. */
static void complete(weir__piv *given, const weir__piv *p) {
  bool square = true;
  for (int pass = 0; pass < p->passes; pass++) square &= p->settings[pass].search[0] == p->settings[pass].search[1];
  given->window.count = given->window_y.count = given->overlap.count = p->passes;
  if (square) given->search.count = p->passes;
  for (int pass = 0; pass < p->passes; pass++) {
    const weir__piv_settings *s = &p->settings[pass];
    given->window.value[pass]   = (double)s->grid.window[1];
    given->window_y.value[pass] = (double)s->grid.window[0];
    given->overlap.value[pass]  = nth(&p->overlap, pass, 0.5);
    if (square) given->search.value[pass] = (double)s->search[1];
  }
}

static weir_status expand(weir_expand *x) {
  weir__piv p    = *(const weir__piv *)x->params;
  int       mask = x->inputs > 2 ? x->input[2] : -1, planes, dy = -1, dx = -1, result;
  int       a = x->input[0], b = x->input[1];
  WEIR_TRY(settle(&p, x));
  complete(x->params, &p);
  if (p.ensemble > 1) {
    WEIR_TRY(weir_expand_add(x, &weir__piv_operator_group, &p, &a, 1, &a));
    WEIR_TRY(weir_expand_add(x, &weir__piv_operator_group, &p, &b, 1, &b));
    p.hides = true;
    if (p.has_mask) WEIR_TRY(weir_expand_add(x, &weir__piv_operator_group, &p, &mask, 1, &mask));
  }
  for (p.pass = 0; p.pass < p.passes; p.pass++) {
    int inputs[] = {a, b, mask, dy, dx};
    WEIR_TRY(weir_expand_add(x, &weir__piv_operator_pass, &p, inputs, 5, &planes));
    weir__piv_settings again = p.settings[p.pass];
    weir__piv_looks_again(&p, p.pass, &again);
    p.reach += farther(again.search) + 1;
    if (p.pass == p.passes - 1) break;
    WEIR_TRY(weir_expand_add(x, &weir__piv_operator_predictor, &p, &planes, 1, &dy));
    dx = weir_expand_output(dy, 1);
  }
  WEIR_TRY(weir_expand_add(x, &weir__piv_operator_result, &p, &planes, 1, &result));
  for (int k = 0; k < WEIR__PIV_RESULTS; k++) WEIR_TRY(weir_expand_result(x, k, result, k));
  return WEIR_OK;
}

/* ---- the record ---- */

static const char *const input_names[]  = {"a", "b", "mask"};
static const char *const output_names[] = {
    "u", "v", "correlation", "peak_ratio", "uncertainty_u", "uncertainty_v", "flag", "replaced"};
static const char *const methods[]        = {"fft", "direct", NULL};
static const char *const weightings[]     = {"uniform", "gaussian", NULL};
static const char *const subpixels[]      = {"gauss3", "gauss2d", "centroid", NULL};
static const char *const interpolations[] = {"cubic", "quintic", NULL};
static const char *const smoothings[]     = {"no", "last", "all", NULL};
#define AT(member) offsetof(weir__piv, member)
static const weir_param params[] = {
    {"window", WEIR_PARAM_LIST, AT(window), .least = 4, .most = 1024, .units = "pixel",
     .help = "windows of each pass; default: [64, 32, 32]. One number: a single pass"},
    {"window_y", WEIR_PARAM_LIST, AT(window_y), .least = 4, .most = 1024, .units = "pixel",
     .help = "their size along y, where it is another one"},
    {"overlap", WEIR_PARAM_LIST, AT(overlap), .least = 0, .most = 0.99,
     .help = "part of a window that the next one shares; default: 0.5"},
    {"search", WEIR_PARAM_LIST, AT(search), .least = 1, .most = 511, .units = "pixel",
     .help = "largest displacement looked for in each pass; default: 3/8 of the window in the first, then 2 (direct) "
             "or a quarter (fft)"},
    {"refine", WEIR_PARAM_CHOICE, AT(refine), .fallback = WEIR__PIV_DIRECT, .choices = methods,
     .help = "how passes after the first correlate: over few lags directly, or by FFT"},
    {"padded", WEIR_PARAM_BOOL, AT(padded),
     .help = "FFT: with as many zeros, so that no particle correlates around the edge"},
    {"binning", WEIR_PARAM_BOOL, AT(binning), .fallback = 1,
     .help = "the first of several passes takes 2 x 2 pixels together where its windows have 48 and more"},
    {"weighting", WEIR_PARAM_CHOICE, AT(weighting), .choices = weightings, .help = "of the pixels in a window"},
    {"subpixel", WEIR_PARAM_CHOICE, AT(subpixel), .choices = subpixels,
     .help = "fit to the peak: two 3-point Gaussians, a Gaussian over 3 x 3, or the centroid"},
    {"interpolation", WEIR_PARAM_CHOICE, AT(interpolation), .choices = interpolations,
     .help = "B-splines that move the images between passes; quintic: less bias where particles are small, more time"},
    {"min_correlation", WEIR_PARAM_REAL, AT(correlation), .fallback = 0.2, .least = -1, .most = 1,
     .help = "a vector with less is rejected"},
    {"min_ratio", WEIR_PARAM_REAL, AT(ratio), .least = 0, .most = 1e6,
     .help = "rejected below this ratio of the highest to the second peak; 0: no such test"},
    {"max_length", WEIR_PARAM_REAL, AT(longest), .least = 0, .most = 1e6, .units = "pixel",
     .help = "rejected beyond; 0: no such test"},
    {"u_limits", WEIR_PARAM_LIST, AT(u_limits), .units = "pixel", .help = "least and largest displacement along x"},
    {"v_limits", WEIR_PARAM_LIST, AT(v_limits), .units = "pixel", .help = "least and largest displacement along y"},
    {"median", WEIR_PARAM_REAL, AT(median), .fallback = 2, .least = 0, .most = 1e6,
     .help = "threshold of the normalised median test; 0: no such test"},
    {"noise", WEIR_PARAM_REAL, AT(noise), .fallback = 0.1, .least = 0, .most = 1e3, .units = "pixel",
     .help = "of displacements, in the normalised median test"},
    {"neighbours", WEIR_PARAM_REAL, AT(neighbours), .least = 0, .most = 1e6, .units = "pixel",
     .help = "rejected when farther from the mean of the neighbours; 0: no such test"},
    {"second", WEIR_PARAM_BOOL, AT(second), .fallback = 1, .help = "a lower peak that passes replaces a rejected one"},
    {"fill", WEIR_PARAM_BOOL, AT(fill), .fallback = 1, .help = "what is rejected is interpolated from the neighbours"},
    {"smooth", WEIR_PARAM_CHOICE, AT(smooth), .choices = smoothings,
     .help = "thin-plate splines: in no pass, the last, or all"},
    {"smoothing", WEIR_PARAM_REAL, AT(smoothing), .fallback = 2, .least = 0, .most = 1e6,
     .help = "weight of smoothness against closeness"},
    {"domain", WEIR_PARAM_INT, AT(domain), .fallback = 200, .least = 16, .most = 1000,
     .help = "vectors in a sub-domain of the splines"},
    {"outlier", WEIR_PARAM_REAL, AT(outlier), .fallback = 1.5, .least = 0, .most = 1e6, .units = "pixel",
     .help = "farther from the splines than this a vector is replaced by them; 0: never"},
    {"ensemble", WEIR_PARAM_INT, AT(ensemble), .least = 0, .most = 4096, .units = "steps",
     .help = "so many couples give one result, from the mean of their correlations; 0 or 1: each its own"},
    {"mask_limit", WEIR_PARAM_REAL, AT(mask_limit), .fallback = 0.5, .least = 0, .most = 0.95,
     .help = "part of a window that may be masked; a vector with more is missing"},
    {"uncertainty", WEIR_PARAM_BOOL, AT(uncertainty), .fallback = 1,
     .help = "of each vector, from the last of several passes"},
    {"dt", WEIR_PARAM_REAL, AT(dt), .least = 0, .most = 1e12, .units = "s",
     .help = "time between the images: u and v become velocities; 0: displacements"},
    {0}};

const weir_operator weir_operator_piv = {
    .api     = WEIR_OPERATOR_API,
    .name    = "piv",
    .summary = "particle image velocimetry: displacements from a to b",
    .details =
        "Cross-correlation of windows in several passes. The first correlates by FFT; before each further one both "
        "images are moved half of the displacement found so far, by cubic or quintic B-splines (Scarano & Riethmuller "
        "2000, doi 10.1007/s003480070007; Unser 1999). Results: u and v along x and y in the units of the images' "
        "coordinates, "
        "per second with dt; correlation, Pearson's coefficient of the two windows at the peak; peak_ratio, first to "
        "second peak; uncertainty_u and uncertainty_v, one standard deviation by correlation statistics (Wieneke 2015, "
        "doi 10.1088/0957-0233/26/7/074002); flag, why a vector was rejected (0: it was not); replaced, what stands "
        "for it (0 measured, 1 a lower peak, 2 interpolated, 3 nothing). Vectors are rejected by correlation, peak "
        "ratio, limits, and the normalised median test (Westerweel & Scarano 2005, doi 10.1007/s00348-005-0016-6). "
        "Pixels where mask is not 0 take no part, neither where they lie nor where the images are moved to; a vector "
        "with more than mask_limit of its window masked is missing. "
        "With ensemble=N there is a result in every N-th step, from the mean of N couples' correlation planes in each "
        "pass (Meinhart et al. 2000, doi 10.1115/1.483256); a missing couple adds nothing. "
        "Number 0 of the vectors lies at the middle of the first window.",
    .inputs          = 2,
    .optional_inputs = 1,
    .input_names     = input_names,
    .outputs         = WEIR__PIV_RESULTS,
    .output_names    = output_names,
    .params          = params,
    .params_size     = sizeof(weir__piv),
    .expand          = expand};
