#include "operators/piv/world.h"
#include "field/units.h"
#include "operators/common/common.h"
#include <math.h>
#include <string.h>

/* ---- inputs ---- */

weir_status weir__world_camera(const weir_infer *infer, const char *operator_name, const char *path,
                               const weir__camera **camera) {
  weir__camera *c = (void *)weir__infer_numbers(infer, (int64_t)((sizeof *c + sizeof(double) - 1) / sizeof(double)));
  if (!c) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  weir_status status = weir__camera_load(path, c);
  if (status < 0) return weir__error_prefix(status, "%s", operator_name);
  *camera = c;
  return WEIR_OK;
}

weir_status weir__world_check_field(const char *name, const weir_field_type *field) {
  if (field->rank != 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a field has %d dimensions, expected [y, x]", name, field->rank);
  for (int a = 0; a < 2; a++) {
    const weir_dimension *d = &field->dim[a];
    if (d->units && !weir__units_equal(d->units, "pixel"))
      return WEIR_FAIL(
          WEIR_ERR_INPUT,
          "%s: the coordinate %s is in %s, expected pixels, which the calibration is for: leave pixel: out "
          "of the stream",
          name, d->name, d->units);
    if (d->values || d->spacing < 0)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the coordinate %s %s, expected pixels as they are numbered%s", name,
                       d->name, d->values ? "is uneven" : "decreases",
                       d->values ? "" : ": leave up: out of the stream");
  }
  return WEIR_OK;
}

weir_status weir__world_check_displacement(const char *name, const weir_field_type *field) {
  WEIR_TRY(weir__world_check_field(name, field));
  if (!field->units || weir__units_equal(field->units, "pixel")) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the vectors are in %s, expected displacements in pixels%s", name, field->units,
                   weir__units_equal(field->units, "pixel s-1") ? ": give dt to this operator instead of to piv" : "");
}

/* ---- the grid ---- */

typedef struct box {
  double least[2], most[2]; /* y, x */
} box;

static void image_of(const weir_field_type *f, int64_t row, int64_t column, double image[2]) {
  image[1] = weir__coordinate(&f->dim[0], (double)row);
  image[0] = weir__coordinate(&f->dim[1], (double)column);
}

static void include(const weir__world *w, const weir__world_view *v, int64_t row, int64_t column, box *b) {
  double image[2], world[3] = {0, 0, w->z};
  image_of(v->field, row, column, image);
  if (!weir__camera_unproject(v->camera, image, NULL, world)) return;
  for (int a = 0; a < 2; a++) {
    b->least[a] = fmin(b->least[a], world[1 - a]);
    b->most[a]  = fmax(b->most[a], world[1 - a]);
  }
}

/* What a view sees of the plane, from the edges of the field. Polynomials are not trusted far from their points. */
static box seen(const weir__world *w, const weir__world_view *v) {
  box     b    = {{INFINITY, INFINITY}, {-INFINITY, -INFINITY}};
  int64_t rows = v->field->dim[0].size, columns = v->field->dim[1].size;
  for (int64_t r = 0; r < rows; r++) include(w, v, r, 0, &b), include(w, v, r, columns - 1, &b);
  for (int64_t c = 0; c < columns; c++) include(w, v, 0, c, &b), include(w, v, rows - 1, c, &b);
  for (int a = 0; a < 2 && v->camera->model == WEIR__CAMERA_POLYNOMIAL; a++) {
    double least = v->camera->least[1 - a], most = v->camera->most[1 - a], more = 0.1 * (most - least);
    if (!(least <= most)) continue;
    b.least[a] = fmax(b.least[a], least - more);
    b.most[a]  = fmin(b.most[a], most + more);
  }
  return b;
}

/* Rounded to two digits, as they are written. */
static double round_number(double x) {
  double digits = 1 - floor(log10(x)), unit = pow(10, fabs(digits));
  return digits > 0 ? round(x * unit) / unit : round(x / unit) * unit;
}

/* Distance of the elements of a field in the world, where the box has its middle; 0: it is not seen there. */
static double spacing_of(const weir__world *w, const weir__world_view *v, const box *b) {
  double world[3] = {(b->least[1] + b->most[1]) / 2, (b->least[0] + b->most[0]) / 2, w->z}, image[2], j[2][3];
  if (!weir__camera_project(v->camera, world, image, j)) return 0;
  double area = weir__uniform_spacing(&v->field->dim[0]) * weir__uniform_spacing(&v->field->dim[1]);
  double s    = sqrt(area / fabs(j[0][0] * j[1][1] - j[0][1] * j[1][0]));
  return isfinite(s) ? s : 0;
}

static weir_status check_limits(const char *name, const char *what, const weir_list *limits) {
  if (!limits->count || (limits->count == 2 && limits->value[0] < limits->value[1])) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s: expected two numbers in increasing order, such as [-0.05, 0.05]", name,
                   what);
}

static weir_status lay_axis(const char *name, weir__world *w, int axis, const weir_list *limits, const box *b) {
  enum { MOST = 100000 };
  double least = b->least[axis] / w->step, most = b->most[axis] / w->step, tiny = 1e-6;
  if (limits->count) {
    w->origin[axis] = limits->value[0];
    most = (limits->value[1] - limits->value[0]) / w->step, least = 0;
  } else w->origin[axis] = ceil(least - tiny) * w->step, least = ceil(least - tiny);
  double count = floor(most + tiny) - least + 1;
  if (!(count >= 1 && count <= MOST))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a grid of %.0f elements along %s (spacing %g m), expected 1 to %d", name,
                     count, axis ? "x" : "y", w->step, MOST);
  w->size[axis] = (int64_t)count;
  return WEIR_OK;
}

weir_status weir__world_settle(const char *name, weir__world *w, const weir__world_view *view, int views) {
  const weir_list *limits[2] = {&w->y_limits, &w->x_limits};
  box              b         = {{-INFINITY, -INFINITY}, {INFINITY, INFINITY}};
  double           step      = 0;
  WEIR_TRY(check_limits(name, "x_limits", &w->x_limits));
  WEIR_TRY(check_limits(name, "y_limits", &w->y_limits));
  for (int v = 0; v < views; v++) {
    box one = seen(w, &view[v]);
    for (int a = 0; a < 2; a++) b.least[a] = fmax(b.least[a], one.least[a]), b.most[a] = fmin(b.most[a], one.most[a]);
  }
  for (int a = 0; a < 2; a++) {
    if (limits[a]->count) b.least[a] = limits[a]->value[0], b.most[a] = limits[a]->value[1];
    if (!(b.least[a] <= b.most[a]) || !isfinite(b.most[a] - b.least[a]))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s see nothing of the plane Z = %g m near the points of the calibration%s",
                       name, views > 1 ? "the views together" : "the images", w->z, views > 1 ? "s" : "");
  }
  for (int v = 0; v < views; v++) step += spacing_of(w, &view[v], &b) / views;
  if (!(w->spacing > 0) && !(step > 0))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the middle of the grid is not seen, expected spacing", name);
  w->step = w->spacing > 0 ? w->spacing : round_number(step);
  for (int a = 0; a < 2; a++) WEIR_TRY(lay_axis(name, w, a, limits[a], &b));
  return WEIR_OK;
}

void weir__world_result(weir_infer *infer, const weir__world *w, int output, weir_dtype dtype, const char *units) {
  weir_field_type out = {.dtype = dtype, .rank = 2, .units = units};
  for (int a = 0; a < 2; a++)
    out.dim[a] = (weir_dimension){
        .name = a ? "x" : "y", .size = w->size[a], .units = "m", .origin = w->origin[a], .spacing = w->step};
  infer->out[output] = out;
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[output][a] = -1;
}

void weir__world_at(const weir__world *w, int64_t row, int64_t column, double at[3]) {
  at[0] = w->origin[1] + (double)column * w->step;
  at[1] = w->origin[0] + (double)row * w->step;
  at[2] = w->z;
}

/* ---- between elements ---- */

void weir__world_index(const weir_field_type *f, const double image[2], double index[2]) {
  for (int a = 0; a < 2; a++) {
    double spacing = f->dim[a].spacing != 0 ? f->dim[a].spacing : 1;
    index[a]       = (image[1 - a] - f->dim[a].origin) / spacing;
  }
}

typedef struct stencil {
  int64_t first;
  int     count;
  double  weight[4];
} stencil;

/* Lagrange's polynomial through `count` neighbours, those nearest to the place as far as there are. */
static bool find_stencil(double at, int64_t size, int count, stencil *s) {
  const double tiny = 1e-9;
  if (!(at >= -tiny && at <= (double)(size - 1) + tiny)) return false;
  if (fabs(at - round(at)) <= tiny) at = round(at); /* at an element: no other counts */
  s->count = size < count ? (int)size : count;
  s->first = (int64_t)floor(at) - (s->count - 1) / 2;
  if (s->first > size - s->count) s->first = size - s->count;
  if (s->first < 0) s->first = 0;
  for (int i = 0; i < s->count; i++) {
    s->weight[i] = 1;
    for (int k = 0; k < s->count; k++)
      if (k != i) s->weight[i] *= (at - (double)(s->first + k)) / (i - k);
  }
  return true;
}

static double weigh(const weir_view *v, const stencil *y, const stencil *x) {
  double sum = 0;
  for (int i = 0; i < y->count; i++) {
    double        buffer[4], row = 0;
    int64_t       index[2] = {y->first + i - v->start[0], x->first - v->start[1]};
    const double *value    = weir_view_load(v, index, x->count, buffer);
    for (int k = 0; k < x->count; k++)
      if (x->weight[k] != 0 && y->weight[i] != 0)
        row += x->weight[k] * value[k]; /* what has no weight may be missing */
    sum += y->weight[i] * row;
  }
  return sum;
}

bool weir__world_sample(const weir_field_type *f, const weir_view *const *view, int views, const double image[2],
                        double *out) {
  double index[2];
  weir__world_index(f, image, index);
  for (int count = 4; count >= 2; count -= 2) {
    stencil y, x;
    bool    valid = true;
    if (!find_stencil(index[0], f->dim[0].size, count, &y) || !find_stencil(index[1], f->dim[1].size, count, &x))
      return false;
    for (int k = 0; k < views && valid; k++) {
      out[k] = weigh(view[k], &y, &x);
      valid  = isfinite(out[k]);
    }
    if (valid) return true;
  }
  return false;
}
