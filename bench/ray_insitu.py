"""B1 to B5 of bench_insitu on Ray's tasks, without Dask in between: each step, every chunk is put into the object store by the
simulation (this process), one task makes a partial result of each, and this process adds them up. As good as Ray gets here: its
compiled graphs can only be fed by the process that compiles them. `with-put-median` is from the first put to the number, `median`
from the end of the last put.

    python ray_insitu.py [CSV] [full]     CSV: what bench_insitu has measured, to compare with
"""
import logging
import math
import os
import sys
import time

import insitu_values as values
import numpy as np


def partial(group, *chunks):
    """What a chunk gives: a sum, and for windows the largest value too."""
    if group == "B1":
        return float(chunks[0].sum())
    if group == "B2":
        return float(np.sin(np.sqrt(chunks[0] + 1)).sum())
    if group == "B4":
        return float((chunks[0] + chunks[1][::-1]).sum())
    c = [k for k in values.COEFFICIENTS[group] if k]
    rate = sum(k * x for k, x in zip(c, chunks))
    return float(rate.sum()), float(rate.max())


def dots(x, mean, u0, u1, c):
    d = c * (x - mean)
    return np.array([(u0 * d).sum(), (u1 * d).sum(), (d * d).sum()])


def residual(x, mean, u0, u1, c, p0, p1):
    r = c * (x - mean) - p0 * u0 - p1 * u1
    return float((r * r).sum())


def update(x, mean, u0, u1, c, p0, p1, left, last, n):
    r = c * (x - mean) - p0 * u0 - p1 * u1
    new = [u0 * left[0, k] + u1 * left[1, k] + r * last[k] for k in range(2)]
    return mean + (x - mean) / (n + 1), new[0], new[1]


class Components:
    """Two principal components, updated with each step as in bench/by_hand_pca.c; a chunk's part of them is an object."""

    def __init__(self, ray):
        self.ray, self.samples, self.s = ray, 0, np.zeros(2)
        self.dots, self.residual = ray.remote(dots), ray.remote(residual)
        self.update = ray.remote(num_returns=3)(update)

    def step(self, chunks, rows, columns):
        n, self.samples = self.samples, self.samples + 1
        if n == 0:
            nothing = self.ray.put(np.zeros((rows, columns)))
            self.state = [(x, nothing, nothing) for x in chunks]
            return None
        c, both = math.sqrt(n / (n + 1)), list(zip(chunks, self.state))
        p0, p1, q = sum(self.ray.get([self.dots.remote(x, *s, c) for x, s in both]))
        rr = sum(self.ray.get([self.residual.remote(x, *s, c, p0, p1) for x, s in both]))
        left, last, self.s = values.rotate(self.s, p0, p1, rr, q)
        self.state = [self.update.remote(x, *s, c, p0, p1, left, last, n) for x, s in both]
        self.ray.wait([part for s in self.state for part in s], num_returns=3 * len(both), fetch_local=False)
        return values.variances(self.s, n)


def number_of(ray, task, case, window, components):
    """The number of a step, from the chunks of this and earlier ones, newest first; None: not yet one."""
    group, _, count, rows, columns = case
    size = count * rows * columns
    if group == "B5":
        return components.step(window[0], rows, columns)
    if len(window) <= values.past(group):
        return None
    if group == "B4":
        inputs = [(window[0][k], window[0][count - 1 - k]) for k in range(count)]
    else:
        used = [k for k, c in enumerate(values.COEFFICIENTS.get(group, [1])) if c]
        inputs = [tuple(window[k][i] for k in used) for i in range(count)]
    parts = ray.get([task.remote(group, *chunks) for chunks in inputs])
    if group in values.COEFFICIENTS:
        return sum(p[0] for p in parts) / size + max(p[1] for p in parts)
    return sum(parts) if group == "B4" else sum(parts) / size


def run(ray, case):
    group, _, count, rows, columns = case
    figures, task, components = values.Figures(case, "ray"), ray.remote(partial), Components(ray)
    window, step, begun = [], 0, time.process_time()
    while not figures.enough():
        data = [values.chunk(group, k, rows, columns, step) for k in range(count)]
        begin = time.perf_counter()
        window.insert(0, [ray.put(x) for x in data])
        put = time.perf_counter()
        del window[values.past(group) + 1:]
        number = number_of(ray, task, case, window, components)
        figures.add(put - begin, time.perf_counter() - begin)
        values.check(group, rows * count, columns, step, number)
        step += 1
    median = figures.report()
    figures.value("cpu-driver", (time.process_time() - begun) / step * 1e3, "ms/step")
    return median


def main():
    path, full = values.arguments()
    os.environ["RAY_DEDUP_LOGS"] = "0"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as missing:
        values.bench.note(f"Ray is left out: {missing} (bench/install-peers, or pip install ray)")
        return
    ray.init(num_cpus=values.WORKERS, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
             object_store_memory=4 << 30)
    values.bench.note(f"Ray {ray.__version__}, Python {sys.version.split()[0]}, 2 workers; 3 to 20 steps of each case")
    for case in values.cases(full):
        values.compare(path, case, "Ray", run(ray, case))
    ray.shutdown()


if __name__ == "__main__":
    main()
