/* Failing with one message. The first function that knows writes it; those above only pass the status on. */
#ifndef WEIR_CORE_ERROR_H
#define WEIR_CORE_ERROR_H
#include <weir/status.h>

/* Record the message of a failure and return `code`: `return WEIR_FAIL(WEIR_ERR_INPUT, "...", ...)`. */
#define WEIR_FAIL(code, ...) weir__error_set((code), __FILE__, __LINE__, __VA_ARGS__)

/* Pass a failure on while nothing is owned yet. */
#define WEIR_TRY(call)                                                                                                 \
  do {                                                                                                                 \
    weir_status try_status_ = (call);                                                                                  \
    if (try_status_ < 0) return try_status_;                                                                           \
  } while (0)

/* Pass a failure on through `label`; the function holds a variable `status`. */
#define WEIR_TRY_GOTO(label, call)                                                                                     \
  do {                                                                                                                 \
    status = (call);                                                                                                   \
    if (status < 0) goto label;                                                                                        \
  } while (0)

weir_status weir__error_set(weir_status code, const char *file, int line, const char *format, ...) WEIR_PRINTF(4, 5);

/* There is no message until the next failure: before calling what may fail without saying why. */
void weir__error_clear(void);

/* Put `prefix` (printf style) before the message of the failure in flight, as "prefix: message"; returns `code`. */
weir_status weir__error_prefix(weir_status code, const char *format, ...) WEIR_PRINTF(2, 3);

/* Source file and line of the last failure, for debugging ("" and 0 when there was none). */
const char *weir__error_file(int *line);
#endif
