#include "run/piv.h"
#include "core/error.h"
#include "io/file.h"
#include "io/image.h"
#include "io/series.h"
#include "operators/piv/piv.h"
#include "run/piv_trial.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- checking ---- */

static weir_status check_number(const char *option, const char *text, size_t length) {
  char   one[64];
  double value;
  if (length < sizeof one) {
    memcpy(one, text, length);
    one[length] = 0;
    if (weir__text_to_double(one, &value)) return WEIR_OK;
  }
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: '%.*s' is no number", option, (int)(length < 64 ? length : 64), text);
}

static weir_status check_numbers(const char *option, const char *text) {
  while (text) {
    size_t length = strcspn(text, ",");
    WEIR_TRY(check_number(option, text, length));
    text = text[length] ? text + length + 1 : NULL;
  }
  return WEIR_OK;
}

static weir_status check(const weir__piv_request *r) {
  const struct {
    const char *option, *text;
  } lists[]  = {{"--window", r->window}, {"--overlap", r->overlap}, {"--search", r->search}},
    single[] = {{"--ensemble", r->ensemble}, {"--dt", r->dt},     {"--pixel", r->pixel}, {"--start", r->start},
                {"--stop", r->stop},         {"--step", r->step}, {"--count", r->count}};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) WEIR_TRY(check_numbers(lists[i].option, lists[i].text));
  for (size_t i = 0; i < sizeof single / sizeof *single; i++)
    if (single[i].text) WEIR_TRY(check_number(single[i].option, single[i].text, strlen(single[i].text)));
  if (r->interpolation && strcmp(r->interpolation, "cubic") && strcmp(r->interpolation, "quintic"))
    return WEIR_FAIL(WEIR_ERR_INPUT, "--interpolation: '%s', expected cubic or quintic", r->interpolation);
  if (r->smooth && strcmp(r->smooth, "no") && strcmp(r->smooth, "last") && strcmp(r->smooth, "all"))
    return WEIR_FAIL(WEIR_ERR_INPUT, "--smooth: '%s', expected no, last or all", r->smooth);
  return WEIR_OK;
}

/* ---- writing ---- */

/* A YAML text in double quotes. */
static void add_quoted(weir__text *text, const char *word) {
  weir__text_add(text, "\"");
  for (const char *c = word; *c; c++) {
    if ((unsigned char)*c < ' ') weir__text_add(text, "\\x%02x", (unsigned)*c);
    else weir__text_add(text, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
  }
  weir__text_add(text, "\"");
}

/* A path below the folder of the results; braces have a meaning in the names of pictures. */
static void add_path(weir__text *text, const weir__piv_request *r, const char *name) {
  weir__text path = {0};
  weir__text_add(&path, "%s/%s", r->directory, name);
  if (path.data) add_quoted(text, path.data);
  text->failed |= path.failed;
  weir__text_clear(&path);
}

static const char *subset_of(const weir__piv_request *r) {
  if (r->subset) return r->subset;
  return r->reference ? "all1by1" : "pairs";
}

/* Of the series and of the reference alike; `indent`: spaces. */
static void add_coordinates(const weir__piv_request *r, int indent, weir__text *text) {
  if (r->pixel) weir__text_add(text, "%*spixel: %s     # m\n", indent, "", r->pixel);
  if (r->up) weir__text_add(text, "%*sup: yes       # y points up, row 0 is on top\n", indent, "");
}

/* Images that are still being written. One couple of them is tried as they are. */
static void add_watch(const weir__piv_request *r, int indent, weir__text *text) {
  const struct {
    const char *key, *value;
  } ends[]           = {{"end", r->until_file}, {"timeout", r->timeout}, {"count", r->count}};
  const char *before = "{";
  if (!r->watch || r->trial) return;
  weir__text_add(text, "%*swatch: ", indent, "");
  for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
    if (!ends[k].value) continue;
    weir__text_add(text, "%s%s: ", before, ends[k].key);
    if (ends[k].value == r->count) weir__text_add(text, "%s", r->count);
    else add_quoted(text, ends[k].value);
    before = ", ";
  }
  weir__text_add(text, *before == ',' ? "}\n" : "yes\n");
}

static void add_series(const weir__piv_request *r, int indent, weir__text *text) {
  weir__text_add(text, "%*simages:\n", indent, "");
  for (int i = 0; i < r->images; i++) {
    weir__text_add(text, "%*s- ", indent + 2, "");
    add_quoted(text, r->image[i]);
    weir__text_add(text, "\n");
  }
  weir__text_add(text, "%*ssubset: ", indent, "");
  add_quoted(text, subset_of(r));
  weir__text_add(text, "\n");
  if (r->start) weir__text_add(text, "%*sstart: %s\n", indent, "", r->start);
  if (r->stop) weir__text_add(text, "%*sstop: %s\n", indent, "", r->stop);
  if (r->step) weir__text_add(text, "%*sstep: %s\n", indent, "", r->step);
  add_coordinates(r, indent, text);
  add_watch(r, indent, text);
  if (!r->mask) return;
  weir__text_add(text, "%*smask: ", indent, "");
  add_quoted(text, r->mask);
  weir__text_add(text, "\n");
}

static void add_stream(const weir__piv_request *r, weir__text *text) {
  weir__text_add(text, r->reference ? "streams:\n  series:\n" : "stream:\n");
  add_series(r, r->reference ? 4 : 2, text);
  if (!r->reference) return;
  weir__text_add(text, "  reference:\n    images:\n      - ");
  add_quoted(text, r->reference);
  weir__text_add(text, "\n");
  add_coordinates(r, 4, text);
}

/* The table of a trial. Displacements are counted in pixels, whatever the units of u and v. */
static void add_trial(const weir__piv_request *r, weir__text *text) {
  const char *component[] = {"u", "v"}, *dt = r->dt ? r->dt : "1", *pixel = r->pixel ? r->pixel : "1";
  weir__text_add(text, "  reasons: histogram(flag, bins=%d, from=-0.5, to=%g)\n", WEIR__TRIAL_FLAGS,
                 WEIR__TRIAL_FLAGS - 0.5);
  weir__text_add(text, "  correlations: histogram(correlation, bins=%d, from=0, to=1)\n", WEIR__TRIAL_CORRELATIONS);
  for (int k = 0; k < 2; k++)
    weir__text_add(text, "  pixels_%s: histogram(%s * %s / (%s), bins=%d, from=%d, to=%d)\n", component[k],
                   component[k], dt, pixel, 2 * WEIR__TRIAL_FAR * WEIR__TRIAL_PARTS, -WEIR__TRIAL_FAR, WEIR__TRIAL_FAR);
  weir__text_add(text, "  uncertain: mean(uncertainty_u) * %s / (%s)\n", dt, pixel);
}

static void add_fields(const weir__piv_request *r, weir__text *text) {
  weir__text_add(text, "fields:\n  flow: piv(%s", r->reference ? "reference.image, series.image" : "a, b");
  if (r->window) weir__text_add(text, ", window=[%s]", r->window);
  if (r->overlap) weir__text_add(text, ", overlap=[%s]", r->overlap);
  if (r->search) weir__text_add(text, ", search=[%s]", r->search);
  if (r->interpolation) weir__text_add(text, ", interpolation=%s", r->interpolation);
  if (r->ensemble) weir__text_add(text, ", ensemble=%s", r->ensemble);
  if (r->mask) weir__text_add(text, ", mask=mask");
  if (r->smooth) weir__text_add(text, ", smooth=%s", r->smooth);
  if (r->dt) weir__text_add(text, ", dt=%s", r->dt);
  weir__text_add(text, ")\n");
  static const char *const parts[] = {"u",    "v",       "correlation", "peak_ratio", "uncertainty_u", "uncertainty_v",
                                      "flag", "replaced"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) weir__text_add(text, "  %s: flow.%s\n", parts[i], parts[i]);
  weir__text_add(text,
                 r->thin ? "  # no vorticity: less than 3 vectors along an axis\n" : "  vorticity: ddx(v) - ddy(u)\n");
  if (r->trial) add_trial(r, text);
  weir__text_add(text, "  valid: mean(flag == 0)\n  correlation_mean: mean(correlation)\n");
}

static void add_outputs(const weir__piv_request *r, weir__text *text) {
  weir__text_add(text, "outputs:\n  - %s:\n      path: ", r->netcdf ? "netcdf" : "zarr");
  if (r->netcdf) add_quoted(text, r->netcdf);
  else add_path(text, r, "piv.zarr");
  weir__text_add(text, "\n      fields: [u, v, correlation, peak_ratio, uncertainty_u, uncertainty_v, flag, replaced]\n"
                       "  - csv:\n      path: ");
  add_path(text, r, "piv.csv");
  weir__text_add(text, "\n      fields: [valid, correlation_mean]\n");
  if (r->trial) {
    weir__text_add(text, "  - csv:\n      path: ");
    add_path(text, r, "trial.csv");
    weir__text_add(text, "\n      fields: [reasons, correlations, pixels_u, pixels_v, uncertain]\n");
  }
  if (!r->pictures || r->thin) return; /* vectors over vorticity */
  weir__text_add(text, "  - plot:\n      path: ");
  add_path(text, r, "vectors_{step:06}.png");
  weir__text_add(text, "\n      field: vorticity\n      vectors: [u, v]\n      clip: 0.005\n      every: %d\n",
                 r->pictures);
}

weir_status weir__piv_recipe(const weir__piv_request *request, weir__text *text) {
  WEIR_TRY(check(request));
  if (strpbrk(request->directory, "{}"))
    return WEIR_FAIL(WEIR_ERR_INPUT, "-o %s: braces cannot stand in the name of the results' folder",
                     request->directory);
  weir__text_add(text, "# Written by weir piv. Change it as you like, and run it: weir run %s/piv.yaml\nrun: piv\n",
                 request->directory);
  add_stream(request, text);
  add_fields(request, text);
  add_outputs(request, text);
  return weir__text_status(text);
}

static weir__series_terms terms_of(const weir__piv_request *r) {
  return (weir__series_terms){
      .path = r->image, .paths = r->images, .subset = subset_of(r), .start = INT64_MIN, .stop = INT64_MIN};
}

/* ---- whether there are vectors enough for a gradient ---- */

static double last_of(const char *numbers, double fallback) {
  const char *comma = numbers ? strrchr(numbers, ',') : NULL;
  double      value;
  if (!numbers || !weir__text_to_double(comma ? comma + 1 : numbers, &value)) return fallback;
  return value;
}

/* Of the first image that opens; false: there is none (yet), which is the run's affair. */
static bool find_size(const weir__piv_request *r, int64_t size[2]) {
  enum { TRIED = 16 };
  weir__series_terms terms = terms_of(r);
  weir__series      *series;
  bool               found = false;
  if (weir__series_open(&terms, &series) < 0) return false;
  for (int64_t id = 0; id < weir__series_ids(series) && id < TRIED && !found; id++) {
    weir__series_image at;
    weir__image_info   info;
    weir__image       *image = NULL;
    weir__series_image_of(series, id, &at);
    found = weir__image_open(at.path, NULL, &image) >= 0 && weir__image_info_get(image, at.page, &info) >= 0;
    weir__image_close(&image);
    if (found) size[0] = info.height, size[1] = info.width;
  }
  weir__series_close(&series);
  return found;
}

/* Differences at the edges take three vectors. The last pass has the last of each list. What cannot be is not said
 * here, but by the operator. */
static bool is_thin(const weir__piv_request *r) {
  double         width = last_of(r->window, 32), overlap = last_of(r->overlap, 0.5);
  int64_t        size[2];
  weir__piv_grid grid;
  if (!(width >= 1 && width <= INT32_MAX && overlap >= 0 && overlap < 1) || !find_size(r, size)) return false;
  int64_t window[2] = {(int64_t)width, (int64_t)width}, step = weir__piv_grid_step(window[0], overlap);
  if (weir__piv_grid_make(size, window, (int64_t[]){step, step}, &grid) < 0) return false;
  return grid.count[0] < 3 || grid.count[1] < 3;
}

/* ---- the file ---- */

/* The number of the couple to try: that of --start, or the first one. */
static weir_status find_couple(const weir__piv_request *r, char start[32], char stop[32]) {
  weir__series_terms terms = terms_of(r);
  weir__series      *series;
  if (r->start && !weir__text_to_int64(r->start, &terms.start))
    return WEIR_FAIL(WEIR_ERR_INPUT, "--start: '%s' is no whole number", r->start);
  WEIR_TRY(weir__series_open(&terms, &series));
  int64_t number = weir__series_number(series, 0);
  snprintf(start, 32, "%" PRId64, number);
  snprintf(stop, 32, "%" PRId64, number + 1);
  weir__series_close(&series);
  return WEIR_OK;
}

weir_status weir__piv_write(const weir__piv_request *given, char **path) {
  weir_status       status  = WEIR_OK;
  weir__piv_request request = *given;
  weir__text        text = {0}, name = {0};
  char              start[32], stop[32];
  *path = NULL;
  if (request.trial) {
    WEIR_TRY(find_couple(&request, start, stop));
    request.start = start, request.stop = stop, request.step = NULL;
  }
  request.thin = is_thin(&request);
  WEIR_TRY_GOTO(out, weir__piv_recipe(&request, &text));
  weir__text_add(&name, "%s/piv.yaml", request.directory);
  WEIR_TRY_GOTO(out, weir__text_status(&name));
  WEIR_TRY_GOTO(out, weir__file_make_directories(name.data, false));
  WEIR_TRY_GOTO(out, weir__file_replace(AT_FDCWD, name.data, name.data, text.data, text.length, false));
  WEIR_TRY_GOTO(out, weir__alloc_string(name.data, path));
out:
  weir__text_clear(&text);
  weir__text_clear(&name);
  return status;
}
