/* Percentiles of large windows from counts of their pixels.
 *
 * uint8: each column of the plane has a histogram of its pixels in the rows of the window, and the window's is the sum
 * of those of its columns: one comes and one goes per pixel, whatever the size. Histograms are coarse (16 classes) and
 * fine (256); the fine part of a class is brought up to date only when a percentile falls into it. Source: Perreault &
 * Hebert 2007, doi 10.1109/TIP.2007.902329.
 *
 * Everything else: codes of 16 bits are counted in classes of 4096, 256, 16 and 1, and a window that moves by a pixel
 * loses a column and gains one (Huang, Yang & Tang 1979, doi 10.1109/TASSP.1979.1163188). The codes of uint16 are the
 * pixels themselves; those of other types are the places of the pixels in the sorted list of a tile (Weiss 2006,
 * doi 10.1145/1141911.1141918, calls this the ordinal transform). */
#include "operators/common/local.h"
#include <math.h>
#include <string.h>

/* ---- uint8 ---- */

enum { CLASSES = 16, STRIPE = 256 }; /* columns of the result with histograms in use together: they stay in the cache */

typedef struct counts {
  uint16_t coarse[CLASSES], fine[CLASSES][CLASSES];
} counts;

typedef struct stripe {
  const weir__plane *plane;
  counts            *column; /* of plane columns `first` .. `end` - 1 */
  int64_t            first, end;
  const counts      *none; /* of a column outside the plane */
} stripe;

static const counts *column_of(const stripe *s, int64_t x) {
  return x >= s->first && x < s->end ? &s->column[x - s->first] : s->none;
}

/* Add `sign` to the counts of the pixels of row y. */
static void count_row(const stripe *s, int64_t y, int sign) {
  const uint8_t *row = (const uint8_t *)s->plane->pixel + y * s->plane->columns;
  if (y < 0 || y >= s->plane->rows) return;
  for (int64_t x = s->first; x < s->end; x++) {
    counts *c = &s->column[x - s->first];
    c->coarse[row[x] / CLASSES] += (uint16_t)sign;
    c->fine[row[x] / CLASSES][row[x] % CLASSES] += (uint16_t)sign;
  }
}

static void add(uint16_t *restrict to, const uint16_t *restrict from) {
  for (int i = 0; i < CLASSES; i++) to[i] = (uint16_t)(to[i] + from[i]);
}

static void exchange(uint16_t *restrict to, const uint16_t *restrict in, const uint16_t *restrict out) {
  for (int i = 0; i < CLASSES; i++) to[i] = (uint16_t)(to[i] + in[i] - out[i]);
}

/* The window being moved along a row; fine[k] is right for the window around column at[k]. */
typedef struct moving {
  counts  sum;
  int64_t at[CLASSES];
} moving;

static void refresh(const stripe *s, moving *m, int k, int64_t x) {
  int64_t r = s->plane->radius;
  if (x - m->at[k] > r) { /* half of the columns or more are others: begin anew */
    memset(m->sum.fine[k], 0, sizeof m->sum.fine[k]);
    for (int64_t j = x - r; j <= x + r; j++) add(m->sum.fine[k], column_of(s, j)->fine[k]);
  } else {
    for (int64_t j = m->at[k] + 1; j <= x; j++)
      exchange(m->sum.fine[k], column_of(s, j + r)->fine[k], column_of(s, j - r - 1)->fine[k]);
  }
  m->at[k] = x;
}

static uint8_t find_u8(const stripe *s, moving *m, int64_t rank, int64_t x) {
  int left = (int)rank, k = 0, i = 0;
  while (left >= m->sum.coarse[k]) left -= m->sum.coarse[k++];
  if (m->at[k] != x) refresh(s, m, k, x);
  while (left >= m->sum.fine[k][i]) left -= m->sum.fine[k][i++];
  return (uint8_t)(k * CLASSES + i);
}

static int64_t overlap(int64_t at, int64_t radius, int64_t n) {
  int64_t first = at - radius, end = at + radius + 1;
  return (end < n ? end : n) - (first > 0 ? first : 0);
}

/* Results x0 .. x1 - 1 of row i. */
static void row_u8(const stripe *s, moving *m, int64_t i, int64_t x0, int64_t x1) {
  const weir__plane *g = s->plane;
  int64_t            r = g->radius, height = overlap(i + g->top, r, g->rows), width = 0, rank = 0;
  uint8_t           *to = (uint8_t *)g->result + i * g->out_columns;
  memset(m->sum.coarse, 0, sizeof m->sum.coarse);
  for (int k = 0; k < CLASSES; k++) m->at[k] = INT64_MIN / 2;
  for (int64_t j = x0 + g->left - r - 1; j < x0 + g->left + r; j++) add(m->sum.coarse, column_of(s, j)->coarse);
  for (int64_t j = x0; j < x1; j++) {
    int64_t x = j + g->left, w = overlap(x, r, g->columns);
    exchange(m->sum.coarse, column_of(s, x + r)->coarse, column_of(s, x - r - 1)->coarse);
    if (w != width) width = w, rank = weir__percentile_rank(w * height, g->percent);
    to[j] = find_u8(s, m, rank, x);
  }
}

static void all_u8(const weir__plane *g) {
  counts *memory = (counts *)(void *)g->memory;
  moving *m      = (moving *)(void *)(memory + STRIPE + 2 * g->radius + 2);
  stripe  s      = {.plane = g, .none = memory, .column = memory + 1};
  for (int64_t x0 = 0; x0 < g->out_columns; x0 += STRIPE) {
    int64_t x1 = x0 + STRIPE < g->out_columns ? x0 + STRIPE : g->out_columns;
    s.first    = x0 + g->left - g->radius - 1 > 0 ? x0 + g->left - g->radius - 1 : 0;
    s.end      = x1 + g->left + g->radius < g->columns ? x1 + g->left + g->radius : g->columns;
    memset(memory, 0, (size_t)(s.end - s.first + 1) * sizeof *memory);
    for (int64_t y = g->top - g->radius - 1; y < g->top + g->radius; y++) count_row(&s, y, 1);
    for (int64_t i = 0; i < g->out_rows; i++) {
      count_row(&s, i + g->top + g->radius, 1);
      count_row(&s, i + g->top - g->radius - 1, -1);
      row_u8(&s, m, i, x0, x1);
    }
  }
}

/* ---- codes ---- */

enum { LEVELS = 4, NONE = UINT16_MAX, TILE = 128 };

typedef struct item {
  uint64_t key; /* in the order of the values */
  uint32_t at, unused;
} item;

/* What a tile needs; `side` pixels along a tile with its halo. */
typedef struct tile {
  const weir__plane *plane;
  uint16_t          *level[LEVELS]; /* 16, 256, 4096, 65536 counts */
  uint16_t          *code;
  item              *list, *other;
  int64_t            y0, x0, rows, columns; /* of the plane: the tile with its halo */
  bool               gaps;                  /* NONE stands for a missing pixel */
  int64_t            inside;                /* pixels counted */
} tile;

enum { COUNTS = 16 + 256 + 4096 + 65536 };

/* A tile with its halo has no more pixels than there are codes. */
static int64_t tile_length(int64_t radius) {
  int64_t most = 255 - 2 * radius;
  return most < TILE ? most : TILE;
}

/* Pixels of the largest tile of a chunk of the result, with its halo. */
static int64_t tile_pixels(int64_t rows, int64_t columns, int64_t radius) {
  int64_t most = tile_length(radius);
  return ((rows < most ? rows : most) + 2 * radius) * ((columns < most ? columns : most) + 2 * radius);
}

static int64_t padded(int64_t n) { return (n + 31) / 32 * 32; }

size_t weir__local_histogram_memory(weir__kind kind, int64_t rows, int64_t columns, int64_t radius) {
  int64_t n = tile_pixels(rows, columns, radius);
  if (kind == WEIR__KIND_U8) return (size_t)(STRIPE + 2 * radius + 2) * sizeof(counts) + sizeof(moving);
  return (size_t)(COUNTS + padded(n)) * sizeof(uint16_t) + 2 * (size_t)n * sizeof(item);
}

static void count(tile *t, uint16_t code, int sign) {
  if (t->gaps && code == NONE) return;
  for (int k = 0; k < LEVELS; k++) t->level[k][code >> (12 - 4 * k)] += (uint16_t)sign;
  t->inside += sign;
}

/* Count the pixels of a box, of which what is outside the tile is cut off. */
static void count_box(tile *t, int64_t y0, int64_t y1, int64_t x0, int64_t x1, int sign) {
  if (y0 < 0) y0 = 0;
  if (x0 < 0) x0 = 0;
  if (y1 > t->rows) y1 = t->rows;
  if (x1 > t->columns) x1 = t->columns;
  for (int64_t y = y0; y < y1; y++)
    for (int64_t x = x0; x < x1; x++) count(t, t->code[y * t->columns + x], sign);
}

static uint16_t find_code(const tile *t, int64_t rank) {
  int32_t left = (int32_t)rank, code = 0;
  for (int k = 0; k < LEVELS; k++) {
    code *= 16;
    while (left >= t->level[k][code]) left -= t->level[k][code++];
  }
  return (uint16_t)code;
}

/* Stable, from the lowest byte up; bytes that are the same everywhere are skipped. The sorted list is `t->list`. */
static void sort(tile *t, int64_t n, int bytes) {
  for (int k = 0; k < bytes; k++) {
    int64_t start[257] = {0};
    for (int64_t i = 0; i < n; i++) start[(t->list[i].key >> 8 * k & 255) + 1]++;
    if (n && start[(t->list[0].key >> 8 * k & 255) + 1] == n) continue;
    for (int b = 0; b < 256; b++) start[b + 1] += start[b];
    for (int64_t i = 0; i < n; i++) t->other[start[t->list[i].key >> 8 * k & 255]++] = t->list[i];
    item *swap = t->list;
    t->list    = t->other;
    t->other   = swap;
  }
}

/* Bits in the order of the numbers: negative ones turned over, positive ones above them. */
static uint64_t key_of(weir__kind kind, const void *pixel, int64_t i) {
  uint64_t bits = 0;
  uint32_t word;
  if (kind == WEIR__KIND_F64) {
    memcpy(&bits, (const double *)pixel + i, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
  }
  memcpy(&word, (const float *)pixel + i, sizeof word);
  return word >> 31 ? (uint32_t)~word : word | (uint32_t)1 << 31;
}

static bool is_missing(weir__kind kind, const void *pixel, int64_t i) {
  return kind == WEIR__KIND_F64 ? isnan(((const double *)pixel)[i]) : isnan(((const float *)pixel)[i]);
}

/* Give the pixels of the tile their codes. */
static void encode(tile *t) {
  const weir__plane *g = t->plane;
  int64_t            n = 0;
  t->gaps              = g->kind != WEIR__KIND_U16;
  for (int64_t y = 0; y < t->rows; y++)
    for (int64_t x = 0; x < t->columns; x++) {
      int64_t from = (t->y0 + y) * g->columns + t->x0 + x, to = y * t->columns + x;
      if (!t->gaps) t->code[to] = ((const uint16_t *)g->pixel)[from];
      else if (is_missing(g->kind, g->pixel, from)) t->code[to] = NONE;
      else t->list[n++] = (item){key_of(g->kind, g->pixel, from), (uint32_t)to, 0};
    }
  if (!t->gaps) return;
  sort(t, n, g->kind == WEIR__KIND_F64 ? 8 : 4);
  for (int64_t i = 0; i < n; i++) t->code[t->list[i].at] = (uint16_t)i;
}

/* Write result `to` of the plane. */
static void decode(const tile *t, int64_t to) {
  const weir__plane *g    = t->plane;
  uint16_t           code = t->inside ? find_code(t, weir__percentile_rank(t->inside, g->percent)) : 0;
  if (g->kind == WEIR__KIND_U16) {
    ((uint16_t *)g->result)[to] = code;
    return;
  }
  int64_t at   = t->inside ? t->list[code].at : 0;
  int64_t from = (t->y0 + at / t->columns) * g->columns + t->x0 + at % t->columns;
  if (g->kind == WEIR__KIND_F32) ((float *)g->result)[to] = t->inside ? ((const float *)g->pixel)[from] : NAN;
  else ((double *)g->result)[to] = t->inside ? ((const double *)g->pixel)[from] : (double)NAN;
}

/* Results i0 .. i1 - 1, j0 .. j1 - 1: the window goes along rows, there and back, and ends empty. */
static void walk(tile *t, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  const weir__plane *g = t->plane;
  int64_t            r = g->radius, x = j0 + g->left - t->x0, step = 1, last = i1 - 1 + g->top - t->y0;
  int64_t            first = i0 + g->top - t->y0;
  count_box(t, first - r, first + r + 1, x - r, x + r + 1, 1);
  for (int64_t y = first; y <= last; y++, step = -step) {
    for (int64_t k = 0; k < j1 - j0; k++) {
      decode(t, (y + t->y0 - g->top) * g->out_columns + x + t->x0 - g->left);
      if (k + 1 == j1 - j0) break;
      int64_t gone = x - step * r, come = x + step * (r + 1);
      count_box(t, y - r, y + r + 1, gone, gone + 1, -1);
      count_box(t, y - r, y + r + 1, come, come + 1, 1);
      x += step;
    }
    if (y == last) break;
    count_box(t, y - r, y - r + 1, x - r, x + r + 1, -1);
    count_box(t, y + r + 1, y + r + 2, x - r, x + r + 1, 1);
  }
  count_box(t, last - r, last + r + 1, x - r, x + r + 1, -1);
}

static void all_codes(const weir__plane *g) {
  int64_t   length = tile_length(g->radius), pixels = tile_pixels(g->out_rows, g->out_columns, g->radius);
  uint16_t *numbers = (uint16_t *)(void *)g->memory;
  tile      t       = {.plane = g, .level = {numbers, numbers + 16, numbers + 272, numbers + 4368}};
  t.code            = numbers + COUNTS;
  t.list            = (item *)(void *)(t.code + padded(pixels));
  t.other           = t.list + pixels;
  memset(numbers, 0, COUNTS * sizeof *numbers);
  for (int64_t i = 0; i < g->out_rows; i += length)
    for (int64_t j = 0; j < g->out_columns; j += length) {
      int64_t i1 = i + length < g->out_rows ? i + length : g->out_rows, y1 = i1 + g->top + g->radius;
      int64_t j1 = j + length < g->out_columns ? j + length : g->out_columns, x1 = j1 + g->left + g->radius;
      t.y0      = i + g->top - g->radius > 0 ? i + g->top - g->radius : 0;
      t.x0      = j + g->left - g->radius > 0 ? j + g->left - g->radius : 0;
      t.rows    = (y1 < g->rows ? y1 : g->rows) - t.y0;
      t.columns = (x1 < g->columns ? x1 : g->columns) - t.x0;
      encode(&t);
      walk(&t, i, i1, j, j1);
    }
}

void weir__local_histogram(const weir__plane *g) {
  if (g->kind == WEIR__KIND_U8) all_u8(g);
  else all_codes(g);
}
