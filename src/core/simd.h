/* Numbers side by side in registers. Eight lanes are what one AVX register holds; where there are none, the compiler
 * takes two of SSE or NEON. Lane by lane the operations are those of IEEE, in the order that is written, so that the
 * bits are the same on every machine (the build sets -ffp-contract=off). */
#ifndef WEIR_CORE_SIMD_H
#define WEIR_CORE_SIMD_H
#include <stdint.h>
#include <string.h>

/* A function that is compiled twice, one for machines with AVX2, or three times, one for AVX-512, too, which pays for
 * plain loops over doubles; which one is called is chosen when the program is loaded. What it calls must be inlined to
 * have a part in it. Sanitizers do not go with how that is chosen. */
#if !defined(WEIR__WIDE)
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) &&                           \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WEIR__WIDE   __attribute__((target_clones("avx2", "default")))
#define WEIR__WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WEIR__WIDE
#define WEIR__WIDEST
#endif
#endif
#define WEIR__INLINE static inline __attribute__((always_inline))

/* Ask for the line of memory at an address, long before it is read, or written. It comes to the second-level cache: in
 * the first, what is asked for so early drives out what is being worked on, or is driven out itself before its time,
 * where that has 32 KiB (measured on Zen 4: arithmetic of two fields takes half the time). */
#define WEIR__ASK(address)          __builtin_prefetch(address, 0, 2)
#define WEIR__ASK_TO_WRITE(address) __builtin_prefetch(address, 1, 2)
/* Little of it, which is read at once: to the first-level cache. */
#define WEIR__ASK_AT_ONCE(address) __builtin_prefetch(address, 0, 3)

/* Ask for `n` numbers, `from` after x; they may lie past the end of what x is part of. */
WEIR__INLINE void weir__ask_for(const double *x, int64_t from, int64_t n) {
  uintptr_t first = (uintptr_t)x + (uintptr_t)from * sizeof *x;
  for (int64_t i = 0; i < n; i += 8) WEIR__ASK((const double *)(first + (uintptr_t)i * sizeof *x));
}

typedef float   weir__float8 __attribute__((vector_size(32)));
typedef int32_t weir__bits8 __attribute__((vector_size(32)));

/* Eight lanes as arguments would be passed differently with AVX and without: these functions are always inlined,
 * and none has them as parameters. */
#pragma GCC diagnostic ignored "-Wpsabi"

WEIR__INLINE weir__float8 weir__load8(const float *x) {
  weir__float8 v;
  memcpy(&v, x, sizeof v);
  return v;
}
typedef float weir__float8_anywhere __attribute__((vector_size(32), aligned(4), may_alias));
#define weir__store8(x, v) ((void)(*(weir__float8_anywhere *)(x) = (v))) /* a macro: see above */
#endif
