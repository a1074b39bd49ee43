/* Correlation planes of the same windows in several couples, averaged before a peak is looked for (Meinhart, Wereley &
 * Santiago 2000, doi 10.1115/1.483256): where a single plane has a few particles' peak among others as high, the others
 * stand elsewhere in each couple and the right one stays.
 *
 * Planes hold Pearson's coefficients; each is weighted by the geometric mean of its windows' energies, so that the mean
 * is that of the correlations themselves over the mean energy: a window without particles, of noise alone, hardly
 * counts. */
#include "operators/piv/correlate_parts.h"
#include <math.h>

static size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

size_t weir__piv_ensemble_size(const weir__piv_correlator *c, int64_t vectors) {
  return aligned((size_t)(vectors * weir__piv_plane_size(c)) * sizeof(float)) +
         aligned((size_t)vectors * sizeof(double)) + aligned((size_t)vectors);
}

void weir__piv_ensemble_begin(const weir__piv_correlator *c, int64_t vectors, void *memory, weir__piv_ensemble *e) {
  char *at = memory;
  memset(memory, 0, weir__piv_ensemble_size(c, vectors));
  e->plane = (float *)(void *)at;
  at += aligned((size_t)(vectors * weir__piv_plane_size(c)) * sizeof(float));
  e->weight = (double *)(void *)at;
  e->flag   = (int8_t *)at + aligned((size_t)vectors * sizeof(double));
  memset(e->flag, WEIR__PIV_MASKED, (size_t)vectors);
}

/* Sum of squares of what the pixels that count differ from their mean; with the weights of products. */
static double energy(const weir__piv_correlator *c, const weir__piv_place *p, const weir__piv_strip *image) {
  const int64_t *n   = c->settings.grid.window;
  double         sum = 0, square = 0, weights = 0;
  double         level = (double)*weir__piv_row(image, p->y + n[0] / 2, p->x + n[1] / 2);
  for (int64_t y = 0; y < n[0]; y++) {
    const float   *row = weir__piv_row(image, p->y + y, p->x), *w = c->weight ? c->weight + y * n[1] : NULL;
    const uint8_t *m = p->mask ? p->mask + (p->y + y - p->a->y0) * p->a->columns + p->x : NULL;
    for (int64_t x = 0; x < n[1]; x++) {
      if (m && m[x] == 1) continue;
      double weight = w ? (double)w[x] * (double)w[x] : 1, d = (double)row[x] - level;
      weights += weight, sum += weight * d, square += weight * d * d;
    }
  }
  return weights > 0 ? fmax(square - sum * sum / weights, 0) : 0;
}

static void add(const weir__piv_correlator *c, const weir__piv_found *found, int64_t number, weir__piv_ensemble *e) {
  int64_t      size = weir__piv_plane_size(c);
  float       *to   = e->plane + number * size;
  const float *from = found->plane;
  if (found->flag) {
    if (e->flag[number] == WEIR__PIV_MASKED) e->flag[number] = (int8_t)found->flag;
    return;
  }
  double weight = sqrt(energy(c, found->place, found->place->a) * energy(c, found->place, found->place->b));
  if (!isfinite(weight)) return;
  for (int64_t i = 0; i < size; i++) to[i] += (float)weight * from[i];
  e->weight[number] += weight;
  e->flag[number] = WEIR__PIV_VALID;
}

void weir__piv_put(const weir__piv_correlator *c, const weir__piv_found *found, const weir__piv_target *to,
                   int64_t number) {
  if (to->ensemble) add(c, found, number, to->ensemble);
  else if (found->flag) weir__piv_no_vector(&to->vector[number], found->flag);
  else weir__piv_peaks(c, found->plane, found->masked ? found->place : NULL, &to->vector[number]);
}

void weir__piv_ensemble_peaks(const weir__piv_correlator *c, const weir__piv_strip *a, const uint8_t *mask, int64_t row,
                              int64_t rows, const weir__piv_ensemble *e, weir__piv_vector *vector) {
  const weir__piv_grid *g    = &c->settings.grid;
  int64_t               size = weir__piv_plane_size(c);
  for (int64_t j = 0, k = 0; j < rows; j++)
    for (int64_t i = 0; i < g->count[1]; i++, k++) {
      weir__piv_place place = {a, a, mask, g->first[0] + (row + j) * g->step[0], g->first[1] + i * g->step[1]};
      bool            any   = false;
      if (e->flag[k] || !(e->weight[k] > 0)) {
        weir__piv_no_vector(&vector[k], e->flag[k] ? (weir__piv_flag)e->flag[k] : WEIR__PIV_NO_SIGNAL);
        continue;
      }
      float *plane = e->plane + k * size, factor = (float)(1 / e->weight[k]);
      for (int64_t at = 0; at < size; at++) plane[at] *= factor;
      if (c->settings.method == WEIR__PIV_FFT) weir__piv_masked(c, &place, &any);
      weir__piv_peaks(c, plane, any ? &place : NULL, &vector[k]);
    }
}
