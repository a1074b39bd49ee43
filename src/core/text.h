/* Text: a growing buffer, checked numbers, and the nearest known name for a misspelt one. */
#ifndef WEIR_CORE_TEXT_H
#define WEIR_CORE_TEXT_H
#include "core/memory.h"
#include <stdbool.h>

typedef struct weir__text {
  char  *data; /* owned; always ends with 0 once something was added; NULL before */
  size_t length, capacity;
  bool   failed; /* an allocation failed: later additions do nothing; check once at the end */
} weir__text;
void        weir__text_add(weir__text *text, const char *format, ...) WEIR_PRINTF(2, 3);
void        weir__text_add_bytes(weir__text *text, const void *bytes, size_t length);
weir_status weir__text_status(const weir__text *text); /* WEIR_ERR_MEMORY when an addition failed */
void        weir__text_clear(weir__text *text);

/* The name of `count` in `names` nearest to `name` (edit distance at most a third of its length, at least 1; case is
 * ignored); NULL when none is near. */
const char *weir__text_nearest(const char *name, const char *const *names, size_t count);

/* Parse all of `text` as a number; false when it is not one (or is out of range). */
bool weir__text_to_double(const char *text, double *value);
bool weir__text_to_int64(const char *text, int64_t *value);

/* Bytes for people: "812 B", "1.5 MiB". Writes at most 16 bytes. */
const char *weir__text_bytes(double bytes, char out[16]);
#endif
