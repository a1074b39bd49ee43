/* What the parts of a series know of each other (series.c, series_names.c, series_subset.c). */
#ifndef WEIR_IO_SERIES_PARTS_H
#define WEIR_IO_SERIES_PARTS_H
#include "core/memory.h"
#include "core/text.h"
#include "io/series.h"

enum { WEIR__SERIES_INDICES = 8, WEIR__SERIES_IMAGES = 1024 }; /* of a name and its pages; of a step */

/* ---- names (series_names.c) ---- */

/* The kinds of indices stand for themselves in a pattern: no name has these characters. */
enum { WEIR__DIGITS = 1, WEIR__LOWER = 2, WEIR__UPPER = 3 };

/* Files of one pattern, in the order of their indices. File f has the values value[f * (indices + 1) + 0, 1, ...]; the
 * last one of these is where its name begins in `text`. */
typedef struct weir__series_names {
  char    *folder;  /* owned; with its last "/", or "" */
  char    *pattern; /* owned; a name with the kinds in place of the indices */
  char    *text;    /* owned; names, each ended by 0 */
  int64_t *value;   /* owned */
  int64_t  files, others;
  int      indices;
} weir__series_names;

/* The values of a name and its pattern. False: no name for a series. */
bool weir__series_names_apart(const char *name, char pattern[256], int64_t value[WEIR__SERIES_INDICES], int *indices);
weir_status weir__series_names_find(const weir__series_terms *terms, weir__series_names *names);
void        weir__series_names_clear(weir__series_names *names);
/* -1: there is none. */
int64_t     weir__series_names_look_up(const weir__series_names *names, const int64_t *value);
const char *weir__series_names_of(const weir__series_names *names, int64_t file);
/* What a name with these values would be, each with at least `width` characters. */
void weir__series_names_make(const weir__series_names *names, const int64_t *value, const int *width, weir__text *out);
/* An index as it stands in a name. */
void weir__series_names_index(int kind, int64_t value, int width, weir__text *out);

/* ---- subsets (series_subset.c) ---- */

typedef struct weir__range {
  int64_t least, most; /* both belong to it */
} weir__range;

typedef struct weir__subset weir__subset;
/* WEIR_ERR_INPUT: it cannot be understood. */
weir_status weir__subset_parse(const char *text, weir__subset **subset);
void        weir__subset_destroy(weir__subset **subset);
int         weir__subset_slices(const weir__subset *subset);
/* Have all slices that are no numbers a start and a stop? */
bool weir__subset_bounded(const weir__subset *subset);
bool weir__subset_has_i(const weir__subset *subset);
/* Values of slice `k` for this i, `index` being the range of its index: `*count` of them from *first on. False: none,
 * or some beyond the range. */
bool weir__subset_values(const weir__subset *subset, int k, int64_t i, weir__range index, int64_t *first, int64_t *step,
                         int64_t *count);
/* Could slice `k` be within its index for any i of the range? True when that cannot be told. */
bool weir__subset_possible(const weir__subset *subset, int k, weir__range i, weir__range index);

/* ---- the series itself (series.c) ---- */

static const int64_t WEIR__SERIES_FAR = INT64_C(1000000000000000000);

/* What is known of the values of an index in all files. */
typedef struct weir__spread {
  weir__range range;
  int64_t     distinct, distance; /* greatest common divisor of the differences; 1 for one value */
} weir__spread;

struct weir__series {
  weir__series_names  names;
  int64_t            *page;    /* owned; of each file the id of its first page, and one more; NULL: one page each */
  int                 indices; /* of names and pages */
  weir__spread        spread[WEIR__SERIES_INDICES];
  int                 slice[WEIR__SERIES_INDICES]; /* which one of the subset is for the index; -1: none */
  weir__subset       *subset;
  char               *subset_text; /* owned */
  char               *shown;       /* owned; the names for people */
  int                 width[WEIR__SERIES_INDICES];
  int64_t             first, step, steps, gaps;
  int                 images;
  struct weir__grown *grown; /* owned; NULL: the files are those of `names` */
};

/* The values of a step's images. */
typedef struct weir__chosen {
  int64_t first[WEIR__SERIES_INDICES], step[WEIR__SERIES_INDICES], count[WEIR__SERIES_INDICES];
  int64_t images;
} weir__chosen;

/* False: beyond the series. */
bool weir__series_choose(const weir__series *series, int64_t i, weir__chosen *chosen);
/* Values of image `image`: of several slices, the last one goes fastest. */
void weir__series_values(const weir__series *series, const weir__chosen *chosen, int64_t image,
                         int64_t value[WEIR__SERIES_INDICES]);
/* Are all images of step i there? */
bool weir__series_whole(const weir__series *series, int64_t i);

/* ---- files that come while the series is looked at (series_grow.c) ---- */

typedef struct weir__grown weir__grown;
/* -1: there is none, or it counts as missing. */
int64_t weir__grown_find(const weir__grown *grown, const int64_t *value);
void    weir__grown_destroy(weir__grown **grown);
#endif
