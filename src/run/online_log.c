/* RUN/images.log: what was decided about a series that grows. */
#include "core/memory.h"
#include "run/directory.h"
#include "run/online_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char name_of_log[] = "images.log", begin[] = "begin\n";

static weir_status open_log(weir__online *o, int flags) {
  weir__text  path   = {0};
  weir_status status = weir__run_path(&path, o->terms.directory, name_of_log);
  if (status >= 0) o->log = open(path.data, flags | O_CLOEXEC);
  if (status >= 0 && o->log < 0 && errno == ENOENT) status = WEIR_END;
  else if (status >= 0 && o->log < 0) status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path.data, strerror(errno));
  weir__text_clear(&path);
  return status;
}

/* Up to the last whole line: the one behind it was being written when the run died, and nobody has acted on it. */
static weir_status load(weir__online *o, char **text) {
  struct stat about;
  WEIR_TRY(open_log(o, O_RDWR | O_APPEND));
  if (o->log < 0) return WEIR_END;
  if (fstat(o->log, &about)) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", name_of_log, strerror(errno));
  size_t size = (size_t)about.st_size, got = 0;
  WEIR_TRY(weir__alloc_zeroed(size + 1, 0, text));
  while (got < size) {
    ssize_t n = pread(o->log, *text + got, size - got, (off_t)got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return WEIR_FAIL(WEIR_ERR_IO, "%s cannot be read", name_of_log);
    got += (size_t)n;
  }
  while (got && (*text)[got - 1] != '\n') got--;
  (*text)[got] = 0;
  if (got < size && ftruncate(o->log, (off_t)got))
    return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", name_of_log, strerror(errno));
  return WEIR_OK;
}

weir_status weir__online_note_missed(weir__online *o, const char *name, const char *why) {
  WEIR_TRY(weir__grow(&o->missed, o->misses + 1, &o->misses_room, sizeof *o->missed));
  weir__online_missed *m = &o->missed[o->misses++];
  snprintf(m->name, sizeof m->name, "%s", name);
  snprintf(m->why, sizeof m->why, "%s", why);
  return WEIR_OK;
}

/* "absent STEP BITS", "missing NAME<tab>WHY", "steps N", "end N" */
static weir_status replay(weir__online *o, char *line) {
  int64_t  number;
  uint64_t bits;
  char    *tab = strchr(line, '\t');
  if (sscanf(line, "absent %" SCNd64 " %" SCNx64, &number, &bits) == 2)
    return weir__series_settle(o->series, number, bits);
  if (sscanf(line, "steps %" SCNd64, &number) == 1) {
    for (; o->steps < number; o->steps++) WEIR_TRY(weir__series_settle(o->series, o->steps, 0));
    return WEIR_OK;
  }
  if (sscanf(line, "end %" SCNd64, &number) == 1) {
    o->last = number;
    return WEIR_OK;
  }
  if (strncmp(line, "missing ", 8) || !tab)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a line that is not understood: %s", name_of_log, line);
  *tab = 0;
  return weir__online_note_missed(o, line + 8, tab + 1);
}

weir_status weir__online_log_read(weir__online *o) {
  char       *text   = NULL;
  weir_status status = load(o, &text);
  char       *body   = status == WEIR_OK ? strstr(text, begin) : NULL;
  if (status == WEIR_OK && !body) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s has no beginning", name_of_log);
  if (status == WEIR_OK) {
    weir__text_add_bytes(&o->head, text, (size_t)(body - text));
    status = weir__text_status(&o->head);
  }
  if (status == WEIR_OK) status = weir__series_open_form(o->head.data, &o->series);
  for (char *line = body ? body + sizeof begin - 1 : NULL; status == WEIR_OK && *line;) {
    char *end = strchr(line, '\n');
    *end      = 0;
    status    = replay(o, line);
    line      = end + 1;
  }
  weir__free(text);
  return status;
}

weir_status weir__online_log_begin(weir__online *o) {
  weir__text text = {0};
  weir__text_add(&text, "%s%s", o->head.data, begin);
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = weir__run_write(o->terms.directory, name_of_log, text.data, text.length);
  weir__text_clear(&text);
  return status < 0 ? status : open_log(o, O_WRONLY | O_APPEND);
}

weir_status weir__online_log_add(weir__online *o, const weir__text *lines) {
  size_t done = 0;
  WEIR_TRY(weir__text_status(lines));
  while (done < lines->length) {
    ssize_t n = write(o->log, lines->data + done, lines->length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", name_of_log, strerror(errno));
    done += (size_t)n;
  }
  if (o->terms.durable && fdatasync(o->log)) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", name_of_log, strerror(errno));
  return WEIR_OK;
}
