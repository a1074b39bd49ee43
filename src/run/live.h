/* The live status of a worker: RUN/live/worker.<rank>, one record of fixed size, written once a second while the worker
 * lives. People see it in `weir top`; for the supervisor it is the heartbeat: while `phase` is WEIR__PHASE_WAITING
 * or WEIR__PHASE_RUNNING, `beat` grows every second, whether steps come or not (one long task may delay it). Before the
 * first step and after the last one, where long work is done in one piece (waiting for the simulation, compiling, the
 * report), another thread beats as long as the worker's own gets processor time: what waits here looks now and then,
 * what hangs or is stopped gets none.
 *
 * A record is written with one call and carries a check sum, so a reader never takes a half-written one for whole. The
 * folder is for its owner alone (0700), the files 0600. */
#ifndef WEIR_RUN_LIVE_H
#define WEIR_RUN_LIVE_H
#include "exec/worker.h"
#include "run/directory.h"

enum { WEIR__LIVE_STREAMS_MAX = 16 };

typedef struct weir__live_stream {
  char    name[64];
  int64_t steps, step;                     /* retired so far; number of the last one */
  double  time;                            /* its time */
  double  steps_per_s;                     /* over the last seconds, as all that is "per second" here */
  double  latency_median_s, latency_p99_s; /* of the last steps; 0: none yet */
  double  blocked_s, blocked_share;        /* of each process served, on average: so far; of the last seconds */
  int64_t processes;                       /* of the simulation, served by this worker */
  int64_t queued;                          /* steps published and not yet begun */
  int64_t dropped, spilled, incomplete;    /* steps; incomplete: not published by all processes */
} weir__live_stream;

typedef struct weir__live_record {
  uint64_t          magic;            /* this layout on this kind of machine */
  int64_t           pid, rank, phase; /* phase: a weir__run_phase */
  char              host[256];
  int64_t           beat;    /* records written so far */
  int64_t           beat_ns; /* date, since 1970 */
  int64_t           steps, tasks;
  double            tasks_per_s, load; /* load: busy share of its threads, 0 to 1 */
  int64_t           threads, memory_bytes;
  int64_t           checkpoints, restarts;
  int64_t           streams;
  weir__live_stream stream[WEIR__LIVE_STREAMS_MAX];
  uint64_t          check; /* of all before */
} weir__live_record;

/* ---- writing: by the worker ---- */

typedef struct weir__live weir__live;
/* Begin the record of this process with phase WAITING. `restarts`: jobs of workers in this run before this one, by the
 * supervisor's count; one that was killed early left no record here. */
weir_status weir__live_open(const char *directory, int rank, int64_t restarts, weir__live **live);
/* Note the state, compute what is per second, write. Nothing is allocated. A record that cannot be written harms
 * nothing but the view. */
void weir__live_beat(weir__live *live, const weir__worker_pulse *pulse);
void weir__live_phase(weir__live *live, weir__run_phase phase); /* writes too */
/* From now to the next weir__live_phase another thread beats, as long as the caller uses processor time; meanwhile
 * weir__live_beat must not be called. */
weir_status weir__live_vouch(weir__live *live);
int64_t     weir__live_restarts(const weir__live *live);
void        weir__live_close(weir__live **live);

/* ---- reading: by weir top and the supervisor ---- */

/* WEIR_END: there is none (yet); WEIR_ERR_INPUT: damaged, or of another version. */
weir_status weir__live_read(const char *directory, int rank, weir__live_record *record);
/* Remove all records: before a run and after it. */
weir_status weir__live_remove(const char *directory);
#endif
