/* What differs between a process of its own and one that SimGrid simulates beside thousands of others in one thread:
 * how its processor time and its memory are told from theirs, and what wakes it when it sleeps. */
#ifndef WEIR_BENCH_SCALE_SIMULATED_H
#define WEIR_BENCH_SCALE_SIMULATED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef BENCH_SIMULATED
/* Once, before the others: there are so many processes. Called by each. */
void scale_open(int processes);
/* At the end, by each: waits until its messages have been received. */
void scale_close(void);
/* Processor time of this process from scale_cpu_start, whose answer is given, to now: without that inside MPI. */
int64_t scale_cpu_start(void);
int64_t scale_cpu_stop(int64_t start);
/* Bytes that the engine holds for this process now, and the most since scale_bytes_restart. */
int64_t scale_bytes(void);
int64_t scale_bytes_most(void);
void    scale_bytes_restart(void);
/* A step is published at start + n * period, n = 0 .. steps: then the doorbell of every process rings. */
void scale_rings(int64_t start_ns, int64_t period_ns, int steps);

/* For simulated_mpi.h: this process gives the thread to others, and has it again. */
void scale_away(bool poll);
void scale_back(void);

#else
static inline void    scale_open(int processes) { (void)processes; }
static inline void    scale_close(void) {}
static inline int64_t scale_cpu_start(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
static inline int64_t scale_cpu_stop(int64_t start) { return scale_cpu_start() - start; }
static inline int64_t scale_bytes(void) { return 0; } /* not counted */
static inline int64_t scale_bytes_most(void) { return 0; }
static inline void    scale_bytes_restart(void) {}
static inline void    scale_rings(int64_t start_ns, int64_t period_ns, int steps) {
     (void)start_ns, (void)period_ns, (void)steps;
}
#endif
#endif
