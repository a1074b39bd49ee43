"""What the tests of velocimetry share: making pairs, running `weir piv`, reading its store, and the displacement that is true."""
import csv
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

try:
    import numpy as np
    import zarr
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

WEIR = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
NAMES = ["u", "v", "correlation", "peak_ratio", "uncertainty_u", "uncertainty_v", "flag", "replaced"]
with open(WEIR, "rb") as program:
    SANITIZED = b"__asan_init" in program.read()


def weir(folder, *arguments):
    return subprocess.run([WEIR, *map(str, arguments)], cwd=folder, capture_output=True, text=True)


def success(folder, *arguments):
    done = weir(folder, *arguments)
    assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def has_mpi():
    return "none" not in next(line for line in weir(".", "version").stdout.splitlines() if "MPI" in line)


def synth(folder, name, pairs=1, **options):
    """Images only, as a series is a folder; truth stands beside: NAME.csv."""
    words = [word for key, value in options.items() for word in ("--" + key, value)]
    success(folder, "synth-piv", "-o", name, "--pairs", pairs, *words)
    os.replace(os.path.join(folder, name, "truth.csv"), os.path.join(folder, name + ".csv"))


def piv(folder, images, *options, out="out"):
    """Arrays by name, [couple, y, x], of a new run."""
    shutil.rmtree(os.path.join(folder, out), ignore_errors=True)
    success(folder, "piv", images, "-o", out, "--pictures", 0, *options)
    return store(os.path.join(folder, out, "piv.zarr"))


def processes_of(run):
    """Those that a run has started, and that are no children of it to kill with its group."""
    wanted, found = f"WEIR_RUN={os.path.realpath(run)}".encode(), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as environment:
                if wanted in environment.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue
    return found


def kill_run(process, run):
    """At once, with all that belongs to the run directory."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20
    while (left := processes_of(run)) and time.monotonic() < end:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    assert not left, left


def store(path):
    group = zarr.open(path, "r")
    return {name: group[name][:] for name in group.array_keys()}


def table(path):
    with open(path) as file:
        rows = list(csv.reader(file))
    return rows[0], [[float(cell) if cell else None for cell in row] for row in rows[1:]]


def digest(*paths):
    """SHA-256 of each file, and of all below each folder."""
    out = {}
    for path in paths:
        names = [path] if os.path.isfile(path) else [os.path.join(top, name) for top, _, files in os.walk(path) for name in files]
        assert names, f"{path} is not there"
        for name in names:
            with open(name, "rb") as file:
                out[os.path.relpath(name, os.path.dirname(path))] = hashlib.sha256(file.read()).hexdigest()
    return out


def formula(text, names):
    """A formula of truth.csv at work: `expression with name = expression`, ^ a power, `2 pi` a product."""
    text, _, more = text.partition(" with ")
    names = dict(names)
    if more:
        name, _, inner = more.partition(" = ")
        names[name] = formula(inner, names)
    text = re.sub(r"(\d) pi\b", r"\1 * pi", text).replace("^", "**")
    return eval(text, {"exp": np.exp, "sin": np.sin, "pi": np.pi, "__builtins__": {}}, names)


def truth(path, y, x):
    """Displacements (dy, dx) at the points of the grid y, x (pixels), from the formulas that stand in the file."""
    with open(path) as file:
        rows = dict(row for row in csv.reader(file) if len(row) == 2)
    names = {key: float(value) for key, value in rows.items() if re.fullmatch(r"[-+.\de]+", value)}
    names["y"], names["x"] = np.meshgrid(y, x, indexing="ij")
    if "q" in rows:
        with np.errstate(invalid="ignore"):
            names["q"] = np.nan_to_num(formula(rows["q"], names), nan=1)  # 0 / 0 in the middle of the vortex
    return tuple(formula(rows[key], names) + 0 * names["y"] for key in ("displacement_y", "displacement_x"))
