/* Files as a stream: names and patterns to a reader, its schema, and the source that workers read. */
#ifndef WEIR_RUN_FILES_H
#define WEIR_RUN_FILES_H
#include "exec/worker.h"
#include "run/recipe.h"

typedef struct weir__files weir__files;

/* Open the files of a stream: patterns are expanded, in the order of the names. WEIR_ERR_INPUT: none, or unreadable. */
weir_status weir__files_open(const weir__recipe_stream *stream, weir__files **files);
void        weir__files_close(weir__files **files);

/* What is in them. Belongs to `files`. */
const weir__recipe_schema *weir__files_schema(const weir__files *files);
int64_t                    weir__files_steps(const weir__files *files);

/* Number and time of time level `level`. */
weir_status weir__files_level(const weir__files *files, int64_t level, int64_t *step, double *time);
/* Read the box of `out` at that level. Thread-safe. */
weir_status weir__files_read(weir__files *files, int field, int64_t level, const weir_view *out);

/* The source. `*stop` (may be NULL) set by a signal handler ends the stream at the next step. */
weir__source weir__files_source(weir__files *files, const volatile int *stop);
#endif
