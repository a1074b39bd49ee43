#!/usr/bin/python3
# weir-test: label=long timeout=1800
"""The memory of a worker with a plan of more than 100 MB does not grow over 10 000 steps and is what `weir check` says."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import memory  # noqa: E402
from runs import Setting  # noqa: E402

setting = Setting(os.environ["WEIR_BUILD"])
if not os.path.exists(setting.steps):
    print("skipped: the simulation is not built")
    sys.exit(77)
if setting.sanitized:
    print("skipped: a sanitizer keeps memory of its own")
    sys.exit(77)
memory.check(setting, points=512, steps=10000, least_plan=10**8, slots=4, keeps="no")
