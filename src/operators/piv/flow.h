/* Optical flow by the pyramidal method of Lucas and Kanade: the parts that the operators flow_* are made of. Pure
 * functions on planes of float32 that allocate nothing; coordinates and signs as in piv.h, but that a displacement
 * belongs to the place where it starts, in a.
 *
 * Source: Bouguet, Pyramidal implementation of the Lucas Kanade feature tracker, Intel Corporation 2000: at each level,
 * from the coarsest on, d grows by G^-1 sum g (a(x) - b(x + d)), G = sum g g', g the gradient of a, until that is less
 * than epsilon; the next finer level begins with 2 d. What differs:
 *   - between pixels there are cubic B-splines (Unser 1999) where the report interpolates linearly, which costs
 * particle images a tenth of a pixel; a window is only shifted, so that it is one separable filter for all of its
 * pixels;
 *   - levels are smoothed with (1, 4, 6, 4, 1) / 16 (Burt & Adelson 1983, doi 10.1109/TCOM.1983.1095851) where the
 *     report has (1, 2, 1) / 4, which lets through much of what is too fine for the next level;
 *   - b may be given mean and standard deviation of a in each window first, as light is not the same in both images. */
#ifndef WEIR_OPERATORS_FLOW_H
#define WEIR_OPERATORS_FLOW_H
#include "operators/piv/operators.h"

enum { WEIR__FLOW_LEVELS = 5, WEIR__FLOW_BLOCK_ROWS = 4, WEIR__FLOW_EDGE = 3 /* coefficients more than pixels */ };

/* B-spline coefficients of one level: [rows + WEIR__FLOW_EDGE][columns + WEIR__FLOW_EDGE], the first of which belong
 * to row -1 and column -1. */
typedef struct weir__flow_plane {
  const float *coefficient;
  const float *valid; /* [rows][columns]: 1 a pixel of use, 0 a masked one; between on coarse levels; NULL: all 1 */
  int64_t      size[2];
  int64_t      stride, valid_stride; /* floats from one row to the next */
} weir__flow_plane;

/* The image's pixels stand in `block` where their coefficients will, rows `stride` apart. */
static inline float *weir__flow_pixels(float *block, int64_t stride) { return block + stride + 1; }
size_t               weir__flow_coefficients_scratch(int64_t columns);
void weir__flow_coefficients(float *block, int64_t stride, int64_t rows, int64_t columns, void *scratch);

/* The next coarser level, of (rows + 1) / 2 x (columns + 1) / 2 pixels: pixel i there lies at pixel 2 i here. */
static inline int64_t weir__flow_half(int64_t size) { return (size + 1) / 2; }
size_t                weir__flow_reduce_scratch(int64_t columns);
void weir__flow_reduce(const float *in, int64_t rows, int64_t columns, float *out, int64_t stride, void *scratch);

typedef struct weir__flow_settings {
  int64_t window, iterations;
  int     levels;
  double  epsilon;    /* pixels of the level: smaller steps end the iteration */
  double  eigenvalue; /* at least; per squared pixel, see below */
  bool    normalise;  /* b's brightness and contrast in the window made those of a's */
} weir__flow_settings;

typedef struct weir__flow_vector {
  double dy, dx;
  double eigenvalue; /* smaller one of the window's mean g g' over its variance, 1 / pixel^2; NaN: not known */
  int8_t flag;       /* WEIR__PIV_VALID, NO_PEAK: the iteration went astray, NO_SIGNAL: eigenvalue too small, MASKED, or
                        DISPLACEMENT: less than half of the window is left within b */
} weir__flow_vector;

/* Where the window around y, x of a has gone in b. Levels from fine to coarse. Scratch is 64-aligned. */
size_t weir__flow_track_scratch(int64_t window);
void   weir__flow_track(const weir__flow_settings *settings, const weir__flow_plane *a, const weir__flow_plane *b,
                        double y, double x, weir__flow_vector *vector, void *scratch);

/* ---- the operators ---- */

typedef struct weir__flow {
  /* as given */
  int64_t window, step, levels, iterations;
  double  epsilon, max_error, min_eigenvalue, longest, dt;
  bool    normalise;
  /* resolved by the operator `optical_flow` */
  weir__flow_settings    settings;
  weir__piv_grid         grid;
  int64_t                size[WEIR__FLOW_LEVELS][2];
  int                    level; /* of a plane */
  bool                   has_mask;
  const weir_field_type *type;     /* of the images; lives as long as the graph */
  double                 scale[2]; /* units of u and v (y, x) per pixel */
} weir__flow;

enum { WEIR__FLOW_RESULTS = 5, WEIR__FLOW_INPUTS = 3 * WEIR__FLOW_LEVELS };

extern const weir_operator weir__flow_operator_coefficients; /* (image) -> coefficients of that level */
extern const weir_operator weir__flow_operator_reduce;       /* (image) -> image of the next level */
extern const weir_operator weir__flow_operator_valid;        /* (mask) -> 1 where it is 0, else 0 */
extern const weir_operator weir__flow_operator_track;        /* (a0 .. a4, b0 .. b4, valid0 .. valid4) -> the results */
#endif
