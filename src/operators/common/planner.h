/* FFTW's planner is shared by the whole process and not thread-safe: plans are made and destroyed under this lock.
 * Executing them needs none. Source: FFTW 3.3.10 manual, section "Thread safety". */
#ifndef WEIR_OPERATORS_PLANNER_H
#define WEIR_OPERATORS_PLANNER_H
void weir__planner_lock(void);
void weir__planner_unlock(void);
#endif
