#include "exec/checkpoint.h"
#include "exec/steer.h"
#include "core/clock.h"
#include "core/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MAGIC UINT64_C(0x31504b4352494557) /* "WEIRCKP1" */

enum {
  FAILED         = -1,
  ABANDONED      = -2, /* no checkpoint: one worker could not write, or never came to it */
  FIRST_INTERVAL = 8
}; /* steps, while it is not known how long one takes */
static const double DEFAULT_S = 10;

typedef struct header {
  uint64_t magic, identity; /* of the recipe and what was settled with it */
  int32_t  rank, size;
  int64_t  ordinal, step, interval;
  double   time;
  uint64_t nodes, cell_bytes, state_bytes, steer_bytes, lost_bytes, failure_bytes;
} header;

_Static_assert(sizeof(header) % sizeof(int64_t) == 0, "counts follow it");

typedef struct weir__keeper {
  weir__agreement *agreement;       /* values: the ordinal written, FAILED or ABANDONED; minus the next interval */
  int64_t          next;            /* ordinal of the next checkpoint; INT64_MAX: none any more */
  int64_t          interval, most;  /* steps between two; `most`: what the channels can hold (0: no bound) */
  int64_t          written, before; /* ordinals of the newest and of the last agreed checkpoint; -1: none */
  int64_t          began_ns;        /* when the present interval began */
  uint64_t         sequence;        /* of the first step after the one being agreed on */
  int64_t          rounds;          /* of the agreement */
  bool             fresh;           /* `written` is being agreed on */
} weir__keeper;

/* ---- sizes ---- */

static bool kept(const weir__cell *cell) {
  return cell->keep && cell->base && cell->message < 0 && cell->slot_piece < 0;
}

static uint64_t cell_bytes(const weir__plan *p) {
  uint64_t bytes = 0;
  for (int i = 0; i < p->cells; i++)
    if (kept(&p->cell[i])) bytes += (p->cell[i].stride + 1) * (uint64_t)p->cell[i].ring;
  return bytes;
}

/* Of a file with this header. */
static uint64_t file_bytes(const header *h) {
  return sizeof *h + h->nodes * sizeof(int64_t) + h->cell_bytes + h->state_bytes + h->steer_bytes + h->lost_bytes +
         h->failure_bytes + sizeof(uint32_t);
}

static header describe(const weir__worker *w) {
  return (header){.magic       = MAGIC,
                  .identity    = w->options.identity,
                  .rank        = w->plan->rank,
                  .size        = w->plan->size,
                  .ordinal     = w->begun,
                  .step        = w->last_step,
                  .interval    = w->keeper ? w->keeper->interval : 0,
                  .time        = w->last_time,
                  .nodes       = (uint64_t)w->graph->nodes,
                  .cell_bytes  = cell_bytes(w->plan),
                  .state_bytes = w->plan->state_bytes,
                  .steer_bytes = weir__worker_steer_bytes(w),
                  .lost_bytes  = weir__intake_lost_bytes(w->intake)};
}

static void path_of(const weir__worker_options *options, int rank, int64_t ordinal, const char *before,
                    char path[PATH_MAX]) {
  snprintf(path, PATH_MAX, "%s/%s%" PRId64 ".%d", options->checkpoint_directory, before, ordinal, rank);
}

/* ---- writing ---- */

typedef struct file {
  int      fd;
  uint32_t crc;
} file;

static weir_status put(file *f, const void *bytes, size_t size, const char *path) {
  const char *next = bytes;
  while (size) {
    size_t  part = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
    ssize_t n    = write(f->fd, next, part);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return WEIR_FAIL(WEIR_ERR_IO, "checkpoint %s: %s", path, strerror(errno));
    f->crc = (uint32_t)crc32(f->crc, (const Bytef *)next, (uInt)n);
    next += n;
    size -= (size_t)n;
  }
  return WEIR_OK;
}

static weir_status put_all(const weir__worker *w, file *f, const header *h, const char *failures, const char *path) {
  const weir__plan *p = w->plan;
  WEIR_TRY(put(f, h, sizeof *h, path));
  WEIR_TRY(put(f, w->active_count, (size_t)h->nodes * sizeof *w->active_count, path));
  for (int i = 0; i < p->cells; i++) {
    const weir__cell *cell = &p->cell[i];
    if (!kept(cell)) continue;
    WEIR_TRY(put(f, cell->base, cell->stride * (size_t)cell->ring, path));
    WEIR_TRY(put(f, cell->token, (size_t)cell->ring, path)); /* of cells of our own they lie side by side */
  }
  WEIR_TRY(put(f, p->state, p->state_bytes, path));
  if (h->steer_bytes + h->lost_bytes) {
    char       *bytes;
    weir_status status = weir__alloc_zeroed(h->steer_bytes + h->lost_bytes, 0, &bytes);
    if (status < 0) return status;
    weir__worker_steer_save(w, bytes);
    weir__intake_lost_save(w->intake, bytes + h->steer_bytes);
    status = put(f, bytes, h->steer_bytes + h->lost_bytes, path);
    weir__free(bytes);
    WEIR_TRY(status);
  }
  WEIR_TRY(put(f, failures, h->failure_bytes, path));
  uint32_t crc = f->crc;
  return put(f, &crc, sizeof crc, path);
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
  char   path[PATH_MAX], part[PATH_MAX];
  header h = describe(w);
  file   f = {.crc = (uint32_t)crc32(0, NULL, 0)};
  path_of(&w->options, h.rank, h.ordinal, "", path);
  path_of(&w->options, h.rank, h.ordinal, ".part-", part);
  f.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (f.fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "checkpoint %s: %s", part, strerror(errno));
  weir__text  failures = {0};
  weir_status status   = weir__failures_pack(w, &failures);
  h.failure_bytes      = failures.length;
  *size                = file_bytes(&h);
  if (status >= 0) status = put_all(w, &f, &h, failures.data, part);
  weir__text_clear(&failures);
  if (status >= 0 && rename(part, path)) status = WEIR_FAIL(WEIR_ERR_IO, "checkpoint %s: %s", path, strerror(errno));
  if (status >= 0 && w->options.durable) status = flush(w->options.checkpoint_directory, f.fd);
  close(f.fd);
  if (status < 0) unlink(part);
  return status;
}

static void remove_file(const weir__worker *w, int64_t ordinal) {
  char path[PATH_MAX];
  if (ordinal < 0) return;
  path_of(&w->options, w->plan->rank, ordinal, "", path);
  unlink(path);
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
  k->began_ns            = weir__clock_ns();
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
  return weir__agreement_create(w->comm, 2, &k->agreement);
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
  weir__keeper *k      = w->keeper;
  int64_t       began  = weir__clock_ns();
  uint64_t      size   = 0;
  weir_status   status = write_file(w, &size);
  int64_t       say[2] = {status < 0 ? FAILED : w->begun, -propose(w)};
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

static void conclude(weir__worker *w, const int64_t *result) {
  weir__keeper *k = w->keeper;
  if (result[0] < 0 && k->fresh) remove_file(w, k->written);
  if (result[0] == ABANDONED) {
    if (k->fresh) k->written = k->before;
    k->fresh = false;
    return;
  }
  k->fresh = false;
  if (result[0] == FAILED) {   /* somewhere there was no room: from now on without */
    remove_file(w, k->before); /* of no use once later steps are acknowledged */
    k->next         = INT64_MAX;
    w->acknowledges = true;
  } else {
    remove_file(w, k->before);
    k->interval = -result[1];
  }
  if (w->intake) weir__intake_acknowledge(w->intake, w->acknowledges ? w->retired_sequence : k->sequence);
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
    conclude(w, result);
  }
  if (w->begun < k->next || w->retired < w->begun || w->ended >= 0) return WEIR_OK;
  *some = true;
  return checkpoint(w);
}

int64_t weir__keeper_rounds(const weir__worker *w) { return w->keeper ? w->keeper->rounds : 0; }

weir_status weir__keeper_settle(weir__worker *w, int64_t rounds) {
  static const int64_t abandoned[2] = {ABANDONED, INT64_MIN + 1};
  weir__keeper        *k            = w->keeper;
  while (k && (weir__agreement_running(k->agreement) || k->rounds < rounds)) {
    bool           done;
    const int64_t *result;
    if (!weir__agreement_running(k->agreement)) {
      k->rounds++;
      WEIR_TRY(weir__agreement_start(k->agreement, abandoned));
    }
    WEIR_TRY(weir__agreement_test(k->agreement, &done, &result));
    if (done) conclude(w, result);
    else sched_yield();
  }
  return WEIR_OK;
}

weir_status weir__keeper_last(weir__worker *w) {
  weir__keeper *k = w->keeper;
  if (!k || k->next == INT64_MAX) return WEIR_OK;
  /* on all workers or none: the rounds are settled. Written again it would be the one before itself, and be removed */
  if (k->written != w->begun) WEIR_TRY(checkpoint(w));
  k->next = INT64_MAX - 1;
  return WEIR_OK;
}

/* ---- reading ---- */

static weir_status damaged(const char *path) {
  return WEIR_FAIL(WEIR_ERR_INPUT, "checkpoint %s is damaged, or of another run", path);
}

/* The whole file, checked. */
static weir_status read_file(const weir__worker_options *options, int rank, int size, int64_t ordinal, char **bytes) {
  char        path[PATH_MAX];
  struct stat s;
  weir_status status = WEIR_OK;
  size_t      have   = 0;
  header      h;
  uint32_t    crc;
  char       *data = NULL;
  path_of(options, rank, ordinal, "", path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &s)) {
    status = WEIR_FAIL(WEIR_ERR_IO, "checkpoint %s: %s", path, strerror(errno));
    goto out;
  }
  if ((size_t)s.st_size < sizeof h + sizeof crc) {
    status = damaged(path);
    goto out;
  }
  WEIR_TRY_GOTO(out, weir__alloc_zeroed((size_t)s.st_size, 64, &data));
  while (have < (size_t)s.st_size) {
    ssize_t n = read(fd, data + have, (size_t)s.st_size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      status = WEIR_FAIL(WEIR_ERR_IO, "checkpoint %s: %s", path, n ? strerror(errno) : "it became shorter");
      goto out;
    }
    have += (size_t)n;
  }
  memcpy(&h, data, sizeof h);
  memcpy(&crc, data + have - sizeof crc, sizeof crc);
  uLong sum = crc32(0, NULL, 0);
  for (size_t at = 0; at < have - sizeof crc;) {
    size_t part = have - sizeof crc - at < ((size_t)1 << 30) ? have - sizeof crc - at : (size_t)1 << 30;
    sum         = crc32(sum, (const Bytef *)data + at, (uInt)part);
    at += part;
  }
  if (h.magic != MAGIC || h.identity != options->identity || h.rank != rank || h.size != size || h.ordinal != ordinal ||
      h.nodes > INT_MAX || h.state_bytes > have || h.cell_bytes > have || h.steer_bytes > have || h.lost_bytes > have ||
      h.failure_bytes > have || file_bytes(&h) != have || sum != crc)
    status = damaged(path);
out:
  if (fd >= 0) close(fd);
  if (status < 0) weir__free(data);
  else *bytes = data;
  return status;
}

/* The newest valid file of this worker at or below `bound`, its bytes in place of those in `*held`; -1: none. */
static int64_t newest(const weir__worker_options *options, int rank, int size, int64_t bound, char **held) {
  int64_t best = -1;
  DIR    *dir  = opendir(options->checkpoint_directory);
  if (!dir) return -1;
  for (struct dirent *entry; (entry = readdir(dir));) {
    int64_t ordinal;
    int     of, used = 0;
    char   *bytes;
    if (sscanf(entry->d_name, "%" SCNd64 ".%d%n", &ordinal, &of, &used) != 2 || entry->d_name[used] || of != rank)
      continue;
    if (ordinal > bound || ordinal <= best || read_file(options, rank, size, ordinal, &bytes) < 0) continue;
    weir__free(*held);
    *held = bytes;
    best  = ordinal;
  }
  closedir(dir);
  return best;
}

/* All name their newest; the oldest of these is the bound for the next round, until all have the same. */
weir_status weir__checkpoint_find(weir__comm *comm, const weir__worker_options *options, weir__resume *at) {
  *at = (weir__resume){0};
  if (!options->checkpoint_directory) return WEIR_END;
  int     rank = weir__comm_rank(comm), size = weir__comm_size(comm);
  int64_t bound = INT64_MAX, say[2];
  for (;;) {
    int64_t mine = newest(options, rank, size, bound, &at->bytes);
    say[0]       = mine;
    say[1]       = -mine;
    WEIR_TRY(weir__comm_max(comm, say, 2));
    if (say[0] == -say[1] || -say[1] < 0) break;
    bound = -say[1];
  }
  if (-say[1] < 0) {
    weir__checkpoint_forget(at);
    return WEIR_END;
  }
  header h;
  memcpy(&h, at->bytes, sizeof h);
  at->ordinal = h.ordinal;
  at->step    = h.step;
  at->time    = h.time;
  at->nodes   = (int)h.nodes;
  at->active  = (const void *)(at->bytes + sizeof h); /* aligned: the bytes are to 64, the header is whole words */
  return WEIR_OK;
}

void weir__checkpoint_forget(weir__resume *at) {
  weir__free(at->bytes);
  *at = (weir__resume){0};
}

static weir_status take(weir__worker *w, const char *bytes, const weir__resume *at) {
  const weir__plan *p = w->plan;
  header            h, mine = describe(w);
  memcpy(&h, bytes, sizeof h);
  if (h.nodes != mine.nodes || h.cell_bytes != mine.cell_bytes || h.state_bytes != mine.state_bytes ||
      h.steer_bytes != mine.steer_bytes)
    return WEIR_FAIL(WEIR_ERR_INPUT, "the checkpoint at step %" PRId64 " belongs to another graph", at->step);
  const char *next = bytes + sizeof h;
  memcpy(w->active_count, next, (size_t)h.nodes * sizeof *w->active_count);
  next += (size_t)h.nodes * sizeof *w->active_count;
  for (int i = 0; i < p->cells; i++) {
    const weir__cell *cell = &p->cell[i];
    if (!kept(cell)) continue;
    memcpy(cell->base, next, cell->stride * (size_t)cell->ring);
    next += cell->stride * (size_t)cell->ring;
    memcpy(cell->token, next, (size_t)cell->ring);
    next += (size_t)cell->ring;
  }
  if (p->state_bytes) memcpy(p->state, next, p->state_bytes);
  weir__worker_steer_load(w, next + p->state_bytes);
  next += p->state_bytes + h.steer_bytes;
  WEIR_TRY(weir__intake_lost_load(w->intake, next, h.lost_bytes));
  WEIR_TRY(weir__failures_take(w, next + h.lost_bytes, h.failure_bytes));
  w->begun = w->retired = h.ordinal;
  w->last_step          = h.step;
  w->last_time          = h.time;
  w->stats.steps        = h.ordinal;
  if (w->keeper) {
    w->keeper->interval = h.interval;
    w->keeper->written  = h.ordinal;
    w->keeper->next     = h.ordinal + h.interval;
  }
  return WEIR_OK;
}

weir_status weir__worker_restore(weir__worker *w, const weir__resume *at) {
  weir_status status = take(w, at->bytes, at);
  if (status >= 0 && w->steer && w->intake && weir__intake_fresh(w->intake))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "a steered run cannot go on with a simulation that was started again: what was "
                                       "decided for the steps that it repeats is not kept");
  if (status >= 0) weir__worker_arm(w);
  if (status >= 0 && w->intake) weir__intake_skip(w->intake, at->step);
  return weir__comm_agree(w->comm, status);
}
