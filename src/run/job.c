#include "run/job.h"
#include "core/clock.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- starting ---- */

/* In the child: as if a shell had started it. Only returns when it failed. */
static void become(char *const argv[], char *const environment[]) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD};
  sigset_t         none;
  setpgid(0, 0);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (isatty(STDIN_FILENO)) {
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
  }
  execvpe(argv[0], argv, environment);
}

weir_status weir__job_start(char *const argv[], char *const environment[], weir__job *job) {
  int report[2], failure = 0;
  if (pipe2(report, O_CLOEXEC)) return WEIR_FAIL(WEIR_ERR_IO, "cannot make a pipe: %s", strerror(errno));
  pid_t pid = fork();
  if (pid < 0) {
    failure = errno;
    close(report[0]);
    close(report[1]);
    return WEIR_FAIL(WEIR_ERR_IO, "cannot start %s: %s", argv[0], strerror(failure));
  }
  if (!pid) {
    become(argv, environment);
    failure = errno;
    _exit(write(report[1], &failure, sizeof failure) == sizeof failure ? 127 : 126);
  }
  setpgid(pid, pid); /* in both: whoever comes first */
  close(report[1]);
  ssize_t n;
  do n = read(report[0], &failure, sizeof failure);
  while (n < 0 && errno == EINTR);
  close(report[0]);
  if (n == sizeof failure) {
    waitpid(pid, NULL, 0);
    return WEIR_FAIL(WEIR_ERR_INPUT, "cannot start %s: %s", argv[0], strerror(failure));
  }
  *job = (weir__job){.pid = pid};
  return WEIR_OK;
}

/* ---- ending ---- */

bool weir__jobs_reap(weir__job *const *jobs, int count) {
  bool  any = false;
  int   status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    for (int i = 0; i < count; i++)
      if (jobs[i]->pid == pid) {
        jobs[i]->ended  = true;
        jobs[i]->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        any             = true;
      }
  return any;
}

void weir__job_signal(const weir__job *job, int signal) {
  if (job->pid && !job->ended) kill(-job->pid, signal);
}

void weir__jobs_adopt_orphans(void) { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

/* Send `signal` to every child of this process (the second word after the name in /proc/PID/stat is the parent). */
static int signal_children(int signal) {
  int  count = 0;
  DIR *proc  = opendir("/proc");
  if (!proc) return 0;
  for (struct dirent *entry; (entry = readdir(proc));) {
    char path[64], text[512];
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    ssize_t n = read(file, text, sizeof text - 1);
    close(file);
    if (n <= 0) continue;
    text[n]         = 0;
    const char *end = strrchr(text, ')');
    char        state;
    int         parent;
    if (!end || sscanf(end + 1, " %c %d", &state, &parent) != 2 || parent != getpid() || state == 'Z') continue;
    kill((pid_t)atol(entry->d_name), signal);
    count++;
  }
  closedir(proc);
  return count;
}

void weir__jobs_sweep(double seconds) {
  int64_t start = weir__clock_ns();
  for (int round = 0;; round++) {
    bool late = (double)(weir__clock_ns() - start) > seconds * 1e9;
    weir__jobs_reap(NULL, 0);
    if (!signal_children(late ? SIGKILL : SIGTERM) || round > 1000) break;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  }
  weir__jobs_reap(NULL, 0);
}
