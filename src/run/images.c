#include "run/images.h"
#include "io/file.h"
#include "core/threads.h"
#include "field/field.h"
#include "io/mask.h"
#include "run/online.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TRIED = 16 /* images, to learn the size from */, HANDLES = 8 /* of files with pages, kept open */ };

/* A decoded image, or why there is none. */
typedef enum state { EMPTY, DECODING, READY, FAILED } state;
typedef struct slot {
  state    state;
  int64_t  id;
  int      users;  /* who decodes or copies it; those who wait for it look again */
  uint64_t used;   /* when it last was, in uses of all */
  void    *pixels; /* owned */
  char     why[480];
} slot;

/* A file that stays open, because its pages would be looked up again. */
typedef struct handle {
  char         path[4096];
  weir__image *image;
} handle;

typedef struct images {
  weir__arena                arena;
  const weir__recipe_images *recipe;
  weir__online              *online; /* NULL: all images are there, or are looked at as they are now */
  weir__series              *own;    /* owned; NULL: the series is that of `online` */
  const weir__series        *series;
  weir__recipe_schema        schema;
  weir__image_info           info; /* of all that is good */
  uint8_t                   *mask; /* NULL: none; owned. The field behind those of the images */
  bool                       paged;
  weir__mutex                lock; /* what follows; pixels of a slot with users are theirs */
  slot                      *slot;
  int                        slots;
  uint64_t                   uses;
  int64_t                    decoded;
  handle                    *handle; /* idle ones; image NULL: none */
  int                        oldest;
  _Atomic uint32_t           changes; /* who waits for a slot sleeps on it */
} images;

static void get_image(const images *self, int64_t level, int k, weir__series_image *at) {
  if (self->online) weir__online_image(self->online, level, k, at);
  else weir__series_image_get(self->series, level, k, at);
}

/* ---- decoding ---- */

static weir__image *take_handle(images *self, const char *path) {
  weir__image *found = NULL;
  weir__mutex_lock(&self->lock);
  for (int k = 0; k < HANDLES && !found; k++) {
    if (!self->handle[k].image || strcmp(self->handle[k].path, path)) continue;
    found                 = self->handle[k].image;
    self->handle[k].image = NULL;
  }
  weir__mutex_unlock(&self->lock);
  return found;
}

static void put_handle(images *self, const char *path, weir__image *image) {
  if (self->paged) {
    weir__mutex_lock(&self->lock);
    handle      *place = &self->handle[self->oldest++ % HANDLES];
    weir__image *other = place->image;
    snprintf(place->path, sizeof place->path, "%s", path);
    place->image = image;
    self->oldest %= HANDLES;
    weir__mutex_unlock(&self->lock);
    image = other;
  }
  weir__image_close(&image);
}

static weir_status check_like_first(const images *self, const weir__series_image *at, const weir__image_info *found) {
  const weir__image_info *all = &self->info;
  if (found->height == all->height && found->width == all->width && found->dtype == all->dtype) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT,
                   "%s: %" PRId64 " x %" PRId64 " pixels of %s, expected %" PRId64 " x %" PRId64
                   " of %s (height x width) as in the first image",
                   at->path, found->height, found->width, weir_dtype_name(found->dtype), all->height, all->width,
                   weir_dtype_name(all->dtype));
}

static weir_status decode(images *self, const weir__series_image *at, void *pixels) {
  weir__image     *image = self->paged ? take_handle(self, at->path) : NULL;
  weir__image_info info;
  if (!image) WEIR_TRY(weir__image_open(at->path, self->recipe->raw, &image));
  weir_status status = weir__image_info_get(image, at->page, &info);
  if (status >= 0) status = check_like_first(self, at, &info);
  if (status >= 0) status = weir__image_read(image, at->page, pixels);
  if (status >= 0) put_handle(self, at->path, image);
  else weir__image_close(&image);
  return status;
}

/* ---- images that are kept ---- */

/* Under the lock. The slot of the image, or the one that it gets; NULL: all are in use just now. */
static slot *find_slot(images *self, int64_t id) {
  slot *free = NULL;
  for (int k = 0; k < self->slots; k++) {
    slot *s = &self->slot[k];
    if (s->state != EMPTY && s->id == id) return s;
    if (!s->users && (!free || s->used < free->used)) free = s;
  }
  if (!free) return NULL;
  free->state = EMPTY;
  free->id    = id;
  return free;
}

static void tell(images *self) {
  atomic_fetch_add(&self->changes, 1);
  weir__futex_wake(&self->changes, INT32_MAX, false);
}

static size_t image_bytes(const images *self) {
  return (size_t)(self->info.height * self->info.width) * weir_dtype_size(self->info.dtype);
}

static void fill(images *self, const weir__series_image *at, slot *s) {
  weir_status status = s->pixels ? WEIR_OK : weir__alloc_zeroed(image_bytes(self), 64, &s->pixels);
  weir__error_clear();
  if (status >= 0) status = decode(self, at, s->pixels);
  const char *said = weir_error_last();
  snprintf(s->why, sizeof s->why, "%s", status >= 0 ? "" : said[0] ? said : weir_status_text(status));
  weir__mutex_lock(&self->lock);
  s->state = status >= 0 ? READY : FAILED;
  self->decoded++;
  weir__mutex_unlock(&self->lock);
  tell(self);
}

/* The slot with the image, decoded or failed, to be given back. */
static slot *use(images *self, const weir__series_image *at) {
  weir__mutex_lock(&self->lock);
  for (;;) {
    uint32_t seen = atomic_load(&self->changes);
    slot    *s    = find_slot(self, at->id);
    if (s && s->state != DECODING) {
      bool fresh = s->state == EMPTY;
      s->users++;
      s->used = ++self->uses;
      if (fresh) s->state = DECODING;
      weir__mutex_unlock(&self->lock);
      if (fresh) fill(self, at, s);
      return s;
    }
    weir__mutex_unlock(&self->lock);
    weir__futex_wait(&self->changes, seen, -1, false);
    weir__mutex_lock(&self->lock);
  }
}

static void give_back(images *self, slot *s) {
  weir__mutex_lock(&self->lock);
  bool last = --s->users == 0;
  weir__mutex_unlock(&self->lock);
  if (last) tell(self);
}

static weir_status copy_out(const images *self, const void *pixels, const weir_view *out) {
  weir_region whole = {.rank = 2, .count = {self->info.height, self->info.width}};
  weir_region part  = {.rank = 2};
  memcpy(part.start, out->start, sizeof part.start);
  memcpy(part.count, out->count, sizeof part.count);
  weir__copy_from_dense(out, out->start, pixels, &whole, &part);
  return WEIR_OK;
}

static weir_status read_image(void *images_, int field, int64_t level, const weir_view *out) {
  images            *self = images_;
  weir__series_image at;
  weir_status        status = WEIR_OK;
  if (field == weir__series_images(self->series)) return copy_out(self, self->mask, out);
  get_image(self, level, field, &at);
  int64_t step = weir__series_number(self->series, level);
  if (!at.found)
    return WEIR_FAIL(WEIR_ERR_GONE, "%s (image %s of step %" PRId64 "): %s", at.path, self->schema.field[field].name,
                     step, self->online ? "it did not come in time" : "there is no such file");
  slot *s = use(self, &at);
  if (s->state == READY) status = copy_out(self, s->pixels, out);
  else
    status =
        WEIR_FAIL(WEIR_ERR_INPUT, "%s (image %s of step %" PRId64 ")", s->why, self->schema.field[field].name, step);
  give_back(self, s);
  return status;
}

/* ---- opening ---- */

/* Every worker from the same image. */
static weir_status learn_size_of(images *self, const char *path) {
  weir__image *image = NULL;
  WEIR_TRY(weir__image_open(path, self->recipe->raw, &image));
  weir_status status = weir__image_info_get(image, 0, &self->info);
  weir__image_close(&image);
  if (status >= 0 && self->info.pages > 1)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s has %" PRId64 " pages, expected files of one image where a series is watched",
                     path, self->info.pages);
  return status;
}

static weir_status learn_size(images *self) {
  weir_status first = WEIR_OK;
  char        why[480];
  for (int64_t id = 0; id < weir__series_ids(self->series) && id < TRIED; id++) {
    weir__series_image at;
    weir__image       *image = NULL;
    weir__series_image_of(self->series, id, &at);
    weir_status status = weir__image_open(at.path, self->recipe->raw, &image);
    if (status >= 0) status = weir__image_info_get(image, at.page, &self->info);
    self->paged |= status >= 0 && self->info.pages > 1;
    weir__image_close(&image);
    if (status >= 0) return WEIR_OK;
    if (first >= 0) snprintf(why, sizeof why, "%s", weir_error_last());
    if (first >= 0) first = status;
  }
  return WEIR_FAIL(WEIR_ERR_INPUT, "no image could be opened; the first one: %s", why);
}

static const char *usual_name(int count, int k, char out[24]) {
  if (count == 1) return "image";
  if (count == 2) return k ? "b" : "a";
  snprintf(out, 24, "image%d", k);
  return out;
}

/* Row or column i has the coordinate (i - origin) * pixel; rows are counted downwards. */
static weir_dimension axis(const images *self, int a) {
  const weir__recipe_images *r       = self->recipe;
  int64_t                    size    = a ? self->info.width : self->info.height;
  bool                       turned  = !a && r->up;
  double                     spacing = (r->pixel > 0 ? r->pixel : 1) * (turned ? -1 : 1);
  double                     zero    = r->has_origin ? r->origin[a] : turned ? (double)(size - 1) : 0;
  return (weir_dimension){.name    = a ? "x" : "y",
                          .size    = size,
                          .units   = r->pixel > 0 ? "m" : "pixel",
                          .origin  = zero != 0 ? -zero * spacing : 0,
                          .spacing = spacing};
}

/* A single image beside a leading stream, which no join: puts at a time, is the same at all steps: read once. */
static weir_status describe_fields(images *self, const weir__recipe_stream *stream) {
  const weir__recipe_images *r     = self->recipe;
  int                        count = weir__series_images(self->series), fields = count + (self->mask ? 1 : 0);
  weir__recipe_expected     *field;
  char                       usual[24];
  bool one_for_all = stream->is_joined && !stream->join.how && weir__series_steps(self->series) == 1;
  if (r->name && r->names != count)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%d names are given, expected %d: as many as images in a step", r->names, count);
  for (int k = 0; self->mask && r->name && k < count; k++)
    if (!strcmp(r->name[k].text, "mask"))
      return WEIR_FAIL(WEIR_ERR_INPUT, "an image is named mask, which is the field that `mask:` gives");
  WEIR_TRY(weir__arena_alloc(&self->arena, (size_t)fields * sizeof *field, &field));
  for (int k = 0; k < fields; k++) {
    field[k] = (weir__recipe_expected){.place     = stream->place,
                                       .is_static = one_for_all,
                                       .type      = {.dtype = k < count ? self->info.dtype : WEIR_U8,
                                                     .rank  = 2,
                                                     .dim   = {axis(self, 0), axis(self, 1)},
                                                     .units = ""}};
    /* an image is decoded in one piece, and most of what needs it needs more than a part */
    field[k].grid.rank = 2;
    for (int a = 0; a < 2; a++)
      WEIR_TRY(weir__grid_cut_pieces(&self->arena, field[k].type.dim[a].size, 1, &field[k].grid.chunks[a],
                                     &field[k].grid.edge[a]));
    const char *name = k == count ? "mask" : r->name ? r->name[k].text : usual_name(count, k, usual);
    WEIR_TRY(weir__arena_string(&self->arena, name, &field[k].name));
  }
  self->schema = (weir__recipe_schema){.time_units = r->dt > 0 ? "s" : NULL, .field = field, .fields = fields};
  return WEIR_OK;
}

static weir_status make_mask(images *self) {
  const weir__recipe_images *r      = self->recipe;
  int64_t                    height = self->info.height, width = self->info.width;
  weir_status                status = WEIR_OK;
  if (!r->masks) return WEIR_OK;
  WEIR_TRY(weir__alloc_zeroed((size_t)(height * width), 64, &self->mask));
  for (int k = 0; k < r->masks && status >= 0; k++) {
    const weir__recipe_mask *m = &r->mask[k];
    if (m->file) status = weir__mask_read(m->file, height, width, self->mask);
    else status = weir__mask_add_polygon((const double(*)[2])m->point, m->points, height, width, self->mask);
  }
  return status;
}

/* Enough slots for the images of so many steps, and of one that is about to begin. */
static weir_status make_slots(images *self, int steps) {
  slot *more;
  int   slots = weir__series_images(self->series) * (steps + 1);
  if (slots <= self->slots) return WEIR_OK;
  WEIR_TRY(weir__alloc_array((size_t)slots, sizeof *more, &more));
  if (self->slots) memcpy(more, self->slot, (size_t)self->slots * sizeof *more);
  weir__free(self->slot);
  self->slot  = more;
  self->slots = slots;
  return WEIR_OK;
}

static void close_images(void *images_) {
  images *self = images_;
  for (int k = 0; k < self->slots; k++) weir__free(self->slot[k].pixels);
  for (int k = 0; self->handle && k < HANDLES; k++) weir__image_close(&self->handle[k].image);
  weir__free(self->slot);
  weir__free(self->handle);
  weir__free(self->mask);
  weir__online_close(&self->online);
  weir__series_close(&self->own);
  weir__mutex_destroy(&self->lock);
  weir__arena_clear(&self->arena);
  weir__free(self);
}

weir_status weir__images_series(const weir__recipe_images *r, weir__series **series) {
  weir__series_terms terms = {.path   = r->path,
                              .paths  = r->paths,
                              .subset = r->subset.text,
                              .start  = r->start,
                              .stop   = r->stop,
                              .step   = r->step,
                              .raw    = r->raw};
  return weir__series_open(&terms, series);
}

static weir_status find_images(images *self, const weir__files_terms *terms) {
  const weir__recipe_images *r = self->recipe;
  if (r->watch && terms) {
    WEIR_TRY(weir__online_open(r, terms, &self->online));
    self->series = weir__online_series(self->online);
    return learn_size_of(self, weir__online_sample(self->online));
  }
  WEIR_TRY(weir__images_series(r, &self->own));
  self->series = self->own;
  return learn_size(self);
}

static weir_status open_images(const weir__recipe_stream *stream, const weir__files_terms *terms, void **out) {
  const weir__recipe_images *r = stream->images;
  images                    *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  weir__mutex_init(&self->lock);
  self->recipe       = r;
  weir_status status = find_images(self, terms);
  if (status >= 0) status = make_mask(self);
  if (status >= 0) status = describe_fields(self, stream);
  if (status >= 0) status = make_slots(self, WEIR__STEPS_IN_FLIGHT);
  if (status >= 0) status = weir__alloc_array(HANDLES, sizeof *self->handle, &self->handle);
  if (status >= 0) *out = self;
  else {
    close_images(self);
    status = weir__error_prefix(status, "%s:%d:%d", stream->place.file, stream->place.line, stream->place.column);
  }
  return status;
}

/* ---- the kind ---- */

static const weir__recipe_schema *schema(const void *self) { return &((const images *)self)->schema; }
static int64_t                    steps(const void *images_) {
                     const images *self = images_;
                     return self->online ? weir__online_steps(self->online) : weir__series_steps(self->series);
}

static weir_status level_info(const void *images_, int64_t level, int64_t *step, double *time) {
  const images *self = images_;
  *step              = weir__series_number(self->series, level);
  *time              = (double)*step * (self->recipe->dt > 0 ? self->recipe->dt : 1);
  return WEIR_OK;
}

/* More than elsewhere: an image is decoded by one thread, each thread another one. The number must not depend on that
 * of the threads, as failures that disable a field do so from some steps in flight on. */
static int in_flight(const void *images_) {
  enum { MOST = 8 };
  static const double room  = 256 << 20; /* bytes */
  const images       *self  = images_;
  double              steps = room / ((double)image_bytes(self) * weir__series_images(self->series));
  return steps > MOST ? MOST : steps > WEIR__STEPS_IN_FLIGHT ? (int)steps : WEIR__STEPS_IN_FLIGHT;
}

/* Without memory for them there are fewer: images may be decoded more than once. */
static void expect(void *self, int in_flight) {
  if (make_slots(self, in_flight ? in_flight : WEIR__STEPS_IN_FLIGHT) < 0) weir__error_clear();
}

static void describe(const void *images_, weir__text *text) {
  const images *self  = images_;
  int64_t       files = weir__series_files(self->series), others = weir__series_others(self->series);
  int64_t       gaps = weir__series_gaps(self->series), last = weir__series_steps(self->series) - 1;
  weir__text_add(text, "images\n  %s: %" PRId64 " file%s", weir__series_pattern(self->series), files,
                 files == 1 ? "" : "s");
  if (weir__series_ids(self->series) > files)
    weir__text_add(text, ", %" PRId64 " pages", weir__series_ids(self->series));
  if (others) weir__text_add(text, "; %" PRId64 " other file%s left alone", others, others == 1 ? " is" : "s are");
  weir__text_add(text, "\n  %s, %" PRId64 " x %" PRId64 " pixels (height x width) of %s", self->info.format,
                 self->info.height, self->info.width, weir_dtype_name(self->info.dtype));
  if (self->info.bits < 8 * (int)weir_dtype_size(self->info.dtype)) weir__text_add(text, ", %d bits", self->info.bits);
  if (self->info.colour) weir__text_add(text, ", colours as luminance");
  weir__text_add(text, "\n  subset %s: steps i = %" PRId64 " to %" PRId64 ", %d image%s each\n",
                 weir__series_subset(self->series), weir__series_number(self->series, 0),
                 weir__series_number(self->series, last), weir__series_images(self->series),
                 weir__series_images(self->series) == 1 ? "" : "s");
  if (self->mask) {
    int64_t all = self->info.height * self->info.width, hidden = 0;
    for (int64_t i = 0; i < all; i++) hidden += self->mask[i];
    weir__text_add(text, "  mask: %.3g %% of the pixels\n", 100 * (double)hidden / (double)all);
  }
  if (self->recipe->watch) {
    weir__text_add(text, "  more are watched for\n");
    weir__online_ends(self->recipe->watch, text);
  }
  if (!gaps) return;
  weir__text_add(text, "  missing: %" PRId64 " step%s an image\n", gaps, gaps == 1 ? " lacks" : "s lack");
  for (int64_t level = 0, shown = 0; level <= last && shown < 5; level++)
    for (int k = 0; k < weir__series_images(self->series) && shown < 5; k++) {
      weir__series_image at;
      weir__series_image_get(self->series, level, k, &at);
      if (at.found) continue;
      weir__text_add(text, "    step %" PRId64 ": %s\n", weir__series_number(self->series, level), at.path);
      shown++;
    }
}

/* By reading it again, as it may have been another worker that could not. */
static void explain(void *images_, int field, int64_t level, weir__text *text) {
  images            *self = images_;
  weir__series_image at;
  if (field == weir__series_images(self->series)) return; /* the mask is there */
  get_image(self, level, field, &at);
  if (!at.found) {
    if (self->online) weir__online_why(self->online, &at, text);
    else weir__text_add(text, "%s: there is no such file", at.path);
    return;
  }
  slot *s = use(self, &at);
  if (s->state == FAILED) weir__text_add(text, "%s", s->why);
  else weir__text_add(text, "%s could not be read at first, but now", at.path);
  give_back(self, s);
}

/* ---- images that come ---- */

static weir_status more(void *self, int64_t ordinal) { return weir__online_more(((images *)self)->online, ordinal); }
static void        attach(void *self, void (*wake)(void *who), void *who) {
         weir__online_attach(((images *)self)->online, wake, who);
}
static uint64_t about(void *self, int64_t ordinal) { return weir__online_about(((images *)self)->online, ordinal); }
static void     heed(void *self, int64_t ordinal, uint64_t told) {
      weir__online_heed(((images *)self)->online, ordinal, told);
}
static void pulse(void *self, int64_t ordinal, int64_t *came, int64_t *came_ns) {
  weir__online_pulse(((images *)self)->online, ordinal, came, came_ns);
}
static weir_status verdict(void *self) { return weir__online_verdict(((images *)self)->online); }

static const weir__files_live *live(const void *self) {
  static const weir__files_live coming = {more, attach, about, heed, pulse, verdict};
  return ((const images *)self)->online ? &coming : NULL;
}

/* ---- for outputs ---- */

/* As they are in the recipe: names of files, and lists of corners. */
static void add_masks(const weir__recipe_images *r, weir__text *json) {
  char number[2][32];
  weir__text_add(json, ", \"mask\": [");
  for (int i = 0; i < r->masks; i++) {
    const weir__recipe_mask *m = &r->mask[i];
    if (i) weir__text_add(json, ", ");
    if (m->file) weir__json_string(json, m->file);
    for (int k = 0; !m->file && k < m->points; k++)
      weir__text_add(json, "%s[%s, %s]%s", k ? ", " : "[", weir__number_text(m->point[k][0], number[0]),
                     weir__number_text(m->point[k][1], number[1]), k + 1 == m->points ? "]" : "");
  }
  weir__text_add(json, "]");
}

/* What stands in the recipe, and what the usual values became; nothing that depends on how many images there are, as
 * they may still come. */
static void origin(const void *images_, weir__text *json) {
  const images              *self = images_;
  const weir__recipe_images *r    = self->recipe;
  char                       number[32];
  weir__text_add(json, "\"images\": [");
  for (int i = 0; i < r->paths; i++) {
    if (i) weir__text_add(json, ", ");
    weir__json_string(json, r->path[i]);
  }
  weir__text_add(json, "], \"subset\": ");
  weir__json_string(json, weir__series_subset(self->series));
  weir__text_add(json, ", \"first\": %" PRId64, weir__series_number(self->series, 0));
  weir__text_add(json, ", \"shape\": [%" PRId64 ", %" PRId64 "]", self->info.height, self->info.width);
  if (r->dt > 0) weir__text_add(json, ", \"dt\": %s", weir__number_text(r->dt, number));
  if (r->pixel > 0) weir__text_add(json, ", \"pixel\": %s", weir__number_text(r->pixel, number));
  if (r->up) weir__text_add(json, ", \"up\": true");
  if (r->masks) add_masks(r, json);
}

/* Without its folder, and with the number of a page behind it. */
static int name_of(const weir__series_image *at, bool paged, char *out, size_t room) {
  const char *slash = strrchr(at->path, '/'), *name = slash ? slash + 1 : at->path;
  return paged ? snprintf(out, room, "%s[%" PRId64 "]", name, at->page) : snprintf(out, room, "%s", name);
}

/* Names of a series differ in the digits of their numbers alone, and images may come for long. */
static int labels(const void *images_, int *width) {
  enum { MORE_DIGITS = 12, ROUND = 16 };
  const images      *self = images_;
  weir__series_image at;
  *width = 0;
  for (int k = 0; k < weir__series_images(self->series); k++) {
    get_image(self, 0, k, &at);
    int length = name_of(&at, self->paged, NULL, 0);
    if (length > *width) *width = length;
  }
  *width = (*width + MORE_DIGITS + ROUND - 1) / ROUND * ROUND;
  return weir__series_images(self->series);
}

static void label(const void *images_, int64_t step, int k, char *out, size_t room) {
  const images      *self  = images_;
  int64_t            first = weir__series_number(self->series, 0), apart = weir__series_number(self->series, 1) - first;
  weir__series_image at;
  if (step < first || (step - first) % apart || (step - first) / apart >= steps(self)) return;
  get_image(self, (step - first) / apart, k, &at);
  (void)name_of(&at, self->paged, out, room);
}

const weir__files_kind weir__images_kind = {.open      = open_images,
                                            .close     = close_images,
                                            .schema    = schema,
                                            .steps     = steps,
                                            .level     = level_info,
                                            .read      = read_image,
                                            .in_flight = in_flight,
                                            .expect    = expect,
                                            .describe  = describe,
                                            .explain   = explain,
                                            .origin    = origin,
                                            .labels    = labels,
                                            .label     = label,
                                            .live      = live};

int64_t weir__images_decoded(const void *self) { return ((const images *)self)->decoded; }
