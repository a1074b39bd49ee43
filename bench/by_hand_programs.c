/* The programs. Loops are written so that the compiler vectorises them without leave to reorder sums: partial sums
 * side by side. Those that are worth it are compiled for AVX-512 and AVX2 too. */
#include "by_hand.h"
#include "vector_sin.h"
#include <mpi.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

enum { LANES = 32, ROOT = 0 };

static double fold(const double *lane) {
  double sum = 0;
  for (int k = 0; k < LANES; k++) sum += lane[k];
  return sum;
}

static double elements(const hand *h) { return (double)(h->feed->rows * h->feed->columns); }

/* The sum over both processes, on the first one. */
static double reduce_sum(hand *h, double mine) {
  double total = 0;
  MPI_Reduce(&mine, &total, 1, MPI_DOUBLE, MPI_SUM, ROOT, MPI_COMM_WORLD);
  h->sent += h->rank != ROOT ? (int64_t)sizeof mine : 0;
  return total;
}

/* ---- the mean ---- */

static WIDEST double sum_lanes(const double *u, int64_t n) {
  double  lane[LANES] = {0}, rest = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += u[i + k];
  for (; i < n; i++) rest += u[i];
  return fold(lane) + rest;
}
static double sum_chain(const double *u, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += u[i];
  return sum;
}
static double      mean_lanes(hand *h) { return reduce_sum(h, sum_lanes(h->past[0], h->count)) / elements(h); }
static double      mean_chain(hand *h) { return reduce_sum(h, sum_chain(h->past[0], h->count)) / elements(h); }
const hand_program hand_mean       = {.name = "limit", .step = mean_lanes};
const hand_program hand_mean_chain = {.name = "chain", .step = mean_chain};
const hand_program hand_mean_awake = {.name = "awake", .step = mean_lanes, .awake = true};

/* ---- the mean of sin(sqrt(u + 1)) ---- */

static WIDEST double wave_lanes(const double *u, int64_t n) {
  double  lane[LANES] = {0}, rest = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += sin(sqrt(u[i + k] + 1));
  for (; i < n; i++) rest += sin(sqrt(u[i] + 1));
  return fold(lane) + rest;
}
static double      wave(hand *h) { return reduce_sum(h, wave_lanes(h->past[0], h->count)) / elements(h); }
const hand_program hand_wave = {.name = "limit", .step = wave};

/* ---- windows in time ---- */

/* Sum and largest of c0 x0 + c1 x1 + ... ; terms with coefficient 0 are not read. */
typedef struct extent {
  double sum, most;
} extent;

static void extent_of_lanes(const double *sum, const double *most, extent *to) {
  to->sum += fold(sum);
  for (int k = 0; k < LANES; k++) to->most = most[k] > to->most ? most[k] : to->most;
}

static WIDEST void rate_lanes(const double *restrict x, const double *restrict y, int64_t n, extent *to) {
  double  sum[LANES] = {0}, most[LANES];
  int64_t i          = 0;
  for (int k = 0; k < LANES; k++) most[k] = -INFINITY;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      double d = x[i + k] - y[i + k];
      sum[k] += d;
      most[k] = d > most[k] ? d : most[k];
    }
  for (; i < n; i++) {
    double d = x[i] - y[i];
    sum[0] += d;
    most[0] = d > most[0] ? d : most[0];
  }
  extent_of_lanes(sum, most, to);
}

static WIDEST void five_lanes(const double *restrict a, const double *restrict b, const double *restrict d,
                              const double *restrict e, int64_t n, extent *to) {
  double  sum[LANES] = {0}, most[LANES];
  int64_t i          = 0;
  for (int k = 0; k < LANES; k++) most[k] = -INFINITY;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      double v = (a[i + k] - 8 * b[i + k] + 8 * d[i + k] - e[i + k]) / 12;
      sum[k] += v;
      most[k] = v > most[k] ? v : most[k];
    }
  for (; i < n; i++) {
    double v = (a[i] - 8 * b[i] + 8 * d[i] - e[i]) / 12;
    sum[0] += v;
    most[0] = v > most[0] ? v : most[0];
  }
  extent_of_lanes(sum, most, to);
}

/* Mean plus largest over both processes. */
static double combine(hand *h, const extent *mine) {
  double most = 0, sum = reduce_sum(h, mine->sum);
  MPI_Reduce(&mine->most, &most, 1, MPI_DOUBLE, MPI_MAX, ROOT, MPI_COMM_WORLD);
  h->sent += h->rank != ROOT ? (int64_t)sizeof most : 0;
  return sum / elements(h) + most;
}
static double rate(hand *h) {
  extent e = {0, -INFINITY};
  if (!h->past[1]) return NAN;
  rate_lanes(h->past[0], h->past[1], h->count, &e);
  return combine(h, &e);
}
static double derivative(hand *h) {
  extent e = {0, -INFINITY};
  if (!h->past[4]) return NAN;
  five_lanes(h->past[4], h->past[3], h->past[1], h->past[0], h->count, &e);
  return combine(h, &e);
}
const hand_program hand_rate       = {.name = "limit", .past = 1, .step = rate};
const hand_program hand_derivative = {.name = "limit", .past = 4, .step = derivative};

/* ---- rows turned over ---- */

static WIDEST double sum_of_both(const double *restrict u, const double *restrict v, int64_t n) {
  double  lane[LANES] = {0}, rest = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) lane[k] += u[i + k] + v[i + k];
  for (; i < n; i++) rest += u[i] + v[i];
  return fold(lane) + rest;
}

static void flip_begin(hand *h) {
  double *other;
  bench_check(weir__alloc_array((size_t)h->count, sizeof *other, &other), "flip");
  h->self = other;
}
static void flip_end(hand *h) { weir__free(h->self); }

/* The mirror images of this process's rows are those of the other one. */
static double flip_step(hand *h) {
  double *other = h->self, sum = 0;
  int64_t n = h->feed->columns, rows = h->count / n;
  MPI_Sendrecv(h->past[0], (int)h->count, MPI_DOUBLE, 1 - h->rank, 0, other, (int)h->count, MPI_DOUBLE, 1 - h->rank, 0,
               MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  h->sent += h->count * (int64_t)sizeof *other;
  for (int64_t y = 0; y < rows; y++) sum += sum_of_both(h->past[0] + y * n, other + (rows - 1 - y) * n, n);
  return reduce_sum(h, sum);
}
const hand_program hand_flip = {.name = "limit", .begin = flip_begin, .end = flip_end, .step = flip_step};
