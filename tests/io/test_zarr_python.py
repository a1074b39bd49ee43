# weir-test: timeout=180
"""Stores that driver_io writes are read back with zarr and xarray, for every codec; killed runs leave valid stores."""
import filecmp
import os
import subprocess
import sys

import numpy as np
import xarray as xr
import zarr

from support_io import driver, expect, run, scratch

STEPS = 7
# name: dtype, shape, time levels per chunk (0: static), fill
ARRAYS = {
    "f32": ("f4", (7, 13), 1, None), "f64": ("f8", (3, 7, 13), 1, None), "f32fill": ("f4", (13,), 1, 1e20),
    "i8": ("i1", (13,), 1, None), "i16": ("i2", (7, 13), 1, -999), "i32": ("i4", (7,), 1, None),
    "i64": ("i8", (), 4, None), "u8": ("u1", (13,), 1, None), "u16": ("u2", (13,), 3, None),
    "mean": ("f8", (), 5, None), "other_x": ("f8", (5,), 1, None), "depth": ("f4", (7, 13), 0, None),
}
MISSING_AT_2 = ("f64", "u8", "mean")


def expected(name, t):
    dtype, shape, _, fill = ARRAYS[name]
    i = np.arange(int(np.prod(shape)))
    v = ((t * 31 + i * 7) % 101).astype("f8")
    if dtype[0] == "f":
        v = v / 8 - 3
    if fill is not None:
        v[i % 5 == 2] = np.float32(fill) if dtype == "f4" else fill
    if t == 2 and name in MISSING_AT_2:
        v[:] = np.nan if dtype[0] == "f" else 0
    return v.reshape(shape).astype(dtype)


def check_values(path, steps):
    group = zarr.open_consolidated(path, mode="r")
    expect(group["time"].shape == (steps,), path, "length of time", group["time"].shape, steps)
    expect(list(group["step"][:]) == [10 * t for t in range(steps)], path, "step numbers")
    expect(list(group["time"][:]) == [3600.0 * t for t in range(steps)], path, "times")
    plain = zarr.open_group(path, mode="r")
    for name, (dtype, shape, time_chunk, fill) in ARRAYS.items():
        array = group[name]
        expect(array.dtype == np.dtype(dtype), name, array.dtype)
        own = plain[name].shape[0] if shape or time_chunk else 0
        expect(own in (array.shape[0], steps + 1), name, "own and consolidated shapes")
        if not time_chunk:
            expect(np.array_equal(array[...], expected(name, 0)), path, name, "static values")
            continue
        expect(array.shape == (steps,) + shape and array.chunks[0] == time_chunk, name, array.shape, array.chunks)
        for t in range(steps):
            expect(np.array_equal(array[t], expected(name, t), equal_nan=dtype[0] == "f"), path, name, "time level", t)


def check_xarray(path):
    data = xr.open_zarr(path, consolidated=True)
    expect(data.f32.dims == ("time", "y", "x_face"), "u points lie half a cell on", data.f32.dims)
    expect(np.allclose(data.x_face, 100 + 100 * np.arange(13)) and data.x_face.attrs["units"] == "m", data.x_face)
    expect(data.f64.dims == ("time", "z", "y", "x"), data.f64.dims)
    expect(data.other_x.dims == ("time", "x_2"), "a dimension x of another size", data.other_x.dims)
    expect(data.depth.dims == ("y", "x"), data.depth.dims)
    expect(np.allclose(data.x, 50 + 100 * np.arange(13)) and data.x.attrs["units"] == "m", data.x)
    expect(list(data.z.values) == [0.5, 2, 10], data.z)
    expect(data.f32.attrs == {"units": "m s-1", "location": "u"}, data.f32.attrs)
    expect(data.attrs == {"Conventions": "CF-1.8", "title": 'a "sample"'}, data.attrs)
    expect(data.time.values[1] == np.datetime64("2000-01-01T01:00"), data.time.values)
    expect(data.i32.dtype == np.int32, "integers without missing values stay integers", data.i32.dtype)
    masked = np.isnan(data.i16.values[0])
    expect(masked.ravel()[2] and masked.sum() == sum(i % 5 == 2 for i in range(91)), "missing integers")
    filled = np.isnan(data.f32fill.values[0])
    expect(filled[2] and not filled[3], "missing floats with a fill")
    expect(np.isnan(data["mean"].values[2]) and not np.isnan(data["mean"].values[3]), "a missing scalar")
    data.close()


def same_tree(a, b):
    for folder, _, files in os.walk(a):
        other = os.path.join(b, os.path.relpath(folder, a))
        expect(sorted(os.listdir(folder)) == sorted(os.listdir(other)), "entries of", folder, other)
        for file in files:
            same = filecmp.cmp(os.path.join(folder, file), os.path.join(other, file), shallow=False)
            expect(same, "bytes of", folder, file)


def check_killed(program, folder, codec, whole):
    """Die at every eleventh rename; what is there must be right, and a resumed run must end with the same bytes."""
    path = os.path.join(folder, "killed.zarr")
    kills, stop = 0, 1
    while True:
        code = subprocess.call([program, "zarr", path, codec, str(STEPS), str(stop)])
        if code == 0:
            break
        expect(code == 9, "exit status of a killed run", code)
        kills += 1
        if os.path.exists(os.path.join(path, ".zmetadata")) and os.path.exists(os.path.join(path, "depth", "1.3")):
            levels = zarr.open_consolidated(path, mode="r")["time"].shape[0]
            expect(levels < STEPS, "a killed run has all levels")
            check_values(path, levels)
        run(program, "resume", path, codec, STEPS)
        same_tree(whole, path)
        stop += 11
    expect(kills > 20, "only", kills, "places to die at")
    return kills


def main():
    with scratch() as folder:
        program = driver(folder)
        for codec in ("none", "zlib", "zstd", "blosc"):
            path = os.path.join(folder, codec + ".zarr")
            run(program, "zarr", path, codec, STEPS)
            check_values(path, STEPS)
            compressor = zarr.open_group(path, mode="r")["f64"].compressor
            expect((compressor.codec_id if compressor else "none") == codec, codec, compressor)
            check_xarray(path)
            again = os.path.join(folder, "again.zarr")
            run(program, "zarr", again, codec, 4)
            run(program, "resume", again, codec, STEPS)
            same_tree(path, again)
            run(program, "zarr", again, codec, STEPS)  # replaces
            same_tree(path, again)
        kills = check_killed(program, folder, "zstd", os.path.join(folder, "zstd.zarr"))
        other = subprocess.run([program, "resume", path, "zlib", "9"], text=True, capture_output=True)
        expect(other.returncode == 1 and "another type, shape, chunks or compression" in other.stderr, other.stderr)
    print("4 codecs,", len(ARRAYS), "arrays,", kills, "killed runs")


main()
