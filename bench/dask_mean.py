"""B1 on Dask distributed, in the way of Deisa: each step, N chunks of 10 x 10 float64 are scattered to two workers
(processes of one thread), an array is made of them, and its mean is computed. Its time includes the scatter of the chunks."""
import sys
import time

import numpy as np

from harness import Bench

STEPS, WARM = 12, 3


def step(client, dask, da, count, number):
    data = [np.full((10, 10), number + 1.0) for _ in range(count)]
    begin = time.perf_counter()
    futures = client.scatter(data)
    parts = [da.from_delayed(dask.delayed(f), (10, 10), dtype=float) for f in futures]
    mean = da.concatenate(parts).mean().compute()
    elapsed = time.perf_counter() - begin
    if mean != number + 1.0:
        sys.exit(f"mean {mean} instead of {number + 1.0}")
    return elapsed * 1e6


def main():
    bench = Bench("mean")
    try:
        import dask
        import dask.array as da
        from distributed import Client, LocalCluster
    except ImportError as missing:
        bench.note(f"Dask is left out: {missing} (bench/install-peers)")
        return
    bench.note(f"Dask {dask.__version__}, 2 workers of 1 thread, {STEPS} steps (6 of 1280 chunks) after {WARM}")
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            for count in (40, 160, 640, 1280):
                steps = STEPS if count < 1280 else 6
                times = [step(client, dask, da, count, n) for n in range(WARM + steps)][WARM:]
                median = bench.summary(f"{count}-chunks", "dask", times, "us")
                weir = len(sys.argv) > 1 and bench.measured(sys.argv[1], f"{count}-chunks", "weir", "median")
                if weir:
                    bench.at_least(f"{count}-chunks, Dask's time over weir's", median / weir, 500)


if __name__ == "__main__":
    main()
