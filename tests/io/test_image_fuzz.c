/* Thousands of damaged images of every format: each is read, or refused with a message that names the file. No image
 * may claim more than its format can pack into so many bytes, and no allocation may be larger than a small bound: the
 * address space is limited (without sanitizers), or the allocator is (with them). The same seed always. */
#include "image_samples.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <cmocka.h>

enum { ROUNDS = 2500, LARGEST_MB = 640 };

#if defined(__SANITIZE_ADDRESS__)
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "max_allocation_size_mb=640:allocator_may_return_null=0"; }
#endif

static char    folder[256];
static samples all;

static uint64_t next(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z          = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z          = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static size_t damage(uint8_t *bytes, size_t size, uint64_t *random) {
  static const uint32_t numbers[] = {0,      1,       0x7fffffff, 0x80000000, 0xffffffff,
                                     0xffff, 0x10000, 0x7fff,     256,        65535 << 16};
  for (uint64_t n = 1 + next(random) % 4; n; n--) {
    /* mostly near the ends, where headers and directories are */
    size_t at = next(random) % size;
    if (next(random) % 2) at %= 128;
    if (next(random) % 4 == 0) at = size - 1 - at % (size < 300 ? size : 300);
    switch (next(random) % 5) {
    case 0: bytes[at] = (uint8_t)next(random); break;
    case 1: bytes[at] ^= (uint8_t)(1 << next(random) % 8); break;
    case 2:
      if (at + 4 <= size) memcpy(bytes + at, &numbers[next(random) % (sizeof numbers / sizeof *numbers)], 4);
      break;
    case 3: memmove(bytes + at, bytes + at / 2, (size - at) / 2); break;
    default:
      if (next(random) % 4 == 0 && at > 4) size = at;
    }
  }
  return size;
}

static void test_damaged(void **state) {
  enum { ROOM = 1 << 22, PAGES = 6 };
  (void)state;
  uint64_t random = 20250412;
  uint8_t *bytes = malloc(SAMPLE_MAX), *pixels = malloc(ROOM);
  int      read = 0, refused = 0;
  char     path[400];
  assert_non_null(bytes);
  assert_non_null(pixels);
  for (int s = 0; s < all.count; s++)
    for (int i = 0; i < ROUNDS; i++) {
      memcpy(bytes, all.list[s].bytes, all.list[s].size);
      size_t  size    = damage(bytes, all.list[s].size, &random);
      int64_t largest = 0;
      snprintf(path, sizeof path, "%s/damaged-%s", folder, all.list[s].name);
      assert_true(save(path, bytes, size));
      weir_status status = read_everything(path, PAGES, pixels, ROOM, &largest);
      if (status >= 0) read++;
      else {
        refused++;
        if (status != WEIR_ERR_INPUT || !strstr(weir_error_last(), path))
          fail_msg("%s: status %d: %s", path, status, weir_error_last());
        if (strchr(weir_error_last(), '\n')) fail_msg("more than one line: %s", weir_error_last());
      }
      /* 65536: the densest compression that is read (Zstandard), in two bytes for each of its own */
      if (largest > (int64_t)size * 65536)
        fail_msg("%s: %zu bytes claim %lld of pixels", path, size, (long long)largest);
    }
  print_message("%d damaged images were read, %d refused\n", read, refused);
  assert_true(read > 100);
  assert_true(refused > 1000);
  free(bytes);
  free(pixels);
}

/* Bytes without meaning behind the marks of each format. */
static void test_garbage(void **state) {
  enum { ROOM = 1 << 20 };
  (void)state;
  uint64_t random = 77;
  uint8_t *bytes = malloc(4096), *pixels = malloc(ROOM);
  char     path[400];
  assert_non_null(bytes);
  assert_non_null(pixels);
  snprintf(path, sizeof path, "%s/garbage", folder);
  for (int i = 0; i < 2000; i++) {
    const sample *s    = &all.list[i % all.count];
    size_t        head = 2 + next(&random) % 40, size = head + next(&random) % 2000;
    int64_t       largest = 0;
    for (size_t k = 0; k < size; k++) bytes[k] = (uint8_t)next(&random);
    memcpy(bytes, s->bytes, head);
    assert_true(save(path, bytes, size));
    weir_status status = read_everything(path, 4, pixels, ROOM, &largest);
    if (status < 0 && (status != WEIR_ERR_INPUT || !strstr(weir_error_last(), path)))
      fail_msg("%s, round %d: status %d: %s", s->name, i, status, weir_error_last());
  }
  free(bytes);
  free(pixels);
}

static int set_up(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-image-fuzz-XXXXXX", parent ? parent : "/tmp");
  if (!mkdtemp(folder) || !make_samples(&all, folder)) return -1;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  struct rlimit limit = {(rlim_t)LARGEST_MB << 20, (rlim_t)LARGEST_MB << 20};
  if (setrlimit(RLIMIT_AS, &limit)) return -1;
#endif
  return 0;
}

static int tear_down(void **state) {
  char command[300];
  (void)state;
  free(all.list);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_damaged), cmocka_unit_test(test_garbage)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
