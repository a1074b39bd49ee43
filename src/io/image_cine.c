/* Films of Phantom cameras. Facts: Vision Research, "Cine File Format" (structures CINEFILEHEADER, BITMAPINFOHEADER,
 * SETUP, tagged information blocks), and what public readers found in files: uncompressed images lie bottom-up like any
 * bitmap, packed ones top-down; four pixels of 10 bits are in 5 bytes and two of 12 bits in 3, the highest bit first;
 * the 10 bits go through a table to 12 linear ones. What SETUP says of brightness, flips and colours is for display,
 * and is left alone. Numbers are little endian. */
#include "io/image_parts.h"
#include <stdlib.h>

enum {
  FILE_HEADER   = 44,
  BITMAP_HEADER = 40,
  BI_RGB        = 0,
  BI_PACKED     = 256,
  BI_PACKED_12  = 1024,
  SETUP_MARK    = 140,  /* "ST", then the length of SETUP */
  SETUP_REALBPP = 896,  /* bits of a pixel that the camera took */
  TAG_TIMES     = 1002, /* a TIME64 for each image */
  BLOCKS_MAX    = 1000
};

typedef struct cine_file {
  int64_t  offsets; /* of the table of offsets of images */
  int64_t  times;   /* of the table of time stamps; 0: none */
  uint64_t trigger;
  int      stored; /* bits of a pixel in the file: 8, 10, 12, 16, 24, 48 */
  bool     bottom_up;
} cine_file;

static bool matches(const uint8_t *head, size_t nbytes) {
  return nbytes >= 4 && head[0] == 'C' && head[1] == 'I' && weir__image_le16(head + 2) == FILE_HEADER;
}

static weir_status read_bitmap_header(weir__image *image, cine_file *file, int64_t offset) {
  uint8_t           h[BITMAP_HEADER];
  weir__image_info *info = &image->info;
  WEIR_TRY(weir__image_pread(image, offset, h, sizeof h));
  int64_t  height      = (int32_t)weir__image_le32(h + 8);
  int      bits        = (int)weir__image_le16(h + 14);
  uint32_t compression = weir__image_le32(h + 16);
  info->width          = (int32_t)weir__image_le32(h + 4);
  info->height         = llabs(height);
  if (compression == BI_PACKED) file->stored = 10;
  else if (compression == BI_PACKED_12) file->stored = 12;
  else if (compression == BI_RGB && (bits == 8 || bits == 16 || bits == 24 || bits == 48)) file->stored = bits;
  else
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: a cine of %d bits a pixel, bitmap compression %u; expected 8, 16, 24 or 48 bits without "
                     "(0), 10 bits packed (256) or 12 bits packed (1024)",
                     image->path, bits, compression);
  file->bottom_up = compression == BI_RGB && height > 0;
  info->dtype     = file->stored == 8 || file->stored == 24 ? WEIR_U8 : WEIR_U16;
  info->bits      = info->dtype == WEIR_U8 ? 8 : compression == BI_RGB ? 16 : 12;
  info->colour    = file->stored > 16;
  return weir__image_size_check(image, info, file->stored, 1);
}

/* The bits of a pixel that SETUP says, and the time stamps behind it. */
static weir_status read_setup(weir__image *image, cine_file *file, int64_t setup) {
  uint8_t b[8];
  WEIR_TRY(weir__image_pread(image, setup + SETUP_MARK, b, 4));
  if (b[0] != 'S' || b[1] != 'T')
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: a cine without the mark ST in its SETUP at byte %lld", image->path,
                     (long long)setup);
  int64_t length = weir__image_le16(b + 2);
  if (file->stored == 16 && length >= SETUP_REALBPP + 4) {
    WEIR_TRY(weir__image_pread(image, setup + SETUP_REALBPP, b, 4));
    uint32_t real = weir__image_le32(b);
    if (real > 8 && real <= 16) image->info.bits = weir__image_bits((1u << real) - 1);
  }
  int64_t at = setup + length;
  for (int blocks = 0; blocks < BLOCKS_MAX && at + 8 <= file->offsets; blocks++) {
    WEIR_TRY(weir__image_pread(image, at, b, 8));
    int64_t nbytes = weir__image_le32(b);
    if (nbytes < 8 || at + nbytes > file->offsets) break;
    if (weir__image_le16(b + 4) == TAG_TIMES && (nbytes - 8) / 8 >= image->info.pages) file->times = at + 8;
    at += nbytes;
  }
  image->info.has_time = file->times != 0;
  return WEIR_OK;
}

static weir_status cine_open(weir__image *image) {
  cine_file     *file = NULL;
  const uint8_t *h    = image->head;
  WEIR_TRY(weir__alloc_zeroed(sizeof *file, 0, &file));
  image->state = file;
  if (image->head_bytes < FILE_HEADER)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short: a cine of %lld bytes, its header alone has %d", image->path,
                     (long long)image->size, FILE_HEADER);
  uint32_t compression = weir__image_le16(h + 4), version = weir__image_le16(h + 6);
  if (compression || version != 1)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a cine of compression %u%s, version %u; expected compression 0, version 1",
                     image->path, compression,
                     compression == 1   ? " (JPEG)"
                     : compression == 2 ? " (a mosaic of colours)"
                                        : "",
                     version);
  image->info.pages = weir__image_le32(h + 20);
  file->offsets     = weir__image_le32(h + 32);
  file->trigger     = weir__image_le64(h + 36);
  if (image->info.pages < 1 || file->offsets > image->size || image->info.pages > (image->size - file->offsets) / 8)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s is cut short or damaged: a cine of %lld images, listed from byte %lld of %lld on", image->path,
                     (long long)image->info.pages, (long long)file->offsets, (long long)image->size);
  WEIR_TRY(read_bitmap_header(image, file, weir__image_le32(h + 24)));
  return read_setup(image, file, weir__image_le32(h + 28));
}

static weir_status cine_page(weir__image *image, int64_t page, weir__image_info *info) {
  const cine_file *file = image->state;
  uint8_t          b[8];
  if (!file->times) return WEIR_OK;
  WEIR_TRY(weir__image_pread(image, file->times + 8 * page, b, 8));
  /* TIME64: seconds since 1970 and 2^-32 of them, of which the lowest two bits are flags. The difference is made of
   * whole numbers: a double holds a time since 1970 to a quarter of a microsecond only. */
  uint64_t stamp = weir__image_le64(b) & ~(uint64_t)3, trigger = file->trigger & ~(uint64_t)3;
  info->time = (double)(int64_t)(stamp - trigger) / 4294967296.0;
  return WEIR_OK;
}

static weir_status read_packed(weir__image *image, const cine_file *file, const weir__image_info *info, int64_t data,
                               int64_t stride, uint16_t *out) {
  int64_t row = (info->width * file->stored + 7) / 8, count = info->width * info->height;
  WEIR_TRY(weir__image_scratch(image, (size_t)(row * info->height)));
  WEIR_TRY(weir__image_rows(image, data, stride, row, info->height, false, image->scratch));
  for (int64_t y = 0; y < info->height; y++)
    weir__image_unpack(image->scratch + y * row, file->stored, info->width, out + y * info->width);
  if (file->stored == 10)
    for (int64_t i = 0; i < count; i++) out[i] = weir__image_cine_linear[out[i]];
  return WEIR_OK;
}

static weir_status read_colour(weir__image *image, const cine_file *file, const weir__image_info *info, int64_t data,
                               int64_t stride, void *out) {
  int64_t row = info->width * file->stored / 8, count = info->width * info->height;
  WEIR_TRY(weir__image_scratch(image, (size_t)(row * info->height)));
  WEIR_TRY(weir__image_rows(image, data, stride, row, info->height, file->bottom_up, image->scratch));
  const uint8_t  *c    = image->scratch; /* blue, green, red */
  const uint16_t *wide = (const uint16_t *)(const void *)c;
  if (file->stored == 24) weir__image_luminance_u8(c + 2, c + 1, c, 3, count, out);
  else {
    weir__image_from_little(image->scratch, 3 * count, 2);
    weir__image_luminance_u16(wide + 2, wide + 1, wide, 3, count, out);
  }
  return WEIR_OK;
}

static weir_status cine_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  const cine_file *file = image->state;
  uint8_t          b[8];
  WEIR_TRY(weir__image_pread(image, file->offsets + 8 * page, b, 8));
  uint64_t at = weir__image_le64(b);
  if (at > (uint64_t)image->size)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short or damaged: image %lld begins at byte %llu of %lld", image->path,
                     (long long)page, (unsigned long long)at, (long long)image->size);
  /* the length of the annotation (its own 4 bytes and those of the size of the image included), then it, then that size
   */
  WEIR_TRY(weir__image_pread(image, (int64_t)at, b, 4));
  int64_t annotation = weir__image_le32(b), row = (info->width * file->stored + 7) / 8;
  if (annotation < 8)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s is damaged: an annotation of %lld bytes before image %lld; expected at least 8", image->path,
                     (long long)annotation, (long long)page);
  WEIR_TRY(weir__image_pread(image, (int64_t)at + annotation - 4, b, 4));
  int64_t nbytes = weir__image_le32(b), stride = nbytes / info->height;
  if (nbytes % info->height || stride < row)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: %lld bytes for image %lld; expected %lld rows of at least %lld",
                     image->path, (long long)nbytes, (long long)page, (long long)info->height, (long long)row);
  int64_t data = (int64_t)at + annotation;
  if (file->stored == 10 || file->stored == 12) return read_packed(image, file, info, data, stride, out);
  if (file->stored > 16) return read_colour(image, file, info, data, stride, out);
  WEIR_TRY(weir__image_rows(image, data, stride, row, info->height, file->bottom_up, out));
  weir__image_from_little(out, info->width * info->height, weir_dtype_size(info->dtype));
  return WEIR_OK;
}

static void cine_close(weir__image *image) { weir__free(image->state); }

const weir__image_kind weir__image_cine = {
    .format = "cine", .matches = matches, .open = cine_open, .page = cine_page, .read = cine_read, .close = cine_close};
