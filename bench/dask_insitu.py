"""B1 to B5 of bench_insitu on Dask distributed, fed as Deisa does it: each step, every chunk is scattered to one of two
workers (processes of one thread), an array is made of one delayed value per chunk, and the graph is built, sent and
computed. `median` is from the end of the scatter to the result, `with-put-median` from its begin.

    python dask_insitu.py [CSV] [full]     CSV: what bench_insitu has measured, to compare with
"""
import math
import sys
import time

import insitu_values as values
import numpy as np


def worker_state():
    import psutil
    process = psutil.Process()
    return sum(process.cpu_times()[:2]), process.memory_info().rss


class Components:
    """Two principal components, updated with each step as in bench/by_hand_pca.c, on Dask's arrays."""

    def __init__(self, dask):
        self.dask, self.samples, self.s = dask, 0, np.zeros(2)

    def step(self, x):
        n, self.samples = self.samples, self.samples + 1
        if n == 0:
            self.mean = x.persist()
            self.u = [(x * 0).persist(), (x * 0).persist()]
            return None
        c = math.sqrt(n / (n + 1))
        d = c * (x - self.mean)
        p0, p1, q = self.dask.compute((self.u[0] * d).sum(), (self.u[1] * d).sum(), (d * d).sum())
        r = d - p0 * self.u[0] - p1 * self.u[1]
        rr = float((r * r).sum().compute())
        left, last, self.s = values.rotate(self.s, p0, p1, rr, q)
        u = [self.u[0] * left[0, k] + self.u[1] * left[1, k] + r * last[k] for k in range(2)]
        self.u[0], self.u[1], self.mean = self.dask.persist(u[0], u[1], self.mean + (x - self.mean) / (n + 1))
        return values.variances(self.s, n)


def result(dask, da, group, window, components):
    """The number of a step, from its array and the earlier ones, newest first; None: not yet one."""
    x = window[0]
    if group == "B1":
        return x.mean().compute()
    if group == "B2":
        return da.sin(da.sqrt(x + 1)).mean().compute()
    if group == "B4":
        return (x + da.flip(x, 0)).sum().compute()
    if group == "B5":
        return components.step(x)
    c = values.COEFFICIENTS[group]
    if len(window) < len(c):
        return None
    rate = sum(c[k] * window[k] for k in range(len(c)) if c[k])
    mean, most = dask.compute(rate.mean(), rate.max())
    return mean + most


def run(client, dask, da, case):
    group, _, count, rows, columns = case
    figures = values.Figures(case, "dask")
    window, components = [], Components(dask)
    idle, own, most, step = client.run(worker_state), time.process_time(), 0, 0
    while not figures.enough():
        data = [values.chunk(group, k, rows, columns, step) for k in range(count)]
        begin = time.perf_counter()
        futures = client.scatter(data, direct=True, hash=False)
        put = time.perf_counter()
        parts = [da.from_delayed(dask.delayed(f), (rows, columns), dtype=float) for f in futures]
        window.insert(0, da.concatenate(parts))
        del window[values.past(group) + 1:]
        number = result(dask, da, group, window, components)
        figures.add(put - begin, time.perf_counter() - begin)
        values.check(group, rows * count, columns, step, number)
        state = client.run(worker_state)
        most = max(most, sum(s[1] for s in state.values()) - sum(s[1] for s in idle.values()))
        del futures, parts, data
        step += 1
    median = figures.report()
    cpu = sum(s[0] for s in state.values()) - sum(s[0] for s in idle.values())
    figures.value("cpu-workers", cpu / step * 1e3, "ms/step")
    figures.value("cpu-client-and-scheduler", (time.process_time() - own) / step * 1e3, "ms/step")
    if figures.bytes >= 1 << 24:
        figures.value("memory-own", most / figures.bytes, "steps")
    return median


def main():
    path, full = values.arguments()
    try:
        import dask
        import dask.array as da
        from distributed import Client
    except ImportError as missing:
        values.bench.note(f"Dask is left out: {missing} (bench/install-peers)")
        return
    values.bench.note(f"Dask {dask.__version__}, Python {sys.version.split()[0]}, numpy {np.__version__}, 2 workers of 1 thread; "
                      "3 to 20 steps of each case")
    with values.cluster() as cluster:
        with Client(cluster) as client:
            for case in values.cases(full):
                values.compare(path, case, "Dask", run(client, dask, da, case))


if __name__ == "__main__":
    main()
