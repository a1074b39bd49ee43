#include "operators/piv/spline.h"
#include "core/simd.h"
#include <string.h>

enum {
  FACTORS = 16, /* from here on they do not change any more in float32 */
  QUAD    = 4,  /* lanes of a vector that any machine has */
  LANES   = WEIR__SPLINE_LANES,
  PANEL   = 64, /* columns: the row above is at hand still when the next needs it */
  PIECE   = 64  /* columns that are transposed before the recursion takes them: LANES rows fit L1 */
};

/* Of c_(k-1) + d c_k + c_(k+1) = (d + 2) s_k. A sweep is c_k = gain_k s_k - factor_k c_(k -+ 1), with m_k = 1 / (d -
 * m_(k-1)) from Gauss elimination as factor and (d + 2) m_k as gain on the way up, 1 as gain on the way down. The ends
 * keep their samples: the natural spline. */
typedef struct sweeps {
  float   factor[FACTORS], sum; /* of a row of the system */
  int64_t last;
} sweeps;

static sweeps make_sweeps(int64_t count, double diagonal) {
  sweeps s = {.last = count - 1, .sum = (float)(diagonal + 2)};
  double m = 0;
  for (int k = 1; k < FACTORS; k++) {
    m           = 1 / (diagonal - m);
    s.factor[k] = (float)m;
  }
  return s;
}

enum { CUBIC = 1, QUINTIC = 2 }; /* systems, one after the other */

static void make_quintic(int64_t count, sweeps s[QUINTIC]) {
  const double root = 10.246950765959598; /* of 105 */
  s[0]              = make_sweeps(count, 13 + root);
  s[1]              = make_sweeps(count, 13 - root);
}

WEIR__INLINE float factor_at(const sweeps *s, int64_t k) {
  return k >= s->last ? 0 : s->factor[k < FACTORS ? k : FACTORS - 1];
}

WEIR__INLINE float gain_at(const sweeps *s, int64_t k) { return k > 0 && k < s->last ? s->sum * factor_at(s, k) : 1; }

/* ---- along columns ---- */

WEIR__INLINE void some_columns(float *block, int64_t rows, int64_t columns, int64_t stride, const sweeps *s) {
  for (int64_t k = 1; k < rows - 1; k++) {
    float *restrict at          = block + k * stride;
    const float *restrict above = at - stride;
    float m = factor_at(s, k), g = gain_at(s, k);
    for (int64_t x = 0; x < columns; x++) at[x] = g * at[x] - m * above[x];
  }
  for (int64_t k = rows - 2; k > 0; k--) {
    float *restrict at          = block + k * stride;
    const float *restrict below = at + stride;
    float m                     = factor_at(s, k);
    for (int64_t x = 0; x < columns; x++) at[x] -= m * below[x];
  }
}

WEIR__WIDE void weir__spline_columns(float *block, int64_t rows, int64_t columns, int64_t stride) {
  sweeps s = make_sweeps(rows, 4);
  for (int64_t x = 0; x < columns; x += PANEL)
    some_columns(block + x, rows, columns - x < PANEL ? columns - x : PANEL, stride, &s);
}

WEIR__WIDE void weir__spline_quintic_columns(float *block, int64_t rows, int64_t columns, int64_t stride) {
  sweeps s[QUINTIC];
  make_quintic(rows, s);
  for (int64_t x = 0; x < columns; x += PANEL)
    for (int k = 0; k < QUINTIC; k++)
      some_columns(block + x, rows, columns - x < PANEL ? columns - x : PANEL, stride, &s[k]);
}

/* ---- along rows: LANES of them side by side, transposed ---- */

typedef float   quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t order __attribute__((vector_size(16)));

/* Four elements of four rows. */
WEIR__INLINE void transpose(const float *const from[4], float *const to[4]) {
  const order low = {0, 4, 1, 5}, high = {2, 6, 3, 7};
  quad        a[4], b[4];
  for (int i = 0; i < 4; i++) a[i] = *(const quad *)from[i];
  b[0] = __builtin_shuffle(a[0], a[2], low), b[1] = __builtin_shuffle(a[0], a[2], high);
  b[2] = __builtin_shuffle(a[1], a[3], low), b[3] = __builtin_shuffle(a[1], a[3], high);
  a[0] = __builtin_shuffle(b[0], b[2], low), a[1] = __builtin_shuffle(b[0], b[2], high);
  a[2] = __builtin_shuffle(b[1], b[3], low), a[3] = __builtin_shuffle(b[1], b[3], high);
  for (int i = 0; i < 4; i++) *(quad *)to[i] = a[i];
}

/* Columns x .. end - 1 of the rows into across[x][LANES]. */
WEIR__INLINE void bring(const float *const row[LANES], int64_t x, int64_t end, float *across) {
  for (; x + 4 <= end; x += 4)
    for (int r = 0; r < LANES; r += 4) {
      const float *from[4];
      float       *to[4];
      for (int i = 0; i < 4; i++) from[i] = row[r + i] + x, to[i] = across + (x + i) * LANES + r;
      transpose(from, to);
    }
  for (; x < end; x++)
    for (int r = 0; r < LANES; r++) across[x * LANES + r] = row[r][x];
}

WEIR__INLINE void take_back(const float *across, int64_t x, int64_t end, float *const row[LANES]) {
  for (; x + 4 <= end; x += 4)
    for (int r = 0; r < LANES; r += 4) {
      const float *from[4];
      float       *to[4];
      for (int i = 0; i < 4; i++) from[i] = across + (x + i) * LANES + r, to[i] = row[r + i] + x;
      transpose(from, to);
    }
  for (; x < end; x++)
    for (int r = 0; r < LANES; r++) row[r][x] = across[x * LANES + r];
}

WEIR__INLINE void rows_together(const float *const from[LANES], float *const to[LANES], float *across, const sweeps *s,
                                int systems) {
  quad    v[LANES / QUAD] = {{0}};
  int64_t columns         = s->last + 1;
  for (int n = 0; n < systems; n++, s++) {
    for (int64_t x = 0; x < columns; x += PIECE) {
      int64_t end = x + PIECE < columns ? x + PIECE : columns;
      if (!n) bring(from, x, end, across);
      for (int64_t k = x; k < end; k++) {
        float *at = across + k * LANES, m = k ? factor_at(s, k) : 0, g = gain_at(s, k);
        for (int i = 0; i < LANES / QUAD; i++) {
          v[i]                     = g * *(quad *)(at + i * QUAD) - m * v[i];
          *(quad *)(at + i * QUAD) = v[i];
        }
      }
    }
    for (int64_t x = (columns - 1) / PIECE * PIECE; x >= 0; x -= PIECE) {
      int64_t end = x + PIECE < columns ? x + PIECE : columns;
      for (int64_t k = end - 1; k >= x; k--) {
        float *at = across + k * LANES, m = k ? factor_at(s, k) : 0;
        for (int i = 0; i < LANES / QUAD; i++) {
          v[i]                     = *(quad *)(at + i * QUAD) - m * v[i];
          *(quad *)(at + i * QUAD) = v[i];
        }
      }
      if (n == systems - 1) take_back(across, x, end, to);
    }
  }
}

WEIR__INLINE void all_rows(weir__spline_samples samples, float *block, int64_t rows, int64_t stride, float *across,
                           const sweeps *s, int systems) {
  for (int64_t row = 0; row < rows; row += LANES) {
    const float *from[LANES];
    float       *to[LANES];
    for (int r = 0; r < LANES; r++) { /* the last row as often as there are lanes left */
      int64_t y = row + r < rows ? row + r : rows - 1;
      from[r]   = samples.at + y * samples.stride;
      to[r]     = block + y * stride;
    }
    rows_together(from, to, across, s, systems);
  }
}

size_t weir__spline_rows_scratch(int64_t columns) { return (size_t)columns * LANES * sizeof(float); }

WEIR__WIDE void weir__spline_rows(weir__spline_samples samples, float *block, int64_t rows, int64_t columns,
                                  int64_t stride, void *scratch) {
  sweeps s = make_sweeps(columns, 4);
  all_rows(samples, block, rows, stride, scratch, &s, CUBIC);
}

WEIR__WIDE void weir__spline_quintic_rows(weir__spline_samples samples, float *block, int64_t rows, int64_t columns,
                                          int64_t stride, void *scratch) {
  sweeps s[QUINTIC];
  make_quintic(columns, s);
  all_rows(samples, block, rows, stride, scratch, s, QUINTIC);
}

/* ---- beyond the ends ---- */

/* The second coefficient behind the end has a weight of 0 (nothing is evaluated beyond the end): it must be finite. */
void weir__spline_extend_columns(float *block, int64_t rows, int64_t columns, int64_t stride) {
  float *first = block, *last = block + (rows - 1) * stride;
  for (int64_t x = 0; x < columns; x++) {
    first[x - stride] = rows > 1 ? 2 * first[x] - first[x + stride] : first[x];
    last[x + stride]  = rows > 1 ? 2 * last[x] - last[x - stride] : last[x];
  }
  memcpy(last + 2 * stride, last + stride, (size_t)columns * sizeof *last);
}

void weir__spline_extend_rows(float *block, int64_t rows, int64_t columns, int64_t stride) {
  for (int64_t y = 0; y < rows; y++) {
    float *first = block + y * stride, *last = first + columns - 1;
    first[-1] = columns > 1 ? 2 * first[0] - first[1] : first[0];
    last[1]   = columns > 1 ? 2 * last[0] - last[-1] : last[0];
    last[2]   = last[1];
  }
}

/* Of `count` coefficients, `step` apart, those beyond both ends: c_-k = 2 c_0 - c_k. Where there are too few, mirror
 * after mirror makes a straight line. The third behind the end weighs nothing, as above. */
static void mirror(float *c, int64_t count, int64_t step) {
  float *last = c + (count - 1) * step, slope = count > 1 ? c[step] - c[0] : 0;
  for (int k = 1; k < WEIR__SPLINE_QUINTIC_AFTER; k++) {
    c[-k * step]   = count > k ? 2 * c[0] - c[k * step] : c[0] - (float)k * slope;
    last[k * step] = count > k ? 2 * last[0] - last[-k * step] : last[0] + (float)k * slope;
  }
  last[WEIR__SPLINE_QUINTIC_AFTER * step] = last[0];
}

void weir__spline_quintic_extend_columns(float *block, int64_t rows, int64_t columns, int64_t stride) {
  for (int64_t x = 0; x < columns; x++) mirror(block + x, rows, stride);
}

void weir__spline_quintic_extend_rows(float *block, int64_t rows, int64_t columns, int64_t stride) {
  for (int64_t y = 0; y < rows; y++) mirror(block + y * stride, columns, 1);
}
