/* Values on another grid. */
#include "operators/piv/piv.h"

/* Between which two vectors of an axis a coordinate lies, and how far on. */
typedef struct between {
  int64_t low, high;
  double  share; /* of the higher one */
} between;

static between find(const weir__piv_grid *grid, int axis, double coordinate) {
  int64_t last = grid->count[axis] - 1;
  double  at   = (coordinate - weir__piv_centre(grid, axis, 0)) / (double)grid->step[axis];
  if (last == 0 || at <= 0) return (between){0, 0, 0};
  if (at >= (double)last) return (between){last, last, 0};
  int64_t low = (int64_t)at;
  return (between){low, low + 1, at - (double)low};
}

/* What has no share must not count: it may be NaN. */
static double mix(double low, double high, double share) { return share > 0 ? low + share * (high - low) : low; }

void weir__piv_regrid(const weir__piv_grid *from, const float *values, const weir__piv_grid *to, float *out) {
  for (int64_t y = 0; y < to->count[0]; y++) {
    between      v   = find(from, 0, weir__piv_centre(to, 0, y));
    const float *low = values + v.low * from->count[1], *high = values + v.high * from->count[1];
    for (int64_t x = 0; x < to->count[1]; x++) {
      between u = find(from, 1, weir__piv_centre(to, 1, x));
      double  a = mix(low[u.low], low[u.high], u.share), b = mix(high[u.low], high[u.high], u.share);
      *out++ = (float)mix(a, b, v.share);
    }
  }
}
