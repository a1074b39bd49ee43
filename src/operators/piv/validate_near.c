/* Distances of a vector from its neighbours: normalised median (Westerweel & Scarano 2005, doi
 * 10.1007/s00348-005-0016-6) and mean.
 *
 * With um the median of the neighbours' u_i and rm that of |u_i - um|, the normalised residual of u is
 *   |u - um| / (rm + noise),
 * and the distance the length of the residuals of both components. Neighbours are the 3 x 3 around the vector or, where
 * fewer than three of these count, the 5 x 5.
 *
 * On borders and beside holes the neighbours lie to one side, and even a plain gradient tells the vector from them: at
 * an edge of u = g x the median of the five is g off, rm is 0, and g = 0.2 pixels per vector is an "outlier". A vector
 * that lacks some of its eight neighbours and would fail is therefore compared with the 5 x 5 less a gradient, too: the
 * median of the differences between those of them that are adjacent. The smaller distance counts. */
#include "operators/piv/validate.h"
#include <math.h>
#include <string.h>

enum { LANES = WEIR__PIV_LANES, SIDE = 5, MOST = SIDE * SIDE - 1, FEWEST = 3, ALL = 8 };

typedef struct neighbours {
  int   n;
  float u[2][MOST]; /* dy, dx */
  int   at[2][MOST];
} neighbours;

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static void gather(const weir__piv_plane *p, int64_t y, int64_t x, int64_t reach, neighbours *near) {
  near->n = 0;
  for (int64_t j = larger(y - reach, 0); j <= smaller(y + reach, p->count[0] - 1); j++)
    for (int64_t i = larger(x - reach, 0); i <= smaller(x + reach, p->count[1] - 1); i++) {
      int64_t k = j * p->count[1] + i;
      if (!p->ok[k] || (j == y && i == x)) continue;
      near->u[0][near->n]  = p->dy[k];
      near->u[1][near->n]  = p->dx[k];
      near->at[0][near->n] = (int)(j - y);
      near->at[1][near->n] = (int)(i - x);
      near->n++;
    }
}

/* By insertion: changes the order of the values. */
static float median(float *v, int n) {
  for (int i = 1; i < n; i++) {
    float t = v[i];
    int   j = i;
    for (; j > 0 && v[j - 1] > t; j--) v[j] = v[j - 1];
    v[j] = t;
  }
  return n % 2 ? v[n / 2] : 0.5f * (v[n / 2 - 1] + v[n / 2]);
}

/* Take the gradient off, so that all are estimates at the vector itself. */
static void level(neighbours *near) {
  enum { HALF = SIDE / 2 };
  int   index[SIDE][SIDE];
  float gradient[2][2] = {{0}}, difference[MOST]; /* [component][axis] */
  memset(index, -1, sizeof index);
  for (int i = 0; i < near->n; i++) index[near->at[0][i] + HALF][near->at[1][i] + HALF] = i;
  for (int c = 0; c < 2; c++)
    for (int axis = 0; axis < 2; axis++) {
      int n = 0;
      for (int y = 0; y < SIDE - (axis == 0); y++)
        for (int x = 0; x < SIDE - (axis == 1); x++) {
          int a = index[y][x], b = index[y + (axis == 0)][x + (axis == 1)];
          if (a >= 0 && b >= 0) difference[n++] = near->u[c][b] - near->u[c][a];
        }
      if (n) gradient[c][axis] = median(difference, n);
    }
  for (int c = 0; c < 2; c++)
    for (int i = 0; i < near->n; i++)
      near->u[c][i] -= gradient[c][0] * (float)near->at[0][i] + gradient[c][1] * (float)near->at[1][i];
}

/* ---- the normalised median ---- */

static float residual(float u, const float *of, int n, float noise) {
  float v[MOST];
  memcpy(v, of, (size_t)n * sizeof *v);
  float um = median(v, n);
  for (int i = 0; i < n; i++) v[i] = fabsf(v[i] - um);
  return fabsf(u - um) / (median(v, n) + noise);
}

static float residuals(const neighbours *near, float dy, float dx, float noise) {
  float ry = residual(dy, near->u[0], near->n, noise), rx = residual(dx, near->u[1], near->n, noise);
  return ry * ry + rx * rx;
}

static float to_median(const weir__piv_plane *p, int64_t y, int64_t x, float dy, float dx, float noise, float enough) {
  neighbours near;
  gather(p, y, x, 1, &near);
  int first = near.n;
  if (first < FEWEST) gather(p, y, x, SIDE / 2, &near);
  if (near.n < FEWEST) return -1;
  float plain = residuals(&near, dy, dx, noise);
  if (plain <= enough || first == ALL) return plain;
  gather(p, y, x, SIDE / 2, &near);
  level(&near);
  float levelled = residuals(&near, dy, dx, noise);
  return levelled < plain ? levelled : plain;
}

static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a < b ? b : a; }

/* Batcher's odd-even merge sort of eight (Knuth, TAOCP 3, 5.3.4), without what the two in the middle do not need. In
 * scalars and without a branch, so that the loops around it become vector instructions. */
static inline float median_of_8(float a, float b, float c, float d, float e, float f, float g, float h) {
  float t;
#define ORDER(low, high) (t = least(low, high), high = most(low, high), low = t)
  ORDER(a, b), ORDER(c, d), ORDER(e, f), ORDER(g, h);
  ORDER(a, c), ORDER(b, d), ORDER(e, g), ORDER(f, h);
  ORDER(b, c), ORDER(f, g);
  ORDER(a, e), ORDER(b, f), ORDER(c, g), ORDER(d, h);
  ORDER(c, e), ORDER(d, f);
  ORDER(d, e);
#undef ORDER
  return 0.5f * (d + e);
}

static void residual_block(const float *restrict u, int64_t columns, float noise, float *restrict out) {
  const float *restrict above = u - columns, *restrict below = u + columns;
  float um[LANES];
  for (int i = 0; i < LANES; i++)
    um[i] = median_of_8(above[i - 1], above[i], above[i + 1], u[i - 1], u[i + 1], below[i - 1], below[i], below[i + 1]);
  for (int i = 0; i < LANES; i++) {
    float m  = um[i];
    float rm = median_of_8(fabsf(above[i - 1] - m), fabsf(above[i] - m), fabsf(above[i + 1] - m), fabsf(u[i - 1] - m),
                           fabsf(u[i + 1] - m), fabsf(below[i - 1] - m), fabsf(below[i] - m), fabsf(below[i + 1] - m));
    out[i]   = fabsf(u[i] - m) / (rm + noise);
  }
}

static void to_median_block(const weir__piv_plane *p, int64_t y, int64_t x, float noise, float *distance) {
  int64_t at = y * p->count[1] + x;
  float   rx[LANES];
  residual_block(p->dy + at, p->count[1], noise, distance);
  residual_block(p->dx + at, p->count[1], noise, rx);
  for (int i = 0; i < LANES; i++) distance[i] = distance[i] * distance[i] + rx[i] * rx[i];
}

/* ---- the mean ---- */

static float to_mean(const weir__piv_plane *p, int64_t y, int64_t x, float dy, float dx, float noise, float enough) {
  neighbours near;
  float      u[2] = {dy, dx}, square = 0;
  (void)noise, (void)enough;
  gather(p, y, x, 1, &near);
  if (near.n < FEWEST) gather(p, y, x, SIDE / 2, &near);
  if (near.n < FEWEST) return -1;
  for (int c = 0; c < 2; c++) {
    float sum = 0;
    for (int i = 0; i < near.n; i++) sum += near.u[c][i];
    float d = u[c] - sum / (float)near.n;
    square += d * d;
  }
  return square;
}

static void to_mean_block(const weir__piv_plane *p, int64_t y, int64_t x, float noise, float *distance) {
  int64_t      n = p->count[1], at = y * n + x;
  const float *u[2] = {p->dy + at, p->dx + at};
  (void)noise;
  memset(distance, 0, LANES * sizeof *distance);
  for (int c = 0; c < 2; c++) {
    const float *above = u[c] - n, *here = u[c], *below = u[c] + n;
    for (int i = 0; i < LANES; i++) {
      float sum = 0 + above[i - 1];
      sum       = sum + above[i] + above[i + 1] + here[i - 1] + here[i + 1] + below[i - 1] + below[i] + below[i + 1];
      float d   = here[i] - sum / 8;
      distance[i] += d * d;
    }
  }
}

const weir__piv_distance weir__piv_to_median = {to_median, to_median_block};
const weir__piv_distance weir__piv_to_mean   = {to_mean, to_mean_block};
