# weir-test: label=long timeout=600
"""Ten thousand pairs of 64 x 64 pixels in one run: the memory of the worker after 1000 couples is that at the end, and what a couple costs
beside its vectors (reading, scheduling, a table) is below 0.2 ms. Prints both."""
import os
import re
import subprocess
import sys
import tempfile
import time

from piv_support import SANITIZED, WEIR, success, synth, table

PAIRS, MADE = 10000, 100


def worker_of(directory):
    """The worker's process, of those that know this run."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as environment, open(f"/proc/{name}/cmdline", "rb") as line:
                if f"WEIR_RUN={directory}".encode() in environment.read().split(b"\0") and b"worker" in line.read().split(b"\0"):
                    return int(name)
        except OSError:
            continue
    return None


def resident(pid):
    """Bytes; None: it has gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            found = re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.M)
        return int(found[1]) * 1024 if found else None
    except OSError:
        return None


def couples_in(path):
    try:
        with open(path, "rb") as file:
            return max(0, file.read().count(b"\n") - 1)
    except OSError:
        return 0


def main(folder):
    synth(folder, "made", pairs=MADE, size="64x64", shift="0.5,1.5")
    os.mkdir(os.path.join(folder, "im"))
    for k in range(PAIRS):
        for which in "ab":
            os.link(os.path.join(folder, "made", f"pair_{k % MADE + 1:04}{which}.tif"), os.path.join(folder, "im", f"im{k:05}{which}.tif"))
    process = subprocess.Popen([WEIR, "piv", "im", "-o", "out", "--pictures", "0", "--window", "32,16", "--threads", "1"], cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    samples, pid, csv = [], None, os.path.join(folder, "out", "piv.csv")
    while process.poll() is None:
        pid = pid or worker_of(os.path.join(os.path.realpath(folder), "out", "run"))
        memory = resident(pid) if pid else None
        if memory:
            samples.append((couples_in(csv), memory))
        time.sleep(0.02)
    said = process.communicate()
    assert process.returncode == 0, said
    rows = table(csv)[1]
    assert len(rows) == PAIRS and rows[0][2:] == rows[MADE][2:] == rows[PAIRS - MADE][2:], len(rows)
    at_1000 = next(memory for couples, memory in samples if couples >= 1000)
    late = [memory for couples, memory in samples if 0.8 * PAIRS <= couples < PAIRS]  # ending takes some more
    assert late, samples[-5:]
    print(said[1].splitlines()[0])
    print(f"resident: {at_1000 / 2**20:.2f} MiB after 1000 couples, {max(late) / 2**20:.2f} MiB at the end, {len(samples)} samples")
    assert abs(max(late) - at_1000) <= 0.02 * at_1000, (at_1000, max(late), samples[:: max(1, len(samples) // 20)])
    with open(os.path.join(folder, "t.yaml"), "w") as file:
        file.write("run: t\nstream: {images: im, subset: pairs}\nfields:\n  m: mean(b) - mean(a)\noutputs:\n  - csv: {path: t.csv, fields: [m]}\n")
    best = min(run_time(folder) for _ in range(3))
    print(f"overhead: {best * 1e3 / PAIRS:.3f} ms a couple")
    assert best / PAIRS < 0.2e-3, best


def run_time(folder):
    start = time.monotonic()
    success(folder, "run", "t.yaml", "--threads", "0")
    return time.monotonic() - start


if SANITIZED:
    print("skipped: a sanitizer keeps memory of its own")
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    main(folder)
