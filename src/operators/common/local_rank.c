/* Percentiles of small windows: a sorting network for as many windows at once as there are lanes; one after the other
 * where they are cut off or pixels are missing. Larger windows: local_histogram.c. */
#include "operators/common/local.h"
#include <math.h>
#include <string.h>

enum { SIDE = 2 * WEIR__LOCAL_NETWORK + 1, MOST = SIDE * SIDE };

size_t weir__local_rank_memory(weir__kind kind, int64_t rows, int64_t columns, int64_t radius) {
  if (radius <= WEIR__LOCAL_NETWORK) return MOST * WEIR__LANE_BYTES;
  return weir__local_histogram_memory(kind, rows, columns, radius);
}

/* Columns of a row of the result. */
typedef struct span {
  int64_t first, end;
} span;

static int64_t clamp(int64_t x, int64_t least, int64_t most) { return x < least ? least : x > most ? most : x; }

/* Those whose windows lie within the plane; at least as many as lanes, or none. */
static span whole_windows(const weir__plane *g, int64_t row) {
  int64_t lanes = weir__lanes(g->kind), y = row + g->top;
  span s = {clamp(g->radius - g->left, 0, g->out_columns), clamp(g->columns - g->radius - g->left, 0, g->out_columns)};
  bool none = g->missing || y < g->radius || y + g->radius >= g->rows || s.end - s.first < lanes;
  return none ? (span){0, 0} : s;
}

#define RANK(NAME, TYPE, NOTHING)                                                                                      \
  static TYPE NAME##_one(const weir__plane *g, int64_t y, int64_t x) {                                                 \
    const TYPE *pixel = g->pixel;                                                                                      \
    TYPE        sorted[MOST];                                                                                          \
    int64_t     n = 0, r = g->radius;                                                                                  \
    for (int64_t i = clamp(y - r, 0, g->rows); i < clamp(y + r + 1, 0, g->rows); i++)                                  \
      for (int64_t j = clamp(x - r, 0, g->columns); j < clamp(x + r + 1, 0, g->columns); j++) {                        \
        TYPE    value = pixel[i * g->columns + j];                                                                     \
        int64_t k     = n;                                                                                             \
        if (!(value == value)) continue;                                                                               \
        for (; k > 0 && sorted[k - 1] > value; k--) sorted[k] = sorted[k - 1];                                         \
        sorted[k] = value;                                                                                             \
        n++;                                                                                                           \
      }                                                                                                                \
    return n ? sorted[weir__percentile_rank(n, g->percent)] : (TYPE)(NOTHING);                                         \
  }                                                                                                                    \
  /* Windows of the results from column x on, as many as lanes. */                                                     \
  static void NAME##_many(const weir__plane *g, const weir__network *network, int64_t y, int64_t x, TYPE *to) {        \
    enum { LANES = WEIR__LANE_BYTES / sizeof(TYPE) };                                                                  \
    int64_t r = g->radius, side = 2 * r + 1;                                                                           \
    TYPE   *lanes = (TYPE *)(void *)g->memory;                                                                         \
    for (int64_t i = 0; i < side; i++)                                                                                 \
      for (int64_t j = 0; j < side; j++)                                                                               \
        memcpy(lanes + (i * side + j) * LANES, (const TYPE *)g->pixel + (y - r + i) * g->columns + x - r + j,          \
               WEIR__LANE_BYTES);                                                                                      \
    weir__network_run(network, g->kind, lanes);                                                                        \
    memcpy(to, lanes + weir__percentile_rank(side * side, g->percent) * LANES, WEIR__LANE_BYTES);                      \
  }                                                                                                                    \
  static void NAME(const weir__plane *g, const weir__network *network) {                                               \
    enum { LANES = WEIR__LANE_BYTES / sizeof(TYPE) };                                                                  \
    for (int64_t i = 0; i < g->out_rows; i++) {                                                                        \
      TYPE *to    = (TYPE *)g->result + i * g->out_columns;                                                            \
      span  whole = whole_windows(g, i);                                                                               \
      for (int64_t j = whole.first; j < whole.end; j += LANES) {                                                       \
        int64_t at = j + LANES <= whole.end ? j : whole.end - LANES; /* the last ones again */                         \
        NAME##_many(g, network, i + g->top, at + g->left, to + at);                                                    \
      }                                                                                                                \
      for (int64_t j = 0; j < g->out_columns; j++) {                                                                   \
        if (j == whole.first && whole.end > j) j = whole.end;                                                          \
        if (j < g->out_columns) to[j] = NAME##_one(g, i + g->top, j + g->left);                                        \
      }                                                                                                                \
    }                                                                                                                  \
  }
RANK(rank_u8, uint8_t, 0)
RANK(rank_u16, uint16_t, 0)
RANK(rank_f32, float, NAN)
RANK(rank_f64, double, NAN)

void weir__local_rank(const weir__plane *g, const weir__network *network) {
  if (!network) {
    weir__local_histogram(g);
    return;
  }
  switch (g->kind) {
  case WEIR__KIND_U8: rank_u8(g, network); break;
  case WEIR__KIND_U16: rank_u16(g, network); break;
  case WEIR__KIND_F32: rank_f32(g, network); break;
  case WEIR__KIND_F64: rank_f64(g, network); break;
  }
}
