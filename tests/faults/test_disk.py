#!/usr/bin/python3
# weir-test: timeout=200
"""Disks that are full or read-only while a simulation runs: the outputs', the run directory's. The simulation does all of its
steps in its time, what does not need that disk is the same, and what was written is whole. Needs the right to mount."""
import os
import subprocess
import sys
import tempfile
import time

import numpy
import zarr

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runs import LOG, Fault, Run, Setting, outputs  # noqa: E402


class Disk:
    """A small file system in memory, in the folder of a run."""

    def __init__(self, folder, size):
        self.path = os.path.join(folder, "small")
        os.mkdir(self.path)
        self.here = not subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "weir-small", self.path],
                                       stderr=subprocess.DEVNULL, check=False).returncode

    def fill(self):
        """More than once: files that are replaced by others make room, enough for the next ones of their kind."""
        for _ in range(20):
            with open(os.path.join(self.path, "filler"), "ab", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass
            time.sleep(0.01)

    def read_only(self):
        """As far as it lets itself be while files are written; then all is as it was."""
        for _ in range(200):
            if not subprocess.run(["mount", "-o", "remount,ro", self.path], stderr=subprocess.DEVNULL, check=False).returncode:
                return True
            time.sleep(0.005)
        return False

    def leave(self):
        if self.here:
            subprocess.run(["umount", "-l", self.path], check=False)


def store_is_whole(run, path, reference):
    """Time levels that the store shows are those of the undisturbed run, or missing chunk by chunk."""
    if not os.path.exists(os.path.join(path, ".zgroup")):
        return 0
    mine, theirs = zarr.open(path, mode="r"), zarr.open(os.path.join(reference, "fields.zarr"), mode="r")
    levels = mine["avg"].shape[0]
    for name in ("avg", "change"):
        have, whole = mine[name][:], theirs[name][:levels]
        differs = ~((have == whole) | numpy.isnan(have))
        if have.shape != whole.shape or differs.any():
            raise Fault(f"{path}/{name} has other values\n{run.log()}")
    return levels


def table_is_same(run, reference):
    with open(run.path("level.csv"), "rb") as mine, open(os.path.join(reference, "level.csv"), "rb") as theirs:
        if mine.read() != theirs.read():
            raise Fault(f"level.csv, on another disk, differs\n{run.log()}")


def outputs_disk(setting, name, harm, ranks, workers):
    """The store's disk is harmed in the middle; the table is elsewhere."""
    run = Run(setting, name, "steps", workers, ranks, store="small/fields.zarr")
    disk = Disk(run.folder, "4m")
    try:
        run.start()
        if not run.until(0.3) or not getattr(disk, harm)() and harm == "read_only":
            raise Fault("the disk could not be harmed")
        run.expect(run.wait(), [1])
        told = run.expect_simulation()
        reference = os.path.join(setting.folder, "reference-steps")
        table_is_same(run, reference)
        levels = store_is_whole(run, os.path.join(disk.path, "fields.zarr"), reference)
        run.expect_clean(["checkpoint"])
        failed = run.report()["failed"]
        if [f["field"] for f in failed] != ["small/fields.zarr"]:
            raise Fault(f"the report says {failed}\n{run.log()}")
        print(f"{name:22s} simulation {told['seconds']:.2f} s, {levels} levels in the store; {failed[0]['message']}", flush=True)
    finally:
        disk.leave()


def run_disk(setting, name, size, fills, ranks, workers):
    """The run directory's disk is too small for checkpoints, or full from some moment on: outputs are elsewhere."""
    run = Run(setting, name, "steps", workers, ranks)
    disk = Disk(run.folder, size)
    run.directory = os.path.join(os.path.realpath(disk.path), "faults.run")
    try:
        run.start("--dir", run.directory)
        if fills:
            run.until(0.3)
            disk.fill()
        status = run.wait()
        told = run.expect_simulation()
        have, whole = outputs(run.folder), dict(setting.reference("steps")[0])
        whole.pop(LOG, None)  # on the small disk
        if have != whole:
            raise Fault(f"outputs on another disk differ\n{run.log()}")
        run.expect(status, [0, 1] if fills else [0])  # 1: the report could not be written
        with open(run.path("err1"), encoding="utf-8") as file:
            said = [line.strip() for line in file if "No space left" in line]
        if not said:
            raise Fault(f"it was not said that there is no room\n{run.log()}")
        print(f"{name:22s} simulation {told['seconds']:.2f} s, exit status {status}; {said[0]}", flush=True)
    finally:
        disk.leave()


def main():
    setting = Setting(os.environ["WEIR_BUILD"])
    probe = tempfile.mkdtemp(dir=setting.folder)
    disk = Disk(probe, "1m")
    disk.leave()
    if not disk.here or not os.path.exists(setting.steps):
        print("skipped: no right to mount a file system")
        return 77
    setting.reference("steps")
    for workers, ranks in ((1, 1), (2, 2)) if setting.mpi else ((1, 1),):
        of = f"-{workers}-{ranks}"
        outputs_disk(setting, "store-full" + of, "fill", ranks, workers)
        outputs_disk(setting, "store-read-only" + of, "read_only", ranks, workers)
        run_disk(setting, "run-small" + of, "250k", False, ranks, workers)
        run_disk(setting, "run-full" + of, "4m", True, ranks, workers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
