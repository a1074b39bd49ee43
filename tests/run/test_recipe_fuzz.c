/* weir-test: timeout=120
 * Ten thousand damaged recipes: each is read or refused with a message of one line; the sanitizers watch. The same seed
 * gives the same recipes. */
#include "recipes.h"
#include "run/recipe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 10000, BYTES = 8192 };

/* xorshift64*: Vigna 2016, doi 10.1145/2845077. */
static uint64_t next(uint64_t *x) {
  *x ^= *x >> 12;
  *x ^= *x << 25;
  *x ^= *x >> 27;
  return *x * UINT64_C(2685821657736338717);
}

static const char *const pieces[] = {"{",          "}",
                                     "[",          "]",
                                     ": ",         ",",
                                     "\n",         "  ",
                                     "&a ",        "*a",
                                     "- ",         "'",
                                     "\"",         "#",
                                     "|",          ">-",
                                     "<<: ",       "!!int ",
                                     "%",          "\t",
                                     "\xff",       "\xc3\xa9",
                                     "nan",        "1e999",
                                     "-1",         "99999999999999999999",
                                     "every: 1 d", "fields: ",
                                     "zarr: ",     "\\",
                                     "?",          "---\n"};

static size_t damage(char *text, size_t length, uint64_t *random) {
  for (uint64_t k = 0, n = 1 + next(random) % 6; k < n && length > 1; k++) {
    size_t      at    = next(random) % length;
    const char *piece = pieces[next(random) % (sizeof pieces / sizeof *pieces)];
    size_t      size = strlen(piece), cut = next(random) % 24;
    switch (next(random) % 4) {
    case 0: text[at] = (char)next(random); break;
    case 1: /* cut out */
      if (cut > length - at) cut = length - at;
      memmove(text + at, text + at + cut, length - at - cut);
      length -= cut;
      break;
    case 2: /* put in */
      if (length + size > BYTES) break;
      memmove(text + at + size, text + at, length - at);
      memcpy(text + at, piece, size);
      length += size;
      break;
    default: /* repeat */
      if (cut > length - at) cut = length - at;
      if (length + cut > BYTES) break;
      memmove(text + at + cut, text + at, length - at);
      length += cut;
    }
  }
  return length;
}

static void damaged_recipes(void **state) {
  static const char *const seeds[] = {full_recipe, files_recipe};
  uint64_t                 random  = 20240229;
  int                      good    = 0;
  (void)state;
  for (int i = 0; i < ROUNDS; i++) {
    const char   *seed   = seeds[i % 2];
    size_t        length = strlen(seed);
    char         *text   = malloc(BYTES), *exact;
    weir__recipe *r      = NULL;
    assert_non_null(text);
    memcpy(text, seed, length);
    length = damage(text, length, &random);
    exact  = realloc(text, length ? length : 1); /* so that reading behind the end is seen */
    assert_non_null(exact);
    weir_status status = weir__recipe_parse("a.yaml", exact, length, &r);
    if (status >= 0) good++;
    else {
      assert_int_equal(status, WEIR_ERR_INPUT);
      assert_true(weir_error_last()[0]);
    }
    weir__recipe_destroy(&r);
    free(exact);
  }
  /* some damage is harmless, most is not: both ways are tried */
  assert_in_range(good, ROUNDS / 100, ROUNDS - ROUNDS / 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(damaged_recipes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
