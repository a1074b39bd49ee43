/* Names of files: taken apart, listed, and brought together as one series. */
#include "io/series_parts.h"
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Runs that are longer do not fit an int64 and belong to the text around them. */
enum { DIGITS_MAX = 18, LETTERS_MAX = 13, NAME_MAX_ = 255 };

/* ---- one name ---- */

typedef struct apart {
  char    pattern[NAME_MAX_ + 1];
  int64_t value[WEIR__SERIES_INDICES];
  int     indices;
} apart;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_letter(char c) { return is_lower(c) || is_upper(c); }
/* Bytes beyond ASCII are letters of some language. */
static bool separates(char c) { return !is_digit(c) && !is_letter(c) && !((unsigned char)c & 0x80); }

/* Behind the last point, when a letter is in it. */
static size_t length_without_extension(const char *name) {
  const char *point = strrchr(name, '.');
  for (const char *c = point; c && *c; c++)
    if (is_letter(*c)) return (size_t)(point - name);
  return strlen(name);
}

/* The kind of an index that begins at `c`, and its length; 0: it is text of that length. */
static int run_of(const char *c, const char *end, bool letters_count, size_t *length) {
  const char *from = c;
  if (is_digit(*c)) {
    while (c < end && is_digit(*c)) c++;
    *length = (size_t)(c - from);
    return *length <= DIGITS_MAX ? WEIR__DIGITS : 0;
  }
  bool lower = true, upper = true;
  for (; c < end && is_letter(*c); c++) {
    if (is_lower(*c)) upper = false;
    else lower = false;
  }
  *length = c > from ? (size_t)(c - from) : 1;
  if (c == from || !letters_count || *length > LETTERS_MAX || (!lower && !upper)) return 0;
  return lower ? WEIR__LOWER : WEIR__UPPER;
}

static int64_t value_of(int kind, const char *c, size_t length) {
  int64_t value = 0;
  for (size_t k = 0; k < length; k++)
    value = kind == WEIR__DIGITS ? value * 10 + (c[k] - '0') : value * 26 + (c[k] - (kind == WEIR__LOWER ? 'a' : 'A'));
  return value;
}

/* Where indices may begin: at the first digit, or, without any, at the last letters behind a separator. */
static size_t base_length(const char *name, size_t stem) {
  for (size_t k = 0; k < stem; k++)
    if (is_digit(name[k])) return k;
  size_t k = stem;
  while (k > 0 && is_letter(name[k - 1])) k--;
  return k > 0 && separates(name[k - 1]) ? k : stem;
}

/* False: no name for a series. */
static bool take_apart(const char *name, apart *out) {
  size_t length = strlen(name), stem = length_without_extension(name);
  if (!length || length > NAME_MAX_) return false;
  for (size_t k = 0; k < length; k++)
    if ((unsigned char)name[k] < ' ') return false;
  size_t at = base_length(name, stem), n = at;
  memcpy(out->pattern, name, at);
  out->indices = 0;
  while (at < stem) {
    bool   letters = at > 0 && (is_digit(name[at - 1]) || separates(name[at - 1]));
    size_t run;
    int    kind = run_of(name + at, name + stem, letters, &run);
    if (kind && out->indices < WEIR__SERIES_INDICES - 1) { /* one is left for pages */
      out->value[out->indices++] = value_of(kind, name + at, run);
      out->pattern[n++]          = (char)kind;
    } else {
      memcpy(out->pattern + n, name + at, run);
      n += run;
    }
    at += run;
  }
  memcpy(out->pattern + n, name + stem, length - stem + 1);
  return true;
}

bool weir__series_names_apart(const char *name, char pattern[256], int64_t value[WEIR__SERIES_INDICES], int *indices) {
  apart a;
  if (!take_apart(name, &a)) return false;
  memcpy(pattern, a.pattern, sizeof a.pattern);
  memcpy(value, a.value, (size_t)a.indices * sizeof *value);
  *indices = a.indices;
  return true;
}

void weir__series_names_index(int kind, int64_t value, int width, weir__text *out) {
  char letters[LETTERS_MAX + 2];
  int  n = 0;
  if (kind == WEIR__DIGITS) {
    weir__text_add(out, "%0*lld", width, (long long)value);
    return;
  }
  char zero = kind == WEIR__LOWER ? 'a' : 'A';
  do letters[n++] = (char)(zero + value % 26);
  while ((value /= 26) > 0 && n <= LETTERS_MAX);
  for (int k = n; k < width; k++) weir__text_add(out, "%c", zero);
  while (n > 0) weir__text_add(out, "%c", letters[--n]);
}

void weir__series_names_make(const weir__series_names *names, const int64_t *value, const int *width, weir__text *out) {
  int index = 0;
  for (const char *c = names->pattern; *c; c++)
    if (*c > WEIR__UPPER || *c < 0) weir__text_add(out, "%c", *c);
    else {
      weir__series_names_index(*c, value[index], width[index], out);
      index++;
    }
}

/* ---- collecting ---- */

/* Names as they are found: in `text`, with where each begins and what its pattern amounts to. */
typedef struct entry {
  size_t   at;
  uint64_t pattern; /* hash; 0: no name for a series */
} entry;

typedef struct collection {
  weir__text text;
  entry     *entry;
  size_t     entries, capacity;
  char      *folder;
  bool       listing; /* of a folder: what does not fit is left alone */
} collection;

static uint64_t hash_of(const char *text) { /* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
  uint64_t hash = UINT64_C(14695981039346656037);
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return hash ? hash : 1;
}

static weir_status add_name(collection *c, const char *name) {
  apart a;
  WEIR_TRY(weir__grow(&c->entry, c->entries + 1, &c->capacity, sizeof *c->entry));
  c->entry[c->entries++] = (entry){c->text.length, take_apart(name, &a) ? hash_of(a.pattern) : 0};
  weir__text_add_bytes(&c->text, name, strlen(name) + 1);
  return weir__text_status(&c->text);
}

static weir_status set_folder(collection *c, const char *path, size_t length) {
  if (c->folder && (strlen(c->folder) != length || strncmp(c->folder, path, length)))
    return WEIR_FAIL(WEIR_ERR_INPUT, "images: %s is not in the same folder as the others (%s)", path,
                     *c->folder ? c->folder : ".");
  if (c->folder) return WEIR_OK;
  WEIR_TRY(weir__alloc_zeroed(length + 2, 0, &c->folder));
  memcpy(c->folder, path, length);
  return WEIR_OK;
}

static weir_status add_path(collection *c, const char *path) {
  const char *slash  = strrchr(path, '/');
  size_t      folder = slash ? (size_t)(slash - path) + 1 : 0;
  WEIR_TRY(set_folder(c, path, folder));
  return add_name(c, path + folder);
}

static weir_status list_folder(collection *c, const char *path) {
  size_t length = strlen(path);
  WEIR_TRY(set_folder(c, path, length));
  if (length && path[length - 1] != '/') c->folder[length] = '/';
  DIR *folder = opendir(path);
  if (!folder) return WEIR_FAIL(WEIR_ERR_INPUT, "images: %s: %s", path, strerror(errno));
  weir_status status = WEIR_OK;
  c->listing         = true;
  errno              = 0;
  for (struct dirent *d; status >= 0 && (d = readdir(folder)); errno = 0)
    if (d->d_name[0] != '.' && d->d_type != DT_DIR) status = add_name(c, d->d_name);
  if (status >= 0 && errno) status = WEIR_FAIL(WEIR_ERR_INPUT, "images: %s: %s", path, strerror(errno));
  closedir(folder);
  return status;
}

static weir_status expand(collection *c, const char *pattern) {
  glob_t      found  = {0};
  int         rc     = glob(pattern, GLOB_NOSORT, NULL, &found);
  weir_status status = WEIR_OK;
  if (rc == GLOB_NOMATCH) status = WEIR_FAIL(WEIR_ERR_INPUT, "images: nothing matches %s", pattern);
  else if (rc == GLOB_NOSPACE) status = WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  else if (rc) status = WEIR_FAIL(WEIR_ERR_INPUT, "images: %s cannot be read", pattern);
  for (size_t k = 0; status >= 0 && k < found.gl_pathc; k++) status = add_path(c, found.gl_pathv[k]);
  if (rc != GLOB_NOMATCH) globfree(&found);
  return status;
}

/* Only a single path may be a folder: members of a list are not looked at. */
static weir_status collect(const weir__series_terms *terms, collection *c) {
  struct stat s;
  const char *only = terms->paths == 1 ? terms->path[0] : NULL;
  if (terms->folder) {
    WEIR_TRY(set_folder(c, terms->folder, strlen(terms->folder)));
    c->listing = true;
    for (int k = 0; k < terms->paths; k++) WEIR_TRY(add_name(c, terms->path[k]));
    return WEIR_OK;
  }
  if (only && !stat(only, &s)) return S_ISDIR(s.st_mode) ? list_folder(c, only) : add_path(c, only);
  if (only && !strpbrk(only, "*?[")) return WEIR_FAIL(WEIR_ERR_INPUT, "images: %s: %s", only, strerror(errno));
  for (int k = 0; k < terms->paths; k++)
    WEIR_TRY(strpbrk(terms->path[k], "*?[") ? expand(c, terms->path[k]) : add_path(c, terms->path[k]));
  return WEIR_OK;
}

/* ---- choosing the pattern ---- */

static int by_pattern(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->pattern != y->pattern) return x->pattern < y->pattern ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

static bool is_image(const char *name) {
  static const char *const ends[] = {".tif", ".tiff", ".png", ".bmp", ".jpg", ".jpeg", ".pgm", ".cine", ".raw", NULL};
  const char              *point  = strrchr(name, '.');
  for (int k = 0; point && ends[k]; k++)
    if (!strcasecmp(point, ends[k])) return true;
  return false;
}

/* Names of one pattern, next to each other. */
typedef struct group {
  size_t from, count;
  bool   image;
} group;

static const char *name_of(const collection *c, const group *g) { return c->text.data + c->entry[g->from].at; }

static bool larger(const group *a, const group *b) { return a->image != b->image ? a->image : a->count > b->count; }

/* The largest group, of image files if there are any; it must be far larger than the next, or nobody can tell. */
static weir_status choose(const collection *c, group *chosen) {
  group best = {0}, second = {0};
  for (size_t from = 0, to; from < c->entries; from = to) {
    for (to = from + 1; to < c->entries && c->entry[to].pattern == c->entry[from].pattern;) to++;
    group g = {from, to - from, is_image(c->text.data + c->entry[from].at)};
    if (!c->entry[from].pattern) continue;
    if (larger(&g, &best)) second = best, best = g;
    else if (larger(&g, &second)) second = g;
  }
  const char *where = *c->folder ? c->folder : "the working directory";
  if (!best.count || (c->listing && !best.image && second.count))
    return WEIR_FAIL(WEIR_ERR_INPUT, "images: no images in %s", where);
  if (!c->listing && best.count < c->entries) {
    group odd = {best.from ? 0 : best.count, 1, false};
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "images: %s and %s do not belong to one series, expected names that differ in their numbers (or "
                     "letters behind a number)",
                     name_of(c, &best), name_of(c, &odd));
  }
  if (second.count && second.image == best.image && 2 * second.count > best.count)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "images: %s holds several series, such as %s (%zu files) and %s (%zu files); give a pattern that "
                     "fits one",
                     where, name_of(c, &best), best.count, name_of(c, &second), second.count);
  *chosen = best;
  return WEIR_OK;
}

/* ---- in order ---- */

static int by_value(const void *a, const void *b, void *context) {
  const int64_t *x = a, *y = b;
  for (int k = 0, indices = *(const int *)context; k < indices; k++)
    if (x[k] != y[k]) return x[k] < y[k] ? -1 : 1;
  return 0;
}

static weir_status sort_values(weir__series_names *n) {
  size_t row    = (size_t)n->indices + 1;
  bool   sorted = true;
  for (int64_t f = 1; f < n->files && sorted; f++)
    sorted = by_value(n->value + (size_t)(f - 1) * row, n->value + (size_t)f * row, &n->indices) <= 0;
  if (!sorted) qsort_r(n->value, (size_t)n->files, row * sizeof *n->value, by_value, &n->indices);
  for (int64_t f = 1; f < n->files; f++) {
    if (by_value(n->value + (size_t)(f - 1) * row, n->value + (size_t)f * row, &n->indices)) continue;
    const char *a = weir__series_names_of(n, f - 1), *b = weir__series_names_of(n, f);
    if (strcmp(a, b)) return WEIR_FAIL(WEIR_ERR_INPUT, "images: %s and %s have the same numbers", a, b);
    return WEIR_FAIL(WEIR_ERR_INPUT, "images: %s is given twice", a);
  }
  return WEIR_OK;
}

static weir_status keep(collection *c, const group *g, weir__series_names *n) {
  apart first, a;
  take_apart(name_of(c, g), &first);
  size_t row = (size_t)first.indices + 1;
  WEIR_TRY(weir__alloc_array(g->count, row * sizeof *n->value, &n->value));
  WEIR_TRY(weir__alloc_string(first.pattern, &n->pattern));
  n->indices = first.indices;
  for (size_t k = g->from; k < g->from + g->count; k++) {
    size_t at = c->entry[k].at;
    if (!take_apart(c->text.data + at, &a) || strcmp(a.pattern, first.pattern)) continue; /* of the same hash */
    int64_t *value = n->value + (size_t)n->files++ * row;
    memcpy(value, a.value, (row - 1) * sizeof *value);
    value[row - 1] = (int64_t)at;
  }
  n->others    = (int64_t)c->entries - n->files;
  n->folder    = c->folder;
  n->text      = c->text.data;
  c->folder    = NULL;
  c->text.data = NULL;
  return sort_values(n);
}

weir_status weir__series_names_find(const weir__series_terms *terms, weir__series_names *names) {
  collection  c      = {0};
  group       g      = {0};
  weir_status status = collect(terms, &c);
  if (status >= 0 && !c.entries) status = WEIR_FAIL(WEIR_ERR_INPUT, "images: no files in %s", terms->path[0]);
  if (status >= 0) {
    qsort(c.entry, c.entries, sizeof *c.entry, by_pattern);
    status = choose(&c, &g);
  }
  if (status >= 0) status = keep(&c, &g, names);
  if (status < 0) weir__series_names_clear(names);
  weir__text_clear(&c.text);
  weir__free(c.entry);
  weir__free(c.folder);
  return status;
}

void weir__series_names_clear(weir__series_names *n) {
  weir__free(n->folder);
  weir__free(n->pattern);
  weir__free(n->text);
  weir__free(n->value);
  *n = (weir__series_names){0};
}

const char *weir__series_names_of(const weir__series_names *n, int64_t file) {
  return n->text + n->value[(size_t)file * ((size_t)n->indices + 1) + (size_t)n->indices];
}

/* The numbers of the first index differ by at least 1 where it is the only one: a file cannot be farther from the
 * beginning than its number is, which often is where it stands. */
int64_t weir__series_names_look_up(const weir__series_names *n, const int64_t *value) {
  size_t  row = (size_t)n->indices + 1;
  int64_t low = 0, high = n->files;
  if (n->indices == 1 && value[0] >= n->value[0] && value[0] - n->value[0] < n->files) {
    int64_t guess = value[0] - n->value[0];
    if (n->value[(size_t)guess * row] == value[0]) return guess;
    high = guess;
  }
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int     order  = by_value(n->value + (size_t)middle * row, value, (void *)&n->indices);
    if (!order) return middle;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return -1;
}
