/* analysis: optimal interpolation, the correction of a background field by observations. The work is that of the
 * records in operators/common/analysis_*.c, which this puts together with `sample`. */
#include "operators/common/analysis.h"
#include "core/error.h"
#include "field/units.h"
#include <math.h>
#include <string.h>

/* Distances need one unit: both axes have a coordinate in the same units, or neither has one. */
static weir_status check_distances(const weir_field_type *f, const weir__analysis *p) {
  const weir_dimension *d[2]     = {&f->dim[0], &f->dim[1]};
  bool                  given[2] = {d[0]->spacing != 0 || d[0]->values, d[1]->spacing != 0 || d[1]->values};
  if (given[0] != given[1])
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "analysis: dimension \"%s\" of the field has a coordinate, \"%s\" has none: "
                     "expected both or neither, for distances",
                     d[!given[0]]->name, d[given[0]]->name);
  if (given[0] && d[0]->units && d[1]->units && !weir__units_equal(d[0]->units, d[1]->units))
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "analysis: coordinate \"%s\" is in \"%s\", \"%s\" in \"%s\": expected the same "
                     "units, for distances in the plane",
                     d[0]->name, d[0]->units, d[1]->name, d[1]->units);
  for (int a = 0; a < 2; a++) {
    double period = weir__points_period(d[a]);
    if (period > 0 && p->length > period / 4)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "analysis: length is %g, expected at most %g, a quarter of the periodic "
                       "dimension \"%s\"",
                       p->length, period / 4, d[a]->name);
  }
  return WEIR_OK;
}

static weir_status check_number(const char *name, double value) {
  if (value > 0 && isfinite(value)) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "analysis: %s is %g, expected a number above 0", name, value);
}

static weir_status check(const weir_expand *x, weir__analysis *p) {
  const weir_field_type *f = x->in[0], *observed = x->in[1], *y = x->in[2];
  WEIR_TRY(weir__points_check(&p->points, "analysis", f, y, x->in[3]));
  if (observed->rank != 1 || observed->dim[0].size != y->dim[0].size || strcmp(observed->dim[0].name, y->dim[0].name))
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "analysis: observations have not the one dimension \"%s\" with %lld elements that "
                     "y and x have",
                     y->dim[0].name, (long long)y->dim[0].size);
  if (y->dim[0].size > WEIR__ANALYSIS_MOST)
    return WEIR_FAIL(WEIR_ERR_INPUT, "analysis: %lld observations, expected at most %d", (long long)y->dim[0].size,
                     WEIR__ANALYSIS_MOST);
  if (f->units && observed->units && !weir__units_equal(f->units, observed->units))
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "analysis: the observations are in \"%s\", expected \"%s\", the units of the field",
                     observed->units, f->units);
  WEIR_TRY(check_number("length", p->length));
  WEIR_TRY(check_number("background_error", p->background_error));
  WEIR_TRY(check_number("observation_error", p->observation_error));
  return check_distances(f, p);
}

static weir_status expand(weir_expand *x) {
  weir__analysis p = *(const weir__analysis *)x->params;
  int            f = x->input[0], observed = x->input[1], at_y = x->input[2], at_x = x->input[3];
  int            sampled, weights, result;
  WEIR_TRY(check(x, &p));
  p.field = x->in[0];
  WEIR_TRY(weir_expand_add(x, &weir_operator_sample, &p.points, (int[]){f, at_y, at_x}, 3, &sampled));
  WEIR_TRY(weir_expand_add(x, &weir__analysis_solve, &p, (int[]){sampled, observed, at_y, at_x}, 4, &weights));
  WEIR_TRY(weir_expand_add(x, &weir__analysis_increment, &p, (int[]){f, weights, at_y, at_x}, 4, &result));
  return weir_expand_result(x, 0, result, 0);
}

static const char *const input_names[] = {"f", "observations", "y", "x"};
static const weir_param  params[]      = {
          {"length", WEIR_PARAM_REAL, offsetof(weir__analysis, length), .required = true,
           .help = "of the correlation of background errors, in units of the coordinates; it ends at twice that"},
          {"background_error", WEIR_PARAM_REAL, offsetof(weir__analysis, background_error), .required = true,
           .help = "standard deviation of the errors of f, in its units"},
          {"observation_error", WEIR_PARAM_REAL, offsetof(weir__analysis, observation_error), .required = true,
           .help = "standard deviation of the observations' errors, independent of each other, in the units of f"},
          WEIR__PARAM_POINTS_AXES,
          {0},
};

const weir_operator weir_operator_analysis = {
    .api     = WEIR_OPERATOR_API,
    .name    = "analysis",
    .summary = "a field corrected by observations at points (optimal interpolation)",
    .details =
        "x_a = x_b + B H' (H B H' + R)^-1 (y - H x_b): the linear estimate with the least error variance (Gandin 1963; "
        "Lorenc 1986, doi 10.1002/qj.49711247414). x_b is the two-dimensional background f, y the observations, one "
        "number at each position; H interpolates bilinearly, as sample does. B = background_error^2 rho(d / length), "
        "d the distance in the plane and rho the function of 5th order of Gaspari & Cohn 1999 (eq. 4.10, doi "
        "10.1002/qj.49712555417), which is 0 from 2 length on; R = observation_error^2 on the diagonal. Only the ratio "
        "of the two errors matters. An observation that is missing, or lies outside of the field or beside a missing "
        "value of it, takes no part; missing values of f stay missing, and correlations reach across them. Where there "
        "is no observation in a step (the field of observations is missing), the result is missing too; where all its "
        "values are, the result is f. At most 4096 observations, solved directly on one thread, in each step anew. The "
        "result has the units of f, is floating-point, and the same to the bit for any chunks, threads and "
        "workers." WEIR__POINTS_DETAILS,
    .inputs      = 4,
    .input_names = input_names,
    .params      = params,
    .params_size = sizeof(weir__analysis),
    .expand      = expand,
};
