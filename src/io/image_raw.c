/* Files without a header. */
#include "io/image_parts.h"

static weir_status raw_open(weir__image *image) {
  weir__image_raw  *raw  = &image->raw;
  weir__image_info *info = &image->info;
  int64_t           size = (int64_t)weir_dtype_size(raw->dtype), row, span;
  if (raw->dtype != WEIR_U8 && raw->dtype != WEIR_U16 && raw->dtype != WEIR_F32)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: raw elements of type %s; expected uint8, uint16 or float32", image->path,
                     weir_dtype_name(raw->dtype));
  if (raw->dtype == WEIR_U16 && raw->bits && (raw->bits < 10 || raw->bits > 16 || raw->bits % 2))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: %d bits of raw elements; expected 10, 12, 14 or 16", image->path,
                     raw->bits);
  info->height = raw->height;
  info->width  = raw->width;
  info->dtype  = raw->dtype;
  info->bits   = raw->dtype == WEIR_U16 && raw->bits ? raw->bits : (int)size * 8;
  WEIR_TRY(weir__image_size_check(image, info, size * 8, 1));
  row = raw->width * size;
  if (!raw->stride) raw->stride = row;
  if (raw->offset < 0 || raw->stride < row || raw->stride > image->size || raw->frame < 0)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT,
                     "%s: raw offset %lld, stride %lld, frame %lld; expected an offset of at least 0, a stride of %lld "
                     "(a row) to %lld (the file), a frame of at least a page, or 0",
                     image->path, (long long)raw->offset, (long long)raw->stride, (long long)raw->frame, (long long)row,
                     (long long)image->size);
  /* rows and stride are at most the file's size here, but their product need not be */
  if (__builtin_mul_overflow(raw->stride, raw->height - 1, &span) || __builtin_add_overflow(span, row, &span) ||
      raw->offset > image->size || span > image->size - raw->offset)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s is cut short: %lld bytes, a page of %lld x %lld %s from byte %lld on needs more", image->path,
                     (long long)image->size, (long long)raw->width, (long long)raw->height, weir_dtype_name(raw->dtype),
                     (long long)raw->offset);
  bool given = raw->frame != 0;
  if (!given) raw->frame = raw->stride * raw->height;
  if (raw->frame < span)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: %lld bytes from one page to the next; a page alone has %lld", image->path,
                     (long long)raw->frame, (long long)span);
  int64_t rest = image->size - raw->offset;
  info->pages  = 1 + (rest - span) / raw->frame;
  /* Without a word on where pages begin, what is left over says that the sizes are not those of this file. */
  int64_t used = (info->pages - 1) * raw->frame + span;
  if (!given && rest != used && rest != used + raw->stride - row)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %lld bytes are left over behind %lld pages of %lld x %lld %s", image->path,
                     (long long)(rest - used), (long long)info->pages, (long long)raw->width, (long long)raw->height,
                     weir_dtype_name(raw->dtype));
  return WEIR_OK;
}

static weir_status raw_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  const weir__image_raw *raw  = &image->raw;
  size_t                 size = weir_dtype_size(info->dtype);
  WEIR_TRY(weir__image_rows(image, raw->offset + page * raw->frame, raw->stride, info->width * (int64_t)size,
                            info->height, false, out));
  if (raw->big_endian) weir__image_from_big(out, info->height * info->width, size);
  else weir__image_from_little(out, info->height * info->width, size);
  return WEIR_OK;
}

const weir__image_kind weir__image_raw_kind = {.format = "raw", .open = raw_open, .read = raw_read};
