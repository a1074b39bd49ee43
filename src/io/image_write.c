/* Writing images: into a temporary name in the same folder (that of weir__file_replace, so that a repetition after a
 * crash reuses it), then a rename. */
#include "io/image_tiff.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <png.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool weir__image_format_of(const char *path, weir__image_format *format) {
  static const struct {
    const char        *end;
    weir__image_format format;
  } known[] = {
      {".tif", WEIR__IMAGE_TIFF}, {".tiff", WEIR__IMAGE_TIFF}, {".png", WEIR__IMAGE_PNG}, {".pgm", WEIR__IMAGE_PGM}};
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
    if (!strcasecmp(dot, known[i].end)) {
      *format = known[i].format;
      return true;
    }
  return false;
}

typedef struct plane {
  const char *path;
  int         fd;
  weir_dtype  dtype;
  int64_t     height, width;
  const void *pixels;
} plane;

static weir_status put(const plane *p, const void *bytes, size_t nbytes) {
  const char *from = bytes;
  while (nbytes) {
    ssize_t n = write(p->fd, from, nbytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", p->path, strerror(errno));
    from += n;
    nbytes -= (size_t)n;
  }
  return WEIR_OK;
}

static weir_status write_tiff(const plane *p) {
  enum { LIBTIFF_LARGEST = 1 << 24 };
  const int64_t classic = 4000000000; /* a classic TIFF has offsets of 32 bits */
  size_t        size    = weir_dtype_size(p->dtype);
  int64_t       nbytes  = p->height * p->width * (int64_t)size;
  weir__tiff_io io      = {.fd = p->fd};
  TIFF         *tiff    = weir__tiff_open(&io, p->path, nbytes > classic ? "w8" : "w", LIBTIFF_LARGEST);
  bool          good    = tiff != NULL;
  if (good) {
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)p->width);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)p->height);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, (int)size * 8);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, p->dtype == WEIR_F32 ? SAMPLEFORMAT_IEEEFP : SAMPLEFORMAT_UINT);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, (uint32_t)p->height); /* one strip: it is read at once */
    good = TIFFWriteEncodedStrip(tiff, 0, (void *)p->pixels, nbytes) == nbytes && TIFFWriteDirectory(tiff);
    TIFFClose(tiff);
  }
  if (good && !io.failed) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: TIFF: %s", p->path, *io.why ? io.why : "out of memory");
}

typedef struct png_encoder {
  const plane *plane;
  weir_status  failed; /* of writing */
  png_structp  png;
  png_infop    info;
  char         why[WEIR__IMAGE_TEXT];
} png_encoder;

static void on_error(png_structp png, png_const_charp text) {
  png_encoder *encoder = png_get_error_ptr(png);
  if (!*encoder->why) snprintf(encoder->why, sizeof encoder->why, "%s", text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void on_write(png_structp png, png_bytep bytes, size_t nbytes) {
  png_encoder *encoder = png_get_io_ptr(png);
  encoder->failed      = put(encoder->plane, bytes, nbytes);
  if (encoder->failed < 0) png_error(png, "the file system failed");
}

static void on_flush(png_structp png) { (void)png; }

/* libpng's errors leave by longjmp; nothing is owned here. */
static weir_status encode_png(png_encoder *encoder) {
  enum { FAST = 1, PART = 1 << 18 };
  const plane *p    = encoder->plane;
  png_structp  png  = encoder->png;
  size_t       size = weir_dtype_size(p->dtype);
  if (setjmp(png_jmpbuf(png))) {
    if (encoder->failed < 0) return encoder->failed;
    return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: PNG: %s", p->path, encoder->why);
  }
  png_set_write_fn(png, encoder, on_write, on_flush);
  png_set_user_limits(png, INT32_MAX, INT32_MAX);
  png_set_compression_level(png, FAST);
  png_set_compression_buffer_size(png, PART); /* fewer and larger writes */
  /* differences of neighbours: what one fixed filter gains is had without the time to choose */
  png_set_filter(png, 0, PNG_FILTER_SUB);
  png_set_IHDR(png, encoder->info, (png_uint_32)p->width, (png_uint_32)p->height, (int)size * 8, PNG_COLOR_TYPE_GRAY,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, encoder->info);
  if (size == 2 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(png);
  for (int64_t y = 0; y < p->height; y++)
    png_write_row(png, (png_const_bytep)p->pixels + (size_t)(y * p->width) * size);
  png_write_end(png, NULL);
  return WEIR_OK;
}

static weir_status write_png(const plane *p) {
  weir_status status  = WEIR_OK;
  png_encoder encoder = {.plane = p};
  encoder.png         = png_create_write_struct(PNG_LIBPNG_VER_STRING, &encoder, on_error, on_warning);
  if (encoder.png) encoder.info = png_create_info_struct(encoder.png);
  if (encoder.info) status = encode_png(&encoder);
  else status = WEIR_FAIL(WEIR_ERR_MEMORY, "%s: no memory for libpng", p->path);
  png_destroy_write_struct(&encoder.png, &encoder.info);
  return status;
}

static weir_status write_pgm(const plane *p) {
  enum { PART = 16384 };
  char            head[80];
  uint16_t        part[PART];
  const uint16_t *wide   = p->pixels;
  int64_t         count  = p->height * p->width;
  int             length = snprintf(head, sizeof head, "P5\n%lld %lld\n%d\n", (long long)p->width, (long long)p->height,
                        p->dtype == WEIR_U8 ? 255 : 65535);
  WEIR_TRY(put(p, head, (size_t)length));
  if (p->dtype == WEIR_U8) return put(p, p->pixels, (size_t)count);
  for (int64_t i = 0; i < count; i += PART) {
    int64_t some = count - i < PART ? count - i : PART;
    memcpy(part, wide + i, (size_t)some * sizeof *part);
    weir__image_from_big(part, some, sizeof *part);
    WEIR_TRY(put(p, part, (size_t)some * sizeof *part));
  }
  return WEIR_OK;
}

static weir_status check(const plane *p, weir__image_format format) {
  if (p->dtype != WEIR_U8 && p->dtype != WEIR_U16 && !(p->dtype == WEIR_F32 && format == WEIR__IMAGE_TIFF))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: pixels of type %s; expected uint8 or uint16%s", p->path,
                     weir_dtype_name(p->dtype), format == WEIR__IMAGE_TIFF ? " or float32" : " (TIFF: float32, too)");
  if (p->height >= 1 && p->width >= 1 && p->height <= INT32_MAX && p->width <= INT32_MAX) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: an image of %lld x %lld pixels; expected 1 to 2147483647 on each side",
                   p->path, (long long)p->width, (long long)p->height);
}

weir_status weir__image_write(const char *path, weir__image_format format, weir_dtype dtype, int64_t height,
                              int64_t width, const void *pixels) {
  plane       p = {.path = path, .dtype = dtype, .height = height, .width = width, .pixels = pixels};
  char        part[PATH_MAX];
  const char *slash = strrchr(path, '/');
  int         head  = slash ? (int)(slash - path) + 1 : 0;
  WEIR_TRY(check(&p, format));
  if (snprintf(part, sizeof part, "%.*s.part-%s", head, path, path + head) >= (int)sizeof part)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: the name is too long", path);
  p.fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (p.fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot create %s: %s", path, strerror(errno));
  weir_status status = format == WEIR__IMAGE_TIFF  ? write_tiff(&p)
                       : format == WEIR__IMAGE_PNG ? write_png(&p)
                                                   : write_pgm(&p);
  if (close(p.fd) && status >= 0) status = WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  if (status >= 0 && rename(part, path)) status = WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", path, strerror(errno));
  if (status < 0) unlink(part);
  return status;
}
