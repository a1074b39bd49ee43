# A twin experiment as in examples/twin, in little: a model at rest is drawn to an ocean of day 40 by observations that come back as
# increments from the analysis beside it. Its error falls to a third and less, and no byte depends on workers, threads or
# processes, or on where the analysis runs.
# weir-test: timeout=400
import csv
import os
import shutil
import subprocess
import sys

import gyre_support as gyre

try:
    import netCDF4  # noqa: F401, the experiment needs them
    import zarr  # noqa: F401
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

EXAMPLE = os.path.join(gyre.SOURCE, "examples", "twin")
NOISE = ("--noise", "0.01")  # m s-1 and m
NAMELISTS = {  # name: settings. "earlier" is rest, or nearly
    "spinup": dict(nsteps=1, restart_write="earlier"),
    "later": dict(ndays=40, restart_write="later"),
    "truth": dict(nsteps=840, restart_read="../later", restart_step=0, output_every=42),
    "twin": dict(nsteps=840, restart_read="../earlier", restart_step=0, output_every=1, assimilate=True),
}


def setup(folder):
    """The recipes of the example as they are, with other namelists."""
    os.mkdir(folder)
    for name in os.listdir(EXAMPLE):
        if name.endswith(".yaml"):
            shutil.copy(os.path.join(EXAMPLE, name), folder)
    for name, settings in NAMELISTS.items():
        with open(os.path.join(folder, name + ".nml"), "w") as file:
            file.write("&gyre\n nu = 2160, diagnostics_every = 0\n")
            file.writelines(f" {k} = {gyre.namelist_text(v)}\n" for k, v in settings.items())
            file.write("/\n")


def experiment(folder, *more):
    command = [sys.executable, os.path.join(EXAMPLE, "twin.py"), folder, "--build", gyre.BUILD, *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inline(folder, setup):
    """The run that assimilates once more, with its analysis inside of the model's processes."""
    os.mkdir(os.path.join(folder, "inline"))
    with open(os.path.join(setup, "twin.yaml")) as file:
        recipe = file.read()
    assert "simulation: {}" in recipe
    with open(os.path.join(setup, "inline.yaml"), "w") as file:
        file.write(recipe.replace("simulation: {}", "simulation: {placement: inline}"))
    command = [os.path.join(gyre.BUILD, "bin", "weir"), "run", os.path.join(setup, "inline.yaml"), "--ranks", "2", "--",
               gyre.PROGRAM, os.path.join(setup, "twin.nml")]
    done = subprocess.run(command, cwd=os.path.join(folder, "inline"), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return os.path.join(folder, "inline")


def contents(folder, *parts):
    """All that was found in these, byte by byte."""
    found = {}
    for top in parts:
        for path, folders, names in os.walk(os.path.join(folder, top)):
            folders[:] = [name for name in folders if not name.endswith(".run")]
            for name in set(names) - {"log"}:
                with open(os.path.join(path, name), "rb") as file:
                    found[os.path.relpath(os.path.join(path, name), folder)] = file.read()
    for name in ("error.csv", "error.png"):
        if os.path.exists(os.path.join(folder, name)):
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = file.read()
    return found


def same(a, b):
    assert a.keys() == b.keys() and len(a) > 20, (len(a), a.keys() ^ b.keys())
    assert not [name for name in a if a[name] != b[name]], [name for name in a if a[name] != b[name]]
    return len(a)


def main():
    gyre.require_program()
    with gyre.folder() as folder:
        recipes, one, two = (os.path.join(folder, name) for name in ("setup", "one", "two"))
        setup(recipes)
        print(experiment(one, "--setup", recipes, "--threads", "0", *NOISE))
        os.mkdir(two)
        for state in ("earlier", "later"):
            shutil.copy(os.path.join(one, state), two)
        experiment(two, "--setup", recipes, "--workers", "2", "--ranks", "2", "--threads", "1", *NOISE)
        parts = ("free", "assimilated", os.path.join("truth", "truth.zarr"))
        files = same(contents(one, *parts), contents(two, *parts))
        same(contents(os.path.join(one, "assimilated"), ""), contents(inline(one, recipes), ""))

        with open(os.path.join(one, "error.csv")) as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 20
        for field in ("u", "v", "eta"):
            free, assimilated = ([float(row[f"{field}_{run}"]) for row in rows] for run in ("free", "assimilated"))
            # what was observed at a step comes back after it: so far both are the same
            assert free[0] == assimilated[0] > 0 and assimilated[1] < free[1], field
            assert free[-1] >= 3 * assimilated[-1], (field, free[-1], assimilated[-1])
    print(f"{files} files, the same for both; and the run that assimilates with its analysis inside")


main()
