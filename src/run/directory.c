#include "run/directory.h"
#include "channel/shared.h"
#include "exec/worker.h"
#include "io/file.h"
#include "run/job.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What weir keeps in a run directory; a directory without run.json that holds anything is left alone. */
static const char *const own_files[] = {"report.json", "schema.yaml", WEIR__STEER_LOG, "recipe.yaml", "run.json",
                                        "images.log",  NULL};
/* And folders: what only a living run needs (checkpoints outlive it until it is complete). Those with data of the run
 * are for its owner alone. */
static const char *const living_folders[]  = {"channel", "live", "requests", "spill", NULL};
static const char *const private_folders[] = {"checkpoint", "live", "requests", NULL};

weir_status weir__run_path(weir__text *text, const char *directory, const char *name) {
  weir__text_add(text, "%s/%s", directory, name);
  return weir__text_status(text);
}

weir_status weir__run_write(const char *directory, const char *name, const char *bytes, size_t size) {
  weir__text  path   = {0};
  weir_status status = weir__run_path(&path, directory, name);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, path.data, path.data, bytes, size, false);
  weir__text_clear(&path);
  return status;
}

/* ---- settings ---- */

static weir_status write_json(const char *directory, const char *name, json_t *json) {
  if (!json) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  char *text = json_dumps(json, JSON_INDENT(2));
  json_decref(json);
  if (!text) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  weir_status status = weir__run_write(directory, name, text, strlen(text));
  free(text); /* jansson's, not ours */
  return status;
}

/* Over what the file holds, which is as long: that needs no room. */
static weir_status overwrite(const char *directory, const char *name, const char *bytes, size_t size) {
  weir__text  path   = {0};
  weir_status status = weir__run_path(&path, directory, name);
  struct stat s;
  int         file = status < 0 ? -1 : open(path.data, O_WRONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &s) || s.st_size != (off_t)size || pwrite(file, bytes, size, 0) != (ssize_t)size)
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
  if (file >= 0) close(file);
  weir__text_clear(&path);
  return status;
}

static weir_status write_settings(const char *directory, const weir__run_settings *settings) {
  json_t *set = json_array();
  for (int i = 0; i < settings->sets; i++) json_array_append_new(set, json_string(settings->set[i]));
  return write_json(directory, "run.json",
                    json_pack("{s:s, s:i, s:i, s:s, s:s, s:o}", "recipe", settings->recipe, "workers",
                              settings->workers, "threads", settings->threads, "trace", settings->trace, "replay",
                              settings->replay ? settings->replay : "", "set", set));
}

static weir_status read_settings(const char *directory, weir__arena *arena, weir__run_settings *settings) {
  weir__text   path = {0};
  json_error_t error;
  const char  *recipe, *trace, *replay;
  json_t      *set;
  WEIR_TRY(weir__run_path(&path, directory, "run.json"));
  json_t     *json   = json_load_file(path.data, 0, &error);
  weir_status status = WEIR_OK;
  if (!json || json_unpack_ex(json, &error, 0, "{s:s, s:i, s:i, s:s, s:s, s:o}", "recipe", &recipe, "workers",
                              &settings->workers, "threads", &settings->threads, "trace", &trace, "replay", &replay,
                              "set", &set)) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path.data, error.text);
    goto out;
  }
  const char **sets;
  WEIR_TRY_GOTO(out, weir__arena_string(arena, recipe, &settings->recipe));
  WEIR_TRY_GOTO(out, weir__arena_string(arena, trace, &settings->trace));
  WEIR_TRY_GOTO(out, weir__arena_string(arena, replay, &settings->replay));
  WEIR_TRY_GOTO(out, weir__arena_alloc(arena, json_array_size(set) * sizeof *sets, &sets));
  settings->sets = (int)json_array_size(set);
  settings->set  = sets;
  for (int i = 0; i < settings->sets; i++) {
    const char *text = json_string_value(json_array_get(set, (size_t)i));
    WEIR_TRY_GOTO(out, weir__arena_string(arena, text ? text : "", &sets[i]));
  }
out:
  json_decref(json);
  weir__text_clear(&path);
  return status;
}

weir_status weir__run_directory_recipe(const char *path, weir__recipe **recipe, weir__run_settings *settings) {
  weir__arena        arena = {0};
  weir__run_settings have;
  weir__recipe      *self = NULL;
  weir__text         file = {0};
  weir_status        status;
  WEIR_TRY_GOTO(out, read_settings(path, &arena, &have));
  WEIR_TRY_GOTO(out, weir__run_path(&file, path, "recipe.yaml"));
  WEIR_TRY_GOTO(out, weir__recipe_load(file.data, have.recipe, &self));
  for (int i = 0; i < have.sets; i++) WEIR_TRY_GOTO(out, weir__recipe_set(self, have.set[i]));
  if (have.threads != -2) self->threads = have.threads;
  self->workers = have.workers;
  if (*have.trace) WEIR_TRY_GOTO(out, weir__arena_string(&self->arena, have.trace, &self->trace));
  if (*have.replay) WEIR_TRY_GOTO(out, weir__arena_string(&self->arena, have.replay, &self->replay));
  if (settings) WEIR_TRY_GOTO(out, read_settings(path, &self->arena, settings));
  *recipe = self;
  self    = NULL;
out:
  weir__recipe_destroy(&self);
  weir__text_clear(&file);
  weir__arena_clear(&arena);
  return status;
}

/* FNV-1a of 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/). */
static uint64_t hash(uint64_t h, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) h = (h ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
  return h;
}

weir_status weir__run_directory_identity(const char *path, uint64_t *identity) {
  weir__arena        arena = {0};
  weir__run_settings settings;
  weir__text         file  = {0};
  char              *bytes = NULL;
  size_t             size;
  uint64_t           h      = UINT64_C(0xcbf29ce484222325);
  weir_status        status = read_settings(path, &arena, &settings);
  if (status >= 0) status = weir__run_path(&file, path, "recipe.yaml");
  if (status >= 0) status = weir__file_read(AT_FDCWD, file.data, file.data, &bytes, &size);
  if (status >= 0 && !bytes) status = WEIR_FAIL(WEIR_ERR_IO, "%s: no such file", file.data);
  if (status >= 0) {
    h = hash(h, bytes, size + 1);
    h = hash(h, &settings.workers, sizeof settings.workers);
    for (int i = 0; i < settings.sets; i++) h = hash(h, settings.set[i], strlen(settings.set[i]) + 1);
    *identity = h;
  }
  weir__free(bytes);
  weir__text_clear(&file);
  weir__arena_clear(&arena);
  return status;
}

/* ---- making ---- */

static weir_status remove_own(const char *directory, const char *name) {
  weir__text path = {0};
  WEIR_TRY(weir__run_path(&path, directory, name));
  if (unlink(path.data) && errno != ENOENT) {
    weir_status status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
    weir__text_clear(&path);
    return status;
  }
  weir__text_clear(&path);
  return WEIR_OK;
}

static weir_status remove_folder(const char *directory, const char *name) {
  weir__text  path   = {0};
  weir_status status = weir__run_path(&path, directory, name);
  if (status >= 0) status = weir__file_remove_tree(path.data);
  weir__text_clear(&path);
  return status;
}

static weir_status remove_living(const char *directory) {
  WEIR_TRY(remove_own(directory, "status"));
  WEIR_TRY(remove_own(directory, "supervisor"));
  WEIR_TRY(remove_own(directory, WEIR__RUN_FINISH));
  WEIR_TRY(remove_own(directory, WEIR__STEER_PARAMETERS));
  for (const char *const *name = living_folders; *name; name++) WEIR_TRY(remove_folder(directory, *name));
  return WEIR_OK;
}

static weir_status make_folders(const char *directory) {
  weir_status status = WEIR_OK;
  for (const char *const *name = private_folders; *name && status >= 0; name++) {
    weir__text path = {0};
    status          = weir__run_path(&path, directory, *name);
    if (status >= 0 && mkdir(path.data, 0700) && errno != EEXIST)
      status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
    weir__text_clear(&path);
  }
  return status;
}

/* Who supervises this run. That it lives is said by the lock; this is for people and for messages. */
static weir_status write_supervisor(const char *directory) {
  char host[256] = "";
  weir__channel_host(host);
  return write_json(directory, "supervisor",
                    json_pack("{s:I, s:I, s:s}", "pid", (json_int_t)getpid(), "start",
                              (json_int_t)weir__process_start(getpid()), "host", host));
}

static void name_supervisor(const char *directory, char out[320]) {
  weir__text  path = {0};
  json_int_t  pid;
  const char *host;
  json_t     *json = weir__run_path(&path, directory, "supervisor") < 0 ? NULL : json_load_file(path.data, 0, NULL);
  out[0]           = 0;
  if (json && !json_unpack(json, "{s:I, s:s}", "pid", &pid, "host", &host))
    snprintf(out, 320, " (process %lld on %s)", (long long)pid, host);
  json_decref(json);
  weir__text_clear(&path);
}

bool weir__run_directory_lives(const char *path) {
  int  directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool lives     = directory >= 0 && flock(directory, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
  if (directory >= 0) close(directory);
  return lives;
}

static bool is_run(const char *directory) {
  weir__text path = {0};
  bool       yes  = weir__run_path(&path, directory, "run.json") >= 0 && !access(path.data, F_OK);
  weir__text_clear(&path);
  return yes;
}

/* Lock it. A supervisor that was killed leaves its jobs behind, which go on by themselves: they are waited for, or
 * ended, by people. */
static weir_status claim(const char *path, weir__run_directory *self) {
  char  real[PATH_MAX], who[320];
  pid_t left;
  if (!realpath(path, real)) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  WEIR_TRY(weir__alloc_string(real, &self->path));
  self->lock = open(self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->lock < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  if (flock(self->lock, LOCK_EX | LOCK_NB)) {
    if (errno != EWOULDBLOCK) return WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be locked: %s", path, strerror(errno));
    name_supervisor(self->path, who);
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: another run lives in this run directory%s", path, who);
  }
  if ((left = weir__job_find(self->path)))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: process %ld of an earlier run still lives; wait for it, or end it first",
                     path, (long)left);
  return WEIR_OK;
}

static weir_status clear(const char *directory) {
  for (const char *const *name = own_files; *name; name++) WEIR_TRY(remove_own(directory, *name));
  WEIR_TRY(remove_living(directory));
  return remove_folder(directory, "checkpoint");
}

static void release(weir__run_directory *self) {
  weir__free(self->path);
  if (self->lock >= 0) close(self->lock);
  *self = (weir__run_directory){.lock = -1};
}

static weir_status copy_recipe(const char *directory, const char *recipe) {
  weir__arena arena  = {0};
  const char *bytes  = NULL;
  size_t      size   = 0;
  weir_status status = weir__yaml_load(&arena, recipe, &bytes, &size);
  if (status >= 0) status = weir__run_write(directory, "recipe.yaml", bytes, size);
  weir__arena_clear(&arena);
  return status;
}

weir_status weir__run_directory_make(const char *path, const weir__run_settings *settings,
                                     weir__run_directory *directory) {
  weir__run_directory self   = {.lock = -1};
  bool                fresh  = !mkdir(path, 0777);
  weir_status         status = WEIR_OK;
  if (!fresh && errno == ENOENT) {
    WEIR_TRY(weir__file_make_directories(path, true));
    fresh = true;
  } else if (!fresh && errno != EEXIST) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  if (!fresh && !is_run(path) && rmdir(path))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: holds something else than a run; name another run directory with --dir",
                     path);
  if (!fresh && mkdir(path, 0777) && errno != EEXIST) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  WEIR_TRY_GOTO(out, claim(path, &self));
  if (!fresh) WEIR_TRY_GOTO(out, clear(self.path));
  WEIR_TRY_GOTO(out, copy_recipe(self.path, settings->recipe));
  WEIR_TRY_GOTO(out, write_settings(self.path, settings));
  WEIR_TRY_GOTO(out, make_folders(self.path));
  WEIR_TRY_GOTO(out, write_supervisor(self.path));
  *directory = self;
  return WEIR_OK;
out:
  release(&self);
  return status;
}

weir_status weir__run_directory_again(const weir__run_directory *directory) {
  weir__run_status_remove(directory->path);
  return remove_folder(directory->path, "channel");
}

void weir__run_directory_leave(weir__run_directory *directory, bool complete) {
  if (!directory->path) return;
  if (remove_living(directory->path) < 0 || (complete && remove_folder(directory->path, "checkpoint") < 0))
    (void)0; /* a left-over is cleared by the next run; the result of this one stands */
  release(directory);
}

/* ---- going on with a run ---- */

/* Complete: the workers say so, and the supervisor, which then has removed the checkpoints. */
static bool was_complete(const char *directory) {
  weir__text  path = {0};
  struct stat s;
  int         complete = 0;
  json_t     *json = weir__run_path(&path, directory, "report.json") < 0 ? NULL : json_load_file(path.data, 0, NULL);
  if (json && json_unpack(json, "{s:b}", "complete", &complete)) complete = 0;
  json_decref(json);
  weir__text_clear(&path);
  if (weir__run_path(&path, directory, "checkpoint") < 0 || !stat(path.data, &s)) complete = 0;
  weir__text_clear(&path);
  return complete;
}

/* The number of the first line that differs; 0: none does. */
static int first_difference(const char *a, size_t a_size, const char *b, size_t b_size) {
  int line = 1;
  for (size_t i = 0; i < a_size && i < b_size; i++) {
    if (a[i] != b[i]) return line;
    line += a[i] == '\n';
  }
  return a_size == b_size ? 0 : line;
}

static weir_status compare_recipe(const char *path, const char *directory, const char *recipe) {
  weir__arena arena = {0};
  weir__text  copy  = {0};
  const char *a = NULL, *b = NULL;
  size_t      a_size = 0, b_size = 0;
  int         line;
  weir_status status = weir__run_path(&copy, directory, "recipe.yaml");
  if (status >= 0) status = weir__yaml_load(&arena, recipe, &a, &a_size);
  if (status >= 0) status = weir__yaml_load(&arena, copy.data, &b, &b_size);
  if (status >= 0 && (line = first_difference(a, a_size, b, b_size)))
    status =
        WEIR_FAIL(WEIR_ERR_INPUT, "%s: cannot be resumed: %s differs from the recipe of that run, %s, from line %d on",
                  path, recipe, copy.data, line);
  weir__text_clear(&copy);
  weir__arena_clear(&arena);
  return status;
}

static bool same_sets(const weir__run_settings *a, const weir__run_settings *b) {
  if (a->sets != b->sets) return false;
  for (int i = 0; i < a->sets; i++)
    if (strcmp(a->set[i], b->set[i])) return false;
  return true;
}

static weir_status compare_settings(const char *path, const weir__run_settings *have, weir__run_settings *wanted) {
  weir__text  sets   = {0};
  weir_status status = WEIR_OK;
  if (!wanted->workers) wanted->workers = have->workers;
  if (wanted->threads == -2) wanted->threads = have->threads;
  if (!wanted->replay || !*wanted->replay) wanted->replay = have->replay;
  if (!wanted->sets) {
    wanted->set  = have->set;
    wanted->sets = have->sets;
  }
  if (wanted->workers != have->workers)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: cannot be resumed with --workers %d: that run had %d", path, wanted->workers,
                     have->workers);
  if (same_sets(have, wanted)) return WEIR_OK;
  for (int i = 0; i < have->sets; i++) weir__text_add(&sets, " --set %s", have->set[i]);
  status = weir__text_status(&sets);
  if (status >= 0)
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: cannot be resumed with other parameters: that run had%s", path,
                       sets.data ? sets.data : " no --set");
  weir__text_clear(&sets);
  return status;
}

/* The settings, as threads may differ; the date of the file stays, as it is that of the run's start. */
static weir_status update_settings(const char *directory, const weir__run_settings *settings) {
  weir__text  path = {0};
  struct stat s;
  WEIR_TRY(weir__run_path(&path, directory, "run.json"));
  weir_status status = stat(path.data, &s) ? WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno)) : WEIR_OK;
  if (status >= 0) status = write_settings(directory, settings);
  if (status >= 0 && utimensat(AT_FDCWD, path.data, (struct timespec[2]){s.st_atim, s.st_mtim}, 0))
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
  weir__text_clear(&path);
  return status;
}

bool weir__run_directory_saved(const char *path, int64_t *saved) {
  weir__text text  = {0};
  bool       found = weir__run_path(&text, path, "checkpoint") >= 0 && weir__checkpoint_saved(text.data, saved);
  weir__text_clear(&text);
  return found;
}

weir_status weir__run_directory_resume(const char *path, weir__arena *arena, weir__run_settings *settings,
                                       weir__run_directory *directory) {
  weir__run_directory self = {.lock = -1};
  weir__run_settings  have;
  weir_status         status = WEIR_OK;
  if (!is_run(path)) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: there is no run to resume", path);
  WEIR_TRY_GOTO(out, claim(path, &self));
  WEIR_TRY_GOTO(out, read_settings(self.path, arena, &have));
  WEIR_TRY_GOTO(out, compare_recipe(path, self.path, settings->recipe));
  WEIR_TRY_GOTO(out, compare_settings(path, &have, settings));
  if (was_complete(self.path)) {
    status = WEIR_END;
    goto out;
  }
  WEIR_TRY_GOTO(out, update_settings(self.path, settings));
  WEIR_TRY_GOTO(out, remove_living(self.path));
  WEIR_TRY_GOTO(out, make_folders(self.path));
  WEIR_TRY_GOTO(out, write_supervisor(self.path));
  *directory = self;
  return WEIR_OK;
out:
  release(&self);
  return status;
}

/* ---- status ---- */

/* Always so long: where there is no room for another one, it is written over. That the workers have done with the run
 * is known by it alone, and a full disk must not have them started again. */
enum { STATUS_BYTES = 8192 }; /* a message of 1023 bytes may take 6 for each */

static weir_status write_status(const char *directory, json_t *json) {
  char text[STATUS_BYTES];
  if (!json) return WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  memset(text, ' ', sizeof text);
  size_t used = json_dumpb(json, text, sizeof text - 1, JSON_INDENT(2));
  json_decref(json);
  if (used >= sizeof text) return WEIR_FAIL(WEIR_ERR_INTERNAL, "a status of %zu bytes", used);
  text[sizeof text - 1] = '\n';
  weir_status status    = weir__run_write(directory, "status", text, sizeof text);
  return status < 0 ? overwrite(directory, "status", text, sizeof text) : status;
}

weir_status weir__run_status_write(const char *directory, const weir__run_status *s) {
  return write_status(directory,
                      json_pack("{s:i, s:I, s:I, s:f, s:f, s:f, s:s, s:i, s:s, s:b, s:I, s:b, s:I, s:f}", "phase",
                                (int)s->phase, "steps", (json_int_t)s->steps, "step", (json_int_t)s->step, "time",
                                s->time == s->time ? s->time : 0.0, "elapsed_s", s->elapsed_s, "blocked_s",
                                s->blocked_s, "time_units", s->time_units, "exit", s->exit, "message", s->message,
                                "restored", s->restored, "from", (json_int_t)s->from, "watching", s->watching,
                                "waiting", (json_int_t)s->waiting, "latency_s", s->latency_s));
}

void weir__run_status_remove(const char *directory) {
  if (remove_own(directory, "status") < 0) (void)0; /* then it is replaced by the next */
}

/* Again where it is just being written over. */
static json_t *read_status(const char *directory) {
  enum { TRIES = 20, BETWEEN_NS = 500000 };
  weir__text path = {0};
  json_t    *json = NULL;
  if (weir__run_path(&path, directory, "status") >= 0)
    for (int k = 0; k < TRIES && !access(path.data, R_OK); k++) {
      if (k) nanosleep(&(struct timespec){.tv_nsec = BETWEEN_NS}, NULL);
      if ((json = json_load_file(path.data, 0, NULL))) break;
    }
  weir__text_clear(&path);
  return json;
}

void weir__run_status_read(const char *directory, weir__run_status *s) {
  const char *units, *message;
  json_int_t  steps, step, from, waiting = 0;
  int         phase, restored, watching = 0;
  *s           = (weir__run_status){0};
  json_t *json = read_status(directory);
  if (json &&
      !json_unpack(json, "{s:i, s:I, s:I, s:F, s:F, s:F, s:s, s:i, s:s, s:b, s:I, s?b, s?I, s?F}", "phase", &phase,
                   "steps", &steps, "step", &step, "time", &s->time, "elapsed_s", &s->elapsed_s, "blocked_s",
                   &s->blocked_s, "time_units", &units, "exit", &s->exit, "message", &message, "restored", &restored,
                   "from", &from, "watching", &watching, "waiting", &waiting, "latency_s", &s->latency_s)) {
    s->watching = watching;
    s->waiting  = waiting;
    s->restored = restored;
    s->from     = from;
    s->phase    = (weir__run_phase)phase;
    s->steps    = steps;
    s->step     = step;
    snprintf(s->time_units, sizeof s->time_units, "%s", units);
    snprintf(s->message, sizeof s->message, "%s", message);
  }
  json_decref(json);
}
