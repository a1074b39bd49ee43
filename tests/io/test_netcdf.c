/* NetCDF reading from C: regions and views with strides, threads on several readers, arguments, allocations that fail.
 * What the numbers must be is compared with other readers in test_netcdf_python.py. */
#include "core/threads.h"
#include "field/field.h"
#include "io/file.h"
#include "io/netcdf_read.h"
#include <math.h>
#include <netcdf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { STEPS = 6, NY = 5, NX = 7, FILES = 3 };
static char        folder[256], names[FILES][300];
static const char *paths[FILES];

static double value(int file, int t, int y, int x) { return 1000 * file + 100 * t + 10 * y + x; }

static int check(int error) { return error == NC_NOERR ? 0 : -1; }

/* int16 values packed by 0.5 and -3, one of them missing. */
static int make_file(int file) {
  int    id, dimension[3], variable, bad = 0;
  short  fill  = -1, data[NY * NX];
  double scale = 0.5, offset = -3;
  bad |= check(nc_create(names[file], NC_CLOBBER | NC_64BIT_OFFSET, &id));
  bad |= check(nc_def_dim(id, "time", NC_UNLIMITED, &dimension[0]));
  bad |= check(nc_def_dim(id, "y", NY, &dimension[1]));
  bad |= check(nc_def_dim(id, "x", NX, &dimension[2]));
  bad |= check(nc_def_var(id, "u", NC_SHORT, 3, dimension, &variable));
  bad |= check(nc_put_att_short(id, variable, "_FillValue", NC_SHORT, 1, &fill));
  bad |= check(nc_put_att_double(id, variable, "scale_factor", NC_DOUBLE, 1, &scale));
  bad |= check(nc_put_att_double(id, variable, "add_offset", NC_DOUBLE, 1, &offset));
  bad |= check(nc_put_att_text(id, variable, "units", 5, "m s-1"));
  bad |= check(nc_enddef(id));
  for (int t = 0; t < STEPS; t++) {
    size_t start[] = {(size_t)t, 0, 0}, count[] = {1, NY, NX};
    for (int y = 0; y < NY; y++)
      for (int x = 0; x < NX; x++) data[y * NX + x] = (short)value(file, t, y, x);
    data[2 * NX + 3] = fill;
    bad |= check(nc_put_vara_short(id, variable, start, count, data));
  }
  return bad | check(nc_close(id));
}

static int make_folder(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-netcdf-XXXXXX", parent ? parent : "/tmp");
  if (!mkdtemp(folder)) return -1;
  for (int f = 0; f < FILES; f++) {
    snprintf(names[f], sizeof names[f], "%s/%d.nc", folder, f);
    paths[f] = names[f];
    if (make_file(f)) return -1;
  }
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  return weir__file_remove_tree(folder) < 0 ? -1 : 0;
}

static bool right(weir__netcdf *reader, int64_t step, int64_t y0, int64_t x0) {
  const weir_field_type *type = &weir__netcdf_variable_at(reader, 0)->type;
  weir_region            box  = {.rank = 2, .start = {y0, x0}, .count = {3, 2}};
  double                 data[3 * 2 * 2]; /* every second element */
  weir_view              view = weir__view_dense(data, type, &box);
  view.stride[1]              = 16;
  view.stride[0]              = 32;
  for (int i = 0; i < 12; i++) data[i] = -7;
  if (weir__netcdf_read(reader, 0, step, &box, &view) < 0) return false;
  for (int64_t y = 0; y < 3; y++)
    for (int64_t x = 0; x < 2; x++) {
      double got    = data[4 * y + 2 * x],
             wanted = 0.5 * value((int)step / STEPS, (int)step % STEPS, (int)(y0 + y), (int)(x0 + x)) - 3;
      bool missing  = y0 + y == 2 && x0 + x == 3;
      if (missing ? !isnan(got) : got != wanted) return false;
      if (data[4 * y + 2 * x + 1] != -7) return false; /* what is between belongs to somebody else */
    }
  return true;
}

static void regions(void **state) {
  weir__netcdf *reader = NULL;
  int64_t       step;
  double        time, data[2];
  (void)state;
  assert_int_equal(weir__netcdf_open(paths, FILES, NULL, &reader), WEIR_OK);
  assert_int_equal(weir__netcdf_steps(reader), FILES * STEPS);
  assert_int_equal(weir__netcdf_variables(reader), 1);
  assert_int_equal(weir__netcdf_find(reader, "u"), 0);
  assert_int_equal(weir__netcdf_find(reader, "v"), -1);
  assert_string_equal(weir__netcdf_variable_at(reader, 0)->type.units, "m s-1");
  assert_int_equal(weir__netcdf_variable_at(reader, 0)->type.dtype, WEIR_F64);
  assert_int_equal(weir__netcdf_variable_at(reader, 0)->type.attribute_count,
                   0); /* packing is undone, nothing else was given */
  assert_int_equal(weir__netcdf_step_info(reader, 8, &step, &time), WEIR_OK);
  assert_true(step == 8 && time == 8);             /* no variable `time`: the number of the step */
  for (int64_t i = FILES * STEPS - 1; i >= 0; i--) /* backward: files are opened again */
    for (int64_t x = 0; x < NX - 1; x++) assert_true(right(reader, i, i % 3, x));
  weir_region box  = {.rank = 2, .start = {4, 6}, .count = {1, 2}};
  weir_view   view = weir__view_dense(data, &weir__netcdf_variable_at(reader, 0)->type, &box);
  assert_int_equal(weir__netcdf_read(reader, 0, 0, &box, &view), WEIR_ERR_ARGUMENT); /* outside */
  assert_int_equal(weir__netcdf_read(reader, 1, 0, &box, &view), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__netcdf_read(reader, 0, FILES * STEPS, &box, &view), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__netcdf_step_info(reader, -1, &step, &time), WEIR_ERR_ARGUMENT);
  weir__netcdf_close(&reader);
  weir__netcdf_close(&reader);
  assert_int_equal(weir__netcdf_open(paths, 0, NULL, &reader), WEIR_ERR_ARGUMENT);
}

typedef struct job {
  weir__netcdf *reader;
  int           seed;
  bool          failed;
} job;

static void read_all(void *argument) {
  job *j = argument;
  for (int i = 0; i < 60; i++)
    if (!right(j->reader, (i * 7 + j->seed) % (FILES * STEPS), i % 3, i % 5)) j->failed = true;
}

static void threads(void **state) {
  enum { READERS = 2, THREADS = 4 };
  weir__netcdf *reader[READERS] = {NULL};
  weir__thread  thread[THREADS];
  job           jobs[THREADS];
  (void)state;
  for (int r = 0; r < READERS; r++) assert_int_equal(weir__netcdf_open(paths, FILES, "time", &reader[r]), WEIR_OK);
  for (int i = 0; i < THREADS; i++) {
    jobs[i] = (job){.reader = reader[i % READERS], .seed = i};
    assert_int_equal(weir__thread_start(&thread[i], read_all, &jobs[i]), WEIR_OK);
  }
  for (int i = 0; i < THREADS; i++) weir__thread_join(&thread[i]);
  for (int i = 0; i < THREADS; i++) assert_false(jobs[i].failed);
  for (int r = 0; r < READERS; r++) weir__netcdf_close(&reader[r]);
}

static void without_memory(void **state) {
  weir_status status = WEIR_ERR_MEMORY;
  (void)state;
  for (uint64_t n = 1; status == WEIR_ERR_MEMORY; n++) {
    weir__netcdf *reader = NULL;
    assert_true(n < 500);
    weir__alloc_fail_at(n);
    status = weir__netcdf_open(paths, FILES, NULL, &reader);
    if (status >= 0 && !right(reader, 0, 0, 0)) status = WEIR_ERR_MEMORY;
    weir__alloc_fail_at(0);
    weir__netcdf_close(&reader);
  }
  assert_int_equal(status, WEIR_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(regions), cmocka_unit_test(threads),
                                     cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
