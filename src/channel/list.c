/* Who has published: the notes RUN/channel/HOST.STREAM.RANK. Whoever looks also removes what dead processes left. */
#include "channel/segment.h"
#include "core/text.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void weir__channel_host(char out[256]) {
  if (gethostname(out, 256) || !out[0]) memcpy(out, "localhost", sizeof "localhost");
  out[255] = 0;
}

/* Take "HOST.STREAM.RANK" apart; false: not such a name, or of another host. */
static bool parse_name(const char *name, const char *host, char stream[WEIR__CHANNEL_NAME_MAX + 1], int *rank) {
  size_t      length = strlen(host);
  int64_t     number;
  const char *dot;
  if (strncmp(name, host, length) || name[length] != '.') return false;
  name += length + 1;
  dot = strchr(name, '.');
  if (!dot || dot == name || dot - name > WEIR__CHANNEL_NAME_MAX) return false;
  if (!weir__text_to_int64(dot + 1, &number) || number < 0 || number > INT_MAX) return false;
  memcpy(stream, name, (size_t)(dot - name));
  stream[dot - name] = 0;
  *rank              = (int)number;
  return true;
}

/* A note that was being written or removed (NAME.newPID, NAME.oldPID) by a process that died meanwhile. */
static void remove_leftover(const char *run_dir, const char *name, const char *host) {
  size_t  length = strlen(host);
  int64_t pid;
  char    path[PATH_MAX];
  if (strncmp(name, host, length) || name[length] != '.') return;
  const char *mark = strstr(name + length, ".new");
  if (!mark) mark = strstr(name + length, ".old");
  if (!mark || !weir__text_to_int64(mark + 4, &pid)) return;
  if (pid <= 0 || weir__process_start(pid) >= 0) return;
  if (snprintf(path, sizeof path, "%s/channel/%s", run_dir, name) < (int)sizeof path) unlink(path);
}

/* Call `visit` for every name of this host in the directory. */
static weir_status visit_names(const char *run_dir, const char *host,
                               weir_status (*visit)(void *context, const char *file, const char *stream, int rank),
                               void *context) {
  char           path[PATH_MAX], own[256], stream[WEIR__CHANNEL_NAME_MAX + 1];
  struct dirent *entry;
  weir_status    status = WEIR_OK;
  int            rank;
  weir__channel_host(own);
  bool here = !host || !strcmp(host, own);
  if (!host) host = own;
  if (snprintf(path, sizeof path, "%s/channel", run_dir) >= (int)sizeof path)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "the path of the run directory '%.80s...' is too long", run_dir);
  DIR *directory = opendir(path);
  if (!directory) return errno == ENOENT ? WEIR_OK : WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  while (!status && (entry = readdir(directory))) {
    if (parse_name(entry->d_name, host, stream, &rank)) status = visit(context, entry->d_name, stream, rank);
    else if (here) remove_leftover(run_dir, entry->d_name, host);
  }
  closedir(directory);
  return status;
}

/* ---- ranks ---- */

typedef struct rank_search {
  const char          *run_dir, *stream;
  weir__channel_entry *list;
  size_t               count, capacity;
} rank_search;

static weir_status visit_rank(void *context, const char *file, const char *stream, int rank) {
  rank_search *search = context;
  weir__note   note;
  if (strcmp(stream, search->stream)) return WEIR_OK;
  weir_status status = weir__note_read(search->run_dir, file, &note);
  if (status == WEIR_ERR_GONE) return WEIR_OK; /* removed meanwhile */
  WEIR_TRY(status);
  WEIR_TRY(weir__grow(&search->list, search->count + 1, &search->capacity, sizeof *search->list));
  search->list[search->count++] = (weir__channel_entry){
      .rank = rank, .size = note.size, .pid = note.pid, .alive = weir__process_alive(note.pid, note.start)};
  return WEIR_OK;
}

static int by_rank(const void *a, const void *b) {
  int x = ((const weir__channel_entry *)a)->rank, y = ((const weir__channel_entry *)b)->rank;
  return (x > y) - (x < y);
}

weir_status weir__channel_list(const char *run_dir, const char *stream, const char *host, weir__channel_entry **list,
                               int *count) {
  rank_search search = {.run_dir = run_dir, .stream = stream};
  weir_status status = visit_names(run_dir, host, visit_rank, &search);
  if (status) {
    weir__free(search.list);
    return status;
  }
  if (search.count) qsort(search.list, search.count, sizeof *search.list, by_rank);
  *list  = search.list;
  *count = (int)search.count;
  return WEIR_OK;
}

/* ---- streams ---- */

typedef struct stream_name {
  char text[WEIR__CHANNEL_NAME_MAX + 1];
} stream_name;

typedef struct stream_search {
  stream_name *list;
  size_t       count, capacity;
} stream_search;

static weir_status visit_stream(void *context, const char *file, const char *stream, int rank) {
  (void)file, (void)rank;
  stream_search *search = context;
  for (size_t i = 0; i < search->count; i++)
    if (!strcmp(search->list[i].text, stream)) return WEIR_OK;
  WEIR_TRY(weir__grow(&search->list, search->count + 1, &search->capacity, sizeof *search->list));
  snprintf(search->list[search->count++].text, sizeof search->list->text, "%s", stream);
  return WEIR_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

weir_status weir__channel_streams(const char *run_dir, const char *host, char ***names, int *count) {
  weir_status   status;
  stream_search search = {0};
  char        **list   = NULL;
  WEIR_TRY_GOTO(out, visit_names(run_dir, host, visit_stream, &search));
  if (search.count) {
    qsort(search.list, search.count, sizeof *search.list, by_text);
    /* the pointers and the texts behind them in one block */
    WEIR_TRY_GOTO(out, weir__alloc_zeroed(search.count * (sizeof *list + sizeof *search.list), 0, &list));
    stream_name *texts = (stream_name *)(void *)(list + search.count);
    for (size_t i = 0; i < search.count; i++) {
      texts[i] = search.list[i];
      list[i]  = texts[i].text;
    }
  }
  *names = list;
  *count = (int)search.count;
out:
  weir__free(search.list);
  return status;
}
