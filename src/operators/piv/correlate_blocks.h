/* Direct correlation of windows that overlap: sums over the blocks they share. correlate_blocks.c says how. */
#ifndef WEIR_OPERATORS_PIV_CORRELATE_BLOCKS_H
#define WEIR_OPERATORS_PIV_CORRELATE_BLOCKS_H
#include "operators/piv/correlate_parts.h"

enum { WEIR__PIV_SMALLEST_BLOCK = 4 };

/* Where things lie in the scratch memory. */
typedef struct weir__piv_blocks {
  int64_t width;   /* of a padded row */
  int64_t pad;     /* columns to both sides of the blocks' */
  int64_t blocks;  /* in a row */
  int64_t lanes;   /* of a table of sums: one for each place in a plane */
  int64_t ring;    /* rows of blocks in a window */
  float  *a, *b;   /* padded rows of a row of blocks */
  float  *column;  /* sums of pixels and of squares over a column of a block, for all dy */
  float  *product; /* sums of products over a column, for all dx, one way and the other */
  float  *block;   /* [blocks][tables][lanes] */
  float  *sums;    /* [ring][windows][tables][lanes], of windows in a row of blocks */
  float  *value;   /* [4][lanes]: numerators and variances */
} weir__piv_blocks;

static inline int64_t weir__piv_shifts(const weir__piv_correlator *c, int axis) {
  return 2 * c->settings.search[axis] + 1;
}
static inline int64_t weir__piv_clamp(int64_t i, int64_t least, int64_t most) {
  return i < least ? least : i > most ? most : i;
}

/* Pixels to of a block along the axes, or 0, 0 where windows share none. */
void weir__piv_blocks_create(weir__piv_correlator *c);
/* Returns the floats that are needed; with scratch == NULL that is all. */
int64_t weir__piv_blocks_lay_out(const weir__piv_correlator *c, float *scratch, weir__piv_blocks *r);
/* The sums of the row of blocks that begins at pixel row y, into a slot of the ring. */
void weir__piv_blocks_row(const weir__piv_correlator *c, const weir__piv_place *p, int64_t y, float level, int64_t slot,
                          const weir__piv_blocks *r);
/* The plane of the window in column i whose first row of blocks is number `first`; NaN where rounding could be felt.
 * level[slot]: what pixels were measured from. */
void weir__piv_blocks_plane(const weir__piv_correlator *c, const weir__piv_blocks *r, int64_t first, const float *level,
                            int64_t i, float *plane);

/* `width` pixels from column x on less `level`; beyond the edges the outermost. */
void weir__piv_copy_row(const weir__piv_strip *image, int64_t y, int64_t x, int64_t width, float level, float *to);
#endif
