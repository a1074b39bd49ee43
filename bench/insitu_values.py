"""What the Python peers of bench_insitu share: its cases, the same values (bench/works.c), and the known results."""
import math
import sys
import time

import numpy as np

from harness import Bench

bench = Bench("insitu")

WORKERS = 2
TURN = 7

# group, name, chunks, rows and columns of a chunk: some of those in bench_insitu.c
CASES = [("B1", "40-chunks", 40, 10, 10), ("B1", "160-chunks", 160, 10, 10), ("B2", "4x80MB", 4, 1000, 10000),
         ("B3-rate", "16x1MiB", 16, 128, 1024)]
MORE = [("B1", "640-chunks", 640, 10, 10), ("B1", "1280-chunks", 1280, 10, 10), ("B3-five", "16x1MiB", 16, 128, 1024),
        ("B4", "4x80MB", 4, 1000, 10000), ("B5", "16x1MiB", 16, 128, 1024)]
FULL = [("B1", f"{n}-chunks", n, 10, 10) for n in (2560, 5120, 10200)] + [
    ("B2", "64x1MiB", 64, 128, 1024), ("B2", "4x128MiB", 4, 16384, 1024), ("B3-rate", "64x1MiB", 64, 128, 1024),
    ("B3-rate", "256x1MiB", 256, 128, 1024),
    ("B3-five", "64x1MiB", 64, 128, 1024), ("B3-five", "256x1MiB", 256, 128, 1024), ("B4", "64x1MiB", 64, 128, 1024),
    ("B5", "64x1MiB", 64, 128, 1024), ("B5", "128x1MiB", 128, 128, 1024)]


def cases(full, more=True):
    """`more`: for systems that need no new cluster for each case."""
    return CASES + (MORE if more or full else []) + (FULL if full and more else [])


def cluster():
    """Dask's, of processes of one thread."""
    from distributed import LocalCluster
    return LocalCluster(n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0)


def table(columns, step=0):
    return (np.arange(step, step + columns) % columns * 7919 % 1009) / 16.0


def series(step):
    return 10 * math.cos(0.7 * step) + 0.05 * step, 3 * math.sin(1.3 * step) + step % 3


def row(group, columns, step):
    """Row 0 of a step; row y is the same turned by TURN * y columns, but for B5."""
    if group != "B5":
        return table(columns, step) + step
    a, b = series(step)
    x = np.arange(columns)
    return table(columns) + np.where(x & 1, a, -a) + np.where(x & 2, b, -b)


def chunk(group, number, rows, columns, step):
    """Chunk `number` of a step: so many whole rows."""
    twice = np.tile(row(group, columns, step), 2)
    turn = 0 if group == "B5" else TURN
    out = np.empty((rows, columns))
    for y in range(rows):
        begin = turn * (number * rows + y) % columns
        out[y] = twice[begin:begin + columns]
    return out


COEFFICIENTS = {"B3-rate": [1, -1], "B3-five": [-1 / 12, 8 / 12, 0, -8 / 12, 1 / 12]}  # of this step, the one before ...


def past(group):
    """How many earlier steps the analysis looks at."""
    return len(COEFFICIENTS.get(group, [1])) - 1


def expected(group, rows, columns, step):
    """The known result; None: not yet one."""
    if step < past(group) or (group == "B5" and step == 0):
        return None
    if group in COEFFICIENTS:
        d = sum(c * row(group, columns, step - k) for k, c in enumerate(COEFFICIENTS[group]))
        return d.mean() + d.max()
    if group == "B5":
        cov = np.cov(np.array([series(s) for s in range(step + 1)]).T)
        values = np.linalg.eigvalsh(cov)
        return (values.sum() + values.max()) * rows * columns
    u = row(group, columns, step)
    return {"B1": lambda: u.mean(), "B2": lambda: np.sin(np.sqrt(u + 1)).mean(),
            "B4": lambda: 2 * u.mean() * rows * columns}[group]()


def check(group, rows, columns, step, value):
    known = expected(group, rows, columns, step)
    if known is not None and not abs(value - known) <= 1e-8 * abs(known):
        raise SystemExit(f"{group}, step {step}: {value!r} instead of {known!r}")


def rotate(s, p0, p1, rr, q):
    """One update of two principal components (bench/by_hand_pca.c): how the old basis and the residual make the new one."""
    rho = math.sqrt(rr) if rr > 1e-24 * q else 0.0
    left, new, _ = np.linalg.svd(np.array([[s[0], 0, p0], [0, s[1], p1], [0, 0, rho]]))
    return left, left[2] / rho if rho else 0 * left[2], new[:2]


def variances(s, n):
    return (2 * s[0]**2 + s[1]**2) / n


class Figures:
    """Times of one case: `put` ends when the data are with the workers, `result` when the number is known. The first
    steps are not measured: those without a result, at least one, at most `warm`, fewer when they take long."""

    def __init__(self, case, system, warm=6, steps=20, seconds=3):
        self.what, self.system = f"{case[0]}-{case[1]}", system
        self.bytes = 8.0 * case[2] * case[3] * case[4]
        self.warm, self.steps, self.seconds = warm, steps, seconds
        self.first = max(1, past(case[0]))
        self.put, self.all = [], []
        self.begin = time.perf_counter()
        self.seen = 0

    def _late(self, share):
        return time.perf_counter() - self.begin > share * self.seconds

    def add(self, put, total):
        self.seen += 1
        if self.seen <= self.first or (not self.all and self.seen <= self.warm and not self._late(0.3)):
            return
        self.put.append(put)
        self.all.append(total)

    def enough(self):
        """So many steps, or three and the time is over."""
        return len(self.all) >= self.steps or (self._late(1) and len(self.all) >= 3)

    def value(self, metric, value, unit):
        bench.value(self.what, self.system, metric, value, unit)

    def report(self):
        median = bench.summary(self.what, self.system, [(a - p) * 1e6 for a, p in zip(self.all, self.put)], "us")
        self.value("with-put-median", float(np.median(self.all)) * 1e6, "us")
        self.value("steps", len(self.all), "1")
        if self.bytes >= 1 << 24:
            self.value("bandwidth", self.bytes * 1e-3 / median, "GB/s")
        return median


def arguments():
    """[CSV] [full]"""
    rest = [a for a in sys.argv[1:] if a != "full"]
    return rest[0] if rest else None, "full" in sys.argv[1:]


def compare(path, case, name, median):
    """With what bench_insitu has measured, both without the put. The target is that of the mean of small chunks."""
    ours = path and bench.measured(path, f"{case[0]}-{case[1]}", "weir", "median")
    if not ours:
        return
    if case[0] == "B1" and name == "Dask":
        bench.at_least(f"B1 {case[1]}, {name}'s time over weir's", median / ours, 500)
    else:
        bench.note(f"{case[0]} {case[1]}: {name} takes {median / ours:.4g} times as long as weir")
