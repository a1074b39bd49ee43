/* Where the windows of a pass lie, and what the images must be. */
#include "operators/common/common.h"
#include "operators/piv/operators.h"
#include <math.h>

int64_t weir__piv_grid_step(int64_t window, double overlap) {
  int64_t step = llround((double)window * (1 - overlap));
  return step < 1 ? 1 : step;
}

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

weir_status weir__piv_check_images(const char *operator_name, const weir_field_type *a, const weir_field_type *b,
                                   const weir_field_type *mask) {
  const weir_field_type *other[2] = {b, mask};
  if (a->rank != 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the first field has %d dimensions, expected an image [y, x]", operator_name,
                     a->rank);
  for (int k = 0; k < 2; k++) {
    const weir_field_type *o = other[k];
    if (!o) continue;
    if (o->rank != 2 || o->dim[0].size != a->dim[0].size || o->dim[1].size != a->dim[1].size)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the %s has another shape than the first image, expected %lld x %lld",
                       operator_name, k ? "mask" : "second image", (long long)a->dim[0].size,
                       (long long)a->dim[1].size);
  }
  for (int k = 0; k < 2; k++)
    if (weir__uniform_spacing(&a->dim[k]) == 0)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the coordinate %s is uneven, expected pixels at equal distances",
                       operator_name, a->dim[k].name);
  return WEIR_OK;
}

weir_dimension weir__piv_grid_dimension(const weir_dimension *image, const weir__piv_grid *grid, int axis) {
  double step = image->spacing != 0 ? image->spacing : 1;
  return (weir_dimension){.name    = image->name,
                          .size    = grid->count[axis],
                          .units   = image->units ? image->units : "pixel",
                          .origin  = image->origin + step * weir__piv_centre(grid, axis, 0),
                          .spacing = step * (double)grid->step[axis]};
}

const char *weir__piv_units(const weir_infer *infer, const weir_dimension *image, bool per_second) {
  const char *units = image->units ? image->units : "pixel";
  return per_second ? weir__units_times(infer, units, "s", -1) : units;
}
