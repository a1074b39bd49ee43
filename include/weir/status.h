/** @file weir/status.h  What a call returns, and where the one-line explanation of a failure is found. */
#ifndef WEIR_STATUS_H
#define WEIR_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API                    __attribute__((visibility("default")))
#define WEIR_CHECKED                __attribute__((warn_unused_result))
#define WEIR_PRINTF(text_at, first) __attribute__((format(printf, text_at, first)))
#else
#define WEIR_API
#define WEIR_CHECKED
#define WEIR_PRINTF(text_at, first)
#endif

/** The one list of status codes: enum name, value, text. */
#define WEIR_STATUS_LIST(X)                                                                                            \
  X(WEIR_OK, 0, "no error")                                                                                            \
  X(WEIR_END, 1, "end of the stream")                                                                                  \
  X(WEIR_ERR_ARGUMENT, -1, "invalid argument")                                                                         \
  X(WEIR_ERR_MEMORY, -2, "out of memory")                                                                              \
  X(WEIR_ERR_OVERFLOW, -3, "number out of range")                                                                      \
  X(WEIR_ERR_INPUT, -4, "invalid input")                                                                               \
  X(WEIR_ERR_IO, -5, "input/output error")                                                                             \
  X(WEIR_ERR_STATE, -6, "call out of order")                                                                           \
  X(WEIR_ERR_TIMEOUT, -7, "timed out")                                                                                 \
  X(WEIR_ERR_GONE, -8, "the other side is gone")                                                                       \
  X(WEIR_ERR_UNAVAILABLE, -9, "not available in this build")                                                           \
  X(WEIR_ERR_COMM, -10, "communication failed")                                                                        \
  X(WEIR_ERR_OPERATOR, -11, "an operator failed")                                                                      \
  X(WEIR_ERR_INTERNAL, -12, "internal error")

typedef enum weir_status {
#define WEIR_STATUS_ENUM(name, value, text) name = value,
  WEIR_STATUS_LIST(WEIR_STATUS_ENUM)
#undef WEIR_STATUS_ENUM
} weir_status;

/** The text of a status code; "unknown status" for a value that is none.  Local; never NULL. */
WEIR_API const char *weir_status_text(weir_status status);

/** The message of the last failure in this thread; "" if there was none.  Local.
 *  Valid until the next failing call in the same thread. */
WEIR_API const char *weir_error_last(void);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_STATUS_H */
