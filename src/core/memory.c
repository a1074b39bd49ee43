#include "core/memory.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t calls;   /* allocations since the start */
static _Atomic uint64_t fail_at; /* 0: never; otherwise the call number from which allocations fail */

uint64_t weir__alloc_calls(void) { return atomic_load_explicit(&calls, memory_order_relaxed); }

void weir__alloc_fail_at(uint64_t n) { atomic_store(&fail_at, n ? atomic_load(&calls) + n : 0); }

static weir_status admit(size_t nbytes) {
  uint64_t call  = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
  uint64_t limit = atomic_load_explicit(&fail_at, memory_order_relaxed);
  if (limit && call >= limit) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory: %zu bytes (injected)", nbytes);
  return WEIR_OK;
}

weir_status weir__alloc_zeroed(size_t nbytes, size_t alignment, void *out) {
  void *memory = NULL;
  if (nbytes) {
    WEIR_TRY(admit(nbytes));
    if (alignment > sizeof(max_align_t)) {
      if (nbytes > SIZE_MAX - alignment) return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%zu bytes do not fit size_t", nbytes);
      size_t rounded = (nbytes + alignment - 1) & ~(alignment - 1);
      memory         = aligned_alloc(alignment, rounded);
      if (memory) memset(memory, 0, rounded);
    } else {
      memory = calloc(1, nbytes);
    }
    if (!memory) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory: %zu bytes", nbytes);
  }
  memcpy(out, &memory, sizeof memory);
  return WEIR_OK;
}

weir_status weir__alloc_array(size_t count, size_t size, void *out) {
  size_t nbytes;
  if (__builtin_mul_overflow(count, size, &nbytes))
    return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%zu elements of %zu bytes do not fit size_t", count, size);
  return weir__alloc_zeroed(nbytes, 0, out);
}

weir_status weir__alloc_string(const char *text, char **out) {
  char *copy = NULL;
  if (text) {
    size_t size = strlen(text) + 1;
    WEIR_TRY(weir__alloc_zeroed(size, 0, &copy));
    memcpy(copy, text, size);
  }
  *out = copy;
  return WEIR_OK;
}

weir_status weir__grow(void *array, size_t count, size_t *capacity, size_t size) {
  if (count <= *capacity) return WEIR_OK;
  size_t wanted = *capacity ? *capacity : 8, nbytes;
  while (wanted < count) {
    if (wanted > SIZE_MAX / 2) return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%zu elements are too many", count);
    wanted *= 2;
  }
  if (__builtin_mul_overflow(wanted, size, &nbytes))
    return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%zu elements of %zu bytes do not fit size_t", wanted, size);
  WEIR_TRY(admit(nbytes));
  void *old;
  memcpy(&old, array, sizeof old);
  char *grown = realloc(old, nbytes);
  if (!grown) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory: %zu bytes", nbytes);
  memset(grown + *capacity * size, 0, nbytes - *capacity * size);
  memcpy(array, &grown, sizeof grown);
  *capacity = wanted;
  return WEIR_OK;
}

void weir__free(void *memory) { free(memory); }

/* ---- arena ---- */

enum { ARENA_BLOCK = 1 << 16, ARENA_ALIGN = 64 };

typedef struct weir__arena_block {
  struct weir__arena_block *next;
  size_t                    used, size; /* bytes after the header */
  _Alignas(ARENA_ALIGN) char bytes[];
} arena_block;

weir_status weir__arena_alloc(weir__arena *arena, size_t nbytes, void *out) {
  if (nbytes > SIZE_MAX / 2) return WEIR_FAIL(WEIR_ERR_OVERFLOW, "%zu bytes are too many", nbytes);
  size_t       rounded = (nbytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
  arena_block *block   = arena->blocks;
  if (!rounded) rounded = ARENA_ALIGN; /* distinct, non-NULL addresses even for empty arrays */
  if (!block || block->size - block->used < rounded) {
    size_t size = rounded > ARENA_BLOCK ? rounded : ARENA_BLOCK;
    WEIR_TRY(weir__alloc_zeroed(sizeof *block + size, ARENA_ALIGN, &block));
    block->size   = size;
    block->next   = arena->blocks;
    arena->blocks = block;
  }
  void *memory = block->bytes + block->used;
  block->used += rounded;
  memcpy(out, &memory, sizeof memory);
  return WEIR_OK;
}

weir_status weir__arena_string(weir__arena *arena, const char *text, const char **out) {
  if (!text) {
    *out = NULL;
    return WEIR_OK;
  }
  size_t size = strlen(text) + 1;
  char  *copy;
  WEIR_TRY(weir__arena_alloc(arena, size, &copy));
  memcpy(copy, text, size);
  *out = copy;
  return WEIR_OK;
}

void weir__arena_clear(weir__arena *arena) {
  while (arena->blocks) {
    arena_block *block = arena->blocks;
    arena->blocks      = block->next;
    weir__free(block);
  }
}
