# weir-test: timeout=120
#
# Proves that files joined to a leading stream have at each step the values of the time level that belongs to it (exact, nearest, last, with
# and without tolerance, by time in other units and by step), are missing where none does, and that workers and threads do not change a
# byte; against numpy. Then the same beside a running simulation, and what is said of streams that do not fit.
import csv
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile

WEIR = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
HEAT = os.path.join(os.environ["WEIR_BUILD"], "bin", "heat2d")
try:
    import netCDF4
    import numpy as np
    import zarr
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

STEPS, NY, NX = 10, 12, 20
HOURS = [-2.0, 1.0, 2.5, 4.0, 7.0, 8.75]  # of the observations
JOINS = {  # name: what the recipe says, and the level for each step by numpy's arithmetic
    "exact": ("{time: exact}", lambda h: near(h, 0)),
    "soon": ("{time: exact, tolerance: 20 min}", lambda h: near(h, 1 / 3)),
    "near": ("{time: nearest}", lambda h: near(h, 1e9)),
    "close": ("{time: nearest, tolerance: 1800}", lambda h: near(h, 0.5)),
    "last": ("{time: last}", lambda h: last(h, 1e9)),
    "fresh": ("{time: last, tolerance: 1.5 h}", lambda h: last(h, 1.5)),
    "number": ("{step: exact}", lambda h: int(h) if h < len(HOURS) else None),
    "held": ("{step: last}", lambda h: min(int(h), len(HOURS) - 1)),
    "number2": ("{step: nearest, tolerance: 2}", lambda h: min(int(h), len(HOURS) - 1) if h <= len(HOURS) + 1 else None),
}


def near(hour, tolerance):
    away = np.abs(np.array(HOURS) - hour)
    return int(np.argmin(away)) if away.min() <= tolerance + 1e-9 else None  # the first of two


def last(hour, tolerance):
    before = [i for i, h in enumerate(HOURS) if h <= hour + 1e-9]
    return before[-1] if before and hour - HOURS[before[-1]] <= tolerance + 1e-9 else None


def series(path, units, times, fields, calendar=None, size=(NY, NX), static=()):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", None)
        data.createDimension("y", size[0])
        data.createDimension("x", size[1])
        time = data.createVariable("time", "f8", ("time",))
        if units:
            time.units = units
        if calendar:
            time.calendar = calendar
        time[:] = times
        for name, values in fields.items():
            data.createVariable(name, "f8", ("time", "y", "x")[: values.ndim])[:] = values
        for name, values in static:
            data.createVariable(name, "f8", ("y", "x"))[:] = values


def write(folder, text):
    with open(os.path.join(folder, "r.yaml"), "w") as file:
        file.write(text)


def weir(folder, *arguments):
    return subprocess.run([WEIR, *arguments], cwd=folder, capture_output=True, text=True)


def has_mpi(folder):
    return "none" not in next(line for line in weir(folder, "version").stdout.splitlines() if line.strip().startswith("MPI"))


def table(path):
    with open(path) as file:
        rows = list(csv.reader(file))
    return {name.split(" ")[0]: np.array([float(row[i] or "nan") for row in rows[1:]]) for i, name in enumerate(rows[0])}


def refused(folder, recipe, message, *arguments):
    message = message.replace("AT", str(recipe.splitlines()[2].find("{time") + 1))  # where join: stands
    write(folder, recipe)
    done = weir(folder, *(arguments or ("run", "r.yaml")))
    assert done.returncode == 2, (recipe, done.returncode, done.stderr)
    assert done.stderr == f"weir: {message}\n", f"{recipe}\ngives    {done.stderr}expected weir: {message}"


# ---- files beside files


def make_files(folder):
    random = np.random.default_rng(5)
    model = {"eta": random.normal(size=(STEPS, NY, NX)), "speed": random.normal(size=(STEPS, NY, NX))}
    obs = {"eta": random.normal(size=(len(HOURS), NY, NX)), "wind": random.normal(size=len(HOURS))}
    mask = (random.random((NY, NX)) > 0.4).astype(float)
    for part, first in (("0", 0), ("1", 6)):
        end = STEPS if first else 6
        series(os.path.join(folder, f"model_{part}.nc"), "hours since 2000-01-01", range(first, end),
               {name: values[first:end] for name, values in model.items()}, "standard")
    series(os.path.join(folder, "obs.nc"), "days since 1999-12-31 12:00:00", [h / 24 + 0.5 for h in HOURS], obs,
           "proleptic_gregorian", static=[("depth", 100 * mask)])
    with netCDF4.Dataset(os.path.join(folder, "mask.nc"), "w") as data:
        data.createDimension("y", NY)
        data.createDimension("x", NX)
        data.createVariable("mask", "f8", ("y", "x"))[:] = mask
    return model, obs, mask


def recipe_of_files(workers, threads):
    text = "run: test\nstreams:\n  model: {files: 'model_*.nc', chunks: {y: 5, x: 7}}\n"
    for name, (join, _) in JOINS.items():
        text += f"  {name}: {{files: obs.nc, join: {join}{', chunks: {y: 4}' if name == 'near' else ''}}}\n"
    text += "  land: {files: mask.nc}\nparameters: {wind: 3}\nfields:\n"
    for name in JOINS:
        text += f"  d_{name}: model.eta - {name}.eta\n"
        text += f"  m_{name}: mean(abs(speed * {name}.wind))\n"
    text += "  wet: where(mask > 0.5, speed, 0) + exact.depth\n  three: wind + 0 * mean(speed)\n"
    text += "  trend: lag(last.wind, 1) + 0 * mean(speed)\n  xs: x + 0 * speed\n"
    text += "outputs:\n  - zarr: {path: out.zarr, fields: [" + ", ".join(f"d_{name}" for name in JOINS)
    text += ", wet, xs, land.mask]}\n  - csv: {path: out.csv, fields: [" + ", ".join(f"m_{name}" for name in JOINS) + ", three, trend]}\n"
    text += f"execution: {{workers: {workers}, threads: {threads}}}\n"
    return text


def check_files(folder, model, obs, mask):
    store = zarr.open(os.path.join(folder, "out.zarr"), mode="r")
    rows = table(os.path.join(folder, "out.csv"))
    for name, (_, level) in JOINS.items():
        levels = [level(h) for h in range(STEPS)]
        assert name in ("near", "last", "held") or None in levels, "some steps are to be missing"
        fields, means = np.full((STEPS, NY, NX), np.nan), np.full(STEPS, np.nan)
        for step, k in enumerate(levels):
            if k is not None:
                fields[step] = model["eta"][step] - obs["eta"][k]
                means[step] = np.mean(np.abs(model["speed"][step] * obs["wind"][k]))
        got = store[f"d_{name}"][:]
        assert got.shape == fields.shape and np.array_equal(got, fields, equal_nan=True), f"{name}: {levels}"
        got = rows[f"m_{name}"]
        assert np.array_equal(np.isnan(got), np.isnan(means)), f"{name}: {got}"
        assert np.allclose(got, means, rtol=1e-13, equal_nan=True), f"{name}: {got} {means}"
    assert np.array_equal(store["wet"][:], np.where(mask > 0.5, model["speed"], 0) + 100 * mask)
    assert np.array_equal(store["land.mask"][:], mask)
    assert np.array_equal(store["xs"][0][0], np.arange(NX)), "x is the coordinate"
    assert np.array_equal(rows["three"], np.full(STEPS, 3.0)), "a parameter comes before a joined field"
    assert np.allclose(rows["trend"][1:], [obs["wind"][last(h - 1, 1e9)] for h in range(1, STEPS)])


def same_tree(a, b):
    compare = filecmp.dircmp(a, b)
    assert not compare.left_only and not compare.right_only, (compare.left_only, compare.right_only)
    _, wrong, odd = filecmp.cmpfiles(a, b, compare.common_files, shallow=False)
    assert not wrong and not odd, (a, b, wrong, odd)
    for folder in compare.common_dirs:
        same_tree(os.path.join(a, folder), os.path.join(b, folder))


def files(folder):
    data = make_files(folder)
    first = None
    for workers, threads in [(1, 0), (1, 3)] + ([(2, 0), (2, 2)] if has_mpi(folder) else []):
        write(folder, recipe_of_files(workers, threads))
        done = weir(folder, "run", "r.yaml")
        assert done.returncode == 0, done.stdout + done.stderr
        check_files(folder, *data)
        kept = os.path.join(folder, f"kept-{workers}-{threads}")
        os.mkdir(kept)
        for name in ("out.zarr", "out.csv"):
            shutil.move(os.path.join(folder, name), os.path.join(kept, name))
        first = first or kept
        same_tree(first, kept)
        print(f"{workers} workers, {threads} threads: as numpy, the same bytes")
        assert "HDF5" not in done.stderr, done.stderr
    done = weir(folder, "check", "r.yaml")
    assert done.returncode == 0, done.stderr
    assert ("fields of soon, from its files; joined by time, exact within 20.0 min; time in days since 1999-12-31 12:00:00; 6 time levels\n"
            in done.stdout), done.stdout
    assert "fields of land, from its files; static\n" in done.stdout, done.stdout


# ---- what does not fit

TAIL = "outputs:\n  - csv: {path: no.csv, fields: [mean(obs.eta)]}\nexecution: {workers: 1, threads: 0}\n"


def misfits(folder):
    def streams(join, model="'model_*.nc'"):
        return f"streams:\n  model: {{files: {model}}}\n  obs: {{files: {join}}}\n"

    good = "obs.nc, join: {time: last}"
    refused(folder, streams("obs.nc") + TAIL,
            "r.yaml:3:8: obs: join is missing: eta changes in time; say which level belongs to a step of model, such as "
            "join: {time: nearest, tolerance: 3 h}")
    field = "fields:\n  e: {}\n"
    refused(folder, streams(good) + field.format("mean(eta)") + TAIL,
            "r.yaml:5:11: 'eta' is in several streams: expected 'model.eta' or 'obs.eta'")
    refused(folder, streams(good) + field.format("mean(obs.etta)") + TAIL,
            "r.yaml:5:11: no field or parameter is named 'obs.etta'; did you mean 'obs.eta'?")
    refused(folder, streams(good) + field.format("mean(wnd)") + TAIL,
            "r.yaml:5:11: no field or parameter is named 'wnd'; did you mean 'wind'?")
    refused(folder, streams(good) + field.format("mean(obs)") + TAIL,
            "r.yaml:5:11: 'obs' is a stream: expected one of its fields, such as 'obs.eta'")
    refused(folder, streams(good) + "fields:\n  speed: 2 * obs.eta\n" + TAIL,
            "r.yaml:5:3: the stream has a field speed already; choose another name")
    refused(folder, streams("obs.nc, join: {time: last}, chunks: {z: 4}") + TAIL,
            "r.yaml:3:8: chunks: no field of the stream has a dimension z")
    series(os.path.join(folder, "plain.nc"), "s", [0, 1], {"eta": np.zeros((2, NY, NX))})
    refused(folder, streams("plain.nc, join: {time: last}") + TAIL,
            "r.yaml:3:AT: the times of obs (s, calendar standard) cannot be converted to those of model (hours since 2000-01-01, "
            "calendar standard)")
    series(os.path.join(folder, "none.nc"), None, [0, 1], {"eta": np.zeros((2, NY, NX))})
    refused(folder, streams("none.nc, join: {time: last}") + TAIL,
            "r.yaml:3:AT: the times of obs (no units, calendar standard) cannot be converted to those of model (hours since "
            "2000-01-01, calendar standard)", "check", "r.yaml")
    refused(folder, streams("none.nc, join: {time: last, tolerance: 1 h}", "none.nc") + TAIL,
            "r.yaml:3:AT: tolerance: the times of model have no units, expected a known unit of time")
    series(os.path.join(folder, "back.nc"), "hours since 2000-01-01", [0, 2, 1], {"eta": np.zeros((3, NY, NX))})
    refused(folder, streams("back.nc, join: {time: last}") + TAIL,
            "r.yaml:3:AT: obs: the times do not increase (level 1 is at 2, level 2 at 1)")
    series(os.path.join(folder, "leapless.nc"), "hours since 2000-01-01", [0], {"eta": np.zeros((1, NY, NX))}, "noleap")
    refused(folder, streams("leapless.nc, join: {time: last}") + TAIL,
            "r.yaml:3:AT: the times of obs (hours since 2000-01-01, calendar noleap) cannot be converted to those of model (hours "
            "since 2000-01-01, calendar standard)")
    # a field of the recipe may be called like one of a joined stream
    write(folder, streams(good) + "fields:\n  wind: 2 * obs.wind\noutputs:\n  - csv: {path: w.csv, fields: [wind, obs.wind]}\n"
          "execution: {workers: 1, threads: 0}\n")
    done = weir(folder, "run", "r.yaml")
    assert done.returncode == 0, done.stderr
    rows = table(os.path.join(folder, "w.csv"))
    assert len(rows["wind"]) == STEPS and np.array_equal(rows["wind"], 2 * rows["obs.wind"])
    print("misfits: as expected")


# ---- files beside a simulation


def simulation(folder):
    if not os.path.exists(HEAT):
        print("simulation: not built")
        return
    nx, ny, steps = 24, 20, 30
    random = np.random.default_rng(6)
    obs = random.normal(size=(4, ny, nx))
    write(folder, "stream: {simulation: {}}\noutputs:\n  - zarr: {path: t.zarr, fields: [temperature]}\nexecution: {workers: 1, threads: 0}\n")
    arguments = [HEAT, str(nx), str(ny), str(steps), "1"]
    done = weir(folder, "run", "r.yaml", "--", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    plain = zarr.open(os.path.join(folder, "t.zarr"), mode="r")
    heat, times, numbers = plain["temperature"][:], plain["time"][:], plain["step"][:]
    at = [times[3], 0.5 * (times[10] + times[11]), times[11], times[25]]
    series(os.path.join(folder, "seen.nc"), "minutes", [t / 60 for t in at], {"seen": obs}, size=(ny, nx))
    for workers, threads, ranks in [(1, 0, 1), (1, 2, 1)] + ([(2, 0, 1), (2, 2, 2)] if has_mpi(folder) else []):
        write(folder, "streams:\n  heat: {simulation: {}}\n  exact: {files: seen.nc, join: {time: exact}}\n"
              "  last: {files: seen.nc, join: {time: last}}\nfields:\n  off: heat.temperature - exact.seen\n  old: mean(abs(heat.temperature - last.seen))\n"
              "  seen: mean(last.seen)\noutputs:\n  - zarr: {path: o.zarr, fields: [off]}\n  - csv: {path: o.csv, fields: [old]}\n"
              "  - csv: {path: seen.csv, fields: [seen]}\n"
              f"execution: {{workers: {workers}, threads: {threads}}}\n")
        done = weir(folder, "run", "r.yaml", "--ranks", str(ranks), "--", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        off, rows = zarr.open(os.path.join(folder, "o.zarr"), mode="r")["off"][:], table(os.path.join(folder, "o.csv"))
        assert len(rows["old"]) == len(times), (len(rows["old"]), len(times))
        seen = table(os.path.join(folder, "seen.csv"))["seen"]
        for i, t in enumerate(times):
            expected = heat[i] - obs[at.index(t)] if t in at else np.full((ny, nx), np.nan)
            assert np.array_equal(off[i], expected, equal_nan=True), f"step {numbers[i]}"
            before = [k for k, a in enumerate(at) if a <= t]
            old = np.mean(np.abs(heat[i] - obs[before[-1]])) if before else np.nan
            assert np.isclose(rows["old"][i], old, rtol=1e-12, equal_nan=True), f"step {numbers[i]}: {rows['old'][i]}, expected {old}"
            assert np.isclose(seen[i], np.mean(obs[before[-1]]) if before else np.nan, rtol=1e-12, equal_nan=True)
    print("beside a simulation: as numpy")
    write(folder, "streams:\n  heat: {simulation: {}}\n  obs: {files: obs.nc, join: {time: last}}\n"
          "outputs:\n  - csv: {path: no.csv, fields: [mean(heat.temperature)]}\nexecution: {workers: 1, threads: 0}\n")
    done = weir(folder, "run", "r.yaml", "--", *arguments)
    assert done.returncode == 2, done.returncode
    assert "the times of obs (days since 1999-12-31 12:00:00, calendar proleptic_gregorian) cannot be converted to those of heat (s," in done.stderr, done.stderr


with tempfile.TemporaryDirectory(prefix="weir-joined-") as work:
    files(work)
    misfits(work)
    simulation(work)
