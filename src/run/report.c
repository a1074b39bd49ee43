#include "run/report.h"
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- times for people ---- */

const char *weir__duration_text(double s, char out[24]) {
  if (!(s >= 0)) snprintf(out, 24, "?");
  else if (s < 1e-3) snprintf(out, 24, "%.0f us", s * 1e6);
  else if (s < 1) snprintf(out, 24, "%.1f ms", s * 1e3);
  else if (s < 120) snprintf(out, 24, "%.1f s", s);
  else if (s < 7200) snprintf(out, 24, "%.1f min", s / 60);
  else snprintf(out, 24, "%.1f h", s / 3600);
  return out;
}

double weir__time_unit(const char *units) {
  static const struct {
    const char *name;
    double      seconds;
  } known[]     = {{"s", 1},
                   {"sec", 1},
                   {"secs", 1},
                   {"second", 1},
                   {"seconds", 1},
                   {"min", 60},
                   {"mins", 60},
                   {"minute", 60},
                   {"minutes", 60},
                   {"h", 3600},
                   {"hr", 3600},
                   {"hrs", 3600},
                   {"hour", 3600},
                   {"hours", 3600},
                   {"d", 86400},
                   {"day", 86400},
                   {"days", 86400},
                   {"ms", 1e-3},
                   {"us", 1e-6},
                   {"milliseconds", 1e-3},
                   {"microseconds", 1e-6}};
  size_t length = units ? strcspn(units, " ") : 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strlen(known[i].name) == length && !strncmp(known[i].name, units, length)) return known[i].seconds;
  return 0;
}

const char *weir__time_text(double time, const char *units, char out[40]) {
  double unit = weir__time_unit(units), s = time * unit, size = fabs(s);
  if (unit <= 0) snprintf(out, 40, "%.6g", time);
  else if (size < 120) snprintf(out, 40, "%.4g s", s);
  else if (size < 7200) snprintf(out, 40, "%.1f min", s / 60);
  else if (size < 2 * 86400) snprintf(out, 40, "%.1f h", s / 3600);
  else snprintf(out, 40, "%.1f d", s / 86400);
  return out;
}

/* ---- outputs ---- */

typedef struct counting {
  int64_t since_ns, files, bytes;
} counting;

static void count_file(counting *count, const struct stat *s) {
  int64_t changed = (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec;
  if (!S_ISREG(s->st_mode) || changed < count->since_ns) return;
  count->files++;
  count->bytes += s->st_size;
}

/* A store is two levels deep, so two patterns find all of it. */
static weir_status count_pattern(counting *count, const char *pattern) {
  glob_t found = {0};
  int    rc    = glob(pattern, GLOB_PERIOD, NULL, &found);
  if (rc == GLOB_NOSPACE) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  for (size_t i = 0; !rc && i < found.gl_pathc; i++) {
    struct stat s;
    if (!stat(found.gl_pathv[i], &s)) count_file(count, &s);
  }
  globfree(&found);
  return WEIR_OK;
}

/* Characters that mean something to glob are escaped; {...} becomes a star when `braces`. */
static void add_pattern(weir__text *text, const char *path, bool braces) {
  for (const char *c = path; *c; c++) {
    if (braces && *c == '{') {
      weir__text_add(text, "*");
      c += strcspn(c, "}");
      if (!*c) break;
    } else {
      if (strchr("*?[\\", *c)) weir__text_add(text, "\\");
      weir__text_add_bytes(text, c, 1);
    }
  }
}

static weir_status count_output(const weir__recipe_output *out, counting *count) {
  static const char *const levels[] = {"/*", "/*/*", NULL};
  weir__text               text     = {0};
  add_pattern(&text, out->path.text, out->kind == WEIR__OUTPUT_PLOT);
  weir_status status = weir__text_status(&text);
  size_t      length = text.length;
  if (status >= 0 && out->kind != WEIR__OUTPUT_ZARR && out->kind != WEIR__OUTPUT_FLUIDIMAGE)
    status = count_pattern(count, text.data);
  if (status >= 0 && out->kind == WEIR__OUTPUT_FLUIDIMAGE) {
    weir__text_add(&text, "/piv_*.h5");
    status = weir__text_status(&text);
    if (status >= 0) status = count_pattern(count, text.data);
  }
  if (status >= 0 && out->kind == WEIR__OUTPUT_VTK) { /* the collection, and the folder of files beside it */
    text.length = length - strlen(".pvd");
    weir__text_add(&text, "/*.vt[ir]");
    status = weir__text_status(&text);
    if (status >= 0) status = count_pattern(count, text.data);
  }
  for (const char *const *level = levels; status >= 0 && out->kind == WEIR__OUTPUT_ZARR && *level; level++) {
    text.length = length;
    weir__text_add(&text, "%s", *level);
    status = weir__text_status(&text);
    if (status >= 0) status = count_pattern(count, text.data);
  }
  weir__text_clear(&text);
  return status;
}

weir_status weir__report_outputs(const weir__recipe *recipe, int64_t since_ns, weir__report *report) {
  for (int i = 0; i < recipe->outputs; i++) {
    const weir__recipe_output *from  = &recipe->output[i];
    counting                   count = {.since_ns = since_ns};
    weir__text                 shown = {0};
    WEIR_TRY(count_output(from, &count));
    for (const char *c = from->path.text; *c; c++) {
      if (*c == '{') c += strcspn(c, "}"), weir__text_add(&shown, "*");
      else weir__text_add_bytes(&shown, c, 1);
    }
    weir_status status = weir__text_status(&shown);
    if (status >= 0)
      status = weir__report_add_output(
          report, &(weir__report_output){weir__recipe_output_kinds[from->kind], shown.data, count.files, count.bytes});
    weir__text_clear(&shown);
    WEIR_TRY(status);
  }
  return WEIR_OK;
}

/* ---- the summary ---- */

static void add_outputs(weir__text *text, const weir__report *r) {
  char size[16];
  for (int i = 0; i < r->outputs; i++) {
    const weir__report_output *o = &r->output[i];
    weir__text_add(text, "  %-10s %s: ", i ? "" : "outputs", o->path);
    if (!o->files) weir__text_add(text, "nothing written\n");
    else if (o->files == 1) weir__text_add(text, "%s\n", weir__text_bytes((double)o->bytes, size));
    else weir__text_add(text, "%s in %lld files\n", weir__text_bytes((double)o->bytes, size), (long long)o->files);
  }
}

static void add_worker(weir__text *text, const weir__report_worker *w) {
  char memory[16], bytes[16], cpu[24];
  weir__text_add(text, "  worker %-3lld %s: %lld tasks, %s sent, %s of memory", (long long)w->rank, w->host,
                 (long long)w->tasks, weir__text_bytes((double)w->message_bytes, bytes),
                 weir__text_bytes((double)w->memory_bytes, memory));
  weir__text_add(text, ", %s of processor time", weir__duration_text(w->cpu_s, cpu));
  if (w->restarts) weir__text_add(text, ", restarted %lld times", (long long)w->restarts);
  weir__text_add(text, "\n");
}

static void add_details(weir__text *text, const weir__report *r) {
  char a[24], b[24], c[24], size[16];
  weir__text_add(text, "  compiled   in %s, %s of buffers in all workers\n", weir__duration_text(r->compile_s, a),
                 weir__text_bytes((double)r->plan_bytes, size));
  if (r->simulated) weir__text_add(text, "  intake     %s\n", weir__text_bytes((double)r->intake_bytes, size));
  weir__text_add(text, "  tasks      %lld, %.1f per step\n", (long long)r->tasks,
                 r->steps ? (double)r->tasks / (double)r->steps : 0);
  weir__text_add(text, "  messages   %lld with %s\n", (long long)r->messages,
                 weir__text_bytes((double)r->message_bytes, size));
  for (int i = 0; i < r->streams && r->streams > 1; i++) {
    const weir__report_stream *s = &r->stream[i];
    weir__text_add(text, "  stream     %s: %lld steps, median latency %s, 99 %% within %s, blocked %s\n", s->name,
                   (long long)s->steps, weir__duration_text(s->latency_median_s, a),
                   weir__duration_text(s->latency_p99_s, b), weir__duration_text(s->blocked_s, c));
  }
  for (int i = 0; i < r->workers; i++) add_worker(text, &r->worker[i]);
}

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* What happened to keep the run going; nothing is said of what did not. */
static void add_events(weir__text *text, const weir__report *r) {
  char time[24], size[16];
  if (r->checkpoints)
    weir__text_add(text, "  checkpoint %lld made in %s, the last of %s\n", (long long)r->checkpoints,
                   weir__duration_text(r->checkpoint_s, time), weir__text_bytes((double)r->checkpoint_bytes, size));
  if (r->checkpoint_failure) weir__text_add(text, "  checkpoint none any more since: %s\n", r->checkpoint_failure);
  if (r->restarts)
    weir__text_add(text, "  restarts   workers were restarted %lld time%s\n", (long long)r->restarts,
                   plural(r->restarts));
  if (r->decisions)
    weir__text_add(text, "  decisions  %lld, in decisions.log of the run directory\n", (long long)r->decisions);
  if (r->spilled_steps)
    weir__text_add(text, "  spilled    %lld step%s went over the disk, in order\n", (long long)r->spilled_steps,
                   plural(r->spilled_steps));
  if (r->trace) weir__text_add(text, "  trace      %s\n", r->trace);
}

enum { SHOWN = 5, SHOWN_OF_FILES = 100 }; /* lines of a list in the summary; the file has all */

static void add_missing(weir__text *text, const weir__report *r, bool full) {
  int64_t rest = r->missing_more;
  if (r->partial_steps)
    weir__text_add(text, "  warning    %lld step%s did not arrive from all processes and %s left out\n",
                   (long long)r->partial_steps, plural(r->partial_steps), r->partial_steps == 1 ? "was" : "were");
  if (r->dropped_steps)
    weir__text_add(text, "  warning    %lld step%s %s dropped because the analysis was too slow\n",
                   (long long)r->dropped_steps, plural(r->dropped_steps), r->dropped_steps == 1 ? "was" : "were");
  for (int i = 0; i < r->missings; i++) {
    const weir__report_missing *m = &r->missing[i];
    if (!full && i >= (r->simulated ? SHOWN : SHOWN_OF_FILES)) rest++;
    else if (m->from == m->to) weir__text_add(text, "  missing    step %lld: %s\n", (long long)m->from, m->why);
    else
      weir__text_add(text, "  missing    %lld step%s from %lld to %lld: %s\n", (long long)m->count, plural(m->count),
                     (long long)m->from, (long long)m->to, m->why);
  }
  if (rest) weir__text_add(text, "  missing    and %lld more\n", (long long)rest);
}

static void add_failures(weir__text *text, const weir__report *r, bool full) {
  int64_t rest = r->failure_more;
  for (int i = 0; i < r->failures; i++) {
    const weir__report_failure *f = &r->failure[i];
    if (!full && i >= SHOWN) rest++;
    else
      weir__text_add(text, "  failed     %s (%s) in %lld step%s, first at step %lld: %s\n", f->field, f->policy,
                     (long long)f->steps, plural(f->steps), (long long)f->first_step, f->message);
  }
  if (rest) weir__text_add(text, "  failed     and %lld more\n", (long long)rest);
}

weir_status weir__report_text(const weir__report *r, bool full, weir__text *text) {
  char a[24], b[24], c[24];
  weir__text_add(text, "%s: %lld step%s in %s", r->run, (long long)r->steps, plural(r->steps),
                 weir__duration_text(r->wall_s, a));
  if (r->wall_s > 0 && r->steps) weir__text_add(text, ", %.3g steps/s", (double)r->steps / r->wall_s);
  weir__text_add(text, ", %d worker%s\n", r->workers, plural(r->workers));
  if (r->simulated)
    weir__text_add(text, "  blocked    each process of the simulation waited %s for the analysis (%.1f %%)\n",
                   weir__duration_text(r->blocked_s, a), r->wall_s > 0 ? 100 * r->blocked_s / r->wall_s : 0);
  weir__text_add(text, "  latency    median %s, 99 %% within %s, at most %s\n",
                 weir__duration_text(r->latency_median_s, a), weir__duration_text(r->latency_p99_s, b),
                 weir__duration_text(r->latency_max_s, c));
  if (full) add_details(text, r);
  add_outputs(text, r);
  add_events(text, r);
  add_missing(text, r, full);
  add_failures(text, r, full);
  if (!r->complete) weir__text_add(text, "  incomplete %s\n", r->message ? r->message : "");
  return weir__text_status(text);
}
