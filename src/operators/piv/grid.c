/* Where the windows of a pass lie. */
#include "operators/piv/piv.h"

weir_status weir__piv_grid_make(const int64_t image[2], const int64_t window[2], const int64_t step[2],
                                weir__piv_grid *grid) {
  static const char *const axis[2] = {"y", "x"};
  weir__piv_grid           made;
  for (int k = 0; k < 2; k++) {
    if (window[k] < 1 || step[k] < 1)
      return WEIR_FAIL(WEIR_ERR_INPUT, "windows of %lld pixels in steps of %lld along %s: both must be at least 1",
                       (long long)window[k], (long long)step[k], axis[k]);
    if (window[k] > image[k])
      return WEIR_FAIL(WEIR_ERR_INPUT, "a window of %lld pixels along %s is larger than the image, which has %lld",
                       (long long)window[k], axis[k], (long long)image[k]);
    made.count[k]  = (image[k] - window[k]) / step[k] + 1;
    made.window[k] = window[k];
    made.step[k]   = step[k];
    made.first[k]  = (image[k] - window[k]) % step[k] / 2;
  }
  *grid = made;
  return WEIR_OK;
}
