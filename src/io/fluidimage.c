#include "io/fluidimage.h"

weir_status weir__fluidimage_available(void) {
#ifdef WEIR_HAVE_HDF5
  return WEIR_OK;
#else
  return WEIR_FAIL(WEIR_ERR_UNAVAILABLE,
                   "fluidimage: this build has no HDF5; install it (apt-get install libhdf5-dev) and build again");
#endif
}

size_t weir__fluidimage_scratch_size(const weir__fluidimage_terms *terms) {
  /* eight arrays of float32, of errors their keys (int64), texts (pointers) and codes */
  return (size_t)(terms->count[0] * terms->count[1]) * (8 * sizeof(float) + sizeof(int64_t) + sizeof(char *) + 1);
}

#ifndef WEIR_HAVE_HDF5

weir_status weir__fluidimage_write(const weir__fluidimage_terms *terms, int64_t step, const weir_view *views,
                                   void *scratch) {
  (void)terms, (void)step, (void)views, (void)scratch;
  return weir__fluidimage_available();
}

#else
#include "core/text.h"
#include "io/file.h"
#include "io/netcdf_parts.h"
#include <fcntl.h>
#include <hdf5.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- vectors ---- */

enum { INCREMENT = 1 << 16 /* bytes, by which a file grows in memory */, CODE_OTHER = 255 };

typedef enum array { XS, YS, DELTAXS, DELTAYS, DELTAXS_FINAL, DELTAYS_FINAL, CORRELS, NOTHING, ARRAYS } array;

typedef struct vectors {
  size_t count, errors;
  int64_t *key;
  const char **text;
  float *value[ARRAYS];
  uint8_t *code;
} vectors;

static vectors lay_out(const weir__fluidimage_terms *t, char *memory) {
  vectors v = {.count = (size_t)(t->count[0] * t->count[1])};
  v.key = (int64_t *)(void *)memory;
  v.text = (const char **)(void *)(memory + v.count * sizeof *v.key);
  char *at = memory + v.count * (sizeof *v.key + sizeof *v.text);
  for (int k = 0; k < ARRAYS; k++, at += v.count * sizeof(float)) v.value[k] = (float *)(void *)at;
  v.code = (uint8_t *)at;
  return v;
}

/* Texts begin as those that Fluidimage makes its codes from. */
static void name_error(int flag, const char **text, uint8_t *code) {
  static const struct {
    uint8_t code;
    const char *text;
  } errors[] = {{CODE_OTHER, "nothing known"},
                {1, "Correlation peak touching boundary or no peak"},
                {CODE_OTHER, "no signal in the window"},
                {CODE_OTHER, "masked"},
                {2, "correl < correl_min"},
                {CODE_OTHER, "ratio of peaks too low"},
                {3, "delta2 < displacement_max2 does not hold"},
                {4, "diff neighbour too large (normalised median)"},
                {4, "diff neighbour too large"}};
  int known = flag > 0 && flag < (int)(sizeof errors / sizeof *errors) ? flag : 0;
  *text = errors[known].text;
  *code = errors[known].code;
}

static double load(const weir_view *view, const int64_t *index) {
  double buffer;
  if (!view->data || view->missing) return NAN;
  return *weir_view_load(view, index, 1, &buffer);
}

static void take_vector(const weir__fluidimage_terms *t, const weir_view *in, const int64_t *index, vectors *v) {
  size_t i = (size_t)(index[0] * t->count[1] + index[1]);
  double dx = load(&in[WEIR__FLUIDIMAGE_U], index) / t->unit[1];
  double dy = load(&in[WEIR__FLUIDIMAGE_V], index) / t->unit[0];
  double flag = load(&in[WEIR__FLUIDIMAGE_FLAG], index), replaced = load(&in[WEIR__FLUIDIMAGE_REPLACED], index);
  bool measured = replaced == 0 || replaced == 1;
  float **value = v->value;

  value[XS][i] = (float)(t->first[1] + (double)index[1] * t->step[1]);
  value[YS][i] = (float)(t->first[0] + (double)index[0] * t->step[0]);
  value[DELTAXS_FINAL][i] = (float)dx;
  value[DELTAYS_FINAL][i] = (float)dy;
  value[DELTAXS][i] = measured ? (float)dx : NAN;
  value[DELTAYS][i] = measured ? (float)dy : NAN;
  value[CORRELS][i] = (float)load(&in[WEIR__FLUIDIMAGE_CORRELATION], index);
  value[NOTHING][i] = NAN;
  if (measured) return;
  name_error(isfinite(flag) ? (int)flag : 0, &v->text[v->errors], &v->code[v->errors]);
  v->key[v->errors++] = (int64_t)i;
}

/* ---- HDF5; under its lock. Identifiers below 0 are failures ---- */

/* What is being made; `good` falls when anything fails, and nothing is done after that. */
typedef struct writer {
  hid_t file;
  bool good;
} writer;

static hid_t make_group(writer *w, const char *path) {
  hid_t group = w->good ? H5Gcreate2(w->file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) : -1;
  w->good = group >= 0;
  return group;
}

static void close_group(hid_t group) {
  if (group >= 0) H5Gclose(group);
}

static void put_dataset(writer *w, hid_t at, const char *name, hid_t type, size_t count, const void *values) {
  hsize_t extent = count;
  hid_t space = w->good ? H5Screate_simple(1, &extent, NULL) : -1;
  hid_t options = w->good ? H5Pcreate(H5P_DATASET_CREATE) : -1;
  hid_t dataset = -1;
  if (space >= 0 && options >= 0 && H5Pset_obj_track_times(options, false) >= 0)
    dataset = H5Dcreate2(at, name, type, space, H5P_DEFAULT, options, H5P_DEFAULT);
  w->good = dataset >= 0 && (!count || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  if (dataset >= 0) H5Dclose(dataset);
  if (options >= 0) H5Pclose(options);
  if (space >= 0) H5Sclose(space);
}

static void put_attribute(writer *w, hid_t at, const char *name, hid_t type, int count, const void *values) {
  hsize_t extent = (hsize_t)count;
  hid_t space = !w->good ? -1 : count ? H5Screate_simple(1, &extent, NULL) : H5Screate(H5S_SCALAR);
  hid_t attribute = space >= 0 ? H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
  w->good = attribute >= 0 && H5Awrite(attribute, type, values) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  if (space >= 0) H5Sclose(space);
}

/* Text of any length, as h5py stores str; or of one length, as it stores bytes. */
static void put_text(writer *w, hid_t at, const char *name, const char *text, bool bytes) {
  hid_t type = w->good ? H5Tcopy(H5T_C_S1) : -1;
  size_t size = !bytes ? H5T_VARIABLE : *text ? strlen(text) : 1;
  w->good =
      type >= 0 && H5Tset_size(type, size) >= 0 && H5Tset_strpad(type, bytes ? H5T_STR_NULLPAD : H5T_STR_NULLTERM) >= 0;
  if (!bytes && w->good) w->good = H5Tset_cset(type, H5T_CSET_UTF8) >= 0;
  put_attribute(w, at, name, type, 0, bytes ? (const void *)text : (const void *)&text);
  if (type >= 0) H5Tclose(type);
}

static void put_integer(writer *w, hid_t at, const char *name, int64_t value) {
  put_attribute(w, at, name, H5T_NATIVE_INT64, 0, &value);
}
static void put_real(writer *w, hid_t at, const char *name, double value) {
  put_attribute(w, at, name, H5T_NATIVE_DOUBLE, 0, &value);
}
static void put_limit(writer *w, hid_t at, const char *name, double value) {
  if (value > 0) put_real(w, at, name, value);
  else put_text(w, at, name, "None", true);
}

/* ---- the parts of a file ---- */

static void put_classes(writer *w, hid_t at, const char *class) {
  put_text(w, at, "class_name", class, false);
  put_text(w, at, "module_name", "fluidimage.data_objects.piv", false);
}

/* A Python string. */
static void add_quoted(weir__text *text, const char *from) {
  weir__text_add(text, "'");
  for (; *from; from++) {
    if (*from == '\'' || *from == '\\') weir__text_add(text, "\\%c", *from);
    else if ((unsigned char)*from < ' ') weir__text_add(text, "\\x%02x", (unsigned)*from);
    else weir__text_add_bytes(text, from, 1);
  }
  weir__text_add(text, "'");
}

/* Names of the two images, or their paths; those of pages as Fluidimage has them. */
static void add_images(const weir__fluidimage_terms *t, int64_t ordinal, bool paths, weir__text *text) {
  bool paged = weir__series_ids(t->series) != weir__series_files(t->series);
  for (int k = 0; k < 2; k++) {
    weir__series_image image;
    weir__text shown = {0};
    weir__series_image_get(t->series, ordinal, k, &image);
    const char *slash = strrchr(image.path, '/'), *name = slash ? slash + 1 : image.path;
    char full[PATH_MAX];
    bool whole = paths && realpath(image.path, full);
    weir__text_add(&shown, "%s", whole ? full : paths ? image.path : name);
    if (paged) weir__text_add(&shown, "[%06lld]", (long long)image.page);
    weir__text_add(text, k ? ", " : "(");
    if (shown.failed) text->failed = true;
    else add_quoted(text, shown.data);
    weir__text_clear(&shown);
  }
  weir__text_add(text, ")");
}

static void put_couple(writer *w, const weir__fluidimage_terms *t, int64_t ordinal) {
  hid_t couple = make_group(w, "couple");
  for (int k = 0; k < 2; k++) {
    weir__text text = {0};
    add_images(t, ordinal, k, &text);
    w->good = w->good && !text.failed;
    if (w->good) put_text(w, couple, k ? "paths" : "names", text.data, true);
    weir__text_clear(&text);
  }
  put_dataset(w, couple, "shape_images", H5T_NATIVE_INT64, 2, t->image);
  close_group(couple);
}

static void put_params(writer *w, const weir__fluidimage_terms *t) {
  hid_t top = make_group(w, "params"), series = make_group(w, "params/series"), mask = make_group(w, "params/mask");
  hid_t piv = make_group(w, "params/piv0"), grid = make_group(w, "params/piv0/grid"), fix = make_group(w, "params/fix");
  hid_t passes = make_group(w, "params/multipass"), own = make_group(w, "params/weir");
  put_text(w, series, "path", weir__series_pattern(t->series), true);
  put_text(w, series, "str_subset", weir__series_subset(t->series), true);
  put_text(w, mask, "strcrop", "None", true);
  if (t->window[0] == t->window[1]) put_integer(w, piv, "shape_crop_im0", t->window[0]);
  else put_attribute(w, piv, "shape_crop_im0", H5T_NATIVE_INT64, 2, t->window);
  put_text(w, piv, "shape_crop_im1", "None", true);
  put_real(w, grid, "overlap", t->overlap);
  put_text(w, grid, "from", "overlap", true);
  put_real(w, fix, "correl_min", t->min_correlation);
  put_limit(w, fix, "threshold_diff_neighbour", t->neighbours);
  put_limit(w, fix, "displacement_max", t->max_length);
  put_integer(w, passes, "number", 1); /* in this file */
  put_integer(w, passes, "coeff_zoom", 1);
  put_integer(w, passes, "use_tps", 0);
  put_integer(w, own, "passes", t->passes);
  put_real(w, own, "dt", t->dt);
  put_real(w, own, "unit_x", t->unit[1]);
  put_real(w, own, "unit_y", t->unit[0]);
  hid_t all[] = {own, passes, fix, grid, piv, mask, series, top};
  for (size_t k = 0; k < sizeof all / sizeof *all; k++) close_group(all[k]);
}

static void put_wrong(writer *w, const char *path, const vectors *v) {
  hid_t group = make_group(w, path);
  put_dataset(w, group, "keys", H5T_NATIVE_INT64, v->errors, v->key);
  put_dataset(w, group, "values", H5T_NATIVE_FLOAT, v->errors, v->value[NOTHING]);
  close_group(group);
}

static void put_errors(writer *w, const vectors *v) {
  enum { LONGEST = 48 };
  hid_t group = make_group(w, "piv0/errors");
  hid_t type = w->good ? H5Tcopy(H5T_C_S1) : -1;
  char(*text)[LONGEST] = NULL;
  w->good = type >= 0 && H5Tset_size(type, LONGEST) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0;
  if (weir__alloc_array(v->errors + 1, LONGEST, &text) < 0) w->good = false;
  for (size_t i = 0; text && i < v->errors; i++) snprintf(text[i], LONGEST, "%s", v->text[i]);
  put_dataset(w, group, "keys", H5T_NATIVE_INT64, v->errors, v->key);
  put_dataset(w, group, "values", type, v->errors, text);
  put_dataset(w, group, "codes", H5T_NATIVE_UINT8, v->errors, v->code);
  weir__free(text);
  if (type >= 0) H5Tclose(type);
  close_group(group);
}

static void put_vectors(writer *w, const vectors *v) {
  static const struct {
    const char *name;
    array from;
  } arrays[] = {{"xs", XS},
                {"ys", YS},
                {"deltaxs", DELTAXS},
                {"deltays", DELTAYS},
                {"correls_max", CORRELS},
                {"deltaxs_final", DELTAXS_FINAL},
                {"deltays_final", DELTAYS_FINAL},
                {"ixvecs_final", XS},
                {"iyvecs_final", YS}};
  hid_t piv = make_group(w, "piv0");
  put_classes(w, piv, "HeavyPIVResults");
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    put_dataset(w, piv, arrays[k].name, H5T_NATIVE_FLOAT, v->count, v->value[arrays[k].from]);
  put_errors(w, v);
  put_wrong(w, "piv0/deltaxs_wrong", v);
  put_wrong(w, "piv0/deltays_wrong", v);
  close_group(piv);
}

/* ---- the file, made in memory: what the file system says of it is then said as for any other ---- */

static bool take_image(hid_t file, char **bytes, size_t *nbytes) {
  ssize_t size = H5Fflush(file, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(file, NULL, 0);
  if (size < 0 || weir__alloc_zeroed((size_t)size, 0, bytes) < 0) return false;
  *nbytes = (size_t)size;
  return H5Fget_file_image(file, *bytes, (size_t)size) == size;
}

static bool make_image(const weir__fluidimage_terms *t, int64_t ordinal, const vectors *v, char **bytes,
                       size_t *nbytes) {
  writer w = {.file = -1};
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access >= 0 && H5Pset_fapl_core(access, INCREMENT, false) >= 0)
    w.file = H5Fcreate("weir", H5F_ACC_TRUNC, H5P_DEFAULT, access);
  w.good = w.file >= 0;
  put_classes(&w, w.file, "MultipassPIVResults");
  put_text(&w, w.file, "Conventions", "fluidimage.data_objects.piv.MultipassPIVResults v1", false);
  put_integer(&w, w.file, "nb_passes", 1);
  put_params(&w, t);
  put_couple(&w, t, ordinal);
  put_vectors(&w, v);
  bool good = w.good && take_image(w.file, bytes, nbytes);
  if (w.file >= 0) H5Fclose(w.file);
  if (access >= 0) H5Pclose(access);
  return good;
}

static weir_status name_file(const weir__fluidimage_terms *t, int64_t ordinal, char path[PATH_MAX]) {
  weir__text indices = {0};
  weir__series_couple_text(t->series, ordinal, &indices);
  weir_status status = weir__text_status(&indices);
  if (status >= 0 && snprintf(path, PATH_MAX, "%s/piv_%s.h5", t->folder, indices.data) >= PATH_MAX)
    status = WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: the path is too long", t->folder);
  weir__text_clear(&indices);
  return status;
}

weir_status weir__fluidimage_write(const weir__fluidimage_terms *t, int64_t step, const weir_view *views,
                                   void *scratch) {
  vectors v = lay_out(t, scratch);
  int64_t apart = weir__series_number(t->series, 1) - weir__series_number(t->series, 0);
  int64_t ordinal = (step - weir__series_number(t->series, 0)) / (apart ? apart : 1);
  char path[PATH_MAX], *bytes = NULL;
  size_t nbytes = 0;
  if (ordinal < 0 || ordinal >= weir__series_steps(t->series) || weir__series_number(t->series, ordinal) != step)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the series has no step %lld", t->folder, (long long)step);
  WEIR_TRY(name_file(t, ordinal, path));
  for (int64_t y = 0; y < t->count[0]; y++)
    for (int64_t x = 0; x < t->count[1]; x++) take_vector(t, views, (int64_t[WEIR_RANK_MAX]){y, x}, &v);
  weir__netcdf_lock();
  bool good = make_image(t, ordinal, &v, &bytes, &nbytes);
  weir__netcdf_unlock();
  weir_status status = good ? WEIR_OK : WEIR_FAIL(WEIR_ERR_MEMORY, "%s: HDF5 cannot make the file", path);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, path, path, bytes, nbytes, false);
  weir__free(bytes);
  return status;
}
#endif
