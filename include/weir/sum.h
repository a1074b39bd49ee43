/** @file weir/sum.h  A sum of doubles whose result does not depend on the order or grouping of the terms, to the bit.
 *
 *  Each term is cut at fixed binary positions, 40 bits apart, into integer multiples of those positions (round to
 * nearest at each cut, so the cut of a term depends on the term alone); the three highest positions, counted from the
 * largest term, are added as 128-bit integers, which is exact in any order. What lies below is dropped: the error of
 * the sum of n terms is below n * 2^-79 times the largest term, far below the rounding of the result to double. The
 * method is that of binned (indexed) summation: Demmel & Nguyen 2015, "Parallel reproducible summation",
 * doi 10.1109/TC.2014.2345391.
 *
 *  All functions are local and thread-safe for different sums. The sum of terms that are all zero is +0. */
#ifndef WEIR_SUM_H
#define WEIR_SUM_H
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Plain bytes: may be copied and sent. All zeros is the empty sum. 80 bytes. Equal terms in any order and grouping
 * give equal bytes, not only equal values. */
typedef struct weir_sum {
  int64_t  count;   /**< terms added that were not NaN */
  int32_t  top;     /**< 1 + index of the highest position in use; 0: none yet */
  uint32_t special; /**< bit 0: a +inf was added, bit 1: a -inf */
  uint64_t bin[3]
              [2]; /**< two's complement 128-bit integers, low word first: units of the positions top, top-1, top-2 */
  uint64_t reserved[2];
} weir_sum;

/** Add n terms; NaN is skipped (missing) and not counted. */
WEIR_API void weir_sum_add(weir_sum *sum, const double *x, int64_t n);
/** Add the squares, exactly (both halves of each product, without overflow or underflow); `count` grows by one per
 * term. */
WEIR_API void weir_sum_add_square(weir_sum *sum, const double *x, int64_t n);
/** Add the products x*y, exactly; a pair with a NaN is skipped. Zero times infinity makes the sum NaN. */
WEIR_API void weir_sum_add_product(weir_sum *sum, const double *x, const double *y, int64_t n);
/** Add the products w*x*x, exactly, as above. */
WEIR_API void weir_sum_add_weighted_square(weir_sum *sum, const double *w, const double *x, int64_t n);
/** Add all terms of `from`. */
WEIR_API void weir_sum_combine(weir_sum *into, const weir_sum *from);
/** The sum rounded once; 0 when empty; inf or NaN as IEEE says. */
WEIR_API double weir_sum_value(const weir_sum *sum);
/** The sum divided by the count; NaN when empty. */
WEIR_API double weir_sum_mean(const weir_sum *sum);
/** Variance (divided by n) from the sums of x and of x squared, computed with 113 bits: its error is below 2^-77 times
 * the largest square, besides one rounding. NaN when empty or when a term was infinite. Never negative. */
WEIR_API double weir_sum_variance(const weir_sum *sum, const weir_sum *squares);
/** Quotient of two sums, rounded once: a weighted mean from the sums of w*x and w. NaN when there is no term or the
 * denominator is 0. */
WEIR_API double weir_sum_ratio(const weir_sum *numerator, const weir_sum *denominator);
/** Weighted variance (divided by the sum of weights) from the sums of w*x, w*x*x and w. NaN as for weir_sum_ratio. */
WEIR_API double weir_sum_weighted_variance(const weir_sum *sum, const weir_sum *squares, const weir_sum *weights);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_SUM_H */
