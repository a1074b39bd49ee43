/* Windows bitmaps without compression. Facts: Microsoft's descriptions of BITMAPFILEHEADER, BITMAPCOREHEADER and
 * BITMAPINFOHEADER. Numbers are little endian, rows are padded to 4 bytes and lie bottom-up unless the height is
 * negative. */
#include "io/image_parts.h"
#include <stdlib.h>
#include <string.h>

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, BI_RGB = 0, BI_BITFIELDS = 3, BI_ALPHABITFIELDS = 6 };

typedef struct bmp_file {
  int64_t data, stride;
  int     bits, entries;
  bool    bottom_up, plain; /* plain: the indices are the values */
  uint8_t table[256];       /* luminance of the palette */
} bmp_file;

static bool matches(const uint8_t *head, size_t nbytes) { return nbytes >= 2 && head[0] == 'B' && head[1] == 'M'; }

static weir_status read_palette(weir__image *image, bmp_file *file, int64_t offset, int entry) {
  uint8_t colours[256 * 4];
  WEIR_TRY(weir__image_pread(image, offset, colours, (int64_t)file->entries * entry));
  file->plain = file->bits == 8;
  for (int i = 0; i < file->entries; i++) {
    const uint8_t *c = colours + i * entry; /* blue, green, red */
    file->table[i]   = (uint8_t)weir__image_luminance(c[2], c[1], c[0]);
    if (c[0] != c[1] || c[1] != c[2]) image->info.colour = true;
    if (file->table[i] != i) file->plain = false;
  }
  file->plain = file->plain && file->entries == 256;
  return WEIR_OK;
}

/* 32 bits with masks are as good as without, when the masks are the usual ones. */
static weir_status check_masks(weir__image *image, const bmp_file *file, uint32_t compression, int64_t header) {
  uint8_t masks[12];
  if (compression == BI_RGB) return WEIR_OK;
  if ((compression == BI_BITFIELDS || compression == BI_ALPHABITFIELDS) && file->bits == 32) {
    /* behind a header of 40 bytes, or at the same place within a longer one */
    WEIR_TRY(weir__image_pread(image, FILE_HEADER + INFO_HEADER, masks, sizeof masks));
    if (weir__image_le32(masks) == 0xff0000 && weir__image_le32(masks + 4) == 0xff00 &&
        weir__image_le32(masks + 8) == 0xff)
      return WEIR_OK;
  }
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a BMP of %d bits with %s (compression %u, header of %lld bytes); expected none",
                   image->path, file->bits, compression == 1 || compression == 2 ? "RLE" : "masks or compression",
                   compression, (long long)header);
}

/* What both kinds of header say. */
static weir_status read_header(weir__image *image, bmp_file *file, uint32_t *compression, int64_t *header,
                               int64_t *used) {
  uint8_t           h[FILE_HEADER + INFO_HEADER] = {0};
  weir__image_info *info                         = &image->info;
  WEIR_TRY(weir__image_pread(image, 0, h, FILE_HEADER + CORE_HEADER));
  *header = weir__image_le32(h + 14);
  if (*header != CORE_HEADER && *header < INFO_HEADER)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a BMP header of %lld bytes; expected 12, or 40 and more", image->path,
                     (long long)*header);
  if (*header == CORE_HEADER) {
    info->width     = weir__image_le16(h + 18);
    info->height    = weir__image_le16(h + 20);
    file->bits      = (int)weir__image_le16(h + 24);
    file->bottom_up = true;
  } else {
    WEIR_TRY(weir__image_pread(image, 0, h, sizeof h));
    info->width     = (int32_t)weir__image_le32(h + 18);
    int64_t height  = (int32_t)weir__image_le32(h + 22);
    info->height    = llabs(height);
    file->bottom_up = height > 0;
    file->bits      = (int)weir__image_le16(h + 28);
    *compression    = weir__image_le32(h + 30);
    *used           = weir__image_le32(h + 46);
  }
  file->data = weir__image_le32(h + 10);
  return WEIR_OK;
}

static weir_status bmp_open(weir__image *image) {
  bmp_file         *file        = NULL;
  weir__image_info *info        = &image->info;
  uint32_t          compression = BI_RGB;
  int64_t           header = 0, used = 0;
  WEIR_TRY(weir__alloc_zeroed(sizeof *file, 0, &file));
  image->state = file;
  WEIR_TRY(read_header(image, file, &compression, &header, &used));
  int bits = file->bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 24 && bits != 32)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a BMP of %d bits a pixel; expected 1, 4, 8, 24 or 32", image->path, bits);
  WEIR_TRY(check_masks(image, file, compression, header));
  info->dtype = WEIR_U8;
  info->bits  = 8;
  WEIR_TRY(weir__image_size_check(image, info, bits, 1));
  file->stride = (info->width * bits + 31) / 32 * 4;
  if (bits > 8) {
    info->colour = true;
    return WEIR_OK;
  }
  if (used < 0 || used > 1 << bits)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: a BMP palette of %lld colours for %d bits", image->path,
                     (long long)used, bits);
  file->entries = used ? (int)used : 1 << bits;
  return read_palette(image, file, FILE_HEADER + header, header == CORE_HEADER ? 3 : 4);
}

static weir_status read_colour(weir__image *image, const bmp_file *file, const weir__image_info *info, uint8_t *out) {
  int64_t step = file->bits / 8, row = info->width * step;
  WEIR_TRY(weir__image_scratch(image, (size_t)(row * info->height)));
  WEIR_TRY(weir__image_rows(image, file->data, file->stride, row, info->height, file->bottom_up, image->scratch));
  const uint8_t *c = image->scratch; /* blue, green, red, and with 32 bits one that is not used */
  weir__image_luminance_u8(c + 2, c + 1, c, step, info->width * info->height, out);
  return WEIR_OK;
}

static weir_status read_small(weir__image *image, const bmp_file *file, const weir__image_info *info, uint8_t *out) {
  int64_t row = (info->width * file->bits + 7) / 8, per_byte = 8 / file->bits;
  WEIR_TRY(weir__image_scratch(image, (size_t)(row * info->height)));
  WEIR_TRY(weir__image_rows(image, file->data, file->stride, row, info->height, file->bottom_up, image->scratch));
  for (int64_t y = 0; y < info->height; y++)
    for (int64_t x = 0; x < info->width; x++) {
      int shift                = 8 - file->bits * (int)(x % per_byte + 1);
      out[y * info->width + x] = (uint8_t)(image->scratch[y * row + x / per_byte] >> shift & ((1 << file->bits) - 1));
    }
  return WEIR_OK;
}

static weir_status bmp_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  const bmp_file *file = image->state;
  (void)page;
  if (file->bits > 8) return read_colour(image, file, info, out);
  if (file->bits < 8) WEIR_TRY(read_small(image, file, info, out));
  else WEIR_TRY(weir__image_rows(image, file->data, file->stride, info->width, info->height, file->bottom_up, out));
  if (file->plain || weir__image_look_up(out, info->width * info->height, file->table, file->entries)) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: a pixel has a colour beyond the %d of the palette", image->path,
                   file->entries);
}

static void bmp_close(weir__image *image) { weir__free(image->state); }

const weir__image_kind weir__image_bmp = {
    .format = "BMP", .matches = matches, .open = bmp_open, .read = bmp_read, .close = bmp_close};
