/* Zarr version 2 stores in a directory: written chunk by chunk by any number of workers, valid at every moment.
 *
 *   run.zarr/.zgroup .zattrs .zmetadata     the group; .zmetadata holds all metadata once more (consolidated). Where
 *                                           steps are missing, an attribute `missing_steps` of the group lists them
 *                                           (zarr_gaps.c)
 *   run.zarr/time/, step/                   physical time and step number of each index of the leading dimension `time`
 *   run.zarr/y/, x/                         coordinates of the dimensions that have any
 *   run.zarr/zeta/.zarray .zattrs 0.0.0 ... a field; chunk names are time.y.x
 *
 * A worker creates the store, the others open it afterwards; all add the same arrays in the same order. Chunks are
 * written by whoever has them, each by one worker: under a temporary name, then renamed, where readers may know of them
 * already. When all chunks of a
 * time index are there, one worker (any, but always the same) commits the index: only then do the metadata show it, so
 * a reader, or a crash, sees complete time levels. Nothing in a store depends on the date, the machine, or the number
 * of threads or workers.
 *
 * Formats: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html; names of dimensions: attribute _ARRAY_DIMENSIONS
 * as xarray defines it. */
#ifndef WEIR_IO_ZARR_H
#define WEIR_IO_ZARR_H
#include "core/error.h"
#include <weir/types.h>

typedef struct weir__zarr       weir__zarr;
typedef struct weir__zarr_array weir__zarr_array;

typedef enum weir__zarr_codec {
  WEIR__ZARR_NONE = 0,
  WEIR__ZARR_ZLIB,
  WEIR__ZARR_ZSTD,
  WEIR__ZARR_BLOSC
} weir__zarr_codec;
bool weir__zarr_codec_parse(const char       *name,
                            weir__zarr_codec *codec); /* "none", "zlib", "zstd", "blosc" (zstd, shuffled) */

typedef enum weir__zarr_mode {
  WEIR__ZARR_NEW = 0, /* fail when the path exists (an empty directory is fine) */
  WEIR__ZARR_REPLACE, /* an older Zarr store at the path is removed; anything else there is an error */
  WEIR__ZARR_RESUME   /* go on with the store; made new when there is none */
} weir__zarr_mode;

/* Texts that belong to each time level, such as the names of the images of a step: arrays along `time` beside `step`.
 */
typedef struct weir__zarr_labels {
  int                count;
  const char *const *name;      /* of the arrays */
  const char        *long_name; /* of all */
  int                width;     /* characters that a text has at most; longer ones are cut */
  const void        *self;
  /* Text `k` of a step into `out`, at most `room` bytes of UTF-8 with the 0; empty: none. Thread-safe. */
  void (*text)(const void *self, int64_t step, int k, char *out, size_t room);
} weir__zarr_labels;

/* {0} is complete. Strings are copied. */
typedef struct weir__zarr_options {
  weir__zarr_codec      codec;
  int                   level;      /* 0: the codec's usual (zlib 6, zstd 3, blosc 5) */
  const char           *time_units; /* NULL: none */
  const char           *calendar;   /* CF calendar of `time`; NULL: none */
  const weir_attribute *attributes; /* of the group (title, ...); Conventions is set already */
  int                   attribute_count;
  weir__zarr_labels     labels; /* count 0: none; what it points to must outlive the store in memory */
  bool batched; /* commits may wait, so that no more than a part of the time is spent on showing levels to readers */
  bool durable; /* flush every file to the device: survives the death of the node, not only of the process */
} weir__zarr_options;

/* Create a store.
 * WEIR_ERR_IO: it exists (NEW), or cannot be written; WEIR_ERR_INPUT: no store is there to replace or it is damaged
 * (RESUME). */
weir_status weir__zarr_create(const char *path, const weir__zarr_options *options, weir__zarr_mode mode,
                              weir__zarr **zarr);

/* Open a store that another worker has created, with the same options. */
weir_status weir__zarr_open(const char *path, const weir__zarr_options *options, weir__zarr **zarr);

/* Free what describes the store in memory; all data are in the files already (but for what weir__zarr_flush is for). */
void weir__zarr_destroy(weir__zarr **zarr);

/* Chunk extents for a field when nothing is asked for: about 2^18 elements, a function of the shape alone. */
void weir__zarr_default_chunk(const weir_field_type *type, int64_t chunk[WEIR_RANK_MAX]);

/* Add an array for fields of this type. `chunk`: extents per axis, NULL for the default. `time_chunk`: time levels per
 * chunk; 1 for fields; more for scalars and small fields that fit one chunk (it is then rewritten at each time level);
 * 0: a static field, without the dimension `time`. A dimension that has the name of one in an earlier array but another
 * size or coordinate is written as name_2, name_3, ... The array belongs to the store; `type` is not kept.
 * WEIR_ERR_ARGUMENT: a name that is no name of a directory or is taken; WEIR_ERR_INPUT: the store to go on with has
 * another array of this name. */
weir_status weir__zarr_add(weir__zarr *zarr, const char *name, const weir_field_type *type, const int64_t *chunk,
                           int64_t time_chunk, weir__zarr_array **array);

/* Number of spatial chunks. */
int64_t weir__zarr_chunks(const weir__zarr_array *array);

/* Memory that a call of weir__zarr_write works in. */
size_t weir__zarr_scratch_size(const weir__zarr_array *array);

/* Write the chunks of one time index (ignored for a static field) that `view` covers; it must cover whole chunks, cut
 * off at the end of the field. A view that is `missing` writes nothing where the array has a fill value, zeros
 * otherwise. `scratch`: NULL, or the size above. `written`: number of chunks, may be NULL.  Thread-safe for different
 * chunks; writing again gives the same bytes. */
weir_status weir__zarr_write(weir__zarr_array *array, int64_t index, const weir_view *view, void *scratch,
                             int64_t *written);

/* What is committed. */
typedef struct weir__zarr_level {
  int64_t     index, step;
  double      time;
  bool        gaps; /* some chunks are not there and will not come */
  const char *why;  /* NULL, or why the source has nothing at this step; not copied: a constant */
  int64_t     more; /* then: it stands for so many further steps, */
  int64_t     last; /* up to this one */
} weir__zarr_level;

/* All chunks of a time index are there: let readers see it. With `gaps` some are not and will not come: they are
 * missing values, or zeros in an array that has no missing value. Indices grow; one committed already may be committed
 * again (a replay). Those whose commit failed, as on a full disk, become visible with the next commit that succeeds, as
 * far as their chunks were written; of one that was never committed, time and step are unknown (NaN, -1).
 * A level of a step that the source does not have (`why`) waits for the next one that it has, or for a flush; in a
 * store with batched commits each may. Thread-safe.
 * WEIR_ERR_IO: not visible yet. */
weir_status weir__zarr_commit(weir__zarr *zarr, const weir__zarr_level *level);
/* By the worker that commits: let readers see what waits. Before the end and a checkpoint, and now and then.
 * Thread-safe. */
weir_status weir__zarr_flush(weir__zarr *zarr);
/* By the worker that commits, at the end: flush. WEIR_ERR_IO: what waited is not visible, and no commit has said so. */
weir_status weir__zarr_finish(weir__zarr *zarr);
/* Finish and free; NULL is fine. */
weir_status weir__zarr_close(weir__zarr **zarr);

int64_t weir__zarr_committed(const weir__zarr *zarr); /* time levels that readers see */

/* Forget all time levels from `count` on, and left-over temporary files: for a restart from a checkpoint, by one
 * worker, after all arrays were added and before anybody writes. */
weir_status weir__zarr_cut(weir__zarr *zarr, int64_t count);
#endif
