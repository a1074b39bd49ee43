/* Compression of chunks. All of it on the calling thread: the bytes must not depend on a number of threads. */
#include "io/zarr_parts.h"
#include <blosc.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

bool weir__zarr_codec_parse(const char *name, weir__zarr_codec *codec) {
  static const char *const names[] = {"none", "zlib", "zstd", "blosc"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
    if (strcmp(name, names[i])) continue;
    *codec = (weir__zarr_codec)i;
    return true;
  }
  return false;
}

/* Chunks are little endian in the file. */
static void swap_on_big_endian(void *bytes, size_t nbytes, size_t size) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  unsigned char *p = bytes;
  for (size_t i = 0; i < nbytes; i += size)
    for (size_t a = 0, b = size - 1; a < b; a++, b--) {
      unsigned char c = p[i + a];
      p[i + a]        = p[i + b];
      p[i + b]        = c;
    }
#else
  (void)bytes, (void)nbytes, (void)size;
#endif
}

size_t weir__zarr_bound(const weir__zarr *zarr, size_t nbytes) {
  switch (zarr->codec) {
  case WEIR__ZARR_NONE: break;
  case WEIR__ZARR_ZLIB: return compressBound((uLong)nbytes);
  case WEIR__ZARR_ZSTD: return ZSTD_compressBound(nbytes);
  case WEIR__ZARR_BLOSC: return nbytes + BLOSC_MAX_OVERHEAD;
  }
  return nbytes;
}

weir_status weir__zarr_encode(const weir__zarr_array *array, const void *bytes, void *out, size_t *nbytes) {
  const weir__zarr *zarr  = array->zarr;
  size_t            bound = weir__zarr_bound(zarr, array->chunk_nbytes), size = weir_dtype_size(array->dtype);
  unsigned char    *swapped = NULL;
  const void       *source  = bytes;
  size_t            made    = 0;
  if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ && size > 1) {
    WEIR_TRY(weir__alloc_zeroed(array->chunk_nbytes, 0, &swapped));
    memcpy(swapped, bytes, array->chunk_nbytes);
    swap_on_big_endian(swapped, array->chunk_nbytes, size);
    source = swapped;
  }
  switch (zarr->codec) {
  case WEIR__ZARR_NONE:
    memcpy(out, source, array->chunk_nbytes);
    made = array->chunk_nbytes;
    break;
  case WEIR__ZARR_ZLIB: {
    uLongf length = (uLongf)bound;
    if (compress2(out, &length, source, (uLong)array->chunk_nbytes, zarr->level) == Z_OK) made = length;
    break;
  }
  case WEIR__ZARR_ZSTD: {
    size_t length = ZSTD_compress(out, bound, source, array->chunk_nbytes, zarr->level);
    if (!ZSTD_isError(length)) made = length;
    break;
  }
  case WEIR__ZARR_BLOSC: {
    int length = blosc_compress_ctx(zarr->level, size > 1 ? BLOSC_SHUFFLE : BLOSC_NOSHUFFLE, size, array->chunk_nbytes,
                                    source, out, bound, "zstd", 0, 1);
    if (length > 0) made = (size_t)length;
    break;
  }
  }
  weir__free(swapped);
  if (!made) return WEIR_FAIL(WEIR_ERR_INTERNAL, "%s/%s: a chunk could not be compressed", zarr->path, array->name);
  *nbytes = made;
  return WEIR_OK;
}

weir_status weir__zarr_decode(const weir__zarr_array *array, const char *shown, const void *bytes, size_t nbytes,
                              void *out) {
  size_t wanted = array->chunk_nbytes, got = 0;
  switch (array->zarr->codec) {
  case WEIR__ZARR_NONE:
    got = nbytes;
    if (got == wanted) memcpy(out, bytes, wanted);
    break;
  case WEIR__ZARR_ZLIB: {
    uLongf length = (uLongf)wanted;
    if (uncompress(out, &length, bytes, (uLong)nbytes) == Z_OK) got = length;
    break;
  }
  case WEIR__ZARR_ZSTD: {
    size_t length = ZSTD_decompress(out, wanted, bytes, nbytes);
    if (!ZSTD_isError(length)) got = length;
    break;
  }
  case WEIR__ZARR_BLOSC: {
    size_t length = 0;
    if (nbytes >= BLOSC_MIN_HEADER_LENGTH && !blosc_cbuffer_validate(bytes, nbytes, &length) && length == wanted &&
        blosc_decompress_ctx(bytes, out, wanted, 1) == (int)wanted)
      got = wanted;
    break;
  }
  }
  if (got != wanted)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: a chunk of %zu bytes was expected", shown, wanted);
  swap_on_big_endian(out, wanted, weir_dtype_size(array->dtype));
  return WEIR_OK;
}
