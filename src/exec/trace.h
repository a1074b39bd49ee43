/* The trace: what each thread of a worker did when, as a file that trace viewers open (Chrome's trace event format,
 * "Trace Event Format", Google 2016: ui.perfetto.dev, chrome://tracing).
 *
 * Requirements: nothing is allocated or locked in a step; an event costs less than 50 ns; without a trace one branch
 * that is never taken.
 *
 *   rings     one per thread, written by that thread alone and read once no thread writes any more. A ring holds the
 *             newest events; how many older ones were overwritten is said in the file.
 *   writing   at the end each worker writes its part, worker 0 puts the parts together under a temporary name and
 *             renames the file.
 *   clocks    CLOCK_MONOTONIC of each node. Workers on another node than worker 0 take the median of eight differences
 *             to the clock of worker 0, each read as a common barrier ends: good to about the latency of a barrier. */
#ifndef WEIR_EXEC_TRACE_H
#define WEIR_EXEC_TRACE_H
#include "comm/comm.h"
#include "core/clock.h"

typedef enum weir__trace_kind {
  WEIR__TRACE_TASK,       /* what: task of the plan */
  WEIR__TRACE_STEP,       /* from arrival to retirement; may overlap others */
  WEIR__TRACE_SEND,       /* what: message of the plan */
  WEIR__TRACE_RECEIVE,    /* the same */
  WEIR__TRACE_WAIT,       /* the owner sleeps */
  WEIR__TRACE_CHECKPOINT, /* what: unused */
  WEIR__TRACE_BLOCKED,    /* a level, in `end`: nanoseconds that the simulation has waited so far */
  WEIR__TRACE_QUEUED,     /* a level, in `end`: steps published and not yet begun */
} weir__trace_kind;

typedef struct weir__trace_event {
  int64_t  begin_ns, end_ns;
  int64_t  step;
  uint32_t what;
  uint32_t kind;
} weir__trace_event;

typedef struct weir__trace_ring {
  weir__trace_event *event;
  uint64_t           count; /* so far; the newest is event[(count - 1) & mask] */
  uint64_t           mask;
  char               padding[40]; /* rings of different threads lie on different cache lines */
} weir__trace_ring;

typedef struct weir__trace {
  weir__trace_ring *ring; /* per thread; the owner's is the last */
  int               rings;
  int64_t           begin_ns, shift_ns; /* worker 0's clock at the start; what to add to ours to have that one */
  char              host[256];
} weir__trace;

/* Collective: clocks are compared. `events` of each thread, a power of two; 0: no trace, NULL. */
weir_status weir__trace_create(weir__comm *comm, int threads, int64_t events, weir__trace **trace);
void        weir__trace_destroy(weir__trace **trace);

/* Only by thread number `thread`. */
static inline void weir__trace_add(weir__trace *trace, int thread, weir__trace_kind kind, uint32_t what, int64_t begin,
                                   int64_t end, int64_t step) {
  weir__trace_ring *ring                  = &trace->ring[thread];
  ring->event[ring->count++ & ring->mask] = (weir__trace_event){begin, end, step, what, kind};
}
#endif
