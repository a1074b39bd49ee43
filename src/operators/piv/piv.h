/* Particle image velocimetry: the parts that the operators piv_pass and piv_validate are made of. Pure functions on
 * planes of float32; they allocate nothing but in `create`, and give the same bytes however the rows are shared out.
 *
 * Conventions, here and in the operators
 *   - axes are in the order y, x: number 0 is y (rows, downwards in memory), 1 is x;
 *   - a pixel with index i has its centre at coordinate i, so an image of n pixels reaches from -0.5 to n - 0.5;
 *   - a window of n pixels from index i on has its centre at i + (n - 1) / 2, a half number where n is even;
 *   - a displacement leads from where the particles are in image a to where they are in b, in pixels; with symmetric
 *     deformation it belongs to the middle, the centre of the window. */
#ifndef WEIR_OPERATORS_PIV_H
#define WEIR_OPERATORS_PIV_H
#include "core/error.h"
#include <weir/types.h>

/* ---- what is given ---- */

/* Rows y0 .. y0 + rows - 1 of an image, all its columns. */
typedef struct weir__piv_strip {
  const float *pixel; /* row y0, column 0; rows are `columns` apart */
  int64_t      y0, rows, columns;
} weir__piv_strip;

/* The vectors of a pass: where their windows lie. */
typedef struct weir__piv_grid {
  int64_t count[2];  /* vectors */
  int64_t window[2]; /* pixels; odd and rectangular ones, too */
  int64_t first[2];  /* first pixel of window 0 */
  int64_t step[2];   /* pixels from one window to the next */
} weir__piv_grid;

static inline double weir__piv_centre(const weir__piv_grid *grid, int axis, int64_t index) {
  return (double)(grid->first[axis] + index * grid->step[axis]) + 0.5 * (double)(grid->window[axis] - 1);
}

/* As many windows as fit into an image of that size, at least one, spread so that as much is left at the end as at the
 * beginning. WEIR_ERR_INPUT: the window is larger than the image. */
weir_status weir__piv_grid_make(const int64_t image[2], const int64_t window[2], const int64_t step[2],
                                weir__piv_grid *grid);
/* The step of windows that share this part of themselves: a whole one, at least 1. */
int64_t weir__piv_grid_step(int64_t window, double overlap);

/* ---- load.c: pixels of any type ---- */

/* Row y of an image, counted from the view's first; `odd` stands for what is no number. */
void weir__piv_load_row(const weir_view *image, int64_t y, float odd, float *out);
/* Row y of the image of half the resolution, whose pixels are the sums of 2 x 2 from pixel first[0], first[1] on.
 * `pair`: room for two rows. */
void weir__piv_load_binned(const weir_view *image, const int64_t first[2], int64_t y, float odd, float *out,
                           float *pair);

/* ---- correlate.c: displacements from two images ---- */

typedef enum weir__piv_method { WEIR__PIV_FFT, WEIR__PIV_DIRECT } weir__piv_method;
typedef enum weir__piv_weighting { WEIR__PIV_UNIFORM, WEIR__PIV_GAUSSIAN } weir__piv_weighting;
typedef enum weir__piv_subpixel { WEIR__PIV_GAUSS3, WEIR__PIV_GAUSS2D, WEIR__PIV_CENTROID } weir__piv_subpixel;

enum { WEIR__PIV_PEAKS = 3 };
typedef struct weir__piv_settings {
  weir__piv_grid      grid;
  weir__piv_method    method;
  weir__piv_weighting weighting; /* of the pixels in a window */
  weir__piv_subpixel  subpixel;
  bool                padded;     /* FFT: with as many zeros, so that nothing wraps around */
  int64_t             search[2];  /* peaks are looked for up to this displacement; at most half of the window - 1 */
  int                 peaks;      /* 1 .. WEIR__PIV_PEAKS; the second is always looked for, for the ratio */
  double              mask_limit; /* part of a window that may be masked; not all of it ever */
} weir__piv_settings;

/* Why a vector has no value, or another than was measured. Numbers stand in outputs: never renumber. */
typedef enum weir__piv_flag {
  WEIR__PIV_VALID        = 0,
  WEIR__PIV_NO_PEAK      = 1, /* no peak within the search limits, or on their edge */
  WEIR__PIV_NO_SIGNAL    = 2, /* a window without contrast */
  WEIR__PIV_MASKED       = 3, /* more of the window is masked than may be */
  WEIR__PIV_CORRELATION  = 4, /* correlation too low */
  WEIR__PIV_RATIO        = 5, /* first peak not clear above the second */
  WEIR__PIV_DISPLACEMENT = 6, /* beyond the limits of displacement */
  WEIR__PIV_MEDIAN       = 7, /* normalised median test */
  WEIR__PIV_NEIGHBOURS   = 8, /* difference to the mean of the neighbours */
  WEIR__PIV_BACK         = 9, /* optical flow: there and back do not end where they began */
} weir__piv_flag;

/* Peaks in descending order; what there is not is NaN. `value` is the normalised correlation: Pearson's coefficient of
 * the two (weighted) windows at that shift, between -1 and 1. With WEIR__PIV_FFT both windows lie at
 * the same place and their means are taken once; with WEIR__PIV_DIRECT b's pixels are those at that shift. */
typedef struct weir__piv_vector {
  float  dy[WEIR__PIV_PEAKS], dx[WEIR__PIV_PEAKS], value[WEIR__PIV_PEAKS];
  float  ratio; /* first peak's height above the second's: value[0] / second; infinite when there is no second */
  int8_t flag;  /* WEIR__PIV_VALID, NO_PEAK, NO_SIGNAL or MASKED */
} weir__piv_vector;

/* A vector without peaks. */
void weir__piv_no_vector(weir__piv_vector *vector, weir__piv_flag flag);

typedef struct weir__piv_correlator weir__piv_correlator; /* FFT plans and weights; shared by threads, read only */
weir_status weir__piv_correlator_create(const weir__piv_settings *settings, weir__piv_correlator **correlator);
void        weir__piv_correlator_destroy(weir__piv_correlator **correlator);
size_t weir__piv_correlator_scratch(const weir__piv_correlator *correlator, int64_t columns); /* bytes, 64-aligned */

/* The vectors of grid rows row .. row + rows - 1 into vector[rows * count[1]]. The strips hold at least the rows of
 * pixels of those windows; with WEIR__PIV_DIRECT also search[0] rows above and below, as far as the image has them,
 * since beyond a strip its outermost rows stand. `mask`: 1 where a pixel is of no use, rows and columns as in `a`;
 * NULL: none. Masked pixels count neither for the means nor for the correlation: with WEIR__PIV_FFT they stand at the
 * mean of the others, and peaks are fitted to what is divided by the part of the pixels that still meet at a shift, so
 * that a cut window has no more bias than a whole one; with WEIR__PIV_DIRECT means and variances are those of the
 * pixels that count in both windows (as Padfield 2012, doi 10.1109/TIP.2011.2181402). Thread-safe with scratch of its
 * own. */
void weir__piv_correlate(const weir__piv_correlator *correlator, const weir__piv_strip *a, const weir__piv_strip *b,
                         const uint8_t *mask, int64_t row, int64_t rows, weir__piv_vector *vector, void *scratch);

/* ---- ensemble.c: planes of several couples, averaged before their peaks are read ---- */

/* Of the vectors of some rows of the grid. */
typedef struct weir__piv_ensemble {
  float  *plane;  /* weighted sums */
  double *weight; /* sums of the weights */
  int8_t *flag;   /* VALID as soon as one couple has a plane */
} weir__piv_ensemble;

size_t weir__piv_ensemble_size(const weir__piv_correlator *correlator, int64_t vectors); /* bytes, 64-aligned */
void   weir__piv_ensemble_begin(const weir__piv_correlator *correlator, int64_t vectors, void *memory,
                                weir__piv_ensemble *ensemble);
/* The planes of one couple, otherwise as weir__piv_correlate. */
void weir__piv_ensemble_add(const weir__piv_correlator *correlator, const weir__piv_strip *a, const weir__piv_strip *b,
                            const uint8_t *mask, int64_t row, int64_t rows, weir__piv_ensemble *ensemble,
                            void *scratch);
/* Once, at the end. `a` and `mask`: those of the last couple; what is left of a cut window is told by them. */
void weir__piv_ensemble_peaks(const weir__piv_correlator *correlator, const weir__piv_strip *a, const uint8_t *mask,
                              int64_t row, int64_t rows, const weir__piv_ensemble *ensemble, weir__piv_vector *vector);

/* ---- deform.c: images moved by a displacement known roughly ---- */

typedef enum weir__piv_interpolation { WEIR__PIV_CUBIC, WEIR__PIV_QUINTIC } weir__piv_interpolation;

/* Displacements on the grid of an earlier pass, everywhere finite. */
typedef struct weir__piv_predictor {
  weir__piv_grid          grid;
  const float            *dy, *dx;       /* [count[0]][count[1]] */
  weir__piv_interpolation interpolation; /* of the image that is moved by it */
} weir__piv_predictor;

/* Rows of the image that deforming rows y0 .. y0 + rows - 1 needs, with what the spline's filter reaches; cut to
 * the image of `height` rows. */
void   weir__piv_deform_need(const weir__piv_predictor *predictor, int64_t height, int64_t *y0, int64_t *rows);
size_t weir__piv_deform_scratch(const weir__piv_grid *grid, int64_t strip_rows, int64_t rows,
                                int64_t columns); /* bytes, for either spline; `grid`: the predictor's */
/* The displacement at the centres of another grid's rows row .. row + rows - 1: what deforming added to both images'
 * displacement at its vectors. Cubic B-spline through the predictor's values, beyond the outermost centres as there.
 * dy, dx: [rows][to->count[1]]. `pixel_rows`: as many as lie between the first and the last of these centres. */
size_t weir__piv_predict_scratch(const weir__piv_grid *grid, int64_t pixel_rows); /* bytes */
void   weir__piv_predict_centres(const weir__piv_predictor *predictor, const weir__piv_grid *to, int64_t row,
                                 int64_t rows, float *dy, float *dx, void *scratch);
/* out(y, x) = image(y + share * dy(y, x), x + share * dx(y, x)) for rows y0 .. y0 + rows - 1, by a cubic or quintic
 * B-spline (Unser 1999); beyond the image's edge its outermost pixels. share: -0.5 for image a, +0.5 for b. */
void weir__piv_deform(const weir__piv_strip *image, int64_t height, const weir__piv_predictor *predictor, double share,
                      int64_t y0, int64_t rows, float *out, void *scratch);

/* Which pixels of rows y0 .. y0 + rows - 1 come from masked ones when an image is moved so: `out` [rows][columns] is 1
 * where one of the (up to four) pixels around the place is masked, else as it was. `mask`: rows from0 .. from0 +
 * from_rows
 * - 1 of the mask; those that weir__piv_deform_need gives, or all there are. */
typedef struct weir__piv_mask {
  const uint8_t *pixel; /* 1 where masked */
  int64_t        y0, rows, columns;
} weir__piv_mask;
void weir__piv_deform_mask(const weir__piv_mask *mask, int64_t height, const weir__piv_predictor *predictor,
                           double share, int64_t y0, int64_t rows, uint8_t *out, void *scratch);
/* Masked pixels of a strip get values that do not ring in a spline: between those beside them in the row; in a row that
 * is masked as a whole, the mean of the strip's others. */
void weir__piv_fill_masked(const weir__piv_mask *mask, float *pixel);

/* ---- uncertainty.c: from the images moved onto each other ---- */

/* Standard uncertainty of the displacement of each vector of grid rows row .. row + rows - 1 (pixels; NaN where it
 * cannot be told): correlation statistics (Wieneke 2015, doi 10.1088/0957-0233/26/7/074002). `a` and `b` are deformed,
 * so that displacements that are left are small. */
size_t weir__piv_uncertainty_scratch(const weir__piv_grid *grid, int64_t columns);
void   weir__piv_uncertainty(const weir__piv_grid *grid, weir__piv_weighting weighting, const weir__piv_strip *a,
                             const weir__piv_strip *b, const uint8_t *mask, int64_t row, int64_t rows, float *udy,
                             float *udx, void *scratch);

/* ---- validate.c: which vectors can be believed, and what stands for the others ---- */

typedef struct weir__piv_rules {
  double correlation;       /* at least; -1: any */
  double ratio;             /* at least; 0: any */
  double least[2], most[2]; /* of the displacement dy, dx, pixels; infinite: any */
  double longest;           /* of its length; infinite: any */
  double median;            /* threshold of the normalised median test (Westerweel & Scarano 2005: 2); 0: no test */
  double noise;             /* of that test, pixels (0.1) */
  double neighbours;        /* difference to the mean of the neighbours, pixels; 0: no test */
  bool   second;            /* replace by a lower peak that passes */
  bool   fill;              /* interpolate what is still without a value */
} weir__piv_rules;

/* Displacements to be validated and what comes of them, arrays [count[0]][count[1]]. `flag` is 0 for what was measured
 * and passes, else why not; `replaced`: 0 measured, 1 a lower peak, 2 interpolated, 3 none (dy, dx are NaN). Masked
 * vectors are never filled, nor used for others. The correlation is that of the peak which was taken, the ratio as
 * measured. */
typedef struct weir__piv_field {
  weir__piv_grid grid;
  float         *dy, *dx, *correlation, *ratio;
  int8_t        *flag, *replaced;
} weir__piv_field;

size_t weir__piv_validate_scratch(const weir__piv_grid *grid);
/* `vector`: all of the pass; `before`: what was added to both images' displacement by deforming, at the vectors
 * (NULL: nothing): it is added here, so that the rules see whole displacements. */
void weir__piv_validate(const weir__piv_rules *rules, const weir__piv_vector *vector, const float *before_dy,
                        const float *before_dx, weir__piv_field *field, void *scratch);

/* Values for all vectors without one (NaN) that are not masked, from their neighbours, in rounds: smooth continuation
 * for a predictor. Masked ones, too, if `all`. Where nothing is known at all: 0. `flag` may be NULL: none is masked.
 * The scratch is that of weir__piv_validate. */
void weir__piv_fill(const weir__piv_grid *grid, float *values, const int8_t *flag, bool all, void *scratch);
/* regrid.c: values on another grid: bilinear; beyond the outermost centres as there. */
void weir__piv_regrid(const weir__piv_grid *from, const float *values, const weir__piv_grid *to, float *out);

/* ---- smooth.c: thin-plate splines ---- */

/* Minimise curvature + smoothing * misfit in overlapping sub-domains of about `vectors` vectors (Duchon 1976; Wahba
 * 1990). The factors belong to the grid: made once, used for each field that lacks no vector. */
typedef struct weir__piv_smoother weir__piv_smoother;
weir_status weir__piv_smoother_create(const weir__piv_grid *grid, double smoothing, int64_t vectors,
                                      weir__piv_smoother **smoother);
void        weir__piv_smoother_destroy(weir__piv_smoother **smoother);
size_t      weir__piv_smoother_scratch(const weir__piv_smoother *smoother);
/* dy and dx in place. Vectors whose value differs from the smooth field by more than `threshold` (0: never; the length
 * of both components) are replaced by it and the rest is smoothed again, at most ten times; `outlier` (may be NULL)
 * says which. NaN stay NaN and are left out. It allocates nothing. */
weir_status weir__piv_smooth(const weir__piv_smoother *smoother, double threshold, float *dy, float *dx,
                             uint8_t *outlier, void *scratch);
#endif
