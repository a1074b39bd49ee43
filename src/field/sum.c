/* Sums that do not depend on order: binned accumulation into 128-bit integers.
 *
 *   position i has the unit 2^b(i), b(i) = 40 i - 3234, low enough for the product of three denormals.
 *   A term |x| < 2^e starts at the first position with e <= b + 39. At each position from there down, q = x rounded to
 * the nearest multiple of 2^b (ties to even) goes to the position's bin as the integer q / 2^b, |q / 2^b| <= 2^39, and
 * x - q goes on. Starting higher changes nothing: there the term rounds to 0. So what a term gives to a position
 * depends on the term alone, and which three positions are kept depends on the largest term alone: neither on the
 * order.
 *
 * (x + M) - M with M = 1.5 * 2^(52+b) rounds x to a multiple of 2^b; and the bits of x + M, as an integer, are those of
 * M plus q / 2^b. So the bins of a block of terms are sums of integers, which vector units add in any order. Only
 * blocks where M would leave the range of normal numbers go term by term, scaled. */
#include "core/simd.h"
#include <weir/sum.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { STEP = 40, LOWEST = -3234, POSITIONS = 3, BLOCK = 512, LANES = 4 /* of an AVX register, or of two of SSE */ };

typedef __int128          int128;
typedef unsigned __int128 uint128;
#ifdef __SIZEOF_FLOAT128__
typedef __float128 quad; /* 113 bits, exponents to +-16382 */
#else
typedef _Float128 quad;
#endif

typedef double   lanes __attribute__((vector_size(LANES * 8)));
typedef uint64_t words __attribute__((vector_size(LANES * 8)));
#define LANES_OF(value)                                                                                                \
  { value, value, value, value }

static int position_exponent(int index) { return STEP * index + LOWEST; }

/* Where a term in [2^(e-1), 2^e) starts. */
static int position_of(int e) { return (e - LOWEST) / STEP; }

static uint64_t bits_of(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

/* e with 2^(e-1) <= x < 2^e, for finite x > 0. */
static int exponent_of(double x) {
  int e = (int)(bits_of(x) >> 52 & 0x7ff);
  if (!e) {
    frexp(x, &e);
    return e;
  }
  return e - 1022;
}

/* 1.5 * 2^(52 + b): adding it rounds to a multiple of 2^b. */
static double magic(int b) {
  uint64_t u = (uint64_t)(52 + b + 1023) << 52 | UINT64_C(1) << 51;
  double   m;
  memcpy(&m, &u, sizeof m);
  return m;
}

static int128 bin_get(const weir_sum *sum, int j) { return (int128)((uint128)sum->bin[j][1] << 64 | sum->bin[j][0]); }

static void bin_add(weir_sum *sum, int j, int128 value) {
  uint128 v      = (uint128)bin_get(sum, j) + (uint128)value;
  sum->bin[j][0] = (uint64_t)v;
  sum->bin[j][1] = (uint64_t)(v >> 64);
}

/* 2^e, e in the range of normal numbers. */
static double power(int e) {
  uint64_t u = (uint64_t)(e + 1023) << 52;
  double   p;
  memcpy(&p, &u, sizeof p);
  return p;
}

/* Make `index` the highest position if it is higher than what there is. */
static void lift(weir_sum *sum, int index) {
  int up = index + 1 - sum->top;
  if (up <= 0) return;
  if (sum->top)
    for (int j = POSITIONS - 1; j >= 0; j--)
      for (int w = 0; w < 2; w++) sum->bin[j][w] = j >= up ? sum->bin[j - up][w] : 0;
  sum->top = index + 1;
}

/* Add x * 2^shift, x finite and not 0, of any size. */
static void add_term(weir_sum *sum, double x, int shift) {
  int    e, start;
  double f = frexp(x, &e);
  e += shift;
  start = position_of(e);
  lift(sum, start);
  for (int j = 0; j < POSITIONS && f != 0; j++) {
    int index = sum->top - 1 - j;
    if (index > start) continue;
    double m = magic(position_exponent(index) - e), t = f + m;
    bin_add(sum, j, (int64_t)(bits_of(t) - bits_of(m)));
    f -= t - m;
  }
}

/* Largest |x| of n terms; false when there may be a NaN or an infinity among them (then the rest is undefined). */
WEIR__WIDE static bool scan(const double *x, int64_t n, double *most) {
  const words absolute = LANES_OF(INT64_MAX);
  lanes       m[2] = {{0}}, s[2] = {{0}};
  double      top = 0, total = 0;
  int64_t     i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    for (int k = 0; k < 2; k++) {
      lanes v;
      memcpy(&v, x + i + k * LANES, sizeof v);
      words a = (words)v & absolute, greater = (words)((lanes)a > m[k]);
      m[k] = (lanes)((a & greater) | ((words)m[k] & ~greater));
      s[k] += v; /* not finite if a term is not */
    }
  }
  for (int k = 0; k < 2 * LANES; k++) {
    double a = m[k / LANES][k % LANES];
    top      = a > top ? a : top;
    total += s[k / LANES][k % LANES];
  }
  for (; i < n; i++) {
    double a = fabs(x[i]);
    top      = a > top ? a : top;
    total += x[i];
  }
  *most = top;
  return isfinite(total);
}

/* One round of lanes at three positions. */
#define ADD_ROUND(x, s)                                                                                                \
  do {                                                                                                                 \
    lanes v_, t_;                                                                                                      \
    memcpy(&v_, (x), sizeof v_);                                                                                       \
    fine &= (words)((lanes)((words)v_ & absolute) < limits);                                                           \
    t_ = v_ + m0;                                                                                                      \
    s##0 += (words)t_;                                                                                                 \
    v_ -= t_ - m0;                                                                                                     \
    t_ = v_ + m1;                                                                                                      \
    s##1 += (words)t_;                                                                                                 \
    v_ -= t_ - m1;                                                                                                     \
    t_ = v_ + m2;                                                                                                      \
    s##2 += (words)t_;                                                                                                 \
  } while (0)

/* Add at most BLOCK terms at the three positions of the sum, from exponent `b` down; false, and nothing added, when a
 * term starts higher or is not finite. */
WEIR__WIDE static bool add_lanes(weir_sum *sum, const double *x, int64_t n, int b) {
  const double b0 = magic(b), b1 = magic(b - STEP), b2 = magic(b - 2 * STEP), limit = power(b + STEP - 1);
  const lanes  m0 = LANES_OF(b0), m1 = LANES_OF(b1), m2 = LANES_OF(b2), limits = LANES_OF(limit);
  const words  absolute = LANES_OF(INT64_MAX);
  words        s0 = {0}, s1 = {0}, s2 = {0}, fine = ~s0;
  int64_t      i = 0;
  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    ADD_ROUND(x + i, s);
    ADD_ROUND(x + i + LANES, s);
  }
  for (; i < n; i += LANES) {
    double rest[LANES] = {0};
    for (int k = 0; k < LANES && i + k < n; k++) rest[k] = x[i + k];
    ADD_ROUND(rest, s);
  }
  if (!(fine[0] & fine[1] & fine[2] & fine[3])) return false;
  uint64_t terms = (uint64_t)i; /* a zero that fills the last round gives the bits of M, as all do */
  bin_add(sum, 0, (int64_t)(s0[0] + s0[1] + s0[2] + s0[3] - terms * bits_of(b0)));
  bin_add(sum, 1, (int64_t)(s1[0] + s1[1] + s1[2] + s1[3] - terms * bits_of(b1)));
  bin_add(sum, 2, (int64_t)(s2[0] + s2[1] + s2[2] + s2[3] - terms * bits_of(b2)));
  return true;
}

/* Can the three positions from exponent `b` down be added with normal numbers, with nothing left out? */
static bool in_range(int b) { return b + 52 < DBL_MAX_EXP - 1 && b - 2 * STEP >= DBL_MIN_EXP - DBL_MANT_DIG; }

/* Add at most BLOCK finite terms, of which `most` is the largest; they are not counted. */
static void add_finite(weir_sum *sum, const double *x, int64_t n, double most) {
  if (most == 0) return;
  int index = position_of(exponent_of(most));
  lift(sum, index);
  if (sum->top - 1 - index >= POSITIONS) return; /* all below what is kept */
  int b = position_exponent(sum->top - 1);
  if (in_range(b) && add_lanes(sum, x, n, b)) return;
  for (int64_t i = 0; i < n; i++)
    if (x[i] != 0) add_term(sum, x[i], 0);
}

static void add_infinity(weir_sum *sum, double x) { sum->special |= x > 0 ? 1u : 2u; }

/* Copy terms with 0 in place of NaN and infinities, noting the latter; returns how many were NaN. */
static int64_t clean(weir_sum *sum, const double *x, int64_t n, double *to) {
  int64_t missing = 0;
  for (int64_t i = 0; i < n; i++) {
    bool finite = isfinite(x[i]);
    to[i]       = finite ? x[i] : 0;
    if (finite) continue;
    if (isnan(x[i])) missing++;
    else add_infinity(sum, x[i]);
  }
  return missing;
}

void weir_sum_add(weir_sum *sum, const double *x, int64_t n) {
  double most, cleaned[BLOCK];
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t       m = n - i < BLOCK ? n - i : BLOCK;
    const double *p = x + i;
    int           b = position_exponent(sum->top - 1);
    sum->count += m;
    if (sum->top && in_range(b) && add_lanes(sum, p, m, b)) continue; /* nearly always */
    if (!scan(p, m, &most)) {
      sum->count -= clean(sum, p, m, cleaned);
      p = cleaned;
      scan(p, m, &most);
    }
    add_finite(sum, p, m, most);
  }
}

/* ---- exact products ---- */

/* a * b = high + low exactly, while nothing over- or underflows: Dekker 1971, "A floating-point technique for extending
 * the available precision", doi 10.1007/BF01397083, with Veltkamp's splitting. */
static inline double product_low(double a, double b, double high) {
  const double split = 0x1p27 + 1;
  double       ta = split * a, tb = split * b;
  double       a1 = ta - (ta - a), b1 = tb - (tb - b);
  double       a2 = a - a1, b2 = b - b1;
  return ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2;
}

static void add_nonzero(weir_sum *sum, double x, int shift) {
  if (x != 0) add_term(sum, x, shift);
}

/* Add w * x (factors = 2) or w * x * x (factors = 3), of any size. */
static void add_one_product(weir_sum *sum, double w, double x, int factors) {
  if (isnan(w) || isnan(x)) return;
  sum->count++;
  if (isinf(w) || isinf(x)) {
    double p = factors == 3 ? copysign(1, w) : copysign(1, w) * copysign(1, x);
    if (w == 0 || x == 0) sum->special |= 3;
    else add_infinity(sum, p);
    return;
  }
  if (w == 0 || x == 0) return;
  int    ew, ex, shift;
  double fw = frexp(w, &ew), fx = frexp(x, &ex), high = fw * fx, low = product_low(fw, fx, high);
  shift = ew + ex;
  if (factors == 2) {
    add_nonzero(sum, high, shift);
    add_nonzero(sum, low, shift);
    return;
  }
  double hh = high * fx, lh = low * fx;
  shift += ex;
  add_nonzero(sum, hh, shift);
  add_nonzero(sum, product_low(high, fx, hh), shift);
  add_nonzero(sum, lh, shift);
  add_nonzero(sum, product_low(low, fx, lh), shift);
}

/* Add at most BLOCK terms that are known to be finite. */
static void add_part(weir_sum *sum, const double *x, int64_t n) {
  double most;
  int    b = position_exponent(sum->top - 1);
  if (sum->top && in_range(b) && add_lanes(sum, x, n, b)) return;
  scan(x, n, &most);
  add_finite(sum, x, n, most);
}

/* Write products as sums of doubles: w * x in two parts, w * x * x in four; the largest comes first. */
WEIR__WIDE static int expand(const double *w, const double *x, int64_t n, int factors, double part[4][BLOCK]) {
  if (factors == 2) {
    for (int64_t i = 0; i < n; i++) {
      part[0][i] = w[i] * x[i];
      part[1][i] = product_low(w[i], x[i], part[0][i]);
    }
    return 2;
  }
  for (int64_t i = 0; i < n; i++) {
    double high = w[i] * x[i], low = product_low(w[i], x[i], high), hh = high * x[i], lh = low * x[i];
    part[0][i] = hh;
    part[1][i] = product_low(high, x[i], hh);
    part[2][i] = lh;
    part[3][i] = product_low(low, x[i], lh);
  }
  return 4;
}

/* Add products that start no higher than the sum does; false, and nothing added, when one does or is not finite. What
 * underflows in a product lies below 2^-969, far from the positions kept. */
static bool add_products_below(weir_sum *sum, const double *w, const double *x, int64_t n, int factors) {
  double   part[4][BLOCK];
  int      b      = position_exponent(sum->top - 1);
  weir_sum before = *sum;
  bool     fine   = true;
  if (!sum->top || !in_range(b) || b < -800) return false;
  int parts = expand(w, x, n, factors, part);
  for (int k = 0; k < parts && fine; k++) fine = add_lanes(sum, part[k], n, b);
  if (fine) sum->count += n;
  else *sum = before;
  return fine;
}

/* Add at most BLOCK products of a moderate range; false, and nothing added, when they are not of that kind. */
static bool add_products(weir_sum *sum, const double *w, const double *x, int64_t n, int factors) {
  const double largest = factors == 2 ? 0x1p490 : 0x1p320, least = 0x1p-500;
  double       part[4][BLOCK], most_w, most_x, most;
  if (!scan(w, n, &most_w) || !scan(x, n, &most_x) || most_w > largest || most_x > largest) return false;
  if (most_w == 0 || most_x == 0) {
    sum->count += n;
    return true;
  }
  int parts = expand(w, x, n, factors, part);
  scan(part[0], n, &most);
  if (most < least) return false;
  for (int k = 0; k < parts; k++) add_part(sum, part[k], n);
  sum->count += n;
  return true;
}

static void add_all_products(weir_sum *sum, const double *w, const double *x, int64_t n, int factors) {
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    if (add_products_below(sum, w + i, x + i, m, factors) || add_products(sum, w + i, x + i, m, factors)) continue;
    for (int64_t k = i; k < i + m; k++) add_one_product(sum, w[k], x[k], factors);
  }
}

void weir_sum_add_square(weir_sum *sum, const double *x, int64_t n) { add_all_products(sum, x, x, n, 2); }

void weir_sum_add_product(weir_sum *sum, const double *x, const double *y, int64_t n) {
  add_all_products(sum, x, y, n, 2);
}

void weir_sum_add_weighted_square(weir_sum *sum, const double *w, const double *x, int64_t n) {
  add_all_products(sum, w, x, n, 3);
}

void weir_sum_combine(weir_sum *into, const weir_sum *from) {
  into->count += from->count;
  into->special |= from->special;
  if (!from->top) return;
  lift(into, from->top - 1);
  int down = into->top - from->top;
  for (int j = down; j < POSITIONS; j++) bin_add(into, j, bin_get(from, j - down));
}

/* ---- values ---- */

static quad power_of_two(int e) {
  quad result = 1, base = e < 0 ? (quad)0.5 : (quad)2;
  for (unsigned n = (unsigned)(e < 0 ? -e : e); n; n >>= 1, base *= base)
    if (n & 1) result *= base;
  return result;
}

/* The sum in 113 bits, rounded to odd, so that rounding it once more to double is as rounding the exact sum. */
static quad value_of(const weir_sum *sum) {
  const uint64_t low_mask = (UINT64_C(1) << STEP) - 1;
  if (!sum->top) return 0;
  int128 third = bin_get(sum, 2), second = bin_get(sum, 1) + (third >> STEP),
         first = bin_get(sum, 0) + (second >> STEP);
  uint128 low  = (uint128)((uint64_t)second & low_mask) << STEP | ((uint64_t)third & low_mask); /* 80 bits, positive */
  bool    negative = first < 0;
  if (negative) {
    first = -first - (low != 0);
    low   = low ? ((uint128)1 << 2 * STEP) - low : 0;
  }
  uint128 high = (uint128)first;
  int     bits = 0, dropped;
  for (uint128 h = high; h; h >>= 1) bits++;
  dropped = bits + 2 * STEP - 113;
  if (dropped > 0) {
    uint128 rest = low & (((uint128)1 << dropped) - 1);
    low          = (low - rest) | (uint128)(rest != 0) << dropped;
  }
  quad value = (quad)high * power_of_two(2 * STEP) + (quad)low;
  value *= power_of_two(position_exponent(sum->top - POSITIONS));
  return negative ? -value : value;
}

static double special_value(unsigned special) {
  return special == 3 ? (double)NAN : special == 1 ? (double)INFINITY : -(double)INFINITY;
}

double weir_sum_value(const weir_sum *sum) {
  return sum->special ? special_value(sum->special) : (double)value_of(sum);
}

double weir_sum_mean(const weir_sum *sum) {
  if (!sum->count) return NAN;
  return sum->special ? special_value(sum->special) : (double)(value_of(sum) / (quad)sum->count);
}

double weir_sum_variance(const weir_sum *sum, const weir_sum *squares) {
  if (!sum->count || sum->special || squares->special) return NAN;
  quad n = (quad)sum->count, s = value_of(sum), v = (value_of(squares) - s * s / n) / n;
  return v > 0 ? (double)v : 0;
}

double weir_sum_ratio(const weir_sum *numerator, const weir_sum *denominator) {
  if (!numerator->count || !denominator->count) return NAN;
  if (numerator->special || denominator->special) return weir_sum_value(numerator) / weir_sum_value(denominator);
  quad d = value_of(denominator);
  return d == 0 ? (double)NAN : (double)(value_of(numerator) / d);
}

double weir_sum_weighted_variance(const weir_sum *sum, const weir_sum *squares, const weir_sum *weights) {
  if (!sum->count || sum->special || squares->special || weights->special) return NAN;
  quad w = value_of(weights);
  if (w == 0) return NAN;
  quad mean = value_of(sum) / w, v = value_of(squares) / w - mean * mean;
  return v > 0 ? (double)v : 0;
}
