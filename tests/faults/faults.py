#!/usr/bin/python3
"""Kills and stops processes of runs at random, and looks whether anything was harmed or lost.

    faults.py [--trials N] [--seed S] [--kinds a,b,...] [--workers 1,2,3] [--ranks 1,2] [--simulations steps,steered,heat]
              [--together N] [--build DIR] [--keep] [--table]

A trial is one run of `weir run` in a folder of its own, with one kind of fault at a random moment. It is made from one number,
which is printed: `faults.py --trials 1 --seed NUMBER` does it again (the moment to some milliseconds). After it these must hold:

  - the simulation has computed all its steps, in every trial in which it was not itself the victim;
  - the outputs are the bytes of an undisturbed run, all files of them;
  - the exit status is the one documented;
  - no process of the run is left, nothing of weir in /dev/shm, and only what is worth keeping in the run directory.

`faults.py --help` lists the kinds."""
import argparse
import collections
import concurrent.futures
import os
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from runs import KEEP, LATE_S, Fault, Processes, Run, Setting, send, stacks  # noqa: E402

# ---- kinds of trials ----

KINDS = {}


def kind(*simulations, least_workers=1):
    def note(function):
        KINDS[function.__name__] = (function, simulations or ("steps", "steered", "heat"), least_workers)
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
    run.met = run.met or bool(victims)
    return victims


def struck(run, rng, which, number=signal.SIGKILL, everybody=False):
    """A whole run in which a part is struck once, at some moment."""
    run.start()
    if run.until(moment(rng)):
        strike(run, rng, which, number, everybody)
    whole(run)


@kind()
def kill_worker(run, rng):
    """a worker is killed"""
    struck(run, rng, "workers")


@kind()
def kill_all_workers(run, rng):
    """all workers are killed at once"""
    struck(run, rng, "workers", everybody=True)


@kind(least_workers=2)
def kill_launcher(run, rng):
    """the MPI launcher of the workers is killed"""
    struck(run, rng, "launcher")


@kind("steps", "steered")
def kill_worker_at_end(run, rng):
    """a worker is killed within the last steps, or while the outputs are closed"""
    run.start()
    if run.until(0.9):
        time.sleep(rng.uniform(0.0, 0.35))  # the last tenth takes about 0.2 s
        strike(run, rng, "workers")
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
    struck(run, rng, "workers", signal.SIGSTOP)


@kind(least_workers=2)
def stop_all_workers(run, rng):
    """all workers are stopped at once: the heartbeat finds them"""
    struck(run, rng, "workers", signal.SIGSTOP, everybody=True)


@kind()
def pause_worker(run, rng):
    """a worker is stopped, and goes on before the heartbeat is missed"""
    run.start()
    if run.until(moment(rng)):
        victims = strike(run, rng, "workers", signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 1.2))
        send(victims, signal.SIGCONT)
    whole(run)


@kind("steps", "steered")
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


def go_back(run):
    """Let the simulation begin with the file before its last one; False: with none."""
    try:
        with open(run.path("kept.last"), "r+", encoding="utf-8") as file:
            step = int(file.read()) - KEEP
            file.seek(0)
            file.truncate()
            file.write(f"{step}\n")
        return step > 0
    except FileNotFoundError:
        return False


@kind("steps", "steered")
def kill_simulation_and_worker(run, rng):
    """a worker and a process of the simulation are killed; --resume with the simulation restarted from its last file but
    one (steps published and not yet read die with it: the last may be newer than the checkpoint of the workers)"""
    run.start()
    met = False
    if run.until(rng.uniform(0.1, 0.9)):
        first, second = rng.sample(["workers", "simulation"], 2)
        hit = {first: strike(run, rng, first)}
        time.sleep(rng.uniform(0.0, 0.4))
        hit[second] = strike(run, rng, second)
        met = hit["simulation"]
    status = run.wait()
    if met and not run.told():
        run.expect(status, [137])
        run.expect_prefix()
        run.expect_clean(["checkpoint"])
        run.start("--resume", restart=go_back(run))
    whole(run)


@kind("steps", "steered")
def restart_simulation(run, rng):
    """a process of the simulation is killed; `restart:` of the recipe starts it again, from its own file or anew"""
    run.start()
    if run.until(rng.uniform(0.1, 0.9)) and os.path.exists(run.path("kept.last")):
        strike(run, rng, "simulation")
    whole(run)


@kind("steps", "steered")
def restart_simulation_and_kill_workers(run, rng):
    """the same, and the workers that begin again with it are killed, too, mostly before they have made a checkpoint"""
    run.start()
    if run.until(rng.uniform(0.1, 0.9)) and os.path.exists(run.path("kept.last")):
        before = run.until_processes("workers")
        strike(run, rng, "simulation")
        run.until_processes("workers", but=before)
        time.sleep(rng.uniform(0.0, 0.4))
        strike(run, rng, "workers", everybody=True)
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


@kind("steps", "steered")
def kill_supervisor(run, rng):
    """weir run itself is killed: workers and simulation end by themselves; --resume afterwards finds all complete"""
    run.start()
    met = run.until(moment(rng)) and run.until_processes("simulation") and run.process.poll() is None
    if met:
        run.process.kill()
        run.met = True
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
        run.met = True
        time.sleep(rng.uniform(0.0, 0.2))
        strike(run, rng, "workers")
    run.wait()
    wait_left(run)
    run.expect_simulation()
    run.expect_prefix()
    run.start("--resume")
    whole(run)


@kind("steps", "heat")  # without workers a simulation that is steered computes something else
def exhaust_retries(run, rng):
    """workers are killed as often as they come: the simulation goes on without analysis"""
    run.start()
    kills = 0
    if run.until(rng.uniform(0.0, 0.5)):
        while kills <= 2 and run.until_processes("workers"):
            now = Processes(run.directory)
            if now.job == kills:  # a new one
                send(now.workers, signal.SIGKILL)
                kills, run.met = kills + 1, True
            time.sleep(0.02)
    status = run.wait()
    if kills <= 2:  # the run was over before
        return
    run.expect(status, [1])
    run.expect_simulation()
    run.expect_prefix()
    run.expect_clean(["checkpoint"])


# what differs in the recipe: one of these
EVERY_STEP = {"checkpoint": "every: 1 step"}  # the run ends right at a checkpoint
GOES_ON = '\n    restart: "{command} restart"'  # else it begins anew
RECIPES = {
    "kill_simulation": [{}, EVERY_STEP],
    "kill_simulation_and_worker": [{}, EVERY_STEP],
    "restart_simulation": [{"restart": "\n    restart: yes"}, {"restart": GOES_ON}, {"restart": GOES_ON, **EVERY_STEP}],
    "restart_simulation_and_kill_workers": [
        {"restart": GOES_ON, "checkpoint": "every: 60 steps", "policy": "when_full: block, timeout: 2 min, slots: 128"}],
    "kill_supervisor_and_worker": [{"policy": "when_full: block, timeout: 3 s, slots: 8"}],
    "exhaust_retries": [{"retries": 2, "backoff": "0.1"}],
}

Trial = collections.namedtuple("Trial", "number kind simulation workers ranks")
Result = collections.namedtuple("Result", "trial message met seconds")


def plan(number, kinds, workers, ranks, simulations, mpi):
    """The trial that a number stands for, among those that may be."""
    rng = random.Random(number)
    name = kinds[number % len(kinds)]
    _, allowed, least = KINDS[name]
    some = [w for w in workers if w >= least] or [least]
    return Trial(number, name, rng.choice([s for s in simulations if s in allowed] or allowed),
                 rng.choice(some) if mpi else 1, rng.choice(ranks) if mpi else 1), rng


def one(setting, trial, rng):
    """Do a trial: what was wrong (None: nothing), and whether the fault met the run before it ended."""
    run = Run(setting, f"trial-{trial.number}", trial.simulation, trial.workers, trial.ranks,
              **rng.choice(RECIPES.get(trial.kind, [{}])))
    setting.reference(trial.simulation)
    try:
        KINDS[trial.kind][0](run, rng)
    except Fault as fault:
        return str(fault), run.met
    finally:
        if run.process and run.process.poll() is None:
            run.process.kill()
        send(Processes(run.directory).all, signal.SIGKILL)
    shutil.rmtree(run.folder)
    return None, run.met


def trials(setting, numbers, kinds, workers=(1, 2, 3), ranks=(1, 2), simulations=("steps", "steered", "heat"), together=1, until=None):
    """Do the trials of these numbers, as many as there is time for (`until`: monotonic); the results."""
    def do(number):
        trial, rng = plan(number, list(kinds), workers, ranks, simulations, setting.mpi)
        if KINDS[trial.kind][2] > 1 and not setting.mpi or until and time.monotonic() > until:
            return None
        began = time.monotonic()
        result = Result(trial, *one(setting, trial, rng), time.monotonic() - began)
        how = f"FAULT: {result.message}" if result.message else "fine" if result.met else "fine, but met nobody"
        print(f"{number:6d}  {trial.kind:27s} {trial.simulation:5s} workers {trial.workers} ranks {trial.ranks} "
              f"{result.seconds:6.1f} s  {how}", flush=True)
        return result
    for simulation in simulations:
        setting.reference(simulation)
    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        return [result for result in pool.map(do, numbers) if result]


def table(results):
    """Lines for docs/reliability.md."""
    lines = ["| what was done | trials | simulation unharmed, same bytes | longest |", "|---|---|---|---|"]
    for name, (function, _, _) in KINDS.items():
        some = [r for r in results if r.trial.kind == name and r.met]
        if some:
            text = " ".join(function.__doc__.split())
            fine = sum(not r.message for r in some)
            lines.append(f"| {text} | {len(some)} | {fine} | {max(r.seconds for r in some):.1f} s |")
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
    parser.add_argument("--simulations", default="steps,steered,heat")
    parser.add_argument("--together", type=int, default=1, help="so many at the same time")
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
                     options.simulations.split(","), options.together)
    if options.table:
        print(table(results))
    faults = sum(r.message is not None for r in results)
    print(f"{len(results)} trials, {faults} with faults" + (f"; kept in {setting.folder}" if options.keep else ""))
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
