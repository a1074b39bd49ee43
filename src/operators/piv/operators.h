/* The operators that `piv` is made of. Each pass is one piv_pass, in blocks of rows of vectors that threads share, and
 * one that looks at all of its vectors: piv_predictor between passes, piv_result after the last.
 *
 *     a, b -> pass 0 -> predictor 0 -.
 *     a, b ---------------------------> pass 1 -> ... -> result: u, v, correlation, ...
 *
 * With `ensemble`, piv_group collects so many couples first, and each pass takes all of them at once.
 *
 * What a pass finds stands in planes [plane, y, x] of float32. */
#ifndef WEIR_OPERATORS_PIV_OPERATORS_H
#define WEIR_OPERATORS_PIV_OPERATORS_H
#include "operators/piv/piv.h"
#include <weir/operator.h>

/* The planes of a pass. Peaks are relative to where the images were deformed to; `before` is that. */
enum {
  WEIR__PIV_DY          = 0,
  WEIR__PIV_DX          = WEIR__PIV_DY + WEIR__PIV_PEAKS,
  WEIR__PIV_VALUE       = WEIR__PIV_DX + WEIR__PIV_PEAKS,
  WEIR__PIV_RATIO_PLANE = WEIR__PIV_VALUE + WEIR__PIV_PEAKS,
  WEIR__PIV_FLAG_PLANE,
  WEIR__PIV_BEFORE_DY,
  WEIR__PIV_BEFORE_DX,
  WEIR__PIV_UNCERTAINTY_DY,
  WEIR__PIV_UNCERTAINTY_DX,
  WEIR__PIV_PLANES
};

enum { WEIR__PIV_RESULTS = 8, WEIR__PIV_BLOCK_ROWS = 8 /* of vectors, in a block */ };
typedef enum weir__piv_smoothing {
  WEIR__PIV_SMOOTH_NO,
  WEIR__PIV_SMOOTH_LAST,
  WEIR__PIV_SMOOTH_ALL
} weir__piv_smoothing;

typedef struct weir__piv {
  /* as given; lists have an element per pass, the last one stands for those that follow */
  weir_list window, window_y, overlap, search;
  int       refine, weighting, subpixel, smooth, interpolation; /* enums of piv.h and above */
  bool      padded, binning, second, fill, uncertainty;
  double    correlation, ratio, longest, median, noise, neighbours, smoothing, outlier, dt, mask_limit;
  weir_list u_limits, v_limits;
  int64_t   domain, ensemble;
  /* resolved by the operator `piv` */
  int                    passes, pass; /* which one */
  const weir_field_type *type;         /* of the images; lives as long as the graph */
  int64_t                image[2];
  weir__piv_settings     settings[WEIR_LIST_MAX];
  double                 reach;    /* pixels that a predictor of this pass can be at most, either way */
  double                 scale[2]; /* units of u and v (x, y) per pixel */
  bool                   has_mask;
  bool                   hides; /* piv_group: of a mask; a couple that is missing is masked as a whole */
} weir__piv;

/* Inputs of a pass. */
enum { WEIR__PIV_IN_A, WEIR__PIV_IN_B, WEIR__PIV_IN_MASK, WEIR__PIV_IN_DY, WEIR__PIV_IN_DX };

/* The next piece of scratch memory, aligned; NULL without a base, when only the size is asked for. */
static inline void *weir__piv_take(char *base, size_t *used, size_t bytes) {
  void *at = base ? base + *used : NULL;
  *used += (bytes + 63) & ~(size_t)63;
  return at;
}

/* grid.c: what operators on couples of images have in common. Images [y, x] of one shape with pixels at equal
 * distances; the mask may be NULL. The dimension along which vectors lie; units of a displacement along an axis of the
 * images: those of its coordinate, or pixels, and per second of a velocity. */
weir_status    weir__piv_check_images(const char *operator_name, const weir_field_type *a, const weir_field_type *b,
                                      const weir_field_type *mask);
weir_dimension weir__piv_grid_dimension(const weir_dimension *image, const weir__piv_grid *grid, int axis);
const char    *weir__piv_units(const weir_infer *infer, const weir_dimension *image, bool per_second);

/* How windows of a pass without a peak are looked at again, farther; false: they are not. operator_pass.c. */
bool weir__piv_looks_again(const weir__piv *p, int pass, weir__piv_settings *settings);

extern const weir_operator weir__piv_operator_group;     /* (f) -> [couple, y, x] */
extern const weir_operator weir__piv_operator_pass;      /* (a, b, mask, dy, dx) -> planes */
extern const weir_operator weir__piv_operator_predictor; /* (planes) -> dy, dx: pixels, a value everywhere */
extern const weir_operator weir__piv_operator_result;    /* (planes) -> what `piv` gives */
#endif
