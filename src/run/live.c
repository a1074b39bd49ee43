#include "run/live.h"
#include "core/clock.h"
#include "core/threads.h"
#include "io/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  SAMPLES   = 6,   /* figures "per second" span up to five beats */
  LATENCIES = 512, /* steps that a percentile looks back */
  RETRIES   = 20   /* of a reader that meets a writer */
};

/* "weirliv" and the version of the layout; its size tells it from others of the same version. */
static const uint64_t magic = UINT64_C(0x7765697200000001) + sizeof(weir__live_record) * 65536;

typedef struct sample {
  int64_t at_ns, steps, tasks, blocked_ns, cpu_ns;
} sample;

struct weir__live {
  int               file, memory; /* memory: /proc/self/statm; -1: there is none */
  weir__live_record record;
  sample            sample[SAMPLES];
  int64_t           samples;
  /* beating for another thread */
  weir__thread     helper;
  clockid_t        watched;  /* processor time of that thread */
  _Atomic uint32_t vouching; /* 1: there is a helper; 0: there is none, or it ends */
};

/* FNV-1a, 64 bits (Fowler, Noll, Vo; RFC 9923). */
static uint64_t sum_of(const weir__live_record *record) {
  const unsigned char *byte = (const unsigned char *)record;
  uint64_t             sum  = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < offsetof(weir__live_record, check); i++) sum = (sum ^ byte[i]) * UINT64_C(0x100000001b3);
  return sum;
}

static weir_status live_path(weir__text *path, const char *directory, int rank) {
  weir__text_add(path, "%s/live/worker.%d", directory, rank);
  return weir__text_status(path);
}

/* ---- writing ---- */

static void write_record(weir__live *live) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  live->record.beat++;
  live->record.beat_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
  live->record.check   = sum_of(&live->record);
  if (pwrite(live->file, &live->record, sizeof live->record, 0) < 0)
    (void)0; /* the disk is full: nobody sees this beat; the run itself is not harmed */
}

weir_status weir__live_open(const char *directory, int rank, int64_t restarts, weir__live **live) {
  weir_status status = WEIR_OK;
  weir__text  path   = {0};
  weir__live *self   = NULL;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->file = self->memory = -1;
  self->record              = (weir__live_record){
                   .magic = magic, .pid = getpid(), .rank = rank, .phase = WEIR__PHASE_WAITING, .restarts = restarts};
  if (gethostname(self->record.host, sizeof self->record.host - 1)) self->record.host[0] = 0;
  WEIR_TRY_GOTO(out, weir__run_path(&path, directory, "live"));
  if (mkdir(path.data, 0700) && errno != EEXIST) {
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
    goto out;
  }
  path.length = 0;
  WEIR_TRY_GOTO(out, live_path(&path, directory, rank));
  self->file = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (self->file < 0) {
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
    goto out;
  }
  self->memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  write_record(self);
  *live = self;
  self  = NULL;
out:
  weir__text_clear(&path);
  weir__live_close(&self);
  return status;
}

/* Pages in memory are the second number of statm (proc(5)). */
static int64_t memory_bytes(const weir__live *live) {
  char    text[128], *end;
  ssize_t n = live->memory < 0 ? -1 : pread(live->memory, text, sizeof text - 1, 0);
  if (n <= 0) return 0;
  text[n] = 0;
  strtoll(text, &end, 10);
  return strtoll(end, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static int64_t cpu_ns(void) {
  struct timespec spent;
  return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent) ? 0 : (int64_t)spent.tv_sec * 1000000000 + spent.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void percentiles(const weir__worker_pulse *pulse, weir__live_stream *s) {
  int64_t sorted[LATENCIES], n = 0;
  for (int64_t i = pulse->seen - 1; i >= 0 && n < LATENCIES && n < pulse->latencies; i--)
    sorted[n++] = pulse->latency_ns[i % pulse->latencies];
  if (!n) return;
  qsort(sorted, (size_t)n, sizeof *sorted, by_value);
  s->latency_median_s = (double)sorted[n / 2] * 1e-9;
  s->latency_p99_s    = (double)sorted[n * 99 / 100] * 1e-9;
}

void weir__live_beat(weir__live *live, const weir__worker_pulse *pulse) {
  weir__live_record *r   = &live->record;
  weir__live_stream *s   = &r->stream[0];
  sample             now = {weir__clock_ns(), pulse->steps, pulse->tasks, pulse->blocked_ns, cpu_ns()};
  sample             then =
      live->samples ? live->sample[live->samples < SAMPLES ? 0 : live->samples % SAMPLES] : now; /* the oldest kept */
  double seconds = (double)(now.at_ns - then.at_ns) * 1e-9, per_s = seconds > 0 ? 1 / seconds : 0;
  int    processes                        = pulse->processes ? pulse->processes : 1;
  live->sample[live->samples++ % SAMPLES] = now;

  r->steps        = pulse->steps;
  r->tasks        = pulse->tasks;
  r->tasks_per_s  = (double)(now.tasks - then.tasks) * per_s;
  r->threads      = pulse->threads;
  r->load         = (double)(now.cpu_ns - then.cpu_ns) * 1e-9 * per_s / pulse->threads;
  r->memory_bytes = memory_bytes(live);
  r->checkpoints  = pulse->checkpoints;
  r->streams      = 1;
  snprintf(s->name, sizeof s->name, "%s", pulse->stream);
  s->steps         = pulse->steps;
  s->step          = pulse->step;
  s->time          = pulse->time;
  s->steps_per_s   = (double)(now.steps - then.steps) * per_s;
  s->blocked_s     = (double)pulse->blocked_ns * 1e-9 / processes;
  s->blocked_share = (double)(now.blocked_ns - then.blocked_ns) * 1e-9 * per_s / processes;
  s->processes     = pulse->processes;
  s->queued        = pulse->queued;
  s->dropped       = pulse->dropped;
  s->spilled       = pulse->spilled;
  s->incomplete    = pulse->dropped_steps;
  percentiles(pulse, s);
  write_record(live);
}

/* ---- beating for a busy thread ---- */

static void vouch(void *argument) {
  enum { BEAT_NS = 1000000000 };
  weir__live     *live   = argument;
  struct timespec before = {.tv_sec = -1}, spent;
  weir__thread_deafen();
  while (atomic_load(&live->vouching)) {
    if (!clock_gettime(live->watched, &spent) && (spent.tv_sec != before.tv_sec || spent.tv_nsec != before.tv_nsec)) {
      before                    = spent;
      live->record.memory_bytes = memory_bytes(live);
      write_record(live);
    }
    weir__futex_wait(&live->vouching, 1, BEAT_NS, false);
  }
}

static void end_vouching(weir__live *live) {
  if (!atomic_exchange(&live->vouching, 0)) return;
  weir__futex_wake(&live->vouching, 1, false);
  weir__thread_join(&live->helper);
}

weir_status weir__live_vouch(weir__live *live) {
  if (atomic_load(&live->vouching)) return WEIR_OK;
  if (!weir__thread_clock(&live->watched))
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "the processor time of a thread cannot be read");
  atomic_store(&live->vouching, 1);
  weir_status status = weir__thread_start(&live->helper, vouch, live);
  if (status < 0) atomic_store(&live->vouching, 0);
  return status;
}

void weir__live_phase(weir__live *live, weir__run_phase phase) {
  end_vouching(live);
  live->record.phase = phase;
  write_record(live);
}

int64_t weir__live_restarts(const weir__live *live) { return live->record.restarts; }

void weir__live_close(weir__live **live) {
  weir__live *self = *live;
  if (!self) return;
  end_vouching(self);
  if (self->file >= 0) close(self->file);
  if (self->memory >= 0) close(self->memory);
  weir__free(self);
  *live = NULL;
}

/* ---- reading ---- */

weir_status weir__live_read(const char *directory, int rank, weir__live_record *record) {
  weir__text        path = {0};
  weir__live_record read;
  ssize_t           n      = -1;
  weir_status       status = live_path(&path, directory, rank);
  int               file   = status < 0 ? -1 : open(path.data, O_RDONLY | O_CLOEXEC);
  if (status >= 0 && file < 0)
    status = errno == ENOENT ? WEIR_END : WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
  for (int i = 0; status == WEIR_OK && i < RETRIES; i++) {
    n = pread(file, &read, sizeof read, 0);
    if (n == (ssize_t)sizeof read && read.check == sum_of(&read)) break;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  if (status == WEIR_OK && (n != (ssize_t)sizeof read || read.check != sum_of(&read) || read.magic != magic ||
                            read.streams < 0 || read.streams > WEIR__LIVE_STREAMS_MAX))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: damaged, or of another version of weir", path.data);
  if (status == WEIR_OK) *record = read;
  if (file >= 0) close(file);
  weir__text_clear(&path);
  return status;
}

weir_status weir__live_remove(const char *directory) {
  weir__text  path   = {0};
  weir_status status = weir__run_path(&path, directory, "live");
  if (status >= 0) status = weir__file_remove_tree(path.data);
  weir__text_clear(&path);
  return status;
}
