#include "run/directory.h"
#include "io/file.h"
#include "run/live.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything weir itself puts into a run directory; a directory without run.json that holds anything is left alone. */
static const char *const own_files[] = {"status", "report.json", "schema.yaml", "recipe.yaml", "run.json", NULL};

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

static weir_status write_settings(const char *directory, const weir__run_settings *settings) {
  json_t *set = json_array();
  for (int i = 0; i < settings->sets; i++) json_array_append_new(set, json_string(settings->set[i]));
  return write_json(directory, "run.json",
                    json_pack("{s:s, s:i, s:i, s:s, s:o}", "recipe", settings->recipe, "workers", settings->workers,
                              "threads", settings->threads, "trace", settings->trace, "set", set));
}

static weir_status read_settings(const char *directory, weir__arena *arena, weir__run_settings *settings) {
  weir__text   path = {0};
  json_error_t error;
  const char  *recipe, *trace;
  json_t      *set;
  WEIR_TRY(weir__run_path(&path, directory, "run.json"));
  json_t     *json   = json_load_file(path.data, 0, &error);
  weir_status status = WEIR_OK;
  if (!json || json_unpack_ex(json, &error, 0, "{s:s, s:i, s:i, s:s, s:o}", "recipe", &recipe, "workers", &settings->workers,
                              "threads", &settings->threads, "trace", &trace, "set", &set)) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path.data, error.text);
    goto out;
  }
  const char **sets;
  WEIR_TRY_GOTO(out, weir__arena_string(arena, recipe, &settings->recipe));
  WEIR_TRY_GOTO(out, weir__arena_string(arena, trace, &settings->trace));
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

static weir_status remove_channels(const char *directory) {
  weir__text  path   = {0};
  weir_status status = weir__run_path(&path, directory, "channel");
  if (status >= 0) status = weir__file_remove_tree(path.data);
  weir__text_clear(&path);
  return status;
}

static bool is_run(const char *directory) {
  weir__text path = {0};
  bool       yes  = weir__run_path(&path, directory, "run.json") >= 0 && !access(path.data, F_OK);
  weir__text_clear(&path);
  return yes;
}

static weir_status claim(const char *path, bool fresh, weir__run_directory *self) {
  char real[PATH_MAX];
  if (!realpath(path, real)) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  WEIR_TRY(weir__alloc_string(real, &self->path));
  self->lock = open(self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->lock < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  if (flock(self->lock, LOCK_EX | LOCK_NB))
    return errno == EWOULDBLOCK ? WEIR_FAIL(WEIR_ERR_INPUT, "%s: another run lives in this run directory", path)
                                : WEIR_FAIL(WEIR_ERR_IO, "%s: cannot be locked: %s", path, strerror(errno));
  if (fresh) return WEIR_OK;
  for (const char *const *name = own_files; *name; name++) WEIR_TRY(remove_own(self->path, *name));
  WEIR_TRY(weir__live_remove(self->path));
  return remove_channels(self->path);
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
  WEIR_TRY_GOTO(out, claim(path, fresh, &self));
  WEIR_TRY_GOTO(out, copy_recipe(self.path, settings->recipe));
  WEIR_TRY_GOTO(out, write_settings(self.path, settings));
  *directory = self;
  return WEIR_OK;
out:
  weir__free(self.path);
  if (self.lock >= 0) close(self.lock);
  return status;
}

void weir__run_directory_leave(weir__run_directory *directory) {
  if (!directory->path) return;
  if (remove_own(directory->path, "status") < 0 || weir__live_remove(directory->path) < 0 ||
      remove_channels(directory->path) < 0)
    (void)0; /* a left-over is cleared by the next run; the result of this one stands */
  weir__free(directory->path);
  if (directory->lock >= 0) close(directory->lock);
  *directory = (weir__run_directory){.lock = -1};
}

/* ---- status ---- */

weir_status weir__run_status_write(const char *directory, const weir__run_status *s) {
  return write_json(directory, "status",
                    json_pack("{s:i, s:I, s:I, s:f, s:f, s:f, s:s, s:i, s:s}", "phase", (int)s->phase, "steps",
                              (json_int_t)s->steps, "step", (json_int_t)s->step, "time",
                              s->time == s->time ? s->time : 0.0, "elapsed_s", s->elapsed_s, "blocked_s", s->blocked_s,
                              "time_units", s->time_units, "exit", s->exit, "message", s->message));
}

void weir__run_status_read(const char *directory, weir__run_status *s) {
  weir__text  path = {0};
  const char *units, *message;
  json_int_t  steps, step;
  int         phase;
  *s           = (weir__run_status){0};
  json_t *json = weir__run_path(&path, directory, "status") < 0 ? NULL : json_load_file(path.data, 0, NULL);
  weir__text_clear(&path);
  if (json && !json_unpack(json, "{s:i, s:I, s:I, s:F, s:F, s:F, s:s, s:i, s:s}", "phase", &phase, "steps", &steps,
                           "step", &step, "time", &s->time, "elapsed_s", &s->elapsed_s, "blocked_s", &s->blocked_s,
                           "time_units", &units, "exit", &s->exit, "message", &message)) {
    s->phase = (weir__run_phase)phase;
    s->steps = steps;
    s->step  = step;
    snprintf(s->time_units, sizeof s->time_units, "%s", units);
    snprintf(s->message, sizeof s->message, "%s", message);
  }
  json_decref(json);
}
