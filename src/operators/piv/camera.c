#include "operators/piv/camera.h"
#include <math.h>
#include <string.h>

/* ---- polynomials ---- */

typedef struct term {
  const char *name;
  int         power[3];
} term;

static const term terms[WEIR__CAMERA_TERMS] = {
    {"1", {0, 0, 0}},   {"X", {1, 0, 0}},  {"Y", {0, 1, 0}},   {"X2", {2, 0, 0}},  {"XY", {1, 1, 0}},
    {"Y2", {0, 2, 0}},  {"X3", {3, 0, 0}}, {"X2Y", {2, 1, 0}}, {"XY2", {1, 2, 0}}, {"Y3", {0, 3, 0}},
    {"Z", {0, 0, 1}},   {"XZ", {1, 0, 1}}, {"YZ", {0, 1, 1}},  {"X2Z", {2, 0, 1}}, {"XYZ", {1, 1, 1}},
    {"Y2Z", {0, 2, 1}}, {"Z2", {0, 0, 2}}, {"XZ2", {1, 0, 2}}, {"YZ2", {0, 1, 2}},
};

const int  *weir__camera_powers(int n) { return terms[n].power; }
const char *weir__camera_term(int n) { return terms[n].name; }

static bool project_polynomial(const weir__camera *c, const double world[3], double image[2], double jacobian[2][3]) {
  double power[3][4], slope[2][3] = {{0}}, value[2] = {0};
  for (int a = 0; a < 3; a++) {
    double s    = (world[a] - c->centre[a]) / c->scale[a];
    power[a][0] = 1;
    for (int k = 1; k < 4; k++) power[a][k] = power[a][k - 1] * s;
  }
  for (int n = 0; n < (c->deep ? WEIR__CAMERA_TERMS : 10); n++) {
    const int *p = terms[n].power;
    double     f[3], d[3];
    for (int a = 0; a < 3; a++) {
      f[a] = power[a][p[a]];
      d[a] = p[a] ? p[a] * power[a][p[a] - 1] / c->scale[a] : 0;
    }
    for (int i = 0; i < 2; i++) {
      double q = c->coefficient[i][n];
      value[i] += q * f[0] * f[1] * f[2];
      slope[i][0] += q * d[0] * f[1] * f[2];
      slope[i][1] += q * f[0] * d[1] * f[2];
      slope[i][2] += q * f[0] * f[1] * d[2];
    }
  }
  memcpy(image, value, sizeof value);
  if (jacobian) memcpy(jacobian, slope, sizeof slope);
  return true;
}

/* ---- pinhole ---- */

static bool project_pinhole(const weir__camera *c, const double world[3], double image[2], double jacobian[2][3]) {
  double q[3], k1 = c->radial[0], k2 = c->radial[1];
  for (int i = 0; i < 3; i++) q[i] = c->r[i][0] * world[0] + c->r[i][1] * world[1] + c->r[i][2] * world[2] + c->t[i];
  if (!(q[2] > 0)) return false;
  double x = q[0] / q[2], y = q[1] / q[2], r2 = x * x + y * y;
  double d = 1 + r2 * (k1 + r2 * k2), dd = 2 * (k1 + 2 * k2 * r2); /* d(d)/dx = dd x */
  if (!(1 + r2 * (3 * k1 + 5 * k2 * r2) > 0)) return false;        /* d(r d)/dr: farther out would come back in */
  image[0] = c->k[0] * x * d + c->k[1] * y * d + c->k[2];
  image[1] = c->k[3] * y * d + c->k[4];
  if (!jacobian) return true;
  for (int a = 0; a < 3; a++) {
    double dx = (c->r[0][a] - x * c->r[2][a]) / q[2], dy = (c->r[1][a] - y * c->r[2][a]) / q[2];
    double more = dd * (x * dx + y * dy), ddx = d * dx + more * x, ddy = d * dy + more * y;
    jacobian[0][a] = c->k[0] * ddx + c->k[1] * ddy;
    jacobian[1][a] = c->k[3] * ddy;
  }
  return true;
}

bool weir__camera_project(const weir__camera *c, const double world[3], double image[2], double jacobian[2][3]) {
  return c->model == WEIR__CAMERA_PINHOLE ? project_pinhole(c, world, image, jacobian)
                                          : project_polynomial(c, world, image, jacobian);
}

/* ---- back ---- */

static double distance(const double a[2], const double b[2]) { return hypot(a[0] - b[0], a[1] - b[1]); }

/* A place the camera sees from where Newton's method may start. */
static void middle(const weir__camera *c, double world[3]) {
  for (int a = 0; a < 2; a++) {
    bool known = c->least[a] <= c->most[a];
    world[a]   = known ? (c->least[a] + c->most[a]) / 2 : c->model == WEIR__CAMERA_POLYNOMIAL ? c->centre[a] : 0;
  }
  if (c->model != WEIR__CAMERA_PINHOLE || c->least[0] <= c->most[0]) return;
  /* where the axis goes through the plane: R X + t = (0, 0, s) */
  double eye[3], s;
  for (int a = 0; a < 3; a++) eye[a] = -(c->r[0][a] * c->t[0] + c->r[1][a] * c->t[1] + c->r[2][a] * c->t[2]);
  if (c->r[2][2] == 0) return;
  s = (world[2] - eye[2]) / c->r[2][2];
  for (int a = 0; a < 2; a++) world[a] = eye[a] + s * c->r[2][a];
}

/* A step that takes it away from the image position is halved. Steps are made as long as they help, so that the result
 * is as good as rounding allows. */
bool weir__camera_unproject(const weir__camera *c, const double image[2], const double *start, double world[3]) {
  enum { STEPS = 60, HALVINGS = 12 };
  const double close = 1e-7; /* pixels */
  double       at[3] = {0, 0, world[2]}, seen[2], j[2][3], from;
  bool         moved = true;
  middle(c, at);
  if (start) at[0] = start[0], at[1] = start[1];
  if (!weir__camera_project(c, at, seen, j)) return false;
  from = distance(seen, image);
  for (int n = 0; n < STEPS && from > 0 && moved; n++) {
    double det = j[0][0] * j[1][1] - j[0][1] * j[1][0], ex = image[0] - seen[0], ey = image[1] - seen[1], share = 1;
    double step[2] = {(j[1][1] * ex - j[0][1] * ey) / det, (j[0][0] * ey - j[1][0] * ex) / det};
    moved          = false;
    for (int k = 0; k < (from < close ? 1 : HALVINGS) && !moved; k++, share /= 2) {
      double next[3] = {at[0] + share * step[0], at[1] + share * step[1], at[2]}, there[2], slope[2][3];
      if (!weir__camera_project(c, next, there, slope) || !(distance(there, image) < from)) continue;
      memcpy(at, next, sizeof at), memcpy(seen, there, sizeof seen), memcpy(j, slope, sizeof j);
      from  = distance(there, image);
      moved = true;
    }
  }
  if (!(from < close)) return false;
  world[0] = at[0], world[1] = at[1];
  return true;
}
