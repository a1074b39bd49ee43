#include "exec/checkpoint.h"
#include "exec/steer.h"
#include "core/clock.h"
#include "core/text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Values of the agreement: the ordinal written, FAILED or ABANDONED; the next interval; minus the ordinal. */
enum { KEEP_ORDINAL, KEEP_INTERVAL, KEEP_SAME, KEEP_VALUES };
enum {
  FAILED         = -1,
  ABANDONED      = -2, /* no checkpoint: one worker could not write, or never came to it */
  FIRST_INTERVAL = 8
}; /* steps, while it is not known how long one takes */
static const double DEFAULT_S = 10;

_Static_assert(sizeof(weir__checkpoint_header) % sizeof(int64_t) == 0, "counts follow it");

typedef struct weir__keeper {
  weir__agreement *agreement;       /* values: KEEP_... */
  int64_t          next;            /* ordinal of the next checkpoint; INT64_MAX: none any more */
  int64_t          interval, most;  /* steps between two; `most`: what the channels can hold (0: no bound) */
  int64_t          written, before; /* ordinals of the newest and of the last agreed checkpoint; -1: none */
  int64_t          began_ns;        /* when the present interval began */
  uint64_t         sequence;        /* of the first step after the one being agreed on */
  int64_t          rounds;          /* of the agreement */
  bool             fresh;           /* `written` is being agreed on */
  bool             marks;           /* the next checkpoint is for a mark: */
  int64_t          saved;
  weir__mark       mark[WEIR__MARKS], mark_before[WEIR__MARKS]; /* the newest last; as before the present round */
} weir__keeper;

/* ---- sizes ---- */

static uint64_t cell_bytes(const weir__plan *p) {
  uint64_t bytes = 0;
  for (int i = 0; i < p->cells; i++)
    if (weir__checkpoint_keeps(&p->cell[i])) bytes += (p->cell[i].bytes + 1) * (uint64_t)p->cell[i].ring;
  return bytes;
}

uint64_t weir__checkpoint_bytes(const weir__checkpoint_header *h) {
  return sizeof *h + h->nodes * sizeof(int64_t) + h->cell_bytes + h->state_bytes + h->steer_bytes + h->back_bytes +
         h->lost_bytes + h->failure_bytes + sizeof(uint32_t);
}

weir__checkpoint_header weir__checkpoint_describe(const weir__worker *w) {
  weir__checkpoint_header h = {.magic       = WEIR__CHECKPOINT_MAGIC,
                               .identity    = w->options.identity,
                               .rank        = w->plan->rank,
                               .size        = w->plan->size,
                               .ordinal     = w->begun,
                               .step        = w->last_step,
                               .first_step  = w->first_step,
                               .decided     = weir__worker_steer_changes(w),
                               .interval    = w->keeper ? w->keeper->interval : 0,
                               .time        = w->last_time,
                               .nodes       = (uint64_t)w->graph->nodes,
                               .cell_bytes  = cell_bytes(w->plan),
                               .state_bytes = w->plan->state_bytes,
                               .steer_bytes = weir__worker_steer_bytes(w),
                               .back_bytes  = weir__intake_back_bytes(w->intake),
                               .lost_bytes  = weir__intake_lost_bytes(w->intake)};
  for (int m = 0; m < WEIR__MARKS; m++) h.mark[m] = w->keeper ? w->keeper->mark[m] : (weir__mark){-1, -1};
  return h;
}

void weir__checkpoint_path(const char *directory, int rank, int64_t ordinal, const char *before, char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%s/%s%" PRId64 ".%d", directory, before, ordinal, rank);
}

/* ---- writing ---- */

typedef struct file {
  FILE    *stream;
  uint32_t crc;
} file;

static weir_status failed(const char *path) {
  return WEIR_FAIL(WEIR_ERR_IO, "checkpoint %s: %s", path, strerror(errno));
}

static weir_status put(file *f, const void *bytes, size_t size, const char *path) {
  for (const char *next = bytes; size;) {
    size_t part = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
    if (fwrite(next, 1, part, f->stream) < part) return failed(path);
    f->crc = (uint32_t)crc32(f->crc, (const Bytef *)next, (uInt)part);
    next += part;
    size -= part;
  }
  return WEIR_OK;
}

static weir_status put_all(const weir__worker *w, file *f, const weir__checkpoint_header *h, const char *failures,
                           const char *path) {
  const weir__plan *p = w->plan;
  WEIR_TRY(put(f, h, sizeof *h, path));
  WEIR_TRY(put(f, w->active_count, (size_t)h->nodes * sizeof *w->active_count, path));
  for (int i = 0; i < p->cells; i++) {
    const weir__cell *cell = &p->cell[i];
    if (!weir__checkpoint_keeps(cell)) continue;
    /* between two steps of a chunk may be those of its neighbours, which are cells of their own */
    for (int64_t n = 0; n < cell->ring; n++) WEIR_TRY(put(f, cell->base + (size_t)n * cell->stride, cell->bytes, path));
    WEIR_TRY(put(f, cell->token, (size_t)cell->ring, path)); /* of cells of our own they lie side by side */
  }
  WEIR_TRY(put(f, p->state, p->state_bytes, path));
  size_t rest = h->steer_bytes + h->back_bytes + h->lost_bytes;
  if (rest) {
    char       *bytes;
    weir_status status = weir__alloc_zeroed(rest, 0, &bytes);
    if (status < 0) return status;
    weir__worker_steer_save(w, bytes);
    /* nothing may have retired yet in this worker's life when it comes to a mark */
    weir__intake_back_save(w->intake, w->holds ? w->held.sequence : w->retired_sequence, bytes + h->steer_bytes);
    weir__intake_lost_save(w->intake, bytes + h->steer_bytes + h->back_bytes);
    status = put(f, bytes, rest, path);
    weir__free(bytes);
    WEIR_TRY(status);
  }
  WEIR_TRY(put(f, failures, h->failure_bytes, path));
  uint32_t crc = f->crc;
  WEIR_TRY(put(f, &crc, sizeof crc, path));
  return fflush(f->stream) ? failed(path) : WEIR_OK;
}

static weir_status flush(const char *directory, int fd) {
  int d = fsync(fd) ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (d < 0 || fsync(d)) {
    if (d >= 0) close(d);
    return WEIR_FAIL(WEIR_ERR_IO, "checkpoint in %s: %s", directory, strerror(errno));
  }
  close(d);
  return WEIR_OK;
}

static weir_status write_file(const weir__worker *w, uint64_t *size) {
  char                    path[PATH_MAX], part[PATH_MAX];
  weir__checkpoint_header h = weir__checkpoint_describe(w);
  file                    f = {.crc = (uint32_t)crc32(0, NULL, 0)};
  weir__checkpoint_path(w->options.checkpoint_directory, h.rank, h.ordinal, "", path);
  weir__checkpoint_path(w->options.checkpoint_directory, h.rank, h.ordinal, WEIR__CHECKPOINT_PART, part);
  int fd   = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  f.stream = fd < 0 ? NULL : fdopen(fd, "w");
  if (!f.stream) {
    weir_status status = failed(part);
    if (fd >= 0) close(fd);
    return status;
  }
  weir__text  failures = {0};
  weir_status status   = weir__failures_pack(w, &failures);
  h.failure_bytes      = failures.length;
  *size                = weir__checkpoint_bytes(&h);
  if (status >= 0) status = put_all(w, &f, &h, failures.data, part);
  weir__text_clear(&failures);
  if (status >= 0 && rename(part, path)) status = failed(path);
  if (status >= 0 && w->options.durable) status = flush(w->options.checkpoint_directory, fd);
  fclose(f.stream);
  if (status < 0) unlink(part);
  return status;
}

static void remove_file(const weir__worker *w, int64_t ordinal) {
  char path[PATH_MAX];
  if (ordinal < 0) return;
  weir__checkpoint_path(w->options.checkpoint_directory, w->plan->rank, ordinal, "", path);
  unlink(path);
}

/* ---- marks ---- */

static bool is_marked(const weir__keeper *k, int64_t ordinal) {
  for (int m = 0; m < WEIR__MARKS; m++)
    if (k->mark[m].ordinal == ordinal) return true;
  return false;
}

/* The file is not needed any more, unless it is for something else. */
static void retire_file(const weir__worker *w, int64_t ordinal) {
  if (ordinal != w->keeper->written && !is_marked(w->keeper, ordinal)) remove_file(w, ordinal);
}

static void add_mark(weir__keeper *k, int64_t ordinal, int64_t saved) {
  memmove(k->mark, k->mark + 1, (WEIR__MARKS - 1) * sizeof *k->mark);
  k->mark[WEIR__MARKS - 1] = (weir__mark){ordinal, saved};
}

bool weir__keeper_mark(weir__worker *w, int64_t saved) {
  weir__keeper     *k      = w->keeper;
  const weir__mark *newest = k ? &k->mark[WEIR__MARKS - 1] : NULL;
  if (!k || k->next == INT64_MAX || (newest->ordinal >= 0 && saved <= newest->saved)) return false;
  k->marks = true;
  k->saved = saved;
  k->next  = w->begun;
  return true;
}

/* ---- when ---- */

/* How many steps from now on take the time that was asked for. All take the smallest of their answers. */
static int64_t propose(const weir__worker *w) {
  const weir__keeper *k    = w->keeper;
  double              took = (double)(weir__clock_ns() - k->began_ns) * 1e-9, want = w->options.checkpoint_s;
  int64_t             steps = w->begun - (k->written < 0 ? 0 : k->written), next;
  if (w->options.checkpoint_steps > 0) next = w->options.checkpoint_steps;
  else {
    if (!(want > 0)) want = DEFAULT_S;
    double by_time = took > 0 ? (double)steps * want / took : 0;
    double growth  = 8.0 * (double)k->interval; /* the first steps may be slow, or fast */
    if (by_time > growth) by_time = growth;
    next = by_time < 1 ? 1 : by_time > 1e6 ? 1000000 : (int64_t)by_time;
  }
  return k->most && next > k->most ? k->most : next;
}

weir_status weir__keeper_create(weir__worker *w) {
  weir__keeper *k;
  int64_t       most = 0;
  if (!w->options.checkpoint_directory) return WEIR_OK;
  weir_status status = weir__alloc_zeroed(sizeof *k, 0, &k);
  WEIR_TRY(weir__comm_agree(w->comm, status));
  w->keeper  = k;
  k->written = k->before = -1;
  for (int m = 0; m < WEIR__MARKS; m++) k->mark[m] = k->mark_before[m] = (weir__mark){-1, -1};
  k->began_ns = weir__clock_ns();
  if (w->intake &&
      !w->acknowledges) { /* a checkpoint gives places back: half of them, so that the simulation goes on meanwhile */
    int slots = weir__intake_slots(w->intake);
    most      = slots ? -(slots > 1 ? slots / 2 : 1) : INT64_MIN + 1;
    WEIR_TRY(weir__comm_max(w->comm, &most, 1));
    k->most = -most;
  }
  k->interval = w->options.checkpoint_steps > 0 ? w->options.checkpoint_steps : FIRST_INTERVAL;
  if (k->most && k->interval > k->most) k->interval = k->most;
  k->next = w->begun + k->interval;
  return weir__agreement_create(w->comm, KEEP_VALUES, &k->agreement);
}

void weir__keeper_destroy(weir__worker *w) {
  if (!w->keeper) return;
  weir__agreement_destroy(&w->keeper->agreement);
  weir__free(w->keeper);
  w->keeper = NULL;
}

int64_t weir__keeper_gate(const weir__worker *w) { return w->keeper ? w->keeper->next : INT64_MAX; }

void weir__keeper_pass(weir__worker *w) {
  if (w->keeper && w->keeper->next < INT64_MAX - 1) w->keeper->next++;
}

bool weir__keeper_busy(const weir__worker *w) { return w->keeper && weir__agreement_running(w->keeper->agreement); }

/* ---- a round ---- */

/* The first reason stays for the report. */
static void keep_complaint(weir__worker *w) {
  if (!w->stats.checkpoint_failure[0])
    snprintf(w->stats.checkpoint_failure, sizeof w->stats.checkpoint_failure, "%s", weir_error_last());
}

static weir_status checkpoint(weir__worker *w) {
  weir__keeper *k     = w->keeper;
  int64_t       began = weir__clock_ns();
  uint64_t      size  = 0;
  if (w->options.checkpoint) w->options.checkpoint(w->options.checkpoint_self);
  memcpy(k->mark_before, k->mark, sizeof k->mark);
  if (k->marks) add_mark(k, w->begun, k->saved);
  k->marks                     = false;
  weir_status status           = write_file(w, &size);
  int64_t     say[KEEP_VALUES] = {status < 0 ? FAILED : w->begun, propose(w), -w->begun};
  if (status < 0) keep_complaint(w);
  k->before   = k->written;
  k->written  = w->begun;
  k->sequence = w->retired_sequence;
  k->fresh    = true;
  k->rounds++;
  k->next     = w->begun + k->interval;
  k->began_ns = weir__clock_ns();
  w->stats.checkpoints++;
  w->stats.checkpoint_bytes = (int64_t)size;
  w->stats.checkpoint_ns += k->began_ns - began;
  if (w->trace)
    weir__trace_add(w->trace, w->options.threads, WEIR__TRACE_CHECKPOINT, 0, began, k->began_ns, w->retired_step);
  return weir__agreement_start(k->agreement, say);
}

static weir_status conclude(weir__worker *w, const int64_t *result) {
  weir__keeper *k = w->keeper;
  if (result[KEEP_ORDINAL] >= 0 && result[KEEP_ORDINAL] != -result[KEEP_SAME])
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "stream %s: its processes called weir_stream_checkpoint between different steps (workers came to "
                     "the steps number %" PRId64 " and %" PRId64 " with it)",
                     w->intake ? weir__intake_stream(w->intake) : "", result[KEEP_ORDINAL], -result[KEEP_SAME]);
  if (result[KEEP_ORDINAL] < 0 && k->fresh) {
    memcpy(k->mark, k->mark_before, sizeof k->mark);
    if (k->written != k->before && !is_marked(k, k->written)) remove_file(w, k->written);
  }
  if (result[KEEP_ORDINAL] == ABANDONED) {
    if (k->fresh) k->written = k->before;
    k->fresh = false;
    return WEIR_OK;
  }
  k->fresh = false;
  if (result[KEEP_ORDINAL] == FAILED) { /* somewhere there was no room: from now on without */
    for (int m = 0; m < WEIR__MARKS; m++) remove_file(w, k->mark[m].ordinal);
    remove_file(w, k->before); /* of no use once later steps are acknowledged */
    k->next         = INT64_MAX;
    w->acknowledges = true;
  } else {
    for (int m = 0; m < WEIR__MARKS; m++) retire_file(w, k->mark_before[m].ordinal);
    retire_file(w, k->before);
    k->interval = result[KEEP_INTERVAL];
  }
  if (w->intake) weir__intake_acknowledge(w->intake, w->acknowledges ? w->retired_sequence : k->sequence);
  return WEIR_OK;
}

weir_status weir__keeper_work(weir__worker *w, bool *some) {
  weir__keeper *k = w->keeper;
  if (!k) return WEIR_OK;
  if (weir__agreement_running(k->agreement)) {
    bool           done;
    const int64_t *result;
    WEIR_TRY(weir__agreement_test(k->agreement, &done, &result));
    if (!done) return WEIR_OK;
    *some = true;
    WEIR_TRY(conclude(w, result));
  }
  if (w->begun < k->next || w->retired < w->begun || w->ended >= 0) return WEIR_OK;
  *some = true;
  return checkpoint(w);
}

int64_t weir__keeper_rounds(const weir__worker *w) { return w->keeper ? w->keeper->rounds : 0; }

weir_status weir__keeper_settle(weir__worker *w, int64_t rounds) {
  static const int64_t abandoned[KEEP_VALUES] = {ABANDONED, INT64_MAX, INT64_MAX};
  weir__keeper        *k                      = w->keeper;
  while (k && (weir__agreement_running(k->agreement) || k->rounds < rounds)) {
    bool           done;
    const int64_t *result;
    if (!weir__agreement_running(k->agreement)) {
      k->rounds++;
      WEIR_TRY(weir__agreement_start(k->agreement, abandoned));
    }
    WEIR_TRY(weir__agreement_test(k->agreement, &done, &result));
    if (done) WEIR_TRY(conclude(w, result));
    else sched_yield();
  }
  return WEIR_OK;
}

weir_status weir__keeper_last(weir__worker *w, int64_t saved) {
  weir__keeper *k = w->keeper;
  if (!k || k->next == INT64_MAX) return WEIR_OK;
  bool marks = saved != INT64_MIN && saved >= w->last_step && weir__keeper_mark(w, saved);
  /* on all workers or none: the rounds are settled */
  if (marks || k->written != w->begun) WEIR_TRY(checkpoint(w));
  k->next = INT64_MAX - 1;
  return WEIR_OK;
}

void weir__keeper_restore(weir__worker *w, const weir__checkpoint_header *h) {
  weir__keeper *k = w->keeper;
  if (!k) return;
  k->interval = h->interval;
  k->written  = h->ordinal;
  k->next     = h->ordinal + h->interval;
  for (int m = 0; m < WEIR__MARKS; m++)
    if (h->mark[m].ordinal >= 0 && h->mark[m].ordinal <= h->ordinal) k->mark[m] = h->mark[m];
}
