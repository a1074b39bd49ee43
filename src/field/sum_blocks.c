/* Plain loops, but for one, compiled once for each kind of registers: that they add integers lets the compiler take as
 * many terms side by side as it likes. A machine that multiplies and adds with one rounding gets the low half of a
 * product from that; both are exact. */
#include "field/sum_blocks.h"
#include "core/simd.h"
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum { TOGETHER = 4, SOME = 64 };

/* Look whether `least` <= |x| <= limit, where the limit is `span` above the least (or below: then nothing is within):
 * as integers, bits of numbers without sign are in order, and those of what is not finite come last. What is seen of
 * many is kept in `seen`: the largest distance from the least where machines have an instruction for that (`wide`),
 * else a sign. */
WEIR__INLINE void look(bool wide, bool has_least, double x, int64_t least, int64_t span, uint64_t *seen) {
  uint64_t above = (weir__bits_of(x) & INT64_MAX) - (uint64_t)least;
  if (wide) *seen = above > *seen ? above : *seen;
  else if (has_least) *seen |= above | ((uint64_t)span - above);
  else *seen |= (uint64_t)span - above;
}
WEIR__INLINE bool all_within(bool wide, uint64_t seen, int64_t span) {
  return wide ? span >= 0 && seen <= (uint64_t)span : (int64_t)seen >= 0;
}

/* x, or another number where it is missing: without a condition, by which the compiler would branch, one term after the
 * other. */
WEIR__INLINE double or_other(double x, bool has, int64_t other) {
  uint64_t all = 0 - (uint64_t)has, bits = (weir__bits_of(x) & all) | ((uint64_t)other & ~all);
  memcpy(&x, &bits, sizeof x);
  return x;
}
WEIR__INLINE double or_zero(double x, bool has) { return or_other(x, has, 0); }

/* Cut x at one position; the rest goes on. */
#define CUT(x, m, unit)                                                                                                \
  do {                                                                                                                 \
    double t_ = (x) + (m);                                                                                             \
    (unit) += weir__bits_of(t_);                                                                                       \
    (x) -= t_ - (m);                                                                                                   \
  } while (0)
#define CUT_LAST(x, m, unit) ((unit) += weir__bits_of((x) + (m)))
/* At the second position and the third. */
#define CUT_LOW(x, m1, m2, unit1, unit2)                                                                               \
  do {                                                                                                                 \
    CUT(x, m1, unit1);                                                                                                 \
    CUT_LAST(x, m2, unit2);                                                                                            \
  } while (0)

/* At all positions; what is `large` has nothing at the third. */
#define CUT_TERM(large, x, m0, m1, m2, unit0, unit1, unit2)                                                            \
  do {                                                                                                                 \
    CUT(x, m0, unit0);                                                                                                 \
    if (large) CUT_LAST(x, m1, unit1);                                                                                 \
    else CUT_LOW(x, m1, m2, unit1, unit2);                                                                             \
  } while (0)

WEIR__INLINE double low_half(double a, double b, double high, bool fused) {
  return fused ? __builtin_fma(a, b, -high) : weir__product_low(a, b, high);
}

/* The products' low half is 2^-53 of the high one: it gives nothing to the first position, and the low half of that
 * only to the third. Without fused operations it is not finite where a factor is near the largest numbers. */
WEIR__INLINE bool add_terms(int factors, bool fused, bool wide, bool holes, bool large, const double *w,
                            const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing) {
  const double m0 = weir__sum_magic(b), m1 = weir__sum_magic(b - WEIR__SUM_STEP),
               m2     = weir__sum_magic(b - 2 * WEIR__SUM_STEP);
  const int64_t least = large ? weir__sum_least(b) : 0, span = weir__sum_limit(b) - least;
  uint64_t      u0 = 0, u1 = 0, u2 = 0, seen = 0;
  int64_t       none = 0;
  for (int64_t i = 0; i < n; i++) {
    double high = x[i];
    if (factors >= 2) {
      double a = w[i], c = x[i], low;
      if (holes) {
        bool has = a == a && c == c;
        a        = or_zero(a, has);
        c        = or_zero(c, has);
        none += !has;
      }
      high = a * c;
      low  = low_half(a, c, high, fused);
      if (factors == 3) {
        double hh = high * c, hl = low_half(high, c, hh, fused), lh = low * c, ll = low_half(low, c, lh, fused);
        if (!fused) look(wide, false, hl, 0, span, &seen), look(wide, false, ll, 0, span, &seen);
        CUT_LOW(hl, m1, m2, u1, u2);
        CUT_LAST(ll, m2, u2);
        high = hh, low = lh;
      }
      if (!fused) look(wide, false, low, 0, span, &seen);
      CUT_LOW(low, m1, m2, u1, u2);
    } else if (holes) {
      bool has = high == high;
      high     = or_other(high, has, least); /* of the large ones, a multiple of 2^b */
      none += !has;
    }
    look(wide, large, high, least, span, &seen);
    CUT_TERM(large, high, m0, m1, m2, u0, u1, u2);
  }
  unit[0] = u0 - (uint64_t)n * weir__bits_of(m0) - (large ? (uint64_t)none << WEIR__SUM_LARGE : 0);
  unit[1] = u1 - (uint64_t)n * (factors == 3 ? 3 : factors) * weir__bits_of(m1);
  unit[2] = large ? 0 : u2 - (uint64_t)n * (factors == 3 ? 4 : factors) * weir__bits_of(m2);
  if (holes) *missing = none;
  return all_within(wide, seen, span);
}

/* Terms and their squares. What the first position leaves of large ones is a multiple of 2^(b-40) of at most 2^(b-1): a
 * block's are added exactly as doubles, in whatever order, and go to the second position together. With fused
 * operations the processor has other units for the last subtraction than for the others. */
WEIR__INLINE bool add_moments(bool fused, bool wide, bool large, bool large_squares, const double *x, int64_t n, int b,
                              int square_b, uint64_t *unit, uint64_t *square_unit) {
  _Static_assert(WEIR__SUM_BLOCK <= 2048, "what is left of as many large terms is at most 2^50 units");
  static const volatile double minus_one = -1; /* the compiler must not know, or it subtracts */
  const double                 minus = minus_one, m0 = weir__sum_magic(b), m1 = weir__sum_magic(b - WEIR__SUM_STEP),
               m2 = weir__sum_magic(b - 2 * WEIR__SUM_STEP), p0 = weir__sum_magic(square_b),
               p1 = weir__sum_magic(square_b - WEIR__SUM_STEP), p2 = weir__sum_magic(square_b - 2 * WEIR__SUM_STEP);
  const int64_t square_limit = weir__sum_limit(square_b), root = weir__sum_limit_of_root(square_b),
                limit      = weir__sum_limit(b) < root ? weir__sum_limit(b) : root,
                least_term = large ? weir__sum_least(b) : 0,
                least_root = large_squares ? weir__sum_least_root(square_b) : 0,
                least = least_term > least_root ? least_term : least_root, span = limit - least;
  double   rest = 0, square_rest = 0;
  uint64_t u0 = 0, u1 = 0, u2 = 0, v0 = 0, v1 = 0, v2 = 0, most = 0, sign = 0;
#pragma omp simd reduction(+ : u0, u1, u2, v0, v1, v2, rest, square_rest) reduction(max : most) reduction(| : sign)
  for (int64_t i = 0; i < n; i++) {
    double         term = x[i], high = term * term, low = low_half(term, term, high, fused);
    const double   t = term + m0, s = high + p0;
    const uint64_t above = (weir__bits_of(term) & INT64_MAX) - (uint64_t)least; /* as in `look` */
    if (wide) most = above > most ? above : most;
    else sign |= large || large_squares ? above | ((uint64_t)span - above) : (uint64_t)span - above;
    if (!fused) sign |= (uint64_t)square_limit - (weir__bits_of(low) & INT64_MAX);
    u0 += weir__bits_of(t);
    v0 += weir__bits_of(s);
    term = fused ? __builtin_fma(t - m0, minus, term) : term - (t - m0);
    high = fused ? __builtin_fma(s - p0, minus, high) : high - (s - p0);
    if (large) rest += term;
    else CUT_LOW(term, m1, m2, u1, u2);
    if (large_squares) square_rest += high;
    else CUT_LOW(high, p1, p2, v1, v2);
    CUT_LOW(low, p1, p2, v1, v2);
  }
  unit[0]        = u0 - (uint64_t)n * weir__bits_of(m0);
  unit[1]        = large ? weir__bits_of(rest + m1) - weir__bits_of(m1) : u1 - (uint64_t)n * weir__bits_of(m1);
  unit[2]        = large ? 0 : u2 - (uint64_t)n * weir__bits_of(m2);
  square_unit[0] = v0 - (uint64_t)n * weir__bits_of(p0);
  square_unit[1] = v1 - (uint64_t)n * (large_squares ? 1 : 2) * weir__bits_of(p1);
  square_unit[2] = v2 - (uint64_t)n * (large_squares ? 1 : 2) * weir__bits_of(p2);
  if (large_squares) square_unit[1] += weir__bits_of(square_rest + p1) - weir__bits_of(p1);
  return all_within(wide, wide ? most : sign, span);
}

/* A few rows of the strip's columns from `first` on at once: what belongs to a column is loaded and stored once for
 * all. */
WEIR__INLINE bool add_rows(int together, int factors, bool fused, bool wide, bool holes, bool large, const double *x,
                           int64_t pitch, int64_t columns, int b, weir__sum_strip *s, int64_t first) {
  const double m0 = weir__sum_magic(b), m1 = weir__sum_magic(b - WEIR__SUM_STEP),
               m2     = weir__sum_magic(b - 2 * WEIR__SUM_STEP);
  const int64_t least = large ? weir__sum_least(b) : 0, span = weir__sum_limit(b) - least;
  uint64_t     *unit0 = s->unit[0] + first, *unit1 = s->unit[1] + first, *unit2 = s->unit[2] + first, seen = 0;
  int64_t      *missing = s->missing + first;
  for (int64_t c = 0; c < columns; c++) {
    uint64_t u0 = unit0[c], u1 = unit1[c], u2 = large ? 0 : unit2[c];
    int64_t  none = holes ? missing[c] : 0;
    for (int r = 0; r < together; r++) {
      double high = x[r * pitch + c];
      if (holes) {
        bool has = high == high;
        high     = or_zero(high, has);
        none += !has;
      }
      if (factors == 2) {
        double a = high, low;
        high     = a * a;
        low      = low_half(a, a, high, fused);
        if (!fused) look(wide, false, low, 0, span, &seen);
        CUT_LOW(low, m1, m2, u1, u2);
      }
      look(wide, large, high, least, span, &seen);
      CUT_TERM(large, high, m0, m1, m2, u0, u1, u2);
    }
    unit0[c] = u0;
    unit1[c] = u1;
    if (!large) unit2[c] = u2;
    if (holes) missing[c] = none;
  }
  return all_within(wide, seen, span);
}

/* `together` rows, some columns at a time, and meanwhile ask for as many of the rows that come after them: machines
 * foresee what comes along a row, not that the next one is on another page. */
WEIR__INLINE bool add_some_rows(int together, int factors, bool fused, bool wide, bool holes, bool large,
                                const double *x, int64_t pitch, int64_t ahead, int64_t columns, int b,
                                weir__sum_strip *s) {
  bool fine = true;
  for (int64_t c = 0, n; c < columns; c += n, x += n) {
    n = columns - c < SOME ? columns - c : SOME;
    for (int64_t r = 0; r < ahead; r++) weir__ask_for(x, (together + r) * pitch, n);
    fine &= add_rows(together, factors, fused, wide, holes, large, x, pitch, n, b, s, c);
  }
  return fine;
}

WEIR__INLINE bool add_columns(int factors, bool fused, bool wide, bool holes, bool large, const double *x,
                              int64_t pitch, int64_t rows, int64_t columns, int b, weir__sum_strip *s) {
  bool    fine = true;
  int64_t r    = 0;
  for (int j = 0; j < WEIR__SUM_POSITIONS; j++) memset(s->unit[j], 0, (size_t)columns * sizeof *s->unit[j]);
  memset(s->missing, 0, (size_t)columns * sizeof *s->missing);
  for (; r + TOGETHER <= rows; r += TOGETHER, x += TOGETHER * pitch) {
    int64_t left = rows - r - TOGETHER;
    fine &= add_some_rows(TOGETHER, factors, fused, wide, holes, large, x, pitch, left < TOGETHER ? left : TOGETHER,
                          columns, b, s);
  }
  for (; r < rows; r++, x += pitch)
    fine &= add_some_rows(1, factors, fused, wide, holes, large, x, pitch, 0, columns, b, s);
  for (int j = 0; j < WEIR__SUM_POSITIONS; j++) {
    int64_t  each  = !j ? 1 : large && j == 2 ? 0 : factors;
    uint64_t magic = (uint64_t)(rows * each) * weir__bits_of(weir__sum_magic(b - j * WEIR__SUM_STEP));
    for (int64_t c = 0; c < columns; c++) s->unit[j][c] -= magic;
  }
  return fine;
}

#define LARGE_TERMS(name, target, fused, wide)                                                                         \
  target static bool large_terms_##name(const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing) {         \
    return missing ? add_terms(1, fused, wide, true, true, NULL, x, n, b, unit, missing)                               \
                   : add_terms(1, fused, wide, false, true, NULL, x, n, b, unit, NULL);                                \
  }
#define WAY(name, target, fused, wide)                                                                                 \
  target static bool terms_##name(const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing) {               \
    return missing ? add_terms(1, fused, wide, true, false, NULL, x, n, b, unit, missing)                              \
                   : add_terms(1, fused, wide, false, false, NULL, x, n, b, unit, NULL);                               \
  }                                                                                                                    \
  target static bool products_##name(const double *w, const double *x, int64_t n, int b, uint64_t *unit,               \
                                     int64_t *missing) {                                                               \
    return missing ? add_terms(2, fused, wide, true, false, w, x, n, b, unit, missing)                                 \
                   : add_terms(2, fused, wide, false, false, w, x, n, b, unit, NULL);                                  \
  }                                                                                                                    \
  target static bool weighted_squares_##name(const double *w, const double *x, int64_t n, int b, uint64_t *unit,       \
                                             int64_t *missing) {                                                       \
    return missing ? add_terms(3, fused, wide, true, false, w, x, n, b, unit, missing)                                 \
                   : add_terms(3, fused, wide, false, false, w, x, n, b, unit, NULL);                                  \
  }                                                                                                                    \
  target static bool moments_##name(const double *x, int64_t n, int b, int square_b, bool large, bool large_squares,   \
                                    uint64_t *unit, uint64_t *square_unit) {                                           \
    return large && large_squares ? add_moments(fused, wide, true, true, x, n, b, square_b, unit, square_unit)         \
           : large                ? add_moments(fused, wide, true, false, x, n, b, square_b, unit, square_unit)        \
           : large_squares        ? add_moments(fused, wide, false, true, x, n, b, square_b, unit, square_unit)        \
                                  : add_moments(fused, wide, false, false, x, n, b, square_b, unit, square_unit);             \
  }                                                                                                                    \
  target static bool columns_##name(const double *x, int64_t pitch, int64_t rows, int64_t columns, int b, bool holes,  \
                                    weir__sum_strip *strip) {                                                          \
    return holes ? add_columns(1, fused, wide, true, false, x, pitch, rows, columns, b, strip)                         \
                 : add_columns(1, fused, wide, false, false, x, pitch, rows, columns, b, strip);                       \
  }                                                                                                                    \
  target static bool large_columns_##name(const double *x, int64_t pitch, int64_t rows, int64_t columns, int b,        \
                                          weir__sum_strip *strip) {                                                    \
    return add_columns(1, fused, wide, false, true, x, pitch, rows, columns, b, strip);                                \
  }                                                                                                                    \
  target static bool column_squares_##name(const double *x, int64_t pitch, int64_t rows, int64_t columns, int b,       \
                                           bool holes, weir__sum_strip *strip) {                                       \
    return holes ? add_columns(2, fused, wide, true, false, x, pitch, rows, columns, b, strip)                         \
                 : add_columns(2, fused, wide, false, false, x, pitch, rows, columns, b, strip);                       \
  }                                                                                                                    \
  static const weir__sum_way way_##name = {                                                                            \
      terms_##name,   large_terms_##name, products_##name,      weighted_squares_##name,                               \
      moments_##name, columns_##name,     large_columns_##name, column_squares_##name};

#ifdef __FP_FAST_FMA
LARGE_TERMS(plain, , true, false)
WAY(plain, , true, false)
#else
LARGE_TERMS(plain, , false, false)
WAY(plain, , false, false)
#endif
#if defined(__x86_64__) && defined(__GNUC__)
LARGE_TERMS(fused, __attribute__((target("avx2,fma"))), true, false)
WAY(fused, __attribute__((target("avx2,fma"))), true, false)
/* Without being told, compilers keep to half of these registers. */
#ifdef __clang__
#define WIDE __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#else
#define WIDE __attribute__((target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#endif

/* Large terms are between powers of two, so the upper halves of 16 numbers, which fit in one register, are looked at
 * together; what the first position leaves is added as in `add_moments`, and in the place of what is missing, and after
 * the end, there is a multiple of 2^b. That takes five sixths of the time of what compilers make of the loop. */
WIDE WEIR__INLINE bool add_large_terms(bool holes, const double *x, int64_t n, int b, uint64_t *unit,
                                       int64_t *missing) {
  enum { EACH = 8, BOTH = 2 * EACH, HIGH_HALVES = 0xdd /* of the first one's numbers, then of the second's */ };
  const uint32_t least = (uint32_t)(weir__sum_least(b) >> 32), limit = (uint32_t)(weir__sum_limit(b) >> 32);
  const double   magic = weir__sum_magic(b), magic1 = weir__sum_magic(b - WEIR__SUM_STEP);
  const __m512d  m0 = _mm512_set1_pd(magic), minus = _mm512_set1_pd(-1);
  const __m512d  pad  = _mm512_castsi512_pd(_mm512_set1_epi64(weir__sum_least(b)));
  const __m512i  size = _mm512_set1_epi32(INT32_MAX), from = _mm512_set1_epi32((int)least);
  __m512i        u = _mm512_setzero_si512(), v = u, seen = u;
  __m512d        r = _mm512_setzero_pd(), s = r;
  int64_t        full = n / BOTH * BOTH, all = (n + BOTH - 1) / BOTH * BOTH, none = 0;
  double         end[BOTH];
  for (int k = 0; k < BOTH; k += EACH) _mm512_storeu_pd(end + k, pad);
  memcpy(end, x + full, (size_t)(n - full) * sizeof *x);
  for (int64_t i = 0; i < all; i += BOTH) {
    const double *at = i < full ? x + i : end;
    __m512d       p = _mm512_loadu_pd(at), q = _mm512_loadu_pd(at + EACH);
    if (holes) {
      unsigned in_p = _mm512_cmp_pd_mask(p, p, _CMP_UNORD_Q), in_q = _mm512_cmp_pd_mask(q, q, _CMP_UNORD_Q);
      p = _mm512_mask_mov_pd(p, (__mmask8)in_p, pad);
      q = _mm512_mask_mov_pd(q, (__mmask8)in_q, pad);
      none += __builtin_popcount(in_p << EACH | in_q);
    }
    __m512 high = _mm512_shuffle_ps(_mm512_castpd_ps(p), _mm512_castpd_ps(q), HIGH_HALVES);
    seen        = _mm512_max_epu32(seen, _mm512_sub_epi32(_mm512_and_si512(_mm512_castps_si512(high), size), from));
    __m512d t = _mm512_add_pd(p, m0), w = _mm512_add_pd(q, m0);
    u = _mm512_add_epi64(u, _mm512_castpd_si512(t));
    v = _mm512_add_epi64(v, _mm512_castpd_si512(w));
    r = _mm512_add_pd(r, _mm512_fmadd_pd(_mm512_sub_pd(t, m0), minus, p));
    s = _mm512_add_pd(s, _mm512_fmadd_pd(_mm512_sub_pd(w, m0), minus, q));
  }
  uint64_t each[EACH], sum = 0;
  _mm512_storeu_si512(each, _mm512_add_epi64(u, v));
  for (int k = 0; k < EACH; k++) sum += each[k];
  unit[0] = sum - (uint64_t)all * weir__bits_of(magic) - ((uint64_t)(all - n + none) << WEIR__SUM_LARGE);
  unit[1] = weir__bits_of(_mm512_reduce_add_pd(_mm512_add_pd(r, s)) + magic1) - weir__bits_of(magic1);
  unit[2] = 0;
  if (holes) *missing = none;
  return _mm512_reduce_max_epu32(seen) <= limit - least;
}
WIDE static bool large_terms_wide(const double *x, int64_t n, int b, uint64_t *unit, int64_t *missing) {
  return missing ? add_large_terms(true, x, n, b, unit, missing) : add_large_terms(false, x, n, b, unit, NULL);
}
WAY(wide, WIDE, true, true)

int weir__sum_ways(void) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
  return __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") ? 3 : 2;
}

const weir__sum_way *weir__sum_way_at(int index) {
  return index == 0 ? &way_plain : index == 1 ? &way_fused : &way_wide;
}
#else
int                  weir__sum_ways(void) { return 1; }
const weir__sum_way *weir__sum_way_at(int index) {
  (void)index;
  return &way_plain;
}
#endif
