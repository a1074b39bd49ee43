/* Files as a stream: of names and patterns, a schema and the source that workers read. There are two kinds: arrays in
 * netCDF files (files_netcdf.c) and series of images (images.h). */
#ifndef WEIR_RUN_FILES_H
#define WEIR_RUN_FILES_H
#include "exec/worker.h"
#include "run/recipe.h"

/* What a kind of files can do. */
typedef struct weir__files_kind {
  weir_status (*open)(const weir__recipe_stream *stream, void **self);
  void (*close)(void *self);
  const weir__recipe_schema *(*schema)(const void *self);
  int64_t (*steps)(const void *self);
  weir_status (*level)(const void *self, int64_t level, int64_t *step, double *time);
  weir_status (*read)(void *self, int field, int64_t level, const weir_view *out); /* thread-safe */
  void (*expect)(void *self, int steps);                                   /* so many are in flight; NULL: no matter */
  void (*describe)(const void *self, weir__text *text);                    /* lines for people; NULL: none */
  void (*explain)(void *self, int field, int64_t level, weir__text *text); /* why it cannot be read; NULL: nothing
                                                                              more than the failure says */
} weir__files_kind;
extern const weir__files_kind weir__netcdf_kind;

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

/* What is in them, in lines for people. */
void weir__files_describe(const weir__files *files, weir__text *text);
/* After a run, for a level at which `field` could not be read: add why. Nothing is added where the kind does not tell
 * levels apart. */
void weir__files_explain(weir__files *files, int field, int64_t level, weir__text *text);

/* The source. `*stop` (may be NULL) set by a signal handler ends the stream at the next step; `steps` are in flight. */
weir__source weir__files_source(weir__files *files, const volatile int *stop, int steps);
#endif
