#include "run/report.h"
#include "run/directory.h"
#include <glob.h>
#include <jansson.h>
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
  if (status >= 0 && out->kind != WEIR__OUTPUT_ZARR) status = count_pattern(count, text.data);
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
  static const char *const kinds[] = {"zarr", "csv", "plot"};
  for (int i = 0; i < recipe->outputs && report->outputs < WEIR__REPORT_OUTPUTS_MAX; i++) {
    const weir__recipe_output *from  = &recipe->output[i];
    weir__report_output       *out   = &report->output[report->outputs];
    counting                   count = {.since_ns = since_ns};
    weir__text                 shown = {0};
    WEIR_TRY(count_output(from, &count));
    for (const char *c = from->path.text; *c; c++) {
      if (*c == '{') c += strcspn(c, "}"), weir__text_add(&shown, "*");
      else weir__text_add_bytes(&shown, c, 1);
    }
    weir_status status = weir__text_status(&shown);
    if (status >= 0) status = weir__arena_string(&report->arena, shown.data, &out->path);
    weir__text_clear(&shown);
    WEIR_TRY(status);
    out->kind  = kinds[from->kind];
    out->files = count.files;
    out->bytes = count.bytes;
    report->outputs++;
  }
  return WEIR_OK;
}

/* ---- the file ---- */

static json_t *outputs_json(const weir__report *report) {
  json_t *list = json_array();
  for (int i = 0; i < report->outputs; i++) {
    const weir__report_output *o = &report->output[i];
    json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "kind", o->kind, "path", o->path, "files",
                                          (json_int_t)o->files, "bytes", (json_int_t)o->bytes));
  }
  return list;
}

weir_status weir__report_write(const char *directory, const weir__report *r) {
  json_t *json = json_pack(
      "{s:s, s:b, s:b, s:s, s:I, s:I, s:i, s:i, s:f, s:f, s:f, s:{s:f, s:f, s:f}, s:I, s:I, s:I, s:I, s:I, s:o}", "run",
      r->run, "complete", (int)r->complete, "simulation", (int)r->simulated, "message", r->message ? r->message : "",
      "steps", (json_int_t)r->steps, "dropped_steps", (json_int_t)r->dropped_steps, "workers", r->workers, "threads",
      r->threads, "wall_s", r->wall_s, "compile_s", r->compile_s, "blocked_s", r->blocked_s, "latency_s", "median",
      r->latency_median_s, "p99", r->latency_p99_s, "max", r->latency_max_s, "tasks", (json_int_t)r->tasks, "messages",
      (json_int_t)r->messages, "message_bytes", (json_int_t)r->message_bytes, "plan_bytes", (json_int_t)r->plan_bytes,
      "intake_bytes", (json_int_t)r->intake_bytes, "outputs", outputs_json(r));
  char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(json);
  if (!text) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  weir_status status = weir__run_write(directory, "report.json", text, strlen(text));
  free(text); /* jansson's */
  return status;
}

static weir_status read_outputs(weir__report *report, const json_t *list) {
  for (size_t i = 0; i < json_array_size(list) && report->outputs < WEIR__REPORT_OUTPUTS_MAX; i++) {
    weir__report_output *o = &report->output[report->outputs];
    const char          *kind, *path;
    json_int_t           files, bytes;
    if (json_unpack(json_array_get(list, i), "{s:s, s:s, s:I, s:I}", "kind", &kind, "path", &path, "files", &files,
                    "bytes", &bytes))
      return WEIR_FAIL(WEIR_ERR_INPUT, "report.json: output %zu cannot be read", i);
    WEIR_TRY(weir__arena_string(&report->arena, kind, &o->kind));
    WEIR_TRY(weir__arena_string(&report->arena, path, &o->path));
    o->files = files;
    o->bytes = bytes;
    report->outputs++;
  }
  return WEIR_OK;
}

weir_status weir__report_read(const char *directory, weir__report *r) {
  weir__text   path = {0};
  json_error_t error;
  const char  *run, *message;
  json_int_t   n[7];
  json_t      *outputs;
  int          complete, simulated;
  *r = (weir__report){0};
  WEIR_TRY(weir__run_path(&path, directory, "report.json"));
  json_t     *json   = json_load_file(path.data, 0, &error);
  weir_status status = WEIR_OK;
  if (!json ||
      json_unpack_ex(
          json, &error, 0,
          "{s:s, s:b, s:b, s:s, s:I, s:I, s:i, s:i, s:F, s:F, s:F, s:{s:F, s:F, s:F}, s:I, s:I, s:I, s:I, s:I, "
          "s:o}",
          "run", &run, "complete", &complete, "simulation", &simulated, "message", &message, "steps", &n[0],
          "dropped_steps", &n[1], "workers", &r->workers, "threads", &r->threads, "wall_s", &r->wall_s, "compile_s",
          &r->compile_s, "blocked_s", &r->blocked_s, "latency_s", "median", &r->latency_median_s, "p99",
          &r->latency_p99_s, "max", &r->latency_max_s, "tasks", &n[2], "messages", &n[3], "message_bytes", &n[4],
          "plan_bytes", &n[5], "intake_bytes", &n[6], "outputs", &outputs)) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path.data, error.text);
    goto out;
  }
  r->complete      = complete;
  r->simulated     = simulated;
  r->steps         = n[0];
  r->dropped_steps = n[1];
  r->tasks         = n[2];
  r->messages      = n[3];
  r->message_bytes = n[4];
  r->plan_bytes    = n[5];
  r->intake_bytes  = n[6];
  WEIR_TRY_GOTO(out, weir__arena_string(&r->arena, run, &r->run));
  if (*message) WEIR_TRY_GOTO(out, weir__arena_string(&r->arena, message, &r->message));
  status = read_outputs(r, outputs);
out:
  json_decref(json);
  weir__text_clear(&path);
  if (status < 0) weir__report_clear(r);
  return status;
}

void weir__report_clear(weir__report *report) { weir__arena_clear(&report->arena); }

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

static void add_details(weir__text *text, const weir__report *r) {
  char a[24], size[16];
  weir__text_add(text, "  compiled   in %s, %s of buffers in all workers\n", weir__duration_text(r->compile_s, a),
                 weir__text_bytes((double)r->plan_bytes, size));
  if (r->simulated) weir__text_add(text, "  intake     %s\n", weir__text_bytes((double)r->intake_bytes, size));
  weir__text_add(text, "  tasks      %lld, %.1f per step\n", (long long)r->tasks,
                 r->steps ? (double)r->tasks / (double)r->steps : 0);
  weir__text_add(text, "  messages   %lld with %s\n", (long long)r->messages,
                 weir__text_bytes((double)r->message_bytes, size));
}

weir_status weir__report_text(const weir__report *r, bool full, weir__text *text) {
  char a[24], b[24], c[24];
  weir__text_add(text, "%s: %lld step%s in %s", r->run, (long long)r->steps, r->steps == 1 ? "" : "s",
                 weir__duration_text(r->wall_s, a));
  if (r->wall_s > 0 && r->steps) weir__text_add(text, ", %.3g steps/s", (double)r->steps / r->wall_s);
  weir__text_add(text, ", %d worker%s\n", r->workers, r->workers == 1 ? "" : "s");
  if (r->simulated)
    weir__text_add(text, "  blocked    each process of the simulation waited %s for the analysis (%.1f %%)\n",
                   weir__duration_text(r->blocked_s, a), r->wall_s > 0 ? 100 * r->blocked_s / r->wall_s : 0);
  weir__text_add(text, "  latency    median %s, 99 %% within %s, at most %s\n",
                 weir__duration_text(r->latency_median_s, a), weir__duration_text(r->latency_p99_s, b),
                 weir__duration_text(r->latency_max_s, c));
  if (full) add_details(text, r);
  add_outputs(text, r);
  if (r->dropped_steps)
    weir__text_add(text, "  warning    %lld step%s did not arrive from all processes and %s left out\n",
                   (long long)r->dropped_steps, r->dropped_steps == 1 ? "" : "s",
                   r->dropped_steps == 1 ? "was" : "were");
  if (!r->complete) weir__text_add(text, "  incomplete %s\n", r->message ? r->message : "");
  return weir__text_status(text);
}
