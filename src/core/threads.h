/* Threads and locks: the only place with pthread.h. */
#ifndef WEIR_CORE_THREADS_H
#define WEIR_CORE_THREADS_H
#include "core/futex.h"
#include "core/memory.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

/* ---- mutual exclusion, for paths that are not hot ---- */
typedef struct weir__mutex {
  pthread_mutex_t mutex;
} weir__mutex;
#define WEIR__MUTEX_INIT                                                                                               \
  { PTHREAD_MUTEX_INITIALIZER } /* for one that lives as long as the process */
void weir__mutex_init(weir__mutex *mutex);
void weir__mutex_lock(weir__mutex *mutex);
void weir__mutex_unlock(weir__mutex *mutex);
void weir__mutex_destroy(weir__mutex *mutex);

/* ---- threads ---- */
typedef struct weir__thread {
  pthread_t thread;
} weir__thread;
weir_status weir__thread_start(weir__thread *thread, void (*body)(void *), void *argument);
void        weir__thread_join(weir__thread *thread);
void        weir__thread_deafen(void);            /* signals go to other threads than the caller */
bool        weir__thread_clock(clockid_t *clock); /* of the processor time that the caller uses */
int         weir__cores(void);                    /* that this process may run on */
int         weir__core(int which);                /* the which-th of them, modulo their number; -1: unknown */
bool        weir__thread_pin(int core);           /* bind the caller to a core */
/* How late (ns) the kernel may end the caller's waits with a timeout, 50 us unless told; returns what it was. */
int64_t weir__thread_slack(int64_t ns);

/* Be kind to the other thread of the core while spinning. */
static inline void weir__pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
