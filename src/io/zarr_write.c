/* Chunks: put together, compressed, written; committed; cut back. */
#include "core/clock.h"
#include "io/zarr_parts.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  CHUNK_NAME   = 8 * 21 /* seven numbers, points and a 0 */,
  LABEL        = 1024 /* bytes */,
  WAITING_MOST = 256,
  BATCH_MOST   = 4096,
  SHARE        = 20
};

static void chunk_name(const weir__zarr_array *array, int64_t time, const int64_t *index, char out[CHUNK_NAME]) {
  int n  = 0;
  out[0] = 0;
  if (array->time_chunk) n = snprintf(out, CHUNK_NAME, "%lld", (long long)time);
  for (int a = 0; a < array->rank; a++)
    n += snprintf(out + n, CHUNK_NAME - (size_t)n, n ? ".%lld" : "%lld", (long long)index[a]);
  if (!n) snprintf(out, CHUNK_NAME, "0");
}

weir_view weir__zarr_level_view(const weir__zarr_array *array, const int64_t *index, void *chunk, int64_t number) {
  char     *bytes = (char *)chunk + (size_t)number * array->level_nbytes;
  weir_view level = {
      .data = bytes, .dtype = array->dtype, .rank = array->rank, .has_fill = array->has_fill, .fill = array->fill};
  int64_t stride = (int64_t)weir_dtype_size(array->dtype);
  for (int a = array->rank - 1; a >= 0; a--) {
    level.start[a]  = index ? index[a] * array->chunk[a] : 0;
    level.count[a]  = array->chunk[a];
    level.stride[a] = stride;
    stride *= array->chunk[a];
  }
  return level;
}

/* Nothing is known of a level. */
static void clear_level(const weir__zarr_array *array, int64_t number) {
  weir_view level = weir__zarr_level_view(array, NULL, array->levels, number);
  if (array->width) memset(level.data, 0, array->level_nbytes);
  else weir__view_fill_missing(&level);
}

/* Write one level of the chunk `index` from `view`, which holds all of the chunk that is inside the field. */
static void fill_level(const weir__zarr_array *array, const int64_t *index, const weir_view *view, void *bytes) {
  weir_view   level = weir__zarr_level_view(array, index, bytes, 0);
  weir_region box   = {.rank = array->rank};
  bool        whole = true;
  for (int a = 0; a < array->rank; a++) {
    int64_t rest = array->extent[a] - level.start[a];
    box.start[a] = level.start[a];
    box.count[a] = rest < level.count[a] ? rest : level.count[a];
    whole        = whole && box.count[a] == level.count[a];
  }
  if (!whole || view->missing) weir__view_fill_missing(&level);
  if (view->missing) return;
  weir_view from = weir__view_narrow(view, &box), to = weir__view_narrow(&level, &box);
  weir__view_copy(&to, &from);
}

weir_status weir__zarr_read_chunk(const weir__zarr_array *array, int64_t time, const int64_t *index, void *out,
                                  bool *found) {
  char   name[CHUNK_NAME], shown[512], *bytes;
  size_t nbytes;
  chunk_name(array, time, index, name);
  snprintf(shown, sizeof shown, "%s/%s/%s", array->zarr->path, array->name, name);
  WEIR_TRY(weir__file_read(array->directory, name, shown, &bytes, &nbytes));
  *found             = bytes != NULL;
  weir_status status = bytes ? weir__zarr_decode(array, shown, bytes, nbytes, out) : WEIR_OK;
  weir__free(bytes);
  return status;
}

/* Have the levels of chunk `time` in memory: read back after a restart, all missing when there is no such chunk yet. */
static weir_status load_levels(weir__zarr_array *array, int64_t time, const int64_t *index) {
  bool found;
  if (array->loaded == time) return WEIR_OK;
  array->loaded = -1;
  WEIR_TRY(weir__zarr_read_chunk(array, time, index, array->levels, &found));
  for (int64_t i = 0; !found && i < array->time_chunk; i++) clear_level(array, i);
  array->loaded = time;
  return WEIR_OK;
}

static weir_status put_chunk(const weir__zarr_array *array, int64_t time, const int64_t *index, const void *bytes,
                             void *room) {
  char   name[CHUNK_NAME], shown[512];
  size_t nbytes;
  chunk_name(array, time, index, name);
  snprintf(shown, sizeof shown, "%s/%s/%s", array->zarr->path, array->name, name);
  WEIR_TRY(weir__zarr_encode(array, bytes, room, &nbytes));
  bool hidden = array->time_chunk == 1 && time >= array->zarr->committed; /* nobody looks at it yet */
  return (hidden ? weir__file_write : weir__file_replace)(array->directory, name, shown, room, nbytes,
                                                          array->zarr->durable);
}

static size_t level_room(const weir__zarr_array *array) { return (array->level_nbytes + 63) & ~(size_t)63; }

size_t weir__zarr_scratch_size(const weir__zarr_array *array) {
  return level_room(array) + weir__zarr_bound(array->zarr, array->chunk_nbytes);
}

static weir_status write_chunk(weir__zarr_array *array, int64_t time_index, const int64_t *index, const weir_view *view,
                               char *scratch) {
  char       *room   = scratch + level_room(array);
  weir_status status = WEIR_OK;
  if (array->time_chunk <= 1) {
    bool shared = !array->time_chunk; /* steps in flight write the same chunk of a static array */
    fill_level(array, index, view, scratch);
    if (shared) weir__mutex_lock(&array->mutex);
    status = put_chunk(array, time_index, index, scratch, room);
    if (shared) weir__mutex_unlock(&array->mutex);
    return status;
  }
  weir__mutex_lock(&array->mutex);
  WEIR_TRY_GOTO(out, load_levels(array, time_index / array->time_chunk, index));
  fill_level(array, index, view, array->levels + (size_t)(time_index % array->time_chunk) * array->level_nbytes);
  WEIR_TRY_GOTO(out, put_chunk(array, array->loaded, index, array->levels, room));
out:
  weir__mutex_unlock(&array->mutex);
  return status;
}

/* The box of chunks that a view covers; false when it cuts through one. */
static bool whole_chunks(const weir__zarr_array *array, const weir_view *view, int64_t *first, int64_t *end) {
  if (view->rank != array->rank) return false;
  for (int a = 0; a < array->rank; a++) {
    int64_t stop = view->start[a] + view->count[a], size = array->chunk[a];
    if (view->start[a] < 0 || view->count[a] < 0 || stop > array->extent[a] || view->start[a] % size) return false;
    if (stop != array->extent[a] && stop % size) return false;
    first[a] = view->start[a] / size;
    end[a]   = (stop + size - 1) / size;
  }
  return true;
}

static weir_status check_view(const weir__zarr_array *array, int64_t index, const weir_view *view, int64_t *first,
                              int64_t *end) {
  char path[200], region[200];
  if (view->dtype == array->dtype && index >= 0 && (view->data || view->missing) &&
      whole_chunks(array, view, first, end))
    return WEIR_OK;
  weir_region box = {.rank = view->rank};
  memcpy(box.start, view->start, sizeof box.start);
  memcpy(box.count, view->count, sizeof box.count);
  snprintf(path, sizeof path, "%s", array->zarr->path);
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s/%s: %s%s at time index %lld is not made of whole chunks of %s", path,
                   array->name, weir_dtype_name(view->dtype), weir__region_text(&box, region), (long long)index,
                   weir_dtype_name(array->dtype));
}

weir_status weir__zarr_write(weir__zarr_array *array, int64_t index, const weir_view *view, void *scratch,
                             int64_t *written) {
  weir_status status               = WEIR_OK;
  int64_t     first[WEIR_RANK_MAX] = {0}, end[WEIR_RANK_MAX] = {0}, at[WEIR_RANK_MAX], count = 0;
  void       *own = NULL;
  if (!array->time_chunk) index = 0;
  if (written) *written = 0;
  WEIR_TRY(check_view(array, index, view, first, end));
  if (view->missing && weir_dtype_may_miss(array->dtype, array->has_fill)) return WEIR_OK;
  for (int a = 0; a < array->rank; a++)
    if (first[a] == end[a]) return WEIR_OK;
  if (!scratch) WEIR_TRY(weir__alloc_zeroed(weir__zarr_scratch_size(array), 64, &own));
  memcpy(at, first, sizeof at);
  for (int a = 0; a >= 0; count++) {
    WEIR_TRY_GOTO(out, write_chunk(array, index, at, view, scratch ? scratch : own));
    for (a = array->rank - 1; a >= 0; a--) {
      if (++at[a] < end[a]) break;
      at[a] = first[a];
    }
  }
  if (written) *written = count;
out:
  weir__free(own);
  return status;
}

/* ---- committing ---- */

/* Zeros for the chunks of time index `index` that are not there. */
static weir_status fill_gaps(weir__zarr_array *array, int64_t index) {
  int64_t   at[WEIR_RANK_MAX] = {0}, chunks = weir__zarr_chunks(array);
  weir_view view = {.dtype = array->dtype, .rank = array->rank, .missing = true};
  for (int64_t c = 0; c < chunks; c++) {
    char    name[CHUNK_NAME];
    int64_t rest = c;
    for (int a = array->rank - 1; a >= 0; a--) {
      at[a] = rest % array->chunks[a];
      rest /= array->chunks[a];
      view.start[a] = at[a] * array->chunk[a];
      view.count[a] = array->chunk[a];
      if (view.start[a] + view.count[a] > array->extent[a]) view.count[a] = array->extent[a] - view.start[a];
    }
    chunk_name(array, index / array->time_chunk, at, name);
    if (faccessat(array->directory, name, F_OK, 0)) WEIR_TRY(weir__zarr_write(array, index, &view, NULL, NULL));
  }
  return WEIR_OK;
}

/* The next character of UTF-8 text; what is none becomes U+FFFD. */
static uint32_t next_character(const unsigned char **at) {
  const unsigned char *c    = *at;
  int                  more = *c < 0x80 ? 0 : *c >= 0xc2 && *c < 0xe0 ? 1 : (*c & 0xf0) == 0xe0 ? 2 : 3;
  uint32_t             code = more ? *c & (0x3fu >> more) : *c;
  *at                       = c + 1;
  if ((*c >= 0x80 && *c < 0xc2) || *c > 0xf4) return 0xfffd;
  for (int i = 1; i <= more; i++) {
    if ((c[i] & 0xc0) != 0x80) return 0xfffd;
    code = code << 6 | (c[i] & 0x3f);
  }
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0xfffd;
  *at += more;
  return code;
}

/* A text as Zarr holds it: the numbers of its characters, then zeros. */
static void put_text(const weir__zarr_array *array, int64_t step, unsigned char *out) {
  const weir__zarr_labels *labels      = &array->zarr->labels;
  unsigned char            text[LABEL] = {0};
  const unsigned char     *at          = text;
  if (step >= 0) labels->text(labels->self, step, array->label, (char *)text, sizeof text);
  for (int i = 0; i < array->width; i++) {
    uint32_t code = *at ? next_character(&at) : 0;
    memcpy(out + (size_t)i * sizeof code, &code, sizeof code);
  }
}

static void put_level(const weir__zarr_array *array, const weir__zarr_level *level, unsigned char *out) {
  if (array->width) put_text(array, level->step, out);
  else if (array == array->zarr->step) memcpy(out, &level->step, array->level_nbytes);
  else memcpy(out, &level->time, array->level_nbytes);
}

/* The levels of `time`, `step` or texts: a chunk is written once. */
static weir_status write_levels(weir__zarr_array *array, const weir__zarr_level *level, size_t count) {
  static const int64_t at[WEIR_RANK_MAX] = {0};
  weir_status          status            = WEIR_OK;
  char                *room              = NULL;
  WEIR_TRY(weir__alloc_zeroed(weir__zarr_bound(array->zarr, array->chunk_nbytes), 64, &room));
  weir__mutex_lock(&array->mutex);
  for (size_t i = 0; i < count; i++) {
    int64_t time = level[i].index / array->time_chunk;
    WEIR_TRY_GOTO(out, load_levels(array, time, at));
    put_level(array, &level[i], array->levels + (size_t)(level[i].index % array->time_chunk) * array->level_nbytes);
    bool last = i + 1 == count || level[i + 1].index / array->time_chunk != time;
    if (last) WEIR_TRY_GOTO(out, put_chunk(array, time, at, array->levels, room));
  }
out:
  weir__mutex_unlock(&array->mutex);
  weir__free(room);
  return status;
}

static weir_status write_times(weir__zarr *zarr, const weir__zarr_level *level, size_t count) {
  for (size_t k = 0; k < count; k++)
    for (size_t i = 0; level[k].gaps && i < zarr->arrays; i++)
      if (zarr->array[i]->time_chunk && !zarr->array[i]->width &&
          !weir_dtype_may_miss(zarr->array[i]->dtype, zarr->array[i]->has_fill))
        WEIR_TRY(fill_gaps(zarr->array[i], level[k].index));
  WEIR_TRY(write_levels(zarr->time, level, count));
  WEIR_TRY(write_levels(zarr->step, level, count));
  for (size_t i = 0; i < zarr->arrays; i++)
    if (zarr->array[i]->width) WEIR_TRY(write_levels(zarr->array[i], level, count));
  return WEIR_OK;
}

/* All indices up to this one wait, those that nobody spoke of as well. */
static weir_status add_waiting(weir__zarr *zarr, const weir__zarr_level *level) {
  int64_t known = zarr->waiting_count ? zarr->waiting[zarr->waiting_count - 1].index : zarr->committed - 1;
  int64_t index = level->index;
  if (index <= known) return WEIR_OK; /* tried again */
  WEIR_TRY(weir__grow(&zarr->waiting, zarr->waiting_count + (size_t)(index - known), &zarr->waiting_capacity,
                      sizeof *zarr->waiting));
  for (int64_t i = known + 1; i < index; i++)
    zarr->waiting[zarr->waiting_count++] = (weir__zarr_level){.index = i, .step = -1, .time = NAN, .gaps = true};
  zarr->waiting[zarr->waiting_count++] = *level;
  return WEIR_OK;
}

/* Let readers see all that waits; on failure as if it had not been tried. */
static weir_status publish_waiting(weir__zarr *zarr, int64_t committed) {
  int64_t        before = zarr->committed;
  size_t         gaps   = zarr->gaps;
  weir__zarr_gap last   = gaps ? zarr->gap[gaps - 1] : (weir__zarr_gap){0}; /* those waiting may make it longer */
  weir_status    status = WEIR_OK;
  for (size_t i = 0; i < zarr->waiting_count && status >= 0; i++) status = weir__zarr_gaps_add(zarr, &zarr->waiting[i]);
  zarr->committed = committed;
  if (status >= 0) status = weir__zarr_publish(zarr);
  if (status >= 0) {
    zarr->waiting_count = 0;
    return status;
  }
  zarr->committed = before;
  zarr->stale     = true;
  zarr->gaps      = gaps;
  if (gaps) zarr->gap[gaps - 1] = last;
  return status;
}

static weir_status flush_waiting(weir__zarr *zarr) {
  if (!zarr->waiting_count) return WEIR_OK;
  int64_t begin = weir__clock_ns();
  WEIR_TRY(write_times(zarr, zarr->waiting, zarr->waiting_count));
  weir_status status  = publish_waiting(zarr, zarr->waiting[zarr->waiting_count - 1].index + 1);
  zarr->published_ns  = weir__clock_ns();
  zarr->publishing_ns = zarr->published_ns - begin;
  return status;
}

/* Where nothing is there but the reason, it is not urgent: the steps that are missing must not make more so. And where
 * steps follow each other quickly, all metadata would be written for each. */
static bool may_wait(const weir__zarr *zarr, const weir__zarr_level *level) {
  if (level->why) return zarr->waiting_count < WAITING_MOST;
  return zarr->batched && zarr->waiting_count < BATCH_MOST &&
         weir__clock_ns() - zarr->published_ns < SHARE * zarr->publishing_ns;
}

static weir_status commit(weir__zarr *zarr, const weir__zarr_level *level) {
  if (level->index < zarr->committed) return write_times(zarr, level, 1);
  WEIR_TRY(add_waiting(zarr, level));
  if (may_wait(zarr, level)) {
    zarr->told = false; /* of this one nothing was said yet */
    return WEIR_OK;
  }
  weir_status status = flush_waiting(zarr);
  zarr->told         = status < 0;
  return status;
}

weir_status weir__zarr_commit(weir__zarr *zarr, const weir__zarr_level *level) {
  if (level->index < 0)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: there is no time index %lld", zarr->path, (long long)level->index);
  weir__mutex_lock(&zarr->turn);
  weir_status status = commit(zarr, level);
  weir__mutex_unlock(&zarr->turn);
  return status;
}

weir_status weir__zarr_flush(weir__zarr *zarr) {
  weir__mutex_lock(&zarr->turn);
  weir_status status = flush_waiting(zarr);
  weir__mutex_unlock(&zarr->turn);
  return status;
}

weir_status weir__zarr_finish(weir__zarr *zarr) {
  weir_status status = weir__zarr_flush(zarr);
  return status < 0 && zarr->told ? WEIR_OK : status;
}

weir_status weir__zarr_close(weir__zarr **zarr) {
  weir_status status = *zarr ? weir__zarr_finish(*zarr) : WEIR_OK;
  weir__zarr_destroy(zarr);
  return status;
}

/* ---- cutting back ---- */

/* Make the levels from `count` on missing in the chunk that holds `count` and earlier ones. */
static weir_status cut_levels(weir__zarr_array *array, int64_t count) {
  static const int64_t index[WEIR_RANK_MAX] = {0};
  weir_status          status               = WEIR_OK;
  char                *room                 = NULL;
  int64_t              time = count / array->time_chunk, keep = count % array->time_chunk;
  array->loaded = -1;
  if (!keep) return WEIR_OK;
  WEIR_TRY(weir__alloc_zeroed(weir__zarr_bound(array->zarr, array->chunk_nbytes), 64, &room));
  WEIR_TRY_GOTO(out, load_levels(array, time, index));
  for (int64_t i = keep; i < array->time_chunk; i++) clear_level(array, i);
  WEIR_TRY_GOTO(out, put_chunk(array, time, index, array->levels, room));
out:
  weir__free(room);
  return status;
}

static weir_status cut_array(weir__zarr_array *array, int64_t count) {
  static const char part[] = ".part-";
  int64_t     chunks = array->time_chunk ? (count + array->time_chunk - 1) / array->time_chunk : 0; /* that stay */
  weir_status status = WEIR_OK;
  int         copy   = openat(array->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR        *stream = copy < 0 ? NULL : fdopendir(copy);
  if (!stream) {
    if (copy >= 0) close(copy);
    return WEIR_FAIL(WEIR_ERR_IO, "cannot list %s/%s: %s", array->zarr->path, array->name, strerror(errno));
  }
  for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
    char     *end;
    long long time  = strtoll(entry->d_name, &end, 10);
    bool      stale = !strncmp(entry->d_name, part, sizeof part - 1);
    if (array->time_chunk && end != entry->d_name && (*end == '.' || !*end) && time >= chunks) stale = true;
    if (!stale || !unlinkat(array->directory, entry->d_name, 0)) continue;
    status = WEIR_FAIL(WEIR_ERR_IO, "cannot remove %s/%s/%s: %s", array->zarr->path, array->name, entry->d_name,
                       strerror(errno));
    break;
  }
  closedir(stream);
  WEIR_TRY(status);
  return array->time_chunk > 1 ? cut_levels(array, count) : WEIR_OK;
}

/* The step number of a time level. */
static weir_status read_step(weir__zarr *zarr, int64_t level, int64_t *step) {
  static const int64_t index[WEIR_RANK_MAX] = {0};
  weir__zarr_array    *array                = zarr->step;
  WEIR_TRY(load_levels(array, level / array->time_chunk, index));
  memcpy(step, array->levels + (size_t)(level % array->time_chunk) * array->level_nbytes, sizeof *step);
  return WEIR_OK;
}

weir_status weir__zarr_cut(weir__zarr *zarr, int64_t count) {
  int64_t step = 0;
  if (count < 0) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%s: cut back to %lld time levels", zarr->path, (long long)count);
  if (count > zarr->committed) count = zarr->committed;
  if (zarr->gaps && count) WEIR_TRY(read_step(zarr, count - 1, &step));
  weir__zarr_gaps_cut(zarr, count, step);
  zarr->waiting_count = 0;
  zarr->committed     = count; /* the metadata first: readers must not see levels that go away */
  WEIR_TRY(weir__zarr_publish(zarr));
  for (size_t i = 0; i < zarr->arrays; i++) WEIR_TRY(cut_array(zarr->array[i], count));
  return WEIR_OK;
}
