/* PNG through libpng. The header is read by hand, so that opening a file costs little; libpng checks it again.
 *
 * Its errors leave by longjmp: each function that calls it beyond a setjmp owns nothing of its own there, and what it
 * works with lies in a struct of its caller. */
#include "io/image_parts.h"
#include <png.h>
#include <string.h>

enum { HEADER = 33, DEFLATE_RATIO = 1032 }; /* a match of 258 bytes takes at least 2 bits */

typedef struct png_decoder {
  weir__image        *image;
  weir__image_stream *stream;
  png_structp         png;
  png_infop           info;
  uint8_t            *out;
  uint8_t             table[256]; /* luminance of the palette */
  int                 entries;
  char                why[WEIR__IMAGE_TEXT];
} png_decoder;

static bool matches(const uint8_t *head, size_t nbytes) { return nbytes >= 8 && !png_sig_cmp(head, 0, 8); }

static weir_status png_open(weir__image *image) {
  const uint8_t    *h    = image->head;
  weir__image_info *info = &image->info;
  if (image->head_bytes < HEADER || memcmp(h + 8, "\0\0\0\15IHDR", 8) != 0)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short or damaged: a PNG of %lld bytes without a header", image->path,
                     (long long)image->size);
  int depth = h[24], type = h[25];
  int samples  = type == PNG_COLOR_TYPE_RGB          ? 3
                 : type == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
                 : type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                     : 1;
  info->width  = weir__image_be32(h + 16);
  info->height = weir__image_be32(h + 20);
  info->dtype  = depth == 16 ? WEIR_U16 : WEIR_U8;
  info->bits   = depth == 16 ? 16 : 8;
  info->colour = (type & PNG_COLOR_MASK_COLOR) != 0;
  if ((depth != 1 && depth != 2 && depth != 4 && depth != 8 && depth != 16) || type > 6 || type == 1 || type == 5)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: a PNG of %d bits and colour type %d", image->path, depth, type);
  return weir__image_size_check(image, info, (int64_t)samples * depth, DEFLATE_RATIO);
}

static void on_error(png_structp png, png_const_charp text) {
  png_decoder *decoder = png_get_error_ptr(png);
  if (!*decoder->why) snprintf(decoder->why, sizeof decoder->why, "%s", text);
  png_longjmp(png, 1);
}

/* Warnings are about chunks that are not needed. */
static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void on_read(png_structp png, png_bytep out, size_t nbytes) {
  png_decoder *decoder = png_get_io_ptr(png);
  if (weir__image_stream_read(decoder->stream, out, nbytes) == nbytes) return;
  png_error(png, "the file is cut short");
}

/* Ask libpng for rows of gray, RGB or indices of 8 or 16 bits. False: the file is another one than was opened. */
static bool prepare(png_decoder *decoder, const weir__image_info *info) {
  /* text, profiles and the like may unpack to any size */
  static const png_byte ignored[] = "iCCP\0tEXt\0zTXt\0iTXt\0sPLT\0eXIf\0hIST\0pCAL\0sCAL";
  png_structp           png       = decoder->png;
  png_set_user_limits(png, INT32_MAX, INT32_MAX);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, ignored, (int)(sizeof ignored / 5));
  png_read_info(png, decoder->info);
  int type = png_get_color_type(png, decoder->info), depth = png_get_bit_depth(png, decoder->info);
  if (png_get_image_width(png, decoder->info) != info->width ||
      png_get_image_height(png, decoder->info) != info->height || (depth == 16) != (info->dtype == WEIR_U16))
    return false;
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_colorp palette = NULL;
    png_set_packing(png);
    png_get_PLTE(png, decoder->info, &palette, &decoder->entries);
    for (int i = 0; palette && i < decoder->entries; i++)
      decoder->table[i] = (uint8_t)weir__image_luminance(palette[i].red, palette[i].green, palette[i].blue);
  } else if (depth < 8) png_set_expand_gray_1_2_4_to_8(png);
  if (type & PNG_COLOR_MASK_ALPHA) png_set_strip_alpha(png);
  if (depth == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(png);
  return true;
}

static void reduce_row(const png_decoder *decoder, const weir__image_info *info, int64_t y, const uint8_t *row) {
  const uint16_t *wide = (const uint16_t *)(const void *)row;
  if (info->dtype == WEIR_U16)
    weir__image_luminance_u16(wide, wide + 1, wide + 2, 3, info->width,
                              (uint16_t *)(void *)decoder->out + y * info->width);
  else weir__image_luminance_u8(row, row + 1, row + 2, 3, info->width, decoder->out + y * info->width);
}

/* Decode all rows. Gray and indices go straight into place; colour through a row, or, when it is interlaced, through
 * all of them (which the size check found to be what the file can hold). */
static weir_status decode(png_decoder *decoder, const weir__image_info *info) {
  weir__image *image = decoder->image;
  size_t       size  = weir_dtype_size(info->dtype);
  if (setjmp(png_jmpbuf(decoder->png))) {
    if (decoder->stream->failed < 0) return decoder->stream->failed;
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged or cut short: PNG: %s", image->path, decoder->why);
  }
  if (!prepare(decoder, info)) png_error(decoder->png, "the header changed after it was opened");
  int passes = png_set_interlace_handling(decoder->png);
  png_read_update_info(decoder->png, decoder->info);
  size_t row = png_get_rowbytes(decoder->png, decoder->info), dense = (size_t)info->width * size;
  bool   colour = row == 3 * dense;
  if (row != dense && !colour) png_error(decoder->png, "rows of an unexpected length");
  if (colour) WEIR_TRY(weir__image_scratch(image, passes == 1 ? row : row * (size_t)info->height));
  for (int pass = 0; pass < passes; pass++)
    for (int64_t y = 0; y < info->height; y++) {
      uint8_t *to = !colour       ? decoder->out + (size_t)y * dense
                    : passes == 1 ? image->scratch
                                  : image->scratch + (size_t)y * row;
      png_read_row(decoder->png, to, NULL);
      if (colour && pass == passes - 1) reduce_row(decoder, info, y, to);
    }
  png_read_end(decoder->png, NULL);
  return WEIR_OK;
}

static weir_status png_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  weir_status status  = WEIR_OK;
  png_decoder decoder = {.image = image, .out = out};
  (void)page;
  WEIR_TRY(weir__image_stream_open(image, 0, &decoder.stream));
  decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
  if (decoder.png) decoder.info = png_create_info_struct(decoder.png);
  if (!decoder.info) {
    status = WEIR_FAIL(WEIR_ERR_MEMORY, "%s: no memory for libpng", image->path);
    goto out;
  }
  png_set_read_fn(decoder.png, &decoder, on_read);
  WEIR_TRY_GOTO(out, decode(&decoder, info));
  if (decoder.entries && !weir__image_look_up(out, info->width * info->height, decoder.table, decoder.entries))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: a pixel has a colour beyond the %d of the palette", image->path,
                       decoder.entries);
out:
  png_destroy_read_struct(&decoder.png, &decoder.info, NULL);
  weir__free(decoder.stream);
  return status;
}

const weir__image_kind weir__image_png = {.format = "PNG", .matches = matches, .open = png_open, .read = png_read};
