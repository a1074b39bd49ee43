# weir-test: timeout=300
"""A gyre that is steered (its wind, its surface, what leaves it) dies in the middle, is started again from its own file, and is
then the run that never died: the same decisions, the same table and store, the same last state, whether its analysis sits beside
it or inside of it. Its files are written between published steps, and the wind of the time is in them."""
import hashlib
import os
import signal
import subprocess
import sys
import time

import gyre_support as gyre

gyre.require_program()
WEIR = os.path.join(gyre.BUILD, "bin", "weir")
if "none" in [line for line in subprocess.run([WEIR, "version"], text=True, capture_output=True).stdout.splitlines() if "MPI" in line][0]:
    print("skipped: this build has no MPI")
    sys.exit(77)

RECIPE = """run: gyre
stream:
  simulation: {%s, restart: yes}
  chunks: {y: 41, x: 53}
fields:
  ke_mean: mean(0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2))
  smooth:  running_mean(eta, 4)
  deta:    -0.002 * smooth
steering: {delay: 3}
feedback:
  deta: {lag: 2, timeout: 1 min}
rules:
  - when: "step / 30 - floor(step / 30) > 0.5"
    set:  {wind: "minimum(2.5, 1.1 * wind + ke_mean)"}
  - when: "step / 45 - floor(step / 45) > 0.5"
    output: {surface: once}
outputs:
  - csv:  {path: ke.csv, fields: [ke_mean, wind, mean(deta^2)]}
  - zarr: {path: eta.zarr, fields: [eta], every: 9}
  - zarr: {path: surface.zarr, fields: [smooth], name: surface, active: no}
"""
BESIDE = "policy: {when_full: block, slots: 4}"
# some ms a step; most files are written after steps that are not published
SETTINGS = dict(nx=160, ny=144, nsteps=400, output_every=3, restart_write="state", restart_every=40, bump=2.0, diagnostics_every=0,
                assimilate=True)


def results(folder):
    files = {}
    for top in ("ke.csv", "eta.zarr", "surface.zarr", "state", "gyre.run/decisions.log"):
        path = os.path.join(folder, top)
        names = [path] if os.path.isfile(path) else [os.path.join(d, f) for d, _, fs in os.walk(path) for f in fs]
        for name in names:
            with open(name, "rb") as file:
                files[os.path.relpath(name, folder)] = hashlib.sha256(file.read()).hexdigest()
    return files


def of_run(folder):
    """The gyre's processes of the run in this folder."""
    directory, found = os.path.join(os.path.realpath(folder), "gyre.run"), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as line, open(f"/proc/{name}/environ", "rb") as environment:
                if os.path.basename(line.read().split(b"\0")[0]) == b"gyre" and \
                        f"WEIR_RUN={directory}".encode() in environment.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            continue
    return found


def run(folder, placement, workers, ranks, kill_after=None):
    """`kill_after`: states written; then one process of the gyre is killed."""
    os.mkdir(folder)
    with open(os.path.join(folder, "r.yaml"), "w") as file:
        file.write(RECIPE % placement)
    with open(os.path.join(folder, "gyre.nml"), "w") as file:
        file.write("&gyre\n" + "".join(f"  {k} = {gyre.namelist_text(v)}\n" for k, v in SETTINGS.items()) + "/\n")
    with open(os.path.join(folder, "log"), "w") as log:
        process = subprocess.Popen([WEIR, "run", "r.yaml", "--workers", str(workers), "--ranks", str(ranks), "--", gyre.PROGRAM,
                                    "gyre.nml"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    state, written, seen = os.path.join(folder, "state"), 0, 0
    while kill_after and process.poll() is None and written < kill_after:
        try:
            now = os.stat(state).st_mtime_ns
        except FileNotFoundError:  # none yet, or the new one is just taking the old one's place
            now = seen
        written, seen = written + (now > seen), max(now, seen)
        time.sleep(0.001)
    victims = of_run(folder) if kill_after else []
    if kill_after:
        time.sleep(0.02)
        assert victims, "the gyre was over before it could be killed\n" + open(os.path.join(folder, "log")).read()[-3000:]
        os.kill(victims[-1], signal.SIGKILL)
    status = process.wait(240)
    with open(os.path.join(folder, "log")) as log:
        text = log.read()[-3000:]
    assert status == 0, f"{folder}: status {status}\n{text}"
    assert not kill_after or "started again (1 of" in text, text
    assert "no analysis from here on" not in text and "without its analysis" not in text, text
    return results(folder), text


with gyre.folder() as folder:
    whole, _ = run(os.path.join(folder, "whole"), BESIDE, 1, 1)
    with open(os.path.join(folder, "whole", "gyre.run", "decisions.log")) as file:
        decisions = file.read()
    assert decisions.count("set wind") > 10 and decisions.count("surface") > 5, decisions
    for name, placement, workers, ranks, kill_after in (("beside", BESIDE, 2, 2, 3), ("late", BESIDE, 1, 2, 8), ("inside", "placement: inline", 1, 2, 5)):
        again, text = run(os.path.join(folder, name), placement, workers, ranks, kill_after)
        wrong = sorted(k for k in set(whole) | set(again) if whole.get(k) != again.get(k))
        assert not wrong, f"{name}: {len(wrong)} of {len(whole)} files differ: {wrong[:8]}\n{text}"
        print(f"{name}: killed after state {kill_after} of {SETTINGS['nsteps'] // SETTINGS['restart_every']}, started again: all "
              f"{len(whole)} files the same")
