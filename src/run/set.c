#include "run/set.h"
#include "core/clock.h"
#include "io/file.h"
#include "run/directory.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 20000000 };

/* ---- listing ---- */

static const char *limits_text(const weir__steering_shown *p, char out[80]) {
  char least[32], most[32];
  if (p->least == -INFINITY && p->most == INFINITY) snprintf(out, 80, "any");
  else snprintf(out, 80, "%s to %s", weir__number_text(p->least, least), weir__number_text(p->most, most));
  return out;
}

static weir_status read_shown(weir__arena *arena, const char *directory, weir__steering_shown **list, int *count,
                              int64_t *step) {
  struct stat s;
  if (stat(directory, &s)) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", directory, strerror(errno));
  return weir__steering_shown_read(arena, directory, list, count, step);
}

weir_status weir__set_list(const char *directory, weir__text *text) {
  weir__arena           arena = {0};
  weir__steering_shown *list;
  int                   count;
  int64_t               step;
  weir_status           status = read_shown(&arena, directory, &list, &count, &step);
  if (status == WEIR_END)
    status =
        WEIR_FAIL(WEIR_ERR_INPUT,
                  "%s: no parameters: the run has ended, has not begun its first step, or is not steered", directory);
  for (int i = 0; status == WEIR_OK && i < count; i++) {
    char value[32], decided[32], limits[80];
    if (!i) weir__text_add(text, "%-20s %-14s %-14s %-24s %s\n", "parameter", "value", "decided", "limits", "of the");
    weir__text_add(text, "%-20s %-14s %-14s %-24s %s\n", list[i].name, weir__number_text(list[i].value, value),
                   weir__number_text(list[i].decided, decided), limits_text(&list[i], limits),
                   list[i].of_simulation ? "simulation" : "recipe");
  }
  if (status == WEIR_OK)
    weir__text_add(text, "%sas of step %" PRId64 "%s\n", count ? "" : "no parameters, ", step,
                   weir__run_directory_lives(directory) ? "" : "; the run has ended");
  weir__arena_clear(&arena);
  return status == WEIR_OK ? weir__text_status(text) : status;
}

/* ---- what can be known before asking ---- */

static weir_status check_one(weir__arena *arena, const char *directory, const char *assignment,
                             const weir__steering_shown *list, int count) {
  const char  *equals = strchr(assignment, '=');
  double       value;
  char         limits[80];
  const char **names;
  char        *name;
  if (!equals || equals == assignment || !weir__text_to_double(equals + 1, &value) || strpbrk(assignment, " \n"))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: expected name=number", assignment);
  WEIR_TRY(weir__arena_alloc(arena, (size_t)(equals - assignment) + 1, &name));
  memcpy(name, assignment, (size_t)(equals - assignment));
  WEIR_TRY(weir__arena_alloc(arena, ((size_t)count + 1) * sizeof *names, &names));
  for (int i = 0; i < count; i++) {
    names[i] = list[i].name;
    if (strcmp(names[i], name)) continue;
    if (isfinite(value) && value >= list[i].least && value <= list[i].most) return WEIR_OK;
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: expected %s", assignment, limits_text(&list[i], limits));
  }
  const char *near = weir__text_nearest(name, names, (size_t)count);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the run %s has no parameter %s%s%s%s", assignment, directory, name,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Waits for the run's first step, when it says what can be set. */
static weir_status check_all(const char *directory, const char *const *assignment, int assignments, int64_t deadline) {
  weir__arena           arena = {0};
  weir__steering_shown *list  = NULL;
  int                   count = 0;
  int64_t               step;
  weir_status           status;
  while ((status = read_shown(&arena, directory, &list, &count, &step)) == WEIR_END) {
    if (!weir__run_directory_lives(directory)) status = WEIR_FAIL(WEIR_ERR_GONE, "%s: no run lives here", directory);
    else if (weir__clock_ns() > deadline)
      status = WEIR_FAIL(WEIR_ERR_TIMEOUT, "%s: the run has not begun its first step, or is not steered", directory);
    if (status < 0) break;
    nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
  }
  for (int i = 0; status >= 0 && i < assignments; i++)
    status = check_one(&arena, directory, assignment[i], list, count);
  weir__arena_clear(&arena);
  return status;
}

/* ---- asking ---- */

typedef struct asking {
  char       id[64];
  weir__text request, answer;
} asking;

static weir_status paths(asking *a, const char *directory) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(a->id, sizeof a->id, "%011lld%09ld-%ld", (long long)now.tv_sec, now.tv_nsec, (long)getpid());
  weir__text_add(&a->request, "%s/%s/%s.request", directory, WEIR__STEER_REQUESTS, a->id);
  weir__text_add(&a->answer, "%s/%s/%s.answer", directory, WEIR__STEER_REQUESTS, a->id);
  WEIR_TRY(weir__text_status(&a->request));
  return weir__text_status(&a->answer);
}

static weir_status write_request(const asking *a, const char *directory, const char *const *assignment,
                                 int assignments) {
  weir__text line = {0}, part = {0};
  for (int i = 0; i < assignments; i++) weir__text_add(&line, "%s%s", assignment[i], i + 1 < assignments ? " " : "\n");
  weir__text_add(&part, "%s/%s/.%s.part", directory, WEIR__STEER_REQUESTS, a->id);
  weir_status status = weir__text_status(&line);
  if (status >= 0) status = weir__text_status(&part);
  int file = status < 0 ? -1 : open(part.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (status >= 0 && file < 0)
    status = errno == ENOENT ? WEIR_FAIL(WEIR_ERR_GONE, "%s: no run lives here", directory)
                             : WEIR_FAIL(WEIR_ERR_IO, "%s: %s", part.data, strerror(errno));
  if (file >= 0) {
    bool written = write(file, line.data, line.length) == (ssize_t)line.length;
    written      = !close(file) && written;
    if (!written || rename(part.data, a->request.data)) {
      status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", part.data, strerror(errno));
      unlink(part.data);
    }
  }
  weir__text_clear(&line);
  weir__text_clear(&part);
  return status;
}

/* "accepted step=120 effect=124", "refused why", "failed why" */
static weir_status understand(char *bytes, const char *directory, weir__text *text) {
  int64_t step, effect;
  bytes[strcspn(bytes, "\n")] = 0;
  if (sscanf(bytes, "accepted step=%" SCNd64 " effect=%" SCNd64, &step, &effect) == 2) {
    weir__text_add(text, "accepted: decided at step %" PRId64 ", takes effect at published step %" PRId64 "\n", step,
                   effect);
    return weir__text_status(text);
  }
  if (!strncmp(bytes, "refused ", 8)) return WEIR_FAIL(WEIR_ERR_INPUT, "refused: %s", bytes + 8);
  if (!strncmp(bytes, "failed ", 7)) return WEIR_FAIL(WEIR_ERR_IO, "not done: %s", bytes + 7);
  return WEIR_FAIL(WEIR_ERR_IO, "%s: the answer makes no sense: %s", directory, bytes);
}

static weir_status wait_for_answer(const asking *a, const char *directory, int64_t deadline, double seconds,
                                   weir__text *text) {
  char  *bytes = NULL;
  size_t size;
  for (;;) {
    bool lives = weir__run_directory_lives(directory); /* before looking: it may answer and end */
    WEIR_TRY(weir__file_read(AT_FDCWD, a->answer.data, a->answer.data, &bytes, &size));
    if (bytes) break;
    if (!lives) {
      unlink(a->request.data);
      return WEIR_FAIL(WEIR_ERR_GONE, "%s: the run ended before it answered", directory);
    }
    /* once taken it is answered within the step; a worker that died meanwhile is replaced */
    if (weir__clock_ns() > deadline && !unlink(a->request.data))
      return WEIR_FAIL(WEIR_ERR_TIMEOUT, "%s: no step was analysed within %g s; the request is withdrawn", directory,
                       seconds);
    nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
  }
  unlink(a->answer.data);
  weir_status status = understand(bytes, directory, text);
  weir__free(bytes);
  return status;
}

weir_status weir__set_send(const char *directory, const char *const *assignment, int assignments, double seconds,
                           weir__text *text) {
  asking      a        = {0};
  int64_t     deadline = weir__clock_ns() + (int64_t)(seconds * 1e9);
  weir_status status   = check_all(directory, assignment, assignments, deadline);
  if (status >= 0 && !weir__run_directory_lives(directory))
    status = WEIR_FAIL(WEIR_ERR_GONE, "%s: the run has ended", directory);
  if (status >= 0) status = paths(&a, directory);
  if (status >= 0) status = write_request(&a, directory, assignment, assignments);
  if (status >= 0) status = wait_for_answer(&a, directory, deadline, seconds, text);
  weir__text_clear(&a.request);
  weir__text_clear(&a.answer);
  return status;
}
