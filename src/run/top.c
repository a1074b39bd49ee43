#include "run/top.h"
#include "io/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LATE_S = 5, TAIL_BYTES = 16384 };

/* ---- reading ---- */

/* The last (`newest`) or first lines of a file of the run directory, at most `count`; no file: NULL. */
static weir_status read_lines(const char *directory, const char *name, int count, bool newest, char **lines) {
  weir__text  path = {0};
  struct stat s;
  char       *bytes  = NULL;
  weir_status status = weir__run_path(&path, directory, name);
  int         file   = status < 0 ? -1 : open(path.data, O_RDONLY | O_CLOEXEC);
  weir__text_clear(&path);
  if (file < 0) return status;
  off_t   from = newest && !fstat(file, &s) && s.st_size > TAIL_BYTES ? s.st_size - TAIL_BYTES : 0;
  ssize_t n    = -1;
  status       = weir__alloc_zeroed(TAIL_BYTES + 1, 0, &bytes);
  if (status >= 0) n = pread(file, bytes, TAIL_BYTES, from);
  close(file);
  if (n <= 0) {
    weir__free(bytes);
    return status;
  }
  while (n > 0 && bytes[n - 1] == '\n') bytes[--n] = 0;
  char *first = bytes;
  int   seen  = 0;
  if (newest) {
    for (char *c = bytes + n; c > bytes && seen < count; c--)
      if (c[-1] == '\n' && ++seen == count) first = c;
  } else {
    for (char *c = bytes; *c && seen < count; c++)
      if (*c == '\n' && ++seen == count) *c = 0;
  }
  status = weir__alloc_string(first, lines);
  weir__free(bytes);
  return status;
}

static weir_status read_workers(const char *directory, int workers, weir__top *top) {
  WEIR_TRY(weir__alloc_array((size_t)workers, sizeof *top->worker, &top->worker));
  top->workers = workers;
  for (int i = 0; i < workers; i++) WEIR_TRY(weir__live_read(directory, i, &top->worker[i]));
  return WEIR_OK;
}

static bool any_worker(const weir__top *top) {
  for (int i = 0; i < top->workers; i++)
    if (top->worker[i].pid) return true;
  return false;
}

static weir_status read_run(const char *directory, weir__top *top) {
  weir__text         path   = {0};
  weir__recipe      *recipe = NULL;
  weir__run_settings settings;
  struct stat        s;
  struct timespec    now;
  weir_status        status = weir__run_path(&path, directory, "run.json");
  if (status >= 0 && stat(path.data, &s))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: no run lives or lived in this directory (it has no run.json)", directory);
  weir__text_clear(&path);
  WEIR_TRY(status);
  clock_gettime(CLOCK_REALTIME, &now);
  top->now_ns    = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
  top->elapsed_s = (double)(now.tv_sec - s.st_mtim.tv_sec) + (double)(now.tv_nsec - s.st_mtim.tv_nsec) * 1e-9;
  WEIR_TRY(weir__run_directory_recipe(directory, &recipe, &settings));
  snprintf(top->run, sizeof top->run, "%s", recipe->run);
  status = read_workers(directory, settings.workers, top);
  weir__recipe_destroy(&recipe);
  return status;
}

weir_status weir__top_read(const char *directory, weir__top *top) {
  *top               = (weir__top){0};
  weir_status status = read_run(directory, top);
  if (status >= 0) weir__run_status_read(directory, &top->status);
  weir__run_phase phase = top->status.phase;
  top->ended =
      phase == WEIR__PHASE_DONE || phase == WEIR__PHASE_FAILED || (phase == WEIR__PHASE_NONE && !any_worker(top));
  if (status >= 0) status = read_lines(directory, "parameters", WEIR__TOP_PARAMETERS, false, &top->parameters);
  if (status >= 0) status = read_lines(directory, "decisions.log", WEIR__TOP_DECISIONS, true, &top->decisions);
  if (status >= 0 && top->ended) top->reported = weir__report_read(directory, &top->report) >= 0;
  if (status < 0) weir__top_clear(top);
  return status;
}

void weir__top_clear(weir__top *top) {
  weir__free(top->worker);
  weir__free(top->parameters);
  weir__free(top->decisions);
  weir__report_clear(&top->report);
  *top = (weir__top){0};
}

/* ---- figures in few places ---- */

static const char *rate_text(double per_s, char out[16]) {
  if (per_s >= 1e6) snprintf(out, 16, "%.3g M", per_s * 1e-6);
  else if (per_s >= 1e4) snprintf(out, 16, "%.3g k", per_s * 1e-3);
  else if (per_s >= 100) snprintf(out, 16, "%.0f", per_s);
  else snprintf(out, 16, "%.3g", per_s);
  return out;
}

static const char *share_text(double share, char out[16]) {
  snprintf(out, 16, "%.1f %%", share > 0 ? 100 * share : 0.0);
  return out;
}

static double age_s(const weir__top *top, const weir__live_record *w) {
  double age = (double)(top->now_ns - w->beat_ns) * 1e-9;
  return age > 0 ? age : 0; /* clocks of nodes differ */
}

/* ---- drawing ---- */

typedef struct page {
  weir__text *text;
  int         columns, lines;
  bool        colour;
} page;

/* One line, cut at the right; control characters and halves of characters are not passed on. */
static void add_line(page *p, const char *style, const char *line, size_t length) {
  int column = 0;
  if (p->colour && *style) weir__text_add(p->text, "\033[%sm", style);
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)line[i];
    if ((c & 0xc0) != 0x80 && column++ == p->columns) break; /* a character begins */
    if (c == '\t') c = ' ';
    weir__text_add_bytes(p->text, c < 0x20 || c == 0x7f ? "?" : (const char *)&c, 1);
  }
  if (p->colour && *style) weir__text_add(p->text, "\033[0m");
  weir__text_add(p->text, "\n");
  p->lines++;
}

static void add(page *p, const char *style, const char *format, ...) WEIR_PRINTF(3, 4);
static void add(page *p, const char *style, const char *format, ...) {
  char    line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  size_t length = strlen(line);
  while (length && line[length - 1] == ' ') length--;
  add_line(p, style, line, length);
}

static const char *const bold = "1", *const faint = "2", *const red = "31", *const plain = "";

static void add_header(page *p, const weir__top *top) {
  static const char *const phases[] = {"starting", "waiting for the simulation", "running", "done", "failed"};
  const weir__run_status  *s        = &top->status;
  char                     time[40], elapsed[24];
  double                   youngest    = -1;
  int64_t                  checkpoints = 0;
  if (s->steps)
    add(p, bold, "%s   %s   %s   step %lld   time %s", top->run, phases[s->phase],
        weir__duration_text(top->elapsed_s, elapsed), (long long)s->step,
        weir__time_text(s->time, s->time_units, time));
  else add(p, bold, "%s   %s   %s", top->run, phases[s->phase], weir__duration_text(top->elapsed_s, elapsed));
  for (int i = 0; i < top->workers; i++)
    if (top->worker[i].pid && (youngest < 0 || age_s(top, &top->worker[i]) < youngest))
      youngest = age_s(top, &top->worker[i]);
  for (int i = 0; i < top->workers; i++)
    if (top->worker[i].checkpoints > checkpoints) checkpoints = top->worker[i].checkpoints;
  if (checkpoints) add(p, plain, "%lld checkpoint%s made", (long long)checkpoints, checkpoints == 1 ? "" : "s");
  if (s->phase == WEIR__PHASE_RUNNING && youngest > LATE_S)
    add(p, red, "no worker has given a sign of life for %s", weir__duration_text(youngest, elapsed));
}

/* All workers retire the same steps; each serves processes of its own. */
static weir__live_stream whole_stream(const weir__top *top, int number) {
  weir__live_stream all    = {0};
  double            shares = 0;
  for (int i = 0; i < top->workers; i++) {
    const weir__live_stream *s = &top->worker[i].stream[number];
    if (number >= top->worker[i].streams) continue;
    if (!*all.name) memcpy(all.name, s->name, sizeof all.name);
    if (s->steps_per_s > all.steps_per_s) all.steps_per_s = s->steps_per_s;
    if (s->latency_median_s > all.latency_median_s) all.latency_median_s = s->latency_median_s;
    if (s->latency_p99_s > all.latency_p99_s) all.latency_p99_s = s->latency_p99_s;
    if (s->queued > all.queued) all.queued = s->queued;
    if (s->spilled > all.spilled) all.spilled = s->spilled;
    if (s->dropped + s->incomplete > all.dropped) all.dropped = s->dropped + s->incomplete;
    shares += s->blocked_share * (double)s->processes;
    all.processes += s->processes;
  }
  all.blocked_share = all.processes ? shares / (double)all.processes : 0;
  return all;
}

static void add_streams(page *p, const weir__top *top) {
  int streams = 0;
  for (int i = 0; i < top->workers; i++)
    if (top->worker[i].streams > streams) streams = (int)top->worker[i].streams;
  if (!streams) return;
  add(p, plain, "%s", "");
  add(p, faint, "%-10s%7s%9s%9s%8s%6s%6s%5s", "stream", "steps/s", "median", "99 %", "blocked", "queue", "spill",
      "drop");
  for (int i = 0; i < streams; i++) {
    weir__live_stream s = whole_stream(top, i);
    char              rate[16], median[24] = "", p99[24] = "", blocked[16] = "";
    if (s.latency_median_s > 0) weir__duration_text(s.latency_median_s, median);
    if (s.latency_p99_s > 0) weir__duration_text(s.latency_p99_s, p99);
    if (s.processes) share_text(s.blocked_share, blocked);
    add(p, plain, "%-9.9s %7s%9s%9s%8s%6lld%6lld%5lld", *s.name ? s.name : "files", rate_text(s.steps_per_s, rate),
        median, p99, blocked, (long long)s.queued, (long long)s.spilled, (long long)s.dropped);
  }
}

static void add_lines(page *p, const char *title, const char *lines) {
  if (!lines || !*lines) return;
  add(p, plain, "%s", "");
  add(p, faint, "%s", title);
  for (const char *line = lines;; line += strcspn(line, "\n") + 1) {
    add_line(p, plain, line, strcspn(line, "\n"));
    if (!line[strcspn(line, "\n")]) return;
  }
}

static void add_worker(page *p, const weir__top *top, int rank) {
  const weir__live_record *w = &top->worker[rank];
  char                     rate[16], memory[16], load[16], age[24];
  if (!w->pid) {
    add(p, plain, "%-7d%s", rank, "not started");
    return;
  }
  double since = age_s(top, w);
  bool   late  = w->phase == WEIR__PHASE_RUNNING && since > LATE_S;
  snprintf(load, sizeof load, "%.0f %%", 100 * w->load);
  if (since < 100) snprintf(age, sizeof age, "%.1f s", since);
  else weir__duration_text(since, age);
  add(p, late ? red : plain, "%-7d%-10.10s %8s%11s%7s%8lld%8s", rank, w->host, rate_text(w->tasks_per_s, rate),
      weir__text_bytes((double)w->memory_bytes, memory), load, (long long)w->restarts, age);
}

static void add_workers(page *p, const weir__top *top, int rows) {
  add(p, plain, "%s", "");
  add(p, faint, "%-7s%-10s %8s%11s%7s%8s%8s", "worker", "host", "tasks/s", "memory", "load", "restart", "beat");
  for (int i = 0; i < top->workers; i++) {
    if (rows && p->lines >= rows - 1 && i + 1 < top->workers) {
      add(p, faint, "and %d more workers", top->workers - i);
      return;
    }
    add_worker(p, top, i);
  }
}

static weir_status add_end(page *p, const weir__top *top) {
  if (top->reported) {
    add(p, bold, "%s has ended: %s", top->run, top->report.complete ? "complete" : "incomplete");
    return weir__report_text(&top->report, false, p->text);
  }
  if (*top->status.message) add(p, bold, "%s has failed: %s", top->run, top->status.message);
  else add(p, bold, "%s is not running, and there is no report: it has just started, or ended early", top->run);
  return weir__text_status(p->text);
}

weir_status weir__top_text(const weir__top *top, int columns, int rows, bool colour, weir__text *text) {
  page p = {.text = text, .columns = columns < 60 ? 60 : columns, .colour = colour};
  if (top->ended) return add_end(&p, top);
  add_header(&p, top);
  add_streams(&p, top);
  add_lines(&p, "parameters", top->parameters);
  add_lines(&p, "decisions", top->decisions);
  add_workers(&p, top, rows);
  return weir__text_status(text);
}
