/* Series that grow: the images that have come are kept in a hash table of their values. */
#include "io/series_parts.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { THERE = 1, REFUSED = 2, IMAGES = 64 };

/* Row r: the values of an image, and its state. */
struct weir__grown {
  int      indices;
  int64_t *row;
  int64_t *slot; /* row + 1; 0: free */
  size_t   rows, capacity, slots, there;
  int64_t  largest[WEIR__SERIES_INDICES];
};

/* ---- the table ---- */

static size_t row_size(const weir__grown *g) { return (size_t)g->indices + 1; }

static uint64_t hash_of(const weir__grown *g, const int64_t *value) { /* splitmix64, https://prng.di.unimi.it */
  uint64_t h = 0;
  for (int k = 0; k < g->indices; k++) {
    h += (uint64_t)value[k] + UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    h ^= h >> 31;
  }
  return h;
}

/* The slot with these values, or the free one for them. */
static size_t find_slot(const weir__grown *g, const int64_t *value) {
  size_t at = (size_t)hash_of(g, value) & (g->slots - 1);
  while (g->slot[at] &&
         memcmp(g->row + (size_t)(g->slot[at] - 1) * row_size(g), value, (size_t)g->indices * sizeof *value))
    at = (at + 1) & (g->slots - 1);
  return at;
}

static weir_status widen(weir__grown *g) {
  size_t   slots = g->slots ? 2 * g->slots : 1024;
  int64_t *slot;
  WEIR_TRY(weir__alloc_array(slots, sizeof *slot, &slot));
  weir__free(g->slot);
  g->slot  = slot;
  g->slots = slots;
  for (size_t r = 0; r < g->rows; r++) slot[find_slot(g, g->row + r * row_size(g))] = (int64_t)r + 1;
  return WEIR_OK;
}

/* The state of an image, which is added without one; NULL: no memory. */
static int64_t *state_of(weir__grown *g, const int64_t *value) {
  if (2 * (g->rows + 1) > g->slots && widen(g) < 0) return NULL;
  size_t at = find_slot(g, value);
  if (!g->slot[at]) {
    if (weir__grow(&g->row, g->rows + 1, &g->capacity, row_size(g) * sizeof *g->row) < 0) return NULL;
    int64_t *row = g->row + g->rows * row_size(g);
    memcpy(row, value, (size_t)g->indices * sizeof *value);
    row[g->indices] = 0;
    g->slot[at]     = (int64_t)++g->rows;
    for (int k = 0; k < g->indices; k++)
      if (value[k] > g->largest[k]) g->largest[k] = value[k];
  }
  return g->row + (size_t)(g->slot[at] - 1) * row_size(g) + g->indices;
}

int64_t weir__grown_find(const weir__grown *g, const int64_t *value) {
  int64_t row = g->slots ? g->slot[find_slot(g, value)] - 1 : -1;
  return row >= 0 && g->row[(size_t)row * row_size(g) + (size_t)g->indices] == THERE ? row : -1;
}

void weir__grown_destroy(weir__grown **grown) {
  weir__grown *g = *grown;
  if (!g) return;
  weir__free(g->row);
  weir__free(g->slot);
  weir__free(g);
  *grown = NULL;
}

/* ---- the form ---- */

static weir_status check_ends(const weir__subset *subset, const char *text) {
  if (weir__subset_bounded(subset)) return WEIR_OK;
  return WEIR_FAIL(
      WEIR_ERR_INPUT,
      "subset \"%s\": where a series is watched, its ends are not known; give every slice a start and a stop", text);
}

weir_status weir__series_may_grow(const char *subset) {
  weir__subset *parsed = NULL;
  if (!subset || !strcmp(subset, "pairs") || !strcmp(subset, "all1by1")) return WEIR_OK;
  WEIR_TRY(weir__subset_parse(subset, &parsed));
  weir_status status = check_ends(parsed, subset);
  weir__subset_destroy(&parsed);
  return status;
}

weir_status weir__series_form(const weir__series *s, weir__text *text) {
  const char *name = weir__series_names_of(&s->names, 0);
  if (s->page)
    return WEIR_FAIL(WEIR_ERR_INPUT, "images: %s%s has several pages; files of one image each can be watched",
                     s->names.folder, name);
  if (s->subset) WEIR_TRY(check_ends(s->subset, s->subset_text));
  if (s->images > IMAGES)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "subset \"%s\": %d images in a step, expected at most %d where a series is watched",
                     s->subset_text, s->images, IMAGES);
  weir__text_add(text, "folder %s\nname %s\nsubset %s\nwidths", s->names.folder, name, s->subset ? s->subset_text : "");
  for (int k = 0; k < s->names.indices; k++) weir__text_add(text, " %d", s->width[k]);
  weir__text_add(text, "\nslices");
  for (int k = 0; k < s->names.indices; k++) weir__text_add(text, " %d", s->slice[k]);
  weir__text_add(text, "\nfirst %" PRId64 "\nstep %" PRId64 "\n", s->first, s->step);
  return weir__text_status(text);
}

/* The rest of the line that begins with this word; owned by the caller. */
static weir_status take_line(const char *form, const char *word, char **out) {
  size_t length = strlen(word);
  for (const char *line = form; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    if (strncmp(line, word, length) || line[length] != ' ') continue;
    size_t n = strcspn(line + length + 1, "\n");
    WEIR_TRY(weir__alloc_zeroed(n + 1, 0, out));
    memcpy(*out, line + length + 1, n);
    return WEIR_OK;
  }
  return WEIR_FAIL(WEIR_ERR_INPUT, "the form of a series has no %s", word);
}

static weir_status take_numbers(const char *form, const char *word, int64_t *out, int count) {
  char *line = NULL, one[32];
  WEIR_TRY(take_line(form, word, &line));
  const char *at   = line;
  bool        good = true;
  for (int k = 0; k < count && good; k++) {
    int n = 0;
    good  = sscanf(at, " %31[-0-9]%n", one, &n) == 1 && weir__text_to_int64(one, &out[k]);
    at += n;
  }
  weir__free(line);
  return good ? WEIR_OK : WEIR_FAIL(WEIR_ERR_INPUT, "the form of a series has no numbers for %s", word);
}

static weir_status read_names(weir__series *s, const char *form) {
  char        pattern[256], *name = NULL;
  int64_t     value[WEIR__SERIES_INDICES], widths[WEIR__SERIES_INDICES], slices[WEIR__SERIES_INDICES];
  weir_status status = WEIR_OK;
  WEIR_TRY(take_line(form, "folder", &s->names.folder));
  WEIR_TRY(take_line(form, "name", &name));
  if (!weir__series_names_apart(name, pattern, value, &s->names.indices))
    status = WEIR_FAIL(WEIR_ERR_INPUT, "the form of a series: %s is no name of an image", name);
  weir__free(name);
  if (status >= 0) status = weir__alloc_string(pattern, &s->names.pattern);
  s->indices = s->names.indices;
  if (status >= 0) status = take_numbers(form, "widths", widths, s->indices);
  if (status >= 0) status = take_numbers(form, "slices", slices, s->indices);
  int most = s->subset ? weir__subset_slices(s->subset) : 0;
  for (int k = 0; status >= 0 && k < s->indices; k++) {
    if (widths[k] < 0 || widths[k] > 255 || slices[k] < -1 || slices[k] >= most)
      return WEIR_FAIL(WEIR_ERR_INPUT, "the form of a series: widths or slices do not fit");
    s->width[k]        = (int)widths[k];
    s->slice[k]        = (int)slices[k];
    s->spread[k].range = slices[k] < 0 ? (weir__range){value[k], value[k]} : (weir__range){0, WEIR__SERIES_FAR};
  }
  return status;
}

weir_status weir__series_open_form(const char *form, weir__series **series) {
  weir__series *s;
  weir__chosen  c;
  weir_status   status;
  WEIR_TRY(weir__alloc_zeroed(sizeof *s, 0, &s));
  WEIR_TRY_GOTO(out, take_line(form, "subset", &s->subset_text));
  if (*s->subset_text) WEIR_TRY_GOTO(out, weir__subset_parse(s->subset_text, &s->subset));
  WEIR_TRY_GOTO(out, read_names(s, form));
  WEIR_TRY_GOTO(out, take_numbers(form, "first", &s->first, 1));
  WEIR_TRY_GOTO(out, take_numbers(form, "step", &s->step, 1));
  WEIR_TRY_GOTO(out, weir__alloc_zeroed(sizeof *s->grown, 0, &s->grown));
  s->grown->indices = s->indices;
  if (s->step < 1 || !weir__series_choose(s, s->first, &c) || c.images > IMAGES) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "the form of a series: step %" PRId64 " has no images", s->first);
    goto out;
  }
  s->images = (int)c.images;
  *series   = s;
  s         = NULL;
out:
  weir__series_close(&s);
  return status;
}

int weir__series_indices(const weir__series *s) { return s->names.indices; }

/* ---- growing ---- */

/* A name that would not be made again from its values (other zeros in front) belongs to another series. */
static bool values_of(const weir__series *s, const char *name, int64_t value[WEIR__SERIES_INDICES]) {
  char       pattern[256];
  int        indices;
  weir__text again = {0};
  if (!weir__series_names_apart(name, pattern, value, &indices) || strcmp(pattern, s->names.pattern)) return false;
  weir__series_names_make(&s->names, value, s->width, &again);
  bool same = again.data && !strcmp(again.data, name);
  weir__text_clear(&again);
  return same;
}

bool weir__series_fits(const weir__series *s, const char *name) {
  int64_t value[WEIR__SERIES_INDICES];
  return values_of(s, name, value);
}

bool weir__series_knows(const weir__series *s, const char *name) {
  int64_t value[WEIR__SERIES_INDICES];
  return s->grown->slots && values_of(s, name, value) && s->grown->slot[find_slot(s->grown, value)];
}

weir_status weir__series_add(weir__series *s, const char *name, bool *added) {
  int64_t value[WEIR__SERIES_INDICES];
  *added = false;
  if (!values_of(s, name, value)) return WEIR_OK;
  int64_t *state = state_of(s->grown, value);
  if (!state) return WEIR_ERR_MEMORY;
  if (*state) return WEIR_OK;
  *state = THERE;
  *added = true;
  s->grown->there++;
  return WEIR_OK;
}

uint64_t weir__series_absent(const weir__series *s, int64_t ordinal) {
  weir__chosen c;
  int64_t      value[WEIR__SERIES_INDICES];
  uint64_t     absent = 0;
  if (!weir__series_choose(s, weir__series_number(s, ordinal), &c)) return 0;
  for (int64_t k = 0; k < s->images; k++) {
    weir__series_values(s, &c, k, value);
    if (weir__grown_find(s->grown, value) < 0) absent |= (uint64_t)1 << k;
  }
  return absent;
}

weir_status weir__series_settle(weir__series *s, int64_t ordinal, uint64_t absent) {
  weir__chosen c;
  int64_t      value[WEIR__SERIES_INDICES];
  if (!weir__series_choose(s, weir__series_number(s, ordinal), &c)) return WEIR_OK;
  for (int64_t k = 0; k < s->images; k++) {
    weir__series_values(s, &c, k, value);
    int64_t *state = state_of(s->grown, value);
    if (!state) return WEIR_ERR_MEMORY;
    if (!*state) *state = absent >> k & 1 ? REFUSED : THERE;
  }
  return WEIR_OK;
}

/* As far as an image has come, and no farther than a series may have gaps (see trim in series.c). */
int64_t weir__series_next_whole(const weir__series *s, int64_t ordinal) {
  bool    single = !s->subset || !weir__subset_has_i(s->subset);
  int64_t most   = 64 * (int64_t)s->grown->rows + 100000;
  if (single && ordinal) return -1;
  for (int64_t n = ordinal; n - ordinal <= most; n++) {
    int64_t i = weir__series_number(s, n);
    if (weir__series_whole(s, i)) return n;
    for (int k = 0; k < s->indices; k++) {
      weir__range beyond = {i, WEIR__SERIES_FAR}, index = {0, s->grown->largest[k]};
      if (s->slice[k] >= 0 && !weir__subset_possible(s->subset, s->slice[k], beyond, index)) return -1;
    }
  }
  return -1;
}

weir_status weir__series_list(const weir__series *s, weir__text *names, int64_t *count) {
  const weir__grown *g   = s->grown;
  weir__text         one = {0};
  *count                 = 0;
  for (size_t r = 0; r < g->rows; r++) {
    const int64_t *value = g->row + r * row_size(g);
    if (value[g->indices] != THERE) continue;
    weir__text_clear(&one);
    weir__series_names_make(&s->names, value, s->width, &one);
    if (one.data) weir__text_add_bytes(names, one.data, one.length + 1);
    ++*count;
  }
  weir__text_clear(&one);
  return weir__text_status(names);
}
