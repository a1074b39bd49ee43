#include "operators/piv/spline.h"
#include <string.h>

enum {
  FACTORS = 16, /* from here on they do not change any more in float32 */
  LANES   = 8   /* rows that go through the recursion together: it would wait for itself otherwise */
};

/* m_k = 1 / (4 - m_(k-1)), from Gauss elimination; m_0 = 0, for the end of a natural spline has c_0 = s_0. */
static void make_factors(float factor[FACTORS]) {
  double m  = 0;
  factor[0] = 0;
  for (int k = 1; k < FACTORS; k++) {
    m         = 1 / (4 - m);
    factor[k] = (float)m;
  }
}

static inline float factor_at(const float factor[FACTORS], int64_t k) { return factor[k < FACTORS ? k : FACTORS - 1]; }

void weir__spline_columns(float *block, int64_t rows, int64_t columns, int64_t stride) {
  float factor[FACTORS];
  make_factors(factor);
  for (int64_t k = 1; k < rows - 1; k++) {
    float *restrict at          = block + k * stride;
    const float *restrict above = at - stride;
    float m                     = factor_at(factor, k);
    for (int64_t x = 0; x < columns; x++) at[x] = (6 * at[x] - above[x]) * m;
  }
  for (int64_t k = rows - 2; k > 0; k--) {
    float *restrict at          = block + k * stride;
    const float *restrict below = at + stride;
    float m                     = factor_at(factor, k);
    for (int64_t x = 0; x < columns; x++) at[x] -= m * below[x];
  }
}

static void one_row(float *row, int64_t columns, const float factor[FACTORS]) {
  for (int64_t k = 1; k < columns - 1; k++) row[k] = (6 * row[k] - row[k - 1]) * factor_at(factor, k);
  for (int64_t k = columns - 2; k > 0; k--) row[k] -= factor_at(factor, k) * row[k + 1];
}

/* The same numbers as one_row gives for each of them. */
static void rows_together(float *block, int64_t columns, int64_t stride, const float factor[FACTORS]) {
  float last[LANES];
  for (int r = 0; r < LANES; r++) last[r] = block[r * stride];
  for (int64_t k = 1; k < columns - 1; k++) {
    float  m  = factor_at(factor, k);
    float *at = block + k;
    for (int r = 0; r < LANES; r++) last[r] = at[r * stride] = (6 * at[r * stride] - last[r]) * m;
  }
  for (int r = 0; r < LANES; r++) last[r] = block[r * stride + columns - 1];
  for (int64_t k = columns - 2; k > 0; k--) {
    float  m  = factor_at(factor, k);
    float *at = block + k;
    for (int r = 0; r < LANES; r++) last[r] = at[r * stride] = at[r * stride] - m * last[r];
  }
}

void weir__spline_rows(float *block, int64_t rows, int64_t columns, int64_t stride) {
  float   factor[FACTORS];
  int64_t row = 0;
  make_factors(factor);
  for (; row + LANES <= rows; row += LANES) rows_together(block + row * stride, columns, stride, factor);
  for (; row < rows; row++) one_row(block + row * stride, columns, factor);
}

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
