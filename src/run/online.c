#include "run/online.h"
#include "core/clock.h"
#include "run/directory.h"
#include "run/online_parts.h"
#include "run/report.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIED = 8 /* images that form no series, before the watch gives up */, POLL_NS = 20000000 };

static int64_t nanoseconds(double seconds) { return (int64_t)(seconds * 1e9); }

/* ---- the end ---- */

static void end_now(weir__online *o, weir__online_end how) {
  if (o->end == WEIR__ONLINE_NOW) return;
  o->end    = how;
  o->end_ns = weir__clock_ns();
}

static void look_for_end(weir__online *o) {
  enum { ASK_NS = 150000000 };
  int64_t now = weir__clock_ns();
  if (o->watch->timeout_s > 0 && o->image_ns && now - o->image_ns > nanoseconds(o->watch->timeout_s))
    end_now(o, WEIR__ONLINE_NOW);
  if (o->terms.stop && *o->terms.stop) end_now(o, WEIR__ONLINE_NOW);
  if (now - o->asked_ns < ASK_NS) return;
  o->asked_ns = now;
  if (o->finish.data && !access(o->finish.data, F_OK)) end_now(o, WEIR__ONLINE_NOW);
}

/* Nothing more will be whole: a marker may come a moment before the last image is. */
static bool is_over(const weir__online *o) {
  if (o->end == WEIR__ONLINE_MARKER) return o->late_ns > o->end_ns && !weir__online_pending(o);
  return o->end == WEIR__ONLINE_NOW;
}

/* ---- before the first step ---- */

static weir_status add_seed(weir__online *o, const char *name) {
  weir__text_add_bytes(&o->seed, name, strlen(name) + 1);
  o->seeds++;
  return weir__text_status(&o->seed);
}

/* A series of these names, as a folder with nothing else in it would give. */
static weir_status open_series(const weir__online *o, const weir__text *names, int64_t count, weir__series **series) {
  const weir__recipe_images *r = o->recipe;
  const char               **name;
  WEIR_TRY(weir__alloc_array((size_t)count + 1, sizeof *name, &name));
  int k = 0;
  for (const char *at = names->data; k < count; at += strlen(at) + 1) name[k++] = at;
  weir__series_terms terms  = {.path   = name,
                               .paths  = k,
                               .folder = o->folder,
                               .subset = r->subset.text,
                               .start  = r->start,
                               .stop   = r->stop,
                               .step   = r->step,
                               .raw    = r->raw};
  weir_status        status = weir__series_open(&terms, series);
  weir__free((void *)name);
  return status;
}

/* How many images show what a subset means? With one index its distance, with more which of them go on. */
static int64_t images_needed(const weir__online *o, const weir__series *s, const char *form) {
  const char *subset = o->recipe->subset.text;
  bool        named  = !subset || !strcmp(subset, "pairs") || !strcmp(subset, "all1by1");
  const char *slices = strstr(form, "\nslices");
  bool        all    = slices && !memchr(slices, '-', strcspn(slices + 1, "\n"));
  if (named) return weir__series_indices(s) == 1 ? 2 : 3;
  return all ? 1 : 3;
}

/* WEIR_ERR_TIMEOUT: it cannot be told yet. */
static weir_status try_settle(weir__online *o) {
  weir__series *s    = NULL;
  weir__text    form = {0};
  if (o->seeds == o->tried && !is_over(o)) return WEIR_ERR_TIMEOUT;
  if (!o->seeds) return WEIR_ERR_TIMEOUT;
  o->tried           = o->seeds;
  weir_status status = open_series(o, &o->seed, o->seeds, &s);
  if (status < 0 && !is_over(o) && o->seeds < TRIED) status = WEIR_ERR_TIMEOUT;
  if (status < 0 && status != WEIR_ERR_TIMEOUT && strstr(weir_error_last(), ": no step") && !is_over(o))
    status = WEIR_ERR_TIMEOUT;
  if (status < 0) goto out;
  WEIR_TRY_GOTO(out, weir__series_form(s, &form));
  bool early = o->recipe->start != INT64_MIN && weir__series_number(s, 0) > o->recipe->start;
  if (early && !o->blocked_ns) o->blocked_ns = weir__clock_ns();
  early &= weir__clock_ns() - o->blocked_ns < nanoseconds(o->watch->gap_s);
  /* a camera may be at work since before the watch: its first images are not heard of, and take their time */
  if (!o->could_ns) o->could_ns = weir__clock_ns();
  early |= weir__online_unsure(o, o->could_ns) && weir__clock_ns() - o->could_ns < nanoseconds(2 * o->watch->settle_s);
  if (!is_over(o) && (early || weir__series_files(s) < images_needed(o, s, form.data))) {
    if (early) o->tried = 0; /* to be looked at again though nothing comes */
    status = WEIR_ERR_TIMEOUT;
    goto out;
  }
  weir__series_image first;
  weir__series_image_of(s, 0, &first);
  weir__text_add(&o->head, "%ssample %s\n", form.data,
                 strrchr(first.path, '/') ? strrchr(first.path, '/') + 1 : first.path);
  WEIR_TRY_GOTO(out, weir__text_status(&o->head));
  WEIR_TRY_GOTO(out, weir__series_open_form(o->head.data, &o->series));
  o->blocked_ns = 0;
out:
  weir__text_clear(&form);
  weir__series_close(&s);
  return status;
}

static weir_status add_image(weir__online *o, const char *name) {
  bool added;
  weir__mutex_lock(&o->lock);
  weir_status status = weir__series_add(o->series, name, &added);
  weir__mutex_unlock(&o->lock);
  return status;
}

static weir_status wait_for_series(weir__online *o) {
  for (;;) {
    WEIR_TRY(weir__online_look(o, add_seed));
    look_for_end(o);
    weir_status status = try_settle(o);
    if (status != WEIR_ERR_TIMEOUT) {
      WEIR_TRY(status);
      break;
    }
    weir__error_clear();
    if (is_over(o))
      return WEIR_FAIL(WEIR_ERR_GONE,
                       "images: the watch over %s ended before a step was whole (%" PRId64 " image%s came)", o->folder,
                       o->seeds, o->seeds == 1 ? "" : "s");
    weir__folder_wait(o->watched, weir__online_patience(o));
  }
  for (const char *at = o->seed.data; at < o->seed.data + o->seed.length; at += strlen(at) + 1)
    WEIR_TRY(add_image(o, at));
  weir__text_clear(&o->seed);
  return weir__online_log_begin(o);
}

/* ---- steps ---- */

static weir_status decide_missing(weir__online *o, weir__text *log) {
  uint64_t absent = weir__series_absent(o->series, o->steps);
  for (int k = 0; k < weir__series_images(o->series); k++) {
    weir__series_image image;
    char               why[256];
    if (!(absent >> k & 1)) continue;
    weir__series_image_get(o->series, o->steps, k, &image);
    const char *name  = image.path + strlen(o->folder);
    bool        known = weir__series_knows(o->series, name);
    if (known) continue; /* since an earlier step */
    weir__online_reason(o, name, why);
    weir__text_add(log, "missing %s\t%s\n", name, why);
    WEIR_TRY(weir__online_note_missed(o, name, why));
  }
  weir__text_add(log, "absent %" PRId64 " %" PRIx64 "\n", o->steps, absent);
  return weir__series_settle(o->series, o->steps, absent);
}

static bool reached_end(const weir__online *o) {
  if (o->last >= 0) return o->steps >= o->last;
  if (o->watch->count && o->steps >= o->watch->count) return true;
  return o->recipe->stop != INT64_MIN && weir__series_number(o->series, o->steps) >= o->recipe->stop;
}

/* Under the lock. The steps that can be decided now; `*more`: there are some, or it is the end. */
static weir_status decide(weir__online *o, bool over, weir__text *log, bool *more) {
  int64_t now = weir__clock_ns(), before = o->steps;
  bool    ends = o->ended;
  while (!ends) {
    ends         = reached_end(o);
    int64_t next = ends ? -1 : weir__series_next_whole(o->series, o->steps);
    if (ends) break;
    if (next < 0) {
      o->blocked_ns = 0;
      ends          = over;
      break;
    }
    if (next > o->steps) {
      if (!o->blocked_ns) o->blocked_ns = now;
      if (!over && now - o->blocked_ns < nanoseconds(o->watch->gap_s)) break;
      WEIR_TRY(decide_missing(o, log));
    }
    o->came_ns[o->steps++ % WEIR__ONLINE_CAME] = now;
    if (next == o->steps - 1) o->blocked_ns = 0;
  }
  if (o->steps > before) weir__text_add(log, "steps %" PRId64 "\n", o->steps);
  if (ends && !o->ended && o->last < 0) weir__text_add(log, "end %" PRId64 "\n", o->steps);
  *more    = o->steps > before || ends != o->ended;
  o->ended = ends;
  return log->length ? weir__online_log_add(o, log) : WEIR_OK;
}

/* What the series would have been, had all images been there. */
static void compare(weir__online *o) {
  weir__series *s     = NULL;
  weir__text    names = {0}, form = {0};
  int64_t       count  = 0;
  weir_status   status = weir__series_list(o->series, &names, &count);
  if (status >= 0 && count) status = open_series(o, &names, count, &s);
  if (status >= 0 && s) status = weir__series_form(s, &form);
  if (status >= 0 && form.data) {
    const weir__series *had = o->series;
    if (strcmp(weir__series_subset(s), weir__series_subset(had)) && *weir__series_subset(had))
      snprintf(
          o->verdict, sizeof o->verdict,
          "images: the first ones looked like the subset \"%s\", all of them are \"%s\": give the subset as slices",
          weir__series_subset(had), weir__series_subset(s));
    else if (weir__series_number(s, 0) != weir__series_number(had, 0))
      snprintf(o->verdict, sizeof o->verdict,
               "images: step %" PRId64 " became whole after step %" PRId64 " had begun, and was left out: give start",
               weir__series_number(s, 0), weir__series_number(had, 0));
    else if (weir__series_steps(s) > 1 && weir__series_number(s, 1) != weir__series_number(had, 1))
      snprintf(o->verdict, sizeof o->verdict,
               "images: steps were taken to lie %" PRId64 " apart, and are %" PRId64 ": give step",
               weir__series_number(had, 1) - weir__series_number(had, 0),
               weir__series_number(s, 1) - weir__series_number(s, 0));
  } else weir__error_clear();
  weir__series_close(&s);
  weir__text_clear(&names);
  weir__text_clear(&form);
}

static weir_status turn(weir__online *o) {
  weir__text  log    = {0};
  bool        more   = false;
  weir_status status = weir__online_look(o, add_image);
  look_for_end(o);
  bool over = is_over(o);
  weir__mutex_lock(&o->lock);
  if (status >= 0) status = decide(o, over, &log, &more);
  if (status < 0) { /* nothing more can be decided: the run ends here, and says so */
    snprintf(o->verdict, sizeof o->verdict, "%s", weir_error_last());
    more = o->ended = true;
  } else if (o->ended && more) compare(o);
  if (more && o->wake) o->wake(o->who);
  bool ended = o->ended;
  weir__mutex_unlock(&o->lock);
  weir__text_clear(&log);
  return ended ? WEIR_END : WEIR_OK;
}

static void watch(void *online) {
  weir__online *o = online;
  weir__thread_deafen();
  while (!atomic_load(&o->quits) && turn(o) == WEIR_OK) weir__folder_wait(o->watched, weir__online_patience(o));
}

/* ---- opening ---- */

static weir_status find_folder(const weir__recipe_images *r, char **folder, const char **wanted) {
  const char *path = r->path[0], *slash = strrchr(path, '/');
  weir__text  text = {0};
  *wanted          = NULL;
  if (strpbrk(path, "*?[")) {
    *wanted = slash ? slash + 1 : path;
    weir__text_add(&text, "%.*s", slash ? (int)(slash - path) + 1 : 0, path);
  } else weir__text_add(&text, "%s%s", path, slash && !slash[1] ? "" : "/");
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = weir__alloc_string(text.data ? text.data : "", folder);
  weir__text_clear(&text);
  return status;
}

weir_status weir__online_check(const weir__recipe_images *recipe) {
  char         *path   = NULL;
  const char   *wanted = NULL;
  weir__folder *folder = NULL;
  weir_status   status = find_folder(recipe, &path, &wanted);
  if (status >= 0) status = weir__folder_open(*path ? path : ".", &folder);
  weir__folder_close(&folder);
  weir__free(path);
  return status;
}

static weir_status lead(weir__online *o) {
  WEIR_TRY(weir__run_path(&o->finish, o->terms.directory, WEIR__RUN_FINISH));
  WEIR_TRY(weir__folder_open(*o->folder ? o->folder : ".", &o->watched));
  weir_status status = weir__online_log_read(o);
  return status == WEIR_END ? wait_for_series(o) : status;
}

/* The others sleep meanwhile, and hear how it went. */
static weir_status wait_for_lead(weir__online *o) {
  weir__agreement *agreement = NULL;
  const int64_t   *said;
  int64_t          nothing = 0;
  WEIR_TRY(weir__agreement_create(o->terms.comm, 1, &agreement));
  weir_status status = o->leads ? lead(o) : WEIR_OK, asked = weir__agreement_start(agreement, &nothing);
  for (bool done = false; asked >= 0;) {
    asked = weir__agreement_test(agreement, &done, &said);
    if (done) break;
    nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
  }
  weir__agreement_destroy(&agreement);
  return weir__comm_agree(o->terms.comm, status < 0 ? status : asked);
}

/* The form and the sample, as worker 0 has them. */
static weir_status share(weir__online *o) {
  int64_t     size   = (int64_t)o->head.length;
  char       *text   = NULL;
  weir_status status = WEIR_OK;
  WEIR_TRY(weir__comm_broadcast(o->terms.comm, &size, sizeof size, 0));
  status = weir__alloc_zeroed((size_t)size + 1, 0, &text);
  if (status >= 0 && o->leads) memcpy(text, o->head.data, (size_t)size);
  status = weir__comm_agree(o->terms.comm, status);
  if (status >= 0) status = weir__comm_broadcast(o->terms.comm, text, (size_t)size, 0);
  if (status >= 0 && !o->leads) status = weir__series_open_form(text, &o->series);
  const char *sample = status >= 0 ? strstr(text, "\nsample ") : NULL;
  if (status >= 0 && !sample) status = WEIR_FAIL(WEIR_ERR_INPUT, "images.log names no sample");
  if (status >= 0) {
    weir__text path = {0};
    sample += 8;
    weir__text_add(&path, "%s%.*s", o->folder, (int)strcspn(sample, "\n"), sample);
    status = weir__text_status(&path);
    if (status >= 0) status = weir__alloc_string(path.data, &o->sample);
    weir__text_clear(&path);
  }
  weir__free(text);
  return weir__comm_agree(o->terms.comm, status);
}

weir_status weir__online_open(const weir__recipe_images *recipe, const weir__files_terms *terms,
                              weir__online **online) {
  weir__online *o;
  weir_status   status = WEIR_OK;
  WEIR_TRY(weir__alloc_zeroed(sizeof *o, 0, &o));
  weir__mutex_init(&o->lock);
  o->recipe = recipe;
  o->watch  = recipe->watch;
  o->terms  = *terms;
  o->leads  = weir__comm_rank(terms->comm) == 0;
  o->log    = -1;
  o->last   = -1;
  WEIR_TRY_GOTO(out, weir__series_may_grow(recipe->subset.text));
  WEIR_TRY_GOTO(out, find_folder(recipe, &o->folder, &o->wanted));
  WEIR_TRY_GOTO(out, wait_for_lead(o));
  WEIR_TRY_GOTO(out, share(o));
  if (o->leads) WEIR_TRY_GOTO(out, weir__thread_start(&o->thread, watch, o));
  o->runs = o->leads;
  *online = o;
  o       = NULL;
out:
  weir__online_close(&o);
  return status;
}

void weir__online_close(weir__online **online) {
  weir__online *o = *online;
  if (!o) return;
  if (o->runs) {
    atomic_store(&o->quits, 1);
    weir__folder_rouse(o->watched);
    weir__thread_join(&o->thread);
  }
  weir__folder_close(&o->watched);
  weir__series_close(&o->series);
  if (o->log >= 0) close(o->log);
  weir__text_clear(&o->head);
  weir__text_clear(&o->finish);
  weir__text_clear(&o->seed);
  weir__free(o->folder);
  weir__free(o->sample);
  weir__free(o->file);
  weir__free(o->missed);
  weir__mutex_destroy(&o->lock);
  weir__free(o);
  *online = NULL;
}

/* ---- what others ask ---- */

void weir__online_ends(const weir__recipe_watch *watch, weir__text *text) {
  char        seconds[40];
  const char *before = "  it ends when ";
  if (watch->end) weir__text_add(text, "%sa file %s appears", before, watch->end), before = ", or ";
  if (watch->timeout_s > 0)
    weir__text_add(text, "%sno image comes for %s", before, weir__duration_text(watch->timeout_s, seconds)),
        before = ", or ";
  if (watch->count)
    weir__text_add(text, "%safter %" PRId64 " step%s", *before == ',' ? before : "  it ends ", watch->count,
                   watch->count == 1 ? "" : "s"),
        before = ", or ";
  weir__text_add(text, *before == ',' ? ", or when it is interrupted\n" : "%swhen it is interrupted\n", "  it ends ");
  weir__text_add(text, "  a missing image is waited for during %s", weir__duration_text(watch->gap_s, seconds));
  weir__text_add(text, "; a file that is not heard to be closed is whole after %s\n",
                 weir__duration_text(watch->settle_s, seconds));
}

const weir__series *weir__online_series(const weir__online *o) { return o->series; }
const char         *weir__online_sample(const weir__online *o) { return o->sample; }

weir_status weir__online_more(weir__online *o, int64_t ordinal) {
  weir__mutex_lock(&o->lock);
  weir_status status = ordinal < o->steps ? WEIR_OK : o->ended ? WEIR_END : WEIR_ERR_TIMEOUT;
  weir__mutex_unlock(&o->lock);
  return status;
}

int64_t weir__online_steps(weir__online *o) {
  weir__mutex_lock(&o->lock);
  int64_t steps = o->steps;
  weir__mutex_unlock(&o->lock);
  return steps;
}

void weir__online_attach(weir__online *o, void (*wake)(void *who), void *who) {
  weir__mutex_lock(&o->lock);
  o->wake = wake;
  o->who  = who;
  weir__mutex_unlock(&o->lock);
}

uint64_t weir__online_about(weir__online *o, int64_t ordinal) {
  weir__mutex_lock(&o->lock);
  uint64_t absent = weir__series_absent(o->series, ordinal);
  weir__mutex_unlock(&o->lock);
  return absent;
}

void weir__online_heed(weir__online *o, int64_t ordinal, uint64_t about) {
  weir__mutex_lock(&o->lock);
  if (weir__series_settle(o->series, ordinal, about) < 0) weir__error_clear(); /* then its images are not found */
  weir__mutex_unlock(&o->lock);
}

void weir__online_image(weir__online *o, int64_t ordinal, int k, weir__series_image *image) {
  weir__mutex_lock(&o->lock);
  weir__series_image_get(o->series, ordinal, k, image);
  weir__mutex_unlock(&o->lock);
}

void weir__online_why(weir__online *o, const weir__series_image *image, weir__text *text) {
  const char *name = image->path + strlen(o->folder), *why = "it did not come in time";
  weir__mutex_lock(&o->lock);
  for (size_t k = 0; k < o->misses; k++)
    if (!strcmp(o->missed[k].name, name)) why = o->missed[k].why;
  weir__text_add(text, "%s: %s", image->path, why);
  weir__mutex_unlock(&o->lock);
}

void weir__online_pulse(weir__online *o, int64_t ordinal, int64_t *steps, int64_t *came_ns) {
  weir__mutex_lock(&o->lock);
  *steps   = o->steps;
  *came_ns = ordinal >= 0 && ordinal < o->steps && o->steps - ordinal <= WEIR__ONLINE_CAME
                 ? o->came_ns[ordinal % WEIR__ONLINE_CAME]
                 : 0;
  weir__mutex_unlock(&o->lock);
}

weir_status weir__online_verdict(weir__online *o) {
  char verdict[sizeof o->verdict];
  weir__mutex_lock(&o->lock);
  memcpy(verdict, o->verdict, sizeof verdict);
  weir__mutex_unlock(&o->lock);
  return *verdict ? WEIR_FAIL(WEIR_ERR_GONE, "%s", verdict) : WEIR_OK;
}
