#!/usr/bin/python3
# weir-test: timeout=120
"""Every step of the simulation is in each output, or is named missing there with its reason: steps left out for want of
room, one that a process did not publish, more than are kept apart, and all of this with workers that die in between."""
import csv
import json
import os
import re
import signal
import sys

import numpy
import xarray

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runs import Fault, Processes, Run, Setting, compile_operators, send  # noqa: E402

EVERY = 10  # of the outputs that are not written in each step
WORDS = {"no room": "no room: dropped", "not published by all": ""}  # of outputs, and what the report then says


class Missing(Run):
    """A slow analysis of a simulation of `steps` steps of `us` microseconds, one of which a process omits."""
    threads = 0
    recipe = """run: faults
operators: [%(operators)s]
stream:
  simulation: {policy: {%(policy)s}, placement: %(placement)s}
  chunks: {y: 24, x: 48}
fields:
  late: slow(u, %(ms)g)
outputs:
  - csv:  {path: each.csv, fields: ["mean(late)", "max(u)"]}
  - csv:  {path: some.csv, fields: ["mean(late)"], every: 10}
  - zarr: {path: each.zarr, fields: [late, "max(u)"]}
  - zarr: {path: some.zarr, fields: [late], every: 10}
checkpoint: {every: 0.2 s}
recovery: {retries: 9, backoff: 0.1 s, heartbeat: 5 s}
"""

    def __init__(self, setting, name, workers, ranks, policy, steps, us, ms, omit, placement):
        self.steps, self.us, self.omit = steps, us, omit
        super().__init__(setting, name, "steps", workers, ranks, operators=os.path.join(setting.folder, "operators.so"),
                         policy=policy, ms=ms, placement=placement)

    def command(self, restart=False):
        return [self.setting.steps, "48", str(self.steps), "1", str(self.us), "kept", "0", f"omit={self.omit}"]


def expand(step, count, last):
    """The numbers of steps that one row stands for: all numbers there are, as the simulation publishes each."""
    return range(last - count + 1, last + 1) if count > 1 else [step]


def table(run, name, lossy=True):
    """{step: why} of the steps that are missing, the set of those that are there, and of the numbers of rows."""
    with open(run.path(name), newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    if (header[-1] == "missing") != lossy:
        raise Fault(f"{name} has the columns {header}")
    missing, there = {}, set()
    for row in rows:
        step, values, why = int(row[0]), row[2:-1] if lossy else row[2:], row[-1] if lossy else ""
        if (set(values) == {""}) != bool(why) and lossy or "" in set(values) and len(set(values)) > 1:
            raise Fault(f"{name}: {row}")
        if set(values) != {""}:
            there.add(step)
            continue
        found = re.fullmatch(r"(.*?)(?:, (\d+) steps up to (\d+))?", why)
        for number in expand(step, int(found[2] or 1), int(found[3] or step)):
            if number in missing:
                raise Fault(f"{name}: step {number} is missing twice")
            missing[number] = found[1]
    return missing, there, [int(row[0]) for row in rows]


def store(run, name):
    """The same of a Zarr store, by its attribute; the values of a missing step are missing."""
    data = xarray.open_zarr(run.path(name), decode_times=False)
    with open(os.path.join(run.path(name), ".zattrs"), encoding="utf-8") as file:
        if json.load(file) != data.attrs:
            raise Fault(f"{name}: .zattrs and .zmetadata differ")
    steps, late = data["step"].values, data["late"].values
    missing, gone, end = {}, set(), 0
    for gap in json.loads(data.attrs.get("missing_steps", "[]")):
        levels = range(gap["index"], gap["index"] + gap["levels"])
        if gap["index"] < end or steps[gap["index"]] != gap["from"]:
            raise Fault(f"{name}: {gap} at step {steps[gap['index']]}, after {end} levels")
        end = levels.stop
        gone |= set(levels)
        if gap["levels"] == gap["count"]:
            if steps[end - 1] != gap["to"]:
                raise Fault(f"{name}: {gap} ends with step {steps[end - 1]}")
            numbers = [int(steps[level]) for level in levels]
        else:
            numbers = expand(gap["from"], gap["count"], gap["to"])
        missing.update({number: gap["why"] for number in numbers})
    for level in range(len(steps)):
        if numpy.isnan(late[level]).all() != (level in gone) or numpy.isnan(late[level]).any() != (level in gone):
            raise Fault(f"{name}: time level {level}, step {steps[level]}")
    data.to_netcdf(run.path("copy.nc"))  # the attribute does not stand in the way
    return missing, {int(s) for level, s in enumerate(steps) if level not in gone}, [int(s) for s in steps]


def check(run, lossy=True):
    """How many steps are missing for each reason."""
    missing, there, levels = store(run, "each.zarr")
    if set(missing) | there != set(range(1, run.steps + 1)) or set(missing) & there:
        raise Fault(f"of steps 1 to {run.steps} there are {sorted(there)}; missing are {missing}")
    if lossy and table(run, "each.csv") != (missing, there, levels):
        raise Fault(f"each.csv says {table(run, 'each.csv')}, each.zarr {(missing, there, levels)}")
    if not lossy and table(run, "each.csv", False)[1:] != (there, levels):
        raise Fault("each.csv and each.zarr differ")
    for some in (store(run, "some.zarr"), table(run, "some.csv")) if lossy else (store(run, "some.zarr"),):
        due = set(range(EVERY, run.steps + 1, EVERY))
        if some[1] != there & due or not set(missing) & due <= set(some[0]) or \
                any(missing.get(step) != why for step, why in some[0].items()):
            raise Fault(f"every {EVERY} steps: {some}; every step: {missing}")
    report = run.report()["missing"]
    if sum(gap["count"] for gap in report) != len(missing):
        raise Fault(f"{len(missing)} are missing, and the report says {report}")
    for step, why in missing.items():
        if not any(gap["from"] - 1000 * (gap["count"] > 1) <= step <= gap["to"] and
                   (gap["why"] == WORDS[why]) == (why == "no room") for gap in report):
            raise Fault(f"step {step}: {why}; the report says {report}")
    return {why: list(missing.values()).count(why) for why in set(missing.values())}


def one(setting, name, workers, ranks, policy, steps=80, us=5000, ms=20.0, omit=40, lossy=True, harm=False,
        placement="node"):
    run = Missing(setting, f"{name}-{workers}-{ranks}", workers, ranks, policy, steps, us, ms, omit,
                  placement)
    run.start()
    if harm and run.until_checkpoint():
        send(run.until_processes("workers")[:1], signal.SIGKILL)
    run.expect(run.wait(), [0])
    counts = check(run, lossy)
    print(f"{name:12s} {workers} workers, {ranks} processes: missing {counts}", flush=True)
    return run, counts


def expect(condition, counts):
    if not condition:
        raise Fault(f"missing are {counts}")


def main():
    setting = Setting(os.environ["WEIR_BUILD"])
    if not compile_operators(setting.folder) or not os.path.exists(setting.steps):
        print("skipped: no C compiler")
        return 77
    for workers, ranks in ((1, 1), (2, 2)) if setting.mpi else ((1, 1),):
        for policy in ("drop_newest", "drop_oldest"):
            _, counts = one(setting, policy, workers, ranks, f"when_full: {policy}, slots: 4")
            expect(counts.get("no room", 0) > 10 and counts.get("not published by all", 0) <= 1, counts)
        # nothing is left out: the table is as ever, and the step that was not put is named in the store alone
        _, counts = one(setting, "block", workers, ranks, "when_full: block, slots: 4", ms=0, lossy=False)
        expect(counts == {"not published by all": 1}, counts)
        # nothing to do: that step alone is named
        _, counts = one(setting, "fallback", workers, ranks, "when_full: block, timeout: 10 s, fallback: drop, slots: 4", ms=0)
        expect(counts == {"not published by all": 1}, counts)
    workers = 2 if setting.mpi else 1
    if setting.mpi:  # a worker without processes of the simulation is told why
        _, counts = one(setting, "transit", 2, 2, "when_full: drop_newest, slots: 4", placement="transit")
        expect(counts.get("no room", 0) > 10, counts)
    # more steps are lost than the processes keep apart
    run, counts = one(setting, "many", workers, workers, "when_full: drop_newest, slots: 4", 2000, 800, 500.0, 0)
    with open(run.path("each.csv"), encoding="utf-8") as file:
        expect("steps up to" in file.read(), counts)
    # what the outputs said before the checkpoint stays, what they said after it is said again
    run, counts = one(setting, "killed", workers, workers, "when_full: drop_newest, slots: 4", 800, 5000, 20.0, 40, harm=True)
    restored, there = re.search(r"restarted from step (\d+)", run.log()), table(run, "each.csv")[1]
    expect(restored and run.report()["restarts"] == 1 and 2 < len(there) < 700, counts)
    expect(min(there) <= int(restored[1]) < max(there), counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
