/* Bytes of image files: reading at a place, rows, streams; and what is done to elements once they are read. */
#include "io/image_parts.h"
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

weir_status weir__image_pread(const weir__image *image, int64_t offset, void *out, int64_t nbytes) {
  char *to = out;
  if (offset < 0 || nbytes < 0 || offset > image->size || nbytes > image->size - offset)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short or damaged: bytes %lld to %lld are needed, it has %lld",
                     image->path, (long long)offset, (long long)offset + nbytes, (long long)image->size);
  while (nbytes) {
    ssize_t n = pread(image->fd, to, (size_t)nbytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot read %s: %s", image->path, strerror(errno));
    if (!n)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s was cut while it was read: it had %lld bytes, now less than %lld",
                       image->path, (long long)image->size, (long long)offset + nbytes);
    to += n;
    offset += n;
    nbytes -= n;
  }
  return WEIR_OK;
}

static weir_status rows_one_by_one(const weir__image *image, int64_t offset, int64_t stride, int64_t row_bytes,
                                   int64_t first, int64_t last, int64_t rows, bool flip, char *out) {
  for (int64_t y = first; y < last; y++)
    WEIR_TRY(weir__image_pread(image, offset + y * stride, out + (flip ? rows - 1 - y : y) * row_bytes, row_bytes));
  return WEIR_OK;
}

weir_status weir__image_rows(const weir__image *image, int64_t offset, int64_t stride, int64_t row_bytes, int64_t rows,
                             bool flip, void *out) {
  enum { BATCH = 256, GAP_MAX = 4096 };
  char         gap[GAP_MAX]; /* what lies between rows is read to nowhere: cheaper than a call for each row */
  struct iovec part[2 * BATCH];
  if (stride == row_bytes && !flip) return weir__image_pread(image, offset, out, row_bytes * rows);
  if (offset < 0 || offset > image->size || (image->size - offset - row_bytes) / stride < rows - 1 ||
      image->size - offset < row_bytes)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s is cut short or damaged: %lld rows of %lld bytes are needed from byte %lld on, "
                     "it has %lld bytes",
                     image->path, (long long)rows, (long long)stride, (long long)offset, (long long)image->size);
  if (stride - row_bytes > GAP_MAX) return rows_one_by_one(image, offset, stride, row_bytes, 0, rows, rows, flip, out);
  for (int64_t y = 0; y < rows; y += BATCH) {
    int     parts = 0;
    int64_t last = y + BATCH < rows ? y + BATCH : rows, wanted = 0;
    for (int64_t i = y; i < last; i++) {
      char *to      = (char *)out + (flip ? rows - 1 - i : i) * row_bytes;
      part[parts++] = (struct iovec){to, (size_t)row_bytes};
      wanted += row_bytes;
      if (i == last - 1 || stride == row_bytes) continue;
      part[parts++] = (struct iovec){gap, (size_t)(stride - row_bytes)};
      wanted += stride - row_bytes;
    }
    if (preadv(image->fd, part, parts, offset + y * stride) != wanted) /* interrupted, or too much for one call */
      WEIR_TRY(rows_one_by_one(image, offset, stride, row_bytes, y, last, rows, flip, out));
  }
  return WEIR_OK;
}

weir_status weir__image_scratch(weir__image *image, size_t nbytes) {
  if (nbytes <= image->scratch_bytes) return WEIR_OK;
  weir__free(image->scratch);
  image->scratch       = NULL;
  image->scratch_bytes = 0;
  WEIR_TRY(weir__alloc_zeroed(nbytes, 0, &image->scratch));
  image->scratch_bytes = nbytes;
  return WEIR_OK;
}

void weir__image_swap(void *elements, int64_t count, size_t size) {
  if (size == 2) {
    uint16_t *x = elements;
    for (int64_t i = 0; i < count; i++) x[i] = (uint16_t)(x[i] << 8 | x[i] >> 8);
  } else if (size == 4) {
    uint32_t *x = elements;
    for (int64_t i = 0; i < count; i++) x[i] = __builtin_bswap32(x[i]);
  }
}

void weir__image_from_big(void *elements, int64_t count, size_t size) {
  if (__BYTE_ORDER__ != __ORDER_BIG_ENDIAN__) weir__image_swap(elements, count, size);
}

void weir__image_from_little(void *elements, int64_t count, size_t size) {
  if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) weir__image_swap(elements, count, size);
}

void weir__image_luminance_u8(const uint8_t *red, const uint8_t *green, const uint8_t *blue, int64_t step,
                              int64_t count, uint8_t *out) {
  for (int64_t i = 0; i < count; i++)
    out[i] = (uint8_t)weir__image_luminance(red[i * step], green[i * step], blue[i * step]);
}

void weir__image_luminance_u16(const uint16_t *red, const uint16_t *green, const uint16_t *blue, int64_t step,
                               int64_t count, uint16_t *out) {
  for (int64_t i = 0; i < count; i++)
    out[i] = (uint16_t)weir__image_luminance(red[i * step], green[i * step], blue[i * step]);
}

/* The usual widths in groups of whole bytes, several times quicker than bit by bit; how many pixels were done. */
static int64_t unpack_groups(const uint8_t *p, int bits, int64_t count, uint16_t *out) {
  int64_t i = 0;
  if (bits == 10)
    for (; i + 4 <= count; i += 4, p += 5) {
      out[i]     = (uint16_t)(p[0] << 2 | p[1] >> 6);
      out[i + 1] = (uint16_t)((p[1] & 63) << 4 | p[2] >> 4);
      out[i + 2] = (uint16_t)((p[2] & 15) << 6 | p[3] >> 2);
      out[i + 3] = (uint16_t)((p[3] & 3) << 8 | p[4]);
    }
  if (bits == 12)
    for (; i + 2 <= count; i += 2, p += 3) {
      out[i]     = (uint16_t)(p[0] << 4 | p[1] >> 4);
      out[i + 1] = (uint16_t)((p[1] & 15) << 8 | p[2]);
    }
  return i;
}

void weir__image_unpack(const uint8_t *packed, int bits, int64_t count, uint16_t *out) {
  uint32_t held = 0, mask = (1u << bits) - 1;
  int      have = 0;
  int64_t  done = unpack_groups(packed, bits, count, out);
  packed += done * bits / 8;
  for (int64_t i = done; i < count; i++) {
    for (; have < bits; have += 8) held = held << 8 | *packed++;
    have -= bits;
    out[i] = (uint16_t)(held >> have & mask);
  }
}

bool weir__image_look_up(uint8_t *indices, int64_t count, const uint8_t *table, int entries) {
  int largest = 0;
  for (int64_t i = 0; i < count; i++) largest = indices[i] > largest ? indices[i] : largest;
  if (largest >= entries) return false;
  for (int64_t i = 0; i < count; i++) indices[i] = table[indices[i]];
  return true;
}

int weir__image_bits(uint32_t largest) {
  int bits = 8;
  while (bits < 16 && largest >> bits) bits += 2;
  return bits;
}

weir_status weir__image_stream_open(const weir__image *image, int64_t offset, weir__image_stream **stream) {
  weir__image_stream *self = NULL;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->image  = image;
  self->offset = offset;
  *stream      = self;
  return WEIR_OK;
}

bool weir__image_stream_fill(weir__image_stream *stream) {
  int64_t left   = stream->image->size - stream->offset;
  int64_t nbytes = left < WEIR__IMAGE_STREAM ? left : WEIR__IMAGE_STREAM;
  stream->at = stream->filled = 0;
  if (nbytes <= 0 || stream->failed < 0) return false;
  stream->failed = weir__image_pread(stream->image, stream->offset, stream->buffer, nbytes);
  if (stream->failed < 0) return false;
  stream->filled = (size_t)nbytes;
  stream->offset += nbytes;
  return true;
}

size_t weir__image_stream_read(weir__image_stream *stream, void *out, size_t nbytes) {
  size_t done = 0;
  while (done < nbytes) {
    if (stream->at == stream->filled && !weir__image_stream_fill(stream)) break;
    size_t part = stream->filled - stream->at;
    if (part > nbytes - done) part = nbytes - done;
    memcpy((char *)out + done, stream->buffer + stream->at, part);
    stream->at += part;
    done += part;
  }
  return done;
}
