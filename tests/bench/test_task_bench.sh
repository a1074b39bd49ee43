# weir-test: timeout=120
#
# Proves that every system of the task benchmarks executes the graphs it is measured on: all patterns and kernels on
# small graphs, each task checking the stamps of its predecessors; and that a wrong graph is found out. Without the
# benchmarks it is skipped.
bench=$WEIR_BUILD/bench
[ -x "$bench/bench_task_bench" ] || exit 77
set -e
"$bench/bench_task_bench" check
if [ -x "$bench/bench_task_bench_mpi" ]; then
  sh "$WEIR_SOURCE/tests/mpirun.sh" 2 "$bench/bench_task_bench_mpi" check
fi
if [ -f "$bench/bench_task_graph.so" ]; then
  "${PYTHON3:-/usr/bin/python3}" "$WEIR_SOURCE/bench/dask_task_bench.py" "$bench/bench_task_graph.so" check
fi
