/* That there are versions of sin for several numbers at once (libmvec) is otherwise only said to those who give up
 * exact arithmetic. */
#ifndef WEIR_BENCH_VECTOR_SIN_H
#define WEIR_BENCH_VECTOR_SIN_H
#include <math.h>
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((simd("notinbranch"))) double sin(double);
#endif
#endif
