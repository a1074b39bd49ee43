/* Images of a target. */
#include "core/memory.h"
#include "io/image.h"
#include "run/calibrate.h"
#include <string.h>

static void to_float(const void *from, weir_dtype dtype, int64_t n, float *to) {
  const uint8_t  *bytes = from;
  const uint16_t *words = from;
  if (dtype == WEIR_F32) memcpy(to, from, (size_t)n * sizeof *to);
  for (int64_t i = 0; i < n && dtype != WEIR_F32; i++) to[i] = dtype == WEIR_U8 ? (float)bytes[i] : (float)words[i];
}

static weir_status find(const char *path, weir__image *image, const weir__target *target,
                        weir__calibration_points *points) {
  weir__image_info    info;
  weir__camera_point *found = NULL;
  void               *raw   = NULL;
  float              *pixel = NULL;
  int64_t             count = 0;
  weir_status         status;
  WEIR_TRY_GOTO(out, weir__image_info_get(image, 0, &info));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)(info.height * info.width), weir_dtype_size(info.dtype), &raw));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)(info.height * info.width), sizeof *pixel, &pixel));
  WEIR_TRY_GOTO(out, weir__image_read(image, 0, raw));
  to_float(raw, info.dtype, info.height * info.width, pixel);
  status = weir__target_find(target, pixel, info.height, info.width, &found, &count);
  if (status < 0) {
    status = weir__error_prefix(status, "%s", path);
    goto out;
  }
  WEIR_TRY_GOTO(out, weir__grow(&points->point, (size_t)(points->count + count), &points->capacity, sizeof *found));
  memcpy(points->point + points->count, found, (size_t)count * sizeof *found);
  points->count += count;
out:
  weir__free(found);
  weir__free(pixel);
  weir__free(raw);
  return status;
}

weir_status weir__calibration_read_image(const char *path, const weir__target *target,
                                         weir__calibration_points *points) {
  weir__image *image = NULL;
  WEIR_TRY(weir__image_open(path, NULL, &image));
  weir_status status = find(path, image, target, points);
  weir__image_close(&image);
  return status;
}
