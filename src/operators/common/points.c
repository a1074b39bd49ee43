#include "operators/common/points.h"
#include "field/units.h"
#include <math.h>
#include <string.h>

/* In cells: rounding of a coordinate must neither put the last element outside nor let a neighbour with a weight of
 * 1e-16 make a value missing. */
static const double at_element = 1e-9;

static bool has_coordinate(const weir_dimension *d) { return d->spacing != 0 || d->values; }

/* ---- checking ---- */

static weir_status find_axes(weir__points *points, const char *name, const weir_field_type *f) {
  const weir_axes *axes = &points->axes;
  if (f->rank != 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the field has %d dimension%s, expected 2", name, f->rank,
                     f->rank == 1 ? "" : "s");
  points->input[0] = 0;
  points->input[1] = 1;
  if (!axes->count) return WEIR_OK;
  if (axes->count != 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: axes names %d dimension%s, expected those of y and of x", name, axes->count,
                     axes->count == 1 ? "" : "s");
  unsigned both;
  WEIR_TRY(weir_axes_resolve(axes, f, &both)); /* names that are none, or twice the same */
  if (weir__axis_find(f, axes->name[0]) == 1) points->input[0] = 1, points->input[1] = 0;
  return WEIR_OK;
}

static weir_status check_coordinate(const char *name, const weir_dimension *d) {
  if (d->spacing != 0 || !d->values) return WEIR_OK;
  double sign = d->size > 1 && d->values[1] < d->values[0] ? -1 : 1;
  for (int64_t i = 1; i < d->size; i++)
    if (!(sign * (d->values[i] - d->values[i - 1]) > 0))
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "%s: the coordinate of \"%s\" is %g, then %g at index %lld; expected one that only "
                       "grows or only falls",
                       name, d->name, d->values[i - 1], d->values[i], (long long)i);
  return WEIR_OK;
}

static weir_status check_units(const char *name, const char *which, const weir_field_type *position,
                               const weir_dimension *d) {
  const char *units = position->units;
  if (!units) return WEIR_OK;
  if (!has_coordinate(d) && !weir__units_dimensionless(units))
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: %s is in \"%s\", but dimension \"%s\" of the field has no coordinate: expected "
                     "indices, in \"1\"",
                     name, which, units, d->name);
  if (has_coordinate(d) && d->units && !weir__units_equal(units, d->units))
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: %s is in \"%s\", expected \"%s\", the units of dimension \"%s\" of the "
                     "field",
                     name, which, units, d->units, d->name);
  return WEIR_OK;
}

weir_status weir__points_check(weir__points *points, const char *name, const weir_field_type *f,
                               const weir_field_type *y, const weir_field_type *x) {
  const weir_field_type   *position[2] = {y, x};
  static const char *const which[2]    = {"y", "x"};
  WEIR_TRY(find_axes(points, name, f));
  for (int k = 0; k < 2; k++)
    if (position[k]->rank != 1)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s has %d dimensions, expected 1", name, which[k], position[k]->rank);
  if (y->dim[0].size != x->dim[0].size || strcmp(y->dim[0].name, x->dim[0].name))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: y has %lld elements on \"%s\", x has %lld on \"%s\": expected the same", name,
                     (long long)y->dim[0].size, y->dim[0].name, (long long)x->dim[0].size, x->dim[0].name);
  if (weir__axis_find(f, y->dim[0].name) >= 0)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: y and x have the dimension \"%s\", which is one of the field: expected one "
                     "of their own",
                     name, y->dim[0].name);
  for (int a = 0; a < 2; a++) {
    WEIR_TRY(check_coordinate(name, &f->dim[a]));
    WEIR_TRY(check_units(name, which[points->input[a]], position[points->input[a]], &f->dim[a]));
  }
  return WEIR_OK;
}

/* ---- finding ---- */

double weir__points_period(const weir_dimension *d) {
  if (!d->periodic || (d->spacing == 0 && d->values)) return 0;
  return (double)d->size * (d->spacing != 0 ? fabs(d->spacing) : 1);
}

double weir__points_coordinate(const weir_field_type *f, int axis, int64_t index) {
  return weir__coordinate(&f->dim[axis], (double)index + weir__location_shift(f->location, f->rank, axis));
}

/* The position in elements from the first one, in a listed coordinate; NaN outside. */
static double index_listed(const weir_field_type *f, int axis, double position) {
  int64_t low = 0, high = f->dim[axis].size - 1; /* the position lies between them */
  double  first = weir__points_coordinate(f, axis, low), last = weir__points_coordinate(f, axis, high);
  double  sign = last < first ? -1 : 1;
  if (high == 0) return position == first ? 0 : (double)NAN;
  double reach[2] = {first - at_element * (weir__points_coordinate(f, axis, 1) - first),
                     last + at_element * (last - weir__points_coordinate(f, axis, high - 1))};
  if (!(sign * (position - reach[0]) >= 0 && sign * (position - reach[1]) <= 0)) return (double)NAN;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (sign * (position - weir__points_coordinate(f, axis, middle)) >= 0) low = middle;
    else high = middle;
  }
  first = weir__points_coordinate(f, axis, low);
  last  = weir__points_coordinate(f, axis, high);
  return (double)low + (position - first) / (last - first);
}

bool weir__bracket_find(const weir_field_type *f, int axis, double position, weir__bracket *b) {
  const weir_dimension *d    = &f->dim[axis];
  double                size = (double)d->size, at, low;
  if (d->spacing == 0 && d->values) at = index_listed(f, axis, position);
  else at = (position - weir__points_coordinate(f, axis, 0)) / (d->spacing != 0 ? d->spacing : 1);
  if (!(fabs(at) < 0x1p52)) return false; /* NaN too */
  if (fabs(at - round(at)) <= at_element) at = round(at);
  if (weir__points_period(d) > 0) {
    at -= size * floor(at / size);
    if (at >= size) at = 0;
  } else if (at < 0 || at > size - 1) {
    return false;
  }
  low         = floor(at);
  b->index[0] = b->index[1] = (int64_t)low;
  b->index[1] += at > low;
  b->weight[1] = at - low;
  b->weight[0] = 1 - b->weight[1];
  return true;
}
