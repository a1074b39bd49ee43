"""Runs of `weir run` for tests that do harm to them: processes of a run, its outputs, and what must hold afterwards."""
import atexit
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

STEPS, EVERY_US, POINTS = 400, 5000, 48  # of the simulation `steps`: 2 s
KEEP = 25  # after so many steps it keeps a file to restart from
LATE_S = int(os.environ.get("WEIR_FAULTS_LATE", "60"))  # a run that takes longer hangs
KEPT = {"recipe.yaml", "run.json", "schema.yaml", "report.json", "decisions.log"}  # in the run directory of a complete run

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
%(steering)soutputs:
  - csv:  {path: level.csv, fields: [level, slow, mean(change), max(avg)]}
  - zarr: {path: %(store)s, fields: [avg, change], every: %(every)d, name: fields}
checkpoint: {%(checkpoint)s}
recovery: {retries: %(retries)d, backoff: %(backoff)s, heartbeat: %(heartbeat)s}
"""
STEERING = """  push:    running_mean(u, 4) - u
feedback:
  push: {lag: 2, timeout: 2 min}
steering: {delay: 3}
rules:
  - when: level > 0.5              # about every other step
    hold: 5 steps
    set:  {stir: "0.5 * stir + level / 4"}
  - when: level < 0.495
    hold: 20 steps
    extract: {fields: {every: 2}}
  - when: level > 0.505
    hold: 20 steps
    extract: {fields: {every: 3}}
"""
DEFAULTS = {"store": "fields.zarr", "policy": "when_full: block, timeout: 2 min, slots: 8", "restart": "", "field": "u", "steering": "", "every": 3,
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
        self.job = -1  # of the workers: how many there were before
        for pid, line, environment in processes():
            if f"WEIR_RUN={directory}" not in environment:
                continue
            self.all.append(pid)
            if is_launcher(line):
                if "worker" in line:
                    self.launcher.append(pid)
            elif line[1:3] == ["worker", directory]:
                self.workers.append(pid)
                jobs = [int(text.split("=")[1]) for text in environment if text.startswith("WEIR_RESTART=")]
                self.job = max([self.job] + jobs)
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
        self.references, self.lock = {}, threading.Lock()
        self.keep = False
        atexit.register(lambda: None if self.keep else shutil.rmtree(self.folder, ignore_errors=True))
        version = subprocess.run([self.weir, "version"], text=True, stdout=subprocess.PIPE, check=True).stdout
        with open(self.weir, "rb") as file:
            self.sanitized = b"__asan_init" in file.read()
        self.mpi = not re.search(r"MPI +none", version)

    def reference(self, simulation):
        """(files, check sum or message of the simulation, seconds) of an undisturbed run."""
        with self.lock:
            if simulation not in self.references:
                run = Run(self, f"reference-{simulation}", simulation, 1, 1)
                run.start()
                if run.wait() != 0:
                    raise Fault(f"the undisturbed run failed: {run.log()}")
                self.references[simulation] = (outputs(run.folder, LOG), run.told(), time.monotonic() - run.began)
            return self.references[simulation]


LOG = "faults.run/decisions.log"


def outputs(folder, *more, provenance=True):
    """A hash of each file of the outputs, and `more`; without `provenance`, of all but what stores say of the recipe."""
    files = {}
    for top in ("level.csv", "fields.zarr", *more):
        path = os.path.join(folder, top)
        names = [path] if os.path.isfile(path) else [os.path.join(d, f) for d, _, fs in os.walk(path) for f in fs]
        for name in names:
            with open(name, "rb") as file:
                text = file.read()
            if not provenance and name.endswith((".zattrs", ".zmetadata")):
                text = re.sub(rb'"weir_provenance": "(\\.|[^"\\])*"', b"", text)
            files[os.path.relpath(name, folder)] = hashlib.sha256(text).hexdigest()
    return files


class Run:
    """One `weir run` in a folder of its own."""
    recipe, threads = RECIPE, 1

    def __init__(self, setting, name, simulation, workers, ranks, **values):
        self.setting, self.simulation, self.workers, self.ranks = setting, simulation, workers, ranks
        self.folder = os.path.join(setting.folder, name)
        self.directory = os.path.join(os.path.realpath(setting.folder), name, "faults.run")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        values = {**DEFAULTS, "field": "temperature" if simulation == "heat" else "u",
                  "steering": STEERING if simulation == "steered" else "", **values}
        with open(os.path.join(self.folder, "r.yaml"), "w", encoding="utf-8") as file:
            file.write(self.recipe % values)
        self.process, self.began, self.parts, self.met = None, 0.0, 0, False

    def command(self, restart=False):
        if self.simulation == "heat":
            return [self.setting.heat, "64", "64", "1500", "2"]
        return [self.setting.steps, str(POINTS), str(STEPS), "1", str(EVERY_US), "kept", str(KEEP)] + ["restart"] * restart

    def start(self, *options, restart=False):
        self.parts += 1
        ranks = ["--ranks", str(self.ranks)] if self.setting.mpi and self.ranks > 1 else []
        line = [self.setting.weir, "run", "r.yaml", "--workers", str(self.workers), "--threads", str(self.threads), *ranks,
                *options, "--", *self.command(restart)]
        with open(self.path(f"out{self.parts}"), "wb") as out, open(self.path(f"err{self.parts}"), "wb") as err:
            self.process = subprocess.Popen(line, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True)
        self.began = time.monotonic()

    def path(self, *names):
        return os.path.join(self.folder, *names)

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

    def report(self):
        with open(os.path.join(self.directory, "report.json"), encoding="utf-8") as file:
            return json.load(file)

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
        total = 750 if self.simulation == "heat" else STEPS
        due = self.began - fraction
        while self.process.poll() is None:
            if (time.monotonic() >= due) if fraction < 0 else self.step() >= fraction * total:
                return True
            time.sleep(0.005)
        return False

    def until_checkpoint(self):
        """Wait until there is a checkpoint of every worker. False: the run ended before."""
        folder = os.path.join(self.directory, "checkpoint")
        while self.process.poll() is None:
            names = os.listdir(folder) if os.path.isdir(folder) else []
            made = [name.split(".")[0] for name in names if re.fullmatch(r"\d+\.\d+", name)]
            if any(made.count(step) == self.workers for step in made):
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
        have, whole = outputs(self.folder, LOG), self.setting.reference(self.simulation)[0]
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
            array, chunk = os.path.split(name)
            if chunk[:1].isdigit() and os.path.basename(array) not in ("step", "time") and self.shows(array, chunk) \
                    and digest != reference.get(name):
                raise Fault(f"{name} differs from the undisturbed run\n{self.log()}")

    def shows(self, array, chunk):
        """Is a chunk within the levels that readers are told of? Those beyond are written without a detour: a worker that
        is killed may leave a part of one, which the next worker removes."""
        with open(self.path(array, ".zarray"), encoding="utf-8") as file:
            shape = json.load(file)["shape"]
        return not shape or int(chunk.split(".")[0]) < shape[0]

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


def compile_operators(folder):
    """The operators of operators.c as a shared object; None: no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    source, result = os.environ["WEIR_SOURCE"], os.path.join(folder, "operators.so")
    if not compiler:
        return None
    subprocess.run([compiler, "-std=c17", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O2", f"-I{source}/include", "-o", result,
                    f"{source}/tests/faults/operators.c"], check=True)
    return result
