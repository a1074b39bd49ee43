/* Time for measuring: monotonic, in nanoseconds. Never used to decide a result. */
#ifndef WEIR_CORE_CLOCK_H
#define WEIR_CORE_CLOCK_H
#include <stdint.h>
#include <time.h>

static inline int64_t weir__clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
#endif
