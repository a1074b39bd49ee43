#!/usr/bin/python3
"""Kills and stops processes of runs at random, and looks whether anything was harmed or lost.

    faults.py [--trials N] [--seed S] [--kinds a,b,...] [--workers 1,2,3] [--ranks 1,2] [--simulations steps,heat]
              [--build DIR] [--keep] [--table]

A trial is one run of `weir run` in a folder of its own, with one kind of fault at a random moment. It is made from one number,
which is printed: `faults.py --trials 1 --seed NUMBER` does it again (the moment to some milliseconds). After it these must hold:

  - the simulation has computed all its steps, in every trial in which it was not itself the victim;
  - the outputs are the bytes of an undisturbed run, all files of them;
  - the exit status is the one documented;
  - no process of the run is left, nothing of weir in /dev/shm, and only what is worth keeping in the run directory.

`faults.py --help` lists the kinds."""
import argparse
import atexit
import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

STEPS, EVERY_US, POINTS = 400, 5000, 48  # of the simulation `steps`: 2 s
LATE_S = int(os.environ.get("WEIR_FAULTS_LATE", "60"))  # a run that takes longer hangs
KEPT = {"recipe.yaml", "run.json", "schema.yaml", "report.json"}  # in the run directory of a complete run

RECIPE = """run: faults
stream:
  simulation:
    policy: {%(policy)s}%(restart)s
  chunks: {y: 13, x: 17}
fields:
  avg:     running_mean(%(field)s, 5)
  change:  %(field)s - lag(%(field)s, 3)
  level:   mean(%(field)s)
  slow:    mean(time_mean(%(field)s))
outputs:
  - csv:  {path: level.csv, fields: [level, slow, mean(change), max(avg)]}
  - zarr: {path: fields.zarr, fields: [avg, change], every: %(every)d}
checkpoint: {%(checkpoint)s}
recovery: {retries: %(retries)d, backoff: %(backoff)s, heartbeat: %(heartbeat)s}
"""
DEFAULTS = {"policy": "when_full: block, timeout: 2 min, slots: 8", "restart": "", "field": "u", "every": 3,
            "checkpoint": "every: 0.3 s", "retries": 9, "backoff": "0.2", "heartbeat": "2 s"}


class Fault(Exception):
    """What a trial found wrong."""


# ---- processes ----

def processes():
    """(pid, command line, environment) of the processes that can be read and are no zombies."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                if file.read().rsplit(")", 1)[1].split()[0] in "ZX":
                    continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                line = file.read().decode(errors="replace").split("\0")
            with open(f"/proc/{name}/environ", "rb") as file:
                environment = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        yield int(name), line, environment


def is_launcher(line):
    return os.path.basename(line[0]).startswith(("mpirun", "mpiexec", "orterun", "orted", "hydra", "prte"))


class Processes:
    """Those of one run, by the part they have in it."""

    def __init__(self, directory):
        self.workers, self.launcher, self.simulation, self.all = [], [], [], []
        for pid, line, environment in processes():
            if f"WEIR_RUN={directory}" not in environment:
                continue
            self.all.append(pid)
            if is_launcher(line):
                if "worker" in line:
                    self.launcher.append(pid)
            elif line[1:3] == ["worker", directory]:
                self.workers.append(pid)
            elif os.path.basename(line[0]) in ("driver_faults", "heat2d"):
                self.simulation.append(pid)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def stacks(pids):
    """Of all threads, for the log of a run that hangs."""
    text = ""
    for pid in pids:
        if shutil.which("gdb"):
            text += subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False).stdout
        else:
            with open(f"/proc/{pid}/wchan", encoding="utf-8") as file:
                text += f"process {pid} waits in {file.read()}\n"
    return text


# ---- runs ----

class Setting:
    """Where the programs are, and undisturbed runs that were made already."""

    def __init__(self, build):
        self.weir = os.path.join(build, "bin", "weir")
        self.heat = os.path.join(build, "bin", "heat2d")
        self.steps = os.path.join(build, "tests", "driver_faults")
        self.folder = tempfile.mkdtemp(prefix="weir-faults.", dir=os.environ.get("TMPDIR", "/tmp"))
        self.references = {}
        self.keep = False
        atexit.register(lambda: None if self.keep else shutil.rmtree(self.folder, ignore_errors=True))
        version = subprocess.run([self.weir, "version"], text=True, stdout=subprocess.PIPE, check=True).stdout
        self.mpi = not re.search(r"MPI +none", version)

    def reference(self, simulation):
        """(files, check sum or message of the simulation, seconds) of an undisturbed run."""
        if simulation not in self.references:
            run = Run(self, f"reference-{simulation}", simulation, 1, 1)
            run.start()
            if run.wait() != 0:
                raise Fault(f"the undisturbed run failed: {run.log()}")
            self.references[simulation] = (outputs(run.folder), run.told(), time.monotonic() - run.began)
        return self.references[simulation]


def outputs(folder):
    """A hash of each file of the outputs."""
    files = {}
    for top in ("level.csv", "fields.zarr"):
        path = os.path.join(folder, top)
        names = [path] if os.path.isfile(path) else [os.path.join(d, f) for d, _, fs in os.walk(path) for f in fs]
        for name in names:
            with open(name, "rb") as file:
                files[os.path.relpath(name, folder)] = hashlib.sha256(file.read()).hexdigest()
    return files


class Run:
    """One `weir run` in a folder of its own."""

    def __init__(self, setting, name, simulation, workers, ranks, **recipe):
        self.setting, self.simulation, self.workers, self.ranks = setting, simulation, workers, ranks
        self.folder = os.path.join(setting.folder, name)
        self.directory = os.path.join(os.path.realpath(setting.folder), name, "faults.run")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        values = {**DEFAULTS, "field": "u" if simulation == "steps" else "temperature", **recipe}
        with open(os.path.join(self.folder, "r.yaml"), "w", encoding="utf-8") as file:
            file.write(RECIPE % values)
        self.process, self.began, self.parts = None, 0.0, 0

    def command(self, restart=False):
        if self.simulation == "heat":
            return [self.setting.heat, "64", "64", "1500", "2"]
        return [self.setting.steps, str(POINTS), str(STEPS), "1", str(EVERY_US), "kept", "25"] + ["restart"] * restart

    def start(self, *options, restart=False):
        self.parts += 1
        ranks = ["--ranks", str(self.ranks)] if self.setting.mpi and self.ranks > 1 else []
        line = [self.setting.weir, "run", "r.yaml", "--workers", str(self.workers), "--threads", "1", *ranks, *options, "--",
                *self.command(restart)]
        with open(self.path(f"out{self.parts}"), "wb") as out, open(self.path(f"err{self.parts}"), "wb") as err:
            self.process = subprocess.Popen(line, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True)
        self.began = time.monotonic()

    def path(self, name):
        return os.path.join(self.folder, name)

    def wait(self):
        """The exit status; a run that hangs is a fault, with what its processes do."""
        try:
            return self.process.wait(LATE_S)
        except subprocess.TimeoutExpired:
            left = Processes(self.directory).all
            text = stacks([self.process.pid] + left)
            send([self.process.pid] + left, signal.SIGKILL)
            self.process.wait()
            with open(self.path("stacks"), "w", encoding="utf-8") as file:
                file.write(text)
            raise Fault(f"hangs; see stacks\n{self.log()}") from None

    def log(self):
        text = ""
        for part in range(1, self.parts + 1):
            for name in (f"out{part}", f"err{part}"):
                with open(self.path(name), encoding="utf-8", errors="replace") as file:
                    text += f"--- {name}\n{file.read()}"
        return text

    def told(self):
        """What the simulation said at its end; None: it did not come so far."""
        with open(self.path(f"out{self.parts}"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        if self.simulation == "heat":
            found = [line.split(" on ")[0] for line in lines if line.startswith("heat2d: ")]
            return {"steps": found[-1], "sum": ""} if found else None
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return found[-1] if found else None

    def step(self):
        """How many steps are done, as the workers say; 0: none."""
        try:
            with open(os.path.join(self.directory, "status"), encoding="utf-8") as file:
                return json.load(file)["steps"]
        except (OSError, ValueError, KeyError):
            return 0

    def until(self, fraction):
        """Wait until so much of the run is done (below 0: so many seconds after the start). False: it ended before."""
        total = STEPS if self.simulation == "steps" else 750
        due = self.began - fraction
        while self.process.poll() is None:
            if (time.monotonic() >= due) if fraction < 0 else self.step() >= fraction * total:
                return True
            time.sleep(0.005)
        return False

    def until_processes(self, which, seconds=10.0, but=()):
        """The processes of that part of the run, waited for; [] when the run ends or they do not come."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            found = getattr(Processes(self.directory), which)
            if found and not set(found) & set(but):
                return found
            time.sleep(0.005)
        return []

    # ---- what must hold afterwards ----

    def expect(self, status, expected):
        if status not in expected:
            raise Fault(f"exit status {status}, expected {' or '.join(map(str, expected))}\n{self.log()}")

    def expect_simulation(self):
        told, whole = self.told(), self.setting.reference(self.simulation)[1]
        if not told:
            raise Fault(f"the simulation did not finish\n{self.log()}")
        for key in ("steps", "sum"):
            if told[key] != whole[key]:
                raise Fault(f"the simulation's {key}: {told[key]}, expected {whole[key]}\n{self.log()}")
        return told

    def expect_outputs(self):
        have, whole = outputs(self.folder), self.setting.reference(self.simulation)[0]
        wrong = sorted(name for name in set(have) | set(whole) if have.get(name) != whole.get(name))
        if wrong:
            kinds = [("missing " if n not in have else "more " if n not in whole else "differs ") + n for n in wrong[:8]]
            raise Fault(f"{len(wrong)} of {len(whole)} files: {', '.join(kinds)}\n{self.log()}")

    def expect_prefix(self):
        """Rows of the table are the first ones of the undisturbed run, whole; chunks are those, too."""
        with open(self.path("level.csv"), "rb") as file:
            have = file.read()
        with open(os.path.join(self.setting.folder, f"reference-{self.simulation}", "level.csv"), "rb") as file:
            whole = file.read()
        if not whole.startswith(have) or (have and not have.endswith(b"\n")):
            raise Fault(f"level.csv is not the beginning of the undisturbed one: ... {have[-200:]!r}\n{self.log()}")
        mine, reference = outputs(self.folder), self.setting.reference(self.simulation)[0]
        for name, digest in mine.items():
            if name.rsplit("/", 1)[-1][:1].isdigit() and "/step/" not in name and "/time/" not in name \
                    and digest != reference.get(name):
                raise Fault(f"{name} differs from the undisturbed run\n{self.log()}")

    def expect_clean(self, kept=()):
        left = [f"{pid} {' '.join(line)}" for pid, line, environment in processes()
                if f"WEIR_RUN={self.directory}" in environment]
        if left:
            send(Processes(self.directory).all, signal.SIGKILL)
            raise Fault(f"processes are left: {'; '.join(left)}\n{self.log()}")
        names = set(os.listdir(self.directory)) - KEPT - set(kept)
        if names:
            raise Fault(f"left in the run directory: {', '.join(sorted(names))}\n{self.log()}")
        names = [name for name in os.listdir("/dev/shm") if "weir" in name]
        if names:
            raise Fault(f"left in /dev/shm: {', '.join(names)}\n{self.log()}")


# ---- kinds of trials ----

KINDS = {}


def kind(*simulations, least_workers=1):
    def note(function):
        KINDS[function.__name__] = (function, simulations or ("steps", "heat"), least_workers)
        return function
    return note


def whole(run):
    """A run that was disturbed and lost nothing."""
    run.expect(run.wait(), [0])
    run.expect_simulation()
    run.expect_outputs()
    run.expect_clean()


def moment(rng):
    """Mostly when some part is done; sometimes seconds after the start (negative), before the first step."""
    return rng.uniform(0.0, 0.95) if rng.random() < 0.8 else -rng.uniform(0.0, 0.6)


def strike(run, rng, which, number=signal.SIGKILL, everybody=False, but=()):
    """Send a signal to one, or all, of the processes of a part of the run, `but` those; they are waited for. Whom it
    met."""
    found = sorted(run.until_processes(which, but=but))
    victims = found if everybody else [rng.choice(found)] if found else []
    send(victims, number)
    return victims


@kind()
def kill_worker(run, rng):
    """a worker is killed"""
    run.start()
    if run.until(moment(rng)):
        strike(run, rng, "workers")
    whole(run)


@kind()
def kill_all_workers(run, rng):
    """all workers are killed at once"""
    run.start()
    if run.until(moment(rng)):
        strike(run, rng, "workers", everybody=True)
    whole(run)


@kind(least_workers=2)
def kill_launcher(run, rng):
    """the MPI launcher of the workers is killed"""
    run.start()
    if run.until(moment(rng)):
        strike(run, rng, "launcher")
    whole(run)


@kind()
def kill_worker_twice(run, rng):
    """a worker is killed, and one of the next ones soon after they were started"""
    run.start()
    if run.until(moment(rng)):
        first = strike(run, rng, "workers")
        time.sleep(rng.uniform(0.0, 0.2))
        if run.until_processes("workers", 3, but=first):
            time.sleep(rng.uniform(0.0, 0.5))
            strike(run, rng, "workers")
    whole(run)


@kind()
def stop_worker(run, rng):
    """a worker is stopped (SIGSTOP): the heartbeat finds it"""
    run.start()
    if run.until(rng.uniform(0.02, 0.9)):  # the heartbeat begins with the first step
        strike(run, rng, "workers", signal.SIGSTOP)
    whole(run)


@kind()
def pause_worker(run, rng):
    """a worker is stopped, and goes on before the heartbeat is missed"""
    run.start()
    if run.until(moment(rng)):
        victims = strike(run, rng, "workers", signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 1.2))
        send(victims, signal.SIGCONT)
    whole(run)


@kind("steps")
def kill_simulation(run, rng):
    """a process of the simulation is killed; what was published is finished; --resume with the simulation restarted"""
    run.start()
    met = run.until(rng.uniform(0.1, 0.9)) and strike(run, rng, "simulation")
    status = run.wait()
    if met and not run.told():
        run.expect(status, [137])
        run.expect_prefix()
        run.expect_clean(["checkpoint"])
        run.start("--resume", restart=os.path.exists(run.path("kept.last")))
    whole(run)


@kind("steps")
def kill_simulation_and_worker(run, rng):
    """a worker and a process of the simulation are killed; --resume with the simulation restarted"""
    run.start()
    met = False
    if run.until(rng.uniform(0.1, 0.9)):
        first, second = rng.sample(["workers", "simulation"], 2)
        met = strike(run, rng, first)
        time.sleep(rng.uniform(0.0, 0.4))
        met = strike(run, rng, second) and met
    status = run.wait()
    if met and not run.told():
        run.expect(status, [137])
        run.expect_prefix()
        run.expect_clean(["checkpoint"])
        run.start("--resume", restart=os.path.exists(run.path("kept.last")))
    whole(run)


@kind("steps")
def restart_simulation(run, rng):
    """a process of the simulation is killed; `restart:` of the recipe starts it again from its own checkpoint"""
    run.start()
    if run.until(rng.uniform(0.1, 0.9)) and os.path.exists(run.path("kept.last")):
        strike(run, rng, "simulation")
    whole(run)


@kind()
def stop_simulation(run, rng):
    """a process of the simulation is stopped for a while"""
    run.start()
    if run.until(moment(rng)):
        victims = strike(run, rng, "simulation", signal.SIGSTOP)
        time.sleep(rng.uniform(0.2, 3.5))  # also longer than the heartbeat of the workers
        send(victims, signal.SIGCONT)
    whole(run)


def wait_left(run):
    """After the supervisor's death: until the others have ended by themselves."""
    end = time.monotonic() + LATE_S
    while Processes(run.directory).all:
        if time.monotonic() > end:
            left = Processes(run.directory).all
            text = stacks(left)
            send(left, signal.SIGKILL)
            with open(run.path("stacks"), "w", encoding="utf-8") as file:
                file.write(text)
            raise Fault(f"processes hang after the supervisor's death; see stacks\n{run.log()}")
        time.sleep(0.05)


@kind("steps")
def kill_supervisor(run, rng):
    """weir run itself is killed: workers and simulation end by themselves; --resume afterwards finds all complete"""
    run.start()
    met = run.until(moment(rng)) and run.process.poll() is None
    if met:
        run.process.kill()
    status = run.wait()
    if met and status:
        wait_left(run)
        told = run.told()
        if not told:
            raise Fault(f"the simulation did not finish\n{run.log()}")
    run.start("--resume")
    run.expect(run.wait(), [0])
    run.expect_outputs()
    run.expect_clean()


@kind("steps")
def kill_supervisor_and_worker(run, rng):
    """weir run is killed, and a worker, too, which nobody replaces: the simulation goes on without analysis after the
    time-out of the policy; --resume afterwards"""
    run.start()
    met = run.until(rng.uniform(0.0, 0.9)) and run.process.poll() is None
    if met:
        run.process.kill()
        time.sleep(rng.uniform(0.0, 0.2))
        strike(run, rng, "workers")
    run.wait()
    wait_left(run)
    run.expect_simulation()
    run.expect_prefix()
    run.start("--resume")
    whole(run)


@kind()
def exhaust_retries(run, rng):
    """workers are killed as often as they come: the simulation goes on without analysis"""
    run.start()
    kills = 0
    if run.until(rng.uniform(0.0, 0.5)):
        victims = []
        while kills <= 2 and (victims := strike(run, rng, "workers", everybody=True, but=victims)):
            kills += 1
    status = run.wait()
    if kills <= 2:  # the run was over before
        return
    run.expect(status, [1])
    run.expect_simulation()
    run.expect_prefix()
    run.expect_clean(["checkpoint"])


# what differs in the recipe
RECIPES = {
    "restart_simulation": {"restart": "\n    restart: yes"},
    "kill_supervisor_and_worker": {"policy": "when_full: block, timeout: 3 s, slots: 8"},
    "exhaust_retries": {"retries": 2, "backoff": "0.1"},
}

Trial = collections.namedtuple("Trial", "number kind simulation workers ranks")
Result = collections.namedtuple("Result", "trial message seconds")


def plan(number, kinds, workers, ranks, simulations, mpi):
    """The trial that a number stands for, among those that may be."""
    rng = random.Random(number)
    name = kinds[number % len(kinds)]
    _, allowed, least = KINDS[name]
    some = [w for w in workers if w >= least] or [least]
    return Trial(number, name, rng.choice([s for s in simulations if s in allowed] or allowed),
                 rng.choice(some) if mpi else 1, rng.choice(ranks) if mpi else 1), rng


def one(setting, trial, rng):
    """Do a trial: None, or what was wrong."""
    run = Run(setting, f"trial-{trial.number}", trial.simulation, trial.workers, trial.ranks, **RECIPES.get(trial.kind, {}))
    setting.reference(trial.simulation)
    try:
        KINDS[trial.kind][0](run, rng)
    except Fault as fault:
        return str(fault)
    finally:
        if run.process and run.process.poll() is None:
            run.process.kill()
        send(Processes(run.directory).all, signal.SIGKILL)
    shutil.rmtree(run.folder)
    return None


def trials(setting, numbers, kinds, workers=(1, 2, 3), ranks=(1, 2), simulations=("steps", "heat"), until=None):
    """Do the trials of these numbers, as many as there is time for (`until`: monotonic); the results."""
    results = []
    for number in numbers:
        trial, rng = plan(number, list(kinds), workers, ranks, simulations, setting.mpi)
        if KINDS[trial.kind][2] > 1 and not setting.mpi or until and time.monotonic() > until:
            continue
        began = time.monotonic()
        message = one(setting, trial, rng)
        results.append(Result(trial, message, time.monotonic() - began))
        print(f"{number:6d}  {trial.kind:27s} {trial.simulation:5s} workers {trial.workers} ranks {trial.ranks} "
              f"{results[-1].seconds:6.1f} s  {'FAULT: ' + message if message else 'fine'}", flush=True)
    return results


def table(results):
    """Lines for docs/reliability.md."""
    lines = ["| kind | trials | without a fault | longest |", "|---|---|---|---|"]
    for name, (function, _, _) in KINDS.items():
        some = [r for r in results if r.trial.kind == name]
        if some:
            text = " ".join(function.__doc__.split())
            lines.append(f"| {text} | {len(some)} | {sum(not r.message for r in some)} | {max(r.seconds for r in some):.1f} s |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="kinds:\n" + "\n".join(f"  {name:27s} {' '.join(f.__doc__.split())}" for name, (f, _, _) in KINDS.items()))
    parser.add_argument("--trials", type=int, default=len(KINDS))
    parser.add_argument("--seed", type=int, default=0, help="number of the first trial")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--workers", default="1,2,3")
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--simulations", default="steps,heat")
    parser.add_argument("--build", default=os.environ.get("WEIR_BUILD", "build"))
    parser.add_argument("--keep", action="store_true", help="the folders of all that failed")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    if set(kinds) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(set(kinds) - set(KINDS))}")
    setting = Setting(os.path.abspath(options.build))
    setting.keep = options.keep
    results = trials(setting, range(options.seed, options.seed + options.trials), kinds,
                     [int(n) for n in options.workers.split(",")], [int(n) for n in options.ranks.split(",")],
                     options.simulations.split(","))
    if options.table:
        print(table(results))
    faults = sum(r.message is not None for r in results)
    print(f"{len(results)} trials, {faults} with faults" + (f"; kept in {setting.folder}" if options.keep else ""))
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
