"""Where the driver is: built with the tests, or compiled here when the build has none."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("WEIR_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


def scratch():
    return tempfile.TemporaryDirectory(prefix="weir-io-", dir=os.environ.get("TMPDIR"))


def driver(folder):
    built = os.path.join(os.environ.get("WEIR_BUILD", ""), "tests", "driver_io")
    if os.path.exists(built):
        return built
    compiler = os.environ.get("CC") or shutil.which("cc")
    if not compiler:
        print("skipped: no driver_io in the build and no C compiler")
        sys.exit(77)
    libraries = ["cairo", "netcdf", "blosc", "libzstd", "zlib", "jansson"]
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs"] + libraries, text=True).split()
    files = [os.path.join(SOURCE, "tests", "io", "driver_io.c")]
    for module in ("io", "core", "field"):
        files += sorted(glob.glob(os.path.join(SOURCE, "src", module, "*.c")))
    files = [f for f in files if not os.path.basename(f).startswith("sink")]
    program = os.path.join(folder, "driver_io")
    subprocess.check_call(
        [compiler, "-std=c17", "-D_GNU_SOURCE", "-O2", "-ffp-contract=off"]
        + ["-I" + os.path.join(SOURCE, "include"), "-I" + os.path.join(SOURCE, "src")]
        + files + ["-o", program] + flags + ["-lm", "-lpthread"])
    return program


def run(*command):
    """Output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True)
    assert done.returncode == 0, f"{command}: exit {done.returncode}: {done.stderr}"
    return done.stdout


def expect(condition, *message):
    if not condition:
        print("FAILED:", *message)
        sys.exit(1)
