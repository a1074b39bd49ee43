#include "core/threads.h"
#include <sched.h>
#include <signal.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

void weir__mutex_init(weir__mutex *mutex) { pthread_mutex_init(&mutex->mutex, NULL); }
void weir__mutex_lock(weir__mutex *mutex) { pthread_mutex_lock(&mutex->mutex); }
void weir__mutex_unlock(weir__mutex *mutex) { pthread_mutex_unlock(&mutex->mutex); }
void weir__mutex_destroy(weir__mutex *mutex) { pthread_mutex_destroy(&mutex->mutex); }

typedef struct start {
  void (*body)(void *);
  void *argument;
} start;

static void *run(void *argument) {
  start s = *(start *)argument;
  weir__free(argument);
  s.body(s.argument);
  return NULL;
}

weir_status weir__thread_start(weir__thread *thread, void (*body)(void *), void *argument) {
  start *s;
  WEIR_TRY(weir__alloc_zeroed(sizeof *s, 0, &s));
  *s        = (start){body, argument};
  int error = pthread_create(&thread->thread, NULL, run, s);
  if (error) {
    weir__free(s);
    return WEIR_FAIL(WEIR_ERR_MEMORY, "cannot start a thread: %s", strerror(error));
  }
  return WEIR_OK;
}

void weir__thread_join(weir__thread *thread) { pthread_join(thread->thread, NULL); }

void weir__thread_deafen(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
}

bool weir__thread_clock(clockid_t *clock) { return !pthread_getcpuclockid(pthread_self(), clock); }

int weir__cores(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

int weir__core(int which) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) < 1) return -1;
  which %= CPU_COUNT(&set);
  for (int core = 0; core < CPU_SETSIZE; core++)
    if (CPU_ISSET(core, &set) && !which--) return core;
  return -1;
}

int64_t weir__thread_slack(int64_t ns) {
#ifdef __linux__
  int before = prctl(PR_GET_TIMERSLACK);
  if (before >= 0) prctl(PR_SET_TIMERSLACK, (unsigned long)ns);
  return before > 0 ? before : 50000;
#else
  return ns;
#endif
}

bool weir__thread_pin(int core) {
  cpu_set_t one;
  if (core < 0) return false;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  return !pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}
