/* weir piv: velocimetry of a series of images without writing a recipe: this one writes it, and runs it. */
#include "cli.h"
#include "core/memory.h"
#include "run/piv.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "usage: weir piv IMAGES... [options]\n"
    "\n"
    "Particle image velocimetry of a series of images: a folder, a pattern in quotes, or files. The recipe is written\n"
    "to DIR/piv.yaml and run; what it gives stands beside it:\n"
    "\n"
    "  piv.zarr              u, v, correlation, peak_ratio, uncertainty_u, uncertainty_v, flag, replaced\n"
    "  piv.csv               per couple: part of valid vectors, mean correlation\n"
    "  vectors_000001.png    vectors over vorticity (with 3 vectors or more along x and y)\n"
    "\n"
    "  -o DIR             folder of the results (default: the folder or first word of IMAGES, with .piv)\n"
    "  -o FILE.nc         the fields in one NetCDF file instead of piv.zarr; the rest in the folder FILE.piv\n"
    "  --subset TEXT      which images make a couple, i being its number: \"i:i+2\", \"i, 0:2\", ... (default: pairs)\n"
    "  --reference FILE   compare each image with this one, not with the next (background-oriented schlieren, BOS)\n"
    "  --start I, --stop I, --step N\n"
    "                     couples from I on, below I, every N-th\n"
    "  --window N,N,...   windows of each pass, pixels (default: 64,32,32); --window 32 is a single pass\n"
    "  --overlap X,...    part that neighbouring windows share (default: 0.5)\n"
    "  --search N,...     largest displacement looked for in each pass, pixels\n"
    "  --interpolation W  splines that move the images between passes: cubic, quintic (less bias where particles are\n"
    "                     smaller than 2.5 pixels, more time; default: cubic)\n"
    "  --smooth WHEN      thin-plate splines: no, last, all (default: no)\n"
    "  --mask FILE        what takes no part: an image of the same size, not 0 there, or polygons as text (columns y, "
    "x)\n"
    "  --ensemble N       one result for every N couples, from the mean of their correlations\n"
    "  --dt S             seconds between the images of a couple: u and v become velocities\n"
    "  --pixel M          metres that a pixel shows: coordinates and displacements in m\n"
    "  --up               y points up (without it down, as rows are numbered)\n"
    "  --watch            the images are still being written: results come while the camera writes. It ends by Ctrl-C, "
    "or\n"
    "  --until-file NAME  when a file of this name (or pattern) appears in the folder\n"
    "  --timeout T        when no image comes for so long: 30s, 5 min (a number: seconds)\n"
    "  --count N          after N couples\n"
    "  --pictures N       a picture of every N-th couple (default: 1; 0: none)\n"
    "  --workers N, --threads N, --resume, --report\n"
    "                     as for weir run\n"
    "  --write            write the recipe and stop\n"
    "  --try              one couple, the first (or that of --start): statistics and a picture\n"
    "\n"
    "examples:\n"
    "\n"
    "  weir piv Images/ --window 64,32 --dt 1e-3 --pixel 5e-5 --up\n"
    "  weir piv Images/ --watch --until-file done --timeout \"5 min\"\n"
    "  weir piv --try Images/ --window 48,24,24\n"
    "  weir piv \"run7/B*.tif\" --subset \"i:i+2\" -o run7.piv\n"
    "  weir piv Dots/ --reference still.tif --window 32,16,16\n"
    "\n"
    "exit status: 0 complete; 1 failed or incomplete (a missing or damaged image concerns its couples only); 2 bad "
    "input\n";

enum { IMAGES_MAX = 4096, PASSED_MAX = 16 };

typedef struct options {
  weir__piv_request request;
  const char       *image[IMAGES_MAX];
  const char       *passed[PASSED_MAX]; /* to weir run */
  int               passed_on;
  bool              only_write;
} options;

/* An option with a text that goes into the request. 0: taken, 2: misuse, -1: another one. */
static int read_text(options *o, int argc, char **argv, int *i) {
  weir__piv_request *r = &o->request;
  const struct {
    const char  *name;
    const char **to;
  } texts[] = {{"--subset", &r->subset},       {"--start", &r->start},
               {"--stop", &r->stop},           {"--step", &r->step},
               {"--window", &r->window},       {"--overlap", &r->overlap},
               {"--search", &r->search},       {"--interpolation", &r->interpolation},
               {"--smooth", &r->smooth},       {"--mask", &r->mask},
               {"--ensemble", &r->ensemble},   {"--dt", &r->dt},
               {"--pixel", &r->pixel},         {"-o", &r->directory},
               {"--reference", &r->reference}, {"--until-file", &r->until_file},
               {"--timeout", &r->timeout},     {"--count", &r->count}};
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
    const char *value;
    if (!cli_option(argc, argv, i, texts[k].name, &value)) continue;
    if (!value || !*value) return cli_misuse("piv", "%s: a value is missing", texts[k].name);
    *texts[k].to = value;
    return 0;
  }
  return -1;
}

static int pass_on(options *o, const char *name, const char *value) {
  if (!value || !*value) return cli_misuse("piv", "%s: a number is missing", name);
  if (o->passed_on + 2 > PASSED_MAX) return cli_misuse("piv", "%s is given too often", name);
  o->passed[o->passed_on++] = name;
  o->passed[o->passed_on++] = value;
  return 0;
}

static int read_option(options *o, int argc, char **argv, int *i) {
  const char *value;
  int         taken = read_text(o, argc, argv, i);
  if (taken >= 0) return taken;
  if (cli_option(argc, argv, i, "--workers", &value)) return pass_on(o, "--workers", value);
  if (cli_option(argc, argv, i, "--threads", &value)) return pass_on(o, "--threads", value);
  if (cli_option(argc, argv, i, "--pictures", &value))
    return cli_number("piv", "--pictures", value, 0, 1 << 30, &o->request.pictures) ? 0 : 2;
  if (!strcmp(argv[*i], "--up")) return o->request.up = true, 0;
  if (!strcmp(argv[*i], "--watch")) return o->request.watch = true, 0;
  if (!strcmp(argv[*i], "--try")) return o->request.trial = true, 0;
  if (!strcmp(argv[*i], "--write")) return o->only_write = true, 0;
  if (!strcmp(argv[*i], "--resume") || !strcmp(argv[*i], "--report")) {
    if (o->passed_on == PASSED_MAX) return cli_misuse("piv", "%s is given too often", argv[*i]);
    return o->passed[o->passed_on++] = argv[*i], 0;
  }
  if (argv[*i][0] == '-' && argv[*i][1]) return cli_misuse("piv", "unknown option %s", argv[*i]);
  if (o->request.images == IMAGES_MAX)
    return cli_misuse("piv", "more than %d images; give a folder or a pattern in quotes", IMAGES_MAX);
  o->image[o->request.images++] = argv[*i];
  return 0;
}

/* "Images/" gives Images.piv; a pattern or file the folder it is in. */
static weir_status default_directory(options *o, weir__text *name) {
  const char *first  = o->image[0], *slash;
  size_t      length = strlen(first);
  struct stat about;
  bool        folder = !stat(first, &about) && S_ISDIR(about.st_mode);
  if (!folder && (slash = strrchr(first, '/'))) length = (size_t)(slash - first);
  else if (!folder) length = 0;
  while (length > 1 && first[length - 1] == '/') length--;
  bool here = !length || (length == 1 && *first == '.');
  weir__text_add(name, "%.*s.piv", here ? 6 : (int)length, here ? "images" : first);
  o->request.directory = name->data;
  return weir__text_status(name);
}

/* "out.nc" is the file with the fields, and what stands beside them goes to out.piv. */
static weir_status name_file(options *o, weir__text *name) {
  static const char ending[] = ".nc";
  const char       *given    = o->request.directory;
  size_t            length = strlen(given), tail = sizeof ending - 1;
  if (length <= tail || strcmp(given + length - tail, ending)) return WEIR_OK;
  o->request.netcdf = given;
  weir__text_add(name, "%.*s.piv", (int)(length - tail), given);
  o->request.directory = name->data;
  return weir__text_status(name);
}

static int start(const options *o, const char *recipe) {
  enum { FIXED = 4 };
  const char *argv[FIXED + PASSED_MAX + 1] = {"run", recipe, "--dir", NULL};
  weir__text  directory                    = {0};
  int         argc                         = FIXED;
  weir__text_add(&directory, "%s/run", o->request.directory);
  if (weir__text_status(&directory)) return cli_fail(weir__text_status(&directory));
  argv[3] = directory.data;
  for (int i = 0; i < o->passed_on; i++) argv[argc++] = o->passed[i];
  int result = cli_run.run(argc, (char **)(void *)argv);
  if (!result && o->request.trial) {
    weir__text  text   = {0};
    weir_status status = weir__piv_trial(o->request.directory, &text);
    result             = status < 0 ? cli_fail(status) : cli_print(&text);
  }
  weir__text_clear(&directory);
  return result;
}

static int run(int argc, char **argv) {
  options    o         = {.request = {.pictures = 1}};
  weir__text directory = {0};
  char      *recipe    = NULL;
  int        result    = 0;
  for (int i = 1; i < argc && !result; i++) result = read_option(&o, argc, argv, &i);
  if (!result && !o.request.images) result = cli_misuse("piv", "images are missing");
  if (!result && !o.request.watch && (o.request.until_file || o.request.timeout || o.request.count))
    result = cli_misuse("piv", "--until-file, --timeout and --count end a watch: --watch is missing");
  if (result) return result;
  o.request.image    = o.image;
  weir_status status = o.request.directory ? name_file(&o, &directory) : default_directory(&o, &directory);
  if (status >= 0) status = weir__piv_write(&o.request, &recipe);
  if (status < 0) result = cli_fail(status);
  else if (o.only_write) printf("%s\n", recipe);
  else result = start(&o, recipe);
  weir__free(recipe);
  weir__text_clear(&directory);
  return result;
}

const cli_command cli_piv = {"piv", "particle image velocimetry of a series of images", help, run};
