# Particle image velocimetry from end to end: files are read, decoded, correlated, validated, and results written.
#
#   python3 bench/piv.py path/to/weir [REPEATS]
#
# The images are made by weir synth-piv, of the size that the peers' figures were measured with (1362 x 1560 pixels, 8 bits). Peers
# run in the same place when they can be imported by the Python in $WEIR_PEERS (pip install openpiv fluidimage in a virtual environment);
# otherwise one line says so. Lines `bench,case,system,metric,value,unit`.
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from harness import Bench

bench = Bench("piv")
rates = {}  # of (case, system)
WEIR = os.path.abspath(sys.argv[1])
REPEATS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
PAIRS, SIZE, VECTORS = 24, "1362x1560", 96 * 84  # of a pass with windows of 32, a peer's own may be a few more
# Fluidimage 0.5.3 on 2 shared cores of this kind, one process per core: what weir is asked to be ten times as fast as.
FLUIDIMAGE = {"single": 21.8e3, "multi": 18.9e3, "mean": 31, "pair_ms": 8}


def weir(*arguments):
    done = subprocess.run([WEIR, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit("bench/piv.py: weir " + " ".join(arguments) + "\n" + done.stderr)


def timed(action, clean):
    """Median, least and most. Results of before are put aside: after thousands of files have been removed ext4 looks long for
    inodes, as it takes none that became free in the last seconds."""
    seconds = []
    for _ in range(REPEATS):
        for name in (clean, clean.replace(".run", ".zarr")):
            if os.path.exists(name):
                os.makedirs("aside", exist_ok=True)
                os.rename(name, f"aside/{time.monotonic_ns()}")
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), min(seconds), max(seconds)


def vectors(store):
    with open(os.path.join(store, "u", ".zarray")) as file:
        steps, rows, columns = json.load(file)["shape"]
    return steps * rows * columns


def velocimetry(case, images, threads, options, peer):
    out = "out"
    median, least, most = timed(
        lambda: weir("piv", images, "-o", out, "--pictures", "0", "--threads", str(threads - 1), *options), out
    )
    n = vectors(os.path.join(out, "piv.zarr"))
    rates[case, threads] = n / median
    bench.value(case, f"weir {threads} thread{'s' * (threads > 1)}", "vectors per second", n / median, "1/s")
    print(f"# {case}, {threads} thread(s): {n / median / 1e3:.0f} k vectors/s ({n / most / 1e3:.0f} to {n / least / 1e3:.0f}), "
          f"{median / PAIRS * 1e3:.1f} ms per pair" + (f", {n / median / peer:.1f} times Fluidimage's {peer / 1e3:.1f} k" if peer else ""))


def without_uncertainty(case, threads, options, peer):
    """What the peers compute: the recipe that weir piv wrote, less what they have not."""
    case += ", no uncertainty"
    weir("piv", "tif", "-o", "out", "--pictures", "0", *options)
    with open("out/piv.yaml") as file:
        recipe = re.sub(r"(?m)^  uncertainty_.*\n", "", file.read()).replace(" uncertainty_u, uncertainty_v,", "")
    with open("less.yaml", "w") as file:
        file.write(recipe.replace("piv(a, b, ", "piv(a, b, uncertainty=no, ").replace("out/", "less/"))
    shutil.rmtree("out")
    os.makedirs("less", exist_ok=True)
    median, least, most = timed(
        lambda: weir("run", "less.yaml", "--dir", "less.run", "--threads", str(threads - 1)), "less.run")
    n = vectors("less/piv.zarr")
    shutil.rmtree("less")
    rates[case, threads] = n / median
    bench.value(case, f"weir {threads} thread{'s' * (threads > 1)}", "vectors per second", n / median, "1/s")
    print(f"# {case}, {threads} thread(s): {n / median / 1e3:.0f} k vectors/s ({n / most / 1e3:.0f} to {n / least / 1e3:.0f}), "
          f"{median / PAIRS * 1e3:.1f} ms per pair, {n / median / peer:.1f} times Fluidimage's {peer / 1e3:.1f} k")


def small_pairs():
    weir("synth-piv", "-o", "small", "--size", "64x64", "--pairs", "2000")
    median, least, most = timed(lambda: weir("piv", "small", "-o", "out", "--pictures", "0", "--window", "32"), "out")
    bench.value("small pairs", "weir", "time per pair", median / 2000 * 1e3, "ms")
    print(f"# pairs of 64 x 64: {median / 2000 * 1e3:.3f} ms each ({least / 2:.3f} to {most / 2:.3f}); Fluidimage 8 ms")


def mean_image(form):
    os.mkdir("series")
    names = sorted(name for name in os.listdir(form) if name.endswith(form))
    count = 8 * len(names)
    for k in range(count):
        os.symlink(os.path.join("..", form, names[k % len(names)]), f"series/im{k:04d}.{form}")
    with open("mean.yaml", "w") as file:
        file.write(f"run: mean\nstream:\n  images: series\n  chunks: {{y: 256}}\nfields:\n  m: time_mean(image)\n"
                   f"outputs:\n  - zarr:\n      path: mean.zarr\n      fields: [m]\n      every: {count}\n")
    median, least, most = timed(lambda: weir("run", "mean.yaml", "--dir", "mean.run"), "mean.run")
    rate = count / median
    bench.value(f"mean of {form}", "weir", "images per second", rate, "1/s")
    print(f"# mean image over {count} {form}: {rate:.0f} images/s ({count / most:.0f} to {count / least:.0f}), "
          f"{rate / FLUIDIMAGE['mean']:.1f} times Fluidimage's {FLUIDIMAGE['mean']}")
    peer(f"mean of {form}", "Fluidimage 2 processes", "images per second", "1/s", "fluidimage", "mean", "series")
    for name in glob.glob("series*"):
        (shutil.rmtree if os.path.isdir(name) else os.remove)(name)


PEER = r"""
import sys, time, glob, os
import numpy as np
from PIL import Image
case, images = sys.argv[1], sys.argv[2]
def image(path): return np.asarray(Image.open(path))
def one_process(one):
    files = sorted(glob.glob(images + "/*"))[:8]
    one(image(files[0]), image(files[1]))
    begin, n = time.perf_counter(), 0
    for k in range(0, len(files), 2): n += one(image(files[k]), image(files[k + 1]))
    return n / (time.perf_counter() - begin)
def topology(Topology, params, series, amount):
    series.path = os.path.abspath(images)
    params.saving.how = "recompute"
    params.saving.path = os.path.abspath("peer")
    work = Topology(params)
    begin = time.perf_counter()
    work.compute("multi_exec_sync", nb_max_workers=2)
    return amount / (time.perf_counter() - begin)
if case == "openpiv":
    from openpiv import pyprocess
    def one(a, b):
        u, v, s = pyprocess.extended_search_area_piv(a.astype("int32"), b.astype("int32"), window_size=32, overlap=16,
                                                     search_area_size=32, sig2noise_method="peak2peak", use_vectorized=True)
        return u.size
    rate = one_process(one)
elif case == "single":
    from fluidimage.piv import Work
    from fluidimage.data_objects.piv import ArrayCouple
    params = Work.create_default_params()
    params.piv0.shape_crop_im0 = 32
    params.multipass.use_tps = False
    work = Work(params)
    rate = one_process(lambda a, b: work.calcul(ArrayCouple(names=("a", "b"), arrays=(a, b))).piv0.deltaxs.size)
elif case == "mean":
    from fluidimage.topologies.mean import TopologyMeanImage as Topology
    params = Topology.create_default_params()
    rate = topology(Topology, params, params.images, len(os.listdir(images)))
else:
    from fluidimage.piv import Topology
    params = Topology.create_default_params()
    params.series.str_subset = "pairs"
    params.piv0.shape_crop_im0 = 64
    params.multipass.number = 2
    params.multipass.use_tps = case == "splines"
    rate = topology(Topology, params, params.series, float(sys.argv[3]))
print("\nRATE", rate)
"""


def peer(case, system, metric, unit, package, *arguments):
    """A peer's rate, which is also returned; None, and a line that says so, when it is not there."""
    python = os.environ.get("WEIR_PEERS")
    done = python and subprocess.run([python, "-c", PEER, *arguments], capture_output=True, text=True,
                                     env={**os.environ, "OMP_NUM_THREADS": "1"})
    shutil.rmtree("peer", ignore_errors=True)
    if not done or done.returncode:
        print(f"# {case}, {package}: skipped" + (": " + done.stderr.strip().splitlines()[-1] if done else
                                                 "; bench/install-peers gets it"))
        return
    rate = float(done.stdout.split("RATE")[-1])
    bench.value(case, system, metric, rate, unit)
    print(f"# {case}, {system}: {rate:.0f} {metric.replace('per second', '/s')}")
    return rate


def against(case, threads, rate, least):
    if rate:
        bench.at_least(f"{case}: vectors, times those of Fluidimage on as many cores", rates[case, threads] / rate, least)


folder = tempfile.mkdtemp(prefix="weir-bench-")
try:
    os.chdir(folder)
    for form in ("tif", "png"):
        weir("synth-piv", "-o", form, "--size", SIZE, "--pairs", str(PAIRS), "--field", "vortex", "--gradient", "0.05",
             "--noise", "3", "--format", form)
    for threads in (1, 2):
        velocimetry("single pass", "tif", threads, ["--window", "32"], threads * FLUIDIMAGE["single"])
    velocimetry("64 and 32, deformed", "tif", 1, ["--window", "64,32"], None)
    velocimetry("64 and 32, deformed", "tif", 2, ["--window", "64,32"], FLUIDIMAGE["multi"])
    without_uncertainty("single pass", 1, ["--window", "32"], FLUIDIMAGE["single"])
    without_uncertainty("64 and 32, deformed", 2, ["--window", "64,32"], FLUIDIMAGE["multi"])
    velocimetry("64 and 32, deformed, splines", "tif", 2, ["--window", "64,32", "--smooth", "last"], FLUIDIMAGE["multi"])
    velocimetry("64, 32 and 32 (default)", "tif", 2, [], None)
    velocimetry("single pass from PNG", "png", 2, ["--window", "32"], 2 * FLUIDIMAGE["single"])
    small_pairs()
    for form in ("tif", "png"):
        mean_image(form)
    rate, two = "vectors per second", "Fluidimage 2 processes"
    peer("single pass", "OpenPIV 1 process", rate, "1/s", "openpiv", "openpiv", "tif")
    against("single pass, no uncertainty", 1,
            peer("single pass, no uncertainty", "Fluidimage 1 process", rate, "1/s", "fluidimage", "single", "tif"), 10)
    amount = str(PAIRS * VECTORS)
    against("64 and 32, deformed, no uncertainty", 2,
            peer("64 and 32, deformed, no uncertainty", two, rate, "1/s", "fluidimage", "multi", "tif", amount), 10)
    against("64 and 32, deformed, splines", 2,
            peer("64 and 32, deformed, splines", two, rate, "1/s", "fluidimage", "splines", "tif", amount), 5)
finally:
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)
