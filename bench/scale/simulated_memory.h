/* Included before src/core/memory.c, the engine's one allocator, where it is compiled for SimGrid: what each process
 * holds is counted. */
#ifndef WEIR_BENCH_SCALE_SIMULATED_MEMORY_H
#define WEIR_BENCH_SCALE_SIMULATED_MEMORY_H
#include <stdlib.h>

void *scale_calloc(size_t count, size_t size);
void *scale_aligned_alloc(size_t alignment, size_t size);
void *scale_realloc(void *old, size_t size);
void  scale_free(void *memory);

#define calloc        scale_calloc
#define aligned_alloc scale_aligned_alloc
#define realloc       scale_realloc
#define free          scale_free
#endif
