/* Four lanes, which every machine that matters has. */
#include "operators/piv/correlate_lanes.h"

static inline void interleave4(float *z, weir__float4 f, weir__float4 g) {
  weir__store4(z, __builtin_shuffle(f, g, (weir__int4){0, 4, 1, 5}));
  weir__store4(z + 4, __builtin_shuffle(f, g, (weir__int4){2, 6, 3, 7}));
}

static void crop(const float *a, const float *b, int64_t columns, const int64_t n[2], float level_f, float level_g,
                 float *to, weir__piv_sums *total) {
  weir__float4 sum_f[2] = {{0}}, sum_g[2] = {{0}}, square_f[2] = {{0}}, square_g[2] = {{0}};
  double       rest[4] = {0};
  int64_t      whole   = n[1] / 8 * 8;
  for (int64_t y = 0; y < n[0]; y++, a += columns, b += columns) {
    for (int64_t x = 0; x < whole; x += 8, to += 16)
      for (int k = 0; k < 2; k++) { /* two at once: additions take their time */
        weir__float4 f = weir__load4(a + x + 4 * k) - level_f, g = weir__load4(b + x + 4 * k) - level_g;
        sum_f[k] += f, square_f[k] += f * f;
        sum_g[k] += g, square_g[k] += g * g;
        interleave4(to + 8 * k, f, g);
      }
    for (int64_t x = whole; x < n[1]; x++, to += 2) {
      float f = a[x] - level_f, g = b[x] - level_g;
      rest[0] += (double)f, rest[1] += (double)(f * f);
      rest[2] += (double)g, rest[3] += (double)(g * g);
      to[0] = f, to[1] = g;
    }
  }
  *total = (weir__piv_sums){
      (double)weir__sum4(sum_f[0] + sum_f[1]) + rest[0], (double)weir__sum4(square_f[0] + square_f[1]) + rest[1],
      (double)weir__sum4(sum_g[0] + sum_g[1]) + rest[2], (double)weir__sum4(square_g[0] + square_g[1]) + rest[3]};
}

typedef struct both { /* 4 P(k) of one window, real and imaginary part */
  weir__float4 re, im;
} both;

/* up: Z(k) and the three that follow; down: those before Z(-k), Z(-k) last. */
static inline both product4(const float *up, const float *down, float scale) {
  const weir__int4 even = {0, 2, 4, 6}, odd = {1, 3, 5, 7}, even_back = {6, 4, 2, 0}, odd_back = {7, 5, 3, 1};
  weir__float4     u0 = weir__load4(up), u1 = weir__load4(up + 4), d0 = weir__load4(down), d1 = weir__load4(down + 4);
  weir__float4     r1 = __builtin_shuffle(u0, u1, even), i1 = __builtin_shuffle(u0, u1, odd);
  weir__float4     r2 = __builtin_shuffle(d0, d1, even_back), i2 = __builtin_shuffle(d0, d1, odd_back);
  both             p = {(r1 * i2 + i1 * r2) * (2 * scale), ((r2 * r2 + i2 * i2) - (r1 * r1 + i1 * i1)) * scale};
  return p;
}

static void two_rows(int64_t n, const float *const up[2], const float *const down[2], const float scale[2],
                     float *to_up, float *to_down) {
  int64_t k = 1;
  weir__piv_one_column(up, down, scale, 0, 0, to_up, to_down);
  for (; k + 4 <= n; k += 4) {
    int64_t      back = 2 * (n - k - 3);
    both         p    = product4(up[0] + 2 * k, down[0] + back, scale[0]);
    both         q    = product4(up[1] + 2 * k, down[1] + back, scale[1]);
    weir__float4 re = p.re + q.im, im = q.re - p.im;
    interleave4(to_up + 2 * k, p.re - q.im, p.im + q.re);
    weir__store4(to_down + back, __builtin_shuffle(re, im, (weir__int4){3, 7, 2, 6}));
    weir__store4(to_down + back + 4, __builtin_shuffle(re, im, (weir__int4){1, 5, 0, 4}));
  }
  for (; k < n; k++) weir__piv_one_column(up, down, scale, k, n - k, to_up, to_down);
}

/* Real and imaginary parts, four at a time: up to three beyond n are read and written, too. */
static void separate4(int64_t n, const float *q, float *first, float *second) {
  for (int64_t i = 0; i < n; i += 4) {
    weir__float4 low = weir__load4(q + 2 * i), high = weir__load4(q + 2 * i + 4);
    weir__store4(first + i, __builtin_shuffle(low, high, (weir__int4){0, 2, 4, 6}));
    weir__store4(second + i, __builtin_shuffle(low, high, (weir__int4){1, 3, 5, 7}));
  }
}

static void separate(const int64_t size[2], const int64_t search[2], int64_t stride, const float *q, float *first,
                     float *second) {
  for (int64_t i = 0; i <= 2 * search[0]; i++, first += stride, second += stride) {
    int64_t      y   = i < search[0] ? size[0] - search[0] + i : i - search[0];
    const float *row = q + 2 * y * size[1];
    separate4(search[1], row + 2 * (size[1] - search[1]), first, second);
    separate4(search[1] + 1, row, first + search[1], second + search[1]);
  }
}

const struct weir__piv_lanes weir__piv_lanes_4 = {crop, two_rows, separate};
