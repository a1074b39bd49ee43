# weir-test: timeout=120
#
# Workers share the steps of a series out: every step is done by one of them, more than one takes part, and one that is stopped for a while
# holds up nobody for longer; the outputs (chunks, tables, means over time, pictures), and what is said of images that cannot be read, are
# those of one worker.
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

import piv_support as support

WEIR = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
COUNT = 25
RECIPE = """run: test
stream: {images: im, subset: pairs%s}
execution: {threads: %d, share: %s, steps_in_flight: %d}
fields:
  d: gaussian(b - a, sigma=2)
  level: mean(d)
  rows: mean(d, x)
  usual: time_mean(d)
  before: lag(level, 1)
  change: level - before
  shadow: min(gaussian(a, sigma=1) + usual)
outputs:
  - zarr: {path: out.zarr, fields: [d, rows, usual, level]}
  - csv: {path: t.csv, fields: [level, change, shadow]}
  - csv: {path: third.csv, fields: [level], every: 3}
  - plot: {field: d, path: "out/{step:04}.png", every: 5}
"""


def series(folder):
    random = np.random.default_rng(3)
    os.mkdir(os.path.join(folder, "im"))
    for k in range(2 * COUNT):
        image = random.integers(0, 255, (60, 72), dtype=np.uint8)
        Image.fromarray(image).save(os.path.join(folder, "im", f"im{k // 2:03}{'ab'[k % 2]}.tif"))
    with open(os.path.join(folder, "im", "im007b.tif"), "r+b") as file:
        file.truncate(7)


def write(folder, threads=0, share="steps", flight=2, more=""):
    with open(os.path.join(folder, "test.yaml"), "w", encoding="utf-8") as file:
        file.write(RECIPE % (more, threads, share, flight))


def run(folder, workers):
    for name in ("out", "out.zarr", "test.run"):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    return subprocess.run([WEIR, "run", "test.yaml", "--workers", str(workers)], cwd=folder, capture_output=True, text=True)


def results(folder):
    found = {}
    for name in ("out.zarr", "out", "t.csv", "third.csv"):
        top = os.path.join(folder, name)
        for path in [top] if os.path.isfile(top) else [os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs]:
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def report(folder):
    with open(os.path.join(folder, "test.run", "report.json"), encoding="utf-8") as file:
        return json.load(file)


def same_results(folder):
    series(folder)
    write(folder)
    done = run(folder, 1)
    assert done.returncode == 1 and "im007b.tif" in done.stderr, done.stderr
    expected, missing = results(folder), report(folder)["missing"]
    assert len(expected) > 3 * COUNT and missing, (len(expected), missing)
    parts = set()
    for workers, threads, share, flight, more in ((2, 0, "steps", 2, ""), (3, 1, "steps", 1, ""), (4, 0, "steps", 3, ", chunks: {y: 25}"),
                                                  (3, 0, "chunks", 2, "")):
        write(folder, threads, share, flight, more)
        done = run(folder, workers)
        assert done.returncode == 1, done.stderr
        got = {name: digest for name, digest in results(folder).items() if "chunks" not in more or not name.startswith("out.zarr")}
        wrong = [name for name in got if got[name] != expected.get(name)]
        assert not wrong and len(got) > COUNT // 5, (workers, share, wrong)
        assert report(folder)["missing"] == missing, (missing, report(folder)["missing"])
        claimed = [worker["claimed"] for worker in report(folder)["workers"]]
        assert sum(claimed) == (COUNT if share == "steps" else 0), (share, claimed)
        parts.add(sum(number > 0 for number in claimed))
    assert max(parts) > 1, "one worker did it all"


def stopped_worker(folder):
    """The others do the steps that it would have done, up to those that wait for it."""
    series(folder)
    write(folder, flight=1)
    process = subprocess.Popen([WEIR, "run", "test.yaml", "--workers", "2"], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    victim = None
    while process.poll() is None and victim is None:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    environment = file.read()
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read()
            except OSError:
                continue
            if b"RANK=1" in environment and f"WEIR_RUN={os.path.realpath(folder)}".encode() in environment and b"\0worker\0" in line:
                victim = int(pid)
    if victim is not None and process.poll() is None:
        try:
            os.kill(victim, signal.SIGSTOP)
            time.sleep(1)
            os.kill(victim, signal.SIGCONT)
        except ProcessLookupError:
            pass
    assert process.wait() == 1
    claimed = [worker["claimed"] for worker in report(folder)["workers"]]
    assert sum(claimed) == COUNT, claimed
    got = results(folder)
    run(folder, 1)
    assert got == results(folder)


def words(folder):
    series(folder)
    write(folder, share="rows")
    done = run(folder, 1)
    assert done.returncode == 2 and "share" in done.stderr and "steps" in done.stderr and "chunks" in done.stderr, done.stderr
    write(folder)
    with open(os.path.join(folder, "test.yaml"), encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(folder, "test.yaml"), "w", encoding="utf-8") as file:
        file.write(text.replace("{images: im, subset: pairs}", "{simulation: {}}"))
    done = run(folder, 1)
    assert done.returncode == 2 and "share belongs to a stream of files or images" in done.stderr, done.stderr


if not support.has_mpi():
    print("skipped: one worker only without MPI")
    sys.exit(77)
for test in (same_results, stopped_worker, words):
    with tempfile.TemporaryDirectory() as folder:
        test(folder)
    print("ok", test.__name__)
