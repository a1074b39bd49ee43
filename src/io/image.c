/* Opening images, whatever their format. */
#include "io/image_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static weir_status open_file(weir__image *image) {
  struct stat info;
  /* O_NONBLOCK: a pipe of that name must not make us wait */
  image->fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (image->fd < 0 && errno == ENOENT) return WEIR_FAIL(WEIR_ERR_GONE, "%s: there is no such file", image->path);
  if (image->fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot open %s: %s", image->path, strerror(errno));
  if (fstat(image->fd, &info))
    return WEIR_FAIL(WEIR_ERR_IO, "cannot ask for the size of %s: %s", image->path, strerror(errno));
  if (!S_ISREG(info.st_mode)) return WEIR_FAIL(WEIR_ERR_INPUT, "%s is no file; expected an image", image->path);
  image->size       = info.st_size;
  image->head_bytes = image->size < WEIR__IMAGE_HEAD ? (size_t)image->size : WEIR__IMAGE_HEAD;
  return weir__image_pread(image, 0, image->head, (int64_t)image->head_bytes);
}

static weir_status find_kind(weir__image *image) {
  static const weir__image_kind *const kinds[] = {&weir__image_tiff, &weir__image_png,  &weir__image_bmp,
                                                  &weir__image_pgm,  &weir__image_jpeg, &weir__image_cine};
  const char                          *known   = "TIFF, PNG, BMP, JPEG, PGM or cine";
  const uint8_t                       *head    = image->head;
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    if (kinds[k]->matches(head, image->head_bytes)) {
      image->kind = kinds[k];
      return WEIR_OK;
    }
  if (!image->size) return WEIR_FAIL(WEIR_ERR_INPUT, "%s is empty; expected an image: %s", image->path, known);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s (%lld bytes, the first %02x %02x %02x %02x) is no image of a known kind: %s",
                   image->path, (long long)image->size, head[0], head[1], head[2], head[3], known);
}

weir_status weir__image_open(const char *path, const weir__image_raw *raw, weir__image **image) {
  weir_status  status = WEIR_OK;
  weir__image *self   = NULL;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->fd = -1;
  WEIR_TRY_GOTO(out, weir__alloc_string(path, &self->path));
  WEIR_TRY_GOTO(out, open_file(self));
  if (raw) {
    self->raw  = *raw;
    self->kind = &weir__image_raw_kind;
  } else WEIR_TRY_GOTO(out, find_kind(self));
  self->info.format = self->kind->format;
  self->info.pages  = 1;
  WEIR_TRY_GOTO(out, self->kind->open(self));
  *image = self;
  self   = NULL;
out:
  weir__image_close(&self);
  return status;
}

weir_status weir__image_info_get(weir__image *image, int64_t page, weir__image_info *info) {
  weir__image_info found = image->info;
  if (page < 0 || page >= found.pages)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s has no page %lld; its pages are 0 to %lld", image->path, (long long)page,
                     (long long)found.pages - 1);
  if (image->kind->page) WEIR_TRY(image->kind->page(image, page, &found));
  *info = found;
  return WEIR_OK;
}

weir_status weir__image_read(weir__image *image, int64_t page, void *out) {
  weir__image_info info;
  WEIR_TRY(weir__image_info_get(image, page, &info));
  return image->kind->read(image, page, &info, out);
}

void weir__image_close(weir__image **image) {
  weir__image *self = *image;
  if (!self) return;
  if (self->kind && self->kind->close) self->kind->close(self);
  if (self->fd >= 0) close(self->fd);
  weir__free(self->scratch);
  weir__free(self->path);
  weir__free(self);
  *image = NULL;
}

weir_status weir__image_size_check(const weir__image *image, const weir__image_info *info, int64_t bits,
                                   int64_t ratio) {
  if (info->height < 1 || info->width < 1 || info->height > INT32_MAX || info->width > INT32_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s of %lld x %lld pixels; expected 1 to 2147483647 on each side", image->path,
                     info->format, (long long)info->width, (long long)info->height);
  /* a row of padding or of rounding is no reason to refuse: what is missing is found when it is read */
  double needed = (double)info->width * (double)info->height * (double)bits / 8;
  if (needed <= (double)image->size * (double)ratio) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short or damaged: %s of %lld x %lld pixels cannot be in %lld bytes",
                   image->path, info->format, (long long)info->width, (long long)info->height, (long long)image->size);
}
