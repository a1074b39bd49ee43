#include "operators/piv/synthetic.h"
#include "core/memory.h"
#include <math.h>

static const double pi = 3.14159265358979323846;

/* ---- numbers by chance ---- */

static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

typedef struct chance {
  uint64_t state;
} chance;

/* What `stream` (particles, pixels of a, of b) draws for number `index`. */
static chance chance_of(const weir__piv_scene *scene, uint64_t stream, uint64_t index) {
  uint64_t key = mix(mix(mix(scene->seed + 1) + scene->pair + 1) + stream + 1);
  return (chance){mix(key + index)};
}

/* In [0, 1). */
static double uniform(chance *c) {
  c->state += 0x9e3779b97f4a7c15u;
  return (double)(mix(c->state) >> 11) * 0x1p-53;
}

static double normal(chance *c) {
  double radius = sqrt(-2 * log(1 - uniform(c)));
  return radius * cos(2 * pi * uniform(c));
}

/* ---- displacements ---- */

static const struct {
  const char *name, *dy, *dx;
} motions[WEIR__PIV_MOTIONS] = {
    {"uniform", "shift_y", "shift_x"},
    {"shear", "shift_y", "shift_x + gradient * (y - centre_y)"},
    {"vortex", "shift_y + gradient * q * (x - centre_x)", "shift_x - gradient * q * (y - centre_y)"},
    {"sine", "shift_y", "shift_x + gradient / k * sin(k * (y - centre_y)) with k = 2 pi / wavelength"},
    {"rotation", "shift_y + gradient * (x - centre_x)", "shift_x - gradient * (y - centre_y)"},
};

const char *weir__piv_motion_name(weir__piv_motion_kind kind) {
  return kind < WEIR__PIV_MOTIONS ? motions[kind].name : NULL;
}

const char *weir__piv_motion_formula(weir__piv_motion_kind kind, int axis) {
  return kind < WEIR__PIV_MOTIONS ? axis ? motions[kind].dx : motions[kind].dy : NULL;
}

/* q of the vortex: (1 - exp(-r^2 / radius^2)) radius^2 / r^2, 1 in the middle; so that the circulation is
 * 2 pi gradient radius^2 (Lamb 1932, Hydrodynamics, art. 334a). */
static double core(const weir__piv_motion *m, double y, double x) {
  double s = (y * y + x * x) / (m->radius * m->radius);
  return s < 1e-12 ? 1 : -expm1(-s) / s;
}

void weir__piv_motion_at(const void *motion, double y, double x, double displacement[2]) {
  const weir__piv_motion *m  = motion;
  double                  ry = y - m->centre[0], rx = x - m->centre[1], dy = 0, dx = 0, k;
  switch (m->kind) {
  case WEIR__PIV_SHEAR: dx = m->gradient * ry; break;
  case WEIR__PIV_VORTEX:
    k  = m->gradient * core(m, ry, rx);
    dy = k * rx, dx = -k * ry;
    break;
  case WEIR__PIV_SINE:
    k  = 2 * pi / m->wavelength;
    dx = m->gradient / k * sin(k * ry);
    break;
  case WEIR__PIV_ROTATION: dy = m->gradient * rx, dx = -m->gradient * ry; break;
  default: break;
  }
  displacement[0] = m->shift[0] + dy;
  displacement[1] = m->shift[1] + dx;
}

/* ---- particles ---- */

typedef struct particle {
  double y, x, diameter, peak;
} particle;

enum { PROFILE = 128 };                                       /* pixels across an image of a particle, at most */
static const double diameter_most = 40, reach_of_image = 1.4; /* diameters; the rest is below 1.6e-7 of the peak */

/* Light on pixels along one axis from `*first` on; returns how many. The mean of exp(-8 r^2 / d^2) over a pixel. */
static int profile(double centre, double diameter, int64_t size, int64_t *first, double value[PROFILE]) {
  double  reach = reach_of_image * diameter + 1, scale = sqrt(8) / diameter;
  int64_t from = (int64_t)ceil(centre - reach), to = (int64_t)floor(centre + reach);
  if (from < 0) from = 0;
  if (to > size - 1) to = size - 1;
  int    n    = (int)(to - from + 1);
  double edge = n > 0 ? erf(((double)from - 0.5 - centre) * scale) : 0;
  for (int i = 0; i < n; i++) {
    double next = erf(((double)(from + i) + 0.5 - centre) * scale);
    value[i]    = (next - edge) * sqrt(pi) / (2 * scale);
    edge        = next;
  }
  *first = from;
  return n;
}

static void draw(const weir__piv_scene *scene, const particle *p, double *image) {
  double  along[2][PROFILE];
  int64_t y0, x0;
  int     ny = profile(p->y, p->diameter, scene->size[0], &y0, along[0]);
  int     nx = profile(p->x, p->diameter, scene->size[1], &x0, along[1]);
  for (int y = 0; y < ny; y++)
    for (int x = 0; x < nx; x++) image[(y0 + y) * scene->size[1] + x0 + x] += p->peak * along[0][y] * along[1][x];
}

/* Somewhere within `margin` pixels around the images. */
static particle particle_of(const weir__piv_scene *scene, double margin, chance *c) {
  particle p;
  p.y           = uniform(c) * ((double)scene->size[0] + 2 * margin) - 0.5 - margin;
  p.x           = uniform(c) * ((double)scene->size[1] + 2 * margin) - 0.5 - margin;
  double spread = normal(c), depth = uniform(c) - 0.5;
  spread     = spread > 3 ? 3 : spread < -3 ? -3 : spread;
  p.diameter = scene->diameter + spread * scene->diameter_spread;
  if (p.diameter < 0.5) p.diameter = 0.5;
  p.peak = scene->sheet == WEIR__PIV_SHEET_GAUSSIAN ? scene->peak * exp(-8 * depth * depth) : scene->peak;
  return p;
}

static void draw_moved(const weir__piv_scene *scene, particle p, double share, double *image) {
  double d[2];
  scene->displacement(scene->parameters, p.y, p.x, d);
  p.y += share * d[0];
  p.x += share * d[1];
  draw(scene, &p, image);
}

static void draw_all(const weir__piv_scene *scene, double margin, double *a, double *b) {
  double   area  = ((double)scene->size[0] + 2 * margin) * ((double)scene->size[1] + 2 * margin);
  uint64_t count = (uint64_t)(scene->density * area + 0.5);
  for (uint64_t i = 0; i < count; i++) {
    chance   c    = chance_of(scene, 0, i);
    bool     lost = uniform(&c) < scene->loss;
    particle p    = particle_of(scene, margin, &c);
    draw_moved(scene, p, -0.5, a);
    if (lost) p = particle_of(scene, margin, &c);
    draw_moved(scene, p, 0.5, b);
  }
}

/* Half of the largest displacement at the edges, where particles come in and go out, and what their images reach. */
static double margin_of(const weir__piv_scene *scene) {
  double most = 0, d[2], height = (double)scene->size[0] - 1, width = (double)scene->size[1] - 1;
  for (int i = 0; i <= 64; i++)
    for (int side = 0; side < 4; side++) {
      double t = i / 64.0;
      scene->displacement(scene->parameters, side < 2 ? side * height : t * height,
                          side < 2 ? t * width : (side - 2) * width, d);
      most = fmax(most, fmax(fabs(d[0]), fabs(d[1])));
    }
  return ceil(0.75 * most + reach_of_image * (scene->diameter + 3 * scene->diameter_spread) + 1);
}

/* ---- pixels ---- */

weir_dtype weir__piv_scene_dtype(const weir__piv_scene *scene) { return scene->bits <= 8 ? WEIR_U8 : WEIR_U16; }

static void expose(const weir__piv_scene *scene, uint64_t stream, const double *light, void *out) {
  double  most = (double)((1 << scene->bits) - 1);
  int64_t n    = scene->size[0] * scene->size[1];
  for (int64_t i = 0; i < n; i++) {
    double value = scene->background + light[i];
    if (scene->noise > 0) {
      chance c = chance_of(scene, stream, (uint64_t)i);
      value += scene->noise * normal(&c);
    }
    value = floor(value + 0.5);
    value = value < 0 ? 0 : value > most ? most : value;
    if (scene->bits <= 8) ((uint8_t *)out)[i] = (uint8_t)value;
    else ((uint16_t *)out)[i] = (uint16_t)value;
  }
}

static bool at_least(double value, double least) { return value >= least && isfinite(value); }

static weir_status check(const weir__piv_scene *s) {
  if (s->size[0] < 1 || s->size[1] < 1 || s->size[0] > 1 << 16 || s->size[1] > 1 << 16)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "synthetic images: %lld x %lld pixels, expected 1 to 65536 on each axis",
                     (long long)s->size[0], (long long)s->size[1]);
  if (!at_least(s->density, 0) || s->density > 10)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "synthetic images: %g particles per pixel, expected 0 to 10", s->density);
  if (!at_least(s->diameter, 0.5) || !at_least(s->diameter_spread, 0) ||
      s->diameter + 3 * s->diameter_spread > diameter_most)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT,
                     "synthetic images: diameter %g +- %g, expected 0.5 to %g with 3 times the spread", s->diameter,
                     s->diameter_spread, diameter_most);
  if (!at_least(s->peak, 0) || !at_least(s->background, 0) || !at_least(s->noise, 0))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "synthetic images: peak %g, background %g, noise %g, expected 0 or more",
                     s->peak, s->background, s->noise);
  if (!(s->loss >= 0 && s->loss <= 1))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "synthetic images: loss %g, expected 0 to 1", s->loss);
  if (s->bits < 1 || s->bits > 16)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "synthetic images: %d bits, expected 1 to 16", s->bits);
  return WEIR_OK;
}

weir_status weir__piv_synthesize(const weir__piv_scene *scene, void *a, void *b) {
  weir_status status = WEIR_OK;
  double     *light  = NULL;
  WEIR_TRY(check(scene));
  size_t pixels = (size_t)(scene->size[0] * scene->size[1]);
  double margin = margin_of(scene);
  if (!(margin < 1e5))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "synthetic images: displacements of about %g pixels, expected less", margin);
  WEIR_TRY_GOTO(out, weir__alloc_array(2 * pixels, sizeof *light, &light));
  draw_all(scene, margin, light, light + pixels);
  expose(scene, 1, light, a);
  expose(scene, 2, light + pixels, b);
out:
  weir__free(light);
  return status;
}
