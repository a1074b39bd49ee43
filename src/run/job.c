#include "run/job.h"
#include "core/clock.h"
#include "core/text.h"
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

/* The environment with the mark of a new job at its end. */
static weir_status mark(char *const environment[], weir__job *job, char ***marked) {
  size_t count = 0;
  snprintf(job->mark, sizeof job->mark, "WEIR_JOB=%ld.%lld", (long)getpid(), (long long)weir__clock_ns());
  while (environment[count]) count++;
  WEIR_TRY(weir__alloc_zeroed((count + 2) * sizeof **marked, 0, marked));
  memcpy(*marked, environment, count * sizeof **marked);
  (*marked)[count] = job->mark;
  return WEIR_OK;
}

static weir_status start(char *const argv[], char *const environment[], weir__job *job) {
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
  job->pid = pid;
  return WEIR_OK;
}

weir_status weir__job_start(char *const argv[], char *const environment[], weir__job *job) {
  char    **marked;
  weir__job self = {0};
  WEIR_TRY(mark(environment, &self, &marked));
  weir_status status = start(argv, marked, &self);
  weir__free(marked);
  if (status >= 0) *job = self;
  return status;
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

/* ---- what belongs to a job ---- */

/* Are these variables ("NAME=value", or "NAME=" for any value) in the environment of a process? It is read in pieces,
 * as there is no bound to its size. */
typedef struct search {
  const char *variable;
  size_t      at;    /* characters that agree so far */
  bool        alike; /* so far in this entry */
  bool        any;   /* any value */
  bool        found;
} search;

static void look_at(search *s, char c) {
  if (!c) {
    s->found = s->found || (s->alike && !s->variable[s->at]);
    s->at    = 0;
    s->alike = true;
    return;
  }
  if (!s->alike || (s->any && !s->variable[s->at])) return;
  s->alike = s->variable[s->at] == c;
  s->at++;
}

static bool has_both(const char *pid, const char *first, const char *second) {
  search s[2] = {{.variable = first, .alike = true}, {.variable = second, .alike = true}};
  char   path[64], part[4096];
  for (int i = 0; i < 2; i++) s[i].any = s[i].variable[strlen(s[i].variable) - 1] == '=';
  snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  for (ssize_t n; !(s[0].found && s[1].found) && (n = read(file, part, sizeof part)) > 0;)
    for (ssize_t i = 0; i < n; i++)
      for (int k = 0; k < 2; k++) look_at(&s[k], part[i]);
  close(file);
  return s[0].found && s[1].found;
}

/* State and parent of a process (the first words after the name in /proc/PID/stat). */
static bool read_stat(const char *pid, char *state, int *parent) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t n = read(file, text, sizeof text - 1);
  close(file);
  if (n <= 0) return false;
  text[n]         = 0;
  const char *end = strrchr(text, ')');
  return end && sscanf(end + 1, " %c %d", state, parent) == 2;
}

/* Call `visit` for each process but this one that lives, until it returns a number other than 0. */
static pid_t each_process(pid_t (*visit)(void *context, const char *pid, int parent), void *context) {
  pid_t answer = 0;
  DIR  *proc   = opendir("/proc");
  if (!proc) return 0;
  for (struct dirent *entry; !answer && (entry = readdir(proc));) {
    char state;
    int  parent;
    if (!isdigit((unsigned char)entry->d_name[0]) || atol(entry->d_name) == getpid()) continue;
    if (read_stat(entry->d_name, &state, &parent) && state != 'Z') answer = visit(context, entry->d_name, parent);
  }
  closedir(proc);
  return answer;
}

static pid_t find_marked(void *context, const char *pid, int parent) {
  const char *const *variable = context;
  (void)parent;
  return has_both(pid, variable[0], variable[1]) ? (pid_t)atol(pid) : 0;
}

pid_t weir__job_find(const char *run_directory) {
  weir__text run = {0};
  weir__text_add(&run, "WEIR_RUN=%s", run_directory);
  const char *variables[] = {run.data, "WEIR_JOB="};
  pid_t       found       = weir__text_status(&run) < 0 ? 0 : each_process(find_marked, variables);
  weir__text_clear(&run);
  return found;
}

typedef struct killing {
  const char *mark;
  int         count;
} killing;

static pid_t kill_marked(void *context, const char *pid, int parent) {
  killing *k = context;
  (void)parent;
  if (!has_both(pid, k->mark, k->mark)) return 0;
  kill((pid_t)atol(pid), SIGKILL);
  k->count++;
  return 0;
}

bool weir__job_kill(weir__job *job) {
  enum { ROUNDS = 500, ROUND_NS = 10000000 }; /* a process that waits for a broken disk cannot be killed */
  int status;
  if (!job->pid) return true;
  for (int round = 0; round < ROUNDS; round++) {
    killing k = {.mark = job->mark};
    if (!job->ended) kill(-job->pid, SIGKILL);
    each_process(kill_marked, &k);
    if (!job->ended && waitpid(job->pid, &status, WNOHANG) == job->pid) {
      job->ended  = true;
      job->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    if (job->ended && !k.count) return true;
    nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
  }
  return false;
}

/* ---- the end of all ---- */

void weir__jobs_adopt_orphans(void) { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

typedef struct signalling {
  int signal, count;
} signalling;

static pid_t signal_child(void *context, const char *pid, int parent) {
  signalling *s = context;
  if (parent != getpid()) return 0;
  kill((pid_t)atol(pid), s->signal);
  s->count++;
  return 0;
}

/* Send `signal` to every child of this process. */
static int signal_children(int signal) {
  signalling s = {.signal = signal};
  each_process(signal_child, &s);
  return s.count;
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
