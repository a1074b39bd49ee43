/* The spill file: steps for which there is no slot, on a local disk.
 *
 * It has no name and is found as /proc/PID/fd/FD, so nothing is left behind whoever dies. It is never mapped: a disk
 * that is full or fails is an error of pwrite and no signal. A place is as large as a slot (in whole pages) and laid
 * out alike; its space is reserved before the first step is written into it. */
#include "channel/segment.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Some file systems cannot make files without a name: then the name is taken away at once. */
static int open_named(const char *directory) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/weir-spill-XXXXXX", directory) >= (int)sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd >= 0) unlink(path);
  return fd;
}

weir_status weir__spill_open(const char *directory, const weir__layout *layout, weir__spill *spill) {
  *spill    = (weir__spill){.places = layout->spill_places, .place_bytes = layout->place_bytes};
  spill->fd = weir__above_standard(open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (spill->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
    spill->fd = weir__above_standard(open_named(directory));
  if (spill->fd >= 0) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_IO, "spill directory '%s': %s", directory, strerror(errno));
}

bool weir__spill_reserve(weir__spill *spill) {
  struct rlimit limit;
  uint64_t      end = (uint64_t)(spill->reserved + 1) * spill->place_bytes;
  int           error;
  if (spill->reserved >= spill->places || spill->message[0] || end > INT64_MAX) return false;
  /* beyond this limit the kernel would answer with a signal */
  if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur) return false;
  do error = posix_fallocate(spill->fd, (off_t)(end - spill->place_bytes), (off_t)spill->place_bytes);
  while (error == EINTR);
  if (!error) {
    spill->reserved++;
    return true;
  }
  if (error != ENOSPC && error != EDQUOT && error != EFBIG)
    snprintf(spill->message, sizeof spill->message, "reserving space in the spill file: %s", strerror(error));
  return false;
}

static bool write_all(int fd, const char *bytes, size_t length, off_t at) {
  while (length) {
    ssize_t done = pwrite(fd, bytes, length, at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes += done, at += done, length -= (size_t)done;
  }
  return true;
}

weir_status weir__spill_write(weir__spill *spill, const weir__layout *layout, int place, const uint8_t *present) {
  off_t at   = (off_t)((size_t)(place - layout->slots) * spill->place_bytes);
  bool  fine = write_all(spill->fd, (const char *)present, (size_t)layout->pieces, at);
  for (int p = 0; p < layout->pieces && fine; p++) {
    const weir__layout_piece *piece = &layout->piece[p];
    if (present[p] && !piece->is_static)
      fine = write_all(spill->fd, weir__at(spill->staging, piece->at), piece->bytes, at + (off_t)piece->at);
  }
  if (fine) return WEIR_OK;
  snprintf(spill->message, sizeof spill->message, "writing to the spill file: %s", strerror(errno));
  return WEIR_FAIL(WEIR_ERR_IO, "%s; nothing is spilled any more", spill->message);
}

static weir_status read_all(int fd, char *bytes, size_t length, off_t at) {
  while (length) {
    ssize_t done = pread(fd, bytes, length, at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0)
      return WEIR_FAIL(WEIR_ERR_IO, "reading from the spill file: %s", done < 0 ? strerror(errno) : "it is too short");
    bytes += done, at += done, length -= (size_t)done;
  }
  return WEIR_OK;
}

weir_status weir__spill_read(int fd, const weir__layout *layout, int place, void *memory) {
  off_t    at      = (off_t)((size_t)(place - layout->slots) * layout->place_bytes);
  uint8_t *present = memory;
  WEIR_TRY(read_all(fd, memory, (size_t)layout->pieces, at));
  for (int p = 0; p < layout->pieces; p++) {
    const weir__layout_piece *piece = &layout->piece[p];
    if (present[p] && piece->wanted && !piece->is_static)
      WEIR_TRY(read_all(fd, weir__at(memory, piece->at), piece->bytes, at + (off_t)piece->at));
  }
  return WEIR_OK;
}

void weir__spill_close(weir__spill *spill) {
  if (spill->fd >= 0) close(spill->fd);
  weir__free(spill->staging);
  *spill = (weir__spill){.fd = -1};
}
