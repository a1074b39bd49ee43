/* What the readers of the image formats share: reading at a place with every bound checked, rows, luminance, and the
 * record of functions that makes a format. */
#ifndef WEIR_IO_IMAGE_PARTS_H
#define WEIR_IO_IMAGE_PARTS_H
#include "core/memory.h"
#include "io/image.h"

enum { WEIR__IMAGE_HEAD = 64, WEIR__IMAGE_STREAM = 65536, WEIR__IMAGE_TEXT = 256 };

/* A format. `open` sets image->info (with pages) and may keep something in image->state, which `close` (NULL: nothing
 * to do) gives back; it is called after a failed open, too. `page` (NULL: all pages are alike) changes `info`, which
 * holds what is true of all pages. `read` gets what `page` said. */
typedef struct weir__image_kind {
  const char *format;
  bool (*matches)(const uint8_t *head, size_t nbytes);
  weir_status (*open)(weir__image *image);
  weir_status (*page)(weir__image *image, int64_t page, weir__image_info *info);
  weir_status (*read)(weir__image *image, int64_t page, const weir__image_info *info, void *out);
  void (*close)(weir__image *image);
} weir__image_kind;
extern const weir__image_kind weir__image_tiff, weir__image_png, weir__image_jpeg, weir__image_bmp, weir__image_pgm,
    weir__image_cine, weir__image_raw_kind;

struct weir__image {
  const weir__image_kind *kind;
  char                   *path; /* owned */
  int                     fd;
  int64_t                 size; /* of the file, bytes */
  weir__image_info        info;
  weir__image_raw         raw;
  uint8_t                 head[WEIR__IMAGE_HEAD]; /* the first bytes, zeros behind the end of the file */
  size_t                  head_bytes;
  void                   *state;   /* of the format */
  uint8_t                *scratch; /* owned; for what cannot be read straight into place */
  size_t                  scratch_bytes;
};

/* Exactly these bytes, or WEIR_ERR_INPUT (cut short), or WEIR_ERR_IO. */
weir_status weir__image_pread(const weir__image *image, int64_t offset, void *out, int64_t nbytes);
/* Rows of `row_bytes` that begin `stride` bytes apart, dense into `out`; `flip`: the last row of the file comes first.
 */
weir_status weir__image_rows(const weir__image *image, int64_t offset, int64_t stride, int64_t row_bytes, int64_t rows,
                             bool flip, void *out);
/* At least `nbytes` in image->scratch, with anything in them. Only for as much as the file was found to hold. */
weir_status weir__image_scratch(weir__image *image, size_t nbytes);
/* Sizes that make sense and that the file can hold: `bits` for each pixel where nothing is compressed, at most `ratio`
 * times fewer where something is. */
weir_status weir__image_size_check(const weir__image *image, const weir__image_info *info, int64_t bits, int64_t ratio);

/* Change the order of the bytes of `count` elements of 2 or 4 bytes. */
void weir__image_swap(void *elements, int64_t count, size_t size);
/* The same where the file's order is not that of this machine. */
void weir__image_from_big(void *elements, int64_t count, size_t size);
void weir__image_from_little(void *elements, int64_t count, size_t size);

/* Rec. 601 luminance, rounded to the nearest: the weights are 0.299, 0.587 and 0.114 in units of 1/65536, their sum is
 * 1, and no sum of uint16 overflows. */
static inline uint32_t weir__image_luminance(uint32_t red, uint32_t green, uint32_t blue) {
  return (19595u * red + 38470u * green + 7471u * blue + 32768u) >> 16;
}
/* Of `count` pixels, their colours `step` elements apart. */
void weir__image_luminance_u8(const uint8_t *red, const uint8_t *green, const uint8_t *blue, int64_t step,
                              int64_t count, uint8_t *out);
void weir__image_luminance_u16(const uint16_t *red, const uint16_t *green, const uint16_t *blue, int64_t step,
                               int64_t count, uint16_t *out);
/* Elements of 1 to 16 bits, the highest bit first, as uint16. Reads (count * bits + 7) / 8 bytes. */
void weir__image_unpack(const uint8_t *packed, int bits, int64_t count, uint16_t *out);
/* Indices into a table of `entries`; false: one is beyond it. In place. */
bool weir__image_look_up(uint8_t *indices, int64_t count, const uint8_t *table, int entries);
/* 8, 10, 12, 14 or 16 bits: the least that hold `largest`. */
int weir__image_bits(uint32_t largest);

/* Reading from the beginning to the end through a buffer. */
typedef struct weir__image_stream {
  const weir__image *image;
  int64_t            offset; /* in the file, of what comes after the buffer */
  size_t             at, filled;
  weir_status        failed; /* of the file system; a file that ends is none */
  uint8_t            buffer[WEIR__IMAGE_STREAM];
} weir__image_stream;
weir_status weir__image_stream_open(const weir__image *image, int64_t offset, weir__image_stream **stream);
/* Fill the buffer again; false: the file is at its end, or failed. */
bool weir__image_stream_fill(weir__image_stream *stream);
/* The next byte, or -1. */
static inline int weir__image_stream_get(weir__image_stream *stream) {
  if (stream->at == stream->filled && !weir__image_stream_fill(stream)) return -1;
  return stream->buffer[stream->at++];
}
/* So many of the next bytes as there are. */
size_t weir__image_stream_read(weir__image_stream *stream, void *out, size_t nbytes);

static inline uint32_t weir__image_le16(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8); }
static inline uint32_t weir__image_le32(const uint8_t *p) {
  return weir__image_le16(p) | weir__image_le16(p + 2) << 16;
}
static inline uint64_t weir__image_le64(const uint8_t *p) {
  return weir__image_le32(p) | (uint64_t)weir__image_le32(p + 4) << 32;
}
static inline uint32_t weir__image_be16(const uint8_t *p) { return (uint32_t)(p[0] << 8 | p[1]); }
static inline uint32_t weir__image_be32(const uint8_t *p) {
  return weir__image_be16(p) << 16 | weir__image_be16(p + 2);
}

/* The 12-bit values that the 10 bits of a packed cine stand for. */
extern const uint16_t weir__image_cine_linear[1024];
#endif
