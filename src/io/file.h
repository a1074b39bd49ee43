/* Files written whole or not at all, and numbers as text: what every writer of this module needs. */
#ifndef WEIR_IO_FILE_H
#define WEIR_IO_FILE_H
#include "core/memory.h"
#include "core/text.h"

/* Replace the file `name` in the open directory `directory` (AT_FDCWD: a path) by these bytes: a temporary name in the
 * same directory (".part-" before the name, so that a repetition after a crash reuses it), then a rename. `shown` is
 * the path for messages. `durable`: flushed to the device before the rename. */
weir_status weir__file_replace(int directory, const char *name, const char *shown, const void *bytes, size_t nbytes,
                               bool durable);

/* The same without a temporary name, for a file that nobody looks at yet: a crash may leave a part of it. */
weir_status weir__file_write(int directory, const char *name, const char *shown, const void *bytes, size_t nbytes,
                             bool durable);

/* For what writes piece by piece or through a library: the temporary name beside `path`, and then, when `written` is
 * good, the rename; otherwise the part is removed, and `written` is returned. */
weir_status weir__file_part(const char *path, char *part, size_t size);
weir_status weir__file_part_done(const char *path, const char *part, weir_status written);

/* Read a whole file; `*bytes` (freed by weir__free, one 0 behind the last byte) stays NULL when there is no such file.
 */
weir_status weir__file_read(int directory, const char *name, const char *shown, char **bytes, size_t *nbytes);

/* Make the directories that `path` stands in, and with `itself` the one it names. */
weir_status weir__file_make_directories(const char *path, bool itself);

/* Remove a directory and all in it; it is no error that it does not exist. */
weir_status weir__file_remove_tree(const char *path);

/* The shortest of 15, 16 and 17 digits that reads back to the same double; "nan", "inf", "-inf". The decimal sign is a
 * point whatever the locale of the host. */
const char *weir__number_text(double x, char out[32]);

/* A JSON string, in its quotes. */
void weir__json_string(weir__text *text, const char *s);
#endif
