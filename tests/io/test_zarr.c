/* Zarr stores from C: what is refused, several workers and threads, levels kept in memory, cutting back. */
#include "core/text.h"
#include "core/threads.h"
#include "field/field.h"
#include "io/file.h"
#include "io/zarr.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256];

static int make_folder(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-zarr-XXXXXX", parent ? parent : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return weir__file_remove_tree(folder) < 0 ? -1 : 0;
}

static weir_status commit(weir__zarr *zarr, int64_t index, int64_t step, double time, bool gaps) {
  return weir__zarr_commit(zarr, &(weir__zarr_level){.index = index, .step = step, .time = time, .gaps = gaps});
}

static const char *path_of(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static const weir_field_type map_type = {
    .dtype = WEIR_F32, .rank = 2, .dim = {{.name = "y", .size = 10}, {.name = "x", .size = 6}}};

static size_t file_size(const char *name) {
  char  *bytes;
  size_t nbytes;
  assert_int_equal(weir__file_read(-100 /* AT_FDCWD */, path_of(name), name, &bytes, &nbytes), WEIR_OK);
  weir__free(bytes);
  return nbytes;
}

static void refuses(void **state) {
  weir__zarr       *zarr = NULL, *other = NULL;
  weir__zarr_array *array   = NULL;
  int64_t           chunk[] = {4, 6}, bad[] = {0, 6};
  float             data[60] = {0};
  (void)state;
  assert_int_equal(weir__zarr_create(path_of("a.zarr"), NULL, WEIR__ZARR_NEW, &zarr), WEIR_OK);
  assert_int_equal(weir__zarr_create(path_of("a.zarr"), NULL, WEIR__ZARR_NEW, &other), WEIR_ERR_IO);
  assert_non_null(strstr(weir_error_last(), "a.zarr exists already"));
  assert_int_equal(weir__zarr_create(folder, NULL, WEIR__ZARR_REPLACE, &other), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "no Zarr group"));
  assert_int_equal(weir__zarr_open(path_of("none.zarr"), NULL, &other), WEIR_ERR_IO);
  weir__zarr_options level = {.codec = WEIR__ZARR_ZLIB, .level = 10};
  assert_int_equal(weir__zarr_create(path_of("a.zarr"), &level, WEIR__ZARR_REPLACE, &other), WEIR_ERR_ARGUMENT);
  assert_int_equal(access(path_of("a.zarr/.zgroup"), F_OK), 0); /* still there */
  assert_null(other);
  assert_int_equal(weir__zarr_add(zarr, "../up", &map_type, chunk, 1, &array), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__zarr_add(zarr, "time", &map_type, chunk, 1, &array), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__zarr_add(zarr, "u", &map_type, bad, 1, &array), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__zarr_add(zarr, "u", &map_type, chunk, 3, &array), WEIR_ERR_ARGUMENT); /* 3 levels, 3 chunks */
  assert_null(array);
  assert_int_equal(weir__zarr_add(zarr, "u", &map_type, chunk, 1, &array), WEIR_OK);
  assert_int_equal(weir__zarr_add(zarr, "u", &map_type, chunk, 1, &array), WEIR_ERR_ARGUMENT);
  weir_region box  = {.rank = 2, .start = {4, 0}, .count = {3, 6}}; /* cuts through a chunk */
  weir_view   view = weir__view_dense(data, &map_type, &box);
  assert_int_equal(weir__zarr_write(array, 0, &view, NULL, NULL), WEIR_ERR_ARGUMENT);
  assert_non_null(strstr(weir_error_last(), "[4:7, 0:6]"));
  box.count[0] = 6; /* two chunks, the last cut off by the end of the field */
  view         = weir__view_dense(data, &map_type, &box);
  int64_t written;
  assert_int_equal(weir__zarr_write(array, 0, &view, NULL, &written), WEIR_OK);
  assert_int_equal(written, 2);
  assert_int_equal(file_size("a.zarr/u/0.2.0"), 4 * 6 * sizeof(float));
  view.dtype = WEIR_F64;
  assert_int_equal(weir__zarr_write(array, 0, &view, NULL, NULL), WEIR_ERR_ARGUMENT);
  assert_int_equal(commit(zarr, -1, 1, 1.0, false), WEIR_ERR_ARGUMENT);
  assert_int_equal(commit(zarr, 0, 1, 1.0, false), WEIR_OK);
  assert_int_equal(commit(zarr, 0, 1, 1.0, false), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr), 1);
  weir__zarr_destroy(&zarr);
  weir__zarr_destroy(&zarr);
}

static void default_chunks(void **state) {
  int64_t         chunk[WEIR_RANK_MAX];
  weir_field_type type = {.dtype = WEIR_F32,
                          .rank  = 3,
                          .dim = {{.name = "z", .size = 40}, {.name = "y", .size = 3000}, {.name = "x", .size = 2000}}};
  (void)state;
  weir__zarr_default_chunk(&type, chunk);
  assert_true(chunk[0] * chunk[1] * chunk[2] <= 1 << 18 && chunk[0] * chunk[1] * chunk[2] > 1 << 16);
  weir__zarr_default_chunk(&map_type, chunk);
  assert_true(chunk[0] == 10 && chunk[1] == 6);
}

/* ---- workers: stores opened several times, threads that write different chunks ---- */

typedef struct job {
  weir__zarr_array *array;
  int64_t           row;
  bool              failed;
} job;

static void write_row(void *argument) {
  job *j = argument;
  for (int64_t t = 0; t < 20; t++) {
    float       data[12];
    weir_region box  = {.rank = 2, .start = {j->row, 0}, .count = {2, 6}};
    weir_view   view = weir__view_dense(data, &map_type, &box);
    for (int i = 0; i < 12; i++) data[i] = (float)(1000 * t + 10 * j->row + i);
    if (weir__zarr_write(j->array, t, &view, NULL, NULL) < 0) j->failed = true;
  }
}

static void many_writers(void **state) {
  enum { WORKERS = 5 };
  weir__zarr        *zarr[WORKERS] = {NULL};
  weir__zarr_options options       = {.codec = WEIR__ZARR_BLOSC};
  weir__thread       thread[WORKERS];
  job                jobs[WORKERS] = {{NULL, 0, false}};
  int64_t            chunk[]       = {2, 6};
  (void)state;
  for (int w = 0; w < WORKERS; w++) {
    if (w == 0) assert_int_equal(weir__zarr_create(path_of("w.zarr"), &options, WEIR__ZARR_NEW, &zarr[w]), WEIR_OK);
    else assert_int_equal(weir__zarr_open(path_of("w.zarr"), &options, &zarr[w]), WEIR_OK);
    assert_int_equal(weir__zarr_add(zarr[w], "u", &map_type, chunk, 1, &jobs[w].array), WEIR_OK);
    assert_int_equal(weir__zarr_chunks(jobs[w].array), 5);
    jobs[w].row = 2 * w;
  }
  for (int w = 0; w < WORKERS; w++) assert_int_equal(weir__thread_start(&thread[w], write_row, &jobs[w]), WEIR_OK);
  for (int w = 0; w < WORKERS; w++) weir__thread_join(&thread[w]);
  for (int w = 0; w < WORKERS; w++) assert_false(jobs[w].failed);
  for (int t = 0; t < 20; t++) assert_int_equal(commit(zarr[3], t, t, t, false), WEIR_OK); /* not the creator */
  for (int w = 0; w < WORKERS; w++) weir__zarr_destroy(&zarr[w]);
  assert_int_equal(weir__zarr_open(path_of("w.zarr"), &options, &zarr[0]), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr[0]), 20);
  /* another worker that wants another array of that name */
  assert_int_equal(weir__zarr_add(zarr[0], "u", &(weir_field_type){.dtype = WEIR_F64}, NULL, 1, &jobs[0].array),
                   WEIR_ERR_INPUT);
  weir__zarr_destroy(&zarr[0]);
}

/* ---- cutting back ---- */

static void cut_back(void **state) {
  weir_field_type   scalar = {.dtype = WEIR_I16}; /* stored as it is: easy to look at */
  weir__zarr       *zarr   = NULL;
  weir__zarr_array *array, *map;
  char             *bytes;
  size_t            nbytes;
  float             data[60] = {0};
  weir_region       whole    = weir__region_whole(&map_type);
  weir_view         picture  = weir__view_dense(data, &map_type, &whole);
  (void)state;
  for (int round = 0; round < 2; round++) { /* the second goes on with the store of the first */
    assert_int_equal(weir__zarr_create(path_of("c.zarr"), NULL, round ? WEIR__ZARR_RESUME : WEIR__ZARR_NEW, &zarr),
                     WEIR_OK);
    assert_int_equal(weir__zarr_add(zarr, "n", &scalar, NULL, 4, &array), WEIR_OK);
    assert_int_equal(weir__zarr_add(zarr, "u", &map_type, NULL, 1, &map), WEIR_OK);
    if (round) assert_int_equal(weir__zarr_committed(zarr), 7);
    if (round) assert_int_equal(weir__zarr_cut(zarr, 2), WEIR_OK);
    assert_int_equal(weir__zarr_committed(zarr), round ? 2 : 0);
    if (round) assert_int_equal(access(path_of("c.zarr/u/2.0.0"), F_OK), -1);
    if (round) assert_int_equal(access(path_of("c.zarr/n/1"), F_OK), -1);
    for (int16_t t = round ? 2 : 0; t < (round ? 3 : 7); t++) {
      int16_t   value = (int16_t)(t + 1 + 100 * round);
      weir_view view  = {.data = &value, .dtype = WEIR_I16};
      assert_int_equal(weir__zarr_write(array, t, &view, NULL, NULL), WEIR_OK);
      assert_int_equal(weir__zarr_write(map, t, &picture, NULL, NULL), WEIR_OK);
      assert_int_equal(commit(zarr, t, t, t, false), WEIR_OK);
    }
    weir__zarr_destroy(&zarr);
  }
  assert_int_equal(weir__file_read(-100, path_of("c.zarr/n/0"), "n/0", &bytes, &nbytes), WEIR_OK);
  int16_t found[4], wanted[] = {1, 2, 103, 0};
  assert_int_equal(nbytes, sizeof found);
  memcpy(found, bytes, sizeof found);
  weir__free(bytes);
  assert_memory_equal(found, wanted, sizeof wanted);
}

static weir_status commit_gap(weir__zarr *zarr, int64_t index, int64_t step, const char *why, int64_t more,
                              int64_t last) {
  weir__zarr_level level  = {.index = index, .step = step, .gaps = true, .why = why, .more = more, .last = last};
  weir_status      status = weir__zarr_commit(zarr, &level);
  return status < 0 ? status : weir__zarr_flush(zarr);
}

static void expect_attributes(const char *name, const char *list) {
  char   wanted[2000], *bytes;
  size_t nbytes;
  snprintf(wanted, sizeof wanted, "{\n    \"Conventions\": \"CF-1.8\"%s%s%s\n}\n",
           *list ? ",\n    \"missing_steps\": \"[" : "", list, *list ? "]\"" : "");
  assert_int_equal(weir__file_read(-100, path_of(name), name, &bytes, &nbytes), WEIR_OK);
  if (strstr(name, ".zattrs")) assert_string_equal(bytes, wanted);
  else assert_non_null(strstr(bytes, wanted));
  weir__free(bytes);
}

#define GAP(from, to, count, why, index, levels)                                                                       \
  "{\\\"from\\\": " #from ", \\\"to\\\": " #to ", \\\"count\\\": " #count ", \\\"why\\\": \\\"" why                    \
  "\\\", \\\"index\\\": " #index ", \\\"levels\\\": " #levels "}"

/* Steps 10, 20, ...: which are missing stands in the attributes, also after cutting back, and is not there without. */
static void missing_steps(void **state) {
  static const char first[] = GAP(20, 40, 3, "no room", 1, 3), second[] = GAP(50, 90, 5, "no room", 4, 1);
  static const char third[] = GAP(100, 100, 1, "no room", 5, 1),
                    last[]  = GAP(110, 120, 2, "not published by all", 6, 2);
  char        all[1500];
  weir__zarr *zarr = NULL;
  (void)state;
  assert_int_equal(weir__zarr_create(path_of("g.zarr"), NULL, WEIR__ZARR_NEW, &zarr), WEIR_OK);
  assert_int_equal(commit(zarr, 0, 10, 1, false), WEIR_OK);
  expect_attributes("g.zarr/.zattrs", "");
  for (int i = 1; i < 4; i++) assert_int_equal(commit_gap(zarr, i, 10 + 10 * i, "no room", 0, 0), WEIR_OK);
  expect_attributes("g.zarr/.zattrs", first);
  assert_int_equal(commit_gap(zarr, 4, 50, "no room", 4, 90), WEIR_OK); /* stands for five */
  assert_int_equal(commit_gap(zarr, 5, 100, "no room", 0, 0), WEIR_OK);
  for (int i = 6; i < 8; i++) assert_int_equal(commit_gap(zarr, i, 50 + 10 * i, "not published by all", 0, 0), WEIR_OK);
  assert_int_equal(commit(zarr, 8, 130, 1, false), WEIR_OK);
  snprintf(all, sizeof all, "%s, %s, %s, %s", first, second, third, last);
  expect_attributes("g.zarr/.zattrs", all);
  expect_attributes("g.zarr/.zmetadata", all);
  assert_int_equal(commit_gap(zarr, 7, 120, "not published by all", 0, 0), WEIR_OK); /* again */
  expect_attributes("g.zarr/.zattrs", all);
  weir__zarr_destroy(&zarr);

  /* whoever goes on knows them; cut where one stands for several, in the middle of three, and before all */
  for (int cut = 0; cut < 3; cut++) {
    static const int64_t keep[] = {5, 3, 1};
    assert_int_equal(weir__zarr_create(path_of("g.zarr"), NULL, WEIR__ZARR_RESUME, &zarr), WEIR_OK);
    expect_attributes("g.zarr/.zattrs", cut == 0 ? all : cut == 1 ? all : GAP(20, 40, 3, "no room", 1, 3));
    assert_int_equal(weir__zarr_cut(zarr, keep[cut]), WEIR_OK);
    snprintf(all, sizeof all, "%s, %s", first, second);
    expect_attributes("g.zarr/.zattrs", cut == 0 ? all : cut == 1 ? GAP(20, 30, 2, "no room", 1, 2) : "");
    weir__zarr_destroy(&zarr);
    assert_int_equal(weir__zarr_open(path_of("g.zarr"), NULL, &zarr), WEIR_OK); /* another worker commits */
    if (cut == 1) assert_int_equal(commit_gap(zarr, 3, 40, "no room", 0, 0), WEIR_OK);
    else if (cut == 2) assert_int_equal(commit(zarr, 1, 20, 1, false), WEIR_OK);
    weir__zarr_destroy(&zarr);
    expect_attributes("g.zarr/.zattrs", cut == 0 ? all : cut == 1 ? first : "");
  }
}

/* A level without values waits for one with values, for a flush, or until many do. */
static void missing_steps_wait(void **state) {
  weir__zarr      *zarr = NULL;
  weir__zarr_level gap  = {.gaps = true, .why = "no room"};
  (void)state;
  assert_int_equal(weir__zarr_create(path_of("late.zarr"), NULL, WEIR__ZARR_NEW, &zarr), WEIR_OK);
  for (gap.index = 0; gap.index < 255; gap.index++) {
    gap.step = gap.index;
    assert_int_equal(weir__zarr_commit(zarr, &gap), WEIR_OK);
    assert_int_equal(weir__zarr_committed(zarr), 0);
  }
  gap.step = gap.index;
  assert_int_equal(weir__zarr_commit(zarr, &gap), WEIR_OK); /* the 256th */
  assert_int_equal(weir__zarr_committed(zarr), 256);
  gap.step = gap.index = 256;
  assert_int_equal(weir__zarr_commit(zarr, &gap), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr), 256);
  assert_int_equal(commit(zarr, 257, 257, 1, false), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr), 258);
  expect_attributes("late.zarr/.zattrs", GAP(0, 256, 257, "no room", 0, 257));
  gap.step = gap.index = 258;
  assert_int_equal(weir__zarr_commit(zarr, &gap), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr), 258);
  assert_int_equal(weir__zarr_flush(zarr), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr), 259);
  weir__zarr_destroy(&zarr);
}

/* Metadata of a store with every other of `levels` time levels missing. */
static void put_gaps(const char *name, int levels) {
  weir__text text = {0};
  weir__text_add(&text, "{\"metadata\": {\".zattrs\": {\"missing_steps\": \"[");
  for (int i = 0; i < levels; i += 2)
    weir__text_add(&text,
                   "%s{\\\"from\\\": %d, \\\"to\\\": %d, \\\"count\\\": 1, \\\"why\\\": \\\"no room\\\", "
                   "\\\"index\\\": %d, \\\"levels\\\": 1}",
                   i ? ", " : "", i, i, i);
  weir__text_add(&text, "]\"}, \"time/.zarray\": {\"shape\": [%d]}}}", levels);
  assert_int_equal(weir__text_status(&text), WEIR_OK);
  assert_int_equal(weir__file_replace(-100, path_of(name), name, text.data, text.length, false), WEIR_OK);
  weir__text_clear(&text);
}

/* More gaps than a list holds; a list that weir has not written. */
static void many_gaps(void **state) {
  static const char damage[] =
      "{\"metadata\": {\".zattrs\": {\"missing_steps\": \"[{}]\"}, \"time/.zarray\": {\"shape\": [1]}}}";
  weir__zarr *zarr = NULL;
  char       *bytes;
  size_t      nbytes;
  (void)state;
  assert_int_equal(weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_NEW, &zarr), WEIR_OK);
  weir__zarr_destroy(&zarr);
  put_gaps("m.zarr/.zmetadata", 1992);
  assert_int_equal(weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_RESUME, &zarr), WEIR_OK);
  for (int i = 996; i < 1010; i++) /* without what lies between: those levels are committed with the next */
    assert_int_equal(commit_gap(zarr, 2 * i, 2 * i, i == 1005 ? "not published by all" : "no room", 0, 0), WEIR_OK);
  weir__zarr_destroy(&zarr);
  assert_int_equal(weir__file_read(-100, path_of("m.zarr/.zattrs"), "m.zarr", &bytes, &nbytes), WEIR_OK);
  assert_non_null(strstr(bytes, "[" GAP(0, 0, 1, "no room", 0, 1) ", " GAP(2, 2, 1, "no room", 2, 1) ", "));
  assert_non_null(
      strstr(bytes, GAP(1996, 1996, 1, "no room", 1996, 1) ", " GAP(1998, 2018, 11, "several reasons", 1998, 21) "]"));
  weir__free(bytes);
  assert_int_equal(weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_RESUME, &zarr), WEIR_OK);
  assert_int_equal(weir__zarr_committed(zarr), 2019);
  weir__zarr_destroy(&zarr);
  put_gaps("m.zarr/.zmetadata", 2002); /* one too many */
  assert_int_equal(weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_RESUME, &zarr), WEIR_ERR_INPUT);
  assert_int_equal(weir__file_replace(-100, path_of("m.zarr/.zmetadata"), "m.zarr", damage, sizeof damage - 1, false),
                   WEIR_OK);
  assert_int_equal(weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_RESUME, &zarr), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "missing_steps"));
}

/* A damaged chunk that must be read back is found, not overwritten. */
static void damaged(void **state) {
  weir_field_type    scalar  = {.dtype = WEIR_F64};
  weir__zarr_options options = {.codec = WEIR__ZARR_ZSTD};
  weir__zarr        *zarr    = NULL;
  weir__zarr_array  *array;
  double             value = 1;
  weir_view          view  = {.data = &value, .dtype = WEIR_F64};
  (void)state;
  for (int codec = WEIR__ZARR_NONE; codec <= WEIR__ZARR_BLOSC; codec++) {
    options.codec = (weir__zarr_codec)codec;
    assert_int_equal(weir__zarr_create(path_of("d.zarr"), &options, WEIR__ZARR_REPLACE, &zarr), WEIR_OK);
    assert_int_equal(weir__zarr_add(zarr, "n", &scalar, NULL, 4, &array), WEIR_OK);
    assert_int_equal(weir__file_replace(-100, path_of("d.zarr/n/0"), "n/0", "not a chunk, for sure", 21, false),
                     WEIR_OK);
    assert_int_equal(weir__zarr_write(array, 0, &view, NULL, NULL), WEIR_ERR_INPUT);
    assert_non_null(strstr(weir_error_last(), "d.zarr/n/0 is damaged"));
    assert_int_equal(file_size("d.zarr/n/0"), 21);
    weir__zarr_destroy(&zarr);
  }
}

/* Every allocation on the way fails once: an error, never a crash or a leak. */
static void without_memory(void **state) {
  weir_status status = WEIR_ERR_MEMORY;
  (void)state;
  for (uint64_t n = 1; status == WEIR_ERR_MEMORY; n++) {
    weir__zarr       *zarr = NULL;
    weir__zarr_array *array;
    weir_field_type   type = map_type;
    assert_true(n < 500);
    type.dim[0].spacing = 0.5;
    weir__alloc_fail_at(n);
    status = weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_REPLACE, &zarr);
    if (status >= 0) status = weir__zarr_add(zarr, "u", &type, NULL, 1, &array);
    if (status >= 0) status = commit_gap(zarr, 0, 1, "no room", 0, 0);
    if (status >= 0) status = commit_gap(zarr, 1, 2, "not published by all", 0, 0);
    weir__zarr_destroy(&zarr);
    if (status >= 0) status = weir__zarr_create(path_of("m.zarr"), NULL, WEIR__ZARR_RESUME, &zarr);
    if (status >= 0) status = weir__zarr_add(zarr, "u", &type, NULL, 1, &array);
    if (status >= 0) status = weir__zarr_cut(zarr, 1);
    weir__zarr_destroy(&zarr);
    weir__alloc_fail_at(0);
  }
  assert_int_equal(status, WEIR_OK);
  expect_attributes("m.zarr/.zattrs", GAP(1, 1, 1, "no room", 0, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(refuses),
                                     cmocka_unit_test(default_chunks),
                                     cmocka_unit_test(many_writers),
                                     cmocka_unit_test(cut_back),
                                     cmocka_unit_test(damaged),
                                     cmocka_unit_test(missing_steps),
                                     cmocka_unit_test(missing_steps_wait),
                                     cmocka_unit_test(many_gaps),
                                     cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
