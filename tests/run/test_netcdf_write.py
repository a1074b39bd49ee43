#!/usr/bin/python3
# weir-test: timeout=150
"""NetCDF outputs, read back with netCDF4 and xarray: what a Zarr store of the same run holds, variable by variable and attribute by
attribute; the same bytes on any number of threads and workers; with missing images, after a run that failed, after one that was killed and
gone on with; on a full disk, one message and no file. And what is refused."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import piv_support as support
from piv_support import SANITIZED, WEIR, digest, kill_run, np, success, synth, weir

try:
    import netCDF4
    import xarray
    import zarr
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

random = np.random.default_rng(20)
FIELDS = """\
  flow: piv(a, b, window=[32, 16])
  u: flow.u
  flag: flow.flag
  speed: sqrt(flow.u^2 + flow.v^2)
  speed_mean: mean(speed)
  bright: a > 128
  spread: histogram(speed, bins=7, from=0, to=20)
"""


def write(folder, *outputs, stream="images: im\n  subset: pairs", fields=FIELDS, more="", name="t"):
    text = f"run: t\nstream:\n  {stream}\n" + (f"fields:\n{fields}" if fields else "") + more
    text += "outputs:\n" + "".join(f"  - {line}\n" for line in outputs)
    with open(os.path.join(folder, name + ".yaml"), "w") as file:
        file.write(text)


def run(folder, *arguments, status=0, fresh=True):
    for path in ("t.run", "t.zarr", "t.nc.part"):
        if fresh:
            shutil.rmtree(os.path.join(folder, path), ignore_errors=True)
    done = weir(folder, "run", "t.yaml", "--dir", "t.run", *arguments)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else value


def attributes_of(variable):
    """Without those that say how the library stores it."""
    return {name: plain(variable.getncattr(name)) for name in variable.ncattrs() if name != "_FillValue"}


def same(folder, store="t.zarr", file="t.nc", levels=None):
    """All that is in the store is in the file, and nothing else."""
    group = zarr.open_consolidated(os.path.join(folder, store))
    with netCDF4.Dataset(os.path.join(folder, file)) as dataset:
        dataset.set_auto_maskandscale(False)
        assert dataset.data_model == "NETCDF4" and dataset.dimensions["time"].isunlimited()
        assert attributes_of(dataset) == dict(group.attrs), (attributes_of(dataset), dict(group.attrs))
        assert set(dataset.variables) == set(group.array_keys())
        for name, variable in dataset.variables.items():
            array, text = group[name], group[name].dtype.kind == "U"
            given = dict(array.attrs)
            assert list(variable.dimensions) == given.pop("_ARRAY_DIMENSIONS"), name
            assert attributes_of(variable) == given, (name, attributes_of(variable), given)
            assert variable.dtype == (str if text else array.dtype), (name, variable.dtype, array.dtype)
            have, want = np.asarray(variable[:]), array[:]
            assert have.shape == want.shape and (have == want).all() if text else np.array_equal(have, want, equal_nan=want.dtype.kind == "f"), name
            fill = None if text or name in ("time", *dataset.dimensions) else array.fill_value
            found = getattr(variable, "_FillValue", None)
            assert found is fill or found == fill or (np.isnan(found) and np.isnan(fill)), (name, found, fill)
            assert levels is None or "time" not in variable.dimensions or len(have) == levels, (name, len(have))
        return len(dataset.dimensions["time"])


def placements(folder):
    synth(folder, "im", pairs=6, size="160x144", field="vortex", gradient=0.08, radius=24, noise=3)
    stored = "[u, flag, speed, speed_mean, bright, spread]"
    write(folder, f"zarr: {{path: t.zarr, fields: {stored}, chunks: {{y: 7, x: 50}}}}",
          f"netcdf: {{path: t.nc, fields: {stored}, chunks: {{y: 7, x: 50}}, level: 4}}",
          "netcdf: {path: e.nc, fields: [speed_mean, u], every: 4, codec: none, time_chunk: 8}")
    settings = [(1, 1), (1, 0), (1, 3)] + ([(2, 2), (3, 0)] if support.has_mpi() else [])
    first = None
    for workers, threads in settings[: 3 if SANITIZED else None]:
        run(folder, "--workers", workers, "--threads", threads)
        assert same(folder) == 6
        assert not os.path.exists(os.path.join(folder, "t.nc.part")) and not os.path.exists(os.path.join(folder, "e.nc.part"))
        got = digest(*(os.path.join(folder, name) for name in ("t.zarr", "t.nc", "e.nc")))
        first = first or got
        assert got == first, [name for name in got if got[name] != first.get(name)]
    with xarray.open_dataset(os.path.join(folder, "t.nc")) as dataset, xarray.open_dataset(os.path.join(folder, "e.nc")) as every:
        assert dataset.u.encoding["chunksizes"] == (1, 7, 9 if dataset.x.size == 9 else dataset.x.size) and dataset.u.encoding["complevel"] == 4
        assert dataset.u.encoding["shuffle"] and not every.u.encoding["zlib"]
        assert list(every.step) == [4] and every.u.encoding["chunksizes"][0] == 8
        assert np.array_equal(every.u[0], dataset.u[3], equal_nan=True)
        assert dataset.image_0.values.tolist() == [f"pair_{k:04}a.tif" for k in range(1, 7)]
        assert dataset.image_1.values.tolist() == [f"pair_{k:04}b.tif" for k in range(1, 7)]
        made = json.loads(dataset.attrs["weir_provenance"])
        assert made["stream"]["images"] == ["im"] and made["stream"]["subset"] == "i, 0:2" and made["stream"]["shape"] == [160, 144], made
        assert made["fields"]["speed"] == "sqrt(flow.u^2 + flow.v^2)" and list(made["fields"]) == [
            line.split(":")[0].strip() for line in FIELDS.splitlines()], made
        called = {(call["field"], call["operator"]): call["parameters"] for call in made["operators"]}
        assert called["flow", "piv"]["window"] == [32, 16] and called["flow", "piv"]["search"] == [12, 2], called
        assert called["flow", "piv"]["subpixel"] == "gauss3" and called["spread", "histogram"]["bins"] == 7, called
        assert dataset.attrs["weir_version"] in success(folder, "version").stdout


def missing_images(folder):
    synth(folder, "im", pairs=5, size="96x112")
    os.remove(os.path.join(folder, "im", "pair_0003b.tif"))
    with open(os.path.join(folder, "im", "pair_0005a.tif"), "w") as file:
        file.write("no image")
    write(folder, "zarr: {path: t.zarr, fields: [u, bright]}", "netcdf: {path: t.nc, fields: [u, bright]}")
    run(folder, status=1)
    assert same(folder) == 5
    with xarray.open_dataset(os.path.join(folder, "t.nc")) as dataset:
        gone = np.isnan(dataset.u.values).all(axis=(1, 2))
        assert gone.tolist() == [False, False, True, False, True], gone
        assert dataset.image_1.values[2] == "pair_0003b.tif"
    write(folder, "zarr: {path: t.zarr, fields: [u]}", "netcdf: {path: t.nc, fields: [u]}", 
          more="on_failure: stop\nexecution: {steps_in_flight: 2}\n")
    run(folder, "--threads", 1, status=1) # ends early: with what there is
    assert 2 <= same(folder) < 5
    assert os.path.isdir(os.path.join(folder, "t.nc.part")) # to be gone on with


def from_files(folder):
    """Times with units and a calendar, uneven coordinates, integers with a missing value, static fields, two kinds of x."""
    with netCDF4.Dataset(os.path.join(folder, "in.nc"), "w") as dataset:
        dataset.createDimension("time", None)
        for name, size in (("y", 11), ("x", 13)):
            dataset.createDimension(name, size)
        time_ = dataset.createVariable("time", "f8", ("time",))
        time_.units, time_.calendar = "days since 2001-02-03", "noleap"
        time_[:] = np.arange(9) * 0.5
        y = dataset.createVariable("y", "f8", ("y",))
        y.units = "m"
        y[:] = np.cumsum(np.arange(1, 12))
        count = dataset.createVariable("count", "i2", ("time", "y", "x"), fill_value=-7)
        count.long_name, count.units = "number of things", "1"
        count[:] = np.ma.masked_less(random.integers(0, 100, (9, 11, 13)), 10)
        depth = dataset.createVariable("depth", "f4", ("y", "x"))
        depth.units, depth.standard_name = "m", "depth"
        depth[:] = random.normal(size=(11, 13))
    stored = "[count, depth, half, level]"
    write(folder, f"zarr: {{path: t.zarr, fields: {stored}, chunks: {{y: 4, x: 13}}}}",
          f"netcdf: {{path: t.nc, fields: {stored}, chunks: {{y: 4, x: 13}}}}", stream="files: in.nc",
          fields="  half: coarsen(depth * count, 2)\n  level: mean(count)\n")
    run(folder)
    assert same(folder) == 9
    with xarray.open_dataset(os.path.join(folder, "t.nc")) as dataset, xarray.open_dataset(os.path.join(folder, "in.nc")) as given:
        assert (dataset.time.values == given.time.values).all() and np.array_equal(dataset["count"], given["count"], equal_nan=True)
        assert np.array_equal(dataset.depth, given.depth) and np.array_equal(dataset.y, given.y) and dataset.y.units == "m"
        assert json.loads(dataset.attrs["weir_provenance"])["stream"] == {"files": ["in.nc"]}
        assert dataset.half.dims == ("time", "y_2", "x_2") or dataset.half.dims == ("time", "y_2", "x"), dataset.half.dims


def killed(folder):
    pairs = 16 if SANITIZED else 80
    synth(folder, "im", pairs=pairs, size="192x192", field="vortex", gradient=0.08, radius=24, noise=3)
    write(folder, "netcdf: {path: t.nc, fields: [u, flag, speed_mean]}", more=f"checkpoint: {{every: {pairs // 8} steps}}\n")
    start = time.monotonic()
    run(folder, "--threads", 1)
    lasts = time.monotonic() - start
    expected = digest(os.path.join(folder, "t.nc"))
    amidst = trial = 0
    while amidst < 2 and trial < 12: # nobody knows how long the next one takes
        trial += 1
        shutil.rmtree(os.path.join(folder, "t.run"))
        process = subprocess.Popen([WEIR, "run", "t.yaml", "--dir", os.path.join(folder, "t.run"), "--threads", "1"], cwd=folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(lasts * random.uniform(0.4, 0.8))
        runs = process.poll() is None
        amidst += runs
        lasts *= 1 if runs else 0.8
        kill_run(process, os.path.join(folder, "t.run"))
        done = weir(folder, "run", "t.yaml", "--dir", "t.run", "--threads", 1, "--resume")
        assert done.returncode == 0 or "nothing to resume" in done.stderr, (trial, done.stdout, done.stderr)
        assert digest(os.path.join(folder, "t.nc")) == expected and not os.path.exists(os.path.join(folder, "t.nc.part")), trial
    assert amidst == 2, (trial, lasts)
    print(f"    killed amidst twice in {trial} runs")


def full_disk(folder):
    small = os.path.join(folder, "small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=777", "weir-small", small], stderr=subprocess.DEVNULL, check=False).returncode:
        print("    the full disk is left out: needs the right to mount")
        return
    try:
        synth(folder, "im", pairs=40, size="256x256", noise=3)
        # the store, of compressed levels, fits; the file beside it, plain, does not
        write(folder, "netcdf: {path: small/t.nc, fields: [noise], codec: none}", fields='  noise: "units(a * 1.0, \\"1\\")"\n')
        done = run(folder, "--threads", 1, status=1)
        lines = [line for line in done.stderr.splitlines() if "No space left" in line]
        assert len(lines) == 1 and "cannot write small/t.nc: No space left on device" in lines[0], done.stderr
        assert os.listdir(small) == ["t.nc.part"], os.listdir(small)
        subprocess.run(["mount", "-o", "remount,size=32m", small], check=True)
        run(folder, "--threads", 1, "--resume", fresh=False)
        assert os.listdir(small) == ["t.nc"], os.listdir(small)
        with netCDF4.Dataset(os.path.join(small, "t.nc")) as dataset:
            assert len(dataset["noise"]) == 40
            for k in range(40):
                assert np.array_equal(dataset["noise"][k], support.Image.open(os.path.join(folder, "im", f"pair_{k + 1:04}a.tif"))), k
    finally:
        subprocess.run(["umount", "-l", small], check=False)


def refused(folder):
    synth(folder, "im", pairs=2, size="96x96")
    with open(os.path.join(folder, "t.nc"), "w") as file:
        file.write("a letter")
    write(folder, "netcdf: {path: t.nc, fields: [u]}")
    done = run(folder, status=2)
    assert "t.nc exists and is no NetCDF file: it is left as it is" in done.stderr, done.stderr
    with open(os.path.join(folder, "t.nc")) as file:
        assert file.read() == "a letter"
    for text, wanted in (("fields: [u], level: 0", "level is 0, expected 1 to 9"), ("fields: [u], codec: zstd", "codec: expected one of zlib, none"),
                         ("fields: [image_1]", "image_1 cannot be the name of an array in a NetCDF file"),
                         ("fields: [u], shards: 4", "shards"), ("fields: [u], time_chunk: 8, chunks: {x: 2}", "time_chunk: no field"),
                         ("fields: [u], chunks: {z: 2}", "no field of this output has a dimension z")):
        write(folder, f"netcdf: {{path: t.nc, {text}}}", fields=FIELDS + "  image_1: mean(b)\n")
        done = weir(folder, "check", "t.yaml")
        assert done.returncode == 2 and wanted in done.stderr, (text, done.stderr)
    write(folder, "netcdf: {path: no/such/../t.nc, fields: [u]}")
    os.chmod(folder, 0o555)
    done = weir(folder, "check", "t.yaml")
    os.chmod(folder, 0o755)
    assert done.returncode == 0 and "netcdf" in done.stdout, (done.stdout, done.stderr)


def command(folder):
    """weir piv -o FILE.nc: the same numbers as in its store."""
    synth(folder, "im", pairs=3, size="96x112")
    success(folder, "piv", "im", "-o", "z", "--pictures", 0)
    success(folder, "piv", "im", "-o", "here/n.nc", "--pictures", 0)
    assert sorted(os.listdir(os.path.join(folder, "here"))) == ["n.nc", "n.piv"], os.listdir(os.path.join(folder, "here"))
    assert same(folder, "z/piv.zarr", "here/n.nc") == 3
    with open(os.path.join(folder, "z/piv.csv")) as one, open(os.path.join(folder, "here/n.piv/piv.csv")) as other:
        assert one.read() == other.read()


for test in (full_disk, refused, command, placements, missing_images, from_files, killed):
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weir-netcdf.") as folder:
        test(folder)
    print(f"{test.__name__}: passed in {time.monotonic() - start:.1f} s", flush=True)
