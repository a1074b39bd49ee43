/* Files as a stream: of names and patterns, a schema and the source that workers read. There are two kinds: arrays in
 * netCDF files (files_netcdf.c) and series of images (images.h). */
#ifndef WEIR_RUN_FILES_H
#define WEIR_RUN_FILES_H
#include "exec/worker.h"
#include "run/recipe.h"

/* Of a run, for files that are still being written. */
typedef struct weir__files_terms {
  weir__comm         *comm;
  const char         *directory; /* of the run */
  bool                durable;   /* what is decided is flushed to the device */
  const volatile int *stop;      /* set by a signal handler: it is the end; NULL: no signal is */
} weir__files_terms;

/* What a kind can do for files that come while they are read; `self` as of the kind. See weir__source. */
typedef struct weir__files_live {
  weir_status (*more)(void *self, int64_t ordinal);
  void (*attach)(void *self, void (*wake)(void *who), void *who);
  uint64_t (*about)(void *self, int64_t ordinal);
  void (*heed)(void *self, int64_t ordinal, uint64_t about);
  void (*pulse)(void *self, int64_t ordinal, int64_t *steps, int64_t *came_ns);
  weir_status (*verdict)(void *self);
} weir__files_live;

/* What a kind of files can do. */
typedef struct weir__files_kind {
  /* `terms` NULL: files are only looked at, as they are now */
  weir_status (*open)(const weir__recipe_stream *stream, const weir__files_terms *terms, void **self);
  void (*close)(void *self);
  const weir__recipe_schema *(*schema)(const void *self);
  int64_t (*steps)(const void *self);
  weir_status (*level)(const void *self, int64_t level, int64_t *step, double *time);
  weir_status (*read)(void *self, int field, int64_t level, const weir_view *out); /* thread-safe */
  int (*in_flight)(const void *self);    /* steps at once, where the recipe does not say; NULL: as everywhere */
  void (*expect)(void *self, int steps); /* so many are in flight; NULL: no matter */
  void (*describe)(const void *self, weir__text *text);                    /* lines for people; NULL: none */
  void (*explain)(void *self, int field, int64_t level, weir__text *text); /* why it cannot be read; NULL: nothing
                                                                              more than the failure says */
  void (*origin)(const void *self, weir__text *json); /* members of a JSON object that say what was read; NULL: none */
  int (*labels)(const void *self, int *width);        /* texts of each step; NULL: none */
  void (*label)(const void *self, int64_t step, int k, char *out, size_t room);
  const weir__files_live *(*live)(const void *self); /* NULL, or NULL is returned: all files are there */
} weir__files_kind;
extern const weir__files_kind weir__netcdf_kind;

typedef struct weir__files weir__files;

/* Open the files of a stream: patterns are expanded, in the order of the names. With `terms` (else NULL) collective,
 * and it waits for the first files that are watched for. WEIR_ERR_INPUT: none, or unreadable. */
weir_status weir__files_open(const weir__recipe_stream *stream, const weir__files_terms *terms, weir__files **files);
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

/* Do files still come? */
bool weir__files_come(const weir__files *files);
/* Then: steps that have come, and the clock when this one came (0: unknown); on worker 0. */
void weir__files_pulse(weir__files *files, int64_t ordinal, int64_t *steps, int64_t *came_ns);
/* After the run, on worker 0: did they come as a stream does? The message says what was otherwise. */
weir_status weir__files_verdict(weir__files *files);
/* Steps in flight: as `given`, or what is usual for such files (NULL: none) where that is 0; 0: nothing special. */
int weir__files_in_flight(const weir__files *files, int given);
/* What was read, as members of a JSON object. */
void weir__files_origin(const weir__files *files, weir__text *json);
/* Texts that belong to each step, as many as returned, each of at most `width` characters: names of images. */
int weir__files_labels(const weir__files *files, int *width);
/* Text `k` of the step with this number; empty: none. Thread-safe. */
void weir__files_label(const void *files, int64_t step, int k, char *out, size_t room);

/* The source. `*stop` (may be NULL) set by a signal handler ends the stream at the next step; `steps` are in flight. */
weir__source weir__files_source(weir__files *files, const volatile int *stop, int steps);
#endif
