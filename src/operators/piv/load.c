/* Pixels of images of any type as float32, one by one or in bins of 2 x 2. */
#include "core/simd.h"
#include "operators/piv/piv.h"
#include <math.h>

static void load_numbers(const weir_view *image, int64_t y, float odd, float *out) {
  int64_t n = image->count[1], at[2] = {y, 0};
  double  buffer[256];
  for (; at[1] < n; at[1] += 256) {
    int64_t       some = n - at[1] < 256 ? n - at[1] : 256;
    const double *x    = weir_view_load(image, at, some, buffer);
    for (int64_t i = 0; i < some; i++) out[at[1] + i] = isfinite(x[i]) ? (float)x[i] : odd;
  }
}

WEIR__WIDE static void load_bytes(const uint8_t *restrict in, int64_t n, float *restrict out) {
  for (int64_t x = 0; x < n; x++) out[x] = in[x];
}

WEIR__WIDE static void load_words(const uint16_t *restrict in, int64_t n, float *restrict out) {
  for (int64_t x = 0; x < n; x++) out[x] = in[x];
}

/* What cameras give takes no way round over double. */
void weir__piv_load_row(const weir_view *image, int64_t y, float odd, float *out) {
  const void *row  = (const char *)image->data + y * image->stride[0];
  bool        fill = image->has_fill;
  if (image->dtype == WEIR_U8 && image->stride[1] == 1 && !fill) load_bytes(row, image->count[1], out);
  else if (image->dtype == WEIR_U16 && image->stride[1] == 2 && !fill) load_words(row, image->count[1], out);
  else load_numbers(image, y, odd, out);
}

WEIR__WIDE static void add_pairs(const float *restrict up, const float *restrict down, int64_t n, float *restrict out) {
  for (int64_t x = 0; x < n; x++) out[x] = (up[2 * x] + up[2 * x + 1]) + (down[2 * x] + down[2 * x + 1]);
}

void weir__piv_load_binned(const weir_view *image, const int64_t first[2], int64_t y, float odd, float *out,
                           float *pair) {
  float *up = pair, *down = pair + image->count[1];
  weir__piv_load_row(image, first[0] + 2 * y, odd, up);
  weir__piv_load_row(image, first[0] + 2 * y + 1, odd, down);
  add_pairs(up + first[1], down + first[1], (image->count[1] - first[1]) / 2, out);
}
