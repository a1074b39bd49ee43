# weir-test: timeout=90
"""Ensemble correlation: images with two particles in a window, of which single couples give little. The mean plane of a single pass is
NumPy's; several passes move all couples of a group. The same bytes on any number of threads and workers and after kills; a missing
couple adds nothing; masks hold."""
import os
import random
import shutil
import subprocess
import tempfile
import time

import piv_support as support
from piv_support import SANITIZED, WEIR, Image, digest, kill_run, np, piv, store, success, synth, weir

SHIFT = (1.3, 4.6)
SPARSE = dict(shift=f"{SHIFT[0]},{SHIFT[1]}", density=0.0022, noise=8, peak=120)  # 2.3 particles in 32 x 32 pixels
INNER = (slice(1, -1), slice(1, -1))


def quality(found, steps):
    """Part of valid vectors, and the rms error of those, of the steps that have a result."""
    has = (found["flag"] >= 0).any(axis=(1, 2))
    assert has.sum() == steps, np.flatnonzero(has)
    error = np.hypot(found["u"] - SHIFT[1], found["v"] - SHIFT[0])[has][(slice(None), *INNER)]
    good = found["flag"][has][(slice(None), *INNER)] == 0
    return float(good.mean()), float(np.sqrt(np.mean(error[good] ** 2)))


def sparse(folder):
    pairs = 64
    synth(folder, "im", pairs=pairs, size="256x256", seed=3, **SPARSE)
    alone = quality(piv(folder, "im", "--window", 32), pairs)
    print(f"single couples            valid {alone[0]:.3f}, error {alone[1]:.3f} pixels")
    assert alone[0] < 0.6 and alone[1] > 0.1, alone
    for windows, most in (("32", 0.05), ("64,32,32", 0.04)):
        found = piv(folder, "im", "--window", windows, "--ensemble", 32)
        valid, error = quality(found, 2)
        print(f"ensembles of 32, {windows:9}valid {valid:.3f}, error {error:.3f} pixels")
        assert valid > 0.97 and error <= most, (windows, valid, error)
        assert np.isnan(found["uncertainty_u"]).all()
    return pairs


def by_numpy(folder):
    """Sums of the windows' cross-correlations, means removed, divided by the overlap of a window with itself."""
    found = piv(folder, "im", "--window", 32, "--ensemble", 16)
    load = lambda k, which: np.array(Image.open(os.path.join(folder, "im", f"pair_{k:04}{which}.tif")), float)
    couples = [(load(k, "a"), load(k, "b")) for k in range(1, 17)]
    step = int(np.flatnonzero((found["flag"] >= 0).any(axis=(1, 2)))[0])
    assert step == 15, step
    lag = np.fft.fftfreq(32, 1 / 32)
    weight = 32 / (32 - abs(lag[:, None])) * 32 / (32 - abs(lag[None, :]))
    checked = 0
    for j in range(0, found["u"].shape[1], 3):
        for i in range(0, found["u"].shape[2], 2):
            y, x = int(found["y"][j] - 15.5), int(found["x"][i] - 15.5)
            plane = 0
            for a, b in couples:
                f, g = a[y:y + 32, x:x + 32], b[y:y + 32, x:x + 32]
                plane = plane + np.fft.ifft2(np.conj(np.fft.fft2(f - f.mean())) * np.fft.fft2(g - g.mean())).real
            near = (abs(lag[:, None]) < 12) & (abs(lag[None, :]) < 12)
            top = np.unravel_index(np.argmax(np.where(near, plane, -np.inf)), plane.shape)
            fit = []
            for axis in (0, 1):
                at = [list(top) for _ in range(3)]
                for k in range(3):
                    at[k][axis] = (top[axis] + k - 1) % 32
                value = [plane[tuple(p)] * weight[tuple(p)] for p in at]
                if min(value) > 0:
                    value = np.log(value)
                fit.append(lag[top[axis]] + 0.5 * (value[2] - value[0]) / (2 * value[1] - value[0] - value[2]))
            if found["replaced"][step, j, i] == 0:
                assert np.hypot(found["v"][step, j, i] - fit[0], found["u"][step, j, i] - fit[1]) < 2e-3, (j, i, fit)
                checked += 1
    assert checked > 20, checked


def bytes_of(folder, out="out"):
    return digest(os.path.join(folder, out, "piv.zarr"), os.path.join(folder, out, "piv.csv"))


def same_bytes(folder):
    synth(folder, "few", pairs=11, size="192x208", field="vortex", gradient=0.08, noise=4, seed=2)
    options = ("--window", "48,32", "--ensemble", 4)  # two groups, and three couples that are left
    settings = [(1, 0), (1, 2)] + ([(2, 1), (3, 0)] if support.has_mpi() else [])
    first = None
    for workers, threads in settings:
        found = piv(folder, "few", *options, "--workers", workers, "--threads", threads)
        got = bytes_of(folder)
        first = first or got
        assert got == first, (workers, threads)
    assert np.flatnonzero((found["flag"] >= 0).any(axis=(1, 2))).tolist() == [3, 7]
    assert np.isnan(found["u"][[0, 1, 2, 4, 5, 6, 8, 9, 10]]).all()
    # a couple that is missing adds nothing: as a group without it
    whole = piv(folder, "few", "--window", "48,32", "--ensemble", 3)
    os.remove(os.path.join(folder, "few", "pair_0004b.tif"))
    done = weir(folder, "piv", "few", "-o", "less", "--pictures", 0, *options)
    assert done.returncode == 1, done.stderr
    less = store(os.path.join(folder, "less", "piv.zarr"))
    for name in ("u", "v", "correlation"):
        assert np.allclose(less[name][3], whole[name][2], atol=3e-6, equal_nan=True), name


def killed(folder):
    """The images of a group that is under way come back from the checkpoint."""
    pairs = 24 if SANITIZED else 90
    synth(folder, "many", pairs=pairs, size="192x192", seed=4, **SPARSE)
    recipe = "run: ensemble\ncheckpoint: {every: 1 steps}\nstream:\n  images: many\n  subset: pairs\nfields:\n"
    recipe += "  flow: piv(a, b, window=[64, 32, 32], ensemble=8)\noutputs:\n  - zarr: {path: %s.zarr, fields: [flow.u, flow.v, flow.flag]}\n"
    start = time.monotonic()
    for name in ("whole", "out"):
        with open(os.path.join(folder, name + ".yaml"), "w") as file:
            file.write(recipe % name)
    success(folder, "run", "whole.yaml", "--dir", "whole/run")
    lasts, expected = time.monotonic() - start, list(digest(os.path.join(folder, "whole.zarr")).values())
    amidst = resumed = 0
    for trial in range(4):
        for name in ("out", "out.zarr"):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        process = subprocess.Popen([WEIR, "run", "out.yaml", "--dir", "out/run"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(lasts * random.uniform(0.3, 0.8))
        amidst += process.poll() is None
        kill_run(process, os.path.join(folder, "out", "run"))
        done = weir(folder, "run", "out.yaml", "--dir", "out/run", "--resume")
        if done.returncode == 2 and "no run to resume" in done.stderr:
            done = weir(folder, "run", "out.yaml", "--dir", "out/run")
        else:
            resumed += 1
        assert done.returncode == 0, (trial, done.stdout, done.stderr)
        assert list(digest(os.path.join(folder, "out.zarr")).values()) == expected, trial
    assert amidst >= 1 and resumed >= 1, (amidst, resumed)


def masked(folder):
    hidden = np.zeros((256, 256), np.uint8)
    hidden[150:] = 255
    Image.fromarray(hidden).save(os.path.join(folder, "mask.png"))
    for windows in ("32", "64,32,32"):
        found = piv(folder, "im", "--window", windows, "--ensemble", 32, "--mask", "mask.png")
        gone = np.array([(hidden[int(y - 15.5):int(y + 16.5), :32] > 0).mean() > 0.5 for y in found["y"]])
        flag = found["flag"][31]
        assert ((flag == 3) == gone[:, None]).all() and 0 < gone.sum() < len(gone)
        error = np.hypot(found["u"][31] - SHIFT[1], found["v"][31] - SHIFT[0])[~gone][1:, 1:-1]
        print(f"masked, {windows:18}valid {np.mean(flag[~gone] == 0):.3f}, error {np.sqrt(np.mean(error**2)):.3f} pixels")
        assert np.mean(flag[~gone] == 0) > 0.9 and np.sqrt(np.mean(error**2)) < 0.09


with tempfile.TemporaryDirectory() as folder:
    for test in (sparse, by_numpy, masked, same_bytes, killed):
        test(folder)
