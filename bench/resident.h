/* What this process has in memory just now. */
#ifndef WEIR_BENCH_RESIDENT_H
#define WEIR_BENCH_RESIDENT_H
#include <stdint.h>

typedef struct resident {
  int64_t own, shared; /* bytes: its own, and of memory shared with others or of files */
} resident;
resident resident_now(void);
int64_t  resident_all(void);
resident resident_since(resident before); /* now, less what it was; never below 0 */
#endif
