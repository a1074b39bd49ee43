/* A series of images: which files (or pages of files) there are, and which of them make a step.
 *
 * A name is a base, then indices with separators between them, then an extension: "im_0012a.tif" has the indices 12 and
 * a. An index is a run of digits or, behind a digit or a separator, a run of letters in base 26 (a is 0). A file with
 * several pages adds an index, written movie.cine[12]. All files of a series share base, separators, extension and
 * kinds of indices; others in the folder are left alone (and counted). The base goes on to the first digit, or, in a
 * name without digits, to the last run of letters behind a separator.
 *
 * A subset says which images make step i: one slice (or number) per index, Python's way, in which i is the step.
 *     "i:i+2"        im0 im1, im1 im2, ...         "i, 0:2"    im1a im1b, im2a im2b ...
 *     "i:i+4:2"      im0 im2, im1 im3, ...         "i+1:i+3"   shifted by one
 *     "pairs"        chooses one of the first two   "all1by1"   one image per step
 *     "i-2:i+3"      five images around each
 * Numbers in slices are those in the names; a letter is its number. Where a slice leaves its start or stop out, it
 * begins or ends with the series. Indices that are the same in all names need no slice. "pairs" and "all1by1" see the
 * distance of the numbers: with im0, im10, im20 ... the steps are 0, 10, ... and a pair is im0 im10.
 *
 * Steps go from the first to the last i for which all images are there, within start and stop; a missing file between
 * is a gap of exactly the steps that use it. All but the listing is O(n log n) in the number of files, none of which is
 * looked at (the first that opens is, for its number of pages; when it has several, all are). */
#ifndef WEIR_IO_SERIES_H
#define WEIR_IO_SERIES_H
#include "core/text.h"
#include "io/image.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct weir__series_terms {
  const char *const     *path; /* one folder, patterns (*, ?, [...]), or files; relative to the working directory */
  int                    paths;
  const char            *folder; /* with its last "/": `path` are names in it, as if it was listed; NULL: see `path` */
  const char            *subset; /* NULL: "all1by1" */
  int64_t                start;  /* i is not below; INT64_MIN: no limit */
  int64_t                stop;   /* i is below; INT64_MIN: no limit */
  int64_t                step;   /* of i, from start or the first; 0: 1, or the distance of the numbers (see above) */
  const weir__image_raw *raw;    /* how files without a header lie, to know their pages; NULL: they have headers */
} weir__series_terms;

typedef struct weir__series weir__series;
/* WEIR_ERR_INPUT: no file matches, names that do not fit together, a subset that cannot be understood (message: what is
 * wrong, where in it, what was expected), or no step. */
weir_status weir__series_open(const weir__series_terms *terms, weir__series **series);
void        weir__series_close(weir__series **series);

int64_t     weir__series_steps(const weir__series *series);
int         weir__series_images(const weir__series *series);                  /* in each step: 2 for couples */
int64_t     weir__series_number(const weir__series *series, int64_t ordinal); /* the i of a step */
const char *weir__series_subset(const weir__series *series);                  /* with "pairs" resolved */
/* Image `k` of a step; page: within the file. `found` is false when the series has no such file: a gap, which concerns
 * the steps that use it; `path` is then what it would be called. */
typedef struct weir__series_image {
  char    path[4096];
  int64_t page;
  int64_t id; /* the same for the same file and page, 0 .. ids - 1; -1: not found */
  bool    found;
} weir__series_image;
void weir__series_image_get(const weir__series *series, int64_t ordinal, int k, weir__series_image *image);
/* The indices of a step's first two images, as Fluidimage names its results by them: "0001-0002"; "0007ab" where
 * only a letter differs. Index by index, "_" between two of digits. */
void    weir__series_couple_text(const weir__series *series, int64_t ordinal, weir__text *out);
int64_t weir__series_ids(const weir__series *series);
/* The image with this id: any of them is good to learn the size from. */
void weir__series_image_of(const weir__series *series, int64_t id, weir__series_image *image);

/* For people: the names, as "folder/im_{0001..0032}{a..b}.tif"; files that belong to them, files that do not; steps
 * that have a gap. */
const char *weir__series_pattern(const weir__series *series);
int64_t     weir__series_files(const weir__series *series);
int64_t     weir__series_others(const weir__series *series);
int64_t     weir__series_gaps(const weir__series *series);
int         weir__series_indices(const weir__series *series); /* in a name */

/* ---- a series that grows while its files come ----
 *
 * Its form, which images make a step and how they are called, is that of a series of the first ones. Image `k` of a
 * step is found once it was added; one that was refused never will be. Not thread-safe. */

/* Can a series with this subset (NULL: none) grow? Before there is any image. WEIR_ERR_INPUT: it cannot be understood,
 * or has a slice without start or stop. */
weir_status weir__series_may_grow(const char *subset);
/* The form, in lines. WEIR_ERR_INPUT: it cannot grow: pages, a slice without start or stop, more than 64 images in a
 * step. */
weir_status weir__series_form(const weir__series *series, weir__text *text);
/* No images yet. WEIR_ERR_INPUT: the text is no form. */
weir_status weir__series_open_form(const char *form, weir__series **series);
/* Is it a name of this series? */
bool weir__series_fits(const weir__series *series, const char *name);
/* Was it added or refused? */
bool weir__series_knows(const weir__series *series, const char *name);
/* The image is there. A name that does not fit, or was added or refused before, does nothing: `*added` says. */
weir_status weir__series_add(weir__series *series, const char *name, bool *added);
/* Bit k: image k of the step is not there. */
uint64_t weir__series_absent(const weir__series *series, int64_t ordinal);
/* All images of the step are there, but those with a bit: they are refused. */
weir_status weir__series_settle(weir__series *series, int64_t ordinal, uint64_t absent);
/* The first whole step from this one on; -1: none. */
int64_t weir__series_next_whole(const weir__series *series, int64_t ordinal);
/* Names of the images that are there. WEIR_ERR_MEMORY. */
weir_status weir__series_list(const weir__series *series, weir__text *names /* each ended by 0 */, int64_t *count);
#endif
