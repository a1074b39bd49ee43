#include "operators/common/analysis.h"
#include <math.h>

double weir__analysis_correlation(double z) {
  if (z >= 2) return 0;
  if (z <= 1) return 1 + z * z * (-5.0 / 3 + z * (5.0 / 8 + z * (1.0 / 2 - z / 4)));
  return 4 - 2 / (3 * z) + z * (-5 + z * (5.0 / 3 + z * (5.0 / 8 + z * (-1.0 / 2 + z / 12))));
}

double weir__analysis_distance(double a, double b, double period) {
  double d = fabs(a - b);
  return d > period / 2 && period > 0 ? period - d : d;
}

bool weir__footprint_find(const weir__analysis *p, double y, double x, weir__footprint *footprint) {
  double position[2] = {y, x};
  for (int a = 0; a < 2; a++) {
    weir__bracket b;
    if (!weir__bracket_find(p->field, a, position[p->points.input[a]], &b)) return false;
    for (int s = 0; s < 2; s++) {
      footprint->at[a][s]     = weir__points_coordinate(p->field, a, b.index[s]);
      footprint->weight[a][s] = b.weight[s];
    }
  }
  return true;
}

double weir__footprint_correlation(const weir__analysis *p, const weir__footprint *a, const weir__footprint *b) {
  double square[2][4], nearest[2], sum = 0, reach = 2 * p->length;
  for (int k = 0; k < 2; k++) {
    double period = weir__points_period(&p->field->dim[k]);
    nearest[k]    = INFINITY;
    for (int i = 0; i < 4; i++) {
      double d     = weir__analysis_distance(a->at[k][i >> 1], b->at[k][i & 1], period);
      square[k][i] = d * d;
      nearest[k]   = d < nearest[k] ? d : nearest[k];
    }
    if (nearest[k] >= reach) return 0;
  }
  for (int i = 0; i < 4; i++) {
    double along = a->weight[0][i >> 1] * b->weight[0][i & 1];
    if (along == 0) continue;
    for (int j = 0; j < 4; j++) {
      double weight = along * a->weight[1][j >> 1] * b->weight[1][j & 1];
      if (weight != 0) sum += weight * weir__analysis_correlation(sqrt(square[0][i] + square[1][j]) / p->length);
    }
  }
  return sum;
}
