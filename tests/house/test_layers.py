# weir-test: timeout=30
"""The house keeps its shape: every #include of a module is allowed by src/LAYERS, the table is acyclic, and pthread.h and
mpi.h are included in one place each."""
import os
import re
import sys

source = os.environ["WEIR_SOURCE"]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
faults = []


def table():
    layers = {}
    for line in open(os.path.join(source, "src", "LAYERS"), encoding="utf-8"):
        if line.startswith("#") or not line.strip():
            continue
        module, allowed = line.split(":")
        layers[module.strip()] = allowed.split()
    return layers


def folder_of(module):
    return os.path.join(source, module if module in ("client", "cli") else os.path.join("src", module))


def files_of(folder):
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.join(root, name)


def includes(path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) == "<", match.group(2)


def check_acyclic(layers):
    seen = set()
    for module, allowed in layers.items():  # the order of the table is the order of the layers
        faults.extend(f"src/LAYERS: {module} may include {a}, which comes later or nowhere" for a in allowed if a not in seen)
        seen.add(module)


def check_module(module, layers):
    count = 0
    for path in files_of(folder_of(module)):
        count += 1
        shown = os.path.relpath(path, source)
        for number, system, name in includes(path):
            other = name.split("/")[0]
            if system:
                if name in ("pthread.h", "threads.h") and not shown.startswith("src/core/threads."):
                    faults.append(f"{shown}:{number}: {name} belongs to src/core/threads.*")
                if name == "mpi.h" and module != "comm":
                    faults.append(f"{shown}:{number}: mpi.h belongs to src/comm")
            elif "/" in name and other in layers and other != module and other not in layers[module]:
                faults.append(f"{shown}:{number}: {module} may not include {name}")
            elif "/" in name and other not in layers:
                faults.append(f"{shown}:{number}: {name} is of no module in src/LAYERS")
    return count


layers = table()
check_acyclic(layers)
for entry in sorted(os.listdir(os.path.join(source, "src"))):
    if os.path.isdir(os.path.join(source, "src", entry)) and entry not in layers:
        faults.append(f"src/{entry}: not in src/LAYERS")
counts = {module: check_module(module, layers) for module in layers}
if counts["core"] < 5 or counts["run"] < 5:
    faults.append(f"only {counts} files were looked at: is WEIR_SOURCE right?")
print("\n".join(faults) or f"{sum(counts.values())} files in {len(counts)} modules")
sys.exit(1 if faults else 0)
