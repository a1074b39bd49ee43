#include "run/watch.h"
#include "channel/channel.h"
#include "core/memory.h"
#include "run/live.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

enum {
  LOOK_S    = 1, /* between two looks at the records, which are written once a second */
  MPI_TAKES = 5  /* so many times the heartbeat a worker may take to have a record, and to go when it has ended */
};
/* A look that comes much later was late because this process was stopped, or the whole machine: then the workers may
 * have been as well. */
static const double LATE_S = 2;

typedef struct pulse {
  int64_t beat, pid; /* pid: of the worker in the present job; 0: not seen yet */
  int64_t before;    /* pid in the record that an earlier job left; 0: none */
  double  silent_s;
} pulse;

struct weir__watch {
  const char *directory;
  int         workers;
  double      heartbeat_s;
  int64_t     looked_ns;
  pulse      *pulse;
};

weir_status weir__watch_create(const char *directory, int workers, double heartbeat_s, weir__watch **watch) {
  weir__watch *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  *self              = (weir__watch){.directory = directory, .workers = workers, .heartbeat_s = heartbeat_s};
  weir_status status = weir__alloc_zeroed((size_t)workers * sizeof *self->pulse, 0, &self->pulse);
  if (status < 0) weir__free(self);
  else *watch = self;
  return status;
}

void weir__watch_destroy(weir__watch **watch) {
  if (!*watch) return;
  weir__free((*watch)->pulse);
  weir__free(*watch);
  *watch = NULL;
}

/* The record of a worker of the present job. */
static bool started(const weir__watch *w, int rank, weir__live_record *record) {
  return weir__live_read(w->directory, rank, record) == WEIR_OK && record->pid != w->pulse[rank].before;
}

/* Which has not ended. */
static bool runs(const weir__live_record *record) {
  return record->phase == WEIR__PHASE_WAITING || record->phase == WEIR__PHASE_RUNNING;
}

void weir__watch_begin(weir__watch *w) {
  weir__live_record record;
  w->looked_ns = 0;
  for (int i = 0; i < w->workers; i++)
    w->pulse[i] = (pulse){.before = weir__live_read(w->directory, i, &record) == WEIR_OK ? record.pid : 0};
}

int weir__watch_silent(weir__watch *w, int64_t now_ns, double *seconds) {
  weir__live_record record;
  int               silent = -1;
  double            passed = (double)(now_ns - w->looked_ns) * 1e-9;
  if (!(w->heartbeat_s > 0) || (w->looked_ns && passed < LOOK_S)) return -1;
  if (!w->looked_ns || passed > LATE_S) passed = 0;
  w->looked_ns = now_ns;
  for (int i = 0; i < w->workers; i++) {
    pulse *p     = &w->pulse[i];
    bool   there = started(w, i, &record), same = !there || (p->pid == record.pid && p->beat == record.beat);
    double limit = there && runs(&record) ? w->heartbeat_s : MPI_TAKES * w->heartbeat_s;
    p->silent_s  = same ? p->silent_s + passed : 0;
    p->pid       = there ? record.pid : 0;
    p->beat      = there ? record.beat : 0;
    if (silent >= 0 || p->silent_s < limit) continue;
    silent   = i;
    *seconds = limit;
  }
  return silent;
}

int weir__watch_gone(const weir__watch *w) {
  weir__live_record record;
  char              host[256];
  int               gone = -1;
  weir__channel_host(host);
  for (int i = 0; i < w->workers; i++) {
    if (!started(w, i, &record) || !runs(&record) || strncmp(record.host, host, sizeof record.host - 1)) continue;
    if (!kill((pid_t)record.pid, 0) || errno != ESRCH) continue;
    if (gone >= 0) return -1;
    gone = i;
  }
  return gone;
}
