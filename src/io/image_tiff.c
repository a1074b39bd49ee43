/* TIFF. libtiff reads the directories and unpacks what is compressed; what is not is read straight into place. */
#include "io/image_tiff.h"
#include <string.h>

typedef struct tiff_file {
  weir__tiff_io io;
  TIFF         *tiff;
  uint64_t     *directories;                              /* owned */
  int64_t       current;                                  /* page that libtiff and the layout are at; -1: none */
  int64_t       width, height, piece_width, piece_height; /* pieces: strips or tiles */
  int           bits, samples, planes;                    /* planes: 3, colours apart; else 1 */
  uint16_t      photometric, compression, orientation;
  bool          tiled, real, direct; /* direct: bytes are as in the file, but for their order */
  uint8_t       table[256];          /* luminance of the palette */
} tiff_file;

static bool matches(const uint8_t *head, size_t nbytes) {
  return nbytes >= 8 && (!memcmp(head, "II\52\0", 4) || !memcmp(head, "MM\0\52", 4) ||
                         !memcmp(head, "II\53\0\10\0\0\0", 8) || !memcmp(head, "MM\0\53\0\10\0\0", 8));
}

static weir_status fail(const weir__image *image, const tiff_file *file, const char *what) {
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged or cut short: TIFF: %s%s%s", image->path, what,
                   *file->io.why ? ": " : "", file->io.why);
}

static weir_status refuse(const weir__image *image, int64_t page, const char *what, int64_t found,
                          const char *expected) {
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s, page %lld: a TIFF with %s %lld; expected %s", image->path, (long long)page,
                   what, (long long)found, expected);
}

/* How many times larger than its bytes an image can be; 0: not read. LZW: a code of 12 bits stands for at most 4094
 * bytes; LZMA: a match of 273 bytes for 0.3 bits; Zstandard: a block of 128 KiB for 4 bytes. */
static int64_t compression_ratio(uint16_t compression) {
  switch (compression) {
  case COMPRESSION_NONE: return 1;
  case COMPRESSION_PACKBITS: return 64;
  case COMPRESSION_LZW: return 4094;
  case COMPRESSION_DEFLATE:
  case COMPRESSION_ADOBE_DEFLATE: return 1032;
  case COMPRESSION_LZMA: return 8192;
  case COMPRESSION_ZSTD: return 32768;
  case COMPRESSION_JPEG: return 512;
  default: return 0;
  }
}

static void read_palette(tiff_file *file, bool *colour) {
  uint16_t *red, *green, *blue;
  *colour = true;
  if (!TIFFGetField(file->tiff, TIFFTAG_COLORMAP, &red, &green, &blue)) return;
  bool wide = false; /* some writers give 8 bits instead of 16 */
  for (int i = 0; i < 1 << file->bits; i++) wide = wide || (red[i] | green[i] | blue[i]) > 255;
  for (int i = 0; i < 1 << file->bits; i++) {
    int shift      = wide ? 8 : 0;
    file->table[i] = (uint8_t)weir__image_luminance(red[i] >> shift, green[i] >> shift, blue[i] >> shift);
  }
}

/* Which values there are: bits, type, colours. */
static weir_status read_values(weir__image *image, tiff_file *file, int64_t page) {
  uint16_t bits = 1, samples = 1, sample = SAMPLEFORMAT_UINT, planar = PLANARCONFIG_CONTIG, fill = FILLORDER_MSB2LSB;
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_SAMPLEFORMAT, &sample);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_PLANARCONFIG, &planar);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_FILLORDER, &fill);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_ORIENTATION, &file->orientation);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_COMPRESSION, &file->compression);
  if (!TIFFGetField(file->tiff, TIFFTAG_PHOTOMETRIC, &file->photometric)) file->photometric = PHOTOMETRIC_MINISBLACK;
  file->bits    = bits;
  file->samples = samples;
  file->real    = sample == SAMPLEFORMAT_IEEEFP;
  file->direct  = file->compression == COMPRESSION_NONE && fill == FILLORDER_MSB2LSB;
  if (!compression_ratio(file->compression))
    return refuse(image, page, "compression", file->compression,
                  "none, PackBits, LZW, Deflate, LZMA, Zstandard or JPEG");
  if (file->photometric == PHOTOMETRIC_YCBCR && file->compression == COMPRESSION_JPEG && samples == 3) {
    TIFFSetField(file->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    file->photometric = PHOTOMETRIC_RGB;
  }
  bool rgb = file->photometric == PHOTOMETRIC_RGB, palette = file->photometric == PHOTOMETRIC_PALETTE;
  if (!rgb && !palette && file->photometric > PHOTOMETRIC_MINISBLACK)
    return refuse(image, page, "photometric interpretation", file->photometric,
                  "gray (0, 1), RGB (2) or a palette (3)");
  if (file->real ? bits != 32 : sample != SAMPLEFORMAT_UINT && sample != SAMPLEFORMAT_VOID)
    return refuse(image, page, file->real ? "real numbers of bits" : "sample format", file->real ? bits : sample,
                  file->real ? "32" : "unsigned integers (1) or real numbers (3)");
  bool whole = bits == 8 || bits == 16 || file->real;
  if (!whole && bits != 1 && bits != 2 && bits != 4 && bits != 10 && bits != 12 && bits != 14)
    return refuse(image, page, "bits", bits, "1, 2, 4, 8, 10, 12, 14, 16, or 32 for real numbers");
  if ((rgb && samples < 3) || samples < 1 || (!whole && samples > 1) || (palette && (bits > 8 || samples > 1)))
    return refuse(image, page, "samples for a pixel", samples,
                  "3 or more for RGB, 1 for a palette (of up to 8 bits) and for bits that fill no byte");
  file->planes = planar == PLANARCONFIG_SEPARATE && rgb ? 3 : 1;
  if (planar == PLANARCONFIG_SEPARATE) file->samples = 1;
  if (file->orientation < ORIENTATION_TOPLEFT || file->orientation > ORIENTATION_BOTLEFT)
    return refuse(image, page, "orientation", file->orientation, "1 to 4: rows that are rows");
  return WEIR_OK;
}

/* How the pieces lie. */
static weir_status read_geometry(weir__image *image, tiff_file *file) {
  uint32_t width = 0, height = 0, piece_width = 0, piece_height = 0;
  TIFFGetField(file->tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(file->tiff, TIFFTAG_IMAGELENGTH, &height);
  file->tiled  = TIFFIsTiled(file->tiff);
  file->width  = width;
  file->height = height;
  if (file->tiled) {
    TIFFGetField(file->tiff, TIFFTAG_TILEWIDTH, &piece_width);
    TIFFGetField(file->tiff, TIFFTAG_TILELENGTH, &piece_height);
  } else {
    TIFFGetFieldDefaulted(file->tiff, TIFFTAG_ROWSPERSTRIP, &piece_height);
    if (piece_height > height) piece_height = height;
    piece_width = width;
  }
  file->piece_width      = piece_width;
  file->piece_height     = piece_height;
  weir__image_info piece = {.format = "TIFF", .width = file->piece_width, .height = file->piece_height};
  /* a tile may be larger than the image, but not than what the file can hold */
  return weir__image_size_check(image, &piece, (int64_t)file->bits * file->samples,
                                compression_ratio(file->compression));
}

static weir_status fill_info(weir__image *image, const tiff_file *file, weir__image_info *info) {
  info->width  = file->width;
  info->height = file->height;
  info->dtype  = file->real ? WEIR_F32 : file->bits > 8 ? WEIR_U16 : WEIR_U8;
  info->bits   = file->bits < 8 ? 8 : file->bits;
  info->colour = file->photometric == PHOTOMETRIC_RGB || file->photometric == PHOTOMETRIC_PALETTE;
  return weir__image_size_check(image, info, (int64_t)file->bits * file->samples * file->planes,
                                compression_ratio(file->compression));
}

/* Let libtiff go to a page. */
static weir_status go(weir__image *image, int64_t page) {
  tiff_file *file = image->state;
  bool       colour;
  if (file->current == page) return WEIR_OK;
  bool first    = file->current < 0 && page == 0; /* libtiff is there after it opened the file */
  file->current = -1;
  *file->io.why = 0;
  if (!first && !TIFFSetSubDirectory(file->tiff, file->directories[page]))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged or cut short: TIFF, page %lld: %s", image->path, (long long)page,
                     file->io.why);
  WEIR_TRY(read_values(image, file, page));
  WEIR_TRY(read_geometry(image, file));
  if (file->photometric == PHOTOMETRIC_PALETTE) read_palette(file, &colour);
  file->current = page;
  return WEIR_OK;
}

static weir_status tiff_page(weir__image *image, int64_t page, weir__image_info *info) {
  WEIR_TRY(go(image, page));
  return fill_info(image, image->state, info);
}

static weir_status tiff_open(weir__image *image) {
  enum { LEAST = 1 << 20 };
  tiff_file *file = NULL;
  WEIR_TRY(weir__alloc_zeroed(sizeof *file, 0, &file));
  image->state  = file;
  file->io.fd   = image->fd;
  file->io.size = image->size;
  file->current = -1;
  WEIR_TRY(weir__tiff_pages(image, &file->directories, &image->info.pages));
  /* m: no mapping, as a file may be cut while we look at it; c: strips as they are.
   * What libtiff keeps is a piece as it is stored, or arrays of up to 8 times their bytes. */
  file->tiff = weir__tiff_open(&file->io, image->path, "rmc", LEAST + 8 * image->size);
  if (!file->tiff) return fail(image, file, "it cannot be opened");
  return tiff_page(image, 0, &image->info);
}

static void tiff_close(weir__image *image) {
  tiff_file *file = image->state;
  if (!file) return;
  if (file->tiff) TIFFClose(file->tiff);
  weir__free(file->directories);
  weir__free(file);
}

/* Uncompressed pieces must have the bytes of all their pixels. */
static bool complete(tiff_file *file, uint32_t index, int64_t nbytes) {
  return TIFFGetStrileByteCount(file->tiff, index) >= (uint64_t)nbytes;
}

/* `nbytes` of piece `index` and, when it is read directly, of those behind it that follow on in the file. */
static weir_status load(weir__image *image, tiff_file *file, uint32_t index, void *out, int64_t nbytes) {
  if (file->direct) {
    uint64_t offset = TIFFGetStrileOffset(file->tiff, index);
    if (offset < 8 || offset > (uint64_t)image->size) return fail(image, file, "a piece begins where none can be");
    WEIR_TRY(weir__image_pread(image, (int64_t)offset, out, nbytes));
    size_t size = file->bits == 16 ? 2 : file->bits == 32 ? 4 : 1;
    if (TIFFIsByteSwapped(file->tiff)) weir__image_swap(out, nbytes / (int64_t)size, size);
    return WEIR_OK;
  }
  /* libtiff makes room for what the file says that a piece has */
  uint64_t stored = TIFFGetStrileByteCount(file->tiff, index), offset = TIFFGetStrileOffset(file->tiff, index);
  if (offset > (uint64_t)image->size || stored > (uint64_t)image->size - offset)
    return fail(image, file, "a piece ends behind the end of the file");
  *file->io.why   = 0;
  file->io.failed = false;
  tmsize_t got    = file->tiled ? TIFFReadEncodedTile(file->tiff, index, out, nbytes)
                                : TIFFReadEncodedStrip(file->tiff, index, out, nbytes);
  if (got != nbytes || file->io.failed) return fail(image, file, "it cannot be unpacked");
  return WEIR_OK;
}

/* Strips of just the values that are wanted: straight into place, those that follow each other at once. */
static weir_status read_plain_strips(weir__image *image, tiff_file *file, char *out) {
  int64_t row = file->width * file->bits / 8;
  for (int64_t y = 0; y < file->height;) {
    uint32_t index = (uint32_t)(y / file->piece_height);
    int64_t  end   = y;
    uint64_t begin = TIFFGetStrileOffset(file->tiff, index), next = begin;
    for (uint32_t i = index; end < file->height && (i == index || TIFFGetStrileOffset(file->tiff, i) == next); i++) {
      int64_t rows = end + file->piece_height > file->height ? file->height - end : file->piece_height;
      if (file->direct && !complete(file, i, rows * row)) return fail(image, file, "a strip has too few bytes");
      end += rows;
      next += (uint64_t)(rows * row);
      if (!file->direct) break;
    }
    WEIR_TRY(load(image, file, index, out + y * row, (end - y) * row));
    y = end;
  }
  return WEIR_OK;
}

typedef struct piece {
  const uint8_t *plane[3]; /* rows of each colour, or of all there is */
  int64_t        row;      /* bytes of a row in a plane */
  int64_t        x, y, columns, rows;
} piece;

static void real_luminance(const float *red, const float *green, const float *blue, int64_t step, int64_t count,
                           float *out) {
  for (int64_t i = 0; i < count; i++)
    out[i] = 0.299f * red[i * step] + 0.587f * green[i * step] + 0.114f * blue[i * step];
}

static void convert_colour(const tiff_file *file, const void *plane[3], int64_t columns, void *out) {
  int64_t step = file->planes == 3 ? 1 : file->samples;
  if (file->bits == 8) weir__image_luminance_u8(plane[0], plane[1], plane[2], step, columns, out);
  else if (file->bits == 16) weir__image_luminance_u16(plane[0], plane[1], plane[2], step, columns, out);
  else real_luminance(plane[0], plane[1], plane[2], step, columns, out);
}

/* The first of several values of each pixel. */
static void convert_first(const tiff_file *file, const void *row, int64_t columns, void *out) {
  int64_t step = file->samples;
  if (file->bits == 8)
    for (int64_t i = 0; i < columns; i++) ((uint8_t *)out)[i] = ((const uint8_t *)row)[i * step];
  else if (file->bits == 16)
    for (int64_t i = 0; i < columns; i++) ((uint16_t *)out)[i] = ((const uint16_t *)row)[i * step];
  else
    for (int64_t i = 0; i < columns; i++) ((float *)out)[i] = ((const float *)row)[i * step];
}

/* Values of fewer bits than a byte are stretched to its range, but for indices. */
static void convert_bits(const tiff_file *file, const uint8_t *row, int64_t columns, void *out) {
  enum { PART = 64 }; /* any number of these fills whole bytes */
  uint16_t part[PART];
  int      factor = file->photometric == PHOTOMETRIC_PALETTE ? 1 : 255 / ((1 << file->bits) - 1);
  if (file->bits > 8) {
    weir__image_unpack(row, file->bits, columns, out);
    return;
  }
  for (int64_t x = 0; x < columns; x += PART) {
    int64_t count = columns - x < PART ? columns - x : PART;
    weir__image_unpack(row + x * file->bits / 8, file->bits, count, part);
    for (int64_t i = 0; i < count; i++) ((uint8_t *)out)[x + i] = (uint8_t)(part[i] * factor);
  }
}

static void convert_piece(const tiff_file *file, const weir__image_info *info, const piece *p, char *out) {
  int64_t size = (int64_t)weir_dtype_size(info->dtype);
  for (int64_t y = 0; y < p->rows; y++) {
    char       *to       = out + ((p->y + y) * info->width + p->x) * size;
    const void *plane[3] = {p->plane[0] + y * p->row, p->plane[1] + y * p->row, p->plane[2] + y * p->row};
    if (file->photometric == PHOTOMETRIC_RGB) convert_colour(file, plane, p->columns, to);
    else if (file->bits % 8) convert_bits(file, plane[0], p->columns, to);
    else if (file->samples > 1) convert_first(file, plane[0], p->columns, to);
    else memcpy(to, plane[0], (size_t)(p->columns * size));
  }
}

static weir_status read_pieces(weir__image *image, tiff_file *file, const weir__image_info *info, char *out) {
  int64_t  row = (file->piece_width * file->samples * file->bits + 7) / 8, plane = row * file->piece_height;
  int64_t  sample = file->bits / 8;
  int64_t  across = (file->width + file->piece_width - 1) / file->piece_width;
  int64_t  down   = (file->height + file->piece_height - 1) / file->piece_height;
  uint8_t *at;
  WEIR_TRY(weir__image_scratch(image, (size_t)(plane * file->planes)));
  at = image->scratch;
  for (int64_t i = 0; i < across * down; i++) {
    piece p        = {.row = row, .x = i % across * file->piece_width, .y = i / across * file->piece_height};
    p.columns      = p.x + file->piece_width > file->width ? file->width - p.x : file->piece_width;
    p.rows         = p.y + file->piece_height > file->height ? file->height - p.y : file->piece_height;
    int64_t nbytes = file->tiled ? plane : p.rows * row;
    for (int k = 0; k < file->planes; k++) {
      if (file->direct && !complete(file, (uint32_t)(i + k * across * down), nbytes))
        return fail(image, file, "a piece has too few bytes");
      WEIR_TRY(load(image, file, (uint32_t)(i + k * across * down), at + k * plane, nbytes));
    }
    for (int k = 0; k < 3; k++) /* the colours of a pixel follow each other, or lie in planes, or there is one */
      p.plane[k] = at + (file->planes == 3 ? k * plane : file->photometric == PHOTOMETRIC_RGB ? k * sample : 0);
    convert_piece(file, info, &p, out);
  }
  return WEIR_OK;
}

static void invert(const weir__image_info *info, void *out) {
  int64_t  count = info->width * info->height;
  uint16_t white = (uint16_t)((1u << info->bits) - 1);
  if (info->dtype == WEIR_U8)
    for (int64_t i = 0; i < count; i++) ((uint8_t *)out)[i] = (uint8_t)(255 - ((uint8_t *)out)[i]);
  if (info->dtype == WEIR_U16)
    for (int64_t i = 0; i < count; i++) ((uint16_t *)out)[i] = (uint16_t)(white - ((uint16_t *)out)[i]);
}

static void swap_pixels(char *a, char *b, int64_t size) {
  char kept[4];
  memcpy(kept, a, (size_t)size);
  memcpy(a, b, (size_t)size);
  memcpy(b, kept, (size_t)size);
}

/* Bring the first row to the top and the first column to the left. */
static void orient(const weir__image_info *info, uint16_t orientation, char *out) {
  int64_t size = (int64_t)weir_dtype_size(info->dtype), w = info->width, h = info->height;
  if (orientation == ORIENTATION_BOTRIGHT || orientation == ORIENTATION_BOTLEFT)
    for (int64_t y = 0; y < h / 2; y++)
      for (int64_t x = 0; x < w; x++) swap_pixels(out + (y * w + x) * size, out + ((h - 1 - y) * w + x) * size, size);
  if (orientation == ORIENTATION_TOPRIGHT || orientation == ORIENTATION_BOTRIGHT)
    for (int64_t y = 0; y < h; y++)
      for (int64_t x = 0; x < w / 2; x++) swap_pixels(out + (y * w + x) * size, out + (y * w + w - 1 - x) * size, size);
}

static weir_status tiff_read(weir__image *image, int64_t page, const weir__image_info *info, void *out) {
  tiff_file *file   = image->state;
  int64_t    pieces = (file->height + file->piece_height - 1) / file->piece_height *
                   ((file->width + file->piece_width - 1) / file->piece_width) * file->planes;
  bool plain = !file->tiled && file->samples == 1 && file->planes == 1 && file->bits % 8 == 0;
  (void)page;
  if (pieces > (file->tiled ? TIFFNumberOfTiles(file->tiff) : TIFFNumberOfStrips(file->tiff)))
    return fail(image, file, "there are too few pieces");
  if (plain) WEIR_TRY(read_plain_strips(image, file, out));
  else WEIR_TRY(read_pieces(image, file, info, out));
  if (file->photometric == PHOTOMETRIC_PALETTE) weir__image_look_up(out, info->width * info->height, file->table, 256);
  if (file->photometric == PHOTOMETRIC_MINISWHITE) invert(info, out);
  orient(info, file->orientation, out);
  return WEIR_OK;
}

const weir__image_kind weir__image_tiff = {
    .format = "TIFF", .matches = matches, .open = tiff_open, .page = tiff_page, .read = tiff_read, .close = tiff_close};
