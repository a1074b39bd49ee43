#!/usr/bin/env python3
"""A twin experiment: how far observations draw a model to nature, where both are known. See README.md."""
import argparse
import csv
import math
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
import zarr

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 3840e3  # m: of the basin
FIELDS = {"u": "m s-1", "v": "m s-1", "eta": "m"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where everything is written; a finished spin-up in it is used again")
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"), help="where weir was built")
    parser.add_argument("--setup", default=HERE, help="the folder of the recipes and namelists")
    parser.add_argument("--ranks", type=int, default=1, help="processes of the model")
    parser.add_argument("--workers", type=int, default=1, help="processes of the analysis")
    parser.add_argument("--threads", type=int, help="of each of them")
    parser.add_argument("--stations", type=int, default=18, help="along each side of the basin")
    parser.add_argument("--noise", type=float, default=0.02, help="of the observations, in m s-1 and m")
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    return parser.parse_args()


def run(command, folder, log):
    """One program, with what it says in a file."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, log)
    with open(path, "w") as out:
        status = subprocess.run(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT).returncode
    if status:
        with open(path) as text:
            sys.exit(f"{' '.join(command)}: exit status {status}\n{text.read()}")


class Experiment:
    def __init__(self, options):
        self.folder, self.options = os.path.abspath(options.folder), options
        self.weir = os.path.abspath(os.path.join(options.build, "bin", "weir"))
        self.gyre = os.path.abspath(os.path.join(options.build, "apps", "gyre", "gyre"))
        os.makedirs(self.folder, exist_ok=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def setup(self, name):
        return os.path.join(os.path.abspath(self.options.setup), name)

    def spin_up(self, namelist, state):
        if not os.path.exists(self.path(state)):
            run([self.gyre, self.setup(namelist)], self.folder, state + ".log")

    def beside(self, name, recipe, namelist, *more):
        """The model with its analysis, in a folder of its own, from nothing."""
        shutil.rmtree(self.path(name), ignore_errors=True)
        command = [self.weir, "run", self.setup(recipe), "--workers", str(self.options.workers), *more]
        if self.options.threads is not None:
            command += ["--threads", str(self.options.threads)]
        if self.options.ranks > 1:
            command += ["--ranks", str(self.options.ranks)]
        run(command + ["--", self.gyre, self.setup(namelist)], self.path(name), "log")

    def stations(self):
        """Positions on a regular grid of their own."""
        n = self.options.stations
        along = (np.arange(n) + 0.5) / n * SIZE
        y, x = (a.ravel() for a in np.meshgrid(along, along, indexing="ij"))
        self.positions = {"y": y, "x": x}
        with netCDF4.Dataset(self.path("stations.nc"), "w") as file:
            add_positions(file, self.positions)

    def observe(self):
        """The truth as files to be read beside the model; what instruments with errors saw of it."""
        truth = zarr.open(self.path("truth", "truth.zarr"), mode="r")
        time = truth["time"][:]
        noise = np.random.Generator(np.random.PCG64(self.options.seed))
        with netCDF4.Dataset(self.path("truth.nc"), "w") as file:
            add_time(file, time)
            for axis in "yx":
                file.createDimension(axis, len(truth[axis]))
                add(file, axis, (axis,), "m", truth[axis][:])
            for name, units in FIELDS.items():
                add(file, name, ("time", "y", "x"), units, truth[name][:])
        with netCDF4.Dataset(self.path("obs.nc"), "w") as file:
            add_time(file, time)
            add_positions(file, self.positions)
            for name, units in FIELDS.items():
                seen = truth["seen_" + name][:]
                seen = seen + self.options.noise * noise.standard_normal(seen.shape)
                add(file, name, ("time", "station"), units, seen)

    def errors(self):
        """The errors as weir found them: error.csv with those of both runs."""
        runs = {name: read_table(self.path(name, "error.csv")) for name in ("free", "assimilated")}
        with open(self.path("error.csv"), "w", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["time"] + [f"{field}_{name}" for field in FIELDS for name in runs])
            for i, time in enumerate(runs["free"]["time"]):
                out.writerow([time] + [runs[name]["error_" + field][i] for field in FIELDS for name in runs])
        return {field: [runs[name]["error_" + field] for name in runs] for field in FIELDS}

    def picture(self):
        """The surface at the end: as it is; what is wrong with it in the free run; and in the other."""
        store = zarr.open(self.path("truth", "truth.zarr"), mode="r")
        truth = store["eta"][-1]
        wrong = [zarr.open(self.path(n, "twin.zarr"), mode="r")["ocean.eta"][-1] - truth for n in ("free", "assimilated")]
        gap = np.full((truth.shape[0], truth.shape[1] // 16), np.nan)
        panels = np.hstack([truth, gap, wrong[0], gap, wrong[1]])
        spacing = SIZE / truth.shape[0] / 1000
        with netCDF4.Dataset(self.path("panels.nc"), "w") as file:
            add_time(file, store["time"][-1:])
            for axis, size in zip("yx", panels.shape):
                file.createDimension(axis, size)
                add(file, axis, (axis,), "km", (np.arange(size) + 0.5) * spacing)
            add(file, "eta_and_errors", ("time", "y", "x"), "m", panels[None])
        run([self.weir, "run", self.setup("picture.yaml")], self.folder, "picture.log")
        os.replace(self.path("error_0.png"), self.path("error.png"))


def add(file, name, dimensions, units, values):
    variable = file.createVariable(name, "f8", dimensions, fill_value=np.nan)
    variable.units = units
    variable[:] = values


def add_time(file, time):
    file.createDimension("time", len(time))
    add(file, "time", ("time",), "s", time)


def add_positions(file, positions):
    file.createDimension("station", len(positions["y"]))
    for axis, values in positions.items():
        add(file, axis, ("station",), "m", values)


def read_table(path):
    with open(path) as file:
        rows = list(csv.reader(file))
    names = [head.split(" (")[0] for head in rows[0]]  # without units
    return {name: [float(row[i]) for row in rows[1:]] for i, name in enumerate(names)}


def main():
    options = arguments()
    x = Experiment(options)
    x.spin_up("spinup.nml", "earlier")
    x.spin_up("later.nml", "later")
    x.stations()
    x.beside("truth", "truth.yaml", "truth.nml")
    x.observe()
    x.beside("free", "twin.yaml", "twin.nml", "--set", "gain=0")
    x.beside("assimilated", "twin.yaml", "twin.nml")
    print("RMS error at the end      free   assimilated   ratio")
    for field, (free, assimilated) in x.errors().items():
        ratio = free[-1] / assimilated[-1] if assimilated[-1] else math.inf
        print(f"{field:>5} [{FIELDS[field]}]".ljust(18), f"{free[-1]:12.4f} {assimilated[-1]:13.4f} {ratio:7.2f}")
    x.picture()
    print(f"{x.path('error.csv')}, {x.path('error.png')}")


main()
