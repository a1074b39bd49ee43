/* weir calibrate: where a camera sees what. */
#include "run/calibrate.h"
#include "cli.h"
#include "core/memory.h"
#include <math.h>
#include <string.h>

static const char help[] =
    "usage: weir calibrate POINTS... | IMAGES... --spacing M  [-o FILE] [--model polynomial|pinhole] ...\n"
    "\n"
    "Fit a camera to points whose places in the image and in the world are known, and write it as a calibration\n"
    "file, which the operators physical (vectors to metres), dewarp (images to metres) and stereo (two views to three\n"
    "components) take. Reported: what is left of each point, and which points are the worst.\n"
    "\n"
    "POINTS are tables with the columns x, y (pixels; the centre of the first pixel is 0, 0, rows count downwards), "
    "X,\n"
    "Y and Z (m), named in the first line; without Z the points are at --z. With --spacing they are IMAGES of a "
    "target\n"
    "instead, a regular grid of dots, dark or bright; X goes to the right, Y up, as the image shows it.\n"
    "\n"
    "  -o FILE          calibration file (default: the first of POINTS with .yaml)\n"
    "  --model NAME     polynomial: of X, Y and, where points are at several Z, Z: no assumption about optics, good\n"
    "                   between the points, not beyond (default); pinhole: an ideal camera with radial distortion,\n"
    "                   needs points at two Z or more that do not lie in one plane\n"
    "  --order N        of the polynomial: 1, 2 or 3 in X and Y (default: 3, at least 10 points in one plane, 16 in\n"
    "                   two, 19 in more)\n"
    "  --radial N       coefficients of distortion of the pinhole: 0, 1 or 2 (default: 2)\n"
    "  --z Z,...        of each table or image in turn, m (default: 0; a column Z counts instead)\n"
    "  --spacing M      from dot to dot of the target, m\n"
    "  --start X,Y      pixel: the dot nearest to it is X = Y = 0 (default: the middle of the image). Give it for "
    "each\n"
    "                   camera and Z such that it is always the same dot: X,Y,X,Y,... for several images\n"
    "\n"
    "examples:\n"
    "\n"
    "  weir calibrate points.csv -o camera.yaml\n"
    "  weir calibrate left_z0.csv left_z1.csv left_z2.csv --z -1e-3,0,1e-3 --model pinhole -o left.yaml\n"
    "  weir calibrate dots.tif --spacing 5e-3\n"
    "  weir calibrate dots1.tif dots2.tif --spacing 5e-3 --z 0,1e-3 --start 640,512,652,512 -o right.yaml\n"
    "\n"
    "and then in a recipe, with vectors in pixels (piv without dt, images without pixel and up):\n"
    "\n"
    "  flow: piv(a, b)\n"
    "  real: physical(flow.u, flow.v, calibration=\"camera.yaml\", dt=1e-3)\n"
    "\n"
    "exit status: 0 complete; 1 failed; 2 bad input, such as points that do not determine a camera\n";

enum { SOURCES = 64 };

typedef struct options {
  weir__camera_fit fit;
  const char      *source[SOURCES];
  int              sources;
  double           z[SOURCES], start[2 * SOURCES], spacing;
  int              zs, starts;
  const char      *output;
} options;

static int read_choice(const char *value, const char *const *words, const char *refusal, int *out) {
  for (int k = 0; words[k]; k++)
    if (value && !strcmp(value, words[k])) {
      *out = k;
      return 0;
    }
  return cli_misuse("calibrate", refusal, value ? value : "");
}

/* Numbers with commas between; false: something else, or more than `most`. */
static bool read_list(const char *value, int most, double *out, int *count) {
  char copy[64];
  *count = 0;
  for (const char *at = value; at && *count < most;) {
    size_t n = strcspn(at, ",");
    if (n >= sizeof copy) return false;
    memcpy(copy, at, n);
    copy[n] = 0;
    if (!weir__text_to_double(copy, &out[*count]) || !isfinite(out[*count])) return false;
    ++*count;
    if (!at[n]) return true;
    at += n + 1;
  }
  return false;
}

/* Where the points are. -1: another option. */
static int read_place(options *o, int argc, char **argv, int *i) {
  const char *value;
  if (cli_option(argc, argv, i, "--z", &value))
    return read_list(value, SOURCES, o->z, &o->zs)
               ? 0
               : cli_misuse("calibrate", "--z %s: expected numbers such as -1e-3,0,1e-3", value ? value : "");
  if (cli_option(argc, argv, i, "--start", &value))
    return read_list(value, 2 * SOURCES, o->start, &o->starts) && o->starts % 2 == 0
               ? 0
               : cli_misuse("calibrate", "--start %s: expected a pixel such as 640,512", value ? value : "");
  if (cli_option(argc, argv, i, "--spacing", &value))
    return value && weir__text_to_double(value, &o->spacing) && o->spacing > 0 && isfinite(o->spacing)
               ? 0
               : cli_misuse("calibrate", "--spacing %s: expected metres, more than 0", value ? value : "");
  return -1;
}

static int read_option(options *o, int argc, char **argv, int *i) {
  static const char *const models[] = {"polynomial", "pinhole", NULL};
  const char              *value;
  int                      taken = read_place(o, argc, argv, i);
  if (taken >= 0) return taken;
  if (cli_option(argc, argv, i, "--model", &value)) {
    int model = 0, result = read_choice(value, models, "--model %s: expected polynomial or pinhole", &model);
    if (!result) o->fit.model = (weir__camera_model)model;
    return result;
  }
  if (cli_option(argc, argv, i, "--order", &value))
    return cli_number("calibrate", "--order", value, 1, 3, &o->fit.order) ? 0 : 2;
  if (cli_option(argc, argv, i, "--radial", &value))
    return cli_number("calibrate", "--radial", value, 0, 2, &o->fit.radial) ? 0 : 2;
  if (cli_option(argc, argv, i, "-o", &value)) {
    o->output = value;
    return value && *value ? 0 : cli_misuse("calibrate", "-o: expected a file");
  }
  if (argv[*i][0] == '-') return cli_misuse("calibrate", "unknown option %s", argv[*i]);
  if (o->sources == SOURCES) return cli_misuse("calibrate", "more than %d files", SOURCES);
  o->source[o->sources++] = argv[*i];
  return 0;
}

static weir_status read_source(const options *o, int k, weir__calibration_points *points) {
  double z = k < o->zs ? o->z[k] : 0;
  if (!(o->spacing > 0)) return weir__calibration_read_table(o->source[k], z, points);
  weir__target target = {.spacing = o->spacing, .z = z, .start = {NAN, NAN}};
  for (int a = 0; a < 2 && o->starts; a++) target.start[a] = o->start[o->starts > 2 ? 2 * k + a : a];
  return weir__calibration_read_image(o->source[k], &target, points);
}

/* All of them, as comments name what a camera was fitted to. */
static weir_status calibrate(const options *o, weir__text *report) {
  weir__calibration_points points = {0};
  weir__text               source = {0}, output = {0};
  weir_status              status = WEIR_OK;
  for (int k = 0; k < o->sources && status >= 0; k++) {
    weir__text_add(&source, "%s%s", k ? ", " : "", o->source[k]);
    status = read_source(o, k, &points);
  }
  const char *name = o->source[0], *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
  int         stem = dot && (!slash || dot > slash + 1) ? (int)(dot - name) : (int)strlen(name);
  if (o->output) weir__text_add(&output, "%s", o->output);
  else weir__text_add(&output, "%.*s.yaml", stem, name);
  if (status >= 0) status = weir__text_status(&source);
  if (status >= 0) status = weir__text_status(&output);
  if (status >= 0) status = weir__calibrate(&o->fit, &points, source.data, output.data, report);
  weir__free(points.point);
  weir__text_clear(&source);
  weir__text_clear(&output);
  return status;
}

static int run(int argc, char **argv) {
  options    o      = {.fit = {.model = WEIR__CAMERA_POLYNOMIAL, .order = 3, .radial = 2}};
  weir__text report = {0};
  for (int i = 1; i < argc; i++) {
    int result = read_option(&o, argc, argv, &i);
    if (result) return result;
  }
  if (!o.sources) return cli_misuse("calibrate", "points are missing");
  if (o.zs && o.zs != o.sources) return cli_misuse("calibrate", "--z has %d numbers for %d files", o.zs, o.sources);
  if (o.starts > 2 && o.starts != 2 * o.sources)
    return cli_misuse("calibrate", "--start has %d pixels for %d images", o.starts / 2, o.sources);
  if (o.starts && !(o.spacing > 0)) return cli_misuse("calibrate", "--start belongs to images, which --spacing says");
  weir_status status = calibrate(&o, &report);
  if (status >= 0) return cli_print(&report);
  weir__text_clear(&report);
  return cli_fail(status);
}

const cli_command cli_calibrate = {"calibrate", "fit a camera, for vectors and images in metres", help, run};
