#include "exec/trace.h"
#include "core/text.h"
#include "exec/state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- clocks ---- */

enum { ROUNDS = 8 };

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* All read their clocks as a barrier ends, and learn what worker 0 read. One clock is enough for all of its node. */
static weir_status compare_clocks(weir__comm *comm, weir__trace *trace) {
  struct {
    int64_t clock[ROUNDS];
    char    host[256];
  } root;
  int64_t mine[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    WEIR_TRY(weir__comm_barrier(comm));
    mine[i] = weir__clock_ns();
  }
  memcpy(root.clock, mine, sizeof mine);
  memcpy(root.host, trace->host, sizeof root.host);
  WEIR_TRY(weir__comm_broadcast(comm, &root, sizeof root, 0));
  trace->begin_ns = root.clock[0];
  if (!strcmp(root.host, trace->host)) return WEIR_OK;
  for (int i = 0; i < ROUNDS; i++) mine[i] = root.clock[i] - mine[i];
  qsort(mine, ROUNDS, sizeof *mine, by_value);
  trace->shift_ns = mine[ROUNDS / 2];
  return WEIR_OK;
}

/* ---- life ---- */

static weir_status allocate(int threads, int64_t events, weir__trace **trace) {
  weir_status  status = WEIR_OK;
  weir__trace *self   = NULL;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  weir__channel_host(self->host);
  WEIR_TRY_GOTO(out, weir__alloc_zeroed(((size_t)threads + 1) * sizeof *self->ring, 64, &self->ring));
  for (; self->rings <= threads; self->rings++) {
    weir__trace_ring *ring = &self->ring[self->rings];
    size_t            size = (size_t)events * sizeof *ring->event;
    WEIR_TRY_GOTO(out, weir__alloc_zeroed(size, 64, &ring->event));
    memset(ring->event, 0xff, size); /* so that no page is touched for the first time in a step */
    ring->mask = (uint64_t)events - 1;
  }
  *trace = self;
  self   = NULL;
out:
  weir__trace_destroy(&self);
  return status;
}

weir_status weir__trace_create(weir__comm *comm, int threads, int64_t events, weir__trace **trace) {
  weir__trace *self = NULL;
  *trace            = NULL;
  if (!events) return WEIR_OK;
  weir_status status = weir__comm_agree(comm, allocate(threads, events, &self));
  if (status >= 0) status = compare_clocks(comm, self);
  if (status < 0) weir__trace_destroy(&self);
  else *trace = self;
  return status;
}

void weir__trace_destroy(weir__trace **trace) {
  weir__trace *self = *trace;
  if (!self) return;
  for (int i = 0; i < self->rings; i++) weir__free(self->ring[i].event);
  weir__free(self->ring);
  weir__free(self);
  *trace = NULL;
}

/* ---- events as text ---- */

enum { FLUSH_BYTES = 1 << 16 };

/* A file that is being written, and what of it is not in it yet. */
typedef struct output {
  int         file;
  const char *path;
  weir__text  text;
} output;

static weir_status flush(output *out) {
  WEIR_TRY(weir__text_status(&out->text));
  for (size_t done = 0; done < out->text.length;) {
    ssize_t n = write(out->file, out->text.data + done, out->text.length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be written: %s", out->path, strerror(errno));
    done += (size_t)n;
  }
  out->text.length = 0;
  return WEIR_OK;
}

/* A text of JSON; bytes that are not ASCII pass as they are, control characters do not. */
static void add_string(weir__text *text, const char *string) {
  weir__text_add_bytes(text, "\"", 1);
  for (const char *c = string; *c; c++) {
    if (*c == '"' || *c == '\\') weir__text_add(text, "\\%c", *c);
    else if ((unsigned char)*c < 0x20) weir__text_add(text, "\\u%04x", *c);
    else weir__text_add_bytes(text, c, 1);
  }
  weir__text_add_bytes(text, "\"", 1);
}

static void add_time(weir__text *text, const char *name, int64_t ns) {
  int64_t size = ns < 0 ? -ns : ns; /* the format counts in microseconds */
  weir__text_add(text, ",\"%s\":%s%lld.%03d", name, ns < 0 ? "-" : "", (long long)(size / 1000), (int)(size % 1000));
}

typedef struct printer {
  const weir__worker *w;
  output             *out;
  int                 thread;
} printer;

/* Everything but the name and what is particular to the kind. */
static void open_event(const printer *p, const char *phase, int64_t at_ns) {
  const weir__trace *trace = p->w->trace;
  weir__text_add(&p->out->text, ",\n{\"ph\":\"%s\",\"pid\":%d,\"tid\":%d", phase, p->w->plan->rank, p->thread);
  add_time(&p->out->text, "ts", at_ns + trace->shift_ns - trace->begin_ns);
}

static void add_span(const printer *p, const weir__trace_event *e, const char *name) {
  open_event(p, "X", e->begin_ns);
  add_time(&p->out->text, "dur", e->end_ns - e->begin_ns);
  weir__text_add(&p->out->text, ",\"name\":\"%s\"", name);
}

static void add_task(const printer *p, const weir__trace_event *e) {
  static const char *const kinds[] = {
      [WEIR__TASK_READ] = "read",       [WEIR__TASK_ASSEMBLE] = "assemble", [WEIR__TASK_APPLY] = "",
      [WEIR__TASK_REDUCE] = "reduce",   [WEIR__TASK_JOIN] = "join",         [WEIR__TASK_PACK] = "pack",
      [WEIR__TASK_DELIVER] = "deliver", [WEIR__TASK_DECIDE] = "hand over"};
  const weir__plan *plan   = p->w->plan;
  const weir__task *task   = &plan->task[e->what];
  weir__text       *text   = &p->out->text;
  const weir__node *node   = task->node >= 0 ? &p->w->graph->node[task->node] : NULL;
  int               chunks = task->kind == WEIR__TASK_JOIN   ? task->joins
                             : task->kind == WEIR__TASK_PACK ? plan->out[task->message].packets
                                                             : task->bits;
  weir__text        name   = {0};
  open_event(p, "X", e->begin_ns);
  add_time(text, "dur", e->end_ns - e->begin_ns);
  weir__text_add(&name, "%s%s%s", node && (node->named || !node->op) ? node->name : "",
                 node && (node->named || !node->op) ? "/" : "", node && node->op ? node->op->name : "");
  if (*kinds[task->kind]) weir__text_add(&name, "%s%s", node && node->op ? " " : "", kinds[task->kind]);
  if (name.failed) text->failed = true;
  else {
    weir__text_add(text, ",\"name\":");
    add_string(text, name.data);
  }
  weir__text_clear(&name);
  weir__text_add(text, ",\"cat\":\"task\",\"args\":{\"step\":%lld,\"chunks\":%d,\"task\":%u}}", (long long)e->step,
                 task->kind == WEIR__TASK_READ || task->kind == WEIR__TASK_ASSEMBLE ? 1 : chunks, e->what);
}

/* A message is one arrow from its sending to its receiving: both ends make the same number of it, below 2^53 so that
 * every reader of JSON keeps it whole (the mixing is that of splitmix64, Steele et al. 2014, doi
 * 10.1145/2660193.2660195). */
static uint64_t flow_of(int from, int to, int tag, int64_t step) {
  uint64_t words[] = {(uint64_t)from << 32 | (uint32_t)to, (uint64_t)tag, (uint64_t)step}, x = 0;
  for (int i = 0; i < 3; i++) {
    x = (x ^ words[i]) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
  }
  return x >> 11;
}

static void add_message(const printer *p, const weir__trace_event *e) {
  const weir__plan    *plan = p->w->plan;
  bool                 send = e->kind == WEIR__TRACE_SEND;
  const weir__message *m    = send ? &plan->out[e->what] : &plan->in[e->what];
  weir__text          *text = &p->out->text;
  add_span(p, e, send ? "send" : "receive");
  weir__text_add(text, ",\"cat\":\"message\",\"args\":{\"step\":%lld,\"%s\":%d,\"bytes\":%zu}}", (long long)e->step,
                 send ? "to" : "from", m->peer, m->bytes);
  open_event(p, send ? "s" : "f", e->begin_ns);
  weir__text_add(text, ",\"name\":\"message\",\"cat\":\"message\",\"id\":%llu%s}",
                 (unsigned long long)(send ? flow_of(plan->rank, m->peer, m->tag, e->step)
                                           : flow_of(m->peer, plan->rank, m->tag, e->step)),
                 send ? "" : ",\"bp\":\"e\"");
}

static void add_event(const printer *p, const weir__trace_event *e) {
  weir__text *text = &p->out->text;
  switch ((weir__trace_kind)e->kind) {
  case WEIR__TRACE_TASK: add_task(p, e); break;
  case WEIR__TRACE_STEP:
    for (int end = 0; end < 2; end++) { /* asynchronous: steps in flight overlap */
      open_event(p, end ? "e" : "b", end ? e->end_ns : e->begin_ns);
      weir__text_add(text,
                     ",\"name\":\"step\",\"cat\":\"step\",\"id2\":{\"local\":\"0x%llx\"},\"args\":{\"step\":%lld}}",
                     (unsigned long long)e->step, (long long)e->step);
    }
    break;
  case WEIR__TRACE_SEND:
  case WEIR__TRACE_RECEIVE: add_message(p, e); break;
  case WEIR__TRACE_WAIT:
    add_span(p, e, "wait");
    weir__text_add(text, ",\"cat\":\"wait\"}");
    break;
  case WEIR__TRACE_CHECKPOINT:
    add_span(p, e, "checkpoint");
    weir__text_add(text, ",\"cat\":\"checkpoint\",\"args\":{\"step\":%lld}}", (long long)e->step);
    break;
  case WEIR__TRACE_BLOCKED:
    open_event(p, "C", e->begin_ns);
    weir__text_add(text, ",\"name\":\"simulation blocked\",\"args\":{\"ms\":%.6f}}", (double)e->end_ns * 1e-6);
    break;
  case WEIR__TRACE_QUEUED:
    open_event(p, "C", e->begin_ns);
    weir__text_add(text, ",\"name\":\"steps waiting\",\"args\":{\"steps\":%lld}}", (long long)e->end_ns);
    break;
  }
}

/* ---- the parts ---- */

static void add_thread_name(const printer *p, int threads) {
  weir__text *text = &p->out->text;
  weir__text_add(text, ",\n{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"",
                 p->w->plan->rank, p->thread);
  if (p->thread == threads) weir__text_add(text, "owner\"}}");
  else weir__text_add(text, "thread %d\"}}", p->thread);
  /* the owner on top */
  weir__text_add(text,
                 ",\n{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}}",
                 p->w->plan->rank, p->thread, p->thread == threads ? -1 : p->thread);
}

static weir_status add_thread(const weir__worker *w, output *out, int thread) {
  const weir__trace_ring *ring  = &w->trace->ring[thread];
  uint64_t                first = ring->count > ring->mask ? ring->count - ring->mask - 1 : 0;
  printer                 p     = {w, out, thread};
  add_thread_name(&p, w->options.threads);
  if (first) {
    open_event(&p, "i", ring->event[first & ring->mask].begin_ns);
    weir__text_add(&out->text, ",\"s\":\"t\",\"name\":\"%llu earlier events were lost\",\"args\":{\"lost\":%llu}}",
                   (unsigned long long)first, (unsigned long long)first);
  }
  for (uint64_t i = first; i < ring->count; i++) {
    add_event(&p, &ring->event[i & ring->mask]);
    if (out->text.length >= FLUSH_BYTES) WEIR_TRY(flush(out));
  }
  return WEIR_OK;
}

/* One worker's events. Worker 0's part begins the file, and so has no comma before its first. */
static weir_status write_part(const weir__worker *w, const char *path) {
  weir_status status = WEIR_OK;
  int         rank   = w->plan->rank;
  output      out    = {.path = path, .file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (out.file < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  weir__text_add(&out.text, "%s{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":",
                 rank ? ",\n" : "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", rank);
  weir__text name = {0};
  weir__text_add(&name, "worker %d on %s", rank, w->trace->host);
  if (name.failed) out.text.failed = true;
  else add_string(&out.text, name.data);
  weir__text_clear(&name);
  weir__text_add(
      &out.text,
      "}},\n{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}", rank,
      rank);
  for (int i = 0; i < w->trace->rings && status >= 0; i++) status = add_thread(w, &out, i);
  if (status >= 0) status = flush(&out);
  if (close(out.file) && status >= 0)
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  weir__text_clear(&out.text);
  return status;
}

static weir_status append_part(output *out, const char *path) {
  char    bytes[FLUSH_BYTES];
  int     from = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n    = 0;
  if (from < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  weir_status status = WEIR_OK;
  while (status >= 0 && (n = read(from, bytes, sizeof bytes)) > 0) {
    weir__text_add_bytes(&out->text, bytes, (size_t)n);
    status = flush(out);
  }
  if (status >= 0 && n < 0) status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  close(from);
  return status;
}

static weir_status part_path(weir__text *path, const char *directory, int rank) {
  path->length = 0;
  weir__text_add(path, "%s/trace.%d", directory, rank);
  return weir__text_status(path);
}

/* The temporary name beside `path`: the same again after a crash. */
static weir_status temporary_path(weir__text *text, const char *path) {
  const char *slash  = strrchr(path, '/');
  int         folder = slash ? (int)(slash - path) + 1 : 0;
  weir__text_add(text, "%.*s.part-%s", folder, path, path + folder);
  return weir__text_status(text);
}

static weir_status join_parts(const weir__worker *w, const char *directory, const char *path, int64_t lost) {
  weir_status status    = WEIR_OK;
  weir__text  temporary = {0}, part = {0};
  output      out = {.file = -1, .path = path};
  WEIR_TRY_GOTO(out, temporary_path(&temporary, path));
  out.file = open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (out.file < 0) {
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    goto out;
  }
  for (int i = 0; i < w->plan->size; i++) {
    WEIR_TRY_GOTO(out, part_path(&part, directory, i));
    WEIR_TRY_GOTO(out, append_part(&out, part.data));
    unlink(part.data);
  }
  weir__text_add(&out.text,
                 "\n],\"otherData\":{\"lost_events\":%lld,\"clock\":\"CLOCK_MONOTONIC of worker 0; other nodes by the "
                 "median difference as eight barriers end\"}}\n",
                 (long long)lost);
  WEIR_TRY_GOTO(out, flush(&out));
  int failed = close(out.file);
  out.file   = -1;
  if (failed || rename(temporary.data, path))
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
out:
  if (out.file >= 0) close(out.file);
  if (status < 0 && temporary.data) unlink(temporary.data);
  weir__text_clear(&temporary);
  weir__text_clear(&part);
  weir__text_clear(&out.text);
  return status;
}

weir_status weir__worker_trace_write(const weir__worker *w, const char *directory, const char *path) {
  weir__text part = {0};
  int64_t    lost = 0;
  if (!w->trace) return WEIR_OK;
  for (int i = 0; i < w->trace->rings; i++) {
    const weir__trace_ring *ring = &w->trace->ring[i];
    if (ring->count > ring->mask) lost += (int64_t)(ring->count - ring->mask - 1);
  }
  weir_status status = part_path(&part, directory, w->plan->rank);
  if (status >= 0) status = write_part(w, part.data);
  weir__text_clear(&part);
  WEIR_TRY(weir__comm_agree(w->comm, status));
  WEIR_TRY(weir__comm_sum(w->comm, &lost, 1));
  return weir__comm_agree(w->comm, w->plan->rank ? WEIR_OK : join_parts(w, directory, path, lost));
}
