#!/usr/bin/python3
# weir-test: timeout=200
"""The memory of a worker does not grow over 1500 steps and is what `weir check` says (test_memory_long.py: 10 000 steps)."""
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
memory.check(setting, points=192, steps=1500, least_plan=10 * 2**20, slots=32, keeps="{every: 10 s}")
