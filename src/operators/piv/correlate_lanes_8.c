/* Eight lanes, for machines with AVX2. */
#include "core/simd.h"
#include "operators/piv/correlate_lanes.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE __attribute__((target("avx2")))

/* Registers are shuffled within their halves where that will do: f and g are at 0 .. 3, 8 .. 11 and 4 .. 7, 12 .. 15.
 */
#define interleave8(z, f, g)                                                                                           \
  do {                                                                                                                 \
    weir__float8 low_  = __builtin_shufflevector(f, g, 0, 8, 1, 9, 4, 12, 5, 13);                                      \
    weir__float8 high_ = __builtin_shufflevector(f, g, 2, 10, 3, 11, 6, 14, 7, 15);                                    \
    weir__store8(z, __builtin_shufflevector(low_, high_, 0, 1, 2, 3, 8, 9, 10, 11));                                   \
    weir__store8((z) + 8, __builtin_shufflevector(low_, high_, 4, 5, 6, 7, 12, 13, 14, 15));                           \
  } while (0)

/* The sums of four registers, each ((0 + 2) + (1 + 3)) + ((4 + 6) + (5 + 7)) as of two halves of four lanes. */
WIDE static inline void sum_lines(const weir__float8 *v, weir__piv_line *line) {
  weir__float8 f = __builtin_shufflevector(v[0], v[1], 0, 8, 1, 9, 4, 12, 5, 13) +
                   __builtin_shufflevector(v[0], v[1], 2, 10, 3, 11, 6, 14, 7, 15);
  weir__float8 g = __builtin_shufflevector(v[2], v[3], 0, 8, 1, 9, 4, 12, 5, 13) +
                   __builtin_shufflevector(v[2], v[3], 2, 10, 3, 11, 6, 14, 7, 15);
  weir__float8 halves = __builtin_shufflevector(f, g, 0, 1, 8, 9, 4, 5, 12, 13) +
                        __builtin_shufflevector(f, g, 2, 3, 10, 11, 6, 7, 14, 15);
  weir__float4 sums =
      __builtin_shufflevector(halves, halves, 0, 1, 2, 3) + __builtin_shufflevector(halves, halves, 4, 5, 6, 7);
  memcpy(line, &sums, sizeof *line);
}

WIDE static void crop(const float *a, const float *b, int64_t columns, int64_t count, int64_t n, int64_t pitch,
                      float *to, weir__piv_line *line) {
  int64_t whole = n / 8 * 8;
  for (int64_t y = 0; y < count; y++, a += columns, b += columns, to += 2 * pitch) {
    weir__float8 sum[4] = {{0}};
    for (int64_t x = 0; x < whole; x += 8) {
      weir__float8 f = weir__load8(a + x), g = weir__load8(b + x);
      sum[0] += f, sum[1] += f * f;
      sum[2] += g, sum[3] += g * g;
      interleave8(to + 2 * x, f, g);
    }
    sum_lines(sum, &line[y]);
    weir__piv_crop1(a, b, whole, n, to, &line[y]);
  }
}

/* Real and imaginary parts of eight values as they stand in two registers, in the order 0 1 4 5 2 3 6 7, from which
 * UNPACK_LOW and _HIGH make the first and the last four. */
#define EVEN(u, v)          __builtin_shufflevector(u, v, 0, 2, 8, 10, 4, 6, 12, 14)
#define ODD(u, v)           __builtin_shufflevector(u, v, 1, 3, 9, 11, 5, 7, 13, 15)
#define UNPACK_LOW(re, im)  __builtin_shufflevector(re, im, 0, 8, 1, 9, 4, 12, 5, 13)
#define UNPACK_HIGH(re, im) __builtin_shufflevector(re, im, 2, 10, 3, 11, 6, 14, 7, 15)
/* Four complex values from the last to the first. */
#define BACKWARDS(u) __builtin_shufflevector(u, u, 6, 7, 4, 5, 2, 3, 0, 1)

typedef struct both { /* 4 P(k) of one window, real and imaginary part */
  weir__float8 re, im;
} both;

/* u: Z(k) and the seven that follow; down: those before Z(-k), Z(-k) last. */
WIDE static inline void product8(const weir__float8 u[2], const float *down, float scale, both *p) {
  weir__float8 d0 = weir__load8(down), d1 = weir__load8(down + 8);
  d0 = BACKWARDS(d0), d1 = BACKWARDS(d1);
  weir__float8 r1 = EVEN(u[0], u[1]), i1 = ODD(u[0], u[1]), r2 = EVEN(d1, d0), i2 = ODD(d1, d0);
  p->re = (r1 * i2 + i1 * r2) * (2 * scale);
  p->im = ((r2 * r2 + i2 * i2) - (r1 * r1 + i1 * i1)) * scale;
}

/* Q(k) = P + i P' of both windows for eight k into to_up[], and with P(-k) = P*(k) Q(-k) to where the first is. */
WIDE static inline void eight_columns(const weir__float8 u[2][2], const float *const down[2], int64_t back,
                                      const float scale[2], weir__float8 up[2], float *to_down) {
  both p, q;
  product8(u[0], down[0] + back, scale[0], &p);
  product8(u[1], down[1] + back, scale[1], &q);
  weir__float8 re = p.re - q.im, im = p.im + q.re;
  up[0] = UNPACK_LOW(re, im), up[1] = UNPACK_HIGH(re, im);
  re = p.re + q.im, im = q.re - p.im;
  weir__float8 first = UNPACK_LOW(re, im), last = UNPACK_HIGH(re, im);
  weir__store8(to_down + back, BACKWARDS(last));
  weir__store8(to_down + back + 8, BACKWARDS(first));
}

/* The last seven columns and the first, which is the one after the last. */
WIDE static inline void round_the_end(int64_t n, const float *const up[2], const float *const down[2],
                                      const float scale[2], float *to_up, float *to_down) {
  weir__float8 u[2][2], v[2];
  for (int i = 0; i < 2; i++) {
    weir__float8 end = weir__load8(up[i] + 2 * n - 8), begin = weir__load8(up[i]);
    u[i][0] = weir__load8(up[i] + 2 * n - 14);
    u[i][1] = __builtin_shufflevector(end, begin, 2, 3, 4, 5, 6, 7, 8, 9);
  }
  eight_columns(u, down, 0, scale, v, to_down);
  weir__store8(to_up + 2 * n - 14, v[0]);
  memcpy(to_up + 2 * n - 6, &v[1], 6 * sizeof *to_up);
  to_up[0] = v[1][6], to_up[1] = v[1][7];
}

WIDE static void two_rows(int64_t n, const float *const up[2], const float *const down[2], const float scale[2],
                          float *to_up, float *to_down) {
  int64_t k = 1;
  for (; k + 8 <= n; k += 8) {
    weir__float8 u[2][2], v[2];
    for (int i = 0; i < 2; i++) u[i][0] = weir__load8(up[i] + 2 * k), u[i][1] = weir__load8(up[i] + 2 * k + 8);
    eight_columns(u, down, 2 * (n - k - 7), scale, v, to_down);
    weir__store8(to_up + 2 * k, v[0]);
    weir__store8(to_up + 2 * k + 8, v[1]);
  }
  if (n - k == 7) {
    round_the_end(n, up, down, scale, to_up, to_down);
    return;
  }
  weir__piv_one_column(up, down, scale, 0, 0, to_up, to_down);
  for (; k < n; k++) weir__piv_one_column(up, down, scale, k, n - k, to_up, to_down);
}

/* Real and imaginary parts, eight at a time: up to seven beyond n are read and written, too. */
WIDE static inline void separate8(int64_t n, const float *q, float *first, float *second) {
  for (int64_t i = 0; i < n; i += 8) {
    weir__float8 u = weir__load8(q + 2 * i), v = weir__load8(q + 2 * i + 8);
    weir__float8 low  = __builtin_shufflevector(u, v, 0, 1, 2, 3, 8, 9, 10, 11);
    weir__float8 high = __builtin_shufflevector(u, v, 4, 5, 6, 7, 12, 13, 14, 15);
    weir__store8(first + i, EVEN(low, high));
    weir__store8(second + i, ODD(low, high));
  }
}

WIDE static void separate(const int64_t size[2], const int64_t search[2], int64_t stride, const float *q, float *first,
                          float *second) {
  for (int64_t i = 0; i <= 2 * search[0]; i++, first += stride, second += stride) {
    int64_t      y   = i < search[0] ? size[0] - search[0] + i : i - search[0];
    const float *row = q + 2 * y * size[1];
    separate8(search[1], row + 2 * (size[1] - search[1]), first, second);
    separate8(search[1] + 1, row, first + search[1], second + search[1]);
  }
}

const struct weir__piv_lanes *weir__piv_lanes_8(void) {
  static const struct weir__piv_lanes eight = {crop, two_rows, separate};
  return __builtin_cpu_supports("avx2") ? &eight : NULL;
}
#else
const struct weir__piv_lanes *weir__piv_lanes_8(void) { return NULL; }
#endif
