/* weir_sum against exact sums kept as long integers, and its promise: the same bytes in any order and grouping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <weir/sum.h>
#include "field/field.h"
#include "field/sum_blocks.h"

/* ---- the reference: an integer of 32-bit digits in units of 2^-3400 ---- */

enum { DIGITS = 224, UNIT = -3400 };
typedef struct exact {
  int64_t digit[DIGITS];
} exact;

static void exact_normalise(exact *s) {
  int64_t carry = 0;
  for (int i = 0; i < DIGITS - 1; i++) {
    int64_t d   = s->digit[i] + carry;
    carry       = d >> 32;
    s->digit[i] = d & 0xffffffff;
  }
  s->digit[DIGITS - 1] += carry; /* the sign is here */
}

/* Add m * 2^e. */
static void exact_add(exact *s, __int128 m, int e) {
  int               at = (e - UNIT) / 32, shift = (e - UNIT) % 32;
  bool              negative = m < 0;
  unsigned __int128 u        = negative ? -(unsigned __int128)m : (unsigned __int128)m;
  for (int part = 0; part < 4; part++) {
    int64_t digit = (int64_t)((uint32_t)(u >> 32 * part)) << shift;
    s->digit[at + part] += negative ? -(digit & 0xffffffff) : digit & 0xffffffff;
    s->digit[at + part + 1] += negative ? -(digit >> 32) : digit >> 32;
  }
  exact_normalise(s);
}

static int64_t split(double x, int *e) {
  double f = frexp(x, e);
  *e -= 53;
  return (int64_t)(f * 0x1p53);
}

static void exact_add_double(exact *s, double x, bool subtract) {
  int     e;
  int64_t m = split(x, &e);
  exact_add(s, subtract ? -m : m, e);
}

/* The value in 64 bits, truncated. */
static long double exact_value(const exact *s) {
  exact       t        = *s;
  bool        negative = t.digit[DIGITS - 1] < 0;
  long double value    = 0;
  if (negative) {
    for (int i = 0; i < DIGITS; i++) t.digit[i] = -t.digit[i];
    exact_normalise(&t);
  }
  int top = DIGITS - 1;
  while (top > 0 && !t.digit[top]) top--;
  for (int i = top; i >= 0 && i > top - 4; i--) value += ldexpl((long double)t.digit[i], 32 * i + UNIT);
  return negative ? -value : value;
}

static long double half_ulp(double x) {
  double a = fabs(x);
  if (a > DBL_MAX) return 0;
  double next = nextafter(a, INFINITY);
  return isinf(next) ? 0x1p970L : ((long double)next - a) / 2;
}

/* ---- numbers ---- */

static uint64_t seed = 42;
static uint64_t random_bits(void) { /* splitmix64: Steele, Lea & Flood 2014, doi 10.1145/2714064.2660195 */
  uint64_t z = seed += 0x9e3779b97f4a7c15;
  z          = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z          = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}
static double uniform(void) { return (double)(random_bits() >> 11) * 0x1p-53; }
static double wide(int least, int most) {
  double x = ldexp(1 + uniform(), least + (int)(random_bits() % (uint64_t)(most - least + 1)));
  return random_bits() & 1 ? x : -x;
}

static void shuffle(double *x, double *y, int64_t n) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)(random_bits() % (uint64_t)(i + 1));
    double  t = x[i];
    x[i] = x[j], x[j] = t;
    if (y) t = y[i], y[i] = y[j], y[j] = t;
  }
}

/* ---- the ways to add ---- */

enum { ADD, SQUARE, PRODUCT, WEIGHTED_SQUARE, WAYS };

static void add(int way, weir_sum *s, const double *w, const double *x, int64_t n) {
  if (way == ADD) weir_sum_add(s, x, n);
  else if (way == SQUARE) weir_sum_add_square(s, x, n);
  else if (way == PRODUCT) weir_sum_add_product(s, w, x, n);
  else weir_sum_add_weighted_square(s, w, x, n);
}

static void exact_add_way(int way, exact *s, double w, double x) {
  int ew, ex;
  if (way == ADD) {
    exact_add_double(s, x, false);
    return;
  }
  int64_t mw = split(w, &ew), mx = split(x, &ex);
  if (way == SQUARE) exact_add(s, (__int128)mx * mx, 2 * ex);
  if (way == PRODUCT) exact_add(s, (__int128)mw * mx, ew + ex);
  if (way == WEIGHTED_SQUARE) { /* 159 bits: in two parts */
    __int128 square = (__int128)mx * mx;
    exact_add(s, (square >> 53) * mw, ew + 2 * ex + 53);
    exact_add(s, (square & (((__int128)1 << 53) - 1)) * mw, ew + 2 * ex);
  }
}

static void sum_in_groups(int way, weir_sum *total, const double *w, const double *x, int64_t n) {
  weir_sum part[7] = {{0}};
  for (int64_t i = 0; i < n;) {
    uint64_t most = random_bits() % 8 == 0 ? 1500 : 20;
    int64_t  m    = (int64_t)(random_bits() % most) + 1;
    if (m > n - i) m = n - i;
    add(way, &part[random_bits() % 7], w + i, x + i, m);
    i += m;
  }
  for (int i = 6; i > 0; i--) weir_sum_combine(&part[random_bits() % (uint64_t)i], &part[i]);
  *total = part[0];
}

/* The value and the mean are rounded without quads where that can be: they are to be those of a quotient, which never
 * is. */
static void check_quotients(const weir_sum *s) {
  weir_sum one = {0}, many = {0};
  weir_sum_add(&one, &(double){1}, 1);
  weir_sum_add(&many, &(double){(double)s->count}, 1);
  double value = weir_sum_value(s), mean = weir_sum_mean(s), by_one = weir_sum_ratio(s, &one),
         by_many = weir_sum_ratio(s, &many);
  assert_memory_equal(&value, &by_one, sizeof value);
  assert_memory_equal(&mean, &by_many, sizeof mean);
}

/* Sum once; compare with the exact sum; permute and regroup, and compare bytes. */
static void check(int way, double *w, double *x, int64_t n) {
  weir_sum    reference = {0};
  exact       e         = {{0}};
  long double largest   = 0;
  add(way, &reference, w, x, n);
  assert_int_equal(reference.count, n);
  for (int64_t i = 0; i < n; i++) {
    long double a = way == ADD ? 1 : way == SQUARE ? x[i] : w[i], term = a * x[i] * (way == WEIGHTED_SQUARE ? x[i] : 1);
    largest = fabsl(term) > largest ? fabsl(term) : largest;
    exact_add_way(way, &e, w[i], x[i]);
  }
  check_quotients(&reference);
  double      value = weir_sum_value(&reference);
  long double truth = exact_value(&e), bound = (long double)n * 0x1p-79L * largest;
  if (isinf(value)) {
    assert_true(fabsl(truth) >= 0x1.fffffffffffff7ffp1023L);
  } else {
    exact_add_double(&e, value, true);
    long double error = fabsl(exact_value(&e));
    if (error > half_ulp(value) + bound)
      fail_msg("way %d: %.17g differs from %.20Lg by %.3Lg, more than %.3Lg + %.3Lg", way, value, truth, error,
               half_ulp(value), bound);
  }
  if (way == SQUARE) { /* both moments in one pass */
    weir_sum both[2] = {{0}}, plain = {0};
    weir_sum_add(&plain, x, n);
    weir__sum_add_moments(&both[0], &both[1], x, n / 2);
    weir__sum_add_moments(&both[0], &both[1], x + n / 2, n - n / 2);
    assert_memory_equal(&both[0], &plain, sizeof plain);
    assert_memory_equal(&both[1], &reference, sizeof reference);
  }
  for (int trial = 0; trial < 12; trial++) {
    weir_sum s = {0};
    shuffle(x, w, n);
    sum_in_groups(way, &s, w, x, n);
    assert_memory_equal(&s, &reference, sizeof s);
  }
}

enum { N = 3001 };
static double X[N], W[N], HOLED[N];

static void check_all_ways(int64_t n) {
  for (int way = 0; way < WAYS; way++) check(way, W, X, n);
}

static void test_ordinary(void **state) {
  (void)state;
  for (int64_t n = 1; n < 20; n++) {
    for (int64_t i = 0; i < n; i++) X[i] = uniform() - 0.5, W[i] = uniform();
    check_all_ways(n);
  }
  for (int i = 0; i < N; i++) X[i] = 1e5 + uniform(), W[i] = 1 + uniform();
  check_all_ways(N);
}

/* Sums of few terms with few bits lie on ties and next to them. */
static void test_ties(void **state) {
  (void)state;
  for (int trial = 0; trial < 200000; trial++) {
    weir_sum s = {0};
    int64_t  n = 1 + (int64_t)(random_bits() % 9);
    for (int64_t i = 0; i < n; i++) {
      int bits = 1 + (int)(random_bits() % 53), exponent = (int)(random_bits() % 80) - 40;
      X[i] = ldexp((double)(random_bits() >> (64 - bits)), exponent);
      if (random_bits() & 1) X[i] = -X[i];
      if (i && random_bits() % 4 == 0)
        X[i] = (random_bits() & 1 ? X[i - 1] : -X[i - 1]) * ldexp(1, (int)(random_bits() % 3) - 54);
    }
    weir_sum_add(&s, X, n);
    check_quotients(&s);
  }
}

static void test_wide_ranges(void **state) {
  static const int range[][2] = {{-60, 60},    {-1074, 1023}, {-1074, -950}, {-1074, -1060}, {900, 1020}, {-300, 300},
                                 {-520, -480}, {470, 520},    {300, 350},    {-3, 40},       {960, 1023}, {-360, -330}};
  (void)state;
  for (size_t r = 0; r < sizeof range / sizeof *range; r++) {
    for (int i = 0; i < N; i++) X[i] = wide(range[r][0], range[r][1]), W[i] = wide(range[r][0], range[r][1]);
    for (int i = 0; i < N; i += 17) X[i] = 0, W[i + 1] = 0;
    check_all_ways(r < 3 ? N : 700);
  }
}

/* Every distance between two terms, across every cut. */
static void test_two_magnitudes(void **state) {
  (void)state;
  for (int d = 0; d < 260; d++) {
    int base = (int)(random_bits() % 40);
    for (int i = 0; i < 40; i++) X[i] = wide(base, base + 1), W[i] = 1;
    for (int i = 0; i < 40; i += 2) X[i] = ldexp(X[i], -d);
    check(ADD, W, X, 40);
    check(SQUARE, W, X, 40);
  }
  for (int e = -1074; e < 1024; e++) { /* powers of two and their neighbours: ties at each cut */
    double p    = ldexp(1, e);
    double t[6] = {p, -p, nextafter(p, 0), nextafter(p, INFINITY), p / 2, p};
    memcpy(X, t, sizeof t);
    for (int i = 0; i < 6; i++) W[i] = 1;
    check(ADD, W, X, 6);
  }
}

static void test_cancellation(void **state) {
  (void)state;
  for (int i = 0; i < N / 2; i++) X[i] = wide(-10, 20), X[N / 2 + i] = -X[i], W[i] = W[N / 2 + i] = 1;
  X[N - 1] = 0x1p-40;
  W[N - 1] = 1;
  check(ADD, W, X, N);
  weir_sum s = {0};
  weir_sum_add(&s, X, N);
  assert_true(weir_sum_value(&s) == 0x1p-40);
  double t[] = {1e16, 1, -1e16, 1e300, 3, -1e300};
  memset(&s, 0, sizeof s);
  weir_sum_add(&s, t, 3);
  assert_true(weir_sum_value(&s) == 1);
  weir_sum_add(&s, t + 3, 1); /* the 1 lies 996 bits below: dropped, as documented */
  weir_sum_add(&s, t + 5, 1);
  assert_true(weir_sum_value(&s) == 0);
}

static void test_extremes(void **state) {
  double huge[] = {DBL_MAX, DBL_MAX, -DBL_MAX, -DBL_MAX, DBL_MAX, 0x1p970};
  (void)state;
  weir_sum s = {0};
  weir_sum_add(&s, huge, 2);
  assert_true(isinf(weir_sum_value(&s)) && weir_sum_mean(&s) == DBL_MAX);
  weir_sum_add(&s, huge + 2, 3);
  assert_true(weir_sum_value(&s) == DBL_MAX);
  weir_sum_add(&s, huge + 5, 1); /* half a unit beyond: the tie goes to even, infinity */
  assert_true(isinf(weir_sum_value(&s)));
  weir_sum sum = {0}, squares = {0};
  double   spread[] = {1e300, 3e300};
  weir_sum_add(&sum, spread, 2);
  weir_sum_add_square(&squares, spread, 2);
  assert_true(isinf(weir_sum_value(&squares)) && isinf(weir_sum_variance(&sum, &squares)));
  double tiny[] = {1e-300, 3e-300}, small = weir_sum_value(&squares);
  memset(&squares, 0, sizeof squares);
  weir_sum_add_square(&squares, tiny, 2);
  assert_true(weir_sum_value(&squares) == 0 && small > 0 && squares.top > 0);
}

static void test_special(void **state) {
  double   x[] = {1, NAN, 2, INFINITY, -0.0, -INFINITY, NAN}, many[2000];
  weir_sum s   = {0};
  (void)state;
  assert_true(weir_sum_value(&s) == 0 && !signbit(weir_sum_value(&s)) && isnan(weir_sum_mean(&s)));
  weir_sum_add(&s, x, 3);
  assert_int_equal(s.count, 2);
  assert_true(weir_sum_value(&s) == 3 && weir_sum_mean(&s) == 1.5);
  weir_sum_add(&s, x + 3, 1);
  assert_true(weir_sum_value(&s) == INFINITY && weir_sum_mean(&s) == INFINITY && isnan(weir_sum_variance(&s, &s)));
  weir_sum_add(&s, x + 4, 3);
  assert_int_equal(s.count, 5);
  assert_true(isnan(weir_sum_value(&s)));
  memset(&s, 0, sizeof s);
  weir_sum_add(&s, x + 4, 1);
  assert_true(weir_sum_value(&s) == 0 && !signbit(weir_sum_value(&s)) && s.count == 1);
  for (int i = 0; i < 2000; i++) many[i] = i % 3 ? (i % 7 ? i : -0.0) : NAN;
  double expected = 0;
  for (int i = 0; i < 2000; i++) expected += isnan(many[i]) ? 0 : many[i];
  memset(&s, 0, sizeof s);
  weir_sum_add(&s, many, 2000);
  assert_true(weir_sum_value(&s) == expected && s.count == 1333);
  weir_sum a = {0}, b = {0};
  sum_in_groups(ADD, &a, many, many, 2000);
  assert_memory_equal(&a, &s, sizeof s);
  double w[] = {1, 0, -1}, inf[] = {INFINITY, INFINITY, INFINITY};
  weir_sum_add_product(&b, w + 2, inf, 1);
  assert_true(weir_sum_value(&b) == -INFINITY);
  weir_sum_add_product(&b, w + 1, inf, 1);
  assert_true(isnan(weir_sum_value(&b)) && b.count == 2);
  memset(&b, 0, sizeof b);
  weir_sum_add_weighted_square(&b, w + 2, inf, 1);
  assert_true(weir_sum_value(&b) == -INFINITY);
}

static void test_moments(void **state) {
  (void)state;
  for (int i = 0; i < N; i++) X[i] = 1e6 + uniform(), W[i] = (double)(1 + random_bits() % 8);
  weir_sum    s = {0}, q = {0}, w = {0}, wx = {0}, wxx = {0};
  long double mean = 0, var = 0, wmean = 0, wvar = 0, wsum = 0;
  weir_sum_add(&s, X, N);
  weir_sum_add_square(&q, X, N);
  weir_sum_add(&w, W, N);
  weir_sum_add_product(&wx, W, X, N);
  weir_sum_add_weighted_square(&wxx, W, X, N);
  for (int i = 0; i < N; i++) mean += X[i] - 1e6L, wmean += W[i] * (X[i] - 1e6L), wsum += W[i];
  mean /= N, wmean /= wsum;
  for (int i = 0; i < N; i++) {
    long double d = X[i] - 1e6L - mean, e = X[i] - 1e6L - wmean;
    var += d * d, wvar += W[i] * e * e;
  }
  assert_true(fabsl(weir_sum_mean(&s) - (1e6L + mean)) < 1e-10L);
  assert_true(fabsl(weir_sum_variance(&s, &q) - var / N) < 1e-13L * var / N);
  assert_true(fabsl(weir_sum_ratio(&wx, &w) - (1e6L + wmean)) < 1e-10L);
  assert_true(fabsl(weir_sum_weighted_variance(&wx, &wxx, &w) - wvar / wsum) < 1e-13L * wvar / wsum);
  weir_sum none = {0}, c = {0}, cc = {0};
  double   constant[] = {0.1, 0.1, 0.1};
  assert_true(isnan(weir_sum_ratio(&none, &w)) && isnan(weir_sum_variance(&none, &none)));
  weir_sum_add(&c, constant, 3);
  weir_sum_add_square(&cc, constant, 3);
  assert_true(weir_sum_variance(&c, &cc) == 0 && weir_sum_mean(&c) == 0.1);
}

/* ---- the ways of a machine, and columns ---- */

/* Registers of any width give the same integers, and refuse the same blocks. */
static void test_ways(void **state) {
  const weir__sum_way *plain = weir__sum_way_at(0);
  (void)state;
  for (int k = 1; k < weir__sum_ways(); k++) {
    const weir__sum_way *way = weir__sum_way_at(k);
    for (int trial = 0; trial < 2000; trial++) {
      int64_t n = 1 + (int64_t)(random_bits() % WEIR__SUM_BLOCK), none[2] = {0, 0};
      int     b = (int)(random_bits() % 400) - 200, spread = (int)(random_bits() % 120);
      bool    holes = random_bits() % 2, high = random_bits() % 4 == 0;
      for (int64_t i = 0; i < n; i++) {
        X[i] = wide((b + 13) / 3 - spread, (b + 39) / 3 - !high), W[i] = wide((b + 39) / 3 - 3, (b + 39) / 3 - 1);
        if (random_bits() % 64 == 0) X[i] = holes ? NAN : 0;
        if (random_bits() % 64 == 0) W[i] = holes ? NAN : 0;
      }
      for (int what = 0; what < 4; what++) {
        uint64_t unit[2][6] = {{0}};
        bool     fine[2];
        for (int j = 0; j < 2; j++) {
          const weir__sum_way *one = j ? way : plain;
          int64_t             *m   = holes ? &none[j] : NULL;
          fine[j]                  = what == 0   ? one->terms(X, n, b, unit[j], m)
                                     : what == 1 ? one->products(W, X, n, b, unit[j], m)
                                     : what == 2 ? one->moments(X, n, b / 2, b, false, false, unit[j], unit[j] + 3)
                                                 : one->weighted_squares(W, X, n, b, unit[j], m);
        }
        assert_int_equal(fine[0], fine[1]);
        if (!fine[0]) continue;
        assert_memory_equal(unit[0], unit[1], sizeof unit[0]);
        assert_int_equal(none[0], none[1]);
      }
    }
  }
}

/* Large terms give the same integers on the short way, which refuses all others; where some are missing, too. */
static void test_large(void **state) {
  int holed = 0;
  (void)state;
  for (int k = 0; k < weir__sum_ways(); k++)
    for (int trial = 0; trial < 4000; trial++) {
      const weir__sum_way *way     = weir__sum_way_at(k);
      int64_t              n       = 1 + (int64_t)(random_bits() % WEIR__SUM_BLOCK);
      int                  b       = (int)(random_bits() % 1900) - 990;
      uint64_t             unit[3] = {0}, expected[3] = {0};
      bool                 refused = false;
      for (int64_t i = 0; i < n; i++) {
        X[i] = ldexp(0.5 + 0.5 * uniform(), b + 13 + (int)(random_bits() % 27));
        if (random_bits() & 1) X[i] = -X[i];
      }
      switch (random_bits() % 8) {
      case 0: X[random_bits() % (uint64_t)n] = 0, refused = true; break;
      case 1: X[random_bits() % (uint64_t)n] = NAN, refused = true; break;
      case 2: X[random_bits() % (uint64_t)n] = -INFINITY, refused = true; break;
      case 3: X[random_bits() % (uint64_t)n] = nextafter(ldexp(1, b + 12), 0), refused = true; break;
      case 4: X[random_bits() % (uint64_t)n] = ldexp(1, b + 39), refused = true; break;
      case 5: X[random_bits() % (uint64_t)n] = -ldexp(1, b + 12); break;
      default: break;
      }
      assert_int_equal(way->large_terms(X, n, b, unit, NULL), !refused);
      int64_t missing = -1, some = random_bits() % 4 ? 1 + (int64_t)(random_bits() % (uint64_t)n) : 0, none = 0;
      memcpy(HOLED, X, sizeof HOLED);
      for (int64_t i = 0; i < some; i++) HOLED[random_bits() % (uint64_t)n] = NAN;
      bool refused_still = false;
      for (int64_t i = 0; i < n; i++) {
        double size = fabs(HOLED[i]);
        none += isnan(size);
        refused_still |= size < ldexp(1, b + 12) || size >= ldexp(1, b + 39);
      }
      assert_int_equal(way->large_terms(HOLED, n, b, unit, &missing), !refused_still);
      if (!refused_still) {
        assert_int_equal(missing, none);
        assert_true(way->terms(HOLED, n, b, expected, &missing));
        assert_memory_equal(unit, expected, sizeof unit);
        assert_int_equal(missing, none);
        holed += none > 0;
      }
      if (refused) continue;
      assert_true(way->large_terms(X, n, b, unit, NULL));
      assert_true(way->terms(X, n, b, expected, NULL));
      assert_memory_equal(unit, expected, sizeof unit);
      uint64_t both[2][6] = {{0}}; /* and with their squares */
      if (b < -400 || b > 400) continue;
      for (int j = 0; j < 2; j++) assert_true(way->moments(X, n, b, 2 * b + 40, j, false, both[j], both[j] + 3));
      assert_memory_equal(both[0], both[1], sizeof both[0]);
    }
  assert_true(holed > 0);
}

/* The same for squares, whose terms are large or not. */
static void test_large_squares(void **state) {
  (void)state;
  int refused = 0;
  for (int k = 0; k < weir__sum_ways(); k++)
    for (int trial = 0; trial < 4000; trial++) {
      const weir__sum_way *way = weir__sum_way_at(k);
      int64_t              n   = 1 + (int64_t)(random_bits() % WEIR__SUM_BLOCK);
      int                  b = (int)(random_bits() % 800) - 400, square_b = 2 * b + 40;
      bool                 large = true, large_terms = random_bits() & 1; /* squares are; terms are from 2^(b+26) on */
      for (int64_t i = 0; i < n; i++) X[i] = ldexp(0.5 + 0.5 * uniform(), b + 27 + (int)(random_bits() % 13));
      if (random_bits() % 4 == 0) X[random_bits() % (uint64_t)n] *= 0x1p-14, large = false;
      uint64_t both[2][6];
      bool     fine = way->moments(X, n, b, square_b, large_terms, true, both[0], both[0] + 3);
      assert_int_equal(fine, large);
      refused += !large;
      if (!fine) continue;
      assert_true(way->moments(X, n, b, square_b, false, false, both[1], both[1] + 3));
      assert_memory_equal(both[0], both[1], sizeof both[0]);
    }
  assert_true(refused > 0);
}

/* Positions of terms and of squares that leave less to both, or nothing: refused is what either would refuse. */
static void test_both_ranges(void **state) {
  int taken = 0;
  (void)state;
  for (int k = 0; k < weir__sum_ways(); k++)
    for (int trial = 0; trial < 20000; trial++) {
      int  b = (int)(random_bits() % 200) - 100, square_b = 2 * b + 40 + (int)(random_bits() % 160) - 80;
      bool large = random_bits() & 1, large_squares = random_bits() & 1, fine = true;
      for (int i = 0; i < 9; i++) {
        double square;
        X[i]   = ldexp(0.8 + 0.1 * uniform(), b + (int)(random_bits() % 12) + 16 + (int)(random_bits() % 12));
        square = X[i] * X[i];
        fine &= X[i] < ldexp(1, b + 39) && square < ldexp(1, square_b + 39);
        fine &= !(large && X[i] < ldexp(1, b + 12)) && !(large_squares && square < ldexp(1, square_b + 12));
      }
      uint64_t unit[2][6];
      bool     taken_now = weir__sum_way_at(k)->moments(X, 9, b, square_b, large, large_squares, unit[0], unit[0] + 3);
      assert_int_equal(taken_now, fine);
      taken += fine;
    }
  assert_in_range(taken, 1000, 60000);
}

/* Each column of a table, with its range, holes, infinities and zeros, as if it were added alone. `alike`: many
 * neighbours are of one kind. */
static void check_columns(int64_t rows, int64_t columns, int64_t pitch, bool squares, bool narrow, bool alike) {
  struct {
    weir_sum before, sum;
  } *side         = calloc((size_t)columns, sizeof *side);
  weir_sum *alone = calloc((size_t)columns, sizeof *alone);
  double   *x     = malloc((size_t)(rows * pitch) * sizeof *x);
  for (int64_t c = 0, kind = 0; c < columns; c++) {
    if (!alike || random_bits() % 100 == 0) kind = (int64_t)(random_bits() % 8);
    int base = kind == 1 ? 900 : kind == 2 ? -1070 : kind == 3 ? -280 : 0;
    for (int64_t r = 0; r < rows; r++) {
      double v = kind == 4 ? 0 : kind == 5 ? NAN : wide(base, base + 100);
      if (kind == 6 && random_bits() % 8 == 0) v = NAN;
      if (narrow && random_bits() % 50000) v = wide(10, 20); /* large, but for a few */
      if (!narrow && random_bits() % 5000 == 0) v = INFINITY;
      x[r * pitch + c] = v;
    }
  }
  for (int64_t r = 0; r < rows; r += 700) { /* in several calls */
    int64_t n = rows - r < 700 ? rows - r : 700;
    weir__sum_add_columns(&side[0].sum, sizeof *side, x + r * pitch, pitch, n, columns, squares);
  }
  for (int64_t c = 0; c < columns; c++) {
    weir_sum none = {0};
    for (int64_t r = rows - 1; r >= 0; r--)
      if (squares) weir_sum_add_square(&alone[c], x + r * pitch + c, 1);
      else weir_sum_add(&alone[c], x + r * pitch + c, 1);
    assert_memory_equal(&side[c].sum, &alone[c], sizeof none);
    assert_memory_equal(&side[c].before, &none, sizeof none);
  }
  free(side), free(alone), free(x);
}

static void test_columns(void **state) {
  static const int64_t shape[][3] = {{1, 1, 1},       {3, 7, 9},     {40, 256, 256},
                                     {600, 300, 301}, {1500, 5, 64}, {20, 2100, 2104}};
  (void)state;
  for (size_t k = 0; k < sizeof shape / sizeof *shape; k++)
    for (int trial = 0; trial < 12; trial++)
      check_columns(shape[k][0], shape[k][1], shape[k][2], trial % 2 == 1, trial % 4 >= 2, trial % 3 == 0);
}

/* Up to the limit of the root, squares stay below the limit; beyond the next number they do not. So with the least. */
static void test_roots(void **state) {
  (void)state;
  for (int b = -800; b < 900; b++) {
    int64_t bits = weir__sum_limit_of_root(b);
    double  root, end = ldexp(1, b + 39);
    memcpy(&root, &bits, sizeof root);
    double above = nextafter(nextafter(root, INFINITY), INFINITY);
    assert_true(root * root < end);
    assert_true(above * above >= end);
    bits = weir__sum_least_root(b);
    memcpy(&root, &bits, sizeof root);
    assert_true(root * root >= ldexp(1, b + 12));
    double below = nextafter(nextafter(root, 0), 0);
    assert_true(below * below < ldexp(1, b + 12));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ordinary),       cmocka_unit_test(test_ties),          cmocka_unit_test(test_wide_ranges),
      cmocka_unit_test(test_two_magnitudes), cmocka_unit_test(test_cancellation),  cmocka_unit_test(test_extremes),
      cmocka_unit_test(test_special),        cmocka_unit_test(test_moments),       cmocka_unit_test(test_ways),
      cmocka_unit_test(test_large),          cmocka_unit_test(test_large_squares), cmocka_unit_test(test_both_ranges),
      cmocka_unit_test(test_columns),        cmocka_unit_test(test_roots),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
