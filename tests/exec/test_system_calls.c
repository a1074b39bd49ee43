/* In steady state the engine asks the system for nothing: on one thread, a long run makes as many system calls as a
 * short one. Counted by tracing driver_instructions (halo, tree, series). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Stops at both ends of each; -1: this machine does not let one trace. */
static long counted(const char *program, const char *graph, const char *steps) {
  long  stops = 0;
  int   status;
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(99);
    execl(program, program, graph, steps, (char *)NULL);
    _exit(98);
  }
  for (;;) {
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) break;
    assert_false(WIFSIGNALED(status));
    int sent = WSTOPSIG(status);
    if (!stops) {
      if (ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_TRACESYSGOOD)) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return -1;
      }
    }
    stops += sent == (SIGTRAP | 0x80) || !stops;
    long pass = sent == SIGTRAP || sent == (SIGTRAP | 0x80) ? 0 : sent;
    assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, (void *)pass), 0);
  }
  if (WEXITSTATUS(status) == 99) return -1;
  assert_int_equal(WEXITSTATUS(status), 0);
  return stops;
}

static void test_none(void **unused) {
  static const char *const graph[] = {"halo", "tree", "series"};
  const char              *build   = getenv("WEIR_BUILD");
  char                     program[4096];
  (void)unused;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  print_message("skipped: sanitizers call the system, too\n");
  skip();
#endif
  if (!build) skip();
  snprintf(program, sizeof program, "%s/tests/driver_instructions", build);
  for (int k = 0; k < 3; k++) {
    long few = counted(program, graph[k], "50"), many = counted(program, graph[k], "550");
    if (few < 0 || many < 0) {
      print_message("skipped: this machine does not let one trace\n");
      skip();
    }
    print_message("%s: %ld stops in 50 steps, %ld in 550\n", graph[k], few, many);
    assert_true(many - few <= 4); /* memory of the heap may grow once at another moment */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
