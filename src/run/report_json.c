/* report.json: one table per kind of line says what is in it; writing, reading and adding follow from the tables. */
#include "run/directory.h"
#include "run/report.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { TEXT, WHOLE, REAL, FLAG } kind;

typedef struct member {
  const char *name; /* NULL: the end */
  kind        kind;
  size_t      at;
} member;

#define OUTPUT(kind, name)                                                                                             \
  { #name, kind, offsetof(weir__report_output, name) }
#define STREAM(kind, name)                                                                                             \
  { #name, kind, offsetof(weir__report_stream, name) }
#define WORKER(kind, name)                                                                                             \
  { #name, kind, offsetof(weir__report_worker, name) }
#define MISSING(kind, name)                                                                                            \
  { #name, kind, offsetof(weir__report_missing, name) }
#define FAILURE(kind, name)                                                                                            \
  { #name, kind, offsetof(weir__report_failure, name) }
#define REPORT(kind, name)                                                                                             \
  { #name, kind, offsetof(weir__report, name) }

static const member output_members[] = {
    OUTPUT(TEXT, kind), OUTPUT(TEXT, path), OUTPUT(WHOLE, files), OUTPUT(WHOLE, bytes), {0}};

static const member stream_members[] = {
    STREAM(TEXT, name),           STREAM(WHOLE, steps),        STREAM(WHOLE, dropped_steps),
    STREAM(WHOLE, spilled_steps), STREAM(REAL, blocked_s),     STREAM(REAL, latency_median_s),
    STREAM(REAL, latency_p99_s),  STREAM(REAL, latency_max_s), {0}};

static const member worker_members[] = {
    WORKER(WHOLE, rank),         WORKER(TEXT, host),           WORKER(WHOLE, restarts),
    WORKER(WHOLE, steps),        WORKER(WHOLE, claimed),       WORKER(WHOLE, tasks),
    WORKER(WHOLE, messages),     WORKER(WHOLE, message_bytes), WORKER(WHOLE, plan_bytes),
    WORKER(WHOLE, intake_bytes), WORKER(WHOLE, memory_bytes),  WORKER(REAL, run_s),
    WORKER(REAL, cpu_s),         WORKER(REAL, blocked_s),      {0}};

static const member missing_members[] = {MISSING(TEXT, stream), MISSING(WHOLE, from), MISSING(WHOLE, to),
                                         MISSING(WHOLE, count), MISSING(TEXT, why),   {0}};

static const member failure_members[] = {FAILURE(TEXT, field),       FAILURE(TEXT, policy),  FAILURE(WHOLE, steps),
                                         FAILURE(WHOLE, first_step), FAILURE(TEXT, message), {0}};

static const member report_members[] = {REPORT(TEXT, run),
                                        REPORT(FLAG, complete),
                                        REPORT(FLAG, simulated),
                                        REPORT(TEXT, message),
                                        REPORT(TEXT, trace),
                                        REPORT(WHOLE, steps),
                                        REPORT(WHOLE, dropped_steps),
                                        REPORT(WHOLE, spilled_steps),
                                        REPORT(WHOLE, partial_steps),
                                        REPORT(WHOLE, threads),
                                        REPORT(REAL, wall_s),
                                        REPORT(REAL, compile_s),
                                        REPORT(REAL, blocked_s),
                                        REPORT(REAL, latency_median_s),
                                        REPORT(REAL, latency_p99_s),
                                        REPORT(REAL, latency_max_s),
                                        REPORT(WHOLE, tasks),
                                        REPORT(WHOLE, messages),
                                        REPORT(WHOLE, message_bytes),
                                        REPORT(WHOLE, plan_bytes),
                                        REPORT(WHOLE, intake_bytes),
                                        REPORT(WHOLE, restarts),
                                        REPORT(WHOLE, checkpoints),
                                        REPORT(WHOLE, checkpoint_bytes),
                                        REPORT(REAL, checkpoint_s),
                                        REPORT(TEXT, checkpoint_failure),
                                        REPORT(WHOLE, decisions),
                                        REPORT(WHOLE, missing_more),
                                        REPORT(WHOLE, failure_more),
                                        {0}};

/* A list of the report: its items lie in the arena, their room is the next power of two. */
typedef struct list {
  const char   *name;
  const member *members;
  size_t        size, items, count; /* of an item; where the pointer and the number are in the report */
  size_t        more;               /* where it is counted what does not fit; 0: the list has no end */
} list;

static const list lists[] = {{"outputs", output_members, sizeof(weir__report_output), offsetof(weir__report, output),
                              offsetof(weir__report, outputs), 0},
                             {"streams", stream_members, sizeof(weir__report_stream), offsetof(weir__report, stream),
                              offsetof(weir__report, streams), 0},
                             {"workers", worker_members, sizeof(weir__report_worker), offsetof(weir__report, worker),
                              offsetof(weir__report, workers), 0},
                             {"missing", missing_members, sizeof(weir__report_missing), offsetof(weir__report, missing),
                              offsetof(weir__report, missings), offsetof(weir__report, missing_more)},
                             {"failed", failure_members, sizeof(weir__report_failure), offsetof(weir__report, failure),
                              offsetof(weir__report, failures), offsetof(weir__report, failure_more)}};
enum { OUTPUTS, STREAMS, WORKERS, MISSINGS, FAILURES, LISTS };

/* ---- adding ---- */

static char *items_of(const weir__report *report, const list *l) {
  char *items;
  memcpy(&items, (const char *)report + l->items, sizeof items);
  return items;
}

static int count_of(const weir__report *report, const list *l) {
  return *(const int *)(const void *)((const char *)report + l->count);
}

static weir_status add(weir__report *report, int which, const void *item) {
  const list *l     = &lists[which];
  int        *count = (int *)(void *)((char *)report + l->count);
  char       *items = items_of(report, l);
  if (l->more && *count >= WEIR__REPORT_LIST_MAX) {
    ++*(int64_t *)(void *)((char *)report + l->more);
    return WEIR_OK;
  }
  if (!(*count & (*count - 1))) { /* full: 0, 1, 2, 4, 8 ... */
    char *larger;
    WEIR_TRY(weir__arena_alloc(&report->arena, (size_t)(*count ? 2 * *count : 1) * l->size, &larger));
    if (*count) memcpy(larger, items, (size_t)*count * l->size);
    memcpy((char *)report + l->items, &larger, sizeof larger);
    items = larger;
  }
  char *to = items + (size_t)*count * l->size;
  memcpy(to, item, l->size);
  for (const member *m = l->members; m->name; m++) {
    const char **text = (const char **)(void *)(to + m->at);
    if (m->kind == TEXT) WEIR_TRY(weir__arena_string(&report->arena, *text ? *text : "", text));
  }
  ++*count;
  return WEIR_OK;
}

weir_status weir__report_add_output(weir__report *r, const weir__report_output *item) { return add(r, OUTPUTS, item); }
weir_status weir__report_add_stream(weir__report *r, const weir__report_stream *item) { return add(r, STREAMS, item); }
weir_status weir__report_add_worker(weir__report *r, const weir__report_worker *item) { return add(r, WORKERS, item); }
weir_status weir__report_add_missing(weir__report *r, const weir__report_missing *item) {
  return add(r, MISSINGS, item);
}
weir_status weir__report_add_failure(weir__report *r, const weir__report_failure *item) {
  return add(r, FAILURES, item);
}

/* ---- writing ---- */

/* Any bytes as a text that JSON can hold: what is not UTF-8 becomes '?'. */
static json_t *text_json(const char *text) {
  json_t *json = json_string(text ? text : "");
  if (json) return json;
  weir__text plain = {0};
  for (const char *c = text; *c; c++) weir__text_add_bytes(&plain, *c & 0x80 ? "?" : c, 1);
  json = plain.failed ? NULL : json_string(plain.data);
  weir__text_clear(&plain);
  return json;
}

static json_t *members_json(const member *m, const void *from) {
  json_t *json = json_object();
  for (; m->name; m++) {
    const void *at    = (const char *)from + m->at;
    json_t     *value = NULL;
    switch (m->kind) {
    case TEXT: value = text_json(*(const char *const *)at); break;
    case WHOLE: value = json_integer(*(const int64_t *)at); break;
    case REAL: value = json_real(*(const double *)at); break;
    case FLAG: value = json_boolean(*(const bool *)at); break;
    }
    if (json_object_set_new(json, m->name, value)) { /* refuses NULL */
      json_decref(json);
      return NULL;
    }
  }
  return json;
}

static json_t *report_json(const weir__report *report) {
  json_t *json = members_json(report_members, report);
  for (int i = 0; json && i < LISTS; i++) {
    const list *l     = &lists[i];
    json_t     *array = json_array();
    bool        whole = array != NULL;
    for (int k = 0; whole && k < count_of(report, l); k++)
      whole = !json_array_append_new(array, members_json(l->members, items_of(report, l) + (size_t)k * l->size));
    if (json_object_set_new(json, l->name, array)) whole = false;
    if (whole) continue;
    json_decref(json);
    return NULL;
  }
  return json;
}

weir_status weir__report_write(const char *directory, const weir__report *report) {
  json_t *json = report_json(report);
  char   *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(json);
  if (!text) return WEIR_FAIL(WEIR_ERR_MEMORY, "report.json: out of memory, or a figure is not finite");
  weir_status status = weir__run_write(directory, "report.json", text, strlen(text));
  free(text); /* jansson's */
  return status;
}

/* ---- reading ---- */

static weir_status read_members(const member *m, const json_t *json, const char *what, weir__arena *arena, void *to) {
  for (; m->name; m++) {
    const json_t *value = json_object_get(json, m->name);
    void         *at    = (char *)to + m->at;
    bool          fits  = (m->kind == TEXT && json_is_string(value)) || (m->kind == WHOLE && json_is_integer(value)) ||
                (m->kind == REAL && json_is_number(value)) || (m->kind == FLAG && json_is_boolean(value));
    if (!fits) return WEIR_FAIL(WEIR_ERR_INPUT, "report.json: %s: '%s' is missing or of another kind", what, m->name);
    switch (m->kind) {
    case TEXT: WEIR_TRY(weir__arena_string(arena, json_string_value(value), (const char **)at)); break;
    case WHOLE: *(int64_t *)at = json_integer_value(value); break;
    case REAL: *(double *)at = json_number_value(value); break;
    case FLAG: *(bool *)at = json_is_true(value); break;
    }
  }
  return WEIR_OK;
}

static weir_status read_list(weir__report *report, int which, const json_t *array) {
  union {
    weir__report_output  output;
    weir__report_stream  stream;
    weir__report_worker  worker;
    weir__report_missing missing;
    weir__report_failure failure;
  } item;
  if (!json_is_array(array)) return WEIR_FAIL(WEIR_ERR_INPUT, "report.json: no list '%s'", lists[which].name);
  for (size_t i = 0; i < json_array_size(array); i++) {
    memset(&item, 0, sizeof item);
    WEIR_TRY(read_members(lists[which].members, json_array_get(array, i), lists[which].name, &report->arena, &item));
    WEIR_TRY(add(report, which, &item));
  }
  return WEIR_OK;
}

weir_status weir__report_read(const char *directory, weir__report *r) {
  weir__text   path = {0};
  json_error_t error;
  *r                 = (weir__report){0};
  json_t     *json   = NULL;
  weir_status status = weir__run_path(&path, directory, "report.json");
  if (status >= 0 && !(json = json_load_file(path.data, 0, &error)))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path.data, error.text);
  if (status >= 0) status = read_members(report_members, json, "the run", &r->arena, r);
  for (int i = 0; status >= 0 && i < LISTS; i++) status = read_list(r, i, json_object_get(json, lists[i].name));
  if (status >= 0 && !*r->message) r->message = NULL;
  if (status >= 0 && !*r->trace) r->trace = NULL;
  if (status >= 0 && !*r->checkpoint_failure) r->checkpoint_failure = NULL;
  json_decref(json);
  weir__text_clear(&path);
  if (status < 0) weir__report_clear(r);
  return status;
}

void weir__report_clear(weir__report *report) {
  weir__arena_clear(&report->arena);
  *report = (weir__report){0};
}
