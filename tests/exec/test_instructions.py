#!/usr/bin/python3
# weir-test: timeout=120
"""What a step costs in steady state, in instructions, which are the same in each run: of the engine (src/exec, src/comm, src/core,
src/plan) for each planned task, and of everything. Counted by callgrind as the difference of a long and a short run of
driver_instructions, so that what happens once does not matter. The budgets are what was counted with Debian 12's compiler, and 5 %:
in each run the count is the same, to the instruction, but the C library has code of its own for some machines."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

DRIVER = os.path.join(os.environ["WEIR_BUILD"], "tests", "driver_instructions")
SHORT, LONG, MARGIN = 40, 120, 1.05
ENGINE = re.compile(r"(^|/)src/(exec|comm|core|plan)/")
BUDGETS = {  # graph: (instructions of the engine per task, of everything per step)
    "halo": (484, 1011197),
    "tree": (403, 686315),
    "series": (805, 132383),
}


def counted(folder, graph, steps):
    """{(file, function): instructions} of a run, and how many tasks a step has."""
    out = os.path.join(folder, "callgrind")
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=" + out, DRIVER, graph, str(steps)],
                          capture_output=True, text=True, check=True)
    listed = subprocess.run(["callgrind_annotate", "--threshold=100", "--show-percs=no", "--auto=no", out],
                            capture_output=True, text=True, check=True).stdout
    found = {}
    for line in listed.splitlines():
        match = re.match(r"\s*([\d,]+)(?:\s+\([^)]*\))?\s+(\S+):(\S+)", line)
        if match:
            found[match[2], match[3]] = int(match[1].replace(",", ""))
    return found, int(re.search(r"steps of (\d+) tasks", done.stdout)[1])


def cost(folder, graph):
    short, tasks = counted(folder, graph, SHORT)
    more, _ = counted(folder, graph, LONG)
    each = {name: (n - short.get(name, 0)) / (LONG - SHORT) for name, n in more.items()}
    engine = sum(n for (file, _), n in each.items() if ENGINE.search(file))
    return engine / tasks, sum(each.values()), each


def reason_to_skip():
    if not shutil.which("valgrind") or not shutil.which("callgrind_annotate"):
        return "no valgrind (Debian: valgrind)"
    if not os.path.exists(DRIVER):
        return "this build has no driver_instructions"
    with open(DRIVER, "rb") as program:
        program = program.read()
    if b"__asan_init" in program or b"__tsan_init" in program:
        return "sanitizers count, too"
    with open("/proc/cpuinfo") as file:
        machine = os.uname().machine + ("" if " avx2 " in file.read() else " without AVX2")
    compiler = subprocess.run(["gcc", "-dumpversion"], capture_output=True, text=True).stdout.strip() if shutil.which("gcc") else ""
    if machine != "x86_64" or compiler != "12":
        return f"the budgets are those of gcc 12 on x86_64, this is {compiler or 'another compiler'} on {machine}"
    return None


def main():
    why = reason_to_skip()
    if why:
        print("skipped:", why)
        return 77
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for graph, (engine_most, all_most) in BUDGETS.items():
            engine, everything, each = cost(folder, graph)
            fits = engine <= MARGIN * engine_most and everything <= MARGIN * all_most
            print(f"{graph:7s} engine {engine:6.0f} per task (budget {engine_most}), all {everything:9.0f} per step (budget {all_most})")
            if fits:
                continue
            failures += 1
            for (file, function), n in sorted(each.items(), key=lambda item: -item[1])[:15]:
                print(f"    {n:9.0f}  {os.path.basename(file)}: {function}")
    if failures:
        print("More instructions than the budget and 5 %. Find out why; where it is worth it, write the new figures down here.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
