# weir-test: timeout=120
#
# Proves the whole way from files of other people to stores, against numpy on what netCDF4 reads: packed winds (ERA-Interim) decoded and
# their means and kinetic energy, a daily series (mHM air temperature; its square root is missing in frost) over 1826 steps, and means and
# principal components of sea surface temperature anomalies with land in between.
import csv
import os
import subprocess
import sys
import tempfile

GRIDS = os.path.join(os.environ.get("WEIR_DATA", ""), "grids")
WEIR = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
FILES = ["eraint_uvz.nc", "mhm_tavg.nc", "sst_ndjfm_anom.nc"]
if not all(os.path.exists(os.path.join(GRIDS, name)) for name in FILES):
    print("skipped: no", ", ".join(FILES), "in", GRIDS)
    sys.exit(77)
try:
    import netCDF4
    import numpy as np
    import zarr
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)


def run(folder, name, time, fields, outputs):
    recipe = f"run: test\nstream:\n  files: {os.path.join(GRIDS, name)}\n  time: {time}\nfields:\n"
    recipe += "".join(f"  {key}: {text}\n" for key, text in fields.items()) + "outputs:\n"
    recipe += "".join(f"  - {line}\n" for line in outputs) + "execution: {workers: 1, threads: 2}\n"
    with open(os.path.join(folder, "test.yaml"), "w") as file:
        file.write(recipe)
    done = subprocess.run([WEIR, "run", "test.yaml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, recipe + done.stdout + done.stderr


def close(what, got, expected, tolerance=1e-12):
    got, expected = np.ma.filled(np.ma.masked_invalid(got), np.nan), np.ma.filled(np.ma.asarray(expected, float), np.nan)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert np.array_equal(np.isnan(got), np.isnan(expected)), f"{what}: other values are missing than expected"
    error = np.nanmax(np.abs(got - expected)) / np.nanmax(np.abs(expected))
    print(f"{what}: {error:.2g}")
    assert error <= tolerance, f"{what}: relative error {error}, at most {tolerance}"


def table(path):
    with open(path) as file:
        rows = list(csv.reader(file))
    return {name.split(" ")[0]: np.array([float(row[i] or "nan") for row in rows[1:]]) for i, name in enumerate(rows[0])}


def winds(folder):
    run(folder, FILES[0], "month",
        {"ke": "0.5 * (u^2 + v^2)", "ke_mean": "mean(ke)", "u_mean": "mean(u)", "v_mean": "mean(v)", "v_low": "min(v)",
         "zonal": "mean(u, axes=longitude)"},
        ["csv: {path: means.csv, fields: [ke_mean, u_mean, v_mean, v_low]}", "zarr: {path: w.zarr, fields: [ke, zonal, u]}"])
    with netCDF4.Dataset(os.path.join(GRIDS, FILES[0])) as data:
        raw = {}
        for name in "uv":  # decoded here in double precision, whatever netCDF4 makes of it
            variable = data[name]
            variable.set_auto_maskandscale(False)
            raw[name] = variable[:].astype(float) * variable.scale_factor + variable.add_offset
    ke = 0.5 * (raw["u"] ** 2 + raw["v"] ** 2)
    got, store = table(os.path.join(folder, "means.csv")), zarr.open(os.path.join(folder, "w.zarr"), "r")
    close("u", store["u"][:], raw["u"])
    close("kinetic energy", store["ke"][:], ke)
    close("zonal mean", store["zonal"][:], raw["u"].mean(axis=3))
    close("mean kinetic energy", got["ke_mean"], ke.mean(axis=(1, 2, 3)))
    close("mean u", got["u_mean"], raw["u"].mean(axis=(1, 2, 3)))
    # v nearly cancels: measured against what is summed
    error = np.max(np.abs(got["v_mean"] - raw["v"].mean(axis=(1, 2, 3)))) / np.abs(raw["v"]).mean()
    assert error <= 1e-12, error
    close("lowest v", got["v_low"], raw["v"].min(axis=(1, 2, 3)))


def air_temperature(folder):
    run(folder, FILES[1], "time",
        {"average": "time_mean(tavg)", "spread": "time_var(tavg)", "basin": "mean(tavg)", "root": "sqrt(tavg)",
         "root_average": "time_mean(root)", "root_spread": "time_var(root)", "root_basin": "mean(root)", "n": "count(root)"},
        ["zarr: {path: t.zarr, fields: [average, spread, root_average, root_spread], every: 5}",
         "csv: {path: basin.csv, fields: [basin, root_basin, n]}"])
    with netCDF4.Dataset(os.path.join(GRIDS, FILES[1])) as data:
        t = np.ma.masked_equal(np.ma.filled(data["tavg"][:], -9999.0), -9999.0)
    root = np.ma.sqrt(t)
    assert t.shape[0] == 1826 and 1000 < np.ma.count_masked(root) < root.size / 2
    store, basin = zarr.open(os.path.join(folder, "t.zarr"), "r"), table(os.path.join(folder, "basin.csv"))
    steps = np.arange(0, 1826, 5)
    assert np.array_equal(store["step"][:], steps)
    for name, values in {"": t, "root_": root}.items():
        close(name + "time mean", store[name + "average"][:], np.ma.array([values[:n + 1].mean(axis=0) for n in steps]))
        close(name + "time variance", store[name + "spread"][:], np.ma.array([values[:n + 1].var(axis=0) for n in steps]))
        close(name + "basin mean", basin[name + "basin"], values.mean(axis=(1, 2)))
    assert np.array_equal(basin["n"], np.ma.count(root, axis=(1, 2)))


def sea_surface(folder):
    kept, shown = 50, 8  # as many as samples: exact
    run(folder, FILES[2], "time", {"p": f"pca(sst, {kept})", "ocean": "mean(sst)", "year": "time_mean(sst)"},
        ["csv: {path: ocean.csv, fields: [ocean]}", "zarr: {path: year.zarr, fields: [year]}",
         "zarr: {path: p.zarr, fields: [p.components, p.variance, p.mean], every: 49}"])
    with netCDF4.Dataset(os.path.join(GRIDS, FILES[2])) as data:
        sst = np.ma.masked_greater(np.ma.filled(data["sst"][:], 1e20), 1e19)
    sea = ~np.ma.getmaskarray(sst).any(axis=0)
    assert np.array_equal(sea, ~np.ma.getmaskarray(sst).all(axis=0))  # land is the same in all years
    close("ocean mean", table(os.path.join(folder, "ocean.csv"))["ocean"], sst.mean(axis=(1, 2)))
    years = np.ma.array([sst[:n + 1].mean(axis=0) for n in range(len(sst))])
    close("mean of years", zarr.open(os.path.join(folder, "year.zarr"), "r")["year"][:], years)
    x = sst[:, sea].filled()
    _, singular, vectors = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    store = zarr.open(os.path.join(folder, "p.zarr"), "r")
    names = sorted(name for name in store.array_keys() if name.startswith("p"))
    last = {name.replace("p.", "").replace("p_", ""): store[name][-1] for name in names}
    close("mean", last["mean"][sea], x.mean(axis=0))
    assert np.isnan(last["mean"][~sea]).all() and np.isnan(last["components"][:, ~sea]).all()
    close("variances", last["variance"][:shown], (singular ** 2 / (len(x) - 1))[:shown], 1e-10)
    cosines = np.abs(np.sum(last["components"][:shown][:, sea] * vectors[:shown], axis=1))
    print("cosines less 1:", np.max(np.abs(cosines - 1)))
    assert np.max(np.abs(cosines - 1)) < 1e-10


for case in [winds, air_temperature, sea_surface]:
    with tempfile.TemporaryDirectory(prefix="weir-real-", dir=os.environ.get("TMPDIR")) as folder:
        case(folder)
