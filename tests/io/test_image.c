/* Images from C: values of every sample, files cut at every length, hostile headers, allocations that fail, pages,
 * films, writing. What other programs write and read is compared in test_image_python.py. */
#include "image_samples.h"
#include "core/memory.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

enum { ROOM = 1 << 20 };
static char     folder[256], path[400];
static samples  all;
static uint8_t *pixels;

static const sample *find(const char *name) {
  for (int s = 0; s < all.count; s++)
    if (!strcmp(all.list[s].name, name)) return &all.list[s];
  fail_msg("no sample %s", name);
  return NULL;
}

/* Write bytes as a file and read all of it. */
static weir_status try_bytes(const char *name, const void *bytes, size_t size) {
  int64_t largest = 0;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  assert_true(save(path, bytes, size));
  weir_status status = read_everything(path, INT64_MAX, pixels, ROOM, &largest);
  if (status == WEIR_ERR_INPUT) assert_non_null(strstr(weir_error_last(), path));
  return status;
}

static void expect_refused(const char *name, const void *bytes, size_t size, const char *word) {
  weir_status status = try_bytes(name, bytes, size);
  if (status != WEIR_ERR_INPUT) fail_msg("%s: status %d, expected %d", name, status, WEIR_ERR_INPUT);
  if (!strstr(weir_error_last(), word)) fail_msg("%s: \"%s\" says nothing of \"%s\"", name, weir_error_last(), word);
}

/* Every sample without loss has the values it was made of. */
static void test_values(void **state) {
  (void)state;
  for (int s = 0; s < all.count; s++) {
    weir__image     *image = NULL;
    weir__image_info info;
    const char      *name = all.list[s].name;
    assert_int_equal(try_bytes(name, all.list[s].bytes, all.list[s].size), WEIR_OK);
    if (strstr(name, ".jpg") || strstr(name, ".ppm") || strstr(name, "10.cine")) continue;
    assert_int_equal(weir__image_open(path, NULL, &image), WEIR_OK);
    assert_int_equal(weir__image_info_get(image, 0, &info), WEIR_OK);
    assert_int_equal(info.height, SAMPLE_H);
    assert_int_equal(info.width, SAMPLE_W);
    for (int p = 0; p < info.pages; p++) {
      assert_int_equal(weir__image_read(image, p, pixels), WEIR_OK);
      for (int i = 0; i < SAMPLE_H * SAMPLE_W; i++) {
        int want = sample_value(p, i / SAMPLE_W, i % SAMPLE_W);
        int got  = info.dtype == WEIR_U8 ? pixels[i] : ((uint16_t *)(void *)pixels)[i];
        if (info.dtype == WEIR_U8) want &= 255;
        if (got != want) fail_msg("%s, page %d, pixel %d: %d, expected %d", name, p, i, got, want);
      }
    }
    assert_int_equal(weir__image_read(image, info.pages, pixels), WEIR_ERR_INPUT);
    assert_int_equal(weir__image_info_get(image, -1, &info), WEIR_ERR_INPUT);
    weir__image_close(&image);
    assert_null(image);
  }
}

/* No file that misses bytes is read as if it were whole. */
static void test_cut(void **state) {
  (void)state;
  for (int s = 0; s < all.count; s++)
    for (size_t size = 0; size < all.list[s].size; size++) {
      weir_status status = try_bytes("cut", all.list[s].bytes, size);
      if (status == WEIR_ERR_INPUT || (status >= 0 && all.list[s].cut_unseen && size >= all.list[s].size - 4)) continue;
      fail_msg("%s cut at %zu of %zu: status %d", all.list[s].name, size, all.list[s].size, status);
    }
}

static void test_no_image(void **state) {
  weir__image *image = NULL;
  (void)state;
  expect_refused("empty.tif", "", 0, "is empty; expected an image");
  expect_refused("seven.tif", "garbage", 7, "67 61 72 62) is no image of a known kind: TIFF, PNG");
  expect_refused("seven.png", "\x89PNG\r\n\x1a", 7, "no image of a known kind");
  expect_refused("plain.pgm", "P3\n1 1\n255\n1 2 3\n", 17, "P3; expected P5, P2 or P6");
  expect_refused("none.pgm", "P5\n0 5\n255\n", 11, "width, height");
  expect_refused("value.pgm", "P2\n2 1\n9\n3 10\n", 14, "pixel 1 of 2 must be a number of 0 to 9");
  assert_int_equal(weir__image_open(folder, NULL, &image), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "is no file"));
  assert_int_equal(weir__image_open("/nowhere/at/all.tif", NULL, &image), WEIR_ERR_GONE);
  assert_non_null(strstr(weir_error_last(), "/nowhere/at/all.tif"));
  assert_null(image);
}

/* A copy of a sample with 4 bytes changed. */
static void expect_hostile(const char *name, size_t at, uint32_t value, const char *word) {
  static uint8_t copy[SAMPLE_MAX];
  const sample  *s = find(name);
  memcpy(copy, s->bytes, s->size);
  for (int i = 0; i < 4; i++) copy[at + (size_t)i] = (uint8_t)(value >> 8 * i);
  expect_refused(name, copy, s->size, word);
}

/* Headers that promise more than there is: refused before anything is allocated for it. */
static void test_hostile(void **state) {
  (void)state;
  char     text[64];
  uint64_t before = weir__alloc_calls();
  expect_hostile("gray.bmp", 18, 0x7fffffff, "2147483647 x 9 pixels cannot be in");
  expect_hostile("gray.bmp", 22, 0x80000000, "x 2147483648 pixels");
  expect_hostile("gray.bmp", 30, 1, "RLE");
  expect_hostile("gray.bmp", 46, 257, "palette of 257 colours for 8 bits");
  expect_hostile("gray.bmp", 10, 0xffffff00, "cut short or damaged");
  expect_hostile("gray.png", 16, 0xffffff7f, "2147483647 x 9 pixels cannot be in");
  expect_hostile("gray.png", 20, 0xffffffff, "on each side");
  expect_hostile("gray.png", 29, 0, "CRC");
  expect_hostile("8.cine", 20, 0xffffffff, "a cine of 4294967295 images");
  expect_hostile("8.cine", 48, 0x7fffffff, "cannot be in");
  expect_hostile("10.cine", 60, 7, "bitmap compression 7; expected");
  expect_hostile("8.cine", 4, 1 << 16 | 1, "JPEG");
  int length = snprintf(text, sizeof text, "P5\n100000 100000\n65535\n12");
  expect_refused("large.pgm", text, (size_t)length, "100000 x 100000 pixels cannot be in 25 bytes");
  assert_true(weir__alloc_calls() - before < 100);
}

static void put_directory(uint8_t *at, uint32_t next) {
  memset(at, 0, 18);
  at[0] = 1; /* one entry, that says nothing */
  memcpy(at + 14, &next, 4);
}

/* A chain of directories that bites its tail, at once and after many; and one that leaves the file. */
static void test_circles(void **state) {
  enum { PAGES = 5000 };
  static uint8_t bytes[8 + 18 * PAGES];
  (void)state;
  memcpy(bytes, "II\52\0\10\0\0\0", 8);
  for (uint32_t p = 0; p < PAGES; p++) put_directory(bytes + 8 + 18 * p, 8 + 18 * (p + 1));
  static const uint32_t back[] = {0, 1, 2499, PAGES - 1};
  for (size_t i = 0; i < sizeof back / sizeof *back; i++) {
    put_directory(bytes + 8 + 18 * (PAGES - 1), 8 + 18 * back[i]);
    expect_refused("circle.tif", bytes, sizeof bytes, "form a circle");
  }
  put_directory(bytes + 8 + 18 * (PAGES - 1), sizeof bytes + 7);
  expect_refused("beyond.tif", bytes, sizeof bytes, "a TIFF directory at byte");
}

/* Thousands of pages are counted, and any of them is reached, in time that does not grow with their square. */
static void test_many_pages(void **state) {
  enum { PAGES = 20000, ENTRIES = 9, DIRECTORY = 2 + 12 * ENTRIES + 4, PAGE = DIRECTORY + 2 };
  static const uint16_t tags[ENTRIES][2] = {{256, 1}, {257, 1}, {258, 16}, {259, 1}, {262, 1},
                                            {273, 0}, {277, 1}, {278, 1},  {279, 2}};
  size_t                size             = 8 + (size_t)PAGES * PAGE;
  uint8_t              *bytes            = calloc(1, size);
  weir__image          *image            = NULL;
  weir__image_info      info;
  (void)state;
  assert_non_null(bytes);
  memcpy(bytes, "II\52\0\10\0\0\0", 8);
  for (uint32_t p = 0; p < PAGES; p++) {
    uint32_t at = 8 + p * PAGE, next = p + 1 < PAGES ? at + PAGE : 0;
    uint8_t *d = bytes + at;
    d[0]       = ENTRIES;
    for (int e = 0; e < ENTRIES; e++) {
      uint16_t kind  = tags[e][0] == 273 ? 4 : 3;
      uint32_t count = 1, value = tags[e][0] == 273 ? at + DIRECTORY : tags[e][1];
      memcpy(d + 2 + 12 * e, &tags[e][0], 2), memcpy(d + 4 + 12 * e, &kind, 2);
      memcpy(d + 6 + 12 * e, &count, 4), memcpy(d + 10 + 12 * e, &value, 4);
    }
    memcpy(d + DIRECTORY - 4, &next, 4);
    memcpy(d + DIRECTORY, &p, 2);
  }
  snprintf(path, sizeof path, "%s/many.tif", folder);
  assert_true(save(path, bytes, size));
  free(bytes);
  clock_t start = clock();
  assert_int_equal(weir__image_open(path, NULL, &image), WEIR_OK);
  assert_int_equal(weir__image_info_get(image, 0, &info), WEIR_OK);
  assert_int_equal(info.pages, PAGES);
  for (int64_t p = PAGES - 1; p >= 0; p -= 7) {
    uint16_t value = 0;
    if (weir__image_read(image, p, &value) < 0) fail_msg("page %d: %s", (int)p, weir_error_last());
    assert_int_equal(value, p);
  }
  weir__image_close(&image);
  double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  print_message("%d pages: %.3f s\n", PAGES, seconds);
  assert_true(seconds < 5);
}

/* Time stamps since the trigger, bits, and the table of 10 bits. */
static void test_cine(void **state) {
  weir__image     *image = NULL;
  weir__image_info info;
  (void)state;
  assert_int_equal(try_bytes("10.cine", find("10.cine")->bytes, find("10.cine")->size), WEIR_OK);
  assert_int_equal(weir__image_open(path, NULL, &image), WEIR_OK);
  for (int p = 0; p < CINE_PAGES; p++) {
    uint16_t *wide = (uint16_t *)(void *)pixels;
    assert_int_equal(weir__image_info_get(image, p, &info), WEIR_OK);
    assert_true(info.has_time && info.time == 0.25 * p);
    assert_int_equal(info.bits, 12);
    assert_int_equal(info.pages, CINE_PAGES);
    assert_int_equal(weir__image_read(image, p, pixels), WEIR_OK);
    for (int i = 0; i < SAMPLE_H * SAMPLE_W; i++) {
      int code = sample_value(p, i / SAMPLE_W, i % SAMPLE_W);
      if (code == 64) assert_int_equal(wide[i], 64);
      if (code < 520 ? wide[i] > code * 2 + 4 : wide[i] < code * 2 - 64) fail_msg("code %d gave %d", code, wide[i]);
    }
  }
  weir__image_close(&image);
  assert_int_equal(try_bytes("16.cine", find("16.cine")->bytes, find("16.cine")->size), WEIR_OK);
  assert_int_equal(weir__image_open(path, NULL, &image), WEIR_OK);
  assert_int_equal(weir__image_info_get(image, 1, &info), WEIR_OK);
  assert_int_equal(info.bits, 10); /* what SETUP says */
  weir__image_close(&image);
}

/* All codes through a film of one row: the table never falls, and its second differences are those of a smooth curve.
 */
static void test_cine_table(void **state) {
  enum { CODES = 1024 };
  static sample    s;
  uint16_t         found[CODES];
  weir__image     *image = NULL;
  weir__image_info info;
  (void)state;
  s.size = 0;
  put16(&s, 'C' | 'I' << 8), put16(&s, 44), put32(&s, 1 << 16), put32(&s, 0), put32(&s, 1), put32(&s, 0), put32(&s, 1);
  put32(&s, 44), put32(&s, 84), put32(&s, 84 + 200), put64(&s, 0);
  put32(&s, 40), put32(&s, CODES), put32(&s, 1), put16(&s, 1), put16(&s, 16), put32(&s, 256);
  for (int i = 0; i < 5; i++) put32(&s, 0);
  memset(s.bytes + s.size, 0, 200);
  memcpy(s.bytes + s.size + 140, "ST\xc8", 3);
  s.size += 200;
  put64(&s, s.size + 8), put32(&s, 8), put32(&s, CODES * 10 / 8);
  for (int c = 0; c < CODES; c += 4) {
    uint64_t four = (uint64_t)c << 30 | (uint64_t)(c + 1) << 20 | (uint64_t)(c + 2) << 10 | (uint64_t)(c + 3);
    for (int k = 32; k >= 0; k -= 8) s.bytes[s.size++] = (uint8_t)(four >> k);
  }
  snprintf(path, sizeof path, "%s/table.cine", folder);
  assert_true(save(path, s.bytes, s.size));
  assert_int_equal(weir__image_open(path, NULL, &image), WEIR_OK);
  assert_int_equal(weir__image_info_get(image, 0, &info), WEIR_OK);
  assert_false(info.has_time);
  assert_int_equal(weir__image_read(image, 0, found), WEIR_OK);
  weir__image_close(&image);
  assert_int_equal(found[0], 2);
  assert_int_equal(found[64], 64);
  assert_int_equal(found[512], 998);
  assert_int_equal(found[768], 2267);
  assert_int_equal(found[1014], 4064);
  assert_int_equal(found[1015], 4095);
  assert_int_equal(found[1023], 4095);
  for (int c = 2; c < 1015; c++) {
    int first = found[c] - found[c - 1], second = first - (found[c - 1] - found[c - 2]);
    if (first < 0 || first > 9 || second < -2 || second > 2)
      fail_msg("code %d: %d behind %d", c, found[c], found[c - 1]);
  }
}

/* Each allocation fails once: nothing is lost, and the message is about memory. */
static void test_memory(void **state) {
  (void)state;
  for (int s = 0; s < all.count; s++) {
    weir_status status = WEIR_ERR_MEMORY;
    int         n      = 0;
    while (status == WEIR_ERR_MEMORY && ++n < 50) {
      weir__alloc_fail_at((uint64_t)n);
      status = try_bytes("memory", all.list[s].bytes, all.list[s].size);
      weir__alloc_fail_at(0);
    }
    if (status != WEIR_OK || n < 3) fail_msg("%s: status %d at allocation %d", all.list[s].name, status, n);
  }
}

/* A disk that is full leaves neither a file nor a part of one; an older file stays. */
static void test_write_fails(void **state) {
  enum { SIDE = 512 };
  static const char *const names[] = {"full.tif", "full.png", "full.pgm"};
  struct rlimit            old, small;
  uint64_t                 x     = 5;
  uint16_t                *noise = malloc(SIDE * SIDE * sizeof *noise);
  (void)state;
  assert_non_null(noise);
  for (int i = 0; i < SIDE * SIDE; i++)
    noise[i] = (uint16_t)((x = x * 6364136223846793005u + 1442695040888963407u) >> 40);
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = (struct rlimit){100000, old.rlim_max};
  for (int i = 0; i < 3; i++) {
    weir__image_format format;
    char               part[420];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    snprintf(part, sizeof part, "%s/.part-%s", folder, names[i]);
    assert_true(weir__image_format_of(path, &format));
    assert_true(save(path, "older", 5));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    weir_status status = weir__image_write(path, format, WEIR_U16, SIDE, SIDE, noise);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(status, WEIR_ERR_IO);
    assert_non_null(strstr(weir_error_last(), path));
    assert_int_not_equal(access(part, F_OK), 0);
    static sample kept;
    assert_true(load_sample(&kept, path));
    assert_memory_equal(kept.bytes, "older", 5);
    assert_int_equal(weir__image_write(path, format, WEIR_U16, SIDE, SIDE, noise), WEIR_OK);
  }
  free(noise);
  assert_int_equal(weir__image_write("x.png", WEIR__IMAGE_PNG, WEIR_F32, 1, 1, pixels), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__image_write("x.tif", WEIR__IMAGE_TIFF, WEIR_U8, 0, 1, pixels), WEIR_ERR_ARGUMENT);
}

static void test_format_of(void **state) {
  weir__image_format format;
  (void)state;
  assert_true(weir__image_format_of("a/b.c/d.TIFF", &format) && format == WEIR__IMAGE_TIFF);
  assert_true(weir__image_format_of("d.png", &format) && format == WEIR__IMAGE_PNG);
  assert_true(weir__image_format_of("d.pgm", &format) && format == WEIR__IMAGE_PGM);
  assert_false(weir__image_format_of("d.jpg", &format) || weir__image_format_of("tif", &format));
}

/* Images that cameras took. */
static void test_real(void **state) {
  static const struct {
    const char *name, *format;
    int64_t     height, width;
    weir_dtype  dtype;
  } known[]        = {{"karman/Karman_01.bmp", "BMP", 400, 524, WEIR_U8},
                      {"oseen/Oseen_center_01.tif", "TIFF", 300, 400, WEIR_U8},
                      {"jet/c060a.png", "PNG", 512, 512, WEIR_U16}};
  const char *data = getenv("WEIR_DATA");
  (void)state;
  if (!data) skip();
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    weir__image     *image = NULL;
    weir__image_info info;
    double           sum = 0, squares = 0;
    snprintf(path, sizeof path, "%s/piv/%s", data, known[k].name);
    if (access(path, R_OK)) {
      print_message("no %s\n", path);
      skip();
    }
    assert_int_equal(weir__image_open(path, NULL, &image), WEIR_OK);
    assert_int_equal(weir__image_info_get(image, 0, &info), WEIR_OK);
    assert_string_equal(info.format, known[k].format);
    assert_int_equal(info.height, known[k].height);
    assert_int_equal(info.width, known[k].width);
    assert_int_equal(info.dtype, known[k].dtype);
    assert_int_equal(info.pages, 1);
    assert_int_equal(weir__image_read(image, 0, pixels), WEIR_OK);
    int64_t count = info.height * info.width;
    for (int64_t i = 0; i < count; i++) {
      double x = info.dtype == WEIR_U8 ? pixels[i] : ((uint16_t *)(void *)pixels)[i];
      sum += x, squares += x * x;
    }
    assert_true(squares / (double)count > 1.01 * (sum / (double)count) * (sum / (double)count)); /* particles */
    weir__image_close(&image);
  }
}

static int set_up(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-image-XXXXXX", parent ? parent : "/tmp");
  pixels = malloc(ROOM);
  return pixels && mkdtemp(folder) && make_samples(&all, folder) ? 0 : -1;
}

static int tear_down(void **state) {
  char command[300];
  (void)state;
  free(all.list);
  free(pixels);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),      cmocka_unit_test(test_cut),        cmocka_unit_test(test_no_image),
      cmocka_unit_test(test_hostile),     cmocka_unit_test(test_circles),    cmocka_unit_test(test_many_pages),
      cmocka_unit_test(test_cine),        cmocka_unit_test(test_cine_table), cmocka_unit_test(test_memory),
      cmocka_unit_test(test_write_fails), cmocka_unit_test(test_format_of),  cmocka_unit_test(test_real)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
