#!/usr/bin/python3
# weir-test: timeout=300
"""Kills, stops and pauses workers, simulations and the supervisor of runs: nothing is harmed, nothing lost. Each kind once,
then more of them for as long as there is time (not under the sanitizers); test_faults_long.py does hundreds."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402

SEED, ENOUGH, SECONDS = 1000, 30, 45
setting = faults.Setting(os.environ["WEIR_BUILD"])
if not os.path.exists(setting.heat):
    print("skipped: this build has no heat2d (needs MPI)")
    sys.exit(77)
began, kinds = time.monotonic(), list(faults.KINDS)
first = faults.trials(setting, range(SEED, SEED + len(kinds)), kinds, together=2)
enough = len(kinds) if setting.sanitized else ENOUGH
more = faults.trials(setting, range(SEED + len(kinds), SEED + enough), kinds, together=2, until=began + SECONDS)
wrong = [r for r in first + more if r.message]
if {r.trial.kind for r in first} != set(kinds):
    sys.exit(f"kinds that were not tried: {set(kinds) - {r.trial.kind for r in first}}")
if sum(r.met for r in first + more) < 0.8 * len(first + more):
    sys.exit("most faults met a run that had ended: nothing is shown")
print(f"{len(first + more)} trials, {len(wrong)} with faults, {time.monotonic() - began:.0f} s")
sys.exit(len(wrong) > 0)
