# weir-test: timeout=120
"""`vtk:` outputs, read back by a reader of their formats: the values, coordinates and types of the Zarr store; missing values and steps;
the same bytes on any number of workers and threads, and after a kill; a collection that is valid at all times; what is refused.
VTK's own readers are asked as well where they are installed."""
import os
import re
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
import zlib

import piv_support as support
from piv_support import SANITIZED, WEIR, digest, np, store, success, synth, weir

TYPES = {"Float32": "f4", "Float64": "f8", "Int8": "i1", "Int16": "i2", "Int32": "i4", "Int64": "i8", "UInt8": "u1", "UInt16": "u2"}


def read_array(element, data, packed):
    """The array behind an element, as the file format says."""
    dtype = np.dtype("<" + TYPES[element.get("type")])
    if element.get("format") == "ascii":
        return np.array(element.text.split(), dtype)
    at = int(element.get("offset"))
    if not packed:
        length = int(np.frombuffer(data, "<u8", 1, at)[0])
        values = np.frombuffer(data[at + 8:at + 8 + length], dtype)
    else:
        blocks, size, last = (int(x) for x in np.frombuffer(data, "<u8", 3, at))
        sizes = [int(x) for x in np.frombuffer(data, "<u8", blocks, at + 24)]
        at, plain = at + 24 + 8 * blocks, b""
        for k, length in enumerate(sizes):
            part = zlib.decompress(data[at:at + length])
            assert len(part) == (last if last and k == blocks - 1 else size), (k, len(part), size, last)
            plain, at = plain + part, at + length
        values = np.frombuffer(plain, dtype)
    components = int(element.get("NumberOfComponents", 1))
    return values.reshape(-1, components) if components > 1 else values


def read(path):
    """Arrays by name in the shape (z, y, x), coordinates as x, y, z, numbers of the step in `field`, units."""
    with open(path, "rb") as file:
        text = file.read()
    head, _, data = text.partition(b'<AppendedData encoding="raw">\n_')
    assert data.endswith(b"\n</AppendedData>\n</VTKFile>\n"), path
    root = ElementTree.fromstring(head + b"</VTKFile>")
    assert root.get("version") == "1.0" and root.get("byte_order") == "LittleEndian" and root.get("header_type") == "UInt64"
    packed = root.get("compressor") is not None
    assert root.get("compressor") in (None, "vtkZLibDataCompressor")
    grid = root.find(root.get("type"))
    extent = [int(x) for x in grid.get("WholeExtent").split()]
    assert grid.find("Piece").get("Extent") == grid.get("WholeExtent") and extent[::2] == [0, 0, 0]
    points = [n + 1 for n in extent[1::2]]
    if root.get("type") == "ImageData":
        origin, spacing = ([float(x) for x in grid.get(key).split()] for key in ("Origin", "Spacing"))
        assert min(spacing) > 0, spacing
        axes = [o + s * np.arange(n) for o, s, n in zip(origin, spacing, points)]
    else:
        axes = [read_array(a, data, packed) for a in grid.find("Piece").find("Coordinates")]
    arrays, units = {}, {}
    for element in grid.find("Piece").find("PointData"):
        values = read_array(element, data, packed)
        arrays[element.get("Name")] = values.reshape(points[::-1] + list(values.shape[1:]))
        key = element.find("InformationKey")
        units[element.get("Name")] = key.text if key is not None else None
    return {"field": {a.get("Name"): read_array(a, data, packed) for a in grid.find("FieldData")}, "axes": axes, "units": units, **arrays}


def collection(path):
    """[(time, file)], each of which is there and whole."""
    sets = ElementTree.parse(path).getroot().find("Collection")
    out = [(float(s.get("timestep")), os.path.join(os.path.dirname(path), s.get("file"))) for s in sets]
    for at, name in out:
        assert read(name)["field"]["TimeValue"] == [at], (name, at)
    return out


def independent(path, ours):
    try:
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy
    except ImportError:
        return
    reader = vtk.vtkXMLImageDataReader() if path.endswith("vti") else vtk.vtkXMLRectilinearGridReader()
    reader.SetFileName(path)
    reader.Update()
    data = reader.GetOutput().GetPointData()
    assert reader.GetErrorCode() == 0 and data.GetNumberOfArrays() == len(ours["units"]), path
    for name in ours["units"]:
        theirs = vtk_to_numpy(data.GetArray(name))
        assert np.array_equal(theirs, ours[name].reshape(theirs.shape), equal_nan=True), (path, name)


def write(folder, name, outputs, fields="", stream="images: im\n  subset: pairs", more=""):
    with open(os.path.join(folder, name + ".yaml"), "w") as file:
        file.write(f"run: {name}\nstream:\n  {stream}\n")
        if fields:
            file.write("fields:\n" + "".join(f"  {line}\n" for line in fields.split("\n")))
        file.write("outputs:\n" + "".join(f"  - {line}\n" for line in outputs) + more)


def clear(folder, *names):
    for name in names:
        path = os.path.join(folder, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)


PIV = "flow: piv(a, b, window=[32, 16], dt=0.5)\nvort: ddx(flow.v) - ddy(flow.u)"
OUTPUTS = ["zarr: {path: t.zarr, fields: [flow.u, flow.v, flow.flag, vort, mean(flow.u), a]}",
           "vtk: {path: v/t.pvd, fields: [flow.u, flow.flag, vort, mean(flow.u)], vectors: {velocity: [flow.u, flow.v], all: [vort, vort, flow.u]}}",
           "vtk: {path: z.pvd, vectors: {velocity: [flow.u, flow.v]}, codec: zlib, level: 9}",
           "vtk: {path: images.pvd, fields: [a], every: 2, codec: zlib}"]


def values(folder):
    """`up` turns the rows around: VTK wants increasing coordinates. A couple without images has no file."""
    synth(folder, "im", pairs=6, size="128x160", field="vortex", noise=3)
    os.remove(os.path.join(folder, "im", "pair_0003b.tif"))
    write(folder, "t", OUTPUTS, PIV, "images: im\n  subset: pairs\n  pixel: 1e-3\n  up: yes")
    done = weir(folder, "check", "t.yaml")
    assert done.returncode == 0 and "vtk   v/t.pvd  every step: flow.u, flow.flag, vort, mean(flow.u), flow.v" in done.stdout, done.stdout
    done = weir(folder, "run", "t.yaml", "--dir", "r")
    assert done.returncode == 1 and "pair_0003b.tif" in done.stderr, (done.returncode, done.stderr)
    true = store(os.path.join(folder, "t.zarr"))
    levels = collection(os.path.join(folder, "v", "t.pvd"))
    assert [at for at, _ in levels] == [1, 2, 4, 5, 6], levels
    assert sorted(os.listdir(os.path.join(folder, "v", "t"))) == [f"t_{k:06}.vti" for k in (1, 2, 4, 5, 6)]
    assert (np.diff(true["y"]) < 0).all() # or the test would show nothing
    for (at, path), (_, packed) in zip(levels, collection(os.path.join(folder, "z.pvd"))):
        k, got, small = list(true["step"]).index(at), read(path), read(packed)
        independent(path, got), independent(packed, small)
        assert np.allclose(got["axes"][0], true["x"], rtol=1e-14) and np.allclose(got["axes"][1], true["y"][::-1], rtol=1e-14)
        assert got["field"]["step"] == [at] and got["field"]["mean_flow.u"] == [true["mean_flow.u"][k]]
        for name in ("flow.u", "flow.flag", "vort"):
            assert got[name].dtype == true[name].dtype and got[name].shape == (1,) + true[name][k].shape, name
            assert np.array_equal(got[name][0], true[name][k][::-1], equal_nan=True), (path, name)
        assert set(got["units"]) == {"flow.u", "flow.flag", "vort", "velocity", "all"} and got["units"]["velocity"] == "m s-1", got["units"]
        velocity = np.stack([true["flow.u"][k], true["flow.v"][k], 0 * true["flow.u"][k]], -1)[::-1]
        assert np.array_equal(got["velocity"][0], velocity) and np.array_equal(small["velocity"], got["velocity"])
        assert np.array_equal(got["all"][0, ..., 2], got["flow.u"][0]) and set(small["units"]) == {"velocity"}
    levels = collection(os.path.join(folder, "images.pvd"))
    assert [at for at, _ in levels] == [2, 4, 6]
    for at, path in levels:
        assert np.array_equal(read(path)["a"][0], true["a"][int(at) - 1][::-1]) and read(path)["a"].dtype == np.uint8
        independent(path, read(path))


def placements(folder):
    """Also: a new run removes what an older one has left, and nothing else."""
    synth(folder, "im", pairs=6, size="128x160", field="vortex", noise=3)
    write(folder, "t", OUTPUTS[1:], PIV)
    os.makedirs(os.path.join(folder, "v", "t"))
    for name in ("t_000099.vti", ".part-t_000098.vti", "t_000097.vtr", "t_1.vti", "notes.txt"):
        open(os.path.join(folder, "v", "t", name), "w").close()
    settings = [(1, 1), (1, 0), (1, 3)] + ([(2, 1), (3, 2)] if support.has_mpi() else [])
    first = None
    for workers, threads in settings[: 4 if SANITIZED else None]:
        clear(folder, "r")
        success(folder, "run", "t.yaml", "--dir", "r", "--workers", workers, "--threads", threads)
        got = digest(*(os.path.join(folder, name) for name in ("v", "z", "z.pvd", "images", "images.pvd")))
        first = first or got
        assert got == first, (workers, threads)
    assert len(collection(os.path.join(folder, "v", "t.pvd"))) == 6
    assert sorted(os.listdir(os.path.join(folder, "v", "t")))[:3] == ["notes.txt", "t_000001.vti", "t_000002.vti"]
    assert os.path.exists(os.path.join(folder, "v", "t", "t_1.vti"))
    with open(os.path.join(folder, "r", "report.json")) as file:
        assert '"vtk"' in file.read()


def listed(folder):
    """Three dimensions; uneven and falling coordinates; fill values; all the types; a field that does not change."""
    try:
        import netCDF4
    except ImportError as missing:
        print("    skipped:", missing)
        return
    random = np.random.default_rng(3)
    z, y, x = np.array([0, 1, 4, 9.5]), np.array([50, 30, 20, 10, 0.]), np.linspace(0, 1, 7).astype("f4")
    with netCDF4.Dataset(os.path.join(folder, "in.nc"), "w") as file:
        for name, c in (("z", z), ("y", y), ("x", x)):
            file.createDimension(name, len(c))
            file.createVariable(name, c.dtype, (name,))[:] = c
        file.createDimension("time", None)
        file.createVariable("time", "f8", ("time",))[:] = [0, 1.5, 3]
        data = {}
        for name, dtype in (("t", "f8"), ("s", "f4"), ("n", "i2"), ("m", "i4"), ("k", "i8"), ("h", "u2")):
            data[name] = random.integers(0, 100, (3, 4, 5, 7)).astype(dtype)
            variable = file.createVariable(name, dtype, ("time", "z", "y", "x"), fill_value=-9 if dtype[0] != "u" else 65535)
            data[name][:, 1, 2, 3] = -9 if dtype[0] != "u" else 65535
            variable.set_auto_mask(False)
            variable[:] = data[name]
        data["depth"] = random.random((5, 7))
        file.createVariable("depth", "f8", ("y", "x"))[:] = data["depth"]
    stream = "files: in.nc"
    write(folder, "t", ["vtk: {path: t.pvd, fields: [t, s, n, m, k, h], vectors: {w: [t, t, t]}}", "vtk: {path: d.pvd, fields: [depth, \"mean(t, axes=[z])\"]}"], stream=stream)
    success(folder, "run", "t.yaml", "--dir", "r")
    levels = collection(os.path.join(folder, "t.pvd"))
    assert [at for at, _ in levels] == [0, 1.5, 3] and [os.path.basename(p) for _, p in levels] == [f"t_{k:06}.vtr" for k in range(3)]
    for k, (_, path) in enumerate(levels):
        got = read(path)
        independent(path, got)
        assert np.array_equal(got["axes"][2], z) and np.array_equal(got["axes"][1], y[::-1]) and np.allclose(got["axes"][0], x)
        for name in "tsnmkh":
            true = data[name][k][:, ::-1]
            if name in "ts":
                true = np.where(true == -9, np.nan, true)
            assert got[name].dtype == data[name].dtype and np.array_equal(got[name], true, equal_nan=name in "ts"), name
        assert got["w"].shape == (4, 5, 7, 3) and np.array_equal(got["w"][..., 1], got["t"], equal_nan=True)
    for _, path in (levels := collection(os.path.join(folder, "d.pvd"))):
        assert np.array_equal(read(path)["depth"][0], data["depth"][::-1])
    assert len(levels) == 3
    for text, line in (
        ("depth [5, 7] lies on other points than t [4, 5, 7]; one VTK file has one grid", "vtk: {path: t.pvd, fields: [t, depth]}"),
        ("there is no field with dimensions", "vtk: {path: t.pvd, fields: [mean(t)]}"),
        ("s is float32 and t is float64: components of w have one type", "vtk: {path: t.pvd, fields: [t], vectors: {w: [t, s]}}"),
        ("mean_t is a number, the components of w are fields", "vtk: {path: t.pvd, fields: [t], vectors: {w: [t, mean(t)]}}"),
        ("expected a name that ends in .pvd", "vtk: {path: t.vti, fields: [t]}"),
        ("expected a name that ends in .pvd", "vtk: {path: a/.pvd, fields: [t]}"),
        ("codec", "vtk: {path: t.pvd, fields: [t], codec: blosc}"),
        ("level has a meaning with codec: zlib only", "vtk: {path: t.pvd, fields: [t], level: 3}"),
        ("level", "vtk: {path: t.pvd, fields: [t], codec: zlib, level: 10}"),
        ("expected two or three fields, [along x, along y]", "vtk: {path: t.pvd, vectors: {w: [t]}}"),
        ("vectors: expected names and their components", "vtk: {path: t.pvd, vectors: [t, t]}"),
        ("t is given twice", "vtk: {path: t.pvd, fields: [t], vectors: {t: [t, t]}}"),
        ("fields is missing", "vtk: {path: t.pvd}"),
        ("path is missing", "vtk: {fields: [t]}"),
        ("chunks", "vtk: {path: t.pvd, fields: [t], chunks: {x: 2}}"),
    ):
        write(folder, "bad", [line], stream=stream)
        done = weir(folder, "check", "bad.yaml")
        assert done.returncode == 2 and text in done.stderr and "bad.yaml:" in done.stderr, (line, done.returncode, done.stderr)


def failing(folder):
    """A file that cannot be written: that step is left out, the run says so; and the collection that cannot."""
    synth(folder, "im", pairs=4, size="64x64")
    write(folder, "t", ["vtk: {path: t.pvd, fields: [a]}", "csv: {path: t.csv, fields: [mean(a)]}"])
    os.makedirs(os.path.join(folder, "t", "t_000002.vti", "full"))
    done = weir(folder, "run", "t.yaml", "--dir", "r")
    assert done.returncode == 1 and "t_000002.vti" in done.stderr, (done.returncode, done.stderr)
    clear(folder, "t", "r")
    os.makedirs(os.path.join(folder, "t.pvd", "full"))
    done = weir(folder, "run", "t.yaml", "--dir", "r")
    assert done.returncode != 0 and "t.pvd" in done.stderr, (done.returncode, done.stderr)
    clear(folder, "t.pvd", "t", "r")
    write(folder, "t", ["vtk: {path: t.pvd, fields: [a]}", "plot: {field: a, path: 'a_{step}.png'}"], more="on_failure: {t.pvd: disable}\n")
    success(folder, "run", "t.yaml", "--dir", "r")
    assert len(collection(os.path.join(folder, "t.pvd"))) == 4


def killed(folder):
    pairs = 16 if SANITIZED else 60
    synth(folder, "im", pairs=pairs, size="256x256", field="vortex", noise=3)
    write(folder, "t", OUTPUTS[1:], PIV, more="checkpoint: {every: 4 steps}\n")
    results = lambda: digest(*(os.path.join(folder, name) for name in ("v", "z", "z.pvd", "images", "images.pvd")))
    success(folder, "run", "t.yaml", "--dir", "r", "--threads", 1)
    expected, resumed = results(), 0
    assert len(collection(os.path.join(folder, "z.pvd"))) == pairs
    for trial in range(3):
        workers = 2 if trial == 1 and support.has_mpi() else 1
        clear(folder, "r", "v", "z", "z.pvd", "images", "images.pvd")
        with open(os.path.join(folder, "log"), "w") as log:
            process = subprocess.Popen([WEIR, "run", "t.yaml", "--dir", "r", "--threads", "1", "--workers", str(workers)], cwd=folder, stdout=log, stderr=log)
        enough, end = pairs * (trial + 1) // 5, time.monotonic() + 40
        while process.poll() is None and time.monotonic() < end:
            there = os.path.join(folder, "v", "t")
            if os.path.isdir(there) and len(os.listdir(there)) > enough:
                break
            time.sleep(0.002)
        alive = process.poll() is None
        support.kill_run(process, os.path.join(folder, "r"))
        for name in ("v/t.pvd", "z.pvd", "images.pvd"):
            if os.path.exists(os.path.join(folder, name)):
                collection(os.path.join(folder, name)) # valid whenever it is looked at
        done = weir(folder, "run", "t.yaml", "--dir", "r", "--threads", 1, "--workers", workers, "--resume")
        assert done.returncode == 0, (trial, done.stdout, done.stderr)
        resumed += alive
        got = results()
        assert got == expected, (trial, workers, [name for name in {**got, **expected} if got.get(name) != expected.get(name)])
    assert resumed >= 1
    print(f"    killed amidst {resumed} times of 3")


for check in (values, placements, listed, failing, killed):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        check(folder)
    print(f"{check.__name__}: {time.monotonic() - begun:.1f} s")
