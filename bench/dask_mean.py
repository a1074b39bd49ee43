"""B1 on Dask distributed, in the way of Deisa: each step, N chunks of 10 x 10 float64 are scattered to two workers
(processes of one thread), an array is made of them, and its mean is computed. Prints the lines of the C benchmarks."""
import sys
import time

import numpy as np

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
    try:
        import dask
        import dask.array as da
        from distributed import Client, LocalCluster
    except ImportError as missing:
        print(f"# mean: Dask is left out: {missing}")
        return
    print(f"# mean: Dask {dask.__version__}, 2 workers of 1 thread, median of {STEPS} steps after {WARM}")
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            for count in (40, 160, 640, 1280):
                steps = STEPS if count < 1280 else 6
                times = sorted(step(client, dask, da, count, n) for n in range(WARM + steps))[:-1]
                print(f"mean,{count}-chunks,dask,min,{times[0]:.6g},us")
                print(f"mean,{count}-chunks,dask,median,{times[len(times) // 2]:.6g},us", flush=True)


if __name__ == "__main__":
    main()
