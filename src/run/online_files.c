/* Which files of the folder are whole images. */
#include "core/clock.h"
#include "run/online_parts.h"
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

enum { YOUNG_S = 60 };
static const int64_t SECOND = INT64_C(1000000000), RELIST_NS = INT64_C(30000000000), TICK_NS = 200000000,
                     LINK_NS = 20000000;

static int64_t nanoseconds(double seconds) { return (int64_t)(seconds * 1e9); }

/* ---- what is in the folder ---- */

static weir__online_file *find(weir__online *o, const char *name) {
  for (size_t k = 0; k < o->files; k++)
    if (!strcmp(o->file[k].name, name)) return &o->file[k];
  return NULL;
}

static bool in_seed(const weir__online *o, const char *name) {
  for (const char *at = o->seed.data; at && at < o->seed.data + o->seed.length; at += strlen(at) + 1)
    if (!strcmp(at, name)) return true;
  return false;
}

/* The end marker may have any name, also one of the series. */
static bool is_marker(weir__online *o, const char *name) {
  if (!o->watch->end || fnmatch(o->watch->end, name, 0)) return false;
  if (o->end == WEIR__ONLINE_GOES_ON) {
    o->end       = WEIR__ONLINE_MARKER;
    o->end_ns    = weir__clock_ns();
    o->listed_ns = 0; /* what came before it must not be overlooked */
  }
  return true;
}

/* `first`: nothing is known yet, so that nothing needs to be compared. */
static weir_status note(weir__online *o, const char *name, bool written, bool closed, bool first) {
  if (strlen(name) > 255 || is_marker(o, name)) return WEIR_OK;
  if (o->wanted && fnmatch(o->wanted, name, FNM_PERIOD)) return WEIR_OK;
  if (o->series && (!weir__series_fits(o->series, name) || weir__series_knows(o->series, name))) return WEIR_OK;
  weir__online_file *f = first ? NULL : find(o, name);
  if (!f) {
    if (!o->series && !first && in_seed(o, name)) return WEIR_OK;
    WEIR_TRY(weir__grow(&o->file, o->files + 1, &o->files_room, sizeof *o->file));
    f  = &o->file[o->files++];
    *f = (weir__online_file){.written = written, .since_ns = weir__clock_ns(), .noted_ns = weir__clock_ns()};
    snprintf(f->name, sizeof f->name, "%s", name);
  } else if (!written && !closed) return WEIR_OK; /* listed again */
  if (closed) f->closed = true, f->looked = false;
  else if (written) f->written = true;
  f->next_ns = 0;
  return WEIR_OK;
}

static weir_status note_listed(void *online, const char *name) {
  weir__online *o = online;
  return note(o, name, false, false, !o->late_ns);
}

static weir_status list(weir__online *o, int64_t now) {
  bool    sees  = weir__folder_sees(o->watched);
  int64_t every = sees ? RELIST_NS : nanoseconds(o->watch->settle_s / 4);
  if (!sees && every > SECOND) every = SECOND;
  if (o->listed_ns && (now - o->listed_ns < every || !weir__folder_altered(o->watched))) return WEIR_OK;
  o->listed_ns       = now;
  weir_status status = weir__folder_list(o->watched, note_listed, o);
  o->late_ns         = now;
  return status;
}

static weir_status listen(weir__online *o) {
  weir__folder_event e;
  while (weir__folder_next(o->watched, &e)) {
    weir__online_file *f = e.change == WEIR__FOLDER_GONE ? find(o, e.name) : NULL;
    if (f) *f = o->file[--o->files];
    f = e.change == WEIR__FOLDER_OPENED ? find(o, e.name) : NULL;
    if (f) f->opened = true;
    if (e.change == WEIR__FOLDER_MISSED) o->listed_ns = 0;
    if (e.change == WEIR__FOLDER_CREATED || e.change == WEIR__FOLDER_CLOSED)
      WEIR_TRY(note(o, e.name, e.change == WEIR__FOLDER_CREATED, e.change == WEIR__FOLDER_CLOSED, false));
  }
  return WEIR_OK;
}

/* ---- which are whole ---- */

/* Its header can be read, and all of it where nobody said that it was closed. */
static bool readable(const weir__online *o, const char *name, bool all) {
  char             path[4096];
  weir__image     *image = NULL;
  weir__image_info info;
  void            *pixels = NULL;
  snprintf(path, sizeof path, "%s%s", o->folder, name);
  weir_status status = weir__image_open(path, o->recipe->raw, &image);
  if (status >= 0) status = weir__image_info_get(image, 0, &info);
  if (status >= 0 && all) {
    status = weir__alloc_zeroed((size_t)(info.height * info.width) * weir_dtype_size(info.dtype), 64, &pixels);
    if (status >= 0) status = weir__image_read(image, 0, pixels);
  }
  weir__free(pixels);
  weir__image_close(&image);
  if (status < 0) weir__error_clear();
  return status >= 0;
}

typedef enum judgement { WAITS, WHOLE, LEFT } judgement;

static judgement judge(weir__online *o, weir__online_file *f, int64_t now) {
  weir__folder_file s;
  struct timespec   wall;
  int64_t           settle = nanoseconds(o->watch->settle_s), gap = nanoseconds(o->watch->gap_s);
  f->judged_ns = now;
  weir__folder_look(o->watched, f->name, &s);
  if (s.bytes < 0) return LEFT;
  clock_gettime(CLOCK_REALTIME, &wall);
  int64_t age = (int64_t)wall.tv_sec * SECOND + wall.tv_nsec - s.changed_ns;
  if (s.bytes != f->bytes || s.changed_ns != f->changed_ns) {
    bool seen     = f->changed_ns != 0;
    f->bytes      = s.bytes;
    f->changed_ns = s.changed_ns;
    f->looked     = false;
    f->since_ns   = now;
    /* one that was there before the watch has been quiet for as long as its time says */
    if (!seen && !f->written && !f->closed && age > 0) f->since_ns = now - age;
    if (o->image_ns) o->image_ns = now;
  }
  /* a link: it has come without being written */
  if (f->written && !f->opened && !f->closed && now - f->noted_ns >= LINK_NS) f->closed = true;
  int64_t quiet  = now - f->since_ns;
  bool    enough = f->closed || (!f->written && quiet >= settle);
  if (enough && !f->looked) {
    f->looked = true;
    if (readable(o, f->name, !f->closed && age < YOUNG_S * SECOND)) return WHOLE;
  }
  /* cut short, and nobody goes on with it: its reader will say what is wrong */
  if (o->series && !f->written && quiet >= (o->end ? settle : gap)) return WHOLE;
  if (o->series && f->closed && quiet >= (o->end ? settle : gap)) return WHOLE;
  f->next_ns = now + LINK_NS;
  if (f->written && !f->opened) return WAITS;
  int64_t pause = quiet / 4 > settle / 8 ? quiet / 4 : settle / 8;
  f->next_ns    = now + (pause < SECOND ? pause : SECOND);
  if (quiet < settle && f->next_ns > f->since_ns + settle) f->next_ns = f->since_ns + settle;
  return WAITS;
}

weir_status weir__online_look(weir__online *o, weir_status (*taken)(weir__online *online, const char *name)) {
  size_t kept = 0, k = 0;
  WEIR_TRY(list(o, weir__clock_ns())); /* the first time, before anything is heard */
  WEIR_TRY(listen(o));
  int64_t     now    = weir__clock_ns();
  weir_status status = WEIR_OK;
  for (; k < o->files && status >= 0; k++) {
    judgement what = o->file[k].next_ns > now ? WAITS : judge(o, &o->file[k], now);
    if (what == WHOLE) o->image_ns = now;
    if (what == WHOLE) status = taken(o, o->file[k].name);
    if (what == WAITS) o->file[kept++] = o->file[k];
  }
  o->files = kept;
  return status;
}

bool weir__online_pending(const weir__online *o) {
  int64_t now = weir__clock_ns(), settle = nanoseconds(o->watch->settle_s);
  for (size_t k = 0; k < o->files; k++)
    if (o->file[k].judged_ns - o->file[k].since_ns < settle && now - o->end_ns < 10 * settle) return true;
  return false;
}

bool weir__online_unsure(const weir__online *o, int64_t at_ns) {
  for (size_t k = 0; k < o->files; k++)
    if (o->file[k].noted_ns <= at_ns && !o->file[k].looked) return true;
  return false;
}

int64_t weir__online_patience(const weir__online *o) {
  int64_t now = weir__clock_ns(), until = now + TICK_NS;
  for (size_t k = 0; k < o->files; k++)
    if (o->file[k].next_ns < until) until = o->file[k].next_ns;
  if (o->blocked_ns && o->blocked_ns + nanoseconds(o->watch->gap_s) < until)
    until = o->blocked_ns + nanoseconds(o->watch->gap_s);
  return until - now < 1000000 ? 1000000 : until - now;
}

void weir__online_reason(const weir__online *o, const char *name, char why[256]) {
  weir__folder_file s;
  weir__folder_look(o->watched, name, &s);
  if (s.bytes < 0) snprintf(why, 256, "there is no such file");
  else snprintf(why, 256, "the file was not whole when its step had to be decided");
}
