/* Four lanes, which every machine that matters has. */
#include "operators/piv/correlate_lanes.h"

static inline void interleave4(float *z, weir__float4 f, weir__float4 g) {
  weir__store4(z, __builtin_shuffle(f, g, (weir__int4){0, 4, 1, 5}));
  weir__store4(z + 4, __builtin_shuffle(f, g, (weir__int4){2, 6, 3, 7}));
}

static void crop(const float *a, const float *b, int64_t columns, int64_t count, int64_t n, int64_t pitch, float *to,
                 weir__piv_line *line) {
  int64_t whole = n / 8 * 8;
  for (int64_t y = 0; y < count; y++, a += columns, b += columns, to += 2 * pitch) {
    weir__float4 f[2] = {{0}}, ff[2] = {{0}}, g[2] = {{0}}, gg[2] = {{0}};
    for (int64_t x = 0; x < whole; x += 8)
      for (int k = 0; k < 2; k++) { /* two at once: additions take their time */
        weir__float4 u = weir__load4(a + x + 4 * k), v = weir__load4(b + x + 4 * k);
        f[k] += u, ff[k] += u * u;
        g[k] += v, gg[k] += v * v;
        interleave4(to + 2 * x + 8 * k, u, v);
      }
    line[y] = (weir__piv_line){weir__sum4(f[0]) + weir__sum4(f[1]), weir__sum4(ff[0]) + weir__sum4(ff[1]),
                               weir__sum4(g[0]) + weir__sum4(g[1]), weir__sum4(gg[0]) + weir__sum4(gg[1])};
    weir__piv_crop1(a, b, whole, n, to, &line[y]);
  }
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
