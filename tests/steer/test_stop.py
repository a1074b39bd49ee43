#!/usr/bin/python3
# weir-test: timeout=120
"""A rule ends the run. That a worker is killed between the decision and the end changes nothing: the run ends at the same step,
with the same bytes."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
from runs import LOG, STEERING, Fault, Run, Setting, outputs, send  # noqa: E402
import signal  # noqa: E402

DELAY, DECIDED = 60, 200
STOPPING = STEERING.replace("delay: 3", f"delay: {DELAY}") + f"  - when: step > {DECIDED}\n    stop: yes\n"


def stopped(setting, name, workers, kills):
    run = Run(setting, name, "steered", workers, 1, steering=STOPPING, policy="when_full: block, timeout: 1 min, slots: 64",
              checkpoint="every: 5 steps")
    run.start()
    if kills:
        run.until((DECIDED + DELAY / 4) / 400)
        send(run.until_processes("workers")[:1], signal.SIGKILL)
    run.expect(run.wait(), [0])
    if kills and "restarted from" not in run.log():
        raise Fault(f"no worker was killed\n{run.log()}")
    return outputs(run.folder, LOG), run


def main():
    setting = Setting(os.environ["WEIR_BUILD"])
    if not os.path.exists(setting.steps):
        print("skipped: this build has no driver_faults")
        return 77
    whole, run = stopped(setting, "whole", 1, False)
    with open(run.path("level.csv"), encoding="utf-8") as file:
        last = int(file.read().splitlines()[-1].split(",")[0])
    if last != DECIDED + DELAY:
        raise Fault(f"the last step is {last}, expected {DECIDED + DELAY}\n{run.log()}")
    for workers in (1, 2) if setting.mpi else (1,):
        again, run = stopped(setting, f"killed-{workers}", workers, True)
        if again != whole:
            raise Fault(f"{workers} workers: other bytes\n{run.log()}")
        print(f"{workers} workers, one killed between the decision and the end: the last step is {last}, all bytes the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
