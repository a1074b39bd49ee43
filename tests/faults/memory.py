"""The memory of a worker over many steps: flat, and what `weir check` says."""
import os
import re
import subprocess
import sys
import time

from runs import Fault, Processes, Run, Setting

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


class Long(Run):
    """Series operators that keep many earlier steps."""
    recipe = """run: faults
stream:
  simulation: {policy: {when_full: block, timeout: 2 min, slots: %(slots)d}}
  chunks: {y: 64, x: 64}
fields:
  avg:    running_mean(u, 40)
  level:  mean(avg - lag(u, 20))
outputs:
  - csv:  {path: level.csv, fields: [level, "max(time_var(u))"]}
checkpoint: %(keeps)s
"""

    def __init__(self, setting, name, points, steps, pause_us=0, **values):
        self.points, self.steps, self.pause_us = points, steps, pause_us
        super().__init__(setting, name, "steps", 1, 1, **values)

    def command(self, restart=False):
        return [self.setting.steps, str(self.points), str(self.steps), "1", str(self.pause_us), "kept", "0"]


def resident(pid):
    """(private, shared) bytes of a process; None: it has gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            found = dict(re.findall(r"^(RssAnon|RssShmem):\s+(\d+) kB", file.read(), re.M))
        return int(found["RssAnon"]) * 1024, int(found["RssShmem"]) * 1024
    except (OSError, KeyError):
        return None


def planned(setting, run):
    """(plan, shared memory) in bytes as `weir check` says them, from the schema that the run left."""
    text = subprocess.run([setting.weir, "check", "r.yaml"], cwd=run.folder, text=True, stdout=subprocess.PIPE, check=True).stdout
    plan = re.search(r"^worker .*memory\s*\n\s*0\s.*?([\d.]+) (B|KiB|MiB|GiB)\s*$", re.sub(r"^ +", "", text, flags=re.M), re.M)
    shared = re.search(r"([\d.]+) (B|KiB|MiB|GiB) of shared memory", text)
    if not plan or not shared:
        raise Fault(f"weir check does not say how much memory there is:\n{text}")
    return [float(found[1]) * UNITS[found[2]] for found in (plan, shared)]


def measure(setting, name, points, steps, **values):
    """Private and shared memory of the worker at (step, private, shared) all along the run, and what was planned."""
    run = Long(setting, name, points, steps, **values)
    samples = []
    run.start()
    while run.process.poll() is None:
        workers = Processes(run.directory).workers
        now = resident(workers[0]) if workers else None
        if now and run.step():
            samples.append((run.step(), *now))
        time.sleep(0.1)
    run.expect(run.process.returncode, [0])
    told = run.told()
    if told["steps"] != steps:
        raise Fault(f"the simulation did {told['steps']} steps")
    plan, shared = planned(setting, run)
    return run, samples, plan, shared, told["segment"]


def check(points, steps, least_plan, **values):
    setting = Setting(os.environ["WEIR_BUILD"])
    if not os.path.exists(setting.steps):
        print("skipped: the simulation is not built")
        sys.exit(77)
    if setting.sanitized:
        print("skipped: a sanitizer keeps memory of its own")
        sys.exit(77)
    small = measure(setting, "small", 8, 1000, pause_us=1000, **values)
    base = max(sample[1] for sample in small[1]) - small[2]  # what a worker with next to nothing has: libraries, threads
    run, samples, plan, shared, segment = measure(setting, "large", points, steps, **values)
    late = [sample for sample in samples if sample[0] > 0.2 * steps][:-3]  # in the end it gives its memory back
    if len(late) < 5:
        raise Fault(f"only {len(late)} measurements of the run")
    low, high = min(s[1] for s in late), max(s[1] for s in late)
    most = max(s[2] for s in late)
    print(f"{steps} steps, {len(samples)} measurements: private {low / 2**20:.1f} to {high / 2**20:.1f} MiB, of which "
          f"{base / 2**20:.1f} without a plan; plan {plan / 2**20:.1f} MiB; shared {most / 2**20:.1f}, segment "
          f"{segment / 2**20:.1f}, planned {shared / 2**20:.1f} MiB")
    if plan < least_plan:
        raise Fault(f"a plan of {plan} bytes shows nothing")
    if high - low > max(0.02 * plan, 2**20):
        raise Fault(f"memory grows: {low} to {high} bytes, {[s for s in samples][::max(1, len(samples) // 20)]}")
    if abs(high - base - plan) > 0.2 * plan + 2**20:
        raise Fault(f"{high - base} bytes, but weir check says {plan}")
    if abs(segment - shared) > 0.2 * shared + 2**18 or most > 1.2 * segment + 2**20:
        raise Fault(f"{segment} bytes of shared memory, of which the worker has {most}, but weir check says {shared}")
