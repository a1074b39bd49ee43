/* libtiff on a descriptor, and the chain of directories. */
#include "io/image_tiff.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static tmsize_t io_read(thandle_t handle, void *out, tmsize_t nbytes) {
  weir__tiff_io *io   = handle;
  tmsize_t       done = 0;
  while (done < nbytes) {
    ssize_t n = pread(io->fd, (char *)out + done, (size_t)(nbytes - done), io->position);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    io->position += n;
    done += n;
  }
  return done;
}

static tmsize_t io_write(thandle_t handle, void *bytes, tmsize_t nbytes) {
  weir__tiff_io *io   = handle;
  tmsize_t       done = 0;
  while (done < nbytes) {
    ssize_t n = pwrite(io->fd, (char *)bytes + done, (size_t)(nbytes - done), io->position);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (!*io->why) snprintf(io->why, sizeof io->why, "%s", strerror(errno));
      io->failed = true;
      break;
    }
    io->position += n;
    done += n;
  }
  if (io->position > io->size) io->size = io->position;
  return done;
}

static toff_t io_seek(thandle_t handle, toff_t offset, int whence) {
  weir__tiff_io *io   = handle;
  int64_t        from = whence == SEEK_CUR ? io->position : whence == SEEK_END ? io->size : 0, to;
  if (__builtin_add_overflow(from, (int64_t)offset, &to) || to < 0) return (toff_t)-1;
  io->position = to;
  return (toff_t)to;
}

static int    io_close(thandle_t handle) { return (void)handle, 0; }
static toff_t io_size(thandle_t handle) { return (toff_t)((weir__tiff_io *)handle)->size; }

static int on_error(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
  weir__tiff_io *io = user;
  (void)tiff, (void)module;
  if (!*io->why) vsnprintf(io->why, sizeof io->why, format, arguments);
  io->failed = true;
  return 1; /* and nobody else is told */
}

static int on_warning(TIFF *tiff, void *user, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)user, (void)module, (void)format, (void)arguments;
  return 1;
}

TIFF *weir__tiff_open(weir__tiff_io *io, const char *path, const char *mode, int64_t largest) {
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  TIFF            *tiff    = NULL;
  if (!options) return NULL;
  TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, io);
  TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, io);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, largest);
  tiff = TIFFClientOpenExt(path, mode, io, io_read, io_write, io_seek, io_close, io_size, NULL, NULL, options);
  TIFFOpenOptionsFree(options);
  return tiff;
}

typedef struct chain {
  const weir__image *image;
  bool               big_endian, big; /* big: BigTIFF */
} chain;

static weir_status get(const chain *c, int64_t offset, int nbytes, uint64_t *value) {
  uint8_t b[8];
  WEIR_TRY(weir__image_pread(c->image, offset, b, nbytes));
  *value = 0;
  for (int i = 0; i < nbytes; i++) *value = *value << 8 | b[c->big_endian ? i : nbytes - 1 - i];
  return WEIR_OK;
}

/* Where the directory behind the one at `offset` is; 0: nowhere. */
static weir_status next_directory(const chain *c, uint64_t offset, uint64_t *next) {
  const weir__image *image = c->image;
  uint64_t           entries;
  if (offset < 8 || offset >= (uint64_t)image->size)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short or damaged: a TIFF directory at byte %llu of %lld", image->path,
                     (unsigned long long)offset, (long long)image->size);
  WEIR_TRY(get(c, (int64_t)offset, c->big ? 8 : 2, &entries));
  uint64_t room = (uint64_t)image->size / (c->big ? 20 : 12);
  if (!entries || entries > room)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short or damaged: a TIFF directory of %llu entries at byte %llu",
                     image->path, (unsigned long long)entries, (unsigned long long)offset);
  uint64_t end = offset + (c->big ? 8 + 20 * entries : 2 + 12 * entries);
  return get(c, (int64_t)end, c->big ? 8 : 4, next);
}

weir_status weir__tiff_pages(const weir__image *image, uint64_t **directories, int64_t *pages) {
  const uint8_t *h      = image->head;
  chain          c      = {.image = image, .big_endian = h[0] == 'M', .big = h[2] + h[3] == 43};
  weir_status    status = WEIR_OK;
  uint64_t      *list = NULL, offset = 0, kept = 0;
  size_t         count = 0, capacity = 0, lap = 1;
  WEIR_TRY(get(&c, c.big ? 8 : 4, c.big ? 8 : 4, &offset));
  do {
    WEIR_TRY_GOTO(out, weir__grow(&list, count + 1, &capacity, sizeof *list));
    list[count++] = offset;
    WEIR_TRY_GOTO(out, next_directory(&c, offset, &offset));
    /* Brent: one offset is kept and compared with all that follow; it moves on at each power of two, so that a circle
     * is found in time linear in its length. */
    if (offset == list[kept]) {
      status = WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: the directories of its TIFF pages form a circle", image->path);
      goto out;
    }
    if (count == lap) kept = count - 1, lap *= 2;
  } while (offset);
  *directories = list;
  *pages       = (int64_t)count;
  list         = NULL;
out:
  weir__free(list);
  return status;
}
