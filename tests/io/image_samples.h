/* Small images of every format as bytes, made by hand or by the libraries. */
#ifndef IMAGE_SAMPLES_H
#define IMAGE_SAMPLES_H
#include "io/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>
#include <unistd.h>

enum { SAMPLE_H = 9, SAMPLE_W = 12, SAMPLE_MAX = 16384, SAMPLES_MAX = 24, CINE_PAGES = 3 };

typedef struct sample {
  const char *name;
  uint8_t     bytes[SAMPLE_MAX];
  size_t      size;
  bool        cut_unseen; /* text, or padding at the end: a shorter file can be as good */
} sample;

typedef struct samples {
  sample *list;
  int     count;
} samples;

static inline uint16_t sample_value(int page, int y, int x) {
  return (uint16_t)((page * 701 + y * 97 + x * 31) % 1024);
}

static inline void put16(sample *s, unsigned x) {
  s->bytes[s->size++] = (uint8_t)x;
  s->bytes[s->size++] = (uint8_t)(x >> 8);
}
static inline void put32(sample *s, uint32_t x) { put16(s, x & 0xffff), put16(s, x >> 16); }
static inline void put64(sample *s, uint64_t x) { put32(s, (uint32_t)x), put32(s, (uint32_t)(x >> 32)); }

static inline sample *sample_add(samples *all, const char *name) {
  sample *s = &all->list[all->count++];
  s->name   = name;
  s->size   = 0;
  return s;
}

/* A cine of three pages. `bits` 8, 16: as a bitmap, bottom-up unless `top_down`; 10, 12: packed, top-down. */
static inline void make_cine(sample *s, int bits, bool top_down) {
  enum { HEAD = 44, BITMAP = 40, SETUP = 900, TAG = 8 + 8 * CINE_PAGES, TRIGGER = 1700000000 };
  uint32_t setup = HEAD + BITMAP, offsets = setup + SETUP + TAG, row = SAMPLE_W * (uint32_t)bits / 8;
  put16(s, 'C' | 'I' << 8), put16(s, HEAD), put16(s, 0), put16(s, 1);
  put32(s, 0), put32(s, CINE_PAGES), put32(s, 0), put32(s, CINE_PAGES);
  put32(s, HEAD), put32(s, setup), put32(s, offsets);
  put64(s, (uint64_t)TRIGGER << 32 | 0x80000000u);
  put32(s, BITMAP), put32(s, SAMPLE_W), put32(s, top_down ? (uint32_t)-SAMPLE_H : SAMPLE_H), put16(s, 1);
  put16(s, bits == 8 ? 8 : 16), put32(s, bits == 10 ? 256 : bits == 12 ? 1024 : 0), put32(s, row * SAMPLE_H);
  put32(s, 0), put32(s, 0), put32(s, 0), put32(s, 0);
  memset(s->bytes + s->size, 0, SETUP);
  memcpy(s->bytes + s->size + 140, "ST", 2);
  s->bytes[s->size + 142] = SETUP & 255, s->bytes[s->size + 143] = SETUP >> 8;
  s->bytes[s->size + 896] = 10; /* RealBPP */
  s->size += SETUP;
  put32(s, TAG), put16(s, 1002), put16(s, 0);
  for (int p = 0; p < CINE_PAGES;
       p++) /* a quarter of a second apart, the first at the trigger; flags in the low bits */
    put64(s, ((uint64_t)TRIGGER << 32 | 0x80000000u) + ((uint64_t)p << 30) + 3u);
  for (uint32_t p = 0; p < CINE_PAGES; p++) put64(s, offsets + 8 * CINE_PAGES + p * (12 + row * SAMPLE_H));
  for (int p = 0; p < CINE_PAGES; p++) {
    put32(s, 12), put32(s, 0xdeadbeef), put32(s, row * SAMPLE_H);
    for (int i = 0; i < SAMPLE_H; i++) {
      int      y    = (bits == 8 || bits == 16) && !top_down ? SAMPLE_H - 1 - i : i;
      uint64_t held = 0;
      int      have = 0;
      for (int x = 0; x < SAMPLE_W; x++) {
        uint16_t v = sample_value(p, y, x);
        if (bits == 8) s->bytes[s->size++] = (uint8_t)v;
        else if (bits == 16) put16(s, v);
        else
          for (held = held << bits | v, have += bits; have >= 8; have -= 8)
            s->bytes[s->size++] = (uint8_t)(held >> (have - 8));
      }
    }
  }
}

static inline void make_bmp(sample *s) {
  put16(s, 'B' | 'M' << 8), put32(s, 0), put32(s, 0), put32(s, 54 + 1024);
  put32(s, 40), put32(s, SAMPLE_W), put32(s, SAMPLE_H), put16(s, 1), put16(s, 8);
  for (int i = 0; i < 6; i++) put32(s, 0);
  for (uint32_t i = 0; i < 256; i++) put32(s, i * 0x10101);
  for (int y = SAMPLE_H - 1; y >= 0; y--)
    for (int x = 0; x < SAMPLE_W; x++) s->bytes[s->size++] = (uint8_t)sample_value(0, y, x);
}

static inline void make_pgm(sample *s, int kind) {
  s->size += (size_t)sprintf((char *)s->bytes, "P%d\n# by hand\n%d %d\n1023\n", kind, SAMPLE_W, SAMPLE_H);
  for (int i = 0; i < SAMPLE_H * SAMPLE_W * (kind == 6 ? 3 : 1); i++) {
    unsigned v = sample_value(0, i / SAMPLE_W, i % SAMPLE_W);
    if (kind == 2) s->size += (size_t)sprintf((char *)s->bytes + s->size, "%u\n", v);
    else put16(s, (v >> 8 | v << 8) & 0xffff);
  }
}

static inline void make_jpeg(sample *s, bool progressive, int components) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr       errors;
  unsigned char              *memory = NULL;
  unsigned long               size   = 0;
  JSAMPLE                     row[3 * SAMPLE_W];
  JSAMPROW                    rows[] = {row};
  jpeg.err                           = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &memory, &size);
  jpeg.image_width      = SAMPLE_W;
  jpeg.image_height     = SAMPLE_H;
  jpeg.input_components = components;
  jpeg.in_color_space   = components == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < SAMPLE_H; y++) {
    for (int x = 0; x < components * SAMPLE_W; x++) row[x] = (JSAMPLE)sample_value(0, y, x);
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  memcpy(s->bytes, memory, size);
  s->size = size;
  free(memory);
}

static inline bool load_sample(sample *s, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  s->size = fread(s->bytes, 1, SAMPLE_MAX, file);
  fclose(file);
  remove(path);
  return s->size > 0;
}

/* Gray as RGB, interlaced. */
static inline bool make_interlaced(sample *s, const char *folder) {
  char        path[400];
  png_byte    row[SAMPLE_H][3 * SAMPLE_W];
  png_bytep   rows[SAMPLE_H];
  png_structp png  = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop   info = png ? png_create_info_struct(png) : NULL;
  snprintf(path, sizeof path, "%s/interlaced.png", folder);
  FILE *file = fopen(path, "wb");
  if (!info || !file) return false;
  png_init_io(png, file);
  png_set_IHDR(png, info, SAMPLE_W, SAMPLE_H, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, 0, 0);
  png_write_info(png, info);
  for (int y = 0; y < SAMPLE_H; y++) {
    rows[y] = row[y];
    for (int i = 0; i < 3 * SAMPLE_W; i++) row[y][i] = (png_byte)sample_value(0, y, i / 3);
  }
  png_write_image(png, rows);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  return !fclose(file) && load_sample(s, path);
}

/* Two pages, by libtiff. */
static inline bool make_tiff(sample *s, const char *folder, const char *mode, int compression, bool tiles) {
  char     path[400];
  uint16_t tile[16 * 16], row[SAMPLE_W];
  snprintf(path, sizeof path, "%s/sample.tif", folder);
  TIFF *tiff = TIFFOpen(path, mode);
  for (int p = 0; tiff && p < 2; p++) {
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, SAMPLE_W);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, SAMPLE_H);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 16);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, compression);
    if (tiles) {
      TIFFSetField(tiff, TIFFTAG_TILEWIDTH, 16);
      TIFFSetField(tiff, TIFFTAG_TILELENGTH, 16);
      for (int i = 0; i < 256; i++) tile[i] = sample_value(p, i / 16, i % 16);
      TIFFWriteEncodedTile(tiff, 0, tile, sizeof tile);
    } else {
      TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 4);
      for (int y = 0; y < SAMPLE_H; y++) {
        for (int x = 0; x < SAMPLE_W; x++) row[x] = sample_value(p, y, x);
        TIFFWriteScanline(tiff, row, (uint32_t)y, 0);
      }
    }
    TIFFWriteDirectory(tiff);
  }
  if (tiff) TIFFClose(tiff);
  return tiff && load_sample(s, path);
}

static inline bool make_samples(samples *all, const char *folder) {
  char     path[400];
  uint16_t plane[SAMPLE_H * SAMPLE_W];
  bool     good = true;
  all->list     = calloc(SAMPLES_MAX, sizeof *all->list);
  if (!all->list) return false;
  for (int i = 0; i < SAMPLE_H * SAMPLE_W; i++) plane[i] = sample_value(0, i / SAMPLE_W, i % SAMPLE_W);
  good &= make_tiff(sample_add(all, "strips.tif"), folder, "wl", COMPRESSION_NONE, false);
  good &= make_tiff(sample_add(all, "big-endian.tif"), folder, "wb8", COMPRESSION_NONE, false);
  good &= make_tiff(sample_add(all, "lzw.tif"), folder, "wl", COMPRESSION_LZW, false);
  good &= make_tiff(sample_add(all, "tiles.tif"), folder, "wl", COMPRESSION_ADOBE_DEFLATE, true);
  snprintf(path, sizeof path, "%s/sample.png", folder);
  good &= weir__image_write(path, WEIR__IMAGE_PNG, WEIR_U16, SAMPLE_H, SAMPLE_W, plane) >= 0;
  good &= load_sample(sample_add(all, "gray.png"), path);
  good &= make_interlaced(sample_add(all, "interlaced.png"), folder);
  make_bmp(sample_add(all, "gray.bmp"));
  make_pgm(sample_add(all, "binary.pgm"), 5);
  sample *text     = sample_add(all, "text.pgm");
  text->cut_unseen = true;
  make_pgm(text, 2);
  make_pgm(sample_add(all, "colour.ppm"), 6);
  make_jpeg(sample_add(all, "gray.jpg"), false, 1);
  make_jpeg(sample_add(all, "progressive.jpg"), true, 3);
  make_cine(sample_add(all, "8.cine"), 8, false);
  make_cine(sample_add(all, "10.cine"), 10, false);
  make_cine(sample_add(all, "12.cine"), 12, false);
  make_cine(sample_add(all, "16.cine"), 16, true);
  return good;
}

/* Open, and read all pages (up to `most`). `room` is what `pixels` has. */
static inline weir_status read_everything(const char *path, int64_t most, void *pixels, int64_t room,
                                          int64_t *largest) {
  weir__image     *image = NULL;
  weir__image_info info;
  weir_status      status = weir__image_open(path, NULL, &image);
  if (status >= 0) status = weir__image_info_get(image, 0, &info);
  int64_t pages = status >= 0 ? info.pages : 0;
  for (int64_t p = 0; status >= 0 && p < pages && p < most; p++) {
    status = weir__image_info_get(image, p, &info);
    if (status < 0) break;
    int64_t nbytes = info.height * info.width * (int64_t)weir_dtype_size(info.dtype);
    if (nbytes > *largest) *largest = nbytes;
    if (nbytes <= room) status = weir__image_read(image, p, pixels);
  }
  weir__image_close(&image);
  return status;
}

static inline bool save(const char *path, const void *bytes, size_t size) {
  unlink(path); /* a file system may flush one that is cut and written again */
  FILE *file = fopen(path, "wb");
  if (!file) return false;
  size_t n = fwrite(bytes, 1, size, file);
  return !fclose(file) && n == size;
}
#endif
