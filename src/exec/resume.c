/* Going on from a checkpoint: which one, what is in it, and what a simulation that was started again has to be told. */
#include "exec/checkpoint.h"
#include "exec/steer.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* ---- reading ---- */

static weir_status damaged(const char *path) {
  return WEIR_FAIL(WEIR_ERR_INPUT, "checkpoint %s is damaged, or of another run", path);
}

/* The whole file, checked. */
static weir_status read_file(const weir__worker_options *options, int rank, int size, int64_t ordinal, char **bytes) {
  char                    path[PATH_MAX];
  struct stat             s;
  weir_status             status = WEIR_OK;
  size_t                  have   = 0;
  weir__checkpoint_header h;
  uint32_t                crc;
  char                   *data = NULL;
  weir__checkpoint_path(options->checkpoint_directory, rank, ordinal, "", path);
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
  if (h.magic != WEIR__CHECKPOINT_MAGIC || h.identity != options->identity || h.rank != rank || h.size != size ||
      h.ordinal != ordinal || h.nodes > INT_MAX || h.state_bytes > have || h.cell_bytes > have ||
      h.steer_bytes > have || h.back_bytes > have || h.lost_bytes > have || h.failure_bytes > have ||
      weir__checkpoint_bytes(&h) != have || sum != crc)
    status = damaged(path);
out:
  if (fd >= 0) close(fd);
  if (status < 0) weir__free(data);
  else *bytes = data;
  return status;
}

/* ---- which ---- */

/* The ordinal in the name of a file of this worker; -1: it is none. */
static int64_t ordinal_of(const char *name, int rank) {
  int64_t ordinal;
  int     of, used = 0;
  if (sscanf(name, "%" SCNd64 ".%d%n", &ordinal, &of, &used) != 2 || name[used] || of != rank) return -1;
  return ordinal;
}

/* Remove this worker's files but those of this checkpoint and of the marks before it: later ones are of a past that is
 * done again, earlier ones of a job that was killed before it removed them. NULL: all. */
static void remove_others(const char *directory, int rank, const weir__checkpoint_header *h) {
  DIR *dir = opendir(directory);
  if (!dir) return;
  for (struct dirent *entry; (entry = readdir(dir));) {
    char    path[PATH_MAX];
    size_t  before  = strlen(WEIR__CHECKPOINT_PART);
    bool    part    = !strncmp(entry->d_name, WEIR__CHECKPOINT_PART, before);
    int64_t ordinal = ordinal_of(entry->d_name + (part ? before : 0), rank);
    bool    needed  = h && !part && ordinal == h->ordinal;
    for (int m = 0; h && !part && m < WEIR__MARKS; m++) needed |= ordinal < h->ordinal && ordinal == h->mark[m].ordinal;
    if (ordinal < 0 || needed) continue;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    unlink(path);
  }
  closedir(dir);
}

/* The newest valid file of this worker at or below `bound` that begins before step number `before` (or to whose end
 * nothing was decided or computed for the simulation), its bytes in place of those in `*held`; -1: none. `*first`: of
 * the first step of the run, where there is any file. */
static int64_t newest(const weir__worker_options *options, int rank, int size, int64_t bound, int64_t before,
                      char **held, int64_t *first) {
  int64_t best = -1;
  DIR    *dir  = opendir(options->checkpoint_directory);
  if (!dir) return -1;
  for (struct dirent *entry; (entry = readdir(dir));) {
    char                   *bytes;
    weir__checkpoint_header h;
    int64_t                 ordinal = ordinal_of(entry->d_name, rank);
    if (ordinal < 0 || ordinal > bound || ordinal <= best || read_file(options, rank, size, ordinal, &bytes) < 0)
      continue;
    memcpy(&h, bytes, sizeof h);
    *first = h.first_step;
    if (h.step >= before && (h.decided || h.back_bytes)) {
      weir__free(bytes);
      continue;
    }
    weir__free(*held);
    *held = bytes;
    best  = ordinal;
  }
  closedir(dir);
  return best;
}

/* All name their newest; the oldest of these is the bound for the next round, until all have the same. */
static weir_status find_common(weir__comm *comm, const weir__worker_options *options, int64_t before, char **bytes,
                               int64_t *ordinal, int64_t *first) {
  int     rank = weir__comm_rank(comm), size = weir__comm_size(comm);
  int64_t bound = INT64_MAX, say[3];
  *first        = INT64_MIN;
  for (;;) {
    int64_t mine = newest(options, rank, size, bound, before, bytes, first);
    say[0]       = mine;
    say[1]       = -mine;
    say[2]       = *first;
    WEIR_TRY(weir__comm_max(comm, say, 3));
    *ordinal = -say[1];
    *first   = say[2];
    if (say[0] == *ordinal || *ordinal < 0) return WEIR_OK;
    bound = *ordinal;
  }
}

/* A simulation that was started again publishes steps that the workers have done. What it published then it publishes
 * now, so they can be passed over; but not where it is steered: it has to hear again what was decided then. */
weir_status weir__checkpoint_find(weir__comm *comm, const weir__worker_options *options, const weir__beginning *begins,
                                  weir__resume *at) {
  int64_t ordinal, first, before = begins->fresh && begins->steered ? begins->step : INT64_MAX;
  *at = (weir__resume){.begins = *begins};
  if (!options->checkpoint_directory) return WEIR_END;
  weir_status status = find_common(comm, options, before, &at->bytes, &ordinal, &first);
  if (status >= 0 && ordinal < 0 && before < INT64_MAX && first != INT64_MIN && begins->step > first)
    status =
        WEIR_FAIL(WEIR_ERR_INPUT,
                  "the simulation goes on with step %" PRId64 ", and the workers know nothing of before: a "
                  "simulation that is steered must call weir_stream_checkpoint when it has written its file, and go "
                  "on from the step that weir_restart_step names",
                  begins->step);
  if (status < 0 || ordinal < 0) {
    weir__checkpoint_forget(at);
    if (status >= 0) remove_others(options->checkpoint_directory, weir__comm_rank(comm), NULL);
    return status < 0 ? status : WEIR_END;
  }
  weir__checkpoint_header h;
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

/* Has every worker its file? */
static bool is_complete(const char *directory, int64_t ordinal, int size) {
  for (int rank = 0; rank < size; rank++) {
    char path[PATH_MAX];
    weir__checkpoint_path(directory, rank, ordinal, "", path);
    if (access(path, R_OK)) return false;
  }
  return true;
}

bool weir__checkpoint_saved(const char *directory, int64_t *saved) {
  bool found = false;
  DIR *dir   = opendir(directory);
  if (!dir) return false;
  for (struct dirent *entry; (entry = readdir(dir));) {
    weir__checkpoint_header h;
    char                    path[PATH_MAX];
    int64_t                 ordinal = ordinal_of(entry->d_name, 0);
    if (ordinal < 0) continue;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    bool read_all = read(fd, &h, sizeof h) == (ssize_t)sizeof h && h.magic == WEIR__CHECKPOINT_MAGIC;
    close(fd);
    if (!read_all || h.size < 1 || !is_complete(directory, ordinal, h.size)) continue;
    for (int m = 0; m < WEIR__MARKS; m++) {
      if (h.mark[m].ordinal < 0 || (found && h.mark[m].saved <= *saved)) continue;
      if (h.mark[m].ordinal != ordinal && !is_complete(directory, h.mark[m].ordinal, h.size)) continue;
      *saved = h.mark[m].saved;
      found  = true;
    }
  }
  closedir(dir);
  return found;
}

/* ---- what is in it ---- */

static weir_status take(weir__worker *w, const weir__resume *at) {
  const weir__plan       *p = w->plan;
  weir__checkpoint_header h, mine = weir__checkpoint_describe(w);
  memcpy(&h, at->bytes, sizeof h);
  if (h.nodes != mine.nodes || h.cell_bytes != mine.cell_bytes || h.state_bytes != mine.state_bytes ||
      h.steer_bytes != mine.steer_bytes)
    return WEIR_FAIL(WEIR_ERR_INPUT, "the checkpoint at step %" PRId64 " belongs to another graph", at->step);
  const char *next = at->bytes + sizeof h;
  memcpy(w->active_count, next, (size_t)h.nodes * sizeof *w->active_count);
  next += (size_t)h.nodes * sizeof *w->active_count;
  for (int i = 0; i < p->cells; i++) {
    const weir__cell *cell = &p->cell[i];
    if (!weir__checkpoint_keeps(cell)) continue;
    for (int64_t n = 0; n < cell->ring; n++, next += cell->bytes)
      memcpy(cell->base + (size_t)n * cell->stride, next, cell->bytes);
    memcpy(cell->token, next, (size_t)cell->ring);
    next += (size_t)cell->ring;
  }
  if (p->state_bytes) memcpy(p->state, next, p->state_bytes);
  weir__worker_steer_load(w, next + p->state_bytes);
  next += p->state_bytes + h.steer_bytes;
  if (at->begins.fresh) WEIR_TRY(weir__intake_back_load(w->intake, next, h.back_bytes));
  next += h.back_bytes;
  WEIR_TRY(weir__intake_lost_load(w->intake, next, h.lost_bytes));
  WEIR_TRY(weir__failures_take(w, next + h.lost_bytes, h.failure_bytes));
  w->begun = w->retired = h.ordinal;
  w->first_step         = h.first_step;
  w->last_step          = h.step;
  w->last_time          = h.time;
  w->stats.steps        = h.ordinal;
  return WEIR_OK;
}

/* The simulation went on from a later state than the workers: which steps did nobody see? As far as numbers tell; of
 * those that are published by their time nothing is known. */
static void note_gap(weir__worker *w, const weir__resume *at) {
  const weir__graph *graph = w->graph;
  int64_t            from = INT64_MAX, to = INT64_MIN, count = 0;
  if (!at->ordinal) return; /* it begins where it begins */
  for (int t = 0; t < graph->triggers; t++) {
    const weir__trigger *trigger = &graph->trigger[t];
    if (!trigger->period) continue;
    int64_t past = (at->step + 1 - trigger->phase) % trigger->period; /* steps since it fired, or would have */
    if (past < 0) past += trigger->period;
    int64_t next = at->step + 1 + (past ? trigger->period - past : 0);
    if (next >= at->begins.step) continue;
    int64_t times = (at->begins.step - 1 - next) / trigger->period + 1, last = next + (times - 1) * trigger->period;
    if (next < from) from = next;
    if (last > to) to = last;
    if (times > count) count = times;
  }
  if (count) weir__intake_gap(w->intake, from, to, count);
}

weir_status weir__worker_restore(weir__worker *w, const weir__resume *at) {
  weir__checkpoint_header h;
  weir_status             status = take(w, at);
  if (status >= 0 && at->begins.fresh) status = weir__worker_steer_repeat(w);
  WEIR_TRY(weir__comm_agree(w->comm, status));
  note_gap(w, at);
  weir__worker_arm(w);
  if (w->intake) weir__intake_skip(w->intake, at->step, weir__worker_steer_ahead(w));
  /* where a job was killed that wrote this checkpoint once more, for a mark, not all have that mark */
  memcpy(&h, at->bytes, sizeof h);
  WEIR_TRY(weir__comm_broadcast(w->comm, h.mark, sizeof h.mark, 0));
  weir__keeper_restore(w, &h);
  remove_others(w->options.checkpoint_directory, w->plan->rank, &h);
  return WEIR_OK;
}
