/* The inner loops of correlation by Fourier transforms, with four lanes and with eight, to the same bits. Shuffles of
 * eight lanes are made of single values where there is no AVX2, hence the two kinds. */
#ifndef WEIR_OPERATORS_PIV_CORRELATE_LANES_H
#define WEIR_OPERATORS_PIV_CORRELATE_LANES_H
#include "operators/piv/correlate_parts.h"

/* Sums along a line: of f, of its squares, of g, of its squares. */
typedef struct weir__piv_line {
  float f, ff, g, gg;
} weir__piv_line;

struct weir__piv_lanes {
  /* `count` lines of n pixels, `columns` apart in the images, into complex values f + i g, `pitch` apart. */
  void (*crop)(const float *a, const float *b, int64_t columns, int64_t count, int64_t n, int64_t pitch, float *to,
               weir__piv_line *line);
  /* Rows ky and -ky of the planes' transform, from those of both windows into the place of the first window's; to_up
   * and to_down do not overlap what is read later. */
  void (*two_rows)(int64_t n, const float *const up[2], const float *const down[2], const float scale[2], float *to_up,
                   float *to_down);
  /* Columns -search .. search of rows -search .. search of the inverse transform q, of both planes. From left to right
   * and from row to row: what is written beyond is overwritten. */
  void (*separate)(const int64_t size[2], const int64_t search[2], int64_t stride, const float *q, float *first,
                   float *second);
};

extern const struct weir__piv_lanes         weir__piv_lanes_4;
const struct weir__piv_lanes               *weir__piv_lanes_8(void); /* NULL where the machine has no such registers */
static inline const struct weir__piv_lanes *weir__piv_lanes_widest(void) {
  const struct weir__piv_lanes *eight = weir__piv_lanes_8();
  return eight ? eight : &weir__piv_lanes_4;
}

/* ---- pixels and columns one by one, for both ---- */

static inline __attribute__((always_inline)) void weir__piv_crop1(const float *a, const float *b, int64_t from,
                                                                  int64_t n, float *to, weir__piv_line *line) {
  for (int64_t x = from; x < n; x++) {
    line->f += a[x], line->ff += a[x] * a[x];
    line->g += b[x], line->gg += b[x] * b[x];
    to[2 * x] = a[x], to[2 * x + 1] = b[x];
  }
}

static inline __attribute__((always_inline)) void weir__piv_product1(const float *up, const float *down, float scale,
                                                                     float p[2]) {
  p[0] = (up[0] * down[1] + up[1] * down[0]) * (2 * scale);
  p[1] = ((down[0] * down[0] + down[1] * down[1]) - (up[0] * up[0] + up[1] * up[1])) * scale;
}

/* Columns k and n - k of two rows: Q = P + i P' of both windows, with P(-k) = P*(k). */
static inline __attribute__((always_inline)) void weir__piv_one_column(const float *const up[2],
                                                                       const float *const down[2], const float scale[2],
                                                                       int64_t k, int64_t back, float *to_up,
                                                                       float *to_down) {
  float p[2], q[2];
  weir__piv_product1(up[0] + 2 * k, down[0] + 2 * back, scale[0], p);
  weir__piv_product1(up[1] + 2 * k, down[1] + 2 * back, scale[1], q);
  to_up[2 * k]          = p[0] - q[1];
  to_up[2 * k + 1]      = p[1] + q[0];
  to_down[2 * back]     = p[0] + q[1];
  to_down[2 * back + 1] = q[0] - p[1];
}
#endif
