#include "channel/shared.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BYTE_ORDER_MARK = 0x01020304, SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

/* ---- segments ---- */

/* Would growing a file to `bytes` be answered by a signal rather than an error? */
static weir_status check_limits(const char *what, size_t bytes) {
  struct rlimit limit;
  if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
    return WEIR_FAIL(WEIR_ERR_MEMORY, "%s: %zu bytes are more than the limit on file sizes (ulimit -f), %llu bytes",
                     what, bytes, (unsigned long long)limit.rlim_cur);
  uint64_t room = weir__shared_room();
  if (bytes > room)
    return WEIR_FAIL(WEIR_ERR_MEMORY, "%s: %zu bytes of shared memory are wanted, but only %llu are available", what,
                     bytes, (unsigned long long)room);
  return WEIR_OK;
}

int weir__above_standard(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3), saved = errno;
  close(fd);
  errno = saved;
  return moved;
}

weir_status weir__shared_create(const char *what, uint64_t magic, size_t header_bytes, size_t total_bytes, int *fd_out,
                                void *memory_out) {
  WEIR_TRY(check_limits(what, total_bytes));
  int fd = weir__above_standard(memfd_create("weir", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: memfd_create: %s", what, strerror(errno));
  weir_status status = WEIR_OK;
  void       *memory = MAP_FAILED;
  int         error;
  do error = posix_fallocate(fd, 0, (off_t)total_bytes);
  while (error == EINTR);
  if (error) {
    status = WEIR_FAIL(WEIR_ERR_MEMORY, "%s: %zu bytes of shared memory: %s", what, total_bytes, strerror(error));
    goto out;
  }
  if (fchmod(fd, 0600) || fcntl(fd, F_ADD_SEALS, SEALS)) {
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: cannot seal shared memory: %s", what, strerror(errno));
    goto out;
  }
  memory = mmap(NULL, total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) {
    status = WEIR_FAIL(WEIR_ERR_MEMORY, "%s: mapping %zu bytes: %s", what, total_bytes, strerror(errno));
    goto out;
  }
  *(weir__shared_header *)memory = (weir__shared_header){.magic        = magic,
                                                         .version      = WEIR__SHARED_VERSION,
                                                         .byte_order   = BYTE_ORDER_MARK,
                                                         .header_bytes = (uint32_t)header_bytes,
                                                         .total_bytes  = total_bytes};
  *fd_out                        = fd;
  memcpy(memory_out, &memory, sizeof memory);
out:
  if (status) close(fd);
  return status;
}

weir_status weir__shared_check(const char *what, const weir__shared_header *header, uint64_t magic, size_t header_bytes,
                               size_t mapped_bytes) {
  if (header->magic != magic) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: this is no such segment of weir", what);
  if (header->byte_order != BYTE_ORDER_MARK)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: written with another byte order", what);
  if (header->version != WEIR__SHARED_VERSION)
    return WEIR_FAIL(
        WEIR_ERR_INPUT,
        "%s: version %u of the channel, this is version %d: link the simulation and run the workers with the "
        "same weir",
        what, (unsigned)header->version, WEIR__SHARED_VERSION);
  if (header->header_bytes != header_bytes)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: a header of %u bytes, expected %zu: built by another compiler or weir", what,
                     (unsigned)header->header_bytes, header_bytes);
  if (header->total_bytes != mapped_bytes)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: says it has %" PRIu64 " bytes but has %zu", what, header->total_bytes,
                     mapped_bytes);
  return WEIR_OK;
}

static weir_status map_checked(const char *what, int fd, uint64_t magic, size_t header_bytes, void *memory_out,
                               size_t *bytes_out) {
  struct stat status;
  int         seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) || status.st_size < (off_t)header_bytes)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: this is no such segment of weir", what);
  size_t bytes  = (size_t)status.st_size;
  void  *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED)
    return WEIR_FAIL(WEIR_ERR_MEMORY, "%s: mapping %zu bytes: %s", what, bytes, strerror(errno));
  weir_status result = weir__shared_check(what, memory, magic, header_bytes, bytes);
  if (result) {
    munmap(memory, bytes);
    return result;
  }
  memcpy(memory_out, &memory, sizeof memory);
  *bytes_out = bytes;
  return WEIR_OK;
}

weir_status weir__shared_open(const char *what, int64_t pid, int remote, uint64_t magic, size_t header_bytes,
                              void *memory, size_t *bytes) {
  char path[64];
  WEIR_TRY(weir__process_ours(what, pid));
  snprintf(path, sizeof path, "/proc/%" PRId64 "/fd/%d", pid, remote);
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK); /* not to hang should the number mean a pipe by now */
  if (fd < 0) {
    if (errno == ENOENT) return WEIR_FAIL(WEIR_ERR_GONE, "%s: process %" PRId64 " has ended, or closed it", what, pid);
    return WEIR_FAIL(WEIR_ERR_IO, "%s: %s: %s (the same user, and the same container, is needed)", what, path,
                     strerror(errno));
  }
  weir_status status = map_checked(what, fd, magic, header_bytes, memory, bytes);
  close(fd);
  return status;
}

void weir__shared_unmap(void *memory, size_t bytes) {
  void *mapped, *none = NULL;
  memcpy(&mapped, memory, sizeof mapped);
  if (mapped) munmap(mapped, bytes);
  memcpy(memory, &none, sizeof none);
}

/* ---- processes ---- */

int64_t weir__process_start(int64_t pid) {
  char path[48], text[1024];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return -1;
  text[length]  = 0;
  const char *p = strrchr(text, ')'); /* the name may hold anything: proc(5), fields 2, 3 (state) and 22 (start time) */
  if (!p || !p[1]) return -1;
  p += 2;
  if (*p == 'Z' || *p == 'X') return -1;
  for (int field = 3; field < 22 && p; field++) {
    p = strchr(p, ' ');
    if (p) p++;
  }
  return p ? strtoll(p, NULL, 10) : -1;
}

weir_status weir__process_ours(const char *what, int64_t pid) {
  char        path[48];
  struct stat status;
  snprintf(path, sizeof path, "/proc/%" PRId64, pid);
  if (stat(path, &status)) return WEIR_FAIL(WEIR_ERR_GONE, "%s: process %" PRId64 " has ended", what, pid);
  if (status.st_uid == geteuid()) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT,
                   "%s: process %" PRId64 " belongs to user %ld, this is user %ld: the same user is needed", what, pid,
                   (long)status.st_uid, (long)geteuid());
}

/* ---- notes ---- */

static weir_status note_path(const char *run_dir, const char *name, const char *suffix, char path[PATH_MAX]) {
  if (snprintf(path, PATH_MAX, "%s/channel/%s%s", run_dir, name, suffix) >= PATH_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "the path of the run directory '%.80s...' is too long", run_dir);
  return WEIR_OK;
}

static weir_status write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  size_t  length  = strlen(text);
  ssize_t written = write(fd, text, length);
  int     saved   = errno;
  if (close(fd) && written == (ssize_t)length) written = -1, saved = errno;
  if (written == (ssize_t)length) return WEIR_OK;
  unlink(path);
  return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, written < 0 ? strerror(saved) : "disk full");
}

weir_status weir__note_write(const char *run_dir, const char *name, const weir__note *note) {
  char path[PATH_MAX], temporary[PATH_MAX], suffix[32], text[160];
  WEIR_TRY(note_path(run_dir, "", "", path));
  if (mkdir(path, 0700) && errno != EEXIST) return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  snprintf(suffix, sizeof suffix, ".new%ld", (long)getpid());
  WEIR_TRY(note_path(run_dir, name, "", path));
  WEIR_TRY(note_path(run_dir, name, suffix, temporary));
  snprintf(text, sizeof text, "weir-channel %d\npid %" PRId64 "\nstart %" PRId64 "\nfd %d\nsize %d\n",
           WEIR__SHARED_VERSION, note->pid, note->start, note->fd, note->size);
  WEIR_TRY(write_text(temporary, text));
  if (!rename(temporary, path)) return WEIR_OK;
  int saved = errno;
  unlink(temporary);
  return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(saved));
}

/* The text of a note, which must be a file of this user. */
static weir_status read_text(const char *path, char *text, size_t size) {
  struct stat status;
  int         fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT) return WEIR_FAIL(WEIR_ERR_GONE, "%s: nothing is published there", path);
    return WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  }
  bool    ours   = !fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_uid == geteuid();
  ssize_t length = ours ? read(fd, text, size - 1) : 0;
  close(fd);
  text[length < 0 ? 0 : length] = 0;
  return ours ? WEIR_OK : WEIR_FAIL(WEIR_ERR_INPUT, "%s: not a file of this user (%ld)", path, (long)geteuid());
}

static weir_status parse_note(const char *path, const char *text, weir__note *note) {
  int version, end = 0;
  if (sscanf(text, "weir-channel %d", &version) == 1 && version != WEIR__SHARED_VERSION)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: version %d of the channel, this is version %d: link the simulation and run the "
                     "workers with the same weir",
                     path, version, WEIR__SHARED_VERSION);
  int read_count = sscanf(text, "weir-channel %d pid %" SCNd64 " start %" SCNd64 " fd %d size %d %n", &version,
                          &note->pid, &note->start, &note->fd, &note->size, &end);
  if (read_count != 5 || !end || text[end] || note->pid <= 0 || note->fd < 0 || note->size < 0)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: damaged; expected the lines weir-channel, pid, start, fd and size", path);
  return WEIR_OK;
}

weir_status weir__note_read(const char *run_dir, const char *name, weir__note *note) {
  char path[PATH_MAX], text[256];
  WEIR_TRY(note_path(run_dir, name, "", path));
  WEIR_TRY(read_text(path, text, sizeof text));
  return parse_note(path, text, note);
}

/* Between reading and removing, the next process may have put its note there: so it is taken aside, looked at again,
 * and put back if it is not the one that was meant. */
void weir__note_remove(const char *run_dir, const char *name, int64_t pid) {
  char       path[PATH_MAX], aside[PATH_MAX], suffix[64], text[256];
  weir__note note;
  if (weir__note_read(run_dir, name, &note) || note.pid != pid) return;
  snprintf(suffix, sizeof suffix, ".old%ld", (long)getpid());
  if (note_path(run_dir, name, "", path) || note_path(run_dir, name, suffix, aside) || rename(path, aside)) return;
  if (!read_text(aside, text, sizeof text) && !parse_note(aside, text, &note) && note.pid != pid)
    (void)!link(aside, path); /* fails where a still newer one is there already, which stays */
  unlink(aside);
}
