# weir-test: timeout=90
"""`fluidimage:` outputs: names, layout and values against the store and the images; couples without a result have no file; the same
bytes on any number of workers and threads and after a kill; what is refused. Files are read with netCDF4, which reads any HDF5 file, and
with h5py and Fluidimage itself where these are installed."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import piv_support as support
from piv_support import SANITIZED, WEIR, digest, np, store, success, synth, weir

try:
    import netCDF4
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)
try:
    import h5py
except ImportError:
    h5py = None
try:
    from fluidimage.data_objects.piv import HeavyPIVResults, MultipassPIVResults
    from fluidimage.postproc.vector_field import VectorFieldOnGrid
except ImportError:
    HeavyPIVResults = None

RESULTS = ["u", "v", "correlation", "flag", "replaced"]
CODES = {1: 1, 2: 255, 3: 255, 4: 2, 5: 255, 6: 3, 7: 4, 8: 4} # of flags


def write(folder, output="{path: fi, flow: flow}", call="piv(a, b, window=[32, 16])", stream="images: im\n  subset: pairs", more="", fields=""):
    with open(os.path.join(folder, "t.yaml"), "w") as file:
        file.write(f"run: t\nstream:\n  {stream}\nfields:\n{fields}  flow: {call}\noutputs:\n  - fluidimage: {output}\n"
                   f"  - zarr: {{path: t.zarr, fields: [{', '.join('flow.' + name for name in RESULTS)}]}}\n{more}")


def run(folder, *options, status=0):
    for name in ("r", "fi"):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    done = weir(folder, "run", "t.yaml", "--dir", "r", *options)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done, sorted(os.listdir(os.path.join(folder, "fi")))


def read(path):
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        piv = file["piv0"]
        out = {name: piv[name][:] for name in piv.variables}
        out["errors"] = {name: file["piv0/errors"][name][:] for name in ("keys", "codes")}
        out["wrong"] = [file[f"piv0/{name}_wrong/keys"][:] for name in ("deltaxs", "deltays")]
        out["shape"] = list(file["couple/shape_images"][:])
        out["names"], out["paths"] = eval(file["couple"].names), eval(file["couple"].paths)
        out["params"] = {name: {key: group.getncattr(key) for key in group.ncattrs()} for name, group in file["params"].groups.items()}
        assert (file.class_name, file.module_name, file.nb_passes) == ("MultipassPIVResults", "fluidimage.data_objects.piv", 1)
        assert file.Conventions == "fluidimage.data_objects.piv.MultipassPIVResults v1"
        assert piv.class_name == "HeavyPIVResults" and file["params/piv0/grid"].overlap == 0.5
    return out


def others(path, got):
    """What readers in Python see of the same file."""
    if h5py:
        with h5py.File(path) as file:
            assert file.attrs["class_name"] == "MultipassPIVResults" and np.array_equal(file["piv0/deltaxs"][:], got["deltaxs"], equal_nan=True)
            assert len(file["piv0/errors/values"]) == len(got["errors"]["keys"]) and file["piv0/errors/values"].dtype.kind == "S"
    if HeavyPIVResults:
        heavy, all_ = HeavyPIVResults(str_path=path), MultipassPIVResults(str_path=path)
        for name in ("xs", "ys", "deltaxs", "deltays", "deltaxs_final", "deltays_final", "correls_max", "ixvecs_final", "iyvecs_final"):
            assert np.array_equal(getattr(heavy, name), got[name], equal_nan=True) and getattr(heavy, name).dtype == np.float32, name
        assert list(heavy.errors) == list(got["errors"]["keys"]) and heavy.couple.names == got["names"]
        assert set(heavy.deltaxs_wrong) == set(heavy.errors) and len(all_.passes) == 1 and list(heavy.couple.shape_images) == got["shape"]
        grid, columns = VectorFieldOnGrid.from_file(path), len(np.unique(got["xs"]))
        assert np.array_equal(grid.vx, got["deltaxs_final"].reshape(-1, columns), equal_nan=True)
        assert [image.shape for image in heavy.get_images()] == [tuple(got["shape"])] * 2


def check(folder, name, k, images, scale=(1, 1), window=(16, 16), shape=(128, 160)):
    """File `name` has what time level k of the store has; scale: units of v and u per pixel."""
    true = {key.removeprefix("flow."): value for key, value in store(os.path.join(folder, "t.zarr")).items()}
    path = os.path.join(folder, "fi", name)
    got = read(path)
    u, v, flag, replaced = (true[key][k].ravel() for key in ("u", "v", "flag", "replaced"))
    columns, lost = true["u"].shape[2], np.isin(replaced, (2, 3))
    for key, value in (("deltaxs_final", u / scale[1]), ("deltays_final", v / scale[0])):
        assert got[key].dtype == np.float32 and np.allclose(got[key], value, rtol=3e-7, atol=0, equal_nan=True), (name, key)
        assert np.array_equal(got[key.removesuffix("_final")], np.where(lost, np.float32(np.nan), got[key]), equal_nan=True), (name, key)
    assert np.array_equal(got["correls_max"], true["correlation"][k].ravel(), equal_nan=True)
    x, y = got["xs"].reshape(-1, columns), got["ys"].reshape(-1, columns)
    assert (np.diff(x, axis=0) == 0).all() and (np.diff(y, axis=1) == 0).all() and (np.diff(y[:, 0]) > 0).all()
    assert np.array_equal(got["xs"], got["ixvecs_final"]) and np.array_equal(got["ys"], got["iyvecs_final"])
    for axis, n, size in ((y[:, 0], shape[0], window[0]), (x[0], shape[1], window[1])): # as much is left at the end as at the beginning
        assert abs(axis[0] + axis[-1] - (n - 1)) <= 1 and (axis[0] - (size - 1) / 2) % 1 == 0 and (np.diff(axis) == size / 2).all(), axis
    errors = got["errors"]
    assert np.array_equal(errors["keys"], np.nonzero(lost)[0]) and list(errors["codes"]) == [CODES[f] for f in flag[lost]]
    assert all(np.array_equal(keys, errors["keys"]) for keys in got["wrong"])
    begins = {1: "Correlation peak touching", 2: "correl < correl_min", 3: "delta2 < displacement_max2", 4: "diff neighbour too large"}
    with open(path, "rb") as file:
        text = file.read() # netCDF4 does not read texts of one length
    for code, begin in begins.items():
        assert text.count(begin.encode()) == (errors["codes"] == code).sum(), (code, begin)
    assert got["names"] == images and got["shape"] == list(shape), (got["names"], got["shape"])
    assert got["paths"] == tuple(os.path.realpath(os.path.join(folder, "im", image)) for image in images)
    others(path, got)
    return got


def values(folder):
    """In units with y upwards, and in pixels; with vectors that are rejected in each way that there is."""
    synth(folder, "im", pairs=5, size="128x160", field="vortex", noise=20, loss=0.3)
    os.remove(os.path.join(folder, "im", "pair_0003b.tif"))
    names = [f"piv_{k:04}ab.h5" for k in (1, 2, 4, 5)]
    call = "piv(a, b, dt=0.5, window=[32, 16], min_correlation=0.5, min_ratio=1.3, max_length=0.25, median=1.5, neighbours=2, second=no)"
    write(folder, call=call, stream="images: im\n  subset: pairs\n  pixel: 1e-3\n  up: yes")
    done, found = run(folder, status=1)
    assert found == names and "pair_0003b.tif" in done.stderr, (found, done.stderr)
    codes = set()
    for k, name in zip((0, 1, 3, 4), names):
        got = check(folder, name, k, tuple(f"pair_{k + 1:04}{c}.tif" for c in "ab"), scale=(-2e-3, 2e-3))
        codes |= set(got["errors"]["codes"])
        own = got["params"]["weir"]
        assert (own["passes"], own["dt"], own["unit_x"], own["unit_y"]) == (2, 0.5, 2e-3, -2e-3), own
        fix = got["params"]["fix"]
        assert (fix["correl_min"], fix["displacement_max"], fix["threshold_diff_neighbour"]) == (0.5, 0.25, 2), fix
        assert got["params"]["piv0"]["shape_crop_im0"] == 16 and got["params"]["series"]["str_subset"] == "i, 0:2", got["params"]
    assert len(codes) >= 3, codes
    write(folder, output="{path: fi, flow: flow, every: 2}", call="piv(a, b, window=32, window_y=16, fill=no, median=0.5)")
    _, found = run(folder, status=1)
    assert found == ["piv_0002ab.h5", "piv_0004ab.h5"], found
    check(folder, found[1], 3, ("pair_0004a.tif", "pair_0004b.tif"), window=(16, 32))
    assert list(read(os.path.join(folder, "fi", found[0]))["params"]["piv0"]["shape_crop_im0"]) == [16, 32]


def names(folder):
    """As Fluidimage builds them from the indices; quotes in a name."""
    synth(folder, "made", pairs=3, size="64x64")
    made = sorted(os.listdir(os.path.join(folder, "made")))
    for images, subset, wanted in (
        ([f"im{k:02}.tif" for k in range(8, 14)], "i:i+2", [f"piv_{k:02}-{k + 1:02}.h5" for k in range(8, 13)]),
        ([f"im_1_{k}.tif" for k in range(8, 14)], "pairs", [f"piv_1_{k}-{k + 1}.h5" for k in range(8, 13)]),
        ([f"im_{k}_{n}.tif" for k in (1, 2, 3) for n in (0, 1)], "i, 0:2", [f"piv_{k}_0-1.h5" for k in (1, 2, 3)]),
        ([f"it's{k}.tif" for k in range(6)], "i:i+4:3", [f"piv_{k}-{k + 3}.h5" for k in range(3)]),
    ):
        shutil.rmtree(os.path.join(folder, "im"), ignore_errors=True)
        os.mkdir(os.path.join(folder, "im"))
        for source, name in zip(made, images):
            shutil.copy(os.path.join(folder, "made", source), os.path.join(folder, "im", name))
        write(folder, stream=f"images: im\n  subset: '{subset}'", call="piv(a, b, window=32)")
        _, found = run(folder)
        assert sorted(found) == sorted(wanted), (found, wanted)
        distance = 3 if ":3" in subset else 1
        check(folder, wanted[0], 0, (images[0], images[distance]), window=(32, 32), shape=(64, 64))


def placements(folder):
    synth(folder, "im", pairs=6, size="128x160", field="vortex", noise=3, loss=0.1)
    write(folder)
    settings, first = [(1, 1), (1, 0), (1, 3)] + ([(2, 1), (3, 2)] if support.has_mpi() else []), None
    for workers, threads in settings[: 4 if SANITIZED else None]:
        run(folder, "--workers", workers, "--threads", threads)
        got = digest(os.path.join(folder, "fi"))
        first = first or got
        assert got == first and len(got) == 6, (workers, threads)
    with open(os.path.join(folder, "r", "report.json")) as file:
        assert '"fluidimage"' in file.read()


def killed(folder):
    pairs = 16 if SANITIZED else 50
    synth(folder, "im", pairs=pairs, size="256x256", field="vortex", noise=3)
    write(folder, more="checkpoint: {every: 4 steps}\n")
    run(folder, "--threads", 1)
    expected, amidst = digest(os.path.join(folder, "fi")), 0
    assert len(expected) == pairs
    for part in (0.3, 0.6):
        for name in ("r", "fi", "t.zarr"):
            shutil.rmtree(os.path.join(folder, name))
        with open(os.path.join(folder, "log"), "w") as log:
            process = subprocess.Popen([WEIR, "run", "t.yaml", "--dir", "r", "--threads", "1"], cwd=folder, stdout=log, stderr=log)
        there, end = os.path.join(folder, "fi"), time.monotonic() + 40
        while process.poll() is None and time.monotonic() < end and not (os.path.isdir(there) and len(os.listdir(there)) > part * pairs):
            time.sleep(0.002)
        amidst += process.poll() is None
        support.kill_run(process, os.path.join(folder, "r"))
        for name in os.listdir(there):
            if not name.startswith(".part-"):
                read(os.path.join(there, name)) # whole whenever it is looked at
        success(folder, "run", "t.yaml", "--dir", "r", "--threads", 1, "--resume")
        assert digest(there) == expected
    assert amidst >= 1


def refused(folder):
    synth(folder, "im", pairs=2, size="64x64")
    for text, settings in (
        ("flow is missing", {"output": "{path: fi}"}),
        ("path is missing", {"output": "{flow: flow}"}),
        ("flo", {"output": "{path: fi, flow: flo}"}),
        ("expected the name of a field that is piv(...)", {"output": "{path: fi, flow: 'piv(a, b)'}"}),
        ("files are named after couples", {"stream": "images: im\n  subset: all1by1\n  names: [p]", "call": "piv(lag(p, 1), p, window=32)"}),
        ("fields", {"output": "{path: fi, flow: flow, fields: [flow.u]}"}),
    ):
        write(folder, **settings)
        done = weir(folder, "check", "t.yaml")
        assert done.returncode == 2 and text in done.stderr and "t.yaml:" in done.stderr, (text, done.returncode, done.stderr)
    write(folder)
    assert "fluidimage  fi  every step" in success(folder, "check", "t.yaml").stdout
    os.makedirs(os.path.join(folder, "fi", "piv_0001ab.h5", "full")) # it cannot be written
    done = weir(folder, "run", "t.yaml", "--dir", "r")
    assert done.returncode == 1 and "piv_0001ab.h5" in done.stderr and os.path.isfile(os.path.join(folder, "fi", "piv_0002ab.h5")), done.stderr


with tempfile.TemporaryDirectory() as folder:
    synth(folder, "im", pairs=1, size="64x64")
    write(folder)
    done = weir(folder, "check", "t.yaml")
    if "has no HDF5" in done.stderr:
        assert done.returncode == 2 and "libhdf5-dev" in done.stderr
        print("skipped: built without HDF5; it says how to get it")
        sys.exit(77)
for test in (values, names, placements, killed, refused):
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        test(folder)
    print(f"{test.__name__}: {time.monotonic() - begun:.1f} s")
