/* The collection of VTK files of a run, and the folder they are in. */
#include "io/vtk.h"
#include "core/threads.h"
#include "io/file.h"
#include "io/vtk_parts.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 1024 /* bytes of a file in which its time stands */ };

typedef struct level {
  int64_t step;
  double  time;
} level;

struct weir__vtk {
  weir__vtk_writer writer;
  char            *path;   /* of the collection */
  char            *folder; /* of the files, without a last "/" */
  const char      *base;   /* in `folder`: what the names of files begin with */
  const char      *ending;
  weir__mutex      lock; /* what follows */
  level           *level;
  size_t           levels, capacity;
  bool             changed; /* since the collection was written */
};

/* ---- names ---- */

static weir_status file_name(const weir__vtk *vtk, int64_t step, char *out, size_t size) {
  if (snprintf(out, size, "%s/%s_%06lld.%s", vtk->folder, vtk->base, (long long)step, vtk->ending) < (int)size)
    return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: the path is too long", vtk->path);
}

/* Is this the name of a file of the collection, of either kind? */
static bool parse_name(const weir__vtk *vtk, const char *name, int64_t *step) {
  size_t length = strlen(vtk->base);
  char   again[PATH_MAX], *end;
  if (strncmp(name, vtk->base, length) || name[length] != '_') return false;
  errno = 0;
  *step = strtoll(name + length + 1, &end, 10);
  if (errno || (strcmp(end, ".vti") && strcmp(end, ".vtr"))) return false;
  snprintf(again, sizeof again, "%s_%06lld%s", vtk->base, (long long)*step, end);
  return !strcmp(again, name);
}

/* ---- what there is ---- */

static weir_status add_level(weir__vtk *vtk, int64_t step, double time) {
  WEIR_TRY(weir__grow(&vtk->level, vtk->levels + 1, &vtk->capacity, sizeof *vtk->level));
  vtk->level[vtk->levels++] = (level){step, time};
  vtk->changed              = true;
  return WEIR_OK;
}

static weir_status read_time(const char *path, double *time) {
  char    text[HEAD + 1];
  int     fd     = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, HEAD);
  if (fd >= 0) close(fd);
  if (length < 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot read %s: %s", path, strerror(errno));
  text[length]      = 0;
  const char *found = strstr(text, WEIR__VTK_TIME);
  char       *end   = text;
  *time             = found ? strtod(found + strlen(WEIR__VTK_TIME), &end) : 0;
  if (*end == '<' && found) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the time of the step was expected in it", path);
}

/* A file that an earlier run, or an earlier life of this one, has left. */
static weir_status see_file(weir__vtk *vtk, const char *name, const weir__vtk_options *options) {
  char    path[PATH_MAX];
  double  time = 0;
  int64_t step;
  bool    part = !strncmp(name, ".part-", 6);
  if (!parse_name(vtk, part ? name + 6 : name, &step)) return WEIR_OK;
  if (snprintf(path, sizeof path, "%s/%s", vtk->folder, name) >= (int)sizeof path)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: the path is too long", vtk->path);
  bool stays = !part && options->keep_to && step <= *options->keep_to && !strcmp(strrchr(name, '.') + 1, vtk->ending);
  if (options->opened && !stays) return WEIR_OK; /* a part may be that of another worker */
  if (!stays) {
    if (unlink(path) && errno != ENOENT) return WEIR_FAIL(WEIR_ERR_IO, "cannot remove %s: %s", path, strerror(errno));
    return WEIR_OK;
  }
  WEIR_TRY(read_time(path, &time));
  return add_level(vtk, step, time);
}

static int compare_levels(const void *a, const void *b) {
  int64_t p = ((const level *)a)->step, q = ((const level *)b)->step;
  return p < q ? -1 : p > q;
}

static weir_status see_folder(weir__vtk *vtk, const weir__vtk_options *options) {
  DIR           *folder = opendir(vtk->folder);
  struct dirent *entry;
  weir_status    status = WEIR_OK;
  if (!folder) return WEIR_FAIL(WEIR_ERR_IO, "cannot read %s: %s", vtk->folder, strerror(errno));
  while (status >= 0 && (entry = readdir(folder))) status = see_file(vtk, entry->d_name, options);
  closedir(folder);
  if (vtk->levels) qsort(vtk->level, vtk->levels, sizeof *vtk->level, compare_levels);
  return status;
}

/* ---- the collection ---- */

/* File names are relative to it. Under the lock. */
static weir_status write_collection(weir__vtk *vtk) {
  weir__text text = {0};
  char       number[32];
  weir__text_add(&text, "<?xml version=\"1.0\"?>\n<VTKFile type=\"Collection\" version=\"0.1\">\n<Collection>\n");
  for (size_t i = 0; i < vtk->levels; i++) {
    const level *l = &vtk->level[i];
    weir__text_add(&text, "<DataSet timestep=\"%s\" part=\"0\" file=\"%s/%s_%06lld.%s\"/>\n",
                   weir__number_text(l->time, number), vtk->base, vtk->base, (long long)l->step, vtk->ending);
  }
  weir__text_add(&text, "</Collection>\n</VTKFile>\n");
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = weir__file_replace(AT_FDCWD, vtk->path, vtk->path, text.data, text.length, false);
  weir__text_clear(&text);
  if (status >= 0) vtk->changed = false;
  return status;
}

weir_status weir__vtk_flush(weir__vtk *vtk) {
  weir_status status = WEIR_OK;
  weir__mutex_lock(&vtk->lock);
  if (vtk->changed) status = write_collection(vtk);
  weir__mutex_unlock(&vtk->lock);
  return status;
}

weir_status weir__vtk_commit(weir__vtk *vtk, int64_t step, double time) {
  weir_status status = WEIR_OK;
  weir__mutex_lock(&vtk->lock);
  if (!vtk->levels || vtk->level[vtk->levels - 1].step < step)
    status = add_level(vtk, step, isfinite(time) ? time : (double)step);
  weir__mutex_unlock(&vtk->lock);
  return status;
}

/* ---- a run ---- */

static void destroy(weir__vtk *vtk) {
  weir__mutex_destroy(&vtk->lock);
  weir__free(vtk->level);
  weir__free(vtk->folder);
  weir__free(vtk->path);
  weir__free(vtk);
}

/* "a/piv.pvd": files are in a/piv, and begin with piv. */
static weir_status set_path(weir__vtk *vtk, const char *path) {
  static const char ending[] = ".pvd";
  size_t            length = strlen(path), tail = sizeof ending - 1;
  WEIR_TRY(weir__alloc_string(path, &vtk->path));
  WEIR_TRY(weir__alloc_string(path, &vtk->folder));
  const char *slash = strrchr(vtk->folder, '/');
  vtk->base         = slash ? slash + 1 : vtk->folder;
  if (strlen(vtk->base) <= tail || strcmp(path + length - tail, ending))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: expected a name that ends in .pvd", path);
  vtk->folder[length - tail] = 0;
  return WEIR_OK;
}

static weir_status set_up(weir__vtk *vtk, const char *path, const weir__vtk_content *content,
                          const weir__vtk_options *options) {
  int first = 0, field;
  WEIR_TRY(set_path(vtk, path));
  WEIR_TRY(weir__vtk_check(content, &field));
  while (!content->type[first]->rank) first++;
  vtk->writer = (weir__vtk_writer){.content = *content, .zlib = options->zlib};
  WEIR_TRY(weir__vtk_grid_make(content->type[first], &vtk->writer.grid));
  vtk->writer.level = options->level ? options->level : 6;
  vtk->ending       = vtk->writer.grid.rectilinear ? "vtr" : "vti";
  if (!options->opened) WEIR_TRY(weir__file_make_directories(vtk->folder, true));
  WEIR_TRY(see_folder(vtk, options));
  vtk->changed = !options->opened;
  return weir__vtk_flush(vtk);
}

weir_status weir__vtk_open(const char *path, const weir__vtk_content *content, const weir__vtk_options *options,
                           weir__vtk **vtk) {
  weir__vtk *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  weir__mutex_init(&self->lock);
  weir_status status = set_up(self, path, content, options);
  if (status >= 0) *vtk = self;
  else destroy(self);
  return status;
}

size_t weir__vtk_scratch_size(const weir__vtk *vtk) { return weir__vtk_writer_scratch(&vtk->writer); }

weir_status weir__vtk_write(const weir__vtk *vtk, int64_t step, double time, const weir_view *views, void *scratch) {
  char path[PATH_MAX];
  WEIR_TRY(file_name(vtk, step, path, sizeof path));
  return weir__vtk_writer_write(&vtk->writer, path, step, time, views, scratch);
}

weir_status weir__vtk_close(weir__vtk **vtk) {
  if (!*vtk) return WEIR_OK;
  weir_status status = weir__vtk_flush(*vtk);
  destroy(*vtk);
  *vtk = NULL;
  return status;
}
