#include "resident.h"
#include <stdio.h>
#include <unistd.h>

resident resident_now(void) {
  long  size = 0, all = 0, shared = 0, page = sysconf(_SC_PAGESIZE);
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%ld %ld %ld", &size, &all, &shared) != 3) all = shared = 0;
  if (file) fclose(file);
  return (resident){(int64_t)(all - shared) * page, (int64_t)shared * page};
}

resident resident_since(resident before) {
  resident now = resident_now();
  now.own -= before.own;
  now.shared -= before.shared;
  return (resident){now.own > 0 ? now.own : 0, now.shared > 0 ? now.shared : 0};
}

int64_t resident_all(void) {
  resident now = resident_now();
  return now.own + now.shared;
}
