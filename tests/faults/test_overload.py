#!/usr/bin/python3
# weir-test: timeout=300
"""Workers four times slower than the simulation, under each policy: how long the simulation takes, which steps are lost
(whole ones, all of them in the report), which bytes the others have; and an operator that fails at one step."""
import csv
import json
import os
import subprocess
import sys

import numpy
import zarr

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runs import Fault, Run, Setting, compile_operators, outputs  # noqa: E402

STEPS, STEP_MS, SLOW = 140, 5, 4
STEP_BYTES = 48 * 48 * 8


class Slow(Run):
    threads = 0  # one task at a time
    recipe = """run: faults
operators: [%(operators)s]
stream:
  simulation: {policy: {%(policy)s}}
  chunks: {y: 48, x: 48}
fields:
  late:  slow(u, %(ms)g)
  level: mean(late)
  bad:   failing(u, %(bad)d)
outputs:
  - csv:  {path: level.csv, fields: [level, "max(late)"]}
  - csv:  {path: bad.csv, fields: ["mean(bad)"]}
  - zarr: {path: fields.zarr, fields: [late, level]}
"""

    def command(self, restart=False):
        return [self.setting.steps, "48", str(STEPS), "1", str(STEP_MS * 1000), "kept", "0"]


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        lines = [line for line in csv.reader(file)]
    end = -1 if lines[0][-1] == "missing" else None  # why steps are missing: test_missing.py
    return {int(line[0]): line[2:end] for line in lines[1:]}


def check_rest(run, reference):
    """Whole steps or none: a step has all its values in all outputs, those of the undisturbed run, or none in any. How
    many were lost."""
    have, whole = rows(run.path("level.csv")), rows(reference.path("level.csv"))
    lost = {step for step, values in have.items() if set(values) == {""}} | set(whole) - set(have)
    if any(have[step] != values for step, values in whole.items() if step not in lost):
        raise Fault("level.csv has other values")
    bad = rows(run.path("bad.csv"))
    if lost != {step for step, values in bad.items() if set(values) == {""}} | set(whole) - set(bad):
        raise Fault("a step is in one table and not in the other")
    mine, theirs = (zarr.open(r.path("fields.zarr"), mode="r") for r in (run, reference))
    late = mine["late"][:]
    for at, step in enumerate(int(s) for s in mine["step"][:]):
        if step in lost and not numpy.isnan(late[at]).all():
            raise Fault(f"step {step} was lost, but is in the store")
        if step not in lost and not numpy.array_equal(late[at], theirs["late"][step - 1]):
            raise Fault(f"fields.zarr has other values at step {step}")
    gaps = run.report()["missing"]
    if sum(gap["count"] for gap in gaps) != len(lost) or \
            any(not any(gap["from"] <= step <= gap["to"] for gap in gaps) for step in lost):
        raise Fault(f"{sorted(lost)} are lost; the report says {gaps}")
    return len(lost)


def peak(run):
    return max(worker["memory_bytes"] for worker in run.report()["workers"])


def one(setting, operators, name, policy, workers, ranks, ms=SLOW * STEP_MS, bad=0, status=0):
    run = Slow(setting, name, "steps", workers, ranks, operators=operators, policy=policy, ms=ms, bad=bad)
    run.start()
    run.expect(run.wait(), [status])
    told = run.told()
    print(f"{name:18s} simulation {told['seconds']:.2f} s, waited {told['blocked']:.2f} s; {told['dropped']} dropped, "
          f"{told['spilled']} spilled; worker {peak(run) / 2**20:.1f} MiB, shared {told['segment'] / 2**20:.2f} MiB", flush=True)
    return run, told


def expect(condition, what, run):
    if not condition:
        raise Fault(f"{what}\n{run.log()}")


def main():
    setting = Setting(os.environ["WEIR_BUILD"])
    operators = compile_operators(setting.folder)
    if not operators or not os.path.exists(setting.steps):
        print("skipped: no C compiler")
        return 77
    alone = subprocess.run(Slow(setting, "alone", "steps", 1, 1, operators="", policy="", ms=0, bad=0).command(), text=True,
                           cwd=setting.folder, stdout=subprocess.PIPE, check=True).stdout
    alone = json.loads(alone)
    print(f"alone              {alone['seconds']:.2f} s")
    for workers, ranks in ((1, 1), (2, 2)) if setting.mpi else ((1, 1),):
        policies(setting, operators, alone, workers, ranks)
        failure(setting, operators, workers, ranks)
    return 0


def policies(setting, operators, alone, workers, ranks):
    of = f"-{workers}-{ranks}"
    reference, told = one(setting, operators, "reference" + of, "when_full: block, timeout: 2 min, slots: 4", workers, ranks, ms=0)
    whole = outputs(reference.folder, provenance=False)
    expect(told["sum"] == alone["sum"], "the simulation computed something else", reference)
    fast = 2 * max(alone["seconds"], told["seconds"]) + 0.5  # of a simulation that never waits, on a busy machine
    slow = 0.8 * (STEPS - 20) * SLOW * STEP_MS * 1e-3
    memory = 1.3 * peak(reference)

    run, told = one(setting, operators, "block" + of, "when_full: block, timeout: 2 min, slots: 4", workers, ranks)
    expect(told["sum"] == alone["sum"] and told["dropped"] == 0, "block: steps are lost", run)
    expect(told["seconds"] > slow, f"block: {told['seconds']} s, but it has to wait", run)
    expect(outputs(run.folder, provenance=False) == whole, "block: other bytes", run)
    expect(peak(run) < memory, f"block: {peak(run)} bytes of memory", run)

    for policy in ("drop_newest", "drop_oldest"):
        run, told = one(setting, operators, policy + of, f"when_full: {policy}, slots: 4", workers, ranks)
        expect(told["sum"] == alone["sum"] and told["seconds"] < fast and told["blocked"] < 0.05, f"{policy}: it waited", run)
        lost = check_rest(run, reference)
        expect(STEPS / 3 < lost < STEPS, f"{policy}: {lost} lost", run)
        counted = run.report()["dropped_steps"] + run.report()["partial_steps"]
        expect(counted == lost, f"{policy}: {lost} lost, the report counts {counted}", run)
        torn = run.report()["partial_steps"]  # a few at the end: processes do not come to it at the same step
        expect(torn <= 4, f"{policy}: the processes left out other steps, {torn} are torn", run)
        expect(peak(run) < memory, f"{policy}: {peak(run)} bytes of memory", run)

    run, told = one(setting, operators, "spill" + of, "when_full: spill, slots: 4, capacity: 100 MB, timeout: 2 min", workers,
                    ranks)
    expect(told["sum"] == alone["sum"] and told["seconds"] < fast and told["blocked"] < 0.05, "spill: it waited", run)
    expect(told["dropped"] == 0 and told["spilled"] > STEPS / 3, "spill: steps are lost, or none spilled", run)
    expect(outputs(run.folder, provenance=False) == whole, "spill: other bytes", run)
    expect(peak(run) < memory, f"spill: {peak(run)} bytes of memory", run)

    # room for 20 steps, then it waits
    run, told = one(setting, operators, "spill-little" + of,
                    f"when_full: spill, slots: 4, capacity: {20 * STEP_BYTES // ranks + 65536} B, timeout: 2 min", workers, ranks)
    expect(told["dropped"] == 0 and 0 < told["spilled"] and told["seconds"] > 0.5 * slow, "spill: it has to wait", run)
    expect(outputs(run.folder, provenance=False) == whole, "spill with little room: other bytes", run)

    # waits once, then leaves steps out
    run, told = one(setting, operators, "block-drop" + of, "when_full: block, slots: 4, timeout: 0.01 s, fallback: drop",
                    workers, ranks)
    expect(told["sum"] == alone["sum"] and told["seconds"] < slow, f"block, then drop: {told['seconds']} s", run)
    check_rest(run, reference)


def failure(setting, operators, workers, ranks):
    """What does not depend on an operator that fails at step 77 has the bytes of the undisturbed run."""
    of = f"-{workers}-{ranks}"
    run, told = one(setting, operators, "failing" + of, "when_full: block, timeout: 2 min, slots: 4", workers, ranks, ms=0, bad=77,
                    status=1)
    reference = os.path.join(setting.folder, "reference" + of)
    expect(outputs(run.folder, provenance=False) == outputs(reference, provenance=False), "an operator failed: other bytes", run)
    have, whole = rows(run.path("bad.csv")), rows(os.path.join(reference, "bad.csv"))
    expect(have[77] == [""] and {**have, 77: whole[77]} == whole, "an operator failed: other rows", run)
    failed = run.report()["failed"]
    expect([(f["field"], f["steps"], f["first_step"]) for f in failed] == [("bad", 1, 77)], f"the report says {failed}", run)


if __name__ == "__main__":
    sys.exit(main())
