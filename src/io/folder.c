#include "io/folder.h"
#include "core/memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_BYTES = 65536, RECENT_S = 3 };

struct weir__folder {
  char           *path;   /* owned */
  int             fd;     /* of the folder */
  int             notify; /* -1: none */
  int             bell;
  bool            sees;
  struct timespec listed; /* the folder's time of change before it was listed last */
  size_t          at, filled;
  _Alignas(struct inotify_event) char events[EVENTS_BYTES];
};

/* File systems that other hosts write to, of which the kernel knows nothing. The numbers are those of statfs(2) and of
 * the systems' own sources. */
static bool is_remote(int fd) {
  static const uint32_t remote[] = {0x6969 /* NFS */,        0x517b /* SMB */,        0xff534d42 /* CIFS */,
                                    0xfe534d42 /* SMB2 */,   0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */,
                                    0x00c36400 /* Ceph */,   0x65735546 /* FUSE */,   0x01021997 /* 9P */,
                                    0x19830326 /* BeeGFS */, 0x5346414f /* AFS */,    0x20030528 /* OrangeFS */};
  struct statfs         about;
  if (fstatfs(fd, &about)) return true;
  for (size_t k = 0; k < sizeof remote / sizeof *remote; k++)
    if ((uint32_t)about.f_type == remote[k]) return true;
  return false;
}

weir_status weir__folder_open(const char *path, weir__folder **folder) {
  weir__folder *self;
  weir_status   status;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->notify = self->bell = -1;
  self->fd                  = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->fd < 0) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "images: %s: %s; expected the folder that is watched", path, strerror(errno));
    goto out;
  }
  WEIR_TRY_GOTO(out, weir__alloc_string(path, &self->path));
  self->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (self->bell < 0) {
    status = WEIR_FAIL(WEIR_ERR_IO, "images: %s cannot be watched: %s", path, strerror(errno));
    goto out;
  }
  self->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  self->sees   = self->notify >= 0 && !is_remote(self->fd) &&
               inotify_add_watch(self->notify, path,
                                 IN_CREATE | IN_OPEN | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) >= 0;
  *folder = self;
  self    = NULL;
out:
  weir__folder_close(&self);
  return status;
}

void weir__folder_close(weir__folder **folder) {
  weir__folder *self = *folder;
  if (!self) return;
  if (self->notify >= 0) close(self->notify);
  if (self->bell >= 0) close(self->bell);
  if (self->fd >= 0) close(self->fd);
  weir__free(self->path);
  weir__free(self);
  *folder = NULL;
}

bool weir__folder_sees(const weir__folder *self) { return self->sees; }

void weir__folder_wait(weir__folder *self, int64_t timeout_ns) {
  struct pollfd   on[2] = {{.fd = self->bell, .events = POLLIN}, {.fd = self->notify, .events = POLLIN}};
  struct timespec limit = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
  uint64_t        count;
  if (self->at < self->filled) return;
  if (ppoll(on, self->sees ? 2 : 1, &limit, NULL) > 0 && (on[0].revents & POLLIN) &&
      read(self->bell, &count, sizeof count) < 0)
    (void)0; /* somebody else has read it: it was rung all the same */
}

void weir__folder_rouse(weir__folder *self) {
  uint64_t one = 1;
  if (write(self->bell, &one, sizeof one) < 0) (void)0; /* it is full, and so it rings */
}

bool weir__folder_next(weir__folder *self, weir__folder_event *out) {
  while (self->sees) {
    struct inotify_event head;
    if (self->at == self->filled) {
      ssize_t n    = read(self->notify, self->events, sizeof self->events);
      self->at     = 0;
      self->filled = n > 0 ? (size_t)n : 0;
      if (n <= 0) return false;
    }
    const char *at = self->events + self->at;
    memcpy(&head, at, sizeof head);
    self->at += sizeof head + head.len;
    *out = (weir__folder_event){.change = WEIR__FOLDER_MISSED};
    if (head.mask & (IN_Q_OVERFLOW | IN_IGNORED)) return true;
    size_t length = head.len ? strnlen(at + sizeof head, head.len) : 0;
    if (!length || length >= sizeof out->name || (head.mask & IN_ISDIR) || at[sizeof head] == '.') continue;
    memcpy(out->name, at + sizeof head, length);
    out->change = head.mask & (IN_CLOSE_WRITE | IN_MOVED_TO) ? WEIR__FOLDER_CLOSED
                  : head.mask & (IN_DELETE | IN_MOVED_FROM)  ? WEIR__FOLDER_GONE
                  : head.mask & IN_CREATE                    ? WEIR__FOLDER_CREATED
                                                             : WEIR__FOLDER_OPENED;
    return true;
  }
  return false;
}

bool weir__folder_altered(weir__folder *self) {
  struct stat now;
  if (stat(self->path, &now)) return false;
  return now.st_mtim.tv_sec != self->listed.tv_sec || now.st_mtim.tv_nsec != self->listed.tv_nsec;
}

weir_status weir__folder_list(weir__folder *self, weir_status (*each)(void *context, const char *name), void *context) {
  weir_status status = WEIR_OK;
  struct stat before;
  if (stat(self->path, &before)) return WEIR_FAIL(WEIR_ERR_IO, "images: %s: %s", self->path, strerror(errno));
  DIR *list = opendir(self->path);
  if (!list) return WEIR_FAIL(WEIR_ERR_IO, "images: %s: %s", self->path, strerror(errno));
  /* times of change are coarse: what comes within the same moment must not be overlooked */
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  self->listed = before.st_mtim;
  if (now.tv_sec - before.st_mtim.tv_sec < RECENT_S) self->listed.tv_nsec = -1;
  for (struct dirent *d; status >= 0 && (d = readdir(list));)
    if (d->d_name[0] != '.' && d->d_type != DT_DIR) status = each(context, d->d_name);
  closedir(list);
  return status;
}

void weir__folder_look(const weir__folder *self, const char *name, weir__folder_file *file) {
  struct stat s;
  *file = (weir__folder_file){.bytes = -1};
  if (fstatat(self->fd, name, &s, 0)) return;
  file->bytes      = s.st_size;
  file->changed_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
}
