"""Task Bench on Dask: the graphs and kernels of bench/task_graph.h (through bench_task_graph.so), each task checking
the stamps of its predecessors. `threads`: dask.threaded on 2 threads; `distributed`: a scheduler and 2 workers of one
thread in processes of their own. Kernels run in C and without the interpreter's lock. Prints the lines of the C
benchmarks; a graph is smaller than theirs, and its time is from making the tasks to the results.

    dask_task_bench.py bench_task_graph.so [check]"""
import ctypes
import statistics
import sys
import time
import warnings

REDUCE, KERNELS, EMPTY, COMPUTE, STENCIL_1D = 11, 4, 0, 1, 2  # of bench/task_graph.h
COLUMNS, ROWS, ROUNDS, MOST_ROUNDS, REPEATS, SWEEPS, CORES = 16, 10, 1 << 18, 1 << 22, 3, 3, 2


class Graph(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_int), ("columns", ctypes.c_int), ("rows", ctypes.c_int), ("radix", ctypes.c_int),
                ("period", ctypes.c_int), ("fraction", ctypes.c_double), ("name", ctypes.c_char_p),
                ("tasks", ctypes.c_int), ("row", ctypes.POINTER(ctypes.c_int)),
                ("offset", ctypes.POINTER(ctypes.c_int)), ("row_of", ctypes.POINTER(ctypes.c_int)),
                ("first", ctypes.POINTER(ctypes.c_int)), ("pred", ctypes.POINTER(ctypes.c_int)),
                ("most", ctypes.c_int)]


class Work(ctypes.Structure):
    _fields_ = [("kernel", ctypes.c_int), ("rounds", ctypes.c_int64), ("imbalance", ctypes.c_double)]


_library = None


def library(path):
    """Loaded once in each process."""
    global _library
    if _library is None:
        _library = ctypes.CDLL(path)
        _library.bench_kernel_run.restype = ctypes.c_double
        _library.bench_kernel_name.restype = ctypes.c_char_p
        if _library.bench_graph_create(ctypes.byref(Graph(pattern=0, columns=1, rows=1))):  # the kernels' memory
            raise MemoryError("no memory")
    return _library


def run(path, kernel, rounds, stamp, expected, *inputs):
    """A task: checks what its predecessors give, works, gives its own stamp."""
    if [list(i) for i in inputs] != expected:
        raise RuntimeError(f"task {stamp} got {inputs} instead of {expected}")
    library(path).bench_kernel_run(ctypes.byref(Work(kernel, rounds, 0.0)), ctypes.c_int(stamp[0]),
                                   ctypes.c_int(stamp[1]))
    return stamp


class Tasks:
    """A graph for Dask; every replay has names and stamps of its own, so nothing of an earlier one can be used."""
    number = 0  # of the last replay of any graph

    def __init__(self, path, pattern, columns, rows):
        self.path, self.graph = path, Graph(pattern=pattern, columns=columns, rows=rows)
        if library(path).bench_graph_create(ctypes.byref(self.graph)):
            raise MemoryError("no memory")
        g = self.graph
        self.name = g.name.decode()
        self.place = [(g.row_of[t], g.offset[g.row_of[t]] + t - g.row[g.row_of[t]]) for t in range(g.tasks)]
        self.preds = [list(g.pred[g.first[t]:g.first[t + 1]]) for t in range(g.tasks)]
        needed = {p for preds in self.preds for p in preds}
        self.sinks = [t for t in range(g.tasks) if t not in needed]

    def stamp(self, task):
        row, point = self.place[task]
        return [self.number * self.graph.rows + row, point]

    def replay(self, get, kernel, rounds):
        """Seconds, from making the tasks to the results."""
        Tasks.number += 1
        begin = time.perf_counter()
        key = [f"{self.number}-{t}" for t in range(self.graph.tasks)]
        tasks = {key[t]: (run, self.path, kernel, rounds, self.stamp(t), [self.stamp(p) for p in preds],
                          *[key[p] for p in preds]) for t, preds in enumerate(self.preds)}
        result = get(tasks, [key[t] for t in self.sinks])
        elapsed = time.perf_counter() - begin
        if list(result) != [self.stamp(t) for t in self.sinks]:
            sys.exit(f"{self.name}: wrong results {result}")
        return elapsed


def peak(path, tasks, rounds):
    """Seconds of the kernels without tasks on one core after another; the machine gives CORES of them at a time."""
    begin, some = time.perf_counter(), max(2, min(tasks, (1 << 23) // rounds))
    for _ in range(some):
        library(path).bench_kernel_run(ctypes.byref(Work(COMPUTE, rounds, 0.0)), 0, 0)
    return (time.perf_counter() - begin) / some * tasks / CORES


def measure(tasks, get, rounds):
    """Efficiency, and granularity in us."""
    count = tasks.graph.tasks
    before = peak(tasks.path, count, rounds)
    wall = statistics.median(tasks.replay(get, COMPUTE, rounds) for _ in range(REPEATS))
    return (before + peak(tasks.path, count, rounds)) / 2 / wall, 1e6 * wall * CORES / count


def metg(tasks, get):
    """As in bench/metg.c; NaN: no point was efficient enough."""
    rounds = ROUNDS
    before = measure(tasks, get, rounds)
    while before[0] < 0.75 and rounds < MOST_ROUNDS:
        rounds *= 4
        before = measure(tasks, get, rounds)
    while before[0] >= 0.5 and rounds > 1:
        rounds //= 2
        e, g = measure(tasks, get, rounds)
        if e < 0.5:
            return g + (before[1] - g) * (0.5 - e) / (before[0] - e)
        before = e, g
    return before[1] if before[0] >= 0.5 else float("nan")


def systems(dask, distributed):
    """Name and `get` of each, one after the other."""
    from dask.threaded import get as threaded
    yield "dask-threads", lambda tasks, keys: threaded(tasks, keys, num_workers=CORES)
    with distributed.LocalCluster(n_workers=CORES, threads_per_worker=1, processes=True,
                                  dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            yield "dask-distributed", client.get


def check(path, name, get):
    for pattern in range(REDUCE + 1):
        for kernel in range(KERNELS):
            Tasks(path, pattern, 8 - kernel % 2, 5).replay(get, kernel, 2)
    print(f"# task_bench: all patterns and kernels are right in {name}")


def report(path, name, get):
    tasks = Tasks(path, STENCIL_1D, COLUMNS, ROWS)
    times = sorted(tasks.replay(get, EMPTY, 0) for _ in range(12))[:-2]
    found = sorted(metg(tasks, get) for _ in range(SWEEPS))
    case = f"stencil_1d-{COLUMNS}x{ROWS}"
    print(f"task_bench,{case},{name},median,{1e6 * statistics.median(times) / tasks.graph.tasks:.6g},us/task")
    print(f"task_bench,{case},{name},METG(50%),{found[SWEEPS // 2]:.6g},us", flush=True)


def main():
    path, checks = sys.argv[1], sys.argv[2:] == ["check"]
    try:
        import dask
        import distributed
    except ImportError as missing:
        print(f"# task_bench: Dask is left out: {missing} (apt-get install python3-distributed)")
        return
    warnings.simplefilter("ignore")
    print(f"# task_bench: Dask {dask.__version__}, {CORES} threads, or {CORES} workers of one thread")
    for name, get in systems(dask, distributed):
        (check if checks else report)(path, name, get)


if __name__ == "__main__":
    import dask_task_bench  # so that workers find its functions by name, not as copies with a library in them

    dask_task_bench.main()
