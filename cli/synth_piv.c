/* weir synth-piv: pairs of particle images whose displacement is known. */
#include "cli.h"
#include "core/text.h"
#include "run/synth_piv.h"
#include <math.h>
#include <string.h>

static const char help[] =
    "usage: weir synth-piv [-o DIR] [--field NAME] [--size HEIGHTxWIDTH] [--pairs N] ...\n"
    "\n"
    "Write pairs of synthetic particle images for particle image velocimetry, pair_0001a.tif, pair_0001b.tif and so\n"
    "on, with truth.csv beside them: the displacement as a formula with its numbers, and all that the images were\n"
    "made from. Row y, column x have their centre at the whole numbers y, x, from 0 on; a displacement belongs to the\n"
    "place half way between those in the two images. The same options give the same bytes.\n"
    "\n"
    "  -o DIR            where to, made if it is not there (default: here)\n"
    "  --size HxW        pixels (default: 512x512)\n"
    "  --pairs N         each with other particles (default: 1)\n"
    "  --field NAME      uniform, shear (of dx, along y), vortex (Lamb-Oseen), sine (dx, along y) or rotation\n"
    "                    (default: uniform)\n"
    "  --shift DY,DX     pixels, added everywhere (default: 0,3.4 for uniform, else 0,0)\n"
    "  --gradient G      the largest there is, in pixels per pixel; of a rotation: radians (default: 0.02)\n"
    "  --wavelength L    of the sine, pixels (default: 128)\n"
    "  --radius R        of the vortex' core, pixels (default: 48)\n"
    "  --density P       particles per pixel (default: 0.05)\n"
    "  --diameter D      of their images, to 1/e^2 of the peak, pixels (default: 2.5)\n"
    "  --spread S        standard deviation of diameters, pixels (default: 0)\n"
    "  --sheet NAME      light across the sheet: gaussian or even (default: gaussian)\n"
    "  --peak C          counts of a particle in the middle of the sheet (default: 0.7 of the range)\n"
    "  --background C    counts (default: 0)\n"
    "  --noise C         standard deviation of the noise of a pixel, counts (default: 0)\n"
    "  --loss F          part of the particles that have no partner, 0 to 1 (default: 0)\n"
    "  --bits N          8, 10, 12, 14 or 16; beyond 8 pixels are stored as 16 bits (default: 8)\n"
    "  --format NAME     tif, png or pgm (default: tif)\n"
    "  --seed N          other particles and noise (default: 1)\n"
    "\n"
    "example:\n"
    "\n"
    "  weir synth-piv -o vortex --field vortex --size 1024x1024 --pairs 10 --noise 4 --loss 0.05\n";

typedef struct number {
  const char *name;
  double     *to, least, most;
  bool        above; /* more than `least` */
} number;

/* A number at the head of `text`, then `separator` (0: the end); moves on. */
static bool part(const char **text, char separator, double *value) {
  char        copy[64];
  const char *end = separator ? strchr(*text, separator) : *text + strlen(*text);
  if (!end || (size_t)(end - *text) >= sizeof copy) return false;
  memcpy(copy, *text, (size_t)(end - *text));
  copy[end - *text] = 0;
  *text             = *end ? end + 1 : end;
  return weir__text_to_double(copy, value) && isfinite(*value);
}

static bool read_two(const char *value, char separator, double two[2]) {
  return value && part(&value, separator, &two[0]) && part(&value, 0, &two[1]);
}

static int read_number(const number *n, const char *value) {
  if (value && weir__text_to_double(value, n->to) && isfinite(*n->to) && *n->to <= n->most &&
      (n->above ? *n->to > n->least : *n->to >= n->least))
    return 0;
  if (n->most < 1e300)
    return cli_misuse("synth-piv", "%s %s: expected a number from %g to %g", n->name, value ? value : "", n->least,
                      n->most);
  return n->least > -1e300 ? cli_misuse("synth-piv", "%s %s: expected a number, %s %g", n->name, value ? value : "",
                                        n->above ? "more than" : "at least", n->least)
                           : cli_misuse("synth-piv", "%s %s: expected a number", n->name, value ? value : "");
}

static int read_field(weir__synth_piv *job, const char *value) {
  weir__text names = {0};
  if (weir__synth_piv_motion(value ? value : "", &job->motion.kind, &names)) return 0;
  int result =
      cli_misuse("synth-piv", "--field %s: expected %s", value ? value : "", names.data ? names.data : "a name");
  weir__text_clear(&names);
  return result;
}

static int read_size(weir__synth_piv *job, const char *value) {
  double two[2];
  if (!read_two(value, 'x', two) || two[0] < 1 || two[1] < 1 || two[0] > 65536 || two[1] > 65536 ||
      two[0] != floor(two[0]) || two[1] != floor(two[1]))
    return cli_misuse("synth-piv", "--size %s: expected pixels such as 512x640, up to 65536", value ? value : "");
  for (int i = 0; i < 2; i++) job->scene.size[i] = (int64_t)two[i];
  return 0;
}

static int read_bits(weir__synth_piv *job, const char *value) {
  if (!cli_number("synth-piv", "--bits", value, 8, 16, &job->scene.bits)) return 2;
  return job->scene.bits % 2 ? cli_misuse("synth-piv", "--bits %s: expected 8, 10, 12, 14 or 16", value) : 0;
}

static int read_seed(weir__synth_piv *job, const char *value) {
  int64_t seed;
  if (!value || !weir__text_to_int64(value, &seed) || seed < 0)
    return cli_misuse("synth-piv", "--seed %s: expected a whole number from 0 on", value ? value : "");
  job->scene.seed = (uint64_t)seed;
  return 0;
}

static int read_sheet(weir__synth_piv *job, const char *value) {
  bool even = value && !strcmp(value, "even");
  if (!even && (!value || strcmp(value, "gaussian")))
    return cli_misuse("synth-piv", "--sheet %s: expected gaussian or even", value ? value : "");
  job->scene.sheet = even ? WEIR__PIV_SHEET_EVEN : WEIR__PIV_SHEET_GAUSSIAN;
  return 0;
}

static int read_format(weir__synth_piv *job, const char *value) {
  if (!value || (strcmp(value, "tif") && strcmp(value, "png") && strcmp(value, "pgm")))
    return cli_misuse("synth-piv", "--format %s: expected tif, png or pgm", value ? value : "");
  job->format = value;
  return 0;
}

/* An option that is a plain number, -1: it is none of them. */
static int read_plain(weir__synth_piv *job, int argc, char **argv, int *at) {
  weir__piv_scene *s         = &job->scene;
  const number     numbers[] = {{"--gradient", &job->motion.gradient, -INFINITY, INFINITY, false},
                                {"--wavelength", &job->motion.wavelength, 0, INFINITY, true},
                                {"--radius", &job->motion.radius, 0, INFINITY, true},
                                {"--density", &s->density, 0, 10, false},
                                {"--diameter", &s->diameter, 0.5, 40, false},
                                {"--spread", &s->diameter_spread, 0, 10, false},
                                {"--peak", &s->peak, 0, INFINITY, false},
                                {"--background", &s->background, 0, INFINITY, false},
                                {"--noise", &s->noise, 0, INFINITY, false},
                                {"--loss", &s->loss, 0, 1, false}};
  const char      *value;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (cli_option(argc, argv, at, numbers[i].name, &value)) return read_number(&numbers[i], value);
  return -1;
}

static int read_option(weir__synth_piv *job, bool *shifted, int argc, char **argv, int *at) {
  const char *value;
  int         result = read_plain(job, argc, argv, at);
  if (result >= 0) return result;
  if (cli_option(argc, argv, at, "--field", &value)) return read_field(job, value);
  if (cli_option(argc, argv, at, "--size", &value)) return read_size(job, value);
  if (cli_option(argc, argv, at, "--bits", &value)) return read_bits(job, value);
  if (cli_option(argc, argv, at, "--seed", &value)) return read_seed(job, value);
  if (cli_option(argc, argv, at, "--sheet", &value)) return read_sheet(job, value);
  if (cli_option(argc, argv, at, "--format", &value)) return read_format(job, value);
  if (cli_option(argc, argv, at, "--pairs", &value))
    return cli_number("synth-piv", "--pairs", value, 1, 9999, &job->pairs) ? 0 : 2;
  if (cli_option(argc, argv, at, "--shift", &value)) {
    *shifted = true;
    return read_two(value, ',', job->motion.shift)
               ? 0
               : cli_misuse("synth-piv", "--shift %s: expected two numbers such as 0,3.4", value ? value : "");
  }
  if (cli_option(argc, argv, at, "-o", &value)) {
    job->directory = value;
    return value && *value ? 0 : cli_misuse("synth-piv", "-o: expected a directory");
  }
  return cli_misuse("synth-piv", argv[*at][0] == '-' ? "unknown option %s" : "unexpected %s", argv[*at]);
}

static int run(int argc, char **argv) {
  weir__synth_piv job;
  weir__text      text    = {0};
  bool            shifted = false;
  weir__synth_piv_defaults(&job);
  job.scene.peak = -1;
  for (int i = 1; i < argc; i++) {
    int result = read_option(&job, &shifted, argc, argv, &i);
    if (result) return result;
  }
  if (job.scene.peak < 0) job.scene.peak = 0.7 * ((1 << job.scene.bits) - 1);
  if (!shifted && job.motion.kind == WEIR__PIV_UNIFORM_SHIFT) job.motion.shift[1] = 3.4;
  weir_status status = weir__synth_piv_write(&job, &text);
  if (status >= 0) return cli_print(&text);
  weir__text_clear(&text);
  return cli_fail(status);
}

const cli_command cli_synth_piv = {"synth-piv", "write particle images whose displacement is known", help, run};
