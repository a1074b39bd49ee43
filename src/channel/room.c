/* How much memory may still be taken. Shared memory beyond a limit is answered by the out-of-memory killer, not by an
 * error, so we look before we allocate. What cannot be read limits nothing. */
#include "channel/shared.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The number after `key` at the start of a line of a file; `none` where there is no such file or line. */
static uint64_t number_in(const char *path, const char *key, uint64_t none) {
  char     line[256];
  uint64_t value  = none;
  size_t   length = strlen(key);
  FILE    *file   = fopen(path, "re");
  if (!file) return none;
  while (fgets(line, sizeof line, file))
    if (!strncmp(line, key, length) && sscanf(line + length, " %" SCNu64, &value) == 1) break;
  fclose(file);
  return value;
}

/* The room a control group (version 2: kernel documentation, admin-guide/cgroup-v2) leaves: its limit less what cannot
 * be given back, which is anonymous and shared memory but not the page cache. */
static uint64_t group_room(const char *group) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group) >= PATH_MAX) return UINT64_MAX;
  uint64_t most = number_in(path, "", UINT64_MAX);
  if (most == UINT64_MAX) return UINT64_MAX;
  if (snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", group) >= PATH_MAX) return UINT64_MAX;
  uint64_t used = number_in(path, "anon ", 0) + number_in(path, "shmem ", 0);
  return most > used ? most - used : 0;
}

uint64_t weir__shared_room(void) {
  char     line[PATH_MAX];
  uint64_t room = number_in("/proc/meminfo", "MemAvailable:", UINT64_MAX / 1024) * 1024;
  FILE    *file = fopen("/proc/self/cgroup", "re");
  if (!file) return room;
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, "0::/", 4)) continue;
    char *group                 = line + 3;
    group[strcspn(group, "\n")] = 0;
    for (;;) { /* the limit of every enclosing group holds as well */
      uint64_t left = group_room(group);
      if (left < room) room = left;
      char *slash = strrchr(group, '/');
      if (!slash) break;
      *slash = 0;
    }
  }
  fclose(file);
  return room;
}
