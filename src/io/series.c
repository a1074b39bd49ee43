/* Series: which steps there are, and which images make them. */
#include "io/series_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPENED = 16 }; /* so many files are tried for one that opens */

typedef weir__spread spread;
typedef weir__chosen chosen;

/* ---- pages ---- */

static void path_of(const weir__series *s, int64_t file, char path[4096]) {
  snprintf(path, 4096, "%s%s", s->names.folder, weir__series_names_of(&s->names, file));
}

/* -1: the file cannot be opened. What is wrong with it is said when its image is read. */
static int64_t pages_of(const weir__series *s, int64_t file, const weir__image_raw *raw) {
  char             path[4096];
  weir__image     *image = NULL;
  weir__image_info info  = {.pages = -1};
  path_of(s, file, path);
  if (weir__image_open(path, raw, &image) < 0) return -1;
  if (weir__image_info_get(image, 0, &info) < 0) info.pages = -1;
  weir__image_close(&image);
  return info.pages;
}

/* A file that does not open counts as whole, so that what it should have held is missed. */
static weir_status count_pages(weir__series *s, const weir__image_raw *raw) {
  int64_t usual = -1;
  for (int64_t f = 0; usual < 0 && f < s->names.files && f < OPENED; f++) usual = pages_of(s, f, raw);
  if (usual <= 1) return WEIR_OK;
  WEIR_TRY(weir__alloc_array((size_t)s->names.files + 1, sizeof *s->page, &s->page));
  spread *all = &s->spread[s->indices++];
  *all        = (spread){{0, 0}, 1, 1};
  for (int64_t f = 0; f < s->names.files; f++) {
    int64_t pages = pages_of(s, f, raw);
    if (pages < 1) pages = usual;
    if (pages > all->distinct) all->distinct = pages;
    if (__builtin_add_overflow(s->page[f], pages, &s->page[f + 1]))
      return WEIR_FAIL(WEIR_ERR_INPUT, "images: too many pages in the files of %s", s->names.folder);
  }
  all->range.most = all->distinct - 1;
  return WEIR_OK;
}

/* ---- what the indices are like ---- */

static int by_number(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

static int64_t common_divisor(int64_t a, int64_t b) {
  while (b) {
    int64_t rest = a % b;
    a            = b;
    b            = rest;
  }
  return a;
}

static void look_at(int64_t *column, int64_t n, spread *out) {
  qsort(column, (size_t)n, sizeof *column, by_number);
  *out = (spread){{column[0], column[n - 1]}, 1, 0};
  for (int64_t f = 1; f < n; f++) {
    if (column[f] != column[f - 1]) out->distinct++;
    out->distance = common_divisor(column[f] - column[0], out->distance);
  }
  if (!out->distance) out->distance = 1;
}

static weir_status look_at_indices(weir__series *s) {
  const weir__series_names *n = &s->names;
  int64_t                  *column;
  WEIR_TRY(weir__alloc_array((size_t)n->files, sizeof *column, &column));
  s->indices = n->indices;
  for (int k = 0; k < n->indices; k++) {
    for (int64_t f = 0; f < n->files; f++) column[f] = n->value[f * (n->indices + 1) + k];
    look_at(column, n->files, &s->spread[k]);
  }
  weir__free(column);
  return WEIR_OK;
}

static bool varies(const weir__series *s, int k) { return s->spread[k].distinct > 1; }

/* The smallest width that an index has in the first and the last name: zeros are put before shorter numbers. */
static void find_widths(weir__series *s) {
  const int64_t at[2] = {0, s->names.files - 1};
  for (int which = 0; which < 2; which++) {
    const char *name  = weir__series_names_of(&s->names, at[which]);
    int         index = 0;
    for (const char *p = s->names.pattern; *p; p++) {
      const char *from = name;
      if (*p < 0 || *p > WEIR__UPPER) {
        name++;
        continue;
      }
      while (*p == WEIR__DIGITS  ? *name >= '0' && *name <= '9'
             : *p == WEIR__LOWER ? *name >= 'a' && *name <= 'z'
                                 : *name >= 'A' && *name <= 'Z')
        name++;
      int width = (int)(name - from);
      if (!which || width < s->width[index]) s->width[index] = width;
      index++;
    }
  }
}

/* "im_{0001..0032}a.tif" */
static weir_status show_names(weir__series *s) {
  weir__text text  = {0};
  int        index = 0;
  weir__text_add(&text, "%s", s->names.folder);
  for (const char *p = s->names.pattern; *p; p++) {
    if (*p < 0 || *p > WEIR__UPPER) {
      weir__text_add(&text, "%c", *p);
      continue;
    }
    const spread *all = &s->spread[index];
    if (varies(s, index)) weir__text_add(&text, "{");
    weir__series_names_index(*p, all->range.least, s->width[index], &text);
    if (varies(s, index)) {
      weir__text_add(&text, "..");
      weir__series_names_index(*p, all->range.most, s->width[index], &text);
      weir__text_add(&text, "}");
    }
    index++;
  }
  if (s->page) weir__text_add(&text, "[0..%" PRId64 "]", s->spread[index].range.most);
  s->shown = text.data; /* also when it is cut short */
  return weir__text_status(&text);
}

/* ---- named subsets ---- */

/* Indices that vary; their number. */
static int list_varying(const weir__series *s, int list[WEIR__SERIES_INDICES]) {
  int n = 0;
  for (int k = 0; k < s->indices; k++)
    if (varies(s, k)) list[n++] = k;
  return n;
}

static bool has_letters(const weir__series *s, int index) {
  const char *p = s->names.pattern;
  for (; *p; p++)
    if (*p > 0 && *p <= WEIR__UPPER && !index--) return *p != WEIR__DIGITS;
  return false;
}

static void add_both(weir__text *text, const spread *all) {
  int64_t low = all->range.least, high = all->range.most;
  weir__text_add(text, "%" PRId64 ":%" PRId64, low, high + 1);
  if (high - low > 1) weir__text_add(text, ":%" PRId64, high - low);
}

static weir_status resolve_pairs(const weir__series *s, weir__text *text) {
  int index[WEIR__SERIES_INDICES], n = list_varying(s, index), pair = -1;
  if (n == 1) {
    int64_t distance = s->spread[index[0]].distance;
    weir__text_add(text, "i:i+%" PRId64, distance + 1);
    if (distance > 1) weir__text_add(text, ":%" PRId64, distance);
    return WEIR_OK;
  }
  for (int k = 0; n == 2 && k < 2; k++) /* of two such indices the letters, or else the last */
    if (s->spread[index[k]].distinct == 2 && (pair < 0 || !has_letters(s, index[pair]))) pair = k;
  if (pair < 0)
    return WEIR_FAIL(
        WEIR_ERR_INPUT,
        "subset pairs: %s has %d indices that vary, expected one, or two of which one has two values; give "
        "slices such as \"i, 0:2\"",
        s->shown, n);
  if (pair == 1) weir__text_add(text, "i, ");
  add_both(text, &s->spread[index[pair]]);
  if (pair == 0) weir__text_add(text, ", i");
  return WEIR_OK;
}

/* Of one index: its number. Of several: i counts them as written, the last one fastest. */
static weir_status resolve_all(const weir__series *s, weir__text *text) {
  int     index[WEIR__SERIES_INDICES], n          = list_varying(s, index);
  int64_t places[WEIR__SERIES_INDICES + 1], below = 1; /* steps of i for one of an index */
  for (int k = n - 1; k >= 0; k--) {
    const spread *all  = &s->spread[index[k]];
    int64_t       room = (all->range.most - all->range.least) / all->distance + 1;
    if (n > 1 && room / 4 > all->distinct)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "subset all1by1: the numbers of %s lie too far apart to be counted, expected slices such as "
                       "\"i, 0\"",
                       s->shown);
    places[k] = below;
    if (__builtin_mul_overflow(below, room, &below))
      return WEIR_FAIL(WEIR_ERR_INPUT, "subset all1by1: too many images in %s", s->shown);
  }
  for (int k = 0; k < n; k++) {
    const spread *all  = &s->spread[index[k]];
    int64_t       room = (all->range.most - all->range.least) / all->distance + 1;
    int64_t       from = k ? all->range.least : all->range.least % all->distance;
    weir__text_add(text, "%s", k ? ", " : "");
    if (n == 1) weir__text_add(text, "i");
    else if (places[k] == 1) weir__text_add(text, "(i - i//%" PRId64 "*%" PRId64 ")", room, room);
    else if (k) weir__text_add(text, "(i//%" PRId64 " - i//%" PRId64 "*%" PRId64 ")", places[k], places[k - 1], room);
    else weir__text_add(text, "i//%" PRId64, places[k]);
    if (n > 1 && all->distance > 1) weir__text_add(text, "*%" PRId64, all->distance);
    if (n > 1 && from) weir__text_add(text, " + %" PRId64, from);
  }
  return WEIR_OK;
}

/* ---- the subset ---- */

/* Slices are for all indices, or for those that vary. */
static weir_status assign_slices(weir__series *s) {
  int index[WEIR__SERIES_INDICES], varying = list_varying(s, index), slices = weir__subset_slices(s->subset);
  for (int k = 0; k < s->indices; k++) s->slice[k] = slices == s->indices ? k : -1;
  if (slices == s->indices) return WEIR_OK;
  for (int k = 0; k < varying; k++) s->slice[index[k]] = k;
  if (slices == varying) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\" has %d slice%s, expected %d: one for each index of %s",
                   s->subset_text, slices, slices == 1 ? "" : "s", varying ? varying : s->indices, s->shown);
}

static weir_status settle_subset(weir__series *s, const weir__series_terms *terms, int64_t *step) {
  const char *given = terms->subset ? terms->subset : "all1by1";
  bool        pairs = !strcmp(given, "pairs"), all = !strcmp(given, "all1by1");
  weir__text  text   = {0};
  weir_status status = WEIR_OK;
  int         index[WEIR__SERIES_INDICES];
  *step = terms->step ? terms->step : 1;
  if (all && !list_varying(s, index)) { /* one image, one step */
    for (int k = 0; k < s->indices; k++) s->slice[k] = -1;
    return weir__alloc_string(given, &s->subset_text);
  }
  if (pairs) status = resolve_pairs(s, &text);
  else if (all) status = resolve_all(s, &text);
  else weir__text_add(&text, "%s", given);
  if (status >= 0) status = weir__text_status(&text);
  if (status < 0) {
    weir__text_clear(&text);
    return status;
  }
  status = weir__alloc_string(text.data ? text.data : "", &s->subset_text);
  weir__text_clear(&text);
  if (status < 0) return status;
  if (!terms->step && (pairs || all) && list_varying(s, index) == 1) *step = s->spread[index[0]].distance;
  if (!terms->step && pairs && list_varying(s, index) == 2)
    *step = s->spread[index[s->subset_text[0] == 'i' ? 0 : 1]].distance;
  WEIR_TRY(weir__subset_parse(s->subset_text, &s->subset));
  return assign_slices(s);
}

/* ---- images of a step ---- */

bool weir__series_choose(const weir__series *s, int64_t i, chosen *c) {
  c->images = 1;
  for (int k = 0; k < s->indices; k++) {
    c->first[k] = s->spread[k].range.least;
    c->step[k] = c->count[k] = 1;
    if (s->slice[k] < 0) continue;
    if (!weir__subset_values(s->subset, s->slice[k], i, s->spread[k].range, &c->first[k], &c->step[k], &c->count[k]))
      return false;
    if (__builtin_mul_overflow(c->images, c->count[k], &c->images)) return false;
  }
  return true;
}

void weir__series_values(const weir__series *s, const chosen *c, int64_t image, int64_t value[WEIR__SERIES_INDICES]) {
  for (int k = s->indices - 1; k >= 0; k--) {
    value[k] = c->first[k] + image % c->count[k] * c->step[k];
    image /= c->count[k];
  }
}

/* -1: there is none. */
static int64_t find_id(const weir__series *s, const int64_t *value, int64_t *file) {
  *file = -1;
  if (s->grown) return weir__grown_find(s->grown, value);
  *file = weir__series_names_look_up(&s->names, value);
  if (*file < 0 || !s->page) return *file;
  int64_t id = s->page[*file] + value[s->indices - 1];
  return id < s->page[*file + 1] ? id : -1;
}

bool weir__series_whole(const weir__series *s, int64_t i) {
  chosen  c;
  int64_t value[WEIR__SERIES_INDICES], file;
  if (!weir__series_choose(s, i, &c) || c.images > WEIR__SERIES_IMAGES) return false;
  for (int64_t k = 0; k < c.images; k++) {
    weir__series_values(s, &c, k, value);
    if (find_id(s, value, &file) < 0) return false;
  }
  return true;
}

/* ---- the steps ---- */

/* The outermost i of a range for which all images are within the series, by halving the range where it is possible. */
typedef struct search {
  const weir__series *series;
  bool                from_above;
  int64_t             left; /* ranges to look at before giving up */
  int64_t             found;
} search;

static bool possible(const weir__series *s, weir__range i) {
  for (int k = 0; k < s->indices; k++)
    if (s->slice[k] >= 0 && !weir__subset_possible(s->subset, s->slice[k], i, s->spread[k].range)) return false;
  return true;
}

static bool seek(search *s, weir__range i) {
  chosen c;
  if (s->left-- <= 0 || !possible(s->series, i)) return false;
  if (i.least == i.most) {
    s->found = i.least;
    return weir__series_choose(s->series, i.least, &c);
  }
  int64_t     middle  = i.least + (i.most - i.least) / 2;
  weir__range half[2] = {{i.least, middle}, {middle + 1, i.most}};
  return seek(s, half[s->from_above]) || seek(s, half[!s->from_above]);
}

static weir_status no_step(const weir__series *s, const weir__series_terms *terms, const char *why) {
  bool limited = terms->start != INT64_MIN || terms->stop != INT64_MIN;
  return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\": no step%s has all of its images in %s (%" PRId64 " file%s)%s",
                   s->subset_text, limited ? " between start and stop" : "", s->shown, s->names.files,
                   s->names.files == 1 ? "" : "s", why);
}

/* From where to where all is within the numbers of the series. */
static weir_status find_range(const weir__series *s, const weir__series_terms *terms, weir__range *out) {
  weir__range all = {-WEIR__SERIES_FAR, WEIR__SERIES_FAR};
  if (terms->start != INT64_MIN && terms->start > all.least) all.least = terms->start;
  if (terms->stop != INT64_MIN && terms->stop - 1 < all.most) all.most = terms->stop - 1;
  if (all.least > all.most) return no_step(s, terms, ": stop is not above start");
  if (!s->subset || !weir__subset_has_i(s->subset)) { /* one step, as all are the same */
    int64_t only = terms->start != INT64_MIN ? all.least : 0;
    *out         = (weir__range){only, only};
    return WEIR_OK;
  }
  search low = {.series = s, .left = 1000000}, high = low;
  high.from_above = true;
  if (!seek(&low, all) || !seek(&high, all)) {
    if (low.left > 0 && high.left > 0) return no_step(s, terms, "");
    return no_step(s, terms, ", as far as can be seen; give start and stop nearer to them");
  }
  *out = (weir__range){low.found, high.found};
  return WEIR_OK;
}

static weir_status trim(weir__series *s, const weir__series_terms *terms, int64_t step, weir__range range) {
  int64_t most = s->names.files < INT64_MAX / 64 ? 64 * s->names.files + 1000000 : INT64_MAX;
  if (s->page) most += 64 * s->page[s->names.files];
  if ((range.most - range.least) / step > most)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "subset \"%s\": %" PRId64 " steps from i = %" PRId64 " to %" PRId64 " for the %" PRId64
                     " files of %s; give a larger step, or start and stop",
                     s->subset_text, (range.most - range.least) / step + 1, range.least, range.most, s->names.files,
                     s->shown);
  int64_t first = range.least, stride = terms->start != INT64_MIN || range.most - range.least > most ? step : 1;
  if (terms->start != INT64_MIN) first = terms->start + (range.least - terms->start + step - 1) / step * step;
  while (first <= range.most && !weir__series_whole(s, first)) first += stride;
  if (first > range.most) return no_step(s, terms, "");
  int64_t last = first + (range.most - first) / step * step;
  while (!weir__series_whole(s, last)) last -= step;
  s->first = first;
  s->step  = step;
  s->steps = (last - first) / step + 1;
  return WEIR_OK;
}

static weir_status find_steps(weir__series *s, const weir__series_terms *terms, int64_t step) {
  weir__range range = {0, 0};
  chosen      c;
  if (step < 1) return WEIR_FAIL(WEIR_ERR_INPUT, "images: step is %" PRId64 ", expected 1 or more", step);
  WEIR_TRY(find_range(s, terms, &range));
  WEIR_TRY(trim(s, terms, step, range));
  weir__series_choose(s, s->first, &c);
  s->images = (int)c.images;
  for (int64_t k = 1; k < s->steps; k++) {
    int64_t i      = weir__series_number(s, k);
    bool    within = weir__series_choose(s, i, &c);
    if (within && c.images != s->images)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "subset \"%s\": step %" PRId64 " has %" PRId64 " images and step %" PRId64
                       " has %d, expected as many in each",
                       s->subset_text, i, c.images, s->first, s->images);
    if (!within)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "subset \"%s\": step %" PRId64 " asks for numbers that %s does not reach; give start and stop",
                       s->subset_text, i, s->shown);
    if (!weir__series_whole(s, i)) s->gaps++;
  }
  return WEIR_OK;
}

/* ---- the interface ---- */

weir_status weir__series_open(const weir__series_terms *terms, weir__series **series) {
  weir__series *s;
  weir_status   status = WEIR_OK;
  int64_t       step;
  if (terms->paths < 1) return WEIR_FAIL(WEIR_ERR_INPUT, "images: no files are given");
  if (terms->step < 0) return WEIR_FAIL(WEIR_ERR_INPUT, "images: step is %" PRId64 ", expected 1 or more", terms->step);
  const int64_t far[] = {terms->start, terms->stop, terms->step};
  for (int k = 0; k < 3; k++)
    if (far[k] != INT64_MIN && (far[k] > WEIR__SERIES_FAR || far[k] < -WEIR__SERIES_FAR))
      return WEIR_FAIL(WEIR_ERR_INPUT, "images: start, stop or step is %" PRId64 ", expected less than 10^18", far[k]);
  WEIR_TRY(weir__alloc_zeroed(sizeof *s, 0, &s));
  WEIR_TRY_GOTO(out, weir__series_names_find(terms, &s->names));
  WEIR_TRY_GOTO(out, look_at_indices(s));
  WEIR_TRY_GOTO(out, count_pages(s, terms->raw));
  find_widths(s);
  WEIR_TRY_GOTO(out, show_names(s));
  WEIR_TRY_GOTO(out, settle_subset(s, terms, &step));
  WEIR_TRY_GOTO(out, find_steps(s, terms, step));
  *series = s;
  s       = NULL;
out:
  weir__series_close(&s);
  return status;
}

void weir__series_close(weir__series **series) {
  weir__series *s = *series;
  if (!s) return;
  weir__series_names_clear(&s->names);
  weir__grown_destroy(&s->grown);
  weir__subset_destroy(&s->subset);
  weir__free(s->page);
  weir__free(s->subset_text);
  weir__free(s->shown);
  weir__free(s);
  *series = NULL;
}

int64_t weir__series_steps(const weir__series *s) { return s->steps; }
int     weir__series_images(const weir__series *s) { return s->images; }
int64_t weir__series_number(const weir__series *s, int64_t ordinal) { return s->first + ordinal * s->step; }
int64_t weir__series_ids(const weir__series *s) { return s->page ? s->page[s->names.files] : s->names.files; }

const char *weir__series_subset(const weir__series *s) { return s->subset_text; }
const char *weir__series_pattern(const weir__series *s) { return s->shown; }
int64_t     weir__series_files(const weir__series *s) { return s->names.files; }
int64_t     weir__series_others(const weir__series *s) { return s->names.others; }
int64_t     weir__series_gaps(const weir__series *s) { return s->gaps; }

void weir__series_image_get(const weir__series *s, int64_t ordinal, int k, weir__series_image *image) {
  chosen  c;
  int64_t value[WEIR__SERIES_INDICES], file = -1;
  *image = (weir__series_image){.id = -1};
  weir__series_choose(s, weir__series_number(s, ordinal),
                      &c); /* within the series, as every step was when it was opened */
  weir__series_values(s, &c, k, value);
  image->id    = find_id(s, value, &file);
  image->found = image->id >= 0;
  image->page  = s->page ? value[s->indices - 1] : 0;
  if (file >= 0) {
    path_of(s, file, image->path);
    return;
  }
  weir__text name = {0};
  weir__series_names_make(&s->names, value, s->width, &name);
  snprintf(image->path, sizeof image->path, "%s%s", s->names.folder, name.data ? name.data : "?");
  weir__text_clear(&name);
}

void weir__series_couple_text(const weir__series *s, int64_t ordinal, weir__text *out) {
  int64_t value[2][WEIR__SERIES_INDICES];
  chosen  c;
  int     index = 0, before = 0;
  weir__series_choose(s, weir__series_number(s, ordinal), &c);
  for (int k = 0; k < 2; k++) weir__series_values(s, &c, k, value[k]);
  for (const char *p = s->names.pattern; index < s->indices; p += *p != 0) {
    if (*p && (*p > WEIR__UPPER || *p < 0)) continue;
    int kind = *p ? *p : WEIR__DIGITS; /* behind the name: the page */
    if (kind == WEIR__DIGITS && before == WEIR__DIGITS) weir__text_add(out, "_");
    weir__series_names_index(kind, value[0][index], s->width[index], out);
    if (value[0][index] != value[1][index]) {
      bool letter = kind != WEIR__DIGITS && value[0][index] < 26 && s->width[index] <= 1;
      if (!letter) weir__text_add(out, "-");
      weir__series_names_index(kind, value[1][index], s->width[index], out);
    }
    before = kind;
    index++;
  }
}

void weir__series_image_of(const weir__series *s, int64_t id, weir__series_image *image) {
  *image       = (weir__series_image){.id = id, .found = true};
  int64_t file = id;
  if (s->page) {
    int64_t low = 0, high = s->names.files;
    while (high - low > 1) {
      int64_t middle = low + (high - low) / 2;
      if (s->page[middle] <= id) low = middle;
      else high = middle;
    }
    file        = low;
    image->page = id - s->page[file];
  }
  path_of(s, file, image->path);
}
