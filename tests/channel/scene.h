/* What the tests of channel and client share: a run directory of their own, descriptors counted, children waited for.
 */
#ifndef WEIR_TESTS_SCENE_H
#define WEIR_TESTS_SCENE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct scene {
  char run[512];
  int  descriptors; /* open at the start */
} scene;

static inline int count_entries(const char *path) {
  int            count     = 0;
  DIR           *directory = opendir(path);
  struct dirent *entry;
  if (!directory) return 0;
  while ((entry = readdir(directory))) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

static inline scene scene_open(void) {
  scene       s;
  const char *base = getenv("TMPDIR");
  snprintf(s.run, sizeof s.run, "%s/weir-channel-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(s.run));
  s.descriptors = count_entries("/proc/self/fd");
  return s;
}

/* Nothing must be left: no descriptor, and `notes` files in the run directory (of killed processes). */
static inline void scene_close(const scene *s, int notes) {
  char path[600], command[700];
  snprintf(path, sizeof path, "%s/channel", s->run);
  assert_int_equal(count_entries(path), notes);
  assert_int_equal(count_entries("/proc/self/fd"), s->descriptors);
  snprintf(command, sizeof command, "rm -rf '%s'", s->run);
  assert_int_equal(system(command), 0);
}

static inline void rest_ms(long ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

static inline double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Start `body` in a child process; its result is the exit status (0: fine). */
static inline pid_t scene_fork(int (*body)(const scene *, const void *), const scene *s, const void *argument) {
  fflush(NULL);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) _exit(body(s, argument));
  return pid;
}

static inline void assert_child_fine(pid_t pid) {
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("child: status %#x", (unsigned)status);
}

/* In a child, where cmocka's asserts do not reach: print what failed, return from the body. */
#define CHILD_CHECK(condition)                                                                                         \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, weir_error_last());                           \
      return 1;                                                                                                        \
    }                                                                                                                  \
  } while (0)
#endif
