# weir-test: timeout=150
"""Velocimetry from files to store and table. The same bytes on any number of threads and workers, and with images cut into chunks;
missing and damaged images harm the couples that use them and no other; a run killed at any moment goes on to the same bytes; masks, units,
coordinates, windows of any shape, types of images; and what is refused, with one message."""
import json
import os
import shutil
import subprocess
import tempfile
import time

import piv_support as support
from piv_support import NAMES, SANITIZED, WEIR, Image, digest, np, piv, store, success, synth, table, weir

COUNT = 32
random = np.random.default_rng(20)


def same_vectors(first, second, what):
    for name in NAMES:
        assert np.array_equal(first[name], second[name], equal_nan=True), (what, name)


def images_of(folder, name, which="ab", pair=1):
    return [np.asarray(Image.open(os.path.join(folder, name, f"pair_{pair:04}{c}.tif"))) for c in which]


def write_recipe(folder, fields, stored, stream="images: im\n  subset: pairs", call="piv(a, b)", out="t", extra=""):
    """A recipe t.yaml that stores fields of `flow` (and others) in t.zarr."""
    text = f"run: t\nstream:\n  {stream}\nfields:\n" + "".join(f"  {key}: {value}\n" for key, value in fields.items())
    text += f"  flow: {call}\n" + extra + f"outputs:\n  - zarr: {{path: {out}.zarr, fields: [{', '.join(stored)}]}}\n"
    with open(os.path.join(folder, out + ".yaml"), "w") as file:
        file.write(text)


def run_recipe(folder, *arguments, out="t", status=0):
    for name in (out + ".run", out + ".zarr"):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    done = weir(folder, "run", out + ".yaml", "--dir", out + ".run", *arguments)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    found = store(os.path.join(folder, out + ".zarr")) if status != 2 else None
    return done, {key.removeprefix("flow."): value for key, value in found.items()} if found else None


def results(folder, out="out"):
    top = os.path.join(folder, out)
    pictures = [os.path.join(top, name) for name in sorted(os.listdir(top)) if name.endswith(".png")]
    return digest(os.path.join(top, "piv.zarr"), os.path.join(top, "piv.csv"), *pictures)


def placements(folder):
    synth(folder, "im", pairs=6, size="256x272", field="vortex", gradient=0.1, noise=4, loss=0.1)
    settings = [(1, threads) for threads in range(4)]
    settings += [(2, 0), (2, 2), (3, 1), (3, 3)] if support.has_mpi() else []
    first = None
    for workers, threads in settings[: 5 if SANITIZED else None]:
        piv(folder, "im", "--workers", workers, "--threads", threads)
        got = results(folder)
        first = first or got
        assert got == first, (workers, threads, [name for name in first if got.get(name) != first[name]])
    assert sum("/u/" in name for name in first) >= 1 and "piv.csv" in first, sorted(first)
    whole = store(os.path.join(folder, "out", "piv.zarr"))
    quintic = None
    for workers, threads in settings[::3]:
        piv(folder, "im", "--interpolation", "quintic", "--workers", workers, "--threads", threads, out="five")
        got = results(folder, "five")
        quintic = quintic or got
        assert got == quintic, (workers, threads, [name for name in quintic if got.get(name) != quintic[name]])
    found = store(os.path.join(folder, "five", "piv.zarr"))
    assert not np.array_equal(found["u"], whole["u"]) and np.nanmedian(np.abs(found["u"] - whole["u"])) < 0.02
    stored = ["flow." + name for name in NAMES]
    for chunks in ("y: 256", "y: 100, x: 70"):
        write_recipe(folder, {}, stored, stream=f"images: im\n  subset: pairs\n  chunks: {{{chunks}}}")
        for threads in (0, 3):
            same_vectors(whole, run_recipe(folder, "--threads", str(threads))[1], (chunks, threads))


def faults(folder):
    """A series im0000 .. im0031, couples i, i + 1."""
    os.mkdir(os.path.join(folder, "im"))
    synth(folder, "made", pairs=COUNT // 2, size="96x128", shift="0.6,1.7")
    for k in range(COUNT):
        os.replace(os.path.join(folder, "made", f"pair_{k // 2 + 1:04}{'ab'[k % 2]}.tif"), os.path.join(folder, "im", f"im{k:04}.tif"))
    whole = piv(folder, "im", "--window", "32,16")
    assert len(whole["u"]) == COUNT - 1
    assert abs(np.median(whole["u"][::2]) - 1.7) < 0.02 and abs(np.median(whole["v"][::2]) - 0.6) < 0.02
    path = lambda k: os.path.join(folder, "im", f"im{k:04}.tif")
    os.remove(path(4))
    with open(path(11), "wb") as file:
        file.write(b"II*\0\x08\0\0")
    os.truncate(path(18), os.path.getsize(path(18)) // 2)
    Image.fromarray(np.zeros((96, 120), np.uint8)).save(path(25))
    bad = {4: "no such file", 11: "", 18: "", 25: "96 x 120"}
    lost = {i for k in bad for i in (k - 1, k)}
    for workers, threads in ((1, 0), (1, 2), (2, 1)) if support.has_mpi() else ((1, 0), (1, 2)):
        shutil.rmtree(os.path.join(folder, "out"))
        done = weir(folder, "piv", "im", "-o", "out", "--pictures", 0, "--window", "32,16", "--workers", workers, "--threads", threads)
        assert done.returncode == 1, (workers, threads, done.returncode, done.stderr)
        found = store(os.path.join(folder, "out", "piv.zarr"))
        assert list(found["step"]) == list(range(COUNT - 1)), found["step"]
        for name in NAMES:
            for i in range(COUNT - 1):
                if i in lost:
                    missing = found[name][i] == -1 if name in ("flag", "replaced") else np.isnan(found[name][i])
                    assert missing.all(), (workers, threads, name, i)
                else:
                    assert np.array_equal(found[name][i], whole[name][i], equal_nan=True), (workers, threads, name, i)
        _, rows = table(os.path.join(folder, "out", "piv.csv"))
        assert [row[0] for row in rows] == list(range(COUNT - 1)) and {int(row[0]) for row in rows if row[2] is None} == lost, rows
        with open(os.path.join(folder, "out", "run", "report.json")) as file:
            listed = {(entry["from"], entry["why"]) for entry in json.load(file)["missing"]}
        assert {i for i, _ in listed} == lost, listed
        for k, part in bad.items():
            for i in (k - 1, k):
                causes = [why for at, why in listed if at == i]
                assert len(causes) == 1 and f"im{k:04}.tif" in causes[0] and part in causes[0], (k, causes)
                assert f"missing    step {i}: {causes[0]}" in done.stderr, (k, done.stderr)


def killed(folder):
    """At least four of five kills must come amidst the run, and one of these after a checkpoint."""
    pairs = 24 if SANITIZED else 120
    synth(folder, "im", pairs=pairs, size="256x256", field="vortex", gradient=0.08, radius=24, noise=3)
    options = ["--pictures", pairs // 4, "--threads", 1]
    start = time.monotonic()
    success(folder, "piv", "im", "-o", "whole", *options)
    lasts = time.monotonic() - start
    expected = results(folder, "whole")
    amidst, resumed = 0, 0
    for trial in range(5):
        workers = 2 if trial % 2 and support.has_mpi() else 1
        for _ in range(4):
            shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
            with open(os.path.join(folder, "log"), "w") as log:
                process = subprocess.Popen([WEIR, "piv", "im", "-o", "out", *map(str, options), "--workers", str(workers)], cwd=folder,
                                           stdout=log, stderr=log)
            time.sleep(lasts * random.uniform(0.15, 0.8))
            alive = process.poll() is None
            support.kill_run(process, os.path.join(folder, "out", "run"))
            if alive:
                break
        amidst += alive
        done = weir(folder, "piv", "im", "-o", "out", *options, "--workers", workers, "--resume")
        if done.returncode == 2 and "no run to resume" in done.stderr: # killed before there was one
            done = weir(folder, "piv", "im", "-o", "out", *options, "--workers", workers)
        else:
            resumed += alive
        assert done.returncode == 0, (trial, done.stdout, done.stderr)
        got = results(folder)
        assert got == expected, (trial, workers, [name for name in {**got, **expected} if got.get(name) != expected.get(name)])
    assert amidst >= 4 and resumed >= 1, (amidst, resumed)
    print(f"    a run of {lasts:.1f} s, killed amidst {amidst} times, gone on with {resumed} times")


def only_write(folder):
    """The recipe alone, which gives what the run gives."""
    synth(folder, "im", size="128x128")
    done = success(folder, "piv", "im", "-o", "w", "--write", "--window", "32,16", "--overlap", "0.5,0.75", "--search", "8,2", "--smooth", "last",
                   "--pictures", 0)
    assert done.stdout == "w/piv.yaml\n" and os.listdir(os.path.join(folder, "w")) == ["piv.yaml"], (done.stdout, os.listdir(folder))
    text = open(os.path.join(folder, "w", "piv.yaml")).read()
    assert "piv(a, b, window=[32,16], overlap=[0.5,0.75], search=[8,2], smooth=last)" in text and "plot" not in text, text
    success(folder, "check", "w/piv.yaml")
    success(folder, "run", "w/piv.yaml", "--dir", "w/run")
    piv(folder, "im", "--window", "32,16", "--overlap", "0.5,0.75", "--search", "8,2", "--smooth", "last")
    assert digest(os.path.join(folder, "w", "piv.zarr")) == digest(os.path.join(folder, "out", "piv.zarr"))


def masks(folder):
    """Regions made by an expression: of a third image, and of the first one itself, where a wall is white."""
    synth(folder, "made", size="160x192", shift="0.5,2.25")
    a, b = images_of(folder, "made")
    os.mkdir(os.path.join(folder, "im"))
    hidden = np.zeros(a.shape, bool)
    hidden[:, 128:] = True
    third = np.where(hidden, 255, 0).astype(np.uint8)
    for k, image in enumerate((a, b, third)):
        Image.fromarray(image).save(os.path.join(folder, "im", f"im{k}.tif"))
    stored = ["flow." + name for name in NAMES]
    stream = "images: im\n  subset: 'i:i+3'\n  names: [a, b, shade]"
    settings = "window=32" # a single pass: what is not masked must not change at all
    write_recipe(folder, {}, stored, stream, f"piv(a, b, {settings})")
    plain = run_recipe(folder)[1]
    write_recipe(folder, {}, stored, stream, f"piv(a, b, mask=shade > 250, {settings}, median=0)")
    masked = run_recipe(folder)[1]
    write_recipe(folder, {}, stored, stream, f"piv(a, b, {settings}, median=0)")
    open_ = run_recipe(folder)[1]
    centre = plain["x"]
    part = np.clip((centre + 16 - 127.5) / 32, 0, 1) # of each window
    assert (part > 0.5).any() and (part == 0).any() and ((part > 0) & (part <= 0.5)).any(), part
    under, free = part > 0.5, part == 0
    assert (masked["flag"][..., under] == 3).all() and (masked["replaced"][..., under] == 3).all()
    assert (masked["flag"][..., ~under] != 3).all()
    for name in ("u", "v"):
        assert np.isnan(masked[name][..., under]).all() and np.isfinite(masked[name][..., ~under]).all(), name
    for name in NAMES: # neighbouring windows share a transform, so that the last bit may differ
        assert np.allclose(masked[name][..., free], open_[name][..., free], rtol=1e-5, atol=2e-6, equal_nan=True), name
    # a wall that stands still and shines pulls vectors beside it to 0 unless it is masked
    wall = [np.where(hidden, 255, np.minimum(image, 250)).astype(np.uint8) for image in (a, b)]
    for k, image in enumerate((*wall, third)):
        Image.fromarray(image).save(os.path.join(folder, "im", f"im{k}.tif"))
    for mask, flagged in (("", False), (", mask=a > 250", True)):
        write_recipe(folder, {}, stored, stream, f"piv(a, b{mask})")
        found = run_recipe(folder)[1]
        assert (found["flag"][..., found["x"] > 140] == 3).all() == flagged, mask
        near = (found["x"] > 112) & (found["x"] <= 127.5)
        error = np.nanmax(np.hypot(found["u"] - 2.25, found["v"] - 0.5)[:, 1:-1][..., near])
        assert (error < 0.25) == flagged, (mask, error)


def units(folder):
    """Coordinates in m, velocities in m s-1, v with the sign that `up` says; numbers exact up to one rounding of float32."""
    synth(folder, "im", size="144x176", shift="0.75,-1.5")
    pixel, dt = 5e-5, 2e-3
    plain = piv(folder, "im", "--window", "32,16")
    attributes = lambda name: json.load(open(os.path.join(folder, "out", "piv.zarr", name, ".zattrs")))
    assert [attributes(name)["units"] for name in ("u", "v", "x", "y", "uncertainty_u")] == ["pixel"] * 5
    assert abs(np.median(plain["u"]) + 1.5) < 0.02 and abs(np.median(plain["v"]) - 0.75) < 0.02
    for options, units_, scale, sign in ((["--dt", dt, "--pixel", pixel, "--up"], "m s-1", pixel / dt, -1), (["--pixel", pixel], "m", pixel, 1),
                                         (["--dt", dt], "pixel s-1", 1 / dt, 1), (["--pixel", pixel, "--up"], "m", pixel, -1)):
        found = piv(folder, "im", "--window", "32,16", *options)
        for name in ("u", "v", "uncertainty_u", "uncertainty_v"):
            assert attributes(name)["units"] == units_, (options, name, attributes(name))
        metres = pixel if "--pixel" in options else 1
        assert attributes("x")["units"] == attributes("y")["units"] == ("m" if "--pixel" in options else "pixel")
        for got, expected in ((found["u"], plain["u"] * scale), (found["v"], sign * plain["v"] * scale),
                              (found["uncertainty_v"], plain["uncertainty_v"] * scale)):
            assert np.allclose(got, expected, rtol=3e-7, atol=0, equal_nan=True), (options, abs(got / expected - 1).max())
        assert np.allclose(found["x"], plain["x"] * metres, rtol=1e-12, atol=0), (options, found["x"])
        height = 144 - 1 if sign < 0 else 0
        assert np.allclose(found["y"], sign * (plain["y"] - height) * metres, rtol=1e-12, atol=1e-18), (options, found["y"])
        for name in ("flag", "replaced", "correlation", "peak_ratio"):
            assert np.array_equal(found[name], plain[name], equal_nan=True), (options, name)


def windows(folder):
    """Vectors stand in the middle of their windows, which are spread evenly, in every shape."""
    synth(folder, "im", size="150x190", shift="-1.25,2.5", seed=4)
    stored = ["flow." + name for name in NAMES]
    for call, height, width, overlap in (("window=33", 33, 33, 0.5), ("window=[64, 31], window_y=[48, 17]", 17, 31, 0.5),
                                         ("window=[48, 24], window_y=[32, 32], overlap=[0.5, 0.75]", 32, 24, 0.75),
                                         ("window=[32, 20], overlap=0", 20, 20, 0), ("window=150", 150, 150, 0.5)):
        write_recipe(folder, {}, stored, call=f"piv(a, b, {call})")
        found = run_recipe(folder)[1]
        for axis, size, window in (("y", 150, height), ("x", 190, width)):
            step = max(1, int(window * (1 - overlap) + 0.5))
            count, left = (size - window) // step + 1, (size - window) % step
            assert np.array_equal(found[axis], left // 2 + (window - 1) / 2 + step * np.arange(count)), (call, axis, found[axis])
        error = np.hypot(found["u"] - 2.5, found["v"] + 1.25)
        assert np.median(error) < 0.05 and error.max() < 0.6, (call, np.median(error), error.max())


def types(folder):
    """Counts are counts, in 8, 16 or 32 bits."""
    synth(folder, "im", size="128x160", noise=3, loss=0.1)
    whole = piv(folder, "im")
    for dtype in (np.uint16, np.float32):
        for which, image in zip("ab", images_of(folder, "im")):
            Image.fromarray(image.astype(dtype)).save(os.path.join(folder, "im", f"pair_0001{which}.tif"))
        same_vectors(whole, piv(folder, "im"), dtype)


def refused(folder):
    """One message that says where and what was expected; status 2."""
    synth(folder, "im", size="128x160")
    synth(folder, "small", size="128x144")
    for options, parts in ((["--window", "256"], ("out/piv.yaml:", "a window of 256 pixels along y is larger than the image, which has 128")),
                           (["--overlap", "1"], ("out/piv.yaml:", "overlap", "0 to 0.99")),
                           (["--search", "32"], ("out/piv.yaml:", "searches up to 32 pixels, expected 1 to 31 in a window of 64")),
                           (["--window", "32.5"], ("out/piv.yaml:", "window is 32.5, expected a whole number")),
                           (["--window", "2"], ("out/piv.yaml:", "window", "4 to 1024")), (["--dt", "-1"], ("out/piv.yaml:", "dt")),
                           (["--window", "32,,16"], ("--window", "no number")), (["--smooth", "yes"], ("--smooth", "no, last or all")),
                           (["--pixel", "0"], ("out/piv.yaml:", "pixel")), (["--nothing"], ("unknown option --nothing",))):
        done = weir(folder, "piv", "im", "-o", "out", *options)
        assert done.returncode == 2 and not done.stdout, (options, done.returncode, done.stdout, done.stderr)
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and all(part in lines[0] for part in parts), (options, lines)
        if ".yaml" in lines[0]:
            where = lines[0].split("piv.yaml:")[1].split(": ")[0].split(":")
            assert len(where) == 2 and all(number.isdigit() for number in where), lines
    for call, part in (("piv(wide.a, wide.b, u_limits=[3, 1])", "u_limits: expected two numbers in increasing order"),
                       ("piv(wide.a, wide.b, nonsense=3)", "nonsense"), ("piv(wide.a, wide.b, refine=slow)", "expected one of fft, direct"),
                       ("piv(wide.a)", "piv needs 2 fields"), ("piv(wide.a, mean(wide.b))", "shape"),
                       ("piv(wide.a, small.b)", "the second image has another shape than the first image, expected 128 x 160"),
                       ("piv(wide.a, wide.b, mask=small.a)", "the mask has another shape than the first image, expected 128 x 160")):
        with open(os.path.join(folder, "t.yaml"), "w") as file:
            file.write("run: t\nstreams:\n  wide: {images: im, subset: pairs}\n  small: {images: small, subset: pairs, join: {step: last}}\n"
                       f"fields:\n  flow: {call}\noutputs:\n  - csv: {{path: t.csv, fields: [mean(flow.u)]}}\n")
        for command in ("check", "run"):
            done = weir(folder, command, "t.yaml")
            lines = done.stderr.splitlines()
            assert done.returncode == 2 and len(lines) == 1, (call, command, done.returncode, done.stdout, done.stderr)
            assert lines[0].startswith("weir: t.yaml:6:") and part in lines[0], (call, lines)


for test in (placements, faults, killed, only_write, masks, units, windows, types, refused):
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        test(folder)
        print(f"{test.__name__}: {time.monotonic() - start:.1f} s")
