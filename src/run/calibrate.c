#include "run/calibrate.h"
#include "io/file.h"
#include <fcntl.h>
#include <math.h>
#include <string.h>

/* ---- the file ---- */

static void add_list(weir__text *text, const double *x, int n) {
  char number[32];
  for (int i = 0; i < n; i++) weir__text_add(text, "%s%s", i ? ", " : "[", weir__number_text(x[i], number));
  weir__text_add(text, "]");
}

static void write_pinhole(const weir__camera *c, weir__text *text) {
  const double k[3][3] = {{c->k[0], c->k[1], c->k[2]}, {0, c->k[3], c->k[4]}, {0, 0, 1}};
  for (int m = 0; m < 2; m++) {
    weir__text_add(text, m ? "R: [" : "K: [");
    for (int i = 0; i < 3; i++) {
      if (i) weir__text_add(text, ",\n    ");
      add_list(text, m ? c->r[i] : k[i], 3);
    }
    weir__text_add(text, "]\n");
  }
  weir__text_add(text, "t: ");
  add_list(text, c->t, 3);
  weir__text_add(text, "\nradial: ");
  add_list(text, c->radial, 2);
  weir__text_add(text, "\n");
}

static void write_polynomial(const weir__camera *c, weir__text *text) {
  char number[32];
  weir__text_add(text, "centre: ");
  add_list(text, c->centre, 3);
  weir__text_add(text, "\nscale: ");
  add_list(text, c->scale, 3);
  for (int i = 0; i < 2; i++) {
    weir__text_add(text, "\n%s:\n", i ? "y" : "x");
    for (int n = 0, first = 1; n < WEIR__CAMERA_TERMS; n++) {
      if (n && c->coefficient[i][n] == 0) continue;
      weir__text_add(text, "%s  %s: %s", first ? "" : "\n", weir__camera_term(n),
                     weir__number_text(c->coefficient[i][n], number));
      first = 0;
    }
  }
  weir__text_add(text, "\n");
}

static void write_camera(const weir__camera *c, const char *source, const char *residual, weir__text *text) {
  static const char *const names[] = {"X", "Y", "Z"};
  weir__text_add(text, "# image x, y (pixels) of world X, Y, Z (m); fitted to %s\n# %s\nmodel: %s\n", source, residual,
                 c->model == WEIR__CAMERA_PINHOLE ? "pinhole" : "polynomial");
  if (c->model == WEIR__CAMERA_PINHOLE) write_pinhole(c, text);
  else write_polynomial(c, text);
  weir__text_add(text, "points:\n");
  for (int a = 0; a < 3; a++) {
    weir__text_add(text, "  %s: ", names[a]);
    add_list(text, (double[2]){c->least[a], c->most[a]}, 2);
    weir__text_add(text, "\n");
  }
}

/* ---- the report ---- */

enum { WORST = 5 };

typedef struct residuals {
  double  rms, most;
  int64_t worst[WORST]; /* numbers of the points, the worst first; -1: none */
} residuals;

static double length(const weir__camera *c, const weir__camera_point *p) {
  double off[2];
  return weir__camera_residual(c, p, off) ? hypot(off[0], off[1]) : INFINITY;
}

static residuals look(const weir__camera *c, const weir__calibration_points *points) {
  residuals r = {.worst = {-1, -1, -1, -1, -1}};
  for (int64_t i = 0; i < points->count; i++) {
    double  off = length(c, &points->point[i]);
    int64_t at  = i;
    r.rms += off * off / (double)points->count;
    for (int k = 0; k < WORST; k++) {
      if (r.worst[k] >= 0 && length(c, &points->point[r.worst[k]]) >= length(c, &points->point[at])) continue;
      int64_t pushed = r.worst[k];
      r.worst[k]     = at;
      if (pushed < 0) break;
      at = pushed;
    }
  }
  r.rms  = sqrt(r.rms);
  r.most = length(c, &points->point[r.worst[0]]);
  return r;
}

static void add_scale(const weir__camera *c, weir__text *report) {
  double world[3], image[2], j[2][3];
  for (int a = 0; a < 3; a++) world[a] = (c->least[a] + c->most[a]) / 2;
  if (!weir__camera_project(c, world, image, j)) return;
  double pixel = 1 / sqrt(fabs(j[0][0] * j[1][1] - j[0][1] * j[1][0]));
  weir__text_add(report, "scale       %.5g m per pixel in the middle, at x %.1f, y %.1f\n", pixel, image[0], image[1]);
}

static void describe(const weir__camera_fit *fit, const weir__camera *c, const weir__calibration_points *points,
                     const residuals *r, weir__text *report) {
  int planes = weir__camera_planes(points->point, points->count);
  weir__text_add(report, "points      %lld, %s\n", (long long)points->count,
                 planes == 1   ? "at one Z"
                 : planes == 2 ? "at two Z"
                               : "at three or more Z");
  if (c->model == WEIR__CAMERA_PINHOLE)
    weir__text_add(report, "model       pinhole, focal length %.1f x %.1f pixels, axis at x %.1f, y %.1f\n", c->k[0],
                   c->k[3], c->k[2], c->k[4]);
  else
    weir__text_add(report, "model       polynomial of order %d%s\n", fit->order,
                   c->deep ? "" : ", of X and Y alone: not for stereo");
  add_scale(c, report);
  weir__text_add(report, "residual    rms %.3g pixels, largest %.3g\n", r->rms, r->most);
  weir__text_add(report,
                 "worst       point         x         y           X           Y           Z     off x     off y\n");
  for (int k = 0; k < WORST && r->worst[k] >= 0; k++) {
    const weir__camera_point *p      = &points->point[r->worst[k]];
    double                    off[2] = {NAN, NAN};
    (void)weir__camera_residual(c, p, off);
    weir__text_add(report, "%17lld %9.2f %9.2f %11.5g %11.5g %11.5g %9.3f %9.3f\n", (long long)r->worst[k] + 1,
                   p->image[0], p->image[1], p->world[0], p->world[1], p->world[2], off[0], off[1]);
  }
}

weir_status weir__calibrate(const weir__camera_fit *fit, const weir__calibration_points *points, const char *source,
                            const char *output, weir__text *report) {
  weir__camera c;
  weir__text   file = {0}, residual = {0};
  WEIR_TRY(weir__camera_fit_points(fit, points->point, points->count, &c));
  residuals r = look(&c, points);
  weir__text_add(&residual, "%lld points, residual rms %.3g pixels, largest %.3g", (long long)points->count, r.rms,
                 r.most);
  weir_status status = weir__text_status(&residual);
  if (status >= 0) {
    write_camera(&c, source, residual.data, &file);
    status = weir__text_status(&file);
  }
  if (status >= 0) status = weir__file_make_directories(output, false);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, output, output, file.data, file.length, false);
  if (status >= 0) {
    describe(fit, &c, points, &r, report);
    weir__text_add(report, "written     %s\n", output);
  }
  weir__text_clear(&file);
  weir__text_clear(&residual);
  return status;
}
