/* Sleeping on a 32-bit word: the only place with the futex call. */
#ifndef WEIR_CORE_FUTEX_H
#define WEIR_CORE_FUTEX_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Sleep while *word == expected, at most timeout_ns (negative: for ever). Returns early now and then without a reason. `shared`: the
 * word is in memory shared between processes. */
void weir__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns, bool shared);
/* Wake at most `count` of those who sleep on the word. */
void weir__futex_wake(_Atomic uint32_t *word, int count, bool shared);
#endif
