/* The log of decisions: one line each, the same bytes in every run but for what people did. */
#include "io/file.h"
#include "steer/parts.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one line ---- */

static const char *const words[]   = {"set", "output", "output", "output", "extract", "stop", "refused"};
static const char *const outputs[] = {"", "start", "stop", "once"}; /* START, PAUSE, ONCE */

weir_status weir__decision_text(const weir__steering *s, const weir__decision *d, weir__text *text) {
  char value[32], was[32];
  weir__text_add(text, "step=%" PRId64 " ordinal=%" PRId64 " effect=%" PRId64 " cause=", d->step, d->ordinal,
                 d->effect);
  if (d->rule) weir__text_add(text, "rule:%d %s", d->rule, words[d->kind]);
  else weir__text_add(text, "person:%s %s", d->id, words[d->kind]);
  switch (d->kind) {
  case WEIR__STEER_SET:
    weir__text_add(text, " %s=%s was=%s", s->parameter[d->target].name, weir__number_text(d->value, value),
                   weir__number_text(d->was, was));
    break;
  case WEIR__STEER_REFUSED:
    weir__text_add(text, " %s=%s least=%s most=%s", s->parameter[d->target].name, weir__number_text(d->value, value),
                   weir__number_text(s->parameter[d->target].least, was),
                   weir__number_text(s->parameter[d->target].most, (char[32]){0}));
    break;
  case WEIR__STEER_START:
  case WEIR__STEER_PAUSE:
  case WEIR__STEER_ONCE: weir__text_add(text, " %s=%s", s->output[d->target].name, outputs[d->kind]); break;
  case WEIR__STEER_EXTRACT:
    if (d->every.period)
      weir__text_add(text, " %s=steps period=%" PRId64 " phase=%" PRId64, s->output[d->target].name, d->every.period,
                     d->every.phase);
    else
      weir__text_add(text, " %s=time interval=%s", s->output[d->target].name,
                     weir__number_text(d->every.interval, value));
    break;
  case WEIR__STEER_STOP: break;
  }
  weir__text_add(text, "\n");
  return weir__text_status(text);
}

/* The next word; "key=value" is cut in two when `value` is given. NULL: none, or no such pair. */
static char *next_word(char **at, char **value) {
  char *word = strsep(at, " ");
  if (!word || !*word) return NULL;
  if (!value) return word;
  char *equals = strchr(word, '=');
  if (!equals) return NULL;
  *equals = 0;
  *value  = equals + 1;
  return word;
}

static bool next_int(char **at, const char *key, int64_t *out) {
  char *value, *word = next_word(at, &value);
  return word && !strcmp(word, key) && weir__text_to_int64(value, out);
}

static bool any_number(const char *text, double *out) { /* with inf and nan */
  char *end;
  *out = strtod(text, &end);
  return end != text && !*end;
}

static bool next_real(char **at, const char *key, double *out) {
  char *value, *word = next_word(at, &value);
  return word && !strcmp(word, key) && any_number(value, out);
}

static bool parse_cause(const char *cause, weir__decision *d) {
  int64_t rule;
  if (!strncmp(cause, "person:", 7) && cause[7] && strlen(cause + 7) < sizeof d->id) {
    snprintf(d->id, sizeof d->id, "%s", cause + 7);
    return true;
  }
  if (strncmp(cause, "rule:", 5) || !weir__text_to_int64(cause + 5, &rule) || rule < 1 || rule > INT32_MAX)
    return false;
  d->rule = (int)rule;
  return true;
}

static weir_status find_target(const weir__steering *s, const char *name, weir__decision *d) {
  bool parameter = d->kind == WEIR__STEER_SET || d->kind == WEIR__STEER_REFUSED;
  for (int i = 0; i < (parameter ? s->parameters : s->outputs); i++)
    if (!strcmp(name, parameter ? s->parameter[i].name : s->output[i].name)) {
      d->target = i;
      return WEIR_OK;
    }
  return WEIR_FAIL(WEIR_ERR_INPUT, "this run has no %s %s", parameter ? "parameter" : "steered output", name);
}

static bool parse_kind(const char *word, weir__steering_kind *kind) {
  for (int k = 0; k < (int)(sizeof words / sizeof *words); k++)
    if (!strcmp(words[k], word)) {
      *kind = (weir__steering_kind)k;
      return true;
    }
  return false;
}

/* What follows the verb. */
static bool parse_rest(char **at, const char *value, weir__decision *d) {
  double unused;
  switch (d->kind) {
  case WEIR__STEER_SET: return any_number(value, &d->value) && next_real(at, "was", &d->was);
  case WEIR__STEER_REFUSED:
    return any_number(value, &d->value) && next_real(at, "least", &unused) && next_real(at, "most", &unused);
  case WEIR__STEER_EXTRACT:
    if (!strcmp(value, "time")) return next_real(at, "interval", &d->every.interval) && d->every.interval > 0;
    return !strcmp(value, "steps") && next_int(at, "period", &d->every.period) && d->every.period > 0 &&
           next_int(at, "phase", &d->every.phase);
  default:
    for (int k = WEIR__STEER_START; k <= WEIR__STEER_ONCE; k++)
      if (!strcmp(outputs[k], value)) {
        d->kind = (weir__steering_kind)k;
        return true;
      }
    return false;
  }
}

weir_status weir__decision_parse(const weir__steering *s, char *line, weir__decision *d) {
  char *at  = line, *value, *word;
  *d        = (weir__decision){0};
  bool good = next_int(&at, "step", &d->step) && next_int(&at, "ordinal", &d->ordinal) &&
              next_int(&at, "effect", &d->effect) && (word = next_word(&at, &value)) && !strcmp(word, "cause") &&
              parse_cause(value, d) && (word = next_word(&at, NULL)) && parse_kind(word, &d->kind);
  if (good && d->kind != WEIR__STEER_STOP) {
    word = next_word(&at, &value);
    if (word) WEIR_TRY(find_target(s, word, d));
    good = word && parse_rest(&at, value, d);
  }
  if (good && !at) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "expected a decision, such as step=120 ordinal=120 effect=124 cause=rule:1 set "
                                   "wind=0.5 was=1");
}

/* ---- a file ---- */

static weir_status keep(weir__decision **list, size_t *count, size_t *capacity, const weir__decision *d) {
  WEIR_TRY(weir__grow(list, *count + 1, capacity, sizeof **list));
  (*list)[(*count)++] = *d;
  return WEIR_OK;
}

weir_status weir__steering_log_replay(weir__steering *s, const char *path) {
  char          *bytes = NULL;
  size_t         size;
  int            number = 0;
  weir__decision d;
  WEIR_TRY(weir__file_read(AT_FDCWD, path, path, &bytes, &size));
  if (!bytes) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: no such file", path);
  weir_status status = WEIR_OK;
  for (char *at = bytes, *line; status >= 0 && (line = strsep(&at, "\n"));) {
    number++;
    if (!*line) continue;
    status = weir__decision_parse(s, line, &d);
    if (status >= 0 && s->givens && d.ordinal < s->given[s->givens - 1].ordinal)
      status = WEIR_FAIL(WEIR_ERR_INPUT, "the decision is of an earlier step than the one before");
    if (status >= 0) status = keep(&s->given, &s->givens, &s->given_capacity, &d);
    if (status < 0) status = weir__error_prefix(status, "%s:%d", path, number);
  }
  weir__free(bytes);
  return status;
}

static weir_status log_path(const weir__steering *s, weir__text *path) {
  weir__text_add(path, "%s/%s", s->directory, WEIR__STEER_LOG);
  return weir__text_status(path);
}

/* Sort the lines of a log into those to keep and those to take again. */
static weir_status sort_lines(weir__steering *s, const char *path, char *bytes, int64_t last, weir__text *head,
                              weir__text *tail) {
  int            number = 0;
  weir__decision d;
  for (char *line = bytes, *end; (end = strchr(line, '\n')); line = end + 1) { /* the last may be torn: dropped */
    size_t length = (size_t)(end - line);
    number++;
    *end            = 0;
    weir__text copy = {0};
    weir__text_add(&copy, "%s\n", line);
    weir_status status = weir__text_status(&copy);
    if (status >= 0) status = weir__decision_parse(s, line, &d);
    bool early = status >= 0 && d.step <= last;
    if (early) weir__text_add_bytes(head, copy.data, length + 1);
    else if (status >= 0 && !d.rule && !s->replays) {
      weir__text_add_bytes(tail, copy.data, length + 1);
      status = keep(&s->given, &s->givens, &s->given_capacity, &d);
    }
    if (status >= 0 && !d.rule) status = keep(&s->people, &s->peoples, &s->people_capacity, &d);
    weir__text_clear(&copy);
    if (status < 0) return weir__error_prefix(status, "%s:%d", path, number);
  }
  WEIR_TRY(weir__text_status(head));
  return weir__text_status(tail);
}

weir_status weir__steering_log_open(weir__steering *s, int64_t last) {
  weir__text  path = {0}, head = {0}, tail = {0};
  char       *bytes = NULL;
  size_t      size  = 0;
  weir_status status;
  WEIR_TRY_GOTO(out, log_path(s, &path));
  WEIR_TRY_GOTO(out, weir__file_read(AT_FDCWD, path.data, path.data, &bytes, &size));
  if (bytes) WEIR_TRY_GOTO(out, sort_lines(s, path.data, bytes, last, &head, &tail));
  s->log_size = head.length;
  if (tail.length) weir__text_add_bytes(&head, tail.data, tail.length);
  WEIR_TRY_GOTO(out, weir__text_status(&head));
  if (!bytes || head.length != size)
    status = weir__file_replace(AT_FDCWD, path.data, path.data, head.length ? head.data : "", head.length, false);
  while (s->replays && s->next < s->givens && s->given[s->next].step <= last) s->next++;
out:
  weir__free(bytes);
  weir__text_clear(&path);
  weir__text_clear(&head);
  weir__text_clear(&tail);
  return status;
}

/* Before what people decided for later steps. */
static weir_status insert(weir__steering *s, const char *path, const weir__text *line) {
  char       *bytes = NULL;
  size_t      size  = 0;
  weir__text  all   = {0};
  weir_status status;
  WEIR_TRY(weir__file_read(AT_FDCWD, path, path, &bytes, &size));
  if (!bytes || size < s->log_size) status = WEIR_FAIL(WEIR_ERR_IO, "%s: was changed by someone else", path);
  else {
    weir__text_add_bytes(&all, bytes, s->log_size);
    weir__text_add_bytes(&all, line->data, line->length);
    weir__text_add_bytes(&all, bytes + s->log_size, size - s->log_size);
    status = weir__text_status(&all);
    if (status >= 0) status = weir__file_replace(AT_FDCWD, path, path, all.data, all.length, false);
  }
  weir__free(bytes);
  weir__text_clear(&all);
  return status;
}

static weir_status append(const char *path, const weir__text *line) {
  int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  off_t   end     = lseek(file, 0, SEEK_END);
  ssize_t written = write(file, line->data, line->length);
  int     error   = written < 0 ? errno : ENOSPC;
  bool    whole   = written == (ssize_t)line->length;
  if (!whole && written > 0 && ftruncate(file, end)) whole = false; /* a torn line is dropped by who reads it */
  if (close(file) && whole) error = errno, whole = false;
  return whole ? WEIR_OK : WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(error));
}

weir_status weir__steering_log_add(weir__steering *s, const weir__decision *d, int count, bool given) {
  weir__text line = {0}, path = {0};
  if (!s->directory) return WEIR_OK;
  weir_status status = WEIR_OK;
  for (int i = 0; status >= 0 && i < count; i++) status = weir__decision_text(s, &d[i], &line);
  if (status >= 0) status = log_path(s, &path);
  if (status >= 0 && (!given || s->replays))
    status = s->next < s->givens && !s->replays ? insert(s, path.data, &line) : append(path.data, &line);
  if (status >= 0) s->log_size += line.length;
  weir__text_clear(&line);
  weir__text_clear(&path);
  return status;
}
