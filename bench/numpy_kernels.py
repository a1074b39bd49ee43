"""What bench_kernels measures, with NumPy, and with numexpr and SciPy where they are there: the same expressions on the same fields of
float64, on one thread (numexpr also on two), as people write them: each result is a new array. numexpr's are compared with NumPy's."""
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(name, "2" if name.startswith("NUMEXPR") else "1")

from harness import Bench  # noqa: E402: after what libraries read when they are loaded

ROUNDS, STEPS, LARGE, SMALL = 3, 5, 2048, 512
bench = Bench("kernels")
try:
    import numpy as np
except ImportError as missing:
    bench.note(f"NumPy is left out: {missing} (bench/install-peers)")
    sys.exit(0)
try:
    import numexpr
except ImportError as missing:
    numexpr = None
    bench.note(f"numexpr is left out: {missing} (bench/install-peers)")
try:
    from scipy import ndimage
except ImportError as missing:
    ndimage = None
    bench.note(f"SciPy is left out: {missing} (bench/install-peers)")


def fields(side):
    i = np.arange(side * side).reshape(side, side)
    return 1 + 1e-3 * (i * 7 % 997), 1 + 1e-3 * ((i * 7 + 13) % 997)


def laplacian(u):
    w = np.empty_like(u)
    w[1:-1, 1:-1] = (u[1:-1, 2:] - 2 * u[1:-1, 1:-1] + u[1:-1, :-2]) + (u[2:, 1:-1] - 2 * u[1:-1, 1:-1] + u[:-2, 1:-1])
    return w[1:-1, 1:-1]


def spectrum(u):
    return np.abs(np.fft.rfft2(u - u.mean())) ** 2


# name as in bench_kernels.c, size, whole fields in and out (0: a rate), NumPy's way, numexpr's (None: none)
CASES = [
    ("u + v", LARGE, 3, lambda u, v: u + v, "u + v"),
    ("0.5 * (u^2 + v^2)", LARGE, 3, lambda u, v: 0.5 * (u**2 + v**2), "0.5 * (u**2 + v**2)"),
    ("sqrt(u^2 + v^2)", LARGE, 3, lambda u, v: np.sqrt(u**2 + v**2), "sqrt(u**2 + v**2)"),
    ("((0.3 * u + 0.2) * u + 0.1) * u + 1", LARGE, 2, lambda u, v: ((0.3 * u + 0.2) * u + 0.1) * u + 1,
     "((0.3 * u + 0.2) * u + 0.1) * u + 1"),
    ("where(u > v, u - v, v - u)", LARGE, 3, lambda u, v: np.where(u > v, u - v, v - u), "where(u > v, u - v, v - u)"),
    ("(u - v) / (u + v)", LARGE, 3, lambda u, v: (u - v) / (u + v), "(u - v) / (u + v)"),
    ("maximum(abs(u), abs(v))", LARGE, 3, lambda u, v: np.maximum(np.abs(u), np.abs(v)), None),
    ("exp(-u)", LARGE, 2, lambda u, v: np.exp(-u), "exp(-u)"),
    ("mean(sin(sqrt(u + 1)))", LARGE, 1, lambda u, v: np.sin(np.sqrt(u + 1)).mean(), None),
    ("mean(where(u > 1.5, u, 0 / 0))", LARGE, 1, lambda u, v: np.nanmean(np.where(u > 1.5, u, np.nan)), None),
    ("mean(0.5 * (u^2 + v^2))", LARGE, 2, lambda u, v: (0.5 * (u**2 + v**2)).mean(), None),
    ("sum(u)", LARGE, 1, lambda u, v: u.sum(), "sum(u)"),
    ("mean(u)", LARGE, 1, lambda u, v: u.mean(), None),
    ("min(u)", LARGE, 1, lambda u, v: u.min(), None),
    ("max(u)", LARGE, 1, lambda u, v: u.max(), None),
    ("count(u)", LARGE, 1, lambda u, v: np.count_nonzero(~np.isnan(u)), None),
    ("var(u)", LARGE, 1, lambda u, v: u.var(), None),
    ("std(u)", LARGE, 1, lambda u, v: u.std(), None),
    ("mean(u, axes=x)", LARGE, 1, lambda u, v: u.mean(axis=1), None),
    ("mean(u, axes=y)", LARGE, 1, lambda u, v: u.mean(axis=0), None),
    ("ddx(u)", LARGE, 2, lambda u, v: np.gradient(u, axis=1, edge_order=2), None),
    ("ddy(u)", LARGE, 2, lambda u, v: np.gradient(u, axis=0, edge_order=2), None),
    ("laplacian(u)", LARGE, 2, lambda u, v: laplacian(u), None),
    ("ddx(v) - ddy(u)", LARGE, 3, lambda u, v: np.gradient(v, axis=1, edge_order=2) - np.gradient(u, axis=0, edge_order=2), None),
    ("coarsen(u, 2)", LARGE, 1.25, lambda u, v: u.reshape(LARGE // 2, 2, LARGE // 2, 2).mean(axis=(1, 3)), None),
    ("power_spectrum(u, axes=x)", LARGE, 0, lambda u, v: np.abs(np.fft.rfft(u - u.mean(axis=1, keepdims=True), axis=1)) ** 2, None),
    ("power_spectrum(u)", LARGE, 0, lambda u, v: spectrum(u), None),
    ("mean(u, weights=v)", LARGE, 0, lambda u, v: np.average(u, weights=v), None),
    ("histogram(u, 100, 1, 2)", LARGE, 0, lambda u, v: np.histogram(u, bins=100, range=(1, 2))[0], None),
]
IMAGES = [
    ("gaussian(u, sigma=2)", LARGE, lambda u: ndimage.gaussian_filter(u, 2)),
    ("local_mean(u)", LARGE, lambda u: ndimage.uniform_filter(u, 5)),
    ("local_min(u)", LARGE, lambda u: ndimage.minimum_filter(u, 5)),
    ("local_max(u)", LARGE, lambda u: ndimage.maximum_filter(u, 5)),
    ("local_median(u)", SMALL, lambda u: ndimage.median_filter(u, 5)),
    ("local_percentile(u, percent=90)", SMALL, lambda u: ndimage.percentile_filter(u, 90, 5)),
]


def measure(name, system, elements, arrays, body):
    samples = []
    for _ in range(ROUNDS):
        result = body()
        for _ in range(STEPS):
            begin = time.perf_counter()
            result = body()
            samples.append(1e3 * (time.perf_counter() - begin))
    median = bench.summary(name, system, samples, "ms")
    if arrays:
        bench.value(name, system, "speed", 1e-6 * 8 * elements * arrays / median, "GB/s")
    else:
        bench.value(name, system, "rate", 1e-3 * elements / median, "Melements/s")
    return result


def main():
    for name, side, arrays, way, text in CASES:
        u, v = fields(side)
        result = measure(name, "NumPy, 1 thread", u.size, arrays, lambda: way(u, v))
        if not (numexpr and text):
            continue
        for threads in (1, 2):
            numexpr.set_num_threads(threads)
            system = f"numexpr, {threads} thread{'s' * (threads > 1)}"
            names = {"u": u, "v": v}
            other = measure(name, system, u.size, arrays, lambda: numexpr.evaluate(text, local_dict=names))
            if not np.allclose(result, other, rtol=1e-12):
                sys.exit(f"numexpr differs: {name}")
    for name, side, way in IMAGES if ndimage else []:
        u, _ = fields(side)
        measure(name, "SciPy, 1 thread", u.size, 0, lambda: way(u))


if __name__ == "__main__":
    main()
