#include "works.h"
#include <math.h>

enum { ROWS_MAX = 10000, TURN = 7 };

/* Value k of the table: a multiple of 1/16 from 0 to 63, so that sums of it are exact. */
static double table(int64_t k) { return (double)(k * 7919 % 1009) / 16; }

/* Goes up by 1, and moves by one column, from step to step. */
static void moving_row(double *u, int64_t columns, int step) {
  for (int64_t x = 0; x < columns; x++) u[x] = table((x + step) % columns) + step;
}

static double row_mean(const double *u, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += u[i];
  return sum / (double)n;
}

/* ---- one step ---- */

static double mean_expected(const feed *f, int step) {
  static double u[ROWS_MAX];
  moving_row(u, f->columns, step);
  return row_mean(u, f->columns);
}
static double wave_expected(const feed *f, int step) {
  static double u[ROWS_MAX];
  moving_row(u, f->columns, step);
  for (int64_t x = 0; x < f->columns; x++) u[x] = sin(sqrt(u[x] + 1));
  return row_mean(u, f->columns);
}
static double flip_expected(const feed *f, int step) {
  return 2 * (double)(f->rows * f->columns) * mean_expected(f, step);
}
static double flip_check_expected(const feed *f, int step) {
  static double u[ROWS_MAX];
  double        sum = 0;
  int64_t       n   = f->columns;
  moving_row(u, n, step);
  for (int64_t y = 0; y < f->rows; y++)
    for (int64_t x = 0; x < n; x++) sum += u[(x + TURN * y) % n] * u[(x + TURN * (f->rows - 1 - y)) % n];
  return sum;
}

/* ---- windows in time ---- */

/* Mean plus largest of sum over k of c[k] u(step - k). */
static double window_expected(const feed *f, int step, const double *c, int steps) {
  static double u[ROWS_MAX], d[ROWS_MAX];
  double        most = -INFINITY;
  if (step < steps - 1) return NAN;
  for (int64_t x = 0; x < f->columns; x++) d[x] = 0;
  for (int k = 0; k < steps; k++) {
    moving_row(u, f->columns, step - k);
    for (int64_t x = 0; x < f->columns; x++) d[x] += c[k] * u[x];
  }
  for (int64_t x = 0; x < f->columns; x++) most = d[x] > most ? d[x] : most;
  return row_mean(d, f->columns) + most;
}
static double rate_expected(const feed *f, int step) { return window_expected(f, step, (double[]){1, -1}, 2); }
static double derivative_expected(const feed *f, int step) {
  return window_expected(f, step, (double[]){-1.0 / 12, 8.0 / 12, 0, -8.0 / 12, 1.0 / 12}, 5);
}

/* ---- principal components ---- */

/* Two patterns without a part in common, times two series, on top of a field that stays. */
static void series(int step, double *a, double *b) {
  *a = 10 * cos(0.7 * step) + 0.05 * step;
  *b = 3 * sin(1.3 * step) + (double)(step % 3);
}
static void pattern_row(double *u, int64_t columns, int step) {
  double a, b;
  series(step, &a, &b);
  for (int64_t x = 0; x < columns; x++) u[x] = table(x) + (x & 1 ? a : -a) + (x & 2 ? b : -b);
}

/* Both variances are those of the two series, turned to their principal axes, times the number of elements. */
static double pca_expected(const feed *f, int step) {
  double n = step + 1, a, b, ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
  if (!step) return NAN;
  for (int s = 0; s <= step; s++) {
    series(s, &a, &b);
    ma += a / n, mb += b / n;
  }
  for (int s = 0; s <= step; s++) {
    series(s, &a, &b);
    aa += (a - ma) * (a - ma), bb += (b - mb) * (b - mb), ab += (a - ma) * (b - mb);
  }
  double trace = aa + bb, most = trace / 2 + hypot((aa - bb) / 2, ab);
  return (trace + most) / (n - 1) * (double)(f->rows * f->columns);
}

const feed_work work_mean = {
    .result = "mean(u)", .row = moving_row, .turn = TURN, .expected = mean_expected, .tolerance = 1e-12};
const feed_work work_wave = {
    .result = "mean(sin(sqrt(u + 1)))", .row = moving_row, .turn = TURN, .expected = wave_expected, .tolerance = 1e-11};
const feed_work work_rate       = {.define    = {{"rate", "(u - lag(u, 1)) / dt"}},
                                   .result    = "mean(rate) + max(rate)",
                                   .row       = moving_row,
                                   .turn      = TURN,
                                   .expected  = rate_expected,
                                   .tolerance = 1e-12};
const feed_work work_derivative = {.define = {{"rate", "(lag(u, 4) - 8 * lag(u, 3) + 8 * lag(u, 1) - u) / (12 * dt)"}},
                                   .result = "mean(rate) + max(rate)",
                                   .row    = moving_row,
                                   .turn   = TURN,
                                   .expected  = derivative_expected,
                                   .tolerance = 1e-12};
const feed_work work_flip       = {
          .result    = "sum(u + flip(u, y))",
          .row       = moving_row,
          .turn      = TURN,
          .expected  = flip_expected,
          .tolerance = 1e-12,
};
const feed_work work_flip_check = {.result    = "sum(u * flip(u, y))",
                                   .row       = moving_row,
                                   .turn      = TURN,
                                   .expected  = flip_check_expected,
                                   .tolerance = 1e-12};
const feed_work work_pca        = {.define    = {{"p", "pca(u, components=2)"}},
                                   .result    = "sum(p.variance) + max(p.variance)",
                                   .row       = pattern_row,
                                   .expected  = pca_expected,
                                   .tolerance = 1e-8};
