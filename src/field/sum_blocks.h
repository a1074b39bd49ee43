/* Blocks of terms of exact sums (see sum.c), with the widest registers of the machine: all ways give the same integers.
 */
#ifndef WEIR_FIELD_SUM_BLOCKS_H
#define WEIR_FIELD_SUM_BLOCKS_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
  WEIR__SUM_STEP      = 40,
  WEIR__SUM_LARGE     = 12, /* terms are from 2^(b+12) on */
  WEIR__SUM_POSITIONS = 3,
  WEIR__SUM_BLOCK     = 2048,
  WEIR__SUM_STRIP     = 1024,
  WEIR__SUM_APART     = 8
};

/* Neighbouring columns, each a sum of its own, all with the same positions: what is to be added there, and how many
 * terms are missing (NaN). Arrays are some elements longer than a strip: at whole KiB from each other, a load would be
 * taken to need the store before it in another. A strip is long: rows are mostly read from end to end of their pages.
 */
typedef struct weir__sum_strip {
  uint64_t unit[WEIR__SUM_POSITIONS][WEIR__SUM_STRIP + WEIR__SUM_APART];
  int64_t  missing[WEIR__SUM_STRIP + WEIR__SUM_APART];
} weir__sum_strip;

/* At most WEIR__SUM_BLOCK terms, or rows, are cut at the positions 2^b, 2^(b-40) and 2^(b-80); `unit` is what is to be
 * added there, `missing` the number of terms that are NaN, or have a factor that is. False when a term starts higher or
 * is infinite, or NaN and `missing` NULL (or `holes` false), which is faster: then unit means nothing. b - 80 >= -1074
 * and b + 52 < 1023; for products b >= -800. */
typedef struct weir__sum_way {
  bool (*terms)(const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing);
  /* The same in less time where all terms are large, at least 2^(b+12) in size: those have nothing at the third
   * position. False when one is smaller, too. */
  bool (*large_terms)(const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing);
  bool (*products)(const double *w, const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing); /* w x */
  bool (*weighted_squares)(const double *w, const double *x, int64_t n, int b, uint64_t *unit,
                           int64_t *missing); /* w x^2 */
  /* Terms for one sum and their squares for another, in one pass; either are to be large, or any size will do. */
  bool (*moments)(const double *x, int64_t n, int b, int square_b, bool large, bool large_squares, uint64_t *unit,
                  uint64_t *square_unit);
  /* Rows that are `pitch` apart of columns at most WEIR__SUM_STRIP. */
  bool (*columns)(const double *x, int64_t pitch, int64_t rows, int64_t columns, int b, bool holes,
                  weir__sum_strip *strip);
  bool (*large_columns)(const double *x, int64_t pitch, int64_t rows, int64_t columns, int b, weir__sum_strip *strip);
  bool (*column_squares)(const double *x, int64_t pitch, int64_t rows, int64_t columns, int b, bool holes,
                         weir__sum_strip *strip);
} weir__sum_way;

/* The ways that this machine has: 0 is the plainest. */
int                  weir__sum_ways(void);
const weir__sum_way *weir__sum_way_at(int index);

static inline uint64_t weir__bits_of(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

/* 1.5 * 2^(52 + b): adding it rounds to a multiple of 2^b. */
static inline double weir__sum_magic(int b) {
  uint64_t u = (uint64_t)(52 + b + 1023) << 52 | UINT64_C(1) << 51;
  double   m;
  memcpy(&m, &u, sizeof m);
  return m;
}

/* Bits of the largest number below 2^(b + 39), where a higher position would be used. */
static inline int64_t weir__sum_limit(int b) { return ((int64_t)(b + WEIR__SUM_STEP - 1 + 1023) << 52) - 1; }

/* Bits of the root of 2^e, or of the next number. */
static inline int64_t weir__sum_root(int e) {
  double root = e % 2 ? 0x1.6a09e667f3bcdp0 : 1;
  e += 2048; /* positive */
  return (int64_t)weir__bits_of(root) + (int64_t)(e / 2 - 1024) * (INT64_C(1) << 52);
}

/* Bits of a number below the root of 2^(b + 39), whose square rounds to one below that. */
static inline int64_t weir__sum_limit_of_root(int b) { return weir__sum_root(b + WEIR__SUM_STEP - 1) - 1; }

/* Bits of the least number that is large: the last of 53 bits of what is as large or larger is not below 2^(b - 40). */
static inline int64_t weir__sum_least(int b) { return (int64_t)(b + WEIR__SUM_LARGE + 1023) << 52; }

/* Bits of the least number whose square is large. */
static inline int64_t weir__sum_least_root(int b) { return weir__sum_root(b + WEIR__SUM_LARGE); }

/* a * b = high + low exactly, while nothing over- or underflows: Dekker 1971, "A floating-point technique for extending
 * the available precision", doi 10.1007/BF01397083, with Veltkamp's splitting. */
static inline double weir__product_low(double a, double b, double high) {
  const double split = 0x1p27 + 1;
  double       ta = split * a, tb = split * b;
  double       a1 = ta - (ta - a), b1 = tb - (tb - b);
  double       a2 = a - a1, b2 = b - b1;
  return ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2;
}
#endif
