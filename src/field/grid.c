/* Rectilinear chunk grids. Everything is found by arithmetic or bisection: no table over chunks. */
#include "field/field.h"
#include <string.h>

int64_t weir__grid_count(const weir__grid *grid) {
  int64_t n = 1;
  for (int a = 0; a < grid->rank; a++) n *= grid->chunks[a];
  return n;
}

void weir__grid_unravel(const weir__grid *grid, int64_t chunk, int64_t index[WEIR_RANK_MAX]) {
  for (int a = grid->rank - 1; a >= 0; a--) {
    index[a] = chunk % grid->chunks[a];
    chunk /= grid->chunks[a];
  }
}

int64_t weir__grid_ravel(const weir__grid *grid, const int64_t index[WEIR_RANK_MAX]) {
  int64_t chunk = 0;
  for (int a = 0; a < grid->rank; a++) chunk = chunk * grid->chunks[a] + index[a];
  return chunk;
}

weir_region weir__grid_region(const weir__grid *grid, int64_t chunk) {
  weir_region r = {.rank = grid->rank};
  int64_t     index[WEIR_RANK_MAX];
  weir__grid_unravel(grid, chunk, index);
  for (int a = 0; a < grid->rank; a++) {
    r.start[a] = grid->edge[a][index[a]];
    r.count[a] = grid->edge[a][index[a] + 1] - r.start[a];
  }
  return r;
}

int64_t weir__grid_find(const weir__grid *grid, int axis, int64_t position) {
  int64_t low = 0, high = grid->chunks[axis]; /* edge[low] <= position < edge[high] */
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (grid->edge[axis][middle] <= position) low = middle;
    else high = middle;
  }
  return low;
}

void weir__grid_touched(const weir__grid *grid, const weir_region *region, int64_t first[WEIR_RANK_MAX],
                        int64_t last[WEIR_RANK_MAX]) {
  for (int a = 0; a < grid->rank; a++) {
    first[a] = weir__grid_find(grid, a, region->start[a]);
    last[a]  = weir__grid_find(grid, a, region->start[a] + region->count[a] - 1);
  }
}

bool weir__grid_next(const weir__grid *grid, const int64_t first[WEIR_RANK_MAX], const int64_t last[WEIR_RANK_MAX],
                     int64_t index[WEIR_RANK_MAX]) {
  for (int a = grid->rank - 1; a >= 0; a--) {
    if (++index[a] <= last[a]) return true;
    index[a] = first[a];
  }
  return false;
}

bool weir__grid_is_sequence(const weir__grid *grid) {
  int axis = grid->rank - 1;
  while (axis > 0 && grid->chunks[axis] == 1) axis--;
  while (--axis >= 0 && grid->chunks[axis] == grid->edge[axis][grid->chunks[axis]]) {}
  return axis < 0;
}

bool weir__grid_equal(const weir__grid *a, const weir__grid *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    if (a->chunks[i] != b->chunks[i]) return false;
    if (a->edge[i] != b->edge[i] && memcmp(a->edge[i], b->edge[i], (size_t)(a->chunks[i] + 1) * sizeof(int64_t)))
      return false;
  }
  return true;
}

weir_status weir__grid_cut_size(weir__arena *arena, int64_t extent, int64_t size, int64_t *chunks,
                                const int64_t **edge) {
  int64_t  n = extent / size + (extent % size != 0);
  int64_t *e;
  WEIR_TRY(weir__arena_alloc(arena, (size_t)(n + 1) * sizeof *e, &e));
  for (int64_t i = 0; i < n; i++) e[i] = i * size;
  e[n]    = extent;
  *chunks = n;
  *edge   = e;
  return WEIR_OK;
}

weir_status weir__grid_cut_pieces(weir__arena *arena, int64_t extent, int64_t pieces, int64_t *chunks,
                                  const int64_t **edge) {
  int64_t  n = pieces < extent ? pieces : extent;
  int64_t *e;
  if (n < 1) n = 1;
  WEIR_TRY(weir__arena_alloc(arena, (size_t)(n + 1) * sizeof *e, &e));
  for (int64_t i = 0; i <= n; i++) e[i] = (int64_t)((__int128)i * extent / n);
  *chunks = n;
  *edge   = e;
  return WEIR_OK;
}

enum { CHUNK_TARGET = 1 << 16, CHUNKS_WANTED = 16, SPLIT_FROM = 1 << 14 };

weir_status weir__grid_default(weir__arena *arena, const weir_shape *shape, weir__grid *grid) {
  weir__grid g     = {.rank = shape->rank};
  int64_t    total = 1, wanted = 1;
  for (int a = 0; a < shape->rank; a++)
    if (__builtin_mul_overflow(total, shape->extent[a], &total)) total = INT64_MAX;
  if (total >= SPLIT_FROM) wanted = total / CHUNK_TARGET > CHUNKS_WANTED ? total / CHUNK_TARGET : CHUNKS_WANTED;
  for (int a = 0; a < shape->rank; a++) {
    bool    last   = a == shape->rank - 1;
    int64_t extent = shape->extent[a];
    int64_t most   = last ? extent / 256 : extent / 4; /* keep rows long and slabs thicker than a halo */
    int64_t pieces = wanted < most ? wanted : most;
    if (pieces < 1) pieces = 1;
    WEIR_TRY(weir__grid_cut_pieces(arena, extent, pieces, &g.chunks[a], &g.edge[a]));
    wanted = (wanted + g.chunks[a] - 1) / g.chunks[a];
  }
  *grid = g;
  return WEIR_OK;
}
