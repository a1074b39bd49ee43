"""B1 to B4 of bench_insitu on Deisa-Dask: a simulation sends its chunks through bridges to Dask's workers; a callback gets them as
an array and computes the number, as in its documentation. Closed loop.

Deisa has one chunk for each rank and array, so there are as many bridges as chunks. They live in one process here, which plays
their ranks one after the other (its communicator stands for MPI): that asks less of two cores than as many processes would.
`with-put-median` is from the first `send` to the number, `median` from the end of the last `send`.

    python deisa_insitu.py [CSV] [full]     CSV: what bench_insitu has measured, to compare with
"""
import logging
import multiprocessing
import os
import sys
import time

import insitu_values as values

NO_ANSWER = 60  # seconds


# ---- the ranks of one communicator, in one process: rank 0 is made first, and sends last ----

class Shared:
    def __init__(self, size):
        self.size, self.given, self.told, self.parts = size, {}, [], {}


class Communicator:
    def __init__(self, shared, rank):
        self.shared, self.rank, self.gathers, self.bcasts = shared, rank, 0, 0

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.shared.size

    def gather(self, data, root=0):
        self.gathers += 1
        if self.rank != root:
            self.shared.given.setdefault(self.gathers, []).append(data)
            return None
        return [data] + self.shared.given.pop(self.gathers, [])

    def bcast(self, data, root=0):
        if self.rank == root:
            self.shared.told.append(data)
        self.bcasts += 1
        return self.shared.told[self.bcasts - 1]

    def barrier(self):
        pass

    def Split(self, color, key):
        return Communicator(self.shared.parts.setdefault(color, Shared(self.shared.size)), self.rank)

    def Free(self):
        pass


# ---- the simulation ----

def simulate(address, case, answers, path):
    """All bridges of a case; goes on when the number of a step has come."""
    os.environ["DEISA_DASK_SCHEDULER_ADDRESS"] = address
    from deisa.dask import Bridge
    group, _, count, rows, columns = case
    ranks = Shared(count)
    bridges = [Bridge(Communicator(ranks, r), {"u": {"global_shape": [rows * count, columns], "chunk_shape": [rows, columns],
                                                     "chunk_position": [r, 0]}}) for r in range(count)]
    figures, step, begun = values.Figures(case, "deisa-dask"), 0, time.process_time()
    while not figures.enough():
        data = [values.chunk(group, k, rows, columns, step) for k in range(count)]
        begin = time.perf_counter()
        for k in list(range(1, count)) + [0]:
            bridges[k].send("u", data[k], step)
        put = time.perf_counter()
        if not answers.poll(NO_ANSWER):
            values.bench.note(f"{group} {case[1]}: no answer from Deisa-Dask within {NO_ANSWER} s; left out")
            os._exit(0)
        number, end = answers.recv()
        figures.add(put - begin, end - begin)
        values.check(group, rows * count, columns, step, number)
        step += 1
    median = figures.report()
    figures.value("cpu-simulation", (time.process_time() - begun) / step * 1e3, "ms/step")
    values.compare(path, case, "Deisa-Dask", median)
    os._exit(0)  # closing waits for tasks of other ranks


# ---- the analysis ----

def number_of(da, group, window):
    """Of the arrays of a window, the oldest first; None: not yet one."""
    x = window[-1]
    if group == "B1":
        return x.mean().compute()
    if group == "B2":
        return da.sin(da.sqrt(x + 1)).mean().compute()
    if group == "B4":
        return (x + da.flip(x, 0)).sum().compute()
    c = values.COEFFICIENTS[group]
    if len(window) < len(c):
        return None
    rate = sum(c[k] * window[-1 - k] for k in range(len(c)) if c[k])
    return (rate.mean() + rate.max()).compute()


def analyse(case, path):
    import dask.array as da
    from deisa.core import Window
    from deisa.dask import Deisa
    answers, asked = multiprocessing.Pipe(duplex=False)
    with values.cluster() as cluster:
        os.environ["DEISA_DASK_SCHEDULER_ADDRESS"] = cluster.scheduler_address
        simulation = multiprocessing.get_context("spawn").Process(target=simulate,
                                                                 args=(cluster.scheduler_address, case, answers, path))
        simulation.start()
        deisa = Deisa()

        @deisa.register(Window("u", values.past(case[0]) + 1))
        def callback(window):
            try:
                asked.send((number_of(da, case[0], list(window)), time.perf_counter()))
            except Exception as wrong:  # or Deisa would only log it
                print(f"deisa: {wrong!r}", file=sys.stderr)
                os._exit(1)

        simulation.join()
        deisa.client.close()
    if simulation.exitcode:
        sys.exit(simulation.exitcode)


def main():
    path, full = values.arguments()
    try:
        import dask
        import importlib.metadata
        import deisa.dask  # noqa: F401
    except ImportError as missing:
        values.bench.note(f"Deisa-Dask is left out: {missing} (bench/install-peers)")
        return
    logging.disable(logging.CRITICAL)  # of the ends of connections
    values.bench.note(f"Deisa-Dask {importlib.metadata.version('deisa-dask')}, Dask {dask.__version__}, 2 workers of 1 thread; "
                      "3 to 20 steps of each case")
    for case in values.cases(full, more=False):
        if case[0] != "B5":  # a callback gets the arrays of a window, and nothing of what it made of them before
            analyse(case, path)


if __name__ == "__main__":
    main()
