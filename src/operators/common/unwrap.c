#include "operators/common/unwrap.h"
#include <math.h>
#include <string.h>

static const float turn = 6.283185307179586f;

static float wrap(float x) { return x - turn * rintf(x / turn); }

/* Neighbours: pixel edge / 2 and the one to the right of it (even), or below (odd). */
typedef struct pair {
  uint32_t key, edge; /* sorted by key, then edge */
} pair;

/* Groups of pixels as trees. `turns`: of a pixel, beyond those of its parent. */
typedef struct forest {
  uint32_t *parent, *size;
  int32_t  *turns;
} forest;

typedef struct memory {
  pair  *pair, *other;
  float *reliability;
  forest forest;
} memory;

size_t weir__unwrap_scratch(int64_t rows, int64_t columns) {
  size_t n = (size_t)(rows * columns);
  return n * (4 * sizeof(pair) + sizeof(float) + 2 * sizeof(uint32_t) + sizeof(int32_t));
}

static memory lay_out(int64_t n, void *scratch) {
  memory m        = {.pair = scratch};
  m.other         = m.pair + 2 * n;
  m.reliability   = (float *)(void *)(m.other + 2 * n);
  m.forest.parent = (uint32_t *)(void *)(m.reliability + n);
  m.forest.size   = m.forest.parent + n;
  m.forest.turns  = (int32_t *)(void *)(m.forest.size + n);
  return m;
}

/* One over the length of the four second differences through a pixel; 0 on the border. */
static void find_reliability(const float *phase, const uint8_t *weak, int64_t rows, int64_t columns, float *out) {
  const int64_t way[4] = {1, columns, columns + 1, columns - 1};
  for (int64_t y = 0, i = 0; y < rows; y++)
    for (int64_t x = 0; x < columns; x++, i++) {
      float sum = 0;
      out[i]    = 0;
      if (!x || !y || x == columns - 1 || y == rows - 1 || (weak && weak[i])) continue;
      for (int k = 0; k < 4; k++) {
        float second = wrap(phase[i - way[k]] - phase[i]) - wrap(phase[i] - phase[i + way[k]]);
        sum += second * second;
      }
      out[i] = 1 / (sqrtf(sum) + 1e-6f);
    }
}

/* The bits of floats that are not negative are in their order. */
static uint32_t key_of(const float *reliability, const uint8_t *weak, int64_t a, int64_t b) {
  uint32_t bits;
  float    sum = weak && (weak[a] || weak[b]) ? 0 : reliability[a] + reliability[b];
  memcpy(&bits, &sum, sizeof bits);
  return ~bits; /* the most reliable first */
}

static int64_t list_pairs(const float *reliability, const uint8_t *weak, int64_t rows, int64_t columns, pair *list) {
  int64_t count = 0;
  for (int64_t y = 0, i = 0; y < rows; y++)
    for (int64_t x = 0; x < columns; x++, i++) {
      if (x + 1 < columns) list[count++] = (pair){key_of(reliability, weak, i, i + 1), (uint32_t)(2 * i)};
      if (y + 1 < rows) list[count++] = (pair){key_of(reliability, weak, i, i + columns), (uint32_t)(2 * i + 1)};
    }
  return count;
}

/* Stable, by 8 bits at a time; an even number of rounds ends where it began. */
static void sort(pair *list, pair *other, int64_t count) {
  for (int shift = 0; shift < 32; shift += 8) {
    int64_t at[257] = {0};
    for (int64_t i = 0; i < count; i++) at[(list[i].key >> shift & 255) + 1]++;
    for (int k = 0; k < 256; k++) at[k + 1] += at[k];
    for (int64_t i = 0; i < count; i++) other[at[list[i].key >> shift & 255]++] = list[i];
    pair *swap = list;
    list = other, other = swap;
  }
}

/* The root of the group of a pixel, and the pixel's turns beyond it. Pixels on the way become children of the root. */
static uint32_t find(forest *f, uint32_t i, int32_t *turns) {
  uint32_t root = i;
  int32_t  sum  = 0;
  while (f->parent[root] != root) sum += f->turns[root], root = f->parent[root];
  *turns = sum;
  while (f->parent[i] != root && i != root) {
    uint32_t next = f->parent[i];
    int32_t  own  = f->turns[i];
    f->parent[i]  = root;
    f->turns[i]   = sum;
    sum -= own;
    i = next;
  }
  return root;
}

static void join(forest *f, const float *phase, uint32_t a, uint32_t b) {
  int32_t  ta, tb;
  uint32_t ra = find(f, a, &ta), rb = find(f, b, &tb);
  if (ra == rb) return;
  /* turns of b's group so that b comes next to a */
  int32_t more = ta - tb + (int32_t)lrintf((phase[a] - phase[b]) / turn);
  if (f->size[ra] < f->size[rb]) {
    uint32_t swap = ra;
    ra = rb, rb = swap, more = -more;
  }
  f->parent[rb] = ra;
  f->turns[rb]  = more;
  f->size[ra] += f->size[rb];
}

void weir__unwrap(float *phase, const uint8_t *weak, int64_t rows, int64_t columns, void *scratch) {
  int64_t n = rows * columns;
  memory  m = lay_out(n, scratch);
  find_reliability(phase, weak, rows, columns, m.reliability);
  int64_t count = list_pairs(m.reliability, weak, rows, columns, m.pair);
  sort(m.pair, m.other, count);
  for (int64_t i = 0; i < n; i++) m.forest.parent[i] = (uint32_t)i, m.forest.size[i] = 1, m.forest.turns[i] = 0;
  for (int64_t k = 0; k < count; k++) {
    uint32_t a = m.pair[k].edge / 2, b = a + (m.pair[k].edge & 1 ? (uint32_t)columns : 1);
    join(&m.forest, phase, a, b);
  }
  for (int64_t i = 0; i < n; i++) {
    int32_t turns;
    find(&m.forest, (uint32_t)i, &turns);
    phase[i] += turn * (float)turns;
  }
}
