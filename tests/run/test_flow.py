# weir-test: timeout=120
"""Operators on images beside `piv`, from files to store: optical flow against displacements that are true, a series against one reference
(background-oriented schlieren), heights from fringes, and an operator of the user's own from image to image. The same bytes on any number of
threads and workers, and with images cut into chunks."""
import os
import shutil
import tempfile

import piv_support as support
from piv_support import SANITIZED, WEIR, Image, digest, np, piv, store, success, synth, weir

FLOW = ["u", "v", "flag", "error", "eigenvalue"]
RELIEF = ["height", "phase", "modulation"]


def run(folder, text, *arguments, out="t"):
    """The stores' arrays of a recipe, by name."""
    with open(os.path.join(folder, out + ".yaml"), "w") as file:
        file.write("run: t\n" + text + f"  - csv: {{path: {out}.csv, fields: [one]}}\n")
    for name in (out + ".run", out + ".zarr"):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    success(folder, "run", out + ".yaml", "--dir", out + ".run", *arguments)
    return store(os.path.join(folder, out + ".zarr"))


def recipe(stream, call, names, out="t"):
    stored = ", ".join("r." + name for name in names)
    return f"{stream}\nfields:\n  r: {call}\n  one: mean(r.{names[0]})\noutputs:\n  - zarr: {{path: {out}.zarr, fields: [{stored}]}}\n"


def settings():
    yield from (("--workers", "1", "--threads", str(threads)) for threads in ((0, 3) if SANITIZED else (0, 1, 3)))
    if support.has_mpi() and not SANITIZED:
        yield from (("--workers", "2", "--threads", "0"), ("--workers", "3", "--threads", "2"))


def same_everywhere(folder, make):
    """Whatever runs it, and however the images are cut."""
    first = None
    for arguments in settings():
        run(folder, make(""), *arguments)
        got = digest(os.path.join(folder, "t.zarr"))
        first = first or got
        assert got == first, (arguments, [name for name in first if got.get(name) != first[name]])
    whole = store(os.path.join(folder, "t.zarr"))
    cut = run(folder, make("chunks: {y: 70, x: 100}"))
    for name, values in whole.items():
        assert np.array_equal(cut[name], values, equal_nan=values.dtype.kind == "f"), name
    return {name.removeprefix("r."): values for name, values in whole.items()}


def at_start(folder, name, y, x):
    """Displacement of what is at y, x in the first image: truth is told for the place half way."""
    d = support.truth(os.path.join(folder, name + ".csv"), y, x)
    if not any(np.ptp(part) for part in d):
        return d
    with open(os.path.join(folder, name + ".csv")) as file:
        rows = dict(line.strip().split(",", 1) for line in file if line.count(",") == 1)
    value = {key: float(rows[key]) for key in ("gradient", "radius", "centre_y", "centre_x")}
    at_y, at_x = np.meshgrid(y, x, indexing="ij")
    dy, dx = d
    for _ in range(50):
        ry, rx = at_y + dy / 2 - value["centre_y"], at_x + dx / 2 - value["centre_x"]
        s = (ry**2 + rx**2) / value["radius"] ** 2
        q = value["gradient"] * -np.expm1(-s) / s
        dy, dx = q * rx, -q * ry
    return dy, dx


def optical_flow(folder):
    cases = [("even", dict(shift="3.4,-6.3"), 0.05), ("far", dict(shift="-1.5,8"), 0.05), ("turn", dict(field="vortex", gradient=0.05), 0.1)]
    for name, options, limit in cases:
        synth(folder, name, pairs=2, size="256x272", **options)
        stream = f"stream:\n  images: {name}\n  subset: pairs\n  "
        make = lambda more: recipe(stream + more, "optical_flow(a, b)", FLOW)
        r = same_everywhere(folder, make) if name == "turn" else {key.removeprefix("r."): v for key, v in run(folder, make("")).items()}
        assert r["u"].shape == (2, 15, 16) and r["flag"].dtype == np.int8, (r["u"].shape, r["flag"].dtype)
        assert r["y"][0] == 15.5 and r["x"][1] - r["x"][0] == 16, (r["y"], r["x"])
        dy, dx = at_start(folder, name, r["y"], r["x"])
        inner = (slice(None), slice(1, -1), slice(1, -1))
        error = np.hypot(r["u"] - dx, r["v"] - dy)[inner]
        print(f"{name}: rms {np.sqrt(np.nanmean(error**2)):.4f} px, {np.mean(r['flag'] != 0):.3f} rejected")
        assert np.mean(r["flag"][inner] == 0) > 0.99 and np.sqrt(np.nanmean(error**2)) < limit, name
        assert np.isnan(r["u"][r["flag"] != 0]).all() and np.isfinite(r["u"][r["flag"] == 0]).all()
        assert (r["error"][r["flag"] == 0] <= 1).all() and set(np.unique(r["flag"])) <= {0, 1, 2, 3, 6, 9}
    # units, velocities, levels, a mask, and no way back
    stream = "stream:\n  images: even\n  subset: pairs\n  pixel: 1e-4\n  up: yes"
    call = "optical_flow(a, b, mask=where(x > 0.015, 1, 0) + 0 * a, dt=1e-2, max_error=0, step=32, window=24)"
    r = {key.removeprefix("r."): value for key, value in run(folder, recipe(stream, call, FLOW)).items()}
    free, hidden = r["x"] < 0.0145, r["x"] > 0.0165
    assert (r["flag"][..., hidden] == 3).all() and np.isnan(r["u"][..., hidden]).all()
    assert (r["flag"][:, 1:-1, free][..., 1:] == 0).all()
    assert np.isnan(r["error"]).all()
    assert abs(np.nanmedian(r["u"]) + 6.3e-2) < 5e-4 and abs(np.nanmedian(r["v"]) + 3.4e-2) < 5e-4, (np.nanmedian(r["u"]), np.nanmedian(r["v"]))
    import zarr
    u = zarr.open(os.path.join(folder, "t.zarr"), "r")["r.u"]
    assert u.attrs["units"] == "m s-1", dict(u.attrs)


def reference(folder):
    """Each image against the first one: the same vectors as its couple gives, from one decoding of the reference."""
    os.mkdir(os.path.join(folder, "dots"))
    moved = []
    for k, shift in enumerate(("0.4,0.1", "-0.7,1.3", "2.2,-0.9")):
        synth(folder, "one", size="128x144", shift=shift, seed=5)
        shutil.copy(os.path.join(folder, "one", "pair_0001b.tif"), os.path.join(folder, "dots", f"d{k}.tif"))
        a = os.path.join(folder, "one", "pair_0001a.tif")
        shutil.copy(a, os.path.join(folder, f"still{k}.tif"))
        moved.append([float(part) for part in shift.split(",")])
        couple = piv(folder, "one", "--window", "32,16", out=f"couple{k}")
        found = piv(folder, f"dots/d{k}.tif", "--reference", f"still{k}.tif", "--window", "32,16")
        for name in support.NAMES:
            assert np.array_equal(couple[name], found[name], equal_nan=True), (k, name)
        shutil.rmtree(os.path.join(folder, "one"))
    # one reference for all, the same bytes wherever it is computed
    Image.fromarray(np.asarray(Image.open(os.path.join(folder, "still0.tif")))).save(os.path.join(folder, "im0000.png"))
    first = None
    for arguments in settings():
        out = piv(folder, "dots", "--reference", "im0000.png", "--pixel", "1e-3", "--up", *arguments)
        got = digest(os.path.join(folder, "out", "piv.zarr"))
        first = first or got
        assert got == first, arguments
    assert list(out["step"]) == [0, 1, 2]
    assert abs(np.median(out["u"][0]) - 1e-4) < 2e-5 and abs(np.median(out["v"][0]) + 4e-4) < 2e-5
    text = open(os.path.join(folder, "out", "piv.yaml")).read()
    assert "reference:" in text and text.count("pixel: 1e-3") == 2 and text.count("up: yes") == 2, text
    done = success(folder, "check", os.path.join("out", "piv.yaml"))
    assert "reference, from its files; static" in done.stdout, done.stdout
    hidden = np.zeros((128, 144), np.uint8)
    hidden[:, 80:] = 255
    Image.fromarray(hidden).save(os.path.join(folder, "wall.png"))
    out = piv(folder, "dots", "--reference", "im0000.png", "--mask", "wall.png")
    assert (out["flag"][..., out["x"] > 100] == 3).all() and (out["flag"][..., out["x"] < 60] != 3).all()
    done = success(folder, "piv", "dots", "--reference", "im0000.png", "--try", "-o", "trial")
    assert "valid" in done.stdout, done.stdout
    # several images, of which none is named as the reference; one that is not there
    os.mkdir(os.path.join(folder, "many"))
    for k in range(2):
        shutil.copy(os.path.join(folder, "im0000.png"), os.path.join(folder, "many", f"im{k}.png"))
    for wrong, said in (("many", "join is missing"), ("nothing.tif", "nothing.tif")):
        done = weir(folder, "piv", "dots", "--reference", wrong, "-o", "bad")
        assert done.returncode == 2 and said in done.stderr, (wrong, done.returncode, done.stderr)


def relief(folder):
    """A hill and a wave under fringes of 8.6 pixels, drawn by numpy."""
    shape, pixel, distance, separation = (200, 260), 5e-4, 1.5, 0.25
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    random, period = np.random.default_rng(8), 8.6 * pixel
    fringes = lambda phase: np.rint(120 + 80 * np.cos(2 * np.pi * x / 8.6 + phase) + random.normal(0, 2, shape)).clip(0, 255).astype(np.uint8)
    os.mkdir(os.path.join(folder, "water"))
    Image.fromarray(fringes(0 * x)).save(os.path.join(folder, "rest.png"))
    heights = []
    for k in range(3):
        h = 6e-3 * np.exp(-((y - 90) ** 2 + (x - 100 - 15 * k) ** 2) / 2500) + 1e-3 * np.sin((x - 9 * k) / 14)
        Image.fromarray(fringes(-2 * np.pi * separation / period * h / (distance - h))).save(os.path.join(folder, "water", f"w{k}.png"))
        heights.append(h)
    call = f"fourier_profilometry(water.image, rest.image, distance={distance}, separation={separation})"
    make = lambda more: recipe(f"streams:\n  water:\n    images: water\n    pixel: {pixel}\n    {more}\n  rest: {{images: rest.png, pixel: {pixel}}}", call, RELIEF)
    r = same_everywhere(folder, make)
    error = (r["height"] - heights)[:, 16:-16, 16:-16]
    print(f"height: rms {np.sqrt(np.mean(error**2)) * 1e6:.1f} um of {np.ptp(heights) * 1e3:.1f} mm")
    assert np.sqrt(np.mean(error**2)) < 5e-5 and abs(r["modulation"][:, 20:-20, 20:-20].mean() - 80) < 1
    with open(os.path.join(folder, "t.yaml"), "w") as file:
        file.write("run: t\n" + recipe("stream: {images: water}", "fourier_profilometry(image, image, distance=1, separation=1)", RELIEF))
    done = weir(folder, "check", "t.yaml")
    assert done.returncode == 2 and "period is missing" in done.stderr, done.stderr


def own_operator(folder):
    """keep_above of examples/my_operators.c, on images, then velocimetry on what it gives."""
    shutil.copy(os.path.join(os.environ["WEIR_BUILD"], "bin", "my_operators.so"), folder)
    synth(folder, "own", pairs=3, size="96x112", shift="1,2", noise=3)
    text = ("stream: {images: own, subset: pairs, chunks: {y: 40}}\noperators: [my_operators.so]\nfields:\n  clean_a: keep_above(a, level=20)\n"
            "  clean_b: keep_above(b, level=20)\n  flow: piv(clean_a, clean_b, window=32)\n  one: rms(clean_a)\n"
            "outputs:\n  - zarr: {path: t.zarr, fields: [clean_a, flow.u]}\n")
    found = run(folder, text, "--threads", "2")
    for k in range(3):
        image = np.asarray(Image.open(os.path.join(folder, "own", f"pair_{k + 1:04}a.tif")))
        assert np.array_equal(found["clean_a"][k], np.where(image >= 20, image, 0)), k
    assert np.any(found["clean_a"] == 0) and abs(np.median(found["flow.u"]) - 2) < 0.05
    rows = support.table(os.path.join(folder, "t.csv"))[1]
    expected = [np.sqrt(np.mean(image.astype(float) ** 2)) for image in found["clean_a"]]
    assert np.allclose([row[2] for row in rows], expected, rtol=1e-12), (rows, expected)


assert os.path.exists(WEIR)
for part in (optical_flow, reference, relief, own_operator):
    with tempfile.TemporaryDirectory() as folder:
        part(folder)
