#!/usr/bin/python3
# weir-test: timeout=200
"""The memory of a worker does not grow over 1500 steps and is what `weir check` says (test_memory_long.py: 10 000 steps)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import memory  # noqa: E402

memory.check(points=192, steps=1500, least_plan=10 * 2**20, slots=32, keeps="{every: 10 s}")
