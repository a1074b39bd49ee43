/* What the files zarr*.c share. */
#ifndef WEIR_IO_ZARR_PARTS_H
#define WEIR_IO_ZARR_PARTS_H
#include "core/text.h"
#include "core/threads.h"
#include "field/field.h"
#include "io/file.h"
#include "io/zarr.h"

/* A dimension as it stands in the store. */
typedef struct weir__zarr_dimension {
  char          *name;  /* in the store: perhaps "x_2" */
  weir_dimension known; /* as first seen; its strings and values belong to the store */
  char          *original, *units;
  double        *values;
} weir__zarr_dimension;

struct weir__zarr_array {
  weir__zarr    *zarr;
  char          *name;
  int            directory; /* open; -1: not yet */
  weir_dtype     dtype;
  int            width; /* > 0: texts of so many characters, whose codes dtype holds; one per time level */
  int            label; /* of texts: which one */
  int            rank;  /* without time */
  int64_t        extent[WEIR_RANK_MAX], chunk[WEIR_RANK_MAX], chunks[WEIR_RANK_MAX];
  int64_t        time_chunk; /* 0: static */
  bool           has_fill;   /* of the field's type */
  double         fill;
  size_t         level_nbytes, chunk_nbytes; /* of one time level of a chunk; of all its levels */
  char          *attributes;                 /* text of .zattrs */
  const char    *dimension[WEIR_RANK_MAX];   /* names in the store; of zarr->dimension */
  weir__mutex    mutex;                      /* the levels below */
  bool           has_mutex;
  int64_t        loaded; /* which chunk along time is in memory; -1: none */
  unsigned char *levels; /* its bytes; NULL unless time_chunk > 1 */
};

/* Consecutive time levels of steps that are missing for one reason. */
typedef struct weir__zarr_gap {
  int64_t from, to, count; /* numbers of the first and the last step; how many there were */
  int64_t index, levels;   /* along time */
  char    why[48];
} weir__zarr_gap;

struct weir__zarr {
  char                 *path, *time_units, *calendar, *attributes; /* attributes: text of .zattrs without gaps */
  int                   directory;
  bool                  creator, durable, batched;
  weir__zarr_codec      codec;
  int                   level;
  _Atomic int64_t       committed;
  weir__mutex           turn;                        /* of who commits */
  int64_t               published_ns, publishing_ns; /* when levels were shown last; how long that took */
  weir__zarr_gap       *gap;
  size_t                gaps, gap_capacity;
  weir__text            list; /* JSON of the first `listed` gaps: those before the last do not change */
  size_t                listed;
  bool                  stale;   /* .zattrs is not there yet, or has other gaps */
  weir__zarr_level     *waiting; /* indices from `committed` on whose commit failed, in order */
  size_t                waiting_count, waiting_capacity;
  bool                  told;  /* the last commit that tried to show them has failed */
  weir__zarr_array    **array; /* time, step, then coordinates and fields as they came */
  size_t                arrays, array_capacity;
  weir__zarr_dimension *dimension;
  size_t                dimensions, dimension_capacity;
  weir__zarr_array     *time, *step;
  weir__zarr_labels     labels;
};

/* ---- zarr_codec.c ---- */
size_t      weir__zarr_bound(const weir__zarr *zarr, size_t nbytes); /* most bytes that `nbytes` can become */
weir_status weir__zarr_encode(const weir__zarr_array *array, const void *bytes, void *out, size_t *nbytes);
weir_status weir__zarr_decode(const weir__zarr_array *array, const char *shown, const void *bytes, size_t nbytes,
                              void *out);

/* ---- zarr_gaps.c ---- */
weir_status weir__zarr_gaps_add(weir__zarr *zarr, const weir__zarr_level *level); /* nothing where it has no `why` */
void        weir__zarr_gaps_cut(weir__zarr *zarr, int64_t levels, int64_t step);  /* `step`: number of the last level */
void weir__zarr_gaps_text(weir__zarr *zarr, weir__text *text); /* a JSON text that holds a JSON list; at least one */
weir_status weir__zarr_gaps_read(weir__zarr *zarr, const char *text, const char *shown);

/* ---- zarr_write.c ---- */
/* A chunk as it stands in the store, all its levels; `found` false: there is none. */
weir_status weir__zarr_read_chunk(const weir__zarr_array *array, int64_t time, const int64_t *index, void *out,
                                  bool *found);
/* The `level`-th level in the bytes of a chunk, with the place of the chunk in the field. */
weir_view weir__zarr_level_view(const weir__zarr_array *array, const int64_t *index, void *chunk, int64_t level);

/* ---- zarr_metadata.c ---- */
void weir__zarr_text_group_now(weir__text *text, weir__zarr *zarr); /* .zattrs of the group, gaps included */
void weir__zarr_text_group(weir__text *text, const weir__zarr_options *options); /* .zattrs of the group */
void weir__zarr_text_array(weir__text *text, const weir__zarr_array *array);     /* .zarray */
void weir__zarr_text_field(weir__text *text, const weir__zarr_array *array, const weir_field_type *type); /* .zattrs */
weir_status weir__zarr_publish(weir__zarr *zarr);        /* .zarray of all, then .zmetadata */
weir_status weir__zarr_read_committed(weir__zarr *zarr); /* from .zmetadata; gaps as well */
weir_status
weir__zarr_check_array(const weir__zarr_array *array); /* what is in the store agrees but for the length of time */
#endif
