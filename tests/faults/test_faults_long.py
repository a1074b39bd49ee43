#!/usr/bin/python3
# weir-test: label=long timeout=3000
"""240 trials, 16 of each kind, on up to 4 workers and 3 processes of the simulation; prints the table of
docs/reliability.md."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402

SEED, EACH = 5000, 16
setting = faults.Setting(os.environ["WEIR_BUILD"])
if not os.path.exists(setting.heat):
    print("skipped: this build has no heat2d (needs MPI)")
    sys.exit(77)
kinds = list(faults.KINDS)
results = faults.trials(setting, range(SEED, SEED + EACH * len(kinds)), kinds, workers=(1, 2, 3, 4), ranks=(1, 2, 3), together=2)
print(faults.table(results))
wrong = [r for r in results if r.message]
print(f"{len(results)} trials, {len(wrong)} with faults")
sys.exit(len(wrong) > 0 or sum(r.met for r in results) < 0.8 * EACH * len(kinds))
