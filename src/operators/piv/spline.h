/* Interpolating cubic B-splines on rows of float32 (Unser 1999, IEEE Signal Process. Mag. 16(6), 22-38,
 * doi 10.1109/79.799930): s(x) = sum_k c_k B3(x - k) with s(k) the given samples.
 *
 * c_(k-1) + 4 c_k + c_(k+1) = 6 s_k is solved by one sweep up and one down. Away from the ends that is the recursive
 * filter with the pole sqrt(3) - 2: whatever is k samples away weighs 0.268^k. At both ends the spline is natural
 * (c_-1 = 2 c_0 - c_1), so that what is linear is reproduced up to the edge; a block cut from more samples is as good
 * as the whole where it is WEIR__SPLINE_REACH samples away from the cut (0.268^12 = 1.4e-7). */
#ifndef WEIR_OPERATORS_SPLINE_H
#define WEIR_OPERATORS_SPLINE_H
#include <stddef.h>
#include <stdint.h>

enum {
  WEIR__SPLINE_REACH  = 12,
  WEIR__SPLINE_BEFORE = 1,
  WEIR__SPLINE_AFTER  = 2,
  WEIR__SPLINE_LANES  = 16 /* rows filtered together: alone, each step waits for the one before */
};

/* Samples to coefficients, along columns (of all `columns` of a block, in place) or along rows, from `samples` (which
 * may be the block). `stride`: floats from one row to the next. Any share of the columns or rows gives the same bits.
 */
void weir__spline_columns(float *block, int64_t rows, int64_t columns, int64_t stride);

typedef struct weir__spline_samples {
  const float *at;
  int64_t      stride;
} weir__spline_samples;
size_t weir__spline_rows_scratch(int64_t columns); /* bytes, 32-aligned */
void   weir__spline_rows(weir__spline_samples samples, float *block, int64_t rows, int64_t columns, int64_t stride,
                         void *scratch);

/* Coefficients beyond the ends, WEIR__SPLINE_BEFORE and WEIR__SPLINE_AFTER of them: rows above and below a block, or
 * elements before and behind each row. */
void weir__spline_extend_columns(float *block, int64_t rows, int64_t columns, int64_t stride);
void weir__spline_extend_rows(float *block, int64_t rows, int64_t columns, int64_t stride);
#endif
