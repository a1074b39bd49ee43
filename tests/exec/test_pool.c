/* Proves that the pool runs every entry exactly once, whatever the shape of the work: entries that make two others each
 * (a tree, small queues), one that makes thousands at once (large queues, stolen in batches), and long chains beside
 * them; on 0 to 4 threads, with the owner helping, many times over. */
#include "exec/pool.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { ENTRIES = 5000, ROUNDS = 40 };

typedef enum shape { TREE, BURST, COMBS } shape;

typedef struct work {
  weir__pool      *pool;
  shape            shape;
  _Atomic uint32_t runs[ENTRIES];
  _Atomic uint32_t left;
} work;

static void push(work *w, int thread, uint32_t entry) {
  if (entry < ENTRIES) (void)weir__pool_push(w->pool, thread, entry); /* the owner never sleeps here */
}

static bool run(void *self, int thread, uint32_t entry) {
  work *w = self;
  atomic_fetch_add(&w->runs[entry], 1);
  switch (w->shape) {
  case TREE:
    push(w, thread, 2 * entry + 1);
    push(w, thread, 2 * entry + 2);
    break;
  case BURST:
    if (!entry)
      for (uint32_t i = 1; i < ENTRIES; i++) push(w, thread, i);
    break;
  case COMBS: /* bursts of 100, each the start of a chain */
    if (!entry)
      for (uint32_t i = 1; i <= 100; i++) push(w, thread, i);
    else push(w, thread, entry + 100);
    break;
  }
  atomic_fetch_sub(&w->left, 1);
  return entry % 8 == 0; /* the owner may be called away after any */
}

static void once_each(shape how, int threads) {
  static work w;
  memset(&w, 0, sizeof w);
  w.shape = how;
  assert_int_equal(weir__pool_create(threads, ENTRIES, -1, run, &w, &w.pool), WEIR_OK);
  for (uint32_t round = 1; round <= ROUNDS; round++) {
    atomic_store(&w.left, ENTRIES);
    push(&w, threads, 0);
    while (atomic_load(&w.left)) (void)weir__pool_help(w.pool);
    for (int i = 0; i < ENTRIES; i++)
      if (atomic_load(&w.runs[i]) != round) fail_msg("entry %d was run %u times in %u rounds", i, w.runs[i], round);
  }
  if (!threads) assert_int_equal(weir__pool_check(w.pool), WEIR_OK);
  weir__pool_destroy(&w.pool);
  assert_null(w.pool);
}

static void every_entry_runs_once(void **state) {
  (void)state;
  for (int threads = 0; threads <= 4; threads++)
    for (shape s = TREE; s <= COMBS; s++) once_each(s, threads);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_entry_runs_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
