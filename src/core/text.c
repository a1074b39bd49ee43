#include "core/text.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(weir__text *text, size_t more) {
  if (text->failed) return false;
  if (weir__grow(&text->data, text->length + more + 1, &text->capacity, 1) < 0) text->failed = true;
  return !text->failed;
}

void weir__text_add(weir__text *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0 || !reserve(text, (size_t)length)) return;
  va_start(arguments, format);
  vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
  va_end(arguments);
  text->length += (size_t)length;
}

void weir__text_add_bytes(weir__text *text, const void *bytes, size_t length) {
  if (!reserve(text, length)) return;
  if (length) memcpy(text->data + text->length, bytes, length);
  text->length += length;
  text->data[text->length] = 0;
}

weir_status weir__text_status(const weir__text *text) { return text->failed ? WEIR_ERR_MEMORY : WEIR_OK; }

void weir__text_clear(weir__text *text) {
  weir__free(text->data);
  *text = (weir__text){0};
}

/* Levenshtein distance of two short words, case ignored; words over the limit are never near. */
enum { WORD_MAX = 64 };
static size_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b), row[WORD_MAX + 1];
  if (n > WORD_MAX || m > WORD_MAX) return SIZE_MAX;
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0]          = i;
    for (size_t j = 1; j <= m; j++) {
      size_t above = row[j];
      size_t cost  = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
      if (above + 1 < cost) cost = above + 1;
      if (row[j - 1] + 1 < cost) cost = row[j - 1] + 1;
      row[j]   = cost;
      diagonal = above;
    }
  }
  return row[m];
}

const char *weir__text_nearest(const char *name, const char *const *names, size_t count) {
  size_t      limit = strlen(name) / 3 > 1 ? strlen(name) / 3 : 1, best = limit + 1;
  const char *nearest = NULL;
  for (size_t i = 0; i < count; i++) {
    size_t d = distance(name, names[i]);
    if (d < best) {
      best    = d;
      nearest = names[i];
    }
  }
  return nearest;
}

bool weir__text_to_double(const char *text, double *value) {
  char *end;
  if (!*text || isspace((unsigned char)*text)) return false;
  errno  = 0;
  *value = strtod(text, &end);
  return *end == 0 && !(errno == ERANGE && isinf(*value)); /* a result too small for a normal number is near enough */
}

bool weir__text_to_int64(const char *text, int64_t *value) {
  char *end;
  if (!*text || isspace((unsigned char)*text)) return false;
  errno            = 0;
  long long parsed = strtoll(text, &end, 10);
  if (*end || errno) return false;
  *value = parsed;
  return true;
}

const char *weir__text_bytes(double bytes, char out[16]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t                   unit    = 0;
  while (fabs(bytes) >= 1024 && unit + 1 < sizeof units / sizeof *units) bytes /= 1024, unit++;
  snprintf(out, 16, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
  return out;
}
