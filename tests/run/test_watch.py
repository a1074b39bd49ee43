# weir-test: timeout=120
#
# Images that are watched for while they are written: by rename, in place in one go or in two parts with a pause, with every kind of end, with
# a number that never comes and a file that is cut short; killed in the middle and gone on with; two workers. The outputs have the bytes of a
# run over the same images when all are there.
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

try:
    import numpy as np
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

WEIR = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
COUNT, SHAPE, PERIOD = 30, (40, 52), 0.03
random = np.random.default_rng(11)
images = random.integers(0, 255, (COUNT, *SHAPE), endpoint=True).astype(np.uint8)


def start(folder, *arguments):
    return subprocess.Popen([WEIR, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, timeout=60):
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"the run did not end: {process.communicate()}")
    return process.returncode, out, err


def write_recipe(folder, watch, subset="pairs", more=""):
    with open(os.path.join(folder, "test.yaml"), "w") as file:
        file.write(f"""run: test
stream:
  images: im
  subset: "{subset}"
{more}  {"watch: " + watch if watch else "dt: 1"}
{"  dt: 1" if watch else ""}
fields:
  d: mean(b) - mean(a)
  s: a + b
  r: running_mean(b, 3)
  top: max(r)
outputs:
  - csv: {{path: t.csv, fields: [d, top]}}
  - zarr: {{path: t.zarr, fields: [s]}}
checkpoint: {{every: 4 steps}}
""")


def content(image):
    with tempfile.TemporaryFile() as file:
        Image.fromarray(image).save(file, format="TIFF")
        file.seek(0)
        return file.read()


def write_one(folder, name, data, how):
    """how: 0 by rename, 1 in place in one go, 2 in two parts with a pause, 3 as a link."""
    path, hidden = os.path.join(folder, name), os.path.join(folder, "x" + name + ".part")
    if how in (0, 3):
        with open(hidden, "wb") as file:
            file.write(data)
        if how == 0:
            os.rename(hidden, path)
        else:
            os.link(hidden, path)
            os.unlink(hidden)
    elif how == 1:
        with open(path, "wb") as file:
            file.write(data)
    else:
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(0.1)
            file.write(data[len(data) // 2:])


def camera(folder, left_out=(), cut=(), first=0, count=COUNT, period=PERIOD, marker=None, log=None):
    os.makedirs(folder, exist_ok=True)
    for k in range(first, count):
        if k not in left_out:
            data = content(images[k])
            write_one(folder, f"c{k:04}.tif", data[:-700] if k in cut else data, 0 if k in cut else k % 4)
            if log is not None:
                log[k] = time.time()
        time.sleep(period)
    if marker:
        open(os.path.join(folder, marker), "w").close()


def digest(folder):
    out = {}
    for name in ("t.csv", "t.zarr"):
        path = os.path.join(folder, name)
        for top, _, files in os.walk(path) if os.path.isdir(path) else [(folder, [], [name])]:
            for file in files:
                with open(os.path.join(top, file), "rb") as data:
                    out[os.path.relpath(os.path.join(top, file), folder)] = hashlib.sha256(data.read()).hexdigest()
    return out


def rows(folder):
    with open(os.path.join(folder, "t.csv")) as file:
        return [row for row in csv.reader(file)][1:]


def offline(folder, expected=0, subset="pairs", more=""):
    """The same images, all there, in a folder beside."""
    beside = folder + ".offline"
    os.makedirs(beside)
    shutil.copytree(os.path.join(folder, "im"), os.path.join(beside, "im"))
    write_recipe(beside, None, subset, more)
    code, out, err = finish(start(beside, "run", "test.yaml"))
    assert code == expected, (code, out, err)
    return beside


def same_as_offline(folder, expected=0, subset="pairs", more=""):
    beside = offline(folder, expected, subset, more)
    want, got = digest(beside), digest(folder)
    assert want == got, (sorted(want.items() ^ got.items()), rows(beside), rows(folder))


def with_marker(folder, workers=1, threads=1):
    os.makedirs(os.path.join(folder, "im"))
    write_recipe(folder, "{end: 'done*', settle: 300 ms}")
    check = subprocess.run([WEIR, "check", "test.yaml"], cwd=folder, capture_output=True, text=True)
    assert check.returncode == 0 and "a file done* appears" in check.stdout and "unknown until" in check.stdout, check
    process = start(folder, "run", "test.yaml", "--workers", str(workers), "--threads", str(threads))
    time.sleep(0.3)
    writer = threading.Thread(target=camera, args=(os.path.join(folder, "im"),), kwargs={"marker": "done.txt"})
    writer.start()
    while writer.is_alive() and not (os.path.exists(os.path.join(folder, "t.csv")) and len(rows(folder)) > 3):
        time.sleep(0.05)
    assert writer.is_alive(), "there were no results while the camera wrote"
    code, out, err = finish(process)
    writer.join()
    assert code == 0, (code, out, err)
    assert len(rows(folder)) == COUNT - 1
    same_as_offline(folder)
    check = subprocess.run([WEIR, "check", "test.yaml"], cwd=folder, capture_output=True, text=True)
    assert check.returncode == 0 and "29 steps so far" in check.stdout, check


def all_there_at_once(folder):
    """Images and marker were written just before the watch: it waits until they have settled, and has all."""
    camera(os.path.join(folder, "im"), period=0, marker="done")
    write_recipe(folder, "{end: done, settle: 800 ms}")
    code, out, err = finish(start(folder, "run", "test.yaml"))
    assert code == 0, (code, out, err)
    assert len(rows(folder)) == COUNT - 1, rows(folder)
    same_as_offline(folder)


def with_timeout(folder):
    """Three were there before; a number is left out, one is cut short: exit 1, and both are named."""
    im = os.path.join(folder, "im")
    camera(im, count=3, period=0)
    write_recipe(folder, "{timeout: 1500 ms, settle: 300 ms, gap: 500 ms}")
    process = start(folder, "run", "test.yaml")
    camera(im, first=3, left_out=(12,), cut=(20,))
    code, out, err = finish(process)
    assert code == 1, (code, out, err)
    with open(os.path.join(folder, "test.run", "report.json")) as file:
        missing = json.load(file)["missing"]
    assert {m["from"] for m in missing} == {11, 12, 19, 20}, missing
    assert all("c0012.tif: there is no such file" in m["why"] for m in missing if m["from"] in (11, 12)), missing
    assert all("c0020.tif" in m["why"] for m in missing if m["from"] in (19, 20)), missing
    same_as_offline(folder, 1)


def with_count(folder):
    """A gap that is filled in time is none; couples of letters; steps beyond the count are not done."""
    im = os.path.join(folder, "im")
    os.makedirs(im)
    write_recipe(folder, "{count: 10, gap: 20 s}", subset="i, 0:2")
    process = start(folder, "run", "test.yaml")
    for k in list(range(1, 6)) + [7, 6] + list(range(8, 14)):
        for j in range(2):
            write_one(im, f"c{k:03}{'ab'[j]}.tif", content(images[2 * k + j]), (k + j) % 4)
        time.sleep(0.05)
    code, out, err = finish(process)
    assert code == 0, (code, out, err)
    assert [int(row[0]) for row in rows(folder)] == list(range(1, 11)), rows(folder)
    same_as_offline(folder, subset="i, 0:2", more="  stop: 11\n")


def late_image_stays_missing(folder):
    im = os.path.join(folder, "im")
    os.makedirs(im)
    write_recipe(folder, "{end: done, gap: 300 ms, settle: 200 ms}")
    process = start(folder, "run", "test.yaml")
    camera(im, count=12, left_out=(6,), period=0.02)
    deadline = time.time() + 20
    while time.time() < deadline and not (os.path.exists(os.path.join(folder, "t.csv")) and len(rows(folder)) == 11):
        time.sleep(0.1)
    write_one(im, "c0006.tif", content(images[6]), 0)
    camera(im, first=12, count=16, period=0.02, marker="done")
    code, out, err = finish(process)
    assert code == 1 and "c0006.tif: there is no such file" in err, (code, out, err)
    os.remove(os.path.join(im, "c0006.tif"))
    same_as_offline(folder, 1)


def killed(folder, workers=1):
    """kill -9 of everything in the middle; a number was missing, and comes before the run goes on: it stays missing."""
    im = os.path.join(folder, "im")
    os.makedirs(im)
    write_recipe(folder, "{end: done, gap: 300 ms, settle: 200 ms}")
    arguments = ("run", "test.yaml", "--workers", str(workers))
    process = subprocess.Popen([WEIR, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    camera(im, count=16, left_out=(5,))
    log, deadline = os.path.join(folder, "test.run", "images.log"), time.time() + 20
    while time.time() < deadline and not (os.path.exists(log) and "steps 15" in open(log).read()):
        time.sleep(0.05)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    grand = [subprocess.run(["ps", "-o", "pid=", "--ppid", pid], capture_output=True, text=True).stdout
             for pid in children.split()]
    for pid in [process.pid, *map(int, children.split()), *(int(p) for text in grand for p in text.split())]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.communicate()
    write_one(im, "c0005.tif", content(images[5]), 0)
    time.sleep(0.2)
    process = start(folder, *arguments, "--resume")
    camera(im, first=16, marker="done")
    code, out, err = finish(process)
    assert code == 1 and "c0005.tif: there is no such file" in err, (code, out, err)
    os.remove(os.path.join(im, "c0005.tif"))
    same_as_offline(folder, 1)


def interrupted(folder, workers=1):
    """Ctrl-C ends the watch after the steps that have come; nothing is lost, and it is no failure."""
    im = os.path.join(folder, "im")
    os.makedirs(im)
    write_recipe(folder, "{settle: 200 ms}")
    process = start(folder, "run", "test.yaml", "--workers", str(workers))
    camera(im, count=8)
    deadline = time.time() + 20
    while time.time() < deadline and not (os.path.exists(os.path.join(folder, "t.csv")) and len(rows(folder)) == 7):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 0, (code, out, err)
    same_as_offline(folder)


def idle_and_quick(folder):
    """Less than a hundredth of a core while nothing comes; a step begins milliseconds after its last image is closed."""
    im = os.path.join(folder, "im")
    os.makedirs(im)
    write_recipe(folder, "{count: 20}")
    process = start(folder, "run", "test.yaml", "--threads", "0")
    time.sleep(0.5)
    camera(im, count=2)
    log = {}
    time.sleep(1)
    worker = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    used = lambda: sum(map(int, open(f"/proc/{int(worker)}/stat").read().rsplit(")", 1)[1].split()[11:13]))
    before = used()
    time.sleep(2)
    spent = (used() - before) / os.sysconf("SC_CLK_TCK") / 2
    camera(im, first=2, count=21, period=0.05, log=log)
    code, out, err = finish(process)
    assert code == 0, (code, out, err)
    assert spent <= 0.02, f"idle, it takes {100 * spent:.1f} % of a core"
    # until its result is in the store; the 20 ms that a link is given to be opened are not counted
    late = sorted(os.stat(os.path.join(folder, "t.zarr", "s", f"{k - 1}.0.0")).st_mtime - log[k] for k in log if k % 4 != 3)
    print(f"idle {100 * spent:.1f} %, latency {1e3 * late[len(late) // 2]:.1f} ms (at most {1e3 * late[-1]:.1f} ms)")
    assert late[len(late) // 2] < 0.1, late


def bad_input(folder):
    os.makedirs(os.path.join(folder, "im"))
    for watch, part in (("{until: x}", "until"), ("{end: a/b}", "expected the name of a file"), ("{count: 0}", "count")):
        write_recipe(folder, watch)
        code, _, err = finish(start(folder, "run", "test.yaml"))
        assert code == 2 and part in err, (watch, code, err)
    write_recipe(folder, "{end: done}", subset="i:")
    code, _, err = finish(start(folder, "run", "test.yaml"))
    assert code == 2 and "give every slice a start and a stop" in err, (code, err)
    write_recipe(folder, "{end: done}")
    shutil.rmtree(os.path.join(folder, "im"))
    code, _, err = finish(start(folder, "run", "test.yaml"))
    assert code == 2 and "im" in err and "the folder that is watched" in err, (code, err)
    os.makedirs(os.path.join(folder, "im"))
    open(os.path.join(folder, "im", "done"), "w").close()
    code, _, err = finish(start(folder, "run", "test.yaml"))
    assert code == 1 and "before a step was whole" in err, (code, err)


def main():
    cases = [with_marker, with_timeout, with_count, late_image_stays_missing, killed, interrupted, idle_and_quick,
             bad_input, lambda folder: with_marker(folder, 2, 0), lambda folder: killed(folder, 2),
             lambda folder: interrupted(folder, 2), all_there_at_once]
    chosen = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as top:
        for k, case in enumerate(cases):
            if chosen and str(k) not in chosen:
                continue
            folder = os.path.join(top, f"case{k}")
            os.makedirs(folder)
            began = time.time()
            try:
                case(folder)
            except BaseException:
                print("case", k, case.__name__)
                raise
            print(f"case {k} {case.__name__}: {time.time() - began:.1f} s")


main()
