#include "run/synth_piv.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/image.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

void weir__synth_piv_defaults(weir__synth_piv *job) {
  *job = (weir__synth_piv){.directory = ".",
                           .format    = "tif",
                           .pairs     = 1,
                           .motion    = {.gradient = 0.02, .wavelength = 128, .radius = 48},
                           .scene     = {.size     = {512, 512},
                                         .density  = 0.05,
                                         .diameter = 2.5,
                                         .bits     = 8,
                                         .seed     = 1,
                                         .sheet    = WEIR__PIV_SHEET_GAUSSIAN}};
}

bool weir__synth_piv_motion(const char *name, weir__piv_motion_kind *kind, weir__text *names) {
  for (int k = 0; k < WEIR__PIV_MOTIONS; k++)
    if (!strcmp(name, weir__piv_motion_name((weir__piv_motion_kind)k))) {
      *kind = (weir__piv_motion_kind)k;
      return true;
    }
  for (int k = 0; k < WEIR__PIV_MOTIONS; k++)
    weir__text_add(names, "%s%s",
                   !k                          ? ""
                   : k + 1 < WEIR__PIV_MOTIONS ? ", "
                                               : " or ",
                   weir__piv_motion_name((weir__piv_motion_kind)k));
  return false;
}

/* ---- truth.csv ---- */

static void add_number(weir__text *csv, const char *name, double value) {
  char text[32];
  weir__text_add(csv, "%s,%s\n", name, weir__number_text(value, text));
}

/* All that the images depend on; of the field only what its formula names. */
static void describe(const weir__synth_piv *job, const weir__piv_motion *m, weir__text *csv) {
  const weir__piv_scene *s = &job->scene;
  weir__text_add(csv, "name,value\nfield,%s\n", weir__piv_motion_name(m->kind));
  weir__text_add(csv, "displacement_y,%s\n", weir__piv_motion_formula(m->kind, 0));
  weir__text_add(csv, "displacement_x,%s\n", weir__piv_motion_formula(m->kind, 1));
  if (m->kind == WEIR__PIV_VORTEX)
    weir__text_add(csv, "q,(1 - exp(-s)) / s with s = ((y - centre_y)^2 + (x - centre_x)^2) / radius^2\n");
  add_number(csv, "shift_y", m->shift[0]);
  add_number(csv, "shift_x", m->shift[1]);
  if (m->kind != WEIR__PIV_UNIFORM_SHIFT) {
    add_number(csv, "gradient", m->gradient);
    if (m->kind == WEIR__PIV_SINE) add_number(csv, "wavelength", m->wavelength);
    if (m->kind == WEIR__PIV_VORTEX) add_number(csv, "radius", m->radius);
    add_number(csv, "centre_y", m->centre[0]);
    add_number(csv, "centre_x", m->centre[1]);
  }
  add_number(csv, "pairs", job->pairs);
  add_number(csv, "height", (double)s->size[0]);
  add_number(csv, "width", (double)s->size[1]);
  add_number(csv, "bits", s->bits);
  add_number(csv, "density", s->density);
  add_number(csv, "diameter", s->diameter);
  add_number(csv, "diameter_spread", s->diameter_spread);
  weir__text_add(csv, "sheet,%s\n", s->sheet == WEIR__PIV_SHEET_GAUSSIAN ? "gaussian" : "even");
  add_number(csv, "peak", s->peak);
  add_number(csv, "background", s->background);
  add_number(csv, "noise", s->noise);
  add_number(csv, "loss", s->loss);
  weir__text_add(csv, "seed,%llu\n", (unsigned long long)s->seed);
}

static weir_status write_truth(const weir__synth_piv *job, const weir__piv_motion *motion) {
  weir__text csv = {0}, path = {0};
  describe(job, motion, &csv);
  weir__text_add(&path, "%s/truth.csv", job->directory);
  weir_status status = weir__text_status(&csv);
  if (status >= 0) status = weir__text_status(&path);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, path.data, path.data, csv.data, csv.length, false);
  weir__text_clear(&csv);
  weir__text_clear(&path);
  return status;
}

/* ---- images ---- */

static weir_status write_image(const weir__synth_piv *job, weir__image_format format, int pair, char which,
                               const void *pixels) {
  weir__text path = {0};
  weir__text_add(&path, "%s/pair_%04d%c.%s", job->directory, pair, which, job->format);
  weir_status status = weir__text_status(&path);
  if (status >= 0)
    status = weir__image_write(path.data, format, weir__piv_scene_dtype(&job->scene), job->scene.size[0],
                               job->scene.size[1], pixels);
  weir__text_clear(&path);
  return status;
}

static weir_status write_pairs(const weir__synth_piv *job, weir__image_format format, const weir__piv_motion *motion,
                               void *a, void *b) {
  weir__piv_scene scene = job->scene;
  scene.displacement    = weir__piv_motion_at;
  scene.parameters      = motion;
  for (int pair = 1; pair <= job->pairs; pair++) {
    scene.pair = (uint64_t)pair - 1;
    WEIR_TRY(weir__piv_synthesize(&scene, a, b));
    if (pair == 1) WEIR_TRY(weir__file_make_directories(job->directory, true)); /* the scene is in order */
    WEIR_TRY(write_image(job, format, pair, 'a', a));
    WEIR_TRY(write_image(job, format, pair, 'b', b));
  }
  return write_truth(job, motion);
}

weir_status weir__synth_piv_write(const weir__synth_piv *job, weir__text *text) {
  weir_status        status = WEIR_OK;
  char               name[32], *a = NULL, *b = NULL;
  weir__image_format format;
  weir__piv_motion   motion  = job->motion;
  const int64_t     *size    = job->scene.size;
  size_t             element = weir_dtype_size(weir__piv_scene_dtype(&job->scene));
  snprintf(name, sizeof name, ".%s", job->format);
  if (!weir__image_format_of(name, &format))
    return WEIR_FAIL(WEIR_ERR_INPUT, "images as %s cannot be written, expected tif, png or pgm", job->format);
  for (int i = 0; i < 2; i++) motion.centre[i] = 0.5 * (double)(size[i] - 1);
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)(size[0] * size[1]), element, &a));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)(size[0] * size[1]), element, &b));
  WEIR_TRY_GOTO(out, write_pairs(job, format, &motion, a, b));
  weir__text_add(text, "%s: %d pair%s of %lld x %lld pixels (%s), %s, truth.csv\n", job->directory, job->pairs,
                 job->pairs > 1 ? "s" : "", (long long)size[0], (long long)size[1], job->format,
                 weir__piv_motion_name(motion.kind));
  status = weir__text_status(text);
out:
  weir__free(a);
  weir__free(b);
  return status;
}
