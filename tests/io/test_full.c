/* Proves that a write that fails half-way harms nothing that was written: a table keeps whole rows, a picture is whole
 * or absent, a store shows complete time levels; no temporary file stays; and when there is room again, writing goes
 * on. The limit on the size of files (RLIMIT_FSIZE) plays the full disk: a write is cut short there, then fails. */
#include "field/field.h"
#include "io/csv.h"
#include "io/file.h"
#include "io/plot.h"
#include "io/zarr.h"
#include "font_leaks.h"
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[300];

static int make_folder(void **state) {
  const char *base = getenv("TMPDIR");
  (void)state;
  signal(SIGXFSZ, SIG_IGN);
  snprintf(folder, sizeof folder, "%s/weir-full-XXXXXX", base ? base : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return weir__file_remove_tree(folder) < 0;
}

static weir_status commit(weir__zarr *zarr, int64_t index, int64_t step, double time, bool gaps) {
  return weir__zarr_commit(zarr, &(weir__zarr_level){.index = index, .step = step, .time = time, .gaps = gaps});
}

static const char *path_of(const char *name) {
  static char path[4][400];
  static int  turn;
  char       *to = path[turn++ % 4];
  snprintf(to, sizeof path[0], "%s/%s", folder, name);
  return to;
}

/* No file can grow beyond `bytes`; 0: any. */
static void limit(int64_t bytes) {
  struct rlimit r;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
  r.rlim_cur = bytes ? (rlim_t)bytes : r.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static int temporary;
static int count_temporary(const char *path, const struct stat *info, int kind, struct FTW *where) {
  (void)info, (void)kind;
  temporary += !strncmp(path + where->base, ".part-", 6);
  return 0;
}

static void no_temporary_files(void) {
  temporary = 0;
  assert_int_equal(nftw(folder, count_temporary, 8, FTW_PHYS), 0);
  assert_int_equal(temporary, 0);
}

static void failed(weir_status status, const char *text) {
  assert_int_equal(status, WEIR_ERR_IO);
  if (!strstr(weir_error_last(), text)) fail_msg("\"%s\" has no \"%s\"", weir_error_last(), text);
}

static void holds(const char *name, const char *text) {
  char  *bytes;
  size_t nbytes;
  assert_int_equal(weir__file_read(AT_FDCWD, path_of(name), name, &bytes, &nbytes), WEIR_OK);
  assert_string_equal(bytes, text);
  weir__free(bytes);
}

static void a_table_keeps_whole_rows(void **state) {
  (void)state;
  weir_field_type        type    = {.dtype = WEIR_F64};
  const weir_field_type *types[] = {&type};
  const char            *names[] = {"mean"};
  double                 value   = 2;
  weir_view              view    = {.data = &value, .dtype = WEIR_F64};
  weir__csv             *csv;
  assert_int_equal(weir__csv_open(path_of("t.csv"), names, types, 1, NULL, &csv), WEIR_OK);
  assert_int_equal(weir__csv_write(csv, 10, 0.5, &view, NULL), WEIR_OK);
  limit((int64_t)strlen("step,time,mean\n10,0.5,2\n") + 3);
  failed(weir__csv_write(csv, 20, 1.5, &view, NULL), "t.csv: File too large");
  holds("t.csv", "step,time,mean\n10,0.5,2\n");
  failed(weir__csv_write(csv, 30, 2.5, &view, NULL), "t.csv: File too large");
  limit(0);
  assert_int_equal(weir__csv_write(csv, 40, 3.5, &view, NULL), WEIR_OK);
  holds("t.csv", "step,time,mean\n10,0.5,2\n40,3.5,2\n");
  assert_int_equal(unlink(path_of("t.csv")), 0);
  failed(weir__csv_write(csv, 50, 4.5, &view, NULL), "t.csv: the file was removed");
  assert_int_equal(weir__csv_close(&csv), WEIR_OK);
}

static void a_picture_is_whole_or_absent(void **state) {
  (void)state;
  weir_field_type type   = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = 3}}};
  double          data[] = {1, 2, 3};
  weir_region     whole  = weir__region_whole(&type);
  weir_view       view   = weir__view_dense(data, &type, &whole);
  char            path[400];
  snprintf(path, sizeof path, "%s", path_of("u.png"));
  limit(100);
  failed(weir__plot_field(path, NULL, &type, &view, NULL, 1, 0.5), "u.png: File too large");
  limit(0);
  assert_int_equal(access(path, F_OK), -1);
  no_temporary_files();
  assert_int_equal(weir__plot_field(path, NULL, &type, &view, NULL, 1, 0.5), WEIR_OK);
  assert_int_equal(access(path, F_OK), 0);
}

/* ---- a store ---- */

enum { N = 50 };

typedef struct store {
  weir__zarr       *zarr;
  weir__zarr_array *u, *count, *mean; /* with a missing value; without one; several levels in a chunk */
} store;

static const weir__zarr_options plain = {.codec = WEIR__ZARR_NONE};

static void add_arrays(store *s) {
  weir_field_type u = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = N}}}, count = u;
  weir_field_type mean = {.dtype = WEIR_F64};
  count.dtype          = WEIR_I32;
  assert_int_equal(weir__zarr_add(s->zarr, "u", &u, NULL, 1, &s->u), WEIR_OK);
  assert_int_equal(weir__zarr_add(s->zarr, "count", &count, NULL, 1, &s->count), WEIR_OK);
  assert_int_equal(weir__zarr_add(s->zarr, "mean", &mean, NULL, 8, &s->mean), WEIR_OK);
}

/* True: all three were written. */
static bool write_level(const store *s, int64_t index) {
  double    u[N], mean = (double)index;
  int32_t   count[N];
  weir_view view = {.data = u, .dtype = WEIR_F64, .rank = 1, .count = {N}, .stride = {8}}, ints = view;
  weir_view scalar = {.data = &mean, .dtype = WEIR_F64};
  for (int i = 0; i < N; i++) u[i] = (double)index + i, count[i] = (int32_t)index;
  ints.data      = count;
  ints.dtype     = WEIR_I32;
  ints.stride[0] = 4;
  bool done      = weir__zarr_write(s->u, index, &view, NULL, NULL) >= 0;
  done &= weir__zarr_write(s->count, index, &ints, NULL, NULL) >= 0;
  return (weir__zarr_write(s->mean, index, &scalar, NULL, NULL) >= 0) & done;
}

/* What a reader who opens the store now sees. */
static int64_t visible(const char *path) {
  weir__zarr *other;
  assert_int_equal(weir__zarr_open(path, &plain, &other), WEIR_OK);
  int64_t levels = weir__zarr_committed(other);
  weir__zarr_destroy(&other);
  return levels;
}

static void raw(const char *name, void *values, size_t size) {
  char  *bytes;
  size_t nbytes;
  assert_int_equal(weir__file_read(AT_FDCWD, path_of(name), name, &bytes, &nbytes), WEIR_OK);
  if (!bytes || nbytes < size) fail_msg("%s holds %zu bytes", name, nbytes);
  memcpy(values, bytes, size);
  weir__free(bytes);
}

static void a_store_goes_on_when_there_is_room(void **state) {
  (void)state;
  char    path[400];
  store   s;
  double  time[6], mean[6];
  int64_t step[6];
  int32_t zeros[N], count[N];
  snprintf(path, sizeof path, "%s", path_of("s.zarr"));
  assert_int_equal(weir__zarr_create(path, &plain, WEIR__ZARR_NEW, &s.zarr), WEIR_OK);
  add_arrays(&s);
  for (int64_t n = 0; n < 6; n++) {
    bool full = n == 2 || n == 3;
    limit(full ? 30 : 0);
    assert_int_equal(write_level(&s, n), !full);
    if (full) failed(commit(s.zarr, n, 10 * n, 0.5 * (double)n, true), "s.zarr/count/2.0: File too large");
    else assert_int_equal(commit(s.zarr, n, 10 * n, 0.5 * (double)n, false), WEIR_OK);
    limit(0);
    assert_int_equal(visible(path), full ? 2 : n + 1);
    no_temporary_files();
  }
  raw("s.zarr/time/0", time, sizeof time);
  raw("s.zarr/step/0", step, sizeof step);
  raw("s.zarr/mean/0", mean, sizeof mean);
  for (int n = 0; n < 6; n++) {
    assert_true(time[n] == 0.5 * n && step[n] == 10 * n);
    assert_true(mean[n] == n); /* was kept until there was room */
  }
  memset(zeros, 0, sizeof zeros);
  raw("s.zarr/count/3.0", count, sizeof count);
  assert_memory_equal(count, zeros, sizeof zeros); /* it has no missing value */
  raw("s.zarr/count/4.0", count, sizeof count);
  assert_int_equal(count[N - 1], 4);
  assert_int_equal(access(path_of("s.zarr/u/1.0"), F_OK), 0);
  assert_int_equal(access(path_of("s.zarr/u/2.0"), F_OK), -1); /* missing values */
  assert_int_equal(access(path_of("s.zarr/u/4.0"), F_OK), 0);
  assert_int_equal(weir__file_remove_tree(path_of("s.zarr/u")), WEIR_OK);
  assert_false(write_level(&s, 6));
  weir__zarr_destroy(&s.zarr);
}

/* Metadata that could not be written are tried again with the next level: nothing is listed twice. */
static void a_missing_step_is_listed_once(void **state) {
  weir__zarr_options options = {.codec = WEIR__ZARR_ZLIB}; /* chunks are small */
  weir__zarr        *zarr    = NULL;
  char              *bytes;
  size_t             nbytes;
  (void)state;
  assert_int_equal(weir__zarr_create(path_of("l.zarr"), &options, WEIR__ZARR_NEW, &zarr), WEIR_OK);
  for (int64_t n = 0; n < 4; n++) {
    weir__zarr_level level = {.index = n, .step = 10 * n, .why = n ? "no room" : NULL};
    limit(n == 2 ? 600 : 0);
    assert_int_equal(weir__zarr_commit(zarr, &level), WEIR_OK);
    if (n == 2) failed(weir__zarr_flush(zarr), "l.zarr/.zmetadata: File too large");
    else assert_int_equal(weir__zarr_flush(zarr), WEIR_OK);
  }
  limit(0);
  weir__zarr_destroy(&zarr);
  assert_int_equal(weir__file_read(AT_FDCWD, path_of("l.zarr/.zattrs"), "l.zarr", &bytes, &nbytes), WEIR_OK);
  assert_non_null(strstr(bytes, "[{\\\"from\\\": 10, \\\"to\\\": 30, \\\"count\\\": 3, "));
  weir__free(bytes);
}

/* After a restart nobody knows of the indices that waited. */
static void an_index_that_nobody_spoke_of(void **state) {
  (void)state;
  store   s;
  double  time[4];
  int64_t step[4];
  assert_int_equal(weir__zarr_create(path_of("h.zarr"), &plain, WEIR__ZARR_NEW, &s.zarr), WEIR_OK);
  add_arrays(&s);
  assert_true(write_level(&s, 0) && write_level(&s, 3));
  assert_int_equal(commit(s.zarr, 0, 0, 0, false), WEIR_OK);
  assert_int_equal(commit(s.zarr, 3, 30, 1.5, false), WEIR_OK);
  assert_int_equal(visible(path_of("h.zarr")), 4);
  raw("h.zarr/time/0", time, sizeof time);
  raw("h.zarr/step/0", step, sizeof step);
  assert_true(time[0] == 0 && isnan(time[1]) && isnan(time[2]) && time[3] == 1.5);
  assert_true(step[0] == 0 && step[1] == -1 && step[2] == -1 && step[3] == 30);
  weir__zarr_destroy(&s.zarr);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_table_keeps_whole_rows), cmocka_unit_test(a_picture_is_whole_or_absent),
      cmocka_unit_test(a_store_goes_on_when_there_is_room), cmocka_unit_test(a_missing_step_is_listed_once),
      cmocka_unit_test(an_index_that_nobody_spoke_of)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
