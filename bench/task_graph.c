#include "task_graph.h"
#include "core/memory.h"

static const char *const pattern_names[] = {
    "trivial",    "no_comm", "stencil_1d", "stencil_1d_periodic", "dom",   "tree", "fft",
    "all_to_all", "nearest", "spread",     "random_nearest",      "reduce"};

const char *bench_pattern_name(int pattern) { return pattern_names[pattern]; }

/* ---- shape ---- */

static int binary_digits(int n) {
  int digits = 0;
  for (; n > 0; n /= 2) digits++;
  return digits;
}

/* A sweep has reached point `row` at most, and has left behind what is not needed to be through in the last row. */
static int offset_of(const bench_graph *g, int row) {
  int columns = g->columns < g->rows ? g->columns : g->rows, left = row + columns - g->rows;
  return g->pattern == BENCH_DOM && left > 0 ? left : 0;
}

static int width_of(const bench_graph *g, int row) {
  int w = g->columns;
  switch (g->pattern) {
  case BENCH_DOM: return (row + 1 < w ? row + 1 : w) - offset_of(g, row);
  case BENCH_TREE: return row < 30 && 1 << row < w ? 1 << row : w;
  case BENCH_REDUCE: return w >> row;
  default: return w;
  }
}

/* ---- dependencies ---- */

static uint64_t mix(uint64_t x) { /* finaliser of splitmix64 (Vigna, public domain) */
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

/* From 0 to 1, following from three numbers. */
static double uniform(int a, int b, int c) {
  uint64_t x = mix(mix(mix((uint64_t)a + 0x9e3779b97f4a7c15u) + (uint64_t)b) + (uint64_t)c);
  return (double)(x >> 11) * 0x1p-53;
}

static int radix_of(const bench_graph *g) { return g->radix ? g->radix : 5; }

/* The dependence set of a row. */
static int set_of(const bench_graph *g, int row) {
  int sets = 1;
  if (g->pattern == BENCH_FFT) sets = binary_digits(g->columns) - 1;
  if (g->pattern == BENCH_SPREAD || g->pattern == BENCH_RANDOM_NEAREST) sets = g->period ? g->period : 3;
  return sets > 0 ? (row - 1) % sets : 0;
}

/* Candidates, in any order, twice or out of range, as the formulas above give them. */
static int candidates(const bench_graph *g, int row, int i, int *list) {
  int W = g->columns, s = set_of(g, row), radix = radix_of(g), n = 0;
  switch (g->pattern) {
  case BENCH_TRIVIAL: return 0;
  case BENCH_NO_COMM: list[n++] = i; break;
  case BENCH_STENCIL_1D:
    for (int d = -1; d <= 1; d++) list[n++] = i + d;
    break;
  case BENCH_STENCIL_1D_PERIODIC:
    for (int d = -1; d <= 1; d++) list[n++] = (i + d + W) % W;
    break;
  case BENCH_DOM: list[n++] = i - 1, list[n++] = i; break;
  case BENCH_TREE: list[n++] = i / 2; break;
  case BENCH_FFT: list[n++] = i - (1 << s), list[n++] = i, list[n++] = i + (1 << s); break;
  case BENCH_ALL_TO_ALL:
    for (int j = 0; j < W; j++) list[n++] = j;
    break;
  case BENCH_NEAREST:
    for (int j = i - radix / 2; j <= i + (radix - 1) / 2; j++) list[n++] = j;
    break;
  case BENCH_SPREAD:
    for (int k = 0; k < radix; k++) list[n++] = (i + k * W / radix + (k ? s : 0)) % W;
    break;
  case BENCH_RANDOM_NEAREST:
    for (int j = i - radix / 2; j <= i + (radix - 1) / 2; j++)
      if (j == i || uniform(s, i, j + W) < (g->fraction > 0 ? g->fraction : 0.25)) list[n++] = j;
    break;
  case BENCH_REDUCE: list[n++] = 2 * i, list[n++] = 2 * i + 1; break;
  }
  return n;
}

/* At most so many candidates has a point. */
static int room(const bench_graph *g) {
  int radix = radix_of(g);
  return (g->columns > radix ? g->columns : radix) + 3;
}

int bench_predecessors(const bench_graph *g, int row, int point, int *list) {
  int n = row ? candidates(g, row, point, list) : 0, kept = 0;
  int begin = row ? offset_of(g, row - 1) : 0, end = row ? begin + width_of(g, row - 1) : 0;
  for (int i = 0; i < n; i++) { /* sorted in place, each once */
    int j = list[i], at = kept;
    if (j < begin || j >= end) continue;
    while (at > 0 && list[at - 1] > j) at--;
    if (at > 0 && list[at - 1] == j) continue;
    for (int k = kept++; k > at; k--) list[k] = list[k - 1];
    list[at] = j;
  }
  return kept;
}

/* ---- kernels ---- */

static const char *const kernel_names[] = {"empty", "compute_bound", "memory_bound", "load_imbalance"};

const char *bench_kernel_name(int kernel) { return kernel_names[kernel]; }

enum { SET = 1 << 21 };
static double working_set[SET]; /* written once: untouched memory would be one page of zeros */

static double compute(int64_t rounds) {
  enum { N = 64 };
  _Alignas(64) double a[N];
  double              sum = 0;
  for (int i = 0; i < N; i++) a[i] = 1.0 + 0.01 * i;
  for (int64_t r = 0; r < rounds; r++)
    for (int i = 0; i < N; i++) a[i] = a[i] * 0.999999 + 1e-6;
  for (int i = 0; i < N; i++) sum += a[i];
  return sum;
}

/* Many sums at a time, so that they wait for memory and not for each other. */
static double stream(int64_t rounds, uint64_t from) {
  enum { ROUND = 128, LANES = 16 }; /* doubles */
  double  sum[LANES] = {0}, all = 0;
  int64_t at = (int64_t)(from % (SET / ROUND)) * ROUND;
  for (int64_t r = 0; r < rounds; r++, at = (at + ROUND) % SET)
    for (int i = 0; i < ROUND; i += LANES)
      for (int k = 0; k < LANES; k++) sum[k] += working_set[at + i + k];
  for (int k = 0; k < LANES; k++) all += sum[k];
  return all;
}

double bench_kernel_run(const bench_work *work, int row, int point) {
  double share = work->imbalance > 0 ? work->imbalance : 1;
  switch (work->kernel) {
  case BENCH_COMPUTE: return compute(work->rounds);
  case BENCH_MEMORY: return stream(work->rounds, mix((uint64_t)row << 32 | (uint32_t)point));
  case BENCH_IMBALANCE:
    return compute((int64_t)((double)work->rounds * (1 + (uniform(row, point, 0) - 0.5) * share) + 0.5));
  default: return 0;
  }
}

/* ---- the whole graph ---- */

static weir_status make(bench_graph *g) {
  int  n = 0, t = 0, pairs = 0;
  int *list;
  if (g->pattern == BENCH_REDUCE) g->rows = binary_digits(g->columns);
  g->name = pattern_names[g->pattern];
  WEIR_TRY(weir__alloc_array((size_t)g->rows + 1, sizeof *g->row, &g->row));
  WEIR_TRY(weir__alloc_array((size_t)g->rows + 1, sizeof *g->offset, &g->offset));
  for (int r = 0; r < g->rows; r++) {
    g->offset[r]  = offset_of(g, r);
    g->row[r + 1] = g->row[r] + width_of(g, r);
  }
  g->tasks = g->row[g->rows];
  WEIR_TRY(weir__alloc_array((size_t)g->tasks + 1, sizeof *g->first, &g->first));
  WEIR_TRY(weir__alloc_array((size_t)g->tasks + 1, sizeof *g->row_of, &g->row_of));
  WEIR_TRY(weir__alloc_array((size_t)room(g), sizeof *list, &list));
  for (int pass = 0; pass < 2; pass++) { /* count, then fill */
    weir_status status = pass ? weir__alloc_array((size_t)pairs + 1, sizeof *g->pred, &g->pred) : WEIR_OK;
    for (int r = t = n = 0; r < g->rows && status >= 0; r++)
      for (int x = 0; x < bench_width(g, r); x++, t++) {
        int count    = bench_predecessors(g, r, g->offset[r] + x, list);
        g->first[t]  = n;
        g->row_of[t] = r;
        for (int i = 0; i < count; i++, n++)
          if (pass) g->pred[n] = g->row[r - 1] + list[i] - g->offset[r - 1];
        if (count > g->most) g->most = count;
      }
    pairs = n;
    if (status < 0) break;
  }
  g->first[g->tasks] = n;
  weir__free(list);
  return g->pred ? WEIR_OK : WEIR_ERR_MEMORY;
}

int bench_graph_create(bench_graph *graph) {
  for (int i = 0; i < SET && !working_set[SET - 1]; i++) working_set[i] = 1 + 0.5 * i;
  if (make(graph) >= 0) return 0;
  bench_graph_clear(graph);
  return 1;
}

void bench_graph_clear(bench_graph *graph) {
  weir__free(graph->row);
  weir__free(graph->offset);
  weir__free(graph->row_of);
  weir__free(graph->first);
  weir__free(graph->pred);
  *graph = (bench_graph){0};
}

/* ---- tasks ---- */

bench_stamp bench_stamp_of(const bench_graph *g, int64_t number, int task) {
  int row = g->row_of[task];
  return (bench_stamp){number * g->rows + row, g->offset[row] + task - g->row[row]};
}

void bench_stamp_missing(bench_replay *r) { __atomic_add_fetch(&r->wrong, 1, __ATOMIC_RELAXED); }

void bench_stamp_check(bench_replay *r, int64_t number, int pred, const bench_stamp *stamp) {
  bench_stamp right = bench_stamp_of(r->graph, number, pred);
  if (stamp->row != right.row || stamp->point != right.point) bench_stamp_missing(r);
}

static inline void use(double value) { __asm__ volatile("" : : "g"(value) : "memory"); } /* keep the result */

void bench_task_work(const bench_replay *r, int task) {
  const bench_graph *g = r->graph;
  if (r->work.kernel == BENCH_EMPTY) return;
  int row = g->row_of[task];
  use(bench_kernel_run(&r->work, row, g->offset[row] + task - g->row[row]));
}

void bench_task_run(bench_replay *r, int task) {
  const bench_graph *g = r->graph;
  for (int i = g->first[task]; r->stamp && i < g->first[task + 1]; i++)
    bench_stamp_check(r, r->number, g->pred[i], &r->stamp[g->pred[i]]);
  bench_task_work(r, task);
  if (r->stamp) r->stamp[task] = bench_stamp_of(g, r->number, task);
}

int bench_stamps_right(const bench_replay *r) {
  int right = 0;
  for (int t = 0; t < r->graph->tasks; t++) {
    bench_stamp stamp = bench_stamp_of(r->graph, r->number, t);
    right += r->stamp[t].row == stamp.row && r->stamp[t].point == stamp.point;
  }
  return right;
}
