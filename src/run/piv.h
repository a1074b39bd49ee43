/* The recipe that `weir piv` writes: what was said on its command line, as a file that can be read, changed and run
 * again. */
#ifndef WEIR_RUN_PIV_H
#define WEIR_RUN_PIV_H
#include "core/text.h"

typedef struct weir__piv_request {
  const char *const *image; /* a folder, patterns or files */
  int                images;
  const char        *directory;                 /* of the results */
  const char        *netcdf;                    /* file of the fields; NULL: piv.zarr in the directory */
  const char        *subset;                    /* NULL: pairs, or with a reference each image */
  const char        *reference;                 /* an image that all others are compared with; NULL: couples */
  const char        *start, *stop, *step;       /* whole numbers; NULL: all */
  const char        *window, *overlap, *search; /* numbers with commas between; NULL: the operator's own */
  const char        *ensemble;                  /* couples to a result; NULL: one */
  const char        *mask;                      /* a file: an image or polygons; NULL: none */
  const char        *interpolation;             /* cubic, quintic; NULL: cubic */
  const char        *smooth;                    /* no, last, all; NULL: no */
  const char        *dt, *pixel;                /* seconds; metres; NULL: displacements in pixels */
  bool               up;                        /* y points up */
  int                pictures;                  /* one every so many couples; 0: none */
  bool               watch;                     /* the images are still being written; the end comes by: */
  const char        *until_file;                /* a file of this name, */
  const char        *timeout;                   /* so long without an image, */
  const char        *count;                     /* so many couples; each NULL: not */
  bool               thin;                      /* too few vectors for vorticity; found by weir__piv_write */
  bool               trial;                     /* one couple, and a table that weir__piv_trial reads */
} weir__piv_request;

/* The text of the recipe. WEIR_ERR_INPUT: something that is no number (the message names the option). */
weir_status weir__piv_recipe(const weir__piv_request *request, weir__text *text);
/* DIRECTORY/piv.yaml, written whole; `path` belongs to the caller (weir__free). */
weir_status weir__piv_write(const weir__piv_request *request, char **path);

/* What a trial found: part of valid vectors and why others were rejected, median correlation, uncertainty, peak
 * locking, a histogram of displacements. WEIR_ERR_IO: there is no table of a trial in the folder. */
weir_status weir__piv_trial(const char *directory, weir__text *text);
#endif
