#include "dag.h"
#include "harness.h"

static void allocate(bench_dag *dag, int rows, int tasks, int preds) {
  dag->rows  = rows;
  dag->tasks = tasks;
  bench_check(weir__alloc_array((size_t)rows, sizeof *dag->width, &dag->width), "graph");
  bench_check(weir__alloc_array((size_t)tasks + 1, sizeof *dag->first, &dag->first), "graph");
  bench_check(weir__alloc_array((size_t)preds + 1, sizeof *dag->pred, &dag->pred), "graph");
}

void bench_dag_stencil(bench_dag *dag, int width, int rows) {
  int n = 0;
  *dag  = (bench_dag){.name = "stencil"};
  allocate(dag, rows, width * rows, 3 * width * rows);
  for (int r = 0; r < rows; r++) {
    dag->width[r] = width;
    for (int x = 0; x < width; x++) {
      dag->first[r * width + x] = n;
      for (int d = -1; d <= 1 && r; d++)
        if (x + d >= 0 && x + d < width) dag->pred[n++] = (r - 1) * width + x + d;
    }
  }
  dag->first[dag->tasks] = n;
}

void bench_dag_tree(bench_dag *dag, int leaves) {
  int rows = 1, n = 0, t = 0;
  *dag = (bench_dag){.name = "tree"};
  for (int w = leaves; w > 1; w /= 2) rows++;
  allocate(dag, rows, 2 * leaves - 1, 2 * leaves);
  for (int r = 0, before = 0; r < rows; r++) {
    int width = leaves >> r, row = t;
    dag->width[r] = width;
    for (int x = 0; x < width; x++, t++) {
      dag->first[t] = n;
      if (r) dag->pred[n++] = before + 2 * x, dag->pred[n++] = before + 2 * x + 1;
    }
    before = row;
  }
  dag->first[t] = n;
}

void bench_dag_independent(bench_dag *dag, int tasks) {
  *dag = (bench_dag){.name = "independent"};
  allocate(dag, 1, tasks, 0);
  dag->width[0] = tasks;
}

void bench_dag_clear(bench_dag *dag) {
  weir__free(dag->width);
  weir__free(dag->first);
  weir__free(dag->pred);
  *dag = (bench_dag){0};
}

double bench_kernel(int64_t work) {
  double a = 1.0, b = 0.5, c = 0.25, d = 0.125;
  for (int64_t i = 0; i < work; i++) {
    a = a * 0.999999 + 1e-6;
    b = b * 0.999999 + 1e-6;
    c = c * 0.999999 + 1e-6;
    d = d * 0.999999 + 1e-6;
  }
  return a + b + c + d;
}
