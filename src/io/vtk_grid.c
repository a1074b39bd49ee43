/* Where the points of a VTK file are, and which fields can be in one. */
#include "field/field.h"
#include "io/vtk_parts.h"
#include <math.h>
#include <string.h>

double weir__vtk_point(const weir__vtk_axis *axis, int64_t i) {
  if (!axis->listed) return axis->origin + (double)i * axis->spacing;
  return axis->listed->values[axis->turned ? axis->points - 1 - i : i];
}

/* Equal distances, up to the rounding of coordinates that were stored in single precision. */
static bool evenly_spaced(const weir_dimension *d, double step) {
  double last = d->values[d->size - 1], largest = fmax(fabs(d->values[0]), fabs(last));
  for (int64_t i = 0; i < d->size; i++)
    if (!(fabs(d->values[0] + (double)i * step - d->values[i]) <= 1e-6 * fabs(step) + 2e-7 * largest)) return false;
  return true;
}

static weir_status use_values(const weir_dimension *d, weir__vtk_axis *axis) {
  double first = d->values[0], last = d->values[d->size - 1];
  axis->turned = last < first;
  for (int64_t i = 0; i < d->size; i++) {
    double x       = d->values[i];
    bool   further = !i || (axis->turned ? x < d->values[i - 1] : x > d->values[i - 1]);
    if (!isfinite(x) || !further)
      return WEIR_FAIL(WEIR_ERR_INPUT, "the coordinate %s neither grows nor falls from end to end, as VTK needs",
                       d->name);
  }
  double step = d->size > 1 ? (last - first) / (double)(d->size - 1) : 1;
  if (evenly_spaced(d, step)) {
    axis->origin  = axis->turned ? last : first;
    axis->spacing = fabs(step);
  } else axis->listed = d;
  return WEIR_OK;
}

static weir_status make_axis(const weir_field_type *type, int from, weir__vtk_axis *axis) {
  const weir_dimension *d = &type->dim[from];
  *axis                   = (weir__vtk_axis){.from = from, .points = d->size, .spacing = 1};
  axis->shift             = d->spacing != 0 || !d->values ? weir__location_shift(type->location, type->rank, from) : 0;
  if (d->spacing == 0 && d->values) return use_values(d, axis);
  double spacing = d->spacing != 0 ? d->spacing : 1;
  axis->turned   = spacing < 0;
  axis->spacing  = fabs(spacing);
  axis->origin   = weir__coordinate(d, (axis->turned ? (double)(d->size - 1) : 0) + axis->shift);
  return WEIR_OK;
}

weir_status weir__vtk_grid_make(const weir_field_type *type, weir__vtk_grid *grid) {
  *grid = (weir__vtk_grid){0};
  if (type->rank > 3)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%d dimensions, a VTK file has at most 3; reduce it to these", type->rank);
  for (int k = 0; k < 3; k++) {
    grid->axis[k] = (weir__vtk_axis){.from = -1, .points = 1, .spacing = 1};
    if (k < type->rank) WEIR_TRY(make_axis(type, type->rank - 1 - k, &grid->axis[k]));
    grid->rectilinear |= grid->axis[k].listed != NULL;
  }
  return WEIR_OK;
}

/* ---- one grid for all ---- */

/* Each by itself is fine; are they the same points? */
static bool alike(const weir__vtk_grid *a, const weir__vtk_grid *b) {
  for (int k = 0; k < 3; k++) {
    const weir__vtk_axis *p = &a->axis[k], *q = &b->axis[k];
    if (p->points != q->points || p->turned != q->turned) return false;
    double close = 1e-6 * fabs(weir__vtk_point(p, p->points - 1) - weir__vtk_point(p, 0)) / (double)p->points;
    for (int64_t i = 0; i < p->points; i++)
      if (!(fabs(weir__vtk_point(p, i) - weir__vtk_point(q, i)) <= close)) return false;
  }
  return true;
}

/* Several types on one axis would be several grids. */
static weir_status check_field(const weir__vtk_content *c, int i, int first, const weir__vtk_grid *grid) {
  const weir_field_type *type = c->type[i], *like = c->type[first];
  weir__vtk_grid         other;
  bool                   same = type->rank == like->rank;
  char                   a[200], b[200];
  for (int k = 0; k < type->rank && same; k++) same = !strcmp(type->dim[k].name, like->dim[k].name);
  if (same) WEIR_TRY(weir__vtk_grid_make(type, &other));
  if (same && alike(grid, &other)) return WEIR_OK;
  weir_shape of_a = weir__shape_of(type), of_b = weir__shape_of(like);
  return WEIR_FAIL(WEIR_ERR_INPUT,
                   "%s %s lies on other points than %s %s; one VTK file has one grid: bring them onto one (mid, "
                   "coarsen) or write several outputs",
                   c->name[i], weir__shape_text(&of_a, a), c->name[first], weir__shape_text(&of_b, b));
}

static weir_status check_vector(const weir__vtk_content *c, const weir__vtk_vector *v, int *field) {
  for (int k = 0; k < v->components; k++) {
    const weir_field_type *type = c->type[v->component[k]];
    *field                      = v->component[k];
    if (!type->rank)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s is a number, the components of %s are fields", c->name[*field], v->name);
    if (type->dtype != c->type[v->component[0]]->dtype)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s is %s and %s is %s: components of %s have one type", c->name[*field],
                       weir_dtype_name(type->dtype), c->name[v->component[0]],
                       weir_dtype_name(c->type[v->component[0]]->dtype), v->name);
  }
  return WEIR_OK;
}

weir_status weir__vtk_check(const weir__vtk_content *content, int *field) {
  weir__vtk_grid grid;
  int            first = -1;
  for (*field = 0; *field < content->fields; ++*field) {
    if (!content->type[*field]->rank) continue;
    if (first < 0) WEIR_TRY(weir__vtk_grid_make(content->type[*field], &grid));
    if (first < 0) first = *field;
    else WEIR_TRY(check_field(content, *field, first, &grid));
  }
  *field = 0;
  if (first < 0) return WEIR_FAIL(WEIR_ERR_INPUT, "there is no field with dimensions; write numbers to a table");
  for (int k = 0; k < content->vectors; k++) WEIR_TRY(check_vector(content, &content->vector[k], field));
  return WEIR_OK;
}
