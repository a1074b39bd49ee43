/* Portable maps: P5 and P2 (gray), P6 (colour). Facts: the Netpbm descriptions pgm(5), ppm(5). Values are as they are
 * in the file, not scaled to the largest; two bytes are big endian. */
#include "io/image_parts.h"
#include <string.h>

static bool space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool matches(const uint8_t *head, size_t nbytes) {
  return nbytes >= 3 && head[0] == 'P' && head[1] >= '1' && head[1] <= '6' && (space(head[2]) || head[2] == '#');
}

/* The next number; -1: none. One byte behind it is taken, too, as the format wants it before the pixels. */
static int64_t number(weir__image_stream *stream) {
  enum { LARGEST = 1000000000 }; /* more than any side or value may be */
  int64_t x = 0;
  int     c = weir__image_stream_get(stream);
  while (space(c) || c == '#') {
    if (c == '#')
      while (c != '\n' && c != '\r' && c >= 0) c = weir__image_stream_get(stream);
    else c = weir__image_stream_get(stream);
  }
  if (c < '0' || c > '9') return -1;
  for (; c >= '0' && c <= '9'; c = weir__image_stream_get(stream)) {
    x = x * 10 + (c - '0');
    if (x > LARGEST) return -1;
  }
  return c < 0 || space(c) || c == '#' ? x : -1;
}

typedef struct pgm_file {
  int64_t  data; /* offset of the first pixel */
  uint32_t largest;
} pgm_file;

static weir_status pgm_open(weir__image *image) {
  weir_status         status = WEIR_OK;
  weir__image_stream *stream = NULL;
  weir__image_info   *info   = &image->info;
  pgm_file           *file   = NULL;
  char                digit  = (char)image->head[1];
  if (digit != '2' && digit != '5' && digit != '6')
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is a portable map of kind P%c; expected P5, P2 or P6", image->path, digit);
  WEIR_TRY(weir__alloc_zeroed(sizeof *file, 0, &file));
  image->state = file;
  WEIR_TRY(weir__image_stream_open(image, 2, &stream));
  info->width     = number(stream);
  info->height    = number(stream);
  int64_t largest = number(stream);
  file->data      = stream->offset - (int64_t)(stream->filled - stream->at);
  WEIR_TRY_GOTO(out, stream->failed);
  if (info->width < 1 || info->height < 1 || largest < 1 || largest > UINT16_MAX) {
    status = WEIR_FAIL(WEIR_ERR_INPUT,
                       "%s is damaged or cut short: the header of a portable map must say width, height and a largest "
                       "value of 1 to 65535",
                       image->path);
    goto out;
  }
  file->largest = (uint32_t)largest;
  info->dtype   = largest > UINT8_MAX ? WEIR_U16 : WEIR_U8;
  info->bits    = weir__image_bits(file->largest);
  info->colour  = digit == '6';
  /* as text: a digit and a separator for each, the last one may go without */
  WEIR_TRY_GOTO(out, weir__image_size_check(image, info, digit == '6' ? 24 : 8, 1));
out:
  weir__free(stream);
  return status;
}

static weir_status read_text(const weir__image *image, const weir__image_info *info, void *out) {
  const pgm_file     *file   = image->state;
  weir_status         status = WEIR_OK;
  weir__image_stream *stream = NULL;
  int64_t             count  = info->width * info->height;
  WEIR_TRY(weir__image_stream_open(image, file->data, &stream));
  for (int64_t i = 0; i < count; i++) {
    int64_t x = number(stream);
    if (x < 0 || x > file->largest) {
      status =
          stream->failed < 0
              ? stream->failed
              : WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged or cut short: pixel %lld of %lld must be a number of 0 to %u",
                          image->path, (long long)i, (long long)count, file->largest);
      break;
    }
    if (info->dtype == WEIR_U8) ((uint8_t *)out)[i] = (uint8_t)x;
    else ((uint16_t *)out)[i] = (uint16_t)x;
  }
  weir__free(stream);
  return status;
}

static weir_status read_colour(weir__image *image, const weir__image_info *info, void *out) {
  const pgm_file *file = image->state;
  size_t          size = weir_dtype_size(info->dtype);
  int64_t         row  = 3 * info->width * (int64_t)size;
  WEIR_TRY(weir__image_scratch(image, (size_t)row));
  for (int64_t y = 0; y < info->height; y++) {
    WEIR_TRY(weir__image_pread(image, file->data + y * row, image->scratch, row));
    weir__image_from_big(image->scratch, 3 * info->width, size);
    const uint16_t *wide = (const uint16_t *)(const void *)image->scratch;
    const uint8_t  *byte = image->scratch;
    if (size == 2)
      weir__image_luminance_u16(wide, wide + 1, wide + 2, 3, info->width, (uint16_t *)out + y * info->width);
    else weir__image_luminance_u8(byte, byte + 1, byte + 2, 3, info->width, (uint8_t *)out + y * info->width);
  }
  return WEIR_OK;
}

static weir_status pgm_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  const pgm_file *file  = image->state;
  size_t          size  = weir_dtype_size(info->dtype);
  int64_t         count = info->width * info->height;
  (void)page;
  if (image->head[1] == '2') return read_text(image, info, out);
  if (image->head[1] == '6') return read_colour(image, info, out);
  WEIR_TRY(weir__image_pread(image, file->data, out, count * (int64_t)size));
  weir__image_from_big(out, count, size);
  return WEIR_OK;
}

static void pgm_close(weir__image *image) { weir__free(image->state); }

const weir__image_kind weir__image_pgm = {
    .format = "PGM", .matches = matches, .open = pgm_open, .read = pgm_read, .close = pgm_close};
