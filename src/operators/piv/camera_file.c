/* Calibration files: YAML that `weir calibrate` writes, or people with a calibration from elsewhere.
 *
 *   model: pinhole                        model: polynomial
 *   K: [[fx, skew, cx], ...]              centre: [X, Y, Z]
 *   R: [[...], [...], [...]]              scale: [X, Y, Z]
 *   t: [X, Y, Z]                          x: {1: 511.5, X: 480.2, ...}
 *   radial: [k1, k2]                      y: {1: 383.5, Y: -480.1, ...}
 *   points: {X: [least, most], Y: [...], Z: [...]}
 *
 * or `matrix`, three rows of four, for K [R | t]. Terms not named are 0. */
#include "core/yaml.h"
#include "operators/piv/camera.h"
#include <float.h>
#include <math.h>
#include <string.h>

typedef struct reading {
  weir__camera     *camera;
  const weir__yaml *model, *centre, *scale, *x, *y, *k, *r, *t, *radial, *matrix, *points;
} reading;

/* ---- numbers ---- */

static weir_status read_row(const weir__yaml *value, const char *what, int count, double *out) {
  if (value->kind != WEIR__YAML_LIST || value->count != count)
    return WEIR__YAML_FAIL(value, "%s: expected a list of %d numbers", what, count);
  for (int i = 0; i < count; i++) {
    WEIR_TRY(weir__yaml_to_real(value->item[i], what, &out[i]));
    if (!isfinite(out[i])) return WEIR__YAML_FAIL(value->item[i], "%s: expected a finite number", what);
  }
  return WEIR_OK;
}

static weir_status read_matrix(const weir__yaml *value, const char *what, int columns, double *out) {
  if (value->kind != WEIR__YAML_LIST || value->count != 3)
    return WEIR__YAML_FAIL(value, "%s: expected three rows of %d numbers", what, columns);
  for (int i = 0; i < 3; i++) WEIR_TRY(read_row(value->item[i], what, columns, out + i * columns));
  return WEIR_OK;
}

/* ---- pinhole ---- */

static void cross(const double a[3], const double b[3], double out[3]) {
  for (int i = 0; i < 3; i++) out[i] = a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3];
}

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* From the last row of K R upwards: each is what is left of it in a new direction (Gram-Schmidt). The sign of the
 * matrix is free: it is the one with which R turns and does not reflect. */
bool weir__camera_decompose(const double matrix[3][4], weir__camera *camera) {
  double m[3][4], unit, *r0 = camera->r[0], *r1 = camera->r[1], *r2 = camera->r[2];
  memcpy(m, matrix, sizeof m);
  double c[3];
  cross(m[0], m[1], c);
  unit = sqrt(dot(m[2], m[2])) * (dot(c, m[2]) < 0 ? -1 : 1);
  if (!isfinite(unit) || unit == 0) return false;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 4; j++) m[i][j] /= unit;
  memcpy(r2, m[2], 3 * sizeof *r2);
  double cx = dot(m[0], r2), cy = dot(m[1], r2);
  for (int j = 0; j < 3; j++) r1[j] = m[1][j] - cy * r2[j];
  double fy = sqrt(dot(r1, r1));
  if (!(fy > DBL_EPSILON * sqrt(dot(m[1], m[1])))) return false;
  for (int j = 0; j < 3; j++) r1[j] /= fy;
  double skew = dot(m[0], r1);
  cross(r1, r2, r0);
  double fx = dot(m[0], r0);
  if (!(fx > DBL_EPSILON * sqrt(dot(m[0], m[0])))) return false;
  memcpy(camera->k, (double[5]){fx, skew, cx, fy, cy}, sizeof camera->k);
  camera->t[2] = m[2][3];
  camera->t[1] = (m[1][3] - cy * m[2][3]) / fy;
  camera->t[0] = (m[0][3] - skew * camera->t[1] - cx * m[2][3]) / fx;
  return true;
}

static weir_status read_k(const reading *r) {
  double k[3][3];
  WEIR_TRY(read_matrix(r->k, "K", 3, k[0]));
  if (!(k[0][0] > 0 && k[1][1] > 0) || k[1][0] != 0 || k[2][0] != 0 || k[2][1] != 0 || k[2][2] != 1)
    return WEIR__YAML_FAIL(r->k, "K: expected [[fx, skew, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above 0");
  memcpy(r->camera->k, (double[5]){k[0][0], k[0][1], k[0][2], k[1][1], k[1][2]}, sizeof r->camera->k);
  return WEIR_OK;
}

static weir_status read_r(const reading *r) {
  double c[3], worst = 0;
  WEIR_TRY(read_matrix(r->r, "R", 3, r->camera->r[0]));
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) worst = fmax(worst, fabs(dot(r->camera->r[i], r->camera->r[j]) - (i == j)));
  cross(r->camera->r[0], r->camera->r[1], c);
  if (worst < 1e-4 && dot(c, r->camera->r[2]) > 0) return WEIR_OK;
  return WEIR__YAML_FAIL(r->r, "R is no rotation (R R' differs from 1 by %.2g%s)", worst,
                         worst < 1e-4 ? ", and it reflects" : "");
}

static weir_status read_pinhole(const reading *r, const weir__yaml *root) {
  weir__camera     *c   = r->camera;
  const weir__yaml *odd = r->centre ? r->centre : r->scale ? r->scale : r->x ? r->x : r->y;
  if (odd) return WEIR__YAML_FAIL(odd, "centre, scale, x and y belong to model: polynomial");
  c->deep = true;
  if (r->radial) WEIR_TRY(read_row(r->radial, "radial", 2, c->radial));
  if (r->matrix) {
    double m[3][4];
    if (r->k || r->r || r->t) return WEIR__YAML_FAIL(r->matrix, "matrix stands for K, R and t, expected it alone");
    WEIR_TRY(read_matrix(r->matrix, "matrix", 4, m[0]));
    if (weir__camera_decompose((const double(*)[4])m, c)) return WEIR_OK;
    return WEIR__YAML_FAIL(r->matrix, "matrix: expected that of a camera, K [R | t]");
  }
  if (!r->k || !r->r || !r->t)
    return WEIR__YAML_FAIL(root, "%s is missing: a pinhole has K, R and t, or matrix", !r->k ? "K" : !r->r ? "R" : "t");
  WEIR_TRY(read_k(r));
  WEIR_TRY(read_r(r));
  return read_row(r->t, "t", 3, c->t);
}

/* ---- polynomial ---- */

static weir_status read_terms(const weir__yaml *value, const char *what, double coefficient[WEIR__CAMERA_TERMS],
                              bool *deep) {
  if (value->kind != WEIR__YAML_MAP || !value->count)
    return WEIR__YAML_FAIL(value, "%s: expected terms with their coefficients, such as {1: 512.3, X: 480, X2: 0.1}",
                           what);
  for (int i = 0; i < value->count; i++) {
    int n = 0;
    while (n < WEIR__CAMERA_TERMS && strcmp(weir__camera_term(n), value->key[i]->text)) n++;
    if (n == WEIR__CAMERA_TERMS)
      return WEIR__YAML_FAIL(
          value->key[i], "%s: unknown term %s, expected 1 X Y X2 XY Y2 X3 X2Y XY2 Y3 Z XZ YZ X2Z XYZ Y2Z Z2 XZ2 YZ2",
          what, value->key[i]->text);
    WEIR_TRY(weir__yaml_to_real(value->item[i], weir__camera_term(n), &coefficient[n]));
    if (!isfinite(coefficient[n])) return WEIR__YAML_FAIL(value->item[i], "%s: expected a finite number", what);
    if (weir__camera_powers(n)[2]) *deep = true;
  }
  return WEIR_OK;
}

static weir_status read_polynomial(const reading *r, const weir__yaml *root) {
  weir__camera     *c   = r->camera;
  const weir__yaml *odd = r->k ? r->k : r->r ? r->r : r->t ? r->t : r->radial ? r->radial : r->matrix;
  if (odd) return WEIR__YAML_FAIL(odd, "K, R, t, radial and matrix belong to model: pinhole");
  if (!r->x || !r->y) return WEIR__YAML_FAIL(root, "%s is missing", r->x ? "y" : "x");
  for (int a = 0; a < 3; a++) c->scale[a] = 1;
  if (r->centre) WEIR_TRY(read_row(r->centre, "centre", 3, c->centre));
  if (r->scale) WEIR_TRY(read_row(r->scale, "scale", 3, c->scale));
  for (int a = 0; a < 3; a++)
    if (!(c->scale[a] > 0)) return WEIR__YAML_FAIL(r->scale, "scale: expected numbers above 0");
  WEIR_TRY(read_terms(r->x, "x", c->coefficient[0], &c->deep));
  return read_terms(r->y, "y", c->coefficient[1], &c->deep);
}

/* ---- all ---- */

#define KEEP(NAME)                                                                                                     \
  static weir_status keep_##NAME(void *context, const weir__yaml *value) {                                             \
    ((reading *)context)->NAME = value;                                                                                \
    return WEIR_OK;                                                                                                    \
  }
KEEP(model)
KEEP(centre)
KEEP(scale)
KEEP(x)
KEEP(y) KEEP(k) KEEP(r) KEEP(t) KEEP(radial) KEEP(matrix) KEEP(points)
#undef KEEP

    static weir_status read_points(const reading *r) {
  static const char *const names[] = {"X", "Y", "Z"};
  if (!r->points) return WEIR_OK;
  if (r->points->kind != WEIR__YAML_MAP) return WEIR__YAML_FAIL(r->points, "points: expected {X: [least, most], ...}");
  for (int i = 0; i < r->points->count; i++) {
    double range[2];
    int    a = 0;
    while (a < 3 && strcmp(names[a], r->points->key[i]->text)) a++;
    if (a == 3)
      return WEIR__YAML_FAIL(r->points->key[i], "points: unknown key %s, expected X, Y, Z", r->points->key[i]->text);
    WEIR_TRY(read_row(r->points->item[i], names[a], 2, range));
    if (!(range[0] <= range[1])) return WEIR__YAML_FAIL(r->points->item[i], "%s: expected [least, most]", names[a]);
    r->camera->least[a] = range[0], r->camera->most[a] = range[1];
  }
  return WEIR_OK;
}

static weir_status parse(weir__arena *arena, const char *path, weir__camera *camera) {
  static const weir__yaml_key keys[]   = {{"model", keep_model},   {"centre", keep_centre}, {"scale", keep_scale},
                                          {"x", keep_x},           {"y", keep_y},           {"K", keep_k},
                                          {"R", keep_r},           {"t", keep_t},           {"radial", keep_radial},
                                          {"matrix", keep_matrix}, {"points", keep_points}, {0}};
  static const char *const    models[] = {"polynomial", "pinhole", NULL}; /* in the order of weir__camera_model */
  reading                     r        = {.camera = camera};
  const weir__yaml           *root;
  const char                 *bytes;
  size_t                      size;
  int                         model;
  WEIR_TRY(weir__yaml_load(arena, path, &bytes, &size));
  WEIR_TRY(weir__yaml_parse(arena, path, bytes, size, &root));
  WEIR_TRY(weir__yaml_read(root, "calibration", keys, &r));
  if (!r.model) return WEIR__YAML_FAIL(root, "model is missing, expected polynomial or pinhole");
  WEIR_TRY(weir__yaml_to_choice(r.model, "model", models, &model));
  camera->model = (weir__camera_model)model;
  WEIR_TRY(read_points(&r));
  return model == WEIR__CAMERA_PINHOLE ? read_pinhole(&r, root) : read_polynomial(&r, root);
}

weir_status weir__camera_load(const char *path, weir__camera *camera) {
  weir__arena  arena = {0};
  weir__camera self  = {0};
  for (int a = 0; a < 3; a++) self.least[a] = self.most[a] = NAN;
  weir_status status = parse(&arena, path, &self);
  weir__arena_clear(&arena);
  if (status >= 0) *camera = self;
  return status;
}
