#!/usr/bin/python3
# weir-test: label=long timeout=1800
"""The memory of a worker with a plan of more than 100 MB does not grow over 10 000 steps and is what `weir check` says."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import memory  # noqa: E402

memory.check(points=512, steps=10000, least_plan=10**8, slots=4, keeps="no")
