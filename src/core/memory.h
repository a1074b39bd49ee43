/* The one allocator: everything the engine owns comes from here, so that a test can count it and make it fail. */
#ifndef WEIR_CORE_MEMORY_H
#define WEIR_CORE_MEMORY_H
#include "core/error.h"
#include <stddef.h>
#include <stdint.h>

/* Allocate `nbytes` of zeros, aligned to `alignment` (a power of two; 0: that of malloc). `out` is the address of a
 * pointer of any type, set to NULL for 0 bytes and untouched on failure. */
weir_status weir__alloc_zeroed(size_t nbytes, size_t alignment, void *out);

/* Zeros for `count` elements of `size` bytes; the product is checked. */
weir_status weir__alloc_array(size_t count, size_t size, void *out);

/* A copy of `text`; NULL gives NULL. */
weir_status weir__alloc_string(const char *text, char **out);

/* Make room for `count` elements in the array at `*array` (address of a pointer), which has room for `*capacity`. Grows
 * by doubling; new elements are zero. */
weir_status weir__grow(void *array, size_t count, size_t *capacity, size_t size);

/* Free what the functions above gave; NULL is fine. */
void weir__free(void *memory);

/* An arena: many small objects with one end of life (a graph, a plan). Freed whole by weir__arena_clear. */
typedef struct weir__arena {
  struct weir__arena_block *blocks;
} weir__arena;
weir_status weir__arena_alloc(weir__arena *arena, size_t nbytes, void *out); /* zeros, aligned to 64 bytes */
weir_status weir__arena_string(weir__arena *arena, const char *text, const char **out);
void        weir__arena_clear(weir__arena *arena);

/* For tests, process wide: allocations so far; and let the n-th from now (1: the next) and all later ones fail, 0:
 * none. But for locks around libraries that are not thread-safe, this is the only mutable global state of the library,
 * and it never changes a result. */
uint64_t weir__alloc_calls(void);
void     weir__alloc_fail_at(uint64_t n);
#endif
