/* Sums that do not depend on order: binned accumulation into 128-bit integers.
 *
 *   position i has the unit 2^b(i), b(i) = 40 i - 3228: low enough for the product of three denormals, 2^-3222, and so
 * that most of what is measured, from 2e-5 to 2000 in size, is large (see sum_blocks.h).
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
#include "field/field.h"
#include "field/sum_blocks.h"
#include <weir/sum.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { STEP = WEIR__SUM_STEP, LOWEST = -3228, POSITIONS = WEIR__SUM_POSITIONS, BLOCK = WEIR__SUM_BLOCK, FEW = 8 };

typedef __int128          int128;
typedef unsigned __int128 uint128;
#ifdef __SIZEOF_FLOAT128__
typedef __float128 quad; /* 113 bits, exponents to +-16382 */
#else
typedef _Float128 quad;
#endif

static int position_exponent(int index) { return STEP * index + LOWEST; }

/* Where a term in [2^(e-1), 2^e) starts. */
static int position_of(int e) { return (e - LOWEST) / STEP; }

/* e with 2^(e-1) <= x < 2^e, for finite x > 0. */
static int exponent_of(double x) {
  int e = (int)(weir__bits_of(x) >> 52 & 0x7ff);
  if (!e) {
    frexp(x, &e);
    return e;
  }
  return e - 1022;
}

static int128 bin_get(const weir_sum *sum, int j) { return (int128)((uint128)sum->bin[j][1] << 64 | sum->bin[j][0]); }

static void bin_add(weir_sum *sum, int j, int128 value) {
  uint128 v      = (uint128)bin_get(sum, j) + (uint128)value;
  sum->bin[j][0] = (uint64_t)v;
  sum->bin[j][1] = (uint64_t)(v >> 64);
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
    double m = weir__sum_magic(position_exponent(index) - e), t = f + m;
    bin_add(sum, j, (int64_t)(weir__bits_of(t) - weir__bits_of(m)));
    f -= t - m;
  }
}

/* Largest |x| of n terms, missing ones aside; false when it is infinite. */
WEIR__WIDEST static bool scan(const double *x, int64_t n, double *most) {
  uint64_t top = 0; /* bits of numbers without sign are in order */
  for (int64_t i = 0; i < n; i++) {
    uint64_t u = x[i] == x[i] ? weir__bits_of(x[i]) & INT64_MAX : 0;
    top        = u > top ? u : top;
  }
  memcpy(most, &top, sizeof *most);
  return isfinite(*most);
}

static const weir__sum_way *way(void) { return weir__sum_way_at(weir__sum_ways() - 1); }

static void take(weir_sum *sum, const uint64_t *unit) {
  for (int j = 0; j < POSITIONS; j++) bin_add(sum, j, (int64_t)unit[j]);
}

/* Can terms be added at the positions that `top` says, with normal numbers and nothing left out? */
static bool is_ready(int top) {
  int b = position_exponent(top - 1);
  return top && b + 52 < DBL_MAX_EXP - 1 && b - 2 * STEP >= DBL_MIN_EXP - DBL_MANT_DIG;
}

/* What underflows in a product lies below 2^-969, far from the positions kept. */
static bool is_ready_for_products(int top) { return is_ready(top) && position_exponent(top - 1) >= -800; }

WEIR__WIDEST static bool any_missing(const double *x, int64_t n) {
  int any = 0;
  for (int64_t i = 0; i < n; i++) any |= x[i] != x[i];
  return any;
}

/* What terms seem to be, from those before: all large; some missing. */
typedef struct guess {
  bool large, holes;
} guess;

static bool cut_terms(const double *x, int64_t n, int b, guess g, uint64_t *unit, int64_t *missing) {
  return (g.large ? way()->large_terms : way()->terms)(x, n, b, unit, g.holes ? missing : NULL);
}

/* Add at most BLOCK terms at the positions there are; false, and nothing added, when it cannot be. A wrong guess is
 * corrected, where it can be. */
static bool add_terms(weir_sum *sum, const double *x, int64_t n, guess *g) {
  uint64_t unit[POSITIONS];
  int64_t  missing = 0;
  int      b       = position_exponent(sum->top - 1);
  if (!is_ready(sum->top)) return false;
  bool fine = cut_terms(x, n, b, *g, unit, &missing);
  if (!fine && !g->holes && (g->holes = any_missing(x, n))) fine = cut_terms(x, n, b, *g, unit, &missing);
  if (!fine && g->large) {
    g->large = false;
    fine     = cut_terms(x, n, b, *g, unit, &missing);
  }
  if (!fine) return false;
  take(sum, unit);
  sum->count += n - missing;
  return true;
}

/* Are a few of `n` terms, `apart` from each other, large; or their squares? */
static bool seem_large(const weir_sum *sum, const double *x, int64_t n, int64_t apart, bool squares) {
  if (n < 1 || !is_ready(sum->top)) return false;
  int     b     = position_exponent(sum->top - 1);
  int64_t least = squares ? weir__sum_least_root(b) : weir__sum_least(b);
  for (int k = 0; k < 3; k++)
    if ((int64_t)(weir__bits_of(x[k * (n - 1) / 2 * apart]) & INT64_MAX) < least) return false;
  return true;
}

/* Are any of the first ones missing? (Others would have to come from memory first. Of few terms, to find out by trying
 * is as quick.) */
static bool seem_missing(const double *x, int64_t n) {
  enum { FIRST = 64, MANY = 512 };
  return n >= MANY && any_missing(x, FIRST);
}

static void make_room(weir_sum *sum, double most) {
  if (most > 0) lift(sum, position_of(exponent_of(most)));
}

/* A sum without positions gets those of its first few terms; mostly, the others are not much larger. */
static void begin(weir_sum *sum, const double *x, int64_t n) {
  double most;
  if (!sum->top && scan(x, n < FEW ? n : FEW, &most)) make_room(sum, most);
}

static void add_infinity(weir_sum *sum, double x) { sum->special |= x > 0 ? 1u : 2u; }

void weir_sum_add(weir_sum *sum, const double *x, int64_t n) {
  double most;
  begin(sum, x, n);
  guess g = {seem_large(sum, x, n, 1, false), seem_missing(x, n)};
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    if (add_terms(sum, x + i, m, &g)) continue; /* nearly always */
    if (scan(x + i, m, &most)) {
      make_room(sum, most);
      if (add_terms(sum, x + i, m, &g)) continue;
    }
    for (int64_t k = i; k < i + m; k++) {
      if (isnan(x[k])) continue;
      sum->count++;
      if (isinf(x[k])) add_infinity(sum, x[k]);
      else if (x[k] != 0) add_term(sum, x[k], 0);
    }
  }
}

/* ---- exact products ---- */

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
  double fw = frexp(w, &ew), fx = frexp(x, &ex), high = fw * fx, low = weir__product_low(fw, fx, high);
  shift = ew + ex;
  if (factors == 2) {
    add_nonzero(sum, high, shift);
    add_nonzero(sum, low, shift);
    return;
  }
  double hh = high * fx, lh = low * fx;
  shift += ex;
  add_nonzero(sum, hh, shift);
  add_nonzero(sum, weir__product_low(high, fx, hh), shift);
  add_nonzero(sum, lh, shift);
  add_nonzero(sum, weir__product_low(low, fx, lh), shift);
}

/* As add_terms; `holes`: a guess whether some are missing. */
static bool add_products(weir_sum *sum, const double *w, const double *x, int64_t n, int factors, bool *holes) {
  uint64_t unit[POSITIONS];
  int64_t  missing = 0;
  int      b       = position_exponent(sum->top - 1);
  bool (*add)(const double *, const double *, int64_t, int, uint64_t *, int64_t *) =
      factors == 2 ? way()->products : way()->weighted_squares;
  if (!is_ready_for_products(sum->top)) return false;
  bool fine = add(w, x, n, b, unit, *holes ? &missing : NULL);
  if (!fine && !*holes) fine = *holes = add(w, x, n, b, unit, &missing);
  if (!fine) return false;
  take(sum, unit);
  sum->count += n - missing;
  return true;
}

/* Products of a moderate range of magnitudes, neither beyond nor below the positions of normal numbers. */
static bool is_moderate(double most_w, double most_x, int factors) {
  const double largest = factors == 2 ? 0x1p490 : 0x1p320;
  return most_w <= largest && most_x <= largest;
}

/* Make room for at most BLOCK products. */
static void make_room_for_products(weir_sum *sum, const double *w, const double *x, int64_t n, int factors) {
  double product[BLOCK], most_w, most_x, most;
  if (!scan(w, n, &most_w) || !scan(x, n, &most_x) || !is_moderate(most_w, most_x, factors)) return;
  for (int64_t i = 0; i < n; i++) product[i] = factors == 2 ? w[i] * x[i] : w[i] * x[i] * x[i];
  if (scan(product, n, &most) && most >= 0x1p-500) make_room(sum, most);
}

static void begin_products(weir_sum *sum, const double *w, const double *x, int64_t n, int factors) {
  if (!sum->top) make_room_for_products(sum, w, x, n < FEW ? n : FEW, factors);
}

static void add_all_products(weir_sum *sum, const double *w, const double *x, int64_t n, int factors) {
  begin_products(sum, w, x, n, factors);
  bool holes = seem_missing(w, n) || seem_missing(x, n);
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t m = n - i < BLOCK ? n - i : BLOCK;
    if (add_products(sum, w + i, x + i, m, factors, &holes)) continue; /* nearly always */
    make_room_for_products(sum, w + i, x + i, m, factors);
    if (add_products(sum, w + i, x + i, m, factors, &holes)) continue;
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

void weir__sum_add_moments(weir_sum *sum, weir_sum *squares, const double *x, int64_t n) {
  begin(sum, x, n);
  begin_products(squares, x, x, n, 2);
  bool large = seem_large(sum, x, n, 1, false), large_squares = seem_large(squares, x, n, 1, true),
       holes = seem_missing(x, n);
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t  m = n - i < BLOCK ? n - i : BLOCK;
    uint64_t unit[POSITIONS], square_unit[POSITIONS];
    int      b = position_exponent(sum->top - 1), square_b = position_exponent(squares->top - 1);
    bool     ready = !holes && is_ready(sum->top) && is_ready_for_products(squares->top);
    bool     fine  = ready && way()->moments(x + i, m, b, square_b, large, large_squares, unit, square_unit);
    if (!fine && (large || large_squares)) {
      large = large_squares = false;
      fine                  = ready && way()->moments(x + i, m, b, square_b, false, false, unit, square_unit);
    }
    if (fine) { /* nearly always */
      take(sum, unit);
      take(squares, square_unit);
      sum->count += m;
      squares->count += m;
      continue;
    }
    holes = holes || any_missing(x + i, m);
    weir_sum_add(sum, x + i, m);
    weir_sum_add_square(squares, x + i, m);
  }
}

/* ---- columns ---- */

static weir_sum *sum_at(weir_sum *sum, size_t apart, int64_t column) {
  return (weir_sum *)(void *)((char *)sum + (size_t)column * apart);
}

/* How many neighbouring columns, of at most `columns`, have the positions of `top`, which is the first's. With `holes`
 * room has been made: columns that still have no position get nothing but zeros and NaN, and go with any others. */
static int64_t columns_alike(weir_sum *sum, size_t apart, int64_t columns, bool holes, int *top) {
  int64_t n = 0;
  for (*top = sum->top; n < columns; n++) {
    int other = sum_at(sum, apart, n)->top;
    if (holes && !other) continue;
    if (holes && !*top) *top = other;
    if (other != *top) break;
  }
  return n;
}

/* At most BLOCK rows of columns that are alike; false, and nothing added, when it cannot be. `large`: terms that are
 * all large alone. */
static bool add_alike(weir_sum *sum, size_t apart, const double *x, int64_t pitch, int64_t rows, int64_t columns,
                      int top, bool squares, bool holes, bool large) {
  weir__sum_strip strip;
  int             b = top ? position_exponent(top - 1) : 0;
  if (top ? !(squares ? is_ready_for_products(top) : is_ready(top)) : !holes) return false;
  if (large ? !way()->large_columns(x, pitch, rows, columns, b, &strip)
            : !(squares ? way()->column_squares : way()->columns)(x, pitch, rows, columns, b, holes, &strip))
    return false;
  for (int64_t c = 0; c < columns; c++) {
    weir_sum      *s               = sum_at(sum, apart, c);
    const uint64_t unit[POSITIONS] = {strip.unit[0][c], strip.unit[1][c], strip.unit[2][c]};
    if (s->top) take(s, unit);
    s->count += rows - strip.missing[c];
  }
  return true;
}

/* Make room in each column for its largest term; false when that cannot be for one. */
WEIR__WIDEST static bool make_room_in_strip(weir_sum *sum, size_t apart, const double *x, int64_t pitch, int64_t rows,
                                            int64_t columns, bool squares) {
  uint64_t top[WEIR__SUM_STRIP] = {0};
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) {
      double   v = x[r * pitch + c];
      uint64_t u = v == v ? weir__bits_of(v) & INT64_MAX : 0;
      top[c]     = u > top[c] ? u : top[c];
    }
  for (int64_t c = 0; c < columns; c++) {
    double most;
    memcpy(&most, &top[c], sizeof most);
    if (!isfinite(most)) return false;
    if (squares && most > 0) {
      if (!is_moderate(most, most, 2) || most < 0x1p-250) return false;
      most *= most;
    }
    make_room(sum_at(sum, apart, c), most);
  }
  return true;
}

static void add_column_by_column(weir_sum *sum, size_t apart, const double *x, int64_t pitch, int64_t rows,
                                 int64_t columns, bool squares) {
  double column[BLOCK];
  for (int64_t c = 0; c < columns; c++) {
    for (int64_t r = 0; r < rows; r++) column[r] = x[r * pitch + c];
    if (squares) weir_sum_add_square(sum_at(sum, apart, c), column, rows);
    else weir_sum_add(sum_at(sum, apart, c), column, rows);
  }
}

/* Columns that are not alike, or where terms start higher or are missing: room is made for them first. */
static void add_unlike(weir_sum *sum, size_t apart, const double *x, int64_t pitch, int64_t rows, int64_t columns,
                       bool squares) {
  bool room = make_room_in_strip(sum, apart, x, pitch, rows, columns, squares);
  for (int64_t c = 0, n; c < columns; c += n) {
    weir_sum *s = sum_at(sum, apart, c);
    int       top;
    n = columns_alike(s, apart, columns - c, room, &top);
    if (!room || !add_alike(s, apart, x + c, pitch, rows, n, top, squares, true, false))
      add_column_by_column(s, apart, x + c, pitch, rows, n, squares);
  }
}

void weir__sum_add_columns(weir_sum *sum, size_t apart, const double *x, int64_t pitch, int64_t rows, int64_t columns,
                           bool squares) {
  for (int64_t c = 0; c < columns; c += WEIR__SUM_STRIP) {
    weir_sum *s     = sum_at(sum, apart, c);
    int64_t   m     = columns - c < WEIR__SUM_STRIP ? columns - c : WEIR__SUM_STRIP;
    bool      large = false;
    for (int64_t r = 0, n; r < rows; r += n) {
      const double *from = x + r * pitch + c;
      int           top;
      n = rows - r < BLOCK ? rows - r : BLOCK;
      if (!s->top) make_room_in_strip(s, apart, from, pitch, n < FEW ? n : FEW, m, squares); /* as `begin` */
      if (!r) large = !squares && seem_large(s, from, rows, pitch, false);
      bool alike = columns_alike(s, apart, m, false, &top) == m; /* nearly always */
      bool holes = seem_missing(from, m);
      large      = large && alike && !holes && add_alike(s, apart, from, pitch, n, m, top, false, false, true);
      if (large || (alike && add_alike(s, apart, from, pitch, n, m, top, squares, holes, false))) continue;
      add_unlike(s, apart, from, pitch, n, m, squares);
    }
  }
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

/* 2^e as IEEE writes it in 128 bits. */
static quad power_of_two(int e) {
  uint128 bits = (uint128)(e + 16383) << 112;
  quad    result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

/* The bins with carries done: the sum in units of the lowest position is (first 2^40 + second) 2^40 + third. */
typedef struct carried {
  int128   first;
  uint64_t second, third; /* below 2^40 */
} carried;

static carried carry(const weir_sum *sum) {
  const uint64_t mask  = (UINT64_C(1) << STEP) - 1;
  int128         third = bin_get(sum, 2), second = bin_get(sum, 1) + (third >> STEP);
  return (carried){bin_get(sum, 0) + (second >> STEP), (uint64_t)second & mask, (uint64_t)third & mask};
}

/* The sum in 113 bits, rounded to odd, so that rounding it once more to double is as rounding the exact sum. */
static quad value_of(const weir_sum *sum) {
  if (!sum->top) return 0;
  carried s        = carry(sum);
  int128  first    = s.first;
  uint128 low      = (uint128)s.second << STEP | s.third; /* 80 bits, positive */
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

/* The sum over n, rounded once, without quads, which are slow here: as two doubles, the second far smaller than the
 * first, with an error below 2^-70 of the whole. False when that error leaves it open how to round (Ziv 1991, "Fast
 * evaluation of elementary mathematical functions with correctly rounded last bit", doi 10.1145/114697.116813), or when
 * a part would not be a normal number, or the whole is too small for its unit to be that exact. */
static bool quotient(const weir_sum *sum, int64_t n, double *result) {
  const carried s    = carry(sum);
  const int     unit = position_exponent(sum->top - POSITIONS);
  int128        size = s.first < 0 ? -s.first - 1 : s.first;
  if (!sum->top || size < (1 << 20) || size >> 62 || unit < -900 || unit > 700 || n >> 53) return false;
  /* integers that each fit a double; all but the first are positive */
  double a = (double)(int64_t)(s.first >> 32) * 0x1p112, b = (double)(uint32_t)s.first * 0x1p80,
         c = (double)s.second * 0x1p40, d = (double)s.third;
  double   s1 = a + b, s2 = (b - (s1 - a)) + (c + d);
  double   q1 = s1 / (double)n, q2 = (__builtin_fma(-q1, (double)n, s1) + s2) / (double)n;
  double   slack = fabs(q1) * 0x1p-66, lower = q1 + (q2 - slack), upper = q1 + (q2 + slack), scale;
  uint64_t bits = (uint64_t)(unit + 1023) << 52; /* 2^unit */
  memcpy(&scale, &bits, sizeof scale);
  *result = lower * scale;
  return lower == upper;
}

double weir_sum_value(const weir_sum *sum) {
  double value;
  if (sum->special) return special_value(sum->special);
  return quotient(sum, 1, &value) ? value : (double)value_of(sum);
}

double weir_sum_mean(const weir_sum *sum) {
  double value;
  if (!sum->count) return NAN;
  if (sum->special) return special_value(sum->special);
  return quotient(sum, sum->count, &value) ? value : (double)(value_of(sum) / (quad)sum->count);
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
