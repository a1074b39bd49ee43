/* What people ask for while the run goes on: files in RUN/requests, see docs/run-directory.md. */
#include "core/clock.h"
#include "io/file.h"
#include "steer/parts.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_NS = 50000000 };

static weir_status request_path(const weir__steering *s, const char *name, const char *ending, weir__text *path) {
  weir__text_add(path, "%s/%s%s%s%s", s->directory, WEIR__STEER_REQUESTS, *name ? "/" : "", name, ending);
  return weir__text_status(path);
}

/* ---- the directory ---- */

static bool ends_with(const char *name, const char *ending, size_t *length) {
  size_t n = strlen(name), e = strlen(ending);
  if (n <= e || strcmp(name + n - e, ending)) return false;
  *length = n - e;
  return *length <= WEIR__STEER_ID_MAX;
}

/* The first name, in order, that ends so. */
static bool first_name(const char *path, const char *ending, char id[WEIR__STEER_ID_MAX + 1]) {
  DIR   *directory = opendir(path);
  bool   found     = false;
  size_t length;
  if (!directory) return false;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (entry->d_name[0] == '.' || strchr(entry->d_name, ' ') || !ends_with(entry->d_name, ending, &length)) continue;
    char name[WEIR__STEER_ID_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)length, entry->d_name);
    if (found && strcmp(name, id) >= 0) continue;
    memcpy(id, name, sizeof name);
    found = true;
  }
  closedir(directory);
  return found;
}

static weir_status move(const weir__steering *s, const char *id, const char *from, const char *to) {
  weir__text  a = {0}, b = {0};
  weir_status status = request_path(s, id, from, &a);
  if (status >= 0) status = request_path(s, id, to, &b);
  if (status >= 0 && rename(a.data, b.data)) status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", a.data, strerror(errno));
  weir__text_clear(&a);
  weir__text_clear(&b);
  return status;
}

weir_status weir__requests_open(weir__steering *s) {
  weir__text  path = {0};
  char        id[WEIR__STEER_ID_MAX + 1];
  weir_status status = request_path(s, "", "", &path);
  if (status >= 0 && mkdir(path.data, 0700) && errno != EEXIST)
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
  while (status >= 0 && first_name(path.data, ".taken", id)) status = move(s, id, ".taken", ".request");
  weir__text_clear(&path);
  return status;
}

/* Has the directory changed since it was looked at? Names that come within a tick of its clock look alike, so a fresh
 * change is looked at once more. */
static bool has_changed(weir__steering *s, const char *path) {
  struct stat     st;
  struct timespec now;
  if (stat(path, &st) || clock_gettime(CLOCK_REALTIME, &now)) return false;
  if (st.st_mtim.tv_sec == s->seen_s && st.st_mtim.tv_nsec == s->seen_ns) return false;
  bool fresh = now.tv_sec - st.st_mtim.tv_sec <= 2; /* seconds: some file systems know no less */
  s->seen_s  = fresh ? 0 : st.st_mtim.tv_sec;
  s->seen_ns = fresh ? 0 : st.st_mtim.tv_nsec;
  return true;
}

bool weir__requests_next(weir__steering *s, weir__request *request) {
  weir__text path = {0};
  bool       found;
  if (request_path(s, "", "", &path) < 0) return false;
  if (weir__clock_ns() - s->looked_ns < LOOK_NS) found = false;
  else if ((found = has_changed(s, path.data))) {
    do found = first_name(path.data, ".request", request->id);
    while (found && move(s, request->id, ".request", ".taken") < 0); /* withdrawn just now */
  }
  if (!found && weir__clock_ns() - s->looked_ns >= LOOK_NS) s->looked_ns = weir__clock_ns();
  if (found) { /* there may be more: they are of this step too */
    char  *bytes = NULL;
    size_t size  = 0;
    s->seen_s = s->seen_ns = 0;
    weir__text_clear(&path);
    weir_status status = request_path(s, request->id, ".taken", &path);
    if (status >= 0) status = weir__file_read(AT_FDCWD, path.data, path.data, &bytes, &size);
    snprintf(request->text, sizeof request->text, "%s", status >= 0 && bytes ? bytes : "");
    weir__free(bytes);
  }
  weir__text_clear(&path);
  return found;
}

void weir__requests_answer(weir__steering *s, const char *id, const char *format, ...) {
  char       line[700];
  weir__text path = {0};
  va_list    arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
  line[length++]     = '\n';
  weir_status status = request_path(s, id, ".answer", &path);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, path.data, path.data, line, (size_t)length, false);
  weir__text_clear(&path);
  if (status >= 0) status = request_path(s, id, ".taken", &path);
  if (status >= 0) unlink(path.data);
  weir__text_clear(&path);
  if (status < 0) weir__steering_note(s, "a request was not answered: %s", weir_error_last());
}

/* ---- what is asked for ---- */

static weir_status parse_value(const weir__steering *s, char *word, weir__decision *d) {
  char  *equals = strchr(word, '=');
  double value;
  char   number[32], least[32], most[32];
  if (!equals || equals == word || !weir__text_to_double(equals + 1, &value))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: expected name=number", word);
  *equals = 0;
  for (int i = 0; i < s->parameters; i++) {
    const weir__steering_parameter *p = &s->parameter[i];
    if (strcmp(p->name, word)) continue;
    if (!weir__steering_legal(p, value))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s is %s, expected %s to %s", word, weir__number_text(value, number),
                       weir__number_text(p->least, least), weir__number_text(p->most, most));
    d->kind   = WEIR__STEER_SET;
    d->target = i;
    d->value  = value;
    return WEIR_OK;
  }
  return WEIR_FAIL(WEIR_ERR_INPUT, "this run has no parameter %s", word);
}

weir_status weir__requests_parse(const weir__steering *s, const weir__request *request, weir__decision *list,
                                 int *count) {
  char text[sizeof request->text];
  memcpy(text, request->text, sizeof text);
  *count = 0;
  for (char *at = text, *word; (word = strsep(&at, " \n"));) {
    if (!*word) continue;
    if (*count == WEIR__REQUEST_VALUES_MAX)
      return WEIR_FAIL(WEIR_ERR_INPUT, "more than %d values in one request", WEIR__REQUEST_VALUES_MAX);
    weir__decision *d = &list[(*count)++];
    *d                = (weir__decision){0};
    memcpy(d->id, request->id, sizeof d->id);
    WEIR_TRY(parse_value(s, word, d));
  }
  return *count ? WEIR_OK : WEIR_FAIL(WEIR_ERR_INPUT, "the request is empty: expected name=number");
}

/* ---- RUN/parameters ---- */

weir_status weir__steering_shown_write(const weir__steering *s, const weir__steering_state *state, int64_t ordinal) {
  weir__text text = {0}, path = {0};
  weir__text_add(&text, "step=%" PRId64 " ordinal=%" PRId64 " delay=%" PRId64 "\n", state->head->step, ordinal,
                 s->delay);
  for (int i = 0; i < s->parameters; i++) {
    const weir__steering_parameter *p = &s->parameter[i];
    char                            value[32], decided[32], least[32], most[32];
    weir__text_add(&text, "%s value=%s decided=%s least=%s most=%s of=%s\n", p->name,
                   weir__number_text(weir__steering_effective(s, state, i, ordinal), value),
                   weir__number_text(state->decided[i], decided), weir__number_text(p->least, least),
                   weir__number_text(p->most, most), p->number >= 0 ? "simulation" : "recipe");
  }
  weir__text_add(&path, "%s/%s", s->directory, WEIR__STEER_PARAMETERS);
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = weir__text_status(&path);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, path.data, path.data, text.data, text.length, false);
  weir__text_clear(&text);
  weir__text_clear(&path);
  return status;
}

static bool parse_shown(weir__arena *arena, const char *line, weir__steering_shown *out) {
  char                 name[256], of[32];
  weir__steering_shown p = {0};
  if (sscanf(line, "%255s value=%lf decided=%lf least=%lf most=%lf of=%31s", name, &p.value, &p.decided, &p.least,
             &p.most, of) != 6 ||
      weir__arena_string(arena, name, &p.name) < 0)
    return false;
  p.of_simulation = !strcmp(of, "simulation");
  *out            = p;
  return true;
}

weir_status weir__steering_shown_read(weir__arena *arena, const char *directory, weir__steering_shown **list,
                                      int *count, int64_t *step) {
  weir__text  path  = {0};
  char       *bytes = NULL, *at;
  size_t      size  = 0;
  int         lines = 0;
  weir_status status;
  weir__text_add(&path, "%s/%s", directory, WEIR__STEER_PARAMETERS);
  WEIR_TRY_GOTO(out, weir__text_status(&path));
  WEIR_TRY_GOTO(out, weir__file_read(AT_FDCWD, path.data, path.data, &bytes, &size));
  if (!bytes) {
    status = WEIR_END;
    goto out;
  }
  for (size_t i = 0; i < size; i++) lines += bytes[i] == '\n';
  WEIR_TRY_GOTO(out, weir__arena_alloc(arena, (size_t)(lines + 1) * sizeof **list, list));
  at = bytes;
  if (sscanf(strsep(&at, "\n"), "step=%" SCNd64, step) != 1) status = WEIR_ERR_INPUT;
  *count = 0;
  for (char *line; status >= 0 && (line = strsep(&at, "\n"));)
    if (*line && !parse_shown(arena, line, &(*list)[(*count)++])) status = WEIR_ERR_INPUT;
  if (status < 0) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: is no list of parameters", path.data);
out:
  weir__free(bytes);
  weir__text_clear(&path);
  return status;
}
