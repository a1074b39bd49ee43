# weir-test: timeout=180
"""NetCDF files read by weir, xarray and netCDF4: real ones where the data folder is there, made ones with every trap."""
import os
import subprocess
import sys
import warnings

import netCDF4
import numpy as np
import xarray as xr

from support_io import driver, expect, run, scratch


def read(program, folder, record, *files):
    """{name: (dtype, static, units, dimensions, values)}, times, (time units, calendar)"""
    out = os.path.join(folder, "values.bin")
    lines = [line.split("\t") for line in run(program, "netcdf", out, record, *files).splitlines()]
    steps = int(lines[0][1])
    numbers = np.fromfile(out)
    times, at, found = numbers[:steps], steps, {}
    for name, dtype, static, shape, units, *dimensions in lines[1:]:
        extents = tuple(int(n) for n in shape.strip("[]").split(",")) if shape != "scalar" else ()
        full = extents if static == "1" else (steps,) + extents
        n = int(np.prod(full))
        found[name] = (dtype, static == "1", units, dimensions, numbers[at:at + n].reshape(full))
        at += n
    expect(at == len(numbers), "numbers left over")
    return found, times, (lines[0][2], lines[0][3])


def same(a, b, tolerance=0.0):
    a, b = np.asarray(a, "f8"), np.asarray(b, "f8")
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=0, equal_nan=True)


def check_real(program, folder, grids):
    path = os.path.join(grids, "eraint_uvz.nc")
    found, times, _ = read(program, folder, "month", path)
    with xr.open_dataset(path) as data:
        for name in "uvz":
            dtype, static, units, dimensions, values = found[name]
            expect(dtype == "float64" and not static and units == data[name].attrs["units"], name, dtype, static, units)
            expect(same(values, data[name].values, 1e-7), name, "values")  # xarray unpacks to float32
        with netCDF4.Dataset(path) as raw:
            raw.set_auto_maskandscale(False)
            u = raw["u"][:].astype("f8") * raw["u"].scale_factor + raw["u"].add_offset
        expect(same(found["u"][4], u), "u to the bit")
        expect(times.tolist() == data.month.values.tolist(), times)
    expect(found["u"][3][2].endswith("uniform periodic"), found["u"][3])
    path = os.path.join(grids, "mhm_tavg.nc")
    found, times, (units, calendar) = read(program, folder, "", path)
    with xr.open_dataset(path, decode_times=False) as data:
        expect(same(found["tavg"][4], data.tavg.values), "tavg")
        expect(found["lon"][1] and not found["tavg"][1], "static fields")
        expect(same(times, data.time.values) and units.startswith("days since 1989") and calendar == "standard", units)
    path = os.path.join(grids, "sst_ndjfm_anom.nc")
    found, times, _ = read(program, folder, "", path)
    with xr.open_dataset(path, decode_times=False) as data:
        expect(same(found["sst"][4], data.sst.values) and same(times, data.time.values), "sst")
    check_cut_short(program, folder, path)
    check_cut_short(program, folder, os.path.join(grids, "mhm_tavg.nc"))


def failure(program, folder, record, *files):
    out = os.path.join(folder, "none.bin")
    done = subprocess.run([program, "netcdf", out, record, *files], text=True, capture_output=True)
    expect(done.returncode == 1 and len(done.stderr.splitlines()) == 1, files, "one message was expected:", done.stderr)
    return done.stderr


def check_cut_short(program, folder, path):
    with open(path, "rb") as file:
        whole = file.read()
    cut = os.path.join(folder, "cut.nc")
    for length in (0, 3, 20, 300, len(whole) // 2, len(whole) - 5000, len(whole) - 1):
        with open(cut, "wb") as file:
            file.write(whole[:length])
        expect("cut.nc" in failure(program, folder, "", cut), "cut to", length)


def make(path, format, times, offset=0.0, width=4):
    with netCDF4.Dataset(path, "w", format=format) as data:
        data.createDimension("time", None)
        data.createDimension("y", 3)
        data.createDimension("x", width)
        t = data.createVariable("time", "f8", ("time",))
        t.units = "hours since 2001-02-03"
        t.calendar = "noleap"
        t[:] = times
        x = data.createVariable("x", "f4", ("x",))
        x[:] = np.float32(0.1) * np.arange(width, dtype="f4") + np.float32(360)
        y = data.createVariable("y", "f8", ("y",))
        y[:] = [1, 2, 4]
        n = len(times)
        values = np.arange(n * 3 * width).reshape(n, 3, width)
        v = data.createVariable("plain", "f4", ("time", "y", "x"), fill_value=-1.0)
        v[:] = values + offset
        v[0, 0, 0] = -1.0
        v = data.createVariable("packed", "i2", ("time", "y", "x"), fill_value=-32768)
        v.set_auto_maskandscale(False)  # the numbers below are the packed ones
        v.scale_factor, v.add_offset = np.float32(0.5), np.float32(offset)
        v.missing_value = np.array([7, 8], "i2")
        v[:] = values
        v[0, 1, 1] = -32768
        v = data.createVariable("wide", "i4", ("time", "x"))
        v.set_auto_maskandscale(False)
        v.scale_factor = np.float32(0.001)
        v[:] = values[:, 0, :]
        v = data.createVariable("bytes", "i1", ("time", "x"))
        v.set_auto_maskandscale(False)
        v._Unsigned = "true"
        v[:] = np.arange(-4, -4 + n * width).reshape(n, width)
        v = data.createVariable("counts", "i4", ("time", "x"))
        v.set_auto_maskandscale(False)
        v.missing_value = 5.0  # given in another type
        v[:] = values[:, 0, :]
        v = data.createVariable("ranged", "f8", ("time", "x"))
        v.set_auto_maskandscale(False)
        v.valid_min, v.valid_max = 2.0, 9.0
        v[:] = values[:, 0, :]
        v = data.createVariable("unwritten", "f8", ("time", "x"))
        v[0, 0] = 1.0
        v = data.createVariable("turned", "f8", ("y", "x"))
        v[:] = values[0]
        if format == "NETCDF4":
            v = data.createVariable("huge", "i8", ("time",))
            v[:] = 2**60 + np.arange(n)
            data.createVariable("word", str, ("y",))
        label = data.createVariable("label", "S1", ("y",))
        label[:] = [b"a", b"b", b"c"]
    return values.astype("f8")


def check_made(program, folder, format):
    a, b = os.path.join(folder, "a.nc"), os.path.join(folder, "b.nc")
    first, second = make(a, format, [0, 6, 12]), make(b, format, [18, 24], offset=100.0)
    found, times, (units, calendar) = read(program, folder, "", a, b)
    expect(times.tolist() == [0, 6, 12, 18, 24] and calendar == "noleap", times, calendar)
    expect(units == "hours since 2001-02-03", units)
    expect("label" not in found and "time" not in found and "x" not in found, list(found))
    both = np.concatenate([first, second])
    plain = np.concatenate([first, second + 100])
    plain[0, 0, 0] = plain[3, 0, 0] = np.nan
    expect(found["plain"][0] == "float32" and same(found["plain"][4], plain), format, "plain")
    packed = np.concatenate([first * 0.5, second * 0.5 + 100])  # another packing in the second file
    packed[(both == 7) | (both == 8)] = np.nan
    packed[0, 1, 1] = packed[3, 1, 1] = np.nan
    expect(found["packed"][0] == "float32" and same(found["packed"][4], packed), format, "packed")
    expect(found["wide"][0] == "float64", "CF: packed 32-bit integers unpack to double")
    expect(same(found["wide"][4], both[:, 0, :] * float(np.float32(0.001))), format, "wide")
    unsigned = found["bytes"]
    expect(unsigned[0] == "uint8" and unsigned[4][0].tolist() == [252, 253, 254, 255], format, unsigned)
    counts = both[:, 0, :].copy()
    counts[counts == 5] = np.nan
    expect(found["counts"][0] == "int32" and same(found["counts"][4], counts), format, "counts")
    ranged = both[:, 0, :].copy()
    ranged[(ranged < 2) | (ranged > 9)] = np.nan
    expect(same(found["ranged"][4], ranged), format, "ranged")
    expect(np.isnan(found["unwritten"][4]).sum() == 18 and found["unwritten"][4][0, 0] == 1, format, "unwritten")
    expect(found["turned"][1] and same(found["turned"][4], first[0]), format, "static")
    expect(found["plain"][3][0].endswith("listed") and found["plain"][3][1].endswith("uniform"), found["plain"][3])
    if format == "NETCDF4":
        expect(found["huge"][0] == "int64" and found["huge"][4][0] == 2.0**60, "huge")
    c = os.path.join(folder, "c.nc")
    make(c, format, [30], width=5)
    expect("c.nc" in failure(program, folder, "", a, c), "another shape")
    expect("no dimension `month`" in failure(program, folder, "month", a), "another record dimension")
    check_cut_short_made(program, folder, a)


def check_cut_short_made(program, folder, path):
    with open(path, "rb") as file:
        whole = file.read()
    cut = os.path.join(folder, "cut.nc")
    for length in list(range(0, len(whole) - 4, max(1, len(whole) // 40))):
        with open(cut, "wb") as file:
            file.write(whole[:length])
        expect("cut.nc" in failure(program, folder, "", cut), "cut to", length, "of", len(whole))


def main():
    warnings.simplefilter("ignore")
    with scratch() as folder:
        program = driver(folder)
        for format in ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"):
            check_made(program, folder, format)
        absent = os.path.join(folder, "absent.nc")
        expect("absent.nc: No such file" in failure(program, folder, "", absent), "a missing file")
        with open(os.path.join(folder, "text.nc"), "w") as file:
            file.write("this is no NetCDF file\n" * 100)
        expect("text.nc" in failure(program, folder, "", os.path.join(folder, "text.nc")), "not NetCDF")
        grids = os.path.join(os.environ.get("WEIR_DATA", ""), "grids")
        if os.path.isdir(grids):
            check_real(program, folder, grids)
        else:
            print("real files left out: no folder grids in WEIR_DATA")
    print("5 formats")


main()
