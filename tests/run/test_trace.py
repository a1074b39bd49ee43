# weir-test: timeout=120
"""The trace of a run is JSON that viewers open; what one thread does does not overlap; tasks per step are those of the report."""
import collections
import json
import os
import subprocess
import sys
import tempfile

weir = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
heat = os.path.join(os.environ["WEIR_BUILD"], "bin", "heat2d")
recipe = os.path.join(os.environ["WEIR_SOURCE"], "examples", "heat.yaml")
if not os.path.exists(heat) or not os.path.exists(weir):
    print("the command or the example heat2d is not built")
    sys.exit(77)


def run(folder, *options, in_recipe=False):
    path = recipe
    if in_recipe:
        path = os.path.join(folder, "traced.yaml")
        with open(recipe) as f, open(path, "w") as out:
            out.write(f.read() + "\nexecution: {trace: trace.json}\nparameters: {level: 1}\n"
                      "rules:\n  - when: max(temperature) > -1\n    set: {level: 2}\n")
    command = [weir, "run", path, "--dir", "heat.run", *options]
    if not in_recipe:
        command += ["--trace", "trace.json"]
    command += ["--", heat, "64", "48", "200", "10"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "  trace      trace.json\n" in done.stderr, done.stderr
    with open(os.path.join(folder, "trace.json")) as f:
        trace = json.load(f)
    with open(os.path.join(folder, "heat.run", "report.json")) as f:
        report = json.load(f)
    left = [name for name in os.listdir(folder) if name.startswith(".part-")]
    assert not left, left
    assert sorted(os.listdir(os.path.join(folder, "heat.run"))) == ["recipe.yaml", "report.json", "run.json", "schema.yaml"] or \
        "live" not in os.listdir(os.path.join(folder, "heat.run"))
    return trace, report


def check(trace, report, workers, threads):
    events = trace["traceEvents"]
    assert trace["otherData"]["lost_events"] == 0
    named = {(e["pid"], e["name"]): e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    assert len(named) == workers, named
    owners = {(e["pid"], e["tid"]) for e in events if e["ph"] == "M" and e["name"] == "thread_name" and e["args"]["name"] == "owner"}
    assert owners == {(p, threads) for p in range(workers)}, owners
    # spans of one thread follow each other; the format counts in microseconds with three decimals
    spans = collections.defaultdict(list)
    for e in events:
        if e["ph"] == "X":
            assert e["dur"] >= 0
            spans[e["pid"], e["tid"]].append((round(e["ts"] * 1000), round((e["ts"] + e["dur"]) * 1000), e["name"]))
    for where, list_ in spans.items():
        list_.sort()
        for before, after in zip(list_, list_[1:]):
            assert before[1] <= after[0], (where, before, after)
    # tasks: the same number in every step, and as many as the report says
    tasks = [e for e in events if e["ph"] == "X" and e.get("cat") == "task"]
    assert len(tasks) == report["tasks"], (len(tasks), report["tasks"])
    for rank in range(workers):
        per_step = collections.Counter(e["args"]["step"] for e in tasks if e["pid"] == rank)
        each = report["workers"][rank]["tasks"] // report["steps"]
        if each:
            assert len(per_step) == report["steps"] and set(per_step.values()) == {each}, (rank, each, per_step)
    names = {e["name"] for e in tasks}
    assert {"temperature/assemble", "mean_temperature/mean reduce", "mean_temperature/mean join", "write_csv"} <= names, names
    assert all(e["args"]["chunks"] > 0 for e in tasks)
    # steps: begun and ended on every worker, and no task of a step outside of it
    steps = collections.defaultdict(dict)
    for e in events:
        if e["ph"] in "be":
            steps[e["pid"], e["args"]["step"]][e["ph"]] = e["ts"]
    assert len(steps) == workers * report["steps"]
    for e in tasks:
        step = steps[e["pid"], e["args"]["step"]]
        assert step["b"] <= e["ts"] and e["ts"] <= step["e"] + 0.001, (e, step)
    # every arrow has two ends, on two workers, and goes forward in time
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert len(starts) == report["messages"], (len(starts), report["messages"])
    assert starts.keys() == ends.keys()
    for i, e in starts.items():
        assert e["pid"] != ends[i]["pid"] and e["ts"] <= ends[i]["ts"], (e, ends[i])
    levels = [e["args"]["ms"] for e in events if e["ph"] == "C" and e["name"] == "simulation blocked" and e["pid"] == 0]
    assert len(levels) == report["steps"] and levels == sorted(levels)


for workers, threads, in_recipe in ((1, 0, True), (2, 2, False)):
    with tempfile.TemporaryDirectory() as folder:
        trace, report = run(folder, "--workers", str(workers), "--threads", str(threads), in_recipe=in_recipe)
        check(trace, report, workers, threads)
        if in_recipe:
            names = {e["name"] for e in trace["traceEvents"] if e["ph"] == "X"}
            assert {"decide", "decide hand over"} <= names, names
        if workers == 2:
            assert report["messages"] > 0
            assert len(report["workers"]) == 2 and report["streams"][0]["name"] == "heat"

# a file that cannot be written is said in one message, the outputs are there
with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run([weir, "run", recipe, "--trace", "none/trace.json", "--", heat, "16", "16", "20", "10"],
                          cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1 and "none/trace.json: cannot be written: No such file or directory" in done.stderr, done.stderr
    assert os.path.exists(os.path.join(folder, "heat.csv"))
print("all as expected")
