/* The detail of the last failure lives in the thread that failed: no lock, and no other thread's message is seen. */
#include "core/error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_MAX = 1024 };

static _Thread_local struct {
  char        message[MESSAGE_MAX];
  const char *file;
  int         line;
} last;

const char *weir_status_text(weir_status status) {
  switch (status) {
#define WEIR_STATUS_TEXT(name, value, text)                                                                            \
  case name: return text;
    WEIR_STATUS_LIST(WEIR_STATUS_TEXT)
#undef WEIR_STATUS_TEXT
  }
  return "unknown status";
}

const char *weir_error_last(void) { return last.message; }

void weir__error_clear(void) { last.message[0] = 0; }

weir_status weir__error_set(weir_status code, const char *file, int line, const char *format, ...) {
  char    text[MESSAGE_MAX]; /* the arguments may point into last.message itself */
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  memcpy(last.message, text, sizeof text);
  last.file = file;
  last.line = line;
  return code;
}

weir_status weir__error_prefix(weir_status code, const char *format, ...) {
  char    prefix[MESSAGE_MAX / 2], text[MESSAGE_MAX];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(prefix, sizeof prefix, format, arguments);
  va_end(arguments);
  int length = snprintf(text, sizeof text, "%s: %s", prefix, last.message);
  if (length >= MESSAGE_MAX) text[MESSAGE_MAX - 1] = 0;
  memcpy(last.message, text, sizeof text);
  return code;
}

const char *weir__error_file(int *line) {
  *line = last.line;
  return last.file ? last.file : "";
}
