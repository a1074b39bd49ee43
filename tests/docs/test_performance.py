# weir-test: timeout=60
"""docs/performance.md says what docs/performance/*.csv have, in tables and plots; bench/report.py --check sees each difference; and
bench/run keeps what a program measured, with the facts of the machine, but nothing of one that failed."""
import glob
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

SOURCE = os.environ["WEIR_SOURCE"]
faults = []


def expect(condition, what):
    if not condition:
        faults.append(what)


def report(*arguments):
    return subprocess.run([sys.executable, os.path.join(SOURCE, "bench", "report.py"), *arguments], capture_output=True, text=True)


def checked(docs):
    return report("--check", "--docs", docs).returncode


def change(path, pattern, by):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    changed, count = re.subn(pattern, by, text, count=1, flags=re.S)
    expect(count == 1 and changed != text, f"{path}: nothing was changed, so the check cannot fail")
    with open(path, "w", encoding="utf-8") as file:
        file.write(changed)
    return text


def check_page(work):
    done = report("--check")
    expect(done.returncode == 0, "docs/performance.md is not what the CSVs give:\n" + done.stderr)
    docs = os.path.join(work, "docs")
    os.makedirs(docs)
    shutil.copy(os.path.join(SOURCE, "docs", "performance.md"), docs)
    shutil.copytree(os.path.join(SOURCE, "docs", "performance"), os.path.join(docs, "performance"))
    page = os.path.join(docs, "performance.md")
    expect(checked(docs) == 0, "a copy of the page differs from its CSVs")
    before = change(page, r"(<!-- bench: targets -->\s+)(\d)", lambda found: found[1] + str((int(found[2]) + 1) % 10))
    expect(checked(docs) == 1, "an edited figure was not seen")
    with open(page, "w", encoding="utf-8") as file:
        file.write(before)
    drawn = [path for path in glob.glob(os.path.join(docs, "performance", "*.csv")) if os.path.exists(path[:-3] + "png")]
    expect(drawn, "no plots")
    for path in drawn[:1]:
        os.remove(path[:-3] + "png")
        expect(checked(docs) == 1, "a missing plot was not seen")


FAKE = """#!/bin/sh
echo '# fake: a comment'
echo 'a library says, something, of, six, fields, here'
echo 'fake,"a case, in quotes",weir,median,1.5,us'
echo "fake,argument $1,weir,median,2,us"
echo trouble >&2
exit ${FAKE_STATUS:-0}
"""


def run(build, *arguments, status="0"):
    environment = {**os.environ, "WEIR_BUILD": build, "FAKE_STATUS": status, "WEIR_PEERS": sys.executable}
    return subprocess.run([sys.executable, os.path.join(SOURCE, "bench", "run"), *arguments], capture_output=True, text=True, env=environment)


def check_run(work):
    build = os.path.join(work, "build")
    os.makedirs(os.path.join(build, "bench"))
    program = os.path.join(build, "bench", "bench_fake")
    with open(program, "w", encoding="utf-8") as file:
        file.write(FAKE)
    os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
    results = os.path.join(work, "results")
    done = run(build, "-o", results, "fake", "full")
    expect(done.returncode == 0, "bench/run failed: " + done.stderr)
    with open(os.path.join(results, "fake.csv"), encoding="utf-8") as file:
        kept = file.read()
    for line in ("#: command = bench/run fake full\n", "#: cpu = ", "#: load at the end = ", "bench,case,system,metric,value,unit\n",
                 "# fake: a comment\n", 'fake,"a case, in quotes",weir,median,1.5,us\n', "fake,argument full,weir,median,2,us\n"):
        expect(line in kept and (line.startswith("#:") or line.startswith("bench,") or line in done.stdout), f"not kept: {line}")
    expect("library" not in kept + done.stdout, "what a library said is among the values")
    expect(run(build, "-o", os.path.join(work, "failed"), "fake", status="3").returncode == 1, "a failure was not seen")
    expect(not os.path.exists(os.path.join(work, "failed", "fake.csv")), "values of a failed program were kept")
    expect(run(build, "nothing").returncode == 1, "a benchmark that is not there was not seen")


with tempfile.TemporaryDirectory() as folder:
    check_page(folder)
    check_run(folder)
print("\n".join(faults) or "as it should be")
sys.exit(1 if faults else 0)
