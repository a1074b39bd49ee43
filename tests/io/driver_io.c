/* Writes and reads what the Python tests compare:
 *
 *   driver_io zarr PATH CODEC STEPS [STOP]   a store of many types; STOP: die at the STOP-th rename, in the middle of
 * things driver_io resume PATH CODEC STEPS        go on with such a store to STEPS time levels driver_io netcdf OUT
 * RECORD FILE...      print the variables, write their values as float64 to OUT driver_io plot FOLDER pictures */
#include "field/field.h"
#include "font_leaks.h"
#include "io/netcdf_read.h"
#include "io/plot.h"
#include "io/zarr.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK(call)                                                                                                    \
  do {                                                                                                                 \
    if ((call) < 0) {                                                                                                  \
      fprintf(stderr, "%s\n", weir_error_last());                                                                      \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

/* ---- fault injection: every file of a store appears by a rename, so this one call stands for all places to die at
 * ---- */

static long renames, stop_at;

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  if (++renames == stop_at) _exit(9);
  return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, 0u);
}

/* ---- stores ---- */

static weir_status commit(weir__zarr *zarr, int64_t index, int64_t step, double time, bool gaps) {
  return weir__zarr_commit(zarr, &(weir__zarr_level){.index = index, .step = step, .time = time, .gaps = gaps});
}

enum { ARRAYS = 12, ELEMENTS_MAX = 4096 };

typedef struct sample {
  const char       *name;
  weir_field_type   type;
  int64_t           chunk[WEIR_RANK_MAX], time_chunk;
  weir__zarr_array *array;
} sample;

static const double depths[] = {0.5, 2, 10};

#define X                                                                                                              \
  { .name = "x", .size = 13, .units = "m", .origin = 50, .spacing = 100 }
#define Y                                                                                                              \
  { .name = "y", .size = 7, .units = "m", .origin = 0, .spacing = 100, .periodic = true }
#define Z                                                                                                              \
  { .name = "z", .size = 3, .units = "m", .values = depths }

static sample samples[ARRAYS] = {
    {"f32", {.dtype = WEIR_F32, .rank = 2, .dim = {Y, X}, .units = "m s-1", .location = WEIR_AT_U}, {4, 5}, 1, NULL},
    {"f64", {.dtype = WEIR_F64, .rank = 3, .dim = {Z, Y, X}, .units = "K"}, {2, 7, 6}, 1, NULL},
    {"f32fill", {.dtype = WEIR_F32, .rank = 1, .dim = {X}, .has_fill = true, .fill = 1e20}, {4}, 1, NULL},
    {"i8", {.dtype = WEIR_I8, .rank = 1, .dim = {X}}, {13}, 1, NULL},
    {"i16", {.dtype = WEIR_I16, .rank = 2, .dim = {Y, X}, .has_fill = true, .fill = -999}, {3, 13}, 1, NULL},
    {"i32", {.dtype = WEIR_I32, .rank = 1, .dim = {Y}}, {2}, 1, NULL},
    {"i64", {.dtype = WEIR_I64, .rank = 0}, {0}, 4, NULL},
    {"u8", {.dtype = WEIR_U8, .rank = 1, .dim = {X}}, {6}, 1, NULL},
    {"u16", {.dtype = WEIR_U16, .rank = 1, .dim = {X}}, {13}, 3, NULL},
    {"mean", {.dtype = WEIR_F64, .rank = 0, .units = "K"}, {0}, 5, NULL},
    {"other_x",
     {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = 5, .origin = 0, .spacing = 1}}},
     {5},
     1,
     NULL},
    {"depth", {.dtype = WEIR_F32, .rank = 2, .dim = {Y, X}, .units = "m"}, {4, 4}, 0, NULL},
};

/* The value of element i at time level t: the Python test computes the same. */
static double value(const sample *s, int64_t t, int64_t i) {
  double v = (double)((t * 31 + i * 7) % 101);
  if (s->type.has_fill && i % 5 == 2) return NAN;
  return s->type.dtype == WEIR_F32 || s->type.dtype == WEIR_F64 ? v / 8 - 3 : v;
}

static bool is_missing(const sample *s, int64_t t) {
  return t == 2 && (!strcmp(s->name, "f64") || !strcmp(s->name, "u8") || !strcmp(s->name, "mean"));
}

static void write_sample(sample *s, int64_t t) {
  static double values[ELEMENTS_MAX], memory[ELEMENTS_MAX];
  weir_region   whole = weir__region_whole(&s->type);
  weir_view     view  = weir__view_dense(memory, &s->type, &whole);
  int64_t       n = weir__region_size(&whole), index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&view), at = 0;
  for (int64_t i = 0; i < n; i++) values[i] = value(s, t, i);
  do {
    weir_view_store(&view, index, row, values + at);
    at += row;
  } while (weir_view_next_row(&view, index));
  view.missing = is_missing(s, t);
  CHECK(weir__zarr_write(s->array, t, &view, NULL, NULL));
}

static int write_store(const char *path, const char *codec, long steps, weir__zarr_mode mode) {
  weir_attribute     title   = {.name = "title", .text = "a \"sample\""};
  weir__zarr_options options = {
      .time_units = "seconds since 2000-01-01", .calendar = "standard", .attributes = &title, .attribute_count = 1};
  weir__zarr *zarr = NULL;
  if (!weir__zarr_codec_parse(codec, &options.codec)) return 2;
  CHECK(weir__zarr_create(path, &options, mode, &zarr));
  for (int i = 0; i < ARRAYS; i++)
    CHECK(weir__zarr_add(zarr, samples[i].name, &samples[i].type, samples[i].chunk, samples[i].time_chunk,
                         &samples[i].array));
  int64_t first = weir__zarr_committed(zarr);
  if (first > 1) first -= 1; /* as after a checkpoint: the last level is computed again */
  if (mode == WEIR__ZARR_RESUME) CHECK(weir__zarr_cut(zarr, first));
  for (int i = 0; i < ARRAYS; i++)
    if (!samples[i].time_chunk) write_sample(&samples[i], 0);
  for (int64_t t = first; t < steps; t++) {
    for (int i = 0; i < ARRAYS; i++)
      if (samples[i].time_chunk) write_sample(&samples[i], t);
    CHECK(commit(zarr, t, 10 * t, 3600.0 * (double)t, false));
  }
  weir__zarr_destroy(&zarr);
  return 0;
}

/* ---- NetCDF ---- */

static int read_netcdf(const char *out, const char *record, int files, char **paths) {
  weir__netcdf *reader = NULL;
  FILE         *file   = fopen(out, "wb");
  if (!file) return 2;
  CHECK(weir__netcdf_open((const char *const *)paths, files, *record ? record : NULL, &reader));
  int64_t steps = weir__netcdf_steps(reader), step;
  double  time;
  printf("steps\t%lld\t%s\t%s\n", (long long)steps,
         weir__netcdf_time_units(reader) ? weir__netcdf_time_units(reader) : "",
         weir__netcdf_calendar(reader) ? weir__netcdf_calendar(reader) : "");
  for (int64_t t = 0; t < steps; t++) {
    CHECK(weir__netcdf_step_info(reader, t, &step, &time));
    fwrite(&time, sizeof time, 1, file);
  }
  for (int v = 0; v < weir__netcdf_variables(reader); v++) {
    const weir__netcdf_variable *variable = weir__netcdf_variable_at(reader, v);
    const weir_field_type       *type     = &variable->type;
    weir_region                  region   = weir__region_whole(type);
    size_t                       n        = (size_t)weir__region_size(&region);
    char                         shape[200];
    weir_shape                   s      = weir__shape_of(type);
    double                      *values = calloc(n + 1, sizeof *values), *raw = calloc(n + 1, sizeof *raw);
    weir_view                    view = weir__view_dense(raw, type, &region);
    printf("%s\t%s\t%d\t%s\t%s", variable->name, weir_dtype_name(type->dtype), variable->is_static,
           weir__shape_text(&s, shape), type->units ? type->units : "");
    for (int a = 0; a < type->rank; a++)
      printf("\t%s %.9g %.9g %s%s", type->dim[a].name, weir__coordinate(&type->dim[a], 0),
             weir__coordinate(&type->dim[a], (double)(type->dim[a].size - 1)),
             type->dim[a].spacing != 0 ? "uniform" : "listed", type->dim[a].periodic ? " periodic" : "");
    printf("\n");
    for (int64_t t = 0; t < (variable->is_static ? 1 : steps); t++) {
      int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&view);
      CHECK(weir__netcdf_read(reader, v, t, &region, &view));
      do {
        const double *x = weir_view_load(&view, index, row, values);
        fwrite(x, sizeof *x, (size_t)row, file);
      } while (weir_view_next_row(&view, index));
    }
    free(values);
    free(raw);
  }
  weir__netcdf_close(&reader);
  return fclose(file) ? 1 : 0;
}

/* ---- pictures ---- */

static void plot(const char *folder, const char *name, weir__plot_options options, const weir_field_type *type,
                 void *data) {
  char        path[512];
  weir_region whole  = weir__region_whole(type);
  weir_view   view   = weir__view_dense(data, type, &whole);
  options.time_units = "s";
  if (!options.name) options.name = name;
  snprintf(path, sizeof path, "%s/%s.png", folder, name);
  CHECK(weir__plot_field(path, &options, type, &view, NULL, 1200, 864000));
}

static int draw(const char *folder) {
  enum { N = 192, M = 256 };
  static double f[N * M];
  /* the gyre's vorticity: both signs, an island of missing values */
  weir_field_type map = {.dtype = WEIR_F64,
                         .rank  = 2,
                         .units = "s-1",
                         .dim   = {{.name = "y", .size = N, .units = "m", .origin = 5e3, .spacing = 1e4},
                                   {.name = "x", .size = M, .units = "m", .origin = 5e3, .spacing = 1e4}}};
  for (int j = 0; j < N; j++)
    for (int i = 0; i < M; i++) {
      double x = (double)i / M, y = (double)j / N;
      f[j * M + i] = 1.3e-5 * sin(6.28 * y) * exp(-3 * x) * cos(18 * x + 4 * y) + 2e-6 * sin(40 * x) * cos(35 * y);
      if (hypot(x - 0.7, y - 0.3) < 0.08) f[j * M + i] = NAN;
    }
  plot(folder, "zeta", (weir__plot_options){0}, &map, f);
  plot(folder, "zeta_clipped", (weir__plot_options){.low = -5e-6, .high = 5e-6, .name = "zeta"}, &map, f);
  /* sea-surface temperature on a coarse grid of degrees, from north to south */
  weir_field_type sst = {
      .dtype = WEIR_F64,
      .rank  = 2,
      .units = "degC",
      .dim   = {{.name = "latitude", .size = 18, .units = "degrees_north", .origin = 85, .spacing = -10},
                {.name = "longitude", .size = 36, .units = "degrees_east", .origin = 5, .spacing = 10}}};
  for (int j = 0; j < 18; j++)
    for (int i = 0; i < 36; i++) {
      double latitude = 85 - 10.0 * j;
      f[j * 36 + i]   = 28 * pow(cos(latitude * 0.01745), 2) + 2 * sin(i * 0.5);
      if ((i > 3 && i < 8 && j > 4 && j < 12) || j == 17) f[j * 36 + i] = NAN;
    }
  plot(folder, "sst", (weir__plot_options){.colours = WEIR__PLOT_COLOURS_SEQUENTIAL}, &sst, f);
  plot(folder, "sst_smooth",
       (weir__plot_options){.colours = WEIR__PLOT_COLOURS_SEQUENTIAL, .smooth = true, .name = "sst"}, &sst, f);
  /* four cells of known colour: 0 and 1 in a row below, 2 and missing above */
  weir_field_type cells  = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "j", .size = 2}, {.name = "i", .size = 2}}};
  double          four[] = {0, 1, 2, NAN};
  plot(folder, "cells", (weir__plot_options){0}, &cells, four);
  /* a spectrum, a section with different units, a constant */
  weir_field_type spectrum = {.dtype = WEIR_F64,
                              .rank  = 1,
                              .units = "m3 s-2",
                              .dim = {{.name = "k", .size = 120, .units = "rad m-1", .origin = 1e-6, .spacing = 1e-6}}};
  for (int i = 0; i < 120; i++) f[i] = 40 * pow(i + 1.0, -5.0 / 3) * (1 + 0.2 * sin(i * 2.3)) * exp(-i / 60.0);
  plot(folder, "spectrum", (weir__plot_options){0}, &spectrum, f);
  weir_field_type profile = {.dtype = WEIR_F64,
                             .rank  = 1,
                             .units = "m s-1",
                             .dim   = {{.name = "x", .size = 30, .units = "m", .origin = 0, .spacing = 0.1}}};
  for (int i = 0; i < 30; i++) f[i] = i == 12 ? NAN : sin(i * 0.3);
  plot(folder, "profile", (weir__plot_options){0}, &profile, f);
  weir_field_type hovmoeller = {.dtype = WEIR_F64,
                                .rank  = 2,
                                .units = "kg m-3",
                                .dim   = {{.name = "depth", .size = 3, .units = "m", .values = depths},
                                          {.name = "x", .size = 40, .units = "km", .spacing = 2.5}}};
  for (int i = 0; i < 120; i++) f[i] = 1025 + 0.02 * i;
  plot(folder, "section", (weir__plot_options){.name = "rho"}, &hovmoeller, f);
  for (int i = 0; i < 120; i++) f[i] = 3;
  plot(folder, "constant", (weir__plot_options){0}, &hovmoeller, f);
  static weir__plot_history series;
  for (int i = 0; i < 5000; i++)
    weir__plot_history_add(&series, 3600.0 * i, 0.05 * (1 - exp(-i / 900.0)) + 0.002 * sin(i * 0.02) + (i % 7) * 1e-4);
  char path[512];
  snprintf(path, sizeof path, "%s/series.png", folder);
  CHECK(weir__plot_series(path, &(weir__plot_options){.name = "ke_mean", .time_units = "s"}, "m2 s-2", &series, 4999,
                          3600.0 * 4999));
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 5) stop_at = atol(argv[5]);
  if (argc >= 5 && !strcmp(argv[1], "zarr")) return write_store(argv[2], argv[3], atol(argv[4]), WEIR__ZARR_REPLACE);
  if (argc == 5 && !strcmp(argv[1], "resume")) return write_store(argv[2], argv[3], atol(argv[4]), WEIR__ZARR_RESUME);
  if (argc >= 5 && !strcmp(argv[1], "netcdf")) return stop_at = 0, read_netcdf(argv[2], argv[3], argc - 4, argv + 4);
  if (argc == 3 && !strcmp(argv[1], "plot")) return draw(argv[2]);
  fprintf(stderr, "usage: see the head of driver_io.c\n");
  return 2;
}
