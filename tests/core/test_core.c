/* Proves what everything stands on: allocations are zeroed, aligned, checked for overflow and fail where a test asks
 * for it; arenas; growing arrays; texts; the nearest name to a misspelt one; numbers that are numbers; one message per
 * thread; threads and sleeping on a word. */
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/text.h"
#include "core/threads.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* ---- memory ---- */

static void zeroed_and_aligned(void **state) {
  (void)state;
  for (size_t size = 1; size < 3000; size = size * 3 + 1)
    for (size_t alignment = 0; alignment <= 4096; alignment = alignment ? alignment * 4 : 1) {
      unsigned char *p = NULL;
      assert_int_equal(weir__alloc_zeroed(size, alignment, &p), WEIR_OK);
      assert_int_equal(alignment ? (uintptr_t)p % alignment : 0, 0);
      for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
      memset(p, 0xff, size);
      weir__free(p);
    }
  void *p = &state, *q = p;
  assert_int_equal(weir__alloc_zeroed(0, 64, &p), WEIR_OK);
  assert_null(p);
  assert_int_equal(weir__alloc_array(SIZE_MAX / 2, 3, &q), WEIR_ERR_OVERFLOW);
  assert_int_equal(weir__alloc_zeroed(SIZE_MAX - 8, 64, &q), WEIR_ERR_OVERFLOW);
  assert_ptr_equal(q, &state); /* untouched on failure */
  weir__free(NULL);
}

static void strings(void **state) {
  char *copy = (char *)state;
  assert_int_equal(weir__alloc_string(NULL, &copy), WEIR_OK);
  assert_null(copy);
  assert_int_equal(weir__alloc_string("", &copy), WEIR_OK);
  assert_string_equal(copy, "");
  weir__free(copy);
  assert_int_equal(weir__alloc_string("weir", &copy), WEIR_OK);
  assert_string_equal(copy, "weir");
  weir__free(copy);
}

static void failing_on_request(void **state) {
  (void)state;
  for (uint64_t n = 1; n <= 4; n++) {
    void    *p[4]   = {NULL};
    uint64_t before = weir__alloc_calls();
    weir__alloc_fail_at(n);
    for (uint64_t i = 1; i <= 4; i++)
      assert_int_equal(weir__alloc_zeroed(8, 0, &p[i - 1]), i < n ? WEIR_OK : WEIR_ERR_MEMORY);
    weir__alloc_fail_at(0);
    assert_int_equal(weir__alloc_calls() - before, 4);
    for (int i = 0; i < 4; i++) {
      assert_int_equal(p[i] != NULL, i + 1 < (int)n);
      weir__free(p[i]);
    }
  }
  char       *grown    = NULL;
  size_t      capacity = 0;
  weir__arena arena    = {0};
  void       *piece    = &arena;
  weir__alloc_fail_at(1);
  assert_int_equal(weir__grow(&grown, 1, &capacity, 1), WEIR_ERR_MEMORY);
  assert_int_equal(weir__arena_alloc(&arena, 10, &piece), WEIR_ERR_MEMORY);
  weir__alloc_fail_at(0);
  assert_null(grown);
  assert_int_equal(capacity, 0);
  assert_ptr_equal(piece, &arena);
  assert_null(arena.blocks);
}

static void growing(void **state) {
  (void)state;
  int   *list     = NULL;
  size_t capacity = 0;
  for (int i = 0; i < 1000; i++) {
    assert_int_equal(weir__grow(&list, (size_t)i + 1, &capacity, sizeof *list), WEIR_OK);
    assert_true(capacity > (size_t)i);
    assert_int_equal(list[i], 0);
    for (size_t k = (size_t)i; k < capacity; k++) assert_int_equal(list[k], 0);
    list[i] = i;
  }
  for (int i = 0; i < 1000; i++) assert_int_equal(list[i], i);
  size_t before = capacity;
  int   *same   = list;
  assert_int_equal(weir__grow(&list, SIZE_MAX, &capacity, sizeof *list), WEIR_ERR_OVERFLOW);
  assert_int_equal(weir__grow(&list, SIZE_MAX / 4, &capacity, 64), WEIR_ERR_OVERFLOW);
  assert_int_equal(capacity, before);
  assert_ptr_equal(list, same);
  weir__free(list);
}

static void arenas(void **state) {
  (void)state;
  enum { PIECES = 500 };
  weir__arena    arena = {0};
  unsigned char *p[PIECES];
  size_t         size[PIECES];
  for (size_t i = 0; i < PIECES; i++) {
    size[i] = i % 7 == 0 ? 0 : i * 37 % 3000 + (i == 100 ? 200000 : 0); /* one larger than a block */
    assert_int_equal(weir__arena_alloc(&arena, size[i], &p[i]), WEIR_OK);
    assert_non_null(p[i]);
    assert_int_equal((uintptr_t)p[i] % 64, 0);
    for (size_t k = 0; k < size[i]; k++) assert_int_equal(p[i][k], 0);
    memset(p[i], (int)(i % 251 + 1), size[i]);
  }
  for (size_t i = 0; i < PIECES; i++) /* none overlaps another */
    for (size_t k = 0; k < size[i]; k++) assert_int_equal(p[i][k], i % 251 + 1);
  const char *text;
  assert_int_equal(weir__arena_string(&arena, "text", &text), WEIR_OK);
  assert_string_equal(text, "text");
  assert_int_equal(weir__arena_string(&arena, NULL, &text), WEIR_OK);
  assert_null(text);
  void *untouched = &arena;
  assert_int_equal(weir__arena_alloc(&arena, SIZE_MAX - 3, &untouched), WEIR_ERR_OVERFLOW);
  assert_ptr_equal(untouched, &arena);
  weir__arena_clear(&arena);
  assert_null(arena.blocks);
  weir__arena_clear(&arena);
}

/* ---- text ---- */

static void texts(void **state) {
  (void)state;
  weir__text text = {0};
  char       expected[5000];
  int        n = 0;
  for (int i = 0; i < 500; i++) {
    weir__text_add(&text, "%d,%s", i, i % 3 ? "" : "three");
    n += snprintf(expected + n, sizeof expected - (size_t)n, "%d,%s", i, i % 3 ? "" : "three");
    assert_int_equal(text.length, n);
    assert_string_equal(text.data, expected);
  }
  weir__text_add_bytes(&text, "a\0b", 3);
  assert_int_equal(text.length, n + 3);
  assert_memory_equal(text.data + n, "a\0b", 4);
  weir__text_add_bytes(&text, NULL, 0);
  assert_int_equal(weir__text_status(&text), WEIR_OK);
  weir__text_clear(&text);
  assert_null(text.data);
  weir__alloc_fail_at(1);
  weir__text_add(&text, "%s", "lost");
  weir__alloc_fail_at(0);
  weir__text_add(&text, "%s", "not here either");
  weir__text_add_bytes(&text, "nor this", 8);
  assert_int_equal(weir__text_status(&text), WEIR_ERR_MEMORY);
  assert_null(text.data);
  weir__text_clear(&text);
  assert_int_equal(weir__text_status(&text), WEIR_OK);
}

static void nearest_names(void **state) {
  (void)state;
  static const char *const names[]    = {"mean", "min", "max", "power_spectrum", "time_mean", "u"};
  static const char *const cases[][2] = {{"maen", NULL}, /* two edits of four letters: too far */
                                         {"meen", "mean"},
                                         {"MEAN", "mean"},
                                         {"men", "mean"},
                                         {"mn", "min"},
                                         {"power_spektrum", "power_spectrum"},
                                         {"powr_spctrum", "power_spectrum"},
                                         {"tme_meen", "time_mean"},
                                         {"xyz", NULL},
                                         {"", "u"},
                                         {"v", "u"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *got = weir__text_nearest(cases[i][0], names, sizeof names / sizeof *names);
    if (!cases[i][1]) assert_null(got);
    else assert_string_equal(got, cases[i][1]);
  }
  char monster[300];
  memset(monster, 'a', sizeof monster - 1);
  monster[sizeof monster - 1] = 0;
  assert_null(weir__text_nearest(monster, names, 6));
  assert_null(weir__text_nearest("mean", names, 0));
}

static void numbers(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool        real, whole;
    double      value;
  } cases[] = {{"1", true, true, 1},
               {"-17", true, true, -17},
               {"+3", true, true, 3},
               {"0.5", true, false, 0.5},
               {"1e3", true, false, 1000},
               {"1e-320", true, false, 1e-320},
               {"9223372036854775807", true, true, 0x1p63},
               {"9223372036854775808", true, false, 0x1p63},
               {"1e999", false, false, 0},
               {"-1e999", false, false, 0},
               {"inf", true, false, INFINITY},
               {"", false, false, 0},
               {" 1", false, false, 0},
               {"1 ", false, false, 0},
               {"1x", false, false, 0},
               {"one", false, false, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double  real  = 0;
    int64_t whole = 0;
    if (weir__text_to_double(cases[i].text, &real) != cases[i].real) fail_msg("\"%s\"", cases[i].text);
    if (weir__text_to_int64(cases[i].text, &whole) != cases[i].whole) fail_msg("\"%s\"", cases[i].text);
    if (cases[i].real && real != cases[i].value) fail_msg("\"%s\" is %g", cases[i].text, real);
    if (cases[i].whole && (double)whole != cases[i].value) fail_msg("\"%s\" is %lld", cases[i].text, (long long)whole);
  }
}

static void bytes_for_people(void **state) {
  (void)state;
  char out[16];
  assert_string_equal(weir__text_bytes(0, out), "0 B");
  assert_string_equal(weir__text_bytes(812, out), "812 B");
  assert_string_equal(weir__text_bytes(1536, out), "1.5 KiB");
  assert_string_equal(weir__text_bytes(1.5 * 1024 * 1024, out), "1.5 MiB");
  assert_true(strlen(weir__text_bytes(1e300, out)) < 16);
}

/* ---- errors ---- */

static void messages(void **state) {
  (void)state;
  int line;
  assert_int_equal(WEIR_FAIL(WEIR_ERR_INPUT, "%s is %d", "x", 3), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "x is 3");
  assert_non_null(strstr(weir__error_file(&line), "test_core.c"));
  assert_true(line > 0);
  assert_int_equal(weir__error_prefix(WEIR_ERR_IO, "file %s", "a.nc"), WEIR_ERR_IO);
  assert_string_equal(weir_error_last(), "file a.nc: x is 3");
  /* the arguments may be the last message itself */
  assert_int_equal(WEIR_FAIL(WEIR_ERR_INPUT, "again: %s", weir_error_last()), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "again: file a.nc: x is 3");
  char huge[4000];
  memset(huge, 'h', sizeof huge - 1);
  huge[sizeof huge - 1] = 0;
  assert_int_equal(WEIR_FAIL(WEIR_ERR_INPUT, "%s", huge), WEIR_ERR_INPUT);
  assert_int_equal(strlen(weir_error_last()), 1023);
  for (int i = 0; i < 3; i++) assert_int_equal(weir__error_prefix(WEIR_ERR_IO, "%s", huge), WEIR_ERR_IO);
  assert_int_equal(strlen(weir_error_last()), 1023);
  assert_string_equal(weir_status_text(WEIR_ERR_GONE), "the other side is gone");
  assert_string_equal(weir_status_text((weir_status)-99), "unknown status");
}

/* ---- threads ---- */

typedef struct worker {
  int              number;
  _Atomic uint32_t word;
  char             message[100];
} worker;

static void fail_alone(void *argument) {
  worker *w = argument;
  assert_string_equal(weir_error_last(), ""); /* a new thread has no failure of another */
  for (int i = 0; i < 1000; i++)
    if (WEIR_FAIL(WEIR_ERR_INPUT, "thread %d", w->number) >= 0) return;
  snprintf(w->message, sizeof w->message, "%s", weir_error_last());
}

static void one_message_per_thread(void **state) {
  enum { THREADS = 6 };
  weir__thread thread[THREADS];
  worker       w[THREADS];
  (void)state;
  assert_int_equal(WEIR_FAIL(WEIR_ERR_INPUT, "mine"), WEIR_ERR_INPUT);
  for (int i = 0; i < THREADS; i++) {
    w[i].number = i;
    assert_int_equal(weir__thread_start(&thread[i], fail_alone, &w[i]), WEIR_OK);
  }
  for (int i = 0; i < THREADS; i++) {
    char expected[100];
    weir__thread_join(&thread[i]);
    snprintf(expected, sizeof expected, "thread %d", i);
    assert_string_equal(w[i].message, expected);
  }
  assert_string_equal(weir_error_last(), "mine");
}

static weir__mutex mutex;
static int64_t     guarded;

static void count_guarded(void *argument) {
  (void)argument;
  for (int i = 0; i < 10000; i++) {
    weir__mutex_lock(&mutex);
    guarded++;
    weir__mutex_unlock(&mutex);
  }
}

static void mutual_exclusion(void **state) {
  weir__thread thread[4];
  (void)state;
  weir__mutex_init(&mutex);
  for (int i = 0; i < 4; i++) assert_int_equal(weir__thread_start(&thread[i], count_guarded, NULL), WEIR_OK);
  for (int i = 0; i < 4; i++) weir__thread_join(&thread[i]);
  weir__mutex_destroy(&mutex);
  assert_int_equal(guarded, 40000);
}

/* Ping-pong: each waits for the other's turn. */
static void answer(void *argument) {
  worker *w = argument;
  for (uint32_t turn = 1; turn < 2000; turn += 2) {
    for (uint32_t seen; (seen = atomic_load(&w->word)) != turn;) weir__futex_wait(&w->word, seen, -1, false);
    atomic_store(&w->word, turn + 1);
    weir__futex_wake(&w->word, 1, false);
  }
}

static void sleeping_on_a_word(void **state) {
  weir__thread thread;
  worker       w = {0};
  (void)state;
  assert_int_equal(weir__thread_start(&thread, answer, &w), WEIR_OK);
  for (uint32_t turn = 0; turn < 2000; turn += 2) {
    for (uint32_t seen; (seen = atomic_load(&w.word)) != turn;) weir__futex_wait(&w.word, seen, -1, false);
    atomic_store(&w.word, turn + 1);
    weir__futex_wake(&w.word, 1, false);
  }
  weir__thread_join(&thread);
  int64_t before = weir__clock_ns();
  weir__futex_wait(&w.word, 12345, -1, false); /* another value: returns at once */
  weir__futex_wait(&w.word, atomic_load(&w.word), 20000000, false);
  assert_true(weir__clock_ns() - before >= 19000000);
}

static void cores(void **state) {
  (void)state;
  assert_true(weir__cores() >= 1);
  for (int i = 0; i < 2 * weir__cores(); i++) assert_int_equal(weir__core(i), weir__core(i + weir__cores()));
  assert_false(weir__thread_pin(-1));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(zeroed_and_aligned),
                                     cmocka_unit_test(strings),
                                     cmocka_unit_test(failing_on_request),
                                     cmocka_unit_test(growing),
                                     cmocka_unit_test(arenas),
                                     cmocka_unit_test(texts),
                                     cmocka_unit_test(nearest_names),
                                     cmocka_unit_test(numbers),
                                     cmocka_unit_test(bytes_for_people),
                                     cmocka_unit_test(messages),
                                     cmocka_unit_test(one_message_per_thread),
                                     cmocka_unit_test(mutual_exclusion),
                                     cmocka_unit_test(sleeping_on_a_word),
                                     cmocka_unit_test(cores)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
