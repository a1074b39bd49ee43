/* Interpolating cubic and quintic B-splines on rows of float32 (Unser 1999, IEEE Signal Process. Mag. 16(6), 22-38,
 * doi 10.1109/79.799930): s(x) = sum_k c_k B3(x - k) with s(k) the given samples.
 *
 * c_(k-1) + 4 c_k + c_(k+1) = 6 s_k is solved by one sweep up and one down. Away from the ends that is the recursive
 * filter with the pole sqrt(3) - 2: whatever is k samples away weighs 0.268^k. At both ends the spline is natural
 * (c_-1 = 2 c_0 - c_1), so that what is linear is reproduced up to the edge; a block cut from more samples is as good
 * as the whole where it is WEIR__SPLINE_REACH samples away from the cut (0.268^12 = 1.4e-7).
 *
 * Quintic: c_(k-2) + 26 c_(k-1) + 66 c_k + 26 c_(k+1) + c_(k+2) = 120 s_k are two such systems, one after the other
 * (Unser, Aldroubi & Eden 1993, IEEE Trans. Signal Process. 41(2), 821-833, doi 10.1109/78.193220), with a diagonal of
 * 13 + sqrt(105) and of 13 - sqrt(105): their product is that system, and each keeps the samples at the ends, which is
 * the mirror c_-k = 2 c_0 - c_k again. The poles are -0.0431 and -0.431 (0.431^19 = 1.1e-7). */
#ifndef WEIR_OPERATORS_SPLINE_H
#define WEIR_OPERATORS_SPLINE_H
#include <stddef.h>
#include <stdint.h>

enum {
  WEIR__SPLINE_REACH  = 12,
  WEIR__SPLINE_BEFORE = 1,
  WEIR__SPLINE_AFTER  = 2,
  WEIR__SPLINE_LANES  = 16, /* rows filtered together: alone, each step waits for the one before */

  WEIR__SPLINE_QUINTIC_REACH  = 19,
  WEIR__SPLINE_QUINTIC_BEFORE = 2,
  WEIR__SPLINE_QUINTIC_AFTER  = 3
};

/* Samples to coefficients, along columns (of all `columns` of a block, in place) or along rows, from `samples` (which
 * may be the block). `stride`: floats from one row to the next. Any share of the columns or rows gives the same bits.
 */
void weir__spline_columns(float *block, int64_t rows, int64_t columns, int64_t stride);
void weir__spline_quintic_columns(float *block, int64_t rows, int64_t columns, int64_t stride);

typedef struct weir__spline_samples {
  const float *at;
  int64_t      stride;
} weir__spline_samples;
size_t weir__spline_rows_scratch(int64_t columns); /* bytes, 32-aligned; of either */
void   weir__spline_rows(weir__spline_samples samples, float *block, int64_t rows, int64_t columns, int64_t stride,
                         void *scratch);
void   weir__spline_quintic_rows(weir__spline_samples samples, float *block, int64_t rows, int64_t columns,
                                 int64_t stride, void *scratch);

/* Coefficients beyond the ends, WEIR__SPLINE_BEFORE and WEIR__SPLINE_AFTER of them: rows above and below a block, or
 * elements before and behind each row. */
void weir__spline_extend_columns(float *block, int64_t rows, int64_t columns, int64_t stride);
void weir__spline_extend_rows(float *block, int64_t rows, int64_t columns, int64_t stride);
void weir__spline_quintic_extend_columns(float *block, int64_t rows, int64_t columns, int64_t stride);
void weir__spline_quintic_extend_rows(float *block, int64_t rows, int64_t columns, int64_t stride);
#endif
