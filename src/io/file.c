#include "io/file.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, const char *bytes, size_t nbytes) {
  while (nbytes) {
    ssize_t n = write(fd, bytes, nbytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    nbytes -= (size_t)n;
  }
  return true;
}

weir_status weir__file_write(int directory, const char *name, const char *shown, const void *bytes, size_t nbytes,
                             bool durable) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot create %s: %s", shown, strerror(errno));
  bool good = write_all(fd, bytes, nbytes) && !(durable && fsync(fd));
  int  why  = errno;
  if (close(fd) && good) good = false, why = errno;
  if (good) return WEIR_OK;
  unlinkat(directory, name, 0);
  return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", shown, strerror(why));
}

/* The temporary name in the same directory. */
static weir_status part_of(const char *name, const char *shown, char *part, size_t size) {
  const char *slash = strrchr(name, '/');
  int         head  = slash ? (int)(slash - name) + 1 : 0;
  if (snprintf(part, size, "%.*s.part-%s", head, name, name + head) < (int)size) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: the name is too long", shown);
}

static weir_status rename_part(int directory, const char *part, const char *name, const char *shown) {
  if (!renameat(directory, part, directory, name)) return WEIR_OK;
  int why = errno;
  unlinkat(directory, part, 0);
  return WEIR_FAIL(WEIR_ERR_IO, "cannot write %s: %s", shown, strerror(why));
}

weir_status weir__file_replace(int directory, const char *name, const char *shown, const void *bytes, size_t nbytes,
                               bool durable) {
  char part[PATH_MAX];
  WEIR_TRY(part_of(name, shown, part, sizeof part));
  WEIR_TRY(weir__file_write(directory, part, shown, bytes, nbytes, durable));
  return rename_part(directory, part, name, shown);
}

weir_status weir__file_part(const char *path, char *part, size_t size) { return part_of(path, path, part, size); }

weir_status weir__file_part_done(const char *path, const char *part, weir_status written) {
  if (written >= 0) return rename_part(AT_FDCWD, part, path, path);
  unlink(part);
  return written;
}

weir_status weir__file_read(int directory, const char *name, const char *shown, char **bytes, size_t *nbytes) {
  weir_status status = WEIR_OK;
  char       *data   = NULL;
  size_t      length = 0, capacity = 0;
  int         fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) {
    *bytes  = NULL;
    *nbytes = 0;
    return WEIR_OK;
  }
  if (fd < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot open %s: %s", shown, strerror(errno));
  for (;;) {
    WEIR_TRY_GOTO(out, weir__grow(&data, length + 4096, &capacity, 1));
    ssize_t n = read(fd, data + length, capacity - length - 1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      status = WEIR_FAIL(WEIR_ERR_IO, "cannot read %s: %s", shown, strerror(errno));
      goto out;
    }
    if (!n) break;
    length += (size_t)n;
  }
  data[length] = 0;
  *bytes       = data;
  *nbytes      = length;
  data         = NULL;
out:
  close(fd);
  weir__free(data);
  return status;
}

weir_status weir__file_make_directories(const char *path, bool itself) {
  char   part[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof part) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: the path is too long", path);
  memcpy(part, path, length + 1);
  for (size_t i = 1; i <= length; i++) {
    bool end = i == length;
    if ((!end && part[i] != '/') || (end && !itself)) continue;
    part[i] = 0;
    if (mkdir(part, 0777) && errno != EEXIST)
      return WEIR_FAIL(WEIR_ERR_IO, "cannot make the directory %s: %s", part, strerror(errno));
    if (!end) part[i] = '/';
  }
  return WEIR_OK;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
  (void)info, (void)kind, (void)where;
  return remove(path);
}

weir_status weir__file_remove_tree(const char *path) {
  enum { OPEN_DIRECTORIES = 16 };
  if (!nftw(path, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS) || errno == ENOENT) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
}

const char *weir__number_text(double x, char out[32]) {
  if (x != x) return strcpy(out, "nan"); /* the sign of a NaN means nothing */
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(out, 32, "%.*g", digits, x);
    if (strtod(out, NULL) == x) break;
  }
  char *comma = strchr(out, ',');
  if (comma) *comma = '.';
  return out;
}

void weir__json_string(weir__text *text, const char *s) {
  weir__text_add(text, "\"");
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') weir__text_add(text, "\\%c", c);
    else if (c < 0x20) weir__text_add(text, "\\u%04x", c);
    else weir__text_add_bytes(text, s, 1);
  }
  weir__text_add(text, "\"");
}
