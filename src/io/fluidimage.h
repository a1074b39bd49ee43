/* Vectors of particle image velocimetry in the layout of Fluidimage's files, for scripts that read these.
 *
 *   piv/piv_0000ab.h5      one HDF5 file per couple, named after the indices of its images as Fluidimage does
 *     attributes           class_name MultipassPIVResults, module_name, Conventions, nb_passes 1
 *     couple               attributes names, paths (Python tuples as text); dataset shape_images
 *     params/...           what Fluidimage's parameters say of this: piv0, fix, multipass, series, mask; and
 * params/weir piv0                 the last pass, flat, rows of vectors one after the other from the top of the image
 *       xs ys              middles of the windows in pixels; also ixvecs_final, iyvecs_final
 *       deltaxs deltays    displacements in pixels, y downwards; NaN where the vector was rejected
 *       deltaxs_final ...  with what stands for those
 *       correls_max, errors/{keys, values, codes}, deltaxs_wrong/{keys, values}, deltays_wrong/...
 *
 * All real numbers are float32. Layout as Fluidimage 0.5.5 reads and writes it (fluidimage/data_objects/piv.py). Codes
 * of errors: 1 no peak, or on the edge; 2 correlation too low; 3 displacement too large; 4 too far from the neighbours;
 * 255 anything else. Each file appears whole. Nothing in it depends on the date or the number of threads or workers. */
#ifndef WEIR_IO_FLUIDIMAGE_H
#define WEIR_IO_FLUIDIMAGE_H
#include "io/series.h"
#include <weir/types.h>

/* What is the same in all files. Axes: 0 is y, downwards. */
typedef struct weir__fluidimage_terms {
  const char         *folder; /* lives as long as what is made with it; so does the series */
  const weir__series *series; /* of couples */
  int64_t             image[2], count[2];
  double              first[2], step[2]; /* middles of the windows, pixels */
  double              unit[2];           /* v, u of one pixel; may be negative */
  int64_t             window[2];         /* of the last pass */
  double              overlap;
  int                 passes;
  double              dt;
  double              min_correlation, max_length, neighbours; /* the last two 0: no such test */
} weir__fluidimage_terms;

/* WEIR_ERR_UNAVAILABLE: built without HDF5; the message says how to get it. */
weir_status weir__fluidimage_available(void);

/* Inputs of a file, [y, x] each, in this order. */
enum {
  WEIR__FLUIDIMAGE_U,
  WEIR__FLUIDIMAGE_V,
  WEIR__FLUIDIMAGE_CORRELATION,
  WEIR__FLUIDIMAGE_FLAG,     /* 0 valid, 1 no peak, 2 no signal, 3 masked, 4 correlation, 5 ratio, 6 displacement, */
  WEIR__FLUIDIMAGE_REPLACED, /* 7 median, 8 neighbours; 0 measured, 1 lower peak, 2 interpolated, 3 nothing */
  WEIR__FLUIDIMAGE_INPUTS
};

size_t weir__fluidimage_scratch_size(const weir__fluidimage_terms *terms);
/* Write the file of a step of the series. Thread-safe. WEIR_ERR_IO; WEIR_ERR_INPUT: the series has no such step. */
weir_status weir__fluidimage_write(const weir__fluidimage_terms *terms, int64_t step, const weir_view *views,
                                   void *scratch);
#endif
