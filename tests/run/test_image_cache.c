/* Images are decoded once by a worker, however many threads, chunks and couples read them; one that cannot be read
 * fails for all who ask, and again once it was forgotten. */
#include "core/threads.h"
#include "run/images.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IMAGES = 24, HEIGHT = 96, WIDTH = 64, TILE = 8, THREADS = 4, STEPS = IMAGES - 1 };

static char folder[200];

static int begin(void **state) {
  (void)state;
  static uint8_t pixels[HEIGHT * WIDTH];
  const char    *parent = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/weir_images_XXXXXX", parent ? parent : "/tmp");
  if (!mkdtemp(folder)) return -1;
  for (int k = 0; k < IMAGES; k++) {
    char path[300];
    snprintf(path, sizeof path, "%s/im%02d.pgm", folder, k);
    memset(pixels, k, sizeof pixels);
    if (weir__image_write(path, WEIR__IMAGE_PGM, WEIR_U8, HEIGHT, WIDTH, pixels) < 0) return -1;
  }
  return 0;
}

static int end(void **state) {
  (void)state;
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

static const weir__files_kind *const kind = &weir__images_kind;

static void *opened(const char *subset) {
  static const char         *path[1];
  static weir__recipe_images images;
  weir__recipe_stream        stream = {.images = &images, .place = {.file = "a.yaml", .line = 1, .column = 1}};
  void                      *self   = NULL;
  path[0]                           = folder;
  images                            = (weir__recipe_images){
                                 .path = path, .paths = 1, .subset = {.text = subset}, .start = INT64_MIN, .stop = INT64_MIN};
  if (kind->open(&stream, NULL, &self) < 0) fail_msg("%s", weir_error_last());
  return self;
}

/* All read every field, step and row of tiles, each tile once; two steps are in flight. */
typedef struct reader {
  void            *images;
  _Atomic int64_t *turn; /* tiles taken so far */
  _Atomic int64_t *done; /* and read, of each step */
  int              fields, failures, wrong;
} reader;

static void read_tiles(void *argument) {
  reader       *r     = argument;
  const int64_t tiles = HEIGHT / TILE, all = STEPS * tiles * r->fields;
  for (int64_t n; (n = atomic_fetch_add(r->turn, 1)) < all;) {
    uint8_t   bytes[TILE * WIDTH];
    int64_t   step = n / (tiles * r->fields), field = n % r->fields, tile = n / r->fields % tiles;
    weir_view out = {.data   = bytes,
                     .dtype  = WEIR_U8,
                     .rank   = 2,
                     .start  = {tile * TILE, 0},
                     .count  = {TILE, WIDTH},
                     .stride = {WIDTH, 1}};
    while (step >= 2 && atomic_load(&r->done[step - 2]) < tiles * r->fields) sched_yield();
    memset(bytes, 255, sizeof bytes);
    bool read = kind->read(r->images, (int)field, step, &out) >= 0;
    if (!read) r->failures++;
    for (size_t k = 0; read && k < sizeof bytes; k++)
      if (bytes[k] != step + field) r->wrong++;
    atomic_fetch_add(&r->done[step], 1);
  }
}

static int read_all(void *images, int fields) {
  _Atomic int64_t turn = 0, done[STEPS] = {0};
  reader          r[THREADS];
  weir__thread    thread[THREADS];
  int             failures = 0;
  for (int k = 0; k < THREADS; k++) r[k] = (reader){images, &turn, done, fields, 0, 0};
  for (int k = 0; k < THREADS; k++) assert_int_equal(weir__thread_start(&thread[k], read_tiles, &r[k]), WEIR_OK);
  for (int k = 0; k < THREADS; k++) {
    weir__thread_join(&thread[k]);
    assert_int_equal(r[k].wrong, 0);
    failures += r[k].failures;
  }
  return failures;
}

static void test_once(void **state) {
  (void)state;
  void *images = opened("pairs");
  assert_int_equal(kind->steps(images), STEPS);
  assert_int_equal(read_all(images, 2), 0);
  assert_int_equal(weir__images_decoded(images), IMAGES);
  kind->close(images);
}

/* One image for all steps stays, as it is always the last used. */
static void test_reference(void **state) {
  (void)state;
  void *images = opened("i:i+2");
  for (int step = 0; step < STEPS; step++)
    for (int field = 0; field < 2; field++) {
      uint8_t   byte;
      weir_view out = {.data = &byte, .dtype = WEIR_U8, .rank = 2, .count = {1, 1}, .stride = {1, 1}};
      assert_int_equal(kind->read(images, field, field ? 0 : step, &out), WEIR_OK);
      assert_int_equal(byte, field ? 1 : step);
    }
  assert_int_equal(weir__images_decoded(images), IMAGES - 1); /* all but the last; image 1 is both */
  kind->close(images);
}

static void test_failure(void **state) {
  (void)state;
  char path[300];
  snprintf(path, sizeof path, "%s/im07.pgm", folder);
  assert_int_equal(truncate(path, 7), 0);
  void *images = opened("pairs");
  assert_int_equal(read_all(images, 2), 2 * HEIGHT / TILE); /* all tiles of two fields, in steps 6 and 7 */
  assert_int_equal(weir__images_decoded(images), IMAGES);
  weir__text why = {0};
  kind->explain(images, 1, 6, &why);
  assert_non_null(strstr(why.data, "im07.pgm"));
  weir__text_clear(&why);
  kind->close(images);
}

/* Few places for many readers of many images: who finds none waits, and nobody for ever. */
static void test_crowd(void **state) {
  (void)state;
  void *images = opened("i");
  kind->expect(images, 1);
  assert_int_equal(read_all(images, 1), 0);
  kind->close(images);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
  const struct CMUnitTest tests[] = {TEST(test_once), TEST(test_reference), TEST(test_failure), TEST(test_crowd)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
