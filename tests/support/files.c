#include "support/files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

int64_t files_leave(int count) {
  struct rlimit limit;
  int           free = open("/dev/null", O_RDONLY);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(close(free), 0);
  files_limit(free + count);
  return (int64_t)limit.rlim_cur;
}

void files_limit(int64_t limit) {
  struct rlimit now;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
  now.rlim_cur = (rlim_t)limit;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}
